"""
Who a peer is, and what traffic a security association is for.

An Identification payload (RFC 2408 section 3.8) names either a party (phase 1) or, in Quick Mode,
a client: addresses with a protocol and a port (RFC 2409 section 5.5).  :class:`Identity` is the
value of both; :class:`TrafficSelector` is a client identity that can be compared.  The types of
identity and their contents are those of RFC 2407 section 4.6.2; another domain of interpretation
may use numbers of its own, which are kept and compared as octets.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from isakmp.errors import ConfigurationError, InvalidIdentity, Reason
from isakmp.numbers import IdentityType

_ADDRESSES = {IdentityType.IPV4_ADDR: 4, IdentityType.IPV6_ADDR: 16}
_SUBNETS = {IdentityType.IPV4_ADDR_SUBNET: 4, IdentityType.IPV6_ADDR_SUBNET: 16}
_RANGES = {IdentityType.IPV4_ADDR_RANGE: 4, IdentityType.IPV6_ADDR_RANGE: 16}
_SIZES: Mapping[int, int] = {
    kind: size * factor
    for sizes, factor in ((_ADDRESSES, 1), (_SUBNETS, 2), (_RANGES, 2))
    for kind, size in sizes.items()
}
_NAMES = frozenset({IdentityType.FQDN, IdentityType.USER_FQDN})

_PRINTABLE = bytes(range(33, 127))

_SHOWN = 64
"""How many octets of what a peer sent are written into a log."""

_PROTOCOL_NAMES = {1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 58: "icmpv6", 115: "l2tp"}
_PROTOCOL_NUMBERS = {name: number for number, name in _PROTOCOL_NAMES.items()}


@dataclass(frozen=True, slots=True)
class Identity:
    """
    The contents of an Identification payload.

    :ivar kind: the ID type.
    :ivar protocol: IP protocol; 0 for any.
    :ivar port: port; 0 for any.
    :ivar data: the identification data, as on the wire.
    """

    kind: int
    protocol: int
    port: int
    data: bytes

    @classmethod
    def parse(cls, text: str) -> Identity:
        """
        From a configuration, spelled as strongSwan's users do.

        An IP address; ``name@domain``; ``@domain``; ``@@name@domain``; ``@#`` and the hexadecimal
        octets of a key id; anything else is a domain name.  Distinguished names are not understood.

        :raises ConfigurationError: if it is empty, a name has blanks or what is not ASCII in it, or
            hexadecimal octets are not.
        """
        if ":" in text or text[-1:].isdigit():  # what has neither is no address
            try:
                return cls.address(text)
            except ValueError:
                pass
        if text.startswith("@#"):
            kind, name = IdentityType.KEY_ID, text[2:]
        elif text.startswith("@@"):
            kind, name = IdentityType.USER_FQDN, text[2:]
        elif text.startswith("@"):
            kind, name = IdentityType.FQDN, text[1:]
        else:
            kind, name = IdentityType.USER_FQDN if "@" in text else IdentityType.FQDN, text
        try:
            data = bytes.fromhex(name) if kind == IdentityType.KEY_ID else name.encode("ascii")
        except ValueError as error:
            raise ConfigurationError(f"{text!r} is not an identity: {error}") from None
        if not data:
            raise ConfigurationError(f"{text!r} is not an identity: it is empty")
        if kind in _NAMES and not _printable(data):
            raise ConfigurationError(
                f"{text!r} is not an identity: a name has no blanks or control characters"
            )
        return cls(kind, 0, 0, data)

    @classmethod
    def address(cls, text: str, protocol: int = 0, port: int = 0) -> Identity:
        """
        The identity of an IP address, given in its usual spelling.

        :raises ValueError: if it is not an address.
        """
        address = ipaddress.ip_address(text)
        kind = IdentityType.IPV4_ADDR if address.version == 4 else IdentityType.IPV6_ADDR
        return cls(kind, protocol, port, address.packed)

    def checked(self) -> Identity:
        """
        This identity, if its data has the form its type asks for (RFC 2407 section 4.6.2).

        :raises InvalidIdentity: otherwise.
        """
        size = _SIZES.get(self.kind)
        if size is not None and len(self.data) != size:
            raise self._invalid(f"{len(self.data)} octets where {size} belong")
        if self.kind in _SUBNETS:
            half = len(self.data) // 2
            mask = int.from_bytes(self.data[half:], "big")
            inverse = mask ^ ((1 << 8 * half) - 1)
            if inverse & (inverse + 1):
                raise self._invalid("the mask is not contiguous")
        if self.kind in _RANGES:
            half = len(self.data) // 2
            if self.data[:half] > self.data[half:]:
                raise self._invalid("the range ends before it begins")
        if self.kind in _NAMES and not _printable(self.data):
            raise self._invalid("a name of other than printable octets, or of none")
        return self

    def _invalid(self, why: str) -> InvalidIdentity:
        kind = IdentityType(self.kind)
        return InvalidIdentity(Reason(f"identity of type {kind.spelled}: {why}", _hex(self.data)))

    @property
    def bounds(self) -> tuple[int, int, int] | None:
        """
        IP version, first and last address as integers; None if this does not name addresses.

        Only of a :meth:`checked` identity.
        """
        half = len(self.data) // 2
        if self.kind in _ADDRESSES:
            first = int.from_bytes(self.data, "big")
            return (4 if len(self.data) == 4 else 6), first, first
        if self.kind in _SUBNETS:
            version = 4 if half == 4 else 6
            mask = int.from_bytes(self.data[half:], "big")
            first = int.from_bytes(self.data[:half], "big") & mask
            return version, first, first | (mask ^ ((1 << 8 * half) - 1))
        if self.kind in _RANGES:
            first, last = (int.from_bytes(part) for part in (self.data[:half], self.data[half:]))
            return (4 if half == 4 else 6), first, last
        return None

    def same_party(self, other: Identity) -> bool:
        """Whether both name the same party: protocol and port aside, names without their case."""
        if self.kind != other.kind:
            return False
        if self.kind in _NAMES:
            return self.data.lower() == other.data.lower()
        return self.data == other.data

    def __str__(self) -> str:
        """
        As :meth:`parse` reads it, where it can; else the type and hexadecimal octets.

        No two kinds look the same: a name that is spelled like an address has an ``@`` before it.
        """
        if self.kind in _NAMES and _printable(self.data) and len(self.data) <= 4 * _SHOWN:
            name = self.data.decode("ascii")
            for spelled in (name, ("@" if self.kind == IdentityType.FQDN else "@@") + name):
                if self._spelled_by(spelled):
                    return spelled
        elif self.kind == IdentityType.KEY_ID and self.data:
            return "@#" + _hex(self.data)
        else:
            try:
                bounds = self.checked().bounds
            except InvalidIdentity:
                bounds = None
            if bounds is not None:
                return _addresses(*bounds)
        return f"{IdentityType(self.kind).spelled}:{_hex(self.data)}"

    def _spelled_by(self, text: str) -> bool:
        try:
            other = Identity.parse(text)
        except ConfigurationError:
            return False
        return (other.kind, other.data) == (self.kind, self.data)


def _printable(name: bytes) -> bool:
    return bool(name) and not name.translate(None, _PRINTABLE)


def _hex(data: bytes) -> str:
    return data[:_SHOWN].hex() + ("..." if len(data) > _SHOWN else "")


@dataclass(frozen=True, slots=True)
class IdentityPattern:
    """
    Which identities of a peer a connection takes.

    ``%any`` takes every identity, ``*`` every name, ``*.example.org`` every domain name and
    ``*@example.org`` every ``name@domain`` that ends so; anything else the one identity it spells.

    :raises ConfigurationError: if it spells none.
    """

    text: str

    def __post_init__(self) -> None:
        # Here, where whoever configured it is told, and not when a peer comes.
        if self.text.startswith("*"):
            tail = self.text[1:].encode("utf-8", "surrogateescape")
            if tail and not _printable(tail):
                raise ConfigurationError(
                    f"{self.text!r} matches nobody: a name is ASCII without blanks or control "
                    "characters"
                )
        elif self.text != "%any":
            Identity.parse(self.text)

    @property
    def exact(self) -> Identity | None:
        """The one identity it takes; None if it takes several."""
        if self.text == "%any" or self.text.startswith("*"):
            return None
        return Identity.parse(self.text)

    def matches(self, identity: Identity) -> bool:
        """Whether this identity is one of those."""
        if self.text == "%any":
            return True
        if self.text.startswith("*"):
            tail = self.text[1:].lower().encode("ascii")
            # Only a name of the kind the tail is of: else the domain name x@example.org would be
            # taken for a user of example.org, and user@host.example.org for a host.
            kind = IdentityType.USER_FQDN if b"@" in tail else IdentityType.FQDN
            return (
                identity.kind in (_NAMES if not tail else (kind,))
                and len(identity.data) > len(tail)
                and identity.data.lower().endswith(tail)
            )
        exact = self.exact
        return exact is not None and exact.same_party(identity)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class TrafficSelector:
    """
    Addresses, a protocol and a port: one end of the traffic that an SA protects.

    :ivar version: 4 or 6.
    :ivar first: first address, as an integer.
    :ivar last: last address.
    :ivar protocol: IP protocol; 0 for any.
    :ivar port: port; 0 for any.
    """

    version: int
    first: int
    last: int
    protocol: int = 0
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> TrafficSelector:
        """
        From a configuration: ``10.0.0.0/8``, ``10.0.0.1-10.0.0.9``, ``10.0.0.1[tcp/80]``.

        :raises ConfigurationError: naming what is not understood.
        """
        addresses, bracket, rest = text.partition("[")
        protocol = port = 0
        try:
            if bracket:
                if not rest.endswith("]"):
                    raise ValueError("']' is missing")
                name, _, number = rest[:-1].partition("/")
                if name not in ("", "any"):
                    protocol = _PROTOCOL_NUMBERS.get(name.lower()) or int(name)
                port = int(number) if number not in ("", "any") else 0
                if not (0 <= protocol < 256 and 0 <= port < 65536):
                    raise ValueError("protocol or port out of range")
            if "-" in addresses:
                low, high = (ipaddress.ip_address(a.strip()) for a in addresses.split("-", 1))
                if low.version != high.version or int(low) > int(high):
                    raise ValueError("the range ends before it begins")
                return cls(low.version, int(low), int(high), protocol, port)
            network = ipaddress.ip_network(addresses.strip(), strict=False)
        except ValueError as error:
            raise ConfigurationError(f"{text!r} is not a traffic selector: {error}") from None
        first, last = int(network.network_address), int(network.broadcast_address)
        return cls(network.version, first, last, protocol, port)

    @classmethod
    def of(cls, identity: Identity) -> TrafficSelector:
        """
        The traffic that a client identity names.

        :raises InvalidIdentity: if it names a party, not addresses.
        """
        bounds = identity.checked().bounds
        if bounds is None:
            kind = IdentityType(identity.kind).spelled
            raise InvalidIdentity(Reason("a client must be named by addresses", kind))
        return cls(*bounds, identity.protocol, identity.port)

    @classmethod
    def host(cls, address: str) -> TrafficSelector:
        """All traffic of one address."""
        parsed = ipaddress.ip_address(address)
        return cls(parsed.version, int(parsed), int(parsed))

    def identity(self) -> Identity:
        """
        The client identity for this traffic: an address or a subnet where it is one, else a range.
        """
        size = 4 if self.version == 4 else 16
        first, last = self.first.to_bytes(size, "big"), self.last.to_bytes(size, "big")
        v4 = self.version == 4
        span = self.first ^ self.last
        if self.first == self.last:
            kind, data = (IdentityType.IPV4_ADDR if v4 else IdentityType.IPV6_ADDR), first
        elif not span & (span + 1) and not self.first & span:
            mask = (span ^ ((1 << 8 * size) - 1)).to_bytes(size, "big")
            kind = IdentityType.IPV4_ADDR_SUBNET if v4 else IdentityType.IPV6_ADDR_SUBNET
            data = first + mask
        else:
            kind = IdentityType.IPV4_ADDR_RANGE if v4 else IdentityType.IPV6_ADDR_RANGE
            data = first + last
        return Identity(kind, self.protocol, self.port, data)

    def within(self, wider: TrafficSelector) -> bool:
        """Whether everything this selects is selected by the other as well."""
        return (
            self.version == wider.version
            and wider.first <= self.first
            and self.last <= wider.last
            and wider.protocol in (0, self.protocol)
            and wider.port in (0, self.port)
        )

    def __str__(self) -> str:
        text = _addresses(self.version, self.first, self.last)
        if self.protocol or self.port:
            protocol = _PROTOCOL_NAMES.get(self.protocol, str(self.protocol or "any"))
            text += f"[{protocol}/{self.port}]" if self.port else f"[{protocol}]"
        return text


@dataclass(frozen=True, slots=True)
class Identities:
    """
    Both ends of the traffic of an SA, as a domain of interpretation names it that does not name it
    by addresses: RFC 2408 section 3.8 leaves the types of identity to each domain.

    They are compared whole: nothing is known of one being a part of another.
    """

    ours: Identity
    theirs: Identity

    def __str__(self) -> str:
        return f"{self.ours} - {self.theirs}"


def traffic(
    local: TrafficSelector, remote: TrafficSelector, identities: Identities | None
) -> str:
    """Both ends of some traffic, ours first, for people."""
    return f"{local} - {remote}" if identities is None else str(identities)


def _dotted(address: int) -> str:
    return ".".join(map(str, address.to_bytes(4)))


def _addresses(version: int, first: int, last: int) -> str:
    """A single address, a network with its prefix length, or a range."""
    make: Callable[[int], object] = _dotted if version == 4 else ipaddress.IPv6Address
    bits = 32 if version == 4 else 128
    span = first ^ last
    if first == last:
        return str(make(first))
    if not span & (span + 1) and not first & span:
        return f"{make(first)}/{bits - span.bit_length()}"
    return f"{make(first)}-{make(last)}"
