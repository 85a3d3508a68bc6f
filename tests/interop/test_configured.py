"""
The configurations that our daemon and charon are given, and what looks at our daemon, by
themselves.
"""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from isakmp.config import isakmp_toml
from isakmp.config.load import load
from tests.failures.sentences import MISTAKES as FAILURES
from tests.interop import namespaces
from tests.interop.configured import CONFIGURATIONS, addresses, including, listed
from tests.interop.configured import settings as settings_of
from tests.interop.daemon import DaemonProcess, Standing
from tests.interop.namespaces import Namespace, NamespacePair
from tests.interop.swanctl import IKESA, ChildSA
from tests.interop.test_daemon import CONNECTIONS
from tests.interop.test_daemon_aggressive import NAME as AGGRESSIVE
from tests.interop.test_daemon_refusals import MISTAKES

NAMES = sorted(entry.name for entry in CONFIGURATIONS.iterdir() if entry.is_dir())

TRIED = {
    AGGRESSIVE,
    *CONNECTIONS,
    *MISTAKES,
    *FAILURES,
    *(f"own-port-of-{role}" for role in ("initiator", "responder")),
    *(f"rekey-child-by-{role}" for role in ("initiator", "responder")),
    *(f"rekey-isakmp-by-{role}" for role in ("initiator", "responder")),
}
"""What the cases with charon use."""

UNREADABLE = {("no-secret-at-initiator", "i"), ("no-secret-at-responder", "r")}
"""Whose mistake is in the file itself."""

WARNED = {
    (name, end): [f"connections.{name}.aggressive"]
    for name, end in (
        (AGGRESSIVE, "i"),
        (AGGRESSIVE, "r"),
        ("aggressive-at-initiator", "i"),
        ("aggressive-at-responder", "r"),
    )
}
"""The keys that are warned of."""

LOG = """\
2026-01-01T00:00:00+0000 [isakmp.journal.Journal#info] lab, ISAKMP SA 0011223344556677:\
8899aabbccddeeff with CN=r, O=lab at 192.0.2.1:500, is established: aes128-sha256-modp2048
2026-01-01T00:00:01+0000 [isakmp.sinks.log.LogSink#warn] not protected: lab net, SPI 0a0b0c0d in, \
none out, tunnel aes-cbc hmac-sha2-256-128, 10.81.0.0/24[tcp] - 10.82.0.1[tcp/80]
"""


class ConfigurationTests(SynchronousTestCase):
    """
    Who reads them as examples may rely on them.
    """

    def test_read(self) -> None:
        """
        Each of them is read without a mistake and without a warning, as it stands, but for the one
        that its name says.
        """
        for name in NAMES:
            for end in ("i", "r"):
                if (name, end) in UNREADABLE:
                    continue
                folder = CONFIGURATIONS / name / end
                own = isakmp_toml.load(str(folder / "isakmp.toml"))
                found = load(str(folder / "swanctl.conf"), own)
                self.assertEqual(own.sink, "log")
                self.assertEqual([c.name for c in found.connections], [name])
                warned = [warning.key for warning in found.warnings]
                self.assertEqual(warned, WARNED.get((name, end), []), folder)

    def test_tried(self) -> None:
        """
        Each of them is tried with charon.
        """
        self.assertEqual(set(NAMES), TRIED)

    def test_together(self) -> None:
        """
        No two have an address in common: one daemon can serve several.
        """
        found = [address for end in ("i", "r") for address in addresses(NAMES, end)]
        self.assertEqual(len(found), 2 * len(NAMES))
        self.assertEqual(len(set(found)), len(found))
        whole = Path(self.mktemp())
        whole.write_text(including(MISTAKES, "r"))
        self.assertEqual([c.name for c in load(str(whole)).connections], list(MISTAKES))

    def test_not_together(self) -> None:
        """
        Two with different settings are refused: one daemon cannot have both.
        """
        self.assertEqual(settings_of(CONNECTIONS, "i"), settings_of(MISTAKES, "r"))
        with self.assertRaisesRegex(ValueError, "do not go together"):
            settings_of(["md5", "own-port-of-initiator"], "i")


class LogTests(SynchronousTestCase):
    """
    What our daemon's log says, as values.
    """

    def daemon(self, log: str) -> DaemonProcess:
        """One that has written this."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "daemon.log").write_text(log)
        return DaemonProcess(Namespace("nowhere", "192.0.2.1"), folder)

    def test_faults(self) -> None:
        """
        A traceback, and a line of level error, are faults; nothing else is.
        """
        self.assertEqual(self.daemon(LOG).faults(), [])
        fault = "2026-01-01T00:00:01+0000 [isakmp.daemon.Daemon#error] not reloaded: a.conf:1: no"
        self.assertEqual(self.daemon(LOG + fault).faults(), [fault])
        self.assertEqual(
            self.daemon("\tTraceback (most recent call last):\n").faults(),
            ["\tTraceback (most recent call last):"],
        )


class StandingTests(SynchronousTestCase):
    """
    What a list of SAs says, as values.
    """

    def test_standing(self) -> None:
        """
        What is agreed stands: an ISAKMP SA that is being negotiated does not, nor a child without
        its other direction.  The other end's list is the same crosswise.
        """
        child = ChildSA(
            *("net", "INSTALLED", "ESP", "TUNNEL"), "01020305", "0a0b0c0e", "", ("a",), ("b",)
        )
        sa = IKESA(
            *("lab", "ESTABLISHED", "", "", "0011223344556677", "8899aabbccddeeff", ""),
            (child, replace(child, name="half", spi_out="")),
        )
        standing = Standing.of([sa, replace(sa, name="begun", state="CONNECTING")])
        self.assertEqual(
            standing.isakmp, {("lab", "0011223344556677", "8899aabbccddeeff")}
        )
        self.assertEqual(standing.children, {("lab", "net", "01020305", "0a0b0c0e")})
        there = replace(sa, children=(replace(child, spi_in="0a0b0c0e", spi_out="01020305"),))
        self.assertEqual(listed([there]), standing)
        self.assertTrue(standing)
        self.assertFalse(Standing.of([]))


class DaemonProcessTests(SynchronousTestCase):
    """
    Nothing waits for a daemon that has ended.
    """

    skip = namespaces.obstacle()

    def test_mistake(self) -> None:
        """
        A daemon that cannot read its configuration ends at once, and what it said is told.
        """
        ends = self.enterContext(NamespacePair())
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "swanctl.conf").write_text("connections {\n  lab {\n    version = 3\n  }\n}\n")
        daemon = DaemonProcess(ends.left, folder)
        self.addCleanup(daemon.kill)
        begun = time.monotonic()
        with self.assertRaisesRegex(AssertionError, "swanctl.conf:3: "):
            daemon.start()
        self.assertLess(time.monotonic() - begun, 10.0)
        with self.assertRaisesRegex(AssertionError, "does not run"):
            daemon.hang_up()

    def test_stop_while_beginning(self) -> None:
        """
        A daemon that has begun with a peer that is not there ends in time as well, and in order.
        """
        ends = self.enterContext(NamespacePair())
        ends.left.add_addresses(addresses(["pfs"], "i"))
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "swanctl.conf").write_text(including(["pfs"], "i"))
        (folder / "isakmp.toml").write_text('sink = "log"\n')
        daemon = DaemonProcess(ends.left, folder)
        self.addCleanup(daemon.kill)
        daemon.start()
        self.assertEqual(daemon.stop(within=2.0), -signal.SIGTERM)
        self.assertEqual(daemon.faults(), [])
        self.assertNotIn("tried again", daemon.log())
