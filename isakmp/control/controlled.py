"""
What control asks of the daemon that it controls.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from isakmp.assembly import Assembly
from isakmp.config.load import Configuration
from isakmp.config.loaded import Loaded
from isakmp.config.tree import Section


class Controlled(Protocol):
    """A daemon."""

    @property
    def assembly(self) -> Assembly:
        """Its node, with everything that keeps it going."""

    @property
    def loaded(self) -> Loaded:
        """What it is configured with."""

    @property
    def began(self) -> float:
        """When it began to answer, in seconds of its node's clock."""

    @property
    def plugins(self) -> Collection[str]:
        """What is switched on, by name."""

    def read(self, tree: Section) -> Configuration:
        """
        What a part of a configuration says, with what ``isakmp.toml`` says of it.

        :raises ConfigurationErrors: with every mistake.
        """

    def apply(self, loaded: Loaded) -> None:
        """
        From now on this, as :meth:`isakmp.service.ISAKMPService.configure`; what stands and is not
        configured any more is left, but for what was begun because the configuration said so.

        :raises ConfigurationError: if it cannot be; then nothing has changed.
        """

    def reload(self) -> str:
        """Read the files again; why they could not be, or nothing."""
