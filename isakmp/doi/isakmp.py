"""
The generic domain of interpretation: DOI 0, ISAKMP itself.

RFC 2408 section 3.4: in phase 1 it stands for an SA under which any protocol may be negotiated.  It
has no security protocols but ISAKMP (appendix A.3), so nothing is negotiated in it in phase 2.

Its situation: section 3.4 wants that field present and leaves its form to each domain, but no
document gives DOI 0 one.  So it has no octets; OpenBSD's isakmpd takes it the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from zope.interface import implementer

from isakmp.associations import SPIKey
from isakmp.errors import ConfigurationError, InvalidIdentity, InvalidProtocolID, Reason
from isakmp.identity import Identity
from isakmp.interfaces import Effect, IDomainOfInterpretation, IExchangeType
from isakmp.numbers import DOI, IdentityType, ISAKMPIdentityType
from isakmp.paths import Path
from isakmp.wire.payloads import Delete, Notification
from isakmp.wire.reader import Reader

_KINDS: Mapping[int, IdentityType] = MappingProxyType(
    {
        ISAKMPIdentityType.IPV4_ADDR: IdentityType.IPV4_ADDR,
        ISAKMPIdentityType.IPV4_ADDR_SUBNET: IdentityType.IPV4_ADDR_SUBNET,
        ISAKMPIdentityType.IPV6_ADDR: IdentityType.IPV6_ADDR,
        ISAKMPIdentityType.IPV6_ADDR_SUBNET: IdentityType.IPV6_ADDR_SUBNET,
    }
)
_NUMBERS: Mapping[int, int] = MappingProxyType({kind: number for number, kind in _KINDS.items()})


@dataclass(frozen=True, slots=True)
class NoSituation:
    """The situation of DOI 0."""

    def encode(self) -> bytes:
        """No octets."""
        return b""


@implementer(IDomainOfInterpretation)
class ISAKMPDOI:
    """
    Implements IDomainOfInterpretation for DOI 0.  Without state: :data:`isakmp_doi` is all that is
    needed.
    """

    number: int = DOI.ISAKMP
    name: str = "isakmp"
    phase1_situation: NoSituation = NoSituation()
    exchange_types: Sequence[IExchangeType] = ()

    def situation(self, reader: Reader) -> NoSituation:
        """Nothing is read."""
        return NoSituation()

    def identity(self, kind: int, protocol: int, port: int, data: bytes) -> Identity:
        """
        What an Identification payload names, by the ID types of RFC 2408 appendix A.4.

        The result has the numbers of :class:`isakmp.numbers.IdentityType`, as every
        :class:`isakmp.identity.Identity` has.

        :param protocol: zero: section 3.8 has three octets for each domain to use, zero if unused.
        :param port: zero.
        :raises InvalidIdentity: if there is no such type, or its data has not the form it asks for.
        """
        known = _KINDS.get(kind)
        if known is None:
            names = ", ".join(ISAKMPIdentityType(number).spelled for number in _KINDS)
            raise InvalidIdentity(Reason("identity of DOI 0", f"type {kind}", names))
        if protocol or port:
            raise InvalidIdentity(
                Reason("identity of DOI 0: unused octets", f"{protocol} and {port}", "zero")
            )
        return Identity(known, 0, 0, data).checked()

    def identification(self, identity: Identity) -> Identity:
        """
        The inverse of :meth:`identity`: the numbers that an Identification payload of ours carries.

        :raises ConfigurationError: if this domain has no type for it: it knows no names.
        """
        number = _NUMBERS.get(identity.kind)
        if number is None:
            raise ConfigurationError(f"DOI 0 knows addresses and subnets only, not {identity}")
        return Identity(number, 0, 0, identity.data)

    def check_spi(self, protocol: int, spi: bytes) -> None:
        """
        There is no protocol but ISAKMP, of which the framework knows.

        :raises InvalidProtocolID: therefore.
        """
        raise InvalidProtocolID(Reason("a protocol of DOI 0", str(protocol), "1"))

    def notified(self, notification: Notification) -> Effect | None:
        """None: RFC 2408 defines no notification that asks for something."""
        return None

    def deleted(self, delete: Delete, path: Path) -> Sequence[SPIKey]:
        """None: the only SAs of this domain are ISAKMP SAs, which are the framework's."""
        return ()


isakmp_doi = ISAKMPDOI()
"""The plug-in."""
