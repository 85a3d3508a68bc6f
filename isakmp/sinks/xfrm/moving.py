"""
An SA whose peer is elsewhere now: RFC 3947 section 7.

The kernel changes the ports of an SA that is in UDP, and no address: then it has to be set anew,
and goes on where the old one was, so that no sequence number counts twice in either direction.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace

from isakmp.associations import SPIKey
from isakmp.sinks.xfrm.link import Ask, gone
from isakmp.sinks.xfrm.netlink import NetlinkError, attribute, attributes
from isakmp.sinks.xfrm.states import named
from isakmp.sinks.xfrm.structures import Attribute, Kind, State

MARGIN = 1 << 16
"""
Sequence numbers that are left out: as many packets may leave by the old SA before the new is used.
"""

_COUNTERS = slice(160, 192)
_PLAIN = struct.Struct("=3I")
_EXTENDED = struct.Struct("=6I")
_WINDOWS = (Attribute.REPLAY_VAL, Attribute.REPLAY_ESN)
_MOST = 0xFFFFFFFF


def before_of(
    key: SPIKey, standing: Mapping[SPIKey, State], wanted: Mapping[SPIKey, State]
) -> State | None:
    """
    The SA that one with this name was: a peer that receives elsewhere has given it another.

    :param standing: what is installed, and ``wanted`` what is to be.
    """
    for other, state in standing.items():
        if other not in wanted and (other.protocol, other.spi) == (key.protocol, key.spi):
            return state
    return None


async def carried_on(ask: Ask, old: State, new: State, *, out: bool) -> State:
    """
    The new SA with what the old one has counted.

    :param out: whether it is for what leaves: then it goes on a little later.
    :raises OSError: if the old one is not there any more.
    """
    (told,) = await ask(Kind.GETSA, named(old), "an SA whose peer has moved", flags=0)
    counted = attributes(told.body[State.SIZE :])
    kept = attributes(new.others)
    others = b"".join(attribute(kind, kept[kind]) for kind in kept if kind not in _WINDOWS)
    for kind in _WINDOWS:
        if kind in counted:
            others += attribute(kind, _later(kind, counted[kind]) if out else counted[kind])
            break
    others += attribute(Attribute.LTIME_VAL, told.body[_COUNTERS])
    return replace(new, others=others)


def _later(kind: int, octets: bytes) -> bytes:
    """:raises NetlinkError: if it is cut short."""
    form = _PLAIN if kind == Attribute.REPLAY_VAL else _EXTENDED
    if len(octets) < form.size:
        raise NetlinkError(f"a replay window of {len(octets)} octets")
    fields = list(form.unpack_from(octets))
    if kind == Attribute.REPLAY_VAL:
        fields[0] = min(_MOST, fields[0] + MARGIN)
    else:
        number = (fields[3] << 32 | fields[1]) + MARGIN  # only 64-bit numbers are kept like this
        fields[1], fields[3] = number & _MOST, number >> 32
    return form.pack(*fields) + octets[form.size :]


async def change(ask: Ask, old: State, new: State, *, out: bool) -> None:
    """
    Have the new SA in place of the old one, which has the same name.

    :raises OSError: as the kernel refuses it; then the old one stands.
    """
    if old.source == new.source:
        await ask(Kind.UPDSA, new.encode(), "an SA whose peer has moved")
        return
    successor = await carried_on(ask, old, new, out=out)
    again = await carried_on(ask, old, old, out=out)
    await gone(ask, Kind.DELSA, named(old), "to set an SA anew")
    try:
        await ask(Kind.NEWSA, successor.encode(), "an SA whose peer has moved")
    except OSError:
        await ask(Kind.NEWSA, again.encode(), "an SA whose peer has not moved")
        raise
