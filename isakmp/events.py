"""
What happened: frozen values that can be written down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from isakmp.associations import ManagementKey, Removal, SABundle, SPIKey
from isakmp.errors import PeerError, Reason
from isakmp.parts import Role
from isakmp.paths import Address, Path, endpoint
from isakmp.wire.message import Message

if TYPE_CHECKING:
    from isakmp.interfaces import IManagementSA

__all__ = [
    "Established",
    "ExchangeFailed",
    "FirstMessageRefused",
    "MessageDropped",
    "MessageReceived",
    "MessageSent",
    "NotificationReceived",
    "PayloadDiscarded",
    "PeerMoved",
    "Removal",
    "Removed",
    "Replaced",
    "SAExpiring",
    "SPIReleased",
    "Tally",
    "TrafficWaiting",
]

@dataclass(frozen=True, slots=True)
class Established:
    """A management SA, or a bundle of protection SAs, stands."""

    sa: IManagementSA | SABundle


@dataclass(frozen=True, slots=True)
class Replaced:
    """The same SA under another value: it was adopted by a new management SA."""

    old: IManagementSA | SABundle
    new: IManagementSA | SABundle


@dataclass(frozen=True, slots=True)
class Removed:
    """
    It no longer does.

    :ivar number: what this process called it.
    :ivar since: when it came up, in seconds of the node's clock.
    :ivar hard: when it would have expired; 0: never.
    """

    sa: IManagementSA | SABundle
    why: Removal
    number: int = field(default=0, compare=False)
    since: float = field(default=0.0, compare=False)
    hard: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class ExchangeFailed:
    """
    An exchange ended without its result.

    :ivar connection: the connection's name, where one was found.
    :ivar cookies: what names the SA it was under, or the one it would have made.
    """

    connection: str
    path: Path
    exchange: str
    role: Role
    cookies: ManagementKey
    error: PeerError

    @property
    def reason(self) -> Reason:
        """Why."""
        return self.error.reason

    @property
    def sentence(self) -> str:
        """
        All of it in words: the one sentence of the log, the control socket and the command line.
        """
        return f"{self.exchange} with {endpoint(self.path.remote)} failed: {self.reason}"

    @property
    def fields(self) -> Mapping[str, str]:
        """
        The same, by the names of the log's fields; what there is nothing to say of is left out.
        """
        whose = {
            "connection": self.connection,
            "exchange": self.exchange,
            "role": self.role.value,
            "cookies": str(self.cookies),
        }
        return {**_fields(self.reason, self.path), **{k: v for k, v in whose.items() if v}}


@dataclass(frozen=True, slots=True)
class MessageSent:
    """
    A message left.

    :ivar sealed: whether it left encrypted; ``message`` is it in clear all the same.
    :ivar repeated: whether the same octets left before.
    :ivar proven: whether a HASH led it that is not among the payloads of ``message``: phase 2.
    """

    path: Path
    message: Message
    sealed: bool
    octets: int
    repeated: bool = False
    proven: bool = False


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """
    A message was accepted: understood, and proven where it was sealed.

    :ivar proven: as in :class:`MessageSent`.
    """

    path: Path
    message: Message
    sealed: bool
    octets: int
    proven: bool = False


class Tally(NamedTuple):
    """
    Messages of one kind, to be counted: see :meth:`isakmp.interfaces.IEvents.tally`.

    :ivar exchange: exchange type, RFC 2408 section 3.1.
    :ivar initiator: whether it was the exchange's initiator who sent them.
    :ivar sent: whether they left here; else they were accepted here.
    """

    exchange: int
    initiator: bool
    sent: bool


@dataclass(frozen=True, slots=True)
class MessageDropped:
    """A datagram was not accepted; what it was meant for goes on."""

    path: Path
    error: PeerError


@dataclass(frozen=True, slots=True)
class FirstMessageRefused:
    """
    A message that was to begin an exchange was not accepted.

    Anybody may send such messages: only as many are told as are logged.
    """

    path: Path
    error: PeerError

    @property
    def sentence(self) -> str:
        """All of it in words, as :attr:`ExchangeFailed.sentence`."""
        return f"refused {endpoint(self.path.remote)}: {self.error.reason}"

    @property
    def fields(self) -> Mapping[str, str]:
        """The same, by the names of the log's fields, as :attr:`ExchangeFailed.fields`."""
        return _fields(self.error.reason, self.path)


@dataclass(frozen=True, slots=True)
class PayloadDiscarded:
    """
    A Notification or a Delete was not accepted; the rest of its message was.

    RFC 2408 sections 5.14 and 5.15.  The peer is not told.
    """

    path: Path
    error: PeerError


@dataclass(frozen=True, slots=True)
class NotificationReceived:
    """
    The peer said something about an exchange or an SA.

    :ivar authenticated: whether it was proven that the peer said so.
    """

    path: Path
    kind: int
    authenticated: bool


@dataclass(frozen=True, slots=True)
class TrafficWaiting:
    """
    A sink has traffic that a trapped child is for, and no SA to protect it.

    :ivar traffic: what waits, as a sink describes it: for the log.
    """

    connection: str
    child: str
    traffic: str = ""


@dataclass(frozen=True, slots=True)
class SAExpiring:
    """
    A sink says that an SA has carried what it may.

    :ivar key: of the bundle it belongs to: any SA of it.
    :ivar hard: whether it is used no longer; else it should be renewed.
    """

    key: SPIKey
    hard: bool


@dataclass(frozen=True, slots=True)
class PeerMoved:
    """
    A sink has received, proven by an SA, from another address or port than before.

    :ivar remote: where the peer is now.
    """

    key: SPIKey
    remote: Address


@dataclass(frozen=True, slots=True)
class SPIReleased:
    """An SPI that was reserved will not be used."""

    key: SPIKey


def _fields(reason: Reason, path: Path) -> Mapping[str, str]:
    found = {
        "peer": endpoint(path.remote),
        "local": endpoint(path.local),
        "why": str(reason),
        "rule": reason.rule,
        "at": "" if reason.arrow is None else str(reason.arrow),
        "offered": reason.offered,
        "configured": reason.configured,
        "matching": reason.matching,
        "remedy": reason.remedy,
    }
    return {name: text for name, text in found.items() if text}
