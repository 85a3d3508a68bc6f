"""
Our own node as a process of its own in a network namespace, driven by lines of JSON.

The process is ``python -m tests.interop.peer SPEC.json``.  Each line is one object.

It reads commands from standard input::

    {"do": "establish", "connection": "lab", "child": "net"}
    {"do": "delete"}                every SA, and the peer is told
    {"do": "sas"}                   answered by the event sas
    {"do": "stop"}                  end; so does the end of standard input

and writes events to standard output, each at once::

    {"event": "ready"}              its sockets are open
    {"event": "established", "kind": "isakmp" or "child", ...}
    {"event": "removed", "kind": "isakmp" or "child", ...}
    {"event": "failed", "reason": a sentence}
    {"event": "ladder", "line": one message of the conversation, for people}
    {"event": "sas",
     "isakmp": [{"connection", "initiator_cookie", "responder_cookie", "fingerprints"}, ...],
     "children": [{"child", "protocol", "mode", "inbound", "outbound", "fingerprints"}, ...]}

Cookies and SPIs are lower case hexadecimal digits, 16 and 8 of them; ``protocol`` is ``ESP`` or
``AH``, ``mode`` is ``tunnel`` or ``transport``.  ``fingerprints`` are what may be shown of keys: of
an ISAKMP SA as :mod:`tests.interop.keys` has them, of a child by SPI.  An event may carry more than
this.

The specification says what the node is (see :meth:`tests.interop.scenario.Scenario.spec`).  Its
``patience`` is in seconds: how long an exchange waits in vain before it fails; a quarter of it, if
it was refused something without proof.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from tests.interop import CHECKOUT
from tests.interop.namespaces import Namespace

#: One line of the protocol: what JSON gives.
Event: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HeldISAKMPSA:
    """An ISAKMP SA in our registry; cookies in hexadecimal."""

    connection: str
    initiator_cookie: str
    responder_cookie: str
    fingerprints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HeldChild:
    """An SA pair in our registry; SPIs in hexadecimal."""

    child: str
    protocol: str
    mode: str
    inbound: str
    outbound: str
    fingerprints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HeldSAs:
    """All that our registry holds at one moment."""

    isakmp: tuple[HeldISAKMPSA, ...]
    children: tuple[HeldChild, ...]

    def __bool__(self) -> bool:
        return bool(self.isakmp or self.children)


class NodeProcess:
    """
    One of our nodes, from :meth:`start` to :meth:`stop`.

    :param namespace: where it runs; None: where we are.
    :param spec: what it is; written to ``spec.json`` for it.
    :param directory: where its specification, its events (``events.jsonl``) and its standard
        error (``node.err``) go; made here, and kept.
    :param module: the program.
    """

    def __init__(
        self,
        namespace: Namespace | None,
        spec: Mapping[str, object],
        directory: Path,
        *,
        module: str = "tests.interop.peer",
    ) -> None:
        self.namespace = namespace
        self.spec = spec
        self.directory = directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.seen: list[Event] = []
        self._module = module
        self._unclaimed: list[Event] = []
        self._buffer = b""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> NodeProcess:
        """Starts it and does not wait: ``expect("ready")`` does."""
        specification = self.directory / "spec.json"
        specification.write_text(json.dumps(self.spec, indent=1))
        command = [sys.executable, "-m", self._module, str(specification)]
        with (self.directory / "node.err").open("wb") as errors:
            self._process = subprocess.Popen(
                self.namespace.command(*command) if self.namespace is not None else command,
                env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
                cwd=self.directory,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        return self

    def command(self, do: str, **arguments: object) -> None:
        """
        Sends one command: ``command("establish", connection="lab", child="net")``.

        :raises AssertionError: if the process is gone.
        """
        stdin = self._running().stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            raise AssertionError(f"the node ended before {do!r}\n{self.account()}") from None

    def expect(self, event: str, timeout: float = 8.0, **fields: object) -> Event:
        """
        Waits for an event, and takes it: the next call gets another one.  The others stay.

        :param event: its name.
        :param timeout: seconds.
        :param fields: what else it must carry: ``kind="child"``.
        :raises AssertionError: if it has not come in time, the process has ended, or it told of a
            failure that was not expected.
        """
        deadline = time.monotonic() + timeout
        wanted = {"event": event, **fields}
        while True:
            for position, candidate in enumerate(self._unclaimed):
                if wanted.items() <= candidate.items():
                    return self._unclaimed.pop(position)
                if candidate["event"] == "failed":
                    raise AssertionError(f"the node failed before {wanted}\n{self.account()}")
            for line in self._read(deadline, wanted):
                self._note(line)

    def sas(self, timeout: float = 8.0) -> HeldSAs:
        """What its registry holds now."""
        self.command("sas")
        told = self.expect("sas", timeout)
        return HeldSAs(
            isakmp=tuple(
                HeldISAKMPSA(
                    sa["connection"],
                    sa["initiator_cookie"],
                    sa["responder_cookie"],
                    sa["fingerprints"],
                )
                for sa in told["isakmp"]
            ),
            children=tuple(
                HeldChild(
                    sa["child"],
                    sa["protocol"],
                    sa["mode"],
                    sa["inbound"],
                    sa["outbound"],
                    sa["fingerprints"],
                )
                for sa in told["children"]
            ),
        )

    def wait_for_sas(self, reached: Callable[[HeldSAs], bool], timeout: float = 8.0) -> HeldSAs:
        """
        Asks for what its registry holds until it is as wanted.

        :raises AssertionError: after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while not reached(held := self.sas()):
            if time.monotonic() > deadline:
                raise AssertionError(f"our node holds {held}\n{self.account()}")
            # Whatever changes the registry is told as an event.
            self._output(0.05)
        return held

    def account(self) -> str:
        """What it has told so far, and its standard error: for the text of a failure."""
        told = "\n".join(
            event["line"] if event["event"] == "ladder" else json.dumps(event)
            for event in self.seen
        )
        errors = (self.directory / "node.err").read_text(errors="replace")
        return f"{told}\n{errors}"

    def stop(self, timeout: float = 5.0) -> int | None:
        """
        Ends it: asks, and after ``timeout`` seconds kills it.

        :returns: its exit status; None if it did not run.
        """
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            rest, _ = process.communicate(b'{"do": "stop"}\n', timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            rest, _ = process.communicate()
        with (self.directory / "events.jsonl").open("ab") as events:
            events.write(self._buffer + rest)
        return process.returncode

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise AssertionError("the node has not been started")
        return self._process

    def _output(self, timeout: float) -> int | None:
        """Its standard output, once there is something to read; None if nothing comes in time."""
        stdout = self._running().stdout
        assert stdout is not None
        ready, _, _ = select.select([stdout], [], [], max(0.0, timeout))
        return stdout.fileno() if ready else None

    def _read(self, deadline: float, wanted: Mapping[str, object]) -> list[bytes]:
        """The lines that came next: none if only a part of one did."""
        output = self._output(deadline - time.monotonic())
        if output is None:
            raise AssertionError(f"the node has not told {wanted} in time\n{self.account()}")
        octets = os.read(output, 65536)
        if not octets:
            raise AssertionError(f"the node ended before {wanted}\n{self.account()}")
        *lines, self._buffer = (self._buffer + octets).split(b"\n")
        return lines

    def _note(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict) or "event" not in event:
            raise AssertionError(f"no event: {line!r}\n{self.account()}")
        self.seen.append(event)
        with (self.directory / "events.jsonl").open("ab") as events:
            events.write(line + b"\n")
        if event["event"] != "ladder":
            self._unclaimed.append(event)
