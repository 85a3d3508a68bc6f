"""
First messages that wait for their second: never too many, never too long.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.connections import Limits
from isakmp.exchange.half_open import HalfOpenTable
from isakmp.paths import Datagram, Path
from isakmp.testing import VirtualClock
from isakmp.wire.message import CookiePair

LIMITS = Limits(half_open=6, half_open_per_address=3, half_open_seconds=10.0)
ADDRESSES = [f"198.51.100.{number}" for number in range(4)]


def cookies(number: int) -> CookiePair:
    return CookiePair(number.to_bytes(8, "big"), bytes(8))


def first(address: str, number: int = 0) -> Datagram:
    return Datagram(b"first %d" % number, Path(("192.0.2.1", 500), (address, 500)))


@dataclass
class Model:
    """
    The table as a list of what is in it, oldest first.

    :ivar entries: number, address, and until when.
    """

    entries: list[tuple[int, str, float]] = field(default_factory=list)
    evicted: int = 0

    def add(self, number: int, address: str, now: float) -> None:
        own = [entry for entry in self.entries if entry[1] == address]
        gives_way = None
        if len(own) == LIMITS.half_open_per_address:
            gives_way = own[0]
        elif len(self.entries) == LIMITS.half_open:
            gives_way = self.entries[0]
        if gives_way is not None:
            self.entries.remove(gives_way)
            self.evicted += 1
        self.entries.append((number, address, now + LIMITS.half_open_seconds))

    def remove(self, number: int) -> None:
        self.entries = [entry for entry in self.entries if entry[0] != number]

    def expire(self, now: float) -> None:
        self.entries = [entry for entry in self.entries if entry[2] > now]


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(ADDRESSES)),
        st.tuples(st.just("remove"), st.integers(0, 40)),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 2, 5, 9, 10, 11])),
    ),
    max_size=60,
)


class HalfOpenTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = VirtualClock()
        self.table = HalfOpenTable(self.clock, LIMITS)

    @settings(max_examples=150, deadline=None)
    @given(OPERATIONS)
    def test_model(self, operations: list[tuple[str, object]]) -> None:
        """
        Whatever happens in whatever order: within both bounds, the oldest gives way, each is
        forgotten when its time is over, one call is on the clock if and only if there is anything.

        Proves: RFC 2408 section 1.7.1 (row 1.7.1-1)
        """
        clock = VirtualClock()
        table, model = HalfOpenTable(clock, LIMITS), Model()
        number = 0
        for name, what in operations:
            if name == "add":
                assert isinstance(what, str)
                table.add(cookies(number), first(what, number), b"answer")
                model.add(number, what, clock.seconds())
                number += 1
            elif name == "remove":
                assert isinstance(what, int)
                table.remove(cookies(what))
                model.remove(what)
            else:
                assert isinstance(what, int)
                clock.run_until(clock.seconds() + what)
                model.expire(clock.seconds())
            self.assertEqual(len(table), len(model.entries))
            self.assertLessEqual(len(table), LIMITS.half_open)
            self.assertEqual(table.evicted, model.evicted)
            kept = {entry[0]: entry for entry in model.entries}
            for n in range(number):
                found = table.find(cookies(n))
                self.assertEqual(found is not None, n in kept)
                if found is not None:
                    self.assertEqual(found.first, first(kept[n][1], n))
                    self.assertEqual(found.until, kept[n][2])
            for address in ADDRESSES:
                own = sum(entry[1] == address for entry in model.entries)
                self.assertEqual(table.of_address(address), own)
            self.assertEqual(len(clock.getDelayedCalls()), bool(model.entries))
        clock.run_until(clock.seconds() + LIMITS.half_open_seconds)
        self.assertEqual((len(table), table.addresses), (0, {}))

    def test_what_is_kept(self) -> None:
        """Message 1 is kept as it arrived: its SA payload is hashed later as it was sent."""
        self.table.add(cookies(1), first(ADDRESSES[0]), b"answer")
        found = self.table.find(cookies(1))
        assert found is not None
        self.assertEqual((found.first, found.answer), (first(ADDRESSES[0]), b"answer"))
        self.assertNotIn("answer", repr(found))

    def test_flood_of_one(self) -> None:
        """A flood from one address displaces itself only."""
        self.table.add(cookies(0), first(ADDRESSES[0]), b"")
        for number in range(1, 1000):
            self.table.add(cookies(number), first(ADDRESSES[1]), b"")
        self.assertIsNotNone(self.table.find(cookies(0)))
        self.assertEqual(len(self.table), 1 + LIMITS.half_open_per_address)
        self.assertEqual(self.table.evicted, 999 - LIMITS.half_open_per_address)

    def test_returned(self) -> None:
        """
        One whose cookie has come back makes room, and is not missed when its time would have come.
        """
        self.table.add(cookies(0), first(ADDRESSES[0]), b"")
        self.clock.run_until(5.0)
        self.table.add(cookies(1), first(ADDRESSES[0]), b"")
        self.table.remove(cookies(0))
        self.table.remove(cookies(0))
        self.clock.run_until(14.9)
        self.assertEqual(len(self.table), 1)
        self.clock.run_until(15.0)
        self.assertEqual(len(self.table), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close(self) -> None:
        """Closed, it keeps nothing, on the clock neither."""
        for number in range(5):
            self.table.add(cookies(number), first(ADDRESSES[number % 4]), b"")
        self.table.close()
        self.assertEqual((len(self.table), self.clock.getDelayedCalls()), (0, []))
        self.assertEqual(self.table.of_address(ADDRESSES[0]), 0)
