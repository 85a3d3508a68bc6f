"""
The numbers that are chosen when a child is installed: marks and interface ids of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from isakmp.associations import ChildPolicy
from isakmp.errors import LimitReached
from isakmp.handling import Handling, Mark, Number, Unique
from isakmp.sinks.xfrm.policy_table import Reqids
from isakmp.sinks.xfrm.users import Users

_Scope = tuple[object, ...]
_Pair = tuple[int, int]

_EVERY_BIT = 0xFFFFFFFF


class _Numbers:
    """
    Numbers of one kind, by what they are for: one of what comes in, one of what goes out.

    They count from 1, as strongSwan's do, and begin again when the last was reached.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._pairs: dict[_Scope, _Pair] = {}
        self._scopes: Users[str, _Scope] = Users()
        self._used: set[int] = set()
        self._last = 0

    def __contains__(self, scope: _Scope) -> bool:
        return scope in self._pairs

    def take(self, user: str, scope: _Scope, by_direction: bool, bits: int) -> _Pair:
        """
        Those of this scope; they are kept for as long as somebody needs them.

        :param bits: for how many there is room.
        :raises LimitReached: if all are in use.
        """
        if scope not in self._pairs:
            first = self._free(bits)
            self._pairs[scope] = first, self._free(bits, first) if by_direction else first
            self._used.update(self._pairs[scope])
        self._tidy(self._scopes.take(user, scope))
        return self._pairs[scope]

    def _free(self, bits: int, besides: int = 0) -> int:
        room = (1 << bits) - 1
        for _ in range(min(room, len(self._used) + 2)):
            self._last = self._last % room + 1
            if self._last not in self._used and self._last != besides:
                return self._last
        raise LimitReached(f"all {self._what} of {bits} bits are in use")

    def give_up(self, user: str) -> None:
        """Idempotent."""
        self._tidy(self._scopes.give_up(user))

    def _tidy(self, scope: _Scope | None) -> None:
        """Nobody needs it any more."""
        if scope is not None:
            self._used.difference_update(self._pairs.pop(scope))


class Uniques:
    """
    The numbers that children have instead of ``%unique``.

    A child's SA, what it is renewed by, and a trap for the same traffic have the same; so has what
    comes up by a trap, though the peer may have narrowed its traffic.
    """

    def __init__(self) -> None:
        self._marks = _Numbers("marks")
        self._interfaces = _Numbers("interface ids")

    def take(self, policy: ChildPolicy, peer: str, user: str, trap: bool = False) -> ChildPolicy:
        """
        The same policy, its numbers chosen.

        :param user: who needs them; for others they are in use until it gives up.
        :raises LimitReached: if there are not enough; then the user has what it had.
        """
        handling = policy.handling
        marks = [one.value for one in (handling.mark_in, handling.mark_out) if one is not None]
        if any(isinstance(value, Unique) for value in marks):
            masks = [one.mask for one in (handling.mark_in, handling.mark_out) if one is not None]
            bits = min(mask.bit_count() for mask in masks)
            pair = self._pair(self._marks, policy, peer, user, trap, marks, bits)
            handling = _marked(handling, pair)
        else:
            self._marks.give_up(user)
        interfaces = handling.if_id_in, handling.if_id_out
        if any(isinstance(value, Unique) for value in interfaces):
            pair = self._pair(self._interfaces, policy, peer, user, trap, interfaces, 32)
            handling = replace(
                handling,
                if_id_in=_either(handling.if_id_in, pair[0]),
                if_id_out=_either(handling.if_id_out, pair[1]),
            )
        else:
            self._interfaces.give_up(user)
        return policy if handling is policy.handling else replace(policy, handling=handling)

    def _pair(
        self,
        numbers: _Numbers,
        policy: ChildPolicy,
        peer: str,
        user: str,
        trap: bool,
        wanted: Sequence[Number],
        bits: int,
    ) -> _Pair:
        unique = [value for value in wanted if isinstance(value, Unique)]
        scope: _Scope = policy.connection, peer
        if not all(one.of_connection for one in unique):
            trapped = policy.connection, policy.name, peer
            scope = *trapped, policy.local, policy.remote
            if scope not in numbers and (trap or trapped in numbers):
                scope = trapped
        if not bits:
            raise LimitReached("a mark of its own needs a mask with bits")
        return numbers.take(user, scope, any(one.by_direction for one in unique), bits)

    def give_up(self, user: str) -> None:
        """Idempotent."""
        self._marks.give_up(user)
        self._interfaces.give_up(user)


class Choices:
    """Every number that is chosen for whoever needs it: a bundle, or a trap."""

    def __init__(self) -> None:
        self._reqids = Reqids()
        self._uniques = Uniques()

    def take(
        self, policy: ChildPolicy, peer: str, user: str, trap: bool = False
    ) -> tuple[int, ChildPolicy]:
        """
        A reqid, and the same policy with its marks and interface ids.

        :raises LimitReached: if there are not enough.
        """
        reqid = self._reqids.take(policy, peer, user)
        return reqid, self._uniques.take(policy, peer, user, trap)

    def reqid(self, policy: ChildPolicy, peer: str, user: str) -> int:
        """The reqid alone; :raises LimitReached: if there is none."""
        return self._reqids.take(policy, peer, user)

    def give_up(self, user: str) -> None:
        """Idempotent."""
        self._reqids.give_up(user)
        self._uniques.give_up(user)


def _marked(handling: Handling, pair: _Pair) -> Handling:
    """Marks that packets get are those of their direction's policies, where they are chosen."""
    mark_in, mark_out = _within(handling.mark_in, pair[0]), _within(handling.mark_out, pair[1])
    return replace(
        handling,
        mark_in=mark_in,
        mark_out=mark_out,
        set_mark_in=_same(handling.set_mark_in, mark_in),
        set_mark_out=_same(handling.set_mark_out, mark_out),
    )


def _within(mark: Mark | None, number: int) -> Mark | None:
    """The number in the bits of the mask, lowest to lowest."""
    if mark is None or not isinstance(mark.value, Unique):
        return mark
    value, mask = 0, mark.mask
    while number:
        lowest = mask & -mask
        value |= lowest if number & 1 else 0
        mask &= ~lowest & _EVERY_BIT
        number >>= 1
    return Mark(value, mark.mask)


def _same(mark: Mark | None, as_this: Mark | None) -> Mark | None:
    if mark is None or as_this is None or not isinstance(mark.value, Unique):
        return mark
    return Mark(as_this.value, mark.mask)


def _either(value: Number, number: int) -> int:
    return number if isinstance(value, Unique) else value
