"""
Our responder as a process: ``python -m tests.bench._responder SPEC.json``.

It is the daemon, configured by a ``swanctl.conf`` and an ``isakmp.toml``; its SAs go nowhere.  See
:mod:`tests.bench._driven`::

    {"do": "held"}                  answered by the event held: isakmp, children, half_open
    {"do": "profile", "path": ...}  collect a profile from now on, and write it there at the end
    {"do": "stop"}                  end, and let the SAs be
"""

from __future__ import annotations

import cProfile
import json
import os
import socket
import sys
from itertools import count
from pathlib import Path
from typing import Any

from twisted.internet import reactor, stdio
from twisted.internet.defer import Deferred, succeed
from twisted.logger import globalLogBeginner, textFileLogObserver
from zope.interface import implementer

from isakmp.associations import ChildPolicy, SABundle, SPIKey, Transform, Usage
from isakmp.daemon import Daemon
from isakmp.description import Files
from isakmp.exchange.endpoint import ISAKMPEndpoint
from isakmp.garbage import settle
from isakmp.interfaces import IEvents, ISASink
from isakmp.paths import Path as Conversation
from tests.bench._driven import Driven


@implementer(ISASink)
class NullSink:
    """
    Keeps nothing and protects nothing, as charon's kernel-null plugin.  Its SPIs are numbers, one
    after the other.
    """

    name = "null"
    protects = False

    def __init__(self) -> None:
        self._spis = count(0xC0000000)

    def supports(self, doi: int, protocol: int, transform: Transform) -> bool:
        """Everything: nothing is computed here."""
        return True

    def reserve_spi(
        self, doi: int, protocol: int, path: Conversation, avoid: bytes = b""
    ) -> Deferred[bytes]:
        """The next."""
        return succeed(next(self._spis).to_bytes(4))

    def release_spi(self, key: SPIKey) -> Deferred[None]:
        """Nothing."""
        return succeed(None)

    def start(self, events: IEvents) -> Deferred[None]:
        """Nothing."""
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """Nothing."""
        return succeed(None)

    def query(self, bundle: SABundle) -> Deferred[Usage]:
        """Nothing."""
        return succeed(Usage())

    def trap(self, policy: ChildPolicy, path: Conversation | None) -> Deferred[None]:
        """Nothing."""
        return succeed(None)

    def untrap(self, connection: str, child: str) -> Deferred[None]:
        """Nothing."""
        return succeed(None)

    def exempt(self, socket: socket.socket) -> None:
        """Nothing."""

    def install(self, bundle: SABundle) -> Deferred[None]:
        """Nothing."""
        return succeed(None)

    def remove(self, bundle: SABundle) -> Deferred[None]:
        """Nothing."""
        return succeed(None)


class Measured(Driven):
    """Says what the daemon holds, and where its time goes."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon)
        self._daemon = daemon
        self._profile: tuple[cProfile.Profile, str] | None = None

    def do(self, command: dict[str, Any]) -> None:
        """One command."""
        match command["do"]:
            case "held":
                self.say("held", **held(self._daemon))
            case "profile":
                self._profile = cProfile.Profile(), command["path"]
                self._profile[0].enable()
                self.say("profiling")
            case "stop":
                self.stop()

    def stop(self) -> None:
        """The SAs stay: to end them one by one takes longer than to make them."""
        if self._profile is not None:
            profile, path = self._profile
            profile.disable()
            profile.dump_stats(path)
        os._exit(0)


def held(daemon: Daemon) -> dict[str, int]:
    """What a node holds."""
    kinds = [isinstance(sa, SABundle) for sa in daemon.node.registry]
    assert isinstance(daemon.endpoint, ISAKMPEndpoint)
    return {
        "isakmp": kinds.count(False),
        "children": kinds.count(True),
        "half_open": len(daemon.endpoint.demultiplexer.half_open),
    }


def main(path: str) -> None:
    """Run until told to stop."""
    spec = json.loads(Path(path).read_text())
    description = Files(spec["config"], spec["settings"]).read()
    with open(spec["log"], "w", encoding="utf-8") as log:
        globalLogBeginner.beginLoggingTo([textFileLogObserver(log)], redirectStandardIO=False)
        stdio.StandardIO(Measured(Daemon(description, NullSink())))
        settle()  # as isakmp.tap does
        reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(sys.argv[1])
