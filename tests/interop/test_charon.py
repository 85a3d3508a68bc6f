"""
Our node and strongSwan's charon, in both roles: Main Mode with a pre-shared key (RFC 2409 section
5.4), Quick Mode (section 5.5) and deletion (RFC 2408 section 5.15).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from tests.interop import charon
from tests.interop.charon import Charon, SwanctlFailed
from tests.interop.node import HeldSAs, NodeProcess
from tests.interop.scenario import CONNECTION, LEFT, RIGHT, SECRET, InteropTestCase, Scenario
from tests.interop.swanctl import IKESA

AES128_SHA256 = "AES_CBC-128/HMAC_SHA2_256_128"
MAIN_MODE = f"{AES128_SHA256}/PRF_HMAC_SHA2_256/MODP_2048"

#: For strongswan.conf: charon gives up after 0.2 + 0.36 + 0.65 seconds without an answer.  Only
#: where none must come: a busy machine may need longer for one.
IMPATIENT = "retransmit_timeout = 0.2\nretransmit_tries = 2"


def complete(children: int) -> Callable[[list[IKESA]], bool]:
    """One ISAKMP SA stands, and so many children under it."""

    def reached(sas: list[IKESA]) -> bool:
        return [sa.state for sa in sas] == ["ESTABLISHED"] and [
            child.state for child in sas[0].children
        ] == ["INSTALLED"] * children

    return reached


def initiate(peer: Charon, child: str, timeout: int = 8) -> None:
    """charon negotiates a child, and first the ISAKMP SA if there is none."""
    peer.swanctl("--initiate", "--child", child, "--timeout", str(timeout))


def terminate(peer: Charon) -> None:
    """charon deletes the ISAKMP SA and its children."""
    peer.swanctl("--terminate", "--ike", CONNECTION, "--timeout", "8")


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


class OurInitiatorTests(InteropTestCase):
    """
    Our node begins, on the left; charon answers, on the right.
    """

    skip = charon.obstacle() or (
        None
        if importlib.util.find_spec("tests.interop.peer")
        else "tests.interop.peer, our node as a program, is not there"
    )
    role = "initiator"

    def begin(
        self, scenario: Scenario, secret: str = SECRET, patience: float = 8.0, options: str = ""
    ) -> tuple[NodeProcess, Charon]:
        """Both ends are ready.  They start at the same time."""
        ours = self.node(scenario.spec(LEFT, RIGHT, self.role, secret, patience), LEFT)
        peer = self.charon(scenario, RIGHT, LEFT, options=options)
        ours.expect("ready")
        return ours, peer

    def begin_with_another_secret(self) -> tuple[NodeProcess, Charon]:
        """Both ends are ready, and neither waits long for what cannot come."""
        return self.begin(Scenario(), "another secret", patience=2.0, options=IMPATIENT)

    def establish(self, ours: NodeProcess, peer: Charon, child: str) -> None:
        """One child is negotiated, and the ISAKMP SA before it if there is none."""
        ours.command("establish", connection=CONNECTION, child=child)
        ours.expect("established", kind="child")

    def converse(
        self, scenario: Scenario, isakmp: str = MAIN_MODE, child: str = AES128_SHA256
    ) -> tuple[NodeProcess, Charon]:
        """
        All children of a scenario are established, and both ends name the same SAs.

        :param isakmp: what charon must say is agreed for the ISAKMP SA.
        :param child: and for each child.
        """
        ours, peer = self.begin(scenario)
        for name in scenario.children:
            self.establish(ours, peer, name)
        ours.expect("established", kind="isakmp")
        (theirs,) = peer.wait_for_sas(complete(len(scenario.children)))
        self.assert_same(ours.sas(), theirs)
        self.assertEqual((theirs.local_id, theirs.remote_id), (RIGHT.identity, LEFT.identity))
        self.assertEqual(theirs.algorithms, isakmp)
        self.assertEqual(
            sorted((sa.name, sa.algorithms, sa.local_ts, sa.remote_ts) for sa in theirs.children),
            sorted(
                (name, child, (right,), (left,))
                for name, right, left in zip(
                    scenario.children,
                    scenario.selectors(RIGHT),
                    scenario.selectors(LEFT),
                    strict=True,
                )
            ),
        )
        for sa in theirs.children:
            self.assertEqual((sa.protocol, sa.mode), ("ESP", scenario.mode.upper()))
        return ours, peer

    def assert_same(self, held: HeldSAs, theirs: IKESA) -> None:
        """Our registry and charon have the same SAs; what is inbound here is outbound there."""
        self.assertEqual(
            [(sa.connection, sa.initiator_cookie, sa.responder_cookie) for sa in held.isakmp],
            [(CONNECTION, theirs.initiator_spi, theirs.responder_spi)],
        )
        self.assertEqual(
            sorted(
                (sa.child, sa.protocol, sa.mode, sa.inbound, sa.outbound) for sa in held.children
            ),
            sorted(
                (sa.name, sa.protocol, sa.mode.lower(), sa.spi_out, sa.spi_in)
                for sa in theirs.children
            ),
        )

    def assert_deleted(self, ours: NodeProcess, peer: Charon, children: int = 1) -> None:
        """Neither end holds anything, and we were told of each SA that went."""
        for _ in range(children):
            ours.expect("removed", kind="child")
        ours.expect("removed", kind="isakmp")
        self.assertFalse(ours.wait_for_sas(lambda held: not held))
        self.assertEqual(peer.wait_for_sas(lambda sas: not sas), [])

    def assert_refused(self, ours: NodeProcess, peer: Charon) -> None:
        """We say in a sentence that it failed, and neither end has anything."""
        failure = ours.expect("failed", timeout=12)
        self.assertRegex(failure["reason"], r"\w+ \w+ \w+ \w+")
        self.assertNotIn("another secret", ours.account())
        self.assertNotIn("established", [event["event"] for event in ours.seen])
        self.assertFalse(ours.wait_for_sas(lambda held: not held))
        self.assertNotIn("ESTABLISHED", [sa.state for sa in peer.list_sas()])

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
        ours.command("establish", connection=CONNECTION, child="net")
        self.assert_refused(ours, peer)


class OurResponderTests(OurInitiatorTests):
    """
    charon begins, and our node answers: all that holds for our initiator holds here.
    """

    role = "responder"

    def establish(self, ours: NodeProcess, peer: Charon, child: str) -> None:
        initiate(peer, child)
        ours.expect("established", kind="child")

    def test_wrong_secret(self) -> None:
        """
        With another secret than charon's our node refuses, and says so in a sentence.
        """
        ours, peer = self.begin_with_another_secret()
        with self.assertRaises(SwanctlFailed):
            initiate(peer, "net")
        self.assert_refused(ours, peer)
