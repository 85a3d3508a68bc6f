"""The sockets: real datagrams on this host's loopback."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase
from zope.interface.verify import verifyObject

from isakmp.errors import ConfigurationError
from isakmp.interfaces import IPorts
from isakmp.paths import Address, Datagram, Path
from isakmp.udp import UDPPorts
from tests.loopback import UNBOUND, quietly_collect
from tests.samples import logged

LARGEST = 65507
"""Octets of UDP's largest payload over IPv4."""


class Received:
    """Keeps what arrives, and tells when there is enough of it."""

    def __init__(self) -> None:
        self.datagrams: list[Datagram] = []
        self._waiting: list[tuple[int, Deferred[list[Datagram]]]] = []

    def __call__(self, datagram: Datagram) -> None:
        self.datagrams.append(datagram)
        for wanted in tuple(self._waiting):
            if len(self.datagrams) >= wanted[0]:
                self._waiting.remove(wanted)
                wanted[1].callback(self.datagrams)

    def at_least(self, count: int) -> Deferred[list[Datagram]]:
        """All of them, once there are so many; within some seconds."""
        waiting: Deferred[list[Datagram]] = Deferred()
        if len(self.datagrams) >= count:
            waiting.callback(self.datagrams)
        else:
            self._waiting.append((count, waiting))
        return waiting.addTimeout(5.0, reactor)


class PortsTestCase(TestCase):
    """Tests that open ports have them closed."""

    def ports(self, received: Callable[[Datagram], object], where: Any = reactor) -> UDPPorts:
        made = UDPPorts(where, received)  # type: ignore[arg-type]
        self.addCleanup(made.close)
        return made

    def listening(
        self, received: Callable[[Datagram], object], *addresses: str
    ) -> tuple[UDPPorts, list[Address]]:
        """Ports on each of these addresses; without one of them the test means nothing."""
        made = self.ports(received)
        try:
            return made, [made.listen(address, 0) for address in addresses]
        except ConfigurationError as error:
            raise SkipTest(str(error)) from None

    def taken(self, address: str = "127.0.0.1") -> socket.socket:
        """A socket of somebody else's."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        other = socket.socket(family, socket.SOCK_DGRAM)
        self.addCleanup(other.close)
        other.settimeout(5.0)
        other.bind((address, 0))
        return other


class LoopbackTests(PortsTestCase):
    """What is sent arrives, and says where it came from."""

    async def test_sizes_over_ipv4(self) -> None:
        """Datagrams of every possible size, the empty and the largest too, arrive unchanged."""
        await self.sizes("127.0.0.1")

    async def test_sizes_over_ipv6(self) -> None:
        """Over IPv6 as over IPv4."""
        await self.sizes("::1")

    async def sizes(self, address: str) -> None:
        received = Received()
        mine, (here,) = self.listening(lambda datagram: None, address)
        _, (there,) = self.listening(received, address)
        sizes = (0, 1, 27, 28, 1472, 1473, 9000, 32768, LARGEST - 1, LARGEST)
        for number, size in enumerate(sizes, 1):
            octets = os.urandom(size)
            mine.send(Datagram(octets, Path(here, there)))
            arrived = (await received.at_least(number))[-1]
            self.assertEqual(len(arrived.octets), size)
            self.assertEqual(arrived, Datagram(octets, Path(there, here)))

    async def test_answer(self) -> None:
        """
        An answer goes to where the question came from, and comes from where the question went,
        whichever of our addresses that was.

        Proves: RFC 2408 section 2.5.1 (row 2.5.1-1)
        """
        asked = Received()
        ours, (one, two) = self.listening(asked, "127.0.0.1", "127.0.0.2")
        stranger = self.taken()
        for number, local in enumerate((one, two), 1):
            stranger.sendto(b"question", local)
            question = (await asked.at_least(number))[-1]
            self.assertEqual(question.path, Path(local, stranger.getsockname()))
            ours.send(Datagram(b"answer", question.path))
            self.assertEqual(stranger.recvfrom(100), (b"answer", local))

    async def test_same_port(self) -> None:
        """One port number on two addresses are two sockets."""
        received = Received()
        ports = self.ports(received)
        one = ports.listen("127.0.0.1", 0)
        try:
            two = ports.listen("127.0.0.2", one[1])
        except ConfigurationError as error:
            raise SkipTest(str(error)) from None
        ports.send(Datagram(b"across", Path(one, two)))
        (arrived,) = await received.at_least(1)
        self.assertEqual(arrived.path, Path(two, one))

    def test_any_port(self) -> None:
        """Port 0 is any that is free, and it is told which."""
        _, (one, two) = self.listening(Received(), "127.0.0.1", "127.0.0.1")
        self.assertEqual({one[0], two[0]}, {"127.0.0.1"})
        self.assertNotEqual(one[1], two[1])
        self.assertNotIn(0, (one[1], two[1]))

    def test_spelling(self) -> None:
        """However I spell an address, paths have its canonical spelling."""
        _, (local,) = self.listening(Received(), "0:0:0:0:0:0:0:1")
        self.assertEqual(local[0], "::1")

    def test_interface(self) -> None:
        """They are what a node sends by."""
        verifyObject(IPorts, self.ports(Received()))

    async def test_fault_of_ours(self) -> None:
        """If a datagram makes us fail, that is logged and the next one is received."""
        received = Received()

        def fails_first(datagram: Datagram) -> None:
            received(datagram)
            if len(received.datagrams) == 1:
                raise ZeroDivisionError

        _, (local,) = self.listening(fails_first, "127.0.0.1")
        stranger = self.taken()
        stranger.sendto(b"one", local)
        await received.at_least(1)
        stranger.sendto(b"two", local)
        both = await received.at_least(2)
        self.assertEqual([datagram.octets for datagram in both], [b"one", b"two"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class RefusedReactor:
    """One whose host does not let us have the port."""

    def __init__(self, why: OSError) -> None:
        self._why = why

    def listenUDP(self, port: int, *_: object, interface: str, **__: object) -> None:
        raise CannotListenError(interface, port, self._why)


class RefusalTests(PortsTestCase):
    """An address that cannot be had is one line that says why."""

    suppress = UNBOUND

    def setUp(self) -> None:
        self.addCleanup(quietly_collect)

    def refusal(self, address: str, port: int, where: Any = reactor) -> str:
        ports = self.ports(Received(), where)
        said = str(self.assertRaises(ConfigurationError, ports.listen, address, port))
        self.assertEqual(said.splitlines(), [said])
        return said

    def test_in_use(self) -> None:
        """If another daemon has the port, it says: cannot listen on 127.0.0.1:500, in use."""
        for address in ("127.0.0.1", "::1"):
            try:
                host, port = self.taken(address).getsockname()[:2]
            except OSError:
                continue  # a host without IPv6
            spelled = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            self.assertEqual(
                self.refusal(host, port), f"cannot listen on {spelled}: Address already in use"
            )

    def test_in_use_by_us(self) -> None:
        """The same port twice is no better."""
        ports, ((host, port),) = self.listening(Received(), "127.0.0.1")
        error = self.assertRaises(ConfigurationError, ports.listen, host, port)
        self.assertIn("Address already in use", str(error))

    def test_no_permission(self) -> None:
        """Without the privilege for port 500 it says what is missing."""
        denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        self.assertEqual(
            self.refusal("127.0.0.1", 500, RefusedReactor(denied)),
            "cannot listen on 127.0.0.1:500: Permission denied; ports below 1024 need the "
            "privilege (CAP_NET_BIND_SERVICE), or choose another",
        )

    def test_other_reason(self) -> None:
        """Another reason is told without a hint at privileges."""
        said = self.refusal("::1", 500, RefusedReactor(OSError(errno.ENOBUFS, "No buffers")))
        self.assertEqual(said, "cannot listen on [::1]:500: No buffers")

    def test_another_host(self) -> None:
        """An address that is not this host's, with a port of my choice or any."""
        for port in (50500, 0):
            said = self.refusal("192.0.2.77", port)
            self.assertEqual(
                said, f"cannot listen on 192.0.2.77:{port}: {os.strerror(errno.EADDRNOTAVAIL)}"
            )

    def test_no_address(self) -> None:
        """A name, or something like an address, is none; nor can a port be of any size."""
        for address in ("localhost", "127.1", "300.0.0.1", "192.0.2.0/24", ""):
            said = self.refusal(address, 500)
            self.assertTrue(said.startswith(f"cannot listen on {address}:500: "), said)
            self.assertTrue(said.endswith("to be an IPv4 or IPv6 address"), said)
        for port in (65536, -1):
            self.assertIn(f"127.0.0.1:{port}: ", self.refusal("127.0.0.1", port))


class LossTests(PortsTestCase):
    """What cannot be sent is lost, as datagrams may be: that is logged, and nothing is raised."""

    def assert_lost(self, ports: UDPPorts, datagram: Datagram, *words: str) -> None:
        notes = logged(self)
        before = len(notes)
        ports.send(datagram)
        said = [note["log_format"].format(**note) for note in notes[before:]]
        self.assertEqual(len(said), 1, said)
        for word in words:
            self.assertIn(word, said[0])

    async def test_unknown_address(self) -> None:
        """From an address or port that is not open nothing is sent, and the log says so."""
        received = Received()
        ports, (local,) = self.listening(received, "127.0.0.1")
        for elsewhere in (("127.0.0.1", local[1] ^ 1), ("192.0.2.1", local[1])):
            self.assert_lost(
                ports, Datagram(b"x", Path(elsewhere, local)), "nothing is sent", elsewhere[0]
            )
        await deferLater(reactor, 0.01, lambda: None)
        self.assertEqual(received.datagrams, [])

    async def test_errors(self) -> None:
        """A datagram that is too long, or for an address that cannot be, harms nobody."""
        received = Received()
        ports, (local,) = self.listening(received, "127.0.0.1")
        for size, remote in (
            (LARGEST + 1, local),
            (1, ("127.0.0.1", 70000)),
            (1, ("127.0.0.1", 0)),
            (1, ("::1", local[1])),
            (1, ("localhost", local[1])),
            (1, ("192.0.2.0/24", local[1])),
        ):
            self.assert_lost(
                ports,
                Datagram(bytes(size), Path(local, remote)),
                "could not send to",
                remote[0],
                str(remote[1]),
            )
        ports.send(Datagram(b"still there", Path(local, local)))
        (arrived,) = await received.at_least(1)
        self.assertEqual(arrived.octets, b"still there")

    def test_refused_by_the_system(self) -> None:
        """A firewall's no, an unreachable network, full buffers: the reason is in the log."""
        ports, (local,) = self.listening(Received(), "127.0.0.1")
        for number in (errno.EPERM, errno.ENETUNREACH, errno.EAGAIN, errno.ENOBUFS):

            def write(*_: object, number: int = number) -> None:
                raise OSError(number, os.strerror(number))

            self.patch(ports._sockets[local].transport, "write", write)
            self.assert_lost(
                ports, Datagram(b"x", Path(local, local)), "127.0.0.1", os.strerror(number)
            )

    async def test_nobody_listens(self) -> None:
        """A peer whose port is closed does not disturb what comes next."""
        received = Received()
        ports, (local,) = self.listening(received, "127.0.0.1")
        gone = self.taken()
        remote = gone.getsockname()
        gone.close()
        for _ in range(3):
            ports.send(Datagram(b"anybody?", Path(local, remote)))
            await deferLater(reactor, 0, lambda: None)
        ports.send(Datagram(b"myself", Path(local, local)))
        (arrived,) = await received.at_least(1)
        self.assertEqual(arrived.octets, b"myself")


class SourceTests(PortsTestCase):
    """Where a path of our own begins, with a socket for each address."""

    def test_routed(self) -> None:
        """
        At the address from which the host's routes lead to the peer, if it is listened on, however
        many others are; else at the first.
        """
        received = Received()
        for hosts, expected in (
            (("127.0.0.2", "127.0.0.1"), "127.0.0.1"),
            (("127.0.0.1", "127.0.0.2"), "127.0.0.1"),
            (("127.0.0.3", "127.0.0.2"), "127.0.0.3"),
        ):
            ports = self.ports(received)
            try:
                _, port = ports.listen(hosts[0], 0)
                ports.listen(hosts[1], port)
            except ConfigurationError as error:
                raise SkipTest(str(error)) from None
            self.assertEqual(ports.source("127.0.0.1", port), (expected, port))


class CloseTests(PortsTestCase):
    """Nothing is kept."""

    async def test_close(self) -> None:
        """When it is closed, the ports are free for others."""
        ports, locals_ = self.listening(Received(), "127.0.0.1", "127.0.0.1")
        await ports.close()
        for local in locals_:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.bind(local)

    async def test_after(self) -> None:
        """After that nothing arrives and nothing is sent, even of what was under way."""
        received = Received()
        ports, (local,) = self.listening(received, "127.0.0.1")
        self.taken().sendto(b"late", local)
        closed = ports.close()
        notes = logged(self)
        ports.send(Datagram(b"later", Path(local, local)))
        await closed
        self.assertEqual(received.datagrams, [])
        said = [note["local"] for note in notes if "local" in note]
        self.assertEqual(said, [f"127.0.0.1:{local[1]}"])

    async def test_leave(self) -> None:
        """One address is left, and the others go on."""
        received = Received()
        ports, (one, two) = self.listening(received, "127.0.0.1", "127.0.0.1")
        await ports.leave(one)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(one)
        ports.send(Datagram(b"still", Path(two, two)))
        self.assertEqual((await received.at_least(1))[0].octets, b"still")
        notes = logged(self)
        ports.send(Datagram(b"gone", Path(one, two)))
        self.assertEqual([note["local"] for note in notes], [f"127.0.0.1:{one[1]}"])

    async def test_twice(self) -> None:
        """To close what is closed, or was never open, is nothing."""
        ports, _ = self.listening(Received(), "127.0.0.1")
        await ports.close()
        await ports.close()
        await self.ports(Received()).close()

    async def test_again(self) -> None:
        """The same address can be had again."""
        received = Received()
        ports, (local,) = self.listening(received, "127.0.0.1")
        await ports.close()
        self.assertEqual(ports.listen(*local), local)
        ports.send(Datagram(b"again", Path(local, local)))
        self.assertEqual((await received.at_least(1))[0].octets, b"again")
