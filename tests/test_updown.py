"""Scripts that are run when a child comes up and when it is gone."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from isakmp.associations import IPsecParameters, SABundle
from isakmp.connections import Connection
from isakmp.events import Established
from isakmp.handling import Handling, Mark, Unique
from isakmp.identity import Identity, TrafficSelector
from isakmp.interface_names import interface_of
from isakmp.numbers import IdentityType, ProtocolID
from isakmp.testing import settle
from isakmp.updown import UpDown, updown
from isakmp.updown.call import MAX_VALUE, environment, network, printable, scope
from isakmp.updown.script import GRACE, LINGERING, MAX_LINE, MAX_LINES, SECONDS, shown
from tests.nodes import Pair, Settings, pair
from tests.renewing import CHILD, PARENT, SHARED, births, configure, renewing
from tests.samples import PEER, US, SampleSA, bundle, logged, protection_sa

RECORD = 'echo "$PLUTO_VERB $PLUTO_PEER_CLIENT" >>'


class ScriptTestCase(TestCase):
    """Two nodes in virtual time; the scripts of the first are real processes."""

    timeout = 20

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.notes = logged(self)  # type: ignore[arg-type]
        self.record = self.folder / "record"

    def script(self, *lines: str) -> str:
        """An executable file with these lines."""
        path = self.folder / "script"
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)
        return str(path)

    def with_script(self, connection: Connection, command: str) -> Connection:
        children = tuple(
            replace(child, handling=Handling(updown=command)) for child in connection.children
        )
        return replace(connection, children=children)

    def pair(self, command: str, settings: Settings = Settings()) -> Pair:
        """Two nodes, not connected; the first has the command."""
        return self.watched(pair(settings), command)

    def watched(self, both: Pair, command: str) -> Pair:
        both.a.assembly.configure((self.with_script(both.a.connection(), command),), SHARED)
        self.updown = UpDown(both.a.node, reactor)  # type: ignore[arg-type]
        self.addCleanup(self.ended)
        return both

    async def ended(self) -> None:
        """No process outlives a test."""
        self.updown.abandon()
        await self.until(lambda: not self.updown.running)

    async def until(self, goal: Callable[[], bool]) -> None:
        """Real time, until something is so."""
        while not goal():
            await deferLater(reactor, 0.01)  # type: ignore[arg-type]

    def lines(self) -> list[str]:
        """What the scripts have written."""
        return self.record.read_text().splitlines() if self.record.exists() else []

    def said(self, level: LogLevel = LogLevel.info) -> list[str]:
        """What the log says of scripts."""
        return [
            formatEvent(note)
            for note in self.notes
            if note["log_namespace"].startswith("isakmp.updown") and note["log_level"] is level
        ]

    def down(self, both: Pair) -> None:
        """Everything of the first node is deleted."""
        settle(both.clock, both.a.endpoint.delete(both.a.sas))


class LifeTests(ScriptTestCase):
    async def test_life(self) -> None:
        """A script runs when the child comes up, and again when it is gone."""
        both = self.pair(self.script(f"{RECORD} {self.record}"))
        both.up()
        await self.until(lambda: len(self.lines()) == 1)
        self.down(both)
        await self.until(lambda: len(self.lines()) == 2)
        self.assertEqual(self.lines(), ["up-client 10.2.0.0/24", "down-client 10.2.0.0/24"])
        self.assertEqual(self.said(LogLevel.error), [])
        await self.until(lambda: self.updown.idle)

    async def test_environment(self) -> None:
        """A script sees what it is told and PATH, and nothing else of this process."""
        self.patch(os, "environ", {**os.environ, "SECRET": "x"})
        both = self.pair(self.script(f"tr '\\0' '\\n' </proc/self/environ >{self.record}"))
        both.up()
        await self.until(lambda: bool(self.lines()) and not self.updown.running)
        told = dict(line.split("=", 1) for line in self.lines())
        names = {name for name in told if not name.startswith("PLUTO_")}
        self.assertLessEqual(names, {"PATH", "PWD", "OLDPWD", "SHLVL", "_"})
        self.assertEqual(told["PLUTO_VERSION"], "1.1")
        self.assertEqual(told["PLUTO_VERB"], "up-client")
        self.assertEqual(told["PLUTO_CONNECTION"], "net")
        self.assertEqual((told["PLUTO_ME"], told["PLUTO_PEER"]), (both.a.address, both.b.address))
        self.assertEqual(told["PLUTO_MY_CLIENT"], "10.1.0.0/24")

    async def test_arguments(self) -> None:
        """Words after the path are arguments, quoted as in a shell; none of them is expanded."""
        path = self.script(f'for one in "$@"; do echo "$one" >>{self.record}; done')
        self.pair(f"{path} 'two words' $HOME ;reboot").up()
        await self.until(lambda: len(self.lines()) == 3)
        self.assertEqual(self.lines(), ["two words", "$HOME", ";reboot"])

    async def test_renewal(self) -> None:
        """
        Neither the renewal of a child nor that of its ISAKMP SA runs a script: up once for the
        first, down once for the last.
        """
        command = self.script(f"{RECORD} {self.record}")
        both = self.watched(pair(Settings()), command)
        connection = self.with_script(both.a.connection(), command)
        children = tuple(replace(one, renewal=CHILD) for one in connection.children)
        both.a.assembly.configure((replace(connection, children=children, renewal=PARENT),), SHARED)
        both.up()
        await self.until(lambda: len(self.lines()) == 1 and not self.updown.running)
        self.assertTrue(both.clock.run_until(lambda: len(births(both.a)) > 5, 20000.0))
        self.assertEqual(len(self.updown.running), 0)
        self.assertEqual(len(self.lines()), 1)
        self.down(both)
        await self.until(lambda: len(self.lines()) == 2 and self.updown.idle)
        self.assertEqual(self.lines()[1], "down-client 10.2.0.0/24")
        self.assertEqual(self.updown._names, {})

    async def test_without(self) -> None:
        """A child that names none runs none, and nothing of it is kept."""
        both = self.watched(renewing(a={"child": CHILD}), "")
        both.clock.run_until(lambda: len(births(both.a)) > 2, 5000.0)
        self.assertEqual((self.updown.idle, self.updown._names), (True, {}))
        configure(both.a)

    async def test_at_once(self) -> None:
        """Of many children as many scripts run at once as are allowed; all have their turn."""
        gate = self.folder / "gate"
        command = self.script(
            f"{RECORD} {self.record}", f"while ! [ -e {gate} ]; do sleep 0.05; done"
        )
        count = updown.AT_ONCE + 3
        both = self.pair(command, Settings(children=count))
        for child in both.a.connection().children:
            settle(both.clock, both.a.endpoint.establish(both.a.connection(), child))
        await self.until(lambda: len(self.lines()) == updown.AT_ONCE)
        self.assertEqual(len(self.updown.running), updown.AT_ONCE)
        self.assertEqual(len(self.updown._turns), 3)
        gate.touch()
        await self.until(lambda: len(self.lines()) == count)
        self.assertEqual(len(set(self.lines())), count)

    async def test_gone_before_its_turn(self) -> None:
        """What comes and goes before its turn has come runs no script at all."""
        self.patch(updown, "AT_ONCE", 0)
        both = self.pair(self.script(f"{RECORD} {self.record}"))
        both.up()
        self.down(both)
        self.patch(updown, "AT_ONCE", 1)
        self.updown._next()
        self.assertEqual((self.updown.running, self.updown.idle), ((), True))

    async def test_gone_while_it_runs(self) -> None:
        """A child that is gone while its script runs goes down when that has ended, not before."""
        gate = self.folder / "gate"
        both = self.pair(
            self.script(f"while ! [ -e {gate} ]; do sleep 0.05; done", f"{RECORD} {self.record}")
        )
        both.up()
        self.down(both)
        self.assertEqual(len(self.updown.running), 1)
        gate.touch()
        await self.until(lambda: self.updown.idle)
        self.assertEqual([line.split()[0] for line in self.lines()], ["up-client", "down-client"])


class FailureTests(ScriptTestCase):
    async def failure(self, command: str) -> str:
        """The one sentence of a script that fails."""
        both = self.pair(command)
        both.up()
        await self.until(lambda: bool(self.said(LogLevel.error)))
        (line,) = self.said(LogLevel.error)
        return line

    async def test_status(self) -> None:
        """A script that fails is one sentence, and the child stands."""
        line = await self.failure(self.script("exit 3"))
        self.assertEqual(line, "lab/net, updown up-client failed: its exit status is 3")

    async def test_signal(self) -> None:
        """So is one that dies."""
        line = await self.failure(self.script("kill -SEGV $$"))
        self.assertEqual(line, "lab/net, updown up-client failed: signal 11 has ended it")

    async def test_missing(self) -> None:
        """A script that is not there is one sentence each time, and nothing waits for it."""
        both = self.pair("/nowhere/script")
        both.up()
        both.clock.advance(0)
        self.down(both)
        both.clock.advance(0)
        self.assertEqual(
            self.said(LogLevel.error),
            [
                f"lab/net, updown {verb}-client failed: /nowhere/script is not there"
                for verb in ("up", "down")
            ],
        )
        self.assertTrue(self.updown.idle)

    async def test_not_executable(self) -> None:
        """A file that is no program says so."""
        path = self.script("true")
        os.chmod(path, 0o644)
        line = await self.failure(path)
        self.assertEqual(line, f"lab/net, updown up-client failed: {path} cannot be executed")

    async def test_never_ends(self) -> None:
        """A script that never ends, and does not listen, is asked to and then killed."""
        both = self.pair(self.script("trap '' TERM", "echo here", "while :; do sleep 0.1; done"))
        both.up()
        await self.until(lambda: bool(self.said()))
        both.clock.advance(SECONDS)
        self.assertEqual(len(self.updown.running), 1)
        both.clock.advance(GRACE)
        (script,) = self.updown.running
        await self.until(lambda: script._exited)
        both.clock.advance(LINGERING)
        await self.until(lambda: not self.updown.running)
        self.assertEqual(
            self.said(LogLevel.error),
            ["lab/net, updown up-client failed: it has not ended after 60 s"],
        )

    async def test_left_behind(self) -> None:
        """A script that leaves a process behind has ended all the same."""
        both = self.pair(self.script("sleep 20 &", "echo $!"))
        both.up()
        (script,) = self.updown.running
        await self.until(lambda: script._exited and bool(self.said()))
        both.clock.advance(LINGERING)
        await self.until(lambda: not self.updown.running)
        (said,) = self.said()
        os.kill(int(said.rpartition(" ")[2]), signal.SIGKILL)  # until now it ran
        self.assertEqual(self.said(LogLevel.error), [])

    async def test_output(self) -> None:
        """
        What a script says is in the log line by line: without control characters, and bounded.
        """
        both = self.pair(
            self.script(
                "printf 'one\\033[2J\\r\\n\\377two\\n' >&2",
                "head -c 100000 /dev/zero | tr '\\0' x",
                "echo",
                "yes | head -n 500",
                "printf end",
            )
        )
        both.up()
        await self.until(lambda: not self.updown.running)
        lines = [line.partition("up-client: ")[2] for line in self.said()]
        self.assertEqual(len(lines), MAX_LINES + 1)
        self.assertIn("one\\x1b[2J", lines)
        self.assertIn("\\xfftwo", lines)
        self.assertIn("x" * MAX_LINE + "...", lines)
        self.assertIn("says more, which is not logged", self.said()[-1])


    async def test_endless_line(self) -> None:
        """A script that never ends its line takes no memory for it."""
        both = self.pair(self.script("head -c 3000000 /dev/zero", "exec sleep 20"))
        both.up()
        (script,) = self.updown.running
        kept = 0
        receive = script.childDataReceived

        def received(fd: int, data: bytes) -> None:
            nonlocal kept
            receive(fd, data)
            kept += len(data)

        self.patch(script, "childDataReceived", received)
        await self.until(lambda: kept >= 3_000_000)
        self.assertLessEqual(len(script._unfinished[1]), MAX_LINE + 1)
        self.updown.abandon()
        await self.until(lambda: not self.updown.running)


class StopTests(ScriptTestCase):
    async def test_stop(self) -> None:
        """When the node stops, what is up goes down, and is waited for."""
        both = self.pair(self.script(f"{RECORD} {self.record}"))
        both.up()
        await self.until(lambda: len(self.lines()) == 1)
        await self.updown.stop()
        self.assertEqual([line.split()[0] for line in self.lines()], ["up-client", "down-client"])
        await self.updown.stop()

    async def test_late(self) -> None:
        """A script that does not end does not keep the node: it is killed, and that is said."""
        both = self.pair(self.script("echo here", "exec sleep 60"))
        both.up()
        await self.until(lambda: bool(self.said()))
        stopped: list[object] = []
        stopping: Deferred[None] = self.updown.stop()
        stopping.addBoth(stopped.append)
        both.clock.advance(updown.STOPPING)
        self.assertEqual(stopped, [None])
        await self.until(lambda: not self.updown.running)
        self.assertIn(
            "updown: the scripts of 1 children have not ended in 5.0 s", self.said(LogLevel.error)
        )


class EnvironmentTests(SynchronousTestCase):
    def told(self, one: SABundle, **parent: Any) -> dict[str, str]:
        return dict(environment(one, SampleSA(**parent), 7, 42))

    def test_names(self) -> None:
        """A script for strongSwan finds the names it knows."""
        told = self.told(bundle())
        self.assertEqual(
            told,
            {
                "PLUTO_CONNECTION": "net",
                "PLUTO_INTERFACE": "unknown",
                "PLUTO_REQID": "42",
                "PLUTO_PROTO": "esp",
                "PLUTO_UNIQUEID": "7",
                "PLUTO_ME": US,
                "PLUTO_MY_ID": "us.example.org",
                "PLUTO_MY_CLIENT": "10.1.0.0/16",
                "PLUTO_MY_PORT": "0",
                "PLUTO_MY_PROTOCOL": "0",
                "PLUTO_PEER": PEER,
                "PLUTO_PEER_ID": "peer.example.org",
                "PLUTO_PEER_CLIENT": "10.2.0.0/16",
                "PLUTO_PEER_PORT": "0",
                "PLUTO_PEER_PROTOCOL": "0",
            },
        )

    def test_more(self) -> None:
        """Ports, AH, compression, UDP and access to the host are told where they are."""
        parameters = IPsecParameters("tunnel", "null", "hmac-sha1-96", udp=(4500, 40001))
        policy = replace(
            bundle().policy,
            local=TrafficSelector.parse("10.1.0.5[tcp/80]"),
            handling=Handling(host_access=True, interface="eth7"),
        )
        sas = (
            protection_sa(1, US, protocol=ProtocolID.AH, parameters=parameters),
            protection_sa(2, US, protocol=ProtocolID.IPCOMP),
        )
        told = self.told(replace(bundle(), inbound=sas, outbound=(), policy=policy))
        self.assertEqual((told["PLUTO_MY_PORT"], told["PLUTO_MY_PROTOCOL"]), ("80", "6"))
        self.assertEqual((told["PLUTO_PROTO"], told["PLUTO_IPCOMP"]), ("ah", "1"))
        self.assertEqual((told["PLUTO_UDP_ENC"], told["PLUTO_HOST_ACCESS"]), ("40001", "1"))
        self.assertEqual((told["PLUTO_INTERFACE"], told["PLUTO_PEER"]), ("eth7", ""))

    def test_marks(self) -> None:
        """Marks and interface ids are told as they were chosen; what is not chosen is not."""
        names = [f"PLUTO_{key}_{way}" for key in ("MARK", "IF_ID") for way in ("IN", "OUT")]
        open_ = Handling(mark_in=Mark(Unique()), if_id_out=Unique())
        one = replace(bundle(), policy=replace(bundle().policy, handling=open_))
        chosen = replace(open_, mark_in=Mark(1, 0xFF), mark_out=Mark(0), if_id_out=7)
        for handling, wanted in ((None, [None] * 4), (chosen, ["1/0x000000ff", None, None, "7"])):
            told = environment(one, SampleSA(), 7, 42, handling)
            self.assertEqual([dict(told).get(name) for name in names], wanted)

    def test_hostile_identity(self) -> None:
        """Whatever a peer calls itself, a script gets short printable ASCII."""
        for data in (b"a\0b\nPLUTO_VERB=x", b"\x1b[2J\xff", b"`reboot`", b"x" * 60000):
            for kind in (IdentityType.FQDN, IdentityType.USER_FQDN, IdentityType.KEY_ID, 9, 200):
                with self.subTest(data=data[:9], kind=kind):
                    told = self.told(bundle(), theirs=Identity(kind, 0, 0, data))
                    text = told["PLUTO_PEER_ID"]
                    self.assertLessEqual(len(text), MAX_VALUE)
                    self.assertTrue(text.isascii() and text.isprintable(), text)

    def test_hostile_name(self) -> None:
        """Nor can a name of the configuration break a line or end a value."""
        policy = replace(bundle().policy, name="a\0\n\x7fü\U0001f600")
        told = self.told(replace(bundle(), policy=policy))
        self.assertEqual(told["PLUTO_CONNECTION"], "a\\x00\\n\\x7f\\xfc\\U0001f600")
        told = self.told(replace(bundle(), policy=replace(policy, name=60000 * "\x7f")))
        self.assertEqual(len(told["PLUTO_CONNECTION"]), MAX_VALUE)

    def test_verbs(self) -> None:
        """A host by itself is told from networks behind it, IPv6 from IPv4."""
        for local, destination, expected in (
            (f"{US}/32", US, "host"),
            ("10.1.0.0/16", US, "client"),
            (f"{PEER}/32", US, "client"),
            ("2001:db8::1", "2001:db8::1", "host-v6"),
            ("2001:db8::/64", "2001:db8::1", "client-v6"),
            ("2001:db8::/64", US, "client-v6"),
        ):
            with self.subTest(local=local, destination=destination):
                policy = replace(bundle().policy, local=TrafficSelector.parse(local))
                one = replace(bundle(), inbound=(protection_sa(1, destination),), policy=policy)
                self.assertEqual(scope(one), expected)

    def test_networks(self) -> None:
        """Addresses that are no network are told as the smallest network around them."""
        for text, expected in (
            ("10.1.0.0/16", "10.1.0.0/16"),
            ("10.1.0.1", "10.1.0.1/32"),
            ("10.1.0.1-10.1.0.2", "10.1.0.0/30"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::/0", "::/0"),
        ):
            self.assertEqual(network(TrafficSelector.parse(text)), expected)

    def test_interface(self) -> None:
        """The interface of an address is found by what this host says."""
        self.assertEqual(interface_of("127.0.0.1"), "lo")
        for address in ("192.0.2.77", "", "nonsense", "2001:db8::77"):
            self.assertEqual(interface_of(address), "")

    def test_shown(self) -> None:
        """What a script writes cannot move the cursor of whoever reads the log."""
        self.assertEqual(shown(b"gr\xc3\xbcn \x1b[2J\xe2\x80\xae"), "grün \\x1b[2J\\u202e")
        self.assertEqual(printable("plain"), "plain")


class UnknownParentTests(ScriptTestCase):
    async def test_parent_gone(self) -> None:
        """A child whose ISAKMP SA is not known any more runs nothing."""
        both = self.pair(self.script("true"))
        policy = replace(bundle().policy, handling=Handling(updown="/bin/true"))
        both.a.node.events.publish(Established(replace(bundle(), policy=policy)))
        self.assertEqual((self.updown.idle, self.updown._names), (True, {}))
