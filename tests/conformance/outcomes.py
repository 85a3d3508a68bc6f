"""The tests that prove something are run, and how each of them ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from twisted.trial.reporter import Reporter
from twisted.trial.runner import TestLoader, TrialRunner

from tests.conformance.proofs import Proof


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
