"""
Payloads as values.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.errors import Malformed
from isakmp.numbers import PayloadType
from isakmp.wire.attributes import MAX_ATTRIBUTES, Attribute
from isakmp.wire.message import encode_chain
from isakmp.wire.payload import Opaque, Payload
from isakmp.wire.payloads import (
    MAX_SPIS,
    PAYLOADS,
    Certificate,
    CertificateRequest,
    ConfigurationAttributes,
    Delete,
    DraftNATDiscovery,
    DraftNATOriginalAddress,
    Fragment,
    Hash,
    Identification,
    KeyExchange,
    NATDiscovery,
    NATOriginalAddress,
    Nonce,
    Notification,
    SecurityAssociation,
    Signature,
    Unrecognized,
    VendorID,
)
from isakmp.wire.reader import Reader
from tests.wire.strategies import payloads


def read(kind: type[Payload], body: bytes) -> Payload:
    """What ``decode_chain`` does with a body."""
    reader = Reader(body)
    payload = kind.decode(reader)
    reader.finish()
    return payload


class PayloadTests(SynchronousTestCase):
    """Each payload's fields, as its box has them."""

    def both(self, payload: Payload, body: str) -> None:
        octets = bytes.fromhex(body)
        self.assertEqual(payload.encode(), octets)
        self.assertEqual(read(type(payload), octets), payload)

    def test_security_association(self) -> None:
        """
        The DOI is read; situation and proposals stay as received.

        Proves: RFC 2408 section 3.4 (row 3.4-2)
        """
        self.both(SecurityAssociation(1, b"\0\0\0\1rest"), "00000001 00000001 72657374")
        self.both(SecurityAssociation(0xFFFFFFFF, b""), "ffffffff")

    def test_data_only(self) -> None:
        """
        Key exchange, hash, signature, nonce and vendor ID are data, of any length.

        Proves: RFC 2408 section 3.7
        Proves: RFC 2408 section 3.11
        Proves: RFC 2408 section 3.12
        Proves: RFC 2408 section 3.13
        Proves: RFC 2408 section 3.16
        """
        for kind in (KeyExchange, Hash, Signature, Nonce, VendorID):
            self.both(kind(b""), "")
            self.both(kind(b"\0\1\2"), "000102")

    def test_identification(self) -> None:
        """
        Type, protocol, port and data.

        Proves: RFC 2408 section 3.8
        Proves: RFC 2407 section 4.6.2
        """
        self.both(Identification(2, 17, 500, b"r.lab"), "02 11 01f4 722e6c6162")
        self.both(Identification(0, 0, 0, b""), "00000000")

    def test_certificates(self) -> None:
        """
        Encoding and data; the data may be empty.

        Proves: RFC 2408 section 3.9
        Proves: RFC 2408 section 3.10 (row 3.10-5)
        """
        for kind in (Certificate, CertificateRequest):
            self.both(kind(4, b"DER"), "04 444552")
            self.both(kind(4, b""), "04")

    def test_notification(self) -> None:
        """
        DOI, protocol, type, SPI and data.

        Proves: RFC 2408 section 3.14
        """
        self.both(
            Notification(1, 3, 24576, b"\xc3\x34\xc7\x3f", b"\x80\1\0\1"),
            "00000001 03 04 6000 c334c73f 80010001",
        )
        self.both(Notification(0, 1, 14, b"", b""), "00000000 01 00 000e")

    def test_delete(self) -> None:
        """
        Several SPIs of one size.

        Proves: RFC 2408 section 3.15 (row 3.15-1)
        Proves: RFC 2408 section 5.15 (row 5.15-3)
        """
        self.both(
            Delete(1, 3, (b"\x3d\xe6\x50\xc0", b"\x95\x3e\xec\xbc")),
            "00000001 03 04 0002 3de650c0 953eecbc",
        )
        self.both(
            Delete(1, 1, (bytes(range(16)),)), f"00000001 01 10 0001 {bytes(range(16)).hex()}"
        )

    def test_configuration(self) -> None:
        """Type, identifier and attributes of mode config."""
        self.both(
            ConfigurationAttributes(1, 20, (Attribute.tlv(16521, b""), Attribute.tv(16520, 0))),
            "01 00 0014 40890000 c0880000",
        )
        self.both(ConfigurationAttributes(4, 0, ()), "04 00 0000")

    def test_nat(self) -> None:
        """
        Hashes of addresses, and original addresses, under the RFC's and the drafts' numbers.

        Proves: RFC 3947 section 3.2
        Proves: RFC 3947 section 5.2
        """
        for discovery in (NATDiscovery, DraftNATDiscovery):
            self.both(discovery(b"hash"), "68617368")
        for original in (NATOriginalAddress, DraftNATOriginalAddress):
            self.both(original(1, b"\x0a\0\0\1"), "01 000000 0a000001")
        self.assertEqual(NATDiscovery.number, 20)
        self.assertEqual(NATOriginalAddress.number, 21)

    def test_fragment(self) -> None:
        """Fragment identifier, number, flags and data."""
        self.both(Fragment(1, 2, 1, b"abc"), "0001 02 01 616263")

    def test_numbers(self) -> None:
        """
        The table has RFC 2408's payloads at their numbers.

        Proves: RFC 2408 section 3.1
        """
        self.assertEqual(
            {number: kind.__name__ for number, kind in PAYLOADS.items()},
            {
                1: "SecurityAssociation",
                4: "KeyExchange",
                5: "Identification",
                6: "Certificate",
                7: "CertificateRequest",
                8: "Hash",
                9: "Signature",
                10: "Nonce",
                11: "Notification",
                12: "Delete",
                13: "VendorID",
                14: "ConfigurationAttributes",
                20: "NATDiscovery",
                21: "NATOriginalAddress",
                130: "DraftNATDiscovery",
                131: "DraftNATOriginalAddress",
                132: "Fragment",
            },
        )
        for number, kind in PAYLOADS.items():
            self.assertEqual(kind.number, number)
            self.assertTrue(PayloadType(number).assigned)

    def test_classes_differ(self) -> None:
        """The same octets as another payload are not equal: a nonce is not a public value."""
        kinds = [kind for kind in PAYLOADS.values() if issubclass(kind, Opaque)]
        self.assertEqual(len(kinds), 7)
        for one in kinds:
            for other in kinds:
                self.assertEqual(one(b"x") == other(b"x"), one is other)
        self.assertNotEqual(Certificate(4, b"x"), CertificateRequest(4, b"x"))
        self.assertNotEqual(NATOriginalAddress(1, b"x"), DraftNATOriginalAddress(1, b"x"))
        self.assertNotEqual(Unrecognized(99, b"x"), Unrecognized(98, b"x"))

    def test_values(self) -> None:
        """A payload cannot be changed, and can be a key."""
        for payload in (Nonce(b"x"), VendorID(b"x"), Certificate(4, b"x"), Hash(b"x")):
            self.assertEqual({payload: 1}[type(payload).decode(Reader(payload.encode()))], 1)
            self.assertRaises(AttributeError, setattr, payload, "data", b"y")
            self.assertRaises((AttributeError, TypeError), setattr, payload, "other", b"y")

    def test_secrets_are_not_shown(self) -> None:
        """Neither nonces, hashes, public values nor passwords are in a representation."""
        secret = b"sesame"
        for payload in (
            KeyExchange(secret),
            Hash(secret),
            Nonce(secret),
            Signature(secret),
            NATDiscovery(secret),
            Notification(1, 1, 40503, b"", secret),
            ConfigurationAttributes(2, 0, (Attribute.tlv(16522, secret),)),
            Unrecognized(129, secret),
            Fragment(1, 1, 0, secret),
            SecurityAssociation(1, secret),
            Certificate(4, secret),
        ):
            shown = repr(payload)
            self.assertNotIn("sesame", shown)
            self.assertNotIn(secret.hex(), shown)
            self.assertIn(type(payload).__name__, shown)

    @settings(deadline=None, max_examples=300)
    @given(payloads)
    def test_round_trip(self, payload: Payload) -> None:
        """What is written is read again."""
        if isinstance(payload, Unrecognized):
            return
        self.assertEqual(read(type(payload), payload.encode()), payload)

    @settings(deadline=None, max_examples=500)
    @given(st.sampled_from(list(PAYLOADS.values())), st.binary(max_size=80))
    def test_lossless(self, kind: type[Payload], body: bytes) -> None:
        """Any body is malformed, or written again as it was."""
        try:
            payload = read(kind, body)
        except Malformed:
            return
        self.assertEqual(payload.encode(), body)


class HostilePayloadTests(SynchronousTestCase):
    """Bodies that contradict themselves."""

    def refuse(self, kind: type[Payload], *bodies: str) -> None:
        for body in bodies:
            self.assertRaises(Malformed, read, kind, bytes.fromhex(body))

    def test_shorter_than_its_fields(self) -> None:
        """
        A body that ends before its fixed fields do is malformed, whatever the payload.

        Proves: RFC 2408 section 5.1
        Proves: RFC 2408 section 3.4 (row 3.4-2)
        """
        fixed = {
            SecurityAssociation: 4,
            Identification: 4,
            Certificate: 1,
            CertificateRequest: 1,
            Notification: 8,
            Delete: 8,
            ConfigurationAttributes: 4,
            NATOriginalAddress: 4,
            DraftNATOriginalAddress: 4,
            Fragment: 5,
        }
        for kind in PAYLOADS.values():
            for length in range(fixed.get(kind, 0)):
                self.refuse(kind, "00" * length)

    def test_delete(self) -> None:
        """
        Fewer or more octets than SPIs were announced, none of them, or empty ones, are malformed.

        Proves: RFC 2408 section 5.15
        """
        self.refuse(
            Delete,
            "00000001 03 04 0000",
            "00000001 03 00 0001",
            "00000001 03 00 ffff",
            "00000001 03 04 0001",
            "00000001 03 04 0001 010203",
            "00000001 03 04 0001 0102030405",
            "00000001 03 04 0002 01020304",
            "00000001 03 ff ffff 01020304",
        )

    def test_delete_bound(self) -> None:
        """More SPIs than the bound are refused before any of them is read."""
        most = tuple(n.to_bytes(4) for n in range(MAX_SPIS))
        body = Delete(1, 3, most).encode()
        self.assertEqual(read(Delete, body), Delete(1, 3, most))
        self.assertRaises(Malformed, read, Delete, Delete(1, 3, (*most, b"last")).encode())

    def test_notification(self) -> None:
        """
        An SPI longer than the payload is malformed.

        Proves: RFC 2408 section 5.14
        """
        self.refuse(Notification, "00000001 01 01 000e", "00000001 01 ff 000e 0102")

    def test_reserved(self) -> None:
        """Reserved octets of mode config and of original addresses are zero."""
        self.refuse(ConfigurationAttributes, "01 01 0000", "01 ff 0000 40890000")
        for kind in (NATOriginalAddress, DraftNATOriginalAddress):
            self.refuse(kind, "01 010000 0a000001", "01 000100 0a000001", "01 000001 0a000001")

    def test_configuration(self) -> None:
        """A payload that does not hold a whole number of attributes is malformed as a whole."""
        self.refuse(
            ConfigurationAttributes,
            "01 00 0000 40",
            "01 00 0000 4089",
            "01 00 0000 40890000 40",
            "01 00 0000 40890001",
            "01 00 0000 4089ffff 61",
        )
        self.refuse(ConfigurationAttributes, "01000000" + "40890000" * (MAX_ATTRIBUTES + 1))

    def test_fragment(self) -> None:
        """A fragment of nothing is malformed: CVE-2016-1287, CVE-2009-1574."""
        for length in range(5):
            self.refuse(Fragment, "01" * length)
        self.assertEqual(read(Fragment, b"\0\1\1\1x"), Fragment(1, 1, 1, b"x"))

    def test_cannot_be_written(self) -> None:
        """What does not fit its fields is refused when written, not cut."""
        for payload in (
            Delete(1, 3, ()),
            Delete(1, 3, (b"",)),
            Delete(1, 3, (b"1234", b"12345")),
            Delete(1, 3, (bytes(256),)),
            Notification(1, 1, 14, bytes(256), b""),
            KeyExchange(bytes(0x10000)),
            VendorID(bytes(0xFFFC)),
        ):
            self.assertRaises(ValueError, encode_chain, [payload])
        self.assertEqual(len(encode_chain([VendorID(bytes(0xFFFB))])), 0xFFFF)

    def test_unrecognized_is_not_read_alone(self) -> None:
        """A payload of unknown type has its number from the message, not from its body."""
        self.assertRaises(TypeError, Unrecognized.decode, Reader(b""))
        self.assertRaises(NotImplementedError, Payload.decode, Reader(b""))
        self.assertRaises(NotImplementedError, Payload().encode)
