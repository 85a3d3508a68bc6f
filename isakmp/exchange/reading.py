"""
What a datagram says in an exchange that has come so far: decoded, proven, and with all that this
arrow of the diagram needs.

Functions of values: nothing is changed here, and what raises has changed nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from isakmp.errors import InvalidCookie, InvalidFlags, Reason, UnexpectedPayload
from isakmp.interfaces import IExchangeType, IMessageProtection
from isakmp.parts import INITIATOR, RESPONDER, Role
from isakmp.wire.message import CookiePair, Flags, Message
from isakmp.wire.payloads import Payload

Expected = Sequence[type[Payload] | tuple[type[Payload], ...]]
"""Payload classes, each of which has to be there; of a tuple one."""

_ENCRYPTION = int(Flags.ENCRYPTION)


def read(
    octets: bytes,
    flags: int,
    kind: IExchangeType,
    protection: IMessageProtection | None,
    may_be_clear: bool,
) -> tuple[Message, IMessageProtection | None]:
    """
    Decode a message, and prove it if there are keys.

    :param flags: of its header.
    :param protection: the state of the cipher, which is copied; None: there are no keys yet.
    :param may_be_clear: whether it may be in clear text all the same.
    :return: what it says, and the state of the cipher after it; None: it was in clear text.
    :raises PeerError: if it cannot be read, or is not proven.
    """
    if flags & _ENCRYPTION:
        if protection is None:
            raise InvalidFlags("a sealed message before there are keys")
        opening = copy(protection)
        return opening.unseal(octets), opening
    if protection is not None and not may_be_clear:
        raise InvalidFlags("clear text where the message must be sealed")
    return Message.decode(octets, kind.payloads, set()), None


def check_expected(message: Message, expects: Expected) -> None:
    """
    :raises UnexpectedPayload: if one that this arrow needs is not there.
    """
    for kind in expects:
        if not message.has(kind):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            names = " or ".join(k.__name__ for k in kinds)
            raise UnexpectedPayload(Reason(f"a message without {names}"))


def cookies_after(theirs: CookiePair, ours: CookiePair, role: Role, first: bool) -> CookiePair:
    """
    The pair as it is once this message is accepted.  RFC 2408 section 2.5.3.

    :param theirs: what it says; ``ours`` the pair as it is now.
    :param first: whether nothing was accepted before in this exchange of phase 1.
    :raises InvalidCookie: if it belongs to another exchange.
    """
    blank = theirs.responder == CookiePair.ZERO
    if role is RESPONDER and first and blank:
        return ours  # message 1 cannot know the cookie that it is answered with
    if blank:
        raise InvalidCookie("an answer without the responder's cookie")
    if role is INITIATOR and ours.responder == CookiePair.ZERO:
        return theirs
    if theirs != ours:
        raise InvalidCookie("a message of another exchange")
    return ours
