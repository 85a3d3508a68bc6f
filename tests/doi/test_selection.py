"""Choosing from an offer of the IPsec DOI, and confirming the answer to one."""

from __future__ import annotations

import time
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Lifetime, Offer, ProtectionSuite, suites_of
from isakmp.doi.ipsec import ipsec
from isakmp.doi.protocols import valid_spi
from isakmp.doi.transforms import read
from isakmp.errors import (
    AttributesNotSupported,
    BadProposalSyntax,
    InvalidSPI,
    NoProposalChosen,
    PeerError,
    SituationNotSupported,
)
from isakmp.numbers import ESPTransform, ProtocolID
from isakmp.wire.attributes import Attribute
from isakmp.wire.proposals import Proposal, Transform
from tests.doi.offers import (
    AUTH,
    DURATION,
    HOUR,
    KEY,
    MODE,
    SPI,
    TYPE,
    acceptable,
    basic,
    bodies,
    esp,
    of,
    offer,
    proposals,
    read_offer,
    suites,
    transform,
)

ESP, AH, IPCOMP = ProtocolID.ESP, ProtocolID.AH, ProtocolID.IPCOMP
AES, DES3 = ESPTransform.AES_CBC, ESPTransform.TRIPLE_DES
OUR_SPI = bytes.fromhex("deadbeef")


def chosen(suite: ProtectionSuite) -> list[tuple[int, int]]:
    """Which proposal and which transform of each of its protocols."""
    for proposal in suite.proposals:
        assert len(proposal.transforms) == 1
    return [(proposal.number, proposal.transforms[0].number) for proposal in suite.proposals]


def refusal(offered: Offer, wanted: Offer) -> NoProposalChosen:
    """The refusal of this offer."""
    try:
        suite = ipsec.select(offered, wanted)
    except NoProposalChosen as error:
        return error
    raise AssertionError(f"{suite} was selected")


class SelectTests(SynchronousTestCase):
    def test_as_offered(self) -> None:
        """
        What is selected is what was offered: SPI, numbers, attributes and all.

        Proves: RFC 2408 section 4.2 (row 4.2-10)
        """
        offered = offer("aes128-sha256", lifetime=Lifetime(100, 200))
        suite = ipsec.select(offered, acceptable("aes128-sha256"))
        self.assertEqual(suite, offered.suites[0])
        self.assertEqual(suite.proposals[0].spi, SPI)

    def test_one_transform(self) -> None:
        """
        Of a proposal's transforms exactly one is selected.

        Proves: RFC 2408 section 4.2 (row 4.2-7)
        Proves: RFC 2408 section 4.2 (row 4.2-9)
        """
        offered = offer("aes256-sha256|aes128-sha256|3des-sha1")
        suite = ipsec.select(offered, acceptable("3des-sha1", "aes128-sha256"))
        self.assertEqual(chosen(suite), [(1, 2)])
        (proposal,) = suite.proposals
        self.assertEqual(proposal.transforms[0], offered.suites[0].proposals[0].transforms[1])

    def test_initiator_prefers(self) -> None:
        """
        The initiator's order decides, among suites and among transforms, whatever ours is.

        Proves: RFC 2408 section 4.2
        """
        wanted = acceptable("3des-sha1", "aes128-sha1", "aes256-sha256")
        for spellings, expected in (
            (("aes256-sha256", "3des-sha1"), (1, 1)),
            (("3des-sha1", "aes256-sha256"), (1, 1)),
            (("aes256-sha1", "aes256-sha256", "3des-sha1"), (2, 1)),
            (("aes256-sha1|aes128-sha1|3des-sha1",), (1, 2)),
            (("aes256-sha1|3des-sha1|aes128-sha1",), (1, 2)),
        ):
            self.assertEqual(chosen(ipsec.select(offer(*spellings), wanted)), [expected])

    def test_and(self) -> None:
        """
        Proposals of one number are accepted all or not at all: AH and ESP is neither AH nor ESP.

        Proves: RFC 2408 section 4.2 (row 4.2-2)
        Proves: RFC 2408 section 4.2 (row 4.2-7)
        """
        both = "ah=sha1+esp=aes128-sha256"
        self.assertEqual(
            chosen(ipsec.select(offer(both), acceptable("aes128-sha256", both))), [(1, 1), (1, 1)]
        )
        for offered, wanted in (
            ((both,), ("aes128-sha256", "ah=sha1")),
            (("aes128-sha256", "ah=sha1"), (both,)),
            ((both,), ("ah=sha256+esp=aes128-sha256", "ah=sha1+esp=aes128-sha1")),
        ):
            refusal(offer(*offered), acceptable(*wanted))

    def test_rfc_examples(self) -> None:
        """
        The two examples of the RFC are negotiated as it says.

        Proves: RFC 2408 section 4.2.1 (row 4.2.1-1)
        Proves: RFC 2408 section 4.2.1 (row 4.2.1-2)
        Proves: RFC 2408 section 4.2.1 (row 4.2.1-3)
        """
        first = offer("esp=3des-md5|aes128-md5+ah=sha1")
        self.assertEqual(
            chosen(ipsec.select(first, acceptable("ah=sha1+esp=aes128-md5"))), [(1, 2), (1, 1)]
        )
        self.assertEqual(
            chosen(ipsec.select(first, acceptable("esp=3des-md5|aes128-md5+ah=sha1"))),
            [(1, 1), (1, 1)],
        )
        second = offer("ah=md5+esp=3des-md5", "esp=aes128-md5|3des-md5")
        for wanted, expected in (
            (("ah=md5+esp=3des-md5", "3des-md5"), [(1, 1), (1, 1)]),
            (("aes128-md5",), [(2, 1)]),
            (("3des-md5",), [(2, 2)]),
        ):
            self.assertEqual(chosen(ipsec.select(second, acceptable(*wanted))), expected)

    def test_protocols_in_any_order(self) -> None:
        """Which of AH and ESP comes first is the peer's choice, and stays so."""
        suite = ipsec.select(offer("esp=3des-md5+ah=sha1"), acceptable("ah=sha1+esp=3des-md5"))
        self.assertEqual([proposal.protocol for proposal in suite.proposals], [ESP, AH])

    def test_not_mixed(self) -> None:
        """The parts of one suite are not taken from two of ours."""
        wanted = acceptable("ah=md5+esp=3des-md5", "ah=sha1+esp=aes128-sha1")
        refusal(offer("ah=md5+esp=aes128-sha1"), wanted)
        mixed = offer("ah=md5|sha1+esp=aes128-sha1")
        self.assertEqual(chosen(ipsec.select(mixed, wanted)), [(1, 2), (1, 1)])

    def test_lifetime(self) -> None:
        """
        No lifetime, however long, short or missing, makes an offer unacceptable.

        Proves: RFC 2407 section 4.5.4
        """
        for lifetime in (Lifetime(), Lifetime(1), Lifetime(2**32 - 1), Lifetime(0, 1)):
            offered = offer("3des-md5", lifetime=lifetime)
            self.assertEqual(ipsec.select(offered, acceptable("3des-md5")), offered.suites[0])

    def test_forward_secrecy(self) -> None:
        """The group has to be the same at both ends; none is not the same as one."""
        for offered, wanted, found in (
            ("3des-md5", "3des-md5", True),
            ("3des-md5-modp2048", "3des-md5-modp2048", True),
            ("3des-md5-modp2048", "3des-md5", False),
            ("3des-md5", "3des-md5-modp2048", False),
            ("3des-md5-modp1024", "3des-md5-modp2048", False),
        ):
            if found:
                ipsec.select(offer(offered), acceptable(wanted))
            else:
                remedy = refusal(offer(offered), acceptable(wanted)).reason.remedy
                self.assertIn("Group Description", remedy)

    def test_mode_left_to_us(self) -> None:
        """
        An offer without encapsulation mode is taken in the mode that is configured.

        Proves: RFC 2407 section 4.5
        """
        offered = of(esp(transform(1, DES3, *basic(auth=1))))
        for wanted in ("3des-md5", "transport:3des-md5"):
            self.assertEqual(ipsec.select(offered, acceptable(wanted)), offered.suites[0])

    def test_unknown_transforms(self) -> None:
        """
        Transforms and protocols that are not known are passed over, not refused.

        Proves: RFC 2408 section 5.6 (row 5.6-2)
        Proves: RFC 2408 section 5.5 (row 5.5-3)
        Proves: RFC 2408 section 5.6 (row 5.6-3)
        """
        good = basic(auth=1, mode=1)
        offered = of(
            ProtectionSuite((Proposal(1, IPCOMP, b"\0\2", (transform(1, 2),)),)),
            ProtectionSuite((Proposal(2, 250, b"", (transform(1, 2),)),)),
            esp(transform(1, 99, *good), transform(2, 5, *good), transform(3, 3, *good), number=3),
        )
        self.assertEqual(chosen(ipsec.select(offered, acceptable("3des-md5"))), [(3, 3)])

    def test_unknown_attributes(self) -> None:
        """
        An attribute that means nothing here makes its transform unacceptable, and no other.

        Proves: RFC 2407 section 4.5.3 (row 4.5.3-2)
        """
        good = basic(auth=1, mode=1)
        for attribute in (
            Attribute.tv(10, 2),
            Attribute.tv(7, 8),
            Attribute.tlv(9, b"OUI"),
            Attribute.tlv(32001, b"label"),
            Attribute.tv(500, 1),
        ):
            odd, plain = transform(1, 3, *good, attribute), transform(2, 3, *good)
            suite = ipsec.select(of(esp(odd, plain)), acceptable("3des-md5"))
            self.assertEqual(chosen(suite), [(1, 2)])
            self.assertIn(
                "means nothing here", refusal(of(esp(odd)), acceptable("3des-md5")).reason.remedy
            )

    def test_faults(self) -> None:
        """
        A transform whose attributes are at fault is passed over.

        Proves: RFC 2407 section 4.5
        """
        good = basic(auth=1, mode=1)
        for bad in (
            (Attribute.tlv(AUTH, 1), *basic(mode=1)),
            (*good, Attribute.tlv(MODE, b"\0\1")),
            (*good, Attribute.tv(DURATION, 5)),
            (*good, Attribute.tv(TYPE, 7), Attribute.tv(DURATION, 5)),
            (*good, Attribute.tv(TYPE, 1), Attribute.tlv(DURATION, b"\1" * 9)),
            (*good, Attribute.tv(TYPE, 1), Attribute.tlv(DURATION, b"")),
            (*good, Attribute.tv(KEY, 0)),
        ):
            offered = of(esp(transform(1, 3, *bad), transform(2, 3, *good)))
            self.assertEqual(chosen(ipsec.select(offered, acceptable("3des-md5"))), [(1, 2)])
            alone = of(esp(transform(1, 3, *bad)))
            reading = read(ESP, transform(1, 3, *bad))
            self.assertIn(reading.fault, refusal(alone, acceptable("3des-md5")).reason.remedy)

    def test_key_length_of_a_fixed_cipher(self) -> None:
        """
        A key length for a cipher that has only one must not be sent, and is not accepted.

        Proves: RFC 2407 section 4.5 (row 4.5-5)
        """
        offered = of(esp(transform(1, 3, *basic(key=192, auth=1, mode=1))))
        self.assertIn("Key Length", refusal(offered, acceptable("3des-md5")).reason.remedy)

    def test_contradiction(self) -> None:
        """
        Attributes that contradict each other end the negotiation, wherever they stand.

        Proves: RFC 2407 section 4.5.2 (row 4.5.2-2)
        Proves: RFC 2407 section 4.5.2 (row 4.5.2-3)
        """
        good = transform(1, 3, *basic(auth=1, mode=1))
        bad = transform(2, 3, *basic(auth=1, mode=1), *basic(mode=2))
        for offered in (
            of(esp(bad)),
            of(esp(bad, good)),
            of(esp(good, bad)),
            of(esp(good), esp(bad, number=2)),
        ):
            error = self.assertRaises(
                AttributesNotSupported, ipsec.select, offered, acceptable("3des-md5")
            )
            self.assertIn("transform 2", str(error))
            self.assertIn("Encapsulation Mode is said twice", str(error))

    def test_spi(self) -> None:
        """
        A suite with an SPI that cannot be is passed over; if all are such, that is the refusal.

        Proves: RFC 2408 section 5.5 (row 5.5-4)
        """
        wanted = acceptable("3des-md5")
        good = transform(1, 3, *basic(auth=1, mode=1))
        for spi in (b"", b"\1\2\3", bytes(4), b"\0\0\0\1", b"\0\0\0\xff", bytes(5), b"\1" * 16):
            self.assertFalse(valid_spi(ESP, spi))
            bad = esp(good, spi=spi)
            suite = ipsec.select(of(bad, esp(good, number=2)), wanted)
            self.assertEqual(chosen(suite), [(2, 1)])
            error = self.assertRaises(InvalidSPI, ipsec.select, of(bad), wanted)
            self.assertIn("ESP", str(error))
        for spi in (b"\0\0\1\0", b"\xff" * 4):
            ipsec.select(of(esp(good, spi=spi)), wanted)
        half = ProtectionSuite(
            (
                Proposal(1, AH, bytes(4), (transform(1, 3, *basic(auth=2, mode=1)),)),
                Proposal(1, ESP, SPI, (good,)),
            )
        )
        error = self.assertRaises(InvalidSPI, ipsec.select, of(half), wanted)
        self.assertIn("AH", str(error))

    def test_twice_one_protocol(self) -> None:
        """ESP twice in one suite is nothing that can be accepted."""
        good = Proposal(1, ESP, SPI, (transform(1, 3, *basic(auth=1, mode=1)),))
        for wanted in (acceptable("3des-md5"), of(ProtectionSuite((good, good)))):
            refusal(of(ProtectionSuite((good, good))), wanted)

    def test_numbers_apart(self) -> None:
        """
        Proposals of one number must not be separated by one of another.

        Proves: RFC 2408 section 4.2 (row 4.2-3)
        Proves: RFC 2408 section 5.5 (row 5.5-5)
        """
        one, two = (Proposal(n, ESP, SPI, (transform(1, 3),)) for n in (1, 2))
        self.assertEqual([s.number for s in suites_of((one, one, two))], [1, 2])
        self.assertEqual([s.number for s in suites_of((two, one))], [2, 1])
        self.assertRaises(BadProposalSyntax, suites_of, (one, two, one))

    def test_situation(self) -> None:
        """An offer in another domain or situation is not compared at all."""
        offered = offer("3des-md5")
        self.assertRaises(
            SituationNotSupported,
            ipsec.select,
            replace(offered, doi=2),
            acceptable("3des-md5"),
        )

    def test_nothing(self) -> None:
        """Nothing configured, or nothing offered, is a refusal that says so."""
        self.assertIn("Nothing is configured", str(refusal(offer("3des-md5"), of())))
        self.assertIn("Nothing was offered", str(refusal(of(), acceptable("3des-md5"))))
        empty = of(esp())
        self.assertIn("no transforms", str(refusal(empty, acceptable("3des-md5"))))


class ExplanationTests(SynchronousTestCase):
    def test_both_sides(self) -> None:
        """A refusal has what was offered and what is configured, as they would be configured."""
        reason = refusal(
            offer("aes256-sha1", "3des-sha1"), acceptable("transport:aes128-sha256", "ah=sha1")
        ).reason
        self.assertEqual(reason.offered, "esp=aes256-sha1, esp=3des-sha1")
        self.assertEqual(reason.configured, "transport:esp=aes128-sha256, ah=sha1")

    def test_nearest(self) -> None:
        """The remedy names the attribute, of the alternative that came nearest."""
        for spellings, wanted, remedy in (
            (
                ("3des-md5", "aes128-sha1|aes256-sha256", "null-md5"),
                ("aes128-sha256",),
                "nearest: proposal 2, ESP, transform 1: "
                "Authentication Algorithm is sha1 there and sha256 here",
            ),
            (
                ("aes256-sha256",),
                ("aes128-sha256", "3des-md5"),
                "nearest: proposal 1, ESP, transform 1: Key Length is 256 there and 128 here",
            ),
            (
                ("transport:aes128-sha256",),
                ("aes128-sha256",),
                "nearest: proposal 1, ESP, transform 1: "
                "Encapsulation Mode is transport there and tunnel here",
            ),
            (
                ("aes128-sha256-modp1024",),
                ("3des-md5", "aes128-sha256"),
                "nearest: proposal 1, ESP, transform 1: "
                "Group Description is modp1024 there and not said here",
            ),
            (
                ("ah=sha1+esp=aes128-sha256",),
                ("ah=md5+esp=aes128-sha256",),
                "nearest: proposal 1, AH, transform 1: "
                "Transform-Id is sha1 there and md5 here, "
                "Authentication Algorithm is sha1 there and md5 here",
            ),
            (
                ("ah=sha1+esp=aes128-sha256",),
                ("aes128-sha256",),
                "nearest: proposal 1 is for AH with ESP; here: ESP",
            ),
            (
                ("ah=sha1", "3des-sha1"),
                ("aes128gcm16",),
                "nearest: proposal 2, ESP, transform 1: "
                "Transform-Id is 3des there and aes128gcm16 here, "
                "Key Length is not said there and 128 here, "
                "Authentication Algorithm is sha1 there and not said here",
            ),
        ):
            sentence = refusal(offer(*spellings), acceptable(*wanted)).reason.remedy
            self.assertTrue(sentence.startswith(f"N{remedy[1:]}."), sentence)

    def test_advice(self) -> None:
        """What to configure here, or there, stands in the words of both daemons."""
        sentence = refusal(offer("aes256-sha256-modp2048"), acceptable("aes128gcm16")).reason.remedy
        self.assertIn("configure esp=aes256-sha256-modp2048", sentence)
        self.assertIn("(libreswan: esp=aes256-sha2_256;modp2048)", sentence)
        self.assertIn("offer esp=aes128gcm16 (libreswan: esp=aes_gcm128)", sentence)

    def test_recorded(self) -> None:
        """What vpnc offers from behind a translator is refused, for now, with the reason."""
        offered = read_offer(bodies("vpnc-lab", "quick", "SA")[0])
        self.assertEqual(len(offered.suites), 12)
        self.assertIn(
            "Nearest: proposal 0, ESP, transform 0: "
            "Encapsulation Mode is udp_tunnel there and tunnel here. ",
            refusal(offered, acceptable("aes256-sha1")).reason.remedy,
        )

    def test_thousand_transforms(self) -> None:
        """A thousand transforms are gone through, and their refusal is still short."""
        many = tuple(
            transform(n % 256, DES3, *basic(auth=n + 2, mode=1), Attribute.tv(TYPE, 1))
            for n in range(1000)
        )
        wanted = acceptable("aes128-sha256", "aes256-sha1", "3des-md5")
        started = time.process_time()
        error = refusal(of(esp(*many)), wanted)
        self.assertLess(time.process_time() - started, 2)
        self.assertLess(len(str(error)), 2000)
        last = transform(77, DES3, *basic(auth=1, mode=1))
        suite = ipsec.select(of(esp(*many, last)), wanted)
        self.assertEqual(chosen(suite), [(1, 77)])


def respelled(wanted: Transform, draw: st.DrawFn) -> Transform:
    """The same transform: its attributes in another order, the variable ones in any format."""
    pairs: list[tuple[Attribute, ...]] = []
    pending: list[Attribute] = []
    for attribute in wanted.attributes:
        if attribute.kind == DURATION:
            number = attribute.number
            width = draw(st.integers(max(1, (number.bit_length() + 7) // 8), 8))
            attribute = Attribute.tlv(DURATION, number.to_bytes(width))
            if number < 0x10000 and draw(st.booleans()):
                attribute = Attribute.tv(DURATION, number)
        pending.append(attribute)
        if attribute.kind != TYPE:
            pairs.append(tuple(pending))  # a duration stays behind its type
            pending = []
    order = draw(st.permutations(pairs))
    repeated = [pair for pair in order if draw(st.booleans())]
    return replace(
        wanted, attributes=tuple(attribute for pair in (*order, *repeated) for attribute in pair)
    )


words = st.sampled_from(["aes128-sha256", "aes256-sha1", "3des-md5", "aes256gcm16", "null-sha1"])
lifetimes = st.builds(Lifetime, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))


class PropertyTests(SynchronousTestCase):
    @settings(deadline=None)
    @given(st.data(), words, lifetimes, st.sampled_from(["", "-modp2048", "-ecp256"]))
    def test_order_and_format(
        self, data: st.DataObject, word: str, lifetime: Lifetime, group: str
    ) -> None:
        """
        The order of attributes and the format of variable ones make no difference.

        Proves: RFC 2407 section 4.5
        """
        (suite,) = offer(word + group, lifetime=lifetime).suites
        (proposal,) = suite.proposals

        @st.composite
        def other(draw: st.DrawFn) -> Transform:
            return respelled(proposal.transforms[0], draw)

        received = data.draw(other())
        offered = of(esp(received))
        self.assertEqual(
            ipsec.select(offered, acceptable("null-sha512", word + group)), offered.suites[0]
        )
        self.assertEqual(
            ipsec.terms(offered.suites[0].proposals[0]), ipsec.terms(suite.proposals[0])
        )
        ours = offer("null-sha512", word + group, spi=OUR_SPI)
        self.assertEqual(ipsec.confirm(offered, ours), offered.suites[0])

    @settings(deadline=None)
    @given(st.lists(words, min_size=1, max_size=5), st.lists(words, min_size=1, max_size=5))
    def test_first_acceptable(self, offered: list[str], wanted: list[str]) -> None:
        """The first offered suite that is configured, in any place, is selected."""
        common = [word for word in offered if word in wanted]
        if common:
            suite = ipsec.select(offer(*offered), acceptable(*wanted))
            self.assertEqual(suite.number, offered.index(common[0]) + 1)
        else:
            refusal(offer(*offered), acceptable(*wanted))

    @settings(deadline=None)
    @given(st.lists(proposals, min_size=1, max_size=4), st.lists(words, max_size=3))
    def test_anything(self, received: list[Proposal], wanted: list[str]) -> None:
        """Whatever a peer offers or answers is chosen from, or refused with a reason."""
        try:
            offered = of(*suites_of(received))
            suite = ipsec.select(offered, acceptable(*wanted))
        except PeerError as error:
            self.assertTrue(error.reason.rule)
            self.assertIsNotNone(error.notify)
        else:
            spelled = ipsec.spell(suite).removeprefix("unspecified:")
            self.assertIn(spelled, [ipsec.spell(s) for s in suites(*wanted)])
        try:
            ipsec.confirm(of(*suites_of(received)), offer(*wanted))
        except PeerError as error:
            self.assertTrue(error.reason.rule)


class ConfirmTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ours = offer(
            "aes256-sha256|aes128-sha256", "ah=sha1+esp=3des-md5", "3des-md5", spi=OUR_SPI
        )

    def answer(self, suite: ProtectionSuite) -> Offer:
        return of(suite.with_spis({int(ESP): SPI, int(AH): SPI}))

    def refused(self, answer: Offer) -> NoProposalChosen:
        error: NoProposalChosen = self.assertRaises(
            NoProposalChosen, ipsec.confirm, answer, self.ours
        )
        self.assertEqual(error.reason.configured, ", ".join(map(ipsec.spell, self.ours.suites)))
        return error

    def test_answers(self) -> None:
        """
        What a responder selects, the initiator confirms, and then has the responder's SPIs.

        Proves: RFC 2408 section 4.2
        """
        for wanted in ("aes256-sha256", "aes128-sha256", "ah=sha1+esp=3des-md5", "3des-md5"):
            selected = ipsec.select(self.ours, acceptable(wanted))
            answer = self.answer(selected)
            confirmed = ipsec.confirm(answer, self.ours)
            self.assertEqual(confirmed, answer.suites[0])
            self.assertEqual({p.spi for p in confirmed.proposals}, {SPI})

    def test_recorded(self) -> None:
        """Answers of charon to charon and to vpnc are confirmed."""
        for name in ("main-psk", "pfs", "transport", "main-psk-3des", "vpnc-lab", "multi-child"):
            first, second, *_ = map(read_offer, bodies(name, "quick", "SA"))
            confirmed = ipsec.confirm(second, first)
            self.assertEqual(confirmed, second.suites[0])
            self.assertNotEqual(confirmed.proposals[0].spi, first.suites[0].proposals[0].spi)

    def test_other_numbers(self) -> None:
        """
        The numbers of proposal and transform only SHOULD be ours; what counts is the content.

        Proves: RFC 2408 section 4.2
        """
        selected = ipsec.select(self.ours, acceptable("aes128-sha256")).numbered(99)
        (proposal,) = selected.proposals
        renumbered = replace(proposal, transforms=(replace(proposal.transforms[0], number=77),))
        answer = self.answer(ProtectionSuite((renumbered,)))
        self.assertEqual(ipsec.confirm(answer, self.ours), answer.suites[0])

    def test_other_lifetime(self) -> None:
        """A lifetime of the responder's own is its right."""
        for lifetime in (Lifetime(), Lifetime(60), Lifetime(0, 5), Lifetime(2**32 - 1)):
            answer = offer("3des-md5", lifetime=lifetime)
            self.assertEqual(ipsec.confirm(answer, self.ours), answer.suites[0])

    def test_not_ours(self) -> None:
        """
        An answer that is none of our offers is refused: what differs is said.

        Proves: RFC 2408 section 4.2 (row 4.2-11)
        """
        for spelling, differs in (
            ("aes128-sha1", "Authentication Algorithm is sha1 there and sha256 here"),
            ("aes192-sha256", "Key Length is 192 there"),
            ("transport:3des-md5", "Encapsulation Mode is transport there and tunnel here"),
            ("3des-md5-modp1024", "Group Description is modp1024 there and not said here"),
            ("null-md5", "Transform-Id is null there and 3des here"),
            ("ah=sha1", "proposal 1 is for AH"),
            ("ah=sha1+esp=aes128-sha256", "Transform-Id is aes128 there and 3des here"),
        ):
            error = self.refused(offer(spelling))
            self.assertIn(differs, error.reason.remedy)
            self.assertEqual(error.reason.offered, ipsec.spell(offer(spelling).suites[0]))

    def test_attributes_taken_away(self) -> None:
        """
        An answer without an attribute of ours, or with one more, is not our offer.

        Proves: RFC 2409 section 5 (row 5-14)
        """
        for attributes in (
            basic(auth=1),
            basic(mode=1),
            (*basic(auth=1, mode=1), Attribute.tv(32001, 1)),
            (Attribute.tlv(AUTH, 1), *basic(mode=1)),
        ):
            self.refused(of(esp(transform(1, DES3, *attributes))))

    def test_more_than_one(self) -> None:
        """
        An answer has one suite, and one transform for each of its protocols.

        Proves: RFC 2408 section 4.2 (row 4.2-9)
        """
        selected = ipsec.select(self.ours, acceptable("3des-md5"))
        twice = of(selected, selected.numbered(9))
        self.assertIn("2 suites", self.refused(twice).reason.remedy)
        self.assertIn("0 suites", self.refused(of()).reason.remedy)
        both = of(self.ours.suites[0])
        self.assertIn("2 transforms", self.refused(both).reason.remedy)
        self.assertIn("0 transforms", self.refused(of(esp())).reason.remedy)
        (proposal,) = selected.proposals
        self.refused(of(ProtectionSuite((proposal, proposal))))

    def test_half_a_suite(self) -> None:
        """
        Half of what was offered together is not what was offered.

        Proves: RFC 2408 section 4.2
        """
        self.ours = offer("ah=sha1+esp=3des-md5", spi=OUR_SPI)
        self.refused(offer("3des-md5"))
        self.refused(offer("ah=sha1"))

    def test_not_across_suites(self) -> None:
        """An answer is not put together from several of our offers."""
        self.ours = offer("ah=sha1+esp=3des-md5", "ah=md5+esp=3des-sha1", spi=OUR_SPI)
        self.refused(offer("ah=sha1+esp=3des-sha1"))

    def test_spi(self) -> None:
        """
        An answer with an SPI that cannot be is refused.

        Proves: RFC 2408 section 5.5 (row 5.5-4)
        """
        for spi in (b"", bytes(4), b"\0\0\0\xff", bytes(8)):
            answer = offer("3des-md5", spi=spi)
            self.assertRaises(InvalidSPI, ipsec.confirm, answer, self.ours)

    def test_contradiction(self) -> None:
        """
        An answer that contradicts itself is refused.

        Proves: RFC 2407 section 4.5.2 (row 4.5.2-3)
        """
        bad = transform(1, DES3, *basic(auth=1, mode=1), *basic(auth=2))
        self.assertRaises(AttributesNotSupported, ipsec.confirm, of(esp(bad)), self.ours)

    def test_situation(self) -> None:
        """An answer in another domain of interpretation is refused."""
        answer = replace(offer("3des-md5", lifetime=HOUR), doi=0)
        self.assertRaises(SituationNotSupported, ipsec.confirm, answer, self.ours)
