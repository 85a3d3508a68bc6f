"""
Octets and values: the message format of RFC 2408 section 3.

Pure functions of their arguments.  Decoding gives a value or raises
:class:`isakmp.errors.Malformed`, and encoding what was decoded gives the same octets again.
Nothing here knows a key exchange or a domain of interpretation: an SA payload keeps its situation
and proposals as received, and numbers that nobody assigned are data.
"""

from __future__ import annotations
