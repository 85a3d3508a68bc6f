"""
A UDP port that hears what becomes of its datagrams: that nobody listens, or that there is no way.

The answer to a datagram that cannot be delivered is an ICMP message (RFC 792, RFC 4443).  The
kernel gives it to a socket that asks for it, on a queue of its own, with the datagram it is about
(``IP_RECVERR``, ip(7)).  Anybody can have sent one: it explains, and changes nothing.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet import udp
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IHalfCloseableDescriptor
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from isakmp.paths import Address

AVAILABLE = sys.platform == "linux"
"""Whether this system is known to do it this way."""

# Python's socket module names these on some systems only.
_IP_RECVERR = getattr(socket, "IP_RECVERR", 11)
_IPV6_RECVERR = 25
_ERROR_QUEUE = getattr(socket, "MSG_ERRQUEUE", 0x2000)

_EXTENDED = struct.Struct("=IBBBBII")
"""``struct sock_extended_err``: errno, origin, type, code, padding, information, data."""

_ORIGINS = (2, 3)
"""ICMP and ICMPv6: the network said so, not this host."""

_OFFENDER = len(_EXTENDED.pack(0, 0, 0, 0, 0, 0, 0))
_QUOTED = 2048
_ANCILLARY = 512
_BATCH = 16
"""Reports read before the reactor gets its turn again."""

_MEANINGS = {
    errno.ECONNREFUSED: "nobody listens on that port",
    errno.EHOSTUNREACH: "the host cannot be reached, or a firewall refuses",
    errno.ENETUNREACH: "there is no route to that network",
}

PENDING = frozenset(_MEANINGS) | {
    *(errno.ENOPROTOOPT, errno.EMSGSIZE, errno.EOPNOTSUPP, errno.EPROTO, errno.EACCES),
    *(getattr(errno, name) for name in ("EHOSTDOWN", "ENONET") if hasattr(errno, name)),
}
"""What a call on the socket can fail with that is about an older datagram."""

Undelivered = Callable[[bytes, Address, str], None]
"""
Called with the octets of a datagram as far as they are quoted, with where it was sent to, and with
what is said of it: by whom, and what.
"""


@implementer(IHalfCloseableDescriptor)
class ReportingPort(udp.Port):
    """
    A port that is told what could not be delivered.

    :param undelivered: told of each report; at most as many as datagrams were sent.
    """

    def __init__(
        self,
        address: str,
        port: int,
        protocol: DatagramProtocol,
        undelivered: Undelivered,
        reactor: Any,
    ) -> None:
        super().__init__(port, protocol, address, 65535, reactor)
        self._undelivered = undelivered
        self._made: socket.socket | None = None

    def startListening(self) -> None:
        """
        Bind the port and read from it.

        :raises CannotListenError: if it cannot be bound.
        """
        try:
            super().startListening()
        except CannotListenError:
            if self._made is not None:
                self._made.close()  # Twisted leaves it open
            raise

    def createInternetSocket(self) -> socket.socket:
        """From Twisted: the socket, before it is bound."""
        made: socket.socket = super().createInternetSocket()
        self._made = made
        if AVAILABLE:
            if self.addressFamily == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            else:
                made.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        return made

    def readConnectionLost(self, reason: Failure) -> None:
        """
        From the reactor: the kernel has an error for us, which is no end of a datagram socket.
        """
        self.reported()
        if self.connected:
            self.startReading()

    def writeConnectionLost(self, reason: Failure) -> None:
        """From the reactor: nothing, a datagram socket never waits to write."""

    def doRead(self) -> None:
        """From the reactor: something has arrived, or an error has."""
        # Some reactors do not tell them apart, and Twisted's port passes over errors.
        self.reported()
        try:
            super().doRead()
        except OSError as error:
            if error.errno not in PENDING:
                raise
            self.reported()

    def send_to(self, octets: bytes, peer: Address) -> None:
        """
        Send a datagram.

        :raises OSError: if it cannot be.
        :raises ValueError: if that is no address: a name is not looked up.
        """
        ipaddress.ip_address(peer[0])
        self.sending(lambda: self.socket.sendto(octets, peer))

    def sending(self, send: Callable[[], object]) -> None:
        """
        Send; once more if what failed was an older datagram: then this one was not sent.
        """
        try:
            send()
        except OSError as error:
            if error.errno not in PENDING:
                raise
            self.reported()
            send()

    def reported(self) -> None:
        """Read what the kernel has to report, a bounded number at a time."""
        for _ in range(_BATCH if AVAILABLE else 0):
            try:
                octets, ancillary, _, peer = self.socket.recvmsg(_QUOTED, _ANCILLARY, _ERROR_QUEUE)
            except OSError:
                break
            for _, _, data in ancillary:
                said = _said(data)
                if said and peer:
                    self._undelivered(octets, (peer[0], peer[1]), said)
        # What is left as the socket's error was told to us just now.
        self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _said(data: bytes) -> str:
    """Who says what; empty if it is nothing that explains silence."""
    if len(data) < _OFFENDER:
        return ""
    number, origin, *_ = _EXTENDED.unpack_from(data)
    meaning = _MEANINGS.get(number)
    if meaning is None or origin not in _ORIGINS:
        return ""
    return f"{_offender(data[_OFFENDER:]) or 'somebody'} says by ICMP that {meaning}"


def _offender(address: bytes) -> str:
    """The host that sent the ICMP message, out of a ``struct sockaddr``."""
    if len(address) < 8:
        return ""
    family = int.from_bytes(address[:2], sys.byteorder)
    if family == socket.AF_INET:
        return str(ipaddress.IPv4Address(address[4:8]))
    if family == socket.AF_INET6 and len(address) >= 24:
        return str(ipaddress.IPv6Address(address[8:24]))
    return ""
