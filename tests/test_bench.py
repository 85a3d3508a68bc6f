"""``python -m tests.bench`` is one JSON object, or fails."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

CHECKOUT = Path(__file__).resolve().parent.parent


class BenchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        self.package = self.root / "tests" / "bench"
        self.package.mkdir(parents=True)
        for name in ("__init__.py", "bench/__init__.py", "bench/__main__.py"):
            shutil.copy(CHECKOUT / "tests" / name, self.root / "tests" / name)

    def bench(self, *names: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tests.bench", *names],
            cwd=self.root,
            env={"PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def test_side_by_side(self) -> None:
        """Each benchmark stands under its name, beside the machine it ran on."""
        (self.package / "one.py").write_text("print('{\"microseconds\": 1.5}')")
        (self.package / "two.py").write_text("print('{}')")
        for name in ("_shared", "test_one"):
            (self.package / f"{name}.py").write_text("raise SystemExit('no benchmark')")
        result = json.loads(self.bench().stdout)
        machine = result.pop("machine")
        self.assertEqual(result, {"one": {"microseconds": 1.5}, "two": {}})
        self.assertLessEqual({"processor", "python", "isakmp", "libraries"}, set(machine))
        self.assertEqual(json.loads(self.bench("two").stdout).keys(), {"machine", "two"})

    def test_failure(self) -> None:
        """A benchmark that fails, or says something else than one object, is no result."""
        for source in ("raise SystemExit(3)", "print('fast')", "print('[1]')", ""):
            (self.package / "one.py").write_text(source)
            ended = self.bench()
            self.assertNotEqual(ended.returncode, 0, source)
            self.assertEqual(ended.stdout, "", source)
        self.assertNotEqual(self.bench("none").returncode, 0)
