"""
Somebody between two parties, who sends copies with one bit changed ahead of the real messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from isakmp.paths import Datagram
from isakmp.testing.parties import Parties
from isakmp.wire.message import Flags, Header, Message
from isakmp.wire.payloads import Identification, KeyExchange, Nonce

_PROVEN = Flags.ENCRYPTION | Flags.AUTHENTICATION_ONLY
_COVERED = (KeyExchange, Nonce, Identification)
"""What AUTH covers in a message in clear text, besides itself."""


class Forger:
    """
    Forges what is sealed or proven, and in clear text what AUTH covers; nothing else: in clear text
    anybody can say anything.

    :param where: the place of the bit, one of :data:`PLACES`.
    :ivar seen: all octets that were sent.
    :ivar forged: how many copies were.
    """

    PLACES: ClassVar[Sequence[str]] = ("at the beginning", "in the middle", "at the end")

    def __init__(self, parties: Parties, where: str) -> None:
        self._parties = parties
        self._where = self.PLACES.index(where)
        self._drops = {party.who: len(party.drops) for party in parties.both}
        self._sent: dict[str, list[str]] = {party.who: [] for party in parties.both}
        self.seen: list[bytes] = []
        parties.network.taps.append(self._tap)

    @property
    def forged(self) -> int:
        """How many copies there were."""
        return sum(map(len, self._sent.values()))

    def accepted(self) -> Sequence[str]:
        """Those that a party did not drop, in words; not known which of several, all of them."""
        taken: list[str] = []
        for party in self._parties.both:
            forged = self._sent[party.who]
            if len(party.drops) - self._drops[party.who] < len(forged):
                taken += forged
        return taken

    def _tap(self, datagram: Datagram) -> Iterable[Datagram] | None:
        octets = datagram.octets
        self.seen.append(octets)
        position = self._position(datagram)
        if position is None:
            return None
        receiver = self._parties.of(datagram.path.remote[0])
        self._sent[receiver.who].append(f"a message to {receiver.who}{self._what(octets)}")
        forged = bytearray(octets)
        forged[position] ^= 1
        return replace(datagram, octets=bytes(forged)), datagram

    def _what(self, octets: bytes) -> str:
        sealed = Header.decode(octets).flags & Flags.ENCRYPTION
        return " that is sealed" if sealed else " that is proven"

    def _position(self, datagram: Datagram) -> int | None:
        """Of the octet to change; None: it is not to be forged."""
        octets = datagram.octets
        if Header.decode(octets).flags & _PROVEN:
            last = len(octets) - 1
            return (Header.SIZE, (Header.SIZE + last) // 2, last)[self._where]
        proofs = self._parties.of(datagram.path.local[0]).watched.proofs
        if not proofs:
            return None
        ends: list[int] = []
        end = Header.SIZE
        for payload in Message.decode(octets).payloads:
            end += 4 + len(payload.encode())
            if isinstance(payload, (*proofs, *_COVERED)):
                ends.append(end - 1)
        return (ends[0], ends[len(ends) // 2], ends[-1])[self._where] if ends else None
