"""
``isakmpctl check``, ``decode`` and ``explain``.
"""

from __future__ import annotations

import contextlib
import io
import json
import struct
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp import cli, packets
from isakmp.capture import Capture
from isakmp.numbers import NotifyType
from isakmp.strength import secret_weakness, weaknesses
from tests.vectors import conversation

GOOD = """\
connections {
  gw {
    version = 1
    remote_addrs = 192.0.2.1
    proposals = aes256-sha256-modp2048, 3des-md5-modp1024
    local { auth = psk
      id = a.example }
    remote { auth = psk
      id = b.example }
    children { net { local_ts = 10.1.0.0/16
      remote_ts = 10.2.0.0/16
      esp_proposals = aes256gcm16, 3des-sha1 } }
  }
}
secrets { ike { secret = "short"
  id = b.example } }
"""


class CommandTestCase(SynchronousTestCase):
    def run_command(self, *arguments: str) -> tuple[object, str, str]:
        """Status, standard output and standard error."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            left = self.assertRaises(SystemExit, cli.main, arguments)
        return left.code, out.getvalue(), err.getvalue()

    def answer(self, *arguments: str) -> Any:
        """What a program gets, with status 0."""
        status, out, err = self.run_command(*arguments, "--json")
        self.assertEqual((status, err), (0, ""), out)
        return json.loads(out)

    def write(self, text: str | bytes) -> str:
        path = Path(self.mktemp())
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)


class CheckTests(CommandTestCase):
    def check(self, text: str, *more: str) -> tuple[object, str, str]:
        return self.run_command("check", self.write(text), "--settings", "/nowhere.toml", *more)

    def test_seen(self) -> None:
        """
        I am told what my peer would see, and what of it is weak, with the RFC that says so; the
        secret itself is never shown.
        """
        status, out, err = self.check(GOOD)
        self.assertEqual((status, err), (0, ""))
        for words in (
            "1 connections, 1 children, no mistake",
            "gw: Identity Protection with 192.0.2.1",
            "says it is a.example, and wants b.example",
            "offers aes256-sha256-modp2048, 3des-md5-modp1024, for ",
            "net: 10.1.0.0/16 - 10.2.0.0/16, start: none",
            "offers esp=aes256gcm16|3des-sha1, for ",
            "weak: md5: ",
            "(MUST NOT, RFC 8247)",
            "weak: modp1024: ",
            "(SHOULD NOT, RFC 8221)",
            "the secret of b.example: it has 5 characters",
        ):
            self.assertIn(words, out)
        self.assertNotIn("short", out)

    def test_json(self) -> None:
        """The same for a program."""
        status, out, _ = self.check(GOOD, "--json")
        self.assertEqual(status, 0)
        found = json.loads(out)
        (connection,) = found["connections"]
        self.assertEqual(connection["wants"], "b.example")
        self.assertEqual(
            [weak["word"] for weak in connection["weak"]], ["3des", "md5", "modp1024"]
        )
        (child,) = connection["children"]
        self.assertEqual([weak["word"] for weak in child["weak"]], ["3des", "sha1"])
        self.assertEqual(found["secrets"][0]["owners"], ["b.example"])
        self.assertEqual(found["mistakes"], [])
        self.assertNotIn("short", out)

    def test_mistakes(self) -> None:
        """Every mistake is told with its line, at once, and the status is 2."""
        text = GOOD.replace("3des-md5-modp1024", "3des-md5-modp1025").replace("10.2.0.0/16", "x")
        status, out, _ = self.check(text)
        self.assertEqual(status, 2)
        self.assertRegex(out, r":5: connections\.gw\.proposals: .*'modp1025'")
        self.assertRegex(out, r":11: connections\.gw\.children\.net\.remote_ts: ")
        status, out, _ = self.check(text, "--json")
        self.assertEqual(status, 2)
        self.assertEqual([mistake["line"] for mistake in json.loads(out)["mistakes"]], [5, 11])

    def test_no_file(self) -> None:
        """A file that is not there is a mistake like others."""
        status, out, err = self.run_command("check", "/nowhere.conf")
        self.assertEqual(status, 2)
        self.assertIn("/nowhere.conf", out + err)
        self.assertNotIn("Traceback", out + err)


class StrengthTests(SynchronousTestCase):
    def test_strong(self) -> None:
        """What the RFCs recommend is not called weak."""
        for spelling in ("aes128-sha256-modp2048", "aes256-sha512-ecp384", "aes128-sha384-x25519"):
            self.assertEqual(weaknesses([spelling], traffic=False), ())
        for spelling in ("esp=aes128gcm16-ecp256", "transport:esp=aes256-sha256", "ah=sha512"):
            self.assertEqual(weaknesses([spelling], traffic=True), ())

    def test_by_use(self) -> None:
        """Triple DES is judged by what it is for, as the two RFCs do."""
        (management,) = weaknesses(["3des-sha256-modp2048"], traffic=False)
        (traffic,) = weaknesses(["esp=3des-sha256"], traffic=True)
        self.assertEqual((management.status, management.source), ("MAY", "RFC 8247"))
        self.assertEqual((traffic.status, traffic.source), ("SHOULD NOT", "RFC 8221"))

    def test_secrets(self) -> None:
        """A short secret, or one of few characters, is told; and not what it is."""
        self.assertIn("15 characters", secret_weakness(b"correct horse b"))
        self.assertIn("2 different", secret_weakness(b"ab" * 20))
        self.assertEqual(secret_weakness(bytes(range(32))), "")


class DecodeTests(CommandTestCase):
    MESSAGE = bytes.fromhex(conversation("main-psk")["messages"][0]["raw"])

    def test_digits(self) -> None:
        """Hexadecimal digits become words, however they are grouped, typed or in a file."""
        plain = self.answer("decode", self.MESSAGE.hex())
        (found,) = plain
        self.assertIn("Identity Protection", found["text"])
        self.assertEqual(found["payloads"][0], "SecurityAssociation")
        grouped = self.MESSAGE.hex(" ", 4)
        self.assertEqual(self.answer("decode", grouped), plain)
        self.assertEqual(self.answer("decode", self.write("0x" + self.MESSAGE.hex() + "\n")), plain)
        self.assertEqual(self.answer("decode", self.write(self.MESSAGE)), plain)
        self.assertEqual(self.answer("decode", (bytes(4) + self.MESSAGE).hex()), plain)

    def captures(self) -> list[bytes]:
        """The same conversation in every kind of file."""
        datagram = packets.udp(500, 500, self.MESSAGE)
        packet = packets.packet("192.0.2.1", "192.0.2.2", packets.UDP, datagram)
        other = packets.packet("192.0.2.1", "192.0.2.2", packets.UDP, packets.udp(53, 53, b"dns"))
        keepalive = packets.packet("192.0.2.1", "192.0.2.2", 17, packets.udp(4500, 4500, b"\xff"))
        ours = io.BytesIO()
        capture = Capture(ours, lambda: 0.0)
        for octets in (other, packet, keepalive):
            capture.packet(octets)
        made = [ours.getvalue()]
        for order, magic in (("<", b"\xd4\xc3\xb2\xa1"), (">", b"\xa1\xb2\xc3\xd4")):
            frame = bytes(12) + b"\x08\0" + packet
            head = magic + struct.pack(f"{order}HHiIII", 2, 4, 0, 0, 65535, 1)
            record = struct.pack(f"{order}IIII", 0, 0, len(frame), len(frame)) + frame
            made.append(head + record)
        return made

    def test_captures(self) -> None:
        """Of a capture every ISAKMP message is decoded, with the number of its packet."""
        for octets, number in zip(self.captures(), ("2: ", "1: ", "1: "), strict=True):
            (found,) = self.answer("decode", self.write(octets))
            self.assertEqual(found["at"], number)
            self.assertIn("Identity Protection", found["text"])

    def test_sealed(self) -> None:
        """Of an encrypted message I see whose it is and how long."""
        sealed = next(
            bytes.fromhex(message["raw"])
            for message in conversation("main-psk")["messages"]
            if bytes.fromhex(message["raw"])[19] & 1
        )
        (found,) = self.answer("decode", sealed.hex())
        self.assertRegex(found["text"], r"encrypted, \d+ octets")
        self.assertEqual(found["payloads"], [])

    def test_nothing(self) -> None:
        """What is no message is one line and status 2."""
        for what in ("abc", "/nowhere", self.write(b"")):
            status, out, err = self.run_command("decode", what)
            self.assertEqual((status, out), (2, ""))
            self.assertEqual(len(err.splitlines()), 1)
        status, out, _ = self.run_command("decode", self.MESSAGE[:-1].hex())
        self.assertEqual(status, 2)
        self.assertIn("no ISAKMP message: ", out)

    @given(st.binary(max_size=200))
    def test_any_octets(self, octets: bytes) -> None:
        """Any file is decoded or refused, in words."""
        for start in (b"", b"\x0a\x0d\x0d\x0a", b"\xd4\xc3\xb2\xa1"):
            path = Path("any")
            path.write_bytes(start + octets)
            status, out, err = self.run_command("decode", str(path))
            self.assertIn(status, (0, 2))
            self.assertTrue(out or err)


class ExplainTests(CommandTestCase):
    def test_notifications(self) -> None:
        """A notification is explained by its name, in any spelling, or its number."""
        for what in ("NO-PROPOSAL-CHOSEN", "no_proposal_chosen", "14"):
            found = self.answer("explain", what)
            self.assertEqual((found["notification"], found["number"]), ("NO-PROPOSAL-CHOSEN", 14))
            self.assertIn("cipher, hash and group", found["helps"])
        for kind in NotifyType:
            if kind.is_error and kind < 31:
                self.assertTrue(self.answer("explain", str(int(kind)))["means"])
        _, out, _ = self.run_command("explain", "24")
        self.assertIn("AUTHENTICATION-FAILED (24, error): ", out)

    def test_proposals(self) -> None:
        """A proposal is told in libreswan's words, and what is weak in it."""
        found = self.answer("explain", "aes128-sha256-modp1024")
        self.assertEqual(found["libreswan"], "aes128-sha2_256;modp1024")
        self.assertEqual(set(found["for"]), {"an ISAKMP SA", "ESP or AH"})
        self.assertEqual(len(found["weak"]), 1)
        self.assertEqual(set(self.answer("explain", "aes128gcm16")["for"]), {"ESP or AH"})

    def test_neither(self) -> None:
        """What is neither is told so, with what would be valid."""
        status, out, err = self.run_command("explain", "rot13")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("'rot13' is no notification and no proposal", err)
