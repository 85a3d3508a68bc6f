"""
The anti-clogging tokens.
"""

from __future__ import annotations

import hashlib
import timeit
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.crypto.groups import GROUPS
from isakmp.exchange import cookies
from isakmp.exchange.cookies import Cookies
from isakmp.interfaces import ICookies
from isakmp.numbers import Group
from isakmp.paths import Path
from isakmp.testing import FixedEntropy

PATH = Path(("192.0.2.1", 500), ("192.0.2.2", 500))
INITIATOR = bytes(range(8))


class CookieTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.cookies = Cookies(FixedEntropy(1), self.clock, window=60.0)

    def test_interface(self) -> None:
        """They are what a responder expects."""
        verifyObject(ICookies, self.cookies)

    def test_function(self) -> None:
        """
        The responder's cookie is a function: a first message that is repeated gets the same answer,
        and nothing was remembered for that.

        Proves: RFC 2408 section 2.5.3
        """
        made = self.cookies.responder(PATH, INITIATOR, b"message")
        self.assertEqual(len(made), 8)
        before = dict(vars(self.cookies))
        self.clock.advance(59)
        self.assertEqual(self.cookies.responder(PATH, INITIATOR, b"message"), made)
        self.assertEqual(vars(self.cookies), before)

    def test_parties(self) -> None:
        """
        Another address or port at either end, another initiator's cookie or message: another
        cookie.  One that was got at a real address is of no use with invented ones.

        Proves: RFC 2408 section 2.5.3 (row 2.5.3-1)
        """
        asked = [
            (PATH, INITIATOR, b"message"),
            (PATH.reversed(), INITIATOR, b"message"),
            (Path(("192.0.2.1", 4500), PATH.remote), INITIATOR, b"message"),
            (Path(PATH.local, ("192.0.2.2", 501)), INITIATOR, b"message"),
            (Path(PATH.local, ("192.0.2.3", 500)), INITIATOR, b"message"),
            (Path(("192.0.2.3", 500), PATH.remote), INITIATOR, b"message"),
            (Path(PATH.local, ("2001:db8::1", 500)), INITIATOR, b"message"),
            (PATH, bytes(8), b"message"),
            (PATH, INITIATOR, b"messagf"),
            (PATH, INITIATOR, b""),
            (PATH, INITIATOR + b"m", b"essage"),
            # Each two would be the same octets if hosts were only written one after another:
            (Path(("192.0.2.11", 500), ("92.0.2.2", 500)), INITIATOR, b"message"),
            (Path(("a", 1), ("b\0\0\0\3c", 2)), INITIATOR, b"message"),
            (Path(("a\0\0\0\2b", 1), ("c", 3)), INITIATOR, b"message"),
            (Path(("a", 1), ("b\0\1\0\3c", 2)), INITIATOR, b"message"),
            (Path(("a\0\6\0\2b", 1), ("c", 3)), INITIATOR, b"message"),
        ]
        made = [self.cookies.responder(*each) for each in asked]
        self.assertEqual(len(set(made)), len(asked))

    @given(
        st.tuples(st.text(max_size=5), st.integers(0, 65535)),
        st.tuples(st.text(max_size=5), st.integers(0, 65535)),
        st.tuples(st.text(max_size=5), st.integers(0, 65535)),
        st.tuples(st.text(max_size=5), st.integers(0, 65535)),
    )
    def test_no_two_paths(
        self,
        a: tuple[str, int],
        b: tuple[str, int],
        c: tuple[str, int],
        d: tuple[str, int],
    ) -> None:
        """However hosts are spelled, two different paths never share a cookie."""
        one, other = Path(a, b), Path(c, d)
        same = self.cookies.responder(one, INITIATOR, b"") == self.cookies.responder(
            other, INITIATOR, b""
        )
        self.assertEqual(same, one == other)

    def test_secret(self) -> None:
        """
        Nobody else can make our cookies: another secret, other cookies for the same stranger.

        Proves: RFC 2408 section 2.5.3 (row 2.5.3-2)
        """
        other = Cookies(FixedEntropy(2), self.clock, window=60.0)
        self.assertNotEqual(
            self.cookies.responder(PATH, INITIATOR, b"message"),
            other.responder(PATH, INITIATOR, b"message"),
        )
        asked: list[int] = []

        def entropy(n: int) -> bytes:
            asked.append(n)
            return bytes(n)

        Cookies(entropy, self.clock)
        self.assertEqual(sum(asked), 64)

    def test_fast(self) -> None:
        """
        A cookie costs less than a tenth of what it guards, the key pair of a Diffie-Hellman group.

        Proves: RFC 2408 section 2.5.3 (row 2.5.3-3)
        """
        group = GROUPS[Group.MODP_4096]

        def seconds(call: Callable[[], object]) -> float:
            return min(timeit.repeat(call, number=1, repeat=20))

        guarded = seconds(group.generate)
        cookie = seconds(lambda: self.cookies.responder(PATH, INITIATOR, bytes(500)))
        self.assertLess(cookie, guarded / 10)

    def test_time(self) -> None:
        """
        The time is part of a cookie: the next window has others, so an old one is worth nothing.

        Proves: RFC 2408 section 2.5.3 (row 2.5.3-4)
        """
        made = {self.cookies.responder(PATH, INITIATOR, b"message")}
        for _ in range(3):
            self.clock.advance(60)
            made.add(self.cookies.responder(PATH, INITIATOR, b"message"))
        self.assertEqual(len(made), 4)

    def test_initiator(self) -> None:
        """
        Every SA that we begin has a cookie of its own, even with the same peer at the same moment,
        and after a clock that was set back.

        Proves: RFC 2408 section 2.5.3 (row 2.5.3-4)
        """
        made = [self.cookies.initiator(PATH) for _ in range(500)]
        self.clock.advance(10)
        made += [self.cookies.initiator(PATH) for _ in range(500)]
        self.clock.rightNow = 0.0
        made += [self.cookies.initiator(PATH) for _ in range(500)]
        self.assertEqual(len(set(made)), 1500)
        self.assertEqual({len(cookie) for cookie in made}, {8})
        self.assertNotIn(self.cookies.responder(PATH, INITIATOR, b""), made)

    def test_two_lives(self) -> None:
        """Two nodes do not use the same initiator's cookies."""
        other = Cookies(FixedEntropy(2), self.clock)
        self.assertNotEqual(self.cookies.initiator(PATH), other.initiator(PATH))

    def test_never_zero(self) -> None:
        """
        Zero means "not chosen yet" in a header: if the hash should be that, there is another.

        Proves: RFC 2408 section 3.1
        """
        zeros = [True, True, False]

        class Hash:
            MAX_KEY_SIZE = 64

            def __init__(self, octets: bytes, **settings: Any) -> None:
                self.made = hashlib.blake2b(octets, **settings)
                self.cookie = bool(settings)

            def digest(self) -> bytes:
                return bytes(8) if self.cookie and zeros.pop(0) else self.made.digest()

        class Hashes:
            blake2b = Hash

        self.patch(cookies, "hashlib", Hashes)
        self.assertNotEqual(self.cookies.responder(PATH, INITIATOR, b"x"), bytes(8))
        self.assertEqual(zeros, [])

    def test_impossible_window(self) -> None:
        """A window of no time at all is a mistake, said at once."""
        for window in (0.0, -1.0, float("nan")):
            self.assertRaises(ValueError, Cookies, FixedEntropy(1), self.clock, window)
