"""
IPComp, sequence numbers of 64 bits and truncated HMACs: what goes beyond one cipher and one hash.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Agreed, ChildPolicy, IPsecParameters, Lifetime, Offer
from isakmp.doi.ipsec import SHA256_96, ipsec
from isakmp.errors import InvalidSPI, NoProposalChosen
from isakmp.identity import TrafficSelector
from isakmp.numbers import IPsecAttribute, ProtocolID
from isakmp.paths import Path
from isakmp.wire.attributes import Attribute
from isakmp.wire.payloads import Delete
from tests.doi.offers import HOUR, SPI, acceptable, of, suites, transform

COMPRESSED = "aes128-sha256+ipcomp=deflate"
CPI = b"\x12\x34"
PATH = Path(("192.0.2.1", 500), ("192.0.2.2", 500))


def offer(*spellings: str, cpi: bytes = CPI) -> Offer:
    """An offer of these, with these SPIs."""
    spis = {ProtocolID.ESP: SPI, ProtocolID.AH: SPI, ProtocolID.IPCOMP: cpi}
    return of(*(suite.with_spis(spis) for suite in suites(*spellings)))


def agreed(*spellings: str, quirks: frozenset[str] = frozenset()) -> Agreed:
    """What the SAs come of."""
    host = TrafficSelector.host("192.0.2.1")
    policy = ChildPolicy(
        "a", "b", 1, ipsec.phase1_situation, host, host, suites(*spellings), HOUR, quirks
    )
    return Agreed(PATH, policy, False, HOUR)


def parameters(spelling: str, quirks: frozenset[str] = frozenset()) -> list[IPsecParameters]:
    """What sinks are told of each SA of a suite."""
    (suite,) = offer(spelling).suites
    found = []
    for proposal in suite.proposals:
        keymat = bytes(ipsec.terms(proposal).keymat)
        sa = ipsec.security_association(
            proposal, proposal.spi, keymat, agreed(spelling, quirks=quirks)
        )
        assert isinstance(sa.parameters, IPsecParameters)
        found.append(sa.parameters)
    return found


class CompressionTests(SynchronousTestCase):
    def test_together(self) -> None:
        """
        ESP with IPComp is one suite: who takes ESP alone, or with it, gets exactly that.

        Proves: RFC 2408 section 4.2
        Proves: RFC 3173 section 4.1
        """
        both = offer(COMPRESSED, "aes128-sha256")
        chosen = ipsec.select(both, acceptable(COMPRESSED))
        self.assertEqual([p.protocol for p in chosen.proposals], [ProtocolID.ESP, 4])
        alone = ipsec.select(both, acceptable("aes128-sha256"))
        self.assertEqual([p.protocol for p in alone.proposals], [ProtocolID.ESP])
        self.assertRaises(
            NoProposalChosen, ipsec.select, offer("aes128-sha256"), acceptable(COMPRESSED)
        )

    def test_index_of_four_octets(self) -> None:
        """
        A Compression Parameter Index may be written in four octets; it is the same index.

        Proves: RFC 3173 section 4.1
        """
        wide = offer(COMPRESSED, cpi=b"\0\0" + CPI)
        chosen = ipsec.select(wide, acceptable(COMPRESSED))
        self.assertEqual(chosen.proposals[1].spi, CPI)
        answered = ipsec.confirm(wide, offer(COMPRESSED, cpi=b"\x56\x78"))
        self.assertEqual(answered.proposals[1].spi, CPI)
        delete = Delete(1, ProtocolID.IPCOMP, (b"\0\0" + CPI, CPI, b"\0\1\x12\x34", b"\0\2"))
        (key,) = ipsec.deleted(delete, PATH)
        self.assertEqual((key.protocol, key.spi), (4, CPI))

    def test_strongswans_answer(self) -> None:
        """
        strongSwan answers with the suite and once more with the part of it that is ESP: that is the
        suite.  An answer with anything else in a second suite is refused.
        """
        ours = offer(COMPRESSED, "aes128-sha256", cpi=b"\x56\x78")
        both = offer(COMPRESSED, "aes128-sha256")
        answer = of(both.suites[0], both.suites[1].numbered(2))
        self.assertEqual(ipsec.confirm(answer, ours), both.suites[0])
        other = offer(COMPRESSED, "aes256-sha256")
        for wrong in (
            of(both.suites[0], other.suites[1].numbered(2)),
            of(both.suites[1], both.suites[0].numbered(2)),
            of(both.suites[0], both.suites[1].with_spis({ProtocolID.ESP: bytes(3) + SPI[3:]})),
        ):
            error = self.assertRaises(NoProposalChosen, ipsec.confirm, wrong, ours)
            self.assertIn("2 suites were chosen", str(error.reason.remedy))

    def test_no_index(self) -> None:
        """What can be no negotiated index is refused: too long, too short, or well known."""
        for cpi in (b"", b"\x12", b"\0\2", b"\1\2\3", b"\0\1\x12\x34", bytes(4)):
            error = self.assertRaises(
                InvalidSPI, ipsec.select, offer(COMPRESSED, cpi=cpi), acceptable(COMPRESSED)
            )
            self.assertIn("2 octets, 256 or more", str(error))

    def test_no_keys(self) -> None:
        """IPComp takes no key; the sink is told what compresses, and no cipher."""
        _, compressing = offer(COMPRESSED).suites[0].proposals
        self.assertEqual(ipsec.terms(compressing).keymat, 0)
        _, told = parameters(f"transport:{COMPRESSED}")
        self.assertEqual(told, IPsecParameters("transport", "none", "none", "deflate"))

    def test_group_beside_it(self) -> None:
        """
        With perfect forward secrecy IPComp names the group of ESP; that a peer names none, as
        strongSwan does, is the same.
        """
        wanted = acceptable("aes128-sha256-modp2048+ipcomp=deflate")
        ours = offer("aes128-sha256-modp2048+ipcomp=deflate")
        esp, compressing = ours.suites[0].proposals
        without = tuple(
            attribute
            for attribute in compressing.transforms[0].attributes
            if attribute.kind != IPsecAttribute.GROUP_DESCRIPTION
        )
        self.assertLess(len(without), len(compressing.transforms[0].attributes))
        bare = replace(compressing, transforms=(transform(1, 2, *without),))
        theirs = of(replace(ours.suites[0], proposals=(esp, bare)))
        self.assertEqual(ipsec.select(theirs, wanted), theirs.suites[0])
        self.assertEqual(ipsec.confirm(theirs, ours), theirs.suites[0])

    def test_spelled(self) -> None:
        """A configuration spells it as it is told in the log."""
        for spelling in (f"esp={COMPRESSED}", "transport:ah=sha1+ipcomp=deflate"):
            (suite,) = suites(spelling)
            self.assertEqual(ipsec.spell(suite), spelling)


class SequenceNumberTests(SynchronousTestCase):
    def test_both_or_none(self) -> None:
        """
        Sequence numbers of 64 bits are had if both ends want them, and only then.

        Proves: RFC 4304 section 2
        """
        offered = offer("aes128-sha256-esn|aes128-sha256")
        for wanted, number in (("aes128-sha256-esn", 1), ("aes128-sha256", 2)):
            (chosen,) = ipsec.select(offered, acceptable(wanted)).proposals
            self.assertEqual(chosen.transforms[0].number, number)
        error = self.assertRaises(
            NoProposalChosen,
            ipsec.select,
            offer("ah=sha256-esn"),
            acceptable("ah=sha256"),
        )
        self.assertIn("Sequence Number is esn there and not said here", str(error.reason.remedy))

    def test_told(self) -> None:
        """The sink is told, for ESP and for AH."""
        for spelling in ("aes128gcm16-esn", "ah=sha256-esn"):
            (told,) = parameters(spelling)
            self.assertTrue(told.extended)
        (told,) = parameters("aes128gcm16")
        self.assertFalse(told.extended)

    def test_another_value(self) -> None:
        """
        Of that attribute only the value 1 is known; a transform with another is passed over.

        Proves: RFC 4304 section 2
        """
        (good,) = suites("aes128-sha256")[0].proposals
        for number in (0, 2, 0xFFFF):
            attribute = Attribute.tv(IPsecAttribute.EXTENDED_SEQUENCE_NUMBER, number)
            odd = replace(
                good,
                spi=SPI,
                transforms=(transform(1, 12, *good.transforms[0].attributes, attribute),),
            )
            error = self.assertRaises(
                NoProposalChosen,
                ipsec.select,
                of(replace(suites("aes128-sha256")[0], proposals=(odd,))),
                acceptable("aes128-sha256", "aes128-sha256-esn"),
            )
            self.assertIn("Sequence Number has the", str(error.reason.remedy))


class AlgorithmTests(SynchronousTestCase):
    def test_named(self) -> None:
        """What a configuration spells, the sink is told by the name of the algorithm."""
        for spelling, encryption, integrity in (
            ("des-sha1", "des-cbc", "hmac-sha1-96"),
            ("cast128-md5", "cast-cbc", "hmac-md5-96"),
            ("blowfish256-sha1", "blowfish-cbc", "hmac-sha1-96"),
            ("camellia192-sha512", "camellia-cbc", "hmac-sha2-512-256"),
            ("aes128ctr-sha256", "aes-ctr", "hmac-sha2-256-128"),
            ("aes256ccm64", "aes-ccm-8", "none"),
            ("aes128ccm12", "aes-ccm-12", "none"),
            ("aes128gmac", "aes-gmac", "none"),
            ("aes128-aesxcbc", "aes-cbc", "aes-xcbc-96"),
        ):
            (told,) = parameters(spelling)
            self.assertEqual((told.encryption, told.integrity), (encryption, integrity))
        (told,) = parameters("ah=aesxcbc")
        self.assertEqual((told.encryption, told.integrity), ("none", "aes-xcbc-96"))

    def test_usual_key(self) -> None:
        """
        Of CAST-128 and Blowfish, as of AES-CBC, 128 bits are meant where no length is said.

        Proves: RFC 2451 section 2.4
        """
        for spelling in ("cast128-md5", "blowfish128-md5", "aes128-md5"):
            (suite,) = offer(spelling).suites
            (proposal,) = suite.proposals
            unsaid = tuple(
                attribute
                for attribute in proposal.transforms[0].attributes
                if attribute.kind != IPsecAttribute.KEY_LENGTH
            )
            bare = transform(1, proposal.transforms[0].transform_id, *unsaid)
            offered = of(replace(suite, proposals=(replace(proposal, transforms=(bare,)),)))
            self.assertEqual(ipsec.select(offered, acceptable(spelling)), offered.suites[0])

    def test_cut(self) -> None:
        """
        For a peer that cuts HMAC-SHA-256 to 96 bits the sink is told so, and nobody else: what
        travels is the same.
        """
        quirks = frozenset({SHA256_96})
        (told,) = parameters("aes128-sha256", quirks)
        self.assertEqual(told.integrity, "hmac-sha2-256-96")
        (told,) = parameters("ah=sha256", quirks)
        self.assertEqual(told.integrity, "hmac-sha2-256-96")
        (told,) = parameters("aes128-sha384", quirks)
        self.assertEqual(told.integrity, "hmac-sha2-384-192")
        self.assertEqual(ipsec.suite("aes128-sha256", Lifetime()), suites_without_lifetime())


def suites_without_lifetime() -> object:
    """The same suite, of no lifetime."""
    return suites("aes128-sha256", lifetime=Lifetime())[0]
