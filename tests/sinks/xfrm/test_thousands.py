"""Thousands of children."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import ChildPolicy, SABundle
from isakmp.handling import Handling, Mark, Unique
from isakmp.sinks.xfrm.link import ACK
from isakmp.sinks.xfrm.netlink import Message
from isakmp.sinks.xfrm.structures import Selector
from isakmp.sinks.xfrm.users import Users
from tests.samples import PATH, PEER, US, cookies, policy, protection_sa
from tests.sinks.xfrm.kernel import RecordedSink

FEW, MANY = 250, 2000


class ForgettingSink(RecordedSink):
    """What it was asked is not kept."""

    async def _ask(self, kind: int, body: bytes, what: str, flags: int = ACK) -> list[Message]:
        self.asked.clear()
        return await super()._ask(kind, body, what, flags)


def child(number: int) -> ChildPolicy:
    """One of many, with numbers of its own."""
    network = ipaddress.ip_network((0x0A000000 + 256 * number, 24))
    unique = Handling(mark_out=Mark(Unique()), if_id_in=Unique())
    return replace(policy(name=f"net{number}", remote=str(network)), handling=unique)


class ThousandsTests(SynchronousTestCase):
    def done(self, asked: Deferred[None]) -> None:
        """It is."""
        self.assertIsNone(self.successResultOf(asked))

    def seconds(self, count: int) -> Sequence[float]:
        """For each child: to install, to remove, to trap, to hear of its traffic, to untrap."""
        sink = ForgettingSink()
        bundles = [
            SABundle(
                *(f"net/{n}", cookies(1)),
                (protection_sa(0xC0000000 + n, US),),
                (protection_sa(0x2000 + n, PEER),),
                child(n),
            )
            for n in range(count)
        ]
        found = [time.process_time()]
        for bundle in bundles:
            self.done(sink.install(bundle))
        found.append(time.process_time())
        for bundle in bundles:
            self.done(sink.remove(bundle))
        found.append(time.process_time())
        for bundle in bundles:
            self.done(sink.trap(bundle.policy, PATH))
        found.append(time.process_time())
        anything = ipaddress.IPv4Network("10.0.0.0/8")
        for trap in sink.hearing.traps.values():
            sink.hearing._waits(trap.reqid, Selector(anything, anything))
        found.append(time.process_time())
        for bundle in bundles:
            self.done(sink.untrap(bundle.policy.connection, bundle.policy.name))
        found.append(time.process_time())
        self.assertFalse(sink._table._owned or sink._table._keys or sink.hearing.traps)
        return [(after - before) / count for before, after in pairwise(found)]

    def test_each_as_cheap(self) -> None:
        """
        With thousands of children, one more costs what it does with few: to install, to remove and
        to trap it, and to hear that its traffic waits.
        """
        for _ in range(3):  # another process may take the caches away
            few, many = self.seconds(FEW), self.seconds(MANY)
            ratios = [more / less for more, less in zip(many, few, strict=True)]
            if max(ratios) < 4:
                return
        self.fail(f"each of {MANY} takes {ratios} times as long as each of {FEW}")


class UsersTests(SynchronousTestCase):
    @given(st.lists(st.tuples(st.integers(0, 4), st.one_of(st.none(), st.integers(0, 3)))))
    def test_last(self, steps: list[tuple[int, int | None]]) -> None:
        """What several need is given up with the last of them, and known until then."""
        users: Users[int, int] = Users()
        model: dict[int, int] = {}
        for user, thing in steps:
            before = model.pop(user, None)
            if thing is None:
                left = users.give_up(user)
            else:
                left = users.take(user, thing)
                model[user] = thing
            nobody = before is not None and before not in model.values()
            self.assertEqual(left, before if nobody else None)
            self.assertEqual(users.thing(user), thing)
            for one in range(4):
                self.assertEqual(
                    set(users.of(one)), {user for user, its in model.items() if its == one}
                )
