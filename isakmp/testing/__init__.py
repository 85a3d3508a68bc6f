"""
The test kit: virtual time, an unreliable network in memory, and repeatable randomness.

ISAKMP runs over UDP (RFC 2408 section 2.5.1): datagrams are lost, doubled, late or forged.  Here
real nodes meet all of that in one process without sleeping, and one seed is always the same run.
"""
from __future__ import annotations

from isakmp.testing.clock import DAY, Unsettled, VirtualClock, settle
from isakmp.testing.domain import check_doi
from isakmp.testing.entropy import FixedEntropy
from isakmp.testing.key_exchange import Violation, check_key_exchange
from isakmp.testing.network import LossyNetwork, NetworkPorts, Tap, Transmission
from isakmp.testing.obligations import Violations
from isakmp.testing.trial import Trial

__all__ = [
    "DAY",
    "FixedEntropy",
    "LossyNetwork",
    "NetworkPorts",
    "Tap",
    "Transmission",
    "Trial",
    "Unsettled",
    "Violation",
    "Violations",
    "VirtualClock",
    "check_doi",
    "check_key_exchange",
    "settle",
]
