"""
Time that nobody sets: timers, lifetimes and repeats of the daemon count by it.

Twisted's reactors read the time of day, which an administrator or a time server may set.  Set back
by an hour, it would keep every key in use for an hour longer; set forward, it would end every SA
at once.
"""

from __future__ import annotations

import time
from typing import Any

from isakmp.logs import Logger

_log = Logger()

_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On Linux one that counts while the machine sleeps: it wakes to the end of SAs slept through."""

_BEGAN = time.time() - time.clock_gettime(_CLOCK)


def seconds() -> float:
    """
    Seconds since 1970 by the time of day when this program began, and steadily counted since.
    """
    return _BEGAN + time.clock_gettime(_CLOCK)


def steady(reactor: Any) -> None:
    """
    Have a reactor count by :func:`seconds`; idempotent.

    To be called before anything waits for a time: what does already waits for a time of day, and
    then the reactor is left as it is, with a line in the log.
    """
    if reactor.seconds is seconds:
        return
    if reactor.getDelayedCalls():
        _log.warn("timers count by the time of day: something waits for one already")
        return
    reactor.seconds = seconds
