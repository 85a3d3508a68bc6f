"""
Our daemon and libreswan's pluto, and traffic that the kernel protects.  Runs in a guest.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.interop import libreswan
from tests.interop.guest import (
    LEFT,
    LEFT_NET,
    RIGHT,
    RIGHT_NET,
    SECRET,
    GuestTestCase,
)
from tests.interop.libreswan import Pluto

NETS = f"leftsubnet={RIGHT_NET}\nrightsubnet={LEFT_NET}\n"

#: What is said to each of the two, protocol, and mode.
KINDS = (
    ("esp_proposals = aes128-sha256", f"{NETS}esp=aes128-sha2_256\npfs=no", "esp", "tunnel"),
    (
        "esp_proposals = aes128-sha256-modp2048",
        f"{NETS}esp=aes128-sha2_256;modp2048\npfs=yes",
        *("esp", "tunnel"),
    ),
    ("esp_proposals = aes256gcm16", f"{NETS}esp=aes_gcm256-null\npfs=no", "esp", "tunnel"),
    ("esp_proposals = 3des-sha1", f"{NETS}esp=3des-sha1\npfs=no", "esp", "tunnel"),
    (
        "mode = transport\nesp_proposals = aes128-sha256",
        "type=transport\nesp=aes128-sha2_256\npfs=no",
        *("esp", "transport"),
    ),
    (
        "mode = transport\nah_proposals = sha1",
        "type=transport\nphase2=ah\nah=sha1\npfs=no",
        *("ah", "transport"),
    ),
)


class LibreswanTests(GuestTestCase):
    """
    Each kind, whoever begins.
    """

    def setUp(self) -> None:
        """It is where it belongs."""
        super().setUp()
        libreswan.install()

    def pluto(self, lines: str) -> Pluto:
        """At the right end; it ends with the test."""
        directory = Path(tempfile.mkdtemp(dir="/run"))
        made = Pluto(self.right, directory, (RIGHT, LEFT), SECRET, lines)
        self.addCleanup(made.stop)
        return made

    def agree(self, ours_begin: bool) -> None:
        """Every kind: a ping crosses, and the counters move at both ends."""
        for keys, lines, protocol, mode in KINDS:
            pluto = self.pluto(lines)
            if ours_begin:
                keys += "\nstart_action = start"
            ours = self.daemon(self.left, keys, peer="east")
            if not ours_begin:
                pluto.initiate()
            ours.expect(r"net/child, .* is established", timeout=30)
            self.ping(transport=mode == "transport")
            for end in (self.left, self.right):
                self.carried(end, protocol, mode=mode)
            ours.stop()
            self.assert_empty(self.left)
            pluto.stop()

    def test_we_begin(self) -> None:
        """As initiator."""
        self.agree(True)

    def test_it_begins(self) -> None:
        """As responder."""
        self.agree(False)
