"""
The lines of the log as they are written: as text, or as JSON with one object in each line.

``twistd`` makes its own observer of its options.  Unless these name another one, ``twistd isakmp``
puts :class:`LogLines` there, which writes to the same file and can change its format while it runs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from types import FrameType
from typing import IO, Any

from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    eventAsText,
    formatEvent,
    formatEventAsClassicLogText,
)
from twisted.python.logfile import LogFile
from zope.interface import implementer

from isakmp.config.settings import FORMATS
from isakmp.logs import FIELDS, PACKAGE, detail_of, group_of_event

MAX_VALUE = 16384
"""The most characters of one field in JSON."""

_format = "text"


def set_format(name: str) -> None:
    """
    From now on write lines so.

    :param name: one of :data:`FORMATS`.
    :raises ValueError: for any other.
    """
    global _format
    if name not in FORMATS:
        raise ValueError(f"{name!r} is not a format")
    _format = name


def as_text(event: LogEvent) -> str:
    """An event as Twisted writes it: time, who speaks, the text; empty if there is none."""
    return formatEventAsClassicLogText(event) or ""


def as_json(event: LogEvent) -> str:
    """
    An event as one object in one line.

    ``time`` (RFC 3339, UTC), ``level``, ``message`` and ``namespace`` are always there; of what
    this package says also ``group``, ``detail`` and the fields in :data:`isakmp.logs.FIELDS`;
    ``failure`` is a traceback.  Nothing else of an event is written.
    """
    level = event.get("log_level", LogLevel.info)
    time = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    namespace = str(event.get("log_namespace", ""))
    found: dict[str, object] = {
        "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": level.name,
        "namespace": namespace,
        "message": formatEvent(event),
    }
    if namespace.startswith(PACKAGE):
        found["group"] = group_of_event(event)
        found["detail"] = detail_of(event)
        for name in FIELDS:
            # The text of a line is there as the message.
            if name in event and name != "line":
                found[name] = _value(event[name])
    if "log_failure" in event:
        found["failure"] = eventAsText(event, includeTimestamp=False, includeSystem=False)
    return json.dumps(found) + "\n"


def _value(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)[:MAX_VALUE]


_twistd: Mapping[str, Any] = {}


def written_for(options: Mapping[str, Any], format: str) -> str:
    """
    Have the observer that :func:`observer` makes write where ``twistd`` would.

    :param options: of ``twistd``.
    :return: its name: the value of the option ``--logger``.
    """
    global _twistd
    _twistd = options
    set_format(format)
    return f"{__name__}.{observer.__name__}"


def observer() -> LogLines:
    """What ``twistd`` asks for its observer."""
    return LogLines.for_twistd(_twistd)


@implementer(ILogObserver)
class LogLines:
    """
    Writes lines in the format of the moment.

    :param file: takes text.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def __call__(self, event: LogEvent) -> None:
        """From twisted.logger."""
        text = as_json(event) if _format == "json" else as_text(event)
        if text:
            self._file.write(text)
            self._file.flush()

    @classmethod
    def for_twistd(cls, options: Mapping[str, Any]) -> LogLines:
        """
        What writes where ``twistd`` would with these options.

        A daemon writes to the file ``twistd.log`` if nothing is said, and SIGUSR1 turns it over.

        :raises SystemExit: if a daemon is to write to standard output, which it has not.
        """
        name, nodaemon = options.get("logfile", ""), options.get("nodaemon", False)
        if name == "-" and not nodaemon:
            raise SystemExit("Daemons cannot log to stdout, exiting!")
        if nodaemon and name in ("", "-", None):
            return cls(sys.stdout)
        file = LogFile.fromFullPath(os.path.abspath(name or "twistd.log"))
        if not signal.getsignal(signal.SIGUSR1):

            def rotate(number: int, frame: FrameType | None) -> None:
                from twisted.internet import reactor

                reactor.callFromThread(file.rotate)  # type: ignore[attr-defined]

            signal.signal(signal.SIGUSR1, rotate)
        return cls(file)
