"""
What a peer that has authenticated can say in Quick Mode and should not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import ProtectionSuite
from isakmp.errors import (
    InvalidIdentity,
    InvalidKeyInformation,
    InvalidSPI,
    Malformed,
    NoProposalChosen,
    PeerError,
    SituationNotSupported,
    UnexpectedPayload,
)
from isakmp.identity import TrafficSelector
from isakmp.numbers import Encapsulation, IdentityType, IPsecAttribute
from isakmp.wire.attributes import Attribute
from isakmp.wire.payloads import (
    Identification,
    KeyExchange,
    Nonce,
    Payload,
    SecurityAssociation,
)
from tests.ike.ends import (
    Change,
    changed_offer,
    child,
    two,
    with_children,
)
from tests.nodes import Pair

Lie = Callable[[list[Payload]], Sequence[Payload]]
HERE, THERE = "10.1.0.0/24", "10.2.0.0/24"


def instead(kind: type[Payload], *others: Payload) -> Lie:
    """The payloads of a class are replaced by these, where the first of them stood."""

    def change(payloads: list[Payload]) -> Sequence[Payload]:
        at = next(n for n, payload in enumerate(payloads) if isinstance(payload, kind))
        kept = [payload for payload in payloads if not isinstance(payload, kind)]
        return [*kept[:at], *others, *kept[at:]]

    return change


def beside(kind: type[Payload], *others: Payload) -> Lie:
    """More payloads behind the first of a class."""

    def change(payloads: list[Payload]) -> Sequence[Payload]:
        at = next(n for n, payload in enumerate(payloads) if isinstance(payload, kind))
        return [*payloads[: at + 1], *others, *payloads[at + 1 :]]

    return change


def client(text: str) -> Identification:
    """A client identity."""
    identity = TrafficSelector.parse(text).identity()
    return Identification(identity.kind, identity.protocol, identity.port, identity.data)


def suites(change: Callable[[ProtectionSuite], Sequence[ProtectionSuite]]) -> Lie:
    """Each suite becomes these."""
    return changed_offer(
        lambda offer: replace(
            offer, suites=tuple(new for suite in offer.suites for new in change(suite))
        )
    )


def with_spi(spi: bytes) -> Lie:
    """Another SPI."""
    return suites(lambda s: [ProtectionSuite(tuple(replace(p, spi=spi) for p in s.proposals))])


def with_attribute(kind: int, number: int | None) -> Lie:
    """Another value of an attribute, or none of it."""

    def change(suite: ProtectionSuite) -> list[ProtectionSuite]:
        (proposal,) = suite.proposals
        transforms = tuple(
            replace(
                transform,
                attributes=(
                    *(a for a in transform.attributes if a.kind != kind),
                    *([] if number is None else [Attribute.tv(kind, number)]),
                ),
            )
            for transform in proposal.transforms
        )
        return [ProtectionSuite((replace(proposal, transforms=transforms),))]

    return suites(change)


def doubled(suite: ProtectionSuite) -> list[ProtectionSuite]:
    """Each transform twice."""
    (proposal,) = suite.proposals
    return [ProtectionSuite((replace(proposal, transforms=proposal.transforms * 2),))]


def raw(change: Callable[[bytes], bytes]) -> Lie:
    """Other octets in the SA payload."""
    return lambda payloads: [
        SecurityAssociation(p.doi, change(p.body)) if isinstance(p, SecurityAssociation) else p
        for p in payloads
    ]


def domain(number: int) -> Lie:
    """Another domain of interpretation."""
    return lambda payloads: [
        SecurityAssociation(number, p.body) if isinstance(p, SecurityAssociation) else p
        for p in payloads
    ]


KEY = KeyExchange(bytes(31) + b"\x09")
COMMON: Sequence[tuple[Lie, type[PeerError], str]] = (
    (instead(Nonce, Nonce(bytes(7))), Malformed, "length of a nonce (offered: 7 octets"),
    (instead(Nonce, Nonce(bytes(257))), Malformed, "length of a nonce (offered: 257 octets"),
    (beside(Nonce, Nonce(bytes(16))), UnexpectedPayload, "exactly one Nonce payload"),
    (instead(Identification, client(HERE)), UnexpectedPayload, "two client identities or none"),
    (beside(Identification, client(HERE)), UnexpectedPayload, "two client identities or none"),
    (
        instead(Identification, Identification(IdentityType.FQDN, 0, 0, b"a.b"), client(THERE)),
        InvalidIdentity,
        "traffic (offered: ",
    ),
    (
        instead(Identification, Identification(IdentityType.IPV4_ADDR, 0, 0, b""), client(THERE)),
        InvalidIdentity,
        "0 octets where 4 belong",
    ),
    (
        lambda payloads: [*payloads[1:], payloads[0]],
        UnexpectedPayload,
        "a payload before the SA payload (offered: Nonce",
    ),
    (beside(Nonce, KEY), InvalidKeyInformation, "1 KE payloads; configured: no group"),
    (with_spi(b""), InvalidSPI, "0x, 0 octets"),
    (with_spi(bytes(4)), InvalidSPI, "0x00000000"),
    (with_spi(b"\0\0\0\xff"), InvalidSPI, "256 or more"),
    (with_spi(b"\x77" * 2), InvalidSPI, "2 octets"),
    (with_spi(b"\x77" * 8), InvalidSPI, "8 octets"),
    (domain(0), NoProposalChosen, "another domain (offered: 0"),
    (domain(2), NoProposalChosen, "another domain (offered: 2"),
    (raw(lambda body: b"\0\0\0\2" + body[4:]), SituationNotSupported, "SIT_SECRECY"),
    (raw(lambda body: body[:4]), Malformed, ""),
    (raw(lambda body: body[:-1]), Malformed, ""),
    (raw(lambda body: b""), Malformed, ""),
    (
        with_attribute(IPsecAttribute.ENCAPSULATION_MODE, Encapsulation.UDP_TUNNEL),
        NoProposalChosen,
        "udp_tunnel there and tunnel here",
    ),
)
"""What neither end may say."""


class LieTestCase(SynchronousTestCase):
    def pair(self, suite: str = "aes128-sha256", *names: str) -> Pair:
        """Two ends of one child, or of several with the same traffic."""
        hers: Change = with_children(
            *(child(HERE, THERE, suite, name=name) for name in names or ("net",))
        )
        return two(hers, with_children(child(THERE, HERE, suite)))

    def check_sas(self, pair: Pair) -> None:
        """The ISAKMP SA bears no blame."""
        self.assertEqual((len(pair.a.sas), len(pair.b.sas)), (1, 1))
