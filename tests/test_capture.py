"""
Captures, and the keys beside them.
"""

from __future__ import annotations

import io
import os
import stat
import struct
from dataclasses import replace
from pathlib import Path as FilePath

from twisted.trial.unittest import SynchronousTestCase

from isakmp import packets
from isakmp.associations import IPsecParameters
from isakmp.capture import Capture, CapturedPorts, in_ip
from isakmp.errors import ConfigurationError
from isakmp.events import Established
from isakmp.keylog import KeyLog, esp_rows
from isakmp.packets import Packet
from isakmp.paths import Datagram, Path
from isakmp.stream import EventStream
from tests.nodes import pair
from tests.samples import bundle, logged


class CaptureTests(SynchronousTestCase):
    def test_blocks(self) -> None:
        """
        The file is made of blocks that say their length before and after, all of whole words; a
        packet stands in it with its time and its comment.
        """
        file = io.BytesIO()
        capture = Capture(file, lambda: 1_700_000_000.25)
        octets = packets.packet("192.0.2.1", "192.0.2.2", 17, b"odd")
        capture.packet(octets)
        capture.packet(octets, "why")
        data, blocks = file.getvalue(), []
        while data:
            kind, length = struct.unpack_from("<II", data)
            self.assertEqual(length % 4, 0)
            self.assertEqual(data[length - 4 : length], data[4:8])
            blocks.append((kind, data[8 : length - 4]))
            data = data[length:]
        self.assertEqual([kind for kind, _ in blocks], [0x0A0D0D0A, 1, 6, 6])
        self.assertEqual(struct.unpack_from("<H", blocks[1][1])[0], 101)
        high, low, captured, original = struct.unpack_from("<IIII", blocks[2][1], 4)
        self.assertEqual(high << 32 | low, 1_700_000_000_250_000)
        self.assertEqual((captured, original), (len(octets), len(octets)))
        self.assertIn(octets, blocks[2][1])
        self.assertIn(b"why\0", blocks[3][1])

    def test_ports(self) -> None:
        """What a node sends is captured as it travels, and sent."""

        class Ports:
            sent: list[Datagram] = []

            def send(self, datagram: Datagram) -> None:
                self.sent.append(datagram)

            def source(self, remote: str, port: int) -> tuple[str, int]:
                return "192.0.2.1", port

        recorded: list[Datagram] = []
        ports = CapturedPorts(Ports(), recorded.append)  # type: ignore[arg-type]
        datagram = Datagram(b"message", Path(("192.0.2.1", 500), ("192.0.2.2", 501)))
        ports.send(datagram)
        self.assertEqual((recorded, Ports.sent), ([datagram], [datagram]))
        self.assertEqual(ports.source("192.0.2.2", 7), ("192.0.2.1", 7))
        found = Packet.decode(in_ip(datagram))
        self.assertEqual((found.ports, found.payload[8:]), ((500, 501), b"message"))


class KeyLogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = FilePath(self.mktemp())
        self.events = EventStream()
        self.notes = logged(self)

    def log(self) -> KeyLog:
        return KeyLog(str(self.directory), self.events)

    def lines(self, name: str) -> list[str]:
        return (self.directory / name).read_text().splitlines()

    def test_both_tables(self) -> None:
        """
        With a key log the keys of the ISAKMP SA and of the ESP SAs stand in Wireshark's tables as
        soon as they are up; nobody else may read them, and the log says that they are there.
        """
        both = pair()
        log = KeyLog(str(self.directory), both.a.node.events)
        both.up()
        (sa,) = both.a.sas
        (row,) = self.lines("ikev1_decryption_table")
        cookie, key = row.split(",")
        self.assertEqual(cookie, sa.key.initiator.hex())
        self.assertEqual(len(bytes.fromhex(key)), 16)
        rows = self.lines("esp_sa")
        self.assertEqual(len(rows), 2)
        spis = {row.split(",")[3].strip('"') for row in rows}
        (made,) = both.a.bundles
        self.assertEqual(spis, {f"0x{key.spi.hex()}" for key in made.keys})
        for one in (*made.inbound, *made.outbound):
            row = next(row for row in rows if one.key.spi.hex() in row)
            self.assertIn(f'"0x{one.keys["encryption"].hex()}"', row)
            self.assertIn(f'"0x{one.keys["integrity"].hex()}"', row)
        for path in (self.directory, *self.directory.iterdir()):
            self.assertFalse(stat.S_IMODE(path.stat().st_mode) & 0o077, path)
        warnings = [n for n in self.notes if n["log_level"].name == "warn"]
        self.assertIn("keys of all SAs are written", str(warnings[0]["log_format"]))
        log.stop()
        before = self.lines("ikev1_decryption_table")
        both.a.node.events.publish(Established(sa))
        self.assertEqual(self.lines("ikev1_decryption_table"), before)

    def test_without(self) -> None:
        """Without one no key of an SA is anywhere in the log."""
        both = pair()
        both.up()
        (made,) = both.a.bundles
        said = repr(self.notes)
        for one in (*made.inbound, *made.outbound):
            for key in one.keys.values():
                self.assertNotIn(key.hex(), said)

    def test_rows(self) -> None:
        """What Wireshark cannot decrypt has no row, rather than a wrong one."""
        made = bundle()

        def rows(encryption: str, integrity: str) -> list[str]:
            parameters = IPsecParameters("tunnel", encryption, integrity)
            changed = replace(
                made, inbound=tuple(replace(sa, parameters=parameters) for sa in made.inbound)
            )
            return list(esp_rows(replace(changed, outbound=())))

        self.assertEqual(rows("camellia-cbc", "hmac-sha1-96"), [])
        self.assertEqual(rows("aes-cbc", "none"), [])
        (row,) = rows("aes-gcm-16", "none")
        self.assertIn("AES-GCM with 16 octet ICV [RFC4106]", row)
        self.assertIn('"NULL",""', row)
        self.assertEqual(rows("aes-ccm-8", "none"), [])
        (row,) = rows("null", "hmac-sha1-96")
        self.assertTrue(row.startswith('"IPv4","*",'))

    def test_somebody_elses(self) -> None:
        """
        No key is written where somebody else has made the place for it: a directory that others may
        enter, a file that they may read, a pipe, a link.  Nothing waits for a pipe's reader.
        """
        self.directory.mkdir()
        self.directory.chmod(0o755)
        self.assertRaises(ConfigurationError, self.log)
        self.directory.chmod(0o700)
        table = self.directory / "esp_sa"
        elsewhere = self.mktemp()

        def readable() -> None:
            with open(table, "w"):
                os.chmod(table, 0o644)

        makers = (
            readable,
            lambda: os.mkfifo(table, 0o600),
            lambda: os.symlink(elsewhere, table),
            lambda: os.mkdir(table, 0o700),
        )
        for make in makers:
            make()
            self.assertRaises(ConfigurationError, self.log)
            (os.rmdir if os.path.isdir(table) else os.unlink)(table)
        self.assertFalse(os.path.exists(elsewhere))
        self.log()
        os.chmod(table, 0o640)
        self.events.publish(Established(bundle()))
        self.assertIn("could not be written", str(self.notes[-1]["log_format"]))
        self.assertEqual(self.lines("esp_sa"), [])

    def test_cannot(self) -> None:
        """Where keys cannot be written, that is said at once; later it is logged."""
        file = FilePath(self.mktemp())
        file.write_text("")
        self.assertRaises(ConfigurationError, KeyLog, str(file / "inside"), self.events)
        self.log()
        (self.directory / "esp_sa").unlink()
        os.rmdir(self.directory)
        self.events.publish(Established(bundle()))
        self.assertIn("could not be written", str(self.notes[-1]["log_format"]))

    def test_links(self) -> None:
        """A link that somebody has laid there is not followed."""
        self.directory.mkdir()
        target = FilePath(self.mktemp())
        (self.directory / "esp_sa").symlink_to(target)
        self.assertRaises(ConfigurationError, self.log)
        self.assertFalse(target.exists())
