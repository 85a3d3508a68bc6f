"""
Send, wait, repeat: when a conversation speaks, and what it takes for an answer.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from isakmp.connections import Intervals
from isakmp.errors import (
    ExchangeTimeout,
    InvalidCookie,
    InvalidExchangeType,
    InvalidFlags,
    Malformed,
    UnexpectedPayload,
)
from isakmp.events import MessageReceived, MessageSent
from isakmp.parts import Role
from isakmp.wire.message import CookiePair, Flags, Message
from isakmp.wire.payloads import Hash, KeyExchange, Nonce, Signature
from tests.exchange.line import (
    ELSEWHERE,
    HERE,
    INFORMATIONAL_EXCHANGE,
    INTERVALS,
    OURS,
    QUICK_MODE,
    THEIRS,
    Line,
    Numbered,
)

INITIATOR, RESPONDER = Role.INITIATOR, Role.RESPONDER


class RepeatTests(SynchronousTestCase):
    def test_initiator(self) -> None:
        """
        A message that nobody answers is sent again at the configured intervals, each longer than
        the last, the same octets each time; then hope is given up, with the reason.

        Proves: RFC 2408 section 5.1 (row 5.1-4)
        Proves: RFC 2408 section 5.1 (row 5.1-5)
        Proves: RFC 2408 section 5.1 (row 5.1-6)
        """
        line = Line()
        line.ask()
        line.wait(INTERVALS.total - 0.001)
        self.assertEqual(line.times, [0.0, 1.0, 3.0, 7.0])
        self.assertEqual(len(set(line.sent)), 1)
        self.assertEqual(line.outcomes, [])
        line.wait(0.002)
        self.assertIsInstance(line.outcomes[0], ExchangeTimeout)
        self.assertIn("no answer from 192.0.2.2:500", str(line.outcomes[0]))
        self.assertEqual(line.clock.getDelayedCalls(), [])
        repeated = [event.repeated for event in line.member.published(MessageSent)]
        self.assertEqual(repeated, [False, True, True, True])

    def test_default_intervals(self) -> None:
        """What an administrator configures is what happens: six repeats, 75 seconds in all."""
        intervals = Intervals()
        waits = list(intervals)
        self.assertEqual(len(waits), intervals.repeats + 1)
        self.assertEqual(waits, sorted(waits))
        self.assertAlmostEqual(sum(waits), intervals.total)
        self.assertTrue(70 < intervals.total < 80)

    def test_first_of_responder(self) -> None:
        """Who is asked nothing, after ``total`` says that nothing came."""
        line = Line(RESPONDER)
        line.listen()
        line.wait(INTERVALS.total)
        self.assertIn("no message from 192.0.2.2:500", str(line.outcomes[0]))
        self.assertEqual(line.sent, [])

    def test_stranger(self) -> None:
        """
        A responder of phase 1 repeats nothing on its own: the address may be another's
        (CVE-2016-5361).
        """
        line = Line(RESPONDER)
        line.ask()
        line.wait(INTERVALS.total)
        self.assertEqual(line.times, [0.0])
        self.assertIsInstance(line.outcomes[0], ExchangeTimeout)

    def test_peer(self) -> None:
        """In phase 2, where it is proven who asks, it does."""
        line = Line(RESPONDER, QUICK_MODE, protection=Numbered(), message_id=7)
        line.ask()
        line.wait(INTERVALS.total)
        self.assertEqual(line.times, [0.0, 1.0, 3.0, 7.0])

    def test_one_way(self) -> None:
        """
        An Informational exchange's message is sent once.

        Proves: RFC 2408 section 5.15
        """
        line = Line(INITIATOR, INFORMATIONAL_EXCHANGE, protection=Numbered(), message_id=7)
        line.conversation.send((Nonce(b"12345678"),))
        self.assertEqual(line.clock.getDelayedCalls(), [])
        line.wait(100.0)
        self.assertEqual(line.times, [0.0])

    def test_answered(self) -> None:
        """An answer ends the repeats; the next message begins its own."""
        line = Line()
        line.ask()
        line.wait(2.0)
        line.hear(line.message())
        line.wait(1.5)
        self.assertEqual(line.times, [0.0, 1.0])
        line.ask()
        line.wait(1.1)
        self.assertEqual(line.times, [0.0, 1.0, 3.5, 4.5])

    def test_cancelled(self) -> None:
        """Whoever gives up waiting leaves nothing on the clock, and nothing is repeated."""
        line = Line()
        line.conversation.send((Nonce(bytes(8)),))
        waiting = line.listen()
        waiting.cancel()
        self.assertIsInstance(line.outcomes[0], CancelledError)
        self.assertEqual(line.clock.getDelayedCalls(), [])
        line.hear(line.message())
        line.wait(100.0)
        self.assertEqual(line.times, [0.0])

    def test_finished(self) -> None:
        """One that has its result leaves nothing on the clock."""
        line = Line()
        line.ask()
        line.conversation.finish()
        self.assertEqual(line.clock.getDelayedCalls(), [])


class RepeatedQuestionTests(SynchronousTestCase):
    """The peer says again what it has said: our answer was lost."""

    def test_responder(self) -> None:
        """Each repeat of the last question gets the last answer once, from memory."""
        line = Line(RESPONDER)
        line.listen()
        question = line.message(cookies=CookiePair(OURS, CookiePair.ZERO))
        line.hear(question)
        line.ask()
        for count in range(2, 6):
            line.hear(question)
            self.assertEqual(len(line.sent), count)
        self.assertEqual(len(set(line.sent)), 1)
        self.assertEqual(len(line.outcomes), 1)
        line.conversation.finish()
        line.hear(question)
        self.assertEqual(len(line.sent), 6)

    def test_before_the_answer(self) -> None:
        """A question that comes twice before we have an answer is answered once, when we have."""
        line = Line(RESPONDER)
        line.listen()
        question = line.message(cookies=CookiePair(OURS, CookiePair.ZERO))
        line.hear(question)
        line.hear(question)
        self.assertEqual(line.sent, [])
        line.ask()
        self.assertEqual(len(line.sent), 1)
        line.wait(0.5)
        self.assertEqual(len(line.outcomes), 1)

    def test_older(self) -> None:
        """A question that was answered and followed by another is not answered again."""
        line = Line(RESPONDER)
        line.listen()
        first = line.message(cookies=CookiePair(OURS, CookiePair.ZERO))
        line.hear(first)
        line.ask()
        line.hear(line.message(b"next"))
        line.ask()
        sent = len(line.sent)
        line.hear(first)
        self.assertEqual(len(line.sent), sent)
        self.assertEqual(line.reports, [])

    def test_waiting_initiator(self) -> None:
        """
        While it waits, an initiator repeats by the clock and not on demand: else each repeat of one
        end would cause one of the other, for ever.
        """
        line = Line()
        line.ask()
        answer = line.message()
        line.hear(answer)
        line.ask()
        for _ in range(5):
            line.hear(answer)
        self.assertEqual(line.times, [0.0, 0.0])

    def test_finished_initiator(self) -> None:
        """One that had the last word says it again whenever it is asked."""
        line = Line(INITIATOR, QUICK_MODE, protection=Numbered(), message_id=7)
        line.ask()
        answer = line.sealed(1)
        line.hear(answer)
        line.conversation.send(())
        line.conversation.finish()
        for _ in range(3):
            line.hear(answer)
        self.assertEqual(len(line.sent), 5)
        self.assertEqual(len(set(line.sent)), 2)

    def test_last_word_of_the_other(self) -> None:
        """Whoever heard the last word has nothing to repeat, so two that linger fall silent."""
        line = Line(RESPONDER, QUICK_MODE, protection=Numbered(), message_id=7)
        line.listen()
        first, last = line.sealed(0), line.sealed(2)
        line.hear(first)
        line.ask()
        line.hear(last)
        line.conversation.finish()
        for _ in range(3):
            line.hear(last)
            line.hear(first)
        self.assertEqual(len(line.sent), 1)
        self.assertFalse(line.conversation.answers)

    def test_refused(self) -> None:
        """After a message that was refused, the question before it is answered again."""
        line = Line(RESPONDER)
        line.listen()
        question = line.message(cookies=CookiePair(OURS, CookiePair.ZERO))
        line.hear(question)
        line.ask()
        line.hear(line.message(b"bad"))
        line.conversation.refuse(Malformed("bad"))
        line.listen()
        line.hear(question)
        self.assertEqual(len(line.sent), 2)

    def test_own_words(self) -> None:
        """What we have said ourselves is no answer, and not worth a report."""
        line = Line()
        line.ask()
        line.hear(line.sent[0])
        self.assertEqual((line.outcomes, line.reports, len(line.sent)), ([], [], 1))


class AcceptTests(SynchronousTestCase):
    def test_responders_cookie(self) -> None:
        """
        The first answer brings the responder's cookie; from then on nothing else is heard.

        Proves: RFC 2408 section 5.2 (row 5.2-2)
        """
        line = Line()
        line.ask()
        line.hear(line.message(cookies=CookiePair(OURS, CookiePair.ZERO)))
        self.assertIsInstance(line.reports[-1][0], InvalidCookie)
        self.assertEqual(line.conversation.cookies, CookiePair(OURS, CookiePair.ZERO))
        line.hear(line.message())
        self.assertEqual(line.conversation.cookies, CookiePair(OURS, THEIRS))
        line.ask()
        for other in (b"somebody", CookiePair.ZERO):
            line.hear(line.message(cookies=CookiePair(OURS, other)))
            self.assertIsInstance(line.reports[-1][0], InvalidCookie)
        self.assertEqual(len(line.outcomes), 1)

    def test_first_message(self) -> None:
        """Only a responder's first message may lack the cookie that it is answered with."""
        line = Line(RESPONDER)
        line.listen()
        line.hear(line.message(cookies=CookiePair(OURS, CookiePair.ZERO)))
        line.ask()
        line.hear(line.message(b"more", cookies=CookiePair(OURS, CookiePair.ZERO)))
        self.assertIsInstance(line.reports[-1][0], InvalidCookie)
        self.assertEqual(len(line.outcomes), 1)

    def test_refused_cookie(self) -> None:
        """The cookie of a message that the method refuses is not the exchange's."""
        line = Line()
        line.ask()
        line.hear(line.message(b"bad", cookies=CookiePair(OURS, b"somebody")))
        self.assertEqual(line.conversation.cookies.responder, b"somebody")
        line.conversation.refuse(Malformed("bad"))
        self.assertEqual(line.conversation.cookies.responder, CookiePair.ZERO)
        line.listen()
        line.hear(line.message())
        self.assertEqual(line.conversation.cookies.responder, THEIRS)

    def test_flags(self) -> None:
        """
        Sealed before there are keys, or in clear once there are: dropped.

        Proves: RFC 2408 section 5.2 (row 5.2-6)
        """
        line = Line()
        line.ask()
        line.hear(line.sealed(0))
        self.assertIsInstance(line.reports[-1][0], InvalidFlags)
        line.conversation.protection = Numbered()
        line.hear(line.message())
        self.assertIsInstance(line.reports[-1][0], InvalidFlags)
        line.hear(line.message(flags=Flags.COMMIT))
        self.assertIsInstance(line.reports[-1][0], InvalidFlags)
        self.assertEqual(line.outcomes, [])

    def test_exchange_type(self) -> None:
        """
        A message of another exchange type with our cookies is not ours.

        Proves: RFC 2409 section 5 (row 5-5)
        """
        line = Line()
        line.ask()
        line.hear(line.message(kind=4))
        self.assertIsInstance(line.reports[-1][0], InvalidExchangeType)

    def test_expected(self) -> None:
        """
        A message is delivered when it has at least one of each payload asked for, or of each set of
        alternatives.
        """
        line = Line()
        line.conversation.send((Nonce(bytes(8)),))
        line.listen(KeyExchange, (Hash, Signature))
        for payloads in ((), (Hash(b""),), (KeyExchange(b""),), (KeyExchange(b""), Nonce(b""))):
            line.hear(line.message(payloads=payloads))
            self.assertIsInstance(line.reports[-1][0], UnexpectedPayload)
        self.assertIn("Hash or Signature", str(line.reports[-1][0]))
        self.assertEqual(line.outcomes, [])
        line.hear(line.message(payloads=(KeyExchange(b""), Signature(b""))))
        self.assertIsInstance(line.outcomes[0], Message)
        self.assertEqual(len(line.member.published(MessageReceived)), 1)

    def test_path(self) -> None:
        """The path follows what is sealed, never what is in clear text, and not what is refused."""
        line = Line()
        line.ask()
        line.hear(line.message(), ELSEWHERE)
        self.assertEqual(line.conversation.path, HERE)
        line.conversation.protection = Numbered()
        line.ask()
        line.hear(line.sealed(5), ELSEWHERE)
        self.assertEqual(line.conversation.path, HERE)
        line.hear(line.sealed(1), ELSEWHERE)
        self.assertEqual(line.conversation.path, ELSEWHERE)
        line.conversation.refuse(Malformed("bad"))
        self.assertEqual(line.conversation.path, HERE)

    def test_queue_of_one(self) -> None:
        """
        While the exchange is busy one datagram waits for it, the first that came; it is taken when
        the exchange listens again.
        """
        line = Line()
        line.ask()
        line.hear(line.message())
        for data in (b"first", b"second", b"third"):
            line.hear(line.message(data))
        self.assertEqual(len(line.outcomes), 1)
        line.listen()
        (_, heard) = line.outcomes
        assert isinstance(heard, Message)
        self.assertEqual(heard.one(Nonce).data, b"first")
        line.listen()
        self.assertEqual(len(line.outcomes), 2)

    def test_taken_up(self) -> None:
        """
        A conversation can go on from a first message that came, and was answered, before it began:
        that message once more is answered once more, and the next one is taken.
        """
        line = Line(RESPONDER)
        first = line.message(b"first", cookies=CookiePair(OURS, CookiePair.ZERO))
        answer = line.message(b"taken up").encode()
        line.conversation.take_up(first.encode(), answer)
        self.assertEqual((line.sent, line.conversation.sent), ([], answer))
        line.listen()
        line.hear(first)
        self.assertEqual((line.sent, line.outcomes), ([answer], []))
        (event,) = line.member.published(MessageSent)
        self.assertEqual((event.message.payloads, event.repeated), ((Nonce(b"taken up"),), True))
        line.hear(line.message(b"next"))
        (heard,) = line.outcomes
        assert isinstance(heard, Message)
        self.assertEqual(heard.one(Nonce).data, b"next")

    def test_opened_before(self) -> None:
        """What was unsealed before is not unsealed again; of other octets that says nothing."""
        line = Line(RESPONDER, QUICK_MODE, protection=Numbered(), message_id=7)
        octets, state = line.sealed(0), Numbered(1)
        line.conversation.opened(octets, line.message(b"in clear"), state)
        line.listen()
        line.hear(line.sealed(3))
        self.assertEqual(line.outcomes, [])
        line.hear(octets)
        (heard,) = line.outcomes
        assert isinstance(heard, Message)
        self.assertEqual(heard.one(Nonce).data, b"in clear")
        self.assertIs(line.conversation.protection, state)
