"""
Which traffic a child is for, as two Identification payloads say it: the initiator's end first.

RFC 2408 section 3.8 leaves the types of identity to the domain of interpretation; where they name
addresses, they are selectors, and otherwise names, which are compared whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from isakmp.associations import ChildPolicy
from isakmp.identity import Identities, Identity, TrafficSelector
from isakmp.interfaces import IExchange
from isakmp.parts import INITIATOR
from isakmp.wire.payloads import Identification

Traffic = tuple[TrafficSelector, TrafficSelector, Identities | None]


def traffic_of(exchange: IExchange, payloads: Sequence[Identification]) -> Traffic:
    """
    What two Identification payloads, the initiator's end first, say of the traffic: at our end, at
    the peer's, and both identities if they do not name it by addresses.

    Without payloads, or addresses in them, the hosts themselves.

    :raises InvalidIdentity: if the domain of interpretation does not take one.
    """
    initiating = exchange.role is INITIATOR
    named = None
    if payloads:
        ends = [_identity(exchange, payload) for payload in payloads]
        ours, theirs = ends if initiating else reversed(ends)
        if ours.bounds is not None and theirs.bounds is not None:
            return TrafficSelector.of(ours), TrafficSelector.of(theirs), None
        named = Identities(ours, theirs)
    path = exchange.path
    return TrafficSelector.host(path.local[0]), TrafficSelector.host(path.remote[0]), named


def identifications(
    exchange: IExchange, policy: ChildPolicy
) -> tuple[Identification, Identification]:
    """
    What names a child's traffic, our end first.

    :raises ConfigurationError: if the domain of interpretation has no way to say it.
    """
    named = policy.identities
    if named is None:
        named = Identities(policy.local.identity(), policy.remote.identity())
    ours, theirs = (
        Identification(one.kind, one.protocol, one.port, one.data)
        for one in map(exchange.doi.identification, (named.ours, named.theirs))
    )
    return ours, theirs


def _identity(exchange: IExchange, payload: Identification) -> Identity:
    return exchange.doi.identity(payload.kind, payload.protocol, payload.port, payload.data)
