"""
RFC 2408 section 5 as data: what is asked of each datum of a message, and what becomes of one that
is not so.

Each rule is checked where the datum is read, and raises its error; the error has the name that the
RFC gives the event, and the notification.  What else happens depends on the rule alone and stands
here: :mod:`isakmp.exchange.refusals` goes by this table, and ``doc/reference/section-5.rst`` is
written from it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from isakmp.departures import (
    BASIC_AS_VARIABLE,
    RESERVED_FLAGS,
    RESERVED_OCTETS,
)
from isakmp.errors import (
    AttributesNotSupported,
    AuthenticationFailed,
    BadProposalSyntax,
    CertificateTypeUnsupported,
    CertificateUnavailable,
    DOINotSupported,
    ExchangeTimeout,
    InvalidCertificate,
    InvalidCertificateAuthority,
    InvalidCertificateEncoding,
    InvalidCookie,
    InvalidExchangeType,
    InvalidFlags,
    InvalidHash,
    InvalidHashValue,
    InvalidIdentity,
    InvalidKeyInformation,
    InvalidMajorVersion,
    InvalidMessageID,
    InvalidMessageType,
    InvalidMinorVersion,
    InvalidNextPayload,
    InvalidNonce,
    InvalidProtocolID,
    InvalidReservedField,
    InvalidSignature,
    InvalidSignatureValue,
    InvalidSPI,
    InvalidTransformID,
    Malformed,
    NoProposalChosen,
    PeerError,
    SituationNotSupported,
    UnequalPayloadLengths,
    UnexpectedPayload,
    Unreadable,
    UnsupportedExchangeType,
)
from isakmp.events import ExchangeFailed, MessageDropped, PayloadDiscarded
from isakmp.numbers import NotifyType


class Dropped(enum.Enum):
    """How much goes with a datum that is not as it should be."""

    MESSAGE = "all of the message"
    OFFER = "the suite that it is part of; all of the message, if no suite is left"
    PAYLOAD = "that payload; the others of its message count"
    EXCHANGE = "nothing, as nothing came: the exchange ends"


class Told(enum.Enum):
    """Whom a notification reaches, within the bounds of a node."""

    NOBODY = "nothing is ever sent"
    EXCHANGE = "a peer that has proven to have said it, or that is in an exchange, or begins one"
    ANYBODY = "as before, and whoever sends what belongs to nothing here"


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One rule.

    :ivar section: of RFC 2408, with the number of the step.
    :ivar asks: what the datum has to be.
    :ivar error: raised where it is read; it has the name of the event and the notification.
    :ivar dropped: how much is.
    :ivar told: whom the notification reaches.
    :ivar event: what is published.
    :ivar lenient: the name of :data:`isakmp.departures.LENIENCES` by which it is overlooked.
    """

    section: str
    asks: str
    error: type[PeerError]
    dropped: Dropped
    told: Told
    event: type[object] = MessageDropped
    lenient: str = ""

    @property
    def name(self) -> str:
        """As the RFC calls the event."""
        return self.error.event

    @property
    def notify(self) -> NotifyType | None:
        """The notification; None: none is ever sent."""
        return None if self.told is Told.NOBODY else self.error.notify


_M, _O, _P, _X = Dropped.MESSAGE, Dropped.OFFER, Dropped.PAYLOAD, Dropped.EXCHANGE

RULES: Sequence[Rule] = (
    Rule(
        "5.1",
        "The length in the header is the datagram's.",
        UnequalPayloadLengths,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.1",
        "The message can be read: every field is there, and every length fits.",
        Malformed,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.1",
        "A sealed message can be read with the agreed keys.",
        Unreadable,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.1",
        "A message is answered before it was repeated as often as is configured.",
        ExchangeTimeout,
        _X,
        Told.NOBODY,
        ExchangeFailed,
    ),
    Rule(
        "5.2.1",
        "The cookies are those of an exchange or an SA, or begin one.",
        InvalidCookie,
        _M,
        Told.ANYBODY,
    ),
    Rule(
        "5.2.2",
        "The first payload is of a type that can stand there.",
        InvalidNextPayload,
        _M,
        Told.EXCHANGE,
    ),
    Rule("5.2.3", "The major version is 1.", InvalidMajorVersion, _M, Told.ANYBODY),
    Rule("5.2.3", "The minor version is 0.", InvalidMinorVersion, _M, Told.ANYBODY),
    Rule(
        "5.2.4",
        "The exchange type is known, and that of the exchange.",
        InvalidExchangeType,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.2.4",
        "The exchange type is one that is run here, with this peer.",
        UnsupportedExchangeType,
        _M,
        Told.ANYBODY,
    ),
    Rule(
        "5.2.5",
        "No reserved flag is set.",
        InvalidFlags,
        _M,
        Told.EXCHANGE,
        lenient=RESERVED_FLAGS,
    ),
    Rule(
        "5.2.5",
        "The message is encrypted if there are keys, and else is not.",
        InvalidFlags,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.2.6",
        "The message ID is zero in the first message of phase 1, and nowhere used twice.",
        InvalidMessageID,
        _M,
        Told.ANYBODY,
    ),
    Rule(
        "5.3.1",
        "Each payload is of a type that can stand where it does.",
        InvalidNextPayload,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.3.1",
        "The message carries the payloads that its exchange needs there.",
        UnexpectedPayload,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.3.2",
        "The reserved octets are zero.",
        InvalidReservedField,
        _M,
        Told.EXCHANGE,
        lenient=RESERVED_OCTETS,
    ),
    Rule(
        "5.4.1",
        "The domain of interpretation is enabled.",
        DOINotSupported,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.4.2",
        "The domain takes the situation.",
        SituationNotSupported,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.4.3",
        "Something on offer is acceptable; an answer is one of our offers.",
        NoProposalChosen,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.5.1",
        "The protocol is one of its domain.",
        InvalidProtocolID,
        _O,
        Told.EXCHANGE,
    ),
    Rule(
        "5.5.2",
        "The SPI is one that the protocol can have, and names no other SA.",
        InvalidSPI,
        _O,
        Told.EXCHANGE,
    ),
    Rule(
        "5.5.3",
        "Proposals of one number stand together; each has as many transforms as it says, and at "
        "least one.",
        BadProposalSyntax,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.6.1",
        "The Transform-ID is not the reserved one; one that is only unknown is ignored.",
        InvalidTransformID,
        _O,
        Told.EXCHANGE,
    ),
    Rule(
        "5.6.2",
        "The attributes of a transform do not contradict each other; an answer's are understood.",
        AttributesNotSupported,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.6.2",
        "A basic attribute is in the TV format; a transform with another is passed over.",
        NoProposalChosen,
        _O,
        Told.EXCHANGE,
        lenient=BASIC_AS_VARIABLE,
    ),
    Rule(
        "5.7",
        "The public value passes the checks of its group, and is there if a group is agreed.",
        InvalidKeyInformation,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.8",
        "The identity has the form of its type, and is one that is configured.",
        InvalidIdentity,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.9.1",
        "The certificate's encoding is one.",
        InvalidCertificateEncoding,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.9.2",
        "The certificate is what its encoding says.",
        InvalidCertificate,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.10.1",
        "The encoding that is asked for is one.",
        InvalidCertificateEncoding,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.10.1",
        "The encoding that is asked for can be used here.",
        CertificateTypeUnsupported,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.10.2",
        "The authority is named as its encoding wants it.",
        InvalidCertificateAuthority,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.10.3",
        "There is a certificate of that encoding and authority.",
        CertificateUnavailable,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.11.1",
        "The HASH is there, and of the agreed function.",
        InvalidHash,
        _M,
        Told.EXCHANGE,
    ),
    Rule("5.11.2", "The HASH proves what it stands for.", InvalidHashValue, _M, Told.EXCHANGE),
    Rule("5.12.1", "The SIG is of the agreed function.", InvalidSignature, _M, Told.EXCHANGE),
    Rule(
        "5.12.2",
        "The SIG proves what it stands for.",
        InvalidSignatureValue,
        _M,
        Told.EXCHANGE,
    ),
    Rule(
        "5.13.1",
        "The nonce is as long as its exchange wants it.",
        InvalidNonce,
        _M,
        Told.EXCHANGE,
    ),
    *(
        Rule(f"{section}.{step}", asks, error, _P, Told.NOBODY, PayloadDiscarded)
        for section, what, steps in (
            (
                "5.14",
                "Notification",
                (
                    (2, "The domain of a {} is that of its SA, or ISAKMP's.", DOINotSupported),
                    (3, "The protocol of a {} is one of its domain.", InvalidProtocolID),
                    (4, "The SPI of a {} is empty, or one that the protocol can have.", InvalidSPI),
                    (5, "The Notify Message Type of a {} is a number of one.", InvalidMessageType),
                ),
            ),
            (
                "5.15",
                "Delete",
                (
                    (2, "The domain of a {} is that of its SA, or ISAKMP's.", DOINotSupported),
                    (3, "The protocol of a {} is one of its domain.", InvalidProtocolID),
                    (4, "At least one SPI of a {} is one that the protocol can have.", InvalidSPI),
                ),
            ),
        )
        for step, asks, error in (
            (step, text.format(what), error) for step, text, error in steps
        )
    ),
)
"""All of them, by section."""

NEVER_SENT: Mapping[NotifyType, str] = MappingProxyType(
    {
        NotifyType.ADDRESS_NOTIFICATION: "RFC 2408 numbers it and says nothing more; a change of "
        "address is learned from sealed messages that come from there.",
        NotifyType.NOTIFY_SA_LIFETIME: "RFC 2408 numbers it and says nothing more; the IPsec "
        "domain has RESPONDER-LIFETIME for what it could mean (RFC 2407 section 4.6.3.1).",
    }
)
"""
Error notifications that this end never sends, and why.

UNSUPPORTED-EXCHANGE-TYPE, the third that RFC 2408 only numbers, is sent: see the rules of 5.2.4.
"""

_FIRST: dict[type[PeerError], Rule] = {}
for _rule in RULES:
    _FIRST.setdefault(_rule.error, _rule)


_FIRST[AuthenticationFailed] = _FIRST[InvalidHashValue]  # of whatever else would prove a peer


def rule_of(error: PeerError) -> Rule | None:
    """
    The rule that was broken; None: it is no rule of section 5.

    Of an error that several rules have: the first; only in what they ask do they differ.
    """
    for kind in type(error).__mro__:
        if kind in _FIRST:
            return _FIRST[kind]
    return None
