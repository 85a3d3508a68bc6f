"""
What can be switched on, and what is.

A plug-in is found by :func:`twisted.plugin.getPlugins`, and takes part only if the configuration
names it.  What comes with the package is given by :func:`builtin` instead of being found: every
``twistd --help`` reads ``twisted/plugins/isakmp_plugin.py``, and that has to stay light.

Domains of interpretation are told apart by their numbers (RFC 2408 section 3.4), key exchanges by
the Transform-ID of PROTO_ISAKMP (section 3.6).
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
    INegotiatingDomain,
    ISASink,
)

T = TypeVar("T")


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
    key_exchanges: tuple[IISAKMPKeyExchange, ...] = ()
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
        The key exchanges of these names, by Transform-ID.

        :raises ConfigurationError: as :meth:`enabled_dois`.
        """
        chosen = _chosen("key exchange", self.key_exchanges, names)
        for key_exchange in chosen:
            _verify(IISAKMPKeyExchange, key_exchange)
        return _by_number("Transform-ID", chosen, lambda kx: kx.transform_id)

    def enabled_sink(self, name: str) -> ISASink:
        """
        The sink of this name, made now.

        :raises ConfigurationError: if the name is unknown, or stands for two, or it is no sink.
        """
        (chosen,) = _chosen("sink", self.sinks, [name])
        sink = chosen.make()
        _verify(ISASink, sink)
        return sink


def builtin(entropy: Callable[[int], bytes] = os.urandom) -> Plugins:
    """
    What comes with the package.

    :param entropy: for what the sinks choose at random.
    """
    from isakmp.doi.ipsec import IPsecDOI
    from isakmp.doi.isakmp import ISAKMPDOI
    from isakmp.ike.key_exchange import IKE
    from isakmp.sinks.log import LogSink
    from isakmp.sinks.memory import MemorySink
    from isakmp.sinks.xfrm.sink import XFRMSink

    return Plugins(
        dois=(ISAKMPDOI(), IPsecDOI()),
        key_exchanges=(IKE(),),
        sinks=(
            SinkPlugin(MemorySink.name, lambda: MemorySink(entropy), MemorySink),
            SinkPlugin(LogSink.name, lambda: LogSink(entropy), LogSink),
            SinkPlugin("auto", lambda: XFRMSink(entropy=entropy), XFRMSink),
            SinkPlugin(XFRMSink.name, lambda: XFRMSink(entropy=entropy), XFRMSink),
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
        key_exchanges=tuple(getPlugins(IISAKMPKeyExchange, *where)),
        sinks=tuple(
            SinkPlugin(_name(sink), partial(_itself, sink), sink)
            for sink in getPlugins(ISASink, *where)
        ),
    )


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
