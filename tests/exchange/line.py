"""
One conversation, both of whose ends are in the test's hands.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from isakmp.connections import Intervals, Limits
from isakmp.errors import PeerError, Unreadable
from isakmp.exchange.conversation import Conversation
from isakmp.exchange.objections import Objections
from isakmp.exchange.types import INFORMATIONAL, PHASE_1
from isakmp.ike.quick_mode import QuickMode
from isakmp.interfaces import IExchangeType, IMessageProtection
from isakmp.parts import Role
from isakmp.paths import Datagram, Path
from isakmp.testing import LossyNetwork, Transmission, VirtualClock
from isakmp.wire.message import CookiePair, Flags, Header, Message, decode_chain, encode_chain
from isakmp.wire.payloads import Nonce, Payload
from tests.nodes import ALICE, BOB, MALLORY, Member

MAIN_MODE = PHASE_1[2]
QUICK_MODE = QuickMode()
INFORMATIONAL_EXCHANGE: IExchangeType = INFORMATIONAL
INTERVALS = Intervals(first=1.0, factor=2.0, repeats=3)
"""Repeats at 1, 3 and 7 seconds; over after 15."""

OURS, THEIRS = b"initiate", b"responds"
HERE = Path((ALICE, 500), (BOB, 500))
ELSEWHERE = Path((ALICE, 500), (MALLORY, 4500))


@implementer(IMessageProtection)
class Numbered:
    """
    A protection whose state is a number: the message sealed next has to carry it.
    """

    def __init__(self, number: int = 0) -> None:
        self.number = number

    def seal(self, message: Message) -> bytes:
        """The number, and the payloads as they are."""
        chain = encode_chain(message.payloads)
        plain = message.header(Header.SIZE + 1 + len(chain))
        header = Header(
            plain.cookies,
            plain.first,
            plain.version,
            plain.exchange_type,
            plain.flags | Flags.ENCRYPTION,
            plain.message_id,
            plain.length,
        )
        self.number += 1
        return header.encode() + bytes([self.number - 1]) + chain

    def unseal(self, data: bytes) -> Message:
        """:raises Unreadable: if it carries another number."""
        header = Header.decode(data)
        if data[Header.SIZE] != self.number:
            raise Unreadable("another number")
        payloads, _ = decode_chain(header.first, data[Header.SIZE + 1 :])
        self.number += 1
        return Message(
            header.cookies, header.exchange_type, header.flags, header.message_id, payloads
        )


class Line:
    """
    A conversation, and what its peer can say to it.

    :ivar conversation: at Alice; the peer is at Bob's address, where nobody is.
    :ivar reports: what it reported: the error, and whether it was proven.
    :ivar outcomes: what :meth:`listen` has led to.
    """

    def __init__(
        self,
        role: Role = Role.INITIATOR,
        kind: IExchangeType = MAIN_MODE,
        *,
        protection: IMessageProtection | None = None,
        message_id: int = 0,
        limits: Limits = Limits(),
    ) -> None:
        self.clock = VirtualClock()
        self.network = LossyNetwork(self.clock)
        self.network.cut = True  # nobody is at the other end
        self.wire: list[Transmission] = []
        self.network.record = self.wire
        self.member = Member(self.network, self.clock, ALICE, [], limits=limits)
        self.reports: list[tuple[PeerError, bool]] = []
        self.outcomes: list[Message | Exception] = []
        self._objections = Objections(self.member.node.events)
        responder = CookiePair.ZERO if role is Role.INITIATOR and not message_id else THEIRS
        self.conversation = Conversation(
            self.member.node,
            kind,
            role,
            HERE,
            CookiePair(OURS, responder),
            message_id,
            protection=protection,
            proven=message_id != 0,
            intervals=INTERVALS,
            report=lambda error, datagram, conversation, proven: self.reports.append(
                (error, proven)
            ),
        )

    # -- we ------------------------------------------------------------------------------------

    def listen(self, *expects: type[Payload] | tuple[type[Payload], ...]) -> Deferred[object]:
        """Wait for the peer's next message."""

        def note(outcome: Message | Failure) -> None:
            if isinstance(outcome, Failure):
                assert isinstance(outcome.value, Exception)
                self.outcomes.append(outcome.value)
            else:
                self.outcomes.append(outcome)

        waiting = self.conversation.receive(expects)
        return waiting.addBoth(note)

    def ask(self, *payloads: Payload) -> None:
        """Say something, and wait."""
        self.conversation.send(payloads or (Nonce(bytes(8)),))
        self.listen()

    @property
    def sent(self) -> list[bytes]:
        """The octets of everything that left."""
        return [one.datagram.octets for one in self.wire]

    @property
    def times(self) -> list[float]:
        """When."""
        return [one.time for one in self.wire]

    # -- the peer ------------------------------------------------------------------------------

    def message(
        self,
        data: bytes = b"answer",
        *,
        cookies: CookiePair | None = None,
        kind: int | None = None,
        flags: Flags = Flags.NONE,
        payloads: Sequence[Payload] | None = None,
    ) -> Message:
        """What the peer says: a nonce, unless told; with both cookies."""
        conversation = self.conversation
        return Message(
            CookiePair(OURS, THEIRS) if cookies is None else cookies,
            conversation.kind.number if kind is None else kind,
            flags,
            conversation.message_id,
            (Nonce(data),) if payloads is None else tuple(payloads),
        )

    def sealed(self, number: int, data: bytes = b"answer", **other: CookiePair) -> bytes:
        """The same under a :class:`Numbered` protection."""
        return Numbered(number).seal(self.message(data, **other))  # type: ignore[arg-type]

    def hear(self, said: Message | bytes, path: Path = HERE) -> None:
        """The peer's datagram arrives."""
        octets = said if isinstance(said, bytes) else said.encode()
        self.conversation.datagram_received(Datagram(octets, path))

    def notified(self, kind: int) -> None:
        """Somebody says in clear text, in the peer's name, that it will not go on."""
        self._objections.in_clear(self.conversation, kind, Datagram(b"", HERE))

    def refused(self, kind: int) -> None:
        """The peer says so under the SA."""
        self._objections.under_sa(self.conversation, kind)

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.clock.run_until(self.clock.seconds() + seconds)
