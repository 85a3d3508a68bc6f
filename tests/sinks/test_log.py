"""
The sink that only logs.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from twisted.logger import LogEvent, LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.associations import IPsecParameters
from isakmp.interfaces import ISASink
from isakmp.numbers import DOI, AHTransform, IPCOMPTransform, ProtocolID
from isakmp.sinks.log import LogSink
from isakmp.testing import FixedEntropy
from tests.samples import PATH, PEER, US, bundle, logged, protection_sa, transform

FIELDS = ("connection", "child", "spi_in", "spi_out", "mode", "algorithms", "selectors")


class LogSinkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.said: list[LogEvent] = logged(self)
        self.sink = LogSink(FixedEntropy(1))

    def fields(self) -> dict[str, Any]:
        return {name: self.said[-1][name] for name in FIELDS}

    def test_interface(self) -> None:
        """It is what an exchange expects of a sink, and does not claim to protect traffic."""
        verifyObject(ISASink, self.sink)
        self.assertFalse(self.sink.protects)

    def test_start(self) -> None:
        """It says at once, as a warning, that it protects nothing."""
        (event,) = self.said
        self.assertIs(event["log_level"], LogLevel.warn)
        self.assertIn("protects no traffic", formatEvent(event))

    def test_install(self) -> None:
        """Each bundle is one warning that tells what is not protected, by fixed names."""
        self.successResultOf(self.sink.install(bundle(name="net")))
        self.assertEqual(len(self.said), 2)
        self.assertIs(self.said[1]["log_level"], LogLevel.warn)
        self.assertEqual(
            self.fields(),
            {
                "connection": "road",
                "child": "net",
                "spi_in": "00001001",
                "spi_out": "00002001",
                "mode": "tunnel",
                "algorithms": "aes-cbc hmac-sha2-256-128",
                "selectors": "10.1.0.0/16 - 10.2.0.0/16",
            },
        )
        line = formatEvent(self.said[1])
        self.assertNotIn("\n", line)
        self.assertIn("not protected", line)
        for value in self.fields().values():
            self.assertIn(value, line)

    def test_half(self) -> None:
        """What a responder installs first has no outbound SPI yet, and the line says so."""
        self.successResultOf(self.sink.install(replace(bundle(), outbound=())))
        self.assertEqual(self.fields()["spi_out"], "none")

    def test_two_protocols(self) -> None:
        """AH around ESP is one line with both."""
        ah = IPsecParameters("transport", "none", "hmac-sha1-96")
        esp = IPsecParameters("transport", "aes-gcm-16", "none")
        both = replace(
            bundle(),
            inbound=(
                protection_sa(0x1001, US, protocol=ProtocolID.AH, parameters=ah),
                protection_sa(0x1002, US, parameters=esp),
            ),
            outbound=(
                protection_sa(0x2001, PEER, protocol=ProtocolID.AH, parameters=ah),
                protection_sa(0x2002, PEER, parameters=esp),
            ),
        )
        self.successResultOf(self.sink.install(both))
        fields = self.fields()
        self.assertEqual(fields["spi_in"], "00001001 00001002")
        self.assertEqual(fields["mode"], "transport")
        self.assertEqual(fields["algorithms"], "hmac-sha1-96 + aes-gcm-16")

    def test_no_keys(self) -> None:
        """No key is ever logged, not even if the parameters of another domain would show it."""
        secret = os.urandom(16)
        keys = {"encryption": secret, "integrity": secret}
        ours = protection_sa(0x1001, US, keys=keys)
        others = protection_sa(0x1001, US, keys=keys, parameters={"key": secret})
        for sa in (ours, others):
            self.successResultOf(self.sink.install(replace(bundle(name="net"), inbound=(sa,))))
            text = f"{self.said[-1]} {formatEvent(self.said[-1])}"
            self.assertNotIn(repr(secret)[2:-1], text)
            self.assertNotIn(secret.hex(), text)
        self.assertEqual(self.fields()["algorithms"], "unknown")

    def test_records(self) -> None:
        """It reserves SPIs, and keeps what stands, like any sink; a removal is idempotent."""
        spi = self.successResultOf(self.sink.reserve_spi(DOI.IPSEC, ProtocolID.ESP, PATH))
        standing = bundle(int.from_bytes(spi, "big"), 0x2001)
        self.assertEqual(self.sink.reserved, {standing.key})
        self.successResultOf(self.sink.install(standing))
        self.assertEqual(self.sink.reserved, frozenset())
        self.assertEqual(dict(self.sink.standing), {standing.name: standing})
        for _ in range(2):
            self.successResultOf(self.sink.remove(standing))
            self.assertEqual(dict(self.sink.standing), {})

    def test_refused(self) -> None:
        """A bundle that is refused is not logged as installed, and does not stand."""

        def refuse(_: object) -> None:
            raise OSError

        self.sink.refuse = refuse
        self.failureResultOf(self.sink.install(bundle()), OSError)
        self.assertEqual(len(self.said), 1)
        self.assertEqual(dict(self.sink.standing), {})

    def test_supports(self) -> None:
        """As nothing is computed, every transform of IPsec is supported; other domains' are not."""
        for protocol, number in (
            (ProtocolID.ESP, 200),
            (ProtocolID.AH, AHTransform.SHA),
            (ProtocolID.IPCOMP, IPCOMPTransform.DEFLATE),
        ):
            offered = transform(transform_id=number)
            self.assertTrue(self.sink.supports(DOI.IPSEC, protocol, offered))
            self.assertTrue(self.sink.supports(DOI.GDOI, protocol, offered))
        self.assertFalse(self.sink.supports(DOI.IPSEC, ProtocolID.ISAKMP, transform()))
