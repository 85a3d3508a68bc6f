"""
What ``swanctl.conf`` says of which traffic is meant and how it is treated, as the kernel does it.
Runs in a guest.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping

from tests.interop.guest import (
    LEFT,
    LEFT_INNER,
    RIGHT,
    RIGHT_INNER,
    GuestTestCase,
    KernelSA,
    ip,
    states,
)
from tests.interop.namespaces import Namespace

ESP = "esp_proposals = aes128-sha256\n"
NET, OTHER, SIDE, BEHIND = "10.81.0.0/24", "10.82.0.0/24", "10.85.0.0/24", "10.84.0.0/24"
SOON = ("-i", "0.1", "-W", "1")
LOST = " 100% packet loss"


class TreatmentTests(GuestTestCase):
    def policy(self, direction: str) -> str:
        """The left end's policies of a direction, as ``ip`` shows them."""
        texts = re.split(r"\n(?=src |socket)", ip(self.left, "xfrm policy"))
        return "\n".join(text for text in texts if re.search(rf"\bdir {direction}\b", text))

    def test_selected(self) -> None:
        """
        Traffic with the mark of its child, by the interface of its child, or from behind the
        gateway where somebody drops what is forwarded: what is meant is protected, nothing else.
        """
        self.daemon(self.right, ESP, children({"side": (SIDE, NET), "behind": (OTHER, BEHIND)}))
        left = self.daemon(
            self.left,
            ESP + "start_action = trap\nmark_out = %unique\nmark_in = 43/0xff\nset_mark_in = %same",
            children(
                {"side": (NET, SIDE), "behind": (BEHIND, OTHER)},
                side="start_action = start\nif_id_in = 41\nif_id_out = 42",
                behind="start_action = start\npolicies_fwd_out = yes",
            ),
        )
        client = self.behind()
        left.expect(r"net/side, .* is established", timeout=30)
        left.expect(r"net/behind, .* is established", timeout=30)
        self.interfaces()
        self.forwarded(client)
        self.marks()
        left.expect("traffic waits", r"net/child, .* is established")
        left.stop()
        self.assert_empty(self.left)

    def marks(self) -> None:
        """
        Traffic with the child's mark begins its tunnel and is protected; traffic without leaves in
        clear, which the peer does not take once it has the child.  What has been opened gets the
        mark that the inbound policies want.
        """
        before = {sa.spi for sa in states(self.left)}
        self.ping("-c", "2", *SOON)
        self.assertEqual({sa.spi for sa in states(self.left)}, before)
        self.ping("-c", "5", "-i", "0.4", "-m", "1")
        out, came = self.pair("mark 0x1/0xffffffff", before)
        self.assertNotIn("\tmark 0x", came.text)
        self.assertRegex(came.text, r"output-mark 0x2b(?:/0xffffffff)?")
        for sa in (out, came):
            self.assertGreaterEqual(sa.packets, 4)
        for direction in ("in", "fwd"):
            self.assertIn("mark 0x2b/0xff", self.policy(direction))
        self.assertIn(LOST, self.ping("-c", "2", *SOON, loss=True))
        now = self.pair("mark 0x1/0xffffffff", before)
        self.assertEqual([sa.packets for sa in now], [out.packets, came.packets])

    def interfaces(self) -> None:
        """
        What belongs to an XFRM interface is not for traffic by others: that leaves in clear, and
        the peer does not take it.
        """
        ip(self.left, f"route add {SIDE} via {RIGHT} src {LEFT_INNER}")
        ip(self.right, "addr add 10.85.0.1/24 dev lo")
        (out,) = [sa for sa in states(self.left) if "if_id 0x2a" in sa.text]
        (came,) = [sa for sa in states(self.left) if "if_id 0x29" in sa.text]
        self.assertEqual((out.destination, came.destination), (RIGHT, LEFT))
        for direction, number in (("out", "0x2a"), ("in", "0x29"), ("fwd", "0x29")):
            self.assertIn(f"if_id {number}", self.policy(direction))
        self.assertIn(LOST, self.echoes(self.left, LEFT_INNER, "10.85.0.1"))
        (out,) = [sa for sa in states(self.left) if "if_id 0x2a" in sa.text]
        self.assertEqual(out.packets, 0)

    def behind(self) -> Namespace:
        """A host behind the left end, which forwards for it."""
        client = Namespace(f"{self.left.name}-client", "10.84.0.9")
        subprocess.run(["ip", "netns", "add", client.name], check=True, timeout=20)
        self.addCleanup(subprocess.run, ["ip", "netns", "del", client.name], timeout=20)
        ip(self.left, f"link add client type veth peer name eth0 netns {client.name}")
        ip(self.left, "addr add 10.84.0.1/24 dev client")
        ip(self.left, "link set client up")
        ip(client, "addr add 10.84.0.9/24 dev eth0")
        ip(client, "link set eth0 up")
        ip(client, "route add default via 10.84.0.1")
        ip(self.right, f"route add {BEHIND} via {LEFT}")
        allow = ("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        subprocess.run(self.left.command(*allow), check=True, timeout=20)
        return client

    def forwarded(self, client: Namespace) -> None:
        """
        Where somebody's policy drops what is forwarded, a host behind the gateway reaches the other
        network by ``policies_fwd_out``, and by nothing else.
        """
        everything = "src 0.0.0.0/0 dst 0.0.0.0/0 dir fwd"
        ip(self.left, f"xfrm policy add {everything} action block priority 500000")
        to = "10.84.0.9", RIGHT_INNER
        self.assertIn(" 0% packet loss", self.echoes(client, *to), self.policy("fwd"))
        ip(self.left, f"xfrm policy delete src {BEHIND} dst {OTHER} dir fwd")
        self.assertIn(LOST, self.echoes(client, *to), self.policy("fwd"))
        ip(self.left, f"xfrm policy delete {everything}")

    def echoes(self, end: Namespace, source: str, to: str) -> str:
        """What ``ping`` says of two echoes."""
        asked = end.command("ping", "-q", "-c", "2", *SOON, "-I", source, to)
        return subprocess.run(asked, capture_output=True, text=True, timeout=30).stdout

    def pair(self, text: str, but: set[str]) -> tuple[KernelSA, KernelSA]:
        """The outbound SA with this text, and the inbound one that is new beside it."""
        new = [sa for sa in states(self.left) if sa.spi not in but]
        (out,) = [sa for sa in new if text in sa.text and sa.destination == RIGHT]
        (came,) = [sa for sa in new if sa.destination == LEFT]
        return out, came

    def test_treated(self) -> None:
        """
        Priority, reqid, outgoing interface, errors, volumes and codepoints stand in the kernel as
        they are configured, and traffic passes, though a child drops all the rest; the codepoint
        of a packet is not seen outside; then, without traffic, the child ends.
        """
        self.daemon(self.right, ESP)
        everything = "0.0.0.0/0"
        left = self.daemon(
            self.left,
            ESP + "start_action = start\npriority = 1234\nreqid = 77\ninterface = eth0\n"
            "icmp = yes\ncopy_dscp = in\nrekey_packets = 1000\ninactivity = 6s",
            children({"rest": (everything, everything)}, rest="mode = drop"),
        )
        left.expect(r"net/child, .* is established", timeout=30)
        capture = subprocess.Popen(
            self.right.command(
                *("tcpdump", "-n", "-v", "-i", "eth0", "--immediate-mode", "-c", "4", "esp")
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(capture.wait)
        self.addCleanup(capture.kill)
        assert capture.stderr is not None
        self.addCleanup(capture.stderr.close)
        self.assertIn("listening on", capture.stderr.readline())
        self.ping("-c", "3", "-i", "0.2", "-Q", "0x28")
        out, came = self.pair("", set())
        policies = {direction: self.policy(direction) for direction in ("out", "in", "fwd")}
        self.assertEqual({out.reqid, came.reqid}, {77})
        self.assertRegex(came.text, r"flag .*\bdecap-dscp\b")
        self.assertRegex(came.text, r"flag .*\bicmp\b")
        self.assertRegex(out.text, r"extra_flag dont-encap-dscp")
        for sa in (out, came):
            limits = re.search(r"limit: soft (\d+)\(packets\), hard (\d+)\(packets\)", sa.text)
            assert limits is not None, sa.text
            self.assertIn(int(limits[1]), range(900, 1001))
            self.assertEqual(limits[2], "1100")
        for text in policies.values():
            self.assertIn("priority 1234", text)
            self.assertIn("action block priority 600000", text)
        self.assertIn("dev eth0", policies["out"])
        self.assertNotIn("dev eth0", policies["in"])
        self.assertIn("icmp", policies["out"])
        seen, _ = capture.communicate(timeout=20)
        found = set(re.findall(r"tos (0x\w+).*\n\s+(\S+) >", seen))
        self.assertEqual(found, {("0x0", LEFT), ("0x28", RIGHT)})
        left.expect("no traffic in 6 s, so it ends", timeout=15)
        self.wait(lambda: not states(self.left), "the child has not gone")
        left.stop()
        self.assert_empty(self.left)


def children(traffic: Mapping[str, tuple[str, str]], **keys: str) -> str:
    """
    More children of a connection.

    :param traffic: at our end and at the peer's.
    :param keys: of each, what else is said.
    """
    texts = (
        f"{name} {{\n{ESP}local_ts = {local}\nremote_ts = {remote}\n{keys.get(name, '')}\n}}"
        for name, (local, remote) in traffic.items()
    )
    return "children {{\n{}\n}}".format("\n".join(texts))
