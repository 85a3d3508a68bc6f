"""
What systemd is told.
"""

from __future__ import annotations

import configparser
import shutil
import socket
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from isakmp.systemd import Manager

UNIT = Path(__file__).parent.parent / "doc" / "examples" / "systemd" / "isakmp.service"


class ManagerTests(SynchronousTestCase):
    def listen(self, address: str) -> socket.socket:
        """As systemd would."""
        found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(found.close)
        found.bind(address)
        found.settimeout(1.0)
        return found

    def test_said(self) -> None:
        """
        With Type=notify systemd knows when the daemon is ready, reloads, lives and stops, and one
        line on how it is.
        """
        path = self.mktemp()
        systemd = self.listen(path)
        manager = Manager({"NOTIFY_SOCKET": path})
        said = []
        for say in (
            lambda: manager.ready("2 connections"),
            lambda: manager.status("a line\nof two"),
            manager.reloading,
            manager.alive,
            manager.stopping,
        ):
            say()
            said.append(systemd.recv(4096).decode())
        self.assertEqual(said[0], "READY=1\nSTATUS=2 connections")
        self.assertEqual(said[1], "STATUS=a line of two")
        self.assertRegex(said[2], r"^RELOADING=1\nMONOTONIC_USEC=\d+\n")
        self.assertEqual(said[3], "WATCHDOG=1")
        self.assertTrue(said[4].startswith("STOPPING=1\n"))

    def test_abstract(self) -> None:
        """The socket may have an address that is in no file system."""
        systemd = self.listen("\0isakmp-test-" + self.id())
        Manager({"NOTIFY_SOCKET": "@isakmp-test-" + self.id()}).alive()
        self.assertEqual(systemd.recv(99), b"WATCHDOG=1")

    def test_nobody(self) -> None:
        """Started by hand, or with a socket at which nobody listens, it goes on."""
        Manager({}).ready("")
        Manager({"NOTIFY_SOCKET": "/nowhere/at/all"}).ready("")
        path = self.mktemp()
        self.listen(path).close()
        Manager({"NOTIFY_SOCKET": path}).stopping()

    def test_watchdog(self) -> None:
        """Signs of life are wanted where systemd says so, of this process and no other."""
        path = {"NOTIFY_SOCKET": "/somewhere"}
        self.assertEqual(Manager({**path, "WATCHDOG_USEC": "60000000"}).watchdog, 60.0)
        self.assertEqual(Manager(path).watchdog, 0.0)
        self.assertEqual(Manager({"WATCHDOG_USEC": "1"}).watchdog, 0.0)
        self.assertEqual(Manager({**path, "WATCHDOG_USEC": "x"}).watchdog, 0.0)
        other = {**path, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}
        self.assertEqual(Manager(other).watchdog, 0.0)


class UnitTests(SynchronousTestCase):
    def test_unit(self) -> None:
        """
        The unit that is offered starts what README names, with no more privileges than binding
        port 500 and installing SAs takes; systemd finds nothing wrong with it, where it is there
        to be asked.
        """
        unit = configparser.ConfigParser(interpolation=None, strict=False)
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        unit.read(UNIT)
        service = unit["Service"]
        self.assertEqual(service["Type"], "notify")
        self.assertIn("twistd -n --pidfile= isakmp --config ", service["ExecStart"])
        wanted = "CAP_NET_ADMIN CAP_NET_BIND_SERVICE"
        self.assertEqual(service["CapabilityBoundingSet"], wanted)
        self.assertEqual(service["ProtectSystem"], "strict")
        if shutil.which("systemd-analyze"):
            asked = subprocess.run(
                [
                    *("systemd-analyze", "security", "--offline=true"),
                    *("--threshold=30", "--no-pager", str(UNIT)),
                ],
                capture_output=True,
                text=True,
                timeout=30,
            )
            self.assertEqual(asked.returncode, 0, asked.stdout + asked.stderr)
