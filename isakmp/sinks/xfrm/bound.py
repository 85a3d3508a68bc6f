"""
What is bound to an interface by its name: the kernel binds policies by its number.

An interface that goes and comes again, as that of a dialled line does, has another number then, and
what leaves by it is for no policy with the old one: it would go in clear.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred

from isakmp.errors import ConfigurationError, LimitReached
from isakmp.logs import Logger
from isakmp.sinks.xfrm.link import Link
from isakmp.sinks.xfrm.netlink import Message
from isakmp.sinks.xfrm.policies import index_of

GROUP_LINK = 1 << 0
"""Of rtnetlink: what becomes of interfaces."""

SETTLE = 0.1
"""Seconds from a change of interfaces until they are looked at: many come together."""


@dataclass(frozen=True, slots=True)
class _Bound:
    """
    :ivar index: that the interface had.
    :ivar again: sets it once more.
    """

    interface: str
    index: int
    again: Callable[[], Awaitable[object]]


class BoundToInterfaces:
    """
    Sets again what is bound to an interface that has another number now.

    :param listen: opens what tells of interfaces.
    :param in_turn: runs what must not fall into the midst of another change.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        listen: Callable[[Callable[[Message], object], Callable[[], object]], Link],
        in_turn: Callable[[Callable[[], Coroutine[Deferred[Any], Any, None]]], Deferred[None]],
    ) -> None:
        self._reactor = reactor
        self._listen = listen
        self._in_turn = in_turn
        self._bound: dict[str, _Bound] = {}
        self._link: Link | None = None
        self._timer: Any = None

    def keep(self, owner: str, interface: str, again: Callable[[], Awaitable[object]]) -> None:
        """
        From now on what an owner has set is bound to this interface; empty: to none.

        :param again: sets it once more, and calls this again.
        """
        if not interface:
            self.forget(owner)
            return
        try:
            if self._link is None:
                self._link = self._listen(lambda message: self._changed(), self._changed)
        except OSError as error:
            self._log.warn("nothing is heard of interfaces: {why}", why=error)
        self._bound[owner] = _Bound(interface, _index(interface), again)

    def forget(self, owner: str) -> None:
        """It is not there any more; idempotent."""
        self._bound.pop(owner, None)
        if not self._bound:
            self.stop()

    def stop(self) -> None:
        """Listen no more, and leave nothing on the clock; idempotent."""
        self._bound.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._link is not None:
            self._link.close()
            self._link = None

    def _changed(self) -> None:
        if self._timer is None:
            self._timer = self._reactor.callLater(SETTLE, self._due)

    def _due(self) -> None:
        self._timer = None
        self._in_turn(self._look).addErrback(
            lambda failure: self._log.failure("interfaces cannot be looked at", failure)
        )

    async def _look(self) -> None:
        for owner, bound in tuple(self._bound.items()):
            index = _index(bound.interface)
            # Where it is gone, nothing leaves by it.
            if index in (0, bound.index) or self._bound.get(owner) is not bound:
                continue
            try:
                await bound.again()
            except (OSError, ConfigurationError, LimitReached) as error:
                self._log.error(
                    "{child}: its interface {line} is a new one, "
                    "and it is not bound to that: {why}",
                    child=owner,
                    line=bound.interface,
                    why=error,
                )
            else:
                self._log.info(
                    "{child}: its interface {line} is a new one, and it is bound to that",
                    child=owner,
                    line=bound.interface,
                )


def _index(interface: str) -> int:
    """0: there is none of this name."""
    try:
        return index_of(interface)
    except OSError:
        return 0
