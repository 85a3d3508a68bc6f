"""
ISAKMP for Twisted: the framework of RFC 2408, IKEv1 (RFC 2409) as one key exchange of it, and the
IPsec domain of interpretation (RFC 2407) as one meaning of its security associations.
"""

from __future__ import annotations

__version__ = "0.1.0"
