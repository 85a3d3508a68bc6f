"""
Plug-ins by their names: those that are meant, and the sentence about one that cannot be used.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from zope.interface import Interface
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from isakmp.errors import ConfigurationError
from isakmp.interfaces import ISASink

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


def name_of(plugin: object) -> str:
    """Its name; one that has none cannot be switched on."""
    return str(getattr(plugin, "name", ""))


def chosen_of(
    what: str, plugins: Sequence[T], names: Collection[str], broken: Sequence[str] = ()
) -> list[T]:
    """
    Those of these names, in the order of the names; each name stands for one.

    :param what: what these plug-ins are called; ``broken`` what else may be the reason.
    :raises ConfigurationError: if there is none of a name, or more than one.
    """
    chosen: list[T] = []
    for name in dict.fromkeys(names):
        found = [plugin for plugin in plugins if name and name_of(plugin) == name]
        if not found:
            known = ", ".join(sorted({name_of(plugin) for plugin in plugins} - {""})) or "none"
            because = "".join(f"; {sentence}" for sentence in broken)
            raise ConfigurationError(f"no {what} is named {name!r}; there are: {known}{because}")
        if len(found) > 1:
            raise ConfigurationError(
                f"more than one {what} is named {name!r}: {', '.join(map(described, found))}"
            )
        chosen += found
    return chosen


def by_number(
    what: str, plugins: Sequence[T], number: Callable[[T], int], end: int
) -> Mapping[int, T]:
    """
    Plug-ins by a number of theirs.

    :param what: what it is called.
    :param end: every number is less.
    :raises ConfigurationError: if one is no such number, or two have the same.
    """
    numbered: dict[int, T] = {}
    for plugin in plugins:
        if not isinstance(number(plugin), int) or not 0 <= number(plugin) < end:
            raise unusable(plugin, f"its {what} is {number(plugin)!r}, not one below {end}")
        other = numbered.setdefault(number(plugin), plugin)
        if other is not plugin:
            raise ConfigurationError(
                f"{described(other)} and {described(plugin)} have the same {what}, "
                f"{number(plugin)}"
            )
    return numbered


def verify(interface: type[Interface], plugin: object, of: object | None = None) -> None:
    """
    :raises ConfigurationError: if it does not provide what the interface asks.

    :param of: the plug-in that it comes from, if it is none itself.
    """
    try:
        verifyObject(interface, plugin)
    except Invalid as error:
        raise unusable(plugin if of is None else of, line_of(error)) from error


def unusable(plugin: object, why: str) -> ConfigurationError:
    """The error that says so."""
    return ConfigurationError(f"{described(plugin)} cannot be used: {why}")


def line_of(error: Exception) -> str:
    """What it says, on one line; what kind it is, if it says nothing of ours."""
    text = " ".join(str(error).split())
    if isinstance(error, (ConfigurationError, Invalid)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def described(plugin: object) -> str:
    """Its name, and where it is from."""
    provided: Any = plugin.provided if isinstance(plugin, SinkPlugin) else plugin
    kind = provided if isinstance(provided, type) else type(provided)
    return f"{name_of(plugin)} ({kind.__module__}.{kind.__qualname__})"
