"""
Proposal strings: ``aes128-sha256-modp2048``, lists of them, and ``default``.

In IKEv1 a proposal has one algorithm of each kind.  A string that names several of a kind means
each of them, in the order in which they stand: ``aes256-aes128-sha256-modp2048`` is two proposals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product

from isakmp.config.values import items
from isakmp.crypto.groups import GROUPS

MAX_PROPOSALS = 64
"""The most proposals of one list, written out."""

_PAIRS = ("aes128-sha256", "aes256-sha256", "aes256-sha384", "aes256-sha512")
_DEFAULT_GROUPS = ("ecp256", "curve25519", "ecp384", "modp3072", "modp4096", "modp2048")

DEFAULT_IKE = tuple(
    f"{pair}-{group}"
    for group in _DEFAULT_GROUPS
    if group in {known.name for known in GROUPS.values()}
    for pair in _PAIRS
)
"""
What ``default`` means for an ISAKMP SA: of what strongSwan puts into its default, what exists here
and has 112 bits of strength or more.  No SHA-1, no triple DES, nothing above 24 transforms: the
first message has to fit into one packet.
"""

DEFAULT_ESP = (
    *("aes128gcm16", "aes256gcm16", "aes192gcm16"),
    *("aes128-sha256", "aes256-sha256", "aes192-sha256", "aes256-sha384", "aes256-sha512"),
)
"""What ``default`` means for a child: strongSwan 5.9's, without SHA-1; without a group."""

DEFAULT_AH = ("sha256", "sha384", "sha512")
"""What ``default`` means for a child with AH, likewise."""

_KINDS: Mapping[str, re.Pattern[str]] = {
    kind: re.compile(pattern)
    for kind, pattern in {
        "group": r"(modp|ecp|curve|x25519|x448|gost|mlkem)\w*|none",
        "prf": r"prf\w+",
        "esn": r"(no)?esn",
        "ke": r"ke\d_\w+",
        "aead": r"(aes|camellia)\d*([cg]cm)\d*|aes\d*gmac|chacha20poly1305(compat)?",
        "cipher": r"(aes|camellia|blowfish|twofish|serpent|cast|idea|des|3des)\d*(ctr)?|null",
        "integrity": r"(md5|sha|aesxcbc|aescmac|camelliaxcbc)\w*",
    }.items()
}
_ALIASES = {"camellia": "camellia128", "blowfish": "blowfish128", "modpnone": "none"}
_GCM = re.compile(r"(aes(?:128|192|256)gcm)")


def ike_proposals(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """
    What a connection's ``proposals`` mean.

    :return: spellings, one for each choice, for the key exchange to understand; and sentences about
        what was left out because IKEv1 cannot have it.
    :raises ValueError: what is wrong, and what would be valid.
    """
    return _all(text, DEFAULT_IKE, _ike)


def esp_proposals(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a child's ``esp_proposals`` mean, likewise, for the domain of interpretation."""
    return _all(text, DEFAULT_ESP, _esp)


def ah_proposals(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a child's ``ah_proposals`` mean, likewise."""
    return _all(text, DEFAULT_AH, _ah)


def _all(
    text: str, default: Sequence[str], one: Callable[[str, Mapping[str, list[str]]], list[str]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found: dict[str, None] = {}
    left_out = []
    for item in items(text.lower()) or ("default",):
        if item == "default":
            found |= dict.fromkeys(default)
            continue
        words = _by_kind(item)
        if words["unknown"]:
            found[item] = None  # whoever reads it knows what is valid
            continue
        if words["ke"]:
            left_out.append(f"{item!r} has several key exchanges, and that IKEv2 alone can")
            continue
        if one is _ike and words["aead"]:
            left_out.append(f"{item!r}: only IKEv2 has ISAKMP SAs with {words['aead'][0]}")
            continue
        found |= dict.fromkeys(one(item, words))
        if len(found) > MAX_PROPOSALS:
            raise ValueError(f"more than {MAX_PROPOSALS} choices")
    if not found:
        raise ValueError("; ".join(left_out))
    return tuple(found), tuple(left_out)


def _by_kind(item: str) -> dict[str, list[str]]:
    """The words of a proposal, each once."""
    words: dict[str, list[str]] = {kind: [] for kind in (*_KINDS, "unknown")}
    for word in map(str.strip, item.split("-")):
        word = _ALIASES.get(word, word)
        if gcm := _GCM.fullmatch(word):
            word = f"{gcm[1]}16"
        kind = next((kind for kind, of in _KINDS.items() if of.fullmatch(word)), "unknown")
        if word not in words[kind]:
            words[kind].append(word)
    return words


def _ike(item: str, words: Mapping[str, list[str]]) -> list[str]:
    if words["esn"]:
        raise ValueError(f"{item!r}: {words['esn'][0]} is for ESP")
    for prf in words["prf"]:
        if words["integrity"] and prf.removeprefix("prf") not in words["integrity"]:
            # RFC 2409 section 4: the prf is the HMAC of the hash.
            raise ValueError(f"{item!r}: the prf of IKEv1 is that of its hash, so leave {prf} out")
    groups = [group for group in words["group"] if group != "none"]
    return _multiplied(item, words["cipher"], words["integrity"], groups)


def _esp(item: str, words: Mapping[str, list[str]]) -> list[str]:
    if words["aead"] and words["cipher"]:
        raise ValueError(
            f"{item!r}: {words['aead'][0]} authenticates by itself and {words['cipher'][0]} does "
            "not; they need proposals of their own"
        )
    integrity = [] if words["aead"] else words["integrity"]  # beside one it has no meaning
    ciphers = words["aead"] or words["cipher"]
    return _multiplied(item, ciphers, integrity, _groups(words), _sequence(words))


def _ah(item: str, words: Mapping[str, list[str]]) -> list[str]:
    for kind in ("aead", "cipher"):
        if words[kind]:
            raise ValueError(f"{item!r}: AH does not encrypt, so leave {words[kind][0]} out")
    return _multiplied(item, words["integrity"], _groups(words), _sequence(words))


def _groups(words: Mapping[str, list[str]]) -> list[str]:
    return ["" if group == "none" else group for group in words["group"]]


def _sequence(words: Mapping[str, list[str]]) -> list[str]:
    """Sequence numbers of 64 bits, of 32, which is what is meant unless said, or of either."""
    return ["" if word == "noesn" else word for word in words["esn"]]


def _multiplied(item: str, *kinds: list[str]) -> list[str]:
    """Each combination of one word of every kind."""
    combinations = 1
    for words in kinds:
        combinations *= len(words) or 1
    if combinations > MAX_PROPOSALS:
        raise ValueError(f"{item[:60]!r} means more than {MAX_PROPOSALS} choices")
    choices = product(*(words or [""] for words in kinds))
    return ["-".join(filter(None, choice)) for choice in choices]
