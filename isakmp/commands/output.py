"""
What commands have in common: exit statuses, and answers for people or for programs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable

OK, FAILED, USAGE, UNREACHABLE, AUTHENTICATION = 0, 1, 2, 3, 4
"""Exit statuses: done; the negotiation failed; the command is wrong, or what it was given; nobody
answers; the negotiation failed at who the peer is."""

Write = Callable[[str], None]


class Complaint(Exception):
    """
    What is to be told in one line, and the exit status.
    """

    def __init__(self, text: str, status: int = USAGE) -> None:
        super().__init__(text)
        self.status = status


def with_json(parser: argparse.ArgumentParser) -> None:
    """Every command has it."""
    parser.add_argument("--json", action="store_true", help="answer as JSON, for programs")


def answer(options: argparse.Namespace, value: object, lines: Iterable[str]) -> None:
    """
    :param value: what a program gets; ``lines`` what a person does.
    """
    if options.json:
        write(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        for line in lines:
            write(line)


def write(line: str) -> None:
    """A line of the answer."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        # Whoever read this has had enough, as head(1) has; the rest is said to nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
