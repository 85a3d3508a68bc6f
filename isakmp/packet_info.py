"""
A UDP port that is bound to every address, and yet knows which one each datagram was sent to.

Twisted's port uses ``recvfrom``, which does not tell.  The kernel does, in ancillary data
(``IP_PKTINFO``, ip(7); ``IPV6_RECVPKTINFO``, RFC 3542 section 6), and by the same way takes the
address that an answer is to leave from.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import DatagramProtocol

from isakmp.icmp import PENDING, ReportingPort, Undelivered
from isakmp.logs import Logger
from isakmp.paths import Address

# Python's socket module names these on some systems only.
_IP_PKTINFO = 8
_IPV6_RECVPKTINFO = getattr(socket, "IPV6_RECVPKTINFO", 49)
_IPV6_PKTINFO = getattr(socket, "IPV6_PKTINFO", 50)

_IN_PKTINFO = struct.Struct("=I4s4s")
_IN6_PKTINFO = struct.Struct("=16sI")

_ANCILLARY = 256
_BATCH = 100
"""Datagrams read before the reactor gets its turn again."""

AVAILABLE = sys.platform == "linux"
"""Whether this system is known to do it this way."""

Received = Callable[[bytes, Address, Address], None]
"""Called with the octets, our address and port, and the peer's."""


class PacketInfoPort(ReportingPort):
    """
    A port on ``0.0.0.0`` or ``::``.

    :param received: given each datagram with the address that it was sent to.
    :param undelivered: told of each that could not be delivered.
    """

    _log = Logger()

    def __init__(
        self, address: str, port: int, received: Received, reactor: Any,
        undelivered: Undelivered = lambda octets, peer, why: None,
    ) -> None:
        super().__init__(address, port, DatagramProtocol(), undelivered, reactor)
        self._received = received

    def createInternetSocket(self) -> socket.socket:
        """From Twisted: the socket, before it is bound."""
        made: socket.socket = super().createInternetSocket()
        if self.addressFamily == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        else:
            made.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        return made

    def doRead(self) -> None:
        """From the reactor: something has arrived."""
        port = self._realPortNumber
        assert port is not None
        for _ in range(_BATCH):
            try:
                octets, ancillary, _, peer = self.socket.recvmsg(65535, _ANCILLARY)
            except OSError as error:
                if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EINTR):
                    return
                if error.errno not in PENDING:
                    raise
                # What was sent earlier could not be delivered; it says nothing about what arrives.
                self.reported()
                continue
            local = _sent_to(ancillary)
            if local is not None:
                try:
                    self._received(octets, (local, port), (peer[0], peer[1]))
                except Exception:  # a fault of ours must not have the reactor close the port
                    self._log.failure("a datagram could not be taken in")

    def send(self, octets: bytes, local: str, peer: Address) -> None:
        """
        Send from one of our addresses.

        :raises OSError: if it cannot be.
        """
        source = ipaddress.ip_address(local)
        if source.version == 4:
            level, kind = socket.IPPROTO_IP, _IP_PKTINFO
            data = _IN_PKTINFO.pack(0, source.packed, bytes(4))
        else:
            level, kind = socket.IPPROTO_IPV6, _IPV6_PKTINFO
            data = _IN6_PKTINFO.pack(source.packed, 0)
        self.sending(lambda: self.socket.sendmsg([octets], [(level, kind, data)], 0, peer))


def _sent_to(ancillary: list[tuple[int, int, bytes]]) -> str | None:
    """The address a datagram was sent to; None if the kernel did not say."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            return str(ipaddress.IPv4Address(data[8:12]))
        if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO):
            return str(ipaddress.IPv6Address(data[:16]))
    return None
