"""
A process that is driven by lines of JSON on its standard input, and answers on its output: those of
:mod:`tests.interop.node`, but nothing is told unasked.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from isakmp.service import ISAKMPService


class Driven(LineOnlyReceiver):
    """Commands in, events out."""

    delimiter = b"\n"

    def __init__(self, service: ISAKMPService) -> None:
        self._service = service

    def connectionMade(self) -> None:
        """Standard input and output are there: begin."""
        self._service.privilegedStartService()
        self._service.startService()
        self.say("ready")

    def say(self, event: str, **words: object) -> None:
        """One event."""
        self.sendLine(json.dumps({"event": event, **words}).encode())

    def lineReceived(self, line: bytes) -> None:
        """One command."""
        self.do(json.loads(line))

    def connectionLost(self, reason: Failure | None = None) -> None:  # type: ignore[override]
        """Whoever drives us is gone."""
        self.stop()

    def do(self, command: dict[str, Any]) -> None:
        """What a command asks for, by its ``do``."""
        raise NotImplementedError

    def stop(self) -> None:
        """End at once."""
        raise NotImplementedError
