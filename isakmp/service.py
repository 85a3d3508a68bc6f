"""
A node as a service of Twisted's: sockets open when it starts, Deletes sent when it stops.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IReactorUDP
from twisted.python.failure import Failure

from isakmp.assembly import Assembly
from isakmp.associations import SABundle
from isakmp.connections import Connection, Limits
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.errors import ConfigurationError
from isakmp.events import Established
from isakmp.interfaces import (
    IDomainOfInterpretation,
    IISAKMPKeyExchange,
    IManagementSA,
    IPorts,
    ISASink,
)
from isakmp.journal import Journal
from isakmp.logs import Logger
from isakmp.marker import MarkedPorts
from isakmp.paths import Address, Datagram, endpoint
from isakmp.sinks.log import LogSink
from isakmp.udp import UDPPorts

if TYPE_CHECKING:
    from isakmp.node import Node


class ISAKMPService(Service):
    """
    One node and its sockets.  It runs once: what it has agreed ends with it.

    :param listen: addresses and ports to bind.
    """

    name = "isakmp"
    _log = Logger()

    def __init__(
        self,
        connections: Iterable[Connection],
        secrets: Iterable[SharedSecret],
        *,
        listen: Sequence[Address],
        sink: ISASink,
        reactor: Any = None,
        entropy: Callable[[int], bytes] = os.urandom,
        limits: Limits = Limits(),
        dois: Sequence[IDomainOfInterpretation] | None = None,
        key_exchanges: Sequence[IISAKMPKeyExchange] | None = None,
        settings: Mapping[str, Mapping[str, object]] | None = None,
        wrap: Callable[[IPorts], IPorts] | None = None,
    ) -> None:
        """
        :param dois: those switched on; by default all that come with this package.
        :param key_exchanges: likewise.
        :param settings: by plug-in.
        :param wrap: puts something between the node and its sockets: a lossy network, a tap.
        :raises ConfigurationError: if what is configured cannot be.
        """
        if reactor is None:
            from twisted.internet import reactor
        self._listen = tuple(dict.fromkeys(listen))
        self._connections = connections = tuple(connections)
        self._ports = UDPPorts(cast(IReactorUDP, reactor), self._arrived, sink.exempt)
        self._marked = MarkedPorts(self._ports, self._received)
        self._bound: dict[Address, Address] = {}
        self._stopped = False
        self._sink_started: Deferred[None] = Deferred()
        self._assembly = Assembly(
            connections,
            secrets,
            clock=cast(IReactorTime, reactor),
            ports=self._marked if wrap is None else wrap(self._marked),
            sink=sink,
            entropy=entropy,
            limits=limits,
            dois=dois,
            key_exchanges=key_exchanges,
            settings=settings or {},
        )
        self.reactor = reactor
        self.endpoint = self._assembly.endpoint
        Journal(self.node.events)
        self.node.events.subscribe(Established, self._established)

    @property
    def bound(self) -> tuple[Address, ...]:
        """What was bound, once it runs."""
        return tuple(self._bound.values())

    @property
    def node(self) -> Node:
        """The collaborators."""
        return self._assembly.node

    def _arrived(self, datagram: Datagram) -> None:
        self._marked.datagram_received(datagram)

    def _received(self, datagram: Datagram) -> None:
        self.endpoint.datagram_received(datagram)

    def privilegedStartService(self) -> None:
        """
        Bind, while a port below 1024 may still be had.

        :raises SystemExit: with one line, if an address or port cannot be had.
        """
        super().privilegedStartService()
        try:
            self.bind()
        except ConfigurationError as error:
            raise SystemExit(f"isakmp: {error}") from None

    def bind(self) -> None:
        """
        Open the sockets; nothing if they are.

        :raises ConfigurationError: if one cannot be had.
        """
        if self._stopped:
            raise ConfigurationError("a node that was stopped does not start again: make another")
        if not self._bound:
            self._open(self._listen)
            try:
                self._start_sink()
            except ConfigurationError:
                self._close(tuple(self._bound.values()))
                raise

    def _start_sink(self) -> None:
        """
        :raises ConfigurationError: if it says at once that it cannot be.
        """
        failures: list[Failure] = []
        self._sink_started = self.node.sink.start(self.node.events)
        self._sink_started.addErrback(failures.append)
        if failures:
            failures[0].raiseException()

    def _open(self, addresses: Iterable[Address]) -> Sequence[Address]:
        """
        Bind those that are not bound yet: all of them or none.

        :return: what they are bound to.
        """
        opened: dict[Address, Address] = {}
        try:
            for address in addresses:
                if address not in self._bound:
                    opened[address] = self._ports.listen(*address)
        except ConfigurationError:
            self._ports.leave(*opened.values())
            raise
        self._bound.update(opened)
        return tuple(opened.values())

    def _close(self, addresses: Sequence[Address]) -> None:
        """Leave what was bound."""
        self._bound = {asked: got for asked, got in self._bound.items() if got not in addresses}
        self._ports.leave(*addresses)

    def startService(self) -> None:
        """
        Begin to answer.

        :raises ConfigurationError: if an address cannot be had, or it was stopped before.
        """
        self.bind()
        super().startService()
        addresses = ", ".join(map(endpoint, self.bound))
        self._log.info("listening on {addresses}", addresses=addresses)
        self._sink_started.addCallback(lambda _: self._keep())

    def _keep(self) -> None:
        if self.running:
            self._assembly.traps.keep(self._connections)
            self._assembly.initiation.keep(self._connections)

    def configure(
        self,
        connections: Iterable[Connection],
        secrets: Iterable[SharedSecret],
        listen: Sequence[Address] | None = None,
    ) -> None:
        """
        From now on these, and no others: what is the same goes on undisturbed, and what is gone is
        torn down.  What has changed counts from the next negotiation on.

        :param listen: addresses and ports to bind; by default those bound so far.
        :raises ConfigurationError: if they cannot be; then nothing has changed.
        """
        connections = tuple(connections)
        wanted = self._listen if listen is None else tuple(dict.fromkeys(listen))
        opened = self._open(wanted) if self._bound else ()
        try:
            self._assembly.configure(connections, tuple(secrets))
        except ConfigurationError:
            self._close(opened)
            raise
        self._connections, self._listen = connections, wanted
        self._delete([sa for sa in self.node.registry if not self._is_configured(sa)])
        # What stands goes on where it is, though its connection may have got another port.
        used = {sa.path.local[1] for sa in self.node.registry if not isinstance(sa, SABundle)}
        self._close(
            [
                got
                for asked, got in self._bound.items()
                if asked not in wanted and got[1] not in used
            ]
        )
        if self.running:
            self._assembly.traps.keep(connections)
            self._assembly.initiation.keep(connections)

    def _established(self, event: Established) -> None:
        # What it is for may have gone while it was negotiated.
        if not self._is_configured(event.sa):
            self._delete([event.sa])

    def _is_configured(self, sa: IManagementSA | SABundle) -> bool:
        try:
            connection = self.node.policy.connection(sa.connection)
            if isinstance(sa, SABundle):
                connection.child(sa.policy.name)
        except LookupError:
            return False
        return True

    def _delete(self, sas: Sequence[IManagementSA | SABundle]) -> None:
        self.endpoint.delete(sas).addErrback(
            lambda failure: self._log.failure("could not delete what is gone", failure)
        )

    def stopService(self) -> Deferred[None]:
        """Tell the peers, empty the sink, close the sockets."""
        super().stopService()
        self._stopped = True
        closed = self._assembly.stop()
        closed.addBoth(lambda result: self.node.sink.stop().addCallback(lambda _: result))
        return closed.addBoth(lambda result: self._ports.close().addCallback(lambda _: result))


def responder_service(addresses: Sequence[str], port: int) -> ISAKMPService:
    """
    A node without a connection: it refuses every newcomer, and says in its log why.

    :param addresses: of this host.
    """
    return ISAKMPService(
        (), (), listen=tuple((address, port) for address in addresses), sink=LogSink()
    )
