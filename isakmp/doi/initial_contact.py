"""
INITIAL-CONTACT: telling a peer that we remember nothing of it, and being told.

RFC 2407 section 4.6.3.3.  It rides with the last messages of Main Mode, encrypted but not hashed
there (section 4.6.3), so it counts only when the exchange has succeeded.  Never sent in Aggressive
Mode: "these messages MUST NOT be sent in Aggressive Mode exchange".  Some peers do, in its third
message; if that was encrypted it counts here like that of Main Mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from zope.interface import implementer

from isakmp.connections import Connection
from isakmp.identity import Identity
from isakmp.interfaces import Effect, IExchange, IManagementSA, IRider
from isakmp.numbers import DOI, ExchangeType, NotifyType, ProtocolID
from isakmp.parts import AUTH, ID, Arrow
from isakmp.wire.message import Flags, Message
from isakmp.wire.payloads import Identification, Notification, Payload

_ENCRYPTION = int(Flags.ENCRYPTION)


class _StartsAfresh(Protocol):
    """What the framework's endpoint can do for this rider."""

    def started_afresh(self, sa: IManagementSA) -> object:
        """Remove the other SAs of this SA's peer: it has none of them."""


@implementer(IRider)
class InitialContact:
    """
    Implements IRider: says INITIAL-CONTACT where it is true, and notes the peer's.

    It is said if nothing else stands with the connection, nor with the peer by another: an SA of
    ours that the peer then removes would have been in use.
    """

    def __init__(self) -> None:
        self._heard = False
        self._theirs: Identity | None = None

    def outgoing(self, exchange: IExchange, arrow: Arrow) -> Sequence[Payload]:
        """The notification beside our proof, in the format that charon sends."""
        connection = exchange.connection
        if (
            AUTH not in arrow
            or exchange.sa is not None
            or exchange.protection is None
            or exchange.number == ExchangeType.AGGRESSIVE
            or exchange.doi.number != DOI.IPSEC
            or connection is None
            or not connection.initial_contact
            or self._known(exchange, connection)
        ):
            return ()
        return (
            Notification(
                DOI.IPSEC,
                ProtocolID.ISAKMP,
                NotifyType.INITIAL_CONTACT,
                exchange.cookies.octets,
                b"",
            ),
        )

    def _known(self, exchange: IExchange, connection: Connection) -> bool:
        """Whether something stands with the peer: who it is an initiator knows by configuration."""
        registry = exchange.node.registry
        if registry.stands(connection.name):
            return True
        theirs = self._theirs or connection.remote_identity.exact
        if theirs is not None:
            return bool(registry.by_peer(theirs))
        address = exchange.path.remote[0]
        return any(IManagementSA.providedBy(sa) and sa.path.remote[0] == address for sa in registry)

    def incoming(self, exchange: IExchange, arrow: Arrow, message: Message) -> None:
        """Note who the peer is, and whether it says so, of this SA, and encrypted."""
        if exchange.sa is not None:
            return
        # Where no identity belongs nobody has looked at it, and it may be anything.
        for said in message.all(Identification) if ID in arrow else ():
            self._theirs = exchange.doi.identity(said.kind, said.protocol, said.port, said.data)
        if (
            exchange.protection is not None
            and message.flags & _ENCRYPTION
            and any(
                notification.spi == exchange.cookies.octets
                and exchange.doi.notified(notification) is Effect.START_AFRESH
                for notification in message.all(Notification)
            )
        ):
            self._heard = True

    def established(self, exchange: IExchange, sa: IManagementSA) -> None:
        """Have the other SAs of the peer removed, if it said so."""
        if self._heard:
            endpoint = cast(_StartsAfresh, exchange.node.endpoints["isakmp"])
            endpoint.started_afresh(sa)
