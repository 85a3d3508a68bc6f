"""
ISAKMP SAs that are being begun: one with a connection, for all who want it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from isakmp.connections import Candidates, Connection
from isakmp.errors import ConfigurationError, PeerError
from isakmp.exchange.conversation import Conversation, Report
from isakmp.exchange.conversations import Conversations
from isakmp.exchange.exchange import Exchange
from isakmp.exchange.phase1 import path_of
from isakmp.exchange.types import PHASE_1
from isakmp.interfaces import IManagementSA, INode
from isakmp.parts import INITIATOR
from isakmp.paths import Path
from isakmp.wire.message import CookiePair


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


class Beginnings:
    """
    Begins phase 1 as its initiator.

    :param report: told of what the conversations drop.
    :param run: runs an exchange.
    """

    def __init__(
        self,
        node: INode,
        conversations: Conversations,
        report: Report,
        run: Callable[[Exchange], Deferred[object]],
    ) -> None:
        self._node = node
        self._conversations = conversations
        self._report = report
        self._run = run
        self._all: dict[tuple[str, Path | None], _Beginning] = {}

    def __len__(self) -> int:
        return len(self._all)

    def begin(self, connection: Connection, path: Path | None = None) -> Deferred[IManagementSA]:
        """
        Begin an SA with a connection, once for all who want it there.

        Fails with the :class:`PeerError` that ended it, or :class:`ConfigurationError`.

        :param path: where the peer is, if that is known better than the connection says.
        """
        key = connection.name, path
        beginning = self._all.setdefault(key, _Beginning())
        waiting: Deferred[IManagementSA] = Deferred(beginning.given_up)
        beginning.waiting.append(waiting)
        if len(beginning.waiting) == 1:
            try:
                path = path or path_of(connection, self._node.ports)
                beginning.running = self._phase_1(connection, path)
            except (ConfigurationError, PeerError):
                beginning.running = fail()
            beginning.running.addBoth(self._begun, key)
        return waiting

    def _begun(self, result: object, key: tuple[str, Path | None]) -> None:
        for waiting in self._all.pop(key).waiting:
            if isinstance(result, Failure):
                waiting.errback(result)
            else:
                waiting.callback(result)  # type: ignore[arg-type]

    def _phase_1(self, connection: Connection, path: Path) -> Deferred[object]:
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
            report=self._report,
        )
        exchange = Exchange(self._node, conversation, doi, Candidates((connection,)))
        self._conversations.open(conversation)
        return self._run(exchange)
