"""
New SAs in place of old ones, before these expire.

An SA is modified by making a new one and deleting the old (RFC 2408 section 4.3): make before
break.  Either end may do so; whoever made the new one deletes the old one.  A new ISAKMP SA adopts
the children of the one it replaces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from isakmp.agenda import Agenda, Appointment
from isakmp.associations import SABundle, SAKey
from isakmp.connections import Child, Connection
from isakmp.connections import Renewal as Configured
from isakmp.errors import ConfigurationError, PeerError
from isakmp.events import Established, Removal, Removed, SAExpiring
from isakmp.interfaces import IManagementSA, INode
from isakmp.logs import Logger
from isakmp.node import delete, endpoint_of
from isakmp.rekeying import is_superseded, others

AGAIN = 10.0
"""Seconds until a renewal that failed is tried again, for as long as the old SA lives."""

MARGIN = 1.1
"""How much longer an SA lives than it waits for its renewal, if its peer has shortened its life."""

OVERLAP = 0.1
"""The part of the time until its renewal for which an SA stays at most beside its successor."""


SHORTEST_OVERLAP = 1.0
"""Seconds, where an SA is renewed by what it has carried."""


@dataclass(slots=True, eq=False)
class _Awaited:
    """
    An SA of ours to renew.

    :ivar child: as it was configured when the SA came up; None for a management SA.
    :ivar overlap: seconds that it stays beside its successor.
    :ivar renewal: when it is renewed, counted from when it came up.
    :ivar timer: until its renewal, until the next attempt, or until it is deleted.
    :ivar running: the attempt.
    :ivar successor: what it was renewed by; then it only waits for its deletion.
    """

    child: Child | None
    overlap: float
    renewal: Configured
    timer: Appointment[SAKey] | None = None
    running: Deferred[None] | None = None
    successor: SAKey | None = None


class Renewals:
    """
    Renews the SAs of a node at the times that its connections name.
    """

    _log = Logger()

    def __init__(self, node: INode) -> None:
        self._node = node
        self._awaited: dict[SAKey, _Awaited] = {}
        self._agenda: Agenda[SAKey] = Agenda(node.clock, self._due)
        self._last: tuple[SAKey, float] | None = None
        self._unsubscribe: tuple[Callable[[], None], ...] = (
            node.events.subscribe(Established, lambda event: self._established(event.sa)),
            node.events.subscribe(Removed, self._removed),
            node.events.subscribe(SAExpiring, self._expiring),
        )

    def stop(self) -> None:
        """Renew nothing any more, and leave nothing on the clock; idempotent."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = ()
        for key in tuple(self._awaited):
            self._end(key)

    # -- what control asks and tells -----------------------------------------------------------

    def due(self, sa: IManagementSA | SABundle) -> float | None:
        """
        When an SA is to be renewed, in seconds of the node's clock; None: never.

        Of the SA whose removal is being told: when it would have been.
        """
        awaited = self._awaited.get(sa.key)
        if awaited is None and self._last is not None and self._last[0] == sa.key:
            return self._last[1]
        if awaited is None or awaited.timer is None or awaited.successor is not None:
            return None
        return awaited.timer.time if awaited.timer.active() else None

    def is_renewing(self, sa: IManagementSA | SABundle) -> bool:
        """Whether a successor of it is being negotiated."""
        awaited = self._awaited.get(sa.key)
        return awaited is not None and awaited.running is not None

    def now(self, sa: IManagementSA | SABundle) -> bool:
        """
        Renew an SA at once, whatever its time.

        :return: whether that is under way now; not if it was renewed already, is gone, or has no
            connection any more.
        """
        if self._node.registry.find(sa.key) is None or is_superseded(self._node, sa):
            return False
        awaited = self._awaited.get(sa.key)
        if awaited is None:
            awaited = self._await(sa)
            if awaited is None:
                return False
        if awaited.successor is not None:
            return False
        if awaited.running is None:
            if awaited.timer is not None:
                awaited.timer.cancel()
                awaited.timer = None
            self._renew(sa.key)
        return True

    # -- when ----------------------------------------------------------------------------------

    def _established(self, sa: IManagementSA | SABundle) -> None:
        self._last = None
        for older in others(self._node, sa):
            awaited = self._awaited.get(older.key)
            if awaited is not None and awaited.running is None and awaited.successor is None:
                self._end(older.key)  # whoever made this one deletes that one
        awaited = self._await(sa, unless=0.0)
        if awaited is not None:
            chance = int.from_bytes(self._node.entropy(4), "big") / 0x100000000
            renewal = awaited.renewal
            self._at(sa.key, max(1.0, renewal.after - renewal.spread * chance))

    def _await(self, sa: IManagementSA | SABundle, unless: float | None = None) -> _Awaited | None:
        """
        Note an SA that is to be renewed; None if it is not configured any more.

        :param unless: nor if its renewal is after so many seconds.
        """
        try:
            connection = self._node.policy.connection(sa.connection)
            child = connection.child(sa.policy.name) if isinstance(sa, SABundle) else None
        except LookupError:
            return None
        renewal = _renewal(connection if child is None else child, _seconds(sa))
        if renewal.after == unless:
            return None
        overlap = connection.intervals.total
        if renewal.after:
            overlap = min(overlap, OVERLAP * renewal.after)
        awaited = self._awaited[sa.key] = _Awaited(child, overlap, renewal)
        return awaited

    def _expiring(self, event: SAExpiring) -> None:
        """It has carried what it may before it is renewed: that is now."""
        sa = self._node.registry.find(event.key)
        if event.hard or not isinstance(sa, SABundle):
            return
        awaited = self._awaited.get(sa.key)
        if awaited is None:
            if self._succeeded(sa):
                return  # whoever made the new one deletes this one
            awaited = self._await(sa)
            if awaited is None:
                return  # it is not configured any more
        if awaited.running is None and awaited.successor is None:
            if awaited.timer is not None:
                awaited.timer.cancel()
                awaited.timer = None
            # It may carry the rest of what it may as fast as it did what it has carried.
            lived = self._node.clock.seconds() - self._node.registry.since(sa)
            awaited.overlap = min(awaited.overlap, max(SHORTEST_OVERLAP, OVERLAP * lived))
            self._renew(sa.key)

    def _removed(self, event: Removed) -> None:
        due = self.due(event.sa)
        self._last = None if due is None else (event.sa.key, due)
        awaited = self._awaited.get(event.sa.key)
        if awaited is not None and event.why not in (Removal.DELETED, Removal.UNUSED):
            awaited.running = None  # what is under way goes on: it may bring back what is lost
        self._end(event.sa.key)

    def _succeeded(self, sa: IManagementSA | SABundle) -> bool:
        """Whether there is a newer one for the same thing."""
        since = self._node.registry.since
        return any(since(other) > since(sa) for other in others(self._node, sa))

    def _at(self, key: SAKey, seconds: float) -> None:
        self._awaited[key].timer = self._agenda.later(seconds, key)

    def _due(self, key: SAKey) -> None:
        if self._awaited[key].successor is None:
            self._renew(key)
        else:
            self._retire(key)

    def _end(self, key: SAKey) -> None:
        awaited = self._awaited.pop(key, None)
        if awaited is None:
            return
        if awaited.timer is not None:
            awaited.timer.cancel()
        if awaited.running is not None:
            awaited.running.cancel()

    # -- make ----------------------------------------------------------------------------------

    def _renew(self, key: SAKey) -> None:
        awaited = self._awaited[key]
        sa = self._node.registry.find(key)
        assert sa is not None  # else it would not be awaited
        running = awaited.running = Deferred.fromCoroutine(self._renewed(sa, awaited))
        running.addBoth(self._ended, key, awaited)

    async def _renewed(self, sa: IManagementSA | SABundle, awaited: _Awaited) -> None:
        awaited.successor = None
        endpoint = endpoint_of(self._node, sa)
        if not isinstance(sa, SABundle):
            awaited.successor = (await endpoint.reauthenticate(sa)).key
            return
        connection = self._node.policy.connection(sa.connection)
        configured = connection.child(sa.policy.name)
        if configured == awaited.child:  # else it may be for other traffic by now
            local, remote = (sa.policy.local,), (sa.policy.remote,)
            configured = replace(configured, local=local, remote=remote)
        parent = self._node.registry.find(sa.parent)
        under = parent if IManagementSA.providedBy(parent) else None
        (bundle,) = await endpoint.establish(connection, configured, under)
        awaited.successor = bundle.key

    def _ended(self, result: object, key: SAKey, awaited: _Awaited) -> None:
        awaited.running = None
        expected = PeerError, ConfigurationError, LookupError, CancelledError
        if isinstance(result, Failure) and not result.check(*expected):
            self._log.failure("an SA could not be renewed", result)
        sa = self._node.registry.find(key)
        if self._awaited.get(key) is not awaited or sa is None:
            return  # it is gone
        if awaited.successor == key:
            self._end(key)
            self._established(sa)  # renewed in place, as a session by tickets is
        elif awaited.successor is not None:
            self._at(key, awaited.overlap)
        elif self._succeeded(sa):
            self._end(key)  # the peer was faster
        else:
            self._log.info(
                "{connection}: an SA could not be renewed; it is tried again in {seconds:.0f} s",
                connection=sa.connection,
                seconds=AGAIN,
            )
            self._at(key, AGAIN)

    # -- break ---------------------------------------------------------------------------------

    def _retire(self, key: SAKey) -> None:
        """
        Delete what has been renewed.

        Not at once: while our last message is lost, the peer has only the old SA to send by.  It
        asks for that message again for as long as we would.
        """
        sa = self._node.registry.find(key)
        assert sa is not None
        successor = self._awaited[key].successor
        assert successor is not None
        if self._node.registry.find(successor) is None and not self._succeeded(sa):
            self._renew(key)  # its successor is gone before it
            return
        self._end(key)
        deleting = delete(self._node, [sa], Removal.REPLACED)
        deleting.addErrback(
            lambda failure: self._log.failure("a renewed SA could not be deleted", failure)
        )


def _seconds(sa: IManagementSA | SABundle) -> int:
    """How long it lives by what was agreed; 0: for ever."""
    if not isinstance(sa, SABundle):
        return sa.lifetime.seconds
    return min((one.lifetime.seconds for one in sa.inbound if one.lifetime.seconds), default=0)


def _renewal(configured: Connection | Child, agreed: int) -> Configured:
    """When to renew: as configured, but in time if the peer wants a shorter life."""
    renewal, seconds = configured.renewal, configured.lifetime.seconds
    if agreed and (agreed < seconds or not seconds):
        latest = agreed / MARGIN
        renewal = Configured(min(renewal.after, latest), min(renewal.spread, agreed - latest))
    return renewal
