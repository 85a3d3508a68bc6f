"""
The endpoint at work: deleting, closing, and faults of its own node.
"""

from __future__ import annotations

from itertools import product

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import SABundle
from isakmp.errors import Cancelled, ExchangeTimeout, NotInstalled, PeerError
from isakmp.events import ExchangeFailed, Removal
from isakmp.testing import settle
from tests.exchange.test_endpoint import MOMENTS
from tests.nodes import Settings, assert_clean, disagreements, left_over, pair, unfinished
from tests.properties.wiretap import Wiretap, lose


class DeleteTests(SynchronousTestCase):
    def test_child(self) -> None:
        """
        A child that is deleted is gone at both ends, the peer's without asking; the ISAKMP SA
        stays, and nobody answers a Delete.

        Proves: RFC 2408 section 5.15 (row 5.15-2)
        Proves: RFC 2408 section 5.15 (row 5.15-10)
        """
        both = pair(Settings(children=2))
        both.up()
        settle(both.clock, both.a.establish("net1"))
        both.wait(0.1)
        tap = Wiretap(both.network)
        for member, other in ((both.a, both.b), (both.b, both.a)):
            sent = len(both.wire)
            self.successResultOf(member.endpoint.delete(member.bundles[:1]))
            both.wait(0.1)
            self.assertEqual(len(both.wire), sent + 1)
            self.assertEqual(member.removals[-1], Removal.DELETED)
            self.assertEqual(other.removals[-1], Removal.DELETED_BY_PEER)
            self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual([*tap.first], ["Informational"])
        self.assertEqual((both.a.bundles, len(both.a.sas)), ([], 1))

    def test_isakmp_sa(self) -> None:
        """
        With an ISAKMP SA go its children, and the peer is told of each while it still can be.

        Proves: RFC 2408 section 5.15 (row 5.15-2)
        """
        both = pair(Settings(children=2))
        both.up()
        settle(both.clock, both.a.establish("net1"))
        both.wait(0.1)
        sent = len(both.wire)
        both.b.endpoint.delete(both.b.sas)
        self.assertEqual(len(both.wire), sent + 3)
        self.assertEqual(both.b.removals, [Removal.DELETED] * 3)
        both.wait(0.1)
        self.assertEqual(both.a.removals, [Removal.DELETED_BY_PEER] * 3)
        assert_clean(self, both.a, both.b)

    def test_twice(self) -> None:
        """What is gone is not deleted again, and nobody is told again."""
        both = pair()
        both.up()
        everything = list(both.a.registry)
        both.a.endpoint.delete(everything)
        sent = len(both.wire)
        self.successResultOf(both.a.endpoint.delete(everything))
        self.assertEqual(len(both.wire), sent)
        both.wait(0.1)
        assert_clean(self, both.a, both.b)

    def test_what_runs_under_it(self) -> None:
        """Exchanges that run under a deleted ISAKMP SA end with it, at both ends."""
        both = pair()
        both.up()
        lose(both, "Quick 2")
        attempt = both.a.establish()
        both.wait(0.1)
        self.assertEqual(len(both.b.endpoint.running()), 1)
        both.b.endpoint.delete(both.b.sas)
        self.assertEqual(unfinished(both.b), [])
        both.wait(0.1)
        self.failureResultOf(attempt, Cancelled)
        assert_clean(self, both.a, both.b)


class CloseTests(SynchronousTestCase):
    def test_any_moment(self) -> None:
        """
        A node that closes, at any moment of an attempt, in either role, keeps nothing from then on,
        not on the clock either; the other end is done with it in time.
        """
        for seconds in MOMENTS:
            for closing, other in (("a", "b"), ("b", "a")):
                both = pair()
                attempt = both.a.establish()
                both.wait(seconds)
                one, two = getattr(both, closing), getattr(both, other)
                self.successResultOf(one.endpoint.close())
                mine = [what for what in left_over(one) if not what.startswith("pending")]
                self.assertEqual(mine, [], seconds)
                both.wait(both.quiet)
                self.assertEqual(unfinished(two), [], seconds)
                attempt.addErrback(lambda failure: failure.trap(PeerError, CancelledError))
                both.wait(both.expired)
                assert_clean(self, both.a, both.b)

    def test_told(self) -> None:
        """The peer of a node that closes is told of all that is gone."""
        both = pair(Settings(children=2))
        both.up()
        settle(both.clock, both.a.establish("net1"))
        both.a.endpoint.close()
        self.assertEqual(both.a.removals, [Removal.SHUTDOWN] * 3)
        both.wait(0.1)
        self.assertEqual(both.b.removals, [Removal.DELETED_BY_PEER] * 3)
        assert_clean(self, both.a, both.b)

    def test_deaf(self) -> None:
        """Closed, it hears nothing, and begins nothing."""
        both = pair()
        both.a.endpoint.close()
        self.failureResultOf(both.a.establish(), Cancelled)
        attempt = both.b.establish()
        both.wait(both.settings.intervals.total)
        self.failureResultOf(attempt, ExchangeTimeout)
        self.assertEqual(both.sent_by(both.a), [])
        self.successResultOf(both.a.endpoint.close())
        assert_clean(self, both.a, both.b)

    def test_who_tries_again(self) -> None:
        """Whoever begins again as soon as an attempt fails does not outlive the node."""
        both = pair()
        failures: list[Failure | None] = []

        def again(failure: Failure | None) -> None:
            failures.append(failure)
            if len(failures) < 5:
                both.a.establish().addCallbacks(lambda _: None, again)

        again(None)
        both.wait(0.015)
        both.a.endpoint.close()
        self.assertEqual(len(failures), 5)
        self.assertEqual(unfinished(both.a), [])
        both.wait(both.quiet)
        assert_clean(self, both.a, both.b)


class FaultTests(SynchronousTestCase):
    """A fault of this node ends an exchange like any other reason."""

    def test_sink(self) -> None:
        """
        A sink that cannot install, at either end: the exchange fails there with a sentence, and
        one that is at fault itself, logged as a fault of ours; no SPI stays reserved, nothing stays
        registered, and the other end learns in time.
        """
        for failing, error in product("ab", (OSError("no room"), RuntimeError("no idea"))):
            both = pair()

            def refuse(bundle: SABundle, error: Exception = error) -> None:
                raise error

            getattr(both, failing).sink.refuse = refuse
            attempt = both.a.establish()
            both.wait(both.quiet)
            attempt.addErrback(lambda f: f.trap(NotInstalled, RuntimeError, ExchangeTimeout))
            logged = self.flushLoggedErrors(RuntimeError)
            self.assertEqual(bool(logged), isinstance(error, RuntimeError))
            failures = getattr(both, failing).published(ExchangeFailed)
            known = any(isinstance(one.error, NotInstalled) for one in failures)
            self.assertEqual(known, isinstance(error, OSError))
            self.assertEqual(unfinished(both.a, both.b), [])
            self.assertEqual(both.a.bundles + both.b.bundles, [])
            both.wait(both.expired)
            assert_clean(self, both.a, both.b)
