"""
The documentation as data: its pages, the blocks of code in them, and the commands they show.

In a ``console`` block a line that begins with ``$`` is a command for anybody, one that begins with
``#`` a command for root; what follows, up to the next command, is what it prints.  A line of three
dots stands for anything.  Where lines break does not matter, nor do times, SPIs, cookies, and ports
that the system chose.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

CHECKOUT = Path(__file__).resolve().parent.parent
DOC = CHECKOUT / "doc"

WRITTEN_BY_PROGRAMS = (
    "reference/conformance.rst",
    "reference/section-5.rst",
    "reference/failures.rst",
    "reference/changes.rst",
)

_DIRECTIVE = re.compile(r"(?P<indent> *)\.\. (?:code-block|code)::(?: +(?P<language>\S+))?\s*")
_OPTION = re.compile(r" +:[a-z-]+:")
_PARAGRAPH = re.compile(r"(?P<indent> *)(?P<text>\S.*)?::\s*")

_VARIABLE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+\d{4})"
    r"|(?P<hex>\b(?=[0-9a-f]*\d)[0-9a-f]{8,}(?![0-9a-z]))"
    r"|(?P<port>(?<=:)\d{5}\b)"
    r"|(?P<seconds>\b\d+(?= ?s\b))"
    r"|(?P<milliseconds>\b\d+\.\d\b(?!\.))"
    r"|(?P<dots>(?<!\S)\.\.\.(?!\S))"
)
_PATTERNS = {
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+\d{4}",
    "port": r"\d{2,5}",
    "seconds": r"\d+",
    "milliseconds": r"\d+\.\d",
    "dots": r".*?",
}


def pages() -> list[Path]:
    """Every page that somebody has written, the README first."""
    written = sorted(
        path for path in DOC.rglob("*.rst") if str(path.relative_to(DOC)) not in WRITTEN_BY_PROGRAMS
    )
    return [CHECKOUT / "README.rst", *written]


def page(name: str) -> str:
    """The text of a page, by its path below ``doc``."""
    return (DOC / name).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Block:
    """
    A block of code.

    :ivar line: of its first line, from 1.
    :ivar language: empty for a paragraph that ends in two colons.
    """

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where it is, for a message."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Command:
    """
    One command that a page shows.

    :ivar root: whether it is for root.
    :ivar expected: what the page says that it prints; empty if it says nothing of that.
    """

    place: str
    root: bool
    text: str
    expected: str

    def prints(self, output: str) -> bool:
        """Whether this is what the page says."""
        return re.fullmatch(_pattern(self.expected), _joined(output), re.DOTALL) is not None


def _joined(text: str) -> str:
    return " ".join(text.split())


def _pattern(expected: str) -> str:
    text, pattern, end = _joined(expected), "", 0
    for found in _VARIABLE.finditer(text):
        pattern += re.escape(text[end : found.start()])
        kind = found.lastgroup or ""
        # Lengths of cookies and SPIs do not vary.
        pattern += _PATTERNS.get(kind) or f"[0-9a-f]{{{len(found[0])}}}"
        end = found.end()
    pattern += re.escape(text[end:])
    # Where anything may stand, nothing may, too.
    return pattern.replace(r"\ .*?", r"(?:\ .*?)?").replace(r".*?\ ", r"(?:.*?\ )?")


def blocks(path: Path) -> Iterator[Block]:
    """All blocks of code of a page."""
    lines = path.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        directive = _DIRECTIVE.fullmatch(line)
        paragraph = None if line.lstrip().startswith("..") else _PARAGRAPH.fullmatch(line)
        opening = directive or paragraph
        if opening is None:
            continue
        indent = len(opening["indent"])
        while directive and number < len(lines) and _OPTION.match(lines[number]):
            number += 1
        while number < len(lines) and not lines[number].strip():
            number += 1
        first, taken = number, []
        while number < len(lines):
            depth = len(lines[number]) - len(lines[number].lstrip())
            if lines[number].strip() and depth <= indent:
                break
            taken.append(lines[number])
            number += 1
        margin = min((len(t) - len(t.lstrip()) for t in taken if t.strip()), default=0)
        text = "\n".join(t[margin:] for t in taken).strip("\n")
        yield Block(path, first + 1, (directive["language"] or "") if directive else "", text)


def commands(path: Path) -> list[Command]:
    """The commands of a page, in its order."""
    return [
        command
        for block in blocks(path)
        if block.language == "console"
        for command in _commands(block)
    ]


def _commands(block: Block) -> Iterator[Command]:
    shown: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(block.text.splitlines(), block.line):
        if line[:2] in ("$ ", "# "):
            shown.append((number, line, []))
        elif not shown:
            raise ValueError(f"{block.place}: a console block begins with a command")
        elif shown[-1][1].endswith("\\"):
            number, command, printed = shown.pop()
            shown.append((number, f"{command[:-1]} {line.strip()}", printed))
        else:
            shown[-1][2].append(line)
    for number, command, printed in shown:
        yield Command(f"{block.page}:{number}", command[0] == "#", command[2:], "\n".join(printed))


class Shell:
    """
    A shell in the checkout, for the commands of a page.

    :param inside: what it runs in: a command that runs another.
    """

    _END = "-- end of the command:"

    def __init__(self, inside: Sequence[str] = ()) -> None:
        # What is installed is found, as it is where somebody has installed it; and what they run
        # need not be so strict with warnings as tests are.
        programs = str(Path(sys.executable).parent)
        environment = {**os.environ, "PATH": os.pathsep.join((programs, os.environ["PATH"]))}
        environment.pop("PYTHONWARNINGS", None)
        self._process = subprocess.Popen(
            [*inside, "bash"],
            cwd=CHECKOUT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

    def __enter__(self) -> Shell:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, command: str) -> tuple[str, int]:
        """
        One command.

        :return: what it printed, and its exit status.
        """
        # A checkout is used from its .venv; these tests may run in another.
        command = command.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(f"{command}\necho '{self._END}' $?\n")
        stdin.flush()
        printed = []
        for line in stdout:
            before, ended, status = line.partition(self._END)
            printed.append(before)
            if ended:
                return "".join(printed), int(status)
        raise AssertionError(f"{command} has ended its shell:\n{''.join(printed)}")

    def follow(self, command: Command, patience: float = 0.0) -> None:
        """
        Run a command of a page; it has to print what the page says.

        :param patience: seconds for which it is run again and again until it does, as somebody does
            who waits for something to happen.
        :raises AssertionError: if it does not.
        """
        until = time.monotonic() + patience
        while True:
            printed, status = self.run(command.text)
            if command.prints(printed) if command.expected else status == 0:
                return
            if not command.expected or time.monotonic() > until:
                raise AssertionError(
                    f"{command.place}: {command.text}\nshould print\n{command.expected}\n"
                    f"and ended with status {status} after\n{printed}"
                )
            time.sleep(0.1)


def write_page(name: str, text: str, command: str, arguments: Sequence[str]) -> int:
    """
    Write a page that is made of data, or with ``--check`` say whether it is what the data says.

    :param name: below ``doc``.
    :param command: what writes it, for whoever has to.
    :returns: the exit status.
    """
    path = DOC / name
    if "--check" not in arguments:
        path.write_text(text, encoding="utf-8")
        return 0
    if path.read_text(encoding="utf-8") == text:
        return 0
    print(f"{path.relative_to(CHECKOUT)} is out of date: run {command}", file=sys.stderr)
    return 1
