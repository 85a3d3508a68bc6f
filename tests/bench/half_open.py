"""
What strangers cost a responder who send a first message of Main Mode and then nothing.

Each of them is answered and remembered; the responders' bounds are raised so that all of them are.
The figures are the growth of the responder's resident memory and its processor time, divided by
the messages.

Run as ``python -m tests.bench.half_open [MESSAGES [ROUNDS]]``.  Prints JSON: for one message
``ours_kib`` and ``charon_kib``, ``ours_ms`` and ``charon_ms``, and the ratios of both.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.bench._processes import (
    RESPONDERS,
    Held,
    Laboratory,
    Start,
    Suites,
    laboratory,
    ratio,
    result,
    spread,
)

MESSAGES = 10_000
ROUNDS = 3
WARM_UP = 100


def cost(place: Laboratory, start: Start, messages: int) -> tuple[float, float]:
    """
    KiB and milliseconds of the responder's for one first message.

    :raises AssertionError: if it does not remember all of them.
    """
    asked = WARM_UP + messages
    with place.bench(start, Suites(), 0) as bench:
        bench.initiator.first_messages(WARM_UP)
        bench.process.wait_until_idle()
        resident, seconds = bench.process.resident, bench.process.seconds
        bench.initiator.first_messages(messages)
        bench.process.wait_until_idle()
        grown, taken = bench.process.resident - resident, bench.process.seconds - seconds
        held = bench.responder.held()
    if held != Held(half_open=asked):
        raise AssertionError(f"{asked} first messages, and the responder has {held}")
    return grown / messages / 1024, taken / messages * 1000


def measure(messages: int = MESSAGES, rounds: int = ROUNDS) -> dict[str, Any]:
    """
    Both responders.

    :param messages: of each round.
    :param rounds: of each, interleaved.
    """
    kib: dict[str, list[float]] = {"ours": [], "charon": []}
    ms: dict[str, list[float]] = {"ours": [], "charon": []}
    with laboratory() as place:
        for number in range(rounds):
            print(f"half_open {number + 1}/{rounds}", file=sys.stderr)
            for name in kib:
                grown, taken = cost(place, RESPONDERS[name], messages)
                kib[name].append(grown)
                ms[name].append(taken)
    return {
        "messages": messages,
        "rounds": rounds,
        **{f"{name}_kib": spread(each, 2) for name, each in kib.items()},
        **{f"{name}_ms": spread(each) for name, each in ms.items()},
        "ratio_memory": ratio(kib["ours"], kib["charon"]),
        "ratio_processor": ratio(ms["ours"], ms["charon"]),
    }


if __name__ == "__main__":
    print(json.dumps(result("half_open", measure, *map(int, sys.argv[1:]))))
