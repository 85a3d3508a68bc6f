"""
Quick Mode between two nodes: what is agreed, with whom, and under which keys.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.associations import IPsecParameters, SABundle
from isakmp.connections import Connection
from isakmp.doi.ipsec import ipsec
from isakmp.errors import (
    ConfigurationError,
    InvalidIdentity,
    NoProposalChosen,
    PeerRefused,
)
from isakmp.events import Established, MessageSent
from isakmp.exchange.phase1 import offer_of
from isakmp.identity import TrafficSelector
from isakmp.ike.quick_mode import QuickMode
from isakmp.interfaces import IExchangeType
from isakmp.numbers import ExchangeType, ProtocolID
from isakmp.wire.message import Message
from isakmp.wire.payloads import (
    Identification,
    KeyExchange,
    Nonce,
    Payload,
    SecurityAssociation,
)
from tests.ike.ends import between, child, established, parameters, refused, two, with_children
from tests.nodes import ALICE, BOB, Member, Pair, disagreements


def quick(member: Member) -> list[Message]:
    """The Quick Mode messages that a node has sent, in clear."""
    return [
        event.message
        for event in member.published(MessageSent)
        if event.message.exchange_type == ExchangeType.QUICK_MODE and not event.repeated
    ]


def kinds(message: Message) -> list[type[Payload]]:
    """What a message consists of."""
    return [type(payload) for payload in message.payloads]


class AgreementTests(SynchronousTestCase):
    """What both ends take becomes SAs of both."""

    def agreed(self, pair: Pair, *names: str) -> list[SABundle]:
        """Alice's bundles; Bob has the same, and packets pass in both directions."""
        bundles = established(pair, *names)
        self.assertEqual(disagreements(pair.a, pair.b), [])
        self.assertEqual(len(pair.b.bundles), len(bundles))
        for bundle in bundles:
            (his,) = (b for b in pair.b.bundles if b.inbound[0].key == bundle.outbound[0].key)
            for sender, sent, receiver in ((pair.a, bundle, pair.b), (pair.b, his, pair.a)):
                packet = sender.sink.seal(sent.name, b"through the tunnel")
                self.assertEqual(receiver.sink.open(packet), b"through the tunnel")
        return list(bundles)

    def test_interface(self) -> None:
        """It is an exchange type that makes SAs, and is sealed from birth."""
        verifyObject(IExchangeType, QuickMode())
        self.assertTrue(QuickMode.establishes)

    def test_without_pfs(self) -> None:
        """
        Without a group no key is exchanged: HASH, SA and nonce, client identities; HASH, SA and
        nonce, the same identities; HASH.

        Proves: RFC 2409 section 5.5
        """
        pair = between("aes128-sha256")
        self.agreed(pair)
        first, third = quick(pair.a)
        (second,) = quick(pair.b)
        shape = [SecurityAssociation, Nonce, Identification, Identification]
        self.assertEqual((kinds(first), kinds(second), kinds(third)), (shape, shape, []))
        self.assertEqual(first.all(Identification), second.all(Identification))
        self.assertEqual(len({m.message_id for m in (first, second, third)}), 1)
        for message in (first, second):
            self.assertIn(len(message.one(Nonce).data), range(8, 257))
        self.assertNotEqual(first.one(Nonce), second.one(Nonce))

    def test_with_pfs(self) -> None:
        """
        With a group both send a public value of its length, and the keys differ from those of the
        same exchange without.

        Proves: RFC 2409 section 5.5
        """
        for group, octets in (("modp1024", 128), ("ecp256", 64), ("curve25519", 32)):
            pair = between(f"aes128-sha256-{group}")
            self.agreed(pair)
            for member in (pair.a, pair.b):
                message = quick(member)[0]
                self.assertEqual(len(message.one(KeyExchange).data), octets)
        without = between("aes128-sha256")
        self.agreed(without)
        self.assertFalse(quick(without.a)[0].has(KeyExchange))

    def test_algorithms(self) -> None:
        """Tunnel and transport, CBC, GCM, 3DES and NULL, each with the keys of its lengths."""
        for spelling, expected, octets in (
            ("aes128-sha256", IPsecParameters("tunnel", "aes-cbc", "hmac-sha2-256-128"), (16, 32)),
            ("aes256-sha512", IPsecParameters("tunnel", "aes-cbc", "hmac-sha2-512-256"), (32, 64)),
            ("aes256gcm16", IPsecParameters("tunnel", "aes-gcm-16", "none"), (36, 0)),
            ("aes128gcm8-ecp256", IPsecParameters("tunnel", "aes-gcm-8", "none"), (20, 0)),
            ("3des-sha1", IPsecParameters("tunnel", "3des-cbc", "hmac-sha1-96"), (24, 20)),
            ("null-sha384", IPsecParameters("tunnel", "null", "hmac-sha2-384-192"), (0, 48)),
            ("transport:null-md5", IPsecParameters("transport", "null", "hmac-md5-96"), (0, 16)),
            ("transport:aes192gcm12", IPsecParameters("transport", "aes-gcm-12", "none"), (28, 0)),
        ):
            (bundle,) = self.agreed(between(spelling))
            self.assertEqual(parameters(bundle), (expected, expected))
            for one in (*bundle.inbound, *bundle.outbound):
                self.assertEqual(
                    (len(one.keys["encryption"]), len(one.keys["integrity"])), octets, spelling
                )
            self.assertNotEqual(bundle.inbound[0].keys, bundle.outbound[0].keys)

    def test_preference(self) -> None:
        """
        Of several suites that both take, the one that the initiator prefers is agreed, and the
        answer has no other.

        Proves: RFC 2408 section 4.2
        """
        pair = between(
            "aes256-sha512", "aes128-sha256", "3des-sha1", his=("3des-sha1", "aes128-sha256")
        )
        (bundle,) = self.agreed(pair)
        self.assertEqual(parameters(bundle)[0].encryption, "aes-cbc")
        offered, answered = (
            offer_of(ipsec, quick(member)[0].one(SecurityAssociation)) for member in (pair.a, pair.b)
        )
        self.assertEqual([suite.number for suite in offered.suites], [1, 2, 3])
        self.assertEqual([suite.number for suite in answered.suites], [2])
        spis = {suite.proposals[0].spi for suite in offered.suites}
        self.assertEqual(spis, {bundle.inbound[0].key.spi})
        self.assertEqual(answered.suites[0].proposals[0].spi, bundle.outbound[0].key.spi)

    def test_lifetime(self) -> None:
        """The shorter lifetime counts at both ends, whoever has it."""
        here, there = "10.1.0.0/24", "10.2.0.0/24"
        for hers, his in ((600, 900), (900, 600)):
            pair = two(
                with_children(child(here, there, seconds=hers)),
                with_children(child(there, here, seconds=his)),
            )
            (bundle,) = self.agreed(pair)
            # The responder does not say that its own is shorter, so each keeps to its own then.
            self.assertEqual(bundle.inbound[0].lifetime.seconds, hers)
            self.assertEqual(pair.b.bundles[0].inbound[0].lifetime.seconds, min(hers, his))

    def test_several_children(self) -> None:
        """
        One ISAKMP SA serves many Quick Modes, each with a message id, nonces and keys of its own.

        Proves: RFC 2409 section 5.5
        """
        nets = [(f"10.1.{n}.0/24", f"10.2.{n}.0/24") for n in range(4)]
        pair = two(
            with_children(*(child(a, b, name=f"net{n}") for n, (a, b) in enumerate(nets))),
            with_children(*(child(b, a, name=f"net{n}") for n, (a, b) in enumerate(nets))),
        )
        for number in range(4):
            established(pair, f"net{number}")
        self.assertEqual(disagreements(pair.a, pair.b), [])
        self.assertEqual(len(pair.a.sas), 1)
        self.assertEqual(sorted(b.policy.name for b in pair.b.bundles), [*(f"net{n}" for n in range(4))])
        messages = quick(pair.a)[::2]
        self.assertEqual(len({message.message_id for message in messages}), 4)
        self.assertEqual(len({message.one(Nonce).data for message in messages}), 4)
        keys = {one.keys["encryption"] for b in pair.a.bundles for one in (*b.inbound, *b.outbound)}
        self.assertEqual(len(keys), 8)

    def test_both_ends_begin(self) -> None:
        """
        Whoever began phase 1, either end may begin a Quick Mode; the cookies do not swap places.

        Proves: RFC 2409 section 4
        """
        pair = between("aes128-sha256-curve25519")
        self.agreed(pair)
        his = pair.b.connection()
        begun = pair.b.endpoint.establish(his, his.child("net"))
        pair.wait(1)
        self.assertEqual(len(self.successResultOf(begun)), 1)
        self.assertEqual((len(pair.a.bundles), len(pair.b.bundles)), (2, 2))
        self.assertEqual(disagreements(pair.a, pair.b), [])
        self.assertEqual(
            {message.cookies for member in (pair.a, pair.b) for message in quick(member)},
            {pair.a.sas[0].key},
        )

    def test_told(self) -> None:
        """Each end publishes what it has, the ISAKMP SA before the child."""
        pair = between("aes128-sha256")
        self.agreed(pair)
        for member in (pair.a, pair.b):
            told = [event.sa for event in member.published(Established)]
            self.assertEqual(told, [*member.sas, *member.bundles])


class ManySAsTests(SynchronousTestCase):
    """
    Several SA payloads in one Quick Mode: RFC 2409 sections 5.5 and 9.
    """

    def pair(self, *suites: str, his: tuple[str, ...] = ()) -> Pair:
        """Children with the same traffic and a suite each."""
        here, there = "10.1.0.0/24", "10.2.0.0/24"
        names = [f"net{n}" for n in range(len(suites))]
        return two(
            with_children(
                *(child(here, there, s, name=n) for n, s in zip(names, suites, strict=True))
            ),
            with_children(child(there, here, *(his or dict.fromkeys(suites)))),
        )

    def test_order(self) -> None:
        """
        Several SAs are answered in their order, each with what was chosen for it; the result is
        two SAs for each payload, and as many keys.

        Proves: RFC 2409 section 5.5
        Proves: RFC 2409 section 9
        """
        pair = self.pair("aes256-sha512", "aes128gcm16", "3des-sha1")
        bundles = established(pair, "net0", "net1", "net2")
        self.assertEqual(
            [parameters(bundle)[0].encryption for bundle in bundles],
            ["aes-cbc", "aes-gcm-16", "3des-cbc"],
        )
        self.assertEqual(disagreements(pair.a, pair.b), [])
        self.assertEqual((len(quick(pair.a)), len(quick(pair.b))), (2, 1))
        said, answered = quick(pair.a)[0], quick(pair.b)[0]
        shape = [*[SecurityAssociation] * 3, Nonce, Identification, Identification]
        self.assertEqual((kinds(said), kinds(answered)), (shape, shape))
        for bundle, payload in zip(bundles, answered.all(SecurityAssociation), strict=True):
            (suite,) = offer_of(ipsec, payload).suites
            self.assertEqual(suite.proposals[0].spi, bundle.outbound[0].key.spi)
        keys = {one.keys["encryption"] for b in bundles for one in (*b.inbound, *b.outbound)}
        self.assertEqual(len(keys), 6)

    def test_identical(self) -> None:
        """
        A range of SAs that differ in nothing but their SPIs, with one key exchange for all.

        Proves: RFC 2409 section 9
        """
        pair = self.pair(*["aes128-sha256-curve25519"] * 4)
        bundles = established(pair, "net0", "net1", "net2", "net3")
        self.assertEqual(len(bundles), 4)
        self.assertEqual(disagreements(pair.a, pair.b), [])
        self.assertEqual(len(quick(pair.a)[0].all(KeyExchange)), 1)
        self.assertEqual(len({b.inbound[0].key.spi for b in bundles}), 4)
        keys = {one.keys["encryption"] for b in bundles for one in (*b.inbound, *b.outbound)}
        self.assertEqual(len(keys), 8)

    def test_all_or_none(self) -> None:
        """If one of several is not acceptable none is agreed, and no SPI stays reserved."""
        pair = self.pair("aes128-sha256", "aes256-sha512", his=("aes128-sha256",))
        refused(self, pair, PeerRefused, "net0", "net1")
        self.assertIn("no offered protection suite", str(pair.b.failures[0]))

    def test_impossible(self) -> None:
        """
        Children that differ in traffic or group, none and too many are refused before anything of
        Quick Mode is sent.
        """
        groups = self.pair("aes128-sha256-modp1024", "aes128-sha256-modp2048")
        with self.assertRaisesRegex(ConfigurationError, "one group only"):
            established(groups, "net0", "net1")
        mixed = self.pair("aes128-sha256", "aes128-sha256-modp2048")
        with self.assertRaisesRegex(ConfigurationError, "one group only .*none, 14"):
            established(mixed, "net0", "net1")
        other = child("10.9.0.0/24", "10.2.0.0/24", name="other")
        apart = two(with_children(child("10.1.0.0/24", "10.2.0.0/24"), other))
        with self.assertRaisesRegex(ConfigurationError, "the same traffic"):
            established(apart, "net", "other")
        many = self.pair(*["aes128-sha256"] * 9)
        with self.assertRaisesRegex(ConfigurationError, "one to 8 children"):
            established(many, *(f"net{n}" for n in range(9)))
        configured = many.a.connection()
        begun = many.a.endpoint.establish(configured, ())
        many.wait(1)
        self.failureResultOf(begun, ConfigurationError)
        for pair in (groups, mixed, apart, many):
            self.assertEqual(quick(pair.a), [])
            self.assertEqual(pair.a.sink.reserved, frozenset())

    def test_most(self) -> None:
        """Eight SAs can share a Quick Mode."""
        pair = self.pair(*["aes128gcm16"] * 8)
        self.assertEqual(len(established(pair, *(f"net{n}" for n in range(8)))), 8)
        self.assertEqual(disagreements(pair.a, pair.b), [])


class SelectorTests(SynchronousTestCase):
    """Whose traffic it is."""

    def agreed(self, pair: Pair) -> tuple[SABundle, SABundle]:
        """Both ends' bundle."""
        (hers,) = established(pair)
        (his,) = pair.b.bundles
        self.assertEqual((hers.policy.local, hers.policy.remote), (his.policy.remote, his.policy.local))
        return hers, his

    def test_kinds(self) -> None:
        """
        Addresses, subnets and ranges of both versions, with protocol and port, become the SAs'
        traffic at both ends.

        Proves: RFC 2409 section 5.5
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

        Proves: RFC 2409 section 5.5
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
        self.assertIn("one: nearest", sentence)
        self.assertIn("Key Length is 256 there and 128 here", sentence)
        self.assertIn("two: nearest", sentence)
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

    def test_gone(self) -> None:
        """A method whose connection is not configured any longer has none."""
        pair = between("aes128-sha256")
        established(pair)
        (sa,) = pair.a.sas
        exchange = type("Exchange", (), {"sa": replace(cast("Connection", sa), connection="x")})()
        exchange.node = pair.a.node
        self.assertIsNone(QuickMode().method(exchange, ()).connection)
