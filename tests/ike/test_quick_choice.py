"""
Quick Mode between two nodes: whose traffic it is for, and what is refused.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import SABundle
from isakmp.doi.ipsec import ipsec
from isakmp.errors import (
    ConfigurationError,
    InvalidIdentity,
    NoProposalChosen,
    PeerRefused,
)
from isakmp.exchange.phase1 import offer_of
from isakmp.identity import TrafficSelector
from isakmp.numbers import ProtocolID
from isakmp.wire.payloads import (
    SecurityAssociation,
)
from tests.ike.ends import between, child, established, refused, two, with_children
from tests.ike.test_quick_mode import quick
from tests.nodes import ALICE, BOB, Pair


class SelectorTests(SynchronousTestCase):
    """Whose traffic it is."""

    def agreed(self, pair: Pair) -> tuple[SABundle, SABundle]:
        """Both ends' bundle."""
        (hers,) = established(pair)
        (his,) = pair.b.bundles
        self.assertEqual(
            (hers.policy.local, hers.policy.remote), (his.policy.remote, his.policy.local)
        )
        return hers, his

    def test_kinds(self) -> None:
        """
        Addresses, subnets and ranges of both versions, with protocol and port, become the SAs'
        traffic at both ends.

        Proves: RFC 2409 section 5.5 (row 5.5-5)
        """
        for here, there in (
            ("10.1.0.1", "10.2.0.0/16"),
            ("10.1.0.7-10.1.0.19", "0.0.0.0/0"),
            ("10.1.0.0/24[tcp]", "10.2.0.1[tcp/443]"),
            ("10.1.0.7-10.1.0.19[udp/500]", "10.2.0.1[udp/53]"),
            ("2001:db8::/32", "2001:db8:1::7"),
            ("2001:db8::1-2001:db8::9[icmpv6]", "::/0[icmpv6]"),
        ):
            hers, _ = self.agreed(between(here=here, there=there))
            self.assertEqual(hers.policy.local, TrafficSelector.parse(here))
            self.assertEqual(hers.policy.remote, TrafficSelector.parse(there))

    def test_hosts(self) -> None:
        """A child that names no traffic is for the two hosts."""
        pair = two(with_children(child("", "")), with_children(child("", "")))
        hers, _ = self.agreed(pair)
        self.assertEqual(hers.policy.local, TrafficSelector.host(ALICE))
        self.assertEqual(hers.policy.remote, TrafficSelector.host(BOB))

    def test_narrower(self) -> None:
        """
        A responder takes less than it would protect, as it was asked for; of several children the
        one for exactly this traffic.
        """
        pair = two(
            with_children(child("10.1.3.0/24[tcp/80]", "10.2.0.1")),
            with_children(
                child("10.2.0.0/16", "10.1.0.0/16", name="wide"),
                child("10.2.0.1", "10.1.3.0/24[tcp/80]", name="exact"),
            ),
        )
        _, his = self.agreed(pair)
        self.assertEqual(his.policy.name, "exact")

    def test_not_ours(self) -> None:
        """
        Traffic that no child is for is refused with INVALID-ID-INFORMATION, and each end says why:
        the one what was asked and what it would take, the other what it was told.

        Proves: RFC 2409 section 5.5 (row 5.5-6)
        """
        for here, there in (
            ("10.1.0.0/16", "10.2.0.0/24"),
            ("10.1.0.0/24", "10.3.0.0/24"),
            ("10.1.0.0/24[tcp]", "10.2.0.0/24[udp]"),
            ("2001:db8::/32", "2001:db8:1::/48"),
        ):
            pair = two(
                with_children(child(here, there)),
                with_children(child("10.2.0.0/24[tcp/80]", "10.1.0.0/24[tcp]")),
            )
            sentence = refused(self, pair, PeerRefused)
            self.assertIn("INVALID-ID-INFORMATION", sentence)
            (failure,) = pair.b.failures
            self.assertIsInstance(failure, InvalidIdentity)
            self.assertIn(f"{there} - {here}", str(failure))
            self.assertIn("net: 10.2.0.0/24[tcp/80] - 10.1.0.0/24[tcp]", str(failure))
            self.assertIn("Both ends must be configured for the same traffic", str(failure))

    def test_second_selector(self) -> None:
        """A responder whose child has several selectors takes any of them."""
        pair = two(
            with_children(child("10.1.5.0/24", "10.2.0.0/24")),
            with_children(child("10.9.0.0/24 10.2.0.0/24", "10.8.0.0/24 10.1.5.0/24")),
        )
        self.agreed(pair)


class RefusalTests(SynchronousTestCase):
    """What does not fit is refused, and both ends say why."""

    def refusal(self, pair: Pair) -> str:
        """Bob's sentence; Alice is told NO-PROPOSAL-CHOSEN."""
        self.assertIn("NO-PROPOSAL-CHOSEN", refused(self, pair, PeerRefused))
        (failure,) = pair.b.failures
        self.assertIsInstance(failure, NoProposalChosen)
        return str(failure)

    def test_differences(self) -> None:
        """
        One attribute that differs is named with both values.

        Proves: RFC 2408 section 5.4
        """
        for hers, his, *words in (
            ("aes256-sha256", "aes128-sha256", "Key Length is 256 there and 128 here"),
            ("aes128-sha256", "aes128-sha512", "sha256 there and sha512 here"),
            ("aes128-sha256", "aes128gcm16", "aes128 there and aes128gcm16 here"),
            ("aes128-sha256", "transport:aes128-sha256", "tunnel there and transport here"),
        ):
            sentence = self.refusal(between(hers, his=(his,)))
            for word in words:
                self.assertIn(word, sentence)

    def test_groups(self) -> None:
        """A group where none is configured, none where one is, and another group are refused."""
        for hers, his, words in (
            ("aes128-sha256", "aes128-sha256-modp2048", "not said there and modp2048 here"),
            ("aes128-sha256-modp2048", "aes128-sha256", "modp2048 there and not said here"),
            (
                "aes128-sha256-modp1024",
                "aes128-sha256-modp2048",
                "modp1024 there and modp2048 here",
            ),
        ):
            self.assertIn(words, self.refusal(between(hers, his=(his,))))

    def test_several_children(self) -> None:
        """Where several children are for the traffic, it is told of each what differed."""
        here, there = "10.1.0.0/24", "10.2.0.0/24"
        pair = two(
            with_children(child(here, there, "aes256-sha256")),
            with_children(
                child(there, here, "aes128-sha256", name="one"),
                child(there, here, "aes256-sha512", name="two"),
            ),
        )
        sentence = self.refusal(pair)
        self.assertIn("one: Nearest", sentence)
        self.assertIn("Key Length is 256 there and 128 here", sentence)
        self.assertIn("two: Nearest", sentence)
        self.assertIn("sha256 there and sha512 here", sentence)

    def test_second_child_fits(self) -> None:
        """Of several children for the traffic the one whose suites fit is meant."""
        here, there = "10.1.0.0/24", "10.2.0.0/24"
        pair = two(
            with_children(child(here, there, "aes256-sha512")),
            with_children(
                child(there, here, "aes128-sha256", name="one"),
                child(there, here, "aes256-sha512", name="two"),
            ),
        )
        established(pair)
        self.assertEqual([bundle.policy.name for bundle in pair.b.bundles], ["two"])

    def test_unsupported(self) -> None:
        """What the sink cannot do is a mistake of the configuration: AH, here."""
        with self.assertRaisesRegex(ConfigurationError, "the sink supports nothing"):
            between("ah=sha256")

    def test_unsupported_is_left_out(self) -> None:
        """Of several suites those that the sink can do are offered, and no others."""
        pair = between("ah=sha256", "aes128-sha256", "esp=null-sha1+ah=sha1")
        established(pair)
        offered = offer_of(ipsec, quick(pair.a)[0].one(SecurityAssociation))
        self.assertEqual(
            [p.protocol for suite in offered.suites for p in suite.proposals], [ProtocolID.ESP]
        )
