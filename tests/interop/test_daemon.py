"""
Our daemon and strongSwan's charon, both configured by ``swanctl.conf``, in both roles: whatever it
asks for is agreed, both ends name the same SAs, and our daemon goes in order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.interop.configured import ConfiguredTestCase, including
from tests.interop.conversing import AES128_SHA256, MAIN_MODE, spelled
from tests.interop.daemon import DaemonProcess
from tests.interop.swanctl import IKESA
from tests.interop.vici import Refused


@dataclass(frozen=True, slots=True)
class Agreed:
    """
    What both ends must say of one child.

    :ivar isakmp: what is agreed for the ISAKMP SA.
    :ivar algorithms: what is agreed for the child, and ``more`` besides.
    :ivar begun: the traffic at the end that begins, ``answered`` at the other.
    """

    connection: str
    child: str
    isakmp: str
    algorithms: str
    begun: str
    answered: str
    mode: str = "TUNNEL"
    protocol: str = "ESP"
    more: str = ""


AGREED = (
    Agreed(
        "aes128-sha256-modp2048",
        "net",
        MAIN_MODE,
        AES128_SHA256,
        "10.81.1.0/24",
        "10.82.1.0/24",
    ),
    Agreed(
        "3des-sha1-modp1024",
        "net",
        "3DES_CBC/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024",
        "3DES_CBC/HMAC_SHA1_96",
        "10.81.2.0/24",
        "10.82.2.0/24",
    ),
    Agreed(
        "aes256-sha384-ecp256",
        "net",
        "AES_CBC-256/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/ECP_256",
        "AES_CBC-256/HMAC_SHA2_384_192",
        "10.81.3.0/24",
        "10.82.3.0/24",
    ),
    Agreed(
        "curve25519",
        "net",
        f"{AES128_SHA256}/PRF_HMAC_SHA2_256/CURVE_25519",
        "AES_GCM_16-128",
        "10.81.4.0/24",
        "10.82.4.0/24",
    ),
    Agreed(
        "md5",
        "net",
        "AES_CBC-128/HMAC_MD5_96/PRF_HMAC_MD5/MODP_1536",
        "AES_CBC-128/HMAC_MD5_96",
        "10.81.5.0/24",
        "10.82.5.0/24",
    ),
    Agreed(
        "modp4096",
        "net",
        "AES_CBC-256/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/MODP_4096",
        "AES_CBC-256/HMAC_SHA2_512_256",
        "10.81.6.0/24",
        "10.82.6.0/24",
    ),
    Agreed(
        "pfs",
        "net",
        MAIN_MODE,
        f"{AES128_SHA256}/MODP_2048",
        "10.81.7.0/24",
        "10.82.7.0/24",
    ),
    Agreed("two-children", "net", MAIN_MODE, AES128_SHA256, "10.81.8.0/25", "10.82.8.0/25"),
    Agreed(
        "two-children",
        "other",
        MAIN_MODE,
        AES128_SHA256,
        "10.81.8.128/25",
        "10.82.8.128/25",
    ),
    Agreed(
        "protocol-and-port",
        "web",
        MAIN_MODE,
        AES128_SHA256,
        "10.81.9.0/24[tcp]",
        "10.82.9.10/32[tcp/80]",
    ),
    Agreed(
        "transport",
        "host",
        MAIN_MODE,
        AES128_SHA256,
        "10.77.10.1/32",
        "10.77.10.2/32",
        "TRANSPORT",
    ),
    Agreed(
        "ah",
        "net",
        MAIN_MODE,
        "HMAC_SHA2_256_128",
        "10.81.24.0/24",
        "10.82.24.0/24",
        protocol="AH",
    ),
    Agreed(
        "compressed",
        "net",
        MAIN_MODE,
        AES128_SHA256,
        "10.81.25.0/24",
        "10.82.25.0/24",
        more="ipcomp",
    ),
    *(
        Agreed(
            "ciphers",
            child,
            MAIN_MODE,
            algorithms,
            f"10.81.26.{8 * number}/29",
            f"10.82.26.{8 * number}/29",
            more=more,
        )
        for number, (child, algorithms, more) in enumerate(
            (
                ("camellia", "CAMELLIA_CBC-128/HMAC_SHA1_96", ""),
                ("counter", "AES_CTR-128/HMAC_SHA2_256_128", ""),
                ("ccm", "AES_CCM_16-256", ""),
                ("gmac", "NULL_AES_GMAC-128", ""),
                ("blowfish", "BLOWFISH_CBC-128/HMAC_SHA1_96", ""),
                ("cast", "CAST_CBC-128/HMAC_MD5_96", ""),
                ("des", "DES_CBC/HMAC_MD5_96", ""),
                ("null", "NULL/HMAC_SHA1_96", ""),
                ("xcbc", "AES_CBC-128/AES_XCBC_96", ""),
                ("long", AES128_SHA256, "esn"),
            )
        )
    ),
)

CONNECTIONS = tuple(dict.fromkeys(agreed.connection for agreed in AGREED))


class DaemonAsInitiatorTests(ConfiguredTestCase):
    """
    Our daemon begins what its ``swanctl.conf`` says, and charon answers.
    """

    role = "initiator"

    def test_agreements(self) -> None:
        """
        Whatever a ``swanctl.conf`` asks for, charon agrees on it with us: ciphers, hashes and
        groups of all ages, perfect forward secrecy, two children under one ISAKMP SA, one service
        of one host, tunnels and transport mode.  ``list-sas`` of both daemons tells the same of the
        same SAs, and after our SIGTERM charon lists none.
        """
        ours, peer = self.begin(*CONNECTIONS)
        wanted = [(agreed.connection, agreed.child) for agreed in AGREED]
        self.wait_for_children(ours, peer, *wanted)
        theirs = self.wait_for_agreement(ours, peer)
        listed = ours.list_sas()
        for sas, us in ((listed, self.role == "initiator"), (theirs, self.role != "initiator")):
            self.assertEqual(
                [(agreed, self.said(agreed, sas)) for agreed in AGREED],
                [(agreed, [self.to_be_said(agreed, us)]) for agreed in AGREED],
            )
            # Both ISAKMP SAs and children: nothing has come up twice.
            self.assertEqual(len(sas), len(CONNECTIONS))
            self.assertEqual(sum(len(sa.children) for sa in sas), len(AGREED))
        self.assertEqual(
            ours.told_up(), {*CONNECTIONS, *("/".join(names) for names in wanted)}
        )
        self.assert_ends(ours, peer)

    def said(self, agreed: Agreed, sas: Sequence[IKESA]) -> list[tuple[str, ...]]:
        """What is listed of a child: once, if it is right."""
        return [
            (
                *(sa.algorithms, child.algorithms, child.protocol, child.mode, child.more),
                *(*child.local_ts, *child.remote_ts),
            )
            for sa in sas
            for child in sa.children
            if (sa.name, child.name) == (agreed.connection, agreed.child)
        ]

    def to_be_said(self, agreed: Agreed, begins: bool) -> tuple[str, ...]:
        """What must be, at the end that begins or at the other."""
        local, remote = agreed.begun, agreed.answered
        if not begins:
            local, remote = remote, local
        return (
            *(agreed.isakmp, agreed.algorithms, agreed.protocol, agreed.mode, agreed.more),
            *(spelled(local), spelled(remote)),
        )

    def test_own_port(self) -> None:
        """
        With a port of its own in ``isakmp.toml`` our daemon talks to a charon at port 500, plainly.
        """
        name = f"own-port-of-{self.role}"
        ours, peer = self.begin(name)
        self.wait_for_children(ours, peer, (name, "net"))
        self.wait_for_agreement(ours, peer)
        received = re.findall(r"received packet: from \S+\[(\d+)\] to \S+\[(\d+)\]", peer.log())
        self.assertEqual(set(received), {("10500", "500")})
        self.assert_stops(ours, peer)

    def test_driven(self) -> None:
        """
        Through vici one child of two is ended, begun again and renewed, whoever began it first; and
        with the ISAKMP SA all goes, until it is begun again.  charon follows each time.
        """
        name, here, there = "two-children", "net", "other"
        ours, peer = self.begin(name)
        self.wait_for_children(ours, peer, (name, here), (name, there))
        before = ours.standing()
        self.assertEqual(ours.terminate(ike=name, child=here), 1)
        self.wait_for_agreement(ours, peer, lambda now: now.isakmp == before.isakmp)
        self.assertEqual(self.children(ours), {there})
        ours.initiate(name, here)
        self.assertEqual(self.children(ours), {here, there})
        self.wait_for_agreement(ours, peer)

        renewed = len(ours.happened("child-rekey"))
        self.assertEqual(ours.ask("rekey", {"ike": name, "child": here})["matches"], "1")
        ours.wait_until(lambda: len(ours.happened("child-rekey")) > renewed)
        # The old one stays beside the new one for a while.
        self.wait_for_agreement(ours, peer)
        (sa,) = ours.list_sas()
        states = sorted((child.name, child.state) for child in sa.children)
        self.assertEqual(
            states, [(here, "INSTALLED"), (here, "REKEYED"), (there, "INSTALLED")]
        )

        self.assertEqual(ours.terminate(ike=name), 1)
        self.assertFalse(ours.standing())
        peer.wait_for_sas(lambda sas: not sas, timeout=4.0)
        self.assertEqual(ours.told_up(), set())
        with self.assertRaisesRegex(Refused, "no such SA stands"):
            ours.terminate(ike=name)
        ours.initiate(name)
        self.assertEqual((len(ours.standing().isakmp), self.children(ours)), (1, set()))
        ours.initiate(name, there)
        self.wait_for_agreement(ours, peer, lambda now: len(now.children) == 1)
        self.assert_stops(ours, peer)

    def children(self, ours: DaemonProcess) -> set[str]:
        """The names of those that stand."""
        return {child for _, child, *_ in ours.standing().children}

    def test_reload(self) -> None:
        """
        Our daemon reads its ``swanctl.conf`` at its start, and on SIGHUP again.  The connection
        that is not there any more goes, at both ends; the others stand as they did, and a new one
        can be had.  A file with a mistake changes nothing.
        """
        ours, peer = self.prepare("aes128-sha256-modp2048", "two-children", "pfs", "md5")
        before = ("aes128-sha256-modp2048", "two-children", "pfs")
        conf = ours.directory / "swanctl.conf"
        conf.write_text(including(before, self.our_end))
        first, second = (peer, ours) if self.role == "initiator" else (ours, peer)
        first.start()
        second.start()
        self.assertEqual(ours.ask("get-conns")["conns"], [*before])
        children = [(a.connection, a.child) for a in AGREED if a.connection in before]
        self.wait_for_children(ours, peer, *children)
        kept = {sa for sa in ours.standing().children if sa[0] != "pfs"}

        now = ("aes128-sha256-modp2048", "two-children", "md5")
        conf.write_text(including(now, self.our_end))
        ours.hang_up()
        ours.wait_until(lambda: ours.ask("get-conns")["conns"] == [*now])
        if self.role == "responder":
            peer.swanctl("--initiate", "--ike", "md5", "--child", "net", "--timeout", "8")
        self.wait_for_children(ours, peer, ("md5", "net"))
        sas = self.wait_for_agreement(
            ours, peer, lambda standing: "pfs" not in {name for name, *_ in standing.isakmp}
        )
        after = ours.standing()
        self.assertEqual({sa for sa in after.children if sa[0] != "md5"}, kept)
        self.assertEqual(sorted(sa.name for sa in sas), sorted(now))

        conf.write_text("connections {\n  md5 {\n    version = 3\n")
        ours.hang_up()
        ours.wait_for_told("not reloaded: swanctl.conf")
        self.wait_for_agreement(ours, peer, lambda standing: standing == after)
        self.assertTrue(all("not reloaded" in fault for fault in ours.faults()), ours.log())
        ours.stop(within=2.0)
        peer.wait_for_sas(lambda sas: not sas, timeout=2.0)
        self.assertEqual(ours.told_up() - {"pfs", "pfs/net"}, set())


class DaemonAsResponderTests(DaemonAsInitiatorTests):
    """
    charon begins, and our daemon answers: all that holds for our initiator holds here.
    """

    role = "responder"
