"""
KINK at work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from twisted.internet.defer import CancelledError, Deferred, DeferredList, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from zope.interface import implementer

from isakmp.associations import SABundle, Session
from isakmp.connections import Child, Connection, Intervals
from isakmp.errors import (
    Cancelled,
    ConfigurationError,
    ExchangeTimeout,
    Malformed,
    PeerError,
    Reason,
)
from isakmp.events import ExchangeFailed, FirstMessageRefused, MessageDropped, Removal
from isakmp.exchange.phase1 import path_of
from isakmp.exchange.refusals import Bucket
from isakmp.interfaces import (
    IKeyExchangeEndpoint,
    IManagementSA,
    INegotiatingDomain,
    INode,
)
from isakmp.kink.answers import Answers
from isakmp.kink.command import Command, Reply
from isakmp.kink.commands import Commands
from isakmp.kink.creation import Creation
from isakmp.kink.deletions import Deletions
from isakmp.kink.errors import (
    InvalidDOI,
    InvalidMajor,
    KINKError,
    ProtocolError,
    UserToUserDenied,
)
from isakmp.kink.kerberos import IKerberos, KerberosRefusal
from isakmp.kink.message import Header, Message, Received
from isakmp.kink.numbers import VERSION, MessageType
from isakmp.kink.operations import MAX_OPERATIONS
from isakmp.kink.payloads import ErrorPayload, KerberosErrorPayload, Operation, TGTRequest
from isakmp.kink.principals import principal_of
from isakmp.kink.session import Sessions, TicketSession, identity
from isakmp.kink.settings import Settings
from isakmp.logs import Logger
from isakmp.parts import Role
from isakmp.paths import Datagram, Path, endpoint
from isakmp.wire.payload import Payload

_COMMANDS = (MessageType.CREATE, MessageType.DELETE, MessageType.STATUS, MessageType.GETTGT)


@implementer(IKeyExchangeEndpoint)
class KINKEndpoint:
    """
    Implements IKeyExchangeEndpoint.

    :ivar epoch: since when this node has valid SA information (RFC 4430 section 4.2.1).
    """

    _log = Logger()

    def __init__(self, node: INode, settings: Settings, kerberos: IKerberos) -> None:
        self._node = node
        self._settings = settings
        self.kerberos = kerberos
        self.epoch = int(node.clock.seconds()) & 0xFFFFFFFF
        self.sessions = Sessions(node)
        self.commands = Commands(node, kerberos, self.sessions, self.epoch)
        self._deletions = Deletions(node, self.commands, settings.grace)
        self.answers = Answers(
            node, settings, kerberos, self.sessions, self.epoch, self._deletions.withdraw
        )
        self._running: set[Deferred[Sequence[SABundle]]] = set()
        self._errors = Bucket(node.clock, node.limits.notifications)
        self._lines = Bucket(node.clock, node.limits.notifications)
        self._probing: IDelayedCall | None = None
        self._closed = False
        if settings.probe:
            self._probing = node.clock.callLater(settings.probe, self._probe_all)

    # -- IKeyExchangeEndpoint ------------------------------------------------------------------

    def datagram_received(self, datagram: Datagram) -> None:
        """A datagram for KINK has arrived; whatever is wrong with it ends here."""
        if self._closed:
            return
        try:
            header = Header.decode(datagram.octets)
        except Malformed as error:
            self._node.events.publish(MessageDropped(datagram.path, error))
            return
        try:
            self._route(header, datagram)
        except PeerError as error:
            self._dropped(error, header, datagram)

    def establish(
        self,
        connection: Connection,
        child: Child | Sequence[Child],
        sa: IManagementSA | None = None,
    ) -> Deferred[Sequence[SABundle]]:
        """
        Have a child's SAs.

        :param sa: with this peer, of a connection that is for many.

        Fails with the :class:`PeerError` that ended it, or :class:`ConfigurationError`.
        """
        if self._closed:
            return fail(Cancelled("this node has stopped"))
        children = (child,) if isinstance(child, Child) else tuple(child)
        running = Deferred.fromCoroutine(self._establish(connection, children, sa))
        if not running.called:
            self._running.add(running)
            running.addBoth(self._ended, running)
        return running

    def reauthenticate(self, sa: IManagementSA) -> Deferred[IManagementSA]:
        """
        The session stays what it is while both ends are what they were: a STATUS says so.

        Fails with :class:`PeerError` if the peer is not there, or began afresh.
        """
        return self.probe(sa).addCallback(lambda _: self._node.registry.find(sa.key) or sa)

    def delete(
        self,
        sas: Sequence[IManagementSA | SABundle],
        why: Removal = Removal.DELETED,
        force: bool = False,
    ) -> Deferred[None]:
        """
        Remove them here and tell the peer; with a session go its children.

        What we receive by stays until the peer has answered, and for the time of grace.

        :param force: the peer is told once, and nothing stays.
        """
        bundles: dict[str, SABundle] = {}
        for sa in sas:
            its = [sa] if isinstance(sa, SABundle) else self._node.registry.children(sa.key)
            bundles.update((bundle.name, bundle) for bundle in its)
        deleting = [
            Deferred.fromCoroutine(self._deletions.delete(bundle, why, force))
            for bundle in bundles.values()
        ]
        for sa in sas:
            if not isinstance(sa, SABundle):
                deleting.append(self._node.registry.remove(sa, why))
        together = DeferredList(deleting, fireOnOneErrback=True, consumeErrors=True)
        return together.addCallbacks(lambda _: None, lambda failure: failure.value.subFailure)

    def close(self) -> Deferred[None]:
        """End every transaction, delete every SA, leave nothing on the clock."""
        self._closed = True
        if self._probing is not None:
            self._probing.cancel()
            self._probing = None
        for running in tuple(self._running):
            running.addErrback(lambda _: None)
            running.cancel()
        removed = self.delete(self.sessions.all(), Removal.SHUTDOWN)
        self.answers.close()
        self.commands.close()
        self._deletions.close()
        self.sessions.stop()
        return removed

    # -- arrivals ------------------------------------------------------------------------------

    def _route(self, header: Header, datagram: Datagram) -> None:
        if header.version != VERSION:
            raise InvalidMajor(Reason("major version", str(header.version), str(VERSION)))
        try:
            received = Received.decode(datagram.octets)
        except Malformed as error:
            raise ProtocolError(error.reason) from error
        if header.kind == MessageType.REPLY:
            self.commands.replied(received, datagram)
        elif header.kind == MessageType.ACK:
            self.answers.acknowledgement(received, datagram)
        elif header.kind not in _COMMANDS:
            raise ProtocolError(f"message type {header.kind}")
        elif not INegotiatingDomain.providedBy(self._node.dois.get(header.doi)):
            raise InvalidDOI(Reason("domain of interpretation", str(header.doi)))
        elif header.acknowledge:
            raise ProtocolError("an initiator that sets ACKREQ")
        elif header.kind == MessageType.GETTGT:
            name = received.message.one(TGTRequest).principal
            raise UserToUserDenied(f"user-to-user authentication is not built; {name} was asked")
        else:
            self.answers.command(received, datagram)

    def _dropped(self, error: PeerError, header: Header, datagram: Datagram) -> None:
        """
        It was not proven: told only what RFC 4430 has a word for, and not more than was sent.
        """
        self._node.events.publish(MessageDropped(datagram.path, error))
        if header.kind in (MessageType.REPLY, MessageType.ACK):
            peer = endpoint(datagram.path.remote)
            self._log.debug("dropped from {peer}: {why}", peer=peer, why=error)
            return
        if self._lines.take():
            refused = FirstMessageRefused(datagram.path, error)
            self._log.info("{line}", line=refused.sentence, **refused.fields)
            self._node.events.publish(refused)
        payload: Payload
        checksum = None
        if isinstance(error, KINKError):
            payload = ErrorPayload(error.code)
        elif isinstance(error, KerberosRefusal):
            payload = KerberosErrorPayload(self.kerberos.error(error))
            checksum = None if error.key is None else error.key.checksum
        else:
            return
        answer = Message(MessageType.REPLY, header.doi, header.xid, (payload,))
        octets = answer.encode(checksum)
        if len(octets) <= len(datagram.octets) and self._errors.take():
            self._node.ports.send(Datagram(octets, datagram.path))

    # -- CREATE --------------------------------------------------------------------------------

    async def _establish(
        self, connection: Connection, children: tuple[Child, ...], sa: IManagementSA | None
    ) -> Sequence[SABundle]:
        if not 1 <= len(children) <= MAX_OPERATIONS:
            raise ConfigurationError(f"one to {MAX_OPERATIONS} children can share a CREATE")
        ours = principal_of(connection, connection.local_identity, "local")
        if isinstance(sa, TicketSession):
            theirs, path = sa.key.principal, sa.path
        else:
            theirs = principal_of(connection, connection.remote_identity.exact, "remote")
            path = path_of(connection, self._node.ports)
        known = self.sessions.with_peer(theirs)
        name = connection.name
        command: Command | None = None
        reply: Reply | None = None
        creations: list[Creation] = []
        key = Session(theirs, 0 if known is None else known.key.epoch)
        try:
            ticket = await self.commands.ticket(ours, theirs, connection.intervals)
            session = TicketSession(
                key,
                Role.INITIATOR,
                connection.doi,
                identity(ours),
                identity(theirs),
                name,
                path,
                ticket.key,
            )
            operations = []
            for child in children:
                creation = Creation(self._node, self.sessions, Role.INITIATOR, session, path)
                creations.append(creation)
                operations.append(Operation.of(await creation.offer(child)))
            command = self.commands.begin(
                MessageType.CREATE, ticket, path, connection.doi, operations, connection.intervals
            )
            reply = await command.result
            key = Session(theirs, reply.epoch)
            self.sessions.heard(theirs, reply.epoch)
            answers = reply.opened()
            if len(answers) != len(creations):
                raise Malformed(f"{len(answers)} answers to {len(creations)} offers")
            session = replace(session, key=key)
            for creation, payloads in zip(creations, answers, strict=True):
                await creation.answered(payloads, session, reply.acknowledge)
        except BaseException as error:
            # Whatever it is, what was begun is undone, and it goes on to whoever waits.
            for creation in creations:
                creation.abandon()
            if command is not None:
                self._take_back(command, reply, creations)
            self._failed(error, name, path, key)
            raise
        for creation in creations:
            creation.finish()
        self.commands.acknowledge(command, reply, connection.intervals)
        return [creation.bundle for creation in creations]

    def _take_back(
        self, command: Command, reply: Reply | None, creations: Sequence[Creation]
    ) -> None:
        """
        We do not take the reply, and the responder may believe in what it has installed: it gets
        the ACK that it must get in any case (RFC 4430 section 3.2), and a DELETE.
        """
        if reply is None or self._closed:
            command.cancel()
            self.commands.forget(command.message.xid)
            return
        intervals = Intervals()
        self.commands.acknowledge(command, reply, intervals)
        payloads = [payload for creation in creations for payload in creation.offered]
        deleting = self.commands.begin(
            MessageType.DELETE,
            command.ticket,
            command.path,
            command.message.doi,
            [Operation.of(payloads)],
            intervals,
        )
        deleting.result.addBoth(lambda _: self.commands.forget(deleting.message.xid))

    def _failed(self, error: BaseException, name: str, path: Path, key: Session) -> None:
        if isinstance(error, CancelledError):
            error = Cancelled("given up here")
        if isinstance(error, PeerError):
            event = ExchangeFailed(name, path, "KINK CREATE", Role.INITIATOR, key, error)
            self._node.events.publish(event)
            self._log.info("{line}", line=event.sentence, **event.fields)

    def _ended(
        self, result: object, running: Deferred[Sequence[SABundle]]
    ) -> Sequence[SABundle]:
        self._running.discard(running)
        return cast(Sequence[SABundle], result)

    # -- STATUS --------------------------------------------------------------------------------

    def probe(self, sa: IManagementSA) -> Deferred[None]:
        """
        Ask whether the peer is there, and has what was made with it.  RFC 4430 section 3.7.

        Fails with :class:`PeerError`; the SAs of a peer that is gone, or began afresh, are removed.
        """
        if not isinstance(sa, TicketSession):
            return fail(TypeError(f"{sa.key} is no session of KINK's"))
        return Deferred.fromCoroutine(self._probe(sa))

    async def _probe(self, session: TicketSession) -> None:
        try:
            reply = await self.commands.ask(session, MessageType.STATUS, ())
        except ExchangeTimeout:
            if self._node.registry.find(session.key) is not None:
                self.sessions.gone(session, Removal.PEER_GONE)
            raise
        if reply.epoch != session.key.epoch:
            raise PeerError(Reason("the peer began afresh", str(reply.epoch)))

    def _probe_all(self) -> None:
        self._probing = self._node.clock.callLater(self._settings.probe, self._probe_all)
        asked = self.commands.asked(MessageType.STATUS)
        for session in self.sessions.all():
            if session.key.principal not in asked:
                self.probe(session).addErrback(self._not_there, session)

    def _not_there(self, failure: Failure, session: TicketSession) -> None:
        if not failure.check(PeerError, CancelledError):
            self._could_not(failure)

    def _could_not(self, failure: Failure) -> None:
        if not failure.check(CancelledError, PeerError):
            self._log.failure("a fault of ours", failure)
