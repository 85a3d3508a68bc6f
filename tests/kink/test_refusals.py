"""
What is wrong with a message, and what RFC 4430 has for it: an error, or silence.
"""

from __future__ import annotations

import hashlib
import hmac
import zlib
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Offer
from isakmp.connections import Limits
from isakmp.errors import ExchangeTimeout, InvalidIdentity, Malformed, PeerError, PeerRefused
from isakmp.identity import IdentityPattern
from isakmp.kink.creation import KENotSupported
from isakmp.kink.errors import BadChecksum, ProtocolError, UnknownTransaction
from isakmp.kink.kerberos import KerberosRefusal
from isakmp.kink.message import Message, Received, decode_inner, encode_inner
from isakmp.kink.numbers import ErrorCode, KerberosError, MessageType
from isakmp.kink.payloads import (
    APReply,
    APRequest,
    Encrypted,
    ErrorPayload,
    KerberosErrorPayload,
    Operation,
    TGTReply,
    TGTRequest,
    Unknown,
)
from isakmp.kink.testing import RealmMember
from isakmp.numbers import NotifyType
from isakmp.paths import Datagram
from isakmp.testing import FixedEntropy, settle
from isakmp.wire.payload import Payload
from isakmp.wire.payloads import (
    Delete,
    Identification,
    KeyExchange,
    Nonce,
    Notification,
    SecurityAssociation,
    VendorID,
)
from tests.kink.ends import (
    ALICE,
    BOB,
    HER,
    HIS,
    SECRET,
    Lab,
    assert_agree,
    assert_clean,
    ends,
)
from tests.nodes import networks

CREATE, DELETE, REPLY, GETTGT, ACK, STATUS = (
    MessageType.CREATE,
    MessageType.DELETE,
    MessageType.REPLY,
    MessageType.GETTGT,
    MessageType.ACK,
    MessageType.STATUS,
)


class RefusalTestCase(SynchronousTestCase):
    """Bob answers; Carol is a member of the realm who writes her messages by hand as Alice."""

    def setUp(self) -> None:
        self.pair = ends()
        self.carol = RealmMember(SECRET.encode(), self.pair.clock, FixedEntropy("carol"))
        self.ticket = self.successResultOf(self.carol.ticket(HER, HIS, 0.0))

    def message(
        self,
        kind: int,
        *payloads: Payload,
        xid: int = 77,
        epoch: int = 1_000_000,
        doi: int = 1,
        inner: tuple[Payload, ...] = (),
        acknowledge: bool = False,
    ) -> bytes:
        """A command, proven as it has to be."""
        request, self.authenticator = self.ticket.request()
        sealed = (Encrypted(self.ticket.key.encrypt(encode_inner(inner))),) if inner else ()
        said = (APRequest(epoch, request), *payloads, *sealed)
        return Message(kind, doi, xid, said, acknowledge).encode(self.ticket.key.checksum)

    def ask(self, octets: bytes) -> list[Received]:
        """What Bob sends, given this."""
        before = len(self.pair.wire)
        self.pair.inject(octets)
        return [
            Received.decode(one.datagram.octets)
            for one in self.pair.wire[before:]
            if one.datagram.path.local[0] == BOB
        ]

    def proven(self, received: Received) -> tuple[Payload, ...]:
        """The payloads of a reply that Carol believes, its AP-REP left out."""
        key = self.ticket.key
        self.assertTrue(key.verify(received.covered, received.checksum))
        proof, *rest = received.message.payloads
        assert isinstance(proof, APReply)
        self.ticket.check(proof.data, [self.authenticator])
        found: list[Payload] = []
        for payload in rest:
            assert isinstance(payload, Encrypted)
            found.extend(decode_inner(key.decrypt(payload.data)))
        return tuple(found)

    def assert_unproven(self, octets: bytes, code: int) -> None:
        """A lone KINK_ERROR."""
        (reply,) = self.ask(octets)
        self.assertEqual(reply.message.payloads, (ErrorPayload(code),))
        self.assertEqual((reply.message.kind, reply.checksum), (REPLY, b""))

    def assert_error(self, octets: bytes, code: int) -> None:
        """A KINK_ERROR, sealed."""
        (reply,) = self.ask(octets)
        self.assertEqual(self.proven(reply), (ErrorPayload(code),))

    def assert_notified(self, octets: bytes, kind: int, data: bytes = b"") -> None:
        """A notification, sealed."""
        (reply,) = self.ask(octets)
        (operation,) = self.proven(reply)
        assert isinstance(operation, Operation)
        self.assertEqual(operation.payloads(), (Notification(1, 1, kind, b"", data),))

    def assert_silent(self, octets: bytes, why: type[Exception]) -> None:
        """Nothing but an event."""
        self.assertEqual(self.ask(octets), [])
        self.assertIsInstance(self.pair.b.drops[-1], why)

    def assert_kerberos(self, octets: bytes, code: int, protected: bool = True) -> KerberosRefusal:
        """A lone KINK_KRB_ERROR."""
        (reply,) = self.ask(octets)
        (payload,) = reply.message.payloads
        assert isinstance(payload, KerberosErrorPayload)
        refusal = self.carol.refusal(payload.data)
        self.assertEqual(refusal.code, code)
        self.assertEqual(
            protected,
            bool(reply.checksum) and self.ticket.key.verify(reply.covered, reply.checksum),
        )
        return refusal


class ProofTests(RefusalTestCase):
    def test_well(self) -> None:
        """So that the others are not refused for something else: Carol's STATUS is answered."""
        (reply,) = self.ask(self.message(STATUS))
        self.assertEqual(self.proven(reply), ())
        self.assertEqual(reply.message.xid, 77)

    def test_replay(self) -> None:
        """
        An AP-REQ that comes twice: KRB_AP_ERR_REPEAT, protected by the session key.

        Proves: RFC 4430 section 2
        Proves: RFC 4430 section 4.2.3 (row 4.2.3-2)
        """
        octets = self.message(STATUS)
        self.assertEqual(len(self.ask(octets)), 1)
        self.assert_kerberos(octets, KerberosError.REPEAT)
        self.assertEqual(len(self.pair.b.endpoint.answers), 1)

    def test_replayed_in_another_message(self) -> None:
        """A recorded AP-REQ before somebody else's payloads is no proof of these: silence."""
        octets = self.message(STATUS)
        self.ask(octets)
        proof = Received.decode(octets).message.payloads
        forged = Message(DELETE, 1, 78, proof).encode(lambda _: bytes(16))
        self.assert_silent(forged, BadChecksum)

    def test_forged_copy_first(self) -> None:
        """A forged copy that arrives first does not use the authenticator up."""
        octets = self.message(STATUS)
        forged = octets[:-1] + bytes((octets[-1] ^ 1,))
        self.assert_silent(forged, BadChecksum)
        self.assertEqual(len(self.ask(octets)), 1)

    def test_wrong_checksum(self) -> None:
        """
        Whatever octet is another, the message is dropped, or is not what RFC 4430 calls one; and
        nothing comes of it.

        Proves: RFC 4430 section 4 (row 4-14)
        """
        octets = self.message(STATUS, inner=(Operation.of((Notification(1, 1, 16384, b"", b""),)),))
        for position in range(16, len(octets)):
            changed = bytearray(octets)
            changed[position] ^= 0x40
            for reply in self.ask(bytes(changed)):
                self.assertEqual(len(reply.message.payloads), 1)
                self.assertNotIsInstance(reply.message.payloads[0], APReply)
        self.assertEqual(len(self.pair.b.endpoint.answers), 0)
        (reply,) = self.ask(octets)
        self.assertEqual(self.proven(reply), ())

    def test_no_checksum(self) -> None:
        """
        A command without a checksum, though there is a key for one: dropped.

        Proves: RFC 4430 section 4 (row 4-11)
        """
        request, _ = self.ticket.request()
        self.assert_silent(Message(STATUS, 1, 7, (APRequest(1, request),)).encode(), BadChecksum)

    def test_without_a_key(self) -> None:
        """
        A checksum that needs no key, so that anybody could make it, is none: over the command or
        over the reply.

        Proves: RFC 4430 section 4 (row 4-13)
        """
        request, _ = self.ticket.request()
        unkeyed = [
            lambda octets, name=name, size=size: hashlib.new(name, octets).digest()[:size]
            for name, size in (("md5", 16), ("sha1", 20), ("sha256", 16), ("sha256", 32))
        ]
        unkeyed.append(lambda octets: zlib.crc32(octets).to_bytes(4, "little"))
        unkeyed.append(lambda octets: hmac.digest(b"", octets, "sha256")[:16])
        for checksum in unkeyed:
            octets = Message(STATUS, 1, 7, (APRequest(1, request),)).encode(checksum)
            self.assertTrue(Received.decode(octets).checksum)
            self.assert_silent(octets, BadChecksum)
        before = len(self.pair.a.drops)

        def tap(datagram: Datagram) -> list[Datagram] | None:
            if datagram.path.local[0] == ALICE:
                return None
            message = Received.decode(datagram.octets).message
            return [Datagram(message.encode(one), datagram.path) for one in unkeyed]

        self.pair.network.taps.append(tap)
        begun = self.pair.a.establish()
        self.assertRaises(ExchangeTimeout, settle, self.pair.clock, begun)
        drops = self.pair.a.drops[before:]
        self.assertGreaterEqual(len(drops), len(unkeyed))
        self.assertEqual({type(error) for error in drops}, {BadChecksum})

    def test_skew(self) -> None:
        """
        A clock that is too far off: KRB_AP_ERR_SKEW, protected, with how far.

        Proves: RFC 4430 section 3.5 (row 3.5-2)
        Proves: RFC 4430 section 3.5 (row 3.5-3)
        """
        self.carol.offset = 1000.0
        refusal = self.assert_kerberos(self.message(STATUS), KerberosError.SKEW)
        self.carol.offset = -299.0
        self.assertEqual(len(self.ask(self.message(STATUS))), 1)
        assert refusal.skew is not None
        self.assertAlmostEqual(refusal.skew, -1000.0, delta=1.0)

    def test_skew_forged(self) -> None:
        """With a wrong clock and a wrong checksum there is no error, but silence."""
        self.carol.offset = 1000.0
        octets = self.message(STATUS)
        self.assert_silent(octets[:-1] + bytes((octets[-1] ^ 1,)), BadChecksum)

    def test_expired(self) -> None:
        """A ticket that is over: KRB_AP_ERR_TKT_EXPIRED."""
        self.pair.wait(40_000)
        self.assert_kerberos(self.message(STATUS), KerberosError.TKT_EXPIRED)

    def test_stranger(self) -> None:
        """A ticket of another realm: KRB_AP_ERR_NOT_US, and nothing to protect it with."""
        other = RealmMember(b"another", self.pair.clock, FixedEntropy("x"))
        self.ticket = self.successResultOf(other.ticket(HER, HIS, 0.0))
        self.assert_kerberos(self.message(STATUS), KerberosError.NOT_US, False)

    def test_not_us(self) -> None:
        """A service that nobody here is: KRB_AP_ERR_NOT_US, sealed, as we could open it."""
        self.ticket = self.successResultOf(self.carol.ticket(HER, HIS + "X", 0.0))
        (reply,) = self.ask(self.message(STATUS))
        (payload,) = self.proven(reply)
        assert isinstance(payload, KerberosErrorPayload)
        self.assertEqual(self.carol.refusal(payload.data).code, KerberosError.NOT_US)

    def test_no_connection(self) -> None:
        """
        A principal for which there is no connection, its name differing in one letter's case.

        Proves: RFC 4430 section 4.2.1
        """
        self.ticket = self.successResultOf(
            self.carol.ticket(HER.replace("a.lab", "A.lab"), HIS, 0.0)
        )
        self.assert_notified(self.message(STATUS), NotifyType.PAYLOAD_MALFORMED)

    def test_pattern(self) -> None:
        """A connection for everybody of a realm takes them, and nobody of another."""
        his = self.pair.b.connection()
        pattern = replace(his, remote_identity=IdentityPattern("*@LAB.TEST"))
        self.pair.b.assembly.configure([pattern], [])
        self.assertEqual(self.proven(self.ask(self.message(STATUS))[0]), ())
        self.ticket = self.successResultOf(self.carol.ticket("kink/a@OTHER.TEST", HIS, 0.0))
        self.assert_notified(self.message(STATUS), NotifyType.PAYLOAD_MALFORMED)


class FormTests(RefusalTestCase):
    def test_version(self) -> None:
        """
        Another major version: KINK_INVMAJ.

        Proves: RFC 4430 section 4.2.8 (row 4.2.8-2)
        """
        octets = self.message(STATUS)
        self.assert_unproven(octets[:1] + b"\x20" + octets[2:], ErrorCode.INVMAJ)

    def test_doi(self) -> None:
        """
        A domain of interpretation that is not enabled, or has no SAs to negotiate: KINK_INVDOI.

        Proves: RFC 4430 section 4.2.8
        """
        for doi in (0, 2, 0xFFFFFFFF):
            self.assert_unproven(self.message(STATUS, doi=doi), ErrorCode.INVDOI)

    def test_malformed(self) -> None:
        """
        A message that cannot be read: KINK_PROTOERR.  What has no header is no message.

        Proves: RFC 4430 section 4.2.8
        """
        octets = self.message(STATUS)
        self.assert_unproven(octets[:-1], ErrorCode.PROTOERR)
        self.assert_unproven(octets[:2] + b"\0\0" + octets[4:], ErrorCode.PROTOERR)
        self.assertEqual(self.ask(octets[:15]), [])
        self.assertEqual(self.ask(b""), [])

    def test_message_type(self) -> None:
        """Message types that nobody assigned: KINK_PROTOERR."""
        for kind in (0, 7, 128, 255):
            self.assert_unproven(self.message(kind), ErrorCode.PROTOERR)

    def test_no_proof(self) -> None:
        """
        A command without an AP-REQ, or with two: KINK_PROTOERR.

        Proves: RFC 4430 section 6.3
        """
        octets = Message(CREATE, 1, 7, (Operation.of((Nonce(bytes(16)),)),)).encode()
        self.assert_unproven(octets, ErrorCode.PROTOERR)
        self.assert_unproven(self.message(STATUS, APRequest(1, b"")), ErrorCode.PROTOERR)

    def test_acknowledge(self) -> None:
        """
        An initiator that sets ACKREQ: KINK_PROTOERR.

        Proves: RFC 4430 section 4
        """
        self.assert_unproven(self.message(STATUS, acknowledge=True), ErrorCode.PROTOERR)

    def test_quick_mode_version(self) -> None:
        """
        Inner payloads of a version that is not spoken: KINK_BADQMVERS, sealed.

        Proves: RFC 4430 section 12
        """
        for version in (0x11, 0x20, 0x00):
            inner = (Operation(0, b"", version),)
            self.assert_error(self.message(CREATE, inner=inner), ErrorCode.BADQMVERS)

    def test_strange_payload(self) -> None:
        """A payload that has no business in a command: KINK_PROTOERR, sealed."""
        for strange in (Unknown(99, b""), TGTReply(b"x"), ErrorPayload(1)):
            self.assert_error(self.message(STATUS, inner=(strange,)), ErrorCode.PROTOERR)

    def test_not_encrypted(self) -> None:
        """
        KINK_ENCRYPT may be left out: what is proven is read as well.

        Proves: RFC 4430 section 6
        """
        self.assert_notified(
            self.message(CREATE, Operation.of((Nonce(bytes(16)),))), NotifyType.PAYLOAD_MALFORMED
        )

    def test_encrypted_by_nobody(self) -> None:
        """A KINK_ENCRYPT that does not open, in a message that is proven: KINK_PROTOERR."""
        self.assert_error(self.message(STATUS, Encrypted(bytes(64))), ErrorCode.PROTOERR)

    def test_inner(self) -> None:
        """
        ISAKMP payloads that cannot be read, or are no CREATE: PAYLOAD-MALFORMED; a type that does
        not belong there likewise.

        Proves: RFC 4430 section 5.5
        """
        for operation in (
            Operation(10, b"\0\0\0\3"),
            Operation(1, b"\0\0\0\xff"),
            Operation.of((Nonce(bytes(16)),)),
            Operation.of((Nonce(bytes(7)), Nonce(bytes(16)))),
            Operation.of((VendorID(b"we"),)),
        ):
            self.assert_notified(
                self.message(CREATE, inner=(operation,)), NotifyType.PAYLOAD_MALFORMED
            )
        self.assert_error(self.message(CREATE), ErrorCode.PROTOERR)

    def test_quick_mode(self) -> None:
        """
        A CREATE has to be what RFC 2409 section 5.5 asks of Quick Mode: the SA payload first; a
        nonce of 8 to 256 octets; both client identities or none, and acceptable ones; a public
        value if, and only if, the proposals name a group, which can be agreed.

        Proves: RFC 4430 section 5 (row 5-1)
        """
        hers, his = (
            Identification(one.kind, one.protocol, one.port, one.data)
            for one in (selector.identity() for selector in networks(0))
        )
        sa, nonce, *_ = self.offered().payloads()
        refused: tuple[tuple[tuple[Payload, ...], type[PeerError]], ...] = (
            ((nonce, sa, hers, his), Malformed),
            ((hers, his, sa, nonce), Malformed),
            ((sa, Nonce(bytes(7)), hers, his), Malformed),
            ((sa, Nonce(bytes(257)), hers, his), Malformed),
            ((sa, hers, his), Malformed),
            ((sa, nonce, hers), Malformed),
            ((sa, nonce, hers, his, his), Malformed),
            ((sa, nonce, his, hers), InvalidIdentity),
            ((sa, nonce, KeyExchange(bytes(32)), hers, his), KENotSupported),
        )
        for xid, (payloads, why) in enumerate(refused, 100):
            asked = self.message(CREATE, xid=xid, inner=(Operation.of(payloads),))
            (reply,) = self.ask(asked)
            (operation,) = self.proven(reply)
            assert isinstance(operation, Operation)
            (notification,) = operation.payloads()
            assert isinstance(notification, Notification)
            self.assertLess(notification.kind, NotifyType.CONNECTED)
            self.assertIs(type(self.pair.b.failures[-1]), why, payloads)
        self.assertEqual(len(self.pair.b.failures), len(refused))
        self.assertEqual(self.pair.b.bundles, [])
        for good in ((sa, nonce, hers, his), (sa, Nonce(bytes(256)), hers, his)):
            (reply,) = self.ask(self.message(CREATE, xid=78, inner=(Operation.of(good),)))
            (operation,) = self.proven(reply)
            assert isinstance(operation, Operation)
            self.assertIsInstance(operation.payloads()[0], SecurityAssociation)
            self.assertEqual(len(self.pair.b.bundles), 1)
            self.setUp()
        self.pair = ends(Lab(hers=("aes128-sha256-curve25519",), his=("aes128-sha256-curve25519",)))
        self.pair.up()
        assert_agree(self, self.pair)

    def offered(self, *more: Payload, doi: int = 1) -> Operation:
        """What Alice would offer, and more."""
        policy = self.pair.a.connection().children[0]
        situation = self.pair.a.node.dois[1].phase1_situation
        (suite,) = policy.suites
        suite = suite.with_spis({p.protocol: b"\x11\x22\x33\x44" for p in suite.proposals})
        sa = replace(Offer(1, situation, (suite,)).payload(), doi=doi)
        return Operation.of((sa, Nonce(bytes(16)), *more))

    def test_key_exchange(self) -> None:
        """
        A KE payload where the responder agrees no group: INVALID-PAYLOAD-TYPE, which names it.

        Proves: RFC 4430 section 3.2 (row 3.2-7)
        Proves: RFC 4430 section 5.5 (row 5.5-5)
        """
        his = self.pair.b.connection()
        child = replace(his.children[0], local=(), remote=())
        self.pair.b.assembly.configure([replace(his, children=(child,))], [])
        inner = (self.offered(KeyExchange(bytes(32))),)
        self.assert_notified(
            self.message(CREATE, inner=inner), NotifyType.INVALID_PAYLOAD_TYPE, b"\x04"
        )

    def test_inner_doi(self) -> None:
        """
        An SA payload of another domain than the header's.

        Proves: RFC 4430 section 4 (row 4-6)
        """
        inner = (self.offered(doi=2),)
        self.assert_notified(self.message(CREATE, inner=inner), NotifyType.PAYLOAD_MALFORMED)

    def test_too_many(self) -> None:
        """More operations than one command can have."""
        inner = tuple(Operation.of((Delete(1, 3, (bytes(4),)),)) for _ in range(9))
        self.assert_error(self.message(DELETE, inner=inner), ErrorCode.PROTOERR)


class UserToUserTests(RefusalTestCase):
    def test_denied(self) -> None:
        """
        A GETTGT: we give no ticket-granting ticket away, and say so.

        Proves: RFC 4430 section 3.1
        Proves: RFC 4430 section 6.6
        """
        octets = Message(GETTGT, 1, 9, (TGTRequest(HIS.encode()),)).encode()
        self.assert_unproven(octets, ErrorCode.U2UDENIED)
        self.assert_unproven(Message(GETTGT, 1, 9, ()).encode() + bytes(8), ErrorCode.PROTOERR)

    def test_ticket_wanted(self) -> None:
        """
        A responder that answers with its ticket-granting ticket proves nothing: the initiator goes
        on, and says in the end what it was told.

        Proves: RFC 4430 section 3.7.1 (row 3.7.1-1)
        """

        def answer(datagram: Datagram) -> list[Datagram]:
            xid = Received.decode(datagram.octets).message.xid
            octets = Message(REPLY, 1, xid, (TGTReply(b"tgt"),)).encode()
            return [] if datagram.path.local[0] == BOB else [
                Datagram(octets, datagram.path.reversed())
            ]

        self.pair.network.taps.append(answer)
        begun = self.pair.a.establish()
        error = self.assertRaises(ExchangeTimeout, settle, self.pair.clock, begun)
        self.assertIn("user-to-user", str(error))
        assert_clean(self, self.pair)


class TransactionTests(RefusalTestCase):
    def test_reply_to_nothing(self) -> None:
        """
        A REPLY with an ID of no transaction is dropped, and so is one from another address.

        Proves: RFC 4430 section 4
        """
        octets = Message(REPLY, 1, 1234, (ErrorPayload(1),)).encode()
        self.assert_silent(octets, UnknownTransaction)

    def test_wrong_xid(self) -> None:
        """A reply whose ID was changed on the way does not count; the command comes again."""
        changed: list[int] = []

        def change(datagram: Datagram) -> list[Datagram] | None:
            if datagram.path.local[0] == ALICE or changed:
                return None
            changed.append(1)
            octets = bytearray(datagram.octets)
            octets[11] ^= 1
            return [Datagram(bytes(octets), datagram.path)]

        self.pair.network.taps.append(change)
        self.pair.up()
        self.assertEqual(self.pair.b.kinds, [CREATE, CREATE])
        self.assertIsInstance(self.pair.a.drops[0], UnknownTransaction)
        assert_agree(self, self.pair)

    def test_id_used_twice(self) -> None:
        """
        Another command with the ID of one that is remembered: KINK_PROTOERR, sealed.

        Proves: RFC 4430 section 4
        """
        self.assertEqual(self.proven(self.ask(self.message(STATUS))[0]), ())
        inner = (Operation.of((Delete(1, 3, (bytes(4),)),)),)
        self.assert_error(self.message(DELETE, inner=inner), ErrorCode.PROTOERR)
        self.assertEqual(self.proven(self.ask(self.message(STATUS))[0]), ())

    def test_ack_of_nothing(self) -> None:
        """An ACK that nobody waits for is dropped, and so is one with more than an AP-REQ."""
        self.assert_silent(self.message(ACK), UnknownTransaction)
        self.assert_silent(self.message(ACK, TGTReply(b"")), ProtocolError)
        self.ask(self.message(STATUS))
        self.assert_silent(self.message(ACK), UnknownTransaction)

    def test_unproven_errors(self) -> None:
        """
        Errors that anybody could send end nothing: the true reply counts.

        Proves: RFC 4430 section 4.2.3 (row 4.2.3-3)
        Proves: RFC 4430 section 4.2.8 (row 4.2.8-4)
        """
        forged = RealmMember(b"?", self.pair.clock, FixedEntropy("?"))
        errors = (
            ErrorPayload(ErrorCode.PROTOERR),
            KerberosErrorPayload(forged.error(KerberosRefusal("no", KerberosError.TKT_EXPIRED))),
        )

        def race(datagram: Datagram) -> list[Datagram] | None:
            if datagram.path.local[0] == ALICE:
                return None
            xid = Received.decode(datagram.octets).message.xid
            made = [Message(REPLY, 1, xid, (error,)).encode() for error in errors]
            signed = Message(REPLY, 1, xid, errors[:1]).encode(lambda _: bytes(16))
            return [*(Datagram(o, datagram.path) for o in (*made, signed)), datagram]

        self.pair.network.taps.append(race)
        self.pair.up()
        self.assertEqual(self.pair.b.kinds, [CREATE])
        self.assertEqual(len(self.pair.a.drops), 3)
        assert_agree(self, self.pair)

    def test_unproven_skew(self) -> None:
        """
        A clock is not set by what is not protected.

        Proves: RFC 4430 section 3.5 (row 3.5-6)
        """
        mallory = RealmMember(b"?", self.pair.clock, FixedEntropy("?"))
        lie = mallory.error(KerberosRefusal("no", KerberosError.SKEW, None, 5000.0))

        def race(datagram: Datagram) -> list[Datagram] | None:
            if datagram.path.local[0] == ALICE:
                return None
            xid = Received.decode(datagram.octets).message.xid
            octets = Message(REPLY, 1, xid, (KerberosErrorPayload(lie),)).encode()
            return [Datagram(octets, datagram.path), datagram]

        self.pair.network.taps.append(race)
        self.pair.up()
        ticket = self.successResultOf(self.pair.a.kerberos.ticket(HER, HIS, 0.0))
        self.assertEqual(ticket._skew, 0.0)

    def test_clock_is_adjusted(self) -> None:
        """
        An initiator whose clock is off is told so under the session key, and counts with it.

        Proves: RFC 4430 section 3.5 (row 3.5-4)
        Proves: RFC 4430 section 3.5 (row 3.5-5)
        """
        self.pair.a.kerberos.offset = 4000.0
        self.pair.up()
        self.assertEqual(self.pair.b.kinds, [CREATE, CREATE])
        assert_agree(self, self.pair)
        self.pair.a.establish()
        self.pair.wait(1)
        self.assertEqual(self.pair.b.kinds, [CREATE] * 3)

    def test_flood(self) -> None:
        """
        Errors to those who prove nothing: so many at once, and never more octets than came.

        Proves: RFC 4430 section 4.2.8 (row 4.2.8-3)
        """
        pair = self.pair = ends(Lab(limits=Limits(notifications=5)))
        octets = Message(STATUS, 1, 5, ()).encode()
        self.assertEqual(self.ask(octets), [])  # the answer would be longer
        longer = octets + bytes(8)
        count = 0
        for _ in range(50):
            before = len(pair.wire)
            pair.inject(longer)
            count += len(pair.wire) - before
        self.assertLessEqual(count, 5 + 6)
        self.assertEqual(len(pair.b.endpoint.answers), 0)

    def test_protected_refusal(self) -> None:
        """What the peer says under the session key ends it at once."""
        his = self.pair.b.connection()
        self.pair.b.assembly.configure([replace(his, local_identity=None)], [])
        begun = self.pair.a.establish()
        error = self.assertRaises(KerberosRefusal, settle, self.pair.clock, begun)
        self.assertEqual(error.code, KerberosError.NOT_US)
        self.assertNotIsInstance(error, PeerRefused)
        self.assertEqual(self.pair.b.kinds, [CREATE])
        self.pair.wait(100)
        assert_clean(self, self.pair)
