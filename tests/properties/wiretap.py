"""
Somebody on the wire between two nodes, who knows which message of which exchange passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from isakmp.numbers import ExchangeType
from isakmp.paths import Datagram, Path
from isakmp.testing import LossyNetwork
from isakmp.wire.message import Flags, Header
from tests.nodes import Pair

MAIN = tuple(f"Main {number}" for number in range(1, 7))
QUICK = tuple(f"Quick {number}" for number in range(1, 4))
MESSAGES = (*MAIN, *QUICK)
"""What passes while a child comes up, by the names of the RFCs' diagrams."""

COOKIES = 16
"""Octets of both: who does not know them is not heard at all."""

Act = Callable[[str, Datagram], Iterable[Datagram] | None]
"""Told the name of a message and the datagram; what it returns is as of a tap of the network."""


class Wiretap:
    """
    Sees every message that is sent.

    :param act: asked what becomes of each.
    :ivar first: of each name the first datagram.
    """

    def __init__(self, network: LossyNetwork, act: Act = lambda name, datagram: None) -> None:
        self.first: dict[str, Datagram] = {}
        self._network = network
        self._act = act
        self._names: dict[bytes, str] = {}
        self._begun: dict[tuple[bytes, int], str] = {}
        self._counts: dict[tuple[bytes, int, str], int] = {}
        network.taps.append(self)

    def __call__(self, datagram: Datagram) -> Iterable[Datagram] | None:
        name = self._names.get(datagram.octets)
        if name is None:
            name = self._names[datagram.octets] = self._name(datagram)
            self.first.setdefault(name, datagram)
        return self._act(name, datagram)

    def remove(self) -> None:
        """Look away from now on."""
        self._network.taps.remove(self)

    def _name(self, datagram: Datagram) -> str:
        header = Header.decode(datagram.octets)
        if header.exchange_type == ExchangeType.INFORMATIONAL:
            return "Informational" if header.flags & Flags.ENCRYPTION else "Notification"
        word = "Main" if header.exchange_type == ExchangeType.IDENTITY_PROTECTION else "Quick"
        run = header.cookies.initiator, header.message_id
        sender = datagram.path.local[0]
        initiator = self._begun.setdefault(run, sender)
        before = self._counts.get((*run, sender), 0)
        self._counts[(*run, sender)] = before + 1
        return f"{word} {2 * before + (1 if sender == initiator else 2)}"


def lose(both: Pair, *names: str) -> Wiretap:
    """Never deliver these messages, however often they are sent."""
    return Wiretap(both.network, lambda name, datagram: [] if name in names else None)


def race(both: Pair, forge: Callable[[Datagram], Sequence[Datagram]], *names: str) -> Wiretap:
    """
    When one of these messages is sent first, deliver something else just before it.

    :param forge: makes that of the message.
    """

    def act(name: str, datagram: Datagram) -> Sequence[Datagram] | None:
        if name not in names or tap.first[name] is not datagram:
            return None
        return [*forge(datagram), datagram]

    tap = Wiretap(both.network, act)
    return tap


def replace_with(
    both: Pair, name: str, forge: Callable[[Datagram], Sequence[Datagram]]
) -> Wiretap:
    """Whenever a message is sent, deliver something else in its place."""
    return Wiretap(
        both.network, lambda passing, datagram: forge(datagram) if passing == name else None
    )


def flipped(octets: bytes, bit: int) -> bytes:
    """A copy with one bit changed; bit 0 is the first octet's highest."""
    changed = bytearray(octets)
    changed[bit // 8] ^= 0x80 >> bit % 8
    return bytes(changed)


def forged(datagram: Datagram, octets: bytes) -> Datagram:
    """Other octets on the same path."""
    return replace(datagram, octets=octets)


def copies(datagram: Datagram, count: int) -> list[Datagram]:
    """Copies with one bit changed, everywhere behind the cookies; each another."""
    bits = 8 * (len(datagram.octets) - COOKIES)
    return [
        forged(datagram, flipped(datagram.octets, 8 * COOKIES + position * bits // count))
        for position in range(count)
    ]


def one_copy(position: int, count: int) -> Callable[[Datagram], list[Datagram]]:
    """Forges a copy with one bit changed at the n-th of so many places."""
    return lambda datagram: [copies(datagram, count)[position]]


def seen_from(datagram: Datagram, address: str, port: int = 500) -> Datagram:
    """The same octets, as if another address had sent them."""
    return Datagram(datagram.octets, Path((address, port), datagram.path.remote))


def reflected(datagram: Datagram) -> Datagram:
    """The same octets on their way back to whoever sent them."""
    return Datagram(datagram.octets, datagram.path.reversed())
