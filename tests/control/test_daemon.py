"""A daemon that is controlled: what its file says and what clients load, together."""

from __future__ import annotations

import errno
import grp
import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    IStreamClientEndpoint,
    TCP4ClientEndpoint,
    UNIXClientEndpoint,
    connectProtocol,
)
from twisted.internet.error import ConnectionDone
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, LogLevel, formatEvent
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from isakmp import logs
from isakmp.config.settings import VICI, ViciSettings
from isakmp.control.binding import listen
from isakmp.control.codec import Kind, Packet, Section
from isakmp.control.server import PARTING, ControlServer
from isakmp.daemon import Daemon
from isakmp.description import Files
from isakmp.errors import ConfigurationError
from isakmp.sinks.memory import MemorySink
from tests.daemons import Folder, Road, free_ports, secret
from tests.loopback import UNBOUND, quietly_collect
from tests.samples import logged

SECRETS = (secret("a.lab", "b.lab"),)
STARTED = ("esp_proposals = aes128-sha256", "start_action = start")


def connection(port: int, start: str = "none", **child: str) -> Section:
    """Alice's connection with Bob, as ``swanctl --load-conns`` sends it."""
    net: Section = {
        "local_ts": ["10.1.0.0/24"],
        "remote_ts": ["10.2.0.0/24"],
        "esp_proposals": ["aes128-sha256"],
        "start_action": start,
        **child,
    }
    return {
        "version": "1",
        "local_addrs": ["127.0.0.1"],
        "remote_addrs": ["127.0.0.2"],
        "remote_port": str(port),
        "proposals": ["aes128-sha256-curve25519"],
        "local": {"auth": "psk", "id": "a.lab"},
        "remote": {"auth": "psk", "id": "b.lab"},
        "children": {"net": net},
    }


class Client(Int32StringReceiver):
    """One that waits for its answers."""

    MAX_LENGTH = 512 * 1024

    def __init__(self) -> None:
        self.events: list[tuple[str, Section]] = []
        self.left = False
        self._answer: Deferred[Packet] | None = None

    def stringReceived(self, string: bytes) -> None:
        """From Twisted: a packet."""
        packet = Packet.decode(string)
        if packet.kind is Kind.EVENT:
            self.events.append((packet.name, packet.message))
        else:
            answer, self._answer = self._answer, None
            assert answer is not None
            answer.callback(packet)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:
        """From Twisted: the daemon has left it."""
        self.left = True

    def send(self, packet: Packet) -> Deferred[Packet]:
        """A packet, and what answers it."""
        self._answer = Deferred()
        self.sendString(packet.encode())
        return self._answer

    async def call(self, command: str, message: Section | None = None) -> Section:
        """A command, and its answer."""
        return (await self.send(Packet(Kind.CMD_REQUEST, command, message or {}))).message


class ControlledTestCase(TestCase):
    """Daemons in this process, with sockets of their own."""

    suppress = UNBOUND

    def setUp(self) -> None:
        self.addCleanup(quietly_collect)
        self.patch(logs, "_least", LogLevel.debug)
        self.place = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.place)
        self.socket = self.place / "run" / "vici"
        self.folder = Folder(self)
        self.folder.write(secrets=SECRETS)
        self.port, self.their_port = free_ports(2)
        self.notes = logged(self)
        self.settings()

    def settings(self, *lines: str, uri: str | None = None) -> None:
        """Those of Alice's daemon."""
        vici = f'vici = "{f"unix://{self.socket}" if uri is None else uri}"'
        own = f"port = {self.port}", 'listen = ["127.0.0.1"]', vici
        self.folder.write_settings(*own, *lines)

    def daemon(self, folder: Folder | None = None) -> Daemon:
        """It does not run yet."""
        folder = folder or self.folder
        files = Files(str(folder.config), str(folder.settings))
        made = Daemon(files.read(), sink=MemorySink(), reactor=reactor)
        self.addCleanup(made.stopService)
        return made

    def started(self) -> Daemon:
        """It runs."""
        made = self.daemon()
        made.privilegedStartService()
        made.startService()
        return made

    def bob(self) -> Daemon:
        """Alice's peer runs."""
        folder = Folder(self)
        road = Road(
            *("road", "127.0.0.2", "127.0.0.1", "b.lab", "a.lab", "10.2.0.0/24", "10.1.0.0/24"),
            extra=(f"remote_port = {self.port}",),
        )
        folder.write(road, secrets=SECRETS)
        folder.write_settings(f"port = {self.their_port}", 'listen = ["127.0.0.2"]')
        made = self.daemon(folder)
        made.startService()
        return made

    async def client(self, where: IStreamClientEndpoint | None = None) -> Client:
        """One that is connected."""
        endpoint = where or UNIXClientEndpoint(reactor, str(self.socket))
        made: Client = await connectProtocol(endpoint, Client())
        self.addCleanup(made.transport.abortConnection)  # type: ignore[attr-defined]
        return made

    async def until(self, reached: Any) -> None:
        """Until something is so."""
        for _ in range(500):
            if reached():
                return
            await deferLater(reactor, 0.01, lambda: None)
        self.fail("it has not come to that")

    def said(self, least: LogLevel) -> list[str]:
        """What our own parts have logged."""

        def ours(note: LogEvent) -> bool:
            here: bool = note["log_namespace"].startswith("isakmp.")
            return here and note["log_level"] >= least

        return [formatEvent(note) for note in self.notes if ours(note)]


class SocketTests(ControlledTestCase):
    async def test_unix(self) -> None:
        """It is had at its path, with its permissions, and is gone when the daemon stops."""
        made = self.started()
        self.assertEqual(stat.S_IMODE(self.socket.stat().st_mode), 0o770)
        client = await self.client()
        self.assertEqual((await client.call("version"))["daemon"], "isakmp")
        await made.stopService()
        self.assertFalse(self.socket.exists())

    async def test_mode_and_group(self) -> None:
        """It can be opened to a group."""
        group = grp.getgrgid(os.getgid()).gr_name
        self.settings("vici_mode = 0o660", f'vici_group = "{group}"')
        self.started()
        self.assertEqual(stat.S_IMODE(self.socket.stat().st_mode), 0o660)
        self.assertEqual(self.socket.stat().st_gid, os.getgid())
        await self.client()

    async def test_other_group(self) -> None:
        """Where the group cannot be given, nobody is served, and nothing is left behind."""
        other = next(one for one in grp.getgrall() if one.gr_gid != os.getgid())

        def refused(path: str, user: int, group: int) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        self.patch(os, "chown", refused)
        self.settings(f'vici_group = "{other.gr_name}"')
        made = self.daemon()
        error = self.assertRaises(SystemExit, made.privilegedStartService)
        self.assertEqual(
            error.code,
            f"isakmp: vici_group: {other.gr_name} cannot be given the socket: "
            "Operation not permitted",
        )
        await self.until(lambda: not self.socket.exists())

    async def test_tcp(self) -> None:
        """It is had at a port of loopback."""
        (port,) = free_ports(1)
        self.settings(uri=f"tcp://127.0.0.1:{port}")
        self.started()
        client = await self.client(TCP4ClientEndpoint(reactor, "127.0.0.1", port))
        self.assertEqual(await client.call("get-conns"), {"conns": []})

    def test_nowhere(self) -> None:
        """Switched off, it is nowhere, and nothing is said of it."""
        self.settings(uri="")
        self.started()
        self.assertFalse(self.socket.exists())
        self.assertEqual([line for line in self.said(LogLevel.debug) if "control" in line], [])

    def test_left_over(self) -> None:
        """A socket that a killed daemon has left is replaced."""
        self.socket.parent.mkdir()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(self.socket))
        made = self.started()
        self.assertTrue(made.running)

    def test_taken(self) -> None:
        """A socket that another daemon serves is left to it: one line, and an exit status."""
        self.socket.parent.mkdir()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(self.socket))
            other.listen()
            made = self.daemon()
            error = self.assertRaises(SystemExit, made.privilegedStartService)
        self.assertEqual(
            error.code,
            f"isakmp: vici: unix://{self.socket} cannot be had: another process serves it",
        )

    def test_something_else(self) -> None:
        """A file, or no folder, where the socket should be; a group that is not there."""
        self.socket.parent.mkdir()
        self.socket.write_text("a file")
        server = ControlServer({}, frozenset(), reactor)  # type: ignore[arg-type]
        for uri, group, words in (
            (f"unix://{self.socket}", "", "there is something else already"),
            (f"unix://{self.socket}/vici", "", "cannot be had: File exists"),
            (f"unix://{self.socket}2", "nobody here", "there is no group nobody here"),
        ):
            own = ViciSettings(uri, group=group, given=True)
            error = self.assertRaises(ConfigurationError, listen, reactor, own, server)
            self.assertIn(words, str(error))
        self.assertEqual(self.socket.read_text(), "a file")

    def test_tcp_taken(self) -> None:
        """A port that another has is said to be taken."""
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            uri = f"tcp://127.0.0.1:{other.getsockname()[1]}"
            server = ControlServer({}, frozenset(), reactor)  # type: ignore[arg-type]
            own = ViciSettings(uri, given=True)
            error = self.assertRaises(ConfigurationError, listen, reactor, own, server)
        self.assertEqual(str(error), f"vici: {uri} cannot be had: Address already in use")

    def test_not_asked_for(self) -> None:
        """The default, which nobody asked for: if it cannot be had, the daemon goes on without."""
        made = self.daemon()
        assert made.control is not None
        made.control.bind(ViciSettings(f"unix://{self.folder.config}/vici"))
        (line,) = [line for line in self.said(LogLevel.warn) if "swanctl: " in line]
        self.assertIn("no control by swanctl: vici: ", line)
        self.assertEqual(ViciSettings().uri, VICI)


class SlowTests(ControlledTestCase):
    async def test_never_reads(self) -> None:
        """
        A client that reads nothing: what waits for it here is bounded, however much there is to
        tell; another is served all the while.
        """
        made = self.started()
        assert made.control is not None
        server = made.control.server
        slow, quick = await self.client(), await self.client()
        for client in (slow, quick):
            await client.send(Packet(Kind.EVENT_REGISTER, "log"))
        slow.transport.pauseProducing()  # type: ignore[union-attr]
        for _ in range(100):
            for _ in range(100):
                server.publish("log", {"msg": "x" * 1000})
            await deferLater(reactor, 0.0, lambda: None)
        waiting = [
            len(one.transport.dataBuffer) + one.transport._tempDataLen  # type: ignore[attr-defined]
            for one in server.sessions
        ]
        self.assertLess(max(waiting), 2**18)
        self.assertEqual(await quick.call("get-conns"), {"conns": []})
        self.assertGreater(len(quick.events), 1000)


class EndTests(ControlledTestCase):
    """The daemon ends."""

    async def test_told(self) -> None:
        """What it does at the end its clients are told before they are left: what goes down."""
        self.bob()
        made, client = self.started(), await self.client()
        for event in ("ike-updown", "child-updown"):
            await client.send(Packet(Kind.EVENT_REGISTER, event))
        await client.call("load-conn", {"road": connection(self.their_port, "start")})
        await self.until(lambda: len(client.events) == 2)
        await made.stopService()
        await self.until(lambda: client.left)
        self.assertEqual(
            [(name, message.get("up", "no")) for name, message in client.events],
            [
                *(("ike-updown", "yes"), ("child-updown", "yes")),
                *(("child-updown", "no"), ("ike-updown", "no")),
            ],
        )

    async def test_does_not_read(self) -> None:
        """A client that reads nothing keeps it for a moment, and no longer."""
        made, slow = self.started(), await self.client()
        assert made.control is not None
        await slow.send(Packet(Kind.EVENT_REGISTER, "log"))
        slow.transport.pauseProducing()  # type: ignore[union-attr]
        for _ in range(1000):
            made.control.server.publish("log", {"msg": "x" * 1000})
            await deferLater(reactor, 0.0, lambda: None)
        begun = reactor.seconds()  # type: ignore[attr-defined]
        await made.stopService()
        took = reactor.seconds() - begun  # type: ignore[attr-defined]
        self.assertGreater(took, 0.9 * PARTING)
        self.assertLess(took, 4 * PARTING)


class LoadTests(ControlledTestCase):
    """What is loaded, unloaded and reloaded."""

    async def test_load(self) -> None:
        """A connection that a client loads is begun if it says so, and listed as it stands."""
        bob, made = self.bob(), self.started()
        client = await self.client()
        message: Section = {"road": connection(self.their_port, "start")}
        self.assertEqual(await client.call("load-conn", message), {"success": "yes"})
        await self.until(lambda: len(list(made.node.registry)) == 2)
        await client.send(Packet(Kind.EVENT_REGISTER, "list-sa"))
        await client.call("list-sas")
        self.assertEqual([list(message) for _, message in client.events], [["road"]])
        await self.until(lambda: len(list(bob.node.registry)) == 2)

    async def test_same_again(self) -> None:
        """The same once more disturbs nothing."""
        self.bob()
        made, client = self.started(), await self.client()
        message: Section = {"road": connection(self.their_port, "start")}
        await client.call("load-conn", message)
        await self.until(lambda: len(list(made.node.registry)) == 2)
        before = list(made.node.registry)
        await client.call("load-conn", message)
        await deferLater(reactor, 0.1, lambda: None)
        self.assertEqual(list(made.node.registry), before)

    async def test_changed(self) -> None:
        """What the daemon began by itself is begun anew when its configuration is another."""
        self.bob()
        made, client = self.started(), await self.client()
        await client.call("load-conn", {"road": connection(self.their_port, "start")})
        await self.until(lambda: len(list(made.node.registry)) == 2)
        (before,) = made.node.sink.standing  # type: ignore[attr-defined]
        other = connection(self.their_port, "start", rekey_time="30m")
        await client.call("load-conn", {"road": other})
        await self.until(lambda: list(made.node.sink.standing) not in ([], [before]))  # type: ignore[attr-defined]
        self.assertEqual(len(made.node.sink.standing), 1)  # type: ignore[attr-defined]

    async def test_unload(self) -> None:
        """With a connection goes what it began by itself; what a client began stays."""
        bob = self.bob()
        made, client = self.started(), await self.client()
        for start, left in (("start", 0), ("none", 2)):
            await client.call("load-conn", {"road": connection(self.their_port, start)})
            if start == "none":
                await client.call("initiate", {"child": "net"})
            await self.until(lambda: len(list(made.node.registry)) == 2)
            self.assertEqual(await client.call("unload-conn", {"name": "road"}), {"success": "yes"})
            self.assertEqual(len(list(made.node.registry)), left)
            if not left:
                await self.until(lambda: not list(bob.node.registry))
        made.reload()
        self.assertEqual(len(list(made.node.registry)), 2)
        await client.call("terminate", {"ike": "road"})
        self.assertEqual(list(made.node.registry), [])

    async def test_ended_stays_ended(self) -> None:
        """A child that a client has ended is not begun again because something else is loaded."""
        self.bob()
        made, client = self.started(), await self.client()
        await client.call("load-conn", {"road": connection(self.their_port, "start")})
        await self.until(lambda: len(list(made.node.registry)) == 2)
        await client.call("terminate", {"ike": "road"})
        await client.call("load-conn", {"other": connection(self.their_port)})
        await deferLater(reactor, 0.1, lambda: None)
        self.assertEqual(list(made.node.registry), [])

    async def test_hangup(self) -> None:
        """
        What clients loaded outlives SIGHUP, and counts before what the file says of the same name;
        what they unloaded of the file's is back.
        """
        self.folder.write(Road("road", "127.0.0.1", "127.0.0.2"), secrets=SECRETS)
        made, client = self.started(), await self.client()
        await client.call("load-conn", {"sea": connection(1), "road": connection(4711)})
        await client.call(
            "load-shared", {"id": "ike-z", "type": "IKE", "data": "z", "owners": ["z"]}
        )
        loaded = made.loaded.connections
        self.folder.write(
            Road("road", "127.0.0.1", "127.0.0.9"),
            Road("rail", "127.0.0.1", "127.0.0.2"),
            secrets=SECRETS,
        )
        self.notes.clear()
        self.assertEqual(await client.call("reload-settings"), {"success": "yes"})
        self.assertIn(
            f"road: what a client loaded counts, not what {self.folder.config} says of it",
            self.said(LogLevel.warn),
        )
        by_name = {one.name: one for one in made.loaded.connections}
        self.assertEqual(set(by_name), {"road", "sea", "rail"})
        self.assertLess(set(loaded), set(by_name.values()))
        self.assertEqual(made.node.policy.connection("road").remote_port, 4711)
        await client.call("unload-conn", {"name": "road"})
        await client.call("reload-settings")
        self.assertEqual(made.node.policy.connection("road").remote, ("127.0.0.9",))
        self.assertEqual((await client.call("get-shared"))["keys"], ["ike-a-lab", "ike-z"])

    async def test_mistake_in_the_file(self) -> None:
        """A file that cannot be read is told to the client who asks for it, and changes nothing."""
        made, client = self.started(), await self.client()
        self.folder.config.write_text("connections {\n")
        answer = await client.call("reload-settings")
        self.assertEqual(answer["success"], "no")
        self.assertIn(str(self.folder.config), str(answer["errmsg"]))
        self.assertTrue(made.running)

    async def test_settings(self) -> None:
        """What ``isakmp.toml`` says of a connection holds for one that a client loads."""
        own = '[connection.road.children.net]\nsuites = ["transport:esp=aes256-sha512"]'
        self.settings(own)
        made, client = self.started(), await self.client()
        await client.call("load-conn", {"road": connection(1), "sea": connection(1)})
        road, sea = (made.node.policy.connection(name).child("net") for name in ("road", "sea"))
        self.assertNotEqual(road.suites, sea.suites)

    async def test_port_of_its_own(self) -> None:
        """A connection with a port of its own has it opened, and closed when it goes."""
        made, client = self.started(), await self.client()
        (port,) = free_ports(1)
        await client.call("load-conn", {"road": {**connection(1), "local_port": str(port)}})
        self.assertIn(("127.0.0.1", port), made.bound)
        await client.call("unload-conn", {"name": "road"})
        self.assertNotIn(("127.0.0.1", port), made.bound)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", port))
            answer = await client.call(
                "load-conn", {"road": {**connection(1), "local_port": str(port)}}
            )
        self.assertIn("Address already in use", str(answer["errmsg"]))
        self.assertEqual(made.loaded.connections, ())


class EventTests(ControlledTestCase):
    async def test_monitor(self) -> None:
        """Who listens hears of SAs that come and go, as ``swanctl --monitor-sa`` shows it."""
        self.bob()
        made, client = self.started(), await self.client()
        watcher = await self.client()
        for event in ("ike-updown", "child-updown", "child-rekey", "ike-rekey", "log"):
            await watcher.send(Packet(Kind.EVENT_REGISTER, event))
        await client.call("load-conn", {"road": connection(self.their_port)})
        await client.call("initiate", {"child": "net"})
        await client.call("rekey", {"child": "net"})
        await self.until(lambda: len(list(made.node.registry)) == 3)
        await client.call("rekey", {"ike": "road"})
        await self.until(lambda: len(list(made.node.registry)) == 4)
        await client.call("terminate", {"ike": "road"})
        await self.until(lambda: len([e for e in watcher.events if e[0] == "ike-updown"]) == 4)
        told = [(name, "up" in message) for name, message in watcher.events if name != "log"]
        self.assertEqual(
            told,
            [
                ("ike-updown", True),
                ("child-updown", True),
                ("child-rekey", False),
                ("ike-updown", True),
                ("ike-rekey", False),
                *[("ike-updown", False)] * 1,
                ("child-updown", False),
                *[("ike-updown", False)] * 1,
            ],
        )
        lines = [message for name, message in watcher.events if name == "log"]
        self.assertLessEqual({"group", "level", "thread", "msg"}, set(lines[0]))
        self.assertIn("a client begins road/net", [line["msg"] for line in lines])

    async def test_alert(self) -> None:
        """A failure is one event, with what is in its sentence; the same sentence answers."""
        self.bob()
        self.started()
        client, watcher = await self.client(), await self.client()
        await watcher.send(Packet(Kind.EVENT_REGISTER, "alert"))
        wrong: Section = {**connection(self.their_port), "proposals": ["3des-md5-modp1024"]}
        await client.call("load-conn", {"road": wrong})
        answer = await client.call("initiate", {"child": "net"})
        ((_, alert),) = watcher.events
        self.assertEqual(alert["type"], "proposal-mismatch-ike")
        self.assertEqual(alert["offered"], "3des-md5-modp1024")
        self.assertIn(str(alert["msg"]), str(answer["errmsg"]))
        named = alert["ike-sa"]
        assert isinstance(named, dict)
        self.assertEqual((named["name"], named["remote-host"]), ("road", "127.0.0.2"))
