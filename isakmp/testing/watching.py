"""
A key exchange whose methods are watched while the framework speaks to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Self

from twisted.plugin import IPlugin
from zope.interface import implementer

from isakmp.associations import Lifetime, ProtectionSuite
from isakmp.connections import Candidates, Child, Connection
from isakmp.errors import PeerError
from isakmp.interfaces import (
    IExchange,
    IExchangeType,
    IISAKMPKeyExchange,
    IKeyExchangeMethod,
    IMessageProtection,
)
from isakmp.parts import AUTH, Part
from isakmp.wire.message import Message
from isakmp.wire.payloads import Payload

Kinds = tuple[type[Payload], ...]


@implementer(IPlugin, IISAKMPKeyExchange)
class Watched:
    """
    The key exchange itself, but that it is seen what its methods do.

    :ivar leaks: what refused messages have left behind.
    :ivar proofs: the payload classes that prove, if the last message that was said carries AUTH.
    """

    def __init__(self, key_exchange: IISAKMPKeyExchange) -> None:
        self._watched = key_exchange
        self.leaks: list[str] = []
        self.proofs: Kinds = ()
        self.name: str = key_exchange.name
        self.transform_id: int = key_exchange.transform_id
        self.exchange_types: Sequence[IExchangeType] = key_exchange.exchange_types
        self.offers: frozenset[int] = key_exchange.offers
        self.offers_phase_2: Sequence[int] = key_exchange.offers_phase_2

    def method(self, exchange: IExchange, candidates: Candidates[Connection]) -> IKeyExchangeMethod:
        """Watched as well."""
        return WatchedMethod(self, self._watched.method(exchange, candidates))

    def phase_2_method(self, exchange: IExchange, children: Sequence[Child]) -> IKeyExchangeMethod:
        """Likewise."""
        return WatchedMethod(self, self._watched.phase_2_method(exchange, children))

    def suite(self, spelling: str, lifetime: Lifetime) -> ProtectionSuite:
        """The key exchange's."""
        return self._watched.suite(spelling, lifetime)

    def spell(self, suite: ProtectionSuite) -> str:
        """The key exchange's."""
        return self._watched.spell(suite)


@implementer(IKeyExchangeMethod)
class WatchedMethod:
    """
    A method, and the one that it is a copy of.
    """

    def __init__(
        self,
        watched: Watched,
        method: IKeyExchangeMethod,
        original: IKeyExchangeMethod | None = None,
    ) -> None:
        self._watched = watched
        self._method = method
        self._original = original

    def __copy__(self) -> Self:
        return type(self)(self._watched, copy(self._method), self._method)

    @property
    def connection(self) -> Connection | None:
        """The method's."""
        return self._method.connection

    def expects(
        self, parts: frozenset[Part]
    ) -> Sequence[type[Payload] | tuple[type[Payload], ...]]:
        """The method's."""
        return self._method.expects(parts)

    async def say(self, parts: frozenset[Part], riding: Sequence[Payload]) -> Sequence[Payload]:
        """The method's; whether it proves is noted."""
        said = await self._method.say(parts, riding)
        self._watched.proofs = ()
        if AUTH in parts:
            for kind in self._method.expects(frozenset({AUTH})):
                self._watched.proofs += kind if isinstance(kind, tuple) else (kind,)
        return said

    async def hear(self, parts: frozenset[Part], message: Message) -> Message:
        """The method's; if it refuses, nothing may have changed in the one that it is a copy of."""
        before = _state(self._original)
        try:
            return await self._method.hear(parts, message)
        except PeerError:
            changed = [
                name for name, value in _state(self._original).items() if before.get(name) != value
            ]
            if changed:
                self._watched.leaks.append(
                    f"a message that was refused has changed {', '.join(changed)} of the method: "
                    "its attributes have to be rebound, never changed in place"
                )
            raise

    async def protection(self) -> IMessageProtection:
        """The method's."""
        return await self._method.protection()

    async def established(self) -> object:
        """The method's."""
        return await self._method.established()


def _state(method: object) -> Mapping[str, object]:
    """What an object's attributes hold, down to what cannot change."""
    attributes = dict(getattr(method, "__dict__", {}))
    for kind in type(method).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if hasattr(method, name):
                attributes[name] = getattr(method, name)
    return {name: _contents(value) for name, value in attributes.items()}


def _contents(value: Any) -> object:
    if isinstance(value, Mapping):
        return tuple((_contents(key), _contents(inner)) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(map(_contents, value))
    if isinstance(value, (set, frozenset)):
        return frozenset(map(_contents, value))
    if isinstance(value, bytearray):
        return bytes(value)
    return value if isinstance(value, (str, bytes, int, float, type(None))) else id(value)
