"""
The sentences, as data: ``sentences.toml``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("sentences.toml")


@dataclass(frozen=True, slots=True)
class Mistake:
    """
    One misconfiguration, and what is said of it.

    :ivar name: its folder in ``tests/interop/configurations``.
    :ivar mistake: what is wrong.
    :ivar initiator: what this project's daemon says that began, with another one; empty: nothing.
    :ivar responder: what that other one says.
    :ivar charon_answers: what ours says that began, with charon; ``charon_begins`` that answered.
    """

    name: str
    title: str
    mistake: str
    initiator: str = ""
    responder: str = ""
    charon_answers: str = ""
    charon_begins: str = ""


def pattern(sentence: str) -> str:
    """A regular expression for a sentence: three dots stand for anything in its line."""
    return ".*".join(re.escape(part.strip()) for part in sentence.split("..."))


def read() -> Mapping[str, Mistake]:
    """All of them, by name."""
    found = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {name: Mistake(name, **said) for name, said in found.items()}


MISTAKES = read()
