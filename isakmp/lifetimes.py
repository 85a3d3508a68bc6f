"""
The end of a security association's life.

RFC 2409 appendix A (life duration of an ISAKMP SA) and RFC 2407 section 4.5 (of a protection SA):
what is agreed there becomes an :class:`isakmp.interfaces.Expiry` in the registry, and here one
timer for each SA that has one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from isakmp.agenda import Agenda, Appointment
from isakmp.associations import SABundle, SAKey
from isakmp.events import Established, Removal, Removed, SAExpiring
from isakmp.interfaces import IManagementSA, INode
from isakmp.logs import Logger
from isakmp.node import delete

T = TypeVar("T")


class Lifetimes:
    """
    Has every SA of a node deleted when its time is over, those already established included.

    :param node: its registry says until when, its endpoints delete and tell the peer.
    """

    _log = Logger()

    def __init__(self, node: INode) -> None:
        self._node = node
        self._agenda: Agenda[IManagementSA | SABundle] = Agenda(node.clock, self._expire)
        self._timers: dict[SAKey, Appointment[IManagementSA | SABundle]] = {}
        self._unsubscribe: tuple[Callable[[], None], ...] = (
            node.events.subscribe(Established, lambda event: self._begin(event.sa)),
            node.events.subscribe(Removed, lambda event: self._end(event.sa)),
            node.events.subscribe(SAExpiring, self._used_up),
        )
        for sa in node.registry:
            self._begin(sa)

    @property
    def timed(self) -> Collection[SAKey]:
        """The SAs whose time will be over."""
        return self._timers.keys()

    def stop(self) -> None:
        """Leave nothing on the clock, and listen no longer; idempotent."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = ()
        timers, self._timers = self._timers, {}
        for timer in timers.values():
            timer.cancel()

    def _begin(self, sa: IManagementSA | SABundle) -> None:
        self._end(sa)
        try:
            hard = self._node.registry.expiry(sa).hard
        except LookupError:
            return  # it was removed before everybody had been told that it stands
        if hard:
            wait = max(0.0, hard - self._node.clock.seconds())
            self._timers[sa.key] = self._agenda.later(wait, sa)

    def _end(self, sa: IManagementSA | SABundle) -> None:
        timer = self._timers.pop(sa.key, None)
        if timer is not None:
            timer.cancel()

    def _used_up(self, event: SAExpiring) -> None:
        """The sink says that it has carried all it may."""
        sa = self._node.registry.find(event.key)
        if event.hard and sa is not None:
            self._end(sa)
            self._delete(sa)

    def _expire(self, sa: IManagementSA | SABundle) -> None:
        del self._timers[sa.key]
        self._delete(sa)

    def _delete(self, sa: IManagementSA | SABundle) -> None:
        deleting = maybeDeferred(delete, self._node, [sa], Removal.EXPIRED)
        deleting.addErrback(self._not_deleted, sa)
        deleting.addErrback(self._not_removed, sa)

    def _not_deleted(self, failure: Failure, sa: IManagementSA | SABundle) -> Deferred[None]:
        # The peer may not have been told; but what has expired is not used any longer.
        self._log.failure("the peer was not told that {what} expired", failure, what=str(sa.key))
        removing = maybeDeferred(self._node.registry.remove, sa, Removal.EXPIRED)
        if isinstance(sa, SABundle):
            removing.addBoth(self._uninstall, sa)
        return removing

    def _uninstall(self, result: T, bundle: SABundle) -> Deferred[T]:
        return self._node.sink.remove(bundle).addCallback(lambda _: result)

    def _not_removed(self, failure: Failure, sa: IManagementSA | SABundle) -> None:
        self._log.failure("{what} expired and could not be removed", failure, what=str(sa.key))
