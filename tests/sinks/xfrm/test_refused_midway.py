"""
A kernel that refuses in the middle: whatever it is asked, at each step.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path as File
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import SABundle
from isakmp.errors import ConfigurationError, LimitReached
from isakmp.events import SAExpiring
from isakmp.handling import Handling, Mark, Unique
from isakmp.interfaces import IEvents
from isakmp.paths import Path
from isakmp.relocation import relocated
from isakmp.sinks.xfrm.hearing import SETTLE
from isakmp.sinks.xfrm.link import ACK, Refused
from isakmp.sinks.xfrm.netlink import Message
from isakmp.sinks.xfrm.policy_table import Reqids
from isakmp.sinks.xfrm.states import apart
from isakmp.sinks.xfrm.structures import ALLOW, Direction, Kind, Policy, Selector, Standing, State
from isakmp.sinks.xfrm.waiting import WaitingPackets
from isakmp.stream import EventStream
from tests.samples import PATH, PEER, bundle, logged
from tests.sinks.xfrm.kernel import RecordedSink, ends
from tests.test_relocation import in_udp

ELSEWHERE = "192.0.2.77"
_PolicyName = tuple[Selector, Direction, bytes]


class KeepingSink(RecordedSink):
    """
    Its kernel keeps SAs and policies, as the kernel does.

    :ivar sas: by their names; ``kept``, policies, likewise.
    :ivar refused: for each question to come what it is refused with; 0: it is answered.  ``lost``:
        the same where it does what was asked, and its answer is lost.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sas: dict[bytes, bytes] = {}
        self.kept: dict[_PolicyName, bytes] = {}
        self.refused: Iterator[int] = iter(())
        self.lost: Iterator[int] = iter(())

    async def _ask(self, kind: int, body: bytes, what: str, flags: int = ACK) -> list[Message]:
        number = next(self.refused, 0)
        if number:
            raise Refused(number, what)
        answer = await self._answer(kind, body, what, flags)
        number = next(self.lost, 0)
        if number:
            raise Refused(number, what)
        return answer

    async def _answer(self, kind: int, body: bytes, what: str, flags: int) -> list[Message]:
        if kind in (Kind.NEWSA, Kind.UPDSA):
            name = Standing.decode(body).name.encode() + apart(body[State.SIZE :])
            self._there(name in self.sas, kind == Kind.UPDSA, what)
            self.sas[name] = body
        elif kind == Kind.DELSA:
            self._there(body in self.sas, True, what)
            del self.sas[body]
        elif kind == Kind.GETSA and not body:
            return [Message(Kind.NEWSA, 0, 0, 0, one) for one in self.sas.values()]
        elif kind == Kind.GETSA:
            self._there(body in self.sas, True, what)
            return [Message(Kind.NEWSA, 0, 0, 0, self.sas[body])]
        elif kind == Kind.ALLOCSPI:
            answer = await super()._ask(kind, body, what, flags)
            standing = Standing.decode(answer[0].body)
            self.sas[standing.name.encode()] = answer[0].body
            return answer
        elif kind in (Kind.NEWPOLICY, Kind.UPDPOLICY):
            policy = Policy.decode(body)
            key = policy.selector, policy.direction, apart(body[Policy.SIZE :])
            if kind == Kind.NEWPOLICY:
                self._there(key in self.kept, False, what)
            self.kept[key] = replace(policy, index=0).encode() + body[Policy.SIZE :]
        elif kind == Kind.DELPOLICY:
            key = Selector.decode(body), Direction(body[60]), apart(body[64:])
            self._there(key in self.kept, True, what)
            del self.kept[key]
        return []

    @staticmethod
    def _there(stands: bool, should: bool, what: str) -> None:
        if stands is not should:
            raise Refused(errno.ESRCH if should else errno.EEXIST, what)

    def reserve(self, path: Path) -> bytes:
        """An SPI, of ESP."""
        found: list[bytes] = []
        self.reserve_spi(1, 3, path).addCallback(found.append)
        return found[0]

    @property
    def standing(self) -> tuple[dict[bytes, bytes], dict[_PolicyName, bytes]]:
        """All of it."""
        return dict(self.sas), dict(self.kept)


def after(count: int, number: int, times: int = 1) -> Iterator[int]:
    """Answers so many questions, refuses some, and answers again."""
    yield from [0] * count
    yield from [number] * times


class MidwayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.notes = logged(self)
        self.sink = KeepingSink()
        self.events: list[SAExpiring] = []
        stream = EventStream()
        stream.subscribe(SAExpiring, self.events.append)
        self.sink._events = IEvents(stream)
        self.bundle = self.made(0x2001)

    def made(self, outbound: int) -> SABundle:
        """One whose inbound SPI the kernel has chosen, with a mark of its own."""
        spi = int.from_bytes(self.sink.reserve(PATH), "big")
        one = in_udp(bundle(spi, outbound))
        handling = Handling(mark_out=Mark(Unique()))
        return replace(one, policy=replace(one.policy, handling=handling))

    def refusals(self, change: Any) -> int:
        """
        How often a change was refused, at each of its steps in turn; then it was done.

        :param change: makes it; it is given how many questions are answered before.
        """
        for count in range(40):
            self.sink.refused = after(count, errno.ENOBUFS)
            if not change(count):
                return count
        self.fail("it is never done")

    def test_install(self) -> None:
        """What cannot be installed as a whole is not at all, and it is said why."""
        before = self.sink.standing

        def install(count: int) -> bool:
            found: list[object] = []
            self.sink.install(self.bundle).addBoth(found.append)
            if found == [None]:
                return False
            self.sink.refused = iter(())
            # The larval SA of the SPI went with what it had become: it is chosen again.
            self.assertEqual(self.sink.kept, before[1], count)
            self.assertLessEqual(self.sink.sas.keys(), before[0].keys(), count)
            self.assertEqual(self.sink.reqid(self.bundle), 0)
            return True

        self.assertEqual(self.refusals(install), 6)
        self.sink.refused = iter(())
        self.assertEqual((len(self.sink.sas), len(self.sink.kept)), (2, 3))
        self.successResultOf(self.sink.remove(self.bundle))
        self.assertEqual(self.sink.standing, ({}, {}))

    def test_answer_lost(self) -> None:
        """
        What the kernel may have done, though its answer was lost, does not stay there: neither an
        SA nor a policy, by which traffic would wait for ever.
        """
        for lost in (errno.ENOBUFS, errno.ETIMEDOUT):
            for count in range(6):
                bundle = self.made(0x2001)
                self.sink.sas.clear()
                self.sink.lost = after(count, lost)
                found: list[object] = []
                self.sink.install(bundle).addBoth(found.append)
                self.sink.lost = iter(())
                if found == [None]:
                    self.successResultOf(self.sink.remove(bundle))
                self.assertEqual(self.sink.standing, ({}, {}), (count, found))
        self.successResultOf(self.sink.install(self.bundle))
        before = self.sink.standing
        there = relocated(self.bundle, (ELSEWHERE, 4501))
        failed = 0
        for count in range(12):
            self.sink.lost = after(count, errno.ETIMEDOUT)
            found = []
            self.sink.install(there).addBoth(found.append)
            self.sink.lost = iter(())
            if found == [None]:
                self.successResultOf(self.sink.install(self.bundle))
            else:
                failed += 1
            self.assertEqual(self.sink.kept, before[1], count)
        self.assertGreaterEqual(failed, 6)

    def test_numbers(self) -> None:
        """What could not be installed keeps no number: another child may have it."""
        one_bit = Handling(mark_out=Mark(Unique(), 1))
        one = replace(self.bundle, policy=replace(self.bundle.policy, handling=one_bit))
        self.sink.refused = after(0, errno.ENOBUFS)
        self.failureResultOf(self.sink.install(one), OSError)
        other = replace(self.made(0x2002), name="other")
        turned = replace(one.policy, local=one.policy.remote, remote=one.policy.local)
        other = replace(other, policy=turned)
        self.successResultOf(self.sink.install(other))
        self.failureResultOf(self.sink.install(one), LimitReached)
        self.successResultOf(self.sink.remove(other))
        self.successResultOf(self.sink.install(one))

    def test_stands_by_its_spi(self) -> None:
        """An SPI by which a child stands is not given back, though an exchange thinks of it."""
        self.successResultOf(self.sink.install(self.bundle))
        before = self.sink.standing
        self.successResultOf(self.sink.release_spi(self.bundle.key))
        self.assertEqual(self.sink.standing, before)

    def test_waits(self) -> None:
        """From the first child on what waits for an SA is kept, not dropped."""
        setting = File(self.mktemp())
        setting.write_text("1")
        self.sink._bundles._waiting = WaitingPackets(setting)
        self.successResultOf(self.sink.install(self.bundle))
        self.assertEqual(setting.read_text(), "0\n")

    def test_move(self) -> None:
        """A child whose peer has moved stays where it was, as a whole, if it cannot follow."""
        self.successResultOf(self.sink.install(self.bundle))
        before = self.sink.standing
        there = relocated(self.bundle, (ELSEWHERE, 4501))

        def move(count: int) -> bool:
            found: list[object] = []
            self.sink.install(there).addBoth(found.append)
            if found == [None]:
                return False
            sas, kept = self.sink.standing
            self.assertEqual(kept, before[1], count)
            self.assertEqual(sas.keys(), before[0].keys(), count)
            return True

        self.assertEqual(self.refusals(move), 9)
        # It has followed; of what it left the SA to where it was could not be removed.
        self.assertEqual((len(self.sink.sas), len(self.sink.kept)), (3, 3))
        self.assertIn("to remove an SA: ", str(self.notes[-1]["why"]))
        self.successResultOf(self.sink.remove(there))
        self.assertEqual(len(self.sink.sas), 1)

    def test_lost(self) -> None:
        """
        Where the kernel takes an SA but no other in its place, not even the old one, that is found
        out, and the child ends: it is not held up by an SA that is not there.
        """
        self.successResultOf(self.sink.install(self.bundle))
        there = relocated(self.bundle, (ELSEWHERE, 4501))
        for count in range(12):
            for times in range(1, 12):
                self.sink.refused = after(count, errno.ENOBUFS, times)
                found: list[object] = []
                self.sink.install(there).addBoth(found.append)
                self.sink.refused = iter(())
                stands = len(self.sink.sas) >= 2
                self.events.clear()
                self.sink.clock.run_until(self.sink.clock.seconds() + 2 * SETTLE)
                if found != [None]:
                    self.assertEqual([e.hard for e in self.events], [] if stands else [True])
                self.successResultOf(self.sink.remove(self.bundle))
                self.assertEqual(self.sink.kept, {}, (count, times))
                # What was refused to be removed is still there, and nothing else.
                self.assertLessEqual(len(self.sink.sas), 1, (count, times))
                self.sink.sas.clear()
                self.successResultOf(self.sink.install(self.bundle))

    def test_remove(self) -> None:
        """What cannot be removed is said, and keeps nothing else from being removed."""
        for count in range(6):
            self.successResultOf(self.sink.install(self.bundle))
            other = replace(self.made(0x2002 + count), name="other")
            traffic = replace(other.policy, remote=other.policy.local)
            other = replace(other, policy=traffic)
            self.successResultOf(self.sink.install(other))
            self.notes.clear()
            self.sink.refused = after(count, errno.EPERM)
            self.successResultOf(self.sink.remove(self.bundle))
            left = len(self.sink.sas) - 2, len(self.sink.kept) - 3
            self.assertEqual(sum(left), 1 if count < 5 else 0, count)
            self.assertEqual(len(self.notes), 1 if count < 5 else 0)
            self.assertEqual(set(self.sink.hearing.names.values()), {other.key})
            self.sink.sas.clear()
            self.sink.kept.clear()
            self.sink.refused = iter(())
            self.successResultOf(self.sink.remove(other))

    def test_stop(self) -> None:
        """A daemon that stops removes all that the kernel lets it, whatever is refused."""
        self.sink._asking = Anything()  # type: ignore[assignment]
        for count in range(6):
            self.successResultOf(self.sink.install(self.bundle))
            other = replace(self.made(0x2002 + count), name="other")
            self.successResultOf(self.sink.install(other))
            self.successResultOf(self.sink.trap(replace(other.policy, name="trap"), PATH))
            self.sink.refused = after(count, errno.EPERM)
            self.sink._asking = Anything()  # type: ignore[assignment]
            self.successResultOf(self.sink.stop())
            self.assertLessEqual(len(self.sink.sas) + len(self.sink.kept), 1, count)
            self.sink.sas.clear()
            self.sink.kept.clear()
            self.sink.hearing._over = False

    def test_foreign(self) -> None:
        """The policy of another daemon for the same traffic is left alone, and that is said."""
        self.successResultOf(self.sink.install(self.bundle))
        foreign = dict(self.sink.kept)
        self.successResultOf(self.sink.remove(self.bundle))
        self.sink.kept.update(foreign)
        failure = self.failureResultOf(self.sink.install(self.bundle), OSError)
        self.assertIn("there is such a one already, and it is not ours", str(failure.value))
        self.assertEqual(self.sink.kept, foreign)
        self.assertEqual(self.sink.sas, {})

    def test_trap_changed(self) -> None:
        """
        A trap that cannot be as its file says now stands as it was, and its number is nobody
        else's: else traffic of one child would go by the SAs of another.
        """
        policy = replace(self.bundle.policy, handling=Handling())
        self.successResultOf(self.sink.trap(policy, PATH))
        before = self.sink.standing
        (trap,) = self.sink.hearing.traps.values()
        self.sink.refused = after(0, errno.EEXIST)
        turned = replace(policy, local=policy.remote, remote=policy.local)
        self.failureResultOf(self.sink.trap(turned, PATH), ConfigurationError)
        self.assertEqual(self.sink.standing, before)
        self.assertEqual(tuple(self.sink.hearing.traps.values()), (trap,))
        choices = self.sink._choices
        given = {
            choices.reqid(replace(policy, name=str(n)), PEER, str(n))
            for n in range(len(Reqids.RANGE) - 2)
        }
        self.assertNotIn(trap.reqid, given)
        self.assertEqual(len(given), len(Reqids.RANGE) - 2)
        self.successResultOf(self.sink.untrap(policy.connection, policy.name))
        self.assertEqual(choices.reqid(replace(policy, name="last"), PEER, "last"), trap.reqid)

    def test_names(self) -> None:
        """Of two traps each has its own policies, whatever their children are called."""
        policy = replace(self.bundle.policy, handling=Handling())
        turned = replace(policy, local=policy.remote, remote=policy.local)
        for one, connection, name in ((policy, "a/b", "c"), (turned, "a", "b/c")):
            named = replace(one, connection=connection, name=name)
            self.successResultOf(self.sink.trap(named, PATH))
        self.assertEqual(len(self.sink.kept), 6)
        self.successResultOf(self.sink.untrap("a", "b/c"))
        self.assertEqual(len(self.sink.kept), 3)

    def test_trap_beside(self) -> None:
        """A trap that is set while its child is up leaves the child's policies as they are."""
        self.successResultOf(self.sink.install(self.bundle))
        before = self.sink.standing
        self.successResultOf(self.sink.trap(self.bundle.policy, PATH))
        self.assertEqual(self.sink.standing, before)
        self.successResultOf(self.sink.untrap(*self.names(self.bundle)))
        self.assertEqual(self.sink.standing, before)
        self.successResultOf(self.sink.trap(self.bundle.policy, PATH))
        self.successResultOf(self.sink.remove(self.bundle))
        self.assertEqual((len(self.sink.sas), len(self.sink.kept)), (0, 3))

    @staticmethod
    def names(bundle: SABundle) -> tuple[str, str]:
        """Of its connection and child."""
        return bundle.connection, bundle.policy.name

    def test_same_name(self) -> None:
        """
        Two peers behind one address may choose one SPI, and marks tell their SAs apart: what the
        kernel tells by that name is of the one that is left.
        """
        self.successResultOf(self.sink.install(self.bundle))
        other = replace(self.made(0x2001), name="other")
        turned = replace(other.policy, local=other.policy.remote, remote=other.policy.local)
        other = replace(other, policy=turned)
        self.successResultOf(self.sink.install(other))
        self.assertEqual(len(self.sink.sas), 4)
        self.successResultOf(self.sink.remove(self.bundle))
        self.assertEqual(set(self.sink.hearing.names.values()), {other.key})
        self.assertEqual(len(self.sink.hearing.names), 2)

    def test_exempt(self) -> None:
        """The daemon's own datagrams pass, those that leave and those that come."""
        for family, level in ((socket.AF_INET, 0), (socket.AF_INET6, 41)):
            own = OwnSocket(family)
            self.sink._asking = Anything()  # type: ignore[assignment]
            self.sink.exempt(own)  # type: ignore[arg-type]
            self.assertEqual({one[0] for one in own.options}, {level})
            found = [Policy.decode(octets) for _, _, octets in own.options]
            self.assertEqual([one.direction for one in found], [Direction.IN, Direction.OUT])
            self.assertEqual({one.action for one in found}, {ALLOW})

    def test_renamed(self) -> None:
        """
        A child that is renamed in its file is protected throughout: no policy goes before the same
        is there for its new name.
        """
        both = ends(File(self.mktemp()), "start_action = trap", sink=self.sink)
        one, traps = both.ours.connection("gw"), both.ours.assembly.traps
        traps.keep([one])
        before = self.sink.standing
        self.assertEqual(len(self.sink.kept), 3)
        asked: list[int] = []
        ask = self.sink._ask

        async def noted(kind: int, body: bytes, what: str, flags: int = ACK) -> list[Message]:
            asked.append(kind)
            return await ask(kind, body, what, flags)

        self.sink._table._ask = noted
        (child,) = one.children
        traps.keep([replace(one, children=(replace(child, name="renamed"),))])
        self.assertEqual(list(traps.standing), [(one.name, "renamed")])
        self.assertNotIn(Kind.DELPOLICY, asked)
        self.assertEqual(self.sink.kept.keys(), before[1].keys())

    def test_in_turn(self) -> None:
        """A daemon that is stopped while a child is installed waits for that, and removes it."""
        waiting: Deferred[None] = Deferred()
        ask = self.sink._ask

        async def slow(kind: int, body: bytes, what: str, flags: int = ACK) -> list[Message]:
            if kind == Kind.NEWPOLICY and not waiting.called:
                await waiting
            return await ask(kind, body, what, flags)

        self.sink._bundles._table._ask = slow
        self.sink._asking = Anything()  # type: ignore[assignment]
        installing, stopping = self.sink.install(self.bundle), self.sink.stop()
        self.assertNoResult(stopping)
        waiting.callback(None)
        self.successResultOf(installing)
        self.successResultOf(stopping)
        self.assertEqual(self.sink.standing, ({}, {}))


class OwnSocket:
    """
    A socket of the daemon's.

    :ivar options: what was set.
    """

    def __init__(self, family: int) -> None:
        self.family = family
        self.options: list[tuple[int, int, bytes]] = []

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        """Set."""
        self.options.append((level, option, value))


class Anything:
    """A link that is only closed."""

    def close(self) -> None:
        """Nothing."""
