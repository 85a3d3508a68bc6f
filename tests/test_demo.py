"""
The demonstration: what it shows, and what can be chosen.

Every test here runs two real nodes over real sockets on loopback.
"""

from __future__ import annotations

import base64
import re
import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor

from isakmp import demo
from isakmp.connections import Intervals
from isakmp.crypto import esp
from isakmp.crypto.fingerprints import fingerprint
from isakmp.demo import FAILED, OK, Choices, demonstrate
from isakmp.errors import ConfigurationError
from isakmp.ike import sa as ike_sa
from isakmp.replay import ReplayWindow
from isakmp.sinks.memory import MemorySink
from isakmp.sinks.userspace import UserspaceSink
from tests.loopback import DemoTestCase, bindable, quietly_collect, steps, tables, unbound


class ShownTests(DemoTestCase):
    """What a user sees."""

    async def test_ladder(self) -> None:
        """
        I see every message as it leaves: when, in which direction, whether sealed, of which
        exchange, and its payloads in words.
        """
        status, lines = await self.run_demo(proposal="aes128-sha256-modp2048")
        self.assertEqual(status, OK, lines)
        main, quick, informational = "Identity Protection", "Quick Mode", "Informational"
        expected = (
            ("-->", main, "SA(IPSEC: #1 ISAKMP KEY_IKE/AES-CBC-128/SHA2-256/MODP-2048/"),
            ("<--", main, "SA(IPSEC: #1 ISAKMP KEY_IKE/AES-CBC-128/SHA2-256/MODP-2048/"),
            ("-->", main, "KE(256 octets)", "NONCE(32 octets)"),
            ("<--", main, "KE(256 octets)", "NONCE(32 octets)"),
            ("==>", main, "ID(fqdn initiator.example)", "HASH(32 octets)"),
            ("<==", main, "ID(fqdn responder.example)", "HASH(32 octets)"),
            (
                *("==>", quick, "HASH, SA(IPSEC: #1 ESP SPI ", "ESP_AES_CBC-128/HMAC-SHA2-256/"),
                *("Tunnel", "NONCE(32 octets)", "ID(ipv4 10.1.0.0/24), ID(ipv4 10.2.0.0/24)"),
            ),
            (
                *("<==", quick, "HASH, SA(IPSEC: #1 ESP SPI ", "ESP_AES_CBC-128/HMAC-SHA2-256/"),
                *("Tunnel", "NONCE(32 octets)", "ID(ipv4 10.1.0.0/24), ID(ipv4 10.2.0.0/24)"),
            ),
            ("==>", quick, "HASH"),
            ("==>", informational, "HASH, D(ESP 1 SPI "),
            ("==>", informational, "HASH, D(ISAKMP 1 SPI "),
        )
        shown = steps(lines)
        self.assertEqual(len(shown), len(expected), "\n".join(lines))
        for step, (arrow, exchange, *words) in zip(shown, expected, strict=True):
            self.assertEqual((step["arrow"], step["exchange"]), (arrow, exchange))
            for word in words:
                self.assertIn(word, step["said"])
        self.assertTrue(shown[8]["said"].endswith(": HASH"), shown[8][0])
        times = [float(step["ms"]) for step in shown]
        self.assertEqual(times, sorted(times))
        self.assertLess(times[-1], 10_000)

    async def test_tables(self) -> None:
        """
        I see the SAs of both ends: who they are, what is protected and how, and for every SPI a
        fingerprint of the keying material that this very end has installed.
        """
        _, lines = await self.run_demo()
        text = "\n".join(lines)
        for words in (
            "initiator.example <-> responder.example  expires in 14400 s",
            "responder.example <-> initiator.example  expires in 14400 s",
            "ESP tunnel  10.1.0.0/24 <-> 10.2.0.0/24  aes-cbc hmac-sha2-256-128  expires in 3600 s",
            "ESP tunnel  10.2.0.0/24 <-> 10.1.0.0/24  aes-cbc hmac-sha2-256-128  expires in 3600 s",
        ):
            self.assertIn(words, text)
        shown = tables(lines)
        self.assertEqual(len(shown), 2)
        for sink, table in zip(self.sinks, shown, strict=True):
            computed = {
                spi: fingerprint(keys["encryption"] + keys["integrity"])
                for spi, keys in self.keys(sink).items()
            }
            self.assertEqual({spi: held[1] for spi, held in table.items()}, computed)
            self.assertEqual(sorted(way for way, _ in table.values()), ["in", "out"])
        crosswise = {"in": "out", "out": "in"}
        self.assertEqual(
            shown[0], {spi: (crosswise[way], held) for spi, (way, held) in shown[1].items()}
        )
        self.assertEqual(len(set(shown[0].values())), 2)

    async def test_sealed_and_opened(self) -> None:
        """
        A packet that one end seals under its outbound keys is opened by the other under its
        inbound keys, both ways; and that is said of packets that really were.
        """
        packets: list[tuple[MemorySink, bytes]] = []
        opened: list[tuple[MemorySink, bytes]] = []
        seal, open_ = MemorySink.seal, MemorySink.open

        def sealing(sink: MemorySink, name: str, payload: bytes) -> bytes:
            packets.append((sink, seal(sink, name, payload)))
            return packets[-1][1]

        def opening(sink: MemorySink, packet: bytes) -> bytes:
            opened.append((sink, packet))
            return open_(sink, packet)

        self.patch(MemorySink, "seal", sealing)
        self.patch(MemorySink, "open", opening)
        status, lines = await self.run_demo()
        self.assertEqual(status, OK)
        one, two = self.sinks
        self.assertEqual([sink for sink, _ in packets], [one, two])
        self.assertEqual(opened, [(two, packets[0][1]), (one, packets[1][1])])
        for (_, packet), names in zip(
            packets, (("initiator", "responder"), ("responder", "initiator")), strict=True
        ):
            self.assertIn(
                f"A packet sealed by the {names[0]} ({len(packet)} octets of ESP) was opened by "
                f"the {names[1]}.",
                lines,
            )
        for sink, packet in opened:
            # With the keys that this end has for that SPI, and an ESP of our own making.
            keys = self.keys(sink)[packet[:4].hex()]
            transform = esp.esp_transform(
                "aes-cbc", "hmac-sha2-256-128", keys["encryption"], keys["integrity"]
            )
            self.assertEqual(transform.open(packet)[2], demo._PACKET)

    async def test_end(self) -> None:
        """At the end both have deleted everything, and the status is 0."""
        status, lines = await self.run_demo()
        self.assertEqual(status, OK)
        self.assertEqual(lines[-1], "Both registries are empty, and so are both sinks.")
        self.assertNotIn("PROBLEM", "\n".join(lines))
        for sink in self.sinks:
            self.assertEqual((dict(sink.standing), sink.reserved), ({}, frozenset()))
            self.assertTrue(self.installed[sink])

    async def test_no_secrets(self) -> None:
        """Nothing that is printed is a secret or a key, or a part of one, in any usual form."""
        secrets: list[bytes] = [demo._SECRET, demo._OTHER_SECRET]
        of = ike_sa.Keys.of

        def noted(derived: Any, parameters: Any) -> ike_sa.Keys:
            secrets.extend((derived.skeyid_d, derived.skeyid_a, derived.skeyid_e))
            return of(derived, parameters)

        self.patch(ike_sa.Keys, "of", noted)
        printed = []
        for choices in ({"pfs": True}, {"wrong_psk": True}, {"esp": "aes256gcm16"}):
            self.impatient()
            printed += (await self.run_demo(**choices))[1]
        for sink in self.sinks:
            secrets += [key for keys in self.keys(sink).values() for key in keys.values() if key]
        self.assertGreaterEqual(len(secrets), 2 + 3 * 4 + 8)
        text = "\n".join(printed)
        for secret in secrets:
            self.assertGreaterEqual(len(secret), 16)
            for start in range(len(secret) - 7):
                part = secret[start : start + 8]
                for form in (part.hex(), repr(part)[2:-1], base64.b64encode(part[:6]).decode()):
                    self.assertNotIn(form.lower(), text.lower())

    async def test_addresses(self) -> None:
        """It names the two sockets, and they were those of 127.0.0.1 and 127.0.0.2."""
        _, lines = await self.run_demo()
        self.assertRegex(lines[0], r"^initiator 127\.0\.0\.1:\d+, responder 127\.0\.0\.2:\d+$")

    async def test_one_address(self) -> None:
        """Where 127.0.0.2 cannot be bound, it takes two ports of 127.0.0.1, in either mode."""

        class Lonely(socket.socket):
            def bind(self, address: Any) -> None:
                if address[0] == "127.0.0.2":
                    raise OSError(99, "Cannot assign requested address")
                super().bind(address)

        self.patch(socket, "socket", Lonely)
        for mode in ("tunnel", "transport"):
            status, lines = await self.run_demo(mode=mode)
            self.assertEqual(status, OK, lines)
            ports = re.findall(r"127\.0\.0\.1:(\d+)", lines[0])
            self.assertEqual((len(ports), len(set(ports))), (2, 2), lines[0])

    async def test_no_address(self) -> None:
        """Without a loopback it says so before anything else."""

        class Deaf(socket.socket):
            def bind(self, address: Any) -> None:
                raise OSError(99, "Cannot assign requested address")

        self.patch(socket, "socket", Deaf)
        with self.assertRaises(OSError):
            await self.run_demo()

    @unbound
    async def test_port_taken(self) -> None:
        """A port that somebody takes in that moment is a sentence; the other one is given back."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            self.addCleanup(quietly_collect)
            free, _ = demo.addresses()
            self.patch(demo, "addresses", lambda: (free, other.getsockname()))
            status, lines = await self.run_demo()
            self.assertEqual(status, FAILED)
            port = other.getsockname()[1]
            self.assertEqual(
                lines[-1],
                f"No tunnel: cannot listen on 127.0.0.1:{port}: Address already in use",
            )
        self.assertTrue(bindable(free))


class ChoicesTests(DemoTestCase):
    """What can be chosen."""

    async def test_modes(self) -> None:
        """Tunnel mode protects two networks, transport mode the hosts themselves."""
        for mode, traffic in (
            ("tunnel", "10.1.0.0/24 <-> 10.2.0.0/24"),
            ("transport", "127.0.0.1 <-> 127.0.0.2"),
        ):
            status, lines = await self.run_demo(mode=mode)
            self.assertEqual(status, OK)
            self.assertIn(f"ESP {mode}  {traffic}", "\n".join(lines))
            self.assertIn(mode.capitalize(), steps(lines)[6]["said"])

    async def test_proposals(self) -> None:
        """The ISAKMP SA is made as I say, in any order of the words."""
        for proposal, words, octets in (
            ("aes256-sha512-ecp384", "AES-CBC-256/SHA2-512/ECP-384", 96),
            ("3des-sha1-modp1024", "3DES-CBC/SHA/MODP-1024", 128),
            ("modp1536-md5-aes192", "AES-CBC-192/MD5/MODP-1536", 192),
        ):
            status, lines = await self.run_demo(proposal=proposal)
            self.assertEqual(status, OK, lines)
            shown = steps(lines)
            for step in shown[:2]:
                self.assertIn(words, step["said"])
            self.assertIn(f"KE({octets} octets)", shown[2]["said"])

    async def test_esp(self) -> None:
        """ESP is made as I say: also a cipher that authenticates, and one that hides nothing."""
        for suite, algorithms in (
            ("aes256-sha512", "aes-cbc hmac-sha2-512-256"),
            ("aes128gcm16", "aes-gcm-16"),
            ("3des-sha1", "3des-cbc hmac-sha1-96"),
            ("null-sha256", "null hmac-sha2-256-128"),
        ):
            status, lines = await self.run_demo(esp=suite)
            self.assertEqual(status, OK, lines)
            self.assertIn(f"  {algorithms}  expires in", "\n".join(lines))

    async def test_alternatives(self) -> None:
        """Of alternatives the first is taken, and all of them are offered."""
        status, lines = await self.run_demo(esp="aes256-sha256|aes128-sha1")
        self.assertEqual(status, OK)
        offered, answered = (step["said"] for step in steps(lines)[6:8])
        self.assertIn("AES_CBC-256", answered)
        self.assertNotIn("AES_CBC-128", answered)
        self.assertIn("AES_CBC-256", offered)
        self.assertIn("AES_CBC-128", offered)

    async def test_pfs(self) -> None:
        """With perfect forward secrecy Quick Mode has a KE payload of the group that I named."""
        for proposal, esp_, name, octets in (
            ("aes128-sha256-ecp256", "aes128-sha256", "ECP-256", 64),
            ("modp1024-aes128-sha1", "aes128gcm16", "MODP-1024", 128),
            ("aes128-sha256-x25519", "aes256-sha256|aes128-sha1", "Curve25519", 32),
        ):
            for pfs in (True, False):
                status, lines = await self.run_demo(proposal=proposal, esp=esp_, pfs=pfs)
                self.assertEqual(status, OK, lines)
                for step in steps(lines)[6:8]:
                    check = self.assertIn if pfs else self.assertNotIn
                    check(f"KE({octets} octets)", step["said"])
                    check(name.lower(), step["said"].lower())

    async def test_ping(self) -> None:
        """
        With --ping an echo goes there and back through ESP, with every kind of cipher and in either
        mode; each packet is told with its SPI, and one that is sent again is refused.
        """
        for choices, octets in (
            ({}, 156),
            ({"esp": "aes256gcm16"}, 140),
            ({"mode": "transport", "esp": "aes128gcm16"}, 120),
            ({"esp": "null-sha1"}, 128),
            ({"esp": "3des-md5", "pfs": True}, 136),
        ):
            status, lines = await self.run_demo(ping=True, **choices)
            said = "\n".join(lines)
            self.assertEqual(status, OK, said)
            self.assertRegex(said, r"10\.1\.0\.1 pings|127\.0\.0\.1 pings")
            echoes = [line for line in lines if line.startswith("  echo ")]
            self.assertEqual(len(echoes), 3, said)
            for line in echoes:
                self.assertIn(f": {octets} octets with SPI ", line)
            self.assertIn("sent again by somebody else, is refused: replayed.", said)

    async def test_ping_unanswered(self) -> None:
        """An echo that gets lost is a problem, and the demonstration says so."""
        self.patch(UserspaceSink, "received", lambda sink, octets: False)
        found = await self.problems(ping=True)
        self.assertEqual(len(found), 3)
        self.assertIn("echo 1 was not answered", found[0])

    async def test_ping_replayed(self) -> None:
        """A sink that takes a packet twice is caught."""
        self.patch(ReplayWindow, "fresh", lambda window, sequence: True)
        (found,) = await self.problems(ping=True)
        self.assertIn("a packet was taken twice", found)

    async def test_capture(self) -> None:
        """
        With --capture all packets and their keys are in a directory, which nobody else may read;
        what to type is told.
        """
        directory = Path(self.mktemp())
        status, lines = await self.run_demo(ping=True, capture=str(directory))
        self.assertEqual(status, OK)
        self.assertIn(f"WIRESHARK_CONFIG_DIR={directory} wireshark", lines[-1])
        self.assertEqual(
            {path.name for path in directory.iterdir()},
            {
                *("demo.pcapng", "decode_as_entries", "preferences"),
                *("esp_sa", "ikev1_decryption_table"),
            },
        )
        self.assertFalse(directory.stat().st_mode & 0o077)
        self.assertEqual(len((directory / "esp_sa").read_text().splitlines()), 2)
        # Once more: no row of the first is left.
        await self.run_demo(capture=str(directory))
        table = (directory / "ikev1_decryption_table").read_text()
        self.assertEqual(len(table.splitlines()), 1)
        file = Path(self.mktemp())
        file.write_text("")
        with self.assertRaises(ConfigurationError):
            await self.run_demo(capture=str(file / "inside"))

    def test_seconds(self) -> None:
        """It takes no more than 10 seconds, and a minute where datagrams are lost."""
        self.assertEqual((Choices().seconds, Choices(loss=0.01).seconds), (10.0, 60.0))
        # The longest wait for one message, and what comes before and after it.
        self.assertLess(Intervals(0.5, 1.6, 6).total, 25.0)

    async def test_mistakes(self) -> None:
        """What is not understood is a ConfigurationError that names it, and nothing is printed."""
        for word, choices in (
            ("rot13", {"proposal": "rot13-sha1-modp1024"}),
            ("aes128-sha256", {"proposal": "aes128-sha256"}),
            ("aes128-sha256", {"proposal": "aes128-sha256", "pfs": True}),
            ("rot13", {"esp": "rot13-sha1"}),
            ("modp2048", {"esp": "aes128-sha1-modp2048", "pfs": True}),
            ("sideways", {"mode": "sideways"}),
            ("net", {"esp": "ah=sha256"}),
        ):
            lines: list[str] = []
            wrong = Choices(**choices)
            with self.assertRaises(ConfigurationError) as caught:
                await demonstrate(reactor, wrong, lines.append)
            self.assertIn(word, str(caught.exception))
            self.assertEqual(len(str(caught.exception).splitlines()), 1)
            self.assertEqual(lines, [])
