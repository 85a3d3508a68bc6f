"""
Repeatable randomness.
"""

from __future__ import annotations

import hashlib
from itertools import count


class FixedEntropy:
    """
    Octets that look random and are the same in every run: SHA-256 of a seed and a counter.

    One stream, however it is cut into calls.  Give each node its own seed, else cookies are equal.
    """

    def __init__(self, seed: int | str) -> None:
        self._seed = repr(seed).encode()
        self._blocks = count()
        self._left = b""

    def __call__(self, n: int) -> bytes:
        """The next ``n`` octets."""
        if n < 0:
            raise ValueError("negative number of octets")
        while len(self._left) < n:
            self._left += hashlib.sha256(b"%s:%d" % (self._seed, next(self._blocks))).digest()
        octets, self._left = self._left[:n], self._left[n:]
        return octets
