"""
Key exchanges with headers and ports of their own, beside ISAKMP: who hears what, who deletes what.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.defer import succeed
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides, implementer

from isakmp.assembly import Assembly
from isakmp.associations import Session
from isakmp.connections import Connection
from isakmp.errors import ConfigurationError
from isakmp.events import Removal
from isakmp.ike.key_exchange import ike
from isakmp.interfaces import (
    IKeyExchange,
    IManagementSA,
    INode,
)
from isakmp.marker import MARKER, MarkedPorts
from isakmp.node import delete, endpoint_of
from isakmp.paths import Datagram, Path
from isakmp.plugins import Plugins, check_ports
from isakmp.service import ISAKMPService
from isakmp.sinks.memory import MemorySink
from isakmp.testing import FixedEntropy, LossyNetwork, VirtualClock
from tests.endpoints import SilentEndpoint
from tests.samples import bundle


@implementer(IPlugin, IKeyExchange)
class Strange:
    """A key exchange of somebody else's: its version is its first octet."""

    def __init__(self, name: str = "strange", ports: tuple[int, ...] = (911,), version: int = 3):
        self.name, self.ports, self.version = name, ports, version
        self.endpoint = SilentEndpoint()

    def configured(self, settings: Mapping[str, object]) -> Strange:
        if set(settings) - {"port"}:
            raise ConfigurationError(f"{sorted(settings)[0]}: unknown; valid: port")
        ports = (cast(int, settings["port"]),) if settings else self.ports
        return Strange(self.name, ports, self.version)

    def speaks(self, datagram: Datagram) -> bool:
        here = datagram.path.local[1] in self.ports
        return here and datagram.octets[:1] == bytes((self.version,))

    def open(self, node: INode) -> SilentEndpoint:
        return self.endpoint


def assembly(*key_exchanges: Any) -> Assembly:
    """A node with these, and IKE."""
    clock = VirtualClock()
    network = LossyNetwork(clock)
    return Assembly(
        (),
        (),
        clock=clock,
        ports=network.attach("192.0.2.1", lambda _: None),
        sink=MemorySink(FixedEntropy(1)),
        key_exchanges=[ike, *key_exchanges],
    )


def datagram(port: int, octets: bytes) -> Datagram:
    """One that has arrived at a port of ours."""
    return Datagram(octets, Path(("192.0.2.1", port), ("192.0.2.2", 4000)))


class DispatchTests(SynchronousTestCase):
    def test_spoken(self) -> None:
        """A datagram is for whoever speaks it, by port and version; two can share a port."""
        one, other = Strange("one", (911,), 3), Strange("other", (911, 912), 4)
        made = assembly(one, other)
        for port, octets in ((911, b"\3a"), (911, b"\4b"), (912, b"\4c")):
            made.datagram_received(datagram(port, octets))
        self.assertEqual(one.endpoint.heard, [b"\3a"])
        self.assertEqual(other.endpoint.heard, [b"\4b", b"\4c"])

    def test_spoken_by_nobody(self) -> None:
        """What nobody speaks is for whoever has the port, to be refused in its words."""
        one = Strange("one", (911,))
        made = assembly(one)
        heard: list[bytes] = []
        self.patch(made.endpoint, "datagram_received", lambda d: heard.append(d.octets))
        made.datagram_received(datagram(911, b"\7?"))
        made.datagram_received(datagram(500, b"\3!"))
        self.assertEqual((one.endpoint.heard, heard), ([b"\7?"], [b"\3!"]))
        made.isakmp_ports = frozenset({911})
        made.datagram_received(datagram(911, b"\7?"))
        self.assertEqual(heard, [b"\3!", b"\7?"])

    def test_end(self) -> None:
        """A node that stops closes every one."""
        one = Strange()
        self.successResultOf(assembly(one).stop())
        self.assertTrue(one.endpoint.closed)

    def test_marker(self) -> None:
        """At ports of other headers there is no non-ESP marker."""
        sent: list[Datagram] = []
        heard: list[Datagram] = []
        ports = cast(Any, SimpleNamespace(send=sent.append))
        marked = MarkedPorts(ports, heard.append, {911})
        for port in (911, 4500):
            marked.send(datagram(port, b"\3a"))
        self.assertEqual([one.octets for one in sent], [b"\3a", MARKER + b"\3a"])
        marked.datagram_received(datagram(911, b"\3a"))
        marked.datagram_received(datagram(4500, b"\3a"))
        self.assertEqual([one.octets for one in heard], [b"\3a"])


class OwnerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.strange = Strange()
        self.assembly = assembly(self.strange)
        self.node = self.assembly.node

    def test_connection(self) -> None:
        """A connection is begun by the endpoint of its key exchange."""
        for name, endpoint in (
            ("strange", self.strange.endpoint),
            ("ike", self.assembly.endpoint),
            ("laboratory", self.assembly.endpoint),
        ):
            found = endpoint_of(self.node, Connection("c", (), key_exchange=name))
            self.assertIs(found, endpoint)

    def test_sas(self) -> None:
        """
        SAs are deleted by the endpoint of the key exchange that made them: a child by that of its
        management SA.
        """
        session = cast(
            IManagementSA, SimpleNamespace(key=Session("peer", 7), owner="strange")
        )
        self.patch(
            self.node.registry,
            "find",
            lambda key: self.found if key == Session("peer", 7) else None,
        )
        directlyProvides(session, IManagementSA)
        self.found = session
        child = replace(bundle(1), parent=Session("peer", 7))
        deleted: list[Any] = []
        self.patch(
            self.assembly.endpoint,
            "delete",
            lambda sas, why, force: deleted.extend(sas) or succeed(None),
        )
        other = bundle(2)
        self.successResultOf(delete(self.node, [session, child, other], Removal.EXPIRED))
        self.assertEqual(
            self.strange.endpoint.deleted,
            [(session, Removal.EXPIRED), (child, Removal.EXPIRED)],
        )
        self.assertEqual(deleted, [other])


class PluginTests(SynchronousTestCase):
    def enabled(
        self, *plugins: Any, settings: Mapping[str, Mapping[str, object]] | None = None
    ) -> tuple[IKeyExchange, ...]:
        names = [plugin.name for plugin in plugins]
        return Plugins(key_exchanges=plugins).enabled_headers(names, settings)

    def refused(self, *plugins: Any, **settings: Mapping[str, object]) -> str:
        names = [plugin.name for plugin in plugins]
        error = self.assertRaises(
            ConfigurationError,
            Plugins(key_exchanges=plugins).enabled_headers,
            names,
            settings or None,
        )
        return str(error)

    def test_names(self) -> None:
        """Both kinds are enabled by one list of names, and told apart."""
        strange = Strange()
        plugins = Plugins(key_exchanges=(ike, strange))
        names = ["ike", "strange"]
        self.assertEqual(plugins.enabled_headers(names), (strange,))
        self.assertEqual(list(plugins.enabled_key_exchanges(names).values()), [ike])
        self.assertEqual(plugins.enabled_headers(["ike"]), ())
        text = str(self.assertRaises(ConfigurationError, plugins.enabled_headers, ["other"]))
        self.assertIn("there are: ike, strange", text)

    def test_same_name(self) -> None:
        """Two of one name, whatever they are: both are named."""
        for other in (Strange("ike"), Strange("strange")):
            plugins = Plugins(key_exchanges=(ike, Strange(), other))
            for enabled in (plugins.enabled_headers, plugins.enabled_key_exchanges):
                error = self.assertRaises(ConfigurationError, enabled, [other.name])
                self.assertIn(f"more than one key exchange is named {other.name!r}", str(error))

    def test_same_port_and_version(self) -> None:
        """Two with one port and major version: a clear error that names both."""
        text = self.refused(Strange("one"), Strange("other", (910, 911)))
        kind = "tests.test_headers.Strange"
        self.assertIn(f"one ({kind}) and other ({kind})", text)
        self.assertIn("have the same port and major version, 911 and 3", text)
        self.enabled(Strange("one"), Strange("other", (911,), 4))
        self.enabled(Strange("one"), Strange("other", (912,), 3))

    def test_configured(self) -> None:
        """Settings come first: with them two can be apart, or come together."""
        one, other = Strange("one"), Strange("other")
        found = self.enabled(one, other, settings={"other": {"port": 912}})
        self.assertEqual([kx.ports for kx in found], [(911,), (912,)])
        text = self.refused(one, other, one={"port": 1}, other={"port": 1})
        self.assertIn("1 and 3", text)
        self.assertIn("[plugin.one] prot: unknown", self.refused(one, one={"prot": 1}))

    def test_own_name(self) -> None:
        """Nobody takes the place of the framework's own."""
        self.assertIn("framework's own", self.refused(Strange("isakmp")))

    def test_shared_with_isakmp(self) -> None:
        """A port of ISAKMP's can be shared with another version, and with the same not."""
        check_ports([Strange(version=2)], {911})
        check_ports([Strange(version=1)], {500})
        error = self.assertRaises(
            ConfigurationError, check_ports, [Strange(version=1)], {911}
        )
        self.assertIn("and ISAKMP have the same port and major version, 911 and 1", str(error))
        self.assertRaises(
            ConfigurationError,
            ISAKMPService,
            (),
            (),
            listen=[("127.0.0.1", 911)],
            sink=MemorySink(),
            reactor=VirtualClock(),
            key_exchanges=[ike, Strange(version=1)],
        )

    def test_not_what_it_says(self) -> None:
        """One that lacks something is refused before anything starts."""
        strange = Strange()
        strange.speaks = None  # type: ignore[assignment,method-assign]
        self.assertIn("cannot be used", self.refused(strange))
