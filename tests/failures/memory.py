"""
Two ends of a folder of ``tests/interop/configurations``, on a network in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from isakmp.assembly import Assembly
from isakmp.config import isakmp_toml
from isakmp.config.load import load
from isakmp.errors import ConfigurationError
from isakmp.events import ExchangeFailed
from isakmp.journal import Journal
from isakmp.paths import Datagram
from isakmp.sinks.log import LogSink
from isakmp.testing import LossyNetwork, VirtualClock
from tests.interop.configured import CONFIGURATIONS, addresses

SECONDS = 100.0
"""Longer than an exchange waits."""


@contextmanager
def logged() -> Iterator[list[LogEvent]]:
    """What this package logs meanwhile, from the level ``info`` on."""
    events: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_namespace", "").startswith("isakmp.") and (
            event["log_level"] >= LogLevel.info
        ):
            events.append({**event, "text": formatEvent(event)})

    globalLogPublisher.addObserver(observe)
    try:
        yield events
    finally:
        globalLogPublisher.removeObserver(observe)


class Attempt:
    """
    One attempt of ``i`` to have its child.

    :ivar said: by end, what it logged, each line once.
    :ivar failures: by end, the events of what failed.
    :ivar refused: by end, why its configuration cannot be.
    """

    def __init__(self, name: str, silent: bool = False, seconds: float = SECONDS) -> None:
        self.said: dict[str, list[str]] = {"i": [], "r": []}
        self.events: dict[str, list[LogEvent]] = {"i": [], "r": []}
        self.failures: dict[str, list[ExchangeFailed]] = {"i": [], "r": []}
        self.refused: dict[str, str] = {}
        clock = VirtualClock()
        network = LossyNetwork(clock)
        ends: dict[str, Assembly] = {}
        with logged() as events:
            for end in "i" if silent else "ri":
                folder = CONFIGURATIONS / name / end
                try:
                    found = load(
                        str(folder / "swanctl.conf"), isakmp_toml.load(str(folder / "isakmp.toml"))
                    )
                except ConfigurationError as error:
                    self.refused[end] = str(error).replace(f"{folder}/", "")
                    continue
                (address,) = addresses([name], end)
                ends[end] = made = Assembly(
                    found.connections,
                    found.secrets,
                    clock=clock,
                    ports=network.attach(address, _receiver(ends, end)),
                    sink=LogSink(),
                )
                Journal(made.node.events)
                made.node.events.subscribe(ExchangeFailed, self.failures[end].append)
                if end == "i":
                    made.initiation.keep(found.connections)
            clock.run_until(seconds)
        for event in events:
            # A line is said of the peer by whoever is not it.
            peer = str(event.get("peer", ""))
            end = "i" if peer.split(":")[0].endswith(".2") else "r"
            if "peer" in event and event["text"] not in self.said[end]:
                self.said[end].append(event["text"])
                self.events[end].append(event)
        for made in ends.values():
            made.stop()


def _receiver(ends: Mapping[str, Assembly], end: str) -> Callable[[Datagram], None]:
    return lambda datagram: ends[end].endpoint.datagram_received(datagram)


def failing(said: Sequence[str]) -> list[str]:
    """The lines that tell of a failure."""
    return [line for line in said if " failed: " in line or line.startswith("refused ")]
