"""
The log of a running daemon: its format and levels, as the file says and after SIGHUP.
"""

from __future__ import annotations

import json
import signal

from twisted.trial.unittest import SynchronousTestCase

from tests.daemons import Folder, Road, free_ports


class FormatTests(SynchronousTestCase):
    def test_hangup(self) -> None:
        """
        JSON from the first line on, without an option of twistd's; after SIGHUP text, and of a
        group that is silenced nothing.
        """
        folder = Folder(self)
        folder.write(Road("road", "127.0.0.1", "127.0.0.2"))
        port = f"port = {free_ports(1)[0]}"
        folder.write_settings(port, "[log]", 'format = "json"')
        daemon = folder.process(self)
        daemon.start()
        found = [json.loads(line) for line in daemon.log().splitlines()]
        (listening,) = (one for one in found if "addresses" in one)
        self.assertEqual((listening["group"], listening["level"]), ("CFG", "info"))
        folder.write_settings(port, "[log]", 'format = "text"', "[log.levels]", "cfg = 1")
        daemon.hang_up()
        daemon.expect(r"\[isakmp\.daemon\.Daemon#info\] reloaded ")
        folder.write_settings(port, "[log.levels]", "cfg = -1")
        daemon.hang_up()
        self.assertEqual(daemon.stop(), -signal.SIGTERM)
        self.assertEqual(daemon.log().count("] reloaded "), 1)
        self.assertEqual(daemon.faults(), [])
