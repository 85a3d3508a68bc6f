"""
The exchange types: RFC 2408's own, and where the others are found.
"""

from __future__ import annotations

from collections.abc import Mapping

from isakmp.errors import ConfigurationError, InvalidExchangeType, Reason
from isakmp.exchange.aggressive import Aggressive
from isakmp.exchange.authentication_only import AuthenticationOnly
from isakmp.exchange.base import Base
from isakmp.exchange.identity_protection import IdentityProtection
from isakmp.exchange.informational import INFORMATIONAL
from isakmp.exchange.phase1 import key_exchange_named
from isakmp.interfaces import IExchangeType, IManagementSA, INode
from isakmp.wire.message import CookiePair

PHASE_1: Mapping[int, IExchangeType] = {
    kind.number: kind
    for kind in (Base(), IdentityProtection(), AuthenticationOnly(), Aggressive())
}
"""What can begin an SA, and under one negotiate."""

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


def types_under(node: INode, sa: IManagementSA) -> Mapping[int, IExchangeType]:
    """
    The exchange types that can run under an SA.

    A domain of interpretation that has types of its own has no others from 32 on.
    """
    own = node.dois[sa.doi].exchange_types
    owner = key_exchange_named(node, sa.owner)
    theirs = owner.exchange_types
    types: dict[int, IExchangeType] = {INFORMATIONAL.number: INFORMATIONAL}
    types.update((number, PHASE_1[number]) for number in owner.offers_phase_2)
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
    if number in PHASE_1 and number in key_exchange_named(node, sa.owner).offers_phase_2:
        return PHASE_1[number]
    raise InvalidExchangeType(Reason("exchange type", str(number)))


def establishing_type(node: INode, sa: IManagementSA, number: int = 0) -> IExchangeType:
    """
    The exchange type that makes a connection's children.

    :param number: what the connection says; 0: the one that the domain of interpretation or the key
        exchange has for that, or the first of the framework's that the key exchange runs under its
        SAs.
    :raises LookupError: without one.
    :raises ConfigurationError: if the one that the connection says makes none.
    """
    types = types_under(node, sa)
    negotiated = key_exchange_named(node, sa.owner).offers_phase_2
    if number:
        kind = types.get(number)
        if kind is None or not (kind.establishes or number in negotiated):
            raise ConfigurationError(
                f"exchange type {number} makes no children under an SA of {sa.owner}"
            )
        return kind
    for kind in types.values():
        if kind.establishes:
            return kind
    for first in negotiated:
        return PHASE_1[first]
    raise LookupError(f"no exchange type establishes SAs under DOI {sa.doi}")
