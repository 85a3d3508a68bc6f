"""What ``make`` says to somebody whose machine lacks something."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.packaging.environment import CHECKOUT, quiet_environment

SENTENCE = "Debian: apt install git make python3-venv"

#: An interpreter for which one module is not there, as on a Debian without python3-venv.
LACKING = """\
#!/bin/sh
exec {python} -c 'import sys; sys.modules["{module}"] = None; exec(sys.argv[2])' "$@"
"""

#: An interpreter that says it is Python 3.9.
OLD = """\
#!/bin/sh
exec {python} -c 'import sys; sys.version_info = (3, 9, 2); exec(sys.argv[2])' "$@"
"""


class MakefileTests(SynchronousTestCase):
    skip = None if shutil.which("make") else "make is not installed"

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        for name in ("Makefile", "setup.cfg", "pyproject.toml"):
            shutil.copy(CHECKOUT / name, self.directory)

    def interpreter(self, script: str, **names: str) -> str:
        path = self.directory / "interpreter"
        path.write_text(script.format(python=sys.executable, **names))
        path.chmod(0o755)
        return str(path)

    def make(self, target: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", "--no-print-directory", target, *(f"{n}={v}" for n, v in variables.items())],
            cwd=self.directory,
            env=quiet_environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )

    def assert_says(self, ended: subprocess.CompletedProcess[str], sentence: str) -> None:
        """It fails with this one sentence, which is a line, and leaves nothing behind."""
        self.assertNotEqual(ended.returncode, 0)
        said = [line for line in ended.stderr.splitlines() if not line.startswith("make: ")]
        self.assertEqual((said, ended.stdout), ([sentence], ""))
        self.assertFalse((self.directory / ".venv").exists())

    def test_no_ensurepip(self) -> None:
        """On a fresh Debian, Python has no ensurepip: I am told what to install."""
        for target in ("demo", "check"):
            for module in ("ensurepip", "venv"):
                python = self.interpreter(LACKING, module=module)
                self.assert_says(self.make(target, PYTHON=python), SENTENCE)

    def test_no_python(self) -> None:
        """Without any Python, too."""
        self.assert_says(self.make("demo", PYTHON="no-such-python"), SENTENCE)

    def test_old_python(self) -> None:
        """With an old Python I am told which one is needed, and how to name another."""
        python = self.interpreter(OLD)
        self.assert_says(
            self.make("demo", PYTHON=python),
            f"isakmp needs Python 3.11 or later, and {python} is 3.9; "
            "name another: make PYTHON=python3.12",
        )

    def test_help(self) -> None:
        """``make`` alone changes nothing and names every target."""
        ended = self.make("help")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        for target in ("demo", "check", "bench", "soak", "peers", "conformance", "doc"):
            self.assertRegex(ended.stdout, rf"(?m)^make {target} ")

    def test_moved(self) -> None:
        """An environment that was made elsewhere is not used; somebody's own is kept."""
        environment = self.directory / ".venv"
        for made_in, kept in ((None, True), (str(self.directory), True), ("/elsewhere", False)):
            environment.mkdir()
            if made_in is not None:
                (environment / "made-in").write_text(f"{made_in}\n")
            self.assertEqual(self.make("help").returncode, 0)
            self.assertEqual(environment.exists(), kept, made_in)
            shutil.rmtree(environment, ignore_errors=True)
