"""Children with ``start_action = start``: begun at the start, and again when they are lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from twisted.internet.defer import Deferred, fail
from twisted.logger import LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import SABundle
from isakmp.connections import Child, Connection, Intervals, Limits, StartAction
from isakmp.errors import ConfigurationError, ExchangeTimeout, NoProposalChosen
from isakmp.events import Removal
from isakmp.initiation import FIRST_PAUSE, LONGEST_PAUSE, Initiation
from isakmp.interfaces import Expiry, INode
from isakmp.registry import SARegistry
from isakmp.stores.memory import MemoryStore
from isakmp.stream import EventStream
from isakmp.testing import VirtualClock, settle
from tests.nodes import Pair, Settings, assert_clean, pair
from tests.samples import SampleSA, bundle, logged

QUICK = Settings(intervals=Intervals(first=1.0, factor=1.0, repeats=1))
"""An attempt is given up after two seconds."""


def started(*connections: Connection) -> list[Connection]:
    """The same with ``start_action = start`` for all of their children."""
    return [
        replace(
            one,
            children=tuple(replace(child, start=StartAction.START) for child in one.children),
        )
        for one in connections
    ]


class Endpoint:
    """Begins what it is asked to; how that ends is the test's."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answers: list[Deferred[Sequence[SABundle]]] = []
        self.given_up = 0
        self.at_once: Exception | None = None

    def establish(self, connection: Connection, child: Child) -> Deferred[Sequence[SABundle]]:
        self.asked.append((connection.name, child.name))
        if self.at_once is not None:
            return fail(self.at_once)
        self.answers.append(Deferred(self._give_up))
        return self.answers[-1]

    def _give_up(self, _: object) -> None:
        self.given_up += 1


class Node:
    """What of a node matters for beginning."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.events = EventStream()
        self.registry = SARegistry(MemoryStore(), self.clock, self.events, Limits())
        self.endpoint = Endpoint()
        self.endpoints = {"isakmp": self.endpoint}
        self.chance = 0.0

    def entropy(self, n: int) -> bytes:
        """As near to 1 as the chance is."""
        return int(self.chance * (256**n - 1)).to_bytes(n, "big")


NET = Child("net", (), start=StartAction.START)
ROAD = Connection("road", (), children=(NET,))


class InitiationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.node = Node()
        self.clock, self.endpoint = self.node.clock, self.node.endpoint
        self.initiation = Initiation(cast(INode, self.node))
        self.addCleanup(self.check)

    def check(self) -> None:
        self.initiation.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def stands(self, made: SABundle = bundle()) -> SABundle:
        """From now on a child stands, and its ISAKMP SA."""
        if self.node.registry.find(made.parent) is None:
            self.node.registry.add(SampleSA(made.parent), Expiry())
        self.node.registry.add(made, Expiry())
        return made

    def pauses(self, count: int) -> list[float]:
        """How long it waits before each of so many attempts, all of which fail at once."""
        self.endpoint.at_once = ExchangeTimeout("no answer")
        self.initiation.keep([ROAD])
        found = []
        for _ in range(count):
            before, asked = self.clock.seconds(), len(self.endpoint.asked)
            while len(self.endpoint.asked) == asked:
                self.assertTrue(self.clock.next_event())
            found.append(self.clock.seconds() - before)
        return found

    def test_who(self) -> None:
        """Each child that wants to be started is begun at once, and no other."""
        passive = replace(NET, name="passive", start=StartAction.NONE)
        self.initiation.keep(
            [
                replace(ROAD, children=(NET, passive, replace(NET, name="two"))),
                replace(ROAD, name="rail", children=(passive,)),
                replace(ROAD, name="sea"),
            ]
        )
        self.assertEqual(self.endpoint.asked, [("road", "net"), ("road", "two"), ("sea", "net")])

    def test_back_off(self) -> None:
        """
        What fails is begun again, each time after a pause twice as long, up to five minutes; for
        ever.
        """
        pauses = self.pauses(12)
        expected = [min(LONGEST_PAUSE, FIRST_PAUSE * 2**n) for n in range(12)]
        for pause, wanted in zip(pauses, expected, strict=True):
            self.assertAlmostEqual(pause, wanted)
        self.assertEqual((pauses[0], pauses[-1]), (2.0, 300.0))

    def test_spread(self) -> None:
        """Many that fail together do not all come back together: chance takes up to a quarter."""
        self.node.chance = 1.0
        pauses = self.pauses(9)
        for pause, wanted in zip(pauses, (1.5, 3.0, 6.0, 12.0), strict=False):
            self.assertAlmostEqual(pause, wanted, 3)
        self.assertAlmostEqual(pauses[-1], 225.0, 1)

    def test_worked(self) -> None:
        """What has stood and is lost begins with the short pause again."""
        self.pauses(6)
        self.endpoint.at_once = None
        made = self.stands()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.node.registry.remove(made, Removal.DELETED_BY_PEER)
        (call,) = self.clock.getDelayedCalls()
        self.assertAlmostEqual(call.getTime() - self.clock.seconds(), FIRST_PAUSE)

    def test_lost(self) -> None:
        """
        A child that is lost without anybody here wanting it is begun again: deleted by the peer,
        expired, or dead with its peer; one that was deleted here, or renewed, or that nothing used,
        is not.
        """
        self.initiation.keep([ROAD])
        made = self.stands()
        self.endpoint.answers[0].callback([made])
        ours = {Removal.DELETED, Removal.REPLACED, Removal.SHUTDOWN, Removal.UNUSED}
        for why in Removal:
            asked = len(self.endpoint.asked)
            self.node.registry.remove(made, why)
            self.clock.run_until(self.clock.seconds() + 10.0)
            self.assertEqual(len(self.endpoint.asked) - asked, 0 if why in ours else 1, why)
            self.stands(made)
            if why not in ours:
                self.endpoint.answers[-1].callback([made])

    def test_another_stands(self) -> None:
        """As long as another SA stands for the child, nothing has to be begun."""
        self.initiation.keep([ROAD])
        old, new = self.stands(), self.stands(bundle(0x1002, 0x2002))
        self.endpoint.answers[0].callback([old])
        self.node.registry.remove(old, Removal.DELETED_BY_PEER)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.node.registry.remove(new, Removal.DELETED_BY_PEER)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_other_children(self) -> None:
        """What is lost of others, which nobody wants to be started, is not begun."""
        self.initiation.keep([ROAD])
        for made in (bundle(0x11, 0x21, name="a"), bundle(0x12, 0x22, connection="rail")):
            self.stands(made)
        made = self.stands(bundle(0x13, 0x23))
        self.endpoint.answers[0].callback([made])
        for other in (bundle(0x14, 0x24), bundle(0x15, 0x25, connection="rail")):
            self.stands(other)
            self.node.registry.remove(other, Removal.PEER_GONE)
        self.assertEqual(len(self.endpoint.asked), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_peer_was_faster(self) -> None:
        """If the peer brings the child up while the next attempt waits, there is no next one."""
        self.pauses(1)
        self.stands()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_gone_at_once(self) -> None:
        """A child that is gone by the time its attempt has its result is begun again."""
        self.initiation.keep([ROAD])
        made = self.stands()
        self.node.registry.remove(made, Removal.DELETED_BY_PEER)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.endpoint.answers[0].callback([made])
        self.clock.run_until(self.clock.seconds() + FIRST_PAUSE)
        self.assertEqual(len(self.endpoint.asked), 2)

    def test_what_is_said(self) -> None:
        """
        The log says when it is tried again.  Why an exchange failed is logged where it failed; what
        can never be begun is said here, in one line; a fault of ours with its traceback.
        """
        notes = logged(self)
        self.endpoint.at_once = NoProposalChosen("no proposal fits")
        self.initiation.keep([ROAD])
        self.assertEqual([formatEvent(note) for note in notes], ["road/net is tried again in 2 s"])
        notes.clear()
        self.endpoint.at_once = ConfigurationError("connection road names no address of the peer")
        self.clock.run_until(self.clock.seconds() + 2)
        self.assertEqual(
            [(note["log_level"], formatEvent(note)) for note in notes],
            [
                (
                    LogLevel.error,
                    "road/net cannot be begun: connection road names no address of the peer",
                ),
                (LogLevel.info, "road/net is tried again in 4 s"),
            ],
        )
        self.endpoint.at_once = ZeroDivisionError()
        self.clock.run_until(self.clock.seconds() + 4)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    # -- configured anew --------------------------------------------------------------------------

    def test_unchanged(self) -> None:
        """What is the same goes on: what is under way is not begun a second time."""
        self.initiation.keep([ROAD])
        self.initiation.keep([replace(ROAD)])
        self.assertEqual((len(self.endpoint.asked), self.endpoint.given_up), (1, 0))

    def test_standing(self) -> None:
        """What stands is left alone, even if it has changed: that counts from the next time on."""
        self.stands()
        self.initiation.keep([ROAD])
        self.initiation.keep([replace(ROAD, remote=("192.0.2.9",))])
        self.assertEqual(self.endpoint.asked, [])

    def test_waiting(self) -> None:
        """
        What waits for its next attempt is begun at once when I configure anew, whether I have
        changed it or, say, its secret; and its pauses are short again.
        """
        self.pauses(6)
        self.initiation.keep([ROAD])
        self.assertEqual(len(self.endpoint.asked), 8)
        (call,) = self.clock.getDelayedCalls()
        self.assertAlmostEqual(call.getTime() - self.clock.seconds(), FIRST_PAUSE)

    def test_changed(self) -> None:
        """What is under way and has changed is given up, and begun as it is now."""
        self.initiation.keep([ROAD])
        self.initiation.keep([replace(ROAD, remote=("192.0.2.9",))])
        self.assertEqual((len(self.endpoint.asked), self.endpoint.given_up), (2, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.endpoint.answers[1].errback(ExchangeTimeout("no answer"))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_removed(self) -> None:
        """What is not wanted any more is given up, and does not come back."""
        self.initiation.keep([ROAD])
        self.initiation.keep([])
        self.assertEqual(self.endpoint.given_up, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.pauses(2)
        self.initiation.keep([replace(ROAD, children=(replace(NET, start=StartAction.NONE),))])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        made = self.stands()
        self.node.registry.remove(made, Removal.PEER_GONE)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_added(self) -> None:
        """What is new is begun at once, and only that."""
        self.initiation.keep([ROAD])
        self.initiation.keep([ROAD, replace(ROAD, name="rail")])
        self.assertEqual(self.endpoint.asked, [("road", "net"), ("rail", "net")])

    def test_stop(self) -> None:
        """A stop gives up what is under way, and nothing is begun afterwards; twice is once."""
        self.initiation.keep([ROAD, replace(ROAD, name="rail")])
        self.endpoint.answers[1].errback(ExchangeTimeout("no answer"))
        for _ in range(2):
            self.initiation.stop()
        self.assertEqual((self.endpoint.given_up, self.clock.getDelayedCalls()), (1, []))
        made = self.stands()
        self.node.registry.remove(made, Removal.PEER_GONE)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TwoNodesTests(SynchronousTestCase):
    """Alice's children start; the network and Bob do as they like."""

    def both(self, settings: Settings = Settings()) -> Pair:
        made = pair(settings)
        self.hers = started(made.a.connection())
        return made

    def keep(self, both: Pair) -> None:
        both.a.assembly.initiation.keep(self.hers)

    def assert_up(self, both: Pair, count: int = 1) -> None:
        names = {made.policy.name for made in both.a.bundles}
        self.assertEqual(len(names), count)
        self.assertEqual({made.policy.name for made in both.b.bundles}, names)

    def test_at_once(self) -> None:
        """At the start all children come up, under one ISAKMP SA."""
        both = self.both(Settings(children=3))
        self.keep(both)
        both.wait(1.0)
        self.assert_up(both, 3)
        self.assertEqual((len(both.a.sas), len(both.a.bundles)), (1, 3))

    def test_unreachable(self) -> None:
        """A peer that is not there yet is asked again and again until it is."""
        both = self.both(QUICK)
        both.network.cut = True
        self.keep(both)
        both.wait(60.0)
        attempts = len(both.a.failures)
        self.assertGreaterEqual(attempts, 3)
        for failure in both.a.failures:
            self.assertIsInstance(failure, ExchangeTimeout)
        both.network.cut = False
        both.wait(64.0)
        self.assert_up(both)
        self.assertEqual(len(both.a.failures), attempts)

    def test_deleted_by_the_peer(self) -> None:
        """What the peer deletes is up again after a short pause: its child, or all it has."""
        both = self.both()
        self.keep(both)
        both.wait(1.0)
        for sas in (both.b.bundles, both.b.sas):
            both.b.endpoint.delete(sas)
            both.wait(1.0)
            self.assertEqual((both.a.bundles, both.b.bundles), ([], []))
            both.wait(2.0)
            self.assert_up(both)

    def test_peer_killed(self) -> None:
        """
        A peer that was killed and has come back knows nothing of its SAs.  When it begins again
        itself, it is clear at once, and the child is up again.
        """
        both = self.both()
        self.keep(both)
        both.wait(1.0)
        both.b.forget()
        settle(both.clock, both.b.establish())
        both.wait(3.0)
        self.assert_up(both)
        self.assertIn(Removal.PEER_RESTARTED, both.a.removals)
        self.assertEqual({sa.key for sa in both.a.sas}, {sa.key for sa in both.b.sas})

    def test_peer_killed_and_silent(self) -> None:
        """When it does not, it is clear as soon as something is asked of it, a renewal for one."""
        both = self.both(Settings(children=2, intervals=QUICK.intervals))
        self.hers = [replace(self.hers[0], children=self.hers[0].children[:1])]
        self.keep(both)
        both.wait(1.0)
        both.b.forget()
        both.a.establish("net1").addErrback(lambda failure: failure.trap(ExchangeTimeout))
        both.wait(5.0)
        self.assertIn(Removal.PEER_GONE, both.a.removals)
        both.wait(5.0)
        self.assert_up(both)

    def test_both_start(self) -> None:
        """Both ends may have it started: each has the child, and they agree about its SAs."""
        both = self.both()
        his = started(both.b.connection())
        self.keep(both)
        both.b.assembly.initiation.keep(his)
        both.wait(5.0)
        self.assert_up(both)
        self.assertEqual(
            sorted(made.inbound[0].key.spi for made in both.a.bundles),
            sorted(made.outbound[0].key.spi for made in both.b.bundles),
        )
        both.wait(600.0)
        self.assert_up(both)

    def test_expired(self) -> None:
        """Without a renewal a child expires, and is begun again."""
        both = self.both(Settings(child_seconds=100))
        self.keep(both)
        for number in range(1, 4):
            both.wait(51.0)
            self.assert_up(both)
            both.wait(51.0)
            self.assertEqual(both.a.removals.count(Removal.EXPIRED), number)
        both.wait(3.0)
        self.assert_up(both)

    def test_stop(self) -> None:
        """A node that stops, up or on its way up or waiting, leaves nothing on the clock."""
        for seconds in (0.0, 0.015, 0.035, 0.065, 0.075, 1.0):
            both = self.both()
            self.keep(both)
            both.wait(seconds)
            settle(both.clock, both.a.assembly.stop())
            settle(both.clock, both.b.assembly.stop())
            both.network.flush()
            assert_clean(self, both.a, both.b)
        both = self.both(QUICK)
        both.network.cut = True
        self.keep(both)
        both.wait(3.0)
        self.assertEqual(len(both.a.failures), 1)
        settle(both.clock, both.a.assembly.stop())
        assert_clean(self, both.a)
