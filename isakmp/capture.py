"""
Captures: what travelled, in a file that Wireshark opens.

pcapng (draft-ietf-opsawg-pcapng) with raw IP packets, LINKTYPE_RAW; each may carry a comment.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO

from zope.interface import implementer

from isakmp import packets
from isakmp.interfaces import IPorts
from isakmp.paths import Address, Datagram

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_ORDER = 0x1A2B3C4D
_RAW = 101
_END_OF_OPTIONS, _COMMENT = 0, 1


class Capture:
    """
    Writes packets as they come.

    :param file: binary; written to at once, so that a reader may follow.
    :param seconds: the time, in seconds since 1970.
    """

    def __init__(self, file: BinaryIO, seconds: Callable[[], float]) -> None:
        self._file = file
        self._seconds = seconds
        self._block(_SECTION, struct.pack("<IHHq", _ORDER, 1, 0, -1))
        self._block(_INTERFACE, struct.pack("<HHI", _RAW, 0, 0))

    def packet(self, octets: bytes, comment: str = "") -> None:
        """An IP packet that travels now."""
        moment = int(self._seconds() * 1_000_000)
        head = struct.pack("<IIIII", 0, moment >> 32, moment & 0xFFFFFFFF, len(octets), len(octets))
        options = b""
        if comment:
            text = comment.encode()
            options = struct.pack("<HH", _COMMENT, len(text)) + _padded(text)
            options += struct.pack("<HH", _END_OF_OPTIONS, 0)
        self._block(_PACKET, head + _padded(octets) + options)

    def _block(self, kind: int, body: bytes) -> None:
        length = struct.pack("<I", len(body) + 12)
        self._file.write(struct.pack("<I", kind) + length + body + length)
        self._file.flush()


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 4)


@implementer(IPorts)
class CapturedPorts:
    """
    Implements IPorts over others: what is sent is captured.

    :param record: takes each datagram, with the non-ESP marker if it travels with one.
    """

    def __init__(self, ports: IPorts, record: Callable[[Datagram], None]) -> None:
        self._ports = ports
        self._record = record

    def send(self, datagram: Datagram) -> None:
        """Record it, and send it."""
        self._record(datagram)
        self._ports.send(datagram)

    def source(self, remote: str, port: int) -> Address:
        """Our end of a path to an address."""
        return self._ports.source(remote, port)


def in_ip(datagram: Datagram) -> bytes:
    """A datagram as it travels: in a UDP datagram, in an IP packet."""
    (source, from_port), (destination, to_port) = datagram.path.local, datagram.path.remote
    carried = packets.udp(from_port, to_port, datagram.octets)
    return packets.packet(source, destination, packets.UDP, carried)
