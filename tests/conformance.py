"""
``python -m tests.conformance``: which statement of which RFC is proved by which test.

A test that proves a statement says so in its docstring, in a line of its own::

    Proves: RFC 2408 section 3.1

This program collects these lines, runs those tests and, if all of them pass, writes
``doc/reference/conformance.rst``.  With ``--check`` it runs nothing and says whether that page is
what the tests say.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.trial.reporter import Reporter
from twisted.trial.runner import TestLoader, TrialRunner

CHECKOUT = Path(__file__).resolve().parent.parent
PAGE = Path("doc", "reference", "conformance.rst")

PROVES = re.compile(
    r"Proves: (?P<document>RFC \d+) (?P<place>(?:section|appendix) (?P<at>\w[\w.]*))"
)

TITLES = {
    "RFC 2407": "The Internet IP Security Domain of Interpretation for ISAKMP",
    "RFC 2408": "Internet Security Association and Key Management Protocol",
    "RFC 2409": "The Internet Key Exchange",
    "RFC 2412": "The OAKLEY Key Determination Protocol",
    "RFC 3526": "More Modular Exponential (MODP) Diffie-Hellman groups for IKE",
    "RFC 3602": "The AES-CBC Cipher Algorithm and Its Use with IPsec",
    "RFC 4109": "Algorithms for Internet Key Exchange version 1",
    "RFC 4868": "Using HMAC-SHA-256, HMAC-SHA-384, and HMAC-SHA-512 with IPsec",
    "RFC 5114": "Additional Diffie-Hellman Groups for Use with IETF Standards",
    "RFC 5903": "Elliptic Curve Groups modulo a Prime (ECP Groups) for IKE and IKEv2",
    "RFC 6932": "Brainpool Elliptic Curves for the IKE Group Description Registry",
}

HEAD = """\
..  Written by ``make conformance`` from the tests.  Do not edit.

Conformance
===========

Each row is a statement about an RFC and the tests that prove it.  ``make conformance`` runs these
tests and writes this page only if every one of them passes.

"""


class Mistake(Exception):
    """A line that says ``Proves:`` and cannot be believed."""


@dataclass(frozen=True, slots=True, order=True)
class Proof:
    """
    One statement and the test that proves it.

    :ivar document: ``"RFC 2408"``.
    :ivar place: ``"section 3.1"``.
    :ivar test: dotted name of the method, in the class where it is written.
    :ivar statement: the first sentence of its docstring.
    """

    document: str
    place: str
    test: str
    statement: str = field(compare=False)


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
                    raise Mistake(f"{test}: {line.strip()!r} is not 'Proves: RFC n section x'")
                statement = first_sentence(docstring)
                if not statement:
                    raise Mistake(f"{test}: the docstring does not say what is proved")
                believed += 1
                yield Proof(found["document"], found["place"], test, statement)
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
    found = []
    for path in sorted(root.glob("tests/**/test_*.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        found += proofs_in(path.read_text(encoding="utf-8"), module)
    return sorted(found, key=lambda proof: (document_key(proof), place_key(proof.place), proof))


def document_key(proof: Proof) -> int:
    """RFCs in the order of their numbers."""
    return int(proof.document.split()[1])


def place_key(place: str) -> tuple[bool, tuple[tuple[int, str], ...]]:
    """Sections in the order of the RFC, 5.2 before 5.10, appendices last."""
    kind, at = place.split()
    steps = tuple((int(step), "") if step.isdigit() else (0, step) for step in at.split("."))
    return kind == "appendix", steps


def page(proofs: Iterable[Proof]) -> str:
    """The page, in reStructuredText."""
    documents: dict[str, dict[tuple[str, str], list[str]]] = {}
    for proof in proofs:
        rows = documents.setdefault(proof.document, {})
        rows.setdefault((proof.place, proof.statement), []).append(proof.test)
    lines = [HEAD]
    for document, rows in documents.items():
        title = f"{document}: {TITLES[document]}" if document in TITLES else document
        lines += [title, "-" * len(title), ""]
        lines += [".. list-table::", "   :header-rows: 1", "   :widths: 15 50 35", ""]
        lines += ["   * - Where", "     - What is proved", "     - By"]
        for (place, statement), tests in rows.items():
            names = ", ".join(f"``{test.removeprefix('tests.')}``" for test in tests)
            lines += [f"   * - {place}", f"     - {statement}", f"     - {names}"]
        lines.append("")
    return "\n".join(lines)


class Outcomes(Reporter):
    """Remembers how each test ended, under the name of the method where it is written."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.passed: set[str] = set()
        self.others: dict[str, str] = {}

    def addSuccess(self, test: Any) -> None:
        self.passed.add(written_as(test))
        super().addSuccess(test)

    def addError(self, test: Any, error: Any) -> None:
        self.others[written_as(test)] = "failed"
        super().addError(test, error)

    addFailure = addError

    def addSkip(self, test: Any, reason: Any) -> None:
        self.others.setdefault(written_as(test), f"skipped: {reason}")
        super().addSkip(test, reason)

    def addExpectedFailure(self, test: Any, error: Any, todo: Any = None) -> None:
        self.others[written_as(test)] = "marked as known to fail"
        super().addExpectedFailure(test, error, todo)

    def addUnexpectedSuccess(self, test: Any, todo: Any = None) -> None:
        self.others[written_as(test)] = "marked as known to fail"
        super().addUnexpectedSuccess(test, todo)


def written_as(test: Any) -> str:
    """
    Dotted name of a test's method in the class where it is written; tests inherit tests.
    """
    name = getattr(test, "_testMethodName", None)
    for class_ in type(test).__mro__:
        if name in vars(class_):
            return f"{class_.__module__}.{class_.__qualname__}.{name}"
    return str(test.id())


def each(suite: Any) -> Iterator[Any]:
    """The single tests of a suite of suites."""
    try:
        members = iter(suite)
    except TypeError:
        yield suite
    else:
        for member in members:
            yield from each(member)


def run(proofs: Sequence[Proof]) -> Mapping[str, str]:
    """
    Run the tests of `proofs`.

    :return: for each test that has not passed, why; empty if all is well.
    """
    loader = TestLoader()
    wanted = {proof.test for proof in proofs}
    # A test may be written in a base class and run in its subclasses, in other modules.
    every = loader.loadByName("tests", recurse=True)
    chosen = loader.suiteFactory([test for test in each(every) if written_as(test) in wanted])
    runner = TrialRunner(Outcomes, workingDirectory="_trial_temp_conformance")
    outcomes = runner.run(chosen)
    assert isinstance(outcomes, Outcomes)
    return {
        test: outcomes.others.get(test, "did not run")
        for test in sorted(wanted)
        if test in outcomes.others or test not in outcomes.passed
    }


def main(arguments: Sequence[str], root: Path = CHECKOUT) -> int:
    """The exit status of ``python -m tests.conformance``."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--check", action="store_true", help="run nothing; is the page up to date?")
    options = parser.parse_args(arguments)
    try:
        proofs = collect(root)
    except Mistake as mistake:
        print(mistake)
        return 1
    text, path = page(proofs), root / PAGE
    if options.check:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return 0
        print(f"{PAGE} is not what the tests say; make conformance writes it anew")
        return 1
    bad = run(proofs)
    for test, why in bad.items():
        print(f"{test}: {why}")
    if bad:
        print(f"{PAGE} is left as it was: {len(bad)} of its tests have not passed")
        return 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"{PAGE}: {len(proofs)} proofs by {len({proof.test for proof in proofs})} tests")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
