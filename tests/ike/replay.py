"""
One end of a recorded conversation played by our code: what it says has to be what was said.

The private values of the recordings are not known, but what came of them is: a key pair of the
recording's has its public value and, with the peer's, its shared secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import replace

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from isakmp.associations import Lifetime, ProtectionSuite, SABundle
from isakmp.connections import Child, Connection
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.crypto.groups import Group, KeyPair
from isakmp.departures import USUAL, Departures
from isakmp.exchange.types import PHASE_1
from isakmp.identity import Identity, IdentityPattern, TrafficSelector
from isakmp.ike.parameters import configured
from isakmp.ike.protection import Phase1Protection
from isakmp.ike.sa import ISAKMPSA
from isakmp.interfaces import (
    IExchange,
    IExchangeType,
    IKeyExchangeMethod,
    IManagementSA,
    IMessageProtection,
    INode,
)
from isakmp.node import Node
from isakmp.parts import Part, Role
from isakmp.paths import Path
from isakmp.sinks.memory import MemorySink
from isakmp.testing import LossyNetwork, VirtualClock
from isakmp.wire.message import CookiePair, Message
from isakmp.wire.payloads import (
    Identification,
    KeyExchange,
    Nonce,
    Payload,
    SecurityAssociation,
)
from tests.ike.recorded import KINDS, Recorded, Said, UDPTunnels, understood
from tests.nodes import Member

UDP_TUNNELS = UDPTunnels()


class RecordedPair(KeyPair):
    """A key pair of which only the public value and one shared secret are known."""

    def __init__(self, of: Group, public: bytes, theirs: bytes, shared: bytes) -> None:
        self._group, self._public, self._theirs, self._shared = of, public, theirs, shared

    @property
    def group(self) -> Group:
        """The group."""
        return self._group

    @property
    def public(self) -> bytes:
        """The public value."""
        return self._public

    def agree(self, peer_public: bytes) -> bytes:
        """The shared secret, with the recorded peer."""
        assert peer_public == self._theirs
        return self._shared


class RecordedSink(MemorySink):
    """A sink that hands out the SPIs that were recorded, in their order."""

    def __init__(self, spis: Sequence[bytes]) -> None:
        super().__init__()
        self._left = list(spis)

    def reserve_spi(
        self, doi: int, protocol: int, path: Path, avoid: bytes = b""
    ) -> Deferred[bytes]:
        """The next."""
        return succeed(self._left.pop(0))


@implementer(IExchange)
class Replay:
    """
    An exchange whose peer is a recording.

    :param messages: of this exchange.
    :param order: what its type's method is given.
    """

    def __init__(
        self,
        conversation: Recorded,
        messages: Sequence[Said],
        kind: IExchangeType,
        role: Role,
        node: INode,
        order: object,
        sa: IManagementSA | None = None,
    ) -> None:
        self.node = node
        self.type = kind
        self.number: int = kind.number
        self.role = role
        self.doi = UDP_TUNNELS
        self.sa = sa
        self.message_id = messages[0].header.message_id
        self.vendor_ids: frozenset[bytes] = frozenset()
        self.lenient: Departures = USUAL
        ours = conversation.path
        self.path = ours if role is Role.INITIATOR else ours.reversed()
        self.protection: IMessageProtection | None = None
        if sa is not None:
            self.protection = sa.protection(kind, self.message_id)
        self.spoken: list[Sequence[Payload]] = []
        self._left = list(messages)
        self._cookies = conversation.cookies if sa is not None else messages[0].header.cookies
        self.method: IKeyExchangeMethod = kind.method(self, order)

    @property
    def cookies(self) -> CookiePair:
        """As far as they are known."""
        return self._cookies

    @property
    def connection(self) -> Connection | None:
        """The method's."""
        return self.method.connection

    async def initiator(self, *parts: Part) -> None:
        """The initiator's next message."""
        await self._arrow(Role.INITIATOR, frozenset(parts))

    async def responder(self, *parts: Part) -> None:
        """The responder's next message."""
        await self._arrow(Role.RESPONDER, frozenset(parts))

    async def protect(self, last_may_be_clear: bool = False) -> None:
        """From here on sealed."""
        if self.protection is None:
            self.protection = await self.method.protection()

    def cancel(self) -> None:
        """Nobody gives it up."""
        raise NotImplementedError

    committed = False

    async def connected(self) -> None:
        """No recording has the Commit bit."""

    def authenticate_only(self) -> None:
        """No recording has that."""
        raise NotImplementedError

    def otherwise(self, undo: Callable[[], object]) -> None:
        """Nothing goes wrong here."""

    async def _arrow(self, sender: Role, parts: frozenset[Part]) -> None:
        said = self._left.pop(0)
        assert said.sender is sender
        self._cookies = said.header.cookies
        if sender is self.role:
            await self._say(parts, said)
        else:
            await self._hear(parts, said)

    async def _say(self, parts: frozenset[Part], said: Said) -> None:
        payloads = list(await self.method.say(parts, ()))
        self.spoken.append(payloads)
        # In phase 2 the protection adds the HASH; what rides was strongSwan's affair.
        theirs = list(said.payloads[1:] if self.sa is not None else said.payloads)
        # It stands before or after the proof.
        kinds, ours = {type(payload) for payload in payloads}, iter(payloads)
        whole = [next(ours) if type(one) in kinds else one for one in theirs]
        assert not [*ours], (payloads, theirs)
        header = said.header
        message = Message(header.cookies, self.number, 0, self.message_id, tuple(whole))
        if self.protection is None:
            assert message.encode() == said.raw, (payloads, theirs)
            return
        octets = self.protection.seal(message)
        assert isinstance(self.protection, Phase1Protection)
        block = len(self.protection.iv)
        if len(said.padding) == block:
            # strongSwan also fills up what is full already; RFC 2409 appendix B does not.
            octets = octets[:24] + len(said.raw).to_bytes(4) + octets[28:] + said.raw[-block:]
            self.protection.iv = octets[-block:]
        assert octets == said.raw, (payloads, theirs)

    async def _hear(self, parts: frozenset[Part], said: Said) -> None:
        if self.protection is None:
            message = Message.decode(said.raw)
        else:
            message = self.protection.unseal(said.raw)
        self.method = copy(self.method)
        await self.method.hear(parts, message)

    @property
    def complete(self) -> bool:
        """Whether nothing more was said."""
        return not self._left


def _one(said: Said, kind: type[Payload]) -> bytes:
    """The body of a message's payload."""
    return said.clear.one(kind).encode()


def nonces(messages: Sequence[Said], role: Role) -> Callable[[int], bytes]:
    """Entropy that gives one end's nonce, and nothing else."""
    (nonce,) = (
        one.clear.one(Nonce).data for one in messages if one.sender is role and one.clear.has(Nonce)
    )

    def entropy(octets: int) -> bytes:
        assert octets == len(nonce)
        return nonce

    return entropy


class RecordedGroup:
    """In the place of :func:`isakmp.crypto.groups.group`: its pairs are the recording's."""

    def __init__(self, real: Callable[[int], Group], pairs: Iterator[RecordedPair]) -> None:
        self._real, self._pairs = real, pairs

    def __call__(self, number: int) -> RecordedGroup:
        """The group of this number, which generates the next recorded pair."""
        self._number = number
        return self

    def check(self, peer_public: bytes) -> None:
        """As the group does."""
        self._real(self._number).check(peer_public)

    def generate(self) -> RecordedPair:
        """The next."""
        pair = next(self._pairs)
        assert pair.group.number == self._number
        return pair


def exchanged(of: Group, messages: Sequence[Said], role: Role, shared: bytes) -> RecordedPair:
    """One end's key pair of the exchange that these messages are."""
    publics = {one.sender: _one(one, KeyExchange) for one in messages if one.clear.has(KeyExchange)}
    return RecordedPair(of, publics[role], publics[role.other], shared)


def spis(messages: Sequence[Said], role: Role) -> list[bytes]:
    """What one end of a Quick Mode receives by, in order."""
    return [
        proposal.spi
        for one in messages
        if one.sender is role
        for payload in one.clear.all(SecurityAssociation)
        for suite in understood(payload.encode()).suites
        for proposal in suite.proposals
    ]


def child_of(number: int, messages: Sequence[Said], role: Role) -> Child:
    """What a Quick Mode was about, as one end has it configured."""
    (payload,) = messages[0].clear.all(SecurityAssociation)
    suites = tuple(
        ProtectionSuite(tuple(replace(p, spi=b"") for p in suite.proposals))
        for suite in understood(payload.encode()).suites
    )
    client_i, client_r = (
        TrafficSelector.of(Identity(one.kind, one.protocol, one.port, one.data))
        for one in messages[0].clear.all(Identification)
    )
    local, remote = (client_i, client_r) if role is Role.INITIATOR else (client_r, client_i)
    return Child(f"net{number}", suites, (local,), (remote,), Lifetime())


def player(conversation: Recorded, role: Role) -> tuple[Connection, Node]:
    """A node that is configured as one end of a recording was, and its connection."""
    ours, theirs = conversation.ids if role is Role.INITIATOR else conversation.ids[::-1]
    path = conversation.path if role is Role.INITIATOR else conversation.path.reversed()
    quick_modes = enumerate(messages for _, messages in conversation.later("quick"))
    connection = Connection(
        "lab",
        conversation.offer("sa_i").suites,
        (path.local[0],),
        (path.remote[0],),
        Identity.parse(ours),
        IdentityPattern(theirs),
        lifetime=Lifetime(),  # what was offered: nothing shorter was said then
        children=tuple(child_of(number, messages, role) for number, messages in quick_modes),
    )
    assert configured(connection)
    clock = VirtualClock()
    member = Member(
        LossyNetwork(clock),
        clock,
        path.local[0],
        [connection],
        [SharedSecret(conversation.secret, (ours, theirs))],
    )
    return connection, replace(member.node, dois={UDP_TUNNELS.number: UDP_TUNNELS})


def main_mode(conversation: Recorded, role: Role, node: Node, order: object) -> Replay:
    """Phase 1, about to begin; :func:`isakmp.ike.method.group` has to be replaced."""
    messages = conversation.main_mode()
    node = replace(node, entropy=nonces(messages, role))
    kind = PHASE_1[messages[0].header.exchange_type]
    return Replay(conversation, messages, kind, role, node, order)


def quick_mode(
    conversation: Recorded, messages: Sequence[Said], role: Role, node: Node, sa: ISAKMPSA
) -> Replay:
    """A Quick Mode, about to begin; :func:`isakmp.ike.sa.group` has to be replaced."""
    node = replace(
        node, entropy=nonces(messages, role), sink=RecordedSink(spis(messages, role))
    )
    number = [mid for mid, _ in conversation.later("quick")].index(messages[0].header.message_id)
    children = node.policy.connection("lab").children[number : number + 1]
    order = children if role is Role.INITIATOR else None
    return Replay(conversation, messages, KINDS["quick"], role, node, order, sa)


def key_octets(bundle: SABundle, role: Role) -> dict[str, bytes]:
    """The keys of both directions, named as in the recordings: by who sends with them."""
    (inbound,), (outbound,) = bundle.inbound, bundle.outbound
    ours, theirs = ("i", "r") if role is Role.INITIATOR else ("r", "i")
    return {
        f"{name}_{end}": sa.keys[use]
        for sa, end in ((outbound, ours), (inbound, theirs))
        for name, use in (("encr", "encryption"), ("integ", "integrity"))
        if sa.keys[use]
    }
