"""
Our daemon at both ends, and traffic that the kernel protects.  Runs in a guest.
"""

from __future__ import annotations

from tests.interop.guest import GuestTestCase, states


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

    def test_kinds(self) -> None:
        """
        Transport mode, AES-GCM, 3DES with MD5, PFS, sequence numbers of 64 bits, AH: a ping
        crosses, and the counters move.
        """
        for keys, protocol, mode in (
            ("esp_proposals = aes128-sha256-esn", "esp", "tunnel"),
            ("mode = transport\nesp_proposals = aes128-sha256", "esp", "transport"),
            ("esp_proposals = aes256gcm16", "esp", "tunnel"),
            ("esp_proposals = 3des-md5", "esp", "tunnel"),
            ("esp_proposals = aes128-sha256-modp2048", "esp", "tunnel"),
            ("ah_proposals = sha256", "ah", "tunnel"),
        ):
            left, right = self.both(keys)
            self.ping(transport=mode == "transport")
            for end in (self.left, self.right):
                self.carried(end, protocol, mode=mode)
            left.stop()
            right.stop()
            self.assert_empty(self.left, self.right)

    def test_bundle(self) -> None:
        """AH around ESP, of one negotiation: both carry the ping."""
        toml = (
            'sink = "auto"\nvici = ""\n[connection.net.children.child]\n'
            'suites = ["tunnel:ah=sha256+esp=aes128-sha256"]\n'
        )
        left, right = self.both("", toml=toml)
        self.ping()
        for end in (self.left, self.right):
            self.carried(end, "ah", "esp")
        left.stop()
        right.stop()
        self.assert_empty(self.left, self.right)

    def test_compressed(self) -> None:
        """IPComp within ESP: what can be compressed is, and arrives whole."""
        left, right = self.both("esp_proposals = aes128-sha256\nipcomp = yes")
        self.ping("-c", "5", "-i", "0.1", "-s", "1000", "-p", "00")
        for end in (self.left, self.right):
            self.carried(end, "comp", "esp")
        left.stop()
        right.stop()
        self.assert_empty(self.left, self.right)

    def test_in_udp(self) -> None:
        """ESP in UDP, of SAs that were set by hand: a ping crosses, and nothing is left."""
        ends = self.by_hand()
        self.ping()
        for end in (self.left, self.right):
            for sa in self.carried(end, "esp"):
                self.assertIn("encap type espinudp sport 4500 dport 4500", sa.text)
        for process in ends:
            process.terminate()
            process.wait(10)
        self.assert_empty(self.left, self.right)

    def test_trap(self) -> None:
        """A ping begins the tunnel that it needs, and gets through."""
        self.daemon(self.right, "esp_proposals = aes128-sha256")
        left = self.daemon(self.left, "esp_proposals = aes128-sha256\nstart_action = trap")
        self.assertEqual(states(self.left), [])
        self.ping("-c", "5", "-i", "0.5")
        left.expect("traffic waits", r"net/child, .* is established")
        self.carried(self.left, "esp")
        left.stop()
        self.assert_empty(self.left)

    def test_killed(self) -> None:
        """After a SIGKILL what was left is removed at the next start, and nobody else's."""
        before = self.foreign(self.left)
        left, _ = self.both("esp_proposals = aes128-sha256")
        left.kill()
        self.assertEqual(len(states(self.left)), 2)
        again = self.daemon(self.left, "esp_proposals = aes128-sha256")
        again.expect("of an earlier run have been removed")
        self.assertEqual(states(self.left), [])
        self.assertEqual(self.strangers(self.left), before)

    def test_packets(self) -> None:
        """An SA that has carried its packets is renewed, and no echo is lost."""
        left, _ = self.both(
            "esp_proposals = aes128-sha256\nrekey_packets = 40\nlife_packets = 4000\n"
            "rand_packets = 10"
        )
        self.ping("-c", "200", "-i", "0.02")
        left.expect(r"net/child, .* is gone: (?:replaced|deleted by the peer)")  # by either end

    def test_octets(self) -> None:
        """Likewise its octets; one that has carried all it may ends, and is deleted."""
        left, right = self.both(
            "esp_proposals = aes128-sha256\nrekey_bytes = 20000\nlife_bytes = 2000000\n"
            "rand_bytes = 2000"
        )
        self.ping("-c", "60", "-i", "0.02", "-s", "1000")
        left.expect(r"net/child, .* is gone: (?:replaced|deleted by the peer)")  # by either end
        left.stop()
        right.stop()
        left, _ = self.both(
            "esp_proposals = aes128-sha256\nrekey_bytes = 0\nlife_bytes = 20000"
        )
        self.ping("-c", "60", "-i", "0.02", "-s", "1000", loss=True)
        left.expect(r"net/child, .* is gone: expired")

    def test_rekeying(self) -> None:
        """Renewed every two seconds under a flood, no packet is lost."""
        left, _ = self.both(
            "esp_proposals = aes128-sha256\nrekey_time = 2s\nlife_time = 20s\nrand_time = 0s"
        )
        self.ping("-f", "-w", "9")
        left.expect(r"(?s)(?:net/child, [^\n]* is gone: replaced.*?){3}")
