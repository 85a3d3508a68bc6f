"""
Neighbour discovery in IPv6 (RFC 4861) goes by what would catch it.

Whoever wants to reach a host on its own link asks it for its hardware address, and the host answers
by a datagram of IPv6.  Where all traffic between the two is to be protected, that answer is to be
protected as well: with no SA there it waits for one, and the SA for it, since nothing can be
negotiated with a host that cannot be reached.  What is let pass cannot come from farther than the
link: its hop limit has to be 255 (RFC 4861 section 7.1).
"""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Awaitable, Callable, Sequence

from isakmp.logs import Logger
from isakmp.sinks.xfrm.link import Refused
from isakmp.sinks.xfrm.structures import BLOCK, Direction, Policy, Selector

ICMP_6 = 58
_SOLICITATION, _ADVERTISEMENT = 135, 136
_ANYBODY = ipaddress.IPv6Network("::/0")

EXEMPT = tuple(
    # To the kernel the type of ICMP is the source port.  Priority 0: before whatever else there is.
    Policy(Selector(_ANYBODY, _ANYBODY, ICMP_6, kind), direction, 0)
    for kind in (_SOLICITATION, _ADVERTISEMENT)
    for direction in (Direction.OUT, Direction.IN)
)
"""What lets it pass."""

_Tell = Callable[[Policy | None, Policy | None], Awaitable[None]]


def catches(policy: Policy | None) -> bool:
    """Whether neighbour discovery may be what a policy is for, and it does not let it pass."""
    return (
        policy is not None
        and policy.selector.source.version == 6
        and policy.selector.protocol in (0, ICMP_6)
        and bool(policy.templates or policy.action == BLOCK)
    )


class Neighbours:
    """
    Lets neighbour discovery pass for as long as a policy of ours might catch it.

    :param tell: tells the kernel of a policy, as :meth:`PolicyTable.tell` does.
    """

    _log = Logger()

    def __init__(self, tell: _Tell) -> None:
        self._tell = tell
        self._count = 0
        self._standing: list[Policy] = []

    @property
    def standing(self) -> Sequence[Policy]:
        """What lets it pass at the moment, as far as it is ours."""
        return tuple(self._standing)

    async def more(self) -> None:
        """
        One more policy that might.

        :raises Refused: as the kernel refuses it.
        """
        if not self._count:
            for policy in EXEMPT:
                try:
                    await self._tell(None, policy)
                except Refused as error:
                    if error.errno != errno.EEXIST:
                        await self._end()
                        raise
                    # Somebody else has seen to it, and it is theirs.
                else:
                    self._standing.append(policy)
        self._count += 1

    async def fewer(self) -> None:
        """One policy less; a refusal is a line of the log."""
        self._count -= 1
        if not self._count:
            await self._end()

    async def _end(self) -> None:
        while self._standing:
            try:
                await self._tell(self._standing.pop(), None)
            except Refused as error:
                if error.errno not in (errno.ENOENT, errno.ESRCH):
                    self._log.error("{why}", why=error)
