"""
The Authentication Only flag of RFC 2408 section 3.1: notifications that are proven and not
encrypted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.errors import InvalidFlags, InvalidHash, InvalidMessageID, PeerError
from isakmp.events import MessageDropped, MessageSent, NotificationReceived
from isakmp.exchange.informational import AuthenticatedOnly, Informational
from isakmp.numbers import DOI, ExchangeType, NotifyType, ProtocolID
from isakmp.paths import Datagram
from isakmp.testing import settle
from isakmp.wire.message import Flags, Header, Message
from isakmp.wire.payloads import Delete, Hash, Notification, Payload
from tests.nodes import Member, pair

INFORMATIONAL = int(ExchangeType.INFORMATIONAL)
EMERGENCY = b"the card is on fire"

NOTICE = Notification(DOI.IPSEC, ProtocolID.ISAKMP, NotifyType.CONNECTED, b"", EMERGENCY)


def drops(member: Member) -> list[type[PeerError]]:
    """Why messages were not accepted."""
    return [type(event.error) for event in member.published(MessageDropped)]


class FlagTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pair = pair()
        self.pair.up()
        del self.pair.wire[:]

    def say(self, order: object) -> bytes:
        """Alice says it; its octets."""
        both = self.pair
        told = both.a.endpoint.begin(both.a.sas[0], INFORMATIONAL, order)
        settle(both.clock, told)
        both.wait(0.1)
        return both.wire[-1].datagram.octets

    def heard(self) -> list[tuple[int, bool]]:
        """What Bob was told, and whether it was proven."""
        return [(e.kind, e.authenticated) for e in self.pair.b.published(NotificationReceived)]

    def inject(self, octets: bytes) -> None:
        """To Bob, as if from Alice."""
        self.pair.network.inject(Datagram(octets, self.pair.a.path_to(self.pair.b.address)))
        self.pair.wait(0.1)

    def proven(self, *payloads: Payload) -> bytes:
        """What Alice's SA proves and does not encrypt, whatever it is."""
        sa = self.pair.a.sas[0]
        message = Message(sa.key, INFORMATIONAL, Flags.AUTHENTICATION_ONLY, 99, payloads)
        return sa.protection(Informational(), 99).seal(message)

    def test_said_and_heard(self) -> None:
        """
        Everybody on the way can read it, the peer knows that it is true, and nothing rides with it.

        Proves: RFC 2408 section 3.1
        Proves: RFC 2408 section 4.8
        """
        octets = self.say(AuthenticatedOnly((NOTICE,)))
        self.assertIn(EMERGENCY, octets)
        self.assertEqual(Header.decode(octets).flags, Flags.AUTHENTICATION_ONLY)
        kinds = [type(payload) for payload in Message.decode(octets).payloads]
        self.assertEqual(kinds, [Hash, Notification])
        self.assertEqual(self.heard(), [(NotifyType.CONNECTED, True)])
        sent = self.pair.a.published(MessageSent)[-1]
        self.assertEqual((sent.sealed, sent.proven), (False, True))

    def test_encrypted_unless_asked(self) -> None:
        """Without the order it is encrypted, as ever."""
        octets = self.say((NOTICE,))
        self.assertNotIn(EMERGENCY, octets)
        self.assertEqual(Header.decode(octets).flags, Flags.ENCRYPTION)

    def test_forged(self) -> None:
        """
        A copy with any one bit changed comes to nothing; the real one that follows counts.

        Proves: RFC 2408 section 5.11
        Proves: RFC 2408 section 5.14 (row 5.14-6)
        """
        forged: list[bytes] = []

        def tap(datagram: Datagram) -> Iterable[Datagram] | None:
            if datagram.octets[19] != Flags.AUTHENTICATION_ONLY:
                return None
            octets = datagram.octets
            for position in range(16, len(octets)):
                changed = bytearray(octets)
                changed[position] ^= 1
                forged.append(bytes(changed))
            return [*(replace(datagram, octets=octets) for octets in forged), datagram]

        self.pair.network.taps.append(tap)
        self.say(AuthenticatedOnly((NOTICE,)))
        self.assertEqual(self.heard(), [(NotifyType.CONNECTED, True)])
        self.assertEqual(len(drops(self.pair.b)), len(forged))
        self.assertIn(InvalidHash, drops(self.pair.b))

    def test_replayed(self) -> None:
        """It counts once."""
        octets = self.say(AuthenticatedOnly((NOTICE,)))
        self.inject(octets)
        self.assertEqual(len(self.heard()), 1)
        self.assertEqual(drops(self.pair.b), [InvalidMessageID])

    def test_only_notifications(self) -> None:
        """
        The flag is for notifications: nothing else can be ordered so, and proven or not nothing
        else is heeded.

        Proves: RFC 2408 section 3.1
        """
        sa = self.pair.b.sas[0]
        delete = Delete(DOI.IPSEC, ProtocolID.ISAKMP, (sa.key.octets,))
        for order in ((delete,), (NOTICE, delete), ()):
            self.assertRaises(ValueError, AuthenticatedOnly, order)
        for payloads in ((delete,), (NOTICE, delete), ()):
            self.inject(self.proven(*payloads))
        self.assertEqual(drops(self.pair.b), [InvalidFlags] * 3)
        self.assertEqual(self.pair.b.sas, [sa])
        self.assertEqual(self.heard(), [])

    def test_where_it_may_not_be(self) -> None:
        """
        In another exchange, or beside the Encryption flag, it is refused as what it is.

        Proves: RFC 2408 section 5.2
        """
        octets = self.proven(NOTICE)
        for kind, flags in ((2, 4), (4, 4), (32, 4), (5, 5), (32, 5), (5, 4 | 8)):
            self.inject(octets[:18] + bytes([kind, flags]) + octets[20:])
        self.assertEqual(drops(self.pair.b), [InvalidFlags] * 6)
        self.assertEqual(InvalidFlags.notify, NotifyType.INVALID_FLAGS)
        self.assertEqual(self.heard(), [])

    def test_without_an_sa(self) -> None:
        """Where nothing can prove it, it is nobody's."""
        octets = self.proven(NOTICE)
        self.inject(bytes(7) + b"\1" + octets[8:])
        self.inject(octets[:20] + bytes(4) + octets[24:])
        self.assertEqual(self.heard(), [])
        self.assertEqual(len(drops(self.pair.b)), 2)
