"""
Our daemon and libreswan's pluto, and traffic that the kernel protects.  Runs in a guest.

Both run throughout: what is tried next is loaded at both ends.
"""

from __future__ import annotations

import atexit
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from isakmp.control.codec import Section
from tests.interop.daemon import DaemonProcess
from tests.interop.ends import keys_of
from tests.interop.guest import (
    LEFT,
    LEFT_NET,
    RIGHT,
    RIGHT_NET,
    SECRET,
    GuestTestCase,
    cable,
    ip,
    states,
)
from tests.interop.libreswan import Pluto

ESP = "esp_proposals = aes128-sha256"


@dataclass(frozen=True, slots=True)
class Kind:
    """
    A kind of protection.

    :ivar child: what our child has.
    :ivar sas: protocol and algorithms of each SA of a direction, as the kernel has to have them.
    :ivar connection: more of what our connection has.
    """

    child: str
    sas: tuple[str, ...]
    mode: str = "tunnel"
    connection: str = ""


CBC, SHA = "cbc(aes) 128", "hmac(sha256) 256/128"
USUAL = f"esp {SHA} {CBC}"

#: By the names of libreswan's connections.
KINDS = {
    "tunnel": Kind(ESP, (USUAL,)),
    "gcm": Kind("esp_proposals = aes256gcm16", ("esp rfc4106(gcm(aes)) 288/128",)),
    "3des": Kind("esp_proposals = 3des-sha1", ("esp hmac(sha1) 160/96 cbc(des3_ede) 192",)),
    "ctr": Kind(
        "esp_proposals = aes256ctr-sha384", ("esp hmac(sha384) 384/192 rfc3686(ctr(aes)) 288",)
    ),
    "ccm": Kind("esp_proposals = aes128ccm16", ("esp rfc4309(ccm(aes)) 152/128",)),
    "xcbc": Kind("esp_proposals = aes192-aesxcbc", ("esp xcbc(aes) 128/96 cbc(aes) 192",)),
    "pfs": Kind("esp_proposals = aes128-sha256-modp2048", (USUAL,)),
    "pfs-3072": Kind(
        "esp_proposals = aes256-sha512-modp3072", ("esp hmac(sha512) 512/256 cbc(aes) 256",)
    ),
    "ah": Kind("ah_proposals = sha256", (f"ah {SHA}",)),
    "transport": Kind(f"mode = transport\n{ESP}", (USUAL,), "transport"),
    "transport-ah": Kind(
        "mode = transport\nah_proposals = sha1", ("ah hmac(sha1) 160/96",), "transport"
    ),
    "compressed": Kind(f"{ESP}\nipcomp = yes", (USUAL, "comp deflate")),
    "aggressive": Kind(ESP, (USUAL,), connection="aggressive = yes"),
}


class Both:
    """
    Ours at the left end of a cable, libreswan at the right, each started once.
    """

    def __init__(self) -> None:
        self.pair = cable()
        self._stack: list[Callable[[], object]] = [self.pair.close]
        atexit.register(self.close)
        try:
            directory = Path(tempfile.mkdtemp(prefix="ours-"))
            (directory / "swanctl.conf").write_text(f'secrets {{ ike {{ secret = "{SECRET}" }} }}')
            (directory / "isakmp.toml").write_text('sink = "xfrm"\n')
            self.ours = DaemonProcess(self.pair.left, directory)
            self._stack.append(self.ours.kill)
            self.pluto = Pluto(
                self.pair.right, Path(tempfile.mkdtemp(prefix="pluto-", dir="/run"))
            )
            self._stack.append(self.pluto.stop)
            self.ours.start()
            self.pluto.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends them, and takes the cable away; idempotent."""
        while self._stack:
            self._stack.pop()()


class _Base(GuestTestCase):
    """
    One pair of daemons for all tests.  After each they have nothing left; if they have, that test
    has failed, and the next one gets new ones.
    """

    _shared: ClassVar[list[Both]] = []

    def setUp(self) -> None:
        """What other tests have used, if it can be."""
        if not self._shared:
            self._shared.append(Both())
        (both,) = self._shared
        self.ours, self.pluto = both.ours, both.pluto
        self.left, self.right = both.pair.left, both.pair.right
        self._daemons = [self.ours]
        self.loaded = ""
        self.addCleanup(self._settle)

    def _settle(self) -> None:
        try:
            self.unload()
            self.assertEqual(self.ours.faults(), [])
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """The next test gets new daemons."""
        while self._shared:
            self._shared.pop().close()

    def load(self, connection: str, child: str = ESP, more: str = "") -> None:
        """
        The connection of libreswan's of this name, and ours for it.

        :param child: keys of our child.
        :param more: keys of our connection.
        """
        keys = keys_of(child)
        if keys.get("mode") != "transport":
            keys = {"local_ts": LEFT_NET, "remote_ts": RIGHT_NET, **keys}
        message: Section = {
            "net": {
                "version": "1",
                "local_addrs": [LEFT],
                "remote_addrs": [RIGHT],
                "proposals": ["aes128-sha256-modp2048"],
                **keys_of(more),
                "local": {"auth": "psk", "id": "@ours-libreswan"},
                "remote": {"auth": "psk", "id": "@libreswan"},
                "children": {"child": {**keys}},
            }
        }
        self.ours.ask("load-conn", message)
        self.pluto.load(connection)
        self.loaded = connection

    def unload(self) -> None:
        """What was loaded, at both ends, with what stands; nothing is left in the kernels."""
        if not self.loaded:
            return
        self.pluto.unload(self.loaded)
        self.ours.ask("unload-conn", {"name": "net"})
        self.ours.terminate_all()
        self.loaded = ""
        self.gone()
        self.assert_only_neighbours()

    def begin(self, ours: bool) -> None:
        """
        One end begins the child; it stands at both.

        :raises AssertionError: if it does not.
        """
        if ours:
            self.ours.initiate("net", "child")
        else:
            self.pluto.initiate(self.loaded)
        self.ours.wait_until(lambda: self.ours.standing().children, "no child stands")
        self.wait(lambda: len(states(self.right)) >= 2, "libreswan has no SA")

    def end(self, ours: bool) -> None:
        """
        One end ends it; the SAs are gone from both kernels.

        :raises AssertionError: if something stands.
        """
        if ours:
            self.ours.terminate_all()
        else:
            self.pluto.terminate(self.loaded)
        self.gone()

    def gone(self) -> None:
        """
        No SA stands at either end, and at ours no policy.

        :raises AssertionError: if something does.
        """
        self.wait(lambda: not states(self.left), "ours keeps what is deleted")
        self.wait(lambda: not states(self.right), "libreswan keeps what is deleted")
        self.assert_empty(self.left)
        self.assertEqual(ip(self.right, "xfrm state"), "")

    def assert_only_neighbours(self) -> None:
        """
        At libreswan's end no policy is left but those of its sockets, and those for the discovery
        of neighbours in IPv6, which a pluto sets when it starts and leaves behind.
        """
        policies = re.split(r"\n(?=src )", ip(self.right, "xfrm policy"))
        left = [text for text in policies if not re.search("socket|ipv6-icmp type 13", text)]
        self.assertEqual([text for text in left if text], [])

    def explained(self, check: Callable[[], None]) -> None:
        """
        :raises AssertionError: as what is checked, with what libreswan and its kernel say.
        """
        try:
            check()
        except AssertionError as error:
            kernel = ip(self.right, "-s xfrm state") + ip(self.right, "xfrm policy")
            said = self.pluto.log().partition("listening for IKE messages")[2]
            raise AssertionError(f"{error}\n{said}\n{kernel}") from None

    def spis(self) -> list[tuple[str, str]]:
        """Of our children, in and out, the oldest first."""
        found = [child for sa in self.ours.list_sas() for child in sa.children]
        return [(child.spi_in, child.spi_out) for child in found]


class KindTests(_Base):
    """
    Every kind of protection, one test for each.
    """

    def protect(self, connection: str, kind: Kind) -> None:
        """
        Ours begins it, and then libreswan: a ping crosses, and the counters move at both ends.  Who
        has begun ends it, and the SAs are gone from both kernels.
        """
        self.load(connection, kind.child, kind.connection)
        for ours in (True, False):
            self.begin(ours)
            options = ("-c", "3", "-i", "0.02", "-s", "1000", "-p", "00")  # can be compressed
            self.ping(*options, transport=kind.mode == "transport")
            for end in (self.left, self.right):
                protocols = [sa.partition(" ")[0] for sa in kind.sas]
                found = self.carried(end, *protocols, mode=kind.mode)
                words = sorted(" ".join((sa.protocol, *sa.algorithms)) for sa in found)
                self.assertEqual(words, sorted(2 * kind.sas))
            self.end(ours)


def _test(connection: str, kind: Kind) -> Callable[[KindTests], None]:
    def test(self: KindTests) -> None:
        self.explained(lambda: self.protect(connection, kind))

    return test


for _name, _kind in KINDS.items():
    setattr(KindTests, f"test_{_name.replace('-', '_')}", _test(_name, _kind))


class RenewedTests(_Base):
    """
    What stands is renewed by either end, under a flood of which nothing is lost.

    With one exception.  Where libreswan answers in Quick Mode it gives its kernel the SAs of both
    directions before it has sent its answer (``install_inbound_ipsec_sa`` of its ``kernel.c``), and
    the kernel sends by the newer of two: so a few packets come by an SPI of ours before we can know
    their keys.  Our kernel has counted every one of them that is missing.
    """

    def test_rekeying_ours(self) -> None:
        """Ours renews the child every two seconds, and libreswan, which is early, answers."""
        self.load("tunnel", f"{ESP}\nrekey_time = 2s\nlife_time = 20s\nrand_time = 0s")
        self.begin(True)
        first = self.spis()
        self.explained(lambda: self.flood_on(first, 5, True))

    def test_rekeying_libreswan(self) -> None:
        """Libreswan renews the child, and ours answers."""
        self.load("rekeying")
        self.begin(False)
        first = self.spis()
        self.explained(lambda: self.flood_on(first, 8, False))

    def early(self) -> int:
        """How many packets our kernel has dropped that came by an SPI of ours without its SA."""
        said = self.inside(self.left, "cat", "/proc/net/xfrm_stat")
        counts = {name: int(count) for name, count in map(str.split, said.splitlines())}
        early = counts.pop("XfrmAcquireError")
        self.assertEqual({name for name, count in counts.items() if count}, set(), said)
        return early

    def flood_on(self, first: list[tuple[str, str]], seconds: int, ours: bool) -> None:
        """
        Nothing is lost but what, as said above, comes early; and there are two SAs since that were
        not there.
        """
        self.assertEqual(len(first), 1)
        before = self.early()
        said = self.ping("-f", "-w", str(seconds), loss=True)
        sent, received = re.findall(r"(\d+) (?:packets transmitted|received)", said)
        early = self.early() - before if ours else 0
        self.assertLessEqual(int(sent) - int(received), early, said)
        self.assertLess(early, int(sent) // 50, said)
        established = re.findall(r"net/child, SPI (\w+) in, (\w+) out, is est", self.ours.log())
        since = established[established.index(first[0]) :]
        self.assertGreaterEqual(len(set(since)), 3, since)

    def test_reauthentication_ours(self) -> None:
        """Ours authenticates anew, and the children stay."""
        self.load("tunnel", more="reauth_time = 2s\nover_time = 10s\nrand_time = 0s")
        self.begin(True)
        self.explained(self.reauthenticated)

    def test_reauthentication_libreswan(self) -> None:
        """Libreswan authenticates anew, and the children stay."""
        self.load("reauthenticating")
        self.begin(False)
        self.explained(self.reauthenticated)

    def reauthenticated(self) -> None:
        """Nothing is lost; the ISAKMP SA is another, and the SAs are the same."""
        (before,) = self.ours.list_sas()
        spis = self.spis()
        self.ping("-f", "-w", "5")
        after = self.ours.list_sas()
        self.assertGreater(
            {sa.initiator_spi for sa in after} - {before.initiator_spi}, set(), after
        )
        self.assertEqual(self.spis(), spis)
        for end in (self.left, self.right):
            self.assertEqual(len(states(end)), 2)

    def test_updown(self) -> None:
        """
        Scripts are run at both ends when the child comes up and when it is gone; what either is
        told under the same names is the same, seen from its end.
        """
        folder = Path(self.mktemp()).resolve()
        folder.mkdir(parents=True)
        text = '#!/bin/sh\nenv >"{0}/$$"\nmv "{0}/$$" "{0}/{1}-$PLUTO_VERB"\n'
        scripts = {"ours": folder / "ours", "libreswan": Path("/run/pluto-updown")}
        for who, script in scripts.items():
            script.write_text(text.format(folder, who))
            script.chmod(0o755)
        self.load("scripted", f"{ESP}\nupdown = {scripts['ours']}")
        self.begin(True)
        ours, libreswan = (self.told(folder / f"{who}-up-client") for who in scripts)
        for name in ("PLUTO_VERB", "PLUTO_INTERFACE"):
            self.assertEqual(ours[name], libreswan[name])
        for name in ("PLUTO_MY_CLIENT", "PLUTO_MY_PORT", "PLUTO_MY_PROTOCOL", "PLUTO_ME"):
            other = "PLUTO_PEER" if name == "PLUTO_ME" else name.replace("MY", "PEER")
            self.assertEqual(ours[name], libreswan[other])
            self.assertEqual(libreswan[name], ours[other])
        # Libreswan counts on from what it tells: the next is ESP's.
        reqids = (self.left, ours["PLUTO_REQID"], 0), (self.right, libreswan["PLUTO_SA_REQID"], 1)
        for end, told, more in reqids:
            self.assertEqual({sa.reqid for sa in states(end)}, {int(told) + more})
        self.end(True)
        for who in scripts:
            self.told(folder / f"{who}-down-client")

    def told(self, found: Path) -> dict[str, str]:
        """What a script was told."""
        self.wait(found.exists, f"{found.name}: no script is run")
        return dict(line.partition("=")[::2] for line in found.read_text().splitlines())


class StoppedTests(_Base):
    """
    Libreswan ends.
    """

    def test_libreswan_stops(self) -> None:
        """What it deletes is gone from our kernel too, and so is its own."""
        self.load("tunnel")
        self.begin(False)
        self.ping()
        self.addCleanup(self.leave)
        self.pluto.stop()
        self.loaded = ""
        self.gone()
        self.assert_only_neighbours()
        self.ours.stop()
        self.assert_empty(self.left)
