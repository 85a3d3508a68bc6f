"""
Which keys of ``swanctl.conf`` mean what here: the kinds of values, and the rows of the table.

The table itself is :data:`isakmp.config.key_table.KEYS`; the reference page is written from it.  A
key that strongSwan knows is honoured here, or warned of once, or refused: refused if ignoring it
would authenticate, protect or select less than whoever wrote it meant.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from isakmp.config import values
from isakmp.config.identities import owners, spelled
from isakmp.config.mistakes import listed


class Status(enum.Enum):
    """What becomes of a key."""

    HONOURED = "honoured"
    WARNED = "warned"
    IKEV2 = "IKEv2 only"
    """It has no meaning in IKEv1: warned of like the others."""
    REFUSED = "refused"


class Kind(enum.Enum):
    """What a value can be; the text is for the reference page."""

    SECTION = "section"
    BOOLEAN = "yes or no"
    NUMBER = "number"
    PORT = "port"
    TIME = "time"
    VOLUME = "volume"
    PACKETS = "packets"
    CODEPOINT = "six binary digits"
    MARK = "mark"
    SET_MARK = "mark to set"
    INTERFACE_ID = "interface id"
    INTERFACE = "interface"
    WORD = "word"
    IDENTITY = "identity"
    OWNER = "identity or network"
    SECRET = "secret"
    LIST = "list"
    TEXT = "text"


def _text(text: str) -> str:
    return text


_READ: Mapping[Kind, Callable[[str], object]] = {
    Kind.BOOLEAN: values.boolean,
    Kind.NUMBER: values.number,
    Kind.PORT: values.port,
    Kind.TIME: values.seconds,
    Kind.VOLUME: values.octets,
    Kind.PACKETS: values.packets,
    Kind.CODEPOINT: values.binary,
    Kind.MARK: values.mark,
    Kind.SET_MARK: values.set_mark,
    Kind.INTERFACE_ID: values.interface_id,
    Kind.INTERFACE: values.interface,
    Kind.IDENTITY: spelled,
    Kind.OWNER: owners,
    Kind.SECRET: values.secret,
    Kind.LIST: values.items,
    Kind.TEXT: _text,
}


@dataclass(frozen=True, slots=True)
class Key:
    """
    One key, or one section, of swanctl.opt.

    :ivar pattern: as swanctl.opt writes it: ``connections.<conn>.local<suffix>.auth``.
    :ivar status: what becomes of it.
    :ivar text: what it does here, or why it is not honoured.
    :ivar harmless: the value with which nothing is ignored or refused: mostly the default.
    :ivar words: of a :attr:`Kind.WORD`, what becomes of each.
    :ivar reasons: why a word is not honoured, where ``text`` does not say it.
    """

    pattern: str
    kind: Kind
    status: Status
    text: str
    harmless: str | None = None
    words: Mapping[str, Status] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)

    def outcome(self, value: str) -> Status:
        """
        What becomes of this key with a value.

        :raises ValueError: if it cannot have that value; what it can.
        """
        if self.kind is Kind.WORD:
            word = values.one_of(value, tuple(self.words))
            return self.words[word]
        read = _READ[self.kind]
        meant = read(value)
        if self.status is Status.HONOURED:
            return self.status
        if self.harmless is not None and meant == read(self.harmless):
            return Status.HONOURED
        if self.kind in (Kind.LIST, Kind.TEXT) and not meant:
            return Status.HONOURED
        return self.status

    def why(self, value: str) -> str:
        """Why it is not honoured with a value; for a mistake or a warning."""
        word = values.one_of(value, tuple(self.words)) if self.reasons else value
        return self.reasons.get(word, self.text)

    @property
    def valid(self) -> str:
        """With which value it is served, for a refusal: ``valid is no``."""
        served = [w for w, status in self.words.items() if status is not Status.REFUSED]
        if served:
            return f"; valid: {listed(served)}"
        if self.status is Status.REFUSED and self.harmless is not None:
            return f"; valid: {self.harmless}"
        return "; leave it out" if self.status is Status.REFUSED else ""


@dataclass(slots=True)
class _Branch:
    """
    Where one word of a pattern leads.

    :ivar exact: by the whole word; ``prefixes`` by its beginning, before ``<suffix>``.
    """

    key: Key | None = None
    exact: dict[str, _Branch] = field(default_factory=dict)
    prefixes: dict[str, _Branch] = field(default_factory=dict)

    def grow(self, word: str) -> _Branch:
        """The branch of a word of a pattern, made if it is not there."""
        prefix, bracket, _ = word.partition("<")
        branches = self.prefixes if bracket else self.exact
        return branches.setdefault(prefix, _Branch())

    def follow(self, word: str) -> _Branch | None:
        """The branch that a word in a file is meant by."""
        if word in self.exact:
            return self.exact[word]
        # The longest first: cacert is not a cert.
        for prefix in sorted(self.prefixes, key=len, reverse=True):
            if word.startswith(prefix):
                return self.prefixes[prefix]
        return None


class Table:
    """
    All keys, found by the names in a file.

    :param keys: rows; sections before what is in them.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = tuple(keys)
        self._root = _Branch()
        for key in self.keys:
            branch = self._root
            for word in key.pattern.split("."):
                branch = branch.grow(word)
            if branch.key is not None:
                raise ValueError(f"{key.pattern} stands twice")
            branch.key = key

    def find(self, path: Iterable[str]) -> Key | None:
        """The row of a key or a section, by the names that lead to it."""
        branch = self._branch(path)
        return None if branch is None else branch.key

    def known(self, path: Iterable[str], section: bool) -> tuple[str, ...]:
        """What may stand in a section, as patterns write it: sections, or keys."""
        branch = self._branch(path)
        if branch is None:
            return ()
        return tuple(
            inner.key.pattern.rpartition(".")[2]
            for inner in (*branch.exact.values(), *branch.prefixes.values())
            if inner.key is not None and (inner.key.kind is Kind.SECTION) is section
        )

    def _branch(self, path: Iterable[str]) -> _Branch | None:
        branch: _Branch | None = self._root
        for word in path:
            if branch is None:
                return None
            branch = branch.follow(word)
        return branch
