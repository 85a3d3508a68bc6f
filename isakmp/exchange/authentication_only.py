"""
The Authentication Only exchange.  RFC 2408 section 4.6.
"""

from __future__ import annotations

from zope.interface import implementer

from isakmp.exchange.phase1 import Phase1Type
from isakmp.interfaces import IExchange, IExchangeType
from isakmp.numbers import ExchangeType
from isakmp.parts import AUTH, ID, NONCE, SA


@implementer(IExchangeType)
class AuthenticationOnly(Phase1Type):
    """
    Three messages that authenticate and agree no key: in clear text in phase 1; under an SA sealed.

    The name of a header flag too, which is another thing: see
    :meth:`isakmp.interfaces.IExchange.authenticate_only`.
    """

    number = int(ExchangeType.AUTHENTICATION_ONLY)
    name = "Authentication Only"

    async def run(self, exchange: IExchange) -> object:
        """
        ::

            Initiator                     Responder
            HDR; SA; NONCE        -->
                                  <--     HDR; SA; NONCE; IDir; AUTH
            HDR; IDii; AUTH       -->
        """
        await exchange.initiator(SA, NONCE)
        await exchange.responder(SA, NONCE, ID, AUTH)
        await exchange.initiator(ID, AUTH)
        return await exchange.method.established()
