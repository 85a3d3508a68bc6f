"""
The replay window.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.replay import ReplayWindow


class ReplayWindowTests(SynchronousTestCase):
    def test_once(self) -> None:
        """
        A number comes once; a late one may come as long as the window holds it.

        Proves: RFC 4303 section 3.4.3
        """
        window = ReplayWindow(4)
        for number in (1, 3, 2, 6):
            window.take(number)
            self.assertFalse(window.fresh(number))
        self.assertTrue(window.fresh(4))
        self.assertTrue(window.fresh(5))
        self.assertFalse(window.fresh(2), "it is as old as the window is wide")
        self.assertRaises(ValueError, window.take, 6)
        self.assertEqual(window.highest, 6)

    def test_far_ahead(self) -> None:
        """
        The highest number there is may come at once, and costs no more than any other.

        Proves: RFC 4303 section 3.4.3
        """
        window = ReplayWindow(64)
        window.take(1)
        window.take(2**32 - 1)
        self.assertTrue(window.fresh(2**32 - 64))
        self.assertFalse(window.fresh(2**32 - 65))

    def test_nothing(self) -> None:
        """0 is no sequence number, and a window has room for one at least."""
        for number in (0, -1):
            self.assertFalse(ReplayWindow().fresh(number))
        self.assertRaises(ValueError, ReplayWindow, 0)

    @given(st.integers(1, 70), st.lists(st.integers(1, 200)))
    def test_as_a_set(self, size: int, numbers: list[int]) -> None:
        """It says what a list of all that was seen would say."""
        window, seen = ReplayWindow(size), set[int]()
        for number in numbers:
            highest = max(seen, default=0)
            expected = number not in seen and number > highest - size
            self.assertEqual(window.fresh(number), expected)
            if expected:
                window.take(number)
                seen.add(number)
