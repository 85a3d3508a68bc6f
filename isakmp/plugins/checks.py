"""
What plug-ins that are switched on have to agree about, and what each is given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from isakmp.errors import ConfigurationError
from isakmp.interfaces import (
    IConfigurable,
    IDomainOfInterpretation,
    IExchangeType,
    IISAKMPKeyExchange,
    IKeyExchange,
)
from isakmp.numbers import ExchangeType
from isakmp.plugins.naming import SinkPlugin, described, line_of, name_of, unusable, verify

ISAKMP_VERSION = 1
"""The major version in the header of RFC 2408 section 3.1."""

_FIVE = range(1, 6)
"""The exchange types that are the framework's: RFC 2408 section 3.1."""

_DOI_SPECIFIC = range(32, 240)
"""Those that are a domain of interpretation's, if it has any: RFC 2408 section 3.1."""


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
                f"{described(key_exchange)} and ISAKMP have the same port and major version, "
                f"{shared[0]} and {ISAKMP_VERSION}"
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
        verify(IExchangeType, kind, plugin)
        if kind.number in _FIVE:
            name = ExchangeType(kind.number).spelled
            raise unusable(plugin, f"{kind.name} has the number of {name}, {kind.number}")
        if not isinstance(kind.number, int) or not 5 < kind.number < 256:
            raise unusable(plugin, f"{kind.number!r} is no number of an exchange type")
        other = numbers.setdefault(kind.number, kind.name)
        if other != kind.name:
            raise unusable(plugin, f"{other} and {kind.name} have one number, {kind.number}")
    return plugin.exchange_types


def _of(kind: IExchangeType, plugin: object) -> str:
    return f"{kind.name} of {described(plugin)}"


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
        by_name.setdefault(name_of(plugin), []).append(provided)
    for name, named in by_name.items():
        own = settings.get(name, {})
        configurable = [plugin for plugin in named if IConfigurable.providedBy(plugin)]
        if own and not configurable:
            raise unusable(named[0], f"it has no settings of its own; leave [plugin.{name}] out")
        for plugin in configurable:
            verify(IConfigurable, plugin)
            try:
                IConfigurable(plugin).configure(own)
            except ConfigurationError as error:
                raise ConfigurationError(f"{described(plugin)}: {line_of(error)}") from None
