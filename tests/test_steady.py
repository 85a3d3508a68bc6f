"""Time that nobody sets."""

from __future__ import annotations

import time

from twisted.internet.posixbase import PosixReactorBase
from twisted.trial.unittest import SynchronousTestCase

from isakmp import steady


class Reactor(PosixReactorBase):
    """One that waits for nothing but times."""

    def installWaker(self) -> None:
        """None is needed."""

    def doIteration(self, delay: float | None) -> None:
        """Nothing can happen."""


class SteadyTests(SynchronousTestCase):
    """The daemon's timers when somebody sets the clock."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.day = time.time()
        self.since_boot = time.clock_gettime(steady._CLOCK)
        self.patch(time, "time", lambda: self.day)
        self.patch(time, "clock_gettime", lambda _: self.since_boot)

    def run_for(self, seconds: float) -> None:
        """So much time passes."""
        self.day += seconds
        self.since_boot += seconds
        self.reactor.runUntilCurrent()

    def test_set_back(self) -> None:
        """The clock is set back by an hour: what was due in ten seconds is done in ten seconds."""
        steady.steady(self.reactor)
        done: list[str] = []
        self.reactor.callLater(10, done.append, "renewed")
        self.day -= 3600
        self.run_for(9.9)
        self.assertEqual(done, [])
        self.run_for(0.2)
        self.assertEqual(done, ["renewed"])

    def test_set_forward(self) -> None:
        """It is set forward by a year: nothing is done before its time."""
        steady.steady(self.reactor)
        done: list[str] = []
        self.reactor.callLater(10, done.append, "renewed")
        self.day += 365 * 86400
        self.run_for(9.9)
        self.assertEqual(done, [])
        self.assertGreater(self.reactor.timeout() or 0, 0.05)

    def test_day(self) -> None:
        """It begins with the time of day, so that what it says may be shown to people."""
        self.assertLess(abs(steady.seconds() - self.day), 60)

    def test_too_late(self) -> None:
        """Where something waits already the reactor stays as it is."""
        before = self.reactor.seconds
        self.reactor.callLater(1, lambda: None)
        steady.steady(self.reactor)
        self.assertEqual(self.reactor.seconds, before)
