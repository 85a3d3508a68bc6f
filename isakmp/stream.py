"""
The stream that carries events to whoever listens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from zope.interface import implementer

from isakmp.interfaces import IEvents
from isakmp.logs import Logger

E = TypeVar("E")


@implementer(IEvents)
class EventStream:
    """
    Implements IEvents: observers by kind of event, called in order, never nested.
    """

    _log = Logger()

    def __init__(self) -> None:
        self._observers: dict[type[Any], dict[object, Callable[[Any], None]]] = {}
        self._pending: deque[object] = deque()
        self._tallies: dict[object, int] = {}
        self._publishing = False

    def subscribe(self, kind: type[E], observer: Callable[[E], None]) -> Callable[[], None]:
        """
        Have ``observer`` called with every event of this class.

        :return: call it to end that, at once: also for an event that others are told already.
        """
        observers = self._observers.setdefault(kind, {})
        subscription = object()
        observers[subscription] = observer

        def unsubscribe() -> None:
            observers.pop(subscription, None)

        return unsubscribe

    def wanted(self, kind: type[Any]) -> bool:
        """Whether anybody listens; what is costly to say is not made up otherwise."""
        return bool(self._observers.get(kind))

    def tally(self, what: object) -> None:
        """Count one more of what is too frequent to be told each time."""
        self._tallies[what] = self._tallies.get(what, 0) + 1

    def tallied(self) -> Mapping[object, int]:
        """How many of each there were; a copy."""
        return dict(self._tallies)

    def publish(self, event: object) -> None:
        """
        Tell it to everyone who listens for its class.

        An event published by an observer waits for its turn, so everyone sees one order.  An
        observer that raises is logged; the others are still told.
        """
        if not self._observers.get(type(event)):
            return
        self._pending.append(event)
        if self._publishing:
            return
        self._publishing = True
        try:
            while self._pending:
                current = self._pending.popleft()
                observers = self._observers.get(type(current), {})
                for subscription, observer in tuple(observers.items()):
                    if subscription not in observers:
                        continue  # ended by one that was told before it
                    try:
                        observer(current)
                    except Exception:  # an observer's fault must not become the exchange's
                        self._log.failure("observer of {kind} failed", kind=type(current).__name__)
        finally:
            self._publishing = False
