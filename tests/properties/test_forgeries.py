"""
Copies of real messages with one bit changed, that arrive just before the real one.

Whoever can do that knows the cookies and is faster than the peer.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.trial.unittest import SynchronousTestCase

from isakmp.events import MessageDropped
from isakmp.exchange.conversation import Conversation
from isakmp.ike.protection import Phase1Protection
from isakmp.ike.sa import ISAKMPSA
from isakmp.paths import Datagram
from isakmp.registry import SARegistry
from isakmp.testing import settle
from isakmp.wire.message import Header
from tests.nodes import (
    Member,
    Pair,
    Settings,
    assert_clean,
    disagreements,
    pair,
    unfinished,
)
from tests.properties.wiretap import (
    COOKIES,
    Wiretap,
    copies,
    flipped,
    forged,
    one_copy,
    race,
    replace_with,
)

PLACES = 64
BLOCK = 16
COMMIT = 8 * 19 + 6
"""Which bit of a message that is: RFC 2408 section 3.1."""

SEALED = ("Main 5", "Main 6", "Quick 1", "Quick 2", "Quick 3")
CLEAR = ("Main 1", "Main 2", "Main 3", "Main 4")


@dataclass(frozen=True, slots=True)
class Spent:
    """
    What a node has used up.

    :ivar message_ids: how many, under its one ISAKMP SA.
    :ivar datagrams: how many it has sent.
    """

    message_ids: int
    datagrams: int


def spent(both: Pair, member: Member) -> Spent:
    registry = member.registry
    assert isinstance(registry, SARegistry)
    (sa,) = member.sas
    return Spent(len(registry._entries[sa.key].used), len(both.sent_by(member)))


def iv_of(conversation: Conversation) -> bytes:
    protection = conversation.protection
    assert isinstance(protection, Phase1Protection)
    return protection.iv


class SealedTests(SynchronousTestCase):
    """Once there are keys a forgery never wins."""

    def check(self, both: Pair, tap: Wiretap, where: str) -> None:
        """It came up, and every chain of ciphertext goes on from the last real block."""
        self.assertEqual(disagreements(both.a, both.b), [], where)
        self.assertEqual(len(both.b.bundles), 1, where)
        self.assertEqual(both.a.failures + both.b.failures, [], where)
        for member in (both.a, both.b):
            (sa,) = member.sas
            assert isinstance(sa, ISAKMPSA)
            self.assertEqual(sa.last_block, tap.first["Main 6"].octets[-BLOCK:], where)
        quick = tap.first["Quick 3"].octets
        number = Header.decode(quick).message_id
        (lingering,) = (
            c for c in both.a.demultiplexer.conversations if c.message_id == number
        )
        self.assertEqual(iv_of(lingering), quick[-BLOCK:], where)

    def test_one_bit(self) -> None:
        """
        A copy of any sealed message with any one bit changed, in the header or behind it, that
        arrives before the real one: the same SAs come up with the same chains, as many message ids
        are used, and at most one datagram more is sent.  If it is the Commit bit, that takes the
        time of grace.
        """
        plain = pair(seed=1)
        plain.up()
        without = {member.address: spent(plain, member) for member in (plain.a, plain.b)}
        for name in SEALED:
            for place in range(PLACES):
                both = pair(seed=1)
                tap = race(both, one_copy(place, PLACES), name)
                both.up()
                both.wait(both.settings.limits.grace)
                where = f"{name}, place {place}"
                self.check(both, tap, where)
                more = 0
                for member in (both.a, both.b):
                    now, then = spent(both, member), without[member.address]
                    self.assertEqual(now.message_ids, then.message_ids, where)
                    more += now.datagrams - then.datagrams
                self.assertIn(more, (0, 1), where)

    def test_many(self) -> None:
        """So many of them before each message at once, perfect forward secrecy included."""
        for name in SEALED:
            both = pair(Settings(child_suite="aes128-sha256-curve25519"))
            tap = race(both, lambda datagram: copies(datagram, 200), name)
            both.up()
            self.check(both, tap, name)

    def test_before_every_message(self) -> None:
        """
        One before each sealed message of one attempt; if it is the Commit bit, the time of grace
        goes by.
        """
        for place in range(0, PLACES, 4):
            both = pair()
            tap = race(both, one_copy(place, PLACES), *SEALED)
            both.up()
            both.wait(both.settings.limits.grace)
            self.check(both, tap, f"place {place}")

    def test_only_forgeries(self) -> None:
        """
        Where only the copies arrive, nothing is spent on them: no exchange is begun, no message id
        used, nothing sent; when the real message is sent again, it is taken.
        """
        both = pair()
        settle(both.clock, both.a.establish())
        both.wait(1.0)
        before = spent(both, both.b)
        tap = replace_with(both, "Quick 1", lambda datagram: copies(datagram, PLACES))
        again = both.a.establish()
        both.wait(0.5)
        self.assertEqual(spent(both, both.b), before)
        self.assertEqual(unfinished(both.b), [])
        self.assertEqual(len(both.b.published(MessageDropped)), PLACES)
        tap.remove()
        settle(both.clock, again, 3.0)
        both.wait(0.1)
        self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual(len(both.b.bundles), 2)

    def test_delete(self) -> None:
        """
        A changed Delete deletes nothing and costs nothing, whichever bit it is, except the Commit
        bit, which says nothing about it; the real one deletes.

        Proves: RFC 2408 section 5.15 (row 5.15-1)
        Proves: RFC 2408 section 5.15 (row 5.15-5)
        Proves: RFC 2408 section 5.15 (row 5.15-6)
        """
        both = pair()
        both.up()
        before = spent(both, both.b)
        arrived: list[Datagram] = []

        def hold(datagram: Datagram) -> list[Datagram]:
            arrived.append(datagram)
            bits = range(8 * COOKIES, 8 * len(datagram.octets))
            changed = (flipped(datagram.octets, bit) for bit in bits if bit != COMMIT)
            return [forged(datagram, octets) for octets in changed]

        replace_with(both, "Informational", hold)
        both.a.endpoint.delete(both.a.bundles)
        both.wait(1.0)
        self.assertEqual(spent(both, both.b), before)
        self.assertEqual((len(both.b.bundles), both.b.removals), (1, []))
        (real,) = arrived
        both.network.inject(real)
        both.wait(1.0)
        self.assertEqual(both.b.bundles, [])
        self.assertEqual(disagreements(both.a, both.b), [])


class ClearTests(SynchronousTestCase):
    """Before there are keys a forgery may win, but it does no lasting harm."""

    def test_one_bit(self) -> None:
        """
        A changed copy before one of the first four messages: the child comes up, or both ends give
        up in their time, say why, and keep nothing; and the next attempt succeeds.
        """
        for name in CLEAR:
            for place in range(PLACES):
                both = pair(seed=2)
                tap = race(both, one_copy(place, PLACES), name)
                results: list[object] = []
                both.a.establish().addBoth(results.append)
                both.wait(both.settings.intervals.total + both.settings.limits.grace + 1.0)
                where = f"{name}, place {place}"
                self.assertEqual(len(results), 1, where)
                failures = both.a.failures + both.b.failures
                if isinstance(results[0], tuple):
                    self.assertEqual(failures, [], where)
                else:
                    self.assertTrue(failures, where)
                    self.assertTrue(all(str(failure.reason) for failure in failures), where)
                    both.wait(both.quiet)
                    self.assertEqual(unfinished(both.a, both.b), [], where)
                    tap.remove()
                    both.up()
                self.assertEqual(disagreements(both.a, both.b), [], where)
                both.a.endpoint.close()
                both.wait(both.quiet)
                assert_clean(self, both.a, both.b)

    def test_refused_at_once(self) -> None:
        """
        What cannot be taken is dropped, and the real message behind it is: one that is malformed,
        of another exchange type, sealed, of another version, or without what it needs.
        """
        for name in CLEAR:
            for octet, value in ((16, 0), (17, 0x20), (17, 0x11), (18, 4), (19, 1), (19, 0x80)):
                both = pair()

                def forge(
                    datagram: Datagram, octet: int = octet, value: int = value
                ) -> list[Datagram]:
                    octets = bytearray(datagram.octets)
                    octets[octet] = value
                    return [Datagram(bytes(octets), datagram.path)]

                race(both, forge, name)
                both.up()
                self.assertEqual(disagreements(both.a, both.b), [])
                self.assertEqual(len(both.b.bundles), 1)
