"""The conformance page says only what tests prove."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.conformance.__main__ import PAGE, ROWS, main
from tests.conformance.page import page
from tests.conformance.proofs import Mistake, Proof, collect, first_sentence, proofs_in
from tests.conformance.rows import Row, proving, read_rows, unproved

CHECKOUT = Path(__file__).resolve().parent.parent

# Written so that this file does not itself contain the line.
PROVES = "Proves" + ":"

# How often RFC 2408 says MUST, SHALL, SHOULD, REQUIRED or RECOMMENDED, by section; how the words
# are to be read (1.1) counts once.
WORDS_SAID = {
    1: "1.1 1.4.1 1.5.2 1.7.1 2.1 2.5.1 3.8 3.14 4.5 A.3 B",
    2: (
        "1.4.2 1.5.3 1.6.2 2.5.2 2.5.3 3.5 3.6 3.9 3.15 4.4 4.6 4.7 5.2 5.3 5.4 5.5 5.7 "
        "5.8 5.9 5.10 5.11 5.12 5.13"
    ),
    3: "2.4 3.4 4.1.1 4.2.1 4.3",
    4: "4.1 4.8 5.6",
    5: "3.10 5.1",
    6: "3.16 5.14",
    8: "5.15",
    11: "4.2",
    14: "3.1",
}

SAMPLE = f'''
from __future__ import annotations
from twisted.trial.unittest import SkipTest, SynchronousTestCase

class Base:
    def test_inherited(self):
        """
        A short message is refused.  Every length is tried.

        {PROVES} RFC 2408 section 3.1
        {PROVES} RFC 2408 section 5.1
        """

class Sample(Base, SynchronousTestCase):
    def test_other(self):
        """
        A test that proves nothing of an RFC.
        """
        self.fail("this one does not matter to the page")

    def test_tenth(self):
        """
        The tenth section
        comes after the second.

        {PROVES} RFC 2408 section 3.10
        """
        %s
'''


class PageTests(SynchronousTestCase):
    def test_proofs(self) -> None:
        """One line, one proof, with the first sentence of the docstring."""
        self.assertEqual(
            [
                (proof.document, proof.place, proof.test, proof.statement)
                for proof in proofs_in(SAMPLE % "pass", "tests.test_x")
            ],
            [
                ("RFC 2408", at, f"tests.test_x.{test}", statement)
                for at, test, statement in (
                    ("section 3.1", "Base.test_inherited", "A short message is refused."),
                    ("section 5.1", "Base.test_inherited", "A short message is refused."),
                    (
                        "section 3.10",
                        "Sample.test_tenth",
                        "The tenth section comes after the second.",
                    ),
                )
            ],
        )

    def test_misspelt(self) -> None:
        """A line that cannot be read is a mistake, not a proof that is silently left out."""
        for line in (
            "RFC 2408, section 3.1",
            "RFC2408 section 3.1",
            "RFC 2408 3.1",
            "RFC 2408 section 3.1 row 3.1-4",
            "RFC 2408 section 3.1 (rows 3.1-4)",
            "RFC 2408 section 3.1 (row 3.1)",
            "RFC 2408 section 3.1 (row 3.1-4).",
            "RFC 2408 section 3.1 (row 3.10-4)",
            "RFC 2408 section 3.10 (row 3.1-4)",
            "section 3",
            "",
        ):
            source = SAMPLE.replace("RFC 2408 section 3.10", line) % "pass"
            self.assertRaises(Mistake, list, proofs_in(source, "tests.test_x"))

    def test_misplaced(self) -> None:
        """The line counts in a test only: not in a class, a module or a helper."""
        for source in (
            "{}",
            "class A:\n    {}",
            "class A:\n    def check(self):\n        {}",
            "class A:\n    def test_a(self):\n        def inner():\n            {}",
            "def test_a():\n    {}",
        ):
            docstring = f'"""It is so.\n\n{PROVES} RFC 2408 section 1\n"""'
            proofs = proofs_in(source.format(docstring), "tests.test_x")
            self.assertRaises(Mistake, list, proofs)

    def test_unsaid(self) -> None:
        """A docstring that names a section and not what is proved is a mistake."""
        source = f'class A:\n    def test_a(self):\n        """{PROVES} RFC 2408 section 1"""'
        self.assertRaises(Mistake, list, proofs_in(source, "tests.test_x"))

    def test_first_sentence(self) -> None:
        """A full stop inside a number or an abbreviation does not end a sentence."""
        for docstring, sentence in (
            ("Version 1.0 is\n    ours.  More.", "Version 1.0 is ours."),
            ("Ours (e.g. this) goes first", "Ours (e.g. this) goes first"),
            ("One.\n\nTwo.", "One."),
        ):
            self.assertEqual(first_sentence(docstring), sentence)

    def test_row(self) -> None:
        """A line may name the row that it proves, of that section or appendix."""
        for line, row in (
            ("section 3.1", None),
            ("section 3.1 (row 3.1-12)", "3.1-12"),
            ("appendix A.3 (row A.3-1)", "A.3-1"),
        ):
            source = SAMPLE.replace("section 3.10", line) % "pass"
            (*_, proof) = proofs_in(source, "tests.test_x")
            self.assertEqual((proof.document, proof.row), ("RFC 2408", row))
            self.assertEqual(proof.place, line.partition(" (")[0])

    def test_page(self) -> None:
        """Documents in the order of their numbers, and two tests of one statement in one row."""
        text = page(
            [
                Proof("RFC 2408", "section 3.1", "tests.test_a.A.test_x", "So it is."),
                Proof("RFC 2408", "section 3.1", "tests.test_a.A.test_y", "So it is."),
                Proof("RFC 9999", "section 1", "tests.test_a.A.test_x", "So it is."),
            ]
        )
        self.assertEqual(text.count("So it is."), 2)
        self.assertIn("``test_a.A.test_x``, ``test_a.A.test_y``", text)
        self.assertIn(
            "\nRFC 2408: Internet Security Association and Key Management Protocol\n", text
        )
        self.assertIn("\nRFC 9999\n--------\n", text)


    def test_page_of_rows(self) -> None:
        """
        A row has its tests, or says that it needs one; what is proved beside the rows comes below.
        """
        proofs = [
            Proof("RFC 2408", "section 3.1", "tests.test_a.A.test_x", "So.", "3.1-1"),
            Proof("RFC 2408", "section 3.1", "tests.test_a.A.test_y", "So.", "3.1-1"),
            Proof("RFC 2408", "section 3.1", "tests.test_a.A.test_z", "Beside it."),
        ]
        rows = [
            Row("RFC 2408", "3.1-1", "MUST", "One thing.", True),
            Row("RFC 2408", "3.1-2", "MUST", "Two things.", True, "since today"),
            Row("RFC 2408", "3.1-3", "MUST", "Three things.", False, "not ours"),
            Row("RFC 2408", "3.1-4", "SHOULD", "Four things.", True),
            Row("RFC 9999", "1-1", "MUST", "Another.", True),
        ]
        text = page(proofs, rows)
        for cells in (
            ("3.1-1", "MUST", "One thing.", "yes", "``test_a.A.test_x``, ``test_a.A.test_y``"),
            ("3.1-2", "MUST", "Two things.", "yes: since today", "**no test**"),
            ("3.1-3", "MUST", "Three things.", "no: not ours", "\N{EN DASH}"),
            ("3.1-4", "SHOULD", "Four things.", "yes", "\N{EN DASH}"),
            ("1-1", "MUST", "Another.", "yes", "**no test**"),
        ):
            self.assertIn("   * - " + "\n     - ".join(cells) + "\n", text)
        self.assertEqual(text.count("Beside it."), 1)
        self.assertNotIn("So.", text)
        self.assertLess(text.index("Four things."), text.index("Beside it."))
        self.assertLess(text.index("Beside it."), text.index("Another."))


NAME = "RFC 2408 row 3.10-1"

ROW = """
[[row]]
id = "3.10-1"
word = "MUST"
asks = "The tenth comes after the second."
applies = true
"""


class RowTests(SynchronousTestCase):
    """What stands in the files, and which tests name it."""

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)

    def read(self, text: str, name: str = "rfc2408.toml") -> list[Row]:
        (self.directory / name).write_text(text)
        return list(read_rows(self.directory))

    def test_read(self) -> None:
        """Rows come in the order of the RFCs and of their sections, appendices last."""
        texts = [ROW.replace("3.10-1", name) for name in ("A.3-1", "3.10-2", "3.10-10", "3.2-1")]
        self.read("".join(texts))
        rows = self.read(ROW, "rfc822.toml")
        self.assertEqual(
            [(row.document, row.id) for row in rows],
            [
                ("RFC 822", "3.10-1"),
                ("RFC 2408", "3.2-1"),
                ("RFC 2408", "3.10-2"),
                ("RFC 2408", "3.10-10"),
                ("RFC 2408", "A.3-1"),
            ],
        )
        self.assertEqual([row.place for row in rows[-2:]], ["section 3.10", "appendix A.3"])

    def test_mistakes(self) -> None:
        """What is no row is a mistake that names it, not a row that is silently left out."""
        for old, new, words in (
            ('id = "3.10-1"', "", "row None: 'id' is missing"),
            ('"3.10-1"', '"3.10"', "an id is a section and a number"),
            ('"3.10-1"', '"section 3.10-1"', "an id is a section and a number"),
            ('"3.10-1"', "3", "'id' is not a str"),
            ('"MUST"', '"must"', "'must' is no requirement word"),
            ("The tenth comes after the second.", "", "'asks' is missing"),
            ("applies = true", "", "'applies' is missing"),
            ("applies = true", 'applies = "yes"', "'applies' is not a bool"),
            ("applies = true", "applies = false", "'why' is missing"),
            ("applies = true", "applies = true\ntests = []", "'tests' is no field"),
            ("[[row]]", "[row]", "more in it than [[row]]"),
            ("[[row]]", "[[rows]]", "more in it than [[row]]"),
            ("[[row]]", "x = 1\n[[row]]", "more in it than [[row]]"),
            ("[[row]]", "[[row", "rfc2408.toml: "),
        ):
            self.assertIn(old, ROW)
            error = self.assertRaises(Mistake, self.read, ROW.replace(old, new))
            self.assertIn(words, str(error))
        self.assertIn("twice", str(self.assertRaises(Mistake, self.read, ROW + ROW)))
        self.read(ROW)
        error = self.assertRaises(Mistake, self.read, ROW, "2409.toml")
        self.assertIn("2409.toml", str(error))

    def test_needs_proof(self) -> None:
        """What binds and applies needs a test; advice, and what does not apply, does not."""
        for word, applies, needed in (
            ("MUST", True, True),
            ("MUST NOT", True, True),
            ("SHALL", True, True),
            ("REQUIRED", True, True),
            ("IS", True, True),
            ("SHOULD", True, False),
            ("NOT REQUIRED", True, False),
            ("MUST", False, False),
        ):
            row = Row("RFC 2408", "3.10-1", word, "It.", applies, "because")
            self.assertEqual(unproved(proving([row], [])), [row] if needed else [])
            if applies:
                proof = Proof("RFC 2408", "section 3.10", "tests.a.B.test_c", "It is.", row.id)
                self.assertEqual(unproved(proving([row], [proof])), [])

    def test_named_wrongly(self) -> None:
        """A test cannot name a row that is not there, of another RFC, or that does not apply."""
        row = Row("RFC 2408", "3.10-1", "MUST", "It.", True)
        for document, name in (("RFC 2408", "3.10-2"), ("RFC 2409", "3.10-1")):
            proof = Proof(document, "section 3.10", "tests.a.B.test_c", "It is.", name)
            error = self.assertRaises(Mistake, proving, [row], [proof])
            self.assertEqual(str(error), f"tests.a.B.test_c: {document} has no row {name}")
        away = Row("RFC 2408", "3.10-1", "MUST", "It.", False, "not ours")
        proof = Proof("RFC 2408", "section 3.10", "tests.a.B.test_c", "It is.", "3.10-1")
        error = self.assertRaises(Mistake, proving, [away], [proof])
        self.assertIn("row 3.10-1 does not apply: not ours", str(error))

    def test_ours(self) -> None:
        """Each section of RFC 2408 has as many rows as it has requirement words, at least."""
        rows = read_rows(CHECKOUT / ROWS)
        ours = Counter(row.id.rpartition("-")[0] for row in rows if row.document == "RFC 2408")
        for count, sections in WORDS_SAID.items():
            for section in sections.split():
                self.assertGreaterEqual(ours[section], count, section)
        for row in rows:
            self.assertTrue(row.asks.endswith("."), row)


class ProgramTests(SynchronousTestCase):
    """The program, over a checkout with one file of tests."""

    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        (self.root / "tests").mkdir()
        (self.root / "tests" / "__init__.py").touch()
        (self.root / ROWS).mkdir()
        for module in (CHECKOUT / ROWS).glob("*.py"):
            shutil.copy(module, self.root / ROWS)

    def rows(self, text: str) -> None:
        """The rows of RFC 2408."""
        (self.root / ROWS / "rfc2408.toml").write_text(text)

    def run_with(self, body: str) -> subprocess.CompletedProcess[str]:
        (self.root / "tests" / "test_x.py").write_text(SAMPLE % body)
        return subprocess.run(
            [sys.executable, "-m", "tests.conformance"],
            cwd=self.root,
            env={},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def test_all_pass(self) -> None:
        """If they pass, the page is written, inherited tests included, and is then up to date."""
        ended = self.run_with("pass")
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)
        written = (self.root / PAGE).read_text()
        self.assertLess(written.index("section 3.1\n"), written.index("section 3.10"))
        self.assertLess(written.index("section 3.10"), written.index("section 5.1"))
        self.assertIn("test_x.Base.test_inherited", written)
        self.assertNotIn("proves nothing", written)
        self.assertEqual(main(["--check"], self.root), 0)

    def test_one_does_not_pass(self) -> None:
        """If one fails, breaks, is skipped or is marked todo, the page is left as it was."""
        (self.root / PAGE.parent).mkdir(parents=True)
        (self.root / PAGE).write_text("as it was")
        for body, why in (
            ("self.fail('on purpose')", "failed"),
            ("raise KeyError", "failed"),
            ("raise SkipTest('on purpose')", "skipped: on purpose"),
            ("self.fail('on purpose')\n    test_tenth.todo = 'later'", "known to fail"),
            ("pass\n    del test_tenth", "did not run"),
        ):
            ended = self.run_with(body)
            self.assertEqual(ended.returncode, 1, body)
            self.assertIn(why, ended.stdout)
            self.assertEqual((self.root / PAGE).read_text(), "as it was")

    def test_stale(self) -> None:
        """``--check`` sees a new proof that the page does not have, and a mistake."""
        self.assertEqual(self.run_with("pass").returncode, 0)
        path = self.root / "tests" / "test_x.py"
        for old, new in (("section 3.10", "section 3.11"), ("section 3.10", "3.10")):
            path.write_text((SAMPLE % "pass").replace(old, new))
            with redirect_stdout(io.StringIO()):
                self.assertEqual(main(["--check"], self.root), 1)

    def check(self) -> str:
        """What ``--check`` says; it does not say that all is well."""
        said = io.StringIO()
        with redirect_stdout(said):
            self.assertEqual(main(["--check"], self.root), 1)
        return said.getvalue()

    def test_proved_row(self) -> None:
        """A row whose test passes is on the page; if the test fails, the row is named."""
        self.rows(ROW)
        named = ("section 3.10", "section 3.10 (row 3.10-1)")
        sample = SAMPLE.replace(*named)
        self.patch(sys.modules[__name__], "SAMPLE", sample)
        ended = self.run_with("pass")
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)
        self.assertIn("The tenth comes after the second.", (self.root / PAGE).read_text())
        self.assertEqual(main(["--check"], self.root), 0)
        ended = self.run_with("self.fail('on purpose')")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("failed; it proves RFC 2408 row 3.10-1", ended.stdout)

    def test_no_test(self) -> None:
        """A row that applies and has no test is named by both; the page does not hide it."""
        self.rows(ROW)
        ended = self.run_with("pass")
        self.assertEqual(ended.returncode, 1, ended.stdout + ended.stderr)
        words = f"{NAME} applies and has no test: MUST: The tenth comes after the second"
        self.assertIn(words, ended.stdout)
        self.assertIn("**no test**", (self.root / PAGE).read_text())
        self.assertEqual(self.check(), words + ".\n")
        self.rows(ROW.replace("MUST", "SHOULD"))
        self.assertEqual(self.run_with("pass").returncode, 0)

    def test_unknown_row(self) -> None:
        """A row that no file has, and a file that is none, are said by ``--check``."""
        self.rows(ROW)
        named = SAMPLE.replace("section 3.10", "section 3.10 (row 3.10-2)") % "pass"
        (self.root / "tests" / "test_x.py").write_text(named)
        self.assertIn("RFC 2408 has no row 3.10-2", self.check())
        self.rows("nothing")
        self.assertIn("rfc2408.toml", self.check())

    def test_page_out_of_date(self) -> None:
        """A row that is worded anew is not what stands on the page."""
        self.rows(ROW.replace("true", 'false\nwhy = "not ours"'))
        self.assertEqual(self.run_with("pass").returncode, 0)
        self.assertEqual(main(["--check"], self.root), 0)
        self.rows(ROW.replace("true", 'false\nwhy = "not mine"'))
        self.assertIn("is not what the tests say", self.check())

    def test_order(self) -> None:
        """Sections are in the order of the RFC: 3.2 before 3.10, appendices last."""
        places = ("section 3.2", "section 3.10", "section 11", "appendix A", "appendix B.1")
        methods = "".join(
            f'    def test_{at}(self):\n        """It is {at}.\n\n        {PROVES} RFC 1 {place}\n'
            '        """\n'
            for at, place in enumerate(reversed(places))
        )
        (self.root / "tests" / "test_x.py").write_text(f"class A:\n{methods}")
        self.assertEqual([proof.place for proof in collect(self.root)], list(places))
