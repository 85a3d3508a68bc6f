"""
The one place where what was dropped or refused is logged, published, and perhaps answered.

RFC 2408 section 5 lets a notification be sent for most faults.  None is sent in answer to an
Informational exchange; none says more than a number; towards an address that has proved nothing
they are few and no longer than what caused them; once there are keys they are sealed with these;
of a failed authentication they do not say what it was that failed.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from isakmp.errors import AuthenticationFailed, Malformed, PeerError
from isakmp.events import FirstMessageRefused, MessageDropped, MessageSent, PayloadDiscarded
from isakmp.exchange.rules import Told, rule_of
from isakmp.interfaces import IManagementSA, IMessageProtection, INode
from isakmp.logs import Logger
from isakmp.numbers import DOI, ExchangeType, NotifyType, ProtocolID
from isakmp.parts import AUTH, ID
from isakmp.paths import Datagram, Path, endpoint
from isakmp.wire.message import CookiePair, Flags, Header, Message
from isakmp.wire.payloads import Notification

Sealing = Callable[[int], IMessageProtection | None]
"""From a message id, what seals a notification; None: nothing does."""


class Bucket:
    """
    As many at once as it holds, and some more each second.

    :param size: how many.
    :param rate: how many each second.
    """

    def __init__(self, clock: IReactorTime, size: int, rate: float = 1.0) -> None:
        self._clock = clock
        self._size = float(size)
        self._rate = rate
        self._tokens = self._size
        self._filled = clock.seconds()

    def take(self) -> bool:
        """Whether there was one."""
        now = self._clock.seconds()
        # A clock that is set back must not take away what is there.
        passed = max(0.0, now - self._filled)
        self._tokens = min(self._size, self._tokens + passed * self._rate)
        self._filled = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def give_back(self) -> None:
        """What was taken was not needed."""
        self._tokens = min(self._size, self._tokens + 1.0)


class Refusals:
    """
    Reports refusals, within the node's bounds.

    :param begin: sends a notification under an SA.
    """

    _log = Logger()

    def __init__(
        self, node: INode, begin: Callable[[IManagementSA, int, object], Deferred[object]]
    ) -> None:
        self._node = node
        self._begin = begin
        self._notifications = Bucket(node.clock, node.limits.notifications)
        self._lines = Bucket(node.clock, node.limits.notifications)

    def dropped(
        self,
        error: PeerError,
        datagram: Datagram,
        cookies: CookiePair | None = None,
        sa: IManagementSA | None = None,
        *,
        first: bool = False,
        sealing: Sealing | None = None,
        path: Path | None = None,
    ) -> None:
        """
        A datagram was not accepted.

        :param cookies: of the exchange it was meant for, or made up to be answered with.
        :param sa: under which it was proven that the peer had said it.
        :param first: it was to begin an exchange; of one that runs, the exchange will say it.
        :param sealing: gives what seals a notification about the exchange it was meant for.
        :param path: of that exchange.
        """
        if first and self._lines.take():
            refused = FirstMessageRefused(datagram.path, error)
            self._log.info("{line}", line=refused.sentence, event=error.event, **refused.fields)
            self._node.events.publish(refused)
        else:
            peer = endpoint(datagram.path.remote)
            self._log.debug(
                "dropped from {peer}: {why}", peer=peer, why=error, event=error.event
            )
        self._node.events.publish(MessageDropped(datagram.path, error))
        self.tell(error, datagram, cookies, sa, sealing=sealing, path=path)

    def tell(
        self,
        error: PeerError,
        datagram: Datagram,
        cookies: CookiePair | None = None,
        sa: IManagementSA | None = None,
        *,
        sealing: Sealing | None = None,
        path: Path | None = None,
    ) -> None:
        """
        Send the peer a notification, if there is one for that error; parameters as above.
        """
        kind = self._notification(error, sa)
        if kind is None:
            return
        if sa is not None:
            notification = Notification(sa.doi, ProtocolID.ISAKMP, kind, b"", b"")
            sent = self._begin(sa, ExchangeType.INFORMATIONAL, (notification,))
            sent.addErrback(lambda f: self._log.failure("no notification could be sent", f))
        elif cookies is not None:
            self._notify(kind, datagram, cookies, sealing, path)

    def discarded(self, error: PeerError, path: Path) -> None:
        """
        A Notification or Delete payload was not accepted, and nobody is told.

        :param path: of the peer that has proven to have said it.
        """
        self._log.info(
            "discarded from {peer}: {why}",
            peer=endpoint(path.remote),
            why=error,
            event=error.event,
        )
        self._node.events.publish(PayloadDiscarded(path, error))

    def _notification(self, error: PeerError, sa: IManagementSA | None) -> NotifyType | None:
        """What the peer is told: of who it is and how it proves that, only that it failed."""
        rule = rule_of(error)
        if rule is None or rule.told is Told.NOBODY:
            return None
        arrow = error.reason.arrow
        if sa is None and arrow is not None and {ID, AUTH} & arrow.parts and error.notify:
            if not isinstance(error, Malformed):
                return AuthenticationFailed.notify
        return error.notify

    def _notify(
        self,
        kind: NotifyType,
        datagram: Datagram,
        cookies: CookiePair,
        sealing: Sealing | None,
        path: Path | None,
    ) -> None:
        notification = Notification(DOI.ISAKMP, ProtocolID.ISAKMP, kind, b"", b"")
        message_id = int.from_bytes(self._node.entropy(4), "big") | 1
        message = Message(
            cookies, ExchangeType.INFORMATIONAL, Flags.NONE, message_id, (notification,)
        )
        protection = sealing(message_id) if sealing is not None else None
        if protection is not None and path is not None:
            # It goes where the exchange has its peer: that address has proved itself.
            if self._notifications.take():
                octets = protection.seal(message)
                self._node.ports.send(Datagram(octets, path))
                self._node.events.publish(
                    MessageSent(path, message, True, len(octets), proven=True)
                )
            return
        octets = message.encode()
        if len(octets) <= len(datagram.octets) and self._notifications.take():
            self._node.ports.send(Datagram(octets, datagram.path))
            self._node.events.publish(MessageSent(datagram.path, message, False, len(octets)))


def answerable(
    error: PeerError, header: Header, in_exchange: bool = False
) -> CookiePair | None:
    """
    The cookies of an answer to a datagram that belongs to nothing here; None: silence.

    Only to what a peer with a stale SA, or of another version, can honestly send.

    :param in_exchange: there is an exchange with whoever sent it, in clear text yet.
    """
    rule = rule_of(error)
    if header.exchange_type == ExchangeType.INFORMATIONAL or rule is None:
        return None
    known = rule.told is Told.ANYBODY or (rule.told is Told.EXCHANGE and in_exchange)
    return header.cookies if known else None
