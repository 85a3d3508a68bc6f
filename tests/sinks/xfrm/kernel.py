"""
The sink ``xfrm`` with everything it tells the kernel written down, octet by octet.

The kernel itself is in :mod:`tests.interop.test_kernel`; what it is told can be read exactly here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isakmp.associations import ChildPolicy, SABundle
from isakmp.config.load import load
from isakmp.connections import Connection
from isakmp.sinks.memory import MemorySink
from isakmp.sinks.xfrm.link import ACK, Refused
from isakmp.sinks.xfrm.netlink import Message, attributes
from isakmp.sinks.xfrm.sink import XFRMSink
from isakmp.sinks.xfrm.structures import Attribute, Direction, Kind, Policy, Standing, State
from isakmp.sinks.xfrm.waiting import WaitingPackets
from isakmp.testing import FixedEntropy, LossyNetwork, VirtualClock, settle
from tests.nodes import Member
from tests.samples import PEER, US

_TRIED = 0xCFFFFF00.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class Told:
    """
    An SA or a policy as the kernel was told of it.

    :ivar flags: of an SA; or of a policy.
    :ivar limits: soft and hard, octets and packets.
    :ivar others: attributes, but for algorithms.
    """

    what: Standing | Policy
    flags: int
    limits: tuple[int, ...]
    others: Mapping[int, bytes]

    def numbers(self, kind: int) -> tuple[int, ...] | None:
        """An attribute as numbers of 32 bits; None: it is not there."""
        octets = self.others.get(kind)
        return None if octets is None else struct.unpack(f"={len(octets) // 4}I", octets)


class RecordedSink(XFRMSink):
    """
    :ivar clock: by which it waits, not that of a node.
    :ivar asked: kind and body of each question.
    :ivar refuse: raises what the kernel is to refuse with.
    :ivar counts: octets, packets and the last use of every SA; 0: it does not tell that.
    """

    def __init__(self, entropy: Callable[[int], bytes] = FixedEntropy("kernel")) -> None:
        self.clock = VirtualClock()
        super().__init__(self.clock, entropy)
        self._waiting = WaitingPackets(Path("/dev/null"))
        self.asked: list[tuple[int, bytes]] = []
        self.refuse: Callable[[int, bytes], object] = lambda kind, body: None
        self.counts = (0, 0, 0)
        self._spi = 0xC0000000

    async def _ask(self, kind: int, body: bytes, what: str, flags: int = ACK) -> list[Message]:
        if body[72:76] != _TRIED:
            self.asked.append((kind, body))
            self.refuse(kind, body)
        if kind == Kind.ALLOCSPI:
            self._spi += 1
            spi = self._spi.to_bytes(4, "big")
            return [Message(Kind.NEWSA, 0, 0, 0, body[:72] + spi + body[76 : State.SIZE])]
        if kind == Kind.GETSA and body:
            octets, packets, last = self.counts
            address, spi, family, protocol = struct.unpack_from("=16s4sHB", body)
            info = bytearray(State.SIZE)
            struct.pack_into("=16s4sB", info, 56, address, spi, protocol)
            struct.pack_into("=QQQQ", info, 160, octets, packets, 1, 1)
            struct.pack_into("=H", info, 212, family)
            used = struct.pack("=HHQ", 12, Attribute.LASTUSED, last) if last else b""
            return [Message(Kind.NEWSA, 0, 0, 0, bytes(info) + used)]
        return []

    def _hear_of_links(
        self, heard: Callable[[Message], object], missed: Callable[[], object]
    ) -> Any:
        return Quiet()

    def states(self) -> dict[str, Told]:
        """The SAs that were installed last, by their receivers' addresses."""
        found = {}
        for kind, body in self.asked:
            if kind in (Kind.NEWSA, Kind.UPDSA):
                standing = Standing.decode(body)
                limits = struct.unpack_from("=4Q", body, 96)
                others = attributes(body[State.SIZE :])
                found[standing.name.destination] = Told(standing, body[216], limits, others)
        return found

    def policies(self) -> list[Told]:
        """All policies that were set, in order."""
        found = []
        for kind, body in self.asked:
            if kind in (Kind.NEWPOLICY, Kind.UPDPOLICY):
                policy = Policy.decode(body)
                found.append(Told(policy, policy.flags, (), attributes(body[Policy.SIZE :])))
        return found

    def by_direction(self) -> dict[Direction, list[Told]]:
        """The policies that were set."""
        found: dict[Direction, list[Told]] = {}
        for told in self.policies():
            assert isinstance(told.what, Policy)
            found.setdefault(told.what.direction, []).append(told)
        return found


class Quiet:
    """What tells of nothing."""

    def close(self) -> None:
        """Nor afterwards."""


def refusing(kinds: Sequence[int], number: int) -> Callable[[int, bytes], object]:
    """What refuses questions of these kinds."""

    def refuse(kind: int, body: bytes) -> None:
        if kind in kinds:
            raise Refused(number, "a question")

    return refuse


def written(child: str, connection: str = "", ours: str = US, theirs: str = PEER) -> str:
    """A ``swanctl.conf`` of one end, whose networks are by its address."""
    nets = {US: "10.1.0.0/16", PEER: "10.2.0.0/16"}
    if "_ts" not in child:
        child += f"\nlocal_ts = {nets[ours]}\nremote_ts = {nets[theirs]}"
    return f"""
    connections {{
        gw {{
            version = 1
            local_addrs = {ours}
            remote_addrs = {theirs}
            proposals = aes128-sha256-curve25519
            {connection}
            local {{
                auth = psk
            }}
            remote {{
                auth = psk
            }}
            children {{
                net {{
                    esp_proposals = aes128-sha256
                    {child}
                }}
            }}
        }}
    }}
    secrets {{
        ike {{
            secret = correct horse battery staple
        }}
    }}
    """


@dataclass(slots=True)
class Ends:
    """
    Ours with the sink ``xfrm``, and a peer that asks for nothing special.
    """

    clock: VirtualClock
    ours: Member
    peer: Member
    sink: RecordedSink

    def establish(self) -> SABundle:
        """The child, up at both ends; what was asked of the kernel before is forgotten."""
        self.sink.asked.clear()
        (bundle,) = settle(self.clock, self.ours.establish("net", "gw"))
        self.clock.run_until(self.clock.seconds() + 1.0)
        return bundle


def ends(folder: Path, child: str, connection: str = "", sink: RecordedSink | None = None) -> Ends:
    """
    Two nodes, ours of a file that says this.

    :param folder: for the files; it is made.
    """
    folder.mkdir(parents=True)
    sink = RecordedSink() if sink is None else sink
    clock = VirtualClock()
    network = LossyNetwork(clock)
    members = []
    plain = ""
    if "transport" in child:
        plain = f"mode = transport\nlocal_ts = {PEER}\nremote_ts = {US}"
    for text, address, its in (
        (written(child, connection), US, sink),
        (written(plain, ours=PEER, theirs=US), PEER, MemorySink(FixedEntropy("peer"))),
    ):
        file = folder / f"{address}.conf"
        file.write_text(text)
        found = load(str(file))
        members.append(
            Member(network, clock, address, found.connections, tuple(found.secrets), sink=its)
        )
    return Ends(clock, members[0], members[1], sink)


def configured(folder: Path, child: str, connection: str = "") -> ChildPolicy:
    """What is negotiated about a child of a file that says this."""
    of = child_of(folder, child, connection)
    (one,) = of.children
    return ChildPolicy(
        of.name,
        one.name,
        of.doi,
        _Situation(),
        one.local[0],
        one.remote[0],
        one.suites,
        one.lifetime,
        action=one.action,
        handling=one.handling,
    )


def child_of(folder: Path, child: str, connection: str = "") -> Connection:
    """The connection of such a file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "swanctl.conf"
    file.write_text(written(child, connection))
    (found,) = load(str(file)).connections
    return found


class _Situation:
    """SIT_IDENTITY_ONLY."""

    def encode(self) -> bytes:
        """Four octets."""
        return bytes([0, 0, 0, 1])
