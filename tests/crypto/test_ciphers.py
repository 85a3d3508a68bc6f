"""
The ciphers of phase 1 are those of their specifications, and take whole blocks only.
"""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp import numbers
from isakmp.crypto import ciphers
from isakmp.crypto.ciphers import CBCAlgorithm, cipher, is_weak, key_length
from isakmp.errors import Malformed

_SUPPORTED = (1, 2, 3, 5, 6, 7, 8)


class KnownAnswerTests(SynchronousTestCase):
    def test_blocks(self) -> None:
        """
        The block that each specification prints is encrypted and decrypted as it says.

        Proves: RFC 3602 section 4
        """
        cases = (
            # number, key, plaintext, ciphertext.  From: the usual example of DES, Lai's thesis,
            # Schneier's Blowfish, DES again and NIST SP 800-67, RFC 2144, FIPS 197, RFC 3713.
            (1, "133457799bbcdff1", "0123456789abcdef", "85e813540f0ab405"),
            (2, "00010002000300040005000600070008", "0000000100020003", "11fbed2b01986de5"),
            (3, "0123456789abcdef", "1111111111111111", "61f9c3802281b096"),
            (5, "133457799bbcdff1" * 3, "0123456789abcdef", "85e813540f0ab405"),
            (
                5,
                "0123456789abcdef23456789abcdef01456789abcdef0123",
                "5468652071756663",
                "a826fd8ce53b855f",
            ),
            (6, "0123456712345678234567893456789a", "0123456789abcdef", "238b4fe5847e44b2"),
            (6, "01234567123456782345", "0123456789abcdef", "eb6a711a2c02271b"),
            (6, "0123456712", "0123456789abcdef", "7ac816d16e9b302e"),
            (
                7,
                "000102030405060708090a0b0c0d0e0f",
                "00112233445566778899aabbccddeeff",
                "69c4e0d86a7b0430d8cdb78070b4c55a",
            ),
            (
                7,
                "000102030405060708090a0b0c0d0e0f1011121314151617",
                "00112233445566778899aabbccddeeff",
                "dda97ca4864cdfe06eaf70a0ec0d7191",
            ),
            (
                7,
                "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                "00112233445566778899aabbccddeeff",
                "8ea2b7ca516745bfeafc49904b496089",
            ),
            (
                8,
                "0123456789abcdeffedcba9876543210",
                "0123456789abcdeffedcba9876543210",
                "67673138549669730857065648eabe43",
            ),
            (
                8,
                "0123456789abcdeffedcba98765432100011223344556677",
                "0123456789abcdeffedcba9876543210",
                "b4993401b3e996f84ee5cee7d79b09b9",
            ),
            (
                8,
                "0123456789abcdeffedcba987654321000112233445566778899aabbccddeeff",
                "0123456789abcdeffedcba9876543210",
                "9acc237dff16d76c20ef7c919e3a7509",
            ),
        )
        for number, key, plaintext, ciphertext in cases:
            made = cipher(number, bytes.fromhex(key))
            zero = bytes(made.block)
            self.assertEqual(made.encrypt(zero, bytes.fromhex(plaintext)).hex(), ciphertext)
            self.assertEqual(made.decrypt(zero, bytes.fromhex(ciphertext)).hex(), plaintext)
        self.assertEqual({case[0] for case in cases}, set(_SUPPORTED))

    def test_chained(self) -> None:
        """
        Case 2 of RFC 3602: two blocks, the second chained to the first.

        Proves: RFC 3602 section 4
        """
        aes = cipher(7, bytes.fromhex("c286696d887c9aa0611bbb3e2025a45a"))
        iv = bytes.fromhex("562e17996d093d28ddb3ba695a2e6f58")
        ciphertext = bytes.fromhex(
            "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1"
        )
        self.assertEqual(aes.encrypt(iv, bytes(range(32))), ciphertext)
        self.assertEqual(aes.decrypt(iv, ciphertext), bytes(range(32)))


class CipherTests(SynchronousTestCase):
    @settings(deadline=None)
    @given(st.sampled_from(_SUPPORTED), st.data())
    def test_chain(self, number: int, data: st.DataObject) -> None:
        """
        Two messages in a chain are one long message, and each is decrypted again.

        Proves: RFC 2409 appendix B
        """
        length = key_length(number, None)
        key = data.draw(st.binary(min_size=length, max_size=length))
        if is_weak(number, key):
            return
        made = cipher(number, key)
        blocks = st.integers(1, 5).map(lambda count: count * made.block)
        first, second = (
            data.draw(blocks.flatmap(lambda n: st.binary(min_size=n, max_size=n))) for _ in "12"
        )
        iv = bytes(made.block)
        encrypted = made.encrypt(iv, first)
        following = made.encrypt(encrypted[-made.block :], second)
        self.assertEqual(encrypted + following, made.encrypt(iv, first + second))
        self.assertEqual(made.decrypt(iv, encrypted + following), first + second)

    @settings(deadline=None)
    @given(st.sampled_from(_SUPPORTED), st.binary(max_size=70))
    def test_any_octets(self, number: int, octets: bytes) -> None:
        """Octets that a peer sent decrypt to as many, or are malformed; nothing else happens."""
        made = cipher(number, bytes(range(1, key_length(number, None) + 1)))
        if octets and len(octets) % made.block == 0:
            self.assertEqual(len(made.decrypt(bytes(made.block), octets)), len(octets))
        else:
            self.assertRaises(Malformed, made.decrypt, bytes(made.block), octets)
            self.assertRaises(ValueError, made.encrypt, bytes(made.block), octets)

    def test_not_whole_blocks(self) -> None:
        """What is not whole blocks, and nothing at all, is malformed, with the reason."""
        for number in _SUPPORTED:
            made = cipher(number, bytes(range(1, key_length(number, None) + 1)))
            for length in (0, 1, made.block - 1, made.block + 1, 3 * made.block - 1):
                error = self.assertRaises(Malformed, made.decrypt, bytes(made.block), bytes(length))
                self.assertEqual(error.reason.offered, f"{length} octets")
                self.assertIn(made.name, error.reason.configured)

    def test_wrong_iv(self) -> None:
        """An initialization vector of another length is a mistake of ours, not the peer's."""
        made = cipher(7, bytes(16))
        for length in (0, 8, 15, 17):
            self.assertRaises(ValueError, made.encrypt, bytes(length), bytes(16))
            self.assertRaises(ValueError, made.decrypt, bytes(length), bytes(16))

    def test_names(self) -> None:
        """A cipher is named as in swanctl.conf, with its key length where there is a choice."""
        names = {
            **{(1, 8): "des", (2, 16): "idea", (3, 16): "blowfish128", (5, 24): "3des"},
            **{(6, 10): "cast80", (7, 16): "aes128", (7, 32): "aes256", (8, 24): "camellia192"},
        }
        for (number, length), name in names.items():
            self.assertEqual(cipher(number, bytes(range(1, length + 1))).name, name)

    def test_hidden(self) -> None:
        """The key does not show in what is printed."""
        made = cipher(7, b"the secret key!!")
        self.assertEqual(repr(made), "<BlockCipher aes128>")

    def test_unsupported(self) -> None:
        """RC5, and numbers that nobody assigned, are refused by number."""
        for number in (0, 4, 9, 13, 65001, numbers.Encryption.RC5_R16_B64_CBC):
            for error in (
                self.assertRaises(LookupError, key_length, number, None),
                self.assertRaises(LookupError, cipher, number, bytes(16)),
            ):
                self.assertIn(str(int(number)), str(error))

    def test_library_without(self) -> None:
        """A cipher that the installed library does not have is refused when it is keyed."""
        without = CBCAlgorithm("rc5", 8, 16, range(16, 17), "RC5")
        self.patch(ciphers, "_PHASE_1", {4: without})
        self.assertRaises(LookupError, cipher, 4, bytes(16))

        def unsupported(*arguments: object) -> None:
            raise UnsupportedAlgorithm("this library was built without it")

        self.patch(ciphers, "_PHASE_1", {7: ciphers.CBC["aes"]})
        self.patch(ciphers, "Cipher", unsupported)
        ciphers._maker.cache_clear()  # it is asked once
        self.addCleanup(ciphers._maker.cache_clear)
        self.assertRaises(LookupError, cipher, 7, bytes(16))


class KeyLengthTests(SynchronousTestCase):
    def test_default(self) -> None:
        """
        Without a Key Length attribute a key has the length that the RFC says.

        Proves: RFC 2409 appendix B
        """
        lengths = {number: key_length(number, None) for number in _SUPPORTED}
        self.assertEqual(lengths, {1: 8, 2: 16, 3: 56, 5: 24, 6: 16, 7: 16, 8: 16})
        self.assertEqual(key_length(numbers.Encryption.AES_CBC, None), 16)

    def test_negotiated(self) -> None:
        """Every length that a cipher takes can be negotiated and gives a working key."""
        taken = {
            1: [64],
            2: [128],
            3: list(range(40, 449, 8)),
            5: [192],
            6: list(range(40, 129, 8)),
            7: [128, 192, 256],
            8: [128, 192, 256],
        }
        for number, lengths in taken.items():
            for bits in lengths:
                length = key_length(number, bits)
                self.assertEqual(length, bits // 8)
                made = cipher(number, bytes(range(1, length + 1)))
                self.assertEqual(len(made.encrypt(bytes(made.block), bytes(32))), 32)

    def test_refused(self) -> None:
        """A length that a cipher does not take is refused, and so is such a key."""
        refused = {
            1: [0, 56, 128],
            2: [0, 64, 256],
            3: [0, 8, 32, 41, 456],
            5: [0, 64, 128, 168],
            6: [0, 32, 44, 136],
            7: [0, 1, 64, 127, 129, 160, 512, 65535, -128],
            8: [0, 64, 512],
        }
        for number, lengths in refused.items():
            for bits in lengths:
                self.assertRaises(ValueError, key_length, number, bits)
        for number in _SUPPORTED:
            for length in (0, 4, 57):
                self.assertRaises(ValueError, cipher, number, bytes(range(1, length + 1)))


class WeakKeyTests(SynchronousTestCase):
    def test_weak(self) -> None:
        """
        The weak and semi-weak keys of DES are refused, with any parity; as keys of others not.

        Proves: RFC 2409 appendix A
        Proves: RFC 2409 appendix B
        """
        weak = (
            *("0101010101010101", "1f1f1f1fe0e0e0e0", "e0e0e0e01f1f1f1f", "fefefefefefefefe"),
            *("01fe01fe01fe01fe", "1fe01fe00ef10ef1", "01e001e001f101f1", "1ffe1ffe0efe0efe"),
            *("011f011f010e010e", "e0fee0fef1fef1fe", "fe01fe01fe01fe01", "e01fe01ff10ef10e"),
            *("e001e001f101f101", "fe1ffe1ffe0efe0e", "1f011f010e010e01", "fee0fee0fef1fef1"),
            *("1f1f1f1f0e0e0e0e", "e0e0e0e0f1f1f1f1", "0000000000000000", "ffffffffffffffff"),
        )
        for text in weak:
            key = bytes.fromhex(text)
            self.assertTrue(is_weak(1, key), text)
            self.assertRaises(ValueError, cipher, 1, key)
            self.assertFalse(is_weak(3, key))
            cipher(3, key)
        self.assertFalse(is_weak(1, bytes.fromhex("133457799bbcdff1")))

    def test_truly_weak(self) -> None:
        """The weak keys are weak: encrypting twice is doing nothing; a good key is not so."""
        block = b"8 octets"
        for text in ("0101010101010101", "fefefefefefefefe", "1f1f1f1f0e0e0e0e"):
            des = ciphers.BlockCipher(ciphers.CBC["des"], bytes.fromhex(text))
            self.assertEqual(des.encrypt(bytes(8), des.encrypt(bytes(8), block)), block)
        des = cipher(1, bytes.fromhex("133457799bbcdff1"))
        self.assertNotEqual(des.encrypt(bytes(8), des.encrypt(bytes(8), block)), block)
