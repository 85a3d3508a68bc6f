"""
ESP packets are those of the RFCs, and nothing else is opened.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.crypto import esp
from isakmp.crypto.ciphers import CBC
from isakmp.crypto.esp import ENCRYPTION, INTEGRITY, ESPError, ESPTransform, esp_transform

_SPI = bytes.fromhex("c0ffee01")
_COUNTER = ("aes-ctr", "aes-gcm", "aes-ccm", "aes-gmac")


def _key(length: int) -> bytes:
    return bytes(range(1, length + 1))


_COMBINED = ("aes-gcm", "aes-ccm", "aes-gmac")


def _pairs() -> Iterator[tuple[str, str]]:
    """Every encryption with every integrity that it may have, but for none at all."""
    for encryption in ENCRYPTION:
        if encryption.startswith(_COMBINED):
            yield encryption, "none"
        else:
            yield from ((encryption, integrity) for integrity in INTEGRITY if integrity != "none")


def _transform(encryption: str, integrity: str, key_index: int = 0) -> ESPTransform:
    key = _key(ENCRYPTION[encryption][key_index])
    return esp_transform(encryption, integrity, key, _key(INTEGRITY[integrity]))


_PAIRS = tuple(_pairs())


class KnownAnswerTests(SynchronousTestCase):
    def test_rfc_3602(self) -> None:
        """
        The sample packets of RFC 3602 open to the data that it shows.

        Proves: RFC 3602 section 4
        Proves: RFC 4303 section 2.4
        """
        cases = (
            (
                "90d382b410eeba7ad938c46cec1a82bf",
                "0000432100000001e96e8c08ab465763fd098d45dd3ff893f663c25d325c18c6a9453e194e120849"
                "a4870b66cc6b9965330013b4898dc856a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c"
                "538ab50c551b874aa269add047ad2d5913ac19b7cfbad4a6",
                "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
                "202122232425262728292a2b2c2d2e2f3031323334353637",
                (1, 1),
            ),
            (
                "90d382b410eeba7ad938c46cec1a82bf",
                "000043210000000869d08df7d203329db093fc4924e5bd80f51995881ec4e0c4488987ce742e8109"
                "689bb379d2d750c0d915dca346a89f75",
                "0800b5e8a80a0500a69c083d0b660e00777777777777777777777777",
                (8, 1),
            ),
            (
                "0123456789abcdef0123456789abcdef",
                "0000876500000002f4e765244f6407adf13dc1380f673f37773b5241a4c449225e4f3ce5ed611b0c"
                "237ca96cf74a93013c1b0ea1a0cf70f8e4ecaec78ac53aad7a0f022b859243c647752e94a859352b"
                "8a4d4d2decd136e5c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d",
                "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d02a2040008090a0b"
                "0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233"
                "34353637",
                (2, 4),
            ),
        )
        for key, packet, data, (sequence, next_header) in cases:
            octets = bytes.fromhex(packet)
            transform = esp_transform("aes-cbc", "none", bytes.fromhex(key), b"")
            opened = transform.open(octets)
            self.assertEqual(opened, (octets[:4], sequence, bytes.fromhex(data), next_header))
            self.patch(esp, "urandom", lambda length, octets=octets: octets[8 : 8 + length])
            sealed = transform.seal(octets[:4], sequence, bytes.fromhex(data), next_header)
            self.assertEqual(sealed.hex(), packet)

    def test_gcm(self) -> None:
        """
        A packet made of test case 2 of the GCM specification opens: zeros under zeros.

        Proves: RFC 4106 section 3
        """
        ciphertext = "0388dace60b6a392f328c2b971b2fe7897fe4c23374201e0819f8dc5d741a01b"
        transform = esp_transform("aes-gcm-16", "none", bytes(20), b"")
        packet = bytes(16) + bytes.fromhex(ciphertext)
        self.assertEqual(transform.open(packet), (bytes(4), 0, bytes(14), 0))

    def test_ctr(self) -> None:
        """
        The key stream is that of test vector 1 of RFC 3686.

        Proves: RFC 3686 section 6
        """
        key = bytes.fromhex("ae6852f8121067cc4bf7a5765577f39e00000030")
        transform = esp_transform("aes-ctr", "hmac-sha1-96", key, bytes(20))
        single_block = bytes.fromhex("e4095d4fb7a7b3792d6175a3261311b8")
        stream = bytes(a ^ b for a, b in zip(single_block, b"Single block msg", strict=True))
        padded = b"fourteen octet\0\x04"
        body = _SPI + bytes(4 + 8) + bytes(a ^ b for a, b in zip(stream, padded, strict=True))
        packet = body + hmac.new(bytes(20), body, "sha1").digest()[:12]
        self.assertEqual(transform.open(packet), (_SPI, 0, b"fourteen octet", 4))

    def test_combined(self) -> None:
        """
        What is sealed with AES-GCM and AES-CCM is what RFC 4106 and RFC 4309 make of it.

        Proves: RFC 4106 section 4
        Proves: RFC 4106 section 5
        Proves: RFC 4309 section 4
        Proves: RFC 4309 section 5
        """
        header = _SPI + b"\0\0\1\2"
        iv = b"\0\0\0\0\0\0\1\2"
        padded = b"data" + b"\1\2" + b"\2\4"
        for length in (16, 24, 32):
            for icv in (8, 12, 16):
                key, salt = _key(length), b"salt"
                whole = AESGCM(key).encrypt(salt + iv, padded, header)
                expected = header + iv + whole[: len(padded) + icv]
                transform = esp_transform(f"aes-gcm-{icv}", "none", key + salt, b"")
                self.assertEqual(transform.seal(_SPI, 0x102, b"data", 4), expected)
                ccm = AESCCM(key, icv).encrypt(salt[:3] + iv, padded, header)
                transform = esp_transform(f"aes-ccm-{icv}", "none", key + salt[:3], b"")
                self.assertEqual(transform.seal(_SPI, 0x102, b"data", 4), header + iv + ccm)

    def test_null(self) -> None:
        """
        Without encryption the packet can be read, and its integrity is HMAC, cut.

        Proves: RFC 2410 section 3.2
        Proves: RFC 2403 section 2
        Proves: RFC 2404 section 2
        Proves: RFC 4868 section 2.3
        Proves: RFC 4303 section 2
        """
        cut = {
            "hmac-md5-96": ("md5", 16, 12),
            "hmac-sha1-96": ("sha1", 20, 12),
            "hmac-sha2-256-128": ("sha256", 32, 16),
            "hmac-sha2-256-96": ("sha256", 32, 12),
            "hmac-sha2-384-192": ("sha384", 48, 24),
            "hmac-sha2-512-256": ("sha512", 64, 32),
        }
        self.assertEqual(set(cut), set(INTEGRITY) - {"none", "aes-xcbc-96"})
        for name, (hash_name, key_length, length) in cut.items():
            self.assertEqual(INTEGRITY[name], key_length)
            key = _key(key_length)
            body = _SPI + b"\0\0\0\7" + b"hello" + b"\1" + b"\1\x11"
            expected = body + hmac.new(key, body, hash_name).digest()[:length]
            sealed = esp_transform("null", name, b"", key).seal(_SPI, 7, b"hello", 17)
            self.assertEqual(sealed, expected)

    def test_xcbc(self) -> None:
        """
        AES-XCBC-MAC-96 gives what the test cases of RFC 3566 have.

        Proves: RFC 3566 section 4.6
        """
        key = bytes(range(16))
        for data, mac in (
            (b"", "75f0251d528ac01c4573dfd5"),
            (bytes(range(3)), "5b376580ae2f19afe7219cee"),
            (bytes(range(16)), "d2a246fa349b68a79998a439"),
            (bytes(range(20)), "47f51b4564966215b8985c63"),
            (bytes(range(32)), "f54f0ec8d2b9f3d36807734b"),
            (bytes(range(34)), "becbb3bccdb518a30677d548"),
            (bytes(1000), "f0dafee895db30253761103b"),
        ):
            self.assertEqual(esp._XCBC(key)(data)[:12].hex(), mac)
        body = _SPI + b"\0\0\0\7" + b"hello" + b"\1" + b"\1\x11"
        sealed = esp_transform("null", "aes-xcbc-96", b"", key).seal(_SPI, 7, b"hello", 17)
        self.assertEqual(sealed, body + esp._XCBC(key)(body)[:12])

    def test_gmac(self) -> None:
        """
        With AES-GMAC the packet can be read; header, vector and data are authenticated.

        Proves: RFC 4543 section 3
        """
        key, iv = _key(16), b"\0\0\0\0\0\0\0\7"
        body = _SPI + b"\0\0\0\7" + iv + b"hello" + b"\1" + b"\1\x11"
        icv = AESGCM(key).encrypt(b"salt" + iv, b"", body)
        transform = esp_transform("aes-gmac", "none", key + b"salt", b"")
        self.assertEqual(transform.seal(_SPI, 7, b"hello", 17), body + icv)

    def test_cbc(self) -> None:
        """
        With CBC the vector is in the packet, what follows is encrypted, and all is authenticated.

        Proves: RFC 4303 section 3.3.2
        Proves: RFC 2451 section 2
        """
        key, integrity_key = _key(24), _key(20)
        transform = esp_transform("3des-cbc", "hmac-sha1-96", key, integrity_key)
        packet = transform.seal(_SPI, 1, b"datagram", 4)
        body, icv = packet[:-12], packet[-12:]
        self.assertEqual(icv, hmac.new(integrity_key, body, hashlib.sha1).digest()[:12])
        decryptor = Cipher(CBC["3des"].schedule(key), modes.CBC(body[8:16])).decryptor()
        self.assertEqual(decryptor.update(body[16:]), b"datagram" + b"\1\2\3\4\5\6" + b"\6\4")

    def test_key_stream(self) -> None:
        """
        With AES-CTR the first block of the key stream is the encryption of salt, IV and 1.

        Proves: RFC 3686 section 4
        """
        transform = esp_transform("aes-ctr", "hmac-md5-96", _key(32) + b"salt", _key(16))
        packet = transform.seal(_SPI, 0x10203, b"0123456789abcd", 4)
        iv = packet[8:16]
        self.assertEqual(iv, b"\0\0\0\0\0\1\2\3")
        block = Cipher(algorithms.AES(_key(32)), modes.ECB()).encryptor()
        stream = block.update(b"salt" + iv + b"\0\0\0\1")
        plain = bytes(a ^ b for a, b in zip(stream, packet[16:32], strict=True))
        self.assertEqual(plain, b"0123456789abcd" + b"\0\4")


class TransformTests(SynchronousTestCase):
    def test_names(self) -> None:
        """The algorithms that are promised are there, with the lengths of their keys."""
        self.assertEqual(
            dict(ENCRYPTION),
            {
                "null": (0,),
                "des-cbc": (8,),
                "3des-cbc": (24,),
                "idea-cbc": (16,),
                "cast-cbc": tuple(range(5, 17)),
                "blowfish-cbc": tuple(range(5, 57)),
                "aes-cbc": (16, 24, 32),
                "camellia-cbc": (16, 24, 32),
                "aes-ctr": (20, 28, 36),
                **dict.fromkeys(("aes-gcm-8", "aes-gcm-12", "aes-gcm-16"), (20, 28, 36)),
                "aes-gmac": (20, 28, 36),
                **dict.fromkeys(("aes-ccm-8", "aes-ccm-12", "aes-ccm-16"), (19, 27, 35)),
            },
        )
        self.assertEqual(len(_PAIRS), 9 * 7 + 7)

    def test_every_key(self) -> None:
        """With each pair of algorithms and each length of key, what is sealed opens again."""
        tried = 0
        for encryption, integrity in _PAIRS:
            for index in range(len(ENCRYPTION[encryption])):
                sender = _transform(encryption, integrity, index)
                receiver = _transform(encryption, integrity, index)
                packet = sender.seal(_SPI, 5, b"an IP packet", 4)
                self.assertEqual(receiver.open(packet), (_SPI, 5, b"an IP packet", 4))
                tried += 1
        self.assertEqual(tried, 7 * (1 + 1 + 1 + 1 + 12 + 52 + 3 + 3 + 3) + 7 * 3)

    @settings(deadline=None)
    @given(
        st.sampled_from(_PAIRS),
        st.binary(min_size=4, max_size=4),
        st.integers(1, 2**32 - 1),
        st.binary(max_size=300),
        st.integers(0, 255),
    )
    def test_opened(
        self, pair: tuple[str, str], spi: bytes, sequence: int, data: bytes, next_header: int
    ) -> None:
        """Any payload comes out as it went in, in a packet whose parts are aligned."""
        packet = _transform(*pair).seal(spi, sequence, data, next_header)
        self.assertEqual(_transform(*pair).open(packet), (spi, sequence, data, next_header))
        self.assertEqual(len(packet) % 4, 0)
        self.assertLess(len(packet), len(data) + 8 + 16 + 32 + 16 + 2)

    @settings(deadline=None)
    @given(st.sampled_from(_PAIRS), st.binary(max_size=200))
    def test_any_octets(self, pair: tuple[str, str], octets: bytes) -> None:
        """Octets that nobody sealed are refused, and nothing else happens."""
        self.assertRaises(ESPError, _transform(*pair).open, octets)

    def test_damaged(self) -> None:
        """A packet in which any octet is changed, added or lost is refused."""
        tried = 0
        for pair in _PAIRS:
            receiver = _transform(*pair)
            packet = _transform(*pair).seal(_SPI, 9, b"payload", 4)
            for index in range(len(packet)):
                changed = bytearray(packet)
                changed[index] ^= 1 << (index % 8)
                self.assertRaises(ESPError, receiver.open, bytes(changed))
                self.assertRaises(ESPError, receiver.open, packet[:index])
                tried += 1
            for longer in (packet + b"\0", packet + bytes(16), b"\0" + packet, packet * 2):
                self.assertRaises(ESPError, receiver.open, longer)
            self.assertEqual(receiver.open(packet), (_SPI, 9, b"payload", 4))
        self.assertGreater(tried, 60 * 30)

    def test_other_keys(self) -> None:
        """A packet of another security association is refused."""
        for encryption, integrity in _PAIRS:
            packet = _transform(encryption, integrity).seal(_SPI, 1, b"payload", 4)
            key = bytearray(_key(ENCRYPTION[encryption][0]))
            integrity_key = bytearray(_key(INTEGRITY[integrity]))
            if integrity_key:
                integrity_key[-1] ^= 1
            else:
                key[0] ^= 1
            other = esp_transform(encryption, integrity, bytes(key), bytes(integrity_key))
            self.assertRaises(ESPError, other.open, packet)
            if integrity == "none":
                key[0], key[-1] = 1, key[-1] ^ 1  # the same key, another salt
                other = esp_transform(encryption, integrity, bytes(key), b"")
                self.assertRaises(ESPError, other.open, packet)

    def test_padding(self) -> None:
        """
        Padding that is not 1, 2, 3 or is longer than the packet is refused, though authentic.

        Proves: RFC 4303 section 2.4
        """
        key = _key(20)
        transform = esp_transform("null", "hmac-sha1-96", b"", key)

        def packet(inside: bytes) -> bytes:
            body = _SPI + b"\0\0\0\1" + inside
            return body + hmac.new(key, body, "sha1").digest()[:12]

        good = packet(b"data" + b"\1\2" + b"\2\4")
        self.assertEqual(transform.open(good), (_SPI, 1, b"data", 4))
        for inside in (
            b"data" + b"\0\0" + b"\2\4",
            b"data" + b"\1\1" + b"\2\4",
            b"data" + b"\2\1" + b"\2\4",
            b"data" + b"\1\2" + b"\x07\4",
            b"data" + b"\1\2" + b"\xff\4",
            b"\1\2" + b"\3\4",
        ):
            self.assertRaises(ESPError, transform.open, packet(inside))
        all_padding = packet(b"\1\2" + b"\2\4")
        self.assertEqual(transform.open(all_padding), (_SPI, 1, b"", 4))
        for inside in (b"", b"\0", b"\0\4", b"data" + b"\0\4"):  # not aligned, or nothing
            self.assertRaises(ESPError, transform.open, packet(inside))

    def test_long_padding(self) -> None:
        """
        More padding than is needed, up to 255 octets, is what a peer may send.

        Proves: RFC 4303 section 2.4
        """
        key = _key(16)
        body = _SPI + b"\0\0\0\1" + b"abc" + bytes(range(1, 256)) + b"\xff\4"
        packet = body + hmac.new(key, body, "md5").digest()[:12]
        transform = esp_transform("null", "hmac-md5-96", b"", key)
        self.assertEqual(transform.open(packet), (_SPI, 1, b"abc", 4))

    def test_confidentiality_only(self) -> None:
        """CBC without integrity opens altered packets, if at all, and never fails otherwise."""
        transform = _transform("aes-cbc", "none")
        packet = transform.seal(_SPI, 1, b"payload", 4)
        outcomes: set[bool | None] = set()
        for index in range(8, len(packet)):
            changed = bytearray(packet)
            changed[index] ^= 0x80
            try:
                outcomes.add(transform.open(bytes(changed))[2] == b"payload")
            except ESPError:
                outcomes.add(None)
        self.assertEqual(outcomes, {False, None, True})


class SequenceTests(SynchronousTestCase):
    def test_never_twice(self) -> None:
        """
        No sequence number is sealed twice: with the counter modes it would give the keys away.

        Proves: RFC 4303 section 3.3.3
        Proves: RFC 4106 section 3.1
        """
        for pair in _PAIRS:
            transform = _transform(*pair)
            for refused in (0, -1, 2**32):
                self.assertRaises(ValueError, transform.seal, _SPI, refused, b"", 4)
            packets = [transform.seal(_SPI, sequence, b"same", 4) for sequence in (1, 2, 7)]
            self.assertEqual([p[4:8] for p in packets], [b"\0\0\0\1", b"\0\0\0\2", b"\0\0\0\7"])
            for refused in (7, 6, 2, 1, 0):
                self.assertRaises(ValueError, transform.seal, _SPI, refused, b"same", 4)
            last = transform.seal(_SPI, 2**32 - 1, b"same", 4)
            self.assertEqual(last[4:8], b"\xff" * 4)
            self.assertRaises(ValueError, transform.seal, _SPI, 2**32, b"", 4)
            if pair[0] != "null":
                iv_length = 8 if pair[0].startswith(_COUNTER) else transform._protection.alignment
                ivs = {p[8 : 8 + iv_length] for p in (*packets, last)}
                self.assertEqual(len(ivs), 4)

    def test_fresh_vector(self) -> None:
        """With CBC the vector is random: equal packets of two transforms with one key differ."""
        vectors = {_transform("aes-cbc", "none").seal(_SPI, 1, b"", 4)[8:24] for _ in range(20)}
        self.assertEqual(len(vectors), 20)

    def test_refused_seal(self) -> None:
        """An SPI or a next header that cannot be sent is refused, and uses nothing up."""
        transform = _transform("aes-gcm-16", "none")
        for spi in (b"", b"abc", b"abcde"):
            self.assertRaises(ValueError, transform.seal, spi, 1, b"", 4)
        for next_header in (-1, 256):
            self.assertRaises(ValueError, transform.seal, _SPI, 1, b"", next_header)
        self.assertEqual(transform.open(transform.seal(_SPI, 1, b"", 59)), (_SPI, 1, b"", 59))


class MakingTests(SynchronousTestCase):
    def test_unknown(self) -> None:
        """Algorithms that are not supported are refused by name."""
        for name in ("aes-cmac-96", "rc5-cbc", "", "AES-CBC", "aes-gcm-4"):
            error = self.assertRaises(LookupError, esp_transform, name, "none", bytes(16), b"")
            self.assertIn(repr(name), str(error))
            error = self.assertRaises(LookupError, esp_transform, "null", name, b"", bytes(16))
            self.assertIn(repr(name), str(error))

    def test_key_lengths(self) -> None:
        """A key that is too short or too long for its algorithm is refused."""
        for encryption, lengths in ENCRYPTION.items():
            integrity = "none" if encryption.startswith(_COMBINED) else "hmac-sha1-96"
            for length in {min(lengths) - 1, max(lengths) + 1, 0, 64} - {-1, *lengths}:
                arguments = (encryption, integrity, bytes(length), _key(INTEGRITY[integrity]))
                self.assertRaises(ValueError, esp_transform, *arguments)
        for integrity, length in INTEGRITY.items():
            for wrong in {0, length - 1, length + 1} - {-1, length}:
                arguments = ("aes-cbc", integrity, bytes(16), bytes(wrong))
                self.assertRaises(ValueError, esp_transform, *arguments)

    def test_together(self) -> None:
        """
        Algorithms that do not go together are refused: two integrities, or none with null or CTR.

        Proves: RFC 3686 section 7
        Proves: RFC 4303 section 3.2
        """
        for arguments in (
            ("aes-gcm-16", "hmac-sha1-96", bytes(20), bytes(20)),
            ("aes-ccm-8", "hmac-md5-96", bytes(19), bytes(16)),
            ("null", "none", b"", b""),
            ("aes-ctr", "none", bytes(20), b""),
        ):
            self.assertRaises(ValueError, esp_transform, *arguments)

    def test_hidden(self) -> None:
        """Keys do not show in what is printed or raised."""
        key, integrity_key = b"the secret key!!", b"another secret key!!"
        transform = esp_transform("aes-cbc", "hmac-sha1-96", key, integrity_key)
        self.assertEqual(repr(transform), "<ESPTransform aes-cbc hmac-sha1-96>")
        error = self.assertRaises(ESPError, transform.open, os.urandom(60))
        self.assertNotIn("secret", str(error))
        self.assertIsInstance(error, ValueError)
