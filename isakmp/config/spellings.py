"""
Suites in the words of libreswan, for those who configure the other end with it.

strongSwan's words are those of :mod:`isakmp.ike.parameters` and :mod:`isakmp.doi.suites`; what
libreswan makes of one proposal is :func:`isakmp.spelling.libreswan`.
"""

from __future__ import annotations

from isakmp.associations import ProtectionSuite
from isakmp.doi.suites import group_word, integrity_word, mode_word, transform_word
from isakmp.doi.transforms import Protection, read
from isakmp.errors import AttributesNotSupported
from isakmp.ike.parameters import Parameters
from isakmp.numbers import Encapsulation, ProtocolID
from isakmp.spelling import libreswan
from isakmp.wire.proposals import Proposal

SHOWN = 8
"""How many transforms are spelled; more end in an ellipsis."""


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
                words.append(libreswan(Parameters.read(transform).spelled))
            except AttributesNotSupported:
                words.append("unknown")
        return "ike=" + ",".join(words + more)
    protections = [read(proposal.protocol, transform).protection for transform in transforms]
    key = "ah" if proposal.protocol == ProtocolID.AH else "esp"
    line = f"{key}=" + ",".join([*(libreswan(_words(p)) for p in protections), *more])
    if {protection.mode for protection in protections} == {Encapsulation.TRANSPORT}:
        line += f" type={mode_word(Encapsulation.TRANSPORT)}"
    return line


def _words(protection: Protection) -> str:
    """One alternative in strongSwan's words."""
    words = []
    if protection.protocol != ProtocolID.AH:
        words.append(transform_word(protection))
    if protection.integrity:
        words.append(integrity_word(protection.integrity))
    if protection.group:
        words.append(group_word(protection.group))
    return "-".join(words)
