"""
What can go wrong with a peer in KINK, and what it is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from isakmp.errors import PeerError, Reason
from isakmp.kink.numbers import ErrorCode, KerberosError

if TYPE_CHECKING:
    from isakmp.kink.kerberos import ISessionKey


class KINKError(PeerError):
    """Something that a KINK_ERROR payload says.  RFC 4430 section 4.2.8."""

    code: ClassVar[ErrorCode]


class ProtocolError(KINKError):
    """The message is malformed, or not what RFC 4430 lets it be."""

    code = ErrorCode.PROTOERR


class InvalidDOI(KINKError):
    """A domain of interpretation that is not enabled here, or whose SAs are not negotiated."""

    code = ErrorCode.INVDOI


class InvalidMajor(KINKError):
    """A major version that nobody here speaks."""

    code = ErrorCode.INVMAJ


class InternalError(KINKError):
    """A fault of ours; the peer learns no more than that."""

    code = ErrorCode.INTERR


class BadQuickModeVersion(KINKError):
    """The inner payloads are of another version than 1.0.  RFC 4430 section 12."""

    code = ErrorCode.BADQMVERS


class UserToUserDenied(KINKError):
    """We give no ticket-granting ticket away.  RFC 4430 section 3.1."""

    code = ErrorCode.U2UDENIED


class KerberosRefusal(PeerError):
    """
    What Kerberos says of a request or a reply.

    :param code: its error code.
    :ivar key: the session key, where the ticket could be opened all the same: then the error can be
        protected.  RFC 4430 section 4.2.3.
    :ivar skew: seconds that the server's clock is ahead of the client's, where that is known.
    """

    def __init__(
        self,
        reason: Reason | str,
        code: int,
        key: ISessionKey | None = None,
        skew: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.code = KerberosError(code)
        self.key = key
        self.skew = skew


class BadChecksum(PeerError):
    """The Cksum field is not what the session key makes of the message: it is dropped."""


class UnknownTransaction(PeerError):
    """A reply or an acknowledgement that belongs to no transaction here: it is dropped."""
