"""
AH and ESP together: one suite, one bundle, whole or not at all; and the life of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from isakmp.associations import SABundle, Transform
from isakmp.doi.ipsec import ipsec
from isakmp.events import (
    Established,
    ExchangeFailed,
    MessageReceived,
    Removal,
    Removed,
)
from isakmp.exchange.phase1 import offer_of
from isakmp.interfaces import ISASink
from isakmp.numbers import ProtocolID
from isakmp.sinks.memory import RecordingSink
from isakmp.testing import settle
from isakmp.wire.payloads import Delete, SecurityAssociation
from tests import nodes
from tests.ike.ends import between
from tests.nodes import Member, Pair, assert_clean

AH, ESP = int(ProtocolID.AH), int(ProtocolID.ESP)
SUITE = "esp=aes128-sha256+ah=sha256"


@implementer(ISASink)
class Records(RecordingSink):
    """A sink that takes AH too, and protects nothing."""

    name = "records"
    protects = False

    def supports(self, doi: int, protocol: int, transform: Transform) -> bool:
        """Everything of AH and ESP."""
        return protocol in (AH, ESP)


class Broken(Exception):
    """A sink that does not work."""


def failing(*which: int) -> Callable[[SABundle], None]:
    """Refuses these installations, counted from 0."""
    count = iter(range(1000))

    def refuse(bundle: SABundle) -> None:
        if next(count) in which:
            raise Broken

    return refuse


class WholeTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(nodes, "MemorySink", Records)

    def up(self) -> Pair:
        """Both ends have the child."""
        both = between(SUITE)
        both.up()
        return both


class WholeTests(WholeTestCase):
    def test_one_bundle(self) -> None:
        """
        A suite of two protocols becomes one bundle at each end: registered and installed at once,
        found by the SPI of each of its SAs, with keys that are equal crosswise.

        Proves: RFC 2408 section 4.2
        Proves: RFC 2408 section 2.4
        """
        both = self.up()
        (ours,), (theirs,) = both.a.bundles, both.b.bundles
        for member, bundle in ((both.a, ours), (both.b, theirs)):
            self.assertEqual(
                [[sa.key.protocol for sa in side] for side in (bundle.inbound, bundle.outbound)],
                [[ESP, AH], [ESP, AH]],
            )
            self.assertEqual([*member.sink.standing.values()], [bundle])
            self.assertEqual(member.sink.reserved, frozenset())
            for sa in (*bundle.inbound, *bundle.outbound):
                self.assertIs(member.registry.find(sa.key), bundle)
            events = [e.sa for e in member.published(Established)]
            self.assertEqual(events[1:], [bundle])
        for out, into in ((ours.outbound, theirs.inbound), (theirs.outbound, ours.inbound)):
            self.assertEqual(
                [(sa.key, dict(sa.keys)) for sa in out], [(sa.key, dict(sa.keys)) for sa in into]
            )

    def test_numbers(self) -> None:
        """
        The answer has the numbers of the offer, and other SPIs.

        Proves: RFC 2408 section 4.2
        """
        both = self.up()
        offers = []
        for member in (both.b, both.a):
            heard = [event.message for event in member.published(MessageReceived)]
            payloads = [p for m in heard if m.message_id for p in m.all(SecurityAssociation)]
            (offer,) = (offer_of(ipsec, payload) for payload in payloads)
            offers.append([p for suite in offer.suites for p in suite.proposals])
        asked, answered = offers
        blank = [replace(p, spi=b"") for p in asked]
        self.assertEqual([replace(p, spi=b"") for p in answered], blank)
        self.assertEqual(len({p.spi for p in (*asked, *answered)}), 4)

    def test_not_at_all(self) -> None:
        """
        A sink that fails at any step leaves nothing of the bundle: not installed, not registered,
        no SPI reserved, at neither end; another attempt then has it whole.
        """
        for end, which in (("a", 0), ("b", 0), ("b", 1)):
            both = between(SUITE)
            failing_end: Member = getattr(both, end)
            failing_end.sink.refuse = failing(which)
            attempt = both.a.establish()
            outcome: list[object] = []
            attempt.addBoth(outcome.append)
            both.wait(both.quiet)
            self.flushLoggedErrors(Broken)
            for member in (both.a, both.b):
                self.assertEqual(member.bundles, [], (end, which))
                self.assertEqual(dict(member.sink.standing), {}, (end, which))
                self.assertEqual(member.sink.reserved, frozenset(), (end, which))
            both.up()
            self.assertEqual((len(both.a.bundles), len(both.b.bundles)), (1, 1))


class LifeTests(WholeTestCase):
    """RFC 2408 section 4.3 and 5.15, of a bundle of two protocols."""

    def test_delete(self) -> None:
        """
        A Delete goes out for each protocol; the first takes the peer's bundle away as a whole, and
        the second finds nothing, which is no fault.

        Proves: RFC 2408 section 3.15
        Proves: RFC 2408 section 5.15
        """
        both = self.up()
        (ours,) = both.a.bundles
        both.a.endpoint.delete([ours])
        both.wait(0.5)
        said = [
            (p.protocol, p.spis)
            for e in both.b.published(MessageReceived)
            for p in e.message.all(Delete)
        ]
        self.assertEqual(said, [(sa.key.protocol, (sa.key.spi,)) for sa in ours.inbound])
        self.assertEqual((both.a.bundles, both.b.bundles), ([], []))
        self.assertEqual(both.a.removals, [Removal.DELETED])
        self.assertEqual(both.b.removals, [Removal.DELETED_BY_PEER])
        self.assertEqual(both.b.published(ExchangeFailed), [])

    def test_many_spis(self) -> None:
        """
        One Delete may name many SAs: each of the peer's own goes, with an event of its own; one
        that names none is passed over.

        Proves: RFC 2408 section 3.15
        """
        both = between(SUITE)
        for _ in range(3):
            both.up()
        self.assertEqual(len(both.b.bundles), 3)
        (sa,) = both.a.sas
        spis = tuple(bundle.inbound[1].key.spi for bundle in both.a.bundles)
        delete = Delete(sa.doi, AH, (*spis[:2], b"\xfe\xfe\xfe\xfe", *spis[2:]))
        both.a.endpoint.begin(sa, 5, (delete,))
        both.wait(0.5)
        self.assertEqual((both.b.bundles, dict(both.b.sink.standing)), ([], {}))
        self.assertEqual(both.b.removals, [Removal.DELETED_BY_PEER] * 3)
        self.assertEqual(len({e.sa.key for e in both.b.published(Removed)}), 3)

    def test_expiry(self) -> None:
        """It expires as a whole, at both ends, and each says so."""
        both = self.up()
        both.wait(both.settings.child_seconds)
        for member in (both.a, both.b):
            self.assertEqual(member.bundles, [])
            self.assertEqual(dict(member.sink.standing), {})
            (event, *_) = member.published(Removed)
            self.assertEqual(event.why, Removal.EXPIRED)

    def test_modified(self) -> None:
        """
        It is modified by a new one, beside which the old stays until it is deleted; traffic always
        has one.

        Proves: RFC 2408 section 4.3
        """
        both = self.up()
        (old,) = both.a.bundles
        (new,) = settle(both.clock, both.a.establish())
        both.wait(0.5)
        self.assertEqual(both.a.bundles, [old, new])
        self.assertEqual(len(both.b.bundles), 2)
        self.assertEqual({sa.key for sa in old.inbound} & {sa.key for sa in new.inbound}, set())
        both.a.endpoint.delete([old], Removal.REPLACED)
        both.wait(0.5)
        self.assertEqual(both.a.bundles, [new])
        (theirs,) = both.b.bundles
        self.assertEqual(
            {sa.key for sa in theirs.outbound}, {sa.key for sa in new.inbound}
        )
        self.assertEqual(both.a.removals, [Removal.REPLACED])

    def test_nothing_left(self) -> None:
        """In the end nothing of it stays anywhere."""
        both = self.up()
        both.a.endpoint.delete(list(both.a.registry))
        both.wait(both.quiet)
        assert_clean(self, both.a, both.b)
