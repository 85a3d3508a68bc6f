"""
What the kernel tells of SAs, and what is made of it; also of what it could not tell.
"""

from __future__ import annotations

import errno
import ipaddress
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import SPIKey
from isakmp.events import PeerMoved, SAExpiring, TrafficWaiting
from isakmp.handling import Handling
from isakmp.numbers import DOI, ProtocolID
from isakmp.sinks.xfrm.hearing import SETTLE, Hearing, Trapped
from isakmp.sinks.xfrm.link import ACK, Refused
from isakmp.sinks.xfrm.netlink import Message, attribute
from isakmp.sinks.xfrm.policy_table import Reqids
from isakmp.sinks.xfrm.states import name_of, state_of
from isakmp.sinks.xfrm.structures import (
    ESP,
    TUNNEL,
    Acquire,
    Attribute,
    Direction,
    Kind,
    Name,
    Policy,
    Selector,
    State,
    Template,
)
from tests.samples import PEER, US, bundle, logged, protection_sa

BUNDLE = bundle()
REQID = 0x49530001
TRAFFIC = "10.1.0.1/32[17/0] - 10.2.0.1/32[17/0]"
_COUNTED = 160


def told(state: State, octets: int = 0, packets: int = 0) -> bytes:
    """A state as the kernel tells of it, with what it has carried."""
    made = bytearray(state.encode())
    struct.pack_into("=QQ", made, _COUNTED, octets, packets)
    return bytes(made)


def waiting(reqid: int) -> bytes:
    """An ACQUIRE."""
    fixed = Name(PEER, ESP, bytes(4)).encode_id() + bytes(16)
    selector = bytes.fromhex("0a020001" + 24 * "0" + "0a010001" + 24 * "0" + "0" * 16)
    selector += struct.pack("=HBBB3xiI", 2, 32, 32, 17, 0, 0)
    network = ipaddress.ip_network("10.0.0.0/8")
    wants = Policy(Selector(network, network), Direction.OUT).encode()
    body = (fixed + selector + wants).ljust(Acquire.SIZE, b"\0")
    return body + attribute(Attribute.TMPL, Template(US, PEER, ESP, TUNNEL, reqid).encode())


class HearingTests(SynchronousTestCase):
    """
    With one bundle and one trap.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.events: list[object] = []
        self.standing: list[bytes] = []
        self.refusal: OSError | None = None
        self.asked = 0
        self.restored = 0
        self.hearing = Hearing(
            self.clock, self.ask, self.in_turn, self.events.append, self.restore
        )
        self.states = {}
        for sas, source in ((BUNDLE.inbound, PEER), (BUNDLE.outbound, US)):
            for sa in sas:
                state = state_of(sa, sas, source, REQID, Handling(rekey_packets=40))
                self.states[state.name] = state
                self.hearing.names[name_of(sa.key)] = BUNDLE.key
        self.hearing.trapped(("road", "net"), Trapped(REQID))

    async def ask(self, kind: int, body: bytes, what: str, flags: int = ACK) -> list[Message]:
        self.assertEqual(kind, Kind.GETSA)
        self.asked += 1
        if self.refusal is not None:
            raise self.refusal
        return [Message(Kind.NEWSA, 0, 0, 0, one) for one in self.standing]

    async def restore(self) -> None:
        self.restored += 1

    def in_turn(self, work: Callable[[], Any]) -> Deferred[None]:
        return Deferred.fromCoroutine(work())

    def hear(self, kind: int, body: bytes) -> None:
        self.hearing.heard(Message(kind, 0, 0, 0, body))

    def look(self) -> list[object]:
        """What is made of it that something was lost."""
        self.hearing.missed()
        self.assertEqual(self.events, [])
        self.clock.advance(SETTLE)
        return self.events

    def test_told(self) -> None:
        """Traffic that waits, an SA that expires or has, a peer that has moved."""
        (one, _) = self.states.values()
        self.hear(Kind.ACQUIRE, waiting(REQID))
        self.hear(Kind.ACQUIRE, waiting(REQID + 1))
        self.hear(Kind.EXPIRE, told(one)[: State.SIZE] + b"\0" * 8)
        self.hear(Kind.EXPIRE, told(one)[: State.SIZE] + b"\1" + b"\0" * 7)
        mapping = one.name.encode() + struct.pack(
            "=I16s16s2s2s", REQID, bytes(16), bytes([192, 0, 2, 9]), b"\x11\x94", b"\x11\x95"
        )
        self.hear(Kind.MAPPING, mapping)
        waits, soft, hard, moved = self.events
        self.assertEqual(waits, TrafficWaiting("road", "net", TRAFFIC))
        self.assertEqual(soft, SAExpiring(BUNDLE.key, False))
        self.assertEqual(hard, SAExpiring(BUNDLE.key, True))
        self.assertEqual(moved, PeerMoved(BUNDLE.key, ("192.0.2.9", 4501)))

    def test_others(self) -> None:
        """What is told of SAs that are not ours is nothing to us."""
        sa = protection_sa(0x4711, US)
        other = state_of(sa, (sa,), PEER, 7)
        self.hear(Kind.EXPIRE, told(other)[: State.SIZE] + b"\1" + b"\0" * 7)
        self.hear(Kind.MAPPING, other.name.encode() + bytes(40))
        self.assertEqual(self.events, [])

    def test_lost(self) -> None:
        """What is gone has expired; both SAs of a bundle are one bundle."""
        self.assertEqual(self.look(), [SAExpiring(BUNDLE.key, True)])

    def test_lost_one(self) -> None:
        """So it has if one of its SAs is gone, whatever the other has carried."""
        (one, _) = self.states.values()
        self.standing = [told(one, packets=50)]
        self.assertEqual(self.look(), [SAExpiring(BUNDLE.key, True)])

    def test_worn(self) -> None:
        """What has carried what it may is to be renewed; what has not is left alone."""
        one, other = self.states.values()
        self.standing = [told(one, packets=39), told(other, octets=10**15, packets=39)]
        self.assertEqual(self.look(), [])
        self.standing = [told(one, packets=39), told(other, packets=40)]
        self.assertEqual(self.look(), [SAExpiring(BUNDLE.key, False)])

    def test_waiting(self) -> None:
        """Traffic for which the kernel has no SA yet waits; an SPI that is kept is no traffic."""
        self.standing = [told(one) for one in self.states.values()]
        larval = State(US, Name(PEER, ESP, bytes(4)), REQID, TUNNEL)
        kept = replace(larval, name=Name(US, ESP, b"kept"))
        selector = waiting(REQID)[40:96]
        self.standing += [selector + told(larval)[56:], told(kept)]
        (found,) = self.look()
        self.assertEqual(found, TrafficWaiting("road", "net", TRAFFIC))

    def test_not_there(self) -> None:
        """
        Traffic that waits for an SA of a child that has no trap says that the SA is gone; that
        for somebody else's says nothing of ours.
        """
        self.hear(Kind.ACQUIRE, waiting(7))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for _ in range(1000):
            self.hear(Kind.ACQUIRE, waiting(Reqids.RANGE[5]))
        self.clock.advance(SETTLE)
        self.assertEqual((self.asked, self.events), (1, [SAExpiring(BUNDLE.key, True)]))
        larval = State(US, Name(PEER, ESP, bytes(4)), Reqids.RANGE[5], TUNNEL)
        self.standing = [told(one) for one in self.states.values()]
        self.standing.append(waiting(REQID)[40:96] + told(larval)[56:])
        self.events.clear()
        self.hear(Kind.ACQUIRE, waiting(Reqids.RANGE[5]))
        self.clock.advance(SETTLE)
        # What waits there still is no reason to look again and again.
        self.assertEqual((self.asked, self.events), (2, []))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_flushed(self) -> None:
        """
        Somebody removes all SAs: what is without its own has ended, and it is said.  Somebody
        removes all policies: ours are set again at once.
        """
        notes = logged(self)
        self.hear(Kind.FLUSHSA, bytes(8))
        self.clock.advance(SETTLE)
        self.assertEqual(self.events, [SAExpiring(BUNDLE.key, True)])
        (note,) = notes
        self.assertIn("somebody has removed all SAs", formatEvent(note))
        self.assertEqual(self.restored, 0)
        self.hear(Kind.FLUSHPOLICY, b"")
        self.assertEqual(self.restored, 1)
        self.hearing.names.clear()
        notes.clear()
        self.hear(Kind.FLUSHSA, bytes(8))
        self.assertEqual((notes, self.clock.getDelayedCalls()), ([], []))

    def test_once(self) -> None:
        """However often something is lost, the kernel is asked once, and it is said once."""
        notes = logged(self)
        for _ in range(1000):
            self.hearing.missed()
        self.clock.advance(SETTLE)
        self.assertEqual(self.asked, 1)
        (note,) = notes
        self.assertEqual(
            formatEvent(note),
            "the kernel told more of its SAs than could be taken in: all are looked at",
        )

    def test_refused(self) -> None:
        """A kernel that does not say what there is is asked again, until the sink stops."""
        self.refusal = Refused(errno.ENOBUFS, "all SAs")
        self.look()
        self.assertEqual(self.events, [])
        self.refusal = None
        self.clock.advance(SETTLE)
        self.assertEqual((self.asked, self.events), (2, [SAExpiring(BUNDLE.key, True)]))
        self.hearing.missed()
        self.hearing.stop()
        self.hearing.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.hearing.look()  # what is doubted afterwards is not looked at any more
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @given(
        st.sampled_from([Kind.ACQUIRE, Kind.EXPIRE, Kind.MAPPING, Kind.NEWSA, Kind.FLUSHSA]),
        st.one_of(st.binary(max_size=400), st.binary(min_size=280, max_size=280)),
    )
    def test_garbage(self, kind: int, body: bytes) -> None:
        """Whatever a message has in it, nothing is raised, and nothing of ours is meant."""
        self.events.clear()
        self.hear(kind, body)
        self.assertEqual(self.events, [])

    def test_cut(self) -> None:
        """A message that is cut short is a line of the log."""
        notes = logged(self)
        self.hear(Kind.EXPIRE, b"\0" * 100)
        (note,) = notes
        self.assertIn("the kernel is not understood: ", formatEvent(note))

    def test_names(self) -> None:
        """The SAs of the bundle are known by the names that the kernel has for them."""
        key = SPIKey(DOI.IPSEC, ProtocolID.ESP, (0x1001).to_bytes(4, "big"), US)
        self.assertEqual(self.hearing.names[name_of(key)], BUNDLE.key)
