"""
The exchange types: RFC 2408's own, and where the others are found.
"""

from __future__ import annotations

from collections.abc import Mapping

from isakmp.errors import InvalidExchangeType, Reason
from isakmp.exchange.identity_protection import IdentityProtection
from isakmp.exchange.informational import Informational
from isakmp.interfaces import IExchangeType, IISAKMPKeyExchange, IManagementSA, INode
from isakmp.wire.message import CookiePair

INFORMATIONAL = Informational()

PHASE_1: Mapping[int, IExchangeType] = {kind.number: kind for kind in (IdentityProtection(),)}
"""What can begin an SA."""

_FIRST_OF_DOI = 32
"""RFC 2408 section 3.1: exchange types from here on belong to the domain of interpretation."""


def cookies_of(sa: IManagementSA) -> CookiePair:
    """
    The two cookies that name an ISAKMP SA.

    :raises TypeError: if it is no ISAKMP SA, but a session of a key exchange with another header.
    """
    if not isinstance(sa.key, CookiePair):
        raise TypeError(f"{sa.key} names no ISAKMP SA")
    return sa.key


def key_exchange_named(node: INode, name: str) -> IISAKMPKeyExchange:
    """
    An enabled key exchange; :raises LookupError: if it is not.
    """
    for key_exchange in node.key_exchanges.values():
        if key_exchange.name == name:
            return key_exchange
    raise LookupError(f"the key exchange {name} is not enabled")


def types_under(node: INode, sa: IManagementSA) -> Mapping[int, IExchangeType]:
    """
    The exchange types that can run under an SA.

    A domain of interpretation that has types of its own has no others from 32 on.
    """
    own = node.dois[sa.doi].exchange_types
    theirs = key_exchange_named(node, sa.owner).exchange_types
    types: dict[int, IExchangeType] = {INFORMATIONAL.number: INFORMATIONAL}
    types.update((kind.number, kind) for kind in theirs if not own or kind.number < _FIRST_OF_DOI)
    types.update((kind.number, kind) for kind in own)
    return types


def exchange_type(node: INode, sa: IManagementSA, number: int) -> IExchangeType:
    """
    The exchange type of this number under an SA.

    :raises InvalidExchangeType: if there is none.
    """
    own = node.dois[sa.doi].exchange_types
    for kind in own:
        if kind.number == number:
            return kind
    if not own or number < _FIRST_OF_DOI:
        for kind in key_exchange_named(node, sa.owner).exchange_types:
            if kind.number == number:
                return kind
    if number == INFORMATIONAL.number:
        return INFORMATIONAL
    raise InvalidExchangeType(Reason("exchange type", str(number)))


def establishing_type(node: INode, sa: IManagementSA) -> IExchangeType:
    """
    The exchange type that makes a connection's children; :raises LookupError: without one.
    """
    for kind in types_under(node, sa).values():
        if kind.establishes:
            return kind
    raise LookupError(f"no exchange type establishes SAs under DOI {sa.doi}")
