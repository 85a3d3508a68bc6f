"""
check_doi: it passes what is right, and says of what is wrong what it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from isakmp.associations import (
    Agreed,
    Lifetime,
    Offer,
    Proposal,
    ProtectionSA,
    ProtectionSuite,
    SPIKey,
    Terms,
)
from isakmp.doi.ipsec import IPsecDOI, IPsecSituation
from isakmp.doi.isakmp import ISAKMPDOI
from isakmp.errors import Malformed, NoProposalChosen, PeerError
from isakmp.identity import Identity
from isakmp.interfaces import Effect, IDomainOfInterpretation
from isakmp.numbers import IdentityType
from isakmp.paths import Path
from isakmp.testing import Violations, check_doi
from isakmp.wire.payloads import Delete, Notification
from isakmp.wire.proposals import Transform
from isakmp.wire.reader import Reader
from tests.laboratory import LABORATORY  # puts it where it can be imported

assert LABORATORY
from laboratory.domain import Laboratory, LinkExchange, Room  # noqa: E402

_count = itertools.count()


class RightTests(SynchronousTestCase):
    def test_ipsec(self) -> None:
        """IPsec's does, with bundles of AH and ESP among its suites."""
        check_doi(IPsecDOI(), identities=[Identity(IdentityType.FQDN, 0, 0, b"a.example")])
        self.assertTrue(any("+" in example for example in IPsecDOI.examples))

    def test_isakmp(self) -> None:
        """DOI 0 negotiates nothing: what every domain owes it does."""
        check_doi(ISAKMPDOI())

    def test_laboratory(self) -> None:
        """The laboratory's does, whatever is made up."""
        for seed in range(5):
            check_doi(Laboratory(), seed=seed)


class WrongTests(SynchronousTestCase):
    """One thing is wrong with each of them, and the sentence says which."""

    def told(self, doi: IDomainOfInterpretation, **how: Any) -> Sequence[str]:
        error = self.assertRaises(Violations, check_doi, doi, **how)
        for sentence in error.sentences:
            self.assertIn(f"* {sentence}", str(error))
        return error.sentences

    def one(self, doi: IDomainOfInterpretation, *words: str) -> None:
        """One sentence, in which these words stand."""
        sentences = self.told(doi)
        self.assertEqual(len(sentences), 1, sentences)
        for word in words:
            self.assertIn(word, sentences[0])

    def test_interface(self) -> None:
        """A method that is missing is said, and nothing else is tried."""

        @implementer(IDomainOfInterpretation)
        class Empty:
            name = "empty"

        self.one(Empty(), "does not provide its interface")  # type: ignore[arg-type]

    def test_named(self) -> None:
        """A number of more than 32 bits, or no name."""
        wide, nameless = Laboratory(), Laboratory()
        wide.number = 2**32
        nameless.name = ""
        self.one(wide, "not 32 bits")
        self.one(nameless, "cannot be configured")

    def test_situation_greedy(self) -> None:
        """What follows a situation is not its own."""

        class Greedy(Laboratory):
            def situation(self, reader: Reader) -> Room:
                found = super().situation(reader)
                reader.rest()
                return found

        self.one(Greedy(), "leave the reader at the proposals")

    def test_situation_other(self) -> None:
        """Its own situation is read as another, or refused."""

        class Other(Laboratory):
            def situation(self, reader: Reader) -> Room:
                return Room(super().situation(reader).number + 1)

        class Deaf(Laboratory):
            def situation(self, reader: Reader) -> Room:
                raise Malformed("no situation is good enough")

        self.assertIn("as what was written", " ".join(self.told(Other())))
        self.one(Deaf(), "refuses phase1_situation itself")

    def test_situation_crashes(self) -> None:
        """Octets of a stranger end in an error of Python's."""

        class Crashing(Laboratory):
            def situation(self, reader: Reader) -> Room:
                octets = reader.rest()
                if octets[:2] != b"\0\7":
                    raise KeyError(octets[0])
                return Room()

        sentences = " ".join(self.told(Crashing()))
        self.assertIn("may raise a PeerError, and nothing else", sentences)

    def test_situation_lossy(self) -> None:
        """What is taken is encoded as something else, so that an answer would not repeat it."""

        @dataclass(frozen=True)
        class Flags(IPsecSituation):
            pass

        class Lossy(IPsecDOI):
            phase1_situation = Flags()

            def situation(self, reader: Reader) -> IPsecSituation:
                reader.u32()
                return self.phase1_situation

        self.one(Lossy(), "an answer has to repeat what was said")

    def test_identity(self) -> None:
        """Everything passes; or octets of a stranger end in an error of Python's."""

        class Careless(Laboratory):
            def identity(self, kind: int, protocol: int, port: int, data: bytes) -> Identity:
                return Identity(kind, protocol, port, data)

        class Crashing(Laboratory):
            def identity(self, kind: int, protocol: int, port: int, data: bytes) -> Identity:
                return super().identity(kind, protocol, port, bytes([data[0], *data[1:]]))

        class Changing(Laboratory):
            def identity(self, kind: int, protocol: int, port: int, data: bytes) -> Identity:
                return super().identity(kind, protocol, port, data.rstrip(b"\0"))

        self.one(Careless(), "refuses nothing")
        self.one(Crashing(), "IndexError", "InvalidIdentity, and nothing else")
        self.one(Changing(), "makes something else")

    def test_not_inverse(self) -> None:
        """What it would say of an identity is not what it was told."""

        class Renumbering(Laboratory):
            def identification(self, identity: Identity) -> Identity:
                return replace(identity, kind=1)

        self.one(Renumbering(), "identification is not the inverse of identity")

    def test_spis(self) -> None:
        """An SPI ends in an error of Python's, or one of its own is refused."""

        class Reading(Laboratory):
            def check_spi(self, protocol: int, spi: bytes) -> None:
                super().check_spi(protocol, bytes([spi[0]]) if protocol == 2 else spi)

        class Refusing(Laboratory):
            def check_spi(self, protocol: int, spi: bytes) -> None:
                raise Malformed("no SPI is good enough")

        self.one(Reading(), "check_spi raises IndexError")
        self.one(Refusing(), "check_spi refuses an SPI of 2")

    def test_wanted_identity(self) -> None:
        """One that it has to take, and does not."""
        (sentence,) = self.told(Laboratory(), identities=[Identity(200, 0, 0, b"five5")])
        self.assertIn("identity refuses", sentence)

    def test_impure(self) -> None:
        """A second answer is another."""

        class Counting(Laboratory):
            def identity(self, kind: int, protocol: int, port: int, data: bytes) -> Identity:
                super().identity(kind, protocol, port, data)
                return Identity(kind, next(_count), port, data)

            def terms(self, chosen: Proposal) -> Terms:
                return replace(super().terms(chosen), lifetime=Lifetime(next(_count)))

        sentences = self.told(Counting())
        self.assertIn("identity is not pure", sentences[0])
        self.assertIn("terms is not pure", sentences[1])

    def test_exchange_types(self) -> None:
        """A proof that does not cover all, a number of the framework's, one number twice."""

        class Bare(LinkExchange):
            def hashed(self, sa: Any, message_id: bytes, nonces: bytes, rest: bytes) -> bytes:
                return sa.authenticate(message_id + rest)

        class Low(LinkExchange):
            number = 5

        for types, word in (
            ((Bare(),), "does not depend on the nonces before"),
            ((Low(),), "not one of 32 to 255"),
            ((LinkExchange(), LinkExchange()), "two exchange types"),
            ((object(),), "does not provide IExchangeType"),
        ):
            doi = Laboratory()
            doi.exchange_types = types  # type: ignore[assignment]
            self.one(doi, word)

    def test_notified(self) -> None:
        """A notification that it cannot answer."""

        class Reading(Laboratory):
            def notified(self, notification: Notification) -> Effect | None:
                return Effect.START_AFRESH if notification.data[0] else None

        class Odd(Laboratory):
            def notified(self, notification: Notification) -> Effect | None:
                return True  # type: ignore[return-value]

        self.one(Reading(), "notified raises IndexError")
        self.one(Odd(), "neither an Effect nor None")

    def test_deleted(self) -> None:
        """A Delete takes what is not its sender's, or another domain's; or crashes it."""

        class Anybody(Laboratory):
            def deleted(self, delete: Delete, path: Path) -> Sequence[SPIKey]:
                here = path.local[0]
                return [k._replace(destination=here) for k in super().deleted(delete, path)]

        class Everything(Laboratory):
            def deleted(self, delete: Delete, path: Path) -> Sequence[SPIKey]:
                return super().deleted(replace(delete, doi=self.number), path)

        class First(Laboratory):
            def deleted(self, delete: Delete, path: Path) -> Sequence[SPIKey]:
                if delete.doi != self.number:
                    return ()
                return [SPIKey(self.number, delete.protocol, delete.spis[0], path.remote[0])]

        self.one(Anybody(), "are its to delete")
        self.one(Everything(), "the Delete of another domain")
        self.one(First(), "deleted raises IndexError")

    def test_spelling(self) -> None:
        """Words that mean something else the second time; a mistake that is no mistake."""

        class Brief(Laboratory):
            def spell(self, suite: ProtectionSuite) -> str:
                return super().spell(suite).partition("@")[0]

        class Foreign(Laboratory):
            def spell(self, suite: ProtectionSuite) -> str:
                return "AES"

        class Lenient(Laboratory):
            def suite(self, spelling: str, lifetime: Lifetime) -> ProtectionSuite:
                return super().suite(spelling if spelling in self.examples else "aes128", lifetime)

        class Crashing(Laboratory):
            def suite(self, spelling: str, lifetime: Lifetime) -> ProtectionSuite:
                return super().suite(self.examples[self.examples.index(spelling)], lifetime)

        class Strict(Laboratory):
            def spell(self, suite: ProtectionSuite) -> str:
                if suite.proposals[0].transforms[0].transform_id not in (1, 2):
                    raise LookupError("which transform is this?")
                return super().spell(suite)

        self.one(Brief(), "which means something else")
        self.one(Foreign(), "which suite does not take")
        self.one(Lenient(), "suite takes ''")
        self.one(Crashing(), "ValueError", "is a ConfigurationError")
        self.assertIn("spell raises LookupError", self.told(Strict())[0])

    def test_select(self) -> None:
        """What is chosen is ours, the last, invented, or a part."""

        class Ours(Laboratory):
            def select(self, offered: Offer, acceptable: Offer) -> ProtectionSuite:
                super().select(offered, acceptable)
                return acceptable.suites[0]

        class Last(Laboratory):
            def select(self, offered: Offer, acceptable: Offer) -> ProtectionSuite:
                return super().select(replace(offered, suites=offered.suites[::-1]), acceptable)

        class Anything(Laboratory):
            def select(self, offered: Offer, acceptable: Offer) -> ProtectionSuite:
                if not offered.suites or not offered.suites[0].proposals[0].transforms:
                    raise NoProposalChosen("nothing")
                return offered.suites[0]

        class Crashing(Laboratory):
            def accepts(self, protocol: int, offered: Transform, ours: Transform) -> bool:
                return offered.attributes[0] == ours.attributes[0]

        class Part(IPsecDOI):
            def select(self, offered: Offer, acceptable: Offer) -> ProtectionSuite:
                for suite in offered.suites:
                    for length in range(len(suite.proposals), 0, -1):
                        part = replace(
                            offered, suites=(ProtectionSuite(suite.proposals[:length]),)
                        )
                        try:
                            return super().select(part, acceptable)
                        except PeerError:
                            continue
                raise NoProposalChosen("nothing")

        self.assertIn("select invents", " ".join(self.told(Ours())))
        self.assertIn("the initiator's preference counts", " ".join(self.told(Last())))
        self.assertIn("a Transform-ID that is not configured", " ".join(self.told(Anything())))
        self.assertIn("select raises IndexError", " ".join(self.told(Crashing())))
        self.assertIn("leaves out a protocol of a suite", " ".join(self.told(Part())))

    def test_confirm(self) -> None:
        """An answer is taken that nobody offered, or none at all."""

        class Trusting(Laboratory):
            def confirm(self, answer: Offer, offered: Offer) -> ProtectionSuite:
                if len(answer.suites) != 1 or len(answer.suites[0].proposals[0].transforms) != 1:
                    raise NoProposalChosen("not one")
                return answer.suites[0]

        class Several(Laboratory):
            def confirm(self, answer: Offer, offered: Offer) -> ProtectionSuite:
                return self.select(answer, offered)

        class Stubborn(Laboratory):
            def confirm(self, answer: Offer, offered: Offer) -> ProtectionSuite:
                if answer.suites and answer.suites[0] not in offered.suites:
                    raise NoProposalChosen("not mine")
                return super().confirm(answer, offered)

        class Own(Laboratory):
            def confirm(self, answer: Offer, offered: Offer) -> ProtectionSuite:
                super().confirm(answer, offered)
                return offered.suites[0]

        self.one(Trusting(), "confirm takes", "which was not offered")
        self.one(Several(), "confirm takes an answer of two suites")
        self.one(Stubborn(), "confirm refuses what select chose")
        self.one(Own(), "with the peer's SPIs")

    def test_keys(self) -> None:
        """Keys of too few octets, of part of them, of the wrong SA; keys that can be read."""

        class Short(Laboratory):
            def terms(self, chosen: Proposal) -> Terms:
                return Terms(super().terms(chosen).keymat - 1)

        @dataclass(frozen=True)
        class Told:
            key: bytes

        def domain(change: Any) -> Laboratory:
            class Changed(Laboratory):
                def security_association(
                    self, chosen: Proposal, spi: bytes, keymat: bytes, agreed: Agreed
                ) -> ProtectionSA:
                    if len(keymat) not in (20, 36):
                        raise ValueError(len(keymat))
                    made = super().security_association(chosen, spi, keymat, agreed)
                    return replace(made, **change(made, keymat))

            return Changed()

        def wiped(made: ProtectionSA, keymat: bytes) -> Any:
            return {"keys": {**made.keys, "salt": bytes(4)}}

        def halved(made: ProtectionSA, keymat: bytes) -> Any:
            return {"keys": {"key": made.keys["key"]}}

        def shown(made: ProtectionSA, keymat: bytes) -> Any:
            return {"parameters": Told(made.keys["key"])}

        def moved(made: ProtectionSA, keymat: bytes) -> Any:
            return {"key": made.key._replace(destination="203.0.113.9")}

        def drawn(made: ProtectionSA, keymat: bytes) -> Any:
            return {"keys": {**made.keys, "salt": next(_count).to_bytes(4)}}

        def eternal(made: ProtectionSA, keymat: bytes) -> Any:
            return {"lifetime": Lifetime()}

        self.one(Short(), "ValueError")
        for change, word in (
            (wiped, "is in none of the keys"),
            (halved, "asks for 20 octets of keying material, and the keys have 16"),
            (shown, "can be read in the repr"),
            (moved, "its destination is its receiver"),
            (drawn, "security_association is not pure"),
            (eternal, "the lifetime that was agreed"),
        ):
            self.one(domain(change), word)

    def test_any_length(self) -> None:
        """Keying material of another length than was asked for is cut all the same."""

        class Lax(Laboratory):
            def security_association(
                self, chosen: Proposal, spi: bytes, keymat: bytes, agreed: Agreed
            ) -> ProtectionSA:
                size = self.terms(chosen).keymat
                padded = keymat[:size].ljust(size, b"\0")
                return super().security_association(chosen, spi, padded, agreed)

        self.one(Lax(), "it has to raise ValueError")

    def test_examples(self) -> None:
        """Without suites nothing can be checked, and that is said."""
        bare = Laboratory()
        bare.examples = ()
        self.one(bare, "give examples")
        check_doi(bare, suites=["aes128", "aes256"])

    def test_several(self) -> None:
        """Whatever is wrong is told at once."""

        class Bad(Laboratory):
            def situation(self, reader: Reader) -> Room:
                return Room(reader.u16())

            def notified(self, notification: Notification) -> Effect | None:
                raise RuntimeError("not now")

            def spell(self, suite: ProtectionSuite) -> str:
                return ""

        sentences = self.told(Bad())
        self.assertEqual(len(sentences), 2, sentences)
