"""
A method for exchange types that make children: for whoever draws a diagram of their own.

RFC 2408 section 3.1 leaves the exchange types from 32 on to the domain of interpretation.  What
such an exchange has to settle is the same in all of them: which child is meant (ID), fresh octets
for the keys (NONCE), and the suite (SA).  In which messages that is said is the diagram's, and that
alone has to be written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self, cast

from zope.interface import implementer

from isakmp.associations import ChildPolicy, ChildRequest, Offer, SABundle
from isakmp.connections import Candidates, Child, Connection
from isakmp.errors import (
    ConfigurationError,
    DOINotSupported,
    InvalidIdentity,
    Malformed,
    Reason,
    UnexpectedPayload,
)
from isakmp.exchange import negotiation
from isakmp.exchange.negotiation import Negotiated, Proposed
from isakmp.exchange.phase1 import offer_of
from isakmp.identity import Identities, Identity, TrafficSelector
from isakmp.interfaces import IExchange, IKeyExchangeMethod, IManagementSA, IMessageProtection
from isakmp.parts import ID, NONCE, SA, Part, Role
from isakmp.wire.message import Message
from isakmp.wire.payloads import Identification, Nonce, Payload, SecurityAssociation

NONCE_SIZE = 32
"""Octets of a nonce of ours."""

_NONCE_SIZES = range(8, 257)
_WORDS: Mapping[Part, type[Payload]] = {
    SA: SecurityAssociation,
    NONCE: Nonce,
    ID: Identification,
}
"""In the order in which they stand in a message."""

Traffic = tuple[TrafficSelector, TrafficSelector, Identities | None]


def traffic_of(exchange: IExchange, payloads: Sequence[Identification]) -> Traffic:
    """
    What two Identification payloads, the initiator's end first, say of the traffic: at our end, at
    the peer's, and both identities if they do not name it by addresses.

    Without payloads, or addresses in them, the hosts themselves.

    :raises InvalidIdentity: if the domain of interpretation does not take one.
    """
    initiating = exchange.role is Role.INITIATOR
    named = None
    if payloads:
        ends = [_identity(exchange, payload) for payload in payloads]
        ours, theirs = ends if initiating else reversed(ends)
        if ours.bounds is not None and theirs.bounds is not None:
            return TrafficSelector.of(ours), TrafficSelector.of(theirs), None
        named = Identities(ours, theirs)
    path = exchange.path
    return TrafficSelector.host(path.local[0]), TrafficSelector.host(path.remote[0]), named


def identifications(policy: ChildPolicy) -> tuple[Identification, Identification]:
    """What names a child's traffic, our end first."""
    named = policy.identities
    if named is None:
        named = Identities(policy.local.identity(), policy.remote.identity())
    ours, theirs = (
        Identification(one.kind, one.protocol, one.port, one.data)
        for one in (named.ours, named.theirs)
    )
    return ours, theirs


def _identity(exchange: IExchange, payload: Identification) -> Identity:
    return exchange.doi.identity(payload.kind, payload.protocol, payload.port, payload.data)


@implementer(IKeyExchangeMethod)
class ChildMethod:
    """
    Implements IKeyExchangeMethod for a diagram of SA, NONCE and ID in which

    * the initiator speaks first, and last with a message without parts, before which it installs;
    * each end says each of the three words at most once, SA and NONCE at least;
    * both nonces have been said when the responder says SA, in that message at the latest; and ID,
      if at all, not later than SA.

    One child; its keys come of the management SA and the nonces alone.

    Its attributes are immutable values, rebound.

    :param order: of an initiator the children to negotiate, of which there may be one only.
    """

    def __init__(self, exchange: IExchange, order: object) -> None:
        if exchange.sa is None:
            raise RuntimeError("children are made under a management SA")
        children = tuple(cast("Sequence[Child]", order or ()))
        if len(children) > 1:
            raise ConfigurationError(f"{exchange.type.name} makes one child, not {len(children)}")
        self.exchange = exchange
        self._sa: IManagementSA = exchange.sa
        self._child = children[0] if children else None
        self._nonces: Mapping[Role, bytes] = {}
        self._identities: tuple[Identification, ...] = ()
        self._proposed: Proposed | None = None
        self._negotiated: Negotiated | None = None
        self._bundle: SABundle | None = None

    def __copy__(self) -> Self:
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    @property
    def connection(self) -> Connection | None:
        """The connection of the SA."""
        try:
            return self.exchange.node.policy.connection(self._sa.connection)
        except LookupError:
            return None

    def expects(self, parts: frozenset[Part]) -> Sequence[type[Payload]]:
        """The payload classes of these parts."""
        return [kind for part, kind in _WORDS.items() if part in parts]

    async def say(self, parts: frozenset[Part], riding: Sequence[Payload]) -> Sequence[Payload]:
        """Our payloads; a message without parts commits us, so everything is installed before."""
        if not parts:
            await self._install()
            return ()
        if NONCE in parts:
            nonce = self.exchange.node.entropy(NONCE_SIZE)
            self._nonces = {**self._nonces, self.exchange.role: nonce}
        initiating = self.exchange.role is Role.INITIATOR
        if ID in parts and initiating:
            self._identities = identifications(self._policy())
        payloads: list[Payload] = []
        if SA in parts:
            payloads.append(await (self._offer() if initiating else self._answer()))
        if NONCE in parts:
            payloads.append(Nonce(self._nonces[self.exchange.role]))
        if ID in parts:
            payloads += self._identities
        return [*payloads, *riding]

    async def hear(self, parts: frozenset[Part], message: Message) -> Message:
        """The peer's payloads."""
        initiating = self.exchange.role is Role.INITIATOR
        if ID in parts:
            await self._identify(message.all(Identification))
        if NONCE in parts:
            nonce = message.one(Nonce).data
            if len(nonce) not in _NONCE_SIZES:
                raise Malformed(
                    Reason("the length of a nonce", f"{len(nonce)} octets", "8 to 256 octets")
                )
            self._nonces = {**self._nonces, self.exchange.role.other: nonce}
        if SA in parts:
            payload = message.one(SecurityAssociation)
            if payload.doi != self._sa.doi:
                raise DOINotSupported(
                    Reason("an SA of another domain", str(payload.doi), str(self._sa.doi))
                )
            offer = offer_of(self.exchange.doi, payload)
            await (self._confirm(offer) if initiating else self._choose(offer))
        return message

    async def protection(self) -> IMessageProtection:
        """Never asked: sealed from birth."""
        raise RuntimeError("a child's exchange derives no keys for messages")

    async def established(self) -> object:
        """The one bundle."""
        if self.exchange.role is Role.RESPONDER:
            await self._install()
        assert self._bundle is not None
        return (self._bundle,)

    # -- as initiator --------------------------------------------------------------------------

    def _policy(self) -> ChildPolicy:
        if self._child is None:
            raise ConfigurationError(f"{self.exchange.type.name} was given no child to negotiate")
        return self.exchange.node.policy.proposed(self._sa, self._child)

    async def _offer(self) -> Payload:
        proposed = await negotiation.propose(self.exchange, self._policy())
        if negotiation.group_of(self.exchange, proposed.offer.suites) is not None:
            raise ConfigurationError(f"{self.exchange.type.name} has no KE for a group")
        self._proposed = proposed
        return proposed.offer.payload()

    async def _confirm(self, answer: Offer) -> None:
        assert self._proposed is not None
        self._negotiated = await negotiation.confirmed(self.exchange, self._proposed, answer)
        negotiation.check_spis(self.exchange, (self._negotiated,))
        self._make()

    # -- as responder --------------------------------------------------------------------------

    async def _identify(self, payloads: tuple[Identification, ...]) -> None:
        """The responder looks whether it has such a child; the initiator whether it is its own."""
        if len(payloads) != 2:
            raise UnexpectedPayload(
                Reason("two identities, the initiator's first", str(len(payloads)))
            )
        traffic = traffic_of(self.exchange, payloads)
        if self.exchange.role is Role.RESPONDER:
            self._identities = payloads
            await self._candidates(Offer(self._sa.doi, self.exchange.doi.phase1_situation, ()))
        elif traffic != traffic_of(self.exchange, self._identities):
            raise InvalidIdentity(Reason("the answer is about other traffic"))

    async def _candidates(self, offer: Offer) -> Candidates[ChildPolicy]:
        local, remote, named = traffic_of(self.exchange, self._identities)
        request = ChildRequest(offer.doi, offer.situation, local, remote, named)
        return await self.exchange.node.policy.phase2(self._sa, request)

    async def _choose(self, offer: Offer) -> None:
        candidates = await self._candidates(offer)
        policy, (suite,) = negotiation.choose(self.exchange, candidates, (offer,))
        self._negotiated = Negotiated(policy, suite, {})
        negotiation.check_spis(self.exchange, (self._negotiated,))

    async def _answer(self) -> Payload:
        assert self._negotiated is not None
        (self._negotiated,) = await negotiation.accept(self.exchange, (self._negotiated,))
        self._make()
        assert self._bundle is not None
        await negotiation.install_inbound(self.exchange, self._bundle)
        return negotiation.answer(self.exchange, self._negotiated).payload()

    # -- both ----------------------------------------------------------------------------------

    def _make(self) -> None:
        assert self._negotiated is not None
        n_i, n_r = self._nonces[Role.INITIATOR], self._nonces[Role.RESPONDER]
        self._bundle = negotiation.bundle(self.exchange, self._negotiated, b"", n_i, n_r)

    async def _install(self) -> None:
        assert self._bundle is not None and self._negotiated is not None
        await negotiation.install(self.exchange, self._bundle)
        if self._proposed is not None:
            # Last: what has been given back may be another exchange's when this one fails.
            await negotiation.release_unused(
                self.exchange, (self._proposed,), (self._negotiated,)
            )
