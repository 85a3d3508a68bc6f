"""
The negotiated hash and the prf that is made of it.

RFC 2409 section 4: "If a 'prf' is not negotiated, the HMAC version of the negotiated hash algorithm
is used as a pseudo-random function"; no prf has ever been assigned a number.  HMAC is RFC 2104, the
longer hashes RFC 4868.

This is the hottest code of an established security association, and ``hashlib`` is several times
faster here than ``cryptography``.  Two plain hashes, of RFC 2104's two padded keys, are faster than
``hmac.digest`` as well, and than hash states that are kept and copied: OpenSSL 3 looks up an
algorithm for each of these, and what is hashed here is short.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_INNER = bytes(octet ^ 0x36 for octet in range(256))
_OUTER = bytes(octet ^ 0x5C for octet in range(256))


@dataclass(frozen=True, slots=True)
class Hash:
    """
    A hash algorithm.

    :ivar number: Hash Algorithm (RFC 2409 appendix A).
    :ivar name: as ``hashlib`` and swanctl.conf spell it: ``md5``, ``sha1``, ``sha256``.
    :ivar size: length of a digest, in octets.
    :ivar block: length of the block of its compression function, in octets.
    """

    number: int
    name: str
    size: int
    block: int

    def digest(self, data: bytes) -> bytes:
        """The hash of these octets: ``size`` octets."""
        return _NEW[self.name](data).digest()


# Each by its own constructor, which is faster than hashlib.new().
_NEW: Mapping[str, Callable[[bytes], hashlib._Hash]] = {
    "md5": hashlib.md5,
    "sha1": hashlib.sha1,
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
}

_HASHES = {
    1: Hash(1, "md5", 16, 64),
    2: Hash(2, "sha1", 20, 64),
    4: Hash(4, "sha256", 32, 64),
    5: Hash(5, "sha384", 48, 128),
    6: Hash(6, "sha512", 64, 128),
}


def hash_algorithm(number: int) -> Hash:
    """
    The hash of that Hash Algorithm.

    :param number: RFC 2409 appendix A.
    :raises LookupError: not supported (Tiger, 3), or switched off in this Python (MD5 under FIPS).
    """
    found = _HASHES.get(number)
    if found is None:
        raise LookupError(f"hash algorithm {int(number)} is not supported")
    try:
        found.digest(b"")
    except ValueError:
        raise LookupError(f"{found.name} is switched off here") from None
    return found


@dataclass(frozen=True, slots=True)
class Prf:
    """
    The pseudo-random function of a security association: HMAC of its hash.

    :ivar hash: the negotiated hash.
    """

    hash: Hash

    @property
    def size(self) -> int:
        """Length of its output, in octets."""
        return self.hash.size

    def __call__(self, key: bytes, data: bytes) -> bytes:
        """prf(key, data): ``size`` octets."""
        new, inner, outer = self._padded(key)
        return new(outer + new(inner + data).digest()).digest()

    def keyed(self, key: bytes) -> Callable[[bytes], bytes]:
        """
        The prf with its key set up: for a key that is used again and again.

        :param key: of any length.
        :returns: takes data to prf(key, data).  It keeps the two padded keys of RFC 2104 section 2.
        """
        new, inner, outer = self._padded(key)
        return lambda data: new(outer + new(inner + data).digest()).digest()

    def _padded(self, key: bytes) -> tuple[Callable[[bytes], hashlib._Hash], bytes, bytes]:
        """The hash, and the two padded keys."""
        new, block = _NEW[self.hash.name], self.hash.block
        if len(key) > block:
            key = new(key).digest()
        key = key.ljust(block, b"\0")
        return new, key.translate(_INNER), key.translate(_OUTER)


def prf(hash_number: int) -> Prf:
    """
    The prf of a security association with that Hash Algorithm.

    :param hash_number: RFC 2409 appendix A.
    :raises LookupError: not supported here.
    """
    return Prf(hash_algorithm(hash_number))
