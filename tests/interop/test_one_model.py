"""
One model: a file that the daemon reads at its start, and the same file loaded by Debian's
``swanctl --load-all``, come to the same values.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from isakmp.config.mistakes import ConfigurationErrors
from isakmp.daemon import Daemon
from isakmp.description import Files
from isakmp.sinks.log import LogSink
from tests.interop import CHECKOUT, charon
from tests.interop.charon import swanctl_command
from tests.interop.configured import CONFIGURATIONS
from tests.interop.namespaces import Namespace

EXAMPLES = CHECKOUT / "doc" / "examples"

#: Examples of what is somebody else's.
_OTHERS = ("before.conf", "strongswan.conf")
_APART = {"laboratory", "no-secret-at-initiator", "no-secret-at-responder"}


class Mount:
    """In place of a network namespace: a mount namespace alone, for swanctl's libraries."""

    def command(self, *arguments: str) -> list[str]:
        """In it."""
        return ["/usr/bin/unshare", "--mount", *arguments]


def files() -> list[Path]:
    """Every swanctl.conf in the examples and in the interop configurations."""
    found = [*EXAMPLES.rglob("*.conf"), *CONFIGURATIONS.rglob("swanctl.conf")]
    # What is in the laboratory needs its own plug-ins; a file without a secret is a mistake.
    ours = (one for one in found if not _APART.intersection(one.parts))
    return sorted(one for one in ours if one.name not in _OTHERS)


class OneModelTests(TestCase):
    skip = charon.obstacle()
    timeout = 60

    def setUp(self) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.place)
        (self.place / "empty.conf").write_text("connections { }\n")

    def daemon(self, settings: Path) -> Daemon:
        """One with an empty file; it begins nothing, for it does not run."""
        description = Files(str(self.place / "empty.conf"), str(settings)).read()
        made = Daemon(description, sink=LogSink(), reactor=reactor)
        self.addCleanup(made.stopService)
        return made

    def settings(self, file: Path) -> Path:
        """The isakmp.toml beside a file, with a control socket."""
        beside = file.with_name("isakmp.toml")
        text = beside.read_text() if file.name == "swanctl.conf" and beside.exists() else ""
        made = self.place / "isakmp.toml"
        made.write_text(f'vici = "unix://{self.place}/vici"\n{text}')
        return made

    async def loaded(self, file: Path) -> Daemon:
        """A daemon into which swanctl has loaded all of a file."""
        made = self.daemon(self.settings(file))
        assert made.control is not None
        made.control.bind(made.description.settings.vici)
        folder = Path(tempfile.mkdtemp(dir=self.place))
        arguments = "--load-all", "--noprompt", "--file", str(file)
        mount: Namespace = Mount()  # type: ignore[assignment]
        command, environment = swanctl_command(
            mount, f"unix://{self.place}/vici", folder, *arguments
        )
        out, err, status = await getProcessOutputAndValue(command[0], command[1:], environment)
        # What is IKEv2's is passed over in a file, and refused from a client.
        if "version = 2" not in file.read_text():
            self.assertEqual(status, 0, (out + err).decode())
        return made

    async def test_same(self) -> None:
        """
        Each example, and each configuration that the interop tests use, is the same set of
        connections and secrets, by whichever way it comes.
        """
        walked = files()
        self.assertGreater(len(walked), 30)
        count = 0
        for file in walked:
            made = await self.loaded(file)
            read = Files(str(file), str(self.settings(file))).read().configuration
            by_name = {one.name: one for one in made.loaded.connections}
            self.assertEqual(by_name, {one.name: one for one in read.connections}, file)
            secrets = {(one.name, one) for one in made.loaded.secrets}
            self.assertEqual(secrets, {(one.name, one) for one in read.secrets}, file)
            count += len(by_name)
            await made.stopService()
        self.assertGreaterEqual(count, len(walked))

    async def test_mistakes(self) -> None:
        """A file that is refused at the start is refused by ``--load-all`` for the same reasons."""
        text = (CONFIGURATIONS / "pfs" / "i" / "swanctl.conf").read_text()
        file = self.place / "wrong.conf"
        file.write_text(text.replace("proposals = ", "rekey_time = soon\n    proposals = aes7-", 1))
        made = self.daemon(self.settings(file))
        assert made.control is not None
        made.control.bind(made.description.settings.vici)
        mount: Namespace = Mount()  # type: ignore[assignment]
        command, environment = swanctl_command(
            mount,
            f"unix://{self.place}/vici",
            self.place,
            *("--load-all", "--noprompt", "--file", str(file)),
        )
        out, err, status = await getProcessOutputAndValue(command[0], command[1:], environment)
        self.assertNotEqual(status, 0)
        description = Files(str(file), str(self.settings(file)))
        error = self.assertRaises(ConfigurationErrors, description.read)
        self.assertEqual(len(error.mistakes), 2)
        for line in str(error).splitlines():
            sentence = line.partition(": connections.")[2]
            self.assertIn(sentence, (out + err).decode())
        self.assertEqual(made.loaded.connections, ())
