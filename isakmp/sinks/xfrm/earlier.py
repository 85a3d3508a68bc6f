"""
What a dead run of this program has left in the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from isakmp.sinks.xfrm.link import DUMP, Ask
from isakmp.sinks.xfrm.policy_table import PolicyTable, Reqids
from isakmp.sinks.xfrm.states import apart
from isakmp.sinks.xfrm.structures import Kind, Policy, Standing, State


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
    Remove SAs whose signature or reqid is ours, and policies whose index is; nobody else's.

    :raises OSError: as the kernel refuses it.
    """
    count, changed = 0, False
    for message in await ask(Kind.GETSA, b"", "all SAs", DUMP):
        standing = Standing.decode(message.body)
        if standing.signed or standing.reqid in Reqids.RANGE:
            name = standing.name.encode() + apart(message.body[State.SIZE :])
            await ask(Kind.DELSA, name, "to remove an SA of an earlier run")
            count += 1
    for message in await ask(Kind.GETPOLICY, b"", "all policies", DUMP):
        policy = Policy.decode(message.body)
        if PolicyTable.is_ours(policy.index):
            changed |= PolicyTable.tells_change(policy.index)
            policy = replace(policy, others=apart(message.body[Policy.SIZE :]))
            await ask(Kind.DELPOLICY, policy.encode_id(), "to remove a policy of an earlier run")
            count += 1
    return Leftovers(count, changed)
