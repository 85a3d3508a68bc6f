"""
The running conversations of a node, by what the header names: the cookies, and the message id.

RFC 2408 section 3.1.  What strangers have of them is counted here, and so is what runs under one
SA: who opens one looks at these numbers first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from isakmp.exchange.conversation import Conversation
from isakmp.parts import INITIATOR, RESPONDER
from isakmp.wire.message import CookiePair

_Key = tuple[bytes, bytes, int]
_K = TypeVar("_K")


class Conversations:
    """
    Those whose datagrams are routed to them; some linger when they have their result, because the
    peer may repeat its last question.

    :ivar strangers: those of phase 1 that peers began who have not been proven, with the address.
    :ivar unproven: how many of these each address has.
    :ivar answering: how many run under each SA that the peer began.
    :ivar lingering: by the SA's cookies those that linger, and when each of them ends.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._all: dict[_Key, Conversation] = {}
        self.strangers: dict[Conversation, str] = {}
        self.unproven: Counter[str] = Counter()
        self.answering: Counter[CookiePair] = Counter()
        self.lingering: dict[CookiePair, dict[Conversation, IDelayedCall]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Conversation]:
        return iter(tuple(self._all.values()))

    # -- whose a datagram is -------------------------------------------------------------------

    def find(self, cookies: CookiePair, message_id: int) -> Conversation | None:
        """Whose a datagram with these is."""
        if message_id:
            return self._all.get((cookies.initiator, cookies.responder, message_id))
        return self.initiated(cookies) or self.answered(cookies)

    def initiated(self, cookies: CookiePair) -> Conversation | None:
        """The one of phase 1 that we began with the first of these cookies."""
        return self._all.get((cookies.initiator, b"", 0))

    def answered(self, cookies: CookiePair) -> Conversation | None:
        """The one of phase 1 that the peer began."""
        return self._all.get((cookies.initiator, cookies.responder, 0))

    def runs(self, conversation: Conversation) -> bool:
        """Whether this one's datagrams are routed to it."""
        return self._all.get(_key(conversation)) is conversation

    # -- their lives ---------------------------------------------------------------------------

    def open(self, conversation: Conversation) -> None:
        """Route this conversation's datagrams to it, until it is closed."""
        self._all[_key(conversation)] = conversation
        if conversation.role is RESPONDER:
            if conversation.proven:
                self.answering[conversation.cookies] += 1
            else:
                address = conversation.path.remote[0]
                self.strangers[conversation] = address
                self.unproven[address] += 1

    def settled(self, conversation: Conversation) -> None:
        """It no longer counts against the bounds of what strangers may have running."""
        address = self.strangers.pop(conversation, None)
        if address is not None:
            _forget(self.unproven, address)

    def linger(self, conversation: Conversation) -> None:
        """Keep one that has its result for as long as the peer may repeat its last question."""
        if conversation.answers:
            lingering = self.lingering.setdefault(conversation.cookies, {})
            lingering[conversation] = self._clock.callLater(
                conversation.intervals.total, self.close, conversation
            )
        else:
            self.close(conversation)

    def confirmed(self, cookies: CookiePair) -> None:
        """The peer uses the SA, so it has our last message of phase 1: no more need to linger."""
        conversation = self.answered(cookies)
        if conversation is not None and conversation in self.lingering.get(cookies, ()):
            self.close(conversation)

    def close(self, conversation: Conversation) -> None:
        """Forget it; idempotent."""
        lingering = self.lingering.get(conversation.cookies, {})
        timer = lingering.pop(conversation, None)
        if timer is not None:
            if timer.active():
                timer.cancel()
            if not lingering:
                del self.lingering[conversation.cookies]
        self.settled(conversation)
        if self.runs(conversation):
            del self._all[_key(conversation)]
            if conversation.role is RESPONDER and conversation.proven:
                _forget(self.answering, conversation.cookies)

    def forget(self, cookies: CookiePair) -> None:
        """An SA is gone: the last messages by which it and its children came up are, too."""
        for conversation in tuple(self.lingering.get(cookies, ())):
            self.close(conversation)

    def close_all(self) -> None:
        """Forget everything."""
        for conversation in self:
            self.close(conversation)


def _key(conversation: Conversation) -> _Key:
    cookies = conversation.cookies
    if conversation.message_id == 0 and conversation.role is INITIATOR:
        return cookies.initiator, b"", 0  # the responder's cookie is not known at first
    return cookies.initiator, cookies.responder, conversation.message_id


def _forget(counter: Counter[_K], key: _K) -> None:
    """One less; nothing stays of a key that counts nothing."""
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
