"""
The laboratory's sink: where finished SAs go.

A real one would program the card that seals the frames.  This one writes down what it was given, so
that two people at two benches can compare: a fingerprint of each key, never the key.
"""
from __future__ import annotations

from collections.abc import Mapping

from twisted.plugin import IPlugin
from zope.interface import implementer

from isakmp.associations import SABundle, Transform
from isakmp.crypto.fingerprints import fingerprint
from isakmp.errors import ConfigurationError
from isakmp.interfaces import IConfigurable, ISASink
from isakmp.logs import Logger
from isakmp.sinks.memory import RecordingSink
from laboratory.domain import NUMBER, TRANSFORMS


@implementer(IPlugin, ISASink, IConfigurable)
class BenchSink(RecordingSink):
    """The plug-in.  RecordingSink knows which SPIs are taken, and which SAs stand."""

    name = "bench"
    protects = False
    card = "none"

    _log = Logger()

    def configure(self, settings: Mapping[str, object]) -> None:
        """``card``: what the card is called."""
        for key in settings:
            if key != "card":
                raise ConfigurationError(f"there is no key {key}; valid here: card")
        card = settings.get("card", "none")
        if not isinstance(card, str):
            raise ConfigurationError("card: a text is expected")
        self.card = card

    def supports(self, doi: int, protocol: int, transform: Transform) -> bool:
        """What the card can do; nothing else is offered or accepted."""
        return doi == NUMBER and transform.transform_id in {n for n, _ in TRANSFORMS.values()}

    def _program(self, bundle: SABundle) -> None:
        """It stands from now on, in place of what stood under this name."""
        for sa in (*bundle.inbound, *bundle.outbound):
            self._log.info(
                "card {card}: {traffic}, SPI {spi}, {parameters}, fingerprint {fingerprint}",
                card=self.card,
                traffic=bundle.policy.traffic,
                spi=sa.key.spi.hex(),
                parameters=sa.parameters,
                fingerprint=fingerprint(b"".join(sa.keys[use] for use in sorted(sa.keys))),
            )

    def _withdraw(self, name: str) -> None:
        """It stands no longer."""
        self._log.info("card {card}: {name} is gone", card=self.card, name=name)
