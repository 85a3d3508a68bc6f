"""
One node of ours as a process: ``python -m tests.interop.peer SPEC.json``.

It speaks the lines of JSON that :mod:`tests.interop.node` describes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor, stdio
from twisted.internet.defer import Deferred
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from isakmp.associations import IPsecParameters, Lifetime, SABundle
from isakmp.connections import Child, Connection, Intervals, Limits
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.doi.ipsec import ipsec
from isakmp.events import (
    Established,
    ExchangeFailed,
    MessageDropped,
    MessageReceived,
    MessageSent,
    Removed,
)
from isakmp.identity import Identity, IdentityPattern, TrafficSelector
from isakmp.ike.key_exchange import ike
from isakmp.interfaces import IManagementSA
from isakmp.numbers import ProtocolID
from isakmp.service import ISAKMPService
from isakmp.sinks.memory import MemorySink
from isakmp.wire.render import render
from tests.interop import keys


def connection(name: str, spec: dict[str, Any], patience: float) -> Connection:
    """A connection, as the specification has it."""
    children = tuple(
        Child(
            child,
            tuple(
                ipsec.suite(f"{words.get('mode', 'tunnel')}:{suite}", Lifetime(3600))
                for suite in words["suites"]
            ),
            (TrafficSelector.parse(words["local_ts"]),),
            (TrafficSelector.parse(words["remote_ts"]),),
        )
        for child, words in spec["children"].items()
    )
    # Repeats grow as usual, and all of them end with the patience.
    factor, repeats = 1.8, 4
    first = patience / sum(factor**n for n in range(repeats + 1))
    return Connection(
        name,
        tuple(ike.suite(proposal, Lifetime(14400)) for proposal in spec["proposals"]),
        local=(spec["local"],),
        remote=(spec["remote"],),
        local_identity=Identity.parse(spec["local_id"]),
        remote_identity=IdentityPattern(spec["remote_id"]),
        children=children,
        intervals=Intervals(first, factor, repeats),
    )


class Peer(LineOnlyReceiver):
    """Commands in, events out."""

    delimiter = b"\n"

    def __init__(self, service: ISAKMPService, sink: MemorySink) -> None:
        self._service = service
        self._sink = sink
        self._stopping: Deferred[None] | None = None

    def connectionMade(self) -> None:
        """Standard input and output are there: begin."""
        events = self._service.node.events
        events.subscribe(Established, lambda event: self._sa("established", event.sa))
        events.subscribe(Removed, lambda event: self._sa("removed", event.sa, why=event.why.value))
        events.subscribe(ExchangeFailed, lambda event: self.say("failed", reason=str(event.reason)))
        events.subscribe(MessageSent, lambda event: self._ladder("->", event))
        events.subscribe(MessageReceived, lambda event: self._ladder("<-", event))
        events.subscribe(MessageDropped, lambda e: self.say("ladder", line=f"x  {e.error}"))
        self._service.privilegedStartService()
        self._service.startService()
        self.say("ready")

    def say(self, event: str, **words: object) -> None:
        """One event."""
        self.sendLine(json.dumps({"event": event, **words}).encode())

    def _ladder(self, direction: str, event: MessageSent | MessageReceived) -> None:
        sealed = "*" if event.sealed else " "
        self.say("ladder", line=f"{direction}{sealed} {render(event.message, proof=event.proven)}")

    def _sa(self, event: str, sa: object, **words: object) -> None:
        kind = "child" if isinstance(sa, SABundle) else "isakmp"
        self.say(event, kind=kind, **_described(sa), **words)

    def lineReceived(self, line: bytes) -> None:
        """One command."""
        command = json.loads(line)
        match command["do"]:
            case "establish":
                policy = self._service.node.policy
                configured = policy.connection(command["connection"])
                child = configured.child(command["child"])
                self._service.endpoint.establish(configured, child).addErrback(self._failed)
            case "delete":
                self._service.endpoint.delete(tuple(self._service.node.registry))
            case "sas":
                registry = tuple(self._service.node.registry)
                bundles = [sa for sa in registry if isinstance(sa, SABundle)]
                others = [sa for sa in registry if not isinstance(sa, SABundle)]
                self.say(
                    "sas",
                    isakmp=[
                        {**_described(sa), "fingerprints": keys.fingerprints(sa)} for sa in others
                    ],
                    children=[
                        {**_described(sa), "fingerprints": self._sink.fingerprints(sa)}
                        for sa in bundles
                    ],
                )
            case "stop":
                self._stop()

    def _failed(self, failure: Failure) -> None:
        # Those of exchanges are events already.
        if not hasattr(failure.value, "reason"):
            self.say("failed", reason=failure.getErrorMessage())

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Whoever drives us is gone."""
        self._stop()

    def _stop(self) -> None:
        if self._stopping is None:
            self._stopping = self._service.stopService()
            self._stopping.addBoth(lambda _: reactor.stop())


def _described(sa: object) -> dict[str, object]:
    if isinstance(sa, SABundle):
        parameters = sa.inbound[0].parameters
        assert isinstance(parameters, IPsecParameters)
        return {
            "child": sa.policy.name,
            "protocol": ProtocolID(sa.inbound[0].key.protocol).name,
            "mode": parameters.mode,
            "inbound": sa.inbound[0].key.spi.hex(),
            "outbound": sa.outbound[0].key.spi.hex(),
        }
    assert IManagementSA.providedBy(sa)
    return {
        "connection": sa.connection,
        "initiator_cookie": sa.key.initiator.hex(),
        "responder_cookie": sa.key.responder.hex(),
    }


def main(path: str) -> None:
    """Run until told to stop."""
    spec = json.loads(Path(path).read_text())
    connections = [
        connection(name, words, spec["patience"]) for name, words in spec["connections"].items()
    ]
    secrets = [
        SharedSecret(words["secret"].encode(), (words["local_id"], words["remote_id"]))
        for words in spec["connections"].values()
    ]
    sink = MemorySink()
    service = ISAKMPService(
        connections,
        secrets,
        listen=((spec["listen"], spec["port"]),),
        sink=sink,
        limits=Limits(grace=min(2.0, spec["patience"] / 4)),
    )
    stdio.StandardIO(Peer(service, sink))
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1])
