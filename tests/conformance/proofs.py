"""What the tests say that they prove: the lines ``Proves:`` in their docstrings."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROVES = re.compile(
    r"Proves: (?P<document>RFC \d+) (?P<place>(?:section|appendix) (?P<at>\w[\w.]*))"
    r"(?: \(row (?P<row>\w[\w.]*-\d+)\))?"
)


class Mistake(Exception):
    """A line that says ``Proves:``, or a row, that cannot be believed."""


@dataclass(frozen=True, slots=True, order=True)
class Proof:
    """
    One statement and the test that proves it.

    :ivar document: ``"RFC 2408"``.
    :ivar place: ``"section 3.1"``.
    :ivar test: dotted name of the method, in the class where it is written.
    :ivar statement: the first sentence of its docstring.
    :ivar row: the row that is proved, as ``"3.1-4"``; None if the statement is none of the rows.
    """

    document: str
    place: str
    test: str
    statement: str = field(compare=False)
    row: str | None = field(default=None, compare=False)


def first_sentence(docstring: str) -> str:
    """What must be true, in the test's own words: up to the first full stop or blank line."""
    paragraph = " ".join(inspect.cleandoc(docstring).partition("\n\n")[0].split())
    paragraph = PROVES.sub("", paragraph).strip()
    return re.split(r"(?<=[.!?]) (?=[A-Z`(])", paragraph, maxsplit=1)[0]


def proofs_in(source: str, module: str) -> Iterator[Proof]:
    """
    The proofs in one file of tests.

    :param source: its text.
    :param module: its dotted name.
    :raises Mistake: a ``Proves:`` line is not of the form above, or not in a test's docstring.
    """
    tree = ast.parse(source)
    believed = 0
    for class_ in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for method in class_.body:
            if not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            docstring = ast.get_docstring(method)
            if docstring is None or not method.name.startswith("test_"):
                continue
            test = f"{module}.{class_.name}.{method.name}"
            for line in docstring.splitlines():
                if not line.strip().startswith("Proves:"):
                    continue
                found = PROVES.fullmatch(line.strip())
                if found is None:
                    raise Mistake(
                        f"{test}: {line.strip()!r} is neither 'Proves: RFC n section x'"
                        " nor that with ' (row x-n)' behind it"
                    )
                row = found["row"]
                if row is not None and row.rpartition("-")[0] != found["at"]:
                    raise Mistake(f"{test}: row {row} is not of {found['place']}")
                statement = first_sentence(docstring)
                if not statement:
                    raise Mistake(f"{test}: the docstring does not say what is proved")
                believed += 1
                yield Proof(found["document"], found["place"], test, statement, row)
    said = sum(
        line.strip().startswith("Proves:")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for line in node.value.splitlines()
    )
    if said != believed:
        raise Mistake(f"{module}: {said - believed} 'Proves:' outside the docstring of a test")


def collect(root: Path) -> Sequence[Proof]:
    """
    The proofs in all files of tests below `root`/tests, in the order of the page.

    :raises Mistake: as :func:`proofs_in`.
    """
    found: list[Proof] = []
    for path in sorted(root.glob("tests/**/test_*.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        found += proofs_in(path.read_text(encoding="utf-8"), module)
    return sorted(
        found, key=lambda proof: (document_key(proof.document), place_key(proof.place), proof)
    )


def document_key(document: str) -> int:
    """RFCs in the order of their numbers."""
    return int(document.split()[1])


def place_key(place: str) -> tuple[bool, tuple[tuple[int, str], ...]]:
    """Sections in the order of the RFC, 5.2 before 5.10, appendices last."""
    kind, at = place.split()
    steps = tuple((int(step), "") if step.isdigit() else (0, step) for step in at.split("."))
    return kind == "appendix", steps
