"""
The ladder: every message that is sent and received, in words, as a line of the log.

It is drawn at level 2 of the group ENC or IKE; below that nobody listens for messages, and nothing
is computed.  What makes or proves keys is told by its size only (:mod:`isakmp.wire.render`).
"""

from __future__ import annotations

from collections.abc import Callable

from isakmp.events import MessageReceived, MessageSent
from isakmp.interfaces import IEvents
from isakmp.logs import Logger, level_of, watch
from isakmp.numbers import ExchangeType
from isakmp.paths import endpoint
from isakmp.wire.render import render

LEVEL = 2
"""From which on it is drawn."""

_SENT, _RECEIVED = ("-->", "==>"), ("<--", "<==")


class LoggedMessages:
    """
    Draws what a node sends and receives, while the levels want it.
    """

    _log = Logger(namespace="isakmp.ladder.LoggedMessages")
    _ike = Logger(namespace="isakmp.exchange.ladder")

    def __init__(self, events: IEvents) -> None:
        self._events = events
        self._subscribed: tuple[Callable[[], None], ...] = ()
        self._unwatch = watch(self._changed)
        self._changed()

    def stop(self) -> None:
        """Draw nothing any more; idempotent."""
        self._unwatch()
        self._unsubscribe()

    def _changed(self) -> None:
        if max(level_of("ENC"), level_of("IKE")) < LEVEL:
            self._unsubscribe()
        elif not self._subscribed:
            self._subscribed = (
                self._events.subscribe(MessageSent, self._sent),
                self._events.subscribe(MessageReceived, self._received),
            )

    def _unsubscribe(self) -> None:
        for unsubscribe in self._subscribed:
            unsubscribe()
        self._subscribed = ()

    def _sent(self, event: MessageSent) -> None:
        self._draw(event, "sent", _SENT[event.sealed], event.repeated)

    def _received(self, event: MessageReceived) -> None:
        self._draw(event, "received", _RECEIVED[event.sealed], False)

    def _draw(
        self, event: MessageSent | MessageReceived, direction: str, arrow: str, repeated: bool
    ) -> None:
        message = event.message
        peer = endpoint(event.path.remote)
        again = " (again)" if repeated else ""
        log = self._log if level_of("ENC") >= LEVEL else self._ike
        log.debug(
            "{line}",
            line=f"{arrow} {peer}  {render(message, proof=event.proven)}{again}",
            direction=direction,
            peer=peer,
            local=endpoint(event.path.local),
            exchange=ExchangeType(message.exchange_type).spelled,
            cookies=str(message.cookies),
            message_id=f"{message.message_id:08x}",
            sealed=event.sealed,
            repeated=repeated,
            octets=event.octets,
        )
