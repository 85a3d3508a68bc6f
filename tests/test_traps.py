"""Children with ``start_action = trap``: their traffic begins them."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Action, ChildPolicy, SABundle
from isakmp.connections import Connection, StartAction
from isakmp.errors import ConfigurationError
from isakmp.events import Established, TrafficWaiting
from isakmp.paths import Path
from isakmp.sinks.memory import MemorySink
from isakmp.traps import AGAIN
from tests.nodes import Member, Pair, pair
from tests.samples import logged

WAITS = TrafficWaiting("lab", "net", "10.1.0.1 - 10.2.0.1")


def trapped(one: Connection, action: Action = Action.PROTECT) -> Connection:
    """The same with ``start_action = trap`` for all of its children."""
    return replace(
        one,
        children=tuple(
            replace(child, start=StartAction.TRAP, action=action) for child in one.children
        ),
    )


class TrapTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.both: Pair = pair()
        self.policies: list[tuple[ChildPolicy, Path | None]] = []
        self.gone: list[tuple[str, str]] = []
        self.refusal: Exception | None = None

        def trap(sink: MemorySink, policy: ChildPolicy, path: Path | None) -> Deferred[None]:
            if self.refusal is not None:
                return fail(self.refusal)
            self.policies.append((policy, path))
            return succeed(None)

        def untrap(sink: MemorySink, connection: str, child: str) -> Deferred[None]:
            self.gone.append((connection, child))
            return succeed(None)

        self.patch(MemorySink, "trap", trap)
        self.patch(MemorySink, "untrap", untrap)

    @property
    def alice(self) -> Member:
        return self.both.a

    def keep(self, *connections: Connection) -> None:
        self.alice.assembly.traps.keep(connections)

    def test_set(self) -> None:
        """The sink is told of the child's traffic and its peer, once; other children are none."""
        one = trapped(self.alice.connection())
        self.keep(one)
        self.keep(one)
        ((policy, path),) = self.policies
        self.assertEqual((policy.connection, policy.name), ("lab", "net"))
        self.assertEqual(policy.local, one.children[0].local[0])
        assert path is not None
        self.assertEqual(path.remote[0], self.both.b.address)
        self.policies.clear()
        self.keep(replace(one, children=(replace(one.children[0], start=StartAction.START),)))
        self.assertEqual(self.policies, [])
        self.assertEqual(self.gone, [("lab", "net")])

    def test_changed(self) -> None:
        """A child that is configured otherwise now is told of again."""
        one = trapped(self.alice.connection())
        self.keep(one)
        self.keep(trapped(one, Action.DROP))
        self.assertEqual(
            [policy.action for policy, _ in self.policies], [Action.PROTECT, Action.DROP]
        )
        self.assertEqual(self.gone, [])

    def test_not_protected(self) -> None:
        """
        What passes or is dropped is the sink's from loading on, without anybody's address and
        though nothing begins the child; and no longer when its connection is gone.
        """
        one = self.alice.connection()
        for action in (Action.PASS, Action.DROP):
            bare = replace(one.children[0], action=action, suites=())
            with self.subTest(action=action):
                self.policies.clear()
                self.gone.clear()
                self.keep(replace(one, children=(bare,)))
                ((policy, path),) = self.policies
                self.assertEqual((policy.action, path), (action, None))
                self.keep()
                self.assertEqual(self.gone, [("lab", "net")])

    def test_traffic(self) -> None:
        """Traffic that waits begins the child, once however much waits; later it may again."""
        self.keep(trapped(self.alice.connection()))
        for _ in range(3):
            self.alice.node.events.publish(WAITS)
        self.both.wait(3.0)
        self.assertEqual(len(self.alice.bundles), 1)
        self.assertEqual(len(self.both.b.bundles), 1)
        self.alice.node.events.publish(WAITS)
        self.both.wait(3.0)
        self.assertEqual(len(self.alice.bundles), 2)

    def test_flood(self) -> None:
        """
        However much traffic waits for a child that cannot be begun, it is tried once in a second,
        and said so as often.
        """
        one = replace(self.alice.connection(), remote=("192.0.2.0/24",))
        self.keep(trapped(one))
        events = logged(self)
        for _ in range(10):
            for _ in range(100):
                self.alice.node.events.publish(WAITS)
            self.both.wait(0.25)
        lines = [formatEvent(one) for one in events if "lab/net" in (formatEvent(one) or "")]
        self.assertEqual(len([line for line in lines if line and "traffic waits" in line]), 3)
        self.assertEqual(len([line for line in lines if line and "cannot be begun" in line]), 3)
        self.assertEqual(len(lines), 6)

    def test_deleted_at_once(self) -> None:
        """
        A peer that agrees and deletes it at once, again and again, has us begin once in a second,
        however much traffic waits; and what waits is not forgotten.
        """
        self.keep(trapped(self.alice.connection()))
        made: list[SABundle] = []

        def deleted(event: Established) -> None:
            if isinstance(event.sa, SABundle):
                made.append(event.sa)
                self.both.b.endpoint.delete([event.sa])

        self.both.b.node.events.subscribe(Established, deleted)
        for _ in range(40):
            self.alice.node.events.publish(WAITS)
            self.both.wait(0.1)
        self.assertEqual(len(made), 4)
        self.assertEqual(self.alice.bundles, [])
        self.both.wait(3.0)
        self.assertEqual(len(made), 5)
        self.alice.node.events.publish(WAITS)
        self.alice.node.events.publish(WAITS)
        self.keep()
        self.both.wait(3.0)
        self.assertLessEqual(len(made), 6)

    def test_forgotten(self) -> None:
        """What was asked for is forgotten with its connection; loaded again, it is as it says."""
        connection = self.alice.connection()
        traps = self.alice.assembly.traps
        self.successResultOf(traps.set(connection, connection.children[0]))
        self.keep(connection)
        self.assertEqual(list(traps.standing), [("lab", "net")])
        self.keep()
        self.keep(connection)
        self.assertEqual(list(traps.standing), [])

    def test_stopped_while_begun(self) -> None:
        """What traffic has begun is given up when the node stops."""
        self.keep(trapped(self.alice.connection()))
        self.both.network.cut = True
        self.alice.node.events.publish(WAITS)
        self.both.wait(0.5)
        self.alice.assembly.traps.stop()
        self.both.network.cut = False
        self.both.wait(30.0)
        self.assertEqual(self.alice.bundles, [])

    def test_stopped_while_waiting(self) -> None:
        """A node that stops leaves nothing on the clock, though traffic has its turn soon."""
        self.keep(trapped(self.alice.connection()))
        for _ in range(3):
            self.alice.node.events.publish(WAITS)
            self.both.wait(0.3)
        self.assertTrue(self.alice.assembly.traps._later)
        self.alice.assembly.traps.stop()
        self.both.wait(3.0)
        self.assertEqual(len(self.alice.bundles), 1)

    def test_tried_again(self) -> None:
        """
        What the sink could not do is tried again when the same file is loaded once more: what was
        in its way may be gone.
        """
        self.refusal = ConfigurationError("there is such a one already, and it is not ours")
        self.keep(trapped(self.alice.connection()))
        self.assertEqual(dict(self.alice.assembly.traps.standing), {})
        self.refusal = None
        self.keep(trapped(self.alice.connection()))
        self.assertEqual(list(self.alice.assembly.traps.standing), [("lab", "net")])
        self.assertEqual(len(self.policies), 1)

    def test_tried_by_itself(self) -> None:
        """
        A daemon that starts before the network is up tries again by itself what its sink could not
        do: told once when it fails, and once when it stands; what was unloaded meanwhile, or has
        been loaded once more, is not tried.
        """
        events = logged(self)
        traps = self.alice.assembly.traps
        self.refusal = ConfigurationError("Network is unreachable")
        self.keep(trapped(self.alice.connection()))
        self.both.wait(5 * AGAIN)
        self.refusal = None
        self.both.wait(AGAIN)
        self.assertEqual(list(traps.standing), [("lab", "net")])
        self.assertEqual(len(self.policies), 1)
        lines = [formatEvent(one) for one in events if one["log_namespace"] == "isakmp.traps.Traps"]
        self.assertEqual(
            lines,
            [
                "lab/net: its traffic is not seen to: Network is unreachable",
                "lab/net: its traffic is seen to",
            ],
        )
        self.refusal = ConfigurationError("Network is unreachable")
        one = trapped(self.alice.connection(), Action.DROP)
        self.keep(one)
        self.keep()
        self.assertEqual(traps._again, {})
        self.keep(one)
        self.refusal = None
        self.keep(one)
        self.assertEqual(traps._again, {})
        self.refusal = ConfigurationError("Network is unreachable")
        self.keep(trapped(self.alice.connection()))
        traps.stop()
        self.assertEqual(traps._again, {})

    def test_refused_while_waiting(self) -> None:
        """A trap that cannot be set again begins nothing for what waited when it was."""
        self.keep(trapped(self.alice.connection()))
        for _ in range(2):
            self.alice.node.events.publish(WAITS)
            self.both.wait(0.2)
        traps = self.alice.assembly.traps
        self.successResultOf(traps.unset("lab", "net"))
        connection = self.alice.connection()
        self.successResultOf(traps.set(connection, connection.children[0]))
        for _ in range(2):
            self.alice.node.events.publish(WAITS)
            self.both.wait(0.2)
        self.assertTrue(traps._later)
        self.refusal = ConfigurationError("there is such a one already, and it is not ours")
        traps._standing.clear()
        self.failureResultOf(traps.set(connection, connection.children[0]), ConfigurationError)
        self.both.wait(3.0)
        self.assertEqual(len(self.alice.bundles), 2)

    def test_given_up_meanwhile(self) -> None:
        """What is given up while the sink is at it does not stand afterwards."""
        slow: Deferred[None] = Deferred()
        self.patch(MemorySink, "trap", lambda *words: slow)
        connection = self.alice.connection()
        setting = self.alice.assembly.traps.set(connection, connection.children[0])
        self.successResultOf(self.alice.assembly.traps.unset("lab", "net"))
        slow.callback(None)
        self.successResultOf(setting)
        self.assertEqual(dict(self.alice.assembly.traps.standing), {})

    def test_not_ours(self) -> None:
        """Traffic of what has no trap begins nothing, nor does any when the node has stopped."""
        self.alice.node.events.publish(WAITS)
        self.keep(trapped(self.alice.connection()))
        self.alice.node.events.publish(TrafficWaiting("lab", "other"))
        self.alice.assembly.traps.stop()
        self.alice.assembly.traps.stop()
        self.alice.node.events.publish(WAITS)
        self.both.wait(3.0)
        self.assertEqual(self.alice.bundles, [])

    def test_refused(self) -> None:
        """A sink that cannot is one line with the child's name, and the node goes on."""
        self.refusal = ConfigurationError("no kernel here")
        events = logged(self)
        self.keep(trapped(self.alice.connection()))
        (line,) = [formatEvent(one) for one in events if one["log_level"] is LogLevel.error]
        self.assertEqual(line, "lab/net: its traffic is not seen to: no kernel here")

    def test_peer_silent(self) -> None:
        """A peer that does not answer is asked again when traffic waits again."""
        self.keep(trapped(self.alice.connection()))
        self.both.network.cut = True
        self.alice.node.events.publish(WAITS)
        self.both.wait(200.0)
        self.assertEqual(self.alice.bundles, [])
        self.both.network.cut = False
        self.alice.node.events.publish(WAITS)
        self.both.wait(3.0)
        self.assertEqual(len(self.alice.bundles), 1)
