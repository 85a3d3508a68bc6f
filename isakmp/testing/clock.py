"""
Virtual time: it stands still until told, and nothing sleeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from math import inf
from typing import TypeVar

from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

T = TypeVar("T")

DAY = 86_400.0
"""Seconds.  How long :meth:`VirtualClock.run_until` and :func:`settle` wait unless told."""


class _Call(DelayedCall):
    """
    A delayed call that tells its clock at once when it is put off, not only when it comes nearer.

    Which of two calls for one instant goes first depends on when each was moved there.
    """

    def reset(self, secondsFromNow: float) -> None:
        super().reset(secondsFromNow)
        self.resetter(self)

    def delay(self, secondsLater: float) -> None:
        super().delay(secondsLater)
        self.resetter(self)


_Entry = tuple[float, int, _Call]
"""When, the rank among the calls of that instant, and what."""


@implementer(IReactorTime)
class VirtualClock:
    """
    A clock that stands still, at 0, until told.

    It runs the same calls in the same order as ``twisted.internet.task.Clock``, which takes a
    negative delay for "at the next chance".  But thousands of pending calls cost it little, and
    :meth:`getDelayedCalls` returns a copy.
    """

    def __init__(self) -> None:
        self._now = 0.0
        # The heap may hold stale entries: valid are the very tuples in _entries.
        self._heap: list[_Entry] = []
        self._entries: dict[DelayedCall, _Entry] = {}
        # Calls whose time has changed since they were last put in order.
        self._moved: set[DelayedCall] = set()
        self._lowest = self._highest = 0  # All ranks given so far lie between these.

    def seconds(self) -> float:
        """The current time, in seconds."""
        return self._now

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall:
        """Call a function so many seconds from now."""
        when, moved = self._now + delay, self._moved.add
        call = _Call(when, callable, args, kw, self._cancel, moved, self.seconds)
        self._order()
        self._highest += 1
        self._put(call, self._highest)
        return call

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """The pending calls in their order, as a list of the caller's own."""
        return [entry[2] for entry in sorted(self._entries.values())]

    def advance(self, amount: float) -> None:
        """Move time forward by so many seconds, and only then run every call that is due."""
        self._now += amount
        while (entry := self._first()) is not None and entry[0] <= self._now:
            self._run(entry)

    def pump(self, timings: Iterable[float]) -> None:
        """Advance by each of these amounts in turn, in seconds."""
        for amount in timings:
            self.advance(amount)

    def next_event(self) -> bool:
        """Go to the time of the next pending call, run that one, and say whether there was one."""
        if (entry := self._first()) is not None:
            self._run(entry)
        return entry is not None

    def run_until(self, goal: float | Callable[[], bool], limit: float = DAY) -> bool:
        """
        Run the calls one by one, each at its own time, until the goal is reached.

        :param goal: a time in seconds: all calls due by then are run, and time is left there.  Or
            a condition, asked first and after each call: time is left where it holds.
        :param limit: the most seconds to wait for a condition; a time is its own limit.
        :returns: whether the goal was reached; if not, time is left at the limit.
        """
        met = goal if callable(goal) else lambda: False
        end = self._now + limit if callable(goal) else goal
        while not met():
            entry = self._first()
            if entry is None or entry[0] > end:
                self._now = max(self._now, end) if end < inf else self._now
                return not callable(goal) or met()
            self._run(entry)
        return True

    def _first(self) -> _Entry | None:
        """The entry of the call that is due first."""
        self._order()
        while self._heap and self._entries.get(self._heap[0][2]) is not self._heap[0]:
            heappop(self._heap)
        return self._heap[0] if self._heap else None

    def _run(self, entry: _Entry) -> None:
        """Run the call whose entry is first, at its time or now, whichever is later."""
        heappop(self._heap)
        del self._entries[call := entry[2]]
        self._now = max(self._now, entry[0])
        call.called = 1
        call.func(*call.args, **call.kw)

    def _cancel(self, call: DelayedCall) -> None:
        del self._entries[call]
        self._moved.discard(call)
        self._compact()

    def _put(self, call: _Call, rank: int) -> None:
        self._entries[call] = entry = (call.getTime(), rank, call)
        heappush(self._heap, entry)
        self._compact()

    def _order(self) -> None:
        """Put the calls that were moved where a stable sort by time would put them."""
        # From an earlier time: before all that is there already.  From a later one: after it.
        batch = sorted(self._entries[call] for call in self._moved)
        self._moved.clear()
        for time, _, call in batch:
            if call.getTime() < time:
                self._highest += 1
                self._put(call, self._highest)
        for time, _, call in reversed(batch):
            if call.getTime() > time:
                self._lowest -= 1
                self._put(call, self._lowest)

    def _compact(self) -> None:
        """Throw the stale entries out when they are more than the valid ones and a few."""
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._heap = list(self._entries.values())
            heapify(self._heap)


class Unsettled(AssertionError):
    """A Deferred did not fire within the limit."""


def settle(clock: VirtualClock, deferred: Deferred[T], limit: float = DAY) -> T:
    """
    Run the clock until a Deferred fires.

    :param limit: the most seconds that may pass.
    :returns: its result, which it keeps.
    :raises Unsettled: it did not fire; it may be settled again.
    :raises Exception: its failure, which is then handled.
    """
    outcome: list[T | Failure] = []

    def note(result: T | Failure) -> T | Failure:
        outcome.append(result)
        return result

    deferred.addBoth(note)
    if not clock.run_until(lambda: bool(outcome), limit):
        pending = len(clock.getDelayedCalls())
        raise Unsettled(f"{deferred} has not fired within {limit} s; {pending} calls pending")
    result = outcome[0]
    if isinstance(result, Failure):
        deferred.addErrback(lambda failure: None)
        result.raiseException()
    return result
