"""
Libreswan 4.10 at the other end of a tunnel that two Linux kernels protect, in a guest.

What is tried there is in ``in_guest_libreswan``.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.interop import libreswan, test_kernel


class LibreswanTests(SynchronousTestCase):
    """
    Pre-shared keys, Main Mode; ours begins, and libreswan begins.
    """

    skip = test_kernel.obstacle() or libreswan.obstacle()
    timeout = 540

    def test_libreswan(self) -> None:
        """
        Traffic with libreswan is protected in every way that ``in_guest_libreswan`` tries, in both
        roles; nothing is skipped, and a guest that gives no status is a failure.
        """
        test_kernel.assert_passes(self, "in_guest_libreswan")
