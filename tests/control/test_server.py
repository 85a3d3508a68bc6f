"""Clients of the control socket: one command at a time, nothing lost, and nothing that grows."""

from __future__ import annotations

import random

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.logger import formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from isakmp.control.call import Call, Refused
from isakmp.control.codec import MAX_SEGMENT, Content, Kind, Packet, Section
from isakmp.control.server import MAX_CLIENTS, MAX_LATE, PARTING, STALLED, ControlServer
from isakmp.errors import ConfigurationError
from isakmp.testing import VirtualClock
from tests.control.harness import Client, MemberDaemon
from tests.nodes import pair
from tests.samples import logged


class ServerTestCase(SynchronousTestCase):
    """A server of a few commands."""

    def setUp(self) -> None:
        self.clock = VirtualClock()
        self.waiting: list[Deferred[None]] = []
        self.served: list[str] = []
        self.server = ControlServer(
            {
                "now": self.now,
                "wait": self.wait,
                "many": self.many,
                "refuse": self.refuse,
                "break": self.fault,
                "large": self.large,
            },
            frozenset({"event", "line"}),
            self.clock,
        )
        self.client = Client(self.server)

    async def now(self, call: Call) -> Content:
        self.served.append(call.text("n"))
        return {"n": call.text("n")}

    async def wait(self, call: Call) -> Content:
        waiting: Deferred[None] = Deferred()
        self.waiting.append(waiting)
        await waiting
        return {"success": "yes"}

    async def many(self, call: Call) -> Content:
        for number in range(call.number("count")):
            self.served.append(str(number))
            await call.stream("line", {"n": str(number)})
        return {}

    async def refuse(self, call: Call) -> Content:
        if call.flag("configuration"):
            raise ConfigurationError("it cannot be")
        raise Refused("x" * 100_000)

    async def fault(self, call: Call) -> Content:
        raise ZeroDivisionError

    async def large(self, call: Call) -> Content:
        return {"list": ["x" * 60_000] * 10}

    def kinds(self) -> list[Kind]:
        """What has arrived."""
        return [packet.kind for packet in self.client.received()]

    def assert_left(self, client: Client) -> None:
        """The daemon has ended the connection, and one line of the log says why."""
        self.assertTrue(client.wire.ended)


class CommandTests(ServerTestCase):
    def test_answer(self) -> None:
        """A command is answered; one that is not known is said to be."""
        self.assertEqual(self.client.call("now", {"n": "1"}), {"n": "1"})
        self.client.ask("later")
        self.assertEqual(self.kinds(), [Kind.CMD_UNKNOWN])

    def test_one_at_a_time(self) -> None:
        """The next command waits until the one before is answered; other clients do not."""
        self.client.ask("wait")
        self.client.ask("now", {"n": "1"})
        self.client.send(Packet(Kind.EVENT_REGISTER, "event"))
        self.assertEqual((self.client.received(), self.served), ([], []))
        self.assertEqual(Client(self.server).call("now", {"n": "2"}), {"n": "2"})
        self.waiting.pop().callback(None)
        answers = self.client.received()
        self.assertEqual(
            [one.kind for one in answers],
            [Kind.CMD_RESPONSE, Kind.CMD_RESPONSE, Kind.EVENT_CONFIRM],
        )
        self.assertEqual(answers[1].message, {"n": "1"})

    def test_events_between(self) -> None:
        """While a command runs, its client hears of events."""
        self.client.register("event")
        self.client.ask("wait")
        self.server.publish("event", {"n": "1"})
        (event,) = self.client.received()
        self.assertEqual((event.name, event.message), ("event", {"n": "1"}))
        self.waiting.pop().callback(None)
        self.assertEqual(self.kinds(), [Kind.CMD_RESPONSE])

    def test_refused(self) -> None:
        """What is not done is answered with why, however long that is."""
        answer = self.client.call("refuse")
        self.assertEqual(answer["success"], "no")
        self.assertIn("xxx", str(answer["errmsg"]))
        self.assertEqual(
            self.client.call("refuse", {"configuration": "yes"}),
            {"success": "no", "errmsg": "it cannot be"},
        )

    def test_fault(self) -> None:
        """A fault of ours is logged, answered, and ends nothing."""
        self.assertEqual(self.client.call("break")["success"], "no")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.client.call("now", {"n": "1"}), {"n": "1"})

    def test_too_large(self) -> None:
        """An answer that no client would read is not sent; it is said that it cannot be."""
        self.assertIn("cannot be sent", str(self.client.call("large")["errmsg"]))

    def test_wrong_values(self) -> None:
        """A list or a section where a text belongs, a word where a number: refused by name."""
        for message in ({"n": ["1"]}, {"n": {}}):
            self.assertIn("n: ", str(self.client.call("now", message)["errmsg"]))
        for number in ("x", "9" * 100, "9" * 10_000, "-99999999999", "1.5"):
            answer = self.client.call("many", {"count": number})
            self.assertIn(f"count: '{number[:100]}' is not a number", str(answer["errmsg"]))


class EventTests(ServerTestCase):
    def test_register(self) -> None:
        """Known events can be listened to, and left again; of others it is said."""
        for kind, name, answer in (
            (Kind.EVENT_REGISTER, "event", Kind.EVENT_CONFIRM),
            (Kind.EVENT_REGISTER, "event", Kind.EVENT_CONFIRM),
            (Kind.EVENT_REGISTER, "other", Kind.EVENT_UNKNOWN),
            (Kind.EVENT_UNREGISTER, "event", Kind.EVENT_CONFIRM),
            (Kind.EVENT_UNREGISTER, "event", Kind.EVENT_UNKNOWN),
        ):
            self.client.send(Packet(kind, name))
            self.assertEqual(self.kinds(), [answer], name)

    def test_only_who_listens(self) -> None:
        """An event reaches those who listen to it."""
        other = Client(self.server)
        other.register("line")
        self.client.register("event")
        self.assertTrue(self.server.wanted("event"))
        self.server.publish("event", {})
        self.assertEqual(self.kinds(), [Kind.EVENT])
        self.assertEqual(other.received(), [])

    def test_stream_without_listening(self) -> None:
        """Who does not listen to the events of an answer gets the answer alone."""
        self.assertEqual(self.client.call("many", {"count": "3"}), {})

    def test_watched(self) -> None:
        """Whoever makes events is told when somebody begins or ends to listen."""
        wanted: list[bool] = []
        self.server.watched = lambda: wanted.append(self.server.wanted("event"))
        self.client.register("event")
        self.client.session.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(wanted, [True, False])


class HostileTests(ServerTestCase):
    def test_length(self) -> None:
        """A packet that is announced too long ends the connection, before it is read."""
        self.client.send_octets((MAX_SEGMENT + 1).to_bytes(4, "big"))
        self.assert_left(self.client)

    def test_no_packet(self) -> None:
        """What is no packet, or none that a client sends, ends the connection, and no other."""
        for octets in (b"", b"\x09", b"\x00\x03now\x02", b"\x01", b"\x05", b"\x00\x05now"):
            client = Client(self.server)
            client.send_octets(len(octets).to_bytes(4, "big") + octets)
            self.assert_left(client)
            client.ask("now")
            self.assertEqual((client.received(), self.served), ([], []))
        self.assertEqual(self.client.call("now", {"n": "1"}), {"n": "1"})

    def test_in_pieces(self) -> None:
        """A packet may arrive octet by octet."""
        octets = Packet(Kind.CMD_REQUEST, "now", {"n": "1"}).encode()
        for octet in len(octets).to_bytes(4, "big") + octets:
            self.client.send_octets(bytes([octet]))
        self.assertEqual(self.kinds(), [Kind.CMD_RESPONSE])

    def test_dies_in_a_packet(self) -> None:
        """A client that dies in the middle of a packet leaves nothing behind."""
        self.client.send_octets(b"\x00\x00\x00\x05\x00\x03n")
        self.client.session.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.server.sessions, self.served), (set(), []))

    def test_dies_in_a_command(self) -> None:
        """A client that dies while its command runs: it runs on, and nobody is told."""
        self.client.ask("wait")
        self.client.ask("now")
        self.client.session.connectionLost(Failure(ConnectionDone()))
        self.client.received()
        self.waiting.pop().callback(None)
        self.assertEqual((self.client.received(), self.served), ([], []))

    def test_dies_in_an_answer(self) -> None:
        """A client that dies while its answer is streamed: the rest is not made up."""
        self.client.register("line")
        self.client.ask("wait")
        self.client.ask("many", {"count": "1000"})
        self.client.wire.full_after = 10
        self.waiting.pop().callback(None)
        self.assertLess(len(self.served), 20)
        self.client.session.connectionLost(Failure(ConnectionDone()))
        self.assertLess(len(self.served), 20)
        self.assertEqual(self.server.sessions, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_pipeline(self) -> None:
        """Who sends command after command while one runs is left: nothing piles up."""
        self.client.ask("wait")
        for _ in range(200):
            self.client.ask("now", {"n": "1"})
        self.assert_left(self.client)
        other = Client(self.server)
        other.ask("wait")
        for _ in range(20):
            other.ask("now", {"n": "x" * 60_000})
        self.assert_left(other)

    def test_too_many(self) -> None:
        """More clients than there may be are not served."""
        for _ in range(MAX_CLIENTS - 1):
            Client(self.server)
        self.assertIsNone(self.server.buildProtocol(None))
        self.client.session.connectionLost(Failure(ConnectionDone()))
        self.assertIsNotNone(self.server.buildProtocol(None))


class SlowTests(ServerTestCase):
    def test_loses_events(self) -> None:
        """
        A client that does not read loses events, if more wait than may; when it reads again it
        hears those that waited, and the next.
        """
        self.client.register("event")
        self.client.wire.fill()
        text = "x" * 1000
        for number in range(10_000):
            self.server.publish("event", {"n": str(number), "text": text})
        self.assertEqual(self.client.wire.value(), b"")
        said = logged(self)
        self.client.wire.drain()
        self.server.publish("event", {"n": "last"})
        *waited, last = [str(event["n"]) for event in self.client.events("event")]
        self.assertEqual(waited, [str(number) for number in range(len(waited))])
        self.assertLess(len(waited), MAX_LATE // len(text))
        self.assertGreater(len(waited), MAX_LATE // len(text) * 0.9)
        self.assertEqual(last, "last")
        (line,) = [formatEvent(one) for one in said]
        self.assertIn(f"has lost {10_000 - len(waited)} events", line)

    def test_burst(self) -> None:
        """
        A client that reads loses nothing, however much is told at once: what does not fit into the
        buffer waits, goes in its order as there is room, and an answer does not overtake it.
        """
        self.client.register("event")
        self.client.ask("wait")
        self.client.wire.fill()
        for number in range(50):
            self.server.publish("event", {"n": str(number)})
        self.waiting.pop().callback(None)
        heard: list[Packet] = []
        for _ in range(60):
            self.client.wire.full_after = 1
            self.client.wire.drain()
            heard += self.client.received()
        *events, answer = heard
        self.assertEqual([one.message["n"] for one in events], [str(n) for n in range(50)])
        self.assertIs(answer.kind, Kind.CMD_RESPONSE)

    def test_burst_before_the_end(self) -> None:
        """What waits for a client when the daemon ends is sent before it is left."""
        self.client.register("event")
        self.client.wire.fill()
        for number in range(50):
            self.server.publish("event", {"n": str(number)})
        self.server.leave_all()
        self.assertEqual(len(self.client.events("event")), 50)
        self.assertTrue(self.client.wire.disconnecting)
        self.assertFalse(self.client.wire.ended)
        self.clock.run_until(PARTING + 0.1)
        self.assertTrue(self.client.wire.ended)

    def test_answer_waits(self) -> None:
        """What belongs to an answer is not lost: it waits until the client reads."""
        self.client.register("line")
        self.client.ask("wait")
        self.client.ask("many", {"count": "3"})
        self.client.wire.fill()
        self.waiting.pop().callback(None)
        self.assertEqual(self.served, [])
        self.client.wire.drain()
        self.assertEqual([event["n"] for event in self.client.events("line")], ["0", "1", "2"])

    def test_no_command_before(self) -> None:
        """Nothing is begun for a client that does not read what it has been answered."""
        self.client.wire.fill()
        self.client.ask("now", {"n": "1"})
        self.assertEqual(self.served, [])
        self.client.wire.drain()
        self.assertEqual(self.served, ["1"])

    def test_told_twice(self) -> None:
        """
        A full buffer is told of with every write, an answer's too: a client that reads late is not
        left because of it.
        """
        self.client.ask("wait")
        self.client.wire.fill()
        self.clock.run_until(1.0)
        self.waiting.pop().callback(None)
        self.client.wire.fill()
        self.client.wire.drain()
        self.clock.run_until(5 * STALLED)
        self.assertFalse(self.client.wire.ended)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stalled(self) -> None:
        """A client that reads nothing for a minute is left; one that reads at last is not."""
        self.client.wire.fill()
        self.clock.run_until(STALLED - 1.0)
        self.client.wire.drain()
        self.clock.run_until(3 * STALLED)
        self.assertFalse(self.client.wire.ended)
        self.client.wire.fill()
        self.clock.run_until(5 * STALLED)
        self.assert_left(self.client)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class RandomTests(SynchronousTestCase):
    def test_random_packets(self) -> None:
        """
        Ten thousand packets at random, a third of them commands with messages at random, change
        nothing: what is configured and what stands is the same, and nobody was begun with.
        """
        both = pair()
        both.up()
        daemon = MemberDaemon(both.a)
        self.addCleanup(daemon.stop)
        before = daemon.loaded, list(both.a.registry), len(both.wire)
        pending = len(both.clock.getDelayedCalls())
        chance = random.Random(4502)
        harmless = sorted(set(daemon.server.commands) - {"clear-creds", "reset-counters"})
        client = daemon.client()
        for _ in range(10_000):
            if client.wire.ended:
                client.session.connectionLost(Failure(ConnectionDone()))
                client = daemon.client()
            octets = chance.randbytes(chance.randrange(60))
            if chance.random() < 0.33:
                message = _message(chance)
                octets = Packet(Kind.CMD_REQUEST, chance.choice(harmless), message).encode()
            client.send_octets(len(octets).to_bytes(4, "big") + octets)
            client.wire.clear()
        self.assertEqual((daemon.loaded, list(both.a.registry), len(both.wire)), before)
        self.assertEqual(len(both.clock.getDelayedCalls()), pending)
        self.assertEqual(daemon.client().call("get-conns"), {"conns": ["lab"]})
        self.assertEqual(self.flushLoggedErrors(), [])


def _message(chance: random.Random) -> Section:
    """Keys that mean something with values that do not, and others."""
    keys = ["ike", "child", "ike-id", "child-id", "name", "id"]
    keys += ["type", "data", "owners", "timeout", "zz"]
    values: list[str | list[str] | Section] = [
        *("", "zz", "-1", "99", "\udcff\udcfe", "x" * 300),
        *(["zz"], [], {}, {"zz": {"local_addrs": ["zz"]}}, {"children": []}),
    ]
    return {key: chance.choice(values) for key in chance.sample(keys, chance.randrange(4))}
