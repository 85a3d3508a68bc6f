"""
The responder: commands of peers, and their replies.  RFC 4430 sections 3 and 6.

A command is looked at when its AP-REQ is opened, its checksum is right and its authenticator is
new; before that nothing is remembered.  Its repeats have new authenticators and the same
transaction: they are answered alike, and done once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from isakmp.associations import Session
from isakmp.connections import Connection
from isakmp.errors import ExchangeTimeout, LimitReached, Malformed, PeerError
from isakmp.events import ExchangeFailed, NotificationReceived
from isakmp.interfaces import INode
from isakmp.kink.command import opened, verify
from isakmp.kink.creation import Creation
from isakmp.kink.deletions import delete_named, deletes
from isakmp.kink.errors import (
    InternalError,
    ProtocolError,
    UnknownTransaction,
)
from isakmp.kink.kerberos import IAPRequest, IKerberos, KerberosRefusal
from isakmp.kink.message import Message, Received, encode_inner
from isakmp.kink.numbers import KerberosError, MessageType
from isakmp.kink.operations import operations_of, refusal_of
from isakmp.kink.payloads import APReply, APRequest, Encrypted, Operation
from isakmp.kink.principals import connection_of
from isakmp.kink.session import Sessions, TicketSession, identity
from isakmp.kink.settings import Settings
from isakmp.logs import Logger
from isakmp.parts import Role
from isakmp.paths import Datagram, Path, endpoint
from isakmp.wire.payload import Payload
from isakmp.wire.payloads import Notification


@dataclass(slots=True, eq=False)
class _Answer:
    """
    One command, and what becomes of it.

    :ivar request: the AP-REQ that came last: the reply is to this one.
    :ivar said: the payloads of the command, by which a repeat is known.
    :ivar reply: payloads of the reply; None: it is being made.
    :ivar acknowledge: whether the reply waits for its ACK.
    """

    connection: Connection
    request: IAPRequest
    path: Path
    message: Message
    epoch: int
    said: tuple[Payload, ...]
    reply: tuple[Payload, ...] | None = None
    acknowledge: bool = False
    wanted: bool = False
    creations: list[Creation] = field(default_factory=list)
    waits: Iterator[float] = iter(())
    timer: IDelayedCall | None = None
    running: Deferred[None] | None = None

    @property
    def name(self) -> tuple[str, int]:
        return self.request.theirs, self.message.xid

    @property
    def running_still(self) -> bool:
        return self.reply is None or self.acknowledge


class Answers:
    """
    What a node answers.

    :param epoch: since when it has valid SA information.
    :param withdraw: tells a peer, with a DELETE, that it has less than it may believe.
    """

    _log = Logger()

    def __init__(
        self,
        node: INode,
        settings: Settings,
        kerberos: IKerberos,
        sessions: Sessions,
        epoch: int,
        withdraw: Callable[[TicketSession, Sequence[Payload]], None],
    ) -> None:
        self._node = node
        self._settings = settings
        self._kerberos = kerberos
        self._sessions = sessions
        self._epoch = epoch
        self._withdraw = withdraw
        self._answers: dict[tuple[str, int], _Answer] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def close(self) -> None:
        """Give up what is under way, forget the rest."""
        for answer in tuple(self._answers.values()):
            self._forget(answer)

    # -- arrivals ------------------------------------------------------------------------------

    def command(self, received: Received, datagram: Datagram) -> None:
        """
        A CREATE, DELETE or STATUS.

        :raises PeerError: if it was not proven, or came twice; else it is answered here.
        """
        request, epoch = self._proven(received)
        message, path = received.message, datagram.path
        answer: _Answer | None = None
        try:
            connection = connection_of(self._node, request, path, message.doi)
            self._heard(request.theirs, epoch)
            try:
                said = opened(received, request.key)
            except Malformed as error:
                raise ProtocolError(error.reason) from error
            said = tuple(payload for payload in said if not isinstance(payload, APRequest))
            known = self._answers.get((request.theirs, message.xid))
            if known is not None:
                self._again(known, request, received, said)
                return
            answer = _Answer(connection, request, path, message, epoch, said)
            operations = operations_of(said)
            self._remember(answer)
        except LimitReached:
            raise
        except PeerError as error:
            self._refused(error, request, datagram.path, message)
            return
        answer.running = Deferred.fromCoroutine(self._act(answer, operations))
        answer.running.addErrback(self._failed, answer).addErrback(self._fault, answer)

    def _proven(self, received: Received) -> tuple[IAPRequest, int]:
        """
        :raises KerberosRefusal: :raises BadChecksum: :raises ProtocolError: as RFC 4430 has it.
        """
        proof = received.message.one(APRequest)
        try:
            request = self._kerberos.open(proof.data)
        except KerberosRefusal as refusal:
            if refusal.key is not None:
                verify(received, refusal.key)
            raise
        verify(received, request.key)
        if not request.fresh():
            raise KerberosRefusal(
                "this authenticator was seen before", KerberosError.REPEAT, request.key
            )
        return request, proof.epoch

    def _heard(self, principal: str, epoch: int) -> None:
        """What a principal began in another epoch, it does not know of any more."""
        for answer in tuple(self._answers.values()):
            if answer.request.theirs == principal and answer.epoch != epoch:
                self._forget(answer)
        self._sessions.heard(principal, epoch)

    def _again(
        self,
        known: _Answer,
        request: IAPRequest,
        received: Received,
        said: tuple[Payload, ...],
    ) -> None:
        """A transaction that is known: the same again, or somebody who cannot count."""
        same_ticket = known.request.key.verify(received.covered, received.checksum)
        if known.message.kind != received.message.kind or known.said != said or not same_ticket:
            raise ProtocolError("a transaction ID that is used for something else")
        known.request = request
        if known.reply is not None:
            self._send(known)

    def acknowledgement(self, received: Received, datagram: Datagram) -> None:
        """
        An ACK.

        :raises PeerError: if it does not count; it is never answered.
        """
        request, epoch = self._proven(received)
        if len(received.message.payloads) != 1:
            raise ProtocolError("an ACK with more than an AP-REQ")
        self._heard(request.theirs, epoch)
        answer = self._answers.get((request.theirs, received.message.xid))
        if answer is None or not answer.wanted:
            raise UnknownTransaction("an ACK of no transaction that waits for one")
        if not answer.acknowledge:
            return  # it came before
        answer.acknowledge = False
        self._stop(answer)
        answer.running = Deferred.fromCoroutine(self._acknowledged(answer))
        answer.running.addErrback(self._failed, answer).addErrback(self._fault, answer)

    # -- what is done --------------------------------------------------------------------------

    async def _act(
        self, answer: _Answer, operations: Sequence[tuple[Payload, ...]]
    ) -> None:
        kind = answer.message.kind
        if kind == MessageType.CREATE:
            await self._create(answer, operations)
            return
        said: Sequence[Sequence[Payload]] = ()
        if kind == MessageType.DELETE:
            principal, doi = answer.request.theirs, answer.message.doi
            said = delete_named(self._node, principal, doi, answer.path, operations)
        else:
            self._status(answer, operations)
        self._answered(answer, tuple(map(Operation.of, said)), False)

    async def _create(self, answer: _Answer, operations: Sequence[tuple[Payload, ...]]) -> None:
        if not operations:
            raise ProtocolError("a CREATE without KINK_ISAKMP")
        session = self._session(answer)
        three_way = False
        for payloads in operations:
            creation = Creation(
                self._node, self._sessions, Role.RESPONDER, session, answer.path
            )
            answer.creations.append(creation)
            three_way |= await creation.choose(payloads, self._settings.contribute)
        for creation in answer.creations:
            await creation.ready(three_way)
        if not three_way:
            self._finish(answer)
        said = tuple(Operation.of(creation.answer) for creation in answer.creations)
        self._answered(answer, said, three_way)

    async def _acknowledged(self, answer: _Answer) -> None:
        for creation in answer.creations:
            await creation.acknowledged()
        self._finish(answer)
        self._linger(answer)

    def _finish(self, answer: _Answer) -> None:
        for creation in answer.creations:
            creation.finish()

    def _status(self, answer: _Answer, operations: Sequence[tuple[Payload, ...]]) -> None:
        for payloads in operations:
            for payload in payloads:
                if isinstance(payload, Notification):
                    event = NotificationReceived(answer.path, payload.kind, True)
                    self._node.events.publish(event)

    # -- replies -------------------------------------------------------------------------------

    def _session(self, answer: _Answer) -> TicketSession:
        request, connection = answer.request, answer.connection
        return TicketSession(
            Session(request.theirs, answer.epoch),
            Role.RESPONDER,
            answer.message.doi,
            identity(request.ours),
            identity(request.theirs),
            connection.name,
            answer.path,
            request.key,
        )

    def _remember(self, answer: _Answer) -> None:
        """:raises LimitReached: if too much of this principal's is under way."""
        mine = [a for a in self._answers.values() if a.request.theirs == answer.request.theirs]
        limits = self._node.limits
        for known, most in ((mine, limits.exchanges_per_sa), (None, limits.conversations)):
            count = len(self._answers) if known is None else len(known)
            if count >= most:
                pool = self._answers.values() if known is None else known
                oldest = next((a for a in pool if not a.running_still), None)
                if oldest is None:
                    raise LimitReached("commands under way")
                self._forget(oldest)
        self._answers[answer.name] = answer

    def _answered(
        self, answer: _Answer, reply: tuple[Payload, ...], acknowledge: bool
    ) -> None:
        if self._answers.get(answer.name) is not answer:
            return  # it was given up meanwhile
        answer.reply, answer.acknowledge, answer.wanted = reply, acknowledge, acknowledge
        self._send(answer)
        intervals = answer.connection.intervals
        if acknowledge:
            answer.waits = iter(intervals)
            answer.timer = self._node.clock.callLater(next(answer.waits), self._repeat, answer)
        else:
            self._linger(answer)

    def _linger(self, answer: _Answer) -> None:
        """Keep it for as long as the peer may repeat its command."""
        self._stop(answer)
        total = answer.connection.intervals.total
        answer.timer = self._node.clock.callLater(total, self._forget, answer)

    def _repeat(self, answer: _Answer) -> None:
        answer.timer = None
        wait = next(answer.waits, None)
        if wait is not None:
            self._send(answer)
            answer.timer = self._node.clock.callLater(wait, self._repeat, answer)
            return
        self._told(ExchangeTimeout("the reply was never acknowledged"), answer)
        self._forget(answer)
        self._take_back(answer)

    def _send(self, answer: _Answer) -> None:
        """With a new AP-REP and checksum each time."""
        assert answer.reply is not None
        self._reply(
            answer.request, answer.path, answer.message, answer.reply, answer.wanted
        )

    def _reply(
        self,
        request: IAPRequest,
        path: Path,
        message: Message,
        inner: tuple[Payload, ...],
        acknowledge: bool = False,
    ) -> None:
        payloads: tuple[Payload, ...] = (APReply(self._epoch, request.reply()),)
        if inner:
            payloads += (Encrypted(request.key.encrypt(encode_inner(inner))),)
        reply = Message(MessageType.REPLY, message.doi, message.xid, payloads, acknowledge)
        self._node.ports.send(Datagram(reply.encode(request.key.checksum), path))

    # -- refusals ------------------------------------------------------------------------------

    def _failed(self, failure: Failure, answer: _Answer) -> None:
        failure.trap(PeerError)
        assert isinstance(failure.value, PeerError)
        waiting = answer.reply is None
        self._told(failure.value, answer)
        self._forget(answer)
        if waiting:
            self._refused(failure.value, answer.request, answer.path, answer.message)
        else:
            self._take_back(answer)

    def _fault(self, failure: Failure, answer: _Answer) -> None:
        # A fault of ours in the middle of a negotiation: the peer learns that there was one.
        self._log.failure("a command failed by a fault of ours", failure)
        self._forget(answer)
        if answer.reply is None:
            error, message = InternalError("a fault of ours"), answer.message
            inner = refusal_of(error, message.doi, self._kerberos)
            self._reply(answer.request, answer.path, message, inner)
        else:
            self._take_back(answer)

    def _take_back(self, answer: _Answer) -> None:
        """It has our reply, and we do not have what that says: no SA stays half open."""
        said = [payload for one in answer.creations for payload in deletes(one.bundle)]
        if said:
            self._withdraw(self._session(answer), said)

    def _told(self, error: PeerError, answer: _Answer) -> None:
        name = f"KINK {MessageType(answer.message.kind).spelled}"
        key = Session(answer.request.theirs, answer.epoch)
        self._node.events.publish(
            ExchangeFailed(
                answer.connection.name, answer.path, name, Role.RESPONDER, key, error
            )
        )

    def _refused(
        self, error: PeerError, request: IAPRequest, path: Path, message: Message
    ) -> None:
        """A proven command that is not done: the peer is told why, in the RFC's words."""
        self._log.info(
            "KINK {kind} of {theirs} at {peer} is refused: {why}",
            kind=MessageType(message.kind).spelled,
            theirs=request.theirs,
            peer=endpoint(path.remote),
            why=error,
        )
        self._reply(request, path, message, refusal_of(error, message.doi, self._kerberos))

    def _forget(self, answer: _Answer) -> None:
        self._stop(answer)
        if self._answers.get(answer.name) is answer:
            del self._answers[answer.name]
        for creation in answer.creations:
            creation.abandon()

    def _stop(self, answer: _Answer) -> None:
        if answer.timer is not None and answer.timer.active():
            answer.timer.cancel()
        answer.timer = None
