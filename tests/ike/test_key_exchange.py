"""
What the key exchange is to the framework: how it is configured, and how its suites are spelled.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.associations import Lifetime, ProtectionSuite
from isakmp.crypto import groups
from isakmp.errors import ConfigurationError
from isakmp.ike.key_exchange import ike
from isakmp.ike.parameters import KEY_IKE, Parameters
from isakmp.interfaces import IExchangeType, IISAKMPKeyExchange
from isakmp.numbers import (
    AuthenticationMethod,
    Encryption,
    ExchangeType,
    HashAlgorithm,
    ProtocolID,
)
from isakmp.wire.proposals import Transform

CIPHERS = {
    "des": (Encryption.DES_CBC, None),
    "3des": (Encryption.TRIPLE_DES_CBC, None),
    "idea": (Encryption.IDEA_CBC, None),
    "cast128": (Encryption.CAST_CBC, 128),
    "blowfish128": (Encryption.BLOWFISH_CBC, 128),
    "blowfish192": (Encryption.BLOWFISH_CBC, 192),
    "blowfish256": (Encryption.BLOWFISH_CBC, 256),
    "aes128": (Encryption.AES_CBC, 128),
    "aes192": (Encryption.AES_CBC, 192),
    "aes256": (Encryption.AES_CBC, 256),
    "camellia128": (Encryption.CAMELLIA_CBC, 128),
    "camellia192": (Encryption.CAMELLIA_CBC, 192),
    "camellia256": (Encryption.CAMELLIA_CBC, 256),
}
HASHES = {
    "md5": HashAlgorithm.MD5,
    "sha1": HashAlgorithm.SHA,
    "sha256": HashAlgorithm.SHA2_256,
    "sha384": HashAlgorithm.SHA2_384,
    "sha512": HashAlgorithm.SHA2_512,
}
GROUPS = {group.name: number for number, group in groups.GROUPS.items()}


def parse(spelling: str, lifetime: Lifetime = Lifetime()) -> Parameters:
    """Authenticated by a pre-shared key."""
    return Parameters.parse(spelling, AuthenticationMethod.PRE_SHARED_KEY, lifetime)


class SpellingTests(SynchronousTestCase):
    """What stands in a configuration."""

    def test_every_word(self) -> None:
        """
        Every cipher, hash and group has its number, and is spelled as it was configured.

        Proves: RFC 2409 appendix A
        """
        for cipher, (number, bits) in CIPHERS.items():
            for hash_, hash_number in HASHES.items():
                for group, group_number in GROUPS.items():
                    spelling = f"{cipher}-{hash_}-{group}"
                    got = parse(spelling)
                    self.assertEqual((got.encryption, got.key_bits), (number, bits))
                    self.assertEqual((got.hash, got.group), (hash_number, group_number))
                    self.assertEqual(got.authentication, 1)
                    self.assertEqual(got.spelled, spelling)
        self.assertLessEqual({1, 2, 5, *range(14, 27), *range(28, 33)}, set(GROUPS.values()))

    def test_mandatory(self) -> None:
        """
        DES, MD5, SHA, pre-shared keys and the first group, which RFC 2409 demands, can be had.

        Proves: RFC 2409 section 4 (row 4-8)
        """
        for hash_ in ("md5", "sha1"):
            (proposal,) = ike.suite(f"des-{hash_}-modp768", Lifetime()).proposals
            got = Parameters.read(proposal.transforms[0])
            self.assertEqual((got.encryption, got.group, got.authentication), (1, 1, 1))

    def test_other_spellings(self) -> None:
        """The words may stand in any order and case, and some things have several words."""
        for spelling, same in (
            ("AES128-SHA256-MODP2048", "aes128-sha256-modp2048"),
            ("modp2048-sha256-aes128", "aes128-sha256-modp2048"),
            ("aes-sha-modp1024", "aes128-sha1-modp1024"),
            ("aes256-sha2_384-x25519", "aes256-sha384-curve25519"),
            ("aes256-sha2_512-x448", "aes256-sha512-curve448"),
            ("aes256-sha2_256-ecp256", "aes256-sha256-ecp256"),
            ("aes128-sha256-prfsha256-modp2048", "aes128-sha256-modp2048"),
            ("aes128-prfsha256-sha2_256-modp2048", "aes128-sha256-modp2048"),
        ):
            self.assertEqual(parse(spelling), parse(same), spelling)
            self.assertEqual(parse(spelling).spelled, same)

    def test_mistakes(self) -> None:
        """A mistake is told with the word that is meant, and with what would be understood."""
        for spelling, *words in (
            ("aes128-sha3-modp2048", "'sha3'", "sha512", "modp2048", "camellia256"),
            ("aes-512-sha256-modp2048", "'512'", "aes256"),
            ("aes128-aes256-sha256-modp2048", "'aes256'", "one too many"),
            ("aes128-sha256-sha1-modp2048", "'sha1'", "one too many"),
            ("aes128-sha256-modp2048-ecp256", "'ecp256'", "one too many"),
            ("aes128-sha256-prfsha256-prfsha256-modp2048", "'prfsha256'", "one too many"),
            ("aes128-prfsha1-sha256-modp2048", "prf", "that of its hash"),
            ("aes128-prf-sha256-modp2048", "'prf'"),
            ("aes128gcm16-sha256-modp2048", "'aes128gcm16'"),
            ("", "''", "aes128"),
            ("aes128--sha256-modp2048", "''"),
            ("aes128-sha256", "no Diffie-Hellman group"),
            ("aes128-modp2048", "no hash"),
            ("sha256-modp2048", "no cipher"),
            ("aes128", "no hash and no Diffie-Hellman group"),
            ("aes128-sha256-modp2047", "'modp2047'"),
            ("aes128-sha256-modp2048,3des", "'modp2048,3des'"),
        ):
            error = self.assertRaises(ConfigurationError, parse, spelling)
            for word in (repr(spelling), *words):
                self.assertIn(word, str(error))

    def test_suite(self) -> None:
        """The key exchange makes a suite of a spelling and a spelling of a suite."""
        verifyObject(IISAKMPKeyExchange, ike)
        for kind in ike.exchange_types:
            verifyObject(IExchangeType, kind)
        suite = ike.suite("aes256-sha256-modp2048", Lifetime(3600))
        (proposal,) = suite.proposals
        self.assertEqual((proposal.protocol, proposal.spi), (ProtocolID.ISAKMP, b""))
        (transform,) = proposal.transforms
        self.assertEqual(transform.transform_id, ike.transform_id)
        self.assertEqual(ike.spell(suite), "aes256-sha256-modp2048")
        self.assertRaises(ConfigurationError, ike.suite, "aes256", Lifetime())
        broken = replace(proposal, transforms=(Transform(7, KEY_IKE, ()), transform))
        spelled = ike.spell(ProtectionSuite((broken,)))
        self.assertIn("#7 (Encryption Algorithm is missing)", spelled)
        self.assertIn("aes256-sha256-modp2048", spelled)
        self.assertIn(ExchangeType.IDENTITY_PROTECTION, ike.offers)

    def test_spelled_whatever(self) -> None:
        """What cannot be configured is spelled too, in words that do not run into each other."""
        for parameters, spelled in (
            (Parameters(7, None, 2, 2, 1), "aes128-sha1-modp1024"),
            (Parameters(5, 192, 2, 2, 1), "3des-sha1-modp1024"),
            (Parameters(6, None, 2, 2, 1), "cast128-sha1-modp1024"),
            (Parameters(3, None, 2, 2, 1), "blowfish_cbc-sha1-modp1024"),
            (Parameters(3, 64, 2, 2, 1), "blowfish_cbc_64-sha1-modp1024"),
            (Parameters(4, 128, 3, 3, 1), "rc5_r16_b64_cbc_128-tiger-ec2n_155"),
            (Parameters(0, None, 99, 999, 1), "unknown_0-unknown_99-unknown_999"),
        ):
            self.assertEqual(parameters.spelled, spelled)

    def test_difference(self) -> None:
        """Two choices differ in what would be agreed, not in how it is said."""
        ours = parse("aes128-sha256-modp2048")
        self.assertEqual(ours.difference(replace(ours, key_bits=None)), "")
        self.assertEqual(ours.difference(replace(ours, lifetime=Lifetime(7))), "")
        self.assertEqual(
            parse("aes256-sha1-modp1024").difference(ours),
            "cipher aes256 against aes128, hash sha1 against sha256, "
            "group modp1024 against modp2048",
        )
        self.assertEqual(
            replace(ours, authentication=3).difference(ours),
            "authentication RSA signatures against pre-shared key",
        )
