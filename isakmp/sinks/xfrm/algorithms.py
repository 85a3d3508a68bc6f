"""
The algorithms that the kernel has, by its names for them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType

from isakmp.associations import IPsecParameters
from isakmp.sinks.xfrm.netlink import attribute
from isakmp.sinks.xfrm.structures import Attribute

_NAME = 64

CIPHERS: Mapping[str, str] = MappingProxyType(
    {
        "null": "ecb(cipher_null)",
        "des-cbc": "cbc(des)",
        "3des-cbc": "cbc(des3_ede)",
        "cast-cbc": "cbc(cast5)",
        "blowfish-cbc": "cbc(blowfish)",
        "aes-cbc": "cbc(aes)",
        "aes-ctr": "rfc3686(ctr(aes))",
        "camellia-cbc": "cbc(camellia)",
    }
)
"""What encrypts and does not authenticate."""

COMBINED: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        **{f"aes-gcm-{n}": ("rfc4106(gcm(aes))", 8 * n) for n in (8, 12, 16)},
        **{f"aes-ccm-{n}": ("rfc4309(ccm(aes))", 8 * n) for n in (8, 12, 16)},
        "aes-gmac": ("rfc4543(gcm(aes))", 128),
    }
)
"""What does both, and the bits of its proof."""

INTEGRITIES: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "hmac-md5-96": ("hmac(md5)", 96),
        "hmac-sha1-96": ("hmac(sha1)", 96),
        "hmac-sha2-256-96": ("hmac(sha256)", 96),
        "hmac-sha2-256-128": ("hmac(sha256)", 128),
        "hmac-sha2-384-192": ("hmac(sha384)", 192),
        "hmac-sha2-512-256": ("hmac(sha512)", 256),
        "aes-xcbc-96": ("xcbc(aes)", 96),
    }
)
"""What authenticates, and the bits of its proof."""

COMPRESSIONS: Mapping[str, str] = MappingProxyType({"deflate": "deflate"})


def attributes(parameters: IPsecParameters, keys: Mapping[str, bytes]) -> bytes:
    """
    The algorithms of an SA, with their keys.

    :raises LookupError: if the kernel has no such algorithm.
    """
    if parameters.compression != "none":
        name = COMPRESSIONS[parameters.compression]
        return attribute(Attribute.ALG_COMP, _named(name) + struct.pack("=I", 0))
    if parameters.encryption in COMBINED:
        name, bits = COMBINED[parameters.encryption]
        key = keys["encryption"]
        return attribute(
            Attribute.ALG_AEAD, _named(name) + struct.pack("=II", 8 * len(key), bits) + key
        )
    made = b""
    if parameters.encryption != "none":
        key = keys["encryption"]
        made += attribute(
            Attribute.ALG_CRYPT,
            _named(CIPHERS[parameters.encryption]) + struct.pack("=I", 8 * len(key)) + key,
        )
    if parameters.integrity != "none":
        name, bits = INTEGRITIES[parameters.integrity]
        key = keys["integrity"]
        made += attribute(
            Attribute.ALG_AUTH_TRUNC, _named(name) + struct.pack("=II", 8 * len(key), bits) + key
        )
    return made


def names(parameters: IPsecParameters) -> str:
    """What they are called in the kernel, for an explanation."""
    found = (
        COMPRESSIONS.get(parameters.compression, ""),
        CIPHERS.get(parameters.encryption, COMBINED.get(parameters.encryption, ("", 0))[0]),
        INTEGRITIES.get(parameters.integrity, ("", 0))[0],
    )
    return " and ".join(filter(None, found))


def _named(name: str) -> bytes:
    return name.encode().ljust(_NAME, b"\0")
