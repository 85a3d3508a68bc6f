"""
Real messages that come again: later, from elsewhere, or back to whoever sent them.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from isakmp.events import MessageDropped, NotificationReceived
from isakmp.exchange.demultiplexer import Demultiplexer
from isakmp.numbers import ExchangeType
from isakmp.paths import Datagram
from isakmp.registry import SARegistry
from isakmp.testing import settle
from isakmp.wire.message import Flags, Header
from tests.nodes import MALLORY, Member, Pair, assert_clean, disagreements, pair, unfinished
from tests.properties.wiretap import (
    MAIN,
    MESSAGES,
    Wiretap,
    lose,
    race,
    reflected,
    replace_with,
    seen_from,
)


def state(member: Member) -> tuple[object, ...]:
    """What a node has, has installed, and has used up."""
    registry = member.registry
    assert isinstance(registry, SARegistry)
    used = {sa.key: frozenset(registry._entries[sa.key].used) for sa in member.sas}
    return list(registry), dict(member.sink.standing), used


def replay(both: Pair, datagram: Datagram) -> list[bytes]:
    """Deliver it once more, and say what its receiver sent because of that."""
    before = len(both.wire)
    both.network.inject(datagram)
    both.wait(0.5)
    sent = [transmission.datagram for transmission in both.wire[before:]]
    return [one.octets for one in sent if one.path.local == datagram.path.remote]


class ReplayTests(SynchronousTestCase):
    def up(self) -> tuple[Pair, Wiretap]:
        both = pair()
        tap = Wiretap(both.network)
        both.up()
        return both, tap

    def test_each(self) -> None:
        """
        Every message of an exchange that is over, delivered again, changes nothing at either end:
        no SA, no message id, no exchange that runs.  It gets one answer at most, from memory.
        """
        both, tap = self.up()
        known = {transmission.datagram.octets for transmission in both.wire}
        for seconds in (0.0, both.settings.intervals.total + 1.0):
            both.wait(seconds)
            before = state(both.a), state(both.b)
            running = unfinished(both.a, both.b)
            for name in MESSAGES:
                answers = replay(both, tap.first[name])
                self.assertLessEqual(len(answers), 1, name)
                self.assertEqual((state(both.a), state(both.b)), before, name)
                if name == "Main 1":
                    continue  # a stranger's is answered, if it is no late copy: see below
                self.assertEqual(set(answers) - known, set(), name)
                if name != "Quick 2" or seconds:
                    # Only Alice, while she lingers, has something to say again.
                    self.assertEqual(answers, [], name)
            both.wait(both.settings.limits.half_open_seconds + 1.0)
            self.assertLessEqual(len(unfinished(both.a, both.b)), len(running))
            self.assertEqual((state(both.a), state(both.b)), before)

    def test_first_of_main_mode(self) -> None:
        """
        Message 1 that comes late, when its SA stands: while its cookie is good it is not even
        answered, later it is a stranger's, and is forgotten in ``half_open_seconds``.
        """
        both, tap = self.up()
        before = state(both.b)
        self.assertEqual(replay(both, tap.first["Main 1"]), [])
        self.assertEqual(len(both.b.demultiplexer.half_open), 0)
        both.wait(61.0)
        (answer,) = replay(both, tap.first["Main 1"])
        self.assertNotIn(answer, [tap.first[name].octets for name in MAIN])
        self.assertLessEqual(len(answer), len(tap.first["Main 1"].octets))
        self.assertEqual(len(both.b.demultiplexer.half_open), 1)
        both.wait(both.settings.limits.half_open_seconds + 0.1)
        self.assertEqual(len(both.b.demultiplexer.half_open), 0)
        self.assertEqual(state(both.b), before)
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_fifth_of_main_mode(self) -> None:
        """
        Message 5 is answered again for as long as the peer may not have the answer: not any more
        once it has used the SA.
        """
        both = pair()
        tap = lose(both, "Quick 1")
        both.a.establish().addErrback(lambda failure: None)
        both.wait(0.5)
        self.assertEqual(replay(both, tap.first["Main 5"]), [tap.first["Main 6"].octets])
        tap.remove()
        both.wait(1.0)
        self.assertEqual(len(both.b.bundles), 1)
        before = state(both.b)
        self.assertEqual(replay(both, tap.first["Main 5"]), [])
        self.assertEqual(state(both.b), before)

    def test_first_of_quick_mode(self) -> None:
        """
        Quick Mode's first message again, from the same address or from another, at once or an hour
        later: it is proven and still refused, because its message id was used.

        Proves: RFC 2408 section 5.2 (row 5.2-7)
        """
        both, tap = self.up()
        first = tap.first["Quick 1"]
        before = state(both.b)
        for seconds in (0.0, 100.0, 900.0):
            both.wait(seconds)
            for again in (first, seen_from(first, MALLORY), seen_from(first, both.a.address, 4500)):
                self.assertEqual(replay(both, again), [])
                self.assertIn("message id", str(both.b.published(MessageDropped)[-1].error))
                self.assertEqual(state(both.b), before)
                self.assertEqual(unfinished(both.b), [])

    def test_while_it_runs(self) -> None:
        """
        While Bob waits for the third message, the first from elsewhere does not move his answer
        there: it is sent again to where the real one came from, one for one.
        """
        both = pair()
        tap = lose(both, "Quick 3")
        settle(both.clock, both.a.establish())
        before = len(both.wire)
        both.network.inject(seen_from(tap.first["Quick 1"], MALLORY))
        both.wait(0.1)
        answer = both.wire[before]
        self.assertEqual(answer.datagram.octets, tap.first["Quick 2"].octets)
        self.assertEqual(answer.datagram.path.remote[0], both.a.address)

    def test_delete(self) -> None:
        """
        A Delete that comes again deletes nothing more: not the child that has been made since, nor,
        when its ISAKMP SA is gone, anything, and then it is not answered.
        """
        both, tap = self.up()
        both.a.endpoint.delete(both.a.bundles)
        both.wait(1.0)
        both.up()
        before = state(both.b)
        real = tap.first["Informational"]
        self.assertEqual(replay(both, real), [])
        self.assertEqual(replay(both, seen_from(real, MALLORY)), [])
        self.assertEqual(state(both.b), before)
        both.a.endpoint.close()
        both.wait(1.0)
        self.assertEqual(replay(both, real), [])
        assert_clean(self, both.a, both.b)

    def test_after_all(self) -> None:
        """
        When nothing stands any more, old messages begin nothing: the answer to those that a peer
        with a stale SA could send is INVALID-COOKIE, which Alice does not heed.

        Proves: RFC 2408 section 5.2
        """
        both, tap = self.up()
        both.a.endpoint.delete(both.a.sas)
        both.wait(61.0)
        assert_clean(self, both.a, both.b)
        for name in MESSAGES[1:]:
            (answer,) = replay(both, tap.first[name])
            header = Header.decode(answer)
            self.assertEqual(header.exchange_type, ExchangeType.INFORMATIONAL, name)
            self.assertFalse(header.flags & Flags.ENCRYPTION)
            assert_clean(self, both.a, both.b)
        self.assertEqual(both.a.published(NotificationReceived), [])

    def test_from_elsewhere(self) -> None:
        """All of them from an address that no connection names: nothing is sent there."""
        both, tap = self.up()
        before = state(both.b)
        for name in MESSAGES:
            replay(both, seen_from(tap.first[name], MALLORY))
        sent = [one.datagram for one in both.wire if one.datagram.path.remote[0] == MALLORY]
        self.assertEqual(sent, [])
        self.assertEqual(state(both.b), before)


class ReflectionTests(SynchronousTestCase):
    """What a node sends comes back to it, as if its peer had said it."""

    def test_each(self) -> None:
        """Whatever comes back first, the real answer is taken, and the same SAs come up."""
        for name in MESSAGES:
            both = pair()
            race(both, lambda datagram: [reflected(datagram)], name)
            both.up()
            self.assertEqual(disagreements(both.a, both.b), [], name)
            self.assertEqual(len(both.b.bundles), 1, name)

    def test_nothing_else(self) -> None:
        """
        A node that hears nothing but itself agrees with nobody, and says that nobody answered.
        """
        both = pair()
        replace_with(both, "Main 1", lambda datagram: [reflected(datagram)])
        both.a.establish().addErrback(lambda failure: None)
        both.wait(both.quiet)
        (failure,) = both.a.failures
        self.assertIn("no answer from 192.0.2.2:500", str(failure))
        self.assertEqual(both.a.registry.by_connection("lab"), ())
        assert_clean(self, both.a, both.b)

    def test_without_the_responders_cookie(self) -> None:
        """
        An answer that repeats the initiator's proposal and leaves the responder's cookie zero is
        not one: without it the exchange has no name.

        Proves: RFC 2408 section 5.2
        """
        both = pair()

        def forge(datagram: Datagram) -> list[Datagram]:
            octets = datagram.octets
            # Another vendor ID, or it would be just what she has said herself.
            changed = octets[:8] + bytes(8) + octets[16:-1] + bytes([octets[-1] ^ 1])
            return [Datagram(changed, datagram.path)]

        race(both, forge, "Main 2")
        both.up()
        self.assertIn("cookie", str(both.a.published(MessageDropped)[0].error))
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_delete(self) -> None:
        """A Delete of ours that comes back to us deletes nothing here, later or at once."""
        both, tap = ReplayTests.up(self)  # type: ignore[arg-type]
        both.up()
        mine = both.a.bundles
        both.a.endpoint.delete(mine[:1])
        both.wait(0.5)
        before = state(both.a)
        self.assertEqual(replay(both, reflected(tap.first["Informational"])), [])
        self.assertEqual(state(both.a), before)
        self.assertEqual(both.a.bundles, mine[1:])


class DemultiplexerTests(SynchronousTestCase):
    def test_cookie_of_the_window(self) -> None:
        """
        A repeated first message that arrives when its cookie is a new one gets another answer; the
        initiator does not take that one, and does not tell the responder that anything is wrong.
        """
        both = pair()
        both.wait(59.985)
        results: list[object] = []
        both.a.establish().addBoth(results.append)
        first = both.wire[0].datagram
        both.wait(0.0301)
        both.network.inject(first)
        both.wait(1.0)
        self.assertEqual(len(results), 1)
        self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual(both.b.published(NotificationReceived), [])
        door: Demultiplexer = both.b.demultiplexer
        self.assertEqual(len(door.half_open), 1)
        both.wait(both.settings.limits.half_open_seconds)
        self.assertEqual(len(door.half_open), 0)
