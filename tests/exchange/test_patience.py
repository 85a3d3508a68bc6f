"""
What shortens a conversation's patience, and what ends it: refusals, forgeries, notifications.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from isakmp.connections import Limits
from isakmp.errors import (
    AuthenticationFailed,
    ExchangeTimeout,
    InvalidKeyInformation,
    Malformed,
    NoProposalChosen,
    PeerError,
    PeerRefused,
    Unreadable,
)
from isakmp.events import NotificationReceived
from isakmp.numbers import NotifyType
from isakmp.parts import Role
from isakmp.wire.message import CookiePair, Message
from isakmp.wire.payloads import KeyExchange
from tests.exchange.line import INTERVALS, OURS, QUICK_MODE, Line, Numbered

GRACE = Limits().grace


class Lines(SynchronousTestCase):
    def sealed_line(self) -> Line:
        """Phase 1, which has just been sealed: nothing has been readable yet."""
        line = Line(Role.RESPONDER)
        line.listen()
        line.hear(line.message(cookies=CookiePair(OURS, CookiePair.ZERO)))
        line.conversation.protection = Numbered()
        line.ask()
        line.outcomes.clear()
        return line

    def refused(self, line: Line, error: PeerError, data: bytes = b"bad") -> None:
        """A message is delivered, and the method does not take it."""
        line.hear(line.message(data))
        line.conversation.refuse(error)
        line.listen()

    def ends(self, line: Line, seconds: float) -> Exception:
        """It goes on for so long, and not longer; why it ended."""
        line.wait(seconds - 0.001)
        failures = [one for one in line.outcomes if isinstance(one, Exception)]
        self.assertEqual(failures, [])
        line.wait(0.002)
        failure = line.outcomes[-1]
        assert isinstance(failure, Exception)
        self.assertEqual(line.clock.getDelayedCalls(), [])
        return failure


class RefusalTests(Lines):
    def test_grace(self) -> None:
        """After a message that the method refused the exchange ends within ``grace``, with why."""
        line = Line()
        line.ask()
        line.wait(0.5)
        reason = InvalidKeyInformation("zero")
        self.refused(line, reason)
        self.assertIs(self.ends(line, GRACE), reason)
        self.assertTrue(reason.reported)
        self.assertEqual(line.reports, [(reason, False)])

    def test_better_one(self) -> None:
        """If a better one comes by then, it is taken, and all is forgotten."""
        line = Line()
        line.ask()
        self.refused(line, NoProposalChosen("a forgery"))
        line.wait(GRACE - 0.1)
        line.hear(line.message(b"good"))
        self.assertIsInstance(line.outcomes[-1], Message)
        line.ask()
        self.assertIsInstance(self.ends(line, INTERVALS.total), ExchangeTimeout)

    def test_grace_is_no_more(self) -> None:
        """Little time that is left does not become more, and the first reason is the one told."""
        line = Line()
        line.ask()
        line.wait(INTERVALS.total - 0.5)
        first = Malformed("first")
        self.refused(line, first)
        line.wait(0.1)
        self.refused(line, Malformed("second"), b"worse")
        self.assertIs(self.ends(line, 0.4), first)

    def test_enough(self) -> None:
        """In clear text, where each can cost a key agreement, ``refusals`` of them are enough."""
        line = Line(limits=Limits(refusals=3))
        line.ask()
        self.refused(line, Malformed("one"), b"one")
        self.refused(line, Malformed("two"), b"two")
        line.hear(line.message(b"three"))
        last = Malformed("three")
        self.assertIs(self.assertRaises(Malformed, line.conversation.refuse, last), last)

    def test_sealed(self) -> None:
        """Sealed ones cost little: however many forgeries come first, the real one is taken."""
        line = self.sealed_line()
        for number in range(20):
            line.hear(line.sealed(1, b"%d" % number))
            line.conversation.refuse(AuthenticationFailed("a forgery"))
            line.listen()
        line.outcomes.clear()
        line.hear(line.sealed(1))
        self.assertIsInstance(line.outcomes[0], Message)

    def test_first(self) -> None:
        """A responder has nothing to hope for after a first message that it refuses."""
        line = Line(Role.RESPONDER)
        line.listen()
        line.hear(line.message(cookies=CookiePair(OURS, CookiePair.ZERO)))
        self.assertRaises(NoProposalChosen, line.conversation.refuse, NoProposalChosen("none"))

    def test_proven(self) -> None:
        """Nor anybody after a message of phase 2: it was proven, so there is no better one."""
        line = Line(Role.RESPONDER, QUICK_MODE, protection=Numbered(), message_id=7)
        line.listen()
        line.hear(line.sealed(0))
        error = NoProposalChosen("none")
        self.assertRaises(NoProposalChosen, line.conversation.refuse, error)
        self.assertEqual(line.reports, [(error, True)])

    def test_protection(self) -> None:
        """The cipher state goes back to before a message that was refused."""
        line = self.sealed_line()
        before = line.conversation.protection
        line.hear(line.sealed(1, b"bad"))
        self.assertIsNot(line.conversation.protection, before)
        line.conversation.refuse(AuthenticationFailed("a forgery"))
        self.assertIs(line.conversation.protection, before)

    def test_again(self) -> None:
        """The same refused message, repeated, is neither delivered nor reported again."""
        line = Line()
        line.ask()
        self.refused(line, Malformed("bad"))
        delivered = len(line.outcomes)
        for _ in range(5):
            line.hear(line.message(b"bad"))
        self.assertEqual((len(line.outcomes), len(line.reports)), (delivered, 1))


class DropTests(Lines):
    def test_clear_text(self) -> None:
        """
        What makes no sense in clear text is dropped and reported once, and costs no patience: the
        exchange ends when it would have ended, and tells what it dropped.
        """
        line = Line()
        line.conversation.send((KeyExchange(b"ours"),))
        line.listen(KeyExchange)
        for _ in range(3):
            line.hear(line.message(b"no key exchange"))
        line.hear(line.message().encode() + b"\0")
        self.assertEqual(len(line.reports), 2)
        failure = self.ends(line, INTERVALS.total)
        self.assertIn("dropped: a message without KeyExchange", str(failure))
        self.assertIn("octets announced", str(failure))

    def test_bounded(self) -> None:
        """Of any number of dropped messages the last ``drops`` are remembered."""
        line = Line(limits=Limits(drops=3))
        line.conversation.send((KeyExchange(b"ours"),))
        line.listen(KeyExchange)
        for number in range(100):
            line.hear(line.message(b"%d" % number))
        self.assertEqual(len(line.reports), 100)
        failure = self.ends(line, INTERVALS.total)
        assert isinstance(failure, PeerError)
        self.assertEqual(len(failure.reason.rejected), 3)
        self.assertEqual(len(line.conversation.refused), 3)

    def test_unreadable(self) -> None:
        """
        A first sealed message that the keys do not open shortens the exchange to ``grace``, with
        that as its reason: most likely the secrets differ.
        """
        line = self.sealed_line()
        line.hear(line.sealed(9))
        self.assertIsInstance(self.ends(line, GRACE), Unreadable)

    def test_forgery(self) -> None:
        """The real one is still taken by then."""
        line = self.sealed_line()
        line.hear(line.sealed(9))
        line.wait(GRACE - 0.1)
        line.hear(line.sealed(1))
        self.assertIsInstance(line.outcomes[0], Message)

    def test_once_readable(self) -> None:
        """Once something could be read, an unreadable message says nothing about the secrets."""
        line = self.sealed_line()
        line.hear(line.sealed(1))
        line.outcomes.clear()
        line.ask()
        line.hear(line.sealed(9))
        self.assertIsInstance(self.ends(line, INTERVALS.total), ExchangeTimeout)

    def test_phase_2(self) -> None:
        """Nor under an SA: there a wrong HASH or key shortens nothing."""
        line = Line(protection=Numbered(), message_id=7, kind=QUICK_MODE)
        line.ask()
        line.hear(line.sealed(9))
        self.assertIsInstance(line.reports[0][0], Unreadable)
        self.assertFalse(line.reports[0][1])
        self.assertIsInstance(self.ends(line, INTERVALS.total), ExchangeTimeout)

    def test_silence_after_sealed(self) -> None:
        """If no answer to the first sealed message comes, the reason says what that can mean."""
        line = self.sealed_line()
        self.assertIn("secrets", str(self.ends(line, INTERVALS.total)))


class NotificationTests(Lines):
    def test_error(self) -> None:
        """An error in clear text ends the exchange after ``grace``: it may not be the peer's."""
        line = Line()
        line.ask()
        line.notified(NotifyType.NO_PROPOSAL_CHOSEN)
        failure = self.ends(line, GRACE)
        self.assertIsInstance(failure, PeerRefused)
        self.assertIn("it says NO-PROPOSAL-CHOSEN, unauthenticated", str(failure))
        (event,) = line.member.published(NotificationReceived)
        self.assertEqual((event.kind, event.authenticated), (14, False))

    def test_after_a_drop(self) -> None:
        """It does not hide what we have dropped ourselves before."""
        line = Line()
        line.conversation.send((KeyExchange(b"ours"),))
        line.listen(KeyExchange)
        line.hear(line.message())
        line.notified(NotifyType.INVALID_COOKIE)
        self.assertIn("without KeyExchange", str(self.ends(line, GRACE)))

    def test_first_sealed(self) -> None:
        """In answer to our first sealed message it says that the secrets most likely differ."""
        line = self.sealed_line()
        line.notified(NotifyType.PAYLOAD_MALFORMED)
        failure = self.ends(line, GRACE)
        self.assertIsInstance(failure, Unreadable)
        self.assertIn("secrets configured for this peer differ", str(failure))

    def test_unknown(self) -> None:
        """An error that has no name is told by its number."""
        line = Line()
        line.ask()
        line.notified(9999)
        self.assertIn("9999", str(self.ends(line, GRACE)))

    def test_status(self) -> None:
        """A status asks for nothing."""
        line = Line()
        line.ask()
        for kind in (NotifyType.CONNECTED, NotifyType.INITIAL_CONTACT, 40000):
            line.notified(kind)
        self.assertIsInstance(self.ends(line, INTERVALS.total), ExchangeTimeout)

    def test_finished(self) -> None:
        """One that has its result does not care."""
        line = Line()
        line.ask()
        line.hear(line.message())
        line.conversation.finish()
        line.notified(NotifyType.INVALID_COOKIE)
        self.assertEqual(line.clock.getDelayedCalls(), [])

    def test_proven(self) -> None:
        """Under an SA the peer's word is final."""
        line = Line(protection=Numbered(), message_id=7, kind=QUICK_MODE)
        line.ask()
        line.refused(NotifyType.INVALID_ID_INFORMATION)
        (failure,) = line.outcomes
        self.assertIsInstance(failure, PeerRefused)
        self.assertEqual(str(failure), "the peer says INVALID-ID-INFORMATION")
        self.assertEqual(line.clock.getDelayedCalls(), [])

    def test_while_busy(self) -> None:
        """
        What comes while the exchange asks a store counts when it listens again; until then nothing
        is repeated and nothing ends.
        """
        line = Line()
        line.ask()
        line.hear(line.message())
        line.notified(NotifyType.INVALID_HASH_INFORMATION)
        line.wait(1.5)
        self.assertEqual((len(line.sent), len(line.outcomes)), (1, 1))
        line.listen()
        self.assertIsInstance(self.ends(line, GRACE - 1.5), PeerRefused)
