"""
Quick Mode with a initiator that has authenticated, and lies.

Everything it says is sealed and proven as it should be; what it says is what it should not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from isakmp.associations import ProtectionSuite
from isakmp.errors import (
    InvalidIdentity,
    InvalidKeyInformation,
    InvalidProtocolID,
    InvalidSPI,
    NoProposalChosen,
    PeerError,
    PeerRefused,
    UnexpectedPayload,
)
from isakmp.events import MessageDropped
from isakmp.identity import TrafficSelector
from isakmp.numbers import IPsecAttribute
from isakmp.parts import Role
from isakmp.wire.payloads import (
    Identification,
    KeyExchange,
    Nonce,
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
    instead,
    suites,
    with_attribute,
    with_spi,
)
from tests.nodes import disagreements


class InitiatorTests(LieTestCase):
    """A question that is none."""

    def check(
        self,
        told: Lie,
        error: type[PeerError],
        words: str,
        suite: str = "aes128-sha256",
        *names: str,
    ) -> None:
        """Bob refuses it, says why, and tells Alice in a notification."""
        lie(self, Role.INITIATOR, told)
        pair = self.pair(suite, *names)
        sentence = refused(self, pair, PeerRefused, *names)
        failure = pair.b.failures[0]
        self.assertIsInstance(failure, error)
        self.assertIn(words, str(failure))
        assert error.notify is not None
        self.assertIn(error.notify.spelled, sentence)
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
        """A question without SA or nonce is not answered, and the log says what it lacks."""
        for missing in (Nonce, SecurityAssociation):
            lie(self, Role.INITIATOR, instead(missing))
            pair = self.pair()
            refused(self, pair, PeerError)
            dropped = [str(event.error) for event in pair.b.published(MessageDropped)]
            self.assertIn(f"a message without {missing.__name__}", dropped[0])

    def test_key_exchange(self) -> None:
        """
        A group goes with one public value that passes its checks; the peer is told if it does not.

        Proves: RFC 2409 section 5
        Proves: RFC 2409 section 5.5
        """
        for told, words in (
            (instead(KeyExchange), "0 KE payloads; configured: group 31"),
            (beside(KeyExchange, KEY), "2 KE payloads"),
            (instead(KeyExchange, KeyExchange(bytes(32))), "curve25519"),
            (instead(KeyExchange, KeyExchange(KEY.data + b"\0")), "33 octets"),
        ):
            self.check(told, InvalidKeyInformation, words, "aes128-sha256-curve25519")

    def test_many_sas(self) -> None:
        """More than eight SA payloads, and SPIs that stand twice, are refused."""
        self.check(
            lambda payloads: [payloads[0]] * 9 + payloads[1:],
            UnexpectedPayload,
            "too many SA payloads (offered: 9",
        )
        self.check(
            lambda payloads: [payloads[0], *payloads], InvalidSPI, "equal to another"
        )

    def test_groups(self) -> None:
        """
        SAs with different groups cannot share one exchange of keys.

        Proves: RFC 2409 section 5.5 (row 5.5-7)
        """

        def mixed(payloads: list[Payload]) -> Sequence[Payload]:
            other = with_attribute(IPsecAttribute.GROUP_DESCRIPTION, 2)([payloads[0]])
            return [*with_spi(b"\x77" * 4)(list(other)), *payloads]

        lie(self, Role.INITIATOR, mixed)
        pair = two(
            with_children(child(HERE, THERE, "aes128-sha256-curve25519")),
            with_children(
                child(THERE, HERE, "aes128-sha256-curve25519", "aes128-sha256-modp1024")
            ),
        )
        refused(self, pair, PeerRefused)
        self.assertIn("one group only can travel with an offer", str(pair.b.failures[0]))

    def test_standing_spi(self) -> None:
        """
        An SPI of an SA that stands is refused, also if two Quick Modes at one time name it.
        """
        pair = self.pair()
        (bundle,) = established(pair)
        lie(self, Role.INITIATOR, with_spi(bundle.inbound[0].key.spi))
        with self.assertRaisesRegex(PeerRefused, "INVALID-SPI"):
            established(pair)
        self.assertIn("that of an SA that stands", str(pair.b.failures[0]))
        lie(self, Role.INITIATOR, with_spi(b"\x77" * 4))
        ours = pair.a.connection()
        begun = [pair.a.endpoint.establish(ours, ours.child("net")) for _ in range(2)]
        for one in begun:
            one.addErrback(lambda _: None)
        pair.wait(200)
        self.assertIn("that of an SA that stands", str(pair.b.failures[1]))
        self.assertIsInstance(pair.b.failures[1], InvalidSPI)
        self.assertEqual(len(pair.b.bundles), 2)
        self.assertEqual(pair.b.sink.reserved, frozenset())

    def test_nothing_acceptable(self) -> None:
        """
        An offer of other protocols, or of a protocol twice, is not acceptable; one of a protocol
        that the domain has not is invalid.

        Proves: RFC 2408 section 5.5
        """

        def as_protocol(*numbers: int) -> Lie:
            return suites(
                lambda s: [
                    ProtectionSuite(
                        tuple(replace(s.proposals[0], protocol=number) for number in numbers)
                    )
                ]
            )

        for told in (as_protocol(2), as_protocol(3, 3), as_protocol(3, 2)):
            self.check(told, NoProposalChosen, "no offered protection suite")
        for number in (0, 1, 5, 255):
            self.check(as_protocol(number), InvalidProtocolID, "the Protocol-ID")

    def test_no_identities(self) -> None:
        """
        A question without client identities is about the two hosts, which this child is not for.

        Proves: RFC 2409 section 5.5
        """
        self.check(
            instead(Identification), InvalidIdentity, "offered: 192.0.2.2 - 192.0.2.1;"
        )


class HostsTests(LieTestCase):
    """Without client identities the hosts themselves are meant."""

    def test_hosts(self) -> None:
        """
        A question without identities is answered without; it is for all traffic of the two hosts.

        Proves: RFC 2409 section 5.5
        """
        lie(self, Role.INITIATOR, instead(Identification))
        pair = two(with_children(child("", "")), with_children(child("", "")))
        (bundle,) = established(pair)
        self.assertEqual(disagreements(pair.a, pair.b), [])
        self.assertEqual(bundle.policy.local, TrafficSelector.host("192.0.2.1"))
