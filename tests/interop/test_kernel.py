"""
The sink ``xfrm`` on a Linux that has ESP: user-mode Linux, which runs as one process here.

What is tried there is in ``in_guest_ours``, ``in_guest_traffic`` and ``in_guest_kinds``; libreswan
at the other end: ``test_kernel_libreswan``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.interop import CHECKOUT, namespaces

UMLRUN = Path(__file__).with_name("umlrun")

_NO_STATUS = 125
_TOO_LONG = 124


def obstacle() -> str | None:
    """
    Why no guest can be started here.

    :returns: a sentence for the one who reads about a skipped test; None if it can.
    """
    for program, package in (
        ("linux.uml", "user-mode-linux"),
        ("modprobe", "kmod"),
        ("ping", "iputils-ping"),
        ("tcpdump", "tcpdump"),
    ):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            return f"{package} is not here: run 'make peers'"
    return namespaces.obstacle()


def in_guest(*command: str, seconds: int = 480) -> tuple[int, str]:
    """
    Runs a command there, as root, in this folder.

    :returns: its status, and what it said.
    """
    done = subprocess.run(
        [str(UMLRUN), "-t", str(seconds), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=CHECKOUT,
        timeout=seconds + 30,
    )
    return done.returncode, done.stdout


def assert_passes(test: SynchronousTestCase, *modules: str, least: int = 1) -> None:
    """
    The tests of modules pass in a guest, and none is skipped.

    :param least: how many there are, at least.
    :raises AssertionError: with all they said, if not.
    """
    status, said = in_guest(
        # Several processes import the same in the guest: it keeps what is compiled, for itself.
        *("env", "-u", "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS=error"),
        *(sys.executable, "-m", "twisted.trial", "--reporter=timing"),
        *("--temp-directory=/tmp/trial", *(f"tests.interop.{module}" for module in modules)),
    )
    test.assertEqual(status, 0, said)
    passed = re.search(r"^PASSED \(successes=(\d+)\)$", said, re.MULTILINE)
    assert passed, said
    test.assertGreaterEqual(int(passed[1]), least, said)


def assert_passes_in(
    test: SynchronousTestCase, namespace: namespaces.Namespace, tests: str
) -> None:
    """
    Tests pass in a network namespace of this machine, and none is skipped.

    :raises AssertionError: with all they said, if not.
    """
    folder = str(Path(test.mktemp()).resolve())
    done = subprocess.run(
        namespace.command(
            *(sys.executable, "-m", "twisted.trial", "--reporter=text"),
            *(f"--temp-directory={folder}", f"tests.interop.{tests}"),
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=CHECKOUT,
        timeout=90,
    )
    test.assertEqual(done.returncode, 0, done.stdout)
    test.assertRegex(done.stdout, r"PASSED \(successes=\d+\)")


class GuestTests(SynchronousTestCase):
    """
    What a guest says is what has happened in it.
    """

    skip = obstacle()

    def test_status(self) -> None:
        """What a command says there, and its status, come out here; it runs on another kernel."""
        status, said = in_guest("sh", "-c", "uname -r; exit 7", seconds=60)
        self.assertEqual(status, 7, said)
        self.assertNotIn(Path("/proc/sys/kernel/osrelease").read_text().strip(), said)

    def test_no_status(self) -> None:
        """A guest that dies without a status is a failure, not a success."""
        status, said = in_guest("sh", "-c", "echo o >/proc/sysrq-trigger; sleep 20", seconds=60)
        self.assertEqual(status, _NO_STATUS, said)

    def test_too_long(self) -> None:
        """One that takes too long is ended, and that is a failure too."""
        before = time.monotonic()
        status, said = in_guest("sleep", "60", seconds=8)
        self.assertEqual(status, _TOO_LONG, said)
        self.assertLess(time.monotonic() - before, 40)


class OursTests(SynchronousTestCase):
    """
    Our daemon at both ends.
    """

    skip = obstacle()
    timeout = 540

    def test_kinds(self) -> None:
        """Every kind of protection that ``in_guest_kinds`` knows carries traffic."""
        assert_passes(self, "in_guest_kinds", least=45)

    def test_traffic(self) -> None:
        """Traffic fares as ``in_guest_ours`` and ``in_guest_traffic`` say."""
        assert_passes(self, "in_guest_ours", "in_guest_traffic", least=15)


class MarksTests(SynchronousTestCase):
    """
    Which traffic is meant, and how it is treated.
    """

    skip = obstacle()
    timeout = 240

    def test_marks(self) -> None:
        """
        Marks, interface ids, priorities, codepoints and the rest of ``in_guest_marks`` are what the
        kernel does; nothing is skipped.
        """
        assert_passes(self, "in_guest_marks")


class OwnKernelTests(SynchronousTestCase):
    """
    This machine's own kernel, in a network namespace.
    """

    skip = namespaces.obstacle()

    def test_own(self) -> None:
        """Policies, traps and SPIs are real there; without ESP the sink says what is missing."""
        pair = self.enterContext(
            namespaces.NamespacePair(["10.81.0.1/24", "10.81.0.2/24"], ["10.82.0.1/24"])
        )
        route = ("ip", "route", "add", "10.82.0.0/24", "via", "10.77.0.2")
        subprocess.run(pair.left.command(*route), check=True, timeout=20)
        assert_passes_in(self, pair.left, "in_namespace_kernel")
