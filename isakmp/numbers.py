"""
The assigned numbers: one enumeration per table of the IANA registries.

"Internet Security Association and Key Management Protocol (ISAKMP) Identifiers" and "Internet Key
Exchange (IKE) Attributes"; RFC 2408 sections 3.1, 3.9 and 3.14.1 and appendix A, RFC 2407 section
4, RFC 2409 appendix A.  Each class names what later documents added to its table.

A number that nobody assigned is data, not an error: ``NotifyType(999)`` is a member that exists
only as long as it is held, equals 999 and can be written in a log.
"""

from __future__ import annotations

import enum
from typing import Self

LARGEST = 2**32 - 1
"""No field of any message is wider than four octets."""


class Number(enum.IntEnum):
    """
    An assigned number.

    Members equal their integers.  Compare with ``==``: every look-up of an unassigned value makes
    a new member, so that a peer who sends many of them does not fill our memory.
    """

    _value_: int
    _spelled: str

    def __new__(cls, value: int, spelled: str = "") -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member._spelled = spelled
        return member

    @classmethod
    def _missing_(cls, value: object) -> Self:
        if not isinstance(value, int) or not 0 <= value <= LARGEST:
            raise ValueError(f"{value!r} is not a {cls.__name__}")
        member = int.__new__(cls, value)
        member._name_ = f"UNKNOWN_{value}"
        member._value_ = value
        member._spelled = f"UNKNOWN-{value}"
        return member

    @staticmethod
    def _spelling(name: str) -> str:
        """How the RFC writes a member of this table, unless the member says otherwise."""
        return name.replace("_", "-")

    @property
    def spelled(self) -> str:
        """The name as the RFC writes it: ``NO-PROPOSAL-CHOSEN``."""
        return self._spelled or self._spelling(self._name_)

    @property
    def assigned(self) -> bool:
        """Whether this table has the number."""
        return self._value_ in type(self)._value2member_map_


class _Titled(Number):
    """A table whose names are written as titles: ``Quick Mode``."""

    @staticmethod
    def _spelling(name: str) -> str:
        return name.replace("_", " ").title()


class ExchangeType(_Titled):
    """
    RFC 2408 section 3.1, RFC 2409 appendix A, draft-dukes-ike-mode-cfg-02.

    32 to 239 belong to the domain of interpretation: 32 is Quick Mode under the IPsec DOI only.
    """

    NONE = 0
    BASE = 1
    IDENTITY_PROTECTION = 2
    AUTHENTICATION_ONLY = 3
    AGGRESSIVE = 4
    INFORMATIONAL = 5
    TRANSACTION = 6
    QUICK_MODE = 32
    NEW_GROUP_MODE = 33


class PayloadType(Number):
    """
    RFC 2408 section 3.1, as version 1 of the header has them.

    RFC 6407 (15 to 18, 22), RFC 3547 (19), RFC 3947 (20, 21), draft-dukes-ike-mode-cfg-02 (14),
    draft-ietf-ipsec-isakmp-gss-auth (129), draft-ietf-ipsec-nat-t-ike-00 to -03 (130, 131),
    Cisco's fragmentation (132).
    """

    NONE = 0
    SA = 1
    PROPOSAL = 2, "P"
    TRANSFORM = 3, "T"
    KE = 4
    ID = 5
    CERT = 6
    CR = 7
    HASH = 8
    SIG = 9
    NONCE = 10
    NOTIFICATION = 11, "N"
    DELETE = 12, "D"
    VENDOR_ID = 13, "VID"
    ATTRIBUTES = 14, "ATTR"
    SAK = 15
    SAT = 16
    KD = 17
    SEQ = 18
    POP = 19
    NAT_D = 20
    NAT_OA = 21
    GAP = 22
    GSS = 129
    DRAFT_NAT_D = 130, "NAT-D"
    DRAFT_NAT_OA = 131, "NAT-OA"
    FRAGMENT = 132, "FRAG"


class DOI(Number):
    """Domains of interpretation.  RFC 2408 appendix A.2, RFC 2407 section 3, RFC 6407."""

    ISAKMP = 0
    IPSEC = 1
    GDOI = 2


class ProtocolID(Number):
    """RFC 2407 section 4.4.1 (``PROTO_IPSEC_ESP`` is :attr:`ESP`), RFC 4705."""

    RESERVED = 0
    ISAKMP = 1
    AH = 2
    ESP = 3
    IPCOMP = 4
    GIGABEAM_RADIO = 5


class NotifyType(Number):
    """
    RFC 2408 section 3.14.1, RFC 2407 section 4.6.3, RFC 3706; from 30000 on, vendors' own.
    """

    INVALID_PAYLOAD_TYPE = 1
    DOI_NOT_SUPPORTED = 2
    SITUATION_NOT_SUPPORTED = 3
    INVALID_COOKIE = 4
    INVALID_MAJOR_VERSION = 5
    INVALID_MINOR_VERSION = 6
    INVALID_EXCHANGE_TYPE = 7
    INVALID_FLAGS = 8
    INVALID_MESSAGE_ID = 9
    INVALID_PROTOCOL_ID = 10
    INVALID_SPI = 11
    INVALID_TRANSFORM_ID = 12
    ATTRIBUTES_NOT_SUPPORTED = 13
    NO_PROPOSAL_CHOSEN = 14
    BAD_PROPOSAL_SYNTAX = 15
    PAYLOAD_MALFORMED = 16
    INVALID_KEY_INFORMATION = 17
    INVALID_ID_INFORMATION = 18
    INVALID_CERT_ENCODING = 19
    INVALID_CERTIFICATE = 20
    CERT_TYPE_UNSUPPORTED = 21
    INVALID_CERT_AUTHORITY = 22
    INVALID_HASH_INFORMATION = 23
    AUTHENTICATION_FAILED = 24
    INVALID_SIGNATURE = 25
    ADDRESS_NOTIFICATION = 26
    NOTIFY_SA_LIFETIME = 27
    CERTIFICATE_UNAVAILABLE = 28
    UNSUPPORTED_EXCHANGE_TYPE = 29
    UNEQUAL_PAYLOAD_LENGTHS = 30
    MS_STATUS = 12345
    CONNECTED = 16384
    RESPONDER_LIFETIME = 24576
    REPLAY_STATUS = 24577
    INITIAL_CONTACT = 24578
    HELLO = 30000
    WWTEBR = 30001
    SHUT_UP = 30002
    KEEPALIVE_REQUEST = 32768
    KEEPALIVE_ACK = 32769
    R_U_THERE = 36136
    R_U_THERE_ACK = 36137
    NHTB_INFORM = 40001
    UNITY_HEARTBEAT = 40500
    UNITY_LOAD_BALANCE = 40501
    PRESHARED_KEY_HASH = 40503

    @property
    def is_error(self) -> bool:
        """Whether it says that something failed.  RFC 2408 section 3.14.1: 1 to 16383."""
        return 0 < self._value_ < NotifyType.CONNECTED


class Phase1Attribute(_Titled):
    """
    Attribute classes of phase 1.  RFC 2409 appendix A; 16384 is of Microsoft's GSS-API method.
    """

    ENCRYPTION_ALGORITHM = 1
    HASH_ALGORITHM = 2
    AUTHENTICATION_METHOD = 3
    GROUP_DESCRIPTION = 4
    GROUP_TYPE = 5
    GROUP_PRIME = 6, "Group Prime/Irreducible Polynomial"
    GROUP_GENERATOR_ONE = 7
    GROUP_GENERATOR_TWO = 8
    GROUP_CURVE_A = 9
    GROUP_CURVE_B = 10
    LIFE_TYPE = 11
    LIFE_DURATION = 12
    PRF = 13, "PRF"
    KEY_LENGTH = 14
    FIELD_SIZE = 15
    GROUP_ORDER = 16
    BLOCK_SIZE = 17
    GSS_IDENTITY = 16384, "GSS Identity Name"


class Encryption(Number):
    """Encryption Algorithm of phase 1.  RFC 2409 appendix A, RFC 3602 (7), RFC 4312 (8)."""

    DES_CBC = 1
    IDEA_CBC = 2
    BLOWFISH_CBC = 3, "Blowfish-CBC"
    RC5_R16_B64_CBC = 4
    TRIPLE_DES_CBC = 5, "3DES-CBC"
    CAST_CBC = 6
    AES_CBC = 7
    CAMELLIA_CBC = 8, "Camellia-CBC"


class HashAlgorithm(Number):
    """Hash Algorithm of phase 1.  RFC 2409 appendix A, RFC 4868 (4 to 6)."""

    MD5 = 1
    SHA = 2
    TIGER = 3, "Tiger"
    SHA2_256 = 4
    SHA2_384 = 5
    SHA2_512 = 6


class AuthenticationMethod(Number):
    """
    Authentication Method of phase 1.

    RFC 2409 appendix A, RFC 4754 (9 to 11), draft-ietf-ipsec-isakmp-hybrid-auth-05 (64221 to
    64224), draft-beaulieu-ike-xauth-02 (65001 to 65010).  65001 is the GSS-API method's number as
    well: the vendor IDs heard decide which is meant.
    """

    PRE_SHARED_KEY = 1, "pre-shared key"
    DSS_SIGNATURES = 2, "DSS signatures"
    RSA_SIGNATURES = 3, "RSA signatures"
    RSA_ENCRYPTION = 4, "Encryption with RSA"
    REVISED_RSA_ENCRYPTION = 5, "Revised encryption with RSA"
    ELGAMAL_ENCRYPTION = 6, "Encryption with El-Gamal"
    REVISED_ELGAMAL_ENCRYPTION = 7, "Revised encryption with El-Gamal"
    ECDSA_SIGNATURES = 8, "ECDSA signatures"
    ECDSA_P256 = 9, "ECDSA with SHA-256 on the P-256 curve"
    ECDSA_P384 = 10, "ECDSA with SHA-384 on the P-384 curve"
    ECDSA_P521 = 11, "ECDSA with SHA-512 on the P-521 curve"
    HYBRID_INIT_RSA = 64221, "HybridInitRSA"
    HYBRID_RESP_RSA = 64222, "HybridRespRSA"
    HYBRID_INIT_DSS = 64223, "HybridInitDSS"
    HYBRID_RESP_DSS = 64224, "HybridRespDSS"
    XAUTH_INIT_PRE_SHARED = 65001, "XAUTHInitPreShared"
    XAUTH_RESP_PRE_SHARED = 65002, "XAUTHRespPreShared"
    XAUTH_INIT_DSS = 65003, "XAUTHInitDSS"
    XAUTH_RESP_DSS = 65004, "XAUTHRespDSS"
    XAUTH_INIT_RSA = 65005, "XAUTHInitRSA"
    XAUTH_RESP_RSA = 65006, "XAUTHRespRSA"
    XAUTH_INIT_RSA_ENCRYPTION = 65007, "XAUTHInitRSAEncryption"
    XAUTH_RESP_RSA_ENCRYPTION = 65008, "XAUTHRespRSAEncryption"
    XAUTH_INIT_RSA_REVISED_ENCRYPTION = 65009, "XAUTHInitRSARevisedEncryption"
    XAUTH_RESP_RSA_REVISED_ENCRYPTION = 65010, "XAUTHRespRSARevisedEncryption"


class Group(Number):
    """
    Group Description, in both phases.

    RFC 2409 section 6 (1 to 4), RFC 3526 (5, 14 to 18), draft-ietf-ipsec-ike-ecc-groups (6 to 13),
    RFC 5903 (19 to 21), RFC 5114 (22 to 26), RFC 6932 (27 to 30), RFC 8031 (31, 32).
    """

    MODP_768 = 1
    MODP_1024 = 2
    EC2N_155 = 3
    EC2N_185 = 4
    MODP_1536 = 5
    EC2N_163_RANDOM = 6
    EC2N_163_KOBLITZ = 7
    EC2N_283_RANDOM = 8
    EC2N_283_KOBLITZ = 9
    EC2N_409_RANDOM = 10
    EC2N_409_KOBLITZ = 11
    EC2N_571_RANDOM = 12
    EC2N_571_KOBLITZ = 13
    MODP_2048 = 14
    MODP_3072 = 15
    MODP_4096 = 16
    MODP_6144 = 17
    MODP_8192 = 18
    ECP_256 = 19
    ECP_384 = 20
    ECP_521 = 21
    MODP_1024_160 = 22
    MODP_2048_224 = 23
    MODP_2048_256 = 24
    ECP_192 = 25
    ECP_224 = 26
    BRAINPOOL_P224R1 = 27, "brainpoolP224r1"
    BRAINPOOL_P256R1 = 28, "brainpoolP256r1"
    BRAINPOOL_P384R1 = 29, "brainpoolP384r1"
    BRAINPOOL_P512R1 = 30, "brainpoolP512r1"
    CURVE25519 = 31, "Curve25519"
    CURVE448 = 32, "Curve448"


class GroupType(Number):
    """Group Type, for New Group Mode.  RFC 2409 appendix A."""

    MODP = 1
    ECP = 2
    EC2N = 3


class LifeType(Number):
    """Life Type, in both phases.  RFC 2409 appendix A, RFC 2407 section 4.5."""

    SECONDS = 1, "seconds"
    KILOBYTES = 2, "kilobytes"


class IPsecAttribute(_Titled):
    """
    Attribute classes of the IPsec DOI.

    RFC 2407 section 4.5, RFC 3168 (10), RFC 4304 (11), RFC 4359 (13), RFC 6407 (14, 15); 32001 is
    libreswan's.
    """

    SA_LIFE_TYPE = 1, "SA Life Type"
    SA_LIFE_DURATION = 2, "SA Life Duration"
    GROUP_DESCRIPTION = 3
    ENCAPSULATION_MODE = 4
    AUTHENTICATION_ALGORITHM = 5
    KEY_LENGTH = 6
    KEY_ROUNDS = 7
    COMPRESS_DICTIONARY_SIZE = 8
    COMPRESS_PRIVATE_ALGORITHM = 9
    ECN_TUNNEL = 10, "ECN Tunnel"
    EXTENDED_SEQUENCE_NUMBER = 11, "Extended (64-bit) Sequence Number"
    SIGNATURE_ENCODING_ALGORITHM = 13
    ADDRESS_PRESERVATION = 14
    SA_DIRECTION = 15, "SA Direction"
    SECURITY_CONTEXT = 32001


class Encapsulation(Number):
    """
    Encapsulation Mode.

    RFC 2407 section 4.5, RFC 3947 section 5.1; 61443 and 61444 are those of
    draft-ietf-ipsec-nat-t-ike-00 to -03.
    """

    TUNNEL = 1, "Tunnel"
    TRANSPORT = 2, "Transport"
    UDP_TUNNEL = 3, "UDP-Encapsulated-Tunnel"
    UDP_TRANSPORT = 4, "UDP-Encapsulated-Transport"
    DRAFT_UDP_TUNNEL = 61443, "UDP-Encapsulated-Tunnel (draft)"
    DRAFT_UDP_TRANSPORT = 61444, "UDP-Encapsulated-Transport (draft)"


class ECNTunnel(Number):
    """ECN Tunnel.  RFC 3168 section 9.2.1.2."""

    ALLOWED = 1, "Allowed"
    FORBIDDEN = 2, "Forbidden"


class AuthenticationAlgorithm(Number):
    """
    Authentication Algorithm of AH and ESP.

    RFC 2407 section 4.5, RFC 4868 (5 to 7), RFC 2857 (8), RFC 3566 (9), RFC 4359 (10), RFC 4543.
    """

    HMAC_MD5 = 1
    HMAC_SHA = 2
    DES_MAC = 3
    KPDK = 4
    HMAC_SHA2_256 = 5
    HMAC_SHA2_384 = 6
    HMAC_SHA2_512 = 7
    HMAC_RIPEMD = 8
    AES_XCBC_MAC = 9
    SIG_RSA = 10
    AES_128_GMAC = 11
    AES_192_GMAC = 12
    AES_256_GMAC = 13


class AHTransform(Number):
    """Transform identifiers of AH.  RFC 2407 section 4.4.3 and the documents named above."""

    MD5 = 2
    SHA = 3
    DES = 4
    SHA2_256 = 5
    SHA2_384 = 6
    SHA2_512 = 7
    RIPEMD = 8
    AES_XCBC_MAC = 9
    RSA = 10
    AES_128_GMAC = 11
    AES_192_GMAC = 12
    AES_256_GMAC = 13

    @staticmethod
    def _spelling(name: str) -> str:
        return f"AH_{name}"


class ESPTransform(Number):
    """
    Transform identifiers of ESP.

    RFC 2407 section 4.4.4, RFC 3602 (12), RFC 3686 (13), RFC 4309 (14 to 16), RFC 4106 (18 to 20),
    RFC 4196 (21), RFC 4312 (22), RFC 4543 (23).  21 and 23 mean other things in IKEv2.
    """

    DES_IV64 = 1
    DES = 2
    TRIPLE_DES = 3, "ESP_3DES"
    RC5 = 4
    IDEA = 5
    CAST = 6
    BLOWFISH = 7
    TRIPLE_IDEA = 8, "ESP_3IDEA"
    DES_IV32 = 9
    RC4 = 10
    NULL = 11
    AES_CBC = 12
    AES_CTR = 13
    AES_CCM_8 = 14
    AES_CCM_12 = 15
    AES_CCM_16 = 16
    AES_GCM_8 = 18
    AES_GCM_12 = 19
    AES_GCM_16 = 20
    SEED_CBC = 21
    CAMELLIA = 22
    NULL_AUTH_AES_GMAC = 23

    @staticmethod
    def _spelling(name: str) -> str:
        return f"ESP_{name}"


class IPCOMPTransform(Number):
    """Transform identifiers of IPCOMP.  RFC 2407 section 4.4.5, RFC 3051 (4)."""

    OUI = 1
    DEFLATE = 2
    LZS = 3
    LZJH = 4

    @staticmethod
    def _spelling(name: str) -> str:
        return f"IPCOMP_{name}"


class ISAKMPTransform(Number):
    """Transform identifiers of ISAKMP: which key exchange.  RFC 2407 section 4.4.2.1."""

    KEY_IKE = 1, "KEY_IKE"


class IdentityType(Number):
    """Identification types of the IPsec DOI.  RFC 2407 section 4.6.2.1, RFC 3554, RFC 8052."""

    IPV4_ADDR = 1
    FQDN = 2
    USER_FQDN = 3
    IPV4_ADDR_SUBNET = 4
    IPV6_ADDR = 5
    IPV6_ADDR_SUBNET = 6
    IPV4_ADDR_RANGE = 7
    IPV6_ADDR_RANGE = 8
    DER_ASN1_DN = 9
    DER_ASN1_GN = 10
    KEY_ID = 11
    LIST = 12
    OID = 13

    @staticmethod
    def _spelling(name: str) -> str:
        return f"ID_{name}"


class ISAKMPIdentityType(Number):
    """Identification types of DOI 0.  RFC 2408 appendix A.4."""

    IPV4_ADDR = 0
    IPV4_ADDR_SUBNET = 1
    IPV6_ADDR = 2
    IPV6_ADDR_SUBNET = 3

    @staticmethod
    def _spelling(name: str) -> str:
        return f"ID_{name}"


class CertificateEncoding(Number):
    """RFC 2408 section 3.9; 11 to 15 are IKEv2's, met in the wild."""

    NONE = 0
    PKCS7 = 1, "PKCS #7 wrapped X.509 certificate"
    PGP = 2, "PGP Certificate"
    DNS_SIGNED_KEY = 3, "DNS Signed Key"
    X509_SIGNATURE = 4, "X.509 Certificate - Signature"
    X509_KEY_EXCHANGE = 5, "X.509 Certificate - Key Exchange"
    KERBEROS = 6, "Kerberos Tokens"
    CRL = 7, "Certificate Revocation List (CRL)"
    ARL = 8, "Authority Revocation List (ARL)"
    SPKI = 9, "SPKI Certificate"
    X509_ATTRIBUTE = 10, "X.509 Certificate - Attribute"
    RAW_RSA_KEY = 11, "Raw RSA Key"
    HASH_AND_URL = 12, "Hash and URL of X.509 certificate"
    HASH_AND_URL_BUNDLE = 13, "Hash and URL of X.509 bundle"
    OCSP = 14, "OCSP Content"
    RAW_PUBLIC_KEY = 15, "Raw Public Key"


class ConfigurationType(Number):
    """What an Attributes payload says.  draft-dukes-ike-mode-cfg-02 section 3.2."""

    REQUEST = 1
    REPLY = 2
    SET = 3
    ACK = 4


class ConfigurationAttribute(Number):
    """
    What an Attributes payload carries.

    draft-dukes-ike-mode-cfg-02 section 3.3; draft-beaulieu-ike-xauth-02 section 7.2 (16520 to
    16529); Microsoft's servers (23456, 23457); Cisco's Unity (28672 to 28682).
    """

    INTERNAL_IP4_ADDRESS = 1
    INTERNAL_IP4_NETMASK = 2
    INTERNAL_IP4_DNS = 3
    INTERNAL_IP4_NBNS = 4
    INTERNAL_ADDRESS_EXPIRY = 5
    INTERNAL_IP4_DHCP = 6
    APPLICATION_VERSION = 7
    INTERNAL_IP6_ADDRESS = 8
    INTERNAL_IP6_NETMASK = 9
    INTERNAL_IP6_DNS = 10
    INTERNAL_IP6_NBNS = 11
    INTERNAL_IP6_DHCP = 12
    INTERNAL_IP4_SUBNET = 13
    SUPPORTED_ATTRIBUTES = 14
    INTERNAL_IP6_SUBNET = 15
    XAUTH_TYPE = 16520
    XAUTH_USER_NAME = 16521
    XAUTH_USER_PASSWORD = 16522
    XAUTH_PASSCODE = 16523
    XAUTH_MESSAGE = 16524
    XAUTH_CHALLENGE = 16525
    XAUTH_DOMAIN = 16526
    XAUTH_STATUS = 16527
    XAUTH_NEXT_PIN = 16528
    XAUTH_ANSWER = 16529
    INTERNAL_IP4_SERVER = 23456
    INTERNAL_IP6_SERVER = 23457
    UNITY_BANNER = 28672
    UNITY_SAVE_PASSWD = 28673
    UNITY_DEF_DOMAIN = 28674
    UNITY_SPLITDNS_NAME = 28675
    UNITY_SPLIT_INCLUDE = 28676
    UNITY_NATT_PORT = 28677
    UNITY_LOCAL_LAN = 28678
    UNITY_PFS = 28679
    UNITY_FW_TYPE = 28680
    UNITY_BACKUP_SERVERS = 28681
    UNITY_DDNS_HOSTNAME = 28682

    @staticmethod
    def _spelling(name: str) -> str:
        return name


class Situation(enum.IntFlag):
    """The situation's bits.  RFC 2407 section 4.2."""

    IDENTITY_ONLY = 1
    SECRECY = 2
    INTEGRITY = 4

    @classmethod
    def _missing_(cls, value: object) -> Self:
        if isinstance(value, int) and value > LARGEST:
            raise ValueError(f"{value!r} is not a {cls.__name__}")
        member: Self = super()._missing_(value)
        # enum may keep every combination it ever made, and the peer has 2**32 of them.
        for made in (value, member._value_):
            if not isinstance(made, int) or not 0 <= made <= 7:
                cls._value2member_map_.pop(made, None)
        return member
