"""
Recorded conversations between other implementations.  ``README.rst`` says what they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parent / "data"


def conversation(name: str) -> dict[str, Any]:
    """
    The facts of one recorded conversation.

    :param name: ``main-psk``, or any other file in ``data`` without its suffix.
    """
    facts: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="ascii"))
    return facts


def conversations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every recorded conversation with its name."""
    for path in sorted(DATA.glob("*.json")):
        facts = conversation(path.stem)
        if "messages" in facts:
            yield path.stem, facts
