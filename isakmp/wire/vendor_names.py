"""
Names for vendor IDs.  RFC 2408 section 3.16.

For people who read logs, and for nothing else: what an implementation may *do* after hearing one is
decided where that is done.  Most are the MD5 of the text given here as the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

VENDOR_NAMES: Final[Mapping[bytes, str]] = MappingProxyType(
    {
        bytes.fromhex(octets): name
        for octets, name in {
            # draft-beaulieu-ike-xauth-02
            "09002689dfd6b712": "XAUTH",
            # RFC 3706
            "afcad71368a1f1c96b8696fc77570100": "DPD",
            "3b9031dce4fcf88b489a923963dd0c49": "DPDv1_NG",
            # RFC 3947 and its drafts
            "4a131c81070358455c5728f20e95452f": "RFC 3947",
            "4485152d18b6bbcd0be8a8469579ddcc": "draft-ietf-ipsec-nat-t-ike-00",
            "16f6ca16e4a4066d83821a0f0aeaa862": "draft-ietf-ipsec-nat-t-ike-01",
            "cd60464335df21f87cfdb2fc68b6a448": "draft-ietf-ipsec-nat-t-ike-02",
            "90cb80913ebb696e086381b5ec427b1f": "draft-ietf-ipsec-nat-t-ike-02\\n",
            "7d9419a65310ca6f2c179d9215529d56": "draft-ietf-ipsec-nat-t-ike-03",
            "9909b64eed937c6573de52ace952fa6b": "draft-ietf-ipsec-nat-t-ike-04",
            "80d0bb3def54565ee84645d4c85ce3ee": "draft-ietf-ipsec-nat-t-ike-05",
            "4d1e0e136deafa34c4f3ea9f02ec7285": "draft-ietf-ipsec-nat-t-ike-06",
            "439b59f8ba676c4c7737ae22eab8f582": "draft-ietf-ipsec-nat-t-ike-07",
            "8f8d83826d246b6fc7a8a6a428c11de8": "draft-ietf-ipsec-nat-t-ike-08",
            "4df37928e9fc4fd1b3262170d515c662": "draft-ietf-ipsec-nat-t-ike",
            "27bab5dc01ea0760ea4e3190ac27c0d0": "draft-stenberg-ipsec-nat-traversal-01",
            "6105c422e76847e43f9684801292aecd": "draft-stenberg-ipsec-nat-traversal-02",
            "50760f624c63e5c53eea386c685ca083": "ESPThruNAT",
            "6a7434c19d7e36348090a02334c9c805": "draft-huttunen-ipsec-esp-in-udp-00.txt",
            # Cisco
            "12f5f28c457168a9702d9fe274cc0100": "Cisco Unity",
            "f6f7efc7f5aeb8cb158cb9d094ba69e7": "ALTIGA NETWORKS",
            "2d7922c6b301d9b0e1342739e9cfbbd5": "Cisco delete with reason",
            # Microsoft
            "26244d38eddb61b3172a36e3d0cfb819": "Vid-Initial-Contact",
            "214ca4faffa7f32d6748e5303395ae83": "MS-MamieExists",
            "fb1de3cdf341b7ea16b7e5be0855f120": "MS-Negotiation Discovery Capable",
            "e3a5966a76379fe707228231e5ce8652": "IKE CGA version 1",
            "72872b95fcda2eb708efe322119b4971": "NLB fast failover",
            "621b04bb09882ac1e15935fefa24aeee": "GSSAPI",
            "ad2c0dd0b9c32083ccba25b8861ec455": "A GSS-API Authentication Method for IKE",
            # Other implementations
            "7003cbc1097dbe9c2600ba6983bc8b35": "KAME/racoon",
            "20a3622c1cea7ce37bee3ca484425276": "IPSec-Tools",
            "882fe56d6fd20dbc2251613b2ebe5beb": "strongSwan",
            "1d6e178f6c2c0be284985465450fe9d4": "FortiGate",
            "404bf439522ca3f6": "SonicWall",
            "da8e937880010000": "SafeNet",
        }.items()
    }
)
"""Exact vendor IDs."""

VENDOR_PREFIXES: Final[tuple[tuple[bytes, str], ...]] = tuple(
    (bytes.fromhex(octets), name)
    for octets, name in (
        ("4048b7d56ebce88525e7de7f00d6c2d3", "FRAGMENTATION"),
        ("1f07f70eaa6514d3b0fa96542a50", "Cisco VPN concentrator"),
        ("3e984048", "Cisco IOS"),
        ("1e2b516905991c7d7c96fcbfb587e461", "MS NT5 ISAKMPOAKLEY"),
        ("01528bbbc00696121849ab9a1c5b2a51", "Windows key modules"),
        ("f4ed19e0c114eb516faaac0ee37daf2807b4381f", "Check Point"),
        ("699369228741c6d4ca094c93e242c9de19e7b7c6", "NetScreen"),
        ("166f932d55eb64d8e4df4fd37e2313f0d0fd8451", "NetScreen"),
        ("4865617274426561745f4e6f74696679", "HeartBeat_Notify"),
        ("5b362bc820f600", "SonicWall"),
        ("424e4553", "Nortel Contivity"),
    )
)
"""Vendor IDs whose tail is a version or a list of capabilities."""


def vendor_name(octets: bytes) -> str | None:
    """
    Who says this, or what they can do.

    :param octets: a whole vendor ID.
    :return: None if it is not a known one.
    """
    name = VENDOR_NAMES.get(octets)
    if name is not None:
        return name
    for prefix, name in VENDOR_PREFIXES:
        if octets.startswith(prefix):
            return name
    if len(octets) == 12 and octets.startswith(b"OE"):
        return "FreeS/WAN family"
    return None
