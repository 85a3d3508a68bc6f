"""
Two whole nodes that speak KINK, on a network in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from isakmp import events
from isakmp.assembly import Assembly
from isakmp.associations import Lifetime, SABundle
from isakmp.connections import Child, Connection, Intervals, Limits
from isakmp.doi.ipsec import ipsec
from isakmp.errors import PeerError
from isakmp.events import ExchangeFailed, MessageDropped, Removal, Removed
from isakmp.identity import Identity, IdentityPattern
from isakmp.ike.key_exchange import ike
from isakmp.interfaces import INode
from isakmp.kink.endpoint import KINKEndpoint
from isakmp.kink.key_exchange import KINK
from isakmp.kink.message import Header, Received
from isakmp.kink.numbers import PORT, MessageType
from isakmp.kink.payloads import Payload
from isakmp.kink.settings import Settings
from isakmp.kink.testing import RealmMember
from isakmp.paths import Datagram, Path
from isakmp.sinks.memory import MemorySink
from isakmp.testing import FixedEntropy, LossyNetwork, Transmission, VirtualClock, settle
from tests.nodes import networks

E = TypeVar("E")

ALICE, BOB = "192.0.2.1", "192.0.2.2"
HER, HIS = "kink/a.lab@LAB.TEST", "kink/b.lab@LAB.TEST"
SECRET = "realm of the tests"

_KINDS = (events.Established, Removed, ExchangeFailed, MessageDropped, events.SPIReleased)


@dataclass(frozen=True, slots=True)
class Lab:
    """
    How both ends are configured.

    :ivar hers: Alice's suites by preference; ``his`` Bob's.
    """

    hers: Sequence[str] = ("aes128-sha256",)
    his: Sequence[str] = ("aes128-sha256",)
    children: int = 1
    her_seconds: int = 1200
    his_seconds: int = 1200
    contribute: bool = False
    probe: float = 0.0
    grace: float = 2.0
    intervals: Intervals = Intervals()
    limits: Limits = Limits()


def connection(
    local: str, remote: str, ours: str, theirs: str, suites: Sequence[str], seconds: int, lab: Lab
) -> Connection:
    """One end's view; whoever has the smaller address has Alice's networks."""
    children = []
    for number in range(lab.children):
        here, there = networks(number) if local < remote else reversed(networks(number))
        lifetime = Lifetime(seconds)
        made = tuple(ipsec.suite(suite, lifetime) for suite in suites)
        name = "net" if number == 0 else f"net{number}"
        children.append(Child(name, made, (here,), (there,), lifetime))
    return Connection(
        "lab",
        (),
        (local,),
        (remote,),
        Identity.parse(ours),
        IdentityPattern(theirs),
        local_port=PORT,
        remote_port=PORT,
        key_exchange="kink",
        exchange=0,
        lifetime=Lifetime(),
        children=tuple(children),
        intervals=lab.intervals,
    )


class End:
    """
    One node.

    :ivar kerberos: its member of the realm.
    :ivar heard: every datagram that arrived.
    """

    def __init__(
        self,
        network: LossyNetwork,
        clock: VirtualClock,
        address: str,
        configured: Sequence[Connection],
        lab: Lab,
        secret: str = SECRET,
        life: int = 0,
    ) -> None:
        entropy = FixedEntropy(f"{address} {life}")
        self.address, self.clock, self.network = address, clock, network
        self.sink = MemorySink(entropy)
        self.events: list[object] = []
        self.heard: list[Datagram] = []
        settings = Settings(
            secret, contribute=lab.contribute, probe=lab.probe, grace=lab.grace
        )

        def kerberos(node: INode) -> RealmMember:
            self.kerberos = RealmMember(secret.encode(), clock, node.entropy)
            return self.kerberos

        self._receive = lambda datagram: self.assembly.datagram_received(datagram)
        ports = network.attach(address, self._arrived)
        self.assembly = Assembly(
            configured,
            (),
            clock=clock,
            ports=ports,
            sink=self.sink,
            entropy=entropy,
            limits=lab.limits,
            key_exchanges=[ike, KINK(settings, kerberos)],
        )
        self.node = self.assembly.node
        self.endpoint = cast(KINKEndpoint, self.node.endpoints["kink"])
        for kind in _KINDS:
            self.node.events.subscribe(kind, self.events.append)

    def _arrived(self, datagram: Datagram) -> None:
        self.heard.append(datagram)
        self._receive(datagram)

    def die(self) -> None:
        """As a process that is killed: it says nothing, and hears nothing."""
        self._receive = lambda datagram: None
        self.network.cut, before = True, self.network.cut
        settle(self.clock, self.assembly.stop(), 0.0)
        self.network.cut = before

    def connection(self) -> Connection:
        """As it is configured here."""
        return self.node.policy.connection("lab")

    def establish(self, *children: str) -> Deferred[Sequence[SABundle]]:
        """Begin children, in one CREATE."""
        configured = self.connection()
        wanted = [configured.child(name) for name in children or ("net",)]
        return self.node.endpoints["kink"].establish(configured, wanted)

    def published(self, kind: type[E]) -> list[E]:
        """The events of a class, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def failures(self) -> list[PeerError]:
        """Why CREATEs ended without their result."""
        return [event.error for event in self.published(ExchangeFailed)]

    @property
    def drops(self) -> list[PeerError]:
        """Why datagrams were dropped."""
        return [event.error for event in self.published(MessageDropped)]

    @property
    def removals(self) -> list[Removal]:
        """Why SAs are gone."""
        return [event.why for event in self.published(Removed)]

    @property
    def bundles(self) -> list[SABundle]:
        """The children that stand, the oldest first."""
        return [sa for sa in self.node.registry if isinstance(sa, SABundle)]

    @property
    def kinds(self) -> list[MessageType]:
        """What arrived, in order."""
        return [MessageType(Header.decode(one.octets).kind) for one in self.heard]


@dataclass(slots=True)
class Ends:
    """Alice and Bob."""

    clock: VirtualClock
    network: LossyNetwork
    a: End
    b: End
    lab: Lab
    wire: list[Transmission] = field(default_factory=list)

    def up(self) -> Sequence[SABundle]:
        """Alice establishes her first child, and Bob has it too."""
        made = settle(self.clock, self.a.establish())
        self.wait(0.5)
        return made

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.clock.run_until(self.clock.seconds() + seconds)

    def inject(self, octets: bytes, source: str = ALICE, to: str = BOB) -> None:
        """Have a datagram arrive."""
        path = Path((source, PORT), (to, PORT))
        self.network.inject(Datagram(octets, path))
        self.wait(0.1)


def ends(
    lab: Lab = Lab(), *, his_principal: str = HIS, his_secret: str = SECRET, **network: float
) -> Ends:
    """
    Alice and Bob, configured for each other.

    :param network: for :class:`LossyNetwork`.
    """
    clock = VirtualClock()
    clock.advance(1_000_000)
    lossy = LossyNetwork(clock, **network)
    wire: list[Transmission] = []
    lossy.record = wire
    hers = connection(ALICE, BOB, HER, HIS, lab.hers, lab.her_seconds, lab)
    his = connection(BOB, ALICE, his_principal, HER, lab.his, lab.his_seconds, lab)
    a = End(lossy, clock, ALICE, [hers], lab)
    b = End(lossy, clock, BOB, [his], lab, his_secret)
    return Ends(clock, lossy, a, b, lab, wire)


def outer(octets: bytes) -> tuple[Payload, ...]:
    """The payloads of a message, not opened."""
    return Received.decode(octets).message.payloads


def keys_of(end: End) -> dict[tuple[str, str], str]:
    """A fingerprint of the keys of every SA installed, by its SPI and who receives by it."""
    return {
        (sa.key.spi.hex(), sa.key.destination): end.sink.fingerprints(bundle)[sa.key.spi.hex()]
        for bundle in end.sink.standing.values()
        for sa in (*bundle.inbound, *bundle.outbound)
    }


def assert_agree(test: SynchronousTestCase, pair: Ends, count: int = 1) -> None:
    """Both have the same children, with the same keys, whole, and the sinks as registered."""
    test.assertEqual(keys_of(pair.a), keys_of(pair.b))
    for end in (pair.a, pair.b):
        test.assertEqual(len(end.bundles), count)
        test.assertEqual(
            {b.name: (b.inbound, b.outbound) for b in end.bundles},
            {b.name: (b.inbound, b.outbound) for b in end.sink.standing.values()},
        )
        test.assertTrue(all(b.inbound and b.outbound for b in end.bundles))
        test.assertEqual(end.sink.reserved, frozenset())


def assert_clean(test: SynchronousTestCase, pair: Ends) -> None:
    """Nothing is left of anything: in memory, in the sinks, on the clock."""
    for end in (pair.a, pair.b):
        test.assertEqual(list(end.node.registry), [])
        test.assertEqual(dict(end.sink.standing), {})
        test.assertEqual(end.sink.reserved, frozenset())
        test.assertEqual(len(end.endpoint.commands), 0)
        test.assertEqual(len(end.endpoint.answers), 0)
    test.assertEqual(pair.clock.getDelayedCalls(), [])
