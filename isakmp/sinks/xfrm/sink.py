"""
The kernel's IPsec as a sink: SAs, the policies that send traffic through them, and traps.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Coroutine
from socket import SOL_SOCKET
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from zope.interface import implementer

from isakmp.associations import (
    Action,
    ChildPolicy,
    SABundle,
    SPIKey,
    Transform,
    Usage,
)
from isakmp.connections import Routing
from isakmp.errors import ConfigurationError, LimitReached
from isakmp.handling import Handling
from isakmp.interfaces import IChoices, IEvents, IReqids, IRouting, ISASink
from isakmp.logs import Logger
from isakmp.paths import Path
from isakmp.sinks.xfrm import structures
from isakmp.sinks.xfrm.alone import Alone
from isakmp.sinks.xfrm.bound import GROUP_LINK, BoundToInterfaces
from isakmp.sinks.xfrm.bundles import Bundles
from isakmp.sinks.xfrm.chosen import Choices
from isakmp.sinks.xfrm.earlier import remove_leftovers
from isakmp.sinks.xfrm.hearing import Hearing, Trapped
from isakmp.sinks.xfrm.link import ACK, Link, Refused
from isakmp.sinks.xfrm.needs import needs_of
from isakmp.sinks.xfrm.netlink import ROUTE, Message, NetlinkError
from isakmp.sinks.xfrm.policies import (
    Between,
    index_of,
    policies,
    trapped_layers,
)
from isakmp.sinks.xfrm.policy_table import PolicyTable
from isakmp.sinks.xfrm.refusals import explained
from isakmp.sinks.xfrm.routes import Routes
from isakmp.sinks.xfrm.routing import MARK, SO_MARK
from isakmp.sinks.xfrm.spis import ReservedSPIs
from isakmp.sinks.xfrm.structures import Direction
from isakmp.sinks.xfrm.trying import Trials
from isakmp.sinks.xfrm.waiting import WaitingPackets

T = TypeVar("T")


@implementer(ISASink, IReqids, IChoices, IRouting)
class XFRMSink:
    """
    Implements ISASink by the Linux kernel.

    What is installed carries a reqid, and each policy an index, of ranges that are this program's:
    so a later run knows again what a dead one has left, and leaves alone what is anybody else's.

    :ivar hearing: what the kernel tells by itself.
    :ivar routes: those beside its SAs; None: it puts none.
    """

    name = "xfrm"
    protects = True

    _log = Logger()

    def __init__(self, reactor: Any = None, entropy: Callable[[int], bytes] = os.urandom) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self._asking: Link | None = None
        self._events: IEvents | None = None
        self._lock = DeferredLock()
        self._choices = Choices()
        self._table = PolicyTable(self._ask, lambda: self._waiting.changed)
        self._trials = Trials(self._ask)
        self._spis = ReservedSPIs(self._ask)
        self.hearing = Hearing(
            reactor, self._ask, self._in_turn, self._publish, self._table.restore
        )
        self.routes: Routes | None = None
        self._waiting = WaitingPackets()
        self._bundles = Bundles(
            self._ask,
            self._table,
            self._spis,
            self._choices,
            self._waiting,
            self.hearing.names,
            entropy,
            self.hearing.look,
        )
        self._alone = Alone(entropy)
        self._bound = BoundToInterfaces(reactor, self._hear_of_links, self._in_turn)

    # -- what can be done here -----------------------------------------------------------------

    def start(self, events: IEvents) -> Deferred[None]:
        """
        Try an SA, and remove what a dead run has left.

        :raises ConfigurationError: if this kernel, or this process, cannot protect anything.
        """
        self._events = events
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        try:
            self._link()
            await self._alone.claim(self._ask)
            await self._trials.anything()
            self.hearing.start()
            left = await remove_leftovers(self._ask)
        except Refused as error:
            await self._stop()
            raise ConfigurationError(
                f"the sink xfrm cannot be used: {explained(error.errno or 0, structures.ESP)}"
            ) from None
        except ConfigurationError:
            await self._stop()
            raise
        except (OSError, NetlinkError) as error:
            await self._stop()
            raise ConfigurationError(f"the sink xfrm cannot be used: {error}") from None
        if left.changed:
            self._waiting.restore_default()
        if left.count:
            self._log.info(
                "{count} SAs and policies of an earlier run have been removed", count=left.count
            )
        if self.routes is not None:
            await self.routes.start()

    def stop(self) -> Deferred[None]:
        """Leave nothing in the kernel; idempotent."""
        return self._in_turn(self._stop)

    async def _stop(self) -> None:
        if self._asking is not None:
            await self._bundles.remove_all()
            for connection, child in tuple(self.hearing.traps):
                await self._untrap(connection, child)
            await self._spis.release_all()
        if self.routes is not None:
            await self.routes.stop()
        self._waiting.restore()
        self._bound.stop()
        self.hearing.stop()
        if self._asking is not None:
            self._asking.close()
            self._asking = None
        self._alone.give_up()

    def route(self, routing: Routing | None) -> None:
        """Beside its SAs, routes; before it is started."""
        self.routes = None if routing is None else Routes(self._reactor, routing)

    def supports(self, doi: int, protocol: int, transform: Transform) -> bool:
        """What this kernel has; or, where it cannot be asked, what a kernel may have."""
        return self._trials.supports(doi, protocol, transform)

    def exempt(self, socket: socket.socket) -> None:
        """
        A policy of the socket's own lets its datagrams pass, in both directions; and a mark that
        they have lets them pass by our routes.

        :raises ConfigurationError: if the kernel refuses that.
        """
        try:
            # Until somebody asks by netlink its module is maybe not loaded, and without that the
            # kernel cannot read a policy of a socket's either: EINVAL.
            self._link()
        except OSError:
            return  # start() says so
        family = socket.family
        level, option = structures.SOCKET_POLICY[family]
        try:
            for direction in (Direction.IN, Direction.OUT):
                socket.setsockopt(level, option, structures.socket_policy(direction, family))
            if self.routes is not None:
                socket.setsockopt(SOL_SOCKET, SO_MARK, MARK)
        except OSError as error:
            number = error.errno or 0
            if number not in (errno.ENOPROTOOPT, errno.EOPNOTSUPP):
                raise ConfigurationError(
                    f"the sink xfrm cannot be used: {explained(number)}"
                ) from None
            # There is no IPsec at all in this kernel: start() says so.

    async def _ask(self, kind: int, body: bytes, what: str, flags: int = ACK) -> list[Message]:
        return await self._link().ask(kind, body, what, flags)

    def _link(self) -> Link:
        if self._asking is None:
            self._asking = Link(self._reactor)
        return self._asking

    def _hear_of_links(
        self, heard: Callable[[Message], object], missed: Callable[[], object]
    ) -> Link:
        return Link(self._reactor, GROUP_LINK, heard, missed=missed, family=ROUTE)

    # -- SPIs ----------------------------------------------------------------------------------

    def reserve_spi(
        self, doi: int, protocol: int, path: Path, avoid: bytes = b""
    ) -> Deferred[bytes]:
        """One that the kernel has chosen, and keeps for us."""
        return Deferred.fromCoroutine(self._spis.reserve(doi, protocol, path, avoid))

    def release_spi(self, key: SPIKey) -> Deferred[None]:
        """Idempotent; an SPI by which a bundle stands is not given up by it."""
        return Deferred.fromCoroutine(self._spis.release(key))

    # -- bundles -------------------------------------------------------------------------------

    def install(self, bundle: SABundle) -> Deferred[None]:
        """
        Then exactly this stands under the bundle's name; on failure what stood before.

        :raises OSError: as the kernel refuses it, in words.
        """
        return self._in_turn(lambda: self._install(bundle))

    def remove(self, bundle: SABundle) -> Deferred[None]:
        """Idempotent."""
        return self._in_turn(lambda: self._remove(bundle.name))

    def _in_turn(self, work: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> Deferred[T]:
        """One change after another."""
        return self._lock.run(work)

    async def _install(self, bundle: SABundle) -> None:
        needs = await self._bundles.install(bundle)
        self._bound.keep(
            bundle.name, bundle.policy.handling.interface, lambda: self._install(bundle)
        )
        if self.routes is not None:
            await self.routes.claim(bundle.name, needs)

    async def _remove(self, name: str) -> None:
        self._bound.forget(name)
        if await self._bundles.remove(name) and self.routes is not None:
            await self.routes.give_up(name)

    def reqid(self, bundle: SABundle) -> int:
        """The number of what is installed under the bundle's name; 0: nothing is."""
        return self._bundles.reqid(bundle)

    def handling(self, bundle: SABundle) -> Handling:
        """With every number that was chosen for it; as it is configured, if it does not stand."""
        return self._bundles.handling(bundle)

    def query(self, bundle: SABundle) -> Deferred[Usage]:
        """As the kernel counts it, in the innermost SA of each direction."""
        return Deferred.fromCoroutine(self._bundles.query(bundle))

    # -- traps ---------------------------------------------------------------------------------

    def trap(self, policy: ChildPolicy, path: Path | None) -> Deferred[None]:
        """Let traffic ask for its SAs, pass, or be dropped."""
        return self._in_turn(lambda: self._trap(policy, path))

    async def _trap(self, policy: ChildPolicy, path: Path | None) -> None:
        child = policy.connection, policy.name
        owner, text = _owner(*child), f"{'/'.join(child)}, trapped"
        protects = policy.action is Action.PROTECT
        if protects and path is None:
            raise ConfigurationError(f"{text}: a trap needs the peer's address")
        between = Between.of(path)
        # Until it stands what stood before keeps its numbers: policies would have those of others.
        anew = f"{owner}, anew"
        try:
            interface = index_of(policy.handling.interface)
            reqid, chosen = self._choices.take(policy, between.peer, anew, trap=True)
            layers = trapped_layers(chosen) if protects else []
            found = policies(chosen, between, layers, reqid, interface, trap=True)
            if protects:
                self._waiting.keep()
            await self._table.claim(owner, found, weak=True)
            self._choices.take(policy, between.peer, owner, trap=True)
        except (OSError, LimitReached, ValueError) as error:
            why: object = error
            if isinstance(error, OSError):
                refused = isinstance(error, Refused)
                why = explained(error.errno or 0) if refused else error.strerror
            raise ConfigurationError(f"{text}: {why}") from None
        finally:
            self._choices.give_up(anew)
        waits = frozenset((one.selector, one.others) for one in found)
        self.hearing.trapped(child, Trapped(reqid, waits))
        self._bound.keep(owner, policy.handling.interface, lambda: self._trap(policy, path))
        if self.routes is not None:
            await self.routes.claim(owner, needs_of(chosen, between, layers))

    def untrap(self, connection: str, child: str) -> Deferred[None]:
        """Idempotent."""
        return self._in_turn(lambda: self._untrap(connection, child))

    async def _untrap(self, connection: str, child: str) -> None:
        self._bound.forget(_owner(connection, child))
        if self.hearing.untrapped((connection, child)):
            await self._table.give_up(_owner(connection, child))
            if self.routes is not None:
                await self.routes.give_up(_owner(connection, child))
            self._choices.give_up(_owner(connection, child))

    def _publish(self, event: object) -> None:
        if self._events is not None:
            self._events.publish(event)


def _owner(connection: str, child: str) -> str:
    """What a trap is called here; names may have any character in them."""
    return f"trap {connection!r} {child!r}"
