"""
How many management SAs one peer has.

Nothing in RFC 2408 bounds them: a peer that authenticates again and again would fill the memory.
And a peer whose address has changed may not tell that its old SAs are void; strongSwan's ``unique =
replace`` takes a new SA as saying so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from isakmp.associations import ManagementKey, SABundle
from isakmp.events import Established, Removal
from isakmp.interfaces import IManagementSA, INode
from isakmp.logs import Logger
from isakmp.node import delete
from isakmp.rekeying import predecessors


class Uniqueness:
    """
    Deletes the oldest management SAs of a peer, when it has more than it may.
    """

    _log = Logger()

    def __init__(self, node: INode) -> None:
        self._node = node
        self._unsubscribe: Callable[[], None] | None = node.events.subscribe(
            Established, self._established
        )
        self._going: set[ManagementKey] = set()

    def stop(self) -> None:
        """Delete nothing any more; idempotent."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def _established(self, event: Established) -> None:
        sa = event.sa
        if isinstance(sa, SABundle):
            return
        older = [one for one in predecessors(self._node, sa) if not isinstance(one, SABundle)]
        here = [one for one in older if one.path.remote[0] == sa.path.remote[0]]
        more = len(here) + 1 - self._node.limits.sas_per_peer
        if more > 0:
            self._delete(here[:more], Removal.REPLACED, "it has as many as it may")
        if self._is_unique(sa):
            elsewhere = [one for one in older if one not in here]
            # With their children: these are with an address where the peer is no more.
            self._delete(elsewhere, Removal.MOVED, "it has come back from another address")

    def _is_unique(self, sa: IManagementSA) -> bool:
        try:
            return self._node.policy.connection(sa.connection).unique
        except LookupError:
            return False  # it is not configured any more

    def _delete(self, sas: Sequence[IManagementSA], why: Removal, text: str) -> None:
        sas = [sa for sa in sas if sa.key not in self._going]
        if not sas:
            return
        self._log.info(
            "{connection}: {count} older ISAKMP SAs with {peer} are deleted: {why}",
            connection=sas[0].connection,
            count=len(sas),
            peer=str(sas[0].theirs),
            why=text,
        )
        keys = {sa.key for sa in sas}
        self._going |= keys

        def done(result: object) -> object:
            self._going -= keys
            return result

        deleting = delete(self._node, sas, why).addBoth(done)
        deleting.addErrback(
            lambda failure: self._log.failure("an older ISAKMP SA could not be deleted", failure)
        )
