"""Proposals in the words of two daemons."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.spelling import advice, libreswan


class LibreswanTests(SynchronousTestCase):
    def test_words(self) -> None:
        """Who configures the other end with libreswan reads libreswan's words."""
        for ours, theirs in (
            ("aes256-sha256-modp2048", "aes256-sha2_256;modp2048"),
            ("3des-sha1-modp1024", "3des-sha1;modp1024"),
            ("aes128gcm16-ecp256", "aes_gcm128;dh19"),
            ("aes256gcm8", "aes_gcm_a256"),
            ("esp=aes128-sha512", "esp=aes128-sha2_512"),
            ("transport:esp=null-md5", "esp=null-md5 type=transport"),
            ("aes128-sha384-curve25519", "aes128-sha2_384;dh31"),
            ("camellia128-sha1-modp1024s160", "camellia128-sha1;dh22"),
        ):
            self.assertEqual(libreswan(ours), theirs)

    @given(st.text(max_size=60))
    def test_anything(self, text: str) -> None:
        """Whatever a peer's offer was spelled as, explaining it breaks nothing."""
        self.assertIsInstance(libreswan(text), str)

    def test_advice(self) -> None:
        """The advice has both proposals, each in both spellings."""
        sentence = advice("aes256-sha1-modp1024", "aes128-sha256-ecp256", "ike=")
        for words in (
            "configure aes256-sha1-modp1024 (libreswan: ike=aes256-sha1;modp1024)",
            "offer aes128-sha256-ecp256 (libreswan: ike=aes128-sha2_256;dh19)",
        ):
            self.assertIn(words, sentence)
