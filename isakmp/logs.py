"""
How much is logged: the level of all loggers of this package.

Twisted's observers write whatever they are given, at every level.  Here a message below the level
is not even made: no line of it is formatted.
"""

from __future__ import annotations

from twisted.logger import LogLevel

from twisted import logger

_least = LogLevel.debug


class Logger(logger.Logger):
    """A logger that says nothing below the level."""

    def emit(self, level: logger.LogLevel, format: str | None = None, **kwargs: object) -> None:
        """From Twisted: every message comes this way."""
        if level >= _least:
            super().emit(level, format, **kwargs)


def set_level(name: str) -> None:
    """
    From now on log this level and what is worse.

    :param name: ``debug``, ``info``, ``warn``, ``error`` or ``critical``.
    :raises ValueError: for any other.
    """
    global _least
    try:
        _least = LogLevel.levelWithName(name)
    except logger.InvalidLogLevelError:
        raise ValueError(f"{name!r} is not a level") from None
