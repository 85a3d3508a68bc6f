"""
Messages on the cable as tshark shows them, a program that has nothing of ours.

With the key of an ISAKMP SA's cipher, Ka of RFC 2409 appendix B, it opens what is sealed.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.interop.namespaces import Namespace

_FIELDS = (
    "ip.src",
    "isakmp.exchangetype",
    "isakmp.flag_e",
    "isakmp.typepayload",
    "isakmp.id.data.fqdn",
    "isakmp.spi",
    "isakmp.delete.spi",
)


def obstacle() -> str | None:
    """
    Why messages cannot be looked at here.

    :returns: a sentence for the one who reads about a skipped test; None if they can.
    """
    missing = [program for program in ("tcpdump", "tshark") if shutil.which(program) is None]
    return f"{' and '.join(missing)} missing: run 'make peers' as root" if missing else None


@dataclass(frozen=True, slots=True)
class Seen:
    """
    One message, as tshark shows it.

    :ivar source: the address that it comes from.
    :ivar exchange: the exchange type.
    :ivar sealed: whether it is encrypted.
    :ivar payloads: the payload types, those inside others too; of a sealed message that could not
        be opened none.
    :ivar name: the domain name in an Identification payload.
    :ivar spis: in Proposal, Notification and Delete payloads, hexadecimal digits.
    """

    source: str
    exchange: int
    sealed: bool
    payloads: tuple[int, ...]
    name: str
    spis: tuple[str, ...]


class Capture:
    """
    tcpdump on the cable, from :meth:`start` to :meth:`stop`.

    :param namespace: at which end of it.
    :param directory: where the messages go; made here, and kept.
    """

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        self.namespace = namespace
        self.file = directory.resolve() / "messages.pcap"
        self._output = self.file.with_suffix(".out")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout: float = 5.0) -> Capture:
        """
        Starts it and waits until it sees what passes.

        :raises AssertionError: if it does not.
        """
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                self.namespace.command(
                    *("tcpdump", "--immediate-mode", "-U", "-n", "-i", "eth0"),
                    *("-w", str(self.file), "udp"),
                ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + timeout
        while b"listening on" not in self._output.read_bytes():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"tcpdump does not run: {self._output.read_text()}")
            time.sleep(0.01)
        return self

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

    def seen(self, initiator_cookie: str, ka: bytes) -> list[Seen]:
        """
        What tshark makes of it.

        :param initiator_cookie: of the ISAKMP SA, hexadecimal digits.
        :param ka: the key of its cipher.
        :raises AssertionError: if it cannot read the capture.
        """
        done = subprocess.run(
            [
                *("tshark", "-n", "-r", str(self.file)),
                *("-o", f"uat:ikev1_decryption_table:{initiator_cookie},{ka.hex()}"),
                *("-Y", "isakmp", "-T", "fields", "-E", "separator=|"),
                *(word for name in _FIELDS for word in ("-e", name)),
            ],
            capture_output=True,
            text=True,
            timeout=30,
        )
        if done.returncode:
            raise AssertionError(f"tshark cannot read it: {done.stderr}")
        return [_seen(line.split("|")) for line in done.stdout.splitlines()]


def _seen(fields: list[str]) -> Seen:
    source, exchange, sealed, payloads, name, spis, deleted = fields
    return Seen(
        source,
        int(exchange),
        sealed in ("1", "True"),
        tuple(int(number) for number in payloads.split(",") if number),
        name,
        tuple(spi for spi in f"{spis},{deleted}".split(",") if spi),
    )
