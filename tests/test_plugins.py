"""
Finding plug-ins, and switching them on.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from twisted.logger import formatEvent
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from isakmp.doi.ipsec import IPsecDOI
from isakmp.errors import ConfigurationError
from isakmp.ike.key_exchange import IKE
from isakmp.ike.quick_mode import QuickMode
from isakmp.interfaces import IConfigurable, ICredentialStore, IRider, IRiderType
from isakmp.plugins import (
    Plugins,
    SinkPlugin,
    builtin,
    check_exchange_types,
    configure,
    installed,
)
from isakmp.sinks.log import LogSink
from isakmp.sinks.memory import MemorySink
from isakmp.testing import FixedEntropy
from tests.samples import logged

CHECKOUT = Path(__file__).resolve().parent.parent


class Laboratory(IPsecDOI):
    name = "laboratory"
    number = 250


class Impostor(IPsecDOI):
    """One that has IPsec's number."""

    name = "impostor"


class Nameless(IPsecDOI):
    name = ""
    number = 253


class Other(IKE):
    """A key exchange with the Transform-ID of IKE."""

    name = "other"


class EnableTests(SynchronousTestCase):
    def test_by_name(self) -> None:
        """What the configuration names is on, by its number, and nothing else is."""
        available = builtin(FixedEntropy(1)) + Plugins(dois=(Laboratory(),))
        dois = available.enabled_dois(["ipsec", "laboratory"])
        self.assertEqual({n: type(doi) for n, doi in dois.items()}, {1: IPsecDOI, 250: Laboratory})
        self.assertEqual(available.enabled_dois([]), {})
        self.assertEqual(available.enabled_dois(["ipsec", "ipsec"]).keys(), {1})
        exchanges = available.enabled_key_exchanges(["ike"])
        self.assertEqual({n: type(kx) for n, kx in exchanges.items()}, {1: IKE})

    def test_sinks(self) -> None:
        """A sink is made when it is switched on: one that is not used does not say a word."""
        said = logged(self)
        available = builtin(FixedEntropy(1))
        self.assertIsInstance(available.enabled_sink("memory"), MemorySink)
        self.assertEqual(said, [])
        self.assertIsInstance(available.enabled_sink("log"), LogSink)
        self.assertIn("protects no traffic", "".join(formatEvent(event) for event in said))

    def test_unknown(self) -> None:
        """A name nobody has is a mistake, and I read which names there are."""
        available = builtin()
        nameless = available + Plugins((Nameless(),))
        for enable, name, known in (
            (available.enabled_dois, "ipsek", "ipsec"),
            (available.enabled_key_exchanges, "ikev3", "ike"),
            (lambda names: available.enabled_sink(names[0]), "xfrn", "log, memory"),
            (nameless.enabled_dois, "", "ipsec"),
        ):
            error = self.assertRaises(ConfigurationError, enable, [name])
            self.assertIn(repr(name), str(error))
            self.assertIn(known, str(error))
        error = self.assertRaises(ConfigurationError, Plugins().enabled_dois, ["ipsec"])
        self.assertIn("none", str(error))

    def test_one_number(self) -> None:
        """
        Two domains with one number, or key exchanges with one Transform-ID, cannot be on together,
        and I read which two; one of them alone can.
        """
        available = builtin() + Plugins((Impostor(),), (Other(),))
        error = self.assertRaises(ConfigurationError, available.enabled_dois, ["ipsec", "impostor"])
        for word in ("ipsec", "isakmp.doi.ipsec", "impostor", __name__):
            self.assertIn(word, str(error))
        error = self.assertRaises(
            ConfigurationError, available.enabled_key_exchanges, ["other", "ike"]
        )
        for word in ("ike", "other", __name__, "Transform-ID"):
            self.assertIn(word, str(error))
        self.assertEqual(available.enabled_dois(["impostor"])[1].name, "impostor")
        self.assertEqual(available.enabled_key_exchanges(["other"])[1].name, "other")

    def test_one_name(self) -> None:
        """Two of one name cannot be told apart: neither is on, and I read where they are from."""

        class Double(IPsecDOI):
            number = 251

        sink = SinkPlugin("memory", LogSink, LogSink)
        available = builtin() + Plugins((Double(),), (IKE(),), (sink,))
        error = self.assertRaises(ConfigurationError, available.enabled_dois, ["ipsec"])
        self.assertIn("isakmp.doi.ipsec.IPsecDOI", str(error))
        self.assertIn("Double", str(error))
        self.assertRaises(ConfigurationError, available.enabled_key_exchanges, ["ike"])
        error = self.assertRaises(ConfigurationError, available.enabled_sink, "memory")
        self.assertIn("LogSink", str(error))
        self.assertIn("MemorySink", str(error))

    def test_verified(self) -> None:
        """What is switched on has to be what it says; what is not may be broken."""

        class Broken:
            name = "broken"
            number = 252
            transform_id = 252

        available = builtin() + Plugins(
            (Broken(),),  # type: ignore[arg-type]
            (Broken(),),  # type: ignore[arg-type]
            (SinkPlugin("broken", Broken, Broken),),  # type: ignore[arg-type]
        )
        self.assertEqual(list(available.enabled_dois(["ipsec"])), [1])
        for enable in (
            lambda: available.enabled_dois(["broken"]),
            lambda: available.enabled_key_exchanges(["broken"]),
            lambda: available.enabled_sink("broken"),
        ):
            error = self.assertRaises(ConfigurationError, enable)
            self.assertIn("broken", str(error))
            self.assertIn("Broken", str(error))


PLUGIN = """
    from zope.interface import implementer
    from twisted.plugin import IPlugin
    from isakmp.doi.ipsec import IPsecDOI
    from isakmp.ike.key_exchange import IKE
    from isakmp.interfaces import ICredentialStore, IRiderType
    from isakmp.sinks.memory import MemorySink

    class Laboratory(IPsecDOI):
        name, number = "laboratory", 250

    class Static(IKE):
        name, transform_id = "static", 250

    @implementer(IPlugin)
    class Bucket(MemorySink):
        name = "bucket"

    @implementer(IPlugin, ICredentialStore)
    class Vault:
        name = "vault"

    @implementer(IPlugin, IRiderType)
    class Bell:
        name = "bell"

    doi, key_exchange, sink, nothing = Laboratory(), Static(), Bucket(), object()
    vault, bell = Vault(), Bell()
"""


class FindTests(SynchronousTestCase):
    def package(self, **modules: str) -> Any:
        """A package of plug-ins, as another distribution would bring it."""
        root = Path(self.mktemp())
        name = f"plugins_{abs(hash(str(root.resolve())))}"
        directory = root / name
        directory.mkdir(parents=True)
        (directory / "__init__.py").write_text("")
        for module, source in modules.items():
            (directory / f"{module}.py").write_text(textwrap.dedent(source))
        self.patch(sys, "path", [str(root.resolve()), *sys.path])
        importlib.invalidate_caches()
        self.addCleanup(
            lambda: [sys.modules.pop(m) for m in tuple(sys.modules) if m.startswith(name)]
        )
        return importlib.import_module(name)

    def test_installed(self) -> None:
        """What another package brings is found, and is on as soon as the configuration names it."""
        found = installed(self.package(lab=PLUGIN))
        self.assertEqual([doi.name for doi in found.dois], ["laboratory"])
        self.assertEqual([kx.name for kx in found.key_exchanges], ["static"])
        self.assertEqual([sink.name for sink in found.sinks], ["bucket"])
        self.assertEqual([rider.name for rider in found.riders], ["bell"])
        self.assertEqual(len(found.credentials), 1)
        self.assertEqual(found.broken, ())
        available = builtin() + found
        self.assertEqual(set(available.enabled_dois(["laboratory", "ipsec"])), {1, 250})
        self.assertEqual(set(available.enabled_key_exchanges(["ike", "static"])), {1, 250})
        self.assertEqual(available.enabled_sink("bucket").name, "bucket")

    def test_header(self) -> None:
        """A key exchange with a header of its own is found and named like the others."""
        source = """
            from tests.test_headers import Strange
            strange = Strange()
        """
        available = builtin() + installed(self.package(lab=source))
        (found,) = available.enabled_headers(["ike", "strange"], {"strange": {"port": 4000}})
        self.assertEqual((found.name, found.ports), ("strange", (4000,)))
        self.assertEqual(set(available.enabled_key_exchanges(["ike", "strange"])), {1})

    def test_two_sinks(self) -> None:
        """Of two sinks that were found each name gives its own."""
        second = PLUGIN.replace('"bucket"', '"barrel"')
        found = installed(self.package(lab=PLUGIN, more=second))
        for name in ("bucket", "barrel"):
            self.assertEqual(found.enabled_sink(name).name, name)

    def test_broken(self) -> None:
        """A module that cannot be imported is logged, and the others are found all the same."""
        found = installed(self.package(broken="raise OSError('broken')", lab=PLUGIN))
        self.assertEqual([doi.name for doi in found.dois], ["laboratory"])
        self.assertGreaterEqual(len(self.flushLoggedErrors(OSError)), 1)
        (line,) = found.broken
        self.assertRegex(line, r"plug-in module \S+\.broken cannot be imported: OSError: broken")
        error = self.assertRaises(ConfigurationError, found.enabled_dois, ["mine"])
        self.assertIn("there are: laboratory", str(error))
        self.assertIn(line, str(error))

    def test_broken_since(self) -> None:
        """The same of one that could be imported when Twisted looked at it last."""
        package = self.package(lab=PLUGIN)
        self.assertEqual(installed(package).broken, ())
        module = Path(package.__path__[0], "lab.py")
        before = module.stat()
        module.write_text("raise ImportError('its library is gone')")
        os.utime(module, ns=(before.st_atime_ns, before.st_mtime_ns - 10**10))
        sys.modules.pop(f"{package.__name__}.lab")
        delattr(package, "lab")
        shutil.rmtree(module.with_name("__pycache__"), ignore_errors=True)
        found = installed(package)
        self.assertEqual(found.dois, ())
        (line,) = found.broken
        self.assertIn("ImportError: its library is gone", line)
        self.assertGreaterEqual(len(self.flushLoggedErrors(ImportError)), 1)

    def test_nothing(self) -> None:
        """Where there are none, none are found."""
        self.assertEqual(installed(self.package()), Plugins())

    def test_light(self) -> None:
        """Every twistd on this host reads our plug-in module: it draws in nothing else."""
        program = (
            "import sys\n"
            "from twisted.application.service import IServiceMaker\n"
            "from twisted.plugin import getPlugins\n"
            "assert 'isakmp' in [maker.tapname for maker in getPlugins(IServiceMaker)]\n"
            "print([m for m in sys.modules if m.startswith('isakmp.') or m == 'cryptography'])\n"
        )
        ended = subprocess.run(
            [sys.executable, "-c", program],
            cwd=CHECKOUT,
            env={},  # trial's workers hand on the path of other plug-ins
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(ended.stdout.strip(), "[]", ended.stderr)

    def test_only_caller(self) -> None:
        """Nothing else in the package looks for plug-ins."""
        callers = [
            path.relative_to(CHECKOUT).as_posix()
            for path in sorted((CHECKOUT / "isakmp").rglob("*.py"))
            if "getPlugins" in path.read_text()
        ]
        self.assertEqual(callers, ["isakmp/plugins/available.py"])


class Kind(QuickMode):
    """An exchange type of somebody's."""

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name


class ExchangeTypeTests(SynchronousTestCase):
    """In each domain of interpretation a number stands for one exchange type."""

    def domain(self, *types: Any) -> IPsecDOI:
        made = Laboratory()
        made.exchange_types = types
        return made

    def key_exchange(self, *types: Any) -> IKE:
        made = IKE()
        made.exchange_types = types
        return made

    def refused(self, doi: Any, key_exchange: Any) -> str:
        error = self.assertRaises(
            ConfigurationError, check_exchange_types, [doi], [key_exchange]
        )
        self.assertEqual(len(str(error).splitlines()), 1)
        return str(error)

    def test_hidden(self) -> None:
        """A domain's own types hide those of a key exchange that have a domain's numbers."""
        check_exchange_types([IPsecDOI(), self.domain(Kind(32, "Link"))], [IKE()])

    def test_both(self) -> None:
        """Outside of these numbers each stands for one, and I read for which two, and whose."""
        for number in (6, 31, 240):
            said = self.refused(
                self.domain(Kind(number, "Link")), self.key_exchange(Kind(number, "Ring"))
            )
            for word in ("Link of laboratory", "Ring of ike", __name__, str(number)):
                self.assertIn(word, said)

    def test_one(self) -> None:
        """One plug-in with two of one number, one of the framework's, or what is none at all."""
        for types, word in (
            ((Kind(32, "Link"), Kind(32, "Ring")), "Link and Ring have one number, 32"),
            ((Kind(5, "Link"),), "Link has the number of"),
            ((Kind(0, "Link"),), "0 is no number"),
            ((Kind(256, "Link"),), "256 is no number"),
            ((object(),), "IExchangeType"),
        ):
            self.assertIn(word, self.refused(self.domain(*types), IKE()))
            self.assertIn(word, self.refused(IPsecDOI(), self.key_exchange(*types)))

    def test_two_key_exchanges(self) -> None:
        """Two key exchanges may have the same: the SA says whose is meant."""
        other = Other()
        other.transform_id = 250
        check_exchange_types([IPsecDOI()], [IKE(), other])


@implementer(IPlugin, IRider)
class Riding:
    """A rider that says nothing."""

    def outgoing(self, *_: Any) -> tuple[()]:
        return ()

    def incoming(self, *_: Any) -> None:
        pass

    def established(self, *_: Any) -> None:
        pass


@implementer(IPlugin, IRiderType)
class Rides:
    """What makes riders."""

    def __init__(self, name: str, make: Any) -> None:
        self.name = name
        self.rider = lambda: make()


@implementer(IPlugin, ICredentialStore)
class Vault:
    name = "vault"

    def shared_secret(self, ours: Any, theirs: Any, path: Any) -> Any:
        raise LookupError


class RiderTests(SynchronousTestCase):
    def test_enabled(self) -> None:
        """Riders take part in the order in which they are named."""
        one, two = Rides("one", Riding), Rides("two", Riding)
        available = Plugins(riders=(one, two))
        self.assertEqual(available.enabled_riders(["two", "one"]), [two, one])
        self.assertEqual(available.enabled_riders([]), [])

    def test_broken(self) -> None:
        """One that makes none is a line, whatever it raises."""

        def raising() -> None:
            raise OSError("no\nway")

        for make, word in ((object, "IRider"), (raising, "OSError: no way")):
            available = Plugins(riders=(Rides("one", make),))
            error = self.assertRaises(ConfigurationError, available.enabled_riders, ["one"])
            self.assertIn(word, str(error))
            self.assertIn("one (", str(error))
            self.assertEqual(len(str(error).splitlines()), 1)


class CredentialTests(SynchronousTestCase):
    def test_enabled(self) -> None:
        """A store of somebody's, by its name; one that is none is a line."""
        vault = Vault()
        self.assertIs(Plugins(credentials=(vault,)).enabled_credentials("vault"), vault)
        broken = Rides("broken", Riding)
        available = Plugins(credentials=(broken,))  # type: ignore[arg-type]
        error = self.assertRaises(ConfigurationError, available.enabled_credentials, "broken")
        self.assertIn("ICredentialStore", str(error))
        error = self.assertRaises(ConfigurationError, Plugins().enabled_credentials, "vault")
        self.assertIn("no credential store is named 'vault'", str(error))


@implementer(IConfigurable)
class Tuned(Laboratory):
    """A domain with settings."""

    def configure(self, settings: Any) -> None:
        for key in settings:
            if key != "room":
                raise ConfigurationError(f"there is no key {key};\nvalid: room")
        self.room = settings.get("room", 1)


class SettingsTests(SynchronousTestCase):
    """Each plug-in looks at its own settings."""

    def test_handed_over(self) -> None:
        """It gets those with its name, or none."""
        tuned = Tuned()
        configure([tuned], {"laboratory": {"room": 3}, "ike": {}})
        self.assertEqual(tuned.room, 3)
        configure([tuned], {})
        self.assertEqual(tuned.room, 1)

    def test_shared_name(self) -> None:
        """If a domain and a sink have one name, whichever has settings gets them."""
        tuned = Tuned()
        configure([SinkPlugin("laboratory", LogSink, LogSink), tuned], {"laboratory": {"room": 2}})
        self.assertEqual(tuned.room, 2)

    def test_unknown(self) -> None:
        """A key that it does not know is a line, with its name and where it is from."""
        error = self.assertRaises(
            ConfigurationError, configure, [Tuned()], {"laboratory": {"rom": 3}}
        )
        for word in ("laboratory", f"{__name__}.Tuned", "there is no key rom; valid: room"):
            self.assertIn(word, str(error))

    def test_none(self) -> None:
        """Settings for one that has none are a mistake."""
        error = self.assertRaises(
            ConfigurationError, configure, [Laboratory()], {"laboratory": {"x": 1}}
        )
        self.assertIn("no settings of its own", str(error))
        configure([Laboratory()], {"laboratory": {}})


class NumberTests(SynchronousTestCase):
    def test_impossible(self) -> None:
        """A number that cannot stand in a message is a line, not a traceback."""
        for number in (-1, 2**32, "1", None, [1]):
            doi = Laboratory()
            doi.number = number  # type: ignore[assignment]
            available = Plugins(dois=(doi,))
            error = self.assertRaises(ConfigurationError, available.enabled_dois, ["laboratory"])
            self.assertIn(repr(number), str(error))
        other = Other()
        other.transform_id = 256
        available = Plugins(key_exchanges=(other,))
        self.assertRaises(ConfigurationError, available.enabled_key_exchanges, ["other"])
