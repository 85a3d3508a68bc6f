"""The conformance page says only what tests prove."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.conformance import PAGE, Mistake, Proof, collect, first_sentence, main, page, proofs_in

CHECKOUT = Path(__file__).resolve().parent.parent

# Written so that this file does not itself contain the line.
PROVES = "Proves" + ":"

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


class ProgramTests(SynchronousTestCase):
    """The program, over a checkout with one file of tests."""

    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        (self.root / "tests").mkdir()
        (self.root / "tests" / "__init__.py").touch()
        shutil.copy(CHECKOUT / "tests" / "conformance.py", self.root / "tests")

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
