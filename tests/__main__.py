"""
``python -m tests [NAME ...]``: run the tests with trial and say at the end how they did.

Warnings are errors.  The last line is ``N passed, N failed, N skipped``.  The exit status is not
zero if a test failed, if none ran, if trial ended without its summary or, with
``ISAKMP_CHECK_ALL=1``, if a test was skipped.  ``ISAKMP_JOBS`` is the number of processes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

RAN = re.compile(r"Ran (\d+) tests? in .*")
SUMMARY = re.compile(r"(PASSED|FAILED)(?: \((\w+=\d+(?:, \w+=\d+)*)\))?")

#: Trial's words, by ours.  A test marked ``todo`` that fails proves as little as one that is
#: skipped; one that succeeds against its mark is a mistake in the mark.
PASSED = ("successes",)
FAILED = ("failures", "errors", "unexpectedSuccesses")
SKIPPED = ("skips", "expectedFailures")


@dataclass(frozen=True, slots=True)
class Tally:
    """
    How a run of the tests went.

    :ivar broken: why the run as a whole proves nothing, whatever the numbers say.
    """

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    broken: Sequence[str] = field(default=())

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"

    def complaints(self, everything: bool) -> Sequence[str]:
        """
        What makes this run a bad one; nothing if it is a good one.

        :param everything: a skipped test is a complaint as well.
        """
        found = list(self.broken)
        if self.failed:
            found.append(f"{self.failed} failed")
        if everything and self.skipped:
            found.append(f"{self.skipped} skipped, and ISAKMP_CHECK_ALL says that none may be")
        return found


def tally(lines: Iterable[str], status: int) -> Tally:
    """
    Read trial's summary.

    :param lines: what trial printed; its summary is the last line of that form.
    :param status: trial's exit status.
    """
    ran, last = 0, None
    for line in lines:
        if started := RAN.fullmatch(line.strip()):
            ran = int(started[1])
        last = SUMMARY.fullmatch(line.strip()) or last
    if last is None:
        return Tally(broken=(f"trial ended with status {status} and without a summary",))
    counts = {
        word: int(count)
        for word, _, count in (part.partition("=") for part in (last[2] or "").split(", ") if part)
    }
    broken = []
    if unknown := counts.keys() - {*PASSED, *FAILED, *SKIPPED}:
        broken.append(f"trial counts what this program does not know: {', '.join(sorted(unknown))}")
    if not ran:
        broken.append("no test ran")
    passed, failed, skipped = (
        sum(counts.get(word, 0) for word in words) for words in (PASSED, FAILED, SKIPPED)
    )
    # A test that succeeds and then warns, or fails to clean up, is a success and an error to trial.
    passed = max(0, min(passed, ran - failed - skipped))
    if (status == 0) != (last[1] == "PASSED"):
        broken.append(f"trial says {last[0]} and ended with status {status}")
    return Tally(passed, failed, skipped, broken)


def run(names: Sequence[str], environment: Mapping[str, str]) -> Tally:
    """
    Run trial over `names` and pass on what it prints while it runs.
    """
    jobs = environment.get("ISAKMP_JOBS") or str(min(os.cpu_count() or 1, 4))
    command = [sys.executable, "-m", "twisted.trial", "--temp-directory=_trial_temp"]
    if jobs != "1":
        command.append(f"--jobs={jobs}")
    # In the environment and not as -W: trial's worker processes get it so, too.
    strict = {**environment, "PYTHONWARNINGS": "error"}
    lines = []
    with subprocess.Popen(
        [*command, *names],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=strict,
    ) as trial:
        assert trial.stdout is not None
        for line in trial.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            lines.append(line)
    return tally(lines, trial.returncode)


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit status of ``python -m tests``."""
    result = run(arguments or ["tests"], environment)
    complaints = result.complaints(environment.get("ISAKMP_CHECK_ALL") == "1")
    for complaint in complaints:
        print(complaint)
    print(result, flush=True)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
