"""
IKE's ISAKMP SA: what phase 1 leaves.  RFC 2409 section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from zope.interface import implementer

from isakmp.associations import Lifetime
from isakmp.crypto.ciphers import BlockCipher, cipher, is_weak, key_length
from isakmp.crypto.keys import Phase1Keys, cipher_key, keymat, phase2_iv
from isakmp.crypto.prf import Prf
from isakmp.exchange.phase2 import Agreement
from isakmp.identity import Identity
from isakmp.ike.parameters import Parameters
from isakmp.ike.protection import Phase2Protection
from isakmp.interfaces import (
    IDisclosing,
    IExchangeType,
    IKeyAgreement,
    IManagementSA,
    IMessageProtection,
    IRelocating,
)
from isakmp.parts import Role
from isakmp.paths import Path
from isakmp.wire.message import CookiePair


@dataclass(frozen=True, slots=True)
class Keys:
    """
    SKEYID's children at work: they answer, and do not show themselves.

    :ivar prf: the negotiated one.
    :ivar cipher: under the key that SKEYID_e becomes.
    """

    prf: Prf
    skeyid_d: bytes = field(repr=False)
    skeyid_a: bytes = field(repr=False)
    cipher: BlockCipher = field(repr=False)

    def derive(self, octets: bytes) -> bytes:
        """prf(SKEYID_d, octets)."""
        return self.prf(self.skeyid_d, octets)

    def authenticate(self, octets: bytes) -> bytes:
        """prf(SKEYID_a, octets)."""
        return self.prf(self.skeyid_a, octets)

    @classmethod
    def of(cls, derived: Phase1Keys, parameters: Parameters) -> Keys:
        """The keys of phase 1, set up for their uses."""
        function = parameters.prf
        length = key_length(parameters.encryption, parameters.key_bits)
        weak = partial(is_weak, parameters.encryption)
        key = cipher_key(function, derived.skeyid_e, length, weak)
        return cls(
            function, derived.skeyid_d, derived.skeyid_a, cipher(parameters.encryption, key)
        )


@implementer(IManagementSA, IDisclosing, IRelocating)
@dataclass(frozen=True, slots=True, eq=False)
class ISAKMPSA:
    """
    Implements IManagementSA with the keys of IKE's phase 1.

    :ivar parameters: the negotiated algorithms.
    :ivar last_block: the last block of ciphertext of phase 1, from which every later exchange's
        first initialization vector comes.
    """

    key: CookiePair
    role: Role
    doi: int
    ours: Identity
    theirs: Identity
    connection: str
    path: Path
    lifetime: Lifetime
    parameters: Parameters
    keys: Keys = field(repr=False)
    last_block: bytes = field(repr=False)
    owner: str = "ike"

    def permits(self, number: int) -> bool:
        """Everything: the peer is authenticated."""
        return True

    def protection(self, kind: IExchangeType, message_id: int) -> IMessageProtection:
        """The cipher state of a new exchange.  RFC 2409 appendix B."""
        algorithm = self.parameters.prf.hash
        iv = phase2_iv(algorithm, self.last_block, message_id, self.keys.cipher.block)
        return Phase2Protection(self.keys.cipher, iv, self, kind, message_id)

    def authenticate(self, octets: bytes) -> bytes:
        """prf(SKEYID_a, octets)."""
        return self.keys.authenticate(octets)

    def derive(self, seed: bytes, length: int) -> bytes:
        """KEYMAT.  RFC 2409 section 5.5."""
        return keymat(self.keys.derive, seed, length)

    @property
    def follows(self) -> bool:
        """It does: no NAT before this end is known of."""
        return True

    def relocated(self, path: Path) -> ISAKMPSA:
        """The same SA, its peer there."""
        return replace(self, path=path)

    def disclosed(self) -> Sequence[tuple[str, str]]:
        """For Wireshark: the key of the cipher, by the initiator's cookie."""
        row = f"{self.key.initiator.hex()},{self.keys.cipher.key.hex()}"
        return (("ikev1_decryption_table", row),)

    def agreement(self, number: int) -> IKeyAgreement:
        """Our half of a new Diffie-Hellman agreement; :raises LookupError: unknown group."""
        return Agreement(number)
