"""Proposal strings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Lifetime
from isakmp.config.proposals import (
    DEFAULT_AH,
    DEFAULT_ESP,
    DEFAULT_IKE,
    MAX_PROPOSALS,
    ah_proposals,
    esp_proposals,
    ike_proposals,
)
from isakmp.doi.ipsec import ipsec
from isakmp.ike.key_exchange import ike

LIFE = Lifetime(seconds=3600)
WORDS = ["aes128", "sha256", "none", "esn", "default", ",", "-", "foo", "modp1", "ke1_x", ""]


class ProposalTests(SynchronousTestCase):
    def test_lists(self) -> None:
        """Each of a list is one choice, in order; what stands twice is one."""
        self.assertEqual(
            ike_proposals("aes128-sha256-modp2048 , 3DES-SHA1-modp1024,aes128-sha256-modp2048"),
            (("aes128-sha256-modp2048", "3des-sha1-modp1024"), ()),
        )
        self.assertEqual(
            esp_proposals("aes128-sha256, null-md5"), (("aes128-sha256", "null-md5"), ())
        )

    def test_several_of_a_kind(self) -> None:
        """Several algorithms of a kind in one proposal are all that can be made of them."""
        self.assertEqual(
            ike_proposals("aes256-aes128-sha256-modp2048-ecp256")[0],
            (
                "aes256-sha256-modp2048",
                "aes256-sha256-ecp256",
                "aes128-sha256-modp2048",
                "aes128-sha256-ecp256",
            ),
        )
        self.assertEqual(
            esp_proposals("aes128-sha256-sha1-modp2048-none")[0],
            (
                "aes128-sha256-modp2048",
                "aes128-sha256",
                "aes128-sha1-modp2048",
                "aes128-sha1",
            ),
        )

    def test_words(self) -> None:
        """strongSwan's short words are spelled out; what changes nothing is left out."""
        for text, wanted in (
            ("aes256gcm", "aes256gcm16"),
            ("aes128gcm-modp2048-noesn", "aes128gcm16-modp2048"),
            ("aes128gcm16-sha256", "aes128gcm16"),
            ("aes128-sha256-modpnone", "aes128-sha256"),
            ("aes128-sha256-prfsha256", "aes128-sha256"),
        ):
            self.assertEqual(esp_proposals(text), ((wanted,), ()), text)
        for text, wanted in (
            ("camellia-sha1-modp2048", "camellia128-sha1-modp2048"),
            ("blowfish-sha1-modp2048", "blowfish128-sha1-modp2048"),
            ("aes128-sha256-prfsha256-modp2048", "aes128-sha256-modp2048"),
            ("modp2048-sha256-aes128", "aes128-sha256-modp2048"),
        ):
            self.assertEqual(ike_proposals(text), ((wanted,), ()), text)

    def test_sequence_numbers(self) -> None:
        """``esn`` asks for sequence numbers of 64 bits; with ``noesn`` beside it either will do."""
        for text, wanted in (
            ("aes128-sha256-esn", ("aes128-sha256-esn",)),
            ("aes128-sha256-noesn", ("aes128-sha256",)),
            ("aes128gcm16-ecp256-esn-noesn", ("aes128gcm16-ecp256-esn", "aes128gcm16-ecp256")),
        ):
            self.assertEqual(esp_proposals(text), (wanted, ()), text)
        self.assertEqual(ah_proposals("sha256-esn"), (("sha256-esn",), ()))

    def test_ah(self) -> None:
        """AH has an integrity algorithm, and maybe a group; ``default`` is a list too."""
        self.assertEqual(
            ah_proposals("sha1-sha256-modp2048, aesxcbc"),
            (("sha1-modp2048", "sha256-modp2048", "aesxcbc"), ()),
        )
        for text in ("", "default"):
            self.assertEqual(ah_proposals(text), (DEFAULT_AH, ()))
        for spelling in DEFAULT_AH:
            ipsec.suite(f"ah={spelling}", LIFE)

    def test_default(self) -> None:
        """``default``, or nothing, is a list that exists here, alone or among others."""
        for text in ("", "default", "DEFAULT", " , "):
            self.assertEqual(ike_proposals(text), (DEFAULT_IKE, ()))
            self.assertEqual(esp_proposals(text), (DEFAULT_ESP, ()))
        own = "3des-md5-modp1024"
        self.assertEqual(ike_proposals(f"{own}, default")[0], (own, *DEFAULT_IKE))
        for spelling in DEFAULT_IKE:
            ike.suite(spelling, LIFE)
            self.assertNotIn("sha1", spelling)
            self.assertNotIn("3des", spelling)
        for spelling in DEFAULT_ESP:
            ipsec.suite(spelling, LIFE)
        # What charon, with its defaults and the plugins of openssl, offers first.
        self.assertIn("aes128-sha256-ecp256", DEFAULT_IKE)
        self.assertIn("aes128-sha256-curve25519", DEFAULT_IKE)
        self.assertLessEqual(len(DEFAULT_IKE), 24)

    def test_ikev2_only(self) -> None:
        """What only IKEv2 can do is left out, with a sentence, if something else is there."""
        for left in ("aes128gcm16-prfsha256-ecp256", "aes128-sha256-modp2048-ke1_mlkem768"):
            found, sentences = ike_proposals(f"{left}, aes128-sha256-modp2048")
            self.assertEqual(found, ("aes128-sha256-modp2048",))
            (sentence,) = sentences
            self.assertIn(left, sentence)
            self.assertIn("IKEv2", sentence)
            self.assertIn("IKEv2", str(self.assertRaises(ValueError, ike_proposals, left)))

    def test_mistakes(self) -> None:
        """What cannot be is refused with what to do."""
        for read, text, why in (
            (ike_proposals, "aes128-sha256-prfsha1-modp2048", "leave prfsha1 out"),
            (ike_proposals, "aes128-sha256-modp2048-esn", "esn is for ESP"),
            (ah_proposals, "aes128-sha256", "leave aes128 out"),
            (ah_proposals, "sha256-aes128gcm16", "leave aes128gcm16 out"),
            (esp_proposals, "aes128-aes128gcm16-sha256", "proposals of their own"),
        ):
            self.assertIn(why, str(self.assertRaises(ValueError, read, text)), text)

    def test_unknown_words(self) -> None:
        """A word that is unknown is left to whoever knows which are valid."""
        self.assertEqual(
            ike_proposals("aes128-sha265-foo-modp2048")[0], ("aes128-sha265-foo-modp2048",)
        )
        self.assertEqual(esp_proposals("rot13-sha1")[0], ("rot13-sha1",))

    def test_bounds(self) -> None:
        """A proposal cannot mean more than a message can hold."""
        ciphers = "aes128-aes192-aes256-3des"
        hashes = "sha1-sha256-sha384-sha512-md5"
        groups = "modp1024-modp1536-modp2048-modp3072"
        text = f"{ciphers}-{hashes}-{groups}"
        self.assertRaises(ValueError, ike_proposals, text)
        self.assertRaises(ValueError, esp_proposals, text)
        many = ", ".join(f"aes128-sha256-modp{n}" for n in range(MAX_PROPOSALS + 1))
        self.assertRaises(ValueError, ike_proposals, many)
        self.assertRaises(ValueError, esp_proposals, "-".join(f"aes{n}" for n in range(9999)))

    @given(st.lists(st.sampled_from(WORDS), max_size=30))
    def test_any_words(self, words: list[str]) -> None:
        """Nothing else is raised, whatever the order."""
        for read in (ike_proposals, esp_proposals, ah_proposals):
            try:
                found, _ = read("-".join(words))
            except ValueError:
                continue
            self.assertTrue(found)
