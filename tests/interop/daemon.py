"""
Our daemon as a user starts it, ``twistd isakmp``, in a network namespace.

It has a folder with a ``swanctl.conf`` and an ``isakmp.toml``.  It is driven and inspected by its
control socket, as ``swanctl`` does it: what stands is what it lists, what has happened is what it
tells.  Its log is for whoever reads why a test has failed, and for tests of the log itself.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from isakmp.control.codec import Content, Section
from tests.interop import CHECKOUT
from tests.interop.charon import run_swanctl
from tests.interop.namespaces import Namespace
from tests.interop.swanctl import IKESA
from tests.interop.vici import Gone, Refused, Vici, inner

_PAUSE = 0.01
"""Seconds between two looks."""

_FAULT = re.compile(r"Traceback|#critical|#error")
_NOT_YET = frozenset({"CREATED", "CONNECTING"})


@dataclass(frozen=True, slots=True)
class Standing:
    """
    The SAs that stand, as far as a list of SAs says.

    :ivar isakmp: connection and both cookies.
    :ivar children: connection, child, and the SPIs of what we receive and of what we send.
    """

    isakmp: frozenset[tuple[str, str, str]]
    children: frozenset[tuple[str, str, str, str]]

    @classmethod
    def of(cls, sas: Iterable[IKESA]) -> Standing:
        """
        What is listed and agreed: neither an ISAKMP SA that is being negotiated nor a child of
        which only one direction is there yet.
        """
        agreed = [sa for sa in sas if sa.state not in _NOT_YET]
        return cls(
            frozenset((sa.name, sa.initiator_spi, sa.responder_spi) for sa in agreed),
            frozenset(
                (sa.name, child.name, child.spi_in, child.spi_out)
                for sa in agreed
                for child in sa.children
                if child.spi_in and child.spi_out
            ),
        )

    def __bool__(self) -> bool:
        return bool(self.isakmp or self.children)

    @property
    def crosswise(self) -> Standing:
        """The same SAs as the other end names them."""
        children = ((name, child, out, into) for name, child, into, out in self.children)
        return Standing(self.isakmp, frozenset(children))


class DaemonProcess:
    """
    One of our daemons, from :meth:`start` to :meth:`stop`.

    :param namespace: where it runs.
    :param directory: where its ``swanctl.conf`` and its ``isakmp.toml`` are, and its log
        (``daemon.log``) goes; and its ``twisted/plugins``, if it has any.  If its ``isakmp.toml``
        has no ``vici``, or an empty one, it gets one.
    """

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        self.namespace = namespace
        self.directory = directory.resolve()
        self._log = self.directory / "daemon.log"
        # A socket's path has 108 octets at most, and a test's own directory may be too deep.
        self._socket = Path("/tmp") / f"isakmp-{os.getpid()}-{secrets.token_hex(4)}.vici"
        self._process: subprocess.Popen[bytes] | None = None
        self._vici: Vici | None = None
        self._others: list[Vici] = []

    @property
    def uri(self) -> str:
        """Where it is controlled."""
        return f"unix://{self._socket}"

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

    def start(self, config: str = "swanctl.conf", timeout: float = 20.0) -> DaemonProcess:
        """
        Starts it and waits until it answers at its control socket.  From then on what happens is
        kept: :meth:`happened`.

        :param config: the file in its folder that it reads.  With an empty one it does nothing, and
            misses nothing, until something is loaded: :meth:`load`.
        :raises AssertionError: if it ends before, or takes too long.
        """
        self._give_socket()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self.namespace.command(
                    str(Path(sys.executable).with_name("twistd")),
                    *("-n", "--pidfile=", "isakmp"),
                    *("--config", config, "--settings", "isakmp.toml"),
                ),
                env={**os.environ, "PYTHONPATH": f"{CHECKOUT}:{self.directory}"},
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.wait_until(self._answers, "it does not answer at its control socket", timeout)
        return self

    def _give_socket(self) -> None:
        settings = self.directory / "isakmp.toml"
        text = settings.read_text() if settings.exists() else ""
        said = tomllib.loads(text).get("vici", "")
        if not said:
            text = re.sub(r"^vici *=.*\n", "", text, flags=re.MULTILINE)
            settings.write_text(f'vici = "{self.uri}"\n{text}')
        else:
            self._socket = Path(said.removeprefix("unix://"))

    def _answers(self) -> bool:
        try:
            self._vici = Vici(self._socket)
        except (OSError, Gone):
            return False
        return True

    # -- by its control socket -----------------------------------------------------------------

    @property
    def vici(self) -> Vici:
        """
        The client that every daemon here has from its start.

        :raises AssertionError: if it was not started.
        """
        if self._vici is None:
            raise AssertionError("our daemon has not been started")
        return self._vici

    def client(self) -> Vici:
        """One more client, for a command that takes its time."""
        made = Vici(self._socket, ())
        self._others.append(made)
        return made

    def ask(self, command: str, message: Content | None = None, timeout: float = 20.0) -> Section:
        """
        The answer to a command of vici.

        :raises Refused: with the daemon's sentence.
        """
        return self.vici.ask(command, message, timeout)

    def load(self) -> None:
        """What its ``swanctl.conf`` says, by ``swanctl --load-all``."""
        self.swanctl("--load-all", "--noprompt")

    def initiate(self, connection: str, child: str = "", timeout: float = 20.0) -> None:
        """
        A child, or an ISAKMP SA alone, which stands then.

        :raises Refused: with the daemon's sentence.
        """
        message = {"ike": connection, **({"child": child} if child else {})}
        self.ask("initiate", message, timeout)

    def terminate(self, **which: str) -> int:
        """
        Ends SAs.

        :param which: ``ike``, ``child``, ``ike_id``, ``child_id``, ``force``, ``timeout``.
        :returns: how many.
        :raises Refused: with the daemon's sentence.
        """
        said = {key.replace("_", "-"): value for key, value in which.items()}
        return int(str(self.ask("terminate", said)["terminated"]))

    def terminate_all(self) -> None:
        """
        Ends whatever stands or is begun.

        :raises AssertionError: if something stands then.
        """
        for name in {sa.name for sa in self.list_sas()}:
            try:
                self.terminate(ike=name)
            except Refused as refused:
                if refused.answer.get("matches") != "0":  # it went by itself meanwhile
                    raise
        if left := self.standing():
            raise AssertionError(f"{left} stands after all was ended\n{self.log()}")

    def list_sas(self, **only: str) -> list[IKESA]:
        """What it holds now, children inside."""
        return self.vici.list_sas(**only)

    def standing(self) -> Standing:
        """What it lists that is agreed."""
        return Standing.of(self.list_sas())

    def happened(self, *events: str) -> list[Section]:
        """
        What it has told of since it was started, in order.  It may have ended since.

        :param events: ``ike-updown``, ``child-updown``, ``ike-rekey``, ``child-rekey``, ``alert``,
            ``log``.
        """
        return [content for name, content in self.vici.look() if name in events]

    def told_up(self) -> set[str]:
        """
        What has gone up and not down, as it has told: connections, and connection and child with a
        stroke between them.
        """
        up: set[str] = set()
        for content in self.happened("ike-updown"):
            self._count(up, content, inner(content))
        for content in self.happened("child-updown"):
            for name, sa in inner(content).items():
                children = sa["child-sas"]
                assert isinstance(children, dict)
                names = (f"{name}/{child['name']}" for child in inner(children).values())
                self._count(up, content, names)
        return up

    @staticmethod
    def _count(up: set[str], content: Section, names: Iterable[str]) -> None:
        (up.update if content.get("up") == "yes" else up.difference_update)(names)

    def told(self, *groups: str) -> list[str]:
        """The lines that it has told as events ``log``, of all groups or of these."""
        return [
            str(content["msg"])
            for content in self.happened("log")
            if not groups or content["group"] in groups
        ]

    def swanctl(self, *arguments: str, timeout: float = 20.0) -> str:
        """
        Runs ``swanctl`` against this daemon.

        :returns: what it printed.
        :raises SwanctlFailed: if it failed; the text is what it printed.
        """
        return run_swanctl(self.namespace, self.uri, self.directory, *arguments, timeout=timeout)

    def wait_until(
        self, reached: Callable[[], object], what: str = "it is not so", timeout: float = 12.0
    ) -> None:
        """
        Looks until something is so.

        :param what: is said if it is not.
        :raises AssertionError: after ``timeout`` seconds, or as soon as the daemon has ended.
        """
        deadline = time.monotonic() + timeout
        while not reached():
            assert self.pid
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} in {timeout} s\n{self.log()}")
            time.sleep(_PAUSE)

    def wait_for_told(self, *patterns: str, timeout: float = 12.0) -> None:
        """
        Waits until it has told something by events ``log``.

        :param patterns: regular expressions, each of which has to be found in a line.
        :raises AssertionError: as :meth:`wait_until`.
        """
        self._search(lambda: self.told(), patterns, timeout)

    # -- by its log ----------------------------------------------------------------------------

    def log(self) -> str:
        """All that it has written so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def expect(self, *patterns: str, timeout: float = 12.0) -> None:
        """
        Waits until something stands in its log.

        :param patterns: regular expressions, all of which have to be found; ``.`` is no line end.
        :raises AssertionError: after ``timeout`` seconds, or as soon as it has ended.
        """
        self._search(lambda: [self.log()], patterns, timeout)

    def _search(
        self, texts: Callable[[], Sequence[str]], patterns: Iterable[str], timeout: float
    ) -> None:
        missing = list(patterns)

        def all_found() -> bool:
            found = texts()
            missing[:] = [p for p in missing if not any(re.search(p, text) for text in found)]
            return not missing

        try:
            self.wait_until(all_found, "it has not said it", timeout)
        except AssertionError as error:
            raise AssertionError("\n".join([*missing, str(error)])) from None

    def faults(self) -> list[str]:
        """The lines of its log that tell of a fault of its own, or of its configuration."""
        return [line for line in self.log().splitlines() if _FAULT.search(line)]

    # -- by signals ----------------------------------------------------------------------------

    def hang_up(self) -> None:
        """SIGHUP: it reads its ``swanctl.conf`` again."""
        os.kill(self.pid, signal.SIGHUP)

    def stop(self, within: float = 2.0) -> int:
        """
        SIGTERM, and its exit.  What it tells until then is kept.

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
        self._leave()
        return status

    def kill(self) -> None:
        """Ends it by force.  Nothing if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        self._leave()
        self._socket.unlink(missing_ok=True)

    def _leave(self) -> None:
        others, self._others = self._others, []
        for client in others:
            client.close()
        if self._vici is not None:
            self._vici.close()
