"""
How little a plug-in is.
"""

from __future__ import annotations

import ast
import configparser

from twisted.trial.unittest import SynchronousTestCase

from isakmp.testing import check_doi
from tests.laboratory import LABORATORY

#: The most lines of each file, blank ones and docstrings included.
LINES = {"domain.py": 150, "key_exchange.py": 250}

#: What a plug-in of somebody's may use of the package: what the reference names as public.
PUBLIC = {
    "isakmp.associations", "isakmp.connections", "isakmp.crypto", "isakmp.errors", "isakmp.events",
    "isakmp.exchange.negotiation", "isakmp.exchange.phase1", "isakmp.exchange.phase2",
    "isakmp.exchange.words", "isakmp.handling",
    "isakmp.identity", "isakmp.interfaces", "isakmp.logs", "isakmp.numbers", "isakmp.parts",
    "isakmp.paths", "isakmp.plain", "isakmp.sinks.memory", "isakmp.testing", "isakmp.wire",
}  # fmt: skip


class SizeTests(SynchronousTestCase):
    def test_lines(self) -> None:
        """A domain of interpretation is 150 lines at most, a key exchange 250."""
        sizes = {
            path.name: len(path.read_text().splitlines())
            for path in (LABORATORY / "laboratory").glob("*.py")
        }
        self.assertIn("domain.py", sizes)
        for name, most in LINES.items():
            self.assertLessEqual(sizes.get(name, 0), most, name)

    def test_long_lines(self) -> None:
        """They are lines, not paragraphs: of no more than 100 columns, with one statement each."""
        for path in (LABORATORY / "laboratory").glob("*.py"):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                self.assertLessEqual(len(line), 100, f"{path}:{number}")
            nodes = ast.walk(ast.parse(path.read_text()))
            begin = [node.lineno for node in nodes if isinstance(node, ast.stmt)]
            self.assertEqual(len(begin), len(set(begin)), path)

    def test_public(self) -> None:
        """It uses what the package says is for everybody, and Twisted and zope; nothing else."""
        for path in LABORATORY.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                    if names == ["isakmp"]:
                        names = [f"isakmp.{alias.name}" for alias in node.names]
                    self.assertEqual(
                        [a.name for a in node.names if a.name.startswith("_")], [], path
                    )
                else:
                    continue
                for name in filter(lambda name: name.startswith("isakmp"), names):
                    public = name in PUBLIC or any(name.startswith(f"{p}.") for p in PUBLIC)
                    self.assertTrue(public, f"{path}: {name}")

    def test_of_its_own(self) -> None:
        """It is a distribution by itself, and needs isakmp."""
        file = configparser.ConfigParser()
        file.read(LABORATORY / "setup.cfg")
        self.assertEqual(file["options"]["install_requires"].split(), ["isakmp"])
        plugins = sorted((LABORATORY / "twisted").rglob("*.py"))
        self.assertEqual([path.name for path in plugins], ["laboratory_plugin.py"])


class ObligationTests(SynchronousTestCase):
    def test_domain(self) -> None:
        """The laboratory's domain does what every domain owes."""
        from laboratory.domain import BENCH, Laboratory

        from isakmp.identity import Identity

        check_doi(Laboratory(), identities=[Identity(BENCH, 0, 0, bytes(6))])
