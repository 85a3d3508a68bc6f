"""
What strongSwan's tools call algorithms, ends and actions.

Our own words are those of ``swanctl.conf``: ``aes128-sha256-modp2048``.  In lists and logs
strongSwan has other names for the same: ``AES_CBC``, ``HMAC_SHA2_256_128``, ``MODP_2048``.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from functools import lru_cache

from isakmp.associations import IPsecParameters, ProtectionSA
from isakmp.crypto.groups import GROUPS
from isakmp.identity import TrafficSelector
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
_ESP: Mapping[str, str] = {"aes-gmac": "NULL_AES_GMAC"}
_ONE_LENGTH = frozenset({"des-cbc", "3des-cbc", "null"})
"""The ciphers whose key has one length, which is not said."""

_SALTS: Mapping[str, int] = {"aes-ctr": 4, "aes-gcm": 4, "aes-gmac": 4, "aes-ccm": 3}
"""
Octets of keying material that are no key: RFC 3686 section 5.1, RFC 4106 section 8.1, RFC 4543
section 5.1, RFC 4309 section 7.1.
"""

#: By the names of ``/etc/protocols``.
_PROTOCOLS: Mapping[int, str] = {
    **{1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 51: "ah", 58: "ipv6-icmp"},
    **{115: "l2tp", 132: "sctp", 136: "udplite"},
}
_ICMP = frozenset({1, 58})
"""The protocols whose ports are a type and a code."""

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
        if name not in _ONE_LENGTH:
            salt = next((octets for word, octets in _SALTS.items() if name.startswith(word)), 0)
            octets = len(sa.keys.get("encryption", b"")) - salt
            if octets > 0:
                found["encr-keysize"] = str(8 * octets)
    if parameters.integrity != "none":
        found["integ-alg"] = parameters.integrity.upper().replace("-", "_")
    if parameters.group:
        found["dh-group"] = group(parameters.group)
    return found


def selector(traffic: TrafficSelector) -> str:
    """
    One end of some traffic: a host with the length of its prefix, a range with two dots, a port by
    the name that this host's ``/etc/services`` has for it.
    """
    addresses = str(TrafficSelector(traffic.version, traffic.first, traffic.last))
    if traffic.first == traffic.last:
        addresses += "/32" if traffic.version == 4 else "/128"
    name = _PROTOCOLS.get(traffic.protocol, str(traffic.protocol)) if traffic.protocol else ""
    port = _port(traffic.protocol, name, traffic.port) if traffic.port else ""
    inside = "/".join(filter(None, (name, port)))
    return addresses.replace("-", "..") + (f"[{inside}]" if inside else "")


@lru_cache(1024)
def _port(protocol: int, name: str, port: int) -> str:
    if protocol in _ICMP:
        kind, code = divmod(port, 256)
        return f"{kind}({code})" if code else str(kind)
    try:
        return socket.getservbyport(port, name) if name else socket.getservbyport(port)
    except OSError:
        return str(port)
