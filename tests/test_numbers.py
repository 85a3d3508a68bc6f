"""
The assigned numbers.
"""

from __future__ import annotations

import copy
import pickle

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp import numbers
from isakmp.numbers import (
    DOI,
    AHTransform,
    AuthenticationAlgorithm,
    AuthenticationMethod,
    CertificateEncoding,
    ConfigurationAttribute,
    Encapsulation,
    Encryption,
    ESPTransform,
    ExchangeType,
    Group,
    HashAlgorithm,
    IdentityType,
    IPCOMPTransform,
    IPsecAttribute,
    ISAKMPTransform,
    LifeType,
    NotifyType,
    Number,
    PayloadType,
    Phase1Attribute,
    ProtocolID,
    Situation,
)

TABLES = [
    each
    for each in vars(numbers).values()
    if isinstance(each, type) and issubclass(each, Number) and len(each)
]


class AssignedTests(SynchronousTestCase):
    """Numbers that the RFCs assign."""

    def values(self, table: type[Number], **expected: int) -> None:
        for name, number in expected.items():
            self.assertEqual(table[name], number)
            self.assertEqual(table(number).name, name)

    def test_notify_types(self) -> None:
        """
        Every notify type of RFC 2408 has its number, and its name is spelled as there.

        Proves: RFC 2408 section 3.14.1
        """
        errors = [
            "INVALID-PAYLOAD-TYPE",
            "DOI-NOT-SUPPORTED",
            "SITUATION-NOT-SUPPORTED",
            "INVALID-COOKIE",
            "INVALID-MAJOR-VERSION",
            "INVALID-MINOR-VERSION",
            "INVALID-EXCHANGE-TYPE",
            "INVALID-FLAGS",
            "INVALID-MESSAGE-ID",
            "INVALID-PROTOCOL-ID",
            "INVALID-SPI",
            "INVALID-TRANSFORM-ID",
            "ATTRIBUTES-NOT-SUPPORTED",
            "NO-PROPOSAL-CHOSEN",
            "BAD-PROPOSAL-SYNTAX",
            "PAYLOAD-MALFORMED",
            "INVALID-KEY-INFORMATION",
            "INVALID-ID-INFORMATION",
            "INVALID-CERT-ENCODING",
            "INVALID-CERTIFICATE",
            "CERT-TYPE-UNSUPPORTED",
            "INVALID-CERT-AUTHORITY",
            "INVALID-HASH-INFORMATION",
            "AUTHENTICATION-FAILED",
            "INVALID-SIGNATURE",
            "ADDRESS-NOTIFICATION",
            "NOTIFY-SA-LIFETIME",
            "CERTIFICATE-UNAVAILABLE",
            "UNSUPPORTED-EXCHANGE-TYPE",
            "UNEQUAL-PAYLOAD-LENGTHS",
        ]
        self.assertEqual([NotifyType(n).spelled for n in range(1, 31)], errors)
        self.assertEqual(NotifyType.CONNECTED, 16384)

    def test_errors_and_status(self) -> None:
        """
        1 to 16383 say that something failed, the rest tell how things stand; also unassigned ones.

        Proves: RFC 2408 section 3.14.1
        """
        for number in (1, 30, 31, 8191, 8192, 12345, 16383):
            self.assertTrue(NotifyType(number).is_error, number)
        for number in (0, 16384, 24578, 36136, 40503, 65535):
            self.assertFalse(NotifyType(number).is_error, number)

    def test_status_of_the_ipsec_doi(self) -> None:
        """
        RESPONDER-LIFETIME, REPLAY-STATUS and INITIAL-CONTACT have their numbers.

        Proves: RFC 2407 section 4.6.3
        """
        self.values(
            NotifyType, RESPONDER_LIFETIME=24576, REPLAY_STATUS=24577, INITIAL_CONTACT=24578
        )
        self.values(NotifyType, R_U_THERE=36136, R_U_THERE_ACK=36137)
        self.assertEqual(NotifyType.R_U_THERE_ACK.spelled, "R-U-THERE-ACK")

    def test_exchange_types(self) -> None:
        """
        The five exchanges have their numbers, and are called what the RFC calls them.

        Proves: RFC 2408 section 3.1
        """
        self.assertEqual(
            [ExchangeType(number).spelled for number in range(1, 6)],
            ["Base", "Identity Protection", "Authentication Only", "Aggressive", "Informational"],
        )
        self.assertEqual(ExchangeType(32).spelled, "Quick Mode")
        self.assertEqual(ExchangeType(33).spelled, "New Group Mode")
        self.assertEqual(ExchangeType(6).spelled, "Transaction")

    def test_payload_types(self) -> None:
        """
        Payload types have their numbers.

        Proves: RFC 2408 section 3.1
        """
        self.assertEqual(
            [PayloadType(number).spelled for number in range(14)],
            [
                "NONE",
                "SA",
                "P",
                "T",
                "KE",
                "ID",
                "CERT",
                "CR",
                "HASH",
                "SIG",
                "NONCE",
                "N",
                "D",
                "VID",
            ],
        )
        self.values(PayloadType, NAT_D=20, NAT_OA=21, DRAFT_NAT_D=130, DRAFT_NAT_OA=131)
        self.values(PayloadType, ATTRIBUTES=14, FRAGMENT=132, SAK=15, GAP=22)

    def test_phase_1(self) -> None:
        """
        IKE's attributes and their values have their numbers.

        Proves: RFC 2409 appendix A
        """
        self.assertEqual(
            [attribute.name for attribute in Phase1Attribute if attribute <= 16],
            [
                "ENCRYPTION_ALGORITHM",
                "HASH_ALGORITHM",
                "AUTHENTICATION_METHOD",
                "GROUP_DESCRIPTION",
                "GROUP_TYPE",
                "GROUP_PRIME",
                "GROUP_GENERATOR_ONE",
                "GROUP_GENERATOR_TWO",
                "GROUP_CURVE_A",
                "GROUP_CURVE_B",
                "LIFE_TYPE",
                "LIFE_DURATION",
                "PRF",
                "KEY_LENGTH",
                "FIELD_SIZE",
                "GROUP_ORDER",
            ],
        )
        self.values(Encryption, DES_CBC=1, TRIPLE_DES_CBC=5, CAST_CBC=6, AES_CBC=7)
        self.values(HashAlgorithm, MD5=1, SHA=2, TIGER=3, SHA2_256=4, SHA2_384=5, SHA2_512=6)
        self.values(
            AuthenticationMethod,
            PRE_SHARED_KEY=1,
            DSS_SIGNATURES=2,
            RSA_SIGNATURES=3,
            RSA_ENCRYPTION=4,
            REVISED_RSA_ENCRYPTION=5,
            ECDSA_P256=9,
            ECDSA_P384=10,
            ECDSA_P521=11,
            HYBRID_INIT_RSA=64221,
            XAUTH_INIT_PRE_SHARED=65001,
        )
        self.values(Group, MODP_768=1, MODP_1024=2, EC2N_155=3, EC2N_185=4)
        self.values(LifeType, SECONDS=1, KILOBYTES=2)

    def test_later_groups(self) -> None:
        """
        The groups of later documents have their numbers.

        Proves: RFC 3526 section 8
        Proves: RFC 5903 section 5
        Proves: RFC 5114 section 3.1
        """
        self.values(
            Group,
            MODP_1536=5,
            MODP_2048=14,
            MODP_3072=15,
            MODP_4096=16,
            MODP_6144=17,
            MODP_8192=18,
            ECP_256=19,
            ECP_384=20,
            ECP_521=21,
            MODP_1024_160=22,
            MODP_2048_224=23,
            MODP_2048_256=24,
            ECP_192=25,
            ECP_224=26,
            BRAINPOOL_P224R1=27,
            BRAINPOOL_P256R1=28,
            BRAINPOOL_P384R1=29,
            BRAINPOOL_P512R1=30,
            CURVE25519=31,
            CURVE448=32,
        )

    def test_phase_2(self) -> None:
        """
        The IPsec DOI's attributes, protocols and transforms have their numbers.

        Proves: RFC 2407 section 4.4.1
        Proves: RFC 2407 section 4.4.2
        Proves: RFC 2407 section 4.4.3
        Proves: RFC 2407 section 4.4.4
        Proves: RFC 2407 section 4.4.5
        Proves: RFC 2407 section 4.5
        Proves: RFC 2408 appendix A.3 (row A.3-1)
        """
        self.values(ProtocolID, ISAKMP=1, AH=2, ESP=3, IPCOMP=4)
        self.values(
            IPsecAttribute,
            SA_LIFE_TYPE=1,
            SA_LIFE_DURATION=2,
            GROUP_DESCRIPTION=3,
            ENCAPSULATION_MODE=4,
            AUTHENTICATION_ALGORITHM=5,
            KEY_LENGTH=6,
            KEY_ROUNDS=7,
            COMPRESS_DICTIONARY_SIZE=8,
            COMPRESS_PRIVATE_ALGORITHM=9,
            EXTENDED_SEQUENCE_NUMBER=11,
        )
        self.values(Encapsulation, TUNNEL=1, TRANSPORT=2, UDP_TUNNEL=3, UDP_TRANSPORT=4)
        self.values(Encapsulation, DRAFT_UDP_TUNNEL=61443, DRAFT_UDP_TRANSPORT=61444)
        self.values(AuthenticationAlgorithm, HMAC_MD5=1, HMAC_SHA=2, DES_MAC=3, KPDK=4)
        self.values(AuthenticationAlgorithm, HMAC_SHA2_256=5, HMAC_SHA2_512=7, AES_XCBC_MAC=9)
        self.values(AHTransform, MD5=2, SHA=3, DES=4, SHA2_256=5, AES_256_GMAC=13)
        self.values(ESPTransform, DES_IV64=1, DES=2, TRIPLE_DES=3, NULL=11, AES_CBC=12)
        self.values(ESPTransform, AES_CCM_16=16, AES_GCM_16=20, NULL_AUTH_AES_GMAC=23)
        self.values(IPCOMPTransform, OUI=1, DEFLATE=2, LZS=3)
        self.values(ISAKMPTransform, KEY_IKE=1)
        self.assertEqual(ESPTransform.TRIPLE_DES.spelled, "ESP_3DES")
        self.assertEqual(ESPTransform.AES_CBC.spelled, "ESP_AES_CBC")

    def test_identities_and_situations(self) -> None:
        """
        Identification types and the situation's bits have their numbers.

        Proves: RFC 2407 section 4.6.2.1
        Proves: RFC 2407 section 4.2
        """
        self.assertEqual(
            [IdentityType(number).spelled for number in range(1, 12)],
            [
                "ID_IPV4_ADDR",
                "ID_FQDN",
                "ID_USER_FQDN",
                "ID_IPV4_ADDR_SUBNET",
                "ID_IPV6_ADDR",
                "ID_IPV6_ADDR_SUBNET",
                "ID_IPV4_ADDR_RANGE",
                "ID_IPV6_ADDR_RANGE",
                "ID_DER_ASN1_DN",
                "ID_DER_ASN1_GN",
                "ID_KEY_ID",
            ],
        )
        self.assertEqual(
            (Situation.IDENTITY_ONLY, Situation.SECRECY, Situation.INTEGRITY), (1, 2, 4)
        )
        self.assertEqual((DOI.ISAKMP, DOI.IPSEC, DOI.GDOI), (0, 1, 2))

    def test_certificate_encodings(self) -> None:
        """
        Certificate encodings have their numbers.

        Proves: RFC 2408 section 3.9
        """
        self.values(CertificateEncoding, PKCS7=1, PGP=2, X509_SIGNATURE=4, X509_KEY_EXCHANGE=5)
        self.values(CertificateEncoding, CRL=7, ARL=8, SPKI=9, X509_ATTRIBUTE=10)

    def test_configuration(self) -> None:
        """Mode config's and XAUTH's attributes have their numbers."""
        self.values(ConfigurationAttribute, INTERNAL_IP4_ADDRESS=1, INTERNAL_IP6_SUBNET=15)
        self.values(ConfigurationAttribute, XAUTH_TYPE=16520, XAUTH_ANSWER=16529)

    def test_nothing_twice(self) -> None:
        """No two members of a table have one number: a slip would hide one of them."""
        self.assertGreater(len(TABLES), 20)
        for table in TABLES:
            self.assertEqual(len(table.__members__), len(list(table)), table)
            self.assertTrue(all(member.spelled for member in table), table)


class UnassignedTests(SynchronousTestCase):
    """Numbers that nobody assigned."""

    def test_is_data(self) -> None:
        """What nobody assigned can be compared, hashed, written down, copied and sent on."""
        unknown = NotifyType(999)
        self.assertIsInstance(unknown, NotifyType)
        self.assertEqual(unknown, 999)
        self.assertEqual(unknown, NotifyType(999))
        self.assertEqual(hash(unknown), hash(999))
        self.assertEqual(unknown.name, "UNKNOWN_999")
        self.assertEqual(unknown.spelled, "UNKNOWN-999")
        self.assertEqual(f"{unknown}", "999")
        self.assertIn("UNKNOWN_999", repr(unknown))
        self.assertEqual(pickle.loads(pickle.dumps(unknown)), 999)  # noqa: S301
        self.assertEqual(copy.deepcopy(unknown), 999)
        self.assertEqual({unknown: 1}[NotifyType(999)], 1)
        self.assertFalse(unknown.assigned)
        self.assertTrue(NotifyType.CONNECTED.assigned)

    def test_is_not_kept(self) -> None:
        """A peer who sends every number there is does not fill our memory."""
        for table in TABLES:
            before = len(table._value2member_map_)
            for number in range(3000, 4000):
                self.assertEqual(table(number), number)
            self.assertEqual(len(table._value2member_map_), before)
            self.assertEqual(len(list(table)), len(table.__members__))

    def test_situation_is_not_kept(self) -> None:
        """All bits set, and every mixture of unknown ones, are situations and are not kept."""
        for value in range(8):
            Situation(value)
        before = len(Situation._value2member_map_)
        for value in (*range(8, 1000), 0xFFFFFFFF):
            self.assertEqual(Situation(value), value)
            self.assertEqual(~Situation(value) & 7, ~value & 7)
        self.assertEqual(len(Situation._value2member_map_), before)
        self.assertTrue(Situation(0xFFFFFFFF) & Situation.SECRECY)

    def test_what_no_field_holds(self) -> None:
        """Nothing that no field of a message could hold becomes a number."""
        for table in TABLES:
            for value in (-1, 2**32, 2**64):
                self.assertRaises(ValueError, table, value)
            self.assertRaises(ValueError, table, "NO_PROPOSAL_CHOSEN")
            self.assertRaises(ValueError, table, 1.5)
        self.assertRaises(ValueError, Situation, 2**32)
        self.assertRaises(ValueError, Situation, "SECRECY")

    @given(st.integers(0, 2**32 - 1), st.sampled_from(TABLES))
    def test_every_number_has_a_name(self, number: int, table: type[Number]) -> None:
        """Whatever a peer sends can be named in a log."""
        member = table(number)
        self.assertEqual(member, number)
        self.assertTrue(member.spelled.isprintable())
        self.assertEqual(member.assigned, member in list(table))
