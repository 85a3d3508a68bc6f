"""
SPIs and sinks: what is reserved is used or given back, and what fails halfway leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import SABundle, Transform
from isakmp.errors import LimitReached, PeerError
from isakmp.events import Removal, SPIReleased
from isakmp.numbers import DOI, ProtocolID
from isakmp.sinks.memory import MemorySink, SPIs
from isakmp.testing import settle
from tests.ike.ends import between, child, established, refused, two, with_children
from tests.nodes import Member, Pair, assert_clean, disagreements, left_over

HERE, THERE = "10.1.0.0/24", "10.2.0.0/24"
CONFIRMATION = 28 + 48
"""Octets of Quick Mode's third message: header, HASH payload and padding."""


class SinkError(Exception):
    """A kernel that says no."""


def same(octets: int) -> bytes:
    """Entropy that is the same at both ends."""
    return (7).to_bytes(octets)


def with_same_spis(pair: Pair) -> Pair:
    """Both ends' sinks hand out the same SPIs: 263, 264 and so on."""
    for member in (pair.a, pair.b):
        member.sink._spis = SPIs(same)
    return pair


def inbound(member: Member) -> list[int]:
    """What a node receives by, in order."""
    return sorted(
        int.from_bytes(one.key.spi) for bundle in member.bundles for one in bundle.inbound
    )


class SPITests(SynchronousTestCase):
    """Which SPIs there are."""

    def test_equal(self) -> None:
        """
        Where both sinks hand out the same SPI the responder takes another: equal SPIs would give
        equal keys in both directions.

        Proves: RFC 2409 section 5.5
        """
        pair = with_same_spis(between("aes128gcm16"))
        (bundle,) = established(pair)
        self.assertEqual((inbound(pair.a), inbound(pair.b)), ([263], [264]))
        self.assertNotEqual(bundle.inbound[0].keys, bundle.outbound[0].keys)
        self.assertEqual(disagreements(pair.a, pair.b), [])

    def test_equal_of_many(self) -> None:
        """
        Of several SAs in one exchange no two have the same SPI, in whatever direction.

        Proves: RFC 2409 section 5.5
        """
        names = ("x", "y", "z")
        children = [child(HERE, THERE, "aes128gcm16", name=name) for name in names]
        pair = with_same_spis(
            two(with_children(*children), with_children(child(THERE, HERE, "aes128gcm16")))
        )
        bundles = established(pair, *names)
        self.assertEqual(inbound(pair.a), [263, 264, 265])
        self.assertEqual(inbound(pair.b), [266, 267, 268])
        keys = {one.keys["encryption"] for b in bundles for one in (*b.inbound, *b.outbound)}
        self.assertEqual(len(keys), 6)
        self.assertEqual(disagreements(pair.a, pair.b), [])
        released = [int.from_bytes(event.key.spi) for event in pair.b.published(SPIReleased)]
        self.assertEqual(sorted(released), [263, 263, 264, 264, 265, 265])  # passed over, not lost

    def test_given_back_once(self) -> None:
        """
        An SPI that was passed over, or not chosen, is given back once: whoever has got it since
        keeps it, also if the exchange fails later.
        """
        names = ("x", "y")
        children = [child(HERE, THERE, "aes128gcm16", name=name) for name in names]
        pair = with_same_spis(
            two(with_children(*children), with_children(child(THERE, HERE, "aes128gcm16")))
        )
        pair.network.taps.append(lambda d: () if len(d.octets) == CONFIRMATION else None)
        established(pair, *names)
        path = pair.b.path_to(pair.a.address)
        spi = self.successResultOf(pair.b.sink.reserve_spi(DOI.IPSEC, ProtocolID.ESP, path))
        passed_over = {event.key.spi for event in pair.b.published(SPIReleased)}
        self.assertIn(spi, passed_over)
        pair.wait(pair.settings.intervals.total)
        self.assertEqual(pair.b.bundles, [])
        self.assertEqual({key.spi for key in pair.b.sink.reserved}, {spi})

        pair = self.with_ah(("ah=sha256", "aes128-sha256"), ("aes128-sha256",))
        path = pair.a.path_to(pair.b.address)
        reserved: list[bytes] = []

        def refuse(bundle: SABundle) -> None:
            for event in pair.a.published(SPIReleased):
                reserved.append(event.key.spi)
            raise SinkError(bundle.name)

        pair.a.sink.refuse = refuse
        refused(self, pair, SinkError)  # type: ignore[arg-type]
        self.assertEqual(reserved, [])  # what is not needed is given back when all else is done
        self.assertEqual(len(self.flushLoggedErrors(SinkError)), 1)

    def test_only_the_peers(self) -> None:
        """A sink that has no SPI but the peer's makes the exchange fail, and that soon."""
        pair = between("aes128-sha256")

        def reflect(doi: int, protocol: int, path: object, avoid: bytes = b"") -> Deferred[bytes]:
            return succeed(avoid)

        self.patch(pair.b.sink, "reserve_spi", reflect)
        refused(self, pair, PeerError)
        self.assertIsInstance(pair.b.failures[0], LimitReached)
        self.assertIn("the sink has no SPI but the peer's own", str(pair.b.failures[0]))

    def test_unused(self) -> None:
        """
        What was reserved for a protocol that was not chosen is given back, and that is told; one
        SPI was offered for it, in whatever alternatives it stood.
        """
        pair = self.with_ah(
            ("ah=sha256", "esp=aes128-sha256+ah=sha256", "aes128-sha256"), ("aes128-sha256",)
        )
        established(pair)
        (released,) = pair.a.published(SPIReleased)
        self.assertEqual(released.key.protocol, ProtocolID.AH)
        self.assertEqual(pair.a.sink.reserved, frozenset())
        self.assertEqual(pair.b.published(SPIReleased), [])
        self.assertEqual(disagreements(pair.a, pair.b), [])

    def test_both_protocols(self) -> None:
        """
        ESP and AH together become one bundle of two SAs in each direction, with SPIs and keys of
        their own, although the SPIs may be equal.

        Proves: RFC 2408 section 4.2
        Proves: RFC 2409 section 5.5
        """
        pair = with_same_spis(self.with_ah(("esp=aes128-sha256+ah=sha256",)))
        (bundle,) = established(pair)
        self.assertEqual(inbound(pair.a), [263, 263])
        self.assertEqual(inbound(pair.b), [264, 264])
        protocols = [one.key.protocol for one in (*bundle.inbound, *bundle.outbound)]
        self.assertEqual(protocols, [ProtocolID.ESP, ProtocolID.AH] * 2)
        esp, ah = bundle.inbound
        self.assertNotEqual(esp.keys["integrity"], ah.keys["integrity"])
        self.assertEqual(disagreements(pair.a, pair.b), [])

    def with_ah(self, hers: tuple[str, ...], his: tuple[str, ...] = ()) -> Pair:
        """Two ends whose sinks keep AH too."""
        supports = MemorySink.supports

        def more(sink: MemorySink, doi: int, protocol: int, transform: Transform) -> bool:
            ah = (doi, protocol) == (DOI.IPSEC, ProtocolID.AH)
            return ah or supports(sink, doi, protocol, transform)

        self.patch(MemorySink, "supports", more)
        return between(*hers, his=his)


class FailureTests(SynchronousTestCase):
    """What goes wrong halfway."""

    def pair(self) -> Pair:
        """With a group, so that there is everything to be undone; phase 1 is over."""
        pair = between("aes128-sha256-curve25519")
        ready = established(pair)
        settle(pair.clock, pair.a.endpoint.delete(ready))
        pair.wait(1)
        self.assertEqual((pair.a.bundles, pair.b.bundles), ([], []))
        return pair

    def fails(self, pair: Pair, kind: type[Exception]) -> None:
        """The child cannot be had, and neither end keeps anything of it."""
        refused(self, pair, kind)  # type: ignore[arg-type]
        self.assertEqual((len(pair.a.sas), len(pair.b.sas)), (1, 1))

    def then_it_works(self, pair: Pair) -> None:
        """Once the fault is gone the same child can be had; and in the end nothing is left."""
        established(pair)
        self.assertEqual(disagreements(pair.a, pair.b), [])
        settle(pair.clock, pair.a.endpoint.close())
        settle(pair.clock, pair.b.endpoint.close())
        pair.wait(pair.quiet)
        assert_clean(self, pair.a, pair.b)

    def refusing(self, member: Member, *which: int) -> Callable[[SABundle], object]:
        """A sink that refuses these of its installations, counted from 0."""
        count = iter(range(1000))

        def refuse(bundle: SABundle) -> None:
            if next(count) in which:
                raise SinkError(bundle.name)

        return refuse

    def test_initiators_sink(self) -> None:
        """
        If the initiator cannot install, nothing stays; the responder, whom no HASH(3) reaches,
        takes back what it installed to receive by.
        """
        pair = self.pair()
        pair.a.sink.refuse = self.refusing(pair.a, 0)
        self.fails(pair, SinkError)
        self.assertEqual(len(self.flushLoggedErrors(SinkError)), 1)
        self.then_it_works(pair)

    def test_responders_inbound(self) -> None:
        """If the responder cannot install what it receives by, it does not answer."""
        pair = self.pair()
        pair.b.sink.refuse = self.refusing(pair.b, 0)
        refused(self, pair, PeerError)
        self.assertEqual(len(self.flushLoggedErrors(SinkError)), 1)
        self.then_it_works(pair)

    def test_responders_outbound(self) -> None:
        """
        If the responder cannot install the rest when it is confirmed, it takes all back and tells
        the peer, who believed in it.
        """
        pair = self.pair()
        pair.b.sink.refuse = self.refusing(pair.b, 1)
        established(pair)
        self.assertEqual(len(self.flushLoggedErrors(SinkError)), 1)
        self.assertEqual((pair.a.bundles, pair.b.bundles), ([], []))
        self.assertEqual((dict(pair.a.sink.standing), dict(pair.b.sink.standing)), ({}, {}))
        self.assertEqual(pair.a.removals[-1], Removal.DELETED_BY_PEER)
        self.then_it_works(pair)

    def test_second_of_two(self) -> None:
        """If the second of two SAs cannot be installed, the first does not stay either."""
        for end in "ab":
            pair = two(
                with_children(child(HERE, THERE, name="x"), child(HERE, THERE, name="y")),
                with_children(child(THERE, HERE)),
            )
            member: Member = getattr(pair, end)
            member.sink.refuse = self.refusing(member, 1)
            refused(self, pair, Exception, "x", "y")  # type: ignore[arg-type]
            self.assertEqual(len(self.flushLoggedErrors(SinkError)), 1)

    def test_registry(self) -> None:
        """If an end cannot register, nothing stays at either."""
        for end, how in (("a", "fail"), ("a", "raise"), ("b", "fail"), ("b", "raise")):
            pair = self.pair()
            member: Member = getattr(pair, end)
            add = member.registry.add

            def failing(sa: Any, expiry: Any, how: str = how) -> Deferred[None]:
                if how == "raise":
                    raise SinkError("a name is taken")
                return fail(SinkError("the disk is full"))

            self.patch(member.registry, "add", failing)
            if end == "a":
                self.fails(pair, SinkError)
            else:
                established(pair)
                self.assertEqual((pair.a.bundles, pair.b.bundles), ([], []))
                for one in (pair.a, pair.b):
                    self.assertEqual(dict(one.sink.standing), {})
                    self.assertEqual(one.sink.reserved, frozenset())
            self.assertEqual(len(self.flushLoggedErrors(SinkError)), 1)
            self.patch(member.registry, "add", add)
            self.then_it_works(pair)

    def test_no_spi(self) -> None:
        """If a sink has no SPI left the exchange fails, and that is no fault of the program."""
        for end in "ab":
            pair = self.pair()
            member: Member = getattr(pair, end)

            def none(*arguments: object) -> Deferred[bytes]:
                return fail(LimitReached("no SPI of protocol 3 is free"))

            before = member.sink.reserve_spi
            self.patch(member.sink, "reserve_spi", none)
            refused(self, pair, PeerError)
            self.assertIn("no SPI of protocol 3 is free", str(member.failures[-1]))
            self.patch(member.sink, "reserve_spi", before)
            if end == "a":
                self.then_it_works(pair)

    def test_cannot_undo(self) -> None:
        """What cannot be undone is logged, and the rest is undone all the same."""
        pair = self.pair()
        pair.a.sink.refuse = self.refusing(pair.a, 0)

        def remove(bundle: SABundle) -> Deferred[None]:
            return fail(SinkError("still there"))

        self.patch(pair.a.sink, "remove", remove)
        self.fails(pair, SinkError)
        self.assertEqual(len(self.flushLoggedErrors(SinkError)), 2)

    def test_slow(self) -> None:
        """A sink may take its time."""
        pair = self.pair()
        for member in (pair.a, pair.b):
            self.slow(pair, member, 0.3)
        begun = pair.a.establish()
        settle(pair.clock, begun)
        pair.wait(2)
        self.assertEqual(disagreements(pair.a, pair.b), [])

    def slow(self, pair: Pair, member: Member, seconds: float) -> None:
        """From now on a sink does all that it does so much later."""
        for name in ("reserve_spi", "install", "remove", "release_spi"):
            real = getattr(member.sink, name)

            def later(*arguments: object, real: Callable[..., Any] = real) -> Deferred[Any]:
                return deferLater(pair.clock, seconds, real, *arguments)

            self.patch(member.sink, name, later)

    def test_closed_halfway(self) -> None:
        """
        A node that is closed while its sink is at work leaves nothing behind, whenever that is.
        """
        for number in range(1, 28):
            pair = self.pair()
            for member in (pair.a, pair.b):
                self.slow(pair, member, 0.1)
            begun = pair.a.establish()
            begun.addErrback(lambda _: None)
            pair.wait(number * 0.05)
            closing = [pair.a.endpoint.close(), pair.b.endpoint.close()]
            pair.wait(pair.quiet)
            for closed in closing:
                self.successResultOf(closed)
            self.assertEqual(left_over(pair.a, pair.b), [], number)

    def test_lost_confirmation(self) -> None:
        """
        A responder that is never confirmed takes back what it installed, and tells the peer.
        """
        pair = self.pair()
        pair.network.taps.append(lambda d: () if len(d.octets) == CONFIRMATION else None)
        (bundle,) = settle(pair.clock, pair.a.establish())
        pair.wait(0.5)
        self.assertEqual(pair.a.bundles, [bundle])
        (half,) = pair.b.sink.standing.values()
        self.assertEqual((len(half.inbound), len(half.outbound)), (1, 0))
        pair.wait(pair.settings.intervals.total)
        self.assertEqual((pair.a.bundles, pair.b.bundles), ([], []))
        self.assertEqual(pair.a.removals[-1], Removal.DELETED_BY_PEER)
        for member in (pair.a, pair.b):
            self.assertEqual(dict(member.sink.standing), {})
            self.assertEqual(member.sink.reserved, frozenset())
