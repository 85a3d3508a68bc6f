"""
Debian's swanctl drives our daemon as it drives charon: the same configuration, the same commands,
and the answers compared key by key.

``--pretty`` shows what ``--raw`` shows, each key on a line of its own: see
:mod:`tests.interop.swanctl`.
"""

from __future__ import annotations

import fnmatch
import re
import subprocess
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.interop import null_sink
from tests.interop.charon import Charon, SwanctlFailed, swanctl_command
from tests.interop.configured import ConfiguredTestCase
from tests.interop.daemon import DaemonProcess
from tests.interop.swanctl import Section, sections

Daemon = DaemonProcess | Charon

CONFIGURATION = "pfs"
CHILD = ("--ike", CONFIGURATION, "--child", "net")

DIFFERENCES = Path(__file__).with_name("vici-differences.txt")
MOST = 25

#: Keys whose values differ from run to run, or are each daemon's own sentences and names: they are
#: compared as keys only.
CHANGING = re.compile(
    r"(.*\.)?(uniqueid|initiator-spi|responder-spi|spi-in|spi-out|established|rekey-time"
    r"|life-time|install-time|ikesa-uniqueid|running|since|msg|errmsg|thread"
    r"|encryption\.\w+|integrity\.\w+|aead\.\w+|hasher\.\w+|prf\.\w+|dh\.\w+|rng\.\w+"
    r"|nonce-gen\.\w+|daemon|version|plugins|total|idle|critical|medium|scheduled|used)"
)

#: What swanctl prints around its dumps.
_AROUND = re.compile("opening directory .*")

COMMANDS: Sequence[tuple[str, ...]] = (
    ("--version", "--daemon"),
    ("--stats",),
    ("--load-all", "--noprompt"),
    ("--load-creds", "--noprompt"),
    ("--list-conns",),
    ("--list-sas",),
    ("--list-pols",),
    ("--list-certs",),
    ("--list-algs",),
    ("--list-pools",),
    ("--list-authorities",),
    ("--counters",),
    ("--counters", "--all"),
    ("--counters", "--reset"),
    ("--initiate", *CHILD),
    ("--rekey", *CHILD),
    ("--install", *CHILD),
    ("--list-pols",),
    ("--uninstall", *CHILD),
    ("--flush-certs",),
    ("--reload-settings",),
    ("--redirect", "--ike", "none", "--gateway", "192.0.2.1"),
    ("--initiate", "--child", "none"),
    ("--terminate", "--child", "none"),
    ("--rekey", "--child", "none"),
    ("--terminate", *CHILD),
    ("--terminate", "--ike", CONFIGURATION),
)

Said = Mapping[str, frozenset[str]]
"""Of each key in an answer, dotted, all the values it has there."""


def flattened(section: Section, path: str) -> Iterator[tuple[str, str]]:
    """The keys of a section, dotted, with their values; a section without any is one itself."""
    if not section:
        yield f"{path}.", ""
    for name, value in section.items():
        # net-3 is the third child named net.
        key = f"{path}.{re.sub('-[0-9]+$', '-N', name)}" if name != "local-1" else f"{path}.{name}"
        key = f"{path}.{name}" if name in ("local-1", "remote-1") else key
        if isinstance(value, dict):
            yield from flattened(value, key)
        else:
            yield key, ", ".join(sorted(value)) if isinstance(value, list) else value


def said(text: str) -> Said:
    """What stands in the dump of an answer with its events; other lines are texts."""
    lines = [line for line in text.splitlines() if not _AROUND.fullmatch(line)]
    found: dict[str, set[str]] = {}
    try:
        # --install puts the name of its reply onto a line of its own.
        messages = sections(re.sub("\n reply {", " reply {", "\n".join(lines)))
    except ValueError:
        return {"text": frozenset(line for line in lines if line)}
    for name, content in messages:
        for key, value in flattened(content, name):
            found.setdefault(key, set()).add(value)
    return {key: frozenset(values) for key, values in found.items()}


def answer(daemon: Daemon, *arguments: str) -> Said:
    """What a daemon answers, and whether swanctl was content."""
    try:
        return said(daemon.swanctl(*arguments, "--pretty"))
    except SwanctlFailed as failure:
        text = str(failure).partition(":\n")[2]
        return {**said(text), "failed": frozenset({"yes"})}


class Watcher:
    """A swanctl that shows events until it is stopped."""

    def __init__(self, daemon: Daemon, option: str) -> None:
        command, environment = swanctl_command(
            daemon.namespace, daemon.uri, daemon.directory, option, "--pretty"
        )
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def stop(self) -> Said:
        """Ends it; what it has shown."""
        self._process.terminate()
        output, _ = self._process.communicate(timeout=5.0)
        # What it was printing when it was told to end is cut short.
        return said(output[: output.rfind("\n}") + 2])

    def kill(self) -> None:
        """If it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def differences(ours: Said, theirs: Said) -> Iterator[str]:
    """The keys that only one has, or that have other values."""
    for key in sorted({*ours, *theirs}):
        both = key in ours and key in theirs
        changing = CHANGING.fullmatch(key.partition(".")[2])
        if not both or (ours[key] != theirs[key] and not changing):
            yield key


class SwanctlTestCase(ConfiguredTestCase):
    """One configuration, and swanctl at the end that begins: once that is ours, once charon."""

    def run_all(self, role: str) -> Mapping[str, Said]:
        """
        Every command.

        :param role: ours; swanctl speaks to whoever begins.
        """
        self.role = role
        ours, peer = self.prepare(CONFIGURATION)
        # As charon has kernel-null: what is compared is what users with a kernel see.
        null_sink.install(ours.directory)
        (ours.directory / "isakmp.toml").write_text(null_sink.SETTINGS)
        self.run_both(ours, peer)
        self.wait_for_agreement(ours, peer, lambda standing: standing.children)
        asked: Daemon = ours if role == "initiator" else peer
        watchers = {option: Watcher(asked, option) for option in ("--log", "--monitor-sa")}
        for watcher in watchers.values():
            self.addCleanup(watcher.kill)
        time.sleep(0.3)  # nothing tells when swanctl has registered
        found: dict[str, Said] = {}
        for number, arguments in enumerate(COMMANDS):
            name = " ".join(arguments)
            name += " again" if name in found else ""
            found[name] = answer(asked, *arguments)
            if arguments[0] == "--rekey" and number < 20:
                self.wait_for_agreement(ours, peer)
        time.sleep(0.3)  # what was told last
        found |= {option: watcher.stop() for option, watcher in watchers.items()}
        peer.stop()
        ours.stop()
        self.assertEqual(ours.faults(), [])
        return found


class ComparisonTests(SwanctlTestCase):
    def test_same(self) -> None:
        """
        Every command of swanctl's has from our daemon the keys that it has from charon, and the
        same values where these do not change from run to run; what differs is listed, with its
        reason, and nothing is listed that does not differ.
        """
        listed_ones = tomllib.loads(DIFFERENCES.read_text(encoding="utf-8"))["difference"]
        self.assertLessEqual(len(listed_ones), MOST)
        for entry in listed_ones:
            self.assertEqual(set(entry), {"command", "key", "reason"})
            self.assertGreater(len(entry["reason"]), 20)
        ours, theirs = self.run_all("initiator"), self.run_all("responder")
        self.assertEqual(set(ours), set(theirs))
        unlisted, used = [], set()
        for command in ours:
            for key in differences(ours[command], theirs[command]):
                fitting = [
                    number
                    for number, entry in enumerate(listed_ones)
                    if fnmatch.fnmatchcase(command, entry["command"])
                    and fnmatch.fnmatchcase(key, entry["key"])
                ]
                used.update(fitting)
                if not fitting:
                    values = [sorted(one[command].get(key, [])) for one in (ours, theirs)]
                    unlisted.append(f"{command}: {key}: ours {values[0]}, charon's {values[1]}")
        self.assertEqual(unlisted, [], "\n".join(unlisted))
        unused = [one for number, one in enumerate(listed_ones) if number not in used]
        self.assertEqual(unused, [])
