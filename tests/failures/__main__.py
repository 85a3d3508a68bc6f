"""
``python -m tests.failures``: write ``doc/reference/failures.rst`` from what the tests expect.

With ``--check`` it writes nothing and says whether the page is what they say.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Sequence

from tests.failures.sentences import MISTAKES, Mistake
from tests.pages import write_page

HEAD = """\
..  Written by ``python -m tests.failures`` from tests/failures/sentences.toml.  Do not edit.

Failures and what is said of them
=================================

Typical mistakes, and the line of the log that tells of each, at the end that began and at the end
that answered.  Each is tried by the tests: between two of these daemons, and with strongSwan's
charon 5.9.8 at the other end.  The configurations are in ``tests/interop/configurations``.  Three
dots stand for what differs from one time to the next.  How such a line is read is told in
:doc:`../how-to/failing-handshake`; its parts are also fields: :doc:`logs`.
"""

_LABELS = (
    ("initiator", "Who began, with another of these daemons:"),
    ("responder", "Who answered:"),
    ("charon_answers", "Who began, with charon:"),
    ("charon_begins", "Who answered charon:"),
)


def _section(mistake: Mistake) -> Iterator[str]:
    yield mistake.title
    yield "-" * len(mistake.title)
    yield ""
    yield f"``{mistake.name}``: {mistake.mistake}"
    yield ""
    for field, label in _LABELS:
        sentence = getattr(mistake, field)
        if sentence:
            yield label
            yield ""
            yield ".. code-block:: text"
            yield ""
            yield from textwrap.wrap(
                sentence,
                96,
                initial_indent="    ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            yield ""


def text() -> str:
    """The page."""
    lines = [HEAD, *(line for one in MISTAKES.values() for line in _section(one))]
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write it, or check it."""
    return write_page("reference/failures.rst", text(), "python -m tests.failures", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
