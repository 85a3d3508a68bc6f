"""
``python -m tests.bench [NAME ...]``: all benchmarks, as one JSON object.

A benchmark is a module of this package that is not a test.  It runs in a process of its own, as
``python -m tests.bench.NAME``, and prints one JSON object; here they stand side by side under
their names, with the machine they ran on.  Progress goes to standard error.
"""

from __future__ import annotations

import json
import os
import pkgutil
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import tests.bench
from isakmp import __version__

LIBRARIES = ("twisted", "cryptography", "gmpy2", "scapy")


def names() -> Sequence[str]:
    """The benchmarks there are."""
    found = pkgutil.iter_modules(tests.bench.__path__)
    return sorted(info.name for info in found if not info.name.startswith(("_", "test_")))


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                key, _, value = line.partition(":")
                if key.strip() == "model name":
                    return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """What numbers depend on."""
    libraries: dict[str, str | None] = {}
    for library in LIBRARIES:
        try:
            libraries[library] = version(library)
        except PackageNotFoundError:
            libraries[library] = None
    return {
        "processor": processor(),
        "processors": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "isakmp": __version__,
        "libraries": libraries,
        "load_before": round(os.getloadavg()[0], 2),
    }


def measured(name: str) -> dict[str, Any]:
    """
    Run one benchmark.

    :raises RuntimeError: it failed, or printed something else than one JSON object.
    """
    ended = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{name}"], stdout=subprocess.PIPE, text=True
    )
    if ended.returncode:
        raise RuntimeError(f"{name} ended with status {ended.returncode}")
    try:
        result = json.loads(ended.stdout)
    except ValueError as error:
        raise RuntimeError(f"{name} printed no JSON: {error}") from None
    if not isinstance(result, dict):
        raise RuntimeError(f"{name} printed no JSON object")
    return result


def main(arguments: Sequence[str]) -> int:
    """The exit status of ``python -m tests.bench``."""
    known = names()
    if unknown := set(arguments) - set(known):
        print(f"no benchmark: {', '.join(sorted(unknown))}; there is {', '.join(known)}")
        return 2
    results: dict[str, Any] = {"machine": machine()}
    for name in arguments or known:
        began = time.monotonic()
        print(f"{name} ...", end="", file=sys.stderr, flush=True)
        try:
            results[name] = measured(name)
        except RuntimeError as error:
            print(f" {error}", file=sys.stderr)
            return 1
        print(f" {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
