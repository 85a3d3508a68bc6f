"""
Each typical mistake has its sentence, at both ends, and the page has them all.
"""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.failures.__main__ import main, text
from tests.failures.memory import Attempt, failing
from tests.failures.sentences import MISTAKES, pattern
from tests.pages import page


class SentenceTests(SynchronousTestCase):
    def attempt(self, name: str) -> None:
        """Two of these daemons try it; what is recorded is said, and nothing else fails."""
        mistake, tried = MISTAKES[name], Attempt(name)
        for end, sentence in (("i", mistake.initiator), ("r", mistake.responder)):
            said = [*tried.said[end], *tried.refused.get(end, "").splitlines()]
            if sentence:
                whole = re.compile(pattern(sentence))
                self.assertTrue(any(map(whole.fullmatch, said)), f"{sentence}\n{said}")
            for line in failing(tried.said[end]):
                self.assertTrue(sentence, line)
                self.assertRegex(line, pattern(sentence))

    def test_sentences(self) -> None:
        """Whichever mistake I make, each end's log says what it is about."""
        self.assertGreaterEqual(len(MISTAKES), 20)
        for name in MISTAKES:
            if name != "wrong-port":  # a network in memory has no ports
                self.attempt(name)

    def test_event(self) -> None:
        """The event of a failure says the same as the log, and carries its parts as fields."""
        tried = Attempt("other-traffic")
        for end in "ir":
            event = tried.failures[end][0]
            (line,) = {text for text in tried.said[end] if " failed: " in text}
            self.assertEqual(event.sentence, line)
            noted = next(one for one in tried.events[end] if one["text"] == line)
            for name, value in event.fields.items():
                self.assertEqual(noted[name], value)
            self.assertEqual(event.connection, "other-traffic")
        answered = tried.failures["r"][0].fields
        self.assertEqual(answered["matching"], "10.82.22.0/24 - 10.81.0.0/24")
        self.assertEqual(answered["offered"], "10.82.22.0/24 - 10.81.22.0/24")
        self.assertEqual(answered["at"], "Quick Mode, initiator's SA, NONCE")
        self.assertNotIn("matching", tried.failures["i"][0].fields)

    def test_silent(self) -> None:
        """If nobody answers, the sentence says what may be the reason."""
        (line,) = failing(Attempt("other-group", silent=True).said["i"])
        self.assertRegex(line, "failed: no answer from .*UDP may be blocked")


class PageTests(SynchronousTestCase):
    def test_written(self) -> None:
        """The page is what the tests say: ``python -m tests.failures`` writes it."""
        self.assertEqual(page("reference/failures.rst"), text())
        self.assertEqual(main(["--check"]), 0)
