"""
A node, put together: the one place where collaborators are chosen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from isakmp.connections import Connection, Limits
from isakmp.credentials.pre_shared_keys import PreSharedKeys, SharedSecret
from isakmp.doi.initial_contact import InitialContact
from isakmp.exchange.cookies import Cookies
from isakmp.exchange.endpoint import ISAKMPEndpoint
from isakmp.exchange.riders import VendorIDs
from isakmp.initiation import Initiation
from isakmp.interfaces import (
    ICredentialStore,
    IDomainOfInterpretation,
    IISAKMPKeyExchange,
    IPorts,
    ISASink,
)
from isakmp.lifetimes import Lifetimes
from isakmp.node import Node, verify
from isakmp.plugins import builtin
from isakmp.policy import ConfiguredPolicy
from isakmp.registry import SARegistry
from isakmp.renewal import Renewals
from isakmp.stores.memory import MemoryStore
from isakmp.stream import EventStream
from isakmp.traps import Traps

RIDERS = (VendorIDs, InitialContact)
"""What travels with every node's exchanges, in this order."""


class Assembly:
    """
    A node with everything that keeps it going.

    :ivar node: the collaborators.
    :ivar endpoint: its ISAKMP endpoint, which wants the datagrams.
    :ivar lifetimes: deletes SAs that expire; ``renewals`` replaces them before that;
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
        key_exchanges: Sequence[IISAKMPKeyExchange] | None = None,
        settings: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
    ) -> None:
        """
        :param dois: those enabled; all that come with this package by default.
        :param key_exchanges: likewise.
        :raises ConfigurationError: if what is configured cannot be.
        """
        chosen = builtin()
        if dois is not None:
            chosen = replace(chosen, dois=tuple(dois))
        if key_exchanges is not None:
            chosen = replace(chosen, key_exchanges=tuple(key_exchanges))
        by_number = chosen.enabled_dois([doi.name for doi in chosen.dois])
        events = EventStream()
        store: ICredentialStore
        if ICredentialStore.providedBy(credentials):
            store = credentials
        else:
            store = PreSharedKeys(credentials)
        self._policy = ConfiguredPolicy(tuple(connections), sink.supports, by_number)
        self.node = Node(
            clock=clock,
            entropy=entropy,
            limits=limits,
            settings=settings,
            dois=by_number,
            key_exchanges=chosen.enabled_key_exchanges([k.name for k in chosen.key_exchanges]),
            riders=RIDERS,
            policy=self._policy,
            credentials=store,
            registry=SARegistry(MemoryStore(), clock, events, limits),
            sink=sink,
            events=events,
            cookies=Cookies(entropy, clock),
            ports=ports,
        )
        self.endpoint = ISAKMPEndpoint(self.node)
        self.node.endpoints["isakmp"] = self.endpoint
        verify(self.node)
        self.lifetimes = Lifetimes(self.node)
        self.renewals = Renewals(self.node)
        self.initiation = Initiation(self.node)
        self.traps = Traps(self.node)

    def configure(self, connections: Sequence[Connection], secrets: Sequence[SharedSecret]) -> None:
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
        self.renewals.stop()
        self.lifetimes.stop()
        return self.endpoint.close()
