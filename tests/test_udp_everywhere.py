"""One socket for all addresses of this host: it has to know which one was asked."""

from __future__ import annotations

import os
import socket
from unittest import skipUnless

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest

from isakmp import udp
from isakmp.errors import ConfigurationError
from isakmp.packet_info import AVAILABLE
from isakmp.paths import Address, Datagram, Path
from isakmp.udp import UDPPorts
from tests.loopback import UNBOUND, quietly_collect
from tests.samples import logged
from tests.test_udp import LARGEST, PortsTestCase, Received


class EverywhereTestCase(PortsTestCase):
    def everywhere(self, received: Received, address: str = "0.0.0.0") -> tuple[UDPPorts, int]:
        """A socket for all addresses, and its port."""
        ports, ((host, port),) = self.listening(received, address)
        self.assertEqual(host, address)
        return ports, port

    async def turns(self) -> None:
        """The reactor does what it has to do by now."""
        await deferLater(reactor, 0.01, lambda: None)


class ArrivalTests(EverywhereTestCase):
    """What arrives, and the answer to it."""

    if not AVAILABLE:
        skip = "known to work on Linux only"

    async def test_answer(self) -> None:
        """
        Whichever of our addresses was asked, the path says it, and the answer comes from there.
        """
        asked = Received()
        ports, port = self.everywhere(asked)
        stranger = self.taken()
        for number, host in enumerate(("127.0.0.1", "127.0.0.2", "127.99.0.1"), 1):
            stranger.sendto(b"question", (host, port))
            question = (await asked.at_least(number))[-1]
            self.assertEqual(question.path, Path((host, port), stranger.getsockname()))
            ports.send(Datagram(b"answer", question.path))
            self.assertEqual(stranger.recvfrom(100), (b"answer", (host, port)))

    async def test_both_families(self) -> None:
        """IPv4 and IPv6 have a socket each, on one port; each address is seen as what it is."""
        asked = Received()
        ports, port = self.everywhere(asked)
        try:
            self.assertEqual(ports.listen("::", port), ("::", port))
        except ConfigurationError as error:
            raise SkipTest(str(error)) from None
        for number, host in enumerate(("127.0.0.1", "::1"), 1):
            stranger = self.taken(host)
            stranger.sendto(b"question", (host, port))
            question = (await asked.at_least(number))[-1]
            self.assertEqual(question.path, Path((host, port), stranger.getsockname()[:2]))
            ports.send(Datagram(b"answer", question.path))
            self.assertEqual(stranger.recv(100), b"answer")

    async def test_sizes(self) -> None:
        """Datagrams of every possible size arrive, and leave, unchanged."""
        received = Received()
        ports, port = self.everywhere(received)
        here = ("127.0.0.1", port)
        for number, size in enumerate((0, 1, 28, 1472, 9000, LARGEST), 1):
            octets = os.urandom(size)
            ports.send(Datagram(octets, Path(here, here)))
            arrived = (await received.at_least(number))[-1]
            self.assertEqual(arrived, Datagram(octets, Path(here, here)))

    async def test_many(self) -> None:
        """However many come at once, all are read, in order."""
        received = Received()
        _, port = self.everywhere(received)
        stranger = self.taken()
        for number in range(250):
            stranger.sendto(number.to_bytes(2), ("127.0.0.1", port))
        datagrams = await received.at_least(250)
        self.assertEqual([int.from_bytes(one.octets) for one in datagrams], list(range(250)))

    async def test_fault_of_ours(self) -> None:
        """If a datagram makes us fail, that is logged; the socket stays open for the next one."""
        received = Received()

        class Failing(Received):
            def __call__(self, datagram: Datagram) -> None:
                received(datagram)
                if len(received.datagrams) == 1:
                    raise ZeroDivisionError

        _, port = self.everywhere(Failing())
        stranger = self.taken()
        for number, octets in enumerate((b"one", b"two"), 1):
            stranger.sendto(octets, ("127.0.0.1", port))
            await received.at_least(number)
        self.assertEqual([one.octets for one in received.datagrams], [b"one", b"two"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_nobody_listens(self) -> None:
        """A peer whose port is closed does not disturb what comes next."""
        received = Received()
        ports, port = self.everywhere(received)
        here = ("127.0.0.1", port)
        gone = self.taken()
        remote: Address = gone.getsockname()
        gone.close()
        for _ in range(3):
            ports.send(Datagram(b"anybody?", Path(here, remote)))
            await self.turns()
        ports.send(Datagram(b"myself", Path(here, here)))
        (arrived,) = await received.at_least(1)
        self.assertEqual(arrived.octets, b"myself")

    async def test_lost(self) -> None:
        """What cannot be sent is logged, and nothing is raised."""
        received = Received()
        ports, port = self.everywhere(received)
        here = ("127.0.0.1", port)
        for octets, path, word in (
            (bytes(LARGEST + 1), Path(here, here), "127.0.0.1"),
            (b"x", Path(here, ("127.0.0.1", 70000)), "70000"),
            (b"x", Path(here, ("::1", port)), "::1"),
            (b"x", Path(("192.0.2.77", port), ("127.0.0.1", port)), "127.0.0.1"),
            (b"x", Path(("127.0.0.0/8", port), here), "127.0.0.1"),
            (b"x", Path(("127.0.0.1", port ^ 1), here), "127.0.0.1"),
            (b"x", Path(("::1", port), ("::1", port)), "::1"),
        ):
            notes = logged(self)
            ports.send(Datagram(octets, path))
            said = [note["log_format"].format(**note) for note in notes]
            self.assertEqual(len(said), 1, (path, said))
            self.assertIn(word, said[0])
        await self.turns()
        self.assertEqual(received.datagrams, [])

    async def test_close(self) -> None:
        """When it is closed, the port is free, and nothing more arrives."""
        received = Received()
        ports, port = self.everywhere(received)
        self.taken().sendto(b"late", ("127.0.0.1", port))
        await ports.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", port))
        self.assertEqual(received.datagrams, [])


class ListenTests(EverywhereTestCase):
    """What can be listened on."""

    suppress = UNBOUND

    def setUp(self) -> None:
        self.addCleanup(quietly_collect)

    def test_in_use(self) -> None:
        """A port that somebody has at one address cannot be had at all of them: one line."""
        for address, every in (("127.0.0.1", "0.0.0.0"), ("::1", "::")):
            try:
                port = self.taken(address).getsockname()[1]
            except OSError:
                continue  # a host without IPv6
            ports = self.ports(Received())
            error = self.assertRaises(ConfigurationError, ports.listen, every, port)
            spelled = f"[{every}]" if ":" in every else every
            self.assertEqual(
                str(error), f"cannot listen on {spelled}:{port}: Address already in use"
            )

    def test_no_port(self) -> None:
        """A port that cannot be is one line, too."""
        ports = self.ports(Received())
        for port in (65536, -1):
            error = self.assertRaises(ConfigurationError, ports.listen, "0.0.0.0", port)
            self.assertIn(f"0.0.0.0:{port}: ", str(error))

    def test_spelling(self) -> None:
        """All addresses are all addresses, however I spell them."""
        _, (local,) = self.listening(Received(), "0:0:0:0:0:0:0:0")
        self.assertEqual(local[0], "::")

    @skipUnless(AVAILABLE, "that is all there is here")
    async def test_other_systems(self) -> None:
        """Where the kernel is not asked, it works as far as it can."""
        self.patch(udp, "AVAILABLE", False)
        received = Received()
        _, (local,) = self.listening(received, "0.0.0.0")
        self.taken().sendto(b"question", ("127.0.0.1", local[1]))
        (arrived,) = await received.at_least(1)
        self.assertEqual((arrived.octets, arrived.path.local), (b"question", local))


class SourceTests(EverywhereTestCase):
    """Where a path of our own begins."""

    def test_one_address(self) -> None:
        """At the address that is listened on, if it has the peer's version of IP and the port."""
        ports, (one, two) = self.listening(Received(), "127.0.0.1", "::1")
        self.assertEqual(ports.source("192.0.2.1", one[1]), one)
        self.assertEqual(ports.source("2001:db8::1", two[1]), two)

    @skipUnless(AVAILABLE, "known to work on Linux only")
    def test_everywhere(self) -> None:
        """With all addresses, at the one from which the host's routes lead there."""
        ports, port = self.everywhere(Received())
        for remote in ("127.0.0.1", "127.0.0.2"):
            self.assertEqual(ports.source(remote, port), ("127.0.0.1", port))

    def test_none(self) -> None:
        """Without a socket that could reach it, that is a mistake that says which port."""
        ports, (one,) = self.listening(Received(), "127.0.0.1")
        for remote, port in (("192.0.2.1", one[1] ^ 1), ("2001:db8::1", one[1])):
            error = self.assertRaises(ConfigurationError, ports.source, remote, port)
            self.assertIn(f"port {port} that could reach {remote}", str(error))

    @skipUnless(AVAILABLE, "known to work on Linux only")
    def test_no_route(self) -> None:
        """A peer to which no route leads is a mistake that names it."""
        ports, port = self.everywhere(Received())
        error = self.assertRaises(ConfigurationError, ports.source, "255.255.255.255", port)
        self.assertIn("no route to 255.255.255.255: ", str(error))
