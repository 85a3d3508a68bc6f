"""
The Informational exchange: one message, one way.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from isakmp.events import MessageReceived
from isakmp.exchange.informational import Informational, Notices
from isakmp.interfaces import IExchangeType, IKeyExchangeMethod
from isakmp.numbers import DOI, ExchangeType, NotifyType
from isakmp.parts import NOTICES
from isakmp.testing import settle
from isakmp.wire.message import CookiePair, Header, Message
from isakmp.wire.payloads import Delete, Hash, Nonce, Notification, VendorID
from tests.exchange.test_identity_protection import drawn
from tests.nodes import pair, unfinished

NOTIFICATION = Notification(DOI.IPSEC, 1, NotifyType.R_U_THERE, b"", b"data")
DELETE = Delete(DOI.IPSEC, 3, (b"1234",))


class InformationalTests(SynchronousTestCase):
    def test_diagram(self) -> None:
        """
        One arrow, from whoever has something to tell.

        Proves: RFC 2408 section 4.8
        Proves: RFC 2408 section 4.1 (row 4.1-3)
        """
        kind = Informational()
        self.assertEqual(drawn(self, kind, ()).drawn, [("-->", {NOTICES})])
        self.assertTrue(IExchangeType.providedBy(kind))
        self.assertEqual(kind.number, ExchangeType.INFORMATIONAL)
        self.assertTrue(kind.one_way)
        self.assertFalse(kind.waits_for_cookie or kind.establishes)

    def test_on_the_wire(self) -> None:
        """
        Under an SA it is one sealed message with a message id of its own, which is neither repeated
        nor answered; afterwards nothing of it is kept at either end.

        Proves: RFC 2409 section 5.7 (row 5.7-1)
        Proves: RFC 2408 section 3.1 (row 3.1-13)
        Proves: RFC 2408 section 4.1 (row 4.1-3)
        Proves: RFC 2408 section 4.8 (row 4.8-1)
        Proves: RFC 2408 section 4.8 (row 4.8-3)
        Proves: RFC 2408 section 5.15 (row 5.15-4)
        """
        both = pair()
        both.up()
        both.wait(both.settings.intervals.total)
        heard, sent = len(both.b.published(MessageReceived)), len(both.wire)
        numbers = set()
        for _ in range(3):
            told = both.a.endpoint.begin(both.a.sas[0], 5, (NOTIFICATION, DELETE))
            self.assertEqual(self.successResultOf(told), (NOTIFICATION, DELETE))
            header = Header.decode(both.wire[-1].datagram.octets)
            self.assertTrue(header.flags & 1)
            self.assertNotIn(b"data", both.wire[-1].datagram.octets)
            numbers.add(header.message_id)
        both.wait(100.0)
        self.assertEqual((len(numbers - {0}), len(both.wire)), (3, sent + 3))
        received = both.b.published(MessageReceived)[heard:]
        self.assertEqual([e.message.payloads for e in received], [(NOTIFICATION, DELETE)] * 3)
        self.assertEqual(unfinished(both.a, both.b), [])

    def test_hash(self) -> None:
        """
        HASH(1) = prf(SKEYID_a, M-ID | N/D): the nonces of no exchange enter into it.

        Proves: RFC 2409 section 5.7
        """
        both = pair()
        both.up()
        sa = both.a.sas[0]
        hashed = Informational().hashed(sa, b"\0\0\0\1", b"nonces", b"the rest")
        self.assertEqual(hashed, sa.authenticate(b"\0\0\0\1the rest"))


class NoticesTests(SynchronousTestCase):
    def hear(self, message: Message) -> object:
        """What comes of a message."""
        method = Informational().method(None, None)  # type: ignore[arg-type]
        self.assertTrue(IKeyExchangeMethod.providedBy(method))
        self.assertEqual(method.expects(frozenset({NOTICES})), ())

        async def run() -> object:
            await method.hear(frozenset({NOTICES}), message)
            return await method.established()

        return self.successResultOf(Deferred.fromCoroutine(run()))

    def test_what_it_is_for(self) -> None:
        """Notifications and Deletes are its result, in their order; the rest is nobody's affair."""
        cookies = CookiePair(bytes(8), bytes(8))
        payloads = (VendorID(b"x"), DELETE, Nonce(b"n"), NOTIFICATION, Hash(b"h"), DELETE)
        message = Message(cookies, 5, 0, 1, payloads)
        self.assertEqual(self.hear(message), (DELETE, NOTIFICATION, DELETE))
        self.assertEqual(self.hear(Message(cookies, 5, 0, 1, ())), ())

    def test_keys(self) -> None:
        """It derives none: it is sealed from birth."""
        result = Deferred.fromCoroutine(Notices(()).protection())
        self.failureResultOf(result, RuntimeError)

    def test_empty(self) -> None:
        """An Informational exchange about nothing does nothing."""
        both = pair()
        both.up()
        settle(both.clock, both.a.endpoint.begin(both.a.sas[0], 5, ()))
        both.wait(0.1)
        self.assertEqual(both.b.removals, [])
        self.assertEqual(len(both.b.bundles), 1)
