"""
What stands in commands and in their replies.  RFC 4430 sections 5.5 and 6.
"""

from __future__ import annotations

from collections.abc import Sequence

from isakmp.errors import PeerError, UnexpectedPayload
from isakmp.kink.creation import KENotSupported
from isakmp.kink.errors import (
    BadQuickModeVersion,
    KINKError,
    ProtocolError,
)
from isakmp.kink.kerberos import IKerberos, KerberosRefusal
from isakmp.kink.numbers import QUICK_MODE_VERSION
from isakmp.kink.payloads import ErrorPayload, KerberosErrorPayload, Operation
from isakmp.numbers import NotifyType, ProtocolID
from isakmp.wire.payload import Payload
from isakmp.wire.payloads import Notification

MAX_OPERATIONS = 8
"""KINK_ISAKMP payloads of one command: each can cost a negotiation."""

_TOLD = (NotifyType.INVALID_PAYLOAD_TYPE, NotifyType.INVALID_SPI, NotifyType.NO_PROPOSAL_CHOSEN)
"""What RFC 4430 section 5.5 has a word for; everything else is PAYLOAD-MALFORMED."""


def operations_of(said: Sequence[Payload]) -> list[tuple[Payload, ...]]:
    """
    What stands in the KINK_ISAKMP payloads.

    :raises BadQuickModeVersion: :raises ProtocolError: :raises Malformed: if it cannot be read.
    """
    strange = [payload for payload in said if not isinstance(payload, Operation)]
    if strange:
        raise ProtocolError(f"a payload of type {strange[0].number} in a command")
    found = [payload for payload in said if isinstance(payload, Operation)]
    for operation in found:
        if operation.version != QUICK_MODE_VERSION:
            version = f"{operation.version >> 4}.{operation.version & 15}"
            raise BadQuickModeVersion(f"Quick Mode {version}; 1.0 is spoken here")
    if len(found) > MAX_OPERATIONS:
        raise ProtocolError(f"more than {MAX_OPERATIONS} KINK_ISAKMP payloads")
    return [operation.payloads() for operation in found]


def refusal_of(error: PeerError, doi: int, kerberos: IKerberos) -> tuple[Payload, ...]:
    """How a proven peer is told.  RFC 4430 sections 3.5, 5.5 and 6.3."""
    if isinstance(error, KINKError):
        return (ErrorPayload(error.code),)
    if isinstance(error, KerberosRefusal):
        return (KerberosErrorPayload(kerberos.error(error)),)
    kind = error.notify if error.notify in _TOLD else NotifyType.PAYLOAD_MALFORMED
    data = error.data if isinstance(error, KENotSupported) else b""
    if isinstance(error, UnexpectedPayload) and not data:
        kind = NotifyType.PAYLOAD_MALFORMED  # INVALID-PAYLOAD-TYPE has to name one
    notification = Notification(doi, ProtocolID.ISAKMP, kind, b"", data)
    return (Operation.of((notification,)),)
