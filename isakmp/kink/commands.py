"""
Commands of ours that are under way, and replies to them.  RFC 4430 sections 3, 6.2 and 9.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from isakmp.connections import Intervals
from isakmp.interfaces import INode
from isakmp.kink.command import Command, Reply
from isakmp.kink.errors import UnknownTransaction
from isakmp.kink.kerberos import IKerberos, ITicket
from isakmp.kink.message import Message, Received
from isakmp.kink.numbers import MessageType
from isakmp.kink.payloads import Operation
from isakmp.kink.session import Sessions, TicketSession
from isakmp.paths import Datagram, Path


class Commands:
    """
    The transactions that a node has begun, by their ID.

    :param epoch: since when it has valid SA information.
    """

    def __init__(
        self, node: INode, kerberos: IKerberos, sessions: Sessions, epoch: int
    ) -> None:
        self._node = node
        self._kerberos = kerberos
        self._sessions = sessions
        self._epoch = epoch
        self._commands: dict[int, Command] = {}
        self._lingering: dict[int, IDelayedCall] = {}

    def __len__(self) -> int:
        return len(self._commands)

    def close(self) -> None:
        """Give up what is under way."""
        for command in tuple(self._commands.values()):
            command.cancel()
            self.forget(command.message.xid)

    def asked(self, kind: MessageType) -> set[str]:
        """The principals to whom such a command is under way."""
        return {
            command.ticket.theirs
            for command in self._commands.values()
            if command.message.kind == kind and not command.over
        }

    def replied(self, received: Received, datagram: Datagram) -> None:
        """
        A REPLY has arrived; one that comes again has its ACK again.

        :raises PeerError: if it does not count.
        """
        command = self._commands.get(received.message.xid)
        if command is None or command.message.doi != received.message.doi:
            raise UnknownTransaction("a reply to no transaction of ours")
        again = received.message.xid in self._lingering
        command.received(received, datagram)
        if again and received.message.acknowledge:
            command.acknowledge()

    def ticket(self, ours: str, theirs: str, intervals: Intervals) -> Deferred[ITicket]:
        """One that is valid longer than a transaction can last.  RFC 4430 section 9."""
        until = self._node.clock.seconds() + intervals.total
        return self._kerberos.ticket(ours, theirs, until)

    def begin(
        self,
        kind: MessageType,
        ticket: ITicket,
        path: Path,
        doi: int,
        operations: Sequence[Operation],
        intervals: Intervals,
        once: bool = False,
    ) -> Command:
        message = Message(kind, doi, self._xid(), tuple(operations))
        command = Command(
            self._node, self._kerberos, ticket, path, message, self._epoch, iter(intervals)
        )
        if once:
            command.send_once()
            return command
        self._commands[message.xid] = command
        command.start()
        return command

    def _xid(self) -> int:
        """At random, and none of those outstanding."""
        while True:
            xid = int.from_bytes(self._node.entropy(4), "big")
            if xid not in self._commands:
                return xid

    def forget(self, xid: int) -> None:
        self._commands.pop(xid, None)
        timer = self._lingering.pop(xid, None)
        if timer is not None and timer.active():
            timer.cancel()

    async def ask(
        self, session: TicketSession, kind: MessageType, operations: Sequence[Operation]
    ) -> Reply:
        """A command in a session, and its reply."""
        intervals = self._node.policy.intervals(session.connection)
        ours = session.ours.data.decode("ascii")
        ticket = await self.ticket(ours, session.key.principal, intervals)
        command = self.begin(kind, ticket, session.path, session.doi, operations, intervals)
        try:
            reply = await command.result
        finally:
            self.forget(command.message.xid)
        if reply.acknowledge:
            command.acknowledge()  # it has no reason to ask, and a right to be answered
        self._sessions.heard(session.key.principal, reply.epoch)
        return reply

    def acknowledge(self, command: Command, reply: Reply, intervals: Intervals) -> None:
        """An ACK if one is wanted, and again when the reply comes again.  RFC 4430 section 9."""
        xid = command.message.xid
        if not reply.acknowledge:
            self.forget(xid)
            return
        command.acknowledge()
        self._lingering[xid] = self._node.clock.callLater(intervals.total, self.forget, xid)
