"""
Choosing from an offer, and holding the answer against what was offered.

RFC 2408 section 4.2: proposals of one number are a suite, all of it or none (AND); suites, and the
transforms of a proposal, are alternatives (OR), by the initiator's preference.  What an attribute
means is RFC 2407 section 4.5: see :mod:`isakmp.doi.transforms`.

The group of perfect forward secrecy has to be the same at both ends: a group that is offered where
none is configured is refused, as is none where one is configured.  strongSwan does the same.  Who
configures none has decided what a rekeying may cost, and a peer must not make it a thousand times
as much.
"""

from __future__ import annotations

from dataclasses import replace

from isakmp.associations import Offer, ProtectionSuite
from isakmp.doi.alternatives import Alternative, configured, read_suite
from isakmp.doi.differences import nearest, place
from isakmp.doi.protocols import normal_spi
from isakmp.doi.suites import spell, spell_all
from isakmp.errors import AttributesNotSupported, NoProposalChosen, Reason, SituationNotSupported
from isakmp.spelling import advice
from isakmp.wire.proposals import Proposal


def select(offered: Offer, acceptable: Offer) -> ProtectionSuite:
    """
    The offered suite, and in it the transforms, that the initiator prefers of those acceptable.

    What is returned is as it was offered: SPIs, numbers, attributes and all.

    :raises NoProposalChosen: if there is none: with what differed in the nearest alternative.
    :raises AttributesNotSupported: if attributes contradict each other, wherever in the offer that
        is (RFC 2407 section 4.5.2).
    :raises InvalidProtocolID: if every suite has a proposal that cannot be, and the first of them
        for its protocol; so are InvalidSPI and InvalidTransformID (RFC 2408 sections 5.5 and 5.6).
    :raises SituationNotSupported: if the situation is another.
    """
    _same_situation(offered, acceptable)
    suites = [read_suite(suite) for suite in offered.suites]
    wanted = [configured(suite) for suite in acceptable.suites]
    for suite in suites:
        _refuse_contradictions(suite)
    lenient = acceptable.lenient
    faults = [suite.invalid for suite in suites]
    possible = [suite for suite, fault in zip(suites, faults, strict=True) if fault is None]
    for suite in possible:
        choices = [
            choice for ours in wanted if (choice := suite.choice(ours, lenient)) is not None
        ]
        if choices:
            return _normal(suite.chosen(min(choices)))
    if not possible and faults and faults[0] is not None:
        raise faults[0]
    raise NoProposalChosen(
        Reason(
            "no offered protection suite is acceptable",
            spell_all(offered.suites),
            spell_all(acceptable.suites),
            _remedy(nearest(possible, wanted), offered, acceptable),
            matching=spell_all(acceptable.suites[:1]),
        )
    )


def _remedy(nearest: str, offered: Offer, acceptable: Offer) -> str:
    """
    What differs, and what would have matched where each end's first choice is of one protocol.
    """
    sentence = f"{nearest[:1].upper()}{nearest[1:]}."
    firsts = [offer.suites[0].proposals for offer in (offered, acceptable) if offer.suites]
    if len(firsts) < 2 or any(len(proposals) != 1 for proposals in firsts):
        return sentence
    theirs, ours = (
        spell(ProtectionSuite((replace(proposal, transforms=proposal.transforms[:1]),)))
        for (proposal,) in firsts
    )
    return f"{sentence} {advice(theirs, ours)}"


def confirm(answer: Offer, offered: Offer) -> ProtectionSuite:
    """
    The peer's answer, if it is one of our offers; RFC 2408 section 4.2 and RFC 2409 section 5.

    It has to say what one of our alternatives says, in any order and format; its lifetimes may be
    others, and so may its numbers, which only SHOULD be ours.

    :raises NoProposalChosen: otherwise.
    :raises AttributesNotSupported: if attributes contradict each other.
    :raises InvalidSPI: if an SPI cannot be; InvalidProtocolID, InvalidTransformID likewise.
    :raises SituationNotSupported: if the situation is another.
    """
    _same_situation(answer, offered)
    suite = read_suite(_as_one(answer, offered))
    _refuse_contradictions(suite)
    for proposal in suite.suite.proposals:
        if len(proposal.transforms) != 1:
            count = f"{len(proposal.transforms)} transforms of a proposal were chosen, not one"
            raise _unasked(answer, offered, count)
    if suite.invalid is not None:
        raise suite.invalid
    ours = [read_suite(mine) for mine in offered.suites]
    for mine in ours:
        if suite.repeats(mine, offered.lenient):
            return _normal(suite.suite)
    raise _unasked(answer, offered, nearest([suite], ours))


def _as_one(answer: Offer, offered: Offer) -> ProtectionSuite:
    """
    What was chosen: one suite.

    strongSwan says a suite with IPComp and then, as a second one, the same without it.  That takes
    nothing away from the first.
    """
    if answer.suites:
        first, *more = answer.suites
        said = {_unnumbered(proposal) for proposal in first.proposals}
        if all(_unnumbered(proposal) in said for suite in more for proposal in suite.proposals):
            if len({proposal.protocol for proposal in first.proposals}) > 1 or not more:
                return first
    raise _unasked(answer, offered, f"{len(answer.suites)} suites were chosen, not one")


def _unnumbered(proposal: Proposal) -> Proposal:
    return replace(
        proposal,
        number=0,
        transforms=tuple(replace(transform, number=0) for transform in proposal.transforms),
    )


def _normal(suite: ProtectionSuite) -> ProtectionSuite:
    """With SPIs as they are known here."""
    spis = {p.protocol: normal_spi(p.protocol, p.spi) for p in suite.proposals}
    if all(proposal.spi == spis[proposal.protocol] for proposal in suite.proposals):
        return suite
    return suite.with_spis(spis)


def _unasked(answer: Offer, offered: Offer, what: str) -> NoProposalChosen:
    rule = "the peer's answer is not among what was offered"
    return NoProposalChosen(Reason(rule, spell_all(answer.suites), spell_all(offered.suites), what))


def _same_situation(one: Offer, other: Offer) -> None:
    ours, theirs = other.situation.encode(), one.situation.encode()
    if (one.doi, theirs) != (other.doi, ours):
        raise SituationNotSupported(
            Reason(
                "another domain of interpretation or situation",
                f"DOI {one.doi}, situation {theirs[:16].hex()}",
                f"DOI {other.doi}, situation {ours[:16].hex()}",
            )
        )


def _refuse_contradictions(suite: Alternative) -> None:
    for proposal, readings in zip(suite.suite.proposals, suite.readings, strict=True):
        for reading in readings:
            if reading.contradictory:
                raise AttributesNotSupported(
                    Reason(
                        f"{place(proposal, reading)}: {reading.fault}", spell_all([suite.suite])
                    )
                )
