"""
The how-to page on failing handshakes quotes what this program says, and says it for each case.

Two nodes are configured by the two files of the tutorial, with one change each, and talk over a
network in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from isakmp.assembly import Assembly
from isakmp.config.load import load
from isakmp.journal import Journal
from isakmp.paths import Datagram
from isakmp.sinks.memory import MemorySink
from isakmp.testing import LossyNetwork, VirtualClock
from tests.pages import DOC, Command, blocks

PAGE = DOC / "how-to" / "failing-handshake.rst"
FILES = DOC / "examples" / "two-namespaces"


@dataclass(frozen=True, slots=True)
class Case:
    """
    One way to fail.

    :ivar title: of the section of the page that is about it.
    :ivar left: what is replaced by what in the file of the end that begins; ``right`` of the other.
    :ivar silent: whether the other end is not there at all.
    :ivar seconds: after which all is said.
    """

    title: str
    left: tuple[str, str] = ("", "")
    right: tuple[str, str] = ("", "")
    silent: bool = False
    seconds: float = 3.0


CASES = (
    Case("Nobody answers", silent=True, seconds=80.0),
    Case(
        "No connection for this peer",
        right=("remote_addrs = 10.77.0.1", "remote_addrs = 10.77.0.9"),
        seconds=80.0,
    ),
    Case("No common proposal", left=("sha256-modp2048", "sha512-modp2048")),
    Case("Different secrets", left=("correct horse", "battery horse")),
    Case("The peer is somebody else", left=("right.example.org", "gateway.example.org")),
    Case("We are somebody else", left=("left.example.org", "gateway.example.org")),
    Case("Other traffic", left=("10.1.0.0/24", "10.1.0.0/16")),
    Case(
        "No common ESP proposal",
        left=("esp_proposals = aes128-sha256", "esp_proposals = aes256-sha256"),
    ),
    Case(
        "Perfect forward secrecy at one end only",
        right=("esp_proposals = aes128-sha256", "esp_proposals = aes128-sha256-modp2048"),
    ),
)


@contextmanager
def logged() -> Iterator[list[str]]:
    """What this package logs meanwhile, from the level ``info`` on."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_namespace", "").startswith("isakmp.") and (
            event["log_level"] >= LogLevel.info
        ):
            lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    try:
        yield lines
    finally:
        globalLogPublisher.removeObserver(observe)


class RefusalTests(SynchronousTestCase):
    def log(self, case: Case) -> list[str]:
        """What both ends log of one attempt, and of the next."""
        clock = VirtualClock()
        network = LossyNetwork(clock)
        directory = Path(self.mktemp())
        directory.mkdir()
        ends: list[Assembly] = []
        with logged() as lines:
            for name, address, change in (
                ("isakmp", "10.77.0.1", case.left),
                ("charon", "10.77.0.2", case.right),
            )[: 1 if case.silent else 2]:
                text = (FILES / name / "swanctl.conf").read_text()
                self.assertIn(change[0], text)
                file = directory / f"{name}.conf"
                file.write_text(text.replace(*change) if change[0] else text)
                found = load(str(file))
                self.assertEqual(found.warnings, ())
                end = Assembly(
                    found.connections,
                    found.secrets,
                    clock=clock,
                    ports=network.attach(address, self.receiver(ends, len(ends))),
                    sink=MemorySink(),
                )
                Journal(end.node.events)
                ends.append(end)
            ends[0].initiation.keep(load(str(directory / "isakmp.conf")).connections)
            clock.run_until(case.seconds)
            said = list(lines)
            for end in ends:
                end.stop()
        return said

    def receiver(self, ends: Sequence[Assembly], number: int) -> Callable[[Datagram], None]:
        """What the network gives the datagrams of one end to."""
        return lambda datagram: ends[number].endpoint.datagram_received(datagram)

    def quoted(self, title: str) -> list[str]:
        """The quotations in one section of the page."""
        lines = PAGE.read_text().splitlines()
        first = lines.index(title)
        underlines = [n for n, line in enumerate(lines) if line and set(line) == {"-"}]
        last = next((n - 1 for n in underlines if n > first + 1), len(lines))
        return [b.text for b in blocks(PAGE) if first < b.line <= last and b.language == "text"]

    def test_agreed(self) -> None:
        """Without a change both ends agree; so it is the change that is refused."""
        said = self.log(Case("nothing"))
        self.assertEqual(len([line for line in said if "is established" in line]), 4, said)
        self.assertEqual([line for line in said if "failed" in line or "refused" in line], [])

    def test_quoted(self) -> None:
        """What the page quotes is said, word for word, at whichever end, in that case."""
        for case in CASES:
            said = self.log(case)
            quotations = self.quoted(case.title)
            self.assertTrue(quotations, f"nothing is quoted for {case.title!r}")
            for text in quotations:
                quotation = Command("", False, "", text)
                self.assertTrue(
                    any(map(quotation.prints, said)),
                    f"{case.title}: the page quotes\n{text}\nand what is said is\n"
                    + "\n".join(dict.fromkeys(said)),
                )

    def test_all(self) -> None:
        """Whatever fails or is refused in these cases is quoted: I find what I read in my log."""
        for case in CASES:
            quotations = [Command("", False, "", text) for text in self.quoted(case.title)]
            for line in self.log(case):
                if " failed: " in line or line.startswith("refused"):
                    self.assertTrue(any(q.prints(line) for q in quotations), line)

    def test_nothing_else(self) -> None:
        """Every quotation of the page belongs to a case that is tried here."""
        quoted = [text for case in CASES for text in self.quoted(case.title)]
        self.assertEqual(quoted, [b.text for b in blocks(PAGE) if b.language == "text"])
