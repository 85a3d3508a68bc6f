"""
What netlink messages to XFRM consist of.

Facts of linux/xfrm.h, with the sizes of 64-bit machines; addresses, ports and SPIs are in network
order, the rest in the machine's.  All that is read may be a stranger's: wrong lengths raise
:class:`~isakmp.errors.Malformed`.
"""

from __future__ import annotations

import enum
import ipaddress
import socket
import struct
from dataclasses import dataclass, field

from isakmp.errors import Malformed

UNLIMITED = 2**64 - 1
"""Octets or packets."""


class Kind(enum.IntEnum):
    """Types of messages."""

    NEWSA = 0x10
    DELSA = 0x11
    GETSA = 0x12
    NEWPOLICY = 0x13
    DELPOLICY = 0x14
    GETPOLICY = 0x15
    ALLOCSPI = 0x16
    ACQUIRE = 0x17
    EXPIRE = 0x18
    UPDPOLICY = 0x19
    UPDSA = 0x1A
    MAPPING = 0x26


class Attribute(enum.IntEnum):
    """Types of attributes."""

    ALG_CRYPT = 2
    ALG_COMP = 3
    ENCAP = 4
    TMPL = 5
    LASTUSED = 15
    ALG_AEAD = 18
    ALG_AUTH_TRUNC = 20
    MARK = 21
    REPLAY_ESN = 23
    SET_MARK = 29
    SET_MARK_MASK = 30
    IF_ID = 31


class Direction(enum.IntEnum):
    """Of a policy."""

    IN = 0
    OUT = 1
    FWD = 2


class Flag(enum.IntFlag):
    """Of an SA."""

    NO_ECN = 1
    NO_PMTU_DISCOVERY = 4
    ANY_FAMILY = 32
    ESN = 128


class Mode(enum.IntEnum):
    """Of an SA."""

    TRANSPORT = 0
    TUNNEL = 1


GROUPS = 1 << 0 | 1 << 1 | 1 << 7
"""What the kernel tells without being asked: ACQUIRE, EXPIRE and MAPPING."""

_SELECTOR = struct.Struct("=16s16s4s4sHBBB3xiI")
_ID = struct.Struct("=16s4sB3x")
_LIMITS = struct.Struct("=8Q")
_CURRENT = struct.Struct("=4Q")
_SA_TAIL = struct.Struct("=12xIIHBBB7x")
_SA_ID = struct.Struct("=16s4sHBx")
_POLICY_TAIL = struct.Struct("=IIBBBB4x")
_POLICY_ID = struct.Struct("=IB3x")
_TEMPLATE = struct.Struct("=24sH2x16sIBBBxIII")
_MAPPING = struct.Struct("=24sI16s16s2s2s")
_ENCAPSULATION = struct.Struct("=H2s2s2x16x")
_REPLAY = struct.Struct("=6I")
_ACQUIRE_TAIL = struct.Struct("=4I")

SA_SIZE, POLICY_SIZE, ACQUIRE_SIZE = 224, 168, 280
ANY = "0.0.0.0"
_ESP_IN_UDP = 2
_EVERY_ALGORITHM = 0xFFFFFFFF


def address(text: str) -> bytes:
    """An xfrm_address_t."""
    return ipaddress.ip_address(text).packed.ljust(16, b"\0")


def family(text: str) -> int:
    """AF_INET or AF_INET6."""
    return socket.AF_INET6 if ":" in text else socket.AF_INET


def address_of(octets: bytes, of_family: int) -> str:
    """The inverse of :func:`address`."""
    if of_family == socket.AF_INET6:
        return str(ipaddress.IPv6Address(octets[:16]))
    return str(ipaddress.IPv4Address(octets[:4]))


def _port(number: int) -> bytes:
    return number.to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class Selector:
    """
    What a policy, or an SA, is for: an xfrm_selector.

    :ivar family: 0: any traffic.
    :ivar source: a network's address; ``source_bits`` its prefix length.
    :ivar protocol: 0 for any; so are the ports.
    """

    family: int = 0
    source: str = ANY
    source_bits: int = 0
    destination: str = ANY
    destination_bits: int = 0
    protocol: int = 0
    source_port: int = 0
    destination_port: int = 0

    def encode(self) -> bytes:
        """56 octets."""
        return _SELECTOR.pack(
            address(self.destination),
            address(self.source),
            _port(self.destination_port) + (b"\xff\xff" if self.destination_port else b"\0\0"),
            _port(self.source_port) + (b"\xff\xff" if self.source_port else b"\0\0"),
            self.family,
            self.destination_bits,
            self.source_bits,
            self.protocol,
            0,
            0,
        )

    @classmethod
    def decode(cls, octets: bytes) -> Selector:
        """
        :raises Malformed: if it is cut short, or has a family that is none.
        """
        fields = _unpack(_SELECTOR, octets)
        destination, source, to_port, from_port, kind, to_bits, from_bits, protocol, *_ = fields
        if kind not in (0, socket.AF_INET, socket.AF_INET6):
            raise Malformed(f"a selector of address family {kind}")
        return cls(
            kind,
            address_of(source, kind),
            from_bits,
            address_of(destination, kind),
            to_bits,
            protocol,
            int.from_bytes(from_port[:2], "big"),
            int.from_bytes(to_port[:2], "big"),
        )

    def __str__(self) -> str:
        source = f"{self.source}/{self.source_bits}"
        destination = f"{self.destination}/{self.destination_bits}"
        if self.protocol:
            source += f"[{self.protocol}/{self.source_port}]"
            destination += f"[{self.protocol}/{self.destination_port}]"
        return f"{source} - {destination}"


def _unpack(of: struct.Struct, octets: bytes, at: int = 0) -> tuple[object, ...]:
    if len(octets) < at + of.size:
        raise Malformed("a structure of XFRM's is cut short")
    return of.unpack_from(octets, at)


@dataclass(frozen=True, slots=True)
class Limits:
    """
    When an SA or a policy is to be renewed and when it ends: an xfrm_lifetime_cfg.

    :ivar hard_seconds: after it was added; 0: never.
    :ivar sign: seconds after its last use, at which it were to be renewed: so many that it never
        comes to that, but the kernel keeps them, and we know by them what is ours.
    """

    soft_octets: int = UNLIMITED
    hard_octets: int = UNLIMITED
    soft_packets: int = UNLIMITED
    hard_packets: int = UNLIMITED
    soft_seconds: int = 0
    hard_seconds: int = 0
    sign: int = 0

    def encode(self) -> bytes:
        """64 octets."""
        return _LIMITS.pack(
            self.soft_octets,
            self.hard_octets,
            self.soft_packets,
            self.hard_packets,
            self.soft_seconds,
            self.hard_seconds,
            self.sign,
            0,
        )

    @classmethod
    def decode(cls, octets: bytes) -> Limits:
        """
        :raises Malformed: if it is cut short.
        """
        return cls(*_unpack(_LIMITS, octets)[:7])  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class SAName:
    """
    What names an SA: an xfrm_id, and in requests an xfrm_usersa_id.

    :ivar protocol: IP protocol.
    :ivar spi: four octets.
    """

    destination: str
    protocol: int
    spi: bytes = bytes(4)

    def encode(self) -> bytes:
        """24 octets, for a request."""
        kind = family(self.destination)
        return _SA_ID.pack(address(self.destination), self.spi, kind, self.protocol)

    def xfrm_id(self) -> bytes:
        """24 octets, inside other structures."""
        return _ID.pack(address(self.destination), self.spi, self.protocol)


@dataclass(frozen=True, slots=True)
class Counters:
    """What has passed: an xfrm_lifetime_cur; times in seconds since 1970."""

    octets: int = 0
    packets: int = 0
    added: int = 0
    used: int = 0


@dataclass(frozen=True, slots=True)
class SA:
    """
    An xfrm_usersa_info: an SA without its algorithms.
    """

    name: SAName
    source: str
    mode: int = Mode.TUNNEL
    reqid: int = 0
    window: int = 0
    flags: int = 0
    limits: Limits = Limits()
    selector: Selector = Selector()
    counters: Counters = field(default=Counters(), compare=False)

    def encode(self) -> bytes:
        """224 octets."""
        tail = _SA_TAIL.pack(
            0, self.reqid, family(self.name.destination), self.mode, self.window, self.flags
        )
        return b"".join(
            (
                self.selector.encode(),
                self.name.xfrm_id(),
                address(self.source),
                self.limits.encode(),
                bytes(_CURRENT.size),
                tail,
            )
        )

    @classmethod
    def decode(cls, octets: bytes) -> SA:
        """
        :raises Malformed: if it is cut short, or of a family that is none.
        """
        _, reqid, kind, mode, window, flags = _unpack(_SA_TAIL, octets, 192)
        if kind not in (socket.AF_INET, socket.AF_INET6):
            raise Malformed(f"an SA of address family {kind}")
        destination, spi, protocol = _unpack(_ID, octets, 56)
        return cls(
            SAName(address_of(destination, kind), protocol, spi),  # type: ignore[arg-type]
            address_of(octets[80:96], kind),  # type: ignore[arg-type]
            mode,  # type: ignore[arg-type]
            reqid,  # type: ignore[arg-type]
            window,  # type: ignore[arg-type]
            flags,  # type: ignore[arg-type]
            Limits.decode(octets[96:160]),
            Selector.decode(octets[:56]),
            Counters(*_unpack(_CURRENT, octets, 160)),  # type: ignore[arg-type]
        )


@dataclass(frozen=True, slots=True)
class Template:
    """
    What an SA has to be like that serves a policy: an xfrm_user_tmpl.

    :ivar optional: whether traffic passes without it.
    """

    protocol: int
    mode: int
    reqid: int
    source: str = ANY
    destination: str = ANY
    optional: bool = False

    def encode(self, of_family: int) -> bytes:
        """64 octets."""
        return _TEMPLATE.pack(
            SAName(self.destination, self.protocol).xfrm_id(),
            of_family,
            address(self.source),
            self.reqid,
            self.mode,
            0,
            self.optional,
            *[_EVERY_ALGORITHM] * 3,
        )

    @staticmethod
    def reqids(octets: bytes) -> tuple[int, ...]:
        """Of all templates in an attribute."""
        size = _TEMPLATE.size
        return tuple(
            struct.unpack_from("=I", octets, at + 44)[0]
            for at in range(0, len(octets) - size + 1, size)
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """
    An xfrm_userpolicy_info: a policy without its templates.

    :ivar priority: the smaller the stronger.
    """

    selector: Selector
    direction: int
    priority: int = 0
    blocks: bool = False
    limits: Limits = Limits()

    def encode(self) -> bytes:
        """168 octets."""
        tail = _POLICY_TAIL.pack(self.priority, 0, self.direction, self.blocks, 0, 0)
        return self.selector.encode() + self.limits.encode() + bytes(_CURRENT.size) + tail

    @classmethod
    def decode(cls, octets: bytes) -> Policy:
        """
        :raises Malformed: if it is cut short.
        """
        priority, _, direction, action, *_ = _unpack(_POLICY_TAIL, octets, 152)
        return cls(
            Selector.decode(octets[:56]),
            direction,  # type: ignore[arg-type]
            priority,  # type: ignore[arg-type]
            bool(action),
            Limits.decode(octets[56:120]),
        )

    def encode_id(self) -> bytes:
        """64 octets: an xfrm_userpolicy_id, for its deletion."""
        return self.selector.encode() + _POLICY_ID.pack(0, self.direction)


def encode_encapsulation(source_port: int, destination_port: int) -> bytes:
    """An xfrm_encap_tmpl: ESP in UDP.  RFC 3948."""
    return _ENCAPSULATION.pack(_ESP_IN_UDP, _port(source_port), _port(destination_port))


def encode_replay(window: int) -> bytes:
    """An xfrm_replay_state_esn that has seen nothing yet."""
    words = (window + 31) // 32
    return _REPLAY.pack(words, 0, 0, 0, 0, window) + bytes(4 * words)


@dataclass(frozen=True, slots=True)
class Mapping:
    """An xfrm_user_mapping: the peer's packets come from elsewhere now."""

    name: SAName
    address: str
    port: int

    @classmethod
    def decode(cls, octets: bytes) -> Mapping:
        """
        :raises Malformed: if it is cut short.
        """
        name, _, _, new, _, port = _unpack(_MAPPING, octets)
        assert isinstance(name, bytes) and isinstance(new, bytes) and isinstance(port, bytes)
        destination, spi, kind, protocol = _SA_ID.unpack(name)
        return cls(
            SAName(address_of(destination, kind), protocol, spi),
            address_of(new, kind),
            int.from_bytes(port, "big"),
        )


def acquired(octets: bytes) -> Selector:
    """
    What traffic an xfrm_user_acquire is about.

    :raises Malformed: if it is cut short.
    """
    _unpack(_ACQUIRE_TAIL, octets, ACQUIRE_SIZE - _ACQUIRE_TAIL.size)
    return Selector.decode(octets[40:96])


def encode_socket_policy(direction: int, of_family: int) -> bytes:
    """What lets a socket's own datagrams pass: 168 octets."""
    return Policy(Selector(of_family), direction).encode()
