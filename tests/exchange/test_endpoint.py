"""
The endpoint at work: establishing, being refused, giving up.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import CancelledError
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
    MALLORY,
    Member,
    Pair,
    Settings,
    assert_clean,
    connection,
    disagreements,
    pair,
    unfinished,
)
from tests.properties.wiretap import QUICK, lose

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

    def test_in_turn(self) -> None:
        """
        Many children wanted at once are negotiated one after the other: a peer that remembers few
        cipher states, as strongSwan does, can read every message; and all come up.
        """
        both = pair(Settings(children=9))
        settle(both.clock, both.a.establish("net"))
        attempts = [both.a.establish(f"net{number}") for number in range(1, 9)]
        most = 0
        while any(not attempt.called for attempt in attempts):
            running = [e for e in both.a.endpoint.running() if e.number == ExchangeType.QUICK_MODE]
            most = max(most, len(running))
            both.wait(0.001)
        self.assertEqual(most, Limits().begun_per_sa)
        for attempt in attempts:
            self.successResultOf(attempt)
        both.wait(0.1)
        self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual(both.a.endpoint.turns, {})

    def test_given_up_in_turn(self) -> None:
        """
        Who waits for a turn may give up; and if the SA goes meanwhile, whoever waits is told.
        """
        both = pair(Settings(children=9))
        settle(both.clock, both.a.establish("net"))
        attempts = [both.a.establish(f"net{number}") for number in range(1, 6)]
        attempts[3].cancel()
        self.failureResultOf(attempts[3], CancelledError)
        both.a.endpoint.delete(both.a.sas)
        both.wait(1.0)
        for attempt in (*attempts[:3], attempts[4]):
            self.failureResultOf(attempt, Cancelled)
        self.assertEqual(both.a.endpoint.turns, {})
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

    def test_children(self) -> None:
        """
        A peer that has proved itself cannot have more children under one SA than the limit says;
        those that stand stay, and for one that is deleted another can come up.
        """
        few = Settings(children=4, limits=Limits(children_per_sa=2))
        both = pair(replace(few, limits=Limits()), bobs_settings=few)
        for child in ("net", "net1"):
            settle(both.clock, both.a.establish(child))
        refused: list[object] = []
        both.a.establish("net2").addErrback(lambda failure: refused.append(failure.value))
        both.wait(1.0)
        self.assertIsInstance(refused[0], PeerRefused)
        self.assertEqual([type(error) for error in both.b.failures], [NoProposalChosen])
        self.assertEqual(len(both.b.bundles), 2)
        self.assertEqual(disagreements(both.a, both.b), [])
        settle(both.clock, both.a.endpoint.delete(both.a.bundles[:1]))
        both.wait(0.1)
        settle(both.clock, both.a.establish("net3"))
        both.wait(0.1)
        self.assertEqual(len(both.b.bundles), 2)
        self.assertEqual(disagreements(both.a, both.b), [])

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

        Proves: RFC 2408 section 5.4 (row 5.4-4)
        Proves: RFC 2408 section 5.14 (row 5.14-1)
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
