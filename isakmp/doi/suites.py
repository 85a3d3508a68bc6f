"""
How a configuration spells protection suites of the IPsec DOI, in strongSwan's words.

::

    suite        =  [ mode ":" ] part *( "+" part )          AND, RFC 2408 section 4.2
    mode         =  "tunnel" | "transport"                   tunnel if not said
    part         =  [ "esp=" | "ah=" | "ipcomp=" ] alternative *( "|" alternative )
    alternative  =  word *( "-" word )                       OR, the preferred first

The words of an alternative are a cipher, an integrity algorithm and, for perfect forward secrecy, a
Diffie-Hellman group: ``aes128-sha256-modp2048``, ``aes256gcm16``, ``null-sha1``; of AH an integrity
algorithm and a group: ``ah=sha256``.  With ``esn`` either has sequence numbers of 64 bits (RFC
4304).  Of IPComp (RFC 3173) the word is ``deflate``; that takes no key, and so no group of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from isakmp.associations import Lifetime, ProtectionSuite
from isakmp.crypto.groups import GROUPS
from isakmp.doi.transforms import (
    CIPHERS,
    COMPRESSIONS,
    INTEGRITIES,
    LONGEST,
    Protection,
    Reading,
    read,
)
from isakmp.errors import ConfigurationError
from isakmp.numbers import (
    AHTransform,
    AuthenticationAlgorithm,
    Encapsulation,
    ESPTransform,
    Group,
    IPCOMPTransform,
    IPsecAttribute,
    LifeType,
    ProtocolID,
)
from isakmp.wire.attributes import Attribute
from isakmp.wire.proposals import Proposal, Transform

MAX_ALTERNATIVES = 64
"""The most alternatives of one part."""

SHOWN = 8
"""How many alternatives, parts or suites of an offer are written out before it says "and more"."""

_PROTOCOLS = {"esp": ProtocolID.ESP, "ah": ProtocolID.AH, "ipcomp": ProtocolID.IPCOMP}
_MODES = {"tunnel": Encapsulation.TUNNEL, "transport": Encapsulation.TRANSPORT}
_MODE_WORDS: dict[int, str] = {
    0: "unspecified",
    Encapsulation.TUNNEL: "tunnel",
    Encapsulation.TRANSPORT: "transport",
    Encapsulation.UDP_TUNNEL: "udp_tunnel",
    Encapsulation.UDP_TRANSPORT: "udp_transport",
    Encapsulation.DRAFT_UDP_TUNNEL: "draft_udp_tunnel",
    Encapsulation.DRAFT_UDP_TRANSPORT: "draft_udp_transport",
}
_TRANSFORMS: dict[int, type[ESPTransform | AHTransform | IPCOMPTransform]] = {
    ProtocolID.ESP: ESPTransform,
    ProtocolID.AH: AHTransform,
    ProtocolID.IPCOMP: IPCOMPTransform,
}

# strongSwan's words without a key length: aes means aes128.
_CIPHER_WORDS = {"aes": (int(ESPTransform.AES_CBC), 128)} | {
    word.format(bits): (number, bits)
    for number, cipher in CIPHERS.items()
    for word in cipher.words
    for bits in cipher.lengths
}
_INTEGRITY_WORDS = {
    word: number for number, integrity in INTEGRITIES.items() for word in integrity.words
}
_GROUP_WORDS = {group.name: number for number, group in GROUPS.items()} | {
    alias: number for alias, number in (("x25519", 31), ("x448", 32)) if number in GROUPS
}
_COMPRESSION_WORDS = {name: number for number, name in COMPRESSIONS.items()}
_SEQUENCE_WORDS = {"noesn": 0, "esn": 1}

# What a mistake is answered with: our own words, without those that mean the same.
_VALID: dict[str, list[str]] = {
    "modes": [*_MODES],
    "protocols": [*_PROTOCOLS],
    "ciphers": [
        cipher.words[0].format(bits) for cipher in CIPHERS.values() for bits in cipher.lengths
    ],
    "integrity": [integrity.words[0] for integrity in INTEGRITIES.values()],
    "groups": [group.name for group in GROUPS.values()],
    "sequence numbers": [*_SEQUENCE_WORDS],
    "compression": [*_COMPRESSION_WORDS],
}


def parse(spelling: str, lifetime: Lifetime) -> ProtectionSuite:
    """
    The suite that a configuration spells, as it is offered: proposal number 1, no SPIs yet.

    :param lifetime: what every transform asks for.
    :raises ConfigurationError: naming what is not understood, and what would be.
    """
    mode, colon, rest = spelling.strip().lower().partition(":")
    if not colon:
        mode, rest = "tunnel", mode
    if mode not in _MODES:
        raise _mistake(spelling, f"{mode!r} is not a mode", "modes")
    lives = _lifetime(lifetime)
    wanted: dict[ProtocolID, list[Protection]] = {}
    for part in rest.split("+"):
        name, equals, alternatives = part.partition("=")
        if not equals:
            name, alternatives = "esp", part
        if name not in _PROTOCOLS:
            raise _mistake(spelling, f"{name!r} is not a protocol", "protocols")
        protocol = _PROTOCOLS[name]
        if protocol in wanted:
            raise _mistake(spelling, f"{name} stands twice in one suite")
        texts = alternatives.split("|")
        if len(texts) > MAX_ALTERNATIVES:
            raise _mistake(spelling, f"more than {MAX_ALTERNATIVES} alternatives")
        wanted[protocol] = [_alternative(spelling, protocol, _MODES[mode], text) for text in texts]
    keyless = ProtocolID.IPCOMP
    groups = {one.group for protocol in wanted if protocol != keyless for one in wanted[protocol]}
    if len(groups) > 1:
        # RFC 2409 section 5.5: there is one KE payload, and every transform has to name its group.
        raise _mistake(
            spelling,
            "the group of perfect forward secrecy has to be the same in every alternative and "
            "every part, or in none",
        )
    if not groups:
        raise _mistake(spelling, "compression alone protects nothing: it goes with ESP or AH")
    (group,) = groups
    if keyless in wanted:
        wanted[keyless] = [replace(one, group=group) for one in wanted[keyless]]
    return ProtectionSuite(
        tuple(
            Proposal(
                1,
                protocol,
                b"",
                tuple(
                    Transform(number, protection.transform_id, (*_attributes(protection), *lives))
                    for number, protection in enumerate(protections, 1)
                ),
            )
            for protocol, protections in wanted.items()
        )
    )


def _alternative(spelling: str, protocol: ProtocolID, mode: int, text: str) -> Protection:
    """What one alternative asks for."""
    kinds = _KINDS[protocol]
    found: dict[str, str] = {}
    for word in text.strip().split("-"):
        if not word:
            raise _mistake(spelling, f"a word is missing in {text!r}", *kinds)
        kind = next((kind for kind, words in _WORDS.items() if word in words), None)
        if kind is None:
            raise _mistake(spelling, f"{word!r} is not understood", *kinds)
        if kind not in kinds:
            raise _mistake(spelling, f"{word!r} means nothing for {protocol.spelled}", *kinds)
        if kind in found:
            raise _mistake(
                spelling,
                f"{found[kind]!r} and {word!r} cannot both hold; alternatives have | between them",
            )
        found[kind] = word
    integrity = _INTEGRITY_WORDS[found["integrity"]] if "integrity" in found else 0
    group = _GROUP_WORDS[found["groups"]] if "groups" in found else 0
    extended = _SEQUENCE_WORDS[found.get("sequence numbers", "noesn")]
    if protocol == ProtocolID.IPCOMP:
        return Protection(protocol, _COMPRESSION_WORDS[found["compression"]], mode=mode)
    if protocol == ProtocolID.AH:
        if not integrity:
            raise _mistake(spelling, "AH needs an integrity algorithm", "integrity")
        transform = INTEGRITIES[integrity].transform
        return Protection(protocol, transform, 0, integrity, mode, group, extended)
    if "ciphers" not in found:
        raise _mistake(spelling, f"ESP needs a cipher beside {text!r}, or 'null'", "ciphers")
    transform_id, bits = _CIPHER_WORDS[found["ciphers"]]
    if CIPHERS[transform_id].combined and integrity:
        raise _mistake(
            spelling,
            f"{found['ciphers']!r} authenticates by itself and takes no {found['integrity']!r}",
        )
    if not CIPHERS[transform_id].combined and not integrity:
        raise _mistake(
            spelling,
            f"{found['ciphers']!r} does not authenticate, and what is not authenticated anybody "
            "can alter: it needs an integrity algorithm",
            "integrity",
        )
    return Protection(protocol, transform_id, bits, integrity, mode, group, extended)


_WORDS: dict[str, Collection[str]] = {
    "ciphers": _CIPHER_WORDS,
    "integrity": _INTEGRITY_WORDS,
    "groups": _GROUP_WORDS,
    "sequence numbers": _SEQUENCE_WORDS,
    "compression": _COMPRESSION_WORDS,
}
_OF_AH = ("integrity", "groups", "sequence numbers")
_KINDS = {
    ProtocolID.ESP: ("ciphers", *_OF_AH),
    ProtocolID.AH: _OF_AH,
    ProtocolID.IPCOMP: ("compression",),
}


def _mistake(spelling: str, what: str, *kinds: str) -> ConfigurationError:
    valid = "".join(f"; {kind}: {', '.join(_VALID[kind])}" for kind in kinds)
    return ConfigurationError(f"{spelling!r}: {what}{valid}")


def _attributes(protection: Protection) -> list[Attribute]:
    """In the order in which strongSwan writes them."""
    values = (
        (IPsecAttribute.KEY_LENGTH, protection.key_length),
        (IPsecAttribute.AUTHENTICATION_ALGORITHM, protection.integrity),
        (IPsecAttribute.GROUP_DESCRIPTION, protection.group),
        (IPsecAttribute.ENCAPSULATION_MODE, protection.mode),
        (IPsecAttribute.EXTENDED_SEQUENCE_NUMBER, protection.extended),
    )
    return [Attribute.tv(kind, number) for kind, number in values if number]


def _lifetime(lifetime: Lifetime) -> list[Attribute]:
    """RFC 2407 section 4.5.2: each type, followed by its duration."""
    attributes: list[Attribute] = []
    for unit, number in (
        (LifeType.SECONDS, lifetime.seconds),
        (LifeType.KILOBYTES, lifetime.kilobytes),
    ):
        if not 0 <= number <= LONGEST:
            raise ConfigurationError(f"a lifetime of {number} {unit.spelled} cannot be offered")
        if number:
            kind = IPsecAttribute.SA_LIFE_DURATION
            attributes.append(Attribute.tv(IPsecAttribute.SA_LIFE_TYPE, unit))
            attributes.append(
                Attribute.tv(kind, number) if number < 0x10000 else Attribute.tlv(kind, number)
            )
    return attributes


def spell(suite: ProtectionSuite) -> str:
    """
    A suite as a configuration spells it.

    Of what cannot be configured it makes words of the same kind, from the names in the registry; a
    fault stands in brackets behind its transform.  Lifetimes are not spelled.  Never raises, and is
    bounded: see :data:`SHOWN`.
    """
    readings = [
        (
            proposal,
            [read(proposal.protocol, transform) for transform in proposal.transforms[:SHOWN]],
        )
        for proposal in suite.proposals[:SHOWN]
    ]
    modes = {reading.protection.mode for _, group in readings for reading in group}
    common = modes.pop() if len(modes) == 1 else None
    parts = []
    for proposal, group in readings:
        words = [_alternative_words(reading, common is None) for reading in group]
        parts.append(
            f"{_snake(ProtocolID(proposal.protocol).spelled)}="
            + "|".join(_shown(words, len(proposal.transforms)))
        )
    prefix = "" if common in (None, Encapsulation.TUNNEL) else f"{mode_word(common or 0)}:"
    return prefix + "+".join(_shown(parts, len(suite.proposals)))


def spell_all(suites: Sequence[ProtectionSuite]) -> str:
    """Several suites, one after the other; bounded like :func:`spell`."""
    return ", ".join(_shown([spell(suite) for suite in suites[:SHOWN]], len(suites)))


def _shown(words: list[str], total: int) -> list[str]:
    return words if len(words) == total else [*words, f"{total - len(words)} more"]


def _snake(spelled: str) -> str:
    """A name of the registry as one word: it must not contain what separates words."""
    return re.sub(r"\W+", "_", spelled.lower())


def _alternative_words(reading: Reading, with_mode: bool) -> str:
    protection = reading.protection
    words = [transform_word(protection)]
    if protection.integrity and protection.protocol != ProtocolID.AH:
        words.append(integrity_word(protection.integrity))
    if protection.group:
        words.append(group_word(protection.group))
    if protection.extended:
        words.append(sequence_word(protection.extended))
    if with_mode:
        words.append(mode_word(protection.mode))
    words.extend(
        f"{attribute_word(kind)}={_hex(value)}" for kind, value in protection.others[:SHOWN]
    )
    if len(protection.others) > SHOWN:
        words.append(f"{len(protection.others) - SHOWN} more")
    fault = reading.fault
    if not fault and reading.departures:
        fault = ", ".join(sorted(reading.departures))
    fault = f"({fault})" if fault else ""
    return "-".join(words) + fault


def _hex(value: bytes) -> str:
    return f"0x{value[:SHOWN].hex() or 0}" + ("..." if len(value) > SHOWN else "")


def transform_word(protection: Protection) -> str:
    """A cipher with its key length; of AH the algorithm that transform and attribute name."""
    number, bits = protection.transform_id, protection.key_length
    if protection.protocol == ProtocolID.ESP and number in CIPHERS:
        cipher = CIPHERS[number]
        if bits in cipher.lengths:
            return cipher.words[0].format(bits)
        return f"{_snake(cipher.name)}_{bits or 'of_no_key_length'}"
    if protection.protocol == ProtocolID.IPCOMP and number in COMPRESSIONS and not bits:
        return COMPRESSIONS[number]
    integrity = INTEGRITIES.get(protection.integrity)
    table = _TRANSFORMS.get(protection.protocol)
    name = table(number).spelled.split("_", 1)[-1] if table else f"transform_{number}"
    word = _snake(name) + (f"_{bits}" if bits else "")
    if protection.protocol != ProtocolID.AH:
        return word
    if integrity is not None and integrity.transform == number and not bits:
        return integrity.words[0]
    with_ = integrity_word(protection.integrity) if protection.integrity else "nothing"
    return f"{word}_with_{with_}"


def integrity_word(number: int) -> str:
    """An Authentication Algorithm."""
    known = INTEGRITIES.get(number)
    return known.words[0] if known else _snake(AuthenticationAlgorithm(number).spelled)


def group_word(number: int) -> str:
    """A Group Description."""
    known = GROUPS.get(number)
    return known.name if known else f"group_{_snake(Group(number).spelled)}"


def sequence_word(number: int) -> str:
    """An Extended Sequence Number."""
    return "esn" if number == _SEQUENCE_WORDS["esn"] else f"esn_{number}"


def mode_word(number: int) -> str:
    """An Encapsulation Mode."""
    return _MODE_WORDS.get(number, f"mode_{number}")


def attribute_word(number: int) -> str:
    """An attribute type."""
    return _snake(IPsecAttribute(number).spelled)
