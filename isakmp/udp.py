"""
The sockets: one for each local address and port.

A socket that is bound to every address cannot tell which one a datagram was sent to, and an answer
has to leave from there; so each address has a socket of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError, InvalidAddressError, MessageLengthError
from twisted.internet.interfaces import IListeningPort, IReactorUDP
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

from isakmp.errors import ConfigurationError
from isakmp.interfaces import IPorts
from isakmp.paths import Address, Datagram, Path, endpoint

MAX_DATAGRAM = 65535
"""Octets; a message is never cut short unseen."""


class _Socket(DatagramProtocol):
    """One bound address: gives every datagram its path."""

    def __init__(self, received: Callable[[Datagram], None]) -> None:
        self._received = received

    def startProtocol(self) -> None:
        """From the reactor, once it is bound and before anything arrives."""
        assert self.transport is not None
        host = self.transport.getHost()
        self.local: Address = (host.host, host.port)

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """From the reactor.  IPv6 addresses come with more than a host and a port."""
        self._received(Datagram(datagram, Path(self.local, (addr[0], addr[1]))))


@implementer(IPorts)
class UDPPorts:
    """
    Implements IPorts with the reactor's UDP.

    :param received: given every datagram that arrives.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorUDP, received: Callable[[Datagram], None]) -> None:
        self._reactor = reactor
        self._received = received
        self._sockets: dict[Address, _Socket] = {}
        self._ports: list[IListeningPort] = []

    def listen(self, address: str, port: int) -> Address:
        """
        Bind an address of this host.

        :param port: 0 for any that is free.
        :return: what it is bound to.
        :raises ConfigurationError: with one line that says why it cannot be had.
        """
        one = _Socket(self._received)
        try:
            bound = self._reactor.listenUDP(
                port, one, interface=address, maxPacketSize=MAX_DATAGRAM
            )
        except CannotListenError as error:
            raise ConfigurationError(_explained((address, port), error.socketError)) from None
        except (InvalidAddressError, OverflowError) as error:
            raise ConfigurationError(_explained((address, port), error)) from None
        self._ports.append(bound)
        self._sockets[one.local] = one
        return one.local

    def send(self, datagram: Datagram) -> None:
        """Send from the path's local end; what cannot be sent is lost, as datagrams may be."""
        one = self._sockets.get(datagram.path.local)
        if one is None or one.transport is None:
            self._log.warn("nothing is sent from {local}", local=endpoint(datagram.path.local))
            return
        try:
            one.transport.write(datagram.octets, datagram.path.remote)
        except (OSError, MessageLengthError, InvalidAddressError, OverflowError) as error:
            self._log.warn(
                "could not send to {peer}: {error}",
                peer=endpoint(datagram.path.remote),
                error=_said(error),
            )

    def close(self) -> Deferred[None]:
        """Stop to listen everywhere."""
        closing = [maybeDeferred(port.stopListening) for port in self._ports]
        self._ports.clear()
        self._sockets.clear()
        return DeferredList(closing, consumeErrors=True).addCallback(lambda _: None)


def _explained(local: Address, error: object) -> str:
    """Why an address cannot be bound, in one line."""
    hint = ""
    if isinstance(error, PermissionError):
        hint = "; ports below 1024 need the privilege (CAP_NET_BIND_SERVICE), or choose another"
    return f"cannot listen on {endpoint(local)}: {_said(error)}{hint}"


def _said(error: object) -> str:
    """What the system says, without the number of the error."""
    if isinstance(error, InvalidAddressError):
        return str(error.message).rstrip(".")
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
