"""
What was agreed cannot be installed: a sentence with the system's words, and nothing left behind.
"""

from __future__ import annotations

import errno

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import SABundle
from isakmp.errors import NotInstalled
from isakmp.events import ExchangeFailed
from isakmp.testing import settle
from tests.nodes import Member, Pair, pair

WORDS = "the kernel knows no such algorithm: CONFIG_CRYPTO_GCM"


class NotInstalledTests(SynchronousTestCase):
    def refusing(self, member: Member) -> None:
        """Its sink installs nothing."""

        def install(bundle: SABundle) -> Deferred[None]:
            return fail(OSError(errno.ENOSYS, WORDS))

        self.patch(member.sink, "install", install)

    def failed(self, both: Pair, member: Member) -> ExchangeFailed:
        (event,) = member.published(ExchangeFailed)
        self.assertIsInstance(event.error, NotInstalled)
        self.assertIn(WORDS, event.sentence)
        self.assertEqual(self.flushLoggedErrors(), [])
        return event

    def test_here(self) -> None:
        """Where I begin, whoever waits is told by that sentence, and the log has no traceback."""
        both = pair()
        self.refusing(both.a)
        error = self.assertRaises(NotInstalled, settle, both.clock, both.a.establish())
        self.assertIn(WORDS, str(error))
        self.assertIn("Quick Mode with", self.failed(both, both.a).sentence)

    def test_answering(self) -> None:
        """Where I answer, the sentence is in the log, and the peer does not believe in an SA."""
        both = pair()
        self.refusing(both.b)
        both.a.establish().addErrback(lambda failure: None)
        both.wait(both.quiet)
        self.failed(both, both.b)
        self.assertEqual(dict(both.b.sink.standing), {})
