"""
What can be switched on, and what is.

A plug-in is found by :func:`twisted.plugin.getPlugins`, and takes part only if the configuration
names it.  What comes with the package is given by :func:`builtin` instead of being found: every
``twistd --help`` reads ``twisted/plugins/isakmp_plugin.py``, and that has to stay light.

Domains of interpretation are told apart by their numbers (RFC 2408 section 3.4), key exchanges by
the Transform-ID of PROTO_ISAKMP (section 3.6), those with a header of their own by port and major
version, exchange types by their numbers within a domain (section 3.1).

Whatever is wrong with a plug-in that is switched on is one sentence with its name and its module; a
plug-in that is not switched on may be anything.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, TypeVar

from twisted.plugin import getCache, getPlugins
from twisted.python.modules import getModule
from zope.interface import Interface
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from isakmp.errors import ConfigurationError
from isakmp.interfaces import (
    IConfigurable,
    ICredentialStore,
    IDomainOfInterpretation,
    IExchangeType,
    IISAKMPKeyExchange,
    IKeyExchange,
    INegotiatingDomain,
    IRider,
    IRiderType,
    ISASink,
)
from isakmp.node import ISAKMP
from isakmp.numbers import ExchangeType

T = TypeVar("T")

KeyExchange = IISAKMPKeyExchange | IKeyExchange
"""One that is spoken in RFC 2408's exchanges, or one with a header of its own."""

ISAKMP_VERSION = 1
"""The major version in the header of RFC 2408 section 3.1."""

_FIVE = range(1, 6)
"""The exchange types that are the framework's: RFC 2408 section 3.1."""

_DOI_SPECIFIC = range(32, 240)
"""Those that are a domain of interpretation's, if it has any: RFC 2408 section 3.1."""


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
    """
    What can be switched on; nothing here is verified yet.

    :ivar broken: of each plug-in module that cannot be imported, its name and why.
    """

    dois: tuple[IDomainOfInterpretation, ...] = ()
    key_exchanges: tuple[KeyExchange, ...] = ()
    sinks: tuple[SinkPlugin, ...] = ()
    riders: tuple[IRiderType, ...] = ()
    credentials: tuple[ICredentialStore, ...] = ()
    broken: tuple[str, ...] = ()

    def __add__(self, other: Plugins) -> Plugins:
        """These and those."""
        return Plugins(
            self.dois + other.dois,
            self.key_exchanges + other.key_exchanges,
            self.sinks + other.sinks,
            self.riders + other.riders,
            self.credentials + other.credentials,
            self.broken + other.broken,
        )

    def enabled_dois(self, names: Collection[str]) -> Mapping[int, IDomainOfInterpretation]:
        """
        The domains of interpretation of these names, by number.

        :raises ConfigurationError: if a name is unknown, or stands for two; two have one number; or
            one is not what it says.
        """
        chosen = _chosen("domain of interpretation", self.dois, names, self.broken)
        for doi in chosen:
            negotiates = INegotiatingDomain.providedBy(doi)
            _verify(INegotiatingDomain if negotiates else IDomainOfInterpretation, doi)
        return _by_number("number", chosen, lambda doi: doi.number, 2**32)

    def enabled_key_exchanges(self, names: Collection[str]) -> Mapping[int, IISAKMPKeyExchange]:
        """
        The key exchanges of these names that are spoken in RFC 2408's exchanges, by Transform-ID.

        :raises ConfigurationError: as :meth:`enabled_dois`.
        """
        chosen = [
            key_exchange
            for key_exchange in _chosen("key exchange", self.key_exchanges, names, self.broken)
            if not IKeyExchange.providedBy(key_exchange)
        ]
        for key_exchange in chosen:
            _verify(IISAKMPKeyExchange, key_exchange)
        return _by_number("Transform-ID", chosen, lambda kx: kx.transform_id, 256)

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
        for plugin in _chosen("key exchange", self.key_exchanges, names, self.broken):
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
        (chosen,) = _chosen("sink", self.sinks, [name], self.broken)
        sink = chosen.make()
        _verify(ISASink, sink)
        return sink

    def enabled_riders(self, names: Collection[str]) -> Sequence[IRiderType]:
        """
        What makes the riders of these names, in this order.

        :raises ConfigurationError: if a name is unknown, or stands for two; or one is not what it
            says, or makes none.
        """
        chosen = _chosen("rider", self.riders, names, self.broken)
        for rider in chosen:
            _verify(IRiderType, rider)
            try:
                made = rider.rider()
            except Exception as error:  # somebody else's code, asked for the first time
                raise _unusable(rider, f"it makes no rider: {_line(error)}") from error
            _verify(IRider, made, rider)
        return chosen

    def enabled_credentials(self, name: str) -> ICredentialStore:
        """
        The credential store of this name.

        :raises ConfigurationError: if the name is unknown, or stands for two, or it is none.
        """
        (chosen,) = _chosen("credential store", self.credentials, [name], self.broken)
        _verify(ICredentialStore, chosen)
        return chosen


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
    from isakmp.sinks.xfrm.sink import XFRMSink

    return Plugins(
        dois=(ISAKMPDOI(), IPsecDOI()),
        key_exchanges=(IKE(), kink),
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
        key_exchanges=(
            *getPlugins(IISAKMPKeyExchange, *where),
            *getPlugins(IKeyExchange, *where),
        ),
        sinks=tuple(
            SinkPlugin(_name(sink), partial(_itself, sink), sink)
            for sink in getPlugins(ISASink, *where)
        ),
        riders=tuple(getPlugins(IRiderType, *where)),
        credentials=tuple(getPlugins(ICredentialStore, *where)),
        broken=tuple(_broken(package or importlib.import_module("twisted.plugins"))),
    )


def _broken(package: ModuleType) -> Iterator[str]:
    """
    The plug-in modules that cannot be imported: those that Twisted found nothing in, and those that
    it remembers of a time when they could be.
    """
    remembered = getCache(package)
    for found in getModule(package.__name__).iterModules():
        dropin = remembered.get(found.name.rpartition(".")[2])
        if dropin is not None and not any(
            _OURS.intersection(plugin.provided) for plugin in dropin.plugins
        ):
            continue
        try:
            importlib.import_module(found.name)
        except Exception as error:  # a module of somebody's, and whatever it does when it is read
            yield f"the plug-in module {found.name} cannot be imported: {_line(error)}"


_OURS = frozenset(
    {
        IDomainOfInterpretation,
        INegotiatingDomain,
        IISAKMPKeyExchange,
        IKeyExchange,
        ISASink,
        IRiderType,
        ICredentialStore,
    }
)


def check_exchange_types(
    dois: Iterable[IDomainOfInterpretation], key_exchanges: Iterable[IISAKMPKeyExchange]
) -> None:
    """
    In each domain of interpretation a number stands for one exchange type.

    Those of a domain that has some hide the numbers 32 to 239 of every key exchange.

    :raises ConfigurationError: naming both plug-ins; or the one whose exchange type is none, or has
        a number of the framework's.
    """
    key_exchanges = tuple(key_exchanges)
    for doi in dois:
        hidden = _DOI_SPECIFIC if doi.exchange_types else range(0)
        own = {kind.number: _of(kind, doi) for kind in _types(doi)}
        for key_exchange in key_exchanges:
            known = dict(own)
            for kind in _types(key_exchange):
                other = known.setdefault(kind.number, _of(kind, key_exchange))
                if other != _of(kind, key_exchange) and kind.number not in hidden:
                    raise ConfigurationError(
                        f"{other} and {_of(kind, key_exchange)} have the same number of an "
                        f"exchange type, {kind.number}"
                    )


def _types(plugin: IDomainOfInterpretation | IISAKMPKeyExchange) -> Sequence[IExchangeType]:
    """Its exchange types, verified."""
    numbers: dict[int, str] = {}
    for kind in plugin.exchange_types:
        _verify(IExchangeType, kind, plugin)
        if kind.number in _FIVE:
            name = ExchangeType(kind.number).spelled
            raise _unusable(plugin, f"{kind.name} has the number of {name}, {kind.number}")
        if not isinstance(kind.number, int) or not 5 < kind.number < 256:
            raise _unusable(plugin, f"{kind.number!r} is no number of an exchange type")
        other = numbers.setdefault(kind.number, kind.name)
        if other != kind.name:
            raise _unusable(plugin, f"{other} and {kind.name} have one number, {kind.number}")
    return plugin.exchange_types


def _of(kind: IExchangeType, plugin: object) -> str:
    return f"{kind.name} of {_described(plugin)}"


def configure(plugins: Iterable[object], settings: Mapping[str, Mapping[str, object]]) -> None:
    """
    Hand over what ``isakmp.toml`` says to each plug-in by its name: to whichever of that name has
    settings.

    :param plugins: those switched on.
    :raises ConfigurationError: if one does not take them, or has none.
    """
    by_name: dict[str, list[object]] = {}
    for plugin in plugins:
        provided = plugin.provided if isinstance(plugin, SinkPlugin) else plugin
        by_name.setdefault(_name(plugin), []).append(provided)
    for name, named in by_name.items():
        own = settings.get(name, {})
        configurable = [plugin for plugin in named if IConfigurable.providedBy(plugin)]
        if own and not configurable:
            raise _unusable(named[0], f"it has no settings of its own; leave [plugin.{name}] out")
        for plugin in configurable:
            _verify(IConfigurable, plugin)
            try:
                IConfigurable(plugin).configure(own)
            except ConfigurationError as error:
                raise ConfigurationError(f"{_described(plugin)}: {_line(error)}") from None


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


def _chosen(
    what: str, plugins: Sequence[T], names: Collection[str], broken: Sequence[str] = ()
) -> list[T]:
    """Those of these names, in the order of the names; each name stands for one."""
    chosen: list[T] = []
    for name in dict.fromkeys(names):
        found = [plugin for plugin in plugins if name and _name(plugin) == name]
        if not found:
            known = ", ".join(sorted({_name(plugin) for plugin in plugins} - {""})) or "none"
            because = "".join(f"; {sentence}" for sentence in broken)
            raise ConfigurationError(f"no {what} is named {name!r}; there are: {known}{because}")
        if len(found) > 1:
            raise ConfigurationError(
                f"more than one {what} is named {name!r}: {', '.join(map(_described, found))}"
            )
        chosen += found
    return chosen


def _by_number(
    what: str, plugins: Sequence[T], number: Callable[[T], int], end: int
) -> Mapping[int, T]:
    numbered: dict[int, T] = {}
    for plugin in plugins:
        if not isinstance(number(plugin), int) or not 0 <= number(plugin) < end:
            raise _unusable(plugin, f"its {what} is {number(plugin)!r}, not one below {end}")
        other = numbered.setdefault(number(plugin), plugin)
        if other is not plugin:
            raise ConfigurationError(
                f"{_described(other)} and {_described(plugin)} have the same {what}, "
                f"{number(plugin)}"
            )
    return numbered


def _verify(interface: type[Interface], plugin: object, of: object | None = None) -> None:
    """
    :param of: the plug-in that it comes from, if it is none itself.
    """
    try:
        verifyObject(interface, plugin)
    except Invalid as error:
        raise _unusable(plugin if of is None else of, _line(error)) from error


def _unusable(plugin: object, why: str) -> ConfigurationError:
    return ConfigurationError(f"{_described(plugin)} cannot be used: {why}")


def _line(error: Exception) -> str:
    """What it says, on one line; what kind it is, if it says nothing of ours."""
    text = " ".join(str(error).split())
    if isinstance(error, (ConfigurationError, Invalid)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _described(plugin: object) -> str:
    """Its name, and where it is from."""
    provided: Any = plugin.provided if isinstance(plugin, SinkPlugin) else plugin
    kind = provided if isinstance(provided, type) else type(provided)
    return f"{_name(plugin)} ({kind.__module__}.{kind.__qualname__})"
