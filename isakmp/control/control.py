"""
The control of one daemon: its socket, its commands, and what its clients are told.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort

from isakmp.config.settings import ViciSettings
from isakmp.control.binding import listen
from isakmp.control.commands import commands
from isakmp.control.controlled import Controlled
from isakmp.control.counters import Counters
from isakmp.control.listing import Listing
from isakmp.control.server import ControlServer
from isakmp.control.watching import EVENTS, Watching
from isakmp.errors import ConfigurationError
from isakmp.logs import Logger


class Control:
    """
    Serves clients from :meth:`bind` to :meth:`stop`.

    :ivar server: its clients.
    """

    _log = Logger()

    def __init__(self, daemon: Controlled, reactor: Any) -> None:
        node = daemon.assembly.node
        listing = Listing(node, daemon.assembly.renewals)
        self._reactor = reactor
        self._counters = Counters(node)
        self._port: IListeningPort | None = None
        self.server = ControlServer(commands(daemon, listing, self._counters), EVENTS, node.clock)
        self._watching = Watching(node, listing, self.server)

    def bind(self, settings: ViciSettings) -> None:
        """
        Begin to accept clients; nothing if that is so already.

        :raises ConfigurationError: if the socket that was asked for cannot be had.  If it was not
            asked for, a line of the log says so.
        """
        if self._port is not None or not settings.uri:
            return
        try:
            self._port = listen(self._reactor, settings, self.server)
        except ConfigurationError as error:
            if settings.given:
                raise
            self._log.warn("no control by swanctl: {why}", why=str(error))

    def stop(self) -> Deferred[None]:
        """Serve nobody any more."""
        self._watching.stop()
        self._counters.stop()
        port, self._port = self._port, None
        closed = maybeDeferred(port.stopListening if port is not None else lambda: None)
        return closed.addCallback(lambda _: self.server.leave_all())
