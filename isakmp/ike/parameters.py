"""
What IKE's own SA is made of: the attributes of a phase-1 transform.  RFC 2409 appendix A.

A suite is spelled as in ``swanctl.conf``: ``aes128-sha256-modp2048``.  In an offer all suites are
transforms of one proposal, because RFC 2409 section 5 allows no other form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from isakmp.associations import Lifetime, ProtectionSuite
from isakmp.connections import Connection
from isakmp.crypto.ciphers import key_length
from isakmp.crypto.groups import GROUPS
from isakmp.crypto.prf import Prf, hash_algorithm, prf
from isakmp.departures import BASIC_AS_VARIABLE, KEY_LENGTH_FIRST, NONE, Departures
from isakmp.errors import AttributesNotSupported, ConfigurationError, Reason
from isakmp.numbers import (
    AuthenticationMethod,
    Encryption,
    Group,
    HashAlgorithm,
    ISAKMPTransform,
    LifeType,
    Number,
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

# What stands first in the tables above is how it is written here.
_CIPHER_WORDS = {
    (number, key_length(number, bits)): word for word, (number, bits) in reversed(_CIPHERS.items())
}
_HASH_WORDS = {number: word for word, number in reversed(_HASHES.items())}

_NEEDED = (
    Phase1Attribute.ENCRYPTION_ALGORITHM,
    Phase1Attribute.HASH_ALGORITHM,
    Phase1Attribute.GROUP_DESCRIPTION,
    Phase1Attribute.AUTHENTICATION_METHOD,
)
# Neither PRF, for which no value was ever assigned (RFC 2409 section 4: another prf than HMAC), nor
# the attributes of a group of one's own, which must not stand beside a Group Description.
_BASIC = frozenset({*_NEEDED, Phase1Attribute.KEY_LENGTH, Phase1Attribute.LIFE_TYPE})
_LENGTH = int(Phase1Attribute.KEY_LENGTH)
_UNITS = (LifeType.SECONDS, LifeType.KILOBYTES)
_MAX_DURATION = 8  # octets of a Life Duration that are read as a number
_LONGEST = 2**32 - 1  # a longer life counts as this


@dataclass(frozen=True, slots=True)
class Parameters:
    """
    The algorithms of one ISAKMP SA.

    :ivar encryption: RFC 2409 appendix A's number; so are ``hash``, ``group``, ``authentication``.
    :ivar departures: what whoever takes this has to overlook: see :mod:`isakmp.departures`.
    :ivar key_bits: None for a cipher with one length of key, and where the offer did not say.
    """

    encryption: int
    key_bits: int | None
    hash: int
    group: int
    authentication: int
    lifetime: Lifetime = Lifetime()
    departures: Departures = field(default=NONE, compare=False)

    @property
    def algorithms(self) -> tuple[tuple[int, int], int, int, int]:
        """
        What must be equal for an offer to be acceptable: cipher with the octets of its key, hash,
        group and authentication; not the lifetime.
        """
        octets = _key_length(self.encryption, self.key_bits)
        return (self.encryption, octets), self.hash, self.group, self.authentication

    @property
    def prf(self) -> Prf:
        """HMAC of the hash; :raises LookupError: if it is not supported."""
        return _prf(self.hash)

    @classmethod
    def parse(cls, spelling: str, authentication: int, lifetime: Lifetime) -> Parameters:
        """
        From a configuration.

        :raises ConfigurationError: naming the word that is not understood, and those that are.
        """
        encryption: tuple[int, int | None] | None = None
        found: dict[str, int] = {}
        for word in spelling.lower().split("-"):
            hashed = word.removeprefix("prf")
            if word in _CIPHERS and encryption is None:
                encryption = _CIPHERS[word]
            elif word in _HASHES and "hash" not in found:
                found["hash"] = _HASHES[word]
            elif word in _GROUPS and "group" not in found:
                found["group"] = _GROUPS[word]
            elif hashed != word and hashed in _HASHES and "prf" not in found:
                found["prf"] = _HASHES[hashed]
            else:
                valid = ", ".join((*_CIPHERS, *_HASHES, *_GROUPS))
                raise ConfigurationError(
                    f"{spelling!r}: {word!r} is not known, or one too many; known are {valid}"
                )
        missing = [
            name
            for name, there in (
                ("cipher", encryption is not None),
                ("hash", "hash" in found),
                ("Diffie-Hellman group", "group" in found),
            )
            if not there
        ]
        if encryption is None or missing:
            raise ConfigurationError(f"{spelling!r} names no {' and no '.join(missing)}")
        if found.get("prf", found["hash"]) != found["hash"]:
            # RFC 2409 section 4 has no other.
            raise ConfigurationError(f"{spelling!r}: the prf of IKEv1 is that of its hash")
        return cls(*encryption, found["hash"], found["group"], authentication, lifetime)

    @classmethod
    def read(cls, transform: Transform) -> Parameters:
        """
        From an offered transform; the order of its attributes does not matter.

        :raises AttributesNotSupported: if one is unknown, said twice, missing, of the wrong form,
            or of a value that cannot be served here.
        """
        return _read(transform)

    @classmethod
    def _read(cls, transform: Transform) -> Parameters:
        values: dict[int, int] = {}
        life: dict[int, int] = {}
        departures: set[str] = set()
        unit = 0
        for attribute in transform.attributes:
            kind = attribute.kind
            if kind == Phase1Attribute.LIFE_DURATION:
                if not unit:
                    raise _refusal("stands without a Life Type before it", kind)
                if not 1 <= len(attribute.value) <= _MAX_DURATION:
                    raise _refusal(f"has {len(attribute.value)} octets", kind)
                if unit in life:
                    raise _refusal("is said twice", kind)
                life[unit] = min(attribute.number, _LONGEST)
                unit = 0
                continue
            if kind not in _BASIC:
                raise _refusal("is not supported", kind)
            if not attribute.basic:
                octets = len(attribute.value)
                if not 1 <= octets <= _MAX_DURATION or attribute.number > 0xFFFF:
                    raise _refusal("is basic, and was encoded as variable", kind)
                departures.add(BASIC_AS_VARIABLE)
            if kind in values or (unit and kind == Phase1Attribute.LIFE_TYPE):
                raise _refusal("is said twice", kind)
            if kind == Phase1Attribute.LIFE_TYPE:
                unit = attribute.number
                if unit not in _UNITS:
                    raise _refusal(f"has the unknown value {unit}", kind)
            else:
                if kind == Phase1Attribute.ENCRYPTION_ALGORITHM and _LENGTH in values:
                    departures.add(KEY_LENGTH_FIRST)
                values[kind] = attribute.number
        for kind in _NEEDED:
            if kind not in values:
                raise _refusal("is missing", kind)
        encryption, hash_, group, authentication = (values[kind] for kind in _NEEDED)
        bits = values.get(Phase1Attribute.KEY_LENGTH)
        lifetime = Lifetime(life.get(LifeType.SECONDS, 0), life.get(LifeType.KILOBYTES, 0))
        departed = frozenset(departures) if departures else NONE
        found = cls(encryption, bits, hash_, group, authentication, lifetime, departed)
        try:
            key_length(encryption, bits)
            hash_algorithm(hash_)
        except (LookupError, ValueError) as error:
            raise AttributesNotSupported(Reason(error.args[0], found.spelled)) from None
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
        return "-".join((self._cipher, self._hash, self._group))

    def __str__(self) -> str:
        return self.spelled

    def difference(self, other: Parameters) -> str:
        """Which attributes differ from another's, in words: ours first."""
        ours, theirs = (AuthenticationMethod(p.authentication) for p in (self, other))
        pairs = (
            ("cipher", self._cipher, other._cipher),
            ("hash", self._hash, other._hash),
            ("group", self._group, other._group),
            ("authentication", ours.spelled, theirs.spelled),
        )
        return ", ".join(f"{name} {a} against {b}" for name, a, b in pairs if a != b)

    @property
    def _cipher(self) -> str:
        try:
            return _CIPHER_WORDS[self.encryption, key_length(self.encryption, self.key_bits)]
        except (LookupError, ValueError):
            word = _word(Encryption(self.encryption))
            return f"{word}_{self.key_bits}" if self.key_bits else word

    @property
    def _hash(self) -> str:
        return _HASH_WORDS.get(self.hash) or _word(HashAlgorithm(self.hash))

    @property
    def _group(self) -> str:
        known = GROUPS.get(self.group)
        return known.name if known else _word(Group(self.group))


def _word(number: Number) -> str:
    """A name of the registry as one word: hyphens separate words."""
    return number.spelled.lower().replace("-", "_").replace(" ", "_")


def _refusal(what: str, kind: int) -> AttributesNotSupported:
    return AttributesNotSupported(Reason(f"{Phase1Attribute(kind).spelled} {what}"))


# Every peer of one make offers the same.
_prf = lru_cache(maxsize=16)(prf)
_key_length = lru_cache(maxsize=64)(key_length)
_read = lru_cache(maxsize=1024)(Parameters._read)


@dataclass(frozen=True, slots=True)
class Choices:
    """
    What a connection takes, understood.

    :ivar parameters: by preference.
    :ivar algorithms: of all of them.
    """

    parameters: tuple[Parameters, ...]
    algorithms: frozenset[tuple[tuple[int, int], int, int, int]]


_choices: dict[int, tuple[Connection, Choices]] = {}
# By the connection's identity, because its hash takes longer than its choices; it is kept with
# them, so that no other can have its identity.
_MAX_CHOICES = 4096


def choices(connection: Connection) -> Choices:
    """What a connection takes.  It is asked for with every fact that is learned of a stranger."""
    known = _choices.get(id(connection))
    if known is not None:
        return known[1]
    parameters = tuple(
        Parameters.read(transform)
        for suite in connection.suites
        for proposal in suite.proposals
        for transform in proposal.transforms
    )
    made = Choices(parameters, frozenset(p.algorithms for p in parameters))
    if len(_choices) >= _MAX_CHOICES:
        _choices.clear()
    _choices[id(connection)] = connection, made
    return made


def configured(connection: Connection) -> tuple[Parameters, ...]:
    """What a connection takes, by preference."""
    return choices(connection).parameters


def proposal_of(choices: Sequence[Parameters]) -> Proposal:
    """One proposal with all choices as its transforms.  RFC 2409 section 5."""
    transforms = tuple(
        Transform(number, KEY_IKE, choice.attributes()) for number, choice in enumerate(choices, 1)
    )
    return Proposal(1, ProtocolID.ISAKMP, b"", transforms)
