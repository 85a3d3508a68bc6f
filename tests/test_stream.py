"""The stream of events: who is told, in which order, and what an observer cannot spoil."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.interfaces import IEvents
from isakmp.stream import EventStream


@dataclass(frozen=True, slots=True)
class Rang:
    """Something happened."""

    number: int = 0


@dataclass(frozen=True, slots=True)
class Opened:
    """Something else did."""

    number: int = 0


class EventStreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.stream = EventStream()
        self.told: list[object] = []

    def note(self, name: str, event: object) -> None:
        """Who was told."""
        self.told.append(name)

    def test_interface(self) -> None:
        """It is what a node publishes by."""
        verifyObject(IEvents, self.stream)

    def test_by_kind(self) -> None:
        """I am told of what I asked for, each event once, and of nothing else."""
        self.stream.subscribe(Rang, self.told.append)
        for event in (Rang(1), Opened(2), Rang(3)):
            self.stream.publish(event)
        self.assertEqual(self.told, [Rang(1), Rang(3)])

    def test_nobody(self) -> None:
        """What nobody asked for is nobody's; it is not kept for who comes later."""
        self.stream.publish(Rang(1))
        self.stream.subscribe(Rang, self.told.append)
        self.stream.publish(Rang(2))
        self.assertEqual(self.told, [Rang(2)])

    def test_wanted(self) -> None:
        """What nobody listens for need not be made up: that can be asked."""
        self.assertFalse(self.stream.wanted(Rang))
        end = self.stream.subscribe(Rang, self.told.append)
        another = self.stream.subscribe(Rang, self.told.append)
        self.assertTrue(self.stream.wanted(Rang))
        self.assertFalse(self.stream.wanted(Opened))
        end()
        self.assertTrue(self.stream.wanted(Rang))
        another()
        self.assertFalse(self.stream.wanted(Rang))

    def test_order(self) -> None:
        """Those who subscribed first are told first."""
        for name in "abc":
            self.stream.subscribe(Rang, partial(self.note, name))
        self.stream.publish(Rang())
        self.assertEqual(self.told, ["a", "b", "c"])

    def test_never_nested(self) -> None:
        """
        What an observer publishes waits for its turn: everyone sees one and the same order, of all
        kinds of events together.
        """
        seen: dict[str, list[object]] = {"first": [], "last": []}

        def answers(event: Rang) -> None:
            seen["first"].append(event)
            if event.number < 3:
                self.stream.publish(Opened(event.number))
                self.stream.publish(Rang(event.number + 1))

        self.stream.subscribe(Rang, answers)
        self.stream.subscribe(Opened, seen["first"].append)
        self.stream.subscribe(Rang, seen["last"].append)
        self.stream.subscribe(Opened, seen["last"].append)
        self.stream.publish(Rang(1))
        expected = [Rang(1), Opened(1), Rang(2), Opened(2), Rang(3)]
        self.assertEqual(seen, {"first": expected, "last": expected})

    def test_observer_fails(self) -> None:
        """An observer that fails is logged; the others are told all the same, and of the next."""

        def fails(event: Rang) -> None:
            raise ZeroDivisionError

        self.stream.subscribe(Rang, fails)
        self.stream.subscribe(Rang, self.told.append)
        self.stream.publish(Rang(1))
        self.stream.publish(Rang(2))
        self.assertEqual(self.told, [Rang(1), Rang(2)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_interrupted(self) -> None:
        """What ends the program goes through, and the stream works for those who clean up."""

        def leaves(event: Rang) -> None:
            raise SystemExit(3)

        end = self.stream.subscribe(Rang, leaves)
        self.assertRaises(SystemExit, self.stream.publish, Rang(1))
        end()
        self.stream.subscribe(Rang, self.told.append)
        self.stream.publish(Rang(2))
        self.assertEqual(self.told, [Rang(2)])

    def test_end(self) -> None:
        """Who ends it is told no more; to end it twice is to end it once."""
        end = self.stream.subscribe(Rang, self.told.append)
        self.stream.publish(Rang(1))
        end()
        self.stream.publish(Rang(2))
        end()
        self.stream.publish(Rang(3))
        self.assertEqual(self.told, [Rang(1)])

    def test_end_of_one(self) -> None:
        """One who listens twice is told twice, and each ends by itself."""
        first = self.stream.subscribe(Rang, self.told.append)
        second = self.stream.subscribe(Rang, self.told.append)
        self.stream.publish(Rang(1))
        self.assertEqual(self.told, [Rang(1), Rang(1)])
        first()
        first()
        self.stream.publish(Rang(2))
        self.assertEqual(self.told, [Rang(1), Rang(1), Rang(2)])
        second()
        self.stream.publish(Rang(3))
        self.assertEqual(len(self.told), 3)

    def test_end_while_told(self) -> None:
        """Who is ended by another while an event is told is not told that event any more."""
        ends: list[Callable[[], None]] = []
        self.stream.subscribe(Rang, lambda event: ends[0]())
        ends.append(self.stream.subscribe(Rang, self.told.append))
        self.stream.publish(Rang(1))
        self.assertEqual(self.told, [])

    def test_end_oneself(self) -> None:
        """An observer can end its own: it is told once, and nobody is left out."""
        ends: list[Callable[[], None]] = []

        def once(event: Rang) -> None:
            self.told.append(event)
            ends.pop()()

        ends.append(self.stream.subscribe(Rang, once))
        self.stream.subscribe(Rang, self.told.append)
        self.stream.publish(Rang(1))
        self.stream.publish(Rang(2))
        self.assertEqual(self.told, [Rang(1), Rang(1), Rang(2)])

    def test_subscribe_while_told(self) -> None:
        """Who subscribes while an event is told hears from the next on."""

        def recruits(event: Rang) -> None:
            if event.number == 1:
                self.stream.subscribe(Rang, self.told.append)

        self.stream.subscribe(Rang, recruits)
        self.stream.publish(Rang(1))
        self.stream.publish(Rang(2))
        self.assertEqual(self.told, [Rang(2)])
