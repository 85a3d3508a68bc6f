"""``python -m tests``: the line at its end is honest."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.__main__ import Tally, main, tally

CHECKOUT = Path(__file__).resolve().parent.parent

SAMPLE = """
from __future__ import annotations
import warnings
from twisted.trial.unittest import SkipTest, SynchronousTestCase

class Sample(SynchronousTestCase):
    def test_good(self): pass
    def test_bad(self): self.fail("on purpose")
    def test_warning(self): warnings.warn("on purpose", DeprecationWarning)
    def test_skipped(self): raise SkipTest("on purpose")
"""


class TallyTests(SynchronousTestCase):
    def test_good(self) -> None:
        """All passed: nothing to complain about, even if everything has to be run."""
        result = tally(["Ran 12 tests in 0.1s", "", "PASSED (successes=12)"], 0)
        self.assertEqual(str(result), "12 passed, 0 failed, 0 skipped")
        self.assertEqual(result.complaints(everything=True), [])

    def test_skipped(self) -> None:
        """A skipped test, or one that is marked as known to fail, is bad only if all must run."""
        for word in ("skips", "expectedFailures"):
            result = tally(["Ran 3 tests in 0.1s", f"PASSED ({word}=1, successes=2)"], 0)
            self.assertEqual(str(result), "2 passed, 0 failed, 1 skipped")
            self.assertEqual(result.complaints(everything=False), [])
            self.assertEqual(len(result.complaints(everything=True)), 1)

    def test_failed(self) -> None:
        """Failures, errors and unexpected successes are failures, whatever the exit status says."""
        for word in ("failures", "errors", "unexpectedSuccesses"):
            for status in (0, 1):
                lines = ["Ran 5 tests in 1s", f"FAILED ({word}=2, successes=3)"]
                result = tally(lines, status)
                self.assertEqual(str(result), "3 passed, 2 failed, 0 skipped")
                self.assertTrue(result.complaints(everything=False))

    def test_success_that_is_also_an_error(self) -> None:
        """Trial counts a test that passes and then warns twice; it has failed."""
        result = tally(["Ran 2 tests in 1s", "FAILED (errors=1, successes=2)"], 1)
        self.assertEqual(str(result), "1 passed, 1 failed, 0 skipped")

    def test_nothing_ran(self) -> None:
        """No test at all is not a success."""
        self.assertTrue(tally(["Ran 0 tests in 0.0s", "PASSED"], 0).complaints(everything=False))

    def test_no_summary(self) -> None:
        """If trial dies before its summary, or prints another language's, that is a failure."""
        for lines in ([], ["Ran 3 tests in 0.1s"], ["3 passed"], ["PASSED (successes=three)"]):
            self.assertTrue(tally(lines, 0).complaints(everything=False))

    def test_contradiction(self) -> None:
        """PASSED with a bad exit status is a failure; so is a word that we cannot count."""
        ran = "Ran 3 tests in 0.1s"
        for line, status in (("PASSED (successes=3)", 1), ("PASSED (miracles=1, successes=2)", 0)):
            self.assertTrue(tally([ran, line], status).complaints(everything=False), line)

    def test_last_summary_counts(self) -> None:
        """What a test prints is not taken for trial's summary."""
        lines = ["PASSED (successes=9)", "Ran 1 tests in 1s", "FAILED (failures=1)"]
        self.assertEqual(tally(lines, 1), Tally(0, 1, 0, []))


class RunTests(SynchronousTestCase):
    """Trial itself, over four tests with four fates, in one process and in two."""

    def sample(self, jobs: str, *names: str, everything: bool = False) -> tuple[int, str]:
        with tempfile.TemporaryDirectory() as directory:
            package = Path(directory, "tests")
            package.mkdir()
            Path(package, "__init__.py").touch()
            Path(package, "test_sample.py").write_text(SAMPLE)
            Path(package, "__main__.py").write_bytes(
                Path(CHECKOUT, "tests/__main__.py").read_bytes()
            )
            ended = subprocess.run(
                [sys.executable, "-m", "tests", *names],
                cwd=directory,
                env={"ISAKMP_JOBS": jobs, "ISAKMP_CHECK_ALL": str(int(everything))},
                capture_output=True,
                text=True,
                timeout=60,
            )
        return ended.returncode, (ended.stdout.splitlines() or [ended.stderr])[-1]

    def test_four_fates(self) -> None:
        """One passes, one fails, one warns, one is skipped."""
        for jobs in "12":
            self.assertEqual(self.sample(jobs), (1, "1 passed, 2 failed, 1 skipped"))

    def test_one_fate(self) -> None:
        """A run in which all passes ends with status 0; a skipped one only if it may."""
        name = "tests.test_sample.Sample.test_"
        good, skipped = f"{name}good", f"{name}skipped"
        self.assertEqual(self.sample("1", good), (0, "1 passed, 0 failed, 0 skipped"))
        self.assertEqual(self.sample("1", good, skipped), (0, "1 passed, 0 failed, 1 skipped"))
        self.assertEqual(
            self.sample("1", good, skipped, everything=True), (1, "1 passed, 0 failed, 1 skipped")
        )

    def test_misspelt_name(self) -> None:
        """A name that is no test is a failure."""
        with redirect_stdout(io.StringIO()) as said:
            status = main(["tests.no_such_test"], {"ISAKMP_JOBS": "1"})
        self.assertEqual(status, 1)
        self.assertEqual(said.getvalue().splitlines()[-1], "0 passed, 1 failed, 0 skipped")
