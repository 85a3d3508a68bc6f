"""
What one transform of the IPsec DOI asks for: its algorithms, and its attributes read.

RFC 2407 sections 4.4.3 to 4.5.2, RFC 2451, RFC 3173 section 4.1, RFC 3566, RFC 3602 section 5,
RFC 3686 section 5, RFC 4106 section 8, RFC 4304, RFC 4309, RFC 4312, RFC 4543, RFC 4868.

RFC 2407 section 4.5.3 would have a whole negotiation end at one attribute that is not supported;
RFC 2408 section 5.6 says that such a transform is ignored, which is what alternatives are for and
what every implementation does.  So here only *contradictory* attributes (section 4.5.2) end it; any
other fault makes its transform unacceptable, and the next one is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from isakmp.associations import Lifetime
from isakmp.departures import BASIC_AS_VARIABLE, NONE, Departures
from isakmp.numbers import (
    AHTransform,
    AuthenticationAlgorithm,
    ESPTransform,
    IPCOMPTransform,
    IPsecAttribute,
    LifeType,
    ProtocolID,
)
from isakmp.wire.attributes import Attribute
from isakmp.wire.proposals import Transform

LONGEST = 2**32 - 1
"""The longest lifetime that is told apart, in seconds or kilobytes; more counts as this."""

_EXTENDED = 1
"""Sequence numbers of 64 bits: the one value of that attribute.  RFC 4304 section 2."""

MAX_DURATION = 8
"""The most octets of a Life Duration that are read as a number."""

DEFAULT_LIFETIME = 28800
"""Seconds, if a transform does not say.  RFC 2407 section 4.5."""

_VARIABLE = frozenset(
    {
        IPsecAttribute.SA_LIFE_DURATION,
        IPsecAttribute.COMPRESS_PRIVATE_ALGORITHM,
        IPsecAttribute.SECURITY_CONTEXT,
    }
)


@dataclass(frozen=True, slots=True)
class Cipher:
    """
    An encryption algorithm of ESP.

    :ivar name: what sinks call it.
    :ivar words: how configurations spell it; ``{}`` stands for the key length; the first is ours.
    :ivar lengths: the key lengths in bits that Key Length may say; (0,) if it must not be sent.
    :ivar usual: bits where a peer does not say; 0: it has to say.
    :ivar fixed: octets of key where the length is fixed.
    :ivar salt: octets of keying material after the key.
    :ivar combined: whether it authenticates as well.
    """

    name: str
    words: tuple[str, ...]
    lengths: tuple[int, ...] = (0,)
    usual: int = 0
    fixed: int = 0
    salt: int = 0
    combined: bool = False

    def octets(self, bits: int) -> int:
        """Keying material it takes, the salt included, with a key of so many bits."""
        return (bits // 8 or self.fixed) + self.salt


@dataclass(frozen=True, slots=True)
class Integrity:
    """
    An authentication algorithm of ESP and AH.

    :ivar name: what sinks call it.
    :ivar words: how configurations spell it; the first is ours.
    :ivar octets: of its key.
    :ivar transform: the AH transform it belongs to (RFC 2407 section 4.4.3).
    """

    name: str
    words: tuple[str, ...]
    octets: int
    transform: AHTransform


_AES = (128, 192, 256)


def _combined(mode: str, icv: int, salt: int) -> Cipher:
    # RFC 4106 section 8.1, RFC 4309 section 7.1: so many octets of salt follow the key.
    words = (f"aes{{}}{mode}{icv}", f"aes{{}}{mode}{icv * 8}")
    return Cipher(f"aes-{mode}-{icv}", words, _AES, salt=salt, combined=True)


CIPHERS: Mapping[int, Cipher] = MappingProxyType(
    {
        ESPTransform.DES: Cipher("des-cbc", ("des",), fixed=8),
        ESPTransform.TRIPLE_DES: Cipher("3des-cbc", ("3des",), fixed=24),
        # RFC 2451 section 2.4: both take keys of many lengths, and 128 bits unless that is said.
        ESPTransform.CAST: Cipher("cast-cbc", ("cast{}",), (128,), usual=128),
        ESPTransform.BLOWFISH: Cipher("blowfish-cbc", ("blowfish{}",), _AES, usual=128),
        ESPTransform.NULL: Cipher("null", ("null",)),
        # RFC 3602 section 5.3 has it said always; those who do not say it mean 128.
        ESPTransform.AES_CBC: Cipher("aes-cbc", ("aes{}",), _AES, usual=128),
        # RFC 3686 section 5.1: four octets of nonce follow the key.
        ESPTransform.AES_CTR: Cipher("aes-ctr", ("aes{}ctr",), _AES, salt=4),
        ESPTransform.AES_CCM_8: _combined("ccm", 8, 3),
        ESPTransform.AES_CCM_12: _combined("ccm", 12, 3),
        ESPTransform.AES_CCM_16: _combined("ccm", 16, 3),
        ESPTransform.AES_GCM_8: _combined("gcm", 8, 4),
        ESPTransform.AES_GCM_12: _combined("gcm", 12, 4),
        ESPTransform.AES_GCM_16: _combined("gcm", 16, 4),
        ESPTransform.CAMELLIA: Cipher("camellia-cbc", ("camellia{}",), _AES),
        # RFC 4543: it authenticates and encrypts nothing.
        ESPTransform.NULL_AUTH_AES_GMAC: Cipher(
            "aes-gmac", ("aes{}gmac",), _AES, salt=4, combined=True
        ),
    }
)
"""What ESP can encrypt with here, by transform identifier."""

COMPRESSIONS: Mapping[int, str] = MappingProxyType({IPCOMPTransform.DEFLATE: "deflate"})
"""What IPComp can compress with here: its name, by transform identifier.  RFC 2394."""

INTEGRITIES: Mapping[int, Integrity] = MappingProxyType(
    {
        AuthenticationAlgorithm.HMAC_MD5: Integrity("hmac-md5-96", ("md5",), 16, AHTransform.MD5),
        AuthenticationAlgorithm.HMAC_SHA: Integrity(
            "hmac-sha1-96", ("sha1", "sha"), 20, AHTransform.SHA
        ),
        AuthenticationAlgorithm.HMAC_SHA2_256: Integrity(
            "hmac-sha2-256-128", ("sha256", "sha2_256"), 32, AHTransform.SHA2_256
        ),
        AuthenticationAlgorithm.HMAC_SHA2_384: Integrity(
            "hmac-sha2-384-192", ("sha384", "sha2_384"), 48, AHTransform.SHA2_384
        ),
        AuthenticationAlgorithm.HMAC_SHA2_512: Integrity(
            "hmac-sha2-512-256", ("sha512", "sha2_512"), 64, AHTransform.SHA2_512
        ),
        AuthenticationAlgorithm.AES_XCBC_MAC: Integrity(
            "aes-xcbc-96", ("aesxcbc",), 16, AHTransform.AES_XCBC_MAC
        ),
    }
)
"""What ESP and AH can authenticate with here, by Authentication Algorithm."""


@dataclass(frozen=True, slots=True)
class Protection:
    """
    What a transform asks for, whatever the order and format of its attributes.

    Two that are equal ask for the same.  0 stands for what is not said.

    :ivar key_length: bits.
    :ivar integrity: Authentication Algorithm.
    :ivar mode: Encapsulation Mode.
    :ivar group: Group Description.
    :ivar extended: Extended (64-bit) Sequence Number: RFC 4304.
    :ivar others: attributes that mean nothing here, by type, with their values.
    """

    protocol: int
    transform_id: int
    key_length: int = 0
    integrity: int = 0
    mode: int = 0
    group: int = 0
    extended: int = 0
    others: tuple[tuple[int, bytes], ...] = ()

    @property
    def supported(self) -> bool:
        """Whether it is made of algorithms known here, in a combination that protects."""
        integrity = INTEGRITIES.get(self.integrity)
        if self.others or (self.integrity and integrity is None):
            return False
        if self.protocol == ProtocolID.IPCOMP:
            said = self.key_length or self.integrity or self.extended
            return self.transform_id in COMPRESSIONS and not said
        if self.protocol == ProtocolID.AH:
            return (
                integrity is not None
                and integrity.transform == self.transform_id
                and not self.key_length
            )
        cipher = CIPHERS.get(self.transform_id) if self.protocol == ProtocolID.ESP else None
        if cipher is None or self.key_length not in cipher.lengths:
            return False
        return cipher.combined is (integrity is None)

    @property
    def octets(self) -> tuple[int, int]:
        """
        Octets of keying material for encryption and for integrity, in this order.

        :raises ValueError: if it is not :attr:`supported`.
        """
        if not self.supported:
            raise ValueError(f"no keys are known for {self}")
        integrity = INTEGRITIES.get(self.integrity)
        cipher = CIPHERS.get(self.transform_id) if self.protocol == ProtocolID.ESP else None
        return (
            cipher.octets(self.key_length) if cipher else 0,
            integrity.octets if integrity else 0,
        )

    def accepts(self, offered: Protection) -> bool:
        """
        Whether what a peer offers is this.

        An offer without encapsulation mode leaves that to the host (RFC 2407 section 4.5), so then
        ours counts.
        """
        return (
            self.transform_id == offered.transform_id
            and self.key_length == offered.key_length
            and self.integrity == offered.integrity
            and self.group == offered.group
            and self.extended == offered.extended
            and self.protocol == offered.protocol
            and offered.mode in (0, self.mode)
            and self.others == offered.others
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """
    A transform, read.

    :ivar lifetime: as far as it is said.
    :ivar fault: what is wrong with its attributes; empty: nothing.
    :ivar contradictory: whether they say two different things: the offer is refused as a whole.
    :ivar departures: what whoever takes it has to overlook: see :mod:`isakmp.departures`.
    """

    transform: Transform
    protection: Protection
    lifetime: Lifetime
    fault: str = ""
    contradictory: bool = False
    departures: Departures = NONE


@lru_cache(maxsize=256)
def read(protocol: int, transform: Transform) -> Reading:
    """
    What a transform asks for.  Never raises: faults are part of what is returned.

    An attribute may stand twice, if both say the same (RFC 2407 section 4.5.2).  A variable one may
    be in either format, a basic one only in the TV format (section 4.5), or the transform departs.
    A Life Duration needs a Life Type before it.  A duration of 0 counts as not said, one that is
    absurdly long as :data:`LONGEST`.
    """
    collected = _Collected()
    for attribute in transform.attributes:
        collected.add(attribute)
    values, faults = collected.values, collected.faults
    bits = values.pop(IPsecAttribute.KEY_LENGTH, 0)
    if not bits and protocol == ProtocolID.ESP and transform.transform_id in CIPHERS:
        bits = CIPHERS[transform.transform_id].usual
    # IPComp takes no key: a group beside it says nothing, and strongSwan says none.
    group = values.pop(IPsecAttribute.GROUP_DESCRIPTION, 0)
    protection = Protection(
        protocol,
        transform.transform_id,
        bits,
        values.pop(IPsecAttribute.AUTHENTICATION_ALGORITHM, 0),
        values.pop(IPsecAttribute.ENCAPSULATION_MODE, 0),
        group if protocol != ProtocolID.IPCOMP else 0,
        values.pop(IPsecAttribute.EXTENDED_SEQUENCE_NUMBER, 0),
        tuple(sorted(collected.others.items())),
    )
    durations = collected.durations
    lifetime = Lifetime(durations.get(LifeType.SECONDS, 0), durations.get(LifeType.KILOBYTES, 0))
    # RFC 2408 section 5.6: a transform that is not known is ignored, whatever it says.
    table = _TABLES.get(protocol)
    known = table is not None and table(transform.transform_id).assigned
    return Reading(
        transform,
        protection,
        lifetime,
        faults[0] if faults else "",
        collected.contradictory and known,
        frozenset(collected.departures),
    )


_TABLES: Mapping[int, type[ESPTransform | AHTransform | IPCOMPTransform]] = MappingProxyType(
    {
        ProtocolID.ESP: ESPTransform,
        ProtocolID.AH: AHTransform,
        ProtocolID.IPCOMP: IPCOMPTransform,
    }
)

_UNDERSTOOD = frozenset(
    {
        IPsecAttribute.KEY_LENGTH,
        IPsecAttribute.AUTHENTICATION_ALGORITHM,
        IPsecAttribute.ENCAPSULATION_MODE,
        IPsecAttribute.GROUP_DESCRIPTION,
        IPsecAttribute.EXTENDED_SEQUENCE_NUMBER,
    }
)


class _Collected:
    """The attributes of one transform, while they are read."""

    def __init__(self) -> None:
        self.values: dict[int, int] = {}
        self.others: dict[int, bytes] = {}
        self.durations: dict[int, int] = {}
        self.faults: list[str] = []
        self.departures: set[str] = set()
        self.contradictory = False
        self._unit = 0

    def add(self, attribute: Attribute) -> None:
        kind = attribute.kind
        if kind == IPsecAttribute.SA_LIFE_DURATION:
            self._duration(attribute.value)
            return
        if not attribute.basic and kind not in _VARIABLE and IPsecAttribute(kind).assigned:
            if not 1 <= len(attribute.value) <= MAX_DURATION or attribute.number > 0xFFFF:
                self._fault(kind, "is basic, and was encoded as variable")
                return
            self.departures.add(BASIC_AS_VARIABLE)
        if kind == IPsecAttribute.SA_LIFE_TYPE:
            self._unit = attribute.number
            if self._unit not in (LifeType.SECONDS, LifeType.KILOBYTES):
                self._fault(kind, f"has the unknown value {self._unit}")
        elif kind in _UNDERSTOOD:
            number = attribute.number
            if not number:
                self._fault(kind, "has the reserved value 0")
            elif kind == IPsecAttribute.EXTENDED_SEQUENCE_NUMBER and number != _EXTENDED:
                self._fault(kind, f"has the unknown value {number}")
            if self.values.setdefault(kind, number) != number:
                self._contradiction(kind)
        else:
            value = attribute.value.lstrip(b"\0")  # the same in either format
            if self.others.setdefault(kind, value) != value:
                self._contradiction(kind)

    def _duration(self, value: bytes) -> None:
        kind = IPsecAttribute.SA_LIFE_DURATION
        if not self._unit:
            self._fault(kind, "stands without SA Life Type before it")
        elif not value:
            self._fault(kind, "is empty")
        elif len(value) > MAX_DURATION:
            self._fault(kind, f"has {len(value)} octets")
        else:
            number = min(int.from_bytes(value), LONGEST)
            if self.durations.setdefault(self._unit, number) != number:
                self._contradiction(kind)

    def _contradiction(self, kind: int) -> None:
        self.faults.insert(0, f"{IPsecAttribute(kind).spelled} is said twice, differently")
        self.contradictory = True

    def _fault(self, kind: int, what: str) -> None:
        self.faults.append(f"{IPsecAttribute(kind).spelled} {what}")
