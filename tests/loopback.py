"""
What tests of real sockets on loopback share, and how they run the demonstration.
"""

from __future__ import annotations

import gc
import re
import socket
import warnings
from collections.abc import Callable, Coroutine, Mapping
from functools import partial, wraps
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from twisted.trial.util import suppress

from isakmp import demo
from isakmp.associations import SABundle
from isakmp.connections import Intervals, Limits
from isakmp.demo import FAILED, Choices, LossyPorts, demonstrate
from isakmp.paths import Address, Datagram
from isakmp.service import ISAKMPService
from isakmp.sinks.memory import MemorySink
from isakmp.wire.message import Header


def bindable(address: Address) -> bool:
    """Whether a port is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        try:
            other.bind(address)
        except OSError:
            return False
    return True


UNBOUND = [suppress(category=ResourceWarning)]
"""For the ``suppress`` of tests in which a socket cannot be bound: Twisted does not close it."""


def unbound(test: Callable[[Any], Coroutine[Deferred[Any], Any, None]]) -> Callable[[Any], Any]:
    """The same for a test that is a coroutine: trial would suppress nothing while it waits."""

    @wraps(test)
    def run(case: TestCase) -> Deferred[None]:
        return Deferred.fromCoroutine(test(case))

    run.suppress = UNBOUND  # type: ignore[attr-defined]
    return run


def quietly_collect() -> None:
    """Have the garbage collector find such sockets now, not during somebody else's test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


STEP = re.compile(r" *(?P<ms>\d+\.\d)  (?P<arrow>[-=<>]{3})  (?P<exchange>[^,]+), (?P<said>.*)")
HELD = re.compile(
    r" +(?P<way>in|out) +SPI (?P<spi>[0-9a-f]{8})  KEYMAT fingerprint (?P<print>[0-9a-f]{16})"
)
FAST = "aes128-sha256-curve25519"


class DemoTestCase(TestCase):
    """Runs it, and keeps what each end's sink got."""

    def setUp(self) -> None:
        self.sinks: list[MemorySink] = []
        self.installed: dict[MemorySink, list[SABundle]] = {}
        test = self

        class Kept(MemorySink):
            """Remembers what was installed; the first made is the initiator's."""

            def __init__(self) -> None:
                super().__init__()
                test.sinks.append(self)
                test.installed[self] = []

            def install(self, bundle: SABundle) -> Deferred[None]:
                test.installed[self].append(bundle)
                return super().install(bundle)

        self.patch(demo, "MemorySink", Kept)

    async def run_demo(self, **choices: Any) -> tuple[int, list[str]]:
        """Its status, and its lines; by default with algorithms that take no time."""
        lines: list[str] = []
        status = await demonstrate(reactor, Choices(**{"proposal": FAST, **choices}), lines.append)
        return status, lines

    async def problems(self, **choices: Any) -> list[str]:
        """What it finds wrong; its status has to say that something is."""
        status, lines = await self.run_demo(**choices)
        said = "\n".join(lines)
        self.assertEqual(status, FAILED, said)
        self.assertNotIn("Both registries are empty", said)
        found = [line for line in lines if line.startswith("PROBLEM: ")]
        self.assertEqual(lines[-len(found) :], found, said)
        self.assertTrue(found, said)
        return found

    def keys(self, sink: MemorySink) -> dict[str, Mapping[str, bytes]]:
        """Everything that one end installed, by SPI: its keys by use."""
        return {
            sa.key.spi.hex(): sa.keys
            for bundle in self.installed[sink]
            for sa in (*bundle.inbound, *bundle.outbound)
        }

    def quick(self, *intervals: float) -> None:
        """Have a lossy network's repeats come soon."""
        self.patch(demo, "Intervals", lambda *_: Intervals(*intervals))  # type: ignore[arg-type]

    def impatient(self) -> None:
        """Have an exchange that was refused something hope for a moment only."""
        self.patch(demo, "ISAKMPService", partial(ISAKMPService, limits=Limits(grace=0.05)))

    def lose(self, lost: Callable[[LossyPorts, Header], bool]) -> None:
        """Have those datagrams lost, and no others."""

        def send(ports: LossyPorts, datagram: Datagram) -> None:
            ports.lost = lost(ports, Header.decode(datagram.octets))
            if not ports.lost:
                ports._ports.send(datagram)

        self.patch(LossyPorts, "send", send)


def steps(lines: list[str]) -> list[re.Match[str]]:
    return [found for line in lines if (found := STEP.fullmatch(line))]


def tables(lines: list[str]) -> list[dict[str, tuple[str, str]]]:
    """Of each end's table: direction and fingerprint by SPI."""
    found: list[dict[str, tuple[str, str]]] = []
    for line in lines:
        if line.endswith(" holds:"):
            found.append({})
        elif held := HELD.fullmatch(line):
            found[-1][held["spi"]] = (held["way"], held["print"])
    return found
