"""
Data attributes.  RFC 2408 section 3.3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from isakmp.errors import Malformed
from isakmp.wire.reader import Reader

MAX_ATTRIBUTES = 128
"""The most attributes of one transform, or of one Attributes payload, that are read."""

MAX_NUMBER = 1024
"""The widest value, in octets, that is read as a number: the prime of an 8192 bit group."""

_AF = 0x8000
_HEAD = struct.Struct("!HH")


@dataclass(frozen=True, slots=True, repr=False)
class Attribute:
    """
    One attribute, in the format it came in::

                              1                   2                   3
          0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !A!       Attribute Type        !    AF=0  Attribute Length     !
         !F!                             !    AF=1  Attribute Value      !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         .                   AF=0  Attribute Value                       .
         .                   AF=1  Not Transmitted                       .
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    :ivar kind: the Attribute Type, without the AF bit.
    :ivar value: two octets if ``basic``, else any number of them.
    :ivar basic: whether the AF bit is set: the TV format.
    """

    kind: int
    value: bytes
    basic: bool

    @classmethod
    def tv(cls, kind: int, number: int) -> Self:
        """
        An attribute in the TV format.

        :param number: at most two octets wide.
        :raises ValueError: if it is not.
        """
        if not 0 <= number <= 0xFFFF:
            raise ValueError(f"{number} does not fit into two octets")
        return cls(kind, number.to_bytes(2), True)

    @classmethod
    def tlv(cls, kind: int, value: bytes | int) -> Self:
        """
        An attribute in the TLV format.

        :param value: octets, or a number that is written in four octets or, if it is larger, in
            as few as it takes.
        """
        if isinstance(value, int):
            value = value.to_bytes(max(4, (value.bit_length() + 7) // 8))
        return cls(kind, value, False)

    @property
    def number(self) -> int:
        """
        The value, read in network byte order; 0 if it is empty.

        :raises Malformed: if it is wider than any number in use: printing it could take long, or
            not be possible at all.
        """
        if len(self.value) > MAX_NUMBER:
            raise Malformed(f"attribute {self.kind}: a number of {len(self.value)} octets")
        return int.from_bytes(self.value)

    def __repr__(self) -> str:
        # A TLV may be a password (draft-beaulieu-ike-xauth-02).
        value = str(self.number) if self.basic else f"{len(self.value)} octets"
        return f"Attribute({self.kind}: {value})"


_known: dict[bytes, Attribute] = {}
# The transforms of an offer, and of the next offer, repeat the same few attributes in the TV
# format: each is made once and shared.  A peer who sends others only empties this.
_MAX_KNOWN = 1024


def _basic(octets: bytes) -> Attribute:
    if len(_known) >= _MAX_KNOWN:
        _known.clear()
    kind = ((octets[0] & 0x7F) << 8) | octets[1]
    return _known.setdefault(octets, Attribute(kind, octets[2:], True))


def decode_attributes(reader: Reader) -> tuple[Attribute, ...]:
    """
    All that is left of the reader, as attributes; possibly none.

    :raises Malformed: if they do not end where the reader does, or are more than
        :data:`MAX_ATTRIBUTES`.
    """
    return attributes_of(reader.rest())


def attributes_of(octets: bytes) -> tuple[Attribute, ...]:
    """
    :func:`decode_attributes` of octets that were already taken.

    The hottest loop of decoding: offsets, instead of a call for each field.
    """
    position, end = 0, len(octets)
    attributes: list[Attribute] = []
    append, known = attributes.append, _known.get
    while position < end:
        value = position + 4
        head = octets[position:value]
        attribute = known(head)
        position = value
        if attribute is None:
            if value > end:
                raise Malformed(f"{len(head)} octets left where an attribute should start")
            if head[0] & 0x80:
                attribute = _basic(head)
            else:
                kind, length = _HEAD.unpack(head)
                position += length
                if position > end:
                    raise Malformed(f"attribute {kind}: length {length}, {end - value} left")
                attribute = Attribute(kind, octets[value:position], False)
        append(attribute)
    if len(attributes) > MAX_ATTRIBUTES:
        raise Malformed(f"more than {MAX_ATTRIBUTES} attributes")
    return tuple(attributes)


def encode_attributes(attributes: Iterable[Attribute]) -> bytes:
    """
    The attributes' octets, in order.

    :raises ValueError: if one does not fit its format.
    """
    parts: list[bytes] = []
    for attribute in attributes:
        kind, value = attribute.kind, attribute.value
        if not 0 <= kind < _AF:
            raise ValueError(f"{kind} is not an attribute type")
        if attribute.basic:
            if len(value) != 2:
                raise ValueError(f"attribute {kind}: a basic value of {len(value)} octets")
            parts.append((kind | _AF).to_bytes(2))
        elif len(value) > 0xFFFF:
            raise ValueError(f"attribute {kind}: a value of {len(value)} octets")
        else:
            parts.append(_HEAD.pack(kind, len(value)))
        parts.append(value)
    return b"".join(parts)
