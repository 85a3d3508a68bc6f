"""
Our daemon and strongSwan's charon, and traffic that the kernel protects.  Runs in a guest.

charon has its plug-in kernel-netlink there, as it has on a gateway: what both install is compared
with what was agreed, and packets cross.
"""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from tests.interop.charon import PLUGINS, Charon
from tests.interop.daemon import DaemonProcess
from tests.interop.ends import keys_of
from tests.interop.guest import (
    LEFT,
    LEFT_NET,
    RIGHT,
    RIGHT_NET,
    SECRET,
    GuestTestCase,
    KernelSA,
    states,
)
from tests.interop.namespaces import Namespace

CBC, SHA = "cbc(aes) 128", "hmac(sha256) 256/128"
ESP = "esp_proposals = aes128-sha256"

#: Keys that both ends have, and protocol and algorithms of each SA of a direction.
KINDS = (
    (ESP, f"esp {SHA} {CBC}"),
    ("esp_proposals = aes256gcm16-modp2048", "esp rfc4106(gcm(aes)) 288/128"),
    ("esp_proposals = aes256ctr-sha384", "esp hmac(sha384) 384/192 rfc3686(ctr(aes)) 288"),
    ("esp_proposals = 3des-sha1", "esp hmac(sha1) 160/96 cbc(des3_ede) 192"),
    ("ah_proposals = sha256", f"ah {SHA}"),
    (f"mode = transport\n{ESP}", f"esp {SHA} {CBC}"),
    ("esp_proposals = aes128-sha256-esn", f"esp {SHA} {CBC}"),
)


class StrongSwanTests(GuestTestCase):
    """
    charon at the right end, ours at the left.
    """

    def setUp(self) -> None:
        """Both run, and nothing is loaded."""
        super().setUp()
        plugins = [one for one in PLUGINS if one != "kernel-null"]
        secrets = f'secrets {{ ike {{ secret = "{SECRET}" }} }}\n'
        self.charon = Charon(self.right, secrets, Path(self.mktemp()), plugins=plugins)
        self.addCleanup(self.charon.stop)
        self.charon.start(timeout=60.0)
        directory = Path(self.mktemp())
        directory.mkdir(parents=True)
        (directory / "swanctl.conf").write_text(secrets)
        (directory / "isakmp.toml").write_text('sink = "xfrm"\n')
        self.ours = DaemonProcess(self.left, directory)
        self.addCleanup(self.ours.kill)
        self._daemons = [self.ours]
        self.ours.start()

    def load(self, child: str, ours: str = "") -> None:
        """
        The connection ``net`` with its child ``child``, at both ends.

        :param child: keys that both have; ``ours``: more of our child.
        """
        keys = keys_of(f"{child}\n{ours}")
        networks = {} if keys.get("mode") == "transport" else self._networks(LEFT_NET, RIGHT_NET)
        self.ours.ask(
            "load-conn",
            {
                "net": {
                    "version": "1",
                    "local_addrs": [LEFT],
                    "remote_addrs": [RIGHT],
                    "proposals": ["aes128-sha256-modp2048"],
                    "local": {"auth": "psk"},
                    "remote": {"auth": "psk"},
                    "children": {"child": {**networks, **keys}},
                }
            },
        )
        lines = [child]
        if networks:
            turned = self._networks(RIGHT_NET, LEFT_NET)
            lines += [f"{key} = {value}" for key, value in turned.items()]
        text = "\n".join(lines)
        (self.charon.directory / "swanctl.conf").write_text(
            f"connections {{ net {{\n version = 1\n local_addrs = {RIGHT}\n remote_addrs = {LEFT}\n"
            "proposals = aes128-sha256-modp2048\n"
            "local {\n auth = psk\n }\n remote {\n auth = psk\n }\n"
            f"children {{ child {{\n{text}\n}} }} }} }}\n"
        )
        self.charon.swanctl("--load-conns")

    def _networks(self, ours: str, theirs: str) -> dict[str, str]:
        return {"local_ts": ours, "remote_ts": theirs}

    def gone(self) -> None:
        """No SA stands in either kernel."""
        self.wait(lambda: not states(self.left), "ours keeps what is deleted")
        self.wait(lambda: not states(self.right), f"charon keeps it\n{self.charon.log()}")

    def begin(self, ours: bool) -> None:
        """One end begins the child; it stands at both."""
        if ours:
            self.ours.initiate("net", "child")
        else:
            self.charon.swanctl("--initiate", "--child", "child")
        self.ours.wait_until(lambda: self.ours.standing().children, "no child stands")
        self.wait(lambda: len(states(self.right)) == 2, f"charon has none\n{self.charon.log()}")

    def test_kinds(self) -> None:
        """
        Whichever end begins, a ping crosses by what both kernels have of it; whoever has begun ends
        it, and the other follows.
        """
        for child, kind in KINDS:
            transport = "transport" in child
            for ours in (True, False):
                self.load(child)
                self.begin(ours)
                self.ping(transport=transport)
                for end in (self.left, self.right):
                    found = self.carried(end, kind.partition(" ")[0])
                    for sa in found:
                        self.assertEqual(" ".join((sa.protocol, *sa.algorithms)), kind)
                        self.assertEqual(sa.mode, "transport" if transport else "tunnel")
                if ours:
                    self.ours.terminate_all()
                else:
                    self.charon.swanctl("--terminate", "--ike", "net")
                self.gone()
                self.ours.ask("unload-conn", {"name": "net"})
                self.charon.swanctl("--load-conns", "--file", "/dev/null")
        self.assertEqual(self.ours.faults(), [])
        self.assert_empty(self.left)

    def test_trap(self) -> None:
        """
        Traffic begins the child, and all but the first packet crosses.  That one waits, and leaves
        when the SAs stand here; charon has its own only when our last message has come, and may
        have dropped it before that.
        """
        self.load(ESP, "start_action = trap")
        self.ping("-c", "3", "-i", "0.5", loss=True)
        self.wait(lambda: len(states(self.right)) == 2, f"nothing stands\n{self.charon.log()}")
        self.ping()
        (inbound,) = [sa for sa in states(self.right) if sa.destination == RIGHT]
        self.assertGreaterEqual(inbound.packets, 5)
        self.ours.stop()
        self.wait(lambda: not states(self.right), f"charon keeps it\n{self.charon.log()}")
        self.assert_empty(self.left)

    def test_rekeying(self) -> None:
        """Either end renews the child: what crosses then goes by the new SAs, and all of it."""
        self.load(ESP)
        self.begin(True)
        for ours in (True, False):
            before = {sa.spi for sa in states(self.left)}
            if ours:
                self.ours.ask("rekey", {"child": "child"})
            else:
                self.charon.swanctl("--rekey", "--child", "child")
            for end in (self.left, self.right):
                self.wait(lambda: len(self.since(end, before)) == 2, "not renewed")  # noqa: B023
            self.ping()
            for end in (self.left, self.right):
                self.assertEqual([sa.packets for sa in self.since(end, before)], [3, 3])

    def since(self, end: Namespace, before: Set[str]) -> list[KernelSA]:
        """The SAs of one end that were not there before."""
        return [sa for sa in states(end) if sa.spi not in before]
