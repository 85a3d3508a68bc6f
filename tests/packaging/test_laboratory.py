"""
The example outside the package, as somebody installs it: two daemons of one environment, which has
isakmp from its wheel and the laboratory from its own, meet on loopback.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from email import message_from_bytes
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from isakmp.crypto.groups import group
from tests.daemons import free_ports
from tests.laboratory import LABORATORY
from tests.packaging.environment import NOT_CLONED, Environment, needed, quiet_environment
from tests.packaging.test_install import NO_BUILD, WHEEL, built
from tests.pages import DOC, Command, blocks

LOGGED = 'sink = "log"\n'
CARD = '\n[plugin.bench]\ncard = "left slot"\n'
BENCHES = {"benches": ""}
EXCHANGES = ("identity-protection", "aggressive", "base", "authentication-only")
ADDRESSES = ("127.0.0.1", "127.0.0.2")

_ESTABLISHED = r"{name}/link, SPI (?P<in>\w{{8}}) in, (?P<out>\w{{8}}) out, is established"
_PRINT = re.compile(r"SPI (?P<spi>\w{8}), .*, fingerprint (?P<print>\w{16})")


class Bench:
    """
    One end, in a folder of its own.

    :param end: 0 or 1; bench 1 is 0.
    :param begins: whether it begins by itself.
    :param settings: changes isakmp.toml.
    :param lines: what it says there of its connections, by name: each is that of the example.
    """

    def __init__(
        self,
        folder: Path,
        environment: Environment,
        end: int,
        ports: Sequence[int],
        begins: bool,
        settings: Callable[[str], str] = str,
        lines: Mapping[str, str] = BENCHES,
    ) -> None:
        self.folder = folder / f"bench{end + 1}"
        self.folder.mkdir()
        self.log = self.folder / "log"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        config = several((LABORATORY / "swanctl.conf").read_text(), lines)
        toml = (LABORATORY / "isakmp.toml").read_text()
        head, connection, tail = toml.partition("[connection.benches]\n")
        toml = head + "\n".join(
            (connection + f"{more}\n" + tail).replace("benches", name)
            for name, more in lines.items()
        )
        if end:  # "at bench 2 the ends are exchanged"
            config = _exchanged(config, "192.0.2.1", "192.0.2.2")
            head, secrets, tail = config.partition("secrets {")
            config = _exchanged(head, "bench1", "bench2") + secrets + tail
            toml = _exchanged(toml, "020000000001", "020000000002")
        if 'key_exchange = "x25519"' in settings(toml):
            config = with_static_keys(config)
        config = config.replace("192.0.2.1", ADDRESSES[0]).replace("192.0.2.2", ADDRESSES[1])
        remote = f"remote_port = {ports[1 - end]}"
        config = config.replace("    proposals =", f"    {remote}\n    proposals =")
        if not begins:
            config = config.replace("start_action = start", "start_action = none")
        (self.folder / "swanctl.conf").write_text(config)
        listen = f'listen = ["{ADDRESSES[end]}"]\nport = {ports[end]}\n'
        (self.folder / "isakmp.toml").write_text(listen + settings(toml).format(**_keys(end)))

    def start(self) -> Bench:
        """Start it, and wait until it listens."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(self._environment.scripts / "twistd", "-n", "--pidfile=", "isakmp"),
                    *("--config", "swanctl.conf", "--settings", "isakmp.toml"),
                ],
                cwd=self.folder,
                env=quiet_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.expect("listening on ")
        return self

    def said(self) -> str:
        """Its log."""
        return self.log.read_text()

    def expect(self, pattern: str) -> re.Match[str]:
        """
        Wait until something stands in its log.

        :raises AssertionError: if it ends before, or it takes too long.
        """
        until = time.monotonic() + 30
        while time.monotonic() < until:
            found = re.search(pattern, self.said())
            if found is not None:
                return found
            assert self._process is not None
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{pattern} is not in\n{self.said()}")

    def fingerprints(self) -> dict[str, str]:
        """By SPI, of what the sink was given."""
        return {found["spi"]: found["print"] for found in _PRINT.finditer(self.said())}

    def stop(self) -> None:
        """Stop it, and keep what it has said; nothing if it does not run."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            finally:
                process.kill()
                process.wait()
            self.said_last = self.said()


def several(config: str, names: Iterable[str]) -> str:
    """The one connection under each of these names."""
    head, _, rest = config.partition("  benches {\n")
    connection, _, tail = rest.partition("\n  }\n")
    copies = "".join(f"  {name} {{\n{connection}\n  }}\n" for name in names)
    return head + copies + tail


def with_static_keys(config: str) -> str:
    """The same connections without pre-shared keys."""
    config = config.replace("      auth = psk\n", "")
    config = config.replace("aes128-sha256-curve25519", "x25519-aes256gcm")
    return config.partition("secrets {")[0]


def x25519(text: str) -> str:
    """The settings with the laboratory's key exchange."""
    text = text.replace('doi = "laboratory"\n', 'doi = "laboratory"\nkey_exchange = "x25519"\n')
    text = text.replace("[plugins]\n", '[plugins]\nkey_exchange = ["ike", "x25519"]\n')
    peers = "[plugin.x25519.peers]\n'{peer}' = '{public}'\n"
    return f"{text}\n[plugin.x25519]\nprivate = '{{private}}'\n{peers}"


def _keys(end: int) -> dict[str, str]:
    """What an end has to know: its private key, and who the other one is."""
    private = [bytes([number]) * 32 for number in (1, 2)]
    other = group(31).key_pair(private[1 - end]).public
    peer = f"bench{2 - end}.lab.example"
    return {"private": private[end].hex(), "peer": peer, "public": other.hex()}


def _exchanged(text: str, one: str, other: str) -> str:
    return text.replace(one, "\0").replace(other, one).replace("\0", other)


class LaboratoryTests(SynchronousTestCase):
    skip = NO_BUILD

    _environment: Environment | None = None
    _directory: Path

    @classmethod
    def tearDownClass(cls) -> None:
        if cls._environment is not None:
            cls._environment = None
            shutil.rmtree(cls._directory)

    def setUp(self) -> None:
        self.environment = self.installed()
        self.folder = Path(tempfile.mkdtemp(dir=".")).resolve()
        self.addCleanup(shutil.rmtree, self.folder)
        self.ports = free_ports(2)

    @classmethod
    def installed(cls) -> Environment:
        """One environment for all of them, with isakmp, the laboratory, and what they need."""
        if cls._environment is None:
            cls._directory = Path(tempfile.mkdtemp(dir=".")).resolve()
            with zipfile.ZipFile(built() / WHEEL) as wheel:
                name = WHEEL.removesuffix("-py3-none-any.whl")
                metadata = message_from_bytes(wheel.read(f"{name}.dist-info/METADATA"))
            environment = Environment(cls._directory / "environment")
            required = [*metadata.get_all("Requires-Dist", []), "setuptools"]
            environment.copy(needed(required).values())
            environment.pip("install", "--no-index", built() / WHEEL)
            source = cls._directory / "laboratory"
            shutil.copytree(LABORATORY, source, ignore=NOT_CLONED)
            environment.pip("install", "--no-index", "--no-build-isolation", source)
            environment.pip("check")
            cls._environment = environment
        return cls._environment

    def bench(
        self,
        end: int,
        begins: bool,
        settings: Callable[[str], str] = str,
        lines: Mapping[str, str] = BENCHES,
    ) -> Bench:
        """One end; it does not outlive the test."""
        made = Bench(self.folder, self.environment, end, self.ports, begins, settings, lines)
        self.addCleanup(made.stop)
        return made

    def assert_agree(
        self,
        begins: int,
        settings: Callable[[str], str] = str,
        lines: Mapping[str, str] = BENCHES,
    ) -> list[str]:
        """
        For each connection both have the same two SAs, with the same keys; and when one end stops,
        both have none.

        :return: what each end said.
        """
        benches = [self.bench(end, end == begins, settings, lines) for end in (0, 1)]
        benches[1 - begins].start()
        benches[begins].start()
        spis: set[str] = set()
        for name in lines:
            ours, theirs = (b.expect(_ESTABLISHED.format(name=name)) for b in benches)
            self.assertEqual((ours["in"], ours["out"]), (theirs["out"], theirs["in"]))
            spis |= {ours["in"], ours["out"]}
        prints = [bench.fingerprints() for bench in benches]
        self.assertEqual(prints[0], prints[1])
        self.assertEqual(prints[0].keys(), spis)
        self.assertEqual(len(set(prints[0].values())), 2 * len(lines))
        benches[begins].stop()
        for name in lines:
            benches[1 - begins].expect(rf"{name}/link, .* is gone: deleted by the peer")
        for bench in benches:
            bench.stop()
            self.assertNotRegex(bench.said(), r"Traceback|#critical|#error")
            shutil.rmtree(bench.folder)
        return [bench.said_last for bench in benches]

    def test_listed(self) -> None:
        """twistd is none the worse for it."""
        said = self.environment.run("twistd", "--help")
        self.assertNotIn("Traceback", said)
        self.assertRegex(said, r"(?m)^ +isakmp +\S")

    def test_domain(self) -> None:
        """
        Two benches with the laboratory's domain and IKE: an SA for frames, by the exchange type 32
        of the laboratory, whoever begins, and with whichever of IKE's exchanges; its sink was told
        how its card is called.
        """
        lines = {name: f'exchange = "{name}"' for name in ("main", "aggressive")}
        for begins in (0, 1):
            for said in self.assert_agree(begins, lines=lines):
                self.assertIn("card left slot: ", said)
                self.assertIn("FrameParameters(cipher='aes256', rate=50)", said)

    def test_tutorial(self) -> None:
        """What the tutorial quotes of the log is what the daemons say."""
        quoted = [
            line
            for block in blocks(DOC / "tutorial" / "first-domain.rst")
            if block.language == "text"
            for line in block.text.splitlines()
        ]
        self.assertEqual(len(quoted), 6)
        said = self.assert_agree(0)[0]
        without = self.bench(0, False, lambda text: LOGGED)
        begins = self.bench(1, True)
        without.start()
        begins.start()
        without.expect("domain of interpretation not enabled")
        without.stop()
        begins.stop()
        lines = [line.partition("] ")[2] for line in (said + without.said()).splitlines()]
        for line in quoted:
            shown = Command("", False, "", line)
            self.assertTrue(any(map(shown.prints, lines)), line)

    def test_both(self) -> None:
        """The script that the tutorial has for one machine shows both benches agree."""
        done = subprocess.run(
            ["sh", LABORATORY / "both.sh"],
            env={
                **quiet_environment(),
                "TWISTD": str(self.environment.scripts / "twistd"),
                "PORT": str(self.ports[0]),
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        _, first, second = re.split(r"(?m)^Bench \d:$", done.stdout)
        prints = [dict(_PRINT.findall(said)) for said in (first, second)]
        self.assertEqual(len(prints[0]), 2)
        self.assertEqual(*prints)
        self.assertRegex(first, "benches/link, .* is established")

    def test_key_exchange(self) -> None:
        """
        The same with the laboratory's key exchange: each exchange of RFC 2408 that it runs begins
        the connection, whichever bench begins, and the domain's exchange makes the child.
        """
        lines = {name: f'exchange = "{name}"' for name in EXCHANGES}
        for begins in (0, 1):
            self.assert_agree(begins, x25519, lines)

    def test_child_exchange(self) -> None:
        """Under its SA each of them makes the child as well, instead of the domain's exchange."""
        lines = {
            name: f'exchange = "{name}"\nchild_exchange = "{child}"'
            for name, child in zip(EXCHANGES, EXCHANGES[1:] + EXCHANGES[:1], strict=True)
        }
        for begins in (0, 1):
            self.assert_agree(begins, x25519, lines)

    def test_other_key(self) -> None:
        """An end with another static key is refused, and the log says why."""
        other = bytes([9] * 32).hex()
        lines = {"benches": 'exchange = "aggressive"'}
        wrong = self.bench(1, True, lambda text: x25519(text).replace("{private}", other), lines)
        begins, answers = wrong, self.bench(0, False, x25519, lines)
        answers.start()
        begins.start()
        begins.expect("the peer does not have the static key")
        begins.stop()
        answers.stop()
        self.assertNotIn("is established", answers.said() + begins.said())

    def test_key_settings(self) -> None:
        """A key that is none is a line, which does not show it."""
        bench = self.bench(0, False, lambda text: x25519(text).replace("{private}", "0123"))
        error = self.assertRaises(AssertionError, bench.start)
        self.assertIn("private: 64 hexadecimal digits of a key", str(error))
        self.assertNotIn("Traceback", bench.said())

    def test_not_enabled(self) -> None:
        """Where one end has not switched the domain on, its log says that, and which it has."""

        def ipsec_only(text: str) -> str:
            _, connection, _ = text.partition("[connection.benches]")
            self.assertTrue(connection)
            return LOGGED

        without, begins = self.bench(0, False, ipsec_only), self.bench(1, True)
        without.start()
        begins.start()
        without.expect(
            rf"domain of interpretation not enabled \(offered: {0x4C414200}; configured: .*ipsec"
        )
        begins.expect("DOI-NOT-SUPPORTED")
        begins.stop()
        without.stop()
        self.assertNotIn("is established", without.said() + begins.said())

    def test_not_named(self) -> None:
        """A connection whose domain is not switched on is a line with its place, and status 1."""
        bench = self.bench(0, False, lambda text: text.replace(', "laboratory"]', "]"))
        error = self.assertRaises(AssertionError, bench.start)
        self.assertIn("connection.benches.doi: ", str(error))
        self.assertIn("it is not switched on", str(error))
        self.assertNotIn("Traceback", bench.said())

    def test_settings(self) -> None:
        """A key that the plug-in does not know is a line; so is one for a plug-in without any."""
        for wrong, word in (
            ("\n[plugin.bench]\ncart = 1\n", "there is no key cart; valid here: card"),
            ("\n[plugin.laboratory]\nx = 1\n", "it has no settings of its own"),
        ):
            bench = self.bench(0, False, lambda text, w=wrong: text.replace(CARD, w))
            error = self.assertRaises(AssertionError, bench.start)
            self.assertIn(word, str(error))
            self.assertNotIn("Traceback", bench.said())
            shutil.rmtree(bench.folder)
