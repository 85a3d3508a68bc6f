"""
Notifications and Deletes: what they may do, and from whom.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import SABundle
from isakmp.errors import PeerRefused
from isakmp.events import MessageDropped, MessageReceived, NotificationReceived, Removal
from isakmp.exchange.types import INFORMATIONAL
from isakmp.ike.protection import Phase2Protection
from isakmp.interfaces import IManagementSA
from isakmp.numbers import DOI, ExchangeType, NotifyType, ProtocolID
from isakmp.paths import Datagram, Path
from isakmp.testing import settle
from isakmp.wire.message import CookiePair, Flags, Message, encode_chain
from isakmp.wire.payloads import Delete, Hash, Notification, Payload
from tests.nodes import (
    ALICE,
    BOB,
    Member,
    Pair,
    Settings,
    assert_clean,
    connection,
    disagreements,
    pair,
)
from tests.properties.test_replays import state
from tests.properties.wiretap import Wiretap, flipped, lose, replace_with, seen_from

CAROL = "192.0.2.3"
ISAKMP, ESP = ProtocolID.ISAKMP, ProtocolID.ESP


def notification(kind: int, spi: bytes = b"", protocol: int = ISAKMP) -> Notification:
    return Notification(DOI.IPSEC, protocol, kind, spi, b"")


def initial_contact(sa: IManagementSA) -> Notification:
    return notification(NotifyType.INITIAL_CONTACT, sa.key.octets)


def delete_sa(sa: IManagementSA) -> Delete:
    return Delete(DOI.IPSEC, ISAKMP, (sa.key.octets,))


def delete_child(bundle: SABundle) -> Delete:
    """As whoever receives by it says it."""
    return Delete(DOI.IPSEC, ESP, tuple(sa.key.spi for sa in bundle.inbound))


def say(member: Member, sa: IManagementSA, *payloads: Payload) -> None:
    """Under an SA, proven."""
    settle(member.clock, member.endpoint.begin(sa, ExchangeType.INFORMATIONAL, payloads))
    member.clock.run_until(member.clock.seconds() + 0.1)


class NoticeTests(SynchronousTestCase):
    def up(self) -> Pair:
        both = pair()
        both.up()
        return both

    def in_clear(
        self, both: Pair, payloads: Sequence[Payload], cookies: CookiePair, number: int = 77
    ) -> None:
        """To Bob, as if from Alice."""
        message = Message(cookies, ExchangeType.INFORMATIONAL, Flags.NONE, number, tuple(payloads))
        path = both.a.path_to(BOB)
        both.network.inject(Datagram(message.encode(), path))
        both.wait(0.1)


class UnprovenTests(NoticeTests):
    """CVE-2004-0164, CVE-2007-1841: anybody can say these."""

    def test_clear_text(self) -> None:
        """
        A Delete, an INITIAL-CONTACT, an error in clear text, of SAs that stand: nothing is removed,
        nothing answered.

        Proves: RFC 2408 section 5.15 (row 5.15-1)
        Proves: RFC 2408 section 5.15 (row 5.15-5)
        """
        both = self.up()
        (sa,), (child,) = both.a.sas, both.a.bundles
        before, sent = state(both.b), len(both.wire)
        for payloads in (
            [delete_sa(sa)],
            [delete_child(child)],
            [delete_sa(sa), delete_child(child)],
            [initial_contact(sa)],
            [notification(NotifyType.INVALID_SPI, child.inbound[0].key.spi, ESP)],
            [notification(kind) for kind in range(1, 31)],
            [notification(NotifyType.R_U_THERE, sa.key.octets)],
        ):
            for cookies in (sa.key, CookiePair(sa.key.initiator, CookiePair.ZERO)):
                for number in (0, 77):
                    self.in_clear(both, payloads, cookies, number)
                    self.assertEqual(state(both.b), before)
        self.assertEqual(both.b.removals, [])
        self.assertEqual(len(both.wire), sent)

    def test_initial_contact_in_clear_messages(self) -> None:
        """
        INITIAL-CONTACT beside what is not encrypted yet removes nothing: only beside the proof does
        it count.

        Proves: RFC 2407 section 4.6.3.3
        """

        def insert(datagram: Datagram) -> list[Datagram]:
            message = Message.decode(datagram.octets)
            spi = message.cookies.octets
            said = (*message.payloads, notification(NotifyType.INITIAL_CONTACT, spi))
            return [Datagram(message.with_payloads(said).encode(), datagram.path)]

        for name, counts in (("Main 1", False), ("Main 3", False), ("", True)):
            both = pair(Settings(initial_contact=counts))
            both.up()
            both.a.forget()
            older = both.b.sas[0]
            replace_with(both, name, insert)
            both.up()
            self.assertEqual(older not in both.b.sas, counts, name)
            self.assertEqual(len(both.b.sas), 2 - counts)

    def test_error_in_clear_text(self) -> None:
        """
        While phase 1 runs, an error in clear text shortens the peer's patience to ``grace``, and
        no more: the real answer, if it comes by then, is taken.

        Proves: RFC 2408 section 5.14
        """
        for seconds, comes_up in ((0.5, True), (3.0, False)):
            both = pair()
            tap = lose(both, "Main 2")
            results: list[object] = []
            both.a.establish().addBoth(results.append)
            both.wait(0.1)
            (*_, last) = both.a.demultiplexer.conversations
            cookies = last.cookies
            message = Message(
                cookies,
                ExchangeType.INFORMATIONAL,
                Flags.NONE,
                5,
                (notification(NotifyType.NO_PROPOSAL_CHOSEN),),
            )
            both.network.inject(Datagram(message.encode(), both.b.path_to(ALICE)))
            both.wait(seconds)
            tap.remove()
            both.wait(1.5)
            self.assertEqual(len(both.b.bundles) == 1, comes_up, results)
            if not comes_up:
                (failure,) = both.a.failures
                self.assertIsInstance(failure, PeerRefused)
                self.assertIn("NO-PROPOSAL-CHOSEN, unauthenticated", str(failure))

    def test_error_from_elsewhere(self) -> None:
        """
        An error in clear text shortens nobody's patience if it comes from another address than the
        one that the exchange was begun with, though it has the right cookies.
        """
        both = pair()
        tap = lose(both, "Main 2")
        both.a.establish().addErrback(lambda failure: None)
        both.wait(0.1)
        (*_, last) = both.a.demultiplexer.conversations
        cookies = last.cookies
        refusal = (notification(NotifyType.NO_PROPOSAL_CHOSEN),)
        message = Message(cookies, ExchangeType.INFORMATIONAL, Flags.NONE, 5, refusal)
        both.network.inject(Datagram(message.encode(), Path((CAROL, 500), (ALICE, 500))))
        both.wait(5.0)
        self.assertEqual(both.a.failures, [])
        self.assertEqual(both.a.published(NotificationReceived), [])
        tap.remove()
        both.wait(10.0)
        self.assertEqual(len(both.b.bundles), 1)

    def test_hash(self) -> None:
        """
        CVE-2019-10155: an Informational exchange under the right key whose HASH is wrong in any
        bit, or missing, is nobody's.

        Proves: RFC 2409 section 5.7
        Proves: RFC 2408 section 5.11 (row 5.11-3)
        Proves: RFC 2408 section 5.14 (row 5.14-5)
        """
        both = self.up()
        (sa,) = both.a.sas
        before = state(both.b)
        notices = (delete_sa(sa),)
        for bit in (*range(0, 256, 7), 255, None):
            number = 1000
            protection = sa.protection(INFORMATIONAL, number)
            assert isinstance(protection, Phase2Protection)
            proof = protection._hash(encode_chain(notices))
            proofs = () if bit is None else (Hash(flipped(proof, bit)),)
            message = Message(
                sa.key, ExchangeType.INFORMATIONAL, Flags.NONE, number, (*proofs, *notices)
            )
            octets = protection._seal(message, encode_chain(message.payloads))
            both.network.inject(Datagram(octets, both.a.path_to(BOB)))
            both.wait(0.1)
            self.assertEqual(state(both.b), before)
            self.assertIn("HASH", str(both.b.published(MessageDropped)[-1].error))

    def test_keepalive_of_unknown_sa(self) -> None:
        """CVE-2009-0790: a keepalive for an SA that is not there, or not any more: silence."""
        both = self.up()
        tap = Wiretap(both.network)
        say(both.a, both.a.sas[0], notification(NotifyType.R_U_THERE, both.a.sas[0].key.octets))
        self.assertEqual(both.b.published(NotificationReceived)[-1].kind, NotifyType.R_U_THERE)
        keepalive = tap.first["Informational"]
        both.a.endpoint.close()
        both.wait(1.0)
        sent = len(both.wire)
        both.network.inject(keepalive)
        both.network.inject(seen_from(keepalive, CAROL))
        both.wait(1.0)
        self.assertEqual(len(both.wire), sent)
        assert_clean(self, both.a, both.b)


class ProvenTests(NoticeTests):
    """From the peer itself: CVE-2023-38712, several notices that act on one SA in one message."""

    def test_several(self) -> None:
        """
        The same Delete twice, a Delete and then a notification about what it deleted, or the other
        way round: each does what it says, once, and the rest is harmless.
        """
        error = NotifyType.INVALID_SPI
        for order in (
            ("D(child)", "D(child)"),
            ("D(sa)", "D(sa)"),
            ("D(sa)", "D(child)", "N"),
            ("D(child)", "D(sa)"),
            ("D(sa)", "N"),
            ("N", "D(sa)"),
            ("D(sa)", "IC"),
            ("IC", "D(sa)"),
            ("IC", "D(child)", "IC", "D(sa)", "IC"),
            ("N", "D(child)", "N"),
        ):
            both = self.up()
            (sa,), (child,) = both.a.sas, both.a.bundles
            words = {
                "D(child)": delete_child(child),
                "D(sa)": delete_sa(sa),
                "N": notification(error, sa.key.octets),
                "IC": initial_contact(sa),
            }
            say(both.a, sa, *(words[word] for word in order))
            gone = ("D(child)" in order or "D(sa)" in order, "D(sa)" in order)
            self.assertEqual((not both.b.bundles, not both.b.sas), gone, order)
            self.assertEqual(len(both.b.removals), sum(gone), order)
            self.assertEqual(set(both.b.removals), {Removal.DELETED_BY_PEER}, order)
            self.assertEqual(len(both.b.sink.standing), not gone[0], order)

    def test_many_in_one(self) -> None:
        """
        One SPI a thousand times in one Delete, among those of nobody.

        Proves: RFC 2408 section 5.15 (row 5.15-9)
        """
        both = self.up()
        (sa,), (child,) = both.a.sas, both.a.bundles
        spi = child.inbound[0].key.spi
        others = [n.to_bytes(4, "big") for n in range(500)]
        say(both.a, sa, Delete(DOI.IPSEC, ESP, (*others, *[spi] * 500)))
        self.assertEqual(both.b.bundles, [])
        self.assertEqual(len(both.b.sas), 1)

    def test_strange_deletes(self) -> None:
        """
        A Delete of another domain, another protocol, with SPIs of another size, with the SPI by
        which the other end receives, or of cookies that name nothing: nothing is deleted.

        Proves: RFC 2408 section 5.15 (row 5.15-7)
        Proves: RFC 2408 section 5.15 (row 5.15-8)
        """
        both = self.up()
        (sa,), (child,) = both.a.sas, both.a.bundles
        mine, theirs = child.inbound[0].key.spi, child.outbound[0].key.spi
        before = state(both.b)[:2]
        for delete in (
            Delete(DOI.ISAKMP, ESP, (mine,)),
            Delete(DOI.GDOI, ESP, (mine,)),
            Delete(DOI.IPSEC, ProtocolID.AH, (mine,)),
            Delete(DOI.IPSEC, ProtocolID.IPCOMP, (mine,)),
            Delete(DOI.IPSEC, 250, (mine,)),
            Delete(DOI.IPSEC, ESP, (mine + b"\0",)),
            Delete(DOI.IPSEC, ESP, (mine[:3],)),
            Delete(DOI.IPSEC, ESP, (theirs,)),
            Delete(DOI.IPSEC, ISAKMP, (mine,)),
            Delete(DOI.IPSEC, ISAKMP, (sa.key.octets[:8],)),
            Delete(DOI.IPSEC, ISAKMP, (sa.key.octets[8:] + sa.key.octets[:8],)),
            Delete(DOI.IPSEC, ISAKMP, (bytes(16),)),
        ):
            say(both.a, sa, delete)
            self.assertEqual(state(both.b)[:2], before, delete)
        self.assertEqual(both.b.removals, [])

    def test_initial_contact(self) -> None:
        """
        INITIAL-CONTACT under an SA removes the older ones of that peer, if it names the SA it comes
        under; with other cookies it asks for nothing.

        Proves: RFC 2407 section 4.6.3.3
        Proves: RFC 2408 section 5.14 (row 5.14-9)
        """
        both = pair()
        first, second = both.a.establish(), both.b.establish()
        settle(both.clock, first)
        settle(both.clock, second)
        both.wait(1.0)
        older, newer = both.b.sas
        (mine,) = (sa for sa in both.a.sas if sa.key == newer.key)
        say(both.a, mine, initial_contact(older))
        self.assertEqual(both.b.sas, [older, newer])
        say(both.a, mine, initial_contact(mine))
        self.assertEqual(both.b.sas, [newer])
        self.assertEqual(both.b.removals[-1], Removal.PEER_RESTARTED)


class OtherPeersTests(SynchronousTestCase):
    """Bob has SAs with Alice, and with Carol, who wants Alice's gone."""

    def test_not_hers(self) -> None:
        """
        Carol deletes Alice's ISAKMP SA by its cookies, Alice's child by its SPI, from her own
        address and in datagrams that come from Alice's: nothing of Alice's is removed.  Nor by
        INITIAL-CONTACT.

        Proves: RFC 2408 section 5.15
        """
        both = pair()
        both = pair(bobs_others=[connection(BOB, CAROL, "r.lab", "c.lab", name="carol")])
        hers = connection(CAROL, BOB, "c.lab", "r.lab", name="carol")
        carol = Member(both.network, both.clock, CAROL, [hers])
        both.up()
        settle(both.clock, carol.establish(name="carol"))
        both.wait(0.1)
        (alices,), (child,) = both.a.sas, both.a.bundles
        (mine,) = carol.sas
        before = state(both.b)[:2]
        spis = (child.inbound[0].key.spi, child.outbound[0].key.spi)

        def from_alices_address(datagram: Datagram) -> list[Datagram] | None:
            return [seen_from(datagram, ALICE)] if datagram.path.local[0] == CAROL else None

        for tap in (None, from_alices_address):
            if tap is not None:
                both.network.taps.append(tap)
            for notice in (
                delete_sa(alices),
                Delete(DOI.IPSEC, ESP, spis),
                initial_contact(alices),
                initial_contact(mine),
                notification(NotifyType.INVALID_SPI, spis[1], ESP),
            ):
                heard = len(both.b.published(MessageReceived))
                say(carol, mine, notice)
                self.assertEqual(len(both.b.published(MessageReceived)), heard + 1)
                self.assertEqual(state(both.b)[:2], before, notice)
        both.network.taps.clear()
        self.assertEqual(both.b.removals, [])
        say(carol, mine, delete_sa(mine))
        self.assertEqual(len(both.b.sas), 1)
        self.assertEqual(disagreements(both.a, both.b), [])


    def test_not_her_exchange(self) -> None:
        """
        Carol says, under her SA, that she will not go on: what Bob has begun with Alice goes on,
        and so does what Alice has begun with him.
        """
        both = pair(bobs_others=[connection(BOB, CAROL, "r.lab", "c.lab", name="carol")])
        hers = connection(CAROL, BOB, "c.lab", "r.lab", name="carol")
        carol = Member(both.network, both.clock, CAROL, [hers])
        both.up()
        settle(both.clock, carol.establish(name="carol"))
        (mine,) = carol.sas
        for beginner in (both.b, both.a):
            tap = lose(both, "Quick 2")
            results: list[object] = []
            beginner.establish().addBoth(results.append)
            both.wait(0.1)
            for kind in (NotifyType.NO_PROPOSAL_CHOSEN, NotifyType.INVALID_SPI):
                say(carol, mine, notification(kind))
            self.assertEqual(results, [])
            tap.remove()
            both.wait(10.0)
            self.assertIsInstance(results[0], (list, tuple))
        self.assertEqual(both.b.failures, [])


class RefusalTests(NoticeTests):
    def test_spi_about_an_isakmp_sa(self) -> None:
        """
        An error about the ISAKMP SA is heeded whatever SPI is said with it: none, or one of any
        size that names nothing.

        Proves: RFC 2408 section 3.14 (row 3.14-1)
        """
        for spi in (b"", bytes(4), b"\xff" * 16, bytes(16)):
            both = self.up()
            lose(both, "Quick 2")
            results: list[object] = []
            both.a.establish().addErrback(lambda failure, to=results: to.append(failure.value))
            both.wait(0.1)
            say(both.b, both.b.sas[0], notification(NotifyType.NO_PROPOSAL_CHOSEN, spi))
            self.assertEqual([type(result) for result in results], [PeerRefused], spi)

    def test_running(self) -> None:
        """
        An error that the peer sends under their SA ends what waits for it there, at once and with
        its reason, and releases the SPIs; a status does not.

        Proves: RFC 2408 section 5.14 (row 5.14-3)
        """
        both = self.up()
        lose(both, "Quick 2")
        results: list[object] = []
        both.a.establish().addErrback(lambda failure: results.append(failure.value))
        both.wait(0.1)
        self.assertEqual(len(both.a.sink.reserved), 1)
        (his,) = both.b.sas
        for status in (NotifyType.R_U_THERE, NotifyType.RESPONDER_LIFETIME, NotifyType.CONNECTED):
            say(both.b, his, notification(status))
        self.assertEqual(results, [])
        say(both.b, his, notification(NotifyType.NO_PROPOSAL_CHOSEN))
        (error,) = results
        self.assertIsInstance(error, PeerRefused)
        self.assertIn("the peer says NO-PROPOSAL-CHOSEN", str(error))
        self.assertNotIn("unauthenticated", str(error))
        self.assertEqual(both.a.sink.reserved, frozenset())
        self.assertEqual(len(both.a.sas), 1)
