"""
What a daemon is configured with, whichever way it came: from its file, or by control.

What control loads goes before what the file says of the same name, and stays when the file is read
again, as with strongSwan's daemon; what control unloads of the file's is gone until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from isakmp.config.load import Configuration
from isakmp.connections import Connection
from isakmp.credentials.pre_shared_keys import SharedSecret


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    Connections and secrets by their names, and where they are from; a value, that changes by
    becoming another.

    :ivar file: the connections of the file, without those that were unloaded.
    :ivar control: those that control loaded.
    :ivar file_secrets: pre-shared keys likewise; those without a name have a number instead.
    """

    file: Mapping[str, Connection] = field(default_factory=dict)
    control: Mapping[str, Connection] = field(default_factory=dict)
    file_secrets: Mapping[str, SharedSecret] = field(default_factory=dict, repr=False)
    control_secrets: Mapping[str, SharedSecret] = field(default_factory=dict, repr=False)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """All that count: in the order of the file, then as they were loaded."""
        return tuple({**self.file, **self.control}.values())

    @property
    def secrets(self) -> tuple[SharedSecret, ...]:
        """Likewise."""
        return tuple({**self.file_secrets, **self.control_secrets}.values())

    @property
    def hidden(self) -> tuple[str, ...]:
        """Connections of the file that do not count, because control loaded others that differ."""
        return tuple(
            name
            for name, one in self.file.items()
            if name in self.control and self.control[name] != one
        )

    def connection(self, name: str) -> Connection | None:
        """The one of this name that counts."""
        return self.control.get(name) or self.file.get(name)

    def reread(self, configuration: Configuration) -> Loaded:
        """With what the file says now."""
        return replace(
            self,
            file={one.name: one for one in configuration.connections},
            file_secrets=_numbered(configuration.secrets),
        )

    def with_connections(self, loaded: Iterable[Connection]) -> Loaded:
        """With these, each instead of the one that had its name."""
        return replace(self, control=_added(self.control, loaded))

    def without_connection(self, name: str) -> Loaded:
        """Without the connection of this name, wherever it is from."""
        file, control = _without(self.file, name), _without(self.control, name)
        return replace(self, file=file, control=control)

    def with_secret(self, secret: SharedSecret) -> Loaded:
        """With this, instead of the one that had its name; one without a name is one more."""
        if secret.name:
            return replace(self, control_secrets=_added(self.control_secrets, [secret]))
        if secret in self.control_secrets.values():
            return self
        number = f"\0{len(self.control_secrets)}"
        return replace(self, control_secrets={**self.control_secrets, number: secret})

    def without_secret(self, name: str) -> Loaded:
        """Without the secret of this name, wherever it is from."""
        return replace(
            self,
            file_secrets=_without(self.file_secrets, name),
            control_secrets=_without(self.control_secrets, name),
        )

    def without_loaded_secrets(self) -> Loaded:
        """Without all secrets that control loaded."""
        return replace(self, control_secrets={})


def _added(before: Mapping[str, N], more: Iterable[N]) -> Mapping[str, N]:
    return {**before, **{one.name: one for one in more}}


def _without(before: Mapping[str, N], name: str) -> Mapping[str, N]:
    return {key: one for key, one in before.items() if key != name}


def _numbered(secrets: Iterable[SharedSecret]) -> Mapping[str, SharedSecret]:
    return {one.name or f"\0{number}": one for number, one in enumerate(secrets)}
