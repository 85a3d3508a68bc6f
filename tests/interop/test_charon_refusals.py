"""
Our node and strongSwan's charon, in both roles, where they cannot agree: neither end keeps what was
not agreed, and who reads what our node tells knows why.
"""

from __future__ import annotations

from dataclasses import replace

from tests.interop.charon import Charon
from tests.interop.conversing import IMPATIENT, KEYS, ConversationTestCase
from tests.interop.node import NodeProcess
from tests.interop.scenario import LEFT, RIGHT, End, Scenario

STRONG, WEAK = "aes256-sha256-modp2048", "3des-sha1-modp1024"


class _RefusalTestCase(ConversationTestCase):
    def begin_impatient(self, scenario: Scenario) -> tuple[NodeProcess, Charon]:
        """Both ends are ready, and neither waits long for what cannot come."""
        return self.begin(scenario, patience=2.0, options=IMPATIENT)

    def begin_as(self, us: End, them: End) -> tuple[NodeProcess, Charon]:
        """Both ends are ready, one of them under another name than the other expects."""
        ours = self.node(Scenario().spec(us, RIGHT, self.role, patience=2.0), LEFT)
        peer = self.charon(Scenario(), them, LEFT, options=IMPATIENT, levels=KEYS)
        ours.expect("ready")
        return ours, peer


class OurInitiatorTests(_RefusalTestCase):
    """
    Our node begins.
    """

    role = "initiator"

    def test_no_common_proposal(self) -> None:
        """
        Where charon takes nothing of what we offer for the ISAKMP SA, we say that it said so, and
        what we had offered.
        """
        ours, peer = self.begin_impatient(Scenario(our_proposal=f"{STRONG},{WEAK}"))
        self.establish_in_vain(ours, peer)
        reason = self.assert_refused(ours, peer)
        for words in ("NO-PROPOSAL-CHOSEN", f"offered: {STRONG}, {WEAK}"):
            self.assertIn(words, reason)
        self.assertIn("no proposal found", peer.log())

    def test_no_common_suite(self) -> None:
        """
        Where charon takes nothing of what we offer for a child, we say that it said so, and what
        we had offered; the ISAKMP SA stays.
        """
        ours, peer = self.begin_impatient(Scenario(our_suite="aes256-sha256,3des-sha1"))
        self.establish_in_vain(ours, peer)
        reason = ours.expect("failed")["reason"]
        for words in ("NO-PROPOSAL-CHOSEN", "aes256-sha256", "3des-sha1"):
            self.assertIn(words, reason)
        held = ours.sas()
        self.assertEqual((len(held.isakmp), held.children), (1, ()))

    def test_our_name(self) -> None:
        """
        Where charon does not know our name, nothing is established and we say at which message.
        """
        ours, peer = self.begin_as(replace(LEFT, identity="other.lab"), RIGHT)
        self.establish_in_vain(ours, peer)
        reason = self.assert_refused(ours, peer)
        self.assertIn("responder's ID, AUTH", reason)
        self.assertIn("no peer config found", peer.log())

    def test_their_name(self) -> None:
        """
        Where charon has another name than we expect, we refuse it with both names in the sentence.
        """
        ours, peer = self.begin_as(LEFT, replace(RIGHT, identity="other.lab"))
        self.establish_in_vain(ours, peer)
        reason = ours.expect("failed")["reason"]
        self.assertIn("identity (offered: other.lab; configured: r.lab)", reason)
        self.assertFalse(ours.sas())


class OurResponderTests(_RefusalTestCase):
    """
    charon begins.
    """

    role = "responder"

    def test_no_common_proposal(self) -> None:
        """
        Where we take nothing of what charon offers, we say what differed, and charon is told.
        """
        ours, peer = self.begin_impatient(Scenario(our_proposal=f"{STRONG},{WEAK}"))
        self.establish_in_vain(ours, peer)
        self.assertFalse(ours.sas())
        for words in (
            "no common proposal (offered: aes128-sha256-modp2048;",
            f"configured: {STRONG}, {WEAK})",
            "Nearest: the peer's cipher aes128 against aes256 here.",
        ):
            self.assertIn(words, ours.account())
        self.assertIn("received NO_PROPOSAL_CHOSEN error notify", peer.log())

    def test_no_common_suite(self) -> None:
        """
        Where we take nothing of what charon offers for a child, our event says which attribute
        differed, and charon is told.
        """
        ours, peer = self.begin_impatient(Scenario(our_suite="aes256-sha256"))
        self.establish_in_vain(ours, peer)
        reason = ours.expect("failed")["reason"]
        self.assertIn("offered: esp=aes128-sha256; configured: esp=aes256-sha256", reason)
        self.assertIn("Key Length is 128 there and 256 here", reason)
        self.assertEqual(ours.sas().children, ())
        self.assertIn("received NO_PROPOSAL_CHOSEN error notify", peer.log())

    def test_no_group(self) -> None:
        """
        Where charon offers no group for a child and we want one, that is what differed.
        """
        ours, peer = self.begin_impatient(Scenario(our_suite="aes128-sha256-modp2048"))
        self.establish_in_vain(ours, peer)
        reason = ours.expect("failed")["reason"]
        self.assertIn("Group Description is not said there and modp2048 here", reason)

    def test_other_traffic(self) -> None:
        """
        Where charon asks for traffic that no child of ours is for, our event says what it asked for
        and what we should take.
        """
        scenario = Scenario(traffic=("10.81.0.0/24", "10.82.0.0/24"))
        spec = replace(scenario, traffic=("10.81.0.0/25", "10.82.0.0/24")).spec(
            LEFT, RIGHT, self.role, patience=2.0
        )
        ours = self.node(spec, LEFT)
        peer = self.charon(scenario, RIGHT, LEFT, options=IMPATIENT)
        ours.expect("ready")
        self.establish_in_vain(ours, peer)
        reason = ours.expect("failed")["reason"]
        self.assertIn("offered: 10.81.0.0/24 - 10.82.0.0/24", reason)
        self.assertIn("configured: net: 10.81.0.0/25 - 10.82.0.0/24", reason)
        self.assertIn("INVALID_ID_INFORMATION", peer.log())

    def test_our_name(self) -> None:
        """
        Where charon expects another name than ours, it takes the SA back, and we have none.
        """
        ours, peer = self.begin_as(replace(LEFT, identity="other.lab"), RIGHT)
        self.establish_in_vain(ours, peer)
        self.assertEqual(ours.expect("removed", kind="isakmp")["why"], "deleted by the peer")
        self.assertFalse(ours.sas())
        self.assertIn("IDir 'other.lab' does not match to 'i.lab'", peer.log())

    def test_their_name(self) -> None:
        """
        Where we do not know charon's name, we refuse it with both names in the sentence.
        """
        ours, peer = self.begin_as(LEFT, replace(RIGHT, identity="other.lab"))
        self.establish_in_vain(ours, peer)
        reason = self.assert_refused(ours, peer)
        self.assertIn("identity (offered: other.lab; configured: r.lab)", reason)
