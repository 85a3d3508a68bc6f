"""
Our daemon and strongSwan's charon, where their ``swanctl.conf`` files do not fit together: nothing
is protected, and who listens to our daemon knows why, and what to do.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Mapping, Sequence

from tests.interop.charon import swanctl_command
from tests.interop.configured import ConfiguredTestCase

#: For strongswan.conf: charon gives up after 0.2 + 0.36 + 0.65 seconds without an answer.
IMPATIENT = "retransmit_timeout = 0.2\nretransmit_tries = 2"

MISTAKES = (
    "wrong-secret",
    "no-connection",
    "no-common-proposal",
    "no-common-suite",
    "unknown-initiator",
    "unknown-responder",
    "other-traffic",
)


class RefusalsAsInitiatorTests(ConfiguredTestCase):
    """
    Our daemon asks.

    :cvar explained: for each mistake, words that stand in one line that is told, in this order.
    """

    role = "initiator"
    explained: Mapping[str, Sequence[str]] = {
        "wrong-secret": (
            "Identity Protection with 10.77.17.2:500 failed: ",
            " did not accept our first sealed message",
            " Most likely the secrets configured for this peer differ",
        ),
        "no-connection": (
            "Identity Protection with 10.77.23.2:500 failed: ",
            " says NO-PROPOSAL-CHOSEN",
        ),
        "no-common-proposal": (
            "Identity Protection with 10.77.18.2:500 failed: ",
            " says NO-PROPOSAL-CHOSEN",
            "(offered: aes128-sha256-modp2048, aes256-sha256-modp2048)",
            " Ask the peer's administrator ",
            "aes128-sha2_256;modp2048, aes256-sha2_256;modp2048",
        ),
        "no-common-suite": (
            "Quick Mode with 10.77.19.2:500 failed: the peer says NO-PROPOSAL-CHOSEN",
            "(offered: esp=aes128-sha256)",
            " Ask the peer's administrator ",
        ),
        "unknown-initiator": (
            "Identity Protection with 10.77.20.2:500 failed: ",
            " says AUTHENTICATION-FAILED, sealed",
            " does not know this end by its identity",
        ),
        "unknown-responder": (
            "Identity Protection with 10.77.21.2:500 failed: ",
            "identity (offered: r.lab; configured: somebody.lab)",
            " Compare the remote id configured here",
        ),
        "other-traffic": (
            "Quick Mode with 10.77.22.2:500 failed: the peer says INVALID-ID-INFORMATION",
            "(offered: 10.81.22.0/24 - 10.82.22.0/24)",
            " Ask the peer's administrator ",
            " which traffic ",
        ),
    }

    def test_refusals(self) -> None:
        """
        Secrets that differ, a peer that has no connection for us, proposals and suites of which
        none is common, names that one end does not know, networks that the other does not give:
        of each our daemon tells what it is about, and whom to ask for what.  No child comes up, no
        secret is told, and our daemon stops in time.
        """
        ours, peer = self.begin(*MISTAKES, options=IMPATIENT)
        self.assertEqual(set(self.explained), set(MISTAKES))
        ours.wait_for_told(
            *(".*".join(map(re.escape, words)) for words in self.explained.values())
        )
        self.assertEqual([child for sa in peer.list_sas() for child in sa.children], [])
        self.assertEqual(ours.standing().children, frozenset())
        ours.terminate_all()
        # Where there was an ISAKMP SA at both ends, it was deleted at both.
        stood = {"no-common-suite", "other-traffic"}
        peer.wait_for_sas(lambda sas: not stood & {sa.name for sa in sas}, timeout=2.0)
        self.assertEqual(ours.stop(within=2.0), -signal.SIGTERM)
        self.assertEqual(ours.happened("child-updown", "child-rekey"), [])
        self.assertEqual(ours.told_up(), set())
        self.assertEqual(ours.faults(), [])
        self.assertNotRegex(ours.log(), "one secret|another secret|known to everybody")


class RefusalsAsResponderTests(RefusalsAsInitiatorTests):
    """
    charon asks.
    """

    role = "responder"
    explained: Mapping[str, Sequence[str]] = {
        "wrong-secret": (
            "Identity Protection with 10.77.17.1:500 failed: a sealed message cannot be read",
            " Most likely the pre-shared keys of the two ends differ",
        ),
        "no-connection": (
            "refused 10.77.23.1:500: no connection is configured for this peer",
            "no-connection: the peer's address (offered 10.77.23.1; configured 10.77.23.77)",
        ),
        "no-common-proposal": (
            "refused 10.77.18.1:500: no common proposal ",
            "(offered: aes128-sha256-modp2048, aes256-sha256-modp2048; ",
            "configured: aes256-sha384-modp3072)",
            " hash sha256 against sha384, group modp2048 against modp3072 ",
            " To take it here, configure aes256-sha256-modp2048 ",
            "(libreswan: ike=aes256-sha2_256;modp2048)",
        ),
        "no-common-suite": (
            "Quick Mode with 10.77.19.1:500 failed: no offered protection suite is acceptable ",
            "(offered: esp=aes128-sha256; configured: esp=aes256-sha384)",
            " Key Length is 128 there and 256 here",
            " To take it here, configure esp=aes128-sha256 ",
        ),
        "unknown-initiator": (
            "Identity Protection with 10.77.20.1:500 failed: ",
            "identity (offered: i.lab; configured: somebody.lab)",
            " Compare the remote id configured here",
        ),
        "unknown-responder": (
            "unknown-responder, ISAKMP SA ",
            " with i.lab at 10.77.21.1:500, is gone: deleted by the peer",
            " before it had a child; it may not know this end as r.lab",
        ),
        "other-traffic": (
            "Quick Mode with 10.77.22.1:500 failed: ",
            "no child of connection other-traffic is for this traffic ",
            "(offered: 10.82.22.0/24 - 10.81.22.0/24; ",
            "configured: net: 10.82.22.0/24 - 10.81.0.0/24)",
        ),
    }


class AskedTests(ConfiguredTestCase):
    """
    Somebody asks our daemon, with ``swanctl``, to begin.
    """

    role = "initiator"

    def test_answers(self) -> None:
        """
        ``swanctl --initiate`` fails, and says why, in the sentence that stands in the log: once as
        what was refused, and once among the lines of the log that it shows meanwhile.
        """
        ours, _ = self.begin(*MISTAKES, options=IMPATIENT)
        asked = {}
        for name in MISTAKES:
            command, environment = swanctl_command(
                ours.namespace,
                ours.uri,
                ours.directory,
                "--initiate",
                "--ike",
                name,
                "--child",
                "net",
            )
            asked[name] = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            self.addCleanup(asked[name].communicate)
            self.addCleanup(asked[name].kill)
        for name, (_, *words) in RefusalsAsInitiatorTests.explained.items():
            told, refused = asked[name].communicate(timeout=30.0)
            self.assertNotEqual(asked[name].returncode, 0, name)
            sentence = ".*".join(map(re.escape, words))
            self.assertRegex(
                refused, f"initiate failed: {name}/net is not established: .*{sentence}"
            )
            self.assertRegex(told, rf"\[IKE\] .* failed: .*{sentence}", name)
        ours.stop(within=2.0)
        self.assertEqual(ours.faults(), [])
