"""
What a daemon has to know and ``swanctl.conf`` has no words for, and what is so if nobody says it.

:mod:`isakmp.config.isakmp_toml` reads it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from isakmp.config.mistakes import Place
from isakmp.connections import Limits, Routing
from isakmp.departures import USUAL, Departures

VICI = "unix:///run/isakmp/isakmp.vici"
"""Where control is had, if nothing is said."""

SINKS = ("auto", "xfrm", "log", "memory")
"""The sinks that come with the package."""

LEVELS = ("debug", "info", "warn", "error", "critical")
"""How much is logged: this and what is worse."""

FORMATS = ("text", "json")
"""How a line of the log is written."""

EXCHANGES: Mapping[str, int] = MappingProxyType(
    {
        "main": 2,
        "identity-protection": 2,
        "aggressive": 4,
        "base": 1,
        "authentication-only": 3,
    }
)
"""
The exchanges a connection can be begun with, by name: RFC 2408 section 3.1; Identity Protection has
IKE's name for it too.
"""


@dataclass(frozen=True, slots=True)
class PluginNames:
    """
    What is switched on.

    :ivar sink: sinks besides those that come with the package.
    :ivar rider: what travels with exchanges besides what always does.
    :ivar credentials: where secrets are, instead of ``swanctl.conf``; empty: there.
    :ivar place: where that is said.
    """

    doi: tuple[str, ...] = ("isakmp", "ipsec")
    key_exchange: tuple[str, ...] = ("ike",)
    sink: tuple[str, ...] = ()
    rider: tuple[str, ...] = ()
    credentials: str = ""
    place: Place = field(default=Place(""), compare=False)

    @property
    def all(self) -> tuple[str, ...]:
        """Every name, each once."""
        named = (*self.doi, *self.key_exchange, *self.sink, *self.rider, self.credentials)
        return tuple(dict.fromkeys(name for name in named if name))


@dataclass(frozen=True, slots=True)
class LogSettings:
    """
    What is logged.

    :ivar level: one of :data:`LEVELS`.
    :ivar format: ``text``, or ``json``: one object in each line.
    :ivar levels: of some groups, as strongSwan counts: -1 nothing, 0 to 3 ever more.
    :ivar keys: a directory for the keys of all SAs, for Wireshark; empty: they are written nowhere.
    """

    level: str = "info"
    keys: str = ""
    format: str = "text"
    levels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ViciSettings:
    """
    Where ``swanctl`` and other clients of vici are served.

    :ivar uri: ``unix://`` and a path, or ``tcp://`` and a loopback address with a port; empty: they
        are not served.
    :ivar mode: the permissions of a socket with a path.
    :ivar group: to which group it belongs; empty: to the daemon's.
    :ivar given: whether the first was said, and is not the default.
    """

    uri: str = VICI
    mode: int = 0o770
    group: str = ""
    given: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class ChildSettings:
    """
    What is said of a child beyond ``swanctl.conf``.

    :ivar suites: acceptable protection, as the domain of interpretation spells it; it replaces
        ``esp_proposals`` and ``mode``.  Empty: those hold.
    :ivar identities: what names the traffic, ours and the peer's, each a type and its octets;
        empty: ``local_ts`` and ``remote_ts`` name it.
    """

    place: Place = field(default=Place(""), compare=False)
    suites: tuple[str, ...] = ()
    identities: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """
    What is said of a connection beyond ``swanctl.conf``.

    :ivar doi: a domain of interpretation that is switched on, by name.
    :ivar key_exchange: likewise.
    :ivar exchange: the name of the exchange type that begins it; empty: what ``swanctl.conf`` says.
    :ivar child_exchange: the name of the one that makes its children; empty: the key exchange, or
        the domain of interpretation, has one for that.
    :ivar lenient: what is overlooked in its peer's messages.
    :ivar children: by name.
    """

    place: Place = field(default=Place(""), compare=False)
    doi: str = "ipsec"
    key_exchange: str = "ike"
    exchange: str = ""
    child_exchange: str = ""
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
    :ivar vici: where control is had.
    :ivar install_routes: whether the sink is to install routes; None: if it can.
    :ivar routing_table: where it installs them.
    :ivar routing_table_prio: of the rule that has the kernel look there.
    :ivar connections: by name.
    :ivar plugin_settings: what is handed over to each plugin, by its name.
    """

    listen: tuple[str, ...] = ()
    port: int = 500
    port_nat_t: int = 4500
    sink: str = "auto"
    vici: ViciSettings = ViciSettings()
    install_routes: bool | None = None
    routing_table: int = 220
    routing_table_prio: int = 220
    plugins: PluginNames = PluginNames()
    limits: Limits = Limits()
    log: LogSettings = LogSettings()
    connections: Mapping[str, ConnectionSettings] = field(default_factory=dict)
    plugin_settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def routing(self) -> Routing | None:
        """Where a sink that can install routes is to do so; None: nowhere."""
        if self.install_routes is False:
            return None
        return Routing(self.routing_table, self.routing_table_prio)


def tcp_address(uri: str) -> tuple[str, int]:
    """
    Host and port of ``tcp://127.0.0.1:4502`` or ``tcp://[::1]:4502``.

    :raises ValueError: if it is neither.
    """
    host, _, port = uri.removeprefix("tcp://").rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (
        not (port.isascii() and port.isdigit())
        or int(port) > 65535
        or (":" in host and bare == host)
    ):
        raise ValueError(uri)
    return str(ipaddress.ip_address(bare)), int(port)
