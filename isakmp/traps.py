"""
Children whose traffic asks for them, passes, or is dropped: what a sink is told beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from isakmp.associations import Action, ChildPolicy
from isakmp.connections import Child, Connection
from isakmp.errors import ConfigurationError, PeerError
from isakmp.events import TrafficWaiting
from isakmp.exchange.phase1 import path_of
from isakmp.identity import TrafficSelector
from isakmp.interfaces import INode
from isakmp.logs import Logger
from isakmp.node import endpoint_of
from isakmp.paths import Path

_Name = tuple[str, str]


class Traps:
    """
    Keeps the traps of a node's children in its sink, and begins a child when its traffic waits.
    """

    _log = Logger()

    def __init__(self, node: INode) -> None:
        self._node = node
        self._set: dict[_Name, tuple[Connection, Child]] = {}
        self._running: dict[_Name, Deferred[object]] = {}
        self._unsubscribe: Callable[[], None] | None = node.events.subscribe(
            TrafficWaiting, self._waiting
        )

    def keep(self, connections: Iterable[Connection]) -> None:
        """From now on these, and no others; what is the same is left alone."""
        wanted = {
            (connection.name, child.name): (connection, child)
            for connection in connections
            for child in connection.children
            if child.start.traps or child.action is not Action.PROTECT
        }
        before, self._set = self._set, wanted
        for name in before:
            if name not in wanted:
                self._done(self._node.sink.untrap(*name), name)
        for name, what in wanted.items():
            if before.get(name) != what:
                self._done(self._trapped(*what), name)

    def stop(self) -> None:
        """Begin nothing any more; idempotent.  The sink removes what it has when it stops."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        running, self._running = self._running, {}
        for one in running.values():
            one.cancel()

    def _trapped(self, connection: Connection, child: Child) -> Deferred[None]:
        return Deferred.fromCoroutine(self._trap(connection, child))

    async def _trap(self, connection: Connection, child: Child) -> None:
        path: Path | None = None
        if child.action is Action.PROTECT or not (child.local and child.remote):
            path = path_of(connection, self._node.ports)
        doi = self._node.dois[connection.doi]
        await self._node.sink.trap(
            ChildPolicy(
                connection.name,
                child.name,
                connection.doi,
                doi.phase1_situation,
                child.local[0] if child.local else _host(path, 0),
                child.remote[0] if child.remote else _host(path, 1),
                child.suites,
                child.lifetime,
                child.quirks,
                child.action,
                child.handling,
            ),
            path,
        )

    def _done(self, setting: Deferred[None], name: _Name) -> None:
        def failed(failure: Failure) -> None:
            self._log.error(
                "{child}: its traffic is not seen to: {why}",
                child="/".join(name),
                why=failure.getErrorMessage(),
            )

        setting.addErrback(failed)

    def _waiting(self, event: TrafficWaiting) -> None:
        name = event.connection, event.child
        if name not in self._set or name in self._running:
            return
        self._log.info(
            "{child}: traffic waits: {selectors}", child="/".join(name), selectors=event.traffic
        )
        connection, child = self._set[name]
        beginning = endpoint_of(self._node, connection).establish(connection, child)
        running: Deferred[object] = beginning.addCallback(lambda _: None)
        self._running[name] = running
        running.addErrback(self._failed, name).addBoth(self._ended, name, running)

    def _ended(self, result: object, name: _Name, running: Deferred[object]) -> None:
        if self._running.get(name) is running:
            del self._running[name]

    def _failed(self, failure: Failure, name: _Name) -> None:
        # Failures of exchanges are events, and logged where they happen.
        if failure.check(ConfigurationError):
            text = failure.getErrorMessage()
            self._log.error("{child} cannot be begun: {why}", child="/".join(name), why=text)
        elif not failure.check(PeerError, CancelledError):
            self._log.failure("{child} cannot be begun", failure, child="/".join(name))


def _host(path: Path | None, end: int) -> TrafficSelector:
    assert path is not None
    return TrafficSelector.host((path.local, path.remote)[end][0])
