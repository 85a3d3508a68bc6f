"""How many ISAKMP SAs one peer has."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.connections import Connection, Limits
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.events import Established, Removal
from isakmp.uniqueness import Uniqueness
from tests.nodes import ALICE, BOB, Member, Pair, Settings, connection, pair, settle

ELSEWHERE = "192.0.2.77"
"""Where Alice is next: see :func:`moved`."""


def from_anywhere(unique: bool) -> Pair:
    """Alice and Bob, who takes her wherever she is."""

    def bobs(his: Connection) -> Connection:
        return replace(his, remote=(), unique=unique)

    return pair(bobs=bobs)


def moved(both: Pair) -> Member:
    """Alice at another address, and with no memory of the first; the child is up again."""
    hers = connection(ELSEWHERE, BOB, "i.lab", "r.lab")
    here, there = both.a.connection().children[0].local, both.a.connection().children[0].remote
    children = tuple(replace(child, local=here, remote=there) for child in hers.children)
    hers = replace(hers, children=children, initial_contact=False)
    again = Member(both.network, both.clock, ELSEWHERE, [hers])
    settle(both.clock, again.establish())
    both.wait(0.5)
    return again


class ReplaceTests(SynchronousTestCase):
    """``unique`` of a connection."""

    def test_moved(self) -> None:
        """
        A peer comes back from another address: with unique = replace what it had is deleted, with
        its children, and what it has now stands.
        """
        both = from_anywhere(unique=True)
        both.up()
        again = moved(both)
        self.assertEqual([sa.path.remote[0] for sa in both.b.sas], [ELSEWHERE])
        self.assertEqual([one.key for one in both.b.sas], [one.key for one in again.sas])
        (bundle,) = both.b.bundles
        self.assertEqual(bundle.parent, both.b.sas[0].key)
        self.assertEqual(both.b.removals, [Removal.MOVED, Removal.MOVED])
        self.assertEqual(list(both.b.sink.standing), [bundle.name])

    def test_not_unique(self) -> None:
        """Unless it is said both stand, each with its own child, until they expire."""
        both = from_anywhere(unique=False)
        both.up()
        moved(both)
        self.assertEqual([sa.path.remote[0] for sa in both.b.sas], [ALICE, ELSEWHERE])
        parents = [bundle.parent for bundle in both.b.bundles]
        self.assertEqual(parents, [sa.key for sa in both.b.sas])

    def test_not_configured(self) -> None:
        """What is not configured any more is not unique: nothing is deleted for it."""
        both = from_anywhere(unique=True)
        both.up()
        both.b.assembly.uniqueness.stop()
        moved(both)
        both.b.assembly.uniqueness = Uniqueness(both.b.node)
        both.b.assembly.configure([], [])
        both.b.node.events.publish(Established(both.b.sas[-1]))
        both.wait(0.5)
        self.assertEqual(len(both.b.sas), 2)

    def test_same_address(self) -> None:
        """A renewal is no other peer: the child goes on under the new SA, and none is deleted."""
        both = from_anywhere(unique=True)
        both.up()
        settle(both.clock, both.a.endpoint.reauthenticate(both.a.sas[0]))
        both.wait(0.5)
        self.assertEqual(len(both.b.sas), 2)
        self.assertEqual(both.b.bundles[0].parent, both.b.sas[1].key)
        self.assertEqual(both.b.removals, [])

    def test_stranger(self) -> None:
        """Whoever says that it is Alice, and does not prove it, takes nothing of hers away."""
        both = from_anywhere(unique=True)
        both.up()
        hers = connection(ELSEWHERE, BOB, "i.lab", "r.lab")
        guessed = (SharedSecret(b"guessed", ()),)
        mallory = Member(both.network, both.clock, ELSEWHERE, [hers], secrets=guessed)
        failed = mallory.establish()
        both.wait(60)
        self.failureResultOf(failed)
        self.assertEqual([sa.path.remote[0] for sa in both.b.sas], [ALICE])
        self.assertEqual(both.b.removals, [])


class MostTests(SynchronousTestCase):
    """``sas_per_peer`` of the limits."""

    def test_most(self) -> None:
        """
        A peer that authenticates again and again has no more ISAKMP SAs than it may: the oldest is
        deleted, at both ends, and the child goes on under the newest.
        """
        both = pair(Settings(limits=Limits(sas_per_peer=3)))
        both.up()
        for _ in range(5):
            settle(both.clock, both.a.endpoint.reauthenticate(both.a.sas[-1]))
            both.wait(0.5)
            self.assertLessEqual(len(both.b.sas), 3)
        self.assertEqual(len(both.b.sas), 3)
        self.assertEqual([sa.key for sa in both.a.sas], [sa.key for sa in both.b.sas])
        self.assertEqual(both.b.bundles[0].parent, both.b.sas[-1].key)
        self.assertEqual(len(both.b.sink.standing), 1)

    def test_stopped(self) -> None:
        """When the node has stopped it deletes nothing more."""
        both = pair(Settings(limits=Limits(sas_per_peer=1)))
        both.b.assembly.uniqueness.stop()
        both.b.assembly.uniqueness.stop()
        both.a.assembly.uniqueness.stop()
        both.up()
        settle(both.clock, both.a.endpoint.reauthenticate(both.a.sas[-1]))
        both.wait(0.5)
        self.assertEqual(len(both.b.sas), 2)
