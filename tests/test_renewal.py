"""New SAs in place of old ones: in time, make before break, by one end or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import SABundle
from isakmp.connections import Intervals, Renewal
from isakmp.errors import ExchangeTimeout, PeerRefused
from isakmp.events import Removal
from isakmp.identity import TrafficSelector
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
    PARENT,
    SHARED,
    Watch,
    births,
    removals,
    renewed,
    renewing,
    spis,
)

EXACTLY = Renewal(600.0)


class ChildTests(SynchronousTestCase):
    """A child is renewed."""

    def test_renewed(self) -> None:
        """
        When its time has come a child is replaced by a new one with other SPIs; the old one is
        deleted, and the peer is told.  The ISAKMP SA is the same.

        Proves: RFC 2408 section 4.3
        """
        both = renewing(a={"child": EXACTLY})
        parent, before = both.a.sas, spis(both.a.bundles)
        both.wait(599.0)
        self.assertEqual(spis(both.a.bundles), before)
        both.wait(2.0)
        self.assertEqual(len(both.a.bundles), 2)
        both.wait(61.0)
        self.assertEqual(len(both.a.bundles), 1)
        self.assertFalse(spis(both.a.bundles) & before)
        self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual(both.a.removals, [Removal.REPLACED])
        self.assertEqual(both.b.removals, [Removal.DELETED_BY_PEER])
        self.assertEqual(both.a.sas, parent)

    def test_again_and_again(self) -> None:
        """The new one is renewed in its turn, for as long as both ends run."""
        both = renewing(Settings(sa_seconds=0), a={"child": EXACTLY})
        both.wait(86_400.0)
        self.assertEqual(len(births(both.a)), 86_400 // 600)  # a handshake takes time, too
        self.assertLessEqual(len(list(both.a.registry)), 3)
        self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual(both.a.failures + both.b.failures, [])

    def test_by_the_responder(self) -> None:
        """Whoever began the first one: the end whose time comes first renews."""
        both = renewing(b={"child": EXACTLY})
        both.wait(665.0)
        self.assertEqual(both.b.removals, [Removal.REPLACED])
        self.assertEqual(both.a.removals, [Removal.DELETED_BY_PEER])
        self.assertEqual(len(both.a.bundles), 1)
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_spread(self) -> None:
        """
        Chance takes up to ``rand_time`` off the time: not all are renewed at once, and none later
        than I have configured.
        """
        both = renewing(Settings(sa_seconds=0), a={"child": Renewal(600.0, 300.0)})
        both.wait(50_000.0)
        times = births(both.a)
        waits = [later - earlier for earlier, later in pairwise(times)]
        self.assertGreater(len(waits), 80)
        self.assertGreaterEqual(min(waits), 300.0)
        self.assertLessEqual(max(waits), 600.1)
        self.assertLess(min(waits), 350.0)
        self.assertGreater(max(waits), 550.0)

    def test_never(self) -> None:
        """With ``rekey_time = 0`` nothing is renewed: it expires when its time is over."""
        both = renewing()
        both.wait(1201.0)
        self.assertEqual((both.a.bundles, len(births(both.a))), ([], 1))
        self.assertIn(Removal.EXPIRED, both.a.removals)

    def test_shortened_by_the_peer(self) -> None:
        """
        If the peer wants a shorter life than I have configured, it is renewed before that ends.

        Proves: RFC 2407 section 4.5
        """
        both = renewing(
            Settings(child_seconds=300),
            bobs_settings=Settings(),
            b={"child": Renewal(1000.0, 100.0)},
        )
        watch = Watch(both)
        watch.until(320.0)
        self.assertEqual((watch.gaps, len(births(both.b))), ([], 2))
        self.assertNotIn(Removal.EXPIRED, both.b.removals)
        both = renewing(
            Settings(sa_seconds=500), bobs_settings=Settings(), b={"parent": Renewal(2500.0)}
        )
        (old,) = both.b.sas
        watch = Watch(both)
        watch.until(550.0)
        self.assertEqual((watch.gaps, len(both.b.sas)), ([], 1))
        self.assertNotEqual(both.b.sas[0].key, old.key)
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_what_the_peer_asked_for(self) -> None:
        """
        What is renewed is for the same traffic: if the peer had asked for a part of what is
        configured, for that part.
        """
        part = TrafficSelector.parse("10.1.0.64/26"), TrafficSelector.parse("10.2.0.80[tcp/443]")
        both = renewing(b={"child": EXACTLY})
        road = both.a.connection()
        child = replace(road.child("net"), local=part[:1], remote=part[1:])
        both.a.endpoint.establish(road, child)
        both.wait(665.0)
        traffic = {(made.policy.local, made.policy.remote) for made in both.a.bundles}
        whole = road.child("net")
        self.assertEqual(traffic, {part, (whole.local[0], whole.remote[0])})
        self.assertEqual(len(both.a.bundles), 2)
        self.assertEqual(sorted(both.b.removals, key=str), [Removal.REPLACED] * 2)
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_changed(self) -> None:
        """A child whose traffic I have changed meanwhile is renewed as it is configured now."""
        both = renewing(a={"child": EXACTLY})
        wider = TrafficSelector.parse("10.1.0.0/16")
        hers = replace(both.a.connection().child("net"), local=(wider,))
        his = replace(both.b.connection().child("net"), remote=(wider,))
        for member, child in ((both.a, hers), (both.b, his)):
            changed = replace(member.connection(), children=(child,))
            member.assembly.configure((changed,), SHARED)
        self.assertNotEqual(both.a.bundles[0].policy.local, wider)
        both.wait(605.0)
        self.assertEqual(both.a.bundles[-1].policy.local, wider)
        both.wait(60.0)
        (made,) = both.a.bundles
        self.assertEqual(made.policy.local, wider)
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_several_children(self) -> None:
        """Each child has its own time, and one's renewal is not the other's."""
        both = renewing(Settings(children=2), a={"child": EXACTLY})
        both.wait(300.0)
        settle(both.clock, both.a.establish("net1"))
        both.wait(365.0)
        self.assertEqual([made.policy.name for made in both.a.bundles], ["net1", "net"])
        both.wait(300.0)
        self.assertEqual([made.policy.name for made in both.a.bundles], ["net", "net1"])
        self.assertEqual(both.a.removals, [Removal.REPLACED] * 2)


class ManagementTests(SynchronousTestCase):
    """An ISAKMP SA is renewed."""

    def test_renewed(self) -> None:
        """
        The ISAKMP SA is replaced by a new one.  Its children go on under that at both ends: no
        sink sees anything of it.

        Proves: RFC 2408 section 4.3
        """
        both = renewing(Settings(children=2), a={"parent": EXACTLY})
        settle(both.clock, both.a.establish("net1"))
        both.wait(1.0)
        (old,), children = both.a.sas, spis(both.a.bundles)
        programmed: list[object] = []
        for member in (both.a, both.b):
            for name in ("install", "remove"):
                self.patch(member.sink, name, programmed.append)
        both.wait(665.0)
        (new,) = both.a.sas
        self.assertNotEqual(new.key, old.key)
        for member in (both.a, both.b):
            self.assertEqual(len(member.registry.children(new.key)), 2)
        self.assertEqual(spis(both.a.bundles), children)
        self.assertEqual(programmed, [])
        self.assertEqual(both.a.removals, [Removal.REPLACED])
        self.assertEqual(both.b.removals, [Removal.DELETED_BY_PEER])
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_children_live_on(self) -> None:
        """What was adopted is renewed under the new ISAKMP SA, expires, and can be deleted."""
        both = renewing(a={"parent": Renewal(500.0), "child": EXACTLY})
        both.wait(700.0)
        (parent,) = both.a.sas
        (child,) = both.a.bundles
        self.assertEqual(child.parent, parent.key)
        both.b.endpoint.delete(both.b.bundles)
        both.wait(1.0)
        self.assertEqual((both.a.bundles, len(both.a.sas)), ([], 1))
        settle(both.clock, both.b.establish())
        both.wait(1.0)
        both.b.endpoint.delete(both.b.sas)
        both.wait(1.0)
        self.assertEqual([list(both.a.registry), list(both.b.registry)], [[], []])

    def test_by_the_responder(self) -> None:
        """Either end may: the roles of the new one are the other way round."""
        both = renewing(b={"parent": EXACTLY})
        both.wait(665.0)
        (hers,), (his,) = both.a.sas, both.b.sas
        self.assertEqual((his.role.name, hers.role.name), ("INITIATOR", "RESPONDER"))
        self.assertEqual(both.b.removals, [Removal.REPLACED])
        self.assertEqual(len(both.b.registry.children(his.key)), 1)
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_for_ever(self) -> None:
        """Children stay up through any number of ISAKMP SAs; nothing piles up."""
        both = renewing(a={"parent": PARENT, "child": CHILD})
        watch = Watch(both)
        watch.until(86_400.0)
        self.assertEqual(watch.gaps, [])
        self.assertLessEqual(watch.most, 4)
        self.assertGreater(len(births(both.a, IManagementSA)), 86_400 // 2000)
        self.assertEqual(both.a.failures + both.b.failures, [])
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_changed_address(self) -> None:
        """A connection that is for another address by now is not renewed where it was."""
        both = renewing(a={"parent": EXACTLY})
        there = connection("192.0.2.3", ALICE, "r.lab", "i.lab")
        carol = Member(both.network, both.clock, "192.0.2.3", [there])
        road = replace(both.a.connection(), remote=("192.0.2.3",))
        both.a.assembly.configure((road,), SHARED)
        both.wait(601.0)
        self.assertEqual(both.a.sas[-1].path.remote[0], "192.0.2.3")
        self.assertEqual(len(carol.sas), 1)

    def test_while_a_child_is_renewed(self) -> None:
        """
        A child that is renewed under the old ISAKMP SA, while the new one comes up, is not lost
        with the old one.
        """
        for number in range(30):
            # From well before the Main Mode to well after it.
            moment = 600.0 + (number - 15) * 0.005
            both = renewing(a={"parent": EXACTLY}, b={"child": Renewal(moment)})
            watch = Watch(both)
            watch.until(800.0)
            self.assertEqual(watch.gaps, [], moment)
            self.assertEqual(disagreements(both.a, both.b), [], moment)
            self.assertEqual((len(both.a.sas), len(both.a.bundles)), (1, 1), moment)


class BothEndsTests(SynchronousTestCase):
    """Both ends have configured times, as they mostly do."""

    def test_only_the_maker_deletes(self) -> None:
        """
        Whoever made the new SA deletes the old one: of each old SA one end says that it was
        replaced, the other that its peer has deleted it; and both have renewed now and then.
        """
        how = {"parent": PARENT, "child": CHILD}
        both = renewing(a=how, b=how)
        both.wait(30_000.0)
        hers, his = dict(removals(both.a, SABundle)), dict(removals(both.b, SABundle))
        crosswise = {
            made.inbound[0].key: made.outbound[0].key
            for _, event in both.a.events
            if isinstance(made := getattr(event, "sa", None), SABundle)
        }
        self.assertGreater(len(hers), 40)
        both_sides = {Removal.REPLACED, Removal.DELETED_BY_PEER}
        for key, why in hers.items():
            self.assertEqual({why, his[crosswise[key]]}, both_sides)
        for member in (both.a, both.b):
            self.assertEqual(set(member.removals), both_sides)
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_at_the_same_moment(self) -> None:
        """
        Even if both renew the same SA at the very same moment, neither is ever without one; what
        came up twice does not stay twice for ever.
        """
        for what in ("child", "parent"):
            both = renewing(a={what: Renewal(600.0)}, b={what: Renewal(599.9)})
            watch = Watch(both)
            watch.until(590.0)
            both.a.clock.run_until(600.0)
            watch.until(1150.0)
            self.assertEqual(watch.gaps, [], what)
            self.assertEqual(disagreements(both.a, both.b), [], what)
            self.assertLessEqual(watch.most, 5, what)

    def test_good_and_bad_weather(self) -> None:
        """
        On a network that loses, doubles and reorders, with both ends renewing, neither end is ever
        without a child.  When the network is good again, both have the same in the end.
        """
        how = {"parent": PARENT, "child": CHILD}
        for seed in range(8):
            both = renewing(
                a=how, b=how, seed=seed, drop=0.15, duplicate=0.1, reorder=0.1, jitter=0.05
            )
            both.wait(both.settings.intervals.total)
            watch = Watch(both)
            watch.until(10_000.0)
            network = both.network
            network.drop = network.duplicate = network.reorder = network.jitter = 0.0
            watch.until(10_000.0 + both.expired)
            self.assertEqual(watch.gaps, [], seed)
            self.assertEqual(disagreements(both.a, both.b), [], seed)
            self.assertLessEqual(watch.most, 8, seed)


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

    def test_peer_was_faster(self) -> None:
        """If the peer renews while our attempts fail, ours end."""
        both = renewing(a={"child": EXACTLY}, b={"child": Renewal(640.0)})
        tap = lose(both, "Quick 1")
        both.wait(0.0)
        patched = self.patch(
            both.a.endpoint, "establish", lambda *_: fail(ExchangeTimeout("no answer"))
        )
        tap.remove()
        both.wait(710.0)
        patched.restore()
        self.assertEqual(both.a.removals, [Removal.DELETED_BY_PEER])
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
        self.assertEqual(len(both.a.endpoint._running), 0)
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
        tap = lose(both, "Quick 2")
        other = renewing(b={"child": EXACTLY})
        other.network.taps.append(tap)
        both.wait(3000.0)
        self.assertEqual(left_over(both.a), [])


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
        both = renewing()
        both.b.assembly.configure((anybody,), SHARED)
        carol = Member(
            both.network, both.clock, "192.0.2.3", [connection(ALICE, BOB, "c.lab", "r.lab")]
        )
        road = replace(carol.connection(), local=("192.0.2.3",))
        carol.assembly.configure((road,), SHARED)
        both.a.endpoint.delete(both.a.sas)
        both.wait(1.0)
        for member in (both.a, carol):
            settle(both.clock, member.establish())
        both.wait(1.0)
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
