"""SAs that follow their peer: what a sink says of a NAT's new mapping counts from then on."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred, fail
from twisted.logger import LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.associations import IPsecParameters, SABundle, SPIKey
from isakmp.events import PeerMoved, Removal
from isakmp.ike.sa import ISAKMPSA
from isakmp.interfaces import Expiry, IRelocating
from isakmp.paths import Address, Path
from isakmp.relocation import AT_MOST, place_of, relocated
from isakmp.sinks.memory import MemorySink
from tests.nodes import Pair, pair
from tests.samples import PEER, bundle, cookies, logged, protection_sa

PORT, ELSEWHERE = 500, "192.0.2.77"


def in_udp(one: SABundle, port: int = PORT) -> SABundle:
    """The same, its ESP in UDP between the ports of ISAKMP, as behind a NAT."""
    def ported(sa):  # type: ignore[no-untyped-def]
        return replace(sa, parameters=replace(sa.parameters, udp=(PORT, port)))

    return replace(
        one, inbound=tuple(map(ported, one.inbound)), outbound=tuple(map(ported, one.outbound))
    )


class RelocationTests(SynchronousTestCase):
    """
    Alice has children with Bob, in UDP, and her sink says that he is elsewhere.
    """

    def setUp(self) -> None:
        self.both: Pair = pair()
        self.both.up()
        self.alice = self.both.a
        self.at: Address = (self.both.b.address, PORT)
        self.set(in_udp(self.alice.bundles[0]))

    def set(self, new: SABundle) -> None:
        """Alice's child is like this."""
        (old,) = [one for one in self.alice.bundles if one.key == new.key]
        self.successResultOf(self.alice.sink.install(new))
        self.successResultOf(self.alice.registry.replace(old, new))

    def moved(self, *remote: str | int, key: SPIKey | None = None) -> None:
        """Her sink says so."""
        to: Address = (str(remote[0]), int(remote[1]))
        self.alice.node.events.publish(PeerMoved(key or self.alice.bundles[0].key, to))

    def stands_at(self, *place: Address) -> None:
        """Where the children are, in the registry and in the sink; with the same keys as before."""
        self.assertEqual([place_of(one) for one in self.alice.bundles], list(place))
        for one in self.alice.bundles:
            (installed,) = [b for b in self.alice.sink.standing.values() if b.name == one.name]
            self.assertEqual(installed, one)
            for sa in one.inbound:
                assert isinstance(sa.parameters, IPsecParameters)
                self.assertEqual(sa.parameters.udp, (PORT, place_of(one)[1]))  # type: ignore[index]

    def test_port(self) -> None:
        """
        Another port: its packets are expected from there and ours go there, and so does what is
        said to the peer afterwards.  It is one line of the log.

        Proves: RFC 3947 section 7
        """
        notes = logged(self)
        self.moved(self.at[0], 4501)
        self.stands_at((self.at[0], 4501))
        (line,) = [formatEvent(one) for one in notes if "moved" in one.get("log_format", "")]
        before, after = f"{self.at[0]}:500", f"{self.at[0]}:4501"
        self.assertEqual(
            line, f"lab: the peer has moved from {before} to {after}, as an SA of its proves"
        )
        self.assertEqual([sa.path.remote for sa in self.alice.sas], [(self.at[0], 4501)])
        self.both.wire.clear()
        self.alice.endpoint.delete(self.alice.bundles)
        self.assertEqual(
            [one.datagram.path.remote for one in self.both.wire], [(self.at[0], 4501)]
        )

    def test_address(self) -> None:
        """
        Another address: who receives by an SPI is its destination, so the SA has another name; it
        is still the same to whoever has known it, and ends as it would have.
        """
        old = self.alice.bundles[0]
        self.moved(ELSEWHERE, 4501)
        self.stands_at((ELSEWHERE, 4501))
        (now,) = self.alice.bundles
        self.assertEqual(now.outbound[0].key, old.outbound[0].key._replace(destination=ELSEWHERE))
        self.assertIs(self.alice.registry.find(now.outbound[0].key), now)
        self.assertIsNone(self.alice.registry.find(old.outbound[0].key))
        self.assertEqual(now.outbound[0].keys, old.outbound[0].keys)
        self.successResultOf(self.alice.registry.remove(old, Removal.DELETED))
        self.assertEqual(self.alice.bundles, [])

    def test_replayed(self) -> None:
        """
        A child that takes replayed packets, ``replay_window = 0``, stays where it is: whoever has
        recorded one packet could send it again from anywhere, and so have all that we send go
        there.  With sequence numbers of 64 bits replayed packets are refused in any case.
        """
        (one,) = self.alice.bundles
        handling = replace(one.policy.handling, replay_window=0)
        self.set(replace(one, policy=replace(one.policy, handling=handling)))
        self.moved(ELSEWHERE, 4501)
        self.stands_at(self.at)
        self.assertEqual([sa.path.remote for sa in self.alice.sas], [self.at])
        (one,) = self.alice.bundles
        extended = [
            replace(sa, parameters=replace(sa.parameters, extended=True))  # type: ignore[type-var]
            for sa in one.inbound
        ]
        self.set(replace(one, inbound=tuple(extended)))
        self.moved(ELSEWHERE, 4501)
        self.stands_at((ELSEWHERE, 4501))

    def test_taken(self) -> None:
        """
        Where somebody else receives by the same SPI already, as a peer may have it that chooses
        its SPI by what it has seen, nobody moves there: neither in the registry nor in the sink.
        """
        (mine,) = self.alice.bundles
        spi = int.from_bytes(mine.outbound[0].key.spi, "big")
        outbound = (protection_sa(spi, ELSEWHERE),)
        other = replace(bundle(0x9001, parent=cookies(9)), outbound=outbound)
        self.successResultOf(self.alice.registry.add(other, Expiry()))
        notes = logged(self)
        before = dict(self.alice.sink.standing)
        self.moved(ELSEWHERE, 4501, key=mine.key)
        self.assertEqual(dict(self.alice.sink.standing), before)
        self.assertEqual(self.alice.bundles, [mine, other])
        lines = [formatEvent(note) for note in notes if note["log_level"] is LogLevel.error]
        (line,) = lines
        self.assertRegex(line, r"its SA cannot follow the peer: SPI [0-9a-f]{8} is another SA's")

    def test_gone_meanwhile(self) -> None:
        """A child that goes while it moves is gone from the sink as well."""
        (one,) = self.alice.bundles
        slow: Deferred[None] = Deferred()
        install = self.alice.sink.install

        def later(there: SABundle) -> Deferred[None]:
            return slow.addCallback(lambda _: install(there))

        self.patch(self.alice.sink, "install", later)
        self.moved(ELSEWHERE, 4501)
        self.alice.endpoint.delete([one])
        self.both.wait(1.0)
        slow.callback(None)
        self.assertEqual(dict(self.alice.sink.standing), {})
        self.assertEqual(self.alice.bundles, [])

    def test_expiry(self) -> None:
        """One that has moved expires when it would have, and leaves nothing in the sink."""
        self.moved(ELSEWHERE, 4501)
        self.both.network.cut = True
        self.both.wait(self.both.expired + 60.0)
        self.assertNotIn(ELSEWHERE, {place_of(b)[0] for b in self.alice.bundles if place_of(b)})  # type: ignore[index]
        self.assertEqual(dict(self.alice.sink.standing), {})

    def test_siblings(self) -> None:
        """Other children that were at the same place go with it; one that was elsewhere stays."""
        self.alice.establish()
        self.both.wait(1.0)
        self.alice.establish()
        self.both.wait(1.0)
        _, same, other = self.alice.bundles
        self.set(in_udp(same))
        self.set(in_udp(other, 4999))
        self.moved(ELSEWHERE, 4501)
        self.stands_at((ELSEWHERE, 4501), (ELSEWHERE, 4501), (self.at[0], 4999))

    def test_not_with_it(self) -> None:
        """What is said to the peer by another port than its ESP does not go with it."""
        self.set(in_udp(self.alice.bundles[0], 4500))
        self.moved(self.at[0], 4501)
        self.stands_at((self.at[0], 4501))
        self.assertEqual([sa.path.remote for sa in self.alice.sas], [self.at])

    def test_too_often(self) -> None:
        """Whoever has it move ever again does so once in a second; then the latest counts."""
        notes = logged(self)
        for port in range(4501, 4601):
            self.moved(self.at[0], port)
        self.stands_at((self.at[0], 4501))
        self.both.wait(AT_MOST)
        self.moved(*self.at)
        self.stands_at(self.at)
        self.assertEqual(len([one for one in notes if "moved" in one.get("log_format", "")]), 2)

    def test_nothing(self) -> None:
        """
        What is not in UDP, unknown, where it was, or of the other version of IP moves nothing; nor
        does anything once the node stops, or where we are behind the NAT ourselves.
        """
        key = self.alice.bundles[0].key
        self.moved(*self.at)
        self.moved(ELSEWHERE, 4501, key=key._replace(spi=b"none"))
        self.moved("2001:db8::7", 4501)
        self.stands_at(self.at)
        self.patch(ISAKMPSA, "follows", False)
        self.moved(ELSEWHERE, 4501)
        self.stands_at(self.at)
        self.patch(ISAKMPSA, "follows", True)
        self.alice.assembly.relocations.stop()
        self.alice.assembly.relocations.stop()
        self.moved(ELSEWHERE, 4501)
        self.stands_at(self.at)

    def test_plain(self) -> None:
        """An SA that is not in UDP has no NAT before its peer."""
        one = bundle()
        self.assertIsNone(place_of(one))
        self.assertEqual(place_of(in_udp(one)), (PEER, PORT))
        there = relocated(in_udp(one), (ELSEWHERE, 7))
        self.assertEqual(place_of(there), (ELSEWHERE, 7))
        self.assertEqual(there.key, one.key)

    def test_refused(self) -> None:
        """A sink that cannot is one line, and all stays as it is."""
        def refuse(sink: MemorySink, bundle: SABundle) -> Deferred[None]:
            return fail(OSError("no room"))

        notes = logged(self)
        self.patch(MemorySink, "install", refuse)
        self.moved(ELSEWHERE, 4501)
        (line,) = [formatEvent(one) for one in notes if one["log_level"].name == "error"]
        self.assertEqual(line, "lab: its SA cannot follow the peer: no room")
        self.assertEqual(place_of(self.alice.bundles[0]), self.at)

    def test_interface(self) -> None:
        """IKE's ISAKMP SA can be elsewhere."""
        (sa,) = self.alice.sas
        verifyObject(IRelocating, sa)
        there = IRelocating(sa).relocated(Path(sa.path.local, (ELSEWHERE, 7)))
        self.assertEqual((there.key, there.path.remote), (sa.key, (ELSEWHERE, 7)))
