"""
One run of a script, which has its time and says what is logged.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from typing import cast

from twisted.internet.interfaces import (
    IDelayedCall,
    IProcessTransport,
    IReactorProcess,
    IReactorTime,
)
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from isakmp.logs import Logger
from isakmp.updown.call import Call, printable

SECONDS = 60.0
"""How long one may run before it is asked to end."""

GRACE = 5.0
"""How long it has for that before it is killed."""

LINGERING = 1.0
"""How long is read on what a script has left open to others when it has ended."""

MAX_LINES, MAX_LINE = 100, 400
"""What is logged of one run: lines, and octets of each."""


class Script(ProcessProtocol):
    """
    One run of a script.

    :param up: whether the child has come up, or is gone.
    :param ended: called when it has ended, or could not be run; never from within :meth:`start`.
    """

    _log = Logger()

    def __init__(
        self,
        processes: IReactorProcess,
        clock: IReactorTime,
        call: Call,
        up: bool,
        ended: Callable[[], None],
    ) -> None:
        self._processes = processes
        self._clock = clock
        self._ended = ended
        self._call = call
        self._up = up
        self._why = ""
        self._lines = 0
        self._unfinished = {1: b"", 2: b""}
        self._timer: IDelayedCall | None = None
        self._exited = False

    def start(self) -> None:
        """Run it."""
        self._log.debug("{line}", line=f"{self._label} begins", **self._fields)
        why = self._spawn()
        if why:
            self._failed(why)
            # Not from within: who has begun it does not expect it to have ended.
            self._clock.callLater(0, self._ended)

    def _spawn(self) -> str:
        """
        :return: why it cannot be run; empty if it does.
        """
        words = shlex.split(self._call.command)
        found = shutil.which(words[0])
        if found is None:
            there = os.path.exists(words[0])
            return f"{words[0]} {'cannot be executed' if there else 'is not there'}"
        try:
            self._processes.spawnProcess(
                self, found, words, self._call.variables(self._up), path=None
            )
        except OSError as error:
            return f"{words[0]}: {error.strerror}"
        return ""

    def kill(self) -> None:
        """At once."""
        self._signal("KILL")

    def connectionMade(self) -> None:
        """From Twisted: it runs."""
        self._process.closeStdin()
        self._set(SECONDS, self._too_long)

    @property
    def _process(self) -> IProcessTransport:
        return cast(IProcessTransport, self.transport)

    def _set(self, seconds: float, call: Callable[[], None]) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._clock.callLater(seconds, call)

    def _too_long(self) -> None:
        self._why = f"it has not ended after {SECONDS:.0f} s"
        self._signal("TERM")
        self._set(GRACE, self.kill)

    def _signal(self, signal: str) -> None:
        # signalProcess raises an exception of its own when there is no process any more.
        if not self._exited and self.transport is not None:
            self._process.signalProcess(signal)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """From Twisted: it says something."""
        *lines, rest = (self._unfinished[childFD] + data).split(b"\n")
        for line in lines:
            self._say(line)
        self._unfinished[childFD] = rest[: MAX_LINE + 1]

    def _say(self, line: bytes) -> None:
        if not line.strip() or self._lines > MAX_LINES:
            return
        self._lines += 1
        text = shown(line) if self._lines <= MAX_LINES else "says more, which is not logged"
        self._log.info("{line}", line=f"{self._label}: {text}", **self._fields)

    def processExited(self, reason: Failure) -> None:
        """From Twisted: it has ended; others may still hold its output."""
        self._exited = True
        self._set(LINGERING, self._process.loseConnection)

    def processEnded(self, reason: Failure) -> None:
        """From Twisted: nothing more will come of it."""
        self._exited = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for rest in self._unfinished.values():
            self._say(rest)
        signal = getattr(reason.value, "signal", None)
        status = getattr(reason.value, "exitCode", None)
        if self._why:
            self._failed(self._why)
        elif signal is not None:
            self._failed(f"signal {signal} has ended it")
        elif status:
            self._failed(f"its exit status is {status}")
        self._ended()

    def _failed(self, why: str) -> None:
        self._log.error("{line}", line=f"{self._label} failed: {why}", why=why, **self._fields)

    @property
    def _label(self) -> str:
        verb = self._call.verb(self._up)
        return f"{self._call.connection}/{self._call.child}, updown {verb}"

    @property
    def _fields(self) -> dict[str, str]:
        return {"connection": self._call.connection, "child": self._call.child}


def shown(line: bytes) -> str:
    """A line of a script's output, as it is logged."""
    text = line[:MAX_LINE].decode("utf-8", "backslashreplace").rstrip()
    more = "..." if len(line) > MAX_LINE else ""
    return "".join(one if one.isprintable() else printable(one) for one in text) + more
