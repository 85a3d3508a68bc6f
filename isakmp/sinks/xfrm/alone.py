"""
One process for each network namespace: what is of this program there is its own, or a dead run's.

Whoever is the one has a socket with a policy of its own.  The kernel lists such policies among all
others of the network namespace, gives them only to who may change its IPsec, and takes them back
with the process.  A name or a port could be taken by any user of the host, who would so keep the
traffic of all unprotected.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

from isakmp.errors import ConfigurationError
from isakmp.sinks.xfrm.link import DUMP, Ask, Refused
from isakmp.sinks.xfrm.structures import SOCKET_POLICY, Direction, Kind, Policy, Selector

_HOST = ipaddress.IPv4Network("192.0.2.1/32")
"""Documentation's: no traffic is for it."""

_SIGN = 0x49530001
"""The priority of the policy, by which we know one of ours."""


class Alone:
    """
    The place of the one sink of this kind in this network namespace.

    :param entropy: gives that many unpredictable octets: what tells two that start at once apart.
    """

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._socket: socket.socket | None = None

    async def claim(self, ask: Ask) -> None:
        """
        Take it.

        :param ask: asks the kernel; its socket is open, and so the kernel's module loaded.
        :raises ConfigurationError: if another process has it.
        :raises Refused: as the kernel refuses it.
        """
        octets = self._entropy(4)
        ports = int.from_bytes(octets[:2], "big"), int.from_bytes(octets[2:], "big")
        ours = Policy(Selector(_HOST, _HOST, 0, *ports), Direction.OUT, _SIGN)
        claimed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            claimed.setsockopt(*SOCKET_POLICY[socket.AF_INET], ours.encode())
            # The first has it, also of two that start at once: the kernel lists the latest first.
            if (await _claims(ask))[-1:] != [ours.selector]:
                raise ConfigurationError(
                    "the sink xfrm cannot be used: "
                    "another process uses it in this network namespace"
                )
        except OSError as error:
            claimed.close()
            raise Refused(error.errno or 0, "a policy of a socket's") from None
        except BaseException:
            claimed.close()
            raise
        self._socket = claimed

    def give_up(self) -> None:
        """Leave it to others; idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


async def _claims(ask: Ask) -> list[Selector]:
    """Of all who have it, or are about to take it, the latest first."""
    told = [
        Policy.decode(message.body)
        for message in await ask(Kind.GETPOLICY, b"", "all policies", DUMP)
    ]
    return [
        policy.selector
        for policy in told
        if policy.direction is Direction.SOCKET_OUT and policy.priority == _SIGN
    ]
