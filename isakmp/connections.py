"""
What is configured: connections, their children, and the bounds of a node.

All of it is values; a changed configuration is a new value.  :class:`Candidates` is how a responder
finds out which of its connections a stranger is: each fact that is learned narrows them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from isakmp.associations import Action, Handling, Lifetime, ProtectionSuite
from isakmp.departures import USUAL, Departures
from isakmp.errors import PeerError, Reason, Rejection
from isakmp.identity import Identities, Identity, IdentityPattern, TrafficSelector


@dataclass(frozen=True, slots=True)
class Intervals:
    """
    When a message that nobody answers is repeated, and when hope is given up.

    :ivar first: seconds before the first repeat.
    :ivar factor: what each wait is longer than the last.
    :ivar repeats: how often a message is sent again.
    :ivar waits: seconds before each repeat, then the last wait.
    :ivar total: seconds from a message's first sending to giving up.
    """

    first: float = 1.0
    factor: float = 1.8
    repeats: int = 6
    waits: tuple[float, ...] = field(init=False, repr=False, compare=False)
    total: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Asked for with every message, and the same for all of a connection's.
        waits = tuple(self.first * self.factor**n for n in range(self.repeats + 1))
        object.__setattr__(self, "waits", waits)
        object.__setattr__(self, "total", sum(waits))

    def __iter__(self) -> Iterator[float]:
        """The waits before each repeat, then the last wait."""
        return iter(self.waits)


@dataclass(frozen=True, slots=True)
class Routing:
    """
    Where a sink puts routes to the networks behind peers.

    :ivar table: the number of a table of its own.
    :ivar priority: of the rule that has the kernel look there; the smaller the earlier.
    """

    table: int = 220
    priority: int = 220


@dataclass(frozen=True, slots=True)
class Limits:
    """
    The bounds of a node.  Each protects memory or processor time from strangers.

    :ivar half_open: first messages remembered, from all addresses together; the oldest gives way.
    :ivar half_open_per_address: the same from one address.
    :ivar half_open_seconds: how long one is remembered.
    :ivar conversations: exchanges running with peers that have not authenticated.
    :ivar conversations_per_address: the same with one address.
    :ivar exchanges_per_sa: phase-2 exchanges running, as responder, under one management SA.
    :ivar begun_per_sa: exchanges for children that we have running at once under one management SA;
        the others wait.  strongSwan's charon keeps the cipher states of three exchanges, and cannot
        read what belongs to an older one (its ``max_ikev1_exchanges``).
    :ivar children_per_sa: bundles that may stand under one management SA before its peer can have
        no more; each costs memory, and time whenever SAs are compared.
    :ivar sas_per_peer: management SAs that a peer has at most by one connection and from one
        address; the oldest gives way.
    :ivar message_ids: message ids one management SA may use before it is to be replaced.
    :ivar refusals: messages in clear text that the method may refuse in one exchange; each can cost
        a key agreement.
    :ivar grace: seconds an exchange goes on hoping after it was refused something, or told no; and
        waits for CONNECTED where the peer has set the Commit bit.
    :ivar drops: what is remembered, per exchange, of messages dropped while waiting.
    :ivar notifications: notifications to unproven addresses at once; refilled over a second each.
    :ivar aggressive_octets: octets that the second message may have more than the first, in the
        exchanges whose responder cannot wait for its cookie: Aggressive, Base, Authentication Only.
    :ivar aggressive_per_second: first messages of those that are answered in a second; each can
        cost a key agreement.
    """

    half_open: int = 2000
    half_open_per_address: int = 64
    half_open_seconds: float = 30.0
    conversations: int = 1000
    conversations_per_address: int = 64
    exchanges_per_sa: int = 64
    begun_per_sa: int = 1
    children_per_sa: int = 1024
    sas_per_peer: int = 64
    message_ids: int = 16384
    refusals: int = 3
    grace: float = 2.0
    drops: int = 8
    notifications: int = 20
    aggressive_octets: int = 512
    aggressive_per_second: int = 50


class StartAction(enum.Enum):
    """
    What is done with a child when the node starts, or begins to know it.
    """

    NONE = "none"
    START = "start"
    TRAP = "trap"
    TRAP_AND_START = "trap|start"

    @property
    def starts(self) -> bool:
        """Whether it is begun at once, and again."""
        return self in (StartAction.START, StartAction.TRAP_AND_START)

    @property
    def traps(self) -> bool:
        """Whether its traffic may ask for it."""
        return self in (StartAction.TRAP, StartAction.TRAP_AND_START)


@dataclass(frozen=True, slots=True)
class Renewal:
    """
    When an SA is replaced by a new one, well before it expires.

    :ivar after: seconds from its establishment; 0: it is not renewed, and expires.
    :ivar spread: renewed up to this many seconds earlier, by chance, so that both ends, or many
        connections, do not all renew at once.
    """

    after: float = 0.0
    spread: float = 0.0


@dataclass(frozen=True, slots=True)
class Child:
    """
    Traffic of a connection that is to be protected, and how.

    :ivar local: selectors at our end; empty: our own address.
    :ivar remote: selectors at the peer's; empty: its address.
    :ivar suites: acceptable protection, by preference, as the domain of interpretation made them.
    :ivar quirks: where the peer departs from what the domain prescribes, by the domain's names.
    :ivar action: what becomes of its traffic; nothing is negotiated for what is not protected.
    :ivar handling: how a sink treats it.
    :ivar identities: what names the traffic where addresses do not.
    """

    name: str
    suites: tuple[ProtectionSuite, ...]
    local: tuple[TrafficSelector, ...] = ()
    remote: tuple[TrafficSelector, ...] = ()
    lifetime: Lifetime = Lifetime(seconds=3600)
    renewal: Renewal = Renewal()
    start: StartAction = StartAction.NONE
    quirks: frozenset[str] = frozenset()
    action: Action = Action.PROTECT
    handling: Handling = Handling()
    identities: Identities | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """
    One peer, or one kind of peer, and what is agreed with it.

    :ivar local: addresses of ours it may use; empty: any.
    :ivar remote: addresses of the peer; empty: any, and then it cannot be begun from here.
    :ivar suites: acceptable protection of key management, by preference, as the key exchange made
        them.
    :ivar exchange: the exchange type that begins it (2, Identity Protection).
    :ivar child_exchange: the exchange type that makes its children; 0: the one that the domain of
        interpretation or the key exchange has for that.
    :ivar initial_contact: whether to say so when it is the first contact.
    :ivar unique: whether a new SA of its peer takes the place of those that it has by another
        address.
    :ivar lenient: what is overlooked in its peer's messages: names of
        :data:`isakmp.departures.LENIENCES`.
    """

    name: str
    suites: tuple[ProtectionSuite, ...]
    local: tuple[str, ...] = ()
    remote: tuple[str, ...] = ()
    local_identity: Identity | None = None
    remote_identity: IdentityPattern = IdentityPattern("%any")
    local_port: int = 500
    remote_port: int = 500
    doi: int = 1
    key_exchange: str = "ike"
    exchange: int = 2
    child_exchange: int = 0
    lifetime: Lifetime = Lifetime(seconds=14400)
    renewal: Renewal = Renewal()
    children: tuple[Child, ...] = ()
    intervals: Intervals = field(default=Intervals())
    initial_contact: bool = True
    unique: bool = False
    lenient: Departures = USUAL

    @property
    def names_peer(self) -> bool:
        """
        Whether it is for one peer: by its identity, or by addresses, not networks, of its own.
        """
        addresses = bool(self.remote) and not any("/" in a or "-" in a for a in self.remote)
        return addresses or self.remote_identity.exact is not None

    def child(self, name: str) -> Child:
        """
        The child of this name.

        :raises LookupError: if there is none.
        """
        for child in self.children:
            if child.name == name:
                return child
        raise LookupError(f"connection {self.name} has no child {name}")


class Named(Protocol):
    """Anything a candidate can be: a connection, a child's policy."""

    @property
    def name(self) -> str:
        """What it is called in the configuration."""


C = TypeVar("C", bound=Named)


@dataclass(frozen=True, slots=True)
class Candidates(Generic[C]):
    """
    What the peer may still turn out to mean, in order; and why the others fell.
    """

    remaining: tuple[C, ...]
    rejected: tuple[Rejection, ...] = ()

    @property
    def first(self) -> C:
        """The preferred of what is left."""
        return self.remaining[0]

    def narrow(
        self,
        rule: str,
        offered: object,
        configured: Callable[[C], object],
        matches: Callable[[C], bool],
        error: Callable[[Reason], PeerError],
        remedy: str = "",
        matching: str | None = None,
    ) -> Candidates[C]:
        """
        Those that match a fact just learned.

        :param rule: what the fact is, in a few words.
        :param offered: what the peer said.
        :param configured: what a candidate wanted instead, for the explanation.
        :param matching: what would have matched, if that is not all that the candidates wanted.
        :param error: raised, with every rejection so far, when none is left.
        """
        kept = tuple([c for c in self.remaining if matches(c)])
        if len(kept) == len(self.remaining) and kept:
            return self
        lost = tuple(
            Rejection(c.name, rule, str(offered), str(configured(c)))
            for c in self.remaining
            if c not in kept
        )
        if not kept:
            wanted = ", ".join(dict.fromkeys(r.configured for r in lost))
            nearest = wanted if matching is None else matching
            raise error(
                Reason(rule, str(offered), wanted, remedy, self.rejected, matching=nearest)
            )
        return Candidates(kept, self.rejected + lost)
