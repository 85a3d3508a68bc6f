"""
Published faults of ISAKMP daemons, tried on the codec.

Each of them was an octet string that someone sent.  Here the only allowed ends are a message and
:class:`~isakmp.errors.Malformed`, and the work they cause grows no faster than they do.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, SupportsIndex

from twisted.trial.unittest import SynchronousTestCase

from isakmp.errors import Malformed
from isakmp.numbers import ExchangeType
from isakmp.wire.attributes import MAX_ATTRIBUTES, Attribute
from isakmp.wire.message import MAX_PAYLOADS, CookiePair, Message, decode_chain, encode_chain
from isakmp.wire.payloads import (
    MAX_SPIS,
    PAYLOADS,
    ConfigurationAttributes,
    Delete,
    Hash,
    Identification,
    KeyExchange,
    Nonce,
    Notification,
    Payload,
    SecurityAssociation,
    Unrecognized,
    VendorID,
)
from isakmp.wire.proposals import (
    MAX_PROPOSALS,
    MAX_TRANSFORMS,
    Proposal,
    Transform,
    decode_proposals,
    encode_proposals,
)
from isakmp.wire.reader import Reader
from isakmp.wire.render import MAX_LINE, render
from tests.bench.decode import first_message
from tests.wire.strategies import anomalies

COOKIES = CookiePair(b"initiato", CookiePair.ZERO)


def aggressive() -> bytes:
    """A first message of Aggressive Mode."""
    main = Message.decode(first_message())
    payloads = (
        main.one(SecurityAssociation),
        KeyExchange(bytes(range(64))),
        Nonce(bytes(20)),
        Identification(11, 17, 500, b"group"),
        VendorID(bytes.fromhex("09002689dfd6b712")),
    )
    return Message(COOKIES, ExchangeType.AGGRESSIVE, 0, 0, payloads).encode()


def every_payload() -> tuple[Payload, ...]:
    """One of each, all of them well-formed."""
    offer = Message.decode(first_message()).one(SecurityAssociation)
    made: dict[int, Payload] = {
        number: kind.decode(Reader(b"\1\0\0\0\2")) if number != 12 else Delete(1, 3, (b"spi!",))
        for number, kind in PAYLOADS.items()
        if number not in (1, 11, 14)
    }
    made[1] = offer
    made[11] = Notification(1, 1, 14, b"spi", b"data")
    made[14] = ConfigurationAttributes(
        1, 0, (Attribute.tlv(16521, b"user"), Attribute.tv(16520, 0))
    )
    return tuple(made.values())


def tried(octets: bytes) -> Message | None:
    """
    Read a message, and everything that is read of it later; write it again, and in words.

    :return: None if it was malformed.
    """
    try:
        message = Message.decode(octets)
    except Malformed:
        return None
    written = message.encode()
    # Zeros may fill a message up to a multiple of four octets.
    if written != octets and octets[28:] != (written + bytes(-len(written) % 4))[28:]:
        raise AssertionError("not written as it was read")
    for payload in message.all(SecurityAssociation):
        for situation in (0, 4):
            reader = Reader(payload.body)
            try:
                reader.take(situation)
                rest = payload.body[situation:]
                if encode_proposals(decode_proposals(reader)) != rest:
                    raise AssertionError("not written as it was read")
            except Malformed:
                pass
    if len(render(message)) > MAX_LINE:
        raise AssertionError("too many words")
    repr(message)
    return message


class AnomalyTests(SynchronousTestCase):
    """CVE-2005-3666 to 3676, PROTOS c09-isakmp: syntax anomalies in the first message."""

    def anomalous(self, octets: bytes, seed: int) -> None:
        cases = accepted = 0
        for case in anomalies(octets, seed, 9000):
            cases += 1
            accepted += tried(case) is not None
        self.assertGreaterEqual(cases, 9000)
        # Neither is everything refused nor everything taken: else this would prove nothing.
        self.assertGreater(accepted, 500)
        self.assertGreater(cases - accepted, 3000)

    def test_main_mode(self) -> None:
        """No anomaly in Main Mode's first message does anything but be read or refused."""
        self.anomalous(first_message(), 9)

    def test_aggressive_mode(self) -> None:
        """No anomaly in Aggressive Mode's first message does anything but be read or refused."""
        self.anomalous(aggressive(), 10)


class LengthTests(SynchronousTestCase):
    """CVE-2004-0218 to 0222: lengths that lie."""

    def test_every_length_in_every_payload(self) -> None:
        """
        In every payload every length from 0 to 9, around the right one and the largest is read or
        refused.
        """
        for payload in every_payload():
            octets = Message(COOKIES, 2, 0, 0, (payload, Hash(b"next"))).encode()
            right = struct.unpack_from("!H", octets, 30)[0]
            self.assertIsNotNone(tried(octets), payload)
            for length in {*range(10), right - 1, right + 1, 0x7FFF, 0x8000, 0xFFFF} - {right}:
                case = octets[:30] + struct.pack("!H", length) + octets[32:]
                if length < 4 or length > len(octets) - 28:
                    self.assertIsNone(tried(case), (payload, length))
                else:
                    tried(case)

    def test_every_field_at_its_extremes(self) -> None:
        """
        Counts and sizes inside of every payload at 0, 1, 3 and their largest: CVE-2015-3204.
        """
        for payload in every_payload():
            octets = Message(COOKIES, 2, 0, 0, (payload,)).encode()
            for at in range(32, min(len(octets), 80)):
                for value in (b"\0", b"\1", b"\3", b"\xff", b"\xff\xff", b"\xff" * 4, bytes(4)):
                    if at + len(value) <= len(octets):
                        tried(octets[:at] + value + octets[at + len(value) :])

    def test_every_truncation(self) -> None:
        """
        A message of every payload, cut anywhere and announced as long as it is then, is refused:
        wherever it ends, something more was announced.
        """
        octets = Message(COOKIES, 2, 0, 0, every_payload()).encode()
        self.assertIsNotNone(tried(octets))
        for length in range(len(octets)):
            cut = octets[:length]
            if length >= 28:
                cut = cut[:24] + struct.pack("!I", length) + cut[28:]
            self.assertIsNone(tried(cut), length)

    def test_fragment_lengths(self) -> None:
        """CVE-2016-1287: a fragment's payload length of 0 to 8 is refused, 9 is read."""
        body = b"\0\1\1\1x"
        octets = Message(COOKIES, 2, 0, 0, (Unrecognized(132, body),)).encode()
        for length in range(9):
            self.assertIsNone(tried(octets[:30] + struct.pack("!H", length) + octets[32:]))
            if length >= 4:
                short = Message(COOKIES, 2, 0, 0, (Unrecognized(132, body[: length - 4]),))
                self.assertIsNone(tried(short.encode()))
        self.assertIsNotNone(tried(octets))


class Counted(bytes):
    """Octets that count how many of them are copied."""

    copied = 0

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        part = super().__getitem__(key)
        if isinstance(part, bytes):
            type(self).copied += len(part)
        return part


def work(step: Callable[[bytes], object], octets: bytes) -> int:
    """
    What reading takes: calls of functions, ours and the interpreter's, and octets copied.

    :param step: is given the octets; may raise Malformed.
    """
    calls = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    data, Counted.copied = Counted(octets), 0
    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        step(data)
    except Malformed:
        pass
    finally:
        sys.setprofile(before)
    return 50 * calls + Counted.copied


def message_of(*payloads: Payload) -> bytes:
    return Message(COOKIES, 2, 0, 0, payloads).encode()


def transforms(count: int, attributes: int) -> bytes:
    one = Transform(1, 1, tuple(Attribute.tlv(n, b"v") for n in range(attributes)))
    return encode_proposals([Proposal(1, 1, b"", (one,) * count)])


class WorkTests(SynchronousTestCase):
    """Twice the octets are at most about twice the work, counted, not timed."""

    def growing(
        self,
    ) -> Iterator[tuple[str, Callable[[bytes], object], Callable[[int], bytes], int]]:
        # What it is, how it is read, its octets for a size, and the smaller of the two sizes.
        def proposals(octets: bytes) -> object:
            return decode_proposals(Reader(octets))

        yield (
            "many payloads",
            Message.decode,
            lambda n: message_of(*[VendorID(b"v" * 16)] * n),
            MAX_PAYLOADS // 2,
        )
        yield (
            "one long payload",
            Message.decode,
            lambda n: message_of(KeyExchange(bytes(n))),
            30000,
        )
        yield (
            "long payloads",
            Message.decode,
            lambda n: message_of(*[KeyExchange(bytes(60000))] * n),
            MAX_PAYLOADS // 2,
        )
        yield (
            "many SPIs",
            Message.decode,
            lambda n: message_of(Delete(1, 3, tuple(i.to_bytes(4) for i in range(n)))),
            MAX_SPIS // 2,
        )
        yield (
            "many attributes",
            Message.decode,
            lambda n: message_of(ConfigurationAttributes(1, 0, (Attribute.tlv(1, b"v"),) * n)),
            MAX_ATTRIBUTES // 2,
        )
        yield (
            "many proposals",
            proposals,
            lambda n: encode_proposals([Proposal(1, 1, b"", (Transform(1, 1, ()),))] * n),
            MAX_PROPOSALS // 2,
        )
        yield "many transforms", proposals, lambda n: transforms(n, 6), 255 // 2
        yield "transforms full of attributes", proposals, lambda n: transforms(n, 64), 50
        yield (
            "empty payloads that never end",
            lambda octets: decode_chain(13, octets),
            lambda n: bytes.fromhex("0d000004") * n,
            MAX_PAYLOADS // 2,
        )
        yield (
            "padding",
            lambda octets: decode_chain(13, octets, padded=True),
            lambda n: encode_chain([VendorID(b"v")]) + bytes(n),
            30000,
        )

    def test_linear(self) -> None:
        """
        Reading twice as much takes at most two and a half times the work: CVE-2016-10396.
        """
        for name, step, made, size in self.growing():
            once, twice = made(size), made(2 * size)
            self.assertGreater(len(twice), 1.9 * len(once) - 100, name)
            work(step, once)
            self.assertLessEqual(work(step, twice), 2.5 * work(step, once) + 2000, name)

    def test_copies_are_few(self) -> None:
        """No octet is copied more than twice, however deep it lies."""
        for name, step, made, size in self.growing():
            octets = made(size)
            work(step, octets)
            self.assertLessEqual(Counted.copied, 2 * len(octets), name)

    def test_bounds_limit_the_work(self) -> None:
        """Beyond the bounds a longer message is not more work."""
        chain = bytes.fromhex("0d000004")
        self.assertLessEqual(
            work(lambda octets: decode_chain(13, octets), chain * 16000),
            1.1 * work(lambda octets: decode_chain(13, octets), chain * (MAX_PAYLOADS + 1)),
        )
        spis = b"\0\0\0\1\3\1" + struct.pack("!H", 60000) + bytes(60000)
        self.assertLess(work(lambda octets: Delete.decode(Reader(octets)), spis), 2000)
        announced = bytes.fromhex("0000fff8 010100ff") + bytes.fromhex("03000008 01010000") * 8190
        self.assertLess(
            work(lambda octets: decode_proposals(Reader(octets)), announced),
            50 * 40 * MAX_TRANSFORMS,
        )

    def test_counts(self) -> None:
        """The count does count: reading everything twice is twice the work, and squares show."""
        octets = message_of(*[VendorID(b"v" * 16)] * 20)

        def twice(data: bytes) -> None:
            Message.decode(data)
            Message.decode(data)

        def square(data: bytes) -> None:
            for start in range(0, len(data), 8):
                data[start:]

        once = work(Message.decode, octets)
        self.assertGreater(once, 50 * 20)
        self.assertAlmostEqual(work(twice, octets) / once, 2, delta=0.1)
        self.assertGreater(work(square, bytes(4000)) / work(square, bytes(2000)), 3.5)
