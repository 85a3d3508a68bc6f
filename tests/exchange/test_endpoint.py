"""
The endpoint at work: establishing, giving up, deleting, closing.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import SABundle
from isakmp.connections import Connection, Limits
from isakmp.errors import (
    Cancelled,
    ConfigurationError,
    ExchangeTimeout,
    LimitReached,
    NoProposalChosen,
    PeerError,
    PeerRefused,
)
from isakmp.events import Established, ExchangeFailed, MessageDropped, Removal, SPIReleased
from isakmp.interfaces import IExchanges, IKeyExchangeEndpoint
from isakmp.numbers import ExchangeType
from isakmp.parts import Role
from isakmp.testing import settle
from tests.nodes import (
    BOB,
    FAST,
    MALLORY,
    Member,
    Pair,
    Settings,
    assert_clean,
    connection,
    disagreements,
    left_over,
    pair,
    unfinished,
)
from tests.properties.wiretap import QUICK, Wiretap, lose

MOMENTS = [number / 200 for number in range(21)]
"""Seconds: between any two messages of an attempt, and at the instants when they arrive."""


class EstablishTests(SynchronousTestCase):
    def test_interfaces(self) -> None:
        """It is what its node asks for, to begin, to delete and to run exchanges."""
        endpoint = pair().a.endpoint
        self.assertTrue(IKeyExchangeEndpoint.providedBy(endpoint))
        self.assertTrue(IExchanges.providedBy(endpoint))

    def test_shared(self) -> None:
        """Two children wanted at once share one phase 1, and so does a third later."""
        both = pair(Settings(children=3))
        first, second = both.a.establish("net"), both.a.establish("net1")
        results = [settle(both.clock, first), settle(both.clock, second)]
        results.append(settle(both.clock, both.a.establish("net2")))
        bundles = [bundle for result in results for bundle in result]
        both.wait(0.1)
        self.assertEqual(len({bundle.parent for bundle in bundles}), 1)
        self.assertEqual([bundle.policy.name for bundle in bundles], ["net", "net1", "net2"])
        self.assertEqual((len(both.a.sas), len(both.b.sas)), (1, 1))
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_shared_failure(self) -> None:
        """If phase 1 fails, everyone who waited for it is told why."""
        both = pair(Settings(children=2))
        both.network.cut = True
        attempts = [both.a.establish("net"), both.a.establish("net1")]
        both.wait(both.settings.intervals.total)
        for attempt in attempts:
            self.failureResultOf(attempt, ExchangeTimeout)
        self.assertEqual(len(both.a.failures), 1)
        assert_clean(self, both.a, both.b)

    def test_together(self) -> None:
        """Children of the same traffic can be agreed in one exchange."""
        both = pair()
        child = both.a.connection().children[0]
        twice = both.a.endpoint.establish(both.a.connection(), [child, child])
        bundles = settle(both.clock, twice)
        both.wait(0.1)
        self.assertEqual(len(bundles), 2)
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_events(self) -> None:
        """Established is told of the ISAKMP SA and then of the child, at both ends."""
        both = pair()
        both.up()
        for member in (both.a, both.b):
            kinds = [isinstance(event.sa, SABundle) for event in member.published(Established)]
            self.assertEqual(kinds, [False, True])

    def test_not_configured(self) -> None:
        """What cannot be begun is said at once, and leaves nothing."""
        cases: list[tuple[Connection, str]] = []
        good = connection("192.0.2.1", BOB, "i.lab", "r.lab")
        for changes, text in (
            ({"remote": ()}, "address"),
            ({"remote": ("192.0.2.0/24",)}, "address"),
            ({"exchange": 99}, "exchange type 99"),
            ({"key_exchange": "kink"}, "kink is not enabled"),
            ({"suites": ()}, "no proposals"),
        ):
            cases.append((replace(good, **changes), text))
        for one, text in cases:
            both = pair()
            attempt = both.a.endpoint.establish(one, one.children)
            failure = self.failureResultOf(attempt, ConfigurationError)
            self.assertIn(text, failure.getErrorMessage())
            self.assertEqual(both.wire, [])
            assert_clean(self, both.a)

    def test_no_such_exchange(self) -> None:
        """An exchange type that nobody has under an SA cannot be begun."""
        both = pair()
        both.up()
        begun = both.a.endpoint.begin(both.a.sas[0], 99, ())
        self.failureResultOf(begun, LookupError)

    def test_worn_out(self) -> None:
        """
        When an SA has used its message ids, by the peer's doing or ours, nothing more can be begun
        under it: that is said, and nothing hangs.  It can still be deleted here.
        """
        both = pair(Settings(limits=Limits(message_ids=5)))
        both.up()
        for _ in range(4):
            both.b.endpoint.begin(both.b.sas[0], ExchangeType.INFORMATIONAL, ())
        both.wait(0.1)
        failure = self.failureResultOf(both.a.establish(), LimitReached)
        self.assertIn("message id", failure.getErrorMessage())
        both.a.endpoint.delete(both.a.sas)
        self.assertEqual(list(both.a.registry), [])
        self.flushLoggedErrors(LimitReached)


class RefusedTests(SynchronousTestCase):
    """What the responder does not accept, the initiator is told."""

    def refused(self, both: Pair, seconds: float) -> PeerError:
        """Alice begins, and is refused by then."""
        attempt = both.a.establish()
        both.wait(seconds)
        error = self.failureResultOf(attempt, PeerError).value
        assert isinstance(error, PeerError)
        both.wait(both.quiet)
        self.assertEqual(unfinished(both.a, both.b), [])
        return error

    def test_phase_1(self) -> None:
        """
        No common proposal for the ISAKMP SA: the responder says what differs, the initiator learns
        NO-PROPOSAL-CHOSEN in clear text, which is not proven, and ends after ``grace``.

        Proves: RFC 2408 section 5.4
        """
        both = pair(bobs_settings=Settings(suite="aes256-sha256-curve25519"))
        error = self.refused(both, 0.1 + both.settings.limits.grace)
        self.assertIsInstance(error, PeerRefused)
        self.assertIn("NO-PROPOSAL-CHOSEN, unauthenticated", str(error))
        dropped = both.b.published(MessageDropped)[0]
        self.assertIsInstance(dropped.error, NoProposalChosen)
        for words in ("aes128-sha256", "aes256-sha256"):
            self.assertIn(words, str(dropped.error))
        assert_clean(self, both.a, both.b)

    def test_phase_2(self) -> None:
        """
        No common proposal for the child: the same under the ISAKMP SA, which is proven and final,
        and the ISAKMP SA stays.
        """
        both = pair(bobs_settings=Settings(child_suite="aes256-sha256"))
        error = self.refused(both, 0.2)
        self.assertIn("the peer says NO-PROPOSAL-CHOSEN", str(error))
        self.assertIn("at Quick Mode, responder's", str(error))
        (failed,) = both.b.published(ExchangeFailed)
        self.assertEqual((failed.connection, failed.role), ("lab", Role.RESPONDER))
        self.assertIsInstance(failed.error, NoProposalChosen)
        self.assertIn("aes256", str(failed.reason))
        self.assertEqual((len(both.a.sas), len(both.b.sas)), (1, 1))
        self.assertEqual(both.a.sink.reserved, frozenset())

    def test_other_traffic(self) -> None:
        """Traffic that the responder has no child for: INVALID-ID-INFORMATION."""

        def elsewhere(bobs: Connection) -> Connection:
            (child,) = bobs.children
            return replace(bobs, children=(replace(child, local=child.remote),))

        error = self.refused(pair(bobs=elsewhere), 0.2)
        self.assertIn("the peer says INVALID-ID-INFORMATION", str(error))

    def test_stranger(self) -> None:
        """
        Somebody whom no connection fits gets no answer at all, and learns nothing but that; the
        responder has a reason.
        """
        both = pair()
        mallory = Member(
            both.network, both.clock, MALLORY, [connection(MALLORY, BOB, "m.lab", "r.lab")]
        )
        attempt = mallory.establish()
        both.wait(both.settings.intervals.total)
        self.failureResultOf(attempt, ExchangeTimeout)
        self.assertEqual(both.sent_by(both.b), [])
        self.assertIn(MALLORY, str(both.b.published(MessageDropped)[0].error))
        assert_clean(self, mallory, both.b)

    def test_peer_gone(self) -> None:
        """
        An initiator whose Quick Mode nobody answers takes the peer for gone: it deletes the ISAKMP
        SA and all children of it, and says so.
        """
        both = pair()
        both.up()
        both.network.cut = True
        attempt = both.a.establish()
        both.wait(both.settings.intervals.total)
        self.failureResultOf(attempt, ExchangeTimeout)
        self.assertEqual(both.a.removals, [Removal.PEER_GONE, Removal.PEER_GONE])
        self.assertEqual((list(both.a.registry), dict(both.a.sink.standing)), ([], {}))
        self.assertEqual(unfinished(both.a), [])


class CancelTests(SynchronousTestCase):
    def test_any_moment(self) -> None:
        """
        Whoever gives up what is being established, at any moment: its exchange ends at once, its
        SPIs are released, and the other end is done with it in time.
        """
        for seconds in MOMENTS:
            both = pair()
            attempt = both.a.establish()
            both.wait(seconds)
            if attempt.called:
                continue
            attempt.cancel()
            self.failureResultOf(attempt, Cancelled, CancelledError)
            self.assertEqual(unfinished(both.a), [], seconds)
            self.assertEqual((both.a.bundles, dict(both.a.sink.standing)), ([], {}))
            both.wait(both.quiet)
            self.assertEqual(unfinished(both.a, both.b), [], seconds)
            both.up()
            self.assertEqual(disagreements(both.a, both.b), [], seconds)

    def test_spis(self) -> None:
        """A Quick Mode given up publishes that its SPI is free again."""
        both = pair()
        both.up()
        both.a.events.clear()
        lose(both, *QUICK)
        attempt = both.a.establish()
        (key,) = both.a.sink.reserved
        attempt.cancel()
        self.failureResultOf(attempt, Cancelled)
        self.assertEqual([event.key for event in both.a.published(SPIReleased)], [key])
        self.assertIsInstance(both.a.failures[0], Cancelled)

    def test_one_of_two(self) -> None:
        """A phase 1 goes on for as long as anybody wants it, and ends with the last who did."""
        both = pair(Settings(children=2))
        first, second = both.a.establish("net"), both.a.establish("net1")
        both.wait(0.025)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        (bundle,) = settle(both.clock, second)
        self.assertEqual(bundle.policy.name, "net1")

        both = pair(Settings(children=2))
        attempts = [both.a.establish("net"), both.a.establish("net1")]
        both.wait(0.025)
        for attempt in attempts:
            attempt.cancel()
            self.failureResultOf(attempt, CancelledError)
        self.assertEqual(unfinished(both.a), [])
        self.assertIsInstance(both.a.failures[0], Cancelled)


class DeleteTests(SynchronousTestCase):
    def test_child(self) -> None:
        """
        A child that is deleted is gone at both ends, the peer's without asking; the ISAKMP SA
        stays, and nobody answers a Delete.

        Proves: RFC 2408 section 5.15
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
        """With an ISAKMP SA go its children, and the peer is told of each while it still can be."""
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
        self.assertEqual(len(both.b.endpoint._running), 1)
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
        A sink that cannot install, at either end: the exchange fails there, logged as a fault of
        ours; no SPI stays reserved, nothing stays registered, and the other end learns in time.
        """
        for failing in ("a", "b"):
            both = pair()

            def refuse(bundle: SABundle) -> None:
                raise OSError("no room")

            getattr(both, failing).sink.refuse = refuse
            attempt = both.a.establish()
            both.wait(both.quiet)
            attempt.addErrback(lambda failure: failure.trap(OSError, ExchangeTimeout))
            self.assertGreaterEqual(len(self.flushLoggedErrors(OSError)), 1)
            self.assertEqual(unfinished(both.a, both.b), [])
            self.assertEqual(both.a.bundles + both.b.bundles, [])
            both.wait(both.expired)
            assert_clean(self, both.a, both.b)

    def test_suite(self) -> None:
        """The fastest suite of these tests is one that is really agreed."""
        both = pair()
        both.up()
        self.assertIn("curve25519", FAST)
        self.assertEqual(both.a.sas[0].parameters.spelled, FAST)  # type: ignore[attr-defined]
