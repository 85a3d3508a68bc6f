"""
RESPONDER-LIFETIME about an ISAKMP SA: RFC 2407 section 4.6.3.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from isakmp.associations import Lifetime
from isakmp.interfaces import IExchange, ILifetimeNotices
from isakmp.numbers import ProtocolID
from isakmp.parts import INITIATOR, RESPONDER
from isakmp.wire.message import Flags, Message
from isakmp.wire.payloads import Notification, Payload

_ENCRYPTION = int(Flags.ENCRYPTION)

_UNBOUNDED = Lifetime()


def notice(exchange: IExchange, ours: Lifetime, offered: Lifetime) -> Sequence[Payload]:
    """
    As responder, in a sealed message: if the SA lives shorter for us than was offered.

    :param ours: what is configured.
    """
    doi = exchange.doi
    if exchange.role is not RESPONDER or exchange.protection is None:
        return ()
    lifetime = ours.shorter(offered)
    if lifetime == offered or not ILifetimeNotices.providedBy(doi):
        return ()
    return (doi.lifetime_notice(ProtocolID.ISAKMP, exchange.cookies.octets, lifetime),)


def noticed(exchange: IExchange, message: Message) -> Lifetime:
    """
    As initiator: what the responder says in a sealed message, beside a proof that was checked.
    """
    doi, said = exchange.doi, _UNBOUNDED
    if exchange.role is not INITIATOR or not message.flags & _ENCRYPTION:
        return said
    if ILifetimeNotices.providedBy(doi):
        for notification in message.all(Notification):
            if notification.protocol == ProtocolID.ISAKMP:
                said = said.shorter(doi.noticed_lifetime(notification) or _UNBOUNDED)
    return said
