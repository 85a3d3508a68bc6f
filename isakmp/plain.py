"""
A base class for the plug-in that is a domain of interpretation: the answers that are the same in
nearly every one.

RFC 2408 section 2.1 leaves to a domain of interpretation what the numbers inside an SA mean; how
alternatives are chosen (section 4.2) and who may delete what (section 3.15) it leaves to nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from twisted.plugin import IPlugin
from zope.interface import implementer

from isakmp.associations import (
    Agreed,
    Lifetime,
    Offer,
    Proposal,
    ProtectionSA,
    ProtectionSuite,
    Situation,
    SPIKey,
    Terms,
    Transform,
)
from isakmp.errors import (
    InvalidProtocolID,
    InvalidSPI,
    NoProposalChosen,
    Reason,
    SituationNotSupported,
)
from isakmp.identity import Identity
from isakmp.interfaces import Effect, IExchangeType, INegotiatingDomain
from isakmp.paths import Path
from isakmp.wire.payloads import Delete, Notification
from isakmp.wire.reader import Reader


@implementer(IPlugin, INegotiatingDomain)
class PlainDomain:
    """
    Implements INegotiatingDomain as far as that can be done without knowing the domain.

    A subclass sets ``number``, ``name``, ``phase1_situation`` and ``examples``, and has the methods
    ``situation``, ``identity``, ``suite``, ``spell``, ``terms`` and ``security_association``.  If
    two transforms can be different and still mean the same, :meth:`accepts` too, or :meth:`select`
    as a whole.

    It may not keep state: one object serves every exchange.
    """

    number: int
    name: str
    phase1_situation: Situation
    examples: Sequence[str]
    exchange_types: Sequence[IExchangeType] = ()

    # -- what only the domain knows ------------------------------------------------------------

    def situation(self, reader: Reader) -> Situation:
        """What stands before the proposals in an SA payload."""
        raise NotImplementedError

    def identity(self, kind: int, protocol: int, port: int, data: bytes) -> Identity:
        """What an Identification payload names."""
        raise NotImplementedError

    def suite(self, spelling: str, lifetime: Lifetime) -> ProtectionSuite:
        """Acceptable protection, from a configuration."""
        raise NotImplementedError

    def spell(self, suite: ProtectionSuite) -> str:
        """A suite as a configuration spells it."""
        raise NotImplementedError

    def terms(self, chosen: Proposal) -> Terms:
        """What a proposal asks for, by its first transform."""
        raise NotImplementedError

    def security_association(
        self, chosen: Proposal, spi: bytes, keymat: bytes, agreed: Agreed
    ) -> ProtectionSA:
        """Cut keying material into the value that a sink installs; :meth:`key` names it."""
        raise NotImplementedError

    # -- the dull answers ----------------------------------------------------------------------

    def identification(self, identity: Identity) -> Identity:
        """The inverse of :meth:`identity`: the same, for its numbers are this domain's."""
        return identity

    def accepts(self, protocol: int, offered: Transform, ours: Transform) -> bool:
        """
        Whether what a peer offers is what is configured here: the same Transform-ID, and the same
        attributes in any order.
        """
        return offered.transform_id == ours.transform_id and sorted(
            (attribute.kind, attribute.value) for attribute in offered.attributes
        ) == sorted((attribute.kind, attribute.value) for attribute in ours.attributes)

    def select(self, offered: Offer, acceptable: Offer) -> ProtectionSuite:
        """
        The suite, and in it the transforms, that the initiator prefers of those acceptable; all
        protocols of a suite or none.  RFC 2408 section 4.2.

        :raises NoProposalChosen: if there is none.
        :raises SituationNotSupported: if domain or situation is another.
        """
        situations = [offer.situation.encode() for offer in (offered, acceptable)]
        if offered.doi != acceptable.doi or situations[0] != situations[1]:
            raise SituationNotSupported(
                Reason(
                    "another domain of interpretation or situation",
                    f"DOI {offered.doi}, situation {situations[0][:16].hex()}",
                    f"DOI {acceptable.doi}, situation {situations[1][:16].hex()}",
                )
            )
        for theirs in offered.suites:
            for ours in acceptable.suites:
                chosen = self._chosen(theirs, ours)
                if chosen is not None:
                    return chosen
        raise NoProposalChosen(
            Reason(
                "no offered protection suite is acceptable",
                ", ".join(map(self.spell, offered.suites)),
                ", ".join(map(self.spell, acceptable.suites)),
            )
        )

    def _chosen(self, theirs: ProtectionSuite, ours: ProtectionSuite) -> ProtectionSuite | None:
        wanted = {proposal.protocol: proposal for proposal in ours.proposals}
        protocols = [proposal.protocol for proposal in ours.proposals]
        if len(wanted) < len(protocols):
            return None  # one twice: nothing says which is which
        if sorted(p.protocol for p in theirs.proposals) != sorted(protocols):
            return None
        chosen = []
        for proposal in theirs.proposals:
            acceptable = wanted[proposal.protocol].transforms
            for transform in proposal.transforms:
                if any(self.accepts(proposal.protocol, transform, one) for one in acceptable):
                    chosen.append(replace(proposal, transforms=(transform,)))
                    break
            else:
                return None
        return ProtectionSuite(tuple(chosen))

    def confirm(self, answer: Offer, offered: Offer) -> ProtectionSuite:
        """
        The peer's answer, if it is one suite of ours, with one transform for each protocol.

        :raises NoProposalChosen: otherwise; RFC 2408 section 4.2.
        """
        alone = len(answer.suites) == 1 and all(
            len(proposal.transforms) == 1 for proposal in answer.suites[0].proposals
        )
        if not alone:
            raise NoProposalChosen(
                Reason(
                    "an answer is one suite, and one transform for each protocol",
                    ", ".join(map(self.spell, answer.suites)) or "no suite",
                )
            )
        return self.select(answer, offered)

    @property
    def protocols(self) -> Collection[int]:
        """The security protocols of this domain: those of its ``examples``; none: any."""
        suites = (self.suite(example, Lifetime()) for example in self.examples)
        return {proposal.protocol for suite in suites for proposal in suite.proposals}

    def check_spi(self, protocol: int, spi: bytes) -> None:
        """
        Any octets name an SA of one of the :attr:`protocols`.

        :raises InvalidProtocolID: if it is none of them.
        :raises InvalidSPI: if there are no octets.
        """
        protocols = self.protocols
        if protocols and protocol not in protocols:
            known = ", ".join(map(str, sorted(protocols)))
            raise InvalidProtocolID(Reason(f"a protocol of {self.name}", str(protocol), known))
        if not spi:
            raise InvalidSPI(Reason(f"an SPI of {self.name}", "no octets"))

    def notified(self, notification: Notification) -> Effect | None:
        """Nothing is asked for by a notification."""
        return None

    def deleted(self, delete: Delete, path: Path) -> Sequence[SPIKey]:
        """The SAs by which we send to the peer: a Delete names what its sender receives by."""
        if delete.doi != self.number:
            return ()
        return tuple(
            SPIKey(self.number, delete.protocol, spi, path.remote[0])
            for spi in dict.fromkeys(delete.spis)
        )

    # -- for subclasses ------------------------------------------------------------------------

    def key(self, chosen: Proposal, spi: bytes, agreed: Agreed) -> SPIKey:
        """What names an SA: its receiver is its destination.  RFC 2408 section 2.4."""
        end = agreed.path.remote if agreed.outbound else agreed.path.local
        return SPIKey(self.number, chosen.protocol, spi, end[0])
