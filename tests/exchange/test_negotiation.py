"""
The core of phase 2: offers, answers, and the SPIs in them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from isakmp.associations import ChildPolicy, Offer, ProtectionSuite
from isakmp.connections import Candidates
from isakmp.doi.ipsec import ipsec
from isakmp.doi.isakmp import ISAKMPDOI
from isakmp.errors import (
    ConfigurationError,
    DOINotSupported,
    InvalidSPI,
    LimitReached,
    NoProposalChosen,
    PeerError,
)
from isakmp.exchange import negotiation
from isakmp.exchange.negotiation import Negotiated
from isakmp.numbers import IPsecAttribute
from isakmp.parts import Role
from isakmp.paths import Path
from isakmp.testing import FixedEntropy
from isakmp.wire.attributes import Attribute
from tests.exchange.ends import (
    AH,
    ESP,
    HOUR,
    N_I,
    N_R,
    ONE,
    OTHER,
    End,
    NegotiationTestCase,
    policy,
)


class ProposeTests(NegotiationTestCase):
    """What an initiator offers."""

    def test_one_spi_for_each_protocol(self) -> None:
        """
        One SPI is reserved for each protocol, and stands in every alternative of it; alternatives
        have ascending numbers.

        Proves: RFC 2408 section 4.2 (row 4.2-4)
        Proves: RFC 2408 section 2.4 (row 2.4-3)
        Proves: RFC 2408 section 5.5 (row 5.5-1)
        """
        proposed = self.propose("aes128-sha256+ah=sha256", "aes256-sha256", "3des-sha1")
        self.assertEqual(set(proposed.spis), {ESP, AH})
        self.assertEqual(len(self.ours.sink.reserved), 2)
        self.assertEqual([suite.number for suite in proposed.offer.suites], [1, 2, 3])
        for suite in proposed.offer.suites:
            for proposal in suite.proposals:
                self.assertEqual(proposal.number, suite.number)
                self.assertEqual(proposal.spi, proposed.spis[proposal.protocol])

    def test_what_is_configured(self) -> None:
        """
        The offer says what the child asks for, in its order, in its domain and situation.

        Proves: RFC 2408 section 4.2 (row 4.2-5)
        Proves: RFC 2408 section 5.4 (row 5.4-1)
        Proves: RFC 2408 section 5.5 (row 5.5-1)
        """
        asked = policy("aes256gcm16", "aes128-sha256")
        proposed = self.propose("aes256gcm16", "aes128-sha256")
        self.assertEqual(
            [ipsec.spell(suite) for suite in proposed.offer.suites],
            [ipsec.spell(suite) for suite in asked.suites],
        )
        self.assertEqual((proposed.offer.doi, proposed.offer.situation), (1, asked.situation))

    def test_unsupported(self) -> None:
        """What the sink cannot do is not offered, and no SPI is reserved for it."""
        self.ours.sink.protocols = {ESP}
        proposed = self.propose("aes128-sha256+ah=sha256", "aes256-sha256")
        self.assertEqual([ipsec.spell(s) for s in proposed.offer.suites], ["esp=aes256-sha256"])
        self.assertEqual(proposed.offer.suites[0].number, 1)
        self.assertEqual(set(proposed.spis), {ESP})

    def test_nothing_supported(self) -> None:
        """If nothing is left, that is a mistake that names sink and child; no SPI is reserved."""
        self.ours.sink.protocols = set()
        asked = negotiation.propose(self.ours, policy())
        error = self.failureResultOf(Deferred.fromCoroutine(asked), ConfigurationError)
        self.assertIn("sink", str(error.value))
        self.assertIn("net", str(error.value))
        self.assertEqual(self.ours.sink.reserved, frozenset())

    def test_given_back(self) -> None:
        """If the exchange comes to nothing, the SPIs are given back, and that is told."""
        proposed = self.propose("aes128-sha256+ah=sha256")
        self.ours.fails()
        self.assertEqual(self.ours.sink.reserved, frozenset())
        self.assertEqual(
            {(key.protocol, key.spi, key.destination) for key in self.ours.released},
            {(protocol, spi, ONE) for protocol, spi in proposed.spis.items()},
        )

    def test_no_spi_to_be_had(self) -> None:
        """If the second SPI cannot be had, the first is given back with the exchange."""
        reserve = self.ours.sink.reserve_spi

        def once(doi: int, protocol: int, *rest: Any) -> Deferred[bytes]:
            return fail(ZeroDivisionError()) if protocol == AH else reserve(doi, protocol, *rest)

        self.patch(self.ours.sink, "reserve_spi", once)
        asked = negotiation.propose(self.ours, policy("aes128-sha256+ah=sha256"))
        self.failureResultOf(Deferred.fromCoroutine(asked), ZeroDivisionError)
        self.assertEqual(len(self.ours.sink.reserved), 1)
        self.ours.fails()
        self.assertEqual(self.ours.sink.reserved, frozenset())

    def test_not_negotiated(self) -> None:
        """SAs of a domain that offers and chooses nothing are not made here."""
        end: Any = End(Role.INITIATOR, ISAKMPDOI())
        error = self.assertRaises(DOINotSupported, negotiation.negotiating, end)
        self.assertIn("isakmp", str(error))


class ChooseTests(NegotiationTestCase):
    """What a responder takes."""

    def choose(self, offers: Sequence[Offer], *children: ChildPolicy) -> tuple[str, list[str]]:
        """The child's name and what is chosen, spelled."""
        child, chosen = negotiation.choose(self.theirs, Candidates(children), offers)
        return child.name, [ipsec.spell(suite) for suite in chosen]

    def offers(self, *spellings: str) -> list[Offer]:
        """One offer of each."""
        return [self.propose(spelling).offer for spelling in spellings]

    def test_first_offered(self) -> None:
        """
        Of what both would take, the initiator's preference counts.

        Proves: RFC 2408 section 4.2
        """
        offer = self.propose("aes256-sha256", "3des-sha1", "aes128-sha256").offer
        child = policy("aes128-sha256", "3des-sha1")
        self.assertEqual(self.choose([offer], child), ("net", ["esp=3des-sha1"]))

    def test_first_child_that_fits(self) -> None:
        """Of several children the first that takes the offer is meant."""
        (offer,) = self.offers("aes256-sha256")
        children = [
            policy("3des-sha1", name="old"),
            policy("aes256-sha256", name="new"),
            policy("aes256-sha256", name="newer"),
        ]
        self.assertEqual(self.choose([offer], *children), ("new", ["esp=aes256-sha256"]))

    def test_several_offers(self) -> None:
        """A child has to take every SA payload of the exchange, one of which may be another's."""
        offers = self.offers("aes256-sha256", "aes128-sha256")
        both = policy("aes128-sha256", "aes256-sha256", name="both")
        one = policy("aes256-sha256", name="one")
        self.assertEqual(
            self.choose(offers, one, both), ("both", ["esp=aes256-sha256", "esp=aes128-sha256"])
        )

    def test_refusal(self) -> None:
        """
        If the only child does not take it, I read which attribute differed.

        Proves: RFC 2408 section 5.4
        """
        (offer,) = self.offers("aes256-sha256")
        error = self.assertRaises(NoProposalChosen, self.choose, [offer], policy("aes256-sha1"))
        self.assertIn("Authentication Algorithm is sha256 there and sha1 here", str(error))

    def test_refusal_of_several(self) -> None:
        """If none of several does, I read what each would have taken."""
        (offer,) = self.offers("aes256-sha256")
        children = [policy("aes256-sha1", name="one"), policy("3des-sha1", name="other")]
        error = self.assertRaises(NoProposalChosen, self.choose, [offer], *children)
        for word in ("esp=aes256-sha256", "esp=aes256-sha1", "esp=3des-sha1"):
            self.assertIn(word, str(error))

    def test_hostile_offer(self) -> None:
        """An offer that contradicts itself is the peer's error, whatever is configured."""
        (offer,) = self.offers("aes256-sha256")
        (proposal,) = offer.suites[0].proposals
        (transform,) = proposal.transforms
        other_key = Attribute.tv(IPsecAttribute.KEY_LENGTH, 128)
        twice = replace(transform, attributes=(*transform.attributes, other_key))
        for changed in (
            replace(proposal, transforms=(twice,)),
            replace(proposal, transforms=()),
            replace(proposal, spi=b""),
            replace(proposal, spi=bytes(4)),
            replace(proposal, protocol=77),
        ):
            hostile = replace(offer, suites=(ProtectionSuite((changed,)),))
            self.assertRaises(PeerError, self.choose, [hostile], policy("aes256-sha256"))


class AnswerTests(NegotiationTestCase):
    """The answer, and its confirmation."""

    def test_answer(self) -> None:
        """
        The answer is one suite, as it was offered, with the responder's own SPIs.

        Proves: RFC 2408 section 4.2 (row 4.2-8)
        Proves: RFC 2408 section 2.4 (row 2.4-3)
        """
        ours, theirs = self.agree("aes128-sha256+ah=sha256", "3des-sha1")
        answer = negotiation.answer(self.theirs, theirs)
        (suite,) = answer.suites
        self.assertEqual({p.protocol: p.spi for p in suite.proposals}, theirs.spis)
        self.assertEqual({p.protocol: p.spi for p in ours.chosen.proposals}, theirs.spis)
        self.assertEqual({p.protocol: p.spi for p in theirs.chosen.proposals}, ours.spis)
        self.assertEqual(ipsec.spell(suite), "esp=aes128-sha256+ah=sha256")

    def test_other_spi(self) -> None:
        """
        The responder does not take the initiator's SPI: the keys of both directions would be equal.

        Proves: RFC 2409 section 5.5
        """
        avoided: list[tuple[int, bytes]] = []
        reserve: Callable[..., Deferred[bytes]] = self.theirs.sink.reserve_spi

        def noted(doi: int, protocol: int, path: Path, avoid: bytes = b"") -> Deferred[bytes]:
            avoided.append((protocol, avoid))
            return reserve(doi, protocol, path, avoid)

        self.patch(self.theirs.sink, "reserve_spi", noted)
        # As if both drew the same numbers.
        self.theirs.sink._spis._entropy = FixedEntropy(1)
        ours, theirs = self.agree("aes128-sha256+ah=sha256")
        self.assertEqual(dict(avoided), ours.spis)
        for protocol in (ESP, AH):
            self.assertNotEqual(ours.spis[protocol], theirs.spis[protocol])

    def two_offers(self) -> list[Negotiated]:
        """Two SA payloads of one exchange, chosen by the responder."""
        offers = [self.propose("aes128-sha256").offer for _ in range(2)]
        child, chosen = negotiation.choose(self.theirs, Candidates((policy(),)), offers)
        return [Negotiated(child, suite, {}) for suite in chosen]

    def test_no_spi_of_the_peer(self) -> None:
        """
        Of several SA payloads none gets an SPI that the initiator has in any of them.

        Proves: RFC 2409 section 5.5
        """
        negotiated = self.two_offers()
        (one,), (two,) = ([p.spi for p in each.chosen.proposals] for each in negotiated)
        drawn = [two, b"mine", one, b"also"]
        self.patch(self.theirs.sink, "reserve_spi", lambda *_: succeed(drawn.pop(0)))
        accepted = self.now(negotiation.accept(self.theirs, negotiated))
        self.assertEqual([each.spis[ESP] for each in accepted], [b"mine", b"also"])
        self.assertEqual([key.spi for key in self.theirs.released], [two, one])

    def test_nothing_but_the_peers(self) -> None:
        """A sink that knows no other SPI than the peer's cannot have us go on for ever."""
        negotiated = self.two_offers()
        spi = negotiated[1].chosen.proposals[0].spi
        self.patch(self.theirs.sink, "reserve_spi", lambda *_: succeed(spi))
        accepting = Deferred.fromCoroutine(negotiation.accept(self.theirs, negotiated))
        self.failureResultOf(accepting, LimitReached)

    def test_given_back(self) -> None:
        """If the exchange comes to nothing, the responder's SPIs are given back, too."""
        _, theirs = self.agree()
        self.assertEqual(len(self.theirs.sink.reserved), 1)
        self.theirs.fails()
        self.assertEqual(self.theirs.sink.reserved, frozenset())
        self.assertEqual([key.spi for key in self.theirs.released], [theirs.spis[ESP]])
        self.assertEqual({key.destination for key in self.theirs.released}, {OTHER})

    def test_not_offered(self) -> None:
        """
        An answer that is none of our offers is refused: altered, doubled, or of another strength.

        Proves: RFC 2408 section 4.2 (row 4.2-11)
        """
        proposed = self.propose("aes256-sha256", "aes128-sha256")
        first, second = proposed.offer.suites
        weaker = ipsec.suite("3des-md5", HOUR).with_spis(proposed.spis)
        for suites in ((weaker,), (first, second), ()):
            answer = replace(proposed.offer, suites=suites)
            asked = negotiation.confirmed(self.ours, proposed, answer)
            self.failureResultOf(Deferred.fromCoroutine(asked), NoProposalChosen)

    def test_release_unused(self) -> None:
        """SPIs of protocols that were offered and not chosen are given back, and no others."""
        proposed = self.propose("aes128-sha256+ah=sha256", "aes256-sha256")
        answer = replace(proposed.offer, suites=proposed.offer.suites[1:])
        agreed = self.now(negotiation.confirmed(self.ours, proposed, answer))
        self.assertEqual(set(agreed.spis), {ESP})
        self.now(negotiation.release_unused(self.ours, [proposed], [agreed]))
        self.assertEqual({key.spi for key in self.ours.sink.reserved}, {proposed.spis[ESP]})
        self.assertEqual([key.spi for key in self.ours.released], [proposed.spis[AH]])


class PeersSPITests(NegotiationTestCase):
    """
    What the peer calls its SAs: each name once.
    """

    def refused(self, *negotiated: Negotiated) -> InvalidSPI:
        with self.assertRaises(InvalidSPI) as caught:
            negotiation.check_spis(self.ours, negotiated)
        error: InvalidSPI = caught.exception
        return error

    def test_honest(self) -> None:
        """Of an honest peer there is nothing to say; AH and ESP may have the same number."""
        both, _ = self.agree("aes128-sha256+ah=sha256")
        negotiation.check_spis(self.ours, [both])
        same = both.chosen.with_spis({ESP: b"same", AH: b"same"})
        negotiation.check_spis(self.ours, [replace(both, chosen=same)])

    def test_reflected(self) -> None:
        """
        An SPI of ours, said back to us, would give both directions the same keys: refused.

        Proves: RFC 2409 section 5.5
        """
        ours, _ = self.agree()
        reflected = replace(ours, chosen=ours.chosen.with_spis(ours.spis))
        self.assertEqual(self.refused(reflected).reason.offered, ours.spis[ESP].hex())

    def test_twice(self) -> None:
        """
        So would one that is said of two SAs.

        Proves: RFC 2409 section 5.5
        """
        one, _ = self.agree()
        two = replace(self.agree()[0], chosen=one.chosen)
        self.refused(one, two)

    def test_stands(self) -> None:
        """One that an SA with this peer has already cannot be found again by its name."""
        one, _ = self.agree()
        self.now(negotiation.install(self.ours, negotiation.bundle(self.ours, one, b"", N_I, N_R)))
        another = replace(self.agree()[0], chosen=one.chosen)
        self.assertIn("stands", str(self.refused(another)))


class GroupTests(NegotiationTestCase):
    """The one group of an exchange."""

    def group(self, *spellings: str) -> int | None:
        suites = [ipsec.suite(spelling, HOUR) for spelling in spellings]
        return negotiation.group_of(self.ours, suites)

    def test_shared(self) -> None:
        """What all of them name; nothing if none names one."""
        self.assertIsNone(self.group("aes128-sha256", "3des-sha1"))
        self.assertEqual(self.group("aes128-sha256-modp2048|3des-sha1-modp2048"), 14)
        self.assertEqual(self.group("aes128-sha256-ecp256", "aes256gcm16-ecp256"), 19)
        self.assertIsNone(self.group())

    def test_different(self) -> None:
        """
        Alternatives of different groups cannot be offered together: there is one KE payload.

        Proves: RFC 2409 section 5.5 (row 5.5-7)
        """
        for spellings, names in (
            (("aes128-sha256-modp2048", "aes128-sha256-ecp256"), "14, 19"),
            (("aes128-sha256-modp2048", "aes128-sha256"), "none, 14"),
        ):
            error = self.assertRaises(NoProposalChosen, self.group, *spellings)
            self.assertEqual(error.reason.offered, names)
