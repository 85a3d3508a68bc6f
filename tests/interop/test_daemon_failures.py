"""
Every mistake that the page of failures has, with charon at the other end, in both roles.
"""

from __future__ import annotations

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
        sentences = [getattr(MISTAKES[name], self.field) for name in names]
        self.assertGreaterEqual(len([one for one in sentences if one]), 20)
        patterns = [pattern(one) for one in sentences if one]
        ours.wait_for_told(*patterns, timeout=20.0)
        self.assertEqual(ours.faults(), [])


class FailuresAsResponderTests(FailuresAsInitiatorTests):
    """
    charon begins.
    """

    role = "responder"
    unloadable = "no-secret-at-responder"
    field = "charon_begins"
