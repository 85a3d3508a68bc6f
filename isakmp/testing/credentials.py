"""
Certificates and signatures for tests, until a key exchange has them.

RFC 2408 sections 5.9 to 5.13 say what becomes of a bad Certificate, Certificate Request, Hash,
Signature or Nonce payload.  :data:`credentials_exchange` is an exchange type that carries any of
them, one message each way, under an ISAKMP SA; its method checks them by rules that need no public
key and raises what those sections ask for.  It is of private use (240), and tests alone enable it:
:func:`with_exchange_types`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import cast

from twisted.plugin import IPlugin
from zope.interface import implementer

from isakmp.associations import Lifetime, ProtectionSuite
from isakmp.connections import Candidates, Connection
from isakmp.errors import (
    CertificateTypeUnsupported,
    CertificateUnavailable,
    InvalidCertificate,
    InvalidCertificateAuthority,
    InvalidCertificateEncoding,
    InvalidHash,
    InvalidHashValue,
    InvalidNonce,
    InvalidSignature,
    InvalidSignatureValue,
    Reason,
)
from isakmp.interfaces import (
    IExchange,
    IExchangeType,
    IISAKMPKeyExchange,
    IKeyExchangeMethod,
    IManagementSA,
    IMessageProtection,
    Sealed,
)
from isakmp.numbers import CertificateEncoding
from isakmp.parts import Part
from isakmp.wire.message import Message
from isakmp.wire.payloads import (
    PAYLOADS,
    Certificate,
    CertificateRequest,
    Hash,
    Nonce,
    Payload,
    Signature,
)

CREDENTIALS = Part("CREDENTIALS")

NUMBER = 240
"""Of the exchange type: the first for private use.  RFC 2408 section 3.1."""

AUTHORITY = bytes.fromhex("300b3109300706035504030c00")
"""The one authority of which there is a certificate: a name in DER, its common name empty."""

_ENCODINGS = range(CertificateEncoding.PKCS7, CertificateEncoding.X509_ATTRIBUTE + 1)
_SIGNED_BY = b"signature"
_HASHED_BY = b"hash"
_NONCES = range(8, 257)


@implementer(IExchangeType)
class CredentialsExchange:
    """
    ::

        Initiator                 Responder
        HDR*; CREDENTIALS  -->
                           <--    HDR*; CREDENTIALS
    """

    number = NUMBER
    name = "Credentials"
    payloads: Mapping[int, type[Payload]] = PAYLOADS
    sealed = Sealed.REQUIRED
    one_way = False
    establishes = False
    waits_for_cookie = False

    def hashed(self, sa: IManagementSA, message_id: bytes, nonces: bytes, rest: bytes) -> bytes:
        """As HASH(1) and HASH(2) of RFC 2409 section 5.5."""
        return sa.authenticate(message_id + nonces + rest)

    def method(self, exchange: IExchange, order: object) -> IKeyExchangeMethod:
        """
        :param order: the payloads to send, as initiator.
        """
        return CredentialsMethod(exchange, cast("Sequence[Payload]", order or ()))

    async def run(self, exchange: IExchange) -> object:
        """Both messages."""
        await exchange.initiator(CREDENTIALS)
        await exchange.responder(CREDENTIALS)
        return await exchange.method.established()


@implementer(IKeyExchangeMethod)
class CredentialsMethod:
    """
    Says what was ordered, and as responder a nonce; hears anything, and checks it.
    """

    connection: Connection | None = None

    def __init__(self, exchange: IExchange, order: Sequence[Payload]) -> None:
        self.exchange = exchange
        self._order = tuple(order)
        self._heard: tuple[Payload, ...] = ()

    def expects(self, parts: frozenset[Part]) -> Sequence[type[Payload]]:
        """Nothing in particular."""
        return ()

    async def say(self, parts: frozenset[Part], riding: Sequence[Payload]) -> Sequence[Payload]:
        """What was ordered."""
        return [*(self._order or (Nonce(self.exchange.node.entropy(32)),)), *riding]

    async def hear(self, parts: frozenset[Part], message: Message) -> Message:
        """
        Check each payload by itself.

        :raises PeerError: of RFC 2408 sections 5.9 to 5.13.
        """
        assert self.exchange.sa is not None
        for payload in message.payloads:
            if isinstance(payload, Certificate):
                check_certificate(payload)
            elif isinstance(payload, CertificateRequest):
                check_request(payload)
            elif isinstance(payload, Hash):
                check_hash(self.exchange.sa, payload)
            elif isinstance(payload, Signature):
                check_signature(self.exchange.sa, payload)
            elif isinstance(payload, Nonce):
                check_nonce(payload)
        self._heard = message.payloads
        return message

    async def protection(self) -> IMessageProtection:
        """Never asked: sealed from birth."""
        raise RuntimeError("this exchange derives no keys")

    async def established(self) -> object:
        """What was heard."""
        return self._heard


def check_certificate(payload: Certificate) -> None:
    """
    Section 5.9; a certificate is anything that is one SEQUENCE in DER.

    :raises InvalidCertificateEncoding: if its encoding is no number of one.
    :raises InvalidCertificate: if it is not that.
    """
    _check_encoding(payload.encoding)
    if not _is_sequence(payload.data):
        raise InvalidCertificate(Reason("certificate data", f"{len(payload.data)} octets"))


def check_request(payload: CertificateRequest) -> None:
    """
    Section 5.10; there is one certificate here, X.509 for signatures, of :data:`AUTHORITY`.

    :raises InvalidCertificateEncoding: if its encoding is no number of one.
    :raises CertificateTypeUnsupported: if it is another.
    :raises InvalidCertificateAuthority: if the authority is not one SEQUENCE in DER.
    :raises CertificateUnavailable: if it is another.
    """
    _check_encoding(payload.encoding)
    if payload.encoding != CertificateEncoding.X509_SIGNATURE:
        raise CertificateTypeUnsupported(
            Reason(
                "certificate encoding",
                CertificateEncoding(payload.encoding).spelled,
                CertificateEncoding.X509_SIGNATURE.spelled,
            )
        )
    if payload.data and not _is_sequence(payload.data):
        raise InvalidCertificateAuthority(Reason("authority", f"{len(payload.data)} octets"))
    if payload.data not in (b"", AUTHORITY):
        raise CertificateUnavailable(Reason("no certificate of this authority"))


def hash_of(sa: IManagementSA) -> Hash:
    """The HASH payload that :func:`check_hash` takes."""
    return Hash(sa.authenticate(_HASHED_BY))


def signature_of(sa: IManagementSA) -> Signature:
    """
    The Signature payload that :func:`check_signature` takes.

    Made with the keys of the SA, so that it needs no others: it proves no identity.
    """
    return Signature(sa.authenticate(_SIGNED_BY))


def check_hash(sa: IManagementSA, payload: Hash) -> None:
    """
    Section 5.11.

    :raises InvalidHash: if it has not the length of the agreed function.
    :raises InvalidHashValue: if it is another.
    """
    expected = hash_of(sa).data
    if len(payload.data) != len(expected):
        raise InvalidHash(Reason("length of a HASH", f"{len(payload.data)}", f"{len(expected)}"))
    if not hmac.compare_digest(payload.data, expected):
        raise InvalidHashValue(Reason("a HASH proves nothing"))


def check_signature(sa: IManagementSA, payload: Signature) -> None:
    """
    Section 5.12.

    :raises InvalidSignature: if it has not the length of the agreed function.
    :raises InvalidSignatureValue: if it is another.
    """
    expected = signature_of(sa).data
    if len(payload.data) != len(expected):
        raise InvalidSignature(
            Reason("length of a SIG", f"{len(payload.data)}", f"{len(expected)}")
        )
    if not hmac.compare_digest(payload.data, expected):
        raise InvalidSignatureValue(Reason("a SIG proves nothing"))


def check_nonce(payload: Nonce) -> None:
    """
    Section 5.13, which leaves it to the exchange: here 8 to 256 octets.

    :raises InvalidNonce: otherwise.
    """
    if len(payload.data) not in _NONCES:
        raise InvalidNonce(Reason("length of a nonce", f"{len(payload.data)}", "8 to 256"))


def _check_encoding(encoding: int) -> None:
    if encoding not in _ENCODINGS:
        raise InvalidCertificateEncoding(Reason("certificate encoding", str(encoding)))


def _is_sequence(data: bytes) -> bool:
    """Whether this is one SEQUENCE in DER, whatever is in it."""
    if len(data) < 2 or data[0] != 0x30:
        return False
    size, start = data[1], 2
    if size >= 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start])
    return start + size == len(data)


credentials_exchange: IExchangeType = CredentialsExchange()
"""The exchange type."""


@implementer(IPlugin, IISAKMPKeyExchange)
class _Extended:
    """A key exchange with more exchange types than it has."""

    def __init__(self, key_exchange: IISAKMPKeyExchange, types: Sequence[IExchangeType]) -> None:
        self._key_exchange = key_exchange
        self.name: str = key_exchange.name
        self.transform_id: int = key_exchange.transform_id
        self.exchange_types: Sequence[IExchangeType] = (*key_exchange.exchange_types, *types)
        self.offers: frozenset[int] = key_exchange.offers

    def method(self, exchange: IExchange, candidates: Candidates[Connection]) -> IKeyExchangeMethod:
        """The key exchange's."""
        return self._key_exchange.method(exchange, candidates)

    def suite(self, spelling: str, lifetime: Lifetime) -> ProtectionSuite:
        """The key exchange's."""
        return self._key_exchange.suite(spelling, lifetime)

    def spell(self, suite: ProtectionSuite) -> str:
        """The key exchange's."""
        return self._key_exchange.spell(suite)


def with_exchange_types(
    key_exchange: IISAKMPKeyExchange, *types: IExchangeType
) -> IISAKMPKeyExchange:
    """
    A key exchange that runs more exchange types under its SAs.

    :param types: for instance :data:`credentials_exchange`.
    """
    return _Extended(key_exchange, types)
