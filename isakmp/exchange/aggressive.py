"""
The Aggressive exchange.  RFC 2408 section 4.7.
"""

from __future__ import annotations

from zope.interface import implementer

from isakmp.exchange.phase1 import Phase1Type
from isakmp.interfaces import IExchange, IExchangeType
from isakmp.numbers import ExchangeType
from isakmp.parts import AUTH, ID, KE, NONCE, SA


@implementer(IExchangeType)
class Aggressive(Phase1Type):
    """
    Three messages; identities travel in clear text in phase 1, and the responder works for whoever
    asks.
    """

    number = int(ExchangeType.AGGRESSIVE)
    name = "Aggressive"

    async def run(self, exchange: IExchange) -> object:
        """
        ::

            Initiator                     Responder
            HDR; SA; KE; NONCE; IDii -->
                                  <--     HDR; SA; KE; NONCE; IDir; AUTH
            HDR*; AUTH            -->

        RFC 2409 section 5 lets the last message travel in clear text as well.
        """
        await exchange.initiator(SA, KE, NONCE, ID)
        await exchange.responder(SA, KE, NONCE, ID, AUTH)
        await exchange.protect(last_may_be_clear=True)
        await exchange.initiator(AUTH)
        return await exchange.method.established()
