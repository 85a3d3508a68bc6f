"""
What a configuration says once its references are followed.

``name : a.b, c { }`` takes what the sections ``a.b`` and ``c`` have, at any depth, as far as
``name`` has not its own; ``a.b`` comes before ``c``.  References are dotted names from the root,
and are followed in the sections they lead to as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from isakmp.config.mistakes import Findings, Place
from isakmp.config.syntax import MAX_DEPTH, Block, Reference

MAX_LOOKS = 500_000
"""How many blocks may be looked into while references are followed."""


Row = tuple[Block, ...]
"""The blocks that a section consists of: its own first, then those it inherits from."""


@dataclass(frozen=True, slots=True)
class Datum:
    """
    One key's value, and where it is from.

    :ivar value: maybe a secret.
    """

    value: str = field(repr=False)
    place: Place = Place("")


@dataclass(frozen=True, slots=True)
class Section:
    """
    A section with all that it inherits.

    :ivar path: dotted, from the root; that is empty.
    :ivar data: by key, its own before inherited ones; without those that were taken away.
    :ivar sections: by name, its own before inherited ones.
    :ivar called: its name, if that may have dots, as in a message.
    """

    path: str
    place: Place
    data: Mapping[str, Datum] = field(default_factory=dict)
    sections: Mapping[str, Section] = field(default_factory=dict)
    called: str = ""

    @property
    def name(self) -> str:
        """What it is called: the last word of its path."""
        return self.called or self.path.rpartition(".")[2]

    def key(self, name: str) -> str:
        """The dotted name of a key or a section in it."""
        return f"{self.path}.{name}" if self.path else name

    def section(self, name: str) -> Section:
        """The section of that name; an empty one, placed here, if there is none."""
        return self.sections.get(name) or Section(self.key(name), self.place)


def followed(root: Block, findings: Findings) -> tuple[Section, frozenset[str]]:
    """
    The root with all references followed, and the first words of all references.

    :param findings: takes what is wrong with references.
    """
    inheritance = _Inheritance(root, findings)
    return inheritance.section("", (root,)), frozenset(inheritance.roots)


class _Inheritance:
    """
    Follows references from one root.

    :ivar roots: the first words of the references seen.
    """

    def __init__(self, root: Block, findings: Findings) -> None:
        self._root = root
        self._findings = findings
        self._found: dict[str, Row] = {}
        self._following: list[str] = []
        self._left = MAX_LOOKS
        self._given_up = False
        self.roots: set[str] = set()

    def section(self, path: str, row: Row, around: tuple[Row, ...] = ()) -> Section:
        """
        What a row of blocks amounts to.

        :param around: the rows of the sections it is in.
        """
        data: dict[str, Datum | None] = {}
        for block in row:
            for key, setting in block.settings.items():
                if key not in data:
                    value = setting.value
                    data[key] = None if value is None else Datum(value, setting.place)
        sections: dict[str, Section] = {}
        around = (*around, row)
        for name in dict.fromkeys(name for block in row for name in block.blocks):
            inner = f"{path}.{name}" if path else name
            row_of = self._inner(row, name)
            # What a section holds depends on its row alone: one that is in itself has no end.
            if any(row_of == other for other in around) or len(around) > MAX_DEPTH:
                self._give_up(row_of[0].place, inner, "by its references this section is in itself")
            elif self._left < 0:
                self._give_up(
                    self._root.place, "", "the references multiply into too many sections"
                )
            if self._given_up:
                break
            sections[name] = self.section(inner, row_of, around)
        own = {key: datum for key, datum in data.items() if datum is not None}
        return Section(path, row[0].place, own, sections)

    def _give_up(self, place: Place, key: str, text: str) -> None:
        """Follow nothing any more: it would not end, or not soon."""
        if not self._given_up:
            self._given_up = True
            self._findings.fault(place, text, key)

    def _inner(self, row: Row, name: str) -> Row:
        """The row of a section inside: of each block in order its own, then what that refers to."""
        blocks: dict[int, Block] = {}
        for outer in row:
            if (block := outer.blocks.get(name)) is not None and id(block) not in blocks:
                blocks[id(block)] = block
                for reference in block.references:
                    for referred in self._referred(reference):
                        blocks.setdefault(id(referred), referred)
        self._left -= len(row) + len(blocks)
        return tuple(blocks.values())

    def _referred(self, reference: Reference) -> Row:
        name = reference.name
        self.roots.add(name.partition(".")[0])
        if name not in self._found:
            if name in self._following or len(self._following) >= MAX_DEPTH:
                self._findings.mistake(
                    reference.place, "", f"the reference to {name} leads back to itself, or too far"
                )
                return ()
            self._following.append(name)
            row: Row = (self._root,)
            for word in name.split("."):
                row = self._inner(row, word)
            self._following.pop()
            self._found[name] = row
        if not self._found[name]:
            self._findings.missing(
                reference.place, "", f"there is no section {name} to take settings from"
            )
        return self._found[name]


def walk(section: Section) -> Iterator[Section]:
    """A section and all in it, from outside in."""
    yield section
    for inner in section.sections.values():
        yield from walk(inner)
