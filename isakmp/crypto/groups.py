"""
The Diffie-Hellman groups by number.

RFC 2409 section 6 and appendix A, RFC 3526, RFC 5114, RFC 5903, RFC 6932, RFC 8031.  Groups 28 to
32 are registered for IKEv2 only, yet other implementations offer them in IKEv1, and nothing in them
depends on the version.

Not here: the groups over GF[2^N] (3, 4 and 6 to 13), which no maintained library has, and
brainpoolP224r1 (27), which ``cryptography`` does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from cryptography.exceptions import UnsupportedAlgorithm

from isakmp.crypto.agreement import Group, KeyPair
from isakmp.crypto.curves import CURVE_GROUPS, MontgomeryGroup
from isakmp.crypto.modp import MODULAR_GROUPS, available, use

__all__ = ["GROUPS", "Group", "KeyPair", "available", "group", "supported", "use"]

_MISSING = {
    **dict.fromkeys((3, 4, *range(6, 14)), "elliptic curves over GF[2^N] are not supported"),
    27: "brainpoolP224r1 is not supported",
}


def supported(groups: Iterable[Group]) -> Mapping[int, Group]:
    """
    Those groups that the installed library can compute in, by number.

    :param groups: candidates; a distribution may build its library without some curves.
    """
    found = {}
    for candidate in groups:
        length = candidate.public_length if isinstance(candidate, MontgomeryGroup) else 1
        try:
            candidate.key_pair(bytes([1] * length))
        except UnsupportedAlgorithm:
            continue
        found[candidate.number] = candidate
    return MappingProxyType(found)


GROUPS: Mapping[int, Group] = MappingProxyType(
    {**{modular.number: modular for modular in MODULAR_GROUPS}, **supported(CURVE_GROUPS)}
)
"""Every group that can be used here, by Group Description (RFC 2409 appendix A)."""


def group(number: int) -> Group:
    """
    The group of that Group Description.

    :param number: RFC 2409 appendix A.
    :raises LookupError: not supported here; the text says why.
    """
    found = GROUPS.get(number)
    if found is None:
        raise LookupError(f"group {int(number)}: {_MISSING.get(number, 'no such group is known')}")
    return found
