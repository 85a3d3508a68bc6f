"""
How strongSwan's users spell who somebody is.  RFC 2407 section 4.6.2 has the types.

An address is an address, ``name@domain`` a user, anything else a domain name; ``fqdn:``,
``email:``, ``keyid:`` and their like before it say otherwise, ``#`` after such a word begins
hexadecimal octets.  ``%any`` and its like are anybody; ``*.example.org`` and ``*@example.org`` are
patterns.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from isakmp.config.values import is_address
from isakmp.credentials.pre_shared_keys import meant_as_network
from isakmp.errors import ConfigurationError
from isakmp.identity import Identity, IdentityPattern, TrafficSelector
from isakmp.numbers import IdentityType

ANYBODY = "%any"
"""Whoever it is."""

_ANYBODY = frozenset({"", "%any", "%any6", "0.0.0.0", "*", "::", "0::0"})

_FQDN, _USER, _KEY, _V4, _V6 = (
    IdentityType.FQDN,
    IdentityType.USER_FQDN,
    IdentityType.KEY_ID,
    IdentityType.IPV4_ADDR,
    IdentityType.IPV6_ADDR,
)
_PREFIXES = {
    **dict.fromkeys(("fqdn", "dns"), _FQDN),
    **dict.fromkeys(("rfc822", "email", "userfqdn"), _USER),
    **{"keyid": _KEY, "ipv4": _V4, "ipv6": _V6},
    **{f"{{{int(kind)}}}": kind for kind in (_FQDN, _USER, _KEY, _V4, _V6)},
}
_OTHERS = re.compile(r"(asn1dn|asn1gn|xmppaddr|uri|ipv[46](net|range)|\{[0-9a-fx]+\}):", re.I)
_PREFIX = re.compile(r"([a-z0-9]+|\{[0-9]+\}):(.*)", re.I | re.DOTALL)
_VALID = (
    "valid are an IP address, a domain name, name@domain, keyid:#hexadecimal, and the prefixes "
    "fqdn:, email:, ipv4:#, ipv6:#"
)


def spelled(text: str) -> str:
    """
    Somebody, as :class:`isakmp.identity.IdentityPattern` reads it: ``%any``, a pattern, or the
    text of one identity.

    :raises ValueError: if it is nobody, or of a kind that is not built yet.
    """
    if text in _ANYBODY:
        return ANYBODY
    prefix = _PREFIX.fullmatch(text)
    if prefix and (kind := _PREFIXES.get(prefix[1].lower())) is not None:
        return _typed(text, kind, prefix[2])
    if _OTHERS.match(text):
        raise ValueError(f"{text!r}: this type of identity is not built yet; {_VALID}")
    if "=" in text:
        raise ValueError(f"{text!r}: distinguished names are not built yet; {_VALID}")
    if text.startswith("%"):
        raise ValueError(f"{text!r} is nobody; anybody is {ANYBODY}")
    if "@" not in text and _networks(text):
        raise ValueError(f"{text!r}: a network is no identity here yet; {_VALID}")
    if ":" in text and "@" not in text and not is_address(text):
        # Neither an address nor a name: strongSwan makes it a key id.
        return _typed(text, _KEY, text)
    return _checked(text)


def owners(text: str) -> tuple[str, ...]:
    """
    Who shares a secret: somebody, or the networks that a network or a range consists of.

    :raises ValueError: as :func:`spelled`.
    """
    networks = () if "@" in text or text in _ANYBODY else _networks(text)
    found = networks or (spelled(text),)
    if not networks and meant_as_network(found[0]):
        raise ValueError(f"{text!r} is not a network; {_VALID}")
    return found


def _networks(text: str) -> tuple[str, ...]:
    """The networks that a network or a range consists of; none if it is neither."""
    if "[" in text or not ("/" in text or "-" in text):
        return ()
    try:
        found = TrafficSelector.parse(text)
    except ConfigurationError:
        return ()
    networks: Iterable[object]
    if found.version == 4:
        v4 = ipaddress.IPv4Address(found.first), ipaddress.IPv4Address(found.last)
        networks = ipaddress.summarize_address_range(*v4)
    else:
        v6 = ipaddress.IPv6Address(found.first), ipaddress.IPv6Address(found.last)
        networks = ipaddress.summarize_address_range(*v6)
    return tuple(map(str, networks))


def _typed(text: str, kind: IdentityType, rest: str) -> str:
    """What stands behind a prefix."""
    if rest.startswith("^") and rest.endswith("$"):
        raise ValueError(f"{text!r}: regular expressions are not built yet; *.example.org is")
    if rest.startswith("#"):
        try:
            data = bytes.fromhex(rest[1:].replace(":", ""))
        except ValueError:
            raise ValueError(f"{text!r}: after # are expected hexadecimal octets") from None
    elif rest.startswith("*") and kind in (_FQDN, _USER):
        if ("@" in rest) is not (kind == _USER):
            raise ValueError(f"{text!r}: this pattern can match no identity of its type")
        return _checked(rest)
    else:
        data = rest.encode("utf-8", "surrogateescape")
    if kind in (_V4, _V6):
        size = 4 if kind == _V4 else 16
        if len(data) != size:
            raise ValueError(f"{text!r}: after {text.partition(':')[0]}:# belong {size} octets")
        return str(ipaddress.ip_address(data))
    if kind == _KEY:
        return _checked(f"@#{data.hex()}")
    found = _checked(("@" if kind == _FQDN else "@@") + data.decode("latin-1"))
    if Identity.parse(found) != Identity(kind, 0, 0, data):
        raise ValueError(f"{text!r} is not a name")
    return found


def _checked(text: str) -> str:
    try:
        exact = IdentityPattern(text).exact
        if exact is not None:
            exact.checked()
    except (ConfigurationError, UnicodeError) as error:
        raise ValueError(f"{error}; {_VALID}") from None
    return text


def identity(text: str) -> Identity | None:
    """
    Who we say we are; None: our address.

    :raises ValueError: as :func:`spelled`, or if it is a pattern.
    """
    pattern = spelled(text)
    if pattern == ANYBODY:
        return None
    if pattern.startswith("*"):
        raise ValueError(f"{text!r} is a pattern; here has to stand one identity")
    return Identity.parse(pattern)
