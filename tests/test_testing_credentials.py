"""
The test kit's certificates and signatures: what is sound is taken, and all else is not.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.errors import InvalidCertificate, InvalidCertificateAuthority, PeerRefused
from isakmp.ike.key_exchange import ike
from isakmp.interfaces import IExchangeType, IISAKMPKeyExchange, IKeyExchangeMethod
from isakmp.numbers import CertificateEncoding, NotifyType
from isakmp.testing import settle
from isakmp.testing.credentials import (
    AUTHORITY,
    NUMBER,
    check_certificate,
    check_request,
    credentials_exchange,
    hash_of,
    signature_of,
    with_exchange_types,
)
from isakmp.wire.payloads import Certificate, CertificateRequest, Nonce, Payload
from tests.nodes import Pair, pair, unfinished

X509 = CertificateEncoding.X509_SIGNATURE


def nodes() -> Pair:
    """Alice and Bob have it, and an SA."""
    kind = with_exchange_types(ike, credentials_exchange)
    both = pair(alices_ike=kind, bobs_ike=kind)
    both.up()
    return both


class CredentialsTests(SynchronousTestCase):
    def test_interfaces(self) -> None:
        """The kit's parts are what the framework asks of anybody's."""
        verifyObject(IExchangeType, credentials_exchange)
        extended = with_exchange_types(ike, credentials_exchange)
        verifyObject(IISAKMPKeyExchange, extended)
        self.assertEqual((extended.name, extended.offers), (ike.name, ike.offers))
        self.assertIn(credentials_exchange, extended.exchange_types)

    def test_sound(self) -> None:
        """Sound payloads of all kinds go through, and are answered; either end may begin."""
        both = nodes()
        for member in (both.a, both.b):
            (sa,) = member.sas
            order: tuple[Payload, ...] = (
                Nonce(bytes(8)),
                hash_of(sa),
                signature_of(sa),
                Certificate(X509, b"\x30\x00"),
                CertificateRequest(X509, AUTHORITY),
                CertificateRequest(X509, b""),
            )
            heard = settle(both.clock, member.endpoint.begin(sa, NUMBER, order))
            assert isinstance(heard, tuple)
            self.assertEqual([type(payload) for payload in heard], [Nonce])
        both.wait(both.quiet)
        self.assertEqual(unfinished(both.a, both.b), [])

    def test_refused(self) -> None:
        """Whoever says something unsound is told the number of that, and the exchange ends."""
        both = nodes()
        (sa,) = both.a.sas
        with self.assertRaises(PeerRefused) as raised:
            order = (Certificate(X509, b""),)
            settle(both.clock, both.a.endpoint.begin(sa, NUMBER, order))
        self.assertEqual(raised.exception.kind, NotifyType.INVALID_CERTIFICATE)
        self.assertEqual((len(both.a.sas), len(both.b.sas)), (1, 1))

    def test_sequences(self) -> None:
        """A certificate, and the name of an authority, is one SEQUENCE, neither cut nor longer."""
        for sound in (b"\x30\x00", b"\x30\x01x", b"\x30\x81\x01x", b"\x30\x82\x00\x01x"):
            check_certificate(Certificate(X509, sound))
        for unsound in (b"", b"\x30", b"\x31\x00", b"\x30\x01", b"\x30\x00x", b"\x30\x82\x01x"):
            self.assertRaises(InvalidCertificate, check_certificate, Certificate(X509, unsound))
            if unsound:
                request = CertificateRequest(X509, unsound)
                self.assertRaises(InvalidCertificateAuthority, check_request, request)

    def test_no_keys(self) -> None:
        """Its method derives no keys: it runs under an SA."""
        both = nodes()
        running = both.a.endpoint.begin(both.a.sas[0], NUMBER, ())
        (exchange,) = both.a.endpoint.running()
        verifyObject(IKeyExchangeMethod, exchange.method)
        self.assertRaises(RuntimeError, exchange.method.protection().send, None)
        settle(both.clock, running)
