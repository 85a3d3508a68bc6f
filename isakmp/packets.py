"""
IP packets, as far as one has to know them who protects them: addresses, protocol, ports.

RFC 791, RFC 8200 (IPv6), RFC 768 (UDP), RFC 792 and RFC 4443 (echo), RFC 1071 (checksum).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from isakmp.errors import Malformed, Reason

ICMP, IPV4, TCP, UDP, IPV6, ESP, AH = 1, 4, 6, 17, 41, 50, 51
ICMPV6 = 58
"""Protocol numbers; IPV4 and IPV6 are those of a packet inside another."""

_WITH_PORTS = frozenset({TCP, UDP, 132, 136})  # SCTP and UDP-Lite have theirs in the same place
_EXTENSIONS = frozenset({0, 43, 60})
"""IPv6 headers that stand before what is carried and have their length in their second octet."""

_FRAGMENT = 44
_MOST_EXTENSIONS = 8

ECHO_REQUEST, ECHO_REPLY = 8, 0
ECHO_REQUEST_V6, ECHO_REPLY_V6 = 128, 129


@dataclass(frozen=True, slots=True)
class Packet:
    """
    An IP packet.

    :ivar octets: all of it, without what may stand behind it in a frame.
    :ivar version: 4 or 6.
    :ivar source: address, as an integer; ``destination`` likewise.
    :ivar protocol: of what it carries, behind extension headers.
    :ivar begins: where that begins.
    :ivar ports: source and destination port; of other protocols, and of a fragment that is not the
        first, None.
    """

    octets: bytes
    version: int
    source: int
    destination: int
    protocol: int
    begins: int
    ports: tuple[int, int] | None

    @property
    def payload(self) -> bytes:
        """What it carries."""
        return self.octets[self.begins :]

    @classmethod
    def decode(cls, octets: bytes) -> Packet:
        """
        Read one.

        :raises Malformed: if it is none, or shorter than it says.
        """
        version = octets[0] >> 4 if octets else 0
        if version == 4 and len(octets) >= 20:
            return cls._decode_4(octets)
        if version == 6 and len(octets) >= 40:
            return cls._decode_6(octets)
        raise Malformed(Reason("an IP packet", f"version {version}, {len(octets)} octets"))

    @classmethod
    def _decode_4(cls, octets: bytes) -> Packet:
        begins, total = (octets[0] & 0xF) * 4, int.from_bytes(octets[2:4])
        if not 20 <= begins <= total <= len(octets):
            lengths = f"header {begins}, in all {total}, received {len(octets)}"
            raise Malformed(Reason("the lengths of an IPv4 packet", lengths))
        if checksum(octets[:begins]):
            raise Malformed(Reason("the checksum of an IPv4 header"))
        octets = octets[:total]
        later = int.from_bytes(octets[6:8]) & 0x1FFF
        source, destination = int.from_bytes(octets[12:16]), int.from_bytes(octets[16:20])
        protocol = octets[9]
        ports = None if later else _ports(protocol, octets[begins:])
        return cls(octets, 4, source, destination, protocol, begins, ports)

    @classmethod
    def _decode_6(cls, octets: bytes) -> Packet:
        total = 40 + int.from_bytes(octets[4:6])
        if total > len(octets):
            lengths = f"in all {total}, received {len(octets)}"
            raise Malformed(Reason("the lengths of an IPv6 packet", lengths))
        octets = octets[:total]
        protocol, begins, later = octets[6], 40, False
        for _ in range(_MOST_EXTENSIONS):
            if protocol == _FRAGMENT:
                size = 8
                later = bool(int.from_bytes(octets[begins + 2 : begins + 4]) >> 3)
            elif protocol in _EXTENSIONS:
                size = (octets[begins + 1] + 1) * 8 if begins + 1 < total else 8
            else:
                break
            if begins + size > total:
                raise Malformed(Reason("an extension header of an IPv6 packet is cut short"))
            protocol, begins = octets[begins], begins + size
        else:
            raise Malformed(Reason(f"more than {_MOST_EXTENSIONS} extension headers"))
        source, destination = int.from_bytes(octets[8:24]), int.from_bytes(octets[24:40])
        ports = None if later else _ports(protocol, octets[begins:])
        return cls(octets, 6, source, destination, protocol, begins, ports)


def _ports(protocol: int, payload: bytes) -> tuple[int, int] | None:
    if protocol not in _WITH_PORTS or len(payload) < 4:
        return None
    return int.from_bytes(payload[:2]), int.from_bytes(payload[2:4])


def checksum(octets: bytes) -> int:
    """The ones' complement of the ones' complement sum; 0 of what contains a right one."""
    if len(octets) % 2:
        octets += b"\0"
    total = sum(int.from_bytes(octets[at : at + 2]) for at in range(0, len(octets), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def packet(source: str, destination: str, protocol: int, payload: bytes, hops: int = 64) -> bytes:
    """
    A packet between two addresses of one version.

    :raises ValueError: if they are not, or it would be longer than a packet can be.
    """
    one, other = ip_address(source), ip_address(destination)
    if one.version != other.version:
        raise ValueError(f"{source} and {destination} are of two versions")
    if one.version == 6:
        head = b"\x60\0\0\0" + len(payload).to_bytes(2) + bytes((protocol, hops))
        return head + one.packed + other.packed + payload
    head = b"\x45\0" + (20 + len(payload)).to_bytes(2) + bytes(4) + bytes((hops, protocol))
    addresses = one.packed + other.packed
    return head + checksum(head + bytes(2) + addresses).to_bytes(2) + addresses + payload


def carrying(original: Packet, protocol: int, payload: bytes) -> bytes:
    """
    The same packet with something else in it: what transport mode makes of one.

    :raises ValueError: if it would be longer than a packet can be.
    """
    head = bytearray(original.octets[: original.begins])
    if original.version == 6:
        head[4:6] = (len(head) - 40 + len(payload)).to_bytes(2)
        head[_next_header_at(original)] = protocol
    else:
        head[2:4] = (len(head) + len(payload)).to_bytes(2)
        head[9] = protocol
        head[10:12] = bytes(2)
        head[10:12] = checksum(bytes(head)).to_bytes(2)
    return bytes(head) + payload


def _next_header_at(original: Packet) -> int:
    """Where the last header before the payload says what follows."""
    octets, at, begins = original.octets, 6, 40
    while begins < original.begins:
        size = 8 if octets[at] == _FRAGMENT else (octets[begins + 1] + 1) * 8
        at, begins = begins, begins + size
    return at


def udp(source_port: int, destination_port: int, data: bytes) -> bytes:
    """A UDP datagram for IPv4, without a checksum, which is optional there."""
    ports = source_port.to_bytes(2) + destination_port.to_bytes(2)
    return ports + (8 + len(data)).to_bytes(2) + bytes(2) + data


@dataclass(frozen=True, slots=True)
class Echo:
    """An echo request or reply of ICMP.  RFC 792."""

    kind: int
    identifier: int
    sequence: int
    data: bytes

    def encode(self) -> bytes:
        """As an IPv4 packet carries it."""
        rest = self.identifier.to_bytes(2) + self.sequence.to_bytes(2) + self.data
        head = bytes((self.kind, 0))
        return head + checksum(head + bytes(2) + rest).to_bytes(2) + rest

    @classmethod
    def decode(cls, octets: bytes) -> Echo:
        """
        Read one.

        :raises Malformed: if it is something else, or its checksum is wrong.
        """
        kind = octets[0] if octets else -1
        if len(octets) < 8 or kind not in (ECHO_REQUEST, ECHO_REPLY) or octets[1]:
            raise Malformed(Reason("an echo of ICMP", f"{len(octets)} octets, type {kind}"))
        if checksum(octets):
            raise Malformed(Reason("the checksum of an ICMP message"))
        return cls(kind, int.from_bytes(octets[4:6]), int.from_bytes(octets[6:8]), octets[8:])
