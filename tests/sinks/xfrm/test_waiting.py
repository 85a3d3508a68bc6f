"""Packets that wait for an SA."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from isakmp.sinks.xfrm.waiting import WaitingPackets


class WaitingPacketsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.setting = Path(self.mktemp())
        self.setting.write_text("1\n")

    def test_kept(self) -> None:
        """They are kept while there are policies, and then it is as it was."""
        waiting = WaitingPackets(self.setting)
        for _ in range(2):
            waiting.keep()
            self.assertEqual(self.setting.read_text(), "0\n")
        for _ in range(2):
            waiting.restore()
            self.assertEqual(self.setting.read_text(), "1\n")

    def test_kept_already(self) -> None:
        """What somebody else has set stays."""
        self.setting.write_text("0\n")
        waiting = WaitingPackets(self.setting)
        waiting.keep()
        self.assertFalse(waiting.changed)
        waiting.restore()
        self.assertEqual(self.setting.read_text(), "0\n")

    def test_dead_run(self) -> None:
        """What a dead run has set is as a kernel has it by itself again; what nobody has, stays."""
        waiting = WaitingPackets(self.setting)
        waiting.keep()
        self.assertTrue(waiting.changed)
        again = WaitingPackets(self.setting)
        again.restore_default()
        self.assertEqual(self.setting.read_text(), "1\n")
        self.assertFalse(again.changed)
        self.setting.write_text("2\n")
        again.restore_default()
        self.assertEqual(self.setting.read_text(), "2\n")

    def test_impossible(self) -> None:
        """Where it cannot be set, that is one line, and nothing fails."""
        waiting = WaitingPackets(self.setting / "nowhere")
        waiting.keep()
        waiting.keep()
        self.assertFalse(waiting.changed)
        waiting.restore_default()
        waiting.restore()
