"""
Quick Mode.  RFC 2409 section 5.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self, cast

from zope.interface import implementer

from isakmp.associations import ChildRequest, Offer, SABundle
from isakmp.connections import Child, Connection
from isakmp.errors import (
    ConfigurationError,
    InvalidIdentity,
    InvalidKeyInformation,
    NoProposalChosen,
    Reason,
    UnexpectedPayload,
)
from isakmp.exchange import negotiation
from isakmp.exchange.negotiation import Negotiated, Proposed
from isakmp.exchange.phase1 import offer_of
from isakmp.exchange.traffic import identifications, traffic_of
from isakmp.identity import traffic
from isakmp.ike.rules import NONCE_SIZE, check_sa_first, nonce_of
from isakmp.interfaces import (
    IExchange,
    IExchangeType,
    IKeyAgreement,
    IKeyExchangeMethod,
    IManagementSA,
    IMessageProtection,
    Sealed,
)
from isakmp.numbers import ExchangeType
from isakmp.parts import INITIATOR, NONCE, RESPONDER, SA, Part, Role
from isakmp.wire.message import Message
from isakmp.wire.payloads import (
    PAYLOADS,
    Identification,
    KeyExchange,
    Nonce,
    Payload,
    SecurityAssociation,
)

_MAX_SAS = 8
"""SA payloads of one exchange: each can cost a negotiation."""


@implementer(IExchangeType)
class QuickMode:
    """
    Makes the SAs of other security protocols under an ISAKMP SA.
    """

    number = int(ExchangeType.QUICK_MODE)
    name = "Quick Mode"
    payloads: Mapping[int, type[Payload]] = PAYLOADS
    sealed = Sealed.REQUIRED
    one_way = False
    establishes = True
    waits_for_cookie = False

    def hashed(self, sa: IManagementSA, message_id: bytes, nonces: bytes, rest: bytes) -> bytes:
        """
        ::

            HASH(1) = prf(SKEYID_a, M-ID | SA | Ni [ | KE ] [ | IDci | IDcr ])
            HASH(2) = prf(SKEYID_a, M-ID | Ni_b | SA | Nr [ | KE ] [ | IDci | IDcr ])
            HASH(3) = prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b)
        """
        zero = b"" if rest else b"\0"
        return sa.authenticate(zero + message_id + nonces + rest)

    def method(self, exchange: IExchange, order: object) -> IKeyExchangeMethod:
        """
        :param order: the children to negotiate, one SA payload each.
        """
        return QuickMethod(exchange, cast("Sequence[Child]", order or ()))

    async def run(self, exchange: IExchange) -> object:
        """
        ::

            Initiator                        Responder
            HDR*, HASH(1), SA, Ni
              [, KE ] [, IDci, IDcr ] -->
                                      <--    HDR*, HASH(2), SA, Nr
                                               [, KE ] [, IDci, IDcr ]
            HDR*, HASH(3)             -->
                                   [  <--    HDR*, HASH(1), N(CONNECTED) ]

        The last, in either direction, if that end has set the Commit bit.
        """
        await exchange.initiator(SA, NONCE)
        await exchange.responder(SA, NONCE)
        await exchange.initiator()
        await exchange.connected()
        return await exchange.method.established()


@implementer(IKeyExchangeMethod)
class QuickMethod:
    """
    What Quick Mode's messages consist of: the diagram's optional words are added here, [KE] if the
    proposals name a group, [IDci, IDcr] always by us; the responder answers in kind.

    Attributes are immutable values, rebound.
    """

    def __init__(self, exchange: IExchange, children: Sequence[Child]) -> None:
        if exchange.sa is None:
            raise RuntimeError("Quick Mode runs under an ISAKMP SA")
        self.exchange = exchange
        self._sa: IManagementSA = exchange.sa
        self._children = tuple(children)
        self._proposed: tuple[Proposed, ...] = ()
        self._negotiated: tuple[Negotiated, ...] = ()
        self._bundles: tuple[SABundle, ...] = ()
        self._nonces: Mapping[Role, bytes] = {}
        self._identities: tuple[Identification, ...] = ()
        self._agreement: IKeyAgreement | None = None
        self._g_xy = b""
        self._group: int | None = None
        self._installed = False

    def __copy__(self) -> Self:
        # Every message is heard on a copy: the general way takes ten times as long.
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    # -- IKeyExchangeMethod --------------------------------------------------------------------

    @property
    def connection(self) -> Connection | None:
        """The connection of the SA."""
        try:
            return self.exchange.node.policy.connection(self._sa.connection)
        except LookupError:
            return None

    def expects(self, parts: frozenset[Part]) -> Sequence[type[Payload]]:
        """SA and NONCE; of the last message nothing but its HASH, which the protection has."""
        return (SecurityAssociation, Nonce) if SA in parts else ()

    async def say(self, parts: frozenset[Part], riding: Sequence[Payload]) -> Sequence[Payload]:
        """
        Our payloads.

        The last message commits us, so everything is installed before; but for what we send by,
        if the peer does not want to hear it before it says CONNECTED.
        """
        if SA not in parts:
            if self.exchange.committed:
                await self._install_inbound()
            else:
                await self._install()
            return ()
        initiating = self.exchange.role is INITIATOR
        offers = await (self._propose() if initiating else self._accept())
        nonce = self.exchange.node.entropy(NONCE_SIZE)
        self._nonces = {**self._nonces, self.exchange.role: nonce}
        payloads: list[Payload] = [*(offer.payload() for offer in offers), Nonce(nonce)]
        if self._group is not None:
            payloads.append(KeyExchange(self._half().public))
        if not initiating:
            self._make_bundles()
            await self._install_inbound()
            riding = [*riding, *negotiation.lifetime_notices(self.exchange, self._negotiated)]
        return [*payloads, *self._identities, *riding]

    async def hear(self, parts: frozenset[Part], message: Message) -> Message:
        """The peer's payloads."""
        if SA not in parts:
            return message  # HASH(3) has proven that the initiator is alive and meant it
        check_sa_first(message)
        self._nonces = {**self._nonces, self.exchange.role.other: nonce_of(message).data}
        payloads = message.all(SecurityAssociation)
        if len(payloads) > _MAX_SAS:
            raise UnexpectedPayload(Reason("too many SA payloads", str(len(payloads))))
        offers = tuple(self._understood(payload) for payload in payloads)
        identities = message.all(Identification)
        if len(identities) not in (0, 2):
            raise UnexpectedPayload(
                Reason("two client identities or none", str(len(identities)))
            )
        if self.exchange.role is INITIATOR:
            await self._confirm(offers, identities)
        else:
            await self._choose(offers, identities)
        self._check_key_exchange(message.all(KeyExchange))
        if self.exchange.role is INITIATOR:
            self._negotiated = negotiation.shortened(self.exchange, self._negotiated, message)
            self._make_bundles()
        return message

    async def protection(self) -> IMessageProtection:
        """Never asked: sealed from birth."""
        raise RuntimeError("Quick Mode derives no keys for messages")

    async def established(self) -> object:
        """The SA bundles, one for each SA payload."""
        if not self._installed:
            await self._install()
        return self._bundles

    # -- as initiator --------------------------------------------------------------------------

    async def _propose(self) -> tuple[Offer, ...]:
        if not 1 <= len(self._children) <= _MAX_SAS:
            raise ConfigurationError(f"one to {_MAX_SAS} children can share a Quick Mode")
        policies = [
            self.exchange.node.policy.proposed(self._sa, child) for child in self._children
        ]
        if len({(one.local, one.remote, one.identities) for one in policies}) > 1:
            raise ConfigurationError("children of one Quick Mode protect the same traffic")
        proposed = [await negotiation.propose(self.exchange, policy) for policy in policies]
        self._proposed = tuple(proposed)
        try:
            self._group = negotiation.group_of(
                self.exchange, [suite for one in proposed for suite in one.offer.suites]
            )
        except NoProposalChosen as error:
            raise ConfigurationError(str(error)) from None
        self._identities = identifications(self.exchange, policies[0])
        return tuple(one.offer for one in proposed)

    async def _confirm(
        self, answers: tuple[Offer, ...], identities: tuple[Identification, ...]
    ) -> None:
        if len(answers) != len(self._proposed):
            raise NoProposalChosen(
                Reason("SA payloads in the answer", str(len(answers)), str(len(self._proposed)))
            )
        asked, answered = (
            traffic_of(self.exchange, each) for each in (self._identities, identities)
        )
        if asked != answered:
            raise InvalidIdentity(
                Reason(
                    "the answer is about other traffic",
                    traffic(*answered),
                    traffic(*asked),
                )
            )
        self._negotiated = tuple(
            [
                await negotiation.confirmed(self.exchange, proposed, answer)
                for proposed, answer in zip(self._proposed, answers, strict=True)
            ]
        )
        negotiation.check_spis(self.exchange, self._negotiated)

    # -- as responder --------------------------------------------------------------------------

    async def _choose(
        self, offers: tuple[Offer, ...], identities: tuple[Identification, ...]
    ) -> None:
        offer = offers[0]
        local, remote, named = traffic_of(self.exchange, identities)
        request = ChildRequest(offer.doi, offer.situation, local, remote, named)
        candidates = await self.exchange.node.policy.phase2(self._sa, request)
        policy, chosen = negotiation.choose(self.exchange, candidates, offers)
        self._negotiated = tuple(Negotiated(policy, suite, {}) for suite in chosen)
        negotiation.check_spis(self.exchange, self._negotiated)
        self._group = negotiation.group_of(self.exchange, chosen)
        self._identities = identities

    async def _accept(self) -> tuple[Offer, ...]:
        self._negotiated = await negotiation.accept(self.exchange, self._negotiated)
        return tuple(negotiation.answer(self.exchange, one) for one in self._negotiated)

    # -- both ----------------------------------------------------------------------------------

    def _understood(self, payload: SecurityAssociation) -> Offer:
        if payload.doi != self._sa.doi:
            raise NoProposalChosen(
                Reason("an SA of another domain", str(payload.doi), str(self._sa.doi))
            )
        return offer_of(self.exchange.doi, payload, self.exchange.lenient)

    def _check_key_exchange(self, payloads: tuple[KeyExchange, ...]) -> None:
        """A KE payload if, and only if, a group is agreed.  RFC 2409 section 5.5."""
        if len(payloads) != (self._group is not None):
            raise InvalidKeyInformation(
                Reason(
                    "a KE payload goes with a group, and only with one",
                    f"{len(payloads)} KE payloads",
                    "no group" if self._group is None else f"group {self._group}",
                )
            )
        if payloads:
            self._g_xy = self._half().agree(payloads[0].data)

    def _half(self) -> IKeyAgreement:
        """Our half of the agreement in the group of this exchange."""
        if self._agreement is None:
            assert self._group is not None
            self._agreement = self._sa.agreement(self._group)
        return self._agreement

    def _make_bundles(self) -> None:
        n_i, n_r = self._nonces[INITIATOR], self._nonces[RESPONDER]
        self._bundles = tuple(
            negotiation.bundle(self.exchange, one, self._g_xy, n_i, n_r) for one in self._negotiated
        )

    async def _install_inbound(self) -> None:
        for bundle in self._bundles:
            await negotiation.install_inbound(self.exchange, bundle)

    async def _install(self) -> None:
        self._installed = True
        for bundle in self._bundles:
            await negotiation.install(self.exchange, bundle)
        if self.exchange.role is INITIATOR:
            # Last: what has been given back may be another exchange's when this one fails.
            await negotiation.release_unused(self.exchange, self._proposed, self._negotiated)
