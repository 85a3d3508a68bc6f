"""Inheritance: ``name : a, b { }``."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.config import tree
from isakmp.config.mistakes import Findings
from isakmp.config.syntax import parse
from isakmp.config.tree import Section, followed, walk


def section(text: str, path: str = "") -> Section:
    """A section of a text in which nothing is wrong."""
    findings = Findings()
    found, _ = followed(parse(text, findings), findings)
    assert not findings.mistakes, findings.mistakes
    for word in filter(None, path.split(".")):
        found = found.sections[word]
    return found


def data(text: str, path: str) -> list[tuple[str, str]]:
    """Its keys and values, in order."""
    return [(key, datum.value) for key, datum in section(text, path).data.items()]


def mistakes(text: str) -> list[str]:
    """What is wrong with a text."""
    findings = Findings()
    followed(parse(text, findings, "f"), findings)
    return [str(mistake) for mistake in findings.mistakes]


class InheritanceTests(SynchronousTestCase):
    def test_own_first(self) -> None:
        """A section's own values count before inherited ones, and stand before them."""
        text = "t { a = 1\nb = 1\nc = 1 }\ns : t { b = 2\nd = 2 }"
        self.assertEqual(data(text, "s"), [("b", "2"), ("d", "2"), ("a", "1"), ("c", "1")])
        self.assertEqual(data(text, "t"), [("a", "1"), ("b", "1"), ("c", "1")])

    def test_taken_away(self) -> None:
        """A key without a value is not there, whatever is inherited."""
        self.assertEqual(data("t { a = 1\nb = 1 }\ns : t { a = }", "s"), [("b", "1")])
        self.assertEqual(data("s { a = 1 }\ns { a = }\n", "s"), [])
        self.assertEqual(data("s { a = }\ns { a = 1 }\n", "s"), [("a", "1")])
        self.assertEqual(data("t { a = 1 }\ns : t { a = }\nr : s { }", "r"), [])

    def test_order_of_references(self) -> None:
        """What is referred to first counts before the rest."""
        text = "t { a = 1 }\nu { a = 2\nb = 2 }\ns : t, u { }\nr : u, t { }"
        self.assertEqual(data(text, "s"), [("a", "1"), ("b", "2")])
        self.assertEqual(data(text, "r"), [("a", "2"), ("b", "2")])

    def test_nested(self) -> None:
        """Sections inside are inherited too, and merged with those of the same name."""
        text = "t { x { a = 1\nb = 1\ny { c = 1 } } }\ns : t { x { b = 2 }\nz { } }"
        self.assertEqual(data(text, "s.x"), [("b", "2"), ("a", "1")])
        self.assertEqual(data(text, "s.x.y"), [("c", "1")])
        self.assertEqual(list(section(text, "s").sections), ["x", "z"])

    def test_references_inside(self) -> None:
        """References of inherited sections are followed as well, those of the nearest first."""
        text = """
            a { one { a = a1\n key = a1 } }
            b : a { one { b = b1\n key = b1 }\n two { c = b2\n key = b2 } }
            c : b { two : b.one { d = c2 } }
        """
        self.assertEqual(
            data(text, "c.two"), [("d", "c2"), ("b", "b1"), ("key", "b1"), ("a", "a1"), ("c", "b2")]
        )

    def test_diamond(self) -> None:
        """Two ways to one section are no circle."""
        text = "t { a = 1 }\nu : t { }\nv : t { }\ns : u, v { }"
        self.assertEqual(data(text, "s"), [("a", "1")])

    def test_reference_into_what_is_inherited(self) -> None:
        """A dotted name may lead through what a section only inherits."""
        text = "t { x { a = 1 } }\nu : t { }\ns : u.x { }"
        self.assertEqual(data(text, "s"), [("a", "1")])

    def test_again(self) -> None:
        """A section that stands twice has the references of both."""
        text = "t { a = 1 }\nu { b = 2 }\ns : t { }\ns : u, t { }"
        self.assertEqual(data(text, "s"), [("a", "1"), ("b", "2")])

    def test_places(self) -> None:
        """An inherited value stands where it is written; so a mistake in it is told once."""
        found = section("t {\n a = 1\n}\ns : t {\n}", "s")
        self.assertEqual(str(found.data["a"].place), "<text>:2")
        self.assertEqual((str(found.place), found.path, found.name), ("<text>:4", "s", "s"))
        self.assertEqual(found.key("a"), "s.a")
        self.assertNotIn("hidden", repr(section("t { secret = hidden }")))

    def test_templates(self) -> None:
        """The sections at the root that something refers to are known."""
        findings = Findings()
        _, referred = followed(parse("t { x { } }\ns : t.x, u { }\nu { }", findings), findings)
        self.assertEqual(referred, {"t", "u"})

    def test_walk(self) -> None:
        """All sections, from outside in."""
        found = [inner.path for inner in walk(section("a { b { } }\nc { }"))]
        self.assertEqual(found, ["", "a", "a.b", "c"])
        self.assertEqual(section("a { }").section("b").path, "b")


class FaultTests(SynchronousTestCase):
    def test_nobody(self) -> None:
        """A reference to what is not there is told where it stands; each of them."""
        self.assertEqual(
            mistakes("s : t.u {\n}\nt { v { } }\nr : s, t.u {\n}"),
            [
                "f:1: there is no section t.u to take settings from",
                "f:4: there is no section t.u to take settings from",
            ],
        )

    def test_not_said_after_a_fault(self) -> None:
        """What may have been lost in a fault is not said to be missing."""
        self.assertEqual(len(mistakes("t ! { }\ns : t { }")), 1)

    def test_circles(self) -> None:
        """References in a circle are told, and nothing hangs."""
        for text in (
            "a : a { }",
            "a : b { }\nb : a { }",
            "a : b { }\nb : c { }\nc : a { x = 1 }",
            "a { b : a { } }",
            "a : a.b { b { } }",
            "a { x : b.y { } }\nb { y : a.x { } }",
            "a : b.x { }\nb : a { x { } }",
        ):
            told = " ".join(mistakes(text))
            self.assertTrue("leads back to itself" in told or "is in itself" in told, text)

    def test_bombs(self) -> None:
        """References that double at every step, or multiply sections, end soon."""
        doubling = "s0 { a = 1 }\ns1 : s0 { }\n" + "".join(
            f"s{n} : s{n - 1}, s{n - 2} {{ }}\n" for n in range(2, 300)
        )
        nested = "x0 { a { } b { } }\n" + "".join(
            f"x{n} {{ a : x{n - 1} {{ }} b : x{n - 1} {{ }} }}\n" for n in range(1, 30)
        )
        backwards = "".join(f"s{n} : s{n + 1} {{ }}\n" for n in range(300)) + "s300 { }"
        self.patch(tree, "MAX_LOOKS", 50_000)
        for text, wanted in (
            (doubling, ()),
            (nested, ("the references multiply into too many sections",)),
            (backwards, ("leads back to itself, or too far",)),
        ):
            begun = time.monotonic()
            told = " ".join(mistakes(text))
            self.assertLess(time.monotonic() - begun, 10)
            for part in wanted:
                self.assertIn(part, told)

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "b", "c", "a.b", "b.c", "c.a.b"]),
                st.sampled_from("abc"),
                st.sampled_from("abc"),
            ),
            max_size=6,
        )
    )
    def test_any_references(self, rows: list[tuple[str, str, str]]) -> None:
        """Whatever refers to whatever, it ends, and every section found has its path."""
        text = "".join(f"{b} : {a} {{ k = 1\n{c} : {a} {{ }} }}\n" for a, b, c in rows)
        findings = Findings()
        self.patch(tree, "MAX_LOOKS", 5_000)
        root, _ = followed(parse(text, findings), findings)
        for inner in walk(root):
            for name, below in inner.sections.items():
                self.assertEqual(below.path, inner.key(name))
