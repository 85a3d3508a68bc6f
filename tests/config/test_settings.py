"""``isakmp.toml``."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isakmp.config import toml
from isakmp.config.isakmp_toml import MAX_OCTETS, load
from isakmp.config.load import load as load_swanctl
from isakmp.config.mistakes import ConfigurationErrors, Place
from isakmp.config.settings import (
    ChildSettings,
    ConnectionSettings,
    LogSettings,
    PluginNames,
    Settings,
    ViciSettings,
)
from isakmp.connections import Limits, Routing
from isakmp.departures import LENIENCES, USUAL
from isakmp.node import Node
from isakmp.plugins import builtin
from tests.config.samples import ConfigurationTestCase, conf

PAGE = Path(__file__).resolve().parents[2] / "doc" / "reference" / "isakmp-toml.rst"

EVERYTHING = """\
listen = ["192.0.2.1", "2001:DB8::1"]
port = 1500
sink = "memory"
install_routes = false
routing_table = 77
routing_table_prio = 78

[plugins]
doi = ["ipsec"]
key_exchange = ["ike"]
sink = ["tun"]

[limits]
half_open = 10
half_open_seconds = 5
grace = 0.5
refusals = 0

[log]
level = "warn"
format = "json"
[log.levels]
ike = 2
net = -1

[connection.gw]
doi = "ipsec"
key_exchange = "ike"
exchange = "main"
child_exchange = "quick-mode"
authentication = "psk"
lenient = ["reserved-octets", "key-length-first"]

[connection.gw.children.net]
suites = ["esp=aes128-sha256", "transport:ah=sha1"]

[connection."a b"]

[plugin.ike]
any = 1
[plugin.ike.thing]
x = [true]
"""


class SettingsTestCase(ConfigurationTestCase):
    """What reads files called ``isakmp.toml``."""

    def settings(self, text: str | bytes) -> Settings:
        """What a file says."""
        return load(self.write(text, "isakmp.toml"))

    def told(self, text: str | bytes) -> list[str]:
        """All that is wrong with one: line, key and sentence."""
        path = self.write(text, "isakmp.toml")
        error = self.assertRaises(ConfigurationErrors, load, path)
        return [str(mistake).removeprefix(path) for mistake in error.mistakes]

    def mistake_in(self, text: str | bytes) -> str:
        """The one thing that is wrong."""
        (found,) = self.told(text)
        return found


class MeaningTests(SettingsTestCase):
    def test_nothing(self) -> None:
        """Without a file, or with an empty one, the defaults hold."""
        self.assertEqual(load(None), Settings())
        self.assertEqual(load(f"{self.mktemp()}/isakmp.toml"), Settings())
        self.assertEqual(self.settings(""), Settings())
        default = dataclasses.asdict(Settings())
        self.assertEqual(
            {name: default.pop(name) for name in ("plugins", "limits")},
            {
                "plugins": {
                    "doi": ("isakmp", "ipsec"),
                    "key_exchange": ("ike",),
                    "sink": (),
                    "rider": (),
                    "credentials": "",
                    "place": {"file": "", "line": 0},
                },
                "limits": dataclasses.asdict(Limits()),
            },
        )
        self.assertEqual(
            default,
            {
                "listen": (),
                "port": 500,
                "port_nat_t": 4500,
                "sink": "auto",
                "vici": {
                    "uri": "unix:///run/isakmp/isakmp.vici",
                    "mode": 0o770,
                    "group": "",
                    "given": False,
                },
                "install_routes": None,
                "routing_table": 220,
                "routing_table_prio": 220,
                "log": {"level": "info", "keys": "", "format": "text", "levels": {}},
                "connections": {},
                "plugin_settings": {},
            },
        )

    def test_everything(self) -> None:
        """Every key does what it says."""
        found = self.settings(EVERYTHING)
        self.assertEqual(
            found,
            Settings(
                listen=("192.0.2.1", "2001:db8::1"),
                port=1500,
                sink="memory",
                install_routes=False,
                routing_table=77,
                routing_table_prio=78,
                plugins=PluginNames(("ipsec",), ("ike",), ("tun",)),
                limits=Limits(half_open=10, half_open_seconds=5.0, grace=0.5, refusals=0),
                log=LogSettings("warn", format="json", levels={"IKE": 2, "NET": -1}),
                connections={
                    "gw": ConnectionSettings(
                        exchange="main",
                        child_exchange="quick-mode",
                        lenient=frozenset({"reserved-octets", "key-length-first"}),
                        children={
                            "net": ChildSettings(suites=("esp=aes128-sha256", "transport:ah=sha1"))
                        }
                    ),
                    "a b": ConnectionSettings(),
                },
                plugin_settings={"ike": {"any": 1, "thing": {"x": [True]}}},
            ),
        )
        self.assertIsInstance(found.limits.half_open_seconds, float)
        self.assertEqual(found.connections["gw"].place.line, 26)
        self.assertEqual(found.connections["gw"].children["net"].place.line, 34)

    def test_what_comes_with_the_package(self) -> None:
        """The names that are switched on by default are there."""
        available, default = builtin(), PluginNames()
        self.assertEqual(len(available.enabled_dois(default.doi)), 2)
        self.assertEqual(len(available.enabled_key_exchanges(default.key_exchange)), 1)
        for sink in ("xfrm", "log", "memory"):
            self.assertEqual(available.enabled_sink(sink).name, sink)

    def test_handed_over(self) -> None:
        """``[plugin.NAME]`` is what a node holds for it."""
        self.assertIn("settings", {field.name for field in dataclasses.fields(Node)})
        found = self.settings("[plugin.memory]\nsize = 3\n")
        self.assertEqual(found.plugin_settings["memory"], {"size": 3})

    def test_sink_of_a_plugin(self) -> None:
        """A sink that is switched on by name can be chosen, and no other."""
        self.assertEqual(self.settings('sink = "tun"\n[plugins]\nsink = ["tun"]').sink, "tun")
        self.assertIn("there is no such sink", self.mistake_in('sink = "tun"'))

    def test_names_the_other_file(self) -> None:
        """A connection that swanctl.conf has not is told with its line in this file."""
        path = self.write("[connection.gw]\n\n[connection.gone]\n", "isakmp.toml")
        error = self.assertRaises(ConfigurationErrors, load_swanctl, self.write(conf()), load(path))
        (mistake,) = error.mistakes
        self.assertEqual((mistake.file, mistake.line), (path, 3))
        self.assertIn("has no connection gone; there are: gw", mistake.text)

    def test_vici(self) -> None:
        """The control socket is a path, or a port of loopback, or switched off."""
        found = self.settings(
            'vici = "unix:///tmp/v"\nvici_mode = 0o660\nvici_group = "admin"'
        ).vici
        self.assertEqual(found, ViciSettings("unix:///tmp/v", 0o660, "admin"))
        self.assertTrue(found.given)
        for uri in ("tcp://127.0.0.1:4502", "tcp://127.0.0.2:1", "tcp://[::1]:4502", ""):
            self.assertEqual(self.settings(f'vici = "{uri}"').vici.uri, uri)
        self.assertFalse(self.settings("port = 1500").vici.given)

    def test_page(self) -> None:
        """The reference page names every key, and its example is one."""
        page = PAGE.read_text(encoding="utf-8")
        names = {field.name for field in dataclasses.fields(Settings)}
        tables = {"plugins", "limits", "log"}
        names = names - tables - {"connections", "plugin_settings"} | set(Limits.__slots__)
        for name in (*names, "doi", "key_exchange", "level", "exchange", "child_exchange"):
            self.assertIn(f"``{name}``", page)
        for name in tables:
            self.assertIn(f"``[{name}]``", page)
        for name in (
            "vici_mode",
            "vici_group",
            "authentication",
            "lenient",
            "suites",
            "identities",
            "[plugin.NAME]",
        ):
            self.assertIn(f"``{name}``", page)


class MistakeTests(SettingsTestCase):
    def test_all_at_once(self) -> None:
        """Everything that is wrong is told, each with its line, key and what would be valid."""
        found = self.told(
            'lisen = []\nport = "500"\nsink = "kernel"\n\n[limit]\n[limits]\nhalf_open = 0\n'
            "grace = -1\nnotes = 3\n[log]\nlevel = 3\n[plugins]\ndoi = [3]\n"
            '[connection.gw]\nexchange = "slow"\nspeed = 1\n[connection]\ngx = 3\n'
            '[plugin.foo]\nx = 1\n[connection.gw.children.n]\nsuites = "x"\nsuite = 1\n'
        )
        for text, (where, valid) in zip(
            found,
            (
                (":1: lisen", "did you mean listen?"),
                (":2: port", "from 1 to 65535"),
                (":3: sink", "valid: 'auto', 'xfrm', 'log' or 'memory'"),
                (":5: limit", "did you mean limits?"),
                (":7: limits.half_open", "from 1 to"),
                (":8: limits.grace", "above 0"),
                (":9: limits.notes", "valid here: half_open, "),
                (":11: log.level", "valid: 'debug', 'info', 'warn', 'error' or 'critical'"),
                (":13: plugins.doi", "a list of texts"),
                (":15: connection.gw.exchange", "valid: 'main'"),
                (":16: connection.gw.speed", "valid here: children, lenient, doi, "),
                (":18: connection.gx", "a table is expected"),
                (":19: plugin.foo", "no plugin foo is switched on"),
                (":22: connection.gw.children.n.suites", "a list of texts"),
                (":23: connection.gw.children.n.suite", "did you mean suites?"),
            ),
            strict=True,
        ):
            self.assertTrue(text.startswith(f"{where}: "), text)
            self.assertIn(valid, text)

    def test_not_built_yet(self) -> None:
        """A key whose capability is not built is refused when it is given, whatever it says."""
        for text, why in (
            ("port_nat_t = 4500", "NAT traversal is not built yet"),
            ('sink = "kernel"', "there is no such sink"),
            ('[connection.gw]\nauthentication = "signature"', "are not built yet; valid: 'psk'"),
            ('[connection.gw]\ndoi = "gdoi"', "it is not switched on"),
            ('[connection.gw]\nkey_exchange = "kink"', "it is not switched on"),
        ):
            self.assertIn(why, self.mistake_in(text), text)

    def test_routing(self) -> None:
        """Routes have a table that is not the kernel's own, and a rule before the main table's."""
        for text, why in (
            ('install_routes = "no"', "true or false is expected"),
            ("routing_table = 0", "a number from 1 to 4294967295 is expected"),
            ("routing_table = 254", "254 is a table of the kernel's own"),
            ("routing_table_prio = 32766", "a number from 1 to 32765 is expected"),
        ):
            self.assertIn(why, self.mistake_in(text), text)
        found = self.settings("install_routes = true\nrouting_table = 1000")
        self.assertIs(found.install_routes, True)
        self.assertEqual(found.routing, Routing(1000, 220))
        self.assertEqual(self.settings("").routing, Routing(220, 220))
        self.assertIsNone(self.settings("install_routes = false").routing)

    def test_identities(self) -> None:
        """What names a child's traffic is two types with their octets, ours first."""
        found = self.settings(
            '[connection.gw.children.n]\nidentities = ["200:0a0B", "11:"]\n'
        ).connections["gw"]
        self.assertEqual(found.children["n"].identities, ((200, b"\x0a\x0b"), (11, b"")))
        same = self.settings('[connection.gw.children.n]\nidentities = ["1:00", "1:00"]\n')
        self.assertEqual(
            same.connections["gw"].children["n"].identities, ((1, b"\0"), (1, b"\0"))
        )
        for said, why in (
            ("[]", "two are expected: ours, then the peer's"),
            ('["1:00"]', "two are expected"),
            ('["1:00", "1:00", "1:00"]', "two are expected"),
            ('["256:00", "1:00"]', "'256:00' is no identity: a type from 0 to 255"),
            ('["-1:00", "1:00"]', "'-1:00' is no identity"),
            ('["x:00", "1:00"]', "'x:00' is no identity"),
            ('["1:0", "1:00"]', "'1:0' is no identity"),
            ('["1:zz", "1:00"]', "'1:zz' is no identity"),
            ('"1:00"', "a list of texts"),
            ('["", "1:00"]', "a list of texts"),
        ):
            text = f"[connection.gw.children.n]\nidentities = {said}"
            self.assertIn(why, self.mistake_in(text), text)

    def test_plugins(self) -> None:
        """Riders by name, and one credential store; their settings may be given."""
        found = self.settings(
            '[plugins]\nrider = ["bell"]\ncredentials = "vault"\n'
            "[plugin.bell]\nx = 1\n[plugin.vault]\ny = 2\n"
        )
        self.assertEqual(found.plugins.rider, ("bell",))
        self.assertEqual(found.plugins.credentials, "vault")
        self.assertEqual(found.plugin_settings, {"bell": {"x": 1}, "vault": {"y": 2}})
        self.assertIn("a text is expected", self.mistake_in("[plugins]\ncredentials = []"))
        self.assertIn("a list of texts", self.mistake_in('[plugins]\nrider = "bell"'))

    def test_lenient(self) -> None:
        """
        What can be overlooked has a name; nothing else can be, and the mistake lists all names.
        """
        self.assertEqual(self.settings("[connection.gw]").connections["gw"].lenient, USUAL)
        strict = self.settings("[connection.gw]\nlenient = []").connections["gw"]
        self.assertEqual(strict.lenient, frozenset())
        for name in LENIENCES:
            text = f'[connection.gw]\nlenient = ["{name}"]'
            self.assertEqual(self.settings(text).connections["gw"].lenient, {name})
        self.mistake_in('[connection.gw]\nlenient = ["lengths"]')
        wrong = self.mistake_in('[connection.gw]\nlenient = ["reserved-octet"]')
        self.assertIn("did you mean reserved-octets?", wrong)
        for name in LENIENCES:
            self.assertIn(name, wrong)
        self.assertIn("a list of texts", self.mistake_in("[connection.gw]\nlenient = true"))

    def test_vici(self) -> None:
        """
        What is no socket, or one that others than this host's users would reach, is refused.
        """
        for uri, why in (
            ("unix://run/isakmp.vici", "is not understood"),
            ("/run/isakmp.vici", "is not understood; valid are 'unix:///run/isakmp/isakmp.vici'"),
            ("unix:///run/isakmp/", "is not the path of a socket"),
            ("unix:///" + "x" * 107, "at most 107 octets, this has 108"),
            ("tcp://0.0.0.0:4502", "only loopback is served"),
            ("tcp://192.0.2.1:4502", "only loopback is served"),
            ("tcp://[::]:4502", "only loopback is served"),
            ("tcp://127.0.0.1", "is not an address with a port"),
            ("tcp://::1:4502", "is not an address with a port"),
            ("tcp://localhost:4502", "is not an address with a port"),
            ("tcp://127.0.0.1:70000", "is not an address with a port"),
            ("tcp://127.0.0.1:0", "0 is not a port"),
            ("http://127.0.0.1:80", "is not understood"),
        ):
            self.assertIn(why, self.mistake_in(f'vici = "{uri}"'), uri)
        self.assertIn("a text is expected", self.mistake_in("vici = 4502"))
        self.assertIn("a text is expected", self.mistake_in("vici_group = 0"))
        self.assertIn("a number from 384 to 511", self.mistake_in("vici_mode = 0o1777"))

    def test_values(self) -> None:
        """What a key cannot have."""
        for text in (
            *("port = 0", "port = 65536", "port = true", "port = 1.5", "port = []"),
            *("listen = []", 'listen = ["x"]', 'listen = "::1"', "listen = [1]", 'listen = [""]'),
            *('listen = ["::1", "0::1"]', 'listen = ["::1", "::1"]', 'listen = ["10.0.0.0/8"]'),
            *(
                "sink = 3",
                "sink = []",
                "limits = 3",
                "plugins = []",
                "connection = 1",
                "plugin = 1",
            ),
            *("limits.grace = inf", "limits.grace = nan", "limits.grace = true"),
            *("limits.half_open = true", "limits.half_open = 1.0", "limits.drops = -1"),
            f"limits.grace = {10**400}",
            f"limits.half_open = {10**30}",
            '[plugins]\ndoi = ["ipsec", "ipsec"]',
            "[[connection.gw]]",
            "[plugin]\nike = 3",
        ):
            self.assertTrue(self.mistake_in(text), text)

    def test_syntax(self) -> None:
        """What is no TOML is one line, with its line."""
        for text, line in (
            ("port = 500\nport = 501", 2),
            ("a = 1\nb =\n", 2),
            ("x", 1),
            ('a = """\n\n', 0),
            ("[" * 3000, 0),
            ("a = " + "[" * 50_000, 0),
            ("a = " + "{a = " * 50_000, 0),
        ):
            self.assertRegex(self.mistake_in(text), rf"^:({line or '[0-9]+'}: | )?")
        self.assertIn(":2: TOML is UTF-8", self.mistake_in(b"a = 1\nb = '\xff'"))
        self.assertIn("octets", self.mistake_in(b"#" * (MAX_OCTETS + 1)))

    def test_no_file(self) -> None:
        """A folder, a pipe or a file that may not be read is not taken for a missing one."""
        at = self.mktemp()
        os.makedirs(at)
        os.mkfifo(f"{at}/pipe")
        os.symlink("loop", f"{at}/loop")
        for path, why in (
            (at, "this is not a file"),
            (f"{at}/pipe", "this is not a file"),
            (f"{at}/loop", "it cannot be read"),
            (f"{at}/\0", "it cannot be read"),
        ):
            error = self.assertRaises(ConfigurationErrors, load, path)
            self.assertIn(why, str(error))


class LinesTests(SettingsTestCase):
    def test_lines(self) -> None:
        """A key is found on its line, however its table is written."""
        text = (
            '# [a]\nx = 1\n"y" . z = 2 # c\n[a.b] # c\nx = """\n[no]\nx = 9\n"""\n'
            "'k k' = 3\n[[c]]\nd = 4\n[a.'q.r']\ns = 5\n[]\n[broken\n = 3\n"
        )
        self.assertEqual(
            toml.lines(text),
            {
                ("x",): 2,
                ("y",): 3,
                ("y", "z"): 3,
                ("a",): 4,
                ("a", "b"): 4,
                ("a", "b", "x"): 5,
                ("a", "b", "k k"): 9,
                ("c",): 10,
                ("c", "d"): 11,
                ("a", "q.r"): 12,
                ("a", "q.r", "s"): 13,
            },
        )

    def test_no_line(self) -> None:
        """Of what stands in an inline table, the table's line is told."""
        found = self.mistake_in("\nlimits = { half_open = 0 }\n")
        self.assertTrue(found.startswith(":2: limits.half_open: "), found)
        self.assertEqual(toml.Table("f", {}, {}, None).place(), Place("f"))  # type: ignore[arg-type]

    def test_hostile_lines(self) -> None:
        """A line on which a pattern could stumble takes no time."""
        for line in ("[" + '"' * 50_000, "[" + '""' * 25_000 + "x", "a" * 100_000, "'" * 99_999):
            toml.lines(line)


class HostileTests(SettingsTestCase):
    VALUES = st.recursive(
        st.integers() | st.booleans() | st.floats() | st.sampled_from(["log", "main", "x", "::1"]),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "net"]), inner)
        ),
        max_leaves=4,
    )

    @settings(
        max_examples=200, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
    )
    @given(
        st.dictionaries(
            st.sampled_from(
                [
                    *("listen", "port", "sink", "vici", "plugins", "limits", "log", "connection"),
                    *("plugin", "limits.grace", "connection.gw.children", "connection.gw.doi"),
                ]
            ),
            VALUES,
            max_size=3,
        )
    )
    def test_any_values(self, values: dict[str, Any]) -> None:
        """Whatever stands there, it is settings or mistakes."""
        text = "".join(f"{key} = {self.spelled(value)}\n" for key, value in values.items())
        try:
            self.settings(text)
        except ConfigurationErrors as error:
            self.assertTrue(error.mistakes)

    def spelled(self, value: Any) -> str:
        """A value in TOML."""
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str):
            return f'"{value}"'
        if isinstance(value, list):
            return f"[{', '.join(map(self.spelled, value))}]"
        if isinstance(value, dict):
            return f"{{{', '.join(f'{k} = {self.spelled(v)}' for k, v in value.items())}}}"
        return str(value)

    @settings(
        max_examples=200, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
    )
    @given(st.text() | st.binary())
    def test_any_text(self, text: str | bytes) -> None:
        """No text raises anything else."""
        try:
            self.settings(text if isinstance(text, bytes) else text.encode("utf-8", "replace"))
        except ConfigurationErrors as error:
            self.assertTrue(error.mistakes)
