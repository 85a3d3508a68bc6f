"""
The base class of a domain of interpretation.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass

from isakmp.associations import Agreed, Lifetime, Offer, ProtectionSuite, SPIKey
from isakmp.errors import InvalidSPI, NoProposalChosen, SituationNotSupported
from isakmp.identity import Identity
from isakmp.interfaces import INegotiatingDomain
from isakmp.paths import Path
from isakmp.plain import PlainDomain
from isakmp.wire.attributes import Attribute
from isakmp.wire.payloads import Delete, Notification
from isakmp.wire.proposals import Proposal, Transform
from isakmp.wire.reader import Reader

PATH = Path(("192.0.2.1", 500), ("192.0.2.2", 500))


class Nothing:
    """A situation."""

    def __init__(self, octets: bytes = b"") -> None:
        self.octets = octets

    def encode(self) -> bytes:
        return self.octets


class Plain(PlainDomain):
    number = 250
    name = "plain"
    phase1_situation = Nothing()
    examples = ()

    def spell(self, suite: ProtectionSuite) -> str:
        return "+".join(
            f"{p.protocol}:{'|'.join(str(t.transform_id) for t in p.transforms)}"
            for p in suite.proposals
        )


def transform(number: int, *attributes: Attribute) -> Transform:
    return Transform(1, number, attributes)


def suite(
    *protocols: tuple[int, tuple[Transform, ...]], spi: bytes = b"\1\2\3\4"
) -> ProtectionSuite:
    return ProtectionSuite(tuple(Proposal(1, p, spi, transforms) for p, transforms in protocols))


def offer(*suites: ProtectionSuite, situation: bytes = b"") -> Offer:
    return Offer(250, Nothing(situation), suites)


ONE, TWO = transform(1), transform(2)


class PlainTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.doi = Plain()

    def test_interface(self) -> None:
        """It is a plug-in, and has every method."""
        verifyClass(INegotiatingDomain, PlainDomain, tentative=True)
        self.assertTrue(IPlugin.implementedBy(PlainDomain))

    def test_left(self) -> None:
        """Six methods are the domain's own: without them it does nothing."""
        proposal = suite((2, (ONE,))).proposals[0]
        for call in (
            lambda doi: doi.situation(Reader(b"")),
            lambda doi: doi.identity(1, 0, 0, b""),
            lambda doi: doi.suite("x", Lifetime()),
            lambda doi: doi.spell(suite()),
            lambda doi: doi.terms(proposal),
            lambda doi: doi.security_association(proposal, b"", b"", None),
        ):
            self.assertRaises(NotImplementedError, call, PlainDomain())

    def test_preference(self) -> None:
        """
        The initiator's order counts, of suites and of transforms; what is chosen is as offered.

        Proves: RFC 2408 section 4.2
        """
        acceptable = offer(suite((2, (ONE, TWO)), spi=b""))
        chosen = self.doi.select(offer(suite((2, (TWO, ONE)))), acceptable)
        self.assertEqual(chosen, suite((2, (TWO,))))
        foreign = suite((2, (transform(9),)))
        chosen = self.doi.select(offer(foreign, suite((2, (ONE,)))), acceptable)
        self.assertEqual(chosen, suite((2, (ONE,))))

    def test_whole(self) -> None:
        """
        All protocols of a suite, or none.

        Proves: RFC 2408 section 4.2
        """
        both, one = suite((2, (ONE,)), (3, (TWO,))), suite((2, (ONE,)))
        self.assertEqual(self.doi.select(offer(both), offer(both)), both)
        swapped = suite((3, (TWO,)), (2, (ONE,)))
        self.assertEqual(self.doi.select(offer(swapped), offer(both)), swapped)
        doubled = suite((2, (ONE,)), (2, (ONE,)))
        for offered, acceptable in ((both, one), (one, both), (doubled, one), (one, doubled)):
            self.assertRaises(NoProposalChosen, self.doi.select, offer(offered), offer(acceptable))

    def test_attributes(self) -> None:
        """The same attributes in another order are the same; one more, or another value, is not."""
        a, b = Attribute.tv(1, 5), Attribute.tv(2, 6)
        wanted = offer(suite((2, (transform(1, a, b),))))
        self.doi.select(offer(suite((2, (transform(1, b, a),)))), wanted)
        for other in ((a,), (a, b, b), (a, Attribute.tv(2, 7)), ()):
            offered = offer(suite((2, (transform(1, *other),))))
            self.assertRaises(NoProposalChosen, self.doi.select, offered, wanted)

    def test_told(self) -> None:
        """A refusal says both sides in the domain's words."""
        error = self.assertRaises(
            NoProposalChosen,
            self.doi.select,
            offer(suite((2, (ONE,)))),
            offer(suite((2, (TWO,)))),
        )
        self.assertEqual((error.reason.offered, error.reason.configured), ("2:1", "2:2"))

    def test_situation(self) -> None:
        """Another situation, or domain, is refused before anything is compared."""
        one = suite((2, (ONE,)))
        for other in (offer(one, situation=b"x"), replace(offer(one), doi=251)):
            self.assertRaises(SituationNotSupported, self.doi.select, other, offer(one))

    def test_confirm(self) -> None:
        """An answer is one suite of ours, one transform for each protocol, with the peer's SPIs."""
        offered = offer(suite((2, (ONE, TWO))), suite((3, (ONE,))))
        answer = suite((2, (TWO,)), spi=b"\5\6\7\x08")
        self.assertEqual(self.doi.confirm(offer(answer), offered), answer)
        for lie in (
            (),
            (answer, suite((3, (ONE,)))),
            (suite((2, (ONE, TWO))),),
            (suite((2, ())),),
            (suite((2, (transform(3),))),),
            (suite((4, (ONE,))),),
        ):
            self.assertRaises(NoProposalChosen, self.doi.confirm, offer(*lie), offered)

    def test_dull(self) -> None:
        """A notification asks for nothing; a Delete takes what its sender receives by, once."""
        self.doi.check_spi(2, b"aaaa")
        self.assertRaises(InvalidSPI, self.doi.check_spi, 2, b"")
        named = Identity(200, 0, 0, b"a")
        self.assertIs(self.doi.identification(named), named)
        self.assertIsNone(self.doi.notified(Notification(250, 2, 24578, b"", b"")))
        delete = Delete(250, 2, (b"aaaa", b"bbbb", b"aaaa"))
        self.assertEqual(
            list(self.doi.deleted(delete, PATH)),
            [SPIKey(250, 2, spi, "192.0.2.2") for spi in (b"aaaa", b"bbbb")],
        )
        self.assertEqual(list(self.doi.deleted(replace(delete, doi=1), PATH)), [])

    def test_key(self) -> None:
        """An SA is named by its receiver's address."""
        proposal = suite((2, (ONE,))).proposals[0]
        for outbound, end in ((True, "192.0.2.2"), (False, "192.0.2.1")):
            agreed = Agreed(PATH, None, outbound, Lifetime())  # type: ignore[arg-type]
            self.assertEqual(self.doi.key(proposal, b"aaaa", agreed), SPIKey(250, 2, b"aaaa", end))
