"""
Routes of the sink ``xfrm``: on this machine's own kernel, in a network namespace, and in a guest
that has ESP.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.interop import namespaces
from tests.interop.test_kernel import assert_passes, assert_passes_in, obstacle


class OwnKernelTests(SynchronousTestCase):
    """
    This machine's own kernel.
    """

    skip = namespaces.obstacle()

    def assert_passes(self, tests: str) -> None:
        """They pass in a namespace with a cable to another, and none is skipped."""
        pair = self.enterContext(namespaces.NamespacePair(["10.81.0.1"], ["10.82.0.1"]))
        assert_passes_in(self, pair.left, tests)

    def test_routes(self) -> None:
        """Routes and rules are real there, with or without ESP: those of traps."""
        self.assert_passes("in_namespace_routes")

    def test_losses(self) -> None:
        """What the kernel had no room to tell is found out."""
        self.assert_passes("in_namespace_losses.TrafficTests")


class GuestTests(SynchronousTestCase):
    """
    A kernel with ESP.
    """

    skip = obstacle()
    timeout = 540

    def test_guest(self) -> None:
        """What ``in_guest_routes`` tries passes; nothing is skipped."""
        assert_passes(self, "in_guest_routes")
