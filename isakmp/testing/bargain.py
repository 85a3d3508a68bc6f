"""
What a domain of interpretation owes whose SAs are offered and chosen.

RFC 2408 section 4.2: alternatives are chosen by the initiator's preference, all protocols of a
suite or none, and an answer is one of the offers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, permutations

from isakmp.associations import (
    Agreed,
    ChildPolicy,
    Lifetime,
    Offer,
    Proposal,
    ProtectionSA,
    ProtectionSuite,
    SPIKey,
    Terms,
)
from isakmp.errors import ConfigurationError, PeerError
from isakmp.identity import TrafficSelector
from isakmp.interfaces import INegotiatingDomain
from isakmp.paths import Path
from isakmp.testing.obligations import Broken, Obligations, kind_of
from isakmp.wire.attributes import Attribute
from isakmp.wire.proposals import Transform

_PATH = Path(("192.0.2.1", 500), ("198.51.100.2", 500))
_HOUR = Lifetime(seconds=3600)
_THEIRS, _ANSWERED, _OURS = (bytes.fromhex(text) for text in ("c0513601", "d2a4b877", "e71f0c55"))

_ORDERS = 24
"""Of how many orders of an offer the choice is tried."""

_UNASSIGNED = 255
"""A Protocol-ID and a Transform-ID that nobody has configured."""


class Bargain:
    """
    The checks of a negotiation.

    :ivar suites: what the spellings mean.
    """

    def __init__(
        self, check: Obligations, doi: INegotiatingDomain, spellings: Sequence[str]
    ) -> None:
        self.check = check
        self.require = check.require
        self.doi = doi
        self.spellings = spellings
        self.suites = tuple(doi.suite(spelling, _HOUR) for spelling in spellings)

    def words(self) -> None:
        """A suite is spelled as it is understood, and what is no suite is said to be none."""
        for spelling, suite in zip(self.spellings, self.suites, strict=True):
            self.require(
                self.doi.suite(spelling, _HOUR) == suite, f"suite({spelling!r}) is not pure"
            )
            spelled = self.doi.spell(suite)
            try:
                again = self.doi.suite(spelled, _HOUR)
            except ConfigurationError as error:
                raise Broken(
                    f"spell says {spelled!r}, which suite does not take: {error}"
                ) from None
            self.require(
                again == suite,
                f"suite({spelling!r}) is spelled {spelled!r}, which means something else",
            )
            self.require(
                all(p.transforms for p in suite.proposals) and suite.proposals,
                f"suite({spelling!r}) has a protocol without transforms",
            )
        for wrong in ("", "\0", "no such suite", "x" * 1000, f"{self.spellings[0]} \N{SNOWMAN}"):
            try:
                self.doi.suite(wrong, _HOUR)
            except ConfigurationError:
                continue
            except Exception as error:  # that is what is looked for
                raise Broken(
                    f"suite raises {kind_of(error)} at {wrong[:20]!r}: a mistake in a "
                    "configuration is a ConfigurationError"
                ) from None
            raise Broken(f"suite takes {wrong[:20]!r}")
        for strange in self.strange():
            try:
                said = self.doi.spell(strange)
            except Exception as error:  # that is what is looked for
                raise Broken(f"spell raises {kind_of(error)} at what a peer may offer") from None
            self.require(isinstance(said, str), "spell does not answer with a text")

    def strange(self) -> Iterator[ProtectionSuite]:
        """What a peer may offer, and nobody configures."""
        hostile = (
            (),
            (Attribute(_UNASSIGNED, b"", False),),
            tuple(Attribute(kind, b"\xff\xff", True) for kind in range(12)),
            tuple(Attribute(kind, bytes(40), False) for kind in range(12)),
            tuple(Attribute(kind, b"", False) for kind in range(12)),
        )
        for suite in self.suites:
            for proposal in suite.proposals:
                for transform_id in (0, _UNASSIGNED, proposal.transforms[0].transform_id):
                    for attributes in hostile:
                        transform = Transform(1, transform_id, attributes)
                        yield ProtectionSuite((replace(proposal, transforms=(transform,)),))

    def choices(self) -> None:
        """What is chosen was offered, and is what the initiator prefers of what is acceptable."""
        acceptances = [self.suites, self.suites[::-1], *((suite,) for suite in self.suites)]
        for order in islice(permutations(self.suites), _ORDERS):
            offered = self.offer(order, _THEIRS)
            for acceptable in acceptances:
                wanted = self.offer(acceptable, b"")
                alone = (self.chosen(replace(offered, suites=(s,)), wanted) for s in offered.suites)
                first = next((suite for suite in alone if suite is not None), None)
                chosen = self.chosen(offered, wanted)
                if chosen is not None:
                    self.not_invented(chosen, offered)
                self.require(
                    chosen == first,
                    "select does not choose the first offered suite that is acceptable: the "
                    "initiator's preference counts (RFC 2408 section 4.2)",
                )
                if acceptable in (self.suites, self.suites[::-1]):
                    preferred = _first_transforms(offered.suites[0])
                    self.require(
                        chosen == preferred,
                        "select passes over the offered transform that is preferred, though it is "
                        "acceptable, or does not take what is configured here",
                    )
        for suite in self.strange():
            offered = self.offer((suite,), _THEIRS)
            chosen = self.chosen(offered, self.offer(self.suites, b""))
            if chosen is not None:
                self.not_invented(chosen, offered)
            unassigned = suite.proposals[0].transforms[0].transform_id == _UNASSIGNED
            self.require(
                chosen is None or not unassigned,
                "select takes a Transform-ID that is not configured",
            )

    def suites_are_whole(self) -> None:
        """All protocols of a suite, or none."""
        for suite in self.suites:
            wanted = self.offer((suite,), b"")
            (whole,) = self.offer((suite,), _THEIRS).suites
            more = ProtectionSuite(
                (*whole.proposals, replace(whole.proposals[0], protocol=_UNASSIGNED))
            )
            self.require(
                self.chosen(replace(wanted, suites=(more,)), wanted) is None,
                "select leaves out a protocol of a suite: all of it is chosen, or nothing "
                "(RFC 2408 section 4.2)",
            )
            if len(whole.proposals) > 1:
                less = ProtectionSuite(whole.proposals[1:])
                self.require(
                    self.chosen(replace(wanted, suites=(less,)), wanted) is None,
                    "select is content with a part of a suite (RFC 2408 section 4.2)",
                )

    def answers(self) -> None:
        """What the responder selects the initiator confirms; what it did not offer it refuses."""
        for suite in self.suites:
            offered, wanted = self.offer((suite,), _THEIRS), self.offer((suite,), b"")
            chosen = self.chosen(offered, wanted)
            assert chosen is not None
            answer = replace(offered, suites=(_with_spi(chosen, _ANSWERED),))
            confirmed = self.confirmed(answer, offered)
            self.require(
                confirmed is not None,
                f"confirm refuses what select chose of {self.doi.spell(suite)!r}",
            )
            self.require(
                confirmed == answer.suites[0],
                "confirm does not give the answer itself, with the peer's SPIs",
            )
            for other in self.suites:
                if self.chosen(self.offer((other,), _THEIRS), wanted) is None:
                    lie = self.offer((_first_transforms(other),), _ANSWERED)
                    self.refused(lie, offered, f"{self.doi.spell(other)!r}, which was not offered")
                    both = self.offer((_first_transforms(suite), *lie.suites), _ANSWERED)
                    asked = self.offer((suite, other), _THEIRS)
                    self.refused(both, asked, "an answer of two suites")
            self.refused(replace(answer, suites=()), offered, "an answer without a suite")
            proposal = answer.suites[0].proposals[0]
            (transform,) = proposal.transforms
            foreign = replace(transform, transform_id=_UNASSIGNED)
            for what, transforms in (
                ("a transform that was not offered", (foreign,)),
                ("two transforms of a protocol", (transform, transform)),
                ("no transform of a protocol", ()),
            ):
                lying = ProtectionSuite(
                    (replace(proposal, transforms=transforms), *answer.suites[0].proposals[1:])
                )
                self.refused(replace(answer, suites=(lying,)), offered, what)
        for strange in self.strange():
            self.confirmed(
                self.offer((strange,), _ANSWERED), self.offer((self.suites[0],), _THEIRS)
            )

    def keys(self) -> None:
        """Keys are cut as was said, in the same way each time, and are never shown."""
        for suite in self.suites:
            wanted = self.offer((suite,), _THEIRS)
            chosen = self.chosen(wanted, self.offer((suite,), b""))
            assert chosen is not None
            for proposal in chosen.proposals:
                for outbound in (False, True):
                    self.cut(proposal, outbound)

    def cut(self, proposal: Proposal, outbound: bool) -> None:
        """The SA of one direction."""
        terms = self.doi.terms(proposal)
        self.require(self.doi.terms(proposal) == terms, "terms is not pure")
        self.require(
            isinstance(terms, Terms) and isinstance(terms.keymat, int) and terms.keymat >= 0,
            f"terms answers {terms!r}",
        )
        keymat = self.check.chance.randbytes(terms.keymat)
        spi = proposal.spi if outbound else _OURS
        try:
            self.doi.check_spi(proposal.protocol, spi)
        except PeerError as refusal:
            raise Broken(f"check_spi refuses an SPI of {proposal.protocol}: {refusal}") from None
        policy = self.policy()
        agreed = Agreed(_PATH, policy, outbound, _HOUR)

        def make(octets: bytes) -> ProtectionSA:
            return self.doi.security_association(proposal, spi, octets, agreed)

        made = make(keymat)
        again = make(keymat)
        self.require(
            (made, dict(made.keys)) == (again, dict(again.keys)),
            "security_association is not pure: the same keying material gives other keys",
        )
        end = _PATH.remote if outbound else _PATH.local
        self.require(
            made.key == SPIKey(self.doi.number, proposal.protocol, spi, end[0]),
            f"security_association names an SA {made.key}: its destination is its receiver",
        )
        self.require(
            made.lifetime == agreed.lifetime,
            "security_association does not keep to the lifetime that was agreed",
        )
        cut = sum(map(len, made.keys.values()))
        self.require(
            cut == terms.keymat,
            f"terms asks for {terms.keymat} octets of keying material, and the keys have {cut}",
        )
        for place in range(terms.keymat):
            other = bytearray(keymat)
            other[place] ^= 1
            self.require(
                dict(make(bytes(other)).keys) != dict(made.keys),
                f"octet {place} of the keying material is in none of the keys",
            )
        self.lengths(make, keymat)
        self.hidden(made, made.keys)

    def lengths(self, make: Callable[[bytes], ProtectionSA], keymat: bytes) -> None:
        """Of another length it makes no keys."""
        for wrong in (keymat[:-1], keymat + b"\0"):
            if len(wrong) == len(keymat):
                continue
            try:
                make(wrong)
            except (ValueError, PeerError):
                continue
            raise Broken(
                f"security_association makes keys of {len(wrong)} octets, where terms asks for "
                f"{len(keymat)}: it has to raise ValueError"
            )

    def hidden(self, made: ProtectionSA, keys: Mapping[str, bytes]) -> None:
        """No key stands in what may come into a log."""
        shown = f"{made!r} {made} {made.parameters!r} {made.parameters}"
        for use, key in keys.items():
            if len(key) > 3:
                number = str(int.from_bytes(key))
                spelled = (key.hex(), repr(key)[2:-1], str(list(key))[1:-1], number)
                self.require(
                    not any(each in shown for each in spelled),
                    f"the key {use!r} can be read in the repr of the SA",
                )

    # -- questions -----------------------------------------------------------------------------

    def policy(self) -> ChildPolicy:
        """A child that is for all of them."""
        host = TrafficSelector.host
        situation = self.doi.phase1_situation
        ends = host(_PATH.local[0]), host(_PATH.remote[0])
        return ChildPolicy("c", "child", self.doi.number, situation, *ends, self.suites, _HOUR)

    def offer(self, suites: Sequence[ProtectionSuite], spi: bytes) -> Offer:
        """Suites, numbered from 1, every protocol with this SPI."""
        numbered = tuple(_with_spi(suite, spi).numbered(n) for n, suite in enumerate(suites, 1))
        return Offer(self.doi.number, self.doi.phase1_situation, numbered)

    def chosen(self, offered: Offer, wanted: Offer) -> ProtectionSuite | None:
        """What is selected; None: nothing."""
        return self.asked("select", lambda: self.doi.select(offered, wanted))

    def confirmed(self, answer: Offer, offered: Offer) -> ProtectionSuite | None:
        """What is confirmed; None: it is refused."""
        return self.asked("confirm", lambda: self.doi.confirm(answer, offered))

    def asked(self, what: str, ask: Callable[[], ProtectionSuite]) -> ProtectionSuite | None:
        """An answer, or a refusal."""
        try:
            return self.check.pure(ask, what)
        except PeerError:
            return None
        except Broken:
            raise
        except Exception as error:  # that is what is looked for
            raise Broken(
                f"{what} raises {kind_of(error)}: what a peer offers may raise a PeerError, and "
                "nothing else"
            ) from None

    def refused(self, answer: Offer, offered: Offer, what: str) -> None:
        """What a lying responder says."""
        self.require(
            self.confirmed(answer, offered) is None,
            f"confirm takes {what} (RFC 2408 section 4.2: the answer is one of the offers)",
        )

    def not_invented(self, chosen: ProtectionSuite, offered: Offer) -> None:
        """One of the offers, one transform for each of its protocols, as it was offered."""
        for suite in offered.suites:
            if len(suite.proposals) == len(chosen.proposals) and all(
                replace(ours, transforms=()) == replace(theirs, transforms=())
                and len(ours.transforms) == 1
                and ours.transforms[0] in theirs.transforms
                for ours, theirs in zip(chosen.proposals, suite.proposals, strict=True)
            ):
                return
        raise Broken(
            "select invents: what it gives is not one of the offers, with one transform for each "
            "protocol, as it was offered (RFC 2408 section 4.2)"
        )


def _first_transforms(suite: ProtectionSuite) -> ProtectionSuite:
    return ProtectionSuite(
        tuple(replace(p, transforms=p.transforms[:1]) for p in suite.proposals)
    )


def _with_spi(suite: ProtectionSuite, spi: bytes) -> ProtectionSuite:
    return ProtectionSuite(tuple(replace(p, spi=spi) for p in suite.proposals))
