"""
IKE, as the framework's plugins name it.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.plugin import IPlugin
from zope.interface import implementer

from isakmp.associations import Lifetime, ProtectionSuite
from isakmp.connections import Candidates, Connection
from isakmp.errors import AttributesNotSupported
from isakmp.ike.method import IKEMethod
from isakmp.ike.parameters import KEY_IKE, Parameters
from isakmp.ike.quick_mode import QuickMode
from isakmp.interfaces import IExchange, IExchangeType, IISAKMPKeyExchange, IKeyExchangeMethod
from isakmp.numbers import AuthenticationMethod, ExchangeType


@implementer(IPlugin, IISAKMPKeyExchange)
class IKE:
    """
    Implements IISAKMPKeyExchange: Identity Protection with this method is RFC 2409's Main Mode.
    """

    name = "ike"
    transform_id = KEY_IKE
    exchange_types: Sequence[IExchangeType] = (QuickMode(),)
    offers = frozenset({int(ExchangeType.IDENTITY_PROTECTION)})

    def method(self, exchange: IExchange, candidates: Candidates[Connection]) -> IKeyExchangeMethod:
        """What fills the words of a phase-1 exchange."""
        return IKEMethod(exchange, candidates)

    def suite(self, spelling: str, lifetime: Lifetime) -> ProtectionSuite:
        """
        ``aes128-sha256-modp2048``, authenticated by a pre-shared key.

        :raises ConfigurationError: naming the word that is not understood.
        """
        method = AuthenticationMethod.PRE_SHARED_KEY
        return Parameters.parse(spelling, method, lifetime).suite()

    def spell(self, suite: ProtectionSuite) -> str:
        """A suite as a configuration spells it."""
        words = []
        for proposal in suite.proposals:
            for transform in proposal.transforms:
                try:
                    words.append(Parameters.read(transform).spelled)
                except AttributesNotSupported as error:
                    words.append(f"#{transform.number} ({error})")
        return ", ".join(words)


ike = IKE()
"""The plugin: it keeps no state."""
