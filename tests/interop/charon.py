"""
strongSwan's charon as the peer, in a network namespace of its own.

``make peers`` unpacks strongSwan into a private tree.  Its programs look for their libraries and
plugins in ``/usr/lib/ipsec``; ``ip netns exec`` gives a command its own mount namespace, and in it
the tree's directory is bound over that path.

By default charon has the kernel-null plugin for an IPsec kernel: Quick Mode completes, and no
packet is protected.
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.interop import CHECKOUT, namespaces
from tests.interop.namespaces import Namespace
from tests.interop.swanctl import IKESA, listed_sas

TREE = CHECKOUT / "build" / "peers" / "strongswan"

PLUGINS: tuple[str, ...] = (
    *("random", "nonce", "openssl", "hmac", "kdf", "pem", "pkcs1", "pkcs8", "x509"),
    *("constraints", "revocation", "pubkey", "kernel-null", "kernel-netlink", "socket-default"),
    *("vici", "updown", "attr", "unity", "xauth-generic", "counters"),
)
LEVELS: Mapping[str, int] = {"default": 1, "ike": 2, "chd": 2, "cfg": 2}

_ENTER = (
    "sh",
    "-ec",
    'mkdir -p /usr/lib/ipsec; mount --bind "$0/usr/lib/ipsec" /usr/lib/ipsec;'
    ' program=$1; shift; exec "$0/$program" "$@"',
    str(TREE),
)


def obstacle() -> str | None:
    """
    Why charon cannot run here.

    :returns: a sentence for the one who reads about a skipped test; None if it can.
    """
    if not (TREE / "usr/lib/ipsec/plugins/libstrongswan-kernel-null.so").exists():
        return "strongSwan is not here: run 'make peers'"
    return namespaces.obstacle()


class SwanctlFailed(AssertionError):
    """swanctl refused, or the daemon did; the text is what it printed."""


def swanctl_command(
    namespace: Namespace, uri: str, directory: Path, *arguments: str
) -> tuple[list[str], dict[str, str]]:
    """
    How swanctl is run, for whichever daemon.

    :param uri: of the daemon's control socket.
    :param directory: where a ``swanctl.conf`` and the folders beside it are.
    :returns: the command, and its environment.
    """
    settings = directory / "strongswan.conf"
    if not settings.exists():
        settings.write_text("")
    return (
        namespace.command(*_ENTER, "usr/sbin/swanctl", *arguments, "--uri", uri),
        {**os.environ, "STRONGSWAN_CONF": str(settings), "SWANCTL_DIR": str(directory)},
    )


def run_swanctl(
    namespace: Namespace, uri: str, directory: Path, *arguments: str, timeout: float = 20.0
) -> str:
    """
    Runs it to its end.

    :returns: what it printed.
    :raises SwanctlFailed: if it failed; the text is what it printed.
    """
    command, environment = swanctl_command(namespace, uri, directory, *arguments)
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    if done.returncode:
        raise SwanctlFailed(f"swanctl {' '.join(arguments)}:\n{done.stdout}")
    return done.stdout


class Charon:
    """
    One charon.  It runs from :meth:`start` to :meth:`stop`.

    :param namespace: where it runs.
    :param swanctl_conf: the text of its ``swanctl.conf``: connections and secrets.
    :param directory: where its configuration and its log go; made here, and kept.
    :param options: more text for the ``charon-systemd`` section of ``strongswan.conf``.
    :param plugins: what it loads, in this order.
    :param levels: how much it logs, by group: ``{"ike": 4, "enc": 3}``; over :data:`LEVELS`.
    :param files: more files below ``directory``, such as ``x509/left.pem``.
    """

    def __init__(
        self,
        namespace: Namespace,
        swanctl_conf: str,
        directory: Path,
        *,
        options: str = "",
        plugins: Sequence[str] = PLUGINS,
        levels: Mapping[str, int] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        self.namespace = namespace
        self.directory = directory.resolve()
        self._process: subprocess.Popen[bytes] | None = None
        # A socket's path has 108 octets at most, and a test's own directory may be too deep.
        self._sockets = Path(tempfile.mkdtemp(prefix="charon-"))
        self.uri = f"unix://{self._sockets}/vici"
        self._log = self.directory / "charon.log"
        self._output = self.directory / "charon.out"
        written = {
            "swanctl.conf": swanctl_conf.encode(),
            "strongswan.conf": self._strongswan_conf(
                options, plugins, {**LEVELS, **(levels or {})}
            ).encode(),
            **(files or {}),
        }
        for name, content in written.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self._environment = {
            **os.environ,
            "STRONGSWAN_CONF": str(self.directory / "strongswan.conf"),
            "SWANCTL_DIR": str(self.directory),
        }

    def _strongswan_conf(
        self, options: str, plugins: Sequence[str], levels: Mapping[str, int]
    ) -> str:
        lines = [
            "charon-systemd {",
            f"  load = {' '.join(plugins)}",
            options,
            "  filelog {",
            "    test {",
            f"      path = {self._log}",
            "      flush_line = yes",
            *(f"      {group} = {level}" for group, level in levels.items()),
            "    }",
            "  }",
            "  plugins {",
            "    vici {",
            f"      socket = {self.uri}",
            "    }",
            "  }",
            "}",
        ]
        return "\n".join(lines) + "\n"

    def start(self, timeout: float = 10.0) -> Charon:
        """
        Starts it, waits until it is ready and loads its connections and secrets.

        :raises AssertionError: if it ends or is not ready after ``timeout`` seconds.
        """
        # charon tells systemd that it is ready, by the socket named here (sd_notify(3)).
        notify = self._sockets / "notify"
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as readiness,
            self._output.open("wb") as output,
        ):
            readiness.bind(str(notify))
            self._process = subprocess.Popen(
                self.namespace.command(*_ENTER, "usr/sbin/charon-systemd"),
                env={**self._environment, "NOTIFY_SOCKET": str(notify)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            self._wait_until_ready(readiness, self._process, time.monotonic() + timeout)
        self.swanctl("--load-all", "--noprompt")
        return self

    def _wait_until_ready(
        self, readiness: socket.socket, process: subprocess.Popen[bytes], deadline: float
    ) -> None:
        told: list[str] = []
        ended = os.pidfd_open(process.pid)
        sources: list[socket.socket | int] = [readiness, ended]
        try:
            while "READY=1" not in told:
                left = max(0.0, deadline - time.monotonic())
                readable, _, _ = select.select(sources, [], [], left)
                if readiness not in readable:
                    raise AssertionError(
                        f"charon {'ended' if readable else 'is not ready'}: {told}\n"
                        f"{self._output.read_text(errors='replace')}\n{self.log()}"
                    )
                told += readiness.recv(4096).decode(errors="replace").splitlines()
        finally:
            os.close(ended)

    def swanctl(self, *arguments: str, timeout: float = 20.0) -> str:
        """
        Runs ``swanctl`` against this charon.

        :param arguments: the command and its options: ``"--initiate", "--child", "net"``.
        :param timeout: seconds.
        :returns: what it printed.
        :raises SwanctlFailed: if it failed; the text is what it printed.
        """
        return run_swanctl(self.namespace, self.uri, self.directory, *arguments, timeout=timeout)

    def list_sas(self) -> list[IKESA]:
        """What charon holds now, children inside."""
        return listed_sas(self.swanctl("--list-sas", "--pretty"))

    def wait_for_sas(
        self, reached: Callable[[list[IKESA]], bool], timeout: float = 8.0
    ) -> list[IKESA]:
        """
        Asks for the list until it is as wanted.

        :raises AssertionError: after ``timeout`` seconds, with the last list and the log.
        """
        deadline = time.monotonic() + timeout
        while not reached(sas := self.list_sas()):
            if time.monotonic() > deadline:
                raise AssertionError(f"charon holds {sas}\n{self.log()}")
        return sas

    def log(self) -> str:
        """All that charon has logged so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def stop(self, timeout: float = 5.0) -> None:
        """Ends it, by force after ``timeout`` seconds.  Nothing if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self._sockets, ignore_errors=True)
