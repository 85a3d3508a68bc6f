"""
SAs whose peer is elsewhere now: what is said to the kernel, octet by octet.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import IPsecParameters, SABundle
from isakmp.errors import LimitReached
from isakmp.handling import Handling, Mark, Unique
from isakmp.relocation import relocated
from isakmp.sinks.xfrm.link import ACK, Refused
from isakmp.sinks.xfrm.moving import MARGIN, before_of, carried_on, change
from isakmp.sinks.xfrm.netlink import Message, attribute, attributes
from isakmp.sinks.xfrm.policy_table import Reqids
from isakmp.sinks.xfrm.states import state_of
from isakmp.sinks.xfrm.structures import Attribute, Kind, Standing, State
from tests.samples import PEER, US, bundle, policy, protection_sa
from tests.sinks.xfrm.kernel import RecordedSink
from tests.test_relocation import in_udp

UDP = IPsecParameters("tunnel", "aes-cbc", "hmac-sha2-256-128", udp=(4500, 4500))
MOVED = replace(UDP, udp=(4500, 4501))
ELSEWHERE = "192.0.2.77"


def state(parameters: IPsecParameters, source: str = PEER, out: bool = False) -> State:
    """One that we receive by; or one that we send by, to the ``source``."""
    sa = protection_sa(0x1001, source if out else US, parameters=parameters)
    return state_of(sa, (sa,), US if out else source, 7, out=out)


class Kernel:
    """
    It has one SA, with a window; it refuses what it is told to.
    """

    def __init__(self, *windows: bytes) -> None:
        self.windows = b"".join(windows)
        self.refused: dict[int, int] = {}
        self.asked: list[tuple[int, bytes]] = []

    async def ask(self, kind: int, body: bytes, what: str, flags: int = ACK) -> list[Message]:
        self.asked.append((kind, body))
        if kind in self.refused:
            raise Refused(self.refused.pop(kind), what)
        if kind != Kind.GETSA:
            return []
        counted = bytearray(state(UDP).encode()[: State.SIZE])
        struct.pack_into("=4Q", counted, 160, 1111, 22, 333, 444)
        return [Message(Kind.NEWSA, 0, 0, 0, bytes(counted) + self.windows)]

    @property
    def kinds(self) -> list[int]:
        """What was asked for, in order."""
        return [kind for kind, _ in self.asked]


PLAIN = attribute(Attribute.REPLAY_VAL, struct.pack("=3I", 5, 6, 7))
EXTENDED = attribute(
    Attribute.REPLAY_ESN, struct.pack("=6I", 1, 0xFFFFFFF0, 6, 3, 4, 32) + b"\x07\0\0\0"
)


class MovingTests(SynchronousTestCase):
    def test_port(self) -> None:
        """
        Another port is all that is changed: one UPDSA with the SA's own name, and the new
        encapsulation.  What we receive by names the peer's port first.
        """
        for out, ports in ((False, (4501, 4500)), (True, (4500, 4501))):
            kernel, old, new = Kernel(), state(UDP, out=out), state(MOVED, out=out)
            self.successResultOf(Deferred.fromCoroutine(change(kernel.ask, old, new, out=out)))
            ((kind, body),) = kernel.asked
            self.assertEqual(kind, Kind.UPDSA)
            self.assertEqual(Standing.decode(body).name, old.name)
            told = attributes(body[State.SIZE :])[Attribute.ENCAP]
            self.assertEqual(struct.unpack_from("=H", told), (2,))
            self.assertEqual(struct.unpack_from("!HH", told, 2), ports)

    def test_address(self) -> None:
        """
        What we receive by from another address is set anew, with its window and counters: what was
        received once is not received again.
        """
        kernel, old, new = Kernel(PLAIN), state(UDP), state(MOVED, ELSEWHERE)
        self.successResultOf(Deferred.fromCoroutine(change(kernel.ask, old, new, out=False)))
        self.assertEqual(kernel.kinds, [Kind.GETSA, Kind.GETSA, Kind.DELSA, Kind.NEWSA])
        body = kernel.asked[-1][1]
        self.assertEqual(Standing.decode(body).source, ELSEWHERE)
        told = attributes(body[State.SIZE :])
        self.assertEqual(told[Attribute.REPLAY_VAL], struct.pack("=3I", 5, 6, 7))
        self.assertEqual(told[Attribute.LTIME_VAL], struct.pack("=4Q", 1111, 22, 333, 444))
        self.assertEqual(struct.unpack_from("!H", told[Attribute.ENCAP], 2), (4501,))
        self.assertIn(Attribute.ALG_CRYPT, told)

    def test_refused(self) -> None:
        """If the kernel refuses the new one, the old one stands again as it was."""
        kernel, old, new = Kernel(PLAIN), state(UDP), state(MOVED, ELSEWHERE)
        kernel.refused[Kind.NEWSA] = errno.ENOBUFS
        changing = Deferred.fromCoroutine(change(kernel.ask, old, new, out=False))
        self.assertEqual(self.failureResultOf(changing, Refused).value.errno, errno.ENOBUFS)
        kind, body = kernel.asked[-1]
        self.assertEqual((kind, Standing.decode(body).source), (Kind.NEWSA, PEER))
        told = attributes(body[State.SIZE :])
        self.assertEqual(told[Attribute.REPLAY_VAL], struct.pack("=3I", 5, 6, 7))

    def test_numbers(self) -> None:
        """
        What we send by goes on later than where the old one was, so that no number is used twice,
        though the old one may have sent meanwhile; and never begins again.
        """
        for first, then in ((5, 5 + MARGIN), (0xFFFFFFFE, 0xFFFFFFFF)):
            window = attribute(Attribute.REPLAY_VAL, struct.pack("=3I", first, 6, 7))
            carrying = carried_on(Kernel(window).ask, state(UDP), state(MOVED), out=True)
            made = self.successResultOf(Deferred.fromCoroutine(carrying))
            told = attributes(made.others)[Attribute.REPLAY_VAL]
            self.assertEqual(struct.unpack("=3I", told), (then, 6, 7))

    def test_extended(self) -> None:
        """Numbers of 64 bits carry over into the upper half; the window is the old one's."""
        extended = replace(MOVED, extended=True)
        for out, numbers in ((True, (0xFFF0, 4)), (False, (0xFFFFFFF0, 3))):
            carrying = carried_on(Kernel(EXTENDED).ask, state(UDP), state(extended), out=out)
            made = self.successResultOf(Deferred.fromCoroutine(carrying))
            told = attributes(made.others)[Attribute.REPLAY_ESN]
            fields = struct.unpack_from("=6I", told)
            self.assertEqual((fields[1], fields[3]), numbers)
            self.assertEqual((fields[0], fields[2], fields[4]), (1, 6, 4))
            self.assertEqual(told[24:], b"\x07\0\0\0")
            self.assertNotIn(Attribute.REPLAY_VAL, attributes(made.others))

    def test_earlier(self) -> None:
        """An SA to another address is the same by its SPI, if the old one is needed no more."""
        old, new = protection_sa(1, PEER).key, protection_sa(1, ELSEWHERE).key
        standing, wanted = {old: state(UDP)}, {new: state(MOVED)}
        self.assertEqual(before_of(new, standing, wanted), state(UDP))
        self.assertIsNone(before_of(protection_sa(2, ELSEWHERE).key, standing, wanted))
        self.assertIsNone(before_of(new, standing, {**wanted, old: state(UDP)}))

    def test_reqid(self) -> None:
        """The number that binds SAs and policies stays with a child whose peer has moved."""
        reqids = Reqids()
        child, other = policy(), policy(name="other")
        number = reqids.take(child, PEER, "one")
        self.assertEqual(reqids.take(child, PEER, "two"), number)
        self.assertEqual(reqids.take(child, ELSEWHERE, "one"), number)
        self.assertEqual(reqids.take(child, ELSEWHERE, "three"), number)
        self.assertNotEqual(reqids.take(other, ELSEWHERE, "four"), number)
        reqids.give_up("two")
        self.assertNotEqual(reqids.take(child, PEER, "five"), number)
        for user in ("one", "three", "four", "five"):
            reqids.give_up(user)
        # Nothing is in use: of all there are each is given once.
        room = range(len(Reqids.RANGE) - 1)
        given = {reqids.take(replace(child, name=str(n)), PEER, str(n)) for n in room}
        self.assertEqual(given, set(Reqids.RANGE[1:]))
        self.assertRaises(LimitReached, reqids.take, child, ELSEWHERE, "six")
        reqids.give_up("six")
        reqids.give_up("77")
        self.assertIn(reqids.take(child, ELSEWHERE, "six"), Reqids.RANGE)

    def test_reqid_configured(self) -> None:
        """A number that somebody's file names is not chosen for another child meanwhile."""
        reqids, named = Reqids(), Handling(reqid=Reqids.RANGE[1])
        child = replace(policy(), handling=named)
        for user in ("one", "two"):
            self.assertEqual(reqids.take(child, PEER, user), Reqids.RANGE[1])
        reqids.give_up("one")
        other = policy(name="other")
        self.assertEqual(reqids.take(other, PEER, "three"), Reqids.RANGE[2])
        reqids.give_up("two")
        for n in range(len(Reqids.RANGE) - 2):
            reqids.take(replace(other, name=str(n)), PEER, str(n))
        self.assertRaises(LimitReached, reqids.take, policy(name="more"), PEER, "more")


class SinkTests(SynchronousTestCase):
    """
    The sink, with a bundle in UDP that has a mark of its own and limits that chance has chosen.
    """

    def setUp(self) -> None:
        self.sink = RecordedSink()
        handling = Handling(mark_out=Mark(Unique()), rekey_packets=1000, rand_packets=900)
        self.bundle = in_udp(bundle())
        child = replace(self.bundle.policy, handling=handling)
        self.bundle = replace(self.bundle, policy=child)
        self.install(self.bundle)

    def install(self, one: SABundle) -> list[int]:
        """What is asked of the kernel for it."""
        self.sink.asked.clear()
        self.successResultOf(self.sink.install(one))
        return [kind for kind, _ in self.sink.asked]

    def test_again(self) -> None:
        """The same once more is nothing to do."""
        self.assertEqual(self.install(self.bundle), [])

    def test_port(self) -> None:
        """Another port is two SAs that are changed, and no policy; all else is as it was chosen."""
        before = {body[:224] for kind, body in self.sink.asked if kind == Kind.NEWSA}
        self.assertEqual(
            self.install(relocated(self.bundle, (PEER, 4501))), [Kind.UPDSA, Kind.UPDSA]
        )
        self.assertEqual({body[:224] for _, body in self.sink.asked}, before)

    def test_address(self) -> None:
        """
        Another address: what is received is set anew, what is sent by stands before the policies
        lead to it, and only then the old one goes; the mark and the reqid stay.
        """
        chosen = self.sink.handling(self.bundle), self.sink.reqid(self.bundle)
        there = relocated(self.bundle, (ELSEWHERE, 4501))
        asked = [kind for kind in self.install(there) if kind != Kind.GETSA]
        self.assertEqual(asked[:3], [Kind.DELSA, Kind.NEWSA, Kind.NEWSA])
        self.assertEqual(asked[3:], [*3 * [Kind.UPDPOLICY], Kind.DELSA])
        self.assertEqual((self.sink.handling(there), self.sink.reqid(there)), chosen)
        told = self.sink.states()[ELSEWHERE].what
        assert isinstance(told, Standing)
        self.assertEqual(told.reqid, chosen[1])
        self.assertEqual(self.sink.asked[-1][1][:4], bytes([192, 0, 2, 2]))

    def test_refused(self) -> None:
        """If the kernel refuses a policy, the SAs are again where the peer was."""
        def refuse(kind: int, body: bytes) -> None:
            if kind == Kind.UPDPOLICY:
                raise Refused(errno.EINVAL, "a policy")

        self.sink.refuse = refuse
        failure = self.failureResultOf(self.sink.install(relocated(self.bundle, (ELSEWHERE, 1))))
        failure.trap(OSError)
        self.sink.refuse = lambda kind, body: None
        self.assertEqual(self.install(self.bundle), [])
        standing = self.sink.handling(self.bundle)
        self.assertIsNotNone(standing.mark_out)
        self.successResultOf(self.sink.remove(self.bundle))
        removed = [kind for kind, _ in self.sink.asked]
        self.assertEqual(removed, [*3 * [Kind.DELPOLICY], Kind.DELSA, Kind.DELSA])
