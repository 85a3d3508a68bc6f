"""
A demonstration: two complete nodes in one process agree a tunnel over real sockets on this host.

Nothing is shared but the reactor: each node has sockets, a registry, a sink and keys of its own.
What each end computed is compared only after both are done: a fingerprint of the keying material of
every SA, and packets sealed by one end and opened by the other.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.defer import TimeoutError as DeferredTimeout
from zope.interface import implementer

from isakmp.associations import IPsecParameters, Lifetime, SABundle
from isakmp.capture import CapturedPorts
from isakmp.connections import Child, Connection, Intervals
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.demo_traffic import Cable, Recording, ping
from isakmp.doi.ipsec import ipsec
from isakmp.errors import (
    AuthenticationFailed,
    Cancelled,
    ConfigurationError,
    PeerError,
    Unreadable,
)
from isakmp.events import Established, ExchangeFailed, MessageSent, Removed
from isakmp.identity import Identity, IdentityPattern, TrafficSelector
from isakmp.ike.key_exchange import ike
from isakmp.interfaces import IManagementSA, IPorts
from isakmp.paths import Address, Datagram, endpoint
from isakmp.service import ISAKMPService
from isakmp.sinks.memory import MemorySink
from isakmp.wire.render import render

OK, FAILED, AUTHENTICATION = 0, 1, 4
"""Exit statuses."""

_SECRET = b"correct horse battery staple"
_OTHER_SECRET = b"incorrect horse battery staple"
_TRAFFIC = ("10.1.0.0/24", "10.2.0.0/24")
_PACKET = b"a packet that only the two ends can read"


@dataclass(frozen=True, slots=True)
class Choices:
    """
    What is demonstrated.

    :ivar proposal: for the ISAKMP SA, in strongSwan's spelling; ``esp`` for the ESP SAs.
    :ivar mode: ``tunnel`` or ``transport``.
    :ivar pfs: whether Quick Mode has a Diffie-Hellman exchange of its own, in the same group.
    :ivar loss: the share of datagrams that is lost, from 0 to 1, drawn from ``seed``.
    :ivar wrong_psk: whether the two pre-shared keys differ.
    :ivar ping: whether an echo goes through what was agreed.
    :ivar capture: a directory for all that travels, and for its keys; empty: nothing is kept.
    """

    proposal: str = "aes128-sha256-modp2048"
    esp: str = "aes128-sha256"
    mode: str = "tunnel"
    pfs: bool = False
    loss: float = 0.0
    seed: int = 1
    wrong_psk: bool = False
    ping: bool = False
    capture: str = ""

    @property
    def suite(self) -> str:
        """
        What the child asks for.

        :raises ConfigurationError: if the ISAKMP SA's proposal, which names the group, is not
            understood.
        """
        esp = self.esp
        if self.pfs:
            group = "-" + ike.spell(ike.suite(self.proposal, Lifetime())).rsplit("-", 1)[-1]
            # Every alternative has to name the group.
            esp = esp.replace("|", f"{group}|") + group
        return f"{self.mode}:{esp}"

    @property
    def seconds(self) -> float:
        """How long the demonstration may take."""
        return 60.0 if self.loss else 10.0


@implementer(IPorts)
class LossyPorts:
    """
    Sockets that lose a share of what is sent, by chance, but the same for the same seed.

    :ivar lost: whether the last datagram was.
    """

    def __init__(self, ports: IPorts, loss: float, chance: random.Random) -> None:
        self._ports = ports
        self._loss = loss
        self._chance = chance
        self.lost = False

    def source(self, remote: str, port: int) -> Address:
        """Our end of a path to an address."""
        return self._ports.source(remote, port)

    def send(self, datagram: Datagram) -> None:
        """Send it, or not."""
        self.lost = self._chance.random() < self._loss
        if not self.lost:
            self._ports.send(datagram)


class End:
    """
    One end: a node, what it is called, and how it tells what happens to it.

    :param names: its own and the peer's; likewise ``addresses`` and ``traffic``.
    """

    def __init__(
        self,
        names: tuple[str, str],
        addresses: tuple[Address, Address],
        traffic: tuple[str, ...],
        secret: bytes,
        choices: Choices,
        reactor: Any,
        chance: random.Random,
        cable: Cable,
        recording: Recording | None,
    ) -> None:
        self.name, peer = names
        self.address, remote = addresses
        selectors = tuple((TrafficSelector.parse(text),) for text in traffic) or ((), ())
        # Quick repeats, so that a lossy demonstration is over within a minute.
        intervals = Intervals(0.5, 1.6, 6) if choices.loss else Intervals()
        self.child = Child("net", (ipsec.suite(choices.suite, Lifetime(3600)),), *selectors)
        self.connection = Connection(
            "demo",
            (ike.suite(choices.proposal, Lifetime(14400)),),
            local=(self.address[0],),
            remote=(remote[0],),
            local_identity=Identity.parse(f"{self.name}.example"),
            remote_identity=IdentityPattern(f"{peer}.example"),
            local_port=self.address[1],
            remote_port=remote[1],
            children=(self.child,),
            intervals=intervals,
        )
        self.sink: MemorySink = cable.sink() if choices.ping else MemorySink()
        self.ports: LossyPorts | None = None

        def wrap(ports: IPorts) -> LossyPorts:
            if recording is not None:
                ports = CapturedPorts(ports, recording.datagram)
            self.ports = LossyPorts(ports, choices.loss, chance)
            return self.ports

        self.service = ISAKMPService(
            (self.connection,),
            (SharedSecret(secret, ()),),
            listen=(self.address,),
            sink=self.sink,
            reactor=reactor,
            wrap=wrap,
        )

    @property
    def bundles(self) -> list[SABundle]:
        """Its ESP SAs."""
        return [sa for sa in self.service.node.registry if isinstance(sa, SABundle)]

    @property
    def empty(self) -> bool:
        """Whether nothing is left in its registry."""
        return not list(self.service.node.registry)


class Ladder:
    """
    Writes every message as it leaves, in words, and every end that fails.

    :param write: takes a line.
    """

    def __init__(self, write: Callable[[str], None], seconds: Callable[[], float]) -> None:
        self._write = write
        self._seconds = seconds
        self._began = seconds()
        self.failures: dict[str, PeerError] = {}

    def follow(self, end: End, arrows: tuple[str, str]) -> None:
        """
        Write what this end sends.

        :param arrows: for a message in clear text, and for a sealed one.
        """

        def sent(event: MessageSent) -> None:
            milliseconds = (self._seconds() - self._began) * 1000
            notes = " (again)" if event.repeated else ""
            if end.ports is not None and end.ports.lost:
                notes += " (lost)"
            self._write(
                f"{milliseconds:9.1f}  {arrows[event.sealed]}  "
                f"{render(event.message, proof=event.proven)}{notes}"
            )

        def failed(event: ExchangeFailed) -> None:
            self.failures[end.name] = event.error
            self._write(f"{end.name}: {event.exchange} failed: {event.reason}")

        end.service.node.events.subscribe(MessageSent, sent)
        end.service.node.events.subscribe(ExchangeFailed, failed)


def addresses() -> tuple[Address, Address]:
    """
    Two free ports on 127.0.0.1 and 127.0.0.2, or both on 127.0.0.1 where it has no neighbour.

    :raises OSError: if this host has no loopback at all.
    """
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        one.bind(("127.0.0.1", 0))
        try:
            two.bind(("127.0.0.2", 0))
        except OSError:
            two.bind(("127.0.0.1", 0))
        return one.getsockname(), two.getsockname()


async def demonstrate(reactor: Any, choices: Choices, write: Callable[[str], None]) -> int:
    """
    Run it.

    :param write: takes each line of the account.
    :return: the exit status.
    :raises ConfigurationError: if the proposals are not understood.
    """
    one, two = addresses()
    chance = random.Random(choices.seed)
    traffic = _TRAFFIC if choices.mode == "tunnel" else ()
    secrets = (_SECRET, _OTHER_SECRET if choices.wrong_psk else _SECRET)
    recording = Recording(choices.capture) if choices.capture else None
    cable = Cable(recording)
    names, common = ("initiator", "responder"), (choices, reactor, chance, cable, recording)
    ends = (
        End(names, (one, two), traffic, secrets[0], *common),
        End(names[::-1], (two, one), traffic[::-1], secrets[1], *common),
    )
    if recording is not None:
        recording.keys_of(ends[0].service.node.events)
    ladder = Ladder(write, reactor.seconds)
    ladder.follow(ends[0], ("-->", "==>"))
    ladder.follow(ends[1], ("<--", "<=="))
    write(f"initiator {endpoint(one)}, responder {endpoint(two)}")
    write("milliseconds, direction (=: sealed), exchange and payloads")
    try:
        for end in ends:
            end.service.startService()
        status, verdict = await _agree(reactor, choices, ends, ladder, write, cable)
    except ConfigurationError as error:
        # What was chosen is understood by now; but a port may be taken that was free just before.
        status, verdict = FAILED, [f"No tunnel: {error}"]
    finally:
        await DeferredList([end.service.stopService() for end in ends])
        told = [] if recording is None else recording.close()
    for line in verdict:
        write(line)
    for line in told:
        write(line)
    return status


async def _agree(
    reactor: Any,
    choices: Choices,
    ends: tuple[End, End],
    ladder: Ladder,
    write: Callable[[str], None],
    cable: Cable,
) -> tuple[int, list[str]]:
    initiator, responder = ends
    limit = reactor.seconds() + choices.seconds - 1
    installed = _until(responder, Established, lambda: bool(responder.bundles))
    agreeing = initiator.service.endpoint.establish(initiator.connection, initiator.child)
    try:
        await agreeing.addTimeout(limit - reactor.seconds(), reactor)
        await installed.addTimeout(max(0.1, limit - reactor.seconds()), reactor)
    except (DeferredTimeout, Cancelled):
        return FAILED, [f"No tunnel: it was not agreed within {choices.seconds:.0f} seconds"]
    except PeerError as error:
        if choices.wrong_psk:
            # The responder's own account follows within its grace.
            told = _until(responder, ExchangeFailed, lambda: "responder" in ladder.failures)
            await DeferredList([told.addTimeout(3.0, reactor)], consumeErrors=True)
        # The responder may know more than the initiator: what it told can be lost.
        for known in (ladder.failures.get("responder"), error):
            if isinstance(known, (Unreadable, AuthenticationFailed)):
                return AUTHENTICATION, [f"No tunnel: {known}"]
        return FAILED, [f"No tunnel: {error}"]
    for line in (*table(initiator), *table(responder)):
        write(line)
    problems = proofs(initiator, responder, write)
    if choices.ping and not problems:
        problems += ping(cable, ends, write)
    write("Deleting both SAs:")
    gone = _until(responder, Removed, lambda: responder.empty)
    await initiator.service.endpoint.delete(tuple(initiator.service.node.registry))
    try:
        await gone.addTimeout(1.0, reactor)
    except DeferredTimeout:
        write("The Delete was lost: nothing answers it.  The responder deletes its SAs itself;")
        write("otherwise they would last until they expire.")
        await responder.service.endpoint.delete(tuple(responder.service.node.registry))
    if not (initiator.empty and responder.empty):
        problems.append("an SA is left")
    full = [end.name for end in ends if end.sink.standing or end.sink.reserved]
    problems += [f"the {name}'s sink is not empty" for name in full]
    if problems:
        return FAILED, [f"PROBLEM: {problem}" for problem in problems]
    return OK, ["Both registries are empty, and so are both sinks."]


def table(end: End) -> list[str]:
    """What one end holds."""
    node = end.service.node
    lines = ["", f"{end.name} {endpoint(end.address)} holds:"]
    for sa in node.registry:
        seconds = max(0.0, node.registry.expiry(sa).hard - node.clock.seconds())
        if isinstance(sa, SABundle):
            first = _parameters(sa)
            algorithms = first.encryption
            if first.integrity != "none":
                algorithms += f" {first.integrity}"
            lines.append(
                f"  ESP {first.mode}  {sa.policy.local} <-> {sa.policy.remote}"
                f"  {algorithms}  expires in {seconds:.0f} s"
            )
            for direction, sas in (("in ", sa.inbound), ("out", sa.outbound)):
                for one in sas:
                    spi = one.key.spi.hex()
                    print_ = end.sink.fingerprints(sa)[spi]
                    lines.append(f"    {direction} SPI {spi}  KEYMAT fingerprint {print_}")
        elif IManagementSA.providedBy(sa):
            lines.append(
                f"  ISAKMP SA {sa.key}  {sa.ours} <-> {sa.theirs}  expires in {seconds:.0f} s"
            )
    return lines


def _parameters(bundle: SABundle) -> IPsecParameters:
    parameters = bundle.inbound[0].parameters
    assert isinstance(parameters, IPsecParameters)
    return parameters


def proofs(one: End, other: End, write: Callable[[str], None]) -> list[str]:
    """
    Compare what the two ends computed.

    :return: what is wrong, in words; nothing if all is well.
    """
    problems: list[str] = []
    prints = [
        {spi: text for b in end.bundles for spi, text in end.sink.fingerprints(b).items()}
        for end in (one, other)
    ]
    write("")
    if prints[0] != prints[1] or not prints[0]:
        problems.append(f"the ends computed different keys: {prints[0]} and {prints[1]}")
    else:
        write(f"Both ends computed the same keys for {len(prints[0])} SPIs.")
    if len(set(prints[0].values())) < len(prints[0]):
        problems.append(f"two SPIs have the same keys: {prints[0]}")  # RFC 2409 section 5.5
    for sender, receiver in ((one, other), (other, one)):
        try:
            bundle = sender.bundles[0]
            packet = sender.sink.seal(bundle.name, _PACKET)
            opened = receiver.sink.open(packet)
        except (LookupError, ValueError) as error:
            problems.append(f"the {receiver.name} could not open the packet: {error}")
            continue
        if opened != _PACKET:
            problems.append(f"the {receiver.name} opened something else than was sealed")
        elif _PACKET in packet and _parameters(bundle).encryption != "null":
            problems.append(f"the {sender.name}'s packet shows what it should hide")
        else:
            write(
                f"A packet sealed by the {sender.name} ({len(packet)} octets of ESP) was opened by "
                f"the {receiver.name}."
            )
    return problems


def _until(end: End, kind: type[Any], true: Callable[[], bool]) -> Deferred[None]:
    """Fires at the first such event after which something is true; at once if it is already."""
    waiting: Deferred[None] = Deferred()

    def check(_: object = None) -> None:
        if not waiting.called and true():
            unsubscribe()
            waiting.callback(None)

    unsubscribe = end.service.node.events.subscribe(kind, check)
    check()
    return waiting
