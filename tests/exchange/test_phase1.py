"""What a first message asks for: its domain of interpretation, its offer, its key exchange."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from isakmp.associations import Lifetime, Offer
from isakmp.connections import Candidates, Connection
from isakmp.doi.ipsec import ipsec
from isakmp.doi.isakmp import ISAKMPDOI
from isakmp.errors import (
    BadProposalSyntax,
    ConfigurationError,
    DOINotSupported,
    InvalidProtocolID,
    InvalidTransformID,
    Malformed,
    NoProposalChosen,
    PeerError,
    SituationNotSupported,
    UnsupportedExchangeType,
)
from isakmp.exchange.phase1 import Phase1Type, domain_of, key_exchange_of, offer_of, path_of
from isakmp.ike.key_exchange import ike
from isakmp.interfaces import IExchange, IPorts, Sealed
from isakmp.numbers import NotifyType, ProtocolID
from isakmp.paths import Address, Datagram, Path
from isakmp.wire.payloads import PAYLOADS, SecurityAssociation
from isakmp.wire.proposals import Proposal, Transform, encode_proposals
from tests.samples import SampleSA

IDENTITY_ONLY = b"\0\0\0\1"


class Knock(Phase1Type):
    """An exchange type that brings its name and number, and nothing else."""

    number = 2
    name = "Knock"


class KeyExchange:
    """One that notes what it is asked for."""

    def __init__(self, name: str, transform_id: int, *offers: int) -> None:
        self.name = name
        self.transform_id = transform_id
        self.offers = frozenset(offers)

    def method(self, exchange: IExchange, candidates: Candidates[Connection]) -> object:
        """Not one, but what it was asked with."""
        return self.name, exchange, candidates


def node(*key_exchanges: KeyExchange) -> Any:
    """As much of a node as is looked at."""
    return SimpleNamespace(
        dois={0: ISAKMPDOI(), 1: ipsec},
        key_exchanges={one.transform_id: one for one in key_exchanges},
    )


def proposal(*transform_ids: int, protocol: int = ProtocolID.ISAKMP, number: int = 1) -> Proposal:
    transforms = tuple(Transform(n, one, ()) for n, one in enumerate(transform_ids, 1))
    return Proposal(number, protocol, b"", transforms)


def payload(*proposals: Proposal, doi: int = 1, before: bytes = IDENTITY_ONLY) -> Any:
    return SecurityAssociation(doi, before + encode_proposals(proposals))


class TypeTests(SynchronousTestCase):
    """What the framework's exchange types have in common."""

    def test_defaults(self) -> None:
        """A type of RFC 2408 makes no children, is answered, and carries the known payloads."""
        kind = Knock()
        self.assertEqual(
            (kind.sealed, kind.one_way, kind.establishes, kind.waits_for_cookie, kind.payloads),
            (Sealed.OPTIONAL, False, False, False, PAYLOADS),
        )

    def test_hashed(self) -> None:
        """Under an SA a message of it is proven with message id, nonces and all that follows."""
        hashed: list[bytes] = []

        class Proving(SampleSA):
            def authenticate(self, octets: bytes) -> bytes:
                hashed.append(octets)
                return b"proof"

        proof = Knock().hashed(Proving(), b"\0\0\0\7", b"nonces", b"rest")
        self.assertEqual((proof, hashed), (b"proof", [b"\0\0\0\7noncesrest"]))

    def method(self, name: str, *key_exchanges: KeyExchange) -> Any:
        exchange: Any = SimpleNamespace(node=node(*key_exchanges))
        road = Connection("road", (), key_exchange=name)
        candidates = Candidates((road, replace(road, name="other", key_exchange="ike")))
        return Knock().method(exchange, candidates), exchange, candidates

    def test_method(self) -> None:
        """The words of an exchange are filled by the key exchange that the connection names."""
        found, exchange, candidates = self.method(
            "photuris", KeyExchange("ike", 1, 2), KeyExchange("photuris", 9, 1, 2, 4)
        )
        self.assertEqual(found, ("photuris", exchange, candidates))

    def test_not_enabled(self) -> None:
        """A connection whose key exchange is not enabled is a mistake that names it."""
        with self.assertRaisesRegex(ConfigurationError, "photuris is not enabled"):
            self.method("photuris", KeyExchange("ike", 1, 2))

    def test_does_not_run(self) -> None:
        """So is one whose key exchange does not run this exchange type."""
        with self.assertRaisesRegex(ConfigurationError, "photuris does not run Knock"):
            self.method("photuris", KeyExchange("photuris", 9, 1, 4))


class DomainTests(SynchronousTestCase):
    """Whose numbers an SA payload is written in."""

    def test_enabled(self) -> None:
        """
        The payload names its domain of interpretation.

        Proves: RFC 2408 section 3.4
        """
        for number in (0, 1):
            self.assertEqual(domain_of(node(), payload(doi=number)).number, number)

    def test_not_enabled(self) -> None:
        """
        One that is not enabled here is refused, and I read which are.

        Proves: RFC 2408 section 5.4 (row 5.4-2)
        """
        for number in (2, 77, 0xFFFFFFFF):
            error = self.assertRaises(DOINotSupported, domain_of, node(), payload(doi=number))
            self.assertEqual(error.notify, NotifyType.DOI_NOT_SUPPORTED)
            self.assertEqual(error.reason.offered, str(number))
            self.assertEqual(error.reason.configured, "isakmp (0), ipsec (1)")


class OfferTests(SynchronousTestCase):
    """What an SA payload says."""

    def test_understood(self) -> None:
        """
        Proposals of one number are one suite; the situation is the domain's.

        Proves: RFC 2408 section 4.2
        """
        first, second = proposal(1), proposal(3, protocol=ProtocolID.ESP)
        third = proposal(5, 6, protocol=ProtocolID.ESP, number=2)
        offer = offer_of(ipsec, payload(first, second, third))
        self.assertEqual((offer.doi, offer.situation), (1, ipsec.phase1_situation))
        self.assertEqual([s.proposals for s in offer.suites], [(first, second), (third,)])

    def test_repeated(self) -> None:
        """What was understood says the same when it is said again."""
        suite = ike.suite("aes128-sha256-modp2048", Lifetime(3600, 1000))
        said = Offer(1, ipsec.phase1_situation, (suite,)).payload()
        self.assertEqual(offer_of(ipsec, said).payload(), said)

    def test_without_proposals(self) -> None:
        """An SA payload without a proposal offers nothing, and is refused."""
        for before in (IDENTITY_ONLY, IDENTITY_ONLY + bytes(8)):
            nothing = payload(before=before)
            self.assertRaises((Malformed, BadProposalSyntax), offer_of, ipsec, nothing)

    def test_situation(self) -> None:
        """
        A situation that the domain does not take is refused.

        Proves: RFC 2408 section 5.4 (row 5.4-3)
        """
        secret = payload(proposal(1), before=b"\0\0\0\2")
        self.assertRaises(SituationNotSupported, offer_of, ipsec, secret)

    def test_cut_short(self) -> None:
        """A payload that ends too soon, or too late, is malformed, wherever it is cut."""
        whole = payload(proposal(1, 1), proposal(1, number=2))
        for end in range(len(whole.body)):
            cut = SecurityAssociation(1, whole.body[:end])
            self.assertRaises((Malformed, BadProposalSyntax), offer_of, ipsec, cut)
        self.assertRaises(Malformed, offer_of, ipsec, SecurityAssociation(1, whole.body + b"\0"))

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=120))
    def test_anything(self, body: bytes) -> None:
        """Whatever stands in an SA payload: an offer with suites, or the peer's error."""
        for before in (b"", IDENTITY_ONLY):
            try:
                offer = offer_of(ipsec, SecurityAssociation(1, before + body))
            except PeerError:
                continue
            self.assertTrue(offer.suites)


class KeyExchangeTests(SynchronousTestCase):
    """Which key exchange a stranger's offer asks for."""

    IKE, OTHER = KeyExchange("ike", 1, 2), KeyExchange("photuris", 9, 1)

    def test_by_transform_id(self) -> None:
        """
        The Transform-ID of PROTO_ISAKMP says which key exchange is meant.

        Proves: RFC 2407 section 4.4.2
        Proves: RFC 2407 section 4.4.1.1 (row 4.4.1.1-1)
        Proves: RFC 2407 section 4.4.2.1 (row 4.4.2.1-1)
        """
        for number, transform_id, expected in ((2, 1, self.IKE), (1, 9, self.OTHER)):
            found = key_exchange_of(node(self.IKE, self.OTHER), number, (proposal(transform_id),))
            self.assertIs(found, expected)

    def test_preference(self) -> None:
        """Of several that are offered and enabled, ours is the preference."""
        found = key_exchange_of(node(self.IKE, KeyExchange("new", 9, 2)), 2, (proposal(200, 9, 1),))
        self.assertIs(found, self.IKE)

    def test_other_protocols(self) -> None:
        """
        A number means a key exchange in proposals for ISAKMP, and nothing in others.

        Proves: RFC 2408 appendix A.3 (row A.3-1)
        """
        offered = (proposal(1, protocol=ProtocolID.ESP), proposal(9))
        found = key_exchange_of(node(self.IKE, self.OTHER), 1, offered)
        self.assertIs(found, self.OTHER)
        error = self.assertRaises(
            InvalidProtocolID, key_exchange_of, node(self.IKE), 2, offered[:1]
        )
        self.assertEqual(error.reason.offered, "Protocol-ID 3")

    def test_reserved_transform(self) -> None:
        """
        Transform-ID 0 is none; one that is only unknown is passed over, and nothing is chosen.

        Proves: RFC 2408 section 5.6
        """
        self.assertRaises(
            InvalidTransformID, key_exchange_of, node(self.IKE), 2, (proposal(0, 0),)
        )
        self.assertRaises(
            NoProposalChosen, key_exchange_of, node(self.IKE), 2, (proposal(0, 99),)
        )

    def test_none_in_common(self) -> None:
        """
        If none is enabled, I read what was offered and what is enabled here.

        Proves: RFC 2408 section 5.4
        """
        error = self.assertRaises(
            NoProposalChosen, key_exchange_of, node(self.IKE), 2, (proposal(9, 7), proposal(7))
        )
        self.assertEqual(error.reason.offered, "Transform-ID 7, Transform-ID 9")
        self.assertEqual(error.reason.configured, "ike")
        error = self.assertRaises(NoProposalChosen, key_exchange_of, node(self.IKE), 2, ())
        self.assertEqual(error.reason.offered, "none")

    def test_exchange_not_run(self) -> None:
        """A key exchange that does not run this exchange type says so by its own name."""
        error = self.assertRaises(
            UnsupportedExchangeType, key_exchange_of, node(self.IKE), 4, (proposal(1),)
        )
        self.assertEqual(error.notify, NotifyType.UNSUPPORTED_EXCHANGE_TYPE)
        self.assertIn("ike does not run exchange type 4", str(error))


@implementer(IPorts)
class Ports:
    """Sockets at one address of each version."""

    def send(self, datagram: Datagram) -> None:
        raise NotImplementedError

    def source(self, remote: str, port: int) -> Address:
        return "2001:db8::9" if ":" in remote else "192.0.2.9", port


class PathTests(SynchronousTestCase):
    def path(self, local: str, remote: str, **ports: Any) -> Path:
        road = Connection("road", (), tuple(local.split()), tuple(remote.split()), **ports)
        return path_of(road, Ports())

    def test_configured(self) -> None:
        """From the first of our addresses to the first of the peer's, on their ports."""
        self.assertEqual(
            self.path("192.0.2.1 192.0.2.2", "198.51.100.1 198.51.100.2"),
            Path(("192.0.2.1", 500), ("198.51.100.1", 500)),
        )
        self.assertEqual(
            self.path("192.0.2.1", "198.51.100.1", local_port=15500, remote_port=4500),
            Path(("192.0.2.1", 15500), ("198.51.100.1", 4500)),
        )

    def test_version(self) -> None:
        """IPv6 goes from an IPv6 address, whichever of ours stands first."""
        for local in ("192.0.2.1 2001:db8::1", "2001:db8::1 192.0.2.1"):
            self.assertEqual(self.path(local, "2001:db8::2").local[0], "2001:db8::1")
            self.assertEqual(self.path(local, "198.51.100.1").local[0], "192.0.2.1")

    def test_networks(self) -> None:
        """A network or a range is no address: the next counts, or the one that routes name."""
        path = self.path("10.0.0.0/8", "198.51.100.0/24 203.0.113.1-203.0.113.9 198.51.100.7")
        self.assertEqual(path, Path(("192.0.2.9", 500), ("198.51.100.7", 500)))
        self.assertEqual(self.path("", "2001:db8::2").local[0], "2001:db8::9")

    def test_nowhere(self) -> None:
        """A connection for anybody cannot be begun: that names it."""
        for remote in ("", "198.51.100.0/24"):
            error = self.assertRaises(ConfigurationError, self.path, "192.0.2.1", remote)
            self.assertIn("connection road names no address of the peer", str(error))
