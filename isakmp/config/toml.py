"""
A table of a TOML document, read key by key: what is not asked for is a mistake.
"""

from __future__ import annotations

import ipaddress
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from isakmp.config.mistakes import Findings, Place, listed, similar

_HEADER = re.compile(r"""\s*+\[\[?(?P<path>(?:"[^"]*+"|'[^']*+'|[^]\[#"'])*+)\]\]?\s*+(?:\#.*)?""")
_KEY = re.compile(r"""\s*+(?P<path>(?:[A-Za-z0-9_-]++|"[^"]*+"|'[^']*+'|[ \t.])++)=""")
_LONG = re.compile(r"\"\"\"|'''")

Path = tuple[str, ...]


def lines(text: str) -> Mapping[Path, int]:
    """
    On which line a key or a table stands first: tomllib does not tell.

    Only for messages: a key in an inline table has none.
    """
    found: dict[Path, int] = {}
    table: Path = ()
    inside = False
    for number, line in enumerate(text.split("\n"), 1):
        was_inside = inside
        inside ^= len(_LONG.findall(line)) % 2 == 1
        if was_inside:
            continue
        if header := _HEADER.fullmatch(line):
            table = _words(f"[{header['path']}]") or table
            path = table
        elif key := _KEY.match(line):
            path = (*table, *_words(f"{key['path']}= 0"))
        else:
            continue
        for length in range(len(path), 0, -1):
            found.setdefault(path[:length], number)
    return found


def _words(text: str) -> Path:
    """The dotted name on a line of its own, as TOML reads it."""
    try:
        document: Any = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return ()
    path: list[str] = []
    while isinstance(document, dict) and document:
        ((word, document),) = document.items()
        path.append(word)
    return tuple(path)


class Table:
    """
    One table, and where it stands.

    :param lines: of the whole file: see :func:`lines`.
    :ivar document: its keys and values.
    """

    def __init__(
        self,
        file: str,
        document: Mapping[str, Any],
        lines: Mapping[Path, int],
        findings: Findings,
        path: Path = (),
    ) -> None:
        self.document = document
        self._file = file
        self._lines = lines
        self._findings = findings
        self._path = path
        self._asked: list[str] = []

    def place(self, key: str = "") -> Place:
        """Where a key, or the table itself, stands."""
        path = (*self._path, key) if key else self._path
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return Place(self._file, self._lines[path[:length]])
        return Place(self._file)

    def mistake(self, key: str, text: str) -> None:
        """What is wrong with a key, or with the table."""
        path = (*self._path, key) if key else self._path
        name = ".".join(word if re.fullmatch(r"[\w-]+", word) else repr(word) for word in path)
        self._findings.mistake(self.place(key), name, text)

    def _ask(self, key: str) -> Any:
        self._asked.append(key)
        return self.document.get(key)

    def end(self) -> None:
        """Everything has been asked for: what is left is unknown."""
        for key in self.document:
            if key not in self._asked:
                known = ", ".join(self._asked)
                self.mistake(
                    key, f"there is no such key{similar(key, self._asked)}; valid here: {known}"
                )

    def table(self, key: str) -> Table:
        """A table inside; an empty one if it is not there."""
        value = self._ask(key)
        if value is not None and not isinstance(value, dict):
            self.mistake(key, "a table is expected here")
        document = value if isinstance(value, dict) else {}
        return Table(self._file, document, self._lines, self._findings, (*self._path, key))

    def tables(self) -> dict[str, Table]:
        """All of its keys: tables, each with a name of its own."""
        return {name: self.table(name) for name in self.document}

    def integer(self, key: str, default: int, least: int, most: int) -> int:
        """A whole number."""
        value = self._ask(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.mistake(key, f"a number from {least} to {most} is expected")
            return default
        return value

    def seconds(self, key: str, default: float) -> float:
        """A time greater than 0."""
        value = self._ask(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.mistake(key, "a number of seconds is expected")
            return default
        # An integer of TOML may be too large for a float.
        if not 0 < value <= 2**31 or not math.isfinite(value):
            self.mistake(key, f"a number of seconds above 0, at most {2**31}, is expected")
            return default
        return float(value)

    def word(
        self,
        key: str,
        default: str,
        known: Sequence[str],
        refusal: str = "",
        only: Sequence[str] | None = None,
    ) -> str:
        """
        One of some words.

        :param refusal: what is said of another word, or of those in ``only``.
        """
        value = self._ask(key)
        if value is None:
            return default
        if value in known and isinstance(value, str):
            return value
        valid = f"valid: {listed([repr(word) for word in known])}"
        if isinstance(value, str) and refusal and (only is None or value in only):
            self.mistake(key, f"{value!r}: {refusal}; {valid}")
        else:
            self.mistake(key, f"{value!r} is not known; {valid}")
        return default

    def text(self, key: str, default: str, empty: bool = False) -> str:
        """A text; not an empty one, unless that means something."""
        value = self._ask(key)
        if value is None:
            return default
        if not isinstance(value, str) or not (value or empty):
            self.mistake(key, "a text is expected")
            return default
        return value

    def words(
        self, key: str, default: tuple[str, ...], twice: bool = False
    ) -> tuple[str, ...]:
        """
        A list of texts, none empty.

        :param twice: whether one may stand there twice.
        """
        value = self._ask(key)
        if value is None:
            return default
        if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
            self.mistake(key, "a list of texts is expected, none of them empty")
            return default
        if len(set(value)) < len(value) and not twice:
            self.mistake(key, "something stands twice in this list")
        return tuple(value)

    def addresses(self, key: str) -> tuple[str, ...]:
        """A list of IP addresses, canonical; none if it is not there, and only then."""
        texts = self.words(key, ())
        found: list[str] = []
        for text in texts:
            try:
                found.append(str(ipaddress.ip_address(text)))
            except ValueError:
                self.mistake(key, f"{text!r} is not an IP address")
        if len(set(found)) < len(found) and len(set(texts)) == len(texts):
            self.mistake(key, "something stands twice in this list, spelled differently")
        if self.document.get(key) == []:
            self.mistake(key, "no address is left to listen on; leave it out to listen on all")
        return tuple(found)

    def refuse(self, key: str, why: str) -> None:
        """A key that may not be given yet."""
        if self._ask(key) is not None:
            self.mistake(key, f"{why}; leave it out")

    def boolean(self, key: str, default: bool | None) -> bool | None:
        """``true`` or ``false``."""
        value = self._ask(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.mistake(key, "true or false is expected")
            return default
        return value
