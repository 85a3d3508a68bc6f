"""
The kernel's IPsec as a sink: SAs, the policies that send traffic through them, and traps.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from zope.interface import implementer

from isakmp.associations import (
    Action,
    ChildPolicy,
    IPsecParameters,
    SABundle,
    SPIKey,
    Transform,
    Usage,
)
from isakmp.errors import ConfigurationError, LimitReached
from isakmp.events import PeerMoved, SAExpiring, TrafficWaiting
from isakmp.handling import Handling
from isakmp.interfaces import IChoices, IEvents, IReqids, ISASink
from isakmp.logs import Logger
from isakmp.paths import Path
from isakmp.sinks.xfrm import algorithms, structures
from isakmp.sinks.xfrm.alone import Alone
from isakmp.sinks.xfrm.chosen import Uniques
from isakmp.sinks.xfrm.earlier import remove_leftovers
from isakmp.sinks.xfrm.link import ACK, Link, Refused, gone
from isakmp.sinks.xfrm.netlink import Message, NetlinkError, attributes
from isakmp.sinks.xfrm.policies import (
    Between,
    index_of,
    innermost_first,
    layers_of,
    policies,
    spis_of,
    trapped_layers,
)
from isakmp.sinks.xfrm.policy_table import PolicyTable, Reqids
from isakmp.sinks.xfrm.refusals import explained
from isakmp.sinks.xfrm.spis import ReservedSPIs
from isakmp.sinks.xfrm.states import apart, named, state_of
from isakmp.sinks.xfrm.structures import Attribute, Direction, Kind, Name, State
from isakmp.sinks.xfrm.trying import Trials
from isakmp.sinks.xfrm.waiting import WaitingPackets

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Installed:
    """
    What stands of a bundle.

    :ivar policy: its own, with all that was chosen.
    """

    bundle: SABundle
    states: dict[SPIKey, State]
    reqid: int
    policy: ChildPolicy


@dataclass(frozen=True, slots=True)
class _Trapped:
    """
    A trap that stands.

    :ivar waits: by what an ACQUIRE says that it is for it.
    """

    reqid: int
    waits: frozenset[tuple[structures.Selector, bytes]]


@implementer(ISASink, IReqids, IChoices)
class XFRMSink:
    """
    Implements ISASink by the Linux kernel.

    What is installed carries a reqid, and each policy an index, of ranges that are this program's:
    so a later run knows again what a dead one has left, and leaves alone what is anybody else's.
    """

    name = "xfrm"
    protects = True

    _log = Logger()

    def __init__(self, reactor: Any = None, entropy: Callable[[int], bytes] = os.urandom) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self._entropy = entropy
        self._asking: Link | None = None
        self._hearing: Link | None = None
        self._events: IEvents | None = None
        self._lock = DeferredLock()
        self._reqids = Reqids()
        self._uniques = Uniques()
        self._table = PolicyTable(self._ask, lambda: self._waiting.changed)
        self._trials = Trials(self._ask)
        self._spis = ReservedSPIs(self._ask)
        self._installed: dict[str, _Installed] = {}
        self._names: dict[Name, SPIKey] = {}
        self._traps: dict[tuple[str, str], _Trapped] = {}
        self._waiting = WaitingPackets()
        self._alone = Alone()

    # -- what can be done here -----------------------------------------------------------------

    def start(self, events: IEvents) -> Deferred[None]:
        """
        Try an SA, and remove what a dead run has left.

        :raises ConfigurationError: if this kernel, or this process, cannot protect anything.
        """
        self._events = events
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        self._alone.claim()
        groups = structures.GROUP_ACQUIRE | structures.GROUP_EXPIRE | structures.GROUP_MAPPING
        try:
            await self._trials.anything()
            self._hearing = Link(self._reactor, groups, self._heard)
            left = await remove_leftovers(self._ask)
        except Refused as error:
            await self._stop()
            raise ConfigurationError(
                f"the sink xfrm cannot be used: {explained(error.errno or 0, structures.ESP)}"
            ) from None
        except (OSError, NetlinkError) as error:
            await self._stop()
            raise ConfigurationError(f"the sink xfrm cannot be used: {error}") from None
        if left.changed:
            self._waiting.restore_default()
        if left.count:
            self._log.info(
                "{count} SAs and policies of an earlier run have been removed", count=left.count
            )

    def stop(self) -> Deferred[None]:
        """Leave nothing in the kernel; idempotent."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._asking is not None:
            for installed in tuple(self._installed.values()):
                await self._remove(installed.bundle.name)
            for connection, child in tuple(self._traps):
                await self._untrap(connection, child)
            await self._spis.release_all()
        self._waiting.restore()
        for link in (self._asking, self._hearing):
            if link is not None:
                link.close()
        self._asking = self._hearing = None
        self._alone.give_up()

    def supports(self, doi: int, protocol: int, transform: Transform) -> bool:
        """What this kernel has; or, where it cannot be asked, what a kernel may have."""
        return self._trials.supports(doi, protocol, transform)

    def exempt(self, socket: socket.socket) -> None:
        """
        A policy of the socket's own lets its datagrams pass, in both directions.

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
        before = self._installed.get(bundle.name)
        ours, peer = _ends(bundle)
        interface = index_of(bundle.policy.handling.interface)
        wanted_states: dict[SPIKey, State] = {}
        try:
            reqid = self._reqids.take(bundle.policy, peer, bundle.name)
            policy = self._uniques.take(bundle.policy, peer, bundle.name)
            handling = policy.handling.spread(self._entropy)
            for sas, source, out in (
                (bundle.inbound, peer, False),
                (bundle.outbound, ours, True),
            ):
                for sa in sas:
                    wanted_states[sa.key] = state_of(sa, sas, source, reqid, handling, out=out)
        except (LimitReached, LookupError):
            if before is None:
                self._give_up(bundle.name)
            raise
        standing = {} if before is None else before.states
        undo: list[Callable[[], Awaitable[object]]] = []
        try:
            for key, state in wanted_states.items():
                if key not in standing:
                    await self._add(key, state, bundle)
                    undo.append(partial(gone, self._ask, Kind.DELSA, named(state), "to undo"))
            if handling.policies:
                # As responder too, before the peer has confirmed: what it sends may be here before
                # its last message, and what answers that must not leave in clear.  It waits.
                self._waiting.keep()
                try:
                    found = policies(
                        *(policy, Between(ours, peer), layers_of(bundle), reqid, interface),
                        spis=spis_of(bundle) if handling.reqid else (),
                    )
                except ValueError as error:
                    raise OSError(errno.E2BIG, f"{bundle.name}: {error}") from None
                undo.append(partial(self._table.give_up, bundle.name))
                await self._table.claim(bundle.name, found)
        except BaseException:
            for step in reversed(undo):
                await step()
            if before is None:
                self._give_up(bundle.name)
            raise
        for key, state in standing.items():
            if key not in wanted_states:
                self._names.pop(state.name, None)
                await gone(self._ask, Kind.DELSA, named(state), "to remove an SA")
        for key, state in wanted_states.items():
            self._names[state.name] = bundle.key
            self._spis.used(key)
        self._installed[bundle.name] = _Installed(bundle, wanted_states, reqid, policy)

    async def _add(self, key: SPIKey, state: State, bundle: SABundle) -> None:
        what = f"{bundle.name}: an SA with SPI {key.spi.hex()}"
        try:
            if key in self._spis:
                try:
                    await self._ask(Kind.UPDSA, state.encode(), what)
                    return
                except Refused as error:
                    if error.errno != 3:  # ESRCH: the kernel keeps an SPI for half a minute
                        raise
            await self._ask(Kind.NEWSA, state.encode(), what)
        except Refused as error:
            sas = (*bundle.inbound, *bundle.outbound)
            parameters = next(sa.parameters for sa in sas if sa.key == key)
            assert isinstance(parameters, IPsecParameters)
            words = explained(error.errno or 0, state.name.protocol, algorithms.names(parameters))
            raise OSError(error.errno, f"{what}: {words}") from None

    async def _remove(self, name: str) -> None:
        installed = self._installed.pop(name, None)
        if installed is None:
            return
        await self._table.give_up(name)
        for state in installed.states.values():
            self._names.pop(state.name, None)
            await gone(self._ask, Kind.DELSA, named(state), "to remove an SA")
        self._give_up(name)

    def _give_up(self, user: str) -> None:
        self._reqids.give_up(user)
        self._uniques.give_up(user)

    def reqid(self, bundle: SABundle) -> int:
        """The number of what is installed under the bundle's name; 0: nothing is."""
        installed = self._installed.get(bundle.name)
        return 0 if installed is None else installed.reqid

    def handling(self, bundle: SABundle) -> Handling:
        """With every number that was chosen for it; as it is configured, if it does not stand."""
        installed = self._installed.get(bundle.name)
        return (bundle if installed is None else installed).policy.handling

    def query(self, bundle: SABundle) -> Deferred[Usage]:
        """As the kernel counts it, in the innermost SA of each direction."""
        return Deferred.fromCoroutine(self._query(bundle))

    async def _query(self, bundle: SABundle) -> Usage:
        installed = self._installed.get(bundle.name)
        if installed is None:
            return Usage()
        found: list[tuple[int, int, float]] = []
        for sas in (installed.bundle.inbound, installed.bundle.outbound):
            if not sas:
                found.append((0, 0, 0.0))
                continue
            state = installed.states[innermost_first(sas)[0].key]
            try:
                (told,) = await self._ask(Kind.GETSA, named(state), "an SA", flags=0)
            except Refused:
                return Usage()
            standing = structures.Standing.decode(told.body)
            last = attributes(told.body[State.SIZE :]).get(Attribute.LASTUSED, b"")
            used = int.from_bytes(last, "little") if len(last) == 8 else standing.used
            found.append((standing.octets, standing.packets, float(used)))
        (octets_in, packets_in, last_in), (octets_out, packets_out, last_out) = found
        counts = octets_in, packets_in, octets_out, packets_out
        return Usage(*counts, last_in, last_out, counted=True)

    # -- traps ---------------------------------------------------------------------------------

    def trap(self, policy: ChildPolicy, path: Path | None) -> Deferred[None]:
        """Let traffic ask for its SAs, pass, or be dropped."""
        return self._in_turn(lambda: self._trap(policy, path))

    async def _trap(self, policy: ChildPolicy, path: Path | None) -> None:
        child = policy.connection, policy.name
        owner = _owner(*child)
        protects = policy.action is Action.PROTECT
        if protects and path is None:
            raise ConfigurationError(f"{owner}: a trap needs the peer's address")
        between = Between.of(path)
        try:
            interface = index_of(policy.handling.interface)
            reqid = self._reqids.take(policy, between.peer, owner)
            policy = self._uniques.take(policy, between.peer, owner, trap=True)
            layers = trapped_layers(policy) if protects else []
            found = policies(policy, between, layers, reqid, interface, trap=True)
            if protects:
                self._waiting.keep()
            await self._table.claim(owner, found, weak=True)
        except (OSError, LimitReached, ValueError) as error:
            if child not in self._traps:
                self._give_up(owner)
            why: object = error
            if isinstance(error, OSError):
                refused = isinstance(error, Refused)
                why = explained(error.errno or 0) if refused else error.strerror
            raise ConfigurationError(f"{owner}: {why}") from None
        waits = frozenset((one.selector, one.others) for one in found)
        self._traps[child] = _Trapped(reqid, waits)

    def untrap(self, connection: str, child: str) -> Deferred[None]:
        """Idempotent."""
        return self._in_turn(lambda: self._untrap(connection, child))

    async def _untrap(self, connection: str, child: str) -> None:
        if self._traps.pop((connection, child), None) is not None:
            await self._table.give_up(_owner(connection, child))
            self._give_up(_owner(connection, child))

    # -- what the kernel tells -----------------------------------------------------------------

    def _heard(self, message: Message) -> None:
        try:
            if message.kind == Kind.ACQUIRE:
                self._acquired(message.body)
            elif message.kind == Kind.EXPIRE:
                self._expired(message.body)
            elif message.kind == Kind.MAPPING:
                self._moved(message.body)
        except NetlinkError as error:
            self._log.error("the kernel is not understood: {why}", why=error)

    def _acquired(self, body: bytes) -> None:
        acquire = structures.Acquire.decode(body)
        others = body[structures.Acquire.SIZE :]
        reqid = structures.Template.reqid_of(attributes(others).get(Attribute.TMPL, b""))
        found = {name: one for name, one in self._traps.items() if one.reqid == reqid}
        if len(found) > 1:  # a reqid that is configured: which of its children is meant?
            wanted = acquire.policy.selector, apart(others)
            found = {name: one for name, one in found.items() if wanted in one.waits} or found
        for connection, child in found:
            self._publish(TrafficWaiting(connection, child, str(acquire.traffic)))

    def _expired(self, body: bytes) -> None:
        standing = structures.Standing.decode(body)
        key = self._names.get(standing.name)
        if key is not None and len(body) > State.SIZE:
            self._publish(SAExpiring(key, bool(body[State.SIZE])))

    def _moved(self, body: bytes) -> None:
        name, address, port = structures.decode_mapping(body)
        key = self._names.get(name)
        if key is not None:
            self._publish(PeerMoved(key, (address, port)))

    def _publish(self, event: object) -> None:
        if self._events is not None:
            self._events.publish(event)


def _owner(connection: str, child: str) -> str:
    return f"{connection}/{child}, trapped"


def _ends(bundle: SABundle) -> tuple[str, str]:
    """Our address and the peer's."""
    ours = bundle.inbound[0].key.destination
    if bundle.outbound:
        return ours, bundle.outbound[0].key.destination
    if bundle.path is None:
        raise ValueError(f"{bundle.name}: the kernel has to know the peer's address")
    return ours, bundle.path.remote[0]
