"""
Which routes children need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isakmp.associations import Action, ChildPolicy
from isakmp.identity import TrafficSelector
from isakmp.sinks.xfrm.policies import Between, networks
from isakmp.sinks.xfrm.structures import TUNNEL, Network


@dataclass(frozen=True, slots=True)
class Need:
    """
    A network that is to be reached.

    :ivar local: an address of ours within it is preferred.
    :ivar between: whose SAs the traffic goes through; None: it goes as it would without us.
    """

    destination: Network
    local: TrafficSelector
    between: Between | None


def needs_of(
    policy: ChildPolicy, between: Between, layers: Sequence[tuple[int, int]]
) -> list[Need]:
    """
    The routes that a child needs, by the rules of strongSwan: those of tunnels and of what passes,
    not of what is for one protocol or port alone, which routes do not tell apart, nor with an XFRM
    interface, to which whoever has made it leads traffic.

    :param layers: protocol and mode of each SA, the innermost first.
    """
    handling, local, remote = policy.handling, policy.local, policy.remote
    ports = local.protocol or local.port or remote.protocol or remote.port
    if not handling.policies or handling.if_id_out or ports or policy.action is Action.DROP:
        return []
    if policy.action is Action.PASS:
        return [Need(network, local, None) for network in networks(remote)]
    if not layers or layers[0][1] != TUNNEL:
        return []
    return [Need(network, local, between) for network in networks(remote)]
