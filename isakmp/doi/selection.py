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

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from isakmp.associations import Offer, ProtectionSuite
from isakmp.departures import BASIC_AS_VARIABLE, Departures
from isakmp.doi.suites import (
    SHOWN,
    group_word,
    integrity_word,
    mode_word,
    sequence_word,
    spell,
    spell_all,
    transform_word,
)
from isakmp.doi.transforms import Protection, Reading, read
from isakmp.errors import (
    AttributesNotSupported,
    InvalidProtocolID,
    InvalidSPI,
    InvalidTransformID,
    NoProposalChosen,
    PeerError,
    Reason,
    SituationNotSupported,
)
from isakmp.numbers import IPsecAttribute, ProtocolID
from isakmp.spelling import advice
from isakmp.wire.proposals import Proposal

MAX_COMPARED = 64
"""The most transforms of a suite that an explanation looks at, on either side."""

PROTOCOLS = (ProtocolID.AH, ProtocolID.ESP, ProtocolID.IPCOMP)
"""What can be negotiated in phase 2.  RFC 2407 section 4.4.1."""

RESERVED_SPIS = 256
"""SPIs 0 to 255 name no SA.  RFC 2402 section 2.4, RFC 2406 section 2.1."""


def valid_spi(protocol: int, spi: bytes) -> bool:
    """
    Whether this can name an SA: of AH and ESP four octets, of IPComp two, or four whose first two
    are zero (RFC 3173 section 4.1); and not a reserved number.
    """
    if protocol == ProtocolID.IPCOMP:
        spi = _narrowed(spi)
        return len(spi) == _CPI and int.from_bytes(spi) >= RESERVED_SPIS
    return len(spi) == 4 and int.from_bytes(spi) >= RESERVED_SPIS


def normal_spi(protocol: int, spi: bytes) -> bytes:
    """A valid SPI as it is known here: the index of IPComp has two octets."""
    return _narrowed(spi) if protocol == ProtocolID.IPCOMP else spi


def _narrowed(spi: bytes) -> bytes:
    return spi[-_CPI:] if len(spi) == 4 and not any(spi[:-_CPI]) else spi


_CPI = 2
"""Octets of a Compression Parameter Index."""


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
    suites = [_read(suite) for suite in offered.suites]
    wanted = [_configured(suite) for suite in acceptable.suites]
    for suite in suites:
        _refuse_contradictions(suite)
    lenient = acceptable.lenient
    faults = [suite.invalid for suite in suites]
    possible = [suite for suite, fault in zip(suites, faults, strict=True) if fault is None]
    for suite in possible:
        choices = [choice for ours in wanted if (choice := suite.choice(ours, lenient)) is not None]
        if choices:
            return _normal(suite.chosen(min(choices)))
    if not possible and faults and faults[0] is not None:
        raise faults[0]
    raise NoProposalChosen(
        Reason(
            "no offered protection suite is acceptable",
            spell_all(offered.suites),
            spell_all(acceptable.suites),
            _remedy(_nearest(possible, wanted), offered, acceptable),
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
    suite = _read(_as_one(answer, offered))
    _refuse_contradictions(suite)
    for proposal in suite.suite.proposals:
        if len(proposal.transforms) != 1:
            count = f"{len(proposal.transforms)} transforms of a proposal were chosen, not one"
            raise _unasked(answer, offered, count)
    if suite.invalid is not None:
        raise suite.invalid
    ours = [_read(mine) for mine in offered.suites]
    for mine in ours:
        if suite.repeats(mine, offered.lenient):
            return _normal(suite.suite)
    raise _unasked(answer, offered, _nearest([suite], ours))


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


@dataclass(frozen=True, slots=True)
class _Suite:
    """A suite with its transforms read."""

    suite: ProtectionSuite
    readings: tuple[tuple[Reading, ...], ...]

    @property
    def protocols(self) -> list[int]:
        return sorted(proposal.protocol for proposal in self.suite.proposals)

    @property
    def invalid(self) -> PeerError | None:
        """
        What of the first proposal that cannot be is why: then all of the suite is not there.

        A Transform-ID that is only unknown is none: RFC 2408 section 5.6 has it passed over.
        """
        for proposal in self.suite.proposals:
            if proposal.protocol not in PROTOCOLS:
                return InvalidProtocolID(
                    Reason(
                        f"proposal {proposal.number}: the Protocol-ID",
                        str(proposal.protocol),
                        ", ".join(ProtocolID(number).spelled for number in PROTOCOLS),
                    )
                )
            if not valid_spi(proposal.protocol, proposal.spi):
                return _invalid_spi(proposal)
            transforms = proposal.transforms
            if transforms and not any(transform.transform_id for transform in transforms):
                return InvalidTransformID(
                    Reason(f"proposal {proposal.number}: the reserved Transform-ID", "0")
                )
        return None

    def aligned(self, other: _Suite) -> list[_Pair] | None:
        """Its proposals beside those of another suite; None: not the same protocols."""
        protocols = self.protocols
        if protocols != other.protocols or len(set(protocols)) < len(protocols):
            return None
        theirs = {
            proposal.protocol: readings
            for proposal, readings in zip(other.suite.proposals, other.readings, strict=True)
        }
        return [
            (proposal, readings, theirs[proposal.protocol])
            for proposal, readings in zip(self.suite.proposals, self.readings, strict=True)
        ]

    def choice(self, wanted: _Suite, lenient: Departures) -> tuple[int, ...] | None:
        """Of each proposal the index of the first transform that is wanted; None: there is none."""
        choice: list[int] = []
        for _, readings, ours in self.aligned(wanted) or ():
            for index, reading in enumerate(readings):
                if (
                    not reading.fault
                    and reading.departures <= lenient
                    and any(one.protection.accepts(reading.protection) for one in ours)
                ):
                    choice.append(index)
                    break
            else:
                return None
        return tuple(choice) or None

    def chosen(self, choice: Sequence[int]) -> ProtectionSuite:
        """It, with one transform for each proposal."""
        return ProtectionSuite(
            tuple(
                proposal
                if len(proposal.transforms) == 1
                else replace(proposal, transforms=(proposal.transforms[index],))
                for proposal, index in zip(self.suite.proposals, choice, strict=True)
            )
        )

    def repeats(self, offered: _Suite, lenient: Departures) -> bool:
        """Whether each of its transforms says what one of those offered says."""
        pairs = self.aligned(offered)
        return bool(pairs) and all(
            not reading.fault
            and reading.departures <= lenient
            and any(one.protection == reading.protection for one in ours)
            for _, readings, ours in pairs or ()
            for reading in readings
        )


_Pair = tuple[Proposal, tuple[Reading, ...], tuple[Reading, ...]]


def _read(suite: ProtectionSuite) -> _Suite:
    return _Suite(
        suite,
        tuple(
            tuple(read(proposal.protocol, transform) for transform in proposal.transforms)
            for proposal in suite.proposals
        ),
    )


_configured = lru_cache(maxsize=256)(_read)
"""For suites of ours, which are the same for every peer."""


def _refuse_contradictions(suite: _Suite) -> None:
    for proposal, readings in zip(suite.suite.proposals, suite.readings, strict=True):
        for reading in readings:
            if reading.contradictory:
                raise AttributesNotSupported(
                    Reason(
                        f"{_place(proposal, reading)}: {reading.fault}", spell_all([suite.suite])
                    )
                )


def _invalid_spi(proposal: Proposal) -> InvalidSPI:
    return InvalidSPI(
        Reason(
            f"proposal {proposal.number}: an SPI of {ProtocolID(proposal.protocol).spelled}",
            f"0x{proposal.spi[:16].hex()}, {len(proposal.spi)} octets",
            f"{_CPI if proposal.protocol == ProtocolID.IPCOMP else 4} octets, "
            f"{RESERVED_SPIS} or more",
        )
    )


# -- explanations ------------------------------------------------------------------------------


def _place(proposal: Proposal, reading: Reading) -> str:
    protocol = ProtocolID(proposal.protocol).spelled
    return f"proposal {proposal.number}, {protocol}, transform {reading.transform.number}"


def _nearest(offered: Sequence[_Suite], wanted: Sequence[_Suite]) -> str:
    """Of the alternative that came nearest, what differed."""
    pairs = [(_distance(theirs, ours), theirs, ours) for theirs in offered for ours in wanted]
    if not pairs:
        return "nothing is configured" if offered else "nothing was offered"
    _, theirs, ours = min(pairs, key=lambda pair: pair[0])
    aligned = theirs.aligned(ours)
    if aligned is None:
        there, here = (_names(suite.protocols) for suite in (theirs, ours))
        return f"nearest: proposal {theirs.suite.number} is for {there}; here: {here}"
    differences = [_difference(*pair) for pair in aligned]
    return f"nearest: {'; '.join(text for text in differences if text)}"


def _names(protocols: Sequence[int]) -> str:
    return (
        " with ".join(ProtocolID(protocol).spelled for protocol in protocols[:SHOWN]) or "nothing"
    )


_FAR = 1000


def _distance(theirs: _Suite, ours: _Suite) -> int:
    """How much would have to change for a suite to be acceptable."""
    aligned = theirs.aligned(ours)
    if aligned is None:
        return _FAR
    return sum(
        min((_apart(*pair) for pair in _compared(readings, mine)), default=_FAR)
        for _, readings, mine in aligned
    )


def _compared(
    theirs: Sequence[Reading], ours: Sequence[Reading]
) -> Iterator[tuple[Reading, Protection]]:
    for reading in theirs[:MAX_COMPARED]:
        for one in ours[:MAX_COMPARED]:
            yield reading, one.protection


def _apart(reading: Reading, ours: Protection) -> int:
    """
    The same for one transform.

    A fault, or an attribute that nobody here knows, weighs most, then the cipher: so the nearest
    alternative is the one that a reader would have compared.
    """
    theirs = reading.protection
    return (
        (8 if reading.fault or reading.departures else 0)
        + 8 * len(theirs.others)
        + sum(
            weight
            for weight, (there, here) in zip(_WEIGHTS, _said(theirs, ours), strict=True)
            if there != here
        )
    )


_ATTRIBUTES: tuple[tuple[int, IPsecAttribute, Callable[[int], str]], ...] = (
    (2, IPsecAttribute.KEY_LENGTH, str),
    (2, IPsecAttribute.AUTHENTICATION_ALGORITHM, integrity_word),
    (1, IPsecAttribute.GROUP_DESCRIPTION, group_word),
    (1, IPsecAttribute.ENCAPSULATION_MODE, mode_word),
    (1, IPsecAttribute.EXTENDED_SEQUENCE_NUMBER, sequence_word),
)

_WEIGHTS = (4, *(weight for weight, _, _ in _ATTRIBUTES))


def _said(theirs: Protection, ours: Protection) -> tuple[tuple[int, int], ...]:
    """What each of the two says: the transform, then what :data:`_ATTRIBUTES` has."""
    return (
        (theirs.transform_id, ours.transform_id),
        (theirs.key_length, ours.key_length),
        (theirs.integrity, ours.integrity),
        (theirs.group, ours.group),
        (theirs.mode or ours.mode, ours.mode),
        (theirs.extended, ours.extended),
    )


def _difference(proposal: Proposal, readings: Sequence[Reading], wanted: Sequence[Reading]) -> str:
    """What differs in the nearest transform; nothing, if one fits."""
    pairs = list(_compared(readings, wanted))
    if not pairs:
        return f"proposal {proposal.number} has no transforms"
    reading, ours = min(pairs, key=lambda pair: _apart(*pair))
    theirs = reading.protection
    (there, here), *attributes = _said(theirs, ours)
    found = [reading.fault] if reading.fault else []
    if BASIC_AS_VARIABLE in reading.departures:
        found.append("a basic attribute was encoded as variable")
    if there != here:
        words = transform_word(theirs), transform_word(ours)
        found.append(f"Transform-Id is {words[0]} there and {words[1]} here")
    for (_, kind, word), (there, here) in zip(_ATTRIBUTES, attributes, strict=True):
        if there != here:
            said = [word(number) if number else "not said" for number in (there, here)]
            found.append(f"{kind.spelled} is {said[0]} there and {said[1]} here")
    found.extend(
        f"{IPsecAttribute(kind).spelled} means nothing here" for kind, _ in theirs.others[:SHOWN]
    )
    return f"{_place(proposal, reading)}: {', '.join(found)}" if found else ""
