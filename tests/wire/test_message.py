"""
Header, payload chain and message.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar, Self

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.errors import Malformed, PeerError, UnequalPayloadLengths, UnexpectedPayload
from isakmp.numbers import ExchangeType, NotifyType
from isakmp.wire.message import (
    MAX_PAYLOADS,
    CookiePair,
    Flags,
    Header,
    Message,
    decode_chain,
    encode_chain,
)
from isakmp.wire.payload import Payload
from isakmp.wire.payloads import (
    PAYLOADS,
    DraftNATDiscovery,
    Hash,
    Identification,
    KeyExchange,
    NATDiscovery,
    Nonce,
    SecurityAssociation,
    Unrecognized,
    VendorID,
)
from isakmp.wire.reader import Reader
from tests.wire.strategies import messages, with_length

COOKIES = CookiePair(bytes.fromhex("4a8bdf03c13a8d06"), bytes.fromhex("0defb603cbc5d02a"))
HEADER = bytes.fromhex("4a8bdf03c13a8d06 0defb603cbc5d02a 0a 10 02 00 00000000 00000024")
MESSAGE = HEADER + bytes.fromhex("00 00 0008 31323334")


def changed(at: int, *octets: int) -> bytes:
    return MESSAGE[:at] + bytes(octets) + MESSAGE[at + len(octets) :]


class HeaderTests(SynchronousTestCase):
    """RFC 2408 section 3.1."""

    def test_fields(self) -> None:
        """
        Every field of the header stands where the RFC has it.

        Proves: RFC 2408 section 3.1
        """
        octets = bytes.fromhex("0102030405060708 1112131415161718 05 21 20 07 a1a2a3a4 0000001c")
        header = Header.decode(octets)
        self.assertEqual(
            header,
            Header(
                CookiePair(bytes(range(1, 9)), bytes(range(0x11, 0x19))),
                first=5,
                version=0x21,
                exchange_type=32,
                flags=7,
                message_id=0xA1A2A3A4,
                length=28,
            ),
        )
        self.assertEqual(header.major, 2)
        self.assertEqual(header.encode(), octets)
        self.assertEqual(Header.SIZE, 28)

    def test_cookies(self) -> None:
        """The cookies together are CKY-I | CKY-R; before the responder's is known it is zero."""
        self.assertEqual(COOKIES.octets, MESSAGE[:16])
        self.assertEqual(str(COOKIES), "4a8bdf03c13a8d06:0defb603cbc5d02a")
        self.assertEqual(CookiePair.ZERO, bytes(8))
        self.assertEqual({COOKIES: 1}[Header.decode(MESSAGE).cookies], 1)

    def test_shorter_than_a_header(self) -> None:
        """
        0 to 27 octets are no message, for the header's reader and the message's: CVE-2013-4564.

        Proves: RFC 2408 section 5.1
        """
        for length in range(28):
            for octets in (MESSAGE[:length], bytes(length), b"\xff" * length):
                self.assertRaises(Malformed, Header.decode, octets)
                self.assertRaises(Malformed, Message.decode, octets)

    def test_length(self) -> None:
        """
        A length other than the datagram's is refused by name, however large: CVE-2004-0403.

        Proves: RFC 2408 section 5.1 (row 5.1-1)
        Proves: RFC 2408 section 5.2
        Proves: RFC 2408 section 5.1 (row 5.1-2)
        """
        for length in (0, 1, 27, 28, 35, 37, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
            octets = changed(24, *struct.pack("!I", length))
            for read in (Header.decode, Message.decode):
                error = self.assertRaises(UnequalPayloadLengths, read, octets)
                self.assertEqual(error.notify, NotifyType.UNEQUAL_PAYLOAD_LENGTHS)
        for octets in (MESSAGE + b"\0", MESSAGE[:-1]):
            self.assertRaises(UnequalPayloadLengths, Header.decode, octets)

    def test_judges_neither_version_nor_exchange(self) -> None:
        """Whose version and exchange type it is, others decide: the header is read all the same."""
        for octet in (0, 0x0F, 0x20, 0x2F, 0xFF):
            self.assertEqual(Header.decode(changed(17, octet)).version, octet)
            self.assertEqual(Message.decode(changed(17, octet)).version, octet)
            self.assertEqual(Header.decode(changed(18, octet)).exchange_type, octet)

    def test_cookies_of_another_length(self) -> None:
        """Cookies that do not have 8 octets are not cut or filled up when written."""
        for cookie in (b"", bytes(7), bytes(9)):
            for pair in (CookiePair(cookie, bytes(8)), CookiePair(bytes(8), cookie)):
                message = Message(pair, 2, 0, 0, ())
                self.assertRaises(ValueError, message.encode)


class MessageTests(SynchronousTestCase):
    """Messages in clear."""

    def test_read(self) -> None:
        """
        A message is read into its fields, and written again.

        Proves: RFC 2408 section 3.1
        Proves: RFC 2408 section 3.2
        """
        message = Message.decode(MESSAGE)
        self.assertEqual(message, Message(COOKIES, 2, 0, 0, (Nonce(b"1234"),)))
        self.assertEqual(message.exchange_type, ExchangeType.IDENTITY_PROTECTION)
        self.assertEqual(message.encode(), MESSAGE)
        self.assertEqual(message.header(36), Header.decode(MESSAGE))

    def test_no_payloads(self) -> None:
        """A message may be a header alone."""
        message = Message(COOKIES, 5, Flags.COMMIT, 7, ())
        self.assertEqual(len(message.encode()), 28)
        self.assertEqual(Message.decode(message.encode()), message)

    def test_encrypted(self) -> None:
        """
        A message with the Encryption flag is not read as clear text, nor written as such.

        Proves: RFC 2408 section 3.1
        """
        for flags in (1, 3, 0xFF):
            self.assertRaises(Malformed, Message.decode, changed(19, flags))
            message = Message(COOKIES, 2, flags, 0, (Nonce(b"1234"),))
            self.assertRaises(ValueError, message.encode)
            self.assertEqual(message.header(40).flags, flags)

    def test_unknown_flags(self) -> None:
        """Flags nobody defined are kept, and go out as they came in."""
        for flags in (2, 4, 6, 8, 0x28, 0xFE):
            message = Message.decode(changed(19, flags))
            self.assertEqual(message.flags, flags)
            self.assertEqual(message.encode(), changed(19, flags))

    def test_chain(self) -> None:
        """
        Next Payload of the header and of each payload names the one that follows; the last has 0.

        Proves: RFC 2408 section 3.2
        Proves: RFC 2408 section 5.3 (row 5.3-1)
        """
        payloads = (SecurityAssociation(1, b""), Nonce(b"n"), VendorID(b"v"))
        octets = Message(COOKIES, 1, 0, 0, payloads).encode()
        self.assertEqual((octets[16], octets[28], octets[36], octets[41]), (1, 10, 13, 0))
        self.assertEqual(Message.decode(octets).payloads, payloads)

    def test_unknown_payload_type(self) -> None:
        """A payload of a type that nobody defined, or IKEv2 did, is kept as it is."""
        for number in (15, 19, 33, 34, 46, 53, 54, 127, 128, 255):
            octets = changed(16, number)
            message = Message.decode(octets)
            self.assertEqual(message.payloads, (Unrecognized(number, b"1234"),))
            self.assertEqual(message.encode(), octets)

    def test_proposal_and_transform_outside(self) -> None:
        """
        Proposal and Transform payloads stand in an SA payload only.

        Proves: RFC 2408 section 3.4 (row 3.4-1)
        Proves: RFC 2408 section 5.3 (row 5.3-2)
        """
        for number in (2, 3):
            self.assertRaises(Malformed, Message.decode, changed(16, number))
            self.assertRaises(
                Malformed,
                Message.decode,
                with_length(changed(28, number) + bytes.fromhex("00000004")),
            )

    def test_reserved(self) -> None:
        """
        The reserved octet of a generic header is zero.

        Proves: RFC 2408 section 5.3 (row 5.3-3)
        Proves: RFC 2408 section 2.5.2 (row 2.5.2-2)
        """
        for octet in (1, 0x80, 0xFF):
            self.assertRaises(Malformed, Message.decode, changed(29, octet))

    @given(messages)
    def test_reserved_in_what_is_written(self, message: Message) -> None:
        """
        Whatever is written, the reserved octet of each payload is zero, and its length leads to
        the next one.

        Proves: RFC 2408 section 2.5.2 (row 2.5.2-1)
        Proves: RFC 2408 section 5.3 (row 5.3-1)
        """
        octets = message.encode()
        at, following = Header.SIZE, octets[16]
        for payload in message.payloads:
            self.assertEqual((following, octets[at + 1]), (payload.number, 0))
            following = octets[at]
            at += int.from_bytes(octets[at + 2 : at + 4], "big")
        self.assertEqual((following, at), (0, len(octets)))

    def test_payload_length(self) -> None:
        """
        A payload shorter than its own header, or longer than the message, is malformed, and so is
        what follows the last one: CVE-2004-0218.

        Proves: RFC 2408 section 3.2
        """
        for length in (0, 1, 2, 3, 9, 0x7FFF, 0xFFFF):
            octets = changed(30, *struct.pack("!H", length))
            error = self.assertRaises(Malformed, Message.decode, octets)
            self.assertEqual(str(error), f"NONCE payload: length {length}, 8 octets left")
        for length in (4, 5, 7):
            self.assertRaises(Malformed, Message.decode, changed(30, *struct.pack("!H", length)))
        self.assertRaises(Malformed, Message.decode, with_length(MESSAGE + b"\0"))

    def test_aligned(self) -> None:
        """
        Octets of zero may follow the last payload in clear, as few as make the length a multiple of
        four; nothing else may.  Libreswan writes its messages so.

        Proves: RFC 2408 section 3.5
        """
        for octets in range(8):
            written = Message(COOKIES, 2, 0, 0, (VendorID(bytes(octets)),)).encode()
            fill = -len(written) % 4
            for left in range(10):
                padded = with_length(written + bytes(left))
                if left in (0, fill):
                    self.assertEqual(Message.decode(padded).encode(), written)
                else:
                    self.assertRaises(Malformed, Message.decode, padded)
            for at in range(fill):
                filled = bytearray(fill)
                filled[at] = 1
                self.assertRaises(Malformed, Message.decode, with_length(written + bytes(filled)))

    def test_endless_chain(self) -> None:
        """Payloads of length zero that name each other do not keep us busy."""
        for length in (0, 4):
            octets = with_length(HEADER + bytes([10, 0, 0, length]) * 5000)
            self.assertRaises(Malformed, Message.decode, octets)

    def test_chain_ends_early(self) -> None:
        """
        A message that ends where a payload was announced is malformed.

        Proves: RFC 2408 section 5.3 (row 5.3-2)
        """
        for rest in ("", "00", "0000", "000000"):
            self.assertRaises(
                Malformed, Message.decode, with_length(changed(28, 13) + bytes.fromhex(rest))
            )

    def test_bound(self) -> None:
        """From 20 to 300 payloads: up to the bound they are read, then refused: CVE-2026-12413."""
        for count in range(20, 301):
            message = Message(COOKIES, 2, 0, 0, (VendorID(b"v"),) * count)
            if count <= MAX_PAYLOADS:
                self.assertEqual(len(Message.decode(message.encode()).payloads), count)
            else:
                self.assertRaises(Malformed, Message.decode, message.encode())
        self.assertLess(20, MAX_PAYLOADS)
        self.assertLess(MAX_PAYLOADS, 300)

    def test_says_which_payload(self) -> None:
        """The reason of a refusal names the payload at fault."""
        payloads = (Nonce(b"n"), Unrecognized(5, b"abc"))
        error = self.assertRaises(
            Malformed, Message.decode, Message(COOKIES, 2, 0, 0, payloads).encode()
        )
        self.assertEqual(str(error), "ID payload: 4 octets wanted, 3 left")

    def test_one(self) -> None:
        """
        The only payload of its class is found; none, or two, is an error of the peer.

        Proves: RFC 2408 section 5.3
        """
        message = Message(COOKIES, 2, 0, 0, (Nonce(b"n"), VendorID(b"1"), VendorID(b"2")))
        self.assertEqual(message.one(Nonce), Nonce(b"n"))
        self.assertEqual(message.one((Nonce, KeyExchange)), Nonce(b"n"))
        self.assertEqual(message.all(VendorID), (VendorID(b"1"), VendorID(b"2")))
        self.assertEqual(message.all((Nonce, Hash)), (Nonce(b"n"),))
        self.assertEqual(message.all(Hash), ())
        self.assertTrue(message.has(VendorID))
        self.assertTrue(message.has((Hash, VendorID)))
        self.assertFalse(message.has(Hash))
        self.assertFalse(message.has((Hash, KeyExchange)))
        for kind in (VendorID, Hash, (Hash, KeyExchange), (Nonce, VendorID), Unrecognized, Payload):
            error = self.assertRaises(UnexpectedPayload, message.one, kind)
            assert isinstance(error, PeerError)
        error = self.assertRaises(UnexpectedPayload, message.one, (Hash, KeyExchange))
        self.assertIn("Hash or KeyExchange", str(error))

    def test_draft_is_not_the_rfc_s(self) -> None:
        """NAT discovery of the drafts and of the RFC are told apart, or asked for together."""
        message = Message(COOKIES, 2, 0, 0, (DraftNATDiscovery(b"a"), NATDiscovery(b"b")))
        self.assertEqual(message.all(NATDiscovery), (NATDiscovery(b"b"),))
        self.assertEqual(message.all((NATDiscovery, DraftNATDiscovery)), message.payloads)

    def test_with_payloads(self) -> None:
        """The same message with other payloads; the first one stays as it was."""
        message = Message.decode(MESSAGE)
        other = message.with_payloads([Hash(b"h"), *message.payloads])
        self.assertEqual(other.payloads, (Hash(b"h"), Nonce(b"1234")))
        self.assertEqual(other.cookies, COOKIES)
        self.assertEqual(message.payloads, (Nonce(b"1234"),))

    @settings(deadline=None, max_examples=400)
    @given(st.binary(max_size=400))
    def test_any_octets(self, octets: bytes) -> None:
        """Any octets are a message, or malformed, and nothing else ever happens."""
        for data in (octets, with_length(HEADER[:19] + b"\0" + HEADER[20:28] + octets)):
            try:
                message = Message.decode(data)
            except Malformed:
                continue
            self.assertEqual(message.encode(), data)

    @settings(deadline=None, max_examples=400)
    @given(messages)
    def test_round_trip(self, message: Message) -> None:
        """What is written is read again."""
        self.assertEqual(Message.decode(message.encode()), message)

    @settings(deadline=None, max_examples=600)
    @given(messages, st.data())
    def test_damaged(self, message: Message, data: st.DataObject) -> None:
        """
        A message that was damaged on its way is malformed, or it is a message that is written again
        octet by octet, but for what fills it up to a multiple of four.
        """
        octets = bytearray(message.encode())
        for _ in range(data.draw(st.integers(1, 4))):
            octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
        damaged = bytes(octets)
        if data.draw(st.booleans()):
            damaged = damaged[: data.draw(st.integers(28, len(damaged)))]
        if data.draw(st.booleans()):
            damaged = with_length(damaged)
        try:
            read = Message.decode(damaged)
        except Malformed:
            return
        written = read.encode()
        if written != damaged:
            written = with_length(written + bytes(-len(written) % 4))
        self.assertEqual(written, damaged)


@dataclass(frozen=True, slots=True)
class Sequence(Payload):
    """GDOI's SEQ payload, RFC 6407 section 5.7: as another domain of interpretation brings it."""

    number: ClassVar[int] = 18

    value: int

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        return cls(reader.u32())

    def encode(self) -> bytes:
        return self.value.to_bytes(4)


class ChainTests(SynchronousTestCase):
    """RFC 2408 section 3.2."""

    def test_padding(self) -> None:
        """
        After decryption what follows the last payload is padding; it is not counted.

        Proves: RFC 2409 appendix B
        """
        chain = encode_chain([Hash(b"hash"), Nonce(b"nonce")])
        for padding in (b"", b"\0", bytes(15), b"\xff" * 7, b"\x0a\0\0\x08" * 4):
            self.assertEqual(
                decode_chain(8, chain + padding, padded=True),
                ((Hash(b"hash"), Nonce(b"nonce")), len(chain)),
            )
            if padding:
                self.assertRaises(Malformed, decode_chain, 8, chain + padding)

    def test_start(self) -> None:
        """A chain is read where it starts, and consumption counts from there."""
        chain = encode_chain([Hash(b"hash")])
        self.assertEqual(decode_chain(8, b"junk" + chain, start=4), ((Hash(b"hash"),), 8))
        self.assertEqual(
            decode_chain(8, b"junk" + chain + b"\0\0", padded=True, start=4),
            ((Hash(b"hash"),), 8),
        )
        self.assertRaises(Malformed, decode_chain, 8, chain, start=9)

    def test_empty(self) -> None:
        """No payloads at all is an empty chain."""
        self.assertEqual(decode_chain(0, b""), ((), 0))
        self.assertEqual(decode_chain(0, bytes(16), padded=True), ((), 0))
        self.assertRaises(Malformed, decode_chain, 0, b"\0")
        self.assertRaises(Malformed, decode_chain, 8, b"", padded=True)
        self.assertEqual(encode_chain([]), b"")

    def test_table(self) -> None:
        """
        Another domain of interpretation's payloads are read where its table has them, and only
        there.
        """
        chain = encode_chain([Hash(b"h"), Sequence(7)])
        table = {**PAYLOADS, 18: Sequence}
        self.assertEqual(decode_chain(8, chain, table)[0], (Hash(b"h"), Sequence(7)))
        self.assertEqual(decode_chain(8, chain)[0], (Hash(b"h"), Unrecognized(18, b"\0\0\0\7")))
        self.assertEqual(decode_chain(8, chain, {})[0][0], Unrecognized(8, b"h"))
        octets = Message(COOKIES, 32, 0, 1, (Sequence(7),)).encode()
        self.assertEqual(Message.decode(octets, table).payloads, (Sequence(7),))

    def test_left_over_in_a_payload(self) -> None:
        """Octets of a payload that its class does not read are malformed."""
        table = {**PAYLOADS, 18: Sequence}
        octets = encode_chain([Unrecognized(18, b"\0\0\0\7extra")])
        error = self.assertRaises(Malformed, decode_chain, 18, octets, table)
        self.assertEqual(str(error), "SEQ payload: 5 octets left over")

    def test_table_cannot_be_changed(self) -> None:
        """Nobody can change the table under others."""
        with self.assertRaises(TypeError):
            PAYLOADS[99] = Identification  # type: ignore[index]
