"""
What is established in this process: ISAKMP SAs, and the protection SAs made under them.

RFC 2408 section 2.4 says what names an SA: the two cookies an ISAKMP SA, SPI and destination the SA
of a security protocol; a session by tickets is named by principal and epoch (RFC 4430 section 3.7).
Look-ups are answered from memory; every change is also written to an
:class:`isakmp.interfaces.ISAStore`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from isakmp.associations import ManagementKey, SABundle, SAKey
from isakmp.connections import Limits
from isakmp.errors import Cancelled
from isakmp.events import Established, Removal, Removed, Replaced
from isakmp.identity import Identity
from isakmp.interfaces import (
    Expiry,
    IEvents,
    IManagementSA,
    ISARegistry,
    ISAStore,
    Record,
)
from isakmp.logs import Logger

K = TypeVar("K")
T = TypeVar("T")
V = TypeVar("V")

_FEW = 8

Name = SAKey | str
"""Cookies or a session, an SPI with its destination, or a bundle's name."""


@dataclass(slots=True, eq=False)
class _Entry:
    """
    One SA, and what is known of it.

    :ivar since: when it was added, in seconds of the clock.
    :ivar number: how many of its kind there were before it, and itself.
    :ivar stored: whether the store has it; Established was published then.
    :ivar former: names that it had before its peer moved.
    :ivar used: message ids used under it; only of an ISAKMP SA.
    :ivar worn_out: whether it was said that no more message ids are left.
    """

    sa: IManagementSA | SABundle
    names: tuple[Name, ...]
    expiry: Expiry
    since: float
    number: int
    stored: bool = False
    former: tuple[tuple[Name, ...], ...] = ()
    used: tuple[int, ...] | set[int] = ()
    worn_out: bool = False

    def use(self, number: int) -> None:
        """Note a message id.  Most SAs use one or two, and a set takes ten times as much."""
        if isinstance(self.used, tuple):
            self.used = (*self.used, number)
            if len(self.used) > _FEW:
                self.used = set(self.used)
        else:
            self.used.add(number)


@implementer(ISARegistry)
class SARegistry:
    """
    The SAs of this process, by everything they are looked up by.

    An SA can be found as soon as :meth:`add` returns.  Established is published when the store has
    it: nobody is told of an SA that is taken back because it could not be stored.

    :param store: what every change is written to.
    :param clock: tells how old an SA is.
    :param events: gets Established and Removed, each after the change.
    :param limits: bounds the message ids of one ISAKMP SA.
    """

    _log = Logger()

    def __init__(
        self, store: ISAStore, clock: IReactorTime, events: IEvents, limits: Limits
    ) -> None:
        self._store = store
        self._clock = clock
        self._events = events
        self._limits = limits
        # Dictionaries keep the order in which SAs were added: it is the order of their age.  What
        # belongs to one parent or party is mostly one SA: a tuple takes a fifth of a dictionary.
        self._entries: dict[SAKey, _Entry] = {}
        self._by_name: dict[Name, _Entry] = {}
        self._children: dict[ManagementKey, tuple[SABundle, ...]] = {}
        self._by_party: dict[tuple[int, bytes], tuple[IManagementSA, ...]] = {}
        self._by_connection: dict[str, dict[SAKey, IManagementSA]] = {}
        self._writing: dict[SAKey, DeferredLock] = {}
        self._numbers = {False: count(1), True: count(1)}

    def find(self, key: SAKey) -> IManagementSA | SABundle | None:
        """By cookies, or by what names an SA of a security protocol, in either direction."""
        entry = self._by_name.get(key)
        return None if entry is None else entry.sa

    def children(self, key: ManagementKey) -> Sequence[SABundle]:
        """Made under this SA, the oldest first."""
        return self._children.get(key, ())

    def by_peer(self, theirs: Identity) -> Sequence[IManagementSA]:
        """Management SAs with this party, the oldest first."""
        same = self._by_party.get(_party(theirs), ())
        return tuple([sa for sa in same if sa.theirs.same_party(theirs)])

    def by_connection(self, name: str) -> Sequence[IManagementSA]:
        """Management SAs of a connection, the oldest first."""
        return tuple(self._by_connection.get(name, {}).values())

    def stands(self, name: str) -> bool:
        """Whether a connection has a management SA; of thousands none is looked at."""
        return name in self._by_connection

    def add(self, sa: IManagementSA | SABundle, expiry: Expiry) -> Deferred[None]:
        """
        From now on it is found; Established is published when it is stored.

        If it cannot be stored, or is removed before it is, the Deferred fails and it is as if it
        had never been added.

        :raises ValueError: if one of its names is taken, or it has no inbound SA to be named by;
            nothing has changed then.
        """
        names = _names(sa)
        taken = [str(name) for name in names if name in self._by_name]
        if taken:
            raise ValueError(f"taken by another SA: {', '.join(sorted(taken))}")
        number = next(self._numbers[isinstance(sa, SABundle)])
        entry = _Entry(sa, names, expiry, self._clock.seconds(), number)
        self._enter(entry)

        def stored(_: object) -> None:
            if self._entries.get(sa.key) is not entry:
                raise Cancelled("the SA was removed before it was stored")
            entry.stored = True
            self._events.publish(Established(entry.sa))  # it may have been replaced

        def leave(failure: Failure) -> Failure:
            if self._entries.get(sa.key) is entry:
                self._leave(entry)
            return failure

        def not_stored(failure: Failure) -> Failure:
            if failure.check(CancelledError):
                # Who gives up waiting cannot know how far the store got.
                self._delete(sa.key).addErrback(self._not_deleted)
            return leave(failure)

        def save() -> Deferred[None]:
            # It leaves before the next write for its key has its turn.
            return maybeDeferred(self._store.save, [Record(sa.key, sa, expiry)]).addErrback(leave)

        return self._write(sa.key, save).addCallbacks(stored, not_stored)

    def replace(
        self, old: IManagementSA | SABundle, new: IManagementSA | SABundle
    ) -> Deferred[None]:
        """
        From now on the new value is found by the names that it has: those of the old one, but for
        where a peer that has moved receives (RFC 2408 section 2.4).

        Its age, its expiry and the message ids used under it stay.

        :raises LookupError: if the old one is not here.
        :raises ValueError: if it is another SA, or a name is taken; nothing has changed then.
        """
        entry = self._known(old)
        names = _names(new)
        if new.key != entry.sa.key or _apart(new) != _apart(entry.sa):
            raise ValueError(f"{new.key} has other names than {old.key}")
        if names != entry.names:
            if any(self._by_name.get(name, entry) is not entry for name in names):
                raise ValueError(f"a name of {new.key} is another SA's")
            for name in entry.names:
                del self._by_name[name]
            entry.former = (*entry.former, entry.names)[-_FEW:]
            entry.names = names
            self._by_name.update(dict.fromkeys(names, entry))
        before = entry.sa
        self._leave_indexes(before)
        entry.sa = new
        self._enter_indexes(new)
        if entry.stored:
            self._events.publish(Replaced(before, new))
        record = Record(new.key, new, entry.expiry)

        def save() -> Deferred[None]:
            # Not if it could not be stored in the first place.
            stands = self._entries.get(new.key) is entry
            return self._store.save([record]) if stands else succeed(None)

        return self._write(new.key, save)

    def remove(self, sa: IManagementSA | SABundle, why: Removal) -> Deferred[None]:
        """
        From now on it is not found.  Its children stay: whoever removes it removes them.

        Publishes Removed, if Established was published; does nothing if it is not here.
        """
        entry = self._entry(sa)
        if entry is None:
            return succeed(None)
        self._leave(entry)
        if entry.stored:
            hard = entry.expiry.hard
            self._events.publish(Removed(entry.sa, why, entry.number, entry.since, hard))
        return self._delete(entry.sa.key)

    def expiry(self, sa: IManagementSA | SABundle) -> Expiry:
        """
        Until when it may be used.

        :raises LookupError: if it is not here.
        """
        return self._known(sa).expiry

    def since(self, sa: IManagementSA | SABundle) -> float:
        """
        When it was added, in seconds of the clock.

        :raises LookupError: if it is not here.
        """
        return self._known(sa).since

    def number(self, sa: IManagementSA | SABundle) -> int:
        """
        What this process calls it, for whoever has to name it: 1 is the first of its kind.

        It stays when the SA is replaced by another value.

        :raises LookupError: if it is not here.
        """
        return self._known(sa).number

    def fresh(self, key: ManagementKey, number: int) -> bool:
        """
        Whether this message id is used under the SA for the first time; it is, from now on.

        RFC 2408 section 3.1.  Zero is phase 1's and never fresh.  Nor is any other once as many
        were used as ``limits.message_ids`` says: such an SA has to be replaced.
        """
        entry = self._entries.get(key)
        if entry is None or not 0 < number < 2**32 or number in entry.used:
            return False
        if len(entry.used) >= self._limits.message_ids:
            if not entry.worn_out:
                entry.worn_out = True
                self._log.warn(
                    "ISAKMP SA {cookies} has used its {count} message ids and must be replaced",
                    cookies=str(key),
                    count=len(entry.used),
                )
            return False
        entry.use(number)
        return True

    def __iter__(self) -> Iterator[IManagementSA | SABundle]:
        """A snapshot, the oldest first."""
        return iter([entry.sa for entry in self._entries.values()])

    def __len__(self) -> int:
        """How many there are, of both kinds."""
        return len(self._entries)

    def _entry(self, sa: IManagementSA | SABundle) -> _Entry | None:
        # By all its names: an SPI may have been given again since to another bundle.
        known = self._entries.get(sa.key)
        if known is not None and known.sa is sa:
            return known
        names = _names(sa)
        entry = self._by_name.get(names[0])
        if entry is None or names not in (entry.names, *entry.former):
            return None
        return entry

    def _known(self, sa: IManagementSA | SABundle) -> _Entry:
        entry = self._entry(sa)
        if entry is None:
            raise LookupError(f"no SA is named {sa.key}")
        return entry

    def _enter(self, entry: _Entry) -> None:
        sa = entry.sa
        self._entries[sa.key] = entry
        for name in entry.names:
            self._by_name[name] = entry
        self._enter_indexes(sa)

    def _enter_indexes(self, sa: IManagementSA | SABundle) -> None:
        if isinstance(sa, SABundle):
            self._children[sa.parent] = (*self._children.get(sa.parent, ()), sa)
        else:
            party = _party(sa.theirs)
            self._by_party[party] = (*self._by_party.get(party, ()), sa)
            self._by_connection.setdefault(sa.connection, {})[sa.key] = sa

    def _leave(self, entry: _Entry) -> None:
        sa = entry.sa
        del self._entries[sa.key]
        for name in entry.names:
            del self._by_name[name]
        self._leave_indexes(sa)

    def _leave_indexes(self, sa: IManagementSA | SABundle) -> None:
        if isinstance(sa, SABundle):
            _discard(self._children, sa.parent, sa)
        else:
            _discard(self._by_party, _party(sa.theirs), sa)
            same = self._by_connection[sa.connection]
            del same[sa.key]
            if not same:
                del self._by_connection[sa.connection]

    def _write(self, key: SAKey, write: Callable[[], Deferred[None]]) -> Deferred[None]:
        """One key's writes reach the store one after another: a slow one cannot undo a later."""
        waiting = self._writing.get(key)
        if waiting is None:
            writing = maybeDeferred(write)
            if writing.called and not writing.paused:
                return writing  # a store that answers at once keeps nobody waiting
            waiting = DeferredLock()
            waiting.acquire()
            self._writing[key] = waiting
            return writing.addBoth(self._written, key, waiting, True)
        return waiting.run(write).addBoth(self._written, key, waiting)

    def _written(self, result: T, key: SAKey, lock: DeferredLock, first: bool = False) -> T:
        if first:
            lock.release()
        if not lock.locked and self._writing.get(key) is lock:
            del self._writing[key]
        return result

    def _delete(self, key: SAKey) -> Deferred[None]:
        return self._write(key, lambda: self._store.delete([key]))

    def _not_deleted(self, failure: Failure) -> None:
        self._log.failure("an SA that was given up may still be stored", failure)


def _names(sa: IManagementSA | SABundle) -> tuple[Name, ...]:
    if not isinstance(sa, SABundle):
        return (sa.key,)
    if not sa.inbound:
        raise ValueError(f"{sa.name} has no inbound SA")
    names: tuple[Name, ...] = (sa.name, *sa.keys)
    if len(set(names)) < len(names):
        raise ValueError(f"two SAs of {sa.name} have one name")
    return names


def _apart(sa: IManagementSA | SABundle) -> object:
    """What names it, wherever its peer is."""
    if not isinstance(sa, SABundle):
        return sa.key
    outbound = [(one.key.doi, one.key.protocol, one.key.spi) for one in sa.outbound]
    return sa.name, outbound, [one.key for one in sa.inbound]


def _party(identity: Identity) -> tuple[int, bytes]:
    """Equal for whatever ``same_party`` may call the same; it has the last word."""
    return identity.kind, identity.data.lower()


def _discard(index: dict[K, tuple[V, ...]], of: K, sa: V) -> None:
    left = tuple([one for one in index[of] if one is not sa])
    if left:
        index[of] = left
    else:
        del index[of]
