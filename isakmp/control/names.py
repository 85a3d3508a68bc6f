"""
What strongSwan's tools call algorithms, ends and actions.

Our own words are those of ``swanctl.conf``: ``aes128-sha256-modp2048``.  In lists and logs
strongSwan has other names for the same: ``AES_CBC``, ``HMAC_SHA2_256_128``, ``MODP_2048``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from isakmp.associations import IPsecParameters, ProtectionSA
from isakmp.crypto.groups import GROUPS
from isakmp.numbers import Group

_CIPHERS: Mapping[str, str] = {
    "des": "DES_CBC",
    "3des": "3DES_CBC",
    "idea": "IDEA_CBC",
    "aes": "AES_CBC",
    "blowfish": "BLOWFISH_CBC",
    "camellia": "CAMELLIA_CBC",
    "cast": "CAST_CBC",
}
_HASHES: Mapping[str, tuple[str, str]] = {
    "md5": ("HMAC_MD5_96", "PRF_HMAC_MD5"),
    "sha1": ("HMAC_SHA1_96", "PRF_HMAC_SHA1"),
    "sha256": ("HMAC_SHA2_256_128", "PRF_HMAC_SHA2_256"),
    "sha384": ("HMAC_SHA2_384_192", "PRF_HMAC_SHA2_384"),
    "sha512": ("HMAC_SHA2_512_256", "PRF_HMAC_SHA2_512"),
}
_GROUPS: Mapping[int, str] = {
    Group.BRAINPOOL_P224R1: "ECP_224_BP",
    Group.BRAINPOOL_P256R1: "ECP_256_BP",
    Group.BRAINPOOL_P384R1: "ECP_384_BP",
    Group.BRAINPOOL_P512R1: "ECP_512_BP",
    Group.CURVE25519: "CURVE_25519",
    Group.CURVE448: "CURVE_448",
}
_WORDS: Mapping[str, int] = {
    **{one.name: number for number, one in GROUPS.items()},
    **{"x25519": Group.CURVE25519, "x448": Group.CURVE448},
}
_ESP: Mapping[str, str] = {"3des-cbc": "3DES_CBC", "null": "NULL"}
_SALT = 4
"""Octets of AES-GCM's keying material that are no key: RFC 4106 section 8.1."""

_CIPHER = re.compile("(?P<name>3?[a-z]+)(?P<bits>[0-9]*)")


def group(number: int) -> str:
    """A Diffie-Hellman group, by its number."""
    return _GROUPS.get(number) or Group(number).spelled.upper().replace("-", "_")


def suite(spelled: str) -> dict[str, str]:
    """
    The algorithms of an ISAKMP SA, by the keys of ``list-sa``.

    :param spelled: as a configuration spells them; words that are not known are left out.
    """
    found: dict[str, str] = {}
    for word in spelled.split("-"):
        cipher = _CIPHER.fullmatch(word)
        if word in _HASHES:
            found["integ-alg"], found["prf-alg"] = _HASHES[word]
        elif word in _WORDS:
            found["dh-group"] = group(_WORDS[word])
        elif cipher is not None and cipher["name"] in _CIPHERS:
            found["encr-alg"] = _CIPHERS[cipher["name"]]
            if cipher["bits"]:
                found["encr-keysize"] = cipher["bits"]
    return found


def protection(sa: ProtectionSA) -> dict[str, str]:
    """The algorithms of one protection SA, by the keys of ``child-sas``."""
    parameters = sa.parameters
    if not isinstance(parameters, IPsecParameters):
        return {}
    found: dict[str, str] = {}
    if parameters.encryption != "none":
        name = parameters.encryption
        found["encr-alg"] = _ESP.get(name) or name.upper().replace("-", "_")
        if name.startswith("aes"):
            octets = len(sa.keys.get("encryption", b""))
            found["encr-keysize"] = str(8 * (octets - (_SALT if "gcm" in name else 0)))
    if parameters.integrity != "none":
        found["integ-alg"] = parameters.integrity.upper().replace("-", "_")
    if parameters.group:
        found["dh-group"] = group(parameters.group)
    return found
