"""
Which conversation a datagram belongs to, and what becomes of one that belongs to none.

The header decides (RFC 2408 section 3.1): the cookies name the ISAKMP SA, the message id the
exchange under it.  Everything here is answered at once, from memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import TypeVar

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from isakmp.connections import Candidates, Connection
from isakmp.departures import NONE
from isakmp.errors import (
    ExchangeTimeout,
    InvalidCookie,
    InvalidFlags,
    InvalidMajorVersion,
    InvalidMessageID,
    InvalidMinorVersion,
    LimitReached,
    PeerError,
    Reason,
    UnequalPayloadLengths,
    UnsupportedExchangeType,
)
from isakmp.events import MessageReceived, MessageSent
from isakmp.exchange.conversation import Conversation
from isakmp.exchange.exchange import Exchange
from isakmp.exchange.half_open import HalfOpen, HalfOpenTable
from isakmp.exchange.informational import check_authentication_only
from isakmp.exchange.notices import check_type
from isakmp.exchange.objections import Objections
from isakmp.exchange.openings import Opening, Openings
from isakmp.exchange.refusals import Bucket, Refusals, answerable
from isakmp.exchange.rules import RESERVED, judge
from isakmp.exchange.types import exchange_type
from isakmp.interfaces import (
    IManagementSA,
    INode,
)
from isakmp.logs import Logger
from isakmp.numbers import ExchangeType
from isakmp.parts import INITIATOR, RESPONDER
from isakmp.paths import Datagram, Path
from isakmp.wire.message import DEFINED_FLAGS, CookiePair, Flags, Header, Message
from isakmp.wire.payloads import Notification

_ENCRYPTION = int(Flags.ENCRYPTION)
_AUTHENTICATION_ONLY = int(Flags.AUTHENTICATION_ONLY)

_EXCHANGE_TYPE = 18
"""Offset of that octet in the header."""

_Key = tuple[bytes, bytes, int]
_K = TypeVar("_K")


def _forget(counter: Counter[_K], key: _K) -> None:
    """One less; nothing stays of a key that counts nothing."""
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]


class Demultiplexer:
    """
    The running conversations of a node, and the door for strangers.

    :param run: takes charge of an exchange that a peer begins.
    """

    _log = Logger()

    def __init__(
        self,
        node: INode,
        refusals: Refusals,
        objections: Objections,
        run: Callable[[Exchange], None],
    ) -> None:
        self._node = node
        self._refusals = refusals
        self._objections = objections
        self._run = run
        self.half_open = HalfOpenTable(node.clock, node.limits)
        self._openings = Openings(node)
        self._at_once = Bucket(
            node.clock, node.limits.aggressive_per_second, node.limits.aggressive_per_second
        )
        self._conversations: dict[_Key, Conversation] = {}
        self._lingering: dict[CookiePair, dict[Conversation, IDelayedCall]] = {}
        self._strangers: dict[Conversation, str] = {}
        self._unproven: Counter[str] = Counter()
        self._answering: Counter[CookiePair] = Counter()

    def __len__(self) -> int:
        return len(self._conversations)

    # -- the tables ----------------------------------------------------------------------------

    @staticmethod
    def _key(conversation: Conversation) -> _Key:
        cookies = conversation.cookies
        if conversation.message_id == 0 and conversation.role is INITIATOR:
            return cookies.initiator, b"", 0  # the responder's cookie is not known at first
        return cookies.initiator, cookies.responder, conversation.message_id

    def open(self, conversation: Conversation) -> None:
        """Route this conversation's datagrams to it, until it is closed."""
        self._conversations[self._key(conversation)] = conversation
        if conversation.role is RESPONDER:
            if conversation.proven:
                self._answering[conversation.cookies] += 1
            else:
                address = conversation.path.remote[0]
                self._strangers[conversation] = address
                self._unproven[address] += 1

    def settled(self, conversation: Conversation) -> None:
        """It no longer counts against the bounds of what strangers may have running."""
        address = self._strangers.pop(conversation, None)
        if address is not None:
            _forget(self._unproven, address)

    def linger(self, conversation: Conversation) -> None:
        """Keep one that has its result for as long as the peer may repeat its last question."""
        if conversation.answers:
            lingering = self._lingering.setdefault(conversation.cookies, {})
            lingering[conversation] = self._node.clock.callLater(
                conversation.intervals.total, self.close, conversation
            )
        else:
            self.close(conversation)

    def close(self, conversation: Conversation) -> None:
        """Forget it; idempotent."""
        lingering = self._lingering.get(conversation.cookies, {})
        timer = lingering.pop(conversation, None)
        if timer is not None:
            if timer.active():
                timer.cancel()
            if not lingering:
                del self._lingering[conversation.cookies]
        self.settled(conversation)
        key = self._key(conversation)
        if self._conversations.get(key) is conversation:
            del self._conversations[key]
            if conversation.role is RESPONDER and conversation.proven:
                _forget(self._answering, conversation.cookies)

    def forget(self, cookies: CookiePair) -> None:
        """An SA is gone: the last messages by which it and its children came up are, too."""
        for conversation in tuple(self._lingering.get(cookies, ())):
            self.close(conversation)

    def close_all(self) -> None:
        """Forget everything."""
        for conversation in tuple(self._conversations.values()):
            self.close(conversation)
        self.half_open.close()

    # -- arrivals ------------------------------------------------------------------------------

    def datagram_received(self, datagram: Datagram) -> None:
        """Route one datagram; whatever is wrong with it ends here."""
        try:
            header = Header.decode(datagram.octets)
        except UnequalPayloadLengths as error:
            # All of the header is there, but for its length.
            octets = datagram.octets
            cookies = CookiePair(octets[:8], octets[8:16])
            informational = octets[_EXCHANGE_TYPE] == ExchangeType.INFORMATIONAL
            told = not informational and self._speaking(cookies, datagram.path)
            self._refusals.dropped(error, datagram, cookies if told else None)
            return
        except PeerError as error:
            self._refusals.dropped(error, datagram)
            return
        try:
            self._route(header, datagram)
        except PeerError as error:
            speaking = self._speaking(header.cookies, datagram.path)
            self._refusals.dropped(error, datagram, answerable(error, header, speaking))

    def undelivered(self, datagram: Datagram, why: str) -> None:
        """What is quoted of a datagram of ours names the exchange that it was sent in."""
        octets, remote = datagram.octets, datagram.path.remote
        cookies = CookiePair(octets[:8], octets[8:16])
        message_id = int.from_bytes(octets[20:24], "big")
        conversation = (
            self._conversations.get((cookies.initiator, cookies.responder, message_id))
            if message_id
            else self._conversation(cookies)
        )
        if conversation is not None and conversation.path.remote == remote:
            self._objections.undelivered(conversation, why)

    def _speaking(self, cookies: CookiePair, path: Path) -> bool:
        """
        Whether a peer is in an exchange with us that has no keys yet, where that peer is.

        Later, what is not sealed could be from anybody; it is dropped and nobody is told.
        """
        half_open = self.half_open.find(cookies)
        if half_open is not None:
            return half_open.first.path == path
        conversation = self._conversation(cookies)
        if conversation is None or conversation.finished or conversation.protection is not None:
            return False
        return conversation.path == path

    def _conversation(self, cookies: CookiePair) -> Conversation | None:
        """Of phase 1."""
        return self._conversations.get(
            (cookies.initiator, b"", 0)
        ) or self._conversations.get((cookies.initiator, cookies.responder, 0))

    def _route(self, header: Header, datagram: Datagram) -> None:
        if header.major != 1:
            raise InvalidMajorVersion(Reason("major version", str(header.major), "1"))
        if header.version & 0xF:
            raise InvalidMinorVersion(Reason("minor version", str(header.version & 0xF), "0"))
        if header.flags & ~DEFINED_FLAGS:
            self._check_flags(header, datagram)
        if header.cookies.initiator == CookiePair.ZERO:
            raise InvalidCookie("the initiator's cookie is zero")
        informational = header.exchange_type == ExchangeType.INFORMATIONAL
        if header.flags & _AUTHENTICATION_ONLY:
            if not informational or header.flags & _ENCRYPTION:
                raise InvalidFlags(
                    "authentication only is for Informational exchanges, and not to be encrypted"
                )
            self._phase_2(header, datagram)
        elif informational and not header.flags & _ENCRYPTION:
            self._clear_notice(header, datagram)
        elif header.message_id == 0 and not informational:
            self._phase_1(header, datagram)
        else:
            self._phase_2(header, datagram)

    def _check_flags(self, header: Header, datagram: Datagram) -> None:
        """There are more than we know: do those that may be meant overlook the reserved ones?"""
        cookies = header.cookies
        conversation = (
            self._conversations.get((cookies.initiator, cookies.responder, header.message_id))
            or self._conversations.get((cookies.initiator, b"", header.message_id))
        )
        sa = self._node.registry.find(cookies)
        if conversation is not None:
            lenient = conversation.lenient
        elif IManagementSA.providedBy(sa):
            lenient = self._node.policy.lenient(sa.connection)
        else:
            lenient = self._node.policy.lenient_at(datagram.path)
        judge(RESERVED, lenient, f"{header.flags:#04x}")

    def _clear_notice(self, header: Header, datagram: Datagram) -> None:
        """Proves nothing and changes nothing; but it may explain why an exchange fails."""
        cookies = header.cookies
        initiating = self._conversations.get((cookies.initiator, b"", 0))
        for conversation in (initiating, self._beginning(cookies)):
            if conversation is not None:
                if conversation.path.remote[0] != datagram.path.remote[0]:
                    break
                for payload in Message.decode(datagram.octets).all(Notification):
                    check_type(payload)
                    self._objections.in_clear(conversation, payload.kind, datagram)
                return
        raise InvalidFlags("an Informational exchange in clear text, about no running exchange")

    def _phase_1(self, header: Header, datagram: Datagram) -> None:
        cookies = header.cookies
        conversation = self._conversation(cookies)
        if conversation is not None:
            conversation.datagram_received(datagram)
        elif cookies.responder == CookiePair.ZERO:
            self._newcomer(header, datagram)
        elif half_open := self.half_open.find(cookies):
            self._returned(half_open, datagram)
        elif self._node.registry.find(cookies) is None:
            raise InvalidCookie("no exchange and no SA has these cookies")

    # -- strangers -----------------------------------------------------------------------------

    def _newcomer(self, header: Header, datagram: Datagram) -> None:
        """Message 1: answer it, remember it, and run nothing."""
        made = self._node.cookies.responder(
            datagram.path, header.cookies.initiator, datagram.octets
        )
        cookies = CookiePair(header.cookies.initiator, made)
        half_open = self.half_open.find(cookies)
        if half_open is not None:
            self._answer_again(half_open)
            return
        if (made_key := (cookies.initiator, made, 0)) in self._conversations:
            self._conversations[made_key].datagram_received(datagram)
            return
        if self._node.registry.find(cookies) is not None:
            return  # a late copy of a message that has led to an SA
        try:
            opening = self._openings.read(datagram.octets)
            candidates = self._openings.candidates(opening, datagram.path)
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
            self._openings.remember(opening, candidates, answer, exchange.method)
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
        if self._conversations.get(self._key(conversation)) is conversation:
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
            report=self.report,
        )
        conversation.budget = len(first.octets)
        return Exchange(self._node, conversation, opening.doi, candidates)

    def _returned(self, half_open: HalfOpen, datagram: Datagram) -> None:
        """Our cookie came back: begin in earnest, with message 1 as it was received."""
        if half_open.first.path != datagram.path:
            raise InvalidCookie("the responder's cookie came back from another address")
        address = datagram.path.remote[0]
        limits = self._node.limits
        if self._unproven[address] >= limits.conversations_per_address:
            raise LimitReached(Reason("exchanges running with one unproven address", address))
        if len(self._strangers) >= limits.conversations:
            raise LimitReached(Reason("exchanges running with unproven peers"))
        cookies, first = half_open.cookies, half_open.first
        if half_open.exchange is not None:
            exchange = half_open.exchange
            self.half_open.remove(cookies)
            self.open(exchange.conversation)
            self._run(exchange)
            exchange.conversation.datagram_received(datagram)
            return
        opening = self._openings.read(first.octets)
        candidates = self._openings.candidates(opening, first.path)
        exchange = self._exchange(opening, candidates, cookies, first)
        exchange.take_up(
            opening.message(cookies),
            opening.answer_message(half_open.answer),
            opening.resumable(candidates, half_open.answer),
        )
        exchange.conversation.take_up(first.octets, half_open.answer)
        self.half_open.remove(cookies)
        self.open(exchange.conversation)
        exchange.conversation.datagram_received(datagram)
        self._run(exchange)

    # -- under an SA ---------------------------------------------------------------------------

    def _phase_2(self, header: Header, datagram: Datagram) -> None:
        if not header.message_id:
            raise InvalidMessageID("zero, in an Informational exchange")
        cookies = header.cookies
        if cookies.responder == CookiePair.ZERO:
            what = Reason("not zero, in a first message", f"{header.message_id:#010x}", "0")
            raise InvalidMessageID(what)
        key = (cookies.initiator, cookies.responder, header.message_id)
        conversation = self._conversations.get(key)
        if conversation is not None:
            conversation.datagram_received(datagram)
            return
        sa = self._node.registry.find(cookies)
        if sa is None:
            beginning = self._conversations.get((cookies.initiator, b"", 0))
            if beginning is not None and beginning.cookies == cookies:
                if beginning.path.remote[0] == datagram.path.remote[0]:
                    self._objections.sealed(beginning, datagram)
            self._goes_on(header, datagram)
            raise InvalidCookie("no SA has these cookies")
        assert IManagementSA.providedBy(sa)
        if not header.flags & (_ENCRYPTION | _AUTHENTICATION_ONLY):
            raise InvalidFlags("clear text under an SA")
        kind = exchange_type(self._node, sa, header.exchange_type)
        if not sa.permits(header.exchange_type):
            raise UnsupportedExchangeType(Reason("not under this SA, or not yet", kind.name))
        if self._answering[cookies] >= self._node.limits.exchanges_per_sa:
            raise LimitReached(Reason("exchanges running under one SA"))
        sealing = sa.protection(kind, header.message_id)
        protection = copy(sealing)
        message = protection.unseal(datagram.octets)
        lenient = self._node.policy.lenient(sa.connection)
        if header.flags & _AUTHENTICATION_ONLY:
            check_authentication_only(message)
            # What leads the HASH itself is covered by nothing: a copy that was changed there must
            # not use up the message id.
            judge(message.departures, lenient)
        # Proven: only now may anything be remembered of it.
        if not self._node.registry.fresh(cookies, header.message_id):
            # Anybody can repeat it: silence.
            self._refusals.dropped(InvalidMessageID("a message id used before"), datagram)
            return
        self._confirmed(cookies)
        if message.departures:
            # Judged now that the message id is used: whoever repeats it is told nothing.
            try:
                judge(message.departures, lenient)
            except PeerError as error:
                self._refusals.dropped(error, datagram, sa=None if kind.one_way else sa)
                return
        conversation = Conversation(
            self._node,
            kind,
            RESPONDER,
            datagram.path,
            cookies,
            header.message_id,
            protection=sealing,
            proven=True,
            intervals=self._node.policy.intervals(sa.connection),
            lenient=lenient,
            report=self.report,
        )
        conversation.opened(datagram.octets, message, protection)
        exchange = Exchange(self._node, conversation, self._node.dois[sa.doi], None, sa)
        if not kind.one_way:
            self.open(conversation)
        # It waits for the exchange to ask for it: so no timer is set that would be stopped at once.
        conversation.datagram_received(datagram)
        self._run(exchange)

    def _goes_on(self, header: Header, datagram: Datagram) -> None:
        """
        The peer takes an exchange for complete whose last message, its own, we do not have: it is
        asked for it, one datagram for one, by having ours again.  Or it has refused ours.
        """
        waiting = self._beginning(header.cookies)
        if waiting is not None and not waiting.kind.waits_for_cookie:
            if waiting.path == datagram.path:
                waiting.say_again()
                if header.exchange_type == ExchangeType.INFORMATIONAL:
                    self._objections.sealed(waiting, datagram)

    def _beginning(self, cookies: CookiePair) -> Conversation | None:
        """The one that is to become the SA of these cookies, as responder; it may be half open."""
        half_open = self.half_open.find(cookies)
        if half_open is None:
            return self._conversations.get((cookies.initiator, cookies.responder, 0))
        return None if half_open.exchange is None else half_open.exchange.conversation

    def _confirmed(self, cookies: CookiePair) -> None:
        """The peer uses the SA, so it has our last message of phase 1: no more need to linger."""
        conversation = self._conversations.get((cookies.initiator, cookies.responder, 0))
        if conversation is not None and conversation in self._lingering.get(cookies, ()):
            self.close(conversation)

    def given_up(self, conversation: Conversation) -> None:
        """An exchange has failed: the peer is told of what was refused meanwhile."""
        if conversation.untold is not None:
            error, datagram = conversation.untold
            self._refusals.tell(
                error,
                datagram,
                conversation.cookies,
                sealing=partial(conversation.sealing_notice, error),
                path=conversation.path,
            )

    def report(
        self, error: PeerError, datagram: Datagram, conversation: Conversation, proven: bool
    ) -> None:
        """A conversation dropped something."""
        sa = None
        if proven:
            found = self._node.registry.find(conversation.cookies)
            sa = found if IManagementSA.providedBy(found) else None
        # Under an SA, what is not proven is not answered: anybody could have said it.  And what
        # belongs to another exchange is no reason to doubt this one.
        answered = not conversation.proven and not isinstance(error, InvalidCookie)
        # A peer may have the SA before us, and take what its keys seal as proven.  But anybody can
        # have changed its last message, and the real one may come: it is told when we give up.
        if answered and conversation.refuses_last(error):
            conversation.untold = (error, datagram)
            answered = False
        cookies = conversation.cookies if answered else None
        # One that does not run yet has nobody else to say why it was refused.
        first = not proven and self._conversations.get(self._key(conversation)) is not conversation
        self._refusals.dropped(
            error,
            datagram,
            cookies,
            sa,
            first=first,
            sealing=partial(conversation.sealing_notice, error),
            path=conversation.path,
        )
