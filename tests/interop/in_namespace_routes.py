"""
The routes of the sink ``xfrm`` on this machine's own kernel, which may have no ESP: traps have
routes too.  Runs in a network namespace of its own; see :mod:`tests.interop.test_kernel_routes`.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from isakmp.associations import Action, ChildPolicy
from isakmp.connections import Routing
from isakmp.handling import Handling
from isakmp.identity import TrafficSelector
from isakmp.paths import Path
from isakmp.sinks.xfrm import routes
from isakmp.sinks.xfrm.link import opened
from isakmp.sinks.xfrm.routing import MARK, PROTOCOL
from isakmp.sinks.xfrm.sink import XFRMSink
from isakmp.udp import UDPPorts
from tests.samples import logged, policy

WE, PEER = "10.77.0.1", "10.77.0.2"
OURS, FAR = "10.81.0.1", "10.82.0.1"
PATH = Path((WE, 500), (PEER, 500))
CHILD = policy(local="10.81.0.0/24", remote="10.82.0.0/24")
FOREIGN = ("10.99.0.0/24", "via", PEER, "table", "220")
RULE = f"220:\tnot from all fwmark {MARK:#x} lookup 220 proto {PROTOCOL}"


def ip(*words: str) -> str:
    """What ``ip`` says here."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=True, timeout=20)
    return done.stdout


def table(version: str = "-4", number: str = "220") -> list[str]:
    """What is in our table."""
    shown = subprocess.run(
        ["ip", version, "route", "show", "table", number],
        capture_output=True, text=True, timeout=20,
    )
    return [" ".join(line.split()) for line in shown.stdout.splitlines()]


def source(to: str) -> str:
    """What a datagram to there leaves from."""
    with socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect((to, 9))
        return str(one.getsockname()[0])


class RoutesTests(TestCase):
    """
    One end of a cable: 10.77.0.1, with 10.81.0.1 on its loopback; its other end is 10.77.0.2.
    """

    timeout = 30

    def setUp(self) -> None:
        self.patch(routes, "SETTLE", 0.1)
        self.patch(routes, "AGAIN", 0.5)
        self.sink = self.made()

    def made(self, **said: int) -> XFRMSink:
        """A sink with routes, which goes with the test."""
        sink = XFRMSink(reactor)
        sink.route(Routing(**said))
        self.addCleanup(sink.stop)
        return sink

    @inlineCallbacks
    def until(self, reached: Callable[[], object]) -> Generator[Deferred[Any], Any, None]:
        """It becomes so within two seconds."""
        for _ in range(40):
            if reached():
                return
            yield deferLater(reactor, 0.05, lambda: None)  # type: ignore[arg-type]
        self.fail(f"{table()} {ip('rule')}")

    def trap(self, child: ChildPolicy = CHILD, path: Path | None = PATH) -> Deferred[None]:
        """By the sink's public interface."""
        return self.sink.trap(child, path)

    @inlineCallbacks
    def test_route(self) -> Generator[Deferred[Any], Any, None]:
        """
        A trap's route leads where the peer is, from an address of the child's own; nothing else
        did.  With the trap it goes, with the sink its rules.
        """
        self.assertRaises(OSError, source, FAR)
        yield self.trap()
        self.assertEqual(table(), [f"10.82.0.0/24 dev eth0 proto {PROTOCOL} scope link src {OURS}"])
        self.assertEqual(source(FAR), OURS)
        for version in ("-4", "-6"):
            self.assertIn(RULE, ip(version, "rule"))
        yield self.sink.untrap(CHILD.connection, CHILD.name)
        self.assertEqual(table(), [])
        self.assertRaises(OSError, source, FAR)
        yield self.sink.stop()
        for version in ("-4", "-6"):
            self.assertNotIn("220", ip(version, "rule"))

    @inlineCallbacks
    def test_gateway(self) -> Generator[Deferred[Any], Any, None]:
        """A peer behind a gateway: what it protects goes to the gateway too."""
        ip("route", "add", "192.0.2.0/24", "via", PEER)
        self.addCleanup(ip, "route", "del", "192.0.2.0/24")
        yield self.trap(path=Path((WE, 500), ("192.0.2.9", 500)))
        self.assertEqual(table(), [f"10.82.0.0/24 via {PEER} dev eth0 proto {PROTOCOL} src {OURS}"])

    @inlineCallbacks
    def test_no_address(self) -> Generator[Deferred[Any], Any, None]:
        """
        Where no address of this host is in the child's network it only forwards, and needs no
        route; once there is one, it does, and no longer than there is.
        """
        yield self.trap(policy(local="10.83.0.0/24", remote="10.82.0.0/24"))
        self.assertEqual(table(), [])
        ip("addr", "add", "10.83.0.7/24", "dev", "lo")
        yield self.until(lambda: "src 10.83.0.7" in " ".join(table()))
        ip("addr", "del", "10.83.0.7/24", "dev", "lo")
        yield self.until(lambda: table() == [])

    @inlineCallbacks
    def test_anything(self) -> Generator[Deferred[Any], Any, None]:
        """A child for all that leaves prefers no address: any fits."""
        yield self.trap(policy(local="0.0.0.0/0", remote="10.82.0.0/24"))
        self.assertEqual(table(), [f"10.82.0.0/24 dev eth0 proto {PROTOCOL} scope link"])

    @inlineCallbacks
    def test_shared(self) -> Generator[Deferred[Any], Any, None]:
        """
        Several children with one network have one route, as the first wants it; it stands until the
        last is gone.
        """
        ip("addr", "add", "10.83.0.7/24", "dev", "lo")
        self.addCleanup(ip, "addr", "del", "10.83.0.7/24", "dev", "lo")
        other = policy(name="other", local="10.83.0.0/24", remote="10.82.0.0/24")
        yield self.trap()
        yield self.trap(other)
        self.assertEqual(len(table()), 1)
        self.assertIn(f"src {OURS}", table()[0])
        yield self.sink.untrap(CHILD.connection, CHILD.name)
        self.assertEqual(len(table()), 1)
        self.assertIn("src 10.83.0.7", table()[0])
        yield self.sink.untrap(other.connection, other.name)
        self.assertEqual(table(), [])

    @inlineCallbacks
    def test_peer_within(self) -> Generator[Deferred[Any], Any, None]:
        """
        A network that the peer itself is in: traffic to it is the child's, from the child's
        address; what the daemon sends is not, and neither is the question where the peer is.
        """
        child = policy(local="10.81.0.0/24", remote="10.77.0.0/24")
        yield self.trap(child)
        self.assertEqual(source(PEER), OURS)
        ports = UDPPorts(reactor, lambda _: None, exempt=self.sink.exempt)  # type: ignore[arg-type]
        _, port = ports.listen("0.0.0.0", 0)
        self.addCleanup(ports.close)
        self.assertEqual(ports.source(PEER, port), (WE, port))
        # The route was found by asking; when that is done again it is the same.
        ip("addr", "add", "10.83.0.7/24", "dev", "lo")
        self.addCleanup(ip, "addr", "del", "10.83.0.7/24", "dev", "lo")
        yield deferLater(reactor, 0.4, lambda: None)  # type: ignore[arg-type]
        self.assertEqual(table(), [f"10.77.0.0/24 dev eth0 proto {PROTOCOL} scope link src {OURS}"])

    @inlineCallbacks
    def test_everything(self) -> Generator[Deferred[Any], Any, None]:
        """
        A tunnel for everything: what passes beside it goes where it went before, in both families
        what the daemon sends does so too.
        """
        yield self.trap(policy(local="10.81.0.0/24", remote="0.0.0.0/0"))
        self.assertEqual(source("198.51.100.1"), OURS)
        self.assertEqual(source(PEER), OURS)
        passed = policy(name="local", local="10.77.0.0/24", remote="10.77.0.0/24")
        yield self.trap(replace(passed, action=Action.PASS), None)
        self.assertIn(f"throw 10.77.0.0/24 proto {PROTOCOL}", table())
        self.assertEqual(source(PEER), WE)
        self.assertEqual(source("198.51.100.1"), OURS)
        yield self.sink.untrap(passed.connection, passed.name)
        self.assertEqual(source(PEER), OURS)

    @inlineCallbacks
    def test_none(self) -> Generator[Deferred[Any], Any, None]:
        """
        No route: for traffic that is dropped, for one protocol or port, for transport mode, without
        policies, or with an XFRM interface.
        """
        for child in (
            replace(CHILD, action=Action.DROP),
            replace(CHILD, remote=TrafficSelector.parse("10.82.0.0/24[tcp/80]")),
            replace(CHILD, handling=Handling(if_id_out=7)),
            replace(CHILD, handling=Handling(policies=False)),
        ):
            yield self.trap(child)
            self.assertEqual(table(), [], child)
            yield self.sink.untrap(child.connection, child.name)

    @inlineCallbacks
    def test_link(self) -> Generator[Deferred[Any], Any, None]:
        """A route that has gone with its link is put back when that returns."""
        yield self.trap()
        before = table()
        ip("link", "set", "eth0", "down")
        self.assertEqual(table(), [])
        yield deferLater(reactor, 0.3, lambda: None)  # type: ignore[arg-type]
        ip("link", "set", "eth0", "up")
        yield self.until(lambda: table() == before)
        ip("rule", "del", "priority", "220")
        yield self.until(lambda: RULE in ip("rule"))
        self.assertEqual(ip("rule").count("lookup 220"), 1)

    @inlineCallbacks
    def test_later(self) -> Generator[Deferred[Any], Any, None]:
        """A peer that cannot be reached yet: an error is logged once, and the trap stands."""
        notes = logged(self)  # type: ignore[arg-type]
        yield self.trap(path=Path((WE, 500), ("192.0.2.9", 500)))
        self.assertEqual(table(), [])
        self.assertIn("10.82.0.0/24", ip("xfrm", "policy"))
        yield deferLater(reactor, 1.2, lambda: None)  # type: ignore[arg-type]
        (note,) = [one for one in notes if "no route of ours" in one.get("log_format", "")]
        self.assertEqual(note["why"], "the peer, or the gateway to it, cannot be reached")
        self.assertEqual(note["log_level"].name, "error")
        ip("route", "add", "192.0.2.0/24", "via", PEER)
        self.addCleanup(ip, "route", "del", "192.0.2.0/24")
        yield self.until(table)
        self.assertIn(f"10.82.0.0/24 via {PEER}", table()[0])

    @inlineCallbacks
    def test_foreign(self) -> Generator[Deferred[Any], Any, None]:
        """
        Routes of others in the table stay, also where we want the same network: then an error is
        logged, and the trap stands.  When the other has gone, ours is put there.
        """
        ip("route", "add", *FOREIGN)
        self.addCleanup(ip, "route", "flush", "table", "220")
        ip("route", "add", "10.82.0.0/24", "via", PEER, "table", "220")
        before = table()
        notes = logged(self)  # type: ignore[arg-type]
        yield self.trap()
        self.assertEqual(table(), before)
        (note,) = [one for one in notes if "no route of ours" in one.get("log_format", "")]
        self.assertEqual(note["why"], "there is one already, and it is not ours")
        self.assertIn("10.82.0.0/24", ip("xfrm", "policy"))
        ip("route", "del", "10.82.0.0/24", "table", "220")
        yield self.until(lambda: len(table()) == 2)
        yield self.sink.stop()
        self.assertEqual(table(), [line for line in before if "10.99" in line])

    @inlineCallbacks
    def test_leftovers(self) -> Generator[Deferred[Any], Any, None]:
        """What a dead run has left, in whatever table, is removed; what is others' stays."""
        yield self.left()

    @inlineCallbacks
    def test_leftovers_all_told(self) -> Generator[Deferred[Any], Any, None]:
        """So it is where the kernel tells of all routes and rules, as one before 4.20 does."""
        self.patch(routes, "_strict", opened)
        ip("route", "add", "10.97.0.0/24", "via", PEER)
        self.addCleanup(ip, "route", "del", "10.97.0.0/24")
        before = ip("route")
        yield self.left()
        self.assertEqual(ip("route"), before)

    @inlineCallbacks
    def left(self) -> Generator[Deferred[Any], Any, None]:
        """A dead run's routes, and those of others; then a run."""
        ip("route", "add", *FOREIGN)
        self.addCleanup(ip, "route", "flush", "table", "220")
        ip("rule", "add", "lookup", "220", "priority", "219")
        self.addCleanup(ip, "rule", "del", "priority", "219")
        foreign = table()
        dead = self.made(table=221, priority=221)
        yield dead.trap(CHILD, PATH)
        self.assertEqual(len(table(number="221")), 1)
        ip("xfrm", "policy", "flush")
        yield self.trap(policy(local="10.81.0.0/24", remote="10.84.0.0/24"))
        self.assertEqual(table(number="221"), [])
        self.assertNotIn("221", ip("rule"))
        self.assertIn("219:", ip("rule"))
        self.assertEqual([line for line in table() if str(PROTOCOL) not in line], foreign)

    @inlineCallbacks
    def test_version_6(self) -> Generator[Deferred[Any], Any, None]:
        """The same in IPv6, also inside IPv4; what passes too."""
        ip("addr", "add", "2001:db8:1::1/64", "dev", "lo")
        self.addCleanup(ip, "addr", "del", "2001:db8:1::1/64", "dev", "lo")
        child = policy(local="2001:db8:1::/64", remote="2001:db8:2::/64")
        yield self.trap(child)
        # For a moment the address may be somebody else's (RFC 4862 section 5.4).
        yield self.until(lambda: table("-6"))
        self.assertEqual(source("2001:db8:2::1"), "2001:db8:1::1")
        self.assertIn(f"dev eth0 proto {PROTOCOL} src 2001:db8:1::1", table("-6")[0])
        passed = policy(name="p", local="2001:db8:1::/64", remote="2001:db8:2:0:1::/80")
        yield self.trap(replace(passed, action=Action.PASS), None)
        self.assertRaises(OSError, source, "2001:db8:2:0:1::1")
        yield self.sink.stop()
        self.assertEqual(table("-6"), [])

    @inlineCallbacks
    def test_many(self) -> Generator[Deferred[Any], Any, None]:
        """However much changes, it is looked at once, and the kernel is asked little."""
        yield self.trap()
        looked: list[object] = []
        own = self.sink.routes
        assert own is not None
        look = own.refresh
        self.patch(own, "refresh", lambda: (looked.append(1), look())[1])
        yield deferLater(reactor, 0.3, lambda: None)  # type: ignore[arg-type]
        looked.clear()
        for number in range(100, 150):
            ip("addr", "add", f"10.90.0.{number}/32", "dev", "lo")
        yield deferLater(reactor, 0.5, lambda: None)  # type: ignore[arg-type]
        self.assertIn(len(looked), range(1, 4))
        ip("addr", "flush", "dev", "lo", "to", "10.90.0.0/24")
