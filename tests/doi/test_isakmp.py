"""The generic domain of interpretation."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.doi.isakmp import isakmp_doi
from isakmp.errors import ConfigurationError, InvalidIdentity
from isakmp.identity import Identity, TrafficSelector
from isakmp.interfaces import IDomainOfInterpretation, INegotiatingDomain
from isakmp.numbers import IdentityType, NotifyType
from isakmp.paths import Path
from isakmp.wire.payloads import Delete, Notification
from isakmp.wire.reader import Reader

PATH = Path(("192.0.2.1", 500), ("198.51.100.2", 500))
V4, V6 = b"\n\0\0\1", b"\x20\1\r\xb8" + bytes(11) + b"\1"


class ISAKMPDOITests(SynchronousTestCase):
    def test_interfaces(self) -> None:
        """It is a domain of interpretation and a plug-in, and negotiates nothing of its own."""
        verifyObject(IDomainOfInterpretation, isakmp_doi)
        verifyObject(IPlugin, isakmp_doi)
        self.assertFalse(INegotiatingDomain.providedBy(isakmp_doi))

    def test_number(self) -> None:
        """
        DOI 0 stands for any protocol.

        Proves: RFC 2408 section 3.4
        Proves: RFC 2408 section 1.4.2 (row 1.4.2-2)
        """
        self.assertEqual((isakmp_doi.number, isakmp_doi.name), (0, "isakmp"))
        self.assertEqual(tuple(isakmp_doi.exchange_types), ())

    def test_situation(self) -> None:
        """Its situation has no octets: the proposals follow the DOI at once."""
        reader = Reader(b"\0\0\0\x28proposals")
        situation = isakmp_doi.situation(reader)
        self.assertEqual(situation.encode(), b"")
        self.assertEqual(situation, isakmp_doi.phase1_situation)
        self.assertEqual(reader.remaining, 13)

    def test_identities(self) -> None:
        """
        Its four types of identity are numbered otherwise than those of IPsec.

        Proves: RFC 2408 appendix A.4
        Proves: RFC 2408 section 1.4.2 (row 1.4.2-2)
        """
        for kind, data, spelled in (
            (0, V4, "10.0.0.1"),
            (1, b"\n\0\0\0\xff\0\0\0", "10.0.0.0/8"),
            (2, V6, "2001:db8::1"),
            (3, V6[:-1] + b"\0" + b"\xff" * 8 + bytes(8), "2001:db8::/64"),
        ):
            identity = isakmp_doi.identity(kind, 0, 0, data)
            self.assertEqual(str(identity), spelled)
            back = isakmp_doi.identification(identity)
            self.assertEqual((back.kind, back.data), (kind, data))
        self.assertTrue(isakmp_doi.identity(0, 0, 0, V4).same_party(Identity.parse("10.0.0.1")))

    def test_malformed_identities(self) -> None:
        """
        Other types, other lengths, and octets that are unused and not zero are refused.

        Proves: RFC 2408 appendix A.4
        Proves: RFC 2408 section 3.8 (row 3.8-1)
        Proves: RFC 2408 section 5.8 (row 5.8-2)
        """
        for kind, protocol, port, data in (
            (0, 0, 0, V6),
            (0, 0, 0, b""),
            (1, 0, 0, V4),
            (2, 0, 0, b"i.lab"),
            (3, 0, 0, V6),
            (4, 0, 0, V4),
            (11, 0, 0, b"key"),
            (255, 0, 0, b""),
            (0, 17, 0, V4),
            (0, 0, 500, V4),
        ):
            self.assertRaises(InvalidIdentity, isakmp_doi.identity, kind, protocol, port, data)

    def test_no_names(self) -> None:
        """Who is configured with a name cannot say it in this domain, and is told before."""
        for text in ("host.example.org", "user@example.org", "@#00ff"):
            self.assertRaises(ConfigurationError, isakmp_doi.identification, Identity.parse(text))
        for text in ("10.0.0.1-10.0.0.9", "2001:db8::1-2001:db8::9"):
            identity = TrafficSelector.parse(text).identity()
            self.assertRaises(ConfigurationError, isakmp_doi.identification, identity)

    @settings(deadline=None)
    @given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 65535), st.binary(max_size=40))
    def test_anything(self, kind: int, protocol: int, port: int, data: bytes) -> None:
        """Any identity is understood and can be said again, or is refused."""
        try:
            identity = isakmp_doi.identity(kind, protocol, port, data)
        except InvalidIdentity:
            return
        self.assertIn(identity.kind, tuple(IdentityType))
        back = isakmp_doi.identification(identity)
        self.assertEqual((back.kind, back.data), (kind, data))

    def test_nothing_asked(self) -> None:
        """No notification and no deletion in this domain touches an SA."""
        for kind in NotifyType:
            self.assertIsNone(isakmp_doi.notified(Notification(0, 1, kind, bytes(16), b"")))
        for protocol in range(5):
            self.assertEqual(isakmp_doi.deleted(Delete(0, protocol, (b"\1" * 4,)), PATH), ())
