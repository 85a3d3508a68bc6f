"""
The end of SAs: deleted here, or by the peer.  RFC 2408 sections 3.15 and 5.15.

A Delete says what its sender has removed already; it is sent once and never answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed
from twisted.python.failure import Failure

from isakmp.associations import SABundle
from isakmp.errors import Cancelled, LimitReached
from isakmp.events import Removal
from isakmp.exchange.types import cookies_of
from isakmp.interfaces import IDomainOfInterpretation, IManagementSA, INode
from isakmp.logs import Logger
from isakmp.numbers import ExchangeType, ProtocolID
from isakmp.paths import Path
from isakmp.wire.message import CookiePair
from isakmp.wire.payloads import Delete

_INHERITED = frozenset({Removal.DELETED_BY_PEER, Removal.EXPIRED, Removal.REPLACED})
"""Ends of a management SA that its children outlive, if there is another one with the peer."""


class Removals:
    """
    Removes SAs from registry and sink, and tells the peer.

    :param begin: runs an exchange under an SA, to tell.
    :param abandon: told of a management SA just before it is gone.
    """

    _log = Logger()

    def __init__(
        self,
        node: INode,
        begin: Callable[[IManagementSA, int, object], Deferred[object]],
        abandon: Callable[[IManagementSA], None],
    ) -> None:
        self._node = node
        self._begin = begin
        self._abandon = abandon

    def delete(self, sas: Sequence[IManagementSA | SABundle], why: Removal) -> Deferred[None]:
        """
        Remove them here and tell the peer.

        With a management SA go its children; but if it was replaced, or is over, another with the
        same peer inherits them.
        """
        registry = self._node.registry
        removals: list[Deferred[None]] = []
        for sa in sas:
            if isinstance(sa, SABundle):
                removals.append(self._delete_bundle(sa, why))
                continue
            if registry.find(sa.key) is None:
                continue
            self._bequeath(sa, why)
            for bundle in registry.children(sa.key):
                removals.append(self._delete_bundle(bundle, why))
            self._tell(sa, Delete(sa.doi, ProtocolID.ISAKMP, (cookies_of(sa).octets,)))
            removals.append(self._remove(sa, why))
        return _all(removals)

    def gone(self, sa: IManagementSA, why: Removal) -> None:
        """Remove an SA that the peer does not have any more, with children that none inherits."""
        self._bequeath(sa, why)
        for bundle in self._node.registry.children(sa.key):
            self._remove_bundle(bundle, why)
        self._remove(sa, why)

    def deleted(
        self, doi: IDomainOfInterpretation, sa: IManagementSA, path: Path, delete: Delete
    ) -> None:
        """
        A peer says, under an SA, what it has removed: only its own SAs are its to delete.
        """
        registry = self._node.registry
        if delete.protocol == ProtocolID.ISAKMP:
            for spi in delete.spis:
                named = registry.find(CookiePair(spi[:8], spi[8:])) if len(spi) == 16 else None
                if IManagementSA.providedBy(named) and named.theirs.same_party(sa.theirs):
                    self.gone(named, Removal.DELETED_BY_PEER)
            return
        for key in doi.deleted(delete, path):
            bundle = registry.find(key)
            if not isinstance(bundle, SABundle):
                continue
            parent = registry.find(bundle.parent)
            if IManagementSA.providedBy(parent) and parent.theirs.same_party(sa.theirs):
                self._remove_bundle(bundle, Removal.DELETED_BY_PEER)

    def adopt(self, heir: IManagementSA) -> None:
        """Children of other SAs with the same peer go on under this one: both ends do so."""
        if self._node.registry.find(heir.key) is heir:
            for other in self._others(heir):
                self._move(other, heir)

    def _bequeath(self, sa: IManagementSA, why: Removal) -> None:
        others = self._others(sa)
        if why in _INHERITED and others:
            self._move(sa, others[-1])

    def _others(self, sa: IManagementSA) -> Sequence[IManagementSA]:
        """Other SAs with the same peer by the same connection, the oldest first."""
        same = self._node.registry.by_peer(sa.theirs)
        return [
            one
            for one in same
            if one.key != sa.key
            and one.connection == sa.connection
            and one.owner == sa.owner
            # Children are with an address: what the peer has by another is not for them.
            and one.path.remote[0] == sa.path.remote[0]
        ]

    def _move(self, sa: IManagementSA, heir: IManagementSA) -> None:
        registry = self._node.registry
        for bundle in registry.children(sa.key):
            moved = registry.replace(bundle, replace(bundle, parent=heir.key))
            moved.addErrback(self._could_not, "store who a bundle belongs to")

    def _delete_bundle(self, bundle: SABundle, why: Removal) -> Deferred[None]:
        current = self._node.registry.find(bundle.key)
        if isinstance(current, SABundle) and current.name == bundle.name:
            bundle = current  # it may have been adopted since
        parent = self._node.registry.find(bundle.parent)
        if IManagementSA.providedBy(parent) and current is bundle:
            for protocol in dict.fromkeys(sa.key.protocol for sa in bundle.inbound):
                spis = tuple(sa.key.spi for sa in bundle.inbound if sa.key.protocol == protocol)
                self._tell(parent, Delete(parent.doi, protocol, spis))
        return self._remove_bundle(bundle, why)

    def _remove(self, sa: IManagementSA, why: Removal) -> Deferred[None]:
        self._abandon(sa)
        return self._node.registry.remove(sa, why).addErrback(self._could_not, "remove an SA")

    def _remove_bundle(self, bundle: SABundle, why: Removal) -> Deferred[None]:
        removed = self._node.registry.remove(bundle, why)
        return _all([removed, self._node.sink.remove(bundle)]).addErrback(
            self._could_not, "remove a bundle"
        )

    def _tell(self, sa: IManagementSA, delete: Delete) -> None:
        told = self._begin(sa, ExchangeType.INFORMATIONAL, (delete,))
        told.addErrback(self._could_not, "send a Delete")

    def _could_not(self, failure: Failure, what: str) -> None:
        if not failure.check(CancelledError, Cancelled, LimitReached):
            self._log.failure("could not {what}", failure, what=what)


def _all(deferreds: Sequence[Deferred[None]]) -> Deferred[None]:
    """One that fires when all have; with the first failure, if one fails."""
    if not deferreds:
        return succeed(None)
    together = DeferredList(deferreds, fireOnOneErrback=True, consumeErrors=True)
    return together.addCallbacks(lambda _: None, lambda f: f.value.subFailure)
