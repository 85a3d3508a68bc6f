"""
The Commit bit of RFC 2408 section 3.1: a peer that sets it in Quick Mode is waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import SABundle
from isakmp.connections import Limits
from isakmp.errors import PeerRefused
from isakmp.events import MessageDropped, NotificationReceived
from isakmp.exchange.informational import AuthenticatedOnly, Informational
from isakmp.ike.protection import Phase2Protection
from isakmp.ike.sa import ISAKMPSA
from isakmp.numbers import DOI, ExchangeType, NotifyType, ProtocolID
from isakmp.paths import Datagram
from isakmp.testing import settle
from isakmp.wire.message import Flags, Header, Message
from isakmp.wire.payloads import Notification
from tests.nodes import Member, Settings, assert_clean, disagreements, pair, unfinished
from tests.properties.wiretap import Wiretap, flipped
from tests.samples import logged

INFORMATIONAL, QUICK = int(ExchangeType.INFORMATIONAL), int(ExchangeType.QUICK_MODE)
GRACE = Limits().grace
BLOCK = 16

CONNECTED = Notification(DOI.IPSEC, ProtocolID.ISAKMP, NotifyType.CONNECTED, b"", b"")
REFUSED = replace(CONNECTED, kind=int(NotifyType.INVALID_HASH_INFORMATION))


def committed(datagram: Datagram) -> Datagram:
    """The same with the bit."""
    octets = datagram.octets
    flags = bytes([octets[19] | Flags.COMMIT])
    return replace(datagram, octets=octets[:19] + flags + octets[20:])


class CommitTestCase(SynchronousTestCase):
    """
    Alice begins a child; one message of Quick Mode gets the bit on the way.

    :ivar result: what becomes of it at Alice's.
    """

    message = "Quick 2"

    def setUp(self) -> None:
        self.lost: list[str] = []
        self.passed: list[str] = []
        self.pair = pair(Settings(initial_contact=False))
        self.tap = Wiretap(self.pair.network, self.act)

    def act(self, name: str, datagram: Datagram) -> Iterable[Datagram] | None:
        self.passed.append(name)
        if name in self.lost:
            self.lost.remove(name)
            return []
        return [committed(datagram)] if name == self.message else None

    def begin(self) -> None:
        """Soon the three messages have passed."""
        self.result: Deferred[object] = self.pair.a.establish()
        self.pair.wait(0.2)

    @property
    def waits(self) -> bool:
        """Whether Alice waits: she receives by the new SA and does not send by it."""
        (bundle,) = self.pair.a.sink.standing.values()
        waiting = not bundle.outbound
        self.assertEqual(self.result.called, not waiting)
        self.assertEqual(self.pair.a.bundles == [], waiting)
        return waiting

    def sealed(
        self,
        *payloads: Notification,
        kind: int = INFORMATIONAL,
        sender: Member | None = None,
        number: int = 0,
        flags: int = 0,
    ) -> bytes:
        """What the SA of Bob proves, under the message id of the Quick Mode."""
        (sa,) = (sender or self.pair.b).sas
        assert isinstance(sa, ISAKMPSA)
        quick = self.tap.first["Quick 3"].octets
        number = number or Header.decode(quick).message_id
        protection = sa.protection(Informational(), number)
        if kind == QUICK:
            cipher = sa.keys.cipher
            protection = Phase2Protection(cipher, quick[-BLOCK:], sa, Informational(), number)
        return protection.seal(Message(sa.key, kind, flags, number, payloads))

    def inject(self, octets: bytes) -> None:
        """To Alice, as if from Bob."""
        self.pair.network.inject(Datagram(octets, self.pair.b.path_to(self.pair.a.address)))
        self.pair.wait(0.1)

    def finished(self) -> None:
        """Both have the same, whole, nothing failed, and in the end nothing is left."""
        both = self.pair
        self.successResultOf(self.result)
        self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual(both.a.failures + both.b.failures, [])
        both.wait(both.quiet)
        self.assertEqual(unfinished(both.a, both.b), [])
        both.a.endpoint.close()
        both.wait(both.quiet)
        assert_clean(self, both.a, both.b)


class InitiatorTests(CommitTestCase):
    def connected(self) -> list[NotificationReceived]:
        return self.pair.a.published(NotificationReceived)

    def test_waits(self) -> None:
        """
        If the responder has set the Commit bit, the initiator sends nothing by the new SA before
        it has said CONNECTED, in an Informational exchange with the message id of the Quick Mode.

        Proves: RFC 2408 section 3.1 (row 3.1-11)
        """
        self.begin()
        self.assertTrue(self.waits)
        self.pair.wait(GRACE - 0.5)
        self.assertTrue(self.waits)
        self.inject(self.sealed(CONNECTED))
        self.assertFalse(self.waits)
        self.assertEqual(
            [(e.kind, e.authenticated) for e in self.connected()], [(NotifyType.CONNECTED, True)]
        )
        self.finished()

    def test_without(self) -> None:
        """Without the bit nothing is waited for."""
        self.message = ""
        self.begin()
        self.assertFalse(self.waits)
        self.finished()

    def test_put_to_zero(self) -> None:
        """
        CONNECTED puts the bit to zero: nothing more is waited for, and a second comes to nothing.

        Proves: RFC 2408 section 3.1 (row 3.1-11)
        """
        self.begin()
        (exchange,) = self.pair.a.endpoint.running()
        self.assertTrue(exchange.committed)
        said = self.sealed(CONNECTED)
        self.inject(said)
        commit = exchange.conversation.commit
        assert commit is not None
        self.assertEqual((commit.set, commit.waiting, exchange.committed), (False, False, False))
        self.inject(said)
        self.assertEqual(len(self.connected()), 1)
        self.finished()

    def test_own_message_id(self) -> None:
        """CONNECTED under a message id of its own counts too, encrypted or only authenticated."""
        for order in ((CONNECTED,), AuthenticatedOnly((CONNECTED,))):
            self.setUp()
            self.begin()
            self.assertTrue(self.waits)
            self.pair.b.endpoint.begin(self.pair.b.sas[0], INFORMATIONAL, order)
            self.pair.wait(0.1)
            self.assertFalse(self.waits)
            self.finished()

    def test_fourth_message(self) -> None:
        """CONNECTED as a fourth message of Quick Mode, the form in racoon's source, counts too."""
        self.begin()
        self.assertTrue(self.waits)
        self.inject(self.sealed(CONNECTED, kind=QUICK))
        self.assertFalse(self.waits)
        self.finished()

    def test_grace(self) -> None:
        """
        A bit that nobody means, because somebody has changed it on the way, or whose CONNECTED
        never comes, costs the time of grace and one repeated message; the log says so.
        """
        lines = logged(self)
        self.begin()
        self.pair.wait(GRACE - 0.3)
        self.assertTrue(self.waits)
        self.pair.wait(0.2)
        self.assertFalse(self.waits)
        self.assertEqual(self.passed.count("Quick 3"), 2)
        texts = [formatEvent(line) for line in lines]
        (line,) = [text for text in texts if "did not say CONNECTED" in text]
        self.assertIn("192.0.2.2:500: the peer set the Commit bit", line)
        self.assertIn("within 2.0 s", line)
        self.finished()

    def test_forged(self) -> None:
        """
        CONNECTED that nothing proves is none: changed anywhere, in clear text, sealed for another
        exchange, or of an SA that is not ours.
        """
        self.begin()
        real = self.sealed(CONNECTED)
        (sa,) = self.pair.b.sas
        number = Header.decode(real).message_id
        clear = Message(sa.key, INFORMATIONAL, 0, number, (CONNECTED,)).encode()
        forged = [flipped(real, bit) for bit in range(8 * 28, 8 * len(real))]
        forged += [clear, clear[:19] + b"\1" + clear[20:], clear[:20] + bytes(4) + clear[24:]]
        other = self.sealed(CONNECTED, number=number ^ 1)
        forged.append(other[:20] + number.to_bytes(4, "big") + other[24:])
        forged.append(real[:18] + bytes([QUICK]) + real[19:])
        for octets in forged:
            self.pair.network.inject(
                Datagram(octets, self.pair.b.path_to(self.pair.a.address))
            )
        self.pair.wait(0.1)
        self.assertTrue(self.waits)
        self.assertEqual([e for e in self.connected() if e.authenticated], [])
        self.assertGreaterEqual(len(self.pair.a.published(MessageDropped)), len(forged) - 1)
        self.inject(real)
        self.assertFalse(self.waits)
        self.finished()

    def test_nothing_else(self) -> None:
        """Under the message id of the Quick Mode nothing but CONNECTED is heeded."""
        self.begin()
        status = replace(CONNECTED, kind=40_000)
        for kind in (INFORMATIONAL, QUICK):
            self.inject(self.sealed(status, kind=kind))
            self.inject(self.sealed(kind=kind))
        self.inject(self.sealed(CONNECTED, kind=2))
        self.assertTrue(self.waits)
        self.assertEqual(len(self.pair.a.published(MessageDropped)), 5)
        self.pair.wait(GRACE)
        self.finished()

    def test_reflected(self) -> None:
        """Our own words, sent back, are no CONNECTED."""
        self.begin()
        for name in ("Quick 1", "Quick 2", "Quick 3"):
            self.inject(self.tap.first[name].octets)
        self.assertTrue(self.waits)
        self.pair.wait(GRACE)
        self.finished()

    def test_lost(self) -> None:
        """
        If CONNECTED is lost, our last message is repeated halfway, and its answer is CONNECTED
        again.

        Proves: RFC 2408 section 3.1
        """
        self.begin()
        said: list[bytes] = []

        def answer(datagram: Datagram) -> None:
            if datagram.octets == self.tap.first["Quick 3"].octets:
                said.append(self.sealed(CONNECTED))
                self.pair.network.inject(
                    Datagram(said[-1], self.pair.b.path_to(self.pair.a.address))
                )

        self.pair.network.taps.append(answer)
        self.pair.wait(GRACE / 2 - 0.3)
        self.assertEqual((said, self.waits), ([], True))
        self.pair.wait(0.3)
        self.assertEqual((len(said), self.waits), (1, False))
        self.finished()

    def test_last_message_is_lost(self) -> None:
        """If our last message is lost, the responder repeats its own and has ours again."""
        self.lost = ["Quick 3", "Quick 3"]
        self.begin()
        self.assertTrue(self.waits)
        self.pair.wait(GRACE / 2)
        self.assertTrue(self.waits)
        self.assertEqual((self.lost, self.passed.count("Quick 2")), ([], 2))
        self.inject(self.sealed(CONNECTED))
        self.pair.wait(2.0)
        self.finished()

    def test_refused(self) -> None:
        """An error that the peer says instead, proven, is final; nothing stays, and it is told."""
        self.begin()
        self.assertTrue(self.waits)
        both = self.pair
        both.b.endpoint.begin(both.b.sas[0], INFORMATIONAL, (REFUSED,))
        both.wait(0.5)
        self.failureResultOf(self.result, PeerRefused)
        for member in (both.a, both.b):
            self.assertEqual((member.bundles, dict(member.sink.standing)), ([], {}))
            self.assertEqual(member.sink.reserved, frozenset())

    def test_stopped(self) -> None:
        """A node that stops while it waits leaves nothing."""
        self.begin()
        self.assertTrue(self.waits)
        self.result.addErrback(lambda failure: None)
        both = self.pair
        both.a.endpoint.close()
        both.wait(both.quiet)
        assert_clean(self, both.a, both.b)

    def test_sink_fails(self) -> None:
        """If the sink does not take what we send by, both ends have nothing of it."""
        self.begin()

        def refuse(bundle: SABundle) -> None:
            raise ValueError("no room")

        self.pair.a.sink.refuse = refuse
        self.inject(self.sealed(CONNECTED))
        self.failureResultOf(self.result)
        self.flushLoggedErrors(ValueError)
        self.pair.wait(0.5)
        for member in (self.pair.a, self.pair.b):
            self.assertEqual((member.bundles, dict(member.sink.standing)), ([], {}))

    def test_second_child(self) -> None:
        """CONNECTED of one Quick Mode is not that of another."""
        self.pair = pair(Settings(initial_contact=False, children=2))
        self.tap = Wiretap(self.pair.network, self.act)
        self.begin()
        first = self.sealed(CONNECTED)
        self.inject(first)
        self.successResultOf(self.result)
        second = self.pair.a.establish("net1")
        self.pair.wait(0.2)
        self.inject(first)
        self.assertNoResult(second)
        settle(self.pair.clock, second, GRACE)
        self.pair.wait(0.5)
        self.assertEqual(disagreements(self.pair.a, self.pair.b), [])


class ResponderTests(CommitTestCase):
    """The initiator may set the bit as well, in whichever of its messages."""

    message = "Quick 1"

    def said(self, change: Callable[[bytes], bytes] = lambda octets: octets) -> None:
        """Alice says CONNECTED."""
        octets = change(self.sealed(CONNECTED, sender=self.pair.a))
        self.pair.network.inject(Datagram(octets, self.pair.a.path_to(self.pair.b.address)))
        self.pair.wait(0.1)

    @property
    def sending(self) -> bool:
        """Whether Bob sends by the new SA."""
        (bundle,) = self.pair.b.sink.standing.values()
        self.assertEqual(bool(bundle.outbound), bool(self.pair.b.bundles))
        return bool(bundle.outbound)

    def test_waits(self) -> None:
        """
        If the initiator has set it, the responder sends nothing by the new SA before CONNECTED.

        Proves: RFC 2408 section 3.1 (row 3.1-11)
        """
        for self.message in ("Quick 1", "Quick 3"):
            self.pair = pair(Settings(initial_contact=False))
            self.tap = Wiretap(self.pair.network, self.act)
            self.begin()
            self.assertFalse(self.sending)
            self.said(lambda octets: flipped(octets, 8 * len(octets) - 1))
            self.assertFalse(self.sending)
            self.said()
            self.assertTrue(self.sending)
            self.finished()

    def test_grace(self) -> None:
        """It is gone on without, after the time of grace, and nothing more is said."""
        self.begin()
        self.pair.wait(GRACE - 0.3)
        self.assertFalse(self.sending)
        self.pair.wait(0.3)
        self.assertTrue(self.sending)
        self.assertEqual([self.passed.count(f"Quick {number}") for number in (1, 2, 3)], [1, 1, 1])
        self.finished()

    def test_early(self) -> None:
        """CONNECTED that overtakes the initiator's last message counts."""
        self.lost = ["Quick 3"]
        self.begin()
        self.said()
        self.assertFalse(self.sending)
        self.pair.wait(1.5)
        self.assertTrue(self.sending)
        self.finished()

    def test_not_for_others(self) -> None:
        """
        Where no bit is set, an Informational exchange with the message id of a Quick Mode is
        dropped: it is of another exchange type.
        """
        self.message = ""
        self.lost = ["Quick 3"]
        self.begin()
        self.said()
        (dropped,) = self.pair.b.published(MessageDropped)
        self.assertEqual(dropped.error.event, "INVALID EXCHANGE TYPE")
        self.pair.wait(1.5)
        self.assertTrue(self.sending)
        self.finished()


class Phase1Tests(CommitTestCase):
    def test_phase_1(self) -> None:
        """In phase 1 the bit changes nothing, and what follows does not have it."""
        for self.message in ("Main 2", "Main 5", "Main 6"):
            self.pair = pair(Settings(initial_contact=False))
            self.tap = Wiretap(self.pair.network, self.act)
            self.begin()
            self.assertFalse(self.waits)
            self.finished()
