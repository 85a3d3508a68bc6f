"""
How IKE seals messages: the cipher's chain of initialization vectors, and in phase 2 the HASH that
leads every message.  RFC 2409 sections 5.5 to 5.7 and appendix B.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Protocol, Self, cast

from zope.interface import implementer

from isakmp.crypto.ciphers import BlockCipher
from isakmp.crypto.keys import phase2_iv
from isakmp.crypto.prf import Prf
from isakmp.departures import NONE
from isakmp.errors import InvalidHash, InvalidHashValue, Malformed, Reason, Unreadable
from isakmp.interfaces import (
    IExchangeType,
    IManagementSA,
    IMessageProtection,
    INoticeProtection,
)
from isakmp.wire.message import Flags, Header, Message, chained, decode_chain, encode_chain
from isakmp.wire.payloads import PAYLOADS, Hash, Nonce, Payload

_ENCRYPTION = int(Flags.ENCRYPTION)
_AUTHENTICATION_ONLY = int(Flags.AUTHENTICATION_ONLY)


class Authenticating(Protocol):
    """What has SKEYID_a: an ISAKMP SA, or the keys that will be its."""

    def authenticate(self, octets: bytes) -> bytes:
        """prf(SKEYID_a, octets)."""


class _Phase1Keys(Authenticating, Protocol):
    @property
    def prf(self) -> Prf:
        """The negotiated one."""


@implementer(IMessageProtection, INoticeProtection)
class Phase1Protection:
    """
    Encryption alone: what phase 1 says proves itself.

    :ivar iv: for the next message, in either direction: the last block of the one before.
    :param remedy: what to tell an administrator if nothing can be read.
    :param keys: what proves notices about this phase 1.
    """

    def __init__(
        self,
        cipher: BlockCipher,
        iv: bytes,
        remedy: str = "",
        keys: _Phase1Keys | None = None,
    ) -> None:
        self._cipher = cipher
        self._remedy = remedy
        self._keys = keys
        self.iv = iv

    def __copy__(self) -> Self:
        # Every message is unsealed on a copy: the general way takes ten times as long.
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def seal(self, message: Message) -> bytes:
        """The whole datagram; the chain goes on from it."""
        return self._seal(message, encode_chain(message.payloads))

    def unseal(self, data: bytes) -> Message:
        """
        The message in clear.

        :raises Unreadable: if what the keys make of it is not a chain of payloads, padded to whole
            blocks.
        """
        header = Header.decode(data)
        payloads, _, departures = self._open(header, data)
        self.iv = data[-self._cipher.block :]
        return _message(header, payloads, departures)

    def for_notice(self, kind: IExchangeType, message_id: int) -> IMessageProtection:
        """
        As under the SA that is to be: the first initialization vector comes from the last block of
        phase 1 so far (RFC 2409 appendix B), and a HASH(1) leads the message (section 5.7).
        """
        if self._keys is None:
            raise RuntimeError("only phase 1 has no SA yet to send notices under")
        iv = phase2_iv(self._keys.prf.hash, self.iv, message_id, self._cipher.block)
        return Phase2Protection(self._cipher, iv, self._keys, kind, message_id)

    def _seal(self, message: Message, chain: bytes) -> bytes:
        padded = chain + bytes(-len(chain) % self._cipher.block)
        sealed = self._cipher.encrypt(self.iv, padded)
        self.iv = sealed[-self._cipher.block :]
        header = Header(
            message.cookies,
            message.payloads[0].number,
            message.version,
            message.exchange_type,
            message.flags | _ENCRYPTION,
            message.message_id,
            Header.SIZE + len(sealed),
        )
        return header.encode() + sealed

    def _open(
        self, header: Header, data: bytes, table: Mapping[int, type[Payload]] = PAYLOADS
    ) -> tuple[tuple[Payload, ...], bytes, set[str]]:
        """The payloads, their octets without the padding, and in what they depart."""
        departures: set[str] = set()
        try:
            clear = self._cipher.decrypt(self.iv, data[Header.SIZE :])
            payloads, length = decode_chain(
                header.first, clear, table, padded=True, departures=departures
            )
            if len(clear) - length > self._cipher.block:
                # No HASH covers it.  Some peers pad what needs no padding, but by one block.
                raise Malformed(Reason("more padding than a block of the cipher"))
        except Malformed as error:
            raise Unreadable(
                Reason(
                    "a sealed message cannot be read with the agreed keys",
                    error.reason.rule,
                    remedy=self._remedy,
                )
            ) from None
        return payloads, clear[:length], departures


class Phase2Protection(Phase1Protection):
    """
    Encryption and proof: every message is led by a HASH over all that follows it.

    HASH(1), HASH(2) and HASH(3) are one rule, the exchange type's ``hashed``: prf(SKEYID_a, M-ID |
    nonces of the exchange's earlier messages | everything after the HASH payload).

    A message with the flag Authentication Only (RFC 2408 section 3.1) has the HASH, in clear text;
    RFC 2409 does not speak of it.
    """

    def __init__(
        self,
        cipher: BlockCipher,
        iv: bytes,
        sa: Authenticating,
        kind: IExchangeType,
        message_id: int,
    ) -> None:
        super().__init__(cipher, iv)
        self._sa = sa
        self._kind = kind
        self._message_id = message_id.to_bytes(4, "big")
        self._nonces = b""

    def seal(self, message: Message) -> bytes:
        """The whole datagram, its HASH in front."""
        rest = encode_chain(message.payloads)
        proof = Hash(self._hash(rest))
        first = message.payloads[0].number if message.payloads else 0
        sealed = message.with_payloads((proof, *message.payloads))
        chain = chained(proof, first) + rest
        if message.flags & _AUTHENTICATION_ONLY:
            octets = sealed.header(Header.SIZE + len(chain)).encode() + chain
        else:
            octets = self._seal(sealed, chain)
        self._remember(message.payloads)
        return octets

    def unseal(self, data: bytes) -> Message:
        """
        The message in clear, without its HASH.

        :raises Unreadable: if it is no chain of payloads; in clear text :class:`Malformed`.
        :raises InvalidHash: if it has no HASH in front, or one of another length.
        :raises InvalidHashValue: if it has a wrong one.
        """
        header = Header.decode(data)
        sealed = header.flags & _ENCRYPTION
        if sealed:
            payloads, chain, departures = self._open(header, data, self._kind.payloads)
        else:
            payloads, chain, departures = self._read(header, data)
        if not payloads or not isinstance(payloads[0], Hash):
            raise InvalidHash(Reason("a message under an SA begins with a HASH payload"))
        proof = payloads[0].data
        rest = chain[4 + len(proof) :]
        expected = self._hash(rest)
        if len(proof) != len(expected):
            raise InvalidHash(Reason("a HASH of another function than the agreed one"))
        if not hmac.compare_digest(proof, expected):
            raise InvalidHashValue(Reason("the HASH does not prove the message"))
        if sealed:
            self.iv = data[-self._cipher.block :]
        self._remember(payloads[1:])
        return _message(header, payloads[1:], departures)

    def for_notice(self, kind: IExchangeType, message_id: int) -> IMessageProtection:
        """What seals one more message of this exchange that is a notice: led by a HASH(1)."""
        sa = cast(IManagementSA, self._sa)
        return Phase2Protection(self._cipher, self.iv, sa, kind, message_id)

    def _read(
        self, header: Header, data: bytes
    ) -> tuple[tuple[Payload, ...], bytes, set[str]]:
        """As :meth:`_open`, of what is not encrypted."""
        departures: set[str] = set()
        chain = data[Header.SIZE :]
        payloads, length = decode_chain(
            header.first, chain, self._kind.payloads, departures=departures
        )
        return payloads, chain[:length], departures

    def _hash(self, rest: bytes) -> bytes:
        # Of the SA a HASH asks nothing but to authenticate: what is to become one can do that.
        sa = cast(IManagementSA, self._sa)
        return self._kind.hashed(sa, self._message_id, self._nonces, rest)

    def _remember(self, payloads: tuple[Payload, ...]) -> None:
        for payload in payloads:
            if isinstance(payload, Nonce):
                self._nonces += payload.data


def _message(header: Header, payloads: tuple[Payload, ...], departures: set[str]) -> Message:
    return Message(
        header.cookies,
        header.exchange_type,
        header.flags,
        header.message_id,
        payloads,
        header.version,
        departures or NONE,
    )
