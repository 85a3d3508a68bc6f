"""
Choosing among phase-1 transforms, and saying what differed.  RFC 2408 section 4.2, RFC 2409 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import ne

from isakmp.associations import Offer, ProtectionSuite
from isakmp.connections import Candidates, Connection
from isakmp.departures import USUAL, Departures
from isakmp.errors import AttributesNotSupported, NoProposalChosen, Reason
from isakmp.ike.authentication import AUTHENTICATIONS
from isakmp.ike.parameters import KEY_IKE, Parameters, choices, configured
from isakmp.numbers import ProtocolID
from isakmp.spelling import advice
from isakmp.wire.proposals import Proposal, Transform

SHOWN = 8
"""The most transforms of an offer that an explanation lists."""

MAX_COMPARED = 64
"""The most transforms of an offer among which an explanation looks for the nearest."""


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


def acceptable_to(
    offer: Offer, candidates: Candidates[Connection]
) -> Candidates[Connection]:
    """
    The connections that take anything of the offer.

    :raises NoProposalChosen: if none does: with what was offered, and what the nearest differs.
    """
    offered = [parameters for _, _, parameters in _readable(offer)]
    usable = [p for p in offered if p.authentication in AUTHENTICATIONS]
    algorithms = {p.algorithms for p in usable if not p.departures}

    def takes(connection: Connection) -> bool:
        if not choices(connection).algorithms.isdisjoint(algorithms):
            return True
        return any(p.departures and _overlooked(p, connection) for p in usable)

    # An explanation costs more than the decision, and a stranger can have as many as it likes.
    refused = not any(map(takes, candidates.remaining))
    remedy, nearest = "", None
    if refused:
        remedy, nearest = _remedy(usable, offered, candidates.remaining)
    return candidates.narrow(
        "no common proposal",
        _Said(offer),
        lambda connection: ", ".join(p.spelled for p in configured(connection)),
        takes,
        NoProposalChosen,
        remedy,
        nearest,
    )


def _overlooked(parameters: Parameters, connection: Connection) -> bool:
    """Whether a connection takes these, and overlooks in what they depart."""
    return (
        parameters.departures <= connection.lenient
        and parameters.algorithms in choices(connection).algorithms
    )


def _remedy(
    usable: Sequence[Parameters], offered: Sequence[Parameters], connections: Sequence[Connection]
) -> tuple[str, str]:
    """What would have to change, what is overlooked or configured; and what would have matched."""
    for connection in connections:
        for parameters in usable:
            missing = parameters.departures - connection.lenient
            if missing and parameters.algorithms in choices(connection).algorithms:
                text = (
                    f"{parameters.spelled} would do if lenient of connection {connection.name} "
                    f"named {', '.join(sorted(missing))}."
                )
                return text, parameters.spelled
    return _nearest(offered, connections)


class _Said:
    """An offer in words, found when they are first needed: mostly never."""

    __slots__ = ("_offer", "_words")

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._words = ""

    def __str__(self) -> str:
        self._words = self._words or _said(self._offer)
        return self._words


def _said(offer: Offer) -> str:
    """An offer in words."""
    transforms = [transform for _, transform in _ours(offer)]
    words = []
    for transform in transforms[:SHOWN]:
        try:
            words.append(Parameters.read(transform).spelled)
        except AttributesNotSupported as error:
            words.append(f"#{transform.number}: {error}")
    if len(transforms) > SHOWN:
        words.append(f"{len(transforms) - SHOWN} more")
    return ", ".join(words) or "nothing of IKE's"


def _nearest(
    offered: Sequence[Parameters], connections: Sequence[Connection]
) -> tuple[str, str]:
    """What would have to change in the pair that differs least, and what would have matched."""
    wanted = [(p.algorithms, p) for connection in connections for p in configured(connection)]
    compared = [(p.algorithms, p) for p in offered[:MAX_COMPARED]]
    pairs = [(theirs, ours) for theirs in compared for ours in wanted]
    if not pairs:
        first = next(iter(wanted), None)
        return "", first[1].spelled if first else ""
    (_, theirs), (_, ours) = min(pairs, key=lambda pair: sum(map(ne, pair[0][0], pair[1][0])))
    nearest = f"Nearest: the peer's {theirs.difference(ours)} here."
    return f"{nearest} {advice(theirs.spelled, ours.spelled, 'ike=')}", ours.spelled


def taking(
    parameters: Parameters, candidates: Candidates[Connection]
) -> Candidates[Connection]:
    """
    The connections that take what has been chosen.

    :raises NoProposalChosen: if none does.
    """
    return candidates.narrow(
        "chosen proposal",
        parameters,
        lambda c: ", ".join(p.spelled for p in configured(c)),
        lambda c: (
            parameters.algorithms in choices(c).algorithms
            and parameters.departures <= c.lenient
        ),
        NoProposalChosen,
    )


def choose(
    offer: Offer, candidates: Candidates[Connection]
) -> tuple[ProtectionSuite, Parameters]:
    """
    The first offered transform that a connection left takes, as it was offered.

    :raises NoProposalChosen: if there is none.
    """
    wanted = frozenset().union(*(choices(c).algorithms for c in candidates.remaining))
    for proposal, transform, parameters in _readable(offer):
        if parameters.authentication in AUTHENTICATIONS and parameters.algorithms in wanted:
            if parameters.departures and not any(
                _overlooked(parameters, connection) for connection in candidates.remaining
            ):
                continue
            if len(proposal.transforms) > 1:
                proposal = replace(proposal, transforms=(transform,))
            return ProtectionSuite((proposal,)), parameters
    raise NoProposalChosen(Reason("no common proposal"))


def confirm(
    answer: Offer, offered: Sequence[Parameters], lenient: Departures = USUAL
) -> Parameters:
    """
    The responder's choice, verified to be one of our offers.  RFC 2408 section 4.2.

    Its lifetime may be another, and so may its numbers, which only SHOULD be ours.

    :param lenient: what is overlooked in it: the connection's.
    :raises NoProposalChosen: if it is not exactly one of them.
    :raises AttributesNotSupported: if it says something that none of them can, or as none may.
    """
    ours = ", ".join(p.spelled for p in offered)
    count = sum(len(p.transforms) for suite in answer.suites for p in suite.proposals)
    if count != 1:
        raise NoProposalChosen(
            Reason("the answer must be exactly one transform", f"{count}", ours)
        )
    for _, transform in _ours(answer):
        parameters = Parameters.read(transform)
        left = parameters.departures - lenient
        if left:
            raise AttributesNotSupported(
                Reason(f"the form of an answer: {', '.join(sorted(left))}", parameters.spelled)
            )
        if parameters.algorithms in {p.algorithms for p in offered}:
            return parameters
    raise NoProposalChosen(Reason("the answer is none of our offers", _said(answer), ours))
