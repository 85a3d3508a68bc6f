"""
New SAs in place of old ones, before these expire.

An SA is modified by making a new one and deleting the old (RFC 2408 section 4.3): make before
break.  Either end may do so; whoever made the new one deletes the old one.  A new ISAKMP SA adopts
the children of the one it replaces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from isakmp.associations import SABundle, SAKey
from isakmp.connections import Child
from isakmp.connections import Renewal as Configured
from isakmp.errors import ConfigurationError, PeerError
from isakmp.events import Established, Removal, Removed
from isakmp.interfaces import IManagementSA, INode
from isakmp.logs import Logger

AGAIN = 10.0
"""Seconds until a renewal that failed is tried again, for as long as the old SA lives."""


class Renewals:
    """
    Renews the SAs of a node at the times that its connections name.
    """

    _log = Logger()

    def __init__(self, node: INode) -> None:
        self._node = node
        self._timers: dict[SAKey, IDelayedCall] = {}
        self._running: dict[SAKey, Deferred[None]] = {}
        self._unsubscribe: tuple[Callable[[], None], ...] = (
            node.events.subscribe(Established, lambda event: self._established(event.sa)),
            node.events.subscribe(Removed, lambda event: self._end(event.sa.key)),
        )

    def stop(self) -> None:
        """Renew nothing any more, and leave nothing on the clock; idempotent."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = ()
        for key in (*self._timers, *self._running):
            self._end(key)

    def _established(self, sa: IManagementSA | SABundle) -> None:
        registry = self._node.registry
        for older in registry:
            if older.key != sa.key and _replaces(sa, older):
                self._unset(older.key)  # it has its successor: whoever made that deletes it
        configured = self._configured(sa)
        if configured.after:
            chance = int.from_bytes(self._node.entropy(4), "big") / 0x100000000
            self._at(sa.key, max(1.0, configured.after - configured.spread * chance))

    def _configured(self, sa: IManagementSA | SABundle) -> Configured:
        """When it is to be renewed; never, if what it belongs to is not configured any more."""
        try:
            connection = self._node.policy.connection(sa.connection)
            if isinstance(sa, SABundle):
                return connection.child(sa.policy.name).renewal
        except LookupError:
            return Configured()
        return connection.renewal

    def _at(self, key: SAKey, seconds: float) -> None:
        self._timers[key] = self._node.clock.callLater(seconds, self._renew, key)

    def _unset(self, key: SAKey) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None and timer.active():
            timer.cancel()

    def _end(self, key: SAKey) -> None:
        self._unset(key)
        running = self._running.pop(key, None)
        if running is not None:
            running.cancel()

    def _renew(self, key: SAKey) -> None:
        del self._timers[key]
        sa = self._node.registry.find(key)
        if sa is not None:
            running = self._running[key] = Deferred.fromCoroutine(self._renewed(sa))
            running.addBoth(self._ended, key)

    async def _renewed(self, sa: IManagementSA | SABundle) -> None:
        endpoint = self._node.endpoints["isakmp"]
        key = sa.key
        if isinstance(sa, SABundle):
            connection = self._node.policy.connection(sa.connection)
            await endpoint.establish(connection, self._same(connection.child(sa.policy.name), sa))
        else:
            await endpoint.reauthenticate(sa)
        # From here on it is done: the old one's end must not be taken for this one's.
        self._running.pop(key, None)
        standing = self._node.registry.find(key)
        if standing is not None:
            await endpoint.delete([standing], Removal.REPLACED)

    @staticmethod
    def _same(child: Child, bundle: SABundle) -> Child:
        """The child for just the traffic that the bundle protects."""
        return replace(child, local=(bundle.policy.local,), remote=(bundle.policy.remote,))

    def _ended(self, result: object, key: SAKey) -> None:
        self._running.pop(key, None)
        if not isinstance(result, Failure):
            return
        if not result.check(PeerError, ConfigurationError, LookupError):
            self._log.failure("an SA could not be renewed", result)
        if self._unsubscribe and self._node.registry.find(key) is not None:
            self._log.info(
                "an SA could not be renewed and is tried again: {error}", error=result.value
            )
            self._at(key, AGAIN)


def _replaces(new: IManagementSA | SABundle, old: IManagementSA | SABundle) -> bool:
    """Whether a new SA is for the same as an older one."""
    if isinstance(new, SABundle):
        return isinstance(old, SABundle) and (
            new.connection,
            new.policy.name,
            new.policy.local,
            new.policy.remote,
        ) == (old.connection, old.policy.name, old.policy.local, old.policy.remote)
    return (
        not isinstance(old, SABundle)
        and new.connection == old.connection
        and new.theirs.same_party(old.theirs)
    )
