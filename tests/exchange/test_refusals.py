"""
What a peer, or a stranger, is told when something of it was not accepted.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from isakmp.connections import Limits
from isakmp.errors import (
    AuthenticationFailed,
    ExchangeTimeout,
    InvalidCookie,
    InvalidExchangeType,
    InvalidHash,
    InvalidIdentity,
    InvalidMajorVersion,
    InvalidMinorVersion,
    LimitReached,
    Malformed,
    NoConnection,
    NoProposalChosen,
    PeerError,
    Reason,
    Unreadable,
    UnsupportedExchangeType,
)
from isakmp.events import MessageDropped
from isakmp.exchange.refusals import Bucket, Refusals, answerable
from isakmp.interfaces import IManagementSA
from isakmp.numbers import DOI, ExchangeType, NotifyType, ProtocolID
from isakmp.parts import AUTH, ID, KE, SA, Arrow, Part, Role
from isakmp.paths import Datagram, Path
from isakmp.testing import LossyNetwork, VirtualClock
from isakmp.wire.message import CookiePair, Header, Message
from isakmp.wire.payloads import Notification
from tests.nodes import ALICE, BOB, Member
from tests.samples import SampleSA

COOKIES = CookiePair(b"initiate", b"responds")
PATH = Path((ALICE, 500), (BOB, 500))
CAUSE = Datagram(bytes(100), PATH)


def at(error: PeerError, *parts: Part) -> PeerError:
    """The same, at a message with these parts."""
    return error.at(Arrow("Identity Protection", Role.INITIATOR, frozenset(parts)))


class RefusalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = VirtualClock()
        self.network = LossyNetwork(self.clock)
        self.network.cut = True
        self.network.record = []
        limits = Limits(notifications=5)
        self.member = Member(self.network, self.clock, ALICE, [], limits=limits)
        self.begun: list[tuple[IManagementSA, int, object]] = []
        self.outcome: Deferred[object] = succeed(None)
        self.refusals = Refusals(self.member.node, self.begin)

    def begin(self, sa: IManagementSA, number: int, order: object) -> Deferred[object]:
        self.begun.append((sa, number, order))
        return self.outcome

    @property
    def sent(self) -> list[bytes]:
        """What left, to whoever sent the cause."""
        assert self.network.record is not None
        for one in self.network.record:
            self.assertEqual(one.datagram.path, PATH)
        return [one.datagram.octets for one in self.network.record]

    def told(self, error: PeerError) -> int | None:
        """The notification for an error, of somebody unproven."""
        before = len(self.sent)
        self.clock.run_until(self.clock.seconds() + 1.0)
        self.refusals.dropped(error, CAUSE, COOKIES)
        if len(self.sent) == before:
            return None
        message = Message.decode(self.sent[-1])
        self.assertEqual(message.cookies, COOKIES)
        self.assertEqual(message.exchange_type, ExchangeType.INFORMATIONAL)
        self.assertNotEqual(message.message_id, 0)
        notification = message.one(Notification)
        self.assertEqual((notification.spi, notification.data), (b"", b""))
        return notification.kind


class StrangerTests(RefusalTests):
    def test_kind(self) -> None:
        """
        Each blame has its notification, which says the number and nothing else.

        Proves: RFC 2408 section 3.14.1
        Proves: RFC 2408 section 5.14 (row 5.14-2)
        """
        self.assertEqual(self.told(Malformed("secret text")), NotifyType.PAYLOAD_MALFORMED)
        self.assertNotIn(b"secret", self.sent[-1])
        self.assertEqual(
            self.told(at(NoProposalChosen("none"), SA)), NotifyType.NO_PROPOSAL_CHOSEN
        )
        self.assertEqual(len(self.member.published(MessageDropped)), 2)

    def test_silent(self) -> None:
        """A stranger that nobody knows, a bound of ours, a silence: no notification."""
        for error in (NoConnection("who?"), LimitReached("many"), ExchangeTimeout("late")):
            self.assertIsNone(self.told(error))
        self.refusals.dropped(Malformed("short"), CAUSE)
        self.assertEqual(self.sent, [])
        self.assertEqual(len(self.member.published(MessageDropped)), 4)

    def test_authentication(self) -> None:
        """
        Of a proof or an identity that was not accepted a stranger learns that it was not, and not
        which of the two, or why: all are AUTHENTICATION-FAILED.

        Proves: RFC 2408 section 5.11
        """
        failed = NotifyType.AUTHENTICATION_FAILED
        for parts in ((ID, AUTH), (ID,), (AUTH,)):
            for error in (
                InvalidIdentity("nobody we know"),
                InvalidHash("wrong"),
                AuthenticationFailed("no secret"),
                Unreadable("garbage"),
            ):
                self.assertEqual(self.told(at(error, *parts)), failed)
        self.assertEqual(self.told(at(Malformed("no message"), ID)), NotifyType.PAYLOAD_MALFORMED)
        self.assertIsNone(self.told(at(NoConnection("who?"), ID, AUTH)))
        self.assertEqual(
            self.told(at(InvalidIdentity("odd"), KE)), NotifyType.INVALID_ID_INFORMATION
        )

    def test_rate(self) -> None:
        """
        As many as ``notifications`` says at once, then one a second; a quiet time fills up no more
        than that.
        """
        for _ in range(100):
            self.refusals.dropped(Malformed("x"), CAUSE, COOKIES)
        self.assertEqual(len(self.sent), 5)
        for seconds in (0.5, 0.5, 0.9):
            self.clock.run_until(self.clock.seconds() + seconds)
            self.refusals.dropped(Malformed("x"), CAUSE, COOKIES)
        self.assertEqual(len(self.sent), 6)
        self.clock.run_until(self.clock.seconds() + 1000.0)
        for _ in range(100):
            self.refusals.dropped(Malformed("x"), CAUSE, COOKIES)
        self.assertEqual(len(self.sent), 11)
        self.assertEqual(len(self.member.published(MessageDropped)), 203)

    def test_no_longer_than_the_cause(self) -> None:
        """What would be longer than the datagram it answers is not sent, and costs no token."""
        for size in range(28, 60):
            self.clock.run_until(self.clock.seconds() + 1.0)
            before = len(self.sent)
            self.refusals.dropped(Malformed("x"), Datagram(bytes(size), PATH), COOKIES)
            for octets in self.sent[before:]:
                self.assertLessEqual(len(octets), size)
        self.assertEqual(len(self.sent), 60 - 40)


class PeerTests(RefusalTests):
    def test_sealed(self) -> None:
        """
        Of what the peer has proven to have said it is told under their SA, whatever the rate, and
        with the number that it is.

        Proves: RFC 2408 section 5.14 (row 5.14-2)
        Proves: RFC 2408 section 5.14 (row 5.14-4)
        """
        sa = SampleSA()
        for _ in range(20):
            self.refusals.dropped(at(InvalidIdentity("traffic"), SA), CAUSE, None, sa)
        self.assertEqual(self.sent, [])
        self.assertEqual(len(self.begun), 20)
        under, number, order = self.begun[0]
        self.assertIs(under, sa)
        self.assertEqual(number, ExchangeType.INFORMATIONAL)
        kind = NotifyType.INVALID_ID_INFORMATION
        self.assertEqual(order, (Notification(DOI.IPSEC, ProtocolID.ISAKMP, kind, b"", b""),))

    def test_silent(self) -> None:
        """Nor is a peer told of what has no notification."""
        self.refusals.dropped(LimitReached("many"), CAUSE, None, SampleSA())
        self.assertEqual(self.begun, [])

    def test_not_sent(self) -> None:
        """If that cannot be sent it is logged, and that is all."""
        self.outcome = fail(ZeroDivisionError())
        self.refusals.dropped(NoProposalChosen("none"), CAUSE, None, SampleSA())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class AnswerableTests(SynchronousTestCase):
    def header(self, kind: int) -> Header:
        return Header(COOKIES, 1, 0x10, kind, 0, 0, 28)

    def test_honest(self) -> None:
        """
        Outside of any exchange only what an honest peer can send is answered: one with a stale SA,
        of another version, or with an exchange that is not run here.

        Proves: RFC 2408 section 5.2
        """
        for error in (
            InvalidCookie("x"),
            InvalidMajorVersion("x"),
            InvalidMinorVersion("x"),
            UnsupportedExchangeType("x"),
        ):
            self.assertEqual(answerable(error, self.header(2)), COOKIES)
        for silent in (Malformed("x"), InvalidExchangeType("x"), NoConnection("x")):
            self.assertIsNone(answerable(silent, self.header(2)))

    def test_informational(self) -> None:
        """
        An Informational exchange is never answered, or two nodes would answer each other for ever.

        Proves: RFC 2408 section 4.8
        """
        for error in (InvalidCookie(Reason("x")), InvalidMajorVersion("x")):
            self.assertIsNone(answerable(error, self.header(ExchangeType.INFORMATIONAL)))


class BucketTests(SynchronousTestCase):
    def test_clock_set_back(self) -> None:
        """
        A clock that is set back by an hour, as at the start of a host, takes nothing away: who was
        answered before is answered now, and no more of them.
        """

        class Clock(VirtualClock):
            back = 0.0

            def seconds(self) -> float:
                return super().seconds() - self.back

        clock = Clock()
        bucket = Bucket(clock, 5)
        self.assertEqual([bucket.take() for _ in range(6)], [True] * 5 + [False])
        clock.advance(3.0)
        clock.back = 3600.0
        self.assertFalse(bucket.take())
        clock.advance(1.0)
        self.assertEqual([bucket.take() for _ in range(2)], [True, False])
