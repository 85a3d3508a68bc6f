"""
What can be switched on: what comes with the package, and what others have installed.

A plug-in is found by :func:`twisted.plugin.getPlugins`, and takes part only if the configuration
names it.  What comes with the package is given by :func:`builtin` instead of being found: every
``twistd --help`` reads ``twisted/plugins/isakmp_plugin.py``, and that has to stay light.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType

from twisted.plugin import getCache, getPlugins
from twisted.python.modules import getModule

from isakmp.errors import ConfigurationError
from isakmp.interfaces import (
    ICredentialStore,
    IDomainOfInterpretation,
    IISAKMPKeyExchange,
    IKeyExchange,
    INegotiatingDomain,
    IRider,
    IRiderType,
    ISASink,
)
from isakmp.node import ISAKMP
from isakmp.plugins.naming import (
    SinkPlugin,
    by_number,
    chosen_of,
    described,
    line_of,
    name_of,
    unusable,
    verify,
)

KeyExchange = IISAKMPKeyExchange | IKeyExchange
"""One that is spoken in RFC 2408's exchanges, or one with a header of its own."""


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
        chosen = chosen_of("domain of interpretation", self.dois, names, self.broken)
        for doi in chosen:
            negotiates = INegotiatingDomain.providedBy(doi)
            verify(INegotiatingDomain if negotiates else IDomainOfInterpretation, doi)
        return by_number("number", chosen, lambda doi: doi.number, 2**32)

    def enabled_key_exchanges(self, names: Collection[str]) -> Mapping[int, IISAKMPKeyExchange]:
        """
        The key exchanges of these names that are spoken in RFC 2408's exchanges, by Transform-ID.

        :raises ConfigurationError: as :meth:`enabled_dois`.
        """
        chosen = [
            key_exchange
            for key_exchange in chosen_of("key exchange", self.key_exchanges, names, self.broken)
            if not IKeyExchange.providedBy(key_exchange)
        ]
        for key_exchange in chosen:
            verify(IISAKMPKeyExchange, key_exchange)
        return by_number("Transform-ID", chosen, lambda kx: kx.transform_id, 256)

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
        for plugin in chosen_of("key exchange", self.key_exchanges, names, self.broken):
            if not IKeyExchange.providedBy(plugin):
                continue
            verify(IKeyExchange, plugin)
            found.append(plugin if settings is None else _configured(plugin, settings))
        taken: dict[tuple[int, int], IKeyExchange] = {}
        for key_exchange in found:
            if key_exchange.name == ISAKMP:
                raise ConfigurationError(
                    f"{described(key_exchange)} has the name of the framework's own"
                )
            for port in key_exchange.ports:
                other = taken.setdefault((port, key_exchange.version), key_exchange)
                if other is not key_exchange:
                    raise ConfigurationError(
                        f"{described(other)} and {described(key_exchange)} have the same port "
                        f"and major version, {port} and {key_exchange.version}"
                    )
        return tuple(found)

    def enabled_sink(self, name: str) -> ISASink:
        """
        The sink of this name, made now.

        :raises ConfigurationError: if the name is unknown, or stands for two, or it is no sink.
        """
        (chosen,) = chosen_of("sink", self.sinks, [name], self.broken)
        sink = chosen.make()
        verify(ISASink, sink)
        return sink

    def enabled_riders(self, names: Collection[str]) -> Sequence[IRiderType]:
        """
        What makes the riders of these names, in this order.

        :raises ConfigurationError: if a name is unknown, or stands for two; or one is not what it
            says, or makes none.
        """
        chosen = chosen_of("rider", self.riders, names, self.broken)
        for rider in chosen:
            verify(IRiderType, rider)
            try:
                made = rider.rider()
            except Exception as error:  # somebody else's code, asked for the first time
                raise unusable(rider, f"it makes no rider: {line_of(error)}") from error
            verify(IRider, made, rider)
        return chosen

    def enabled_credentials(self, name: str) -> ICredentialStore:
        """
        The credential store of this name.

        :raises ConfigurationError: if the name is unknown, or stands for two, or it is none.
        """
        (chosen,) = chosen_of("credential store", self.credentials, [name], self.broken)
        verify(ICredentialStore, chosen)
        return chosen


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
            SinkPlugin(name_of(sink), partial(_itself, sink), sink)
            for sink in getPlugins(ISASink, *where)
        ),
        riders=tuple(getPlugins(IRiderType, *where)),
        credentials=tuple(getPlugins(ICredentialStore, *where)),
        broken=tuple(_broken(package or importlib.import_module("twisted.plugins"))),
    )


def available() -> Plugins:
    """What comes with the package, and what others have installed."""
    return builtin() + installed()


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
            yield f"the plug-in module {found.name} cannot be imported: {line_of(error)}"


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
