"""
Who may import whom.

The contracts stand in ``setup.cfg``.  A contract that cannot break proves nothing: each of them is
broken here on purpose, in a copy of the package, and import-linter has to say so.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

CHECKOUT = Path(__file__).resolve().parent.parent

LAYERS = "Each module imports only what lies below it"
APART = "Key exchanges and domains of interpretation know nothing of each other"
VALUES = "Numbers, errors, codec, cryptography and values know neither Twisted nor zope"
EXCHANGE = "Within the framework's exchanges each module imports only what lies below it"
DOOR = "Only isakmp.crypto opens the cryptographic libraries"

LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint(added: Mapping[str, str]) -> tuple[dict[str, bool], str]:
    """
    Run import-linter over a copy of the package.

    :param added: source to append, by path; a file that does not exist is made.
    :return: for each contract whether it was kept, and all that import-linter printed.
    """
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        shutil.copy(CHECKOUT / "setup.cfg", root)
        shutil.copytree(
            CHECKOUT / "isakmp", root / "isakmp", ignore=shutil.ignore_patterns("__pycache__")
        )
        for name, source in added.items():
            with open(root / name, "a", encoding="utf-8") as file:
                file.write(f"\n{source}\n")
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "PYTHONWARNINGS")
        }
        ended = subprocess.run(
            [sys.executable, "-c", LINT, "--no-cache", "--no-logo"],
            cwd=root,
            env={**environment, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=60,
        )
    said = ended.stdout + ended.stderr
    if "No module named 'importlinter'" in said:
        raise SkipTest("import-linter is not installed; the extra [dev] has it")
    verdicts = {
        found[1].strip(): found[2] == "KEPT"
        for line in ended.stdout.splitlines()
        if (found := re.match(r"(.+?) (KEPT|BROKEN)", line))
    }
    if (ended.returncode == 0) != (bool(verdicts) and all(verdicts.values())):
        raise AssertionError(said)
    return verdicts, said


class ContractTests(SynchronousTestCase):
    def assert_breaks(self, name: str, source: str, *contracts: str, naming: str) -> None:
        """
        Appending `source` to the module `name` breaks exactly `contracts`, and `naming` is said.
        """
        verdicts, said = lint({name: source})
        broken = {contract for contract, kept in verdicts.items() if not kept}
        self.assertEqual(broken, set(contracts), said)
        self.assertIn(naming, said)

    def test_kept(self) -> None:
        """The package as it is keeps all of them."""
        verdicts, said = lint({})
        every = (LAYERS, APART, EXCHANGE, VALUES, DOOR)
        self.assertEqual(verdicts, dict.fromkeys(every, True), said)

    def test_upwards(self) -> None:
        """The framework cannot import a key exchange that is spoken in it, nor a domain."""
        for above in ("ike", "doi"):
            self.assert_breaks(
                "isakmp/exchange/offender.py",
                f"import isakmp.{above}",
                LAYERS,
                EXCHANGE,  # it has no place there
                naming=f"isakmp.exchange.offender -> isakmp.{above}",
            )

    def test_within_the_framework(self) -> None:
        """A conversation knows nothing of who routes to it, nor of whom it reports to."""
        for above in ("endpoint", "demultiplexer", "reports"):
            self.assert_breaks(
                "isakmp/exchange/conversation.py",
                f"from isakmp.exchange import {above}",
                EXCHANGE,
                naming=f"isakmp.exchange.conversation -> isakmp.exchange.{above}",
            )

    def test_late_import_upwards(self) -> None:
        """An import inside a function is an import."""
        self.assert_breaks(
            "isakmp/node.py",
            "def offend() -> None:\n    from isakmp import service\n",
            LAYERS,
            naming="isakmp.node -> isakmp.service",
        )

    def test_siblings(self) -> None:
        """A sink cannot lean on a store: either may be another's."""
        self.assert_breaks(
            "isakmp/sinks/offender.py",
            "import isakmp.stores",
            LAYERS,
            naming="isakmp.sinks.offender -> isakmp.stores",
        )

    def test_key_exchange_and_domain(self) -> None:
        """IKE cannot import the IPsec DOI, and the IPsec DOI cannot import IKE."""
        for one, other in (("ike", "doi"), ("doi", "ike")):
            self.assert_breaks(
                f"isakmp/{one}/offender.py",
                f"import isakmp.{other}",
                LAYERS,
                APART,
                naming=f"isakmp.{one}.offender -> isakmp.{other}",
            )

    def test_unplaced_module(self) -> None:
        """A new module has to be put into a layer."""
        self.assert_breaks("isakmp/offender.py", '"""New."""', LAYERS, naming="isakmp.offender")

    def test_values_without_twisted(self) -> None:
        """The codec, and all else that is a function of values, works without Twisted and zope."""
        for name in ("numbers", "identity", "associations", "connections", "errors"):
            for library in ("twisted", "zope"):
                self.assert_breaks(
                    f"isakmp/{name}.py",
                    f"import {library}.interface",
                    VALUES,
                    naming=f"isakmp.{name} -> {library}",
                )
        for name in ("wire", "crypto"):
            self.assert_breaks(
                f"isakmp/{name}/offender.py",
                "from twisted.internet import defer",
                VALUES,
                naming=f"isakmp.{name}.offender -> twisted",
            )

    def test_one_door(self) -> None:
        """Only isakmp.crypto imports a cryptographic library."""
        for name in ("ike", "doi", "wire"):
            for library in ("cryptography", "OpenSSL", "gmpy2"):
                self.assert_breaks(
                    f"isakmp/{name}/offender.py",
                    f"import {library}",
                    DOOR,
                    naming=f"isakmp.{name}.offender -> {library}",
                )
        self.assert_breaks(
            "isakmp/service.py",
            "from cryptography.hazmat.primitives import hashes",
            DOOR,
            naming="isakmp.service -> cryptography",
        )


def plugin_searches(root: Path) -> Iterator[str]:
    """The files below `root` that mention :func:`twisted.plugin.getPlugins`, relative to it."""
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
            mentioned = (
                (isinstance(node, ast.Name) and node.id == "getPlugins")
                or (isinstance(node, ast.Attribute) and node.attr == "getPlugins")
                or (isinstance(node, ast.alias) and node.name == "getPlugins")
                or (isinstance(node, ast.Constant) and node.value == "getPlugins")
            )
            if mentioned:
                yield str(path.relative_to(root))
                break


class PluginSearchTests(SynchronousTestCase):
    def test_one_caller(self) -> None:
        """Plug-ins are looked for in one module: what is found is switched on there, by name."""
        found = set(plugin_searches(CHECKOUT / "isakmp"))
        self.assertEqual(found, {"plugins/available.py"})
        self.assertEqual(set(plugin_searches(CHECKOUT / "twisted")), set())

    def test_search_finds(self) -> None:
        """The search sees each way to call it."""
        spellings = {
            "a.py": "from twisted.plugin import getPlugins",
            "b.py": "from twisted.plugin import getPlugins as found",
            "c.py": "import twisted.plugin\ntwisted.plugin.getPlugins(None)",
            "d.py": "from twisted import plugin\ngetattr(plugin, 'getPlugins')(None)",
            "e.py": "# getPlugins\n'''Not getPlugins.'''",
        }
        with tempfile.TemporaryDirectory() as directory:
            for name, source in spellings.items():
                Path(directory, name).write_text(source)
            found = list(plugin_searches(Path(directory)))
        self.assertEqual(found, ["a.py", "b.py", "c.py", "d.py"])


_FOREIGN = frozenset(
    {
        *("ike", "ikev1", "oakley", "quick", "skeyid", "ipsec", "esp", "ah", "ipcomp"),
        *("psk", "preshared", "rsa", "dss", "ecdsa"),
        *("hybrid", "xauth"),
    }
)
"""
Words of key exchanges, of domains of interpretation and of ways to authenticate.  Certificates and
signatures are payloads of RFC 2408's own, with rules in its section 5.
"""

_FOREIGN_PHRASES = re.compile(r"pre[-_]?shared|public key|main mode|quick mode", re.IGNORECASE)


def _words(name: str) -> list[str]:
    """A name's words: ``pre_shared_key``, ``QuickMode``."""
    parted = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3_\2\4", name)
    return [word for word in re.split(r"[^A-Za-z0-9]+", parted.lower()) if word]


def _documentation(tree: ast.AST) -> set[ast.AST]:
    """Strings that stand alone: docstrings, and those of constants and attributes."""
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def foreign_words(source: str) -> list[str]:
    """What code names that is a key exchange's or a domain's; docstrings and comments aside."""
    tree = ast.parse(source)
    apart = _documentation(tree)
    texts: list[str] = []
    for node in ast.walk(tree):
        for field in ("id", "attr", "name", "asname", "arg", "module"):
            text = getattr(node, field, None)
            if isinstance(text, str):
                texts.append(text)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in apart:
            texts.append(node.value)
    return [
        text
        for text in texts
        if _FOREIGN.intersection(_words(text)) or _FOREIGN_PHRASES.search(text)
    ]


class FrameworkTests(SynchronousTestCase):
    """The framework is RFC 2408's, and serves whoever brings the rest."""

    def test_names_nobody(self) -> None:
        """
        No code of isakmp.exchange names IKE, IPsec, ESP or a way to authenticate.
        """
        found = {
            path.name: words
            for path in sorted((CHECKOUT / "isakmp" / "exchange").glob("*.py"))
            if (words := foreign_words(path.read_text(encoding="utf-8")))
        }
        self.assertEqual(found, {})

    def test_search_finds(self) -> None:
        """The search sees each place where a name can stand, and no documentation."""
        for source in (
            "import isakmp.ike",
            "from isakmp.ike.method import hear",
            "from isakmp.doi import ipsec as domain",
            "number == ProtocolID.ESP",
            "AuthenticationMethod.PRE_SHARED_KEY",
            "class QuickMode: pass",
            "def psk(): pass",
            "call(rsa=1)",
            "raise ValueError('no pre-shared key')",
            "name = f'{exchange} of IKE'",
            "'spi' if protocol == 'esp' else ''",
        ):
            self.assertTrue(foreign_words(source), source)
        for source in (
            '"""IKE and IPsec."""',
            "class A:\n    '''IKE.'''\n    x = 1\n    '''ESP.'''\n",
            "x = 1  # IKE",
            "like = respond = 'alike'",
        ):
            self.assertEqual(foreign_words(source), [], source)
