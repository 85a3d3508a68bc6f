"""
Hashes and the prf are those of the RFCs, however the key is kept.
"""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp import numbers
from isakmp.crypto import prf as prf_module
from isakmp.crypto.prf import Hash, hash_algorithm, prf

_NUMBERS = (1, 2, 4, 5, 6)


class HashTests(SynchronousTestCase):
    def test_digest(self) -> None:
        """The hash of "abc" is the one that every standard prints."""
        printed = {
            1: "900150983cd24fb0d6963f7d28e17f72",
            2: "a9993e364706816aba3e25717850c26c9cd0d89d",
            4: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            5: "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
            "8086072ba1e7cc2358baeca134c825a7",
            6: "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        }
        for number, digest in printed.items():
            found = hash_algorithm(number)
            self.assertEqual(found.digest(b"abc").hex(), digest)
            self.assertEqual((found.number, found.size), (number, len(digest) // 2))
            self.assertEqual(found.block, hashlib.new(found.name).block_size)

    def test_by_enumeration(self) -> None:
        """The members of the table of numbers find the same hashes."""
        self.assertEqual(hash_algorithm(numbers.HashAlgorithm.SHA2_256).name, "sha256")
        self.assertEqual(prf(numbers.HashAlgorithm.MD5).size, 16)

    def test_unsupported(self) -> None:
        """Tiger, and numbers that nobody assigned, are refused by number."""
        for number in (0, 3, 7, -1, 65535, numbers.HashAlgorithm.TIGER):
            for look_up in (hash_algorithm, prf):
                error = self.assertRaises(LookupError, look_up, number)
                self.assertIn(str(int(number)), str(error))

    def test_switched_off(self) -> None:
        """A hash that this Python was told not to have is refused when it is looked up."""
        missing = Hash(2, "no such hash", 20, 64)
        self.patch(prf_module, "_HASHES", {2: missing})
        self.assertRaises(LookupError, hash_algorithm, 2)


class PrfTests(SynchronousTestCase):
    def test_rfc_2202(self) -> None:
        """
        HMAC-MD5 and HMAC-SHA-1 of test case 2 are those of RFC 2202.

        Proves: RFC 2409 section 4
        """
        for number, expected in (
            (1, "750c783e6ab0b503eaa86e310a5db738"),
            (2, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ):
            data = b"what do ya want for nothing?"
            self.assertEqual(prf(number)(b"Jefe", data).hex(), expected)
            self.assertEqual(prf(number).keyed(b"Jefe")(data).hex(), expected)

    def test_rfc_4231(self) -> None:
        """HMAC-SHA-2 of test case 6, whose key is longer than a block, is that of RFC 4231."""
        for number, expected in (
            (4, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
            (
                5,
                "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6"
                "0c2ef6ab4030fe8296248df163f44952",
            ),
            (
                6,
                "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
                "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
            ),
        ):
            data = b"Test Using Larger Than Block-Size Key - Hash Key First"
            self.assertEqual(prf(number)(b"\xaa" * 131, data).hex(), expected)
            self.assertEqual(prf(number).keyed(b"\xaa" * 131)(data).hex(), expected)

    @settings(deadline=None)
    @given(st.sampled_from(_NUMBERS), st.binary(max_size=300), st.lists(st.binary(), max_size=4))
    def test_keyed(self, number: int, key: bytes, messages: list[bytes]) -> None:
        """
        A prf with its key set up gives, however often it is used, what HMAC gives each time.

        Proves: RFC 2104 section 2
        Proves: RFC 2104 section 4
        """
        its_prf = prf(number)
        keyed = its_prf.keyed(key)
        for message in (*messages, *messages, b""):
            expected = hmac.new(key, message, its_prf.hash.name).digest()
            self.assertEqual(keyed(message), expected)
            self.assertEqual(its_prf(key, message), expected)
            self.assertEqual(len(expected), its_prf.size)

    def test_apart(self) -> None:
        """Two keys set up side by side do not mix."""
        first, second = prf(4).keyed(b"one"), prf(4).keyed(b"other")
        self.assertEqual(
            [first(b""), second(b""), first(b"")],
            [prf(4)(key, b"") for key in (b"one", b"other", b"one")],
        )

    def test_hidden(self) -> None:
        """The key does not show in what is printed."""
        key = b"the secret key!!"
        keyed = prf(2).keyed(key)
        for text in (repr(prf(2)), repr(keyed)):
            self.assertNotIn("secret", text)
            self.assertNotIn(key.hex(), text)
        self.assertNotIn(key, [cell.cell_contents for cell in keyed.__closure__ or ()])
