"""
``python -m tests.bench.clock``: what pending calls cost on ``VirtualClock`` and on ``task.Clock``.

Prints one JSON object.  A node with 800 conversations and three timers each has 2,400 calls
pending, and almost every datagram cancels one timer and starts another.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from time import perf_counter
from typing import Any

from twisted.internet.task import Clock

from isakmp.testing import VirtualClock

PENDING = 2400
ROUNDS = 300


def nothing() -> None:
    """What the timers do."""


def start_and_cancel(clock: Any, calls: list[Any], random: Random) -> None:
    """A new timer, cancelled before it is due."""
    clock.callLater(random.uniform(1.0, 60.0), nothing).cancel()


def restart(clock: Any, calls: list[Any], random: Random) -> None:
    """One of the pending timers is cancelled and started again."""
    n = random.randrange(len(calls))
    calls[n].cancel()
    calls[n] = clock.callLater(random.uniform(1.0, 60.0), nothing)


def put_off(clock: Any, calls: list[Any], random: Random) -> None:
    """One of the pending timers is reset, and time passes in which nothing is due."""
    calls[random.randrange(len(calls))].reset(random.uniform(1.0, 60.0))
    clock.advance(0.0)


def expire(clock: Any, calls: list[Any], random: Random) -> None:
    """A timer is due at once, and runs."""
    clock.callLater(0.0, nothing)
    clock.advance(0.0)


OPERATIONS = (start_and_cancel, restart, put_off, expire)


def cost(
    make: Callable[[], Any], operation: Callable[..., None], pending: int, rounds: int
) -> float:
    """
    Microseconds per operation: the best of three runs.

    :param pending: calls pending all the while.
    :param rounds: operations per run.
    """
    best = float("inf")
    for _ in range(3):
        random = Random(pending)
        clock = make()
        calls = [clock.callLater(random.uniform(1.0, 60.0), nothing) for _ in range(pending)]
        began = perf_counter()
        for _ in range(rounds):
            operation(clock, calls, random)
        best = min(best, perf_counter() - began)
        left = len(clock.getDelayedCalls())
        if left != pending:
            raise RuntimeError(f"{left} calls are pending after {operation.__name__}")
    return best / rounds * 1e6


def measure(pending: int = PENDING, rounds: int = ROUNDS) -> dict[str, Any]:
    """
    Both clocks, by operation: microseconds, and how many times faster ``VirtualClock`` is.

    :param pending: calls pending all the while.
    :param rounds: operations per run.
    """
    operations = {}
    for operation in OPERATIONS:
        theirs = cost(Clock, operation, pending, rounds)
        ours = cost(VirtualClock, operation, pending, rounds)
        operations[operation.__name__] = {
            "clock_us": round(theirs, 3),
            "virtual_clock_us": round(ours, 3),
            "ratio": round(theirs / ours, 1),
        }
    return {"bench": "clock", "pending": pending, "rounds": rounds, "operations": operations}


if __name__ == "__main__":
    print(json.dumps(measure()))
