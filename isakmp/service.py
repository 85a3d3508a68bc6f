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
    ICredentialStore,
    IDomainOfInterpretation,
    IKeyExchange,
    IManagementSA,
    IPorts,
    IRiderType,
    ISASink,
)
from isakmp.journal import Journal
from isakmp.ladder import LoggedMessages
from isakmp.logs import Logger
from isakmp.marker import MarkedPorts
from isakmp.node import delete
from isakmp.paths import Address, Datagram, endpoint
from isakmp.plugins import KeyExchange, check_ports
from isakmp.sinks.log import LogSink
from isakmp.udp import UDPPorts

if TYPE_CHECKING:
    from isakmp.node import Node

STOPPING = 0.9
"""Seconds for which a sink, or a store, is waited for at the end, twice; then it ends anyway."""


class ISAKMPService(Service):
    """
    One node and its sockets.  It runs once: what it has agreed ends with it.

    :param listen: addresses and ports to bind for ISAKMP.
    """

    name = "isakmp"
    _log = Logger()

    def __init__(
        self,
        connections: Iterable[Connection],
        secrets: ICredentialStore | Iterable[SharedSecret],
        *,
        listen: Sequence[Address],
        sink: ISASink,
        reactor: Any = None,
        entropy: Callable[[int], bytes] = os.urandom,
        limits: Limits = Limits(),
        dois: Sequence[IDomainOfInterpretation] | None = None,
        key_exchanges: Sequence[KeyExchange] | None = None,
        riders: Sequence[IRiderType] = (),
        settings: Mapping[str, Mapping[str, object]] | None = None,
        wrap: Callable[[IPorts], IPorts] | None = None,
    ) -> None:
        """
        :param dois: those switched on; by default all that come with this package.
        :param key_exchanges: likewise; one with a header of its own is configured already, its
            ports are bound at the addresses of ``listen``, and none of them is by default.
        :param riders: besides those of every node.
        :param settings: by plug-in.
        :param wrap: puts something between the node and its sockets: a lossy network, a tap.
        :raises ConfigurationError: if what is configured cannot be.
        """
        if reactor is None:
            from twisted.internet import reactor
        own = [one for one in key_exchanges or () if IKeyExchange.providedBy(one)]
        self._own_ports = tuple(dict.fromkeys(port for one in own for port in one.ports))
        self._listen = self._wanted(listen)
        self._connections = connections = tuple(connections)
        self._ports = UDPPorts(
            cast(IReactorUDP, reactor), self._arrived, self._undelivered, sink.exempt
        )
        self._marked = MarkedPorts(
            self._ports, self._received, set(self._own_ports) - {port for _, port in listen}
        )
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
            riders=riders,
            settings=settings or {},
        )
        self._share(listen)
        self.reactor = reactor
        self.endpoint = self._assembly.endpoint
        says_so = sink.protects or isinstance(sink, LogSink)
        Journal(self.node.events, "" if says_so else sink.name)
        self._ladder: LoggedMessages | None = None
        self.node.events.subscribe(Established, self._established)

    @property
    def bound(self) -> tuple[Address, ...]:
        """What was bound, once it runs."""
        return tuple(self._bound.values())

    @property
    def assembly(self) -> Assembly:
        """The node, with everything that keeps it going."""
        return self._assembly

    @property
    def node(self) -> Node:
        """The collaborators."""
        return self._assembly.node

    def _arrived(self, datagram: Datagram) -> None:
        self._marked.datagram_received(datagram)

    def _undelivered(self, datagram: Datagram, why: str) -> None:
        self.endpoint.undelivered(self._marked.unmarked(datagram), why)

    def _received(self, datagram: Datagram) -> None:
        self._assembly.datagram_received(datagram)

    def _wanted(self, listen: Sequence[Address]) -> tuple[Address, ...]:
        """What is to be bound: for ISAKMP, and at the same addresses for the others."""
        hosts = dict.fromkeys(host for host, _ in listen)
        own = ((host, port) for port in self._own_ports for host in hosts)
        return tuple(dict.fromkeys((*listen, *own)))

    def _share(self, listen: Sequence[Address]) -> None:
        """
        :raises ConfigurationError: if a port of ISAKMP's is another's, with the same version.
        """
        ports = {port for _, port in listen}
        check_ports(self._assembly.headers, ports)
        self._assembly.isakmp_ports = frozenset(ports & set(self._own_ports))

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
        self._ladder = LoggedMessages(self.node.events)
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
        quietly: bool = False,
    ) -> None:
        """
        From now on these, and no others: what is the same goes on undisturbed, and what is gone is
        torn down.  What has changed counts from the next negotiation on.

        :param listen: addresses and ports to bind for ISAKMP; by default all bound so far stay.
        :param quietly: nothing is torn down and nothing begun: that is the caller's to do.  What is
            gone and stays is not renewed.
        :raises ConfigurationError: if they cannot be; then nothing has changed.
        """
        connections = tuple(connections)
        wanted = self._listen if listen is None else self._wanted(listen)
        if listen is not None:
            check_ports(self._assembly.headers, {port for _, port in listen})
        opened = self._open(wanted) if self._bound else ()
        try:
            self._assembly.configure(connections, tuple(secrets))
        except ConfigurationError:
            self._close(opened)
            raise
        before, self._connections, self._listen = self._connections, connections, wanted
        if listen is not None:
            self._share(listen)
        if not quietly:
            known = {(one.name, child) for one in before for child in _names(one)}
            gone = [sa for sa in self.node.registry if not self._is_configured(sa)]
            # What was left standing before is not torn down by a later change.
            self._delete([sa for sa in gone if (sa.connection, _name(sa)) in known])
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
            if not quietly:
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
        if not sas:
            return
        delete(self.node, sas).addErrback(
            lambda failure: self._log.failure("could not delete what is gone", failure)
        )

    def stopService(self) -> Deferred[None]:
        """Tell the peers, empty the sink, close the sockets."""
        super().stopService()
        self._stopped = True
        closed = self._in_time(self._assembly.stop(), "what stands could not be removed")
        if self._ladder is not None:
            self._ladder.stop()
        closed.addBoth(
            lambda result: self._in_time(
                self.node.sink.stop(), "the sink does not stop"
            ).addCallback(lambda _: result)
        )
        return closed.addBoth(lambda result: self._ports.close().addCallback(lambda _: result))

    def _in_time(self, stopping: Deferred[None], what: str) -> Deferred[None]:
        """Whoever never answers does not keep the process."""

        def late(result: object, seconds: float) -> None:
            self._log.error("{what} in {seconds} s", what=what, seconds=seconds)

        return stopping.addTimeout(STOPPING, cast(IReactorTime, self.reactor), late)


def _names(connection: Connection) -> tuple[str | None, ...]:
    """What SAs of a connection are named by: children, and None for a management SA."""
    return (None, *(child.name for child in connection.children))


def _name(sa: IManagementSA | SABundle) -> str | None:
    return sa.policy.name if isinstance(sa, SABundle) else None


def responder_service(addresses: Sequence[str], port: int) -> ISAKMPService:
    """
    A node without a connection: it refuses every newcomer, and says in its log why.

    :param addresses: of this host.
    """
    return ISAKMPService(
        (), (), listen=tuple((address, port) for address in addresses), sink=LogSink()
    )
