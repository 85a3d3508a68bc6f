"""
Which traffic is for which SAs, in the kernel's words.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from isakmp.associations import (
    Action,
    ChildPolicy,
    Handling,
    IPsecParameters,
    ProtectionSA,
    SABundle,
)
from isakmp.associations import Mark as Marked
from isakmp.identity import TrafficSelector
from isakmp.numbers import ProtocolID
from isakmp.paths import Path
from isakmp.sinks.xfrm.structures import (
    AH,
    ALLOW,
    BLOCK,
    COMP,
    ESP,
    LOCAL_OK,
    TRANSPORT,
    TUNNEL,
    Attribute,
    Direction,
    Policy,
    Selector,
    Template,
    mark,
    number,
)
from isakmp.sinks.xfrm.transforms import is_transport

PROTOCOLS = {ProtocolID.AH: AH, ProtocolID.ESP: ESP, ProtocolID.IPCOMP: COMP}

_BASE = 200_000
_NETWORKS, _PROTOCOL, _PORTS, _INTERFACE, _REGULAR = 512, 256, 4, 2, 1

_MOST = 64
"""Policies that one pair of ranges may become."""


def innermost_first(sas: Sequence[ProtectionSA]) -> list[ProtectionSA]:
    """
    In the order in which they are applied to what leaves: IPComp, ESP, AH.

    Protocol numbers of the IPsec domain happen to count from the outermost to the innermost.
    """
    return sorted(sas, key=lambda sa: sa.key.protocol, reverse=True)


def mode_of(sa: ProtectionSA, among: Sequence[ProtectionSA]) -> int:
    """
    The mode of an SA in the kernel.

    Of several protocols in tunnel mode the innermost makes the tunnel; what goes around it goes
    around that as it is.
    """
    parameters = sa.parameters
    tunnel = isinstance(parameters, IPsecParameters) and parameters.mode == "tunnel"
    return TUNNEL if tunnel and sa is innermost_first(among)[0] else TRANSPORT


def priority(selector: Selector, handling: Handling, *, trap: bool, action: Action) -> int:
    """
    As strongSwan computes it, so that its policies and ours may stand beside each other: the more a
    policy selects, the weaker it is; what lets pass or drops is stronger than what protects.
    """
    if handling.priority:
        return handling.priority
    found = _BASE if action is not Action.PROTECT else 2 * _BASE
    found -= (selector.source.prefixlen + selector.destination.prefixlen) * _NETWORKS
    found -= _PROTOCOL if selector.protocol else 0
    found -= (16 * bool(selector.source_port) + 16 * bool(selector.destination_port)) * _PORTS
    found -= _INTERFACE if selector.interface else 0
    return found - (0 if trap else _REGULAR)


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(selector: TrafficSelector) -> Sequence[Network]:
    """The fewest networks that are just this range."""
    if selector.version == 4:
        low, high = ipaddress.IPv4Address(selector.first), ipaddress.IPv4Address(selector.last)
        return list(ipaddress.summarize_address_range(low, high))
    first, last = ipaddress.IPv6Address(selector.first), ipaddress.IPv6Address(selector.last)
    return list(ipaddress.summarize_address_range(first, last))


@dataclass(frozen=True, slots=True)
class Between:
    """The hosts between which a child's SAs are."""

    ours: str
    peer: str

    @classmethod
    def of(cls, path: Path | None) -> Between:
        """The ends of a path; of none, nobody in particular."""
        if path is None:
            return cls("0.0.0.0", "0.0.0.0")
        return cls(path.local[0], path.remote[0])


def policies(
    policy: ChildPolicy,
    between: Between,
    layers: Sequence[tuple[int, int]],
    reqid: int,
    interface: int = 0,
    *,
    trap: bool = False,
) -> list[Policy]:
    """
    All policies of a child.

    :param layers: protocol and mode of each SA that is needed, the innermost first; none if traffic
        passes or is dropped.
    :param interface: an index, or 0.
    :raises ValueError: if there would be too many.
    """
    handling = policy.handling
    found: list[Policy] = []
    for selector in _selectors(policy, interface):
        outward = priority(selector, handling, trap=trap, action=policy.action)
        inward = Selector(
            selector.destination,
            selector.source,
            selector.protocol,
            selector.destination_port,
            selector.source_port,
            selector.interface,
        )
        tunnel = not layers or layers[0][1] == TUNNEL
        directions = [Direction.OUT, Direction.IN, *([Direction.FORWARD] if tunnel else [])]
        for direction in directions:
            out = direction is Direction.OUT
            source, destination = (
                (between.ours, between.peer) if out else (between.peer, between.ours)
            )
            templates = tuple(
                Template(
                    *(source, destination, protocol, mode, reqid),
                    optional=protocol == COMP and not out,
                )
                for protocol, mode in layers
            )
            found.append(
                Policy(
                    selector if out else inward,
                    direction,
                    outward,
                    BLOCK if policy.action is Action.DROP else ALLOW,
                    0 if out else LOCAL_OK,
                    0,
                    templates,
                    marks(handling, out),
                )
            )
    return found


def _selectors(policy: ChildPolicy, interface: int) -> Iterator[Selector]:
    local, remote = policy.local, policy.remote
    pairs: list[tuple[Network, Network]] = list(product(networks(local), networks(remote)))
    if len(pairs) > _MOST:
        raise ValueError(f"{local} - {remote} takes {len(pairs)} policies of the kernel")
    for here, there in pairs:
        yield Selector(
            here, there, local.protocol or remote.protocol, local.port, remote.port, interface
        )


def layers_of(bundle: SABundle) -> list[tuple[int, int]]:
    """Protocol and mode of each SA of a direction, the innermost first."""
    sas = bundle.outbound or bundle.inbound
    return [
        (PROTOCOLS[ProtocolID(sa.key.protocol)], mode_of(sa, sas)) for sa in innermost_first(sas)
    ]


def trapped_layers(policy: ChildPolicy) -> list[tuple[int, int]]:
    """The same of the suite that is preferred: what it will be is negotiated later."""
    proposals = sorted(policy.suites[0].proposals, key=lambda p: p.protocol, reverse=True)
    layers = []
    for around, proposal in enumerate(proposals):
        as_it_is = around or is_transport(proposal.transforms[0])
        mode = TRANSPORT if as_it_is else TUNNEL
        layers.append((PROTOCOLS[ProtocolID(proposal.protocol)], mode))
    return layers


def marks(handling: Handling, out: bool) -> bytes:
    """The attributes that tell one direction of a child's SAs and policies from others."""
    found = b""
    marked: Marked | None = handling.mark_out if out else handling.mark_in
    if marked is not None:
        found += mark(Attribute.MARK, marked.value, marked.mask)
    interface = handling.if_id_out if out else handling.if_id_in
    if interface:
        found += number(Attribute.IF_ID, interface)
    return found


def set_marks(handling: Handling, out: bool) -> bytes:
    """What packets get that went through an SA."""
    marked = handling.set_mark_out if out else handling.set_mark_in
    if marked is None:
        return b""
    return number(Attribute.SET_MARK, marked.value) + number(Attribute.SET_MARK_MASK, marked.mask)
