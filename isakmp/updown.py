"""
Scripts that are run when a child comes up and when it is gone: ``updown`` of ``swanctl.conf``.

What a script is told stands in its environment, under the names that strongSwan's updown plug-in
gives (``PLUTO_VERB`` and the others, interface version 1.1): a script made for it runs here.  There
is no shell in between, and of this process's own environment a script sees ``PATH`` alone.

A renewal neither takes a child down nor brings it up: what stands for the same traffic with the
same peer is one thing, up with its first SAs and down with its last.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IProcessTransport, IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from isakmp.associations import IPsecParameters, SABundle, SPIKey
from isakmp.events import Established, Removed
from isakmp.identity import TrafficSelector
from isakmp.interface_names import interface_of
from isakmp.interfaces import IManagementSA, INode, IReqids
from isakmp.logs import Logger
from isakmp.numbers import ProtocolID

AT_ONCE = 8
"""How many scripts run at one time; the others wait for their turn."""

SECONDS = 60.0
"""How long one may run before it is asked to end."""

GRACE = 5.0
"""How long it has for that before it is killed."""

LINGERING = 1.0
"""How long is read on what a script has left open to others when it has ended."""

STOPPING = 5.0
"""How long all of them together have when the node stops."""

MAX_LINES, MAX_LINE = 100, 400
"""What is logged of one run: lines, and octets of each."""

MAX_VALUE = 512
"""Characters of one value of the environment."""

_Environment = Mapping[str, str]
_Name = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """
    What a script is run with, both times.

    :ivar command: the words of ``updown``.
    :ivar scope: what follows ``up-`` and ``down-`` in PLUTO_VERB.
    :ivar environment: the rest of it.
    """

    connection: str
    child: str
    command: str
    scope: str
    environment: _Environment

    def variables(self, up: bool) -> dict[str, str]:
        """The whole environment, once."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "PLUTO_VERSION": "1.1",
            "PLUTO_VERB": self.verb(up),
            **self.environment,
        }

    def verb(self, up: bool) -> str:
        """PLUTO_VERB."""
        return f"{'up' if up else 'down'}-{self.scope}"


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
        self._running: dict[_Name, _Script] = {}
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

    def _late(self, result: object, seconds: float) -> None:
        self._over = True
        self._stopped = None
        self._log.error(
            "updown: the scripts of {count} children have not ended in {seconds} s",
            count=len(self._things),
            seconds=seconds,
        )
        for script in tuple(self._running.values()):
            script.kill()

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
            script = _Script(self, name, call, up)
            self._running[name] = script
            script.start()
        if not self._things and self._stopped is not None:
            stopped, self._stopped = self._stopped, None
            stopped.callback(None)

    def ended(self, name: _Name) -> None:
        """From a script: it has."""
        del self._running[name]
        if name not in self._turns:
            self._turns.append(name)  # what is wanted may be another thing by now
        self._next()

    def spawn(self, script: _Script, call: Call, up: bool) -> str:
        """
        :return: why it cannot be run; empty if it does.
        """
        words = shlex.split(call.command)
        found = shutil.which(words[0])
        if found is None:
            there = os.path.exists(words[0])
            return f"{words[0]} {'cannot be executed' if there else 'is not there'}"
        try:
            self._processes.spawnProcess(script, found, words, call.variables(up), path=None)
        except OSError as error:
            return f"{words[0]}: {error.strerror}"
        return ""

    def later(self, seconds: float, call: Callable[[], None]) -> IDelayedCall:
        """By the node's clock."""
        return self._node.clock.callLater(seconds, call)


class _Script(ProcessProtocol):
    """One run of a script."""

    _log = Logger()

    def __init__(self, owner: UpDown, name: _Name, call: Call, up: bool) -> None:
        self._owner = owner
        self._name = name
        self._call = call
        self._up = up
        self._why = ""
        self._lines = 0
        self._unfinished = {1: b"", 2: b""}
        self._timer: IDelayedCall | None = None
        self._exited = False

    def start(self) -> None:
        """Run it."""
        self._log.debug("{line}", line=f"{self._label} begins", **self._fields)
        why = self._owner.spawn(self, self._call, self._up)
        if why:
            self._failed(why)
            # Not from within: who has begun it does not expect it to have ended.
            self._owner.later(0, lambda: self._owner.ended(self._name))

    def kill(self) -> None:
        """At once."""
        self._signal("KILL")

    def connectionMade(self) -> None:
        """From Twisted: it runs."""
        self._process.closeStdin()
        self._set(SECONDS, self._too_long)

    @property
    def _process(self) -> IProcessTransport:
        return cast(IProcessTransport, self.transport)

    def _set(self, seconds: float, call: Callable[[], None]) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._owner.later(seconds, call)

    def _too_long(self) -> None:
        self._why = f"it has not ended after {SECONDS:.0f} s"
        self._signal("TERM")
        self._set(GRACE, self.kill)

    def _signal(self, signal: str) -> None:
        # signalProcess raises an exception of its own when there is no process any more.
        if not self._exited and self.transport is not None:
            self._process.signalProcess(signal)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """From Twisted: it says something."""
        *lines, rest = (self._unfinished[childFD] + data).split(b"\n")
        for line in lines:
            self._say(line)
        self._unfinished[childFD] = rest[: MAX_LINE + 1]

    def _say(self, line: bytes) -> None:
        if not line.strip() or self._lines > MAX_LINES:
            return
        self._lines += 1
        text = shown(line) if self._lines <= MAX_LINES else "says more, which is not logged"
        self._log.info("{line}", line=f"{self._label}: {text}", **self._fields)

    def processExited(self, reason: Failure) -> None:
        """From Twisted: it has ended; others may still hold its output."""
        self._exited = True
        self._set(LINGERING, self._process.loseConnection)

    def processEnded(self, reason: Failure) -> None:
        """From Twisted: nothing more will come of it."""
        self._exited = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for rest in self._unfinished.values():
            self._say(rest)
        signal = getattr(reason.value, "signal", None)
        status = getattr(reason.value, "exitCode", None)
        if self._why:
            self._failed(self._why)
        elif signal is not None:
            self._failed(f"signal {signal} has ended it")
        elif status:
            self._failed(f"its exit status is {status}")
        self._owner.ended(self._name)

    def _failed(self, why: str) -> None:
        self._log.error("{line}", line=f"{self._label} failed: {why}", why=why, **self._fields)

    @property
    def _label(self) -> str:
        verb = self._call.verb(self._up)
        return f"{self._call.connection}/{self._call.child}, updown {verb}"

    @property
    def _fields(self) -> dict[str, str]:
        return {"connection": self._call.connection, "child": self._call.child}


def scope(bundle: SABundle) -> str:
    """``host`` where our end is this host alone, else ``client``; and ``-v6`` of IPv6."""
    local = bundle.policy.local
    ours = _destination(bundle, out=False)
    alone = ours and TrafficSelector.host(ours)
    is_host = alone and (alone.version, alone.first, alone.last) == (
        *(local.version, local.first, local.last),
    )
    return ("host" if is_host else "client") + ("-v6" if local.version == 6 else "")


def environment(
    bundle: SABundle, parent: IManagementSA, number: int, reqid: int = 0
) -> _Environment:
    """
    What a script is told of a child, but for the verb.

    Whatever the peer has said is made of printable ASCII characters alone.

    :param number: of the ISAKMP SA.
    """
    policy, sas = bundle.policy, (*bundle.inbound, *bundle.outbound)
    protocols = {sa.key.protocol for sa in sas}
    ours, theirs = _destination(bundle, out=False), _destination(bundle, out=True)
    found = {
        "PLUTO_CONNECTION": policy.name,
        "PLUTO_INTERFACE": policy.handling.interface or interface_of(ours) or "unknown",
        "PLUTO_REQID": str(reqid),
        "PLUTO_PROTO": "esp" if ProtocolID.ESP in protocols else "ah",
        "PLUTO_UNIQUEID": str(number),
    }
    for who, address, identity, traffic in (
        ("MY", ours, parent.ours, policy.local),
        ("PEER", theirs, parent.theirs, policy.remote),
    ):
        found["PLUTO_ME" if who == "MY" else "PLUTO_PEER"] = address
        found[f"PLUTO_{who}_ID"] = str(identity)
        found[f"PLUTO_{who}_CLIENT"] = network(traffic)
        found[f"PLUTO_{who}_PORT"] = str(traffic.port)
        found[f"PLUTO_{who}_PROTOCOL"] = str(traffic.protocol)
    if ProtocolID.IPCOMP in protocols:
        found["PLUTO_IPCOMP"] = "1"
    for sa in sas:
        if isinstance(sa.parameters, IPsecParameters) and sa.parameters.udp is not None:
            found["PLUTO_UDP_ENC"] = str(sa.parameters.udp[1])
    if policy.handling.host_access:
        found["PLUTO_HOST_ACCESS"] = "1"
    return {key: printable(value)[:MAX_VALUE] for key, value in found.items()}


def network(traffic: TrafficSelector) -> str:
    """
    The smallest network with all addresses of some traffic, with its prefix length.
    """
    bits = 32 if traffic.version == 4 else 128
    span = (traffic.first ^ traffic.last).bit_length()
    first = traffic.first >> span << span
    base = TrafficSelector(traffic.version, first, first)
    return f"{base}/{bits - span}"


def printable(text: str) -> str:
    """What is not printable ASCII is written as Python would write it in a literal."""
    return "".join(
        one if " " <= one <= "~" else one.encode("unicode_escape").decode() for one in text
    )


def shown(line: bytes) -> str:
    """A line of a script's output, as it is logged."""
    text = line[:MAX_LINE].decode("utf-8", "backslashreplace").rstrip()
    more = "..." if len(line) > MAX_LINE else ""
    return "".join(one if one.isprintable() else printable(one) for one in text) + more


def _destination(bundle: SABundle, out: bool) -> str:
    """Who receives by an SPI is its destination."""
    sas = bundle.outbound if out else bundle.inbound
    return sas[0].key.destination if sas else ""
