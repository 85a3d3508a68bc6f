"""SPIs that the kernel chooses."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import SPIKey
from isakmp.errors import LimitReached
from isakmp.numbers import DOI, ProtocolID
from isakmp.sinks.xfrm.link import ACK
from isakmp.sinks.xfrm.netlink import Message
from isakmp.sinks.xfrm.spis import ReservedSPIs
from isakmp.sinks.xfrm.structures import Kind, State
from tests.samples import PATH, US


class SPITests(SynchronousTestCase):
    """
    A kernel whose choice is known.
    """

    def setUp(self) -> None:
        self.choice: Iterator[int] = iter(range(0xC0000001, 0xC0000100))
        self.kept: set[bytes] = set()
        self.spis = ReservedSPIs(self.ask)

    async def ask(self, kind: int, body: bytes, what: str, flags: int = ACK) -> list[Message]:
        if kind == Kind.DELSA:
            self.kept.remove(body[16:20])
            return []
        self.assertEqual(kind, Kind.ALLOCSPI)
        spi = next(self.choice).to_bytes(4, "big")
        self.kept.add(spi)
        return [Message(Kind.NEWSA, 0, 0, 0, body[:72] + spi + body[76 : State.SIZE])]

    def reserve(self, avoid: int = 0, protocol: int = ProtocolID.ESP) -> Deferred[bytes]:
        """One, but not this."""
        return Deferred.fromCoroutine(
            self.spis.reserve(DOI.IPSEC, protocol, PATH, avoid.to_bytes(4, "big"))
        )

    def test_avoided(self) -> None:
        """One that the peer has chosen is not ours too, and is not kept."""
        spi = self.successResultOf(self.reserve(0xC0000001))
        self.assertEqual(spi, 0xC0000002.to_bytes(4, "big"))
        self.assertEqual(self.kept, {spi})

    def test_no_other(self) -> None:
        """A kernel that has no other is asked a few times; then there is none, and none is kept."""
        self.choice = iter([7] * 100)
        self.failureResultOf(self.reserve(7), LimitReached)
        self.assertEqual(self.kept, set())
        self.assertGreater(len(list(self.choice)), 50)

    def test_released(self) -> None:
        """What no SA has is given back, once; what one has is not."""
        one, other = (self.successResultOf(self.reserve()) for _ in range(2))
        keys = [SPIKey(DOI.IPSEC, ProtocolID.ESP, spi, US) for spi in (one, other)]
        self.spis.used(keys[1])
        for key in (*keys, *keys):
            self.successResultOf(Deferred.fromCoroutine(self.spis.release(key)))
        self.assertEqual(self.kept, {other})
        self.successResultOf(Deferred.fromCoroutine(self.spis.release_all()))
        self.assertEqual(self.kept, {other})

    def test_compression(self) -> None:
        """Of IPComp it is two octets."""
        self.choice = iter([0x1234])
        spi = self.successResultOf(self.reserve(protocol=ProtocolID.IPCOMP))
        self.assertEqual(spi, bytes([0x12, 0x34]))
