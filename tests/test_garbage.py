"""How a daemon looks for garbage."""

from __future__ import annotations

import gc
import weakref

from twisted.trial.unittest import SynchronousTestCase

from isakmp.garbage import YOUNG, settle


class Circle:
    """Leads back to itself."""

    def __init__(self) -> None:
        self.itself = self


class GarbageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)
        settle()

    def test_stands(self) -> None:
        """What was there before is not looked at again."""
        self.assertGreater(gc.get_freeze_count(), YOUNG)
        self.assertLess(len(gc.get_objects()), gc.get_freeze_count())

    def test_circles(self) -> None:
        """Circles that nobody reaches are still freed, before they are more than the bound."""
        self.assertTrue(gc.isenabled())
        first = weakref.ref(Circle())
        for _ in range(2 * YOUNG):
            Circle()
        self.assertIsNone(first())
