"""The frame of netlink messages, and what a kernel that is none may send."""

from __future__ import annotations

import struct

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.sinks.xfrm.netlink import (
    ERROR,
    Message,
    NetlinkError,
    attribute,
    attributes,
    messages,
)

NUMBER = st.integers(0, 2**32 - 1)
MESSAGE = st.builds(
    Message, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), NUMBER, NUMBER, st.binary(max_size=64)
)


class MessageTests(SynchronousTestCase):
    @settings(deadline=None)
    @given(st.lists(MESSAGE, max_size=4))
    def test_round_trip(self, said: list[Message]) -> None:
        """What is said is heard, several in one datagram too, each filled up to four octets."""
        octets = b""
        for one in said:
            octets += one.encode()
            octets += bytes(-len(octets) % 4)
        self.assertEqual(list(messages(octets)), said)

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=80))
    @example(bytes(3))
    @example(struct.pack("=IHHII", 15, 0, 0, 0, 0))
    @example(struct.pack("=IHHII", 17, 0, 0, 0, 0))
    @example(struct.pack("=IHHII", 0xFFFFFFFF, 0, 0, 0, 0))
    def test_hostile(self, octets: bytes) -> None:
        """Octets of any kind are messages that fit, or refused as such, and nothing else."""
        try:
            found = list(messages(octets))
        except NetlinkError:
            return
        self.assertLessEqual(sum(16 + len(one.body) for one in found), len(octets))

    def test_cut_short(self) -> None:
        """A message whose length is more than there is, or less than its header, is refused."""
        whole = Message(1, 2, 3, 4, b"body").encode()
        short = [b"\x0f" + one[1:] for one in (whole, Message(1, 2, 3, 4, b"").encode())]
        for octets in (whole[:-1], whole[:15], whole + b"x", *short):
            self.assertRaises(NetlinkError, list, messages(octets))

    def test_error(self) -> None:
        """An answer carries an errno, none below zero, and not what is no errno."""
        for number, said in ((0, 0), (-17, 17), (-4095, 4095)):
            self.assertEqual(Message(ERROR, 0, 1, 0, struct.pack("=i", number)).error, said)
        for body in (b"", bytes(3), struct.pack("=i", 5), struct.pack("=i", -4096)):
            one = Message(ERROR, 0, 1, 0, body)
            self.assertRaises(NetlinkError, lambda one=one: one.error)

    def test_keys_are_not_shown(self) -> None:
        """The body may hold keys, so it is in no text about the message."""
        self.assertNotIn("secret", repr(Message(1, 0, 0, 0, b"secret")))


class AttributeTests(SynchronousTestCase):
    @settings(deadline=None)
    @given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=64), max_size=6))
    def test_round_trip(self, said: dict[int, bytes]) -> None:
        """Values by type; each is filled up to four octets."""
        octets = b"".join(attribute(kind, value) for kind, value in said.items())
        self.assertEqual(len(octets) % 4, 0)
        self.assertEqual(attributes(octets), said)

    def test_flags(self) -> None:
        """The two flags of a type are not part of it; of two the first counts."""
        octets = attribute(0x8005, b"abcd") + attribute(5, b"efgh")
        self.assertEqual(attributes(octets), {5: b"abcd"})

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=40))
    def test_hostile(self, octets: bytes) -> None:
        """Octets of any kind are attributes that fit, or refused as such."""
        try:
            found = attributes(octets)
        except NetlinkError:
            return
        self.assertLessEqual(sum(4 + len(value) for value in found.values()), len(octets))

    def test_wrong_lengths(self) -> None:
        """Shorter than its own head, longer than what is there, cut short: refused."""
        for octets in (b"\3\0\1\0", b"\0\0\1\0", b"\x09\0\1\0abcd", b"\4\0\1"):
            self.assertRaises(NetlinkError, attributes, octets)

    def test_too_long(self) -> None:
        """What the length has no room for is refused before it is sent."""
        self.assertRaises(ValueError, attribute, 1, bytes(0xFFFC))
        self.assertEqual(len(attribute(1, bytes(0xFFFB))), 0x10000)
