"""
Whether what a message was found to depart in is overlooked: see :mod:`isakmp.departures`.

A departure breaks one of the rules of RFC 2408 section 5, and is that rule's error where it is not
overlooked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from isakmp.departures import (
    LENIENCES,
    NONE,
    RESERVED_FLAGS,
    RESERVED_OCTETS,
    RESERVED_PAYLOAD_TYPE,
    Departures,
)
from isakmp.errors import (
    InvalidFlags,
    InvalidNextPayload,
    InvalidReservedField,
    PeerError,
    Reason,
)

ALL: Departures = frozenset(LENIENCES)
"""For who judges only what nobody overlooks."""

RESERVED: Departures = frozenset({RESERVED_FLAGS})

_DEPARTED: Mapping[str, tuple[type[PeerError], str]] = {
    RESERVED_PAYLOAD_TYPE: (InvalidNextPayload, "a payload type that is reserved"),
    RESERVED_FLAGS: (InvalidFlags, "reserved flags"),
    RESERVED_OCTETS: (InvalidReservedField, "a reserved octet that is not zero"),
}


def departed(departures: Collection[str]) -> type[PeerError]:
    """The error of the first of them, in the order of the rules."""
    return next(error for name, (error, _) in _DEPARTED.items() if name in departures)


def judge(departures: Collection[str], lenient: Departures, offered: str = "") -> None:
    """
    Let pass what is overlooked.

    :param departures: what a message was found to have.
    :param lenient: what is overlooked in it.
    :raises PeerError: of the first that is not.
    """
    left = NONE.union(departures) - lenient
    if left:
        error = departed(left)
        rule = next(words for name, (_, words) in _DEPARTED.items() if name in left)
        overlooked = left & ALL
        remedy = (
            f"It is overlooked if lenient of the connection names {', '.join(sorted(overlooked))}."
            if overlooked
            else ""
        )
        raise error(Reason(rule, offered, remedy=remedy))
