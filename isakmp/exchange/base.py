"""
The Base exchange.  RFC 2408 section 4.4.
"""

from __future__ import annotations

from zope.interface import implementer

from isakmp.exchange.phase1 import Phase1Type
from isakmp.interfaces import IExchange, IExchangeType
from isakmp.numbers import ExchangeType
from isakmp.parts import AUTH, ID, KE, NONCE, SA


@implementer(IExchangeType)
class Base(Phase1Type):
    """
    Four messages, all in clear text in phase 1; key material travels with the proof.

    The responder's nonce is no function of message 1, so its exchange runs from there on.
    """

    number = int(ExchangeType.BASE)
    name = "Base"

    async def run(self, exchange: IExchange) -> object:
        """
        ::

            Initiator                     Responder
            HDR; SA; NONCE        -->
                                  <--     HDR; SA; NONCE
            HDR; KE; IDii; AUTH   -->
                                  <--     HDR; KE; IDir; AUTH
        """
        await exchange.initiator(SA, NONCE)
        await exchange.responder(SA, NONCE)
        await exchange.initiator(KE, ID, AUTH)
        await exchange.responder(KE, ID, AUTH)
        return await exchange.method.established()
