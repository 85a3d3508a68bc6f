"""
IP packets: read, made, and refused.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp import packets
from isakmp.errors import Malformed
from isakmp.packets import ECHO_REQUEST, Echo, Packet, carrying, checksum, packet

HERE, THERE = "10.1.0.1", "10.2.0.9"
HERE_6, THERE_6 = "2001:db8::1", "2001:db8::2"

# Captured from ping(8), 8 octets of data.
PING = bytes.fromhex(
    "450000240a8140004001 3229 7f000001 7f000001 0800a1f4 00340001 0001020304050607"
)


def with_extensions(*headers: tuple[int, bytes], last: int, payload: bytes) -> bytes:
    """An IPv6 packet with extension headers, each a number and its octets after the first."""
    kinds = [kind for kind, _ in headers] + [last]
    octets = b"".join(bytes([kinds[n + 1]]) + rest for n, (_, rest) in enumerate(headers))
    return packet(HERE_6, THERE_6, kinds[0], octets + payload)


class PacketTests(SynchronousTestCase):
    def test_both_versions(self) -> None:
        """
        What is made is read again: addresses, protocol, ports, payload.

        Proves: RFC 791 section 3.1
        """
        datagram = packets.udp(500, 4500, b"data")
        for here, there, version, begins in ((HERE, THERE, 4, 20), (HERE_6, THERE_6, 6, 40)):
            octets = packet(here, there, packets.UDP, datagram)
            found = Packet.decode(octets + b"padding of a frame")
            self.assertEqual(found.octets, octets)
            self.assertEqual((found.version, found.begins), (version, begins))
            self.assertEqual((found.protocol, found.ports), (packets.UDP, (500, 4500)))
            self.assertEqual(found.payload, datagram)
        self.assertRaises(ValueError, packet, HERE, THERE_6, 17, b"")
        self.assertRaises(OverflowError, packet, HERE, THERE, 17, bytes(65536))

    def test_checksum(self) -> None:
        """
        The checksum is that of RFC 1071's example, and a header with a wrong one is refused.

        Proves: RFC 1071 section 3
        """
        self.assertEqual(checksum(bytes.fromhex("0001f203f4f5f6f7")), 0xFFFF ^ 0xDDF2)
        octets = packet(HERE, THERE, 17, b"")
        self.assertEqual(checksum(octets), 0)
        for at in range(20):
            broken = bytearray(octets)
            broken[at] ^= 1
            self.assertRaises(Malformed, Packet.decode, bytes(broken))

    def test_no_ports(self) -> None:
        """What has no ports, or is a later fragment, has none."""
        self.assertIsNone(Packet.decode(packet(HERE, THERE, packets.ESP, bytes(8))).ports)
        self.assertIsNone(Packet.decode(packet(HERE, THERE, packets.UDP, b"\0\1\0")).ports)
        later = bytearray(packet(HERE, THERE, packets.UDP, bytes(8)))
        later[6:8], later[10:12] = b"\0\1", bytes(2)
        later[10:12] = checksum(bytes(later[:20])).to_bytes(2)
        self.assertIsNone(Packet.decode(bytes(later)).ports)

    def test_extensions(self) -> None:
        """
        Behind IPv6's extension headers stands what is carried; of a later fragment its ports are
        not known.

        Proves: RFC 8200 section 4.1
        """
        hop, options, routing = (0, bytes(7)), (60, b"\1" + bytes(14)), (43, bytes(7))
        octets = with_extensions(hop, options, routing, last=17, payload=packets.udp(1, 2, b""))
        found = Packet.decode(octets)
        self.assertEqual((found.protocol, found.ports, found.begins), (17, (1, 2), 40 + 8 + 16 + 8))
        for offset, ports in ((b"\0\0", (1, 2)), (b"\0\x08", None)):
            fragment = (44, b"\0" + offset + bytes(4))
            octets = with_extensions(fragment, last=17, payload=packets.udp(1, 2, b""))
            self.assertEqual(Packet.decode(octets).ports, ports)
        many = [(60, b"\0" + bytes(6))] * 9
        self.assertRaises(Malformed, Packet.decode, with_extensions(*many, last=17, payload=b""))
        too_long = with_extensions((60, b"\xff" + bytes(6)), last=17, payload=b"")
        self.assertRaises(Malformed, Packet.decode, too_long)

    def test_transport(self) -> None:
        """What a packet carries can be put in the place of what it carried, and back."""
        extended = with_extensions((60, b"\0" + bytes(6)), last=17, payload=b"datagram")
        for octets in (packet(HERE, THERE, 17, b"datagram"), extended):
            original = Packet.decode(octets)
            protected = Packet.decode(carrying(original, packets.ESP, b"something longer"))
            self.assertEqual(protected.protocol, packets.ESP)
            self.assertEqual(protected.payload, b"something longer")
            self.assertEqual(protected.source, original.source)
            self.assertEqual(carrying(protected, 17, b"datagram"), octets)

    def test_echo(self) -> None:
        """An echo request is read, and made as it was; anything else is refused."""
        carried = Packet.decode(packet(HERE, THERE, packets.ICMP, PING[20:])).payload
        fixed = Echo(ECHO_REQUEST, 0x34, 1, bytes(range(8))).encode()
        self.assertEqual(Echo.decode(fixed), Echo(ECHO_REQUEST, 0x34, 1, bytes(range(8))))
        self.assertEqual(len(carried), len(fixed))
        for wrong in (b"", fixed[:7], b"\3" + fixed[1:], fixed[:-1] + b"\xff"):
            self.assertRaises(Malformed, Echo.decode, wrong)

    @given(st.binary(max_size=120))
    def test_any_octets(self, octets: bytes) -> None:
        """Any octets are a packet or refused; never anything else."""
        for start in (b"", b"\x45", b"\x60"):
            try:
                found = Packet.decode(start + octets)
            except Malformed:
                continue
            self.assertLessEqual(found.begins, len(found.octets))
