"""
What netlink messages about routes, rules and addresses consist of.

Facts of linux/rtnetlink.h, linux/fib_rules.h and linux/if_addr.h.  What is read may be a
stranger's: wrong lengths raise :class:`isakmp.sinks.xfrm.netlink.NetlinkError`.
"""

from __future__ import annotations

import enum
import ipaddress
import socket
import struct
from dataclasses import dataclass
from typing import Any

from isakmp.sinks.xfrm.netlink import NetlinkError, attribute, attributes
from isakmp.sinks.xfrm.structures import Network

PROTOCOL = 0x49
"""
Who has made a route or a rule, as the kernel keeps it with them: this program, and by nothing else
that is known (/etc/iproute2/rt_protos).
"""

MARK = 0x49530000
"""
What the packets of sockets carry that no route of ours is for; 32 bits that are unlikely to be
anybody else's.
"""

SO_MARK = 36
"""What gives a socket's packets a mark; Python's socket module names it on Linux only."""

GROUPS = 1 << 0 | 1 << 4 | 1 << 8 | 1 << 7 | 1 << 18
"""What is told without being asked: links, addresses of both families, rules of both."""

FAMILIES = (socket.AF_INET, socket.AF_INET6)


class Kind(enum.IntEnum):
    """Types of messages."""

    NEWLINK = 16
    DELLINK = 17
    NEWADDR = 20
    DELADDR = 21
    GETADDR = 22
    NEWROUTE = 24
    DELROUTE = 25
    GETROUTE = 26
    NEWRULE = 32
    DELRULE = 33
    GETRULE = 34


class Way(enum.IntEnum):
    """Types of routes, as far as they matter here."""

    UNICAST = 1
    LOCAL = 2
    THROW = 9
    """As if there were no route in this table."""


class _Of(enum.IntEnum):
    """Attributes of routes."""

    DST = 1
    SRC = 2
    OIF = 4
    GATEWAY = 5
    PREFSRC = 7
    TABLE = 15
    MARK = 16


class _OfRule(enum.IntEnum):
    """Attributes of rules."""

    PRIORITY = 6
    FWMARK = 10
    TABLE = 15
    FWMASK = 16
    PROTOCOL = 21


class _OfAddress(enum.IntEnum):
    """Attributes of addresses."""

    ADDRESS = 1
    LOCAL = 2
    FLAGS = 8


_ROUTE = struct.Struct("=8BI")
_RULE = struct.Struct("=4B3xBI")
_ADDRESS = struct.Struct("=4BI")
_NUMBER = struct.Struct("=I")

_UNIVERSE, _LINK_SCOPE = 0, 253
_LOOKUP_TABLE = 0x1000
_TO_TABLE, _INVERTED = 1, 2
_TENTATIVE, _FAILED, _DEPRECATED = 0x40, 0x08, 0x20


def _unpack(of: struct.Struct, octets: bytes) -> tuple[Any, ...]:
    if len(octets) < of.size:
        raise NetlinkError(f"{len(octets)} octets where {of.size} are expected")
    return of.unpack_from(octets)


def _number(octets: bytes, default: int = 0) -> int:
    return int(_NUMBER.unpack(octets)[0]) if len(octets) == _NUMBER.size else default


def _address(octets: bytes | None) -> str:
    """
    Of no octets none.

    :raises NetlinkError: if there are neither four nor sixteen.
    """
    if octets is None:
        return ""
    if len(octets) not in (4, 16):
        raise NetlinkError(f"an address of {len(octets)} octets")
    return str(ipaddress.ip_address(octets))


def family_of(version: int) -> int:
    """Of a version of IP."""
    return socket.AF_INET if version == 4 else socket.AF_INET6


def _packed(kind: int, address: str) -> bytes:
    return attribute(kind, ipaddress.ip_address(address).packed) if address else b""


@dataclass(frozen=True, slots=True)
class Route:
    """
    One route of ours.

    :ivar way: UNICAST, or THROW: then there is nothing else.
    :ivar interface: an index.
    :ivar gateway: empty if the interface leads to all of it.
    :ivar source: an address of ours that is preferred; empty: the kernel's choice.
    """

    destination: Network
    table: int
    way: int = Way.UNICAST
    interface: int = 0
    gateway: str = ""
    source: str = ""

    def encode(self) -> bytes:
        """For NEWROUTE and DELROUTE."""
        scope = _LINK_SCOPE if self.way == Way.UNICAST and not self.gateway else _UNIVERSE
        family, length = family_of(self.destination.version), self.destination.prefixlen
        fixed = _ROUTE.pack(family, length, 0, 0, 0, PROTOCOL, scope, self.way, 0)
        return b"".join(
            (
                fixed,
                attribute(_Of.DST, self.destination.network_address.packed),
                attribute(_Of.TABLE, _NUMBER.pack(self.table)),
                attribute(_Of.OIF, _NUMBER.pack(self.interface)) if self.interface else b"",
                _packed(_Of.GATEWAY, self.gateway),
                _packed(_Of.PREFSRC, self.source),
            )
        )

    def __str__(self) -> str:
        return str(self.destination)


@dataclass(frozen=True, slots=True)
class Told:
    """
    What the kernel tells of a route.

    :ivar protocol: who has made it.
    """

    route: Route
    protocol: int

    @classmethod
    def decode(cls, octets: bytes) -> Told:
        """
        :raises NetlinkError: if it is cut short, or no route of IP.
        """
        family, length, _, _, table, protocol, _, way, _ = _unpack(_ROUTE, octets)
        if family not in FAMILIES:
            raise NetlinkError(f"address family {family}")
        found = attributes(octets[_ROUTE.size :])
        size = 4 if family == socket.AF_INET else 16
        destination = found.get(_Of.DST, bytes(size))
        if len(destination) != size:
            raise NetlinkError(f"an address of {len(destination)} octets")
        try:
            network = ipaddress.ip_network((destination, length), strict=False)
        except ValueError as error:
            raise NetlinkError(f"a route: {error}") from None
        table = _number(found.get(_Of.TABLE, b""), table)
        if way == Way.THROW:  # IPv6 calls its interface that of loopback
            return cls(Route(network, table, way), protocol)
        interface = _number(found.get(_Of.OIF, b""))
        gateway, source = _address(found.get(_Of.GATEWAY)), _address(found.get(_Of.PREFSRC))
        return cls(Route(network, table, way, interface, gateway, source), protocol)


def protocol_of(octets: bytes) -> int:
    """Who has made the route that a message tells of; 0: it is cut short."""
    return octets[5] if len(octets) >= _ROUTE.size else 0


def question(to: str, ours: str = "") -> bytes:
    """
    For GETROUTE: which way a packet of a socket takes that no route of ours is for.

    :param ours: our address; empty: any.
    """
    parsed = ipaddress.ip_address(to)
    bits = parsed.max_prefixlen
    # In IPv6 the table is told without being asked for, and to ask is a mistake.
    flags = _LOOKUP_TABLE if parsed.version == 4 else 0
    fixed = _ROUTE.pack(
        family_of(parsed.version), bits, bits if ours else 0, 0, 0, 0, _UNIVERSE, 0, flags
    )
    mark = attribute(_Of.MARK, _NUMBER.pack(MARK))
    return fixed + _packed(_Of.DST, to) + _packed(_Of.SRC, ours) + mark


def every_route(family: int, table: int = 0, protocol: int = 0) -> bytes:
    """
    For a dump by GETROUTE.

    :param table: in this one alone, if the kernel can choose; 0: in all.
    :param protocol: likewise.
    """
    fixed = _ROUTE.pack(family, 0, 0, 0, 0, protocol, 0, 0, 0)
    return fixed + (attribute(_Of.TABLE, _NUMBER.pack(table)) if table else b"")


@dataclass(frozen=True, slots=True)
class Rule:
    """
    What packets are to be routed by a table: all but those of the sockets that have :data:`MARK`.

    :ivar priority: the smaller the earlier; 32766 has the main table.
    :ivar ours: whether this program has made it: it makes this exception.
    """

    family: int
    priority: int
    table: int
    ours: bool = True

    def encode(self) -> bytes:
        """For NEWRULE and DELRULE."""
        return b"".join(
            (
                _RULE.pack(self.family, 0, 0, 0, _TO_TABLE, _INVERTED),
                attribute(_OfRule.PRIORITY, _NUMBER.pack(self.priority)),
                attribute(_OfRule.FWMARK, _NUMBER.pack(MARK)),
                attribute(_OfRule.FWMASK, _NUMBER.pack(0xFFFFFFFF)),
                attribute(_OfRule.TABLE, _NUMBER.pack(self.table)),
                attribute(_OfRule.PROTOCOL, bytes([PROTOCOL])),
            )
        )

    @classmethod
    def decode(cls, octets: bytes) -> Rule:
        """
        :raises NetlinkError: if it is cut short.
        """
        family, _, _, _, _, flags = _unpack(_RULE, octets)
        found = attributes(octets[_RULE.size :])
        ours = (
            bool(flags & _INVERTED)
            and _number(found.get(_OfRule.FWMARK, b"")) == MARK
            and _number(found.get(_OfRule.FWMASK, b"")) == 0xFFFFFFFF
        )
        return cls(
            family,
            _number(found.get(_OfRule.PRIORITY, b"")),
            _number(found.get(_OfRule.TABLE, b"")),
            ours,
        )


def every_rule(family: int) -> bytes:
    """For a dump by GETRULE."""
    return _RULE.pack(family, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Own:
    """
    An address of this host.

    :ivar usable: whether something may be sent from it; not while somebody else may have it.
    :ivar deprecated: whether another is better.
    """

    address: str
    usable: bool = True
    deprecated: bool = False

    @classmethod
    def decode(cls, octets: bytes) -> Own:
        """
        :raises NetlinkError: if it is cut short, or there is none.
        """
        _, _, flags, scope, _ = _unpack(_ADDRESS, octets)
        found = attributes(octets[_ADDRESS.size :])
        address = _address(found.get(_OfAddress.LOCAL, found.get(_OfAddress.ADDRESS)))
        if not address:
            raise NetlinkError("no address")
        flags = _number(found.get(_OfAddress.FLAGS, b""), flags)
        alone = ":" in address and scope == _LINK_SCOPE  # it means nothing without its link
        usable = not flags & (_TENTATIVE | _FAILED) and not alone
        return cls(address, usable, bool(flags & _DEPRECATED))


def every_address(family: int) -> bytes:
    """For a dump by GETADDR."""
    return _ADDRESS.pack(family, 0, 0, 0, 0)
