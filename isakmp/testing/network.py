"""
An unreliable network in memory: what UDP does to datagrams (RFC 2408 section 2.5.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from ipaddress import ip_address
from itertools import count
from math import inf
from random import Random

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from isakmp.interfaces import IPorts
from isakmp.paths import Address, Datagram

Tap = Callable[[Datagram], Iterable[Datagram] | None]
"""Sees a datagram as it is sent.  ``None`` lets it pass; others are delivered instead, in order."""


@dataclass(slots=True)
class Transmission:
    """A datagram as a node sent it, when (in seconds), and how often it has arrived so far."""

    datagram: Datagram
    time: float
    delivered: int = 0


@implementer(IPorts)
@dataclass(frozen=True, slots=True)
class NetworkPorts:
    """The ports of one node: what :meth:`LossyNetwork.attach` returns."""

    network: LossyNetwork
    address: str

    def source(self, remote: str, port: int) -> Address:
        """Our end of a path to an address: there is only one."""
        return self.address, port

    def send(self, datagram: Datagram) -> None:
        """
        Give the network a datagram, from ``path.local`` to ``path.remote``.

        :raises ValueError: it does not leave from this node's address.
        """
        if datagram.path.local[0] != self.address:
            raise ValueError(f"{datagram.path} does not leave from {self.address}")
        self.network._send(datagram)


@dataclass(eq=False)
class LossyNetwork:
    """
    An unreliable network in memory.  With the defaults every datagram arrives, in order.

    The fate of the n-th datagram depends on the seed, on n and on the settings only.  These may be
    changed at any time.  Always ``sent + injected + duplicated == delivered + dropped + pending``.

    :param clock: one that keeps the order of calls due at the same time.
    :param drop: the chance, 0 to 1, that a datagram is lost.
    :param duplicate: the chance that one that is not lost arrives twice.
    :param reorder: the chance that one is held back by 1 to 10 times the longest usual delay (at
        least 10 ms), so that later ones overtake it.
    :param delay: seconds from sender to receiver.
    :param jitter: up to so many seconds more; this reorders as well.
    :raises ValueError: a chance outside 0 to 1, or a negative or endless time.

    :ivar injected: how many did not come from a node but from a tap or :meth:`inject`.
    :ivar dropped: how many were lost, swallowed by a tap, cut, flushed or unroutable.
    :ivar unroutable: how many of these had a destination that is not attached.
    :ivar cut: while true, all that is sent is dropped; what is in flight still arrives.
    :ivar taps: the first sees what a node sends, each other what the one before it let pass.
    :ivar record: if set to a list, what nodes send is written there.
    """

    clock: IReactorTime
    _: KW_ONLY
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.01
    jitter: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not all(0 <= chance <= 1 for chance in (self.drop, self.duplicate, self.reorder)):
            raise ValueError("a chance is from 0 to 1")
        if not all(0 <= time < inf for time in (self.delay, self.jitter)):
            raise ValueError("delay and jitter are finite and not negative")
        self.sent = self.injected = self.duplicated = 0
        self.delivered = self.dropped = self.unroutable = 0
        self.cut = False
        self.taps: list[Tap] = []
        self.record: list[Transmission] | None = None
        self._random = Random(self.seed)
        self._receivers: dict[str, Callable[[Datagram], None]] = {}
        self._flights: dict[int, IDelayedCall] = {}
        self._serials = count()

    def attach(self, address: str, receive: Callable[[Datagram], None]) -> NetworkPorts:
        """
        Put a node on the network.

        :param address: its IP address; it gets what is sent there, whatever the port.
        :param receive: called with each datagram, its path seen from the receiver.
        :raises ValueError: not an address in its canonical spelling, or taken.
        """
        if str(ip_address(address)) != address or address in self._receivers:
            raise ValueError(f"{address} is taken, or spelled {ip_address(address)}")
        self._receivers[address] = receive
        return NetworkPorts(self, address)

    def detach(self, address: str) -> None:
        """
        The node there is gone; another may be put in its place.

        :raises LookupError: if there was none.
        """
        del self._receivers[address]

    def inject(self, datagram: Datagram, delay: float = 0.0) -> None:
        """Deliver what no node sent, as if from ``path.local``: not by chance, past all taps."""
        self.injected += 1
        self._launch(delay, datagram, None)

    @property
    def pending(self) -> int:
        """How many are in flight."""
        return len(self._flights)

    def flush(self) -> int:
        """Drop all that is in flight, and say how many that were."""
        flights, self._flights = self._flights, {}
        for call in flights.values():
            call.cancel()
        self.dropped += len(flights)
        return len(flights)

    def _send(self, datagram: Datagram) -> None:
        self.sent += 1
        transmission = Transmission(datagram, self.clock.seconds())
        if self.record is not None:
            self.record.append(transmission)
        # Always as many random numbers: no setting changes the luck of later datagrams.
        lost = self._random.random() < self.drop or self.cut
        twice = self._random.random() < self.duplicate
        first, second = self._transit(), self._transit()
        times = [] if lost else sorted((first, second)) if twice else [first]
        passed = [datagram]
        for tap in self.taps:
            answers = [(each, tap(each)) for each in passed]
            passed = [out for each, new in answers for out in ((each,) if new is None else new)]
        original = False
        for each in passed:
            if each is datagram and not original:
                original = True
                self.duplicated += len(times) == 2
                for time in times:
                    self._launch(time, each, transmission)
            else:
                # With the real one's first copy: before or after it, as the tap has it.
                self.inject(each, times[0] if times else first)
        self.dropped += lost or not original

    def _transit(self) -> float:
        """How long one copy travels, in seconds."""
        held, jitter, hold = (self._random.random() for _ in range(3))
        time = self.delay + jitter * self.jitter
        if held < self.reorder:
            time += (1.0 + 9.0 * hold) * max(self.delay + self.jitter, 0.01)
        return time

    def _launch(self, delay: float, datagram: Datagram, sent: Transmission | None) -> None:
        if self.cut:
            self.dropped += 1
            return
        n = next(self._serials)
        self._flights[n] = self.clock.callLater(delay, self._arrive, n, datagram, sent)

    def _arrive(self, n: int, datagram: Datagram, sent: Transmission | None) -> None:
        del self._flights[n]
        receive = self._receivers.get(datagram.path.remote[0])
        if receive is None:
            self.dropped += 1
            self.unroutable += 1
            return
        self.delivered += 1
        if sent is not None:
            sent.delivered += 1
        receive(Datagram(datagram.octets, datagram.path.reversed()))
