"""
First messages, understood once: who says the same is answered the same, from memory.
"""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Lifetime
from isakmp.errors import Cancelled, NoConnection, NoProposalChosen, PeerError
from isakmp.events import MessageReceived, MessageSent
from isakmp.exchange.openings import Openings
from isakmp.ike.key_exchange import IKE, ike
from isakmp.ike.method import IKEMethod
from isakmp.paths import Datagram
from isakmp.wire.message import CookiePair, Message
from isakmp.wire.payloads import SecurityAssociation, VendorID
from tests.nodes import ALICE, BOB, MALLORY, Pair, connection, disagreements, pair
from tests.properties.wiretap import Wiretap

_ANSWER = IKEMethod._answer

OTHER = "aes256-sha512-curve25519"


class Unwatched(SynchronousTestCase):
    def pair(self, **words: object) -> Pair:
        """Alice and Bob; nobody listens to what Bob hears and says, as at a daemon."""
        both = pair(**words)  # type: ignore[arg-type]
        for kind in (MessageSent, MessageReceived):
            both.b.node.events._observers.pop(kind)
        return both

    def first(self) -> bytes:
        """Alice's first message."""
        both = pair()
        tap = Wiretap(both.network)
        both.up()
        return tap.first["Main 1"].octets

    def answers(self, both: Pair, octets: bytes, sender: str = ALICE) -> list[bytes]:
        """What Bob sends because of a datagram."""
        before = len(both.sent_by(both.b))
        both.network.inject(Datagram(octets, both.b.path_to(sender).reversed()))
        both.wait(0.015)
        return both.sent_by(both.b)[before:]

    def begun(self) -> mock.MagicMock:
        """Counts how often a method of IKE's begins."""
        patched = mock.patch.object(IKE, "method", autospec=True, side_effect=IKE.method)
        return self.enterContext(patched)


class AnswerTests(Unwatched):
    def test_same(self) -> None:
        """
        Strangers who open with the same words get the same answer, each under a cookie of its own;
        only for the first of them anything runs.

        Proves: RFC 2408 section 2.5.3
        """
        both, octets, begun = self.pair(), self.first(), self.begun()
        said = [self.answers(both, bytes([n]) * 8 + octets[8:]) for n in range(1, 6)]
        self.assertEqual([len(each) for each in said], [1] * 5)
        answers = [Message.decode(each) for (each,) in said]
        self.assertEqual(len({answer.payloads for answer in answers}), 1)
        self.assertEqual(len({answer.cookies.responder for answer in answers}), 5)
        self.assertEqual(len({answer.cookies.initiator for answer in answers}), 5)
        self.assertEqual(begun.call_count, 1)
        self.assertEqual(len(both.b.demultiplexer.half_open), 5)

    def test_goes_on(self) -> None:
        """One that was answered from memory establishes its SAs like any other."""
        both, octets = self.pair(), self.first()
        for n in range(1, 4):
            self.answers(both, bytes([n]) * 8 + octets[8:])
        both.up()
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_resumed(self) -> None:
        """
        Who was answered from memory goes on where the first one was, without what that one said
        being gone through again; each has a key agreement and a result of its own.

        Proves: RFC 2408 section 2.5.3
        """
        both, octets = self.pair(), self.first()
        answered = mock.patch.object(IKEMethod, "_answer", autospec=True, side_effect=_ANSWER)
        answering = self.enterContext(answered)
        self.answers(both, b"1" * 8 + octets[8:])
        self.assertEqual(answering.call_count, 1)
        both.up()
        self.assertEqual(answering.call_count, 1)
        (opening,) = both.b.demultiplexer.strangers.openings
        self.assertEqual(opening.method._pair, None)
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_not_resumed(self) -> None:
        """
        Somebody who is answered the same, but whom another connection was nearer to, is gone
        through all of it: an explanation names what is true of each.
        """
        his = connection(BOB, MALLORY, "r.lab", "m.lab", name="other")
        both, octets = self.pair(bobs_others=[his]), self.first()
        self.answers(both, b"1" * 8 + octets[8:])
        (opening,) = both.b.demultiplexer.strangers.openings
        (half_open,) = both.b.demultiplexer.half_open
        openings, path = both.b.demultiplexer.strangers.openings, half_open.first.path
        candidates = openings.candidates(opening, path)
        self.assertIs(opening.resumable(candidates, half_open.answer), opening.method)
        self.assertIsNone(
            opening.resumable(replace(candidates, rejected=()), half_open.answer)
        )
        self.assertIsNone(opening.resumable(candidates, half_open.answer + b"\0"))
        elsewhere = openings.candidates(opening, both.b.path_to(MALLORY))
        self.assertIsNone(opening.resumable(elsewhere, half_open.answer))

    def test_watched(self) -> None:
        """Where somebody listens to the messages, those answered from memory are not left out."""
        both, octets = pair(), self.first()
        for n in range(1, 4):
            self.answers(both, bytes([n]) * 8 + octets[8:])
        self.assertEqual(len(both.b.published(MessageReceived)), 3)
        self.assertEqual(len(both.b.published(MessageSent)), 3)

    def test_somebody_else(self) -> None:
        """The same words from where another connection is meant get the answer of that one."""
        his = connection(BOB, MALLORY, "r.lab", "m.lab", name="other")
        his = replace(his, suites=(ike.suite(OTHER, Lifetime(3000)),))
        both, octets = self.pair(bobs_others=[his]), self.first()
        self.assertEqual(len(self.answers(both, b"1" * 8 + octets[8:])), 1)
        self.answers(both, b"2" * 8 + octets[8:], MALLORY)
        self.assertEqual(len(both.b.demultiplexer.half_open), 1)  # it offers nothing for that
        self.assertEqual(len(self.answers(both, b"3" * 8 + octets[8:])), 1)

    def test_configured_anew(self) -> None:
        """What is answered from memory is what is configured now."""
        both, octets = self.pair(), self.first()
        self.assertEqual(len(self.answers(both, b"1" * 8 + octets[8:])), 1)
        changed = replace(both.b.connection(), suites=(ike.suite(OTHER, Lifetime(3000)),))
        both.b.assembly.configure([changed], [])
        self.answers(both, b"2" * 8 + octets[8:])
        self.assertEqual(len(both.b.demultiplexer.half_open), 1)

    def test_changed_meanwhile(self) -> None:
        """
        A stranger who was answered, and comes back when that would not be answered any more, gets
        no SA; and another who begins afterwards does.
        """
        for watched in (False, True):
            both = pair() if watched else self.pair()
            changed = replace(both.b.connection(), suites=(ike.suite(OTHER, Lifetime(3000)),))
            tap = Wiretap(both.network)
            both.a.establish().addErrback(lambda failure: None)
            both.clock.run_until(lambda tap=tap: "Main 2" in tap.first)  # type: ignore[misc]
            both.b.assembly.configure([changed], [])
            both.wait(1.0)
            self.assertEqual((both.b.sas, both.b.demultiplexer.conversations.unproven), ([], {}))
            (failure,) = both.b.failures
            self.assertIsInstance(failure, (Cancelled, NoProposalChosen))


class MemoryTests(Unwatched):
    def opening(self, number: int, size: int = 4) -> bytes:
        """A first message that nobody else has sent."""
        first = Message.decode(self.first_message)
        extra = VendorID(number.to_bytes(size))
        return first.with_payloads((first.one(SecurityAssociation), extra)).encode()

    def setUp(self) -> None:
        self.first_message = self.first()
        self.openings = Openings(pair().b.node)

    def test_bounded(self) -> None:
        """Strangers who say ever new things, or long ones, do not fill the memory."""
        for number in range(3 * Openings.MOST):
            self.openings.read(self.opening(number))
        self.openings.read(self.opening(1, 2 * Openings.LONGEST))
        self.assertEqual(len(self.openings), Openings.MOST)
        blank = CookiePair(bytes(8), bytes(8))
        longest = max(len(opening.message(blank).encode()) for opening in self.openings)
        self.assertLessEqual(longest, Openings.LONGEST)

    def test_latest(self) -> None:
        """What is said again and again stays."""
        usual = self.openings.read(self.opening(0))
        for number in range(1, 3 * Openings.MOST):
            self.openings.read(self.opening(number))
            self.assertIs(self.openings.read(self.opening(0)), usual)

    def test_not_understood(self) -> None:
        """Nothing is remembered of what is no first message."""
        for octets in (b"", bytes(28), self.first_message[:-1], self.first_message + b"\0"):
            self.assertRaises(PeerError, self.openings.read, octets)
        self.assertEqual(len(self.openings), 0)

    def test_nobody(self) -> None:
        """For somebody whom no connection is for it is still refused."""
        both = self.pair()
        opening = self.openings.read(self.first_message)
        path = both.b.path_to("198.51.100.1")
        self.assertRaises(NoConnection, self.openings.candidates, opening, path)
