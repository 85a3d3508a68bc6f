"""
Commands that begin, end and renew SAs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from isakmp.associations import Action, SABundle
from isakmp.connections import Child, Connection
from isakmp.control.call import Call, Refused
from isakmp.control.codec import Content, clipped
from isakmp.control.controlled import Controlled
from isakmp.control.groups import Line
from isakmp.errors import ConfigurationError, PeerError
from isakmp.events import ExchangeFailed
from isakmp.interfaces import IManagementSA, INode
from isakmp.logs import Logger
from isakmp.node import delete, endpoint_of

T = TypeVar("T")

AT_ONCE = -1
"""A timeout: the answer does not wait."""


@dataclass(frozen=True, slots=True)
class Selector:
    """
    Which SAs a client means; what is empty means any.

    :ivar ike: a connection's name; ``ike_id`` the number of one ISAKMP SA of this process.
    :ivar child: a child's name; ``child_id`` likewise.
    """

    ike: str = ""
    child: str = ""
    ike_id: int = 0
    child_id: int = 0

    @classmethod
    def of(cls, call: Call) -> Selector:
        """
        As a client said it.

        :raises Refused: if a number is none.
        """
        return cls(
            call.text("ike"), call.text("child"), call.number("ike-id"), call.number("child-id")
        )

    def __bool__(self) -> bool:
        return bool(self.ike or self.child or self.ike_id or self.child_id)

    @property
    def of_children(self) -> bool:
        """Whether children are meant, and not ISAKMP SAs."""
        return bool(self.child or self.child_id)

    def takes(self, node: INode, sa: IManagementSA) -> bool:
        """Whether an ISAKMP SA is one of those, or one whose children may be."""
        number = node.registry.number(sa)
        return self.ike in ("", sa.connection) and self.ike_id in (0, number)

    def management(self, node: INode) -> Iterator[IManagementSA]:
        """The ISAKMP SAs that are meant, or whose children may be."""
        for sa in node.registry:
            if not isinstance(sa, SABundle) and self.takes(node, sa):
                yield sa

    def children(self, node: INode, sa: IManagementSA) -> Iterator[SABundle]:
        """The children of an ISAKMP SA that are meant."""
        for bundle in node.registry.children(sa.key):
            number = node.registry.number(bundle)
            if self.child in ("", bundle.policy.name) and self.child_id in (0, number):
                yield bundle

    def everything(self, node: INode) -> list[IManagementSA | SABundle]:
        """The SAs that are meant: children if one is named, else ISAKMP SAs."""
        found: list[IManagementSA | SABundle] = []
        for sa in self.management(node):
            found += self.children(node, sa) if self.of_children else [sa]
        return found


class Acting:
    """
    What is done with the SAs of a daemon.
    """

    _log = Logger()

    def __init__(self, daemon: Controlled) -> None:
        self._daemon = daemon

    @property
    def _node(self) -> INode:
        return self._daemon.assembly.node

    async def initiate(self, call: Call) -> Content:
        """
        A child, or an ISAKMP SA alone; answered when it stands or has failed, with why.

        ``timeout`` is milliseconds; what has begun goes on when they are over.
        """
        connection, child = self._configured(call)
        endpoint = endpoint_of(self._node, connection)
        what = connection.name if child is None else f"{connection.name}/{child.name}"
        if child is not None and child.action is not Action.PROTECT:
            raise Refused(f"{what} is not begun: mode = {child.action.value} protects nothing")
        self._log.info("a client begins {what}", what=what, connection=connection.name)
        with_lines = _Lines(call, connection.name, self._number)
        failures = _Failures(self._node)
        begun = endpoint.establish(connection, () if child is None else child)
        try:
            await self._awaited(call, begun, f"{what} is not established after {{}} ms; it goes on")
        except (PeerError, ConfigurationError, LookupError) as error:
            raise Refused(f"{what} is not established: {failures.sentence(error)}") from None
        except CancelledError:
            raise Refused(f"{what} is not established: it was given up here") from None
        finally:
            failures.stop()
            with_lines.stop()
        return {"success": "yes"}

    async def terminate(self, call: Call) -> Content:
        """
        SAs are deleted, and their peers told; answered when they are gone.

        Peers that answer are waited for, unless with ``force``; IKEv1 has no such answer (RFC 2408
        section 5.15).  ``timeout`` is as in :meth:`initiate`.  With a connection's name also what
        is only begun with it is given up.
        """
        selector, force = Selector.of(call), call.flag("force")
        if not selector:
            raise Refused("nothing says which SAs: valid are ike, child, ike-id and child-id")
        found = selector.everything(self._node)
        begun = self._give_up(selector)
        if not found and not begun:
            raise Refused("no such SA stands", matches="0", terminated="0")
        names = {selector.ike} if begun else {sa.connection for sa in found}
        self._log.info(
            "a client ends {count} SAs of {connection}",
            count=len(found) + begun,
            connection=", ".join(sorted(names)),
        )
        with_lines = _Lines(call, names.pop() if len(names) == 1 else "", self._number)
        gone: list[None] = []
        deleting = [delete(self._node, [sa], force=force).addCallback(gone.append) for sa in found]
        together = DeferredList(
            deleting, fireOnOneErrback=True, consumeErrors=True
        ).addCallbacks(lambda _: None, lambda first: first.value.subFailure)
        matches = str(len(found) + begun)
        try:
            await self._awaited(call, together, "not all SAs are gone after {} ms; it goes on")
        except Refused as late:
            terminated = str(len(gone) + begun)
            raise Refused(str(late), matches=matches, terminated=terminated) from None
        finally:
            with_lines.stop()
        return {"success": "yes", "matches": matches, "terminated": matches}

    def _give_up(self, selector: Selector) -> int:
        """End what is only begun with a connection; how many SAs that would have been."""
        if not selector.ike or selector.of_children or selector.ike_id:
            return 0
        begun = [
            exchange
            for exchange in self._node.exchanges.running()
            if exchange.sa is None
            and exchange.connection is not None
            and exchange.connection.name == selector.ike
        ]
        waiting = self._daemon.assembly.initiation.leave(selector.ike)
        for exchange in begun:
            exchange.cancel()
        return len(begun) or waiting

    async def rekey(self, call: Call) -> Content:
        """
        SAs are renewed, beginning at once; the answer does not wait.

        In IKEv1 the ISAKMP SA is renewed by authenticating anew, ``reauth`` or not.
        """
        selector = Selector.of(call)
        if not selector:
            raise Refused("nothing says which SAs: valid are ike, child, ike-id and child-id")
        found = selector.everything(self._node)
        if not found:
            raise Refused("no such SA stands", matches="0")
        begun = [sa for sa in found if self._daemon.assembly.renewals.now(sa)]
        if not begun:
            raise Refused(
                "they are renewed already, or their connection is not configured any more",
                matches=str(len(found)),
            )
        return {"success": "yes", "matches": str(len(found))}

    async def redirect(self, call: Call) -> Content:
        """Peers are sent to another gateway: not in IKEv1."""
        raise Refused("a redirection of peers is IKEv2's", matches="0")

    async def install(self, call: Call) -> Content:
        """From now on the traffic of a child begins it, or passes, or is dropped: as configured."""
        connection, child = self._configured(call)
        if child is None:
            raise Refused("nothing says which child: valid is child, and ike besides")
        try:
            await self._daemon.assembly.traps.set(connection, child)
        except (ConfigurationError, OSError) as error:
            raise Refused(str(error)) from None
        return {"success": "yes"}

    async def uninstall(self, call: Call) -> Content:
        """No longer."""
        ike, child = call.text("ike"), call.text("child")
        if not child:
            raise Refused("nothing says which child: valid is child, and ike besides")
        traps = self._daemon.assembly.traps
        for name in traps.standing:
            if name[1] == child and ike in ("", name[0]):
                await traps.unset(*name)
                return {"success": "yes"}
        raise Refused(f"no policy of {child} is installed")

    def _configured(self, call: Call) -> tuple[Connection, Child | None]:
        """
        What a client names.

        :raises Refused: if there is no such thing.
        """
        ike, child = call.text("ike"), call.text("child")
        if not ike and not child:
            raise Refused("nothing says what: valid are ike, and child")
        connections = self._daemon.loaded.connections
        if ike and self._daemon.loaded.connection(ike) is None:
            known = ", ".join(one.name for one in connections) or "none"
            raise Refused(f"there is no connection {ike}; there are: {known}")
        for one in connections:
            if ike and one.name != ike:
                continue
            if not child:
                return one, None
            for inner in one.children:
                if inner.name == child:
                    return one, inner
        where = f"connection {ike} has no child {child}" if ike else f"there is no child {child}"
        known = ", ".join(
            f"{one.name}/{inner.name}"
            for one in connections
            if ike in ("", one.name)
            for inner in one.children
        )
        raise Refused(f"{where}; there are: {known or 'none'}")

    async def _awaited(self, call: Call, begun: Deferred[T], late: str) -> None:
        """
        Wait for it as long as the client does.

        :param late: what is said when it takes longer, with the milliseconds.
        :raises Refused: then; it goes on.
        """
        milliseconds = call.number("timeout")
        if milliseconds <= AT_ONCE:
            begun.addErrback(_logged_where_it_happened)
            return
        waiting: Deferred[None] = Deferred()

        def over(result: object) -> None:
            if waiting.called:
                if isinstance(result, Failure):
                    _logged_where_it_happened(result)
            elif isinstance(result, Failure):
                waiting.errback(result)
            else:
                waiting.callback(None)

        begun.addBoth(over)
        timer = None
        if milliseconds and not waiting.called:
            failure = Failure(Refused(late.format(milliseconds)))
            timer = self._node.clock.callLater(milliseconds / 1000, over, failure)
        try:
            await waiting
        finally:
            if timer is not None and timer.active():
                timer.cancel()

    def _number(self, connection: str) -> int:
        """The number of a connection's youngest ISAKMP SA; 0: it has none."""
        standing = self._node.registry.by_connection(connection)
        return self._node.registry.number(standing[-1]) if standing else 0


@implementer(ILogObserver)
class _Lines:
    """
    Has a client told, as long as its command runs, what the log says of a connection.

    :param connection: its name; empty: of any.
    :param number: of its ISAKMP SA.
    """

    def __init__(self, call: Call, connection: str, number: Callable[[str], int]) -> None:
        self._call = call
        self._connection = connection
        self._number = number
        self._most = call.number("loglevel", 1)
        self._watching = call.wants("control-log")
        if self._watching:
            globalLogPublisher.addObserver(self)

    def __call__(self, event: LogEvent) -> None:
        """From twisted.logger: something is logged."""
        line = Line.of(event)
        if line is None or line.level > self._most:
            return
        if self._connection and line.connection != self._connection:
            return
        self._call.tell("control-log", told(line, line.number or self._number(line.connection)))

    def stop(self) -> None:
        """It is over."""
        if self._watching:
            self._watching = False
            globalLogPublisher.removeObserver(self)


class _Failures:
    """
    What is said of the exchanges that fail as long as a client's command runs.
    """

    def __init__(self, node: INode) -> None:
        # Of many that fail meanwhile the last are kept: the one that ends the command is of them.
        self._last: deque[ExchangeFailed] = deque(maxlen=8)
        self.stop = node.events.subscribe(ExchangeFailed, self._last.append)

    def sentence(self, error: Exception) -> str:
        """What the log says of the exchange that ended with this error; else the error itself."""
        for event in reversed(self._last):
            if event.error is error:
                return event.sentence
        return str(error)


def told(line: Line, number: int) -> Content:
    """A line of the log, as an event."""
    found = {"group": line.group, "level": str(line.level)}
    if line.connection:
        found["ikesa-name"] = line.connection
    if line.connection and number:
        found["ikesa-uniqueid"] = str(number)
    return {**found, "msg": clipped(line.text)}


def _logged_where_it_happened(failure: Failure) -> None:
    failure.trap(PeerError, ConfigurationError, LookupError, CancelledError)
