"""
A peer that has all the keys and does not keep to the protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from zope.interface import implementer

from isakmp.connections import Candidates, Child, Connection
from isakmp.ike.key_exchange import IKE
from isakmp.ike.method import IKEMethod
from isakmp.ike.quick_mode import QuickMethod, QuickMode
from isakmp.interfaces import IExchange, IISAKMPKeyExchange, IKeyExchangeMethod
from isakmp.parts import KE, NONCE, SA, Part, Role
from isakmp.wire.payloads import Payload

Meddle = Callable[[str, list[Payload]], Sequence[Payload]]
"""Given the name of a message ("Main 3") and its payloads; what it returns is said instead."""


def _named(exchange: str, first: int, role: Role) -> str:
    return f"{exchange} {first + (role is Role.RESPONDER)}"


class _Method(IKEMethod):
    """IKE's phase 1, with a word put into its mouth."""

    def __init__(
        self, exchange: IExchange, candidates: Candidates[Connection], meddle: Meddle
    ) -> None:
        super().__init__(exchange, candidates)
        self._meddle = meddle

    async def say(self, parts: frozenset[Part], riding: Sequence[Payload]) -> Sequence[Payload]:
        """Something else."""
        first = 1 if SA in parts else 3 if KE in parts else 5
        said = await super().say(parts, riding)
        return self._meddle(_named("Main", first, self.exchange.role), list(said))


class _QuickMethod(QuickMethod):
    """The same for Quick Mode."""

    meddle: Meddle

    async def say(self, parts: frozenset[Part], riding: Sequence[Payload]) -> Sequence[Payload]:
        """Something else."""
        said = await super().say(parts, riding)
        name = _named("Quick", 1 if NONCE in parts else 3, self.exchange.role)
        return self.meddle(name, list(said))


class _QuickMode(QuickMode):
    def __init__(self, meddle: Meddle) -> None:
        self._meddle = meddle

    def method(self, exchange: IExchange, order: object) -> IKeyExchangeMethod:
        """One that says something else."""
        method = _QuickMethod(exchange, cast("Sequence[Child]", order or ()))
        method.meddle = self._meddle
        return method


@implementer(IISAKMPKeyExchange)
class MeddlingIKE(IKE):
    """
    IKE, except that its messages are not what they should be.
    """

    def __init__(self, meddle: Meddle) -> None:
        self._meddle = meddle
        self.exchange_types = (_QuickMode(meddle),)

    def method(
        self, exchange: IExchange, candidates: Candidates[Connection]
    ) -> IKeyExchangeMethod:
        """One that says something else."""
        return _Method(exchange, candidates, self._meddle)


def without(kind: type[Payload], *names: str) -> MeddlingIKE:
    """Leaves out all payloads of a class, from these messages."""
    return MeddlingIKE(
        lambda name, payloads: [
            payload for payload in payloads if name not in names or not isinstance(payload, kind)
        ]
    )


def changed(kind: type[Payload], to: Payload, *names: str) -> MeddlingIKE:
    """Says one payload instead of that of a class, in these messages."""
    return MeddlingIKE(
        lambda name, payloads: [
            to if name in names and isinstance(payload, kind) else payload for payload in payloads
        ]
    )


def appended(payload: Payload, *names: str) -> MeddlingIKE:
    """Adds a payload at the end of these messages."""
    return MeddlingIKE(
        lambda name, payloads: [*payloads, payload] if name in names else payloads
    )
