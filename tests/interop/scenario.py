"""
What two ends agree to try: written once, told to charon as ``swanctl.conf`` and to our node as a
specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.interop import charon
from tests.interop.charon import Charon
from tests.interop.namespaces import Namespace, NamespacePair
from tests.interop.node import NodeProcess

CONNECTION = "lab"
SECRET = "lab secret psk"


@dataclass(frozen=True, slots=True)
class End:
    """
    One of the two ends.

    :ivar identity: a fully qualified domain name.
    :ivar networks: what lies behind it, one for each child in tunnel mode.
    :ivar inner: its own addresses in them.
    """

    address: str
    identity: str
    networks: tuple[str, ...]
    inner: tuple[str, ...]


LEFT = End(
    address=NamespacePair.LEFT_ADDRESS,
    identity="i.lab",
    networks=("10.81.0.0/24", "10.83.0.0/24"),
    inner=("10.81.0.1/24", "10.83.0.1/24"),
)
RIGHT = End(
    address=NamespacePair.RIGHT_ADDRESS,
    identity="r.lab",
    networks=("10.82.0.0/24", "10.84.0.0/24"),
    inner=("10.82.0.1/24", "10.84.0.1/24"),
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """
    A Main Mode with a pre-shared key, and its Quick Modes.

    :ivar proposal: for the ISAKMP SA, in strongSwan's spelling; several with commas between them,
        by preference.
    :ivar suite: for the children: ``aes128-sha256``; with a group after it for perfect forward
        secrecy; several likewise.
    :ivar our_proposal: what our node takes if that is something else; ``our_suite`` likewise.
    :ivar mode: ``tunnel`` or ``transport``.
    :ivar children: their names; in tunnel mode no more than :attr:`End.networks`.
    :ivar traffic: of the one child, at the left and the right, if it is not the networks'.
    """

    proposal: str = "aes128-sha256-modp2048"
    suite: str = "aes128-sha256"
    our_proposal: str = ""
    our_suite: str = ""
    mode: str = "tunnel"
    children: tuple[str, ...] = ("net",)
    traffic: tuple[str, str] | None = None

    @property
    def our_proposals(self) -> list[str]:
        """What our node takes for the ISAKMP SA."""
        return (self.our_proposal or self.proposal).split(",")

    def selectors(self, end: End) -> tuple[str, ...]:
        """The traffic of each child at one end: a network, or the end itself."""
        if self.traffic is not None:
            return (self.traffic[0 if end.address == LEFT.address else 1],)
        if self.mode == "transport":
            return tuple(f"{end.address}/32" for _ in self.children)
        return end.networks[: len(self.children)]

    def swanctl_conf(self, local: End, remote: End, secret: str = SECRET) -> str:
        """The text of ``swanctl.conf`` for a charon that is ``local``."""
        lines = [
            "connections {",
            f"  {CONNECTION} {{",
            "    version = 1",
            f"    local_addrs = {local.address}",
            f"    remote_addrs = {remote.address}",
            f"    proposals = {self.proposal}",
            "    local {",
            "      auth = psk",
            f"      id = {local.identity}",
            "    }",
            "    remote {",
            "      auth = psk",
            f"      id = {remote.identity}",
            "    }",
            "    children {",
        ]
        for name, local_ts, remote_ts in zip(
            self.children, self.selectors(local), self.selectors(remote), strict=True
        ):
            lines += [
                f"      {name} {{",
                f"        local_ts = {local_ts}",
                f"        remote_ts = {remote_ts}",
                f"        esp_proposals = {self.suite}",
                f"        mode = {self.mode}",
                "      }",
            ]
        lines += [
            "    }",
            "  }",
            "}",
            "secrets {",
            f"  ike-{CONNECTION} {{",
            f"    id-1 = {local.identity}",
            f"    id-2 = {remote.identity}",
            f'    secret = "{secret}"',
            "  }",
            "}",
        ]
        return "\n".join(lines) + "\n"

    def spec(
        self, local: End, remote: End, role: str, secret: str = SECRET, patience: float = 8.0
    ) -> dict[str, object]:
        """
        The specification of our node that is ``local``.

        :param role: ``initiator`` or ``responder``: what the test is going to make of it.
        :param patience: seconds that an exchange waits in vain before it fails.
        """
        return {
            "listen": local.address,
            "port": 500,
            "role_hint": role,
            "patience": patience,
            "connections": {
                CONNECTION: {
                    "local": local.address,
                    "remote": remote.address,
                    "local_id": local.identity,
                    "remote_id": remote.identity,
                    "proposals": self.our_proposals,
                    "secret": secret,
                    "children": {
                        name: {
                            "local_ts": local_ts,
                            "remote_ts": remote_ts,
                            "suites": (self.our_suite or self.suite).split(","),
                            "mode": self.mode,
                        }
                        for name, local_ts, remote_ts in zip(
                            self.children,
                            self.selectors(local),
                            self.selectors(remote),
                            strict=True,
                        )
                    },
                }
            },
        }


class InteropTestCase(SynchronousTestCase):
    """
    A case with two namespaces of its own.  What the daemons wrote stays in trial's directory.
    """

    skip = charon.obstacle()

    def setUp(self) -> None:
        self.ends = self.enterContext(NamespacePair(LEFT.inner, RIGHT.inner))
        self.files = Path(self.mktemp()).resolve()

    def namespace(self, end: End) -> Namespace:
        """Where one end runs."""
        return self.ends.left if end is LEFT else self.ends.right

    def charon(
        self,
        scenario: Scenario,
        local: End,
        remote: End,
        *,
        secret: str = SECRET,
        options: str = "",
        levels: Mapping[str, int] | None = None,
    ) -> Charon:
        """A charon that runs and has loaded the scenario; it logs as :class:`Charon` says."""
        peer = Charon(
            self.namespace(local),
            scenario.swanctl_conf(local, remote, secret),
            self.files / local.identity,
            options=options,
            levels=levels,
        )
        self.addCleanup(peer.stop)
        return peer.start()

    def node(self, spec: dict[str, object], local: End) -> NodeProcess:
        """Our node, started; its sockets are open after ``expect("ready")``."""
        ours = NodeProcess(self.namespace(local), spec, self.files / "ours")
        self.addCleanup(self._end, ours)
        return ours.start()

    def _end(self, ours: NodeProcess) -> None:
        status = ours.stop()
        self.assertEqual(status, 0, ours.account())
