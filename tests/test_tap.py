"""The daemon's command line: what it takes, and how it says no."""

from __future__ import annotations

import gc
import io
import os
import socket
import subprocess
import sys
from pathlib import Path

from twisted.application.service import IService
from twisted.internet import reactor
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from isakmp import __version__
from isakmp.sinks.memory import MemorySink
from isakmp.tap import DEFAULT_CONFIG, DEFAULT_SETTINGS, Options, makeService
from tests.daemons import SECRET, Folder, Road, free_ports, secret

CHECKOUT = Path(__file__).resolve().parent.parent

ROAD = Road("road", "127.0.0.1", "127.0.0.2")


class TapTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)
        self.patch(reactor, "seconds", reactor.seconds)
        self.folder = Folder(self)
        self.folder.write(ROAD)
        self.folder.write_settings("port = 15500", 'listen = ["127.0.0.1"]')

    @property
    def arguments(self) -> list[str]:
        return ["--config", str(self.folder.config), "--settings", str(self.folder.settings)]

    def parsed(self, *arguments: str) -> Options:
        options = Options()
        options.parseOptions(list(arguments or self.arguments))
        return options


class OptionsTests(TapTestCase):
    def test_files(self) -> None:
        """What I name is read: its connections and where to listen are the daemon's."""
        for arguments in (self.arguments, ["-c", self.arguments[1], "-s", self.arguments[3]]):
            read = self.parsed(*arguments)["daemon"]
            (road,) = read.configuration.connections
            self.assertEqual((road.name, road.local_port), ("road", 15500))
            self.assertEqual(read.listen, (("127.0.0.1", 15500),))

    def test_defaults(self) -> None:
        """Without options the files are strongSwan's own, and ours in a folder beside it."""
        self.assertEqual(
            (DEFAULT_CONFIG, DEFAULT_SETTINGS),
            ("/etc/swanctl/swanctl.conf", "/etc/isakmp/isakmp.toml"),
        )
        said = str(Options())
        for word in ("--config", "--settings", DEFAULT_CONFIG, DEFAULT_SETTINGS):
            self.assertIn(word, said)

    def test_no_settings(self) -> None:
        """Without ``isakmp.toml`` it listens on all addresses, on port 500."""
        self.folder.settings.unlink()
        listen = self.parsed()["daemon"].listen
        self.assertIn(("0.0.0.0", 500), listen)
        self.assertEqual({port for _, port in listen}, {500})

    def test_version(self) -> None:
        """It says its version, and reads nothing for that."""
        self.patch(sys, "stdout", said := io.StringIO())
        self.folder.config.unlink()
        error = self.assertRaises(SystemExit, self.parsed, "--version")
        self.assertIn(error.code, (None, 0))
        self.assertEqual(said.getvalue(), f"isakmp {__version__}\n")

    def test_mistaken_options(self) -> None:
        """An option or an argument that is not known is not passed over."""
        for arguments in (["--listen", "127.0.0.1"], [*self.arguments, "stray"], ["--config"]):
            self.assertRaises(UsageError, self.parsed, *arguments)

    def test_rights(self) -> None:
        """
        The kernel's SAs take rights all the time: a daemon that would give them up at its start is
        told so, and does not run without protecting anything.
        """
        for sink, uid, started in (
            ("auto", 65534, False),
            ("xfrm", 65534, False),
            ("log", 65534, True),
            ("auto", None, True),
            ("auto", 0, True),
        ):
            self.folder.write_settings("port = 15500", f'sink = "{sink}"')
            self.patch(sys, "stderr", said := io.StringIO())
            options = Options()
            options.parent = {"uid": uid, "logger": "theirs"}
            if started:
                options.parseOptions(self.arguments)
                self.assertEqual(said.getvalue(), "")
            else:
                error = self.assertRaises(SystemExit, options.parseOptions, self.arguments)
                self.assertEqual(error.code, 1)
                self.assertIn("--uid gives up CAP_NET_ADMIN", said.getvalue())

    def test_service(self) -> None:
        """What twistd gets is a service, and making it binds nothing."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            self.folder.write_settings(f"port = {taken.getsockname()[1]}", 'listen = ["127.0.0.1"]')
            service = makeService(self.parsed())
        self.assertTrue(IService.providedBy(service))
        self.assertGreater(gc.get_freeze_count(), 0)  # the daemon's collector has settled


class MistakeTests(TapTestCase):
    """Whatever is wrong with the files is said at once, a line each, before anything is started."""

    def refused(self) -> list[str]:
        """The lines, without what all begin with."""
        self.patch(sys, "stderr", said := io.StringIO())
        error = self.assertRaises(SystemExit, self.parsed)
        self.assertEqual(error.code, 1)
        lines = said.getvalue().splitlines()
        for line in lines:
            self.assertTrue(line.startswith("isakmp: "), line)
        self.assertNotIn(SECRET, said.getvalue())
        return [line.removeprefix("isakmp: ") for line in lines]

    def assert_places(self, lines: list[str], *places: tuple[Path, int]) -> None:
        """Each line names its file and line, in this order."""
        self.assertEqual(len(lines), len(places), lines)
        for line, (file, number) in zip(lines, places, strict=True):
            self.assertTrue(line.startswith(f"{file}:{number}: "), line)

    def test_all_of_both(self) -> None:
        """
        Every mistake of both files is told, each with its file and line: I mend them all and do not
        come back for the next.
        """
        self.folder.write_settings('port = "500"', "", "[limits]", "half_opne = 3")
        self.folder.write(
            Road("road", "127.0.0.1", "127.0.0.2", extra=("dpd_dely = 3s",)),
            Road("rail", "127.0.0.1", "127.0.0.3", child=("esp_proposals = aes99",)),
        )
        lines = self.refused()
        config = self.folder.config.read_text().splitlines()
        self.assert_places(
            lines,
            (self.folder.settings, 1),
            (self.folder.settings, 6),
            (self.folder.config, config.index("  dpd_dely = 3s") + 1),
            (self.folder.config, config.index("    esp_proposals = aes99") + 1),
        )
        for line, words in zip(
            lines,
            (
                ("port", "65535"),
                ("half_opne", "half_open"),
                ("connections.road.dpd_dely", "dpd_delay"),
                ("connections.rail.children.net.esp_proposals", "aes99"),
            ),
            strict=True,
        ):
            for word in words:
                self.assertIn(word, line)

    def test_missing_secret(self) -> None:
        """A connection for which there is no secret is one line, which says what would be valid."""
        self.folder.write(ROAD, secrets=(secret("c.lab"),))
        (line,) = self.refused()
        self.assert_places([line], (self.folder.config, 1))
        for word in ("connections.road", "no pre-shared key", "b.lab"):
            self.assertIn(word, line)

    def test_no_config(self) -> None:
        """A ``swanctl.conf`` that is not there, or is no file, is one line."""
        self.folder.config.unlink()
        (line,) = self.refused()
        self.assertIn(str(self.folder.config), line)
        self.folder.config.mkdir()
        (line,) = self.refused()
        self.assertIn(str(self.folder.config), line)

    def test_rubbish(self) -> None:
        """Files that are something else altogether are lines, too."""
        self.folder.settings.write_bytes(b"\xff\xfe\x00")
        self.folder.config.write_bytes(bytes(range(256)))
        lines = self.refused()
        self.assertGreaterEqual(len(lines), 2)
        for line in lines:
            self.assertTrue(line.isprintable(), line)

    def test_plugins(self) -> None:
        """What is to be switched on and is not installed is a mistake with its place."""
        self.folder.write_settings(
            "port = 15500",
            "[plugins]",
            'doi = ["isakmp", "ipsec", "gdoi"]',
            'key_exchange = ["photuris"]',
            'sink = ["kernel"]',
        )
        self.folder.write(replaced := Road("road", "nowhere", "127.0.0.2"))
        lines = self.refused()
        line = replaced.text().splitlines().index("  local_addrs = nowhere") + 1
        self.assert_places(lines, *[(self.folder.settings, 4)] * 3, (self.folder.config, line))
        for line_, key, word in zip(
            lines[:3],
            ("plugins.doi", "plugins.key_exchange", "plugins.sink"),
            ("'gdoi'; there are: ", "'photuris'; there are: ike", "'kernel'; there are: "),
            strict=True,
        ):
            self.assertIn(f" {key}: ", line_)
            self.assertIn(word, line_)

    def test_sink(self) -> None:
        """A child of whose protection the sink can do nothing is one line, with status 1."""
        self.folder.write_settings('sink = "memory"')
        self.patch(MemorySink, "supports", lambda self, doi, protocol, transform: False)
        error = self.assertRaises(SystemExit, makeService, self.parsed())
        self.assertIsInstance(error.code, str)
        self.assertEqual(str(error.code).splitlines(), [str(error.code)])
        for word in ("isakmp: ", "road", "net", "sink"):
            self.assertIn(word, str(error.code))


class TwistdTests(TapTestCase):
    """The real twistd, in a process of its own."""

    def refused(self, *arguments: str) -> str:
        """Run it, and what it says: it ends by itself, and nothing has been started."""
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
        ended = subprocess.run(
            [*command, "-n", "--pidfile=", "isakmp", *(arguments or self.arguments)],
            cwd=self.folder.path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        said = ended.stdout + ended.stderr
        self.assertIn(ended.returncode, (1, 2), said)
        self.assertNotIn("Traceback", said)
        self.assertNotIn("listening", said)
        self.assertNotIn(SECRET, said)
        return said

    def test_mistakes(self) -> None:
        """Mistakes are lines, and nothing else is written: not even that it starts."""
        self.folder.write(Road("road", "127.0.0.1", "127.0.0.2", extra=("mobike = maybe",)))
        self.folder.write_settings("port = 0")
        lines = self.refused().splitlines()
        self.assertEqual(len(lines), 2)
        for line, file in zip(lines, ("isakmp.toml:1:", "swanctl.conf:6:"), strict=True):
            self.assertTrue(line.startswith("isakmp: "), line)
            self.assertIn(file, line)

    def test_port_in_use(self) -> None:
        """If another daemon has the port, I read one line that names it, not a traceback."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            self.folder.write_settings(f"port = {port}")
            said = self.refused()
        (line,) = (line for line in said.splitlines() if str(port) in line)
        # The log has begun by then.
        expected = f"isakmp: cannot listen on 0.0.0.0:{port}: Address already in use"
        self.assertTrue(line.endswith(expected), line)

    def test_address_of_another_host(self) -> None:
        """An address that is not this host's is one line, too."""
        (port,) = free_ports(1)
        self.folder.write_settings(f"port = {port}", 'listen = ["127.0.0.1", "192.0.2.77"]')
        said = self.refused()
        self.assertEqual(len([line for line in said.splitlines() if "192.0.2.77" in line]), 1)

    def test_mistaken_option(self) -> None:
        """A mistaken option is answered by the usage and one line."""
        said = self.refused("--port", "500")
        self.assertIn("option --port not recognized", said)
