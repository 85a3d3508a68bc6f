"""
IKE (RFC 2409): a key exchange spoken in the framework's exchanges.
"""
