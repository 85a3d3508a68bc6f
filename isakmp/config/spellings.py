"""
Proposals in the words of libreswan, for those who configure the other end with it.

strongSwan's words are those of :mod:`isakmp.ike.parameters` and :mod:`isakmp.doi.suites`.
"""

from __future__ import annotations

from isakmp.associations import ProtectionSuite
from isakmp.doi.suites import group_word, integrity_word, mode_word, transform_word
from isakmp.doi.transforms import Protection, read
from isakmp.errors import AttributesNotSupported
from isakmp.ike.parameters import Parameters
from isakmp.numbers import Encapsulation, Group, ProtocolID
from isakmp.wire.proposals import Proposal

SHOWN = 8
"""How many transforms are spelled; more end in an ellipsis."""

_MODP = {
    **{1: "modp768", 2: "modp1024", 5: "modp1536", 14: "modp2048"},
    **{15: "modp3072", 16: "modp4096", 17: "modp6144", 18: "modp8192"},
}
_TAGS = {8: "aes_gcm_a", 12: "aes_gcm_b", 16: "aes_gcm"}


def libreswan_spelling(suite: ProtectionSuite) -> str:
    """
    A suite as a line of libreswan's ``ipsec.conf``: ``ike=aes256-sha2_256;modp2048``,
    ``esp=aes128-sha2_256``, ``ah=sha2_256``.

    Of what libreswan does not have it makes words of the same kind.  Never raises.
    """
    return "  ".join(map(_line, suite.proposals))


def _line(proposal: Proposal) -> str:
    transforms = proposal.transforms[:SHOWN]
    more = ["..."] if len(proposal.transforms) > SHOWN else []
    if proposal.protocol == ProtocolID.ISAKMP:
        words = []
        for transform in transforms:
            try:
                words.append(_ike(Parameters.read(transform)))
            except AttributesNotSupported:
                words.append("unknown")
        return "ike=" + ",".join(words + more)
    protections = [read(proposal.protocol, transform).protection for transform in transforms]
    key = {ProtocolID.ESP: "esp", ProtocolID.AH: "ah"}.get(ProtocolID(proposal.protocol), "esp")
    line = f"{key}=" + ",".join([*map(_phase2, protections), *more])
    modes = {protection.mode for protection in protections}
    if modes == {Encapsulation.TRANSPORT}:
        line += f" type={mode_word(Encapsulation.TRANSPORT)}"
    return line


def _ike(parameters: Parameters) -> str:
    cipher, hash_, *_ = parameters.spelled.split("-")
    return f"{cipher}-{_hash(hash_)};{_group(parameters.group)}"


def _phase2(protection: Protection) -> str:
    words = []
    if protection.protocol != ProtocolID.AH:
        words.append(_cipher(transform_word(protection)))
    if protection.integrity:
        words.append(_hash(integrity_word(protection.integrity)))
    spelled = "-".join(words)
    return f"{spelled};{_group(protection.group)}" if protection.group else spelled


def _hash(word: str) -> str:
    return f"sha2_{word[3:]}" if word in ("sha256", "sha384", "sha512") else word


def _cipher(word: str) -> str:
    """``aes128gcm16`` is ``aes_gcm128``: there the key's length comes last."""
    bits, gcm, tag = word.removeprefix("aes").partition("gcm")
    if gcm and tag.isdigit() and int(tag) in _TAGS:
        return f"{_TAGS[int(tag)]}{bits}"
    return word


def _group(number: int) -> str:
    if number in _MODP:
        return _MODP[number]
    return f"dh{number}" if Group(number).assigned else group_word(number)
