"""
First messages that wait for their second: what a stranger can make this node remember.

RFC 2408 section 2.5.3: a responder does no work, and keeps little, before the cookie it gave has
come back.  What must be kept is message 1 as it was received, because its SA payload is hashed
later.  The table is bounded, in all and for each address; when it is full the oldest gives way, so
a flood displaces itself sooner than the honest peer whose next message is a round trip away.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from isakmp.connections import Limits
from isakmp.paths import Datagram
from isakmp.wire.message import CookiePair

if TYPE_CHECKING:
    from isakmp.exchange.exchange import Exchange


@dataclass(slots=True, eq=False)
class HalfOpen:
    """
    One first message and what it was answered.

    :ivar first: message 1, as it arrived.
    :ivar answer: message 2's octets.
    :ivar until: when it is forgotten.
    :ivar exchange: what runs already, as it could not wait; given up with the record.
    :ivar heard: how often message 1 came; ``said`` how often such an exchange has answered it.
    """

    cookies: CookiePair
    first: Datagram
    answer: bytes = field(repr=False)
    until: float
    exchange: Exchange | None = None
    heard: int = 1
    said: int = 1

    def answerable_again(self, more: int) -> bool:
        """
        Message 1 came once more: whether what runs may answer it as often, noted if so.

        :param more: octets that all answers together may have more than what came.
        """
        assert self.exchange is not None
        self.heard += 1
        answers = (self.said + 1) * len(self.exchange.conversation.sent)
        if answers > self.heard * len(self.first.octets) + more:
            return False
        self.said += 1
        return True


class HalfOpenTable:
    """
    Half-open exchanges by their cookies, oldest first.

    :ivar evicted: how many gave way to others.
    """

    def __init__(self, clock: IReactorTime, limits: Limits) -> None:
        self._clock = clock
        self._limits = limits
        self._all: OrderedDict[CookiePair, HalfOpen] = OrderedDict()
        self._by_address: dict[str, OrderedDict[CookiePair, None]] = {}
        self._timer: IDelayedCall | None = None
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[HalfOpen]:
        return iter(tuple(self._all.values()))

    @property
    def addresses(self) -> Mapping[str, int]:
        """How many each address has that has any."""
        return {address: len(own) for address, own in self._by_address.items()}

    def of_address(self, address: str) -> int:
        """How many one address has."""
        return len(self._by_address.get(address, ()))

    def add(
        self,
        cookies: CookiePair,
        first: Datagram,
        answer: bytes,
        exchange: Exchange | None = None,
    ) -> None:
        """
        Remember one; the oldest of this address, or of all, gives way if there is no room.

        :param exchange: if it runs already.
        """
        address = first.path.remote[0]
        own = self._by_address.get(address)
        if own is not None and len(own) >= self._limits.half_open_per_address:
            self._evict(next(iter(own)))
        elif len(self._all) >= self._limits.half_open:
            self._evict(next(iter(self._all)))
        until = self._clock.seconds() + self._limits.half_open_seconds
        self._all[cookies] = HalfOpen(cookies, first, answer, until, exchange)
        self._by_address.setdefault(address, OrderedDict())[cookies] = None
        self._schedule()

    def find(self, cookies: CookiePair) -> HalfOpen | None:
        """The one with these cookies."""
        return self._all.get(cookies)

    def remove(self, cookies: CookiePair) -> None:
        """Its cookie came back, or its time is over; idempotent."""
        half_open = self._all.pop(cookies, None)
        if half_open is None:
            return
        address = half_open.first.path.remote[0]
        own = self._by_address[address]
        del own[cookies]
        if not own:
            del self._by_address[address]
        if not self._all:
            self._stop()

    def close(self) -> None:
        """Forget all."""
        for half_open in tuple(self._all.values()):
            if half_open.exchange is not None:
                half_open.exchange.cancel()
        self._all.clear()
        self._by_address.clear()
        self._stop()

    def _evict(self, cookies: CookiePair) -> None:
        self.evicted += 1
        self._give_up(cookies)

    def _give_up(self, cookies: CookiePair) -> None:
        half_open = self._all.get(cookies)
        self.remove(cookies)
        if half_open is not None and half_open.exchange is not None:
            half_open.exchange.cancel()

    def _schedule(self) -> None:
        if self._timer is None and self._all:
            oldest = next(iter(self._all.values()))
            wait = max(0.0, oldest.until - self._clock.seconds())
            self._timer = self._clock.callLater(wait, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        while self._all:
            oldest = next(iter(self._all.values()))
            if oldest.until > now + 1e-6:
                break
            self._give_up(oldest.cookies)
        self._schedule()

    def _stop(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
