"""
What one established ISAKMP SA with one pair of ESP SAs takes of a responder's memory.

It is what the resident memory of its process has grown by, divided.  Our initiator drives our node
and strongSwan's charon; every SA is that of a new peer.

Run as ``python -m tests.bench.memory [PAIRS [ROUNDS]]``.  Prints JSON: ``ours_kib`` and
``charon_kib`` for one of them, and the ratio.
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

PAIRS = 2000
ROUNDS = 3
IN_FLIGHT = 8
WARM_UP = 50
SUITES = Suites("aes128-sha256-curve25519", "aes128-sha256")


def growth(place: Laboratory, start: Start, pairs: int) -> float:
    """
    KiB by which the responder has grown for one ISAKMP SA with one pair of ESP SAs.

    :raises AssertionError: if it does not hold all of them.
    """
    asked = WARM_UP + pairs
    with place.bench(start, SUITES, asked) as bench:
        bench.initiator.handshakes(WARM_UP, IN_FLIGHT)
        bench.process.wait_until_idle()
        before = bench.process.resident
        bench.initiator.handshakes(pairs, IN_FLIGHT)
        bench.process.wait_until_idle()
        grown = bench.process.resident - before
        held = bench.responder.held()
    if held != Held(asked, asked):
        raise AssertionError(f"{asked} handshakes, and the responder has {held}")
    return grown / pairs / 1024


def measure(pairs: int = PAIRS, rounds: int = ROUNDS) -> dict[str, Any]:
    """
    Both responders.

    :param pairs: ISAKMP SAs, each with a pair of ESP SAs.
    :param rounds: of each, interleaved.
    """
    grown: dict[str, list[float]] = {"ours": [], "charon": []}
    with laboratory() as place:
        for number in range(rounds):
            print(f"memory {number + 1}/{rounds}", file=sys.stderr)
            for name, each in grown.items():
                each.append(growth(place, RESPONDERS[name], pairs))
    return {
        "pairs": pairs,
        "rounds": rounds,
        **{f"{name}_kib": spread(each, 2) for name, each in grown.items()},
        "ratio": ratio(grown["ours"], grown["charon"]),
    }


if __name__ == "__main__":
    print(json.dumps(result("memory", measure, *map(int, sys.argv[1:]))))
