"""
In what a peer's message may depart from the letter of the RFCs, and still be taken.

RFC 2408 section 5 lets nothing pass.  Some peers differ all the same, in what means nothing and
guards nothing.  Each such departure has a name here; a connection says which of them it overlooks:
``lenient`` in ``isakmp.toml``.  The codec and the readers of attributes only note that they have
met one; whether it is overlooked is judged by the framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

RESERVED_FLAGS = "reserved-flags"
RESERVED_OCTETS = "reserved-octets"
BASIC_AS_VARIABLE = "basic-as-variable"
KEY_LENGTH_FIRST = "key-length-first"

RESERVED_PAYLOAD_TYPE = "reserved-payload-type"
"""Noted as the others are, and never overlooked: RFC 2408 section 5.3 has it dropped."""

Departures = frozenset[str]

NONE: Departures = frozenset()


@dataclass(frozen=True, slots=True)
class Lenience:
    """
    One departure that can be overlooked.

    :ivar name: as it is configured.
    :ivar rule: what asks otherwise.
    :ivar overlooked: what the message has.
    :ivar peer: who needs it.
    """

    name: str
    rule: str
    overlooked: str
    peer: str


LENIENCES: Mapping[str, Lenience] = MappingProxyType(
    {
        one.name: one
        for one in (
            Lenience(
                RESERVED_FLAGS,
                "RFC 2408 sections 3.1 and 5.2",
                "Bits of the header's flags that have no meaning are set.",
                "Peers that were tried with libreswan only: it ignores these bits, and its test "
                "ikev1-isakmp-reserved-flags-01 sets them.",
            ),
            Lenience(
                RESERVED_OCTETS,
                "RFC 2408 sections 3.2, 3.5, 3.6 and 5.3",
                "The reserved octets of a generic payload header, a Proposal or a Transform are "
                "not zero.",
                "Peers that were tried with libreswan only: it reads past these octets, whatever "
                "they are.",
            ),
            Lenience(
                BASIC_AS_VARIABLE,
                "RFC 2407 section 4.5, RFC 2409 appendix A",
                "A basic attribute, of at most 65535, is encoded as a variable one (TLV).",
                "Peers that were tried with charon only: it reads a number in either format.",
            ),
            Lenience(
                KEY_LENGTH_FIRST,
                "none; libreswan has refused it",
                "The Key Length of a phase-1 transform stands before its Encryption Algorithm.",
                "vpnc sends it so.",
            ),
        )
    }
)
"""All that can be overlooked; nothing of it guards memory, cookies, hashes or lengths."""

USUAL: Departures = frozenset({KEY_LENGTH_FIRST})
"""Overlooked where nothing is configured: no RFC forbids it."""
