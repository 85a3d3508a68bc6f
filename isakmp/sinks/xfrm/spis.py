"""
SPIs that the kernel has chosen, and keeps for us until an SA has them.
"""

from __future__ import annotations

from isakmp.associations import SPIKey
from isakmp.errors import LimitReached
from isakmp.numbers import ProtocolID
from isakmp.paths import Path
from isakmp.sinks.xfrm.link import Ask, gone
from isakmp.sinks.xfrm.policies import PROTOCOLS
from isakmp.sinks.xfrm.policy_table import Reqids
from isakmp.sinks.xfrm.states import name_of
from isakmp.sinks.xfrm.structures import TRANSPORT, Kind, Name, Standing, State

_SPIS = (0xC0000000, 0xCFFFFFFF)
_CPIS = (0x100, 0xEFFF)
_TRIES = 8


class ReservedSPIs:
    """
    :param ask: asks the kernel.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._reserved: set[SPIKey] = set()

    def __contains__(self, key: SPIKey) -> bool:
        return key in self._reserved

    async def reserve(self, doi: int, protocol: int, path: Path, avoid: bytes) -> bytes:
        """
        One that is free at our end of the path.

        :param avoid: must not be it: the peer's own.
        :return: four octets; two of IPComp.
        :raises LimitReached: if the kernel has no other.
        :raises OSError: as it refuses.
        """
        size, bounds = (2, _CPIS) if protocol == ProtocolID.IPCOMP else (4, _SPIS)
        ours, peer = path.local[0], path.remote[0]
        passed_over: list[SPIKey] = []
        try:
            for _ in range(_TRIES):
                name = Name(ours, PROTOCOLS[ProtocolID(protocol)], bytes(4))
                state = State(peer, name, Reqids.FIRST, TRANSPORT)
                (told,) = await self._ask(
                    Kind.ALLOCSPI, state.encode_range(*bounds), "an SPI", flags=0
                )
                spi = Standing.decode(told.body).name.spi[-size:]
                key = SPIKey(doi, protocol, spi, ours)
                self._reserved.add(key)
                if spi != avoid:
                    return spi
                passed_over.append(key)
        finally:
            for key in passed_over:
                await self.release(key)
        raise LimitReached("the kernel has no SPI but the peer's own")

    def used(self, key: SPIKey) -> None:
        """An SA has it now; idempotent."""
        self._reserved.discard(key)

    async def release(self, key: SPIKey) -> None:
        """Give it back; idempotent."""
        if key in self._reserved:
            self._reserved.discard(key)
            await gone(self._ask, Kind.DELSA, name_of(key).encode(), "to give an SPI back")

    async def release_all(self) -> None:
        """All that no SA has."""
        for key in tuple(self._reserved):
            await self.release(key)
