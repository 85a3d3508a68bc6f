"""
SAs as the kernel takes them.
"""

from __future__ import annotations

from collections.abc import Sequence

from isakmp.associations import Handling, IPsecParameters, ProtectionSA, SPIKey
from isakmp.numbers import ProtocolID
from isakmp.sinks.xfrm import algorithms, structures
from isakmp.sinks.xfrm.netlink import attribute, attributes
from isakmp.sinks.xfrm.policies import PROTOCOLS, marks, mode_of, set_marks
from isakmp.sinks.xfrm.structures import Attribute, Limits, Name, State

_PLAIN_WINDOW = 32
"""What the kernel's first structure has room for; a wider window stands in an attribute."""

_TELL_AGAIN = 1
"""Seconds: how often the kernel says, at most, that a peer's packets come from elsewhere."""

_APART = (Attribute.MARK, Attribute.IF_ID)


def name_of(key: SPIKey) -> Name:
    """What the kernel calls an SA."""
    spi = key.spi.rjust(4, b"\0")
    return Name(key.destination, PROTOCOLS[ProtocolID(key.protocol)], spi)


def named(state: State) -> bytes:
    """A name as the kernel takes it, with the marks that tell SAs apart as well."""
    return state.name.encode() + apart(state.others)


def apart(others: bytes) -> bytes:
    """Of attributes those that are part of a name."""
    found = attributes(others)
    return b"".join(attribute(kind, found[kind]) for kind in _APART if kind in found)


def state_of(
    sa: ProtectionSA,
    among: Sequence[ProtectionSA],
    source: str,
    reqid: int,
    handling: Handling = Handling(),
    *,
    out: bool = False,
) -> State:
    """
    One SA.

    :param among: the SAs of its direction, itself among them.
    :param source: the sender's address.
    :raises LookupError: if the kernel has no such algorithm, or it is no SA of IPsec.
    """
    parameters = sa.parameters
    if not isinstance(parameters, IPsecParameters):
        raise LookupError("the kernel knows SAs of IPsec, and no others")
    mode, flags = mode_of(sa, among), 0
    others = marks(handling, out, of_sa=True) + set_marks(handling, out)
    if mode == structures.TUNNEL:
        flags |= structures.AF_UNSPEC  # what is inside may be of the other version of IP
    if sa.key.protocol == ProtocolID.AH and ":" not in sa.key.destination:
        # Without it the kernel fills AH up to 64 bits, which is right for IPv6 alone
        # (RFC 4302 section 2.6), and drops what a peer sends that fills up to 32.
        flags |= structures.ALIGN_4
    if not handling.copy_ecn:
        flags |= structures.NO_ECN
    if not handling.copy_df:
        flags |= structures.NO_PMTU_DISCOVERY
    if not out and handling.copy_dscp_in:
        flags |= structures.DECAPSULATE_DSCP
    if out and not handling.copy_dscp_out:
        others += structures.number(Attribute.EXTRA_FLAGS, structures.NO_DSCP)
    if not out and handling.icmp:
        flags |= structures.ICMP
    compresses = sa.key.protocol == ProtocolID.IPCOMP  # its packets have no numbers
    window = 0 if out or compresses else handling.replay_window
    if parameters.extended:
        flags |= structures.ESN
        window = max(window, _PLAIN_WINDOW)  # in this the kernel counts, also what leaves
    if window > _PLAIN_WINDOW or parameters.extended:
        others += structures.replay(window)
        window = 0
    if parameters.udp is not None:
        others += structures.encapsulation(*(parameters.udp if out else parameters.udp[::-1]))
        if not out:
            others += structures.number(Attribute.MTIMER_THRESH, _TELL_AGAIN)
    handling = handling.within(1024 * sa.lifetime.kilobytes)
    limits = Limits(
        handling.rekey_octets,
        handling.life_octets,
        handling.rekey_packets,
        handling.life_packets,
        sa.lifetime.seconds,
        structures.SIGN,
    )
    return State(
        source,
        name_of(sa.key),
        reqid,
        mode,
        limits,
        window,
        flags,
        algorithms=algorithms.attributes(parameters, sa.keys),
        others=others,
    )
