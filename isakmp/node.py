"""
One process's collaborators, and the proof that each is what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from zope.interface import Interface, implementer
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from isakmp.associations import SABundle
from isakmp.connections import Connection, Limits
from isakmp.errors import ConfigurationError
from isakmp.events import Removal
from isakmp.handling import Handling
from isakmp.interfaces import (
    IChoices,
    ICookies,
    ICredentialStore,
    IDomainOfInterpretation,
    IEvents,
    IExchanges,
    IISAKMPKeyExchange,
    IKeyExchangeEndpoint,
    IManagementSA,
    INegotiatingDomain,
    INode,
    IPolicy,
    IPorts,
    IRider,
    ISARegistry,
    ISASink,
)

ISAKMP = "isakmp"
"""The name of the framework's own endpoint."""


@implementer(INode)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """
    Implements :class:`isakmp.interfaces.INode`.

    :ivar settings: by plugin.
    :ivar dois: enabled, by number.
    :ivar key_exchanges: enabled, by Transform-ID.
    :ivar riders: what makes each exchange's riders.
    :ivar endpoints: by name; a dictionary that is filled before ports open, because an endpoint is
        opened for a node.
    """

    clock: IReactorTime
    entropy: Callable[[int], bytes]
    policy: IPolicy
    credentials: ICredentialStore
    registry: ISARegistry
    sink: ISASink
    events: IEvents
    cookies: ICookies
    ports: IPorts
    dois: Mapping[int, IDomainOfInterpretation] = field(default_factory=dict)
    key_exchanges: Mapping[int, IISAKMPKeyExchange] = field(default_factory=dict)
    riders: Sequence[Callable[[], IRider]] = ()
    endpoints: dict[str, IKeyExchangeEndpoint] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    limits: Limits = Limits()

    @property
    def exchanges(self) -> IExchanges:
        """ISAKMP conversations: those of the endpoint ``isakmp``."""
        return cast(IExchanges, self.endpoints["isakmp"])


def endpoint_of(
    node: INode, of: Connection | IManagementSA | SABundle
) -> IKeyExchangeEndpoint:
    """
    What begins, renews and deletes this: the endpoint of its key exchange, which is ISAKMP's for
    every one that is spoken in RFC 2408's exchanges.
    """
    if len(node.endpoints) == 1:
        return node.endpoints[ISAKMP]
    if isinstance(of, Connection):
        name = of.key_exchange
    elif not isinstance(of, SABundle):
        name = of.owner
    else:
        parent = node.registry.find(of.parent)
        if IManagementSA.providedBy(parent):
            name = parent.owner
        else:
            try:
                name = node.policy.connection(of.connection).key_exchange
            except LookupError:
                name = ISAKMP
    return node.endpoints.get(name) or node.endpoints[ISAKMP]


def handling_of(node: INode, bundle: SABundle) -> Handling:
    """How a child is treated, with every number that its sink has chosen."""
    sink = node.sink
    return sink.handling(bundle) if IChoices.providedBy(sink) else bundle.policy.handling


def delete(
    node: INode,
    sas: Sequence[IManagementSA | SABundle],
    why: Removal = Removal.DELETED,
    force: bool = False,
) -> Deferred[None]:
    """
    Remove SAs here and tell their peers, each by the endpoint of its key exchange.

    :param force: no peer's answer is waited for.

    Fires when all is done; with the first failure, if something fails.
    """
    by_endpoint: dict[int, tuple[IKeyExchangeEndpoint, list[IManagementSA | SABundle]]] = {}
    for sa in sas:
        endpoint = endpoint_of(node, sa)
        by_endpoint.setdefault(id(endpoint), (endpoint, []))[1].append(sa)
    deleting = [endpoint.delete(its, why, force) for endpoint, its in by_endpoint.values()]
    if len(deleting) == 1:
        return deleting[0]
    together = DeferredList(deleting, fireOnOneErrback=True, consumeErrors=True)
    return together.addCallbacks(lambda _: None, lambda failure: failure.value.subFailure)


def verify(node: INode) -> None:
    """
    Every collaborator of a node provides its interface.

    :raises ConfigurationError: naming the first that does not, and what it lacks.
    """
    for what, interface, provided in _collaborators(node):
        try:
            verifyObject(interface, provided)
        except Invalid as error:
            text = " ".join(str(error).split())
            raise ConfigurationError(f"{what} cannot be used: {text}") from error
    for number, doi in node.dois.items():
        if doi.number != number:
            raise ConfigurationError(
                f"{doi.name} is enabled as {number}, its number is {doi.number}"
            )
    for number, key_exchange in node.key_exchanges.items():
        if key_exchange.transform_id != number:
            raise ConfigurationError(
                f"{key_exchange.name} is enabled as {number}, "
                f"its Transform-ID is {key_exchange.transform_id}"
            )


def _collaborators(node: INode) -> Iterator[tuple[str, type[Interface], object]]:
    """What each is called, what it has to provide, and itself."""
    for name, interface in _SINGLE:
        yield f"the node's {name}", interface, getattr(node, name, None)
    for number, doi in node.dois.items():
        negotiates = INegotiatingDomain.providedBy(doi)
        kind = INegotiatingDomain if negotiates else IDomainOfInterpretation
        yield f"the domain of interpretation {number}", kind, doi
    for number, key_exchange in node.key_exchanges.items():
        yield f"the key exchange of Transform-ID {number}", IISAKMPKeyExchange, key_exchange
    for rider in node.riders:
        yield f"the rider that {rider!r} makes", IRider, rider()
    for name, endpoint in node.endpoints.items():
        yield f"the endpoint {name}", IKeyExchangeEndpoint, endpoint
    yield "the endpoint isakmp", IExchanges, node.endpoints.get("isakmp")
    yield "the node", INode, node


_SINGLE: Sequence[tuple[str, type[Interface]]] = (
    ("clock", IReactorTime),
    ("policy", IPolicy),
    ("credentials", ICredentialStore),
    ("registry", ISARegistry),
    ("sink", ISASink),
    ("events", IEvents),
    ("cookies", ICookies),
    ("ports", IPorts),
)
