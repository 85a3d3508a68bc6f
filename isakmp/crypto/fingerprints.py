"""
Fingerprints of keying material, for people who compare two ends.
"""

from __future__ import annotations

import hashlib

_PURPOSE = b"isakmp fingerprint of keying material\0"


def fingerprint(octets: bytes) -> str:
    """
    What may be shown of a key: equal keys have equal fingerprints, and the key cannot be found.

    That holds for keys that were derived, which nobody can guess.  Never show the fingerprint of a
    password or a pre-shared key: it would be a way to test guesses.

    :param octets: the key.
    :returns: 16 hexadecimal digits: the first 8 octets of a hash that is used for nothing else.
    """
    return hashlib.sha256(_PURPOSE + octets).digest()[:8].hex()
