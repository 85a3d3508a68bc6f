"""
Send, wait, repeat: what every exchange needs and none of them mentions.

A :class:`Conversation` is the octets' half of one exchange.  It seals and unseals, repeats what
nobody answers, repeats its last message to a peer that repeats its own, and decides which datagrams
reach the exchange.  A message that makes no sense dies here; the exchange goes on waiting
(RFC 2408 section 5).

Proof is checked in ``unseal``, on a copy of the cipher state: a forged message advances no IV.
Nothing that is dropped ends an exchange by itself.  Some of it shortens the exchange's *patience*:
what the method refused, a sealed message that cannot be read while none has been readable yet, a
notification in clear text.  The exchange then ends with that reason after a grace, if nothing
better comes, so that an honest mistake fails soon and a forgery does not win.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache

from twisted.internet.defer import Deferred

from isakmp.connections import Intervals
from isakmp.departures import NONE, Departures
from isakmp.errors import (
    InvalidExchangeType,
    PeerError,
    Unreadable,
)
from isakmp.events import MessageReceived, MessageSent, NotificationReceived, Tally
from isakmp.exchange.commit import CommitBit, connected_in
from isakmp.exchange.informational import INFORMATIONAL
from isakmp.exchange.lenience import judge
from isakmp.exchange.patience import Patience
from isakmp.exchange.reading import Expected, check_expected, cookies_after, read
from isakmp.exchange.verdicts import Verdict
from isakmp.interfaces import (
    IExchangeType,
    IManagementSA,
    IMessageProtection,
    INode,
)
from isakmp.logs import Logger
from isakmp.parts import INITIATOR, RESPONDER, Role
from isakmp.paths import Datagram, Path, endpoint
from isakmp.wire.message import CookiePair, Flags, Header, Message
from isakmp.wire.payloads import Notification, Payload

Report = Callable[[PeerError, Datagram, "Conversation", bool], None]
"""Told what was dropped, and whether it was proven that the peer had said it."""

_ENCRYPTION = int(Flags.ENCRYPTION)
_COMMIT = int(Flags.COMMIT)

_EXCHANGE_TYPE = 18
_FLAGS = 19
"""Where they stand in a message."""

_tally = lru_cache(maxsize=128)(Tally)  # there are as many as exchange types, four times


class Conversation:
    """
    One exchange with one peer, over datagrams that may be lost, doubled, delayed or forged.

    :ivar cookies: complete once message 2 is accepted.
    :ivar path: both ends; follows the last accepted message that was sealed.
    :ivar protection: what seals; None while the exchange is in clear text.
    :param proven: whether every message's proof is checked in ``unseal``: phase 2.
    :param lenient: what is overlooked in the peer's messages: see :mod:`isakmp.departures`.
    :param report: told of every datagram that was dropped or refused.
    :ivar verdict: what it will end with if nothing better comes.
    :ivar untold: what was refused, and the peer is yet to be told of.
    :ivar answers: whether the last word was ours, so that a repeated question is answered again.
    """

    _log = Logger()

    def __init__(
        self,
        node: INode,
        kind: IExchangeType,
        role: Role,
        path: Path,
        cookies: CookiePair,
        message_id: int = 0,
        *,
        protection: IMessageProtection | None = None,
        proven: bool = False,
        intervals: Intervals = Intervals(),
        lenient: Departures = NONE,
        report: Report,
    ) -> None:
        self.kind = kind
        self.role = role
        self.path = path
        self.cookies = cookies
        self.message_id = message_id
        self.protection = protection
        self.proven = proven
        self.intervals = intervals
        self.lenient = lenient
        self.budget: int | None = None
        """Octets that the next message may have: an address that has proved nothing."""
        self.flags = 0
        """Of the header of what we say, besides that of encryption."""
        self.may_be_clear = False
        """Whether the peer may say in clear text what should be sealed."""
        self.finished = False
        self.answers = False
        self.untold: tuple[PeerError, Datagram] | None = None
        self.sa: IManagementSA | None = None
        """Under which it runs, as its exchange says."""
        self.commit: CommitBit | None = None
        """What becomes of the Commit bit, where the peer has set it."""
        self.read_with: IMessageProtection | None = None
        """The state of the cipher after the message that came last, if that was opened."""
        self.verdict = Verdict(node.limits.drops)
        self._node = node
        self._report = report
        self._sent = b""
        self._message: Message | None = None
        self._sealed = False
        self._preopened: tuple[bytes, Message, IMessageProtection] | None = None
        self._accepted: list[bytes] = []
        self.refused: deque[bytes] = deque(maxlen=node.limits.drops)
        """Octets of the last datagrams that were refused: they are not looked at again."""
        self._opened = proven
        self._before = cookies, protection, path
        self._datagram: Datagram | None = None
        self._expects: Expected = ()
        self._waiting: Deferred[Message] | None = None
        self._queued: Datagram | None = None
        self._patience = Patience(node.clock, intervals.total)

    # -- saying --------------------------------------------------------------------------------

    def send(self, payloads: Sequence[Payload]) -> None:
        """
        Send our next message, once; :meth:`receive` repeats it until it is answered.
        """
        message = Message(
            self.cookies, self.kind.number, self.flags, self.message_id, tuple(payloads)
        )
        octets = message.encode() if self.protection is None else self.protection.seal(message)
        self.budget = None
        self._sent = octets
        self._message = message
        self._sealed = bool(octets[_FLAGS] & _ENCRYPTION)
        self.answers = True
        self._transmit(repeated=False)
        self.verdict.renew()
        # A responder never repeats on its own to an address that has proved nothing.
        repeats = self.role is INITIATOR or self.proven
        waits = self.intervals.waits[:-1] if repeats and not self.kind.one_way else ()
        self._patience.renew(waits)

    @property
    def waiting(self) -> bool:
        """Whether the exchange waits for a message of the peer's."""
        return self._waiting is not None

    @property
    def unproven(self) -> bool:
        """Whether there are keys, and nothing that the peer has sealed was opened with them yet."""
        return self.protection is not None and not self._opened

    @property
    def sent(self) -> bytes:
        """Our last message's octets; empty if there was none."""
        return self._sent

    def take_up(self, heard: bytes, said: bytes) -> None:
        """
        The first message has come already, and was answered, before this conversation began.
        """
        self._accepted.append(heard)
        self._sent = said
        self.answers = True
        self.budget = None

    def say_again(self) -> None:
        """
        Our last message, once, because the peer seems not to have it, or we not its answer.
        """
        if self._sent and not self.finished:
            self._transmit(repeated=True)

    def opened(self, octets: bytes, message: Message, protection: IMessageProtection) -> None:
        """
        The datagram of these octets was unsealed already, and this is what came of it.
        """
        self._preopened = octets, message, protection

    def _transmit(self, repeated: bool) -> None:
        self._node.ports.send(Datagram(self._sent, self.path))
        self._node.events.tally(_tally(self.kind.number, self.role is INITIATOR, True))
        if self._node.events.wanted(MessageSent):
            size = len(self._sent)
            message = self._message or Message.decode(self._sent, self.kind.payloads)
            self._node.events.publish(
                MessageSent(self.path, message, self._sealed, size, repeated, proven=self.proven)
            )

    # -- hearing -------------------------------------------------------------------------------

    def receive(self, expects: Expected) -> Deferred[Message]:
        """
        The peer's next message that makes sense and carries at least these payloads.

        Fails with :class:`isakmp.errors.ExchangeTimeout`, or with what shortened our patience.
        """
        self._expects = expects
        waiting: Deferred[Message] = Deferred(self._cancelled)
        self._waiting = waiting
        queued, self._queued = self._queued, None
        if queued is not None:
            self.datagram_received(queued)
        if self._waiting is waiting:
            self._schedule()
        return waiting

    def datagram_received(self, datagram: Datagram) -> None:
        """
        Take a datagram that bears our cookies and message id.
        """
        octets = datagram.octets
        if octets == self._sent:
            return  # our own words, sent back to us
        if self._accepted and octets == self._accepted[-1]:
            # The peer repeats itself, so our answer was lost: one datagram for one.  An initiator
            # repeats by the clock while it waits; if both answered repeats, they would never stop.
            last = self.finished or (self.commit is not None and self.commit.waiting)
            if self.answers and (self.role is RESPONDER or last):
                self._transmit(repeated=True)
            return
        if octets in self._accepted or octets in self.refused or self.finished:
            return
        if self.commit is not None and self.commit.set:
            if self.commit.waiting or octets[_EXCHANGE_TYPE] == INFORMATIONAL.number:
                self._hear_connected(datagram, self.commit)
                return
        if self._waiting is None:
            # The exchange is asking a store; one more datagram may wait for it, no queue.
            if self._queued is None:
                self._queued = datagram
            return
        self._before = self.cookies, self.protection, self.path
        self.read_with = None
        try:
            message = self._read(datagram)
        except PeerError as error:
            self._drop(error, datagram)
            return
        self._accepted.append(octets)
        self._datagram = datagram
        self.answers = False
        if octets[_FLAGS] & _COMMIT and self.commit is None:
            if self.sa is not None and self.kind.establishes:
                self.commit = CommitBit(self._node.clock, self._node.limits.grace)
        # The timer goes on: almost always there is one more message to wait for.
        waiting, self._waiting = self._waiting, None
        self._received(datagram, message)
        waiting.callback(message)

    def _received(self, datagram: Datagram, message: Message) -> None:
        octets = datagram.octets
        self._node.events.tally(
            _tally(message.exchange_type, self.role is RESPONDER, False)
        )
        if self._node.events.wanted(MessageReceived):
            sealed = bool(octets[_FLAGS] & _ENCRYPTION)
            self._node.events.publish(
                MessageReceived(datagram.path, message, sealed, len(octets), proven=self.proven)
            )

    def _hear_connected(self, datagram: Datagram, commit: CommitBit) -> None:
        """Under the message id of this exchange the peer may say that it is complete."""
        sa, protection = self.sa, self.protection
        assert sa is not None and protection is not None
        try:
            doi = self._node.dois[sa.doi]
            message = connected_in(
                datagram.octets, self.kind, sa, protection, doi, self.lenient
            )
        except PeerError as error:
            self._drop(error, datagram)
            return
        self._received(datagram, message)
        for notification in message.all(Notification):
            self._node.events.publish(
                NotificationReceived(datagram.path, notification.kind, authenticated=True)
            )
        commit.connected()

    def _read(self, datagram: Datagram) -> Message:
        """Decode, prove, and check what this arrow needs; commit only when all of it holds."""
        octets = datagram.octets
        header = Header.decode(octets)
        if header.exchange_type != self.kind.number:
            raise InvalidExchangeType("a message of another exchange type in this exchange")
        first = not self._accepted and not self.message_id
        cookies = cookies_after(header.cookies, self.cookies, self.role, first)
        protection: IMessageProtection | None
        if self._preopened is not None and self._preopened[0] == octets:
            _, message, protection = self._preopened
            self._preopened = None
        else:
            message, protection = read(
                octets, header.flags, self.kind, self.protection, self.may_be_clear
            )
            self.read_with = protection
        if message.departures:
            judge(message.departures, self.lenient)
        check_expected(message, self._expects)
        # What was in clear text proves nothing of what sealed messages prove: path and cipher state
        # stay.
        if protection is not None:
            self.protection, self._opened = protection, True
            if datagram.path != self.path:  # else the one that its SA has already
                self.path = datagram.path
        self.cookies = cookies
        return message

    # -- patience ------------------------------------------------------------------------------

    def _drop(self, error: PeerError, datagram: Datagram) -> None:
        self._remember(error, datagram.octets)
        if isinstance(error, Unreadable) and not self._opened:
            self.lose_patience(error)
        self._report(error, datagram, self, False)

    def refuse(self, error: PeerError) -> None:
        """
        The method does not take the message last delivered: forget it, and hope for a better one.

        :raises PeerError: this error, if there is nothing to hope for: the message was proven, it
            was the first, or too many have been refused that were in clear text, where each can
            cost a key agreement.
        """
        self.cookies, self.protection, self.path = self._before
        self.answers = bool(self._sent)
        octets = self._accepted.pop()
        self._remember(error, octets)
        self.verdict.refused += self.protection is None
        datagram = self._datagram
        assert datagram is not None
        first = self.role is RESPONDER and not self._accepted
        self._report(error, datagram, self, self.proven)
        error.reported = True
        if self.proven or first or self.verdict.refused >= self._node.limits.refusals:
            raise error
        self.lose_patience(error)

    def _remember(self, error: PeerError, octets: bytes) -> None:
        self.verdict.note(error)
        self.refused.append(octets)

    def lose_patience(self, error: PeerError) -> None:
        """
        Wait no longer than for a time of grace, and end with that, or what was found before it.
        """
        self.verdict.incline(error)
        self._patience.shorten(self._node.limits.grace)
        self._schedule()

    # -- time ----------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if self._waiting is None:
            self._patience.stop()
        else:
            self._patience.wait(self._due)

    def _due(self, over: bool) -> bool:
        if self._waiting is None:
            return False
        if over:
            peer, begun = endpoint(self.path.remote), bool(self._sent)
            self.end(self.verdict.of_silence(peer, begun, self.unproven))
        else:
            self._transmit(repeated=True)
        return self._waiting is not None

    def end(self, error: PeerError) -> None:
        """
        What is waited for will not come; nothing else is heard any more.
        """
        self._patience.stop()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.errback(error)

    def _cancelled(self, _: object) -> None:
        self._waiting = None
        self._patience.stop()

    def finish(self) -> None:
        """
        The exchange has its result; from now on only a repeated question is answered, repeatedly.
        """
        self.finished = True
        if self.commit is not None:
            self.commit.finish()
        self._queued = None
        self._waiting = None
        self._patience.stop()
