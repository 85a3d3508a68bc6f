"""
What a dead run of this program has left in the kernel.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace

from isakmp.sinks.xfrm.link import DUMP, Ask, Refused
from isakmp.sinks.xfrm.policy_table import PolicyTable, Reqids
from isakmp.sinks.xfrm.states import apart
from isakmp.sinks.xfrm.structures import NO_SPI, Kind, Policy, Standing, State


@dataclass(frozen=True, slots=True)
class Leftovers:
    """
    What was left.

    :ivar count: SAs and policies.
    :ivar changed: the dead run had changed what :class:`PolicyTable` is told of.
    """

    count: int
    changed: bool


async def remove_leftovers(ask: Ask) -> Leftovers:
    """
    Remove SAs whose signature or reqid is ours, and policies whose index is; nobody else's.  Some
    go by themselves: SPIs that were kept, and SAs that traffic waits for.  These have no SPI yet,
    and cannot be named.

    :raises OSError: as the kernel refuses it.
    """
    count, changed = 0, False
    for message in await ask(Kind.GETSA, b"", "all SAs", DUMP):
        standing = Standing.decode(message.body)
        ours = standing.signed or standing.reqid in Reqids.RANGE
        if ours and standing.name.spi != NO_SPI:
            name = standing.name.encode() + apart(message.body[State.SIZE :])
            await _removed(ask, Kind.DELSA, name, "to remove an SA of an earlier run")
            count += 1
    for message in await ask(Kind.GETPOLICY, b"", "all policies", DUMP):
        policy = Policy.decode(message.body)
        if PolicyTable.is_ours(policy.index):
            changed |= PolicyTable.tells_change(policy.index)
            policy = replace(policy, others=apart(message.body[Policy.SIZE :]))
            what = "to remove a policy of an earlier run"
            await _removed(ask, Kind.DELPOLICY, policy.encode_id(), what)
            count += 1
    return Leftovers(count, changed)


async def _removed(ask: Ask, kind: int, body: bytes, what: str) -> None:
    """:raises OSError: as the kernel refuses it, but for that it is gone already."""
    try:
        await ask(kind, body, what)
    except Refused as error:
        if error.errno not in (errno.ENOENT, errno.ESRCH):
            raise
