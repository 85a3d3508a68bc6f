"""New SAs in place of old ones: in time, make before break, by one end or both."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import SABundle
from isakmp.connections import Renewal
from isakmp.events import Removal, Removed, SAExpiring
from isakmp.identity import TrafficSelector
from isakmp.interfaces import IManagementSA
from isakmp.testing import settle
from tests.nodes import (
    ALICE,
    Member,
    Settings,
    connection,
    disagreements,
)
from tests.renewing import (
    CHILD,
    PARENT,
    SHARED,
    Watch,
    births,
    removals,
    renewing,
    spis,
)

EXACTLY = Renewal(600.0)


class ChildTests(SynchronousTestCase):
    """A child is renewed."""

    def test_due_when_removed(self) -> None:
        """
        Who is told that an SA is gone can still ask when it was to be renewed; not later, and of no
        SA that was to be renewed never.
        """
        both = renewing(a={"child": EXACTLY})
        renewals, told = both.a.assembly.renewals, []
        (bundle,), (parent,) = both.a.bundles, both.a.sas
        due = renewals.due(bundle)
        self.assertIsNotNone(due)

        def look(event: Removed) -> None:
            told.append((event.sa, renewals.due(event.sa)))

        both.a.node.events.subscribe(Removed, look)
        both.a.endpoint.delete([bundle])
        both.a.endpoint.delete([parent])
        self.assertEqual(told, [(bundle, due), (parent, None)])
        self.assertIsNone(renewals.due(bundle))

    def test_renewed(self) -> None:
        """
        When its time has come a child is replaced by a new one with other SPIs; the old one is
        deleted, and the peer is told.  The ISAKMP SA is the same.

        Proves: RFC 2408 section 4.3 (row 4.3-2)
        Proves: RFC 2408 section 4.3 (row 4.3-3)
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

    def test_used(self) -> None:
        """
        A child that has carried what it may before it is renewed is renewed at once, and the old
        one goes soon: it would have carried the rest as fast.  Told again, nothing more happens.
        """
        both = renewing(a={"child": EXACTLY})
        both.wait(20.0)
        (old,) = both.a.bundles
        for _ in range(3):
            both.a.node.events.publish(SAExpiring(old.key, hard=False))
        both.wait(0.9)
        self.assertEqual(len(both.a.bundles), 2)
        both.wait(3.0)
        self.assertEqual(len(both.a.bundles), 1)
        self.assertNotIn(old, both.a.bundles)
        self.assertEqual(both.a.removals, [Removal.REPLACED])
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_used_without_time(self) -> None:
        """So is one that time alone would never renew; an SA that there is not is nothing."""
        both = renewing()
        (old,) = both.a.bundles
        both.a.node.events.publish(SAExpiring(old.key._replace(spi=b"gone"), hard=False))
        both.wait(5.0)
        self.assertEqual(both.a.bundles, [old])
        both.a.node.events.publish(SAExpiring(old.key, hard=False))
        both.wait(10.0)
        self.assertEqual(len(both.a.bundles), 1)
        self.assertNotIn(old, both.a.bundles)

    def test_used_up(self) -> None:
        """One that has carried all it may is deleted, and the peer is told."""
        both = renewing()
        (old,) = both.a.bundles
        both.a.node.events.publish(SAExpiring(old.key, hard=True))
        both.wait(5.0)
        self.assertEqual(both.a.bundles, [])
        self.assertEqual(both.a.removals, [Removal.EXPIRED])
        self.assertEqual(both.b.bundles, [])

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

        Proves: RFC 2408 section 4.3 (row 4.3-1)
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

    def test_at_the_same_moment_in_bad_weather(self) -> None:
        """
        Both renew the same SA within a tenth of a second, on a network that loses, doubles and
        reorders: neither is ever without a child, and what came up twice is one again in the end.
        """
        for seed in range(40):
            what = ("child", "parent")[seed % 2]
            offset = (seed // 2 % 10 - 5) / 50
            # The other kind of SA lives for ever: what it would lose is not the point here.
            settings = Settings(child_seconds=10**6) if what == "parent" else Settings(sa_seconds=0)
            both = renewing(
                settings,
                a={what: Renewal(600.0)},
                b={what: Renewal(599.9 + offset)},
                seed=seed,
            )
            watch = Watch(both)
            watch.until(590.0)
            network = both.network
            network.drop = network.duplicate = network.reorder = 0.2
            network.jitter = 0.05
            watch.until(700.0)
            network.drop = network.duplicate = network.reorder = network.jitter = 0.0
            watch.until(1150.0)
            self.assertEqual(watch.gaps, [], (what, seed))
            self.assertLessEqual(watch.most, 8, (what, seed))
            watch.until(4300.0)
            self.assertEqual(watch.gaps, [], (what, seed))
            self.assertEqual(disagreements(both.a, both.b), [], (what, seed))

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
