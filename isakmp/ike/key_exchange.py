"""
IKE, as the framework's plugins name it.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.plugin import IPlugin
from zope.interface import implementer

from isakmp.associations import Lifetime, ProtectionSuite
from isakmp.connections import Candidates, Child, Connection
from isakmp.errors import AttributesNotSupported, ConfigurationError
from isakmp.ike.method import IKEMethod
from isakmp.ike.parameters import KEY_IKE, Parameters
from isakmp.ike.quick_mode import QuickMode
from isakmp.interfaces import IExchange, IExchangeType, IISAKMPKeyExchange, IKeyExchangeMethod
from isakmp.numbers import AuthenticationMethod, ExchangeType


@implementer(IPlugin, IISAKMPKeyExchange)
class IKE:
    """
    Implements IISAKMPKeyExchange: Identity Protection with this method is RFC 2409's Main Mode, and
    Aggressive its Aggressive Mode.

    Neither Base nor Authentication Only: RFC 2409 defines no such mode, and its HASH_I, which
    covers both public values, cannot stand in Base's third message, where the responder's is not
    known yet.  Under an SA Quick Mode alone makes the SAs of other protocols.
    """

    name = "ike"
    transform_id = KEY_IKE
    exchange_types: Sequence[IExchangeType] = (QuickMode(),)
    offers = frozenset({int(ExchangeType.IDENTITY_PROTECTION), int(ExchangeType.AGGRESSIVE)})
    offers_phase_2: Sequence[int] = ()

    def method(
        self, exchange: IExchange, candidates: Candidates[Connection]
    ) -> IKeyExchangeMethod:
        """What fills the words of a phase-1 exchange."""
        return IKEMethod(exchange, candidates)

    def phase_2_method(self, exchange: IExchange, children: Sequence[Child]) -> IKeyExchangeMethod:
        """:raises ConfigurationError: always: Quick Mode has a method of its own."""
        raise ConfigurationError(f"{self.name} runs no {exchange.type.name} under an SA")

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
