"""
What a Notification or Delete payload has to be to be heeded.  RFC 2408 sections 5.14 and 5.15.

One that is not is discarded, alone, and nobody is told: it came in an Informational exchange.
"""

from __future__ import annotations

from isakmp.errors import DOINotSupported, InvalidMessageType, InvalidSPI, Reason
from isakmp.interfaces import IDomainOfInterpretation
from isakmp.numbers import DOI, ProtocolID
from isakmp.wire.payloads import Delete, Notification

_COOKIES = 16
"""Octets of both: the SPI of an ISAKMP SA."""

_RESERVED = (range(1), range(31, 8192), range(16385, 24576), range(40960, 65536))
"""
Notify Message Types that mean nothing.  RFC 2408 section 3.14.1; what is for private use or for a
domain is not among them.
"""


def check_notification(doi: IDomainOfInterpretation, notification: Notification) -> None:
    """
    :param doi: of the SA under which it came, or of the exchange.
    :raises DOINotSupported: if it is of another domain, and not of ISAKMP's.
    :raises InvalidProtocolID: if its Protocol-ID has no meaning there.
    :raises InvalidSPI: if it names what cannot be.  None, or zero, names nothing.
    :raises InvalidMessageType: if its type is reserved.
    """
    _check_domain(doi, notification.doi)
    protocol, spi = notification.protocol, notification.spi
    if protocol == ProtocolID.ISAKMP:
        # Section 3.14: from 0 to 16 octets, whose content does not matter.
        if len(spi) > _COOKIES:
            raise _wrong_size(spi)
    elif any(spi):
        doi.check_spi(protocol, spi)
    else:
        doi.check_spi(protocol, _SOME)
    check_type(notification)


def check_type(notification: Notification) -> None:
    """
    All that can be asked of one in clear text, about an exchange whose domain is not known yet.

    :raises InvalidMessageType: if its type is reserved.
    """
    if any(notification.kind in reserved for reserved in _RESERVED):
        raise InvalidMessageType(Reason("a reserved Notify Message Type", str(notification.kind)))


_SOME = b"\xff" * 4
"""An SPI, where only the protocol is in question."""


def check_delete(doi: IDomainOfInterpretation, delete: Delete) -> None:
    """
    :raises DOINotSupported: if it is of another domain, and not of ISAKMP's.
    :raises InvalidProtocolID: if its Protocol-ID has no meaning there.
    :raises InvalidSPI: if none of its SPIs can name anything; among others, such are passed over.
    """
    _check_domain(doi, delete.doi)
    fault: InvalidSPI | None = None
    for spi in delete.spis:
        if delete.protocol == ProtocolID.ISAKMP:
            if len(spi) == _COOKIES:
                return
            fault = fault or _wrong_size(spi)
        else:
            try:
                doi.check_spi(delete.protocol, spi)
                return
            except InvalidSPI as error:
                fault = fault or error
    if fault is not None:
        raise fault


def _check_domain(doi: IDomainOfInterpretation, number: int) -> None:
    if number not in (DOI.ISAKMP, doi.number):
        raise DOINotSupported(
            Reason("another domain than the ISAKMP SA's", str(number), f"{doi.number} or 0")
        )


def _wrong_size(spi: bytes) -> InvalidSPI:
    return InvalidSPI(Reason("an SPI of PROTO_ISAKMP", f"{len(spi)} octets", f"{_COOKIES} octets"))
