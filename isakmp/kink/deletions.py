"""
The end of SAs: a DELETE of ours, or of a peer's.  RFC 4430 section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from isakmp.associations import SABundle, Session
from isakmp.connections import Intervals
from isakmp.errors import Malformed, PeerError
from isakmp.events import Removal
from isakmp.interfaces import INode
from isakmp.kink.commands import Commands
from isakmp.kink.kerberos import ITicket
from isakmp.kink.numbers import MessageType
from isakmp.kink.payloads import Operation
from isakmp.kink.session import TicketSession
from isakmp.logs import Logger
from isakmp.numbers import NotifyType
from isakmp.paths import Path, endpoint
from isakmp.wire.payload import Payload
from isakmp.wire.payloads import Delete, Notification

_SILENT = (Removal.PEER_GONE, Removal.PEER_RESTARTED, Removal.DELETED_BY_PEER)
"""Ends of an SA of which there is nobody to be told."""

_log = Logger()


class Deletions:
    """
    Removes what we do not want any more, and tells the peer.

    :param grace: seconds that what we receive by stays after the peer has answered.
    """

    _log = Logger()

    def __init__(self, node: INode, commands: Commands, grace: float) -> None:
        self._node = node
        self._commands = commands
        self._grace = grace
        self._leaving: dict[str, tuple[IDelayedCall, SABundle]] = {}
        self._closed = False

    def close(self) -> None:
        """No grace any more."""
        self._closed = True
        leaving, self._leaving = self._leaving, {}
        for timer, bundle in leaving.values():
            timer.cancel()
            self._node.sink.remove(bundle).addErrback(self._could_not)

    async def delete(self, bundle: SABundle, why: Removal, force: bool = False) -> None:
        registry, sink = self._node.registry, self._node.sink
        current = registry.find(bundle.key)
        if not isinstance(current, SABundle) or current.name != bundle.name:
            return
        session = registry.find(current.parent)
        await registry.remove(current, why)
        if why in _SILENT or not isinstance(session, TicketSession):
            await sink.remove(current)
            return
        if force or why is Removal.SHUTDOWN:
            self._say_goodbye(session, current)
            await sink.remove(current)
            return
        await sink.install(replace(current, outbound=()))
        try:
            await self._commands.ask(session, MessageType.DELETE, [Operation.of(deletes(current))])
        except PeerError as error:
            self._log.info(
                "{peer} may not know that {what} is deleted: {why}",
                peer=endpoint(session.path.remote),
                what=current.name,
                why=error,
            )
        if self._closed or not self._grace:
            await sink.remove(current)
            return
        leaving = self._node.clock.callLater(self._grace, self._leave, current.name)
        self._leaving[current.name] = leaving, current

    def withdraw(self, session: TicketSession, payloads: Sequence[Payload]) -> None:
        """Tell a peer what we do not have, whatever it believes."""
        asked = Deferred.fromCoroutine(
            self._commands.ask(session, MessageType.DELETE, [Operation.of(payloads)])
        )
        asked.addErrback(self._could_not)

    def _leave(self, name: str) -> None:
        """Nothing that was sent under it can still be on its way."""
        _, bundle = self._leaving.pop(name)
        self._node.sink.remove(bundle).addErrback(self._could_not)

    def _say_goodbye(self, session: TicketSession, bundle: SABundle) -> None:
        """Once, if a ticket is at hand: nobody will hear the answer."""
        ours = session.ours.data.decode("ascii")

        def send(ticket: ITicket) -> None:
            self._commands.begin(
                MessageType.DELETE,
                ticket,
                session.path,
                session.doi,
                [Operation.of(deletes(bundle))],
                Intervals(),
                once=True,
            )

        asked = self._commands.ticket(ours, session.key.principal, Intervals())
        asked.addCallback(send).addErrback(self._could_not)
        if not asked.called:
            asked.cancel()

    def _could_not(self, failure: Failure) -> None:
        if not failure.check(CancelledError, PeerError):
            self._log.failure("a fault of ours", failure)


def delete_named(
    node: INode,
    principal: str,
    doi: int,
    path: Path,
    operations: Sequence[Sequence[Payload]],
) -> list[list[Payload]]:
    """
    What a peer names is gone in both directions; it is told what that was here, or that there is
    nothing.

    :param principal: the peer's: only its own SAs are its to delete.
    :raises Malformed: if it names nothing.
    """
    replies: list[list[Payload]] = []
    named = False
    for payloads in operations:
        gone: dict[str, SABundle] = {}
        reply: list[Payload] = []
        for payload in payloads:
            if not isinstance(payload, Delete):
                continue
            named = True
            keys = node.dois[doi].deleted(payload, path)
            known = {key.spi for key in keys}
            unknown = [spi for spi in payload.spis if spi not in known]
            for key in keys:
                bundle = node.registry.find(key)
                if isinstance(bundle, SABundle) and _is_of(bundle, principal):
                    gone[bundle.name] = bundle
                else:
                    unknown.append(key.spi)
            kind = NotifyType.INVALID_SPI
            reply.extend(Notification(doi, payload.protocol, kind, spi, b"") for spi in unknown)
        for bundle in gone.values():
            reply.extend(deletes(bundle))
            removed = node.registry.remove(bundle, Removal.DELETED_BY_PEER)
            removed.addErrback(_not_removed)
            node.sink.remove(bundle).addErrback(_not_removed)
        replies.append(reply)
    if not named:
        raise Malformed("a DELETE that names no SA")
    return replies


def _is_of(bundle: SABundle, principal: str) -> bool:
    return isinstance(bundle.parent, Session) and bundle.parent.principal == principal


def _not_removed(failure: Failure) -> None:
    _log.failure("could not remove a bundle", failure)


def deletes(bundle: SABundle) -> list[Payload]:
    """Delete payloads for what is received by.  RFC 4430 section 3.3."""
    return [
        Delete(
            bundle.policy.doi,
            protocol,
            tuple(sa.key.spi for sa in bundle.inbound if sa.key.protocol == protocol),
        )
        for protocol in dict.fromkeys(sa.key.protocol for sa in bundle.inbound)
    ]
