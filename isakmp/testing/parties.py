"""
Two complete nodes that try a key exchange with each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from twisted.internet.defer import Deferred
from zope.interface import implementer

from isakmp.assembly import Assembly
from isakmp.associations import SABundle, Transform
from isakmp.connections import Child, Connection, Intervals
from isakmp.events import MessageDropped, NotificationReceived
from isakmp.identity import Identity, IdentityPattern, TrafficSelector
from isakmp.interfaces import IISAKMPKeyExchange, IManagementSA, ISASink
from isakmp.paths import Datagram
from isakmp.sinks.memory import RecordingSink
from isakmp.testing.clock import VirtualClock
from isakmp.testing.entropy import FixedEntropy
from isakmp.testing.network import LossyNetwork
from isakmp.testing.trial import NAMES, Case, Trial
from isakmp.testing.watching import Watched

NOBODY = "carol.lab.example"

_ADDRESSES = "192.0.2.1", "192.0.2.2"
_NETWORKS = "10.1.0.0/24", "10.2.0.0/24"


@implementer(ISASink)
class AnySink(RecordingSink):
    """Takes the SAs of every domain of interpretation, and keeps them."""

    name = "test kit"
    protects = False

    def supports(self, doi: int, protocol: int, transform: Transform) -> bool:
        """Everything."""
        return True


class Party:
    """
    One node.

    :ivar who: its identity; ``peer`` the other's.
    :ivar told: the notifications that were proven, by their types.
    :ivar drops: why datagrams were not accepted.
    """

    def __init__(
        self,
        network: LossyNetwork,
        clock: VirtualClock,
        watched: Watched,
        trial: Trial,
        connection: Connection,
        index: int,
    ) -> None:
        entropy = FixedEntropy(f"{NAMES[index]} {network.seed}")
        self.watched = watched
        self.who, self.peer = NAMES[index], NAMES[1 - index]
        self.address = _ADDRESSES[index]
        self.sink = AnySink(entropy)
        self.told: list[int] = []
        self.drops: list[str] = []
        self.assembly = Assembly(
            (connection,),
            trial.credentials[index],
            clock=clock,
            ports=network.attach(self.address, self._received),
            sink=self.sink,
            entropy=entropy,
            dois=(trial.doi,),
            key_exchanges=(watched,),
            settings={watched.name: trial.settings[index]},
        )
        self.connection = connection
        self.node = self.assembly.node
        self.endpoint = self.assembly.endpoint
        self.node.events.subscribe(MessageDropped, lambda event: self.drops.append(str(event)))
        self.node.events.subscribe(NotificationReceived, self._notified)

    def _received(self, datagram: Datagram) -> None:
        self.endpoint.datagram_received(datagram)

    def _notified(self, event: NotificationReceived) -> None:
        if event.authenticated:
            self.told.append(event.kind)

    @property
    def sas(self) -> Sequence[IManagementSA]:
        """Those that stand."""
        return [sa for sa in self.node.registry if IManagementSA.providedBy(sa)]

    @property
    def bundles(self) -> Sequence[SABundle]:
        """The children that stand."""
        return [sa for sa in self.node.registry if isinstance(sa, SABundle)]

    def kept(self) -> Mapping[str, int]:
        """What it still has, in words."""
        door = self.endpoint.demultiplexer
        return {
            "SAs": len(self.sas),
            "children": len(self.bundles),
            "bundles in the sink": len(self.sink.standing),
            "SPIs": len(self.sink.reserved),
            "conversations": len(door.conversations),
            "half-open exchanges": len(door.half_open),
        }


class Parties:
    """
    Both, and what is between them.

    :param expects_other: the index of the party that expects somebody else.
    :param network: for :class:`isakmp.testing.LossyNetwork`.
    """

    def __init__(
        self,
        key_exchange: IISAKMPKeyExchange,
        trial: Trial,
        case: Case,
        *,
        intervals: Intervals = Intervals(),
        expects_other: int | None = None,
        seed: int = 0,
        drop: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
    ) -> None:
        self.case = case
        self.name = key_exchange.name
        self.clock = VirtualClock()
        self.network = LossyNetwork(
            self.clock, seed=seed, drop=drop, duplicate=duplicate, reorder=reorder
        )
        suite = key_exchange.suite(trial.suite, Case.LIFETIME)
        child_suite = trial.doi.suite(trial.child_suite, Case.LIFETIME)
        made = []
        for index in (0, 1):
            here, there = _NETWORKS if index == 0 else _NETWORKS[::-1]
            child = Child(
                "net",
                (child_suite,),
                (TrafficSelector.parse(here),),
                (TrafficSelector.parse(there),),
                Case.LIFETIME,
            )
            connection = Connection(
                "lab",
                (suite,),
                (_ADDRESSES[index],),
                (_ADDRESSES[1 - index],),
                Identity.parse(NAMES[index]),
                IdentityPattern(NOBODY if expects_other == index else NAMES[1 - index]),
                doi=trial.doi.number,
                key_exchange=key_exchange.name,
                exchange=case.kind.number,
                child_exchange=0 if case.child_type is None else case.child_type.number,
                lifetime=Case.LIFETIME,
                children=(child,),
                intervals=intervals,
                # It would ride where phase 1 of RFC 2409 proves nothing.
                initial_contact=False,
            )
            watched = Watched(key_exchange)
            made.append(Party(self.network, self.clock, watched, trial, connection, index))
        self.both = made[0], made[1]

    @property
    def beginner(self) -> Party:
        """Who begins."""
        return self.both[self.case.swapped]

    @property
    def other(self) -> Party:
        """Who answers."""
        return self.both[not self.case.swapped]

    def begin(self) -> Deferred[object]:
        """Have what the case is about."""
        party = self.beginner
        if self.case.child_type is None:
            return cast("Deferred[object]", party.endpoint.begin_management_sa(party.connection))
        child = party.connection.children[0]
        return cast("Deferred[object]", party.endpoint.establish(party.connection, child))

    def of(self, address: str) -> Party:
        """The party at an address."""
        return next(party for party in self.both if party.address == address)
