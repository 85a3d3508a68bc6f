"""
The non-ESP marker: four zero octets before a message that shares its ports with ESP.

RFC 3948 section 2.2 puts it before every message on port 4500, where an SPI, which is never zero,
would stand.  Peers agree on when it is there by the ports alone: it is on every message unless one
of the two ports is 500.  That is how strongSwan's charon does it on ports of one's own choice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from zope.interface import implementer

from isakmp.interfaces import IPorts
from isakmp.paths import Address, Datagram, Path

ISAKMP_PORT = 500
MARKER = bytes(4)
KEEPALIVE = b"\xff"
"""RFC 3948 section 2.3: keeps a NAT's mapping alive, and says nothing."""


def marked(path: Path) -> bool:
    """Whether messages on this path have the marker."""
    return ISAKMP_PORT not in (path.local[1], path.remote[1])


@implementer(IPorts)
class MarkedPorts:
    """
    Implements IPorts over others: puts the marker on, and takes it off.

    :param received: given every datagram that is a message, without its marker.
    :param unmarked: ports of ours at which there is none: those of other headers than ISAKMP's.
    :ivar strange: how many datagrams came without the marker where it must be: ESP, or nobody's.
    """

    def __init__(
        self,
        ports: IPorts,
        received: Callable[[Datagram], None],
        unmarked: Collection[int] = (),
    ) -> None:
        self._ports = ports
        self._received = received
        self._unmarked = unmarked
        self.strange = 0

    def send(self, datagram: Datagram) -> None:
        """Send a message, with the marker where it belongs."""
        if self._marked(datagram.path):
            datagram = Datagram(MARKER + datagram.octets, datagram.path)
        self._ports.send(datagram)

    def source(self, remote: str, port: int) -> Address:
        """Our end of a path to an address."""
        return self._ports.source(remote, port)

    @staticmethod
    def unmarked(datagram: Datagram) -> Datagram:
        """A datagram of ours as it was before the marker was put on."""
        if marked(datagram.path):
            return Datagram(datagram.octets.removeprefix(MARKER), datagram.path)
        return datagram

    def datagram_received(self, datagram: Datagram) -> None:
        """A datagram has arrived at a socket."""
        if not self._marked(datagram.path):
            self._received(datagram)
        elif datagram.octets.startswith(MARKER):
            self._received(Datagram(datagram.octets[len(MARKER) :], datagram.path))
        elif datagram.octets != KEEPALIVE:
            self.strange += 1

    def _marked(self, path: Path) -> bool:
        return path.local[1] not in self._unmarked and marked(path)
