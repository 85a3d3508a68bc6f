"""
Who the peer of phase 1 says it is, and which connections are for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from isakmp.connections import Candidates, Connection
from isakmp.errors import InvalidIdentity, NoConnection, Reason
from isakmp.identity import Identity
from isakmp.interfaces import IDomainOfInterpretation
from isakmp.paths import Path, endpoint
from isakmp.wire.payloads import Identification

_UDP = 17
_PORTS: Mapping[int, tuple[int, ...]] = {0: (0,), _UDP: (0, 500, 4500)}
"""
By protocol the ports that a phase-1 identity may name: RFC 2407 section 4.6.2 has 0/0 and 17/500;
peers are known that say 17/0, or, behind a NAT, 17/4500.
"""


def claimed(doi: IDomainOfInterpretation, payload: Identification) -> Identity:
    """
    Who that is.

    :raises InvalidIdentity: if it is no identity, or none of phase 1.
    """
    identity = doi.identity(payload.kind, payload.protocol, payload.port, payload.data)
    if identity.port not in _PORTS.get(identity.protocol, ()):
        raise InvalidIdentity(
            Reason(
                "protocol and port of an identity in phase 1",
                f"{identity.protocol}/{identity.port}",
                "0/0 or 17/500",
            )
        )
    return identity


def for_peer(
    identity: Identity, candidates: Candidates[Connection]
) -> Candidates[Connection]:
    """
    The connections that are for this peer.

    :raises InvalidIdentity: if none is.
    """
    return candidates.narrow(
        "identity",
        identity,
        lambda c: c.remote_identity,
        lambda c: c.remote_identity.matches(identity),
        InvalidIdentity,
        remedy="Compare the remote id configured here with the local id of the peer.",
    )


def for_somebody(path: Path, candidates: Candidates[Connection]) -> Candidates[Connection]:
    """
    The connections that name a peer: what is said in Aggressive Mode before the peer is known can
    be tried against its secret.

    :param path: to who asks.
    :raises NoConnection: if none does.
    """
    return candidates.narrow(
        "nobody in particular is answered in Aggressive Mode",
        endpoint(path.remote),
        lambda c: "any peer",
        lambda c: c.names_peer,
        NoConnection,
        "Name the peer, by its identity or its address.",
    )
