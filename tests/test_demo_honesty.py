"""
The demonstration cannot show what is not so: here it is broken on purpose, and has to find it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, succeed

from isakmp import demo
from isakmp.associations import ProtectionSA, SABundle
from isakmp.demo import OK
from isakmp.exchange.endpoint import ISAKMPEndpoint
from isakmp.ike.sa import ISAKMPSA
from isakmp.numbers import ExchangeType
from isakmp.parts import Role
from isakmp.sinks import memory
from isakmp.sinks.memory import MemorySink
from tests.loopback import DemoTestCase


class HonestyTests(DemoTestCase):
    """What is broken on purpose is found: the demonstration cannot say that all is well."""

    async def test_derived_differently(self) -> None:
        """If one end derives other keys, that is a PROBLEM, by fingerprints and by packets."""
        derive = ISAKMPSA.derive

        def otherwise(sa: ISAKMPSA, seed: bytes, length: int) -> bytes:
            octets = derive(sa, seed, length)
            return octets if sa.role is Role.INITIATOR else octets[:-1] + bytes([octets[-1] ^ 1])

        self.patch(ISAKMPSA, "derive", otherwise)
        found = "\n".join(await self.problems())
        self.assertIn("the ends computed different keys", found)
        self.assertIn("the responder could not open the packet", found)
        self.assertIn("the initiator could not open the packet", found)

    async def test_one_key_differs(self) -> None:
        """If only one direction has other keys at one end, that is found, too."""
        derive = ISAKMPSA.derive
        calls: list[bytes] = []

        def otherwise(sa: ISAKMPSA, seed: bytes, length: int) -> bytes:
            octets = derive(sa, seed, length)
            calls.append(seed)
            return octets if len(calls) != 1 else bytes(length)

        self.patch(ISAKMPSA, "derive", otherwise)
        found = "\n".join(await self.problems())
        self.assertEqual(len(calls), 4)
        self.assertIn("the ends computed different keys", found)
        self.assertEqual(found.count("could not open the packet"), 1)

    async def test_swapped(self) -> None:
        """If one end shows the fingerprint of one SPI for the other, that is found."""
        fingerprints = MemorySink.fingerprints
        test = self

        def swapped(sink: MemorySink, bundle: SABundle) -> Mapping[str, str]:
            shown = fingerprints(sink, bundle)
            if sink is test.sinks[0]:
                return shown
            return dict(zip(shown, reversed(list(shown.values())), strict=True))

        self.patch(MemorySink, "fingerprints", swapped)
        (found,) = await self.problems()
        self.assertIn("the ends computed different keys", found)

    async def test_fingerprint_missing(self) -> None:
        """Two ends that show nothing are not equal for that."""
        self.patch(demo, "table", lambda end: [])
        self.patch(MemorySink, "fingerprints", lambda sink, bundle: {})
        (found,) = await self.problems()
        self.assertIn("the ends computed different keys", found)

    async def test_same_keys_both_ways(self) -> None:
        """Keys that do not depend on the SPI would be the same in both directions: found."""
        derive = ISAKMPSA.derive
        self.patch(ISAKMPSA, "derive", lambda sa, seed, length: derive(sa, seed[5:], length))
        (found,) = await self.problems()
        self.assertIn("two SPIs have the same keys", found)

    async def test_installed_differently(self) -> None:
        """Equal fingerprints do not help if a sink works with other keys than it shows."""
        transform = memory._transform
        made: list[ProtectionSA] = []

        def other(sa: ProtectionSA, parameters: Any) -> Any:
            made.append(sa)
            if len(made) % 2:
                return transform(sa, parameters)
            wrong = {use: bytes(len(key)) for use, key in sa.keys.items()}
            return transform(ProtectionSA(sa.key, wrong, sa.parameters), parameters)

        self.patch(memory, "_transform", other)
        found = "\n".join(await self.problems())
        self.assertNotIn("different keys", found)
        self.assertIn("could not open the packet", found)

    async def test_opened_something_else(self) -> None:
        """To open a packet is to get what was sealed."""
        open_ = MemorySink.open
        self.patch(MemorySink, "open", lambda sink, packet: open_(sink, packet)[::-1])
        found = await self.problems()
        self.assertEqual(len(found), 2)
        for line in found:
            self.assertIn("opened something else than was sealed", line)

    async def test_not_hidden(self) -> None:
        """A packet in which one can read what it protects is no sealed packet."""
        seal, open_ = MemorySink.seal, MemorySink.open

        def open_letter(sink: MemorySink, name: str, payload: bytes) -> bytes:
            return seal(sink, name, payload) + payload

        self.patch(MemorySink, "seal", open_letter)
        self.patch(
            MemorySink, "open", lambda sink, packet: open_(sink, packet[: -len(demo._PACKET)])
        )
        found = "\n".join(await self.problems())
        self.assertIn("the initiator's packet shows what it should hide", found)
        self.assertIn("the responder's packet shows what it should hide", found)

    async def test_nothing_installed(self) -> None:
        """An end whose sink has nothing cannot open, and it is not taken for good."""
        install = MemorySink.install
        test = self
        self.patch(
            MemorySink,
            "install",
            lambda sink, bundle: succeed(None) if sink is test.sinks[1] else install(sink, bundle),
        )
        found = "\n".join(await self.problems())
        self.assertIn("the responder could not open the packet", found)

    async def test_sa_left(self) -> None:
        """An SA that nobody deletes is found."""
        delete = ISAKMPEndpoint.delete
        self.lose(lambda ports, header: header.exchange_type == ExchangeType.INFORMATIONAL)
        asked: list[object] = []

        def once(endpoint: ISAKMPEndpoint, *arguments: Any) -> Deferred[None]:
            asked.append(endpoint)
            return succeed(None) if len(asked) == 2 else delete(endpoint, *arguments)

        self.patch(ISAKMPEndpoint, "delete", once)
        found = await self.problems()
        self.assertIn("PROBLEM: an SA is left", found)
        self.assertIn("PROBLEM: the responder's sink is not empty", found)

    async def test_sink_left(self) -> None:
        """So is one that is gone from the registry, and not from the sink."""
        self.patch(MemorySink, "remove", lambda sink, bundle: succeed(None))
        self.assertEqual(
            await self.problems(),
            [
                "PROBLEM: the initiator's sink is not empty",
                "PROBLEM: the responder's sink is not empty",
            ],
        )

    async def test_spi_left(self) -> None:
        """And an SPI that was reserved and forgotten."""
        reserve = MemorySink.reserve_spi
        test = self

        def twice(sink: MemorySink, *arguments: Any) -> Deferred[bytes]:
            if sink is test.sinks[0]:
                reserve(sink, *arguments)
            return reserve(sink, *arguments)

        self.patch(MemorySink, "reserve_spi", twice)
        (found,) = await self.problems()
        self.assertIn("the initiator's sink is not empty", found)

    async def test_stays_whole(self) -> None:
        """What breaks it here is what is found: unbroken, the same run has no problem."""
        status, lines = await self.run_demo()
        self.assertEqual((status, [line for line in lines if "PROBLEM" in line]), (OK, []))
