"""
What somebody gets who installs isakmp: from a wheel, or a checkout with ``pip install -e``.

Building needs the extra [dev]; without it, these are skipped.
"""

from __future__ import annotations

import errno
import functools
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from email import message_from_bytes
from importlib.util import find_spec
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from isakmp import __version__
from tests.packaging.environment import CHECKOUT, Environment, clone, needed, quiet_environment, run

NO_BUILD = None if find_spec("build") else "build is not installed; the extra [dev] has it"

WHEEL = f"isakmp-{__version__}-py3-none-any.whl"
SOURCE = f"isakmp-{__version__}"


@functools.cache
def built() -> Path:
    """
    A directory with a source distribution and the wheel that was built from it.

    One for all the tests of a process, below trial's own directory.
    """
    directory = Path(tempfile.mkdtemp(dir="."), "dist").resolve()
    source = clone(directory.parent / "checkout")
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", directory, source], source)
    return directory


def other_pythons() -> dict[str, str]:
    """
    The other Pythons that we support and that work here, by version.

    A command of that name may be a pyenv shim with nothing behind it, so each is asked.
    """
    found = {}
    for minor in range(11, 15):
        command = shutil.which(f"python3.{minor}")
        if minor == sys.version_info.minor or command is None:
            continue
        asked = subprocess.run(
            [command, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"],
            env=quiet_environment(),
            capture_output=True,
            text=True,
        )
        if asked.stdout.strip() == f"3.{minor}":
            found[f"3.{minor}"] = command
    return found


class DistributionTests(SynchronousTestCase):
    skip = NO_BUILD

    def test_wheel(self) -> None:
        """
        The wheel is the package and the plug-in: no tests, nothing else below ``twisted``, and no
        module left out.
        """
        with zipfile.ZipFile(built() / WHEEL) as wheel:
            names = set(wheel.namelist())
        packed = {name for name in names if not name.startswith(f"isakmp-{__version__}.dist-info/")}
        modules = {
            str(path.relative_to(CHECKOUT))
            for path in (CHECKOUT / "isakmp").rglob("*.py")
            if "__pycache__" not in path.parts
        }
        self.assertEqual(packed, modules | {"isakmp/py.typed", "twisted/plugins/isakmp_plugin.py"})

    def test_metadata(self) -> None:
        """
        What an installer reads: the licence, the Pythons, and Twisted with TLS; pyOpenSSL alone
        would break ``twistd --help``.
        """
        with zipfile.ZipFile(built() / WHEEL) as wheel:
            metadata = message_from_bytes(wheel.read(f"isakmp-{__version__}.dist-info/METADATA"))
            self.assertIn(f"isakmp-{__version__}.dist-info/licenses/LICENSE", wheel.namelist())
        self.assertEqual(metadata["Requires-Python"], ">=3.11")
        self.assertIn("MIT", (metadata["License"], metadata["License-Expression"]))
        self.assertEqual(metadata["Description-Content-Type"], "text/x-rst")
        required = metadata.get_all("Requires-Dist", [])
        self.assertTrue(any(name.startswith("twisted[tls]") for name in required), required)
        self.assertLessEqual(
            {"gmp", "test", "dev", "doc"}, set(metadata.get_all("Provides-Extra", []))
        )

    def test_source(self) -> None:
        """The source distribution is enough to test, document and build from."""
        with tarfile.open(built() / f"{SOURCE}.tar.gz") as archive:
            names = {name.removeprefix(f"{SOURCE}/") for name in archive.getnames()}
        self.assertLessEqual(
            {
                "LICENSE", "Makefile", "README.rst", "CHANGES.rst", "setup.cfg", "pyproject.toml",
                "ruff.toml", "towncrier.toml", ".ci/run", "doc/conf.py", "doc/index.rst",
                "tests/__init__.py", "tests/packaging/test_install.py", "tests/interop/peers.sh",
                "twisted/plugins/isakmp_plugin.py", "isakmp/py.typed",
            },
            names,
        )  # fmt: skip
        unwanted = ("dropin.cache", ".pyc", ".git", ".venv")
        self.assertEqual([name for name in names if name.endswith(unwanted)], [])
        self.assertEqual([name for name in names if name.startswith("build/")], [])

    def test_namespace(self) -> None:
        """
        The checkout must not have ``twisted/__init__.py``, which would hide Twisted, nor one in
        ``twisted/plugins``, which would hide the plug-in.
        """
        files = {path.name for path in (CHECKOUT / "twisted").rglob("*.py")}
        self.assertEqual(files, {"isakmp_plugin.py"})


class InstallationTests(SynchronousTestCase):
    skip = NO_BUILD

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp(dir=".")).resolve()
        self.addCleanup(shutil.rmtree, self.directory)

    def fresh(self, *also: str) -> Environment:
        """An environment that has what the wheel says it needs, and no more than that."""
        with zipfile.ZipFile(built() / WHEEL) as wheel:
            metadata = message_from_bytes(wheel.read(f"isakmp-{__version__}.dist-info/METADATA"))
        environment = Environment(self.directory / "environment")
        required = [*metadata.get_all("Requires-Dist", []), *also]
        environment.copy(needed(required).values())
        return environment

    def assert_works(self, environment: Environment) -> None:
        """Whatever somebody types first works, and prints no traceback."""
        environment.pip("check")
        said = environment.run("twistd", "--help")
        self.assertNotIn("Traceback", said)
        self.assertRegex(said, r"(?m)^ +isakmp +\S")
        said = environment.run("twistd", "-n", "--pidfile=", "isakmp", "--help")
        self.assertNotIn("Traceback", said)
        self.assertIn("--config", said)
        said = environment.run("isakmpctl", "--help")
        self.assertIn("isakmpctl", said)
        self.assertIn("demo", said)
        self.assert_serves(environment)

    def assert_serves(self, environment: Environment) -> None:
        """``twistd isakmp`` reads its files, takes its port, and leaves when it is told to."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config, settings = self.directory / "swanctl.conf", self.directory / "isakmp.toml"
        config.write_text("connections { }\n")
        settings.write_text(f'sink = "log"\nlisten = ["127.0.0.1"]\nport = {port}\n')
        command = [environment.scripts / "twistd", "-n", "--pidfile=", "isakmp"]
        with subprocess.Popen(
            [*command, f"--config={config}", f"--settings={settings}"],
            cwd=environment.elsewhere,
            env=quiet_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as daemon:
            taken = False
            until = time.monotonic() + 30
            while not taken and daemon.poll() is None and time.monotonic() < until:
                time.sleep(0.1)
                taken = self.is_taken(port)
            daemon.send_signal(signal.SIGTERM)
            said, _ = daemon.communicate(timeout=30)
        self.assertTrue(taken, said)
        self.assertNotIn("Traceback", said)
        # The signal may come before the reactor has begun to listen to signals.
        self.assertIn(daemon.returncode, (0, -signal.SIGTERM), said)

    def is_taken(self, port: int) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                return True
        return False

    def test_wheel(self) -> None:
        """``pip install isakmp``: twistd knows it, it runs, and uninstalling undoes it."""
        environment = self.fresh()
        environment.pip("install", "--no-index", built() / WHEEL)
        self.assert_works(environment)
        environment.pip("uninstall", "--yes", "isakmp")
        said = environment.run("twistd", "--help")
        self.assertNotIn("isakmp", said)
        self.assertNotIn("Traceback", said)

    def test_editable(self) -> None:
        """``pip install -e .``: the same, and what runs is the checkout."""
        environment = self.fresh("setuptools")
        checkout = clone(self.directory / "checkout")
        environment.pip("install", "--no-index", "--no-build-isolation", "--editable", checkout)
        self.assert_works(environment)
        said = environment.run("python", "-c", "import isakmp; print(isakmp.__file__)")
        self.assertEqual(Path(said.strip()), checkout / "isakmp" / "__init__.py")
        # What is edited is what runs, the plug-in included.
        plugin = checkout / "twisted" / "plugins" / "isakmp_plugin.py"
        plugin.write_text(plugin.read_text().replace('"ISAKMP: ', '"Edited: '))
        self.assertIn("Edited: ", environment.run("twistd", "--help"))

    def test_other_pythons(self) -> None:
        """
        The same wheel works with every other Python we support.

        The list is of those that this machine has: another interpreter is not something that the
        tests could bring along, and with one interpreter only there is nothing to compare.  Their
        libraries come from the package index, for compiled ones differ by version.
        """
        for version, command in other_pythons().items():
            environment = Environment(self.directory / version, command)
            try:
                environment.pip("install", "--quiet", "--retries", "0", built() / WHEEL)
            except AssertionError as error:
                if "(from versions: none)" in str(error):
                    raise SkipTest(f"no package index, so not tried: {version}") from None
                raise
            self.assert_works(environment)
