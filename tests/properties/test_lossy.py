"""
Two nodes on a bad network: they come up, and whatever is lost, they do not disagree for ever.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from isakmp.errors import ExchangeTimeout
from isakmp.events import Removal, Removed
from isakmp.testing import settle
from tests.nodes import Pair, Settings, assert_clean, disagreements, pair, unfinished
from tests.properties.lossy import run
from tests.properties.wiretap import MESSAGES, lose

SEEDS = 500
ENOUGH = 0.85


class LossyTests(SynchronousTestCase):
    def test_every_seed(self) -> None:
        """
        Where three of ten datagrams are lost, three of ten doubled and three of ten held back, most
        attempts come up at both ends with the same keys, and of every seed all ends as it must.

        Proves: RFC 2408 section 5.1 (row 5.1-6)
        """
        outcomes = [run(seed) for seed in range(SEEDS)]
        complaints = [complaint for outcome in outcomes for complaint in outcome.complaints]
        self.assertEqual(complaints[:10], [])
        share = sum(outcome.up for outcome in outcomes) / SEEDS
        self.assertGreaterEqual(share, ENOUGH, f"{share:.1%} of {SEEDS} seeds came up")


class LastMessageTests(SynchronousTestCase):
    """
    A message that never arrives, however often it is sent.  Who sent the last message of an
    exchange cannot know that; it has to learn it, or to forget in time.
    """

    def test_third_of_quick_mode(self) -> None:
        """
        Bob never hears that Alice has his answer.  He gives up ``Intervals.total`` after he sent
        it, takes back what he installed, releases its SPI and tells Alice, who removes the child
        one flight later: they agree again, and keep their ISAKMP SA.
        """
        both = pair()
        lose(both, "Quick 3")
        (bundle,) = settle(both.clock, both.a.establish())
        answered = both.clock.seconds() - both.network.delay
        self.assertEqual(len(both.b.sink.standing), 1)
        both.clock.run_until(answered + both.settings.intervals.total - 0.1)
        self.assertEqual(both.a.bundles, [bundle])
        both.wait(0.1 + both.network.delay + 0.001)
        self.assertEqual((both.a.bundles, both.a.removals), ([], [Removal.DELETED_BY_PEER]))
        self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual(len(both.b.sas), 1)
        self.assertIsInstance(both.b.failures[0], ExchangeTimeout)
        self.end(both)

    def test_nor_the_delete(self) -> None:
        """
        If the Delete is lost as well, Alice believes in her child until its lifetime is over, and
        not longer.
        """
        both = pair(Settings(child_seconds=600))
        lose(both, "Quick 3", "Informational")
        (bundle,) = settle(both.clock, both.a.establish())
        began = both.clock.seconds()
        both.wait(both.quiet)
        self.assertEqual((both.a.bundles, both.b.bundles), ([bundle], []))
        self.assertEqual(unfinished(both.a, both.b), [])
        both.clock.run_until(began + 600)
        self.assertEqual(both.a.bundles, [])
        self.assertEqual(disagreements(both.a, both.b), [])
        self.end(both)

    def test_second_of_quick_mode(self) -> None:
        """
        Alice never hears Bob's answer.  ``Intervals.total`` after her question she takes him for
        gone, and deletes their ISAKMP SA; he is told, and lets go of what waited under it.
        """
        both = pair()
        lose(both, "Quick 2")
        failed = self.failed(both)
        began = next(
            time for time, event in both.a.events if getattr(event, "sa", None) in both.a.sas
        )
        both.clock.run_until(began + both.settings.intervals.total + 2 * both.network.delay + 0.001)
        self.assertEqual(len(failed), 1)
        self.assertEqual(both.a.removals, [Removal.PEER_GONE])
        self.assertEqual(both.b.removals, [Removal.DELETED_BY_PEER])
        assert_clean(self, both.a, both.b)

    def test_sixth_of_main_mode(self) -> None:
        """
        Bob has an ISAKMP SA whose last message Alice never heard.  Her exchange ends in time; his
        SA goes when its lifetime is over, or, sooner, when she comes back and says that she
        remembers nothing.

        Proves: RFC 2407 section 4.6.3.3
        """
        for comes_back in (False, True):
            both = pair()
            loss = lose(both, "Main 6")
            failed = self.failed(both)
            both.wait(both.settings.intervals.total + 1.0)
            self.assertEqual((len(failed), both.a.sas, len(both.b.sas)), (1, [], 1))
            both.wait(both.quiet)
            self.assertEqual(unfinished(both.a, both.b), [])
            if comes_back:
                loss.remove()
                stale = both.b.sas[0]
                both.up()
                self.assertEqual(disagreements(both.a, both.b), [])
                self.assertNotIn(stale, both.b.sas)
                self.assertEqual(both.b.removals, [Removal.PEER_RESTARTED])
            self.end(both)

    def test_each(self) -> None:
        """
        Whichever message never arrives: both ends are done with it in time, with a reason, nothing
        is left, and the next attempt succeeds.
        """
        for name in MESSAGES:
            both = pair()
            loss = lose(both, name)
            self.failed(both)
            both.wait(both.quiet)
            self.assertEqual(unfinished(both.a, both.b), [], name)
            failures = both.a.failures + both.b.failures
            self.assertTrue(failures, name)
            for failure in failures:
                self.assertIn("no answer from 192.0.2.", str(failure))
            loss.remove()
            both.up()
            self.assertEqual(disagreements(both.a, both.b), [], name)
            self.end(both)

    def failed(self, both: Pair) -> list[object]:
        """Alice begins; what is returned will hold why that failed."""
        reasons: list[object] = []
        both.a.establish().addErrback(lambda failure: reasons.append(failure.value))
        both.wait(0.1)
        return reasons

    def end(self, both: Pair) -> None:
        """All that is left ends with its lifetime."""
        both.wait(both.expired)
        assert_clean(self, both.a, both.b)


class BothBeginTests(SynchronousTestCase):
    def test_at_once(self) -> None:
        """
        If both ends begin at the same time, or nearly, both get what they want, and neither takes
        the other's INITIAL-CONTACT for the end of an SA that has only just come up.

        Proves: RFC 2407 section 4.6.3.3
        """
        for milliseconds in range(0, 100, 5):
            both = pair()
            first = both.a.establish()
            both.wait(milliseconds / 1000)
            second = both.b.establish()
            settle(both.clock, first, 2.0)
            settle(both.clock, second, 2.0)
            both.wait(0.1)
            self.assertEqual(disagreements(both.a, both.b), [], milliseconds)
            self.assertEqual(len(both.a.bundles), 2)
            self.assertEqual(both.a.published(Removed) + both.b.published(Removed), [])
            both.a.endpoint.close()
            both.wait(1.0)
            assert_clean(self, both.a, both.b)


class ForgottenTests(SynchronousTestCase):
    """One end has lost all it knew, and says nothing: it was killed and runs again."""

    def killed(self) -> Pair:
        both = pair()
        both.up()
        both.b.forget()
        both.b.events.clear()
        return both

    def test_it_comes_back(self) -> None:
        """It begins again, and what its peer still had of its earlier life is removed there."""
        both = self.killed()
        settle(both.clock, both.b.establish())
        both.wait(1.0)
        self.assertEqual(both.a.removals, [Removal.PEER_RESTARTED, Removal.PEER_RESTARTED])
        self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual(len(both.a.bundles), 1)

    def test_it_is_asked(self) -> None:
        """
        Its peer, which knows of nothing, tries in vain for ``Intervals.total``, removes what was
        theirs, and succeeds at the next attempt.
        """
        both = self.killed()
        began = both.clock.seconds()
        with self.assertRaises(ExchangeTimeout):
            settle(both.clock, both.a.establish())
        self.assertAlmostEqual(both.clock.seconds() - began, both.settings.intervals.total)
        self.assertEqual(both.a.removals, [Removal.PEER_GONE, Removal.PEER_GONE])
        both.wait(both.settings.intervals.total)
        assert_clean(self, both.a, both.b)
        both.up()
        self.assertEqual(disagreements(both.a, both.b), [])
