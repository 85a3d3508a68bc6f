"""Renewals that fail, that end, and those with many peers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import SABundle
from isakmp.connections import Intervals, Renewal
from isakmp.errors import ExchangeTimeout, PeerRefused
from isakmp.events import Removal
from isakmp.interfaces import IManagementSA
from isakmp.renewal import AGAIN
from isakmp.testing import settle
from tests.nodes import (
    ALICE,
    BOB,
    Member,
    Settings,
    assert_clean,
    connection,
    disagreements,
    left_over,
)
from tests.properties.wiretap import lose
from tests.renewing import (
    CHILD,
    SHARED,
    Watch,
    births,
    renewed,
    renewing,
    spis,
)

EXACTLY = Renewal(600.0)


class FailureTests(SynchronousTestCase):
    """A renewal that fails."""

    def test_refused(self) -> None:
        """
        If the peer refuses, it is asked again, until it agrees; the old SA stays meanwhile.
        """
        both = renewing(a={"child": EXACTLY})
        road = both.b.connection()
        both.b.assembly.configure((replace(road, children=()),), SHARED)
        before = spis(both.a.bundles)
        both.wait(600.0 + 5 * AGAIN)
        self.assertGreaterEqual(len(both.a.failures), 4)
        for failure in both.a.failures:
            self.assertIsInstance(failure, PeerRefused)
        self.assertEqual(spis(both.a.bundles), before)
        both.b.assembly.configure((road,), SHARED)
        both.wait(AGAIN + 65.0)
        self.assertEqual(len(both.a.bundles), 1)
        self.assertFalse(spis(both.a.bundles) & before)

    def test_until_it_expires(self) -> None:
        """When the old SA is over, nothing is tried any more, and nothing is left of it."""
        both = renewing(a={"child": EXACTLY})
        both.b.assembly.configure((replace(both.b.connection(), children=()),), SHARED)
        both.wait(1199.0)
        tried = len(both.a.failures)
        self.assertGreater(tried, 20)
        self.assertEqual(len(both.a.bundles), 1)
        both.wait(100.0)
        self.assertLessEqual(len(both.a.failures), tried + 1)
        self.assertEqual((both.a.bundles, both.b.bundles), ([], []))
        self.assertEqual(both.a.assembly.renewals._awaited, {})

    def test_peer_away(self) -> None:
        """
        An ISAKMP SA whose peer does not answer is tried again; the children stay as long as they
        live, and when the peer is back in time, all goes on under a new one.
        """
        both = renewing(Settings(intervals=Intervals(1.0, 1.0, 2)), a={"parent": EXACTLY})
        both.network.cut = True
        both.wait(700.0)
        self.assertGreaterEqual(len(both.a.failures), 3)
        for failure in both.a.failures:
            self.assertIsInstance(failure, ExchangeTimeout)
        self.assertEqual(len(both.a.bundles), 1)
        both.network.cut = False
        both.wait(20.0)
        self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual(len(both.a.bundles), 1)
        self.assertEqual(both.a.bundles[0].parent, both.a.sas[-1].key)

    def test_fault_of_ours(self) -> None:
        """A fault of ours is logged as one, and the renewal is tried again all the same."""
        both = renewing(a={"child": EXACTLY})

        def broken(*_: object) -> Deferred[Sequence[SABundle]]:
            return fail(ZeroDivisionError())

        patched = self.patch(both.a.endpoint, "establish", broken)
        both.wait(605.0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        patched.restore()
        both.wait(AGAIN)
        self.assertEqual(len(both.a.bundles), 2)

    def test_successor_lost(self) -> None:
        """If the new SA is gone again before the old one is deleted, the old one stays."""
        both = renewing(a={"child": EXACTLY})
        both.wait(605.0)
        old, new = both.a.bundles
        both.b.endpoint.delete([one for one in both.b.bundles if one.outbound[0].key == new.key])
        watch = Watch(both)
        watch.until(both.clock.seconds() + 150.0)
        self.assertEqual(watch.gaps, [])
        (made,) = both.a.bundles
        self.assertNotIn(made.key, (old.key, new.key))

    def test_last_message_lost(self) -> None:
        """
        While the message that confirms the new SA is lost, the peer goes on with the old one; so
        long it is not deleted.
        """
        both = renewing(a={"child": EXACTLY})
        watch = Watch(both)
        watch.until(595.0)
        tap = lose(both, "Quick 3")
        watch.until(630.0)
        tap.remove()
        watch.until(800.0)
        self.assertEqual(watch.gaps, [])
        self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual(len(both.a.bundles), 1)

    def faster(self, waits: bool) -> None:
        """
        Bob renews while Alice's attempt has failed.

        :param waits: it fails only when he has.
        """
        both = renewing(a={"child": EXACTLY}, b={"child": Renewal(605.0)})
        attempts: list[Deferred[Sequence[SABundle]]] = []

        def attempt(*_: object) -> Deferred[Sequence[SABundle]]:
            attempts.append(Deferred() if waits else fail(ExchangeTimeout("no answer")))
            return attempts[-1]

        patched = self.patch(both.a.endpoint, "establish", attempt)
        both.wait(620.0)
        if waits:
            attempts[0].errback(ExchangeTimeout("no answer"))
        both.wait(100.0)
        patched.restore()
        self.assertEqual(len(attempts), 1)
        self.assertEqual(both.a.removals, [Removal.DELETED_BY_PEER])
        self.assertEqual(len(both.a.bundles), 1)
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_peer_was_faster(self) -> None:
        """
        If the peer renews while our attempts fail, or while one that is going to fail is under way,
        ours end.
        """
        self.faster(waits=False)
        self.faster(waits=True)

    def test_lost_meanwhile(self) -> None:
        """If the old SA is lost while the new one is under way, the new one comes all the same."""
        both = renewing(a={"child": EXACTLY})
        tap = lose(both, "Quick 2")
        both.wait(600.2)
        both.b.endpoint.delete(both.b.bundles)
        both.wait(0.1)
        self.assertEqual(both.a.bundles, [])
        tap.remove()
        both.wait(5.0)
        self.assertEqual(len(both.a.bundles), 1)
        self.assertEqual(disagreements(both.a, both.b), [])


class EndTests(SynchronousTestCase):
    """Nothing is left."""

    def test_stop(self) -> None:
        """
        A node that stops at any moment, renewing or not, leaves nothing on the clock, and its log
        has no traceback.
        """
        for what in ("child", "parent"):
            for after in (0.0, 599.9, 600.005, 600.015, 600.025, 600.045, 600.065, 600.5, 700.0):
                both = renewing(a={what: EXACTLY}, b={what: CHILD})
                both.clock.run_until(after + 0.08)
                for member in (both.a, both.b):
                    settle(both.clock, member.assembly.stop())
                both.network.flush()
                assert_clean(self, both.a, both.b)
                self.assertEqual(self.flushLoggedErrors(), [])

    def test_stop_alone(self) -> None:
        """Renewals may stop by themselves: what is under way is given up; twice is once."""
        both = renewing(a={"parent": EXACTLY, "child": EXACTLY})
        both.network.cut = True
        both.wait(601.0)
        for _ in range(2):
            both.a.assembly.renewals.stop()
        self.assertEqual(len(both.a.endpoint.running()), 0)
        self.assertEqual((len(both.a.sas), len(both.a.bundles)), (1, 1))
        both.wait(100.0)
        self.assertEqual(len(births(both.a)), 1)

    def test_deleted_meanwhile(self) -> None:
        """What I delete while it is renewed is gone, and does not come back."""
        for what, sas in (("child", "bundles"), ("parent", "sas")):
            both = renewing(a={what: EXACTLY})
            both.network.cut = True
            both.wait(600.5)
            both.a.endpoint.delete(getattr(both.a, sas))
            both.network.cut = False
            both.wait(100.0)
            self.assertEqual(getattr(both.a, sas), [], what)
            self.assertEqual(both.a.assembly.renewals._awaited, {})

    def test_not_configured(self) -> None:
        """What is not configured any more is not renewed."""
        both = renewing(a={"child": EXACTLY, "parent": EXACTLY})
        both.a.assembly.configure((), SHARED)
        both.wait(700.0)
        self.assertEqual((len(births(both.a)), len(births(both.a, IManagementSA))), (1, 1))
        both.wait(3000.0)
        self.assertEqual(left_over(both.a), [])

    def test_not_configured_any_more(self) -> None:
        """What comes up when its connection is gone already is not renewed either."""
        both = renewing(b={"child": EXACTLY})
        both.wait(100.0)
        tap = lose(both, "Quick 3")
        both.a.establish()
        both.wait(0.5)
        both.b.assembly.configure((), SHARED)
        tap.remove()
        both.wait(5.0)
        self.assertEqual(len(both.b.bundles), 2)
        self.assertEqual(both.b.assembly.renewals._awaited, {})
        both.wait(700.0)
        self.assertEqual(len(births(both.b)), 2)


class ManyPeersTests(SynchronousTestCase):
    """One connection for many peers, as for road warriors."""

    def test_each_its_own(self) -> None:
        """
        Each peer's SAs are renewed with that peer, also if all do so at once; none takes another's
        for its own.
        """
        settings = Settings()
        anybody = replace(
            renewed(connection(BOB, ALICE, "r.lab", "*.lab", settings), EXACTLY, EXACTLY),
            remote=(),
        )
        both = renewing(delay=0.1)
        both.b.assembly.configure((anybody,), SHARED)
        carol = Member(
            both.network, both.clock, "192.0.2.3", [connection(ALICE, BOB, "c.lab", "r.lab")]
        )
        road = replace(carol.connection(), local=("192.0.2.3",))
        carol.assembly.configure((road,), SHARED)
        both.a.endpoint.delete(both.a.sas)
        both.wait(1.0)
        for member in (both.a, carol):  # at once, so that their renewals come at once
            member.establish()
        both.wait(5.0)
        before = {str(sa.theirs): sa.key for sa in both.b.sas}
        children = spis(both.b.bundles)
        both.wait(700.0)
        after = {str(sa.theirs): sa for sa in both.b.sas}
        self.assertEqual(before.keys(), after.keys())
        for name, member in (("i.lab", both.a), ("c.lab", carol)):
            sa = after[name]
            self.assertNotEqual(sa.key, before[name])
            self.assertEqual(sa.path.remote[0], member.address)
            self.assertEqual([one.key for one in member.sas], [sa.key])
            (child,) = both.b.registry.children(sa.key)
            self.assertEqual(child.outbound[0].key.destination, member.address)
            self.assertEqual(len(member.bundles), 1)
        self.assertFalse(spis(both.b.bundles) & children)
