"""
More than the kernel can tell: the sink ``xfrm`` finds out what it was not told.  Runs in a network
namespace of its own, with 10.77.0.1 and a network behind it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from isakmp.events import SAExpiring, TrafficWaiting
from isakmp.handling import Handling
from isakmp.numbers import Encapsulation
from isakmp.paths import Path
from isakmp.sinks.xfrm import hearing
from isakmp.sinks.xfrm.link import Link
from isakmp.sinks.xfrm.sink import XFRMSink
from isakmp.sinks.xfrm.structures import GROUP_ACQUIRE
from isakmp.stream import EventStream
from tests.interop.by_hand import bundle
from tests.samples import logged, policy, suite, transform

WE, PEER = "10.77.0.1", "10.77.0.2"
OURS = "10.81.0.1"
PATH = Path((WE, 500), (PEER, 500))
_LITTLE = 2304
"""The least room that Linux gives a socket."""


class LossesTestCase(TestCase):
    """
    A sink that hears little.
    """

    timeout = 30

    def setUp(self) -> None:
        self.patch(hearing, "SETTLE", 0.2)
        self.events = EventStream()
        self.heard: list[object] = []
        for kind in (TrafficWaiting, SAExpiring):
            self.events.subscribe(kind, self.heard.append)
        self.notes = logged(self)  # type: ignore[arg-type]
        self.sink = XFRMSink(reactor)
        self.addCleanup(self.sink.stop)

    def deafened(self) -> None:
        """There is little room from now on."""
        link = self.sink.hearing.link
        assert link is not None
        with socket.socket(fileno=os.dup(link.fileno())) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LITTLE)

    @inlineCallbacks
    def trap(self) -> Generator[Deferred[Any], Any, None]:
        """In transport mode, with a whole network: traffic to each host waits by itself."""
        child = policy(name="wide", local="10.77.0.0/24", remote="10.77.0.0/24")
        transport = suite(transform(encapsulation_mode=Encapsulation.TRANSPORT))
        yield self.sink.trap(replace(child, suites=(transport,)), PATH)

    def flood(self, count: int = 200) -> None:
        """Traffic to many hosts, while nothing is read."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as one:
            one.bind((WE, 0))
            for number in range(2, 2 + count):
                with contextlib.suppress(BlockingIOError):  # it waits, or is lost: no matter
                    one.sendto(b"hello", (f"10.77.0.{number}", 9))

    @inlineCallbacks
    def until(self, reached: Callable[[], object]) -> Generator[Deferred[Any], Any, None]:
        """It becomes so within three seconds."""
        for _ in range(60):
            if reached():
                return
            yield deferLater(reactor, 0.05, lambda: None)  # type: ignore[arg-type]
        self.fail(str(self.heard))

    def lines(self) -> list[object]:
        """What was said of a loss."""
        return [one for one in self.notes if "taken in" in one.get("log_format", "")]


class TrafficTests(LossesTestCase):
    """
    What every kernel with policies can show.
    """

    @inlineCallbacks
    def test_traffic(self) -> Generator[Deferred[Any], Any, None]:
        """
        Of two hundred flows that wait the kernel could tell of few; that it lost the others is one
        line, and each that waits is found.  (What is told to nobody at all the kernel tells again
        with the next packet; here another is told too, as by ``ip xfrm monitor``.)
        """
        other = Link(reactor, GROUP_ACQUIRE, lambda message: None)
        self.addCleanup(other.close)
        self.sink._events = self.events
        self.sink.hearing.start()
        self.deafened()
        yield self.trap()
        self.flood()
        yield self.until(self.lines)
        told = len(self.heard)
        self.assertLess(told, 150)
        yield self.until(lambda: len(self.heard) >= told + 150)
        flows = {one.traffic for one in self.heard if isinstance(one, TrafficWaiting)}
        self.assertIn("10.77.0.201/32", " ".join(flows))
        self.assertEqual(len(self.lines()), 1)


class SATests(LossesTestCase):
    """
    What needs ESP.
    """

    @inlineCallbacks
    def test_gone(self) -> Generator[Deferred[Any], Any, None]:
        """
        An SA that has gone while the kernel's messages were lost has expired; one that has carried
        what it may is to be renewed; one that stands is left alone.
        """
        yield self.sink.start(self.events)
        made = [bundle(WE, PEER, f"10.8{n}.0.0/24", f"10.9{n}.0.0/24", 0x1000 + n, 0x2000 + n)
                for n in range(3)]
        handling = Handling(rekey_packets=2)
        made[1] = replace(made[1], policy=replace(made[1].policy, handling=handling))
        for number, one in enumerate(made):
            yield self.sink.install(replace(one, name=f"by-hand-{number}"))
        yield self.trap()
        self.deafened()
        spi = f"0x{made[0].outbound[0].key.spi.hex()}"
        subprocess.run(
            ["ip", "xfrm", "state", "delete", "dst", PEER, "proto", "esp", "spi", spi],
            check=True, timeout=20,
        )
        self.flood()
        subprocess.run(["ip", "route", "add", "10.91.0.0/24", "via", PEER], check=True, timeout=20)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as some:
            some.bind((OURS, 0))
            for _ in range(5):
                some.sendto(b"hello", ("10.91.0.1", 9))
        yield self.until(lambda: [one for one in self.heard if isinstance(one, SAExpiring)])
        expiring = [one for one in self.heard if isinstance(one, SAExpiring)]
        self.assertEqual(
            set(expiring), {SAExpiring(made[0].key, True), SAExpiring(made[1].key, False)}
        )
        self.assertEqual(len(self.lines()), 1)
