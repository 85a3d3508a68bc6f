"""
The payloads of KINK, as values.  RFC 4430 sections 4.2.1 to 4.2.8.

Each class is the body of one payload type.  Decoding is shallow: what is Kerberos's is octets here,
and what is ISAKMP's is read when it has been proven.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Self

from isakmp.kink.numbers import QUICK_MODE_VERSION, PayloadType
from isakmp.wire import payloads as isakmp
from isakmp.wire.message import decode_chain, encode_chain
from isakmp.wire.payload import Opaque, Payload
from isakmp.wire.reader import Reader

_INNER = struct.Struct("!BBH")
_WORD = struct.Struct("!I")


@dataclass(frozen=True, slots=True, repr=False)
class _Proof(Payload):
    """
    What proves its sender, and since when it has valid SA information.

    :ivar epoch: the least significant four octets of POSIX time.
    :ivar data: as Kerberos made it.
    """

    epoch: int
    data: bytes

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        return cls(reader.u32(), reader.rest())

    def encode(self) -> bytes:
        return _word(self.epoch) + self.data

    def __repr__(self) -> str:
        return f"{type(self).__name__}(epoch={self.epoch}, {len(self.data)} octets)"


class APRequest(_Proof):
    """KINK_AP_REQ: epoch and raw AP-REQ.  RFC 4430 section 4.2.1."""

    __slots__ = ()
    number = PayloadType.AP_REQ


class APReply(_Proof):
    """KINK_AP_REP: epoch and raw AP-REP.  RFC 4430 section 4.2.2."""

    __slots__ = ()
    number = PayloadType.AP_REP


class KerberosErrorPayload(Opaque):
    """KINK_KRB_ERROR: a raw KRB-ERROR.  RFC 4430 section 4.2.3."""

    __slots__ = ()
    number = PayloadType.KRB_ERROR


class TGTRequest(Opaque):
    """
    KINK_TGT_REQ: the name of the principal whose ticket-granting ticket is wanted, as RFC 1964
    section 2.1.3 writes it.  RFC 4430 section 4.2.4.
    """

    __slots__ = ()
    number = PayloadType.TGT_REQ

    @property
    def principal(self) -> str:
        """The name in print; what is not UTF-8 is spelled out."""
        return self.data.decode("utf-8", "backslashreplace")


class TGTReply(Opaque):
    """KINK_TGT_REP: a ticket-granting ticket in DER.  RFC 4430 section 4.2.5."""

    __slots__ = ()
    number = PayloadType.TGT_REP


@dataclass(frozen=True, slots=True, repr=False)
class Operation(Payload):
    """
    KINK_ISAKMP: one operation, in Quick Mode's payloads.  RFC 4430 section 4.2.6::

         +---------------+-------+-------+---------------+---------------+
         | InnerNextPload| QMMaj | QMMin |            RESERVED           |
         +---------------+-------+-------+---------------+---------------+
         |                Quick Mode Payloads (variable)                 |
         +---------------+---------------+---------------+---------------+

    :ivar first: the type of the first inner payload.
    :ivar data: the inner payloads, not read yet.
    :ivar version: major version in the high four bits, minor in the low ones.
    """

    number: ClassVar[int] = PayloadType.ISAKMP

    first: int
    data: bytes
    version: int = QUICK_MODE_VERSION

    @classmethod
    def of(cls, payloads: Iterable[Payload]) -> Self:
        """
        From payloads of ISAKMP's.

        :raises ValueError: if one of them does not fit its fields.
        """
        payloads = tuple(payloads)
        return cls(payloads[0].number if payloads else 0, encode_chain(payloads))

    def payloads(
        self, table: Mapping[int, type[Payload]] = isakmp.PAYLOADS
    ) -> tuple[Payload, ...]:
        """
        The inner payloads.

        :raises Malformed: and nothing else.
        """
        return decode_chain(self.first, self.data, table)[0]

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        first, version = reader.u8(), reader.u8()
        reader.u16()
        return cls(first, reader.rest(), version)

    def encode(self) -> bytes:
        try:
            return _INNER.pack(self.first, self.version, 0) + self.data
        except struct.error as error:
            raise ValueError(f"a KINK_ISAKMP payload: {error}") from None

    def __repr__(self) -> str:
        return f"Operation({len(self.data)} octets)"


class Encrypted(Opaque):
    """KINK_ENCRYPT: what the session key made of other payloads.  RFC 4430 section 4.2.7."""

    __slots__ = ()
    number = PayloadType.ENCRYPT


@dataclass(frozen=True, slots=True)
class ErrorPayload(Payload):
    """
    KINK_ERROR.  RFC 4430 section 4.2.8.

    :ivar code: an :class:`isakmp.kink.numbers.ErrorCode`.
    """

    number: ClassVar[int] = PayloadType.ERROR

    code: int

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        return cls(reader.u32())

    def encode(self) -> bytes:
        return _word(self.code)


@dataclass(frozen=True, slots=True, repr=False)
class Unknown(Payload):
    """
    A payload of a type that RFC 4430 does not assign.

    :ivar number: its type.
    """

    number: int  # type: ignore[misc]
    data: bytes

    def encode(self) -> bytes:
        return self.data

    def __repr__(self) -> str:
        return f"Unknown({self.number}, {len(self.data)} octets)"


def _word(value: int) -> bytes:
    try:
        return _WORD.pack(value)
    except struct.error as error:
        raise ValueError(f"a field of four octets: {error}") from None


PAYLOADS: Mapping[int, type[Payload]] = MappingProxyType(
    {
        kind.number: kind
        for kind in (
            APRequest,
            APReply,
            KerberosErrorPayload,
            TGTRequest,
            TGTReply,
            Operation,
            Encrypted,
            ErrorPayload,
        )
    }
)
"""Which class reads which payload type."""
