"""
What tests of the daemon share: its two files, written into a folder, and the process on loopback.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.daemon import DaemonProcess
from tests.interop.namespaces import Namespace

SECRET = "never in any log"


class Loopback:
    """In place of a namespace: this host, whose loopback has many addresses."""

    def command(self, *arguments: str) -> list[str]:
        """As it is."""
        return list(arguments)


@dataclass(frozen=True, slots=True)
class Road:
    """
    A connection in ``swanctl.conf``, with one child.

    :ivar ours: identity; ``theirs`` likewise.
    :ivar extra: lines of the connection; ``child`` of its child.
    """

    name: str
    local: str
    remote: str
    ours: str = "a.lab"
    theirs: str = "b.lab"
    local_ts: str = "10.1.0.0/24"
    remote_ts: str = "10.2.0.0/24"
    version: int = 1
    extra: Sequence[str] = ()
    child: Sequence[str] = ("esp_proposals = aes128-sha256",)

    def text(self) -> str:
        """As it stands in the file."""
        return "\n".join(
            [
                f"connections {{ {self.name} {{",
                f"  version = {self.version}",
                f"  local_addrs = {self.local}",
                f"  remote_addrs = {self.remote}",
                "  proposals = aes128-sha256-curve25519",
                *(f"  {line}" for line in self.extra),
                f"  local {{\n    auth = psk\n    id = {self.ours}\n  }}",
                f"  remote {{\n    auth = psk\n    id = {self.theirs}\n  }}",
                "  children { net {",
                f"    local_ts = {self.local_ts}",
                f"    remote_ts = {self.remote_ts}",
                *(f"    {line}" for line in self.child),
                "  } }",
                "} }\n",
            ]
        )


def secret(*owners: str, octets: str = SECRET) -> str:
    """A section of ``secrets``."""
    ids = "".join(f"  id-{number} = {owner}\n" for number, owner in enumerate(owners, 1))
    return f'secrets {{ ike-{owners[0].replace(".", "-")} {{\n{ids}  secret = "{octets}"\n}} }}\n'


def free_ports(count: int) -> list[int]:
    """Ports that nobody has at any address."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("0.0.0.0", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Folder:
    """
    Where a daemon's files are.

    :ivar config: ``swanctl.conf``; ``settings`` ``isakmp.toml``.
    """

    def __init__(self, test: SynchronousTestCase) -> None:
        self.path = Path(tempfile.mkdtemp())
        test.addCleanup(shutil.rmtree, self.path)
        self.config = self.path / "swanctl.conf"
        self.settings = self.path / "isakmp.toml"

    def write(self, *roads: Road, secrets: Sequence[str] = (secret("a.lab", "b.lab"),)) -> None:
        """The connections, with their secrets."""
        self.config.write_text("".join([*(road.text() for road in roads), *secrets]))

    def write_settings(self, *lines: str) -> None:
        """
        The settings.  Unless they say where control is had, it is nowhere: the default is the same
        for all daemons of this host.  Unless they say where SAs go, they are only logged: by
        default they would go to this host's kernel.
        """
        tables = next((n for n, line in enumerate(lines) if line.startswith("[")), len(lines))
        said = [line.partition(" ")[0] for line in lines[:tables]]
        usual = {"vici": 'vici = ""', "sink": 'sink = "log"'}
        every = [
            *lines[:tables],
            *(line for key, line in usual.items() if key not in said),
            *lines[tables:],
        ]
        self.settings.write_text("".join(f"{line}\n" for line in every))

    def process(self, test: SynchronousTestCase) -> DaemonProcess:
        """The daemon of this folder, not started; it does not outlive the test."""
        made = DaemonProcess(cast(Namespace, Loopback()), self.path)
        test.addCleanup(made.kill)
        return made
