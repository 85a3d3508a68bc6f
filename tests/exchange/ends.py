"""
Two ends for the tests of phase 2's core.

They are as much of an exchange as the core looks at; domain, registry and sinks are real.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from isakmp.associations import (
    ChildPolicy,
    Lifetime,
    SABundle,
    SPIKey,
    Transform,
)
from isakmp.connections import Candidates, Limits
from isakmp.departures import USUAL, Departures
from isakmp.doi.ipsec import ipsec
from isakmp.events import Established, SPIReleased
from isakmp.exchange import negotiation
from isakmp.exchange.negotiation import Negotiated, Proposed
from isakmp.identity import TrafficSelector
from isakmp.interfaces import Expiry, ISASink
from isakmp.numbers import ProtocolID
from isakmp.parts import Role
from isakmp.paths import Path
from isakmp.registry import SARegistry
from isakmp.sinks.memory import RecordingSink
from isakmp.stores.memory import MemoryStore
from isakmp.stream import EventStream
from isakmp.testing import FixedEntropy, VirtualClock
from tests.samples import SampleSA

T = TypeVar("T")

ESP, AH = int(ProtocolID.ESP), int(ProtocolID.AH)
ONE, OTHER = "192.0.2.1", "192.0.2.2"
PATH = Path((ONE, 500), (OTHER, 500))
HOUR = Lifetime(3600)
SKEYID_D = bytes(range(32))
N_I, N_R = b"nonce of the initiator", b"nonce of the responder"


def prf(octets: bytes) -> bytes:
    """HMAC-SHA-256 under SKEYID_d, without the package's help."""
    return hmac.new(SKEYID_D, octets, hashlib.sha256).digest()


def keymat(g_xy: bytes, protocol: int, spi: bytes, length: int) -> bytes:
    """RFC 2409 section 5.5, written down once more."""
    seed = g_xy + bytes([protocol]) + spi + N_I + N_R
    k1 = prf(seed)
    k2 = prf(k1 + seed)
    k3 = prf(k2 + seed)
    return (k1 + k2 + k3)[:length]


class DerivingSA(SampleSA):
    """A management SA that has keys for children."""

    def derive(self, seed: bytes, length: int) -> bytes:
        """RFC 2409 section 5.5."""
        made = last = b""
        while len(made) < length:
            last = prf(last + seed)
            made += last
        return made[:length]


@implementer(ISASink)
class Sink(RecordingSink):
    """
    Records what it is asked, in order.

    :ivar protocols: what it supports, all transforms of it.
    """

    name = "sink"
    protects = False

    def __init__(self, notes: list[str], seed: int) -> None:
        super().__init__(FixedEntropy(seed))
        self.protocols = {ESP, AH}
        self.refused: set[int] = set()
        self._notes = notes

    def supports(self, doi: int, protocol: int, transform: Transform) -> bool:
        """By protocol, but for the Transform-IDs that are refused."""
        return protocol in self.protocols and transform.transform_id not in self.refused

    def install(self, bundle: SABundle) -> Deferred[None]:
        """As it is, noted."""
        self._notes.append(f"install {len(bundle.inbound)} in, {len(bundle.outbound)} out")
        return super().install(bundle)

    def remove(self, bundle: SABundle) -> Deferred[None]:
        """As it is, noted."""
        self._notes.append("remove")
        return super().remove(bundle)


@dataclass(slots=True)
class Begun:
    """What was begun under an SA."""

    sa: object
    number: int
    order: Any


class End:
    """
    One end of an exchange.

    :ivar notes: what happened here, in order.
    :ivar begun: the exchanges that the core began under the SA.
    """

    def __init__(self, role: Role, doi: object = ipsec) -> None:
        self.role = role
        self.path = PATH if role is Role.INITIATOR else PATH.reversed()
        self.doi = doi
        self.lenient: Departures = USUAL
        self.notes: list[str] = []
        self.begun: list[Begun] = []
        self.clock = VirtualClock()
        self.events = EventStream()
        self.sink = Sink(self.notes, 1 if role is Role.INITIATOR else 2)
        self.registry = SARegistry(MemoryStore(), self.clock, self.events, Limits())
        self.sa: SampleSA | None = DerivingSA(path=self.path, role=role)
        self.registry.add(self.sa, Expiry())
        self.events.subscribe(Established, lambda event: self.notes.append("registered"))
        self.released: list[SPIKey] = []
        self.events.subscribe(SPIReleased, lambda event: self.released.append(event.key))
        self.node = SimpleNamespace(
            sink=self.sink,
            events=self.events,
            registry=self.registry,
            clock=self.clock,
            limits=Limits(),
            exchanges=SimpleNamespace(begin=self._begin),
        )
        self._undo: list[Callable[[], object]] = []

    def _begin(self, sa: object, number: int, order: object) -> Deferred[object]:
        self.begun.append(Begun(sa, number, order))
        return succeed(())

    def otherwise(self, undo: Callable[[], object]) -> None:
        """As of an exchange."""
        self._undo.append(undo)

    def fails(self) -> None:
        """The exchange ends without its result."""
        while self._undo:
            self._undo.pop()()


def policy(*spellings: str, name: str = "net", lifetime: Lifetime = HOUR) -> ChildPolicy:
    """A child, as one end has it configured."""
    return ChildPolicy(
        "road",
        name,
        ipsec.number,
        ipsec.phase1_situation,
        TrafficSelector.parse("10.1.0.0/24"),
        TrafficSelector.parse("10.2.0.0/24"),
        tuple(ipsec.suite(spelling, lifetime) for spelling in spellings or ("aes128-sha256",)),
        lifetime,
    )


class NegotiationTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.ours: Any = End(Role.INITIATOR)
        self.theirs: Any = End(Role.RESPONDER)

    def now(self, asked: Coroutine[Any, Any, T]) -> T:
        """The result, which has to be there at once."""
        return self.successResultOf(Deferred.fromCoroutine(asked))

    def propose(self, *spellings: str) -> Proposed:
        return self.now(negotiation.propose(self.ours, policy(*spellings)))

    def agree(
        self, *spellings: str, lifetimes: Sequence[Lifetime] = (HOUR, HOUR)
    ) -> tuple[Negotiated, Negotiated]:
        """Offer, choice, answer and its confirmation: what each end then has."""
        mine, yours = (policy(*spellings, lifetime=lifetime) for lifetime in lifetimes)
        proposed = self.now(negotiation.propose(self.ours, mine))
        child, (chosen,) = negotiation.choose(self.theirs, Candidates((yours,)), (proposed.offer,))
        accepting = negotiation.accept(self.theirs, [Negotiated(child, chosen, {})])
        (accepted,) = self.now(accepting)
        answer = negotiation.answer(self.theirs, accepted)
        confirmed = self.now(negotiation.confirmed(self.ours, proposed, answer))
        return confirmed, accepted

    def bundles(self, *spellings: str, g_xy: bytes = b"") -> tuple[SABundle, SABundle]:
        """Of both ends."""
        ours, theirs = self.agree(*spellings)
        return (
            negotiation.bundle(self.ours, ours, g_xy, N_I, N_R),
            negotiation.bundle(self.theirs, theirs, g_xy, N_I, N_R),
        )
