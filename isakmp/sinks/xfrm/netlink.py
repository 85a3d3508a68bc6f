"""
Netlink messages: the frame of everything that is said to the kernel.

Facts of linux/netlink.h.  Everything is in the machine's own order of octets.  The kernel's answers
are read as a stranger's: whatever is cut short or contradicts itself raises :class:`NetlinkError`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

ROUTE, XFRM = 0, 6
"""Families of netlink sockets: addresses, routes and rules; and IPsec."""

ERROR, DONE = 2, 3
"""Types of messages: an answer with an errno, and the end of many."""

REQUEST, MULTI, ACK, INTERRUPTED, DUMP = 0x1, 0x2, 0x4, 0x10, 0x300
"""
Flags: a question; one of several; an answer is wanted; what is told has changed meanwhile; all
there are is wanted.
"""

CREATE, ONLY_NEW, REPLACE = 0x400, 0x200, 0x100
"""
Flags of what adds something: it is made; it must not be there yet; it goes in place of another.
"""

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_KIND = 0x3FFF  # without the flags of nested and big-endian attributes


class NetlinkError(ValueError):
    """Octets that are no message, or not of the form that its type asks for."""


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
        return _HEADER.pack(size, self.kind, self.flags, self.sequence, self.port) + self.body

    @property
    def error(self) -> int:
        """
        Of an answer of the type :data:`ERROR`: errno; 0 if it is none.

        :raises NetlinkError: if it is cut short, or says what is none.
        """
        if len(self.body) < 4:
            raise NetlinkError("an error is cut short")
        (number,) = struct.unpack_from("=i", self.body)
        if not -4096 < number <= 0:
            raise NetlinkError(f"an error of {number}")
        return -int(number)


def messages(octets: bytes) -> Iterator[Message]:
    """
    The messages of one datagram.

    :raises NetlinkError: if they do not fill it.
    """
    at = 0
    while at < len(octets):
        if len(octets) - at < _HEADER.size:
            raise NetlinkError("a header is cut short")
        size, kind, flags, sequence, port = _HEADER.unpack_from(octets, at)
        if not _HEADER.size <= size <= len(octets) - at:
            raise NetlinkError(f"a message of {size} octets in {len(octets) - at}")
        yield Message(kind, flags, sequence, port, octets[at + _HEADER.size : at + size])
        at += size + (-size % 4)


def attribute(kind: int, value: bytes) -> bytes:
    """
    One attribute, with what fills it up.

    :raises ValueError: if it is too long.
    """
    size = _ATTRIBUTE.size + len(value)
    if size > 0xFFFF:
        raise ValueError(f"an attribute of {len(value)} octets")
    return _ATTRIBUTE.pack(size, kind) + value + bytes(-size % 4)


def attributes(octets: bytes) -> Mapping[int, bytes]:
    """
    What stands behind a message's fixed part: values by type, the first of each.

    :raises NetlinkError: if they do not fill it.
    """
    found: dict[int, bytes] = {}
    at = 0
    while at < len(octets):
        if len(octets) - at < _ATTRIBUTE.size:
            raise NetlinkError("an attribute is cut short")
        size, kind = _ATTRIBUTE.unpack_from(octets, at)
        if not _ATTRIBUTE.size <= size <= len(octets) - at:
            raise NetlinkError(f"an attribute of {size} octets in {len(octets) - at}")
        found.setdefault(kind & _KIND, octets[at + _ATTRIBUTE.size : at + size])
        at += size + (-size % 4)
    return found
