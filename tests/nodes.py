"""
Whole nodes for tests: on a network in memory and a clock that stands still until told.

A :class:`Member` is one node with everything a process has except sockets; :func:`pair` makes two
that are configured for each other.  :func:`left_over` says what a node still keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from isakmp import events
from isakmp.assembly import Assembly
from isakmp.associations import Lifetime, SABundle
from isakmp.connections import Child, Connection, Intervals, Limits
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.doi.ipsec import ipsec
from isakmp.errors import PeerError
from isakmp.events import ExchangeFailed, MessageSent, Removal, Removed
from isakmp.identity import Identity, IdentityPattern, TrafficSelector
from isakmp.ike.key_exchange import ike
from isakmp.interfaces import (
    ICredentialStore,
    IDomainOfInterpretation,
    IISAKMPKeyExchange,
    IManagementSA,
)
from isakmp.paths import Path
from isakmp.sinks.memory import MemorySink
from isakmp.testing import FixedEntropy, LossyNetwork, Transmission, VirtualClock, settle

E = TypeVar("E")

ALICE, BOB, MALLORY = "192.0.2.1", "192.0.2.2", "192.0.2.66"
SECRET = b"correct horse battery staple"

Secrets = ICredentialStore | Sequence[SharedSecret]
SHARED: Secrets = (SharedSecret(SECRET, ()),)

FAST = "aes128-sha256-curve25519"
"""Where the key agreement is not the point."""

TIMES = Intervals(first=1.0, factor=1.8, repeats=6)
"""The defaults, said here because the tests compute with them."""

_KINDS: tuple[type[Any], ...] = (
    *(events.Established, events.Removed, events.ExchangeFailed, events.SPIReleased),
    *(events.MessageReceived, events.MessageSent, events.MessageDropped),
    *(events.NotificationReceived, events.PayloadDiscarded),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """
    How both ends of a pair are configured.

    :ivar suite: of the ISAKMP SA.
    :ivar child_suite: of each child; with a group after it for perfect forward secrecy.
    :ivar children: how many; each has networks of its own.
    :ivar sa_seconds: lifetime of the ISAKMP SA; 0: none.
    :ivar child_seconds: lifetime of a child.
    """

    suite: str = FAST
    child_suite: str = "aes128-sha256"
    children: int = 1
    sa_seconds: int = 3000
    child_seconds: int = 1200
    intervals: Intervals = TIMES
    limits: Limits = Limits()
    initial_contact: bool = True


def networks(number: int) -> tuple[TrafficSelector, TrafficSelector]:
    """Alice's network and Bob's for the n-th child."""
    return (
        TrafficSelector.parse(f"10.1.{number}.0/24"),
        TrafficSelector.parse(f"10.2.{number}.0/24"),
    )


def connection(
    local: str,
    remote: str,
    ours: str,
    theirs: str,
    settings: Settings = Settings(),
    *,
    name: str = "lab",
) -> Connection:
    """
    One end's view: whoever has the smaller address has Alice's networks.

    :param ours: our identity; ``theirs`` the pattern of the peer's.
    """
    children = []
    for number in range(settings.children):
        here, there = networks(number) if local < remote else reversed(networks(number))
        lifetime = Lifetime(settings.child_seconds)
        suites = (ipsec.suite(settings.child_suite, lifetime),)
        label = "net" if number == 0 else f"net{number}"
        children.append(Child(label, suites, (here,), (there,), lifetime))
    lifetime = Lifetime(settings.sa_seconds)
    return Connection(
        name,
        (ike.suite(settings.suite, lifetime),),
        (local,),
        (remote,),
        Identity.parse(ours),
        IdentityPattern(theirs),
        lifetime=lifetime,
        children=tuple(children),
        intervals=settings.intervals,
        initial_contact=settings.initial_contact,
    )


class Member:
    """
    One node on the network.

    :ivar events: everything it published, each with the time.
    :ivar sent: of every message that an exchange sent, what became of its datagram; if the network
        records.
    """

    def __init__(
        self,
        network: LossyNetwork,
        clock: VirtualClock,
        address: str,
        connections: Iterable[Connection],
        secrets: Secrets = SHARED,
        *,
        key_exchanges: Sequence[IISAKMPKeyExchange] | None = None,
        dois: Sequence[IDomainOfInterpretation] | None = None,
        sink: Any = None,
        limits: Limits = Limits(),
        seed: int | str = 0,
    ) -> None:
        entropy = FixedEntropy(f"{address} {seed}")
        self.address = address
        self.clock = clock
        self.network = network
        self.sink = MemorySink(entropy) if sink is None else sink
        self.events: list[tuple[float, object]] = []
        self.sent: list[tuple[MessageSent, Transmission]] = []
        ports = network.attach(address, lambda datagram: self.endpoint.datagram_received(datagram))
        self.assembly = Assembly(
            connections,
            secrets,
            clock=clock,
            ports=ports,
            sink=self.sink,
            entropy=entropy,
            limits=limits,
            key_exchanges=key_exchanges,
            dois=dois,
        )
        self.node = self.assembly.node
        self.endpoint = self.assembly.endpoint
        self.demultiplexer = self.endpoint.demultiplexer
        self.registry = self.node.registry
        for kind in _KINDS:
            self.node.events.subscribe(kind, self._note)

    def _note(self, event: object) -> None:
        self.events.append((self.clock.seconds(), event))
        if isinstance(event, MessageSent) and self.network.record:
            self.sent.append((event, self.network.record[-1]))

    def connection(self, name: str = "lab") -> Connection:
        """As it is configured here."""
        return self.node.policy.connection(name)

    def establish(self, child: str = "net", name: str = "lab") -> Deferred[Sequence[SABundle]]:
        """Begin a child."""
        configured = self.connection(name)
        return self.endpoint.establish(configured, configured.child(child))

    def published(self, kind: type[E]) -> list[E]:
        """The events of a class, in order."""
        return [event for _, event in self.events if isinstance(event, kind)]

    @property
    def failures(self) -> list[PeerError]:
        """Why exchanges ended without their result."""
        return [event.error for event in self.published(ExchangeFailed)]

    @property
    def removals(self) -> list[Removal]:
        """Why SAs are gone, in order."""
        return [event.why for event in self.published(Removed)]

    @property
    def sas(self) -> list[IManagementSA]:
        """The ISAKMP SAs that stand, the oldest first."""
        return [sa for sa in self.registry if IManagementSA.providedBy(sa)]

    @property
    def bundles(self) -> list[SABundle]:
        """The children that stand, the oldest first."""
        return [sa for sa in self.registry if isinstance(sa, SABundle)]

    def forget(self) -> None:
        """Lose all SAs and say nothing, as a process that was killed."""
        for sa in self.registry:
            self.registry.remove(sa, Removal.SHUTDOWN)
        for bundle in self.sink.standing.values():
            self.sink.remove(bundle)

    def path_to(self, address: str) -> Path:
        """From the ISAKMP port of this node to that of another."""
        return Path((self.address, 500), (address, 500))


@dataclass(slots=True)
class Pair:
    """
    Two nodes that are configured for each other.

    :ivar a: Alice, who begins unless told; ``b`` Bob.
    :ivar wire: everything that was sent.
    """

    clock: VirtualClock
    network: LossyNetwork
    a: Member
    b: Member
    settings: Settings
    wire: list[Transmission] = field(default_factory=list)

    def up(self) -> None:
        """Alice establishes the first child, and Bob has it too."""
        settle(self.clock, self.a.establish())
        self.clock.run_until(self.clock.seconds() + 0.5)

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.clock.run_until(self.clock.seconds() + seconds)

    def sent_by(self, member: Member) -> list[bytes]:
        """The octets that one of them sent, in order."""
        return [
            one.datagram.octets
            for one in self.wire
            if one.datagram.path.local[0] == member.address
        ]

    @property
    def longest_flight(self) -> float:
        """Seconds that a datagram can be under way: see ``reorder`` of the network."""
        slowest = self.network.delay + self.network.jitter
        return slowest + (10.0 * max(slowest, 0.01) if self.network.reorder else 0.0)

    @property
    def quiet(self) -> float:
        """
        Seconds in which everything that was begun ends, if nothing new is begun.

        An initiator waits for messages 2, 4 and 6 of Main Mode and for message 2 of Quick Mode; its
        peer for message 3 of Quick Mode, or it lingers; each at most ``Intervals.total``.  Each of
        the nine messages may be under way once, and what waits for a cookie is forgotten in
        ``half_open_seconds``.
        """
        waits = 5 * self.settings.intervals.total + 9 * self.longest_flight
        return waits + self.settings.limits.half_open_seconds

    @property
    def expired(self) -> float:
        """Seconds in which every SA that stands now is over, and nobody knows of it any more."""
        lifetime = max(self.settings.sa_seconds, self.settings.child_seconds)
        return lifetime + self.longest_flight


def pair(
    settings: Settings = Settings(),
    *,
    secrets: tuple[Secrets, Secrets] = (SHARED, SHARED),
    bobs: Callable[[Connection], Connection] | None = None,
    bobs_settings: Settings | None = None,
    bobs_others: Sequence[Connection] = (),
    alices_ike: IISAKMPKeyExchange = ike,
    bobs_ike: IISAKMPKeyExchange = ike,
    seed: int = 0,
    **network: float,
) -> Pair:
    """
    Alice and Bob.

    :param secrets: Alice's and Bob's.
    :param bobs: changes Bob's connection.
    :param bobs_settings: where his differ.
    :param bobs_others: his connections with others than Alice.
    :param alices_ike: her key exchange, if she has another than everybody.
    :param network: for :class:`LossyNetwork`.
    """
    clock = VirtualClock()
    lossy = LossyNetwork(clock, seed=seed, **network)
    wire: list[Transmission] = []
    lossy.record = wire
    his = connection(BOB, ALICE, "r.lab", "i.lab", bobs_settings or settings)
    hers = connection(ALICE, BOB, "i.lab", "r.lab", settings)
    his = bobs(his) if bobs else his
    bounds = (bobs_settings or settings).limits
    a, b = (
        Member(lossy, clock, address, known, key, key_exchanges=[kind], limits=most, seed=seed)
        for address, known, key, kind, most in (
            (ALICE, [hers], secrets[0], alices_ike, settings.limits),
            (BOB, [his, *bobs_others], secrets[1], bobs_ike, bounds),
        )
    )
    return Pair(clock, lossy, a, b, settings, wire)


def left_over(*members: Member) -> list[str]:
    """
    What these nodes still keep, in words; nothing if all is over.

    The clock is theirs together: no call may be pending on it.
    """
    found = unfinished(*members)
    for member in members:
        kept = {
            "SAs registered": len(list(member.registry)),
            "bundles installed": len(member.sink.standing),
            "timers of lifetimes": len(member.assembly.lifetimes.timed),
        }
        found += [f"{member.address}: {n} {what}" for what, n in kept.items() if n]
    found += [f"pending: {call}" for call in members[0].clock.getDelayedCalls()]
    return found


def unfinished(*members: Member) -> list[str]:
    """
    What these nodes still keep of exchanges, in words; nothing if none is under way or remembered.
    """
    found = []
    for member in members:
        door = member.demultiplexer
        conversations = door.conversations
        kept = {
            "SPIs reserved": len(member.sink.reserved),
            "conversations": len(conversations),
            "half-open exchanges": len(door.half_open),
            "exchanges running": len(member.endpoint.running()),
            "waiting for an ISAKMP SA": len(member.endpoint.beginnings),
            "lingering": len(conversations.lingering),
            "strangers": len(conversations.strangers),
            "addresses with exchanges": len(conversations.unproven),
            "SAs with exchanges": len(conversations.answering),
        }
        found += [f"{member.address}: {n} {what}" for what, n in kept.items() if n]
    return found


def assert_clean(test: SynchronousTestCase, *members: Member) -> None:
    """Nothing is left of anything: in memory, in the sinks, on the clock."""
    test.assertEqual(left_over(*members), [])


def keys_of(member: Member) -> dict[tuple[str, str], str]:
    """A fingerprint of the keys of every SA installed, by its SPI and who receives by it."""
    return {
        (sa.key.spi.hex(), sa.key.destination): member.sink.fingerprints(bundle)[sa.key.spi.hex()]
        for bundle in member.sink.standing.values()
        for sa in (*bundle.inbound, *bundle.outbound)
    }


def disagreements(a: Member, b: Member) -> list[str]:
    """
    In what two nodes differ that should have the same SAs, in words.

    Both know the same ISAKMP SAs; every child of one is the other's, its keys equal crosswise; the
    sinks hold what the registries say, complete; no SPI is reserved for nothing.
    """
    found = []
    ours, theirs = ({sa.key for sa in member.sas} for member in (a, b))
    if ours != theirs:
        found.append(f"ISAKMP SAs {sorted(map(str, ours))} and {sorted(map(str, theirs))}")
    if keys_of(a) != keys_of(b):
        found.append(f"keys {keys_of(a)} and {keys_of(b)}")
    for member in (a, b):
        found += books(member)
    crosswise = sorted([k.spi for sa in s.outbound for k in (sa.key,)] for s in a.bundles)
    if crosswise != sorted([k.spi for sa in s.inbound for k in (sa.key,)] for s in b.bundles):
        found.append("children do not match")
    return found


def books(member: Member) -> list[str]:
    """In what a node's sink differs from its registry: which SAs, and what is reserved."""
    found = []
    registered = {bundle.name: (bundle.inbound, bundle.outbound) for bundle in member.bundles}
    installed = {b.name: (b.inbound, b.outbound) for b in member.sink.standing.values()}
    if registered != installed:
        found.append(f"{member.address} has {[*registered]} and installed {[*installed]}")
    if not all(outbound for _, outbound in registered.values()):
        found.append(f"{member.address} has half a bundle")
    if member.sink.reserved:
        found.append(f"{member.address} keeps SPIs: {member.sink}")
    return found
