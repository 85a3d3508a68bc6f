"""
What clients are told without asking: SAs that come and go, failures, lines of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from isakmp.associations import SABundle
from isakmp.control.acting import told
from isakmp.control.codec import Content, clipped
from isakmp.control.groups import Line
from isakmp.control.listing import Listing, cookies_of
from isakmp.control.server import ControlServer
from isakmp.errors import (
    AuthenticationFailed,
    Cancelled,
    ExchangeTimeout,
    InvalidHash,
    InvalidIdentity,
    Malformed,
    NoConnection,
    NoProposalChosen,
    PeerError,
    PeerRefused,
    Unreadable,
)
from isakmp.events import (
    Established,
    ExchangeFailed,
    FirstMessageRefused,
    Removal,
    Removed,
)
from isakmp.exchange.types import PHASE_1
from isakmp.interfaces import IManagementSA, INode
from isakmp.numbers import NotifyType
from isakmp.parts import Role
from isakmp.paths import endpoint
from isakmp.rekeying import others, predecessors

EVENTS = frozenset(
    {
        *("log", "control-log", "alert"),
        *("list-sa", "list-policy", "list-conn", "list-cert", "list-authority"),
        *("ike-updown", "ike-rekey", "ike-update"),
        *("child-updown", "child-rekey"),
    }
)
"""All that a client can listen to."""

_TOLD = ("exchange", "role", "at", "rule", "offered", "configured", "matching", "remedy")
"""What an alert has besides whose it is, by the names of the log's fields."""

_PHASE_1 = frozenset(kind.name for kind in PHASE_1.values())

_REFUSALS: Mapping[int, tuple[str, str]] = {
    NotifyType.NO_PROPOSAL_CHOSEN: ("proposal-mismatch-ike", "proposal-mismatch-child"),
    NotifyType.INVALID_ID_INFORMATION: ("local-auth-failed", "ts-mismatch"),
    NotifyType.AUTHENTICATION_FAILED: ("local-auth-failed", "local-auth-failed"),
}
_OURS: Sequence[tuple[tuple[type[PeerError], ...], tuple[str, str]]] = (
    ((NoProposalChosen,), ("proposal-mismatch-ike", "proposal-mismatch-child")),
    ((AuthenticationFailed, InvalidHash), ("peer-auth-failed", "peer-auth-failed")),
    ((InvalidIdentity,), ("authorization-failed", "ts-mismatch")),
    ((NoConnection,), ("authorization-failed", "ts-mismatch")),
    # A first message that cannot be read is how secrets that differ show.
    ((Unreadable,), ("peer-auth-failed", "parse-error-body")),
    ((Malformed,), ("parse-error-body", "parse-error-body")),
)


@implementer(ILogObserver)
class Watching:
    """
    Tells the clients of a server what happens at a node.
    """

    def __init__(self, node: INode, listing: Listing, server: ControlServer) -> None:
        self._node = node
        self._listing = listing
        self._server = server
        self._logging = False
        self._inside = False
        server.watched = self._watched
        self._unsubscribe: tuple[Callable[[], None], ...] = (
            node.events.subscribe(Established, self._established),
            node.events.subscribe(Removed, self._removed),
            node.events.subscribe(ExchangeFailed, self._failed),
            node.events.subscribe(FirstMessageRefused, self._refused),
        )

    def stop(self) -> None:
        """Tell nothing any more; idempotent."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = ()
        self._server.watched = None
        self._log_to_clients(False)

    # -- lines of the log ----------------------------------------------------------------------

    def _watched(self) -> None:
        self._log_to_clients(self._server.wanted("log"))

    def _log_to_clients(self, wanted: bool) -> None:
        if wanted and not self._logging:
            globalLogPublisher.addObserver(self)
        elif self._logging and not wanted:
            globalLogPublisher.removeObserver(self)
        self._logging = wanted

    def __call__(self, event: LogEvent) -> None:
        """From twisted.logger: something is logged."""
        line = Line.of(event)
        if line is None or self._inside:
            return  # of what is logged while clients are told, they are not told
        self._inside = True
        try:
            content = dict(told(line, line.number or self._number(line.connection)))
            self._server.publish("log", {**content, "thread": "1"})
        finally:
            self._inside = False

    def _number(self, connection: str) -> int:
        standing = self._node.registry.by_connection(connection)
        return self._node.registry.number(standing[-1]) if standing else 0

    # -- SAs -----------------------------------------------------------------------------------

    def _established(self, event: Established) -> None:
        sa, registry = event.sa, self._node.registry
        if registry.find(sa.key) is None:
            return  # it went before everybody had been told
        if isinstance(sa, SABundle):
            before = predecessors(self._node, sa) if self._server.wanted("child-rekey") else ()
            old = before[-1] if before else None
            if isinstance(old, SABundle):
                pair = {
                    "old": self._listing.child(old, registry.number(old)),
                    "new": self._listing.child(sa, registry.number(sa)),
                }
                self._tell_of_child("child-rekey", sa, {sa.policy.name: pair})
            elif self._server.wanted("child-updown") and not self._has_others(sa):
                self._updown(sa, registry.number(sa))
            return
        if not self._server.wanted("ike-updown") and not self._server.wanted("ike-rekey"):
            return
        described = self._listing.management(sa, registry.number(sa))
        self._server.publish("ike-updown", {"up": "yes", sa.connection: described})
        if self._server.wanted("ike-rekey"):
            for older in predecessors(self._node, sa)[-1:]:
                assert IManagementSA.providedBy(older)
                old_one = self._listing.management(older, registry.number(older))
                both = {"old": old_one, "new": described}
                self._server.publish("ike-rekey", {sa.connection: both})

    def _removed(self, event: Removed) -> None:
        sa = event.sa
        if not isinstance(sa, SABundle):
            if self._server.wanted("ike-updown"):
                described = self._listing.management(sa, event.number)
                self._server.publish("ike-updown", {sa.connection: described})
        elif self._server.wanted("child-updown") and event.why is not Removal.REPLACED:
            if not self._has_others(sa):
                self._updown(sa, event.number, event)

    def _has_others(self, bundle: SABundle) -> bool:
        """Whether it was renewed, or is in place of another: then nothing went up or down."""
        return any(True for _ in others(self._node, bundle))

    def _updown(self, bundle: SABundle, number: int, gone: Removed | None = None) -> None:
        described = self._listing.child(bundle, number, gone)
        children: dict[str, Content] = {f"{bundle.policy.name}-{number}": described}
        self._tell_of_child("child-updown", bundle, children, gone is None)

    def _tell_of_child(
        self, event: str, bundle: SABundle, children: Mapping[str, Content], up: bool = False
    ) -> None:
        parent = self._node.registry.find(bundle.parent)
        around: dict[str, str | Content] = {}
        if IManagementSA.providedBy(parent):
            around.update(self._listing.management(parent, self._node.registry.number(parent)))
        around["child-sas"] = dict(children)
        content: dict[str, str | Content] = {"up": "yes"} if up else {}
        self._server.publish(event, {**content, bundle.connection: around})

    # -- failures ------------------------------------------------------------------------------

    def _failed(self, event: ExchangeFailed) -> None:
        if isinstance(event.error, Cancelled) or not self._server.wanted("alert"):
            return
        whose = {"name": event.connection, **cookies_of(event.cookies)}
        self._alert(event, alert(event), whose)

    def _refused(self, event: FirstMessageRefused) -> None:
        if self._server.wanted("alert"):
            self._alert(event, _of_ours(event.error, 0), {})

    def _alert(
        self, event: ExchangeFailed | FirstMessageRefused, kind: str, whose: Mapping[str, str]
    ) -> None:
        path, fields = event.path, event.fields
        self._server.publish(
            "alert",
            {
                "type": kind,
                "ike-sa": {
                    "local-host": path.local[0],
                    "remote-host": path.remote[0],
                    "peer": endpoint(path.remote),
                    **whose,
                },
                **{name: clipped(fields[name]) for name in _TOLD if name in fields},
                "msg": clipped(event.sentence),
            },
        )


def alert(event: ExchangeFailed) -> str:
    """What strongSwan calls such a failure."""
    phase = 0 if event.exchange in _PHASE_1 else 1
    error = event.error
    if isinstance(error, PeerRefused):
        return _REFUSALS.get(error.kind, ("peer-init-unreachable", "ts-mismatch"))[phase]
    if isinstance(error, ExchangeTimeout):
        if event.role is Role.RESPONDER:
            return "half-open-timeout"
        first = phase == 0 and not any(getattr(event.cookies, "responder", b"\1"))
        return "peer-init-unreachable" if first else "retransmit-send-timeout"
    return _of_ours(error, phase)


def _of_ours(error: PeerError, phase: int) -> str:
    """Of what was found here: in phase 1, or under an ISAKMP SA."""
    for kinds, names in _OURS:
        if isinstance(error, kinds):
            return names[phase]
    return "install-child-sa-failed" if phase else "authorization-failed"
