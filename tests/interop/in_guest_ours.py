"""
Our daemon at both ends, as it starts, ends, and is killed.  Runs in a guest.

What it protects and how, without starting it anew: ``in_guest_kinds`` and ``in_guest_traffic``.
"""

from __future__ import annotations

from tests.interop.guest import GuestTestCase, ip, states
from tests.interop.namespaces import Namespace

PROPOSALS = "esp_proposals = aes128-sha256"


class ProtectionTests(GuestTestCase):
    """
    What was agreed protects traffic, and goes with the daemon.
    """

    def drops(self, end: Namespace) -> str:
        """Whether the kernel there drops what waits for an SA."""
        return self.inside(end, "cat", "/proc/sys/net/core/xfrm_larval_drop").strip()

    def test_tunnel(self) -> None:
        """
        A tunnel between two networks, from the file: a ping crosses it, the counters move at both
        ends.  After a SIGKILL what was left, the kernel's setting too, is seen to at the next
        start, and the tunnel is agreed anew.  When the daemons stop, nothing of theirs is left; and
        what was there before is untouched throughout.
        """
        before = self.foreign(self.left)
        self.assertEqual(self.drops(self.left), "1")
        left, right = self.both(PROPOSALS)
        self.ping()
        for end in (self.left, self.right):
            self.carried(end, "esp")
        self.assertEqual(self.strangers(self.left), before)
        self.assertEqual(self.drops(self.left), "0")
        left.kill()
        first = {sa.spi for sa in states(self.left)}
        self.assertEqual(len(first), 2)
        self.assertIn("10.82.0.0/24", ip(self.left, "xfrm policy"))
        again = self.daemon(self.left, PROPOSALS)
        again.expect("of an earlier run have been removed")
        self.assertEqual(states(self.left), [])
        self.assertEqual(self.drops(self.left), "1")
        self.assertEqual(self.strangers(self.left), before)
        again.initiate("net", "child")
        self.wait(lambda: len(states(self.left)) == 2, "it is not agreed anew")
        self.assertFalse(first & {sa.spi for sa in states(self.left)})
        self.ping()
        again.stop()
        right.stop()
        self.assertEqual(self.strangers(self.left), before)
        self.assert_empty(self.right)
        for end in (self.left, self.right):
            self.assertEqual(self.drops(end), "1")

    def test_in_udp(self) -> None:
        """ESP in UDP, of SAs that were set by hand: a ping crosses, and nothing is left."""
        ends = self.by_hand()
        self.ping()
        for end in (self.left, self.right):
            for sa in self.carried(end, "esp"):
                self.assertIn("encap type espinudp sport 4500 dport 4500", sa.text)
        for process in ends:
            process.terminate()
            self.assertEqual(process.wait(10), 0)
        self.assert_empty(self.left, self.right)
