"""
Very many datagrams from strangers: what they can make a node keep, do, and send.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from isakmp.connections import Limits
from isakmp.numbers import ExchangeType, PayloadType
from isakmp.paths import Datagram, Path
from isakmp.testing import LossyNetwork, settle
from isakmp.wire.message import Flags, Header
from tests.nodes import (
    ALICE,
    BOB,
    MALLORY,
    Member,
    Pair,
    Settings,
    assert_clean,
    disagreements,
    pair,
    unfinished,
)
from tests.properties.wiretap import COOKIES, MESSAGES, Wiretap

MANY = 10_000


def for_anybody(settings: Settings = Settings()) -> Pair:
    """Bob answers whoever asks, from any address."""
    return pair(settings, bobs=lambda connection: replace(connection, remote=()))


def address(number: int) -> str:
    """Of a stranger; each another."""
    return f"198.{18 + number // 65536 % 2}.{number // 256 % 256}.{number % 256}"


def recorded() -> dict[str, bytes]:
    """Every message of an attempt that came up, with nodes that nobody else knows."""
    both = pair(seed=99)
    tap = Wiretap(both.network)
    both.up()
    return {name: datagram.octets for name, datagram in tap.first.items()}


REAL = recorded()


def cookies(octets: bytes, random: Random, both: bool = False) -> bytes:
    """The same message with another initiator's cookie, or with two others."""
    count = 16 if both else 8
    return random.randbytes(count) + octets[count:]


class Flood:
    """
    Datagrams that nobody here has sent, and what became of them.

    :ivar peak: the longest each table of Bob's was, by name.
    """

    def __init__(self, both: Pair) -> None:
        self.both = both
        self.random = Random(1)
        self.peak: Counter[str] = Counter()
        self._began = len(both.wire)
        self._received: Counter[str] = Counter()
        self._datagrams: Counter[str] = Counter()

    def pour(self, octets: Iterable[tuple[bytes, str]], rate: float) -> float:
        """
        Let them arrive, evenly spaced; says when the last one does.

        :param octets: with the address each seems to come from.
        :param rate: how many each second.
        """
        last = 0.0
        for number, (each, source) in enumerate(octets):
            last = number / rate
            path = Path((source, 500), (BOB, 500))
            self.both.network.inject(Datagram(each, path), last)
            self._received[source] += len(each)
            self._datagrams[source] += 1
        return self.both.clock.seconds() + last

    def watch(self, seconds: float, goal: Callable[[], bool] = lambda: False) -> None:
        """Let time go by, at most so long, and look at the tables again and again."""
        end = self.both.clock.seconds() + seconds
        while self.both.clock.seconds() < end and not goal():
            self.both.wait(0.005)
            for name, length in tables(self.both.b).items():
                self.peak[name] = max(self.peak[name], length)

    def sent(self) -> list[Datagram]:
        """What Bob has sent since the beginning, Alice's exchanges apart."""
        since = (one.datagram for one in self.both.wire[self._began :])
        return [one for one in since if one.path.local[0] == BOB and one.path.remote[0] != ALICE]

    def check_not_amplified(self, test: SynchronousTestCase) -> None:
        """No address was sent more octets, or more datagrams, than came in its name."""
        octets: Counter[str] = Counter()
        datagrams: Counter[str] = Counter()
        for one in self.sent():
            octets[one.path.remote[0]] += len(one.octets)
            datagrams[one.path.remote[0]] += 1
        for source in octets:
            test.assertLessEqual(octets[source], self._received[source], source)
            test.assertLessEqual(datagrams[source], self._datagrams[source], source)


def tables(member: Member) -> dict[str, int]:
    """How long everything is in which a node remembers strangers."""
    door = member.demultiplexer
    conversations = door.conversations
    return {
        "half open": len(door.half_open),
        "half open of one": max(door.half_open.addresses.values(), default=0),
        "addresses": len(door.half_open.addresses),
        "conversations": len(conversations),
        "strangers": len(conversations.strangers),
        "lingering": len(conversations.lingering),
        "running": len(member.endpoint.running()),
    }


class FirstMessageTests(SynchronousTestCase):
    """
    RFC 2408 section 2.5.3: whoever has not shown that it receives what is sent to its address can
    make a node keep little.
    """

    def ended(self, flood: Flood) -> None:
        """Nothing more is sent, and soon nothing is left."""
        sent = len(flood.sent())
        both = flood.both
        both.wait(both.settings.limits.half_open_seconds + 1.0)
        self.assertEqual(len(flood.sent()), sent, "it repeats itself to those who proved nothing")
        flood.check_not_amplified(self)
        self.assertEqual(len(both.b.demultiplexer.half_open), 0)
        both.a.endpoint.close()
        both.wait(both.quiet)
        assert_clean(self, both.a, both.b)

    def test_one_address(self) -> None:
        """
        Ten thousand first messages from one address: what is kept of them stays within
        ``half_open_per_address``, nobody is sent more than came in its name, and a peer from
        another address comes up meanwhile.

        Proves: RFC 2408 section 2.5.3
        """
        both = for_anybody()
        flood = Flood(both)
        flood.pour(((cookies(REAL["Main 1"], flood.random), MALLORY) for _ in range(MANY)), 20_000)
        both.wait(0.1)
        results: list[object] = []
        both.a.establish().addBoth(results.append)
        flood.watch(0.2)
        self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual(len(both.b.bundles), 1, results)
        flood.watch(0.4)
        limit = both.settings.limits.half_open_per_address
        self.assertEqual(flood.peak["half open of one"], limit)
        self.assertLessEqual(flood.peak["half open"], limit + 1)
        self.assertLessEqual(flood.peak["running"] + flood.peak["conversations"], 3)
        self.ended(flood)

    def test_many_addresses(self) -> None:
        """
        Ten thousand from as many addresses: what is kept stays within ``half_open``, the oldest
        give way, and a peer comes up meanwhile, because its second message comes soon.

        Proves: RFC 2408 section 2.5.3
        Proves: RFC 2408 section 1.7.1 (row 1.7.1-1)
        """
        both = for_anybody()
        flood = Flood(both)
        flood.pour(
            ((cookies(REAL["Main 1"], flood.random), address(n)) for n in range(MANY)), 20_000
        )
        both.wait(0.2)
        both.a.establish()
        flood.watch(0.2)
        self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual(len(both.b.bundles), 1)
        flood.watch(0.4)
        self.assertEqual(flood.peak["half open"], both.settings.limits.half_open)
        self.assertEqual(flood.peak["addresses"], both.settings.limits.half_open)
        self.assertGreater(both.b.demultiplexer.half_open.evicted, MANY // 2)
        self.ended(flood)

    def test_address_of_the_peer(self) -> None:
        """
        A flood in the peer's own name: it still comes up if fewer than ``half_open_per_address``
        arrive in a round trip; if more do, then as soon as that ends.
        """
        for rate, count in ((2_000, 1_000), (20_000, 2_000)):
            both = for_anybody()
            flood = Flood(both)
            flood.pour(((cookies(REAL["Main 1"], flood.random), ALICE) for _ in range(count)), rate)
            both.wait(0.03)
            results: list[object] = []
            both.a.establish().addBoth(results.append)
            flood.watch(0.2)
            limit = both.settings.limits.half_open_per_address
            self.assertEqual(flood.peak["half open of one"], limit)
            self.assertEqual(bool(both.b.bundles), rate * 0.02 < limit)
            both.wait(5.0)
            self.assertEqual(len(results), 1)
            if not both.b.bundles:
                both.up()
            self.assertEqual(disagreements(both.a, both.b), [])

    def test_repeated(self) -> None:
        """The same first message ten thousand times is one stranger, answered from memory."""
        both = for_anybody()
        flood = Flood(both)
        flood.pour(((REAL["Main 1"], MALLORY) for _ in range(MANY)), 20_000)
        flood.watch(0.6)
        self.assertEqual(flood.peak["half open"], 1)
        self.assertEqual(len({one.octets for one in flood.sent()}), 1)
        self.ended(flood)

    def test_bad(self) -> None:
        """
        Ten thousand first messages that are refused leave nothing at all behind, and few of them
        are told so: ``notifications`` at once, and one more each second.
        """
        both = for_anybody()
        flood = Flood(both)
        proposal = REAL["Main 1"].index(b"\x80\x01\x00\x07")  # AES-CBC becomes what nobody offers
        bad = REAL["Main 1"][: proposal + 3] + b"\x04" + REAL["Main 1"][proposal + 4 :]
        flood.pour(((cookies(bad, flood.random), address(n % 500)) for n in range(MANY)), 5_000)
        flood.watch(2.1)
        self.assertEqual(set(flood.peak.values()), {0})
        told = flood.sent()
        limit = both.settings.limits.notifications
        self.assertTrue(limit <= len(told) <= limit + 3, len(told))
        flood.check_not_amplified(self)
        assert_clean(self, both.a, both.b)
        both.up()


class ThirdMessageTests(SynchronousTestCase):
    def test_invented_cookies(self) -> None:
        """
        Third messages with cookies that were never given are answered with few notifications, and
        cost nothing.

        Proves: RFC 2408 section 5.2 (row 5.2-2)
        """
        both = for_anybody()
        flood = Flood(both)
        flood.pour(
            ((cookies(REAL["Main 3"], flood.random, True), address(n)) for n in range(MANY)), 10_000
        )
        flood.watch(1.1)
        self.assertEqual(set(flood.peak.values()), {0})
        self.assertLessEqual(len(flood.sent()), both.settings.limits.notifications + 2)
        flood.check_not_amplified(self)
        assert_clean(self, both.a, both.b)

    def test_who_receives(self) -> None:
        """
        A stranger that does receive at its address, and goes on with message 3: it has at most
        ``conversations_per_address`` exchanges running, all together ``conversations``; if they
        are fewer another peer comes up meanwhile, and if not then when theirs have ended in time.
        """
        limits = Limits(conversations=100, conversations_per_address=30)
        for strangers, running in ((3, 90), (5, 100)):
            both = for_anybody(Settings(limits=limits))
            flood = Flood(both)
            both.network.taps.append(partial(third, both.network))
            sources = [address(n % strangers) for n in range(400)]
            first = ((cookies(REAL["Main 1"], flood.random), source) for source in sources)
            flood.pour(first, 5_000)
            flood.watch(0.3)
            self.assertEqual(len(both.b.demultiplexer.conversations.strangers), running)
            self.assertLessEqual(max(both.b.demultiplexer.conversations.unproven.values()), 30)
            self.assertEqual(flood.peak["running"], running)
            if running < limits.conversations:
                both.up()
            both.wait(both.settings.intervals.total + limits.half_open_seconds)
            self.assertEqual(unfinished(both.b), [])
            both.up()
            self.assertEqual(disagreements(both.a, both.b), [])


def third(network: LossyNetwork, datagram: Datagram) -> list[Datagram]:
    """Answers every message 2 with some message 3, as a stranger would who receives it."""
    header = Header.decode(datagram.octets)
    if header.exchange_type == ExchangeType.IDENTITY_PROTECTION:
        octets = header.cookies.octets + REAL["Main 3"][COOKIES:]
        if datagram.path.remote[0] != ALICE and header.first == PayloadType.SA:
            network.inject(Datagram(octets, datagram.path.reversed()), 0.02)
    return [datagram]


class GarbageTests(SynchronousTestCase):
    """What is no message, or none that anybody here waits for."""

    def pour(self, octets: Iterable[bytes]) -> Flood:
        """Into a node that has a child with somebody: that stays, and nothing is begun."""
        both = for_anybody()
        both.up()
        both.wait(both.settings.intervals.total)
        before = list(both.b.registry), dict(both.b.sink.standing)
        flood = Flood(both)
        last = flood.pour(((each, MALLORY) for each in octets), 5_000)
        flood.watch(last - both.clock.seconds() + 0.1)
        self.assertEqual((list(both.b.registry), dict(both.b.sink.standing)), before)
        self.assertEqual(flood.peak["running"] + flood.peak["conversations"], 0)
        flood.check_not_amplified(self)
        return flood

    def test_random(self) -> None:
        """Random octets of any length, and none at all, are not answered."""
        random = Random(2)
        flood = self.pour(random.randbytes(random.randrange(300)) for _ in range(3000))
        self.assertEqual(flood.sent(), [])

    def test_truncated(self) -> None:
        """Real messages cut short anywhere are not answered."""
        flood = self.pour(
            REAL[name][:end] for name in MESSAGES for end in range(len(REAL[name]))
        )
        self.assertEqual(flood.sent(), [])

    def test_headers(self) -> None:
        """
        Any octet of any real header with any value: few notifications, none longer than what it
        answers, and all of them in clear text.
        """
        flood = self.pour(
            REAL[name][:position] + bytes([value]) + REAL[name][position + 1 :]
            for name in ("Main 1", "Main 5", "Quick 1")
            for position in range(28)
            for value in range(0, 256, 5)
        )
        sent = [Header.decode(one.octets) for one in flood.sent()]
        notifications = [h for h in sent if h.exchange_type == ExchangeType.INFORMATIONAL]
        self.assertLessEqual(len(notifications), flood.both.settings.limits.notifications + 2)
        self.assertFalse(any(header.flags & Flags.ENCRYPTION for header in sent))

    def test_other_version(self) -> None:
        """
        A peer that speaks version 2.0 is told INVALID-MAJOR-VERSION, but not if its datagram is
        shorter than that, and few are told.

        Proves: RFC 2408 section 5.2 (row 5.2-4)
        Proves: RFC 2408 section 3.1 (row 3.1-3)
        """
        later = REAL["Main 1"][:17] + b"\x20" + REAL["Main 1"][18:]
        flood = self.pour(later for _ in range(1000))
        (one, *_) = sent = flood.sent()
        self.assertEqual(len(sent), flood.both.settings.limits.notifications)
        self.assertEqual(one.octets[-2:], b"\0\5")
        header = later[:16] + b"\0\x20\x22\x08" + bytes(7) + b"\x1c"
        self.assertEqual(self.pour(header for _ in range(100)).sent(), [])

    def test_unknown_sa(self) -> None:
        """
        Sealed messages of SAs that do not exist: Quick Mode gets few INVALID-COOKIE, an
        Informational exchange, such as a keepalive of a peer that remembers more, never any.
        """
        random = Random(3)
        flood = self.pour(cookies(REAL["Quick 1"], random, True) for _ in range(2000))
        self.assertLessEqual(len(flood.sent()), flood.both.settings.limits.notifications + 1)
        informational = bytearray(REAL["Quick 1"])
        informational[18] = ExchangeType.INFORMATIONAL
        octets = bytes(informational)
        flood = self.pour(cookies(octets, random, True) for _ in range(2000))
        self.assertEqual(flood.sent(), [])
        settle(flood.both.clock, flood.both.a.establish())
