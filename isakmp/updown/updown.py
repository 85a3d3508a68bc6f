"""
Which children have come up and are gone, and whose script runs next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorProcess

from isakmp.associations import SABundle, SPIKey
from isakmp.events import Established, Removed
from isakmp.interfaces import IManagementSA, INode, IReqids
from isakmp.logs import Logger
from isakmp.node import handling_of
from isakmp.updown.call import Call, environment, scope
from isakmp.updown.script import Script

AT_ONCE = 8
"""How many scripts run at one time; the others wait for their turn."""

STOPPING = 5.0
"""How long all of them together have when the node stops."""

_Name = tuple[object, ...]


@dataclass(slots=True, eq=False)
class _Thing:
    """
    Traffic that a child protects, whichever SAs do it at the moment.

    :ivar members: the bundles that stand for it.
    :ivar wanted: what should be up; ``shown`` what the script was told last.
    :ivar busy: whether it waits for its turn, or its script runs.
    """

    wanted: Call | None = None
    shown: Call | None = None
    members: set[SPIKey] = field(default_factory=set)
    busy: bool = False


class UpDown:
    """
    Runs the scripts of a node's children, without waiting for them.

    The SAs protect traffic before the script has run, and may be gone before it runs again.  What
    comes and goes while its turn has not come runs no script.
    """

    _log = Logger()

    def __init__(self, node: INode, processes: IReactorProcess) -> None:
        self._node = node
        self._processes = processes
        self._things: dict[_Name, _Thing] = {}
        self._names: dict[SPIKey, _Name] = {}
        self._turns: deque[_Name] = deque()
        self._running: dict[_Name, Script] = {}
        self._over = False
        self._stopped: Deferred[None] | None = None
        self._unsubscribe: tuple[Callable[[], None], ...] = (
            node.events.subscribe(Established, self._established),
            node.events.subscribe(Removed, self._removed),
        )

    def stop(self) -> Deferred[None]:
        """
        What is up goes down; fires when that is done, or there is no time left for it.
        """
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = ()
        for name, thing in tuple(self._things.items()):
            thing.members.clear()
            thing.wanted = None
            self._see_to(name)
        if not self._things:
            return succeed(None)
        self._stopped = Deferred()
        return self._stopped.addTimeout(STOPPING, self._node.clock, self._late)

    @property
    def running(self) -> Sequence[Script]:
        """The scripts that run."""
        return tuple(self._running.values())

    @property
    def idle(self) -> bool:
        """Whether nothing is up, and no script runs or waits for its turn."""
        return not self._things

    def abandon(self) -> None:
        """Kill those that run, and begin no other."""
        self._over = True
        for script in self.running:
            script.kill()

    def _late(self, result: object, seconds: float) -> None:
        self._stopped = None
        self._log.error(
            "updown: the scripts of {count} children have not ended in {seconds} s",
            count=len(self._things),
            seconds=seconds,
        )
        self.abandon()

    def _established(self, event: Established) -> None:
        bundle = event.sa
        if not isinstance(bundle, SABundle) or not bundle.policy.handling.updown:
            return
        parent = self._node.registry.find(bundle.parent)
        if not IManagementSA.providedBy(parent):
            return  # it went before everybody had been told, and its children go with it
        policy = bundle.policy
        name: _Name = (
            *(policy.connection, policy.name, policy.local, policy.remote, policy.identities),
            *(parent.theirs.kind, parent.theirs.data.lower()),
        )
        thing = self._things.setdefault(name, _Thing())
        thing.members.add(bundle.key)
        self._names[bundle.key] = name
        if thing.wanted is None:
            thing.wanted = self._call(bundle, parent)
            self._see_to(name)

    def _removed(self, event: Removed) -> None:
        if not isinstance(event.sa, SABundle):
            return
        name = self._names.pop(event.sa.key, None)
        if name is None:
            return
        thing = self._things[name]
        thing.members.discard(event.sa.key)
        if not thing.members:
            thing.wanted = None
            self._see_to(name)

    def _call(self, bundle: SABundle, parent: IManagementSA) -> Call:
        sink = self._node.sink
        return Call(
            bundle.connection,
            bundle.policy.name,
            bundle.policy.handling.updown,
            scope(bundle),
            environment(
                bundle,
                parent,
                self._node.registry.number(parent),
                sink.reqid(bundle) if IReqids.providedBy(sink) else 0,
                handling_of(self._node, bundle),
            ),
        )

    # -- whose turn it is ----------------------------------------------------------------------

    def _see_to(self, name: _Name) -> None:
        thing = self._things[name]
        if not thing.busy:
            thing.busy = True
            self._turns.append(name)
            self._next()

    def _next(self) -> None:
        while self._turns and len(self._running) < AT_ONCE and not self._over:
            name = self._turns.popleft()
            thing = self._things[name]
            if thing.wanted == thing.shown:
                thing.busy = False
                if thing.shown is None:
                    del self._things[name]
                continue
            up = thing.shown is None
            call = thing.wanted if up else thing.shown
            assert call is not None
            thing.shown = call if up else None
            script = Script(
                self._processes, self._node.clock, call, up, partial(self._ended, name)
            )
            self._running[name] = script
            script.start()
        if not self._things and self._stopped is not None:
            stopped, self._stopped = self._stopped, None
            stopped.callback(None)

    def _ended(self, name: _Name) -> None:
        del self._running[name]
        self._turns.append(name)  # what is wanted may be another thing by now
        self._next()
