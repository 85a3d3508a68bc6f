"""
What the documentation says is so: its commands run, its files and names exist, its tables are the
code's.

What takes root is run by :mod:`tests.interop.test_tutorial`, what quotes refusals by
:mod:`tests.test_documentation_refusals`, what is about traffic by
:mod:`tests.test_documentation_traffic`.
"""

from __future__ import annotations

import argparse
import configparser
import dataclasses
import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface

from isakmp import cli, description, events, interfaces, tap
from isakmp.commands import output
from isakmp.config import isakmp_toml, load
from isakmp.config.mistakes import ConfigurationErrors
from isakmp.connections import Intervals, Limits
from isakmp.events import Removal
from isakmp.plugins import Plugins, SinkPlugin, builtin
from tests.laboratory import LABORATORY
from tests.laboratory.test_size import PUBLIC
from tests.pages import CHECKOUT, DOC, Command, Shell, blocks, commands, page, pages

#: Pages whose commands for root :mod:`tests.interop.test_tutorial` runs.
FOR_ROOT = (
    "tutorial/two-namespaces.rst",
    *("how-to/from-charon.rst", "how-to/beside-charon.rst", "how-to/swanctl.rst"),
)

#: Commands that are not run from here, and why.
ELSEWHERE = {
    "python3 -m venv /opt/isakmp": "tests.packaging.test_install installs into new environments",
    "/opt/isakmp/bin/python -m pip install .": "likewise",
    "/opt/isakmp/bin/twistd -n --pidfile= isakmp --config /etc/swanctl/swanctl.conf": "likewise",
    "tests/interop/umlrun .venv/bin/python -m twisted.trial tests.interop.in_guest_kinds": (
        "tests.interop.test_kernel does"
    ),
    **dict.fromkeys(
        (
            "useradd --system --no-create-home isakmp",
            "mkdir -p /etc/isakmp",
            "chown -R root:isakmp /etc/swanctl /etc/isakmp",
            "chmod -R u=rwX,g=rX,o= /etc/swanctl /etc/isakmp",
            "cp doc/examples/systemd/isakmp.service /etc/systemd/system/",
            "systemctl daemon-reload",
            "systemctl enable --now isakmp",
        ),
        "it would change this machine; tests.test_systemd reads the unit",
    ),
    **dict.fromkeys(
        (
            "tcpdump -w /tmp/tunnel.pcap 'udp port 500 or udp port 4500 or esp'",
            "WIRESHARK_CONFIG_DIR=/tmp/demo tshark -r /tmp/demo/demo.pcapng",
            "WIRESHARK_CONFIG_DIR=/var/lib/isakmp/keys tshark -r /tmp/tunnel.pcap",
        ),
        "tests.interop.test_demo_capture opens captures with tshark",
    ),
    ".venv/bin/python -m tests tests.wire tests.test_layers": "it would run tests inside tests",
    ".venv/bin/python -m twisted.trial tests.wire": "likewise",
    "bash .ci/run": "it would run all tests inside a test",
    ".venv/bin/python -m pip install doc/examples/laboratory": "tests.packaging.test_laboratory "
    "does, in a new environment",
    ".venv/bin/twistd -n --pidfile= isakmp --config swanctl.conf --settings isakmp.toml": "it too",
    "sh doc/examples/laboratory/both.sh": "it too",
}

#: What a page shows because it is refused.
REFUSED = "from-charon/before.conf"

#: What the targets of ``make`` run that a page shows the output of.
RECIPES = {"make demo": ".venv/bin/isakmpctl demo"}

_COMMAND = re.compile(
    r"(?:\$ |# )?(?:make|twistd|isakmpctl|swanctl|pip|apt|python3?|ip|(?:\S*/)?bin/\S+)\s+\S"
)
LITERAL = re.compile(r"``([^`]+)``")
_INCLUDED = re.compile(r"^\.\. literalinclude:: (\S+)$", re.MULTILINE)
ROW = re.compile(r"^    \* - (.+)\n      - (.+)", re.MULTILINE)
_NAME = re.compile(r"(?:isakmp|tests)(?:\.\w+)+")


def makefile() -> dict[str, str]:
    """The recipes of the Makefile's targets."""
    text = (CHECKOUT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    rules = re.findall(r"^([a-z]+):.*\n((?:\t.*\n)*)", text, re.MULTILINE)
    recipes = {name: recipe for name, recipe in rules if name in phony[1].split()}
    assert recipes.keys() == set(phony[1].split())
    return recipes


def literals() -> Iterator[tuple[str, str]]:
    """Every literal in the text of a page, with the page."""
    for path in pages():
        for literal in LITERAL.findall(path.read_text(encoding="utf-8")):
            yield str(path.relative_to(CHECKOUT)), literal


def options(parser: argparse.ArgumentParser) -> set[str]:
    """The options of a command."""
    return {option for action in parser._actions for option in action.option_strings}


def section(text: str, title: str) -> str:
    """One section of a page, up to the next title of its rank."""
    _, found, rest = text.partition(f"\n{title}\n{'-' * len(title)}\n")
    assert found, title
    return re.split(r"\n[^\n]+\n-+\n", rest)[0]


class CommandTests(SynchronousTestCase):
    def shown(self) -> Iterator[Command]:
        """What anybody can do, and the targets of make."""
        for path in pages():
            name = str(path.relative_to(DOC)) if path.is_relative_to(DOC) else ""
            for command in commands(path):
                if command.text not in ELSEWHERE and not (command.root and name in FOR_ROOT):
                    yield command

    def test_run(self) -> None:
        """I can copy any command that needs no privileges; it prints what stands below it."""
        number = 0
        with Shell() as shell:
            for command in self.shown():
                self.assertFalse(command.root, f"{command.place} is run by no test")
                text = command.text.partition("  #")[0].rstrip()
                if text.startswith("make "):
                    self.assertIn(text.split()[1], makefile(), command.place)
                    if not command.expected:
                        continue
                    text = self.recipe(text)
                shell.follow(dataclasses.replace(command, text=text))
                number += 1
        self.assertGreater(number, 5)

    def recipe(self, target: str) -> str:
        """What a target runs once ``.venv`` is there, from the Makefile."""
        recipe = makefile()[target.split()[1]].strip().lstrip("@").replace("$(BIN)", ".venv/bin")
        self.assertEqual(recipe, RECIPES[target])
        return recipe

    def test_elsewhere(self) -> None:
        """What is excused from being run is still shown."""
        shown = {command.text for path in pages() for command in commands(path)}
        self.assertEqual(ELSEWHERE.keys() - shown, set())

    def test_root(self) -> None:
        """The pages for root are those that the tutorial's test runs."""
        tried = importlib.util.find_spec("tests.interop.test_tutorial")
        assert tried is not None and tried.origin is not None
        source = Path(tried.origin).read_text()
        for name in FOR_ROOT:
            folder, _, file = name.partition("/")
            self.assertIn(f'DOC / "{folder}" / "{file}"', source)

    def test_all_in_console_blocks(self) -> None:
        """No command stands where it would not be run."""
        for path in pages():
            for block in blocks(path):
                if block.language != "console":
                    for line in block.text.splitlines():
                        self.assertIsNone(_COMMAND.match(line), f"{block.place}: {line}")

    def test_make(self) -> None:
        """The page on commands has every target of the Makefile, and no other is named anywhere."""
        targets = set(makefile())
        described = re.findall(r"^``make (\w+)``$", page("reference/commands.rst"), re.MULTILINE)
        self.assertEqual(sorted(described), sorted(targets))
        for name, literal in literals():
            found = re.fullmatch(r"make (\w+)", literal)
            self.assertTrue(found is None or found[1] in targets, f"{name}: {literal}")

    def test_options(self) -> None:
        """The page on commands has every option of each command, and no other."""
        text = page("reference/commands.rst")
        parser = cli._parser()
        (inner,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        titles = re.findall(r"^(``isakmpctl (\w+)[^`]*``)\n-", text, re.MULTILINE)
        self.assertEqual([name for _, name in titles], list(inner.choices))
        short = [f"-{p[1]}" for p in tap.Options.optParameters]
        daemon = {*short, *(f"--{p[0]}" for p in tap.Options.optParameters), "--version", "--help"}
        for title, known in (
            ("``twistd isakmp``", daemon),
            *((title, options(inner.choices[name])) for title, name in titles),
            ("``isakmpctl``", options(parser)),
        ):
            terms = re.findall(r"^(?:``-[^`]+``(?:, )?)+$", section(text, title), re.MULTILINE)
            said = re.findall(r"``(--?[a-z-]+)", " ".join(terms))
            self.assertEqual(sorted(said), sorted(known), title)
        for parameter in tap.Options.optParameters:
            self.assertIn(f"``{parameter[2]}``", text)


class FileTests(SynchronousTestCase):
    def test_exist(self) -> None:
        """Every file of the checkout that a page names is there."""
        tops = {path.name for path in CHECKOUT.iterdir()} - {"build"}
        number = 0
        for name, literal in literals():
            top, slash, _ = literal.partition("/")
            if slash and top in tops and re.fullmatch(r"[\w./+-]+", literal):
                self.assertTrue((CHECKOUT / literal).exists(), f"{name}: {literal}")
                number += 1
        self.assertGreater(number, 10)

    def test_names(self) -> None:
        """Every module, class and function that a page names is there."""
        number = 0
        for name, literal in literals():
            if _NAME.fullmatch(literal) and not literal.endswith((".conf", ".toml", ".vici")):
                self.assertTrue(self.exists(literal), f"{name}: {literal}")
                number += 1
        self.assertGreater(number, 50)

    def exists(self, dotted: str) -> bool:
        """Whether something has this name."""
        words = dotted.split(".")
        for length in range(len(words), 0, -1):
            try:
                found: Any = importlib.import_module(".".join(words[:length]))
            except ImportError:
                continue
            for word in words[length:]:
                if not hasattr(found, word):
                    return False
                found = getattr(found, word)
            return True
        return False

    def test_configurations(self) -> None:
        """Every configuration that a page shows, or that stands beside one, can be served."""
        shown = {
            (path.parent / included).resolve()
            for path in pages()
            for included in _INCLUDED.findall(path.read_text(encoding="utf-8"))
        }
        beside = {*(DOC / "examples").rglob("*.conf"), *(DOC / "examples").rglob("*.toml")}
        number = 0
        for file in sorted({*shown, *(path.resolve() for path in beside)}):
            if file.is_relative_to(LABORATORY):
                continue  # it takes its plug-ins: see test_laboratory
            if file.suffix == ".toml":
                isakmp_toml.load(str(file))
            elif file.suffix == ".conf" and file.name != "strongswan.conf":
                if str(file).endswith(REFUSED):
                    self.assertRaises(ConfigurationErrors, load.load, str(file))
                else:
                    self.assertTrue(load.load(str(file)).connections, file)
            else:
                self.assertTrue(file.exists(), file)
            number += 1
        self.assertGreater(number, 8)

    def test_laboratory(self) -> None:
        """The laboratory's configuration can be served by whoever has installed it."""
        from laboratory.domain import Laboratory
        from laboratory.sink import BenchSink

        doi, sink = Laboratory(), BenchSink()
        found = Plugins(dois=(doi,), sinks=(SinkPlugin(sink.name, lambda: sink, sink),))
        self.patch(description, "available", lambda: builtin() + found)
        files = description.Files(f"{LABORATORY}/swanctl.conf", f"{LABORATORY}/isakmp.toml")
        (connection,) = files.read().configuration.connections
        self.assertEqual(connection.doi, doi.number)
        self.assertEqual(sink.card, "left slot")

    def test_python(self) -> None:
        """Every piece of Python can be run as it stands."""
        number = 0
        for path in pages():
            for block in blocks(path):
                if block.language == "python":
                    text = block.text.replace('"doc/', f'"{DOC}/')
                    exec(compile(text, block.place, "exec"), {})
                    number += 1
        self.assertGreater(number, 0)


class TableTests(SynchronousTestCase):
    """The tables of the reference are the code's."""

    def test_limits(self) -> None:
        """Every limit and interval stands there with its default, and every bound of the codec."""
        rows = dict(ROW.findall(page("reference/limits.rst")))
        rows = {name.strip("`"): value.strip("`") for name, value in rows.items()}
        for known in (Limits(), Intervals()):
            for field in (one for one in dataclasses.fields(known) if one.init):
                said = rows.pop(field.name)
                self.assertEqual(float(said), float(getattr(known, field.name)), field.name)
        for bound, where in list(rows.items()):
            if "." in where:
                module, _, name = where.rpartition(".")
                value = getattr(importlib.import_module(module), name)
                self.assertEqual(int(bound.split()[0]), value, where)
                del rows[bound]
        self.assertEqual(rows, {"Limit": "Default", "Interval": "Default", "Bound": "Where"})
        self.assertIn(f"given up {Intervals().total:.0f} seconds", page("reference/limits.rst"))
        self.assertIn(
            f"after {Intervals().total:.0f} seconds", page("how-to/failing-handshake.rst")
        )

    def test_events(self) -> None:
        """Every event stands there with its fields, and why SAs go."""
        text = page("reference/events.rst")
        rows = {name.strip("`"): said for name, said in ROW.findall(text)}
        known = {
            name: [field.name for field in dataclasses.fields(value)]
            for name, value in vars(events).items()
            if dataclasses.is_dataclass(value) and value.__module__ == events.__name__
        }
        for name, fields in known.items():
            self.assertEqual(LITERAL.findall(rows.pop(name)), fields, name)
        for why in Removal:
            self.assertEqual(rows.pop(why.name), why.value)
        self.assertEqual(rows.keys(), {"Event", "Removal"})

    def test_interfaces(self) -> None:
        """Every interface stands there once, and every module that is said to be public exists."""
        text = page("reference/interfaces.rst")
        rows = [name.strip("`") for name, _ in ROW.findall(text) if name != "Interface"]
        known = [
            name
            for name, value in vars(interfaces).items()
            if isinstance(value, type(Interface)) and value.__module__ == interfaces.__name__
        ]
        self.assertEqual(sorted(rows), sorted(known))
        public = section(text, "Public modules")
        self.assertEqual(set(LITERAL.findall(public)), PUBLIC)

    def test_modules(self) -> None:
        """The layers are those that import-linter keeps, the lowest first: both tables of them."""
        file = configparser.ConfigParser()
        file.read(CHECKOUT / "setup.cfg")
        tables = page("reference/modules.rst").split(".. list-table::")[1:]
        for name, table in zip(("layers", "exchange"), tables, strict=True):
            layers = file[f"importlinter:contract:{name}"]["layers"].split("\n")
            wanted = [{word.strip() for word in layer.split("|")} for layer in layers if layer]
            _, *rows = ROW.findall(table)
            self.assertEqual([set(LITERAL.findall(row)) for row, _ in rows], wanted[::-1])

    def test_exit_statuses(self) -> None:
        """Each that a command can have is there."""
        text = section(page("reference/commands.rst"), "``isakmpctl``")
        demo = importlib.import_module("isakmp.demo")
        own = {output.OK, output.FAILED, output.USAGE, output.UNREACHABLE, output.AUTHENTICATION}
        known = {demo.OK, demo.FAILED, demo.AUTHENTICATION, cli.INTERRUPTED, *own}
        rows = {status for status, _ in ROW.findall(text)} - {"Exit status"}
        self.assertEqual(rows, {str(status) for status in known})


class PagesTests(SynchronousTestCase):
    """Pages are read as they are meant."""

    def command(self, expected: str) -> Command:
        """One that shall print this."""
        return Command("", False, "", expected)

    def test_variable(self) -> None:
        """Times, SPIs and ports may differ, line breaks too; nothing else."""
        shown = self.command("is\n  up 3s ago,\nSPI c0000c01 at 127.0.0.1:45020")
        self.assertTrue(shown.prints("is up 14s ago, SPI deadbee1\n at 127.0.0.1:1024\n"))
        for other in ("is up 3s ago, SPI c0000c at 127.0.0.1:45020", "is up, SPI c0000c01", ""):
            self.assertFalse(shown.prints(other), other)

    def test_dots(self) -> None:
        """Dots stand for anything, also for nothing."""
        shown = self.command("...\nthe last line")
        self.assertTrue(shown.prints("a\nb\nthe last line"))
        self.assertTrue(shown.prints("the last line"))
        self.assertFalse(shown.prints("the last line\nand another"))

    def test_words(self) -> None:
        """What is printed is not taken for a pattern."""
        self.assertFalse(self.command("a.c (x)").prints("abc (x)"))

    def test_status(self) -> None:
        """A command without output shown has to succeed; one that prints something else fails."""
        with Shell() as shell:
            shell.follow(Command("", False, "true", ""))
            self.assertRaises(AssertionError, shell.follow, Command("here", False, "false", ""))
            self.assertRaises(AssertionError, shell.follow, Command("here", False, "echo a", "b"))

    def test_commands(self) -> None:
        """Prompts, long commands, and what they print are told apart."""
        path = Path(self.mktemp())
        path.write_text(
            "..  code-block:: text\n\n    $ no\n\n.. code-block:: console\n\n    $ a \\\n      b\n"
            "    printed\n    # c\n\nEnd::\n\n    $ no\n"
        )
        found = [(one.root, one.text, one.expected) for one in commands(path)]
        self.assertEqual(found, [(False, "a  b", "printed"), (True, "c", "")])
