"""
Two network namespaces joined by one virtual cable, for one test.

The two ends are called *left* and *right*.  Nothing leaves them: they have no route to anywhere
else.  Needs Linux, ``CAP_SYS_ADMIN`` and ``CAP_NET_ADMIN``.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

NETWORK_BITS = 24
_NAMED = Path("/run/netns")
_OURS = re.compile(r"isakmp-(?P<pid>\d+)-[0-9a-f]{6}-(?:left|right)")
_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21


def obstacle() -> str | None:
    """
    Why this process cannot make network namespaces.

    :returns: a sentence for the one who reads about a skipped test; None if it can.
    """
    if sys.platform != "linux":
        return "network namespaces exist on Linux only"
    status = Path("/proc/self/status").read_text()
    effective = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    needed = 1 << _CAP_NET_ADMIN | 1 << _CAP_SYS_ADMIN
    if effective is None or int(effective[1], 16) & needed != needed:
        return "making a network namespace needs root"
    return None


def _ip(*commands: str, namespace: str | None = None) -> None:
    """
    Runs commands of ``ip`` in one process; the first that fails ends it.

    :raises RuntimeError: with what ``ip`` said.
    """
    inside = [] if namespace is None else ["-n", namespace]
    done = subprocess.run(
        ["ip", *inside, "-batch", "-"],
        input="\n".join(commands),
        capture_output=True,
        text=True,
        timeout=20,
    )
    if done.returncode:
        raise RuntimeError(f"ip {'; '.join(commands)}: {done.stderr.strip()}")


@dataclass(frozen=True, slots=True)
class Namespace:
    """
    One end of the cable.

    :ivar name: the name that ``ip netns`` knows it by; no other run has it.
    :ivar address: the IPv4 address of this end of the cable.
    """

    name: str
    address: str

    def command(self, *arguments: str) -> list[str]:
        """
        The argument list that runs a command inside.  The command dies with the thread that
        starts it, so a test run that is killed leaves nothing behind.
        """
        return ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.name, *arguments]

    def add_addresses(self, addresses: Sequence[str]) -> None:
        """
        Gives this end of the cable more addresses.

        :raises RuntimeError: with what ``ip`` said.
        """
        commands = (f"addr add {address}/{NETWORK_BITS} dev eth0" for address in addresses)
        _ip(*commands, namespace=self.name)


class NamespacePair:
    """
    A context manager: makes both namespaces, and removes them whatever happens.

    :param left_networks: inner networks of the left end, as the addresses that this end has in
        them (``10.81.0.1/24``).  They live on its loopback.
    :param right_networks: the same for the right end.
    """

    LEFT_ADDRESS = "10.77.0.1"
    RIGHT_ADDRESS = "10.77.0.2"

    def __init__(
        self, left_networks: Sequence[str] = (), right_networks: Sequence[str] = ()
    ) -> None:
        run = f"isakmp-{os.getpid()}-{secrets.token_hex(3)}"
        self.left = Namespace(f"{run}-left", self.LEFT_ADDRESS)
        self.right = Namespace(f"{run}-right", self.RIGHT_ADDRESS)
        self._networks = {self.left: tuple(left_networks), self.right: tuple(right_networks)}

    def __enter__(self) -> NamespacePair:
        _remove_abandoned()
        try:
            _ip(
                f"netns add {self.left.name}",
                f"netns add {self.right.name}",
                f"link add eth0 netns {self.left.name} type veth"
                f" peer name eth0 netns {self.right.name}",
            )
            for end, networks in self._networks.items():
                _ip(
                    "link set lo up",
                    *(f"addr add {network} dev lo" for network in networks),
                    f"addr add {end.address}/{NETWORK_BITS} dev eth0",
                    "link set eth0 up",
                    namespace=end.name,
                )
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Removes both, with every process that is still inside.  Nothing if they are gone."""
        _remove(self.left.name)
        _remove(self.right.name)


def _remove(name: str) -> None:
    """A namespace lives as long as a process in it, whatever its name: those go first."""
    if not (_NAMED / name).exists():
        return
    inside = subprocess.run(
        ["ip", "netns", "pids", name], capture_output=True, text=True, timeout=20
    )
    for pid in map(int, inside.stdout.split()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _ip(f"netns del {name}")


def _remove_abandoned() -> None:
    """Removes what runs that were killed have left."""
    if not _NAMED.exists():
        return
    for entry in _NAMED.iterdir():
        named = _OURS.fullmatch(entry.name)
        if named is not None and not Path("/proc", named["pid"]).exists():
            _remove(entry.name)
