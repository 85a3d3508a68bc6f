"""
Pairs of nodes that renew their SAs, and what is watched while they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from isakmp.associations import SABundle
from isakmp.connections import Connection, Renewal
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.events import Established, Removal, Removed
from tests.nodes import SECRET, Member, Pair, Settings, pair

NEVER = Renewal()
CHILD, PARENT = Renewal(600.0, 60.0), Renewal(2000.0, 200.0)
"""Within the lifetimes of :class:`tests.nodes.Settings`: 1200 and 3000 seconds."""

SHARED = (SharedSecret(SECRET, ()),)


def renewed(connection: Connection, parent: Renewal = NEVER, child: Renewal = NEVER) -> Connection:
    """The same connection, its SAs to be renewed."""
    children = tuple(replace(one, renewal=child) for one in connection.children)
    return replace(connection, renewal=parent, children=children)


def configure(member: Member, **how: Renewal) -> None:
    """From now on a node renews what comes up: ``parent`` and ``child``."""
    member.assembly.configure((renewed(member.connection(), **how),), SHARED)


def renewing(
    settings: Settings = Settings(),
    *,
    a: dict[str, Renewal] | None = None,
    b: dict[str, Renewal] | None = None,
    **how: Any,
) -> Pair:
    """
    Alice and Bob, with a child up.

    :param a: what Alice renews; ``b`` what Bob does; neither anything unless told.
    :param how: for :func:`tests.nodes.pair`.
    """
    both = pair(settings, **how)
    configure(both.a, **a or {})
    configure(both.b, **b or {})
    both.up()
    return both


def removals(member: Member, kind: type[object] | None = None) -> list[tuple[Any, Removal]]:
    """What is gone and why; children only, if ``kind`` is theirs."""
    return [
        (event.sa.key, event.why)
        for event in member.published(Removed)
        if kind is None or isinstance(event.sa, kind)
    ]


def births(member: Member, kind: type[object] = SABundle) -> list[float]:
    """When children came up, or ISAKMP SAs if ``kind`` is something else."""
    return [
        time
        for time, event in member.events
        if isinstance(event, Established) and isinstance(event.sa, SABundle) is (kind is SABundle)
    ]


@dataclass(slots=True)
class Watch:
    """
    Looks at both ends after everything that happens.

    :ivar gaps: when an end had no complete child in its sink, and which end.
    :ivar most: how many SAs an end had registered at most.
    """

    both: Pair
    gaps: list[tuple[float, str]] = field(default_factory=list)
    most: int = 0

    def until(self, time: float) -> None:
        """Let time go by."""
        clock = self.both.clock
        while (calls := clock.getDelayedCalls()) and calls[0].getTime() <= time:
            clock.next_event()
            self.look()
        clock.run_until(time)

    def look(self) -> None:
        """Once."""
        for member in (self.both.a, self.both.b):
            whole = [one for one in member.sink.standing.values() if one.inbound and one.outbound]
            if not whole:
                self.gaps.append((self.both.clock.seconds(), member.address))
            self.most = max(self.most, len(list(member.registry)))


def spis(bundles: Sequence[SABundle]) -> set[tuple[str, str]]:
    """Of each child the SPIs in both directions."""
    return {(one.inbound[0].key.spi.hex(), one.outbound[0].key.spi.hex()) for one in bundles}
