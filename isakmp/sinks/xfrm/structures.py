"""
What netlink messages to XFRM consist of.

Facts of linux/xfrm.h, with the sizes of 64-bit machines; addresses, ports and SPIs are in network
order, the rest in the machine's.  What is read may be a stranger's: wrong lengths raise
:class:`isakmp.sinks.xfrm.netlink.NetlinkError`.
"""

from __future__ import annotations

import enum
import ipaddress
import socket
import struct
from dataclasses import dataclass, field
from typing import Any, ClassVar

from isakmp.sinks.xfrm.netlink import NetlinkError, attribute

ESP, AH, COMP = 50, 51, 108
"""Protocols of IP."""

TRANSPORT, TUNNEL = 0, 1
"""Modes."""

ALLOW, BLOCK = 0, 1
"""What a policy does."""

LOCAL_OK, POLICY_ICMP = 1, 2
"""Flags of a policy: a socket's own may go before it; errors about its traffic pass."""

NO_ECN, DECAPSULATE_DSCP, NO_PMTU_DISCOVERY, ICMP = 1, 2, 4, 16
AF_UNSPEC, ALIGN_4, ESN = 32, 64, 128
"""Flags of an SA."""

NO_DSCP = 1
"""Of the flags that stand in an attribute."""

GROUP_ACQUIRE, GROUP_EXPIRE, GROUP_SA, GROUP_POLICY = 1 << 0, 1 << 1, 1 << 2, 1 << 3
GROUP_MAPPING = 1 << 7
"""What the kernel tells without being asked."""

SIGN = 0x49534B4D50
"""
Seconds, ten thousand years: the kernel keeps them with an SA, and by them we know one of ours.
"""

SOCKET_POLICY = {
    socket.AF_INET: (socket.IPPROTO_IP, 17),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 35),
}
"""IP_XFRM_POLICY and IPV6_XFRM_POLICY: what takes a policy of a socket's own."""

NO_SPI = bytes(4)
"""Of an SA that traffic waits for, and that is not there yet."""

UNLIMITED = 2**64 - 1
"""Octets or packets."""

_ESP_IN_UDP = 2
_EVERY_ALGORITHM = 0xFFFFFFFF

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
"""Of either version of IP."""


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
    FLUSHSA = 0x1C
    FLUSHPOLICY = 0x1D
    MAPPING = 0x26


class Attribute(enum.IntEnum):
    """Types of attributes."""

    ALG_CRYPT = 2
    ALG_COMP = 3
    ENCAP = 4
    TMPL = 5
    LTIME_VAL = 9
    REPLAY_VAL = 10
    LASTUSED = 15
    ALG_AEAD = 18
    ALG_AUTH_TRUNC = 20
    MARK = 21
    REPLAY_ESN = 23
    EXTRA_FLAGS = 24
    SET_MARK = 29
    SET_MARK_MASK = 30
    IF_ID = 31
    MTIMER_THRESH = 32


class Direction(enum.IntEnum):
    """Of a policy."""

    IN = 0
    OUT = 1
    FORWARD = 2
    SOCKET_IN = 3
    """Of a socket's own policy, as the kernel tells of it."""
    SOCKET_OUT = 4


_SELECTOR = struct.Struct("=16s16s2s2s2s2sHBBB3xiI")
_ID = struct.Struct("=16s4sB3x")
_LIMITS = struct.Struct("=8Q")
_COUNTERS = struct.Struct("=4Q")
_SA_TAIL = struct.Struct("=12xIIHBBB7x")
_SA_ID = struct.Struct("=16s4sHBx")
_RANGE = struct.Struct("=II")
_POLICY_TAIL = struct.Struct("=IIBBBB4x")
_POLICY_ID = struct.Struct("=IB3x")
_TEMPLATE = struct.Struct("=24sH2x16sIBBBxIII")
_MAPPING = struct.Struct("=24sI16s16s2s2s")
_ENCAPSULATION = struct.Struct("=H2s2s2x16x")
_REPLAY = struct.Struct("=6I")


def _unpack(of: struct.Struct, octets: bytes, at: int = 0) -> tuple[Any, ...]:
    if len(octets) < at + of.size:
        raise NetlinkError(f"{len(octets)} octets where {at + of.size} are expected")
    return of.unpack_from(octets, at)


def _address(text: str) -> bytes:
    return ipaddress.ip_address(text).packed.ljust(16, b"\0")


def _family(text: str) -> int:
    return socket.AF_INET6 if ":" in text else socket.AF_INET


def _address_of(octets: bytes, family: int) -> str:
    if family == socket.AF_INET:
        return str(ipaddress.IPv4Address(octets[:4]))
    if family == socket.AF_INET6:
        return str(ipaddress.IPv6Address(octets[:16]))
    raise NetlinkError(f"address family {family}")


def _port(number: int) -> tuple[bytes, bytes]:
    """A port and its mask."""
    return number.to_bytes(2, "big"), b"\xff\xff" if number else b"\0\0"


@dataclass(frozen=True, slots=True)
class Selector:
    """
    What traffic a policy is for: an xfrm_selector.

    :ivar protocol: 0 for any; so are the ports.
    :ivar interface: an index, or 0.
    """

    source: Network
    destination: Network
    protocol: int = 0
    source_port: int = 0
    destination_port: int = 0
    interface: int = 0

    SIZE: ClassVar[int] = _SELECTOR.size

    def encode(self) -> bytes:
        """56 octets."""
        return _SELECTOR.pack(
            self.destination.network_address.packed,
            self.source.network_address.packed,
            *_port(self.destination_port),
            *_port(self.source_port),
            socket.AF_INET if self.source.version == 4 else socket.AF_INET6,
            self.destination.prefixlen,
            self.source.prefixlen,
            self.protocol,
            self.interface,
            0,
        )

    @classmethod
    def decode(cls, octets: bytes, at: int = 0) -> Selector:
        """
        :raises NetlinkError: if it is cut short, or of no family of addresses.
        """
        fields = _unpack(_SELECTOR, octets, at)
        to, source, to_port, _, from_port, _, family, to_bits, from_bits, protocol, index, _ = (
            fields
        )
        try:
            return cls(
                ipaddress.ip_network((_address_of(source, family), from_bits), strict=False),
                ipaddress.ip_network((_address_of(to, family), to_bits), strict=False),
                protocol,
                int.from_bytes(from_port, "big"),
                int.from_bytes(to_port, "big"),
                index,
            )
        except ValueError as error:
            raise NetlinkError(f"a selector: {error}") from None

    def __str__(self) -> str:
        if not self.protocol:
            return f"{self.source} - {self.destination}"
        source = f"{self.source}[{self.protocol}/{self.source_port}]"
        return f"{source} - {self.destination}[{self.protocol}/{self.destination_port}]"


@dataclass(frozen=True, slots=True)
class Limits:
    """
    When an SA is to be renewed and when it ends; 0: that does not matter.

    :ivar sign: seconds after its last use, at which it were to be renewed.
    """

    rekey_octets: int = 0
    life_octets: int = 0
    rekey_packets: int = 0
    life_packets: int = 0
    life_seconds: int = 0
    sign: int = 0

    def encode(self) -> bytes:
        """64 octets: an xfrm_lifetime_cfg."""
        volumes = (self.rekey_octets, self.life_octets, self.rekey_packets, self.life_packets)
        seconds = 0, self.life_seconds, self.sign, 0
        return _LIMITS.pack(*(volume or UNLIMITED for volume in volumes), *seconds)


@dataclass(frozen=True, slots=True)
class Name:
    """
    What names an SA.

    :ivar protocol: of IP.
    :ivar spi: four octets.
    """

    destination: str
    protocol: int
    spi: bytes

    def encode(self) -> bytes:
        """24 octets: an xfrm_usersa_id."""
        family = _family(self.destination)
        return _SA_ID.pack(_address(self.destination), self.spi, family, self.protocol)

    def encode_id(self) -> bytes:
        """24 octets: an xfrm_id."""
        return _ID.pack(_address(self.destination), self.spi, self.protocol)


@dataclass(frozen=True, slots=True)
class State:
    """
    An SA that the kernel is to have.

    :ivar source: the sender's address.
    :ivar algorithms: attributes, with keys; ``others`` without.
    """

    source: str
    name: Name
    reqid: int
    mode: int
    limits: Limits = Limits()
    window: int = 0
    flags: int = 0
    algorithms: bytes = field(default=b"", repr=False)
    others: bytes = b""

    SIZE: ClassVar[int] = 224

    def _info(self) -> bytes:
        """An xfrm_usersa_info."""
        family = _family(self.name.destination)
        return b"".join(
            (
                bytes(_SELECTOR.size),
                self.name.encode_id(),
                _address(self.source),
                self.limits.encode(),
                bytes(_COUNTERS.size),
                _SA_TAIL.pack(0, self.reqid, family, self.mode, self.window, self.flags),
            )
        )

    def encode(self) -> bytes:
        """For NEWSA and UPDSA."""
        return self._info() + self.algorithms + self.others

    def encode_range(self, least: int, most: int) -> bytes:
        """For ALLOCSPI: an xfrm_userspi_info."""
        return self._info() + _RANGE.pack(least, most)


@dataclass(frozen=True, slots=True)
class Standing:
    """
    What the kernel tells of an SA: an xfrm_usersa_info.

    :ivar used: when its first packet passed, in seconds since 1970; 0: none has.
    :ivar worn: whether it has carried what it may before it is renewed.
    """

    source: str
    name: Name
    reqid: int
    mode: int
    octets: int
    packets: int
    added: int
    used: int
    signed: bool = False
    worn: bool = False

    @classmethod
    def decode(cls, octets: bytes) -> Standing:
        """
        :raises NetlinkError: if it is cut short, or of no family of addresses.
        """
        _, reqid, family, mode, _, _ = _unpack(_SA_TAIL, octets, State.SIZE - _SA_TAIL.size)
        destination, spi, protocol = _unpack(_ID, octets, 56)
        carried, packets, added, used = _unpack(_COUNTERS, octets, 160)
        name = Name(_address_of(destination, family), protocol, spi)
        limits = _unpack(_LIMITS, octets, 96)
        signed, worn = limits[6] == SIGN, carried >= limits[0] or packets >= limits[2]
        source = _address_of(octets[80:96], family)
        return cls(source, name, reqid, mode, carried, packets, added, used, signed, worn)


@dataclass(frozen=True, slots=True)
class Template:
    """
    What an SA has to be like that serves a policy: an xfrm_user_tmpl.

    :ivar optional: whether traffic passes without it.
    :ivar spi: that it has to have; zeros: any.
    """

    source: str
    destination: str
    protocol: int
    mode: int
    reqid: int
    optional: bool = False
    spi: bytes = bytes(4)

    def encode(self) -> bytes:
        """64 octets.  The addresses matter to tunnels alone."""
        return _TEMPLATE.pack(
            Name(self.destination, self.protocol, self.spi).encode_id(),
            _family(self.destination),
            _address(self.source),
            self.reqid,
            self.mode,
            0,
            self.optional,
            *[_EVERY_ALGORITHM] * 3,
        )

    @staticmethod
    def reqid_of(octets: bytes) -> int:
        """Of the first of some; 0: there is none."""
        return int(_unpack(_TEMPLATE, octets)[3]) if len(octets) >= _TEMPLATE.size else 0


@dataclass(frozen=True, slots=True)
class Policy:
    """
    An xfrm_userpolicy_info and what belongs to it.

    :ivar priority: the smaller the stronger.
    :ivar index: the kernel's name for it; its last three bits are the direction.  0: any.
    :ivar templates: the innermost first.
    :ivar others: attributes.
    :ivar yields: not the kernel's business: whether any other for the same traffic goes before it.
    """

    selector: Selector
    direction: Direction
    priority: int = 0
    action: int = ALLOW
    flags: int = 0
    index: int = 0
    templates: tuple[Template, ...] = ()
    others: bytes = b""
    yields: bool = False

    SIZE: ClassVar[int] = 168

    def encode(self) -> bytes:
        """For NEWPOLICY and UPDPOLICY."""
        tail = _POLICY_TAIL.pack(
            self.priority, self.index, self.direction, self.action, self.flags, 0
        )
        info = self.selector.encode() + Limits().encode() + bytes(_COUNTERS.size) + tail
        templates = b"".join(template.encode() for template in self.templates)
        return info + (attribute(Attribute.TMPL, templates) if templates else b"") + self.others

    def encode_id(self) -> bytes:
        """For DELPOLICY: an xfrm_userpolicy_id, by what it selects."""
        return self.selector.encode() + _POLICY_ID.pack(0, self.direction) + self.others

    @classmethod
    def decode(cls, octets: bytes) -> Policy:
        """
        Without templates and attributes.

        :raises NetlinkError: if it is cut short.
        """
        priority, index, direction, action, flags, _ = _unpack(_POLICY_TAIL, octets, 152)
        try:
            where = Direction(direction)
        except ValueError:
            raise NetlinkError(f"a policy of direction {direction}") from None
        return cls(Selector.decode(octets), where, priority, action, flags, index)


@dataclass(frozen=True, slots=True)
class Acquire:
    """
    An xfrm_user_acquire: traffic waits for an SA.

    :ivar traffic: of the packet.
    :ivar policy: that wants it; without templates and attributes.
    """

    traffic: Selector
    policy: Policy

    SIZE: ClassVar[int] = 280

    @classmethod
    def decode(cls, octets: bytes) -> Acquire:
        """
        :raises NetlinkError: if it is cut short.
        """
        if len(octets) < cls.SIZE:
            raise NetlinkError("an ACQUIRE is cut short")
        return cls(Selector.decode(octets, 40), Policy.decode(octets[96:]))


def decode_mapping(octets: bytes) -> tuple[Name, str, int]:
    """
    An xfrm_user_mapping: by which SA it is seen, and from where the peer sends now.

    :raises NetlinkError: if it is cut short.
    """
    named, _, _, new, _, port = _unpack(_MAPPING, octets)
    destination, spi, family, protocol = _SA_ID.unpack(named)
    name = Name(_address_of(destination, family), protocol, spi)
    return name, _address_of(new, family), int.from_bytes(port, "big")


def mark(kind: int, value: int, mask: int) -> bytes:
    """An attribute with an xfrm_mark."""
    return attribute(kind, _RANGE.pack(value, mask))


def number(kind: int, value: int) -> bytes:
    """An attribute with a number of 32 bits."""
    return attribute(kind, struct.pack("=I", value))


def encapsulation(source_port: int, destination_port: int) -> bytes:
    """An attribute with an xfrm_encap_tmpl: ESP in UDP.  RFC 3948."""
    ports = _port(source_port)[0], _port(destination_port)[0]
    return attribute(Attribute.ENCAP, _ENCAPSULATION.pack(_ESP_IN_UDP, *ports))


def replay(window: int) -> bytes:
    """An attribute with an xfrm_replay_state_esn that has seen nothing yet."""
    words = (window + 31) // 32
    fixed = _REPLAY.pack(words, 0, 0, 0, 0, window)
    return attribute(Attribute.REPLAY_ESN, fixed + bytes(4 * words))


def socket_policy(direction: Direction, family: int) -> bytes:
    """What lets the datagrams of a socket pass: the value of IP_XFRM_POLICY."""
    anything: Network = ipaddress.IPv4Network("0.0.0.0/0")
    if family == socket.AF_INET6:
        anything = ipaddress.IPv6Network("::/0")
    return Policy(Selector(anything, anything), direction).encode()
