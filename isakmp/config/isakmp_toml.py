"""
``isakmp.toml``, read and checked.

Unknown keys are mistakes, all of them told at once; a key whose capability is not built yet is
refused when it is given.  A missing file means the defaults.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import stat
import tomllib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from isakmp.config.mistakes import Findings, Place, listed, similar
from isakmp.config.settings import (
    EXCHANGES,
    FORMATS,
    LEVELS,
    SINKS,
    VICI,
    ChildSettings,
    ConnectionSettings,
    LogSettings,
    PluginNames,
    Settings,
    ViciSettings,
    tcp_address,
)
from isakmp.config.toml import Table, lines
from isakmp.connections import Limits
from isakmp.departures import LENIENCES
from isakmp.logs import MOST, NAMES, SILENT

MAX_OCTETS = 2**20
"""The most of the file."""

_KERNEL_TABLES = range(253, 256)
"""Default, main and local."""

_MAIN_TABLE_PRIO = 32766
"""Where the kernel has the rule of its main table: a later one would never count."""

_LONGEST_PATH = 107
"""The most octets of the path of a socket, on Linux."""


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
        vici=_vici(table),
        listen=table.addresses("listen"),
        port=table.integer("port", default.port, 1, 65535),
        sink=table.word("sink", default.sink, sinks, "there is no such sink"),
        install_routes=table.boolean("install_routes", None),
        routing_table=table.integer("routing_table", default.routing_table, 1, 2**32 - 1),
        routing_table_prio=table.integer(
            "routing_table_prio", default.routing_table_prio, 1, _MAIN_TABLE_PRIO - 1
        ),
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
    if found.routing_table in _KERNEL_TABLES:
        table.mistake("routing_table", f"{found.routing_table} is a table of the kernel's own")
    table.refuse("port_nat_t", "NAT traversal is not built yet")
    table.end()
    return found


def _vici(table: Table) -> ViciSettings:
    default = ViciSettings()
    found = ViciSettings(
        table.text("vici", default.uri, empty=True),
        table.integer("vici_mode", default.mode, 0o600, 0o777),
        table.text("vici_group", default.group),
        "vici" in table.document,
    )
    if found.uri and (fault := _socket_fault(found.uri)):
        table.mistake("vici", fault)
    return found


def _socket_fault(uri: str) -> str:
    """Why this is no place for the control socket; empty if it is one."""
    valid = f"valid are {VICI!r} and its like, 'tcp://127.0.0.1:4502', and '' for none"
    scheme, separator, rest = uri.partition("://")
    if scheme == "unix" and separator and rest.startswith("/"):
        octets = os.fsencode(rest)
        if b"\0" in octets or rest.endswith("/"):
            return f"{rest!r} is not the path of a socket"
        if len(octets) > _LONGEST_PATH:
            return f"a socket's path has at most {_LONGEST_PATH} octets, this has {len(octets)}"
        return ""
    if scheme == "tcp" and separator:
        try:
            host, port = tcp_address(uri)
        except ValueError:
            return f"{uri!r} is not an address with a port; {valid}"
        if not ipaddress.ip_address(host).is_loopback:
            return f"whoever reaches {host} could do everything: only loopback is served; {valid}"
        return "" if port else f"0 is not a port; {valid}"
    return f"{uri!r} is not understood; {valid}"


def _plugins(table: Table) -> PluginNames:
    default = PluginNames()
    found = PluginNames(
        doi=table.words("doi", default.doi),
        key_exchange=table.words("key_exchange", default.key_exchange),
        sink=table.words("sink", default.sink),
        rider=table.words("rider", default.rider),
        credentials=table.text("credentials", default.credentials),
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
    found = LogSettings(
        level=table.word("level", "info", LEVELS),
        keys=table.text("keys", ""),
        format=table.word("format", "text", FORMATS),
        levels=MappingProxyType(_group_levels(table.table("levels"))),
    )
    table.end()
    return found


def _group_levels(table: Table) -> dict[str, int]:
    """By group; of those that are not named ``level`` holds."""
    words = [group.lower() for group in NAMES]
    found = {
        group: table.integer(word, 0, SILENT, MOST)
        for group, word in zip(NAMES, words, strict=True)
    }
    table.end()
    return {group: found[group] for group in NAMES if group.lower() in table.document}


def _connection(table: Table, plugins: PluginNames) -> ConnectionSettings:
    default = ConnectionSettings()
    children = {name: _child(inner) for name, inner in table.table("children").tables().items()}
    not_switched_on = "it is not switched on: see [plugins]"
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
        exchange=table.word("exchange", "", tuple(EXCHANGES)),
        child_exchange=table.text("child_exchange", ""),
        lenient=frozenset(lenient) & frozenset(LENIENCES),
        children=MappingProxyType(children),
    )
    table.word("authentication", "psk", ("psk",), "other ways to authenticate are not built yet")
    table.end()
    return found


def _child(table: Table) -> ChildSettings:
    found = ChildSettings(
        place=table.place(),
        suites=table.words("suites", ()),
        identities=_identities(table),
    )
    table.end()
    return found


def _identities(table: Table) -> tuple[tuple[int, bytes], ...]:
    """Two, ours and the peer's: the type, a colon, and hexadecimal octets."""
    texts = table.words("identities", (), twice=True)
    found: list[tuple[int, bytes]] = []
    for text in texts:
        kind, _, octets = text.partition(":")
        try:
            found.append((int(kind), bytes.fromhex(octets)))
        except ValueError:
            found.append((-1, b""))
        if not 0 <= found[-1][0] <= 255:
            table.mistake(
                "identities", f"{text!r} is no identity: a type from 0 to 255 is expected, a "
                "colon, and hexadecimal octets"
            )
            return ()
    if len(found) not in (0, 2) or table.document.get("identities") == []:
        table.mistake("identities", "two are expected: ours, then the peer's")
        return ()
    return tuple(found)


def _plugin_settings(table: Table, plugins: PluginNames) -> Mapping[str, Mapping[str, object]]:
    """Handed over as they are; but somebody has to be there who checks them."""
    known = dict.fromkeys((*plugins.all, *SINKS))
    found: dict[str, Mapping[str, object]] = {}
    for name, inner in table.tables().items():
        if name in known:
            found[name] = MappingProxyType(inner.document)
        else:
            inner.mistake("", f"no plugin {name} is switched on; there are: {', '.join(known)}")
    return MappingProxyType(found)
