"""
Parts of a ``swanctl.conf`` that arrive as messages: what ``swanctl --load-all`` makes of a file.

A message becomes the tree that the file would have become, and is read by the same code: so a
connection is the same value, whichever way it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from isakmp.config.mistakes import MOST, ConfigurationErrors, Mistake, Place
from isakmp.config.tree import Datum, Section

#: What a message holds: by name a text, a list of texts, or a section inside.
Content: TypeAlias = "Mapping[str, str | list[str] | Content]"

_IKE = "ike"
"""How the sections of pre-shared keys begin."""


def connections(message: Content, command: str) -> Section:
    """
    The tree of a message whose sections are connections.

    :param command: what the message came with; it stands where else a file is named.
    :raises ConfigurationErrors: if it holds something else.
    """
    place = Place(command)
    nameless = [path for path, name in _names("", message) if not name or not name.isprintable()]
    if nameless:
        text = "the name of a section has printable characters, at least one"
        raise ConfigurationErrors([Mistake(command, 0, path, text) for path in nameless[:MOST]])
    cut = [path for path, text in _texts("", message) if "\0" in text]
    if cut:  # whoever is given it, a script or the kernel, would see its beginning alone
        text = "a character of value 0: this is no text"
        raise ConfigurationErrors([Mistake(command, 0, path, text) for path in cut[:MOST]])
    others = [name for name, value in message.items() if not isinstance(value, Mapping)]
    if others or not message:
        text = "a section with the name of a connection is expected here"
        raise ConfigurationErrors([Mistake(command, 0, name, text) for name in others or [""]])
    inner = _section("connections", message, place)
    return Section("", place, {}, {"connections": inner})


def shared_secret(name: str, octets: bytes, owners: Iterable[str], command: str) -> Section:
    """
    The tree with one pre-shared key.

    :param name: what it is called; maybe empty.
    :param owners: who shares it.
    """
    place = Place(command)
    # A section is known by how its name begins.
    key = name if name.startswith(_IKE) else f"{_IKE}-{name}"
    path = f"secrets.{key}"
    data = {f"id-{n}": Datum(owner, place) for n, owner in enumerate(owners, 1)}
    data["secret"] = Datum(f"0x{octets.hex()}", place)
    section = Section(path, place, data, called=key)
    return Section("", place, {}, {"secrets": Section("secrets", place, {}, {key: section})})


def _names(path: str, content: Content) -> Iterator[tuple[str, str]]:
    """The sections inside: where each is, and its name."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            inner = f"{path}.{name}" if path else name
            yield inner, name
            yield from _names(inner, value)


def _texts(path: str, content: Content) -> Iterator[tuple[str, str]]:
    """What is said: where each is, its name, and its text."""
    for name, value in content.items():
        inner = f"{path}.{name}" if path else name
        if isinstance(value, Mapping):
            yield from _texts(inner, value)
        else:
            for text in (name, value) if isinstance(value, str) else (name, *value):
                yield inner, text


def _section(path: str, content: Content, place: Place, called: str = "") -> Section:
    data: dict[str, Datum] = {}
    sections: dict[str, Section] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            sections[name] = _section(f"{path}.{name}", value, place, name)
        else:
            data[name] = Datum(value if isinstance(value, str) else ", ".join(value), place)
    return Section(path, place, data, sections, called)
