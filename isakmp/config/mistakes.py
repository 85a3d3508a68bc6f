"""
What is wrong with a configuration, and what is only to be said about it: each with its place.

RFC 2408 says nothing of files.  These values are what ``swanctl.conf`` and ``isakmp.toml`` have in
common: everything that is wrong is found first, and told at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from isakmp.errors import ConfigurationError

MOST = 200
"""The most mistakes that are told; a file with more is some other file."""

_LONGEST = 1000
"""The most characters of one text: what stands in a file may be long."""


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where something stands.

    :ivar line: from 1; 0 for the file as a whole.
    """

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Remark:
    """
    One thing that has to be said about a configuration.

    :ivar file: its path, as it was given or included.
    :ivar line: from 1; 0 for the file as a whole.
    :ivar key: dotted, from the root: ``connections.gw.local.auth``; empty if it is about no key.
    :ivar text: what is so, and what would be valid.  Never a secret.
    """

    file: str
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        """One line, whatever characters the file has."""
        key = f"{self.key}: " if self.key else ""
        return shown(f"{Place(self.file, self.line)}: {key}{self.text}")


class Mistake(Remark):
    """Something that cannot be served as it is written."""

    __slots__ = ()


class ConfigurationErrors(ConfigurationError):
    """
    All that is wrong with a configuration.

    :ivar mistakes: by place; at least one.
    """

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


@dataclass(slots=True)
class Findings:
    """
    What is found while a configuration is read.

    :ivar faulty: whether something was lost that could not be read.  Then nothing is said to be
        missing.
    :ivar count: how many mistakes there are, told or not.
    """

    mistakes: list[Mistake] = field(default_factory=list)
    faulty: bool = False
    count: int = 0
    _said: set[tuple[Place, str]] = field(default_factory=set)
    _warnings: dict[object, tuple[Remark, int]] = field(default_factory=dict)
    _more: int = 0

    def mistake(self, place: Place, key: str, text: str) -> None:
        """Something is wrong.  What several sections inherit is told once."""
        self.count += 1
        if (place, text) in self._said:
            return
        if len(self.mistakes) < MOST:
            self._said.add((place, text))
            self.mistakes.append(Mistake(place.file, place.line, key, text))
        else:
            self._more += 1

    def fault(self, place: Place, text: str, key: str = "") -> None:
        """The text cannot be read here."""
        self.faulty = True
        self.mistake(place, key, text)

    def missing(self, place: Place, key: str, text: str) -> None:
        """Something is not there; not said if it may have been lost in a fault."""
        if not self.faulty:
            self.mistake(place, key, text)

    def warn(self, place: Place, key: str, text: str, once: object = None) -> None:
        """
        Something is left out, without harm.

        :param once: what is warned of; of equal ones only the first is told, and how many there
            are.
        """
        about = (place, key, text) if once is None else once
        first, count = self._warnings.get(about, (Remark(place.file, place.line, key, text), 0))
        self._warnings[about] = first, count + 1

    @property
    def warnings(self) -> tuple[Remark, ...]:
        """In the order in which they were found first."""
        return tuple(
            first
            if count == 1
            else Remark(first.file, first.line, first.key, f"{first.text} ({count} times in all)")
            for first, count in self._warnings.values()
        )

    def check(self) -> None:
        """:raises ConfigurationErrors: if anything is wrong."""
        if self.mistakes:
            mistakes = sorted(self.mistakes, key=lambda found: (found.file, found.line))
            if self._more:
                first = mistakes[0].file
                mistakes.append(Mistake(first, 0, "", f"and {self._more} mistakes more"))
            raise ConfigurationErrors(mistakes)


def shown(text: str) -> str:
    """As one line that a terminal can be given: what is not printable is spelled out."""
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "..."
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode("ascii")
        for c in text
    )


def listed(words: Sequence[str]) -> str:
    """Words as a person lists them: ``a, b or c``."""
    return " or ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def similar(word: str, known: Sequence[str]) -> str:
    """``; did you mean dpd_delay?``, or nothing; of ``ike<suffix>`` the beginning is compared."""
    names = {name.partition("<")[0]: name for name in known}
    close = get_close_matches(word[:100], names, 1)
    return f"; did you mean {names[close[0]]}?" if close else ""
