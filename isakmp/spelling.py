"""
Proposals in the words of the two daemons that administrators know.

This project spells proposals as strongSwan does: ``aes128-sha256-modp2048``.  libreswan writes
``aes128-sha2_256;modp2048``.  A refusal says both, because it is read at both ends.
"""

from __future__ import annotations

_DH = {
    **{"modp1024s160": 22, "modp2048s224": 23, "modp2048s256": 24},
    **{"ecp256": 19, "ecp384": 20, "ecp521": 21, "ecp192": 25, "ecp224": 26},
    **{"ecp256bp": 28, "ecp384bp": 29, "ecp512bp": 30},
    **{"curve25519": 31, "x25519": 31, "curve448": 32, "x448": 32},
}
_HASHES = {"sha256": "sha2_256", "sha384": "sha2_384", "sha512": "sha2_512"}
_TAGS = {"8": "aes_gcm_a", "12": "aes_gcm_b", "16": "aes_gcm"}


def libreswan(proposal: str) -> str:
    """
    One proposal in libreswan's words; what is not a proposal comes back as it is.

    :param proposal: in strongSwan's words: ``aes128gcm16-ecp256``; a mode and a protocol may stand
        in front, as in ``transport:esp=aes128-sha256``.
    """
    mode, colon, rest = proposal.rpartition(":")
    protocol, equals, suite = rest.rpartition("=")
    words: list[str] = []
    group = ""
    for word in suite.split("-"):
        if word in _DH:
            group = f"dh{_DH[word]}"
        elif word.startswith("modp"):
            group = word
        else:
            words.append(_HASHES.get(word) or _cipher(word))
    spelled = protocol + equals + "-".join(words) + (f";{group}" if group else "")
    return f"{spelled} type={mode}" if colon else spelled


def _cipher(word: str) -> str:
    """``aes128gcm16`` is ``aes_gcm128``: there the length of the key comes last."""
    bits, gcm, tag = word.removeprefix("aes").partition("gcm")
    return f"{_TAGS[tag]}{bits}" if gcm and tag in _TAGS and bits.isdigit() else word


def advice(offered: str, configured: str, key: str = "") -> str:
    """
    What would have matched: one proposal to configure here, or one to configure there.

    :param offered: the peer's, in strongSwan's words; ``configured`` ours.
    :param key: what libreswan's configuration calls it, if the words do not say: ``ike=``.
    """
    return (
        f"To take it here, configure {offered} (libreswan: {key}{libreswan(offered)}); "
        f"or have the peer offer {configured} (libreswan: {key}{libreswan(configured)})."
    )
