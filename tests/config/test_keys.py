"""The table of keys: nothing of swanctl.opt is missing in it, and the page says what it says."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from isakmp.config.key_table import KEYS
from isakmp.config.keys import Key, Kind, Status, Table
from tests.config import reference
from tests.config.samples import ConfigurationTestCase, conf

OURS = {"connections.<conn>.children"}
"""Sections that swanctl.opt does not list by themselves."""


def names() -> list[str]:
    """The names in swanctl.opt."""
    text = Path(__file__).with_name("data").joinpath("swanctl-keys.txt").read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


#: A value with which a key is refused or warned of.
OTHERWISE = {
    Kind.NUMBER: "7",
    Kind.PORT: "7",
    Kind.TIME: "7s",
    Kind.VOLUME: "7k",
    Kind.CODEPOINT: "000111",
    Kind.IDENTITY: "somebody",
    Kind.LIST: "something",
    Kind.TEXT: "something",
}

#: Texts that no key of this kind can have.
NONSENSE = {
    Kind.BOOLEAN: "maybe",
    Kind.NUMBER: "many",
    Kind.PORT: "0",
    Kind.TIME: "soon",
    Kind.VOLUME: "much",
    Kind.PACKETS: "many",
    Kind.CODEPOINT: "7",
    Kind.MARK: "x",
    Kind.SET_MARK: "%unique",
    Kind.INTERFACE_ID: "7/7",
    Kind.INTERFACE: "a name that is too long",
    Kind.WORD: "whatever",
    Kind.SECRET: "0xg",
    Kind.OWNER: "%nobody",
}


def written(key: Key, value: str) -> str:
    """A whole file, with nothing special in it but this key."""
    name = key.pattern.rpartition(".")[2].replace("<suffix>", "")
    line = f'{name} = "{value}"'
    if ".children.<child>." in key.pattern:
        return conf(child=line)
    for end in ("local", "remote"):
        if f".{end}<suffix>." in key.pattern:
            return conf(**{end: line if name == "auth" else f"auth = psk\n{line}"})
    if key.pattern.startswith("secrets.ike<suffix>."):
        return conf(secrets=f"ike {{ {'' if name == 'secret' else 'secret = x'}\n{line} }}")
    if name == "version":
        return conf(version=line)
    return conf(line)


class TableTests(SynchronousTestCase):
    def test_complete(self) -> None:
        """Every key that strongSwan documents has a row here, and no other."""
        self.assertEqual({key.pattern for key in KEYS.keys} - OURS, set(names()))
        self.assertEqual(len(names()), len(set(names())))
        self.assertEqual(len(KEYS.keys), len(names()) + len(OURS))

    def test_rows(self) -> None:
        """Each row says something; words are given for words and for nothing else."""
        for key in KEYS.keys:
            self.assertTrue(key.text, key)
            self.assertEqual(bool(key.words), key.kind is Kind.WORD, key)
            if key.harmless is not None:
                self.assertIs(key.outcome(key.harmless), Status.HONOURED, key)

    def test_find(self) -> None:
        """A name in a file leads to its row; the longer prefix is meant."""
        for path, wanted in (
            ("connections.gw.local-1.auth", "connections.<conn>.local<suffix>.auth"),
            ("connections.gw.local.id", "connections.<conn>.local<suffix>.id"),
            ("connections.gw.local_addrs", "connections.<conn>.local_addrs"),
            (
                "connections.gw.remote.cacert2.file",
                "connections.<conn>.remote<suffix>.cacert<suffix>.file",
            ),
            ("connections.gw.remote.cert1", "connections.<conn>.remote<suffix>.cert<suffix>"),
            ("connections.gw.remote.certs", "connections.<conn>.remote<suffix>.certs"),
            ("connections.gw.children.n.mode", "connections.<conn>.children.<child>.mode"),
            ("secrets.ike-gw.id-2", "secrets.ike<suffix>.id<suffix>"),
            ("secrets.pkcs12x", "secrets.pkcs12<suffix>"),
            ("pools.p.dns", "pools.<name>.<attr>"),
            ("pools.p.addrs", "pools.<name>.addrs"),
        ):
            key = KEYS.find(path.split("."))
            assert key is not None
            self.assertEqual(key.pattern, wanted)
        for path in ("connection", "connections.gw.foo", "secrets.foo", "secrets.ike.foo", "a.b.c"):
            self.assertIsNone(KEYS.find(path.split(".")))

    def test_twice(self) -> None:
        """A key cannot have two rows."""
        row = Key("a", Kind.TEXT, Status.HONOURED, "x")
        self.assertRaises(ValueError, Table, (row, row))


class OutcomeTests(ConfigurationTestCase):
    def keys(self) -> list[Key]:
        """Those that stand in sections which are looked into."""
        return [
            key
            for key in KEYS.keys
            if key.kind is not Kind.SECTION
            and key.pattern.startswith(("connections.", "secrets.ike"))
            and ".cert<" not in key.pattern
            and ".cacert<" not in key.pattern
        ]

    def test_walk(self) -> None:
        """
        A key that is refused is refused, one that is warned of is warned of once, and one that is
        honoured is neither; so is each of a key's words.
        """
        tried = 0
        for key in self.keys():
            values = key.words or {OTHERWISE.get(key.kind, ""): key.status}
            if key.kind is Kind.BOOLEAN:
                if key.status is Status.HONOURED:
                    continue
                assert key.harmless is not None
                values = {"no" if key.harmless == "yes" else "yes": key.status}
            for value, status in values.items():
                text = written(key, value)
                name = key.pattern.rpartition(".")[2].replace("<suffix>", "")
                if status is Status.HONOURED:
                    continue  # what they do is for other tests
                if status is Status.REFUSED:
                    said = self.mistake(text)
                else:
                    (said,) = self.warnings(text)
                    self.assertIn(f"{name}: ignored: ", said)
                self.assertIn(f"{name}: ", said)
                self.assertIn(key.why(value), said)
                tried += 1
        self.assertGreater(tried, 60)

    def test_harmless(self) -> None:
        """With the value that asks for nothing, nothing is said."""
        tried = 0
        for key in self.keys():
            harmless = [w for w, status in key.words.items() if status is Status.HONOURED]
            if key.harmless is not None:
                harmless.append(key.harmless)
            if key.kind is Kind.LIST and key.status is not Status.HONOURED:
                harmless.append("")
            for value in harmless:
                if key.pattern.endswith((".version", ".start_action")):
                    continue
                if value in ("pass", "drop"):
                    continue  # what they need besides is for other tests
                self.assertEqual(self.warnings(written(key, value)), [], (key, value))
                tried += 1
        self.assertGreater(tried, 60)

    def test_nonsense(self) -> None:
        """A value that a key cannot have is a mistake, even if the key is ignored."""
        for key in self.keys():
            if key.kind in NONSENSE:
                found = self.mistake(written(key, NONSENSE[key.kind]))
                if key.kind is Kind.SECRET:
                    self.assertNotIn("0xg", found)
                self.assertRegex(found, r"^\d+: [\w.]+: .* .*")


class PageTests(SynchronousTestCase):
    def test_page(self) -> None:
        """The reference page lists every key with its status: it is written from the table."""
        self.assertEqual(
            reference.page(reference.PAGE.read_text(encoding="utf-8")),
            reference.PAGE.read_text(encoding="utf-8"),
            "run: python -m tests.config.reference",
        )
        listed = reference.tables()
        for key in KEYS.keys:
            word = key.pattern.rpartition(".")[2]
            self.assertIn(f"``{word}``", listed)

    def test_stale_page(self) -> None:
        """A page that differs is seen, and one without its marks is not written over."""
        text = reference.PAGE.read_text(encoding="utf-8")
        self.assertEqual(reference.page(text.replace("- refused", "- honoured", 1)), text)
        self.assertRaises(ValueError, reference.page, "no marks")
