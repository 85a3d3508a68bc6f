"""
Our node and strongSwan's charon, in both roles: Main Mode with a pre-shared key (RFC 2409 section
5.4), Quick Mode (section 5.5) and deletion (RFC 2408 section 5.15).
"""

from __future__ import annotations

from tests.interop.charon import SwanctlFailed
from tests.interop.conversing import (
    AES128_SHA256,
    IMPATIENT,
    MAIN_MODE,
    ConversationTestCase,
    complete,
    initiate,
    terminate,
)
from tests.interop.scenario import LEFT, RIGHT, InteropTestCase, Scenario


class CharonWithCharonTests(InteropTestCase):
    """
    The harness itself: what it shows of two charons is so.
    """

    def test_established_and_terminated(self) -> None:
        """
        Two charons that share a secret hold the same SAs, and none after one has ended them.
        """
        scenario = Scenario()
        right = self.charon(scenario, RIGHT, LEFT)
        left = self.charon(scenario, LEFT, RIGHT)
        initiate(left, "net")
        (mine,) = left.wait_for_sas(complete(1))
        (theirs,) = right.wait_for_sas(complete(1))
        self.assertEqual(mine.algorithms, MAIN_MODE)
        self.assertEqual(
            (mine.initiator_spi, mine.responder_spi), (theirs.initiator_spi, theirs.responder_spi)
        )
        self.assertEqual((mine.local_id, mine.remote_id), (LEFT.identity, RIGHT.identity))
        (out,), (back,) = mine.children, theirs.children
        self.assertEqual((out.spi_in, out.spi_out), (back.spi_out, back.spi_in))
        self.assertEqual((out.local_ts, out.remote_ts), (LEFT.networks[:1], RIGHT.networks[:1]))
        self.assertEqual((out.protocol, out.mode), ("ESP", "TUNNEL"))
        self.assertIn("CHILD_SA net{1} established", right.log())
        terminate(left)
        self.assertEqual(left.wait_for_sas(lambda sas: not sas), [])
        self.assertEqual(right.wait_for_sas(lambda sas: not sas), [])

    def test_wrong_secret(self) -> None:
        """
        Two charons with different secrets hold nothing, and the one that is asked says so.
        """
        right = self.charon(Scenario(), RIGHT, LEFT, secret="another secret")
        left = self.charon(Scenario(), LEFT, RIGHT, options=IMPATIENT)
        with self.assertRaises(SwanctlFailed):
            initiate(left, "net")
        self.assertEqual(left.list_sas(), [])
        self.assertNotIn("ESTABLISHED", [sa.state for sa in right.list_sas()])


class OurInitiatorTests(ConversationTestCase):
    """
    Our node begins, and charon answers.  Whatever they agree, the keys are compared: see
    :meth:`~tests.interop.conversing.ConversationTestCase.converse`.
    """

    role = "initiator"

    def test_our_delete(self) -> None:
        """
        Main Mode and Quick Mode with charon work, and both lists are empty after our Delete.
        """
        ours, peer = self.converse(Scenario())
        ours.command("delete")
        self.assert_deleted(ours, peer)

    def test_their_delete(self) -> None:
        """
        When charon terminates the connection, our registry is empty.
        """
        ours, peer = self.converse(Scenario())
        terminate(peer)
        self.assert_deleted(ours, peer)

    def test_perfect_forward_secrecy(self) -> None:
        """
        Quick Mode with a Diffie-Hellman exchange of its own works with charon.
        """
        self.converse(Scenario(suite="aes128-sha256-modp2048"), child=f"{AES128_SHA256}/MODP_2048")

    def test_transport_mode(self) -> None:
        """
        A child in transport mode, between the two ends themselves, works with charon.
        """
        self.converse(Scenario(mode="transport"))

    def test_two_children(self) -> None:
        """
        Two children stand under one ISAKMP SA, and our Delete takes all three.
        """
        ours, peer = self.converse(Scenario(children=("net", "other")))
        ours.command("delete")
        self.assert_deleted(ours, peer, children=2)

    def test_aes256_sha384_ecp256(self) -> None:
        """
        AES-256, SHA-384 and the 256-bit elliptic curve group work with charon.
        """
        self.converse(
            Scenario(proposal="aes256-sha384-ecp256", suite="aes256-sha384"),
            "AES_CBC-256/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/ECP_256",
            "AES_CBC-256/HMAC_SHA2_384_192",
        )

    def test_3des_sha1_modp1024(self) -> None:
        """
        What RFC 2409 section 4 names, Triple-DES with SHA and the second group, works with charon.
        """
        self.converse(
            Scenario(proposal="3des-sha1-modp1024", suite="3des-sha1"),
            "3DES_CBC/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024",
            "3DES_CBC/HMAC_SHA1_96",
        )

    def test_curve25519(self) -> None:
        """
        Curve25519 works with charon, for the ISAKMP SA and for a child.
        """
        self.converse(
            Scenario(proposal="aes128-sha256-curve25519", suite="aes128-sha256-curve25519"),
            f"{AES128_SHA256}/PRF_HMAC_SHA2_256/CURVE_25519",
            f"{AES128_SHA256}/CURVE_25519",
        )

    def test_wrong_secret(self) -> None:
        """
        With another secret than charon's our node fails, and says so in a sentence.
        """
        ours, peer = self.begin_with_another_secret()
        self.establish_in_vain(ours, peer)
        self.assert_refused(ours, peer)

    def test_several_offers(self) -> None:
        """
        Where both ends take several algorithms, in another order, they agree on one: we take the
        first of the initiator's that we can, charon the first of its own.
        """
        self.converse(
            Scenario(
                proposal="3des-sha1-modp1024,aes128-sha256-modp2048,aes256-sha384-ecp384",
                suite="3des-sha1,aes128-sha256,aes256-sha384",
                our_proposal="aes128-sha256-modp2048,aes256-sha384-ecp384",
                our_suite="aes256-sha384,aes128-sha256",
            )
        )

    def test_ports(self) -> None:
        """
        A child for one protocol and one port at one end works with charon.
        """
        self.converse(Scenario(traffic=("10.81.0.0/24[tcp/80]", "10.82.0.0/24[tcp]")))

    def test_range(self) -> None:
        """
        A child for a range of addresses works with charon.
        """
        self.converse(Scenario(traffic=("10.81.0.7-10.81.0.19[udp]", "10.82.0.1/32[udp]")))


class OurResponderTests(OurInitiatorTests):
    """
    charon begins, and our node answers: all that holds for our initiator holds here.
    """

    role = "responder"


class AlgorithmsTests(ConversationTestCase):
    """
    Algorithms that are computed the same way whoever begins: here our node does.
    """

    role = "initiator"

    def test_aes256_sha512_modp4096(self) -> None:
        """
        AES-256, SHA-512 and the 4096-bit group work with charon; AES-GCM for the child, with the
        salt that follows its key.
        """
        self.converse(
            Scenario(proposal="aes256-sha512-modp4096", suite="aes256gcm16"),
            "AES_CBC-256/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/MODP_4096",
            "AES_GCM_16-256",
        )

    def test_camellia(self) -> None:
        """
        Camellia works with charon.
        """
        self.converse(
            Scenario(proposal="camellia256-sha384-ecp521"),
            "CAMELLIA_CBC-256/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/ECP_521",
        )

    def test_md5_modp1536(self) -> None:
        """
        MD5, whose output is too short for the cipher's key, and the fifth group work with charon.
        """
        self.converse(
            Scenario(proposal="aes256-md5-modp1536", suite="aes128-md5"),
            "AES_CBC-256/HMAC_MD5_96/PRF_HMAC_MD5/MODP_1536",
            "AES_CBC-128/HMAC_MD5_96",
        )
