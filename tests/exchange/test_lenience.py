"""
What a connection can overlook in the messages of its peer, and what it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Lifetime, Offer, ProtectionSuite
from isakmp.connections import Connection
from isakmp.departures import (
    BASIC_AS_VARIABLE,
    KEY_LENGTH_FIRST,
    LENIENCES,
    NONE,
    RESERVED_FLAGS,
    RESERVED_OCTETS,
    USUAL,
)
from isakmp.doi.ipsec import ipsec
from isakmp.errors import (
    InvalidFlags,
    InvalidNextPayload,
    InvalidReservedField,
    NoProposalChosen,
    PeerError,
)
from isakmp.events import MessageDropped
from isakmp.exchange.phase1 import offer_of
from isakmp.ike.parameters import Parameters
from isakmp.numbers import IPsecAttribute, Phase1Attribute
from isakmp.paths import Datagram
from isakmp.testing import settle
from isakmp.wire.attributes import Attribute
from isakmp.wire.message import CookiePair, Flags, Header, Message, decode_chain
from isakmp.wire.payloads import Nonce, SecurityAssociation, Unrecognized
from tests.ike.ends import Change, two
from tests.nodes import ALICE, Pair, disagreements

Forge = Callable[[bytes], bytes]

COOKIES = CookiePair(b"initiate", b"responds")


def overlooking(*names: str) -> Change:
    """A connection that overlooks these and nothing else."""
    return lambda connection: replace(connection, lenient=frozenset(names))


def flagged(octets: bytes) -> bytes:
    """With reserved flags."""
    return octets[:19] + bytes([octets[19] | 0xF8]) + octets[20:]


def reserved(octets: bytes) -> bytes:
    """With reserved octets in all its generic headers, which no HASH covers; sealed as it is."""
    if octets[19] & Flags.ENCRYPTION:
        return octets
    changed, at, following = bytearray(octets), Header.SIZE, octets[16]
    while following:
        changed[at + 1] = 0xA5
        following, at = changed[at], at + int.from_bytes(changed[at + 2 : at + 4])
    return bytes(changed)


def everything_of_alice(both: Pair, forge: Forge) -> None:
    """All that she sends is changed so."""

    def tap(datagram: Datagram) -> Iterable[Datagram] | None:
        if datagram.path.local[0] != ALICE:
            return None
        return [Datagram(forge(datagram.octets), datagram.path)]

    both.network.taps.append(tap)


def variable(attribute: Attribute) -> Attribute:
    """The same in the TLV format."""
    return Attribute(attribute.kind, attribute.value, False)


def child_as_variable(connection: Connection) -> Connection:
    """What is offered for its children has all basic attributes in the TLV format."""

    def changed(suite: ProtectionSuite) -> ProtectionSuite:
        return ProtectionSuite(
            tuple(
                replace(
                    proposal,
                    transforms=tuple(
                        replace(t, attributes=tuple(map(variable, t.attributes)))
                        for t in proposal.transforms
                    ),
                )
                for proposal in suite.proposals
            )
        )

    return replace(
        connection,
        children=tuple(
            replace(child, suites=tuple(map(changed, child.suites)))
            for child in connection.children
        ),
    )


def with_type(number: int) -> Forge:
    """A payload of this type behind the others, where it is in clear text."""

    def forge(octets: bytes) -> bytes:
        if octets[19] & Flags.ENCRYPTION:
            return octets
        message = Message.decode(octets)
        more = Unrecognized(number, b"anything")
        return message.with_payloads((*message.payloads, more)).encode()

    return forge


class OverlookedTests(SynchronousTestCase):
    """Peers that depart."""

    def completes(self, both: Pair) -> None:
        """Both phases do, and nothing is dropped."""
        both.up()
        self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual(len(both.b.bundles), 1)
        for member in (both.a, both.b):
            self.assertEqual(member.published(MessageDropped), [])

    def refused(self, both: Pair, kind: type[PeerError]) -> str:
        """They do not, and the responder says why."""
        with self.assertRaises(PeerError):
            settle(both.clock, both.a.establish())
        dropped = [event.error for event in both.b.published(MessageDropped)]
        self.assertIsInstance(dropped[0], kind)
        return str(dropped[0])

    def test_reserved_flags(self) -> None:
        """
        A peer that sets reserved flags in every message is understood if that is overlooked, in
        both phases; else each such message is dropped.

        Proves: RFC 2408 section 5.2
        """
        both = two(his=overlooking(RESERVED_FLAGS))
        everything_of_alice(both, flagged)
        # The defined ones among them mean what they mean.
        self.completes(both)
        both = two()
        everything_of_alice(both, flagged)
        self.assertIn("lenient", self.refused(both, InvalidFlags))

    def test_reserved_octets(self) -> None:
        """
        So is one that has something in reserved octets.

        Proves: RFC 2408 section 5.3
        """
        both = two(his=overlooking(RESERVED_OCTETS))
        everything_of_alice(both, reserved)
        self.completes(both)
        both = two()
        everything_of_alice(both, reserved)
        self.assertIn(RESERVED_OCTETS, self.refused(both, InvalidReservedField))

    def test_basic_as_variable(self) -> None:
        """
        So is one whose basic attributes are in the TLV format, as initiator and as responder, in
        both phases; its transforms are answered as they were offered.
        """
        said = Parameters.attributes

        def attributes(parameters: Parameters) -> tuple[Attribute, ...]:
            return tuple(
                a if a.kind == Phase1Attribute.LIFE_DURATION else variable(a)
                for a in said(parameters)
            )

        self.patch(Parameters, "attributes", attributes)

        def hers(connection: Connection) -> Connection:
            return child_as_variable(overlooking(BASIC_AS_VARIABLE)(connection))

        both = two(hers, overlooking(BASIC_AS_VARIABLE))
        self.completes(both)
        (bundle,) = both.b.bundles
        self.assertEqual(bundle.policy.name, "net")
        self.assertIn("basic-as-variable", self.refused(two(hers), NoProposalChosen))

    def test_answered_as_variable(self) -> None:
        """
        In phase 2 alone, too; where it is not overlooked nothing is chosen, and said why.
        """
        both = two(
            lambda c: child_as_variable(overlooking(BASIC_AS_VARIABLE)(c)),
            overlooking(BASIC_AS_VARIABLE),
        )
        self.completes(both)
        both = two(lambda c: child_as_variable(overlooking(BASIC_AS_VARIABLE)(c)))
        self.assertIn("encoded as variable", self.refused(both, NoProposalChosen))
        self.assertEqual(len(both.b.sas), 1)

    def test_key_length_first(self) -> None:
        """
        A Key Length before the Encryption Algorithm, as vpnc has it, is taken unless one is
        stricter than the RFCs.
        """
        said = Parameters.attributes

        def attributes(parameters: Parameters) -> tuple[Attribute, ...]:
            first = Phase1Attribute.KEY_LENGTH
            return tuple(sorted(said(parameters), key=lambda a: a.kind != first))

        self.patch(Parameters, "attributes", attributes)
        self.completes(two())
        self.assertIn(KEY_LENGTH_FIRST, self.refused(two(his=overlooking()), NoProposalChosen))

    def test_initiator(self) -> None:
        """
        An initiator overlooks what its own connection says, from the first answer on.
        """
        for lenient, kind in ((RESERVED_FLAGS, InvalidFlags), (RESERVED_OCTETS, PeerError)):
            forge = flagged if lenient == RESERVED_FLAGS else reserved

            def of_bob(datagram: Datagram, forge: Forge = forge) -> Iterable[Datagram] | None:
                if datagram.path.local[0] == ALICE:
                    return None
                return [Datagram(forge(datagram.octets), datagram.path)]

            both = two(overlooking(lenient))
            both.network.taps.append(of_bob)
            self.completes(both)
            both = two()
            both.network.taps.append(of_bob)
            with self.assertRaises(PeerError):
                settle(both.clock, both.a.establish())
            self.assertIsInstance(both.a.published(MessageDropped)[0].error, kind)


class MeantTests(SynchronousTestCase):
    """Whose lenience counts."""

    def test_before_it_is_known_who(self) -> None:
        """
        A first message that departs can mean the connections that overlook it, and no others; what
        a connection with another address overlooks does not help.
        """
        for forge, name in ((flagged, RESERVED_FLAGS), (reserved, RESERVED_OCTETS)):
            both = two()
            (usual,) = [both.b.connection()]
            elsewhere = replace(
                usual, name="elsewhere", remote=("192.0.2.99",), lenient=frozenset(LENIENCES)
            )
            both = two(his_others=(elsewhere,))
            everything_of_alice(both, forge)
            with self.assertRaises(PeerError):
                settle(both.clock, both.a.establish())
            self.assertEqual(both.b.sas, [])
            anybody = replace(usual, name="anybody", remote=(), lenient=frozenset({name}))
            both = two(his_others=(anybody,))
            everything_of_alice(both, forge)
            both.up()
            (sa,) = both.b.sas
            self.assertEqual(sa.connection, "anybody")

    def test_configured_anew(self) -> None:
        """Under an SA what counts is what its connection overlooks by now."""
        both = two(his=overlooking(RESERVED_FLAGS))
        everything_of_alice(both, flagged)
        both.up()
        strict = replace(both.b.connection(), lenient=NONE)
        both.b.node.policy.configure([strict])
        with self.assertRaises(PeerError):
            settle(both.clock, both.a.establish())
        self.assertIsInstance(both.b.published(MessageDropped)[0].error, InvalidFlags)

    def test_policy(self) -> None:
        """What may be meant on a path, and what a connection overlooks by name."""
        both = two(his=overlooking(RESERVED_OCTETS))
        policy = both.b.node.policy
        self.assertEqual(policy.lenient("lab"), {RESERVED_OCTETS})
        self.assertEqual(policy.lenient("nobody"), NONE)
        self.assertEqual(policy.lenient_at(both.b.path_to(ALICE)), {RESERVED_OCTETS})
        self.assertEqual(policy.lenient_at(both.b.path_to("192.0.2.77")), NONE)


class CodecTests(SynchronousTestCase):
    """What is only noted, and by whom it is judged."""

    def test_strict_by_itself(self) -> None:
        """Who does not ask for departures gets none: the codec refuses them."""
        octets = reserved(Message(COOKIES, 2, 0, 0, (Nonce(b"12345678"),)).encode())
        self.assertRaises(InvalidReservedField, Message.decode, octets)
        self.assertRaises(InvalidReservedField, decode_chain, 10, octets[28:])
        message = Message.decode(octets, departures=set())
        self.assertEqual(message.departures, {RESERVED_OCTETS})
        plain = Message.decode(message.encode(), departures=set())
        self.assertEqual((plain, set(plain.departures)), (message, set()))

    def test_offer(self) -> None:
        """
        Reserved octets of Proposals and Transforms are judged where the offer is understood, again
        each time: what one connection overlooks, another does not.
        """
        (suite,) = two().b.connection().suites
        payload = Offer(ipsec.number, ipsec.phase1_situation, (suite,)).payload()
        # Situation; Proposal from 4 on; Transform from 12 on: its generic header and RESERVED2.
        for at in (5, 13, 18, 19):
            body = payload.body[:at] + b"\1" + payload.body[at + 1 :]
            bad = SecurityAssociation(payload.doi, body)
            for _ in range(2):
                self.assertRaises(InvalidReservedField, offer_of, ipsec, bad)
                offer = offer_of(ipsec, bad, frozenset({RESERVED_OCTETS}))
                self.assertEqual(offer, offer_of(ipsec, payload))
                self.assertRaises(InvalidReservedField, offer_of, ipsec, bad, USUAL)

    def test_never(self) -> None:
        """A payload type that is reserved is overlooked by nobody; one for private use is."""
        for number, refused in ((33, True), (127, True), (128, False), (22, False)):
            both = two(his=overlooking(*LENIENCES))
            everything_of_alice(both, with_type(number))
            if refused:
                with self.assertRaises(PeerError):
                    settle(both.clock, both.a.establish())
                error = both.b.published(MessageDropped)[0].error
                self.assertIsInstance(error, InvalidNextPayload)
            else:
                both.up()

    def test_same_reading(self) -> None:
        """What is overlooked changes nothing of what is understood."""
        for spelling in ("aes256-sha1", "3des-md5-modp2048"):
            suite = ipsec.suite(spelling, Lifetime(3600))
            (proposal,) = suite.proposals
            (transform,) = proposal.transforms
            other = replace(
                transform,
                attributes=tuple(
                    a if a.kind == IPsecAttribute.SA_LIFE_DURATION else variable(a)
                    for a in transform.attributes
                ),
            )
            self.assertEqual(
                ipsec.terms(proposal), ipsec.terms(replace(proposal, transforms=(other,)))
            )

