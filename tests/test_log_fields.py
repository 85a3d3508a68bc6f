"""
The names of fields, groups and levels of the log; JSON; the ladder; and that no key is in it.
"""

from __future__ import annotations

import ast
import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from isakmp import log_lines, logs
from isakmp.crypto import curves, modp, prf
from isakmp.events import MessageReceived, MessageSent
from isakmp.ladder import LoggedMessages
from isakmp.log_lines import LogLines, as_json, set_format
from isakmp.logs import FIELDS, GROUPS, NAMES, Logger, detail_of, group_of, level_of, set_level
from isakmp.stream import EventStream
from isakmp.testing import settle
from tests.failures.memory import Attempt
from tests.loopback import DemoTestCase
from tests.nodes import SECRET, Settings, pair
from tests.pages import page
from tests.samples import logged

PACKAGE = Path(logs.__file__).parent
METHODS = frozenset({"debug", "info", "warn", "error", "critical", "failure", "dump"})
LEGACY = {"text", "system", "format", "time", "message", "isError", "why"} - set(FIELDS)
"""What the test adds, and what Twisted adds for observers of old."""

LOUDEST = dict.fromkeys(NAMES, 4)


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a logger in the package, and where it stands."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr in METHODS and "log" in ast.unparse(node.func.value):
                    yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


class Restored(SynchronousTestCase):
    """What a test says of levels and format ends with it."""

    def setUp(self) -> None:
        for name in ("_least", "_groups"):
            self.patch(logs, name, getattr(logs, name))
        self.patch(log_lines, "_format", "text")


class FieldTests(SynchronousTestCase):
    def test_names(self) -> None:
        """Whoever reads the log with a program finds each field under one documented name."""
        found = list(calls())
        self.assertGreater(len(found), 40)
        for place, call in found:
            for keyword in call.keywords:
                if keyword.arg is not None:
                    self.assertIn(keyword.arg, FIELDS, place)

    def test_page(self) -> None:
        """The page has every field, group and level, and no other field."""
        text = page("reference/logs.rst")
        fields = text[text.index("\nFields\n") :]
        rows = re.findall(r"^    \* - ``(\w+)``$", fields, re.MULTILINE)
        self.assertEqual(rows, list(FIELDS))
        for name, meaning in FIELDS.items():
            self.assertIn(f"    * - ``{name}``\n      - {meaning}\n", text)
        for group in NAMES:
            self.assertIn(f"    * - ``{group.lower()}``\n", text)
        for namespace in GROUPS:
            self.assertIn(f"``{namespace}``", text)

    def test_said(self) -> None:
        """What is really said of a failure and of SAs has no other fields either."""
        for name in ("other-traffic", "no-common-proposal", "other-lifetimes"):
            for events in Attempt(name).events.values():
                for event in events:
                    own = {field for field in event if not field.startswith("log_")} - LEGACY
                    self.assertEqual(own - set(FIELDS), set())


class GroupTests(Restored):
    def test_groups(self) -> None:
        """strongSwan's groups: who speaks decides, and a child is CHD."""
        self.assertEqual(group_of("isakmp.exchange.endpoint.ISAKMPEndpoint"), "IKE")
        self.assertEqual(group_of("isakmp.journal.Journal", True), "CHD")
        self.assertEqual(group_of("isakmp.udp.UDPPorts", True), "NET")
        self.assertEqual(group_of("isakmp.somebody"), "LIB")

    def test_levels(self) -> None:
        """A group's level counts for it alone, from one moment to the next."""
        notes = logged(self)
        net, ike = Logger("isakmp.udp.X"), Logger("isakmp.ike.X")

        def said() -> list[tuple[str, int]]:
            notes.clear()
            for log in (net, ike):
                log.warn("0")
                log.info("1")
                log.debug("2")
                log.dump("{octets}: {data}", bytes(3))
            return [(group_of(note["log_namespace"]), detail_of(note)) for note in notes]

        set_level("info", {"NET": 3})
        self.assertEqual(
            said(), [("NET", 0), ("NET", 1), ("NET", 2), ("NET", 3), ("IKE", 0), ("IKE", 1)]
        )
        self.assertEqual((level_of("NET"), level_of("IKE")), (3, 1))
        set_level("info", {"NET": -1, "IKE": 0})
        self.assertEqual(said(), [("IKE", 0)])
        set_level("debug")
        self.assertEqual(said(), [(g, n) for g in ("NET", "IKE") for n in range(3)])

    def test_refused(self) -> None:
        """An unknown group, or a level beyond the bounds, changes nothing."""
        set_level("warn", {"NET": 2})
        for groups in ({"XXX": 1}, {"IKE": 5}, {"IKE": -2}):
            self.assertRaises(ValueError, set_level, "debug", groups)
        self.assertEqual((level_of("NET"), level_of("IKE")), (2, 0))
        self.assertRaises(ValueError, set_format, "xml")


class LadderTests(Restored):
    def test_wanted(self) -> None:
        """Below level 2 nobody listens for messages; a change counts at once."""
        events = EventStream()
        set_level("info")
        ladder = LoggedMessages(events)
        for groups, wanted in (({}, False), ({"ENC": 2}, True), ({"IKE": 2}, True), ({}, False)):
            set_level("info", groups)
            self.assertEqual(events.wanted(MessageSent), wanted)
            self.assertEqual(events.wanted(MessageReceived), wanted)
        set_level("debug")
        self.assertTrue(events.wanted(MessageSent))
        ladder.stop()
        set_level("debug")
        self.assertFalse(events.wanted(MessageSent))

    def test_drawn(self) -> None:
        """Every message is one line, in each direction, sealed ones with double lines."""
        set_level("info", {"ENC": 2})
        notes = logged(self)
        both = pair()
        ladders = [LoggedMessages(one.node.events) for one in (both.a, both.b)]
        settle(both.clock, both.a.establish())
        both.clock.run_until(both.clock.seconds() + 1)
        lines = [note for note in notes if "direction" in note]
        for ladder in ladders:
            ladder.stop()
        self.assertEqual(len([n for n in lines if n["direction"] == "sent"]), 9)
        self.assertEqual(len([n for n in lines if n["direction"] == "received"]), 9)
        self.assertRegex(lines[0]["line"], r"^--> 192\.0\.2\.2:500  Identity Protection, .*SA\(")
        self.assertRegex(lines[-1]["line"], r"^<== 192\.0\.2\.1:500  Quick Mode, ")
        self.assertEqual({group_of(n["log_namespace"]) for n in lines}, {"ENC"})


class JSONTests(Restored):
    def test_lines(self) -> None:
        """One object in each line, with the fields and a traceback; the format changes at once."""
        file = io.StringIO()
        write = LogLines(file)
        globalLogPublisher.addObserver(write)
        self.addCleanup(globalLogPublisher.removeObserver, write)
        log = Logger("isakmp.journal.X")
        log.info("as text")
        set_format("json")
        log.info("{connection}\nis\x1b gone", connection="gw", child="net", count=3, stranger=4)
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            log.failure("a fault")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        text, first, second = file.getvalue().splitlines()
        self.assertRegex(text, r"\[isakmp.journal.X#info\] as text$")
        found = json.loads(first)
        self.assertRegex(found.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(
            found,
            {
                **{"level": "info", "namespace": "isakmp.journal.X", "group": "CHD", "detail": 1},
                **{"connection": "gw", "child": "net", "count": 3},
                "message": "gw\nis\x1b gone",
            },
        )
        self.assertIn("ZeroDivisionError", json.loads(second)["failure"])

    def test_others(self) -> None:
        """What others log is an object too, without our fields."""
        event: LogEvent = {"log_level": LogLevel.warn, "log_format": "x", "log_namespace": "y"}
        found = json.loads(as_json({**event, "log_time": 0.0, "peer": "z"}))
        self.assertEqual(set(found), {"time", "level", "namespace", "message"})


class Secrets:
    """
    Collects what a prf or a key agreement has computed, and all that is logged.
    """

    def __init__(self, test: Any) -> None:
        self.found: set[bytes] = {SECRET}
        self.said: list[str] = []
        set_level("debug", LOUDEST)
        globalLogPublisher.addObserver(self._note)
        test.addCleanup(globalLogPublisher.removeObserver, self._note)
        self._watch(test, prf.Prf, "__call__")
        for module in (curves, modp):
            for kind in vars(module).values():
                if isinstance(kind, type) and "agree" in vars(kind):
                    self._watch(test, kind, "agree")

    def _watch(self, test: Any, kind: type, name: str) -> None:
        original: Callable[..., bytes] = getattr(kind, name)

        def computed(*arguments: Any, **named: Any) -> bytes:
            result = original(*arguments, **named)
            self.found.add(bytes(result))
            return result

        test.patch(kind, name, computed)

    def _note(self, event: LogEvent) -> None:
        if event.get("log_namespace", "").startswith("isakmp."):
            self.said += [log_lines.as_text(event), as_json(event), repr(event)]

    def check(self, test: Any) -> None:
        """None of the secrets is in anything said, in any spelling."""
        said = "\n".join(self.said)
        test.assertGreater(len(self.found), 10)
        test.assertGreater(len(said), 10000)
        folded = said.lower()
        for secret in self.found:
            spellings = (secret.hex(), repr(secret)[2:-1].lower())
            for spelling in spellings:
                test.assertNotIn(spelling, folded)
            test.assertNotIn(base64.b64encode(secret).decode().rstrip("="), said)
            test.assertNotIn(secret.decode("latin-1"), said)


class SecretTests(Restored):
    def test_handshakes(self) -> None:
        """
        Main and Aggressive Mode, Quick Mode with a key agreement of its own, renewals, refusals:
        at the most verbose, in both formats, no key and no secret is said.
        """
        secrets = Secrets(self)
        settings = Settings(child_suite="aes128-sha256-modp1024", sa_seconds=900, child_seconds=300)
        both = pair(settings)
        ladders = [LoggedMessages(one.node.events) for one in (both.a, both.b)]
        settle(both.clock, both.a.establish())
        both.clock.run_until(both.clock.seconds() + 1)
        both.clock.run_until(both.clock.seconds() + 1000)
        for name in ("aggressive", "other-traffic", "wrong-secret", "unknown-initiator", "pfs"):
            Attempt(name)
        for ladder in ladders:
            ladder.stop()
        for one in (both.a, both.b):
            for sa in one.registry:
                secrets.said.append(repr(sa))
        secrets.check(self)


class DemonstratedSecretTests(DemoTestCase):
    def setUp(self) -> None:
        super().setUp()
        for name in ("_least", "_groups"):
            self.patch(logs, name, getattr(logs, name))

    async def test_datagrams(self) -> None:
        """With every datagram in the log, on real sockets, there is no key either."""
        secrets = Secrets(self)
        await self.run_demo(pfs=True)
        await self.run_demo(wrong_psk=True)
        for sink in self.sinks:
            for keys in self.keys(sink).values():
                secrets.found.update(key for key in keys.values() if key)
        self.assertTrue(any('"data"' in line for line in secrets.said))
        secrets.check(self)
