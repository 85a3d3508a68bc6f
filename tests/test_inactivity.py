"""Children that no traffic uses end; those of which nothing is known do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from isakmp import packets
from isakmp.associations import SABundle, Usage
from isakmp.connections import Renewal
from isakmp.events import Removal
from isakmp.inactivity import SOONEST, Inactivity
from isakmp.packets import packet, udp
from isakmp.sinks.memory import MemorySink
from isakmp.sinks.userspace import UserspaceSink
from isakmp.testing import FixedEntropy, LossyNetwork, VirtualClock, settle
from tests.nodes import ALICE, BOB, SHARED, Member, Settings, connection
from tests.samples import logged

IDLE = 600.0
TRAFFIC = packet("10.1.0.7", "10.2.0.9", packets.UDP, udp(1000, 53, b"a question"))


class CountingSink(UserspaceSink):
    """
    One whose clock is the test's.

    :ivar queries: when it was asked.
    :ivar failing: how often it still fails to answer.
    """

    def __init__(self, clock: VirtualClock, entropy: Any) -> None:
        super().__init__(lambda octets: None, lambda octets: None, entropy)
        self.clock = clock
        self.queries: list[float] = []
        self.failing = 0
        self.ahead = 0.0
        self.tells = True

    def wall(self) -> float:
        """Seconds since 1970."""
        return 1.7e9 + self.ahead + self.clock.seconds()

    def query(self, bundle: SABundle) -> Deferred[Usage]:
        """As it counts."""
        self.queries.append(self.clock.seconds())
        if self.failing:
            self.failing -= 1
            return fail(OSError("no answer"))
        return super().query(bundle)

    def _count(self, name: str, at: int, packet: Any) -> None:
        super()._count(name, at, packet)
        self._usage[name][4 + at // 2] = self.wall() if self.tells else 0.0


class InactivityTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = VirtualClock()
        self.log = logged(self)

    def up(self, sink: Any = None, renewal: Renewal = Renewal()) -> Member:
        """Alice, with a child that may be idle for ten minutes."""
        network = LossyNetwork(self.clock)
        self.sink = CountingSink(self.clock, FixedEntropy("a")) if sink is None else sink
        long = Settings(sa_seconds=90_000, child_seconds=80_000)
        hers = connection(ALICE, BOB, "i.lab", "r.lab", long)
        (child,) = hers.children
        handling = replace(child.handling, inactivity=int(IDLE))
        child = replace(child, handling=handling, renewal=renewal)
        hers = replace(hers, children=(child,))
        his = connection(BOB, ALICE, "r.lab", "i.lab", long)
        self.bob = Member(network, self.clock, BOB, [his], SHARED)
        alice = Member(network, self.clock, ALICE, [hers], SHARED, sink=self.sink)
        if isinstance(self.sink, CountingSink):
            alice.assembly.inactivity.stop()
            alice.assembly.inactivity = Inactivity(alice.node, self.sink.wall)
        settle(self.clock, alice.establish())
        self.begun = self.clock.seconds()
        return alice

    def at(self, seconds: float) -> None:
        """So long after it came up."""
        self.clock.run_until(self.begun + seconds)

    def send(self) -> None:
        """Alice's traffic uses the child."""
        self.assertTrue(self.sink.send(TRAFFIC))

    def test_unused(self) -> None:
        """A child that nothing uses is deleted when its time is over, and the peer is told."""
        alice = self.up()
        self.at(IDLE - 1)
        self.assertEqual(len(alice.bundles), 1)
        self.at(IDLE + 1)
        self.assertEqual((alice.bundles, alice.removals), ([], [Removal.UNUSED]))
        self.assertEqual(self.bob.removals, [Removal.DELETED_BY_PEER])
        self.assertEqual(len(alice.sas), 1)
        self.assertEqual(dict(self.sink.standing), {})
        text = " ".join(event["log_format"] for event in self.log if "log_format" in event)
        self.assertIn("no traffic in {seconds:.0f} s, so it ends", text)

    def test_used(self) -> None:
        """
        One that is used lives on, until nothing has used it for that time; its sink is asked once
        in that time at most.
        """
        alice = self.up()
        for seconds in (100.0, 500.0, 1000.0):
            self.at(seconds)
            self.send()
        self.at(1000.0 + IDLE - 1)
        self.assertEqual(len(alice.bundles), 1)
        self.at(1000.0 + IDLE + 1)
        self.assertEqual(alice.removals, [Removal.UNUSED])
        asked = [round(time - self.begun) for time in self.sink.queries]
        self.assertEqual(asked, [600, 1100, 1600])

    def test_used_all_the_time(self) -> None:
        """One that is used all the time is asked for once in the time, and not more often."""
        alice = self.up()
        for seconds in range(10, 1190, 10):
            self.at(seconds)
            self.send()
        self.assertEqual(len(alice.bundles), 1)
        self.assertEqual(len(self.sink.queries), 1)

    def test_used_before(self) -> None:
        """One that was last used right after it had come up is asked for once more, not at once."""
        alice = self.up()
        self.at(0.2)
        self.send()
        self.at(IDLE + 5)
        self.assertEqual(alice.removals, [Removal.UNUSED])
        first, second = self.sink.queries
        self.assertEqual(second - first, SOONEST)

    def test_last_use_unknown(self) -> None:
        """
        Where the sink counts packets and does not tell when the last passed, a child lives on for
        the whole time after it was found to be used.
        """
        alice = self.up()
        self.sink.tells = False
        self.at(590.0)
        self.send()
        self.at(2 * IDLE - 5)
        self.assertEqual(len(alice.bundles), 1)
        self.at(2 * IDLE + 5)
        self.assertEqual(alice.removals, [Removal.UNUSED])

    def test_clock_set(self) -> None:
        """A clock that is set forward, or back, ends nothing that was used."""
        for ahead in (86400.0, -86400.0):
            alice = self.up()
            self.at(590.0)
            self.send()
            self.sink.ahead = ahead
            self.at(590.0 + IDLE - 5)
            self.assertEqual(len(alice.bundles), 1, ahead)

    def test_not_counted(self) -> None:
        """A sink that counts nothing ends nothing; that is said, once."""
        alice = self.up(MemorySink(FixedEntropy("m")))
        self.at(1190.0)
        self.assertEqual(len(alice.bundles), 1)
        told = [event for event in self.log if "does not tell" in str(event.get("log_format"))]
        self.assertEqual([event["sink"] for event in told], ["memory"])

    def test_not_answered(self) -> None:
        """A sink that fails to answer ends nothing; it is asked again."""
        alice = self.up()
        self.at(100.0)
        self.sink.failing = 1
        self.at(650.0)
        self.assertEqual(len(alice.bundles), 1)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_renewed(self) -> None:
        """It is counted anew from a renewal, and the old one is forgotten with its timer."""
        alice = self.up(renewal=Renewal(500.0))
        self.at(IDLE + 1)
        (new,) = alice.bundles
        self.at(500.0 + IDLE + 10)
        self.assertNotIn(Removal.UNUSED, alice.removals)
        self.assertNotIn(new, alice.bundles)

    def test_stopped(self) -> None:
        """When the node stops nothing stays on the clock; to stop twice is once."""
        alice = self.up()
        for _ in range(2):
            alice.assembly.inactivity.stop()
        self.at(IDLE + 1)
        self.assertEqual((len(alice.bundles), self.sink.queries), (1, []))

    def test_gone_meanwhile(self) -> None:
        """One that goes while its sink is asked is not deleted again, nor asked for."""
        for usage in (Usage(counted=True), Usage(packets_in=1, counted=True)):
            self._gone_meanwhile(usage)

    def _gone_meanwhile(self, usage: Usage) -> None:
        alice = self.up()
        answers: list[Deferred[Usage]] = []

        def query(bundle: SABundle) -> Deferred[Usage]:
            answers.append(Deferred())
            return answers[-1]

        vars(self.sink)["query"] = query
        self.at(IDLE + 1)
        alice.endpoint.delete(alice.bundles, Removal.DELETED)
        self.at(IDLE + 2)
        answers[0].callback(usage)
        self.at(2 * IDLE + 5)
        self.assertEqual(len(answers), 1)
        self.assertEqual(alice.removals, [Removal.DELETED])
