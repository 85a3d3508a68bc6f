"""
What RFC 2409 asks of the payloads of its exchanges, whichever they are.
"""

from __future__ import annotations

from isakmp.errors import InvalidNonce, Reason, UnexpectedPayload
from isakmp.wire.message import Message
from isakmp.wire.payloads import Nonce, SecurityAssociation

NONCE_SIZE = 32
"""Octets of a nonce of ours."""

_NONCE_SIZES = range(8, 257)


def check_sa_first(message: Message) -> None:
    """
    In phase 1 the SA payload precedes all others (RFC 2409 section 5), in Quick Mode all but the
    HASH (section 5.5), which is not in this message any more.

    :raises UnexpectedPayload: if another payload stands before it.
    """
    if not isinstance(message.payloads[0], SecurityAssociation):
        raise UnexpectedPayload(
            Reason("a payload before the SA payload", type(message.payloads[0]).__name__)
        )


def nonce_of(message: Message) -> Nonce:
    """
    The nonce.  RFC 2409 section 5.

    :raises UnexpectedPayload: if there is not exactly one.
    :raises InvalidNonce: if it has not 8 to 256 octets.
    """
    nonce = message.one(Nonce)
    if len(nonce.data) not in _NONCE_SIZES:
        raise InvalidNonce(
            Reason("the length of a nonce", f"{len(nonce.data)} octets", "8 to 256 octets")
        )
    return nonce
