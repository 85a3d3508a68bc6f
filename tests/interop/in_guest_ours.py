"""
Our daemon at both ends, and traffic that the kernel protects.  Runs in a guest.
"""

from __future__ import annotations

from tests.interop.guest import GuestTestCase


class ProtectionTests(GuestTestCase):
    """
    What was agreed protects traffic, and goes with the daemon.
    """

    def test_tunnel(self) -> None:
        """
        A tunnel between two networks: a ping crosses it, the counters move at both ends; when the
        daemons stop, nothing of theirs is left, and what was there before is untouched.
        """
        before = self.foreign(self.left)
        left, right = self.both("esp_proposals = aes128-sha256")
        self.ping()
        for end in (self.left, self.right):
            self.carried(end, "esp")
        self.assertEqual(self.strangers(self.left), before)
        left.stop()
        right.stop()
        self.assertEqual(self.strangers(self.left), before)
        self.assert_empty(self.right)
