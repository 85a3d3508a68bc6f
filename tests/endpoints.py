"""
Endpoints of key exchanges that say nothing, for tests of what is above them.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from isakmp.associations import SABundle
from isakmp.connections import Child, Connection
from isakmp.events import Removal
from isakmp.interfaces import IExchange, IExchanges, IKeyExchangeEndpoint, IManagementSA
from isakmp.paths import Datagram


@implementer(IKeyExchangeEndpoint)
class SilentEndpoint:
    """
    Notes what it is asked; it is no IExchanges.

    :ivar heard: the octets of datagrams.
    :ivar deleted: what was to be, and why.
    """

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.deleted: list[tuple[IManagementSA | SABundle, Removal]] = []
        self.closed = False

    def datagram_received(self, datagram: Datagram) -> None:
        """Note it."""
        self.heard.append(datagram.octets)

    def establish(
        self,
        connection: Connection,
        child: Child | Sequence[Child],
        sa: IManagementSA | None = None,
    ) -> Deferred[Sequence[SABundle]]:
        """Nothing comes of it."""
        return succeed(())

    def reauthenticate(self, sa: IManagementSA) -> Deferred[IManagementSA]:
        """The same goes on."""
        return succeed(sa)

    def delete(
        self,
        sas: Sequence[IManagementSA | SABundle],
        why: Removal = Removal.DELETED,
        force: bool = False,
    ) -> Deferred[None]:
        """Note it."""
        self.deleted += [(sa, why) for sa in sas]
        return succeed(None)

    def close(self) -> Deferred[None]:
        """Note it."""
        self.closed = True
        return succeed(None)


@implementer(IExchanges)
class SilentExchanges(SilentEndpoint):
    """The same, with exchanges, none of which runs."""

    def begin(self, sa: IManagementSA, number: int, order: object) -> Deferred[object]:
        """Nothing comes of it."""
        return succeed(None)

    def running(self) -> Sequence[IExchange]:
        """None."""
        return ()
