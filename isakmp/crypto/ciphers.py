"""
The ciphers that protect ISAKMP messages: CBC without padding of its own.

RFC 2409 appendices A and B; AES is RFC 3602, Camellia RFC 4312.  Padding with zeros and the chain
of initialization vectors are the caller's.

RC5-R16-B64-CBC (4) is not supported: no maintained library has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers import algorithms as decrepit
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from isakmp.errors import Malformed, Reason


@dataclass(frozen=True, slots=True)
class CBCAlgorithm:
    """
    A block cipher and the keys that it takes.

    :ivar name: token of swanctl.conf without the key length: ``aes``, ``3des``.
    :ivar block: octets.
    :ivar default: key length where none is negotiated, in octets.
    :ivar lengths: key lengths that may be negotiated, in octets.
    :ivar library_name: what ``cryptography`` calls it.
    """

    name: str
    block: int
    default: int
    lengths: range
    library_name: str

    def schedule(self, key: bytes) -> Any:
        """
        The algorithm with its key, as ``cryptography`` wants it.

        :raises ValueError: a key of a length that it does not take.
        :raises LookupError: the installed library does not have it.
        """
        if len(key) not in self.lengths:
            raise ValueError(f"{self.name} does not take a key of {len(key)} octets")
        # Single DES is triple DES with one key three times.
        return _maker(self)(key * 3 if self.name == "des" else key)


@lru_cache(maxsize=32)
def _maker(algorithm: CBCAlgorithm) -> Callable[[bytes], Any]:
    """
    What makes the library's algorithm of a key; tried once.

    :raises LookupError: the installed library does not have it.
    """
    made: Callable[[bytes], Any] | None = getattr(decrepit, algorithm.library_name, None)
    made = made or getattr(algorithms, algorithm.library_name, None)
    if made is None:
        raise LookupError(f"{algorithm.name} is not in the installed cryptography")
    try:
        example = made(bytes(range(24 if algorithm.name == "des" else algorithm.lengths[-1])))
        Cipher(example, modes.CBC(bytes(algorithm.block))).encryptor()
    except UnsupportedAlgorithm:
        raise LookupError(f"{algorithm.name} is not in the installed library") from None
    return made


CBC = {
    algorithm.name: algorithm
    for algorithm in (
        CBCAlgorithm("des", 8, 8, range(8, 9), "TripleDES"),
        CBCAlgorithm("idea", 8, 16, range(16, 17), "IDEA"),
        CBCAlgorithm("blowfish", 8, 56, range(5, 57), "Blowfish"),
        CBCAlgorithm("3des", 8, 24, range(24, 25), "TripleDES"),
        CBCAlgorithm("cast", 8, 16, range(5, 17), "CAST5"),
        CBCAlgorithm("aes", 16, 16, range(16, 33, 8), "AES"),
        CBCAlgorithm("camellia", 16, 16, range(16, 33, 8), "Camellia"),
    )
}
"""Every block cipher here, by name."""

_PHASE_1 = {
    1: CBC["des"],
    2: CBC["idea"],
    3: CBC["blowfish"],
    5: CBC["3des"],
    6: CBC["cast"],
    7: CBC["aes"],
    8: CBC["camellia"],
}

# RFC 2409 appendix A.  Its second and third weak key lack the halves that make them weak (1F1F E0E0
# where DES has 1F1F 0E0E); the true ones stand beside them.
_WEAK_DES_KEYS = frozenset(
    bytes(octet & 0xFE for octet in bytes.fromhex(key))
    for key in (
        *("0101010101010101", "1F1F1F1FE0E0E0E0", "E0E0E0E01F1F1F1F", "FEFEFEFEFEFEFEFE"),
        *("1F1F1F1F0E0E0E0E", "E0E0E0E0F1F1F1F1"),
        *("01FE01FE01FE01FE", "1FE01FE00EF10EF1", "01E001E001F101F1", "1FFE1FFE0EFE0EFE"),
        *("011F011F010E010E", "E0FEE0FEF1FEF1FE", "FE01FE01FE01FE01", "E01FE01FF10EF10E"),
        *("E001E001F101F101", "FE1FFE1FFE0EFE0E", "1F011F010E010E01", "FEE0FEE0FEF1FEF1"),
    )
)


def _algorithm(number: int) -> CBCAlgorithm:
    found = _PHASE_1.get(number)
    if found is None:
        raise LookupError(f"encryption algorithm {int(number)} is not supported")
    return found


def key_length(number: int, bits: int | None) -> int:
    """
    How long the key is, in octets.

    :param number: Encryption Algorithm (RFC 2409 appendix A).
    :param bits: the Key Length attribute; None where there was none.  Then it is 56 octets for
        Blowfish and 16 for CAST (appendix B), and 16 for AES and Camellia by custom.  Ciphers with
        keys of a fixed length must not have the attribute; the one true value is let pass.
    :raises LookupError: not supported here.
    :raises ValueError: it takes no key of that length.
    """
    algorithm = _algorithm(number)
    if bits is None:
        return algorithm.default
    if bits % 8 or bits // 8 not in algorithm.lengths:
        raise ValueError(f"{algorithm.name} does not take a key of {bits} bits")
    return bits // 8


def is_weak(number: int, key: bytes) -> bool:
    """
    Whether RFC 2409 appendix B forbids this key: the weak and semi-weak keys of DES.

    :param number: Encryption Algorithm (RFC 2409 appendix A).
    :param key: candidate; its parity bits do not count.
    """
    return number == 1 and bytes(octet & 0xFE for octet in key) in _WEAK_DES_KEYS


class BlockCipher:
    """
    A cipher with its key; the initialization vector comes with each message.

    :param algorithm: which.
    :param key: secret; of a length that it takes.
    :raises ValueError: a key that it does not take.
    :raises LookupError: the installed library does not have it.
    """

    __slots__ = ("_algorithm", "_octets", "_schedule", "block")

    def __init__(self, algorithm: CBCAlgorithm, key: bytes) -> None:
        self._algorithm = algorithm
        self._octets = len(key)
        self._schedule = algorithm.schedule(key)
        self.block = algorithm.block

    @property
    def name(self) -> str:
        """What it is called: ``aes128``, ``3des``."""
        algorithm = self._algorithm
        return f"{algorithm.name}{self._octets * 8}" if algorithm.lengths[1:] else algorithm.name

    @property
    def key(self) -> bytes:
        """The secret itself, for a key log."""
        key: bytes = self._schedule.key
        return key[:8] if self.name == "des" else key  # which is triple DES with one key

    def encrypt(self, iv: bytes, data: bytes) -> bytes:
        """
        Encrypt one message.

        :param iv: ``block`` octets.
        :param data: whole blocks, at least one.
        :returns: as many octets; the last block is the next initialization vector.
        :raises ValueError: not whole blocks: a mistake of ours.
        """
        if not data or len(data) % self.block:
            raise ValueError(f"{len(data)} octets are not whole blocks of {self.block}")
        encryptor = Cipher(self._schedule, modes.CBC(iv)).encryptor()
        return encryptor.update(data) + encryptor.finalize()

    def decrypt(self, iv: bytes, data: bytes) -> bytes:
        """
        Decrypt one message.

        :param iv: ``block`` octets.
        :param data: as received.
        :returns: as many octets, padding included.
        :raises isakmp.errors.Malformed: not whole blocks, or none.
        """
        if not data or len(data) % self.block:
            raise Malformed(
                Reason(
                    rule="an encrypted message is one or more whole blocks",
                    offered=f"{len(data)} octets",
                    configured=f"{self.name}: blocks of {self.block} octets",
                )
            )
        decryptor = Cipher(self._schedule, modes.CBC(iv)).decryptor()
        return decryptor.update(data) + decryptor.finalize()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def cipher(number: int, key: bytes) -> BlockCipher:
    """
    The cipher of a security association.

    :param number: Encryption Algorithm (RFC 2409 appendix A).
    :param key: secret, of :func:`key_length` octets (:func:`isakmp.crypto.keys.cipher_key`).
    :raises LookupError: not supported here.
    :raises ValueError: it takes no key of that length, or this key is a weak one.
    """
    if is_weak(number, key):
        raise ValueError("a weak or semi-weak key of DES")
    return BlockCipher(_algorithm(number), key)
