"""The page: what each RFC demands, whether that applies, and which tests prove what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tests.conformance.proofs import Proof, document_key
from tests.conformance.rows import Row, proving

TITLES = {
    "RFC 2407": "The Internet IP Security Domain of Interpretation for ISAKMP",
    "RFC 2408": "Internet Security Association and Key Management Protocol",
    "RFC 2409": "The Internet Key Exchange",
    "RFC 2412": "The OAKLEY Key Determination Protocol",
    "RFC 3526": "More Modular Exponential (MODP) Diffie-Hellman groups for IKE",
    "RFC 3602": "The AES-CBC Cipher Algorithm and Its Use with IPsec",
    "RFC 4109": "Algorithms for Internet Key Exchange version 1",
    "RFC 4430": "Kerberized Internet Negotiation of Keys (KINK)",
    "RFC 4868": "Using HMAC-SHA-256, HMAC-SHA-384, and HMAC-SHA-512 with IPsec",
    "RFC 5114": "Additional Diffie-Hellman Groups for Use with IETF Standards",
    "RFC 5903": "Elliptic Curve Groups modulo a Prime (ECP Groups) for IKE and IKEv2",
    "RFC 6932": "Brainpool Elliptic Curves for the IKE Group Description Registry",
}

HEAD = """\
..  Written by ``make conformance`` from the tests.  Do not edit.

Conformance
===========

For each RFC that has them, the first table has its requirements: what it asks, in our words,
whether that applies to this program, and the tests that prove it.  The words are those of RFC 2119,
and IS, which is ours, for what an RFC states or draws without any.  The other table has what else
tests prove about that RFC.  ``make conformance`` runs these tests and writes this page only if
every one of them passes.  If a MUST or SHALL applies and has no test, that stands here, and ``make
conformance`` and ``make check`` fail.

"""

REQUIREMENTS = """\
.. list-table::
   :header-rows: 1
   :widths: 8 10 37 20 25

   * - Row
     - Word
     - What is asked
     - Applies
     - Proved by"""

STATEMENTS = """\
.. list-table::
   :header-rows: 1
   :widths: 15 50 35

   * - Where
     - What is proved
     - By"""


def names(proofs: Iterable[Proof]) -> str:
    """The tests of some proofs, each once."""
    tests = dict.fromkeys(proof.test.removeprefix("tests.") for proof in proofs)
    return ", ".join(f"``{test}``" for test in tests)


def requirements(proved: Mapping[Row, Sequence[Proof]]) -> list[str]:
    """The lines of the table of one RFC's rows."""
    lines = [REQUIREMENTS]
    for row, proofs in proved.items():
        applies = "yes" if row.applies else "no"
        if row.why:
            applies += f": {row.why}"
        by = names(proofs) or ("**no test**" if row.needs_proof else "\N{EN DASH}")
        lines += [f"   * - {row.id}", f"     - {row.word}", f"     - {row.asks}"]
        lines += [f"     - {applies}", f"     - {by}"]
    return [*lines, ""]


def statements(proofs: Iterable[Proof]) -> list[str]:
    """The lines of the table of what else is proved about one RFC."""
    rows: dict[tuple[str, str], list[Proof]] = {}
    for proof in proofs:
        rows.setdefault((proof.place, proof.statement), []).append(proof)
    lines = [STATEMENTS]
    for (place, statement), by in rows.items():
        lines += [f"   * - {place}", f"     - {statement}", f"     - {names(by)}"]
    return [*lines, ""]


def page(proofs: Sequence[Proof], rows: Sequence[Row] = ()) -> str:
    """
    The page, in reStructuredText.

    :raises Mistake: as :func:`tests.conformance.rows.proving`.
    """
    proved = proving(rows, proofs)
    documents = {proof.document for proof in proofs} | {row.document for row in rows}
    lines = [HEAD]
    for document in sorted(documents, key=document_key):
        title = f"{document}: {TITLES[document]}" if document in TITLES else document
        lines += [title, "-" * len(title), ""]
        of_it = {row: by for row, by in proved.items() if row.document == document}
        if of_it:
            lines += requirements(of_it)
        others = [proof for proof in proofs if proof.document == document and proof.row is None]
        if others:
            lines += statements(others)
    return "\n".join(lines)
