"""
What the framework's exchange types have in common: where their method comes from, in either phase,
and where phase 1 begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import cast

from isakmp.associations import Offer, suites_of
from isakmp.connections import Candidates, Child, Connection
from isakmp.departures import NONE, Departures
from isakmp.errors import (
    BadProposalSyntax,
    ConfigurationError,
    DOINotSupported,
    InvalidProtocolID,
    InvalidTransformID,
    NoProposalChosen,
    Reason,
    UnsupportedExchangeType,
)
from isakmp.exchange.lenience import judge
from isakmp.interfaces import (
    IDomainOfInterpretation,
    IExchange,
    IISAKMPKeyExchange,
    IKeyExchangeMethod,
    IManagementSA,
    INode,
    IPorts,
    Sealed,
)
from isakmp.numbers import ProtocolID
from isakmp.paths import Path
from isakmp.wire.payloads import PAYLOADS, Payload, SecurityAssociation
from isakmp.wire.proposals import Proposal, decode_proposals
from isakmp.wire.reader import Reader

_RESERVED = 0
"""The Transform-ID that no table assigns."""


class Phase1Type:
    """
    An exchange type of RFC 2408 section 4 that begins an ISAKMP SA with any key exchange, or, under
    an ISAKMP SA, negotiates with the key exchange that made it.

    :cvar waits_for_cookie: see :class:`isakmp.interfaces.IExchangeType`.
    """

    number: int
    name: str
    payloads: Mapping[int, type[Payload]] = PAYLOADS
    sealed = Sealed.OPTIONAL
    one_way = False
    establishes = False
    waits_for_cookie = False

    def hashed(self, sa: IManagementSA, message_id: bytes, nonces: bytes, rest: bytes) -> bytes:
        """What proves a message of this type under an SA."""
        return sa.authenticate(message_id + nonces + rest)

    def method(self, exchange: IExchange, order: object) -> IKeyExchangeMethod:
        """
        The method of the key exchange that the connection names, or the offer does; under an SA, of
        the one that made it.

        :param order: the candidates: one connection to begin; all that are possible to answer.
            Under an SA the children to negotiate; None to answer.
        """
        if exchange.sa is not None:
            owner = key_exchange_named(exchange.node, exchange.sa.owner)
            return owner.phase_2_method(exchange, tuple(cast("Sequence[Child]", order or ())))
        candidates = cast("Candidates[Connection]", order)
        name = candidates.first.key_exchange
        try:
            key_exchange = key_exchange_named(exchange.node, name)
        except LookupError as error:
            raise ConfigurationError(str(error)) from None
        if self.number not in key_exchange.offers:
            raise ConfigurationError(f"{name} does not run {self.name}")
        return key_exchange.method(exchange, candidates)


def key_exchange_named(node: INode, name: str) -> IISAKMPKeyExchange:
    """
    An enabled key exchange; :raises LookupError: if it is not.
    """
    for key_exchange in node.key_exchanges.values():
        if key_exchange.name == name:
            return key_exchange
    raise LookupError(f"the key exchange {name} is not enabled")


def domain_of(node: INode, payload: SecurityAssociation) -> IDomainOfInterpretation:
    """
    The domain of interpretation that an SA payload names.

    :raises DOINotSupported: if it is not enabled here.
    """
    doi = node.dois.get(payload.doi)
    if doi is None:
        enabled = ", ".join(f"{d.name} ({d.number})" for d in node.dois.values())
        raise DOINotSupported(
            Reason("domain of interpretation not enabled", str(payload.doi), enabled)
        )
    return doi


def offer_of(
    doi: IDomainOfInterpretation, payload: SecurityAssociation, lenient: Departures = NONE
) -> Offer:
    """
    An SA payload, understood.

    :param lenient: what is overlooked in it: the exchange's.
    :raises Malformed: or what the domain makes of the situation.
    """
    offer, departures = read_offer(doi, payload)
    if departures:
        judge(departures, lenient)
    return offer


def read_offer(
    doi: IDomainOfInterpretation, payload: SecurityAssociation
) -> tuple[Offer, Departures]:
    """
    An SA payload, understood, and in what it departs: for somebody else to judge.

    :raises Malformed: or what the domain makes of the situation.
    """
    offer = _known_offer if len(payload.body) <= _SHORT else _offer
    return offer(doi, payload.doi, payload.body)


def _offer(
    doi: IDomainOfInterpretation, number: int, body: bytes
) -> tuple[Offer, Departures]:
    reader = Reader(body)
    situation = doi.situation(reader)
    departures: set[str] = set()
    proposals = decode_proposals(reader, departures)
    if not proposals:
        raise BadProposalSyntax(Reason("an SA payload without a proposal"))
    return Offer(number, situation, suites_of(proposals)), frozenset(departures)


_SHORT = 1024
"""Octets of an offer that is remembered: what it takes in memory is bounded by that."""

# What begins an SA is the same for all peers of one make, and each time it is asked for again.
_known_offer = lru_cache(maxsize=64)(_offer)


def key_exchange_of(
    node: INode, number: int, proposals: tuple[Proposal, ...]
) -> IISAKMPKeyExchange:
    """
    The key exchange that a first message's offer asks for, by PROTO_ISAKMP's Transform-ID.

    :param number: the exchange type.
    :raises PeerError: if none of those offered is enabled, or it does not run this exchange.
    """
    asked = {
        transform.transform_id
        for proposal in proposals
        if proposal.protocol == ProtocolID.ISAKMP
        for transform in proposal.transforms
    }
    for transform_id, key_exchange in node.key_exchanges.items():
        if transform_id in asked:
            if number not in key_exchange.offers:
                raise UnsupportedExchangeType(
                    Reason(f"{key_exchange.name} does not run exchange type {number}")
                )
            return key_exchange
    if proposals and not asked:
        protocols = sorted({proposal.protocol for proposal in proposals})
        raise InvalidProtocolID(
            Reason(
                "a proposal of phase 1 that is not for PROTO_ISAKMP",
                ", ".join(f"Protocol-ID {number}" for number in protocols),
                str(ProtocolID.ISAKMP.value),
            )
        )
    if asked == {_RESERVED}:
        raise InvalidTransformID(Reason("the reserved Transform-ID", "0"))
    raise NoProposalChosen(
        Reason(
            "no key exchange in common",
            ", ".join(f"Transform-ID {n}" for n in sorted(asked)) or "none",
            ", ".join(k.name for k in node.key_exchanges.values()),
        )
    )


def path_of(connection: Connection, ports: IPorts) -> Path:
    """
    Where a connection's peer is to be found, by its configuration.

    :raises ConfigurationError: if it does not say, or nothing of ours reaches it.
    """
    remote = next(filter(_is_address, connection.remote), None)
    if remote is None:
        raise ConfigurationError(
            f"connection {connection.name} names no address of the peer: "
            "it can be answered, but not begun"
        )
    same_version = (text for text in connection.local if (":" in text) is (":" in remote))
    local = next(filter(_is_address, same_version), None)
    if local is None:
        source = ports.source(remote, connection.local_port)
    else:
        source = local, connection.local_port
    return Path(source, (remote, connection.remote_port))


def _is_address(text: str) -> bool:
    """Not a network, of which there are many."""
    return "/" not in text and "-" not in text
