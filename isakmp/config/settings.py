"""
``isakmp.toml``: what a daemon has to know and ``swanctl.conf`` has no words for.

Unknown keys are mistakes, all of them told at once; a key whose capability is not built yet is
refused when it is given.  A missing file means the defaults.
"""

from __future__ import annotations

import errno
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from isakmp.config.mistakes import Findings, Place, listed, similar
from isakmp.config.toml import Table, lines
from isakmp.connections import Limits
from isakmp.departures import LENIENCES, USUAL, Departures

MAX_OCTETS = 2**20
"""The most of the file."""

SINKS = ("auto", "xfrm", "log", "memory")
"""The sinks that come with the package."""

LEVELS = ("debug", "info", "warn", "error", "critical")
"""How much is logged: this and what is worse."""

EXCHANGES: Mapping[str, int] = MappingProxyType({"main": 2})
"""The exchanges a connection can be begun with, by name: RFC 2408 section 3.1."""

_EXCHANGES_LATER = ("aggressive", "base", "authentication-only")


@dataclass(frozen=True, slots=True)
class PluginNames:
    """
    What is switched on.

    :ivar sink: sinks besides those that come with the package.
    :ivar place: where that is said.
    """

    doi: tuple[str, ...] = ("isakmp", "ipsec")
    key_exchange: tuple[str, ...] = ("ike",)
    sink: tuple[str, ...] = ()
    place: Place = field(default=Place(""), compare=False)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """
    What is logged.

    :ivar level: one of :data:`LEVELS`.
    :ivar keys: a directory for the keys of all SAs, for Wireshark; empty: they are written nowhere.
    """

    level: str = "info"
    keys: str = ""


@dataclass(frozen=True, slots=True)
class ChildSettings:
    """
    What is said of a child beyond ``swanctl.conf``.

    :ivar suites: acceptable protection, as the domain of interpretation spells it; it replaces
        ``esp_proposals`` and ``mode``.  Empty: those hold.
    """

    place: Place = field(default=Place(""), compare=False)
    suites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """
    What is said of a connection beyond ``swanctl.conf``.

    :ivar doi: a domain of interpretation that is switched on, by name.
    :ivar key_exchange: likewise.
    :ivar exchange: the exchange type that begins it.
    :ivar lenient: what is overlooked in its peer's messages.
    :ivar children: by name.
    """

    place: Place = field(default=Place(""), compare=False)
    doi: str = "ipsec"
    key_exchange: str = "ike"
    exchange: int = 2
    lenient: Departures = USUAL
    children: Mapping[str, ChildSettings] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """
    All of ``isakmp.toml``.

    :ivar listen: addresses to bind; empty: all.
    :ivar port: the UDP port, and that of a connection that says none.
    :ivar port_nat_t: where NAT traversal goes on; not bound yet.
    :ivar sink: where finished SAs go.
    :ivar vici: the socket for control; None: none, as none is built yet.
    :ivar install_routes: whether routes are installed; no sink does yet.
    :ivar connections: by name.
    :ivar plugin_settings: what is handed over to each plugin, by its name.
    """

    listen: tuple[str, ...] = ()
    port: int = 500
    port_nat_t: int = 4500
    sink: str = "auto"
    vici: str | None = None
    install_routes: bool = False
    plugins: PluginNames = PluginNames()
    limits: Limits = Limits()
    log: LogSettings = LogSettings()
    connections: Mapping[str, ConnectionSettings] = field(default_factory=dict)
    plugin_settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def load(path: str | None) -> Settings:
    """
    Read a file.

    :param path: None, or a file that does not exist, means the defaults.
    :raises ConfigurationErrors: with every mistake: its line, its key, and what would be valid.
    """
    if path is None:
        return Settings()
    findings = Findings()
    text = _content(path, findings)
    document: dict[str, Any] = {}
    if text is not None:
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            findings.fault(Place(path, _line_of(error)), str(error))
        except RecursionError:
            findings.fault(Place(path), "its arrays or tables are too deep inside one another")
    found = _settings(Table(path, document, lines(text or ""), findings))
    findings.check()
    return found


def _content(path: str, findings: Findings) -> str | None:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            findings.fault(Place(path), "this is not a file")
            return None
        with open(path, "rb") as file:
            octets = file.read(MAX_OCTETS + 1)
        if len(octets) > MAX_OCTETS:
            findings.fault(Place(path), f"it has more than {MAX_OCTETS} octets")
            return None
        return octets.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        findings.fault(Place(path, line), "TOML is UTF-8, and this is not")
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) != errno.ENOENT:
            reason = getattr(error, "strerror", None) or str(error)
            findings.fault(Place(path), f"it cannot be read: {reason}")
    return None


def _line_of(error: tomllib.TOMLDecodeError) -> int:
    """The line that the text of the error names."""
    _, found, rest = str(error).rpartition("(at line ")
    number = rest.partition(",")[0]
    return int(number) if found and number.isdigit() else 0


def _settings(table: Table) -> Settings:
    default = Settings()
    plugins = _plugins(table.table("plugins"))
    sinks = (*SINKS, *plugins.sink)
    found = Settings(
        listen=table.addresses("listen"),
        port=table.integer("port", default.port, 1, 65535),
        sink=table.word("sink", default.sink, sinks, "there is no such sink"),
        plugins=plugins,
        limits=_limits(table.table("limits")),
        log=_log(table.table("log")),
        connections=MappingProxyType(
            {
                name: _connection(inner, plugins)
                for name, inner in table.table("connection").tables().items()
            }
        ),
        plugin_settings=_plugin_settings(table.table("plugin"), plugins),
    )
    table.refuse("port_nat_t", "NAT traversal is not built yet")
    table.refuse("vici", "the control socket is not built yet")
    table.off("install_routes", "no sink installs routes yet")
    table.end()
    return found


def _plugins(table: Table) -> PluginNames:
    default = PluginNames()
    found = PluginNames(
        doi=table.words("doi", default.doi),
        key_exchange=table.words("key_exchange", default.key_exchange),
        sink=table.words("sink", default.sink),
        place=table.place(),
    )
    table.end()
    return found


def _limits(table: Table) -> Limits:
    default = Limits()
    zero = ("refusals", "drops", "notifications")
    found: dict[str, Any] = {}
    for name in Limits.__slots__:
        value = getattr(default, name)
        if isinstance(value, float):
            found[name] = table.seconds(name, value)
        else:
            found[name] = table.integer(name, value, 0 if name in zero else 1, 2**31)
    table.end()
    return Limits(**found)


def _log(table: Table) -> LogSettings:
    found = LogSettings(level=table.word("level", "info", LEVELS), keys=table.text("keys", ""))
    table.end()
    return found


def _connection(table: Table, plugins: PluginNames) -> ConnectionSettings:
    default = ConnectionSettings()
    children = {name: _child(inner) for name, inner in table.table("children").tables().items()}
    not_switched_on = "it is not switched on: see [plugins]"
    exchange = table.word(
        "exchange",
        "main",
        tuple(EXCHANGES),
        "it is not built yet",
        only=_EXCHANGES_LATER,
    )
    lenient = table.words("lenient", tuple(sorted(default.lenient)))
    for name in lenient:
        if name not in LENIENCES:
            known = tuple(LENIENCES)
            table.mistake(
                "lenient",
                f"{name!r} cannot be overlooked{similar(name, known)}; valid: {listed(known)}",
            )
    found = ConnectionSettings(
        place=table.place(),
        doi=table.word("doi", default.doi, plugins.doi, not_switched_on),
        key_exchange=table.word(
            "key_exchange", default.key_exchange, plugins.key_exchange, not_switched_on
        ),
        exchange=EXCHANGES[exchange],
        lenient=frozenset(lenient) & frozenset(LENIENCES),
        children=MappingProxyType(children),
    )
    table.refuse("child_exchange", "another than the one that establishes children is not built")
    table.word("authentication", "psk", ("psk",), "other ways to authenticate are not built yet")
    table.end()
    return found


def _child(table: Table) -> ChildSettings:
    found = ChildSettings(place=table.place(), suites=table.words("suites", ()))
    table.refuse("identities", "children named by other identities than addresses are not built")
    table.end()
    return found


def _plugin_settings(table: Table, plugins: PluginNames) -> Mapping[str, Mapping[str, object]]:
    """Handed over as they are; but somebody has to be there who checks them."""
    known = (*plugins.doi, *plugins.key_exchange, *plugins.sink, *SINKS)
    found: dict[str, Mapping[str, object]] = {}
    for name, inner in table.tables().items():
        if name in known:
            found[name] = MappingProxyType(inner.document)
        else:
            inner.mistake("", f"no plugin {name} is switched on; there are: {', '.join(known)}")
    return MappingProxyType(found)
