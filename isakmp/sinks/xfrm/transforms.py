"""
What of the IPsec domain's transforms the kernel may have, by their numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from isakmp.associations import IPsecParameters, Transform
from isakmp.errors import Malformed
from isakmp.numbers import (
    AuthenticationAlgorithm,
    Encapsulation,
    ESPTransform,
    IPCOMPTransform,
    IPsecAttribute,
    ProtocolID,
)

_CIPHERS: Mapping[int, tuple[str, int, int]] = MappingProxyType(
    {
        ESPTransform.DES: ("des-cbc", 8, 0),
        ESPTransform.TRIPLE_DES: ("3des-cbc", 24, 0),
        ESPTransform.CAST: ("cast-cbc", 16, 0),
        ESPTransform.BLOWFISH: ("blowfish-cbc", 16, 0),
        ESPTransform.NULL: ("null", 0, 0),
        ESPTransform.AES_CBC: ("aes-cbc", 16, 0),
        ESPTransform.AES_CTR: ("aes-ctr", 16, 4),
        ESPTransform.AES_CCM_8: ("aes-ccm-8", 16, 3),
        ESPTransform.AES_CCM_12: ("aes-ccm-12", 16, 3),
        ESPTransform.AES_CCM_16: ("aes-ccm-16", 16, 3),
        ESPTransform.AES_GCM_8: ("aes-gcm-8", 16, 4),
        ESPTransform.AES_GCM_12: ("aes-gcm-12", 16, 4),
        ESPTransform.AES_GCM_16: ("aes-gcm-16", 16, 4),
        ESPTransform.CAMELLIA: ("camellia-cbc", 16, 0),
        ESPTransform.NULL_AUTH_AES_GMAC: ("aes-gmac", 16, 4),
    }
)
"""Name, octets of the key where its length is not said, octets of salt behind it."""

_INTEGRITIES: Mapping[int, tuple[str, int]] = MappingProxyType(
    {
        AuthenticationAlgorithm.HMAC_MD5: ("hmac-md5-96", 16),
        AuthenticationAlgorithm.HMAC_SHA: ("hmac-sha1-96", 20),
        AuthenticationAlgorithm.HMAC_SHA2_256: ("hmac-sha2-256-128", 32),
        AuthenticationAlgorithm.HMAC_SHA2_384: ("hmac-sha2-384-192", 48),
        AuthenticationAlgorithm.HMAC_SHA2_512: ("hmac-sha2-512-256", 64),
        AuthenticationAlgorithm.AES_XCBC_MAC: ("aes-xcbc-96", 16),
    }
)


def wanted(
    protocol: int, transform: Transform
) -> tuple[IPsecParameters, Mapping[str, bytes]] | None:
    """
    An SA of this transform, with keys that are none, to try it with; None: there is none.
    """
    numbers: dict[int, int] = {}
    try:
        for attribute in transform.attributes:
            if attribute.kind in _ASKED:
                numbers[attribute.kind] = attribute.number
    except Malformed:
        return None
    extended = bool(numbers.get(IPsecAttribute.EXTENDED_SEQUENCE_NUMBER))
    if protocol == ProtocolID.IPCOMP:
        if transform.transform_id != IPCOMPTransform.DEFLATE:
            return None
        return IPsecParameters("transport", "none", "none", "deflate"), {}
    number = numbers.get(IPsecAttribute.AUTHENTICATION_ALGORITHM)
    integrity, octets = _INTEGRITIES.get(number or 0, ("none", 0))
    if number and not octets:
        return None
    if protocol == ProtocolID.AH:
        parameters = IPsecParameters("transport", "none", integrity, extended=extended)
        return (parameters, {"integrity": _key(octets)}) if octets else None
    if protocol != ProtocolID.ESP or transform.transform_id not in _CIPHERS:
        return None
    name, usual, salt = _CIPHERS[transform.transform_id]
    length = numbers.get(IPsecAttribute.KEY_LENGTH, 8 * usual) // 8 + salt
    parameters = IPsecParameters("transport", name, integrity, extended=extended)
    return parameters, {"encryption": _key(length), "integrity": _key(octets)}


def is_transport(transform: Transform) -> bool:
    """Whether it is for transport mode."""
    try:
        modes = [
            attribute.number
            for attribute in transform.attributes
            if attribute.kind == IPsecAttribute.ENCAPSULATION_MODE
        ]
    except Malformed:
        return False
    return Encapsulation.TRANSPORT in modes


_ASKED = frozenset(
    {
        IPsecAttribute.KEY_LENGTH,
        IPsecAttribute.AUTHENTICATION_ALGORITHM,
        IPsecAttribute.EXTENDED_SEQUENCE_NUMBER,
    }
)


def _key(octets: int) -> bytes:
    """All different: some ciphers refuse weak keys."""
    return bytes(range(1, octets + 1))
