"""
Datagrams that were real once and were changed at random, among those of two nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from isakmp.connections import Limits
from isakmp.numbers import ExchangeType
from isakmp.paths import Datagram, Path
from isakmp.wire.message import Header
from tests.nodes import ALICE, BOB, MALLORY, SHARED, Pair, Settings, assert_clean, pair
from tests.vectors import conversations

ROUNDS = 80
"""Attempts, each with some hundred changed datagrams."""

COOKIES = 16
RECORDED = tuple(
    bytes.fromhex(message["raw"]) for _, facts in conversations() for message in facts["messages"]
)


def changed(octets: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """One to three changes; mostly the length is put right, or nothing else is looked at."""
    made = bytearray(octets)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(made)) if made else 0
        change = random.randrange(7)
        if change == 0 and made:
            made[at] ^= 1 << random.randrange(8)
        elif change == 1 and made:
            made[at] = random.choice((0, 1, 4, 127, 128, 132, 255))
        elif change == 2:
            del made[at:]
        elif change == 3:
            made += random.randbytes(random.randrange(60))
        elif change == 4:
            made[at:at] = made[Header.SIZE : at]
        elif change == 5:
            made[at:] = random.choice(others)[Header.SIZE :]
        elif len(made) > Header.SIZE:
            made[18] = random.choice((0, 1, 2, 3, 4, 5, 32, 33))
            made[19] = random.randrange(8)
    if len(made) >= Header.SIZE and random.random() < 0.8:
        made[24:28] = len(made).to_bytes(4, "big")
    return bytes(made)


class Meddler:
    """On the wire between two nodes, and elsewhere: changes, adds, repeats, turns round, loses."""

    def __init__(self, both: Pair, random: Random) -> None:
        self.both = both
        self.random = random
        self.seen: list[Datagram] = []
        both.network.taps.append(self)

    def __call__(self, datagram: Datagram) -> list[Datagram]:
        random = self.random
        self.seen.append(datagram)
        said = [one.octets for one in self.seen]
        passing = []
        for _ in range(random.choice((0, 0, 1, 2))):
            one = random.choice((datagram, random.choice(self.seen)))
            path = random.choice((datagram.path, datagram.path, datagram.path.reversed()))
            passing.append(Datagram(changed(one.octets, random, said), path))
        if random.random() < 0.9:
            passing.insert(random.randrange(len(passing) + 1), datagram)
        return passing

    def pour(self, count: int) -> None:
        """What was recorded elsewhere, changed; half of it with cookies that are known here."""
        random = self.random
        for _ in range(count):
            octets = changed(random.choice(RECORDED), random, RECORDED)
            if self.seen and random.random() < 0.5:
                octets = random.choice(self.seen).octets[:COOKIES] + octets[COOKIES:]
            here, there = random.sample((ALICE, BOB), 2)
            source = random.choice((there, MALLORY))
            path = Path((source, 500), (here, 500))
            self.both.network.inject(Datagram(octets, path), random.random())


class MutationTests(SynchronousTestCase):
    def test_nothing_of_it_is_a_fault(self) -> None:
        """
        CVE-2005-3666 and others: whatever is made of real messages, at any moment of an exchange of
        Main or Aggressive Mode: nothing of it is a fault of ours in the log, most attempts come up
        all the same, and when all is over nothing is left.
        """
        limits = Limits(aggressive_per_second=1000)
        up = 0
        for number in range(ROUNDS):
            kind = (ExchangeType.IDENTITY_PROTECTION, ExchangeType.AGGRESSIVE)[number % 2]
            both = pair(
                Settings(limits=limits),
                bobs=lambda connection, kind=kind: replace(connection, exchange=kind),  # type: ignore[misc]
                seed=number,
            )
            hers = replace(both.a.connection(), exchange=kind)
            both.a.assembly.configure([hers], SHARED)  # type: ignore[arg-type]
            meddler = Meddler(both, Random(number))
            both.a.establish().addErrback(lambda failure: None)
            meddler.pour(40)
            both.wait(2.0)
            meddler.pour(10)
            both.wait(40.0)
            up += bool(both.a.bundles)
            both.network.taps.clear()
            both.a.endpoint.close()
            both.b.endpoint.close()
            both.wait(both.quiet + both.expired)
            assert_clean(self, both.a, both.b)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertGreater(up, ROUNDS // 2)
