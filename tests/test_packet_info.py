"""
What the kernel tells of each datagram's destination, and is told of each answer's source.

That it works over real sockets is shown in :mod:`tests.test_udp_everywhere`.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Sequence
from unittest import skipUnless

from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from isakmp.packet_info import AVAILABLE, PacketInfoPort
from isakmp.paths import Address

# linux/in.h and linux/in6.h.
IP_PKTINFO, IPV6_PKTINFO = 8, 50

Ancillary = list[tuple[int, int, bytes]]
Arrival = tuple[bytes, Ancillary, int, tuple[object, ...]]

PEER = ("192.0.2.2", 500)


def four(destination: str, interface: int = 3) -> Ancillary:
    """What Linux says of a datagram to an IPv4 address: struct in_pktinfo."""
    host = socket.inet_aton(destination)
    # ipi_spec_dst, the address it was routed by, may be another: of a broadcast, for one.
    data = struct.pack("=I", interface) + socket.inet_aton("192.0.2.99") + host
    return [(socket.IPPROTO_IP, IP_PKTINFO, data)]


def six(destination: str, interface: int = 3) -> Ancillary:
    """The same of IPv6: struct in6_pktinfo, RFC 3542 section 6."""
    data = socket.inet_pton(socket.AF_INET6, destination) + struct.pack("=I", interface)
    return [(socket.IPPROTO_IPV6, IPV6_PKTINFO, data)]


def failing(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class Socket:
    """What the port has for a socket: says what the test wants, and keeps what it is told."""

    def __init__(self, *arrivals: Arrival | OSError, refusals: Sequence[OSError] = ()) -> None:
        self.arrivals = list(arrivals)
        self.refusals = list(refusals)
        self.sent: list[tuple[bytes, Ancillary, Address]] = []

    def recvmsg(self, size: int, ancillary: int, flags: int = 0) -> Arrival:
        if flags:
            raise failing(errno.EAGAIN)  # nothing in the queue of errors
        if not self.arrivals:
            raise failing(errno.EAGAIN)
        arrival = self.arrivals.pop(0)
        if isinstance(arrival, OSError):
            raise arrival
        return arrival

    def getsockopt(self, level: int, option: int) -> int:
        return 0

    def sendmsg(
        self, buffers: Sequence[bytes], ancillary: Ancillary, flags: int, address: Address
    ) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.sent.append((b"".join(buffers), ancillary, address))


class PortTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.received: list[tuple[bytes, Address, Address]] = []

    def port(self, made: Socket) -> PacketInfoPort:
        def received(octets: bytes, local: Address, remote: Address) -> None:
            self.received.append((octets, local, remote))

        port = PacketInfoPort("0.0.0.0", 500, received, reactor)
        port._realPortNumber = 500
        port.socket = made  # type: ignore[assignment]
        return port

    def test_destination(self) -> None:
        """Each datagram comes with the address it was sent to, and this port; IPv4 and IPv6."""
        peer = ("2001:db8::2", 500, 0, 0)
        self.port(
            Socket(
                (b"one", four("127.0.0.7"), 0, PEER),
                (b"two", six("::1"), 0, peer),
                (b"three", six("2001:db8::7"), 0, peer),
            )
        ).doRead()
        self.assertEqual(
            self.received,
            [
                (b"one", ("127.0.0.7", 500), PEER),
                (b"two", ("::1", 500), ("2001:db8::2", 500)),
                (b"three", ("2001:db8::7", 500), ("2001:db8::2", 500)),
            ],
        )

    def test_among_others(self) -> None:
        """What else the kernel says is passed over; without a destination nothing is heard."""
        stamp = (socket.SOL_SOCKET, 29, bytes(16))
        other = (socket.IPPROTO_IP, 1, bytes(12))
        self.port(
            Socket(
                (b"known", [stamp, other, *four("192.0.2.1")], 0, PEER),
                (b"unknown", [stamp, other], 0, PEER),
                (b"nothing", [], 0, PEER),
            )
        ).doRead()
        self.assertEqual(self.received, [(b"known", ("192.0.2.1", 500), PEER)])

    def test_refusals(self) -> None:
        """That a peer refused what was sent before says nothing about what arrives."""
        for number in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH):
            self.received.clear()
            self.port(Socket(failing(number), (b"x", four("192.0.2.1"), 0, PEER))).doRead()
            self.assertEqual(len(self.received), 1, number)

    def test_fault(self) -> None:
        """Another error is not taken for silence: the reactor is told."""
        error = self.assertRaises(OSError, self.port(Socket(failing(errno.ENOTCONN))).doRead)
        self.assertEqual(error.errno, errno.ENOTCONN)

    def test_turns(self) -> None:
        """A flood does not keep the reactor from its other work: it gets its turn in between."""
        made = Socket(*((b"x", four("192.0.2.1"), 0, PEER) for _ in range(1000)))
        self.port(made).doRead()
        self.assertGreater(len(made.arrivals), 0)
        self.assertGreater(len(self.received), 1)

    def test_source(self) -> None:
        """An answer leaves from the address it is told, whatever the route says."""
        made = Socket()
        port = self.port(made)
        port.send(b"four", "127.0.0.7", PEER)
        port.send(b"six", "2001:db8::7", ("2001:db8::2", 500))
        ((_, first, to_four), (_, second, to_six)) = made.sent
        source = struct.pack("=I", 0) + socket.inet_aton("127.0.0.7") + bytes(4)
        self.assertEqual(first, [(socket.IPPROTO_IP, IP_PKTINFO, source)])
        self.assertEqual(second, six("2001:db8::7", 0))
        self.assertEqual((to_four, to_six), (PEER, ("2001:db8::2", 500)))

    def test_refused_before(self) -> None:
        """An error about an earlier datagram does not swallow this one; any other is told."""
        made = Socket(refusals=[failing(errno.ECONNREFUSED)])
        self.port(made).send(b"x", "192.0.2.1", PEER)
        self.assertEqual(len(made.sent), 1)
        for refusals in ([errno.EPERM], [errno.ECONNREFUSED, errno.ECONNREFUSED]):
            made = Socket(refusals=list(map(failing, refusals)))
            self.assertRaises(OSError, self.port(made).send, b"x", "192.0.2.1", PEER)
            self.assertEqual(made.sent, [])


class KernelTests(TestCase):
    """What real sockets are asked for."""

    @skipUnless(AVAILABLE, "known to work on Linux only")
    def test_one_family(self) -> None:
        """``::`` is IPv6's every address and leaves the port of IPv4 to its own socket."""
        ports = [PacketInfoPort(every, 0, print, reactor) for every in ("0.0.0.0", "::")]
        try:
            ports[0].startListening()
            ports[1].port = ports[0].getHost().port
            ports[1].startListening()
            self.assertEqual(ports[0].getHost().port, ports[1].getHost().port)
        finally:
            for port in ports:
                if port.socket is not None:
                    self.addCleanup(maybeDeferred, port.stopListening)
