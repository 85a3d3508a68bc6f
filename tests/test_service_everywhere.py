"""A node on all addresses of its host: every answer leaves from the address that was asked."""

from __future__ import annotations

from dataclasses import replace
from unittest import skipUnless

from twisted.trial.unittest import SkipTest

from isakmp.demo import addresses
from isakmp.errors import ConfigurationError
from isakmp.events import Established
from isakmp.packet_info import AVAILABLE
from isakmp.paths import Address
from isakmp.service import ISAKMPService
from tests.test_service import ServiceTestCase, bundles, connection


@skipUnless(AVAILABLE, "known to work on Linux only")
class EverywhereTests(ServiceTestCase):
    def listening(
        self, every: str, host: str, ours: str, theirs: str, remote: Address
    ) -> ISAKMPService:
        """A service on all addresses, of which a peer will see one."""
        _, port = addresses()[0]
        road = connection((host, port), remote, ours, theirs)
        made = self.service(((every, port),), (replace(road, local=()),))
        try:
            made.startService()
        except ConfigurationError as error:
            raise SkipTest(str(error)) from None
        return made

    async def agree(self, every: str, asked: str, asking: str) -> None:
        """Who is asked on one address answers from there, and has its SAs there."""
        here: Address = asking, addresses()[0][1]
        theirs = self.listening(every, asked, "r.lab", "i.lab", here)
        there = asked, theirs.bound[0][1]
        his = theirs.node.policy.connection("lab").child("net")
        child = replace(his, local=his.remote, remote=his.local)
        road = replace(connection(here, there, "i.lab", "r.lab"), children=(child,))
        ours = self.service((here,), (road,))
        ours.startService()
        both = self.happens(theirs, Established, 2)
        await ours.endpoint.establish(road, road.child("net"))
        await both
        (sa,) = theirs.node.registry.by_connection("lab")
        self.assertEqual((sa.path.local, sa.path.remote), (there, here))
        (sa,) = ours.node.registry.by_connection("lab")
        self.assertEqual((sa.path.local, sa.path.remote), (here, there))
        self.assertEqual(bundles(theirs)[0].inbound[0].key.destination, asked)
        self.assertEqual(bundles(ours)[0].outbound[0].key.destination, asked)

    async def test_second_address(self) -> None:
        """127.0.0.7 is asked, and 127.0.0.7 answers, though 127.0.0.1 is nearer."""
        await self.agree("0.0.0.0", "127.0.0.7", "127.0.0.1")

    async def test_ipv6(self) -> None:
        """Over IPv6 as over IPv4."""
        await self.agree("::", "::1", "::1")

    async def test_beginning(self) -> None:
        """Who begins does so from the address that leads to the peer, or the one configured."""
        for local in ((), ("127.0.0.9",)):
            here: Address = "127.0.0.2", addresses()[0][1]
            back = (local or ("127.0.0.1",))[0]
            ours = self.listening("0.0.0.0", back, "i.lab", "r.lab", here)
            road = replace(ours.node.policy.connection("lab"), local=local)
            his = connection(here, (back, ours.bound[0][1]), "r.lab", "i.lab")
            theirs = self.service((here,), (his,))
            theirs.startService()
            await ours.endpoint.establish(road, road.child("net"))
            (sa,) = ours.node.registry.by_connection("lab")
            self.assertEqual(sa.path.local[0], back)
