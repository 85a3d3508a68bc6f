"""
What the pages on traffic say is so: their tables are the code's, and the sink they show is one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from isakmp.assembly import Assembly
from isakmp.config import load
from isakmp.sinks.memory import MemorySink
from isakmp.sinks.xfrm import algorithms
from isakmp.testing import LossyNetwork, VirtualClock
from tests.pages import CHECKOUT, DOC, blocks, page
from tests.test_documentation import LITERAL, ROW, section


class TableTests(SynchronousTestCase):
    """Tables of the kernel's algorithms and of a script's variables."""

    def test_algorithms(self) -> None:
        """The page on the kernel has every algorithm by the kernel's name, and no other."""
        text = section(page("how-to/kernel.rst"), "What each algorithm needs of the kernel")
        said = {name for _, names in ROW.findall(text) for name in LITERAL.findall(names)}
        known = {*algorithms.CIPHERS.values(), *algorithms.COMPRESSIONS.values()}
        known |= {name for name, _ in algorithms.COMBINED.values()}
        known |= {name for name, _ in algorithms.INTEGRITIES.values()}
        self.assertEqual(said, known)

    def test_updown(self) -> None:
        """The page on scripts has every variable that a script may be told, and no other."""
        rows = ROW.findall(section(page("how-to/updown.rst"), "What it is told"))
        said = [name for names, _ in rows for name in LITERAL.findall(names)]
        source = (CHECKOUT / "isakmp" / "updown" / "call.py").read_text()
        known = set()
        for name in re.findall(r'f?"(PLUTO_[A-Z_{}a-z]+)"', source):
            ends = ("MY", "PEER") if "{who}" in name else ("IN", "OUT")
            known |= {name.replace("{who}", end).replace("{way}", end) for end in ends}
        self.assertEqual(sorted(said), sorted(known))


class SinkTests(SynchronousTestCase):
    """The sink of the page on sinks, between two nodes in memory."""

    def test_turnstile(self) -> None:
        """
        Its traffic begins the child, then leaves by it, and is counted; what it counted goes with
        the SAs.
        """
        (block,) = [
            block
            for block in blocks(DOC / "how-to" / "write-a-sink.rst")
            if "class Turnstile" in block.text
        ]
        names: dict[str, Any] = {}
        exec(compile(block.text, block.place, "exec"), names)
        clock = VirtualClock()
        network = LossyNetwork(clock)
        ends: dict[str, Assembly] = {}
        for name, address, sink in (
            ("isakmp", "10.77.0.1", names["turnstile"]),
            ("charon", "10.77.0.2", MemorySink()),
        ):
            file = Path(self.mktemp())
            text = (DOC / "examples" / "two-namespaces" / name / "swanctl.conf").read_text()
            file.write_text(text.replace("start_action = start", "start_action = trap"))
            found = load.load(str(file))
            ends[name] = Assembly(
                found.connections,
                found.secrets,
                clock=clock,
                ports=network.attach(address, lambda d, name=name: ends[name].datagram_received(d)),
                sink=sink,
            )
            self.successResultOf(sink.start(ends[name].node.events))
            ends[name].traps.keep(found.connections)
        sink = names["turnstile"]
        self.assertFalse(sink.leaves("lab", "net", 84))  # it waits
        clock.run_until(10)
        (bundle,) = sink.standing.values()
        self.assertTrue(sink.leaves("lab", "net", 84))
        usage = self.successResultOf(sink.query(bundle))
        self.assertEqual((usage.packets_out, usage.octets_out, usage.counted), (1, 84, True))
        self.assertEqual(sink.reqid(bundle), 1)
        for end in ends.values():
            end.stop()
        clock.run_until(20)
        self.successResultOf(sink.remove(bundle))
        self.assertEqual(self.successResultOf(sink.query(bundle)).packets_out, 0)
