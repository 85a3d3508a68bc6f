"""
Diffie-Hellman on elliptic curves.

ECP groups: RFC 5903 (19 to 21), RFC 5114 section 2 (25, 26), RFC 6932 (28 to 30).  A public value
is x and y, each as long as the prime; the shared secret is x alone (RFC 5903 section 7, which
differs from RFC 4753 in this).  The curves have prime order, so that a point on the curve is a good
one (RFC 6989 section 2.3), and the point at infinity has no x and y to be sent.

Curve25519 and Curve448 (31, 32): RFC 8031, RFC 7748.  Any 32 or 56 octets are a public value; the
few that lead to the shared secret zero are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519

from isakmp.crypto.agreement import Group, KeyPair


@dataclass(frozen=True, slots=True)
class CurveGroup(Group):
    """
    An ECP group.

    :ivar curve: the curve as ``cryptography`` knows it.
    """

    curve: ec.EllipticCurve

    @property
    def public_length(self) -> int:
        return 2 * ((self.bits + 7) // 8)

    def generate(self) -> KeyPair:
        return CurveKeyPair(self, ec.generate_private_key(self.curve))

    def check(self, peer_public: bytes) -> None:
        self.point(peer_public)

    def point(self, public: bytes) -> ec.EllipticCurvePublicKey:
        """
        The point that a public value names.

        :raises isakmp.errors.InvalidKeyInformation: not one of this curve.
        """
        self.check_length(public)
        try:
            # 4: an uncompressed point.  Both coordinates are checked to be below the prime, and the
            # point to be on the curve.
            return ec.EllipticCurvePublicKey.from_encoded_point(self.curve, b"\x04" + public)
        except ValueError:
            raise self.refusal("not a point of the curve") from None

    def key_pair(self, private: bytes) -> KeyPair:
        number = int.from_bytes(private, "big")
        return CurveKeyPair(self, ec.derive_private_key(number, self.curve))


class CurveKeyPair(KeyPair):
    """
    A number and the generator multiplied by it.

    :param group: where.
    :param private: secret.
    """

    __slots__ = ("_group", "_private", "_public")

    def __init__(self, group: CurveGroup, private: ec.EllipticCurvePrivateKey) -> None:
        self._group = group
        self._private = private
        numbers = private.public_key().public_numbers()
        length = group.public_length // 2
        self._public = numbers.x.to_bytes(length, "big") + numbers.y.to_bytes(length, "big")

    @property
    def group(self) -> CurveGroup:
        return self._group

    @property
    def public(self) -> bytes:
        return self._public

    def agree(self, peer_public: bytes) -> bytes:
        return self._private.exchange(ec.ECDH(), self._group.point(peer_public))


_SMALL = "of so small an order that there is no shared secret"

_P25519 = 2**255 - 19
_P448 = 2**448 - 2**224 - 1

_ORDER_8 = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
"""The points of order 8 of Curve25519."""


@dataclass(frozen=True, slots=True)
class MontgomeryGroup(Group):
    """
    Curve25519 or Curve448.

    :ivar prime: of its field.
    :ivar small: the values that lead to the shared secret zero with every private value, those of
        points whose order divides the cofactor (RFC 7748 section 6): four times such a point of
        Curve448, and eight times such a point of Curve25519, is the point at infinity.
    :ivar private_key: how ``cryptography`` holds a private value.
    :ivar public_key: how it holds a public one.
    """

    prime: int
    small: frozenset[int]
    private_key: type[x25519.X25519PrivateKey | x448.X448PrivateKey]
    public_key: type[x25519.X25519PublicKey | x448.X448PublicKey]

    @property
    def public_length(self) -> int:
        return (self.bits + 7) // 8

    def generate(self) -> KeyPair:
        return MontgomeryKeyPair(self, self.private_key.generate())

    def check(self, peer_public: bytes) -> None:
        self.check_length(peer_public)
        # As the computation reads it: RFC 7748 section 5.
        value = int.from_bytes(peer_public, "little") & ((1 << self.bits) - 1)
        if value % self.prime in self.small:
            raise self.refusal(_SMALL)

    def key_pair(self, private: bytes) -> KeyPair:
        return MontgomeryKeyPair(self, self.private_key.from_private_bytes(private))


class MontgomeryKeyPair(KeyPair):
    """
    A number and the base point multiplied by it.

    :param group: where.
    :param private: secret.
    """

    __slots__ = ("_group", "_private", "_public")

    def __init__(
        self, group: MontgomeryGroup, private: x25519.X25519PrivateKey | x448.X448PrivateKey
    ) -> None:
        self._group = group
        self._private = private
        self._public = private.public_key().public_bytes_raw()

    @property
    def group(self) -> MontgomeryGroup:
        return self._group

    @property
    def public(self) -> bytes:
        return self._public

    def agree(self, peer_public: bytes) -> bytes:
        self._group.check_length(peer_public)
        peer = self._group.public_key.from_public_bytes(peer_public)
        try:
            return self._private.exchange(peer)  # type: ignore[arg-type]  # both of one curve
        except ValueError:
            raise self._group.refusal(_SMALL) from None


CURVE_GROUPS = (
    CurveGroup(19, "ecp256", 256, ec.SECP256R1()),
    CurveGroup(20, "ecp384", 384, ec.SECP384R1()),
    CurveGroup(21, "ecp521", 521, ec.SECP521R1()),
    CurveGroup(25, "ecp192", 192, ec.SECP192R1()),
    CurveGroup(26, "ecp224", 224, ec.SECP224R1()),
    CurveGroup(28, "ecp256bp", 256, ec.BrainpoolP256R1()),
    CurveGroup(29, "ecp384bp", 384, ec.BrainpoolP384R1()),
    CurveGroup(30, "ecp512bp", 512, ec.BrainpoolP512R1()),
    MontgomeryGroup(
        31,
        "curve25519",
        255,
        _P25519,
        frozenset({0, 1, _P25519 - 1, *_ORDER_8}),
        x25519.X25519PrivateKey,
        x25519.X25519PublicKey,
    ),
    MontgomeryGroup(
        32,
        "curve448",
        448,
        _P448,
        frozenset({0, 1, _P448 - 1}),
        x448.X448PrivateKey,
        x448.X448PublicKey,
    ),
)
