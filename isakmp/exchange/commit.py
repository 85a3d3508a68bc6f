"""
The Commit bit, where the peer has set it.  RFC 2408 section 3.1.

Who sets it asks the other not to use what is negotiated before a notification CONNECTED.  We never
set it.  The bit stands in the header, which nothing proves: one that somebody has changed on the
way may cost a short wait, and nothing else depends on it.  CONNECTED is proven by the ISAKMP SA.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from isakmp.departures import Departures
from isakmp.errors import (
    InvalidExchangeType,
    InvalidFlags,
    PeerError,
    Reason,
    UnexpectedPayload,
)
from isakmp.exchange.informational import INFORMATIONAL
from isakmp.exchange.lenience import judge
from isakmp.exchange.notices import check_notification
from isakmp.interfaces import (
    IDomainOfInterpretation,
    IExchangeType,
    IManagementSA,
    IMessageProtection,
    INoticeProtection,
)
from isakmp.numbers import NotifyType
from isakmp.wire.message import Flags, Header, Message
from isakmp.wire.payloads import Notification


class CommitBit:
    """
    The bit in one exchange, from when the peer has set it.

    :ivar set: until the peer has said CONNECTED, or it is not waited for any more.
    :param grace: seconds to wait for that at most.
    """

    def __init__(self, clock: IReactorTime, grace: float) -> None:
        self.set = True
        self._clock = clock
        self._grace = grace
        self._waiting: Deferred[bool] | None = None
        self._timer: IDelayedCall | None = None

    @property
    def waiting(self) -> bool:
        """Whether nothing but CONNECTED is waited for."""
        return self._waiting is not None

    def wait(self, again: Callable[[], None] | None) -> Deferred[bool]:
        """
        Whether the peer says CONNECTED in time.

        Fails with what the peer says against the exchange instead: see :meth:`refused`.

        :param again: called halfway: the peer may not have our last message, or we not its answer;
            None if the last was the peer's.
        """
        waiting: Deferred[bool] = Deferred(self._cancelled)
        if not self.set:
            waiting.callback(True)
            return waiting
        self._waiting = waiting
        if again is None:
            self._timer = self._clock.callLater(self._grace, self._passed)
        else:
            self._timer = self._clock.callLater(self._grace / 2, self._halfway, again)
        return waiting

    def connected(self) -> None:
        """The peer has said it, and that it was the peer is proven."""
        self.set = False
        waiting = self._done()
        if waiting is not None:
            waiting.callback(True)

    def refused(self, error: PeerError) -> None:
        """The peer has said, proven, that the exchange has failed."""
        waiting = self._done()
        if waiting is not None:
            waiting.errback(error)

    def finish(self) -> None:
        """The exchange is over."""
        self.set = False
        self._done()

    def _cancelled(self, _: object) -> None:
        self._done()

    def _halfway(self, again: Callable[[], None]) -> None:
        self._timer = self._clock.callLater(self._grace / 2, self._passed)
        again()

    def _passed(self) -> None:
        self.set = False
        waiting = self._done()
        if waiting is not None:
            waiting.callback(False)

    def _done(self) -> Deferred[bool] | None:
        waiting, self._waiting = self._waiting, None
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        return waiting


def connected_in(
    octets: bytes,
    kind: IExchangeType,
    sa: IManagementSA,
    protection: IMessageProtection,
    doi: IDomainOfInterpretation,
    lenient: Departures,
) -> Message:
    """
    The message that says CONNECTED under the message id of the exchange it is about.

    RFC 2408 section 3.1 makes that an Informational exchange, whose cipher state is its own.
    In the source of racoon it is one more message of Quick Mode, which goes on from the message
    before.  Either way it is proven as an Informational exchange is.

    :param kind: of that exchange; ``protection`` as its last message has left it.
    :param doi: of the SA.
    :param lenient: what is overlooked in it.
    :raises PeerError: if nothing proves it, or it says something else.
    """
    header = Header.decode(octets)
    if header.exchange_type not in (INFORMATIONAL.number, kind.number):
        raise InvalidExchangeType("a message of another exchange type in this exchange")
    if not header.flags & Flags.ENCRYPTION:
        raise InvalidFlags("clear text where the message must be sealed")
    if header.exchange_type == INFORMATIONAL.number:
        opened = sa.protection(INFORMATIONAL, header.message_id)
    elif INoticeProtection.providedBy(protection):
        opened = protection.for_notice(INFORMATIONAL, header.message_id)
    else:
        raise UnexpectedPayload(Reason("a message behind the last"))
    message = opened.unseal(octets)
    notifications = message.all(Notification)
    if not any(one.kind == NotifyType.CONNECTED for one in notifications):
        raise UnexpectedPayload(Reason("a message without CONNECTED"))
    judge(message.departures, lenient)
    for notification in notifications:
        check_notification(doi, notification)
    return message
