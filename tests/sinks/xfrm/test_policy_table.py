"""
What the kernel is told of policies, and in which order.
"""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from twisted.internet.defer import Deferred
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from isakmp.sinks.xfrm.earlier import Leftovers, remove_leftovers
from isakmp.sinks.xfrm.link import ACK, DUMP, Refused
from isakmp.sinks.xfrm.neighbours import EXEMPT
from isakmp.sinks.xfrm.netlink import Message
from isakmp.sinks.xfrm.policy_table import PolicyTable, Reqids
from isakmp.sinks.xfrm.structures import (
    BLOCK,
    ESP,
    NO_SPI,
    SIGN,
    TRANSPORT,
    Attribute,
    Direction,
    Kind,
    Limits,
    Name,
    Policy,
    Selector,
    State,
    Template,
    mark,
)
from tests.samples import logged

_TEMPLATE = Template("2001:db8::1", "2001:db8::2", ESP, TRANSPORT, 1)


def policy(
    source: str = "2001:db8::1/128",
    destination: str = "2001:db8::2/128",
    protocol: int = 0,
    direction: Direction = Direction.OUT,
    action: int = 0,
    protects: bool = True,
) -> Policy:
    """One that protects the traffic between two hosts, or whatever else is said."""
    selector = Selector(
        ipaddress.ip_network(source), ipaddress.ip_network(destination), protocol
    )
    templates = (_TEMPLATE,) if protects else ()
    return Policy(selector, direction, 1000, action, templates=templates)


class Kernel:
    """
    Keeps policies.

    :ivar standing: by what they select.
    :ivar told: what was set and removed, in order.
    :ivar refused: what it does not set.
    """

    def __init__(self) -> None:
        self.standing: dict[tuple[Selector, Direction], Policy] = {}
        self.told: list[tuple[int, Selector]] = []
        self.refused: set[Selector] = set()

    async def ask(self, kind: int, body: bytes, what: str, flags: int = ACK) -> list[Message]:
        if flags == DUMP:
            if kind == Kind.GETSA:
                return []
            kept = self.standing.values()
            return [Message(Kind.NEWPOLICY, 0, 0, 0, one.encode()) for one in kept]
        if kind == Kind.DELPOLICY:
            selector = Selector.decode(body)
            found = (selector, Direction(body[Selector.SIZE + 4]))
            self.told.append((kind, selector))
            if self.standing.pop(found, None) is None:
                raise Refused(errno.ENOENT, what)
            return []
        set_one = Policy.decode(body)
        if set_one.selector in self.refused:
            raise Refused(errno.EINVAL, what)
        key = set_one.selector, set_one.direction
        if kind == Kind.NEWPOLICY and key in self.standing:
            raise Refused(errno.EEXIST, what)
        self.told.append((kind, set_one.selector))
        self.standing[key] = set_one
        return []

    @property
    def selectors(self) -> set[Selector]:
        return {selector for selector, _ in self.standing}


_DISCOVERY = {one.selector for one in EXEMPT}


class NeighbourTests(SynchronousTestCase):
    """
    Neighbour discovery is let pass for as long as something might catch it.
    """

    def setUp(self) -> None:
        self.kernel = Kernel()
        self.table = PolicyTable(self.kernel.ask)

    def claim(self, owner: str, *policies: Policy) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.table.claim(owner, policies)))

    def give_up(self, owner: str) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.table.give_up(owner)))

    def test_as_long(self) -> None:
        """
        It is seen to before the first policy stands, in both directions and before all others, and
        goes with the last.
        """
        first, second = policy(), policy(destination="2001:db8::/64")
        self.claim("one", first)
        self.assertEqual(self.kernel.told[-1], (Kind.NEWPOLICY, first.selector))
        self.assertEqual(self.kernel.selectors, {*_DISCOVERY, first.selector})
        for selector in _DISCOVERY:
            for direction in (Direction.OUT, Direction.IN):
                self.assertEqual(self.kernel.standing[selector, direction].priority, 0)
        self.claim("two", second)
        self.give_up("one")
        self.assertEqual(self.kernel.selectors, {*_DISCOVERY, second.selector})
        self.give_up("two")
        self.assertEqual(self.kernel.standing, {})
        self.claim("one", first)
        self.assertEqual(self.kernel.selectors, {*_DISCOVERY, first.selector})

    def test_what_catches(self) -> None:
        """Of IPv6, of any protocol or of ICMP; what drops does too, and what lets pass does not."""
        for one, caught in (
            (policy(), True),
            (policy(protocol=58), True),
            (policy(action=BLOCK, protects=False), True),
            (policy(protocol=17), False),
            (policy("10.0.0.1/32", "10.0.0.2/32"), False),
            (policy(protects=False), False),
        ):
            self.claim("one", one)
            self.assertEqual(self.kernel.selectors >= _DISCOVERY, caught, one)
            self.give_up("one")
            self.assertEqual(self.kernel.standing, {})

    def test_changed(self) -> None:
        """A policy that drops now and let pass before, and the other way round."""
        dropping, passing = policy(action=BLOCK, protects=False), policy(protects=False)
        self.claim("one", passing)
        self.claim("one", dropping)
        self.assertTrue(self.kernel.selectors >= _DISCOVERY)
        self.claim("one", passing)
        self.assertEqual(self.kernel.selectors, {passing.selector})

    def test_refused(self) -> None:
        """Where the kernel refuses the policy, nothing is left of what went before it."""
        one = policy()
        self.kernel.refused.add(one.selector)
        claiming = Deferred.fromCoroutine(self.table.claim("one", [one]))
        self.failureResultOf(claiming, Refused)
        self.assertEqual(self.kernel.standing, {})

    def test_foreign(self) -> None:
        """Where somebody else has seen to it, theirs is left alone."""
        theirs = EXEMPT[0]
        self.kernel.standing[theirs.selector, theirs.direction] = theirs
        self.claim("one", policy())
        self.assertTrue(self.kernel.selectors >= _DISCOVERY)
        self.give_up("one")
        self.assertEqual(list(self.kernel.standing.values()), [theirs])

    def test_gone(self) -> None:
        """Somebody has removed all policies: that is as well."""
        self.claim("one", policy())
        self.kernel.standing.clear()
        self.give_up("one")
        self.claim("one", policy())
        self.assertTrue(self.kernel.selectors >= _DISCOVERY)


    def test_weak(self) -> None:
        """
        What a trap wants of a policy counts only while no SA has it, whichever came first, and of
        two SAs the later counts.
        """
        trap, one, other = (replace(policy(protocol=17), priority=n) for n in (1001, 1000, 999))
        key = trap.selector, trap.direction

        def claim(owner: str, its: Policy, weak: bool = False) -> int:
            claiming = self.table.claim(owner, [its], weak)
            self.successResultOf(Deferred.fromCoroutine(claiming))
            return self.kernel.standing[key].priority

        self.assertEqual(claim("trap", trap, weak=True), 1001)
        self.assertEqual(claim("one", one), 1000)
        self.assertEqual(claim("trap", trap, weak=True), 1000)
        self.assertEqual(claim("other", other), 999)
        for owner, left in (("other", 1000), ("one", 1001)):
            self.give_up(owner)
            self.assertEqual(self.kernel.standing[key].priority, left)

    def test_restored(self) -> None:
        """
        Somebody has removed all policies: ours are set again as they were, with what lets neighbour
        discovery pass; what somebody else has put there meanwhile is left alone, and what is
        refused is said.
        """
        notes = logged(self)
        one, other, dropping = policy(), policy(protocol=17), policy(protocol=6, action=BLOCK)
        for owner, its in (("one", one), ("two", other), ("three", dropping)):
            self.claim(owner, its)
        before = dict(self.kernel.standing)
        self.kernel.standing.clear()
        theirs = replace(other, priority=1)
        self.kernel.standing[theirs.selector, theirs.direction] = theirs
        self.kernel.refused.add(dropping.selector)
        self.successResultOf(Deferred.fromCoroutine(self.table.restore()))
        del before[dropping.selector, dropping.direction]
        self.assertEqual(
            {key: replace(policy, index=0) for key, policy in self.kernel.standing.items()},
            {
                **{key: replace(policy, index=0) for key, policy in before.items()},
                (theirs.selector, theirs.direction): theirs,
            },
        )
        texts = [formatEvent(note) for note in notes]
        self.assertIn("a policy is gone: ", texts[0])
        self.assertEqual(
            texts[1:],
            ["somebody has removed policies of this host: 5 of ours have been set again"],
        )
        notes.clear()
        self.kernel.refused.clear()
        self.successResultOf(Deferred.fromCoroutine(self.table.restore()))
        self.successResultOf(Deferred.fromCoroutine(self.table.restore()))
        self.assertEqual(len(notes), 1)


class LeftoverTests(SynchronousTestCase):
    """
    What a dead run has left tells whether it had changed a setting.
    """

    def left(self, kernel: Kernel) -> Leftovers:
        return self.successResultOf(Deferred.fromCoroutine(remove_leftovers(kernel.ask)))

    def test_changed(self) -> None:
        """It does, even if the setting was changed after the first policies."""
        kernel, changed = Kernel(), [False]
        table = PolicyTable(kernel.ask, lambda: changed[0])
        first, second = policy(protocol=17), policy(protocol=6)
        self.successResultOf(Deferred.fromCoroutine(table.claim("one", [first])))
        changed[0] = True
        self.successResultOf(Deferred.fromCoroutine(table.claim("two", [second])))
        self.assertEqual(self.left(kernel), Leftovers(2, True))
        self.assertEqual(self.left(kernel), Leftovers(0, False))

    def test_unchanged(self) -> None:
        """And whether not; what is nobody's of ours stays."""
        kernel = Kernel()
        theirs = policy(protocol=6)
        kernel.standing[theirs.selector, theirs.direction] = theirs
        table = PolicyTable(kernel.ask)
        mine = policy(protocol=17)
        self.successResultOf(Deferred.fromCoroutine(table.claim("one", [mine])))
        self.assertEqual(self.left(kernel), Leftovers(1, False))
        self.assertEqual(list(kernel.standing.values()), [theirs])

    def test_waiting(self) -> None:
        """
        A run that died while traffic waited for an SA has left what cannot be removed: the kernel
        does so itself, in half a minute.  Nor does it matter what has gone meanwhile.
        """
        asked: list[int] = []

        async def ask(kind: int, body: bytes, what: str, flags: int = ACK) -> list[Message]:
            asked.append(kind)
            if kind == Kind.GETSA:
                names = [Name("192.0.2.2", ESP, spi) for spi in (NO_SPI, b"kept", b"gone")]
                sas = [State("192.0.2.1", one, Reqids.RANGE[3], TRANSPORT) for one in names]
                return [Message(Kind.NEWSA, 0, 0, 0, one.encode()) for one in sas]
            if kind == Kind.GETPOLICY:
                mine = replace(policy(), index=0x49530001).encode()
                return [Message(Kind.NEWPOLICY, 0, 0, 0, mine)]
            raise Refused(refusal[kind], what)

        refusal = {Kind.DELSA: errno.ESRCH, Kind.DELPOLICY: errno.ENOENT}
        left = Deferred.fromCoroutine(remove_leftovers(ask))
        self.assertEqual(self.successResultOf(left), Leftovers(3, False))
        removing = [kind for kind in asked if kind in refusal]
        self.assertEqual(removing, [Kind.DELSA, Kind.DELSA, Kind.DELPOLICY])
        for kind in (Kind.DELPOLICY, Kind.DELSA):
            refusal[kind] = errno.EPERM
            self.failureResultOf(Deferred.fromCoroutine(remove_leftovers(ask)), Refused)

    def test_which(self) -> None:
        """
        Of SAs, those are ours that are signed, or have a reqid of ours; they, and policies of
        ours, are removed by names that have their marks.  Nothing else is touched.
        """
        named = [Name("192.0.2.2", ESP, bytes([n] * 4)) for n in range(1, 5)]
        signed, marked = Limits(sign=SIGN), mark(Attribute.MARK, 7, 0xFF)
        sas = [
            State("192.0.2.1", named[0], Reqids.RANGE[3], TRANSPORT),
            State("192.0.2.1", named[1], 77, TRANSPORT, signed, others=marked),
            State("192.0.2.1", named[2], 77, TRANSPORT),
            State("192.0.2.1", named[3], 0, TRANSPORT, Limits(life_seconds=9), others=marked),
        ]
        mine = replace(policy(), index=0x49530001, others=marked)
        theirs = replace(policy(protocol=6), index=9)
        told: dict[int, Sequence[State | Policy]] = {
            Kind.GETSA: sas,
            Kind.GETPOLICY: [mine, theirs],
        }
        removed: list[bytes] = []

        async def ask(kind: int, body: bytes, what: str, flags: int = ACK) -> list[Message]:
            if flags == DUMP:
                return [Message(0, 0, 0, 0, one.encode()) for one in told[kind]]
            removed.append(body)
            return []

        left = Deferred.fromCoroutine(remove_leftovers(ask))
        self.assertEqual(self.successResultOf(left), Leftovers(3, False))
        names = named[0].encode(), named[1].encode() + marked, mine.encode_id()
        self.assertEqual(removed, list(names))

    def test_many(self) -> None:
        """An index is ours, and tells the same, however many were given before."""
        kernel = Kernel()
        for changed in (False, True):
            table = PolicyTable(kernel.ask, lambda: changed)  # noqa: B023
            table._numbers = count(0xFFFFFFF0)
            for _ in range(3000):
                index = table._index(Direction.OUT)
                self.assertTrue(PolicyTable.is_ours(index))
                self.assertEqual(PolicyTable.tells_change(index), changed)
                self.assertEqual(index & 7, Direction.OUT)
