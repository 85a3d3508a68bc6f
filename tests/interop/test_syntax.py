"""
strongSwan's own ``swanctl`` and our reader, given the same files: what one understands, the other
understands, and means the same by it.

``swanctl --load-conns`` reads a file and sends what it found to charon's vici socket.  Here listens
somebody who only takes that down.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from isakmp.config import syntax
from isakmp.config.mistakes import Findings
from isakmp.config.tree import Section, followed
from tests.interop.charon import TREE

SWANCTL = TREE / "usr" / "sbin" / "swanctl"

LISTS = frozenset(
    {"local_addrs", "remote_addrs", "proposals", "esp_proposals", "local_ts", "remote_ts"}
)
"""Keys whose values swanctl takes apart, of those that are tried."""

#: What was understood: keys with values or items, and sections, in order.
Understood = list[tuple[str, "str | list[str] | Understood"]]


class Vici(threading.Thread):
    """
    A vici socket that knows no connection and takes every one it is given.

    :ivar connections: what was loaded.
    """

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self.connections: Understood = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        self._socket.listen()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # it was closed
            with connection, connection.makefile("rwb") as stream:
                while head := stream.read(4):
                    stream.write(self._answer(stream.read(*struct.unpack("!I", head))))
                    stream.flush()

    def close(self) -> None:
        """Listen no longer."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _answer(self, packet: bytes) -> bytes:
        """Type 0 is a command, 1 its response; 3 and 4 are about events, 5 confirms."""
        answer = b"\x05" if packet[0] else b"\x01\x03\x07success\x00\x03yes"
        if not packet[0] and packet[2 : 2 + packet[1]] == b"load-conn":
            message, _ = self._section(packet[2 + packet[1] :])
            self.connections += message
        return struct.pack("!I", len(answer)) + answer

    def _section(self, octets: bytes) -> tuple[Understood, bytes]:
        found: Understood = []
        while octets:
            kind, octets = octets[0], octets[1:]
            if kind == 2:
                break
            if kind in (1, 3, 4):
                name, octets = octets[1 : 1 + octets[0]].decode("latin-1"), octets[1 + octets[0] :]
            if kind == 1:
                inner, octets = self._section(octets)
                found.append((name, inner))
            elif kind == 4:
                items: list[str] = []
                found.append((name, items))
            elif kind in (3, 5):
                (length,) = struct.unpack("!H", octets[:2])
                value, octets = octets[2 : 2 + length].decode("latin-1"), octets[2 + length :]
                if kind == 3:
                    found.append((name, value))
                else:
                    items.append(value)
        return found, octets


def understood(section: Section) -> Understood:
    """A section as swanctl would send it."""
    found: Understood = []
    for key, datum in section.data.items():
        value = datum.value.encode("utf-8", "surrogateescape").decode("latin-1")
        if key in LISTS:
            found.append((key, [word for part in value.split(",") if (word := part.strip(" "))]))
        else:
            found.append((key, value))
    return found + [(name, understood(inner)) for name, inner in section.sections.items()]


class Texts:
    """
    Files by chance, but the same for the same seed.
    """

    WORDS = (
        "v1",
        "x=y",
        "{z",
        "1,2 ,3",
        "a.b:c",
        "\\q",
        "%any",
        "v,w",
        "\xe4",
        "\r",
        "\t",
        "include",
    )
    QUOTED = (
        "",
        "q r",
        "a#b",
        "1\n2",
        '\\"\\n\\t\\z\\\\',
        "j\\\nk",
        "}{",
        "t\tt",
        "c\rr",
        "\\\r\nx",
    )
    REFERENCES = ("t", "t.a", "t.b", "connections.a", "connections.b", "connections.a.b")
    SPICE = ("{", "}", "=", '"', "\\", "#", ".", ":", ",", " ", "\n", "include ")

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def text(self) -> bytes:
        """One file; every third is damaged."""
        text = f"t {{\n{self._body(1)}}}\nconnections {{\n{self._body(1)}{self._body(1)}}}\n"
        if self._chance.random() < 0.3:
            for _ in range(self._chance.randint(1, 3)):
                at = self._chance.randrange(len(text))
                cut = self._chance.randint(0, 1)
                text = text[:at] + self._chance.choice(self.SPICE) + text[at + cut :]
        return text.encode("latin-1")

    def _body(self, depth: int) -> str:
        return "".join(self._statement(depth) for _ in range(self._chance.randint(0, 4)))

    def _statement(self, depth: int) -> str:
        choose = self._chance.choice
        what = self._chance.random()
        if what < 0.55:
            key, value = choose(("k1", "k2", "k3", "local_addrs")), self._value()
            if key in LISTS:  # swanctl takes quotes in a list for something of their own
                value = value.replace('\\"', "")
            return f"{key}{choose((' ', ''))}={value}\n"
        if what < 0.65 or depth > 3:
            return choose(("# x { }\n", "  # x = y\n", "\n", "\r\n", "include none/*.conf\n"))
        colon = ""
        if self._chance.random() < 0.35:
            some = self._chance.sample(self.REFERENCES, self._chance.randint(1, 2))
            colon = choose((" : ", ":", "\n:")) + choose((", ", ",")).join(some)
        brace = choose((" {", "{", "\n{\n"))
        return f"{choose('abc')}{colon}{brace}{self._body(depth + 1)}}}\n"

    def _value(self) -> str:
        parts = []
        for _ in range(self._chance.randint(0, 3)):
            quoted = self._chance.random() < 0.5
            parts.append(
                f'"{self._chance.choice(self.QUOTED)}"'
                if quoted
                else self._chance.choice(self.WORDS)
            )
            parts.append(self._chance.choice((" ", "  ", "\t", "")))
        return "".join(parts)


class SyntaxTests(SynchronousTestCase):
    skip = None if SWANCTL.exists() else "strongSwan is not here: run 'make peers'"

    def setUp(self) -> None:
        # A socket's path has 108 octets at most, and a test's own directory may be too deep.
        self.directory = Path(tempfile.mkdtemp(prefix="swanctl-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.vici = Vici(str(self.directory / "vici"))
        self.vici.start()
        self.addCleanup(self.vici.close)
        (self.directory / "strongswan.conf").write_text("swanctl { load = }\n")

    def theirs(self, path: Path) -> Understood | None:
        """What swanctl makes of a file; None: it refuses it."""
        self.vici.connections = []
        ended = subprocess.run(
            [
                str(SWANCTL),
                *("--load-conns", "--uri", f"unix://{self.directory / 'vici'}"),
                *("--file", str(path)),
            ],
            env={
                **os.environ,
                "LD_LIBRARY_PATH": str(TREE / "usr" / "lib" / "ipsec"),
                "STRONGSWAN_CONF": str(self.directory / "strongswan.conf"),
                "SWANCTL_DIR": str(self.directory),
            },
            capture_output=True,
            timeout=20,
        )
        said = (ended.stdout + ended.stderr).decode("utf-8", "replace")
        if "invalid config file" in said:
            return None
        self.assertIn("connections", said)
        return self.vici.connections

    def ours(self, path: Path) -> tuple[Understood, list[str]]:
        """What we make of it, and what is wrong."""
        findings = Findings()
        root, _ = followed(syntax.read(str(path), findings), findings)
        # There swanctl says nothing: it means nothing by such a reference.
        mistakes = [
            m.text for m in findings.mistakes if not m.text.startswith("there is no section")
        ]
        sections = root.section("connections").sections
        return [(name, understood(section)) for name, section in sections.items()], mistakes

    def compare(self, text: bytes) -> str:
        """One of ``same`` and ``refused``, by both; ``circle`` is refused by us alone."""
        path = self.directory / "some.conf"
        path.write_bytes(text)
        ours, mistakes = self.ours(path)
        if any("is in itself" in m or "leads back to itself" in m for m in mistakes):
            return "circle"  # swanctl may well hang itself with it
        theirs = self.theirs(path)
        if theirs is None:
            self.assertTrue(mistakes, text)
            return "refused"
        self.assertEqual(mistakes, [], text)
        self.assertEqual(ours, theirs, text)
        return "same"

    def test_by_chance(self) -> None:
        """Files with everything that the syntax has, damaged ones among them."""
        texts = Texts(seed=7)
        found = [self.compare(texts.text()) for _ in range(100)]
        self.assertGreater(found.count("same"), 40)
        self.assertGreater(found.count("refused"), 10)

    def test_examples(self) -> None:
        """The examples of the documentation."""
        examples = Path(__file__).resolve().parents[2] / "doc" / "examples"
        for path in sorted(examples.glob("*.conf")):
            self.assertEqual(self.compare(path.read_bytes()), "same", path)
