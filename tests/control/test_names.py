"""What strongSwan's tools call things."""

from __future__ import annotations

import socket
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import IPsecParameters
from isakmp.control import names
from isakmp.crypto.groups import GROUPS
from isakmp.identity import TrafficSelector
from tests.samples import US, protection_sa


class NameTests(SynchronousTestCase):
    def test_groups(self) -> None:
        """Every group that can be used has a name, and is found by its word."""
        found = {names.group(number) for number in GROUPS}
        self.assertEqual(len(found), len(GROUPS))
        for number, group in GROUPS.items():
            spelled = names.suite(f"aes128-sha1-{group.name}")
            self.assertEqual(spelled["dh-group"], names.group(number))
        for number, name in ((14, "MODP_2048"), (19, "ECP_256"), (24, "MODP_2048_256")):
            self.assertEqual(names.group(number), name)
        for number, name in ((28, "ECP_256_BP"), (31, "CURVE_25519"), (32, "CURVE_448")):
            self.assertEqual(names.group(number), name)

    def test_suites(self) -> None:
        """Algorithms have strongSwan's names; words that nobody knows have none."""
        self.assertEqual(
            names.suite("3des-md5-modp1024"),
            {
                "encr-alg": "3DES_CBC",
                "integ-alg": "HMAC_MD5_96",
                "prf-alg": "PRF_HMAC_MD5",
                "dh-group": "MODP_1024",
            },
        )
        self.assertEqual(names.suite("camellia256-sha384")["encr-keysize"], "256")
        self.assertEqual(names.suite("rot13-whirlpool-modp7"), {})
        self.assertEqual(names.suite(""), {})

    def test_protection(self) -> None:
        """
        The algorithms of a child have strongSwan's names, and the length of a key is that of the
        key alone: what follows it in the keying material is none of it.
        """
        for name, octets, found in (
            ("aes-cbc", 32, ("AES_CBC", "256")),
            ("aes-gcm-16", 20, ("AES_GCM_16", "128")),
            ("aes-ccm-8", 35, ("AES_CCM_8", "256")),
            ("aes-ctr", 28, ("AES_CTR", "192")),
            ("aes-gmac", 20, ("NULL_AES_GMAC", "128")),
            ("camellia-cbc", 16, ("CAMELLIA_CBC", "128")),
            ("blowfish-cbc", 56, ("BLOWFISH_CBC", "448")),
            ("cast-cbc", 16, ("CAST_CBC", "128")),
            ("3des-cbc", 24, ("3DES_CBC", None)),
            ("des-cbc", 8, ("DES_CBC", None)),
            ("null", 0, ("NULL", None)),
            ("none", 0, (None, None)),
        ):
            sa = replace(
                protection_sa(0x1001, US, parameters=IPsecParameters("tunnel", name, "none")),
                keys={"encryption": bytes(octets)},
            )
            said = names.protection(sa)
            self.assertEqual((said.get("encr-alg"), said.get("encr-keysize")), found)

    def test_selectors(self) -> None:
        """
        Traffic is written as charon writes it: a host is a network with one address, a range has
        two dots, a known port has its name, and a type and a code stand where ICMP has no port.
        """
        for said, found in (
            ("10.1.0.0/16", "10.1.0.0/16"),
            ("10.1.0.7", "10.1.0.7/32"),
            ("2001:db8::7", "2001:db8::7/128"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("10.1.0.7-10.1.0.9", "10.1.0.7..10.1.0.9"),
            ("10.1.0.7[tcp]", "10.1.0.7/32[tcp]"),
            ("10.1.0.7[tcp/80]", f"10.1.0.7/32[tcp/{socket.getservbyport(80, 'tcp')}]"),
            ("10.1.0.7[udp/65000]", "10.1.0.7/32[udp/65000]"),
            ("10.1.0.7[any/65000]", "10.1.0.7/32[65000]"),
            ("10.1.0.7[icmp/2048]", "10.1.0.7/32[icmp/8]"),
            ("10.1.0.7[icmp/771]", "10.1.0.7/32[icmp/3(3)]"),
            ("2001:db8::/32[58]", "2001:db8::/32[ipv6-icmp]"),
            ("10.1.0.0/16[253/7]", "10.1.0.0/16[253/7]"),
        ):
            self.assertEqual(names.selector(TrafficSelector.parse(said)), found)
