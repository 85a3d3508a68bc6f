"""
One command of a client, and how it is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeAlias

from isakmp.control.codec import Content, Section, clipped

LARGEST = 2**32 - 1
"""The largest number that a client can say."""


class Refused(Exception):
    """
    A command is not done; the text says why.

    :param counts: what is said beside it: ``matches="0"``.
    """

    def __init__(self, why: str, **counts: str) -> None:
        super().__init__(why)
        self.counts = counts


class Asker(Protocol):
    """
    The client that a command is from.

    :ivar registered: the events it listens to.
    """

    registered: set[str]

    def tell(self, event: str, content: Content) -> None:
        """An event, if it listens to it and reads."""

    async def stream(self, event: str, content: Content) -> None:
        """An event, if it listens to it, as soon as it has read those before."""


class Call:
    """
    One command of a client.

    :ivar message: what came with it.
    """

    def __init__(self, session: Asker, message: Section) -> None:
        self._session = session
        self.message = message

    def text(self, key: str, default: str = "") -> str:
        """
        A value of the message.

        :raises Refused: if a list or a section stands there.
        """
        value = self.message.get(key, default)
        if not isinstance(value, str):
            raise Refused(f"{key}: one text is expected")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list in the message, or a text as the one of a list."""
        value = self.message.get(key, [])
        if isinstance(value, Mapping):
            raise Refused(f"{key}: a list is expected")
        return (value,) if isinstance(value, str) else tuple(value)

    def flag(self, key: str) -> bool:
        """Whether something is said to be so."""
        return self.text(key).lower() in ("yes", "true", "enabled", "1")

    def number(self, key: str, default: int = 0) -> int:
        """
        A number in the message.

        :raises Refused: if something else stands there.
        """
        text = self.text(key)
        try:
            if text and not -LARGEST <= int(text) <= LARGEST:
                raise ValueError
            return int(text) if text else default
        except ValueError:
            raise Refused(f"{key}: {text[:100]!r} is not a number, or too large") from None

    def wants(self, event: str) -> bool:
        """Whether the client listens to an event."""
        return event in self._session.registered

    def tell(self, event: str, content: Content) -> None:
        """An event for this client alone; it is lost if the client does not read."""
        self._session.tell(event, content)

    async def stream(self, event: str, content: Content) -> None:
        """
        Part of the answer, as an event; waits until the client has read what came before.

        :raises ConnectionDone: if the client has gone.
        """
        await self._session.stream(event, content)


Command: TypeAlias = Callable[[Call], Awaitable[Content]]


def refusal(why: str, **counts: str) -> Section:
    """What answers a command that is not done."""
    return {"success": "no", **counts, "errmsg": clipped(why)}
