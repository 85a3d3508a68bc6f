"""
Our daemon at both ends, and every kind of protection that the kernel gives: each is agreed, carries
a ping, and goes.  Runs in a guest.

The daemons run throughout: what is tried next is loaded by their control sockets.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from isakmp.sinks.xfrm import algorithms
from tests.interop.ends import (
    LEFT_6,
    LEFT_INNER_6,
    LEFT_NET_6,
    RIGHT_6,
    RIGHT_INNER_6,
    RIGHT_NET_6,
    EndsTestCase,
)
from tests.interop.guest import LEFT, LEFT_INNER, RIGHT, RIGHT_INNER

HOSTS_6 = LEFT_6, RIGHT_6
NETWORKS_6 = f"local_ts = {LEFT_NET_6}\nremote_ts = {RIGHT_NET_6}\n"

CBC, SHA = "cbc(aes) 128", "hmac(sha256) 256/128"
USUAL = f"esp {SHA} {CBC}"

TOML = """
[connection.bundle.children.child]
suites = ["tunnel:ah=sha256+esp=aes128-sha256"]
[connection.bundle-transport.children.child]
suites = ["transport:ah=sha1+esp=aes256-sha1"]
[connection.three.children.child]
suites = ["tunnel:ah=sha256+esp=aes128-sha256+ipcomp=deflate"]
"""
"""Several protocols in one suite are not strongSwan's, and so not in what is loaded."""


@dataclass(frozen=True, slots=True)
class Kind:
    """
    A kind of protection.

    :ivar child: keys of the child, each on a line, as the left end has them.
    :ivar sas: what the kernel has to say of the SAs of each direction: protocol and algorithms.
    :ivar mode: of the innermost SA.
    :ivar hosts: the peers' addresses.
    :ivar six: what is protected is IPv6.
    :ivar connection: its name.
    :ivar says: what is to be found besides in what the kernel says of an SA for what arrives.
    """

    child: str
    sas: tuple[str, ...]
    mode: str = "tunnel"
    hosts: tuple[str, str] = (LEFT, RIGHT)
    six: bool = False
    connection: str = "net"
    says: str = ""

    @property
    def between(self) -> tuple[str, str]:
        """The ends of a ping."""
        if self.mode == "transport":
            return self.hosts
        return (LEFT_INNER_6, RIGHT_INNER_6) if self.six else (LEFT_INNER, RIGHT_INNER)


def _esp(proposal: str, *sas: str, more: str = "") -> Kind:
    return Kind(f"esp_proposals = {proposal}\n{more}", sas)


def _ah(proposal: str, algorithm: str) -> Kind:
    return Kind(f"ah_proposals = {proposal}", (f"ah {algorithm}",))


def _transport(keys: str, sa: str, hosts: tuple[str, str] = (LEFT, RIGHT)) -> Kind:
    return Kind(f"mode = transport\n{keys}", (sa,), "transport", hosts)


def _window(packets: int, says: str) -> Kind:
    return Kind(f"esp_proposals = aes128-sha256\nreplay_window = {packets}", (USUAL,), says=says)


KINDS = {
    # Ciphers.
    "aes128": _esp("aes128-sha256", USUAL),
    "aes192": _esp("aes192-sha256", f"esp {SHA} cbc(aes) 192"),
    "aes256": _esp("aes256-sha256", f"esp {SHA} cbc(aes) 256"),
    "aes128ctr": _esp("aes128ctr-sha256", f"esp {SHA} rfc3686(ctr(aes)) 160"),
    "aes256ctr": _esp("aes256ctr-sha256", f"esp {SHA} rfc3686(ctr(aes)) 288"),
    "camellia128": _esp("camellia128-sha256", f"esp {SHA} cbc(camellia) 128"),
    "camellia256": _esp("camellia256-sha256", f"esp {SHA} cbc(camellia) 256"),
    "blowfish128": _esp("blowfish128-sha256", f"esp {SHA} cbc(blowfish) 128"),
    "blowfish256": _esp("blowfish256-sha256", f"esp {SHA} cbc(blowfish) 256"),
    "cast128": _esp("cast128-sha256", f"esp {SHA} cbc(cast5) 128"),
    "3des": _esp("3des-md5", "esp hmac(md5) 128/96 cbc(des3_ede) 192"),
    "des": _esp("des-sha1", "esp hmac(sha1) 160/96 cbc(des) 64"),
    "null": _esp("null-sha256", f"esp {SHA} ecb(cipher_null)"),
    # What encrypts and authenticates in one.
    "gcm8": _esp("aes128gcm8", "esp rfc4106(gcm(aes)) 160/64"),
    "gcm12": _esp("aes192gcm12", "esp rfc4106(gcm(aes)) 224/96"),
    "gcm16": _esp("aes256gcm16", "esp rfc4106(gcm(aes)) 288/128"),
    "ccm8": _esp("aes128ccm8", "esp rfc4309(ccm(aes)) 152/64"),
    "ccm12": _esp("aes192ccm12", "esp rfc4309(ccm(aes)) 216/96"),
    "ccm16": _esp("aes256ccm16", "esp rfc4309(ccm(aes)) 280/128"),
    "gmac": _esp("aes128gmac", "esp rfc4543(gcm(aes)) 160/128"),
    # What authenticates.
    "sha384": _esp("aes128-sha384", f"esp hmac(sha384) 384/192 {CBC}"),
    "sha512": _esp("aes128-sha512", f"esp hmac(sha512) 512/256 {CBC}"),
    "aesxcbc": _esp("aes128-aesxcbc", f"esp xcbc(aes) 128/96 {CBC}"),
    "sha256_96": _esp(
        "aes128-sha256", f"esp hmac(sha256) 256/96 {CBC}", more="sha256_96 = yes"
    ),
    "ah_md5": _ah("md5", "hmac(md5) 128/96"),
    "ah_sha1": _ah("sha1", "hmac(sha1) 160/96"),
    "ah_sha256": _ah("sha256", SHA),
    "ah_sha384": _ah("sha384", "hmac(sha384) 384/192"),
    "ah_sha512": _ah("sha512", "hmac(sha512) 512/256"),
    "ah_aesxcbc": _ah("aesxcbc", "xcbc(aes) 128/96"),
    # Forward secrecy, long sequence numbers, compression, bundles.
    "pfs": _esp("aes128-sha256-modp2048", USUAL),
    "pfs_ecp": _esp("aes128-sha256-ecp384", USUAL),
    "esn": Kind("esp_proposals = aes128-sha256-esn", (USUAL,), says="flag .*esn"),
    "esn_gcm": Kind(
        "esp_proposals = aes128gcm16-esn",
        ("esp rfc4106(gcm(aes)) 160/128",),
        says="flag .*esn",
    ),
    "compressed": _esp("aes128-sha256", USUAL, "comp deflate", more="ipcomp = yes"),
    "bundle": Kind("", (f"ah {SHA}", USUAL), connection="bundle"),
    "bundle_transport": Kind(
        "mode = transport",
        ("ah hmac(sha1) 160/96", "esp hmac(sha1) 160/96 cbc(aes) 256"),
        "transport",
        connection="bundle-transport",
    ),
    "three": Kind("", (f"ah {SHA}", USUAL, "comp deflate"), connection="three"),
    # Modes and versions of IP.
    "transport": _transport("esp_proposals = aes128-sha256", USUAL),
    "transport_ah": _transport("ah_proposals = sha256", f"ah {SHA}"),
    "transport_in_6": _transport("esp_proposals = aes128-sha256", USUAL, HOSTS_6),
    "transport_ah_in_6": _transport("ah_proposals = sha256", f"ah {SHA}", HOSTS_6),
    "6_in_6": Kind(
        f"{NETWORKS_6}esp_proposals = aes128-sha256", (USUAL,), hosts=HOSTS_6, six=True
    ),
    "6_in_4": Kind(f"{NETWORKS_6}esp_proposals = aes128-sha256", (USUAL,), six=True),
    "4_in_6": Kind("esp_proposals = aes128-sha256", (USUAL,), hosts=HOSTS_6),
    "ah_6_in_6": Kind(
        f"{NETWORKS_6}ah_proposals = sha256", (f"ah {SHA}",), hosts=HOSTS_6, six=True
    ),
    # Replay windows.
    "window_0": _window(0, r"replay-window 0 "),
    "window_32": _window(32, r"replay-window 32 "),
    "window_1024": _window(1024, r"replay_window 1024, bitmap-length 32"),
}


class KindTests(EndsTestCase):
    """
    One test for each kind.
    """

    toml = TOML
    beside = True

    def protect(self, kind: Kind) -> None:
        """
        It is agreed, a ping crosses, and the counters move at both ends.  That it goes, and leaves
        nothing, is seen to after each test.
        """
        self.ends.load(kind.child, hosts=kind.hosts, name=kind.connection)
        self.ends.begin(kind.connection)
        options = ("-c", "3", "-i", "0.02", "-s", "1000", "-p", "00")  # can be compressed
        self.ping(*options, between=kind.between)
        for end in (self.left, self.right):
            protocols = [sa.partition(" ")[0] for sa in kind.sas]
            found = self.carried(end, *protocols, mode=kind.mode)
            words = sorted(" ".join((sa.protocol, *sa.algorithms)) for sa in found)
            self.assertEqual(words, sorted(2 * kind.sas))
            hosts = {frozenset((sa.source, sa.destination)) for sa in found}
            self.assertEqual(hosts, {frozenset(kind.hosts)})
            address = kind.hosts[end is self.right]
            for sa in found:
                if kind.says and sa.destination == address:
                    self.assertRegex(sa.text, kind.says)

    def test_all_algorithms(self) -> None:
        """No algorithm that the sink can name is missing among the kinds."""
        shown = " ".join(sa for kind in KINDS.values() for sa in kind.sas)
        for name in algorithms.CIPHERS.values():
            self.assertIn(f" {name}", shown)
        for name, bits in (*algorithms.COMBINED.values(), *algorithms.INTEGRITIES.values()):
            self.assertRegex(shown, rf" {re.escape(name)} \d+/{bits}\b")
        for name in algorithms.COMPRESSIONS.values():
            self.assertIn(f"comp {name}", shown)


def _test(kind: Kind) -> Callable[[KindTests], None]:
    def test(self: KindTests) -> None:
        self.protect(kind)

    return test


for _name, _kind in KINDS.items():
    setattr(KindTests, f"test_{_name}", _test(_kind))
