"""
A command of ours, until its reply has come.  RFC 4430 sections 3, 3.5 and 9.

Each repeat is a new message: same ticket and transaction, new authenticator, new checksum.  What is
not protected by the session key decides nothing: it is noted, and told if nothing better comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from isakmp.errors import (
    Cancelled,
    ExchangeTimeout,
    Malformed,
    PeerError,
    PeerRefused,
    Reason,
    Rejection,
)
from isakmp.interfaces import INode
from isakmp.kink.errors import BadChecksum, UnknownTransaction
from isakmp.kink.kerberos import IKerberos, ISessionKey, ITicket
from isakmp.kink.message import Message, Received, decode_inner, encode_inner
from isakmp.kink.numbers import ErrorCode, KerberosError, MessageType
from isakmp.kink.payloads import (
    APReply,
    APRequest,
    Encrypted,
    ErrorPayload,
    KerberosErrorPayload,
    Operation,
    TGTReply,
)
from isakmp.logs import Logger
from isakmp.numbers import NotifyType
from isakmp.paths import Datagram, Path, endpoint
from isakmp.wire.payload import Payload
from isakmp.wire.payloads import Notification


@dataclass(frozen=True, slots=True)
class Reply:
    """
    A reply, proven.

    :ivar epoch: the responder's.
    :ivar operations: its KINK_ISAKMP payloads, in order.
    :ivar acknowledge: whether it wants to be acknowledged.
    """

    epoch: int
    operations: tuple[Operation, ...]
    acknowledge: bool

    def opened(self) -> tuple[tuple[Payload, ...], ...]:
        """
        What stands in them.

        :raises Malformed: if it cannot be read.
        """
        return tuple(operation.payloads() for operation in self.operations)


def opened(received: Received, key: ISessionKey) -> tuple[Payload, ...]:
    """
    All payloads of a proven message, those in KINK_ENCRYPT in its place.

    :raises Malformed: if it does not open.
    """
    payloads: list[Payload] = []
    for payload in received.message.payloads:
        if isinstance(payload, Encrypted):
            payloads.extend(decode_inner(key.decrypt(payload.data)))
        else:
            payloads.append(payload)
    return tuple(payloads)


def verify(received: Received, key: ISessionKey) -> None:
    """
    A message without a checksum, where there is a key for it, is as bad as a wrong one.

    :raises BadChecksum: RFC 4430 section 4.
    """
    if not received.checksum or not key.verify(received.covered, received.checksum):
        raise BadChecksum("a wrong checksum" if received.checksum else "no checksum")


class Command:
    """
    One transaction, as its initiator.

    :param message: what it says; its payloads are encrypted, the AP-REQ is put before them.
    :param waits: seconds before each repeat, then until hope is given up.
    :ivar result: a :class:`Reply`; fails with :class:`PeerError`.
    """

    _log = Logger()

    def __init__(
        self,
        node: INode,
        kerberos: IKerberos,
        ticket: ITicket,
        path: Path,
        message: Message,
        epoch: int,
        waits: Iterator[float],
    ) -> None:
        self._node = node
        self._kerberos = kerberos
        self.ticket = ticket
        self.path = path
        self.message = message
        self._epoch = epoch
        self._waits = waits
        self._authenticators: list[object] = []
        self._noted: list[Rejection] = []
        self._timer: IDelayedCall | None = None
        self._adjusted = False
        self.over = False
        self.result: Deferred[Reply] = Deferred(lambda _: self._end())

    def start(self) -> None:
        """Send it, again and again."""
        self._send(self.message)
        self._timer = self._node.clock.callLater(next(self._waits), self._repeat)

    def send_once(self) -> None:
        """Send it, and wait for nothing."""
        self._send(self.message)
        self.over = True

    def acknowledge(self) -> None:
        """Send the ACK: an AP-REQ and nothing else.  RFC 4430 section 6.2."""
        message = self.message
        self._send(Message(MessageType.ACK, message.doi, message.xid, ()))

    def _send(self, message: Message) -> None:
        request, authenticator = self.ticket.request()
        self._authenticators.append(authenticator)
        payloads: tuple[Payload, ...] = (APRequest(self._epoch, request),)
        if message.payloads:
            payloads += (Encrypted(self.ticket.key.encrypt(encode_inner(message.payloads))),)
        whole = Message(message.kind, message.doi, message.xid, payloads)
        self._node.ports.send(Datagram(whole.encode(self.ticket.key.checksum), self.path))

    def _repeat(self) -> None:
        self._timer = None
        wait = next(self._waits, None)
        if wait is not None:
            self._send(self.message)
            self._timer = self._node.clock.callLater(wait, self._repeat)
            return
        name = MessageType(self.message.kind).spelled
        self.fail(
            ExchangeTimeout(
                Reason(f"no reply to {name} was proven", rejected=tuple(self._noted))
            )
        )

    def _end(self) -> None:
        self.over = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def fail(self, error: PeerError) -> None:
        """It ends without a reply."""
        if not self.over:
            self._end()
            self.result.errback(error)

    def cancel(self) -> None:
        """Given up here."""
        self.fail(Cancelled("given up here"))

    def received(self, received: Received, datagram: Datagram) -> None:
        """
        A reply of this transaction.

        :raises PeerError: if it does not count; then the command goes on waiting.
        """
        if datagram.path.remote != self.path.remote:
            raise UnknownTransaction("a reply from another address")
        message = received.message
        if not received.checksum:
            raise self._unproven(message.payloads)
        verify(received, self.ticket.key)
        if self.over:
            return  # proven, and known: whether it is acknowledged again is its owner's
        payloads = opened(received, self.ticket.key)
        replies = [payload for payload in payloads if isinstance(payload, APReply)]
        if len(replies) > 1:
            raise Malformed("more than one AP-REP")
        for proof in replies:
            self.ticket.check(proof.data, self._authenticators)
        if not self._accepted(payloads):
            return
        if not replies:
            raise Malformed("a reply without an AP-REP")
        operations = tuple(p for p in payloads if isinstance(p, Operation))
        reply = Reply(replies[0].epoch, operations, message.acknowledge)
        self._end()
        refusal = _notified(reply)
        if refusal is None:
            self.result.callback(reply)
            return
        if message.acknowledge:
            self.acknowledge()
        self.result.errback(refusal)

    def _accepted(self, payloads: Sequence[Payload]) -> bool:
        """
        Act on protected errors.

        :return: whether there was none that matters.
        """
        for payload in payloads:
            if isinstance(payload, KerberosErrorPayload):
                refusal = self._kerberos.refusal(payload.data)
                if refusal.code == KerberosError.REPEAT:
                    # A copy of ours came twice; the reply to the first is on its way, or a repeat
                    # with a new authenticator will have one.
                    return False
                if refusal.code == KerberosError.SKEW and refusal.skew and not self._adjusted:
                    self._adjusted = True
                    self.ticket.adjust(refusal.skew)
                    self._send(self.message)
                else:
                    self.fail(refusal)
                return False
            if isinstance(payload, ErrorPayload) and payload.code != ErrorCode.OK:
                said = ErrorCode(payload.code).spelled
                self.fail(PeerRefused(f"the peer says {said}", payload.code))
                return False
        return True

    def _unproven(self, payloads: Sequence[Payload]) -> PeerError:
        """Anybody could have said it: it may explain why nothing else comes."""
        said = "something"
        for payload in payloads:
            if isinstance(payload, ErrorPayload):
                said = ErrorCode(payload.code).spelled
            elif isinstance(payload, KerberosErrorPayload):
                said = str(self._kerberos.refusal(payload.data))
            elif isinstance(payload, TGTReply):
                said = "that user-to-user authentication is needed, which is not built"
        self._note(Reason(said))
        return BadChecksum(Reason("a reply without a checksum", said))

    def _note(self, reason: Reason) -> None:
        noted = Rejection("a reply", str(reason), "", "")
        if noted not in self._noted and len(self._noted) < self._node.limits.drops:
            self._noted.append(noted)
            self._log.info(
                "{peer} says, and does not prove it: {why}",
                peer=endpoint(self.path.remote),
                why=str(reason),
            )


def _notified(reply: Reply) -> PeerRefused | None:
    """The first error among the notifications.  RFC 4430 section 5.5."""
    try:
        opened = reply.opened()
    except Malformed:
        return None  # whoever reads it finds out
    for payloads in opened:
        for payload in payloads:
            if isinstance(payload, Notification) and payload.kind < NotifyType.CONNECTED:
                said = NotifyType(payload.kind).spelled
                return PeerRefused(Reason(f"the peer says {said}"), payload.kind)
    return None
