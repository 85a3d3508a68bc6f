"""
What the files of a daemon say: ``swanctl.conf`` and ``isakmp.toml``, read and checked, and the
plug-ins that they switch on.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from isakmp.config import isakmp_toml, load
from isakmp.config.load import Configuration
from isakmp.config.mistakes import ConfigurationErrors, Mistake
from isakmp.config.settings import Settings
from isakmp.config.tree import Section
from isakmp.connections import Connection
from isakmp.errors import ConfigurationError
from isakmp.interfaces import (
    ICredentialStore,
    IDomainOfInterpretation,
    IKeyExchange,
    IRiderType,
    IRouting,
    ISASink,
)
from isakmp.paths import Address
from isakmp.plugins import (
    KeyExchange,
    Plugins,
    available,
    check_exchange_types,
    check_ports,
    configure,
)

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
            said = own = isakmp_toml.load(self.settings)
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
    def plugins(self) -> Sequence[str]:
        """What is switched on, by name; not the sink."""
        found = self.enabled
        return [one.name for one in (*found.dois, *found.key_exchanges, *found.riders)]

    def sink(self) -> ISASink:
        """
        The configured sink, made now, and told where its routes are to be.

        :raises ConfigurationError: if there is none of that name, or it cannot be one.
        """
        sink = available().enabled_sink(self.settings.sink)
        if IRouting.providedBy(sink):
            IRouting(sink).route(self.settings.routing)
        return sink

    def read(self, tree: Section) -> Configuration:
        """
        What a part of a configuration says, with what ``isakmp.toml`` says of it.

        :raises ConfigurationErrors: with every mistake.
        """
        return load.load_tree(
            tree,
            self.settings,
            dois=self.enabled.dois,
            key_exchanges=self.enabled.key_exchanges,
        )

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


def _enabled(own: Settings, file: str) -> Enabled:
    """
    What is switched on, verified, and each plug-in given its settings.

    :param file: where that is said.
    :raises ConfigurationErrors: if one of them, or a sink, is not there, or cannot be used.
    """
    found, names = available(), own.plugins
    mistakes: list[Mistake] = []

    def told(key: str, choose: Callable[[], R]) -> R | None:
        try:
            return choose()
        except ConfigurationError as error:
            mistakes.append(Mistake(file, names.place.line, key, str(error)))
            return None

    dois = told("plugins.doi", lambda: tuple(found.enabled_dois(names.doi).values())) or ()
    spoken = (
        told(
            "plugins.key_exchange",
            lambda: tuple(found.enabled_key_exchanges(names.key_exchange).values()),
        )
        or ()
    )
    key_exchanges: tuple[KeyExchange, ...] = spoken
    told("plugins", lambda: check_exchange_types(dois, spoken))
    if not mistakes:
        key_exchanges += told("plugins.key_exchange", lambda: _headers(found, own)) or ()
    riders = told("plugins.rider", lambda: tuple(found.enabled_riders(names.rider))) or ()
    credentials = None
    if names.credentials:
        credentials = told(
            "plugins.credentials", lambda: found.enabled_credentials(names.credentials)
        )
    sinks = dict.fromkeys(sink.name for sink in found.sinks)
    for name in names.sink:
        if name not in sinks:
            text = f"no sink is named {name!r}; there are: {', '.join(sinks)}"
            mistakes.append(Mistake(file, names.place.line, "plugins.sink", text))
    for sink in found.sinks:
        if sink.name == own.sink and own.install_routes and not _routes(sink.provided):
            text = f"the sink {sink.name} installs no routes; leave it out"
            mistakes.append(Mistake(file, 0, "install_routes", text))
    if mistakes:
        raise ConfigurationErrors(mistakes)
    # Key exchanges with a header of their own have got theirs when they were made.
    on = (*dois, *spoken, *riders, *(s for s in found.sinks if s.name == own.sink))
    stores = () if credentials is None else (credentials,)
    told("plugin", lambda: configure((*on, *stores), own.plugin_settings))
    if mistakes:
        raise ConfigurationErrors(mistakes)
    return Enabled(dois, key_exchanges, riders, credentials, found.broken)


def _routes(provided: object) -> bool:
    """Whether a sink, or what makes one, can install routes."""
    if isinstance(provided, type):
        return bool(IRouting.implementedBy(provided))
    return IRouting.providedBy(provided)


def _headers(found: Plugins, own: Settings) -> tuple[IKeyExchange, ...]:
    """:raises ConfigurationError: if one cannot be used, or has a port of ISAKMP's."""
    headers = found.enabled_headers(own.plugins.key_exchange, own.plugin_settings)
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
