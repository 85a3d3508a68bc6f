"""
What one handshake costs a responder: Main Mode with a pre-shared key and one Quick Mode.

Our initiator drives our node and strongSwan's charon, each alone with it, in rounds that take
turns.  Every handshake is that of a new peer, with an ISAKMP SA of its own.  The figure is the
processor time of the responder's process, of all its threads and in the kernel too, by handshake.

charon runs twice: as it comes, with Diffie-Hellman by OpenSSL and exponents as long as the prime;
and at its best, with its gmp plugin and short exponents, as ours are.

Run as ``python -m tests.bench.handshake [HANDSHAKES [ROUNDS]]``.  Prints JSON: by group, with and
without perfect forward secrecy, the milliseconds of each responder and the ratios to charon's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
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

HANDSHAKES = 400
ROUNDS = 5
IN_FLIGHT = 8
WARM_UP = 24

SUITES: Mapping[str, Suites] = {
    name: Suites(f"aes128-sha256-{group}", f"aes128-sha256{f'-{group}' if pfs else ''}")
    for group in ("modp2048", "curve25519")
    for name, pfs in ((group, False), (f"{group}_pfs", True))
}


def cost(place: Laboratory, start: Start, suites: Suites, handshakes: int) -> float:
    """
    Milliseconds of the responder's processor time for one handshake.

    :raises AssertionError: if it does not hold every SA afterwards.
    """
    with place.bench(start, suites, WARM_UP + handshakes) as bench:
        bench.initiator.handshakes(WARM_UP, IN_FLIGHT)
        bench.process.wait_until_idle()
        before = bench.process.seconds
        bench.initiator.handshakes(handshakes, IN_FLIGHT)
        bench.process.wait_until_idle()
        taken = bench.process.seconds - before
        held = bench.responder.held()
    asked = WARM_UP + handshakes
    if held != Held(asked, asked):
        raise AssertionError(f"{asked} handshakes, and the responder has {held}")
    return taken / handshakes * 1000


def measure(
    handshakes: int = HANDSHAKES, rounds: int = ROUNDS, suites: Sequence[str] = tuple(SUITES)
) -> dict[str, Any]:
    """
    All responders with all suites.

    :param handshakes: of each run.
    :param rounds: of each responder, interleaved.
    :param suites: of :data:`SUITES`.
    """
    measured: dict[str, Any] = {}
    with laboratory() as place:
        for name in suites:
            taken: dict[str, list[float]] = {responder: [] for responder in RESPONDERS}
            for number in range(rounds):
                print(f"handshake {name} {number + 1}/{rounds}", file=sys.stderr)
                for responder, start in RESPONDERS.items():
                    taken[responder].append(cost(place, start, SUITES[name], handshakes))
            measured[name] = {
                **{f"{responder}_ms": spread(each) for responder, each in taken.items()},
                **{
                    f"ratio_{responder}": ratio(taken["ours"], each)
                    for responder, each in taken.items()
                    if responder != "ours"
                },
            }
    return {"handshakes": handshakes, "rounds": rounds, "suites": measured}


if __name__ == "__main__":
    print(json.dumps(result("handshake", measure, *map(int, sys.argv[1:]))))
