"""
What the benchmarks of a responder share: two namespaces, a responder that is ours or charon, our
initiator in front of it, and what the kernel says of the responder's process.

The initiator (:mod:`tests.bench._initiator`) runs in the left namespace, the responder in the
right one.  Ours is :mod:`tests.bench._responder`.  Both responders read the same ``swanctl.conf``,
with one connection that any peer may use and one child, and write what they write by default into
a log file.  Neither protects traffic: their SAs go to a sink that keeps nothing, and to the
kernel-null plugin.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.interop import charon
from tests.interop.charon import Charon
from tests.interop.namespaces import Namespace, NamespacePair
from tests.interop.node import NodeProcess

SECRET = "lab secret psk"
RESPONDER_ID = "r.lab"
RESPONDER_TS = "10.82.0.0/16"
INITIATORS_TS = "10.128.0.0/9"
"""Each initiator protects the traffic of one address in it."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Suites:
    """
    What is negotiated, in strongSwan's spelling.

    :ivar isakmp: of the ISAKMP SA.
    :ivar child: of the ESP pair; with a group after it for perfect forward secrecy.
    """

    isakmp: str = "aes128-sha256-modp2048"
    child: str = "aes128-sha256"


@dataclass(frozen=True, slots=True)
class Held:
    """
    How much a responder holds.

    :ivar isakmp: ISAKMP SAs that are established.
    :ivar children: pairs of ESP SAs that are installed.
    :ivar half_open: exchanges of which only the first message has come.
    """

    isakmp: int = 0
    children: int = 0
    half_open: int = 0


class Responder(Protocol):
    """One responder that runs, alone in its namespace."""

    def held(self) -> Held:
        """Asks it.  It has to work for the answer: never while something is measured."""

    def stop(self) -> None:
        """Ends it."""


class OurResponder:
    """Our daemon."""

    def __init__(self, namespace: Namespace, suites: Suites, directory: Path) -> None:
        directory.mkdir(parents=True)
        config, settings = directory / "swanctl.conf", directory / "isakmp.toml"
        config.write_text(_swanctl_conf(namespace, suites))
        settings.write_text(_SETTINGS.format(namespace.address))
        spec = {"config": config, "settings": settings, "log": directory / "node.log"}
        spec = {name: str(path) for name, path in spec.items()}
        self._node = NodeProcess(namespace, spec, directory, module="tests.bench._responder")
        self._node.start().expect("ready", _PATIENCE)

    def held(self) -> Held:
        self._node.command("held")
        told = self._node.expect("held", _PATIENCE)
        return Held(told["isakmp"], told["children"], told["half_open"])

    def stop(self) -> None:
        self._node.stop(timeout=1.0)  # it is not asked to delete what it holds


class CharonResponder:
    """
    strongSwan's charon.

    :param short: whether its gmp plugin computes modular groups, with exponents that are no longer
        than the strength of the group asks for.
    """

    def __init__(
        self, namespace: Namespace, suites: Suites, directory: Path, *, short: bool = False
    ) -> None:
        self._charon = Charon(
            namespace,
            _swanctl_conf(namespace, suites),
            directory,
            options=_OPTIONS + ("dh_exponent_ansi_x9_42 = no\n" if short else ""),
            plugins=("gmp", *charon.PLUGINS) if short else charon.PLUGINS,
            levels=dict.fromkeys(charon.LEVELS, 1),  # its default
        ).start(_PATIENCE)

    def held(self) -> Held:
        sas = self._charon.list_sas()
        states = [sa.state for sa in sas]
        children = [child.state for sa in sas for child in sa.children]
        return Held(
            states.count("ESTABLISHED"), children.count("INSTALLED"), states.count("CONNECTING")
        )

    def stop(self) -> None:
        self._charon.stop(timeout=0.0)  # it would delete every SA first


Start = Callable[[Namespace, Suites, Path], Responder]

RESPONDERS: Mapping[str, Start] = {
    "ours": OurResponder,
    "charon": CharonResponder,
    "charon_short": lambda *where: CharonResponder(*where, short=True),
}

# More than any run makes: the bounds are not what is measured.
_SETTINGS = """
listen = ["{}"]
vici = ""
[limits]
half_open = 100000
half_open_per_address = 100000
half_open_seconds = 900
"""

# The same for charon; and a hash table for its SAs, as its manual wants it for many.
_OPTIONS = """
dos_protection = no
ikesa_table_size = 4096
half_open_timeout = 900
"""


def _swanctl_conf(namespace: Namespace, suites: Suites) -> str:
    return f"""
connections {{
  lab {{
    version = 1
    local_addrs = {namespace.address}
    remote_addrs = %any
    proposals = {suites.isakmp}
    local {{
      auth = psk
      id = {RESPONDER_ID}
    }}
    remote {{
      auth = psk
      id = %any
    }}
    children {{
      net {{
        local_ts = {RESPONDER_TS}
        remote_ts = {INITIATORS_TS}
        esp_proposals = {suites.child}
        mode = tunnel
      }}
    }}
  }}
}}
secrets {{
  ike-lab {{
    secret = "{SECRET}"
  }}
}}
"""


class Initiator:
    """
    Our initiators: as many peers as are asked for, in one process.

    :param peers: the most handshakes that it can be asked for.
    """

    def __init__(
        self, ends: NamespacePair, suites: Suites, directory: Path, peers: int
    ) -> None:
        spec = {
            "listen": ends.left.address,
            "remote": ends.right.address,
            "proposal": suites.isakmp,
            "child": suites.child,
            "peers": peers,
        }
        self._node = NodeProcess(ends.left, spec, directory, module="tests.bench._initiator")
        self._node.start().expect("ready", _PATIENCE)

    def handshakes(self, count: int, in_flight: int) -> None:
        """
        So many new peers have each established an ISAKMP SA and, under it, a pair of ESP SAs.

        :param in_flight: how many are at it at the same time.
        :raises AssertionError: if one of them has failed.
        """
        self._do("handshakes", count=count, in_flight=in_flight)

    def first_messages(self, count: int) -> None:
        """
        So many strangers have each sent the first message of Main Mode and got an answer.

        :raises AssertionError: if one of them was not answered.
        """
        self._do("first_messages", count=count)

    def _do(self, what: str, **arguments: int) -> None:
        self._node.command(what, **arguments)
        self._node.expect("done", 600.0)

    def stop(self) -> None:
        """Ends it."""
        self._node.stop(timeout=1.0)


class Process:
    """
    What the kernel says of the only process in a namespace.
    """

    def __init__(self, namespace: Namespace) -> None:
        listed = subprocess.run(
            ["ip", "netns", "pids", namespace.name], capture_output=True, text=True, check=True
        )
        (self._pid,) = map(int, listed.stdout.split())

    @property
    def seconds(self) -> float:
        """Processor time so far, of all its threads, in the kernel too: proc(5), utime, stime."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def resident(self) -> int:
        """Octets of memory that it has now."""
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    def wait_until_idle(self, timeout: float = 20.0) -> None:
        """
        It has done what it was given.

        :raises AssertionError: if it has not after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        before = -1.0
        while (now := self.seconds) > before:
            if time.monotonic() > deadline:
                raise AssertionError("the responder does not come to rest")
            before = now
            time.sleep(0.25)


@dataclass(frozen=True, slots=True)
class Bench:
    """
    A responder and its initiators, ready.
    """

    responder: Responder
    initiator: Initiator
    process: Process


class Laboratory:
    """
    Two namespaces, and in them one :class:`Bench` after another.
    """

    def __init__(self, ends: NamespacePair, directory: Path) -> None:
        self._ends = ends
        self._directory = directory
        self._runs = 0

    @contextmanager
    def bench(
        self, start: Start, suites: Suites, peers: int, asked: Suites | None = None
    ) -> Iterator[Bench]:
        """
        A new responder and a new initiator; both end with the context.

        :param start: of :data:`RESPONDERS`.
        :param peers: the most handshakes that the initiator can be asked for.
        :param asked: what it asks for, if not what the responder takes.
        """
        self._runs += 1
        files = self._directory / str(self._runs)
        with ExitStack() as stack:
            responder = start(self._ends.right, suites, files / "responder")
            stack.callback(responder.stop)
            initiator = Initiator(self._ends, asked or suites, files / "initiator", peers)
            stack.callback(initiator.stop)
            yield Bench(responder, initiator, Process(self._ends.right))


@contextmanager
def laboratory() -> Iterator[Laboratory]:
    """The namespaces, and a directory for what is written; both vanish with the context."""
    with (
        tempfile.TemporaryDirectory(prefix="isakmp-bench-") as directory,
        NamespacePair() as ends,
    ):
        yield Laboratory(ends, Path(directory))


def obstacle() -> str | None:
    """Why none of this can run here, in a sentence; None if it can."""
    return charon.obstacle()


def spread(figures: Sequence[float], digits: int = 3) -> dict[str, float]:
    """The median of some rounds, and the least and the most of them."""
    return {
        "median": round(statistics.median(figures), digits),
        "least": round(min(figures), digits),
        "most": round(max(figures), digits),
    }


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Our median by theirs; None if theirs is too little to be measured."""
    least = statistics.median(theirs)
    return round(statistics.median(ours) / least, 2) if least > 0 else None


def result(name: str, measure: Callable[..., dict[str, Any]], *arguments: int) -> dict[str, Any]:
    """What a benchmark prints: what was measured, or why nothing could be."""
    reason = obstacle()
    return {"bench": name, **({"not_run": reason} if reason else measure(*arguments))}
