"""``isakmpctl``: what it takes, what it answers, and its exit statuses."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from isakmp import __version__, cli, demo
from isakmp.demo import Choices
from isakmp.errors import ConfigurationError
from tests.loopback import steps, tables

CHECKOUT = Path(__file__).resolve().parent.parent

MAIN = "from isakmp.cli import main; main()"

UNPRIVILEGED = """
import ctypes, os, sys
prctl = ctypes.CDLL(None, use_errno=True).prctl
for capability in range(64):
    prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: what is exec'ed has none of these
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], *sys.argv[2:]])
"""
"""Runs a program without a capability, whoever runs this."""

CAPABILITIES = """
status = open("/proc/self/status").read()
assert int(status.partition("CapEff:")[2].split()[0], 16) == 0, status
"""


def run(*arguments: str, program: str = MAIN) -> subprocess.CompletedProcess[str]:
    """A process of its own, as a user starts it."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    environment.pop("PYTHONWARNINGS", None)
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


class ProcessTests(SynchronousTestCase):
    """The program itself."""

    def test_demo(self) -> None:
        """
        ``isakmpctl demo`` needs no privilege, takes less than 10 seconds, shows the messages, the
        SAs of both ends and the proofs that their keys are the same, and ends with 0.
        """
        began = time.monotonic()
        program = UNPRIVILEGED if sys.platform == "linux" else MAIN
        inner = (CAPABILITIES + MAIN,) if sys.platform == "linux" else ()
        ended = run(*inner, "demo", program=program)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""), ended.stdout)
        self.assertLess(time.monotonic() - began, 10.0)
        said = ended.stdout.splitlines()
        arrows = " ".join(step["arrow"] for step in steps(said))
        self.assertEqual(arrows, "--> <-- --> <-- ==> <== ==> <== ==> ==> ==>")
        ours, theirs = tables(said)
        self.assertEqual(
            {spi: held for spi, (_, held) in ours.items()},
            {spi: held for spi, (_, held) in theirs.items()},
        )
        self.assertIn(f"Both ends computed the same keys for {len(ours)} SPIs.", said)
        opened = [line for line in said if line.startswith("A packet sealed by the ")]
        self.assertEqual(len(opened), 2)
        self.assertEqual(said[-1], "Both registries are empty, and so are both sinks.")

    def test_wrong_psk(self) -> None:
        """``--wrong-psk`` ends with 4, and the last line says that the pre-shared keys differ."""
        ended = run("demo", "--wrong-psk")
        self.assertEqual((ended.returncode, ended.stderr), (4, ""), ended.stdout)
        last = ended.stdout.splitlines()[-1]
        self.assertTrue(last.startswith("No tunnel: "), last)
        self.assertIn("pre-shared keys of the two ends differ", last)

    def test_choices(self) -> None:
        """All of the choices together."""
        words = "--proposal aes256-sha384-ecp256 --esp aes256gcm16 --mode transport --pfs"
        ended = run("demo", *words.split())
        self.assertEqual((ended.returncode, ended.stderr), (0, ""), ended.stdout)
        for said in ("AES-CBC-256/SHA2-384/ECP-256", "ESP transport", "aes-gcm-16"):
            self.assertIn(said, ended.stdout)
        quick = [line for line in ended.stdout.splitlines() if "Quick Mode" in line]
        self.assertEqual(["KE(64 octets)" in line for line in quick], [True, True, False])

    def test_bad_word(self) -> None:
        """A mistaken word is one line that names it, no traceback, and status 2."""
        ended = run("demo", "--proposal", "aes128-rot13-modp2048")
        self.assertEqual((ended.returncode, ended.stdout), (2, ""))
        self.assertEqual(len(ended.stderr.splitlines()), 1, ended.stderr)
        self.assertIn("'rot13'", ended.stderr)

    def test_broken(self) -> None:
        """A demonstration that goes wrong says PROBLEM and ends with 1."""
        broken = (
            "from isakmp.sinks.memory import MemorySink\n"
            "MemorySink.open = lambda self, packet: packet\n"
        )
        ended = run("demo", program=broken + MAIN)
        self.assertEqual((ended.returncode, ended.stderr), (1, ""), ended.stdout)
        self.assertTrue(ended.stdout.splitlines()[-1].startswith("PROBLEM: "), ended.stdout)

    def test_fault_of_ours(self) -> None:
        """If it fails by a fault of its own, that is not 0, and not silent."""
        ended = run("demo", program="from isakmp import demo; demo.proofs = None; " + MAIN)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("TypeError", ended.stderr)

    def test_head(self) -> None:
        """``isakmpctl demo | head -1`` is no failure, and no traceback."""
        with self.started("demo") as process:
            assert process.stdout is not None and process.stderr is not None
            self.assertTrue(process.stdout.readline().startswith("initiator "))
            process.stdout.close()
            self.assertEqual(process.stderr.read(), "")
            self.assertEqual(process.wait(20), 0)

    def test_interrupted(self) -> None:
        """Who interrupts it is not told that all went well."""
        with self.started("demo", "--loss", "99.9%") as process:
            assert process.stdout is not None and process.stderr is not None
            while " (again)" not in process.stdout.readline():
                pass  # by then it is not only being started
            process.send_signal(signal.SIGINT)
            self.assertNotIn("Traceback", process.stderr.read())
            self.assertEqual(process.wait(20), 130)

    @contextlib.contextmanager
    def started(self, *arguments: str) -> Any:
        with subprocess.Popen(
            [sys.executable, "-c", MAIN, *arguments],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


class MainTestCase(SynchronousTestCase):
    """The command line in this process, up to the point where it needs a reactor."""

    def main(self, *arguments: str) -> tuple[object, str, str]:
        """Status, standard output and standard error."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            left = self.assertRaises(SystemExit, cli.main, arguments)
        return left.code, out.getvalue(), err.getvalue()

    def react(self) -> None:
        """Have no reactor run: what is asked of it has to be done at once."""

        def at_once(main: Callable[[object], Deferred[None]]) -> None:
            self.successResultOf(main(object()))
            raise SystemExit(0)

        self.patch(task, "react", at_once)

    def demonstrate(self, instead: Callable[[Choices], int] | Exception) -> list[Choices]:
        """Do this instead of the demonstration; the choices that it was given."""
        asked: list[Choices] = []

        async def demonstrate(_: object, choices: Choices, write: Callable[[str], None]) -> int:
            asked.append(choices)
            if isinstance(instead, Exception):
                raise instead
            write("as it went")
            return instead(choices)

        self.react()
        self.patch(demo, "demonstrate", demonstrate)
        return asked


class OptionsTests(MainTestCase):
    """Words to choices."""

    def chosen(self, *arguments: str) -> Choices:
        asked = self.demonstrate(lambda choices: 0)
        self.assertEqual(self.main("demo", *arguments), (0, "as it went\n", ""))
        return asked[0]

    def test_defaults(self) -> None:
        """Without an option it is a tunnel that loses nothing, and keys that fit."""
        self.assertEqual(self.chosen(), Choices())
        self.assertEqual(Choices().loss, 0.0)
        self.assertFalse(Choices().wrong_psk or Choices().pfs)

    def test_all(self) -> None:
        """Every option arrives where it belongs."""
        words = (
            "--proposal a --esp b --mode transport --pfs --wrong-psk --loss 30% --seed 7 "
            "--ping --capture c"
        )
        self.assertEqual(
            self.chosen(*words.split()),
            Choices(
                proposal="a",
                esp="b",
                mode="transport",
                pfs=True,
                loss=0.3,
                seed=7,
                wrong_psk=True,
                ping=True,
                capture="c",
            ),
        )

    def test_share(self) -> None:
        """A share is a percentage or a fraction, from nothing to less than everything."""
        for text, value in (
            ("30%", 0.3),
            ("0.3", 0.3),
            ("0", 0.0),
            ("0%", 0.0),
            ("99.9%", 0.999),
            ("2.5%", 0.025),
        ):
            self.assertAlmostEqual(cli.share(text), value)
        for text in ("30", "1", "100%", "-1", "-0.1%", "nan", "inf", "x", "", "%", "30%%", "3 0"):
            error = self.assertRaises(argparse.ArgumentTypeError, cli.share, text)
            self.assertIn(repr(text), str(error))


class StatusTests(MainTestCase):
    """What the end says to a script."""

    def test_statuses(self) -> None:
        """The status of the demonstration is the program's."""
        for status in (0, 1, 4):
            self.demonstrate(partial(lambda status, choices: status, status))
            self.assertEqual(self.main("demo"), (status, "as it went\n", ""))

    def test_mistakes(self) -> None:
        """
        Whatever word I get wrong: status 2, nothing on standard output, one line on standard error
        that names the word.
        """
        self.react()
        for word, arguments in (
            ("rot13", "demo --proposal rot13-sha1-modp1024"),
            ("aes128", "demo --proposal aes128"),
            ("''", "demo --proposal="),
            ("rot13", "demo --esp rot13"),
            ("aes128gcm16", "demo --esp aes128gcm16-sha1"),
            ("modp1024", "demo --pfs --esp aes128-sha1-modp1024"),
            ("sideways", "demo --mode sideways"),
            ("many", "demo --loss many"),
            ("120%", "demo --loss 120%"),
            ("seven", "demo --seed seven"),
            ("--seed", "demo --seed"),
            ("--faster", "demo --faster"),
            ("quickly", "demo quickly"),
            ("perform", "perform"),
            ("--faster", "--faster"),
        ):
            status, out, err = self.main(*arguments.split())
            self.assertEqual((status, out), (2, ""), arguments)
            self.assertEqual(len(err.splitlines()), 1, err)
            self.assertTrue(err.startswith("isakmpctl"), err)
            self.assertIn(word, err)

    def test_help_is_near(self) -> None:
        """A mistake on the command line says where help is."""
        self.assertIn("isakmpctl demo --help", self.main("demo", "--mode", "x")[2])

    def test_no_loopback(self) -> None:
        """Without sockets on loopback it says so in one line, and ends with 1."""
        self.demonstrate(OSError(99, "Cannot assign requested address"))
        status, out, err = self.main("demo")
        self.assertEqual((status, out), (1, ""))
        self.assertEqual(
            err, "isakmpctl: no sockets on loopback: [Errno 99] Cannot assign requested address\n"
        )

    def test_configuration(self) -> None:
        """What cannot be done as chosen is one line and status 2."""
        self.demonstrate(ConfigurationError("no such thing"))
        self.assertEqual(self.main("demo"), (2, "", "isakmpctl: no such thing\n"))

    def test_stopped(self) -> None:
        """If the reactor stops before there is a result, that is not success."""

        async def never(*_: object) -> int:
            await Deferred()
            return 0

        def stopped(main: Callable[[object], Deferred[None]]) -> None:
            self.assertNoResult(main(object()))
            raise SystemExit(0)

        self.patch(demo, "demonstrate", never)
        self.patch(task, "react", stopped)
        self.assertEqual(self.main("demo"), (130, "", ""))

    def test_help(self) -> None:
        """Without a command, or asked, it says what there is."""
        for arguments in ((), ("--help",)):
            status, out, err = self.main(*arguments)
            self.assertEqual((status, err), (0, ""))
            self.assertIn("demo", out)
        status, out, err = self.main("demo", "--help")
        self.assertEqual((status, err), (0, ""))
        for option in ("proposal", "esp", "mode", "pfs", "wrong-psk", "loss", "seed"):
            self.assertIn(f"--{option}", out)

    def test_version(self) -> None:
        """It says its version."""
        self.assertEqual(self.main("--version"), (0, f"isakmp {__version__}\n", ""))
