"""
Our daemon and libreswan's pluto, and traffic that the kernel protects.  Runs in a guest.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from tests.interop.guest import GuestTestCase, ip, states
from tests.interop.libreswan import Pluto

TOML = 'sink = "xfrm"\nvici = ""\n'

KINDS = (
    # libreswan's connection; what our child has; the protocol, the mode and the algorithms that the
    # kernel has to have.
    ("tunnel", "esp_proposals = aes128-sha256", "esp", "tunnel", ("cbc(aes)", "hmac(sha256)")),
    ("gcm", "esp_proposals = aes256gcm16", "esp", "tunnel", ("rfc4106(gcm(aes))",)),
    ("3des", "esp_proposals = 3des-sha1", "esp", "tunnel", ("cbc(des3_ede)", "hmac(sha1)")),
    ("ctr", "esp_proposals = aes256ctr-sha384", "esp", "tunnel", ("ctr(aes)", "hmac(sha384)")),
    ("ccm", "esp_proposals = aes128ccm16", "esp", "tunnel", ("rfc4309(ccm(aes))",)),
    ("xcbc", "esp_proposals = aes192-aesxcbc", "esp", "tunnel", ("cbc(aes)", "xcbc(aes)")),
    ("pfs", "esp_proposals = aes128-sha256-modp2048", "esp", "tunnel", ("cbc(aes)",)),
    ("pfs-3072", "esp_proposals = aes256-sha512-modp3072", "esp", "tunnel", ("hmac(sha512)",)),
    ("ah", "ah_proposals = sha256", "ah", "tunnel", ("hmac(sha256)",)),
    (
        "transport",
        "mode = transport\nesp_proposals = aes128-sha256",
        *("esp", "transport", ("cbc(aes)",)),
    ),
    ("transport-ah", "mode = transport\nah_proposals = sha1", "ah", "transport", ("hmac(sha1)",)),
)


class LibreswanTests(GuestTestCase):
    """
    Ours is at the left end, libreswan at the right.
    """

    def pluto(self) -> Pluto:
        """One that runs; it ends with the test."""
        pluto = Pluto(self.right, Path(tempfile.mkdtemp(prefix="pluto-", dir="/run")))
        self.addCleanup(pluto.stop)
        return pluto.start()

    def assert_only_neighbours(self) -> None:
        """
        At libreswan's end no SA is left, and no policy but those for the discovery of neighbours in
        IPv6, which a pluto sets when it starts and leaves behind.
        """
        self.assertEqual(ip(self.right, "xfrm state"), "")
        left = re.findall(r"^src .*", ip(self.right, "xfrm policy"), re.MULTILINE)
        self.assertEqual([line for line in left if "proto ipv6-icmp type 13" not in line], [])

    def agree(self, ours_begins: bool) -> None:
        """
        Every kind, one after the other: a ping crosses, and the counters move at both ends.  Who
        has begun ends it, and the SAs are gone from both kernels; when libreswan stops nothing of
        it is left.
        """
        pluto = self.pluto()
        for connection, keys, protocol, mode, algorithms in KINDS:
            pluto.load(connection)
            start = "\nstart_action = start" if ours_begins else ""
            ours = self.daemon(self.left, keys + start, toml=TOML, peer="libreswan")
            if not ours_begins:
                pluto.initiate(connection)
            try:
                ours.expect(r"net/child, .* is established", timeout=30)
                self.ping(transport=mode == "transport")
                for end in (self.left, self.right):
                    for sa in self.carried(end, protocol, mode=mode):
                        for algorithm in algorithms:
                            self.assertIn(algorithm, sa.text)
                self.assertEqual(ours.faults(), [])
                if not ours_begins:
                    pluto.terminate(connection)
                    self.wait(lambda: not states(self.left), "ours keeps what is deleted")
                ours.stop()
                self.assert_empty(self.left)
                self.wait(lambda: not states(self.right), "libreswan keeps what is deleted")
            except AssertionError as error:
                kernel = ip(self.right, "-s xfrm state") + ip(self.right, "xfrm policy")
                raise AssertionError(f"{connection}: {error}\n{pluto.log()}\n{kernel}") from None
            pluto.unload(connection)
        pluto.stop()
        self.assert_empty(self.left)
        self.assert_only_neighbours()

    def test_ours_begins(self) -> None:
        """Ours begins each."""
        self.agree(True)

    def test_libreswan_begins(self) -> None:
        """Libreswan begins each, and ours answers."""
        self.agree(False)

    def test_libreswan_ends(self) -> None:
        """Libreswan ends first: what it deletes is gone from our kernel too, and so is its own."""
        pluto = self.pluto()
        pluto.load("tunnel")
        ours = self.daemon(self.left, "esp_proposals = aes128-sha256", toml=TOML, peer="libreswan")
        pluto.initiate("tunnel")
        ours.expect(r"net/child, .* is established")
        self.ping()
        pluto.stop()
        self.wait(lambda: not states(self.left), "ours keeps what libreswan has deleted")
        self.assert_only_neighbours()
        ours.stop()
        self.assert_empty(self.left)
