"""
What is tried with a key exchange.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from isakmp.associations import Lifetime
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.doi.ipsec import ipsec
from isakmp.interfaces import ICredentialStore, IExchangeType, INegotiatingDomain

Secrets = ICredentialStore | Sequence[SharedSecret]

NAMES = "alice.lab.example", "bob.lab.example"
"""Who the parties are."""

_SHARED: Secrets = (SharedSecret(b"shared by the two parties of a test", ()),)


@dataclass(frozen=True, slots=True)
class Trial:
    """
    How a key exchange is tried.

    :ivar suite: protection of key management, as its configuration spells it.
    :ivar settings: what stands in ``[plugin.NAME]`` at the one party, ``alice.lab.example``, and at
        the other, ``bob.lab.example``.
    :ivar credentials: of both parties.
    :ivar doi: the domain of interpretation whose children are made.
    :ivar child_suite: their protection, as it spells that.
    """

    suite: str
    settings: tuple[Mapping[str, object], Mapping[str, object]] = ({}, {})
    credentials: tuple[Secrets, Secrets] = (_SHARED, _SHARED)
    doi: INegotiatingDomain = field(default=ipsec)
    child_suite: str = "aes128-sha256"


@dataclass(frozen=True, slots=True)
class Case:
    """
    What is tried.

    :ivar kind: what begins the SA.
    :ivar child_type: what makes a child under it; None: nothing does.
    :ivar swapped: whether the second party begins, not the first.
    :ivar about: whether the child is what it is about.
    """

    LIFETIME: ClassVar[Lifetime] = Lifetime(3600)

    kind: IExchangeType
    child_type: IExchangeType | None
    swapped: bool
    about: bool = True

    def with_child(self, kind: IExchangeType | None) -> Case:
        """The same, and a child if there is none; it is not what it is about."""
        if self.child_type is not None:
            return self
        return replace(self, child_type=kind, about=False)

    def __str__(self) -> str:
        child = self.child_type if self.about else None
        what = f"{self.kind.name} in phase 1" if child is None else f"{child.name} in phase 2"
        return f"{what}, begun by {NAMES[self.swapped]}"
