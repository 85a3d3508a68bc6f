"""
Our daemon and strongSwan's charon in Aggressive Mode, both configured by ``swanctl.conf`` with
``aggressive = yes``, in both roles.
"""

from __future__ import annotations

import re

from tests.interop.charon import Charon
from tests.interop.configured import ConfiguredTestCase
from tests.interop.conversing import AES128_SHA256, MAIN_MODE
from tests.interop.daemon import DaemonProcess

#: For strongswan.conf: else charon does not answer Aggressive Mode with a pre-shared key.
WAIVER = "i_dont_care_about_security_and_use_aggressive_mode_psk = yes"

NAME = "aggressive"


class AggressiveAsInitiatorTests(ConfiguredTestCase):
    """
    Our daemon begins.
    """

    role = "initiator"

    def test_agreement(self) -> None:
        """
        An ISAKMP SA comes of three messages of Aggressive Mode, and a child under it: our daemon
        and charon list the same.  Our log warns that the key can be guessed.  The last message was
        sealed, and charon took it; or sent it so, and we did.

        Proves: RFC 2408 section 4.7
        Proves: RFC 2409 section 5.4
        """
        ours, peer = self.begin(NAME, options=WAIVER, levels={"enc": 1})
        self.wait_for_children(ours, peer, (NAME, "net"))
        (sa,) = self.wait_for_agreement(ours, peer)
        self.assertEqual(sa.algorithms, MAIN_MODE)
        self.assertEqual([child.algorithms for child in sa.children], [AES128_SHA256])
        log = peer.log()
        self.assertIsNone(re.search("ID_PROT (request|response)", log), log)
        self.assertEqual(
            [(kind, number) for kind, number in re.findall(r"AGGRESSIVE (\w+) (\d)", log)],
            [("request", "0"), ("response", "0"), ("request", "0")],
            log,
        )
        self.assertIn("guess the pre-shared key offline", ours.log())
        self.assert_stops(ours, peer)

    def change(self, ours: DaemonProcess, what: str, by: str) -> None:
        """Another word in our half, in a copy."""
        conf = ours.directory / "swanctl.conf"
        (_, included) = conf.read_text().split()
        with open(included, encoding="utf-8") as file:
            text = file.read()
        self.assertIn(what, text)
        conf.write_text(text.replace(what, by))

    def assert_nothing_stands(self, peer: Charon) -> None:
        """charon has agreed nothing; it may still be trying."""
        self.assertNotIn("ESTABLISHED", {sa.state for sa in peer.list_sas()})

    def test_wrong_secret(self) -> None:
        """
        With another secret nothing is agreed, and our daemon tells what differs.

        Proves: RFC 2409 section 5.4
        """
        ours, peer = self.prepare(NAME, options=f"{WAIVER}\nretransmit_tries = 1")
        self.change(ours, "everybody: aggressive", "everybody: or not")
        self.run_both(ours, peer)
        ours.wait_for_told(self.differs)
        self.assert_nothing_stands(peer)
        self.assertEqual(ours.standing().children, frozenset())
        self.assertEqual(ours.faults(), [])

    differs = (
        r"Aggressive with 10\.77\.40\.2:500 failed: .*HASH does not prove it.*"
        r"the pre-shared keys of the two ends differ"
    )

    def test_no_opt_in(self) -> None:
        """
        An end that is not told to is in Main Mode, whatever the other is told.
        """
        ours, peer = self.prepare(NAME, options=f"{WAIVER}\nretransmit_tries = 1")
        self.change(ours, "aggressive = yes", "aggressive = no")
        self.run_both(ours, peer)
        ours.wait_for_told(self.not_told)
        self.assert_nothing_stands(peer)
        self.assertNotIn("guess", ours.log())

    not_told = r"Identity Protection with 10\.77\.40\.2:500 failed: "


class AggressiveAsResponderTests(AggressiveAsInitiatorTests):
    """
    charon begins: what is said of our initiator holds for our responder.
    """

    role = "responder"
    differs = (
        r"refused 10\.77\.40\.1:500: the peer did not accept what we answered it, .*"
        r"the secrets configured for this peer differ"
    )
    not_told = r"refused 10\.77\.40\.1:500: no connection is configured for this peer.*Aggressive"
