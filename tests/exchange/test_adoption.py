"""
Children whose ISAKMP SA goes, while another stands with the same peer.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.events import Removal, Replaced
from isakmp.interfaces import IManagementSA
from isakmp.testing import settle
from tests.nodes import (
    ALICE,
    BOB,
    SHARED,
    Member,
    Pair,
    Settings,
    assert_clean,
    connection,
    disagreements,
    pair,
)


def parents(member: Member) -> list[object]:
    """Of each child the cookies of its ISAKMP SA."""
    return [child.parent for child in member.bundles]


class AdoptionTests(SynchronousTestCase):
    def twice(self, settings: Settings = Settings()) -> tuple[Pair, IManagementSA, IManagementSA]:
        """A pair with a child, its ISAKMP SA, and another one between the same two."""
        both = pair(settings)
        both.up()
        (old,) = both.a.sas
        new = settle(both.clock, both.a.endpoint.reauthenticate(old))
        both.wait(0.5)
        return both, old, new

    def test_adopted(self) -> None:
        """
        With a new ISAKMP SA its children go on under that, at both ends, and the old one stays
        until somebody deletes it.  Whoever listens is told that they are the same under another
        value.
        """
        both = pair(Settings(children=2))
        both.up()
        settle(both.clock, both.a.establish("net1"))
        both.wait(0.5)
        told: list[Replaced] = []
        both.b.node.events.subscribe(Replaced, told.append)
        (old,) = both.a.sas
        new = settle(both.clock, both.a.endpoint.reauthenticate(old))
        both.wait(0.5)
        for member in (both.a, both.b):
            self.assertEqual(parents(member), [new.key] * 2)
            self.assertEqual([sa.key for sa in member.sas], [old.key, new.key])
            self.assertEqual(member.removals, [])
        self.assertEqual([event.old.parent for event in told], [old.key] * 2)  # type: ignore[union-attr]
        self.assertEqual([event.new.parent for event in told], [new.key] * 2)  # type: ignore[union-attr]
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_not_said(self) -> None:
        """A new one beside the old is no first contact: nothing of the old one is forgotten."""
        both, old, _ = self.twice()
        self.assertIn(old.key, [sa.key for sa in both.b.sas])
        self.assertEqual(both.b.removals, [])

    def test_inherited(self) -> None:
        """
        When one of two ISAKMP SAs is replaced, or is over, or the peer deletes it, the other has
        the children from then on, at both ends.
        """
        for why in (Removal.REPLACED, Removal.EXPIRED):
            both, old, new = self.twice()
            settle(
                both.clock, both.b.endpoint.delete([b for b in both.b.sas if b.key == new.key], why)
            )
            both.wait(0.5)
            for member in (both.a, both.b):
                self.assertEqual(parents(member), [old.key])
                self.assertEqual(len(member.sink.standing), 1)
            self.assertEqual(both.a.removals, [Removal.DELETED_BY_PEER])
            self.assertEqual(disagreements(both.a, both.b), [])
            settle(both.clock, both.b.endpoint.delete(both.b.sas, why))
            both.wait(0.5)
            assert_clean(self, both.a, both.b)

    def test_with_its_sa(self) -> None:
        """If I delete it, its peer is silent, or this node ends, its children go with it."""
        for why in (Removal.DELETED, Removal.PEER_GONE, Removal.SHUTDOWN):
            both, old, new = self.twice()
            settle(both.clock, both.a.endpoint.delete([new], why))
            both.wait(0.5)
            for member in (both.a, both.b):
                self.assertEqual((member.bundles, len(member.sink.standing)), ([], 0))
                self.assertEqual([sa.key for sa in member.sas], [old.key])

    def test_restarted(self) -> None:
        """A peer that has begun afresh has none of them: nobody inherits."""
        both, _, _ = self.twice()
        both.b.forget()
        settle(both.clock, both.b.establish())
        both.wait(0.5)
        self.assertEqual(set(both.a.removals), {Removal.PEER_RESTARTED})
        self.assertEqual(len(both.a.bundles), 1)
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_others(self) -> None:
        """Another connection with the same peer, and another peer, have children of their own."""
        both = pair()
        other = replace(connection(BOB, ALICE, "r.lab", "i.lab"), name="other")
        hers = replace(connection(ALICE, BOB, "i.lab", "r.lab"), name="other")
        both.up()
        (child,) = both.a.bundles
        for member, road in ((both.a, hers), (both.b, other)):
            member.assembly.configure((member.connection(), road), SHARED)  # type: ignore[arg-type]
        before = both.a.sas
        both.a.endpoint.establish(hers, hers.children)
        both.wait(1.0)
        self.assertEqual(len(both.a.sas), 2)
        self.assertIn(before[0].key, parents(both.a))
        both.a.endpoint.delete(before, Removal.REPLACED)
        self.assertIsNone(both.a.registry.find(child.key))

    def test_under_a_given_sa(self) -> None:
        """A child is negotiated under the ISAKMP SA that is named, else under the newest."""
        both, old, new = self.twice(Settings(children=3))
        road = both.a.connection()
        for sa, child, expected in (
            (old, "net1", old.key),
            (None, "net2", new.key),
        ):
            (made,) = settle(both.clock, both.a.endpoint.establish(road, road.child(child), sa))
            self.assertEqual(made.parent, expected)

    def test_no_longer_configured(self) -> None:
        """Without its connection an ISAKMP SA cannot be made anew: I read which one is missing."""
        both = pair()
        both.up()
        both.a.assembly.configure((), SHARED)  # type: ignore[arg-type]
        failing = both.a.endpoint.reauthenticate(both.a.sas[0])
        self.assertIn("lab", str(self.failureResultOf(failing).value))
