"""
Children that shall stand without anybody asking: begun at the start, and again when they are lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from isakmp.associations import SABundle
from isakmp.connections import Child, Connection
from isakmp.errors import ConfigurationError, PeerError
from isakmp.events import Established, Removal, Removed
from isakmp.interfaces import INode
from isakmp.logs import Logger
from isakmp.node import endpoint_of

FIRST_PAUSE = 2.0
"""Seconds before the second attempt; each later one waits twice as long as the one before."""

LONGEST_PAUSE = 300.0
"""Seconds."""

_OURS = frozenset({Removal.DELETED, Removal.REPLACED, Removal.SHUTDOWN, Removal.UNUSED})
"""Removals that somebody here wanted."""

_Name = tuple[str, str]


class Initiation:
    """
    Keeps the children with ``start`` up.

    A child that fails is begun again, after a pause that doubles and is spread by chance; one that
    the peer deleted, or that died with its peer, likewise.
    """

    _log = Logger()

    def __init__(self, node: INode) -> None:
        self._node = node
        self._wanted: dict[_Name, tuple[Connection, Child]] = {}
        self._failures: dict[_Name, int] = {}
        self._timers: dict[_Name, IDelayedCall] = {}
        self._running: dict[_Name, Deferred[None]] = {}
        self._unsubscribe: tuple[Callable[[], None], ...] = (
            node.events.subscribe(Established, self._established),
            node.events.subscribe(Removed, self._removed),
        )

    def keep(self, connections: Iterable[Connection], ended: bool = True) -> None:
        """
        From now on keep the children of these that want it, and no others.

        What stands already is left alone, and so is what is under way, unless it has changed; what
        is not wanted any more is not begun again.

        :param ended: whether what somebody here has ended, and what has not changed since, is begun
            again.
        """
        wanted = {
            (connection.name, child.name): (connection, child)
            for connection in connections
            for child in connection.children
            if child.start.starts
        }
        before, self._wanted = self._wanted, wanted
        for name, what in before.items():
            if wanted.get(name) != what:
                self._forget(name)
        for name in wanted:
            # What waits for its next attempt waits no longer: a secret may be another now.
            again = ended or name in self._timers or before.get(name) != wanted[name]
            if again and not self._stands(name):
                self._failures.pop(name, None)
                self._begin(name)

    def leave(self, connection: str) -> int:
        """
        Somebody here ends what is under way for a connection's children, or waits for its next
        attempt: it is not begun again before :meth:`keep` says so.

        :return: how many there were.
        """
        names = {name for name in (*self._running, *self._timers) if name[0] == connection}
        for name in names:
            self._forget(name)
        return len(names)

    def stop(self) -> None:
        """Begin nothing any more, and leave nothing on the clock; idempotent."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = ()
        before, self._wanted = self._wanted, {}
        for name in before:
            self._forget(name)

    def _forget(self, name: _Name) -> None:
        self._failures.pop(name, None)
        timer = self._timers.pop(name, None)
        if timer is not None and timer.active():
            timer.cancel()
        running = self._running.pop(name, None)
        if running is not None:
            running.cancel()

    def _stands(self, name: _Name) -> bool:
        registry = self._node.registry
        connection, child = name
        return any(
            bundle.policy.name == child
            for sa in registry.by_connection(connection)
            for bundle in registry.children(sa.key)
        )

    def _begin(self, name: _Name) -> None:
        if name in self._running or name not in self._wanted:
            return
        timer = self._timers.pop(name, None)
        if timer is not None and timer.active():
            timer.cancel()
        connection, child = self._wanted[name]
        endpoint = endpoint_of(self._node, connection)
        running = self._running[name] = endpoint.establish(connection, child).addCallback(
            lambda _: None
        )
        running.addErrback(self._failed, name).addBoth(self._ended, name, running)

    def _ended(self, result: object, name: _Name, running: Deferred[None]) -> None:
        if self._running.get(name) is not running:
            return  # it was forgotten
        del self._running[name]
        if name not in self._timers and not self._stands(name):
            self._later(name)

    def _failed(self, failure: Failure, name: _Name) -> None:
        # Failures of exchanges are events, and logged where they happen.
        if failure.check(ConfigurationError):
            self._log.error(
                "{connection}/{child} cannot be begun: {why}",
                connection=name[0],
                child=name[1],
                why=failure.value,
            )
        elif not failure.check(PeerError, CancelledError):
            self._log.failure(
                "{connection}/{child} cannot be begun",
                failure,
                connection=name[0],
                child=name[1],
            )

    def _later(self, name: _Name) -> None:
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 16))
        # By chance up to a quarter less, so that many do not all come back at once.
        chance = int.from_bytes(self._node.entropy(2), "big") / 0x10000
        pause *= 1 - chance / 4
        self._log.info(
            "{connection}/{child} is tried again in {seconds:.0f} s",
            connection=name[0],
            child=name[1],
            seconds=pause,
        )
        self._timers[name] = self._node.clock.callLater(pause, self._again, name)

    def _again(self, name: _Name) -> None:
        self._timers.pop(name, None)
        if not self._stands(name):
            self._begin(name)

    def _established(self, event: Established) -> None:
        if isinstance(event.sa, SABundle):
            name = event.sa.connection, event.sa.policy.name
            self._failures.pop(name, None)
            timer = self._timers.pop(name, None)
            if timer is not None and timer.active():
                timer.cancel()

    def _removed(self, event: Removed) -> None:
        if not isinstance(event.sa, SABundle) or event.why in _OURS:
            return
        name = event.sa.connection, event.sa.policy.name
        if name in self._wanted and name not in self._running and name not in self._timers:
            if not self._stands(name):
                self._later(name)
