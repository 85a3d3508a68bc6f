"""
What a value of ``swanctl.conf`` can be: numbers, times, amounts, addresses, traffic, secrets.

Each function takes the text and raises :class:`ValueError` with a sentence: what it is not, and
what would be valid.  Numbers are read as strongSwan reads them: ``0x10`` and ``020`` are sixteen.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import socket
from collections.abc import Callable

from isakmp.config.mistakes import listed
from isakmp.errors import ConfigurationError
from isakmp.handling import Mark, Number, Unique
from isakmp.identity import TrafficSelector

TRUE = ("yes", "true", "enabled", "1")
FALSE = ("no", "false", "disabled", "0")

LARGEST = 2**32 - 1
"""The largest number, and the longest time in seconds: four octets on the wire."""

MOST = 2**64 - 1
"""The most octets or packets that anybody counts."""

_AMOUNT = re.compile(r"(0[xX][0-9a-fA-F]+|[0-9]+) *([a-zA-Z]?)")
_TIMES = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_OCTETS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_ANY = {"%any": ("0.0.0.0/0", "::/0"), "%any4": ("0.0.0.0/0",), "%any6": ("::/0",)}
_ANY |= {"0.0.0.0": _ANY["%any4"], "::": _ANY["%any6"], "0::0": _ANY["%any6"]}
_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "ipv6-icmp": 58, "icmpv6": 58, "l2tp": 115}

SAME = "%same"
"""A mark to set that is that of the policies."""

_UNIQUE = {"%unique": Unique(), "%unique-dir": Unique(by_direction=True)}

DYNAMIC = "dynamic"
"""The traffic selector that stands for the addresses that keep the SA."""


def boolean(text: str) -> bool:
    """``yes``, ``no`` and their like, in any case."""
    word = text.lower()
    if word not in (*TRUE, *FALSE):
        raise ValueError(f"{text!r} is neither yes nor no")
    return word in TRUE


def _plain(digits: str) -> int:
    """As C reads it: a leading zero makes it octal."""
    if digits[:2] in ("0x", "0X"):
        return int(digits, 16)
    octal = digits[0] == "0" and len(digits) > 1
    return int(digits, 8 if octal else 10)


def _amount(text: str, units: dict[str, int], what: str, most: int) -> int:
    found = _AMOUNT.fullmatch(text)
    unit = found[2].lower() if found else ""
    try:
        if found is None or unit not in units or len(text) > 40:
            raise ValueError
        amount = _plain(found[1]) * units[unit]
    except ValueError:
        raise ValueError(f"{text!r} is not {what}") from None
    if amount > most:
        raise ValueError(f"{text!r} is more than {most}, the most there is")
    return amount


def number(text: str, most: int = LARGEST) -> int:
    """A number that is not negative."""
    return _amount(text, {"": 1}, "a number", most)


def seconds(text: str) -> int:
    """A time: a number with ``s``, ``m``, ``h`` or ``d`` behind it, or seconds."""
    what = "a time: a number, and s, m, h or d (seconds, minutes, hours, days)"
    return _amount(text, _TIMES, what, LARGEST)


def octets(text: str) -> int:
    """A volume: a number with ``k``, ``m`` or ``g`` behind it, or octets."""
    return _amount(text, _OCTETS, "a volume: a number, and k, m or g", MOST)


def packets(text: str) -> int:
    """A number of packets."""
    return number(text, MOST)


def binary(text: str) -> int:
    """Six binary digits: a Differentiated Services Codepoint."""
    if not re.fullmatch("[01]{1,6}", text):
        raise ValueError(f"{text!r} is not a codepoint: six digits of 0 and 1")
    return int(text, 2)


def port(text: str) -> int:
    """A UDP port that messages can go to."""
    found = number(text, 65535)
    if not found:
        raise ValueError("0 is not a port: they are 1 to 65535")
    return found


def mark(text: str) -> Mark | None:
    """
    A netfilter mark: ``42``, ``0x2a/0xff``, ``%unique``, ``%unique-dir/0xff``.

    :return: None for ``0/0``, which every packet has.
    """
    value, slash, rest = text.partition("/")
    mask = number(rest) if slash else LARGEST
    unique = _UNIQUE.get(value.lower())
    if unique is None and value.startswith("%"):
        raise ValueError(f"{text!r} is not a mark: a number, %unique or %unique-dir; /mask")
    if unique is not None:
        if not mask:
            raise ValueError(f"{text!r}: a mark of its own needs a mask with bits")
        return Mark(unique, mask)
    found = number(value) & mask
    return Mark(found, mask) if found or mask else None


def set_mark(text: str) -> Mark | None:
    """
    The mark that packets get: ``42``, ``0x2a/0xff``, ``%same``.

    :return: of ``%same`` a mark of a number that is chosen later; None for ``0/0``.
    """
    value, slash, rest = text.partition("/")
    if value.lower() == SAME:
        return Mark(Unique(), number(rest) if slash else LARGEST)
    if value.startswith("%"):
        raise ValueError(f"{text!r} is not a mark to set: a number or %same; /mask")
    return mark(text)


def interface_id(text: str) -> Number:
    """The number of an XFRM interface: ``42``, ``%unique``, ``%unique-dir``; 0 is none."""
    unique = _UNIQUE.get(text.lower())
    if unique is None and (text.startswith("%") or "/" in text):
        raise ValueError(f"{text!r} is not an interface id: a number, %unique or %unique-dir")
    return number(text) if unique is None else unique


def interface(text: str) -> str:
    """A name that a network interface can have; empty: none."""
    if len(text.encode("utf-8", "surrogateescape")) > 15 or re.search(r"[\s/]", text):
        raise ValueError(f"{text!r} is not an interface's name: up to 15 octets, no space, no /")
    return text


def items(text: str) -> tuple[str, ...]:
    """What stands between commas, without what is empty."""
    return tuple(filter(None, (item.strip() for item in text.split(","))))


def is_address(text: str) -> bool:
    """Whether it is one IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def addresses(text: str) -> tuple[str, ...]:
    """
    Addresses, networks and ranges, canonically; one address comes before what is many.

    ``%any`` and its like become networks; if it stands alone, that is no restriction: nothing.
    """
    found: dict[str, None] = {}
    texts = items(text)
    if set(texts) <= {"%any"}:
        return ()
    for item in texts:
        for network in _ANY.get(item, (item,)):
            found[_network(network)] = None
    # As initiator, the first that is one address is used.
    return tuple(sorted(found, key=lambda item: not is_address(item)))


def _network(text: str) -> str:
    if text.startswith("%") or "[" in text:
        raise ValueError(f"{text!r} is not an address; %any is any")
    if re.search("[g-zG-Z_]", text) or not re.search("[.:]", text):
        raise ValueError(
            f"{text!r}: names are not resolved yet; valid are addresses, networks "
            "(192.0.2.0/24), ranges (192.0.2.1-192.0.2.9) and %any"
        )
    return str(_selector(text))


def _selector(text: str, protocol: int = 0, port: int = 0) -> TrafficSelector:
    """Addresses, without brackets."""
    if "%" in text or not re.fullmatch(r"[^/]*(/[0-9]{1,3})?", text):
        raise ValueError(f"{text!r} is not an address, a network or a range")
    try:
        found = TrafficSelector.parse(text)
    except ConfigurationError:
        raise ValueError(f"{text!r} is not an address, a network or a range") from None
    return TrafficSelector(found.version, found.first, found.last, protocol, port)


def selector(text: str, dynamic: str | None) -> TrafficSelector | None:
    """
    A traffic selector: ``10.0.0.0/8``, ``10.0.0.1-10.0.0.9[tcp/80]``, ``dynamic[udp]``.

    :param dynamic: the address that ``dynamic`` means; None if it is only known later.
    :return: None for ``dynamic`` itself, where that is only known later.
    """
    where, bracket, rest = text.partition("[")
    where = where.strip()
    protocol, number_ = _protocol_and_port(text, rest) if bracket else (0, 0)
    if where != DYNAMIC:
        return _selector(where, protocol, number_)
    if dynamic is not None:
        return _selector(dynamic, protocol, number_)
    if bracket:
        raise ValueError(
            f"{text!r}: which address is meant has to be known where a protocol or a port is said; "
            "write it instead, or make it the one address in local_addrs (or remote_addrs)"
        )
    return None


def _protocol_and_port(text: str, rest: str) -> tuple[int, int]:
    """What stands in brackets: ``tcp/80]``."""
    if not rest.endswith("]") or "[" in rest:
        raise ValueError(f"{text!r} is not a traffic selector: [protocol/port] is expected")
    name, _, service = rest[:-1].partition("/")
    name, service = name.strip().lower(), service.strip().lower()
    protocol = 0
    if name not in ("", "any"):
        protocol = _PROTOCOLS.get(name, -1)
        if protocol < 0:
            protocol = _by_name(name, 255, lambda: socket.getprotobyname(name), "protocol")
    if service in ("", "any"):
        return protocol, 0
    if service == "opaque" or re.fullmatch("[0-9]+-[0-9]+", service):
        # RFC 2407 section 4.6.2: an Identification payload has one port.
        raise ValueError(f"{text!r}: IKEv1 selects one port or all; ranges and opaque it has not")
    number_ = _by_name(service, 65535, lambda: socket.getservbyname(service), "service")
    if number_ and not protocol:
        raise ValueError(f"{text!r}: a port needs a protocol before it: [tcp/{service}]")
    return protocol, number_


def _by_name(word: str, most: int, known: Callable[[], int], what: str) -> int:
    """A number, or what the system's own table calls so."""
    if word[0].isdigit():
        return number(word, most)
    try:
        return known()
    except (OSError, UnicodeError, ValueError):
        raise ValueError(f"{word!r} is not a {what} that is known here; write its number") from None


def secret(text: str) -> bytes:
    """
    A secret's octets: hexadecimal after ``0x``, base 64 after ``0s``, else the text's own.

    No message repeats it.
    """
    head, rest = text[:2].lower(), text[2:]
    try:
        if head == "0x":
            digits = rest.replace(":", "")
            octets_ = bytes.fromhex("0" * (len(digits) % 2) + digits)
        elif head == "0s":
            digits = rest.rstrip("=")
            octets_ = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
        else:
            octets_ = text.encode("utf-8", "surrogateescape")
    except (ValueError, binascii.Error):
        kind = "hexadecimal digits" if head == "0x" else "base 64"
        raise ValueError(f"after {head} stands something else than {kind}") from None
    if not octets_:
        raise ValueError("it is empty")
    return octets_


def one_of(text: str, words: tuple[str, ...]) -> str:
    """One of some words, in any case."""
    if text.lower() not in words:
        raise ValueError(f"{text!r} is not {listed(words)}")
    return text.lower()
