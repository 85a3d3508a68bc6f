"""
A peer that has proven who it is and says anything at all; faults of ours; IKE beside KINK.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import CookiePair, Session
from isakmp.connections import Limits
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.errors import PeerError, PeerRefused
from isakmp.kink.message import Message, Received, decode_inner, encode_inner
from isakmp.kink.numbers import ErrorCode, MessageType
from isakmp.kink.payloads import APReply, APRequest, Encrypted, ErrorPayload, Operation
from isakmp.paths import Datagram
from isakmp.testing import settle
from isakmp.wire.payloads import Delete, Nonce, Notification
from tests import nodes
from tests.kink.ends import (
    ALICE,
    BOB,
    HER,
    HIS,
    Lab,
    assert_agree,
    assert_clean,
    connection,
    ends,
)
from tests.kink.test_refusals import RefusalTestCase
from tests.wire.strategies import payloads

KINDS = st.sampled_from([MessageType.CREATE, MessageType.DELETE, MessageType.STATUS])
OPERATIONS = st.one_of(
    st.builds(lambda ps: Operation.of(ps), st.lists(payloads, max_size=4)),
    st.builds(Operation, st.integers(0, 255), st.binary(max_size=60)),
)


class AnythingTests(RefusalTestCase):
    @settings(max_examples=300, deadline=None)
    @given(KINDS, st.lists(OPERATIONS, max_size=3))
    def test_anything(self, kind: MessageType, inner: list[Operation]) -> None:
        """
        Whatever a principal of the realm puts into a command, it is answered once, with no fault of
        ours, never with KINK_OK, and its peer has no SA of it.

        Proves: RFC 4430 section 4.2.8 (row 4.2.8-1)
        """
        self.setUp()
        replies = self.ask(self.message(kind, inner=tuple(inner)))
        self.assertEqual(len(replies), 1)
        said = self.proven(replies[0])
        self.assertNotIn(ErrorPayload(ErrorCode.INTERR), said)
        self.assertNotIn(ErrorPayload(ErrorCode.OK), said)
        self.assertEqual(self.pair.b.bundles, [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_fault(self) -> None:
        """
        A fault of ours: KINK_INTERR, sealed, and it is logged.

        Proves: RFC 4430 section 4.2.8
        """
        policy = self.pair.b.node.policy
        self.patch(policy, "phase2", lambda *_: fail(RuntimeError("ours")))
        begun = self.pair.a.establish()
        error = self.assertRaises(PeerRefused, settle, self.pair.clock, begun)
        self.assertIn("KINK_INTERR", str(error))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.pair.wait(100)
        assert_clean(self, self.pair)

    def test_bounded(self) -> None:
        """
        One principal has so many commands remembered and no more: the oldest that is done gives
        way.
        """
        self.pair = ends(Lab(limits=Limits(exchanges_per_sa=3)))
        for xid in range(10):
            self.assertEqual(len(self.ask(self.message(MessageType.STATUS, xid=xid))), 1)
            self.assertLessEqual(len(self.pair.b.endpoint.answers), 3)
        self.pair.wait(100)
        self.assertEqual(len(self.pair.b.endpoint.answers), 0)

    def test_two_versions(self) -> None:
        """
        Quick Mode versions are not mixed: one that is not spoken refuses the whole command.

        Proves: RFC 4430 section 4.2.6
        """
        operation = Operation.of((Nonce(bytes(8)),))
        self.assert_error(
            self.message(MessageType.CREATE, inner=(operation, Operation(0, b"", 0x20))),
            ErrorCode.BADQMVERS,
        )

    def test_status_notification(self) -> None:
        """
        Status types in a reply, known or not, are let be; an error type that nobody knows refuses
        all.

        Proves: RFC 4430 section 5.5 (row 5.5-1)
        Proves: RFC 4430 section 5.5 (row 5.5-2)
        Proves: RFC 4430 section 5.5 (row 5.5-4)
        """
        ticket = self.successResultOf(self.pair.a.kerberos.ticket(HER, HIS, 0.0))
        said = [Notification(1, 3, 24_576, b"", b""), Notification(1, 3, 40_001, b"", b"x")]

        def add(datagram: Datagram) -> list[Datagram] | None:
            if datagram.path.local[0] == ALICE:
                return None
            message = Received.decode(datagram.octets).message
            proof, sealed = message.payloads
            assert isinstance(sealed, Encrypted)
            (operation,) = decode_inner(ticket.key.decrypt(sealed.data))
            assert isinstance(operation, Operation)
            inner = (Operation.of((*operation.payloads(), *said)),)
            more = Encrypted(ticket.key.encrypt(encode_inner(inner)))
            octets = replace(message, payloads=(proof, more)).encode(ticket.key.checksum)
            return [Datagram(octets, datagram.path)]

        self.pair.network.taps.append(add)
        self.pair.up()
        assert_agree(self, self.pair)
        said.append(Notification(1, 3, 9999, b"", b""))
        error = self.assertRaises(
            PeerRefused, settle, self.pair.clock, self.pair.a.establish()
        )
        self.assertEqual(error.kind, 9999)

    def test_no_error(self) -> None:
        """
        KINK_OK is no error: the initiator goes on as if it were not there.

        Proves: RFC 4430 section 4.2.8
        """
        ticket = self.successResultOf(self.pair.a.kerberos.ticket(HER, HIS, 0.0))

        def add(datagram: Datagram) -> list[Datagram] | None:
            if datagram.path.local[0] == ALICE:
                return None
            message = Received.decode(datagram.octets).message
            proof, sealed = message.payloads
            assert isinstance(sealed, Encrypted)
            inner = (ErrorPayload(ErrorCode.OK), *decode_inner(ticket.key.decrypt(sealed.data)))
            more = Encrypted(ticket.key.encrypt(encode_inner(inner)))
            octets = replace(message, payloads=(proof, more)).encode(ticket.key.checksum)
            return [Datagram(octets, datagram.path)]

        self.pair.network.taps.append(add)
        self.pair.up()
        self.assertEqual(self.pair.b.kinds, [MessageType.CREATE])
        assert_agree(self, self.pair)

    def test_delete_of_everything(self) -> None:
        """A DELETE with as many SPIs as there is room for costs what it is long, and no more."""
        self.pair.up()
        spis = tuple(n.to_bytes(4) for n in range(256, 1256))
        inner = (Operation.of((Delete(1, 3, spis),)),)
        (reply,) = self.ask(self.message(MessageType.DELETE, inner=inner))
        self.assertLess(len(reply.covered), 65_536)
        assert_agree(self, self.pair)


class LiarTests(RefusalTestCase):
    """Carol is the responder, and says what she likes."""

    @settings(max_examples=200, deadline=None)
    @given(st.lists(OPERATIONS, max_size=3), st.booleans())
    def test_anything(self, inner: list[Operation], acknowledge: bool) -> None:
        """
        Whatever a responder answers that is no answer, the initiator is left with nothing: no SA,
        no SPI, no transaction; and the ACK that was asked for was sent all the same.

        Proves: RFC 4430 section 3.2
        """
        self.setUp()
        seen: list[int] = []

        def answer(datagram: Datagram) -> list[Datagram]:
            received = Received.decode(datagram.octets)
            kind = received.message.kind
            seen.append(kind)
            if kind == MessageType.ACK:
                return []
            request = self.carol.open(received.message.one(APRequest).data)
            said = inner if kind == MessageType.CREATE else []
            payloads = (
                APReply(7, request.reply()),
                Encrypted(request.key.encrypt(encode_inner(said))),
            )
            wanted = acknowledge and kind == MessageType.CREATE
            reply = Message(MessageType.REPLY, 1, received.message.xid, payloads, wanted)
            octets = reply.encode(request.key.checksum)
            return [Datagram(octets, datagram.path.reversed())]

        self.pair.network.taps.append(answer)
        self.assertRaises(PeerError, settle, self.pair.clock, self.pair.a.establish())
        self.pair.wait(400)
        assert_clean(self, self.pair)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(acknowledge, MessageType.ACK in seen)


class BesideTests(SynchronousTestCase):
    def test_beside_ike(self) -> None:
        """
        One node, two key exchanges: a child by each, with the same peer.  Each deletes its own; a
        node that stops leaves nothing of either.
        """
        pair = ends()
        secret = (SharedSecret(b"correct horse battery staple", ()),)
        made = []
        for end, local, remote, ours, theirs in (
            (pair.a, ALICE, BOB, "i.lab", "r.lab"),
            (pair.b, BOB, ALICE, "r.lab", "i.lab"),
        ):
            old = nodes.connection(local, remote, ours, theirs, name="old")
            end.assembly.node.credentials.configure(secret)  # type: ignore[attr-defined]
            end.assembly.configure([end.connection(), old], secret)
            made.append(old)
        settle(pair.clock, pair.a.assembly.endpoint.establish(made[0], made[0].children[0]))
        pair.up()
        self.assertEqual(len(pair.a.bundles), 2)
        assert_agree(self, pair, 2)
        kinds = {type(bundle.parent) for bundle in pair.a.bundles}
        self.assertEqual(kinds, {CookiePair, Session})
        settle(pair.clock, pair.a.endpoint.delete(pair.a.endpoint.sessions.all()))
        pair.wait(5)
        (left,) = pair.b.bundles
        self.assertIsInstance(left.parent, CookiePair)
        pair.up()
        settle(pair.clock, pair.a.assembly.stop(), 0.0)
        pair.wait(0.5)
        self.assertEqual(pair.b.bundles, [])
        settle(pair.clock, pair.b.assembly.stop(), 0.0)
        pair.network.flush()
        assert_clean(self, pair)

    def test_stranger_of_ike(self) -> None:
        """A connection of KINK's is none for a peer that comes with Main Mode."""
        pair = ends()
        old = nodes.connection(ALICE, BOB, "i.lab", "r.lab", name="old")
        secret = (SharedSecret(b"correct horse battery staple", ()),)
        pair.a.assembly.configure([old], secret)
        begun = pair.a.assembly.endpoint.establish(old, old.children[0])
        self.assertRaises(PeerError, settle, pair.clock, begun)
        (why,) = {str(drop) for drop in pair.b.drops}
        self.assertIn("lab: exchange type (offered Identity Protection; configured None)", why)

    def test_changed(self) -> None:
        """A connection that is served by another key exchange from now on: what stands stays."""
        pair = ends()
        pair.up()
        hers = connection(ALICE, BOB, HER, HIS, ("aes128-sha256",), 1200, Lab())
        pair.a.assembly.configure([replace(hers, key_exchange="ike", exchange=2)], [])
        settle(pair.clock, pair.a.endpoint.delete(pair.a.bundles))
        pair.wait(200)
        assert_clean(self, pair)
