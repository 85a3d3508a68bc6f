"""
The payloads, as values.  RFC 2408 sections 3.4 to 3.16.

Each class is the body of one payload type; the generic header in front of it (section 3.2) is
written and read by :mod:`isakmp.wire.message`.  Decoding is shallow: how long a nonce is, what an
identity spells and whether a public value is sound depends on what is being negotiated, and is
judged there.  The boxes below leave out the generic header.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, Self

from isakmp.errors import Malformed
from isakmp.numbers import PayloadType
from isakmp.wire.extensions import (
    ConfigurationAttributes,
    DraftNATDiscovery,
    DraftNATOriginalAddress,
    Fragment,
    NATDiscovery,
    NATOriginalAddress,
)
from isakmp.wire.payload import Opaque, Payload
from isakmp.wire.reader import Reader

__all__ = [
    "MAX_SPIS",
    "PAYLOADS",
    "Certificate",
    "CertificateRequest",
    "ConfigurationAttributes",
    "Delete",
    "DraftNATDiscovery",
    "DraftNATOriginalAddress",
    "Fragment",
    "Hash",
    "Identification",
    "KeyExchange",
    "NATDiscovery",
    "NATOriginalAddress",
    "Nonce",
    "Notification",
    "Opaque",
    "Payload",
    "SecurityAssociation",
    "Signature",
    "Unrecognized",
    "VendorID",
]

MAX_SPIS = 1024
"""The most SPIs of one Delete payload that are read."""

_DOI = struct.Struct("!I")
_IDENTIFICATION = struct.Struct("!BBH")
_NOTIFICATION = struct.Struct("!IBBH")
_DELETE = struct.Struct("!IBBH")


@dataclass(frozen=True, slots=True, repr=False)
class SecurityAssociation(Payload):
    """
    What is offered or chosen.  RFC 2408 section 3.4::

         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !              Domain of Interpretation  (DOI)                  !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         ~                           Situation                           ~
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    :ivar doi: the domain of interpretation.
    :ivar body: situation and proposals as received.  Only the domain of interpretation knows where
        its situation ends; the rest is for :func:`isakmp.wire.proposals.decode_proposals`.
    """

    number: ClassVar[int] = PayloadType.SA

    doi: int
    body: bytes

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        return cls(reader.u32(), reader.rest())

    def encode(self) -> bytes:
        return _DOI.pack(self.doi) + self.body

    def __repr__(self) -> str:
        return f"SecurityAssociation(doi={self.doi}, {len(self.body)} octets)"


class KeyExchange(Opaque):
    """
    A public value.  RFC 2408 section 3.7::

         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         ~                       Key Exchange Data                       ~
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    """

    __slots__ = ()
    number = PayloadType.KE


@dataclass(frozen=True, slots=True)
class Identification(Payload):
    """
    Who someone is, or whose traffic.  RFC 2408 section 3.8, RFC 2407 section 4.6.2::

         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !   ID Type     !  Protocol ID  !             Port              !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         ~                     Identification Data                       ~
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    RFC 2408 leaves the three octets after the type to the domain of interpretation; the IPsec DOI
    has a protocol and a port there, GDOI zeros.

    :ivar kind: the ID type.
    :ivar protocol: of the internet protocol, 0 for any.
    :ivar port: 0 for any.
    :ivar data: its meaning depends on ``kind``.
    """

    number: ClassVar[int] = PayloadType.ID

    kind: int
    protocol: int
    port: int
    data: bytes

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        kind, protocol, port = _IDENTIFICATION.unpack(reader.take(4))
        return cls(kind, protocol, port, reader.rest())

    def encode(self) -> bytes:
        return _IDENTIFICATION.pack(self.kind, self.protocol, self.port) + self.data


@dataclass(frozen=True, slots=True, repr=False)
class _Encoded(Payload):
    # What Certificate and Certificate Request have in common.

    encoding: int
    data: bytes

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        return cls(reader.u8(), reader.rest())

    def encode(self) -> bytes:
        return self.encoding.to_bytes() + self.data

    def __repr__(self) -> str:
        return f"{type(self).__name__}(encoding={self.encoding}, {len(self.data)} octets)"


class Certificate(_Encoded):
    """
    A certificate, or a list of revoked ones.  RFC 2408 section 3.9::

         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         ! Cert Encoding !                                               !
         +-+-+-+-+-+-+-+-+                                               !
         ~                       Certificate Data                        ~
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    :ivar encoding: a :class:`isakmp.numbers.CertificateEncoding`.
    :ivar data: possibly empty: a hybrid client that has none answers so.
    """

    __slots__ = ()
    number = PayloadType.CERT


class CertificateRequest(_Encoded):
    """
    Which certificates would be believed.  RFC 2408 section 3.10::

         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !  Cert. Type   !                                               !
         +-+-+-+-+-+-+-+-+                                               !
         ~                    Certificate Authority                      ~
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    :ivar encoding: a :class:`isakmp.numbers.CertificateEncoding`.
    :ivar data: the authority's name in DER; empty for any.
    """

    __slots__ = ()
    number = PayloadType.CR


class Hash(Opaque):
    """
    A keyed hash that proves something.  RFC 2408 section 3.11::

         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         ~                           Hash Data                           ~
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    """

    __slots__ = ()
    number = PayloadType.HASH


class Signature(Opaque):
    """
    A digital signature.  RFC 2408 section 3.12::

         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         ~                         Signature Data                        ~
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    """

    __slots__ = ()
    number = PayloadType.SIG


class Nonce(Opaque):
    """
    Fresh random octets.  RFC 2408 section 3.13::

         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         ~                            Nonce Data                         ~
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    """

    __slots__ = ()
    number = PayloadType.NONCE


@dataclass(frozen=True, slots=True, repr=False)
class Notification(Payload):
    """
    An error, or a status.  RFC 2408 section 3.14::

         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !              Domain of Interpretation  (DOI)                  !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !  Protocol-ID  !   SPI Size    !      Notify Message Type      !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         ~                Security Parameter Index (SPI)                 ~
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         ~                       Notification Data                       ~
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    :ivar doi: the domain of interpretation.
    :ivar protocol: Protocol-ID, in that domain.
    :ivar kind: a :class:`isakmp.numbers.NotifyType`.
    :ivar spi: 0 to 255 octets; both cookies for an ISAKMP SA.
    :ivar data: its meaning depends on ``kind``.
    """

    number: ClassVar[int] = PayloadType.NOTIFICATION

    doi: int
    protocol: int
    kind: int
    spi: bytes
    data: bytes

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        doi, protocol, size, kind = _NOTIFICATION.unpack(reader.take(8))
        return cls(doi, protocol, kind, reader.take(size), reader.rest())

    def encode(self) -> bytes:
        if len(self.spi) > 0xFF:
            raise ValueError(f"an SPI of {len(self.spi)} octets")
        head = _NOTIFICATION.pack(self.doi, self.protocol, len(self.spi), self.kind)
        return head + self.spi + self.data

    def __repr__(self) -> str:
        # The data may be a hash (Cisco's PRESHARED-KEY-HASH).
        return (
            f"Notification(doi={self.doi}, protocol={self.protocol}, kind={self.kind}, "
            f"spi={self.spi.hex()}, {len(self.data)} octets)"
        )


@dataclass(frozen=True, slots=True)
class Delete(Payload):
    """
    SAs that the sender has removed.  RFC 2408 section 3.15::

         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !              Domain of Interpretation  (DOI)                  !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !  Protocol-Id  !   SPI Size    !           # of SPIs           !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         ~               Security Parameter Index(es) (SPI)              ~
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    :ivar doi: the domain of interpretation.
    :ivar protocol: Protocol-Id, in that domain.
    :ivar spis: at least one, at most :data:`MAX_SPIS` when received, all of one size from 1 to 255
        octets.
    """

    number: ClassVar[int] = PayloadType.DELETE

    doi: int
    protocol: int
    spis: tuple[bytes, ...]

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        doi, protocol, size, count = _DELETE.unpack(reader.take(8))
        if not size or not count:
            raise Malformed(f"{count} SPIs of {size} octets")
        if count > MAX_SPIS:
            raise Malformed(f"more than {MAX_SPIS} SPIs")
        octets = reader.take(size * count)
        spis = tuple(octets[start : start + size] for start in range(0, size * count, size))
        return cls(doi, protocol, spis)

    def encode(self) -> bytes:
        sizes = {len(spi) for spi in self.spis}
        if len(sizes) != 1 or not 1 <= (size := sizes.pop()) <= 0xFF:
            raise ValueError("the SPIs are none, empty, too long or of several sizes")
        return _DELETE.pack(self.doi, self.protocol, size, len(self.spis)) + b"".join(self.spis)


@dataclass(frozen=True, slots=True, repr=False)
class VendorID(Opaque):
    """
    A constant by which implementations know each other.  RFC 2408 section 3.16::

         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         ~                        Vendor ID (VID)                        ~
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    """

    number: ClassVar[int] = PayloadType.VENDOR_ID

    def __repr__(self) -> str:
        return f"VendorID({self.data.hex()})"


@dataclass(frozen=True, slots=True, repr=False)
class Unrecognized(Payload):
    """
    A payload whose type the table at hand does not have.

    :ivar number: its payload type.
    :ivar data: its body.
    """

    number: int  # type: ignore[misc]  # every other class has one number for all its payloads
    data: bytes

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Not possible: the body does not say its payload type."""
        raise TypeError("the payload type of an Unrecognized is not in its body")

    def encode(self) -> bytes:
        return self.data

    def __repr__(self) -> str:
        return f"Unrecognized({self.number}, {len(self.data)} octets)"


PAYLOADS: Final[Mapping[int, type[Payload]]] = MappingProxyType(
    {
        int(payload.number): payload
        for payload in (
            SecurityAssociation,
            KeyExchange,
            Identification,
            Certificate,
            CertificateRequest,
            Hash,
            Signature,
            Nonce,
            Notification,
            Delete,
            VendorID,
            ConfigurationAttributes,
            NATDiscovery,
            NATOriginalAddress,
            DraftNATDiscovery,
            DraftNATOriginalAddress,
            Fragment,
        )
    }
)
"""
RFC 2408's table, with what later documents added to it for every exchange.

An exchange type whose domain of interpretation numbers payloads otherwise lays its own over it:
``PAYLOADS | {...}`` (GDOI has its own SA payload at 1; 15 and 16 are SAK and SAT there, and NAT-D
and NAT-OA in draft-ietf-ipsec-nat-t-ike-04 to -08).
"""
