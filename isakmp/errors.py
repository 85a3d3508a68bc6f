"""
What can go wrong with a peer, what it is told, and why: the data of an explained refusal.

A :class:`PeerError` is raised where the datum is read.  The raiser knows the rule, what was offered
and what is configured here; the exchange adds the arrow; whoever reports it adds peer and
connection.  Each subclass is one kind of blame and carries the one notification that belongs to it
(RFC 2408 sections 5 and 3.14.1).  The text of an error never goes on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from isakmp.numbers import NotifyType
from isakmp.parts import Arrow


@dataclass(frozen=True, slots=True)
class Rejection:
    """
    One connection, child or proposal that was considered, and the fact at which it fell.
    """

    name: str
    rule: str
    offered: str
    configured: str

    def __str__(self) -> str:
        return f"{self.name}: {self.rule} (offered {self.offered}; configured {self.configured})"


@dataclass(frozen=True, slots=True)
class Reason:
    """
    Why something was refused: data for the log, the event and the control client.

    :ivar rule: what was checked, in a few words.
    :ivar offered: what the peer said.
    :ivar configured: what this end would have taken.
    :ivar remedy: what would help.
    :ivar matching: what would have matched, where this end can know it; the remedy has it in words.
    :ivar rejected: everything that was considered before, and why each fell.
    :ivar arrow: the message at which it happened, if it happened at one.
    """

    rule: str
    offered: str = ""
    configured: str = ""
    remedy: str = ""
    rejected: tuple[Rejection, ...] = ()
    arrow: Arrow | None = None
    matching: str = ""

    def __str__(self) -> str:
        """The one sentence that the log, the tools and the events share."""
        sentence = self.rule
        details = [
            f"{label} {value}"
            for label, value in (("offered:", self.offered), ("configured:", self.configured))
            if value
        ]
        if details:
            sentence += f" ({'; '.join(details)})"
        if self.arrow is not None:
            sentence += f", at {self.arrow}"
        if self.rejected:
            sentence += f"; considered: {'; '.join(map(str, self.rejected))}"
        if self.remedy:
            sentence += f". {self.remedy}"
        return sentence


class ConfigurationError(Exception):
    """What is configured cannot be done; said before anything is sent."""


class PeerError(Exception):
    """
    The peer sent, or did, something that cannot be accepted.

    :param reason: why; a plain string becomes a :class:`Reason` with that rule.
    """

    event: ClassVar[str] = ""
    """The rule that was broken, by the name that RFC 2408 section 5 has for the event of it."""

    notify: ClassVar[NotifyType | None] = None
    """The notification of this blame (RFC 2408 section 3.14.1); None: none is ever sent."""

    def __init__(self, reason: Reason | str) -> None:
        self.reason = Reason(reason) if isinstance(reason, str) else reason
        self.reported = False
        super().__init__(self.reason)

    def at(self, arrow: Arrow) -> PeerError:
        """This error, knowing at which message it happened; the first to say so wins."""
        if self.reason.arrow is None:
            self.reason = replace(self.reason, arrow=arrow)
            self.args = (self.reason,)
        return self

    def __str__(self) -> str:
        return str(self.reason)


class Malformed(PeerError):
    """The octets are not a message: all that the codec ever raises."""

    event = "PAYLOAD MALFORMED"
    notify = NotifyType.PAYLOAD_MALFORMED


class Unreadable(PeerError):
    """A sealed message that the agreed keys do not open; malformed, to RFC 2408 section 5.1."""

    event = "PAYLOAD MALFORMED"
    notify = NotifyType.PAYLOAD_MALFORMED


class NotAccepted(Unreadable):
    """The peer did not take our first sealed message, which is all that can be known of it."""


class UnequalPayloadLengths(Malformed):
    """The header's length and the datagram's differ.  RFC 2408 section 5.1."""

    event = "UNEQUAL PAYLOAD LENGTHS"
    notify = NotifyType.UNEQUAL_PAYLOAD_LENGTHS


class InvalidCookie(PeerError):
    """No security association has these cookies.  RFC 2408 section 5.2."""

    event = "INVALID COOKIE"
    notify = NotifyType.INVALID_COOKIE


class InvalidNextPayload(Malformed):
    """A payload type that cannot stand where it does.  RFC 2408 sections 5.2 and 5.3."""

    event = "INVALID NEXT PAYLOAD"
    notify = NotifyType.INVALID_PAYLOAD_TYPE


class InvalidMajorVersion(PeerError):
    """Nobody here speaks this version.  RFC 2408 section 5.2."""

    event = "INVALID ISAKMP VERSION"
    notify = NotifyType.INVALID_MAJOR_VERSION


class InvalidMinorVersion(InvalidMajorVersion):
    """A minor version later than ours.  RFC 2408 sections 3.1 and 5.2."""

    notify = NotifyType.INVALID_MINOR_VERSION


class InvalidExchangeType(PeerError):
    """An exchange type that is unknown, or not run here.  RFC 2408 section 5.2."""

    event = "INVALID EXCHANGE TYPE"
    notify = NotifyType.INVALID_EXCHANGE_TYPE


class UnsupportedExchangeType(InvalidExchangeType):
    """A known exchange type that this key exchange or this connection does not run."""

    notify = NotifyType.UNSUPPORTED_EXCHANGE_TYPE


class InvalidFlags(PeerError):
    """Flags that contradict the message.  RFC 2408 section 5.2."""

    event = "INVALID FLAGS"
    notify = NotifyType.INVALID_FLAGS


class InvalidMessageID(PeerError):
    """A message identifier that was used before, or cannot be.  RFC 2408 section 5.2."""

    event = "INVALID MESSAGE ID"
    notify = NotifyType.INVALID_MESSAGE_ID


class InvalidReservedField(Malformed):
    """A reserved octet that is not zero.  RFC 2408 section 5.3."""

    event = "INVALID RESERVED FIELD"
    notify = NotifyType.PAYLOAD_MALFORMED


class UnexpectedPayload(PeerError):
    """A well-formed message that does not carry what this arrow needs.  RFC 2408 section 5.3."""

    event = "INVALID NEXT PAYLOAD"
    notify = NotifyType.INVALID_PAYLOAD_TYPE


class DOINotSupported(PeerError):
    """A domain of interpretation that is not enabled here.  RFC 2408 section 5.4."""

    event = "INVALID DOI"
    notify = NotifyType.DOI_NOT_SUPPORTED


class SituationNotSupported(PeerError):
    """A situation that the domain of interpretation does not take.  RFC 2408 section 5.4."""

    event = "INVALID SITUATION"
    notify = NotifyType.SITUATION_NOT_SUPPORTED


class NoProposalChosen(PeerError):
    """Nothing on offer is acceptable here.  RFC 2408 section 5.4."""

    event = "INVALID PROPOSAL"
    notify = NotifyType.NO_PROPOSAL_CHOSEN


class InvalidProtocolID(PeerError):
    """A Protocol-ID that has no meaning in its domain.  RFC 2408 section 5.5."""

    event = "INVALID PROTOCOL"
    notify = NotifyType.INVALID_PROTOCOL_ID


class InvalidSPI(PeerError):
    """An SPI that its protocol cannot have.  RFC 2408 section 5.5."""

    event = "INVALID SPI"
    notify = NotifyType.INVALID_SPI


class BadProposalSyntax(Malformed):
    """Proposals or transforms that contradict themselves.  RFC 2408 sections 5.5 and 5.6."""

    event = "BAD PROPOSAL SYNTAX"
    notify = NotifyType.BAD_PROPOSAL_SYNTAX


class InvalidTransformID(PeerError):
    """A Transform-ID that nothing can have: not one that is only unknown.  RFC 2408 section 5.6."""

    event = "INVALID TRANSFORM"
    notify = NotifyType.INVALID_TRANSFORM_ID


class AttributesNotSupported(PeerError):
    """An attribute, or a value of one, that has no meaning here.  RFC 2408 section 5.6."""

    event = "INVALID ATTRIBUTES"
    notify = NotifyType.ATTRIBUTES_NOT_SUPPORTED


class InvalidKeyInformation(PeerError):
    """A public value that fails the checks of its group.  RFC 2408 section 5.7."""

    event = "INVALID KEY INFORMATION"
    notify = NotifyType.INVALID_KEY_INFORMATION


class InvalidIdentity(PeerError):
    """An identity that is malformed, or nobody we know.  RFC 2408 section 5.8."""

    event = "INVALID IDENTIFICATION INFORMATION"
    notify = NotifyType.INVALID_ID_INFORMATION


class NoConnection(PeerError):
    """No configured connection fits this peer.  A stranger is not told."""


class InvalidCertificateEncoding(PeerError):
    """A certificate encoding that is no number of one.  RFC 2408 sections 5.9 and 5.10."""

    event = "INVALID CERTIFICATE TYPE"
    notify = NotifyType.INVALID_CERT_ENCODING


class InvalidCertificate(PeerError):
    """Certificate data that is not what its encoding says.  RFC 2408 section 5.9."""

    event = "INVALID CERTIFICATE"
    notify = NotifyType.INVALID_CERTIFICATE


class CertificateTypeUnsupported(PeerError):
    """A certificate encoding that nobody here can use.  RFC 2408 section 5.10."""

    event = "CERTIFICATE TYPE UNSUPPORTED"
    notify = NotifyType.CERT_TYPE_UNSUPPORTED


class InvalidCertificateAuthority(PeerError):
    """An authority that is not named as its encoding wants it.  RFC 2408 section 5.10."""

    event = "INVALID CERTIFICATE AUTHORITY"
    notify = NotifyType.INVALID_CERT_AUTHORITY


class CertificateUnavailable(PeerError):
    """A certificate that was asked for and that we have not got.  RFC 2408 section 5.10."""

    event = "CERTIFICATE-UNAVAILABLE"
    notify = NotifyType.CERTIFICATE_UNAVAILABLE


class InvalidHash(PeerError):
    """No HASH payload where there must be one, or not of the agreed kind.  Section 5.11."""

    event = "INVALID HASH INFORMATION"
    notify = NotifyType.INVALID_HASH_INFORMATION


class InvalidSignature(PeerError):
    """A SIG payload that is not of the agreed kind.  RFC 2408 section 5.12."""

    event = "INVALID SIGNATURE INFORMATION"
    notify = NotifyType.INVALID_SIGNATURE


class AuthenticationFailed(PeerError):
    """The peer did not prove who it says it is.  RFC 2408 sections 5.11 and 5.12."""

    event = "AUTHENTICATION FAILED"
    notify = NotifyType.AUTHENTICATION_FAILED


class InvalidHashValue(AuthenticationFailed):
    """A HASH payload that does not prove what it stands for.  RFC 2408 section 5.11."""

    event = "INVALID HASH VALUE"


class InvalidSignatureValue(AuthenticationFailed):
    """A SIG payload that does not prove what it stands for.  RFC 2408 section 5.12."""

    event = "INVALID SIGNATURE VALUE"


class InvalidNonce(Malformed):
    """A nonce that its exchange cannot use.  RFC 2408 section 5.13 names no event for it."""


class InvalidMessageType(PeerError):
    """A Notify Message Type that is no number of one.  RFC 2408 section 5.14.  Never answered."""

    event = "INVALID MESSAGE TYPE"


class LimitReached(PeerError):
    """A bound of ours; says nothing about the peer, and nothing to it."""


class PeerRefused(PeerError):
    """
    The peer said, with a notification, that it will not go on.

    :param kind: what it said: the Notify Message Type.
    """

    def __init__(self, reason: Reason | str, kind: int = 0) -> None:
        super().__init__(reason)
        self.kind = kind


class ExchangeTimeout(PeerError):
    """
    The peer stopped answering; there is nobody left to notify.

    :param reason: the arrow that was awaited, and what was dropped while waiting, in ``rejected``.
    """

    event = "RETRY LIMIT REACHED"


class Cancelled(PeerError):
    """This end gave the exchange up."""


class NotInstalled(PeerError):
    """What was agreed could not be installed at this end; the reason has the system's words."""
