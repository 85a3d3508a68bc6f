"""
The transforms that protect ESP packets.

RFC 4303 section 2 (layout), RFC 2451 (CBC), RFC 3602 (AES-CBC), RFC 4312 (Camellia), RFC 3686
(AES-CTR), RFC 4106 (AES-GCM), RFC 4309 (AES-CCM), RFC 4543 (AES-GMAC), RFC 2410 (null); RFC 2403,
RFC 2404, RFC 3566 and RFC 4868 (integrity).  Names stand for algorithms, not the numbers of one key
exchange, since IKEv1 and IKEv2 number them differently.

The layout, with what is authenticated and what is encrypted::

    | SPI | sequence | IV | payload | padding | pad length | next header | ICV |
                            <------------- encrypted ------------------->
    <----------------------- authenticated ----------------------------->

With GCM and CCM the IV is not among what is authenticated; it is part of the nonce.  The replay
window is the caller's.  Extended sequence numbers are not supported.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from os import urandom
from types import MappingProxyType
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from isakmp.crypto.ciphers import CBC
from isakmp.crypto.prf import prf

_HEADER = 8  # octets: SPI and sequence number
_IV = 8  # octets of every IV that is made of the sequence number
_PADDING = bytes(range(1, 256))  # RFC 4303 section 2.4
_LAST_SEQUENCE = 0xFFFFFFFF


class ESPError(ValueError):
    """Octets that are no ESP packet of this security association."""


class _Protection(Protocol):
    """What happens between the header and the end of a packet."""

    alignment: int  # the encrypted part is a multiple of that many octets
    overhead: int  # octets of IV and ICV

    def protect(self, header: bytes, padded: bytes) -> bytes:
        """IV, encrypted part and ICV."""

    def unprotect(self, header: bytes, body: bytes) -> bytes:
        """The decrypted part of a body that is long enough; raises ESPError."""


class _Encryption(Protocol):
    """A cipher that needs a separate integrity algorithm."""

    iv_length: int
    alignment: int

    def encrypt(self, header: bytes, data: bytes) -> bytes:
        """IV and ciphertext."""

    def decrypt(self, data: bytes) -> bytes:
        """Plaintext of IV and ciphertext."""


class _Null:
    iv_length = 0
    alignment = 4

    def encrypt(self, header: bytes, data: bytes) -> bytes:
        return data

    def decrypt(self, data: bytes) -> bytes:
        return data


class _CBC:
    def __init__(self, name: str, key: bytes) -> None:
        self._schedule = CBC[name].schedule(key)
        self.iv_length = self.alignment = CBC[name].block

    def encrypt(self, header: bytes, data: bytes) -> bytes:
        iv = urandom(self.iv_length)
        encryptor = Cipher(self._schedule, modes.CBC(iv)).encryptor()
        return iv + encryptor.update(data) + encryptor.finalize()

    def decrypt(self, data: bytes) -> bytes:
        iv, data = data[: self.iv_length], data[self.iv_length :]
        decryptor = Cipher(self._schedule, modes.CBC(iv)).decryptor()
        return decryptor.update(data) + decryptor.finalize()


class _XCBC:
    """AES-XCBC-MAC, from which AES-XCBC-MAC-96 takes the first 12 octets.  RFC 3566 section 4."""

    def __init__(self, key: bytes) -> None:
        block = Cipher(AES(key), modes.ECB()).encryptor()
        first, *self._last = (block.update(bytes([number] * 16)) for number in (1, 2, 3))
        self._schedule = AES(first)

    def __call__(self, data: bytes) -> bytes:
        whole, full = data, bool(data) and not len(data) % 16
        if not full:
            whole += b"\x80" + bytes(-(len(data) + 1) % 16)
        mask = self._last[0 if full else 1]
        last = bytes(a ^ b for a, b in zip(whole[-16:], mask, strict=True))
        chain = Cipher(self._schedule, modes.CBC(bytes(16))).encryptor()
        return (chain.update(whole[:-16] + last) + chain.finalize())[-16:]


class _CTR:
    iv_length = _IV
    alignment = 4

    def __init__(self, key: bytes) -> None:
        self._schedule, self._salt = AES(key[:-4]), key[-4:]

    def _stream(self, iv: bytes, data: bytes) -> bytes:
        first = self._salt + iv + b"\0\0\0\1"
        context = Cipher(self._schedule, modes.CTR(first)).encryptor()
        return context.update(data) + context.finalize()

    def encrypt(self, header: bytes, data: bytes) -> bytes:
        iv = _counted_iv(header)
        return iv + self._stream(iv, data)

    def decrypt(self, data: bytes) -> bytes:
        return self._stream(data[:_IV], data[_IV:])


def _counted_iv(header: bytes) -> bytes:
    """An IV that no other packet of this key has: its sequence number.  RFC 4106 section 3.1."""
    return b"\0\0\0\0" + header[4:]


class _Separate:
    """Encryption, then integrity."""

    def __init__(
        self, encryption: _Encryption, mac: Callable[[bytes], bytes] | None, icv_length: int
    ) -> None:
        self._encryption = encryption
        self._mac = mac
        self._icv_length = icv_length
        self.alignment = max(4, encryption.alignment)
        self.overhead = encryption.iv_length + icv_length

    def protect(self, header: bytes, padded: bytes) -> bytes:
        body = self._encryption.encrypt(header, padded)
        return body if self._mac is None else body + self._mac(header + body)[: self._icv_length]

    def unprotect(self, header: bytes, body: bytes) -> bytes:
        if self._mac is not None:
            body, icv = body[: -self._icv_length], body[-self._icv_length :]
            computed = self._mac(header + body)[: self._icv_length]
            if not hmac.compare_digest(computed, icv):
                raise ESPError("wrong integrity check value")
        return self._encryption.decrypt(body)


class _GCM:
    alignment = 4

    def __init__(self, icv_length: int, key: bytes) -> None:
        self._schedule, self._salt = AES(key[:-4]), key[-4:]
        self._icv_length = icv_length
        self.overhead = _IV + icv_length

    def protect(self, header: bytes, padded: bytes) -> bytes:
        iv = _counted_iv(header)
        encryptor = Cipher(self._schedule, modes.GCM(self._salt + iv)).encryptor()
        encryptor.authenticate_additional_data(header)
        body = encryptor.update(padded) + encryptor.finalize()
        return iv + body + encryptor.tag[: self._icv_length]

    def unprotect(self, header: bytes, body: bytes) -> bytes:
        nonce, icv = self._salt + body[:_IV], body[-self._icv_length :]
        mode = modes.GCM(nonce, icv, min_tag_length=self._icv_length)
        decryptor = Cipher(self._schedule, mode).decryptor()
        decryptor.authenticate_additional_data(header)
        try:
            return decryptor.update(body[_IV : -self._icv_length]) + decryptor.finalize()
        except InvalidTag:
            raise ESPError("wrong integrity check value") from None


class _GMAC:
    """Everything is authenticated, the IV too, and nothing encrypted.  RFC 4543 section 3."""

    alignment = 4
    overhead = _IV + 16

    def __init__(self, key: bytes) -> None:
        self._aead, self._salt = AESGCM(key[:-4]), key[-4:]

    def protect(self, header: bytes, padded: bytes) -> bytes:
        iv = _counted_iv(header)
        return iv + padded + self._aead.encrypt(self._salt + iv, b"", header + iv + padded)

    def unprotect(self, header: bytes, body: bytes) -> bytes:
        iv, body, icv = body[:_IV], body[_IV:-16], body[-16:]
        try:
            self._aead.decrypt(self._salt + iv, icv, header + iv + body)
        except InvalidTag:
            raise ESPError("wrong integrity check value") from None
        return body


class _CCM:
    alignment = 4

    def __init__(self, icv_length: int, key: bytes) -> None:
        self._aead, self._salt = AESCCM(key[:-3], icv_length), key[-3:]
        self.overhead = _IV + icv_length

    def protect(self, header: bytes, padded: bytes) -> bytes:
        iv = _counted_iv(header)
        return iv + self._aead.encrypt(self._salt + iv, padded, header)

    def unprotect(self, header: bytes, body: bytes) -> bytes:
        try:
            return self._aead.decrypt(self._salt + body[:_IV], body[_IV:], header)
        except InvalidTag:
            raise ESPError("wrong integrity check value") from None


@dataclass(frozen=True, slots=True)
class _Integrity:
    mac: Callable[[bytes], Callable[[bytes], bytes]]
    key_length: int
    icv_length: int


_AES_KEYS = (16, 24, 32)

_SEPARATE: Mapping[str, Callable[[bytes], _Encryption]] = {
    "null": lambda key: _Null(),
    "aes-ctr": _CTR,
    **{f"{name}-cbc": partial(_CBC, name) for name in CBC},
}
_COMBINED: Mapping[str, Callable[[bytes], _Protection]] = {
    **{f"aes-gcm-{icv}": partial(_GCM, icv) for icv in (8, 12, 16)},
    **{f"aes-ccm-{icv}": partial(_CCM, icv) for icv in (8, 12, 16)},
    "aes-gmac": _GMAC,
}

ENCRYPTION: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "null": (0,),
        **{f"{name}-cbc": tuple(algorithm.lengths) for name, algorithm in CBC.items()},
        "aes-ctr": tuple(length + 4 for length in _AES_KEYS),
        **{f"aes-gcm-{icv}": tuple(length + 4 for length in _AES_KEYS) for icv in (8, 12, 16)},
        **{f"aes-ccm-{icv}": tuple(length + 3 for length in _AES_KEYS) for icv in (8, 12, 16)},
        "aes-gmac": tuple(length + 4 for length in _AES_KEYS),
    }
)
"""
The encryption algorithms, and the key lengths of each in octets.

With AES-CTR, AES-GCM and AES-GMAC that is the key and then 4 octets of salt, with AES-CCM 3.
"""

_INTEGRITY = {
    "hmac-md5-96": _Integrity(prf(1).keyed, 16, 12),
    "hmac-sha1-96": _Integrity(prf(2).keyed, 20, 12),
    "hmac-sha2-256-128": _Integrity(prf(4).keyed, 32, 16),
    "hmac-sha2-256-96": _Integrity(prf(4).keyed, 32, 12),  # before RFC 4868, and still met
    "hmac-sha2-384-192": _Integrity(prf(5).keyed, 48, 24),
    "hmac-sha2-512-256": _Integrity(prf(6).keyed, 64, 32),
    "aes-xcbc-96": _Integrity(_XCBC, 16, 12),
}

INTEGRITY: Mapping[str, int] = MappingProxyType(
    {"none": 0, **{name: integrity.key_length for name, integrity in _INTEGRITY.items()}}
)
"""The integrity algorithms, and the key length of each in octets."""


class ESPTransform:
    """
    One direction of one ESP security association; made by :func:`esp_transform`.

    :param name: the algorithms, for logs.
    :param protection: what they do.
    """

    __slots__ = ("_protection", "_sealed", "name")

    def __init__(self, name: str, protection: _Protection) -> None:
        self.name = name
        self._protection = protection
        self._sealed = 0

    def seal(self, spi: bytes, sequence: int, plaintext: bytes, next_header: int) -> bytes:
        """
        Make a packet.  RFC 4303 section 3.3.

        :param spi: 4 octets.
        :param sequence: 1 to 2^32 - 1, and above that of the packet before: the IV of the counter
            modes is made of it, and must never repeat under one key.
        :param plaintext: an IP packet (tunnel mode) or what follows its header (transport mode).
        :param next_header: protocol of the plaintext: 4 or 41 in tunnel mode.
        :raises ValueError: an SPI or a number that cannot be sent.
        """
        if len(spi) != 4:
            raise ValueError(f"an SPI of ESP has 4 octets, not {len(spi)}")
        if not self._sealed < sequence <= _LAST_SEQUENCE:
            raise ValueError(f"sequence number {sequence} after {self._sealed}")
        padding = -(len(plaintext) + 2) % self._protection.alignment
        padded = plaintext + _PADDING[:padding] + bytes((padding, next_header))
        header = spi + sequence.to_bytes(4, "big")
        packet = header + self._protection.protect(header, padded)
        self._sealed = sequence
        return packet

    def open(self, packet: bytes) -> tuple[bytes, int, bytes, int]:
        """
        Check and decrypt a packet.  RFC 4303 section 3.4.

        :param packet: as received, without an outer header.
        :returns: SPI, sequence number, payload, next header.
        :raises ESPError: forged, damaged, truncated, or of another security association.
        """
        protection = self._protection
        inside = len(packet) - _HEADER - protection.overhead
        if inside < protection.alignment or inside % protection.alignment:
            raise ESPError(f"{len(packet)} octets cannot be a packet of {self.name}")
        header = packet[:_HEADER]
        padded = protection.unprotect(header, packet[_HEADER:])
        padding, next_header = padded[-2:]
        end = len(padded) - 2 - padding
        if end < 0 or padded[end:-2] != _PADDING[:padding]:
            raise ESPError("wrong padding")
        return header[:4], int.from_bytes(header[4:], "big"), padded[:end], next_header

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def esp_transform(
    encryption: str, integrity: str, encryption_key: bytes, integrity_key: bytes
) -> ESPTransform:
    """
    The transform of one direction.

    :param encryption: a name of :data:`ENCRYPTION`.
    :param integrity: a name of :data:`INTEGRITY`; ``none`` with AES-GCM, AES-CCM and AES-GMAC.
        With CBC, ``none`` is what RFC 4303 calls confidentiality only: anybody can alter such
        packets, and learn their contents by it.
    :param encryption_key: secret; with its salt at the end.
    :param integrity_key: secret.
    :raises LookupError: no such algorithm here.
    :raises ValueError: a key of the wrong length, or two algorithms that do not go together.
    """
    if encryption not in ENCRYPTION:
        raise LookupError(f"ESP encryption {encryption!r} is not supported")
    if integrity not in INTEGRITY:
        raise LookupError(f"ESP integrity {integrity!r} is not supported")
    if len(encryption_key) not in ENCRYPTION[encryption]:
        raise ValueError(f"{encryption} does not take a key of {len(encryption_key)} octets")
    if len(integrity_key) != INTEGRITY[integrity]:
        raise ValueError(f"{integrity} does not take a key of {len(integrity_key)} octets")
    if encryption in _COMBINED:
        if integrity != "none":
            raise ValueError(f"{encryption} has integrity of its own")
        return ESPTransform(encryption, _COMBINED[encryption](encryption_key))
    if integrity == "none" and encryption in ("null", "aes-ctr"):
        raise ValueError(f"{encryption} must not be used without integrity")
    mac: Callable[[bytes], bytes] | None = None
    icv_length = 0
    if integrity != "none":
        details = _INTEGRITY[integrity]
        mac, icv_length = details.mac(integrity_key), details.icv_length
    separate = _Separate(_SEPARATE[encryption](encryption_key), mac, icv_length)
    return ESPTransform(f"{encryption} {integrity}", separate)
