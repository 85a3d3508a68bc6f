"""
Libreswan's pluto, as Debian packages it, in a guest.

``make peers`` unpacks it into ``build/peers/libreswan`` and does not install it: it would take port
500.  In a guest, whose files are thrown away, it is put where it belongs.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.interop import CHECKOUT
from tests.interop.namespaces import Namespace

TREE = CHECKOUT / "build" / "peers" / "libreswan"
_PROGRAMS = Path("/usr/libexec/ipsec")


def install() -> None:
    """Put it below ``/``, if it is not there.  Only to be used in a guest."""
    if not (_PROGRAMS / "pluto").exists():
        subprocess.run(["cp", "-a", "--no-preserve=ownership", f"{TREE}/usr", "/"], check=True)
        subprocess.run(["ldconfig"], check=True, timeout=60)


class Pluto:
    """
    One of them, with one connection ``net``.

    :param directory: for its files; it must not be deep, because sockets are in it.
    :param lines: of the connection, besides what all have.
    """

    def __init__(
        self, end: Namespace, directory: Path, addresses: tuple[str, str], secret: str, lines: str
    ) -> None:
        self._end, self._directory = end, directory
        for name in ("run", "nss", "ipsec.d"):
            (directory / name).mkdir(parents=True)
        ours, theirs = addresses
        (directory / "ipsec.conf").write_text(
            "config setup\n    ikev1-policy=accept\n    uniqueids=no\n"
            f"    dumpdir={directory}\n"
            "conn net\n    ikev2=no\n    authby=secret\n    auto=ignore\n    rekey=no\n"
            f"    left={ours}\n    leftid=@east\n    right={theirs}\n    rightid=@ours-east\n"
            "    ike=aes128-sha2_256;modp2048\n"
            + "".join(f"    {line}\n" for line in lines.splitlines())
        )
        secrets = directory / "ipsec.secrets"
        secrets.write_text(f': PSK "{secret}"\n')
        secrets.chmod(0o600)
        (directory / "password").write_text("\n")
        self._run("certutil", "-N", "-d", f"sql:{directory}/nss", "-f", f"{directory}/password")
        self._log = directory / "pluto.log"
        self._process = subprocess.Popen(
            end.command(
                *(str(_PROGRAMS / "pluto"), "--config", f"{directory}/ipsec.conf", "--nofork"),
                *("--logfile", str(self._log), "--rundir", f"{directory}/run"),
                *("--nssdir", f"{directory}/nss", "--ipsecdir", f"{directory}/ipsec.d"),
                *("--secretsfile", str(secrets), "--no-dnssec", "--nhelpers", "1"),
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._until(lambda: (directory / "run" / "pluto.ctl").exists(), "it did not start")
        self.whack("--listen")
        self._until(self._loaded, "it did not load its connection")

    @property
    def log(self) -> str:
        """What it has written."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def whack(self, *arguments: str) -> str:
        """Ask it for something; what it says."""
        return self._run(
            *(str(_PROGRAMS / "whack"), "--ctlsocket", f"{self._directory}/run/pluto.ctl"),
            *arguments,
        )

    def initiate(self) -> None:
        """
        Begin the connection.

        :raises AssertionError: if it does not come up.
        """
        said = self.whack("--name", "net", "--initiate")
        if "IPsec SA established" not in said:
            raise AssertionError(f"{said}\n{self.log}")

    def stop(self) -> None:
        """Ends it; idempotent."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _loaded(self) -> bool:
        self._run(
            *(str(_PROGRAMS / "addconn"), "--config", f"{self._directory}/ipsec.conf"),
            *("--ctlsocket", f"{self._directory}/run/pluto.ctl", "net"),
        )
        return "loaded 1," in self.whack("--status")

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            self._end.command(*command), capture_output=True, text=True, timeout=40
        )
        return done.stdout + done.stderr

    def _until(self, reached: object, what: str) -> None:
        deadline = time.monotonic() + 20
        assert callable(reached)
        while not reached():
            if time.monotonic() > deadline:
                raise AssertionError(f"pluto: {what}\n{self.log}")
            time.sleep(0.1)
