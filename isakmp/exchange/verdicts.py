"""
What an exchange comes to where the peer refuses, or says nothing: errors that say what would help.

Each is given what was dropped meanwhile, for the sentence in which it ends.
"""

from __future__ import annotations

from collections import deque

from isakmp.departures import Departures
from isakmp.errors import ExchangeTimeout, NotAccepted, PeerError, PeerRefused, Reason, Rejection
from isakmp.exchange.informational import INFORMATIONAL
from isakmp.exchange.lenience import judge
from isakmp.exchange.notices import check_type
from isakmp.interfaces import INoticeProtection
from isakmp.numbers import NotifyType
from isakmp.parts import INITIATOR, Role
from isakmp.wire.message import Flags, Header
from isakmp.wire.payloads import Notification

Dropped = tuple[Rejection, ...]

_READ = (NotifyType.AUTHENTICATION_FAILED, NotifyType.INVALID_ID_INFORMATION)
"""What a peer says of a message that it could read."""

_UNKNOWN = (
    "Most likely it does not know this end by its identity: compare the local id configured here "
    "with the remote id there; if they agree, the secrets differ."
)
_DIFFER = "Most likely the secrets configured for this peer differ."

_HAS_KEYS = (
    "It has the same keys, so it could read our message: most likely it does not know this end by "
    "its identity. Compare the local id configured here with the remote id there, and which "
    "exchange each end wants."
)
"""What a sealed AUTHENTICATION-FAILED comes to."""


class Verdict:
    """
    What an exchange will end with, if nothing better comes after what it said last.

    :ivar error: None: no answer came.
    :ivar refused: how many messages in clear text its method has refused.
    :ivar undelivered: what is said of our datagrams by ICMP.
    :param most: how many of those dropped are remembered.
    """

    __slots__ = ("_dropped", "error", "refused", "undelivered")

    def __init__(self, most: int) -> None:
        self._dropped: deque[Rejection] = deque(maxlen=most)
        self.error: PeerError | None = None
        self.refused = 0
        self.undelivered = ""

    @property
    def dropped(self) -> Dropped:
        """What was dropped, for the sentence in which it ends."""
        return tuple(self._dropped)

    def note(self, error: PeerError) -> None:
        """Something was dropped."""
        reason = error.reason
        self._dropped.append(Rejection("dropped", reason.rule, reason.offered or "-", ""))

    def incline(self, error: PeerError) -> None:
        """It will end with that, unless something else was found before."""
        if self.error is None:
            self.error = error

    def overrule(self, error: PeerError) -> None:
        """It will end with that, whatever was found before."""
        self.error = error

    def of_silence(self, peer: str, begun: bool, unproven: bool) -> PeerError:
        """
        With what it ends now that no answer has come in time; parameters as of :func:`no_answer`.
        """
        return self.error or no_answer(
            peer,
            begun=begun,
            unproven=unproven,
            undelivered=self.undelivered,
            dropped=self.dropped,
        )

    def renew(self) -> None:
        """Something new was said."""
        self._dropped.clear()
        self.error = None
        self.refused = 0


def refused_in_clear(kind: int, unproven: bool, dropped: Dropped) -> PeerError:
    """
    The peer, or somebody in its name, says in clear text that it will not go on.

    :param unproven: nothing that it sealed has been opened yet.
    """
    says = f"it says {NotifyType(kind).spelled}, unauthenticated"
    if not unproven:
        return PeerRefused(Reason(f"the peer refused: {says}", rejected=dropped), kind)
    return NotAccepted(
        Reason(
            f"the peer did not accept our first sealed message: {says}",
            remedy=_UNKNOWN if kind in _READ else _DIFFER,
            rejected=dropped,
        )
    )


def refused_sealed(kind: int, dropped: Dropped) -> PeerError:
    """Whoever has agreed on these keys says that it will not go on."""
    return PeerRefused(
        Reason(
            f"the peer refused: it says {NotifyType(kind).spelled}, sealed",
            remedy=_HAS_KEYS if kind == NotifyType.AUTHENTICATION_FAILED else "",
            rejected=dropped,
        ),
        kind,
    )


def answered_unreadably(role: Role, dropped: Dropped) -> PeerError:
    """The peer answers what was sealed first with something sealed that the keys do not open."""
    refused = (
        "our first sealed message, and says so in one"
        if role is INITIATOR
        else "what we answered it, and says so in a message"
    )
    return NotAccepted(
        Reason(
            f"the peer did not accept {refused} that cannot be read",
            remedy="Most likely the secrets configured for this peer differ, or it does not know "
            "this end by its identity.",
            rejected=dropped,
        )
    )


def no_answer(
    peer: str, *, begun: bool, unproven: bool, undelivered: str, dropped: Dropped
) -> ExchangeTimeout:
    """
    Nothing came in time.

    :param begun: something was said that it could have answered.
    :param unproven: it was sealed, and nothing that the peer sealed has been opened yet.
    :param undelivered: what is said of our datagrams by ICMP.
    """
    rule = f"no answer from {peer}" if begun else f"no message from {peer}"
    remedy = ""
    if undelivered:
        rule += f": {undelivered}, unauthenticated"
        remedy = (
            "Ask the peer's administrator whether its daemon runs and on which port, and whether "
            "a firewall lets UDP through; the port here is remote_port."
        )
    elif unproven:
        remedy = "If it is reachable, the secrets configured for this peer may differ."
    return ExchangeTimeout(Reason(rule, remedy=remedy, rejected=dropped))


def read_notice(
    protection: INoticeProtection, octets: bytes, lenient: Departures
) -> tuple[int, ...]:
    """The kinds of the notifications that the keys of an exchange open; none if they do not."""
    header = Header.decode(octets)
    if header.exchange_type != INFORMATIONAL.number or not header.flags & Flags.ENCRYPTION:
        return ()
    try:
        message = protection.for_notice(INFORMATIONAL, header.message_id).unseal(octets)
        judge(message.departures, lenient)
        notifications = message.all(Notification)
        for notification in notifications:
            check_type(notification)
    except PeerError:
        return ()
    return tuple(notification.kind for notification in notifications)
