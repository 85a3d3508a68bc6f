"""
Many appointments, one call of the reactor's.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.agenda import Agenda, Appointment
from isakmp.testing import VirtualClock


class AgendaTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = VirtualClock()
        self.kept: list[tuple[float, str]] = []
        self.agenda: Agenda[str] = Agenda(self.clock, self.keep)

    def keep(self, whom: str) -> None:
        self.kept.append((self.clock.seconds(), whom))

    def test_order(self) -> None:
        """Everybody's turn comes at its time, and of one time in the order they were made."""
        for seconds, whom in ((5, "e"), (1, "a"), (3, "c"), (3, "d"), (1, "b"), (0, "now")):
            self.agenda.later(seconds, whom)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.run_until(10.0)
        self.assertEqual(
            self.kept, [(0, "now"), (1, "a"), (1, "b"), (3, "c"), (3, "d"), (5, "e")]
        )
        self.assertEqual((len(self.agenda), self.clock.getDelayedCalls()), (0, []))

    def test_called_off(self) -> None:
        """What was called off does not happen; when nothing is left, nothing is pending."""
        first, second = self.agenda.later(1, "first"), self.agenda.later(2, "second")
        first.cancel()
        self.assertEqual((first.active(), second.active(), len(self.agenda)), (False, True, 1))
        self.clock.run_until(1.5)
        self.assertEqual(self.kept, [])
        second.cancel()
        self.assertEqual((len(self.agenda), self.clock.getDelayedCalls()), (0, []))
        self.clock.run_until(10.0)
        self.assertEqual(self.kept, [])

    def test_twice(self) -> None:
        """To call it off again, or when it is over, is nothing."""
        over, other = self.agenda.later(1, "over"), self.agenda.later(9, "other")
        self.clock.run_until(2.0)
        self.assertFalse(over.active())
        for _ in range(2):
            over.cancel()
        self.assertEqual(len(self.agenda), 1)
        for _ in range(2):
            other.cancel()
        self.assertEqual(len(self.agenda), 0)

    def test_from_within(self) -> None:
        """Whoever's turn it is may make another appointment, and call off that of the next."""
        later: list[Appointment[str]] = []

        def keep(whom: str) -> None:
            self.keep(whom)
            if whom == "first":
                later[0].cancel()
                agenda.later(0, "at once")
                agenda.later(3, "again")

        agenda: Agenda[str] = Agenda(self.clock, keep)
        agenda.later(1, "first")
        later.append(agenda.later(1, "never"))
        self.clock.run_until(10.0)
        self.assertEqual(self.kept, [(1, "first"), (1, "at once"), (4, "again")])

    def test_fault(self) -> None:
        """A fault in one of them is the reactor's to log, and the others have their turn."""

        def keep(whom: str) -> None:
            self.keep(whom)
            if whom == "bad":
                raise ZeroDivisionError

        agenda: Agenda[str] = Agenda(self.clock, keep)
        for whom in ("bad", "good"):
            agenda.later(1, whom)
        self.assertRaises(ZeroDivisionError, self.clock.run_until, 2.0)
        self.clock.run_until(2.0)
        self.assertEqual([whom for _, whom in self.kept], ["bad", "good"])

    def test_memory(self) -> None:
        """Appointments that come and are called off, again and again, are not kept."""
        self.agenda.later(1000, "stays")
        for number in range(10_000):
            self.agenda.later(1 + number % 7, "goes").cancel()
        self.assertLess(len(self.agenda._heap), 200)
        self.clock.run_until(2000.0)
        self.assertEqual(self.kept, [(1000, "stays")])

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 20), st.integers(-1, 20))))
    def test_like_the_reactor(self, made: list[tuple[int, int]]) -> None:
        """It is what the same calls of a reactor's would be: made, and some called off."""
        outcomes = []
        for shared in (True, False):
            clock, kept = VirtualClock(), []

            def keep(
                number: int, clock: VirtualClock = clock, kept: list[object] = kept
            ) -> None:
                kept.append((clock.seconds(), number))

            agenda: Agenda[int] = Agenda(clock, keep)
            for number, (seconds, off) in enumerate(made):
                one = (
                    agenda.later(seconds, number)
                    if shared
                    else clock.callLater(seconds, keep, number)
                )
                if off == 0:
                    one.cancel()
                elif 0 < off < seconds:
                    clock.callLater(off, one.cancel)
            clock.run_until(100.0)
            outcomes.append(kept)
        self.assertEqual(*outcomes)
