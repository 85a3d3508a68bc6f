"""
Which SAs a new one is in place of.

Either end may renew an SA (RFC 2408 section 4.3), and does not say that it does: a new SA with the
same peer for the same thing is in place of the older ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from isakmp.associations import SABundle
from isakmp.interfaces import IManagementSA, INode


def others(node: INode, sa: IManagementSA | SABundle) -> Iterator[IManagementSA | SABundle]:
    """Other SAs that stand with the same peer for the same thing."""
    if not isinstance(sa, SABundle):
        yield from (other for other in _peers(node, sa) if other.key != sa.key)
        return
    parent = node.registry.find(sa.parent)
    if IManagementSA.providedBy(parent):
        for one in _peers(node, parent):
            for bundle in node.registry.children(one.key):
                if bundle.key != sa.key and _traffic(bundle) == _traffic(sa):
                    yield bundle


def predecessors(node: INode, sa: IManagementSA | SABundle) -> Sequence[IManagementSA | SABundle]:
    """Those of them that are older, the oldest first; none if it is gone itself."""
    number = node.registry.number
    if node.registry.find(sa.key) is None:
        return ()
    mine = number(sa)
    return sorted((one for one in others(node, sa) if number(one) < mine), key=number)


def is_superseded(node: INode, sa: IManagementSA | SABundle) -> bool:
    """Whether a newer one is in place of it."""
    number = node.registry.number
    mine = number(sa)
    return any(number(one) > mine for one in others(node, sa))


def _peers(node: INode, sa: IManagementSA) -> Iterator[IManagementSA]:
    """The management SAs with the same peer by the same connection."""
    same = node.registry.by_peer(sa.theirs)
    return (other for other in same if other.connection == sa.connection)


def _traffic(bundle: SABundle) -> tuple[object, ...]:
    policy = bundle.policy
    return policy.connection, policy.name, policy.local, policy.remote, policy.identities
