"""
KINK (RFC 4430): a key exchange with a header and a port of its own, vouched for by Kerberos.
"""
