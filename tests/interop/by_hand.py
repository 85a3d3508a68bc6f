"""
A tunnel of fixed keys in this network namespace, by the sink ``xfrm`` and a node that has nothing
else: what stands here was agreed with nobody.  It goes with SIGTERM.  Its ESP is in UDP (RFC 3948),
at port 4500.

    python -m tests.interop.by_hand OURS PEER OUR_NETWORK PEER_NETWORK OUR_SPI PEER_SPI

A line of its standard input, an address and a port, has this end come from there, as by a NAT that
has forgotten it.  What the node says of its peer is a line of its output.
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import replace
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.stdio import StandardIO
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.protocols.basic import LineOnlyReceiver

from isakmp.assembly import Assembly
from isakmp.associations import IPsecParameters, SABundle
from isakmp.interfaces import Expiry
from isakmp.paths import Address
from isakmp.sinks.xfrm.sink import XFRMSink
from isakmp.udp import UDPPorts
from isakmp.wire.message import CookiePair
from tests.samples import policy, protection_sa

PORT = 4500
_UDP_ENCAP, _ESP_IN_UDP = 100, 2  # linux/udp.h


def bundle(ours: str, peer: str, local: str, remote: str, inward: int, outward: int) -> SABundle:
    """The SAs of both directions; the peer has the same with everything turned."""
    parameters = IPsecParameters("tunnel", "aes-cbc", "hmac-sha2-256-128", udp=(PORT, PORT))
    return SABundle(
        "by-hand",
        CookiePair(bytes(range(8)), bytes(range(8, 16))),
        (protection_sa(inward, ours, parameters=parameters),),
        (protection_sa(outward, peer, parameters=parameters),),
        policy(local=local, remote=remote),
    )


def coming_from(one: SABundle, place: Address) -> SABundle:
    """The same, this end being there; the peer knows nothing of it."""
    host, port = place

    def moved(sas):  # type: ignore[no-untyped-def]
        return tuple(
            replace(sa, parameters=replace(sa.parameters, udp=(port, sa.parameters.udp[1])))
            for sa in sas
        )

    inbound = [
        replace(sa, key=sa.key._replace(destination=host)) for sa in moved(one.inbound)
    ]
    return replace(one, inbound=tuple(inbound), outbound=moved(one.outbound))


class _End(LineOnlyReceiver):
    """This end of the tunnel, and what it is told."""

    delimiter = b"\n"

    def __init__(self, arguments: list[str]) -> None:
        ours, peer, local, remote, inward, outward = arguments
        self._bundle = bundle(ours, peer, local, remote, int(inward, 16), int(outward, 16))
        self._ports: dict[Address, socket.socket] = {}
        self.sink = XFRMSink()
        clock: Any = reactor
        ports = UDPPorts(clock, lambda _: None)
        self._node = Assembly((), (), clock=clock, ports=ports, sink=self.sink).node
        self._open((ours, PORT))

    def _open(self, place: Address) -> None:
        """The kernel takes ESP that comes there, from now on."""
        if place in self._ports:
            return
        port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        port.bind(place)
        port.setsockopt(socket.IPPROTO_UDP, _UDP_ENCAP, _ESP_IN_UDP)
        self._ports[place] = port

    async def stand(self) -> None:
        """From now on."""
        await self.sink.start(self._node.events)
        await self.sink.install(self._bundle)
        await self._node.registry.add(self._bundle, Expiry(0.0))
        print("it stands", flush=True)

    def close(self) -> None:
        """Its ports; the sink has stopped."""
        for port in self._ports.values():
            port.close()

    def lineReceived(self, line: bytes) -> None:
        """Be elsewhere."""
        host, port = line.decode().split()
        self._open((host, int(port)))
        self._bundle = coming_from(self._bundle, (host, int(port)))
        moving = self.sink.install(self._bundle)
        moving.addCallbacks(lambda _: print("it is there", flush=True), print)


def main(arguments: list[str]) -> None:
    """Until SIGTERM."""
    globalLogBeginner.beginLoggingTo(
        [textFileLogObserver(sys.stdout)], redirectStandardIO=False
    )
    end = _End(arguments)
    standing = Deferred.fromCoroutine(end.stand())

    def failed(failure: object) -> None:
        print(failure, flush=True)
        reactor.stop()  # type: ignore[attr-defined]

    standing.addErrback(failed)
    StandardIO(end, stdout=os.dup(1))  # it closes what it is given
    reactor.addSystemEventTrigger(  # type: ignore[attr-defined]
        "before", "shutdown", end.sink.stop
    )
    reactor.run()  # type: ignore[attr-defined]
    end.close()


if __name__ == "__main__":
    main(sys.argv[1:])
