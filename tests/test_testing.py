"""
The test kit: virtual time, the lossy network, fixed entropy.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock, LoopingCall
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.interfaces import IPorts
from isakmp.paths import Datagram, Path
from isakmp.testing import (
    DAY,
    FixedEntropy,
    LossyNetwork,
    NetworkPorts,
    Transmission,
    Unsettled,
    VirtualClock,
    settle,
)
from tests.bench.clock import OPERATIONS, measure

ALICE, BOB, NOBODY = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def programs(spans: list[float]) -> st.SearchStrategy[list[Any]]:
    """
    Programs of clock operations.

    :param spans: seconds to choose from.  Few, so that calls often meet at one instant.
    """
    span, index = st.sampled_from(spans), st.integers(0, 4)
    simple = st.one_of(
        st.tuples(st.just("reset"), index, span),
        st.tuples(st.just("delay"), index, span),
        st.tuples(st.just("cancel"), index),
        st.tuples(st.just("advance"), span),
        st.tuples(st.just("look")),
        st.tuples(st.just("later"), span, st.just([])),
    )
    nested: Any = st.deferred(
        lambda: st.one_of(
            simple,
            st.tuples(st.just("fail")),
            st.tuples(st.just("later"), span, st.lists(nested, max_size=3)),
        )
    )
    outer = st.one_of(
        simple,
        st.tuples(st.just("later"), span, st.lists(nested, max_size=3)),
        st.tuples(st.just("pump"), st.lists(span, max_size=4)),
    )
    return st.lists(outer, max_size=30)


def long_program(seed: int) -> list[Any]:
    """A program of some 3,500 operations that start, move or cancel one of many calls."""
    dice = Random(seed)
    program: list[Any] = []
    for started in range(1000):
        program.append(("later", dice.randrange(20), []))
        program.append(("cancel", dice.randrange(started + 1)))
        for _ in range(dice.randrange(4)):
            change = dice.choice(["reset", "delay"])
            program.append((change, dice.randrange(started + 1), dice.randrange(20)))
        if not dice.randrange(40):
            program.append(("advance", dice.randrange(3)))
            program.append(("look",))
    return [*program, ("advance", 100.0), ("look",)]


class Execution:
    """A program of clock operations, run on one clock, and the trace it leaves."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.calls: list[Any] = []
        self.trace: list[Any] = []

    def run(self, program: Sequence[Any]) -> list[Any]:
        for step in program:
            self.step(step)
        return self.trace

    def step(self, step: Any) -> None:
        name, *arguments = step
        try:
            getattr(self, name)(*arguments)
        except Exception as error:
            self.trace.append((name, type(error)))
            if name == "fail":
                raise

    def later(self, delay: float, inside: Sequence[Any]) -> None:
        number = len(self.calls)
        self.calls.append(self.clock.callLater(delay, self.called, number, inside=inside))

    def called(self, number: int, inside: Sequence[Any]) -> None:
        self.trace.append(("called", number, self.clock.seconds()))
        for step in inside:
            self.step(step)

    def on(self, index: int, method: str, *arguments: float) -> None:
        if self.calls:
            getattr(self.calls[index % len(self.calls)], method)(*arguments)

    def reset(self, index: int, seconds: float) -> None:
        self.on(index, "reset", seconds)

    def delay(self, index: int, seconds: float) -> None:
        self.on(index, "delay", seconds)

    def cancel(self, index: int) -> None:
        self.on(index, "cancel")

    def advance(self, amount: float) -> None:
        self.clock.advance(amount)

    def pump(self, amounts: Sequence[float]) -> None:
        self.clock.pump(amounts)

    def fail(self) -> None:
        raise ZeroDivisionError

    def look(self) -> None:
        pending = [self.calls.index(call) for call in self.clock.getDelayedCalls()]
        states = [(call.active(), call.getTime()) for call in self.calls]
        self.trace.append(("look", self.clock.seconds(), pending, states))


class VirtualClockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = VirtualClock()
        self.seen: list[Any] = []

    def note(self, *arguments: object) -> None:
        self.seen.append((self.clock.seconds(), *arguments))

    def test_interface(self) -> None:
        """It can stand wherever a reactor's clock is wanted."""
        verifyObject(IReactorTime, self.clock)
        self.assertIsInstance(self.clock.callLater(1, self.note), DelayedCall)

    def compare(self, program: Sequence[Any]) -> list[Any]:
        """Run a program on both clocks."""
        trace = Execution(VirtualClock()).run(program)
        self.assertEqual(trace, Execution(Clock()).run(program))
        return trace

    @settings(max_examples=300, deadline=None)
    @given(programs([0.0, 1.0, 2.0, 3.0]))
    def test_as_task_clock(self, program: list[Any]) -> None:
        """Every program has the same trace as on Twisted's own clock: order, times, errors."""
        self.compare([step for each in program for step in (each, ("look",))])

    @settings(max_examples=150, deadline=None)
    @given(programs([-1.0, -0.1, 0.0, 0.1, 0.2, 0.3, 0.7, 1.0, 1e9]))
    def test_as_task_clock_odd_times(self, program: list[Any]) -> None:
        """So it does with negative delays, with time that runs backwards, and where sums round."""
        self.compare([step for each in program for step in (each, ("look",))])

    def test_as_task_clock_at_length(self) -> None:
        """So it does with hundreds pending, of which many are cancelled or moved."""
        for seed in range(3):
            trace = self.compare(long_program(seed))
            self.assertGreater(len([1 for name, *_ in trace if name == "called"]), 300)

    def test_ties(self) -> None:
        """
        Of calls moved to one instant, those from earlier go first and those from later last.

        This is the case that a heap ordered by time and time of creation gets wrong.
        """
        early, _, late = (self.clock.callLater(t, self.note, t) for t in (1.0, 2.0, 3.0))
        early.reset(2.0)
        late.reset(2.0)
        self.clock.callLater(2.0, self.note, "new")
        self.clock.advance(2.0)
        self.assertEqual([name for _, name in self.seen], [1.0, 2.0, 3.0, "new"])

    def test_ties_at_once(self) -> None:
        """Calls put off, or brought forward, to one instant together keep the order they had."""
        for instant in (9.0, 1.0):
            clock = VirtualClock()
            calls = [clock.callLater(delay, self.note) for delay in (3.0, 3.0, 4.0)]
            for call in reversed(calls):
                call.reset(instant)
            clock.advance(0.0)
            self.assertEqual(clock.getDelayedCalls(), calls)

    def test_ties_one_by_one(self) -> None:
        """Each put in order before the next is moved, the one put off last goes first."""
        calls = [self.clock.callLater(delay, self.note) for delay in (1.0, 2.0, 3.0)]
        for call in calls:
            call.reset(4.0)
            self.clock.advance(0.0)
        self.assertEqual(self.clock.getDelayedCalls(), calls[::-1])

    def test_copy(self) -> None:
        """Cancelling all that is pending reaches every call."""
        for delay in range(10):
            self.clock.callLater(delay, self.note)
        for call in self.clock.getDelayedCalls():
            call.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(100.0)
        self.assertEqual(self.seen, [])

    def test_cancelled_are_forgotten(self) -> None:
        """A hundred thousand timers started and cancelled leave no more behind than a few."""
        alive: weakref.WeakSet[Any] = weakref.WeakSet()
        pending = [self.clock.callLater(60.0, self.note) for _ in range(2400)]
        most = 0
        for n in range(100_000):
            call = self.clock.callLater(n % 97, self.note)
            alive.add(call)
            call.cancel()
            del call
            if not n % 100:
                most = max(most, len(alive))
        self.assertLessEqual(most, 2400 + 64 + 1)
        self.assertEqual(self.clock.getDelayedCalls(), pending)
        for call in pending:
            call.cancel()
        self.assertLessEqual(len(alive), 64)

    def test_moves_are_forgotten(self) -> None:
        """A timer that every datagram puts off does not grow the clock."""
        call = self.clock.callLater(60.0, self.note)
        for n in range(10_000):
            call.reset(60.0 + n % 7)
            self.clock.advance(0.0)
            self.assertLessEqual(len(self.clock._heap), 2 + 64)
        self.assertEqual(self.clock.getDelayedCalls(), [call])

    def test_cheap(self) -> None:
        """With 2,400 pending a timer is started and cancelled without a look at the others."""
        for delay in range(2400):
            self.clock.callLater(delay, self.note)
        looks = 0
        original = DelayedCall.getTime

        def counted(call: DelayedCall) -> float:
            nonlocal looks
            looks += 1
            return original(call)

        self.patch(DelayedCall, "getTime", counted)
        for delay in range(1000):
            self.clock.callLater(delay, self.note).cancel()
        self.assertLessEqual(looks, 2000)

    def test_next_event(self) -> None:
        """One step is one call, at its own time; without calls time stands still."""
        self.clock.callLater(3e7, self.note, "year")
        self.clock.callLater(0.25, self.note, "soon")
        self.clock.callLater(0.25, self.note, "too")
        self.assertTrue(self.clock.next_event())
        self.assertEqual(self.seen, [(0.25, "soon")])
        self.assertTrue(self.clock.next_event())
        self.assertTrue(self.clock.next_event())
        self.assertEqual(self.seen[1:], [(0.25, "too"), (3e7, "year")])
        self.assertFalse(self.clock.next_event())
        self.assertEqual(self.clock.seconds(), 3e7)

    def test_next_event_exact(self) -> None:
        """A call is due at its time even where that is no sum of the spans (0.1, then 0.7)."""
        for delay in (0.7, 0.1, 0.3):
            self.clock.callLater(delay, self.note)
        while self.clock.next_event():
            pass
        self.assertEqual(self.seen, [(0.1,), (0.3,), (0.7,)])

    def test_until_time(self) -> None:
        """Up to a time, every call runs at its own time, also those scheduled on the way."""

        def again() -> None:
            self.note()
            self.clock.callLater(1.0, again)

        again()
        self.assertTrue(self.clock.run_until(3.0))
        self.assertEqual(self.seen, [(0.0,), (1.0,), (2.0,), (3.0,)])
        self.assertTrue(self.clock.run_until(3.5))
        self.assertEqual(self.clock.seconds(), 3.5)
        self.assertEqual(len(self.seen), 4)

    def test_until_past(self) -> None:
        """Time never runs backwards, but what was due by then is run."""
        self.clock.advance(10.0)
        self.clock.callLater(-8.0, self.note)
        self.clock.callLater(-1.0, self.note)
        self.assertTrue(self.clock.run_until(5.0))
        self.assertEqual((self.seen, self.clock.seconds()), ([(10.0,)], 10.0))

    def test_until_condition(self) -> None:
        """It stops right after the call that made the condition true, amid the instant."""
        for number in range(5):
            self.clock.callLater(number // 2, self.note, number)
        self.assertTrue(self.clock.run_until(lambda: len(self.seen) == 3))
        self.assertEqual(self.clock.seconds(), 1.0)
        self.assertEqual(len(self.clock.getDelayedCalls()), 2)
        self.assertTrue(self.clock.run_until(lambda: True))
        self.assertEqual(len(self.clock.getDelayedCalls()), 2)

    def test_until_limit(self) -> None:
        """A condition that never holds ends at the limit, with timers pending or without."""
        self.assertFalse(self.clock.run_until(lambda: False))
        self.assertEqual(self.clock.seconds(), DAY)
        loop = LoopingCall(self.note)
        loop.clock = self.clock
        loop.start(7.0)
        self.assertFalse(self.clock.run_until(lambda: False, 70.0))
        self.assertEqual(self.clock.seconds(), DAY + 70.0)
        self.assertEqual(len(self.seen), 11)
        loop.stop()
        self.assertTrue(self.clock.run_until(lambda: self.clock.seconds() == DAY + 100.0, 30.0))

    def test_until_all_is_done(self) -> None:
        """To run until nothing is pending leaves time at the last call."""
        self.clock.callLater(5.0, self.clock.callLater, 5.0, self.note)
        self.assertTrue(self.clock.run_until(float("inf")))
        self.assertEqual((self.seen, self.clock.seconds()), ([(10.0,)], 10.0))

    def test_bench(self) -> None:
        """The benchmark measures every operation on both clocks."""
        result = measure(pending=20, rounds=3)
        self.assertEqual([*result["operations"]], [each.__name__ for each in OPERATIONS])
        for each in result["operations"].values():
            self.assertGreater(each["ratio"], 0)


class SettleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = VirtualClock()
        self.deferred: Deferred[int] = Deferred()

    def test_result(self) -> None:
        """The clock stops when the result is there, and the Deferred still has it."""
        self.clock.callLater(5.0, self.deferred.callback, 7)
        self.clock.callLater(6.0, self.fail)
        self.assertEqual(settle(self.clock, self.deferred), 7)
        self.assertEqual(self.clock.seconds(), 5.0)
        self.assertEqual(self.successResultOf(self.deferred), 7)

    def test_at_once(self) -> None:
        """A Deferred that has fired takes no time."""
        self.assertIsNone(settle(self.clock, succeed(None)))
        self.assertEqual(self.clock.seconds(), 0.0)

    def test_failure(self) -> None:
        """A failure is raised, and nobody complains later that it was not handled."""
        self.clock.callLater(5.0, self.deferred.errback, ZeroDivisionError())
        self.assertRaises(ZeroDivisionError, settle, self.clock, self.deferred)
        self.assertRaises(KeyError, settle, self.clock, fail(KeyError()))
        del self.deferred
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_chained(self) -> None:
        """Fired but waiting for another Deferred is not yet fired."""
        inner: Deferred[int] = Deferred()
        self.deferred.addCallback(lambda _: inner)
        self.deferred.callback(1)
        self.clock.callLater(2.0, inner.callback, 2)
        self.assertEqual(settle(self.clock, self.deferred), 2)

    def test_limit(self) -> None:
        """One that does not fire in time fails the test, and can be waited for again."""
        self.clock.callLater(50.0, self.deferred.callback, 1)
        complaint = self.assertRaises(Unsettled, settle, self.clock, self.deferred, 49.0)
        self.assertIn("49.0 s; 1 calls pending", str(complaint))
        self.assertEqual(self.clock.seconds(), 49.0)
        self.assertEqual(settle(self.clock, self.deferred), 1)

    def test_failure_after_limit(self) -> None:
        """A failure that comes after we gave up is still the caller's to handle."""
        self.assertRaises(Unsettled, settle, self.clock, self.deferred)
        self.deferred.errback(ZeroDivisionError())
        self.failureResultOf(self.deferred, ZeroDivisionError)


class FixedEntropyTests(SynchronousTestCase):
    def test_known(self) -> None:
        """The octets are SHA-256 of seed and counter: the same on every machine."""
        blocks = [hashlib.sha256(b"5:%d" % n).digest() for n in range(3)]
        self.assertEqual(FixedEntropy(5)(96), b"".join(blocks))

    @given(st.lists(st.integers(0, 100), max_size=10))
    def test_stream(self, sizes: list[int]) -> None:
        """However it is cut up, it is one stream, and each piece has the length asked for."""
        entropy = FixedEntropy("a")
        pieces = [entropy(size) for size in sizes]
        self.assertEqual([len(piece) for piece in pieces], sizes)
        self.assertEqual(b"".join(pieces), FixedEntropy("a")(sum(sizes)))

    def test_seeds(self) -> None:
        """Different seeds give different octets, and one seed never repeats itself."""
        streams = [FixedEntropy(seed) for seed in (0, 1, "0", "1", "")]
        cookies = [stream(8) for stream in streams for _ in range(1000)]
        self.assertEqual(len(set(cookies)), 5000)

    def test_negative(self) -> None:
        """A negative number is refused, as by os.urandom."""
        self.assertRaises(ValueError, FixedEntropy(0), -1)


class LossyNetworkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = VirtualClock()
        self.inboxes: dict[str, list[tuple[float, bytes]]] = {ALICE: [], BOB: []}

    def network(self, **options: Any) -> LossyNetwork:
        self.net = LossyNetwork(self.clock, **options)
        self.alice = self.attach(ALICE)
        self.bob = self.attach(BOB)
        return self.net

    def attach(self, address: str) -> NetworkPorts:
        def receive(datagram: Datagram) -> None:
            self.assertEqual(datagram.path.local[0], address)
            self.inboxes[address].append((self.clock.seconds(), datagram.octets))

        return self.net.attach(address, receive)

    def send(self, octets: bytes, to: str = BOB) -> Datagram:
        datagram = Datagram(octets, Path((ALICE, 500), (to, 500)))
        self.alice.send(datagram)
        return datagram

    def arrived(self) -> list[bytes]:
        """What Bob has got when nothing is left in flight."""
        self.clock.run_until(float("inf"))
        return [octets for _, octets in self.inboxes[BOB]]

    def fates(self, number: int, **options: Any) -> list[tuple[float, bytes]]:
        """What becomes of so many datagrams, one a second."""
        self.setUp()
        self.network(**options)
        for n in range(number):
            self.send(b"%d" % n)
            self.clock.run_until(self.clock.seconds() + 1.0)
        self.arrived()
        self.balance()
        return self.inboxes[BOB]

    def balance(self) -> None:
        net = self.net
        self.assertEqual(
            net.sent + net.injected + net.duplicated, net.delivered + net.dropped + net.pending
        )

    def test_interface(self) -> None:
        """What a node sends by can stand for its sockets."""
        self.network()
        verifyObject(IPorts, self.alice)

    def test_reliable(self) -> None:
        """By default each datagram arrives once, in order, after the delay, its path reversed."""
        net = self.network()
        got: list[Datagram] = []
        net.attach(NOBODY, got.append)
        path = Path((ALICE, 500), (NOBODY, 4500))
        for n in range(100):
            self.alice.send(Datagram(b"%d" % n, path))
        self.assertEqual((net.pending, got), (100, []))
        self.clock.advance(0.01)
        back = Path((NOBODY, 4500), (ALICE, 500))
        self.assertEqual(got, [Datagram(b"%d" % n, back) for n in range(100)])
        self.assertEqual((net.sent, net.delivered, net.dropped, net.pending), (100, 100, 0, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_conversation(self) -> None:
        """Nodes may answer while they receive, by the path as they see it."""
        net = LossyNetwork(self.clock)
        heard: list[bytes] = []

        def node(address: str) -> None:
            def receive(datagram: Datagram) -> None:
                heard.append(datagram.octets)
                if len(heard) < 6:
                    ports.send(Datagram(datagram.octets + b"!", datagram.path))

            ports = net.attach(address, receive)

        node(ALICE)
        node(BOB)
        net.inject(Datagram(b"", Path((ALICE, 500), (BOB, 500))))
        self.clock.run_until(float("inf"))
        self.assertEqual(heard, [b"!" * n for n in range(6)])

    def test_drop(self) -> None:
        """As many are lost as was asked for; all or none at the ends."""
        self.assertEqual(self.fates(200, drop=1.0), [])
        self.assertEqual((self.net.dropped, self.net.duplicated), (200, 0))
        self.assertEqual(len(self.fates(200, drop=0.0)), 200)
        self.assertTrue(550 < len(self.fates(1000, drop=0.4)) < 650)
        self.assertEqual(self.net.dropped, 1000 - len(self.inboxes[BOB]))

    def test_duplicate(self) -> None:
        """A doubled datagram arrives exactly twice."""
        self.assertEqual(
            [octets for _, octets in self.fates(3, duplicate=1.0)],
            [b"0", b"0", b"1", b"1", b"2", b"2"],
        )
        self.assertEqual((self.net.sent, self.net.duplicated, self.net.delivered), (3, 3, 6))
        self.assertTrue(1250 < len(self.fates(1000, duplicate=0.3)) < 1350)

    def test_jitter(self) -> None:
        """Every datagram takes at least the delay, and at most the jitter more."""
        times = [t - int(octets) for t, octets in self.fates(500, delay=0.2, jitter=0.1)]
        self.assertTrue(0.2 - 1e-9 <= min(times) < 0.205 < 0.295 < max(times) <= 0.3 + 1e-9)

    def test_reorder(self) -> None:
        """Held back, a datagram is overtaken by those sent after it, even without any delay."""
        for delay in (0.0, 0.01, 5.0):
            self.setUp()
            self.network(reorder=0.3, delay=delay)
            order = [b"%d" % n for n in range(100)]
            for octets in order:
                self.send(octets)
            arrived = self.arrived()
            self.assertNotEqual(arrived, order)
            self.assertEqual(sorted(arrived), sorted(order))
            held = [t - delay for t, _ in self.inboxes[BOB] if t > delay]
            self.assertTrue(15 < len(held) < 45)
            usual = max(delay, 0.01)
            self.assertTrue(usual <= min(held) and max(held) <= 10 * usual)

    @given(st.integers(), st.integers())
    @settings(max_examples=20, deadline=None)
    def test_seed(self, one: int, other: int) -> None:
        """The same seed is the same run; another is another."""
        options = {"drop": 0.2, "duplicate": 0.2, "reorder": 0.2, "jitter": 0.1}
        run = self.fates(60, seed=one, **options)
        self.assertEqual(self.fates(60, seed=one, **options), run)
        # A negative integer seeds like its absolute value.
        if abs(one) != abs(other):
            self.assertNotEqual(self.fates(60, seed=other, **options), run)

    def test_fates_are_independent(self) -> None:
        """What else happens changes nothing about which datagrams are lost."""
        lost = {octets for _, octets in self.fates(200, drop=0.3)}
        other = self.fates(200, drop=0.3, duplicate=0.5, reorder=0.5, jitter=0.5, delay=0.0)
        self.assertEqual({octets for _, octets in other}, lost)
        self.setUp()
        self.network(drop=0.3).cut = True
        for n in range(200):
            self.net.cut = n < 100
            self.send(b"%d" % n)
        self.assertEqual(set(self.arrived()), {octets for octets in lost if int(octets) >= 100})

    def test_settings_change(self) -> None:
        """A network may become worse in the middle of a test."""
        net = self.network()
        self.send(b"1")
        net.drop = 1.0
        self.send(b"2")
        net.drop, net.delay = 0.0, 3.0
        self.send(b"3")
        self.assertEqual(self.arrived(), [b"1", b"3"])
        self.assertEqual(self.clock.seconds(), 3.0)

    def test_unroutable(self) -> None:
        """What goes to an unknown address is dropped and counted."""
        net = self.network()
        self.send(b"1", to=NOBODY)
        self.assertEqual(net.pending, 1)
        self.clock.advance(1.0)
        self.assertEqual((net.unroutable, net.dropped, net.delivered), (1, 1, 0))
        self.balance()

    def test_cut(self) -> None:
        """A partition stops all that is sent, forged datagrams too, but not what is under way."""
        net = self.network(duplicate=1.0)
        first = self.send(b"1")
        net.cut = True
        self.send(b"2")
        net.inject(first)
        self.assertEqual(net.dropped, 2)
        self.assertEqual(self.arrived(), [b"1", b"1"])
        net.cut = False
        self.send(b"3")
        self.assertEqual(self.arrived(), [b"1", b"1", b"3", b"3"])
        self.balance()

    def test_flush(self) -> None:
        """What is in flight can be dropped, and then no timer is left."""
        net = self.network(duplicate=1.0)
        self.send(b"1")
        self.send(b"2")
        self.assertEqual(net.flush(), 4)
        self.assertEqual((net.pending, net.dropped, self.arrived()), (0, 4, []))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(net.flush(), 0)
        self.send(b"3")
        self.assertEqual(self.arrived(), [b"3", b"3"])
        self.balance()

    def test_record(self) -> None:
        """The record tells of each datagram when it was sent and how often it has arrived."""
        net = self.network(duplicate=1.0)
        self.send(b"0")
        net.record = []
        one = self.send(b"1")
        self.clock.run_until(5.0)
        net.drop = 1.0
        two = self.send(b"2")
        net.drop = net.duplicate = 0.0
        three = self.send(b"3")
        net.inject(two)
        self.assertEqual(net.record[2], Transmission(three, 5.0, 0))
        self.arrived()
        self.assertEqual(
            net.record,
            [Transmission(one, 0.0, 2), Transmission(two, 5.0, 0), Transmission(three, 5.0, 1)],
        )

    def test_tap_watches(self) -> None:
        """A tap that returns nothing sees all that is sent, lost or not, and changes nothing."""
        net = self.network(drop=0.5)
        seen: list[Datagram] = []
        net.taps.append(seen.append)
        sent = [self.send(b"%d" % n) for n in range(50)]
        net.cut = True
        sent.append(self.send(b"cut"))
        self.assertEqual(seen, sent)
        self.assertEqual(len(self.arrived()), net.delivered)
        self.assertEqual(net.injected, 0)
        self.assertTrue(0 < net.delivered < 50)

    def race(self, seed: int, clock: Any) -> LossyNetwork:
        """Send twenty datagrams, each with a forged copy before it, over a bad network."""
        self.setUp()
        self.clock = clock
        net = self.network(
            drop=0.3, duplicate=0.3, reorder=0.3, delay=seed % 2 / 10, jitter=seed % 3, seed=seed
        )
        net.taps.append(lambda d: [Datagram(d.octets + b"?", d.path), d])
        for n in range(20):
            self.send(b"%d" % n)
        clock.pump([0.1] * 400)
        self.balance()
        self.assertEqual(net.pending, 0)
        arrived = [octets for _, octets in self.inboxes[BOB]]
        for n in range(20):
            copies = [octets for octets in arrived if octets.rstrip(b"?") == b"%d" % n]
            self.assertEqual(copies[0], b"%d?" % n)
            self.assertEqual(copies[1:], [b"%d" % n] * (len(copies) - 1))
        return net

    @given(st.integers(0, 10**6))
    @settings(max_examples=60, deadline=None)
    def test_forged_first(self, seed: int) -> None:
        """A forged copy that a tap puts before the real one always arrives before it."""
        self.race(seed, VirtualClock())

    def test_forged_first_on_task_clock(self) -> None:
        """So it does on Twisted's clock, and losses, second copies and overtaking were among it."""
        net = self.race(5, Clock())
        self.assertTrue(net.dropped and net.duplicated)
        real = [int(octets) for _, octets in self.inboxes[BOB] if not octets.endswith(b"?")]
        self.assertNotEqual(real, sorted(real))

    def test_tap_order(self) -> None:
        """What a tap returns arrives in its order: before, the real one, after, a replay."""
        net = self.network(delay=1.0)
        net.record = []
        before, after = (Datagram(o, Path((BOB, 500), (BOB, 500))) for o in (b"before", b"after"))
        net.taps.append(lambda d: [before, d, after, d])
        real = self.send(b"real")
        self.assertEqual(self.arrived(), [b"before", b"real", b"after", b"real"])
        self.assertEqual((net.sent, net.injected, net.delivered), (1, 3, 4))
        self.assertEqual(net.record, [Transmission(real, 0.0, 1)])
        self.balance()

    def test_tap_swallows(self) -> None:
        """A tap may keep a datagram for itself, or put another in its place, elsewhere."""
        net = self.network()
        net.record = []
        net.taps.append(lambda d: [] if d.octets == b"1" else None)
        net.taps.append(
            lambda d: [Datagram(b"to you", d.path.reversed())] if d.octets == b"2" else [d]
        )
        for octets in (b"1", b"2", b"3"):
            self.send(octets)
        self.assertEqual(self.arrived(), [b"3"])
        self.assertEqual([octets for _, octets in self.inboxes[ALICE]], [b"to you"])
        self.assertEqual([each.delivered for each in net.record], [0, 0, 1])
        self.assertEqual((net.dropped, net.injected), (2, 1))
        self.balance()

    def test_taps_in_turn(self) -> None:
        """The second tap sees what the first let pass, and what it added."""
        net = self.network()
        seen: list[bytes] = []
        net.taps.append(lambda d: iter([Datagram(b"forged", d.path), d]))
        net.taps.append(lambda d: seen.append(d.octets))
        self.send(b"real")
        self.assertEqual(seen, [b"forged", b"real"])
        self.assertEqual(self.arrived(), seen)

    def test_foreign_source(self) -> None:
        """A node that answers by the path of its peer, not by its own, is found out."""
        self.network()
        path = Path((BOB, 500), (ALICE, 500))
        complaint = self.assertRaises(ValueError, self.alice.send, Datagram(b"", path))
        self.assertIn(ALICE, str(complaint))
        self.assertEqual((self.net.sent, self.net.pending), (0, 0))

    def test_attach(self) -> None:
        """Two nodes cannot share an address, however it is spelled, and a name is none."""
        net = self.network()
        net.attach("2001:db8::1", self.fail)
        for address in (ALICE, "2001:DB8::1", "2001:db8:0::1", "alice", ""):
            self.assertRaises(ValueError, net.attach, address, self.fail)

    def test_settings(self) -> None:
        """Chances that are none, and times that never end, are refused."""
        for name in ("drop", "duplicate", "reorder"):
            for value in (-0.1, 1.1, float("nan")):
                self.assertRaises(ValueError, LossyNetwork, self.clock, **{name: value})
        for name in ("delay", "jitter"):
            for value in (-0.1, float("inf"), float("nan")):
                self.assertRaises(ValueError, LossyNetwork, self.clock, **{name: value})

    def test_broken_receiver(self) -> None:
        """A node that raises shows it to the test, and the books stay balanced."""
        net = self.network()

        def broken(datagram: Datagram) -> None:
            raise ZeroDivisionError

        net.attach(NOBODY, broken)
        self.send(b"1", to=NOBODY)
        self.send(b"2")
        self.assertRaises(ZeroDivisionError, self.clock.advance, 1.0)
        self.assertEqual(self.arrived(), [b"2"])
        self.assertEqual((net.delivered, net.pending), (2, 0))

    @given(st.integers(0, 10**6))
    @settings(max_examples=60, deadline=None)
    def test_books(self, seed: int) -> None:
        """Whatever happens, each copy is delivered, dropped or in flight: one of these."""
        self.setUp()
        net = self.network(drop=0.2, duplicate=0.2, reorder=0.2, jitter=0.1, seed=seed)
        net.record = []
        dice = Random(seed)
        other = Datagram(b"forged", Path((BOB, 500), (ALICE, 500)))
        net.taps.append(lambda d: dice.choice([None, [], [other, d], [d, d], [other], [d, other]]))
        events: list[Callable[[], object]] = [
            lambda: self.send(b"x", to=dice.choice([BOB, NOBODY])),
            lambda: self.clock.advance(0.02),
            lambda: net.inject(other, dice.random()),
            lambda: setattr(net, "cut", not net.cut),
            net.flush,
        ]
        for _ in range(80):
            dice.choices(events, (8, 4, 2, 1, 1))[0]()
            self.balance()
        self.arrived()
        self.balance()
        self.assertEqual((net.pending, self.clock.getDelayedCalls()), (0, []))
        self.assertEqual(net.delivered, sum(len(inbox) for inbox in self.inboxes.values()))
        self.assertEqual(net.sent, len(net.record))
        self.assertLessEqual(sum(each.delivered for each in net.record), net.delivered)
