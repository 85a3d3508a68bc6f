"""
Lines of the log as strongSwan's users sort them: by group, and by level.

A group is what part of the daemon speaks; a level how much detail it is: 0 is said always, 1 is
what an administrator wants to see, 2 and more is for finding faults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twisted.logger import LogEvent, LogLevel, formatEvent

PACKAGE = "isakmp."
"""How the namespaces of loggers begin whose lines are told."""

GROUPS: Mapping[str, str] = {
    "isakmp.exchange": "IKE",
    "isakmp.ike": "IKE",
    "isakmp.initiation": "IKE",
    "isakmp.renewal": "IKE",
    "isakmp.lifetimes": "IKE",
    "isakmp.journal": "IKE",
    "isakmp.wire": "ENC",
    "isakmp.udp": "NET",
    "isakmp.service": "NET",
    "isakmp.marker": "NET",
    "isakmp.daemon": "CFG",
    "isakmp.config": "CFG",
    "isakmp.control": "CFG",
    "isakmp.doi": "CHD",
    "isakmp.sinks": "KNL",
}
"""By the beginning of a logger's namespace; the longest counts."""

OTHERS = "LIB"
"""The group of what has none."""

_LEVELS: Mapping[LogLevel, int] = {
    LogLevel.critical: 0,
    LogLevel.error: 0,
    LogLevel.warn: 0,
    LogLevel.info: 1,
    LogLevel.debug: 2,
}


@dataclass(frozen=True, slots=True)
class Line:
    """
    One line of the log.

    :ivar group: ``IKE``, ``ENC``, ``NET``, ``CFG``, ``CHD``, ``KNL`` or ``LIB``.
    :ivar level: 0 to 2.
    :ivar connection: whose it is; empty if it is nobody's.
    """

    group: str
    level: int
    connection: str
    text: str

    @classmethod
    def of(cls, event: LogEvent) -> Line | None:
        """The line of an event of twisted.logger's; None if none of this package's said it."""
        namespace = str(event.get("log_namespace", ""))
        if not namespace.startswith(PACKAGE):
            return None
        connection = event.get("connection")
        level = event.get("log_level", LogLevel.info)
        group = group_of(namespace)
        return cls(
            "CHD" if group == "IKE" and event.get("child") else group,
            _LEVELS.get(level, 1),
            connection if isinstance(connection, str) else "",
            formatEvent(event),
        )


def group_of(namespace: str) -> str:
    """The group of a logger."""
    words = namespace.split(".")
    for count in range(len(words), 0, -1):
        group = GROUPS.get(".".join(words[:count]))
        if group is not None:
            return group
    return OTHERS
