"""
CREATE between two nodes: in two messages, in three, with perfect forward secrecy, refused.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Lifetime, Offer, SABundle, Session
from isakmp.crypto.keys import keymat
from isakmp.doi.ipsec import ipsec
from isakmp.errors import (
    Cancelled,
    ConfigurationError,
    ExchangeTimeout,
    NoProposalChosen,
    PeerRefused,
)
from isakmp.events import Removal
from isakmp.exchange import negotiation
from isakmp.exchange.negotiation import Negotiated
from isakmp.interfaces import IManagementSA, INegotiation
from isakmp.kink.message import Header, Received
from isakmp.kink.numbers import MessageType
from isakmp.kink.payloads import APReply, APRequest, Encrypted
from isakmp.kink.session import TicketSession
from isakmp.numbers import NotifyType
from isakmp.testing import Unsettled, settle
from tests.kink.ends import HER, HIS, SECRET, Lab, assert_agree, assert_clean, ends, outer

CREATE, DELETE, REPLY, ACK = (
    MessageType.CREATE,
    MessageType.DELETE,
    MessageType.REPLY,
    MessageType.ACK,
)
PFS = "aes128-sha256-curve25519"


class TwoWayTests(SynchronousTestCase):
    def test_optimistic(self) -> None:
        """
        A CREATE and a REPLY: the first proposal is taken, and traffic is protected both ways.

        Proves: RFC 4430 section 3.2
        Proves: RFC 4430 section 6.3
        """
        pair = ends()
        (bundle,) = pair.up()
        self.assertEqual((pair.b.kinds, pair.a.kinds), ([CREATE], [REPLY]))
        assert_agree(self, pair)
        packet = pair.a.sink.seal(bundle.name, b"as it was")
        self.assertEqual(pair.b.sink.open(packet), b"as it was")
        self.assertFalse(Header.decode(pair.a.heard[0].octets).acknowledge)

    def test_ready_before_asking(self) -> None:
        """
        The initiator can receive by its first proposal before its CREATE leaves; if nobody answers,
        that is taken back, with its SPI.

        Proves: RFC 4430 section 3.2
        """
        pair = ends()
        pair.network.cut = True
        begun = pair.a.establish()
        (early,) = pair.a.sink.standing.values()
        self.assertTrue(early.inbound)
        self.assertFalse(early.outbound)
        self.assertEqual(pair.a.bundles, [])
        self.assertRaises(ExchangeTimeout, settle, pair.clock, begun)
        assert_clean(self, pair)

    def test_early_packet(self) -> None:
        """What the responder sends as soon as it has answered is understood at once."""
        pair = ends()
        begun = pair.a.establish()
        pair.network.delay = 5.0  # the reply takes longer than a packet
        pair.clock.run_until(lambda: bool(pair.b.bundles))
        (bundle,) = pair.b.bundles
        packet = pair.b.sink.seal(bundle.name, b"early")
        self.assertEqual(pair.a.sink.open(packet), b"early")
        settle(pair.clock, begun)

    def test_sealed(self) -> None:
        """
        What is negotiated is encrypted; only the AP-REQ, or the AP-REP, stands before it.

        Proves: RFC 4430 section 6.1
        Proves: RFC 4430 section 4 (row 4-11)
        Proves: RFC 4430 section 4.2.7 (row 4.2.7-1)
        """
        pair = ends()
        pair.up()
        command, reply = (one.datagram.octets for one in pair.wire)
        self.assertEqual([type(p) for p in outer(command)], [APRequest, Encrypted])
        self.assertEqual([type(p) for p in outer(reply)], [APReply, Encrypted])
        for octets in (command, reply):
            self.assertTrue(Received.decode(octets).checksum)
            self.assertEqual(len(octets) % 4, 0)

    def test_session(self) -> None:
        """
        The SAs belong to the peer's principal in its epoch, which is no ISAKMP SA: nothing of
        RFC 2408 runs in it, and it ends with the last of them.

        Proves: RFC 4430 section 3.7 (row 3.7-2)
        """
        pair = ends()
        (bundle,) = pair.up()
        self.assertEqual(bundle.parent, Session(HIS, pair.b.endpoint.epoch))
        session = pair.a.node.registry.find(bundle.parent)
        assert isinstance(session, TicketSession)
        self.assertTrue(IManagementSA.providedBy(session))
        self.assertEqual(str(session.theirs), HIS)
        self.assertEqual(session.owner, "kink")
        self.assertFalse(session.permits(5))
        self.assertRaises(TypeError, session.authenticate, b"")
        self.assertNotIn("ticket_key", repr(session))
        (his,) = pair.b.bundles
        self.assertEqual(his.parent, Session(HER, pair.a.endpoint.epoch))
        settle(pair.clock, pair.a.endpoint.delete(pair.a.bundles))
        self.assertIsNone(pair.a.node.registry.find(bundle.parent))
        self.assertEqual(pair.b.removals, [Removal.DELETED_BY_PEER] * 2)

    def test_keymat(self) -> None:
        """
        KEYMAT is what the prf of the session key makes of protocol, SPI and the initiator's nonce,
        where the responder has none, expanded as IKE does.

        Proves: RFC 4430 section 7
        Proves: RFC 4430 section 5.4 (row 5.4-1)
        Proves: RFC 4430 section 5.4 (row 5.4-2)
        Proves: RFC 4430 section 5 (row 5-5)
        """
        pair = ends()
        seeds: list[bytes] = []
        derive = TicketSession.derive

        def noted(session: TicketSession, seed: bytes, length: int) -> bytes:
            seeds.append(seed)
            made = derive(session, seed, length)
            self.assertEqual(made, keymat(session.ticket_key.prf, seed, length))
            return made

        self.patch(TicketSession, "derive", noted)
        (bundle,) = pair.up()
        spi = bundle.inbound[0].key.spi
        inbound = {seed for seed in seeds if seed[1:5] == spi}
        (seed,) = inbound
        self.assertEqual((seed[0], len(seed)), (3, 1 + 4 + 32))


class ThreeWayTests(SynchronousTestCase):
    def test_contribute(self) -> None:
        """
        A responder that wants to add a nonce has its reply acknowledged; only then it sends.

        Proves: RFC 4430 section 6.2
        Proves: RFC 4430 section 3.2 (row 3.2-9)
        Proves: RFC 4430 section 3.2 (row 3.2-10)
        """
        pair = ends(Lab(contribute=True))
        begun = pair.a.establish()
        pair.clock.run_until(lambda: bool(pair.a.heard))
        (half,) = pair.b.sink.standing.values()
        self.assertTrue(half.inbound)
        self.assertFalse(half.outbound)
        self.assertEqual(pair.b.bundles, [])
        settle(pair.clock, begun)
        pair.wait(0.5)
        self.assertEqual((pair.b.kinds, pair.a.kinds), ([CREATE, ACK], [REPLY]))
        self.assertTrue(Header.decode(pair.a.heard[0].octets).acknowledge)
        (proof,) = outer(pair.b.heard[1].octets)
        self.assertIsInstance(proof, APRequest)
        assert_agree(self, pair)

    def test_another_choice(self) -> None:
        """
        The responder takes the second of two: it asks for an ACK, and what was installed for the
        first is replaced.

        Proves: RFC 4430 section 3.2 (row 3.2-1)
        """
        pair = ends(Lab(hers=("aes256-sha512", "aes128-sha256")))
        pair.up()
        self.assertEqual(pair.b.kinds, [CREATE, ACK])
        assert_agree(self, pair)
        (bundle,) = pair.a.bundles
        self.assertEqual(len(bundle.inbound[0].keys["encryption"]), 16)

    def test_second_transform(self) -> None:
        """
        Nor is the second transform of the first proposal the optimistic one.

        Proves: RFC 4430 section 3.2 (row 3.2-1)
        """
        pair = ends(Lab(his=("aes256-sha256",)))
        lifetime = pair.a.connection().children[0].lifetime
        one, other = (ipsec.suite(s, lifetime) for s in ("aes128-sha256", "aes256-sha256"))
        (first,), (second,) = one.proposals, other.proposals
        transforms = (*first.transforms, replace(second.transforms[0], number=2))
        both = replace(one, proposals=(replace(first, transforms=transforms),))
        connection = pair.a.connection()
        child = replace(connection.children[0], suites=(both,))
        settle(pair.clock, pair.a.endpoint.establish(connection, child))
        pair.wait(0.5)
        self.assertEqual(pair.b.kinds, [CREATE, ACK])
        assert_agree(self, pair)

    def test_perfect_forward_secrecy(self) -> None:
        """
        With a KE payload there are three messages, and no SA before the second.

        Proves: RFC 4430 section 3.2
        Proves: RFC 4430 section 5.7 (row 5.7-1)
        """
        pair = ends(Lab(hers=(PFS,), his=(PFS,)))
        begun = pair.a.establish()
        self.assertEqual(dict(pair.a.sink.standing), {})
        settle(pair.clock, begun)
        pair.wait(0.5)
        self.assertEqual(pair.b.kinds, [CREATE, ACK])
        assert_agree(self, pair)

    def test_ack_is_lost(self) -> None:
        """
        The reply comes again until it is acknowledged, each time proven anew; and so does the ACK.

        Proves: RFC 4430 section 9
        """
        pair = ends(Lab(contribute=True))
        lost: list[bytes] = []

        def lose(datagram):  # type: ignore[no-untyped-def]
            if Header.decode(datagram.octets).kind == ACK and len(lost) < 3:
                lost.append(datagram.octets)
                return []
            return None

        pair.network.taps.append(lose)
        pair.up()
        pair.wait(20)
        self.assertEqual(len(lost), 3)
        self.assertEqual(len(set(lost)), 3)
        self.assertEqual(pair.a.kinds, [REPLY] * 4)
        self.assertEqual(len({one.octets for one in pair.a.heard}), 4)
        assert_agree(self, pair)
        pair.wait(300)
        self.assertEqual(len(pair.a.endpoint.commands), 0)
        self.assertEqual(len(pair.b.endpoint.answers), 0)

    def test_no_ack_at_all(self) -> None:
        """
        A responder that is never acknowledged takes everything back, and says so: no SA is half
        open.

        Proves: RFC 4430 section 3.3
        """
        pair = ends(Lab(contribute=True))
        pair.network.taps.append(
            lambda datagram: [] if Header.decode(datagram.octets).kind == ACK else None
        )
        pair.up()
        pair.wait(300)
        (error,) = pair.b.failures
        assert_clean(self, pair)
        self.assertIsInstance(error, ExchangeTimeout)


class ManyTests(SynchronousTestCase):
    def test_together(self) -> None:
        """
        Several children in one CREATE, each in a KINK_ISAKMP payload of its own.

        Proves: RFC 4430 section 4.2.6 (row 4.2.6-3)
        """
        pair = ends(Lab(children=3))
        made = settle(pair.clock, pair.a.establish("net", "net1", "net2"))
        self.assertEqual([bundle.policy.name for bundle in made], ["net", "net1", "net2"])
        pair.wait(0.5)
        self.assertEqual(pair.b.kinds, [CREATE])
        assert_agree(self, pair, 3)
        self.assertEqual(len({bundle.parent for bundle in pair.b.bundles}), 1)

    def test_all_or_none(self) -> None:
        """If one of them cannot be, none is; neither end keeps anything."""
        pair = ends(Lab(children=2))
        his = pair.b.connection()
        pair.b.assembly.configure([replace(his, children=his.children[:1])], [])
        begun = pair.a.establish("net", "net1")
        error = self.assertRaises(PeerRefused, settle, pair.clock, begun)
        self.assertEqual(error.kind, NotifyType.PAYLOAD_MALFORMED)
        pair.wait(300)
        assert_clean(self, pair)

    def test_too_many(self) -> None:
        """More than one CREATE can hold is said before anything is sent."""
        pair = ends(Lab(children=9))
        names = [child.name for child in pair.a.connection().children]
        self.failureResultOf(pair.a.establish(*names), ConfigurationError)
        self.assertEqual(pair.wire, [])


class RefusalTests(SynchronousTestCase):
    def refused(self, lab: Lab, kind: int) -> None:
        pair = ends(lab)
        error = self.assertRaises(PeerRefused, settle, pair.clock, pair.a.establish())
        self.assertEqual(error.kind, kind)
        self.assertEqual(pair.a.failures, [error])
        self.assertEqual(len(pair.b.failures), 1)
        pair.wait(300)
        assert_clean(self, pair)

    def test_no_proposal(self) -> None:
        """
        Nothing on offer is acceptable: NO-PROPOSAL-CHOSEN, and both ends say so.

        Proves: RFC 4430 section 5.5
        """
        self.refused(Lab(his=("aes256-sha512",)), NotifyType.NO_PROPOSAL_CHOSEN)

    def test_group_not_agreed(self) -> None:
        """A group on one side only is no common proposal."""
        self.refused(Lab(hers=(PFS,)), NotifyType.NO_PROPOSAL_CHOSEN)

    def test_unknown_traffic(self) -> None:
        """
        Traffic that nobody configured: rejected by the word that is left for it.

        Proves: RFC 4430 section 5.5
        """
        pair = ends()
        connection = pair.a.connection()
        other = pair.a.node.policy.connection("lab").children[0]
        selector = replace(other.local[0], first=other.local[0].first + 2**24)
        selector = replace(selector, last=selector.first + 255)
        child = replace(other, local=(selector,))
        begun = pair.a.endpoint.establish(connection, child)
        error = self.assertRaises(PeerRefused, settle, pair.clock, begun)
        self.assertEqual(error.kind, NotifyType.PAYLOAD_MALFORMED)

    def test_same_spi(self) -> None:
        """
        A CREATE with an SPI that an SA of this peer has: INVALID-SPI.

        Proves: RFC 4430 section 3.2 (row 3.2-5)
        Proves: RFC 4430 section 3.2 (row 3.2-6)
        """
        pair = ends()
        (bundle,) = pair.up()
        # Alice has lost it, and does not say so: the same SPI can come again.
        pair.a.node.registry.remove(bundle, Removal.SHUTDOWN)
        pair.a.sink.remove(bundle)
        self.patch(pair.a.sink._spis, "reserve", lambda *_: bundle.inbound[0].key)
        error = self.assertRaises(PeerRefused, settle, pair.clock, pair.a.establish())
        self.assertEqual(error.kind, NotifyType.INVALID_SPI)
        (his,) = pair.b.bundles
        self.assertEqual(his.outbound[0].key, bundle.inbound[0].key)

    def test_longer_lifetime(self) -> None:
        """
        An answer with a longer lifetime than was offered is refused by the initiator, which still
        acknowledges if it is asked to, and has the responder delete what it made.

        Proves: RFC 4430 section 3.2 (row 3.2-3)
        Proves: RFC 4430 section 3.2 (row 3.2-11)
        """
        pair = ends(Lab(contribute=True))
        real = negotiation.answer

        def longer(exchange: INegotiation, negotiated: Negotiated) -> Offer:
            honest = real(exchange, negotiated)
            (suite,) = honest.suites
            (model,) = ipsec.suite("aes128-sha256", Lifetime(9999)).proposals
            (proposal,) = suite.proposals
            lie = replace(suite, proposals=(replace(proposal, transforms=model.transforms),))
            return replace(honest, suites=(lie,))

        self.patch(negotiation, "answer", longer)
        self.assertRaises(NoProposalChosen, settle, pair.clock, pair.a.establish())
        pair.wait(300)
        self.assertIn(ACK, pair.b.kinds)
        self.assertIn(DELETE, pair.b.kinds)
        self.assertEqual(pair.b.removals, [Removal.DELETED_BY_PEER] * 2)
        assert_clean(self, pair)

    def test_shorter_lifetime(self) -> None:
        """
        An answer with a shorter lifetime than was offered is the first proposal all the same; it is
        the shorter that counts.

        Proves: RFC 4430 section 3.2 (row 3.2-4)
        """
        pair = ends()
        real = negotiation.answer

        def shorter(exchange: INegotiation, negotiated: Negotiated) -> Offer:
            honest = real(exchange, negotiated)
            (suite,) = honest.suites
            (model,) = ipsec.suite("aes128-sha256", Lifetime(300)).proposals
            (proposal,) = suite.proposals
            less = replace(suite, proposals=(replace(proposal, transforms=model.transforms),))
            return replace(honest, suites=(less,))

        self.patch(negotiation, "answer", shorter)
        (bundle,) = pair.up()
        self.assertEqual(pair.b.kinds, [CREATE])
        self.assertEqual(bundle.inbound[0].lifetime.seconds, 300)

    def test_sink_fails(self) -> None:
        """A sink that refuses: whoever it is of, nothing is left at either end."""
        for end in ("a", "b"):
            for contribute in (False, True):
                pair = ends(Lab(contribute=contribute))

                def refuse(bundle: SABundle) -> None:
                    if bundle.outbound:
                        raise OSError("no room")

                getattr(pair, end).sink.refuse = refuse
                begun = pair.a.establish()
                with contextlib.suppress(OSError, PeerRefused, Unsettled):
                    settle(pair.clock, begun, 200)
                pair.wait(1)
                getattr(pair, end).sink.refuse = None
                pair.wait(400)
                self.flushLoggedErrors(OSError)
                assert_clean(self, pair)

    def test_cancelled(self) -> None:
        """Who began it gives it up: nothing is left, and nothing comes any more."""
        pair = ends()
        pair.network.cut = True
        begun = pair.a.establish()
        begun.addErrback(lambda _: None)
        begun.cancel()
        (error,) = pair.a.failures
        self.assertIsInstance(error, Cancelled)
        assert_clean(self, pair)

    def test_no_principal(self) -> None:
        """A connection whose ends are no principals is told so, before anything is sent."""
        pair = ends()
        connection = replace(pair.a.connection(), local_identity=None)
        begun = pair.a.endpoint.establish(connection, connection.children[0])
        error = self.failureResultOf(begun, ConfigurationError)
        self.assertIn("needs a principal", error.getErrorMessage())
        self.assertEqual(pair.wire, [])

    def test_other_realm(self) -> None:
        """A responder that does not know the realm's keys is no peer: nothing that counts comes."""
        pair = ends(his_secret=SECRET + "?")
        error = self.assertRaises(ExchangeTimeout, settle, pair.clock, pair.a.establish())
        self.assertIn("KRB_AP_ERR_NOT_US", str(error))
        assert_clean(self, pair)
