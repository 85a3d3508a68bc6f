"""``python -m tests.conformance``: see the package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import tests.conformance
from tests.conformance.outcomes import run
from tests.conformance.page import page
from tests.conformance.proofs import Mistake, collect
from tests.conformance.rows import proving, read_rows, unproved

CHECKOUT = Path(__file__).resolve().parent.parent.parent
PAGE = Path("doc", "reference", "conformance.rst")
ROWS = Path("tests", "conformance")


def main(arguments: Sequence[str], root: Path = CHECKOUT) -> int:
    """The exit status of ``python -m tests.conformance``."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance", description=tests.conformance.__doc__
    )
    parser.add_argument("--check", action="store_true", help="run nothing; is all as it must be?")
    options = parser.parse_args(arguments)
    try:
        proofs, rows = collect(root), read_rows(root / ROWS)
        missing = unproved(proving(rows, proofs))
        text, path = page(proofs, rows), root / PAGE
    except Mistake as mistake:
        print(mistake)
        return 1
    for row in missing:
        print(f"{row.document} row {row.id} applies and has no test: {row.word}: {row.asks}")
    if options.check:
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{PAGE} is not what the tests say; make conformance writes it anew")
            return 1
        return 1 if missing else 0
    bad = run(proofs)
    for test, why in bad.items():
        of_it = [f"{p.document} row {p.row}" for p in proofs if p.test == test and p.row]
        print(f"{test}: {why}{'; it proves ' if of_it else ''}{', '.join(of_it)}")
    if bad:
        print(f"{PAGE} is left as it was: {len(bad)} of its tests have not passed")
        return 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"{PAGE}: {len(proofs)} proofs by {len({proof.test for proof in proofs})} tests")
    if missing:
        print(f"{len(missing)} of {len(rows)} rows apply and have no test")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
