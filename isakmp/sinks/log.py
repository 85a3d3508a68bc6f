"""
A sink that protects nothing and says so: for trying a configuration without touching a kernel.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from zope.interface import implementer

from isakmp.associations import IPsecParameters, ProtectionSA, SABundle, Transform
from isakmp.interfaces import ISASink
from isakmp.logs import Logger
from isakmp.numbers import DOI, ProtocolID
from isakmp.sinks.memory import RecordingSink

_PROTOCOLS = frozenset({ProtocolID.AH, ProtocolID.ESP, ProtocolID.IPCOMP})


@implementer(ISASink)
class LogSink(RecordingSink):
    """
    Keeps records, and writes a line at the start and for every bundle.  No key is ever written.

    As nothing is computed here, it supports every transform of AH, ESP and IPCOMP, and all of any
    other domain of interpretation.

    :param entropy: for the SPIs.
    """

    name = "log"
    protects = False

    _log = Logger()

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        super().__init__(entropy)
        self._log.warn("the sink {sink} protects no traffic: it only logs", sink=self.name)

    def supports(self, doi: int, protocol: int, transform: Transform) -> bool:
        """All of the IPsec domain of interpretation's, and whatever another domain has."""
        return doi != DOI.IPSEC or protocol in _PROTOCOLS

    def _program(self, bundle: SABundle) -> None:
        self._log.warn(
            "not protected: {connection} {child}, SPI {spi_in} in, {spi_out} out, "
            "{mode} {algorithms}, {selectors}",
            connection=bundle.connection,
            child=bundle.policy.name,
            spi_in=_spis(bundle.inbound),
            spi_out=_spis(bundle.outbound),
            mode=_each(bundle, lambda parameters: parameters.mode),
            algorithms=_each(bundle, _algorithms),
            selectors=bundle.policy.traffic,
        )


def _spis(sas: Sequence[ProtectionSA]) -> str:
    return " ".join(sa.key.spi.hex() for sa in sas) or "none"


def _each(bundle: SABundle, word: Callable[[IPsecParameters], str]) -> str:
    """What is to be said of its protocols, the outermost first, the same thing once."""
    words = (
        word(sa.parameters) if isinstance(sa.parameters, IPsecParameters) else "unknown"
        for sa in bundle.inbound or bundle.outbound
    )
    return " + ".join(dict.fromkeys(words))


def _algorithms(parameters: IPsecParameters) -> str:
    names = parameters.encryption, parameters.integrity, parameters.compression
    said = [name for name in names if name != "none"]
    return " ".join([*said, "esn"] if parameters.extended else said)
