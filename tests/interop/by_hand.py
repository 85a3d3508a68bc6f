"""
A tunnel of fixed keys in this network namespace, by the sink ``xfrm`` alone: what stands here was
agreed with nobody.  It goes with SIGTERM.  Its ESP is in UDP (RFC 3948), at port 4500.

    python -m tests.interop.by_hand OURS PEER OUR_NETWORK PEER_NETWORK OUR_SPI PEER_SPI
"""

from __future__ import annotations

import socket
import sys

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from isakmp.associations import IPsecParameters, SABundle
from isakmp.sinks.xfrm.sink import XFRMSink
from isakmp.stream import EventStream
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


async def _stand(sink: XFRMSink, arguments: list[str]) -> None:
    await sink.start(EventStream())
    ours, peer, local, remote, inward, outward = arguments
    await sink.install(bundle(ours, peer, local, remote, int(inward, 16), int(outward, 16)))
    print("it stands", flush=True)


def main(arguments: list[str]) -> None:
    """Until SIGTERM."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind((arguments[0], PORT))
        port.setsockopt(socket.IPPROTO_UDP, _UDP_ENCAP, _ESP_IN_UDP)
        _run(arguments)


def _run(arguments: list[str]) -> None:
    sink = XFRMSink()
    standing = Deferred.fromCoroutine(_stand(sink, arguments))

    def failed(failure: object) -> None:
        print(failure, flush=True)
        reactor.stop()  # type: ignore[attr-defined]

    standing.addErrback(failed)
    reactor.addSystemEventTrigger(  # type: ignore[attr-defined]
        "before", "shutdown", sink.stop
    )
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(sys.argv[1:])
