"""
The end of a security association's life.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import SABundle
from isakmp.connections import Limits
from isakmp.events import Established, Removal, Removed
from isakmp.interfaces import Expiry, IManagementSA, INode
from isakmp.lifetimes import Lifetimes
from isakmp.registry import SARegistry
from isakmp.sinks.memory import MemorySink
from isakmp.stores.memory import MemoryStore
from isakmp.stream import EventStream
from isakmp.testing import FixedEntropy
from tests.samples import SampleSA, bundle, cookies

AnySA = IManagementSA | SABundle


class Endpoint:
    """Deletes as the real one does: it removes; or does what the test says."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.deleted: list[tuple[AnySA, Removal]] = []
        self.instead: Callable[[], Deferred[None]] | None = None

    def delete(
        self, sas: Sequence[AnySA], why: Removal = Removal.DELETED, force: bool = False
    ) -> Deferred[None]:
        self.deleted += [(sa, why) for sa in sas]
        if self.instead is not None:
            return self.instead()
        for sa in sas:
            self.node.registry.remove(sa, why)
        return succeed(None)


class StrictClock(Clock):
    """Like the reactor, it takes no delay below zero."""

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall:
        assert delay >= 0, delay
        return super().callLater(delay, callable, *args, **kw)


class Node:
    """What of a node has to do with time."""

    def __init__(self) -> None:
        self.clock = StrictClock()
        self.clock.advance(1_000_000)
        self.events = EventStream()
        self.registry = SARegistry(MemoryStore(), self.clock, self.events, Limits())
        self.sink = MemorySink(FixedEntropy(1))
        self.endpoint = Endpoint(self)
        self.endpoints = {"isakmp": self.endpoint}
        self.removed: list[Any] = []
        self.events.subscribe(Removed, self.removed.append)


class LifetimeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.node = Node()
        self.lifetimes = Lifetimes(cast(INode, self.node))
        self.addCleanup(self.check)

    def check(self) -> None:
        self.lifetimes.stop()
        self.assertEqual(self.node.clock.getDelayedCalls(), [])

    def add(self, sa: AnySA, seconds: float) -> None:
        hard = self.node.clock.seconds() + seconds if seconds else 0.0
        self.successResultOf(self.node.registry.add(sa, Expiry(hard)))

    def test_expiry(self) -> None:
        """
        An SA is deleted when its time is over, not before, and each at its own time.

        Proves: RFC 2407 section 4.5
        """
        sa, child = SampleSA(cookies(1)), bundle()
        self.add(sa, 100)
        self.add(child, 60)
        self.node.clock.advance(59.9)
        self.assertEqual(self.node.endpoint.deleted, [])
        self.node.clock.advance(0.2)
        self.assertEqual(self.node.endpoint.deleted, [(child, Removal.EXPIRED)])
        self.node.clock.advance(100)
        self.assertEqual(
            self.node.endpoint.deleted, [(child, Removal.EXPIRED), (sa, Removal.EXPIRED)]
        )
        self.assertEqual(list(self.node.registry), [])

    def test_unbounded(self) -> None:
        """An SA without a lifetime puts nothing on the clock."""
        self.add(SampleSA(), 0)
        self.assertEqual(self.node.clock.getDelayedCalls(), [])

    def test_removed(self) -> None:
        """An SA that is removed before its time is not deleted again, and its timer is gone."""
        sa = bundle()
        self.add(sa, 60)
        self.successResultOf(self.node.registry.remove(sa, Removal.DELETED_BY_PEER))
        self.assertEqual(self.node.clock.getDelayedCalls(), [])
        self.node.clock.advance(1000)
        self.assertEqual(self.node.endpoint.deleted, [])

    def test_of_many(self) -> None:
        """Removing one SA leaves the others' ends; all of them are one call on the clock."""
        first, second = bundle(0x1001, 0x2001), bundle(0x1002, 0x2002)
        for sa in (first, second):
            self.add(sa, 60)
        self.assertEqual(len(self.node.clock.getDelayedCalls()), 1)
        self.successResultOf(self.node.registry.remove(first, Removal.DELETED))
        self.node.clock.advance(61)
        self.assertEqual(self.node.endpoint.deleted, [(second, Removal.EXPIRED)])

    def test_announced_twice(self) -> None:
        """An SA that one hears of twice has one timer, and its end takes that away."""
        sa = bundle()
        self.add(sa, 60)
        self.node.events.publish(Established(sa))
        self.assertEqual(len(self.node.clock.getDelayedCalls()), 1)
        self.successResultOf(self.node.registry.remove(sa, Removal.DELETED))
        self.assertEqual(self.node.clock.getDelayedCalls(), [])

    def test_standing_before(self) -> None:
        """What was established before anybody looked at lifetimes expires as well."""
        sa, late = SampleSA(cookies(1)), SampleSA(cookies(2))
        self.add(sa, 60)
        self.add(late, 5)
        self.lifetimes.stop()
        self.node.clock.advance(50)
        self.assertEqual(self.node.endpoint.deleted, [])
        self.lifetimes = Lifetimes(cast(INode, self.node))
        self.node.clock.advance(0)
        self.assertEqual(self.node.endpoint.deleted, [(late, Removal.EXPIRED)])
        self.node.clock.advance(11)
        self.assertEqual(self.node.endpoint.deleted[1:], [(sa, Removal.EXPIRED)])

    def test_over_at_once(self) -> None:
        """An SA whose time is over when it is established goes at once."""
        sa = SampleSA()
        self.add(sa, -10)
        self.node.clock.advance(0)
        self.assertEqual(self.node.endpoint.deleted, [(sa, Removal.EXPIRED)])

    def test_stop(self) -> None:
        """After the stop there is nothing on the clock, and nothing comes there; twice is once."""
        self.add(SampleSA(cookies(1)), 60)
        for _ in range(2):
            self.lifetimes.stop()
        self.assertEqual(self.node.clock.getDelayedCalls(), [])
        self.add(SampleSA(cookies(2)), 60)
        self.assertEqual(self.node.clock.getDelayedCalls(), [])

    def test_removed_while_announced(self) -> None:
        """An SA that somebody removes as soon as it is announced leaves no timer."""
        self.lifetimes.stop()

        def remove(event: Established) -> None:
            self.node.registry.remove(event.sa, Removal.DELETED)

        self.node.events.subscribe(Established, remove)
        self.lifetimes = Lifetimes(cast(INode, self.node))
        self.add(SampleSA(), 60)
        self.assertEqual(self.node.clock.getDelayedCalls(), [])

    def test_deletion_fails(self) -> None:
        """
        If the endpoint cannot delete it, by a failure or a fault, it is not used any longer all the
        same; and the log has the reason.
        """

        def fault() -> Deferred[None]:
            raise OSError("no route")

        for inbound, instead in ((0x1001, lambda: fail(OSError("no route"))), (0x1002, fault)):
            sa = bundle(inbound, 0x2001)
            self.node.endpoint.instead = instead
            self.successResultOf(self.node.sink.install(sa))
            self.add(sa, 60)
            self.node.clock.advance(61)
            self.assertEqual(list(self.node.registry), [])
            self.assertEqual(dict(self.node.sink.standing), {})
            self.assertEqual(self.node.removed[-1], Removed(sa, Removal.EXPIRED))
            self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_nothing_works(self) -> None:
        """If neither the endpoint nor the registry can, that is logged, and the clock is empty."""
        sa = SampleSA()
        self.add(sa, 60)
        self.node.endpoint.instead = lambda: fail(OSError("no route"))
        self.patch(self.node.registry, "remove", lambda sa, why: fail(OSError("disk full")))
        self.node.clock.advance(61)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 2)
        self.assertEqual(self.node.clock.getDelayedCalls(), [])
