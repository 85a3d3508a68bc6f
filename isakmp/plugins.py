"""
What can be switched on, and what is.

A plug-in is found by :func:`twisted.plugin.getPlugins`, and takes part only if the configuration
names it.  What comes with the package is given by :func:`builtin` instead of being found: every
``twistd --help`` reads ``twisted/plugins/isakmp_plugin.py``, and that has to stay light.

Domains of interpretation are told apart by their numbers (RFC 2408 section 3.4), key exchanges by
the Transform-ID of PROTO_ISAKMP (section 3.6); those with a header of their own by port and major
version.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, TypeVar

from twisted.plugin import getPlugins
from zope.interface import Interface
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from isakmp.errors import ConfigurationError
from isakmp.interfaces import (
    IDomainOfInterpretation,
    IISAKMPKeyExchange,
    IKeyExchange,
    INegotiatingDomain,
    ISASink,
)
from isakmp.node import ISAKMP

T = TypeVar("T")

KeyExchange = IISAKMPKeyExchange | IKeyExchange
"""One that is spoken in RFC 2408's exchanges, or one with a header of its own."""

ISAKMP_VERSION = 1
"""The major version in the header of RFC 2408 section 3.1."""


@dataclass(frozen=True, slots=True)
class SinkPlugin:
    """
    A sink that is made when it is switched on.

    :ivar provided: what was found; only for messages.
    """

    name: str
    make: Callable[[], ISASink]
    provided: object


@dataclass(frozen=True, slots=True)
class Plugins:
    """What can be switched on; nothing here is verified yet."""

    dois: tuple[IDomainOfInterpretation, ...] = ()
    key_exchanges: tuple[KeyExchange, ...] = ()
    sinks: tuple[SinkPlugin, ...] = ()

    def __add__(self, other: Plugins) -> Plugins:
        """These and those."""
        return Plugins(
            self.dois + other.dois,
            self.key_exchanges + other.key_exchanges,
            self.sinks + other.sinks,
        )

    def enabled_dois(self, names: Collection[str]) -> Mapping[int, IDomainOfInterpretation]:
        """
        The domains of interpretation of these names, by number.

        :raises ConfigurationError: if a name is unknown, or stands for two; two have one number; or
            one is not what it says.
        """
        chosen = _chosen("domain of interpretation", self.dois, names)
        for doi in chosen:
            negotiates = INegotiatingDomain.providedBy(doi)
            _verify(INegotiatingDomain if negotiates else IDomainOfInterpretation, doi)
        return _by_number("number", chosen, lambda doi: doi.number)

    def enabled_key_exchanges(self, names: Collection[str]) -> Mapping[int, IISAKMPKeyExchange]:
        """
        The key exchanges of these names that are spoken in RFC 2408's exchanges, by Transform-ID.

        :raises ConfigurationError: as :meth:`enabled_dois`.
        """
        chosen = [
            key_exchange
            for key_exchange in _chosen("key exchange", self.key_exchanges, names)
            if not IKeyExchange.providedBy(key_exchange)
        ]
        for key_exchange in chosen:
            _verify(IISAKMPKeyExchange, key_exchange)
        return _by_number("Transform-ID", chosen, lambda kx: kx.transform_id)

    def enabled_headers(
        self,
        names: Collection[str],
        settings: Mapping[str, Mapping[str, object]] | None = None,
    ) -> tuple[IKeyExchange, ...]:
        """
        The key exchanges of these names that have a header of their own.

        :param settings: each is configured with those of its name; None: they are already.
        :raises ConfigurationError: as :meth:`enabled_dois`, if two have one port and major version,
            or one refuses its settings.
        """
        found: list[IKeyExchange] = []
        for plugin in _chosen("key exchange", self.key_exchanges, names):
            if not IKeyExchange.providedBy(plugin):
                continue
            _verify(IKeyExchange, plugin)
            found.append(plugin if settings is None else _configured(plugin, settings))
        taken: dict[tuple[int, int], IKeyExchange] = {}
        for key_exchange in found:
            if key_exchange.name == ISAKMP:
                raise ConfigurationError(
                    f"{_described(key_exchange)} has the name of the framework's own"
                )
            for port in key_exchange.ports:
                other = taken.setdefault((port, key_exchange.version), key_exchange)
                if other is not key_exchange:
                    raise ConfigurationError(
                        f"{_described(other)} and {_described(key_exchange)} have the same port "
                        f"and major version, {port} and {key_exchange.version}"
                    )
        return tuple(found)

    def enabled_sink(self, name: str) -> ISASink:
        """
        The sink of this name, made now.

        :raises ConfigurationError: if the name is unknown, or stands for two, or it is no sink.
        """
        (chosen,) = _chosen("sink", self.sinks, [name])
        sink = chosen.make()
        _verify(ISASink, sink)
        return sink


def check_ports(headers: Sequence[IKeyExchange], ports: Collection[int]) -> None:
    """
    A port of ISAKMP's can be shared, but not with the same major version.

    :param ports: where ISAKMP listens.
    :raises ConfigurationError: naming who has it too.
    """
    for key_exchange in headers:
        shared = [port for port in key_exchange.ports if port in ports]
        if shared and key_exchange.version == ISAKMP_VERSION:
            raise ConfigurationError(
                f"{_described(key_exchange)} and ISAKMP have the same port and major version, "
                f"{shared[0]} and {ISAKMP_VERSION}"
            )


def builtin(entropy: Callable[[int], bytes] = os.urandom) -> Plugins:
    """
    What comes with the package.

    :param entropy: for what the sinks choose at random.
    """
    from isakmp.doi.ipsec import IPsecDOI
    from isakmp.doi.isakmp import ISAKMPDOI
    from isakmp.ike.key_exchange import IKE
    from isakmp.kink.key_exchange import kink
    from isakmp.sinks.log import LogSink
    from isakmp.sinks.memory import MemorySink

    return Plugins(
        dois=(ISAKMPDOI(), IPsecDOI()),
        key_exchanges=(IKE(), kink),
        sinks=(
            SinkPlugin(MemorySink.name, lambda: MemorySink(entropy), MemorySink),
            SinkPlugin(LogSink.name, lambda: LogSink(entropy), LogSink),
        ),
    )


def installed(package: ModuleType | None = None) -> Plugins:
    """
    What other packages have put among Twisted's plug-ins.

    :param package: where to look; ``twisted.plugins`` unless told.
    """
    where = () if package is None else (package,)
    return Plugins(
        dois=tuple(getPlugins(IDomainOfInterpretation, *where)),
        key_exchanges=(
            *getPlugins(IISAKMPKeyExchange, *where),
            *getPlugins(IKeyExchange, *where),
        ),
        sinks=tuple(
            SinkPlugin(_name(sink), partial(_itself, sink), sink)
            for sink in getPlugins(ISASink, *where)
        ),
    )


def _configured(
    key_exchange: IKeyExchange, settings: Mapping[str, Mapping[str, object]]
) -> IKeyExchange:
    name = key_exchange.name
    try:
        return key_exchange.configured(settings.get(name, {}))
    except ConfigurationError as error:
        raise ConfigurationError(f"[plugin.{name}] {error}") from error


def _itself(sink: ISASink) -> ISASink:
    return sink


def _name(plugin: object) -> str:
    """Its name; one that has none cannot be switched on."""
    return str(getattr(plugin, "name", ""))


def _chosen(what: str, plugins: Sequence[T], names: Collection[str]) -> list[T]:
    """Those of these names, in the order of the names; each name stands for one."""
    chosen: list[T] = []
    for name in dict.fromkeys(names):
        found = [plugin for plugin in plugins if name and _name(plugin) == name]
        if not found:
            known = ", ".join(sorted({_name(plugin) for plugin in plugins} - {""})) or "none"
            raise ConfigurationError(f"no {what} is named {name!r}; there are: {known}")
        if len(found) > 1:
            raise ConfigurationError(
                f"more than one {what} is named {name!r}: {', '.join(map(_described, found))}"
            )
        chosen += found
    return chosen


def _by_number(what: str, plugins: Sequence[T], number: Callable[[T], int]) -> Mapping[int, T]:
    numbered: dict[int, T] = {}
    for plugin in plugins:
        other = numbered.setdefault(number(plugin), plugin)
        if other is not plugin:
            raise ConfigurationError(
                f"{_described(other)} and {_described(plugin)} have the same {what}, "
                f"{number(plugin)}"
            )
    return numbered


def _verify(interface: type[Interface], plugin: object) -> None:
    try:
        verifyObject(interface, plugin)
    except Invalid as error:
        text = " ".join(str(error).split())
        raise ConfigurationError(f"{_described(plugin)} cannot be used: {text}") from error


def _described(plugin: object) -> str:
    """Its name, and where it is from."""
    provided: Any = plugin.provided if isinstance(plugin, SinkPlugin) else plugin
    kind = provided if isinstance(provided, type) else type(provided)
    return f"{_name(plugin)} ({kind.__module__}.{kind.__qualname__})"
