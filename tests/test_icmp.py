"""
What could not be delivered is heard, on real sockets, and explains; it decides nothing.
"""

from __future__ import annotations

import socket

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from isakmp.errors import ExchangeTimeout
from isakmp.icmp import AVAILABLE, _said
from isakmp.paths import Address, Datagram, Path
from isakmp.udp import UDPPorts
from tests.nodes import ALICE, BOB, pair
from tests.samples import logged


class PortTests(TestCase):
    skip = None if AVAILABLE else "this system does not tell"

    async def heard(self, listening: str, host: str) -> None:
        told: Deferred[tuple[Datagram, str]] = Deferred()
        got: list[Datagram] = []

        def undelivered(datagram: Datagram, why: str) -> None:
            if not told.called:
                told.callback((datagram, why))

        ports = UDPPorts(reactor, got.append, undelivered)  # type: ignore[arg-type]
        port = ports.listen(listening, 0)[1]
        self.addCleanup(ports.close)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as gone:
            gone.bind((host, 0))
            remote: Address = host, gone.getsockname()[1]
        local: Address = host, port
        ports.send(Datagram(b"is anybody there?", Path(local, remote)))
        datagram, why = await told.addTimeout(5.0, reactor)  # type: ignore[arg-type]
        self.assertEqual((datagram.octets, datagram.path.remote), (b"is anybody there?", remote))
        self.assertEqual(why, f"{host} says by ICMP that nobody listens on that port")
        # The socket lives, and sends the next datagram, the error notwithstanding.
        ports.send(Datagram(b"again", Path(local, remote)))
        ports.send(Datagram(b"to myself", Path(local, local)))
        for _ in range(100):
            if got:
                break
            await deferLater(reactor, 0.02, lambda: None)  # type: ignore[arg-type]
        self.assertEqual([one.octets for one in got], [b"to myself"])

    async def test_one_address(self) -> None:
        """A port at one address hears that nobody listens there, and goes on."""
        await self.heard("127.0.0.1", "127.0.0.1")

    async def test_every_address(self) -> None:
        """So does one at every address."""
        await self.heard("0.0.0.0", "127.0.0.1")


class MeaningTests(SynchronousTestCase):
    def test_garbage(self) -> None:
        """What is too short, or not of the network, says nothing."""
        for data in (b"", bytes(15), bytes(16), b"\xff" * 16, b"\xff" * 64):
            self.assertEqual(_said(data), "")


class ExchangeTests(SynchronousTestCase):
    def test_explains(self) -> None:
        """A report shortens nothing, is logged once, and is in the sentence of the time-out."""
        notes = logged(self)
        both = pair()
        both.network.cut = True
        failures: list[object] = []
        both.a.establish().addErrback(failures.append)
        sent = both.a.sent[0][1].datagram
        forged = Path(sent.path.local, (BOB, 501))
        why = "192.0.2.254 says by ICMP that nobody listens on that port"
        for datagram in (
            Datagram(b"", sent.path),
            Datagram(sent.octets[:7], sent.path),
            Datagram(sent.octets, forged),
            Datagram(bytes(28), sent.path),
        ):
            both.a.endpoint.undelivered(datagram, why)
        said = [note for note in notes if why in str(note.get("why", ""))]
        self.assertEqual(said, [])
        for _ in range(3):
            both.a.endpoint.undelivered(Datagram(sent.octets[:28], sent.path), why)
        said = [note for note in notes if why in str(note.get("why", ""))]
        self.assertEqual(len(said), 1)
        both.clock.run_until(both.clock.seconds() + 60)
        self.assertEqual(failures, [])
        both.clock.run_until(both.clock.seconds() + 60)
        (failure,) = failures
        error = failure.value  # type: ignore[attr-defined]
        self.assertIsInstance(error, ExchangeTimeout)
        self.assertIn(f"no answer from {BOB}:500: {why}, unauthenticated", str(error))
        self.assertIn("Ask the peer's administrator whether its daemon runs", str(error))
        self.assertTrue(ALICE)
