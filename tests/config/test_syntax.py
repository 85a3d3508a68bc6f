"""strongSwan's configuration syntax: what it means, and what is wrong with a text."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from isakmp.config import syntax
from isakmp.config.mistakes import Findings, Place
from isakmp.config.syntax import Block, Reference, Setting, parse, read, write
from tests.config.samples import ConfigurationTestCase

NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters='\0#{}:.,="\r\n\t '), min_size=1
).filter(lambda name: name != "include")
VALUES = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
REFERENCES = st.lists(
    st.lists(NAMES, min_size=1, max_size=3).map(".".join), max_size=2, unique=True
)
NOWHERE = Place("", 0)


def blocks(inner: st.SearchStrategy[Block]) -> st.SearchStrategy[Block]:
    """Sections with others inside."""
    return st.builds(
        Block,
        st.just(NOWHERE),
        st.dictionaries(NAMES, VALUES.map(Setting), max_size=3),
        st.dictionaries(NAMES, inner, max_size=3),
        REFERENCES.map(lambda names: [Reference(name, NOWHERE) for name in names]),
    )


TREES = st.recursive(st.builds(Block, st.just(NOWHERE)), blocks, max_leaves=8)


def shape(block: Block) -> object:
    """A tree without its places."""
    return (
        [(key, setting.value) for key, setting in block.settings.items()],
        [(name, shape(inner)) for name, inner in block.blocks.items()],
        [reference.name for reference in block.references],
    )


def settings_of(text: str) -> dict[str, str | None]:
    """The settings of a text in which nothing is wrong, with dotted names."""
    findings = Findings()
    root = parse(text, findings)
    assert not findings.mistakes, findings.mistakes
    found: dict[str, str | None] = {}

    def walk(block: Block, path: str) -> None:
        for key, setting in block.settings.items():
            found[path + key] = setting.value
        for name, inner in block.blocks.items():
            walk(inner, f"{path}{name}.")

    walk(root, "")
    return found


def faults(text: str) -> list[str]:
    """What is wrong with a text: lines and sentences."""
    findings = Findings()
    parse(text, findings, "f")
    return [str(mistake).removeprefix("f:") for mistake in findings.mistakes]


class MeaningTests(ConfigurationTestCase):
    def test_sections_and_settings(self) -> None:
        """Sections, nested ones, and settings may share a line or have one each."""
        for text, wanted in (
            ("", {}),
            ("single = value", {"single": "value"}),
            ("one { single = value }", {"one.single": "value"}),
            ("one { two { a = 1 } b = 2 }", {"one.b": "2", "one.two.a": "1"}),
            ("one\n{\n a\n =\n}", {"one.a": None}),
            ("a = b = { c", {"a": "b = { c"}),
            ("a=b#c\n#d=e\n\t # {\nf = g", {"a": "b", "f": "g"}),
            ("a = x  \t y   z \r\nb = 1\r\n", {"a": "x y z", "b": "1"}),
            ("include = x", {"include": "x"}),
            ("one { include = x }", {"one.include": "x"}),
            ("includes { a = 1 }", {"includes.a": "1"}),
        ):
            self.assertEqual(settings_of(text), wanted, text)

    def test_quotes(self) -> None:
        """What is quoted keeps its blanks, and may hold what is special elsewhere."""
        for text, wanted in (
            ('a = "  two   blanks\tand a tab"', "  two   blanks\tand a tab"),
            ('a = "{ } # = : ."', "{ } # = : ."),
            ('a = "one\\ntwo\nthree"', "one\ntwo\nthree"),
            ('a = "one \\\n   two"', "one    two"),
            ('a = "one\\\r\ntwo\r\nthree"', "onetwo\nthree"),
            ('a = "\\"quoted\\" \\\\ \\t \\r \\x"', '"quoted" \\ \t \r x'),
            ('a = "several" words "in one"', "several words in one"),
            ('a = x"y"z', "x y z"),
            ('a = ""', ""),
            ("a =", None),
            ("a = # nothing", None),
        ):
            self.assertEqual(settings_of(text), {"a": wanted}, text)

    def test_again(self) -> None:
        """A section that stands twice is one; of a key that stands twice the last counts."""
        self.assertEqual(
            settings_of("s { a = 1\nb = 1 }\ns { b = 2\nc = 2 }\ns { a = }"),
            {"s.a": None, "s.b": "2", "s.c": "2"},
        )

    def test_places(self) -> None:
        """Every setting, section and reference knows its line."""
        text = 's : t, u {\n\n  a = "1\n2"\n  b = 3 # x\n}\n\n\nt { c = 4 }'
        root = parse(text, Findings(), "f")
        section = root.blocks["s"]
        self.assertEqual(section.place, Place("f", 1))
        self.assertEqual(section.references, [Reference(n, Place("f", 1)) for n in ("t", "u")])
        self.assertEqual(section.settings["a"].place, Place("f", 3))
        self.assertEqual(section.settings["b"].place, Place("f", 5))
        self.assertEqual(root.blocks["t"].settings["c"].place, Place("f", 9))

    def test_octets(self) -> None:
        """A secret in Latin-1 keeps its octets, a byte order mark is no name, NUL is no text."""
        findings = Findings()
        root = read(self.write(b"\xef\xbb\xbfa = p\xe4ss"), findings)
        value = root.settings["a"].value
        assert value is not None
        self.assertEqual(value.encode("utf-8", "surrogateescape"), b"p\xe4ss")
        self.assertEqual(findings.mistakes, [])
        self.assertNotIn("ss", repr(root.settings["a"]))
        path = self.write(b"a = 1\nb = \0\n")
        read(path, findings)
        self.assertEqual(
            str(findings.mistakes[0]), f"{path}:2: a character of value 0: this is no text"
        )
        self.assertEqual(faults("\na\0"), ["2: a character of value 0: this is no text"])

    @settings(max_examples=150, deadline=None)
    @given(TREES)
    def test_round_trip(self, tree: Block) -> None:
        """Whatever is written reads as the same."""
        tree.references.clear()
        findings = Findings()
        text = write(tree)
        self.assertEqual(shape(parse(text, findings)), shape(tree), text)
        self.assertEqual(findings.mistakes, [], text)


class FaultTests(ConfigurationTestCase):
    def test_faults(self) -> None:
        """Each fault is told with its line; the rest is read all the same."""
        name = 'where a name is expected; names have no blanks and none of # { } : . , = "'
        after = "after a name is expected '=', or '{' for a section"
        for text, wanted in (
            ("{\n}\n", [f"1: '{{' {name}"]),
            ("a {\n = x\n}", [f"2: '=' {name}"]),
            ('\n"quoted" = x', [f"2: '\"' {name}"]),
            ("a.b = x", [f"1: {after}"]),
            ("two words = x\n", [f"1: {after}"]),
            ("two words {\n a = 1 }\nb = 2", [f"1: {after}"]),
            ("word", [f"1: {after}"]),
            ("a { word }\nb = 1", [f"1: {after}"]),
            ("a { b\n c = 1 }", [f"1: {after}"]),
            (
                "a {\n b { c = 1\n",
                ["1: this section is not closed: '}'", "2: this section is not closed: '}'"],
            ),
            ("a = 1 }\n", ["1: '}' closes nothing"]),
            (
                'a {\n b = "no end }\n',
                ["2: the quoted value of b has no end: '\"'", "1: this section is not closed: '}'"],
            ),
            ('include "x', ["1: the quoted name of an included file has no end: '\"'"]),
            (
                "a :: b {}",
                ["1: after ':' or ',' the dotted name of a section is expected", f"1: {after}"],
            ),
            ("a : b, {}", ["1: after ':' or ',' the dotted name of a section is expected"]),
            (
                "a : .b {}",
                ["1: after ':' or ',' the dotted name of a section is expected", f"1: {after}"],
            ),
            ("a : b c {}", [f"1: {after}"]),
            ("a : b = c", [f"1: {after}"]),
        ):
            self.assertEqual(faults(text), wanted, text)

    def test_all_at_once(self) -> None:
        """Several faults in one file are all told, and what stands between them is read."""
        findings = Findings()
        root = parse("bad word\na = 1\nb {\n!x y\nc = 2\n}\n}\nd = 3\n", findings)
        self.assertEqual([mistake.line for mistake in findings.mistakes], [1, 4, 7])
        self.assertEqual(root.settings["d"].value, "3")
        self.assertEqual(root.blocks["b"].settings["c"].value, "2")
        self.assertTrue(findings.faulty)

    def test_no_secret_is_told(self) -> None:
        """A fault beside a secret does not repeat it."""
        for text in (
            "secret hunter2",
            "secret =\nhunter2",
            'secret = "hunter2',
            'secret "hunter2"',
            "secret : hunter2",
            "ike { secret hunter2 }",
        ):
            told = faults(text)
            self.assertTrue(told, text)
            self.assertNotIn("hunter2", " ".join(told), text)

    def test_most(self) -> None:
        """A file that is something else is not answered line by line."""
        findings = Findings()
        parse("some words\n" * 5000, findings, "f")
        with self.assertRaises(Exception) as caught:
            findings.check()
        told = str(caught.exception).split("\n")
        self.assertEqual(len(told), 201)
        self.assertEqual(told[-1], "f: and 4800 mistakes more")


class IncludeTests(ConfigurationTestCase):
    def tree(self, **files: str) -> tuple[Block, Findings, str]:
        """The file ``main``, beside the others; ``__`` stands for a slash."""
        root = self.mktemp()
        for name, text in files.items():
            self.write(text, name.replace("__", "/"), at=root)
        findings = Findings()
        return read(f"{root}/main", findings), findings, root

    def test_relative(self) -> None:
        """A file is included where it is named, relative to the file that names it."""
        root, findings, at = self.tree(
            main="a {\n include d/b.conf\n}\nb = 2",
            **{"d__b.conf": "include ../e/*\ny = 1"},
            e__1="x = 1\ns { }",
            e__2="x = 2",
        )
        self.assertEqual(findings.mistakes, [])
        section = root.blocks["a"]
        self.assertEqual({k: s.value for k, s in section.settings.items()}, {"x": "2", "y": "1"})
        self.assertIn("s", section.blocks)
        place = section.settings["x"].place
        self.assertEqual((os.path.normpath(place.file), place.line), (f"{at}/e/2", 1))
        self.assertEqual(root.settings["b"].value, "2")

    def test_order(self) -> None:
        """Files of one pattern are read in the order of their names."""
        files = {f"d__{n}.conf": f"x = {n}" for n in (3, 1, 2)}
        root, _, _ = self.tree(main="include d/*.conf", **files)
        self.assertEqual(root.settings["x"].value, "3")

    def test_names(self) -> None:
        """A file's name may be quoted or escaped."""
        for include in ('"a b"', "a\\ b", '"a\\ b"', 'a" b"', "a?b", '"[a] b"'):
            root, findings, _ = self.tree(main=f"include {include} # c\ny = 1", **{"a b": "x = 1"})
            self.assertEqual(findings.mistakes, [], include)
            self.assertEqual(sorted(root.settings), ["x", "y"], include)

    def test_nothing(self) -> None:
        """No file for a pattern is nothing; no file of a name is said, and so is no name."""
        root, findings, at = self.tree(main="include d/*.conf\ninclude x\ninclude \ninclude # y")
        self.assertEqual((findings.mistakes, root.settings), ([], {}))
        self.assertEqual(
            [(remark.line, remark.text) for remark in findings.warnings],
            [
                (2, f"there is no {at}/x"),
                (3, "it names no file, so nothing is included"),
                (4, "it names no file, so nothing is included"),
            ],
        )

    def test_no_file(self) -> None:
        """A folder or a pipe is not waited for; a main file that is none is a mistake."""
        at = self.mktemp()
        os.makedirs(f"{at}/d")
        os.mkfifo(f"{at}/d/pipe")
        path = self.write("include d/*\ninclude d\na = 1", "main", at)
        findings = Findings()
        self.assertEqual(read(path, findings).settings["a"].value, "1")
        self.assertEqual(findings.mistakes, [])
        for name, text in (
            (f"{at}/d", "this is not a file"),
            (f"{at}/d/pipe", "this is not a file"),
            (f"{at}/none", "cannot be read: No such file or directory"),
            (f"{at}/\0", "cannot be read: "),
        ):
            findings = Findings()
            read(name, findings)
            (mistake,) = findings.mistakes
            self.assertIn(text, mistake.text)

    def test_unreadable(self) -> None:
        """An included file that may not be read is a mistake where it is included."""
        if os.geteuid() == 0:
            at = self.mktemp()
            os.makedirs(at)
            os.symlink("loop", f"{at}/loop")  # root may read everything else
            path = self.write("\ninclude loop\n", "main", at)
        else:
            path = self.write("\ninclude x\n", "main")
            self.write("a = 1", "x", at=str(Path(path).parent))
            os.chmod(Path(path).parent / "x", 0)
        findings = Findings()
        read(path, findings)
        (mistake,) = findings.mistakes
        self.assertEqual(mistake.line, 2)
        self.assertIn("cannot be read", mistake.text)

    def test_cycles(self) -> None:
        """A file that includes itself, at whatever distance, is told and not followed."""
        for files in (
            {"main": "include main"},
            {"main": "a { include x }", "x": "b { include y }", "y": "include ./main"},
            {"main": "include *"},
        ):
            _, findings, _ = self.tree(**files)
            (mistake,) = findings.mistakes
            self.assertIn("includes itself", mistake.text)

    def test_bombs(self) -> None:
        """Files that multiply by including one another end soon, at the bounds."""
        files = {"main": "include 1*\n"} | {
            f"{n}{m}": f"include {n + 1}*\na = 1\n" for n in range(1, 9) for m in range(9)
        }
        _, findings, _ = self.tree(**files)
        self.assertIn(f"more than {syntax.MAX_FILES} files in all", findings.mistakes[0].text)
        files = {f"f{n}": f"include f{n + 1}\n" for n in range(40)}
        _, findings, _ = self.tree(main="include f0", f40="", **files)
        (mistake,) = findings.mistakes
        self.assertIn("files include one another", mistake.text)
        self.patch(syntax, "MAX_OCTETS", 1000)
        _, findings, _ = self.tree(main="include x\ninclude x\n", x="#" * 600)
        (mistake,) = findings.mistakes
        self.assertIn("more than 1000 octets of configuration", mistake.text)
        self.assertEqual(mistake.line, 2)

    def test_depth(self) -> None:
        """Sections cannot be nested without end, includes counted."""
        findings = Findings()
        parse("a {" * 5000 + "}" * 5000, findings)
        self.assertIn("sections inside one another", findings.mistakes[0].text)
        nested = "a {" * 20 + "include x" + "}" * 20
        _, findings, _ = self.tree(main=nested, x="a {" * 20 + "}" * 20)
        self.assertIn("sections inside one another", findings.mistakes[0].text)
        _, findings, _ = self.tree(main=nested, x="a {" * 10 + "}" * 10)
        self.assertEqual(findings.mistakes, [])

    def test_closed_in_its_file(self) -> None:
        """A section ends in the file in which it begins."""
        _, findings, _ = self.tree(main="include x\n}\n", x="a {\n")
        self.assertEqual(
            sorted(mistake.text for mistake in findings.mistakes),
            ["'}' closes nothing", "this section is not closed: '}'"],
        )


class HostileTests(ConfigurationTestCase):
    @settings(max_examples=300, deadline=None)
    @given(st.text(st.sampled_from('ab ={}:.,#"\\\n\r\t\0é') | st.characters()))
    def test_any_text(self, text: str) -> None:
        """No text raises; what is read of it without a fault reads the same when written."""
        findings = Findings()
        root = parse(text, findings)
        again = parse(write(root), Findings())
        self.assertEqual(shape(again), shape(root))

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(st.sampled_from(["a", "{", "}", "=", ":", '"', "include", "#", "\n", " ", "."]))
    )
    def test_any_tokens(self, tokens: list[str]) -> None:
        """Nor does any order of what the syntax is made of."""
        parse("".join(tokens), Findings())

    def test_long_lines(self) -> None:
        """Lines of a megabyte, of every kind, are read or refused at once."""
        million, many = 2**20, 2**17
        for text in (
            "a" * million,
            "a = " + "x" * million,
            "a = " + "x " * many,
            'a = "' + "x" * million,
            'a = "' + "\\" * million,
            'a = "' + "\\x" * (million // 2) + '"',
            "#" * million,
            "{" * million,
            "}" * many,
            "a{" * (million // 2),
            "a : " + "b." * (million // 2),
            "a : " + "b," * many,
            "a" * (million // 2) + "\n" + "=" * (million // 2),
            "include " + "\\" * many,
            'include "' + "a" * million,
            " " * million,
            '"' * million,
            "a=\n" * many,
        ):
            findings = Findings()
            parse(text, findings)
            self.assertLessEqual(len(findings.mistakes), 200)
            for mistake in findings.mistakes:
                self.assertLess(len(str(mistake)), 2000)

    def test_control_characters(self) -> None:
        """What a file says cannot move a terminal's cursor or begin a line in a log."""
        mistakes = self.mistakes(
            "connections { gw\x1b[2J { x\u2028y\udce4 = 1\nversion = 1 } }".encode(
                "utf-8", "surrogateescape"
            )
        )
        for mistake in mistakes:
            self.assertTrue(mistake.isprintable(), mistake)
