"""
Libreswan's pluto, as Debian packages it, as the peer in a guest.

``make peers`` unpacks it, with the libraries that it needs, into ``build/peers/libreswan`` and does
not install it.  pluto looks for its programs in ``/usr/libexec/ipsec``; ``ip netns exec`` gives a
command its own mount namespace, and in it the tree's directory is bound over that path.  Its
connections are those of ``pluto/ipsec.conf``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.interop import CHECKOUT
from tests.interop.namespaces import Namespace

TREE = CHECKOUT / "build" / "peers" / "libreswan"
CONFIGURATION = Path(__file__).with_name("pluto")
_PROGRAMS = TREE / "usr" / "libexec" / "ipsec"
_ENTER = (
    "sh",
    "-ec",
    'mkdir -p /usr/libexec/ipsec; mount --bind "$0" /usr/libexec/ipsec; exec "$@"',
    str(_PROGRAMS),
)


def obstacle() -> str | None:
    """
    Why pluto cannot run here.

    :returns: a sentence for the one who reads about a skipped test; None if it can.
    """
    if not (_PROGRAMS / "pluto").exists():
        return "libreswan is not here: run 'make peers'"
    return None


class Pluto:
    """
    One pluto.  It runs from :meth:`start` to :meth:`stop`.

    :param namespace: where it runs.
    :param directory: for its files; made here.  It must not be deep, because a socket is in it, and
        the path of a socket has 108 octets at most.
    """

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        self.namespace = namespace
        self._directory = directory
        self._control = directory / "run" / "pluto.ctl"
        self._log = directory / "pluto.log"
        self._process: subprocess.Popen[bytes] | None = None
        libraries = ":".join(str(path) for path in (TREE / "usr/lib").glob("*-linux-*"))
        self._environment = {**os.environ, "LD_LIBRARY_PATH": libraries}

    def start(self) -> Pluto:
        """
        Starts it and waits until its sockets are open.

        :raises AssertionError: if it ends before, or takes too long.
        """
        directory = self._directory
        for name in ("run", "nss", "ipsec.d"):
            (directory / name).mkdir(parents=True)
        shutil.copy(CONFIGURATION / "ipsec.conf", directory)
        shutil.copy(CONFIGURATION / "ipsec.secrets", directory)
        (directory / "ipsec.secrets").chmod(0o600)
        (directory / "password").write_text("\n")
        self._run(
            str(TREE / "usr/bin/certutil"),
            *("-N", "-d", f"sql:{directory}/nss", "-f", f"{directory}/password"),
        )
        with (directory / "output").open("wb") as output:
            self._process = subprocess.Popen(
                self.namespace.command(
                    *_ENTER,
                    str(_PROGRAMS / "pluto"),
                    *("--nofork", "--config", f"{directory}/ipsec.conf"),
                    *(
                        "--secretsfile",
                        f"{directory}/ipsec.secrets",
                        "--nssdir",
                        f"{directory}/nss",
                    ),
                    *("--ipsecdir", f"{directory}/ipsec.d", "--rundir", f"{directory}/run"),
                    *("--logfile", str(self._log), "--no-dnssec", "--nhelpers", "1"),
                ),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._wait(self._control.exists, "pluto has not opened its socket")
        self.whack("--listen")
        self._wait(
            lambda: f"{self.namespace.address}:500" in self.whack("--status"),
            "pluto does not listen",
        )
        return self

    def log(self) -> str:
        """All that it has written so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def whack(self, *arguments: str) -> str:
        """Asks it for something; what it says."""
        return self._run(
            str(_PROGRAMS / "whack"), "--ctlsocket", str(self._control), *arguments, ok=False
        )

    def load(self, connection: str) -> None:
        """
        Loads one of its connections.

        :raises AssertionError: if it does not take it.
        """
        self._run(
            *(str(_PROGRAMS / "addconn"), "--config", f"{self._directory}/ipsec.conf"),
            *("--ctlsocket", str(self._control), connection),
        )
        self._wait(lambda: "loaded 1," in self.whack("--status"), f"{connection} is not loaded")

    def unload(self, connection: str) -> None:
        """Takes it away, with the SAs that it has."""
        self.whack("--name", connection, "--delete")

    def initiate(self, connection: str) -> None:
        """
        Begins it, and waits until it stands.

        :raises AssertionError: if it does not.
        """
        said = self.whack("--name", connection, "--initiate")
        if "IPsec SA established" not in said:
            raise AssertionError(f"{said}\n{self.log()}")

    def terminate(self, connection: str) -> None:
        """Ends its SAs, and does not begin it anew, as it does when the peer deletes them."""
        self.whack("--name", connection, "--terminate")

    def stop(self) -> None:
        """Ends it.  Nothing if it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _run(self, *command: str, ok: bool = True) -> str:
        # What is told to a pluto goes through its socket, which is a file: from anywhere.
        done = subprocess.run(
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=40,
        )
        if ok and done.returncode:
            raise AssertionError(f"{' '.join(command)}:\n{done.stdout}\n{self.log()}")
        return done.stdout

    def _wait(self, reached: Callable[[], object], what: str, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not reached():
            if self._process is None or self._process.poll() is not None:
                output = (self._directory / "output").read_text(errors="replace")
                raise AssertionError(f"pluto has ended\n{output}\n{self.log()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}\n{self.log()}")
            time.sleep(0.1)
