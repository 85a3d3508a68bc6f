"""
What the tests in a guest have in common: two ends of a cable, with our daemons or others, and what
the kernel says of its SAs.

Only to be used under user-mode Linux: see :mod:`tests.interop.test_kernel`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.interop import CHECKOUT
from tests.interop.daemon import DaemonProcess
from tests.interop.namespaces import Namespace, NamespacePair

LEFT_NET, RIGHT_NET = "10.81.0.0/24", "10.82.0.0/24"
LEFT_INNER, RIGHT_INNER = "10.81.0.1", "10.82.0.1"
LEFT, RIGHT = NamespacePair.LEFT_ADDRESS, NamespacePair.RIGHT_ADDRESS

SECRET = "lab-secret-psk"

FOREIGN_SA = (
    "xfrm state add src 10.99.0.1 dst 10.99.0.2 proto esp spi 0x4711 reqid 4711 mode tunnel "
    "enc cbc(aes) 0x00112233445566778899aabbccddeeff "
    "auth-trunc hmac(sha1) 0x000102030405060708090a0b0c0d0e0f10111213 96"
)
FOREIGN_POLICY = (
    "xfrm policy add src 10.98.0.0/24 dst 10.99.0.0/24 dir out "
    "tmpl src 10.99.0.1 dst 10.99.0.2 proto esp reqid 4711 mode tunnel"
)

_SA = re.compile(
    r"^src (?P<source>\S+) dst (?P<destination>\S+)\n"
    r"\s+proto (?P<protocol>\w+) spi 0x(?P<spi>[0-9a-f]+)\S* reqid (?P<reqid>\d+)\S* "
    r"mode (?P<mode>\w+)",
    re.MULTILINE,
)
_ALGORITHM = re.compile(
    r"^\s+(?:enc|auth-trunc|aead|comp) (\S+)(?: 0x[0-9a-f]+ \((\d+) bits\)(?: (\d+))?)?",
    re.MULTILINE,
)
_CURRENT = re.compile(r"lifetime current:\s+(\d+)\(bytes\), (\d+)\(packets\)")


@dataclass(frozen=True, slots=True)
class KernelSA:
    """
    What ``ip -s xfrm state`` says of one.

    :ivar text: all of it.
    """

    source: str
    destination: str
    protocol: str
    spi: str
    reqid: int
    mode: str
    octets: int
    packets: int
    text: str

    @property
    def algorithms(self) -> Sequence[str]:
        """
        Its algorithms: the kernel's name, the bits of the key, and those of what is sent of a proof
        (``cbc(aes) 128``, ``hmac(sha256) 256/128``, ``rfc4106(gcm(aes)) 160/128``).
        """
        found = []
        for name, key, proof in _ALGORITHM.findall(self.text):
            found.append(name + (f" {key}" if key else "") + (f"/{proof}" if proof else ""))
        return found


def ip(namespace: Namespace, *arguments: str) -> str:
    """
    What ``ip`` says there.

    :raises AssertionError: if it fails.
    """
    words = [word for argument in arguments for word in argument.split(" ")]
    done = subprocess.run(
        ["ip", "-n", namespace.name, *words], capture_output=True, text=True, timeout=20
    )
    if done.returncode:
        raise AssertionError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def states(namespace: Namespace) -> list[KernelSA]:
    """The SAs there; reserved SPIs, which have no algorithms, are not among them."""
    found = []
    for text in re.split(r"\n(?=src )", ip(namespace, "-s xfrm state")):
        named, current = _SA.search(text), _CURRENT.search(text)
        if named is None or current is None:
            continue
        if named["source"] == "10.99.0.1":
            continue  # nobody's of ours
        if named["protocol"] not in ("esp", "ah", "comp"):
            continue  # the kernel's own, of IP in IP, that belongs to an IPComp SA
        if not re.search(r"\n\s+(?:enc|auth|auth-trunc|aead|comp) ", text):
            continue
        found.append(
            KernelSA(
                named["source"],
                named["destination"],
                named["protocol"],
                named["spi"],
                int(named["reqid"]),
                named["mode"],
                int(current[1]),
                int(current[2]),
                text,
            )
        )
    return found


def cable() -> NamespacePair:
    """Both ends, with a network behind each and a route to the other's; it is to be closed."""
    pair = NamespacePair([f"{LEFT_INNER}/24"], [f"{RIGHT_INNER}/24"])
    pair.__enter__()
    try:
        ip(pair.left, f"route add {RIGHT_NET} via {RIGHT} src {LEFT_INNER}")
        ip(pair.right, f"route add {LEFT_NET} via {LEFT} src {RIGHT_INNER}")
    except BaseException:
        pair.close()
        raise
    return pair


def add_foreign(end: Namespace) -> None:
    """Adds an SA and a policy that are nobody's of ours."""
    ip(end, FOREIGN_SA)
    ip(end, FOREIGN_POLICY)


def standing(end: Namespace) -> list[str]:
    """Each SA, reserved SPI and policy there, but those of sockets, as ``ip`` shows it."""
    texts = [
        *re.split(r"\n(?=src )", ip(end, "xfrm state")),
        *re.split(r"\n(?=src |socket)", ip(end, "xfrm policy")),
    ]
    return [text.strip() for text in texts if text.strip() and "socket" not in text]


def assert_empty(*ends: Namespace, but: Sequence[str] = ()) -> None:
    """
    No SA, no reserved SPI and no policy stands there, but those of sockets.

    :param but: what is nobody's of ours, and has to stand there just as it was.
    :raises AssertionError: with what does.
    """
    for end in ends:
        left = standing(end)
        if left != list(but):
            raise AssertionError(f"in {end.name} there stands\n" + "\n".join(left))


class GuestTestCase(SynchronousTestCase):
    """
    Two namespaces with a cable; whatever has been started in them ends with the test.
    """

    def setUp(self) -> None:
        """A network behind each end, and a route to the other's."""
        pair = cable()
        self.addCleanup(pair.close)
        self.left, self.right = pair.left, pair.right
        self._daemons: list[DaemonProcess] = []

    # -- our daemons ---------------------------------------------------------------------------

    def daemon(
        self,
        end: Namespace,
        child: str = "",
        connection: str = "",
        toml: str = "",
        peer: str = "",
    ) -> DaemonProcess:
        """
        Starts one with the connection ``net`` and its child ``child``.

        :param child: keys of the child, each on a line.
        """
        ours, theirs = (LEFT, RIGHT) if end is self.left else (RIGHT, LEFT)
        directory = Path(self.mktemp())
        directory.mkdir(parents=True)
        keys = child if "_ts" in child or "transport" in child else self.networks(end) + child
        (directory / "swanctl.conf").write_text(
            f"""
            connections {{
                net {{
                    version = 1
                    local_addrs = {ours}
                    remote_addrs = {theirs}
                    proposals = aes128-sha256-modp2048
                    {connection}
                    local {{
                        auth = psk
                        {f"id = @ours-{peer}" if peer else ""}
                    }}
                    remote {{
                        auth = psk
                        {f"id = @{peer}" if peer else ""}
                    }}
                    children {{
                        child {{
                            {keys}
                        }}
                    }}
                }}
            }}
            secrets {{
                ike {{
                    secret = "{SECRET}"
                }}
            }}
            """
        )
        (directory / "isakmp.toml").write_text(toml or 'sink = "auto"\nvici = ""\n')
        daemon = DaemonProcess(end, directory)
        self.addCleanup(daemon.kill)
        self._daemons.append(daemon)
        return daemon.start()

    def networks(self, end: Namespace) -> str:
        """The keys for the traffic between the two networks."""
        pair = (LEFT_NET, RIGHT_NET) if end is self.left else (RIGHT_NET, LEFT_NET)
        return "local_ts = {}\nremote_ts = {}\n".format(*pair)

    def both(self, child: str, **more: str) -> tuple[DaemonProcess, DaemonProcess]:
        """Ours at both ends; the left one begins."""
        right = self.daemon(self.right, child, **more)
        left = self.daemon(self.left, f"{child}\nstart_action = start", **more)
        for daemon in (left, right):
            daemon.expect(r"net/child, .* is established", timeout=30)
        return left, right

    def by_hand(self) -> list[subprocess.Popen[str]]:
        """A tunnel that nobody has agreed, with ESP in UDP, at both ends."""
        ends = (
            (self.left, (LEFT, RIGHT, LEFT_NET, RIGHT_NET, "1001", "2001")),
            (self.right, (RIGHT, LEFT, RIGHT_NET, LEFT_NET, "2001", "1001")),
        )
        found = []
        for end, arguments in ends:
            process = subprocess.Popen(
                end.command(sys.executable, "-m", "tests.interop.by_hand", *arguments),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=CHECKOUT,
                env={**os.environ, "PYTHONWARNINGS": "error"},
            )
            assert process.stdout is not None
            self.addCleanup(process.stdout.close)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            found.append(process)
        for process in found:
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), "it stands\n")
        return found

    def inside(self, end: Namespace, *command: str) -> str:
        """What a command says there."""
        done = subprocess.run(
            end.command(*command), capture_output=True, text=True, check=True, timeout=20
        )
        return done.stdout

    # -- traffic -------------------------------------------------------------------------------

    def ping(
        self,
        *options: str,
        transport: bool = False,
        loss: bool = False,
        between: tuple[str, str] | None = None,
    ) -> str:
        """
        From the left to the right; by default three echoes.

        :param transport: between the hosts, and not their networks.
        :param between: source and destination, if they are others.

        :raises AssertionError: if one is lost and that is not expected.
        """
        hosts, networks = (LEFT, RIGHT), (LEFT_INNER, RIGHT_INNER)
        source, to = between or (hosts if transport else networks)
        asked = options or ("-c", "3", "-i", "0.02")
        done = subprocess.run(
            self.left.command("ping", "-q", "-W", "2", *asked, "-I", source, to),
            capture_output=True,
            text=True,
            timeout=90,
        )
        if not loss and " 0% packet loss" not in done.stdout:
            logs = "\n".join(daemon.log() for daemon in self._daemons)
            kernel = ip(self.left, "-s xfrm state") + ip(self.left, "xfrm policy")
            raise AssertionError(f"{done.stdout}{done.stderr}\n{logs}\n{kernel}")
        return done.stdout

    def carried(self, end: Namespace, *protocols: str, mode: str = "") -> list[KernelSA]:
        """
        The SAs at one end, which are those of the protocols, one in each direction, and have
        carried traffic.
        """
        found = states(end)
        self.assertEqual(sorted(sa.protocol for sa in found), sorted(2 * protocols))
        for sa in found:
            self.assertGreater(sa.packets, 0, sa.text)
            self.assertGreater(sa.octets, 0, sa.text)
        if mode:
            self.assertIn(mode, {sa.mode for sa in found})
        return found

    def wait(self, reached: Callable[[], object], what: str, seconds: float = 15.0) -> None:
        """
        :raises AssertionError: if it is not so in time.
        """
        deadline = time.monotonic() + seconds
        while not reached():
            if time.monotonic() > deadline:
                logs = "\n".join(daemon.log() for daemon in self._daemons)
                raise AssertionError(f"{what}\n{logs}")
            time.sleep(0.05)

    def assert_empty(self, *ends: Namespace) -> None:
        """No SA, no reserved SPI and no policy is left."""
        assert_empty(*ends)

    def foreign(self, end: Namespace) -> Sequence[str]:
        """Adds an SA and a policy that are nobody's of ours; what they are like."""
        add_foreign(end)
        return self.strangers(end)

    def strangers(self, end: Namespace) -> Sequence[str]:
        """The SA and the policy that are not ours."""
        return [text for text in standing(end) if "10.99.0" in text]
