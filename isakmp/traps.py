"""
Children whose traffic asks for them, passes, or is dropped: what a sink is told beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
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

AT_MOST = 1.0
"""
Seconds until a child is begun again: its traffic may be anybody's, and its peer may delete what it
has just agreed to.
"""

AGAIN = 30.0
"""
Seconds until what the sink could not do is tried again: a route to the peer, or an interface, may
come up after the daemon.
"""

_Name = tuple[str, str]


class Traps:
    """
    Keeps the traps of a node's children in its sink, and begins a child when its traffic waits.
    """

    _log = Logger()

    def __init__(self, node: INode) -> None:
        self._node = node
        self._set: dict[_Name, tuple[Connection, Child]] = {}
        self._asked: set[_Name] = set()
        self._standing: dict[_Name, tuple[Connection, Child]] = {}
        self._running: dict[_Name, Deferred[object]] = {}
        self._begun: dict[_Name, float] = {}
        self._later: dict[_Name, IDelayedCall] = {}
        self._again: dict[_Name, IDelayedCall] = {}
        self._unsubscribe: Callable[[], None] | None = node.events.subscribe(
            TrafficWaiting, self._waiting
        )

    def keep(self, connections: Iterable[Connection]) -> None:
        """
        From now on these, and no others; what stands as it is to is left alone, and so is what was
        asked for by :meth:`set` and is configured yet.  What the sink could not do before is tried
        again.
        """
        wanted = {
            (connection.name, child.name): (connection, child)
            for connection in connections
            for child in connection.children
            if child.start.traps
            or child.action is not Action.PROTECT
            or (connection.name, child.name) in self._asked
        }
        self._asked &= wanted.keys()
        before, self._set = self._set, wanted
        for name, what in wanted.items():
            if before.get(name) != what or self._standing.get(name) != what:
                self._done(self._trapped(*what), name)
        # Afterwards: where only the name is another now, nothing goes in clear meanwhile.
        for name in before:
            if name not in wanted:
                self._done(self._untrapped(name), name)

    def set(self, connection: Connection, child: Child) -> Deferred[None]:
        """
        This one too, whatever its ``start_action`` is, for as long as it is configured.

        Fails with ConfigurationError or OSError if the sink cannot.
        """
        name = connection.name, child.name
        if name in self._standing:
            return succeed(None)

        def failed(failure: Failure) -> Failure:
            self._asked.discard(name)
            self._set.pop(name, None)
            self._forget(name)
            return failure

        self._asked.add(name)
        self._set[name] = connection, child
        return self._trapped(connection, child).addErrback(failed)

    def unset(self, connection: str, child: str) -> Deferred[None]:
        """This one no longer, until it is loaded again; idempotent."""
        name = connection, child
        self._asked.discard(name)
        self._set.pop(name, None)
        return self._untrapped(name)

    @property
    def standing(self) -> Mapping[tuple[str, str], tuple[Connection, Child]]:
        """What the sink has, by the names of connection and child."""
        return MappingProxyType(self._standing)

    def stop(self) -> None:
        """Begin nothing any more; idempotent.  The sink removes what it has when it stops."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        running, self._running = self._running, {}
        for one in running.values():
            one.cancel()
        for name in (*self._later, *self._again):
            self._forget(name)

    def _trapped(self, connection: Connection, child: Child) -> Deferred[None]:
        trapping = Deferred.fromCoroutine(self._trap(connection, child))

        name = connection.name, child.name
        again = self._again.pop(name, None)
        if again is not None:
            again.cancel()

        def stands(_: None) -> None:
            if self._set.get(name) == (connection, child):  # else it was given up meanwhile
                self._standing[name] = connection, child

        return trapping.addCallback(stands)

    def _untrapped(self, name: _Name) -> Deferred[None]:
        self._standing.pop(name, None)
        self._forget(name)
        return self._node.sink.untrap(*name)

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

    def _done(self, setting: Deferred[None], name: _Name, told: str = "") -> None:
        """
        :param told: what has been told of it already; it is not told again.
        """

        def failed(failure: Failure) -> None:
            why = failure.getErrorMessage()
            if why != told:
                self._log.error(
                    "{child}: its traffic is not seen to: {why}", child="/".join(name), why=why
                )
            if name in self._set and self._unsubscribe is not None:
                self._wait_again(name, why)

        setting.addErrback(failed)

    def _wait_again(self, name: _Name, told: str) -> None:
        earlier = self._again.pop(name, None)
        if earlier is not None:
            earlier.cancel()
        self._again[name] = self._node.clock.callLater(AGAIN, self._try_again, name, told)

    def _try_again(self, name: _Name, told: str) -> None:
        del self._again[name]
        connection, child = self._set[name]
        trying = self._trapped(connection, child)
        trying.addCallback(
            lambda _: self._log.info("{child}: its traffic is seen to", child="/".join(name))
        )
        self._done(trying, name, told)

    def _waiting(self, event: TrafficWaiting) -> None:
        name = event.connection, event.child
        if name not in self._set or name in self._running or name in self._later:
            return
        wait = self._begun.get(name, -AT_MOST) + AT_MOST - self._node.clock.seconds()
        if 0 < wait <= AT_MOST:
            # Not never: a kernel may ask for the same traffic once in half a minute.
            self._later[name] = self._node.clock.callLater(wait, self._begin, name, event.traffic)
        else:
            self._begin(name, event.traffic)

    def _begin(self, name: _Name, traffic: str) -> None:
        self._later.pop(name, None)
        self._begun[name] = self._node.clock.seconds()
        self._log.info(
            "{child}: traffic waits: {selectors}", child="/".join(name), selectors=traffic
        )
        connection, child = self._set[name]
        beginning = endpoint_of(self._node, connection).establish(connection, child)
        running: Deferred[object] = beginning.addCallback(lambda _: None)
        self._running[name] = running
        running.addErrback(self._failed, name).addBoth(self._ended, name, running)

    def _forget(self, name: _Name) -> None:
        """Begin it no more for what waited."""
        self._begun.pop(name, None)
        for timers in (self._later, self._again):
            timer = timers.pop(name, None)
            if timer is not None:
                timer.cancel()

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
