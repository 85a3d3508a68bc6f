"""
Two nodes on a network that loses, doubles and reorders: what must be true of every seed.

RFC 2408 section 5.1 wants lost messages sent again and state cleared in the end; the last message
of an exchange is the one whose loss its sender cannot see.  :func:`run` plays one seed to its end
and returns everything that was not as it must be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from random import Random

from isakmp.associations import SABundle, SPIKey
from isakmp.events import Established, Removal, Removed
from isakmp.interfaces import IManagementSA
from isakmp.parts import Role
from isakmp.testing import Transmission
from isakmp.wire.payloads import Delete
from tests.nodes import Member, Pair, Settings, books, keys_of, left_over, pair, unfinished

SA = IManagementSA | SABundle

_TOLD = frozenset({Removal.PEER_GONE, Removal.EXPIRED, Removal.DELETED})
"""Removals of which the peer is told, once."""

_LAST = Role.RESPONDER
"""Who sends the last message of Main Mode; of Quick Mode it is the initiator."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What the network does: see :class:`isakmp.testing.LossyNetwork`."""

    drop: float = 0.3
    duplicate: float = 0.3
    reorder: float = 0.3
    jitter: float = 0.05


@dataclass(slots=True)
class Outcome:
    """
    What became of one seed.

    :ivar up: the first child stood at both ends while the network was bad.
    :ivar one_sided: SAs that only one end believed in when all exchanges had ended.
    :ivar complaints: what was not as it must be.
    """

    seed: int
    up: bool = False
    one_sided: int = 0
    complaints: list[str] = field(default_factory=list)

    def check(self, when: str, found: Iterable[str]) -> None:
        """Nothing must have been found."""
        self.complaints += [f"seed {self.seed}, {when}: {what}" for what in found]


def settings_of(seed: int) -> Settings:
    """
    Not all seeds ask for the same: one child or two at once, with perfect forward secrecy or not.
    """
    return Settings(
        child_suite="aes128-sha256-curve25519" if seed % 3 == 0 else "aes128-sha256",
        children=1 + seed % 2,
    )


def run(seed: int, weather: Weather = Weather()) -> Outcome:
    """
    Play one seed.

    Alice begins, in every fifth Bob as well.  After ``Pair.quiet`` every exchange must have ended;
    an SA that only one end has must be explained by its last message, or a Delete, that never came.
    Then the network heals and another attempt succeeds.  Then both close, or time ends all SAs.
    """
    chance = Random(seed)
    both = pair(
        settings_of(seed),
        seed=seed,
        drop=weather.drop,
        duplicate=weather.duplicate,
        reorder=weather.reorder,
        jitter=weather.jitter,
    )
    outcome = Outcome(seed)
    begun = _begin(both, chance, also_bob=seed % 5 == 0)
    both.wait(both.quiet)
    outcome.up = any(_mirrored(one, both.b.bundles) for one in both.a.bundles)
    outcome.check("when all exchanges had to be over", unfinished(both.a, both.b))
    outcome.check("of what is installed", _books(both))
    outcome.check("of who believes in what", _unexplained(both, begun, outcome))

    network = both.network
    network.drop = network.duplicate = network.reorder = network.jitter = 0.0
    outcome.check("on a network that is good again", _again(both))
    if seed % 2:
        both.a.endpoint.close()
        both.wait(both.longest_flight)
        both.b.endpoint.close()
        both.wait(both.longest_flight)
        outcome.check("after both had closed", left_over(both.a, both.b))
    both.wait(both.expired)
    outcome.check("when every SA had to be over", left_over(both.a, both.b))
    outcome.check("of lifetimes", _too_late(both))
    return outcome


def _begin(both: Pair, chance: Random, also_bob: bool) -> dict[str, list[SABundle]]:
    """Everybody who has something to begin begins; by address, the children each got."""
    got: dict[str, list[SABundle]] = {}
    for member in (both.a, both.b) if also_bob else (both.a,):
        mine = got.setdefault(member.address, [])
        for child in member.connection().children:
            member.establish(child.name).addCallbacks(mine.extend, lambda failure: None)
        both.wait(chance.choice((0.0, 0.01, 0.1, 1.0)))
    return got


def _books(both: Pair) -> Iterator[str]:
    """
    Each sink holds what its registry says, complete; each node has an end for each SA, and one call
    on the clock for all of them.
    """
    for member in (both.a, both.b):
        yield from books(member)
        if set(member.assembly.lifetimes.timed) != {sa.key for sa in member.registry}:
            yield f"{len(member.registry)} SAs, and ends for others"
    standing = [member for member in (both.a, both.b) if len(member.registry)]
    if len(both.clock.getDelayedCalls()) != len(standing):
        yield f"{len(standing)} nodes have SAs, and on the clock {both.clock.getDelayedCalls()}"


def _mirrored(bundle: SABundle, others: Sequence[SABundle]) -> SABundle | None:
    """The same child as the peer has it."""
    for other in others:
        if (other.inbound[0].key, other.outbound[0].key) == (
            bundle.outbound[0].key,
            bundle.inbound[0].key,
        ):
            return other
    return None


def _same(sa: SA, others: Sequence[SA]) -> SA | None:
    """The same SA as the peer has it, among its SAs."""
    if isinstance(sa, SABundle):
        return _mirrored(sa, [other for other in others if isinstance(other, SABundle)])
    return next((other for other in others if other.key == sa.key), None)


def _unexplained(
    both: Pair, begun: dict[str, list[SABundle]], outcome: Outcome
) -> Iterator[str]:
    """
    SAs that one end has and the other lacks, and why that cannot be.

    It can be if the other never had it, and the one that has it was the one to send the last
    message of its exchange; or if the other told us that it is gone, and that never came.
    """
    for one, other in ((both.a, both.b), (both.b, both.a)):
        for sa in one.registry:
            if _same(sa, list(other.registry)) is not None:
                continue
            outcome.one_sided += 1
            told = _told(other, sa)
            if any(sent.delivered for sent in told):
                yield f"{one.address} was told that {sa.key} is gone, and has it"
            had = _same(sa, [event.sa for event in other.published(Established)])
            gone = [e.why for e in other.published(Removed) if had and e.sa.key == had.key]
            if had is not None:
                if not told or not _TOLD.issuperset(gone):
                    yield f"{other.address} removed {sa.key}, {gone}, and told nobody"
                continue
            mine = [bundle.key for bundle in begun.get(one.address, [])]
            if not (sa.key in mine if isinstance(sa, SABundle) else sa.role is _LAST):
                yield f"{one.address} has {sa.key}, and was not the last to speak"


def _told(member: Member, sa: SA) -> list[Transmission]:
    """The datagrams by which it told its peer, which has this SA, that it is gone."""
    spi = sa.outbound[0].key.spi if isinstance(sa, SABundle) else sa.key.octets
    return [
        transmission
        for sent, transmission in member.sent
        if any(spi in delete.spis for delete in sent.message.all(Delete))
    ]


def _again(both: Pair) -> Iterator[str]:
    """
    Alice can have her child, at the second attempt if she believed in an SA that Bob lacks.
    """
    stale = any(_same(sa, both.b.sas) is None for sa in both.a.sas)
    for _ in range(1 + stale):
        got: list[object] = []
        both.a.establish().addBoth(got.append)
        both.wait(both.quiet)
    if not isinstance(got[0], tuple) or not _mirrored(got[0][0], both.b.bundles):
        yield f"{got[0]}"
    elif any(keys_of(both.a)[key] != keys_of(both.b)[key] for key in map(_named, got[0][0].keys)):
        yield "the keys of the two ends differ"


def _named(key: SPIKey) -> tuple[str, str]:
    return key.spi.hex(), key.destination


def _too_late(both: Pair) -> Iterator[str]:
    """An SA is gone, whatever its peer believes, when its lifetime is over."""
    for member in (both.a, both.b):
        ended = {e.sa.key: time for time, e in member.events if isinstance(e, Removed)}
        for time, event in member.events:
            if isinstance(event, Established):
                sa = event.sa
                lives = sa.inbound[0].lifetime if isinstance(sa, SABundle) else sa.lifetime
                if not ended.get(sa.key, inf) <= time + lives.seconds + 1e-6:
                    yield f"{member.address} had {sa.key} for longer than {lives.seconds} s"
