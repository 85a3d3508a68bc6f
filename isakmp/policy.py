"""
What is agreed to, from what is configured.

A responder learns who a stranger is one fact at a time.  The addresses and the exchange type come
first: with them :meth:`ConfiguredPolicy.candidates` says which connections it can be.  In phase 2
the client identities (RFC 2409 section 5.5) say which child the peer means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from twisted.internet.defer import Deferred, execute
from zope.interface import implementer

from isakmp.associations import (
    Action,
    ChildPolicy,
    ChildRequest,
    ProtectionSuite,
    Situation,
    Transform,
)
from isakmp.connections import Candidates, Child, Connection, Intervals
from isakmp.departures import NONE, Departures
from isakmp.errors import ConfigurationError, DOINotSupported, InvalidIdentity, Reason, Rejection
from isakmp.identity import TrafficSelector
from isakmp.interfaces import IDomainOfInterpretation, IManagementSA, IPolicy
from isakmp.numbers import ExchangeType
from isakmp.paths import Path

EXPLAINED = 32
"""Of how many connections it is said why a stranger cannot mean them: whoever sends asks for it."""

Supports = Callable[[int, int, Transform], bool]
"""Domain of interpretation, Protocol-ID, transform: whether the sink can do it."""


@dataclass(frozen=True, slots=True)
class _Configured:
    """
    A connection, its addresses understood, and of its children's suites what the sink supports.

    :ivar suites: by child's name.
    """

    connection: Connection
    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]
    suites: Mapping[str, tuple[ProtectionSuite, ...]]


@implementer(IPolicy)
class ConfiguredPolicy:
    """
    A fixed set of connections.

    :param connections: in order of preference.
    :param supports: what the sink can do; nothing else is offered or accepted.
    :param dois: the enabled domains of interpretation, by number.
    :raises ConfigurationError: if two connections, or two children of one, have one name; an
        address is not one; a domain of interpretation is not enabled; nothing of what a child
        would take is supported.
    """

    def __init__(
        self,
        connections: Sequence[Connection],
        supports: Supports,
        dois: Mapping[int, IDomainOfInterpretation],
    ) -> None:
        self._supports = supports
        self._dois = dois
        self._connections: Mapping[str, _Configured] = {}
        self.configure(connections)

    def configure(self, connections: Sequence[Connection]) -> None:
        """
        From now on these connections, and no others; nothing changes if one of them is refused.

        :raises ConfigurationError: as when the policy was made.
        """
        dois, supports = self._dois, self._supports
        understood: dict[str, _Configured] = {}
        for connection in connections:
            if connection.name in understood:
                raise ConfigurationError(f"two connections are named {connection.name}")
            if connection.doi not in dois:
                raise ConfigurationError(
                    f"connection {connection.name}: domain of interpretation {connection.doi} "
                    "is not enabled"
                )
            suites: dict[str, tuple[ProtectionSuite, ...]] = {}
            for child in connection.children:
                if child.name in suites:
                    raise ConfigurationError(
                        f"two children of connection {connection.name} are named {child.name}"
                    )
                suites[child.name] = ()
                if child.action is Action.PROTECT:
                    suites[child.name] = _supported(
                        connection.name, connection.doi, child, supports
                    )
            understood[connection.name] = _Configured(
                connection,
                _addresses(connection, connection.local),
                _addresses(connection, connection.remote),
                suites,
            )
        self._connections = understood

    def connection(self, name: str) -> Connection:
        """
        A configured connection.

        :raises LookupError: if there is none of this name.
        """
        return self._configured(name).connection

    def candidates(self, path: Path, doi: int, number: int) -> Candidates[Connection]:
        """
        The connections a stranger on this path may mean by this exchange type.

        The one whose remote addresses are the fewest is the first; of equals the first configured.
        ``rejected`` says why the others fell, of the first :data:`EXPLAINED` of them.
        """
        local, remote = _host(path.local[0]), _host(path.remote[0])
        fitting: list[tuple[int, Connection]] = []
        fallen: list[_Configured] = []
        for configured in self._connections.values():
            connection = configured.connection
            if (
                connection.doi == doi
                and connection.exchange == number
                and _among(local, configured.local)
                and (among := _among(remote, configured.remote))
            ):
                fitting.append((among, connection))
            else:
                fallen.append(configured)
        rejected = [_why(each, path, doi, number) for each in fallen[:EXPLAINED]]
        if len(fallen) > EXPLAINED:
            others = f"{len(fallen) - EXPLAINED} others"
            rejected.append(Rejection(others, "not listed", "", ""))
        fitting.sort(key=lambda fit: fit[0])
        return Candidates(tuple(connection for _, connection in fitting), tuple(rejected))

    def phase2(self, sa: IManagementSA, request: ChildRequest) -> Deferred[Candidates[ChildPolicy]]:
        """
        The children whose traffic a peer's request fits; one that it matches exactly is the first.

        What the request says becomes the selectors of each.

        :raises InvalidIdentity: if there is none; with what each child would take.
        :raises DOINotSupported: if the request is of another domain of interpretation than the SA.
        """
        return execute(self._phase2, sa, request)

    def proposed(self, sa: IManagementSA, child: Child) -> ChildPolicy:
        """
        What we ask for when we begin a child ourselves: its first selectors.

        :raises ConfigurationError: if the sink supports nothing of what it would take, or its
            traffic is not protected at all.
        """
        if child.action is not Action.PROTECT:
            raise ConfigurationError(
                f"connection {sa.connection}, child {child.name}: its traffic is not protected "
                f"(mode = {child.action.value})"
            )
        suites = _supported(sa.connection, sa.doi, child, self._supports)
        situation = self._dois[sa.doi].phase1_situation
        local, remote = _selectors(sa, child)
        return _child_policy(sa, child, suites, situation, local[0], remote[0])

    def intervals(self, name: str) -> Intervals:
        """How a connection's messages are repeated; the defaults for an unknown name."""
        configured = self._connections.get(name)
        return Intervals() if configured is None else configured.connection.intervals

    def lenient(self, name: str) -> Departures:
        """What is overlooked in the messages of its peer; of an unknown name nothing."""
        configured = self._connections.get(name)
        return NONE if configured is None else configured.connection.lenient

    def lenient_at(self, path: Path) -> Departures:
        """What any connection overlooks that a stranger on this path may mean."""
        local, remote = _host(path.local[0]), _host(path.remote[0])
        return NONE.union(
            *(
                one.connection.lenient
                for one in self._connections.values()
                if _among(local, one.local) and _among(remote, one.remote)
            )
        )

    def _configured(self, name: str) -> _Configured:
        try:
            return self._connections[name]
        except KeyError:
            raise LookupError(f"no connection is named {name}") from None

    def _phase2(self, sa: IManagementSA, request: ChildRequest) -> Candidates[ChildPolicy]:
        try:
            configured = self._configured(sa.connection)
        except LookupError:
            asked = _asked(request)
            reason = Reason(f"connection {sa.connection} is not configured any longer", asked)
            raise InvalidIdentity(reason) from None
        if request.doi != sa.doi:
            raise DOINotSupported(
                Reason("another domain than the ISAKMP SA's", str(request.doi), str(sa.doi))
            )
        fitting: list[tuple[bool, Child]] = []
        rejected: list[Rejection] = []
        for child in configured.connection.children:
            if child.action is not Action.PROTECT:
                continue  # nobody can ask for it
            local, remote = _selectors(sa, child)
            if request.identities is not None or child.identities is not None:
                fits = exact = request.identities == child.identities
            else:
                fits = any(map(request.local.within, local)) and any(
                    map(request.remote.within, remote)
                )
                exact = request.local in local and request.remote in remote
            if fits:
                fitting.append((not exact, child))
            else:
                wanted = f"{_listed(local)} - {_listed(remote)}"
                if child.identities is not None:
                    wanted = str(child.identities)
                rejected.append(Rejection(child.name, "traffic", _asked(request), wanted))
        if not fitting:
            raise InvalidIdentity(
                Reason(
                    f"no child of connection {sa.connection} is for this traffic",
                    _asked(request),
                    "; ".join(f"{r.name}: {r.configured}" for r in rejected) or "no children",
                    "Both ends must be configured for the same traffic.",
                    tuple(rejected),
                    matching="; ".join(r.configured for r in rejected),
                )
            )
        fitting.sort(key=lambda fit: fit[0])
        policies = tuple(
            _child_policy(
                sa,
                child,
                configured.suites[child.name],
                request.situation,
                _shared(request.local, child.local),
                _shared(request.remote, child.remote),
            )
            for _, child in fitting
        )
        return Candidates(policies, tuple(rejected))


def _child_policy(
    sa: IManagementSA,
    child: Child,
    suites: tuple[ProtectionSuite, ...],
    situation: Situation,
    local: TrafficSelector,
    remote: TrafficSelector,
) -> ChildPolicy:
    return ChildPolicy(
        connection=sa.connection,
        name=child.name,
        doi=sa.doi,
        situation=situation,
        local=local,
        remote=remote,
        suites=suites,
        lifetime=child.lifetime,
        quirks=child.quirks,
        action=child.action,
        handling=child.handling,
        identities=child.identities,
    )


# Asked for several times in every exchange, with the same two addresses.
_host = lru_cache(maxsize=1024)(TrafficSelector.host)


def _addresses(connection: Connection, texts: Sequence[str]) -> tuple[TrafficSelector, ...]:
    """Addresses, networks or ranges."""
    selectors = []
    for text in texts:
        try:
            if "[" in text:
                raise ConfigurationError(f"{text!r} has a protocol or a port")
            selectors.append(TrafficSelector.parse(text))
        except ConfigurationError as error:
            raise ConfigurationError(f"connection {connection.name}: {error}") from None
    return tuple(selectors)


def _why(configured: _Configured, path: Path, doi: int, number: int) -> Rejection:
    """The first thing by which a connection is not what a stranger means."""
    connection = configured.connection
    if connection.doi != doi:
        fell = "domain of interpretation", str(doi), str(connection.doi)
    elif connection.exchange != number:
        fell = (
            "exchange type",
            ExchangeType(number).spelled,
            ExchangeType(connection.exchange).spelled,
        )
    elif not _among(_host(path.local[0]), configured.local):
        fell = "our address", path.local[0], ", ".join(connection.local)
    else:
        fell = "the peer's address", path.remote[0], ", ".join(connection.remote)
    return Rejection(connection.name, *fell)


def _among(host: TrafficSelector, allowed: Sequence[TrafficSelector]) -> int:
    """
    How many addresses the smallest of those has that contain this one; 0: none does.

    None allowed means all are, and they are more than any network has.
    """
    if not allowed:
        return 2**129
    smallest = 0
    for network in allowed:
        if host.within(network):
            size = network.last - network.first + 1
            smallest = min(smallest or size, size)
    return smallest


def _selectors(
    sa: IManagementSA, child: Child
) -> tuple[Sequence[TrafficSelector], Sequence[TrafficSelector]]:
    """A child's traffic at both ends; the hosts that keep the SA, where it says none."""
    return (
        child.local or (_host(sa.path.local[0]),),
        child.remote or (_host(sa.path.remote[0]),),
    )


def _shared(asked: TrafficSelector, configured: Sequence[TrafficSelector]) -> TrafficSelector:
    """The configured value itself, if that is what is asked: it need not be kept twice."""
    return next((one for one in configured if one == asked), asked)


def _asked(request: ChildRequest) -> str:
    return request.traffic


def _listed(selectors: Sequence[TrafficSelector]) -> str:
    return ", ".join(map(str, selectors))


def _supported(
    connection: str, doi: int, child: Child, supports: Supports
) -> tuple[ProtectionSuite, ...]:
    """Of a child's suites what the sink can do."""
    filtered = (_filtered(suite, doi, supports) for suite in child.suites)
    suites = tuple(suite for suite in filtered if suite is not None)
    if not suites:
        raise ConfigurationError(
            f"connection {connection}, child {child.name}: "
            "the sink supports nothing of what it would take"
        )
    return suites


def _filtered(suite: ProtectionSuite, doi: int, supports: Supports) -> ProtectionSuite | None:
    """A suite without the transforms the sink cannot do; None if a protocol is left without any."""
    proposals = tuple(
        replace(
            proposal,
            transforms=tuple(t for t in proposal.transforms if supports(doi, proposal.protocol, t)),
        )
        for proposal in suite.proposals
    )
    if not proposals or not all(proposal.transforms for proposal in proposals):
        return None
    return ProtectionSuite(proposals)
