"""
One conversation of our node with charon, and what must be true of it whichever end begins.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from isakmp.associations import Lifetime
from isakmp.ike.parameters import Parameters
from tests.interop import charon
from tests.interop.charon import Charon, SwanctlFailed
from tests.interop.keys import expected, expected_of_child, logged_keys
from tests.interop.node import HeldSAs, NodeProcess
from tests.interop.scenario import CONNECTION, LEFT, RIGHT, SECRET, InteropTestCase, Scenario
from tests.interop.swanctl import IKESA

AES128_SHA256 = "AES_CBC-128/HMAC_SHA2_256_128"
MAIN_MODE = f"{AES128_SHA256}/PRF_HMAC_SHA2_256/MODP_2048"

#: For strongswan.conf: charon gives up after 0.2 + 0.36 + 0.65 seconds without an answer.  Only
#: where none must come: a busy machine may need longer for one.
IMPATIENT = "retransmit_timeout = 0.2\nretransmit_tries = 2"

#: What charon has to log so that its keys can be compared with ours.
KEYS = {"ike": 4, "chd": 4}


def spelled(traffic: str) -> str:
    """A traffic selector as swanctl prints it: known ports by name, a range with two dots."""
    return traffic.replace("/80]", "/http]").replace("-", "..")


def complete(children: int) -> Callable[[list[IKESA]], bool]:
    """One ISAKMP SA stands, and so many children under it."""

    def reached(sas: list[IKESA]) -> bool:
        return [sa.state for sa in sas] == ["ESTABLISHED"] and [
            child.state for child in sas[0].children
        ] == ["INSTALLED"] * children

    return reached


def initiate(peer: Charon, child: str, timeout: int = 8) -> None:
    """charon negotiates a child, and first the ISAKMP SA if there is none."""
    peer.swanctl("--initiate", "--child", child, "--timeout", str(timeout))


def terminate(peer: Charon) -> None:
    """charon deletes the ISAKMP SA and its children."""
    peer.swanctl("--terminate", "--ike", CONNECTION, "--timeout", "8")


class ConversationTestCase(InteropTestCase):
    """
    Our node on the left, charon on the right.

    :cvar role: ours: ``initiator`` or ``responder``.
    """

    skip = charon.obstacle() or (
        None
        if importlib.util.find_spec("tests.interop.peer")
        else "tests.interop.peer, our node as a program, is not there"
    )
    role = "initiator"

    def begin(
        self, scenario: Scenario, secret: str = SECRET, patience: float = 8.0, options: str = ""
    ) -> tuple[NodeProcess, Charon]:
        """Both ends are ready.  They start at the same time."""
        ours = self.node(scenario.spec(LEFT, RIGHT, self.role, secret, patience), LEFT)
        peer = self.charon(scenario, RIGHT, LEFT, options=options, levels=KEYS)
        ours.expect("ready")
        return ours, peer

    def begin_with_another_secret(self) -> tuple[NodeProcess, Charon]:
        """Both ends are ready, and neither waits long for what cannot come."""
        return self.begin(Scenario(), "another secret", patience=2.0, options=IMPATIENT)

    def establish(self, ours: NodeProcess, peer: Charon, child: str) -> None:
        """One child is negotiated, and the ISAKMP SA before it if there is none."""
        if self.role == "initiator":
            ours.command("establish", connection=CONNECTION, child=child)
        else:
            initiate(peer, child)
        ours.expect("established", kind="child")

    def establish_in_vain(self, ours: NodeProcess, peer: Charon, child: str = "net") -> None:
        """One child is asked for, and cannot be had."""
        if self.role == "initiator":
            ours.command("establish", connection=CONNECTION, child=child)
        else:
            with self.assertRaises(SwanctlFailed):
                initiate(peer, child)

    def converse(
        self, scenario: Scenario, isakmp: str = MAIN_MODE, child: str = AES128_SHA256
    ) -> tuple[NodeProcess, Charon]:
        """
        All children of a scenario are established, and both ends name the same SAs.

        :param isakmp: what charon must say is agreed for the ISAKMP SA.
        :param child: and for each child.
        """
        ours, peer = self.begin(scenario)
        for name in scenario.children:
            self.establish(ours, peer, name)
        ours.expect("established", kind="isakmp")
        (theirs,) = peer.wait_for_sas(complete(len(scenario.children)))
        held = ours.sas()
        self.assert_same(held, theirs)
        self.assert_same_keys(scenario, held, theirs, peer)
        self.assertEqual((theirs.local_id, theirs.remote_id), (RIGHT.identity, LEFT.identity))
        self.assertEqual(theirs.algorithms, isakmp)
        self.assertEqual(
            sorted((sa.name, sa.algorithms, sa.local_ts, sa.remote_ts) for sa in theirs.children),
            sorted(
                (name, child, (spelled(right),), (spelled(left),))
                for name, right, left in zip(
                    scenario.children,
                    scenario.selectors(RIGHT),
                    scenario.selectors(LEFT),
                    strict=True,
                )
            ),
        )
        for sa in theirs.children:
            self.assertEqual((sa.protocol, sa.mode), ("ESP", scenario.mode.upper()))
        return ours, peer

    def assert_same(self, held: HeldSAs, theirs: IKESA) -> None:
        """Our registry and charon have the same SAs; what is inbound here is outbound there."""
        self.assertEqual(
            [(sa.connection, sa.initiator_cookie, sa.responder_cookie) for sa in held.isakmp],
            [(CONNECTION, theirs.initiator_spi, theirs.responder_spi)],
        )
        self.assertEqual(
            sorted(
                (sa.child, sa.protocol, sa.mode, sa.inbound, sa.outbound) for sa in held.children
            ),
            sorted(
                (sa.name, sa.protocol, sa.mode.lower(), sa.spi_out, sa.spi_in)
                for sa in theirs.children
            ),
        )

    def assert_same_keys(
        self, scenario: Scenario, held: HeldSAs, theirs: IKESA, peer: Charon
    ) -> None:
        """
        The keys that we hold are those that charon has logged: SKEYID_d, SKEYID_a and the cipher's
        of the ISAKMP SA, and of each child those of both directions.
        """
        logged = logged_keys(peer.log())
        agreed = Parameters.parse(scenario.our_proposals[0], 1, Lifetime())
        self.assertEqual(held.isakmp[0].fingerprints, expected(logged.isakmp, agreed))
        self.assertEqual(len(logged.children), len(scenario.children))
        other = {"initiator": "responder", "responder": "initiator"}
        for name, keys in zip(scenario.children, logged.children, strict=True):
            (sa,) = (sa for sa in theirs.children if sa.name == name)
            (ours,) = (ours for ours in held.children if ours.child == name)
            self.assertEqual(
                ours.fingerprints,
                {
                    sa.spi_in: expected_of_child(keys, self.role),
                    sa.spi_out: expected_of_child(keys, other[self.role]),
                },
            )
            self.assertEqual(len(set(ours.fingerprints.values())), 2)

    def assert_deleted(self, ours: NodeProcess, peer: Charon, children: int = 1) -> None:
        """Neither end holds anything, and we were told of each SA that went."""
        for _ in range(children):
            ours.expect("removed", kind="child")
        ours.expect("removed", kind="isakmp")
        self.assertFalse(ours.wait_for_sas(lambda held: not held))
        self.assertEqual(peer.wait_for_sas(lambda sas: not sas), [])

    def assert_refused(self, ours: NodeProcess, peer: Charon) -> str:
        """
        We say in a sentence that it failed, and neither end has anything.

        :returns: the sentence.
        """
        reason = str(ours.expect("failed", timeout=12)["reason"])
        self.assertRegex(reason, r"\w+ \w+ \w+ \w+")
        self.assertNotIn("another secret", ours.account())
        self.assertNotIn("established", [event["event"] for event in ours.seen])
        self.assertFalse(ours.wait_for_sas(lambda held: not held))
        self.assertNotIn("ESTABLISHED", [sa.state for sa in peer.list_sas()])
        return reason
