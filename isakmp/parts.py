"""
The words of an exchange's diagram.

RFC 2408 section 4 draws each exchange as arrows between an initiator and a responder, and writes
on each arrow what that message carries: ``SA``, ``KE``, ``NONCE``, ``IDii``, ``AUTH``.  Those words
are :class:`Part`\\ s here, an arrow is an :class:`Arrow`, its ends are :class:`Role`\\ s.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Role(enum.Enum):
    """Which side of an exchange: who sends its first message."""

    INITIATOR = "initiator"
    RESPONDER = "responder"

    # There is one object of each, looked up with every message; an Enum hashes its name.
    __hash__ = object.__hash__

    @property
    def other(self) -> Role:
        """The opposite end."""
        return RESPONDER if self is INITIATOR else INITIATOR


INITIATOR, RESPONDER = Role.INITIATOR, Role.RESPONDER
"""The same; an attribute of an enumeration is looked up by Python, each time."""


class Part(str):
    """
    One word of a diagram.

    Open, not an enumeration: an exchange of another domain of interpretation brings words of its
    own (GROUPKEY-PULL has SEQ and KD).
    """

    __slots__ = ()

    @property
    def name(self) -> str:
        """The word."""
        return str(self)

    def __repr__(self) -> str:
        return str(self)


SA = Part("SA")
KE = Part("KE")
NONCE = Part("NONCE")
ID = Part("ID")
AUTH = Part("AUTH")
NOTICES = Part("N/D")

_ORDER = (SA, KE, NONCE, ID, AUTH, NOTICES)
"""As the diagrams of RFC 2408 section 4 write them."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """
    One message of one diagram: riders and refusals talk about messages in these terms.

    :ivar exchange: the exchange's name, as the RFC has it ("Identity Protection").
    :ivar sender: who says it.
    :ivar parts: what it is for; empty for a bare proof such as Quick Mode's third message.
    """

    exchange: str
    sender: Role
    parts: frozenset[Part]

    def __contains__(self, part: Part) -> bool:
        return part in self.parts

    def __str__(self) -> str:
        known = [part for part in _ORDER if part in self.parts]
        others = sorted(part.name for part in self.parts.difference(_ORDER))
        words = ", ".join([*(part.name for part in known), *others]) or "proof"
        return f"{self.exchange}, {self.sender.value}'s {words}"
