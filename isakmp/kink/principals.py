"""
Who is who: principals in a configuration, and the connection that a principal means.

A principal is case sensitive (RFC 4430 section 4.2.1), unlike the identities it is spelled like.
"""

from __future__ import annotations

from isakmp.connections import Connection
from isakmp.errors import ConfigurationError, NoConnection, Reason
from isakmp.identity import Identity, IdentityPattern
from isakmp.interfaces import INode
from isakmp.kink.kerberos import IAPRequest, KerberosRefusal
from isakmp.kink.numbers import KerberosError
from isakmp.kink.session import NAME, identity
from isakmp.numbers import IdentityType
from isakmp.paths import Path

EXCHANGE = 0
"""What a connection has in place of one of RFC 2408's exchange types."""


def principal_of(connection: Connection, whose: Identity | None, end: str) -> str:
    """
    The principal of one end.

    :param end: for the message.
    :raises ConfigurationError: if none is said, or what is said is none.
    """
    if whose is None or whose.kind != IdentityType.USER_FQDN:
        raise ConfigurationError(
            f"connection {connection.name}: {end}.id is {whose or 'not said'}, and {NAME} needs a "
            "principal, as in kink/host.example.org@EXAMPLE.ORG"
        )
    return whose.data.decode("ascii")


def matches(pattern: IdentityPattern, principal: str) -> bool:
    """Whether a connection is for this principal."""
    exact = pattern.exact
    if exact is not None:
        return exact.kind == IdentityType.USER_FQDN and exact.data == principal.encode()
    return pattern.matches(identity(principal))


def connection_of(node: INode, request: IAPRequest, path: Path, doi: int) -> Connection:
    """
    The connection that a principal means, who has proven to be it.

    :raises KerberosRefusal: if nothing here is the service that it asked for.
    :raises NoConnection: if no connection is for it.
    """
    found = node.policy.candidates(path, doi, EXCHANGE)
    served = [c for c in found.remaining if c.key_exchange == NAME]
    ours = [c for c in served if _names(c.local_identity, request.ours)]
    if not ours:
        configured = ", ".join(str(c.local_identity) for c in served)
        reason = Reason("we are not this principal", request.ours, configured, "", found.rejected)
        raise KerberosRefusal(reason, KerberosError.NOT_US, request.key)
    for connection in ours:
        if matches(connection.remote_identity, request.theirs):
            return connection
    configured = ", ".join(str(c.remote_identity) for c in ours)
    raise NoConnection(Reason("no connection is for this principal", request.theirs, configured))


def _names(whose: Identity | None, principal: str) -> bool:
    return (
        whose is not None
        and whose.kind == IdentityType.USER_FQDN
        and whose.data == principal.encode()
    )
