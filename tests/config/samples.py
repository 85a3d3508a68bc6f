"""
Configurations to read: one that is served, and what stands in a file written for one test.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from isakmp.config.load import Configuration, load
from isakmp.config.mistakes import ConfigurationErrors
from isakmp.config.settings import Settings
from isakmp.connections import Child, Connection

SECRET = "a secret that nobody may see"


def conf(
    connection: str = "",
    local: str = "auth = psk",
    remote: str = "auth = psk",
    child: str = "",
    secrets: str = f"ike {{ secret = {SECRET} }}",
    children: str | None = None,
    version: str = "version = 1",
) -> str:
    """
    A ``swanctl.conf`` with one connection, ``gw``, and one child, ``net``.

    Without arguments nothing is wrong with it and nothing is warned of.
    """
    inner = f"net {{\n{child}\n}}" if children is None else children
    return (
        f"connections {{\ngw {{\n{version}\n{connection}\nlocal {{\n{local}\n}}\n"
        f"remote {{\n{remote}\n}}\nchildren {{\n{inner}\n}}\n}}\n}}\nsecrets {{\n{secrets}\n}}\n"
    )


class ConfigurationTestCase(SynchronousTestCase):
    """What reads files that it writes."""

    def write(self, text: str | bytes, name: str = "swanctl.conf", at: str = "") -> str:
        """A file of this test's own."""
        path = Path(at or self.mktemp()) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    def load(self, text: str | bytes, settings: Settings = Settings()) -> Configuration:
        """What a file says."""
        return load(self.write(text), settings)

    def connection(self, text: str, settings: Settings = Settings()) -> Connection:
        """Its one connection; nothing is warned of."""
        found = self.load(text, settings)
        self.assertEqual([str(remark) for remark in found.warnings], [])
        (connection,) = found.connections
        return connection

    def child(self, text: str, settings: Settings = Settings()) -> Child:
        """The one child of its one connection."""
        (child,) = self.connection(text, settings).children
        return child

    def mistakes(self, text: str | bytes, settings: Settings = Settings()) -> list[str]:
        """All that is wrong with a file, as it is told, without its path; no secret is in it."""
        path = self.write(text)
        with self.assertRaises(ConfigurationErrors) as caught:
            load(path, settings)
        told = str(caught.exception)
        self.assertNotIn(SECRET, told)
        self.assertNotIn(SECRET, repr(caught.exception))
        mistakes = caught.exception.mistakes
        self.assertEqual(told.split("\n"), [str(mistake) for mistake in mistakes])
        return [str(mistake).removeprefix(f"{path}:") for mistake in mistakes]

    def mistake(self, text: str | bytes, settings: Settings = Settings()) -> str:
        """The one thing that is wrong with a file."""
        mistakes = self.mistakes(text, settings)
        self.assertEqual(len(mistakes), 1, mistakes)
        return mistakes[0]

    def warnings(self, text: str | bytes, settings: Settings = Settings()) -> list[str]:
        """All that is warned of."""
        path = self.write(text)
        return [str(r).removeprefix(f"{path}:") for r in load(path, settings).warnings]
