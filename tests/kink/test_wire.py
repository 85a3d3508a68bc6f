"""
What two nodes really send each other, opened with the session key.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from isakmp.connections import Renewal, StartAction
from isakmp.doi.ipsec import ipsec
from isakmp.errors import ExchangeTimeout
from isakmp.events import Removal
from isakmp.exchange.phase1 import offer_of
from isakmp.kink.command import opened
from isakmp.kink.kerberos import KerberosRefusal
from isakmp.kink.message import Header, Received
from isakmp.kink.numbers import KerberosError, MessageType
from isakmp.kink.payloads import APReply, APRequest, KerberosErrorPayload, Operation
from isakmp.numbers import NotifyType, PayloadType
from isakmp.paths import Datagram
from isakmp.testing import settle
from isakmp.wire.payload import Payload
from isakmp.wire.payloads import Delete, Nonce, Notification, SecurityAssociation
from tests.kink.ends import ALICE, BOB, HER, HIS, Ends, Lab, assert_agree, ends

CREATE, DELETE, REPLY = MessageType.CREATE, MessageType.DELETE, MessageType.REPLY


class WireTests(SynchronousTestCase):
    def key(self, pair: Ends) -> Any:
        """Of the ticket that Alice has for Bob."""
        return self.successResultOf(pair.a.kerberos.ticket(HER, HIS, 0.0)).key

    def inside(self, pair: Ends, kind: int, source: str) -> list[tuple[Payload, ...]]:
        """What stands in the KINK_ISAKMP payloads of such messages."""
        found = []
        for one in pair.wire:
            received = Received.decode(one.datagram.octets)
            if received.message.kind == kind and one.datagram.path.local[0] == source:
                for payload in opened(received, self.key(pair)):
                    if isinstance(payload, Operation):
                        self.assertEqual(payload.version, 0x10)
                        found.append(payload.payloads())
        return found

    def test_unknown_spi(self) -> None:
        """
        A DELETE of what the other end does not have is answered with INVALID-SPI, which names it.

        Proves: RFC 4430 section 3.3 (row 3.3-3)
        """
        pair = ends()
        pair.up()
        (mine,) = pair.a.bundles
        for bundle in pair.b.bundles:
            pair.b.node.registry.remove(bundle, Removal.SHUTDOWN)
            pair.b.sink.remove(bundle)
        del pair.wire[:]
        settle(pair.clock, pair.a.endpoint.delete([mine]))
        pair.wait(1)
        ((said,),) = self.inside(pair, REPLY, BOB)
        assert isinstance(said, Notification)
        self.assertEqual(said.kind, NotifyType.INVALID_SPI)
        self.assertEqual(said.spi, mine.inbound[0].key.spi)

    def test_create(self) -> None:
        """
        A CREATE holds the payloads of Quick Mode's first message, without a HASH, of the IPsec
        domain and the situation that names identities only, and none of phase 1; its answer the
        one choice, no longer than was offered, and a nonce when three messages are exchanged.

        Proves: RFC 4430 section 3.2 (row 3.2-2)
        Proves: RFC 4430 section 3.2 (row 3.2-8)
        Proves: RFC 4430 section 4.2.6 (row 4.2.6-4)
        Proves: RFC 4430 section 5 (row 5-2)
        Proves: RFC 4430 section 5 (row 5-3)
        Proves: RFC 4430 section 5 (row 5-4)
        """
        pair = ends(Lab(contribute=True, his_seconds=3000))
        pair.up()
        (asked,), (answered,) = (
            self.inside(pair, kind, source) for kind, source in ((CREATE, ALICE), (REPLY, BOB))
        )
        seconds = []
        for payloads in (asked, answered):
            self.assertEqual(
                [payload.number for payload in payloads],
                [PayloadType.SA, PayloadType.NONCE, PayloadType.ID, PayloadType.ID],
            )
            sa = payloads[0]
            assert isinstance(sa, SecurityAssociation)
            self.assertEqual((sa.doi, sa.body[:4]), (1, b"\0\0\0\1"))
            ((proposal,),) = (suite.proposals for suite in offer_of(ipsec, sa).suites)
            seconds.append(ipsec.terms(proposal).lifetime.seconds)
        self.assertEqual(seconds, [1200, 1200])
        self.assertIsInstance(answered[1], Nonce)

    def test_delete(self) -> None:
        """
        A DELETE names what its sender receives by, its reply what the other end did.

        Proves: RFC 4430 section 3.3 (row 3.3-2)
        """
        pair = ends()
        (hers,) = pair.up()
        (his,) = pair.b.bundles
        settle(pair.clock, pair.a.endpoint.delete([hers]))
        (asked,) = self.inside(pair, DELETE, ALICE)
        answered = self.inside(pair, REPLY, BOB)[-1]
        self.assertEqual(asked, (Delete(1, 3, (hers.inbound[0].key.spi,)),))
        self.assertEqual(answered, (Delete(1, 3, (his.inbound[0].key.spi,)),))

    def test_proofs(self) -> None:
        """
        Every message says in which epoch its sender is, and has a checksum by the session key of
        the ticket, over what is encrypted already; no initiator asks for an ACK.

        Proves: RFC 4430 section 3.7 (row 3.7-1)
        Proves: RFC 4430 section 4 (row 4-8)
        Proves: RFC 4430 section 4 (row 4-12)
        Proves: RFC 4430 section 4.2.7 (row 4.2.7-2)
        """
        pair = ends(Lab(contribute=True))
        pair.wait(3)
        pair.up()
        settle(pair.clock, pair.a.endpoint.delete(pair.a.bundles))
        epochs = {ALICE: pair.a.endpoint.epoch, BOB: pair.b.endpoint.epoch}
        key = self.key(pair)
        self.assertEqual(len(pair.wire), 5)
        for one in pair.wire:
            received = Received.decode(one.datagram.octets)
            source = one.datagram.path.local[0]
            proof = received.message.payloads[0]
            assert isinstance(proof, APRequest | APReply)
            self.assertEqual(proof.epoch, epochs[source])
            self.assertTrue(key.verify(received.covered, received.checksum))
            if source == ALICE:
                self.assertFalse(received.message.acknowledge)

    def test_transaction_ids(self) -> None:
        """
        An ID that is under way is not used for another transaction.

        Proves: RFC 4430 section 4 (row 4-7)
        """
        pair = ends(Lab(children=2))
        pair.network.cut = True
        pair.a.establish("net").addErrback(lambda _: None)
        xid = Header.decode(pair.wire[0].datagram.octets).xid
        numbers = iter([xid.to_bytes(4), xid.to_bytes(4), b"next"])
        commands = pair.a.endpoint.commands
        self.patch(
            commands, "_node", cast(Any, SimpleNamespace(entropy=lambda _: next(numbers)))
        )
        self.assertEqual(commands._xid(), int.from_bytes(b"next"))

    def change(self, pair: Ends, change: Any) -> None:
        """Have every reply of Bob's be another, sealed as he would."""
        key = self.key(pair)

        def tap(datagram: Datagram) -> list[Datagram] | None:
            if datagram.path.local[0] == ALICE:
                return None
            message = Received.decode(datagram.octets).message
            changed = replace(message, payloads=change(message.payloads))
            return [Datagram(changed.encode(key.checksum), datagram.path)]

        pair.network.taps.append(tap)

    def test_mutual(self) -> None:
        """
        The peer has to prove itself too: a reply without an AP-REP is none.

        Proves: RFC 4430 section 4.2.1 (row 4.2.1-1)
        """
        pair = ends()
        self.change(pair, lambda payloads: payloads[1:])
        self.assertRaises(ExchangeTimeout, settle, pair.clock, pair.a.establish())

    def test_fresh_reply(self) -> None:
        """
        Nor is one whose AP-REP is to an earlier request.

        Proves: RFC 4430 section 4.2.2 (row 4.2.2-1)
        """
        pair = ends(Lab(children=2))
        pair.up()
        old = Received.decode(pair.wire[1].datagram.octets).message.payloads[0]
        self.change(pair, lambda payloads: (old, *payloads[1:]))
        self.assertRaises(ExchangeTimeout, settle, pair.clock, pair.a.establish("net1"))

    def test_every_error(self) -> None:
        """
        Whatever error of Kerberos the peer proves to have, it ends the command, and is told.

        Proves: RFC 4430 section 4.2.3 (row 4.2.3-1)
        """
        for code in range(1, 128):
            if code in (KerberosError.REPEAT, KerberosError.SKEW):
                continue
            pair = ends()
            error = pair.a.kerberos.error(KerberosRefusal("no", code))
            self.change(pair, lambda _, error=error: (KerberosErrorPayload(error),))
            refusal = self.assertRaises(
                KerberosRefusal, settle, pair.clock, pair.a.establish()
            )
            self.assertEqual(refusal.code, code)


class PatienceTests(SynchronousTestCase):
    def test_no_status(self) -> None:
        """
        A peer that is never asked and never asks is not taken for dead.

        Proves: RFC 4430 section 3.7 (row 3.7-8)
        Proves: RFC 4430 section 3.7 (row 3.7-9)
        """
        pair = ends(Lab(her_seconds=500_000, his_seconds=500_000))
        pair.up()
        pair.wait(400_000)
        assert_agree(self, pair)
        self.assertEqual(len(pair.wire), 2)

    def test_icmp(self) -> None:
        """
        That what we sent did not arrive, says somebody by ICMP: nobody is taken for dead, and what
        is under way goes on.

        Proves: RFC 4430 section 3.7 (row 3.7-5)
        """
        pair = ends(Lab(children=2))

        def doubted(datagram: Datagram) -> None:
            end = pair.a if datagram.path.local[0] == ALICE else pair.b
            for octets in (datagram.octets, datagram.octets[:8]):
                report = replace(datagram, octets=octets)
                end.assembly.endpoint.undelivered(report, f"{BOB} says by ICMP: unreachable")

        pair.network.taps.append(doubted)
        pair.up()
        settle(pair.clock, pair.a.establish("net1"))
        pair.wait(100)
        assert_agree(self, pair, 2)
        for one in tuple(pair.wire):
            doubted(one.datagram)
        pair.wait(100)
        assert_agree(self, pair, 2)
        self.assertEqual(pair.a.removals + pair.b.removals, [])
        self.assertEqual(pair.a.failures + pair.b.failures, [])

    def test_soft_lifetime(self) -> None:
        """
        When an SA is renewed depends on chance.

        Proves: RFC 4430 section 3.6 (row 3.6-2)
        """
        pair = ends()
        connection = pair.a.connection()
        child = replace(
            connection.children[0], renewal=Renewal(600.0, 300.0), start=StartAction.START
        )
        connection = replace(connection, children=(child,))
        pair.a.assembly.configure([connection], [])
        pair.a.assembly.initiation.keep([connection])
        pair.wait(5_000)
        creates = [
            one.time
            for one in pair.wire
            if Header.decode(one.datagram.octets).kind == CREATE
        ]
        waits = [later - earlier for earlier, later in pairwise(creates)]
        self.assertGreater(len(waits), 5)
        self.assertTrue(all(299.0 < wait < 601.0 for wait in waits))
        self.assertEqual(len(set(waits)), len(waits))
        settle(pair.clock, pair.a.assembly.stop(), 0.0)
