"""
What a conversation has not accepted, and whether its peer is told of that: now, when the exchange
is given up, or never.
"""

from __future__ import annotations

from functools import partial

from isakmp.errors import InvalidCookie, PeerError, Unreadable
from isakmp.exchange.conversation import Conversation
from isakmp.exchange.conversations import Conversations
from isakmp.exchange.informational import INFORMATIONAL
from isakmp.exchange.refusals import Refusals
from isakmp.interfaces import (
    IManagementSA,
    IMessageProtection,
    INoticeProtection,
    ISARegistry,
)
from isakmp.parts import INITIATOR
from isakmp.paths import Datagram


class Reports:
    """
    Says of what a conversation drops to whom it matters, and how it is sealed.
    """

    def __init__(
        self, registry: ISARegistry, refusals: Refusals, conversations: Conversations
    ) -> None:
        self._registry = registry
        self._refusals = refusals
        self._conversations = conversations

    def dropped(
        self, error: PeerError, datagram: Datagram, conversation: Conversation, proven: bool
    ) -> None:
        """
        A conversation dropped something.

        :param proven: whether the peer has proven to have said it.
        """
        sa = None
        if proven:
            found = self._registry.find(conversation.cookies)
            sa = found if IManagementSA.providedBy(found) else None
        # Under an SA, what is not proven is not answered: anybody could have said it.  And what
        # belongs to another exchange is no reason to doubt this one.
        answered = not conversation.proven and not isinstance(error, InvalidCookie)
        # A peer may have the SA before us, and take what its keys seal as proven.  But anybody can
        # have changed its last message, and the real one may come: it is told when we give up.
        if answered and _may_be_last(error, conversation):
            conversation.untold = (error, datagram)
            answered = False
        # One that does not run yet has nobody else to say why it was refused.
        self._refusals.dropped(
            error,
            datagram,
            conversation.cookies if answered else None,
            sa,
            first=not proven and not self._conversations.runs(conversation),
            sealing=partial(_sealing, conversation, error),
            path=conversation.path,
        )

    def given_up(self, conversation: Conversation) -> None:
        """An exchange has failed: the peer is told of what was refused meanwhile."""
        if conversation.untold is not None:
            error, datagram = conversation.untold
            self._refusals.tell(
                error,
                datagram,
                conversation.cookies,
                sealing=partial(_sealing, conversation, error),
                path=conversation.path,
            )


def _may_be_last(error: PeerError, conversation: Conversation) -> bool:
    """Whether what is refused may be the peer's last message, after which it has the SA."""
    return (
        conversation.role is INITIATOR
        and conversation.protection is not None
        and not conversation.proven
        and not isinstance(error, Unreadable)
    )


def _sealing(
    conversation: Conversation, error: PeerError, message_id: int
) -> IMessageProtection | None:
    """
    What seals a notification about what was just refused; None: it has to be in clear text.

    RFC 2408 section 4.8: once keying material has been exchanged, its keys do.  Of a message that
    they do not open the peer has other keys, and could not read what they seal.
    """
    protection = conversation.read_with or conversation.protection
    if conversation.proven or isinstance(error, Unreadable):
        return None
    if not INoticeProtection.providedBy(protection):
        return None
    return protection.for_notice(INFORMATIONAL, message_id)
