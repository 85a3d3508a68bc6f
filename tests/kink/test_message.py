"""
KINK on the wire: header, payloads, alignment, checksum.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.errors import Malformed
from isakmp.kink import payloads as kink
from isakmp.kink.message import (
    MAX_PAYLOADS,
    Header,
    Message,
    Received,
    decode_inner,
    decode_payloads,
    encode_inner,
    encode_payloads,
)
from isakmp.kink.numbers import ErrorCode, MessageType, PayloadType
from isakmp.wire.payload import Payload
from isakmp.wire.payloads import Delete, Nonce

U8, U16, U32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
OCTETS = st.binary(max_size=40)

PLAIN: st.SearchStrategy[Payload] = st.one_of(
    st.builds(kink.APRequest, U32, OCTETS),
    st.builds(kink.APReply, U32, OCTETS),
    st.builds(kink.KerberosErrorPayload, OCTETS),
    st.builds(kink.TGTRequest, OCTETS),
    st.builds(kink.TGTReply, OCTETS),
    st.builds(kink.Operation, U8, OCTETS, U8),
    st.builds(kink.ErrorPayload, U32),
    st.builds(kink.Unknown, st.integers(9, 255), OCTETS),
)
CHAIN = st.builds(
    lambda plain, last: (*plain, *last),
    st.lists(PLAIN, max_size=5),
    st.one_of(st.just(()), st.tuples(st.builds(kink.Encrypted, OCTETS))),
)
MESSAGES = st.builds(Message, U8, U32, U32, CHAIN, st.booleans())


def checksum(octets: bytes) -> bytes:
    """Eight octets that depend on all."""
    return (sum(octets) % 2**32 * 65_537 + len(octets)).to_bytes(8)[-8:]


SAMPLE = Message(
    MessageType.CREATE,
    1,
    0x01020304,
    (kink.APRequest(7, b"abc"), kink.Encrypted(b"sealed")),
)


class RoundTripTests(SynchronousTestCase):
    @given(MESSAGES)
    def test_unproven(self, message: Message) -> None:
        """
        What is written is read again, whatever it is.

        Proves: RFC 4430 section 4
        Proves: RFC 4430 section 4.2
        """
        received = Received.decode(message.encode())
        self.assertEqual(received.message, message)
        self.assertEqual(received.checksum, b"")

    @given(MESSAGES, OCTETS)
    def test_proven(self, message: Message, after: bytes) -> None:
        """
        The checksum is made of the message without it, its length field and CksumLen as if there
        were none; who reads it finds the same octets, and nothing that follows the message.

        Proves: RFC 4430 section 4 (row 4-10)
        """
        covered: list[bytes] = []

        def made(octets: bytes) -> bytes:
            covered.append(octets)
            return checksum(octets)

        octets = message.encode(made)
        received = Received.decode(octets + after)
        self.assertEqual(received.message, message)
        self.assertEqual(received.covered, covered[0])
        self.assertEqual(received.covered, message.encode())
        self.assertEqual(received.checksum, checksum(covered[0]))
        self.assertEqual(Header.decode(octets).length, len(octets))

    @given(st.lists(PLAIN, max_size=6), OCTETS)
    def test_inner(self, payloads: list[Payload], garbage: bytes) -> None:
        """
        Payloads in KINK_ENCRYPT are read, and what a cipher puts after them is not.

        Proves: RFC 4430 section 4.2.7 (row 4.2.7-4)
        """
        octets = encode_inner(payloads)
        self.assertEqual(decode_inner(octets + garbage), tuple(payloads))

    def test_operation(self) -> None:
        """
        ISAKMP's payloads stand in KINK_ISAKMP as they are, version 1.0 before them.

        Proves: RFC 4430 section 4.2.6 (row 4.2.6-1)
        Proves: RFC 4430 section 4.2.6 (row 4.2.6-2)
        """
        inner = (Nonce(bytes(16)), Delete(1, 3, (b"\1\2\3\4",)))
        operation = kink.Operation.of(inner)
        self.assertEqual(operation.encode()[:4].hex(), "0a100000")
        self.assertEqual(operation.payloads(), inner)
        self.assertEqual(kink.Operation.of(()).payloads(), ())


class OctetTests(SynchronousTestCase):
    def test_octets(self) -> None:
        """
        Header, AP-REQ and encrypted payload, octet by octet: lengths do not count the padding, the
        next payload begins aligned, the checksum too.

        Proves: RFC 4430 section 4.2.1
        Proves: RFC 4430 section 4.1 (row 4.1-1)
        Proves: RFC 4430 section 4.1 (row 4.1-2)
        Proves: RFC 4430 section 4.1 (row 4.1-3)
        Proves: RFC 4430 section 4 (row 4-3)
        Proves: RFC 4430 section 4 (row 4-5)
        Proves: RFC 4430 section 4.2 (row 4.2-1)
        Proves: RFC 4430 section 4.2 (row 4.2-2)
        """
        expected = (
            "01 10 0030 00000001 01020304 01 00 0008"  # 48 octets, 8 of them checksum
            "07 00 000b 00000007 616263 00"
            "00 00 000a 7365616c6564 0000"
            "0102030405060708"
        ).replace(" ", "")
        self.assertEqual(SAMPLE.encode(lambda _: bytes(range(1, 9))).hex(), expected)

    def test_acknowledge(self) -> None:
        """
        ACKREQ is the highest bit of its octet.

        Proves: RFC 4430 section 4
        """
        octets = Message(MessageType.REPLY, 1, 2, (), True).encode()
        self.assertEqual(octets[13], 0x80)
        self.assertTrue(Received.decode(octets).message.acknowledge)

    def test_error(self) -> None:
        """
        An error code is four octets.

        Proves: RFC 4430 section 4.2.8
        """
        chain = encode_payloads([kink.ErrorPayload(ErrorCode.BADQMVERS)])
        self.assertEqual(chain.hex(), "00000008" "00000006")
        for wrong in ("00000007" "000006", "00000009" "00000006" "00"):
            self.assertRaises(Malformed, decode_payloads, PayloadType.ERROR, bytes.fromhex(wrong))

    def test_reserved(self) -> None:
        """
        Reserved bits are zero when sent, and ignored when received: in the header, before a
        payload, in KINK_ISAKMP and in KINK_ENCRYPT.

        Proves: RFC 4430 section 4 (row 4-1)
        Proves: RFC 4430 section 4 (row 4-2)
        Proves: RFC 4430 section 4 (row 4-4)
        Proves: RFC 4430 section 4 (row 4-9)
        Proves: RFC 4430 section 4.2 (row 4.2-3)
        Proves: RFC 4430 section 4.2.7 (row 4.2.7-3)
        """
        message = Message(1, 1, 2, (kink.Operation.of((Nonce(bytes(8)),)), kink.TGTReply(b"")))
        octets = bytearray(message.encode())
        for position, bits in ((1, 0x0F), (13, 0x7F), (17, 0xFF), (22, 0xFF), (23, 0xFF)):
            self.assertEqual(octets[position] & bits, 0)
            octets[position] |= bits
        self.assertEqual(Received.decode(bytes(octets)).message, message)
        inner = bytearray(encode_inner(message.payloads))
        inner[1:4] = b"\xff\xff\xff"
        self.assertEqual(decode_inner(bytes(inner)), message.payloads)


class HostileTests(SynchronousTestCase):
    @given(st.binary(max_size=120))
    def test_anything(self, octets: bytes) -> None:
        """Whatever arrives is a message, or malformed: nothing else is ever raised."""
        for read in (Received.decode, decode_inner):
            try:
                read(octets)
            except Malformed:
                continue

    @given(MESSAGES, st.data())
    def test_one_octet(self, message: Message, data: st.DataObject) -> None:
        """One octet is another: a message, or malformed."""
        octets = bytearray(message.encode(checksum))
        octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
        try:
            Received.decode(bytes(octets))
        except Malformed:
            return

    def test_cut(self) -> None:
        """A message that is cut anywhere is malformed, and so is none at all."""
        octets = SAMPLE.encode(checksum)
        for end in range(len(octets)):
            self.assertRaises(Malformed, Received.decode, octets[:end])

    def test_message_length(self) -> None:
        """
        A Length of 0, 1, 3, 15, more than there is, or the most that there can be.

        Proves: RFC 4430 section 4
        """
        octets = SAMPLE.encode()
        for length in (0, 1, 3, 15, len(octets) + 1, 0xFFFF):
            wrong = octets[:2] + length.to_bytes(2) + octets[4:]
            self.assertRaises(Malformed, Received.decode, wrong)

    def test_payload_length(self) -> None:
        """
        A Payload Length of 0, 1, 3, or past the end; one of 4 is a payload without a body, which
        few can be.

        Proves: RFC 4430 section 4.2
        """
        for length in (0, 1, 3, 9, 0xFFFF):
            wrong = bytes((0, 0)) + length.to_bytes(2) + bytes(4)
            for kind in kink.PAYLOADS:
                self.assertRaises(Malformed, decode_payloads, kind, wrong)
        empty = bytes((0, 0, 0, 4))
        self.assertEqual(decode_payloads(PayloadType.TGT_REP, empty), (kink.TGTReply(b""),))
        for kind in (PayloadType.AP_REQ, PayloadType.AP_REP, PayloadType.ISAKMP, PayloadType.ERROR):
            self.assertRaises(Malformed, decode_payloads, kind, empty)

    def test_checksum_length(self) -> None:
        """
        A checksum that is longer than the message, that would reach into the header, or that does
        not begin aligned.

        Proves: RFC 4430 section 4.1
        """
        octets = SAMPLE.encode(checksum)
        for length in (1, 3, 7, 9, len(octets) - 15, len(octets), 0xFFFF):
            wrong = octets[:14] + length.to_bytes(2) + octets[16:]
            self.assertRaises(Malformed, Received.decode, wrong)

    def test_after_the_last(self) -> None:
        """Octets between the last payload and the checksum, more than alignment takes."""
        octets = Message(1, 1, 2, (kink.TGTReply(b"abc"),)).encode()
        self.assertEqual(len(octets), 24)
        longer = octets[:2] + (28).to_bytes(2) + octets[4:] + bytes(4)
        self.assertRaises(Malformed, Received.decode, longer)

    def test_after_encrypted(self) -> None:
        """
        KINK_ENCRYPT is the last payload, and holds none of its kind.

        Proves: RFC 4430 section 4.2.7 (row 4.2.7-1)
        """
        self.assertRaises(
            ValueError, encode_payloads, [kink.Encrypted(b""), kink.TGTReply(b"")]
        )
        wrong = bytes((PayloadType.TGT_REP, 0, 0, 4, 0, 0, 0, 4))
        self.assertRaises(Malformed, decode_payloads, PayloadType.ENCRYPT, wrong)
        nested = encode_inner([kink.Encrypted(b"abcd")])
        self.assertRaises(Malformed, decode_inner, nested)

    def test_many(self) -> None:
        """More payloads than anybody needs."""
        most = [kink.TGTReply(b"")] * MAX_PAYLOADS
        octets = encode_payloads(most)
        self.assertEqual(list(decode_payloads(PayloadType.TGT_REP, octets)), most)
        octets = encode_payloads([*most, kink.TGTReply(b"")])
        self.assertRaises(Malformed, decode_payloads, PayloadType.TGT_REP, octets)

    def test_too_long(self) -> None:
        """What does not fit into its length field is not written."""
        self.assertRaises(ValueError, encode_payloads, [kink.TGTReply(bytes(65_532))])
        self.assertRaises(ValueError, Message(1, 1, 2, (kink.TGTReply(bytes(65_531)),)).encode)
        self.assertRaises(ValueError, encode_payloads, [kink.ErrorPayload(2**32)])
        self.assertRaises(ValueError, Message(256, 1, 2, ()).encode)
        self.assertRaises(ValueError, kink.Operation(256, b"").encode)
        self.assertRaises(ValueError, Header(1, 16, 1, 1, 0, version=16).encode)
