"""
Message 1: what a stranger opens with, understood, and what it was answered.

RFC 2408 section 2.5.3 wants a responder to do little before its cookie has come back.  All peers of
one make open with the same octets, but for their cookie; so what was made of such a message is
remembered for a while, and the next stranger who says the same is answered from memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from isakmp.connections import Candidates, Connection
from isakmp.departures import NONE, RESERVED_FLAGS, Departures
from isakmp.errors import InvalidExchangeType, InvalidFlags, NoConnection, Reason
from isakmp.exchange.lenience import ALL, departed, judge
from isakmp.exchange.phase1 import domain_of, key_exchange_of, read_offer
from isakmp.exchange.types import PHASE_1
from isakmp.interfaces import (
    IDomainOfInterpretation,
    IExchangeType,
    IKeyExchangeMethod,
    INode,
    IResumable,
)
from isakmp.paths import Path, endpoint
from isakmp.wire.message import DEFINED_FLAGS, CookiePair, Flags, Header, Message
from isakmp.wire.payloads import Payload, SecurityAssociation

_COOKIES = 16
"""Octets of both cookies, with which a message begins."""

_ENCRYPTION = int(Flags.ENCRYPTION)


@dataclass(slots=True, eq=False)
class Opening:
    """
    A first message, as anybody may send it.

    :ivar key_exchange: the name of the one it asks for.
    :ivar payloads: what it says.
    :ivar departures: what a connection has to overlook in it.
    :ivar answer: message 2 without its cookies; empty: not known.
    :ivar answered: the connections that could be meant when it was answered so.
    :ivar said: the payloads of the answer.
    :ivar candidates: the connections that could be meant then, and why the others fell; only with
        ``method``.
    :ivar method: what has said it, if it can be resumed.
    """

    kind: IExchangeType
    doi: IDomainOfInterpretation
    key_exchange: str
    payloads: tuple[Payload, ...]
    departures: Departures = NONE
    answer: bytes = field(default=b"", repr=False)
    answered: tuple[Connection, ...] = ()
    said: tuple[Payload, ...] = ()
    candidates: Candidates[Connection] | None = None
    method: IResumable | None = None

    def message(self, cookies: CookiePair) -> Message:
        """The message, of one exchange."""
        return Message(cookies, self.kind.number, 0, 0, self.payloads)

    def answer_message(self, octets: bytes) -> Message:
        """
        Message 2 of one exchange.

        :param octets: as it was sent.
        """
        if octets[_COOKIES:] != self.answer:
            return Message.decode(octets, self.kind.payloads)
        cookies = CookiePair(octets[:8], octets[8:_COOKIES])
        return Message(cookies, self.kind.number, 0, 0, self.said)

    def resumable(
        self, candidates: Candidates[Connection], octets: bytes
    ) -> IResumable | None:
        """
        The method to go on with; None: both messages have to be gone through again.

        :param candidates: the connections that can be meant now.
        :param octets: message 2, as it was sent.
        """
        same = octets[_COOKIES:] == self.answer and candidates == self.candidates
        return self.method if same else None

    def answer_to(self, candidates: Candidates[Connection]) -> bytes:
        """What it was answered when the same connections could be meant; empty: it never was."""
        return self.answer if self.answered == candidates.remaining else b""


class Openings:
    """
    The first messages that were understood of late.

    :cvar MOST: how many are remembered.
    :cvar LONGEST: octets of one that is; with the above it bounds the memory that strangers get.
    """

    MOST = 64
    LONGEST = 1024

    def __init__(self, node: INode) -> None:
        self._node = node
        self._known: OrderedDict[bytes, Opening] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Opening]:
        return iter(tuple(self._known.values()))

    def read(self, octets: bytes) -> Opening:
        """
        Understand a first message.

        :raises PeerError: if it is none that anybody here could answer.
        """
        said = octets[_COOKIES:]
        known = self._known.get(said)
        if known is not None:
            self._known.move_to_end(said)
            return known
        opening = self._read(octets)
        if len(octets) <= self.LONGEST:
            self._known[said] = opening
            if len(self._known) > self.MOST:
                self._known.popitem(last=False)
        return opening

    def _read(self, octets: bytes) -> Opening:
        header = Header.decode(octets)
        kind = PHASE_1.get(header.exchange_type)
        if kind is None:
            raise InvalidExchangeType(Reason("exchange type", str(header.exchange_type)))
        if header.flags & _ENCRYPTION:
            raise InvalidFlags("a sealed first message")
        message = Message.decode(octets, kind.payloads, set())
        payload = message.one(SecurityAssociation)
        doi = domain_of(self._node, payload)
        offer, departures = read_offer(doi, payload)
        proposals = tuple(p for suite in offer.suites for p in suite.proposals)
        key_exchange = key_exchange_of(self._node, kind.number, proposals)
        if header.flags & ~DEFINED_FLAGS:
            departures |= {RESERVED_FLAGS}
        departures = departures.union(message.departures)
        if departures:
            judge(departures, ALL)
        return Opening(kind, doi, key_exchange.name, message.payloads, departures)

    def candidates(self, opening: Opening, path: Path) -> Candidates[Connection]:
        """
        The connections that a stranger on this path may mean by it.

        :raises NoConnection: if there is none.
        """
        kind = opening.kind
        candidates = self._node.policy.candidates(path, opening.doi.number, kind.number)
        if not candidates.remaining:
            raise NoConnection(
                Reason(
                    "no connection is configured for this peer",
                    f"{kind.name} from {endpoint(path.remote)}",
                    rejected=candidates.rejected,
                )
            )
        if opening.departures:
            candidates = candidates.narrow(
                "what is overlooked",
                ", ".join(sorted(opening.departures)),
                lambda c: ", ".join(sorted(c.lenient)) or "nothing",
                lambda c: opening.departures <= c.lenient,
                departed(opening.departures),
                "It can be overlooked: see lenient in isakmp.toml.",
            )
        return candidates.narrow(
            "key exchange",
            opening.key_exchange,
            lambda c: c.key_exchange,
            lambda c: c.key_exchange == opening.key_exchange,
            NoConnection,
        )

    def remember(
        self,
        opening: Opening,
        candidates: Candidates[Connection],
        answer: bytes,
        method: IKeyExchangeMethod,
    ) -> None:
        """
        That is what it is answered, for as long as the same connections can be meant.

        :param answer: message 2.
        :param method: what has said it.
        """
        opening.answer, opening.answered = answer[_COOKIES:], candidates.remaining
        opening.said = Message.decode(answer, opening.kind.payloads).payloads
        if IResumable.providedBy(method):
            opening.candidates, opening.method = candidates, method
