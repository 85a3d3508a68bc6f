"""
Real daemons on loopback: ``twistd -n --pidfile= isakmp --config FILE --settings FILE``.
"""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.packet_info import AVAILABLE
from tests.daemons import SECRET, Folder, Road, free_ports, secret
from tests.interop.daemon import DaemonProcess
from tests.interop.vici import inner

SECRETS = (secret("a.lab", "b.lab"),)

STARTED = ("esp_proposals = aes128-sha256", "start_action = start")

_CHILD = re.compile(r"SPI (\S+) in, \S+ out, is (established|gone)")


def counted(log: str) -> list[int]:
    """How many children stood after each line of the log that tells of one."""
    standing: set[str] = set()
    found = []
    for spi, what in _CHILD.findall(log):
        (standing.add if what == "established" else standing.discard)(spi)
        found.append(len(standing))
    return found


class ProcessTestCase(SynchronousTestCase):
    """Alice begins; Bob listens, on all addresses unless told."""

    skip = None if AVAILABLE else "127.0.0.2 and its neighbours are there on Linux only"

    def setUp(self) -> None:
        self.ours, self.theirs = Folder(self), Folder(self)
        self.port, self.their_port, self.other_port = free_ports(3)
        self.ours.write_settings(f"port = {self.port}", 'listen = ["127.0.0.1"]')
        self.theirs.write_settings(f"port = {self.their_port}")
        self.alice, self.bob = self.ours.process(self), self.theirs.process(self)

    def hers(self, name: str = "road", number: int = 2, extra: Sequence[str] = ()) -> Road:
        """Alice's end of a connection with 127.0.0.N: networks 10.1.N.0 and 10.2.N.0."""
        return Road(
            name,
            "127.0.0.1",
            f"127.0.0.{number}",
            local_ts=f"10.1.{number}.0/24",
            remote_ts=f"10.2.{number}.0/24",
            extra=(f"remote_port = {self.their_port}", *extra),
            child=STARTED,
        )

    def his(self, name: str = "road", number: int = 2) -> Road:
        """Bob's end."""
        return Road(
            name,
            f"127.0.0.{number}",
            "127.0.0.1",
            "b.lab",
            "a.lab",
            f"10.2.{number}.0/24",
            f"10.1.{number}.0/24",
            extra=(f"remote_port = {self.port}",),
        )

    def up(self) -> None:
        """Both run, and what shall stand does."""
        self.bob.start()
        self.alice.start()
        self.agree()

    def agree(self, count: int = 1, timeout: float = 12.0) -> None:
        """
        Waits until both have so many children, and the same.

        :raises AssertionError: if they do not in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            ours, theirs = self.alice.standing(), self.bob.standing()
            if len(ours.children) == count and theirs.crosswise == ours:
                return
            if time.monotonic() > deadline:
                self.fail(f"{ours}\n{theirs}\n{self.alice.log()}\n{self.bob.log()}")
            time.sleep(0.02)

    def stop(self, one: DaemonProcess) -> None:
        """SIGTERM: it ends within two seconds, by itself."""
        # Twisted's last act is to end by the signal that it was told to end by.
        self.assertIn(one.stop(within=2.0), (0, -signal.SIGTERM))
        self.assertIn("Server Shut Down", one.log())

    def assert_clean(self, *daemons: DaemonProcess) -> None:
        """Nothing went wrong, and no log has the secret."""
        for one in daemons or (self.alice, self.bob):
            self.assertEqual(one.faults(), [])
            self.assertNotIn(SECRET, one.log())


class LifeTests(ProcessTestCase):
    def test_life(self) -> None:
        """
        What shall stand comes up by itself.  The child is renewed again and again, so that the SPIs
        change and the old ones go, and neither end is ever without one; the ISAKMP SA is renewed,
        and its children stay.  On SIGTERM the daemon is gone within two seconds, and its peer has
        nothing left with it.
        """
        short = ("rekey_time = 1s", "life_time = 30s", "rand_time = 0s")
        times = ("rekey_time = 2s", "over_time = 30s", "rand_time = 0s")
        road = self.hers(extra=times)
        self.ours.write(replace(road, child=(*STARTED, *short)), secrets=SECRETS)
        self.theirs.write(self.his(), secrets=SECRETS)
        self.up()
        for event, count in (("child-rekey", 3), ("ike-rekey", 2)):
            self.alice.wait_until(lambda e=event, c=count: len(self.alice.happened(e)) >= c)
        self.agree()
        for one, why in ((self.alice, "replaced"), (self.bob, "deleted by the peer")):
            log = one.log()
            gone = re.findall(r"(?:SPI|ISAKMP SA) .* is gone: (.*)", log)
            self.assertEqual(set(gone), {why})
            spis = re.findall(r"SPI (\S+) in, \S+ out, is established", log)
            self.assertEqual(len(set(spis)), len(spis))
            self.assertGreater(min(counted(log)), 0)
        self.stop(self.alice)
        self.bob.wait_until(lambda: not self.bob.standing())
        self.assertEqual(self.alice.told_up(), set())
        self.assertIn("is gone: this node stops", self.alice.log())
        self.stop(self.bob)
        self.assert_clean()

    def test_stop_without_a_peer(self) -> None:
        """It is gone as fast if nobody is there to be told, in the middle of an attempt."""
        self.ours.write(self.hers(), secrets=SECRETS)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.2", self.their_port))
            silent.settimeout(10.0)
            self.alice.start()
            self.assertEqual(silent.recv(4000), silent.recv(4000))  # so it runs, and repeats
        self.stop(self.alice)
        self.assert_clean(self.alice)

    def test_address(self) -> None:
        """
        Bob listens on all addresses; Alice asks him on 127.0.0.7, and from there he answers and has
        his SAs, whichever of his addresses would be nearer.
        """
        self.ours.write(self.hers(number=7), secrets=SECRETS)
        self.theirs.write(replace(self.his(number=7), local="0.0.0.0/0"), secrets=SECRETS)
        self.up()
        for one, end in ((self.alice, "remote"), (self.bob, "local")):
            (sa,) = one.vici.listed("list-sas", "list-sa")
            found = inner(sa)["road"]
            where = found[f"{end}-host"], found[f"{end}-port"]
            self.assertEqual(where, ("127.0.0.7", str(self.their_port)))
        self.bob.expect(r"listening on 0\.0\.0\.0:\d+")
        self.assert_clean()


class RestartTests(ProcessTestCase):
    def test_restart(self) -> None:
        """
        A peer that stops, and comes back: what shall stand is begun again, after a pause, until it
        does.  One that is killed and comes back begins again itself: its old SAs are forgotten.
        """
        self.ours.write(self.hers(), secrets=SECRETS)
        self.theirs.write(self.his(), secrets=SECRETS)
        self.up()
        before = self.alice.standing()
        self.stop(self.bob)
        self.alice.wait_for_told(
            r"SPI .* is gone: deleted by the peer", r"road/net is tried again in \d s"
        )
        self.bob.start()
        self.agree()
        after = self.alice.standing()
        self.assertFalse(after.children & before.children)
        self.bob.kill()
        self.theirs.write(replace(self.his(), child=STARTED), secrets=SECRETS)
        self.bob.start()
        self.alice.wait_for_told(r"is gone: the peer began afresh")
        self.agree()
        self.assertFalse(self.alice.standing().isakmp & after.isakmp)
        self.assert_clean()


class ReloadTests(ProcessTestCase):
    def test_reload(self) -> None:
        """
        SIGHUP: what is the same is not disturbed, what is gone is torn down at both ends, what is
        new comes up, on a port of its own if it has one; a broken file is told, and nothing
        changes; and what has changed counts when it is negotiated again.
        """
        stays, goes = self.hers("stays", 2), self.hers("goes", 3)
        his = [self.his(name, number) for number, name in enumerate(("stays", "goes", "comes"), 2)]
        self.ours.write(stays, goes, secrets=SECRETS)
        self.theirs.write(*his, secrets=SECRETS)
        self.bob.start()
        self.alice.start()
        self.agree(2)
        before = self.alice.standing()

        self.ours.write(replace(stays, extra=("remote_prot = 1",)), goes, secrets=SECRETS)
        self.alice.hang_up()
        self.alice.wait_for_told(
            r"^not reloaded: swanctl\.conf:6: connections\.stays\.remote_prot: "
        )
        self.assertEqual(self.alice.standing(), before)

        comes = self.hers("comes", 4, extra=(f"local_port = {self.other_port}",))
        self.ours.write(stays, comes, secrets=SECRETS)
        self.alice.hang_up()
        self.alice.wait_for_told(
            r"goes/net, .* is gone: deleted here",
            r"reloaded swanctl\.conf: 2 connections",
            r"comes/net, .* is established",
        )
        self.agree(2)
        after = self.alice.standing()
        self.assertEqual({name for name, *_ in after.children}, {"stays", "comes"})
        for old, new in ((before.isakmp, after.isakmp), (before.children, after.children)):
            self.assertEqual({name for name, *_ in old & new}, {"stays"})
        self.bob.wait_for_told(
            r"goes/net, .* is gone: deleted by the peer",
            rf"comes, .* at 127\.0\.0\.1:{self.other_port}, is established",
        )

        protected = ("esp_proposals = aes128-sha384", "start_action = start")
        self.ours.write(replace(stays, child=protected), comes, secrets=SECRETS)
        self.theirs.write(replace(his[0], child=protected[:1]), his[2], secrets=SECRETS)
        for one in (self.alice, self.bob):
            one.hang_up()
        self.bob.wait_for_told(r"^reloaded swanctl\.conf: 2 connections")
        reloaded = "reloaded swanctl.conf: 2 connections"
        self.alice.wait_until(lambda: self.alice.told("CFG").count(reloaded) == 2)
        self.assertEqual(self.alice.standing(), after)
        self.stop(self.bob)
        self.bob.start()
        self.agree(2)
        algorithms = {sa.name: sa.children[0].algorithms for sa in self.alice.list_sas()}
        self.assertIn("SHA2_384", algorithms["stays"])
        self.assertIn("SHA2_256", algorithms["comes"])
        (fault,) = self.alice.faults()
        self.assertIn("not reloaded", fault)
        self.assert_clean(self.bob)
