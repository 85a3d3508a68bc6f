"""
Our daemon at both ends, and what becomes of traffic: what asks for SAs, passes or is dropped, is
protected on its port alone, is renewed under load, and is refused when it comes twice.  Runs in a
guest.

The daemons run throughout: what is tried next is loaded by their control sockets.
"""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path

from isakmp.control.codec import Section
from tests.interop.ends import LEFT_6, RIGHT_6, EndsTestCase, datagrams, inside
from tests.interop.guest import (
    LEFT,
    LEFT_INNER,
    LEFT_NET,
    RIGHT,
    RIGHT_INNER,
    RIGHT_NET,
    KernelSA,
    ip,
    states,
)
from tests.interop.vici import inner

ESP = "esp_proposals = aes128-sha256\n"

_ETH_P_ALL = 3


class _Base(EndsTestCase):
    def children(self, end: str = "left") -> list[Section]:
        """What a daemon lists of its children, the youngest last."""
        daemon = self.ends.left if end == "left" else self.ends.right
        found = []
        for listed in daemon.vici.listed("list-sas", "list-sa"):
            for sa in inner(listed).values():
                children = sa["child-sas"]
                assert isinstance(children, dict)
                found += inner(children).values()
        return sorted(found, key=lambda child: int(str(child["uniqueid"])))

    def packets(self, end: str = "left") -> tuple[int, int]:
        """Those that the kernel has counted in and out, as the daemon lists them."""
        (child,) = self.children(end)
        return int(str(child["packets-in"])), int(str(child["packets-out"]))

    def unload(self, name: str) -> None:
        """A connection, at both ends."""
        for daemon in self.ends.both:
            daemon.ask("unload-conn", {"name": name})

    def silence(self) -> None:
        """No echo comes back."""
        said = self.ping("-c", "2", "-i", "0.1", "-W", "0.2", loss=True)
        self.assertIn(" 100% packet loss", said)


class WantedTests(_Base):
    """
    Traffic that begins what it needs, passes, is dropped, or is protected on its port alone.
    """

    def test_trap(self) -> None:
        """A ping begins the tunnel that it needs, and gets through; the kernel counts it."""
        self.ends.load(ESP, left="start_action = trap")
        self.assertEqual(states(self.left), [])
        self.ping("-c", "3", "-i", "0.3")
        self.ends.left.expect("traffic waits", r"net/child, .* is established")
        for end in (self.left, self.right):
            self.carried(end, "esp")

    def test_trap_6(self) -> None:
        """
        So does a datagram between two hosts by IPv6, and its answer, though neither host knows the
        other's hardware address: how they ask for that is not caught by what waits for the SA, at
        either end, nor when one end has lost the SA.
        """
        hosts = LEFT_6, RIGHT_6
        self.ends.load(f"mode = transport\n{ESP}start_action = trap", hosts=hosts)
        self.forget()
        # No echo: the kernel lets an answer of its own, and by IPv6, not wait for an SA.
        self.exchange(7001, hosts)
        for end in (self.left, self.right):
            self.assertEqual({sa.destination for sa in states(end) if sa.packets}, {*hosts})
        self.forget()
        self.ping(between=hosts)
        ip(self.left, "xfrm state flush")
        self.forget()
        self.ends.left.initiate("net", "child", timeout=5.0)

    def test_flushed(self) -> None:
        """
        Somebody removes all policies and SAs of one end: its policies stand again, so that nothing
        leaves in clear, and traffic begins the child anew.
        """
        self.ends.load(ESP, left="start_action = trap")
        self.ping("-c", "3", "-i", "0.3")
        before = {sa.spi for sa in states(self.left)}
        for what in ("policy", "state"):
            ip(self.left, f"xfrm {what} flush")
        self.ends.left.expect(
            "somebody has removed policies of this host: [1-9]",
            "somebody has removed all SAs",
            r"net/child, .* is gone: expired",
        )
        self.assertIn("dir out", ip(self.left, "xfrm policy"))
        self.ping("-c", "3", "-i", "0.3")
        for end in (self.left, self.right):
            self.carried(end, "esp")
            self.assertEqual(len(states(end)), 2)
            self.assertFalse(before & {sa.spi for sa in states(end)})

    def forget(self) -> None:
        """Neither end knows the other's hardware address any more."""
        for end in (self.left, self.right):
            ip(end, "-6 neigh flush dev eth0")

    def test_control(self) -> None:
        """
        A client installs a trap, lists it, begins its child, lists the SAs with counters that have
        moved as the kernel's have, ends them, and uninstalls the trap.
        """
        left, named = self.ends.left, {"ike": "net", "child": "child"}
        self.ends.load(ESP)
        left.ask("install", named)
        (trap,) = left.vici.listed("list-policies", "list-policy", {"trap": "yes"})
        (policy,) = inner(trap).values()
        self.assertEqual((policy["ike"], policy["child"]), ("net", "child"))
        self.assertEqual((policy["local-ts"], policy["remote-ts"]), ([LEFT_NET], [RIGHT_NET]))
        self.assertIn("dir out", ip(self.left, "xfrm policy"))
        self.ends.begin()
        self.ping("-c", "7", "-i", "0.02")
        listed = left.swanctl("--list-sas")
        kernel = {sa.spi: sa for sa in states(self.left)}
        for direction in ("in", "out"):
            # Not when the last passed: that this kernel does not tell.
            said = re.search(
                rf"{direction} +([0-9a-f]{{8}}),? +(\d+) bytes, +(\d+) packets", listed
            )
            assert said, listed
            sa = kernel[said[1]]
            self.assertEqual((int(said[2]), int(said[3])), (sa.octets, sa.packets))
            self.assertEqual(sa.packets, 7)
        left.terminate(ike="net")
        left.wait_until(lambda: not states(self.left), "the SAs stand")
        self.assertIn("dir out", ip(self.left, "xfrm policy"))
        left.ask("uninstall", named)
        self.ends.gone()

    def test_updown(self) -> None:
        """
        ``updown`` is run at both ends when the child comes up and when it is gone, and is told what
        the kernel knows.
        """
        folder = Path(self.mktemp()).resolve()
        folder.mkdir(parents=True)
        script = folder / "script"
        script.write_text(
            f"#!/bin/sh\nenv >{folder}/new-$1\nmv {folder}/new-$1 {folder}/$1-$PLUTO_VERB\n"
        )
        script.chmod(0o755)
        self.ends.load(ESP, left=f"updown = {script} left", right=f"updown = {script} right")
        self.ends.begin()
        told = {}
        for who in ("left", "right"):
            found = folder / f"{who}-up-client"
            self.ends.left.wait_until(found.exists, "no script is run")
            told[who] = dict(line.split("=", 1) for line in found.read_text().splitlines())
        for who, ours, theirs, here, there, end in (
            ("left", LEFT, RIGHT, LEFT_NET, RIGHT_NET, self.left),
            ("right", RIGHT, LEFT, RIGHT_NET, LEFT_NET, self.right),
        ):
            expected = {
                "PLUTO_VERSION": "1.1",
                "PLUTO_VERB": "up-client",
                "PLUTO_CONNECTION": "child",
                "PLUTO_INTERFACE": "eth0",
                "PLUTO_PROTO": "esp",
                "PLUTO_ME": ours,
                "PLUTO_PEER": theirs,
                "PLUTO_MY_ID": ours,
                "PLUTO_PEER_ID": theirs,
                "PLUTO_MY_CLIENT": here,
                "PLUTO_PEER_CLIENT": there,
                "PLUTO_MY_PORT": "0",
                "PLUTO_PEER_PORT": "0",
                "PLUTO_MY_PROTOCOL": "0",
                "PLUTO_PEER_PROTOCOL": "0",
                "PLUTO_REQID": str(states(end)[0].reqid),
            }
            self.assertEqual({key: told[who].get(key) for key in expected}, expected)
        self.assertEqual(list(folder.glob("*-down-*")), [])
        self.ends.end()
        for who in ("left", "right"):
            found = folder / f"{who}-down-client"
            self.ends.left.wait_until(found.exists, "no script is run")

    def test_drop_and_pass(self) -> None:
        """
        What is to be dropped is, also where it might have gone in clear; what is to pass does, in
        clear, in the midst of what is dropped, and though a tunnel would be there for it; and what
        is beside that is protected.
        """
        self.ping()
        self.ends.load("mode = drop", name="dropped")
        self.silence()
        self.ends.load("mode = pass", name="passed")
        self.ping()
        self.unload("passed")
        self.silence()
        self.unload("dropped")
        self.ping()
        echoes = f"mode = pass\nlocal_ts = {LEFT_NET}[icmp]\nremote_ts = {RIGHT_NET}[icmp]"
        self.ends.load({"child": ESP, "echoes": echoes})
        self.ends.begin()
        self.ping()
        self.assertEqual(self.packets(), (0, 0))
        self.exchange(7001)
        self.assertEqual(self.packets(), (1, 1))

    def exchange(
        self, port: int, between: tuple[str, str] = (LEFT_INNER, RIGHT_INNER)
    ) -> None:
        """One datagram from a port to the same one at the right end, and one back."""
        here, there = between
        with datagrams(self.left, here, port) as left, datagrams(self.right, there, port) as right:
            left.sendto(b"there", (there, port))
            self.assertEqual(right.recvfrom(100)[0], b"there")
            right.sendto(b"back", (here, port))
            self.assertEqual(left.recvfrom(100)[0], b"back")

    def test_ports(self) -> None:
        """
        A child for one port of UDP protects that and nothing else; and what ought to be protected
        and is not does not arrive.
        """
        self.ends.load(
            f"{ESP}local_ts = {LEFT_NET}[udp/7001]\nremote_ts = {RIGHT_NET}[udp/7001]\n"
        )
        self.ends.begin()
        self.exchange(7001)
        for who in ("left", "right"):
            self.assertEqual(self.packets(who), (1, 1))
        self.exchange(7002)
        self.ping()
        for who in ("left", "right"):
            self.assertEqual(self.packets(who), (1, 1))
        policies = re.findall(r"^src (\S+) dst (\S+) .*", ip(self.left, "xfrm policy"), re.M)
        self.assertIn((LEFT_NET, RIGHT_NET), policies)
        # The left end without its policies would send in clear.
        os.kill(self.ends.left.pid, signal.SIGSTOP)
        try:
            ip(self.left, "xfrm policy flush")
            with (
                datagrams(self.left, LEFT_INNER, 7001) as here,
                datagrams(self.right, RIGHT_INNER, 7001) as there,
            ):
                there.settimeout(0.3)
                here.sendto(b"in clear", (RIGHT_INNER, 7001))
                self.assertRaises(TimeoutError, there.recvfrom, 100)
            self.exchange(7002)
        finally:
            os.kill(self.ends.left.pid, signal.SIGCONT)


class RenewedTests(_Base):
    """
    SAs that are renewed or run out, under load.
    """

    def test_packets(self) -> None:
        """An SA that has carried its packets is renewed, and no echo is lost."""
        self.ends.load(f"{ESP}rekey_packets = 40\nlife_packets = 4000\nrand_packets = 10")
        self.ends.begin()
        before = self.children()[0]["spi-in"]
        self.ping("-c", "100", "-i", "0.02")
        self.assertNotEqual(self.children()[-1]["spi-in"], before)

    def test_octets(self) -> None:
        """Likewise its octets."""
        self.ends.load(f"{ESP}rekey_bytes = 20000\nlife_bytes = 2000000\nrand_bytes = 2000")
        self.ends.begin()
        before = self.children()[0]["spi-in"]
        self.ping("-c", "40", "-i", "0.02", "-s", "1000")
        self.assertNotEqual(self.children()[-1]["spi-in"], before)

    def test_expired(self) -> None:
        """One that has carried all it may ends, and is deleted at both ends."""
        self.ends.load(f"{ESP}rekey_bytes = 0\nlife_bytes = 20000")
        self.ends.begin()
        self.ping("-c", "40", "-i", "0.02", "-s", "1000", "-W", "0.2", loss=True)
        self.ends.left.expect(r"net/child, .* is gone: expired")
        self.wait(lambda: not states(self.left) + states(self.right), "the SAs stand")

    def test_rekeying(self) -> None:
        """Renewed every two seconds, by one end, under a flood: no packet is lost."""
        later = "rekey_time = 1h\nlife_time = 2h"
        self.ends.load(f"{ESP}rekey_time = 2s\nlife_time = 20s\nrand_time = 0s", right=later)
        self.flood(3)

    def test_rekeying_both(self) -> None:
        """Renewed by both ends at one time, again and again, under a flood: no packet is lost."""
        self.ends.load(f"{ESP}rekey_time = 2s\nlife_time = 20s\nrand_time = 0s")
        self.flood(3)

    def flood(self, renewals: int) -> None:
        """Nothing is lost while it is renewed so often."""
        self.ends.begin()
        replaced = re.compile(r"net/child, [^\n]* is gone: (?:replaced|deleted by the peer)")
        before = len(replaced.findall(self.ends.left.log()))
        self.ping("-f", "-w", str(2 * renewals + 1))
        self.wait(
            lambda: len(replaced.findall(self.ends.left.log())) - before >= renewals,
            "it is not renewed as often",
        )

    def test_reauthentication(self) -> None:
        """A new ISAKMP SA keeps the children: their SPIs stay, and no packet is lost."""
        self.ends.load(ESP, "reauth_time = 2s\nover_time = 10s\nrand_time = 0s")
        self.ends.begin()
        (first,) = self.ends.left.list_sas()
        spis = [(child.spi_in, child.spi_out) for child in first.children]
        self.ping("-f", "-w", "5")
        found = self.ends.left.list_sas()
        self.assertNotIn(first.initiator_spi, [sa.initiator_spi for sa in found])
        kept = [(child.spi_in, child.spi_out) for sa in found for child in sa.children]
        self.assertEqual(kept, spis)
        for end in (self.left, self.right):
            self.assertEqual(len(states(end)), 2)

    def test_daemon_stopped(self) -> None:
        """
        An SA whose time is over is gone from the kernel though its daemon cannot act; when it can
        again, it notices.
        """
        self.ends.load(f"{ESP}rekey_time = 0s\nlife_time = 3s\nrand_time = 0s")
        self.ends.begin()
        for daemon in self.ends.both:
            os.kill(daemon.pid, signal.SIGSTOP)
        try:
            self.ping()
            self.assertEqual(len(states(self.left)), 2)
            self.wait(lambda: not states(self.left) + states(self.right), "the SAs stand")
        finally:
            for daemon in self.ends.both:
                os.kill(daemon.pid, signal.SIGCONT)
        for daemon in self.ends.both:
            daemon.expect(r"net/child, .* is gone: expired")


class ReplayTests(_Base):
    """
    Packets that come twice.
    """

    def twice(self, window: int) -> tuple[KernelSA, int]:
        """
        Three echoes, and then the packet of the last request once more: what the right end's SA
        says then, and how many packets had come before.
        """
        self.ends.load(f"{ESP}replay_window = {window}")
        self.ends.begin()
        with inside(self.left):
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        with wire:
            wire.bind(("eth0", _ETH_P_ALL))
            wire.settimeout(2.0)
            self.ping()
            (before,) = [sa for sa in states(self.right) if sa.destination == RIGHT]
            frame = self._request(wire)
            wire.send(frame)
        (after,) = [sa for sa in states(self.right) if sa.destination == RIGHT]
        return after, before.packets

    def _request(self, wire: socket.socket) -> bytes:
        while True:
            frame = wire.recv(2048)
            # IPv4, ESP, to the right end.
            if frame[12:14] == b"\x08\x00" and frame[23] == 50:
                if frame[30:34] == socket.inet_aton(RIGHT):
                    return frame

    def test_window(self) -> None:
        """With a window what comes twice is dropped, and counted as a replay."""
        for window in (32, 1024):
            sa, before = self.twice(window)
            self.assertEqual(before, 3)
            self.assertEqual(sa.packets, 3)
            self.assertRegex(sa.text, r"replay-window \d+ replay 1 failed 0")
            self.ends.end()

    def test_no_window(self) -> None:
        """Without one it is accepted: whoever asks for that has it so."""
        sa, before = self.twice(0)
        self.assertEqual((before, sa.packets), (3, 4))
        self.assertRegex(sa.text, r"replay-window \d+ replay 0 failed 0")
