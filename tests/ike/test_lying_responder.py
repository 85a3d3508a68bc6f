"""
Quick Mode with a responder that has authenticated, and lies.

Everything it says is sealed and proven as it should be; what it says is what it should not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from isakmp.associations import ProtectionSuite
from isakmp.errors import (
    AttributesNotSupported,
    InvalidIdentity,
    InvalidKeyInformation,
    InvalidSPI,
    NoProposalChosen,
    PeerError,
    UnexpectedPayload,
)
from isakmp.identity import TrafficSelector
from isakmp.numbers import IdentityType, IPsecAttribute, NotifyType
from isakmp.parts import Role
from isakmp.wire.attributes import Attribute
from isakmp.wire.payloads import (
    Identification,
    KeyExchange,
    Nonce,
    Notification,
    Payload,
    SecurityAssociation,
)
from tests.ike.ends import (
    child,
    established,
    lie,
    refused,
    two,
    with_children,
)
from tests.ike.lies import (
    COMMON,
    HERE,
    KEY,
    THERE,
    Lie,
    LieTestCase,
    beside,
    client,
    doubled,
    instead,
    suites,
    with_attribute,
    with_spi,
)
from tests.nodes import disagreements


class ResponderTests(LieTestCase):
    """An answer that is none."""

    def check(
        self,
        told: Lie,
        error: type[PeerError],
        words: str,
        suite: str = "aes128-sha256",
        *names: str,
    ) -> None:
        """Alice does not believe it, and says why; nothing of it stays with either end."""
        lie(self, Role.RESPONDER, told)
        pair = self.pair(suite, *names)
        sentence = refused(self, pair, error, *names)
        self.assertIn(words, sentence)
        self.check_sas(pair)

    def test_common(self) -> None:
        """
        Nonces, identities, SPIs, domains and payloads that cannot be.

        Proves: RFC 2409 section 5
        Proves: RFC 2409 section 5.5
        """
        for told, error, words in COMMON:
            self.check(told, error, words)

    def test_missing(self) -> None:
        """An answer without SA or nonce is none; it is told what it lacks."""
        for missing in (Nonce, SecurityAssociation):
            lie(self, Role.RESPONDER, instead(missing))
            sentence = refused(self, self.pair(), PeerError)
            self.assertIn(f"a message without {missing.__name__}", sentence)

    def test_other_choice(self) -> None:
        """
        An answer has to be one of our offers: nothing changed, added or left out.

        Proves: RFC 2408 section 4.2 (row 4.2-11)
        Proves: RFC 2409 section 5
        """
        for told, words in (
            (with_attribute(IPsecAttribute.KEY_LENGTH, 256), "256 there and 128 here"),
            (with_attribute(IPsecAttribute.AUTHENTICATION_ALGORITHM, 1), "md5 there and sha256"),
            (with_attribute(IPsecAttribute.GROUP_DESCRIPTION, 31), "curve25519 there and not said"),
            (with_attribute(IPsecAttribute.ENCAPSULATION_MODE, 2), "transport there and tunnel"),
            (with_attribute(IPsecAttribute.ENCAPSULATION_MODE, None), "not among what was offered"),
            (with_attribute(IPsecAttribute.COMPRESS_DICTIONARY_SIZE, 1), "means nothing here"),
            (suites(lambda s: [s, s.numbered(2)]), "2 suites were chosen"),
            (suites(doubled), "2 transforms of a proposal were chosen"),
            (
                suites(lambda s: [ProtectionSuite((replace(s.proposals[0], protocol=2),))]),
                "proposal 1 is for AH; here: ESP",
            ),
        ):
            self.check(told, NoProposalChosen, words)
        twice = with_attribute(IPsecAttribute.KEY_LENGTH, 128)
        self.check(
            lambda payloads: suites(_contradictory)(list(twice(payloads))),
            AttributesNotSupported,
            "said twice, differently",
        )

    def test_group(self) -> None:
        """An answer that leaves our group out is none of our offers."""
        for told in (
            with_attribute(IPsecAttribute.GROUP_DESCRIPTION, None),
            with_attribute(IPsecAttribute.GROUP_DESCRIPTION, 14),
        ):
            self.check(told, NoProposalChosen, "there and", "aes128-sha256-curve25519")

    def test_key_exchange(self) -> None:
        """
        With a group there is one public value, of its length, that passes its checks.

        Proves: RFC 2409 section 5
        Proves: RFC 2409 section 5.5
        """
        for told, words in (
            (instead(KeyExchange), "0 KE payloads"),
            (beside(KeyExchange, KEY), "2 KE payloads"),
            (instead(KeyExchange, KeyExchange(bytes(32))), "curve25519"),
            (instead(KeyExchange, KeyExchange(KEY.data[:-1])), "31 octets"),
            (instead(KeyExchange, KeyExchange(b"")), "0 octets"),
        ):
            self.check(told, InvalidKeyInformation, words, "aes128-sha256-curve25519")
        self.check(
            instead(KeyExchange, KeyExchange(bytes(128))),
            InvalidKeyInformation,
            "modp1024",
            "aes128-sha256-modp1024",
        )

    def test_selectors(self) -> None:
        """An answer about other traffic than we asked for is refused, and so is one about none."""
        for told in (
            instead(Identification, client(HERE), client("10.2.0.0/16")),
            instead(Identification, client("10.1.0.0/25"), client(THERE)),
            instead(Identification, client(THERE), client(HERE)),
            instead(Identification, client(HERE), client("10.2.0.0/24[tcp]")),
            instead(Identification, client(HERE), client("10.2.0.0/24[tcp/80]")),
            instead(Identification),
        ):
            self.check(told, InvalidIdentity, "the answer is about other traffic")

    def test_same_traffic_spelled_otherwise(self) -> None:
        """The same addresses as a range are the same traffic."""
        network = TrafficSelector.parse(HERE)
        octets = network.first.to_bytes(4) + network.last.to_bytes(4)
        spelled = Identification(IdentityType.IPV4_ADDR_RANGE, 0, 0, octets)
        lie(self, Role.RESPONDER, instead(Identification, spelled, client(THERE)))
        pair = self.pair()
        self.assertEqual(len(established(pair)), 1)
        self.assertEqual(disagreements(pair.a, pair.b), [])

    def test_count(self) -> None:
        """
        As many SA payloads as we sent are answered, in their order.

        Proves: RFC 2409 section 5.5
        """
        for told in (
            lambda payloads: payloads[1:],
            lambda payloads: [payloads[0], *payloads],
        ):
            self.check(told, NoProposalChosen, "SA payloads in the answer", "aes128gcm16", "x", "y")
        self.check(
            lambda payloads: [payloads[0]] * 9 + payloads[1:],
            UnexpectedPayload,
            "too many SA payloads (offered: 9",
        )
        lie(self, Role.RESPONDER, lambda payloads: [payloads[1], payloads[0], *payloads[2:]])
        pair = two(
            with_children(
                child(HERE, THERE, "aes128-sha256", name="x"),
                child(HERE, THERE, "aes256-sha256", name="y"),
            ),
            with_children(child(THERE, HERE, "aes128-sha256", "aes256-sha256")),
        )
        sentence = refused(self, pair, NoProposalChosen, "x", "y")
        self.assertIn("Key Length is 256 there and 128 here", sentence)

    def test_our_own_spi(self) -> None:
        """
        An SPI that is our own would give equal keys in both directions, and is refused; likewise
        one that stands in two SA payloads.

        Proves: RFC 2409 section 5.5
        """
        seen: list[bytes] = []

        def reflected(payloads: list[Payload]) -> Sequence[Payload]:
            (spi,) = pair.a.sink.reserved
            seen.append(spi.spi)
            return with_spi(spi.spi)(payloads)

        lie(self, Role.RESPONDER, reflected)
        pair = self.pair("aes128gcm16")
        sentence = refused(self, pair, InvalidSPI)
        self.assertIn("equal to another of this exchange: the keys would be", sentence)
        self.assertIn(f"offered: {seen[0].hex()}", sentence)
        self.check(with_spi(b"\x77" * 4), InvalidSPI, "equal to another", "aes128gcm16", "x", "y")

    def test_crosswise(self) -> None:
        """Of two SAs the one's SPI must not be ours of the other."""

        def swapped(payloads: list[Payload]) -> Sequence[Payload]:
            ours = sorted(key.spi for key in pair.a.sink.reserved)
            first, second, *rest = payloads
            return [
                *with_spi(ours[0])([first]),
                *with_spi(ours[1])([second]),
                *rest,
            ]

        lie(self, Role.RESPONDER, swapped)
        pair = self.pair("aes128gcm16", "x", "y")
        refused(self, pair, InvalidSPI, "x", "y")

    def test_standing_spi(self) -> None:
        """An SPI of an SA that stands is refused; what stands stays."""
        pair = self.pair()
        (bundle,) = established(pair)
        lie(self, Role.RESPONDER, with_spi(bundle.outbound[0].key.spi))
        with self.assertRaisesRegex(InvalidSPI, "that of an SA that stands"):
            established(pair)
        pair.wait(100)
        self.assertEqual((len(pair.a.bundles), len(pair.b.bundles)), (1, 1))
        self.assertEqual(disagreements(pair.a, pair.b), [])

    def test_more_than_it_needs(self) -> None:
        """A notification beside the answer, or an identity's protocol said as 0, does no harm."""
        note = Notification(1, 3, NotifyType.RESPONDER_LIFETIME, bytes(4), b"")
        lie(self, Role.RESPONDER, lambda payloads: [*payloads, note])
        pair = self.pair()
        established(pair)
        self.assertEqual(disagreements(pair.a, pair.b), [])


def _contradictory(suite: ProtectionSuite) -> list[ProtectionSuite]:
    (proposal,) = suite.proposals
    (transform,) = proposal.transforms
    more = (*transform.attributes, Attribute.tv(IPsecAttribute.KEY_LENGTH, 192))
    return [
        ProtectionSuite((replace(proposal, transforms=(replace(transform, attributes=more),)),))
    ]
