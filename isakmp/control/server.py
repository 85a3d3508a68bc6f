"""
The control socket and its clients.

A client has one command running at a time; events reach it in between.  What a client has not read
waits here, up to a bound; beyond that it loses events, and its connection in the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import ServerFactory
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from isakmp.control.call import Call, Command, Refused, refusal
from isakmp.control.codec import MAX_SEGMENT, Content, Kind, Malformed, Packet, Section
from isakmp.errors import ConfigurationError
from isakmp.logs import Logger

MAX_CLIENTS = 32
"""How many may be connected at once."""

MAX_WAITING = MAX_SEGMENT
"""The most octets of packets that wait for the end of a client's command."""

MAX_LATE = 2 * MAX_SEGMENT
"""The most octets of events that wait for a client that has not read those before."""

STALLED = 60.0
"""Seconds after which a client that reads nothing of what waits for it is left."""

PARTING = 0.5
"""Seconds that a client has to read what it was told when the daemon ends."""


class Session(Int32StringReceiver):
    """
    One client.

    :ivar registered: the events it listens to.
    """

    MAX_LENGTH = MAX_SEGMENT
    transport: ITransport

    _log = Logger()

    def __init__(self, server: ControlServer) -> None:
        self.registered: set[str] = set()
        self._server = server
        self._waiting: deque[bytes] = deque()
        self._busy = False
        self._taking = False
        self._gone = False
        self._clogged = False
        self._room: Deferred[None] | None = None
        self._stalled: IDelayedCall | None = None
        self._lost = 0
        self._late: deque[bytes] = deque()
        self._late_octets = 0
        self._ending: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """From Twisted: it is there."""
        self._server.sessions.add(self)
        self.transport.registerProducer(_Outlet(self), True)  # type: ignore[attr-defined]

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:
        """From Twisted: it has gone.  What it asked for goes on; nobody is told how it ends."""
        self._gone = True
        self._server.sessions.discard(self)
        self.registered.clear()
        self._waiting.clear()
        self._late.clear()
        self.flowing()
        if self._ending is not None and self._ending.active():
            self._ending.cancel()
        self._server.registrations_changed()
        self._server.left()

    # -- what it sends -------------------------------------------------------------------------

    def lengthLimitExceeded(self, length: int) -> None:
        """From Twisted: it announces more than a packet may have."""
        self._leave(f"a packet of {length} octets is more than {MAX_SEGMENT}")

    def stringReceived(self, string: bytes) -> None:
        """From Twisted: a packet."""
        if self._gone:
            return
        if sum(map(len, self._waiting)) + len(string) > MAX_WAITING or len(self._waiting) > 64:
            self._leave("it sends more than one command at a time")
            return
        self._waiting.append(string)
        self._take()

    def _take(self) -> None:
        """Whatever waits and has its turn."""
        if self._taking:
            return
        self._taking = True
        try:
            while self._waiting and not (self._busy or self._clogged or self._gone):
                try:
                    self._taken(Packet.decode(self._waiting.popleft()))
                except Malformed as error:
                    self._leave(str(error))
        finally:
            self._taking = False

    def _taken(self, packet: Packet) -> None:
        if packet.kind is Kind.CMD_REQUEST:
            command = self._server.commands.get(packet.name)
            if command is None:
                self._send(Packet(Kind.CMD_UNKNOWN))
                return
            self._busy = True
            answering = Deferred.fromCoroutine(self._answered(packet, command))
            answering.addErrback(self._fault, packet.name).addCallback(self._done)
        elif packet.kind in (Kind.EVENT_REGISTER, Kind.EVENT_UNREGISTER):
            known = packet.name in self._server.events
            if packet.kind is Kind.EVENT_UNREGISTER:
                known = packet.name in self.registered
                self.registered.discard(packet.name)
            elif known:
                self.registered.add(packet.name)
            self._server.registrations_changed()
            self._send(Packet(Kind.EVENT_CONFIRM if known else Kind.EVENT_UNKNOWN))
        else:
            self._leave(f"{packet.kind.name} is not for a daemon")

    async def _answered(self, packet: Packet, command: Command) -> None:
        try:
            answer = await command(Call(self, packet.message))
        except (Refused, ConfigurationError) as error:
            answer = refusal(str(error), **getattr(error, "counts", {}))
        self._respond(answer)

    def _respond(self, answer: Content) -> None:
        try:
            octets = Packet(Kind.CMD_RESPONSE, message=cast(Section, answer)).encode()
        except ValueError as error:
            octets = Packet(
                Kind.CMD_RESPONSE,
                message=refusal(f"the answer cannot be sent: {error}"),
            ).encode()
        self._write(octets)

    def _fault(self, failure: Failure, command: str) -> None:
        if self._gone and failure.check(ConnectionDone, CancelledError):
            return
        self._log.failure(
            "the command {what} failed by a fault of ours", failure, what=command
        )
        self._respond(refusal("a fault of the daemon's, which is in its log"))

    def _done(self, _: object) -> None:
        self._busy = False
        self._take()

    def _leave(self, why: str) -> None:
        """It does not speak vici, or does not listen."""
        if not self._gone:
            self._log.warn("a client of the control socket is left: {why}", why=why)
            self._gone = True
            self._waiting.clear()
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def end(self) -> None:
        """The daemon ends: it is left when it has read what it was told, or after a moment."""
        self.registered.clear()
        self._waiting.clear()
        transport: Any = self.transport
        transport.unregisterProducer()
        if not self._gone:
            self._write_late(all_of_it=True)
        transport.loseConnection()
        self._ending = self._server.clock.callLater(PARTING, transport.abortConnection)

    # -- what it is sent -----------------------------------------------------------------------

    def tell(self, event: str, content: Content) -> None:
        """An event, if it listens to it and reads."""
        if event in self.registered:
            octets = self._server.encoded(event, content)
            if octets is not None:
                self.tell_octets(octets)

    def tell_octets(self, octets: bytes) -> None:
        """An event that it listens to; lost if too much waits for it to be read."""
        if self._clogged and self._late_octets + len(octets) > MAX_LATE:
            self._lost += 1
        else:
            self._write(octets, late=self._clogged)

    async def stream(self, event: str, content: Content) -> None:
        """An event, if it listens to it, as soon as it has read those before."""
        while self._clogged and not self._gone:
            if self._room is None:
                self._room = Deferred()
            await self._room
        if self._gone:
            raise ConnectionDone
        self.tell(event, content)

    def _send(self, packet: Packet) -> None:
        self._write(packet.encode())

    def _write(self, octets: bytes, late: bool = False) -> None:
        if self._gone:
            return
        if late or self._late:
            self._late.append(octets)
            self._late_octets += len(octets)
        else:
            self.sendString(octets)

    def _write_late(self, all_of_it: bool = False) -> None:
        """What has waited, as long as there is room for it."""
        while self._late and (all_of_it or not self._clogged):
            octets = self._late.popleft()
            self._late_octets -= len(octets)
            self.sendString(octets)

    def clogged(self) -> None:
        """As much waits for it as may; that is said again with every write."""
        self._clogged = True
        if self._stalled is None:
            self._stalled = self._server.clock.callLater(
                STALLED, self._leave, f"it has read nothing for {STALLED:.0f} s"
            )

    def flowing(self) -> None:
        """It has read what waited for it, or has gone."""
        self._clogged = False
        if self._stalled is not None and self._stalled.active():
            self._stalled.cancel()
        self._stalled = None
        self._write_late()
        if self._clogged:
            return
        if self._lost and not self._gone:
            self._log.warn(
                "a client of the control socket has lost {count} events", count=self._lost
            )
        self._lost = 0
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)
        self._take()


@implementer(IPushProducer)
class _Outlet:
    """Told by a transport how much waits to be written."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def pauseProducing(self) -> None:
        """From Twisted: its buffer is full."""
        self._session.clogged()

    def resumeProducing(self) -> None:
        """From Twisted: its buffer is empty."""
        self._session.flowing()

    def stopProducing(self) -> None:
        """From Twisted: nobody reads any more; the session is told otherwise."""


class ControlServer(ServerFactory):
    """
    All clients.

    :param commands: by name.
    :param events: the names that clients may listen to.
    :ivar watched: called when the events that anybody listens to may have changed.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self, commands: Mapping[str, Command], events: frozenset[str], clock: IReactorTime
    ) -> None:
        self.commands = commands
        self.events = events
        self.clock = clock
        self.sessions: set[Session] = set()
        self.watched: Callable[[], None] | None = None
        self._over: list[Deferred[None]] = []

    def buildProtocol(self, addr: IAddress | None) -> Session | None:
        """From Twisted: a client; none if there are too many."""
        if len(self.sessions) >= MAX_CLIENTS:
            self._log.warn("more than {count} clients of the control socket", count=MAX_CLIENTS)
            return None
        return Session(self)

    def wanted(self, event: str) -> bool:
        """Whether anybody listens to an event."""
        return any(event in session.registered for session in self.sessions)

    def publish(self, event: str, content: Content) -> None:
        """Tell everybody who listens."""
        listening = [one for one in self.sessions if event in one.registered]
        octets = self.encoded(event, content) if listening else None
        if octets is not None:
            for session in listening:
                session.tell_octets(octets)

    def encoded(self, event: str, content: Content) -> bytes | None:
        """The packet of an event; None if it is too long."""
        try:
            return Packet(Kind.EVENT, event, cast(Section, content)).encode()
        except ValueError as error:
            self._log.debug("the event {what} is not told: {why}", what=event, why=str(error))
            return None

    def registrations_changed(self) -> None:
        """A client listens to something else than before."""
        if self.watched is not None:
            self.watched()

    def leave_all(self) -> Deferred[None]:
        """
        Every client's connection ends, when it has read what it was told, or does not soon.

        Fires when all have.
        """
        over: Deferred[None] = Deferred()
        self._over.append(over)
        for session in tuple(self.sessions):
            session.end()
        self.left()
        return over

    def left(self) -> None:
        """A client has."""
        if not self.sessions:
            over, self._over = self._over, []
            for one in over:
                one.callback(None)
