"""
The registry: what is established in this process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.associations import CookiePair, SABundle, SPIKey
from isakmp.connections import Limits
from isakmp.errors import Cancelled
from isakmp.events import Established, Removal, Removed, Replaced
from isakmp.identity import Identity
from isakmp.interfaces import Expiry, IManagementSA, ISARegistry, ISAStore, Record
from isakmp.numbers import DOI, IdentityType, ProtocolID
from isakmp.registry import SARegistry
from isakmp.stores.memory import MemoryStore
from isakmp.stream import EventStream
from tests.samples import PEER, US, SampleSA, SlowStore, bundle, cookies, logged, protection_sa


class Node:
    """A registry and all that it talks to."""

    def __init__(self, store: ISAStore | None = None, limits: Limits = Limits()) -> None:
        self.store = MemoryStore() if store is None else store
        self.clock = Clock()
        self.stream = EventStream()
        self.events: list[Any] = []
        self.stream.subscribe(Established, self.events.append)
        self.stream.subscribe(Removed, self.events.append)
        self.registry = SARegistry(self.store, self.clock, self.stream, limits)

    def stored(self) -> dict[Any, Record]:
        records: list[Record] = []
        self.store.scan().addCallback(records.extend)
        return {record.key: record for record in records}


class LookUpTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.node = Node()
        self.registry = self.node.registry

    def add(self, sa: IManagementSA | SABundle, hard: float = 0.0) -> None:
        self.successResultOf(self.registry.add(sa, Expiry(hard)))

    def test_interface(self) -> None:
        """It is what the rest of the package expects of a registry."""
        verifyObject(ISARegistry, self.registry)

    def test_by_cookies(self) -> None:
        """
        An ISAKMP SA is found by its two cookies, and by nothing that is only partly so.

        Proves: RFC 2408 section 2.4
        """
        sa = SampleSA(cookies(1))
        self.add(sa)
        self.assertIs(self.registry.find(cookies(1)), sa)
        self.assertIsNone(self.registry.find(cookies(2)))
        self.assertIsNone(self.registry.find(CookiePair(cookies(1).initiator, bytes(8))))
        self.assertIsNone(
            self.registry.find(CookiePair(cookies(1).responder, cookies(1).initiator))
        )

    def test_by_spi(self) -> None:
        """
        A bundle is found by SPI, protocol, domain and destination of each of its SAs, in both
        directions: a peer's Delete names what we send by.

        Proves: RFC 2408 section 2.4
        """
        both = SABundle(
            "both",
            cookies(1),
            (protection_sa(0x1001, US), protection_sa(0x1002, US, protocol=ProtocolID.AH)),
            (protection_sa(0x2001, PEER), protection_sa(0x2002, PEER, protocol=ProtocolID.AH)),
            bundle().policy,
        )
        self.add(both)
        for key in both.keys:
            self.assertIs(self.registry.find(key), both)
        for other in (
            SPIKey(DOI.IPSEC, ProtocolID.ESP, bytes([0, 0, 0x10, 1]), PEER),
            SPIKey(DOI.IPSEC, ProtocolID.AH, bytes([0, 0, 0x10, 1]), US),
            SPIKey(DOI.GDOI, ProtocolID.ESP, bytes([0, 0, 0x10, 1]), US),
            SPIKey(DOI.IPSEC, ProtocolID.ESP, bytes([0x10, 1]), US),
        ):
            self.assertIsNone(self.registry.find(other))

    def test_children(self) -> None:
        """The children of an SA are those made under it, the oldest first, and no others'."""
        self.add(SampleSA(cookies(1)))
        self.add(SampleSA(cookies(2)))
        first, second = bundle(0x1001, 0x2001), bundle(0x1002, 0x2002)
        other = bundle(0x1003, 0x2003, parent=cookies(2))
        for child in (first, other, second):
            self.add(child)
        self.assertEqual(self.registry.children(cookies(1)), (first, second))
        self.assertEqual(self.registry.children(cookies(2)), (other,))
        self.assertEqual(self.registry.children(cookies(3)), ())

    def test_by_peer(self) -> None:
        """
        A party is the same with whatever protocol and port it named itself, and however a name's
        letters are written; a key id is octets, and those have no capitals.
        """
        named = SampleSA(cookies(1), theirs=Identity.parse("Peer.Example.org"))
        with_port = SampleSA(
            cookies(2), theirs=Identity(IdentityType.FQDN, 17, 500, b"peer.example.ORG")
        )
        user = SampleSA(
            cookies(3), theirs=Identity(IdentityType.USER_FQDN, 0, 0, b"peer.example.org")
        )
        key_a = SampleSA(cookies(4), theirs=Identity(IdentityType.KEY_ID, 0, 0, b"A"))
        key_b = SampleSA(cookies(5), theirs=Identity(IdentityType.KEY_ID, 0, 0, b"a"))
        for sa in (named, with_port, user, key_a, key_b):
            self.add(sa)
        same = Identity.parse("peer.example.org")
        self.assertEqual(self.registry.by_peer(same), (named, with_port))
        self.assertEqual(self.registry.by_peer(key_a.theirs), (key_a,))
        self.assertEqual(self.registry.by_peer(key_b.theirs), (key_b,))
        self.assertEqual(self.registry.by_peer(Identity.parse("other.example.org")), ())

    def test_by_connection(self) -> None:
        """A connection's management SAs come the oldest first; its children are not among them."""
        old, new = SampleSA(cookies(9)), SampleSA(cookies(1))
        for sa in (old, SampleSA(cookies(5), connection="rail"), new, bundle()):
            self.add(sa)
        self.assertEqual(self.registry.by_connection("road"), (old, new))
        self.assertEqual(self.registry.by_connection("net"), ())

    def test_stands(self) -> None:
        """A connection stands from its first management SA to its last."""
        old, new = SampleSA(cookies(9)), SampleSA(cookies(1))
        self.assertFalse(self.registry.stands("road"))
        for sa in (old, new):
            self.add(sa)
        for sa, left in ((old, True), (new, False)):
            self.assertTrue(self.registry.stands("road"))
            self.successResultOf(self.registry.remove(sa, Removal.DELETED))
            self.assertIs(self.registry.stands("road"), left)
        self.assertFalse(self.registry.stands("net"))

    def test_snapshot(self) -> None:
        """Whoever goes through the SAs may remove them on the way."""
        for added in (SampleSA(cookies(1)), bundle(0x1001, 0x2001), bundle(0x1002, 0x2002)):
            self.add(added)
        for sa in self.registry:
            self.successResultOf(self.registry.remove(sa, Removal.SHUTDOWN))
        self.assertEqual(list(self.registry), [])
        self.assertEqual(len(self.registry), 0)
        self.assertEqual(self.node.stored(), {})

    def test_expiry(self) -> None:
        """It knows until when an SA may be used, and since when it stands; only of those here."""
        sa = bundle()
        self.node.clock.advance(7)
        self.add(sa, 60.0)
        self.assertEqual(self.registry.expiry(sa), Expiry(60.0))
        self.assertEqual(self.registry.since(sa), 7.0)
        for unknown in (bundle(0x1009, 0x2009), SampleSA(cookies(1))):
            self.assertRaises(LookupError, self.registry.expiry, unknown)
            self.assertRaises(LookupError, self.registry.since, unknown)


class ChangeTests(SynchronousTestCase):
    def test_events(self) -> None:
        """
        I am told of an SA once, after it stands, and of its end once, after it is gone, with the
        reason.
        """
        node, sa, seen = Node(), SampleSA(), []

        def look(event: Established | Removed) -> None:
            seen.append((type(event), node.registry.find(event.sa.key)))

        node.stream.subscribe(Established, look)
        node.stream.subscribe(Removed, look)
        self.successResultOf(node.registry.add(sa, Expiry()))
        self.successResultOf(node.registry.remove(sa, Removal.EXPIRED))
        self.successResultOf(node.registry.remove(sa, Removal.DELETED))
        self.assertEqual(node.events, [Established(sa), Removed(sa, Removal.EXPIRED)])
        self.assertEqual(seen, [(Established, sa), (Removed, None)])

    def test_removed_with_its_times(self) -> None:
        """Who is told of a removal is told what can be looked up no more: number and times."""
        node, sa = Node(), SampleSA()
        node.clock.advance(5.0)
        node.registry.add(sa, Expiry(900.0))
        node.clock.advance(60.0)
        node.registry.remove(sa, Removal.DELETED)
        gone = node.events[-1]
        assert isinstance(gone, Removed)
        self.assertEqual((gone.number, gone.since, gone.hard), (1, 5.0, 900.0))

    def test_stored(self) -> None:
        """What stands is in the store under the name it is found by, and leaves it at its end."""
        node, sa, child = Node(), SampleSA(), bundle()
        self.successResultOf(node.registry.add(sa, Expiry(5.0)))
        self.successResultOf(node.registry.add(child, Expiry(3.0)))
        self.assertEqual(
            node.stored(),
            {
                sa.key: Record(sa.key, sa, Expiry(5.0)),
                child.key: Record(child.key, child, Expiry(3.0)),
            },
        )
        self.successResultOf(node.registry.remove(sa, Removal.DELETED))
        self.assertEqual(list(node.stored()), [child.key])

    def test_removing_a_parent(self) -> None:
        """The children of an ISAKMP SA do not go with it by themselves."""
        node, sa, child = Node(), SampleSA(), bundle()
        for each in (sa, child):
            self.successResultOf(node.registry.add(each, Expiry()))
        self.successResultOf(node.registry.remove(sa, Removal.DELETED))
        self.assertEqual(node.registry.children(sa.key), (child,))
        self.assertEqual(list(node.registry), [child])

    def test_taken(self) -> None:
        """
        An SA with a name that another has is refused, and nothing at all has changed: not even for
        those of its names that were free.
        """
        node, child = Node(), bundle(0x1001, 0x2001)
        for each in (SampleSA(cookies(1)), child):
            self.successResultOf(node.registry.add(each, Expiry()))
        before, events = list(node.registry), list(node.events)
        for hostile in (
            SampleSA(cookies(1), connection="other"),
            bundle(0x1001, 0x2009),
            bundle(0x1009, 0x2001),
            bundle(0x1009, 0x2009, name=child.name),
        ):
            self.assertRaises(ValueError, node.registry.add, hostile, Expiry())
        self.assertEqual(list(node.registry), before)
        self.assertEqual(node.events, events)
        self.assertEqual(node.registry.children(cookies(1)), (child,))
        self.assertEqual(node.registry.by_connection("other"), ())
        for free in bundle(0x1009, 0x2009).keys:
            self.assertIsNone(node.registry.find(free))
        self.assertEqual(set(node.stored()), {cookies(1), child.key})

    def test_bundles_without_names(self) -> None:
        """A bundle that receives by nothing, or by one name twice, cannot be kept."""
        node = Node()
        inbound = (protection_sa(0x1001, US),)
        for hostile in (
            SABundle("none", cookies(1), (), inbound, bundle().policy),
            SABundle("twice", cookies(1), inbound * 2, (), bundle().policy),
            SABundle("both", cookies(1), inbound, inbound, bundle().policy),
        ):
            self.assertRaises(ValueError, node.registry.add, hostile, Expiry())
        self.assertEqual(list(node.registry), [])

    def test_name_given_again(self) -> None:
        """A bundle that is long gone does not take away another that got its SPI since."""
        node, old, new = Node(), bundle(0x1001, 0x2001), bundle(0x1001, 0x2002, name="new")
        self.successResultOf(node.registry.add(old, Expiry()))
        self.successResultOf(node.registry.remove(old, Removal.EXPIRED))
        self.successResultOf(node.registry.add(new, Expiry(9.0)))
        self.successResultOf(node.registry.remove(old, Removal.DELETED))
        self.assertIs(node.registry.find(new.key), new)
        self.assertRaises(LookupError, node.registry.expiry, old)
        self.assertEqual(node.events[-1], Established(new))

    def test_many_in_one_observer(self) -> None:
        """An observer that removes what it is told of: everybody still sees one order."""
        node, sa = Node(), SampleSA()

        def remove(event: Established) -> None:
            node.registry.remove(event.sa, Removal.DELETED)

        node.stream.subscribe(Established, remove)
        self.successResultOf(node.registry.add(sa, Expiry()))
        self.assertEqual(node.events, [Established(sa), Removed(sa, Removal.DELETED)])


class StoreTests(SynchronousTestCase):
    """What becomes of changes while the store is slow, and if it fails."""

    def setUp(self) -> None:
        self.store = SlowStore()
        self.node = Node(self.store)
        self.registry = self.node.registry

    def test_slow(self) -> None:
        """An SA is found at once, and announced, and may be committed to, when it is stored."""
        sa = SampleSA()
        adding = self.registry.add(sa, Expiry())
        self.assertIs(self.registry.find(sa.key), sa)
        self.assertNoResult(adding)
        self.assertEqual(self.node.events, [])
        ((what, _, answer),) = self.store.asked
        self.assertEqual(what, "save")
        answer.callback(None)
        self.successResultOf(adding)
        self.assertEqual(self.node.events, [Established(sa)])

    def test_add_rejected(self) -> None:
        """If it cannot be stored I am told why, it is not found, and its names are free again."""
        for sa in (SampleSA(), bundle()):
            adding = self.registry.add(sa, Expiry())
            self.store.asked[-1][2].errback(OSError("disk full"))
            self.failureResultOf(adding, OSError)
            self.assertEqual(list(self.registry), [])
            self.assertIsNone(self.registry.find(sa.key))
            self.assertEqual(self.node.events, [])
            self.assertEqual(self.registry.children(cookies(1)), ())
            self.assertEqual(self.registry.by_connection("road"), ())
            again = self.registry.add(sa, Expiry())
            self.store.asked[-1][2].callback(None)
            self.successResultOf(again)
            self.assertEqual(self.node.events, [Established(sa)])
            self.registry.remove(sa, Removal.DELETED)
            self.node.events.clear()

    def test_store_that_raises(self) -> None:
        """A store that raises instead of answering is a store that failed."""

        def broken(records: object) -> Deferred[None]:
            raise OSError("no store")

        self.patch(SlowStore, "save", lambda _, records: broken(records))
        self.failureResultOf(self.registry.add(SampleSA(), Expiry()), OSError)
        self.assertEqual(list(self.registry), [])

    def test_removed_before_it_was_stored(self) -> None:
        """
        Who waits for an SA that is removed meanwhile must not commit to it; nobody was told of it,
        so nobody is told of its end; and the store does not keep it.
        """
        sa = SampleSA()
        adding = self.registry.add(sa, Expiry())
        removing = self.registry.remove(sa, Removal.PEER_GONE)
        self.assertIsNone(self.registry.find(sa.key))
        self.assertEqual([what for what, _, _ in self.store.asked], ["save"])
        self.store.asked[0][2].callback(None)
        self.failureResultOf(adding, Cancelled)
        self.assertNoResult(removing)
        what, keys, answer = self.store.asked[1]
        self.assertEqual((what, keys), ("delete", [sa.key]))
        answer.callback(None)
        self.successResultOf(removing)
        self.assertEqual(self.node.events, [])

    def test_removed_and_not_stored(self) -> None:
        """If it is removed and cannot be stored either, I am told of the store's failure."""
        sa = bundle()
        adding = self.registry.add(sa, Expiry())
        self.registry.remove(sa, Removal.DELETED)
        self.store.asked[0][2].errback(OSError("disk full"))
        self.failureResultOf(adding, OSError)
        self.assertEqual(list(self.registry), [])
        self.assertEqual(self.node.events, [])

    def test_given_up(self) -> None:
        """If I give up waiting, the SA is gone, and so is what the store may have of it."""
        sa = SampleSA()
        adding = self.registry.add(sa, Expiry())
        adding.cancel()
        self.failureResultOf(adding, CancelledError)
        self.assertIsNone(self.registry.find(sa.key))
        what, keys, answer = self.store.asked[1]
        self.assertEqual((what, keys), ("delete", [sa.key]))
        answer.errback(OSError("gone"))
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_one_after_another(self) -> None:
        """A slow deletion does not take away the SA that got the same name after it."""
        old, new = bundle(0x1001, 0x2001), bundle(0x1001, 0x2002, name="new")
        self.registry.add(old, Expiry())
        self.store.asked[0][2].callback(None)
        removing = self.registry.remove(old, Removal.DELETED)
        adding = self.registry.add(new, Expiry())
        self.assertEqual([what for what, _, _ in self.store.asked], ["save", "delete"])
        self.store.asked[1][2].callback(None)
        self.successResultOf(removing)
        self.assertEqual([what for what, _, _ in self.store.asked], ["save", "delete", "save"])
        self.store.asked[2][2].callback(None)
        self.successResultOf(adding)
        self.assertIs(self.registry.find(new.key), new)

    def test_others_do_not_wait(self) -> None:
        """A store that is slow with one SA does not hold up another."""
        self.registry.add(SampleSA(cookies(1)), Expiry())
        self.registry.add(SampleSA(cookies(2)), Expiry())
        self.assertEqual(len(self.store.asked), 2)

    def test_removal_fails(self) -> None:
        """If the store cannot delete, I am told so, but the SA is not used any longer."""
        sa = SampleSA()
        self.registry.add(sa, Expiry())
        self.store.asked[0][2].callback(None)
        removing = self.registry.remove(sa, Removal.DELETED)
        self.store.asked[1][2].errback(OSError("disk full"))
        self.failureResultOf(removing, OSError)
        self.assertIsNone(self.registry.find(sa.key))
        self.assertEqual(self.node.events[-1], Removed(sa, Removal.DELETED))


class MessageIDTests(SynchronousTestCase):
    def node(self, message_ids: int = 16384) -> Node:
        node = Node(limits=Limits(message_ids=message_ids))
        self.successResultOf(node.registry.add(SampleSA(cookies(1)), Expiry()))
        self.successResultOf(node.registry.add(SampleSA(cookies(2)), Expiry()))
        return node

    def test_once(self) -> None:
        """
        A message id is fresh once under each SA: a replayed first message begins nothing.

        Proves: RFC 2408 section 3.1
        Proves: RFC 2409 section 5.7 (row 5.7-1)
        """
        registry = self.node().registry
        self.assertTrue(registry.fresh(cookies(1), 0xDEADBEEF))
        self.assertFalse(registry.fresh(cookies(1), 0xDEADBEEF))
        self.assertTrue(registry.fresh(cookies(2), 0xDEADBEEF))
        self.assertTrue(registry.fresh(cookies(1), 1))

    def test_never(self) -> None:
        """
        Zero is phase 1's; what does not fit into four octets is no message id; and under an SA
        that is not here nothing is fresh.

        Proves: RFC 2408 section 3.1
        """
        registry = self.node().registry
        for number in (0, -1, 2**32):
            self.assertFalse(registry.fresh(cookies(1), number))
        self.assertFalse(registry.fresh(cookies(3), 5))
        self.assertTrue(registry.fresh(cookies(1), 2**32 - 1))

    def test_worn_out(self) -> None:
        """
        A peer cannot fill our memory with message ids: beyond the bound everything is refused, and
        the log says so once for each SA.
        """
        said = logged(self)
        registry = self.node(message_ids=3).registry
        results = [registry.fresh(cookies(1), number) for number in (1, 2, 2, 3, 4, 5, 1)]
        self.assertEqual(results, [True, True, False, True, False, False, False])
        warnings = [event for event in said if event["log_level"] is LogLevel.warn]
        self.assertEqual([event["cookies"] for event in warnings], [str(cookies(1))])
        self.assertTrue(registry.fresh(cookies(2), 4))

    def test_forgotten(self) -> None:
        """The record goes with the SA; one that came later with the same cookies begins anew."""
        node = self.node()
        self.assertTrue(node.registry.fresh(cookies(1), 7))
        sa = node.registry.find(cookies(1))
        assert sa is not None
        self.successResultOf(node.registry.remove(sa, Removal.DELETED))
        self.assertFalse(node.registry.fresh(cookies(1), 8))
        self.successResultOf(node.registry.add(SampleSA(cookies(1)), Expiry()))
        self.assertTrue(node.registry.fresh(cookies(1), 7))


class ReplaceTests(SynchronousTestCase):
    """A bundle that is adopted by another ISAKMP SA is the same under another value."""

    def setUp(self) -> None:
        self.node = Node()
        self.registry = self.node.registry
        self.replaced: list[Replaced] = []
        self.node.stream.subscribe(Replaced, self.replaced.append)
        self.old, self.new = bundle(), bundle(parent=cookies(2))
        for sa in (SampleSA(cookies(1)), SampleSA(cookies(2)), self.old):
            self.successResultOf(self.registry.add(sa, Expiry(60.0)))
        self.node.events.clear()

    def test_found(self) -> None:
        """
        It is found by all its names, and among the children of its new parent only; it has not
        begun anew: its age and its end are the same, and it was neither established nor removed.
        """
        self.node.clock.advance(7.0)
        self.successResultOf(self.registry.replace(self.old, self.new))
        for key in self.new.keys:
            self.assertIs(self.registry.find(key), self.new)
        self.assertEqual(self.registry.children(cookies(1)), ())
        self.assertEqual(self.registry.children(cookies(2)), (self.new,))
        self.assertEqual(self.registry.expiry(self.new), Expiry(60.0))
        self.assertEqual(self.registry.since(self.new), 0.0)
        self.assertEqual(len(self.registry), 3)
        self.assertEqual((self.node.events, self.replaced), ([], [Replaced(self.old, self.new)]))
        self.assertEqual(
            self.node.stored()[self.new.key], Record(self.new.key, self.new, Expiry(60.0))
        )

    def test_removed(self) -> None:
        """Whoever still has the old value removes the same SA by it."""
        self.successResultOf(self.registry.replace(self.old, self.new))
        self.successResultOf(self.registry.remove(self.old, Removal.EXPIRED))
        self.assertEqual(self.registry.children(cookies(2)), ())
        self.assertEqual(self.node.events, [Removed(self.new, Removal.EXPIRED)])
        self.assertEqual(set(self.node.stored()), {cookies(1), cookies(2)})

    def test_management(self) -> None:
        """The message ids used under an ISAKMP SA are used under its new value, too."""
        sa = SampleSA(cookies(1), connection="rail")
        self.assertTrue(self.registry.fresh(cookies(1), 7))
        self.successResultOf(self.registry.replace(SampleSA(cookies(1)), sa))
        self.assertFalse(self.registry.fresh(cookies(1), 7))
        self.assertEqual(self.registry.by_connection("rail"), (sa,))
        self.assertEqual([one.key for one in self.registry.by_connection("road")], [cookies(2)])

    def test_moved(self) -> None:
        """
        A bundle whose peer receives elsewhere is found by where that is, and no longer by where it
        was; who knows it as it was can still name it.
        """
        (out,) = self.old.outbound
        there = out.key._replace(destination="192.0.2.77")
        new = replace(self.old, outbound=(replace(out, key=there),))
        self.successResultOf(self.registry.replace(self.old, new))
        self.assertIs(self.registry.find(there), new)
        self.assertIsNone(self.registry.find(out.key))
        self.assertIs(self.registry.find(self.old.key), new)
        self.assertEqual(self.registry.number(self.old), self.registry.number(new))
        again = bundle(0x1007, 0x2001)  # the old name is free
        self.successResultOf(self.registry.add(again, Expiry(0.0)))
        self.assertRaises(ValueError, self.registry.replace, new, self.old)
        self.assertIs(self.registry.find(there), new)
        self.successResultOf(self.registry.remove(self.old, Removal.DELETED))
        self.assertIsNone(self.registry.find(there))
        self.assertIs(self.registry.find(out.key), again)

    def test_hostile(self) -> None:
        """What is not here cannot be replaced, nor one SA by another; nothing has changed then."""
        other = bundle(0x1009, 0x2009)
        self.assertRaises(LookupError, self.registry.replace, other, other)
        turned = SABundle(
            self.old.name, cookies(2), self.old.outbound, self.old.inbound, self.old.policy
        )
        for new in (other, bundle(name="other"), SampleSA(cookies(1)), turned):
            self.assertRaises(ValueError, self.registry.replace, self.old, new)
        self.assertEqual(self.registry.children(cookies(1)), (self.old,))
        self.assertEqual((self.node.events, self.replaced), ([], []))
        self.assertIs(self.node.stored()[self.old.key].sa, self.old)


class SlowReplaceTests(SynchronousTestCase):
    """The same with a store that takes its time."""

    def setUp(self) -> None:
        self.store = SlowStore()
        self.node = Node(self.store)
        self.replaced: list[Replaced] = []
        self.node.stream.subscribe(Replaced, self.replaced.append)
        self.old, self.new = bundle(), bundle(parent=cookies(2))
        self.adding = self.node.registry.add(self.old, Expiry())
        self.replacing = self.node.registry.replace(self.old, self.new)

    def test_before_it_was_stored(self) -> None:
        """An SA that is adopted before it is stored is established as what it is by then."""
        self.assertIs(self.node.registry.find(self.old.key), self.new)
        self.assertEqual(len(self.store.asked), 1)
        self.store.asked[0][2].callback(None)
        self.successResultOf(self.adding)
        self.assertEqual((self.node.events, self.replaced), ([Established(self.new)], []))
        self.assertNoResult(self.replacing)
        what, records, answer = self.store.asked[1]
        self.assertEqual((what, records), ("save", [Record(self.new.key, self.new, Expiry())]))
        answer.callback(None)
        self.successResultOf(self.replacing)

    def test_not_stored(self) -> None:
        """If it cannot be stored in the first place, its new value is not stored either."""
        self.store.asked[0][2].errback(OSError("disk full"))
        self.failureResultOf(self.adding, OSError)
        self.successResultOf(self.replacing)
        self.assertEqual(len(self.store.asked), 1)
        self.assertEqual((list(self.node.registry), self.node.events), ([], []))
        self.assertEqual(self.node.registry.children(cookies(2)), ())

    def test_removed_meanwhile(self) -> None:
        """If it is removed meanwhile, the store has neither value in the end."""
        removing = self.node.registry.remove(self.old, Removal.DELETED)
        self.store.asked[0][2].callback(None)
        self.failureResultOf(self.adding, Cancelled)
        self.successResultOf(self.replacing)
        what, keys, answer = self.store.asked[1]
        self.assertEqual((what, keys), ("delete", [self.old.key]))
        answer.callback(None)
        self.successResultOf(removing)
        self.assertEqual(len(self.store.asked), 2)


class RegistryMachine(RuleBasedStateMachine):
    """
    Any order of additions, replacements and removals, with a store that fails now and then, against
    a plain list of what must stand.
    """

    sas = Bundle("sas")

    def __init__(self) -> None:
        super().__init__()
        self.failing = False
        store = MemoryStore()
        save = store.save
        store.save = self._sometimes(save)  # type: ignore[method-assign]
        self.node = Node(store, Limits(message_ids=4))
        self.standing: list[Any] = []
        self.used: dict[CookiePair, set[int]] = {}

    def _sometimes(self, save: Callable[..., Deferred[None]]) -> Callable[..., Deferred[None]]:
        return lambda records: fail(OSError()) if self.failing else save(records)

    @rule(target=sas, number=st.integers(1, 4), name=st.sampled_from(["a", "b", "A"]))
    def management_sa(self, number: int, name: str) -> Any:
        return SampleSA(cookies(number), connection=f"c{name}", theirs=Identity.parse(name))

    @rule(
        target=sas,
        inbound=st.integers(0x1001, 0x1004),
        outbound=st.integers(0x2001, 0x2004),
        parent=st.integers(1, 4),
    )
    def protection(self, inbound: int, outbound: int, parent: int) -> Any:
        return bundle(inbound, outbound, parent=cookies(parent))

    def names(self, sa: Any) -> set[object]:
        return {sa.name, *sa.keys} if isinstance(sa, SABundle) else {sa.key}

    @rule(sa=sas, failing=st.booleans())
    def add(self, sa: Any, failing: bool) -> None:
        self.failing = failing
        taken = set().union(*map(self.names, self.standing), set())
        count = len(self.node.events)
        outcome: list[object] = []
        try:
            self.node.registry.add(sa, Expiry()).addBoth(outcome.append)
        except ValueError:
            assert taken & self.names(sa)
            return
        assert not taken & self.names(sa)
        if failing:
            assert isinstance(getattr(outcome[0], "value", None), OSError)
            assert len(self.node.events) == count
        else:
            assert outcome == [None]
            assert self.node.events[count:] == [Established(sa)]
            self.standing.append(sa)
            self.used[sa.key] = set()

    @rule(sa=sas)
    def remove(self, sa: Any) -> None:
        count = len(self.node.events)
        same = [each for each in self.standing if self.names(each) == self.names(sa)]
        self.node.registry.remove(sa, Removal.DELETED)
        assert self.node.events[count:] == [Removed(each, Removal.DELETED) for each in same]
        self.standing = [each for each in self.standing if each not in same]

    @rule(sa=sas, parent=st.integers(1, 4))
    def adopt(self, sa: Any, parent: int) -> None:
        self.failing = False
        if not isinstance(sa, SABundle):
            return
        new = replace(sa, parent=cookies(parent))
        same = [n for n, each in enumerate(self.standing) if self.names(each) == self.names(sa)]
        try:
            self.node.registry.replace(sa, new)
        except LookupError:
            assert not same
            return
        self.standing[same[0]] = new

    @rule(number=st.integers(1, 4), message_id=st.integers(0, 6))
    def fresh(self, number: int, message_id: int) -> None:
        key = cookies(number)
        stands = any(sa.key == key for sa in self.standing)
        used = self.used.get(key, set())
        expected = stands and message_id > 0 and message_id not in used and len(used) < 4
        assert self.node.registry.fresh(key, message_id) is expected
        if expected:
            used.add(message_id)

    @invariant()
    def agrees(self) -> None:
        registry = self.node.registry
        assert list(registry) == self.standing
        management = [sa for sa in self.standing if not isinstance(sa, SABundle)]
        bundles = [sa for sa in self.standing if isinstance(sa, SABundle)]
        for number in range(1, 5):
            children = [sa for sa in bundles if sa.parent == cookies(number)]
            found_children = registry.children(cookies(number))
            assert sorted(found_children, key=bundles.index) == children
            found = [sa for sa in management if sa.key == cookies(number)]
            assert registry.find(cookies(number)) is (found[0] if found else None)
        for number in range(0x1001, 0x1005):
            key = protection_sa(number, US).key
            found = [sa for sa in bundles if key in sa.keys]
            assert registry.find(key) is (found[0] if found else None)
        for name in ("a", "b"):
            party = Identity.parse(name)
            same = tuple(sa for sa in management if sa.theirs.same_party(party))
            assert registry.by_peer(party) == same
        for name in ("ca", "cb", "cA"):
            same = tuple(sa for sa in management if sa.connection == name)
            assert registry.by_connection(name) == same
        assert set(self.node.stored()) == {sa.key for sa in self.standing}


class ModelTests(SynchronousTestCase):
    def test_model(self) -> None:
        """Whatever happens in whatever order, every look-up says what a plain list would say."""
        RegistryMachine.TestCase.settings = settings(
            max_examples=60, stateful_step_count=30, deadline=None
        )
        result = RegistryMachine.TestCase().run()
        assert result is not None
        self.assertEqual([text for _, text in result.errors + result.failures], [])
        self.assertEqual(result.testsRun, 1)
