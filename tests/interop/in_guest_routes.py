"""
Routes, peers that move, and messages of the kernel that are lost; with a kernel that has ESP.
Runs in a guest.
"""

from __future__ import annotations

import subprocess
import sys

from isakmp.sinks.xfrm.routing import PROTOCOL
from tests.interop import CHECKOUT
from tests.interop.guest import (
    LEFT,
    LEFT_INNER,
    LEFT_NET,
    RIGHT,
    RIGHT_INNER,
    RIGHT_NET,
    GuestTestCase,
    ip,
    states,
)
from tests.interop.namespaces import Namespace

ESP = "esp_proposals = aes128-sha256"


def table(end: Namespace) -> list[str]:
    """What is in our table there; nothing if there is none."""
    done = subprocess.run(
        ["ip", "-n", end.name, "route", "show", "table", "220"],
        capture_output=True, text=True, timeout=20,
    )
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


class RoutesTests(GuestTestCase):
    """
    A network behind each end, and no way to the other's but ours.
    """

    def setUp(self) -> None:
        """Without the routes that other tests have."""
        super().setUp()
        ip(self.left, f"route del {RIGHT_NET}")
        ip(self.right, f"route del {LEFT_NET}")

    def plain_ping(self, to: str = RIGHT_INNER) -> subprocess.CompletedProcess[str]:
        """Three echoes, from whatever address the kernel takes."""
        return subprocess.run(
            self.left.command("ping", "-c", "3", "-i", "0.1", "-W", "1", to),
            capture_output=True, text=True, timeout=30,
        )

    def crosses(self, to: str = RIGHT_INNER) -> None:
        """They arrive, and each was in an SA."""
        before = {sa.spi: sa.packets for sa in states(self.left)}
        done = self.plain_ping(to)
        self.assertIn(" 0% packet loss", done.stdout, done.stdout + done.stderr)
        for sa in states(self.left):
            self.assertEqual(sa.packets - before[sa.spi], 3, sa.text)

    def test_only_way(self) -> None:
        """
        A ping gets through because of our route alone, from an address that the child is for; the
        far end answers by its own.  With ``install_routes = false`` there is no way.  What is left
        in the end is what was there before.
        """
        ip(self.left, "route add 10.99.0.0/24 via 10.77.0.2 table 220")
        rules = ip(self.left, "rule")
        self.assertIn("unreachable", self.plain_ping().stderr.lower())
        left, right = self.both(ESP)
        self.assertIn(
            f"{RIGHT_NET} dev eth0 proto {PROTOCOL} scope link src {LEFT_INNER}", table(self.left)
        )
        self.crosses()
        (sa,) = [one for one in states(self.right) if one.destination == RIGHT]
        self.assertEqual(sa.packets, 3)
        ip(self.left, "link set eth0 down")
        self.assertEqual(len(table(self.left)), 0)
        ip(self.left, "link set eth0 up")
        self.wait(lambda: len(table(self.left)) == 1, "the route is not put back")
        self.crosses()
        ip(self.left, "route add 10.99.0.0/24 via 10.77.0.2 table 220")
        left.stop()
        right.stop()
        self.assertEqual(ip(self.left, "rule"), rules)
        shown = ip(self.left, "route show table 220")
        self.assertEqual(shown.split(), ["10.99.0.0/24", "via", "10.77.0.2", "dev", "eth0"])
        off = 'sink = "auto"\nvici = ""\ninstall_routes = false\n'
        self.daemon(self.left, f"{ESP}\nstart_action = trap", toml=off)
        self.assertEqual(ip(self.left, "rule"), rules)
        self.assertIn("unreachable", self.plain_ping().stderr.lower())

    def test_trap(self) -> None:
        """
        A trap has a route: the ping that begins the tunnel finds its way, and gets through.  The
        peer's own address is in the network behind it: what is for it is protected, from the
        child's address, and the daemons speak in clear all the same, also when they begin anew.
        What was left after a SIGKILL is removed.
        """
        keys = "local_ts = {}\nremote_ts = {}\n" + ESP
        self.daemon(self.right, keys.format("10.64.0.0/10", LEFT_NET))
        wide = keys.format(LEFT_NET, "10.64.0.0/10") + "\nstart_action = trap"
        left = self.daemon(self.left, wide, connection="reauth_time = 4s")
        self.assertEqual(states(self.left), [])
        route = f"10.64.0.0/10 dev eth0 proto {PROTOCOL} scope link src {LEFT_INNER}"
        self.assertEqual(table(self.left), [route])
        done = self.plain_ping()
        self.assertIn(" 0% packet loss", done.stdout, done.stdout + left.log())
        left.expect("traffic waits", r"net/child, .* is established")
        self.crosses(RIGHT)
        self.crosses(RIGHT_INNER)
        left.expect(r"(?s)ISAKMP SA .* is established.*ISAKMP SA .* is established", timeout=15)
        self.crosses(RIGHT)
        left.kill()
        self.assertEqual(table(self.left), [route])
        again = self.daemon(self.left, ESP)
        again.expect(r"routes and rules of an earlier run have been removed")
        self.assertEqual(table(self.left), [])


class MovingTests(GuestTestCase):
    """
    A tunnel of fixed keys, in UDP, whose peer comes from elsewhere.
    """

    def setUp(self) -> None:
        """Both ends stand."""
        super().setUp()
        ip(self.right, "addr add 10.77.0.9/24 dev eth0")
        self.here = self.end(self.left, LEFT, RIGHT, LEFT_NET, RIGHT_NET, "1001", "2001")
        self.there = self.end(self.right, RIGHT, LEFT, RIGHT_NET, LEFT_NET, "2001", "1001")
        for process in (self.here, self.there):
            self.said(process, "it stands")

    def end(self, end: Namespace, *arguments: str) -> subprocess.Popen[str]:
        """One end, which goes with the test."""
        process = subprocess.Popen(
            end.command(sys.executable, "-m", "tests.interop.by_hand", *arguments),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT,
        )
        for cleanup in (process.wait, process.kill):
            self.addCleanup(cleanup)
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            self.addCleanup(pipe.close)
        return process

    def said(self, process: subprocess.Popen[str], what: str) -> None:
        """It says so, before anything else."""
        assert process.stdout is not None
        said = process.stdout.readline()
        if what not in said:
            process.kill()
            self.fail(said + process.stdout.read())

    def comes_from(self, host: str, port: int) -> None:
        """The right end does so from now on, and the left follows."""
        assert self.there.stdin is not None
        self.there.stdin.write(f"{host} {port}\n")
        self.there.stdin.flush()
        self.said(self.there, "it is there")
        subprocess.run(
            self.right.command(
                *("ping", "-q", "-c", "2", "-i", "0.2", "-W", "1", "-I", RIGHT_INNER, LEFT_INNER)
            ),
            capture_output=True,
            timeout=20,
        )
        self.said(self.here, f"{host}:{port}, as an SA of its proves")

    def forged(self) -> None:
        """Somebody sends from another port what no SA proves."""
        said = r"printf '\0\0\x10\x01\0\0\xff\0%064d' 0 >/dev/udp/" + f"{LEFT}/4500"
        subprocess.run(self.right.command("bash", "-c", said), check=True, timeout=20)

    def drops(self, end: Namespace) -> dict[str, int]:
        """What the kernel has dropped there, and why."""
        shown = subprocess.run(
            end.command("cat", "/proc/net/xfrm_stat"), capture_output=True, text=True, timeout=20
        ).stdout
        counted = dict(line.split() for line in shown.splitlines())
        return {name: int(count) for name, count in counted.items() if int(count)}

    def test_moved(self) -> None:
        """
        The peer's port changes, then its address too: the kernel says so after a packet that the SA
        has proven, the SAs follow, and packets go both ways.  No number was used twice, no SA is
        left over, and no more is said than that it has moved.  What no SA has proven moves nothing.
        """
        self.ping()
        self.forged()
        self.assertEqual(self.drops(self.left), {"XfrmInStateProtoError": 1})
        for host, port in ((RIGHT, 4501), ("10.77.0.9", 4502)):
            before = {sa.destination: sa.packets for sa in states(self.left)}
            self.comes_from(host, port)
            self.ping("-c", "20", "-i", "0.05")  # longer than it takes until it may move again
            out, into = sorted(states(self.left), key=lambda sa: sa.destination == LEFT)
            self.assertEqual((out.destination, into.source), (host, host))
            self.assertIn(f"encap type espinudp sport 4500 dport {port}", out.text)
            self.assertIn(f"encap type espinudp sport {port} dport 4500", into.text)
            self.assertGreaterEqual(into.packets, before[LEFT] + 20)
            self.assertEqual(self.drops(self.left), {"XfrmInStateProtoError": 1})
            self.assertEqual(self.drops(self.right).get("XfrmInStateSeqError", 0), 0)
        for process in (self.here, self.there):
            process.terminate()
            rest, _ = process.communicate(timeout=10)
            self.assertNotIn("moved", rest)
        self.assert_empty(self.left, self.right)


class LossesTests(GuestTestCase):
    """
    Messages of the kernel that are lost.
    """

    def test_losses(self) -> None:
        """What ``in_namespace_losses`` tries passes, with SAs."""
        done = subprocess.run(
            self.left.command(
                *(sys.executable, "-m", "twisted.trial", "--reporter=text"),
                *("--temp-directory=/tmp/losses", "tests.interop.in_namespace_losses"),
            ),
            capture_output=True, text=True, timeout=60, cwd=CHECKOUT,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"PASSED \(successes=2\)")
