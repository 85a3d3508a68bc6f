"""
One SA operation of a CREATE: what stands in one KINK_ISAKMP payload, and in its answer.

RFC 4430 sections 3.2, 5 and 6.3.  What is offered and chosen, SPIs, keying material and
installation are the framework's (:mod:`isakmp.exchange.negotiation`); here is what differs from
Quick Mode: no HASH, a responder's nonce that may be missing, and an initiator that is ready to
receive by its first proposal before it knows the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from isakmp.associations import (
    ChildRequest,
    Offer,
    ProtectionSuite,
    SABundle,
)
from isakmp.connections import Child
from isakmp.departures import Departures
from isakmp.errors import (
    ConfigurationError,
    InvalidIdentity,
    InvalidKeyInformation,
    Malformed,
    NoProposalChosen,
    PeerError,
    Reason,
    UnexpectedPayload,
)
from isakmp.events import Removal
from isakmp.exchange import negotiation
from isakmp.exchange.negotiation import Negotiated, Proposed
from isakmp.exchange.phase1 import offer_of
from isakmp.identity import Identity, TrafficSelector
from isakmp.interfaces import IDomainOfInterpretation, IKeyAgreement, INegotiation, INode
from isakmp.kink.session import Sessions, TicketSession
from isakmp.logs import Logger
from isakmp.numbers import PayloadType
from isakmp.parts import Role
from isakmp.paths import Path
from isakmp.wire.payloads import (
    Delete,
    Identification,
    KeyExchange,
    Nonce,
    Notification,
    Payload,
    SecurityAssociation,
)

NONCE_SIZE = 32
"""Octets of our nonces."""

_NONCES = range(8, 257)
"""Octets that a nonce can have.  RFC 2409 section 5."""

_READ = (SecurityAssociation, Nonce, KeyExchange, Identification, Notification)


class KENotSupported(UnexpectedPayload):
    """A KE payload where no group is agreed; the notification names it.  RFC 4430 section 3.2."""

    data = bytes((PayloadType.KE,))


@implementer(INegotiation)
class Creation:
    """
    Implements INegotiation: one bundle, made whole or not at all.

    :param sa: the session it is made in; of an initiator provisional, until the peer's epoch is
        known.
    """

    _log = Logger()

    def __init__(
        self, node: INode, sessions: Sessions, role: Role, session: TicketSession, path: Path
    ) -> None:
        self.node = node
        self.role = role
        self.doi: IDomainOfInterpretation = node.dois[session.doi]
        self.sa: TicketSession = session
        self.path = path
        self.lenient: Departures = node.policy.lenient(session.connection)
        self._sessions = sessions
        self._undoing: list[Callable[[], object]] = []
        self._proposed: Proposed | None = None
        self._identities: tuple[Identification, ...] = ()
        self._group: int | None = None
        self._agreement: IKeyAgreement | None = None
        self._n_i = b""
        self._optimistic: SABundle | None = None
        self._bundle: SABundle | None = None

    def otherwise(self, undo: Callable[[], object]) -> None:
        """Have ``undo`` called, last first, if it ends without its result."""
        self._undoing.append(undo)

    def abandon(self) -> None:
        """Undo everything; idempotent."""
        while self._undoing:
            self._undoing.pop()()

    def finish(self) -> None:
        """It has its result: nothing is undone any more."""
        self._undoing.clear()

    @property
    def bundle(self) -> SABundle:
        """The result, when there is one."""
        assert self._bundle is not None
        return self._bundle

    @property
    def offered(self) -> list[Payload]:
        """Delete payloads for what we would have received by."""
        if self._proposed is None:
            return []
        doi = self._proposed.policy.doi
        return [Delete(doi, protocol, (spi,)) for protocol, spi in self._proposed.spis.items()]

    # -- as initiator --------------------------------------------------------------------------

    async def offer(self, child: Child) -> tuple[Payload, ...]:
        """
        What we ask for; without a KE payload we are ready to receive by the first proposal.

        :raises ConfigurationError: if nothing can be offered.
        """
        policy = self.node.policy.proposed(self.sa, child)
        self._proposed = proposed = await negotiation.propose(self, policy)
        try:
            self._group = negotiation.group_of(self, proposed.offer.suites)
        except NoProposalChosen as error:
            raise ConfigurationError(str(error)) from None
        self._identities = tuple(map(_identification, (policy.local, policy.remote)))
        self._n_i = self.node.entropy(NONCE_SIZE)
        payloads: list[Payload] = [proposed.offer.payload(), Nonce(self._n_i)]
        if self._group is not None:
            payloads.append(KeyExchange(self._half().public))
        else:
            await self._expect(proposed)
        return (*payloads, *self._identities)

    async def _expect(self, proposed: Proposed) -> None:
        """Create the optimistic inbound SAs."""
        first = _first(proposed.offer)
        used = {proposal.protocol for proposal in first.proposals}
        spis = {protocol: spi for protocol, spi in proposed.spis.items() if protocol in used}
        whole = negotiation.bundle(
            self, Negotiated(proposed.policy, first, spis), b"", self._n_i, b""
        )
        self._optimistic = replace(whole, outbound=())
        self._remove_otherwise(self._optimistic)
        await self.node.sink.install(self._optimistic)

    async def answered(
        self, payloads: Sequence[Payload], session: TicketSession, acknowledge: bool
    ) -> None:
        """
        The responder's choice: checked, installed, and registered.

        :param session: in which epoch the peer has proven to be.
        :param acknowledge: whether the reply wants to be acknowledged.
        :raises PeerError: if it is no answer to what we asked.
        """
        proposed = self._proposed
        assert proposed is not None
        self.sa = session
        said = _Said(payloads)
        answer = self._understood(said.sa)
        if said.identities and self._selectors(said.identities) != self._selectors(
            self._identities
        ):
            raise InvalidIdentity(Reason("the answer is about other traffic"))
        negotiated = await negotiation.confirmed(self, proposed, answer)
        negotiation.check_spis(self, [negotiated])
        g_xy = self._agreed(said)
        self._check_lifetimes(negotiated, proposed.offer)
        first = self._optimistic is not None and self._is_first(answer, proposed.offer)
        if not acknowledge and (said.nonce or not first):
            # The peer believes that it has what we expected, and says that it has not.
            raise NoProposalChosen("another choice than the first, and no acknowledgement wanted")
        bundle = negotiation.bundle(self, negotiated, g_xy, self._n_i, said.nonce)
        if self._optimistic is not None and self._optimistic.name != bundle.name:
            await self.node.sink.remove(self._optimistic)
        await self._install(bundle)
        # Last: what has been given back may be another's when this fails.
        await negotiation.release_unused(self, [proposed], [negotiated])

    def _is_first(self, answer: Offer, offered: Offer) -> bool:
        """Whether the optimistic proposal was chosen: its transforms, attributes compared."""
        try:
            negotiation.negotiating(self).confirm(
                answer, replace(offered, suites=(_first(offered),))
            )
        except PeerError:
            return False
        return True

    def _check_lifetimes(self, negotiated: Negotiated, offered: Offer) -> None:
        """The responder may set them to a lower value, and not to a higher one."""
        terms = negotiation.negotiating(self).terms
        mine = {
            proposal.protocol: [
                terms(replace(proposal, transforms=(transform,))).lifetime
                for transform in proposal.transforms
            ]
            for suite in offered.suites
            for proposal in suite.proposals
        }
        for proposal in negotiated.chosen.proposals:
            theirs = terms(proposal).lifetime
            ours = mine[proposal.protocol]
            for name in ("seconds", "kilobytes"):
                bounds = [getattr(one, name) for one in ours]
                if all(bounds) and getattr(theirs, name) > max(bounds):
                    raise NoProposalChosen(
                        Reason(f"longer than was offered: {name}", str(theirs), str(ours[0]))
                    )

    # -- as responder --------------------------------------------------------------------------

    async def choose(self, payloads: Sequence[Payload], contribute: bool) -> bool:
        """
        Take in what the initiator asks for, and choose.

        :param contribute: whether to add a nonce of ours in any case.
        :return: whether the answer has to be acknowledged.
        :raises PeerError: if nothing can be chosen.
        """
        said = _Said(payloads)
        if not said.nonce:
            raise Malformed("a CREATE without a nonce")
        self._n_i = said.nonce
        self._identities = said.identities
        offer = self._understood(said.sa)
        remote, local = self._selectors(said.identities)
        request = ChildRequest(offer.doi, offer.situation, local, remote)
        candidates = await self.node.policy.phase2(self.sa, request)
        policy, (suite,) = negotiation.choose(self, candidates, [offer])
        negotiated = Negotiated(policy, suite, {})
        negotiation.check_spis(self, [negotiated])
        self._group = negotiation.group_of(self, [suite])
        g_xy = self._agreed(said)
        (negotiated,) = await negotiation.accept(self, [negotiated])
        three_way = contribute or bool(g_xy) or suite != _first(offer)
        n_r = self.node.entropy(NONCE_SIZE) if three_way else b""
        bundle = negotiation.bundle(self, negotiated, g_xy, self._n_i, n_r)
        answer: list[Payload] = [negotiation.answer(self, negotiated).payload()]
        if n_r:
            answer.append(Nonce(n_r))
        if g_xy:
            answer.append(KeyExchange(self._half().public))
        self.answer: tuple[Payload, ...] = (*answer, *self._identities)
        self._bundle = bundle
        return three_way

    async def ready(self, three_way: bool) -> None:
        """Before the reply leaves: what we receive by; all of it, if there will be no ACK."""
        if not three_way:
            await self._install(self.bundle)
            return
        self._remove_otherwise(self.bundle)
        await self.node.sink.install(replace(self.bundle, outbound=()))

    async def acknowledged(self) -> None:
        """The initiator has our choice: now we may send."""
        await self._install(self.bundle)

    # -- both ----------------------------------------------------------------------------------

    async def _install(self, bundle: SABundle) -> None:
        if self.role is Role.RESPONDER:
            self._remove_otherwise(bundle)
        key = self.sa.key
        self.otherwise(lambda: self._sessions.drop_childless(key, Removal.DELETED))
        await self._sessions.keep(self.sa)
        await negotiation.install(self, bundle)
        self._bundle = bundle

    def _remove_otherwise(self, bundle: SABundle) -> None:
        self.otherwise(lambda: self._undo(self.node.sink.remove(bundle)))

    def _undo(self, undoing: Deferred[None]) -> None:
        undoing.addErrback(self._could_not)

    def _could_not(self, failure: Failure) -> None:
        self._log.failure("could not undo what was installed", failure)

    def _understood(self, payload: SecurityAssociation) -> Offer:
        if payload.doi != self.sa.doi:
            raise Malformed(f"an SA of DOI {payload.doi} in a message of DOI {self.sa.doi}")
        return offer_of(self.doi, payload, self.lenient)

    def _identity(self, payload: Identification) -> Identity:
        return self.doi.identity(payload.kind, payload.protocol, payload.port, payload.data)

    def _selectors(
        self, identities: Sequence[Identification]
    ) -> tuple[TrafficSelector, TrafficSelector]:
        """The initiator's traffic and the responder's; without identities the hosts themselves."""
        if identities:
            one, other = (TrafficSelector.of(self._identity(each)) for each in identities)
            return one, other
        ours = TrafficSelector.host(self.path.local[0])
        theirs = TrafficSelector.host(self.path.remote[0])
        return (ours, theirs) if self.role is Role.INITIATOR else (theirs, ours)

    def _agreed(self, said: _Said) -> bytes:
        """g^xy; empty if no group is agreed.  A KE payload goes with a group, and only with one."""
        if said.public is None and self._group is None:
            return b""
        if self._group is None:
            raise KENotSupported("a KE payload, and no group is agreed")
        if said.public is None:
            raise InvalidKeyInformation(f"group {self._group} is agreed, without a KE payload")
        return self._half().agree(said.public)

    def _half(self) -> IKeyAgreement:
        if self._agreement is None:
            assert self._group is not None
            self._agreement = self.sa.agreement(self._group)
        return self._agreement


class _Said:
    """
    What the payloads of one operation say.

    :ivar nonce: its body; empty: there is none.
    :ivar public: the public value; None: there is none.
    """

    def __init__(self, payloads: Sequence[Payload]) -> None:
        for payload in payloads:
            if not isinstance(payload, _READ):
                unexpected = UnexpectedPayload(f"a payload of type {payload.number} in a CREATE")
                raise unexpected
        sas = [p for p in payloads if isinstance(p, SecurityAssociation)]
        nonces = [p.data for p in payloads if isinstance(p, Nonce)]
        publics = [p.data for p in payloads if isinstance(p, KeyExchange)]
        identities = tuple(p for p in payloads if isinstance(p, Identification))
        if len(sas) != 1 or len(nonces) > 1 or len(publics) > 1 or len(identities) not in (0, 2):
            raise Malformed(
                f"{len(sas)} SA, {len(nonces)} nonce, {len(publics)} KE and {len(identities)} ID "
                "payloads for one SA"
            )
        if payloads[0] is not sas[0]:
            # RFC 2409 section 5.5, which RFC 4430 section 5 leaves as it is; there is no HASH.
            raise Malformed("the SA payload does not come first")
        if nonces and len(nonces[0]) not in _NONCES:
            raise Malformed(f"a nonce of {len(nonces[0])} octets")
        self.sa = sas[0]
        self.nonce = nonces[0] if nonces else b""
        self.public = publics[0] if publics else None
        self.identities = identities


def _first(offer: Offer) -> ProtectionSuite:
    """The optimistic proposal: the first transform of each of the first."""
    return ProtectionSuite(
        tuple(replace(p, transforms=p.transforms[:1]) for p in offer.suites[0].proposals)
    )


def _identification(selector: TrafficSelector) -> Identification:
    identity = selector.identity()
    return Identification(identity.kind, identity.protocol, identity.port, identity.data)

