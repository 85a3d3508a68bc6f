"""
Quick Mode between two nodes: what is agreed, with whom, and under which keys.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.associations import IPsecParameters, SABundle
from isakmp.doi.ipsec import ipsec
from isakmp.errors import (
    ConfigurationError,
    PeerRefused,
)
from isakmp.events import Established, MessageSent
from isakmp.exchange.phase1 import offer_of
from isakmp.ike.quick_mode import QuickMode
from isakmp.interfaces import IExchangeType, Sealed
from isakmp.numbers import ExchangeType
from isakmp.wire.message import Message
from isakmp.wire.payloads import (
    Identification,
    KeyExchange,
    Nonce,
    Payload,
    SecurityAssociation,
)
from tests.ike.ends import between, child, established, parameters, refused, two, with_children
from tests.nodes import Member, Pair, disagreements


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
        self.assertIs(QuickMode.sealed, Sealed.REQUIRED)

    def test_without_pfs(self) -> None:
        """
        Without a group no key is exchanged: HASH, SA and nonce, client identities; HASH, SA and
        nonce, the same identities; HASH.

        Proves: RFC 2409 section 5.5
        Proves: RFC 2408 section 1.4.2 (row 1.4.2-1)
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

        Proves: RFC 2409 section 5.5 (row 5.5-4)
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
            (
                "aes128gcm8-ecp256",
                IPsecParameters("tunnel", "aes-gcm-8", "none", group=19),
                (20, 0),
            ),
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

        Proves: RFC 2408 section 4.2 (row 4.2-8)
        Proves: RFC 2408 section 4.1.1 (row 4.1.1-1)
        """
        pair = between(
            "aes256-sha512", "aes128-sha256", "3des-sha1", his=("3des-sha1", "aes128-sha256")
        )
        (bundle,) = self.agreed(pair)
        self.assertEqual(parameters(bundle)[0].encryption, "aes-cbc")
        offered, answered = (
            offer_of(ipsec, quick(end)[0].one(SecurityAssociation)) for end in (pair.a, pair.b)
        )
        self.assertEqual([suite.number for suite in offered.suites], [1, 2, 3])
        self.assertEqual([suite.number for suite in answered.suites], [2])
        spis = {suite.proposals[0].spi for suite in offered.suites}
        self.assertEqual(spis, {bundle.inbound[0].key.spi})
        self.assertEqual(answered.suites[0].proposals[0].spi, bundle.outbound[0].key.spi)

    def test_lifetime(self) -> None:
        """
        A responder takes the shorter of what was offered and its own; if that is its own it says
        so, and the initiator takes it too.
        """
        here, there = "10.1.0.0/24", "10.2.0.0/24"
        for hers, his in ((600, 900), (900, 600)):
            pair = two(
                with_children(child(here, there, seconds=hers)),
                with_children(child(there, here, seconds=his)),
            )
            (bundle,) = self.agreed(pair)
            self.assertEqual(bundle.inbound[0].lifetime.seconds, min(hers, his))
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
        names = sorted(bundle.policy.name for bundle in pair.b.bundles)
        self.assertEqual(names, ["net0", "net1", "net2", "net3"])
        messages = quick(pair.a)[::2]
        self.assertEqual(len({message.message_id for message in messages}), 4)
        self.assertEqual(len({message.one(Nonce).data for message in messages}), 4)
        keys = {one.keys["encryption"] for b in pair.a.bundles for one in (*b.inbound, *b.outbound)}
        self.assertEqual(len(keys), 8)

    def test_both_ends_begin(self) -> None:
        """
        Whoever began phase 1, either end may begin a Quick Mode; the cookies do not swap places.

        Proves: RFC 2409 section 4 (row 4-3)
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
        Children that differ in traffic or group, and too many, are refused before anything of Quick
        Mode is sent; none are an ISAKMP SA alone.

        Proves: RFC 2409 section 5.5 (row 5.5-8)
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
        self.assertEqual((self.successResultOf(begun), len(many.a.sas)), ((), 1))
        for pair in (groups, mixed, apart, many):
            self.assertEqual(quick(pair.a), [])
            self.assertEqual(pair.a.sink.reserved, frozenset())

    def test_most(self) -> None:
        """Eight SAs can share a Quick Mode."""
        pair = self.pair(*["aes128gcm16"] * 8)
        self.assertEqual(len(established(pair, *(f"net{n}" for n in range(8)))), 8)
        self.assertEqual(disagreements(pair.a, pair.b), [])
