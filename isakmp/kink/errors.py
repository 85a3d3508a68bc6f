"""
What can go wrong with a peer in KINK, and what it is told.
"""

from __future__ import annotations

from typing import ClassVar

from isakmp.errors import PeerError
from isakmp.kink.numbers import ErrorCode


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


class BadChecksum(PeerError):
    """The Cksum field is not what the session key makes of the message: it is dropped."""


class UnknownTransaction(PeerError):
    """A reply or an acknowledgement that belongs to no transaction here: it is dropped."""
