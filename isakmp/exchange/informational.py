"""
The Informational exchange.  RFC 2408 section 4.8: one message, one way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from zope.interface import implementer

from isakmp.connections import Connection
from isakmp.errors import InvalidFlags, Reason
from isakmp.interfaces import (
    IExchange,
    IExchangeType,
    IKeyExchangeMethod,
    IManagementSA,
    IMessageProtection,
    Sealed,
)
from isakmp.numbers import ExchangeType
from isakmp.parts import NOTICES, Part
from isakmp.wire.message import Message
from isakmp.wire.payloads import PAYLOADS, Delete, Notification, Payload


@implementer(IExchangeType)
class Informational:
    """
    Notifications and Deletes under an SA.

    RFC 2408 section 3.1 lets a notification travel proven and in clear text: see
    :class:`AuthenticatedOnly`.
    """

    number = int(ExchangeType.INFORMATIONAL)
    name = "Informational"
    payloads: Mapping[int, type[Payload]] = PAYLOADS
    sealed = Sealed.OPTIONAL
    one_way = True
    establishes = False
    waits_for_cookie = False

    def hashed(self, sa: IManagementSA, message_id: bytes, nonces: bytes, rest: bytes) -> bytes:
        """HASH(1) of RFC 2409 section 5.7: the message id and what follows."""
        return sa.authenticate(message_id + rest)

    def method(self, exchange: IExchange, order: object) -> IKeyExchangeMethod:
        """
        :param order: the payloads to send, or :class:`AuthenticatedOnly`.
        """
        if isinstance(order, AuthenticatedOnly):
            exchange.authenticate_only()
            return Notices(order.notifications, alone=True)
        return Notices(cast("Sequence[Payload]", order or ()))

    async def run(self, exchange: IExchange) -> object:
        """
        ::

            Initiator                     Responder
            HDR*; N/D             -->
        """
        await exchange.initiator(NOTICES)
        return await exchange.method.established()


@dataclass(frozen=True, slots=True)
class AuthenticatedOnly:
    """
    The order of an Informational exchange whose message is proven and not encrypted: the
    Authentication Only flag of RFC 2408 section 3.1, for emergencies.

    Anybody on the way can read it, so it has notifications only, and nothing rides with them.

    :raises ValueError: if there is none, or something else.
    """

    notifications: tuple[Notification, ...]

    def __post_init__(self) -> None:
        others = [n for n in self.notifications if not isinstance(n, Notification)]
        if others or not self.notifications:
            raise ValueError("only notifications may travel unencrypted under an SA")


def check_authentication_only(message: Message) -> None:
    """
    What a proven message with the Authentication Only flag says.  RFC 2408 section 3.1.

    :raises InvalidFlags: if it is not notifications alone: the flag is for nothing else.
    """
    others = [type(p).__name__ for p in message.payloads if not isinstance(p, Notification)]
    if others or not message.payloads:
        raise InvalidFlags(
            Reason(
                "authentication only is for notifications",
                ", ".join(others) or "none",
                "notifications",
            )
        )


@implementer(IKeyExchangeMethod)
class Notices:
    """
    What an Informational exchange consists of: what is said comes from the order, nothing is
    agreed.  Its result is the Notification and Delete payloads.

    :param alone: whether nothing may ride with them.
    """

    connection: Connection | None = None

    def __init__(self, notices: Sequence[Payload], alone: bool = False) -> None:
        self._notices = tuple(notices)
        self._alone = alone

    def expects(self, parts: frozenset[Part]) -> Sequence[type[Payload]]:
        """Nothing in particular."""
        return ()

    async def say(self, parts: frozenset[Part], riding: Sequence[Payload]) -> Sequence[Payload]:
        """What was ordered."""
        return self._notices if self._alone else [*self._notices, *riding]

    async def hear(self, parts: frozenset[Part], message: Message) -> Message:
        """Keep what this exchange is for; anything else is nobody's business here."""
        self._notices = tuple(p for p in message.payloads if isinstance(p, (Notification, Delete)))
        return message

    async def protection(self) -> IMessageProtection:
        """Never asked: under an SA the exchange is sealed from birth."""
        raise RuntimeError("an Informational exchange derives no keys")

    async def established(self) -> object:
        """The payloads said, or heard."""
        return self._notices


INFORMATIONAL: IExchangeType = Informational()
"""The one that there is."""
