"""
The capture of the demonstration, opened by Wireshark's tshark with the keys beside it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from isakmp.demo import OK, Choices, demonstrate


class CaptureTests(TestCase):
    """What a teacher shows."""

    if shutil.which("tshark") is None:
        skip = "tshark is not installed"

    def read(self, directory: Path, *fields: str) -> list[list[str]]:
        """What tshark finds, with no configuration but that directory."""
        asked = subprocess.run(
            [
                *("tshark", "-n", "-r", str(directory / "demo.pcapng")),
                *("-T", "fields", "-E", "separator=|", "-E", "occurrence=f"),
                *(word for field in fields for word in ("-e", field)),
            ],
            env={**os.environ, "WIRESHARK_CONFIG_DIR": str(directory)},
            capture_output=True,
            text=True,
            timeout=30,
        )
        self.assertEqual(asked.returncode, 0, asked.stderr)
        self.assertNotIn("UAT", asked.stderr)
        return [line.split("|") for line in asked.stdout.splitlines()]

    async def test_opened(self) -> None:
        """
        tshark opens every sealed message and every echo of the demonstration: identities, SPIs,
        Deletes, and the ICMP inside ESP; for each cipher that it knows.
        """
        for number, esp in enumerate(
            (
                "aes128-sha256",
                "aes256gcm16",
                "3des-md5",
                "aes128gcm8",
                "null-sha1",
                "aes256ctr-sha512",
            )
        ):
            directory = Path(self.mktemp())
            choices = Choices(
                "aes256-sha1-modp1024" if number % 2 else "3des-md5-curve25519",
                esp,
                ping=True,
                capture=str(directory),
            )
            self.assertEqual(await demonstrate(reactor, choices, lambda line: None), OK)
            seen = self.read(
                directory, "isakmp.exchangetype", "isakmp.id.data.fqdn", "isakmp.spi", "icmp.type"
            )
            self.assertEqual(
                [exchange for exchange, *_ in seen], ["2"] * 6 + ["32"] * 3 + [""] * 6 + ["5"] * 2
            )
            names = [name for _, name, *_ in seen if name]
            self.assertEqual(names, ["initiator.example", "responder.example"], esp)
            self.assertEqual([kind for *_, kind in seen if kind], ["8", "0"] * 3, esp)
            spis = [spi for exchange, _, spi, _ in seen if exchange == "32" and spi]
            self.assertEqual(len(set(spis)), 2, esp)
