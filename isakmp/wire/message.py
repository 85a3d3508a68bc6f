"""
Header, payload chain and message.  RFC 2408 sections 3.1 and 3.2.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, Final, NamedTuple, Self, TypeVar

from isakmp.departures import NONE, RESERVED_OCTETS, RESERVED_PAYLOAD_TYPE
from isakmp.errors import (
    InvalidNextPayload,
    InvalidReservedField,
    Malformed,
    UnequalPayloadLengths,
    UnexpectedPayload,
)
from isakmp.numbers import PayloadType
from isakmp.wire.payloads import PAYLOADS, Opaque, Payload, Unrecognized
from isakmp.wire.reader import Reader

MAX_PAYLOADS = 128
"""
The most payloads of one message that are read.

Long certificate chains and lists of authorities stay far below; CVE-2026-12413 was a table that
an attacker could fill with more.
"""

RESERVED_TYPES = range(23, 128)
"""Payload types that no document of version 1 has assigned; IKEv2's are among them."""

_HEADER = struct.Struct("!8s8sBBBBII")
_GENERIC = struct.Struct("!BBH")
_NONE: Final = 0
_PROPOSAL: Final = 2
_TRANSFORM: Final = 3
_ENCRYPTION: Final = 1

_OPAQUE = frozenset(kind for kind in PAYLOADS.values() if issubclass(kind, Opaque))
"""Those that are data and nothing else: there is nothing to decode."""

P = TypeVar("P", bound=Payload)


class Flags(enum.IntFlag):
    """The header's flags.  RFC 2408 section 3.1."""

    NONE = 0
    ENCRYPTION = 1
    COMMIT = 2
    AUTHENTICATION_ONLY = 4


DEFINED_FLAGS = int(Flags.ENCRYPTION | Flags.COMMIT | Flags.AUTHENTICATION_ONLY)
"""The others are reserved."""

class _Cookies(NamedTuple):
    initiator: bytes
    responder: bytes


class CookiePair(_Cookies):
    """
    What names an ISAKMP SA.  RFC 2408 section 2.5.3.

    A tuple, because everything is looked up by it, and tuples are hashed without running Python.

    :ivar initiator: 8 octets.
    :ivar responder: 8 octets; :attr:`ZERO` until the responder has chosen.
    """

    __slots__ = ()

    ZERO: ClassVar[bytes] = bytes(8)

    @property
    def octets(self) -> bytes:
        """Both, the initiator's first: ``CKY-I | CKY-R``."""
        return self.initiator + self.responder

    def __str__(self) -> str:
        return f"{self.initiator.hex()}:{self.responder.hex()}"


@dataclass(slots=True)
class Header:
    """
    The fixed start of every message.  RFC 2408 section 3.1::

                              1                   2                   3
          0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !                          Initiator                            !
         !                            Cookie                             !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !                          Responder                            !
         !                            Cookie                             !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !  Next Payload ! MjVer ! MnVer ! Exchange Type !     Flags     !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !                          Message ID                           !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !                            Length                             !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    :ivar cookies: both cookies.
    :ivar first: the type of the first payload (Next Payload).
    :ivar version: major version in the high four bits, minor in the low ones.
    :ivar exchange_type: an :class:`isakmp.numbers.ExchangeType`.
    :ivar flags: :class:`Flags`, and whatever else the peer set.
    :ivar message_id: 0 in phase 1.
    :ivar length: of the whole message, in octets, this header included.
    """

    SIZE: ClassVar[int] = 28

    cookies: CookiePair
    first: int
    version: int
    exchange_type: int
    flags: int
    message_id: int
    length: int

    @classmethod
    def decode(cls, data: bytes) -> Header:
        """
        Read the header of a datagram.  Whether anyone speaks its version is not asked.

        :param data: the whole datagram.
        :raises Malformed: if it is too short for a header.
        :raises UnequalPayloadLengths: if its length is not what the header says.
        """
        return _header(data)

    def encode(self) -> bytes:
        """
        The header's 28 octets.

        :raises ValueError: if a cookie does not have 8 octets.
        """
        initiator, responder = self.cookies.initiator, self.cookies.responder
        if len(initiator) != 8 or len(responder) != 8:
            raise ValueError(f"cookies of {len(initiator)} and {len(responder)} octets")
        return _HEADER.pack(
            initiator,
            responder,
            self.first,
            self.version,
            self.exchange_type,
            self.flags,
            self.message_id,
            self.length,
        )

    @property
    def major(self) -> int:
        """The major version: 1 for ISAKMP, 2 for IKEv2."""
        return self.version >> 4


@lru_cache(maxsize=4)
def _header(data: bytes) -> Header:
    # Whoever passes a datagram on reads its header: it is decoded once.
    initiator, responder, first, version, exchange_type, flags, message_id, length = _fields(data)
    cookies = CookiePair(initiator, responder)
    return Header(cookies, first, version, exchange_type, flags, message_id, length)


def _fields(data: bytes) -> tuple[bytes, bytes, int, int, int, int, int, int]:
    if len(data) < 28:
        raise Malformed(f"a message of {len(data)} octets")
    fields: tuple[bytes, bytes, int, int, int, int, int, int] = _HEADER.unpack_from(data)
    if fields[7] != len(data):
        raise UnequalPayloadLengths(f"{fields[7]} octets announced, {len(data)} received")
    return fields


@dataclass(slots=True)
class Message:
    """
    One message in clear: what is sent, or what was received and opened.

    :ivar cookies: both cookies.
    :ivar exchange_type: an :class:`isakmp.numbers.ExchangeType`.
    :ivar flags: :class:`Flags`, and whatever else the peer set.
    :ivar message_id: 0 in phase 1.
    :ivar payloads: in order.
    :ivar version: major version in the high four bits, minor in the low ones.
    :ivar departures: of :mod:`isakmp.departures`, what was met in decoding it, and is to be judged.
    """

    cookies: CookiePair
    exchange_type: int
    flags: int
    message_id: int
    payloads: tuple[Payload, ...]
    version: int = 0x10
    departures: Collection[str] = field(default=NONE, compare=False)

    @classmethod
    def decode(
        cls,
        data: bytes,
        table: Mapping[int, type[Payload]] = PAYLOADS,
        departures: set[str] | None = None,
    ) -> Self:
        """
        Read a message that is not encrypted.

        :param data: the whole datagram.
        :param table: which class reads which payload type; other types become
            :class:`isakmp.wire.payloads.Unrecognized`.
        :param departures: see :func:`decode_chain`; what is found is the message's ``departures``.
        :raises Malformed: and nothing else; also if the Encryption flag is set.
        """
        initiator, responder, first, version, exchange_type, flags, message_id, _ = _fields(data)
        if flags & _ENCRYPTION:
            raise Malformed("an encrypted message where one in clear was due")
        payloads, _ = decode_chain(first, data, table, start=28, departures=departures)
        cookies = CookiePair(initiator, responder)
        if departures:
            return cls(
                cookies, exchange_type, flags, message_id, payloads, version, departures
            )
        return cls(cookies, exchange_type, flags, message_id, payloads, version)

    def encode(self) -> bytes:
        """
        The message's octets, in clear.

        :raises ValueError: if a payload does not fit its fields, or the Encryption flag is set:
            to be sealed is not this function's business, and such octets must not leave in clear.
        """
        if self.flags & _ENCRYPTION:
            raise ValueError("a message with the Encryption flag must be sealed")
        chain = encode_chain(self.payloads)
        return self.header(28 + len(chain)).encode() + chain

    def header(self, length: int) -> Header:
        """
        This message's header.

        :param length: of the whole message as it will be sent, header and padding included.
        """
        first = self.payloads[0].number if self.payloads else _NONE
        return Header(
            self.cookies,
            first,
            self.version,
            self.exchange_type,
            self.flags,
            self.message_id,
            length,
        )

    def all(self, kind: type[P] | tuple[type[P], ...]) -> tuple[P, ...]:
        """
        The payloads of a class, in order.

        :param kind: the class, or several.
        """
        return tuple([payload for payload in self.payloads if isinstance(payload, kind)])

    def has(self, kind: type[Payload] | tuple[type[Payload], ...]) -> bool:
        """
        Whether there is a payload of a class.

        :param kind: the class, or several.
        """
        for payload in self.payloads:  # noqa: SIM110  # any() would have to make a generator
            if isinstance(payload, kind):
                return True
        return False

    def one(self, kind: type[P] | tuple[type[P], ...]) -> P:
        """
        The only payload of a class.

        :param kind: the class, or several of which one must be there.
        :raises UnexpectedPayload: if there is none, or more than one.
        """
        found = [payload for payload in self.payloads if isinstance(payload, kind)]
        if len(found) != 1:
            kinds = kind if isinstance(kind, tuple) else (kind,)
            names = " or ".join(each.__name__ for each in kinds)
            raise UnexpectedPayload(f"exactly one {names} payload is needed, not {len(found)}")
        return found[0]

    def with_payloads(self, payloads: Iterable[Payload]) -> Message:
        """The same message with other payloads."""
        return Message(
            self.cookies,
            self.exchange_type,
            self.flags,
            self.message_id,
            tuple(payloads),
            self.version,
        )


def decode_chain(
    first: int,
    data: bytes,
    table: Mapping[int, type[Payload]] = PAYLOADS,
    *,
    padded: bool = False,
    start: int = 0,
    departures: set[str] | None = None,
) -> tuple[tuple[Payload, ...], int]:
    """
    Read payloads, each with its generic header in front::

                              1                   2                   3
          0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         ! Next Payload  !   RESERVED    !         Payload Length        !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    RFC 2408 section 3.2.  Up to three octets of zero may follow the last, to make the message a
    multiple of four octets long (sections 3.5 and 3.6).

    :param first: the type of the first payload; 0 if there is none.
    :param data: the octets, up to the end of the message.
    :param table: which class reads which payload type.
    :param padded: octets may follow the last payload, as padding of the cipher.
    :param start: offset of the first payload.
    :param departures: where departures (:mod:`isakmp.departures`) are noted, for the caller to
        judge; None: a reserved octet that is not zero is refused.
    :return: the payloads, and how many octets they take, counted from ``start``.
    :raises Malformed: and nothing else.
    """
    payloads: list[Payload] = []
    position, end = start, len(data)
    number = first
    while number:
        if len(payloads) == MAX_PAYLOADS:
            raise Malformed(f"more than {MAX_PAYLOADS} payloads")
        body = position + 4
        if body > end:
            raise _in(number, "the message ends before it")
        following, reserved, length = _GENERIC.unpack_from(data, position)
        if reserved:
            if departures is None:
                raise InvalidReservedField(_words(number, "the reserved octet is not zero"))
            departures.add(RESERVED_OCTETS)
        position += length
        if length < 4 or position > end:
            raise _in(number, f"length {length}, {end - body + 4} octets left")
        kind = table.get(number)
        if kind in _OPAQUE:
            payloads.append(kind(data[body:position]))
            number = following
            continue
        reader = Reader(data, body, position)
        if kind is not None:
            try:
                payloads.append(kind.decode(reader))
                reader.finish()
            except Malformed as error:
                raise type(error)(_words(number, str(error))) from error
        elif number in (_PROPOSAL, _TRANSFORM):
            raise InvalidNextPayload(_words(number, "outside of an SA payload"))
        else:
            if departures is not None and number in RESERVED_TYPES:
                departures.add(RESERVED_PAYLOAD_TYPE)
            payloads.append(Unrecognized(number, reader.rest()))
        number = following
    if position != end and not padded and not _aligns(data, position):
        raise Malformed(f"{end - position} octets after the last payload")
    return tuple(payloads), position - start


def _aligns(data: bytes, position: int) -> bool:
    """Whether what follows the last payload is there to make the message a multiple of 4 octets."""
    left = len(data) - position
    return left < 4 and len(data) % 4 == 0 and not any(data[position:])


def _in(number: int, what: str) -> Malformed:
    return Malformed(_words(number, what))


def _words(number: int, what: str) -> str:
    return f"{PayloadType(number).spelled} payload: {what}"


def encode_chain(payloads: Iterable[Payload]) -> bytes:
    """
    Write payloads, each with its generic header in front.

    :raises ValueError: if a payload does not fit its fields or is longer than 65531 octets.
    """
    # From the last to the first: each names the one that follows it.
    parts: list[bytes] = []
    number: int = _NONE
    for payload in reversed(tuple(payloads)):
        parts.append(chained(payload, number))
        number = payload.number
    parts.reverse()
    return b"".join(parts)


def chained(payload: Payload, following: int) -> bytes:
    """
    One payload with its generic header in front.

    :param following: the type of the payload after it; 0 if it is the last.
    :raises ValueError: if it does not fit its fields or is longer than 65531 octets.
    """
    body = payload.encode()
    if len(body) > 0xFFFF - 4:
        raise ValueError(f"{PayloadType(payload.number).spelled} payload of {len(body)} octets")
    return _GENERIC.pack(following, 0, len(body) + 4) + body
