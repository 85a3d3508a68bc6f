"""
What the framework's exchange types have in common: where their method comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from isakmp.associations import Offer, suites_of
from isakmp.connections import Candidates, Connection
from isakmp.errors import (
    BadProposalSyntax,
    ConfigurationError,
    DOINotSupported,
    NoProposalChosen,
    Reason,
    UnsupportedExchangeType,
)
from isakmp.interfaces import (
    IDomainOfInterpretation,
    IExchange,
    IISAKMPKeyExchange,
    IKeyExchangeMethod,
    IManagementSA,
    INode,
    Sealed,
)
from isakmp.numbers import ProtocolID
from isakmp.wire.payloads import PAYLOADS, Payload, SecurityAssociation
from isakmp.wire.proposals import Proposal, decode_proposals
from isakmp.wire.reader import Reader


class Phase1Type:
    """
    An exchange type of RFC 2408 section 4 that begins an ISAKMP SA with any key exchange.

    :cvar waits_for_cookie: see :class:`~isakmp.interfaces.IExchangeType`.
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
        The method of the key exchange that the connection names, or the offer does.

        :param order: the candidates: one connection to begin; all that are possible to answer.
        """
        candidates = cast("Candidates[Connection]", order)
        name = candidates.first.key_exchange
        for key_exchange in exchange.node.key_exchanges.values():
            if key_exchange.name == name:
                if self.number not in key_exchange.offers:
                    raise ConfigurationError(f"{name} does not run {self.name}")
                return key_exchange.method(exchange, candidates)
        raise ConfigurationError(f"the key exchange {name} is not enabled")


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


def offer_of(doi: IDomainOfInterpretation, payload: SecurityAssociation) -> Offer:
    """
    An SA payload, understood.

    :raises Malformed: or what the domain makes of the situation.
    """
    reader = Reader(payload.body)
    situation = doi.situation(reader)
    proposals = decode_proposals(reader)
    if not proposals:
        raise BadProposalSyntax(Reason("an SA payload without a proposal"))
    return Offer(payload.doi, situation, suites_of(proposals))


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
    raise NoProposalChosen(
        Reason(
            "no key exchange in common",
            ", ".join(f"Transform-ID {n}" for n in sorted(asked)) or "none",
            ", ".join(k.name for k in node.key_exchanges.values()),
        )
    )
