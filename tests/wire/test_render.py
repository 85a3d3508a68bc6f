"""
Messages in words.
"""

from __future__ import annotations

import hashlib
from typing import Self

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.errors import SituationNotSupported
from isakmp.wire.attributes import Attribute
from isakmp.wire.message import CookiePair, Message
from isakmp.wire.payload import Payload
from isakmp.wire.payloads import (
    Certificate,
    CertificateRequest,
    ConfigurationAttributes,
    Delete,
    DraftNATDiscovery,
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
from isakmp.wire.proposals import Proposal, Transform, encode_proposals
from isakmp.wire.reader import Reader
from isakmp.wire.render import MAX_LINE, MAX_LISTED, render, words
from isakmp.wire.vendor_names import VENDOR_NAMES, VENDOR_PREFIXES, vendor_name
from tests.wire.strategies import messages

COOKIES = CookiePair(b"initiato", b"responde")
LIFE = (Attribute.tv(11, 1), Attribute.tlv(12, 86400), Attribute.tv(11, 2), Attribute.tv(12, 1000))


def offered(*proposals: Proposal, doi: int = 1, situation: bytes = b"\0\0\0\1") -> str:
    return words(SecurityAssociation(doi, situation + encode_proposals(proposals)))


def tv(*pairs: tuple[int, int]) -> tuple[Attribute, ...]:
    return tuple(Attribute.tv(kind, number) for kind, number in pairs)


class WordsTests(SynchronousTestCase):
    """One payload."""

    def test_phase_1_offer(self) -> None:
        """Alternatives are listed with cipher, hash, group, method and life, by name."""
        aes = Transform(1, 1, tv((1, 7), (2, 4), (3, 1), (4, 14), (14, 256)) + LIFE)
        des = Transform(2, 1, tv((1, 5), (2, 2), (3, 3), (4, 2)))
        self.assertEqual(
            offered(Proposal(1, 1, b"", (aes, des))),
            "SA(IPSEC: #1 ISAKMP "
            "KEY_IKE/AES-CBC-256/SHA2-256/pre-shared key/MODP-2048/86400 seconds/1000 kilobytes | "
            "KEY_IKE/3DES-CBC/SHA/RSA signatures/MODP-1024)",
        )

    def test_phase_2_offer(self) -> None:
        """AH with ESP, and IPCOMP, are listed with their SPIs."""
        self.assertEqual(
            offered(
                Proposal(1, 2, b"\1\2\3\4", (Transform(1, 5, tv((5, 5), (4, 1))),)),
                Proposal(1, 3, b"\xc3\x34\xc7\x3f", (Transform(1, 12, tv((6, 256), (4, 3))),)),
                Proposal(1, 4, b"\0\2", (Transform(1, 2, tv((3, 14), (10, 1), (11, 1))),)),
            ),
            "SA(IPSEC: #1 AH SPI 01020304 AH_SHA2_256/HMAC-SHA2-256/Tunnel; "
            "#1 ESP SPI c334c73f ESP_AES_CBC-256/UDP-Encapsulated-Tunnel; "
            "#1 IPCOMP SPI 0002 IPCOMP_DEFLATE/MODP-2048/Allowed/"
            "Extended (64-bit) Sequence Number 1)",
        )

    def test_unknown_numbers(self) -> None:
        """Numbers nobody assigned are shown as such, and values too long to show by their size."""
        strange = Transform(
            9,
            99,
            (*tv((1, 999), (300, 5)), Attribute.tlv(6, bytes(128)), Attribute.tlv(1, b"123456")),
        )
        self.assertEqual(
            offered(Proposal(1, 1, b"", (strange,))),
            "SA(IPSEC: #1 ISAKMP UNKNOWN-99/UNKNOWN-999/UNKNOWN-300 5/"
            "Group Prime/Irreducible Polynomial of 128 octets/"
            "Encryption Algorithm 54091677185334)",
        )
        self.assertEqual(
            offered(Proposal(1, 9, b"", (strange,)), doi=77),
            "SA(UNKNOWN-77: #1 UNKNOWN-77 protocol 9 transform 99/attribute 1 999/attribute 300 5/"
            "attribute 6 of 128 octets/attribute 1 54091677185334)",
        )

    def test_situation(self) -> None:
        """
        A situation is skipped as its domain of interpretation says, or guessed: four octets, or
        none.  An offer that cannot be read is told by its size.
        """
        proposal = Proposal(1, 1, b"", (Transform(1, 1, ()),))
        self.assertEqual(offered(proposal, doi=0, situation=b""), "SA(ISAKMP: #1 ISAKMP KEY_IKE)")
        payload = SecurityAssociation(2, b"longer situation" + encode_proposals([proposal]))
        self.assertEqual(words(payload), "SA(GDOI: 32 octets)")
        self.assertEqual(
            words(payload, situation=lambda reader: reader.take(16)),
            "SA(GDOI: #1 GDOI protocol 1 transform 1)",
        )
        message = Message(COOKIES, 2, 0, 0, (payload,))
        self.assertIn("transform 1", render(message, situation=lambda reader: reader.take(16)))

        def refused(reader: Reader) -> object:
            raise SituationNotSupported("no")

        self.assertEqual(words(payload, situation=refused), "SA(GDOI: 32 octets)")
        self.assertEqual(words(SecurityAssociation(1, b"")), "SA(IPSEC: 0 octets)")

    def test_identities(self) -> None:
        """Addresses, subnets, ranges and names are spelled; what is not one is told by its size."""
        v6 = bytes.fromhex("20010db8000000000000000000000001")
        for kind, data, spelled in (
            (1, b"\x0a\0\0\1", "ipv4 10.0.0.1"),
            (1, b"\x0a\0\0", "ID_IPV4_ADDR, 3 octets"),
            (2, b"r.lab", "fqdn r.lab"),
            (3, b"carol@lab", "user fqdn carol@lab"),
            (4, b"\x0a\0\0\0\xff\xff\xff\0", "ipv4 10.0.0.0/24"),
            (4, bytes(8), "ipv4 0.0.0.0/0"),
            (4, b"\x0a\0\0\0\xff\0\xff\0", "ipv4 10.0.0.0 mask ff00ff00"),
            (5, v6, "ipv6 2001:db8::1"),
            (6, v6 + b"\xff" * 8 + bytes(8), "ipv6 2001:db8::1/64"),
            (7, b"\x0a\0\0\1\x0a\0\0\x09", "ipv4 10.0.0.1 to ipv4 10.0.0.9"),
            (8, v6 + v6, "ipv6 2001:db8::1 to ipv6 2001:db8::1"),
            (9, b"0\0", "ID_DER_ASN1_DN, 2 octets"),
            (11, b"vpngroup", "key id vpngroup"),
            (11, b"\0\1", "key id 0001"),
            (99, b"", "UNKNOWN-99, 0 octets"),
            (2, b"", "fqdn empty"),
        ):
            self.assertEqual(words(Identification(kind, 0, 0, data)), f"ID({spelled})")
        self.assertEqual(
            words(Identification(1, 17, 500, b"\x0a\0\0\1")),
            "ID(ipv4 10.0.0.1 protocol 17 port 500)",
        )

    def test_text_of_a_peer(self) -> None:
        """A peer's text cannot break a line, hide in it or fill it."""
        for data in (b"a\nb", b"a\x1b[2Jb", b"\xe2\x80\xae", b"\0", "\u202e".encode()):
            self.assertEqual(words(Identification(2, 0, 0, data)), f"ID(fqdn {data.hex()})")
        self.assertEqual(words(Identification(2, 0, 0, b"x" * 65)), f"ID(fqdn {'x' * 64}...)")
        self.assertEqual(words(VendorID(b"\xff" * 65)), f"VID({'ff' * 64}...)")

    def test_notifications(self) -> None:
        """Notifications by name, with what they are about."""
        for payload, spelled in (
            (Notification(1, 1, 14, b"", b""), "N(NO-PROPOSAL-CHOSEN)"),
            (
                Notification(1, 3, 24576, b"\xc3\x34\xc7\x3f", bytes(12)),
                "N(RESPONDER-LIFETIME ESP SPI c334c73f, 12 octets)",
            ),
            (
                Notification(1, 1, 36136, b"", b"\0\0\0\7"),
                "N(R-U-THERE, sequence 7)",
            ),
            (Notification(1, 1, 36136, b"", b"\7"), "N(R-U-THERE, 1 octet)"),
            (Notification(2, 1, 999, b"\1", b""), "N(UNKNOWN-999 GDOI protocol 1 SPI 01)"),
        ):
            self.assertEqual(words(payload), spelled)

    def test_deletes(self) -> None:
        """Deletes with protocol, number and SPIs."""
        self.assertEqual(words(Delete(1, 3, (b"\xc3\x34\xc7\x3f",))), "D(ESP 1 SPI c334c73f)")
        self.assertEqual(words(Delete(1, 2, (b"\1\2", b"\3\4"))), "D(AH 2 SPIs 0102, 0304)")
        many = tuple(n.to_bytes(2) for n in range(MAX_LISTED + 8))
        self.assertTrue(words(Delete(1, 3, many)).endswith(" 001f, and 8 more)"))

    def test_sizes_only(self) -> None:
        """Of what proves or makes keys only the size is told."""
        secret = b"sesame"
        for payload, spelled in (
            (KeyExchange(secret), "KE(6 octets)"),
            (Nonce(secret), "NONCE(6 octets)"),
            (Hash(secret), "HASH(6 octets)"),
            (Signature(secret), "SIG(6 octets)"),
            (NATDiscovery(secret), "NAT-D(6 octets)"),
            (DraftNATDiscovery(secret), "NAT-D(6 octets)"),
            (Hash(b"1"), "HASH(1 octet)"),
            (Certificate(4, secret), "CERT(X.509 Certificate - Signature, 6 octets)"),
            (CertificateRequest(99, b""), "CR(UNKNOWN-99, 0 octets)"),
            (Unrecognized(129, secret), "payload type 129(6 octets)"),
            (Fragment(1, 2, 0, secret), "FRAG(id 1 number 2, 6 octets)"),
            (Fragment(1, 3, 1, secret), "FRAG(id 1 number 3 last, 6 octets)"),
            (Notification(1, 1, 40503, b"", secret), "N(PRESHARED-KEY-HASH, 6 octets)"),
            (
                ConfigurationAttributes(
                    2,
                    9,
                    (
                        Attribute.tlv(16521, secret),
                        Attribute.tlv(16522, secret),
                        Attribute.tv(16523, 4711),
                        Attribute.tv(16527, 1),
                        Attribute.tlv(16527, secret),
                    ),
                ),
                "ATTR(REPLY 9: XAUTH_USER_NAME, XAUTH_USER_PASSWORD, XAUTH_PASSCODE, "
                "XAUTH_STATUS 1, XAUTH_STATUS)",
            ),
            (ConfigurationAttributes(200, 0, ()), "ATTR(UNKNOWN-200 0: nothing)"),
        ):
            self.assertEqual(words(payload), spelled)

    def test_original_address(self) -> None:
        """Original addresses are spelled."""
        self.assertEqual(words(NATOriginalAddress(1, b"\x0a\0\0\1")), "NAT-OA(ipv4 10.0.0.1)")
        self.assertEqual(words(NATOriginalAddress(5, bytes(16))), "NAT-OA(ipv6 ::)")
        self.assertEqual(words(NATOriginalAddress(1, b"\x0a")), "NAT-OA(address of 1 octet)")
        for length in (0, 2, 3, 5, 15, 17, 32):
            said = words(NATOriginalAddress(1, bytes(length)))
            self.assertEqual(said, f"NAT-OA(address of {length} octets)")

    def test_another_s_payload(self) -> None:
        """A payload that another domain of interpretation brings is named."""

        class Policy(Payload):
            number = 22

            @classmethod
            def decode(cls, reader: Reader) -> Self:
                return cls()

        self.assertEqual(words(Policy()), "Policy(payload type 22)")


class VendorNamesTests(SynchronousTestCase):
    """Names for vendor IDs."""

    def test_known(self) -> None:
        """Well-known vendor IDs are named, with any version where they have one."""
        for octets, name in (
            ("afcad71368a1f1c96b8696fc77570100", "DPD"),
            ("4a131c81070358455c5728f20e95452f", "RFC 3947"),
            ("4048b7d56ebce88525e7de7f00d6c2d3", "FRAGMENTATION"),
            ("4048b7d56ebce88525e7de7f00d6c2d380000000", "FRAGMENTATION"),
            ("1e2b516905991c7d7c96fcbfb587e46100000009", "MS NT5 ISAKMPOAKLEY"),
            (b"OEabcdefghij".hex(), "FreeS/WAN family"),
        ):
            self.assertEqual(words(VendorID(bytes.fromhex(octets))), f"VID({name})")
        self.assertEqual(words(VendorID(b"CISCO-DELETE-REASON")), "VID(CISCO-DELETE-REASON)")
        self.assertEqual(words(VendorID(b"")), "VID(empty)")
        self.assertEqual(words(VendorID(b"\1\2")), "VID(0102)")
        self.assertIsNone(vendor_name(b"OE"))

    def test_exact(self) -> None:
        """A vendor ID without versions is not taken for one because it begins like it."""
        self.assertIsNone(vendor_name(bytes.fromhex("09002689dfd6b71200")))
        self.assertIsNone(vendor_name(bytes.fromhex("09002689dfd6b7")))

    def test_hashes(self) -> None:
        """A name that was hashed to get the vendor ID is that name."""
        hashed = 0
        for octets, name in [*VENDOR_NAMES.items(), *VENDOR_PREFIXES]:
            text = name.replace("\\n", "\n").encode()
            hashed += hashlib.md5(text, usedforsecurity=False).digest() == octets
        self.assertGreaterEqual(hashed, 27)


class RenderTests(SynchronousTestCase):
    """A whole message."""

    def test_line(self) -> None:
        """Exchange, message id and payloads in one line."""
        message = Message(COOKIES, 2, 0, 0, (KeyExchange(bytes(256)), Nonce(bytes(32))))
        self.assertEqual(
            render(message),
            "Identity Protection, message id 0: KE(256 octets), NONCE(32 octets)",
        )
        self.assertEqual(
            render(Message(COOKIES, 32, 0xFB, 0xAB, (), 0x21)),
            "Quick Mode, message id 000000ab, version 2.1, flags encryption+commit+0xf8: "
            "no payloads",
        )
        self.assertEqual(
            render(Message(COOKIES, 243, 4, 1, ())),
            "exchange type 243, message id 00000001, flags authentication only: no payloads",
        )

    def test_many(self) -> None:
        """However much a message holds, the line stays bounded and says that there is more."""
        message = Message(COOKIES, 2, 0, 0, (VendorID(b"v"),) * (MAX_LISTED + 5))
        self.assertTrue(render(message).endswith("VID(v), and 5 more"))
        transform = Transform(1, 1, tv(*[(300 + n, n) for n in range(100)]))
        offer = (Proposal(1, 1, b"", (transform,) * 40), Proposal(2, 1, b"", (transform,)))
        said = offered(*offer)
        self.assertEqual(len(said), MAX_LINE)
        self.assertTrue(said.endswith("..."))
        small = Proposal(1, 1, b"", (Transform(1, 1, ()),) * 30)
        self.assertTrue(offered(small, small).endswith("; and 28 more)"))
        payload = SecurityAssociation(1, b"\0\0\0\1" + encode_proposals(offer))
        self.assertEqual(len(render(Message(COOKIES, 2, 0, 0, (payload,) * 10))), MAX_LINE)

    def test_impossible_values(self) -> None:
        """A message made by hand, with numbers no field could hold, still has its words."""
        message = Message(
            COOKIES,
            -1,
            -8,
            2**40,
            (Notification(-1, -1, -1, b"s", b""), Delete(1, 3, ()), Certificate(2**40, b"")),
        )
        self.assertIn("exchange type -1", render(message))

    @settings(deadline=None, max_examples=400)
    @given(messages)
    def test_any_message(self, message: Message) -> None:
        """Whatever a message holds, it has one line of printable ASCII."""
        line = render(message)
        self.assertTrue(line.isascii() and line.isprintable(), line)
        self.assertLessEqual(len(line), MAX_LINE)

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=200), st.integers(0, 3))
    def test_any_offer(self, body: bytes, doi: int) -> None:
        """Whatever is offered, the words never fail."""
        self.assertTrue(words(SecurityAssociation(doi, body)).startswith("SA("))


class ProofTests(SynchronousTestCase):
    """A message under an SA, without the HASH that its protection adds and takes away."""

    def test_proof(self) -> None:
        """A message under an SA is shown with the HASH that leads it, and then what follows."""
        message = Message(COOKIES, 5, 0, 0xAB, (Delete(1, 3, (b"\1\2\3\4",)),))
        self.assertEqual(
            render(message, proof=True),
            "Informational, message id 000000ab: HASH, D(ESP 1 SPI 01020304)",
        )
        self.assertNotIn("HASH", render(message))

    def test_bare_proof(self) -> None:
        """Quick Mode's third message is a HASH and nothing else; it is not called empty."""
        message = Message(COOKIES, 32, 0, 0xAB, ())
        self.assertEqual(render(message, proof=True), "Quick Mode, message id 000000ab: HASH")
        self.assertEqual(render(message), "Quick Mode, message id 000000ab: no payloads")

    def test_bounded(self) -> None:
        """The HASH in front does not make a long line longer."""
        long = SecurityAssociation(
            1,
            b"\0\0\0\1"
            + encode_proposals(
                [
                    Proposal(
                        1, 1, b"", (Transform(1, 1, tv(*[(300 + n, n) for n in range(100)])),) * 40
                    )
                ]
            ),
        )
        said = render(Message(COOKIES, 32, 0, 1, (long,) * 10), proof=True)
        self.assertEqual(len(said), MAX_LINE)
        self.assertTrue(said.startswith("Quick Mode, message id 00000001: HASH, SA("), said[:80])
