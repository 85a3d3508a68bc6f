"""
Which traffic is for which SAs, in the kernel's words.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
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
from isakmp.handling import Number, Unique
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
    POLICY_ICMP,
    TRANSPORT,
    TUNNEL,
    Attribute,
    Direction,
    Network,
    Policy,
    Selector,
    Template,
    mark,
    number,
)
from isakmp.sinks.xfrm.transforms import is_transport

PROTOCOLS = {ProtocolID.AH: AH, ProtocolID.ESP: ESP, ProtocolID.IPCOMP: COMP}

_BASES = {Action.PASS: 200_000, Action.PROTECT: 400_000, Action.DROP: 600_000}
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
    policy selects, the weaker it is; what lets pass is stronger than what protects, and what drops
    is weaker.
    """
    if handling.priority:
        return handling.priority
    found = _BASES[action]
    found -= (selector.source.prefixlen + selector.destination.prefixlen) * _NETWORKS
    found -= _PROTOCOL if selector.protocol else 0
    found -= (16 * bool(selector.source_port) + 16 * bool(selector.destination_port)) * _PORTS
    found -= _INTERFACE if selector.interface else 0
    return found - (0 if trap else _REGULAR)


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
    spis: Sequence[bytes] = (),
) -> list[Policy]:
    """
    All policies of a child, its handling's numbers chosen.

    :param layers: protocol and mode of each SA that is needed, the innermost first; none if traffic
        passes or is dropped.
    :param interface: an index, or 0.
    :param spis: of the outbound SAs, in the order of the layers, where no others may be used.
    :raises ValueError: if there would be too many.
    """
    handling, protects = policy.handling, policy.action is Action.PROTECT
    found: list[Policy] = []
    for selector in _selectors(policy, interface):
        weight = priority(selector, handling, trap=trap, action=policy.action)
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
                    spi=spis[number] if out and spis else bytes(4),
                )
                for number, (protocol, mode) in enumerate(layers)
            )
            flags = 0 if out else LOCAL_OK
            if handling.icmp and protects and direction is not Direction.IN:
                flags |= POLICY_ICMP
            found.append(
                Policy(
                    selector if out else _turned(selector, protects),
                    direction,
                    weight,
                    BLOCK if policy.action is Action.DROP else ALLOW,
                    flags,
                    0,
                    templates,
                    marks(handling, out),
                )
            )
        if tunnel and handling.policies_fwd_out:
            found.append(_forwarded(found[-len(directions)], policy, trap))
    return found


def _turned(selector: Selector, protects: bool) -> Selector:
    """
    The same traffic the other way.

    What is protected has to be so wherever it comes from: only where it leaves the interface
    counts.  What passes or is dropped is bound as a whole.
    """
    return Selector(
        selector.destination,
        selector.source,
        selector.protocol,
        selector.destination_port,
        selector.source_port,
        0 if protects else selector.interface,
    )


def _forwarded(out: Policy, policy: ChildPolicy, trap: bool) -> Policy:
    """
    Lets what others send through this host go on to where it is protected, or passes, or is
    dropped; it is a little weaker than what asks for protection of the same traffic coming in.
    """
    weaker = policy.action is Action.PROTECT and not trap and not policy.handling.priority
    flags = LOCAL_OK | (out.flags & POLICY_ICMP)
    return Policy(
        out.selector,
        Direction.FORWARD,
        out.priority + (_REGULAR if weaker else 0),
        out.action,
        flags,
        others=out.others,
        yields=True,
    )


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


def spis_of(bundle: SABundle) -> list[bytes]:
    """Of the outbound SAs, in the order of their layers; of IPComp what the kernel has for one."""
    return [sa.key.spi.rjust(4, b"\0") for sa in innermost_first(bundle.outbound)]


def trapped_layers(policy: ChildPolicy) -> list[tuple[int, int]]:
    """The same of the suite that is preferred: what it will be is negotiated later."""
    proposals = sorted(policy.suites[0].proposals, key=lambda p: p.protocol, reverse=True)
    layers = []
    for around, proposal in enumerate(proposals):
        as_it_is = around or is_transport(proposal.transforms[0])
        mode = TRANSPORT if as_it_is else TUNNEL
        layers.append((PROTOCOLS[ProtocolID(proposal.protocol)], mode))
    return layers


def marks(handling: Handling, out: bool, *, of_sa: bool = False) -> bytes:
    """
    The attributes that tell one direction of a child's policies, or SAs, from others.

    The inbound SA has the mark of its policies only if that is asked for: its SPI names it, and
    packets may be marked after it has opened them.
    """
    found = b""
    marked = handling.mark_out if out else handling.mark_in
    if marked is not None and (out or not of_sa or handling.mark_in_sa):
        found += mark(Attribute.MARK, _chosen(marked.value), marked.mask)
    interface = _chosen(handling.if_id_out if out else handling.if_id_in)
    if interface:
        found += number(Attribute.IF_ID, interface)
    return found


def set_marks(handling: Handling, out: bool) -> bytes:
    """What packets get that went through an SA."""
    marked = handling.set_mark_out if out else handling.set_mark_in
    if marked is None:
        return b""
    value = number(Attribute.SET_MARK, _chosen(marked.value))
    return value + number(Attribute.SET_MARK_MASK, marked.mask)


def _chosen(value: Number) -> int:
    """:raises ValueError: if it is still to be chosen."""
    if isinstance(value, Unique):
        raise ValueError("a number has not been chosen yet")
    return value


def index_of(interface: str) -> int:
    """
    The number by which the kernel knows an interface now; 0: none is named.

    :raises OSError: if there is none of this name.
    """
    if not interface:
        return 0
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        raise OSError(errno.ENODEV, f"there is no interface {interface}") from None
