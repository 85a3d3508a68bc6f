"""
The SPIs of one exchange: reserved at the sink, and given back unless SAs come of them.
"""

from __future__ import annotations

from collections.abc import Collection

from twisted.internet.defer import Deferred

from isakmp.associations import Proposal, SPIKey
from isakmp.errors import LimitReached, Reason
from isakmp.events import SPIReleased
from isakmp.interfaces import INegotiation
from isakmp.logs import Logger

_log = Logger()


def receiving(exchange: INegotiation, doi: int, protocol: int, spi: bytes) -> SPIKey:
    """What names an SA of ours that receives by it."""
    return SPIKey(doi, protocol, spi, exchange.path.local[0])


def sending(exchange: INegotiation, doi: int, proposal: Proposal) -> SPIKey:
    """What names the SA that sends by the SPI of this proposal of the peer's."""
    return SPIKey(doi, proposal.protocol, proposal.spi, exchange.path.remote[0])


async def reserve(exchange: INegotiation, doi: int, protocol: int) -> bytes:
    """One for a protocol; given back if the exchange fails."""
    spi = await exchange.node.sink.reserve_spi(doi, protocol, exchange.path)
    _release_if_failing(exchange, receiving(exchange, doi, protocol, spi))
    return spi


async def reserve_other(
    exchange: INegotiation, doi: int, proposal: Proposal, others: Collection[bytes]
) -> bytes:
    """
    One that is none of these.  A sink avoids one, which is nearly always the one.

    :param proposal: of the peer's, whose SPI the sink avoids.
    :raises LimitReached: if the sink has no other.
    """
    protocol, passed_over = proposal.protocol, []
    try:
        for _ in range(len(others) + 1):
            spi = await exchange.node.sink.reserve_spi(doi, protocol, exchange.path, proposal.spi)
            if spi not in others:
                _release_if_failing(exchange, receiving(exchange, doi, protocol, spi))
                return spi
            passed_over.append(spi)
    finally:
        for spi in passed_over:
            await release(exchange, receiving(exchange, doi, protocol, spi))
    raise LimitReached(Reason("the sink has no SPI but the peer's own", proposal.spi.hex()))


async def release(exchange: INegotiation, key: SPIKey) -> None:
    """Give it back."""
    await exchange.node.sink.release_spi(key)
    exchange.node.events.publish(SPIReleased(key))


def undone(undoing: Deferred[None], what: str) -> None:
    """What is undone is nobody's result."""
    undoing.addErrback(lambda failure: _log.failure("could not undo {what}", failure, what=what))


def _release_if_failing(exchange: INegotiation, key: SPIKey) -> None:
    exchange.otherwise(
        lambda: undone(Deferred.fromCoroutine(release(exchange, key)), f"SPI {key.spi.hex()}")
    )
