"""
The framework of RFC 2408: its exchanges, and what runs them for any key exchange and any domain of
interpretation.
"""
