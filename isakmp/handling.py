"""
How a sink treats a child's traffic, beyond how it is protected.

What is said here is Linux's for the most part, and swanctl.conf's names for it; but every sink is
told, and answers for what it makes of it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace

__all__ = ["Action", "Handling", "Mark", "Number", "Unique"]


class Action(enum.Enum):
    """What becomes of a child's traffic."""

    PROTECT = "protect"
    PASS = "pass"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Unique:
    """
    A number that the sink chooses when it needs one, and that nobody else has meanwhile.

    :ivar by_direction: what comes in and what goes out have different ones.
    :ivar of_connection: all children of a connection with a peer have the same; else each child's
        SA, and whatever is in place of it, has one of its own.
    """

    by_direction: bool = False
    of_connection: bool = False


Number = int | Unique
"""One that is known, or that is chosen later."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark of packets, and the bits of it that count."""

    value: Number
    mask: int = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Handling:
    """
    How a sink treats the traffic of a child, beyond how it is protected.  What a sink does not know
    of, it refuses or leaves alone: nothing here makes the protection weaker.

    :ivar policies: whether it installs policies, or leaves these to somebody else.
    :ivar policies_fwd_out: whether what is forwarded and is to be protected has policies of its
        own, for where others would drop it.
    :ivar priority: of its policies, the smaller the stronger; 0: by how much they select.
    :ivar reqid: what binds policies and SAs; 0: one is chosen.
    :ivar replay_window: packets; 0: none is refused as replayed.
    :ivar interface: by which traffic has to leave to be selected; empty: any.
    :ivar mark_in: of packets that the inbound policies are for, and the inbound SA with
        ``mark_in_sa``; ``mark_out`` of those that the outbound policies and SA are for.
    :ivar set_mark_in: what packets get that have been opened; ``set_mark_out`` protected.
    :ivar if_id_in: of the XFRM interface by which packets come; 0: none.
    :ivar copy_dscp_out: whether the outer header gets the codepoint of the inner;
        ``copy_dscp_in`` the inner that of the outer.
    :ivar icmp: whether errors about what is protected pass, whoever they come from.
    :ivar rekey_octets: when an SA is to be renewed, by what has passed; 0: that does not matter.
    :ivar life_octets: when it is used no longer; likewise.
    :ivar rand_octets: by how much, at most and by chance, it is renewed earlier.
    :ivar inactivity: seconds without traffic after which a child is given up; 0: never.
    :ivar updown: a command that is run when it comes up and goes down; empty: none.
    """

    policies: bool = True
    policies_fwd_out: bool = False
    priority: int = 0
    reqid: int = 0
    replay_window: int = 32
    interface: str = ""
    mark_in: Mark | None = None
    mark_in_sa: bool = False
    mark_out: Mark | None = None
    set_mark_in: Mark | None = None
    set_mark_out: Mark | None = None
    if_id_in: Number = 0
    if_id_out: Number = 0
    copy_df: bool = True
    copy_ecn: bool = True
    copy_dscp_in: bool = False
    copy_dscp_out: bool = True
    icmp: bool = False
    rekey_octets: int = 0
    life_octets: int = 0
    rekey_packets: int = 0
    life_packets: int = 0
    rand_octets: int = 0
    rand_packets: int = 0
    inactivity: int = 0
    updown: str = ""
    host_access: bool = False

    def spread(self, entropy: Callable[[int], bytes]) -> Handling:
        """
        The same, with renewals by volume earlier by chance: then not both ends begin at once.

        :param entropy: gives that many unpredictable octets; it is asked for eight for each volume
            that is spread.
        """
        return replace(
            self,
            rekey_octets=_earlier(self.rekey_octets, self.rand_octets, entropy),
            rekey_packets=_earlier(self.rekey_packets, self.rand_packets, entropy),
            rand_octets=0,
            rand_packets=0,
        )

    def within(self, octets: int) -> Handling:
        """
        The same, where an SA may carry no more than was agreed: it is renewed in time before that.

        :param octets: 0: nothing was agreed.
        """
        if not octets or 0 < self.life_octets <= octets:
            return self
        rekey = octets * 10 // 11
        if self.rekey_octets:
            rekey = min(rekey, self.rekey_octets)
        return replace(self, rekey_octets=rekey, life_octets=octets)


def _earlier(volume: int, by: int, entropy: Callable[[int], bytes]) -> int:
    """By any number from none to that one alike; but not before anything has passed."""
    most = min(by, volume - 1)
    if most <= 0:
        return volume
    return volume - (int.from_bytes(entropy(8), "big") * (most + 1) >> 64)
