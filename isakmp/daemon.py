"""
The daemon: a node that is configured by ``swanctl.conf`` and ``isakmp.toml``.

Everything is read and checked before anything is bound.  SIGHUP reads both again; what cannot be
then is logged, and the node goes on as it was.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall

from isakmp.associations import SABundle
from isakmp.config import load, settings
from isakmp.config.load import Configuration
from isakmp.config.loaded import Loaded
from isakmp.config.mistakes import ConfigurationErrors, Mistake
from isakmp.config.settings import Settings
from isakmp.config.tree import Section
from isakmp.connections import Connection
from isakmp.control.control import Control
from isakmp.errors import ConfigurationError
from isakmp.events import Established, Removed
from isakmp.interfaces import (
    ICredentialStore,
    IDomainOfInterpretation,
    IKeyExchange,
    IManagementSA,
    IRiderType,
    ISASink,
)
from isakmp.keylog import KeyLog
from isakmp.log_lines import set_format
from isakmp.logs import Logger, set_level
from isakmp.paths import Address
from isakmp.plugins import (
    KeyExchange,
    Plugins,
    builtin,
    check_exchange_types,
    check_ports,
    configure,
    installed,
)
from isakmp.service import ISAKMPService
from isakmp.sinks.log import LogSink
from isakmp.systemd import Manager
from isakmp.updown import UpDown

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Files:
    """
    Where the configuration stands.

    :ivar config: ``swanctl.conf``.
    :ivar settings: ``isakmp.toml``; it may be missing.
    """

    config: str
    settings: str

    def read(self, running: Settings | None = None) -> Description:
        """
        Read both.

        :param running: what a daemon runs with.  Its sockets and plug-ins stay: of ``isakmp.toml``
            only what it says of connections, and of the log, counts then.
        :raises ConfigurationErrors: with every mistake of both.
        """
        mistakes: Sequence[Mistake] = ()
        said = own = Settings()
        try:
            said = own = settings.load(self.settings)
            if running is not None:
                own = replace(running, connections=said.connections, log=said.log)
            enabled = _enabled(own, self.settings)
        except ConfigurationErrors as errors:
            mistakes = errors.mistakes
            if any(one.key_exchange != "ike" for one in own.connections.values()):
                raise  # without these plug-ins nothing can be said of their connections
            said = own = Settings()
            enabled = _enabled(own, self.settings)
        try:
            configuration = load.load(
                self.config, own, dois=enabled.dois, key_exchanges=enabled.key_exchanges
            )
        except ConfigurationErrors as errors:
            raise ConfigurationErrors((*mistakes, *errors.mistakes)) from None
        if mistakes:
            raise ConfigurationErrors(mistakes)
        return Description(self, own, configuration, enabled, said != own)


@dataclass(frozen=True, slots=True)
class Enabled:
    """
    The plug-ins that are switched on.

    :ivar credentials: instead of the secrets of ``swanctl.conf``; None: those.
    :ivar broken: of each plug-in module that cannot be imported, its name and why.
    """

    dois: tuple[IDomainOfInterpretation, ...] = ()
    key_exchanges: tuple[KeyExchange, ...] = ()
    riders: tuple[IRiderType, ...] = ()
    credentials: ICredentialStore | None = None
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """
    What the files say of a daemon.

    :ivar settings: what counts of ``isakmp.toml``.
    :ivar enabled: the plug-ins that are switched on.
    :ivar later: whether ``isakmp.toml`` says more, which counts from the next start on.
    """

    files: Files
    settings: Settings
    configuration: Configuration
    enabled: Enabled
    later: bool = False

    @property
    def listen(self) -> Sequence[Address]:
        """What is to be bound for the connections of the file."""
        return self.listen_for(self.configuration.connections)

    def listen_for(self, connections: Iterable[Connection]) -> Sequence[Address]:
        """
        What is to be bound for ISAKMP: every address on the port, and on those that connections
        name.
        """
        own = {
            one.name for one in self.enabled.key_exchanges if IKeyExchange.providedBy(one)
        }
        spoken = (connection for connection in connections if connection.key_exchange not in own)
        ports = dict.fromkeys((self.settings.port, *(c.local_port for c in spoken)))
        hosts = self.settings.listen or _everywhere()
        return tuple((host, port) for port in ports for host in hosts)


class Daemon(ISAKMPService):
    """
    One configured node.
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
        self._description = description
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
            sink=sink or _plugins().enabled_sink(own.sink),
            reactor=reactor,
            limits=own.limits,
            dois=description.enabled.dois,
            key_exchanges=description.enabled.key_exchanges,
            riders=description.enabled.riders,
            settings=own.plugin_settings,
        )
        self._control = Control(self, self.reactor) if own.vici.uri else None

    @property
    def loaded(self) -> Loaded:
        """What it is configured with, from the files and by control."""
        return self._loaded

    @property
    def plugins(self) -> Sequence[str]:
        """What is switched on, by name."""
        found = self._description.enabled
        names = [one.name for one in (*found.dois, *found.key_exchanges, *found.riders)]
        return [*names, self.node.sink.name]

    def bind(self) -> None:
        """
        Open the sockets, that of control too; nothing if they are.

        :raises ConfigurationError: if one that was asked for cannot be had.
        """
        super().bind()
        if self._control is not None:
            self._control.bind(self._description.settings.vici)

    def startService(self) -> None:
        """
        Say what was ignored, begin to answer, and begin what shall stand.

        :raises SystemExit: with one line, if keys were to be written and cannot be.
        """
        self._speak(self._description.settings)
        self._warn()
        sink = self.node.sink
        if not sink.protects and sink.name != LogSink.name:  # that says so itself
            self._log.warn("the sink {sink} protects no traffic", sink=sink.name)
        if self._description.settings.log.keys:
            try:
                self._keys = KeyLog(self._description.settings.log.keys, self.node.events)
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
        if self._control is not None:
            control = self._control
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
        found = self._description
        return load.load_tree(
            tree,
            found.settings,
            dois=found.enabled.dois,
            key_exchanges=found.enabled.key_exchanges,
        )

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
        listen = self._description.listen_for(connections)
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
        files = self._description.files
        try:
            found = files.read(self._description.settings)
            configuration = found.configuration
            loaded = self._loaded.reread(configuration)
            connections = loaded.connections
            self.configure(connections, loaded.secrets, found.listen_for(connections))
        except ConfigurationError as error:
            for line in str(error).splitlines():
                self._log.error("not reloaded: {line}", line=line)
            return str(error)
        self._description, self._loaded = found, loaded
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
        for sentence in self._description.enabled.broken:
            self._log.warn("{line}", line=sentence)
        for name in self._loaded.hidden:
            self._log.warn(
                "{connection}: what a client loaded counts, not what {file} says of it",
                connection=name,
                file=self._description.files.config,
            )
        for warning in self._description.configuration.warnings:
            self._log.warn("{line}", line=str(warning))
        if self._description.later:
            self._log.warn(
                "{file}: what has changed besides connections and the log counts from the "
                "next start on",
                file=self._description.files.settings,
            )


def _plugins() -> Plugins:
    return builtin() + installed()


def _enabled(own: Settings, file: str) -> Enabled:
    """
    What is switched on, verified, and each plug-in given its settings.

    :param file: where that is said.
    :raises ConfigurationErrors: if one of them, or a sink, is not there, or cannot be used.
    """
    available, names = _plugins(), own.plugins
    mistakes: list[Mistake] = []

    def told(key: str, choose: Callable[[], R]) -> R | None:
        try:
            return choose()
        except ConfigurationError as error:
            mistakes.append(Mistake(file, names.place.line, key, str(error)))
            return None

    dois = told("plugins.doi", lambda: tuple(available.enabled_dois(names.doi).values())) or ()
    spoken = (
        told(
            "plugins.key_exchange",
            lambda: tuple(available.enabled_key_exchanges(names.key_exchange).values()),
        )
        or ()
    )
    key_exchanges: tuple[KeyExchange, ...] = spoken
    told("plugins", lambda: check_exchange_types(dois, spoken))
    if not mistakes:
        key_exchanges += told("plugins.key_exchange", lambda: _headers(available, own)) or ()
    riders = told("plugins.rider", lambda: tuple(available.enabled_riders(names.rider))) or ()
    credentials = None
    if names.credentials:
        credentials = told(
            "plugins.credentials", lambda: available.enabled_credentials(names.credentials)
        )
    sinks = dict.fromkeys(sink.name for sink in available.sinks)
    for name in names.sink:
        if name not in sinks:
            text = f"no sink is named {name!r}; there are: {', '.join(sinks)}"
            mistakes.append(Mistake(file, names.place.line, "plugins.sink", text))
    if mistakes:
        raise ConfigurationErrors(mistakes)
    # Key exchanges with a header of their own have got theirs when they were made.
    on = (*dois, *spoken, *riders, *(s for s in available.sinks if s.name == own.sink))
    stores = () if credentials is None else (credentials,)
    told("plugin", lambda: configure((*on, *stores), own.plugin_settings))
    if mistakes:
        raise ConfigurationErrors(mistakes)
    return Enabled(dois, key_exchanges, riders, credentials, available.broken)


def _headers(available: Plugins, own: Settings) -> tuple[IKeyExchange, ...]:
    """:raises ConfigurationError: if one cannot be used, or has a port of ISAKMP's."""
    headers = available.enabled_headers(own.plugins.key_exchange, own.plugin_settings)
    check_ports(headers, {own.port})
    return headers


def _everywhere() -> tuple[str, ...]:
    """What is listened on if nothing is said: IPv6 too, where this host has it."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return ("0.0.0.0",)
    return "0.0.0.0", "::"
