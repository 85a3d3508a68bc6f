"""
Bad input for every rule of RFC 2408 section 5, as a peer or somebody on the wire can send it.

Each :class:`Bad` is thrown at one of two real nodes while an exchange between them runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from isakmp import errors
from isakmp.associations import Lifetime, Offer, ProtectionSuite
from isakmp.doi.ipsec import ipsec
from isakmp.errors import PeerError
from isakmp.exchange.phase1 import offer_of
from isakmp.identity import TrafficSelector
from isakmp.numbers import DOI, ExchangeType, IPsecAttribute, Phase1Attribute, ProtocolID
from isakmp.testing.credentials import NUMBER
from isakmp.wire.attributes import Attribute
from isakmp.wire.message import Message
from isakmp.wire.payloads import (
    Certificate,
    CertificateRequest,
    Delete,
    Hash,
    Identification,
    KeyExchange,
    Nonce,
    Notification,
    Payload,
    SecurityAssociation,
    Signature,
)
from isakmp.wire.proposals import Proposal, Transform

Octets = Callable[[bytes], bytes]

ESP, AH = int(ProtocolID.ESP), int(ProtocolID.AH)
SPI = bytes.fromhex("c0ffee01")


@dataclass(frozen=True, slots=True)
class Bad:
    """
    One bad input.

    :ivar section: of the rule it breaks; with ``error`` it names the rule.
    :ivar message: of Main Mode, a changed copy of which overtakes the real one; empty: it comes
        under an ISAKMP SA, and is proven.
    :ivar change: makes that copy.
    :ivar number: under an SA, the exchange type; ``payloads`` what it carries.
    :ivar sealed: whether what the peer is told is sealed.
    """

    section: str
    error: type[PeerError]
    message: str = ""
    change: Octets = bytes
    number: int = 0
    payloads: tuple[Payload, ...] = ()

    @property
    def sealed(self) -> bool:
        """Whether it is, and so is what its sender is told."""
        return not self.message


# -- in clear text -----------------------------------------------------------------------------


def octet(at: int, value: int) -> Octets:
    """One octet is another."""
    return lambda octets: octets[:at] + bytes([value]) + octets[at + 1 :]


def both(*changes: Octets) -> Octets:
    """One after the other."""

    def change(octets: bytes) -> bytes:
        for each in changes:
            octets = each(octets)
        return octets

    return change


def instead(*payloads: Payload) -> Octets:
    """Other payloads of these classes; the others stay."""
    kinds = tuple(type(payload) for payload in payloads)

    def change(octets: bytes) -> bytes:
        message = Message.decode(octets)
        kept = [p for p in message.payloads if not isinstance(p, kinds)]
        return message.with_payloads((*payloads, *kept)).encode()

    return change


def without(kind: type[Payload]) -> Octets:
    """No payload of this class."""

    def change(octets: bytes) -> bytes:
        message = Message.decode(octets)
        return message.with_payloads(
            p for p in message.payloads if not isinstance(p, kind)
        ).encode()

    return change


def offering(change: Callable[[Proposal], Proposal]) -> Octets:
    """The one proposal of phase 1 is another."""

    def changed(octets: bytes) -> bytes:
        message = Message.decode(octets)
        sa = message.one(SecurityAssociation)
        offer = offer_of(ipsec, sa)
        proposals = tuple(change(p) for suite in offer.suites for p in suite.proposals)
        other = replace(offer, suites=(ProtectionSuite(proposals),)).payload()
        return message.with_payloads(
            other if p is sa else p for p in message.payloads
        ).encode()

    return changed


def transformed(change: Callable[[Transform], Transform]) -> Octets:
    """Each transform of it is another."""
    return offering(lambda p: replace(p, transforms=tuple(map(change, p.transforms))))


def as_variable(transform: Transform) -> Transform:
    """Its hash algorithm as a variable attribute."""
    return replace(
        transform,
        attributes=tuple(
            Attribute(a.kind, a.value, a.kind != Phase1Attribute.HASH_ALGORITHM)
            for a in transform.attributes
        ),
    )


def situated(situation: int, doi: int = DOI.IPSEC) -> Octets:
    """The SA payload is of another domain, or situation."""

    def changed(octets: bytes) -> bytes:
        message = Message.decode(octets)
        sa = message.one(SecurityAssociation)
        other = SecurityAssociation(doi, situation.to_bytes(4) + sa.body[4:])
        return message.with_payloads(
            other if p is sa else p for p in message.payloads
        ).encode()

    return changed


def count(octets: bytes) -> bytes:
    """The proposal says that it has one transform more than it has."""
    at = octets.index(bytes([1, ProtocolID.ISAKMP, 0])) + 3
    return octet(at, octets[at] + 1)(octets)


def cut(octets: bytes) -> bytes:
    """The first payload is said to be longer than the message."""
    return octets[:30] + b"\xff\xff" + octets[32:]


def garbage(octets: bytes) -> bytes:
    """What is sealed is something else."""
    return octets[:28] + bytes(byte ^ 0x55 for byte in octets[28:])


# -- under an SA -------------------------------------------------------------------------------


def client(text: str) -> Identification:
    """A client identity."""
    identity = TrafficSelector.parse(text).identity()
    return Identification(identity.kind, identity.protocol, identity.port, identity.data)


IDENTITIES = (client("10.1.0.0/24"), client("10.2.0.0/24"))


def quick(
    *proposals: Proposal, identities: Sequence[Identification] = IDENTITIES, nonce: int = 32
) -> tuple[Payload, ...]:
    """The first message of Quick Mode."""
    offer = Offer(DOI.IPSEC, ipsec.phase1_situation, ())
    sa = replace(offer, suites=tuple(ProtectionSuite((p,)) for p in proposals)).payload()
    return (sa, Nonce(bytes(nonce)), *identities)


def esp(number: int = 1, spi: bytes = SPI, **changes: object) -> Proposal:
    """A proposal that would be acceptable."""
    (proposal,) = ipsec.suite("aes128-sha256", Lifetime(1200)).with_spis({ESP: spi}).proposals
    return replace(proposal, number=number, **changes)


def contradicting(proposal: Proposal) -> Proposal:
    """Its transform says two key lengths."""
    (transform,) = proposal.transforms
    other = Attribute.tv(IPsecAttribute.KEY_LENGTH, 256)
    return replace(
        proposal, transforms=(replace(transform, attributes=(*transform.attributes, other)),)
    )


def notification(
    doi: int = DOI.IPSEC, protocol: int = ESP, kind: int = 14, spi: bytes = SPI
) -> Notification:
    """A notification."""
    return Notification(doi, protocol, kind, spi, b"")


_QUICK, _TELL = int(ExchangeType.QUICK_MODE), int(ExchangeType.INFORMATIONAL)

BAD: Sequence[Bad] = (
    Bad("5.1", errors.UnequalPayloadLengths, "Main 3", lambda octets: octets + b"\0"),
    Bad("5.1", errors.UnequalPayloadLengths, "Main 4", lambda octets: octets + b"\0"),
    Bad("5.1", errors.Malformed, "Main 3", cut),
    Bad("5.1", errors.Unreadable, "Main 5", garbage),
    Bad("5.2.1", errors.InvalidCookie, "Main 3", octet(8, 0)),
    Bad("5.2.2", errors.InvalidNextPayload, "Main 3", octet(16, 2)),
    Bad("5.2.2", errors.InvalidNextPayload, "Main 3", octet(16, 33)),
    Bad("5.2.2", errors.InvalidNextPayload, "Main 1", octet(16, 3)),
    Bad("5.2.3", errors.InvalidMajorVersion, "Main 3", octet(17, 0x20)),
    Bad("5.2.3", errors.InvalidMinorVersion, "Main 3", octet(17, 0x11)),
    Bad("5.2.4", errors.InvalidExchangeType, "Main 1", octet(18, 31)),
    Bad("5.2.4", errors.InvalidExchangeType, "Main 3", octet(18, 31)),
    Bad("5.2.4", errors.UnsupportedExchangeType, number=241, payloads=(Nonce(bytes(32)),)),
    Bad("5.2.5", errors.InvalidFlags, "Main 3", octet(19, 0x80)),
    Bad("5.2.5", errors.InvalidFlags, "Main 4", octet(19, 0x08)),
    Bad("5.2.5", errors.InvalidFlags, "Main 3", octet(19, 0x01)),
    Bad("5.2.6", errors.InvalidMessageID, "Main 1", octet(23, 5)),
    Bad("5.3.1", errors.InvalidNextPayload, "Main 3", octet(28, 3)),
    Bad("5.3.1", errors.InvalidNextPayload, "Main 3", octet(28, 127)),
    Bad("5.3.1", errors.UnexpectedPayload, "Main 3", without(Nonce)),
    Bad("5.3.2", errors.InvalidReservedField, "Main 3", octet(29, 1)),
    Bad("5.3.2", errors.InvalidReservedField, "Main 1", octet(29, 1)),
    Bad("5.3.2", errors.InvalidReservedField, "Main 1", octet(41, 1)),
    Bad("5.4.1", errors.DOINotSupported, "Main 1", situated(1, 99)),
    Bad("5.4.2", errors.SituationNotSupported, "Main 1", situated(2)),
    Bad(
        "5.4.3",
        errors.NoProposalChosen,
        "Main 1",
        transformed(
            lambda t: replace(
                t,
                attributes=tuple(
                    Attribute.tv(a.kind, 1) if a.kind == Phase1Attribute.HASH_ALGORITHM else a
                    for a in t.attributes
                ),
            )
        ),
    ),
    Bad("5.5.1", errors.InvalidProtocolID, "Main 1", offering(lambda p: replace(p, protocol=7))),
    Bad("5.5.1", errors.InvalidProtocolID, number=_QUICK, payloads=quick(esp(protocol=0))),
    Bad("5.5.2", errors.InvalidSPI, number=_QUICK, payloads=quick(esp(spi=b"\0\0\0\1"))),
    Bad("5.5.2", errors.InvalidSPI, number=_QUICK, payloads=quick(esp(spi=b"abc"))),
    Bad("5.5.3", errors.BadProposalSyntax, "Main 1", count),
    Bad(
        "5.5.3",
        errors.BadProposalSyntax,
        number=_QUICK,
        payloads=quick(esp(1), esp(2), esp(1)),
    ),
    Bad(
        "5.6.1",
        errors.InvalidTransformID,
        "Main 1",
        transformed(lambda t: replace(t, transform_id=0)),
    ),
    Bad(
        "5.6.1",
        errors.InvalidTransformID,
        number=_QUICK,
        payloads=quick(esp(transforms=(Transform(1, 0, ()),))),
    ),
    Bad(
        "5.6.2",
        errors.AttributesNotSupported,
        number=_QUICK,
        payloads=quick(contradicting(esp())),
    ),
    Bad("5.6.2", errors.NoProposalChosen, "Main 1", transformed(as_variable)),
    Bad("5.7", errors.InvalidKeyInformation, "Main 3", instead(KeyExchange(bytes(31)))),
    Bad(
        "5.8",
        errors.InvalidIdentity,
        number=_QUICK,
        payloads=quick(esp(), identities=(client("10.9.0.0/24"), IDENTITIES[1])),
    ),
    Bad(
        "5.8",
        errors.InvalidIdentity,
        number=_QUICK,
        payloads=quick(esp(), identities=(Identification(1, 0, 0, b"abc"), IDENTITIES[1])),
    ),
    Bad(
        "5.9.1",
        errors.InvalidCertificateEncoding,
        number=NUMBER,
        payloads=(Certificate(0, b"\x30\0"),),
    ),
    Bad("5.9.2", errors.InvalidCertificate, number=NUMBER, payloads=(Certificate(4, b"\x30\5"),)),
    Bad(
        "5.10.1",
        errors.InvalidCertificateEncoding,
        number=NUMBER,
        payloads=(CertificateRequest(200, b""),),
    ),
    Bad(
        "5.10.1",
        errors.CertificateTypeUnsupported,
        number=NUMBER,
        payloads=(CertificateRequest(2, b""),),
    ),
    Bad(
        "5.10.2",
        errors.InvalidCertificateAuthority,
        number=NUMBER,
        payloads=(CertificateRequest(4, b"CN=me"),),
    ),
    Bad(
        "5.10.3",
        errors.CertificateUnavailable,
        number=NUMBER,
        payloads=(CertificateRequest(4, b"\x30\0"),),
    ),
    Bad("5.11.1", errors.InvalidHash, number=NUMBER, payloads=(Nonce(bytes(9)), Hash(b"1"))),
    Bad(
        "5.11.2",
        errors.InvalidHashValue,
        number=NUMBER,
        payloads=(Nonce(bytes(9)), Hash(bytes(32))),
    ),
    Bad("5.12.1", errors.InvalidSignature, number=NUMBER, payloads=(Signature(b"1"),)),
    Bad("5.12.2", errors.InvalidSignatureValue, number=NUMBER, payloads=(Signature(bytes(32)),)),
    Bad("5.13.1", errors.InvalidNonce, "Main 3", instead(Nonce(bytes(7)))),
    Bad("5.13.1", errors.InvalidNonce, number=_QUICK, payloads=quick(esp(), nonce=257)),
    Bad("5.14.2", errors.DOINotSupported, number=_TELL, payloads=(notification(doi=2),)),
    Bad("5.14.3", errors.InvalidProtocolID, number=_TELL, payloads=(notification(protocol=0),)),
    Bad("5.14.4", errors.InvalidSPI, number=_TELL, payloads=(notification(spi=b"\0\0\0\1"),)),
    Bad(
        "5.14.4",
        errors.InvalidSPI,
        number=_TELL,
        payloads=(notification(protocol=1, spi=bytes(17)),),
    ),
    Bad("5.14.5", errors.InvalidMessageType, number=_TELL, payloads=(notification(kind=0),)),
    Bad("5.14.5", errors.InvalidMessageType, number=_TELL, payloads=(notification(kind=31),)),
    Bad("5.15.2", errors.DOINotSupported, number=_TELL, payloads=(Delete(2, ESP, (SPI,)),)),
    Bad("5.15.3", errors.InvalidProtocolID, number=_TELL, payloads=(Delete(1, 77, (SPI,)),)),
    Bad("5.15.4", errors.InvalidSPI, number=_TELL, payloads=(Delete(1, ESP, (b"\0\0\0\1",)),)),
    Bad("5.15.4", errors.InvalidSPI, number=_TELL, payloads=(Delete(1, 1, (SPI, SPI)),)),
)
"""At least one for each rule but RETRY LIMIT REACHED, which no input breaks but its absence."""
