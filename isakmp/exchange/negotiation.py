"""
The core of phase 2: what every key exchange does with SAs that are offered and chosen.

Reserve SPIs, offer, choose, cut keying material per protocol and direction, install, register.  A
key exchange brings ``derive`` and the wire; a domain of interpretation what the numbers mean.

The initiator reserves one SPI per protocol before it offers, the same in every alternative; the
responder after the choice, different from the initiator's, because equal SPIs would give equal keys
in both directions (RFC 2409 section 5.5).  The responder installs what it receives by before its
answer leaves and the rest when it is confirmed; the initiator installs all before it confirms: so
nothing is dropped while keys change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from isakmp.associations import (
    Agreed,
    ChildPolicy,
    Lifetime,
    Offer,
    Proposal,
    ProtectionSA,
    ProtectionSuite,
    SABundle,
    SPIKey,
    Transform,
)
from isakmp.connections import Candidates
from isakmp.errors import (
    ConfigurationError,
    DOINotSupported,
    InvalidSPI,
    NoProposalChosen,
    PeerError,
    Reason,
)
from isakmp.events import Removal
from isakmp.exchange.spis import (
    receiving,
    release,
    reserve,
    reserve_other,
    sending,
    undone,
)
from isakmp.interfaces import (
    Expiry,
    ILifetimeNotices,
    IManagementSA,
    INegotiatingDomain,
    INegotiation,
)
from isakmp.logs import Logger
from isakmp.numbers import ExchangeType, ProtocolID
from isakmp.parts import INITIATOR
from isakmp.wire.message import Message
from isakmp.wire.payloads import Delete, Notification

_log = Logger()


@dataclass(frozen=True, slots=True)
class Proposed:
    """
    An offer of ours.

    :ivar spis: what we receive by, for each protocol offered.
    """

    policy: ChildPolicy
    offer: Offer
    spis: Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class Negotiated:
    """
    One suite that both ends take.

    :ivar chosen: with the peer's SPIs, one transform for each protocol.
    :ivar spis: ours, for each protocol of it.
    """

    policy: ChildPolicy
    chosen: ProtectionSuite
    spis: Mapping[int, bytes]


def negotiating(exchange: INegotiation) -> INegotiatingDomain:
    """
    The exchange's domain of interpretation, if its SAs are offered and chosen.

    :raises DOINotSupported: otherwise.
    """
    doi = exchange.doi
    if not INegotiatingDomain.providedBy(doi):
        raise DOINotSupported(Reason("SAs of this domain are not negotiated", doi.name))
    return doi


async def propose(exchange: INegotiation, policy: ChildPolicy) -> Proposed:
    """
    As initiator: what is offered for a child, its SPIs reserved.

    :raises ConfigurationError: if the sink can do nothing of what is configured.
    """
    sink = exchange.node.sink
    suites = tuple(
        suite for suite in policy.suites if _supported(exchange, policy.doi, suite)
    )
    if not suites:
        raise ConfigurationError(
            f"the sink {sink.name} supports nothing that child {policy.name} asks for"
        )
    spis: dict[int, bytes] = {}
    for protocol in dict.fromkeys(p.protocol for suite in suites for p in suite.proposals):
        spis[protocol] = await reserve(exchange, policy.doi, protocol)
    numbered = tuple(
        suite.with_spis(spis).numbered(number) for number, suite in enumerate(suites, 1)
    )
    offer = Offer(policy.doi, policy.situation, numbered, exchange.lenient)
    return Proposed(policy, offer, spis)


def _supported(exchange: INegotiation, doi: int, suite: ProtectionSuite) -> bool:
    return all(
        any(exchange.node.sink.supports(doi, p.protocol, t) for t in p.transforms)
        for p in suite.proposals
    )


async def confirmed(exchange: INegotiation, proposed: Proposed, answer: Offer) -> Negotiated:
    """
    As initiator: the responder's answer, verified to be one of our offers.  RFC 2408 section 4.2.

    :raises NoProposalChosen: if it is not.
    """
    chosen = negotiating(exchange).confirm(answer, proposed.offer)
    used = {proposal.protocol for proposal in chosen.proposals}
    return Negotiated(
        proposed.policy, chosen, {p: spi for p, spi in proposed.spis.items() if p in used}
    )


async def release_unused(
    exchange: INegotiation, proposed: Sequence[Proposed], negotiated: Sequence[Negotiated]
) -> None:
    """As initiator: give back the SPIs of what was offered and not chosen."""
    for offered, agreed in zip(proposed, negotiated, strict=True):
        for protocol, spi in offered.spis.items():
            if protocol not in agreed.spis:
                await release(exchange, receiving(exchange, offered.policy.doi, protocol, spi))


def choose(
    exchange: INegotiation, candidates: Candidates[ChildPolicy], offers: Sequence[Offer]
) -> tuple[ChildPolicy, tuple[ProtectionSuite, ...]]:
    """
    As responder: the child that takes all offers, and what is chosen of each.

    :raises NoProposalChosen: with what differed, for every child; or if as many stand under the SA
        as may: who is not told takes us for gone, and ends what stands.
    """
    doi = negotiating(exchange)
    standing = len(exchange.node.registry.children(_sa(exchange).key))
    if standing + len(offers) > exchange.node.limits.children_per_sa:
        most = str(exchange.node.limits.children_per_sa)
        raise NoProposalChosen(Reason("children standing under one SA", str(standing), most))
    chosen: dict[str, tuple[ProtectionSuite, ...]] = {}
    refusals: dict[str, PeerError] = {}
    for policy in candidates.remaining:
        acceptable = Offer(policy.doi, policy.situation, policy.suites, exchange.lenient)
        try:
            chosen[policy.name] = tuple(doi.select(offer, acceptable) for offer in offers)
        except PeerError as refusal:
            refusals[policy.name] = refusal
    if len(candidates.remaining) == 1 and refusals:
        raise refusals[candidates.first.name]  # it says which attribute differed
    if not refusals:
        return candidates.first, chosen[candidates.first.name]
    candidates = candidates.narrow(
        "proposal",
        ", ".join(doi.spell(suite) for offer in offers for suite in offer.suites),
        lambda policy: ", ".join(map(doi.spell, policy.suites)),
        lambda policy: policy.name in chosen,
        NoProposalChosen,
        "; ".join(
            f"{name}: {refusal.reason.remedy or refusal.reason.rule}"
            for name, refusal in refusals.items()
        ),
    )
    return candidates.first, chosen[candidates.first.name]


def check_spis(exchange: INegotiation, negotiated: Sequence[Negotiated]) -> None:
    """
    The peer's SPIs give each SA keys of its own: KEYMAT depends on protocol and SPI, and on nothing
    else that differs between the SAs of an exchange.  RFC 2409 section 5.5.

    :raises InvalidSPI: if one is said twice, is one of ours in this exchange, or names an SA that
        stands.
    """
    taken = {named for one in negotiated for named in one.spis.items()}
    for one in negotiated:
        for proposal in one.chosen.proposals:
            named = proposal.protocol, proposal.spi
            if named in taken:
                raise _equal(proposal.spi, "equal to another of this exchange: the keys would be")
            taken.add(named)
            _check_free(exchange, sending(exchange, one.policy.doi, proposal))


def _check_free(exchange: INegotiation, key: SPIKey) -> None:
    if exchange.node.registry.find(key) is not None:
        raise _equal(key.spi, "that of an SA that stands")


def _equal(spi: bytes, what: str) -> InvalidSPI:
    return InvalidSPI(Reason(f"the peer's SPI is {what}", spi.hex()))


async def accept(
    exchange: INegotiation, negotiated: Sequence[Negotiated]
) -> tuple[Negotiated, ...]:
    """As responder: reserve what we shall receive by, none of it equal to an SPI of the peer's."""
    theirs = [p for one in negotiated for p in one.chosen.proposals]
    accepted = []
    for one in negotiated:
        spis = {}
        for proposal in one.chosen.proposals:
            others = {p.spi for p in theirs if p.protocol == proposal.protocol}
            spis[proposal.protocol] = await reserve_other(
                exchange, one.policy.doi, proposal, others
            )
        accepted.append(Negotiated(one.policy, one.chosen, spis))
    return tuple(accepted)


def answer(exchange: INegotiation, negotiated: Negotiated) -> Offer:
    """As responder: the chosen suite, as it was offered, with our SPIs."""
    policy = negotiated.policy
    return Offer(policy.doi, policy.situation, (negotiated.chosen.with_spis(negotiated.spis),))


def group_of(exchange: INegotiation, suites: Sequence[ProtectionSuite]) -> int | None:
    """
    The Diffie-Hellman group that these suites share; None: no perfect forward secrecy.

    What takes no keying material has no say in it.

    :raises NoProposalChosen: if they differ: the one KE payload cannot be of two groups.
    """
    doi = negotiating(exchange)
    terms = [
        doi.terms(_with_one(proposal, transform))
        for suite in suites
        for proposal in suite.proposals
        for transform in proposal.transforms
    ]
    groups = {one.group for one in [one for one in terms if one.keymat] or terms}
    if len(groups) > 1:
        names = ", ".join(str(group or "none") for group in sorted(groups, key=lambda g: g or 0))
        raise NoProposalChosen(Reason("one group only can travel with an offer", names))
    return next(iter(groups), None)


def _with_one(proposal: Proposal, transform: Transform) -> Proposal:
    alone = len(proposal.transforms) == 1
    return proposal if alone else replace(proposal, transforms=(transform,))


def bundle(
    exchange: INegotiation, negotiated: Negotiated, g_xy: bytes, n_i: bytes, n_r: bytes
) -> SABundle:
    """
    The SAs of both directions, keys and all.

    :param g_xy: of this exchange; empty without perfect forward secrecy.
    :param n_i: the initiator's nonce body; ``n_r`` the responder's.
    """
    doi, sa = negotiating(exchange), _sa(exchange)
    policy = negotiated.policy
    inbound: list[ProtectionSA] = []
    outbound: list[ProtectionSA] = []
    for proposal in negotiated.chosen.proposals:
        terms = doi.terms(proposal)
        lifetime = policy.lifetime.shorter(terms.lifetime)
        ours = negotiated.spis[proposal.protocol]
        for spi, outgoing, side in ((ours, False, inbound), (proposal.spi, True, outbound)):
            seed = g_xy + bytes([proposal.protocol]) + spi + n_i + n_r
            keymat = sa.derive(seed, terms.keymat) if terms.keymat else b""
            agreed = Agreed(exchange.path, policy, outgoing, lifetime)
            side.append(doi.security_association(proposal, spi, keymat, agreed))
    name = f"{policy.connection}/{policy.name}/{inbound[0].key.spi.hex()}"
    return SABundle(name, sa.key, tuple(inbound), tuple(outbound), policy, exchange.path)


def lifetime_notices(
    exchange: INegotiation, negotiated: Sequence[Negotiated]
) -> tuple[Notification, ...]:
    """
    As responder: says of each SA that lives shorter for us than was offered.  RFC 2407 section
    4.6.3.1.
    """
    doi = exchange.doi
    if not ILifetimeNotices.providedBy(doi):
        return ()
    notices = []
    for one in negotiated:
        for proposal in one.chosen.proposals:
            offered = negotiating(exchange).terms(proposal).lifetime
            lifetime = one.policy.lifetime.shorter(offered)
            if lifetime != offered:
                spi = one.spis[proposal.protocol]
                notices.append(doi.lifetime_notice(proposal.protocol, spi, lifetime))
    return tuple(notices)


def shortened(
    exchange: INegotiation, negotiated: Sequence[Negotiated], message: Message
) -> tuple[Negotiated, ...]:
    """
    As initiator: with the lifetimes that the responder says it has, where they are shorter.

    Once for each protocol or once for all: a bundle lives as long as its shortest SA.
    """
    doi = exchange.doi
    if not ILifetimeNotices.providedBy(doi):
        return tuple(negotiated)
    said = Lifetime()
    for notification in message.all(Notification):
        if notification.protocol != ProtocolID.ISAKMP:
            said = said.shorter(doi.noticed_lifetime(notification) or Lifetime())
    return tuple(
        replace(one, policy=replace(one.policy, lifetime=one.policy.lifetime.shorter(said)))
        for one in negotiated
    )


async def install_inbound(exchange: INegotiation, bundle: SABundle) -> None:
    """
    Before the message leaves after which the peer may send: as responder the answer, as initiator
    the last, if we may not send ourselves yet (RFC 2408 section 3.1, the Commit bit).

    If it never confirms, what it may believe in is taken back, and it is told.
    """
    exchange.otherwise(lambda: _withdraw(exchange, bundle))
    await exchange.node.sink.install(replace(bundle, outbound=()))


async def install(exchange: INegotiation, bundle: SABundle) -> None:
    """Install both directions, and register them: before the message that commits us."""
    node = exchange.node
    for sa in bundle.outbound:
        _check_free(exchange, sa.key)  # again: another exchange may have been faster
    if exchange.role is INITIATOR:
        exchange.otherwise(lambda: undone(node.sink.remove(bundle), bundle.name))
    await node.sink.install(bundle)
    lifetimes = [sa.lifetime.seconds for sa in bundle.inbound if sa.lifetime.seconds]
    hard = node.clock.seconds() + min(lifetimes) if lifetimes else 0.0
    exchange.otherwise(
        lambda: undone(node.registry.remove(bundle, Removal.DELETED), bundle.name)
    )
    await node.registry.add(bundle, Expiry(hard))


def _sa(exchange: INegotiation) -> IManagementSA:
    if exchange.sa is None:
        raise RuntimeError("SAs are negotiated under a management SA")
    return exchange.sa


def _withdraw(exchange: INegotiation, bundle: SABundle) -> None:
    """Take back what was installed for a peer that never confirmed; it may believe in it."""
    sa = _sa(exchange)
    node = exchange.node
    undone(node.sink.remove(bundle), bundle.name)
    if node.registry.find(sa.key) is sa:
        for protocol in dict.fromkeys(one.key.protocol for one in bundle.inbound):
            spis = tuple(one.key.spi for one in bundle.inbound if one.key.protocol == protocol)
            delete = Delete(bundle.policy.doi, protocol, spis)
            told = node.exchanges.begin(sa, ExchangeType.INFORMATIONAL, (delete,))
            told.addErrback(lambda failure: _log.failure("could not send a Delete", failure))
