"""
The demonstration where it is not to succeed, or not at once: secrets that differ, a network that
loses.  The intervals of the repeats are made short.
"""

from __future__ import annotations

import random
import re
from functools import partial
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.demo import AUTHENTICATION, FAILED, OK, Choices, LossyPorts
from isakmp.interfaces import IPorts
from isakmp.numbers import ExchangeType
from isakmp.paths import Datagram, Path
from isakmp.wire.message import Header
from tests.loopback import DemoTestCase, steps


class WrongSecretTests(DemoTestCase):
    """Two pre-shared keys that differ."""

    def assert_said(self, status: int, lines: list[str]) -> None:
        self.assertEqual(status, AUTHENTICATION, lines)
        self.assertTrue(lines[-1].startswith("No tunnel: "), lines[-1])
        self.assertIn("pre-shared keys of the two ends differ", lines[-1])
        self.assertEqual([sink for sink in self.sinks if self.installed[sink]], [])
        self.assertNotIn("holds:", "\n".join(lines))

    async def test_wrong_psk(self) -> None:
        """If the pre-shared keys differ, the last line says so, and the status is 4."""
        self.impatient()
        status, lines = await self.run_demo(wrong_psk=True)
        self.assert_said(status, lines)
        self.assertTrue([line for line in lines if line.startswith("initiator: Identity")])
        self.assertTrue([line for line in lines if line.startswith("responder: Identity")])

    async def test_all_algorithms(self) -> None:
        """Whatever the cipher makes of the wrong key, it is not taken for a message."""
        self.impatient()
        for proposal in ("3des-sha1-ecp256", "aes256-sha512-ecp256"):
            self.assert_said(*await self.run_demo(wrong_psk=True, proposal=proposal))

    async def test_notification_lost(self) -> None:
        """Also if the initiator is never told: the responder knows."""
        self.impatient()
        self.quick(0.01, 1.2, 4)
        self.lose(lambda ports, header: header.exchange_type == ExchangeType.INFORMATIONAL)
        status, lines = await self.run_demo(wrong_psk=True, loss=0.01)
        self.assertIn("initiator: Identity Protection failed: no answer from", "\n".join(lines))
        self.assert_said(status, lines)


class LossTests(DemoTestCase):
    """A network that loses."""

    async def test_repeats(self) -> None:
        """With 30% loss and seed 7 I see what is lost and what is repeated, and it succeeds."""
        self.quick(0.03, 1.3, 12)
        status, lines = await self.run_demo(loss=0.3, seed=7)
        self.assertEqual(status, OK, "\n".join(lines))
        said = [step["said"] for step in steps(lines)]
        self.assertTrue([text for text in said if text.endswith(" (lost)")])
        self.assertTrue([text for text in said if " (again)" in text])
        for text in said:
            # Every repeat is of something that was said before, in the same words.
            first = text.removesuffix(" (lost)").removesuffix(" (again)")
            if " (again)" in text:
                self.assertIn(first, [other.removesuffix(" (lost)") for other in said])

    async def test_hopeless(self) -> None:
        """If nearly everything is lost, it ends with status 1 and says who did not answer."""
        self.quick(0.01, 1.3, 5)
        status, lines = await self.run_demo(loss=0.99)
        self.assertEqual(status, FAILED)
        port = re.match(r"initiator .*, responder (.*)", lines[0])
        assert port is not None
        self.assertTrue(lines[-1].startswith(f"No tunnel: no answer from {port[1]}"), lines[-1])
        self.assertEqual(len(steps(lines)), 6)

    async def test_in_time(self) -> None:
        """It ends in time, whatever is lost when: in phase 1 or in phase 2."""
        self.patch(Choices, "seconds", property(lambda _: 1.3))
        for lost in (ExchangeType.IDENTITY_PROTECTION, ExchangeType.QUICK_MODE):
            self.lose(partial(lambda lost, ports, header: header.exchange_type == lost, lost))
            status, lines = await self.run_demo()
            self.assertEqual(status, FAILED)
            self.assertEqual(lines[-1], "No tunnel: it was not agreed within 1 seconds")

    async def test_answer_lost(self) -> None:
        """That the initiator is content is not enough: the responder must have it too."""
        self.patch(Choices, "seconds", property(lambda _: 1.3))

        def last(ports: LossyPorts, header: Header) -> bool:
            initiators = ports._ports is inner[0]
            return initiators and header.exchange_type == ExchangeType.QUICK_MODE and told(header)

        inner: list[object] = []
        seen: list[int] = []

        def told(header: Header) -> bool:
            seen.append(header.message_id)
            return len(seen) > 1

        init = LossyPorts.__init__

        def made(ports: LossyPorts, under: IPorts, *rest: Any) -> None:
            inner.append(under)
            init(ports, under, *rest)

        self.patch(LossyPorts, "__init__", made)
        self.lose(last)
        status, lines = await self.run_demo()
        self.assertEqual(status, FAILED)
        self.assertEqual(lines[-1], "No tunnel: it was not agreed within 1 seconds")

    async def test_delete_lost(self) -> None:
        """
        If the Delete is lost, nobody can know: that is said, and the other end deletes by itself.
        """
        self.lose(lambda ports, header: header.exchange_type == ExchangeType.INFORMATIONAL)
        status, lines = await self.run_demo()
        self.assertEqual(status, OK, lines)
        self.assertIn("The Delete was lost", "\n".join(lines))
        self.assertEqual(lines[-1], "Both registries are empty, and so are both sinks.")


class LossyPortsTests(SynchronousTestCase):
    """What loses."""

    def fates(self, loss: float, seed: int, count: int = 1000) -> list[bool]:
        sent: list[Datagram] = []

        class Wire:
            def source(self, remote: str, port: int) -> tuple[str, int]:
                raise NotImplementedError

            def send(self, datagram: Datagram) -> None:
                sent.append(datagram)

        ports = LossyPorts(Wire(), loss, random.Random(seed))  # type: ignore[arg-type]
        verifyObject(IPorts, ports)
        path = Path(("127.0.0.1", 1), ("127.0.0.2", 2))
        fates = []
        for number in range(count):
            datagram = Datagram(number.to_bytes(4), path)
            ports.send(datagram)
            self.assertEqual(ports.lost, datagram not in sent[-1:])
            fates.append(ports.lost)
        self.assertEqual(len(sent), fates.count(False))
        return fates

    def test_share(self) -> None:
        """The share that is lost is about the one I said; none is none, and all is all."""
        self.assertTrue(250 < self.fates(0.3, 7).count(True) < 350)
        self.assertEqual(self.fates(0.0, 7).count(True), 0)
        self.assertEqual(self.fates(1.0, 7).count(True), 1000)

    def test_seed(self) -> None:
        """The same seed loses the same, another one others."""
        self.assertEqual(self.fates(0.3, 7), self.fates(0.3, 7))
        self.assertNotEqual(self.fates(0.3, 7), self.fates(0.3, 8))
