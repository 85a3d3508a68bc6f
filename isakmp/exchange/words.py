"""
A method written word by word: for whoever has one payload for each word of a diagram.

RFC 2408 section 4 says which words a message has, and for most key exchanges each word is one
payload whose making and reading depends on nothing but what has been said before.  Then the order
inside a message, what has been said so far, and what AUTH is to prove are the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from isakmp.errors import Reason, UnexpectedPayload
from isakmp.interfaces import IExchange
from isakmp.parts import AUTH, ID, KE, NONCE, SA, Part, Role
from isakmp.wire.message import Message
from isakmp.wire.payloads import (
    Hash,
    Identification,
    KeyExchange,
    Nonce,
    Payload,
    SecurityAssociation,
)


class Words:
    """
    The verbs of :class:`isakmp.interfaces.IKeyExchangeMethod` over :meth:`make` and :meth:`take`,
    one word at a time.

    Attributes are immutable values, rebound: the framework hears on a shallow copy.

    :cvar words: the payload of each word, in the order in which they stand in a message.
    :ivar said: what each end has said of each word: the bodies of its payloads, one after another.
    """

    words: Mapping[Part, type[Payload]] = {
        SA: SecurityAssociation,
        ID: Identification,
        NONCE: Nonce,
        KE: KeyExchange,
        AUTH: Hash,
    }

    def __init__(self, exchange: IExchange) -> None:
        self.exchange = exchange
        self.said: Mapping[Role, Mapping[Part, bytes]] = {role: {} for role in Role}

    def __copy__(self) -> Self:
        # Every message is heard on a copy: the general way takes ten times as long.
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    # -- what a key exchange brings ------------------------------------------------------------

    async def make(self, part: Part) -> Sequence[Payload]:
        """Our payloads for this word; of AUTH, what proves :meth:`transcript`."""
        raise NotImplementedError

    async def take(self, part: Part, heard: Sequence[Any]) -> None:
        """
        The peer's payloads for this word, which are noted already.

        :raises PeerError: to refuse them.
        """
        raise NotImplementedError

    def layout(self, parts: frozenset[Part]) -> frozenset[Part]:
        """The words of the message that the diagram gives these; others, if it has to be."""
        return parts

    def count(self, part: Part) -> int:
        """How many payloads say this word."""
        return 1

    # -- what comes of it ----------------------------------------------------------------------

    def expects(self, parts: frozenset[Part]) -> Sequence[type[Payload]]:
        """The payload classes of these parts."""
        return [kind for _, kind in self._laid_out(parts)]

    async def say(self, parts: frozenset[Part], riding: Sequence[Payload]) -> Sequence[Payload]:
        """Our payloads for these parts.  The proof stands last."""
        payloads: list[Payload] = []
        for part, _ in self._laid_out(parts):
            made = await self.make(part)
            self._note(self.exchange.role, part, made)
            if part is AUTH:
                payloads += riding
                riding = ()
            payloads += made
        return [*payloads, *riding]

    async def hear(self, parts: frozenset[Part], message: Message) -> Message:
        """Take in the peer's payloads for these parts."""
        for part, kind in self._laid_out(parts):
            heard = message.all(kind)
            if len(heard) != self.count(part):
                raise UnexpectedPayload(
                    Reason(f"{kind.__name__} payloads", str(len(heard)), str(self.count(part)))
                )
            self._note(self.exchange.role.other, part, heard)
            await self.take(part, heard)
        return message

    def transcript(self, prover: Role) -> bytes:
        """
        All that has been said so far but proofs, by both, in this exchange; and who proves it.

        When one end makes AUTH and when the other reads it, this is the same at both.
        """
        cookies = self.exchange.cookies.octets
        context = prover.value.encode() + cookies + self.exchange.message_id.to_bytes(4, "big")
        bodies = (self.said[r].get(p, b"") for r in Role for p in self.words if p is not AUTH)
        return context + b"".join(len(body).to_bytes(4, "big") + body for body in bodies)

    def _note(self, role: Role, part: Part, payloads: Sequence[Payload]) -> None:
        body = b"".join(payload.encode() for payload in payloads)
        self.said = {**self.said, role: {**self.said[role], part: body}}

    def _laid_out(self, parts: frozenset[Part]) -> list[tuple[Part, type[Payload]]]:
        wanted = self.layout(parts)
        return [(part, kind) for part, kind in self.words.items() if part in wanted]
