"""
The protocols that are negotiated in phase 2, and what names an SA of each.
"""

from __future__ import annotations

from isakmp.errors import InvalidSPI, Reason
from isakmp.numbers import ProtocolID
from isakmp.wire.proposals import Proposal

PROTOCOLS = (ProtocolID.AH, ProtocolID.ESP, ProtocolID.IPCOMP)
"""What can be negotiated in phase 2.  RFC 2407 section 4.4.1."""

RESERVED_SPIS = 256
"""SPIs 0 to 255 name no SA.  RFC 2402 section 2.4, RFC 2406 section 2.1."""

_CPI = 2
"""Octets of a Compression Parameter Index."""


def valid_spi(protocol: int, spi: bytes) -> bool:
    """
    Whether this can name an SA: of AH and ESP four octets, of IPComp two, or four whose first two
    are zero (RFC 3173 section 4.1); and not a reserved number.
    """
    if protocol == ProtocolID.IPCOMP:
        spi = _narrowed(spi)
        return len(spi) == _CPI and int.from_bytes(spi) >= RESERVED_SPIS
    return len(spi) == 4 and int.from_bytes(spi) >= RESERVED_SPIS


def normal_spi(protocol: int, spi: bytes) -> bytes:
    """A valid SPI as it is known here: the index of IPComp has two octets."""
    return _narrowed(spi) if protocol == ProtocolID.IPCOMP else spi


def _narrowed(spi: bytes) -> bytes:
    return spi[-_CPI:] if len(spi) == 4 and not any(spi[:-_CPI]) else spi


def invalid_spi(proposal: Proposal) -> InvalidSPI:
    """The error about an SPI that names no SA."""
    return InvalidSPI(
        Reason(
            f"proposal {proposal.number}: an SPI of {ProtocolID(proposal.protocol).spelled}",
            f"0x{proposal.spi[:16].hex()}, {len(proposal.spi)} octets",
            f"{_CPI if proposal.protocol == ProtocolID.IPCOMP else 4} octets, "
            f"{RESERVED_SPIS} or more",
        )
    )
