"""
What the framework's exchanges consist of under an SA, for any key exchange: children are made.

RFC 2408 section 4 draws its exchanges for both phases.  In phase 2 the SA has proved both ends
already, so its keys are all that the words need: AUTH is the SA's own proof of what has been said,
KE an agreement that the SA begins.  A key exchange whose children need nothing else gives
:class:`Phase2Method` for them.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any

from zope.interface import implementer

from isakmp.associations import ChildRequest, Offer, SABundle
from isakmp.connections import Child, Connection
from isakmp.crypto.groups import group
from isakmp.errors import (
    AuthenticationFailed,
    ConfigurationError,
    DOINotSupported,
    InvalidIdentity,
    Malformed,
    NoProposalChosen,
    Reason,
)
from isakmp.exchange import negotiation
from isakmp.exchange.negotiation import Negotiated, Proposed
from isakmp.exchange.phase1 import offer_of
from isakmp.exchange.traffic import identifications, traffic_of
from isakmp.exchange.words import Words
from isakmp.interfaces import (
    IExchange,
    IKeyAgreement,
    IKeyExchangeMethod,
    IManagementSA,
    IMessageProtection,
)
from isakmp.parts import AUTH, ID, INITIATOR, KE, NONCE, RESPONDER, SA, Part, Role
from isakmp.wire.payloads import (
    Hash,
    Identification,
    KeyExchange,
    Nonce,
    Payload,
)

NONCE_SIZE = 32
"""Octets of a nonce of ours."""

_NONCE_SIZES = range(8, 257)


@implementer(IKeyAgreement)
class Agreement:
    """
    Implements IKeyAgreement for the groups of :mod:`isakmp.crypto.groups`: our half of a new one.

    :param number: of the group.
    :raises LookupError: if there is no such group here.
    """

    def __init__(self, number: int) -> None:
        self._pair = group(number).generate()
        self.public = self._pair.public

    def agree(self, peer_public: bytes) -> bytes:
        """g^xy."""
        return self._pair.agree(peer_public)


@implementer(IKeyExchangeMethod)
class Phase2Method(Words):
    """
    Implements IKeyExchangeMethod for Base, Identity Protection, Authentication Only and Aggressive
    under an SA, and for any other diagram of these words in which each end says SA and AUTH once,
    the initiator SA first, and both nonces stand before the responder's AUTH or beside it.  The
    result is one bundle.

    An offer cannot be answered without knowing for which traffic, so the two identities that name
    it, the initiator's end first, stand beside SA whatever the diagram says; the responder repeats
    them.  Each end installs what it agreed before it says the last word, or when it has heard it.

    Its attributes are immutable values, rebound.

    :param children: of an initiator what to negotiate: one.
    :param group: for KE where the suite names none; 0 in a diagram without KE.
    """

    def __init__(self, exchange: IExchange, children: Sequence[Child], group: int = 0) -> None:
        if exchange.sa is None:
            raise RuntimeError("children are made under an SA")
        if len(children) > 1:
            raise ConfigurationError(f"{exchange.type.name} makes one child, not {len(children)}")
        super().__init__(exchange)
        self._sa: IManagementSA = exchange.sa
        self._children = tuple(children)
        self._default = group
        self._traffic: tuple[Identification, ...] = ()
        self._offer: Offer | None = None
        self._proposed: Proposed | None = None
        self._negotiated: Negotiated | None = None
        self._agreement: IKeyAgreement | None = None
        self._bundle: SABundle | None = None
        self._installed = False

    # -- IKeyExchangeMethod --------------------------------------------------------------------

    @property
    def connection(self) -> Connection | None:
        """The connection of the SA."""
        try:
            return self.exchange.node.policy.connection(self._sa.connection)
        except LookupError:
            return None

    async def protection(self) -> IMessageProtection:
        """Never asked: sealed from birth."""
        raise RuntimeError("an exchange under an SA derives no keys for messages")

    async def established(self) -> object:
        """The one bundle."""
        await self._install()
        return (self._bundle,)

    # -- words ---------------------------------------------------------------------------------

    def layout(self, parts: frozenset[Part]) -> frozenset[Part]:
        """The traffic stands beside SA."""
        return parts | {ID} if SA in parts else parts - {ID}

    def count(self, part: Part) -> int:
        """Both ends of the traffic."""
        return 2 if part is ID else 1

    async def make(self, part: Part) -> Sequence[Payload]:
        """Our word."""
        if part is SA:
            initiating = self.exchange.role is INITIATOR
            offer = await (self._propose() if initiating else self._accept())
            return (offer.payload(),)
        if part is ID:
            return self._traffic
        if part is NONCE:
            return (Nonce(self.exchange.node.entropy(NONCE_SIZE)),)
        if part is KE:
            self._agreement = self._sa.agreement(self._group() or self._default)
            return (KeyExchange(self._agreement.public),)
        await self._before_proof()
        return (Hash(self._sa.authenticate(self.transcript(self.exchange.role))),)

    async def take(self, part: Part, heard: Sequence[Any]) -> None:
        """The peer's."""
        if part is SA:
            if heard[0].doi != self._sa.doi:
                raise DOINotSupported(
                    Reason("an SA of another domain", str(heard[0].doi), str(self._sa.doi))
                )
            self._offer = offer_of(self.exchange.doi, heard[0])
        elif part is ID:
            initiating = self.exchange.role is INITIATOR
            await (self._confirm() if initiating else self._choose(tuple(heard)))
        elif part is NONCE and len(heard[0].data) not in _NONCE_SIZES:
            size = f"{len(heard[0].data)} octets"
            raise Malformed(Reason("the length of a nonce", size, "8 to 256 octets"))
        elif part is AUTH:
            proof = self._sa.authenticate(self.transcript(self.exchange.role.other))
            if not hmac.compare_digest(heard[0].data, proof):
                raise AuthenticationFailed(Reason("AUTH does not prove what has been said"))

    # -- what is agreed ------------------------------------------------------------------------

    async def _propose(self) -> Offer:
        if not self._children:
            raise ConfigurationError(f"{self.exchange.type.name} was given no child to negotiate")
        policy = self.exchange.node.policy.proposed(self._sa, self._children[0])
        self._proposed = await negotiation.propose(self.exchange, policy)
        try:
            self._group()
        except NoProposalChosen as error:
            raise ConfigurationError(str(error)) from None
        self._traffic = identifications(self.exchange, policy)
        return self._proposed.offer

    async def _confirm(self) -> None:
        mine, theirs = self.said[INITIATOR][ID], self.said[RESPONDER][ID]
        if mine != theirs:
            raise InvalidIdentity(Reason("the answer is about other traffic"))
        assert self._proposed is not None and self._offer is not None
        self._negotiated = await negotiation.confirmed(self.exchange, self._proposed, self._offer)
        negotiation.check_spis(self.exchange, (self._negotiated,))

    async def _choose(self, traffic: tuple[Identification, ...]) -> None:
        assert self._offer is not None
        ends = traffic_of(self.exchange, traffic)
        request = ChildRequest(self._offer.doi, self._offer.situation, *ends)
        candidates = await self.exchange.node.policy.phase2(self._sa, request)
        policy, (suite,) = negotiation.choose(self.exchange, candidates, (self._offer,))
        self._negotiated = Negotiated(policy, suite, {})
        negotiation.check_spis(self.exchange, (self._negotiated,))
        self._traffic = traffic

    async def _accept(self) -> Offer:
        assert self._negotiated is not None
        (self._negotiated,) = await negotiation.accept(self.exchange, (self._negotiated,))
        return negotiation.answer(self.exchange, self._negotiated)

    def _group(self) -> int | None:
        """
        The group that the suite names, or all that are offered do.

        :raises NoProposalChosen: if they do not name the same.
        """
        if self._negotiated is not None:
            return negotiation.group_of(self.exchange, (self._negotiated.chosen,))
        assert self._proposed is not None
        return negotiation.group_of(self.exchange, self._proposed.offer.suites)

    # -- what comes of it ----------------------------------------------------------------------

    async def _before_proof(self) -> None:
        """Our proof is the last word, and commits us, or the peer may send once it has it."""
        if AUTH in self.said[self.exchange.role.other]:
            await self._install()
        elif self.exchange.role is RESPONDER:
            self._make_bundle()
            assert self._bundle is not None
            await negotiation.install_inbound(self.exchange, self._bundle)

    def _make_bundle(self) -> None:
        assert self._negotiated is not None
        g_xy = b""
        if self._agreement is not None:
            g_xy = self._agreement.agree(self.said[self.exchange.role.other][KE])
        elif self._group() is not None:
            raise NoProposalChosen(
                Reason(f"a group is asked for, and {self.exchange.type.name} has no KE")
            )
        nonces = (self.said[role][NONCE] for role in Role)
        self._bundle = negotiation.bundle(self.exchange, self._negotiated, g_xy, *nonces)

    async def _install(self) -> None:
        if self._installed:
            return
        if self._bundle is None:
            self._make_bundle()
        assert self._bundle is not None and self._negotiated is not None
        await negotiation.install(self.exchange, self._bundle)
        self._installed = True
        if self._proposed is not None:
            # Last: what has been given back may be another exchange's when this one fails.
            await negotiation.release_unused(
                self.exchange, (self._proposed,), (self._negotiated,)
            )
