"""
The framework's ISAKMP at work: owner of the ISAKMP ports, for any key exchange and any domain of
interpretation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, fail
from twisted.python.failure import Failure
from zope.interface import implementer

from isakmp.agenda import Agenda, Appointment
from isakmp.associations import ManagementKey, SABundle
from isakmp.connections import Candidates, Child, Connection
from isakmp.errors import (
    Cancelled,
    ConfigurationError,
    ExchangeTimeout,
    LimitReached,
    NotInstalled,
    PeerError,
    Reason,
)
from isakmp.events import ExchangeFailed, NotificationReceived, Removal
from isakmp.exchange.conversation import Conversation
from isakmp.exchange.demultiplexer import Demultiplexer
from isakmp.exchange.exchange import Exchange
from isakmp.exchange.explanations import explained
from isakmp.exchange.informational import INFORMATIONAL
from isakmp.exchange.notices import check_delete, check_notification
from isakmp.exchange.phase1 import path_of
from isakmp.exchange.refusals import Refusals
from isakmp.exchange.removal import Removals
from isakmp.exchange.types import (
    PHASE_1,
    cookies_of,
    establishing_type,
    exchange_type,
)
from isakmp.interfaces import (
    Effect,
    Expiry,
    IExchanges,
    IKeyExchangeEndpoint,
    IManagementSA,
    INode,
)
from isakmp.logs import Logger
from isakmp.numbers import NotifyType
from isakmp.parts import INITIATOR, RESPONDER
from isakmp.paths import Datagram, Path, endpoint
from isakmp.wire.message import CookiePair
from isakmp.wire.payloads import Delete, Notification

_WAITS = 6
"""
An exchange that has not ended after as many times as it would wait for one message waits for
somebody here: the longest diagram has three such waits at one end.
"""

_TRIES = 64
"""Of random message ids: that so many were all used before is no chance."""


def _is_ours(sa: IManagementSA | SABundle) -> bool:
    """Whether it was made under an ISAKMP header."""
    return isinstance(sa.parent if isinstance(sa, SABundle) else sa.key, CookiePair)


@dataclass(slots=True, eq=False)
class _Beginning:
    """A phase 1 under way, and who waits for its SA."""

    waiting: list[Deferred[IManagementSA]] = field(default_factory=list)
    running: Deferred[object] | None = None

    def given_up(self, waiting: Deferred[IManagementSA]) -> None:
        """One of them does not want it any more; it ends with the last."""
        self.waiting.remove(waiting)
        if not self.waiting and self.running is not None:
            self.running.cancel()


@implementer(IKeyExchangeEndpoint, IExchanges)
class ISAKMPEndpoint:
    """
    Begins exchanges, answers them, and sees to it that what they agree is registered.
    """

    _log = Logger()

    def __init__(self, node: INode) -> None:
        self._node = node
        self._refusals = Refusals(node, self.begin)
        self.demultiplexer = Demultiplexer(node, self._refusals, self._answer)
        self._removals = Removals(node, self.begin, self._abandon)
        self._running: dict[Exchange, None] = {}
        self._overdue = Agenda(node.clock, self._too_long)
        self._ends: dict[Exchange, Appointment[Exchange]] = {}
        self._beginning: dict[tuple[str, Path | None], _Beginning] = {}
        self._turns: dict[ManagementKey, DeferredSemaphore] = {}
        self._closed = False

    # -- IKeyExchangeEndpoint ------------------------------------------------------------------

    def datagram_received(self, datagram: Datagram) -> None:
        """A datagram for ISAKMP has arrived."""
        if not self._closed:
            self.demultiplexer.datagram_received(datagram)

    def undelivered(self, datagram: Datagram, why: str) -> None:
        """
        A datagram of ours is said not to have arrived.  Anybody can say so: it only explains.

        :param datagram: what is quoted of it, which may be little.
        """
        if not self._closed:
            self.demultiplexer.undelivered(datagram, why)

    def establish(
        self,
        connection: Connection,
        child: Child | Sequence[Child],
        sa: IManagementSA | None = None,
    ) -> Deferred[Sequence[SABundle]]:
        """
        Have a child's SAs, beginning an ISAKMP SA if there is none with this connection.

        :param child: none: the ISAKMP SA alone.
        :param sa: the ISAKMP SA to do it under, where there may be several: of a connection that is
            for many peers.

        Fails with the :class:`PeerError` that ended it, or :class:`ConfigurationError`.
        """
        if self._closed:
            return fail(Cancelled("this node has stopped"))
        children = (child,) if isinstance(child, Child) else tuple(child)
        return Deferred.fromCoroutine(self._establish(connection, children, sa))

    def begin_management_sa(self, connection: Connection) -> Deferred[IManagementSA]:
        """
        Begin an ISAKMP SA, and nothing under it.

        Fails with the :class:`PeerError` that ended it, or :class:`ConfigurationError`.
        """
        if self._closed:
            return fail(Cancelled("this node has stopped"))
        return self._management_sa(connection)

    async def _establish(
        self, connection: Connection, children: tuple[Child, ...], sa: IManagementSA | None
    ) -> Sequence[SABundle]:
        if sa is None:
            same = self._node.registry.by_connection(connection.name)
            standing = [one for one in same if isinstance(one.key, CookiePair)]
            sa = standing[-1] if standing else await self._management_sa(connection)
        if not children:
            return ()
        kind = establishing_type(self._node, sa, connection.child_exchange)
        turns = self._turns.setdefault(sa.key, DeferredSemaphore(self._node.limits.begun_per_sa))
        await turns.acquire()
        try:
            if self._turns.get(sa.key) is not turns:
                raise Cancelled("the SA it was to be done under has gone")
            bundles = await self.begin(sa, kind.number, children)
        finally:
            turns.release()
            if turns.tokens == turns.limit and self._turns.get(sa.key) is turns:
                del self._turns[sa.key]
        assert isinstance(bundles, (list, tuple))
        return bundles

    def delete(
        self,
        sas: Sequence[IManagementSA | SABundle],
        why: Removal = Removal.DELETED,
        force: bool = False,
    ) -> Deferred[None]:
        """
        Remove them here and tell the peer; with a management SA go its children.

        The peer is told once and not waited for, ``force`` or not: a Delete is never answered (RFC
        2408 section 5.15).
        """
        return self._removals.delete(sas, why)

    def close(self) -> Deferred[None]:
        """End every exchange, delete every SA, leave nothing on the clock."""
        self._closed = True
        for exchange in tuple(self._running):
            exchange.cancel()
        removed = self.delete([sa for sa in self._node.registry if _is_ours(sa)], Removal.SHUTDOWN)
        self.demultiplexer.close_all()
        return removed

    # -- IExchanges ----------------------------------------------------------------------------

    def begin(self, sa: IManagementSA, number: int, order: object) -> Deferred[object]:
        """Run an exchange under an SA as its initiator."""
        try:
            kind = exchange_type(self._node, sa, number)
        except PeerError as error:
            return fail(LookupError(str(error)))
        try:
            message_id = self._message_id(sa)
        except LimitReached:
            return fail()
        conversation = Conversation(
            self._node,
            kind,
            INITIATOR,
            sa.path,
            cookies_of(sa),
            message_id,
            protection=sa.protection(kind, message_id),
            proven=True,
            intervals=self._node.policy.intervals(sa.connection),
            lenient=self._node.policy.lenient(sa.connection),
            report=self.demultiplexer.report,
        )
        try:
            exchange = Exchange(self._node, conversation, self._node.dois[sa.doi], order, sa)
        except (ConfigurationError, PeerError):
            return fail()
        if not kind.one_way:
            self.demultiplexer.open(conversation)
        return self._run(exchange)

    def running(self) -> Sequence[Exchange]:
        """Exchanges that have begun and not ended, in both roles."""
        return tuple(self._running)

    def _message_id(self, sa: IManagementSA) -> int:
        """
        Random, never zero, never used under this SA.  RFC 2408 section 3.1.

        :raises LimitReached: if the SA is gone, or worn out.
        """
        for _ in range(_TRIES):
            number = int.from_bytes(self._node.entropy(4), "big")
            if number and self._node.registry.fresh(sa.key, number):
                return number
        raise LimitReached(Reason("no message id is left under this ISAKMP SA"))

    # -- phase 1 -------------------------------------------------------------------------------

    def _management_sa(
        self, connection: Connection, path: Path | None = None
    ) -> Deferred[IManagementSA]:
        """
        Begin an SA with a connection, once for all who want it there.

        :param path: where the peer is, if that is known better than the connection says.
        """
        key = connection.name, path
        beginning = self._beginning.setdefault(key, _Beginning())
        waiting: Deferred[IManagementSA] = Deferred(beginning.given_up)
        beginning.waiting.append(waiting)
        if len(beginning.waiting) == 1:
            try:
                path = path or path_of(connection, self._node.ports)
                beginning.running = self._begin_phase_1(connection, path)
            except (ConfigurationError, PeerError):
                beginning.running = fail()
            beginning.running.addBoth(self._begun, key)
        return waiting

    def _begun(self, result: object, key: tuple[str, Path | None]) -> None:
        for waiting in self._beginning.pop(key).waiting:
            if isinstance(result, Failure):
                waiting.errback(result)
            else:
                waiting.callback(result)  # type: ignore[arg-type]

    def _begin_phase_1(self, connection: Connection, path: Path) -> Deferred[object]:
        kind = PHASE_1.get(connection.exchange)
        if kind is None:
            raise ConfigurationError(f"exchange type {connection.exchange} begins no SA")
        doi = self._node.dois.get(connection.doi)
        if doi is None:
            raise ConfigurationError(f"DOI {connection.doi} is not enabled")
        cookies = CookiePair(self._node.cookies.initiator(path), CookiePair.ZERO)
        conversation = Conversation(
            self._node,
            kind,
            INITIATOR,
            path,
            cookies,
            intervals=connection.intervals,
            lenient=connection.lenient,
            report=self.demultiplexer.report,
        )
        exchange = Exchange(self._node, conversation, doi, Candidates((connection,)))
        self.demultiplexer.open(conversation)
        return self._run(exchange)

    # -- results -------------------------------------------------------------------------------

    def _answer(self, exchange: Exchange) -> None:
        """An exchange that the peer begins: its failure is an event, and nobody's result."""
        self._start(exchange, None)

    def _run(self, exchange: Exchange) -> Deferred[object]:
        running: Deferred[object] = Deferred(lambda _: exchange.cancel())
        self._start(exchange, running)
        return running

    def _start(self, exchange: Exchange, running: Deferred[object] | None) -> None:
        """
        :param running: gets what becomes of it, if anybody waits for that.
        """
        self._running[exchange] = None
        exchange.start().addCallback(self._completed, exchange).addCallbacks(
            self._succeeded, self._failed, (exchange, running), errbackArgs=(exchange, running)
        )
        if exchange in self._running:
            seconds = _WAITS * exchange.conversation.intervals.total
            self._ends[exchange] = self._overdue.later(seconds, exchange)

    def _too_long(self, exchange: Exchange) -> None:
        """A store, or a sink, that never answers must not keep what strangers may have few of."""
        self._log.error(
            "{exchange} with {peer} is given up: what it asked here was never answered",
            exchange=exchange.type.name,
            peer=endpoint(exchange.path.remote),
        )
        exchange.cancel()

    def _ended(self, exchange: Exchange) -> None:
        del self._running[exchange]
        end = self._ends.pop(exchange, None)
        if end is not None:
            end.cancel()

    def reauthenticate(self, sa: IManagementSA) -> Deferred[IManagementSA]:
        """
        A new SA with the peer of this one, where it is; it adopts the children of the old one.

        Fails with the :class:`PeerError` that ended the exchange, or :class:`ConfigurationError`.
        """
        try:
            connection = self._node.policy.connection(sa.connection)
        except LookupError as error:
            return fail(ConfigurationError(str(error)))
        # Not there if the connection is for other addresses by now.
        still = self._node.policy.candidates(sa.path, sa.doi, connection.exchange).remaining
        return self._management_sa(connection, sa.path if connection in still else None)

    def _register(self, sa: IManagementSA, exchange: Exchange) -> Deferred[object]:
        seconds = sa.lifetime.seconds
        hard = self._node.clock.seconds() + seconds if seconds else 0.0
        return self._node.registry.add(sa, Expiry(hard)).addCallback(self._registered, sa, exchange)

    def _registered(self, _: object, sa: IManagementSA, exchange: Exchange) -> object:
        exchange.arrived(sa)
        self._removals.adopt(sa)
        return sa

    def _completed(self, result: object, exchange: Exchange) -> object:
        if exchange.sa is None:
            assert IManagementSA.providedBy(result)
            return self._register(result, exchange)
        if exchange.type is INFORMATIONAL and exchange.role is RESPONDER:
            self._heed(exchange, result)
        return result

    def _succeeded(
        self, result: object, exchange: Exchange, running: Deferred[object] | None
    ) -> None:
        self._ended(exchange)
        exchange.conversation.finish()
        self.demultiplexer.settled(exchange.conversation)
        if not exchange.type.one_way and not self._closed:
            self.demultiplexer.linger(exchange.conversation)
        exchange.release()
        # Whoever waited may have given up in this very moment.
        if running is not None and not running.called:
            running.callback(result)

    def _failed(
        self, failure: Failure, exchange: Exchange, running: Deferred[object] | None
    ) -> None:
        self._ended(exchange)
        exchange.conversation.finish()
        self.demultiplexer.close(exchange.conversation)
        error = failure.value
        if isinstance(error, CancelledError):
            error = Cancelled("given up here")
            failure = Failure(error)
        elif isinstance(error, OSError):
            error = NotInstalled(f"not installed here: {error.strerror or error}")
            failure = Failure(error)
        if isinstance(error, PeerError):
            self.demultiplexer.given_up(exchange.conversation)
            error = explained(exchange, exchange.order, error)
            name = exchange.connection.name if exchange.connection is not None else ""
            if exchange.sa is not None:
                name = exchange.sa.connection
            event = ExchangeFailed(
                name,
                exchange.path,
                exchange.type.name,
                exchange.role,
                exchange.cookies,
                error,
            )
            self._node.events.publish(event)
            self._log.info(
                "{line}", line=event.sentence, event=error.event, **event.fields
            )
            if isinstance(error, ExchangeTimeout) and exchange.sa is not None:
                self._silent(exchange, exchange.sa)
        elif not isinstance(error, ConfigurationError):
            self._log.failure("an exchange failed by a fault of ours", failure)
        exchange.release()
        if running is not None and not running.called:
            running.errback(failure)

    def _silent(self, exchange: Exchange, sa: IManagementSA) -> None:
        """A peer that answers nothing under its SA is gone, and the SA with it."""
        if exchange.role is INITIATOR and self._node.registry.find(sa.key) is sa:
            self.delete((sa,), Removal.PEER_GONE)

    def _abandon(self, sa: IManagementSA) -> None:
        """An SA is gone: so is what runs under it, and what waits for repeats of how it came up."""
        self._turns.pop(sa.key, None)
        for exchange in tuple(self._running):
            if exchange.sa is sa:
                exchange.cancel()
        self.demultiplexer.forget(cookies_of(sa))

    # -- what the peer tells -------------------------------------------------------------------

    def _heed(self, exchange: Exchange, notices: object) -> None:
        """Act on an Informational exchange whose HASH has proven it."""
        assert exchange.sa is not None and isinstance(notices, tuple)
        for notice in notices:
            try:
                if isinstance(notice, Delete):
                    check_delete(exchange.doi, notice)
                    self._removals.deleted(exchange.doi, exchange.sa, exchange.path, notice)
                elif isinstance(notice, Notification):
                    check_notification(exchange.doi, notice)
                    self._notified(exchange, exchange.sa, notice)
            except PeerError as error:
                self._refusals.discarded(error, exchange.path)

    def _notified(self, exchange: Exchange, sa: IManagementSA, notice: Notification) -> None:
        self._node.events.publish(NotificationReceived(exchange.path, notice.kind, True))
        if exchange.doi.notified(notice) is Effect.START_AFRESH:
            if notice.spi == cookies_of(sa).octets:
                self.started_afresh(sa)
        elif notice.kind == NotifyType.CONNECTED:
            self._connected(sa)
        elif notice.kind < NotifyType.CONNECTED:
            # It does not say which exchange it is about; one that waits under this SA is refused.
            for running in tuple(self._running):
                if running.sa is sa and running.role is INITIATOR:
                    running.conversation.refused_by_peer(notice.kind)

    def _connected(self, sa: IManagementSA) -> None:
        """
        CONNECTED under a message id of its own, where RFC 2408 section 3.1 wants that of the
        exchange it is about: it is about the one that waits for it, if there is but one.
        """
        bits = [
            running.conversation.commit for running in self._running if running.sa is sa
        ]
        waited_for = [bit for bit in bits if bit is not None and bit.set]
        if len(waited_for) == 1:
            waited_for[0].connected()

    def started_afresh(self, sa: IManagementSA) -> None:
        """
        The peer has just begun, with this SA: what it had before it has no more.

        An SA that has come up since this one was begun is of the same life: both ends may begin at
        once, and neither knew of the other's SA when it said that it had none.
        """
        registry = self._node.registry
        if registry.find(sa.key) is not sa:
            return  # it was deleted in the same message
        began = registry.since(sa)
        for exchange in self._running:
            if exchange.sa is None and exchange.cookies == sa.key:
                began = exchange.began
        for older in registry.by_peer(sa.theirs):
            if older.key != sa.key and registry.since(older) < began:
                self._removals.gone(older, Removal.PEER_RESTARTED)
