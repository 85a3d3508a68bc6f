"""
How long an exchange waits for one message, and when what we said is repeated meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from twisted.internet.interfaces import IDelayedCall, IReactorTime

Due = Callable[[bool], bool]
"""Told whether the time is over, or else what was said is to be repeated; whether to wait on."""

_SOON = 1e-6
"""Less than any interval, more than the rounding of a clock."""


class Patience:
    """
    One timer for two appointments: the next repeat, and the end of waiting.

    It keeps whom it calls only while it is set, so it holds no exchange that is over.

    :param total: seconds that each wait may take.
    """

    __slots__ = ("_at", "_clock", "_deadline", "_due", "_repeats", "_timer", "_total")

    def __init__(self, clock: IReactorTime, total: float) -> None:
        self._clock = clock
        self._total = total
        self._deadline = clock.seconds() + total
        self._repeats: Iterator[float] = iter(())
        self._at: float | None = None
        self._timer: IDelayedCall | None = None
        self._due: Due | None = None

    def renew(self, waits: Iterable[float]) -> None:
        """
        Something was said: it may take the whole time again.

        :param waits: seconds before each repeat.
        """
        now = self._clock.seconds()
        self._deadline = now + self._total
        self._repeats = iter(waits)
        self._next(now)

    def shorten(self, seconds: float) -> None:
        """No longer than that from now on."""
        self._deadline = min(self._deadline, self._clock.seconds() + seconds)

    def wait(self, due: Due) -> None:
        """Set the timer."""
        now = self._clock.seconds()
        at = self._deadline if self._at is None else min(self._deadline, self._at)
        wait = max(0.0, at - now)
        timer = self._timer
        if timer is not None and timer.active() and timer.getTime() <= now + wait:
            timer.reset(wait)  # later costs nothing; sooner would be looked for among all timers
        else:
            self.stop()
            self._timer = self._clock.callLater(wait, self._now)
        self._due = due

    def stop(self) -> None:
        """Nothing is due any more; idempotent."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._due = None

    def _next(self, now: float) -> None:
        wait = next(self._repeats, None)
        self._at = None if wait is None else now + wait

    def _now(self) -> None:
        due, self._timer, self._due = self._due, None, None
        now = self._clock.seconds()
        if due is None:
            return
        if now >= self._deadline - _SOON:
            due(True)
            return
        self._next(now)
        if due(False):
            self.wait(due)
