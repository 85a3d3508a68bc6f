"""
Which conversation a datagram belongs to, and what becomes of one that belongs to none.

The header decides (RFC 2408 section 3.1): the cookies name the ISAKMP SA, the message id the
exchange under it.  Everything here is answered at once, from memory.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

from isakmp.errors import (
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
from isakmp.exchange.conversation import Conversation
from isakmp.exchange.conversations import Conversations
from isakmp.exchange.exchange import Exchange
from isakmp.exchange.informational import check_authentication_only
from isakmp.exchange.lenience import RESERVED, judge
from isakmp.exchange.notices import check_type
from isakmp.exchange.objections import Objections
from isakmp.exchange.refusals import Refusals, answerable
from isakmp.exchange.reports import Reports
from isakmp.exchange.strangers import Strangers
from isakmp.exchange.types import exchange_type
from isakmp.interfaces import IManagementSA, INode
from isakmp.numbers import ExchangeType
from isakmp.parts import RESPONDER
from isakmp.paths import Datagram, Path
from isakmp.wire.message import DEFINED_FLAGS, CookiePair, Flags, Header, Message
from isakmp.wire.payloads import Notification

_ENCRYPTION = int(Flags.ENCRYPTION)
_AUTHENTICATION_ONLY = int(Flags.AUTHENTICATION_ONLY)

_EXCHANGE_TYPE = 18
"""Offset of that octet in the header."""


class Demultiplexer:
    """
    Routes what arrives.

    :param reports: told of what conversations drop.
    :param run: takes charge of an exchange that a peer begins.
    :ivar conversations: those that run, to which datagrams are routed.
    :ivar strangers: who gets first messages; ``half_open`` those who have not come back yet.
    """

    def __init__(
        self,
        node: INode,
        conversations: Conversations,
        reports: Reports,
        refusals: Refusals,
        objections: Objections,
        run: Callable[[Exchange], None],
    ) -> None:
        self._node = node
        self._refusals = refusals
        self._objections = objections
        self._run = run
        self.conversations = conversations
        self._reports = reports
        self.strangers = Strangers(node, conversations, refusals, reports.dropped, run)
        self.half_open = self.strangers.half_open

    def close(self) -> None:
        """Forget everything."""
        self.conversations.close_all()
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
        conversation = self.conversations.find(cookies, message_id)
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
        conversation = self.conversations.find(cookies, 0)
        if conversation is None or conversation.finished or conversation.protection is not None:
            return False
        return conversation.path == path

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
        conversation = self.conversations.find(cookies, header.message_id)
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
        initiating = self.conversations.initiated(cookies)
        for conversation in (initiating, self.strangers.beginning(cookies)):
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
        conversation = self.conversations.find(cookies, 0)
        if conversation is not None:
            conversation.datagram_received(datagram)
        elif cookies.responder == CookiePair.ZERO:
            self.strangers.newcomer(header, datagram)
        elif half_open := self.half_open.find(cookies):
            self.strangers.returned(half_open, datagram)
        elif self._node.registry.find(cookies) is None:
            raise InvalidCookie("no exchange and no SA has these cookies")

    # -- under an SA ---------------------------------------------------------------------------

    def _phase_2(self, header: Header, datagram: Datagram) -> None:
        if not header.message_id:
            raise InvalidMessageID("zero, in an Informational exchange")
        cookies = header.cookies
        if cookies.responder == CookiePair.ZERO:
            what = Reason("not zero, in a first message", f"{header.message_id:#010x}", "0")
            raise InvalidMessageID(what)
        conversation = self.conversations.find(cookies, header.message_id)
        if conversation is not None:
            conversation.datagram_received(datagram)
            return
        sa = self._node.registry.find(cookies)
        if sa is None:
            beginning = self.conversations.initiated(cookies)
            if beginning is not None and beginning.cookies == cookies:
                if beginning.path.remote[0] == datagram.path.remote[0]:
                    self._objections.sealed(beginning, datagram)
            self._goes_on(header, datagram)
            raise InvalidCookie("no SA has these cookies")
        assert IManagementSA.providedBy(sa)
        self._first_under(sa, header, datagram)

    def _first_under(self, sa: IManagementSA, header: Header, datagram: Datagram) -> None:
        """What begins an exchange under an SA: nothing is remembered until it is proven."""
        cookies = header.cookies
        if not header.flags & (_ENCRYPTION | _AUTHENTICATION_ONLY):
            raise InvalidFlags("clear text under an SA")
        kind = exchange_type(self._node, sa, header.exchange_type)
        if not sa.permits(header.exchange_type):
            raise UnsupportedExchangeType(Reason("not under this SA, or not yet", kind.name))
        if self.conversations.answering[cookies] >= self._node.limits.exchanges_per_sa:
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
        self.conversations.confirmed(cookies)
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
            sa.path if sa.path == datagram.path else datagram.path,
            cookies,
            header.message_id,
            protection=sealing,
            proven=True,
            intervals=self._node.policy.intervals(sa.connection),
            lenient=lenient,
            report=self._reports.dropped,
        )
        conversation.opened(datagram.octets, message, protection)
        exchange = Exchange(self._node, conversation, self._node.dois[sa.doi], None, sa)
        if not kind.one_way:
            self.conversations.open(conversation)
        # It waits for the exchange to ask for it: so no timer is set that would be stopped at once.
        conversation.datagram_received(datagram)
        self._run(exchange)

    def _goes_on(self, header: Header, datagram: Datagram) -> None:
        """
        The peer takes an exchange for complete whose last message, its own, we do not have: it is
        asked for it, one datagram for one, by having ours again.  Or it has refused ours.
        """
        waiting = self.strangers.beginning(header.cookies)
        if waiting is not None and not waiting.kind.waits_for_cookie:
            if waiting.path == datagram.path:
                waiting.say_again()
                if header.exchange_type == ExchangeType.INFORMATIONAL:
                    self._objections.sealed(waiting, datagram)
