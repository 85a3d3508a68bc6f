"""
Our responder as a process: ``python -m tests.bench._responder SPEC.json``.

It speaks the lines of JSON of :mod:`tests.interop.node`, but tells nothing unasked; like a daemon
it writes into its log which SAs are up::

    {"do": "held"}                  answered by the event held: isakmp, children, half_open
    {"do": "profile", "path": ...}  collect a profile from now on, and write it there at the end
    {"do": "stop"}                  end, and let the SAs be
"""

from __future__ import annotations

import cProfile
import json
import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor, stdio
from twisted.logger import (
    FilteringLogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from isakmp.associations import Lifetime, SABundle, Transform
from isakmp.connections import Child, Connection, Limits
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.doi.ipsec import ipsec
from isakmp.events import Established
from isakmp.exchange.endpoint import ISAKMPEndpoint
from isakmp.identity import Identity, TrafficSelector
from isakmp.ike.key_exchange import ike
from isakmp.interfaces import IManagementSA, ISASink
from isakmp.service import ISAKMPService
from isakmp.sinks.memory import RecordingSink
from tests.bench._processes import INITIATORS_TS, RESPONDER_ID, RESPONDER_TS, SECRET

_log = Logger()


@implementer(ISASink)
class NullSink(RecordingSink):
    """Keeps records only, as charon's kernel-null plugin does."""

    name = "null"
    protects = False

    def supports(self, doi: int, protocol: int, transform: Transform) -> bool:
        """Everything: nothing is computed here."""
        return True


class Measured(LineOnlyReceiver):
    """Commands in, answers out."""

    delimiter = b"\n"

    def __init__(self, service: ISAKMPService) -> None:
        self._service = service
        self._profile: tuple[cProfile.Profile, str] | None = None

    def connectionMade(self) -> None:
        """Standard input and output are there: begin."""
        self._service.node.events.subscribe(Established, _established)
        self._service.privilegedStartService()
        self._service.startService()
        self.say("ready")

    def say(self, event: str, **words: object) -> None:
        """One event."""
        self.sendLine(json.dumps({"event": event, **words}).encode())

    def lineReceived(self, line: bytes) -> None:
        """One command."""
        command = json.loads(line)
        match command["do"]:
            case "held":
                self.say("held", **held(self._service))
            case "profile":
                self._profile = cProfile.Profile(), command["path"]
                self._profile[0].enable()
                self.say("profiling")
            case "stop":
                self._stop()

    def connectionLost(self, reason: Failure | None = None) -> None:  # type: ignore[override]
        """Whoever drives us is gone."""
        self._stop()

    def _stop(self) -> None:
        if self._profile is not None:
            profile, path = self._profile
            profile.disable()
            profile.dump_stats(path)
        os._exit(0)  # to end the SAs one by one takes longer than to make them


def held(service: ISAKMPService) -> dict[str, int]:
    """What a node holds."""
    kinds = [isinstance(sa, SABundle) for sa in service.node.registry]
    assert isinstance(service.endpoint, ISAKMPEndpoint)
    return {
        "isakmp": kinds.count(False),
        "children": kinds.count(True),
        "half_open": len(service.endpoint.demultiplexer.half_open),
    }


def _established(event: Established) -> None:
    sa = event.sa
    if isinstance(sa, SABundle):
        _log.info(
            "{child} is up, SPI {spi}: {local} - {remote}",
            child=sa.policy.name,
            spi=sa.inbound[0].key.spi.hex(),
            local=str(sa.policy.local),
            remote=str(sa.policy.remote),
        )
    else:
        assert IManagementSA.providedBy(sa)
        _log.info(
            "{connection} is up with {peer}", connection=sa.connection, peer=str(sa.theirs)
        )


def service_of(spec: dict[str, Any]) -> ISAKMPService:
    """The node: one connection for whoever knows the secret."""
    child = Child(
        "net",
        (ipsec.suite(f"tunnel:{spec['child']}", Lifetime(3600)),),
        (TrafficSelector.parse(RESPONDER_TS),),
        (TrafficSelector.parse(INITIATORS_TS),),
    )
    connection = Connection(
        "lab",
        (ike.suite(spec["proposal"], Lifetime(14400)),),
        local=(spec["listen"],),
        local_identity=Identity.parse(RESPONDER_ID),
        children=(child,),
    )
    # More than any run makes: the bounds are not what is measured.
    limits = Limits(half_open=100_000, half_open_per_address=100_000, half_open_seconds=900.0)
    return ISAKMPService(
        (connection,),
        (SharedSecret(SECRET.encode()),),
        listen=((spec["listen"], 500),),
        sink=NullSink(),
        limits=limits,
    )


def main(path: str) -> None:
    """Run until told to stop."""
    spec = json.loads(Path(path).read_text())
    with open(spec["log"], "w", encoding="utf-8") as log:
        written = FilteringLogObserver(
            textFileLogObserver(log), [LogLevelFilterPredicate(LogLevel.info)]
        )
        globalLogBeginner.beginLoggingTo([written], redirectStandardIO=False)
        stdio.StandardIO(Measured(service_of(spec)))
        reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(sys.argv[1])
