"""
What a peer tells under an SA, in an Informational exchange whose HASH has proven it: Notification
and Delete payloads.  RFC 2408 sections 3.14, 3.15, 5.14 and 5.15.
"""

from __future__ import annotations

from collections.abc import Iterable

from isakmp.errors import PeerError
from isakmp.events import NotificationReceived, Removal
from isakmp.exchange.exchange import Exchange
from isakmp.exchange.notices import check_delete, check_notification
from isakmp.exchange.objections import Objections
from isakmp.exchange.refusals import Refusals
from isakmp.exchange.removal import Removals
from isakmp.exchange.types import cookies_of
from isakmp.interfaces import Effect, IManagementSA, INode
from isakmp.numbers import NotifyType
from isakmp.parts import INITIATOR
from isakmp.wire.payloads import Delete, Notification


class Announcements:
    """
    Acts on them.

    :param running: the exchanges that have begun and not ended.
    """

    def __init__(
        self,
        node: INode,
        running: Iterable[Exchange],
        removals: Removals,
        refusals: Refusals,
        objections: Objections,
    ) -> None:
        self._node = node
        self._running = running
        self._removals = removals
        self._refusals = refusals
        self._objections = objections

    def heed(self, exchange: Exchange, notices: object) -> None:
        """
        Act on what an Informational exchange has brought.

        :param notices: its result.
        """
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
            for running in self._running:
                if running.sa is sa and running.role is INITIATOR:
                    self._objections.under_sa(running.conversation, notice.kind)

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
