"""
A node, put together: the one place where collaborators are chosen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime

from isakmp.connections import Connection, Limits
from isakmp.credentials.pre_shared_keys import PreSharedKeys, SharedSecret
from isakmp.doi.initial_contact import InitialContact
from isakmp.exchange.cookies import Cookies
from isakmp.exchange.endpoint import ISAKMPEndpoint
from isakmp.exchange.riders import VendorIDs
from isakmp.inactivity import Inactivity
from isakmp.initiation import Initiation
from isakmp.interfaces import (
    ICredentialStore,
    IDomainOfInterpretation,
    IKeyExchange,
    IKeyExchangeEndpoint,
    IPorts,
    IRiderType,
    ISASink,
)
from isakmp.lifetimes import Lifetimes
from isakmp.node import ISAKMP, Node, verify
from isakmp.paths import Datagram
from isakmp.plugins import KeyExchange, builtin, check_exchange_types
from isakmp.policy import ConfiguredPolicy
from isakmp.registry import SARegistry
from isakmp.relocation import Relocations
from isakmp.renewal import Renewals
from isakmp.stores.memory import MemoryStore
from isakmp.stream import EventStream
from isakmp.traps import Traps
from isakmp.uniqueness import Uniqueness

RIDERS = (VendorIDs, InitialContact)
"""What travels with every node's exchanges, in this order."""


class Assembly:
    """
    A node with everything that keeps it going.

    :ivar node: the collaborators.
    :ivar endpoint: its ISAKMP endpoint.
    :ivar headers: the key exchanges with a header of their own.
    :ivar isakmp_ports: where ISAKMP listens, as far as one of them does so too.
    :ivar lifetimes: deletes SAs that expire; ``renewals`` replaces them before that; ``inactivity``
        deletes children that nothing uses; ``relocations`` has SAs follow peers that move;
        ``initiation`` begins what shall stand, once it is told to keep it.
    """

    def __init__(
        self,
        connections: Iterable[Connection],
        credentials: ICredentialStore | Iterable[SharedSecret],
        *,
        clock: IReactorTime,
        ports: IPorts,
        sink: ISASink,
        entropy: Callable[[int], bytes] = os.urandom,
        limits: Limits = Limits(),
        dois: Sequence[IDomainOfInterpretation] | None = None,
        key_exchanges: Sequence[KeyExchange] | None = None,
        riders: Sequence[IRiderType] = (),
        settings: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
    ) -> None:
        """
        :param dois: those enabled; all that come with this package by default.
        :param key_exchanges: likewise; those with a header of their own are configured already,
            and none of them is enabled by default.
        :param riders: besides those of every node.
        :raises ConfigurationError: if what is configured cannot be.
        """
        chosen = builtin()
        if dois is not None:
            chosen = replace(chosen, dois=tuple(dois))
        if key_exchanges is None:
            key_exchanges = [
                one for one in chosen.key_exchanges if not IKeyExchange.providedBy(one)
            ]
        chosen = replace(chosen, key_exchanges=tuple(key_exchanges))
        names = [key_exchange.name for key_exchange in chosen.key_exchanges]
        self.headers = chosen.enabled_headers(names)
        by_number = chosen.enabled_dois([doi.name for doi in chosen.dois])
        by_transform_id = chosen.enabled_key_exchanges(names)
        check_exchange_types(by_number.values(), by_transform_id.values())
        events = EventStream()
        store: ICredentialStore
        if ICredentialStore.providedBy(credentials):
            store = credentials
        else:
            store = PreSharedKeys(credentials)
        self.isakmp_ports: frozenset[int] = frozenset()
        self._policy = ConfiguredPolicy(tuple(connections), sink.supports, by_number)
        self.node = Node(
            clock=clock,
            entropy=entropy,
            limits=limits,
            settings=settings,
            dois=by_number,
            key_exchanges=by_transform_id,
            riders=(*RIDERS, *(rider.rider for rider in riders)),
            policy=self._policy,
            credentials=store,
            registry=SARegistry(MemoryStore(), clock, events, limits),
            sink=sink,
            events=events,
            cookies=Cookies(entropy, clock),
            ports=ports,
        )
        self.endpoint = ISAKMPEndpoint(self.node)
        self.node.endpoints[ISAKMP] = self.endpoint
        for key_exchange in self.headers:
            self.node.endpoints[key_exchange.name] = key_exchange.open(self.node)
        verify(self.node)
        self.lifetimes = Lifetimes(self.node)
        self.renewals = Renewals(self.node)
        self.inactivity = Inactivity(self.node)
        self.initiation = Initiation(self.node)
        self.traps = Traps(self.node)
        self.uniqueness = Uniqueness(self.node)
        self.relocations = Relocations(self.node)

    def datagram_received(self, datagram: Datagram) -> None:
        """A datagram has arrived: it is for whoever speaks it."""
        endpoint = self._spoken_by(datagram) if self.headers else self.endpoint
        endpoint.datagram_received(datagram)

    def _spoken_by(self, datagram: Datagram) -> IKeyExchangeEndpoint:
        """By port and major version; what nobody speaks is for whoever has the port."""
        port = datagram.path.local[1]
        there = [one for one in self.headers if port in one.ports]
        for key_exchange in there:
            if key_exchange.speaks(datagram):
                return self.node.endpoints[key_exchange.name]
        if there and port not in self.isakmp_ports:
            return self.node.endpoints[there[0].name]
        return self.endpoint

    def configure(
        self, connections: Sequence[Connection], secrets: Sequence[SharedSecret]
    ) -> None:
        """
        From now on these connections and secrets; SAs that stand are left alone.

        :raises ConfigurationError: if they cannot be; then nothing has changed.
        """
        PreSharedKeys(secrets)
        self._policy.configure(connections)
        if isinstance(self.node.credentials, PreSharedKeys):
            self.node.credentials.configure(secrets)

    def stop(self) -> Deferred[None]:
        """Begin nothing any more, tell the peers, empty the sink, leave nothing on the clock."""
        self.initiation.stop()
        self.traps.stop()
        self.uniqueness.stop()
        self.relocations.stop()
        self.renewals.stop()
        self.inactivity.stop()
        self.lifetimes.stop()
        closing = [endpoint.close() for endpoint in self.node.endpoints.values()]
        together = DeferredList(closing, fireOnOneErrback=True, consumeErrors=True)
        return together.addCallbacks(lambda _: None, lambda failure: failure.value.subFailure)
