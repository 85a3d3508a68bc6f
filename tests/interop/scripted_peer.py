"""
A stand-in for our node that says what its specification says: proves
:class:`tests.interop.node.NodeProcess` without a network.

The specification: ``say`` is written to standard output at once and as it is; ``answers`` has for
each command what is written then; ``errors`` goes to standard error; ``end`` is an exit status, and
ends it at once; ``deaf`` leaves it running when it is asked to stop.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path


def main(path: str) -> int:
    spec = json.loads(Path(path).read_text())
    print(spec.get("say", ""), end="", flush=True)
    print(spec.get("errors", ""), end="", file=sys.stderr, flush=True)
    if "end" in spec:
        return int(spec["end"])
    for line in sys.stdin:
        do = json.loads(line)["do"]
        if do == "stop":
            break
        print(spec.get("answers", {}).get(do, ""), end="", flush=True)
    while spec.get("deaf"):
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
