"""
Many appointments on one timer.

A node has two or more of them for each SA, mostly hours away, and a pending call of the reactor's
takes as much memory as the SA itself.  Here only the next appointment is a call of the reactor's.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

T = TypeVar("T")

_STALE = 64
"""Entries of appointments that were called off which are not worth tidying up."""


class Appointment(Generic[T]):
    """
    When somebody's time will come.

    :ivar time: when, in seconds of the clock.
    :ivar number: of equal times the lower comes first.
    """

    __slots__ = ("_agenda", "number", "time", "whom")

    def __init__(self, agenda: Agenda[T], time: float, number: int, whom: T) -> None:
        self._agenda: Agenda[T] | None = agenda
        self.time = time
        self.number = number
        self.whom = whom

    def __lt__(self, other: Appointment[T]) -> bool:
        return (self.time, self.number) < (other.time, other.number)

    def active(self) -> bool:
        """Whether it is still to come."""
        return self._agenda is not None

    def cancel(self) -> None:
        """Call it off; nothing if it is over."""
        agenda, self._agenda = self._agenda, None
        if agenda is not None:
            agenda._called_off()

    def keep(self) -> None:
        """Its time has come."""
        agenda, self._agenda = self._agenda, None
        if agenda is not None:
            agenda.what(self.whom)


class Agenda(Generic[T]):
    """
    Appointments in the order of their times.

    :param clock: has at most one call pending for all of them, and none if there are none.
    :param what: is done for everybody whose time has come.
    """

    def __init__(self, clock: IReactorTime, what: Callable[[T], object]) -> None:
        self._clock = clock
        self.what = what
        self._heap: list[Appointment[T]] = []
        self._numbers = count()
        self._stale = 0
        self._timer: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._heap) - self._stale

    def later(self, seconds: float, whom: T) -> Appointment[T]:
        """
        An appointment with somebody, so many seconds from now.
        """
        time = self._clock.seconds() + max(0.0, seconds)
        made = Appointment(self, time, next(self._numbers), whom)
        heappush(self._heap, made)
        if self._heap[0] is made:
            self._set()
        return made

    def _set(self) -> None:
        """Have the timer run for the first, if there is any."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if self._heap:
            wait = max(0.0, self._heap[0].time - self._clock.seconds())
            self._timer = self._clock.callLater(wait, self._due)

    def _due(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        try:
            while self._heap and self._heap[0].time <= now:
                first = heappop(self._heap)
                if first.active():
                    first.keep()
                else:
                    self._stale -= 1
        finally:
            self._set()

    def _called_off(self) -> None:
        self._stale += 1
        if self._stale == len(self._heap) or self._stale > _STALE + len(self):
            self._heap = [one for one in self._heap if one.active()]
            heapify(self._heap)
            self._stale = 0
        if not self._heap:
            self._set()
