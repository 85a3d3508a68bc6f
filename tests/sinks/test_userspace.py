"""
The sink that protects packets in this process: two of them, and a pipe between.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp import packets
from isakmp.associations import IPsecParameters, Lifetime, SABundle, Usage
from isakmp.events import SAExpiring
from isakmp.handling import Handling, Mark, Unique
from isakmp.identity import TrafficSelector
from isakmp.interfaces import ISASink
from isakmp.packets import Packet, packet, udp
from isakmp.sinks.userspace import UserspaceSink
from isakmp.stream import EventStream
from tests.samples import PEER, US, bundle, mirrored

NET, OTHER = "10.1.0.7", "10.2.0.9"
SERVICE = udp(1000, 53, b"a question")


class PipeTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.travelled: list[bytes] = []
        self.came: dict[str, list[bytes]] = {"ours": [], "theirs": []}
        self.ours = UserspaceSink(self.travelled.append, self.came["ours"].append)
        self.theirs = UserspaceSink(self.travelled.append, self.came["theirs"].append)

    def install(
        self, number: int = 1, mode: str = "tunnel", local: str = "", remote: str = ""
    ) -> SABundle:
        """The same SAs at both ends."""
        made = bundle(0x1000 + number, 0x2000 + number)
        parameters = IPsecParameters(mode, "aes-cbc", "hmac-sha2-256-128")
        here = local or ("10.1.0.0/24" if mode == "tunnel" else US)
        there = remote or ("10.2.0.0/24" if mode == "tunnel" else PEER)
        made = replace(
            made,
            inbound=tuple(replace(sa, parameters=parameters) for sa in made.inbound),
            outbound=tuple(replace(sa, parameters=parameters) for sa in made.outbound),
            policy=replace(
                made.policy,
                local=TrafficSelector.parse(here),
                remote=TrafficSelector.parse(there),
            ),
        )
        other = mirrored(made)
        other = replace(
            other,
            policy=replace(made.policy, local=made.policy.remote, remote=made.policy.local),
        )
        self.successResultOf(self.ours.install(made))
        self.successResultOf(self.theirs.install(other))
        return made

    def carry(self, octets: bytes) -> bool:
        """Send from our side, and let it arrive."""
        before = len(self.travelled)
        if not self.ours.send(octets):
            return False
        return self.theirs.received(self.travelled[before])


class PipeTests(PipeTestCase):
    def test_interface(self) -> None:
        """It is a sink, and one that protects."""
        verifyObject(ISASink, self.ours)
        self.assertTrue(self.ours.protects)

    def test_tunnel(self) -> None:
        """
        In tunnel mode a packet arrives as it was; between the two hosts nobody can read it, nor see
        whose it is.

        Proves: RFC 4303 section 3.1.2
        """
        self.install()
        clear = packet(NET, OTHER, packets.UDP, SERVICE)
        self.assertTrue(self.carry(clear))
        self.assertEqual(self.came["theirs"], [clear])
        outer = Packet.decode(self.travelled[0])
        self.assertEqual(outer.protocol, packets.ESP)
        self.assertNotIn(b"a question", outer.octets)
        self.assertNotIn(bytes([10, 1, 0, 7]), outer.octets[:20])

    def test_transport(self) -> None:
        """
        In transport mode the packet between the two hosts themselves keeps its header.

        Proves: RFC 4303 section 3.1.1
        """
        self.install(mode="transport")
        clear = packet(US, PEER, packets.UDP, SERVICE)
        self.assertTrue(self.carry(clear))
        self.assertEqual(self.came["theirs"], [clear])
        outer = Packet.decode(self.travelled[0])
        self.assertEqual((outer.protocol, outer.octets[12:20]), (packets.ESP, clear[12:20]))
        self.assertNotIn(b"a question", outer.octets)

    def test_nothing_in_clear(self) -> None:
        """What no SA is for is not sent, and what no ESP protects is not taken."""
        self.install(remote="10.2.0.0/24[udp/53]")
        for clear in (
            packet(NET, "10.9.0.1", packets.UDP, SERVICE),
            packet("10.9.0.1", OTHER, packets.UDP, SERVICE),
            packet(NET, OTHER, packets.TCP, SERVICE),
            packet(NET, OTHER, packets.UDP, udp(1000, 54, b"")),
            packet(NET, OTHER, packets.UDP, b"\0"),
            packet("2001:db8::1", "2001:db8::2", packets.UDP, SERVICE),
            b"no packet",
        ):
            self.assertFalse(self.ours.send(clear))
        self.assertEqual(self.travelled, [])
        self.assertTrue(self.carry(packet(NET, OTHER, packets.UDP, SERVICE)))
        self.assertFalse(self.theirs.received(packet(NET, OTHER, packets.UDP, SERVICE)))
        self.assertFalse(self.theirs.received(b"nothing"))
        self.assertEqual(self.theirs.dropped, {"not protected": 1, "no IP packet": 1})

    def test_replay(self) -> None:
        """
        A packet that somebody sends again is not taken again; one that is late is.

        Proves: RFC 4303 section 3.4.3
        """
        self.install()
        for number in range(3):
            self.ours.send(packet(NET, OTHER, packets.UDP, udp(1, 53, bytes([number]))))
        first, second, third = self.travelled
        self.assertTrue(self.theirs.received(third))
        self.assertTrue(self.theirs.received(first))
        self.assertTrue(self.theirs.received(second))
        for again in (first, second, third):
            self.assertFalse(self.theirs.received(again))
        self.assertEqual(len(self.came["theirs"]), 3)

    def test_forged(self) -> None:
        """
        Of a packet that was changed nothing is taken, and its sequence number closes no window.

        Proves: RFC 4303 section 3.4.4.1
        """
        self.install()
        self.ours.send(packet(NET, OTHER, packets.UDP, SERVICE))
        (honest,) = self.travelled
        for at in range(20, len(honest)):
            changed = bytearray(honest)
            changed[at] ^= 0x80
            self.assertFalse(self.theirs.received(bytes(changed)))
        self.assertEqual(self.came["theirs"], [])
        self.assertTrue(self.theirs.received(honest))

    def test_out_of_its_network(self) -> None:
        """
        A peer that sends, under its SA, what it is not for is not believed.

        Proves: RFC 4301 section 5.2
        """
        made = self.install()
        for clear in (
            packet("10.9.9.9", OTHER, packets.UDP, SERVICE),
            packet(NET, "10.9.9.9", packets.UDP, SERVICE),
        ):
            sealed = self.ours.seal(made.name, clear)
            self.assertFalse(self.theirs.received(packet(US, PEER, packets.ESP, sealed)))
        for payload, following in ((b"no packet", 4), (packet(NET, OTHER, 17, SERVICE), 41)):
            sealed = self.ours.seal(made.name, payload, following)
            self.assertFalse(self.theirs.received(packet(US, PEER, packets.ESP, sealed)))
        sealed = self.ours.seal(made.name, b"nothing", 59)
        self.assertFalse(self.theirs.received(packet(US, PEER, packets.ESP, sealed)))
        self.assertEqual(self.came["theirs"], [])
        self.assertEqual(self.theirs.dropped["a dummy packet"], 1)
        self.assertEqual(self.theirs.dropped["what it protects is not what the SA is for"], 2)

    def test_renewed(self) -> None:
        """Of two SAs for the same traffic the newer is used; by the old one one still receives."""
        old = self.install(1)
        self.ours.send(packet(NET, OTHER, packets.UDP, SERVICE))
        new = self.install(2)
        self.ours.send(packet(NET, OTHER, packets.UDP, SERVICE))
        spis = [Packet.decode(octets).payload[:4] for octets in self.travelled]
        self.assertEqual(spis, [made.outbound[0].key.spi for made in (old, new)])
        self.assertTrue(all(map(self.theirs.received, self.travelled)))
        self.successResultOf(self.ours.remove(new))
        self.ours.send(packet(NET, OTHER, packets.UDP, SERVICE))
        self.assertEqual(Packet.decode(self.travelled[-1]).payload[:4], old.outbound[0].key.spi)

    def test_installed_again(self) -> None:
        """The same SA installed once more goes on counting, in both directions."""
        made = self.install()
        self.carry(packet(NET, OTHER, packets.UDP, SERVICE))
        self.install()
        self.assertFalse(self.theirs.received(self.travelled[0]))
        self.assertTrue(self.carry(packet(NET, OTHER, packets.UDP, SERVICE)))
        self.successResultOf(self.theirs.remove(mirrored(made)))
        self.assertFalse(self.carry(packet(NET, OTHER, packets.UDP, SERVICE)))
        self.assertEqual(self.theirs.dropped["no SA has this SPI"], 1)
        self.assertEqual(self.theirs._windows, {})

    def test_usage(self) -> None:
        """What has passed can be asked, at both ends; of what is gone nothing is left."""
        made = self.install()
        clear = packet(NET, OTHER, packets.UDP, SERVICE)
        self.carry(clear)
        self.carry(clear)
        sent = self.successResultOf(self.ours.query(made))
        came = self.successResultOf(self.theirs.query(made))
        self.assertEqual((sent.packets_out, sent.octets_out), (2, 2 * len(clear)))
        self.assertEqual((came.packets_in, came.octets_in), (2, 2 * len(clear)))
        self.assertEqual((sent.packets_in, sent.last_in), (0, 0.0))
        self.assertGreater(sent.last_out, 1.7e9)
        self.successResultOf(self.ours.remove(made))
        self.assertEqual(self.successResultOf(self.ours.query(made)), Usage())

    def test_version_6(self) -> None:
        """IPv6 goes through a tunnel between IPv4 hosts."""
        self.install(local="2001:db8:1::/48", remote="2001:db8:2::/48")
        clear = packet("2001:db8:1::1", "2001:db8:2::2", packets.UDP, SERVICE)
        self.assertTrue(self.carry(clear))
        self.assertEqual(self.came["theirs"], [clear])


class HandlingTests(PipeTestCase):
    """
    What of a child's handling it can do, and that it refuses what it cannot.
    """

    def handled(self, handling: Handling, kilobytes: int = 0, number: int = 1) -> SABundle:
        """A bundle whose traffic is treated so at our side."""
        made = self.install(number)
        policy = replace(made.policy, handling=handling)
        self.successResultOf(self.ours.remove(made))
        outbound = tuple(
            replace(sa, lifetime=Lifetime(kilobytes=kilobytes)) for sa in made.outbound
        )
        made = replace(made, policy=policy, outbound=outbound)
        self.successResultOf(self.ours.install(made))
        return made

    def setUp(self) -> None:
        super().setUp()
        events = EventStream()
        self.told: list[SAExpiring] = []
        events.subscribe(SAExpiring, self.told.append)
        self.successResultOf(self.ours.start(events))

    def test_used_up(self) -> None:
        """
        An SA that has carried what it may before its renewal says so once; one that has carried
        all it may is used no longer, and what it would have carried is dropped.
        """
        clear = packet(NET, OTHER, packets.UDP, SERVICE)
        a_kilobyte = -(-1024 // len(clear))
        for number, (handling, kilobytes, soft, hard) in enumerate(
            (
                (Handling(rekey_packets=2, life_packets=4), 0, True, 4),
                (Handling(rekey_octets=2 * len(clear), life_octets=3 * len(clear)), 0, True, 3),
                (Handling(life_packets=3), 0, False, 3),
                (Handling(), 1, True, a_kilobyte),
            )
        ):
            self.told.clear()
            made = self.handled(handling, kilobytes, number)
            sent = [self.carry(clear) for _ in range(30)]
            self.assertEqual(sent, [True] * hard + [False] * (30 - hard))
            wanted = [SAExpiring(made.key, hard=False)] if soft else []
            self.assertEqual(self.told, [*wanted, SAExpiring(made.key, hard=True)])
            self.assertEqual(self.ours.dropped["the SA has carried all it may"], 30 - hard)
            self.ours.dropped.clear()

    def test_used_up_inbound(self) -> None:
        """So is one by which we receive."""
        clear = packet(OTHER, NET, packets.UDP, SERVICE)
        self.handled(Handling(life_packets=2))
        arrived = []
        for _ in range(3):
            self.assertTrue(self.theirs.send(clear))
            arrived.append(self.ours.received(self.travelled[-1]))
        self.assertEqual(arrived, [True, True, False])

    def test_not_selected(self) -> None:
        """
        Packets here have no marks and no interfaces: a child that is selected by them is refused in
        words, not given other traffic; nothing stands.
        """
        for key, handling in (
            ("mark_in", Handling(mark_in=Mark(1))),
            ("mark_out", Handling(mark_out=Mark(Unique()))),
            ("if_id_in", Handling(if_id_in=7)),
            ("if_id_out", Handling(if_id_out=Unique())),
            ("interface", Handling(interface="eth0")),
        ):
            made = self.install()
            self.successResultOf(self.ours.remove(made))
            made = replace(made, policy=replace(made.policy, handling=handling))
            failure = self.failureResultOf(self.ours.install(made), OSError)
            self.assertIn(f"the sink userspace cannot select by {key}", str(failure.value))
            self.assertEqual(dict(self.ours.standing), {})
