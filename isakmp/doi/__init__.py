"""
Domains of interpretation: what the numbers inside a security association mean.

RFC 2408 section 2.1 and appendix B.  A domain is pure: values in, values out; it knows no key
exchange, and no key exchange knows it.  0 is :mod:`isakmp.doi.isakmp`, 1 :mod:`isakmp.doi.ipsec`.
"""

from __future__ import annotations
