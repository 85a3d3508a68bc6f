"""The daemon in this process: what its files make of it, and what becomes of them on SIGHUP."""

from __future__ import annotations

import errno
import os
import signal
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from isakmp import description, logs
from isakmp.assembly import RIDERS
from isakmp.config.mistakes import ConfigurationErrors
from isakmp.connections import Routing
from isakmp.daemon import Daemon
from isakmp.description import Description, Files
from isakmp.doi.ipsec import IPsecDOI
from isakmp.errors import ConfigurationError
from isakmp.events import Established, Removed
from isakmp.interfaces import IConfigurable
from isakmp.packet_info import PacketInfoPort
from isakmp.plugins import Plugins, builtin
from isakmp.sinks.log import LogSink
from isakmp.sinks.memory import MemorySink
from isakmp.sinks.xfrm.sink import XFRMSink
from tests.daemons import SECRET, Folder, Road, free_ports, secret
from tests.loopback import UNBOUND, bindable, quietly_collect
from tests.samples import logged
from tests.test_plugins import Rides, Riding
from tests.test_plugins import Vault as Empty

ROAD = Road("road", "127.0.0.1", "127.0.0.2")
RAIL = Road("rail", "127.0.0.1", "127.0.0.3", theirs="c.lab")
SECRETS = (secret("a.lab", "b.lab"), secret("c.lab"))


@implementer(IConfigurable)
class Vault(Empty):
    """A credential store with settings."""

    def configure(self, settings: Any) -> None:
        self.settings = dict(settings)


class DescriptionTests(SynchronousTestCase):
    """What the two files say together."""

    def setUp(self) -> None:
        self.folder = Folder(self)
        self.folder.write(ROAD, RAIL, secrets=SECRETS)

    def read(self, *settings: str) -> Description:
        self.folder.write_settings(*settings)
        return Files(str(self.folder.config), str(self.folder.settings)).read()

    def test_listen(self) -> None:
        """
        Every address on the port, and once more on each port that a connection has for its own.
        """
        self.assertEqual(
            self.read("port = 15500", 'listen = ["127.0.0.1", "::1"]').listen,
            (("127.0.0.1", 15500), ("::1", 15500)),
        )
        own = Road("own", "127.0.0.1", "127.0.0.4", extra=("local_port = 15501",))
        self.folder.write(ROAD, own)
        self.assertEqual(
            self.read("port = 15500", 'listen = ["127.0.0.1", "::1"]').listen,
            tuple((host, port) for port in (15500, 15501) for host in ("127.0.0.1", "::1")),
        )

    def test_routes(self) -> None:
        """A sink that can is told where its routes are to be; one that cannot is a mistake."""
        told: list[object] = []
        self.patch(XFRMSink, "route", lambda sink, routing: told.append(routing))
        for said in ("", "install_routes = true\nrouting_table = 7", "install_routes = false"):
            made = Daemon(self.read('sink = "xfrm"', said), reactor=reactor)
            self.successResultOf(made.node.sink.stop())
        self.assertEqual(told, [Routing(220, 220), Routing(7, 220), None])
        error = self.assertRaises(
            ConfigurationError, self.read, 'sink = "log"', "install_routes = true"
        )
        self.assertIn("install_routes: the sink log installs no routes; leave it out", str(error))
        self.read('sink = "log"', "install_routes = false")

    def test_listen_everywhere(self) -> None:
        """By default all addresses: of IPv6, too, where this host has it."""
        self.assertIn(("0.0.0.0", 500), self.read().listen)
        real = socket.socket

        def without(family: int, *how: Any) -> socket.socket:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
            return real(family, *how)

        self.patch(socket, "socket", without)
        self.assertEqual(self.read().listen, (("0.0.0.0", 500),))

    def test_no_secret_shown(self) -> None:
        """What Python prints of it has no secret."""
        self.assertNotIn(SECRET, repr(self.read()))

    def test_settings(self) -> None:
        """What ``isakmp.toml`` says is what the node has: bounds, sink, and plug-ins' settings."""
        made = Daemon(
            self.read(
                'sink = "memory"',
                "[limits]",
                "half_open = 7",
            ),
            reactor=reactor,
        )
        self.assertIsInstance(made.node.sink, MemorySink)
        self.assertEqual(made.node.limits.half_open, 7)
        self.assertIsInstance(Daemon(self.read(), reactor=reactor).node.sink, LogSink)

    def test_plugins(self) -> None:
        """
        A rider travels with every exchange, and a credential store takes the place of the file's
        secrets; each has got its settings.
        """
        vault, bell = Vault(), Rides("bell", Riding)
        self.patch(
            description,
            "available",
            lambda: builtin() + Plugins(riders=(bell,), credentials=(vault,)),
        )
        self.folder.write(ROAD, secrets=())
        lines = ("[plugins]", 'rider = ["bell"]', 'credentials = "vault"')
        made = Daemon(self.read(*lines, "[plugin.vault]", "slot = 3"), reactor=reactor)
        self.assertIs(made.node.credentials, vault)
        self.assertEqual(vault.settings, {"slot": 3})
        self.assertIsInstance(made.node.riders[-1](), Riding)
        self.assertEqual(len(made.node.riders), len(RIDERS) + 1)
        error = self.assertRaises(
            ConfigurationErrors, self.read, *lines, "[plugin.bell]", "slot = 3"
        )
        self.assertIn("bell (", str(error))
        self.assertIn("it has no settings of its own", str(error))
        self.assertRaises(ConfigurationErrors, self.read)

    def test_two_of_one_number(self) -> None:
        """Two plug-ins that cannot be told apart are one line, with both names and modules."""

        class Twin(IPsecDOI):
            name = "twin"

        self.patch(description, "available", lambda: builtin() + Plugins(dois=(Twin(),)))
        error = self.assertRaises(
            ConfigurationErrors, self.read, "[plugins]", 'doi = ["ipsec", "twin"]'
        )
        self.assertEqual(len(str(error).splitlines()), 1)
        for word in ("plugins.doi: ", "ipsec (isakmp.doi.ipsec.IPsecDOI)", "twin (", __name__):
            self.assertIn(word, str(error))

    def test_broken(self) -> None:
        """A plug-in module that cannot be imported is a warning, and the daemon runs."""
        sentence = "the plug-in module p.q cannot be imported: OSError: no"
        self.patch(description, "available", lambda: builtin() + Plugins(broken=(sentence,)))
        made = Daemon(self.read(), reactor=reactor)
        said = logged(self)
        made._warn()
        self.assertIn(sentence, [formatEvent(event) for event in said])

    def test_switched_off(self) -> None:
        """A plug-in that I leave out is not there; without IKE nobody can be talked to."""
        made = Daemon(self.read("[plugins]", 'doi = ["ipsec"]'), reactor=reactor)
        self.assertEqual([doi.name for doi in made.node.dois.values()], ["ipsec"])
        error = self.assertRaises(ConfigurationErrors, self.read, "[plugins]", 'doi = ["isakmp"]')
        self.assertIn("ipsec", str(error))


class DaemonTestCase(TestCase):
    """Tests that run one, on ports of their own."""

    def setUp(self) -> None:
        self.patch(logs, "_least", LogLevel.debug)
        self.folder = Folder(self)
        self.folder.write(ROAD, RAIL, secrets=SECRETS)
        self.port, self.other = free_ports(2)
        self.settings()
        self.notes = logged(self)

    def settings(self, *lines: str) -> None:
        self.folder.write_settings(f"port = {self.port}", 'listen = ["127.0.0.1"]', *lines)

    def daemon(self) -> Daemon:
        files = Files(str(self.folder.config), str(self.folder.settings))
        made = Daemon(files.read(), sink=MemorySink(), reactor=reactor)
        self.addCleanup(made.stopService)
        return made

    def started(self) -> Daemon:
        made = self.daemon()
        made.privilegedStartService()
        made.startService()
        self.notes.clear()
        return made

    def said(self, least: LogLevel = LogLevel.info) -> list[str]:
        """What our own parts have logged since it was asked last."""

        def ours(note: LogEvent) -> bool:
            here: bool = note["log_namespace"].startswith("isakmp.")
            return here and note["log_level"] >= least

        lines = [formatEvent(note) for note in self.notes if ours(note)]
        self.notes.clear()
        return lines

    def names(self, made: Daemon) -> list[str]:
        """The connections that it has."""
        found = []
        for name in ("road", "rail", "sea"):
            try:
                found.append(made.node.policy.connection(name).name)
            except LookupError:
                continue
        return found

    def turn(self) -> Deferred[None]:
        """The reactor does what is to be done by now."""
        return deferLater(reactor, 0.0, lambda: None)


class StartTests(DaemonTestCase):
    suppress = UNBOUND

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(quietly_collect)

    def test_ports(self) -> None:
        """It listens on its port, and on that of a connection which has one of its own."""
        own = Road("own", "127.0.0.1", "127.0.0.4", extra=(f"local_port = {self.other}",))
        self.folder.write(ROAD, own)
        made = self.started()
        self.assertEqual(made.bound, (("127.0.0.1", self.port), ("127.0.0.1", self.other)))

    def test_warnings(self) -> None:
        """
        What it passes over in the files is a line each in the log, with its place; that nothing is
        protected is one as well.
        """
        self.folder.write(
            Road("road", "127.0.0.1", "127.0.0.2", extra=("mobike = yes",)),
            Road("two", "127.0.0.1", "127.0.0.3", version=2),
        )
        two = self.folder.config.read_text().splitlines().index("connections { two {") + 1
        made = self.daemon()
        self.notes.clear()
        made.startService()
        lines = self.said(LogLevel.warn)
        self.assertEqual(lines.pop(), "the sink memory protects no traffic")
        self.assertEqual(len(lines), 2)
        self.assertTrue(lines[0].startswith(f"{self.folder.config}:6: connections.road.mobike: "))
        self.assertEqual(
            lines[1], f"{self.folder.config}:{two}: connections.two: skipped: it is for IKEv2"
        )

    def test_level(self) -> None:
        """``level`` is how much is logged from the start on."""
        self.settings("[log]", 'level = "error"')
        made = self.daemon()
        self.notes.clear()
        made.startService()
        self.assertEqual(self.said(LogLevel.debug), [])

    def test_no_permission(self) -> None:
        """Without the privilege for port 500 it is one line that says what is missing."""
        self.folder.write_settings()

        class Denied(socket.socket):
            def bind(self, address: Any) -> None:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        self.patch(
            PacketInfoPort,
            "createInternetSocket",
            lambda port: Denied(port.addressFamily, port.socketType),
        )
        made = self.daemon()
        error = self.assertRaises(SystemExit, made.privilegedStartService)
        self.assertEqual(
            error.code,
            "isakmp: cannot listen on 0.0.0.0:500: Permission denied; ports below 1024 need the "
            "privilege (CAP_NET_BIND_SERVICE), or choose another",
        )
        self.assertFalse(made.running)

    async def test_keys_of_somebody_else(self) -> None:
        """Where the keys would lie open the daemon does not start, and one line says why."""
        open_to_all = self.mktemp()
        os.mkdir(open_to_all, 0o755)
        self.settings("[log]", f'keys = "{open_to_all}"')
        made = self.daemon()
        made.privilegedStartService()
        error = self.assertRaises(SystemExit, made.startService)
        self.assertIn("nobody else may look into it", str(error))

    async def test_hangup(self) -> None:
        """SIGHUP is ours while it runs, and whoever's it was before and after."""
        before = signal.getsignal(signal.SIGHUP)
        made = self.started()
        os.kill(os.getpid(), signal.SIGHUP)
        await self.turn()
        await self.turn()
        self.assertEqual(self.said(), [f"reloaded {self.folder.config}: 2 connections"])
        await made.stopService()
        self.assertEqual(signal.getsignal(signal.SIGHUP), before)


class ReloadTests(DaemonTestCase):
    """SIGHUP, without the signal."""

    suppress = UNBOUND

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(quietly_collect)
        self.made = self.started()

    def reload(self) -> list[str]:
        """Read the files again; what is said of that."""
        self.notes.clear()
        self.made.reload()
        return self.said()

    def test_changed(self) -> None:
        """Connections and secrets are what the file says now."""
        self.folder.write(
            Road("road", "127.0.0.1", "127.0.0.9"),
            Road("sea", "127.0.0.1", "127.0.0.8", theirs="c.lab"),
            secrets=SECRETS,
        )
        self.assertEqual(self.reload(), [f"reloaded {self.folder.config}: 2 connections"])
        self.assertEqual(self.names(self.made), ["road", "sea"])
        self.assertEqual(self.made.node.policy.connection("road").remote, ("127.0.0.9",))

    def test_mistakes(self) -> None:
        """
        If anything is wrong, in either file, every mistake is logged with its place, and nothing
        changes.
        """
        self.folder.write(Road("sea", "127.0.0.1", "127.0.0.9", extra=("dpd_dely = 1s",)))
        self.settings("prot = 1")
        lines = self.reload()
        self.assertEqual(len(lines), 2)
        self.assertTrue(lines[0].startswith(f"not reloaded: {self.folder.settings}:3: prot: "))
        self.assertTrue(lines[1].startswith(f"not reloaded: {self.folder.config}:6: "))
        self.assertEqual(self.names(self.made), ["road", "rail"])
        self.folder.config.unlink()
        self.settings()
        (line,) = self.reload()
        self.assertTrue(line.startswith(f"not reloaded: {self.folder.config}: "), line)
        self.assertEqual(self.names(self.made), ["road", "rail"])
        self.folder.write(ROAD)
        self.assertEqual(self.reload(), [f"reloaded {self.folder.config}: 1 connections"])
        self.assertEqual(self.names(self.made), ["road"])

    def test_warnings(self) -> None:
        """What is passed over is said again: the file has changed."""
        self.folder.write(Road("road", "127.0.0.1", "127.0.0.2", extra=("mobike = yes",)))
        lines = self.reload()
        self.assertIn("mobike", lines[0])

    def test_ports(self) -> None:
        """A connection with a port of its own that comes opens it; one that goes closes it."""
        own = Road("own", "127.0.0.1", "127.0.0.4", extra=(f"local_port = {self.other}",))
        self.folder.write(ROAD, own)
        self.reload()
        self.assertEqual(self.made.bound, (("127.0.0.1", self.port), ("127.0.0.1", self.other)))
        self.folder.write(ROAD)
        self.reload()
        self.assertEqual(self.made.bound, (("127.0.0.1", self.port),))

    def test_port_taken(self) -> None:
        """If that port is another's, that is said, and nothing changes."""
        own = Road("own", "127.0.0.1", "127.0.0.4", extra=(f"local_port = {self.other}",))
        self.folder.write(own)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", self.other))
            (line,) = self.reload()
        self.assertEqual(
            line,
            f"not reloaded: cannot listen on 127.0.0.1:{self.other}: Address already in use",
        )
        self.assertEqual(self.names(self.made), ["road", "rail"])

    def test_settings_of_connections(self) -> None:
        """
        Of ``isakmp.toml``, what it says of connections and of the log counts at once; the rest from
        the next start on, and that is said.
        """
        self.settings(
            '[connection.road.children.net]\nsuites = ["transport:esp=aes256-sha512"]',
            '[log]\nlevel = "warn"',
        )
        self.assertEqual(self.reload(), [])
        before = self.made.node.policy.connection("rail").child("net").suites
        now = self.made.node.policy.connection("road").child("net").suites
        self.assertNotEqual(now, before)
        self.settings()
        self.assertEqual(self.reload(), [f"reloaded {self.folder.config}: 2 connections"])
        self.assertEqual(self.made.node.policy.connection("road").child("net").suites, before)

    def test_other_settings(self) -> None:
        """Another port, or a bound, is for the next start: sockets and plug-ins stay."""
        self.folder.write_settings(
            f"port = {self.other}", 'listen = ["127.0.0.1"]', "[limits]", "half_open = 7"
        )
        for _ in range(2):
            lines = self.reload()
            self.assertEqual(len(lines), 2)
            self.assertIn("counts from the next start on", lines[0])
        self.assertEqual(self.made.bound, (("127.0.0.1", self.port),))
        self.assertEqual(self.made.node.policy.connection("road").local_port, self.port)
        self.assertNotEqual(self.made.node.limits.half_open, 7)
        self.settings()
        self.assertEqual(len(self.reload()), 1)

    async def test_stopped(self) -> None:
        """A signal that comes while it stops is for nobody."""
        await self.made.stopService()
        self.folder.config.unlink()
        self.assertEqual(self.reload(), [])
        self.assertTrue(bindable(("127.0.0.1", self.port)))

    def test_fault_of_a_plugin(self) -> None:
        """If it cannot be configured for whatever reason, it says so and goes on."""

        def refuse(*_: object) -> None:
            raise ConfigurationError("no\nnever")

        self.patch(self.made._assembly, "configure", refuse)
        self.assertEqual(self.reload(), ["not reloaded: no", "not reloaded: never"])


class TwoDaemonsTests(DaemonTestCase):
    """Two in one process, on two addresses."""

    async def test_agree(self) -> None:
        """
        What two ``swanctl.conf`` describe comes up by itself, on ports of one's own choice; and
        when one of them has lost the connection from its file, both are rid of it.
        """
        there = Folder(self)
        there.write(
            Road(
                "road",
                "127.0.0.2",
                "127.0.0.1",
                "b.lab",
                "a.lab",
                "10.2.0.0/24",
                "10.1.0.0/24",
                extra=(f"remote_port = {self.port}",),
            )
        )
        there.write_settings(f"port = {self.other}", 'listen = ["127.0.0.2"]')
        theirs = Daemon(Files(str(there.config), str(there.settings)).read(), MemorySink(), reactor)
        self.addCleanup(theirs.stopService)
        theirs.startService()
        up: Deferred[None] = Deferred()
        count: list[object] = []

        def note(event: Established | Removed) -> None:
            count.append(event)
            if len(count) in (2, 4):
                reactor.callLater(0, up.callback, None)

        theirs.node.events.subscribe(Established, note)
        theirs.node.events.subscribe(Removed, note)
        self.folder.write(
            Road(
                "road",
                "127.0.0.1",
                "127.0.0.2",
                extra=(f"remote_port = {self.other}",),
                child=("esp_proposals = aes128-sha256", "start_action = start"),
            )
        )
        ours = self.daemon()
        ours.startService()
        await up.addTimeout(5.0, reactor)
        self.assertEqual(len(list(ours.node.registry)), 2)
        up = Deferred()
        self.folder.write()
        ours.reload()
        self.assertEqual(list(ours.node.registry), [])
        await up.addTimeout(5.0, reactor)
        self.assertEqual(list(theirs.node.registry), [])
        self.assertEqual(dict(theirs.node.sink.standing), {})  # type: ignore[attr-defined]
        written = "\n".join(f"{formatEvent(note)} {note!r}" for note in self.notes)
        self.assertNotIn(SECRET, written)

    async def test_updown(self) -> None:
        """
        The script of a child runs when it is up; and when the daemon stops it runs again before
        that has stopped.
        """
        record, script = self.folder.path / "record", self.folder.path / "script"
        script.write_text(f'#!/bin/sh\nsleep 0.2\necho "$PLUTO_VERB $PLUTO_PEER_ID" >>{record}\n')
        script.chmod(0o755)
        there = Folder(self)
        there.write(
            Road(
                *("road", "127.0.0.2", "127.0.0.1", "b.lab", "a.lab"),
                *("10.2.0.0/24", "10.1.0.0/24"),
                extra=(f"remote_port = {self.port}",),
            )
        )
        there.write_settings(f"port = {self.other}", 'listen = ["127.0.0.2"]')
        theirs = Daemon(Files(str(there.config), str(there.settings)).read(), MemorySink(), reactor)
        self.addCleanup(theirs.stopService)
        theirs.startService()
        proposals = "esp_proposals = aes128-sha256"
        self.folder.write(
            Road(
                *("road", "127.0.0.1", "127.0.0.2"),
                extra=(f"remote_port = {self.other}",),
                child=(proposals, "start_action = start", f"updown = {script}"),
            )
        )
        ours = self.daemon()
        ours.startService()
        for _ in range(500):
            if record.exists() and record.read_text():
                break
            await deferLater(reactor, 0.01)
        self.assertEqual(record.read_text(), "up-client b.lab\n")
        await ours.stopService()
        self.assertEqual(record.read_text(), "up-client b.lab\ndown-client b.lab\n")
