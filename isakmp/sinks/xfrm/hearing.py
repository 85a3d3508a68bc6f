"""
What the kernel tells of SAs by itself, and what it would have told.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from isakmp.associations import SPIKey
from isakmp.events import PeerMoved, SAExpiring, TrafficWaiting
from isakmp.logs import Logger
from isakmp.sinks.xfrm.link import DUMP, Ask, Link, opened
from isakmp.sinks.xfrm.netlink import Message, NetlinkError, attributes
from isakmp.sinks.xfrm.policy_table import Reqids
from isakmp.sinks.xfrm.states import apart
from isakmp.sinks.xfrm.structures import (
    GROUP_ACQUIRE,
    GROUP_EXPIRE,
    GROUP_MAPPING,
    GROUP_POLICY,
    GROUP_SA,
    NO_SPI,
    Acquire,
    Attribute,
    Kind,
    Name,
    Selector,
    Standing,
    State,
    Template,
    decode_mapping,
)
from isakmp.sinks.xfrm.users import Users

SETTLE = 1.0
"""Seconds from a loss until all SAs are looked at: where one message is lost, many are."""

_GROUPS = GROUP_ACQUIRE | GROUP_EXPIRE | GROUP_MAPPING | GROUP_SA | GROUP_POLICY

_KINDS = (Kind.ACQUIRE, Kind.EXPIRE, Kind.MAPPING, Kind.FLUSHSA, Kind.FLUSHPOLICY)
"""What is of use of that: each change of an SA or a policy is told as well, ours with its keys."""

_Child = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Trapped:
    """
    A trap that stands.

    :ivar waits: by what an ACQUIRE says that it is for it.
    """

    reqid: int
    waits: frozenset[tuple[Selector, bytes]] = frozenset()


class Hearing:
    """
    Makes events of what the kernel tells.

    :param ask: asks the kernel.
    :param in_turn: runs what must not fall into the midst of a change of SAs.
    :param publish: is given the events.
    :param restore: sets our policies again, when somebody has removed all there were.
    :ivar link: by which it is told, while it listens.
    :ivar names: the bundle that each of our SAs belongs to.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        ask: Ask,
        in_turn: Callable[[Callable[[], Coroutine[Deferred[Any], Any, None]]], Deferred[None]],
        publish: Callable[[object], None],
        restore: Callable[[], Coroutine[Deferred[Any], Any, None]],
    ) -> None:
        self._reactor = reactor
        self._ask = ask
        self._in_turn = in_turn
        self._publish = publish
        self._restore = restore
        self.link: Link | None = None
        self._timer: Any = None
        self._over = False
        self.names: dict[Name, SPIKey] = {}
        self._traps: dict[_Child, Trapped] = {}
        self._reqids: Users[_Child, int] = Users()

    def start(self) -> None:
        """
        Listen.

        :raises OSError: if the kernel does not tell this process.
        """
        self._over = False
        self.link = Link(
            self._reactor,
            _GROUPS,
            self.heard,
            missed=self.missed,
            open=partial(opened, kinds=_KINDS),
        )

    def stop(self) -> None:
        """Hear nothing any more, and leave nothing on the clock; idempotent."""
        self._over = True
        if self.link is not None:
            self.link.close()
            self.link = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def traps(self) -> Mapping[_Child, Trapped]:
        """Those that stand, by connection and child."""
        return MappingProxyType(self._traps)

    def trapped(self, child: _Child, trap: Trapped) -> None:
        """From now on this is the trap of a child."""
        self._traps[child] = trap
        self._reqids.take(child, trap.reqid)

    def untrapped(self, child: _Child) -> bool:
        """It has none any more; whether it had one."""
        self._reqids.give_up(child)
        return self._traps.pop(child, None) is not None

    def heard(self, message: Message) -> None:
        """One message of the kernel's; one that makes no sense is a line of the log."""
        try:
            if message.kind == Kind.ACQUIRE:
                self._acquired(message.body)
            elif message.kind == Kind.EXPIRE:
                self._expired(message.body)
            elif message.kind == Kind.MAPPING:
                self._moved(message.body)
            elif message.kind == Kind.FLUSHSA and self.names:
                self._log.warn(
                    "somebody has removed all SAs of this host, or all of a protocol: "
                    "children that are without theirs end"
                )
                self.look()
            elif message.kind == Kind.FLUSHPOLICY:
                self._flushed()
        except NetlinkError as error:
            self._log.error("the kernel is not understood: {why}", why=error)

    def _flushed(self) -> None:
        """Until our policies stand again, what they protect leaves in clear."""
        self._in_turn(self._restore).addErrback(
            lambda failure: self._log.failure("policies cannot be set again", failure)
        )

    def _acquired(self, body: bytes) -> None:
        acquire = Acquire.decode(body)
        others = body[Acquire.SIZE :]
        reqid = Template.reqid_of(attributes(others).get(Attribute.TMPL, b""))
        known = self._waits(reqid, acquire.traffic, (acquire.policy.selector, apart(others)))
        if not known and reqid in Reqids.RANGE:
            self.look()  # it is of a child that is up: its SA should be there

    def _waits(
        self, reqid: int, traffic: Selector, wanted: tuple[Selector, bytes] | None = None
    ) -> bool:
        """
        :param wanted: the policy that wants an SA, as far as that is known.
        :return: whether a trap is for it.
        """
        found = {name: self._traps[name] for name in self._reqids.of(reqid)}
        if len(found) > 1:  # a reqid that is configured: which of its children is meant?
            found = {name: one for name, one in found.items() if wanted in one.waits} or found
        for connection, child in found:
            self._publish(TrafficWaiting(connection, child, str(traffic)))
        return bool(found)

    def _expired(self, body: bytes) -> None:
        standing = Standing.decode(body)
        key = self.names.get(standing.name)
        if key is not None and len(body) > State.SIZE:
            self._publish(SAExpiring(key, bool(body[State.SIZE])))

    def _moved(self, body: bytes) -> None:
        name, address, port = decode_mapping(body)
        key = self.names.get(name)
        if key is not None:
            self._publish(PeerMoved(key, (address, port)))

    # -- what was lost -------------------------------------------------------------------------

    def missed(self) -> None:
        """Part of what the kernel told is lost: all SAs are looked at, soon and once."""
        if self._timer is None:
            self._log.warn(
                "the kernel told more of its SAs than could be taken in: all are looked at"
            )
        self.look()

    def look(self) -> None:
        """Find out, soon and once, whether what should stand does."""
        if self._timer is None and not self._over:
            self._timer = self._reactor.callLater(SETTLE, self._due)

    def _due(self) -> None:
        self._timer = None
        self._in_turn(self._look).addErrback(self._not_looked)

    def _not_looked(self, failure: Failure) -> None:
        if not failure.check(OSError, NetlinkError):
            self._log.failure("the SAs of the kernel cannot be looked at", failure)
            return
        self._log.error("the SAs of the kernel cannot be looked at: {why}", why=failure.value)
        if not self._over and self._timer is None:
            self._timer = self._reactor.callLater(SETTLE, self._due)

    async def _look(self) -> None:
        """
        Say what should have been said: which SAs are gone, which have carried what they may before
        they are renewed, and what traffic waits.
        """
        standing = [
            (Standing.decode(message.body), message.body)
            for message in await self._ask(Kind.GETSA, b"", "all SAs", DUMP)
        ]
        known = {one.name: one for one, _ in standing}
        hard: dict[SPIKey, bool] = {}
        for name, key in self.names.items():
            found = known.get(name)
            if found is None or found.worn:
                hard[key] = hard.get(key, False) or found is None
        for key, over in hard.items():
            self._publish(SAExpiring(key, over))
        for one, body in standing:
            if one.name.spi == NO_SPI:
                self._waits(one.reqid, Selector.decode(body))
