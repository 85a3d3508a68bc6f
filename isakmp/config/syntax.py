"""
The syntax of strongSwan's configuration files: octets to a tree of sections, and back.

::

    file       =  *( section / setting / include )
    section    =  name [ ":" reference *( "," reference ) ] "{" file "}"
    setting    =  name "=" *( word / quoted )          up to the end of the line, a "#" or a "}"
    include    =  "include" pattern                    relative to the file it stands in
    reference  =  name *( "." name )                   from the root; see :mod:`isakmp.config.tree`

A name has no blanks and none of ``# { } : . , = "``.  Words of a value are joined by one blank.
What is quoted may have line ends, and after a backslash n, r and t for what C means by them, or
any other character for itself; a line end after a backslash joins two lines.  A section that stands
twice is one section; of a key that stands twice the last counts; a key without a value has none,
even if a referenced section has one.

This is what strongSwan 5.7 and later read; nothing of its text is used here.  A mistake does not
end the reading: the rest of the line is left out, and reading goes on.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from glob import escape, has_magic, iglob
from itertools import islice

from isakmp.config.mistakes import Findings, Place

MAX_OCTETS = 8 * 2**20
"""The most of one file, and of all files together."""

MAX_DEPTH = 32
"""The most sections inside one another."""

MAX_INCLUDES = 16
"""The most files that include one another."""

MAX_FILES = 1000
"""The most files in all."""

MAX_PATTERN = 4096
"""The most characters of a pattern that names files."""

_NAME = re.compile(r'[^#{}:.,="\r\n\t ]++')
_REFERENCE = re.compile(rf"{_NAME.pattern}(?:\.{_NAME.pattern})*+")
_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_INCLUDE = re.compile(r"include[ \t]+(?![ \t=])")
_WORD = re.compile(r'[^#}"\r\n\t ]++')
_SPACE = re.compile(r"[ \t\r]*+")
_QUOTED = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(\r?\n|.)|\r", re.DOTALL)
_PIECE = re.compile(rf'([^"\\#}}\r\n\t ]++)|\\(["#}} ])|{_QUOTED.pattern}|(\\)', re.DOTALL)
_REST = re.compile(r"[^\n#{}]*+")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Setting:
    """
    One key's value.

    :ivar value: None if it was taken away: ``key =``.
    """

    value: str | None = field(repr=False)
    place: Place = Place("")


@dataclass(frozen=True, slots=True)
class Reference:
    """The dotted name of a section that another takes its settings from."""

    name: str
    place: Place


@dataclass(slots=True, eq=False)
class Block:
    """
    A section as it is written, over all places where it is; ``place`` is the first.
    """

    place: Place
    settings: dict[str, Setting] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)


def read(path: str, findings: Findings) -> Block:
    """
    The root of a file with all that it includes.

    :param findings: takes whatever is wrong; nothing is raised.
    """
    root = Block(Place(path))
    budget = _Budget(MAX_OCTETS, MAX_FILES)
    text = _content(path, Place(path), findings, budget, required=True)
    if text is not None:
        _Text(path, text, root, findings, budget, (os.path.realpath(path),)).read()
    return root


def parse(text: str, findings: Findings, file: str = "<text>") -> Block:
    """The root of a text, likewise; what it includes is relative to ``file``."""
    root = Block(Place(file))
    if "\0" in text:
        findings.fault(Place(file, text.count("\n", 0, text.index("\0")) + 1), _NUL)
    else:
        budget = _Budget(MAX_OCTETS, MAX_FILES)
        _Text(file, text, root, findings, budget, (os.path.realpath(file),)).read()
    return root


_NUL = "a character of value 0: this is no text"


@dataclass(slots=True)
class _Budget:
    """What may still be read."""

    octets: int
    files: int


def _content(
    path: str, place: Place, findings: Findings, budget: _Budget, required: bool = False
) -> str | None:
    """
    A regular file's text; octets that are not UTF-8 are kept, because a secret may have some.

    :param place: what asks for it.
    """
    what = "this file" if required else path
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            # Neither a directory nor a pipe that nobody writes to.
            if required:
                findings.fault(place, "this is not a file")
            return None
        with open(path, "rb") as file:
            octets = file.read(budget.octets + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        findings.fault(place, f"{what} cannot be read: {reason}")
        return None
    if len(octets) > budget.octets:
        findings.fault(place, f"with {what} it is more than {MAX_OCTETS} octets of configuration")
        return None
    budget.octets -= len(octets)
    budget.files -= 1
    if b"\0" in octets:
        line = octets.count(b"\n", 0, octets.index(b"\0")) + 1
        findings.fault(Place(path, line), _NUL)
        return None
    return octets.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


class _Text:
    """
    One file, being read from its beginning to its end.

    :param root: what its settings and sections go to.
    :param within: the real paths of the files that include it, and its own.
    """

    def __init__(
        self,
        file: str,
        text: str,
        root: Block,
        findings: Findings,
        budget: _Budget,
        within: tuple[str, ...],
        depth: int = 0,
    ) -> None:
        self._file = file
        self._text = text
        self._findings = findings
        self._budget = budget
        self._within = within
        self._open = [(root, 0)]
        self._depth = depth
        self._at = 0
        self._line = 1
        self._counted = 0

    def read(self) -> None:
        """All of it."""
        while self._skip(_BLANK):
            self._statement()
        for _, line in self._open[1:]:
            self._findings.fault(Place(self._file, line), "this section is not closed: '}'")

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        """Go on behind what matches; whether anything is left."""
        found = pattern.match(self._text, self._at)
        assert found is not None, "these patterns match the empty text"
        self._at = found.end()
        return self._at < len(self._text)

    def _place(self) -> Place:
        """Where we are; that is counted on from where it was asked before."""
        if self._at < self._counted:
            self._line -= self._text.count("\n", self._at, self._counted)
        else:
            self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return Place(self._file, self._line)

    def _fault(self, text: str) -> None:
        self._findings.fault(self._place(), text)

    def _statement(self) -> None:
        place = self._place()
        character = self._text[self._at]
        if character == "}":
            self._at += 1
            if len(self._open) == 1:
                self._findings.fault(place, "'}' closes nothing")
            else:
                self._open.pop()
        elif _INCLUDE.match(self._text, self._at):
            self._include(place)
        elif name := _NAME.match(self._text, self._at):
            self._at = name.end()
            self._named(name[0], place)
        else:
            self._lose(
                place,
                f"{character!r} where a name is expected; "
                'names have no blanks and none of # { } : . , = "',
            )

    def _named(self, name: str, place: Place) -> None:
        """A section or a setting."""
        before = self._at
        if self._skip(_BLANK) and self._text[self._at] == "=":
            self._at += 1
            self._set(name, place)
            return
        references: list[Reference] = []
        if self._text[self._at : self._at + 1] == ":":
            self._at += 1
            references = self._references()
        if self._text[self._at : self._at + 1] == "{":
            self._at += 1
            self._begin(name, place, references)
            return
        # What stands here may be a secret on a line of its own: it is not repeated.
        self._at = before
        self._lose(place, "after a name is expected '=', or '{' for a section")

    def _lose(self, place: Place, text: str) -> None:
        """Leave out the rest of a line; a section that begins there still has an end."""
        self._findings.fault(place, text)
        if self._skip(_REST) and self._text[self._at] == "{":
            self._at += 1
            if self._may_open(place):
                self._open.append((Block(place), place.line))

    def _references(self) -> list[Reference]:
        found: list[Reference] = []
        while True:
            self._skip(_BLANK)
            name = _REFERENCE.match(self._text, self._at)
            if name is None:
                self._fault("after ':' or ',' the dotted name of a section is expected")
                return found
            found.append(Reference(name[0], self._place()))
            self._at = name.end()
            self._skip(_BLANK)
            if self._text[self._at : self._at + 1] != ",":
                return found
            self._at += 1

    def _begin(self, name: str, place: Place, references: list[Reference]) -> None:
        if not self._may_open(place):
            return
        inner = self._open[-1][0].blocks.setdefault(name, Block(place))
        known = {reference.name for reference in inner.references}
        inner.references += [r for r in references if r.name not in known]
        self._open.append((inner, place.line))

    def _may_open(self, place: Place) -> bool:
        """Whether another section may begin; if not, the rest of the file is left out."""
        if self._depth + len(self._open) <= MAX_DEPTH:
            return True
        self._findings.fault(place, f"more than {MAX_DEPTH} sections inside one another")
        self._at = len(self._text)
        del self._open[1:]
        return False

    def _set(self, name: str, place: Place) -> None:
        words: list[str] = []
        while self._skip(_SPACE):
            if self._text[self._at] == '"':
                quoted = _QUOTED.match(self._text, self._at)
                if quoted is None:
                    self._fault(f"the quoted value of {name} has no end: '\"'")
                    self._at = len(self._text)
                    return
                words.append(_unescaped(quoted[1]))
                self._at = quoted.end()
            elif word := _WORD.match(self._text, self._at):
                words.append(word[0])
                self._at = word.end()
            else:
                break
        value = " ".join(words) if words else None
        self._open[-1][0].settings[name] = Setting(value, place)

    def _include(self, place: Place) -> None:
        self._at += len("include")
        self._skip(_SPACE)
        pieces = []
        while piece := _PIECE.match(self._text, self._at):
            plain, escaped, quoted, backslash = piece.groups("")
            pieces.append(plain or escaped or backslash or _unescaped(quoted))
            self._at = piece.end()
        pattern = "".join(pieces)
        if self._text[self._at : self._at + 1] == '"':
            self._fault("the quoted name of an included file has no end: '\"'")
            self._at = len(self._text)
            return
        if not pattern:
            self._findings.warn(place, "include", "it names no file, so nothing is included")
            return
        if not os.path.isabs(pattern):
            pattern = os.path.join(escape(os.path.dirname(self._file)), pattern)
        if len(pattern) > MAX_PATTERN:
            self._findings.fault(place, "no file has so long a name", "include")
            return
        if len(self._within) > MAX_INCLUDES:
            self._findings.fault(
                place, f"more than {MAX_INCLUDES} files include one another", "include"
            )
            return
        paths = sorted(islice(iglob(pattern), self._budget.files + 1))
        if not paths and not has_magic(pattern):
            self._findings.warn(place, "include", f"there is no {pattern}")
        for path in paths:
            self._include_file(path, place)

    def _include_file(self, path: str, place: Place) -> None:
        real = os.path.realpath(path)
        if real in self._within:
            self._findings.fault(place, f"{path} includes itself", "include")
        elif self._budget.files <= 0:
            self._findings.fault(place, f"more than {MAX_FILES} files in all", "include")
        else:
            text = _content(path, place, self._findings, self._budget)
            if text is not None:
                within = (*self._within, real)
                block, depth = self._open[-1][0], self._depth + len(self._open) - 1
                _Text(path, text, block, self._findings, self._budget, within, depth).read()


def _unescaped(text: str) -> str:
    """What is meant by what stands between quotes; a carriage return means nothing."""

    def one(found: re.Match[str]) -> str:
        escaped = found[1]
        if escaped is None or escaped.endswith("\n"):
            return ""
        return _ESCAPES.get(escaped, escaped)

    return _ESCAPE.sub(one, text)


def write(block: Block, indent: str = "") -> str:
    """A tree as a text that reads as the same tree; comments and includes are gone."""
    lines = []
    for key, setting in block.settings.items():
        value = "" if setting.value is None else f" {_quoted(setting.value)}"
        lines.append(f"{indent}{key} ={value}\n")
    for name, inner in block.blocks.items():
        references = ", ".join(reference.name for reference in inner.references)
        colon = f" : {references}" if references else ""
        lines.append(f"{indent}{name}{colon} {{\n{write(inner, indent + '  ')}{indent}}}\n")
    return "".join(lines)


def _quoted(value: str) -> str:
    if value and all(_WORD.fullmatch(word) for word in value.split(" ")):
        return value
    for character, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        value = value.replace(character, escaped)
    return f'"{value}"'
