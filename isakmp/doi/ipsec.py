"""
The IPsec domain of interpretation: DOI 1.  RFC 2407.

Situations: SIT_IDENTITY_ONLY alone (section 4.2.1); labelled ones are refused as the sections
4.2.2 and 4.2.3 want it.  Protocols: AH and ESP, alone or together, and IPComp with either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from zope.interface import implementer

from isakmp.associations import (
    Agreed,
    IPsecParameters,
    Lifetime,
    Offer,
    ProtectionSA,
    ProtectionSuite,
    SPIKey,
    Terms,
)
from isakmp.doi import responder_lifetime, selection, suites
from isakmp.doi.protocols import PROTOCOLS, normal_spi, valid_spi
from isakmp.doi.transforms import (
    CIPHERS,
    COMPRESSIONS,
    DEFAULT_LIFETIME,
    INTEGRITIES,
    Protection,
    read,
)
from isakmp.errors import (
    AttributesNotSupported,
    BadProposalSyntax,
    InvalidProtocolID,
    InvalidSPI,
    Reason,
    SituationNotSupported,
)
from isakmp.identity import Identity
from isakmp.interfaces import Effect, IExchangeType, ILifetimeNotices, INegotiatingDomain
from isakmp.numbers import DOI, Encapsulation, NotifyType, ProtocolID
from isakmp.numbers import Situation as Bits
from isakmp.paths import Path
from isakmp.wire.payloads import Delete, Notification
from isakmp.wire.proposals import Proposal, Transform
from isakmp.wire.reader import Reader

_MODES = {Encapsulation.TUNNEL: "tunnel", Encapsulation.TRANSPORT: "transport"}

SHA256_96 = "sha256_96"
"""The quirk of a child whose peer cuts HMAC-SHA-256 to 96 bits, as was done before RFC 4868."""

_COOKIES = 16  # octets of both: the SPI of an ISAKMP SA


@dataclass(frozen=True, slots=True)
class IPsecSituation:
    """
    The situation bitmap.  RFC 2407 sections 4.2 and 4.6.1.

    :ivar bits: labels would follow if there were more than :attr:`Bits.IDENTITY_ONLY`.
    """

    bits: Bits = Bits.IDENTITY_ONLY

    def encode(self) -> bytes:
        """Four octets."""
        return int(self.bits).to_bytes(4)


class KeyingMaterial(Mapping[str, bytes]):
    """
    The keys of one SA by use: ``encryption`` and ``integrity``.  Never shown.

    A dictionary of two takes four times the memory, for as long as the SA stands.
    """

    __slots__ = ("_encryption", "_integrity")

    def __init__(self, encryption: bytes, integrity: bytes) -> None:
        self._encryption = encryption
        self._integrity = integrity

    def __getitem__(self, use: str) -> bytes:
        if use == "encryption":
            return self._encryption
        if use == "integrity":
            return self._integrity
        raise KeyError(use)

    def __iter__(self) -> Iterator[str]:
        return iter(("encryption", "integrity"))

    def __len__(self) -> int:
        return 2


@implementer(INegotiatingDomain, ILifetimeNotices)
class IPsecDOI:
    """
    Implements INegotiatingDomain for RFC 2407.  Without state: :data:`ipsec` is all that is needed.
    """

    number: int = DOI.IPSEC
    name: str = "ipsec"
    phase1_situation: IPsecSituation = IPsecSituation()
    examples: Sequence[str] = (
        "aes128-sha256",
        "transport:aes256gcm16-curve25519",
        "aes256-sha1-modp2048|3des-md5-modp2048",
        "ah=sha256+esp=null-sha1",
    )
    exchange_types: Sequence[IExchangeType] = ()

    def situation(self, reader: Reader) -> IPsecSituation:
        """
        The bitmap at the head of an SA payload, which has to be SIT_IDENTITY_ONLY.

        :raises SituationNotSupported: if it is not: labels are not even looked at.
        :raises Malformed: if it is cut short.
        """
        bits = reader.u32()
        if bits != Bits.IDENTITY_ONLY:
            raise SituationNotSupported(
                Reason("situation", _situation_words(bits), _situation_words(Bits.IDENTITY_ONLY))
            )
        return self.phase1_situation

    def identity(self, kind: int, protocol: int, port: int, data: bytes) -> Identity:
        """
        What an Identification payload names.  RFC 2407 section 4.6.2.

        :raises InvalidIdentity: if its data has not the form its type asks for.
        """
        return Identity(kind, protocol, port, data).checked()

    def identification(self, identity: Identity) -> Identity:
        """The inverse of :meth:`identity`: the same, as its numbers are this domain's."""
        return identity

    def check_spi(self, protocol: int, spi: bytes) -> None:
        """
        See :func:`isakmp.doi.protocols.valid_spi`.

        :raises InvalidProtocolID: if it is none of these.
        :raises InvalidSPI: otherwise.
        """
        if protocol not in PROTOCOLS:
            known = ", ".join(ProtocolID(number).spelled for number in PROTOCOLS)
            raise InvalidProtocolID(Reason("a protocol of the IPsec DOI", str(protocol), known))
        if not valid_spi(protocol, spi):
            raise InvalidSPI(
                Reason(f"an SPI of {ProtocolID(protocol).spelled}", f"0x{spi[:16].hex()}")
            )

    def lifetime_notice(self, protocol: int, spi: bytes, lifetime: Lifetime) -> Notification:
        """See :func:`isakmp.doi.responder_lifetime.lifetime_notice`."""
        return responder_lifetime.lifetime_notice(protocol, spi, lifetime)

    def noticed_lifetime(self, notification: Notification) -> Lifetime | None:
        """See :func:`isakmp.doi.responder_lifetime.noticed_lifetime`."""
        return responder_lifetime.noticed_lifetime(notification)

    def notified(self, notification: Notification) -> Effect | None:
        """
        INITIAL-CONTACT in the format of RFC 2407 section 4.6.3.3 asks to start afresh; nothing
        else asks for anything.

        Whether its cookies are those of the SA it came under is for the caller to see.
        """
        if (
            notification.doi == self.number
            and notification.kind == NotifyType.INITIAL_CONTACT
            and notification.protocol in (ProtocolID.ISAKMP, ProtocolID.AH, ProtocolID.ESP)
            and len(notification.spi) == _COOKIES
        ):
            return Effect.START_AFRESH
        return None

    def deleted(self, delete: Delete, path: Path) -> Sequence[SPIKey]:
        """
        The SAs by which we send to the peer, each once.  RFC 2408 section 3.15: the SPIs are those
        of the sender, that is, of what it receives.

        ISAKMP SAs are the framework's.  What no SA can be called is left out.
        """
        protocol = delete.protocol
        if delete.doi != self.number or protocol not in PROTOCOLS:
            return ()
        return tuple(
            SPIKey(self.number, protocol, spi, path.remote[0])
            for spi in dict.fromkeys(
                normal_spi(protocol, spi) for spi in delete.spis if valid_spi(protocol, spi)
            )
        )

    def suite(self, spelling: str, lifetime: Lifetime) -> ProtectionSuite:
        """
        A suite as :mod:`isakmp.doi.suites` spells it.

        :raises ConfigurationError: naming the word that is not understood.
        """
        return suites.parse(spelling, lifetime)

    def spell(self, suite: ProtectionSuite) -> str:
        """Its spelling; of a suite that cannot be configured something like it.  Never raises."""
        return suites.spell(suite)

    def select(self, offered: Offer, acceptable: Offer) -> ProtectionSuite:
        """
        See :func:`isakmp.doi.selection.select`.

        :raises NoProposalChosen: with what differed.
        """
        return selection.select(offered, acceptable)

    def confirm(self, answer: Offer, offered: Offer) -> ProtectionSuite:
        """
        See :func:`isakmp.doi.selection.confirm`.

        :raises NoProposalChosen: if it is none of ours.
        """
        return selection.confirm(answer, offered)

    def terms(self, chosen: Proposal) -> Terms:
        """
        What a proposal asks for, by its first transform.

        Where nothing says how long, it is 28800 seconds (RFC 2407 section 4.5), also beside a
        bound in kilobytes.  Of algorithms that are not known here ``keymat`` is 0.

        :raises BadProposalSyntax: if there is no transform.
        :raises AttributesNotSupported: if its attributes are at fault.
        """
        if not chosen.transforms:
            raise BadProposalSyntax(f"proposal {chosen.number} has no transforms")
        reading = read(chosen.protocol, chosen.transforms[0])
        if reading.fault:
            raise AttributesNotSupported(f"proposal {chosen.number}: {reading.fault}")
        return _terms(chosen.protocol, chosen.transforms[0])

    def security_association(
        self, chosen: Proposal, spi: bytes, keymat: bytes, agreed: Agreed
    ) -> ProtectionSA:
        """
        One direction of one protocol; of the keying material the encryption key is first (RFC 2409
        section 5.5 leaves that to the protocol; every implementation of ESP does it so).

        ``keys`` has ``encryption``, with AES-GCM's salt behind the key, and ``integrity``, empty
        where there is none; ``parameters`` are :class:`isakmp.associations.IPsecParameters`.

        :param spi: the receiver's.
        :raises ValueError: if that is not possible: another number of octets, algorithms that are
            not known here, an SPI that cannot be.  A proposal that was selected or confirmed, and
            what :meth:`terms` says of it, do fit.
        """
        if not valid_spi(chosen.protocol, spi):
            raise ValueError(f"not an SPI: {spi.hex()}")
        transform = chosen.transforms[0]
        encryption, integrity = _octets(chosen.protocol, transform)
        if len(keymat) != encryption + integrity:
            raise ValueError(
                f"{len(keymat)} octets of keying material, not {encryption + integrity}"
            )
        protection = read(chosen.protocol, transform).protection
        mode = protection.mode or _usual_mode(protection, agreed.policy.suites)
        path = agreed.path
        return ProtectionSA(
            SPIKey(
                self.number,
                chosen.protocol,
                normal_spi(chosen.protocol, spi),
                path.remote[0] if agreed.outbound else path.local[0],
            ),
            KeyingMaterial(keymat[:encryption], keymat[encryption:]),
            _parameters(chosen.protocol, transform, mode, agreed.policy.quirks),
            agreed.lifetime,
        )


# The SAs of a node are of few kinds: these are made once, and shared by all of one kind.


@lru_cache(maxsize=64)
def _terms(protocol: int, transform: Transform) -> Terms:
    reading = read(protocol, transform)
    protection = reading.protection
    return Terms(
        sum(protection.octets) if protection.supported else 0,
        protection.group or None,
        Lifetime(
            reading.lifetime.seconds or DEFAULT_LIFETIME,
            reading.lifetime.kilobytes,
        ),
    )


@lru_cache(maxsize=64)
def _octets(protocol: int, transform: Transform) -> tuple[int, int]:
    return read(protocol, transform).protection.octets


@lru_cache(maxsize=64)
def _parameters(
    protocol: int, transform: Transform, mode: int, quirks: frozenset[str]
) -> IPsecParameters:
    protection = read(protocol, transform).protection
    if mode not in _MODES:
        raise ValueError(f"encapsulation mode {mode} is not known here")
    number = protection.transform_id
    integrity = INTEGRITIES[protection.integrity].name if protection.integrity else "none"
    if SHA256_96 in quirks and integrity == "hmac-sha2-256-128":
        integrity = "hmac-sha2-256-96"
    return IPsecParameters(
        _MODES[Encapsulation(mode)],
        CIPHERS[number].name if protection.protocol == ProtocolID.ESP else "none",
        integrity,
        COMPRESSIONS[number] if protection.protocol == ProtocolID.IPCOMP else "none",
        bool(protection.extended),
        protection.group,
    )


def _usual_mode(protection: Protection, configured: Sequence[ProtectionSuite]) -> int:
    """Where the peer left the mode to the host: what is configured for such an SA."""
    return next(
        (
            ours.mode
            for suite in configured
            for proposal in suite.proposals
            for transform in proposal.transforms
            if (ours := read(proposal.protocol, transform).protection).accepts(protection)
        ),
        Encapsulation.TUNNEL,
    )


def _situation_words(bits: int) -> str:
    """``SIT_IDENTITY_ONLY+SIT_SECRECY``; bits without a name in hexadecimal."""
    words = [f"SIT_{bit.name}" for bit in Bits if bits & bit]
    unknown = bits & ~sum(Bits)
    if unknown or not words:
        words.append(f"0x{unknown:08x}")
    return "+".join(words)


ipsec = IPsecDOI()
"""The plug-in."""
