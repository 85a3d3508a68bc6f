"""
Our initiators as a process: ``python -m tests.bench._initiator SPEC.json``.

See :mod:`tests.bench._driven`::

    {"do": "handshakes", "count": 300, "in_flight": 8}     Main Mode and Quick Mode, as new peers
    {"do": "first_messages", "count": 10000}               first messages, as strangers
    {"do": "stop"}

Each of the first two is answered by the event ``done``, or by ``failed`` with the reason.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twisted.internet import reactor, stdio
from twisted.internet.defer import Deferred, DeferredList, FirstError
from twisted.internet.threads import deferToThread
from twisted.logger import globalLogBeginner
from twisted.python.failure import Failure

from isakmp.associations import Lifetime, Offer
from isakmp.connections import Child, Connection, Intervals
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.doi.ipsec import ipsec
from isakmp.exchange.riders import OURS
from isakmp.identity import Identity, IdentityPattern, TrafficSelector
from isakmp.ike.key_exchange import ike
from isakmp.numbers import ExchangeType
from isakmp.service import ISAKMPService
from isakmp.sinks.memory import MemorySink
from isakmp.wire.message import CookiePair, Flags, Message
from isakmp.wire.payloads import SecurityAssociation, VendorID
from tests.bench._driven import Driven
from tests.bench._processes import INITIATORS_TS, RESPONDER_ID, RESPONDER_TS, SECRET

_UNANSWERED = 32
"""First messages that wait for their answers: no more than a socket's buffer holds."""

_TRIES = 5


class Peers(Driven):
    """Peers of one responder, each of which begins once."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._connections = [connection(spec, number) for number in range(spec["peers"])]
        self._fresh = iter(self._connections)
        service = ISAKMPService(
            self._connections,
            (SharedSecret(SECRET.encode()),),
            listen=((spec["listen"], 500),),
            sink=MemorySink(),
        )
        super().__init__(service)

    def do(self, command: dict[str, Any]) -> None:
        """One command."""
        match command["do"]:
            case "handshakes":
                done = self._handshakes(command["count"], command["in_flight"])
            case "first_messages":
                done = deferToThread(first_messages, self._spec, command["count"])
            case _:
                self.stop()
                return
        done.addCallbacks(
            lambda _: self.say("done"), lambda f: self.say("failed", reason=f.getErrorMessage())
        )

    def _handshakes(self, count: int, in_flight: int) -> Deferred[Any]:
        left = iter(range(count))

        async def one_after_another() -> None:
            for _ in left:
                peer = next(self._fresh)
                await self._service.endpoint.establish(peer, peer.children[0])

        # Each of these takes from the same iterator.
        running = [Deferred.fromCoroutine(one_after_another()) for _ in range(in_flight)]
        together = DeferredList(running, fireOnOneErrback=True, consumeErrors=True)
        return together.addErrback(_first)

    def stop(self) -> None:
        """Nobody is told: the responder is gone, too."""
        os._exit(0)


def _first(failure: Failure) -> Failure:
    """Of several peers' the first: why it failed."""
    assert isinstance(failure.value, FirstError)
    return failure.value.subFailure


def connection(spec: dict[str, Any], number: int) -> Connection:
    """One peer: an identity of its own, and the traffic of one address."""
    address = ipaddress.ip_network(INITIATORS_TS)[number + 1]
    child = Child(
        "net",
        (ipsec.suite(f"tunnel:{spec['child']}", Lifetime(3600)),),
        (TrafficSelector.parse(f"{address}/32"),),
        (TrafficSelector.parse(RESPONDER_TS),),
    )
    return Connection(
        f"peer-{number}",
        (ike.suite(spec["proposal"], Lifetime(14400)),),
        local=(spec["listen"],),
        remote=(spec["remote"],),
        local_identity=Identity.parse(f"i{number}.lab"),
        remote_identity=IdentityPattern(RESPONDER_ID),
        children=(child,),
        # A busy responder is not asked twice: that would be counted as its work.
        intervals=Intervals(first=20.0, factor=1.0, repeats=1),
    )


def first_messages(spec: dict[str, Any], count: int) -> None:
    """
    Send them, each with a cookie of its own, and wait for all answers.

    :raises TimeoutError: if one is missing.
    """
    suite = ike.suite(spec["proposal"], Lifetime(14400))
    offer = Offer(ipsec.number, ipsec.phase1_situation, (suite,)).payload()
    cookies = {os.urandom(8) for _ in range(count)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((spec["listen"], 0))
        sock.connect((spec["remote"], 500))
        sock.settimeout(1.0)
        waiting: set[bytes] = set()
        unsent = iter(cookies)
        missed = 0
        while _fill(waiting, unsent, lambda cookie: sock.send(_first_message(cookie, offer))):
            try:
                answer = Message.decode(sock.recv(65535))
            except TimeoutError:
                missed += 1
                if missed > _TRIES:
                    raise TimeoutError(f"{len(waiting)} first messages are not answered") from None
                for cookie in waiting:
                    sock.send(_first_message(cookie, offer))
                continue
            answer.one(SecurityAssociation)
            waiting.discard(answer.cookies.initiator)


def _fill(waiting: set[bytes], unsent: Iterator[bytes], send: Callable[[bytes], object]) -> bool:
    """Send until enough wait; whether any does."""
    while len(waiting) < _UNANSWERED and (cookie := next(unsent, None)) is not None:
        waiting.add(cookie)
        send(cookie)
    return bool(waiting)


def _first_message(cookie: bytes, offer: SecurityAssociation) -> bytes:
    return Message(
        CookiePair(cookie, CookiePair.ZERO),
        ExchangeType.IDENTITY_PROTECTION,
        Flags.NONE,
        0,
        (offer, VendorID(OURS)),
    ).encode()


def main(path: str) -> None:
    """Run until told to stop."""
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False, discardBuffer=True)
    stdio.StandardIO(Peers(json.loads(Path(path).read_text())))
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(sys.argv[1])
