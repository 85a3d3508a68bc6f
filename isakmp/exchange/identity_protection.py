"""
The Identity Protection exchange.  RFC 2408 section 4.5.
"""

from __future__ import annotations

from zope.interface import implementer

from isakmp.exchange.phase1 import Phase1Type
from isakmp.interfaces import IExchange, IExchangeType
from isakmp.numbers import ExchangeType
from isakmp.parts import AUTH, ID, KE, NONCE, SA


@implementer(IExchangeType)
class IdentityProtection(Phase1Type):
    """
    Six messages; identities travel sealed.
    """

    number = int(ExchangeType.IDENTITY_PROTECTION)
    name = "Identity Protection"
    waits_for_cookie = True

    async def run(self, exchange: IExchange) -> object:
        """
        ::

            Initiator                     Responder
            HDR; SA               -->
                                  <--     HDR; SA
            HDR; KE; NONCE        -->
                                  <--     HDR; KE; NONCE
            HDR*; IDii; AUTH      -->
                                  <--     HDR*; IDir; AUTH
        """
        await exchange.initiator(SA)
        await exchange.responder(SA)
        await exchange.initiator(KE, NONCE)
        await exchange.responder(KE, NONCE)
        await exchange.protect()
        await exchange.initiator(ID, AUTH)
        await exchange.responder(ID, AUTH)
        return await exchange.method.established()
