"""
What every Diffie-Hellman group has in common.

RFC 2409 section 5: the public value of a KE payload has the length of the group, "enforced, if
necessary, by pre-pending the value with zeros".  RFC 6989 section 2: what has to be checked of a
peer's public value before it is used.  Both roles need the same two steps, so a group is two words:
:meth:`Group.generate` and :meth:`KeyPair.agree`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from isakmp.errors import InvalidKeyInformation, Reason


class KeyPair(ABC):
    """
    A private value and the public one that belongs to it.

    It may agree more than once: a forged KE payload may come before the true one.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def group(self) -> Group:
        """The group it belongs to."""

    @property
    @abstractmethod
    def public(self) -> bytes:
        """The public value, as it stands in a KE payload: ``group.public_length`` octets."""

    @abstractmethod
    def agree(self, peer_public: bytes) -> bytes:
        """
        The shared secret, g^xy.

        :param peer_public: the body of the peer's KE payload.
        :returns: always of the same length in the same group, padded with zeros on the left: the
            length of the prime (MODP), of the x coordinate (ECP, RFC 5903 section 7), 32 or 56
            octets (Curve25519 and Curve448, RFC 8031 section 3.1).
        :raises isakmp.errors.InvalidKeyInformation: for a value that no honest peer sends.
        """

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.group.name}>"


@dataclass(frozen=True, slots=True)
class Group(ABC):
    """
    A Diffie-Hellman group.

    :ivar number: Group Description (RFC 2409 appendix A).
    :ivar name: the token that swanctl.conf uses: ``modp2048``, ``ecp256``, ``curve25519``.
    :ivar bits: the length of the prime of its field, in bits.
    """

    number: int
    name: str
    bits: int

    @property
    @abstractmethod
    def public_length(self) -> int:
        """The length of a public value, in octets."""

    @abstractmethod
    def generate(self) -> KeyPair:
        """A new key pair, from the random numbers of the operating system."""

    @abstractmethod
    def key_pair(self, private: bytes) -> KeyPair:
        """
        The key pair of a given private value: for known-answer tests.

        :param private: big-endian integer (MODP, ECP), or the octets of RFC 7748 section 5.
        :raises ValueError: no such private value in this group.
        """

    def refusal(self, rule: str, offered: str = "", configured: str = "") -> InvalidKeyInformation:
        """The error for a public value that breaks a rule of this group."""
        return InvalidKeyInformation(
            Reason(
                rule=f"public value of {self.name}: {rule}", offered=offered, configured=configured
            )
        )

    @abstractmethod
    def check(self, peer_public: bytes) -> None:
        """
        Everything that can be checked of a public value before a private one is used with it.

        A peer's KE payload is accepted or refused by this; :meth:`KeyPair.agree` checks again.

        :raises isakmp.errors.InvalidKeyInformation: for a value that no honest peer sends.
        """

    def check_length(self, peer_public: bytes) -> None:
        """
        RFC 2409 section 5: the length of the group, with leading zeros.

        :raises isakmp.errors.InvalidKeyInformation: another length.
        """
        if len(peer_public) != self.public_length:
            raise self.refusal(
                "wrong length", f"{len(peer_public)} octets", f"{self.public_length} octets"
            )
