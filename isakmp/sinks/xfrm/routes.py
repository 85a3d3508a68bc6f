"""
Routes to the networks behind peers, in a table of their own.

Traffic of this host leaves from an address of the interface that its route leads to, and that is
mostly none that a child protects: a packet from there fits no policy.  A route that prefers an
address within the child's own selector makes it fit; where there was no route at all, it also makes
the packet leave.  As strongSwan does it, so that what is known of that holds here too: the routes
are in a table that goes before the main one, and lead wherever the peer itself is.

Packets of sockets that have the mark of :data:`isakmp.sinks.xfrm.routing.MARK` do not see the
table, and neither does the question where the peer is.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock

from isakmp.connections import Routing
from isakmp.identity import TrafficSelector
from isakmp.logs import Logger
from isakmp.sinks.xfrm.link import ACK, DUMP, Link, Refused, gone, opened
from isakmp.sinks.xfrm.needs import Need
from isakmp.sinks.xfrm.netlink import CREATE, ONLY_NEW, REPLACE, ROUTE, Message, NetlinkError
from isakmp.sinks.xfrm.refusals import unrouted
from isakmp.sinks.xfrm.routing import (
    FAMILIES,
    GROUPS,
    PROTOCOL,
    Kind,
    Own,
    Route,
    Rule,
    Told,
    Way,
    every_address,
    every_route,
    every_rule,
    family_of,
    protocol_of,
    question,
)
from isakmp.sinks.xfrm.structures import Network

SETTLE = 1.0
"""Seconds from a change of addresses, links or rules until it is looked at: many come together."""

AGAIN = 30.0
"""Seconds until a route that could not be is tried again."""

_TRIES = 3
"""How often something is asked that changes while it is told."""

_MOST_SOURCES = 16
"""Own addresses within a selector that are tried."""

_NETLINK, _STRICT = 270, 12
"""SOL_NETLINK and NETLINK_GET_STRICT_CHK: a dump is of no more than what was asked for."""

_LOOPBACK = {4: int(ipaddress.IPv4Address("127.0.0.1")), 6: 1}


class Routes:
    """
    Our routes in the kernel, and who needs them.

    One stands for each network, for as long as anybody needs it, as the first of them wants it.  A
    refusal is one line of the log and takes nothing else down.
    """

    _log = Logger()

    def __init__(self, reactor: Any, routing: Routing) -> None:
        self._reactor = reactor
        self._routing = routing
        self._asking: Link | None = None
        self._hearing: Link | None = None
        self._lock = DeferredLock()
        self._rules: dict[int, Rule] = {}
        self._claims: dict[str, tuple[Need, ...]] = {}
        self._needed: dict[Network, dict[str, list[Need]]] = {}
        self._standing: dict[Network, Route] = {}
        self._told: dict[Network, str] = {}
        self._addresses: dict[int, list[Own]] = {}
        self._ways: dict[tuple[str, str], Route | None] = {}
        self._timer: Any = None
        self._started = False

    # -- from start to stop --------------------------------------------------------------------

    async def start(self) -> None:
        """Remove what a dead run has left, and let the kernel use the table; idempotent."""
        if self._started:
            return
        self._started = True
        try:
            self._hearing = Link(
                self._reactor, GROUPS, self._heard, missed=self._changed, family=ROUTE
            )
            self._asking = Link(self._reactor, family=ROUTE, open=_strict)
            count = await self._remove_leftovers()
            for family in FAMILIES:
                await self._rule(family)
        except (OSError, NetlinkError) as error:
            self._log.error("routes are not installed: {why}", why=_words(error))
            await self._close()
            return
        if count:
            self._log.info(
                "{count} routes and rules of an earlier run have been removed", count=count
            )

    async def stop(self) -> None:
        """Leave nothing in the kernel; idempotent."""
        self._claims.clear()
        self._needed.clear()
        await self._close()
        self._started = False

    async def _close(self) -> None:
        if self._asking is not None:
            for route in self._standing.values():
                await self._removed(route)
            for rule in self._rules.values():
                await gone(self._ask, Kind.DELRULE, rule.encode(), "to remove a rule")
        self._standing.clear()
        self._rules.clear()
        self._told.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for link in (self._asking, self._hearing):
            if link is not None:
                link.close()
        self._asking = self._hearing = None

    async def _remove_leftovers(self) -> int:
        count = 0
        for family in FAMILIES:
            # A message about a rule or a route is also what removes it.
            for message in await self._all(Kind.GETRULE, every_rule(family), "all rules"):
                if Rule.decode(message.body).ours:
                    await gone(self._ask, Kind.DELRULE, message.body, "to remove a rule")
                    count += 1
            for message in await self._all(Kind.GETROUTE, every_route(family, 0, PROTOCOL), "all"):
                if protocol_of(message.body) == PROTOCOL:
                    await gone(self._ask, Kind.DELROUTE, message.body, "to remove a route")
                    count += 1
        return count

    async def _rule(self, family: int) -> None:
        rule = Rule(family, self._routing.priority, self._routing.table)
        try:
            await self._ask(Kind.NEWRULE, rule.encode(), "a rule", ACK | CREATE | ONLY_NEW)
        except Refused as error:
            if error.errno == errno.EAFNOSUPPORT and family != socket.AF_INET:
                return  # this host does not speak it
            if error.errno != errno.EEXIST:
                raise
        self._rules[family] = rule

    async def _removed(self, route: Route) -> None:
        await gone(self._ask, Kind.DELROUTE, route.encode(), f"to remove a route to {route}")

    async def _ask(self, kind: int, body: bytes, what: str, flags: int = ACK) -> list[Message]:
        assert self._asking is not None
        return await self._asking.ask(kind, body, what, flags)

    async def _all(self, kind: int, body: bytes, what: str) -> list[Message]:
        """All there are; none, if the table or the family is not there."""
        for left in reversed(range(_TRIES)):
            try:
                return await self._ask(kind, body, what, DUMP)
            except Refused as error:
                if error.errno in (errno.ENOENT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
                    return []
                if error.errno != errno.EINTR or not left:
                    raise
        raise AssertionError

    # -- who needs what ------------------------------------------------------------------------

    def claim(self, owner: str, needs: Iterable[Need]) -> Deferred[None]:
        """From now on the owner needs these and no others; never fails."""
        return self._lock.run(lambda: Deferred.fromCoroutine(self._claim(owner, tuple(needs))))

    def give_up(self, owner: str) -> Deferred[None]:
        """The owner needs nothing any more; idempotent, never fails."""
        return self.claim(owner, ())

    async def _claim(self, owner: str, needs: tuple[Need, ...]) -> None:
        before = self._claims.pop(owner, ()) if not needs else self._claims.get(owner, ())
        if needs:
            self._claims[owner] = needs
        if needs != before:
            self._index(owner, before, needs)
            await self._settle(dict.fromkeys(need.destination for need in (*before, *needs)))

    def _index(self, owner: str, before: Iterable[Need], needs: Iterable[Need]) -> None:
        wanted: dict[Network, list[Need]] = {}
        for need in needs:
            wanted.setdefault(need.destination, []).append(need)
        for destination in {need.destination for need in before} - wanted.keys():
            owners = self._needed[destination]
            del owners[owner]
            if not owners:
                del self._needed[destination]
        for destination, its in wanted.items():
            self._needed.setdefault(destination, {})[owner] = its

    async def _settle(self, destinations: Iterable[Network]) -> None:
        """Have stand of these what is needed."""
        await self.start()
        if self._asking is None:
            return  # it was said why
        self._addresses.clear()
        self._ways.clear()
        for destination in destinations:
            owners = self._needed.get(destination, {})
            await self._settled(destination, [need for its in owners.values() for need in its])
        if self._told:
            self._look(AGAIN)

    async def _settled(self, destination: Network, needs: Sequence[Need]) -> None:
        standing, route = self._standing.get(destination), None
        try:
            for need in needs:
                route = route or await self._found(need)
            if route == standing:
                self._told.pop(destination, None)
            elif route is None:
                assert standing is not None
                del self._standing[destination]
                await self._removed(standing)
                self._told.pop(destination, None)
            else:
                flags = ACK | CREATE | (ONLY_NEW if standing is None else REPLACE)
                await self._ask(Kind.NEWROUTE, route.encode(), "a route", flags)
                self._standing[destination] = route
                self._told.pop(destination, None)
                by, source = _interface(route.interface), route.source or "any address"
                words = f"by {by}, from {source}" if by else "as without ours"
                self._log.debug(
                    "a route to {network}: {line}", network=str(destination), line=words
                )
        except (OSError, NetlinkError) as error:
            words = _words(error)
            if self._told.get(destination) != words:
                self._told[destination] = words
                self._log.error(
                    "there is no route of ours to {network}: {why}",
                    network=str(destination),
                    why=words,
                )

    async def _found(self, need: Need) -> Route | None:
        """
        The route that serves; None: none is needed.

        :raises Refused: if there is no way to the peer.
        """
        table = self._routing.table
        if need.between is None:
            return Route(need.destination, table, Way.THROW)
        source = await self._source(need.local, need.between.ours)
        if source is None:
            return None  # all that is protected comes from others
        told = await self._way(need.between.peer, need.between.ours)
        if told is None or told.way != Way.UNICAST:
            return None  # the peer is here
        # What is inside may be of the other version of IP than what is around it.
        same = told.destination.version == need.destination.version
        gateway = told.gateway if same else ""
        return Route(need.destination, table, Way.UNICAST, told.interface, gateway, source)

    async def _source(self, local: TrafficSelector, ours: str) -> str | None:
        """
        An address of ours within a selector: that of the SAs, if it is; empty: any will do, because
        it has that of loopback too; None: there is none.
        """
        if local.first <= _LOOPBACK[local.version] <= local.last:
            return ""
        if local.version not in self._addresses:
            family = family_of(local.version)
            told = await self._all(Kind.GETADDR, every_address(family), "all addresses")
            found = [Own.decode(message.body) for message in told]
            self._addresses[local.version] = [own for own in found if own.usable]
        among = [
            own
            for own in self._addresses[local.version]
            if local.first <= int(ipaddress.ip_address(own.address)) <= local.last
        ]
        among.sort(key=lambda own: (own.address != ours, own.deprecated))
        for own in among[:_MOST_SOURCES]:
            # That of an interface in a VRF is own to others than us.
            with contextlib.suppress(Refused):
                way = await self._way(own.address)
                if way is not None and way.way == Way.LOCAL:
                    return own.address
        return None

    async def _way(self, to: str, ours: str = "") -> Route | None:
        """
        Where the kernel sends what is for an address.

        :raises Refused: if it can send nothing there.
        """
        if (to, ours) not in self._ways:
            what = f"the way to {to}"
            asked = await self._ask(Kind.GETROUTE, question(to, ours), what, flags=0)
            self._ways[to, ours] = Told.decode(asked[0].body).route if asked else None
        return self._ways[to, ours]

    # -- what changes --------------------------------------------------------------------------

    def _heard(self, message: Message) -> None:
        self._changed()

    def _changed(self) -> None:
        self._look(SETTLE)

    def _look(self, seconds: float) -> None:
        """Soon; once, however much has changed."""
        if self._asking is None:
            return
        if self._timer is not None:
            if self._timer.getTime() <= self._reactor.seconds() + seconds:
                return
            self._timer.cancel()
        self._timer = self._reactor.callLater(seconds, self._due)

    def _due(self) -> None:
        self._timer = None
        looking = self._lock.run(lambda: Deferred.fromCoroutine(self.refresh()))
        looking.addErrback(lambda failure: self._log.failure("routes cannot be seen to", failure))

    async def refresh(self) -> None:
        """Look at what stands, and put back what has gone with a link or an address."""
        if self._asking is None:
            return
        try:
            for family in tuple(self._rules):
                await self._rule(family)
            for destination, route in (await self._actual()).items():
                if self._standing.get(destination) != route:
                    await self._removed(route)
        except (OSError, NetlinkError) as error:
            self._log.error("routes cannot be seen to: {why}", why=_words(error))
            self._look(AGAIN)
            return
        await self._settle(tuple(self._needed))

    async def _actual(self) -> dict[Network, Route]:
        """What is ours in the table; what is not there any more is forgotten."""
        table, found = self._routing.table, dict[Network, Route]()
        for family in tuple(self._rules):
            for message in await self._all(
                Kind.GETROUTE, every_route(family, table, PROTOCOL), "all routes"
            ):
                if protocol_of(message.body) != PROTOCOL:
                    continue
                told = Told.decode(message.body)
                if told.route.table == table:
                    found[told.route.destination] = told.route
        self._standing = {to: one for to, one in self._standing.items() if found.get(to) == one}
        return found


def _strict(family: int, groups: int) -> socket.socket:
    """A socket by which no more is told than was asked for, where the kernel can."""
    made = opened(family, groups)
    with contextlib.suppress(OSError):
        made.setsockopt(_NETLINK, _STRICT, 1)
    return made


def _interface(index: int) -> str:
    """Its name; empty if it has none any more."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return ""


def _words(error: OSError | NetlinkError) -> str:
    return unrouted(error.errno or 0) if isinstance(error, Refused) else str(error)
