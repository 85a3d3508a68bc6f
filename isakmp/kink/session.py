"""
What KINK has in place of an ISAKMP SA: a principal in one of its epochs.  RFC 4430 section 3.7.

The registry holds one as long as SAs stand that were made with this principal since then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from isakmp.associations import Lifetime, SABundle, Session
from isakmp.crypto.keys import keymat
from isakmp.events import Removal, Removed
from isakmp.exchange.phase2 import Agreement
from isakmp.identity import Identity
from isakmp.interfaces import (
    Expiry,
    IExchangeType,
    IKeyAgreement,
    IManagementSA,
    IMessageProtection,
    INode,
)
from isakmp.kink.kerberos import ISessionKey
from isakmp.logs import Logger
from isakmp.numbers import IdentityType
from isakmp.parts import Role
from isakmp.paths import Path

NAME = "kink"
"""Of the key exchange, in configuration and logs."""


def identity(principal: str) -> Identity:
    """
    A principal as an identity: there is no type for it (RFC 2407 section 4.6.2.1), and
    ``name@realm`` is how both are spelled.
    """
    return Identity(IdentityType.USER_FQDN, 0, 0, principal.encode())


@dataclass(frozen=True, slots=True)
class _Described:
    """What the log says of how it is protected."""

    spelled: str = "tickets"


@implementer(IManagementSA)
@dataclass(frozen=True, slots=True, eq=False)
class TicketSession:
    """
    Implements IManagementSA with the session key of a ticket.

    :ivar ticket_key: of the ticket that the last transaction was under; each ticket has its own.
    """

    key: Session
    role: Role
    doi: int
    ours: Identity
    theirs: Identity
    connection: str
    path: Path
    ticket_key: ISessionKey = field(repr=False)
    lifetime: Lifetime = Lifetime()
    owner: str = NAME
    parameters: _Described = _Described()

    def permits(self, number: int) -> bool:
        """Nothing: RFC 2408's exchanges do not run here."""
        return False

    def protection(self, kind: IExchangeType, message_id: int) -> IMessageProtection:
        """:raises TypeError: RFC 2408's exchanges do not run here."""
        raise TypeError(f"{kind.name} does not run in a session by tickets")

    def authenticate(self, octets: bytes) -> bytes:
        """:raises TypeError: KINK has no HASH payloads (RFC 4430 section 5)."""
        raise TypeError("there are no HASH payloads in a session by tickets")

    def derive(self, seed: bytes, length: int) -> bytes:
        """KEYMAT, with the session key as SKEYID_d.  RFC 4430 section 7."""
        return keymat(self.ticket_key.prf, seed, length)

    def agreement(self, number: int) -> IKeyAgreement:
        """Our half of a new Diffie-Hellman agreement; :raises LookupError: unknown group."""
        return Agreement(number)


class Sessions:
    """
    The sessions of a node.
    """

    _log = Logger()

    def __init__(self, node: INode) -> None:
        self._node = node
        self._unsubscribe: Callable[[], None] = node.events.subscribe(Removed, self._removed)

    def stop(self) -> None:
        """Listen no longer."""
        self._unsubscribe()

    def all(self) -> list[TicketSession]:
        """Every one that stands, the oldest first."""
        return [sa for sa in self._node.registry if isinstance(sa, TicketSession)]

    def with_peer(self, principal: str) -> TicketSession | None:
        """The session with a principal; upper and lower case differ."""
        for sa in reversed(self._node.registry.by_peer(identity(principal))):
            if isinstance(sa, TicketSession) and sa.key.principal == principal:
                return sa
        return None

    def heard(self, principal: str, epoch: int) -> None:
        """
        A principal has proven in which epoch it is: all that was made in another is void.

        RFC 4430 section 3.7.
        """
        for sa in self._node.registry.by_peer(identity(principal)):
            if isinstance(sa, TicketSession) and sa.key.principal == principal:
                if sa.key.epoch != epoch:
                    self.gone(sa, Removal.PEER_RESTARTED)

    def gone(self, session: TicketSession, why: Removal) -> None:
        """The peer has nothing of it any more: remove it and its children, and tell nobody."""
        registry = self._node.registry
        for bundle in registry.children(session.key):
            registry.remove(bundle, why).addErrback(self._could_not, "remove a bundle")
            self._node.sink.remove(bundle).addErrback(self._could_not, "remove a bundle")
        self._remove(session, why)

    async def keep(self, session: TicketSession) -> None:
        """Have it in the registry, where the peer is now."""
        registry = self._node.registry
        known = registry.find(session.key)
        if known is None:
            await registry.add(session, Expiry())
        elif isinstance(known, TicketSession) and known.path != session.path:
            await registry.replace(known, replace(session, role=known.role))

    def drop_childless(self, key: Session, why: Removal) -> None:
        """It stands for its children."""
        session = self._node.registry.find(key)
        if isinstance(session, TicketSession) and not self._node.registry.children(key):
            self._remove(session, why)

    def _removed(self, event: Removed) -> None:
        if isinstance(event.sa, SABundle) and isinstance(event.sa.parent, Session):
            self.drop_childless(event.sa.parent, event.why)

    def _remove(self, session: TicketSession, why: Removal) -> None:
        removed: Deferred[None] = self._node.registry.remove(session, why)
        removed.addErrback(self._could_not, "remove a session")

    def _could_not(self, failure: Failure, what: str) -> None:
        self._log.failure("could not {what}", failure, what=what)
