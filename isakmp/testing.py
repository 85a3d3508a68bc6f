"""
The test kit: virtual time, an unreliable network in memory, and repeatable randomness.

ISAKMP runs over UDP (RFC 2408 section 2.5.1): datagrams are lost, doubled, late or forged.  Here
real nodes meet all of that in one process without sleeping, and one seed is always the same run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from heapq import heapify, heappop, heappush
from ipaddress import ip_address
from itertools import count
from math import inf
from random import Random
from typing import TypeVar

from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from isakmp.interfaces import IPorts
from isakmp.paths import Address, Datagram

T = TypeVar("T")

DAY = 86_400.0
"""Seconds.  How long :meth:`VirtualClock.run_until` and :func:`settle` wait unless told."""

Tap = Callable[[Datagram], Iterable[Datagram] | None]
"""Sees a datagram as it is sent.  ``None`` lets it pass; others are delivered instead, in order."""


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


class FixedEntropy:
    """
    Octets that look random and are the same in every run: SHA-256 of a seed and a counter.

    One stream, however it is cut into calls.  Give each node its own seed, else cookies are equal.
    """

    def __init__(self, seed: int | str) -> None:
        self._seed = repr(seed).encode()
        self._blocks = count()
        self._left = b""

    def __call__(self, n: int) -> bytes:
        """The next ``n`` octets."""
        if n < 0:
            raise ValueError("negative number of octets")
        while len(self._left) < n:
            self._left += hashlib.sha256(b"%s:%d" % (self._seed, next(self._blocks))).digest()
        octets, self._left = self._left[:n], self._left[n:]
        return octets


@dataclass(slots=True)
class Transmission:
    """A datagram as a node sent it, when (in seconds), and how often it has arrived so far."""

    datagram: Datagram
    time: float
    delivered: int = 0


@implementer(IPorts)
@dataclass(frozen=True, slots=True)
class NetworkPorts:
    """The ports of one node: what :meth:`LossyNetwork.attach` returns."""

    network: LossyNetwork
    address: str

    def source(self, remote: str, port: int) -> Address:
        """Our end of a path to an address: there is only one."""
        return self.address, port

    def send(self, datagram: Datagram) -> None:
        """
        Give the network a datagram, from ``path.local`` to ``path.remote``.

        :raises ValueError: it does not leave from this node's address.
        """
        if datagram.path.local[0] != self.address:
            raise ValueError(f"{datagram.path} does not leave from {self.address}")
        self.network._send(datagram)


@dataclass(eq=False)
class LossyNetwork:
    """
    An unreliable network in memory.  With the defaults every datagram arrives, in order.

    The fate of the n-th datagram depends on the seed, on n and on the settings only.  These may be
    changed at any time.  Always ``sent + injected + duplicated == delivered + dropped + pending``.

    :param clock: one that keeps the order of calls due at the same time.
    :param drop: the chance, 0 to 1, that a datagram is lost.
    :param duplicate: the chance that one that is not lost arrives twice.
    :param reorder: the chance that one is held back by 1 to 10 times the longest usual delay (at
        least 10 ms), so that later ones overtake it.
    :param delay: seconds from sender to receiver.
    :param jitter: up to so many seconds more; this reorders as well.
    :raises ValueError: a chance outside 0 to 1, or a negative or endless time.

    :ivar injected: how many did not come from a node but from a tap or :meth:`inject`.
    :ivar dropped: how many were lost, swallowed by a tap, cut, flushed or unroutable.
    :ivar unroutable: how many of these had a destination that is not attached.
    :ivar cut: while true, all that is sent is dropped; what is in flight still arrives.
    :ivar taps: the first sees what a node sends, each other what the one before it let pass.
    :ivar record: if set to a list, what nodes send is written there.
    """

    clock: IReactorTime
    _: KW_ONLY
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.01
    jitter: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not all(0 <= chance <= 1 for chance in (self.drop, self.duplicate, self.reorder)):
            raise ValueError("a chance is from 0 to 1")
        if not all(0 <= time < inf for time in (self.delay, self.jitter)):
            raise ValueError("delay and jitter are finite and not negative")
        self.sent = self.injected = self.duplicated = 0
        self.delivered = self.dropped = self.unroutable = 0
        self.cut = False
        self.taps: list[Tap] = []
        self.record: list[Transmission] | None = None
        self._random = Random(self.seed)
        self._receivers: dict[str, Callable[[Datagram], None]] = {}
        self._flights: dict[int, IDelayedCall] = {}
        self._serials = count()

    def attach(self, address: str, receive: Callable[[Datagram], None]) -> NetworkPorts:
        """
        Put a node on the network.

        :param address: its IP address; it gets what is sent there, whatever the port.
        :param receive: called with each datagram, its path seen from the receiver.
        :raises ValueError: not an address in its canonical spelling, or taken.
        """
        if str(ip_address(address)) != address or address in self._receivers:
            raise ValueError(f"{address} is taken, or spelled {ip_address(address)}")
        self._receivers[address] = receive
        return NetworkPorts(self, address)

    def inject(self, datagram: Datagram, delay: float = 0.0) -> None:
        """Deliver what no node sent, as if from ``path.local``: not by chance, past all taps."""
        self.injected += 1
        self._launch(delay, datagram, None)

    @property
    def pending(self) -> int:
        """How many are in flight."""
        return len(self._flights)

    def flush(self) -> int:
        """Drop all that is in flight, and say how many that were."""
        flights, self._flights = self._flights, {}
        for call in flights.values():
            call.cancel()
        self.dropped += len(flights)
        return len(flights)

    def _send(self, datagram: Datagram) -> None:
        self.sent += 1
        transmission = Transmission(datagram, self.clock.seconds())
        if self.record is not None:
            self.record.append(transmission)
        # Always as many random numbers: no setting changes the luck of later datagrams.
        lost = self._random.random() < self.drop or self.cut
        twice = self._random.random() < self.duplicate
        first, second = self._transit(), self._transit()
        times = [] if lost else sorted((first, second)) if twice else [first]
        passed = [datagram]
        for tap in self.taps:
            answers = [(each, tap(each)) for each in passed]
            passed = [out for each, new in answers for out in ((each,) if new is None else new)]
        original = False
        for each in passed:
            if each is datagram and not original:
                original = True
                self.duplicated += len(times) == 2
                for time in times:
                    self._launch(time, each, transmission)
            else:
                # With the real one's first copy: before or after it, as the tap has it.
                self.inject(each, times[0] if times else first)
        self.dropped += lost or not original

    def _transit(self) -> float:
        """How long one copy travels, in seconds."""
        held, jitter, hold = (self._random.random() for _ in range(3))
        time = self.delay + jitter * self.jitter
        if held < self.reorder:
            time += (1.0 + 9.0 * hold) * max(self.delay + self.jitter, 0.01)
        return time

    def _launch(self, delay: float, datagram: Datagram, sent: Transmission | None) -> None:
        if self.cut:
            self.dropped += 1
            return
        n = next(self._serials)
        self._flights[n] = self.clock.callLater(delay, self._arrive, n, datagram, sent)

    def _arrive(self, n: int, datagram: Datagram, sent: Transmission | None) -> None:
        del self._flights[n]
        receive = self._receivers.get(datagram.path.remote[0])
        if receive is None:
            self.dropped += 1
            self.unroutable += 1
            return
        self.delivered += 1
        if sent is not None:
            sent.delivered += 1
        receive(Datagram(datagram.octets, datagram.path.reversed()))
