"""
Netlink messages: the frame of everything that is said to the kernel.

Facts of linux/netlink.h.  Everything is in the machine's own order of octets.  The kernel's answers
are read as a stranger's: whatever is cut short or contradicts itself raises
:class:`~isakmp.errors.Malformed`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from isakmp.errors import Malformed

ERROR, DONE = 2, 3
"""Types of messages: an answer with an errno, and the end of many."""

REQUEST, MULTI, ACK, DUMP = 0x1, 0x2, 0x4, 0x300
"""Flags: a question; one of several; an answer is wanted; all there are is wanted."""

REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400

_CAPPED, _ACK_TLVS = 0x100, 0x200
_ERROR_TEXT = 1  # NLMSGERR_ATTR_MSG

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_KIND = 0x3FFF  # without the flags of nested and big-endian attributes

Attributes = tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """
    One message.

    :ivar sequence: by which an answer is matched with its question.
    :ivar port: of whom the question was.
    :ivar body: may hold keys.
    """

    kind: int
    flags: int
    sequence: int
    port: int
    body: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Header and body."""
        size = _HEADER.size + len(self.body)
        header = _HEADER.pack(size, self.kind, self.flags, self.sequence, self.port)
        return header + self.body + bytes(-size % 4)

    @property
    def error(self) -> tuple[int, str]:
        """
        Of an answer of the type :data:`ERROR`: errno, 0 if it is none, and the kernel's own words.

        :raises Malformed: if it is cut short.
        """
        if len(self.body) < 4 + _HEADER.size:
            raise Malformed("a netlink error is cut short")
        (number,) = struct.unpack_from("=i", self.body)
        text = ""
        if self.flags & _ACK_TLVS:
            (asked,) = struct.unpack_from("=I", self.body, 4)
            start = 4 + (_HEADER.size if self.flags & _CAPPED else max(asked, _HEADER.size))
            for kind, value in attributes(self.body[start + (-start % 4) :]):
                if kind == _ERROR_TEXT:
                    text = value.rstrip(b"\0").decode("ascii", "replace")
        if number > 0:
            raise Malformed("a netlink error is not negative")
        return -number, text


def messages(octets: bytes) -> Iterator[Message]:
    """
    The messages of one datagram.

    :raises Malformed: if they do not fill it.
    """
    at = 0
    while at < len(octets):
        if len(octets) - at < _HEADER.size:
            raise Malformed("a netlink header is cut short")
        size, kind, flags, sequence, port = _HEADER.unpack_from(octets, at)
        if not _HEADER.size <= size <= len(octets) - at:
            raise Malformed("a netlink message has a length that it cannot have")
        yield Message(kind, flags, sequence, port, octets[at + _HEADER.size : at + size])
        at += size + (-size % 4)


def attributes(octets: bytes) -> Attributes:
    """
    What stands behind a message's fixed part: types and values.

    :raises Malformed: if they do not fill it.
    """
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(octets):
        if len(octets) - at < _ATTRIBUTE.size:
            raise Malformed("a netlink attribute is cut short")
        size, kind = _ATTRIBUTE.unpack_from(octets, at)
        if not _ATTRIBUTE.size <= size <= len(octets) - at:
            raise Malformed("a netlink attribute has a length that it cannot have")
        found.append((kind & _KIND, octets[at + _ATTRIBUTE.size : at + size]))
        at += size + (-size % 4)
    return tuple(found)


def encode_attributes(found: Iterable[tuple[int, bytes]]) -> bytes:
    """
    The inverse of :func:`attributes`.

    :raises ValueError: if one is too long.
    """
    encoded = b""
    for kind, value in found:
        size = _ATTRIBUTE.size + len(value)
        if size > 0xFFFF:
            raise ValueError(f"a netlink attribute of {len(value)} octets")
        encoded += _ATTRIBUTE.pack(size, kind) + value + bytes(-size % 4)
    return encoded
