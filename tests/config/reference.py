"""
``python -m tests.config.reference``: write the tables of ``doc/reference/swanctl.rst``.

They stand between two comments; what is around them is written by hand.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from isakmp.config.key_table import KEYS
from isakmp.config.keys import Key, Kind, Status

PAGE = Path(__file__).resolve().parents[2] / "doc" / "reference" / "swanctl.rst"

BEGIN = "..  The tables: written by python -m tests.config.reference.\n"
END = "..  End of the tables.\n"

GROUPS = {
    "connections.<conn>": "Connections",
    "connections.<conn>.local<suffix>": "Local rounds",
    "connections.<conn>.remote<suffix>": "Remote rounds",
    "connections.<conn>.children.<child>": "Children",
    "secrets": "Secrets",
    "pools": "Pools",
    "authorities": "Certification authorities",
}


def group(key: Key) -> str:
    """The longest of the groups that a key is in; sections are in the group they open."""
    words = key.pattern.split(".")
    for length in range(len(words), 0, -1):
        if ".".join(words[:length]) in GROUPS:
            return ".".join(words[:length])
    return "connections.<conn>"


def shown(key: Key) -> tuple[str, str, str]:
    """Name, what becomes of it, and why."""
    text = key.text
    status = key.status.value
    if key.status is Status.IKEV2:
        status, text = "warned", f"{text}: IKEv2 only"
    if key.words:
        by: dict[str, list[str]] = {}
        for word, outcome in key.words.items():
            by.setdefault("warned" if outcome is Status.IKEV2 else outcome.value, []).append(word)
        status = "; ".join(f"{outcome}: {', '.join(words)}" for outcome, words in by.items())
    elif key.harmless is not None and key.status is not Status.HONOURED:
        status += f", but for {key.harmless}"
    if key.kind is Kind.SECTION:
        text = f"section: {text}"
    return f"``{key.pattern.rpartition('.')[2]}``", status, text


def tables() -> str:
    """All keys, by groups."""
    return "\n".join(_tables())


def _tables() -> Iterator[str]:
    for of, title in GROUPS.items():
        yield f"{title}\n{'~' * len(title)}\n"
        yield f"``{of}``\n"
        yield ".. list-table::\n    :header-rows: 1\n    :widths: 25 25 50\n"
        yield "    * - key\n      - status\n      - what it does, or why not"
        for key in KEYS.keys:
            if group(key) == of:
                name, status, text = shown(key)
                path = key.pattern.removeprefix(f"{of}.").rpartition(".")[0]
                if path and key.pattern != of and "." in key.pattern.removeprefix(f"{of}."):
                    name = f"{name} in ``{path}``"
                yield f"    * - {name}"
                yield _cell(status)
                yield _cell(text)
        yield ""


def _cell(text: str) -> str:
    escaped = text.replace("*", "\\*").replace("|", "\\|")
    return textwrap.fill(
        escaped,
        100,
        initial_indent="      - ",
        subsequent_indent="        ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def page(text: str) -> str:
    """
    The page with its tables as they should be.

    :raises ValueError: if the page has no place for them.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no place for its tables")
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
