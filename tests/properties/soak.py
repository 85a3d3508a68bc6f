"""
``python -m tests.properties.soak``: the property of :mod:`tests.properties.lossy` over many seeds.

``ISAKMP_SOAK_SEEDS`` is how many, over all kinds of weather together.  Prints one JSON object;
progress and complaints go to standard error.  The exit status is not zero if anything was not as
it must be.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tests.properties.lossy import Outcome, Weather, run

SEEDS = 5000

WEATHERS: Mapping[str, Weather] = {
    "fair": Weather(0.0, 0.0, 0.0, 0.0),
    "doubling": Weather(0.0, 0.9, 0.9, 1.0),
    "lossy": Weather(0.3, 0.3, 0.3, 0.05),
    "slow": Weather(0.3, 0.3, 0.3, 1.0),
    "bad": Weather(0.5, 0.3, 0.3, 0.5),
    "losing": Weather(0.6, 0.0, 0.0, 0.0),
    "hopeless": Weather(0.8, 0.2, 0.2, 2.0),
}
"""By name; the seeds are shared out evenly."""


def soak(seeds: int) -> tuple[dict[str, Any], Sequence[str]]:
    """
    Run that many seeds.

    :returns: what is printed, and the complaints.
    """
    complaints: list[str] = []
    results: dict[str, Any] = {}
    began = time.monotonic()
    for position, (name, weather) in enumerate(WEATHERS.items()):
        share = len(range(position, seeds, len(WEATHERS)))
        print(f"{name}: {share} seeds ...", file=sys.stderr, flush=True)
        outcomes = [run(seed, weather) for seed in range(share)]
        complaints += [f"{name}: {what}" for one in outcomes for what in one.complaints]
        results[name] = _summary(weather, outcomes)
    total = {
        "seeds": seeds,
        "complaints": len(complaints),
        "seconds": round(time.monotonic() - began, 1),
        "weather": results,
    }
    return total, complaints


def _summary(weather: Weather, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        **asdict(weather),
        "seeds": len(outcomes),
        "up": sum(outcome.up for outcome in outcomes),
        "one_sided": sum(outcome.one_sided for outcome in outcomes),
        "complaints": sum(len(outcome.complaints) for outcome in outcomes),
    }


def main(environment: Mapping[str, str]) -> int:
    """The exit status of ``python -m tests.properties.soak``."""
    text = environment.get("ISAKMP_SOAK_SEEDS", str(SEEDS))
    if not text.isdecimal() or not int(text):
        print(f"ISAKMP_SOAK_SEEDS is {text!r}, not a number of seeds", file=sys.stderr)
        return 2
    total, complaints = soak(int(text))
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    print(json.dumps(total, indent=2))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
