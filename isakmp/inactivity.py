"""
Children that no traffic uses: they are given up after a time, as ``inactivity`` of a child says.

Only a sink knows of traffic, and it is asked once in that time at most.  That a child was not used
is believed only if what its sink has counted has not changed since it was asked before; a sink that
counts nothing ends nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from isakmp.agenda import Agenda, Appointment
from isakmp.associations import SABundle, SPIKey, Usage
from isakmp.events import Established, Removal, Removed
from isakmp.interfaces import INode
from isakmp.logs import Logger
from isakmp.node import delete

STEP = 1.5
"""Seconds by which two clocks may differ before one of them was set."""

SOONEST = 1.0
"""Seconds until a sink is asked again, at least."""

_Counts = tuple[int, int]


@dataclass(slots=True, eq=False)
class _Watched:
    """
    A child that is given up when nothing uses it.

    :ivar limit: seconds for which it may be idle.
    :ivar counts: packets that had come and gone when its sink was asked last.
    :ivar asked: when that was, by the node's clock; ``wall`` by the one that sinks use.
    """

    bundle: SABundle
    limit: float
    counts: _Counts
    asked: float
    wall: float
    timer: Appointment[SPIKey] | None = None


class Inactivity:
    """
    Has every child of a node deleted that no traffic has used for the time its configuration says.

    It counts from when the child came up, and anew from each renewal.

    :param wall: seconds since 1970, as sinks tell of the last packet.
    """

    _log = Logger()

    def __init__(self, node: INode, wall: Callable[[], float] = time.time) -> None:
        self._node = node
        self._wall = wall
        self._agenda: Agenda[SPIKey] = Agenda(node.clock, self._due)
        self._watched: dict[SPIKey, _Watched] = {}
        self._told = False
        self._unsubscribe: tuple[Callable[[], None], ...] = (
            node.events.subscribe(Established, self._established),
            node.events.subscribe(Removed, lambda event: self._forget(event.sa.key)),
        )

    def stop(self) -> None:
        """End nothing any more, and leave nothing on the clock; idempotent."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = ()
        for key in tuple(self._watched):
            self._forget(key)

    def _established(self, event: Established) -> None:
        bundle = event.sa
        if isinstance(bundle, SABundle) and bundle.policy.handling.inactivity:
            self._forget(bundle.key)
            limit = float(bundle.policy.handling.inactivity)
            watched = _Watched(bundle, limit, (0, 0), self._node.clock.seconds(), self._wall())
            self._watched[bundle.key] = watched
            watched.timer = self._agenda.later(limit, bundle.key)

    def _forget(self, key: object) -> None:
        if isinstance(key, SPIKey) and (watched := self._watched.pop(key, None)) is not None:
            if watched.timer is not None:
                watched.timer.cancel()

    def _due(self, key: SPIKey) -> None:
        watched = self._watched[key]
        watched.timer = None
        asking = maybeDeferred(self._node.sink.query, watched.bundle)
        asking.addCallback(self._answered, watched).addErrback(self._failed, watched)

    def _answered(self, usage: Usage, watched: _Watched) -> Deferred[None] | None:
        key = watched.bundle.key
        if self._watched.get(key) is not watched:
            return None  # it is gone
        if not usage.counted:
            if not self._told:
                self._told = True
                self._log.warn(
                    "inactivity: the sink {sink} does not tell of traffic: no child is ended by it",
                    sink=self._node.sink.name,
                )
            self._again(watched, watched.limit)
            return None
        counts = usage.packets_in, usage.packets_out
        if counts != watched.counts:
            idle = self._idle(usage, watched)
            watched.counts = counts
            self._again(watched, watched.limit - idle)
            return None
        self._log.info(
            "{connection}/{child}: no traffic in {seconds:.0f} s, so it ends",
            connection=watched.bundle.connection,
            child=watched.bundle.policy.name,
            seconds=watched.limit,
        )
        self._forget(key)
        return delete(self._node, [watched.bundle], Removal.UNUSED)

    def _idle(self, usage: Usage, watched: _Watched) -> float:
        """
        For how long nothing has passed.

        It was used since it was asked before, so it is not more than that.  If the clock by which
        sinks tell the time was set meanwhile, or the sink does not tell it, nothing can be said.
        """
        passed = self._node.clock.seconds() - watched.asked
        if abs(self._wall() - watched.wall - passed) > STEP:
            return 0.0
        last = max(usage.last_in, usage.last_out)
        if not last:
            return 0.0
        since = self._wall() - last
        return min(max(0.0, since), passed)

    def _again(self, watched: _Watched, seconds: float) -> None:
        watched.asked, watched.wall = self._node.clock.seconds(), self._wall()
        watched.timer = self._agenda.later(max(SOONEST, seconds), watched.bundle.key)

    def _failed(self, failure: Failure, watched: _Watched) -> None:
        self._log.failure("{child}: inactivity", failure, child=watched.bundle.name)
        if self._watched.get(watched.bundle.key) is watched and watched.timer is None:
            self._again(watched, watched.limit)
