"""
The framework's ISAKMP at work: owner of the ISAKMP ports, for any key exchange and any domain of
interpretation.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, DeferredSemaphore, fail
from zope.interface import implementer

from isakmp.associations import ManagementKey, SABundle
from isakmp.connections import Child, Connection
from isakmp.errors import (
    Cancelled,
    ConfigurationError,
    LimitReached,
    PeerError,
    Reason,
)
from isakmp.events import Removal
from isakmp.exchange.announcements import Announcements
from isakmp.exchange.beginnings import Beginnings
from isakmp.exchange.conversation import Conversation
from isakmp.exchange.conversations import Conversations
from isakmp.exchange.demultiplexer import Demultiplexer
from isakmp.exchange.exchange import Exchange
from isakmp.exchange.informational import INFORMATIONAL
from isakmp.exchange.objections import Objections
from isakmp.exchange.refusals import Refusals
from isakmp.exchange.removal import Removals
from isakmp.exchange.reports import Reports
from isakmp.exchange.running import RunningExchanges
from isakmp.exchange.types import (
    cookies_of,
    establishing_type,
    exchange_type,
)
from isakmp.interfaces import (
    Expiry,
    IExchanges,
    IKeyExchangeEndpoint,
    IManagementSA,
    INode,
)
from isakmp.parts import INITIATOR, RESPONDER
from isakmp.paths import Datagram
from isakmp.wire.message import CookiePair

_TRIES = 64
"""Of random message ids: that so many were all used before is no chance."""


def _is_ours(sa: IManagementSA | SABundle) -> bool:
    """Whether it was made under an ISAKMP header."""
    return isinstance(sa.parent if isinstance(sa, SABundle) else sa.key, CookiePair)


@implementer(IKeyExchangeEndpoint, IExchanges)
class ISAKMPEndpoint:
    """
    Begins exchanges, answers them, and sees to it that what they agree is registered.

    :ivar demultiplexer: where datagrams are routed.
    :ivar beginnings: the ISAKMP SAs that are being begun.
    :ivar turns: by SA, who takes turns to make children under it.
    """

    def __init__(self, node: INode) -> None:
        self._node = node
        refusals, objections = Refusals(node, self.begin), Objections(node.events)
        self._conversations = Conversations(node.clock)
        self._reports = Reports(node.registry, refusals, self._conversations)
        self._running = RunningExchanges(
            node, self._conversations, self._reports, self._completed, self._silent
        )
        self.demultiplexer = Demultiplexer(
            node,
            self._conversations,
            self._reports,
            refusals,
            objections,
            self._running.answer,
        )
        self.beginnings = Beginnings(
            node, self._conversations, self._reports.dropped, self._running.run
        )
        self._removals = Removals(node, self.begin, self._abandon)
        self._announcements = Announcements(
            node, self._running, self._removals, refusals, objections
        )
        self.turns: dict[ManagementKey, DeferredSemaphore] = {}
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
        return self.beginnings.begin(connection)

    async def _establish(
        self, connection: Connection, children: tuple[Child, ...], sa: IManagementSA | None
    ) -> Sequence[SABundle]:
        if sa is None:
            same = self._node.registry.by_connection(connection.name)
            standing = [one for one in same if isinstance(one.key, CookiePair)]
            sa = standing[-1] if standing else await self.beginnings.begin(connection)
        if not children:
            return ()
        kind = establishing_type(self._node, sa, connection.child_exchange)
        turns = self.turns.setdefault(sa.key, DeferredSemaphore(self._node.limits.begun_per_sa))
        await turns.acquire()
        try:
            if self.turns.get(sa.key) is not turns:
                raise Cancelled("the SA it was to be done under has gone")
            bundles = await self.begin(sa, kind.number, children)
        finally:
            turns.release()
            if turns.tokens == turns.limit and self.turns.get(sa.key) is turns:
                del self.turns[sa.key]
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
        self._running.close()
        removed = self.delete([sa for sa in self._node.registry if _is_ours(sa)], Removal.SHUTDOWN)
        self.demultiplexer.close()
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
            report=self._reports.dropped,
        )
        try:
            exchange = Exchange(self._node, conversation, self._node.dois[sa.doi], order, sa)
        except (ConfigurationError, PeerError):
            return fail()
        if not kind.one_way:
            self._conversations.open(conversation)
        return self._running.run(exchange)

    def running(self) -> Sequence[Exchange]:
        """Exchanges that have begun and not ended, in both roles."""
        return tuple(self._running)

    def started_afresh(self, sa: IManagementSA) -> None:
        """The peer has just begun, with this SA: what it had before it has no more."""
        self._announcements.started_afresh(sa)

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

    # -- results -------------------------------------------------------------------------------

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
        return self.beginnings.begin(connection, sa.path if connection in still else None)

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
            self._announcements.heed(exchange, result)
        return result

    def _silent(self, exchange: Exchange, sa: IManagementSA) -> None:
        """A peer that answers nothing under its SA is gone, and the SA with it."""
        if exchange.role is INITIATOR and self._node.registry.find(sa.key) is sa:
            self.delete((sa,), Removal.PEER_GONE)

    def _abandon(self, sa: IManagementSA) -> None:
        """An SA is gone: so is what runs under it, and what waits for repeats of how it came up."""
        self.turns.pop(sa.key, None)
        for exchange in self._running:
            if exchange.sa is sa:
                exchange.cancel()
        self._conversations.forget(cookies_of(sa))

