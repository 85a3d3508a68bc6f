"""
Which phase-1 transform is chosen, which answer is believed, and what a refusal says.
"""

from __future__ import annotations

import time
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Lifetime, Offer, ProtectionSuite
from isakmp.connections import Candidates, Connection
from isakmp.doi.ipsec import ipsec
from isakmp.errors import AttributesNotSupported, NoProposalChosen
from isakmp.ike.key_exchange import ike
from isakmp.ike.parameters import KEY_IKE, proposal_of
from isakmp.ike.selection import MAX_COMPARED, SHOWN, acceptable_to, choose, confirm
from isakmp.numbers import AuthenticationMethod, Phase1Attribute, ProtocolID
from isakmp.wire.attributes import Attribute
from isakmp.wire.proposals import Proposal, Transform
from tests.ike.test_key_exchange import parse

A, B, C = "aes256-sha256-modp2048", "aes128-sha256-modp2048", "3des-sha1-modp1024"


def connection(name: str, *spellings: str) -> Connection:
    """One that takes these."""
    return Connection(name, tuple(ike.suite(spelling, Lifetime(14400)) for spelling in spellings))


def candidates(**spellings: str) -> Candidates[Connection]:
    """A connection for each name; its suites are separated by blanks."""
    return Candidates(tuple(connection(n, *words.split()) for n, words in spellings.items()))


def names(candidates: Candidates[Connection]) -> list[str]:
    """Of those that are left."""
    return [connection.name for connection in candidates.remaining]


def proposal(*transforms: Transform, number: int = 1, **changed: object) -> Proposal:
    """Of ISAKMP."""
    return replace(Proposal(number, ProtocolID.ISAKMP, b"", transforms), **changed)  # type: ignore[arg-type]


def transform(spelling: str, lifetime: Lifetime = Lifetime(), **changed: object) -> Transform:
    """One transform."""
    made = Transform(1, KEY_IKE, parse(spelling, lifetime).attributes())
    return replace(made, **changed)  # type: ignore[arg-type]


def offer(*suites: ProtectionSuite) -> Offer:
    """An offer of these alternatives."""
    return Offer(ipsec.number, ipsec.phase1_situation, suites)


def offered(*spellings: str) -> Offer:
    """As an initiator says it: transforms of one proposal."""
    return offer(ProtectionSuite((proposal_of([parse(spelling) for spelling in spellings]),)))


def authenticated_by(method: int, spelling: str = A) -> Transform:
    """A transform with another authentication method."""
    return Transform(1, KEY_IKE, replace(parse(spelling), authentication=method).attributes())


class ChoiceTests(SynchronousTestCase):
    """What a responder takes."""

    def test_initiators_preference(self) -> None:
        """
        Of what is acceptable the first that was offered is taken, whatever we should prefer.

        Proves: RFC 2408 section 4.2
        Proves: RFC 2409 section 3.2 (row 3.2-1)
        """
        ours = candidates(lab=f"{C} {B} {A}")
        for spellings in ((A, B, C), (B, A), (C, B), ("des-md5-modp768", B, C)):
            suite, parameters = choose(offered(*spellings), ours)
            wanted = next(spelling for spelling in spellings if spelling in (A, B, C))
            self.assertEqual(parameters.spelled, wanted)
            self.assertEqual(ike.spell(suite), wanted)

    def test_as_offered(self) -> None:
        """
        The answer is the transform as it was offered: numbers, SPI, every attribute, in its format.

        Proves: RFC 2408 section 4.2 (row 4.2-10)
        Proves: RFC 2409 section 5 (row 5-13)
        Proves: RFC 2408 section 3.5 (row 3.5-2)
        """
        said = transform(
            A,
            number=7,
            attributes=(
                *reversed(parse(A).attributes()),
                Attribute.tv(Phase1Attribute.LIFE_TYPE, 1),
                Attribute.tlv(Phase1Attribute.LIFE_DURATION, 77),
            ),
        )
        whole = proposal(transform(C), said, number=9, spi=bytes(8))
        suite, parameters = choose(offer(ProtectionSuite((whole,))), candidates(lab=A))
        self.assertEqual(suite, ProtectionSuite((replace(whole, transforms=(said,)),)))
        self.assertEqual(parameters.lifetime, Lifetime(77))

    def test_several_connections(self) -> None:
        """
        The first offered that any connection takes is chosen; those that take nothing fall.
        """
        ours = candidates(strong=A, weak=f"{C} {B}", other="aes192-sha384-ecp384")
        left = acceptable_to(offered(B, A, C), ours)
        self.assertEqual(names(left), ["strong", "weak"])
        (rejection,) = left.rejected
        self.assertEqual((rejection.name, rejection.rule), ("other", "no common proposal"))
        self.assertIn(B, rejection.offered)
        self.assertEqual(rejection.configured, "aes192-sha384-ecp384")
        _, parameters = choose(offered(B, A, C), left)
        self.assertEqual(parameters.spelled, B)

    def test_lifetime_is_no_reason(self) -> None:
        """
        An offer with another lifetime than ours is acceptable.
        """
        ours = candidates(lab=A)
        for lifetime in (Lifetime(), Lifetime(1), Lifetime(2**32 - 1, 5)):
            made = offer(ProtectionSuite((proposal(transform(A, lifetime)),)))
            self.assertEqual(names(acceptable_to(made, ours)), ["lab"])
            _, parameters = choose(made, ours)
            self.assertEqual(parameters.lifetime, lifetime)

    def test_unreadable(self) -> None:
        """
        A transform that cannot be read loses itself and no other; so does another key exchange.

        Proves: RFC 2408 section 5.6 (row 5.6-2)
        Proves: RFC 2408 section 5.6 (row 5.6-3)
        """
        unreadable = (
            Transform(1, KEY_IKE, ()),
            Transform(2, KEY_IKE, (*parse(A).attributes(), Attribute.tv(13, 1))),
            Transform(3, KEY_IKE, parse(A).attributes() * 2),
            transform(A, transform_id=99),
            transform(A, transform_id=0),
        )
        ours = candidates(lab=f"{A} {B}")
        made = offer(ProtectionSuite((proposal(*unreadable, transform(B), *unreadable),)))
        self.assertEqual(names(acceptable_to(made, ours)), ["lab"])
        suite, parameters = choose(made, ours)
        self.assertEqual(parameters.spelled, B)
        self.assertEqual(suite.proposals[0].transforms, (transform(B),))

    def test_both_or_none(self) -> None:
        """
        IKE together with another protocol is both or none, so it is none; alternatives beside it
        are looked at.

        Proves: RFC 2408 section 4.2 (row 4.2-7)
        """
        both = ProtectionSuite(
            (proposal(transform(A)), Proposal(1, ProtocolID.ESP, bytes(4), (transform(A),)))
        )
        alone = ProtectionSuite((proposal(transform(B), number=2),))
        esp = ProtectionSuite((Proposal(1, ProtocolID.ESP, bytes(4), (transform(A),)),))
        ours = candidates(lab=f"{A} {B}")
        for one in (both, esp):
            self.assertRaises(NoProposalChosen, acceptable_to, offer(one), ours)
            _, parameters = choose(offer(one, alone), acceptable_to(offer(one, alone), ours))
            self.assertEqual(parameters.spelled, B)

    def test_authentication(self) -> None:
        """
        What would be authenticated in a way that is not known here is never taken.
        """
        ours = candidates(lab=A)
        for method in (0, 2, 3, 5, 65001, 65535):
            alone = offer(ProtectionSuite((proposal(authenticated_by(method)),)))
            error = self.assertRaises(NoProposalChosen, acceptable_to, alone, ours)
            name = AuthenticationMethod(method).spelled
            self.assertIn(f"the peer's authentication {name} against pre-shared key", str(error))
            self.assertRaises(NoProposalChosen, choose, alone, ours)
        both = offer(ProtectionSuite((proposal(authenticated_by(65001), authenticated_by(1)),)))
        suite, _ = choose(both, ours)
        self.assertEqual(suite.proposals[0].transforms, (authenticated_by(1),))
        signed = ProtectionSuite((proposal(authenticated_by(3)),))
        wanted = Candidates((Connection("lab", (signed,)),))
        self.assertRaises(NoProposalChosen, acceptable_to, offer(signed), wanted)
        self.assertRaises(NoProposalChosen, choose, offer(signed), wanted)


class RefusalTests(SynchronousTestCase):
    """What the log says when nothing fits."""

    def refusal(self, said: Offer, **ours: str) -> str:
        """The sentence."""
        return str(self.assertRaises(NoProposalChosen, acceptable_to, said, candidates(**ours)))

    def test_one_attribute(self) -> None:
        """
        Where one attribute differs it is named, with both values; everything offered and
        everything configured is there too.

        Proves: RFC 2408 section 5.4
        """
        for theirs, ours, difference in (
            (A, B, "cipher aes256 against aes128"),
            (A, "aes256-sha1-modp2048", "hash sha256 against sha1"),
            (A, "aes256-sha256-ecp256", "group modp2048 against ecp256"),
        ):
            sentence = self.refusal(offered(theirs), lab=ours)
            self.assertIn("no common proposal", sentence)
            self.assertIn(f"offered: {theirs}", sentence)
            self.assertIn(f"configured: {ours}", sentence)
            self.assertIn(f"Nearest: the peer's {difference} here.", sentence)

    def test_nearest(self) -> None:
        """Of many the pair that differs least is named."""
        sentence = self.refusal(
            offered("des-md5-modp768", "aes256-sha512-modp2048", C),
            strong="aes256-sha512-ecp521 aes192-sha384-ecp384",
            weak="blowfish128-sha1-modp1536",
        )
        self.assertIn("Nearest: the peer's group modp2048 against ecp521 here.", sentence)
        self.assertIn("aes256-sha512-ecp521, aes192-sha384-ecp384, blowfish128-sha1", sentence)

    def test_unreadable(self) -> None:
        """What could not be read is told, with its number."""
        bad = Transform(4, KEY_IKE, (Attribute.tv(Phase1Attribute.ENCRYPTION_ALGORITHM, 7),))
        sentence = self.refusal(offer(ProtectionSuite((proposal(bad),))), lab=A)
        self.assertIn("#4: Hash Algorithm is missing", sentence)
        self.assertNotIn("Nearest", sentence)

    def test_nothing(self) -> None:
        """An offer without anything of IKE's is said to be that."""
        esp = ProtectionSuite((Proposal(1, ProtocolID.ESP, bytes(4), (transform(A),)),))
        self.assertIn("nothing of IKE's", self.refusal(offer(esp), lab=A))

    def test_bounded(self) -> None:
        """
        A long offer is refused in a short sentence, and in little time.
        """
        far = ["aes256-sha512-modp2048"] * MAX_COMPARED
        for count, nearest in ((1, "hash md5"), (0, "cipher aes256")):
            sentence = self.refusal(offered(*far[count:], "3des-md5-modp1024"), lab=C)
            self.assertIn(f"the peer's {nearest}", sentence)
        many = offered(*["aes256-sha512-modp2048"] * 255)
        wanted = " ".join([C, "des-md5-modp768", "aes192-sha384-ecp384"] * 3)
        began = time.process_time()
        for _ in range(20):
            sentence = self.refusal(many, lab=wanted)
        self.assertLess(time.process_time() - began, 1.0)
        self.assertIn(f"{255 - SHOWN} more", sentence)
        self.assertLess(len(sentence), 1000)


class ConfirmationTests(SynchronousTestCase):
    """What an initiator believes."""

    ours = tuple(parse(spelling, Lifetime(14400)) for spelling in (A, B, C))

    def refused(self, answer: Offer, because: str) -> None:
        """This answer is not believed, and what we had offered is told."""
        error = self.assertRaises(NoProposalChosen, confirm, answer, self.ours)
        self.assertIn(because, str(error))
        self.assertIn(f"configured: {A}, {B}, {C}", str(error))

    def test_one_of_ours(self) -> None:
        """
        Each of our offers may be chosen, whatever number the peer gives it.

        Proves: RFC 2408 section 4.2
        Proves: RFC 2408 section 3.5 (row 3.5-2)
        """
        for number, spelling in enumerate((A, B, C), 1):
            chosen = proposal(transform(spelling, Lifetime(14400), number=number))
            for answer in (chosen, replace(chosen, number=200, spi=bytes(16))):
                got = confirm(offer(ProtectionSuite((answer,))), self.ours)
                self.assertEqual(got.spelled, spelling)
                self.assertEqual(got.lifetime, Lifetime(14400))

    def test_another_lifetime(self) -> None:
        """A shorter, a longer and no lifetime are tolerated: the shorter of both will count."""
        for lifetime in (Lifetime(60), Lifetime(86400), Lifetime(), Lifetime(60, 60)):
            answer = offer(ProtectionSuite((proposal(transform(A, lifetime)),)))
            self.assertEqual(confirm(answer, self.ours).lifetime, lifetime)

    def test_exactly_one(self) -> None:
        """
        Two transforms, two proposals or two suites are no answer, even if all of them are ours.

        Proves: RFC 2408 section 4.2
        Proves: RFC 2408 section 4.1.1 (row 4.1.1-1)
        Proves: RFC 2409 section 3.2 (row 3.2-1)
        """
        one, two = proposal(transform(A)), proposal(transform(B), number=2)
        for answer in (
            offer(ProtectionSuite((proposal(transform(A), transform(B)),))),
            offer(ProtectionSuite((proposal(transform(A), transform(A)),))),
            offer(ProtectionSuite((proposal(transform(A), transform(A, transform_id=9)),))),
            offer(ProtectionSuite((one,)), ProtectionSuite((two,))),
            offer(ProtectionSuite((one, replace(two, number=1)))),
            offer(ProtectionSuite((one, replace(two, number=1, protocol=ProtocolID.ESP)))),
        ):
            self.refused(answer, "exactly one transform (offered: 2")

    def test_none_of_ours(self) -> None:
        """
        What we have not offered is refused, be it better or worse, and whatever differs.

        Proves: RFC 2408 section 4.2 (row 4.2-11)
        Proves: RFC 2409 section 5 (row 5-14)
        """
        for spelling in (
            "aes192-sha256-modp2048",
            "aes256-sha512-modp2048",
            "aes256-sha256-modp3072",
            "des-md5-modp768",
            "aes256-sha1-modp1024",
        ):
            answer = offer(ProtectionSuite((proposal(transform(spelling)),)))
            self.refused(answer, f"none of our offers (offered: {spelling}")
        by_signature = offer(ProtectionSuite((proposal(authenticated_by(3)),)))
        self.refused(by_signature, "none of our offers")

    def test_not_ikes(self) -> None:
        """An answer of another protocol or another key exchange is refused."""
        for answer in (
            proposal(transform(A), protocol=ProtocolID.ESP),
            proposal(transform(A, transform_id=2)),
        ):
            self.refused(offer(ProtectionSuite((answer,))), "nothing of IKE's")

    def test_added(self) -> None:
        """
        An attribute that we have not offered makes the answer unacceptable, and so does one that
        is missing.

        Proves: RFC 2409 section 5 (row 5-14)
        """
        said = parse(A, Lifetime(14400)).attributes()
        for attributes in (
            (*said, Attribute.tv(Phase1Attribute.PRF, 1)),
            (*said, Attribute.tv(Phase1Attribute.GROUP_TYPE, 1)),
            (*said, said[0]),
            *((*said[:n], *said[n + 1 :]) for n in (0, 2, 3, 4)),
        ):
            answer = offer(ProtectionSuite((proposal(Transform(1, KEY_IKE, attributes)),)))
            self.assertRaises(AttributesNotSupported, confirm, answer, self.ours)
        without_length = offer(
            ProtectionSuite((proposal(Transform(1, KEY_IKE, (said[0], *said[2:]))),))
        )
        got = confirm(without_length, self.ours)
        self.assertEqual(got.spelled, B)  # which was offered: no length means 128
        error = self.assertRaises(NoProposalChosen, confirm, without_length, self.ours[:1])
        self.assertIn("none of our offers (offered: aes128-sha256", str(error))

    @given(st.lists(st.sampled_from([A, B, C, "des-md5-modp768"]), min_size=1, unique=True))
    @settings(deadline=None)
    def test_agreement(self, spellings: list[str]) -> None:
        """Whatever a responder of ours chooses, an initiator of ours confirms."""
        ours = candidates(lab="des-md5-modp768", other=f"{B} {C}", more=A)
        made = offered(*spellings)
        suite, chosen = choose(made, acceptable_to(made, ours))
        self.assertEqual(confirm(offer(suite), [parse(s) for s in spellings]), chosen)
