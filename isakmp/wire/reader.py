"""
A bounded cursor over received octets: the only place where decoding runs short.
"""

from __future__ import annotations

from typing import final

from isakmp.errors import Malformed


@final
class Reader:
    """
    Reads fields in network byte order, and never past its end.

    Nothing is copied but what :meth:`take` and :meth:`rest` return: a reader, and every
    :meth:`sub` of it, looks at the same octets.

    :param data: the octets.
    :param start: offset of the first octet to read.
    :param end: offset after the last one; None: as far as the data goes.
    :raises Malformed: if there are not that many octets.
    """

    __slots__ = ("_data", "_end", "_position")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        if end is None:
            end = len(data)
        if not 0 <= start <= end <= len(data):
            raise Malformed(f"octets {start} to {end} of {len(data)}")
        self._data = data
        self._position = start
        self._end = end

    def take(self, n: int) -> bytes:
        """
        The next octets.

        :param n: how many.
        :raises Malformed: if fewer are left.
        """
        start = self._position
        end = start + n
        if not start <= end <= self._end:
            raise Malformed(f"{n} octets wanted, {self._end - start} left")
        self._position = end
        return self._data[start:end]

    def u8(self) -> int:
        """The next octet."""
        return self.take(1)[0]

    def u16(self) -> int:
        """The next two octets."""
        return int.from_bytes(self.take(2))

    def u32(self) -> int:
        """The next four octets."""
        return int.from_bytes(self.take(4))

    def rest(self) -> bytes:
        """All that is left, possibly nothing."""
        start = self._position
        self._position = self._end
        return self._data[start : self._end]

    def sub(self, n: int) -> Reader:
        """
        A reader of the next octets, which count as read here.

        :param n: how many.
        :raises Malformed: if fewer are left.
        """
        start = self._position
        end = start + n
        if not start <= end <= self._end:
            raise Malformed(f"{n} octets wanted, {self._end - start} left")
        self._position = end
        return Reader(self._data, start, end)

    @property
    def remaining(self) -> int:
        """How many octets are left."""
        return self._end - self._position

    @property
    def exhausted(self) -> bool:
        """Whether none are left."""
        return self._position == self._end

    def finish(self) -> None:
        """
        Say that all has been read.

        :raises Malformed: if it has not.
        """
        if self._position != self._end:
            raise Malformed(f"{self._end - self._position} octets left over")
