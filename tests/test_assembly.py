"""A node, put together: everything that keeps one going, and what cannot be put together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from isakmp.assembly import RIDERS, Assembly
from isakmp.connections import Connection, Limits
from isakmp.credentials.pre_shared_keys import PreSharedKeys, SharedSecret
from isakmp.doi.ipsec import IPsecDOI
from isakmp.errors import ConfigurationError, PeerError
from isakmp.events import Established, MessageReceived
from isakmp.ike.key_exchange import IKE
from isakmp.interfaces import ICredentialStore, IKeyExchangeEndpoint, INode
from isakmp.sinks.memory import MemorySink
from isakmp.testing import FixedEntropy, LossyNetwork, VirtualClock, settle
from isakmp.wire.payloads import VendorID
from tests import nodes
from tests.nodes import ALICE, BOB, SECRET


class Twin(IPsecDOI):
    """One that has IPsec's number."""

    name = "twin"


class Double(IKE):
    """One that has IKE's Transform-ID."""

    name = "double"


class Unfinished(IPsecDOI):
    """One that cannot say what a notification asks for."""

    name = "unfinished"
    number = 250
    notified = None  # type: ignore[assignment]


@implementer(ICredentialStore)
class Vault:
    """Another store of secrets than the one that comes with the package."""

    def __init__(self, secret: bytes) -> None:
        self._keys = PreSharedKeys((SharedSecret(secret, ()),))
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.asked.append(name)
        return getattr(self._keys, name)


class AssemblyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = VirtualClock()
        self.network = LossyNetwork(self.clock)
        self.road = nodes.connection(ALICE, BOB, "i.lab", "r.lab")

    def assemble(
        self,
        connections: Iterable[Connection] | None = None,
        credentials: ICredentialStore | Iterable[SharedSecret] = (SharedSecret(SECRET, ()),),
        address: str = ALICE,
        **words: Any,
    ) -> Assembly:
        """A node at an address of the network."""
        seed = FixedEntropy(address)
        made: list[Assembly] = []
        ports = self.network.attach(address, lambda d: made[0].endpoint.datagram_received(d))
        words.setdefault("sink", MemorySink(seed))
        found = Assembly(
            (self.road,) if connections is None else connections,
            credentials,
            clock=self.clock,
            ports=ports,
            entropy=seed,
            **words,
        )
        made.append(found)
        return found

    def assert_mistake(self, *words: str, **how: Any) -> None:
        """It is said when it is put together, in one line with these words."""
        error = self.assertRaises(ConfigurationError, self.assemble, address="192.0.2.9", **how)
        self.network = LossyNetwork(self.clock)
        self.assertEqual(len(str(error).splitlines()), 1)
        for word in words:
            self.assertIn(word, str(error))

    def other_end(self, **words: Any) -> Assembly:
        """Whom Alice talks to."""
        road = nodes.connection(BOB, ALICE, "r.lab", "i.lab")
        return self.assemble((road,), address=BOB, **words)

    def test_node(self) -> None:
        """It is a node whose collaborators are what they say, and its endpoint is ISAKMP's."""
        made = self.assemble()
        verifyObject(INode, made.node)
        verifyObject(IKeyExchangeEndpoint, made.endpoint)
        self.assertIs(made.node.exchanges, made.endpoint)
        self.assertIs(made.node.clock, self.clock)
        self.assertEqual(made.node.riders, RIDERS)
        self.assertEqual(made.node.policy.connection("lab"), self.road)

    def test_everything_enabled(self) -> None:
        """
        By default everything that comes with the package is enabled, by its number.

        Proves: RFC 2408 section 2.1 (row 2.1-1)
        """
        node = self.assemble().node
        self.assertEqual({n: doi.name for n, doi in node.dois.items()}, {0: "isakmp", 1: "ipsec"})
        self.assertEqual({n: kx.name for n, kx in node.key_exchanges.items()}, {1: "ike"})

    def test_own_plugins(self) -> None:
        """What I name instead is enabled, and nothing else."""
        doi, key_exchange = Twin(), Double()
        made = self.assemble((), dois=[doi], key_exchanges=[key_exchange])
        self.assertEqual(made.node.dois, {1: doi})
        self.assertEqual(made.node.key_exchanges, {1: key_exchange})

    def test_limits(self) -> None:
        """The bounds that I set are the node's."""
        limits = Limits(half_open=3, message_ids=5)
        made = self.assemble(limits=limits)
        self.assertEqual(made.node.limits, limits)

    def test_two_nodes_apart(self) -> None:
        """Two nodes in one process share nothing."""
        one, two = self.assemble(), self.other_end()
        for name in ("registry", "events", "policy", "credentials", "cookies", "endpoints"):
            self.assertIsNot(getattr(one.node, name), getattr(two.node, name))

    def test_agree(self) -> None:
        """Two of them agree a tunnel, tell each other who made them, and stop clean."""
        alice, bob = self.assemble(), self.other_end()
        heard: list[bytes] = []
        alice.node.events.subscribe(
            MessageReceived,
            lambda event: heard.extend(one.data for one in event.message.all(VendorID)),
        )
        road = self.road
        settle(self.clock, alice.endpoint.establish(road, road.child("net")))
        self.clock.run_until(self.clock.seconds() + 1)
        self.assertEqual(len(list(bob.node.registry)), 2)
        self.assertEqual(len(heard), 1)
        settle(self.clock, alice.stop())
        self.clock.run_until(self.clock.seconds() + 1)
        settle(self.clock, bob.stop())
        self.assertEqual([list(one.node.registry) for one in (alice, bob)], [[], []])
        self.network.flush()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_expires(self) -> None:
        """Nothing outlives its lifetime: somebody looks after that from the first moment."""
        alice, _ = self.assemble(), self.other_end()
        stood: list[object] = []
        alice.node.events.subscribe(Established, lambda event: stood.append(event.sa))
        settle(self.clock, alice.endpoint.establish(self.road, self.road.child("net")))
        self.clock.run_until(self.clock.seconds() + 1201)
        first = [sa for sa in stood[:2] if alice.node.registry.find(sa.key) is sa]  # type: ignore[attr-defined]
        self.assertEqual(len(first), 1)  # the child lives 1200 seconds, its ISAKMP SA 3000
        self.clock.run_until(self.clock.seconds() + 1800)
        self.assertEqual(
            [sa for sa in stood[:2] if alice.node.registry.find(sa.key) is sa],  # type: ignore[attr-defined]
            [],
        )

    def test_own_store(self) -> None:
        """Secrets may be kept elsewhere: then they are asked for there."""
        vault = Vault(SECRET)
        alice, _ = self.assemble(credentials=vault), self.other_end()
        self.assertIs(alice.node.credentials, vault)
        vault.asked.clear()
        settle(self.clock, alice.endpoint.establish(self.road, self.road.child("net")))
        self.assertEqual(vault.asked, ["shared_secret"])

    def test_stop(self) -> None:
        """To stop one that never did anything, and to stop it again, is nothing."""
        made = self.assemble()
        for _ in range(2):
            settle(self.clock, made.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_tells(self) -> None:
        """One that stops tells its peer, who has nothing more with it."""
        alice, bob = self.assemble(), self.other_end()
        settle(self.clock, alice.endpoint.establish(self.road, self.road.child("net")))
        self.clock.run_until(self.clock.seconds() + 1)
        self.assertEqual(len(list(bob.node.registry)), 2)
        settle(self.clock, alice.stop())
        self.clock.run_until(self.clock.seconds() + 1)
        self.assertEqual(list(bob.node.registry), [])

    # -- what cannot be ---------------------------------------------------------------------------

    def test_mistaken_connections(self) -> None:
        """Two connections of one name, and one of a domain that is not enabled, are mistakes."""
        self.assert_mistake("lab", connections=(self.road, self.road))
        self.assert_mistake("lab", "77", connections=(replace(self.road, doi=77),))
        self.assert_mistake("lab", "1", connections=(self.road,), dois=[])

    def test_mistaken_secrets(self) -> None:
        """A secret whose owner is nobody is a mistake."""
        self.assert_mistake("%nobody", credentials=(SharedSecret(b"x", ("%nobody",)),))

    def test_mistaken_plugins(self) -> None:
        """Two with one number or one name, or one that is not finished, are mistakes."""
        self.assert_mistake("ipsec", "twin", "1", connections=(), dois=[IPsecDOI(), Twin()])
        self.assert_mistake("ipsec", connections=(), dois=[IPsecDOI(), IPsecDOI()])
        self.assert_mistake("ike", "double", connections=(), key_exchanges=[IKE(), Double()])
        self.assert_mistake("unfinished", "notified", connections=(), dois=[Unfinished()])

    def test_mistaken_sink(self) -> None:
        """A sink that is none is a mistake; so is one that can do nothing of what is asked."""

        class Hole:
            name = "hole"
            protects = False

            def supports(self, *_: object) -> bool:
                return True

        self.assert_mistake("sink", sink=Hole())
        sink = MemorySink()
        self.patch(sink, "supports", lambda *_: False)
        self.assert_mistake("lab", "net", sink=sink)

    # -- configured anew --------------------------------------------------------------------------

    def test_configure(self) -> None:
        """New connections and secrets hold from now on; what stands is left alone."""
        alice, _ = self.assemble(), self.other_end()
        settle(self.clock, alice.endpoint.establish(self.road, self.road.child("net")))
        stood = list(alice.node.registry)
        other = replace(self.road, name="other")
        alice.configure((other,), (SharedSecret(b"another secret", ()),))
        self.assertEqual(list(alice.node.registry), stood)
        self.assertEqual(alice.node.policy.connection("other"), other)
        self.assertRaises(LookupError, alice.node.policy.connection, "lab")
        failed = alice.endpoint.establish(other, other.child("net"))
        error = self.assertRaises(PeerError, settle, self.clock, failed)
        self.assertIn("secrets", str(error))

    def test_configure_wrongly(self) -> None:
        """If it cannot be, nothing has changed: neither connections nor secrets."""
        alice, _ = self.assemble(), self.other_end()
        good, bad = SharedSecret(b"another secret", ()), SharedSecret(b"x", ("%nobody",))
        for connections, secrets in (
            ((self.road, self.road), (good,)),
            ((replace(self.road, name="other"),), (bad,)),
        ):
            self.assertRaises(ConfigurationError, alice.configure, connections, secrets)
            self.assertEqual(alice.node.policy.connection("lab"), self.road)
            self.assertRaises(LookupError, alice.node.policy.connection, "other")
        settle(self.clock, alice.endpoint.establish(self.road, self.road.child("net")))
