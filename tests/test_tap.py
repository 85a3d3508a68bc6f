"""The daemon's command line: what it takes, and how it says no."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.application.service import IService
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from isakmp.tap import Options, makeService

CHECKOUT = Path(__file__).resolve().parent.parent


def parsed(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(list(arguments))
    return options


class OptionsTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        """Without any option only this host can reach the daemon, at ISAKMP's port."""
        self.assertEqual(dict(parsed()), {"listen": ["127.0.0.1"], "port": 500})

    def test_addresses(self) -> None:
        """``--listen`` may be repeated; the default goes, and an address said twice counts once."""
        options = parsed("--listen", "192.0.2.1", "-l", "2001:DB8:0::1", "--listen", "2001:db8::1")
        self.assertEqual(options["listen"], ["192.0.2.1", "2001:db8::1"])

    def test_two_daemons(self) -> None:
        """What one command line collects is not seen by the next."""
        parsed("--listen", "192.0.2.1")
        self.assertEqual(parsed()["listen"], ["127.0.0.1"])

    def test_bad_addresses(self) -> None:
        """A host name, a subnet, an address with a port and nothing at all are no addresses."""
        for text in ("localhost", "192.0.2.0/24", "192.0.2.1:500", "192.0.2.256", ""):
            error = self.assertRaises(UsageError, parsed, "--listen", text)
            self.assertIn("--listen", str(error))

    def test_bad_ports(self) -> None:
        """A port is a decimal number from 1 to 65535."""
        for text in ("0", "65536", "-1", "isakmp", "5e2", "", " 500", "\u0665\u0660\u0660"):
            self.assertRaises(UsageError, parsed, "--port", text)
        self.assertEqual(parsed("--port", "65535")["port"], 65535)

    def test_stray_argument(self) -> None:
        """A forgotten ``--listen`` is not taken for something else."""
        self.assertRaises(UsageError, parsed, "192.0.2.1")


class ServiceTests(SynchronousTestCase):
    def test_service(self) -> None:
        """What twistd gets is a service, and making it binds nothing."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            service = makeService(parsed("--port", str(taken.getsockname()[1])))
        self.assertTrue(IService.providedBy(service))


class TwistdTests(SynchronousTestCase):
    """The real twistd, in a process of its own."""

    def twistd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        environment.pop("PYTHONWARNINGS", None)
        command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
        with tempfile.TemporaryDirectory() as directory:
            return subprocess.run(
                [*command, "-n", "--pidfile=", "isakmp", *arguments],
                cwd=directory,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
            )

    def test_port_in_use(self) -> None:
        """If another daemon has the port, I read one line that names it, not a traceback."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = str(taken.getsockname()[1])
            ended = self.twistd("--listen", "127.0.0.1", "--port", port)
        said = ended.stdout + ended.stderr
        self.assertNotEqual(ended.returncode, 0, said)
        self.assertNotIn("Traceback", said)
        self.assertEqual(len([line for line in said.splitlines() if port in line]), 1, said)

    def test_address_of_another_host(self) -> None:
        """An address that is not this host's is one line, too."""
        ended = self.twistd("--listen", "192.0.2.77", "--port", "50500")
        said = ended.stdout + ended.stderr
        self.assertNotEqual(ended.returncode, 0, said)
        self.assertNotIn("Traceback", said)
        self.assertIn("192.0.2.77", said)

    def test_mistaken_option(self) -> None:
        """A mistaken option is answered by the usage and one line."""
        ended = self.twistd("--port", "none")
        said = ended.stdout + ended.stderr
        self.assertNotEqual(ended.returncode, 0, said)
        self.assertNotIn("Traceback", said)
        self.assertIn("not a port number", said)
