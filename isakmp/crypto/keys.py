"""
The keys of RFC 2409: SKEYID and its children, Ka, initialization vectors, KEYMAT.

RFC 2409 sections 5 and 5.5, appendix B.  The names are the RFC's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from isakmp.crypto.prf import Hash, Prf


def skeyid_pre_shared_key(prf: Prf, secret: bytes, n_i: bytes, n_r: bytes) -> bytes:
    """
    SKEYID for authentication with a pre-shared key.  RFC 2409 section 5.4.

    :param secret: the pre-shared key.
    :param n_i: body of the initiator's nonce payload.
    :param n_r: body of the responder's.
    """
    return prf(secret, n_i + n_r)


def skeyid_signature(prf: Prf, n_i: bytes, n_r: bytes, g_xy: bytes) -> bytes:
    """
    SKEYID for authentication with signatures.  RFC 2409 section 5.1.

    :param n_i: body of the initiator's nonce payload.
    :param n_r: body of the responder's.
    :param g_xy: the shared secret.
    """
    return prf(n_i + n_r, g_xy)


def skeyid_encryption(
    prf: Prf, hash: Hash, n_i: bytes, n_r: bytes, cky_i: bytes, cky_r: bytes
) -> bytes:
    """
    SKEYID for both kinds of authentication with public key encryption.  RFC 2409 section 5.2.

    :param hash: the negotiated hash.
    :param n_i: the initiator's nonce, decrypted and without the padding of its encryption.
    :param n_r: the responder's.
    :param cky_i: the initiator's cookie.
    :param cky_r: the responder's.
    """
    return prf(hash.digest(n_i + n_r), cky_i + cky_r)


@dataclass(frozen=True, slots=True)
class Phase1Keys:
    """
    The authenticated keying material that either phase 1 exchange results in.

    :ivar skeyid_d: keys of other security associations are derived from it.
    :ivar skeyid_a: messages are authenticated with it.
    :ivar skeyid_e: the key of the cipher is made of it.
    """

    skeyid_d: bytes = field(repr=False)
    skeyid_a: bytes = field(repr=False)
    skeyid_e: bytes = field(repr=False)

    @classmethod
    def derive(cls, prf: Prf, skeyid: bytes, g_xy: bytes, cky_i: bytes, cky_r: bytes) -> Self:
        """
        All three, one from the other.  RFC 2409 section 5.

        :param skeyid: SKEYID of the authentication method.
        :param g_xy: the shared secret.
        :param cky_i: the initiator's cookie.
        :param cky_r: the responder's.
        """
        keyed = prf.keyed(skeyid)
        public = g_xy + cky_i + cky_r
        skeyid_d = keyed(public + b"\0")
        skeyid_a = keyed(skeyid_d + public + b"\1")
        skeyid_e = keyed(skeyid_a + public + b"\2")
        return cls(skeyid_d, skeyid_a, skeyid_e)


def cipher_key(
    prf: Prf, skeyid_e: bytes, length: int, weak: Callable[[bytes], bool] | None = None
) -> bytes:
    """
    The key of the cipher, from SKEYID_e.  RFC 2409 appendix B.

    SKEYID_e itself, if it is long enough; else Ka = K1 | K2 | ..., K1 = prf(SKEYID_e, 0).  Of
    either, the first octets.

    :param length: octets that the cipher wants.
    :param weak: says which keys are forbidden; the key is then the first ``length`` octets, the
        second or a later ``length`` octets that are not.  For DES alone:
        ``partial(ciphers.is_weak, number)``.
    :raises ValueError: all of them are weak, which does not happen by chance.
    """
    material = skeyid_e
    if length > len(skeyid_e):
        keyed = prf.keyed(skeyid_e)
        part = material = keyed(b"\0")
        while len(material) < length:
            part = keyed(part)
            material += part
    for start in range(0, len(material) - length + 1, length):
        key = material[start : start + length]
        if weak is None or not weak(key):
            return key
    raise ValueError("all of SKEYID_e is weak keys")


def phase1_iv(hash: Hash, g_xi: bytes, g_xr: bytes, block: int) -> bytes:
    """
    The initialization vector of the first encrypted message of phase 1.  RFC 2409 appendix B.

    :param hash: the negotiated hash.
    :param g_xi: the initiator's public value, as in its KE payload.
    :param g_xr: the responder's.
    :param block: length of the cipher's block, in octets.
    """
    return hash.digest(g_xi + g_xr)[:block]


def phase2_iv(hash: Hash, last_block: bytes, message_id: int, block: int) -> bytes:
    """
    The initialization vector of the first message of a phase 2 exchange, or of an informational
    one.  RFC 2409 appendix B.

    :param hash: the negotiated hash.
    :param last_block: the last block of ciphertext of phase 1.
    :param message_id: of the new exchange.
    :param block: length of the cipher's block, in octets.
    """
    return hash.digest(last_block + message_id.to_bytes(4, "big"))[:block]


def keymat(keyed: Callable[[bytes], bytes], seed: bytes, length: int) -> bytes:
    """
    KEYMAT, the keying material of one security association.  RFC 2409 section 5.5.

    K1 | K2 | K3 | ..., each the prf of the one before and the seed.

    :param keyed: the prf under SKEYID_d (:meth:`isakmp.crypto.prf.Prf.keyed`).
    :param seed: ``[ g(qm)^xy | ] protocol | SPI | Ni_b | Nr_b``; the SPI is the receiver's.
    :param length: octets wanted.
    """
    part = material = b""
    while len(material) < length:
        part = keyed(part + seed)
        material += part
    return material[:length]
