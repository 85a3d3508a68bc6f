"""A service that is configured anew while it runs."""

from __future__ import annotations

from dataclasses import replace

from isakmp.connections import StartAction
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.demo import addresses
from isakmp.errors import Cancelled, ConfigurationError
from isakmp.events import Established, MessageSent, Removed
from tests.loopback import bindable, unbound
from tests.test_service import SECRETS, PairTestCase, connection


class ConfigureTests(PairTestCase):
    """What is the same goes on, what is gone is torn down."""

    async def test_same(self) -> None:
        """What I leave as it is goes on undisturbed when I configure anew."""
        await self.up()
        standing = list(self.ours.node.registry)
        self.ours.configure((connection(self.one, self.two, "i.lab", "r.lab"),), SECRETS)
        self.assertEqual(list(self.ours.node.registry), standing)

    async def test_gone(self) -> None:
        """A connection that I take away is torn down, and the peer is told; so is a child."""
        road = connection(self.one, self.two, "i.lab", "r.lab")
        await self.up()
        for connections, left in (((replace(road, children=()),), 1), ((), 0)):
            told = self.happens(self.theirs, Removed)
            self.ours.configure(connections, SECRETS)
            self.assertEqual(len(list(self.ours.node.registry)), left)
            await told
            self.assertEqual(len(list(self.theirs.node.registry)), left)

    async def test_begun(self) -> None:
        """A child that is to stand by itself is begun when the daemon runs, and not before."""
        road = connection(self.one, self.two, "i.lab", "r.lab")
        children = tuple(replace(child, start=StartAction.START) for child in road.children)
        self.ours.configure((replace(road, children=children),), SECRETS)
        self.theirs.startService()
        installed = self.happens(self.theirs, Established, 2)
        self.assertEqual(len(self.ours.endpoint.running()), 0)
        self.ours.startService()
        await installed
        self.ours.configure((), SECRETS)
        again = self.happens(self.theirs, Established, 2)
        self.ours.configure((replace(road, children=children),), SECRETS)
        await again

    async def test_mistake(self) -> None:
        """If what I write cannot be, nothing changes."""
        await self.up()
        standing = list(self.ours.node.registry)
        road = connection(self.one, self.two, "i.lab", "r.lab")
        for connections, secrets in (
            ((road, road), SECRETS),
            ((), (SharedSecret(b"x", ("%nobody",)),)),
        ):
            self.assertRaises(ConfigurationError, self.ours.configure, connections, secrets)
            self.assertEqual(list(self.ours.node.registry), standing)
            self.assertEqual(self.ours.node.policy.connection("lab"), road)

    async def test_other_addresses(self) -> None:
        """It listens where I say from now on: what is new is opened, what is gone is closed."""
        other, _ = addresses()
        self.ours.startService()
        self.ours.configure((), SECRETS, listen=(self.one, other))
        self.assertFalse(bindable(self.one) or bindable(other))
        self.ours.configure((), SECRETS, listen=(other,))
        await self.turn()
        self.assertTrue(bindable(self.one))
        self.assertEqual(self.ours.bound, (other,))

    async def test_other_port(self) -> None:
        """A connection that gets another port: what stands goes on where it is, to its end."""
        other, _ = addresses()
        road = connection(self.one, self.two, "i.lab", "r.lab")
        await self.up()
        self.ours.configure((replace(road, local_port=other[1]),), SECRETS, listen=(other,))
        await self.turn()
        self.assertFalse(bindable(self.one))
        told = self.happens(self.theirs, Removed, 2)
        self.ours.endpoint.delete(list(self.ours.node.registry))
        await told
        self.assertEqual(list(self.theirs.node.registry), [])
        self.ours.configure((), SECRETS, listen=(other,))
        await self.turn()
        self.assertTrue(bindable(self.one))

    async def test_gone_meanwhile(self) -> None:
        """
        A connection that I take away while a peer is about to use it: what still comes of that is
        torn down at once, and the peer is told.
        """
        self.ours.startService()
        self.theirs.startService()
        sent: list[MessageSent] = []

        def note(event: MessageSent) -> None:
            sent.append(event)
            if len(sent) == 2:  # message 4: from now on it runs in earnest
                self.theirs.configure((), SECRETS)

        self.theirs.node.events.subscribe(MessageSent, note)
        road = self.ours.node.policy.connection("lab")
        told = self.happens(self.ours, Removed)
        attempt = self.ours.endpoint.establish(road, road.child("net"))
        await told
        self.failureResultOf(attempt, Cancelled)
        self.assertEqual(list(self.theirs.node.registry), [])
        self.assertEqual(list(self.ours.node.registry), [])

    @unbound
    async def test_address_taken(self) -> None:
        """If an address cannot be had, or the rest cannot be, it listens where it did."""
        free, _ = addresses()
        road = connection(self.one, self.two, "i.lab", "r.lab")
        self.ours.startService()
        for connections, listen in (((), (free, self.taken())), ((road, road), (free,))):
            self.assertRaises(
                ConfigurationError, self.ours.configure, connections, SECRETS, listen=listen
            )
            await self.turn()
            self.assertEqual(self.ours.bound, (self.one,))
            self.assertTrue(bindable(free))
            self.assertFalse(bindable(self.one))
