"""
Our daemon as a user starts it, ``twistd isakmp``, in a network namespace.

It has a folder with a ``swanctl.conf`` and an ``isakmp.toml``.  What it does is seen in its log and
at its peer, and nowhere else.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.interop import CHECKOUT
from tests.interop.charon import run_swanctl
from tests.interop.namespaces import Namespace
from tests.interop.swanctl import IKESA, listed_sas

READY = r"listening on "
_PAUSE = 0.02
"""Seconds between two looks into the log."""

# An index of IPComp may stand behind the SPI of ESP.
_SPIS = (
    r"SPI (?P<spi_in>[0-9a-f]{8})(?: [0-9a-f]{4})? in, "
    r"(?P<spi_out>[0-9a-f]{8})(?: [0-9a-f]{4})? out"
)
_SINK = re.compile(
    r"not protected: (?P<connection>\S+) (?P<child>\S+), "
    rf"{_SPIS}, "
    r"(?P<mode>\w+) (?P<algorithms>[^,]+), (?P<local>\S+) - (?P<remote>\S+)"
)
_ISAKMP = re.compile(
    r"\] (?P<connection>\S+), ISAKMP SA (?P<initiator>[0-9a-f]{16}):(?P<responder>[0-9a-f]{16})"
    r" .* is (?P<what>established|gone)"
)
_CHILD = re.compile(
    r"\] (?P<connection>\S+)/(?P<child>\S+), "
    rf"{_SPIS}, is (?P<what>established|gone)"
)
_FAULT = re.compile(r"Traceback|#critical|#error")


@dataclass(frozen=True, slots=True)
class SunkSA:
    """
    What the log sink writes of an SA pair.

    :ivar spi_in: the SPI of what we receive, eight hexadecimal digits.
    :ivar spi_out: the SPI of what we send.
    :ivar mode: ``tunnel`` or ``transport``.
    :ivar algorithms: ``aes-cbc hmac-sha2-256-128``.
    :ivar local: the traffic at our end; ``remote`` at the peer's.
    """

    connection: str
    child: str
    spi_in: str
    spi_out: str
    mode: str
    algorithms: str
    local: str
    remote: str


@dataclass(frozen=True, slots=True)
class Standing:
    """
    The SAs that stand, as far as a log or a list of SAs says.

    :ivar isakmp: connection and both cookies.
    :ivar children: connection, child, and the SPIs of what we receive and of what we send.
    """

    isakmp: frozenset[tuple[str, str, str]]
    children: frozenset[tuple[str, str, str, str]]


class DaemonProcess:
    """
    One of our daemons, from :meth:`start` to :meth:`stop`.

    :param namespace: where it runs.
    :param directory: where its ``swanctl.conf`` and its ``isakmp.toml`` are, and its log
        (``daemon.log``) goes.
    """

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        self.namespace = namespace
        self.directory = directory.resolve()
        self._log = self.directory / "daemon.log"
        # A socket's path has 108 octets at most, and a test's own directory may be too deep.
        self._socket = Path("/tmp") / f"isakmp-{os.getpid()}-{secrets.token_hex(4)}.vici"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Where it may be controlled, if its ``isakmp.toml`` says so."""
        return f"unix://{self._socket}"

    def swanctl(self, *arguments: str, timeout: float = 20.0) -> str:
        """
        Runs ``swanctl`` against this daemon.

        :returns: what it printed.
        :raises SwanctlFailed: if it failed; the text is what it printed.
        """
        return run_swanctl(self.namespace, self.uri, self.directory, *arguments, timeout=timeout)

    def list_sas(self) -> list[IKESA]:
        """What it holds now, children inside, as swanctl shows it."""
        return listed_sas(self.swanctl("--list-sas", "--pretty"))

    @property
    def pid(self) -> int:
        """
        Of the running daemon.

        :raises AssertionError: if it has not been started, or has ended.
        """
        process = self._process
        if process is None or process.poll() is not None:
            raise AssertionError(f"our daemon does not run\n{self.log()}")
        return process.pid

    def start(self) -> DaemonProcess:
        """
        Starts it and waits until its sockets are open.

        :raises AssertionError: if it ends before, or takes too long.
        """
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self.namespace.command(
                    str(Path(sys.executable).with_name("twistd")),
                    *("-n", "--pidfile=", "isakmp"),
                    *("--config", "swanctl.conf", "--settings", "isakmp.toml"),
                ),
                env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.expect(READY)
        return self

    def log(self) -> str:
        """All that it has written so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def wait_for(self, reached: Callable[[str], object], timeout: float = 12.0) -> None:
        """
        Looks into its log until it is as wanted.

        :raises AssertionError: after ``timeout`` seconds, or as soon as it has ended.
        """
        deadline = time.monotonic() + timeout
        while not reached(self.log()):
            assert self.pid
            if time.monotonic() > deadline:
                raise AssertionError(f"our daemon has not logged it in time\n{self.log()}")
            time.sleep(_PAUSE)

    def expect(self, *patterns: str, timeout: float = 12.0) -> None:
        """
        Waits until something stands in its log.

        :param patterns: regular expressions, all of which have to be found; ``.`` is no line end.
        :raises AssertionError: after ``timeout`` seconds, or as soon as it has ended.
        """
        missing = list(patterns)

        def all_found(log: str) -> bool:
            missing[:] = [pattern for pattern in missing if not re.search(pattern, log)]
            return not missing

        try:
            self.wait_for(all_found, timeout)
        except AssertionError as error:
            raise AssertionError("\n".join([*missing, str(error)])) from None

    def sunk(self) -> list[SunkSA]:
        """
        The SA pairs that the log sink has been given, each once, in their order.  A responder's
        stands there twice, first without the SPI of what we send: that line does not count.
        """
        found = (SunkSA(**match.groupdict()) for match in _SINK.finditer(self.log()))
        return list(dict.fromkeys(found))

    def standing(self) -> Standing:
        """What has been established and is not gone, as the log has it."""
        log = self.log()
        isakmp: set[tuple[str, str, str]] = set()
        for match in _ISAKMP.finditer(log):
            note = isakmp.add if match["what"] == "established" else isakmp.discard
            note((match["connection"], match["initiator"], match["responder"]))
        children: set[tuple[str, str, str, str]] = set()
        for match in _CHILD.finditer(log):
            change = children.add if match["what"] == "established" else children.discard
            change((match["connection"], match["child"], match["spi_in"], match["spi_out"]))
        return Standing(frozenset(isakmp), frozenset(children))

    def faults(self) -> list[str]:
        """The lines of its log that tell of a fault of its own, or of its configuration."""
        return [line for line in self.log().splitlines() if _FAULT.search(line)]

    def hang_up(self) -> None:
        """SIGHUP: it reads its ``swanctl.conf`` again."""
        os.kill(self.pid, signal.SIGHUP)

    def stop(self, within: float = 2.0) -> int:
        """
        SIGTERM, and its exit.

        :param within: seconds.
        :returns: its exit status.
        :raises AssertionError: if it has not ended in time; it is killed then.
        """
        os.kill(self.pid, signal.SIGTERM)
        process = self._process
        assert process is not None
        try:
            status = process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it has not ended within {within} s\n{self.log()}") from None
        self._process = None
        return status

    def kill(self) -> None:
        """Ends it by force.  Nothing if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        self._socket.unlink(missing_ok=True)
