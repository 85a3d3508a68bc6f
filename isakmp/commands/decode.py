"""
``isakmpctl decode``: a message in words.
"""

from __future__ import annotations

import argparse
import os
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from isakmp.commands.output import OK, USAGE, Complaint, answer, with_json

_HEX = re.compile(r"(?:0x)?[0-9a-fA-F\s:]+")
_PCAP = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_MOST = 1 << 26
"""Octets of a file."""

_LINK_HEADERS = {1: 14, 101: 0, 113: 16, 228: 0, 229: 0, 276: 20}
"""By link type the octets before an IP packet: Ethernet, raw, cooked, IPv4, IPv6, cooked 2."""

_PORTS = frozenset({500, 848, 4500})


def add(commands: Any) -> None:
    """Tell the parser."""
    parser = commands.add_parser(
        "decode",
        help="a message, or a capture of many, in words",
        description="Decodes ISAKMP messages: hexadecimal digits, or a file with digits, with the "
        "octets themselves, or with a capture (pcap, pcapng).  Of an encrypted message the header "
        "is shown.",
    )
    parser.add_argument("what", metavar="HEX|FILE", help="the message; - for standard input")
    parser.add_argument(
        "--port",
        type=int,
        action="append",
        default=[],
        help="in a capture: UDP ports besides 500, 848 and 4500; may stand more than once",
    )
    with_json(parser)


def run(options: argparse.Namespace) -> int:
    """
    :return: 2 if anything is no ISAKMP message.
    """
    found = [_decoded(octets) for octets in _messages(options.what, options.port)]
    if not found:
        raise Complaint(f"{options.what}: there is no ISAKMP message in it")
    answer(options, found, (f"{one['at']}{one['text']}" for one in found))
    return USAGE if any("error" in one for one in found) else OK


def _messages(what: str, ports: list[int]) -> Iterator[tuple[str, bytes]]:
    """Where each is from, and its octets."""
    if _HEX.fullmatch(what) and not os.path.exists(what):
        yield "", _digits(what)
        return
    octets = _content(what)
    if octets[:4] in _PCAP or octets[:4] == _PCAPNG:
        packets = _pcapng(octets) if octets[:4] == _PCAPNG else _pcap(octets)
        for number, (link, frame) in enumerate(packets, 1):
            for found in _in_frame(link, frame, _PORTS | set(ports)):
                yield f"{number}: ", found
        return
    try:
        text = octets.decode("ascii").strip()
    except UnicodeDecodeError:
        text = ""
    if octets:
        yield "", _digits(text) if text and _HEX.fullmatch(text) else octets


def _digits(text: str) -> bytes:
    try:
        return bytes.fromhex(re.sub(r"[\s:]", "", text).removeprefix("0x"))
    except ValueError:
        raise Complaint("the number of hexadecimal digits is odd") from None


def _content(name: str) -> bytes:
    import sys

    try:
        if name == "-":
            return sys.stdin.buffer.read(_MOST)
        with open(name, "rb") as file:
            return file.read(_MOST)
    except OSError as error:
        raise Complaint(f"{name}: {error.strerror}") from None


def _decoded(found: tuple[str, bytes]) -> Mapping[str, Any]:
    from isakmp.errors import PeerError
    from isakmp.wire.message import Flags, Header, Message
    from isakmp.wire.render import render

    at, octets = found
    if octets[:4] == bytes(4):
        octets = octets[4:]  # the non-ESP marker
    try:
        header = Header.decode(octets)
        if header.flags & Flags.ENCRYPTION:
            empty = Message(header.cookies, header.exchange_type, 0, header.message_id, ())
            text = f"{render(empty)} encrypted, {len(octets) - Header.SIZE} octets"
            payloads: list[str] = []
        else:
            message = Message.decode(octets)
            text = render(message)
            payloads = [type(payload).__name__ for payload in message.payloads]
    except PeerError as error:
        return {"at": at, "error": str(error), "text": f"no ISAKMP message: {error}"}
    return {
        "at": at,
        "text": text,
        "initiator": header.cookies.initiator.hex(),
        "responder": header.cookies.responder.hex(),
        "exchange": header.exchange_type,
        "message_id": header.message_id,
        "flags": int(header.flags),
        "payloads": payloads,
    }


def _in_frame(link: int, frame: bytes, ports: frozenset[int] | set[int]) -> Iterator[bytes]:
    from isakmp.errors import Malformed
    from isakmp.packets import UDP, Packet

    begins = _LINK_HEADERS.get(link)
    if begins is None:
        raise Complaint(f"a capture of link type {link} is not understood")
    try:
        packet = Packet.decode(frame[begins:])
    except Malformed:
        return
    if packet.protocol == UDP and packet.ports and ports.intersection(packet.ports):
        data = packet.payload[8:]
        if data and data != b"\xff" and (500 in packet.ports or data[:4] == bytes(4)):
            yield data


def _pcap(octets: bytes) -> Iterator[tuple[int, bytes]]:
    order = _PCAP[octets[:4]]
    if len(octets) < 24:
        raise Complaint("the capture is cut short")
    (link,) = struct.unpack_from(f"{order}I", octets, 20)
    at = 24
    while at + 16 <= len(octets):
        (length,) = struct.unpack_from(f"{order}I", octets, at + 8)
        yield link & 0xFFFF, octets[at + 16 : at + 16 + length]
        at += 16 + length


def _pcapng(octets: bytes) -> Iterator[tuple[int, bytes]]:
    order, links, at = "<", list[int](), 0
    while at + 12 <= len(octets):
        if octets[at : at + 4] == _PCAPNG:
            order = "<" if octets[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            links = []
        kind, length = struct.unpack_from(f"{order}II", octets, at)
        if length < 12 or at + length > len(octets):
            raise Complaint("the capture is cut short")
        body = octets[at + 8 : at + length - 4]
        if kind == 1 and len(body) >= 2:
            links.append(struct.unpack_from(f"{order}H", body)[0])
        elif kind == 6 and len(body) >= 20:
            interface, _, _, captured = struct.unpack_from(f"{order}IIII", body)
            if interface < len(links):
                yield links[interface], body[20 : 20 + captured]
        elif kind == 3 and len(body) >= 4 and links:
            yield links[0], body[4:]
        at += length
