"""The octets of vici: what is sent is what is read, and nothing that arrives does harm."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.control.codec import (
    MAX_DEPTH,
    Kind,
    Malformed,
    Packet,
    Section,
    clipped,
    decode,
    encode,
    octets_of,
)
from tests.control.strategies import messages, packets


class MessageTests(SynchronousTestCase):
    def test_example(self) -> None:
        """A message has the octets that strongSwan's description of vici gives it."""
        message: Section = {
            "key1": "value1",
            "section1": {"sub-section": {"key2": "value2"}, "list1": ["item1", "item2"]},
        }
        octets = (
            b"\x03\x04key1\x00\x06value1"
            b"\x01\x08section1"
            b"\x01\x0bsub-section"
            b"\x03\x04key2\x00\x06value2"
            b"\x02"
            b"\x04\x05list1\x05\x00\x05item1\x05\x00\x05item2\x06"
            b"\x02"
        )
        self.assertEqual(encode(message), octets)
        self.assertEqual(decode(octets), message)

    @given(messages)
    def test_round_trip(self, message: Section) -> None:
        """Whatever a message holds, octets that are no text included, arrives as it was sent."""
        self.assertEqual(decode(encode(message)), message)

    @given(st.binary(max_size=200))
    def test_hostile(self, octets: bytes) -> None:
        """Any octets are a message, which has these octets again, or are refused."""
        try:
            message = decode(octets)
        except Malformed:
            return
        self.assertEqual(decode(encode(message)), message)

    @given(messages, st.data())
    def test_cut_short(self, message: Section, data: st.DataObject) -> None:
        """A message that is cut inside a section, a list or a value is refused, never guessed."""
        octets = encode({"section": message})
        cut = data.draw(st.integers(1, len(octets) - 1))
        self.assertRaises(Malformed, decode, octets[:cut])

    def test_refused(self) -> None:
        """Ends without a beginning, items without a list, sections in lists, a name twice."""
        for octets in (
            b"\x02",
            b"\x06",
            b"\x05\x00\x01a",
            b"\x00",
            b"\x07",
            b"\x04\x01l\x01\x01s\x02\x06",
            b"\x04\x01l\x04\x01m\x06\x06",
            b"\x03\x01k\x00\x00\x03\x01k\x00\x00",
            b"\x01\x01s\x02\x01\x01s\x02",
            b"\x03\x01k\xff\xffx",
            b"\x03\xffk",
        ):
            with self.subTest(octets):
                self.assertRaises(Malformed, decode, octets)

    def test_depth(self) -> None:
        """Sections that are too deep inside one another are refused, coming and going."""
        for depth in (MAX_DEPTH + 1, 100_000):
            octets = b"\x01\x01s" * depth + b"\x02" * depth
            self.assertRaises(Malformed, decode, octets)
        self.assertTrue(decode(b"\x01\x01s" * MAX_DEPTH + b"\x02" * MAX_DEPTH))
        message: Section = {}
        for _ in range(MAX_DEPTH + 1):
            message = {"s": message}
        self.assertRaises(ValueError, encode, message)

    def test_too_long(self) -> None:
        """What has no place in its length is not sent in part."""
        self.assertRaises(ValueError, encode, {"n" * 256: ""})
        self.assertRaises(ValueError, encode, {"n": "v" * 65536})
        self.assertRaises(ValueError, encode, {"n": ["v" * 65536]})
        self.assertEqual(decode(encode({"n" * 255: "v" * 65535})), {"n" * 255: "v" * 65535})

    def test_octets(self) -> None:
        """Octets may be given as octets, and are had again."""
        octets = bytes(range(256))
        value = decode(encode({"data": octets}))["data"]
        assert isinstance(value, str)
        self.assertEqual(octets_of(value), octets)

    @given(st.text(max_size=60), st.integers(3, 40))
    def test_clipped(self, text: str, most: int) -> None:
        """A sentence is shown on one line, in characters that swanctl shows, and cut to fit."""
        line = clipped(text, most)
        self.assertLessEqual(len(line), most)
        self.assertTrue(all(" " <= c <= "~" for c in line))

    def test_clipped_lines(self) -> None:
        """Nothing is lost of several lines, or of characters that are not ASCII."""
        self.assertEqual(clipped("a: b\nc\n"), "a: b; c")
        self.assertEqual(clipped("\xe9\u20ac\udcff\t'"), "\\xe9\\u20ac\\udcff\\t'")
        self.assertEqual(clipped("x" * 10, 9), "xxxxxx...")


class PacketTests(SynchronousTestCase):
    @given(packets)
    def test_round_trip(self, packet: Packet) -> None:
        """Every packet arrives as it was sent."""
        self.assertEqual(Packet.decode(packet.encode()), packet)

    @given(st.binary(max_size=100))
    def test_hostile(self, octets: bytes) -> None:
        """Any octets are a packet or are refused."""
        try:
            packet = Packet.decode(octets)
        except Malformed:
            return
        self.assertEqual(Packet.decode(packet.encode()), packet)

    def test_refused(self) -> None:
        """Nothing, unknown kinds, a name that is cut, and octets where none belong."""
        for octets in (b"", b"\x08", b"\x00", b"\x03\x05abc", b"\x05\x00", b"\x03\x01ab"):
            with self.subTest(octets):
                self.assertRaises(Malformed, Packet.decode, octets)

    def test_too_long(self) -> None:
        """A packet that the other end would not read is not sent."""
        packet = Packet(Kind.CMD_RESPONSE, message={"list": ["v" * 60000] * 10})
        self.assertRaises(ValueError, packet.encode)

    def test_secrets(self) -> None:
        """What a packet holds is not shown with it: it may be a secret."""
        packet = Packet(Kind.CMD_REQUEST, "load-shared", {"data": "hidden"})
        self.assertNotIn("hidden", repr(packet))
