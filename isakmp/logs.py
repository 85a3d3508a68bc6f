"""
How much is logged, of what, and under which names.

Twisted's observers write whatever they are given, at every level.  Here a message below the level
is not even made: no line of it is formatted.

Lines are sorted as strongSwan sorts its own, so that whoever knows one log can read the other: by
*group*, which part of the daemon speaks, and by *detail*, a number from 0 (always said) over 1
(what an administrator wants to see) and 2 (every message) to 3 (its octets).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, cast

from twisted.logger import LogEvent, LogLevel

from twisted import logger

PACKAGE = "isakmp."
"""How the namespaces of this package's loggers begin."""

GROUPS: Mapping[str, str] = {
    "isakmp.exchange": "IKE",
    "isakmp.ike": "IKE",
    "isakmp.kink": "IKE",
    "isakmp.initiation": "IKE",
    "isakmp.renewal": "IKE",
    "isakmp.relocation": "IKE",
    "isakmp.lifetimes": "IKE",
    "isakmp.registry": "IKE",
    "isakmp.journal": "IKE",
    "isakmp.ladder": "ENC",
    "isakmp.wire": "ENC",
    "isakmp.udp": "NET",
    "isakmp.packet_info": "NET",
    "isakmp.icmp": "NET",
    "isakmp.service": "NET",
    "isakmp.marker": "NET",
    "isakmp.daemon": "CFG",
    "isakmp.config": "CFG",
    "isakmp.control": "CFG",
    "isakmp.doi": "CHD",
    "isakmp.updown": "CHD",
    "isakmp.sinks": "KNL",
}
"""strongSwan's group by the beginning of a logger's namespace; the longest counts."""

OTHERS = "LIB"
"""The group of what has none."""

NAMES = ("IKE", "ENC", "NET", "CFG", "CHD", "KNL", OTHERS)
"""Every group."""

SILENT, MOST = -1, 4
"""The bounds of a group's level.  4, where strongSwan writes keys, has no more than 3 here."""

DUMPED = 3
"""The level at which datagrams are written as they are."""

MAX_DUMPED = 4096
"""The most octets of one that are."""

_DETAILS: Mapping[LogLevel, int] = {
    LogLevel.critical: 0,
    LogLevel.error: 0,
    LogLevel.warn: 0,
    LogLevel.info: 1,
    LogLevel.debug: 2,
}

FIELDS: Mapping[str, str] = {
    "connection": "the name of a connection",
    "child": "the name of a child of it",
    "peer": "address and port of the other end",
    "before": "where the peer was, before it moved",
    "local": "our own, where a message came to or left from",
    "ours": "who we are on an SA",
    "theirs": "who the peer has proved to be",
    "exchange": "an exchange, as its RFC calls it",
    "role": "what we are in it: initiator or responder",
    "at": "the message at which it failed: the arrow of the diagram",
    "cookies": "both cookies of an ISAKMP SA, the initiator's first",
    "uniqueid": "the number that an ISAKMP SA had in lists, where it ends",
    "message_id": "of an exchange in phase 2, eight hexadecimal digits; zeros in phase 1",
    "spi_in": "the SPIs of what we receive, one for each protocol",
    "spi_out": "the SPIs of what we send",
    "event": "the rule that was broken, by the name that RFC 2408 section 5 has for it",
    "why": "the reason, as the sentence says it",
    "rule": "what was checked",
    "offered": "what the peer said",
    "configured": "what this end would have taken",
    "matching": "what would have matched, where this end can know it",
    "remedy": "what would help",
    "owners": "whom a secret is for, by name",
    "kind": "a notification, or a class of events, by name",
    "algorithms": "what was agreed, spelled as in the configuration",
    "mode": "tunnel or transport",
    "selectors": "the traffic of a child: ours, a dash, the peer's",
    "network": "what a route leads to",
    "sink": "where finished SAs go, by name",
    "seconds": "a time",
    "count": "how many",
    "addresses": "all that is listened on",
    "file": "a configuration file",
    "directory": "where keys for Wireshark are written",
    "what": "what could not be done, or who could not do it",
    "direction": "of a message: sent or received",
    "sealed": "whether the message travelled encrypted",
    "repeated": "whether the same octets were sent before",
    "octets": "the size of a datagram",
    "data": "a datagram in hexadecimal digits, at level 3",
    "line": "the whole text of the line",
}
"""Every field that a line of this package may have; what ``log_`` begins is Twisted's own."""

_least = LogLevel.debug
_groups: Mapping[str, int] = {}
_watchers: dict[object, Callable[[], None]] = {}


class Logger(logger.Logger):
    """A logger that says nothing below the level."""

    def emit(
        self, level: logger.LogLevel, format: str | None = None, **kwargs: object
    ) -> None:
        """From Twisted: every message comes this way."""
        if _groups and "log_failure" not in kwargs:
            group = group_of(self.namespace, "child" in kwargs)
            if group in _groups:
                if _DETAILS[level] <= _groups[group]:
                    super().emit(level, format, **kwargs)
                return
        if level >= _least:
            super().emit(level, format, **kwargs)

    def __get__(self, instance: object, owner: type[Any] | None = None) -> Logger:
        """From Python: one that says of whom it is."""
        return cast(Logger, super().__get__(instance, owner))

    def dump(self, format: str, octets: bytes, **kwargs: object) -> None:
        """
        Log a datagram, at the detail 3; below it not even its digits are made.

        :param format: of the line; ``{octets}`` is its size and ``{data}`` its content.
        """
        if level_of(group_of(self.namespace)) >= DUMPED:
            super().emit(
                LogLevel.debug,
                format,
                octets=len(octets),
                data=octets[:MAX_DUMPED].hex(),
                log_detail=DUMPED,
                **kwargs,
            )


def set_level(name: str, groups: Mapping[str, int] | None = None) -> None:
    """
    From now on log this level and what is worse.

    :param name: ``debug``, ``info``, ``warn``, ``error`` or ``critical``.
    :param groups: strongSwan's level of some groups, by the names in :data:`NAMES`: it counts for
        these instead.  A fault of ours is logged whatever they say.
    :raises ValueError: for any other; then nothing has changed.
    """
    global _least, _groups
    try:
        least = LogLevel.levelWithName(name)
    except logger.InvalidLogLevelError:
        raise ValueError(f"{name!r} is not a level") from None
    for group, number in (groups or {}).items():
        if group not in NAMES or not SILENT <= number <= MOST:
            raise ValueError(f"{number} is not a level of group {group!r}")
    _least, _groups = least, dict(groups or {})
    for watcher in tuple(_watchers.values()):
        watcher()


def level_of(group: str) -> int:
    """The most detail that is said by a group now."""
    if group in _groups:
        return _groups[group]
    return _DETAILS[_least]


def watch(watcher: Callable[[], None]) -> Callable[[], None]:
    """
    Have it called whenever the levels have changed.

    :return: call it to end that.
    """
    key = object()
    _watchers[key] = watcher

    def stop() -> None:
        _watchers.pop(key, None)

    return stop


@lru_cache(maxsize=1024)
def group_of(namespace: str, of_child: bool = False) -> str:
    """
    The group of a logger.

    :param of_child: whether the line is about a child; such are ``CHD``, not ``IKE``.
    """
    words = namespace.split(".")
    for count in range(len(words), 0, -1):
        group = GROUPS.get(".".join(words[:count]))
        if group is not None:
            return "CHD" if of_child and group == "IKE" else group
    return OTHERS


def group_of_event(event: LogEvent) -> str:
    """The group of a line that has been said."""
    return group_of(str(event.get("log_namespace", "")), "child" in event)


def detail_of(event: LogEvent) -> int:
    """How much detail a line that has been said is."""
    detail = event.get("log_detail")
    return detail or _DETAILS.get(event.get("log_level", LogLevel.info), 1)
