"""
The daemon: a node that is configured by ``swanctl.conf`` and ``isakmp.toml``.

Everything is read and checked before anything is bound.  SIGHUP reads both again; what cannot be
then is logged, and the node goes on as it was.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import FrameType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall

from isakmp.associations import SABundle
from isakmp.config.load import Configuration
from isakmp.config.loaded import Loaded
from isakmp.config.settings import Settings
from isakmp.config.tree import Section
from isakmp.connections import Connection
from isakmp.control.control import Control
from isakmp.description import Description
from isakmp.errors import ConfigurationError
from isakmp.events import Established, Removed
from isakmp.interfaces import (
    IManagementSA,
    ISASink,
)
from isakmp.keylog import KeyLog
from isakmp.log_lines import set_format
from isakmp.logs import Logger, set_level
from isakmp.service import ISAKMPService
from isakmp.sinks.log import LogSink
from isakmp.systemd import Manager
from isakmp.updown import UpDown


class Daemon(ISAKMPService):
    """
    One configured node.

    :ivar description: what its files say, as it was read last.
    :ivar control: where clients of vici are served; None: nowhere.
    """

    _log = Logger()

    def __init__(
        self,
        description: Description,
        sink: ISASink | None = None,
        reactor: Any = None,
        manager: Manager | None = None,
    ) -> None:
        """
        :param description: what its files say; they are read again on SIGHUP.
        :param sink: instead of the configured one.
        :param manager: that has started it; by default the one that the environment names.
        :raises ConfigurationError: if what is configured cannot be.
        """
        own, configuration = description.settings, description.configuration
        self.description = description
        self._loaded = Loaded().reread(configuration)
        self._hangup: Any = None
        self._manager = manager or Manager()
        self._keys: KeyLog | None = None
        self._updown: UpDown | None = None
        self._signs: list[Callable[[], None]] = []
        self._told: IDelayedCall | None = None
        self.began = 0.0
        super().__init__(
            configuration.connections,
            description.enabled.credentials or configuration.secrets,
            listen=description.listen,
            sink=sink or description.sink(),
            reactor=reactor,
            limits=own.limits,
            dois=description.enabled.dois,
            key_exchanges=description.enabled.key_exchanges,
            riders=description.enabled.riders,
            settings=own.plugin_settings,
        )
        self.control = Control(self, self.reactor) if own.vici.uri else None

    @property
    def loaded(self) -> Loaded:
        """What it is configured with, from the files and by control."""
        return self._loaded

    @property
    def plugins(self) -> Sequence[str]:
        """What is switched on, by name."""
        return [*self.description.plugins, self.node.sink.name]

    def bind(self) -> None:
        """
        Open the sockets, that of control too; nothing if they are.

        :raises ConfigurationError: if one that was asked for cannot be had.
        """
        super().bind()
        if self.control is not None:
            self.control.bind(self.description.settings.vici)

    def startService(self) -> None:
        """
        Say what was ignored, begin to answer, and begin what shall stand.

        :raises SystemExit: with one line, if keys were to be written and cannot be.
        """
        self._speak(self.description.settings)
        self._warn()
        sink = self.node.sink
        if not sink.protects and sink.name != LogSink.name:  # that says so itself
            self._log.warn("the sink {sink} protects no traffic", sink=sink.name)
        if self.description.settings.log.keys:
            try:
                self._keys = KeyLog(self.description.settings.log.keys, self.node.events)
            except ConfigurationError as error:
                raise SystemExit(f"isakmp: {error}") from None
        self._updown = UpDown(self.node, self.reactor)
        super().startService()
        self.began = self.node.clock.seconds()
        self._hangup = signal.signal(signal.SIGHUP, self._hung_up)
        events = self.node.events
        self._signs = [
            events.subscribe(Established, self._changed),
            events.subscribe(Removed, self._changed),
        ]
        if self._manager.watchdog:
            alive = LoopingCall(self._manager.alive)
            alive.clock = self.reactor
            alive.start(self._manager.watchdog / 2)
            self._signs.append(alive.stop)
        self._manager.ready(self._status)

    def stopService(self) -> Deferred[None]:
        """Tell the peers, empty the sink, close the sockets."""
        if self._hangup is not None:
            signal.signal(signal.SIGHUP, self._hangup)
            self._hangup = None
        self._manager.stopping()
        for stop in self._signs:
            stop()
        self._signs = []
        if self._told is not None:
            self._told.cancel()
            self._told = None
        stopped = super().stopService()
        if self._updown is not None:
            updown, self._updown = self._updown, None
            # Only now: the children that are removed have to be down first.
            stopped.addBoth(lambda result: updown.stop().addCallback(lambda _: result))
        if self._keys is not None:
            self._keys.stop()
            self._keys = None
        if self.control is not None:
            control = self.control
            stopped.addBoth(lambda result: control.stop().addCallback(lambda _: result))
        return stopped

    @property
    def _status(self) -> str:
        children = sum(isinstance(sa, SABundle) for sa in self.node.registry)
        management = sum(1 for _ in self.node.registry) - children
        protected = "" if self.node.sink.protects else "; no traffic is protected"
        return (
            f"{len(self._connections)} connections, {management} ISAKMP SAs, "
            f"{children} children{protected}"
        )

    def _changed(self, event: Established | Removed) -> None:
        """Tell the manager soon, and of many changes at once."""
        if self._told is None:
            self._told = self.reactor.callLater(1.0, self._tell)

    def _tell(self) -> None:
        self._told = None
        self._manager.status(self._status)

    def read(self, tree: Section) -> Configuration:
        """
        What a part of a configuration says, with what ``isakmp.toml`` says of it.

        :raises ConfigurationErrors: with every mistake.
        """
        return self.description.read(tree)

    def apply(self, loaded: Loaded) -> None:
        """
        From now on this.  What stands and is not configured any more stays until it expires, but
        for children that were begun because the configuration said so: they are torn down, and so
        are those whose configuration is another now, which are begun again.

        :raises ConfigurationError: if it cannot be; then nothing has changed.
        """
        before = {one.name: one for one in self._loaded.connections}
        if loaded == self._loaded:
            return
        connections = loaded.connections
        listen = self.description.listen_for(connections)
        self.configure(connections, loaded.secrets, listen, quietly=True)
        self._loaded = loaded
        after = {one.name: one for one in connections}
        over = [one for name, one in before.items() if after.get(name) != one]
        if over:
            self._tear_down(over, after)
        if self.running:
            self._assembly.initiation.keep(connections, ended=False)

    def _tear_down(self, over: Sequence[Connection], after: Mapping[str, Connection]) -> None:
        """
        End what connections that are over began by themselves; with the last child goes the
        ISAKMP SA.

        :param after: the connections that count now.
        """
        gone: list[IManagementSA | SABundle] = []
        for connection in over:
            now = after.get(connection.name)
            same = now is not None and replace(now, children=()) == replace(connection, children=())
            kept = {child.name: child for child in now.children} if now and same else {}
            begun = {
                child.name
                for child in connection.children
                if child.start.starts and kept.get(child.name) != child
            }
            for sa in self.node.registry.by_connection(connection.name):
                bundles = self.node.registry.children(sa.key)
                ending = [one for one in bundles if one.policy.name in begun]
                gone += [sa] if ending and len(ending) == len(bundles) else ending
        if gone:
            self._delete(gone)

    def _hung_up(self, number: int, frame: FrameType | None) -> None:
        self.reactor.callFromThread(self.reload)

    def reload(self) -> str:
        """
        Read the files again: only what has changed changes.  What control loaded stays.

        A mistake is logged, and nothing changes.

        :return: why it cannot be; empty if it is done.
        """
        if not self.running:
            return "the daemon stops"  # it was stopped meanwhile
        self._manager.reloading()
        try:
            return self._reload()
        finally:
            self._manager.ready(self._status)

    def _reload(self) -> str:
        files = self.description.files
        try:
            found = files.read(self.description.settings)
            configuration = found.configuration
            loaded = self._loaded.reread(configuration)
            connections = loaded.connections
            self.configure(connections, loaded.secrets, found.listen_for(connections))
        except ConfigurationError as error:
            for line in str(error).splitlines():
                self._log.error("not reloaded: {line}", line=line)
            return str(error)
        self.description, self._loaded = found, loaded
        self._speak(found.settings)
        self._warn()
        self._log.info(
            "reloaded {file}: {count} connections",
            file=files.config,
            count=len(configuration.connections),
        )
        return ""

    @staticmethod
    def _speak(own: Settings) -> None:
        """As much, and in the format, as is configured."""
        set_level(own.log.level, own.log.levels)
        set_format(own.log.format)

    def _warn(self) -> None:
        for sentence in self.description.enabled.broken:
            self._log.warn("{line}", line=sentence)
        for name in self._loaded.hidden:
            self._log.warn(
                "{connection}: what a client loaded counts, not what {file} says of it",
                connection=name,
                file=self.description.files.config,
            )
        for warning in self.description.configuration.warnings:
            self._log.warn("{line}", line=str(warning))
        if self.description.later:
            self._log.warn(
                "{file}: what has changed besides connections and the log counts from the "
                "next start on",
                file=self.description.files.settings,
            )
