"""
What an initiator adds to a refusal of its peer's: what was offered, and what to ask.

The peer says a number (RFC 2408 section 3.14.1).  What it was about, only this end can know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from isakmp.connections import Candidates, Child, Connection
from isakmp.errors import ExchangeTimeout, NotAccepted, PeerError, PeerRefused
from isakmp.exchange.phase1 import key_exchange_named
from isakmp.identity import Identity
from isakmp.interfaces import IExchange, IManagementSA, INegotiatingDomain
from isakmp.numbers import NotifyType
from isakmp.parts import ID, SA, Role
from isakmp.spelling import libreswan

_OTHER_EXCHANGE = (
    "The peer does not begin a connection in this way: ask its administrator whether it wants "
    "Identity Protection or Aggressive"
)

_OTHER_SUITE = (
    "Ask the peer's administrator which protocol, mode, algorithms and group for perfect forward "
    "secrecy the child has there, or to take one of those offered"
)

_REMEDIES: Mapping[int, str] = {
    NotifyType.NO_PROPOSAL_CHOSEN: "Ask the peer's administrator which proposals it takes for this "
    "connection, or to take one of those offered",
    NotifyType.INVALID_ID_INFORMATION: "Ask the peer's administrator for which identity and which "
    "traffic the connection is configured there",
    NotifyType.AUTHENTICATION_FAILED: "The peer does not know this end by its identity, or with "
    "another secret: compare both with its administrator",
    NotifyType.INVALID_KEY_INFORMATION: "The peer does not take the Diffie-Hellman group offered",
    NotifyType.INVALID_EXCHANGE_TYPE: _OTHER_EXCHANGE,
    NotifyType.UNSUPPORTED_EXCHANGE_TYPE: _OTHER_EXCHANGE,
    NotifyType.PAYLOAD_MALFORMED: "The peer could not read the message: the secrets may differ",
}


def explained(exchange: IExchange, order: object, error: PeerError) -> PeerError:
    """
    The error with what this end offered, and what to ask, where the peer cannot have said it.

    :param order: what the exchange was to negotiate.
    """
    reason = error.reason
    if exchange.role is not Role.INITIATOR or reason.offered:
        return error
    if exchange.sa is None and isinstance(error, (PeerRefused, NotAccepted)):
        if reason.arrow is not None and ID in reason.arrow:
            reason = error.reason = replace(reason, offered=f"this end as {_ours(exchange)}")
    if reason.remedy:
        return error
    if isinstance(error, PeerRefused):
        remedy = _REMEDIES.get(error.kind, "")
        offered: Sequence[str] = [reason.offered] if reason.offered else ()
        if error.kind == NotifyType.NO_PROPOSAL_CHOSEN:
            offered = _offered(exchange, order)
            if exchange.sa is not None:
                remedy = _OTHER_SUITE
            if offered:
                remedy += f" (in libreswan's words: {', '.join(map(libreswan, offered))})"
        elif error.kind == NotifyType.AUTHENTICATION_FAILED and exchange.sa is None:
            if reason.arrow is not None and SA in reason.arrow:
                remedy += f"; or it does not take {exchange.type.name} from this end"
        elif error.kind == NotifyType.INVALID_ID_INFORMATION and exchange.sa is not None:
            offered = _traffic(exchange, exchange.sa, order)
        error.reason = replace(
            reason, offered=", ".join(offered), remedy=f"{remedy}." if remedy else ""
        )
    elif isinstance(error, ExchangeTimeout) and exchange.sa is None:
        if reason.arrow is not None and SA in reason.arrow:
            error.reason = replace(
                reason,
                remedy="Its address may be another, UDP may be blocked, or it has no connection "
                "for this end and says nothing.",
            )
    return error


def _ours(exchange: IExchange) -> Identity:
    """Who we said we are."""
    connection = exchange.connection
    said = None if connection is None else connection.local_identity
    return said or Identity.address(exchange.path.local[0])


def _offered(exchange: IExchange, order: object) -> Sequence[str]:
    """What was offered, a suite each, in strongSwan's words."""
    if exchange.sa is None:
        connection = cast("Candidates[Connection]", order).first
        key_exchange = key_exchange_named(exchange.node, connection.key_exchange)
        return [key_exchange.spell(suite) for suite in connection.suites]
    doi = exchange.doi
    if not INegotiatingDomain.providedBy(doi):
        return ()
    return [doi.spell(suite) for child in _children(order) for suite in child.suites]


def _traffic(exchange: IExchange, sa: IManagementSA, order: object) -> Sequence[str]:
    """What the children are for: the identities that were sent (RFC 2409 section 5.5)."""
    policies = (exchange.node.policy.proposed(sa, child) for child in _children(order))
    return [policy.traffic for policy in policies]


def _children(order: object) -> Sequence[Child]:
    """Those that an exchange under an SA was to negotiate; none if it was to do something else."""
    return [one for one in cast("Sequence[object]", order or ()) if isinstance(one, Child)]
