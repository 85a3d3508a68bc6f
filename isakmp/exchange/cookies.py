"""
The anti-clogging tokens.  RFC 2408 section 2.5.3.

A cookie is a keyed hash over both parties' addresses and ports and the time, made with a secret
that never leaves this process.  So a responder's cookie that comes back proves that the stranger
receives what is sent to its address, and nobody has to remember anything before that.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from isakmp.interfaces import ICookies
from isakmp.paths import Path

LENGTH = 8
"""Octets of a cookie."""

_ZERO = bytes(LENGTH)


@implementer(ICookies)
class Cookies:
    """
    Makes the cookies of one process.

    :param entropy: gives that many unpredictable octets; asked for the secret, once.
    :param clock: the time that goes into every cookie.
    :param window: seconds for which the same first message gets the same responder's cookie.
    :raises ValueError: if the window is not positive.
    """

    def __init__(
        self, entropy: Callable[[int], bytes], clock: IReactorTime, window: float = 60.0
    ) -> None:
        if not window > 0:
            raise ValueError(f"a window of {window} seconds")
        self._secret = entropy(hashlib.blake2b.MAX_KEY_SIZE)
        self._clock = clock
        self._window = window
        self._made = 0

    def initiator(self, path: Path) -> bytes:
        """Eight octets that no other call has got; never zero."""
        self._made += 1
        # The number makes two cookies of one instant different, the time those of two lives of a
        # process whose secret is a test's.
        moment = struct.pack("!Qd", self._made, self._clock.seconds())
        return self._cookie(b"isakmp initiator", path, moment)

    def responder(self, path: Path, initiator: bytes, message: bytes) -> bytes:
        """
        Eight octets that only we can make, for this stranger and this first message; never zero.

        :param initiator: the initiator's cookie.
        :param message: the octets of message 1, so that a forged copy and the real one do not
            share a cookie.
        """
        window = struct.pack("!q", int(self._clock.seconds() // self._window))
        digest = hashlib.blake2b(message).digest()
        return self._cookie(b"isakmp responder", path, window + digest + initiator)

    def _cookie(self, purpose: bytes, path: Path, rest: bytes) -> bytes:
        parties = b"".join(
            struct.pack("!HH", len(host), port) + host
            for host, port in ((a[0].encode(), a[1]) for a in (path.local, path.remote))
        )
        octets = parties + rest
        while True:
            keyed = hashlib.blake2b(octets, digest_size=LENGTH, key=self._secret, person=purpose)
            cookie = keyed.digest()
            if cookie != _ZERO:
                return cookie
            octets += b"\0"  # zero means "not chosen yet" in a header
