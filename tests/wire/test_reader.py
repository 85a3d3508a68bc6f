"""
The bounded cursor.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.errors import Malformed
from isakmp.wire.reader import Reader


class ReaderTests(SynchronousTestCase):
    """What a reader gives, and where it stops."""

    def test_fields(self) -> None:
        """
        Fields come in order and in network byte order.

        Proves: RFC 2408 section 3
        """
        reader = Reader(bytes.fromhex("01 0203 04050607 0809 0a0b"))
        self.assertEqual(reader.remaining, 11)
        self.assertEqual(reader.u8(), 1)
        self.assertEqual(reader.u16(), 0x0203)
        self.assertEqual(reader.u32(), 0x04050607)
        self.assertEqual(reader.take(2), b"\x08\x09")
        self.assertFalse(reader.exhausted)
        self.assertEqual(reader.rest(), b"\x0a\x0b")
        self.assertTrue(reader.exhausted)
        self.assertEqual(reader.rest(), b"")
        reader.finish()

    def test_runs_short(self) -> None:
        """What is not there is not read, and trying moves nothing."""
        for read in (Reader.u8, Reader.u16, Reader.u32):
            self.assertRaises(Malformed, read, Reader(b""))
        reader = Reader(b"abc")
        self.assertRaises(Malformed, reader.u32)
        self.assertRaises(Malformed, reader.take, 4)
        self.assertRaises(Malformed, reader.take, -1)
        self.assertRaises(Malformed, reader.sub, 4)
        self.assertRaises(Malformed, reader.sub, -1)
        self.assertEqual(reader.rest(), b"abc")

    def test_left_over(self) -> None:
        """What nobody read is noticed."""
        reader = Reader(b"abc")
        reader.u16()
        self.assertRaises(Malformed, reader.finish)

    def test_bounds(self) -> None:
        """A reader of a part of some octets does not see the others."""
        reader = Reader(b"abcdef", 1, 4)
        self.assertEqual(reader.remaining, 3)
        self.assertRaises(Malformed, reader.take, 4)
        self.assertEqual(reader.rest(), b"bcd")
        for start, end in ((-1, 2), (3, 2), (0, 7), (7, None), (2, -1)):
            self.assertRaises(Malformed, Reader, b"abcdef", start, end)

    def test_sub(self) -> None:
        """A part of what is left is read by itself, and counts as read."""
        reader = Reader(b"abcdef", 1)
        part = reader.sub(3)
        self.assertRaises(Malformed, part.take, 4)
        self.assertEqual(part.rest(), b"bcd")
        self.assertEqual(reader.rest(), b"ef")
        self.assertEqual(reader.sub(0).rest(), b"")

    @given(
        st.binary(max_size=64),
        st.lists(
            st.tuples(
                st.sampled_from(["take", "sub", "u8", "u16", "u32", "rest"]), st.integers(-3, 70)
            ),
            max_size=12,
        ),
    )
    def test_never_past_the_end(self, data: bytes, steps: list[tuple[str, int]]) -> None:
        """Whatever is asked for, what was read and what is left are the data, in order."""
        reader, read = Reader(data), b""
        widths = {"u8": 1, "u16": 2, "u32": 4}
        for name, n in steps:
            before = reader.remaining
            try:
                if name in widths:
                    read += getattr(reader, name)().to_bytes(widths[name])
                elif name == "rest":
                    read += reader.rest()
                elif name == "sub":
                    read += reader.sub(n).rest()
                else:
                    read += reader.take(n)
            except Malformed:
                self.assertEqual(reader.remaining, before)
            self.assertEqual(len(read) + reader.remaining, len(data))
        self.assertEqual(read + reader.rest(), data)
