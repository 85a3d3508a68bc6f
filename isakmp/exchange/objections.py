"""
What is said against an exchange outside of its own messages.

A notification in clear text, one under an SA that is not yet, one under an SA that stands, and what
ICMP says.  Only what comes under an SA that stands ends an exchange; anything else shortens its
patience, or explains why nothing comes.
"""

from __future__ import annotations

from isakmp.errors import PeerRefused, Reason
from isakmp.events import NotificationReceived
from isakmp.exchange.conversation import Conversation
from isakmp.exchange.verdicts import (
    answered_unreadably,
    read_notice,
    refused_in_clear,
    refused_sealed,
)
from isakmp.interfaces import IEvents, INoticeProtection
from isakmp.logs import Logger
from isakmp.numbers import NotifyType
from isakmp.parts import RESPONDER
from isakmp.paths import Datagram, endpoint


class Objections:
    """
    Brings them to the conversation that they are about.
    """

    _log = Logger()

    def __init__(self, events: IEvents) -> None:
        self._events = events

    def in_clear(self, conversation: Conversation, kind: int, datagram: Datagram) -> None:
        """
        The peer, or somebody in its name, says in clear text that it will not go on.
        """
        self._heard(kind, datagram)
        if conversation.finished or kind >= NotifyType.CONNECTED:
            return
        verdict = conversation.verdict
        error = refused_in_clear(kind, conversation.unproven, verdict.dropped)
        verdict.note(error)
        conversation.lose_patience(error)

    def sealed(self, conversation: Conversation, datagram: Datagram) -> None:
        """
        The peer answers our first sealed message, or in an exchange that did not wait for the
        cookie our proof, with a notification under an SA that is not yet.

        If the keys of this exchange open it, it is the peer's own word, and the reason with which
        the exchange will end: from whoever has agreed on these keys, which is not yet proven to be
        the peer.  Else it cannot be read; but a peer that could take our message would have gone
        on.
        """
        if self._opened(conversation, datagram):
            return
        if conversation.role is RESPONDER and conversation.kind.waits_for_cookie:
            return
        if conversation.unproven:
            conversation.lose_patience(
                answered_unreadably(conversation.role, conversation.verdict.dropped)
            )

    def _opened(self, conversation: Conversation, datagram: Datagram) -> bool:
        """Whether it is a notification that the keys of the exchange open."""
        protection = conversation.protection
        if conversation.finished or not INoticeProtection.providedBy(protection):
            return False
        kinds = read_notice(protection, datagram.octets, conversation.lenient)
        for kind in kinds:
            self._heard(kind, datagram)
            if kind < NotifyType.CONNECTED:
                # It counts for more than what anybody could have said in clear text.
                error = refused_sealed(kind, conversation.verdict.dropped)
                conversation.verdict.overrule(error)
                conversation.lose_patience(error)
        return bool(kinds)

    def under_sa(self, conversation: Conversation, kind: int) -> None:
        """
        The peer says it under the SA that the exchange runs under: that is final.
        """
        error = PeerRefused(Reason(f"the peer says {NotifyType(kind).spelled}"), kind)
        if conversation.commit is not None:
            conversation.commit.refused(error)
        conversation.end(error)

    def undelivered(self, conversation: Conversation, why: str) -> None:
        """
        What we sent is said not to have arrived.

        Whoever says so proves nothing.  No patience is lost; if the peer stays silent, it explains.
        """
        verdict = conversation.verdict
        if not conversation.waiting or conversation.finished or verdict.undelivered:
            return
        verdict.undelivered = why
        self._log.info(
            "{exchange} with {peer}: {why}; it is tried on, since anybody could have said so",
            exchange=conversation.kind.name,
            peer=endpoint(conversation.path.remote),
            local=endpoint(conversation.path.local),
            cookies=str(conversation.cookies),
            why=why,
        )

    def _heard(self, kind: int, datagram: Datagram) -> None:
        self._events.publish(NotificationReceived(datagram.path, kind, authenticated=False))
