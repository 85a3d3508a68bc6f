"""The configurations in the documentation are served as they stand."""

from __future__ import annotations

import shutil
from pathlib import Path

from isakmp.config import isakmp_toml
from isakmp.config.load import load
from isakmp.doi.ipsec import ipsec
from isakmp.policy import ConfiguredPolicy
from isakmp.sinks.log import LogSink
from tests.config.samples import ConfigurationTestCase

EXAMPLES = Path(__file__).resolve().parents[2] / "doc" / "examples"


class ExampleTests(ConfigurationTestCase):
    def test_all(self) -> None:
        """Each of them is read, and a node can be made of it."""
        files = sorted(EXAMPLES.glob("*.conf"))
        self.assertGreaterEqual(len(files), 3)
        for path in files:
            found = load(str(path))
            self.assertTrue(found.connections, path)
            policy = ConfiguredPolicy(found.connections, LogSink().supports, {1: ipsec})
            for connection in found.connections:
                self.assertTrue(policy.connection(connection.name).children, path)
            self.assertEqual(found.warnings, (), path)

    def test_settings(self) -> None:
        """The settings are read, and fit the connections they name."""
        found = isakmp_toml.load(str(EXAMPLES / "isakmp.toml"))
        (connection,) = load(str(EXAMPLES / "site-to-site.conf"), found).connections
        (child,) = connection.children
        self.assertEqual(
            [ipsec.spell(suite) for suite in child.suites],
            ["esp=aes256gcm16-modp2048|aes256-sha256-modp2048"],
        )

    def test_read_alone(self) -> None:
        """An example can be copied anywhere: it needs nothing of the checkout."""
        at = Path(self.mktemp())
        shutil.copytree(EXAMPLES, at)
        for path in sorted(at.glob("*.conf")):
            self.assertTrue(load(str(path)).connections)
