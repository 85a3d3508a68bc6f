"""
Routes, rules and addresses as netlink says them, and which routes a child needs.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Action
from isakmp.handling import Handling
from isakmp.identity import TrafficSelector
from isakmp.sinks.xfrm.needs import Need, needs_of
from isakmp.sinks.xfrm.netlink import NetlinkError, attribute, attributes
from isakmp.sinks.xfrm.policies import Between
from isakmp.sinks.xfrm.refusals import unrouted
from isakmp.sinks.xfrm.routing import (
    MARK,
    PROTOCOL,
    Own,
    Route,
    Rule,
    Told,
    Way,
    every_route,
    protocol_of,
    question,
)
from isakmp.sinks.xfrm.structures import ESP, TRANSPORT, TUNNEL
from tests.samples import PEER, US, policy

NET, NET6 = ipaddress.ip_network("10.82.0.0/24"), ipaddress.ip_network("2001:db8:2::/48")

v4 = st.integers(0, 2**32 - 1).map(lambda n: str(ipaddress.IPv4Address(n)))
v6 = st.integers(2**64, 2**128 - 1).map(lambda n: str(ipaddress.IPv6Address(n)))


@st.composite
def routes(draw: st.DrawFn) -> Route:
    """Of both families."""
    addresses = draw(st.sampled_from([v4, v6]))
    network = ipaddress.ip_network((draw(addresses), draw(st.integers(0, 32))), strict=False)
    table = draw(st.integers(1, 2**32 - 1))
    if draw(st.booleans()):
        return Route(network, table, Way.THROW)
    several = st.one_of(st.just(""), addresses)
    index = draw(st.integers(1, 2**31 - 1))
    return Route(network, table, Way.UNICAST, index, draw(several), draw(several))


class RouteTests(SynchronousTestCase):
    def test_octets(self) -> None:
        """The fixed part says family, length, who has made it, scope and type; then attributes."""
        made = Route(NET, 220, Way.UNICAST, 7, PEER, US).encode()
        self.assertEqual(
            struct.unpack_from("=8BI", made), (socket.AF_INET, 24, 0, 0, 0, PROTOCOL, 0, 1, 0)
        )
        self.assertEqual(
            attributes(made[12:]),
            {
                1: socket.inet_aton("10.82.0.0"),
                15: struct.pack("=I", 220),
                4: struct.pack("=I", 7),
                5: socket.inet_aton(PEER),
                7: socket.inet_aton(US),
            },
        )
        direct = Route(NET, 220, Way.UNICAST, 7).encode()
        self.assertEqual(direct[6], 253)  # what is on the link

    @given(routes())
    def test_round_trip(self, route: Route) -> None:
        """What is said of a route is what is understood, in any table."""
        told = Told.decode(route.encode())
        self.assertEqual(told, Told(route, PROTOCOL))
        self.assertEqual(protocol_of(route.encode()), PROTOCOL)

    @given(st.binary(max_size=80))
    def test_garbage(self, octets: bytes) -> None:
        """Anything else is understood or refused; nothing else is raised."""
        for decode in (Told.decode, Rule.decode, Own.decode):
            with contextlib.suppress(NetlinkError):
                decode(octets)
        protocol_of(octets)

    def test_refused(self) -> None:
        """No route of IP, an address of three octets, too long a prefix."""
        route = Route(NET, 220, Way.UNICAST, 7).encode()
        for octets in (
            route[:11],
            bytes([7]) + route[1:],
            route[:1] + b"\xff" + route[2:],
            route[:12] + attribute(1, b"abc"),
            route[:12] + attribute(5, b"abc"),
            route + b"\x08",
        ):
            self.assertRaises(NetlinkError, Told.decode, octets)

    def test_question(self) -> None:
        """Where the peer is, is asked with the mark of sockets that no route of ours is for."""
        asked = question(PEER, US)
        self.assertEqual(struct.unpack_from("=8BI", asked)[:3], (socket.AF_INET, 32, 32))
        self.assertEqual(attributes(asked[12:])[16], struct.pack("=I", MARK))
        self.assertEqual(attributes(asked[12:])[2], socket.inet_aton(US))
        self.assertEqual(question("2001:db8::1")[1:3], b"\x80\0")

    def test_dump(self) -> None:
        """All routes of one table and of one program are asked for."""
        asked = every_route(socket.AF_INET, 220, PROTOCOL)
        self.assertEqual(asked[5], PROTOCOL)
        self.assertEqual(attributes(asked[12:]), {15: struct.pack("=I", 220)})

    def test_rule(self) -> None:
        """A rule of ours leaves out what has our mark, and by that is known; others' are not."""
        rule = Rule(socket.AF_INET6, 220, 77)
        self.assertEqual(Rule.decode(rule.encode()), rule)
        octets = rule.encode()
        for other in (
            octets[:8] + bytes(4) + octets[12:],
            octets.replace(struct.pack("=I", MARK), struct.pack("=I", MARK + 1)),
            octets.replace(b"\xff\xff\xff\xff", b"\xff\xff\xff\x00"),
        ):
            self.assertFalse(Rule.decode(other).ours)

    def test_address(self) -> None:
        """
        Our end of a link, not the other's; nothing that may be somebody else's yet, or that means
        nothing without its link.
        """
        def own(flags: int, scope: int, *said: bytes, family: int = socket.AF_INET) -> Own:
            return Own.decode(struct.pack("=4BI", family, 32, flags, scope, 1) + b"".join(said))

        here, there = (attribute(n, socket.inet_aton(a)) for n, a in ((2, US), (1, PEER)))
        self.assertEqual(own(0, 0, there, here), Own(US))
        six = attribute(1, ipaddress.ip_address("2001:db8::1").packed)
        self.assertTrue(own(0x20, 0, six).deprecated)
        self.assertFalse(own(0x40, 0, six).usable)
        self.assertFalse(own(0, 0, six, attribute(8, struct.pack("=I", 0x48))).usable)
        self.assertFalse(own(0, 253, six).usable)
        self.assertTrue(own(0, 253, here).usable)
        self.assertRaises(NetlinkError, own, 0, 0)


class NeedTests(SynchronousTestCase):
    """
    Which routes a child needs.
    """

    between = Between(US, PEER)
    child = policy(local="10.81.0.0/24", remote="10.82.0.0/23")

    def test_tunnel(self) -> None:
        """One for each network of what is remote, a range being several."""
        for remote, count in (("10.82.0.0/23", 1), ("10.82.0.1-10.82.0.4", 3), ("::/0", 1)):
            child = replace(self.child, remote=TrafficSelector.parse(remote))
            found = needs_of(child, self.between, [(ESP, TUNNEL)])
            self.assertEqual(len(found), count)
            self.assertEqual({need.between for need in found}, {self.between})
            self.assertEqual({need.local for need in found}, {self.child.local})

    def test_pass(self) -> None:
        """What passes goes as it would without us."""
        (found,) = needs_of(replace(self.child, action=Action.PASS), self.between, [])
        network = ipaddress.ip_network("10.82.0.0/23")
        self.assertEqual(found, Need(network, self.child.local, None))

    def test_none(self) -> None:
        """Where a route could not tell its traffic apart, or is somebody else's to make, none."""
        port = TrafficSelector.parse("10.82.0.0/24[udp/53]")
        for child in (
            replace(self.child, action=Action.DROP),
            replace(self.child, remote=port),
            replace(self.child, local=port, action=Action.PASS),
            replace(self.child, handling=Handling(policies=False)),
            replace(self.child, handling=Handling(if_id_out=1)),
        ):
            self.assertEqual(needs_of(child, self.between, [(ESP, TUNNEL)]), [], child)
        self.assertEqual(needs_of(self.child, self.between, [(ESP, TRANSPORT)]), [])

    def test_words(self) -> None:
        """Each refusal says what can be done about it."""
        for number, words in (
            (1, "CAP_NET_ADMIN"),
            (95, "CONFIG_IP_MULTIPLE_TABLES"),
            (17, "not ours"),
            (101, "cannot be reached"),
            (19, "is down"),
            (22, "may not be ours any more"),
            (110, "does not answer"),
        ):
            self.assertIn(words, unrouted(number))
