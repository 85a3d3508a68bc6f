"""
DELETE, STATUS, epochs, renewals, and a network that loses, doubles and reorders.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Session
from isakmp.connections import Child, Renewal, StartAction
from isakmp.errors import ExchangeTimeout, PeerError
from isakmp.events import NotificationReceived, Removal
from isakmp.kink.message import Header, Message, encode_inner
from isakmp.kink.numbers import MessageType
from isakmp.kink.payloads import APRequest, Encrypted, Operation
from isakmp.kink.session import TicketSession
from isakmp.paths import Datagram
from isakmp.testing import settle
from isakmp.wire.payloads import Delete, Notification
from tests.kink.ends import ALICE, BOB, HER, HIS, End, Ends, Lab, assert_agree, assert_clean, ends

CREATE, DELETE, REPLY, ACK, STATUS = (
    MessageType.CREATE,
    MessageType.DELETE,
    MessageType.REPLY,
    MessageType.ACK,
    MessageType.STATUS,
)


def session_of(end: End) -> TicketSession:
    """The one that stands."""
    (session,) = end.endpoint.sessions.all()
    return session


def restarted(pair: Ends, life: int = 1) -> None:
    """Bob's process is killed, and another one begins, which knows nothing."""
    pair.b.die()
    pair.network.detach(BOB)
    his = pair.b.connection()
    pair.b = End(pair.network, pair.clock, BOB, [his], pair.lab, life=life)


class DeleteTests(SynchronousTestCase):
    def test_pessimistic(self) -> None:
        """
        Who deletes stops sending at once, and receives until the peer has answered, and a little
        longer; the peer deletes both directions.

        Proves: RFC 4430 section 6.4
        Proves: RFC 4430 section 3.3 (row 3.3-1)
        Proves: RFC 4430 section 3.3 (row 3.3-4)
        Proves: RFC 4430 section 3.3 (row 3.3-5)
        """
        pair = ends()
        (bundle,) = pair.up()
        (his,) = pair.b.bundles
        late = pair.b.sink.seal(his.name, b"late")
        deleting = pair.a.endpoint.delete([bundle])
        self.assertEqual(pair.a.bundles, [])
        (half,) = pair.a.sink.standing.values()
        self.assertFalse(half.outbound)
        settle(pair.clock, deleting)
        self.assertEqual(dict(pair.b.sink.standing), {})
        self.assertEqual(pair.a.sink.open(late), b"late")
        pair.wait(pair.lab.grace + 0.1)
        self.assertEqual(dict(pair.a.sink.standing), {})
        self.assertEqual(pair.b.kinds, [CREATE, DELETE])
        pair.wait(200)
        assert_clean(self, pair)

    def test_without_grace(self) -> None:
        """Grace can be configured away."""
        pair = ends(Lab(grace=0.0))
        pair.up()
        settle(pair.clock, pair.a.endpoint.delete(pair.a.bundles))
        self.assertEqual(dict(pair.a.sink.standing), {})

    def test_force(self) -> None:
        """
        Who forces it waits for no answer: the peer is told once, and nothing stays here.
        """
        for cut in (False, True):
            pair = ends()
            (bundle,) = pair.up()
            pair.network.cut = cut
            sent = len(pair.wire)
            self.successResultOf(pair.a.endpoint.delete([bundle], Removal.DELETED, True))
            self.assertEqual(dict(pair.a.sink.standing), {})
            self.assertEqual(pair.a.bundles, [])
            pair.wait(200)
            if cut:
                self.assertEqual(len(pair.wire), sent + 1)
            else:
                self.assertEqual(dict(pair.b.sink.standing), {})
                assert_clean(self, pair)

    def test_other_side(self) -> None:
        """Either end may delete, whoever began."""
        pair = ends()
        pair.up()
        settle(pair.clock, pair.b.endpoint.delete(pair.b.bundles))
        pair.wait(200)
        self.assertEqual(pair.a.removals, [Removal.DELETED_BY_PEER] * 2)
        assert_clean(self, pair)

    def test_unknown(self) -> None:
        """
        The peer has nothing of it, and says so: what was kept for it goes.
        """
        pair = ends()
        pair.up()
        for bundle in pair.b.bundles:
            pair.b.node.registry.remove(bundle, Removal.SHUTDOWN)
            pair.b.sink.remove(bundle)
        settle(pair.clock, pair.a.endpoint.delete(pair.a.bundles))
        pair.wait(200)
        assert_clean(self, pair)

    def test_lost(self) -> None:
        """
        A DELETE is repeated until it is answered; if it never is, what we receive by goes too.

        Proves: RFC 4430 section 9
        """
        pair = ends()
        (bundle,) = pair.up()
        pair.network.cut = True
        sent = len(pair.wire)
        settle(pair.clock, pair.a.endpoint.delete([bundle]))
        octets = {one.datagram.octets for one in pair.wire[sent:]}
        self.assertEqual(len(octets), pair.lab.intervals.repeats + 1)
        pair.wait(10)
        self.assertEqual(dict(pair.a.sink.standing), {})

    def test_not_yours(self) -> None:
        """A principal cannot delete what another has with us."""
        pair = ends()
        pair.up()
        carol = "kink/c.lab@LAB.TEST"
        his = pair.b.connection()
        pattern = replace(his, remote_identity=replace(his.remote_identity, text="*@LAB.TEST"))
        pair.b.assembly.configure([pattern], [])
        ticket = self.successResultOf(pair.a.kerberos.ticket(carol, HIS, 0.0))
        (hers,) = pair.a.bundles
        delete = Operation.of((Delete(1, 3, (hers.inbound[0].key.spi,)),))
        request, _ = ticket.request()
        payloads = (APRequest(7, request), Encrypted(ticket.key.encrypt(encode_inner([delete]))))
        pair.inject(Message(DELETE, 1, 5, payloads).encode(ticket.key.checksum))
        self.assertEqual(pair.b.kinds[-1], DELETE)
        self.assertEqual(pair.a.kinds[-1], REPLY)  # with INVALID-SPI
        assert_agree(self, pair)

    def test_stop(self) -> None:
        """A node that stops says goodbye to everybody, once, and leaves nothing behind."""
        pair = ends(Lab(children=2, probe=30.0))
        settle(pair.clock, pair.a.establish("net", "net1"))
        settle(pair.clock, pair.a.assembly.stop(), 0.0)
        self.assertEqual(list(pair.a.node.registry), [])
        self.assertEqual(dict(pair.a.sink.standing), {})
        pair.wait(0.5)
        self.assertEqual(pair.b.bundles, [])
        self.assertEqual(set(pair.b.removals), {Removal.DELETED_BY_PEER})
        settle(pair.clock, pair.b.assembly.stop(), 0.0)
        pair.network.flush()
        assert_clean(self, pair)

    def test_stop_in_the_middle(self) -> None:
        """Also while something is under way: a CREATE, a DELETE, an answer that waits."""
        for seconds in (0.0, 0.005, 0.011, 0.025):
            pair = ends(Lab(contribute=True, children=2))
            pair.up()
            again = pair.a.establish("net1")
            again.addErrback(lambda _: None)
            pair.a.endpoint.delete(pair.a.bundles).addErrback(lambda _: None)
            pair.wait(seconds)
            for end in (pair.a, pair.b):
                settle(pair.clock, end.assembly.stop(), 0.0)
            pair.network.flush()
            assert_clean(self, pair)


class StatusTests(SynchronousTestCase):
    def test_probe(self) -> None:
        """
        A STATUS is answered, and nothing changes.

        Proves: RFC 4430 section 3.4
        Proves: RFC 4430 section 6.5
        Proves: RFC 4430 section 3.7 (row 3.7-7)
        """
        pair = ends()
        pair.up()
        settle(pair.clock, pair.a.endpoint.probe(session_of(pair.a)))
        self.assertEqual(pair.b.kinds, [CREATE, STATUS])
        self.assertEqual(pair.a.kinds, [REPLY, REPLY])
        assert_agree(self, pair)

    def test_notification(self) -> None:
        """
        A notification in a STATUS is an event.

        Proves: RFC 4430 section 3.4
        """
        pair = ends()
        pair.up()
        heard: list[NotificationReceived] = []
        pair.b.node.events.subscribe(NotificationReceived, heard.append)
        operation = Operation.of((Notification(1, 1, 40_000, b"", b"data"),))
        asked = pair.a.endpoint.commands.ask(session_of(pair.a), STATUS, [operation])
        settle(pair.clock, Deferred.fromCoroutine(asked))
        (event,) = heard
        self.assertEqual((event.kind, event.authenticated), (40_000, True))

    def test_reauthenticate(self) -> None:
        """A session is renewed in place: the peer says that it is still there."""
        pair = ends()
        pair.up()
        session = session_of(pair.a)
        self.assertIs(settle(pair.clock, pair.a.endpoint.reauthenticate(session)), session)

    def test_silent(self) -> None:
        """
        A peer that answers no STATUS is dead: its SAs go, and nobody is told.

        Proves: RFC 4430 section 3.7
        """
        pair = ends()
        pair.up()
        pair.network.cut = True
        asked = pair.a.endpoint.probe(session_of(pair.a))
        self.assertRaises(ExchangeTimeout, settle, pair.clock, asked)
        self.assertEqual(pair.a.removals, [Removal.PEER_GONE] * 2)
        self.assertEqual(dict(pair.a.sink.standing), {})

    def test_regularly(self) -> None:
        """
        If it is configured, peers are asked again and again, while there is one.

        Proves: RFC 4430 section 3.7 (row 3.7-6)
        """
        pair = ends(Lab(probe=30.0))
        pair.up()
        pair.wait(100)
        self.assertGreaterEqual(pair.b.kinds.count(STATUS), 3)
        settle(pair.clock, pair.a.endpoint.delete(pair.a.bundles))
        count = pair.b.kinds.count(STATUS)
        pair.wait(100)
        self.assertEqual(pair.b.kinds.count(STATUS), count)


class EpochTests(SynchronousTestCase):
    def test_responder_restarted(self) -> None:
        """
        The reply to a STATUS says that the peer began afresh: all SAs with it are void.

        Proves: RFC 4430 section 3.7 (row 3.7-3)
        """
        pair = ends()
        pair.up()
        pair.wait(5)
        restarted(pair)
        asked = pair.a.endpoint.probe(session_of(pair.a))
        self.assertRaises(PeerError, settle, pair.clock, asked)
        self.assertEqual(pair.a.removals, [Removal.PEER_RESTARTED] * 2)
        self.assertEqual(dict(pair.a.sink.standing), {})
        pair.up()
        assert_agree(self, pair)

    def test_initiator_restarted(self) -> None:
        """
        A command of another epoch: what was made in the last one is void, what is made now stands.

        Proves: RFC 4430 section 3.7 (row 3.7-3)
        """
        pair = ends()
        pair.up()
        pair.wait(5)
        (old,) = pair.a.bundles
        restarted(pair)
        settle(pair.clock, pair.b.establish())
        pair.wait(0.5)
        self.assertEqual(pair.a.removals, [Removal.PEER_RESTARTED] * 2)
        (new,) = pair.a.bundles
        self.assertNotEqual(new.key, old.key)
        self.assertEqual(new.parent, Session(HIS, pair.b.endpoint.epoch))
        assert_agree(self, pair)

    def test_created_under_a_new_epoch(self) -> None:
        """The reply to a CREATE says so too: the old SA goes, the new one is of the new life."""
        pair = ends(Lab(children=2))
        pair.up()
        pair.wait(5)
        restarted(pair)
        settle(pair.clock, pair.a.establish("net1"))
        pair.wait(0.5)
        self.assertEqual([bundle.policy.name for bundle in pair.a.bundles], ["net1"])
        assert_agree(self, pair)

    def test_between_reply_and_ack(self) -> None:
        """
        An ACK of another epoch than the CREATE's acknowledges nothing.

        Proves: RFC 4430 section 3.7
        """
        pair = ends(Lab(contribute=True))
        held: list[Datagram] = []

        def hold(datagram: Datagram) -> list[Datagram] | None:
            if Header.decode(datagram.octets).kind != ACK:
                return None
            held.append(datagram)
            return []

        pair.network.taps.append(hold)
        settle(pair.clock, pair.a.establish())
        xid = Header.decode(held[0].octets).xid
        ticket = self.successResultOf(pair.a.kerberos.ticket(HER, HIS, 0.0))
        request, _ = ticket.request()
        proof = APRequest(pair.a.endpoint.epoch + 1, request)
        pair.inject(Message(ACK, 1, xid, (proof,)).encode(ticket.key.checksum))
        self.assertEqual(pair.b.bundles, [])
        self.assertEqual(dict(pair.b.sink.standing), {})
        self.assertEqual(len(pair.b.endpoint.answers), 0)

    def test_forged_epoch(self) -> None:
        """An epoch that is not proven voids nothing."""
        pair = ends()
        pair.up()
        command = bytearray(pair.wire[0].datagram.octets)
        command[20:24] = b"\0\0\0\1"
        pair.inject(bytes(command))
        assert_agree(self, pair)


class RenewalTests(SynchronousTestCase):
    def test_renewed(self) -> None:
        """
        A child is made anew before it expires, in its session, and the old one deleted.

        Proves: RFC 4430 section 3.6
        """
        pair = ends()
        connection = pair.a.connection()
        child: Child = replace(
            connection.children[0], renewal=Renewal(600.0), start=StartAction.START
        )
        connection = replace(connection, children=(child,))
        pair.a.assembly.configure([connection], [])
        pair.a.assembly.initiation.keep([connection])
        pair.wait(1)
        (first,) = pair.a.bundles
        pair.wait(800)
        (second,) = pair.a.bundles
        self.assertNotEqual(first.key, second.key)
        self.assertEqual(first.parent, second.parent)
        self.assertIn(Removal.REPLACED, pair.a.removals)
        assert_agree(self, pair)
        settle(pair.clock, pair.a.assembly.stop(), 0.0)

    def test_session_in_place(self) -> None:
        """A session that is configured to be renewed is, and its children stay."""
        pair = ends()
        connection = replace(pair.a.connection(), renewal=Renewal(100.0))
        pair.a.assembly.configure([connection], [])
        pair.up()
        pair.wait(450)
        self.assertEqual(pair.b.kinds.count(STATUS), 4)
        assert_agree(self, pair)
        settle(pair.clock, pair.a.assembly.stop(), 0.0)

    def test_expired(self) -> None:
        """What is not renewed expires, and the session with the last of it."""
        pair = ends(Lab(her_seconds=100, his_seconds=100))
        pair.up()
        pair.wait(300)
        assert_clean(self, pair)
        self.assertEqual(pair.a.removals[0], Removal.EXPIRED)

    def test_begun_again(self) -> None:
        """What shall stand is begun again when its peer comes back."""
        pair = ends(Lab(probe=20.0))
        connection = pair.a.connection()
        child = replace(connection.children[0], start=StartAction.START)
        connection = replace(connection, children=(child,))
        pair.a.assembly.configure([connection], [])
        pair.a.assembly.initiation.keep([connection])
        pair.wait(5)
        restarted(pair)
        pair.wait(60)
        assert_agree(self, pair)
        for end in (pair.a, pair.b):
            settle(pair.clock, end.assembly.stop(), 0.0)


class LossyTests(SynchronousTestCase):
    def test_lossy(self) -> None:
        """
        A network that loses, doubles and reorders: each CREATE ends with the same SAs at both ends,
        once, and in the end nothing is left.

        Proves: RFC 4430 section 9
        """
        for seed in range(40):
            pair = ends(
                Lab(contribute=bool(seed % 2), children=2),
                seed=seed,
                drop=0.3,
                duplicate=0.3,
                reorder=0.3,
                jitter=0.2,
            )
            settle(pair.clock, pair.a.establish("net", "net1"))
            pair.wait(100)
            assert_agree(self, pair, 2)
            settle(pair.clock, pair.a.endpoint.delete(pair.a.bundles))
            pair.wait(300)
            assert_clean(self, pair)

    def test_lost_replies(self) -> None:
        """
        A CREATE whose reply is lost is repeated with a new authenticator, and done once.

        Proves: RFC 4430 section 9
        """
        pair = ends()
        lost: list[Datagram] = []

        def lose(datagram: Datagram) -> list[Datagram] | None:
            if datagram.path.local[0] == ALICE or len(lost) == 3:
                return None
            lost.append(datagram)
            return []

        pair.network.taps.append(lose)
        pair.up()
        self.assertEqual(pair.b.kinds, [CREATE] * 4)
        self.assertEqual(len({one.octets for one in pair.b.heard}), 4)
        self.assertEqual(len({Header.decode(one.octets).xid for one in pair.b.heard}), 1)
        assert_agree(self, pair)

    def test_both_begin(self) -> None:
        """Both begin at once: both get what they asked for."""
        pair = ends()
        one, other = pair.a.establish(), pair.b.establish()
        settle(pair.clock, one)
        settle(pair.clock, other)
        pair.wait(1)
        assert_agree(self, pair, 2)
