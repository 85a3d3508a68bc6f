"""
What the sink ``xfrm`` can do on this machine's own kernel, which may have no ESP: policies, traps,
SPIs, and its refusal.  Runs in a network namespace of its own, with the addresses of ``lo`` below.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path as File
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.logger import formatEvent
from twisted.trial.unittest import TestCase

from isakmp.associations import Action, SPIKey
from isakmp.errors import ConfigurationError
from isakmp.events import TrafficWaiting
from isakmp.handling import Handling, Mark, Unique
from isakmp.numbers import DOI, ProtocolID
from isakmp.paths import Path
from isakmp.sinks.xfrm import structures
from isakmp.sinks.xfrm.alone import Alone
from isakmp.sinks.xfrm.earlier import remove_leftovers
from isakmp.sinks.xfrm.link import DUMP, Link
from isakmp.sinks.xfrm.netlink import Message, attributes
from isakmp.sinks.xfrm.policy_table import Reqids
from isakmp.sinks.xfrm.sink import XFRMSink
from isakmp.sinks.xfrm.structures import Attribute, Kind
from isakmp.sinks.xfrm.waiting import LARVAL_DROP
from isakmp.stream import EventStream
from tests.samples import logged, policy

OURS, NEAR, FAR = "10.81.0.1", "10.81.0.2", "10.82.0.1"
PATH = Path((OURS, 500), ("10.77.0.2", 500))
CHILD = policy(local="10.81.0.0/24", remote="10.82.0.0/24")


def ip(*words: str) -> str:
    """What ``ip`` says here."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=True, timeout=20)
    return done.stdout


SQUATTER = """
import os, socket, sys
os.setuid(65534)
name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name.bind(b"\\0isakmp-xfrm")
sign = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
    sign.setsockopt(socket.IPPROTO_IP, 17, bytes.fromhex(sys.argv[1]))
except PermissionError:
    print("refused", flush=True)
sys.stdin.read()
"""


class HearingSink(XFRMSink):
    """
    One that listens without having tried an SA, which this kernel may not have.

    :ivar heard: what it told of traffic.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.heard: list[TrafficWaiting] = []
        events = EventStream()
        events.subscribe(TrafficWaiting, self.heard.append)
        self._events = events
        self.hearing.start()


class OwnKernelTests(TestCase):
    timeout = 30

    def setUp(self) -> None:
        self.sink = XFRMSink(reactor)
        self.addCleanup(self.sink.stop)

    def link(self) -> Link:
        """To the kernel, beside the sink's."""
        link = Link(reactor)
        self.addCleanup(link.close)
        return link

    def say(self, to: str, exempt: bool = False, mark: int = 0) -> None:
        """A datagram."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            if mark:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            one.bind((OURS, 0))
            if exempt:
                self.sink.exempt(one)
            one.sendto(b"hello", (to, 9))

    @inlineCallbacks
    def test_start(self) -> Generator[Deferred[Any], Any, None]:
        """
        Where there is ESP it starts and leaves nothing of its trial; else it says what is missing.
        """
        before = ip("xfrm", "state")
        modules = File("/proc/crypto").read_text() if File("/proc/crypto").exists() else ""
        try:
            yield self.sink.start(EventStream())
        except ConfigurationError as error:
            self.assertRegex(
                str(error), r"^the sink xfrm cannot be used: this kernel has no \S.*$"
            )
            self.assertNotIn("\n", str(error))
        else:
            self.assertIn("cbc(aes)", modules + File("/proc/crypto").read_text())
        self.assertEqual(ip("xfrm", "state"), before)

    @inlineCallbacks
    def test_alone(self) -> Generator[Deferred[Any], Any, None]:
        """
        A second daemon in the same network namespace says that there is one, and leaves it alone;
        when that one ends, it may begin.  Of two that start at once the first does.
        """
        ask = self.link().ask
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # as any daemon's of any kind
        self.addCleanup(own.close)
        self.sink.exempt(own)
        first, second = Alone(lambda octets: bytes(octets)), Alone(lambda octets: b"\1" * octets)
        yield Deferred.fromCoroutine(first.claim(ask))
        standing = ip("xfrm", "policy")
        ip("xfrm", "policy", "flush")  # of that it is no part
        error = yield self.assertFailure(
            Deferred.fromCoroutine(second.claim(ask)), ConfigurationError
        )
        self.assertIn("another process uses it in this network namespace", str(error))
        error = yield self.assertFailure(self.sink.start(EventStream()), ConfigurationError)
        self.assertIn("another process uses it in this network namespace", str(error))
        self.assertIsNone(self.sink._asking)
        self.assertEqual(ip("xfrm", "policy"), standing)
        first.give_up()

        async def meanwhile(*words: Any) -> list[Message]:
            told = await ask(*words)
            claiming = Deferred.fromCoroutine(first.claim(ask))
            error = await self.assertFailure(claiming, ConfigurationError)
            self.assertIn("another process uses it", str(error))
            return told

        yield Deferred.fromCoroutine(second.claim(meanwhile))
        second.give_up()
        own.close()
        self.assertEqual(ip("xfrm", "policy"), "")

    @inlineCallbacks
    def test_squatter(self) -> Generator[Deferred[Any], Any, None]:
        """A user of the host without privileges cannot keep the daemon from starting."""
        alone = Alone(lambda octets: bytes(octets))
        yield Deferred.fromCoroutine(alone.claim(self.link().ask))
        told = yield self.sink._ask(Kind.GETPOLICY, b"", "all policies", DUMP)
        alone.give_up()
        (body,) = [message.body for message in told]
        squatter = subprocess.Popen(
            [sys.executable, "-c", SQUATTER, body[: structures.Policy.SIZE].hex()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(squatter.communicate)
        assert squatter.stdout is not None
        self.assertEqual(squatter.stdout.readline(), b"refused\n")
        yield Deferred.fromCoroutine(alone.claim(self.link().ask))
        alone.give_up()

    @inlineCallbacks
    def test_spi(self) -> Generator[Deferred[Any], Any, None]:
        """The kernel chooses an SPI and keeps it; released, nothing is left."""
        spi = yield self.sink.reserve_spi(DOI.IPSEC, ProtocolID.ESP, PATH)
        self.assertEqual(len(spi), 4)
        self.assertIn(f"spi 0x{spi.hex()}", ip("xfrm", "state"))
        other = yield self.sink.reserve_spi(DOI.IPSEC, ProtocolID.ESP, PATH, avoid=spi)
        self.assertNotEqual(other, spi)
        for one in (spi, other, spi):
            yield self.sink.release_spi(SPIKey(DOI.IPSEC, ProtocolID.ESP, one, OURS))
        self.assertEqual(ip("xfrm", "state"), "")

    @inlineCallbacks
    def test_trap(self) -> Generator[Deferred[Any], Any, None]:
        """A trap's policies stand, traffic asks for its SA, packets wait; then nothing is left."""
        heard: list[Message] = []
        link = Link(reactor, structures.GROUP_ACQUIRE, heard.append)
        self.addCleanup(link.close)
        drop = LARVAL_DROP.read_text()
        yield self.sink.trap(CHILD, PATH)
        standing = ip("xfrm", "policy")
        for direction in ("out", "in", "fwd"):
            self.assertRegex(standing, rf"dir {direction} priority \d+")
        self.assertEqual(LARVAL_DROP.read_text(), "0\n")
        self.say(FAR)
        yield deferLater(reactor, 0.2, lambda: None)  # type: ignore[arg-type]
        (acquire,) = [one for one in heard if one.kind == Kind.ACQUIRE]
        told = structures.Acquire.decode(acquire.body)
        self.assertEqual(str(told.traffic.destination), f"{FAR}/32")
        templates = attributes(acquire.body[structures.Acquire.SIZE :])[Attribute.TMPL]
        self.assertIn(structures.Template.reqid_of(templates), Reqids.RANGE)
        yield self.sink.untrap(CHILD.connection, CHILD.name)
        self.assertEqual(ip("xfrm", "policy"), "")
        yield self.sink.stop()
        self.assertEqual(LARVAL_DROP.read_text(), drop)

    @inlineCallbacks
    def test_marks(self) -> Generator[Deferred[Any], Any, None]:
        """
        Of two children for the same traffic, even with one reqid, a packet asks for that whose mark
        it has; one without a mark asks for nobody.  If the daemon dies, the next start finds the
        policies by their marks.
        """
        sink = HearingSink(reactor)
        self.addCleanup(sink.stop)
        self.addCleanup(ip, "xfrm", "state", "flush")  # what the kernel keeps for those who asked
        for name, mark in (("one", Mark(Unique())), ("two", Mark(0x200, 0xFF00))):
            handling = Handling(mark_out=mark, reqid=77)
            yield sink.trap(replace(CHILD, name=name, handling=handling), PATH)
        standing = ip("xfrm", "policy")
        for text in ("mark 0x1/0xffffffff", "mark 0x200/0xff00"):
            self.assertIn(text, standing)
        heard: list[str] = []
        for mark, wanted in ((0, []), (1, ["one"]), (0x2AB, ["two"]), (2, [])):
            before = len(sink.heard)
            self.say(FAR, mark=mark)
            yield deferLater(reactor, 0.2, lambda: None)  # type: ignore[arg-type]
            heard = [event.child for event in sink.heard[before:]]
            self.assertEqual(heard, wanted, mark)
        nets = ("src", "10.81.0.0/24", "dst", "10.82.0.0/24", "mark", "0x3")
        ip("xfrm", "policy", "add", *nets, "dir", "out", "action", "allow")
        removed = yield Deferred.fromCoroutine(remove_leftovers(self.sink._ask))
        # What comes in is not told apart: both need the same of it.
        self.assertEqual(removed.count, 4)
        (left,) = re.findall("mark .*", ip("xfrm", "policy"))
        self.assertIn("mark 0x3/", left)
        ip("xfrm", "policy", "delete", *nets, "dir", "out")
        yield sink.stop()
        self.assertEqual(ip("xfrm", "policy"), "")

    @inlineCallbacks
    def test_bound(self) -> Generator[Deferred[Any], Any, None]:
        """
        What is bound to an interface is for what leaves by it; by one that is not there it is
        refused in words, and nothing stands.
        """
        bound = replace(CHILD, action=Action.DROP, handling=Handling(interface="lo"))
        yield self.sink.trap(bound, None)
        self.say(FAR)
        other = replace(bound, handling=Handling(interface="eth0", priority=1234))
        yield self.sink.trap(other, None)
        self.assertRaises(OSError, self.say, FAR)
        self.assertIn("dev eth0", ip("xfrm", "policy"))
        self.assertIn("priority 1234", ip("xfrm", "policy"))
        nowhere = replace(bound, handling=Handling(interface="nowhere0"))
        error = yield self.assertFailure(self.sink.trap(nowhere, None), ConfigurationError)
        self.assertIn("there is no interface nowhere0", str(error))
        yield self.sink.stop()
        self.assertEqual(ip("xfrm", "policy"), "")

    @inlineCallbacks
    def test_bound_anew(self) -> Generator[Deferred[Any], Any, None]:
        """
        An interface that goes and comes again, as that of a dialled line does, is the same to
        whatever is bound to it: what is dropped, or protected, when it leaves there still is.
        """
        pair = ("link", "add", "bound0", "type", "veth", "peer", "name", "other0")
        ip(*pair)
        self.addCleanup(ip, "link", "del", "bound0")
        bound = replace(CHILD, handling=Handling(interface="bound0"))
        yield self.sink.trap(bound, PATH)
        for change in (("del", "bound0"), pair[1:], ("set", "bound0", "up")):
            ip("link", *change)
            yield deferLater(reactor, 0.3, lambda: None)  # type: ignore[arg-type]
        index = socket.if_nametoindex("bound0")
        told = yield self.sink._ask(Kind.GETPOLICY, b"", "all policies", DUMP)
        found = [structures.Policy.decode(message.body) for message in told]
        # What comes in has to be protected whatever it comes by.
        by = {one.direction: one.selector.interface for one in found}
        self.assertEqual(by[structures.Direction.OUT], index)
        self.assertEqual(len(found), 3)
        self.assertIn("dev bound0", ip("xfrm", "policy"))
        yield self.sink.untrap(CHILD.connection, CHILD.name)
        self.assertIsNone(self.sink._bound._link)
        self.assertEqual(ip("xfrm", "policy"), "")

    @inlineCallbacks
    def test_drop(self) -> Generator[Deferred[Any], Any, None]:
        """Traffic that is to be dropped is, but for that of a socket of ours."""
        self.say(FAR)
        dropped = replace(CHILD, action=Action.DROP)
        yield self.sink.trap(dropped, None)
        self.assertRaises(OSError, self.say, FAR)
        self.say(NEAR)
        self.say(FAR, exempt=True)
        yield self.sink.stop()
        self.assertEqual(ip("xfrm", "policy"), "")
        self.say(FAR)

    @inlineCallbacks
    def test_pass(self) -> Generator[Deferred[Any], Any, None]:
        """What passes does so in the midst of what is dropped; and not longer than it is kept."""
        wide = policy(name="wide", local="10.80.0.0/12", remote="10.80.0.0/12")
        yield self.sink.trap(replace(wide, action=Action.DROP), None)
        self.assertRaises(OSError, self.say, FAR)
        yield self.sink.trap(replace(CHILD, action=Action.PASS), None)
        self.say(FAR)
        yield self.sink.untrap(CHILD.connection, CHILD.name)
        self.assertRaises(OSError, self.say, FAR)
        yield self.sink.stop()
        self.assertEqual(ip("xfrm", "policy"), "")

    @inlineCallbacks
    def test_flushed(self) -> Generator[Deferred[Any], Any, None]:
        """
        Another daemon, or an administrator, removes all policies of the host, as libreswan does
        when it stops: ours stand again at once, and it is one line of the log.  Of what else
        becomes of policies and SAs nothing is heard.
        """
        notes = logged(self)  # type: ignore[arg-type]
        sink = HearingSink(reactor)
        self.addCleanup(sink.stop)
        heard: list[int] = []
        hear = sink.hearing.heard
        assert sink.hearing.link is not None
        sink.hearing.link._heard = lambda message: (heard.append(message.kind), hear(message))
        yield sink.trap(CHILD, PATH)
        yield sink.reserve_spi(DOI.IPSEC, ProtocolID.ESP, PATH)
        standing = ip("xfrm", "policy")
        ip("xfrm", "policy", "flush")
        ip("xfrm", "state", "flush")
        yield deferLater(reactor, 0.2, lambda: None)  # type: ignore[arg-type]
        self.assertEqual(heard, [Kind.FLUSHPOLICY, Kind.FLUSHSA])
        self.assertEqual(sorted(ip("xfrm", "policy")), sorted(standing))
        (line,) = [formatEvent(note) for note in notes if "somebody" in note["log_format"]]
        self.assertEqual(
            line, "somebody has removed policies of this host: 3 of ours have been set again"
        )
        self.say(FAR)
        yield deferLater(reactor, 0.2, lambda: None)  # type: ignore[arg-type]
        self.assertEqual([event.child for event in sink.heard], [CHILD.name])
        # Had it died now, while traffic waits, the next run would start none the less.
        yield Deferred.fromCoroutine(remove_leftovers(self.sink._ask))
        self.assertEqual(ip("xfrm", "policy"), "")
        yield sink.stop()
        self.assertEqual(ip("xfrm", "policy"), "")

    @inlineCallbacks
    def test_foreign(self) -> Generator[Deferred[Any], Any, None]:
        """What is nobody's of ours stays, also where we want the same traffic."""
        nets = ("src", "10.98.0.0/24", "dst", "10.99.0.0/24")
        ip("xfrm", "policy", "add", *nets, "dir", "out", "action", "allow")
        self.addCleanup(ip, "xfrm", "policy", "flush")
        before = ip("xfrm", "policy")
        yield self.sink.trap(CHILD, PATH)
        yield self.sink.stop()
        self.assertEqual(ip("xfrm", "policy"), before)
        same = policy(local="10.98.0.0/24", remote="10.99.0.0/24")
        yield self.assertFailure(self.sink.trap(same, PATH), ConfigurationError)
        self.assertEqual(ip("xfrm", "policy"), before)
