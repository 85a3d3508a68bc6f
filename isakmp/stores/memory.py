"""
Security associations that end with the process.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from isakmp.associations import SAKey
from isakmp.interfaces import ISAStore, Record


@implementer(ISAStore)
class MemoryStore:
    """
    Keeps the records themselves, in the order in which their keys were first saved.
    """

    def __init__(self) -> None:
        self._records: dict[SAKey, Record] = {}

    def save(self, records: Sequence[Record]) -> Deferred[None]:
        """All of them; replaces what has the same key."""
        self._records.update((record.key, record) for record in records)
        return succeed(None)

    def delete(self, keys: Sequence[SAKey]) -> Deferred[None]:
        """Idempotent."""
        for key in keys:
            self._records.pop(key, None)
        return succeed(None)

    def scan(self) -> Deferred[Sequence[Record]]:
        """Everything kept, as it is now."""
        return succeed(tuple(self._records.values()))
