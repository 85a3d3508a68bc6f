"""
Security associations for tests that do not care how they were agreed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from isakmp.associations import (
    ChildPolicy,
    CookiePair,
    IPsecParameters,
    Lifetime,
    ProtectionSA,
    ProtectionSuite,
    SABundle,
    SAKey,
    SPIKey,
)
from isakmp.identity import Identity, TrafficSelector
from isakmp.interfaces import (
    IExchangeType,
    IKeyAgreement,
    IManagementSA,
    IMessageProtection,
    ISAStore,
    Record,
)
from isakmp.numbers import DOI, ESPTransform, IPsecAttribute, ProtocolID
from isakmp.parts import Role
from isakmp.paths import Path
from isakmp.wire.attributes import Attribute
from isakmp.wire.proposals import Proposal, Transform


@implementer(ILogObserver)
class _Notes(list[LogEvent]):
    """Keeps what is logged."""

    def __call__(self, event: LogEvent) -> None:
        self.append(event)


def logged(test: SynchronousTestCase) -> list[LogEvent]:
    """What is logged from now on, until the test ends."""
    notes = _Notes()
    globalLogPublisher.addObserver(notes)
    test.addCleanup(globalLogPublisher.removeObserver, notes)
    return notes


US, PEER = "192.0.2.1", "192.0.2.2"
PATH = Path((US, 500), (PEER, 500))


def cookies(number: int) -> CookiePair:
    """A pair of its own for each number."""
    return CookiePair(number.to_bytes(8, "big"), bytes([0xFF]) * 4 + number.to_bytes(4, "big"))


@implementer(IManagementSA)
@dataclass(frozen=True, slots=True, eq=False)
class SampleSA:
    """A management SA without keys."""

    key: CookiePair = cookies(1)
    connection: str = "road"
    theirs: Identity = Identity.parse("peer.example.org")
    ours: Identity = Identity.parse("us.example.org")
    doi: int = DOI.IPSEC
    owner: str = "sample"
    role: Role = Role.INITIATOR
    path: Path = PATH
    lifetime: Lifetime = Lifetime()

    def permits(self, number: int) -> bool:
        """Everything."""
        return True

    def protection(self, kind: IExchangeType, message_id: int) -> IMessageProtection:
        """It has none."""
        raise NotImplementedError

    def authenticate(self, octets: bytes) -> bytes:
        """It cannot."""
        raise NotImplementedError

    def derive(self, seed: bytes, length: int) -> bytes:
        """It cannot."""
        raise NotImplementedError

    def agreement(self, group: int) -> IKeyAgreement:
        """It knows no group."""
        raise LookupError(group)


@dataclass(frozen=True, slots=True)
class SampleSituation:
    """SIT_IDENTITY_ONLY."""

    def encode(self) -> bytes:
        """Four octets."""
        return bytes([0, 0, 0, 1])


def transform(number: int = 1, transform_id: int = ESPTransform.AES_CBC, **said: int) -> Transform:
    """A transform and its attributes, by their names in lower case."""
    attributes = (Attribute.tv(IPsecAttribute[name.upper()], n) for name, n in said.items())
    return Transform(number, transform_id, tuple(attributes))


def suite(*transforms: Transform, protocol: int = ProtocolID.ESP) -> ProtectionSuite:
    """One protocol, and what is acceptable of it."""
    return ProtectionSuite((Proposal(1, protocol, b"", transforms or (transform(),)),))


def policy(
    name: str = "net",
    connection: str = "road",
    local: str = "10.1.0.0/16",
    remote: str = "10.2.0.0/16",
) -> ChildPolicy:
    """What a bundle is for."""
    return ChildPolicy(
        connection,
        name,
        DOI.IPSEC,
        SampleSituation(),
        TrafficSelector.parse(local),
        TrafficSelector.parse(remote),
        (suite(),),
    )


def protection_sa(
    spi: int,
    destination: str,
    *,
    protocol: int = ProtocolID.ESP,
    keys: Mapping[str, bytes] | None = None,
    parameters: object = IPsecParameters("tunnel", "aes-cbc", "hmac-sha2-256-128"),
) -> ProtectionSA:
    """One direction; its keys are made of its SPI unless told."""
    if keys is None:
        keys = {"encryption": spi.to_bytes(4, "big") * 4, "integrity": spi.to_bytes(4, "big") * 8}
    key = SPIKey(DOI.IPSEC, protocol, spi.to_bytes(4, "big"), destination)
    return ProtectionSA(key, keys, parameters)


def bundle(
    inbound: int = 0x1001,
    outbound: int = 0x2001,
    *,
    name: str = "",
    parent: CookiePair = cookies(1),
    **of_policy: str,
) -> SABundle:
    """A tunnel; named after its inbound SPI unless told."""
    return SABundle(
        name or f"net/{inbound:08x}",
        parent,
        (protection_sa(inbound, US),),
        (protection_sa(outbound, PEER),),
        policy(**of_policy),
    )


def mirrored(bundle: SABundle) -> SABundle:
    """The same bundle as the peer has it."""
    return SABundle(bundle.name, bundle.parent, bundle.outbound, bundle.inbound, bundle.policy)


@implementer(ISAStore)
@dataclass(slots=True)
class SlowStore:
    """
    A store whose every answer is given by the test.

    :ivar asked: each question with its Deferred, in order; ``save`` with records, ``delete`` with
        keys.
    """

    asked: list[tuple[str, object, Deferred[None]]] = field(default_factory=list)

    def save(self, records: Sequence[Record]) -> Deferred[None]:
        """Asked."""
        return self._ask("save", records)

    def delete(self, keys: Sequence[SAKey]) -> Deferred[None]:
        """Asked."""
        return self._ask("delete", keys)

    def scan(self) -> Deferred[Sequence[Record]]:
        """It never says."""
        return Deferred()

    def _ask(self, what: str, of: object) -> Deferred[None]:
        answer: Deferred[None] = Deferred()
        self.asked.append((what, of, answer))
        return answer
