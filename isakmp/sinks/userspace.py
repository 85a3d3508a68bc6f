"""
A sink that protects packets in this process: ESP in user space.

It has no way to the network of its own: whoever makes it says where packets go, whether into a
memory pipe between two nodes or, one day, a TUN device and a socket.

What becomes of a packet is RFC 4301 section 5's business: outbound, the newest SA whose traffic it
is; inbound, the SA that its SPI names, then the replay window, the proof, and whether what comes
out is what that SA is for.  What is not protected is not sent.
"""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from isakmp import packets
from isakmp.associations import IPsecParameters, SABundle, SPIKey, Usage
from isakmp.crypto.esp import ESPError
from isakmp.errors import Malformed
from isakmp.events import SAExpiring
from isakmp.handling import Handling
from isakmp.identity import TrafficSelector
from isakmp.interfaces import IEvents, ISASink
from isakmp.packets import Packet
from isakmp.replay import ReplayWindow
from isakmp.sinks.memory import MemorySink

NO_NEXT_HEADER = 59
"""A dummy packet, for whoever counts packets on the wire.  RFC 4303 section 2.6."""

_INNER = {4: packets.IPV4, 6: packets.IPV6}


@dataclass(slots=True)
class Window:
    """An inbound SA's: what it is for, and what it has seen."""

    bundle: str
    parameters: IPsecParameters
    local: TrafficSelector
    remote: TrafficSelector
    replay: ReplayWindow


@implementer(ISASink)
class UserspaceSink(MemorySink):
    """
    Implements ISASink: protects the packets it is given.

    :param transmit: takes an IP packet that carries ESP and is to go to the peer.
    :param deliver: takes an IP packet from the peer that was protected.
    :param entropy: for the SPIs.
    :param window: of replayed packets, for each inbound SA.
    :ivar dropped: how many packets were dropped, by why.
    """

    name = "userspace"
    protects = True

    def __init__(
        self,
        transmit: Callable[[bytes], object],
        deliver: Callable[[bytes], object],
        entropy: Callable[[int], bytes] = os.urandom,
        window: int = 64,
    ) -> None:
        super().__init__(entropy)
        self._transmit = transmit
        self._deliver = deliver
        self._size = window
        self._windows: dict[SPIKey, Window] = {}
        self._usage: dict[str, list[float]] = {}
        self._limits: dict[str, Handling] = {}
        self._told: set[tuple[str, bool]] = set()
        self._events: IEvents | None = None
        self.dropped: Counter[str] = Counter()

    def start(self, events: IEvents) -> Deferred[None]:
        """
        At once.

        :param events: told when an SA has carried what it may.
        """
        self._events = events
        return super().start(events)

    # -- out -----------------------------------------------------------------------------------

    def send(self, octets: bytes) -> bool:
        """
        Protect a packet and transmit it.

        :param octets: an IP packet from this side.
        :return: whether there is an SA for it; else it is dropped, not sent in clear.
        """
        try:
            packet = Packet.decode(octets)
        except Malformed:
            return self._drop("no IP packet")
        bundle = self._bundle_for(packet)
        if bundle is None:
            return self._drop("no SA is for this traffic")
        if self._used_up(bundle.name, 2):
            return self._drop("the SA has carried all it may")
        parameters = bundle.outbound[0].parameters
        assert isinstance(parameters, IPsecParameters)
        try:
            if parameters.mode == "transport":
                sealed = self.seal(bundle.name, packet.payload, packet.protocol)
                outer = packets.carrying(packet, packets.ESP, sealed)
            else:
                sealed = self.seal(bundle.name, packet.octets, _INNER[packet.version])
                ours, peer = bundle.inbound[0].key, bundle.outbound[0].key
                outer = packets.packet(ours.destination, peer.destination, packets.ESP, sealed)
        except (ValueError, OverflowError):
            return self._drop("it is too long, or the SA is used up")
        self._count(bundle.name, 2, packet)
        self._transmit(outer)
        return True

    def _bundle_for(self, packet: Packet) -> SABundle | None:
        """The newest, which the peer has as well: what is renewed is not used any more."""
        for bundle in reversed(self._standing.values()):
            policy = bundle.policy
            if bundle.outbound and _fits(packet, policy.local, policy.remote):
                return bundle
        return None

    # -- in ------------------------------------------------------------------------------------

    def received(self, octets: bytes) -> bool:
        """
        Take in a packet that has come from the network.

        :return: whether it was delivered; else it is dropped.
        """
        try:
            outer = Packet.decode(octets)
        except Malformed:
            return self._drop("no IP packet")
        if outer.protocol != packets.ESP:
            return self._drop("not protected")
        spi, sequence = outer.payload[:4], int.from_bytes(outer.payload[4:8])
        programmed = self._inbound.get(spi)
        window = None if programmed is None else self._windows.get(programmed.sa.key)
        if programmed is None or window is None:
            return self._drop("no SA has this SPI")
        if not window.replay.fresh(sequence):
            return self._drop("replayed, or too late")
        if self._used_up(window.bundle, 0):
            return self._drop("the SA has carried all it may")
        try:
            _, sequence, payload, following = programmed.transform.open(outer.payload)
        except ESPError:
            return self._drop("not authentic")
        window.replay.take(sequence)
        if following == NO_NEXT_HEADER:
            return self._drop("a dummy packet")
        try:
            inner = self._inside(outer, window.parameters.mode, payload, following)
        except (Malformed, ValueError):
            return self._drop("what it protects is no packet")
        if not _fits(inner, window.remote, window.local):
            return self._drop("what it protects is not what the SA is for")
        self._count(window.bundle, 0, inner)
        self._deliver(inner.octets)
        return True

    def _inside(self, outer: Packet, mode: str, payload: bytes, following: int) -> Packet:
        if mode == "transport":
            return Packet.decode(packets.carrying(outer, following, payload))
        inner = Packet.decode(payload)
        if _INNER[inner.version] != following:
            raise ValueError(f"IP version {inner.version} behind next header {following}")
        return inner

    def _count(self, name: str, at: int, packet: Packet) -> None:
        usage = self._usage.setdefault(name, [0.0] * 6)
        usage[at] += len(packet.octets)
        usage[at + 1] += 1
        usage[4 + at // 2] = time.time()
        limits = self._limits[name]
        if _reached(usage[at], limits.rekey_octets) or _reached(
            usage[at + 1], limits.rekey_packets
        ):
            self._tell(name, hard=False)

    def _used_up(self, name: str, at: int) -> bool:
        """Whether one direction has carried all it may; then it is used no longer."""
        usage, limits = self._usage.get(name), self._limits[name]
        if usage is None or not (
            _reached(usage[at], limits.life_octets)
            or _reached(usage[at + 1], limits.life_packets)
        ):
            return False
        self._tell(name, hard=True)
        return True

    def _tell(self, name: str, hard: bool) -> None:
        """Once."""
        if self._events is not None and (name, hard) not in self._told:
            self._told.add((name, hard))
            self._events.publish(SAExpiring(self._standing[name].key, hard))

    def query(self, bundle: SABundle) -> Deferred[Usage]:
        """What it has protected and opened."""
        if bundle.name not in self._standing:
            return succeed(Usage())
        *counts, last_in, last_out = self._usage.get(bundle.name, [0.0] * 6)
        came, packets_in, left, packets_out = map(int, counts)
        usage = Usage(came, packets_in, left, packets_out, last_in, last_out, counted=True)
        return succeed(usage)

    def _drop(self, why: str) -> bool:
        self.dropped[why] += 1
        return False

    # -- what stands ---------------------------------------------------------------------------

    def _program(self, bundle: SABundle) -> None:
        """
        :raises OSError: if its traffic is selected by what packets here do not have.
        """
        handling = bundle.policy.handling
        for key, said in (
            ("mark_in", handling.mark_in),
            ("mark_out", handling.mark_out),
            ("if_id_in", handling.if_id_in),
            ("if_id_out", handling.if_id_out),
            ("interface", handling.interface),
        ):
            if said:
                text = f"{bundle.name}: the sink {self.name} cannot select by {key}"
                raise OSError(errno.EOPNOTSUPP, text)
        before = dict(self._programmed.get(bundle.name, {}))
        windows = dict(self._windows)
        super()._program(bundle)
        kept: dict[SPIKey, Window] = {}
        for sa in bundle.inbound:
            if not isinstance(sa.parameters, IPsecParameters):
                continue
            there, old = before.get(sa.key), windows.get(sa.key)
            same = there is not None and old is not None and there.same_keys(sa)
            replay = old.replay if same and old is not None else ReplayWindow(self._size)
            policy = bundle.policy
            kept[sa.key] = Window(
                bundle.name, sa.parameters, policy.local, policy.remote, replay
            )
        self._windows.update(kept)
        if bundle.name not in self._limits:
            agreed = [sa.lifetime.kilobytes for sa in (*bundle.inbound, *bundle.outbound)]
            least = min(filter(None, agreed), default=0)
            self._limits[bundle.name] = handling.spread(self._entropy).within(1024 * least)

    def _withdraw(self, name: str) -> None:
        super()._withdraw(name)
        self._forget_windows(name)

    def _remove(self, bundle: SABundle) -> None:
        super()._remove(bundle)
        self._usage.pop(bundle.name, None)
        self._limits.pop(bundle.name, None)
        self._told -= {(bundle.name, hard) for hard in (False, True)}

    def _forget_windows(self, name: str) -> None:
        for key in [key for key, window in self._windows.items() if window.bundle == name]:
            del self._windows[key]


def _reached(carried: float, limit: int) -> bool:
    return bool(limit) and carried >= limit


def _fits(packet: Packet, source: TrafficSelector, destination: TrafficSelector) -> bool:
    """Whether a packet goes from that traffic to this."""
    protocol = packet.protocol
    for selector, address, which in (
        (source, packet.source, 0),
        (destination, packet.destination, 1),
    ):
        if selector.version != packet.version or not selector.first <= address <= selector.last:
            return False
        if selector.protocol not in (0, protocol):
            return False
        if selector.port and (packet.ports is None or packet.ports[which] != selector.port):
            return False
    return True
