"""
A node: its collaborators, and the proof that each is what it says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from isakmp.connections import Limits
from isakmp.credentials.pre_shared_keys import PreSharedKeys
from isakmp.doi.ipsec import IPsecDOI
from isakmp.errors import ConfigurationError
from isakmp.exchange.cookies import Cookies
from isakmp.ike.key_exchange import IKE
from isakmp.interfaces import (
    IExchange,
    IManagementSA,
    INode,
    IPorts,
    IRider,
)
from isakmp.node import Node, verify
from isakmp.parts import Arrow
from isakmp.paths import Datagram
from isakmp.policy import ConfiguredPolicy
from isakmp.registry import SARegistry
from isakmp.sinks.memory import MemorySink
from isakmp.stores.memory import MemoryStore
from isakmp.stream import EventStream
from isakmp.testing import FixedEntropy
from isakmp.wire.message import Message
from isakmp.wire.payloads import Payload
from tests.endpoints import SilentEndpoint, SilentExchanges


@implementer(IPorts)
class Ports:
    def source(self, remote: str, port: int) -> tuple[str, int]:
        raise NotImplementedError

    def send(self, datagram: Datagram) -> None:
        pass


@implementer(IRider)
class Rider:
    def outgoing(self, exchange: IExchange, arrow: Arrow) -> Sequence[Payload]:
        return ()

    def incoming(self, exchange: IExchange, arrow: Arrow, message: Message) -> None:
        pass

    def established(self, exchange: IExchange, sa: IManagementSA) -> None:
        pass


def node(**instead: Any) -> Node:
    """A node of real collaborators but for the sockets and the endpoint."""
    clock, entropy, events, sink = Clock(), FixedEntropy(1), EventStream(), MemorySink()
    collaborators: dict[str, Any] = {
        "clock": clock,
        "entropy": entropy,
        "policy": ConfiguredPolicy((), sink.supports, {}),
        "credentials": PreSharedKeys(()),
        "registry": SARegistry(MemoryStore(), clock, events, Limits()),
        "sink": sink,
        "events": events,
        "cookies": Cookies(entropy, clock),
        "ports": Ports(),
        "dois": {1: IPsecDOI()},
        "key_exchanges": {1: IKE()},
        "riders": (Rider,),
        "endpoints": {"isakmp": SilentExchanges()},
    }
    return Node(**(collaborators | instead))


class NodeTests(SynchronousTestCase):
    def test_interface(self) -> None:
        """It is what everything expects of a node."""
        verifyObject(INode, node())

    def test_frozen(self) -> None:
        """Nobody exchanges a collaborator on the way."""
        made = node()
        for name in ("policy", "endpoints", "exchanges"):
            with self.assertRaises((dataclasses.FrozenInstanceError, TypeError)):
                setattr(made, name, None)

    def test_endpoints(self) -> None:
        """
        An endpoint is opened for a node, so it comes later; before, there are no conversations.
        """
        made = node(endpoints={})
        self.assertRaises(LookupError, lambda: made.exchanges)
        endpoint = made.endpoints["isakmp"] = SilentExchanges()
        self.assertIs(made.exchanges, endpoint)
        verify(made)

    def test_two_nodes(self) -> None:
        """Two nodes in one process do not share what they are given later."""
        clock = Clock()
        plain = {
            field.name: getattr(node(), field.name)
            for field in dataclasses.fields(Node)
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        }
        one, other = Node(**plain), Node(**plain)
        one.endpoints["isakmp"] = SilentExchanges()
        self.assertEqual(other.endpoints, {})
        self.assertEqual(other.limits, Limits())
        self.assertNotEqual(one, other)
        self.assertEqual(clock.getDelayedCalls(), [])


class VerifyTests(SynchronousTestCase):
    def test_verified(self) -> None:
        """A node of good collaborators is accepted."""
        verify(node())

    def test_not_provided(self) -> None:
        """Each collaborator that is not what it should be is named, with what it lacks."""
        for name in (
            "clock",
            "policy",
            "credentials",
            "registry",
            "sink",
            "events",
            "cookies",
            "ports",
        ):
            for hostile in (object(), None):
                error = self.assertRaises(ConfigurationError, verify, node(**{name: hostile}))
                self.assertIn(name, str(error))
                self.assertNotIn("\n", str(error))

    def test_plugins(self) -> None:
        """So is a plug-in, a rider or an endpoint that is not what it should be."""
        for name, hostile, word in (
            ("dois", {1: object()}, "domain of interpretation 1"),
            ("key_exchanges", {1: object()}, "key exchange of Transform-ID 1"),
            ("riders", (Rider, object), "rider"),
            ("endpoints", {"isakmp": SilentExchanges(), "kink": object()}, "endpoint kink"),
            ("endpoints", {"isakmp": SilentEndpoint()}, "endpoint isakmp"),
            ("endpoints", {}, "endpoint isakmp"),
        ):
            error = self.assertRaises(ConfigurationError, verify, node(**{name: hostile}))
            self.assertIn(word, str(error))

    def test_missing_method(self) -> None:
        """Saying that one is a sink is not enough: the missing method is named."""

        class Half(MemorySink):
            install = None  # type: ignore[assignment]

        error = self.assertRaises(ConfigurationError, verify, node(sink=Half()))
        self.assertIn("install", str(error))

    def test_wrong_signature(self) -> None:
        """Nor is a method of that name that takes something else."""

        class Other(MemorySink):
            def remove(self) -> Deferred[None]:  # type: ignore[override]
                return succeed(None)

        error = self.assertRaises(ConfigurationError, verify, node(sink=Other()))
        self.assertIn("remove", str(error))

    def test_negotiating(self) -> None:
        """A domain that says it negotiates has to be able to."""

        class Mute(IPsecDOI):
            select = None  # type: ignore[assignment]

        error = self.assertRaises(ConfigurationError, verify, node(dois={1: Mute()}))
        self.assertIn("select", str(error))

    def test_wrong_numbers(self) -> None:
        """What is enabled under a number that is not its own would answer for another."""
        error = self.assertRaises(ConfigurationError, verify, node(dois={2: IPsecDOI()}))
        self.assertIn("2", str(error))
        error = self.assertRaises(ConfigurationError, verify, node(key_exchanges={250: IKE()}))
        self.assertIn("250", str(error))
