"""
The laboratory's domain between two nodes, and what a peer can say in its exchange and should not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Lifetime, Offer
from isakmp.connections import Child, Connection
from isakmp.doi.isakmp import isakmp_doi
from isakmp.errors import (
    ConfigurationError,
    DOINotSupported,
    InvalidIdentity,
    InvalidProtocolID,
    InvalidSPI,
    Malformed,
    NoProposalChosen,
    PeerError,
    PeerRefused,
    SituationNotSupported,
    UnexpectedPayload,
)
from isakmp.events import MessageSent
from isakmp.exchange.phase2 import Phase2Method
from isakmp.identity import Identities, Identity
from isakmp.ike.key_exchange import ike
from isakmp.interfaces import IExchange, IKeyExchangeMethod
from isakmp.testing import LossyNetwork, Trial, VirtualClock, check_key_exchange, settle
from isakmp.wire.payloads import (
    Identification,
    Nonce,
    Payload,
    SecurityAssociation,
)
from tests.laboratory import LABORATORY  # puts it where it can be imported
from tests.nodes import ALICE, BOB, Member, Pair, Settings, connection, left_over
from tests.testing.laboratory import TRIAL, module

assert LABORATORY
from laboratory.domain import BENCH, Laboratory, LinkExchange  # noqa: E402
from laboratory.sink import BenchSink  # noqa: E402

HERS, HIS = (Identity(BENCH, 0, 0, bytes([2, 0, 0, 0, 0, number])) for number in (1, 2))
SHORT = Identity(BENCH, 0, 0, b"short")
LIFETIME = Lifetime(1200)

Say = Callable[[frozenset[Any], list[Payload]], Sequence[Payload]]


class LyingMethod(Phase2Method):
    """Says something else than it means."""

    change: Say

    async def say(self, parts: frozenset[Any], riding: Sequence[Payload]) -> Sequence[Payload]:
        said = await super().say(parts, riding)
        return type(self).change(parts, list(said))


def lying(change: Say) -> Laboratory:
    """A domain whose exchange says something else, properly proven and sealed."""

    class Method(LyingMethod):
        pass

    Method.change = staticmethod(change)  # type: ignore[method-assign, assignment]

    class Lying(LinkExchange):
        def method(self, exchange: IExchange, order: object) -> IKeyExchangeMethod:
            return Method(exchange, order or ())  # type: ignore[arg-type]

    made = Laboratory()
    made.exchange_types = (Lying(),)
    return made


def instead(kind: type[Payload], *others: Payload) -> Say:
    """Instead of the payloads of a class these."""

    def change(parts: frozenset[Any], payloads: list[Payload]) -> Sequence[Payload]:
        if not any(isinstance(payload, kind) for payload in payloads):
            return payloads
        return [*others, *(payload for payload in payloads if not isinstance(payload, kind))]

    return change


def identification(identity: Identity) -> Identification:
    return Identification(identity.kind, identity.protocol, identity.port, identity.data)


def two(
    hers: Sequence[str] = ("aes256@50", "aes128"),
    his: Sequence[str] = ("aes128", "aes256@50"),
    *,
    identities: Identities | None = Identities(HIS, HERS),
    alices: Laboratory | None = None,
    bobs: Laboratory | None = None,
    key_exchange: str = "ike",
) -> Pair:
    """
    Alice and Bob, two benches.

    :param hers: Alice's suites; ``his`` Bob's.
    :param identities: what names Bob's child.
    :param alices: her domain; ``bobs`` his.
    """
    clock = VirtualClock()
    network = LossyNetwork(clock)
    wire: list[Any] = []
    network.record = wire
    settings = Settings(initial_contact=False)

    def configured(
        here: str, there: str, ours: str, theirs: str, suites: Sequence[str], named: Any
    ) -> Connection:
        made = tuple(Laboratory().suite(suite, LIFETIME) for suite in suites)
        child = Child("net", made, lifetime=LIFETIME, identities=named)
        base = connection(here, there, ours, theirs, settings)
        return replace(base, doi=Laboratory.number, children=(child,))

    a = configured(ALICE, BOB, "i.lab", "r.lab", hers, Identities(HERS, HIS))
    b = configured(BOB, ALICE, "r.lab", "i.lab", his, identities)
    members = [
        Member(
            network, clock, address, [one], dois=[isakmp_doi, doi or Laboratory()], sink=BenchSink()
        )
        for address, one, doi in ((ALICE, a, alices), (BOB, b, bobs))
    ]
    return Pair(clock, network, *members, settings, wire)


def but(lost: int, send: Callable[[Any], None]) -> Callable[[Any], None]:
    """All datagrams but one, by its number from 0."""
    number = count()

    def passing(datagram: Any) -> None:
        if next(number) != lost:
            send(datagram)

    return passing


class LinkTests(SynchronousTestCase):
    def test_established(self) -> None:
        """
        Five messages under the exchange type 32; each end installs the same two SAs, of the suite
        that the initiator prefers, for the two benches.
        """
        pair = two()
        (bundle,) = settle(pair.clock, pair.a.establish())
        pair.wait(0.5)
        (his,) = pair.b.bundles
        self.assertEqual([sa.key for sa in bundle.inbound], [sa.key for sa in his.outbound])
        self.assertEqual([sa.key for sa in bundle.outbound], [sa.key for sa in his.inbound])
        for ours, theirs in ((bundle.inbound, his.outbound), (bundle.outbound, his.inbound)):
            self.assertEqual(dict(ours[0].keys), dict(theirs[0].keys))
            self.assertEqual(ours[0].parameters, theirs[0].parameters)
        self.assertNotEqual(dict(bundle.inbound[0].keys), dict(bundle.outbound[0].keys))
        self.assertEqual(bundle.inbound[0].parameters.cipher, "aes256")  # type: ignore[attr-defined]
        self.assertEqual(bundle.policy.identities, Identities(HERS, HIS))
        self.assertEqual(his.policy.identities, Identities(HIS, HERS))
        sent = [*pair.a.published(MessageSent), *pair.b.published(MessageSent)]
        link = [one for one in sent if one.message.exchange_type == 32]
        self.assertEqual(len(link), 5)
        self.assertEqual(dict(pair.a.sink.standing).keys(), {bundle.name})

    def test_both_begin(self) -> None:
        """The responder of the first may begin the next."""
        pair = two()
        pair.up()
        settle(pair.clock, pair.b.establish())
        pair.wait(0.5)
        self.assertEqual((len(pair.a.bundles), len(pair.b.bundles)), (2, 2))
        self.assertEqual(len(pair.a.sas), 1)

    def test_over(self) -> None:
        """When one stops, nothing is left at either; the Delete names SAs of the laboratory."""
        pair = two()
        pair.up()
        settle(pair.clock, pair.a.assembly.stop())
        pair.wait(0.5)
        self.assertEqual(pair.b.bundles, [])
        self.assertEqual(dict(pair.b.sink.standing), {})
        settle(pair.clock, pair.b.assembly.stop())
        pair.wait(pair.quiet)
        self.assertEqual(left_over(pair.a, pair.b), [])

    def test_lossy(self) -> None:
        """Whatever is lost once, both have the same two SAs in the end."""
        for lost in range(11):
            pair = two()
            self.patch(pair.network, "_send", but(lost, pair.network._send))
            settle(pair.clock, pair.a.establish())
            pair.wait(20)
            (hers,), (his,) = pair.a.bundles, pair.b.bundles
            self.assertEqual(hers.inbound[0].key, his.outbound[0].key, lost)


class RefusedTests(SynchronousTestCase):
    """What one end refuses, and why; of it nothing stays at either."""

    def refused(self, pair: Pair, *words: str) -> PeerError:
        """Neither has an SA, nor an SPI reserved; what Bob said of it has these words."""
        with self.assertRaises(PeerError) as raised:
            settle(pair.clock, pair.a.establish())
        pair.wait(pair.settings.intervals.total + 5)
        for member in (pair.a, pair.b):
            self.assertEqual(member.bundles, [])
            self.assertEqual(dict(member.sink.standing), {})
            self.assertEqual(member.sink.reserved, frozenset())
        said = " ".join(map(str, (raised.exception, *pair.a.failures, *pair.b.failures)))
        for word in words:
            self.assertIn(word, said)
        return raised.exception

    def test_other_bench(self) -> None:
        """A bench that Bob is not for is refused, however good the offer."""
        other = Identity(BENCH, 0, 0, bytes(6))
        pair = two(identities=Identities(HIS, other))
        self.refused(pair, "no child of connection lab is for this traffic", "020000000001")
        self.assertEqual(pair.b.published(MessageSent)[-1].message.exchange_type, 5)

    def test_addresses(self) -> None:
        """A child that is named by addresses is not for benches, nor the other way round."""
        self.refused(two(identities=None), "is for this traffic")
        people = [identification(Identity.address(address)) for address in (ALICE, BOB)]
        self.refused(two(alices=lying(instead(Identification, *people))), "is for this traffic")

    def test_no_suite(self) -> None:
        """Nothing in common is told in the laboratory's words."""
        self.refused(two(["aes128@9"], ["aes256"]), "aes128@9", "aes256")

    def test_lies(self) -> None:
        """What an initiator says wrongly, the responder refuses as what it is."""
        room = Laboratory.phase1_situation
        sa = SecurityAssociation(Laboratory.number, replace(room, number=8).encode() + bytes(8))
        foreign = SecurityAssociation(1, (1).to_bytes(4) + bytes(8))
        for change, kind in (
            (instead(Nonce, Nonce(b"short")), Malformed),
            (instead(Nonce, Nonce(bytes(257))), Malformed),
            (instead(Identification, identification(HERS)), UnexpectedPayload),
            (instead(Identification, Identification(BENCH, 0, 0, b"x")), UnexpectedPayload),
            (
                instead(
                    Identification, Identification(BENCH, 0, 0, b"x"), identification(HIS)
                ),
                InvalidIdentity,
            ),
            (instead(SecurityAssociation, sa), SituationNotSupported),
            (instead(SecurityAssociation, foreign), DOINotSupported),
        ):
            pair = two(alices=lying(change))
            self.refused(pair)
            self.assertTrue(any(isinstance(e, kind) for e in pair.b.failures), pair.b.failures)

    def test_lying_responder(self) -> None:
        """An answer about other benches, in other words, of another suite: Alice takes none."""
        suite = Laboratory().suite("aes128@9", LIFETIME).with_spis({2: b"spi!"})
        other = Offer(Laboratory.number, Laboratory.phase1_situation, (suite,)).payload()
        stranger = identification(Identity(BENCH, 0, 0, bytes(6)))
        for change, kind in (
            (instead(Identification, identification(HERS), stranger), InvalidIdentity),
            (instead(SecurityAssociation, other), NoProposalChosen),
            (instead(Nonce, Nonce(b"")), Malformed),
        ):
            pair = two(bobs=lying(change))
            error = self.refused(pair)
            self.assertIsInstance(error, kind)

    def test_no_answer(self) -> None:
        """What Bob refuses Alice is told by a notification under the SA."""
        error = self.refused(two(["aes128@9"], ["aes256"]))
        self.assertIsInstance(error, PeerRefused)


class SPITests(SynchronousTestCase):
    def test_check_spi(self) -> None:
        """An SPI is of the one protocol that the laboratory has, and has octets."""
        Laboratory().check_spi(2, b"aaaa")
        self.assertRaises(InvalidSPI, Laboratory().check_spi, 2, b"")
        self.assertRaises(InvalidProtocolID, Laboratory().check_spi, 3, b"aaaa")


class MisuseTests(SynchronousTestCase):
    def test_children(self) -> None:
        """It makes one child at a time, and says so."""
        pair = two()
        pair.up()
        configured = pair.a.connection()
        begun = pair.a.endpoint.establish(configured, configured.children * 2)
        self.failureResultOf(begun, ConfigurationError)


class QuickModeTests(SynchronousTestCase):
    """A domain without exchange types of its own has the key exchange's."""

    def domain(self) -> Laboratory:
        made = Laboratory()
        made.exchange_types = ()
        return made

    def test_established(self) -> None:
        """Quick Mode says the two benches as its client identities."""
        pair = two(alices=self.domain(), bobs=self.domain())
        (bundle,) = settle(pair.clock, pair.a.establish())
        pair.wait(0.5)
        (his,) = pair.b.bundles
        self.assertEqual(his.policy.identities, Identities(HIS, HERS))
        self.assertEqual(dict(bundle.inbound[0].keys), dict(his.outbound[0].keys))
        sent = [*pair.a.published(MessageSent), *pair.b.published(MessageSent)]
        quick = [one.message for one in sent if one.message.exchange_type == 32]
        self.assertEqual(len(quick), 3)
        self.assertEqual(
            quick[0].all(Identification), (identification(HERS), identification(HIS))
        )

    def test_other_bench(self) -> None:
        """Another bench is other traffic."""
        other = Identity(BENCH, 0, 0, bytes(6))
        pair = two(
            alices=self.domain(), bobs=self.domain(), identities=Identities(HIS, other)
        )
        with self.assertRaises(PeerRefused):
            settle(pair.clock, pair.a.establish())
        self.assertIn("is for this traffic", str(pair.b.failures[0]))

    def test_invalid(self) -> None:
        """A name that is no bench's is refused by the domain."""
        pair = two(alices=self.domain(), bobs=self.domain())
        wrong = replace(pair.a.connection().children[0], identities=Identities(HERS, SHORT))
        with self.assertRaises(PeerRefused):
            settle(pair.clock, pair.a.endpoint.establish(pair.a.connection(), wrong))
        self.assertIn("a bench is named by six octets", str(pair.b.failures[0]))


class WholeTests(SynchronousTestCase):
    def test_key_exchange(self) -> None:
        """
        The laboratory's key exchange with the laboratory's domain: its own exchange and each of the
        framework's make children, begun by each end, while forged copies race every message.
        """
        domain = Laboratory()
        check_key_exchange(module.X25519(), replace(TRIAL, doi=domain, child_suite="aes256@50"))

    def test_ike(self) -> None:
        """So does IKE, which knows nothing of the laboratory."""
        trial = Trial("aes128-sha256-curve25519", doi=Laboratory(), child_suite="aes128")
        check_key_exchange(ike, trial)
