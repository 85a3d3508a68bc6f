"""
The exchanges of a node that have begun and not ended, and what each comes to.

Whether it has its result or has failed, an exchange leaves nothing behind here: its conversation is
closed, or lingers for a while, and whoever waits is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from isakmp.agenda import Agenda, Appointment
from isakmp.errors import Cancelled, ConfigurationError, ExchangeTimeout, NotInstalled, PeerError
from isakmp.events import ExchangeFailed
from isakmp.exchange.conversations import Conversations
from isakmp.exchange.exchange import Exchange
from isakmp.exchange.explanations import explained
from isakmp.exchange.reports import Reports
from isakmp.interfaces import IManagementSA, INode
from isakmp.logs import Logger
from isakmp.paths import endpoint

_WAITS = 6
"""
An exchange that has not ended after as many times as it would wait for one message waits for
somebody here: the longest diagram has three such waits at one end.
"""


class RunningExchanges:
    """
    Starts exchanges, and sees each to its end.

    :param completed: given the result of each and the exchange, before anybody else; what it gives,
        or that it fails, is what the exchange comes to.
    :param silent: told of an exchange under an SA whose peer has not answered.
    """

    _log = Logger()

    def __init__(
        self,
        node: INode,
        conversations: Conversations,
        reports: Reports,
        completed: Callable[[object, Exchange], object],
        silent: Callable[[Exchange, IManagementSA], None],
    ) -> None:
        self._node = node
        self._conversations = conversations
        self._reports = reports
        self._completed = completed
        self._silent = silent
        self._all: dict[Exchange, None] = {}
        self._overdue = Agenda(node.clock, self._too_long)
        self._ends: dict[Exchange, Appointment[Exchange]] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(tuple(self._all))

    def answer(self, exchange: Exchange) -> None:
        """Run one that the peer begins: its failure is an event, and nobody's result."""
        self._start(exchange, None)

    def run(self, exchange: Exchange) -> Deferred[object]:
        """
        Run one that is begun here.

        Fires with its result, or fails with the :class:`PeerError` or :class:`ConfigurationError`
        that ended it.
        """
        running: Deferred[object] = Deferred(lambda _: exchange.cancel())
        self._start(exchange, running)
        return running

    def close(self) -> None:
        """Give up all of them; from now on none lingers."""
        self._closed = True
        for exchange in self:
            exchange.cancel()

    def _start(self, exchange: Exchange, running: Deferred[object] | None) -> None:
        """
        :param running: gets what becomes of it, if anybody waits for that.
        """
        self._all[exchange] = None
        exchange.start().addCallback(self._completed, exchange).addCallbacks(
            self._succeeded, self._failed, (exchange, running), errbackArgs=(exchange, running)
        )
        if exchange in self._all:
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
        del self._all[exchange]
        end = self._ends.pop(exchange, None)
        if end is not None:
            end.cancel()
        exchange.conversation.finish()

    def _succeeded(
        self, result: object, exchange: Exchange, running: Deferred[object] | None
    ) -> None:
        self._ended(exchange)
        self._conversations.settled(exchange.conversation)
        if not exchange.type.one_way and not self._closed:
            self._conversations.linger(exchange.conversation)
        exchange.release()
        # Whoever waited may have given up in this very moment.
        if running is not None and not running.called:
            running.callback(result)

    def _failed(
        self, failure: Failure, exchange: Exchange, running: Deferred[object] | None
    ) -> None:
        self._ended(exchange)
        self._conversations.close(exchange.conversation)
        error = failure.value
        if isinstance(error, CancelledError):
            error = Cancelled("given up here")
            failure = Failure(error)
        elif isinstance(error, OSError):
            error = NotInstalled(f"not installed here: {error.strerror or error}")
            failure = Failure(error)
        if isinstance(error, PeerError):
            self._tell(exchange, error)
        elif not isinstance(error, ConfigurationError):
            self._log.failure("an exchange failed by a fault of ours", failure)
        exchange.release()
        if running is not None and not running.called:
            running.errback(failure)

    def _tell(self, exchange: Exchange, error: PeerError) -> None:
        """Say why it has failed: to the peer, to whoever listens, in the log."""
        self._reports.given_up(exchange.conversation)
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
        self._log.info("{line}", line=event.sentence, event=error.event, **event.fields)
        if isinstance(error, ExchangeTimeout) and exchange.sa is not None:
            self._silent(exchange, exchange.sa)
