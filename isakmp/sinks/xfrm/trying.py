"""
What this kernel can protect traffic with: an SA of it is installed and removed again.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from isakmp.associations import IPsecParameters, ProtectionSA, SPIKey, Transform
from isakmp.numbers import DOI, ProtocolID
from isakmp.sinks.xfrm.link import Ask
from isakmp.sinks.xfrm.policy_table import Reqids
from isakmp.sinks.xfrm.states import state_of
from isakmp.sinks.xfrm.structures import Kind
from isakmp.sinks.xfrm.transforms import wanted

_SOURCE, _DESTINATION = "192.0.2.1", "192.0.2.2"
"""Documentation's addresses: no traffic is for them."""

_SPI, _CPI = (0xCFFFFF00).to_bytes(4), b"\xef\xff"

_BASIC = (
    ProtocolID.ESP,
    IPsecParameters("transport", "aes-cbc", "hmac-sha1-96"),
    {"encryption": bytes(range(16)), "integrity": bytes(range(20))},
)
"""What every kernel with IPsec has."""

_UNASKED = frozenset({errno.EPERM, errno.EACCES, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT})
"""Refusals that may be of any question, whatever it is about."""


class Trials:
    """
    Tries SAs, each kind once.

    :param ask: asks the kernel.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._possible: dict[object, bool] = {}

    async def anything(self) -> None:
        """
        Try what every kernel with IPsec has.

        :raises OSError: as the kernel refuses it.
        """
        await self._try(*_BASIC)

    def supports(self, doi: int, protocol: int, transform: Transform) -> bool:
        """What this kernel has; or, where it cannot be asked, what a kernel may have."""
        if doi != DOI.IPSEC:
            return False
        tried = wanted(protocol, transform)
        if tried is None:
            return False
        parameters, keys = tried
        lengths = tuple(len(key) for key in keys.values())
        key = protocol, replace(parameters, mode=""), lengths
        if key not in self._possible:
            number = self._refusal(protocol, parameters, keys)
            # Of a process or a kernel that can do nothing, nothing is known; start() says so.
            self._possible[key] = not number or (
                number in _UNASKED and bool(self._refusal(*_BASIC))
            )
        return self._possible[key]

    def _refusal(
        self, protocol: int, parameters: IPsecParameters, keys: Mapping[str, bytes]
    ) -> int:
        """The number of the kernel's error; 0: there is none."""
        numbers: list[int] = []

        def refused(failure: Failure) -> None:
            error = failure.value
            if not isinstance(error, OSError):
                failure.raiseException()
            numbers.append(error.errno or errno.EIO)

        # The kernel has answered when this returns.
        Deferred.fromCoroutine(self._try(protocol, parameters, keys)).addErrback(refused)
        return numbers[0] if numbers else 0

    async def _try(
        self, protocol: int, parameters: IPsecParameters, keys: Mapping[str, bytes]
    ) -> None:
        spi = _CPI if protocol == ProtocolID.IPCOMP else _SPI
        sa = ProtectionSA(SPIKey(DOI.IPSEC, protocol, spi, _DESTINATION), keys, parameters)
        state = state_of(sa, (sa,), _SOURCE, Reqids.FIRST)
        await self._ask(Kind.NEWSA, state.encode(), "an SA to try")
        await self._ask(Kind.DELSA, state.name.encode(), "to remove it")
