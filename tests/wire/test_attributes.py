"""
Data attributes.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.errors import Malformed
from isakmp.wire import attributes
from isakmp.wire.attributes import (
    MAX_ATTRIBUTES,
    MAX_NUMBER,
    Attribute,
    decode_attributes,
    encode_attributes,
)
from isakmp.wire.reader import Reader
from tests.wire.strategies import attribute_lists


def decoded(octets: str) -> tuple[Attribute, ...]:
    return decode_attributes(Reader(bytes.fromhex(octets)))


class AttributeTests(SynchronousTestCase):
    """Both formats of RFC 2408 section 3.3."""

    def test_basic(self) -> None:
        """
        With the AF bit set the value is the two octets after the type.

        Proves: RFC 2408 section 3.3
        """
        (attribute,) = decoded("8001 0007")
        self.assertEqual(attribute, Attribute(1, b"\x00\x07", True))
        self.assertEqual(attribute, Attribute.tv(1, 7))
        self.assertEqual(attribute.number, 7)
        self.assertEqual(encode_attributes([attribute]).hex(), "80010007")
        self.assertEqual(decoded("ffff ffff"), (Attribute.tv(0x7FFF, 0xFFFF),))

    def test_variable(self) -> None:
        """
        With the AF bit clear the value has the length that stands after the type.

        Proves: RFC 2408 section 3.3
        """
        (attribute,) = decoded("000c 0004 00007080")
        self.assertEqual(attribute, Attribute(12, bytes.fromhex("00007080"), False))
        self.assertEqual(attribute, Attribute.tlv(12, 28800))
        self.assertEqual(attribute.number, 28800)
        self.assertEqual(encode_attributes([attribute]).hex(), "000c000400007080")
        self.assertEqual(decoded("4089 0000"), (Attribute.tlv(16521, b""),))
        self.assertEqual(Attribute.tlv(16521, b"").number, 0)

    def test_formats_are_kept_apart(self) -> None:
        """
        The same number in the other format is another attribute, and goes out as it came in.

        Proves: RFC 2408 section 3.3
        """
        octets = "800c7080 000c00027080 000c000400007080"
        three = decoded(octets)
        self.assertEqual(len(set(three)), 3)
        self.assertEqual({each.number for each in three}, {28800})
        self.assertEqual(encode_attributes(three), bytes.fromhex(octets))

    def test_numbers_as_wide_as_needed(self) -> None:
        """A number takes four octets, or as few as hold it."""
        self.assertEqual(Attribute.tlv(1, 0).value, bytes(4))
        self.assertEqual(Attribute.tlv(1, 0xFFFFFFFF).value, b"\xff" * 4)
        self.assertEqual(Attribute.tlv(1, 1 << 32).value, b"\x01" + bytes(4))
        self.assertEqual(Attribute.tlv(6, (1 << 1024) - 1).value, b"\xff" * 128)

    def test_truncated(self) -> None:
        """An attribute that its octets do not hold is malformed, wherever they end."""
        whole = bytes.fromhex("80010007 000c000400007080")
        for length in range(len(whole)):
            if length in (0, 4):
                decode_attributes(Reader(whole[:length]))
            else:
                self.assertRaises(Malformed, decode_attributes, Reader(whole[:length]))

    def test_length_beyond_the_end(self) -> None:
        """A length that reaches beyond the transform is malformed."""
        for octets in ("000c ffff 00007080", "000c 0005 00007080", "0000 0001"):
            self.assertRaises(Malformed, decoded, octets)
        self.assertRaises(
            Malformed, decode_attributes, Reader(bytes.fromhex("000c000400007080"), 0, 7)
        )

    def test_bound(self) -> None:
        """More attributes than the bound are refused."""
        most = encode_attributes([Attribute.tv(1, n) for n in range(MAX_ATTRIBUTES)])
        self.assertEqual(len(decode_attributes(Reader(most))), MAX_ATTRIBUTES)
        for more in (b"\x80\x01\x00\x01", b"\x00\x01\x00\x00"):
            self.assertRaises(Malformed, decode_attributes, Reader(most + more))

    def test_huge_number(self) -> None:
        """A value too wide for any number in use is not made one: printing it would fail."""
        widest = Attribute.tlv(6, b"\xff" * MAX_NUMBER)
        self.assertEqual(len(str(widest.number)), 2467)
        too_wide = Attribute.tlv(6, b"\xff" * (MAX_NUMBER + 1))
        with self.assertRaises(Malformed):
            too_wide.number  # noqa: B018
        self.assertIn("1025 octets", repr(too_wide))

    def test_password_is_not_shown(self) -> None:
        """A variable value may be a password: its representation tells only the length."""
        self.assertEqual(repr(Attribute.tlv(16522, b"sesame")), "Attribute(16522: 6 octets)")
        self.assertEqual(repr(Attribute.tv(14, 128)), "Attribute(14: 128)")

    def test_cannot_be_written(self) -> None:
        """What does not fit its format is refused when written, not cut."""
        for attribute in (
            Attribute(1, b"abc", True),
            Attribute(1, b"", True),
            Attribute(0x8000, b"", False),
            Attribute(-1, b"", False),
            Attribute(1, bytes(0x10000), False),
        ):
            self.assertRaises(ValueError, encode_attributes, [attribute])
        self.assertRaises(ValueError, Attribute.tv, 1, 0x10000)
        self.assertRaises(ValueError, Attribute.tv, 1, -1)

    def test_memory_is_bounded(self) -> None:
        """A peer who sends every attribute there is does not fill our memory."""
        for kind in range(64):
            octets = b"".join(
                (0x8000 | kind).to_bytes(2) + n.to_bytes(2) for n in range(MAX_ATTRIBUTES)
            )
            self.assertEqual(len(decode_attributes(Reader(octets))), MAX_ATTRIBUTES)
        self.assertLessEqual(len(attributes._known), attributes._MAX_KNOWN)

    @settings(deadline=None, max_examples=200)
    @given(attribute_lists)
    def test_round_trip(self, listed: tuple[Attribute, ...]) -> None:
        """
        What is written is read again.

        Proves: RFC 2408 section 3.3
        """
        self.assertEqual(decode_attributes(Reader(encode_attributes(listed))), listed)

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=60))
    def test_lossless(self, octets: bytes) -> None:
        """Any octets are malformed, or written again as they were."""
        try:
            listed = decode_attributes(Reader(octets))
        except Malformed:
            return
        self.assertEqual(encode_attributes(listed), octets)
