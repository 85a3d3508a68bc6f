"""
The sockets: one for each local address and port, or one for all addresses.

An answer has to leave from the address that was asked.  A socket that is bound to one address needs
nothing for that; one that is bound to every address has to be told by the kernel which one a
datagram was sent to (:mod:`isakmp.packet_info`).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError, InvalidAddressError
from twisted.internet.interfaces import IListeningPort, IReactorUDP
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

from isakmp.errors import ConfigurationError
from isakmp.icmp import ReportingPort
from isakmp.interfaces import IPorts
from isakmp.logs import Logger
from isakmp.packet_info import AVAILABLE, PacketInfoPort
from isakmp.paths import Address, Datagram, Path, endpoint

MAX_DATAGRAM = 65535
"""Octets; a message is never cut short unseen."""


_EVERY = ("0.0.0.0", "::")
"""Every address, of IPv4 and of IPv6."""


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
        remote = addr if len(addr) == 2 else (addr[0], addr[1])
        self._received(Datagram(datagram, Path(self.local, remote)))


@implementer(IPorts)
class UDPPorts:
    """
    Implements IPorts with the reactor's UDP.

    :param received: given every datagram that arrives.
    :param undelivered: given what is quoted of a datagram of ours that did not, and what is said of
        it; whoever says so may be lying.
    :param exempt: given every socket before anything arrives by it.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorUDP,
        received: Callable[[Datagram], None],
        undelivered: Callable[[Datagram, str], None] = lambda datagram, why: None,
        exempt: Callable[[socket.socket], object] = lambda socket: None,
    ) -> None:
        self._reactor = reactor
        self._take = received
        self._undelivered = undelivered
        self._exempt = exempt
        self._sockets: dict[Address, ReportingPort] = {}
        self._everywhere: dict[Address, PacketInfoPort] = {}
        self._ports: dict[Address, IListeningPort] = {}

    def listen(self, address: str, port: int) -> Address:
        """
        Bind an address of this host.

        :param port: 0 for any that is free.
        :return: what it is bound to.
        :raises ConfigurationError: with one line that says why it cannot be had.
        """
        try:
            address = str(ipaddress.ip_address(address))
            if address in _EVERY and AVAILABLE:
                return self._listen_everywhere(address, port)
            return self._listen_at(address, port)
        except CannotListenError as error:
            raise ConfigurationError(_explained((address, port), error.socketError)) from None
        except (ValueError, OverflowError) as error:
            raise ConfigurationError(_explained((address, port), error)) from None

    def _listen_at(self, address: str, port: int) -> Address:
        one = _Socket(self._received)
        bound = ReportingPort(
            address,
            port,
            one,
            lambda octets, remote, why: self._undelivered(
                Datagram(octets, Path(one.local, remote)), why
            ),
            self._reactor,
        )
        bound.startListening()
        self._exempted(bound)
        self._ports[one.local] = bound
        self._sockets[one.local] = bound
        return one.local

    def _listen_everywhere(self, address: str, port: int) -> Address:
        def undelivered(octets: bytes, remote: Address, why: str) -> None:
            # Which of our addresses it left from is not told.
            self._undelivered(Datagram(octets, Path(local, remote)), why)

        bound = PacketInfoPort(address, port, self._arrived, self._reactor, undelivered)
        bound.startListening()
        self._exempted(bound)
        local: Address = address, bound.getHost().port
        self._ports[local] = self._everywhere[local] = bound
        return local

    def _exempted(self, bound: IListeningPort) -> None:
        opened = getattr(bound, "socket", None)  # a reactor of tests opens none
        if opened is None:
            return
        try:
            self._exempt(opened)
        except ConfigurationError:
            bound.stopListening()
            raise

    def _arrived(self, octets: bytes, local: Address, remote: Address) -> None:
        self._received(Datagram(octets, Path(local, remote)))

    def _received(self, datagram: Datagram) -> None:
        self._log.dump(
            "{octets} octets from {peer}: {data}",
            datagram.octets,
            peer=endpoint(datagram.path.remote),
            local=endpoint(datagram.path.local),
        )
        self._take(datagram)

    def source(self, remote: str, port: int) -> Address:
        """
        Our end of a path to an address, from a port that is listened on.

        :raises ConfigurationError: if there is none.
        """
        version = ":" in remote
        hosts = [
            host for host, number in self._ports if number == port and (":" in host) is version
        ]
        if not hosts:
            raise ConfigurationError(f"nothing listens on port {port} that could reach {remote}")
        every = _EVERY[version] in hosts
        try:
            routed = _route(remote, self._exempt)
        except OSError as error:
            if every:
                raise ConfigurationError(f"no route to {remote}: {_said(error)}") from None
            routed = ""
        return routed if every or routed in hosts else hosts[0], port

    def send(self, datagram: Datagram) -> None:
        """Send from the path's local end; what cannot be sent is lost, as datagrams may be."""
        local, remote = datagram.path.local, datagram.path.remote
        one = self._sockets.get(local)
        every = self._everywhere.get((_EVERY[":" in local[0]], local[1]))
        if one is None and every is None:
            self._log.warn("nothing is sent from {local}", local=endpoint(local))
            return
        self._log.dump(
            "{octets} octets to {peer}: {data}",
            datagram.octets,
            peer=endpoint(remote),
            local=endpoint(local),
        )
        try:
            if one is not None:
                one.send_to(datagram.octets, remote)
            elif every is not None:
                every.send(datagram.octets, local[0], remote)
        except (OSError, ValueError, OverflowError) as error:
            self._log.warn(
                "could not send to {peer}: {why}",
                peer=endpoint(datagram.path.remote),
                why=_said(error),
            )

    def leave(self, *addresses: Address) -> Deferred[None]:
        """
        Stop to listen there.

        :param addresses: as :meth:`listen` returned them.
        """
        closing = [maybeDeferred(self._ports.pop(local).stopListening) for local in addresses]
        for local in addresses:
            self._sockets.pop(local, None)
            self._everywhere.pop(local, None)
        return DeferredList(closing, consumeErrors=True).addCallback(lambda _: None)

    def close(self) -> Deferred[None]:
        """Stop to listen everywhere."""
        return self.leave(*self._ports)


def _route(remote: str, exempt: Callable[[socket.socket], object]) -> str:
    """
    The address that datagrams to there leave from; nothing is sent to find out.

    :param exempt: is given the socket that finds out: what holds for the traffic of children, as
        a route of its own, does not for ours.
    """
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        exempt(probe)
        probe.connect((remote, 9))
        return str(probe.getsockname()[0])


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
