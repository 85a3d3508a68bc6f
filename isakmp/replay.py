"""
The replay window of an inbound SA.  RFC 4303 section 3.4.3.
"""

from __future__ import annotations


class ReplayWindow:
    """
    Which of the latest sequence numbers have been seen.

    A number is looked up before a packet is believed, and only then taken: a forged packet with a
    high number must not close the window before the honest ones.

    :param size: how many numbers back a late packet may come; at least 1, and 32 by the RFC.
    :ivar highest: the highest number taken; 0: none.
    """

    __slots__ = ("_seen", "_size", "highest")

    def __init__(self, size: int = 64) -> None:
        if size < 1:
            raise ValueError("a replay window has at least one number")
        self._size = size
        self._seen = 0  # bit n: highest - n has been seen
        self.highest = 0

    def fresh(self, sequence: int) -> bool:
        """Whether this number may still come: it is not too old, and was not seen."""
        if sequence <= 0:
            return False
        behind = self.highest - sequence
        return behind < 0 or (behind < self._size and not self._seen >> behind & 1)

    def take(self, sequence: int) -> None:
        """
        It was seen, in a packet that is proven.

        :raises ValueError: if it is not :meth:`fresh`.
        """
        if not self.fresh(sequence):
            raise ValueError(f"sequence number {sequence} is too old, or was seen")
        ahead = sequence - self.highest
        if ahead > 0:
            # Not shifted further than it is wide: a number may be four thousand million ahead.
            self._seen = self._seen << ahead if ahead < self._size else 0
            self._seen = (self._seen | 1) & ((1 << self._size) - 1)
            self.highest = sequence
        else:
            self._seen |= 1 << -ahead
