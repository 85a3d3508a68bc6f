"""
Where a datagram goes, and what becomes of one that belongs nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.connections import Limits
from isakmp.errors import (
    InvalidCookie,
    InvalidFlags,
    InvalidHashValue,
    InvalidMessageID,
    InvalidMinorVersion,
    LimitReached,
    PeerError,
    UnequalPayloadLengths,
)
from isakmp.events import ExchangeFailed, MessageDropped
from isakmp.numbers import ExchangeType, NotifyType
from isakmp.paths import Datagram
from isakmp.testing import settle
from isakmp.wire.message import Flags, Header, Message
from isakmp.wire.payloads import Notification, SecurityAssociation, VendorID
from tests.nodes import BOB, MALLORY, Pair, Settings, assert_clean, disagreements, pair, unfinished
from tests.properties.wiretap import Wiretap, flipped, lose, seen_from

INFORMATIONAL = int(ExchangeType.INFORMATIONAL)


class Doors(SynchronousTestCase):
    def arrive(self, both: Pair, octets: bytes) -> list[bytes]:
        """Something arrives at Bob, as if from Alice; what he sends because of that."""
        before = len(both.sent_by(both.b))
        both.network.inject(Datagram(octets, both.a.path_to(BOB)))
        both.wait(0.015)
        return both.sent_by(both.b)[before:]

    def error(self, both: Pair) -> PeerError:
        """Why Bob has dropped what he dropped last."""
        return both.b.published(MessageDropped)[-1].error

    def recorded(self) -> tuple[Pair, dict[str, bytes]]:
        """A pair that has a child, and the messages by which it came up."""
        both = pair()
        tap = Wiretap(both.network)
        both.up()
        return both, {name: datagram.octets for name, datagram in tap.first.items()}


class HeaderTests(Doors):
    """RFC 2408 section 5.2, in the words of its list."""

    def test_initiators_cookie(self) -> None:
        """An initiator's cookie of zero is nobody's."""
        both, real = self.recorded()
        for name in ("Main 1", "Main 3", "Quick 1"):
            self.arrive(both, bytes(8) + real[name][8:])
            self.assertIsInstance(self.error(both), InvalidCookie)

    def test_minor_version(self) -> None:
        """
        A minor version later than ours is not accepted, and its sender is told so.

        Proves: RFC 2408 section 3.1 (row 3.1-6)
        Proves: RFC 2408 section 5.2 (row 5.2-4)
        """
        both, real = self.recorded()
        for name in ("Main 1", "Quick 1"):
            (answer,) = self.arrive(both, real[name][:17] + b"\x11" + real[name][18:])
            self.assertIsInstance(self.error(both), InvalidMinorVersion)
            told = Message.decode(answer).one(Notification)
            self.assertEqual(told.kind, NotifyType.INVALID_MINOR_VERSION)

    def test_length(self) -> None:
        """
        A message of another length than its header says is dropped, and the event says why.

        Proves: RFC 2408 section 5.1 (row 5.1-3)
        """
        both, real = self.recorded()
        for name in ("Main 1", "Main 5", "Quick 1"):
            for octets in (real[name][:-1], real[name] + b"\0", real[name][:28]):
                self.arrive(both, octets)
                self.assertIsInstance(self.error(both), UnequalPayloadLengths)
        self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual(unfinished(both.b), [])

    def test_flags(self) -> None:
        """
        Flags that have no meaning, and authentication without encryption, which nothing here has:
        the message is discarded.

        Proves: RFC 2408 section 5.2 (row 5.2-6)
        """
        both, real = self.recorded()
        for name in ("Main 1", "Main 5", "Quick 1"):
            for flag in (0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFC):
                flags = real[name][19] | flag
                octets = real[name][:19] + bytes([flags]) + real[name][20:]
                self.assertEqual(self.arrive(both, octets), [])
                self.assertIsInstance(self.error(both), InvalidFlags)

    def test_commit(self) -> None:
        """The Commit bit, which some peers set, is no reason to refuse a message."""
        both = pair()

        def act(name: str, datagram: Datagram) -> list[Datagram] | None:
            if name in ("Quick 1", "Quick 2"):
                octets = bytearray(datagram.octets)
                octets[19] |= Flags.COMMIT
                return [Datagram(bytes(octets), datagram.path)]
            return None

        Wiretap(both.network, act)
        both.up()
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_message_id_of_phase_1(self) -> None:
        """
        A sealed Informational exchange with message id zero belongs neither to the phase 1 that
        runs nor to the SA that stands.

        Proves: RFC 2408 section 5.2 (row 5.2-7)
        """
        both = pair()
        tap = lose(both, "Main 5")
        both.a.establish().addErrback(lambda failure: None)
        both.wait(0.05)
        sealed = bytearray(tap.first["Main 5"].octets)
        sealed[18] = INFORMATIONAL
        self.assertEqual(self.arrive(both, bytes(sealed)), [])
        self.assertIsInstance(self.error(both), InvalidMessageID)
        tap.remove()
        both.wait(3.0)
        self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual(self.arrive(both, bytes(sealed)), [])
        self.assertIsInstance(self.error(both), InvalidMessageID)

    def test_clear_text_under_an_sa(self) -> None:
        """
        Quick Mode in clear text under an SA is not listened to, nor answered.

        Proves: RFC 2409 section 5.5 (row 5.5-1)
        """
        both, real = self.recorded()
        for name in ("Quick 1", "Quick 3"):
            clear = real[name][:19] + b"\0" + real[name][20:]
            fresh = clear[:20] + b"\0\0\0\x09" + clear[24:]
            for octets in (clear, fresh):
                self.assertEqual(self.arrive(both, octets), [])
                self.assertIsInstance(self.error(both), InvalidFlags)


class InformationalTests(Doors):
    def variants(self, real: dict[str, bytes]) -> Iterator[bytes]:
        """Informational exchanges of all sorts, with cookies that are known, half known or not."""
        for name in ("Main 1", "Main 3", "Main 6", "Quick 1"):
            octets = bytearray(real[name])
            octets[18] = INFORMATIONAL
            for version in (0x10, 0x11, 0x20, 0x00):
                for flags in (0, 1, 2, 4, 0x81):
                    for number in (0, 5, int.from_bytes(real["Quick 1"][20:24], "big")):
                        octets[17], octets[19] = version, flags
                        octets[20:24] = number.to_bytes(4, "big")
                        yield bytes(octets)
                        yield bytes(octets[:8]) + b"somebody" + bytes(octets[16:])
                        yield bytes(8) + bytes(octets[8:])

    def test_never_answered(self) -> None:
        """
        Whatever it is, an Informational exchange is not answered: not while phase 1 runs, not under
        an SA, not when nothing is left.

        Proves: RFC 2408 section 4.8
        """
        both, real = self.recorded()
        for octets in self.variants(real):
            self.assertEqual(self.arrive(both, octets), [], octets[16:28].hex())
        both.a.endpoint.close()
        both.wait(1.0)
        for octets in self.variants(real):
            self.assertEqual(self.arrive(both, octets), [], octets[16:28].hex())
        assert_clean(self, both.a, both.b)

    def test_while_phase_1_runs(self) -> None:
        """
        Not while phase 1 runs either, which goes on.

        Proves: RFC 2408 section 4.8
        """
        both = pair()
        tap = lose(both, "Main 5")
        both.a.establish().addErrback(lambda failure: None)
        both.wait(0.05)
        real = {name: datagram.octets for name, datagram in tap.first.items()}
        real["Main 6"] = real["Quick 1"] = real["Main 5"]
        quiet = [octets for octets in self.variants(real) if octets[19] & 1]
        for octets in quiet:
            self.assertEqual(self.arrive(both, octets), [], octets[16:28].hex())
        tap.remove()
        both.wait(3.0)
        self.assertEqual(disagreements(both.a, both.b), [])


class StrangerTests(Doors):
    def test_other_address(self) -> None:
        """
        The responder's cookie proves an address only if it comes back from there.

        Proves: RFC 2408 section 2.5.3 (row 2.5.3-1)
        """
        both = pair(bobs=lambda connection: replace(connection, remote=()))
        tap = lose(both, "Main 3")
        both.a.establish().addErrback(lambda failure: None)
        both.wait(0.05)
        third = tap.first["Main 3"]
        for stolen in (seen_from(third, MALLORY), seen_from(third, both.a.address, 501)):
            both.network.inject(stolen)
            both.wait(0.01)
            self.assertIn("another address", str(self.error(both)))
            self.assertEqual(len(both.b.endpoint.running()), 0)
        tap.remove()
        both.wait(2.0)
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_nothing_runs_before_the_cookie(self) -> None:
        """
        Before the cookie has come back no exchange runs, no key is made, and nothing but message 1
        and its answer is kept.

        Proves: RFC 2408 section 2.5.3 (row 2.5.3-3)
        """
        both = pair()
        lose(both, "Main 2")
        both.a.establish().addErrback(lambda failure: None)
        both.wait(0.05)
        self.assertEqual(len(both.b.demultiplexer.half_open), 1)
        found = len(both.b.demultiplexer.conversations), len(both.b.endpoint.running())
        self.assertEqual(found, (0, 0))
        (first,) = both.b.demultiplexer.half_open
        self.assertEqual(first.first.octets, both.sent_by(both.a)[0])
        self.assertEqual(both.b.published(ExchangeFailed), [])

    def test_no_longer_than_the_question(self) -> None:
        """
        The answer to a first message is never longer than it: what is optional is left out.
        """
        both, real = self.recorded()
        first = Message.decode(real["Main 1"])
        for size in (None, 0, 15, 16, 17, 100):
            vendor_ids = () if size is None else (VendorID(bytes(size)),)
            payloads = (first.one(SecurityAssociation), *vendor_ids)
            octets = first.with_payloads(payloads).encode()
            (answer,) = self.arrive(both, octets)
            self.assertLessEqual(len(answer), len(octets), size)
            said = Message.decode(answer)
            self.assertEqual(said.has(VendorID), (size or 0) >= 16)
            self.assertTrue(said.has(SecurityAssociation))

    def test_counted_once(self) -> None:
        """
        An exchange with a stranger counts against the bounds until it has authenticated, and what
        was counted is taken back however it ends.
        """
        both = pair()
        lose(both, "Main 5")
        both.a.establish().addErrback(lambda failure: None)
        both.wait(0.05)
        conversations = both.b.demultiplexer.conversations
        self.assertEqual((conversations.unproven.total(), len(conversations.strangers)), (1, 1))
        both.wait(both.quiet)
        self.assertEqual((conversations.unproven, conversations.strangers), ({}, {}))

        both = pair()
        tap = lose(both, "Quick 1")
        both.a.establish()
        both.wait(0.1)
        conversations = both.b.demultiplexer.conversations
        self.assertEqual((len(both.b.sas), len(conversations)), (1, 1))  # it lingers
        self.assertEqual((conversations.unproven, conversations.strangers), ({}, {}))
        tap.remove()
        both.wait(3.0)
        self.assertEqual(len(both.b.bundles), 1)
        self.assertEqual((conversations.unproven, conversations.strangers), ({}, {}))
        self.assertEqual(conversations.answering, {})


class UnderAnSATests(Doors):
    def test_exchanges_per_sa(self) -> None:
        """
        A peer has at most ``exchanges_per_sa`` exchanges running here under one SA; another is not
        begun until one of them has ended.
        """
        both = pair(Settings(children=1, limits=Limits(exchanges_per_sa=3)))
        both.up()
        tap = lose(both, "Quick 3")
        for _ in range(5):
            both.a.establish().addErrback(lambda failure: None)
        both.wait(0.1)
        self.assertEqual(len(both.b.endpoint.running()), 3)
        self.assertEqual(both.b.demultiplexer.conversations.answering.total(), 3)
        self.assertIsInstance(self.error(both), LimitReached)
        tap.remove()
        both.wait(10.0)
        self.assertEqual(len(both.b.bundles), 6)
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_unproven_in_a_running_exchange(self) -> None:
        """
        What comes to an exchange that runs under an SA and is not proven is answered by nobody,
        neither in clear text, which anybody could have asked for, nor under the SA.

        Proves: RFC 2408 section 5
        """
        both = pair()
        tap = lose(both, "Quick 3")
        both.a.establish().addErrback(lambda failure: None)
        both.wait(0.1)
        real = tap.first["Quick 3"].octets
        kinds = set()
        for bit in range(8 * 28, 8 * len(real), 5):
            said = self.arrive(both, flipped(real, bit))
            # Its message 2 it repeats by the clock.
            self.assertEqual([o for o in said if o[18] != ExchangeType.QUICK_MODE], [], bit)
            kinds.add(type(self.error(both)))
        self.assertIn(InvalidHashValue, kinds)
        tap.remove()
        both.wait(3.0)
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_end_of_lingering(self) -> None:
        """
        The last message of phase 1 is kept for repeating until the peer uses the SA, of Quick Mode
        for ``Intervals.total``, and neither longer than its ISAKMP SA stands.
        """
        both, _ = self.recorded()
        self.assertEqual(len(both.b.demultiplexer.conversations), 0)
        self.assertEqual(len(both.a.demultiplexer.conversations), 1)
        both.wait(both.settings.intervals.total)
        self.assertEqual(unfinished(both.a, both.b), [])
        settle(both.clock, both.a.establish())
        self.assertEqual(len(both.a.demultiplexer.conversations), 1)
        both.a.endpoint.delete(both.a.sas)
        self.assertEqual(unfinished(both.a), [])

    def test_quick_mode_is_no_phase_1(self) -> None:
        """
        Quick Mode begins nothing where there is no SA: neither as a first message, in clear text or
        sealed, nor in the middle of Main Mode.

        Proves: RFC 2409 section 4 (row 4-2)
        """
        both, real = self.recorded()
        stranger = b"somebody" + bytes(8)
        main_3 = b"somebody" + real["Main 3"][8:]
        for octets in (
            stranger + real["Main 1"][16:18] + b"\x20" + real["Main 1"][19:],
            main_3[:18] + b"\x20" + main_3[19:],
            stranger + real["Quick 1"][16:],
            b"somebody" + real["Quick 1"][8:],
        ):
            for answer in self.arrive(both, octets):
                self.assertEqual(Header.decode(answer).exchange_type, INFORMATIONAL)
            self.assertEqual(unfinished(both.b), [])
        self.assertEqual(len(both.b.sas), 1)

    def test_exchange_types(self) -> None:
        """An exchange type that nobody runs, under an SA or as the first message, is not answered
        with more than a notification, and begins nothing.

        Proves: RFC 2408 section 5.2 (row 5.2-5)
        """
        both, real = self.recorded()
        for name in ("Main 1", "Quick 1"):
            for kind in (0, 1, 3, 4, 6, 31, 33, 34, 255):
                octets = bytearray(real[name])
                octets[18] = kind
                octets[0] ^= name == "Main 1"
                for answer in self.arrive(both, bytes(octets)):
                    self.assertEqual(Header.decode(answer).exchange_type, INFORMATIONAL)
                    self.assertEqual(Header.decode(answer).flags, 0)
                self.assertEqual(unfinished(both.b), [], kind)
