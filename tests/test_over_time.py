"""When an ISAKMP SA is renewed and when it ends, by what ``swanctl.conf`` says."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from isakmp.config.load import load
from isakmp.events import Established, Removal, Removed
from isakmp.interfaces import IManagementSA
from isakmp.sinks.memory import MemorySink
from isakmp.testing import FixedEntropy, LossyNetwork, VirtualClock, settle
from tests.nodes import Member
from tests.samples import PEER, US
from tests.sinks.xfrm.kernel import written

TIMES = "rekey_time = 1000s\nover_time = 200s\nrand_time = 100s"


class OverTimeTests(SynchronousTestCase):
    def up(self, connection: str, seed: int = 0) -> None:
        """Two ends, and an ISAKMP SA that stands from now on."""
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        self.clock = VirtualClock()
        self.network = LossyNetwork(self.clock)
        self.ends = []
        for own, peer, text in ((US, PEER, connection), (PEER, US, "rekey_time = 0")):
            file = folder / f"{own}.conf"
            file.write_text(written("rekey_time = 0", text, own, peer))
            found = load(str(file))
            sink = MemorySink(FixedEntropy(own))
            self.ends.append(
                Member(
                    *(self.network, self.clock, own, found.connections),
                    secrets=tuple(found.secrets),
                    sink=sink,
                    seed=seed,
                )
            )
        settle(self.clock, self.ends[0].establish("net", "gw"))
        self.begun = self.born()[0]

    def born(self) -> list[float]:
        """When our ISAKMP SAs came up."""
        return [
            time
            for time, event in self.ends[0].events
            if isinstance(event, Established) and IManagementSA.providedBy(event.sa)
        ]

    def expired(self) -> list[float]:
        """After how many seconds our first ISAKMP SA was over."""
        return [
            time - self.begun
            for time, event in self.ends[0].events
            if isinstance(event, Removed)
            and IManagementSA.providedBy(event.sa)
            and event.why is Removal.EXPIRED
        ]

    def test_renewed(self) -> None:
        """
        It is renewed at ``rekey_time``, or by chance up to ``rand_time`` earlier; neither earlier
        nor later, and not always at the same time.
        """
        waits = []
        for seed in range(12):
            self.up(TIMES, seed)
            self.clock.run_until(self.begun + 1100.0)
            born = self.born()
            self.assertEqual(len(born), 2)
            waits.append(born[1] - born[0])
        self.assertGreaterEqual(min(waits), 900.0)
        self.assertLess(max(waits), 1001.0)
        self.assertGreater(max(waits) - min(waits), 20.0)

    def test_ended(self) -> None:
        """If it cannot be renewed it ends ``over_time`` after ``rekey_time``, and not before."""
        self.up(TIMES)
        self.network.cut = True
        self.clock.run_until(self.begun + 1199.0)
        self.assertEqual((len(self.ends[0].sas), self.expired()), (1, []))
        self.clock.run_until(self.begun + 1201.0)
        self.assertEqual(self.ends[0].sas, [])
        self.assertEqual([round(after) for after in self.expired()], [1200])

    def test_unsaid(self) -> None:
        """Unless said, over_time is a tenth, and the spread as much."""
        self.up("rekey_time = 1000s")
        self.network.cut = True
        self.clock.run_until(self.begun + 1101.0)
        self.assertEqual([round(after) for after in self.expired()], [1100])

    def test_never(self) -> None:
        """Without a time it is neither renewed nor over, whatever ``over_time`` says."""
        self.up("rekey_time = 0\nover_time = 0")
        self.clock.run_until(self.begun + 10 * 86400.0)
        self.assertEqual((len(self.born()), self.expired()), (1, []))
