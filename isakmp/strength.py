"""
What is weak in a configuration, and why.

By RFC 8247 for the SA of key management and RFC 8221 for AH and ESP: the documents that keep the
list of what should still be used.  They were written for IKEv2 and IPsec; the algorithms, and what
is known of them, are the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

_BLOCKS = "its blocks have 64 bits: after some gigabytes under one key they tell about the data"
_MODP = "precomputation against groups of this size is within reach of a state"
_SUBGROUPS = "it has small subgroups, and where its numbers come from is not told"


@dataclass(frozen=True, slots=True)
class Weakness:
    """
    Something that should not be used any more.

    :ivar word: as the configuration spells it.
    :ivar status: what the RFC says of it: ``MUST NOT``, ``SHOULD NOT``, ``MUST-`` (still to be had,
        and on its way out); empty: it says nothing.
    :ivar source: the RFC and its section.
    """

    word: str
    why: str
    status: str = ""
    source: str = ""

    def __str__(self) -> str:
        says = f" ({self.status}, {self.source})" if self.status else ""
        return f"{self.word}: {self.why}{says}"


_GROUPS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "modp768": ("a few months of computing break it once and for all", "MUST NOT"),
        "modp1024": (_MODP, "SHOULD NOT"),
        "modp1536": (_MODP, "SHOULD NOT"),
        "modp1024s160": (_SUBGROUPS, "MUST NOT"),
        "modp2048s224": (_SUBGROUPS, "SHOULD NOT"),
        "modp2048s256": (_SUBGROUPS, "SHOULD NOT"),
        "ecp192": ("it has a strength of 96 bits", ""),
    }
)

_MD5 = "collisions of MD5 are found in seconds, and nobody should have to argue that HMAC stands"
_SHA1 = "collisions of SHA-1 have been found; HMAC with it stands, but is on its way out"
_DES = "its keys have 56 bits and are found in a day"

_MANAGEMENT: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "des": (_DES, "MUST NOT"),
        "3des": (_BLOCKS, "MAY"),
        **{f"blowfish{bits}": (_BLOCKS, "") for bits in (128, 192, 256)},
        "cast128": (_BLOCKS, ""),
        "idea": (_BLOCKS, ""),
        "md5": (_MD5, "MUST NOT"),
        "sha1": (_SHA1, "MUST-"),
    }
)
_TRAFFIC: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "des": (_DES, "MUST NOT"),
        "3des": (_BLOCKS, "SHOULD NOT"),
        **{f"blowfish{bits}": (_BLOCKS, "MUST NOT") for bits in (128, 192, 256)},
        "cast128": (_BLOCKS, ""),
        "md5": (_MD5, "MUST NOT"),
        "sha1": (_SHA1, "MUST-"),
    }
)

_WORD = re.compile(r"[a-z0-9_]+")


def weaknesses(spellings: Sequence[str], *, traffic: bool) -> tuple[Weakness, ...]:
    """
    What is weak in proposals, each once.

    :param spellings: in strongSwan's words; a mode and protocols may stand among them.
    :param traffic: whether they protect traffic, and not key management.
    """
    table, source = (_TRAFFIC, "RFC 8221") if traffic else (_MANAGEMENT, "RFC 8247")

    def found() -> Iterator[Weakness]:
        for spelling in spellings:
            for word in _WORD.findall(spelling.lower()):
                if word in _GROUPS:
                    why, status = _GROUPS[word]
                    yield Weakness(word, why, status, "RFC 8247 section 2.4" if status else "")
                elif word in table:
                    why, status = table[word]
                    yield Weakness(word, why, status, source if status else "")

    return tuple(dict.fromkeys(found()))


ENOUGH = 16
"""Octets of a secret that was drawn by chance: nobody guesses them."""


def secret_weakness(secret: bytes) -> str:
    """
    Why a pre-shared key may be guessed; empty: nothing tells so.

    Whoever acts as the peer in Main Mode, or has recorded Aggressive Mode, can try as many secrets
    as he has time for, without being seen (CVE-2018-5389).  The secret is not part of the answer.
    """
    if len(secret) < ENOUGH:
        return f"it has {len(secret)} characters, and can be guessed unseen: take 32, by chance"
    if len(set(secret)) < 8:
        return f"it is made of {len(set(secret))} different characters only: take 32, by chance"
    return ""
