"""
Diffie-Hellman modulo a prime, and who does the arithmetic.

RFC 2409 section 6, RFC 3526, RFC 5114 section 2; the checks are those of RFC 6989 sections 2.1 and
2.2 (RFC 2631 section 2.1.5).

Raising a number to a secret power is the only secret computation here, and it can be done by three
providers of :class:`FiniteField`:

``openssl``
    through ``cryptography``, which deprecates it and may drop it; it is here that the warning about
    it is silenced, and nowhere else.
``gmp``
    ``powmod_sec`` of gmpy2, the extra ``[gmp]``.
``python``
    ``pow()``: not in constant time, said once in a warning; the last resort.

Measured on one core, milliseconds for one exponentiation with exponents of 160 to 620 bits (RFC
3526's second estimate), Python 3.11, cryptography 50, gmpy2 2.3:

====================  ========  ======  =======
group                  openssl     gmp   python
====================  ========  ======  =======
1 (768 bits)             16       0.06    0.4
2 (1024 bits)            28       0.08    0.5
5 (1536 bits)             0.14    0.21    1.5
14 (2048 bits)            0.28    0.47    3.2
16 (4096 bits)            1.6     3.1    18
18 (8192 bits)            7.7    16      81
24 (2048, q of 256)       0.45    0.40    2.7
====================  ========  ======  =======

OpenSSL is the fastest with the primes that it knows by name, those of RFC 3526 and RFC 5114.  It
tests any other prime again with each key: those of groups 1 and 2, and private ones.  So the choice
is by prime: OpenSSL where it knows the prime, else gmpy2 where it is installed, else OpenSSL.
"""

from __future__ import annotations

import importlib
import secrets
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from cryptography.utils import CryptographyDeprecationWarning

from isakmp.crypto.agreement import Group, KeyPair
from isakmp.crypto.primes import MODULI, Modulus

_NAMED_BY_OPENSSL = frozenset(modulus.prime for number, modulus in MODULI.items() if number > 2)


class NotConstantTime(RuntimeWarning):
    """Secret exponents are used by arithmetic whose time depends on them."""


class FiniteField(Protocol):
    """Who raises a number to a secret power."""

    @property
    def name(self) -> str:
        """What :func:`use` calls it."""

    def exponentiation(self, exponent: int, modulus: Modulus) -> Callable[[int], int]:
        """
        The function that takes a base to ``base ** exponent % modulus.prime``.

        :param exponent: secret, positive.
        :returns: may be called any number of times, with bases above 1 and below the prime less 1;
            raises ValueError where the result would be 1 or the prime less 1, or may return it.
        """


class _OpenSSL:
    name = "openssl"

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # The only deprecation that is accepted: there is no other constant-time modular
            # exponentiation in the libraries that are always there.
            warnings.filterwarnings(
                "ignore", "Diffie-Hellman over finite fields", CryptographyDeprecationWarning
            )
            dh = importlib.import_module("cryptography.hazmat.primitives.asymmetric.dh")
            self._parameters = dh.DHParameterNumbers
            self._public = dh.DHPublicNumbers
            self._private = dh.DHPrivateNumbers

    def exponentiation(self, exponent: int, modulus: Modulus) -> Callable[[int], int]:
        parameters = self._parameters(modulus.prime, modulus.generator)
        # The public value that goes with a private one is not looked at; the generator stands in.
        public = self._public(modulus.generator, parameters)
        private = self._private(exponent, public).private_key()

        def power(base: int) -> int:
            key = self._public(base, parameters).public_key()
            return int.from_bytes(private.exchange(key), "big")

        return power


class _GMP:
    name = "gmp"

    def __init__(self) -> None:
        self._gmpy2: Any = importlib.import_module("gmpy2")

    def exponentiation(self, exponent: int, modulus: Modulus) -> Callable[[int], int]:
        powmod_sec = self._gmpy2.powmod_sec
        secret, prime = self._gmpy2.mpz(exponent), self._gmpy2.mpz(modulus.prime)
        return lambda base: int(powmod_sec(base, secret, prime))


class _Python:
    name = "python"

    def __init__(self) -> None:
        self._said = False

    def exponentiation(self, exponent: int, modulus: Modulus) -> Callable[[int], int]:
        if not self._said:
            self._said = True
            warnings.warn(
                "finite-field Diffie-Hellman is done by pow(), whose time tells of the private "
                "exponent: install gmpy2, or a cryptography that has it, or use elliptic curves",
                NotConstantTime,
                stacklevel=2,
            )
        return lambda base: pow(base, exponent, modulus.prime)


def _find(*providers: Callable[[], FiniteField]) -> Mapping[str, FiniteField]:
    found = {}
    for provider in providers:
        try:
            field = provider()
        except (ImportError, AttributeError):
            continue  # not installed, or no longer part of what is installed
        found[field.name] = field
    return MappingProxyType(found)


_available = _find(_OpenSSL, _GMP, _Python)
_used: FiniteField | None = None

# What is public may be raised to a public power in any time, so as fast as can be.
_public_power: Callable[[int, int, int], int] = pow
if "gmp" in _available:
    _public_power = importlib.import_module("gmpy2").powmod


def available() -> Mapping[str, FiniteField]:
    """The providers that can be used here, by name."""
    return _available


def use(name: str | None) -> None:
    """
    Have one provider do all arithmetic from now on; key pairs that exist keep theirs.

    :param name: a key of :func:`available`; None to choose by prime again, as at the start.
    :raises LookupError: no such provider here.
    """
    global _used
    if name is None:
        _used = None
    elif name in _available:
        _used = _available[name]
    else:
        raise LookupError(f"no arithmetic {name!r} here, only {', '.join(_available)}")


def field_for(modulus: Modulus) -> FiniteField:
    """Who does the arithmetic of this modulus: the one in use, else the fastest."""
    if _used is not None:
        return _used
    known = modulus.prime in _NAMED_BY_OPENSSL
    for name in ("openssl", "gmp") if known else ("gmp", "openssl"):
        if name in _available:
            return _available[name]
    return _available["python"]


@dataclass(frozen=True, slots=True)
class ModularGroup(Group):
    """
    A MODP group.

    One that two peers agree on by themselves (New Group Mode, RFC 2409 section 5.6) works too, if
    its prime is a safe one: with any other, and with a prime below 512 bits, OpenSSL raises
    ValueError when a key pair is made.

    :ivar modulus: where it computes.
    """

    modulus: Modulus

    @property
    def public_length(self) -> int:
        return self.modulus.octets

    def generate(self) -> KeyPair:
        if self.modulus.order is None:
            # The top bit is set, so that all exponents have the same length.
            bits = self.modulus.exponent_bits
            return ModularKeyPair(self, (1 << (bits - 1)) | secrets.randbits(bits - 1))
        return ModularKeyPair(self, 1 + secrets.randbelow(self.modulus.order - 1))

    def check(self, peer_public: bytes) -> None:
        self.check_length(peer_public)
        peer = int.from_bytes(peer_public, "big")
        modulus = self.modulus
        if not 2 <= peer <= modulus.prime - 2:
            raise self.refusal("out of range", configured="above 1 and below the prime less 1")
        if modulus.order is not None and _public_power(peer, modulus.order, modulus.prime) != 1:
            raise self.refusal("outside the subgroup that the generator generates")

    def key_pair(self, private: bytes) -> KeyPair:
        exponent = int.from_bytes(private, "big")
        if not 0 < exponent < (self.modulus.order or self.modulus.prime - 1):
            raise ValueError(f"not a private exponent of {self.name}")
        return ModularKeyPair(self, exponent)


class ModularKeyPair(KeyPair):
    """
    A private exponent and the generator raised to it.

    :param group: where.
    :param exponent: secret.
    """

    __slots__ = ("_group", "_power", "_public")

    def __init__(self, group: ModularGroup, exponent: int) -> None:
        modulus = group.modulus
        self._group = group
        self._power = field_for(modulus).exponentiation(exponent, modulus)
        self._public = self._power(modulus.generator).to_bytes(modulus.octets, "big")

    @property
    def group(self) -> ModularGroup:
        return self._group

    @property
    def public(self) -> bytes:
        return self._public

    def agree(self, peer_public: bytes) -> bytes:
        group, modulus = self._group, self._group.modulus
        group.check(peer_public)
        peer = int.from_bytes(peer_public, "big")
        largest = modulus.prime - 2
        try:
            secret = self._power(peer)
        except ValueError:
            secret = 0
        if not 2 <= secret <= largest:
            raise group.refusal("of so small an order that there is no shared secret")
        return secret.to_bytes(modulus.octets, "big")


MODULAR_GROUPS = (
    ModularGroup(1, "modp768", 768, MODULI[1]),
    ModularGroup(2, "modp1024", 1024, MODULI[2]),
    ModularGroup(5, "modp1536", 1536, MODULI[5]),
    ModularGroup(14, "modp2048", 2048, MODULI[14]),
    ModularGroup(15, "modp3072", 3072, MODULI[15]),
    ModularGroup(16, "modp4096", 4096, MODULI[16]),
    ModularGroup(17, "modp6144", 6144, MODULI[17]),
    ModularGroup(18, "modp8192", 8192, MODULI[18]),
    ModularGroup(22, "modp1024s160", 1024, MODULI[22]),
    ModularGroup(23, "modp2048s224", 2048, MODULI[23]),
    ModularGroup(24, "modp2048s256", 2048, MODULI[24]),
)
