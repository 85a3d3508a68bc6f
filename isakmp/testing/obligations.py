"""
What a plug-in owes, told in sentences.

RFC 2408 section 5 has bad input from a peer refused and reported, each kind as what it is; so
somebody else's code may raise the errors of :mod:`isakmp.errors`, and whatever else comes out of it
is a violation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from isakmp.errors import PeerError

T = TypeVar("T")


class Violations(AssertionError):
    """
    What a plug-in owes and does not do.

    :ivar sentences: one for each obligation.
    """

    def __init__(self, name: str, sentences: Sequence[str]) -> None:
        self.sentences = tuple(sentences)
        super().__init__("\n".join([f"{name}:", *(f"* {sentence}" for sentence in sentences)]))


class Broken(Exception):
    """One obligation is not met, and the rest of its check makes no sense."""


class Obligations:
    """
    What has been found wrong so far.

    :param chance: what is made up is the same for the same seed.
    :ivar sentences: one for each obligation that is not met.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.sentences: list[str] = []

    def attempt(self, check: Callable[[], None]) -> None:
        """Run one check, whatever it comes to."""
        try:
            check()
        except Broken as broken:
            self.sentences.append(str(broken))
        except Exception as error:  # whatever somebody else's code raises is its violation
            what = getattr(check, "__name__", "negotiation").replace("_", " ")
            self.sentences.append(
                f"{kind_of(error)} was raised where it may not be ({what}): {error}"
            )

    def require(self, condition: object, sentence: str) -> None:
        """An obligation."""
        if not condition:
            raise Broken(sentence)

    def pure(self, ask: Callable[[], T], what: str) -> T:
        """The answer, which has to be the same each time, refusals included."""
        answers: list[T | PeerError] = []
        for _ in range(2):
            try:
                answers.append(ask())
            except PeerError as refusal:
                answers.append(refusal)
        first, second = answers
        if isinstance(first, PeerError) or isinstance(second, PeerError):
            self.require(
                type(first) is type(second) and str(first) == str(second),
                f"{what} is not pure: the same question was answered differently the second time",
            )
            assert isinstance(first, PeerError)
            raise first
        self.require(
            first == second,
            f"{what} is not pure: the same question was answered differently the second time",
        )
        return first

    def total(self, ask: Callable[[], T], what: str, said: object) -> T:
        """What has an answer to everything."""
        try:
            return self.pure(ask, what)
        except (Broken, PeerError) as error:
            if isinstance(error, Broken):
                raise
            raise Broken(f"{what} refuses {said}: it has to have an answer to everything") from None
        except Exception as error:  # that is what is looked for
            raise Broken(f"{what} raises {kind_of(error)} at {said}") from None


def kind_of(error: Exception) -> str:
    """What was raised."""
    return type(error).__name__
