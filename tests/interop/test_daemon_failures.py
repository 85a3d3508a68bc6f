"""
Every mistake that the page of failures has, with charon at the other end, in both roles.
"""

from __future__ import annotations

import re

from tests.failures.sentences import MISTAKES, pattern
from tests.interop.configured import ConfiguredTestCase

IMPATIENT = "retransmit_timeout = 0.2\nretransmit_tries = 2"


class FailuresAsInitiatorTests(ConfiguredTestCase):
    """
    Our daemon begins.

    :cvar unloadable: what our half refuses before anything is sent.
    """

    role = "initiator"
    unloadable = "no-secret-at-initiator"
    field = "charon_answers"

    def test_sentences(self) -> None:
        """
        Of each mistake our daemon tells, by events ``log``, the sentence that the page of failures
        has; and if an exchange failed, the event ``alert`` has it too.
        """
        names = [name for name in MISTAKES if name != self.unloadable]
        ours, _ = self.begin(*names, options=IMPATIENT)
        said = [one for one in (getattr(MISTAKES[name], self.field) for name in names) if one]
        self.assertGreaterEqual(len(said), 20)
        ours.wait_for_told(*map(pattern, said), timeout=20.0)
        alerts = [str(alert["msg"]) for alert in ours.happened("alert")]
        failed = [one for one in said if " failed: " in one or one.startswith("refused ")]
        self.assertGreaterEqual(len(failed), 20)
        for sentence in failed:
            whole = re.compile(pattern(sentence))
            self.assertTrue(any(map(whole.match, alerts)), f"{sentence}\n{alerts}")
        # Nor is told by an alert what the log does not say.
        self.assertLessEqual(set(alerts), set(ours.told()))
        self.assertEqual(ours.faults(), [])


class FailuresAsResponderTests(FailuresAsInitiatorTests):
    """
    charon begins.
    """

    role = "responder"
    unloadable = "no-secret-at-responder"
    field = "charon_begins"
