"""
Once both ends have keys, what they say about the exchange is said under these: nobody on the wire
reads it, and nobody can make it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.connections import Connection, Limits
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.errors import InvalidIdentity, PeerRefused, Unreadable
from isakmp.events import ExchangeFailed, NotificationReceived
from isakmp.identity import Identity, IdentityPattern
from isakmp.numbers import ExchangeType, NotifyType
from isakmp.paths import Datagram
from isakmp.wire.message import Flags, Header
from tests.nodes import MALLORY, SHARED, Member, Pair, Settings, disagreements, pair
from tests.properties.wiretap import replace_with, seen_from

GRACE = Limits().grace
AUTHENTICATION_FAILED = int(NotifyType.AUTHENTICATION_FAILED)


def wants_another(connection: Connection) -> Connection:
    """Bob expects somebody else than Alice."""
    return replace(connection, remote_identity=IdentityPattern("somebody.lab"))


def says_another(connection: Connection) -> Connection:
    """Bob is not who Alice expects."""
    return replace(connection, local_identity=Identity.parse("somebody.lab"))


def notices(both: Pair, sender: Member | None = None) -> list[Datagram]:
    """The Informational exchanges that one of them sent; Bob, unless another is named."""
    return [
        one.datagram
        for one in both.wire
        if one.datagram.path.local[0] == (sender or both.b).address
        and one.datagram.octets[18] == ExchangeType.INFORMATIONAL
    ]


class SealedNoticeTests(SynchronousTestCase):
    def begun(self, both: Pair) -> Pair:
        """Alice tries, for as long as a grace and a little more."""
        both.a.establish().addErrback(lambda failure: None)
        both.wait(GRACE + 1.0)
        return both

    def test_said_sealed(self) -> None:
        """
        If I refuse the peer's identity, my AUTHENTICATION-FAILED is sealed with the keys that both
        ends have by then, has a message id of its own, and the peer reads it: its end fails with
        my word, and not with a guess.

        Proves: RFC 2408 section 4.8 (row 4.8-5)
        Proves: RFC 2408 section 5.14 (row 5.14-11)
        """
        both = self.begun(pair(bobs=wants_another))
        (notice, *_) = notices(both)
        header = Header.decode(notice.octets)
        self.assertTrue(header.flags & Flags.ENCRYPTION)
        self.assertNotEqual(header.message_id, 0)
        (failed,) = both.a.published(ExchangeFailed)
        assert isinstance(failed.error, PeerRefused)
        self.assertEqual(failed.error.kind, AUTHENTICATION_FAILED)
        self.assertIn("AUTHENTICATION-FAILED, sealed", str(failed.error))
        self.assertIn("does not know this end by its identity", str(failed.error))
        (his,) = both.b.published(ExchangeFailed)
        self.assertIsInstance(his.error, InvalidIdentity)

    def test_not_yet_proven(self) -> None:
        """Who has agreed on keys has not proven an identity: the event does not say it has."""
        both = self.begun(pair(bobs=wants_another))
        heard = {(n.kind, n.authenticated) for n in both.a.published(NotificationReceived)}
        self.assertEqual(heard, {(AUTHENTICATION_FAILED, False)})

    def test_other_secret(self) -> None:
        """
        A peer whose secret is another could not read what my keys seal: it is told in clear text
        that I could not read its message, and both ends fail soon.
        """
        other = (SharedSecret(b"another secret", ()),)
        both = self.begun(pair(secrets=(SHARED, other)))
        self.assertTrue(notices(both))
        for notice in notices(both):
            self.assertFalse(Header.decode(notice.octets).flags & Flags.ENCRYPTION)
        (failed,) = both.a.published(ExchangeFailed)
        self.assertIsInstance(failed.error, Unreadable)

    def test_changed_on_the_way(self) -> None:
        """
        Whoever changes an octet of it on the way makes it something that cannot be read: its words
        are nobody's, whichever octet it was.
        """
        for offset in (20, 28, 40, 60, -1):
            both = pair(bobs=wants_another)

            def changed(
                datagram: Datagram, offset: int = offset, both: Pair = both
            ) -> Sequence[Datagram] | None:
                octets = bytearray(datagram.octets)
                if octets[18] != ExchangeType.INFORMATIONAL:
                    return None
                octets[offset] ^= 0x40
                return [Datagram(bytes(octets), datagram.path)]

            both.network.taps.append(changed)
            self.begun(both)
            self.assertEqual(both.a.published(NotificationReceived), [], offset)
            (failed,) = both.a.published(ExchangeFailed)
            self.assertIsInstance(failed.error, Unreadable, offset)

    def test_goes_to_the_proven_address(self) -> None:
        """
        It is sent to where our cookie came back from, whatever address the refused message bears:
        nobody has us send anything to somebody else.
        """
        both = pair(bobs=wants_another)

        def elsewhere(datagram: Datagram) -> Sequence[Datagram]:
            return [seen_from(datagram, MALLORY)]

        replace_with(both, "Main 5", elsewhere)
        self.begun(both)
        self.assertTrue(notices(both))
        self.assertEqual({d.path.remote[0] for d in notices(both)}, {both.a.address})

    def test_last_message(self) -> None:
        """
        If the initiator refuses the last message of phase 1, the peer has the SA and believes what
        is said under it: so it is told once, when the exchange has failed, and not before, for
        somebody may have changed that message on the way.
        """
        both = pair(bobs=says_another)
        both.a.establish().addErrback(lambda failure: None)
        both.wait(1.0)
        self.assertEqual(both.a.published(ExchangeFailed), [])
        self.assertEqual(notices(both, both.a), [])
        both.wait(GRACE)
        (failed,) = both.a.published(ExchangeFailed)
        self.assertIsInstance(failed.error, InvalidIdentity)
        (notice,) = notices(both, both.a)
        self.assertTrue(Header.decode(notice.octets).flags & Flags.ENCRYPTION)
        heard = {(n.kind, n.authenticated) for n in both.b.published(NotificationReceived)}
        self.assertEqual(heard, {(AUTHENTICATION_FAILED, True)})

    def test_bounded(self) -> None:
        """No more is said than a node says altogether in a second: nothing, if that is nothing."""
        settings = Settings(limits=Limits(notifications=0))
        both = self.begun(pair(bobs=wants_another, bobs_settings=settings))
        self.assertEqual(notices(both), [])

    def test_none_where_all_is_well(self) -> None:
        """Of an exchange that succeeds nobody says anything."""
        both = pair()
        both.up()
        self.assertEqual(notices(both), [])
        self.assertEqual(disagreements(both.a, both.b), [])
