"""
Sinks that protect nothing: whoever has chosen one, and whoever only looks on, is told so.
"""

from __future__ import annotations

from tests.interop.configured import ConfiguredTestCase
from tests.interop.daemon import DaemonProcess
from tests.interop.vici import inner

NAME, CHILD = "aes128-sha256-modp2048", "net"


class LogTests(ConfiguredTestCase):
    """
    The sink ``log``.

    :cvar sink: its name.
    :cvar at_start: what the log says when the daemon starts; ``on_sa`` of a child that has come up.
    """

    sink = "log"
    at_start = r"#warn\] the sink log protects no traffic"
    on_sa = rf"not protected: {NAME} {CHILD}, SPI [0-9a-f]{{8}} in, [0-9a-f]{{8}} out, "

    def up(self) -> DaemonProcess:
        """Our daemon with that sink, and one child."""
        ours, peer = self.prepare(NAME)
        (ours.directory / "isakmp.toml").write_text(f'sink = "{self.sink}"\n')
        self.run_both(ours, peer)
        self.wait_for_children(ours, peer, (NAME, CHILD))
        return ours

    def test_at_start(self) -> None:
        """It is said when the daemon starts, as a warning, before anything is begun."""
        ours, _ = self.prepare(NAME)
        (ours.directory / "isakmp.toml").write_text(f'sink = "{self.sink}"\n')
        (ours.directory / "nothing.conf").write_text("")
        ours.start("nothing.conf")
        self.assertRegex(ours.log(), self.at_start)

    def test_on_every_sa(self) -> None:
        """It is said of each child that comes up, as a line of the log and as an event."""
        ours = self.up()
        lines = [line for line in ours.happened("log") if "not protected" in str(line["msg"])]
        self.assertRegex(str(lines[-1]["msg"]), self.on_sa)
        self.assertEqual({(line["level"], line["ikesa-name"]) for line in lines}, {("0", NAME)})
        ours.ask("initiate", {"ike": NAME, "child": CHILD})
        again = [line for line in ours.told() if "not protected" in line]
        self.assertGreater(len(again), len(lines))
        (event,) = ours.happened("child-updown")
        (child,) = inner(inner(inner(event)[NAME])["child-sas"]).values()
        self.assertEqual(child["protected"], "no")

    def test_in_list_sas(self) -> None:
        """
        Whoever lists SAs reads it: with ``swanctl --list-sas`` in what that prints of a child, and
        with whatever else speaks vici in a key of its own.
        """
        ours = self.up()
        (sa,) = ours.vici.listed("list-sas", "list-sa")
        (child,) = inner(inner(inner(sa)[NAME])["child-sas"]).values()
        self.assertEqual(child["protected"], "no")
        shown = ours.swanctl("--list-sas")
        self.assertIn(f"NOT PROTECTED: the sink {self.sink} protects nothing\n", shown)


class MemoryTests(LogTests):
    """
    The sink ``memory``.
    """

    sink = "memory"
    at_start = r"#warn\] the sink memory protects no traffic"
    on_sa = rf"not protected: {NAME}/{CHILD}: the sink memory protects no traffic"
