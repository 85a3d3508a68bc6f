"""What the RFCs demand: one row for each requirement, read from the files beside this one."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.proofs import Mistake, Proof, document_key, place_key

#: The words of RFC 2119 that make a row; IS: what an RFC states, or draws, without any of them.
WORDS = (
    "MUST",
    "MUST NOT",
    "SHALL",
    "SHALL NOT",
    "REQUIRED",
    "SHOULD",
    "SHOULD NOT",
    "RECOMMENDED",
    "NOT REQUIRED",
    "IS",
)

#: Those without which an implementation does not conform.
BINDING = frozenset({"MUST", "MUST NOT", "SHALL", "SHALL NOT", "REQUIRED", "IS"})

_ID = re.compile(r"(?P<at>(?:\d+|[A-Z])(?:\.\d+)*)-\d+")
_FIELDS = {"id": str, "word": str, "asks": str, "applies": bool, "why": str}


@dataclass(frozen=True, slots=True)
class Row:
    """
    One requirement of one RFC.

    :ivar document: ``"RFC 2408"``.
    :ivar id: section and number within it: ``"3.1-4"``.
    :ivar word: one of `WORDS`.
    :ivar asks: what it asks, in our words.
    :ivar applies: whether it asks that of us.
    :ivar why: why it does not; of a row that applies, what is to be known about it, or nothing.
    """

    document: str
    id: str
    word: str
    asks: str
    applies: bool
    why: str = ""

    @property
    def place(self) -> str:
        """As a line ``Proves:`` has it: ``"section 3.1"``."""
        at = self.id.rpartition("-")[0]
        return f"{'section' if at[0].isdigit() else 'appendix'} {at}"

    @property
    def needs_proof(self) -> bool:
        """Whether a test has to prove it."""
        return self.applies and self.word in BINDING


def read_row(document: str, table: Mapping[str, object]) -> Row:
    """
    One table of a file.

    :raises Mistake: it has not the fields of a row, or they say nothing.
    """
    name = f"{document} row {table.get('id')}"
    for field, value in table.items():
        if field not in _FIELDS:
            raise Mistake(f"{name}: {field!r} is no field of a row")
        if not isinstance(value, _FIELDS[field]):
            raise Mistake(f"{name}: {field!r} is not a {_FIELDS[field].__name__}")
    for field in ("id", "word", "asks", "applies"):
        if table.get(field) in (None, ""):
            raise Mistake(f"{name}: {field!r} is missing")
    row = Row(document, **table)  # type: ignore[arg-type]
    if _ID.fullmatch(row.id) is None:
        raise Mistake(f"{name}: an id is a section and a number, like 3.1-4")
    if row.word not in WORDS:
        raise Mistake(f"{name}: {row.word!r} is no requirement word; one of {', '.join(WORDS)}")
    if not row.applies and not row.why:
        raise Mistake(f"{name}: it does not apply, and 'why' is missing")
    return row


def read_rows(directory: Path) -> Sequence[Row]:
    """
    The rows of all files ``rfcN.toml`` in `directory`, in the order of the RFCs.

    :raises Mistake: a file cannot be read, a row is not one, or an id is there twice.
    """
    rows: list[Row] = []
    for path in sorted(directory.glob("*.toml")):
        if re.fullmatch(r"rfc\d+", path.stem) is None:
            raise Mistake(f"{path.name}: the name of a file of rows is like rfc2408.toml")
        document = f"RFC {path.stem.removeprefix('rfc')}"
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise Mistake(f"{path.name}: {error}") from None
        tables = content.pop("row", None)
        if content or not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
            raise Mistake(f"{path.name}: there is more in it than [[row]], or less")
        rows += (read_row(document, table) for table in tables)
    seen = set()
    for row in rows:
        if (row.document, row.id) in seen:
            raise Mistake(f"{row.document} row {row.id} is there twice")
        seen.add((row.document, row.id))
    return sorted(rows, key=row_key)


def row_key(row: Row) -> tuple[object, ...]:
    """Rows in the order of the RFCs, of their sections, and of their numbers."""
    return document_key(row.document), place_key(row.place), int(row.id.rpartition("-")[2])


def proving(rows: Iterable[Row], proofs: Iterable[Proof]) -> Mapping[Row, Sequence[Proof]]:
    """
    For each row the proofs that name it.

    :raises Mistake: a test names a row that does not exist, or one that does not apply.
    """
    found: dict[Row, list[Proof]] = {row: [] for row in rows}
    by_name = {(row.document, row.id): row for row in found}
    for proof in proofs:
        if proof.row is None:
            continue
        row = by_name.get((proof.document, proof.row))
        if row is None:
            raise Mistake(f"{proof.test}: {proof.document} has no row {proof.row}")
        if not row.applies:
            raise Mistake(f"{proof.test}: {proof.document} row {row.id} does not apply: {row.why}")
        found[row].append(proof)
    return found


def unproved(proved: Mapping[Row, Sequence[Proof]]) -> Sequence[Row]:
    """The rows that need a proof and have none."""
    return [row for row, proofs in proved.items() if row.needs_proof and not proofs]
