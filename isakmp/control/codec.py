"""
The octets of vici, the protocol that strongSwan's ``swanctl`` speaks to a daemon.

strongSwan's ``src/libcharon/plugins/vici/README.md`` describes it.  A stream carries segments: four
octets of length, then a packet.  A packet is a type, for some types a name, and for some a message;
a message is a tree of sections, lists and values.  Everything here is a value; nothing is sent.

Texts are UTF-8; octets that are not come and go unchanged, as Python's ``surrogateescape`` does it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

MAX_SEGMENT = 512 * 1024
"""The most octets of one packet."""

MAX_NAME = 255
"""The most octets of a name."""

MAX_VALUE = 65535
"""The most octets of a value."""

MAX_DEPTH = 32
"""How deep sections may be inside one another; a configuration needs five."""

#: The content of a message: by name a text, a list of texts, or a section inside.
Section: TypeAlias = "dict[str, str | list[str] | Section]"

#: What a message is made from.
Content: TypeAlias = "Mapping[str, str | bytes | Sequence[str] | Content]"


class Malformed(ValueError):
    """These octets are no packet, or no message."""


class Element(enum.IntEnum):
    """What begins at an octet of a message."""

    SECTION_START = 1
    SECTION_END = 2
    KEY_VALUE = 3
    LIST_START = 4
    LIST_ITEM = 5
    LIST_END = 6


class Kind(enum.IntEnum):
    """The first octet of a packet."""

    CMD_REQUEST = 0
    CMD_RESPONSE = 1
    CMD_UNKNOWN = 2
    EVENT_REGISTER = 3
    EVENT_UNREGISTER = 4
    EVENT_CONFIRM = 5
    EVENT_UNKNOWN = 6
    EVENT = 7


_NAMED = frozenset({Kind.CMD_REQUEST, Kind.EVENT_REGISTER, Kind.EVENT_UNREGISTER, Kind.EVENT})
_CARRYING = frozenset({Kind.CMD_REQUEST, Kind.CMD_RESPONSE, Kind.EVENT})


@dataclass(frozen=True, slots=True)
class Packet:
    """
    One segment of the stream.

    :ivar name: of a command or an event; empty for the kinds that have none.
    :ivar message: maybe with secrets.
    """

    kind: Kind
    name: str = ""
    message: Section = field(default_factory=dict, repr=False)

    def encode(self) -> bytes:
        """
        Its octets, without the length before them.

        :raises ValueError: if something in it is too long, or no text.
        """
        head = bytes([self.kind])
        if self.kind in _NAMED:
            head += _name(self.name)
        packet = head + encode(self.message) if self.kind in _CARRYING else head
        if len(packet) > MAX_SEGMENT:
            raise ValueError(f"{len(packet)} octets are more than a packet may have")
        return packet

    @classmethod
    def decode(cls, octets: bytes) -> Packet:
        """
        A packet from its octets.

        :raises Malformed: if they are none.
        """
        reader = _Reader(octets)
        try:
            kind = Kind(reader.number(1))
        except ValueError:
            raise Malformed("a packet of a kind that is not known") from None
        name = reader.text(1) if kind in _NAMED else ""
        if kind in _CARRYING:
            return cls(kind, name, _message(reader))
        if reader.left:
            raise Malformed("octets after the end of a packet")
        return cls(kind, name)


def encode(message: Content) -> bytes:
    """
    A message's octets.

    :raises ValueError: if a name or a value is too long, no text, or sections are too deep.
    """
    parts: list[bytes] = []
    _encode(message, parts, 0)
    return b"".join(parts)


def decode(octets: bytes) -> Section:
    """
    A message from its octets.

    :raises Malformed: if they are none.
    """
    return _message(_Reader(octets))


def octets_of(text: str) -> bytes:
    """The octets of a value, whatever they were."""
    return text.encode("utf-8", "surrogateescape")


def clipped(text: str, most: int = 8192) -> str:
    """
    A text as swanctl shows one, whatever it is made of: one line of printable ASCII that fits into
    a value.  swanctl shows nothing of a value with other octets in it.
    """
    line = "; ".join(filter(None, text.splitlines()))
    line = "".join(c if " " <= c <= "~" else ascii(c)[1:-1] for c in line)
    return line if len(line) <= most else line[: most - 3] + "..."


def _encode(message: Content, parts: list[bytes], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError("sections are too deep inside one another")
    for name, value in message.items():
        if isinstance(value, str | bytes):
            parts += (b"\x03", _name(name), _value(value))
        elif isinstance(value, Mapping):
            parts += (b"\x01", _name(name))
            _encode(value, parts, depth + 1)
            parts.append(b"\x02")
        else:
            parts += (b"\x04", _name(name))
            for item in value:
                parts += (b"\x05", _value(item))
            parts.append(b"\x06")


def _name(text: str) -> bytes:
    octets = octets_of(text)
    if len(octets) > MAX_NAME:
        raise ValueError(f"a name of {len(octets)} octets is longer than {MAX_NAME}")
    return bytes([len(octets)]) + octets


def _value(value: str | bytes) -> bytes:
    octets = value if isinstance(value, bytes) else octets_of(value)
    if len(octets) > MAX_VALUE:
        raise ValueError(f"a value of {len(octets)} octets is longer than {MAX_VALUE}")
    return len(octets).to_bytes(2, "big") + octets


class _Reader:
    """Octets, read from the front."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    @property
    def left(self) -> int:
        """How many are left."""
        return len(self._octets) - self._at

    def number(self, size: int) -> int:
        """An unsigned number of so many octets."""
        return int.from_bytes(self._take(size), "big")

    def text(self, size: int) -> str:
        """A text behind so many octets of its length."""
        return self._take(self.number(size)).decode("utf-8", "surrogateescape")

    def _take(self, count: int) -> bytes:
        if count > self.left:
            raise Malformed("it ends in the middle")
        start, self._at = self._at, self._at + count
        return self._octets[start : self._at]


def _message(reader: _Reader) -> Section:
    root: Section = {}
    around: list[Section] = [root]
    items: list[str] | None = None
    while reader.left:
        element = reader.number(1)
        here = around[-1]
        if items is not None:
            if element == Element.LIST_ITEM:
                items.append(reader.text(2))
            elif element == Element.LIST_END:
                items = None
            else:
                raise Malformed("something else than an item in a list")
        elif element == Element.KEY_VALUE:
            name = _unused(here, reader)
            here[name] = reader.text(2)
        elif element == Element.SECTION_START:
            name = _unused(here, reader)
            if len(around) > MAX_DEPTH:
                raise Malformed("sections are too deep inside one another")
            inner: Section = {}
            here[name] = inner
            around.append(inner)
        elif element == Element.LIST_START:
            name = _unused(here, reader)
            here[name] = items = []
        elif element == Element.SECTION_END and len(around) > 1:
            around.pop()
        else:
            raise Malformed(f"element {element} has no place here")
    if items is not None or len(around) > 1:
        raise Malformed("it ends in the middle")
    return root


def _unused(section: Section, reader: _Reader) -> str:
    name = reader.text(1)
    if name in section:
        raise Malformed("a name stands twice in one section")
    return name
