"""
The benchmarks of a responder measure what they say: tiny runs, with no eye on the time they take.
"""

from __future__ import annotations

import json
import subprocess
import sys
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from tests.bench import _processes, half_open, handshake, memory
from tests.bench._processes import (
    RESPONDERS,
    Held,
    Suites,
    laboratory,
    obstacle,
    ratio,
    result,
    spread,
)
from tests.interop import CHECKOUT
from tests.interop.charon import Charon

OTHER = Suites("aes256-sha384-modp2048")
"""What nobody here takes."""

THREE = {"median", "least", "most"}


class FiguresTests(SynchronousTestCase):
    def test_spread(self) -> None:
        """Of some rounds the median is told, and how far they lie apart."""
        self.assertEqual(spread([3.0, 1.0, 2.00049]), {"median": 2.0, "least": 1.0, "most": 3.0})

    def test_ratio(self) -> None:
        """A ratio is that of medians: one round that somebody disturbed counts for nothing."""
        self.assertEqual(ratio([1.0, 1.0, 90.0], [4.0, 4.0, 0.1]), 0.25)

    def test_obstacle(self) -> None:
        """Where nothing can be measured, that is what is printed."""
        with mock.patch.object(_processes, "obstacle", return_value="no root"):
            told = result("handshake", lambda: self.fail("it was measured"))  # type: ignore[arg-type,return-value]
        self.assertEqual(told, {"bench": "handshake", "not_run": "no root"})


class Processes(SynchronousTestCase):
    skip = obstacle()

    def program(self, name: str, *arguments: int) -> dict[str, object]:
        """What ``python -m tests.bench.NAME`` prints."""
        ended = subprocess.run(
            [sys.executable, "-m", f"tests.bench.{name}", *map(str, arguments)],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertEqual(ended.returncode, 0, ended.stderr)
        printed: dict[str, object] = json.loads(ended.stdout)
        return printed


class HandshakeTests(Processes):
    def test_all(self) -> None:
        """
        Every responder establishes every handshake that is asked of it; each has its
        milliseconds, and charon its ratios.
        """
        suites = ["modp2048_pfs", "curve25519"]
        with mock.patch.object(handshake, "WARM_UP", 2):
            measured = handshake.measure(handshakes=3, rounds=1, suites=suites)
        self.assertEqual((measured["handshakes"], measured["rounds"]), (3, 1))
        self.assertEqual(list(measured["suites"]), suites)
        for figures in measured["suites"].values():
            for name in RESPONDERS:
                self.assertEqual(set(figures[f"{name}_ms"]), THREE)
            self.assertLessEqual({"ratio_charon", "ratio_charon_short"}, set(figures))

    def test_agreed(self) -> None:
        """What is said to be measured is what charon has agreed to."""
        for name, group in (("modp2048_pfs", "MODP_2048"), ("curve25519", "CURVE_25519")):
            with laboratory() as place:
                suites = handshake.SUITES[name]
                with place.bench(RESPONDERS["charon"], suites, 2) as bench:
                    bench.initiator.handshakes(2, 2)
                    peer: Charon = bench.responder._charon  # type: ignore[attr-defined]
                    sas = peer.list_sas()
            self.assertEqual(len({sa.remote_id for sa in sas}), 2)
            for sa in sas:
                self.assertTrue(sa.algorithms.endswith(f"HMAC_SHA2_256/{group}"), sa.algorithms)
                (child,) = sa.children
                self.assertEqual(child.algorithms.endswith(group), name.endswith("_pfs"))
                self.assertEqual(child.remote_ts[0][-3:], "/32")

    def test_short_exponents(self) -> None:
        """The best that charon can do is done by the plugin that is said to do it."""
        with laboratory() as place:
            for name, plugin in (("charon", "openssl"), ("charon_short", "gmp")):
                with place.bench(RESPONDERS[name], Suites(), 0) as bench:
                    peer: Charon = bench.responder._charon  # type: ignore[attr-defined]
                    listed = peer.swanctl("--list-algs")
                    # The plugin is told behind the algorithm.
                    self.assertIn(f"MODP_2048[{plugin}]", listed)

    def test_failing(self) -> None:
        """A handshake that fails is no result."""
        with (
            laboratory() as place,
            place.bench(RESPONDERS["ours"], Suites(), 1, OTHER) as bench,
        ):
            error = self.assertRaises(AssertionError, bench.initiator.handshakes, 1, 1)
            self.assertIn("NO-PROPOSAL-CHOSEN", str(error))
            self.assertEqual(bench.responder.held(), Held())

    def test_not_established(self) -> None:
        """Without the SAs there is no figure."""
        lost = mock.patch.object(_processes.OurResponder, "held", return_value=Held(1, 1))
        with lost, laboratory() as place:
            ours = RESPONDERS["ours"]
            for error in (
                self.assertRaises(AssertionError, handshake.cost, place, ours, Suites(), 2),
                self.assertRaises(AssertionError, memory.growth, place, ours, 2),
            ):
                self.assertIn("Held(isakmp=1", str(error))


class MemoryTests(Processes):
    def test_program(self) -> None:
        """It prints what one pair takes of both, and they hold all that was asked for."""
        printed = self.program("memory", 5, 1)
        self.assertEqual((printed["bench"], printed["pairs"]), ("memory", 5))
        for name in ("ours_kib", "charon_kib"):
            self.assertEqual(set(printed[name]), THREE)  # type: ignore[call-overload]
        self.assertIn("ratio", printed)


class HalfOpenTests(Processes):
    def test_program(self) -> None:
        """It prints what one first message takes of both, and both remember all of them."""
        printed = self.program("half_open", 20, 1)
        self.assertEqual((printed["bench"], printed["messages"]), ("half_open", 20))
        for name in ("ours_kib", "charon_kib", "ours_ms", "charon_ms"):
            self.assertEqual(set(printed[name]), THREE)  # type: ignore[call-overload]
        self.assertLessEqual({"ratio_memory", "ratio_processor"}, set(printed))

    def test_remembered(self) -> None:
        """Each responder has the exchanges that were begun, and nothing else."""
        with laboratory() as place:
            for name in ("ours", "charon"):
                with place.bench(RESPONDERS[name], Suites(), 0) as bench:
                    bench.initiator.first_messages(40)
                    self.assertEqual(bench.responder.held(), Held(half_open=40), name)

    def test_unanswered(self) -> None:
        """If somebody gets another answer than message 2, or none, there is no figure."""
        with laboratory() as place:
            with place.bench(RESPONDERS["ours"], Suites(), 0, OTHER) as bench:
                self.assertRaises(AssertionError, bench.initiator.first_messages, 1)
            with mock.patch.object(_processes.OurResponder, "held", return_value=Held()):
                error = self.assertRaises(
                    AssertionError, half_open.cost, place, RESPONDERS["ours"], 2
                )
            self.assertIn("Held(isakmp=0", str(error))
