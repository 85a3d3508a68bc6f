"""
Header, payload chain and checksum of KINK.  RFC 4430 sections 4, 4.1 and 4.2.

Payloads are aligned to four octets, and their lengths do not count what that takes.  Reserved bits
are zero when sent and ignored when received.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from isakmp.errors import Malformed
from isakmp.kink.errors import ProtocolError
from isakmp.kink.numbers import VERSION, PayloadType
from isakmp.kink.payloads import PAYLOADS, Encrypted, Unknown
from isakmp.wire.payload import Payload
from isakmp.wire.reader import Reader

MAX_PAYLOADS = 32
"""The most payloads of one chain that are read."""

_HEADER = struct.Struct("!BBHIIBBH")
_GENERIC = struct.Struct("!BBH")
_ACKREQ = 0x80

P = TypeVar("P", bound=Payload)


@dataclass(frozen=True, slots=True)
class Header:
    """
    The fixed start of every message.  RFC 4430 section 4::

         +---------------+---------------+---------------+---------------+
         |   Type        | MjVer |RESRVED|            Length             |
         +---------------+---------------+---------------+---------------+
         |                 Domain of Interpretation (DOI)                |
         +-------------------------------+-------------------------------+
         |                      Transaction ID (XID)                     |
         +---------------+-+-------------+-------------------------------+
         |  NextPayload  |A|  RESERVED2  |           CksumLen            |
         +---------------+-+-------------+-------------------------------+

    :ivar kind: a :class:`isakmp.kink.numbers.MessageType`.
    :ivar length: of the message, its checksum included, in octets.
    :ivar first: the type of the first payload.
    :ivar acknowledge: ACKREQ.
    :ivar checksum: length of the checksum, in octets; 0: there is none.
    """

    SIZE: ClassVar[int] = 16

    kind: int
    length: int
    doi: int
    xid: int
    first: int
    acknowledge: bool = False
    checksum: int = 0
    version: int = VERSION

    @classmethod
    def decode(cls, data: bytes) -> Header:
        """
        Read the header of a datagram.  Whether anyone speaks its version is not asked.

        :raises Malformed: if there are fewer than 16 octets.
        """
        if len(data) < cls.SIZE:
            raise Malformed(f"a message of {len(data)} octets")
        kind, version, length, doi, xid, first, flags, checksum = _HEADER.unpack_from(data)
        return cls(
            kind, length, doi, xid, first, bool(flags & _ACKREQ), checksum, version >> 4
        )

    def encode(self) -> bytes:
        """
        Its 16 octets.

        :raises ValueError: if a value does not fit its field.
        """
        if not 0 <= self.version < 16:
            raise ValueError(f"major version {self.version}")
        flags = _ACKREQ if self.acknowledge else 0
        try:
            return _HEADER.pack(
                self.kind,
                self.version << 4,
                self.length,
                self.doi,
                self.xid,
                self.first,
                flags,
                self.checksum,
            )
        except struct.error as error:
            raise ValueError(f"a KINK header: {error}") from None


@dataclass(frozen=True, slots=True)
class Message:
    """
    One message, its outer payloads.

    :ivar kind: a :class:`isakmp.kink.numbers.MessageType`.
    :ivar xid: binds a command, its reply and its acknowledgement together.
    :ivar acknowledge: ACKREQ: the reply wants to be acknowledged.
    """

    kind: int
    doi: int
    xid: int
    payloads: tuple[Payload, ...]
    acknowledge: bool = False

    def encode(self, checksum: Callable[[bytes], bytes] | None = None) -> bytes:
        """
        Its octets.

        :param checksum: what a key makes of the message without it; None: no key is available.
        :raises ValueError: if it is longer than its Length can say, or something does not fit.
        """
        chain = encode_payloads(self.payloads)
        first = self.payloads[0].number if self.payloads else PayloadType.DONE
        length = Header.SIZE + len(chain)
        header = Header(self.kind, length, self.doi, self.xid, first, self.acknowledge)
        octets = header.encode() + chain
        if checksum is None:
            return octets
        proof = checksum(octets)
        total = length + len(proof)
        header = Header(
            self.kind, total, self.doi, self.xid, first, self.acknowledge, len(proof)
        )
        return header.encode() + chain + proof

    def one(self, kind: type[P]) -> P:
        """
        The only payload of a class.

        :raises ProtocolError: if there is none, or more than one.
        """
        found = [payload for payload in self.payloads if isinstance(payload, kind)]
        if len(found) != 1:
            raise ProtocolError(f"one {kind.__name__} payload is needed, not {len(found)}")
        return found[0]


@dataclass(frozen=True, slots=True)
class Received:
    """
    A message as it was received, not proven.

    :ivar covered: the octets that the checksum is made of.
    :ivar checksum: its Cksum field; empty: there is none.
    """

    message: Message
    covered: bytes
    checksum: bytes

    @classmethod
    def decode(cls, data: bytes) -> Received:
        """
        Read a datagram; octets after the message are not forbidden, and not read.

        :raises Malformed: and nothing else.
        """
        header = Header.decode(data)
        end = header.length - header.checksum
        if header.length > len(data):
            raise Malformed(f"{header.length} octets announced, {len(data)} received")
        if end < Header.SIZE:
            raise Malformed(f"a checksum of {header.checksum} octets in {header.length}")
        if header.checksum and end % 4:
            raise Malformed(f"the checksum begins at octet {end}, which is not aligned")
        covered = bytearray(data[:end])
        covered[2:4] = end.to_bytes(2)
        covered[14:16] = bytes(2)
        payloads = decode_payloads(header.first, data[Header.SIZE : end])
        message = Message(header.kind, header.doi, header.xid, payloads, header.acknowledge)
        return cls(message, bytes(covered), data[end : header.length])


def encode_payloads(payloads: Iterable[Payload]) -> bytes:
    """
    Payloads, each with its header in front and aligned.

    :raises ValueError: if one is too long, or one follows a KINK_ENCRYPT.
    """
    parts: list[bytes] = []
    following: int = PayloadType.DONE
    for payload in reversed(tuple(payloads)):
        if isinstance(payload, Encrypted) and following:
            raise ValueError("KINK_ENCRYPT is the last payload")
        body = payload.encode()
        if len(body) > 0xFFFF - 4:
            raise ValueError(f"{PayloadType(payload.number).spelled} of {len(body)} octets")
        parts.append(_GENERIC.pack(following, 0, len(body) + 4) + body + bytes(-len(body) % 4))
        following = payload.number
    parts.reverse()
    return b"".join(parts)


def decode_payloads(first: int, data: bytes, *, padded: bool = False) -> tuple[Payload, ...]:
    """
    Read payloads, each with its header in front.

    :param first: the type of the first.
    :param data: aligned, up to the end of the message.
    :param padded: octets may follow the last payload, as padding of the cipher.
    :raises Malformed: and nothing else.
    """
    payloads: list[Payload] = []
    position = 0
    while first:
        if len(payloads) == MAX_PAYLOADS:
            raise Malformed(f"more than {MAX_PAYLOADS} payloads")
        name = PayloadType(first).spelled
        if position + 4 > len(data):
            raise Malformed(f"{name}: the message ends before it")
        following, _, length = _GENERIC.unpack_from(data, position)
        end = position + length
        if length < 4 or end > len(data):
            raise Malformed(f"{name}: length {length}, {len(data) - position} octets left")
        reader = Reader(data, position + 4, end)
        kind = PAYLOADS.get(first)
        if kind is None:
            payloads.append(Unknown(first, reader.rest()))
        else:
            payloads.append(kind.decode(reader))
            reader.finish()
        if kind is Encrypted and following:
            raise Malformed("a payload after KINK_ENCRYPT")
        first, position = following, min(end + -end % 4, len(data))
    if position != len(data) and not padded:
        raise Malformed(f"{len(data) - position} octets after the last payload")
    return tuple(payloads)


def encode_inner(payloads: Iterable[Payload]) -> bytes:
    """What a KINK_ENCRYPT payload is made of: the type of the first, and all of them."""
    payloads = tuple(payloads)
    first = payloads[0].number if payloads else PayloadType.DONE
    return bytes((first, 0, 0, 0)) + encode_payloads(payloads)


def decode_inner(data: bytes) -> tuple[Payload, ...]:
    """
    The payloads in a KINK_ENCRYPT payload, decrypted; garbage may follow the last.

    :raises Malformed: and nothing else.
    """
    if len(data) < 4:
        raise Malformed(f"{len(data)} octets in KINK_ENCRYPT")
    payloads = decode_payloads(data[0], data[4:], padded=True)
    if any(isinstance(payload, Encrypted) for payload in payloads):
        raise Malformed("KINK_ENCRYPT in KINK_ENCRYPT")
    return payloads
