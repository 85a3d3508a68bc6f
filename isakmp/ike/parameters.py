"""
What IKE's own SA is made of: the attributes of a phase-1 transform.  RFC 2409 appendix A.

A suite is spelled as in ``swanctl.conf``: ``aes128-sha256-modp2048``.  In an offer all suites are
transforms of one proposal, because RFC 2409 section 5 allows no other form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isakmp.associations import Lifetime, ProtectionSuite
from isakmp.connections import Connection
from isakmp.crypto.ciphers import key_length
from isakmp.crypto.groups import GROUPS
from isakmp.crypto.prf import hash_algorithm
from isakmp.errors import AttributesNotSupported, ConfigurationError, Reason
from isakmp.numbers import (
    AuthenticationMethod,
    Encryption,
    Group,
    HashAlgorithm,
    ISAKMPTransform,
    LifeType,
    Phase1Attribute,
    ProtocolID,
)
from isakmp.wire.attributes import Attribute
from isakmp.wire.proposals import Proposal, Transform

KEY_IKE = int(ISAKMPTransform.KEY_IKE)

_CIPHERS: dict[str, tuple[int, int | None]] = {
    "des": (Encryption.DES_CBC, None),
    "3des": (Encryption.TRIPLE_DES_CBC, None),
    "idea": (Encryption.IDEA_CBC, None),
    "cast128": (Encryption.CAST_CBC, 128),
    **{f"aes{bits}": (Encryption.AES_CBC, bits) for bits in (128, 192, 256)},
    **{f"blowfish{bits}": (Encryption.BLOWFISH_CBC, bits) for bits in (128, 192, 256)},
    **{f"camellia{bits}": (Encryption.CAMELLIA_CBC, bits) for bits in (128, 192, 256)},
    "aes": (Encryption.AES_CBC, 128),
}
_HASHES: dict[str, int] = {
    "md5": HashAlgorithm.MD5,
    "sha1": HashAlgorithm.SHA,
    "sha": HashAlgorithm.SHA,
    "sha256": HashAlgorithm.SHA2_256,
    "sha2_256": HashAlgorithm.SHA2_256,
    "sha384": HashAlgorithm.SHA2_384,
    "sha2_384": HashAlgorithm.SHA2_384,
    "sha512": HashAlgorithm.SHA2_512,
    "sha2_512": HashAlgorithm.SHA2_512,
}
_GROUPS: dict[str, int] = {
    **{group.name: number for number, group in GROUPS.items()},
    "x25519": Group.CURVE25519,
    "x448": Group.CURVE448,
}

_BASIC = frozenset(
    {
        Phase1Attribute.ENCRYPTION_ALGORITHM,
        Phase1Attribute.HASH_ALGORITHM,
        Phase1Attribute.AUTHENTICATION_METHOD,
        Phase1Attribute.GROUP_DESCRIPTION,
        Phase1Attribute.GROUP_TYPE,
        Phase1Attribute.LIFE_TYPE,
        Phase1Attribute.PRF,
        Phase1Attribute.KEY_LENGTH,
    }
)
_KNOWN = _BASIC | {Phase1Attribute.LIFE_DURATION}


@dataclass(frozen=True, slots=True)
class Parameters:
    """
    The algorithms of one ISAKMP SA.

    :ivar encryption: RFC 2409 appendix A's number; so are ``hash``, ``group``, ``authentication``.
    :ivar key_bits: None for a cipher with one length of key, and where the offer did not say.
    """

    encryption: int
    key_bits: int | None
    hash: int
    group: int
    authentication: int
    lifetime: Lifetime = Lifetime()

    @property
    def algorithms(self) -> tuple[int, int, int, int, int]:
        """What must be equal for an offer to be acceptable: not the lifetime."""
        octets = key_length(self.encryption, self.key_bits)
        return self.encryption, octets, self.hash, self.group, self.authentication

    @classmethod
    def parse(cls, spelling: str, authentication: int, lifetime: Lifetime) -> Parameters:
        """
        From a configuration.

        :raises ConfigurationError: naming the word that is not understood, and those that are.
        """
        encryption: tuple[int, int | None] | None = None
        found: dict[str, int] = {}
        for word in spelling.lower().split("-"):
            if word in _CIPHERS and encryption is None:
                encryption = _CIPHERS[word]
            elif word in _HASHES and "hash" not in found:
                found["hash"] = _HASHES[word]
            elif word in _GROUPS and "group" not in found:
                found["group"] = _GROUPS[word]
            elif word.removeprefix("prf") in _HASHES and word.startswith("prf"):
                # IKEv1's prf is the HMAC of its hash: RFC 2409 section 4 has no other.
                if found.get("hash") != _HASHES[word.removeprefix("prf")]:
                    raise ConfigurationError(f"{spelling!r}: the prf of IKEv1 is that of its hash")
            else:
                valid = ", ".join((*_CIPHERS, *_HASHES, *_GROUPS))
                raise ConfigurationError(
                    f"{spelling!r}: {word!r} is not known, or one too many; known are {valid}"
                )
        if encryption is None or len(found) != 2:
            missing = [
                name
                for name, there in (
                    ("cipher", encryption is not None),
                    ("hash", "hash" in found),
                    ("Diffie-Hellman group", "group" in found),
                )
                if not there
            ]
            raise ConfigurationError(f"{spelling!r} names no {' and no '.join(missing)}")
        return cls(*encryption, found["hash"], found["group"], authentication, lifetime)

    @classmethod
    def read(cls, transform: Transform) -> Parameters:
        """
        From an offered transform; the order of its attributes does not matter.

        :raises AttributesNotSupported: if one is unknown, said twice, missing, of the wrong form,
            or of a value that cannot be served here.
        """
        values: dict[int, int] = {}
        seconds = kilobytes = 0
        life_type = 0
        for attribute in transform.attributes:
            kind = attribute.kind
            name = Phase1Attribute(kind).spelled
            if kind not in _KNOWN:
                raise AttributesNotSupported(Reason("unknown attribute", name))
            if kind in _BASIC and not attribute.basic:
                raise AttributesNotSupported(Reason("a basic attribute of variable length", name))
            if kind == Phase1Attribute.LIFE_TYPE:
                life_type = attribute.number
            elif kind == Phase1Attribute.LIFE_DURATION:
                if len(attribute.value) > 8 or not life_type:
                    raise AttributesNotSupported(Reason("life duration without a type, or endless"))
                if life_type == LifeType.SECONDS:
                    seconds = attribute.number
                elif life_type == LifeType.KILOBYTES:
                    kilobytes = attribute.number
                life_type = 0
            elif kind in values:
                raise AttributesNotSupported(Reason("an attribute said twice", name))
            else:
                values[kind] = attribute.number
        needed = (
            Phase1Attribute.ENCRYPTION_ALGORITHM,
            Phase1Attribute.HASH_ALGORITHM,
            Phase1Attribute.GROUP_DESCRIPTION,
            Phase1Attribute.AUTHENTICATION_METHOD,
        )
        for kind in needed:
            if kind not in values:
                raise AttributesNotSupported(Reason("a missing attribute", kind.spelled))
        encryption, hash_, group, authentication = (values[kind] for kind in needed)
        found = cls(
            encryption,
            values.get(Phase1Attribute.KEY_LENGTH),
            hash_,
            group,
            authentication,
            Lifetime(seconds, kilobytes),
        )
        try:
            key_length(encryption, found.key_bits)
            hash_algorithm(hash_)
        except (LookupError, ValueError) as error:
            raise AttributesNotSupported(Reason(str(error).strip("'"), found.spelled)) from None
        if group not in GROUPS:
            raise AttributesNotSupported(Reason("a group not supported here", found.spelled))
        return found

    def attributes(self) -> tuple[Attribute, ...]:
        """As they stand in a transform."""
        said = [(Phase1Attribute.ENCRYPTION_ALGORITHM, self.encryption)]
        if self.key_bits is not None:
            said.append((Phase1Attribute.KEY_LENGTH, self.key_bits))
        said += [
            (Phase1Attribute.HASH_ALGORITHM, self.hash),
            (Phase1Attribute.GROUP_DESCRIPTION, self.group),
            (Phase1Attribute.AUTHENTICATION_METHOD, self.authentication),
        ]
        attributes = [Attribute.tv(kind, value) for kind, value in said]
        for kind, amount in (
            (LifeType.SECONDS, self.lifetime.seconds),
            (LifeType.KILOBYTES, self.lifetime.kilobytes),
        ):
            if amount:
                attributes.append(Attribute.tv(Phase1Attribute.LIFE_TYPE, kind))
                duration = Phase1Attribute.LIFE_DURATION
                attributes.append(
                    Attribute.tv(duration, amount)
                    if amount < 0x10000
                    else Attribute.tlv(duration, amount)
                )
        return tuple(attributes)

    def suite(self) -> ProtectionSuite:
        """A suite of this one choice."""
        transform = Transform(1, KEY_IKE, self.attributes())
        return ProtectionSuite((Proposal(1, ProtocolID.ISAKMP, b"", (transform,)),))

    @property
    def spelled(self) -> str:
        """As a configuration spells it; readable also for what cannot be configured."""
        hashes = {number: name for name, number in reversed(_HASHES.items())}
        groups = {number: group.name for number, group in GROUPS.items()}
        words = [
            _spelled_cipher(self.encryption, self.key_bits),
            hashes.get(self.hash, HashAlgorithm(self.hash).spelled),
            groups.get(self.group, Group(self.group).spelled),
        ]
        return "-".join(words)

    def difference(self, other: Parameters) -> str:
        """Which attributes differ from another's, in words: ours first."""
        method = AuthenticationMethod
        pairs = (
            ("cipher", self._cipher, other._cipher),
            ("hash", HashAlgorithm(self.hash).spelled, HashAlgorithm(other.hash).spelled),
            ("group", Group(self.group).spelled, Group(other.group).spelled),
            (
                "authentication",
                method(self.authentication).spelled,
                method(other.authentication).spelled,
            ),
        )
        return ", ".join(f"{name} {a} against {b}" for name, a, b in pairs if a != b)

    @property
    def _cipher(self) -> str:
        return _spelled_cipher(self.encryption, self.key_bits)


def _spelled_cipher(encryption: int, bits: int | None) -> str:
    for word, (number, length) in _CIPHERS.items():
        if number == encryption and length == bits:
            return word
    name = Encryption(encryption).spelled.lower()
    return f"{name}_{bits}" if bits else name


def configured(connection: Connection) -> tuple[Parameters, ...]:
    """What a connection takes, by preference."""
    return tuple(
        Parameters.read(transform)
        for suite in connection.suites
        for proposal in suite.proposals
        for transform in proposal.transforms
    )


def proposal_of(choices: Sequence[Parameters]) -> Proposal:
    """One proposal with all choices as its transforms.  RFC 2409 section 5."""
    transforms = tuple(
        Transform(number, KEY_IKE, choice.attributes()) for number, choice in enumerate(choices, 1)
    )
    return Proposal(1, ProtocolID.ISAKMP, b"", transforms)
