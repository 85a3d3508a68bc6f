"""
Riders of the framework's own: what travels with an exchange and belongs to no key exchange.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from zope.interface import implementer

from isakmp.interfaces import IExchange, IManagementSA, IRider
from isakmp.parts import SA, Arrow
from isakmp.wire.message import Message
from isakmp.wire.payloads import Payload, VendorID

OURS = hashlib.md5(b"isakmp for Twisted", usedforsecurity=False).digest()
"""Who made this end; says nothing about what it can do.  RFC 2408 section 3.16."""


@implementer(IRider)
class VendorIDs:
    """
    Says, with our SA payload, what we can do.

    What the peer can do is a fact of the exchange, recorded by the framework: ``vendor_ids``.
    """

    def __init__(self, *ours: bytes) -> None:
        self._ours = ours or (OURS,)

    def outgoing(self, exchange: IExchange, arrow: Arrow) -> Sequence[Payload]:
        """Ours, with the SA payload of phase 1."""
        if SA not in arrow or exchange.sa is not None:
            return ()
        return tuple(VendorID(vendor_id) for vendor_id in self._ours)

    def incoming(self, exchange: IExchange, arrow: Arrow, message: Message) -> None:
        """Nothing: the framework has recorded them."""

    def established(self, exchange: IExchange, sa: IManagementSA) -> None:
        """Nothing."""
