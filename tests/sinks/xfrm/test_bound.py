"""What is bound to an interface that goes and comes again."""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from isakmp.errors import ConfigurationError
from isakmp.sinks.xfrm.bound import SETTLE, BoundToInterfaces
from isakmp.sinks.xfrm.netlink import Message
from isakmp.sinks.xfrm.routing import Kind
from tests.samples import logged


class BoundTests(SynchronousTestCase):
    """
    Interfaces whose numbers are known.
    """

    def setUp(self) -> None:
        self.clock, self.notes = Clock(), logged(self)
        self.indices = {"ppp0": 7, "wg0": 8}
        self.patch(socket, "if_nametoindex", self.index)
        self.open = 0
        self.again: list[str] = []
        self.bound = BoundToInterfaces(self.clock, self.listen, self.in_turn)

    def index(self, interface: str) -> int:
        if interface not in self.indices:
            raise OSError("no such device")
        return self.indices[interface]

    def listen(self, heard: Callable[[Message], object], missed: Callable[[], object]) -> Any:
        self.open += 1
        self.heard = heard
        return self

    def close(self) -> None:
        self.open -= 1

    def in_turn(self, work: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> Deferred[None]:
        return Deferred.fromCoroutine(work())

    def keep(self, owner: str, interface: str, error: Exception | None = None) -> None:
        """It is bound, and so when it is set again."""

        async def again() -> None:
            self.again.append(owner)
            if error is not None:
                raise error
            self.keep(owner, interface)

        self.bound.keep(owner, interface, again)

    def changed(self, **indices: int) -> list[str]:
        """Interfaces have these numbers now; who was set again."""
        self.again.clear()
        self.indices = indices
        for _ in range(1000):
            self.heard(Message(Kind.NEWLINK, 0, 0, 0, b""))
        self.clock.advance(SETTLE)
        return self.again

    def test_another(self) -> None:
        """One that has another number is set again, once; the others are left alone."""
        self.keep("one", "ppp0")
        self.keep("two", "wg0")
        self.keep("three", "")
        self.assertEqual(self.changed(ppp0=7, wg0=8), [])
        self.assertEqual(self.changed(wg0=8), [])
        self.assertEqual(self.changed(ppp0=9, wg0=8), ["one"])
        self.assertEqual(self.changed(ppp0=9, wg0=8), [])
        lines = [formatEvent(note) for note in self.notes]
        self.assertEqual(lines, ["one: its interface ppp0 is a new one, and it is bound to that"])

    def test_refused(self) -> None:
        """One that cannot be is said, keeps no other from being so, and is tried again."""
        self.keep("one", "ppp0", ConfigurationError("the kernel has no memory for it"))
        self.keep("two", "ppp0")
        self.assertEqual(self.changed(ppp0=9), ["one", "two"])
        self.assertIn("not bound to that: the kernel has no memory", formatEvent(self.notes[0]))
        self.assertEqual(self.changed(ppp0=9), ["one"])

    def test_forgotten(self) -> None:
        """What is not there any more is not set again; with the last nothing is heard."""
        self.keep("one", "ppp0")
        self.keep("two", "ppp0")
        self.assertEqual(self.open, 1)
        self.bound.forget("one")
        self.keep("two", "")
        self.assertEqual(self.open, 0)
        self.keep("two", "wg0")
        self.heard(Message(Kind.NEWLINK, 0, 0, 0, b""))
        for _ in range(2):
            self.bound.stop()
        self.assertEqual((self.open, self.clock.getDelayedCalls()), (0, []))

    def test_gone_at_once(self) -> None:
        """One that goes just when it is bound is looked for like any other."""
        self.keep("one", "eth9")
        self.assertEqual(self.changed(eth9=3), ["one"])

    def test_unheard(self) -> None:
        """Where nothing is heard of interfaces, that is said, and what is set stays."""

        def listen(*words: object) -> Any:
            raise OSError("no more files")

        BoundToInterfaces(self.clock, listen, self.in_turn).keep("one", "ppp0", lambda: Deferred())
        self.assertIn("nothing is heard of interfaces", formatEvent(self.notes[0]))
