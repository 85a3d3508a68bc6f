"""
Choosing among phase-1 transforms, and saying what differed.  RFC 2408 section 4.2, RFC 2409 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from isakmp.associations import Offer, ProtectionSuite
from isakmp.connections import Candidates, Connection
from isakmp.errors import AttributesNotSupported, NoProposalChosen, Reason
from isakmp.ike.authentication import AUTHENTICATIONS
from isakmp.ike.parameters import KEY_IKE, Parameters, configured
from isakmp.numbers import ProtocolID
from isakmp.wire.proposals import Proposal, Transform


def _ours(offer: Offer) -> Iterator[tuple[Proposal, Transform]]:
    """The transforms that are IKE's, by the initiator's preference."""
    for suite in offer.suites:
        if len(suite.proposals) != 1:
            continue  # IKE with something else, both or none: nobody can do that
        for proposal in suite.proposals:
            if proposal.protocol == ProtocolID.ISAKMP:
                for transform in proposal.transforms:
                    if transform.transform_id == KEY_IKE:
                        yield proposal, transform


def _readable(offer: Offer) -> Iterator[tuple[Proposal, Transform, Parameters]]:
    """Those of them that are understood; a transform that is not only loses itself."""
    for proposal, transform in _ours(offer):
        try:
            yield proposal, transform, Parameters.read(transform)
        except AttributesNotSupported:
            continue


def _unreadable(offer: Offer) -> list[str]:
    reasons = []
    for _, transform in _ours(offer):
        try:
            Parameters.read(transform)
        except AttributesNotSupported as error:
            reasons.append(f"#{transform.number}: {error}")
    return reasons


def acceptable_to(
    offer: Offer, candidates: Candidates[Connection]
) -> Candidates[Connection]:
    """
    The connections that take anything of the offer.

    :raises NoProposalChosen: if none does: with all that was offered, and what the nearest differs.
    """
    offered = [parameters for _, _, parameters in _readable(offer)]
    algorithms = {p.algorithms for p in offered if p.authentication in AUTHENTICATIONS}
    wanted = [p for connection in candidates.remaining for p in configured(connection)]
    said = ", ".join([p.spelled for p in offered] + _unreadable(offer)) or "nothing of IKE's"
    return candidates.narrow(
        "no common proposal",
        said,
        lambda connection: ", ".join(p.spelled for p in configured(connection)),
        lambda connection: any(p.algorithms in algorithms for p in configured(connection)),
        NoProposalChosen,
        _nearest(offered, wanted),
    )


def _nearest(offered: Sequence[Parameters], wanted: Sequence[Parameters]) -> str:
    """What would have to change, in the pair that differs least."""
    differences = [theirs.difference(ours) for theirs in offered for ours in wanted]
    if not differences:
        return ""
    nearest = min(differences, key=lambda words: words.count(",") if words else 0)
    return f"Nearest: the peer's {nearest} here." if nearest else ""


def choose(
    offer: Offer, candidates: Candidates[Connection]
) -> tuple[ProtectionSuite, Parameters]:
    """
    The first offered transform that a connection left takes, as it was offered.

    :raises NoProposalChosen: if there is none.
    """
    wanted = {p.algorithms for connection in candidates.remaining for p in configured(connection)}
    for proposal, transform, parameters in _readable(offer):
        if parameters.authentication in AUTHENTICATIONS and parameters.algorithms in wanted:
            return ProtectionSuite((replace(proposal, transforms=(transform,)),)), parameters
    raise NoProposalChosen(Reason("no common proposal"))


def confirm(answer: Offer, offered: Sequence[Parameters]) -> Parameters:
    """
    The responder's choice, verified to be one of our offers.  RFC 2408 section 4.2.

    :raises NoProposalChosen: if it is not exactly one of them.
    """
    chosen = list(_ours(answer))
    ours = ", ".join(p.spelled for p in offered)
    if len(chosen) != 1 or len(answer.suites) != 1:
        raise NoProposalChosen(
            Reason("the answer must be exactly one transform", f"{len(chosen)}", ours)
        )
    parameters = Parameters.read(chosen[0][1])
    if parameters.algorithms not in {p.algorithms for p in offered}:
        raise NoProposalChosen(
            Reason("the answer is none of our offers", parameters.spelled, ours)
        )
    return parameters
