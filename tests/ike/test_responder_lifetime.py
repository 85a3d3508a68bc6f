"""
A responder whose lifetime is shorter than what it is offered says so, and both ends mean the same.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Lifetime
from isakmp.doi.ipsec import ipsec
from isakmp.events import MessageSent
from isakmp.numbers import NotifyType, ProtocolID
from isakmp.wire.payloads import Notification
from tests.nodes import Member, Pair, Settings, disagreements, pair

LONG = Settings(sa_seconds=3000, child_seconds=100_000)
SHORT = Settings(sa_seconds=500, child_seconds=70_000)


def said(member: Member) -> list[Notification]:
    """The RESPONDER-LIFETIMEs in what a node sent, once each."""
    return [
        notification
        for sent in member.published(MessageSent)
        for notification in sent.message.all(Notification)
        if notification.kind == NotifyType.RESPONDER_LIFETIME and sent.sealed
    ]


class ResponderLifetimeTests(SynchronousTestCase):
    def up(self, hers: Settings, his: Settings) -> Pair:
        both = pair(hers, bobs_settings=his)
        both.up()
        self.assertEqual(disagreements(both.a, both.b), [])
        return both

    def test_shorter(self) -> None:
        """
        If I respond and want a shorter life than I am offered, I say so in message 6 of Main Mode
        and message 2 of Quick Mode, for the right protocol and by what I receive by; both ends
        then have that life.

        Proves: RFC 2407 section 4.5.4
        Proves: RFC 2407 section 4.6.3.1
        """
        both = self.up(LONG, SHORT)
        parent, child = said(both.b)
        self.assertEqual((parent.protocol, parent.spi), (1, both.b.sas[0].key.octets))
        (esp,) = both.b.bundles[0].inbound
        self.assertEqual((child.protocol, child.spi), (ProtocolID.ESP, esp.key.spi))
        self.assertEqual((parent.doi, child.doi), (1, 1))
        self.assertEqual(parent.data.hex(), "800b0001800c01f4")
        self.assertEqual(child.data.hex(), "800100010002000400011170")
        for member in (both.a, both.b):
            self.assertEqual(member.sas[0].lifetime.seconds, 500)
            self.assertEqual(member.bundles[0].inbound[0].lifetime.seconds, 70_000)
            self.assertEqual(member.bundles[0].outbound[0].lifetime.seconds, 70_000)

    def test_not_shorter(self) -> None:
        """If mine is as long, or longer, I say nothing: the offered one counts."""
        for hers, his in ((LONG, LONG), (SHORT, LONG)):
            both = self.up(hers, his)
            self.assertEqual(said(both.b) + said(both.a), [])
            self.assertEqual(both.b.sas[0].lifetime, both.a.sas[0].lifetime)

    def test_never_longer(self) -> None:
        """A peer that says a longer life than mine does not lengthen it."""
        longer = ipsec.lifetime_notice
        self.patch(
            type(ipsec),
            "lifetime_notice",
            lambda doi, protocol, spi, lifetime: longer(protocol, spi, Lifetime(2**31, 2**31)),
        )
        both = pair(LONG, bobs_settings=SHORT)
        both.up()
        self.assertEqual(both.a.sas[0].lifetime.seconds, 3000)
        self.assertEqual(both.a.bundles[0].inbound[0].lifetime.seconds, 100_000)

    def test_nonsense(self) -> None:
        """What cannot be read, is of another kind or domain, or says zero, says nothing."""
        kind = NotifyType.RESPONDER_LIFETIME
        for doi, number, data in (
            (1, kind, "8001"),
            (1, kind, ""),
            (1, kind, "80020010"),
            (1, kind, "8001000180020000"),
            (1, kind, "800b0001800c01f4"),
            (1, kind, "8001000100020009" + "00" * 9),
            (0, kind, "80010001800200ff"),
            (1, kind + 1, "80010001800200ff"),
        ):
            notice = Notification(doi, ProtocolID.ESP, number, b"spi!", bytes.fromhex(data))
            self.assertIsNone(ipsec.noticed_lifetime(notice), data)
        for spi in (b"", b"mine", bytes(16)):
            data = bytes.fromhex("80010001800200ff")
            notice = Notification(1, ProtocolID.ESP, kind, spi, data)
            self.assertEqual(ipsec.noticed_lifetime(notice), Lifetime(255), spi)
