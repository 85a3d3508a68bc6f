"""
The daemon: a node that is configured by ``swanctl.conf`` and ``isakmp.toml``.

Everything is read and checked before anything is bound.  SIGHUP reads both again; what cannot be
then is logged, and the node goes on as it was.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from twisted.internet.defer import Deferred

from isakmp.config import load, settings
from isakmp.config.load import Configuration
from isakmp.config.settings import Settings
from isakmp.errors import ConfigurationError
from isakmp.interfaces import ISASink
from isakmp.logs import Logger, set_level
from isakmp.paths import Address
from isakmp.plugins import Plugins, builtin, installed
from isakmp.service import ISAKMPService


@dataclass(frozen=True, slots=True)
class Files:
    """
    Where the configuration stands.

    :ivar config: ``swanctl.conf``.
    :ivar settings: ``isakmp.toml``, or None.
    """

    config: str
    settings: str | None = None

    def read(self) -> tuple[Settings, Configuration]:
        """
        Read both.

        :raises ConfigurationErrors: with every mistake of the first file that has one.
        """
        own = settings.load(self.settings)
        available = _plugins()
        return own, load.load(
            self.config,
            own,
            dois=tuple(available.enabled_dois(own.plugins.doi).values()),
            key_exchanges=tuple(
                available.enabled_key_exchanges(own.plugins.key_exchange).values()
            ),
        )


def _plugins() -> Plugins:
    return builtin() + installed()


class Daemon(ISAKMPService):
    """
    One configured node.

    :param files: read again on SIGHUP.
    :param own: what ``isakmp.toml`` says; it is not read again, because sockets and plug-ins stay.
    """

    _log = Logger()

    def __init__(
        self,
        files: Files,
        own: Settings,
        configuration: Configuration,
        sink: ISASink | None = None,
        reactor: Any = None,
    ) -> None:
        """
        :param sink: instead of the configured one.
        :raises ConfigurationError: if what is configured cannot be.
        """
        available = _plugins()
        self._files = files
        self._own = own
        self._warnings = configuration.warnings
        self._hangup: object = None
        super().__init__(
            configuration.connections,
            configuration.secrets,
            listen=_addresses(own, configuration),
            sink=sink or available.enabled_sink(own.sink),
            reactor=reactor,
            limits=own.limits,
            dois=tuple(available.enabled_dois(own.plugins.doi).values()),
            key_exchanges=tuple(
                available.enabled_key_exchanges(own.plugins.key_exchange).values()
            ),
            settings=own.plugin_settings,
        )

    def startService(self) -> None:
        """Say what was ignored, begin to answer, and begin what shall stand."""
        set_level(self._own.log.level)
        self._warn(self._warnings)
        super().startService()
        self._hangup = signal.signal(signal.SIGHUP, self._hung_up)

    def stopService(self) -> Deferred[None]:
        """Tell the peers, empty the sink, close the sockets."""
        if self._hangup is not None:
            signal.signal(signal.SIGHUP, self._hangup)  # type: ignore[arg-type]
            self._hangup = None
        return super().stopService()

    def _hung_up(self, number: int, frame: FrameType | None) -> None:
        self.reactor.callFromThread(self.reload)

    def reload(self) -> None:
        """
        Read ``swanctl.conf`` again: only what has changed changes.

        A mistake is logged, and nothing changes.
        """
        try:
            own, configuration = self._files.read()
            if own != self._own:
                self._log.warn("isakmp.toml has changed: that counts from the next start on")
            self.configure(configuration.connections, configuration.secrets)
        except ConfigurationError as error:
            for line in str(error).splitlines():
                self._log.error("not reloaded: {line}", line=line)
            return
        self._warn(configuration.warnings)
        self._log.info(
            "reloaded {config}: {count} connections",
            config=self._files.config,
            count=len(configuration.connections),
        )

    def _warn(self, warnings: Sequence[object]) -> None:
        for warning in warnings:
            self._log.warn("{warning}", warning=str(warning))


def _addresses(own: Settings, configuration: Configuration) -> tuple[Address, ...]:
    """What is to be bound: every address on the port, and on those that connections name."""
    ports = dict.fromkeys((own.port, *(c.local_port for c in configuration.connections)))
    return tuple((host, port) for port in ports for host in own.listen or _everywhere())


def _everywhere() -> tuple[str, ...]:
    """What is listened on if nothing is said: IPv6 too, where this host has it."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return ("0.0.0.0",)
    return "0.0.0.0", "::"
