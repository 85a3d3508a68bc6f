"""
One alternative of an offer: a suite with its transforms read, beside another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from isakmp.associations import ProtectionSuite
from isakmp.departures import Departures
from isakmp.doi.protocols import PROTOCOLS, invalid_spi, valid_spi
from isakmp.doi.transforms import Reading, read
from isakmp.errors import InvalidProtocolID, InvalidTransformID, PeerError, Reason
from isakmp.numbers import ProtocolID
from isakmp.wire.proposals import Proposal

Pair = tuple[Proposal, tuple[Reading, ...], tuple[Reading, ...]]
"""A proposal, its transforms, and those of the proposal of the same protocol in another suite."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A suite with its transforms read."""

    suite: ProtectionSuite
    readings: tuple[tuple[Reading, ...], ...]

    @property
    def protocols(self) -> list[int]:
        """In ascending order."""
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
                return invalid_spi(proposal)
            transforms = proposal.transforms
            if transforms and not any(transform.transform_id for transform in transforms):
                return InvalidTransformID(
                    Reason(f"proposal {proposal.number}: the reserved Transform-ID", "0")
                )
        return None

    def aligned(self, other: Alternative) -> list[Pair] | None:
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

    def choice(self, wanted: Alternative, lenient: Departures) -> tuple[int, ...] | None:
        """Of each proposal the index of the first transform that is wanted; None: there is none."""
        choice: list[int] = []
        for _, readings, ours in self.aligned(wanted) or ():
            for index, reading in enumerate(readings):
                if not reading.fault and reading.departures <= lenient and any(
                    one.protection.accepts(reading.protection) for one in ours
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

    def repeats(self, offered: Alternative, lenient: Departures) -> bool:
        """Whether each of its transforms says what one of those offered says."""
        pairs = self.aligned(offered)
        return bool(pairs) and all(
            not reading.fault
            and reading.departures <= lenient
            and any(one.protection == reading.protection for one in ours)
            for _, readings, ours in pairs or ()
            for reading in readings
        )


def read_suite(suite: ProtectionSuite) -> Alternative:
    """Read the transforms of a suite."""
    return Alternative(
        suite,
        tuple(
            tuple(read(proposal.protocol, transform) for transform in proposal.transforms)
            for proposal in suite.proposals
        ),
    )


configured = lru_cache(maxsize=256)(read_suite)
"""For suites of ours, which are the same for every peer."""
