"""
The journal: one line of the log for each SA that comes or goes, and for what peers say of them.

The fields of a line have the same names everywhere, for whoever reads the log with a program:
``connection``, ``child``, ``peer`` and ``local`` (addresses), ``cookies``, ``spi_in``, ``spi_out``,
``why``, and ``uniqueid`` where a management SA ends.  No key is ever written.  What fails is
written where it fails.

The text of a line is made here, with ``str.format``, and is the field ``line``: Twisted's own
formatting takes ten times as long for each field.
"""

from __future__ import annotations

from collections.abc import Sequence

from isakmp.associations import ManagementKey, ProtectionSA, SABundle, Session
from isakmp.events import Established, NotificationReceived, Removal, Removed, Replaced
from isakmp.interfaces import IEvents, IManagementSA
from isakmp.logs import Logger
from isakmp.numbers import NotifyType
from isakmp.paths import endpoint

_MANAGEMENT = "{connection}, {what} {cookies} with {theirs} at {peer},"
_CHILD = "{connection}/{child}, SPI {spi_in} in, {spi_out} out,"


class Journal:
    """
    Writes into the log what a node's events say.

    :param powerless: the name of its sink, if that protects nothing and does not say so of every SA
        itself; else empty.
    """

    _log = Logger()

    def __init__(self, events: IEvents, powerless: str = "") -> None:
        self._powerless = powerless
        self._childless: set[ManagementKey] = set()
        self._info = self._log.info  # a logger makes another whenever it is looked up
        events.subscribe(Established, self._established)
        events.subscribe(Replaced, self._replaced)
        events.subscribe(Removed, self._removed)
        events.subscribe(NotificationReceived, self._notified)

    def _established(self, event: Established) -> None:
        sa = event.sa
        if isinstance(sa, SABundle):
            self._childless.discard(sa.parent)
            selectors = sa.policy.traffic
            fields = _child(sa)
            self._write(_CHILD + " is established: {selectors}", fields, selectors=selectors)
            if self._powerless:
                self._log.warn(
                    "not protected: {connection}/{child}: the sink {sink} protects no traffic",
                    connection=sa.connection,
                    child=sa.policy.name,
                    spi_in=fields["spi_in"],
                    spi_out=fields["spi_out"],
                    sink=self._powerless,
                )
        else:
            self._childless.add(sa.key)
            parameters = getattr(sa, "parameters", None)  # not every key exchange's SA has them
            algorithms = getattr(parameters, "spelled", "algorithms not told")
            text = _MANAGEMENT + " is established: {algorithms}"
            self._write(text, _management(sa), algorithms=algorithms)

    def _replaced(self, event: Replaced) -> None:
        if isinstance(event.new, SABundle):
            self._childless.discard(event.new.parent)

    def _removed(self, event: Removed) -> None:
        sa, why = event.sa, event.why.value
        if isinstance(sa, SABundle):
            self._write(_CHILD + " is gone: {why}", _child(sa), why=why)
        else:
            if sa.key in self._childless and event.why is Removal.DELETED_BY_PEER:
                # A responder has its SA before the initiator has seen who it is.
                why += f", before it had a child; it may not know this end as {sa.ours}"
            self._childless.discard(sa.key)
            fields = {**_management(sa), "uniqueid": str(event.number)}
            self._write(_MANAGEMENT + " is gone: {why}", fields, why=why)

    def _notified(self, event: NotificationReceived) -> None:
        # What is not proven could be said by anybody, and any number of times.
        if event.authenticated:
            self._log.info(
                "{peer} says {kind}",
                peer=endpoint(event.path.remote),
                local=endpoint(event.path.local),
                kind=NotifyType(event.kind).spelled,
            )

    def _write(self, text: str, fields: dict[str, str], **more: str) -> None:
        fields.update(more)
        self._info("{line}", line=text.format_map(fields), **fields)


def _management(sa: IManagementSA) -> dict[str, str]:
    """The fields of a management SA."""
    return {
        "connection": sa.connection,
        "what": "session" if isinstance(sa.key, Session) else "ISAKMP SA",
        "cookies": str(sa.key),
        "theirs": str(sa.theirs),
        "ours": str(sa.ours),
        "peer": endpoint(sa.path.remote),
        "local": endpoint(sa.path.local),
    }


def _child(bundle: SABundle) -> dict[str, str]:
    """The fields of a child."""
    return {
        "connection": bundle.connection,
        "child": bundle.policy.name,
        "cookies": str(bundle.parent),
        "spi_in": _spis(bundle.inbound),
        "spi_out": _spis(bundle.outbound),
        # Who receives by an SPI is its destination.
        "peer": _destination(bundle.outbound),
        "local": _destination(bundle.inbound),
    }


def _spis(sas: Sequence[ProtectionSA]) -> str:
    return " ".join(sa.key.spi.hex() for sa in sas) or "none"


def _destination(sas: Sequence[ProtectionSA]) -> str:
    return sas[0].key.destination if sas else ""
