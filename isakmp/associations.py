"""
What is agreed: offers, suites, and the security associations that come of them.

RFC 2408 section 2.1 calls what is agreed as a unit a *protection suite* (AH and ESP together, say);
section 4.2 makes a suite of the Proposal payloads that share one number.  Everything here is a
value.  Whatever a sink has to know of IPsec lives here too, because sinks do not know the domains
of interpretation.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import NamedTuple, Protocol

from isakmp.departures import NONE, Departures
from isakmp.errors import BadProposalSyntax, Reason
from isakmp.handling import Action, Handling, Mark, Unique
from isakmp.identity import Identities, TrafficSelector, traffic
from isakmp.paths import Path
from isakmp.wire.message import CookiePair
from isakmp.wire.payloads import SecurityAssociation
from isakmp.wire.proposals import Proposal, Transform, encode_proposals

__all__ = [
    "Action",
    "Agreed",
    "ChildPolicy",
    "ChildRequest",
    "CookiePair",
    "Handling",
    "IPsecParameters",
    "Lifetime",
    "ManagementKey",
    "Mark",
    "Offer",
    "Proposal",
    "ProtectionSA",
    "ProtectionSuite",
    "Removal",
    "SABundle",
    "SAKey",
    "SPIKey",
    "Session",
    "Situation",
    "Terms",
    "Transform",
    "Unique",
    "Usage",
    "suites_of",
]


class Situation(Protocol):
    """The circumstances of a negotiation; a domain of interpretation's own value."""

    def encode(self) -> bytes:
        """As it stands in the SA payload, after the DOI number."""


class SPIKey(NamedTuple):
    """
    What names an SA of a security protocol: RFC 2408 section 2.4.

    A tuple for the reason that :class:`CookiePair` is one.

    :ivar doi: the domain of interpretation that numbers the protocols.
    :ivar protocol: the Protocol-ID.
    :ivar spi: chosen by the receiver.
    :ivar destination: the receiver's address.
    """

    doi: int
    protocol: int
    spi: bytes
    destination: str


@dataclass(frozen=True, slots=True)
class Session:
    """
    What names a session with a peer that a third party vouches for: RFC 4430 section 3.7.

    :ivar principal: who the peer is; upper and lower case differ.
    :ivar epoch: since when it has had valid SA information: another epoch, another session.
    """

    principal: str
    epoch: int

    def __str__(self) -> str:
        return f"{self.principal} since {self.epoch}"


ManagementKey = CookiePair | Session
"""What names a management SA: cookies under an ISAKMP header; else what its key exchange has."""

SAKey = ManagementKey | SPIKey


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long an SA may be used; 0 means that side of it is unbounded."""

    seconds: int = 0
    kilobytes: int = 0

    def shorter(self, other: Lifetime) -> Lifetime:
        """Each bound the smaller of the two, where both have one."""
        return Lifetime(
            _least(self.seconds, other.seconds), _least(self.kilobytes, other.kilobytes)
        )


def _least(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other


@dataclass(frozen=True, slots=True)
class ProtectionSuite:
    """
    Proposals that share one number: all of them, or none.  RFC 2408 section 4.2.

    In an offer each proposal lists transforms by preference; what has been chosen has one each.
    """

    proposals: tuple[Proposal, ...]

    @property
    def number(self) -> int:
        """The proposal number they share."""
        return self.proposals[0].number

    def numbered(self, number: int) -> ProtectionSuite:
        """This suite under another proposal number."""
        return ProtectionSuite(tuple(replace(p, number=number) for p in self.proposals))

    def with_spis(self, spis: Mapping[int, bytes]) -> ProtectionSuite:
        """This suite, each proposal carrying the SPI of its protocol."""
        named = [
            Proposal(p.number, p.protocol, spis[p.protocol], p.transforms) for p in self.proposals
        ]
        return ProtectionSuite(tuple(named))


def suites_of(proposals: Sequence[Proposal]) -> tuple[ProtectionSuite, ...]:
    """
    Proposal payloads, as received, gathered by their numbers.  RFC 2408 section 4.2.

    That the numbers increase is not asked: nothing depends on it.

    :raises BadProposalSyntax: if one of another number stands between those of one number.
    """
    if len(proposals) == 1:
        return (ProtectionSuite(tuple(proposals)),)  # as nearly always
    suites = tuple(
        ProtectionSuite(tuple(group)) for _, group in groupby(proposals, key=lambda p: p.number)
    )
    numbers = [suite.number for suite in suites]
    if len(set(numbers)) < len(numbers):
        order = ", ".join(map(str, numbers))
        raise BadProposalSyntax(Reason("proposals of one number stand apart", order))
    return suites


@dataclass(frozen=True, slots=True)
class Offer:
    """
    What stands in one SA payload, its situation understood.

    :ivar suites: alternatives, by preference; in an answer exactly one.
    :ivar lenient: of an offer of ours, or what we would accept: what is overlooked in the peer's
        attributes; see :mod:`isakmp.departures`.
    """

    doi: int
    situation: Situation
    suites: tuple[ProtectionSuite, ...]
    lenient: Departures = field(default=NONE, compare=False)

    def payload(self) -> SecurityAssociation:
        """The SA payload that says this."""
        proposals = tuple(p for suite in self.suites for p in suite.proposals)
        return SecurityAssociation(
            self.doi, self.situation.encode() + encode_proposals(proposals)
        )


@dataclass(frozen=True, slots=True)
class Terms:
    """
    What a chosen proposal asks of the key exchange.

    :ivar keymat: octets of keying material for one direction.
    :ivar group: Diffie-Hellman group for perfect forward secrecy, or None.
    """

    keymat: int
    group: int | None = None
    lifetime: Lifetime = Lifetime()


@dataclass(frozen=True, slots=True)
class ChildPolicy:
    """
    What one phase-2 negotiation is about: a configured child, its selectors decided.

    :ivar connection: the connection's name.
    :ivar name: the child's name.
    :ivar local: traffic at our end.
    :ivar remote: traffic at the peer's.
    :ivar suites: what is acceptable, by preference.
    :ivar lifetime: ours; the shorter of it and the peer's counts.
    :ivar quirks: where the peer departs from what the domain prescribes, by the domain's names.
    :ivar action: what becomes of its traffic.
    :ivar handling: how a sink does that.
    :ivar identities: what names the traffic where addresses do not; ``local`` and ``remote`` are
        then the hosts.
    """

    connection: str
    name: str
    doi: int
    situation: Situation
    local: TrafficSelector
    remote: TrafficSelector
    suites: tuple[ProtectionSuite, ...]
    lifetime: Lifetime = Lifetime()
    quirks: frozenset[str] = frozenset()
    action: Action = Action.PROTECT
    handling: Handling = Handling()
    identities: Identities | None = None

    @property
    def traffic(self) -> str:
        """Both ends of what it protects, for people."""
        return traffic(self.local, self.remote, self.identities)


@dataclass(frozen=True, slots=True)
class ChildRequest:
    """
    What a peer asks for in phase 2: its domain, situation, and the two ends of the traffic.

    :ivar identities: what names the traffic where addresses do not; ``local`` and ``remote`` are
        then the hosts.
    """

    doi: int
    situation: Situation
    local: TrafficSelector
    remote: TrafficSelector
    identities: Identities | None = None

    @property
    def traffic(self) -> str:
        """Both ends of what it asks for, for people."""
        return traffic(self.local, self.remote, self.identities)


@dataclass(frozen=True, slots=True)
class Agreed:
    """
    The circumstances of one SA, which do not stand in its proposal.

    :ivar outbound: whether we send under it.
    """

    path: Path
    policy: ChildPolicy
    outbound: bool
    lifetime: Lifetime


@dataclass(frozen=True, slots=True)
class IPsecParameters:
    """
    How an IPsec SA protects, by the names of its algorithms.

    The numbers of IKEv1 and IKEv2 differ; a sink has to know neither.

    :ivar mode: ``tunnel`` or ``transport``.
    :ivar encryption: ``aes-cbc``, ``aes-gcm-16``, ``3des-cbc``, ``null``...
    :ivar integrity: ``hmac-sha2-256-128``..., or ``none`` where the encryption authenticates.
    :ivar compression: ``deflate`` of an IPComp SA, which has neither of those; else ``none``.
    :ivar extended: whether sequence numbers have 64 bits: RFC 4304.
    :ivar group: of the Diffie-Hellman agreement made for it alone (RFC 2409 section 5.5); 0: none.
    :ivar udp: our port and the peer's, where ESP goes in UDP: RFC 3948.
    """

    mode: str
    encryption: str
    integrity: str
    compression: str = "none"
    extended: bool = False
    group: int = 0
    udp: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class ProtectionSA:
    """
    One direction of one security protocol: what a sink installs.

    :ivar keys: keying material by use (``encryption``, ``integrity``), never shown.
    :ivar parameters: a value of the domain of interpretation's.
    """

    key: SPIKey
    keys: Mapping[str, bytes] = field(repr=False, compare=False)
    parameters: object
    lifetime: Lifetime = Lifetime()


class Removal(enum.Enum):
    """Why an SA is gone."""

    DELETED = "deleted here"
    DELETED_BY_PEER = "deleted by the peer"
    EXPIRED = "expired"
    UNUSED = "unused"
    REPLACED = "replaced"
    PARENT_GONE = "its ISAKMP SA is gone"
    PEER_GONE = "the peer does not answer"
    PEER_RESTARTED = "the peer began afresh"
    MOVED = "the peer has another address"
    SHUTDOWN = "this node stops"


@dataclass(frozen=True, slots=True)
class SABundle:
    """
    What one protection suite became: the SAs of both directions, in the order of the suite; how
    they go around one another is for the sink to know.

    :ivar name: unique at this node; a sink installs and removes by it.
    :ivar parent: the management SA it was made under.
    :ivar path: between whom it is, where that was known when it was made.
    """

    name: str
    parent: ManagementKey
    inbound: tuple[ProtectionSA, ...]
    outbound: tuple[ProtectionSA, ...]
    policy: ChildPolicy
    path: Path | None = None

    @property
    def key(self) -> SPIKey:
        """What it is looked up by, among others: its first inbound SA."""
        return self.inbound[0].key

    @property
    def keys(self) -> tuple[SPIKey, ...]:
        """The names of all its SAs."""
        return tuple(sa.key for sa in (*self.inbound, *self.outbound))

    @property
    def connection(self) -> str:
        """The connection it belongs to."""
        return self.policy.connection


@dataclass(frozen=True, slots=True)
class Usage:
    """
    What has passed through a bundle so far.

    :ivar octets_in: of what was protected and arrived; ``octets_out`` of what left.
    :ivar last_in: when the last packet arrived, in seconds since 1970; 0: none has, or nobody knows
        when; ``last_out`` when the last left.
    :ivar counted: whether that is so: a sink that does not count leaves it at no, and nothing is
        known of the traffic.
    """

    octets_in: int = 0
    packets_in: int = 0
    octets_out: int = 0
    packets_out: int = 0
    last_in: float = 0.0
    last_out: float = 0.0
    counted: bool = False
