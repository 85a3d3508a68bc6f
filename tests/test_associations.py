"""Offers, suites, and the security associations that come of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import (
    ChildPolicy,
    CookiePair,
    IPsecParameters,
    Lifetime,
    Offer,
    Proposal,
    ProtectionSA,
    ProtectionSuite,
    SABundle,
    SPIKey,
    Transform,
    suites_of,
)
from isakmp.errors import BadProposalSyntax
from isakmp.identity import TrafficSelector
from isakmp.wire.attributes import Attribute
from isakmp.wire.proposals import decode_proposals
from isakmp.wire.reader import Reader

TRANSFORM = Transform(1, 12, (Attribute.tv(4, 1),))


def proposal(number: int, protocol: int = 3, spi: bytes = b"") -> Proposal:
    """A proposal with one transform."""
    return Proposal(number, protocol, spi, (TRANSFORM,))


@dataclass(frozen=True)
class Labelled:
    """A situation of some domain."""

    octets: bytes

    def encode(self) -> bytes:
        return self.octets


class LifetimeTests(SynchronousTestCase):
    def test_shorter(self) -> None:
        """Each bound is the smaller one; a bound that one side has not is the other's."""
        for one, other, both in (
            (Lifetime(), Lifetime(), Lifetime()),
            (Lifetime(10), Lifetime(), Lifetime(10)),
            (Lifetime(), Lifetime(10), Lifetime(10)),
            (Lifetime(10), Lifetime(20), Lifetime(10)),
            (Lifetime(10, 5), Lifetime(20, 4), Lifetime(10, 4)),
            (Lifetime(10), Lifetime(0, 4), Lifetime(10, 4)),
        ):
            self.assertEqual(one.shorter(other), both)

    @settings(deadline=None)
    @given(*[st.builds(Lifetime, st.integers(0, 3), st.integers(0, 3))] * 2)
    def test_agreed(self, one: Lifetime, other: Lifetime) -> None:
        """Both sides come to the same, and nobody's bound is exceeded."""
        both = one.shorter(other)
        self.assertEqual(both, other.shorter(one))
        for lifetime in (one, other):
            self.assertEqual(both.shorter(lifetime), both)


class SuitesTests(SynchronousTestCase):
    def test_gathered(self) -> None:
        """
        Proposals of one number are one suite, in the order in which they came.

        Proves: RFC 2408 section 4.2 (row 4.2-2)
        """
        ah, esp, alone = proposal(1, 2), proposal(1, 3), proposal(2)
        self.assertEqual(
            suites_of((ah, esp, alone)), (ProtectionSuite((ah, esp)), ProtectionSuite((alone,)))
        )
        self.assertEqual(suites_of(()), ())

    def test_numbers(self) -> None:
        """Numbers may begin with 0, as vpnc's do, have gaps, and fall."""
        numbers = [0, 3, 2, 255]
        suites = suites_of([proposal(number) for number in numbers])
        self.assertEqual([suite.number for suite in suites], numbers)

    def test_apart(self) -> None:
        """
        Proposals of one number must not be separated by one of another.

        Proves: RFC 2408 section 4.2 (row 4.2-3)
        """
        for numbers in ((1, 2, 1), (1, 1, 2, 3, 1), (0, 1, 0, 1)):
            error = self.assertRaises(
                BadProposalSyntax, suites_of, [proposal(number) for number in numbers]
            )
            self.assertIn("1", error.reason.offered)

    def test_numbered(self) -> None:
        """A suite can be offered under another number, all of it."""
        suite = ProtectionSuite((proposal(1, 2, b"a"), proposal(1, 3, b"b")))
        self.assertEqual(
            suite.numbered(7), ProtectionSuite((proposal(7, 2, b"a"), proposal(7, 3, b"b")))
        )
        self.assertEqual(suite.number, 1)

    def test_with_spis(self) -> None:
        """Each proposal gets the SPI of its protocol; one that is missing is not made up."""
        suite = ProtectionSuite((proposal(1, 2), proposal(1, 3)))
        self.assertEqual(
            suite.with_spis({2: b"a", 3: b"b"}),
            ProtectionSuite((proposal(1, 2, b"a"), proposal(1, 3, b"b"))),
        )
        self.assertRaises(KeyError, suite.with_spis, {2: b"a"})

    def test_payload(self) -> None:
        """
        An offer becomes an SA payload: domain, situation, then all proposals.

        Proves: RFC 2408 section 3.4 (row 3.4-3)
        Proves: RFC 2408 section 5.4 (row 5.4-1)
        """
        suites = suites_of((proposal(1, 2), proposal(1, 3), proposal(2)))
        payload = Offer(9, Labelled(b"situation"), suites).payload()
        self.assertEqual(payload.doi, 9)
        reader = Reader(payload.body)
        self.assertEqual(reader.take(9), b"situation")
        self.assertEqual(suites_of(decode_proposals(reader)), suites)


SECRET = b"\xa5" * 16


def association(spi: bytes, destination: str) -> ProtectionSA:
    """One direction."""
    return ProtectionSA(
        SPIKey(1, 3, spi, destination),
        {"encryption": SECRET, "integrity": SECRET},
        IPsecParameters("tunnel", "aes-cbc", "hmac-sha1-96"),
        Lifetime(3600),
    )


class SATests(SynchronousTestCase):
    def setUp(self) -> None:
        here, there = TrafficSelector.parse("10.1.0.0/16"), TrafficSelector.parse("10.2.0.0/16")
        policy = ChildPolicy("road", "net", 1, Labelled(b""), here, there, ())
        self.inbound = association(b"\0\0\1\1", "192.0.2.1")
        self.outbound = association(b"\0\0\1\2", "192.0.2.2")
        self.bundle = SABundle(
            "road/net#1",
            CookiePair(b"initiate", b"responds"),
            (self.inbound,),
            (self.outbound,),
            policy,
        )

    def test_keys(self) -> None:
        """A bundle is found by the names of its SAs, first of all by what it receives by."""
        self.assertEqual(self.bundle.key, self.inbound.key)
        self.assertEqual(self.bundle.keys, (self.inbound.key, self.outbound.key))
        self.assertEqual(self.bundle.connection, "road")

    def test_half(self) -> None:
        """A responder's bundle can be without its outbound side."""
        half = replace(self.bundle, outbound=())
        self.assertEqual(half.keys, (self.inbound.key,))
        self.assertEqual(half.key, self.inbound.key)

    def test_no_secrets_shown(self) -> None:
        """Keys do not show in anything that is logged."""
        for shown in (repr(self.bundle), str(self.bundle), repr(self.inbound)):
            self.assertNotIn("xa5", shown)
            self.assertNotIn("a5a5", shown)

    def test_hash(self) -> None:
        """SAs can be members of sets, whatever their keys."""
        again = replace(self.inbound, keys={})
        self.assertEqual(again, self.inbound)
        self.assertEqual(len({again, self.inbound, self.outbound}), 2)

    def test_names(self) -> None:
        """
        An SA is named by domain, protocol, SPI and destination: any other is another SA.

        Proves: RFC 2408 section 2.4
        """
        key = SPIKey(1, 3, b"\0\0\1\1", "192.0.2.1")
        self.assertEqual(key, self.inbound.key)
        for changes in (
            {"doi": 2},
            {"protocol": 2},
            {"spi": b"\0\0\1\2"},
            {"destination": "192.0.2.2"},
        ):
            self.assertNotEqual(key._replace(**changes), key)
