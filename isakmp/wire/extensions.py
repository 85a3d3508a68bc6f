"""
The payloads that came after RFC 2408 and are used in its exchanges everywhere.

Mode config and XAUTH (draft-dukes-ike-mode-cfg-02), NAT traversal (RFC 3947 and its drafts),
fragmentation (Cisco, [MS-IKEE]).  As in :mod:`isakmp.wire.payloads`, which has them too, decoding
is shallow and the boxes leave out the generic header.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar, Self

from isakmp.errors import InvalidReservedField, Malformed
from isakmp.numbers import PayloadType
from isakmp.wire.attributes import Attribute, decode_attributes, encode_attributes
from isakmp.wire.payload import Opaque, Payload
from isakmp.wire.reader import Reader

_CONFIGURATION = struct.Struct("!BBH")
_FRAGMENT = struct.Struct("!HBB")


@dataclass(frozen=True, slots=True, repr=False)
class ConfigurationAttributes(Payload):
    """
    Requests and answers of mode config and XAUTH.  draft-dukes-ike-mode-cfg-02 section 3.2::

         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !     Type      !   RESERVED    !           Identifier          !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         ~                           Attributes                          ~
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    :ivar kind: a :class:`isakmp.numbers.ConfigurationType`.
    :ivar identifier: ties the messages of one transaction together.
    :ivar attributes: in order; an empty value asks.
    """

    number: ClassVar[int] = PayloadType.ATTRIBUTES

    kind: int
    identifier: int
    attributes: tuple[Attribute, ...]

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        kind, reserved, identifier = _CONFIGURATION.unpack(reader.take(4))
        if reserved:
            raise InvalidReservedField("the reserved octet is not zero")
        return cls(kind, identifier, decode_attributes(reader))

    def encode(self) -> bytes:
        head = _CONFIGURATION.pack(self.kind, 0, self.identifier)
        return head + encode_attributes(self.attributes)

    def __repr__(self) -> str:
        # An XAUTH password is among the values.
        kinds = [attribute.kind for attribute in self.attributes]
        return f"ConfigurationAttributes({self.kind}, {self.identifier}, kinds={kinds})"


class NATDiscovery(Opaque):
    """
    A hash over an address and port.  RFC 3947 section 3.2::

         +---------------+---------------+---------------+---------------+
         |                 HASH of the address and port                  |
         +---------------+---------------+---------------+---------------+
    """

    __slots__ = ()
    number = PayloadType.NAT_D


class DraftNATDiscovery(Opaque):
    """:class:`NATDiscovery` as draft-ietf-ipsec-nat-t-ike-00 to -03 number it."""

    __slots__ = ()
    number = PayloadType.DRAFT_NAT_D


@dataclass(frozen=True, slots=True)
class _OriginalAddress(Payload):
    # One layout, two numbers.

    kind: int
    address: bytes

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        kind = reader.u8()
        if reader.take(3) != bytes(3):
            raise InvalidReservedField("a reserved octet is not zero")
        return cls(kind, reader.rest())

    def encode(self) -> bytes:
        return self.kind.to_bytes() + bytes(3) + self.address


class NATOriginalAddress(_OriginalAddress):
    """
    An address before a translator changed it.  RFC 3947 section 5.2::

         +---------------+---------------+---------------+---------------+
         | ID Type       | RESERVED      | RESERVED                      |
         +---------------+---------------+---------------+---------------+
         |           IPv4 (4 octets) or IPv6 address (16 octets)         |
         +---------------+---------------+---------------+---------------+

    :ivar kind: ID_IPV4_ADDR or ID_IPV6_ADDR.
    :ivar address: in network byte order.
    """

    __slots__ = ()
    number = PayloadType.NAT_OA


class DraftNATOriginalAddress(_OriginalAddress):
    """:class:`NATOriginalAddress` as draft-ietf-ipsec-nat-t-ike-00 to -03 number it."""

    __slots__ = ()
    number = PayloadType.DRAFT_NAT_OA


@dataclass(frozen=True, slots=True, repr=False)
class Fragment(Payload):
    """
    A piece of another message.  Cisco's fragmentation, [MS-IKEE] section 2.2.2::

         +---------------+---------------+---------------+---------------+
         |          Fragment ID          |    Number     |     Flags     |
         +---------------+---------------+---------------+---------------+
         |                         Fragment Data                         |
         +---------------+---------------+---------------+---------------+

    :ivar fragment_id: of the message that was cut.
    :ivar index: the piece's number; the first is 1.
    :ivar flags: :attr:`LAST` or 0.
    :ivar data: at least one octet.
    """

    number: ClassVar[int] = PayloadType.FRAGMENT
    LAST: ClassVar[int] = 1

    fragment_id: int
    index: int
    flags: int
    data: bytes

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        fragment_id, index, flags = _FRAGMENT.unpack(reader.take(4))
        if reader.exhausted:
            raise Malformed("a fragment of nothing")
        return cls(fragment_id, index, flags, reader.rest())

    def encode(self) -> bytes:
        return _FRAGMENT.pack(self.fragment_id, self.index, self.flags) + self.data

    def __repr__(self) -> str:
        return (
            f"Fragment({self.fragment_id}, index={self.index}, flags={self.flags}, "
            f"{len(self.data)} octets)"
        )
