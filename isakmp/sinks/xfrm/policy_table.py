"""
Our policies in the kernel, and who needs them.

A policy is one thing to the kernel by its selector, direction and marks.  Several may need it: a
trap, an SA and its successor.  It stands for as long as one of them does, as the latest of them
wants it.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count

from isakmp.associations import ChildPolicy
from isakmp.errors import LimitReached
from isakmp.logs import Logger
from isakmp.sinks.xfrm.link import UNSURE, Ask, Refused
from isakmp.sinks.xfrm.neighbours import Neighbours, catches
from isakmp.sinks.xfrm.structures import Direction, Kind, Policy, Selector
from isakmp.sinks.xfrm.users import Users

_Key = tuple[Selector, Direction, bytes]
_Traffic = tuple[object, ...]


class Reqids:
    """
    The numbers that bind policies and SAs: one for each traffic of a child with a peer.
    """

    RANGE = range(0x49530000, 0x49540000)
    """This program's; as good as any, and unlikely to be chosen by anybody else."""

    FIRST = RANGE[0]
    """Of what is bound to nothing: SPIs that are kept, SAs that are tried."""

    def __init__(self) -> None:
        self._numbers: dict[_Traffic, int] = {}
        self._users: Users[str, _Traffic] = Users()
        self._fixed: dict[str, int] = {}
        self._used: Counter[int] = Counter()
        self._last = self.FIRST

    def take(self, policy: ChildPolicy, peer: str, user: str) -> int:
        """
        The number of this traffic.

        :param user: who needs it; of one whose peer has moved it stays.
        :raises LimitReached: if all are in use.
        """
        traffic = policy.connection, policy.name, policy.local, policy.remote, peer
        before = self._users.thing(user)
        if before is not None and before != traffic:
            number = self._numbers.get(before)
            self.give_up(user)
            moved = number is not None and before[:-1] == traffic[:-1]
            if moved and number is not None and traffic not in self._numbers:
                self._set(traffic, number)
        self._users.take(user, traffic)
        self._fix(user, policy.handling.reqid)
        if policy.handling.reqid:
            return policy.handling.reqid
        if traffic not in self._numbers:
            self._set(traffic, self._free())
        return self._numbers[traffic]

    def give_up(self, user: str) -> None:
        """Idempotent."""
        self._fix(user, 0)
        traffic = self._users.give_up(user)
        if traffic is not None and traffic in self._numbers:
            self._unused(self._numbers.pop(traffic))

    def _set(self, traffic: _Traffic, number: int) -> None:
        self._numbers[traffic] = number
        self._used[number] += 1

    def _fix(self, user: str, number: int) -> None:
        """The user has a number that is configured; 0: none."""
        before = self._fixed.pop(user, 0)
        if before:
            self._unused(before)
        if number:
            self._fixed[user] = number
            self._used[number] += 1

    def _unused(self, number: int) -> None:
        self._used[number] -= 1
        if not self._used[number]:
            del self._used[number]

    def _free(self) -> int:
        """The next after the last that was chosen; behind the last of all, from the first again."""
        room = len(self.RANGE) - 1
        for _ in range(min(room, len(self._used) + 1)):
            self._last = self.RANGE[1 + (self._last - self.FIRST) % room]
            if self._last not in self._used:
                return self._last
        raise LimitReached("all reqids are in use")


@dataclass(frozen=True, slots=True)
class _Claim:
    """What an owner needs of a policy."""

    policy: Policy
    weak: bool

    @property
    def strength(self) -> tuple[bool, bool]:
        """The greater goes before."""
        return not self.policy.yields, not self.weak


class PolicyTable:
    """
    :param ask: asks the kernel.
    :param changed: whether a setting of the kernel's is not as it was, by this run: a later one can
        see that from the indices of the policies, should this one die.
    """

    _FIRST, _LAST = 0x49530000, 0x49FF0000
    """Indices: a policy's last three bits are its direction."""

    _CHANGED = 0x49A00000
    """The first of those that are given while the setting is changed."""

    _log = Logger()

    def __init__(self, ask: Ask, changed: Callable[[], bool] = lambda: False) -> None:
        self._ask = ask
        self._changed = changed
        self._owned: dict[_Key, dict[str, _Claim]] = {}
        self._keys: dict[str, dict[_Key, None]] = {}
        self._numbers = count()
        self._neighbours = Neighbours(self.tell)

    @classmethod
    def is_ours(cls, index: int) -> bool:
        """Whether a policy with this index is this program's."""
        return cls._FIRST <= index < cls._LAST

    @classmethod
    def tells_change(cls, index: int) -> bool:
        """Whether the setting was changed when a policy of this program's was made."""
        return cls._CHANGED <= index < cls._LAST

    async def claim(self, owner: str, policies: Sequence[Policy], weak: bool = False) -> None:
        """
        From now on the owner needs these and no others.

        :param weak: what others want of the same policy goes before; but not what yields.
        :raises Refused: as the kernel refuses it; then the owner has what it had before.
        """
        before = {key: self._owned[key][owner] for key in self._keys.get(owner, ())}
        wanted: dict[_Key, _Claim] = {}
        for policy in policies:
            # Of two of its own for the same traffic the one that does not yield counts.
            if not policy.yields or _key(policy) not in wanted:
                wanted[_key(policy)] = _Claim(policy, weak)
        done: list[_Key] = []
        try:
            for key, claim in wanted.items():
                await self._set(key, owner, claim)
                done.append(key)
        except Refused:
            for key in done:
                if key not in before:
                    await self._drop(key, owner)
                    continue
                try:
                    await self._set(key, owner, before[key])
                except Refused as error:
                    self._log.error("a policy is not as it was before: {why}", why=error)
            raise
        for key in before:
            if key not in wanted:
                await self._drop(key, owner)

    async def give_up(self, owner: str) -> None:
        """
        The owner needs nothing any more; idempotent.  A refusal is a line of the log, and whatever
        else it needed is given up as well.
        """
        for key in tuple(self._keys.get(owner, ())):
            await self._drop(key, owner)

    async def restore(self) -> None:
        """
        Somebody has removed policies: set ours again that are gone.  A refusal is a line of the
        log, and takes nothing else down.
        """
        count = 0
        for policy in (*self._neighbours.standing, *map(_effective, self._owned.values())):
            try:
                await self.tell(None, policy)
                count += 1
            except Refused as error:
                if error.errno != errno.EEXIST:
                    self._log.error("a policy is gone: {why}", why=error)
        if count:
            self._log.warn(
                "somebody has removed policies of this host: {count} of ours have been set again",
                count=count,
            )

    async def _set(self, key: _Key, owner: str, claim: _Claim) -> None:
        before = self._owned.get(key, {})
        own = {name: one for name, one in before.items() if name != owner}
        own[owner] = claim
        self._keep(key, own)
        try:
            await self._tell(_effective(before), _effective(own))
        except Refused as error:
            # What the kernel has instead may be somebody else's: it is not to be removed.
            self._keep(key, before)
            if error.errno in UNSURE:
                await self._undone(_effective(own), _effective(before))
            raise

    async def _undone(self, told: Policy | None, before: Policy | None) -> None:
        """It may have been done: as before, where it can be."""
        try:
            await self._tell(told, before)
        except Refused as error:
            if error.errno not in (errno.ENOENT, errno.ESRCH):
                self._log.error("a policy is not as it was before: {why}", why=error)

    async def _drop(self, key: _Key, owner: str) -> None:
        before = self._owned[key]
        own = {name: one for name, one in before.items() if name != owner}
        self._keep(key, own)
        try:
            await self._tell(_effective(before), _effective(own))
        except Refused as error:
            if error.errno not in (errno.ENOENT, errno.ESRCH):
                self._log.error("{why}", why=error)

    def _keep(self, key: _Key, own: dict[str, _Claim]) -> None:
        """From now on these need it."""
        for owner in self._owned.get(key, {}).keys() - own.keys():
            keys = self._keys[owner]
            del keys[key]
            if not keys:
                del self._keys[owner]
        for owner in own:
            self._keys.setdefault(owner, {})[key] = None
        if own:
            self._owned[key] = own
        else:
            self._owned.pop(key, None)

    async def _tell(self, standing: Policy | None, wanted: Policy | None) -> None:
        if wanted == standing:
            return
        before, after = catches(standing), catches(wanted)
        if after and not before:
            await self._neighbours.more()
        try:
            await self.tell(standing, wanted)
        except Refused:
            if (after and not before) or (before and wanted is None):
                await self._neighbours.fewer()
            raise
        if before and not after:
            await self._neighbours.fewer()

    async def tell(self, standing: Policy | None, wanted: Policy | None) -> None:
        """
        Have the kernel put one policy into another's place.

        :param standing: what it has; None: nothing.
        :param wanted: what it is to have.
        :raises Refused: as it refuses it.
        """
        if wanted is None:
            assert standing is not None
            await self._ask(Kind.DELPOLICY, standing.encode_id(), "to remove a policy")
            return
        named = replace(wanted, index=self._index(wanted.direction))
        kind = Kind.NEWPOLICY if standing is None else Kind.UPDPOLICY
        await self._ask(kind, named.encode(), f"a policy for {wanted.selector}")

    def _index(self, direction: Direction) -> int:
        """One that was not given for long."""
        first, last = self._FIRST, self._CHANGED
        if self._changed():
            first, last = self._CHANGED, self._LAST
        return first + 8 * (next(self._numbers) % ((last - first) // 8)) | direction


def _effective(own: dict[str, _Claim]) -> Policy | None:
    """As the latest of the strongest wants it."""
    claim = max(reversed(own.values()), key=lambda one: one.strength, default=None)
    return None if claim is None else claim.policy


def _key(policy: Policy) -> _Key:
    return policy.selector, policy.direction, policy.others
