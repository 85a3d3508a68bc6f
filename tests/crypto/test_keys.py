"""
Keys are derived as RFC 2409 says: what the captured conversations do not show.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.crypto.ciphers import cipher, is_weak, key_length
from isakmp.crypto.fingerprints import fingerprint
from isakmp.crypto.keys import (
    Phase1Keys,
    cipher_key,
    keymat,
    phase1_iv,
    phase2_iv,
    skeyid_encryption,
    skeyid_pre_shared_key,
    skeyid_signature,
)
from isakmp.crypto.prf import hash_algorithm, prf

_N_I, _N_R = b"nonce of initiator", b"nonce of responder, longer"
_CKY_I, _CKY_R = b"cookie I", b"cookie R"
_G_XY = bytes(range(96))


def _sha1(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, "sha1").digest()


class SkeyidTests(SynchronousTestCase):
    def test_methods(self) -> None:
        """
        Each method of authentication has its SKEYID.

        Proves: RFC 2409 section 5
        Proves: RFC 2409 section 5.2
        """
        sha_1 = prf(2)
        self.assertEqual(
            skeyid_pre_shared_key(sha_1, b"secret", _N_I, _N_R), _sha1(b"secret", _N_I + _N_R)
        )
        self.assertEqual(skeyid_signature(sha_1, _N_I, _N_R, _G_XY), _sha1(_N_I + _N_R, _G_XY))
        self.assertEqual(
            skeyid_encryption(sha_1, sha_1.hash, _N_I, _N_R, _CKY_I, _CKY_R),
            _sha1(hashlib.sha1(_N_I + _N_R).digest(), _CKY_I + _CKY_R),
        )

    def test_direction(self) -> None:
        """Exchanged nonces, cookies or g^xy make other keys."""
        md5 = prf(1)
        skeyids = {
            skeyid_pre_shared_key(md5, b"", _N_I, _N_R),
            skeyid_pre_shared_key(md5, b"", _N_R, _N_I),
            skeyid_signature(md5, _N_I, _N_R, _G_XY),
            skeyid_signature(md5, _N_R, _N_I, _G_XY),
            skeyid_encryption(md5, md5.hash, _N_I, _N_R, _CKY_I, _CKY_R),
            skeyid_encryption(md5, md5.hash, _N_I, _N_R, _CKY_R, _CKY_I),
            skeyid_encryption(md5, md5.hash, _N_R, _N_I, _CKY_I, _CKY_R),
        }
        self.assertEqual(len(skeyids), 7)
        children = {
            Phase1Keys.derive(md5, _N_I, *arguments).skeyid_e
            for arguments in (
                (_G_XY, _CKY_I, _CKY_R),
                (_G_XY, _CKY_R, _CKY_I),
                (_G_XY[1:], _CKY_I, _CKY_R),
            )
        }
        self.assertEqual(len(children), 3)

    def test_hidden(self) -> None:
        """No key shows in what is printed."""
        keys = Phase1Keys(b"secret d", b"secret a", b"secret e")
        self.assertEqual(repr(keys), "Phase1Keys()")


class CipherKeyTests(SynchronousTestCase):
    def test_cut(self) -> None:
        """
        From a long SKEYID_e the first octets are taken, and nothing is computed.

        Proves: RFC 2409 appendix B
        """
        skeyid_e = bytes(range(32))
        for length in (8, 16, 24, 32):
            self.assertEqual(cipher_key(prf(4), skeyid_e, length), skeyid_e[:length])

    def test_expanded(self) -> None:
        """
        A short SKEYID_e is not itself part of Ka = K1 | K2 | K3, K1 = prf(SKEYID_e, 0).

        Proves: RFC 2409 appendix B
        """
        skeyid_e = bytes(range(20))
        k1 = _sha1(skeyid_e, b"\0")
        k2 = _sha1(skeyid_e, k1)
        k3 = _sha1(skeyid_e, k2)
        for length in (21, 24, 32, 40, 41, 56, 60):
            self.assertEqual(cipher_key(prf(2), skeyid_e, length), (k1 + k2 + k3)[:length])

    def test_weak(self) -> None:
        """
        The key of DES is the first eight octets of SKEYID_e that are no weak key.

        Proves: RFC 2409 appendix B
        """
        weak = partial(is_weak, 1)
        good, bad = b"a key ok", bytes.fromhex("01fe01fe01fe01fe")
        for skeyid_e in (good + bad + bytes(4), bad + good + bad[:4], bad + bad + good):
            self.assertEqual(cipher_key(prf(2), skeyid_e, 8, weak), good)
        self.assertEqual(cipher_key(prf(2), bad + good + bad[:4], 8), bad)
        self.assertRaises(ValueError, cipher_key, prf(2), bad + bad + good[:4], 8, weak)

    def test_every_cipher(self) -> None:
        """With every hash, a key comes out for every cipher."""
        for hash_number in (1, 2, 4, 5, 6):
            skeyid_e = hash_algorithm(hash_number).digest(b"seed")
            for number in (1, 2, 3, 5, 6, 7, 8):
                length = key_length(number, None)
                key = cipher_key(prf(hash_number), skeyid_e, length, partial(is_weak, number))
                cipher(number, key)


class VectorTests(SynchronousTestCase):
    """Initialization vectors."""

    def test_cut(self) -> None:
        """
        Both kinds are hashes, cut to the block; the message id is four octets.

        Proves: RFC 2409 appendix B
        """
        sha_1 = hash_algorithm(2)
        for block in (8, 16):
            first = hashlib.sha1(b"g_xi" + b"g_xr").digest()[:block]
            self.assertEqual(phase1_iv(sha_1, b"g_xi", b"g_xr", block), first)
            last = bytes(range(block))
            for message_id, octets in ((1, b"\0\0\0\1"), (0xFEDCBA98, b"\xfe\xdc\xba\x98")):
                expected = hashlib.sha1(last + octets).digest()[:block]
                self.assertEqual(phase2_iv(sha_1, last, message_id, block), expected)

    def test_md5(self) -> None:
        """The shortest hash is long enough for the largest block."""
        self.assertEqual(len(phase1_iv(hash_algorithm(1), b"i", b"r", 16)), 16)


class KeymatTests(SynchronousTestCase):
    @settings(deadline=None)
    @given(st.sampled_from((1, 2, 4, 5, 6)), st.binary(max_size=64), st.integers(0, 300))
    def test_feedback(self, number: int, seed: bytes, length: int) -> None:
        """
        Each part of KEYMAT is the prf of the part before and the seed; the last one is cut.

        Proves: RFC 2409 section 5.5
        """
        keyed = prf(number).keyed(b"SKEYID_d")
        parts = [keyed(seed)]
        while len(parts) * prf(number).size < length:
            parts.append(keyed(parts[-1] + seed))
        self.assertEqual(keymat(keyed, seed, length), b"".join(parts)[:length])

    def test_nothing(self) -> None:
        """A security association without keys, as of compression, has no KEYMAT."""
        self.assertEqual(keymat(prf(2).keyed(b""), b"seed", 0), b"")


class FingerprintTests(SynchronousTestCase):
    def test_compared(self) -> None:
        """Equal keys have equal fingerprints, other keys others, and they are short."""
        keys = (b"", b"\0", b"a key", b"another key", bytes(32), bytes(33))
        self.assertEqual(len({fingerprint(key) for key in keys}), len(keys))
        for key in keys:
            self.assertEqual(fingerprint(key), fingerprint(bytes(bytearray(key))))
            self.assertRegex(fingerprint(key), "^[0-9a-f]{16}$")

    def test_of_its_own(self) -> None:
        """It is not the hash that anybody would compute of the key."""
        for name in ("md5", "sha1", "sha256", "sha512"):
            digest = hashlib.new(name, b"a key").hexdigest()
            self.assertNotIn(fingerprint(b"a key"), digest)
        self.assertEqual(fingerprint(b"a key"), "45dde0782d3dcc1f")
