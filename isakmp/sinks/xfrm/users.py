"""
Who needs what: several may need the same, and it is given up with the last of them.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Generic, TypeVar

U = TypeVar("U", bound=Hashable)
T = TypeVar("T", bound=Hashable)


class Users(Generic[U, T]):
    """
    Users, each of one thing, and the users of each thing; of thousands none is looked through.
    """

    def __init__(self) -> None:
        self._things: dict[U, T] = {}
        self._users: dict[T, dict[U, None]] = {}

    def thing(self, user: U) -> T | None:
        """What a user needs; None: nothing."""
        return self._things.get(user)

    def of(self, thing: T) -> Collection[U]:
        """Who needs it, the earliest first."""
        return self._users.get(thing, {}).keys()

    def take(self, user: U, thing: T) -> T | None:
        """
        From now on the user needs this.

        :return: what it needed before, if nobody needs that any more.
        """
        if self._things.get(user) == thing:
            return None
        left = self.give_up(user)
        self._things[user] = thing
        self._users.setdefault(thing, {})[user] = None
        return left

    def give_up(self, user: U) -> T | None:
        """
        The user needs nothing any more; idempotent.

        :return: what it needed, if nobody needs that any more.
        """
        thing = self._things.pop(user, None)
        if thing is None:
            return None
        users = self._users[thing]
        del users[user]
        if users:
            return None
        del self._users[thing]
        return thing
