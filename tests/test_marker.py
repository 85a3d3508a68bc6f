"""The non-ESP marker: on which paths it is, and what becomes of what comes without it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from isakmp.interfaces import IPorts
from isakmp.marker import KEEPALIVE, MARKER, MarkedPorts, marked
from isakmp.paths import Address, Datagram, Path

US, PEER = "192.0.2.1", "192.0.2.2"


def path(ours: int, theirs: int) -> Path:
    return Path((US, ours), (PEER, theirs))


@implementer(IPorts)
class Ports:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Datagram] = []

    def send(self, datagram: Datagram) -> None:
        self.sent.append(datagram)

    def source(self, remote: str, port: int) -> Address:
        return f"towards {remote}", port


class MarkerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.under = Ports()
        self.received: list[Datagram] = []
        self.ports = MarkedPorts(self.under, self.received.append)

    def test_interface(self) -> None:
        """A node sends by them as by any other ports, and finds its own end of a path."""
        verifyObject(IPorts, self.ports)
        self.assertEqual(self.ports.source(PEER, 4500), (f"towards {PEER}", 4500))

    def test_where(self) -> None:
        """
        Messages have the marker unless one of the two ports is 500, whichever it is: as charon has
        it on ports of my own choice.
        """
        for ours, theirs, expected in (
            (500, 500, False),
            (500, 4500, False),
            (4500, 500, False),
            (15500, 500, False),
            (500, 15500, False),
            (4500, 4500, True),
            (15500, 15500, True),
            (4500, 1024, True),
            (5000, 50000, True),
        ):
            self.assertIs(marked(path(ours, theirs)), expected, (ours, theirs))

    def test_sent(self) -> None:
        """What is sent has four zero octets before it where they belong, and only there."""
        self.ports.send(Datagram(b"message", path(4500, 4500)))
        self.ports.send(Datagram(b"message", path(500, 4500)))
        self.assertEqual(
            self.under.sent,
            [
                Datagram(bytes(4) + b"message", path(4500, 4500)),
                Datagram(b"message", path(500, 4500)),
            ],
        )

    def test_taken_off(self) -> None:
        """What arrives is heard without the marker; on port 500 it is heard as it is."""
        self.ports.datagram_received(Datagram(bytes(4) + b"message", path(4500, 4500)))
        self.ports.datagram_received(Datagram(b"message", path(500, 500)))
        self.ports.datagram_received(Datagram(bytes(4) + b"cookie", path(4500, 500)))
        self.assertEqual(
            self.received,
            [
                Datagram(b"message", path(4500, 4500)),
                Datagram(b"message", path(500, 500)),
                Datagram(bytes(4) + b"cookie", path(4500, 500)),
            ],
        )
        self.assertEqual(self.ports.strange, 0)

    def test_keepalive(self) -> None:
        """One octet of ones keeps a NAT's mapping alive: it is no message, and not strange."""
        self.ports.datagram_received(Datagram(KEEPALIVE, path(4500, 4500)))
        self.assertEqual((self.received, self.ports.strange), ([], 0))

    def test_without(self) -> None:
        """
        Where the marker must be, what comes without it is ESP, or nobody's: it is counted, and no
        part of this node reads it.
        """
        hostile = (
            b"",
            bytes(3),
            b"\x00\x00\x00\x01" + bytes(60),
            b"\xff\xff",
            b"\x01" + bytes(27),
        )
        for number, octets in enumerate(hostile, 1):
            self.ports.datagram_received(Datagram(octets, path(4500, 4500)))
            self.assertEqual(self.ports.strange, number, octets)
        self.assertEqual(self.received, [])

    @given(st.binary(max_size=64), st.integers(1, 65535), st.integers(1, 65535))
    def test_there_and_back(self, octets: bytes, ours: int, theirs: int) -> None:
        """Whatever is sent on whatever ports, the other end hears just that."""
        heard: list[Datagram] = []
        other = MarkedPorts(Ports(), heard.append)
        self.ports.send(Datagram(octets, path(ours, theirs)))
        sent = self.under.sent[-1]
        self.assertEqual(len(sent.octets) - len(octets), 0 if 500 in (ours, theirs) else 4)
        self.assertTrue(sent.octets.startswith(MARKER) or not marked(sent.path))
        other.datagram_received(Datagram(sent.octets, sent.path.reversed()))
        self.assertEqual(heard, [Datagram(octets, path(ours, theirs).reversed())])
