"""
In what the nearest alternative of an offer differs from what is configured, for people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from isakmp.departures import BASIC_AS_VARIABLE
from isakmp.doi.alternatives import Alternative
from isakmp.doi.suites import (
    SHOWN,
    group_word,
    integrity_word,
    mode_word,
    sequence_word,
    transform_word,
)
from isakmp.doi.transforms import Protection, Reading
from isakmp.numbers import IPsecAttribute, ProtocolID
from isakmp.wire.proposals import Proposal

MAX_COMPARED = 64
"""The most transforms of a suite that an explanation looks at, on either side."""


def place(proposal: Proposal, reading: Reading) -> str:
    """Where in an offer a transform stands."""
    protocol = ProtocolID(proposal.protocol).spelled
    return f"proposal {proposal.number}, {protocol}, transform {reading.transform.number}"


def nearest(offered: Sequence[Alternative], wanted: Sequence[Alternative]) -> str:
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


def _distance(theirs: Alternative, ours: Alternative) -> int:
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
    return f"{place(proposal, reading)}: {', '.join(found)}" if found else ""
