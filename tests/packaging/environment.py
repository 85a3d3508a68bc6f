"""
Virtual environments in which nothing is installed but isakmp and what it says it needs.

The libraries are copied from the environment that runs the tests, file by file as their own records
have it, so that no network is needed; isakmp itself is installed by pip.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent

#: What a clone does not have.
NOT_CLONED = shutil.ignore_patterns(
    ".git", ".venv", "build", "dist", "__pycache__", "*.egg-info", ".*_cache", "_trial_temp*",
    ".hypothesis", "dropin.cache",
)  # fmt: skip


def quiet_environment() -> Mapping[str, str]:
    """Ours, without what changes how a fresh Python finds modules or warns, or what make does."""
    changing = ("PYTHON", "PYTHONPATH", "PYTHONWARNINGS", "PYTHONHOME", "VIRTUAL_ENV")
    changing += ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
    kept = {name: value for name, value in os.environ.items() if name not in changing}
    return {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}


def run(command: Sequence[str | Path], directory: Path) -> str:
    """
    Run a command and return what it prints, standard error included.

    :raises AssertionError: it ended with a bad status; the text says all it printed.
    """
    ended = subprocess.run(
        command,
        cwd=directory,
        env=quiet_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    if ended.returncode:
        raise AssertionError(f"{command} ended with status {ended.returncode}:\n{ended.stdout}")
    return ended.stdout


def clone(directory: Path) -> Path:
    """Copy the checkout to `directory`, as a clone would have it."""
    shutil.copytree(CHECKOUT, directory, ignore=NOT_CLONED)
    return directory


def needed(requirements: Iterable[str]) -> Mapping[str, Distribution]:
    """
    What `requirements` need of this environment, and what that needs, by canonical name.

    :raises AssertionError: something is not installed here.
    """
    # Comes with build, so only where the tests that need it are run.
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, Distribution] = {}
    done = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) in done:
                continue
            done.add((name, wanted))
            try:
                found[name] = distribution(name)
            except PackageNotFoundError:
                raise AssertionError(f"{name} is needed and not installed") from None
            waiting += [(Requirement(text), wanted) for text in found[name].requires or ()]
    return found


class Environment:
    """
    A fresh virtual environment.

    :param directory: where to make it.
    :param interpreter: the Python to make it of; ours if None.
    """

    def __init__(self, directory: Path, interpreter: str | None = None) -> None:
        self.directory = directory
        if interpreter is None:
            venv.EnvBuilder(symlinks=True).create(directory)
        else:
            run([interpreter, "-m", "venv", "--without-pip", directory], directory.parent)
        self.scripts = directory / "bin"
        self.python = self.scripts / "python"
        self.elsewhere = directory / "elsewhere"
        self.elsewhere.mkdir()

    def copy(self, distributions: Iterable[Distribution]) -> None:
        """Bring these here as they are installed where the tests run."""
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        libraries = Path(run([self.python, "-c", where], self.elsewhere).strip())
        for present in distributions:
            for file in present.files or ():
                source = Path(str(present.locate_file(file)))
                if not source.exists():
                    continue
                if ".." not in file.parts:
                    target = libraries / file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(source, target)
                elif file.parts[-2] == "bin":
                    self.copy_script(source)

    def copy_script(self, source: Path) -> None:
        """A script begins with the path of its environment's Python."""
        _, _, rest = source.read_bytes().partition(b"\n")
        target = self.scripts / source.name
        target.write_bytes(b"#!%s\n%s" % (os.fsencode(self.python), rest))
        target.chmod(0o755)

    def pip(self, *arguments: str | Path) -> str:
        """Our pip, at work in this environment."""
        command = [sys.executable, "-m", "pip", "--python", self.python, *arguments]
        return run(command, self.elsewhere)

    def run(self, script: str, *arguments: str) -> str:
        """Run one of the environment's scripts, in a directory that has nothing to do with it."""
        return run([self.scripts / script, *arguments], self.elsewhere)
