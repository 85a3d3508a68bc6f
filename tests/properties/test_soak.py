"""
The long run, cut short.
"""

from __future__ import annotations

import json
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from tests.properties import soak
from tests.properties.lossy import Outcome


class SoakTests(SynchronousTestCase):
    def run_with(self, **environment: str) -> tuple[int, str, str]:
        """Its exit status, and what it prints."""
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = soak.main(environment)
        return status, out.getvalue(), err.getvalue()

    def test_summary(self) -> None:
        """It shares the seeds out over all kinds of weather, and prints one JSON object."""
        status, out, _ = self.run_with(ISAKMP_SOAK_SEEDS="16")
        summary = json.loads(out)
        self.assertEqual((status, summary["seeds"], summary["complaints"]), (0, 16, 0))
        self.assertEqual(summary["weather"].keys(), soak.WEATHERS.keys())
        self.assertEqual(sum(one["seeds"] for one in summary["weather"].values()), 16)
        self.assertEqual(summary["weather"]["fair"]["up"], summary["weather"]["fair"]["seeds"])

    def test_complaints(self) -> None:
        """If anything is not as it must be, it says what, and its exit status says so."""
        self.patch(soak, "run", lambda seed, weather: Outcome(seed, complaints=["a fault"]))
        status, out, err = self.run_with(ISAKMP_SOAK_SEEDS="7")
        self.assertEqual((status, json.loads(out)["complaints"]), (1, 7))
        self.assertEqual(err.count("a fault"), 7)

    def test_no_number(self) -> None:
        """A number of seeds that is none is named."""
        for text in ("many", "0", "-1", ""):
            status, out, err = self.run_with(ISAKMP_SOAK_SEEDS=text)
            self.assertEqual((status, out), (2, ""))
            self.assertIn("ISAKMP_SOAK_SEEDS", err)
