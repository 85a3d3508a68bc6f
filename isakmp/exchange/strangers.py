"""
Strangers: who opens with a first message, and has not shown yet that its address is its own.

RFC 2408 section 2.5.3: the answer carries a cookie, and nothing runs before that has come back, but
what cannot wait for it.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure

from isakmp.connections import Candidates, Connection
from isakmp.departures import NONE
from isakmp.errors import ExchangeTimeout, InvalidCookie, LimitReached, PeerError, Reason
from isakmp.events import MessageReceived, MessageSent
from isakmp.exchange.conversation import Conversation, Report
from isakmp.exchange.conversations import Conversations
from isakmp.exchange.exchange import Exchange
from isakmp.exchange.half_open import HalfOpen, HalfOpenTable
from isakmp.exchange.openings import Opening, Openings
from isakmp.exchange.refusals import Bucket, Refusals
from isakmp.interfaces import INode
from isakmp.logs import Logger
from isakmp.parts import INITIATOR, RESPONDER
from isakmp.paths import Datagram
from isakmp.wire.message import CookiePair, Header, Message


class Strangers:
    """
    Answers first messages within the node's bounds, and begins exchanges when cookies come back.

    :param conversations: where those are put that have come back.
    :param report: told of what the conversations drop.
    :param run: takes charge of an exchange that a peer begins.
    :ivar half_open: who was answered, and has not come back yet.
    :ivar openings: what was understood of late.
    """

    _log = Logger()

    def __init__(
        self,
        node: INode,
        conversations: Conversations,
        refusals: Refusals,
        report: Report,
        run: Callable[[Exchange], None],
    ) -> None:
        self._node = node
        self._conversations = conversations
        self._refusals = refusals
        self._report = report
        self._run = run
        self.half_open = HalfOpenTable(node.clock, node.limits)
        self.openings = Openings(node)
        self._at_once = Bucket(
            node.clock, node.limits.aggressive_per_second, node.limits.aggressive_per_second
        )

    def beginning(self, cookies: CookiePair) -> Conversation | None:
        """The one that is to become the SA of these cookies, as responder; it may be half open."""
        half_open = self.half_open.find(cookies)
        if half_open is None:
            return self._conversations.answered(cookies)
        return None if half_open.exchange is None else half_open.exchange.conversation

    def newcomer(self, header: Header, datagram: Datagram) -> None:
        """Message 1: answer it, remember it, and run nothing."""
        made = self._node.cookies.responder(
            datagram.path, header.cookies.initiator, datagram.octets
        )
        cookies = CookiePair(header.cookies.initiator, made)
        half_open = self.half_open.find(cookies)
        if half_open is not None:
            self._answer_again(half_open)
            return
        conversation = self._conversations.answered(cookies)
        if conversation is not None:
            conversation.datagram_received(datagram)
            return
        if self._node.registry.find(cookies) is not None:
            return  # a late copy of a message that has led to an SA
        try:
            opening = self.openings.read(datagram.octets)
            candidates = self.openings.candidates(opening, datagram.path)
            if not opening.kind.waits_for_cookie:
                self._begin_at_once(opening, candidates, cookies, datagram)
                return
            answer = opening.answer_to(candidates)
            if answer and not self._watched:
                answer = cookies.octets + answer
                self._node.ports.send(Datagram(answer, datagram.path))
                self.half_open.add(cookies, datagram, answer)
                return
            exchange = self._exchange(opening, candidates, cookies, datagram)
        except PeerError as error:
            self._refusals.dropped(error, datagram, cookies, first=True)
            return
        # Run it for its answer only; message 3 will bring it back, and with it a proven address.
        exchange.conversation.datagram_received(datagram)
        exchange.start().addErrback(self._no_answer, datagram, cookies)
        answer = exchange.conversation.sent
        if answer:
            self.openings.remember(opening, candidates, answer, exchange.method)
            self.half_open.add(cookies, datagram, answer)
        exchange.abandon()

    def _begin_at_once(
        self,
        opening: Opening,
        candidates: Candidates[Connection],
        cookies: CookiePair,
        datagram: Datagram,
    ) -> None:
        """
        An exchange that cannot wait for our cookie runs from message 1 on; until the cookie comes
        back it is half open all the same, and is given up as such.
        """
        if not self._at_once.take():
            raise LimitReached(Reason(f"{opening.kind.name} exchanges begun in a second"))
        exchange = self._exchange(opening, candidates, cookies, datagram)
        assert exchange.conversation.budget is not None
        exchange.conversation.budget += self._node.limits.aggressive_octets
        self.half_open.add(cookies, datagram, b"", exchange)
        exchange.conversation.datagram_received(datagram)
        exchange.start().addErrback(self._ended_half_open, datagram, exchange)

    def _ended_half_open(
        self, failure: Failure, datagram: Datagram, exchange: Exchange
    ) -> Failure | None:
        conversation = exchange.conversation
        if self._conversations.runs(conversation):
            return failure  # its cookie had come back
        self.half_open.remove(conversation.cookies)
        error = failure.value
        arrow = error.reason.arrow if isinstance(error, PeerError) else None
        if arrow is not None and arrow.sender is INITIATOR:
            # Refused for what it says: nothing was computed, and others shall not wait for that.
            self._at_once.give_back()
        if not failure.check(CancelledError, ExchangeTimeout):
            self._no_answer(failure, datagram, conversation.cookies)
        exchange.release()
        return None

    @property
    def _watched(self) -> bool:
        """Whether anybody listens to what is said; then nothing is said unheard."""
        events = self._node.events
        return events.wanted(MessageSent) or events.wanted(MessageReceived)

    def _answer_again(self, half_open: HalfOpen) -> None:
        """Message 1 once more: message 2 once more, from memory."""
        if half_open.exchange is not None:
            # The answer may be longer than the question, but not each time it is asked.
            if half_open.answerable_again(self._node.limits.aggressive_octets):
                half_open.exchange.conversation.say_again()
            return
        path, octets = half_open.first.path, half_open.answer
        self._node.ports.send(Datagram(octets, path))
        if self._node.events.wanted(MessageSent):
            message = Message.decode(octets)
            self._node.events.publish(MessageSent(path, message, False, len(octets), True))

    def _no_answer(self, failure: Failure, datagram: Datagram, cookies: CookiePair) -> None:
        error = failure.value
        if isinstance(error, PeerError):
            if not error.reported:
                self._refusals.dropped(error, datagram, cookies, first=True)
        else:
            self._log.failure("message 1 could not be answered", failure)

    def _exchange(
        self,
        opening: Opening,
        candidates: Candidates[Connection],
        cookies: CookiePair,
        first: Datagram,
    ) -> Exchange:
        conversation = Conversation(
            self._node,
            opening.kind,
            RESPONDER,
            first.path,
            cookies,
            intervals=candidates.first.intervals,
            lenient=NONE.union(*[c.lenient for c in candidates.remaining]),
            report=self._report,
        )
        conversation.budget = len(first.octets)
        return Exchange(self._node, conversation, opening.doi, candidates)

    def returned(self, half_open: HalfOpen, datagram: Datagram) -> None:
        """Our cookie came back: begin in earnest, with message 1 as it was received."""
        if half_open.first.path != datagram.path:
            raise InvalidCookie("the responder's cookie came back from another address")
        address = datagram.path.remote[0]
        limits = self._node.limits
        if self._conversations.unproven[address] >= limits.conversations_per_address:
            raise LimitReached(Reason("exchanges running with one unproven address", address))
        if len(self._conversations.strangers) >= limits.conversations:
            raise LimitReached(Reason("exchanges running with unproven peers"))
        cookies, first = half_open.cookies, half_open.first
        if half_open.exchange is not None:
            exchange = half_open.exchange
            self.half_open.remove(cookies)
            self._conversations.open(exchange.conversation)
            self._run(exchange)
            exchange.conversation.datagram_received(datagram)
            return
        opening = self.openings.read(first.octets)
        candidates = self.openings.candidates(opening, first.path)
        exchange = self._exchange(opening, candidates, cookies, first)
        exchange.take_up(
            opening.message(cookies),
            opening.answer_message(half_open.answer),
            opening.resumable(candidates, half_open.answer),
        )
        exchange.conversation.take_up(first.octets, half_open.answer)
        self.half_open.remove(cookies)
        self._conversations.open(exchange.conversation)
        exchange.conversation.datagram_received(datagram)
        self._run(exchange)
