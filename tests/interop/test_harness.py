"""
What the conversations with other daemons stand on: namespaces that go away, a list of SAs that is
read right, a node whose silence, failure and end are noticed.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.interop import namespaces
from tests.interop.namespaces import NamespacePair
from tests.interop.node import HeldChild, HeldISAKMPSA, HeldSAs, NodeProcess
from tests.interop.scenario import LEFT, RIGHT, Scenario
from tests.interop.swanctl import IKESA, ChildSA, listed_sas, sections

#: Printed by swanctl 5.9.8.
LISTED = """\
list-sa event {
  lab {
    uniqueid = 1
    version = 1
    state = ESTABLISHED
    local-host = 10.77.0.2
    local-port = 500
    local-id = C=CH, O=The lab, CN=r.lab
    remote-host = 10.77.0.1
    remote-port = 500
    remote-id = i.lab
    initiator-spi = 01efce56724fe149
    responder-spi = 61e51a88c2aad43e
    encr-alg = AES_CBC
    encr-keysize = 128
    integ-alg = HMAC_SHA2_256_128
    prf-alg = PRF_HMAC_SHA2_256
    dh-group = MODP_2048
    established = 0
    rekey-time = 13703
    child-sas {
      net-1 {
        name = net
        uniqueid = 1
        reqid = 1
        state = INSTALLED
        mode = TUNNEL
        protocol = ESP
        spi-in = c02a1701
        spi-out = c02a3101
        encr-alg = AES_CBC
        encr-keysize = 128
        integ-alg = HMAC_SHA2_256_128
        bytes-in = 0
        packets-in = 0
        local-ts = [
          10.82.0.0/24
          10.84.0.0/24
        ]
        remote-ts = [
          10.81.0.0/24
        ]
      }
    }
  }
}
list-sa event {
  other {
    uniqueid = 2
    state = CONNECTING
    initiator-spi = 0000000000000001
    responder-spi = 0000000000000000
    child-sas {
    }
  }
}
list-sas reply {
}
"""


class ListedSAsTests(SynchronousTestCase):
    """
    What swanctl prints becomes values, or is refused.
    """

    def test_values(self) -> None:
        """
        Both SAs are there, with children, cookies, SPIs and an identity that has spaces in it.
        """
        self.assertEqual(
            listed_sas(LISTED),
            [
                IKESA(
                    name="lab",
                    state="ESTABLISHED",
                    local_id="C=CH, O=The lab, CN=r.lab",
                    remote_id="i.lab",
                    initiator_spi="01efce56724fe149",
                    responder_spi="61e51a88c2aad43e",
                    algorithms="AES_CBC-128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048",
                    children=(
                        ChildSA(
                            name="net",
                            state="INSTALLED",
                            protocol="ESP",
                            mode="TUNNEL",
                            spi_in="c02a1701",
                            spi_out="c02a3101",
                            algorithms="AES_CBC-128/HMAC_SHA2_256_128",
                            local_ts=("10.82.0.0/24", "10.84.0.0/24"),
                            remote_ts=("10.81.0.0/24",),
                        ),
                    ),
                ),
                IKESA(
                    name="other",
                    state="CONNECTING",
                    local_id="",
                    remote_id="",
                    initiator_spi="0000000000000001",
                    responder_spi="0000000000000000",
                    algorithms="",
                    children=(),
                ),
            ],
        )

    def test_empty(self) -> None:
        """
        A charon without SAs gives an empty list; no output at all is a mistake.
        """
        self.assertEqual(listed_sas("list-sas reply {\n}\n"), [])
        self.assertRaises(ValueError, listed_sas, "")

    def test_cut_short(self) -> None:
        """
        A list that ends too early is refused, wherever it ends: no SA is lost unnoticed.
        """
        lines = LISTED.splitlines(keepends=True)
        for count in range(len(lines)):
            self.assertRaises(ValueError, listed_sas, "".join(lines[:count]))

    def test_something_else(self) -> None:
        """
        Text that is no list of SAs is refused: an error message, --raw, a stray brace, a key that
        stands twice.
        """
        for text in (
            "connecting to 'unix:///run/charon.vici' failed: No such file or directory\n",
            "list-sa event {lab {uniqueid=1 version=1 state=ESTABLISHED}}\nlist-sas reply {}\n",
            "}\n",
            "key = value\n",
            "a {\nkey = 1\nkey = 2\n}\n",
            "a {\ninner {\n}\ninner {\n}\n}\n",
            "a {\nkey = [\n",
        ):
            self.assertRaises(ValueError, sections, text)
        self.assertRaises(ValueError, listed_sas, "list-conn event {\n}\nlist-sas reply {\n}\n")


class ScenarioTests(SynchronousTestCase):
    """
    Both ends are told the same.
    """

    def test_both_ends(self) -> None:
        """
        What is local to one end is remote to the other, child by child.
        """
        scenario = Scenario(children=("net", "other"))
        spec = json.loads(json.dumps(scenario.spec(LEFT, RIGHT, "initiator")))
        children = spec["connections"]["lab"]["children"]
        self.assertEqual(
            [(name, child["local_ts"], child["remote_ts"]) for name, child in children.items()],
            [("net", "10.81.0.0/24", "10.82.0.0/24"), ("other", "10.83.0.0/24", "10.84.0.0/24")],
        )
        conf = scenario.swanctl_conf(RIGHT, LEFT).splitlines()
        self.assertEqual(
            [line.strip() for line in conf if "_ts = " in line],
            [
                "local_ts = 10.82.0.0/24",
                "remote_ts = 10.81.0.0/24",
                "local_ts = 10.84.0.0/24",
                "remote_ts = 10.83.0.0/24",
            ],
        )


class NamespacePairTests(SynchronousTestCase):
    """
    Namespaces are there for a test, and gone after it.
    """

    skip = namespaces.obstacle()

    def names(self, pair: NamespacePair) -> list[bool]:
        """Which of the two ends exist."""
        return [Path("/run/netns", end.name).exists() for end in (pair.left, pair.right)]

    def test_removed(self) -> None:
        """
        They exist inside the block only, two pairs do not meet, and there is no way out of them.
        """
        with NamespacePair() as one, NamespacePair(["10.81.0.1/24"]) as two:
            self.assertEqual(self.names(one) + self.names(two), [True] * 4)
            routes = subprocess.run(
                ["ip", "-n", two.left.name, "-4", "route", "show"], capture_output=True, text=True
            )
            self.assertEqual(
                routes.stdout.split(" proto")[0], "10.77.0.0/24 dev eth0", routes.stderr
            )
            self.assertEqual(len(routes.stdout.splitlines()), 1)
        self.assertEqual(self.names(one) + self.names(two), [False] * 4)

    def test_removed_after_a_failure(self) -> None:
        """
        They are gone when the test fails, and a process that was left inside is gone too.
        """
        pair = NamespacePair()
        inside: list[subprocess.Popen[bytes]] = []

        def fail() -> None:
            with pair:
                process = subprocess.Popen(pair.left.command("sleep", "60"))
                inside.append(process)
                # It is inside once `ip netns exec` has become it.
                while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
                    self.assertIsNone(process.poll())
                raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, fail)
        self.assertEqual([process.wait(5) for process in inside], [-9])
        self.assertEqual(self.names(pair), [False, False])

    def test_removed_when_half_made(self) -> None:
        """
        A pair that cannot be made whole is not there at all, and the reason is told.
        """
        pair = NamespacePair(["10.81.0.300/24"])
        with self.assertRaisesRegex(RuntimeError, "10.81.0.300"):
            pair.__enter__()
        self.assertEqual(self.names(pair), [False, False])

    def test_abandoned(self) -> None:
        """
        What a killed run has left is removed by the next one; what a living one has is not.
        """
        dead = subprocess.Popen(["true"])
        dead.wait()
        name = f"isakmp-{dead.pid}-0123ab-left"
        subprocess.run(["ip", "netns", "add", name], check=True)
        with NamespacePair() as other, NamespacePair():
            self.assertFalse(Path("/run/netns", name).exists())
            self.assertEqual(self.names(other), [True, True])


class NodeProcessTests(SynchronousTestCase):
    """
    Our node as a process: its events come in order, and nothing waits for what cannot come.
    """

    def node(self, **spec: object) -> NodeProcess:
        """A stand-in that says what it is told to."""
        node = NodeProcess(
            None, spec, Path(self.mktemp()), module="tests.interop.scripted_peer"
        ).start()
        self.addCleanup(node.stop)
        return node

    def test_events(self) -> None:
        """
        An event is found by what it carries, once, whatever came before it.
        """
        node = self.node(
            say='{"event": "ready"}\n{"event": "ladder", "line": "HDR; SA -->"}\n',
            answers={
                "establish": '{"event": "established", "kind": "isakmp"}\n'
                '{"event": "established", "kind": "child", "child": "net"}\n'
            },
        )
        self.assertEqual(node.expect("ready"), {"event": "ready"})
        node.command("establish", connection="lab", child="net")
        self.assertEqual(node.expect("established", kind="child")["child"], "net")
        self.assertEqual(node.expect("established")["kind"], "isakmp")
        with self.assertRaisesRegex(AssertionError, "in time"):
            node.expect("established", timeout=0.1)
        self.assertIn("HDR; SA -->", node.account())
        self.assertEqual(node.stop(), 0)

    def test_sas(self) -> None:
        """
        The registry's content is read as values, and waited for until it is empty.
        """
        full = (
            '{"event": "sas", "isakmp": [{"connection": "lab", "initiator_cookie": "01", '
            '"responder_cookie": "02", "role": "initiator", "fingerprints": {"ka": "ab"}}], '
            '"children": [{"child": "net", "protocol": "ESP", "mode": "tunnel", '
            '"inbound": "03", "outbound": "04", "fingerprints": {"03": "cd"}}]}\n'
        )
        node = self.node(answers={"sas": full})
        held = node.sas()
        self.assertEqual(
            held,
            HeldSAs(
                (HeldISAKMPSA("lab", "01", "02", {"ka": "ab"}),),
                (HeldChild("net", "ESP", "tunnel", "03", "04", {"03": "cd"}),),
            ),
        )
        with self.assertRaisesRegex(AssertionError, "our node holds"):
            node.wait_for_sas(lambda held: not held, timeout=0.1)
        empty = self.node(answers={"sas": '{"event": "sas", "isakmp": [], "children": []}\n'})
        self.assertFalse(empty.wait_for_sas(lambda held: not held))

    def test_split_line(self) -> None:
        """
        An event that arrives in two pieces is one event.
        """
        node = self.node(say='{"event": "rea', answers={"sas": 'dy"}\n'})
        with self.assertRaisesRegex(AssertionError, "in time"):
            node.expect("ready", timeout=0.5)
        node.command("sas")
        self.assertEqual(node.expect("ready"), {"event": "ready"})

    def test_failure(self) -> None:
        """
        A failure that nobody expected is told at once, with its reason.
        """
        node = self.node(say='{"event": "failed", "reason": "no proposal fits"}\n')
        begun = time.monotonic()
        with self.assertRaisesRegex(AssertionError, "no proposal fits"):
            node.expect("established", timeout=30)
        self.assertLess(time.monotonic() - begun, 15)
        self.assertEqual(node.expect("failed")["reason"], "no proposal fits")

    def test_end(self) -> None:
        """
        A node that ends is noticed at once, and what it wrote to standard error is told.
        """
        node = self.node(errors="OSError: address in use\n", end=3)
        with self.assertRaisesRegex(AssertionError, "(?s)ended.*address in use"):
            node.expect("ready", timeout=30)
        self.assertEqual(node.stop(), 3)
        with self.assertRaisesRegex(AssertionError, "has not been started"):
            node.command("sas")

    def test_garbage(self) -> None:
        """
        A line that is no event is refused: a stray print does not pass for silence.
        """
        for line in ("hello", "[1]", '{"line": 1}'):
            node = self.node(say=f"{line}\n")
            with self.assertRaisesRegex(AssertionError, "no event"):
                node.expect("ready")

    def test_deaf(self) -> None:
        """
        A node that does not stop when it is asked is killed, and its status says so.
        """
        node = self.node(say='{"event": "ready"}\n', deaf=True)
        node.expect("ready")
        self.assertEqual(node.stop(timeout=0.2), -9)
