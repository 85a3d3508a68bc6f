"""
RESPONDER-LIFETIME: a responder says that its lifetime is shorter than what it was offered.

RFC 2407 section 4.6.3.1.  The data are attributes: of an ISAKMP SA those of RFC 2409 appendix A, as
Cisco's and KAME's implementations write them; of others those of RFC 2407 section 4.5.
"""

from __future__ import annotations

from isakmp.associations import Lifetime
from isakmp.doi.transforms import LONGEST
from isakmp.errors import Malformed
from isakmp.numbers import (
    DOI,
    IPsecAttribute,
    LifeType,
    NotifyType,
    Phase1Attribute,
    ProtocolID,
)
from isakmp.wire.attributes import Attribute, attributes_of, encode_attributes
from isakmp.wire.payloads import Notification

_LONGEST_DURATION = 8
"""Octets that are read of one; a longer one says no shorter life."""


def _numbers(protocol: int) -> tuple[int, int]:
    """The attributes for the type of a life, and for its duration."""
    if protocol == ProtocolID.ISAKMP:
        return Phase1Attribute.LIFE_TYPE, Phase1Attribute.LIFE_DURATION
    return IPsecAttribute.SA_LIFE_TYPE, IPsecAttribute.SA_LIFE_DURATION


def lifetime_notice(protocol: int, spi: bytes, lifetime: Lifetime) -> Notification:
    """
    Says how long an SA lives for us.

    :param spi: what we receive by; both cookies for an ISAKMP SA.
    """
    unit_number, number = _numbers(protocol)
    attributes: list[Attribute] = []
    for unit, amount in (
        (LifeType.SECONDS, lifetime.seconds),
        (LifeType.KILOBYTES, lifetime.kilobytes),
    ):
        if amount:
            attributes.append(Attribute.tv(unit_number, unit))
            attributes.append(
                Attribute.tv(number, amount)
                if amount < 0x10000
                else Attribute.tlv(number, min(amount, LONGEST))
            )
    data = encode_attributes(attributes)
    return Notification(DOI.IPSEC, protocol, NotifyType.RESPONDER_LIFETIME, spi, data)


def noticed_lifetime(notification: Notification) -> Lifetime | None:
    """
    The life that one says an SA has; None: it is no such notification, or says nothing of use.

    Its SPI is not looked at: the exchange that it came in says which SA it is about, and peers
    differ in whose SPI they name.
    """
    if notification.kind != NotifyType.RESPONDER_LIFETIME or notification.doi != DOI.IPSEC:
        return None
    unit_number, number = _numbers(notification.protocol)
    found: dict[int, int] = {}
    unit = 0
    try:
        attributes = attributes_of(notification.data)
    except Malformed:
        return None
    for attribute in attributes:
        if attribute.kind == unit_number and len(attribute.value) <= _LONGEST_DURATION:
            unit = int.from_bytes(attribute.value, "big")
        elif attribute.kind == number and unit and len(attribute.value) <= _LONGEST_DURATION:
            found.setdefault(unit, min(int.from_bytes(attribute.value, "big"), LONGEST))
    lifetime = Lifetime(found.get(LifeType.SECONDS, 0), found.get(LifeType.KILOBYTES, 0))
    return lifetime if lifetime != Lifetime() else None
