"""
strongSwan's charon 5.9.8 at the other end of a tunnel that two Linux kernels protect, in a guest.

What is tried there is in ``in_guest_strongswan``.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.interop import charon, test_kernel


class StrongSwanTests(SynchronousTestCase):
    """
    Pre-shared keys, Main Mode; ours begins, and charon begins.
    """

    skip = test_kernel.obstacle() or charon.obstacle()
    timeout = 540

    def test_strongswan(self) -> None:
        """
        Traffic with charon is protected in every way that ``in_guest_strongswan`` tries, in both
        roles; nothing is skipped, and a guest that gives no status is a failure.
        """
        test_kernel.assert_passes(self, "in_guest_strongswan")
