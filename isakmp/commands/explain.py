"""
``isakmpctl explain``: what a notification means, or a proposal.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from isakmp.commands.output import OK, Complaint, answer, with_json

_NOTIFICATIONS: Mapping[str, tuple[str, str]] = {
    "INVALID-PAYLOAD-TYPE": (
        "a payload has a type that the peer does not know",
        "Look for what this end sends that an old peer cannot know: vendor IDs, NAT-D.",
    ),
    "DOI-NOT-SUPPORTED": (
        "the peer does not have the domain of interpretation that the SA payload names",
        "Compare doi at both ends; almost everybody means IPsec, 1.",
    ),
    "SITUATION-NOT-SUPPORTED": (
        "the peer does not take the situation of the SA payload",
        "Labels (secrecy, integrity) are understood by hardly anybody.",
    ),
    "INVALID-COOKIE": (
        "the peer has no SA with these cookies: it has restarted, or deleted it",
        "Begin anew; if that happens again and again, compare the lifetimes at both ends.",
    ),
    "INVALID-MAJOR-VERSION": (
        "the peer does not speak version 1: it wants IKEv2",
        "Use IKEv2 with it, or switch IKEv1 on at the peer.",
    ),
    "INVALID-MINOR-VERSION": ("the peer does not know this minor version", ""),
    "INVALID-EXCHANGE-TYPE": (
        "the peer does not run this exchange: often Aggressive Mode where it wants Main Mode",
        "Compare aggressive at both ends.",
    ),
    "INVALID-FLAGS": (
        "the peer does not take the flags: encrypted where it must not be, or the reverse",
        "",
    ),
    "INVALID-MESSAGE-ID": ("the message ID is zero where it must not be, or was used before", ""),
    "INVALID-PROTOCOL-ID": ("a proposal is for a protocol that the peer does not know", ""),
    "INVALID-SPI": ("an SPI cannot be, or is not known to the peer", ""),
    "INVALID-TRANSFORM-ID": ("a transform that the peer does not know", ""),
    "ATTRIBUTES-NOT-SUPPORTED": (
        "an attribute of a transform is not understood, or contradicts another",
        "Offer one proposal at a time to find which.",
    ),
    "NO-PROPOSAL-CHOSEN": (
        "nothing that was offered is configured at the peer; some say it as well if they have no "
        "connection for this address or identity",
        "In phase 1 compare cipher, hash and group; in phase 2 also the group of perfect forward "
        "secrecy, which has to be the same at both ends, and tunnel or transport mode.",
    ),
    "BAD-PROPOSAL-SYNTAX": ("the peer cannot read a proposal", ""),
    "PAYLOAD-MALFORMED": (
        "the peer cannot read a payload; of the first encrypted message it means that the secrets "
        "differ, and it decrypted noise",
        "Compare the pre-shared keys: spaces at their ends, quotes, 0x in front.",
    ),
    "INVALID-KEY-INFORMATION": (
        "the peer does not take the public value: mostly one of another group",
        "Compare the groups, also those of perfect forward secrecy.",
    ),
    "INVALID-ID-INFORMATION": (
        "in phase 1: the peer does not know this end by the identity that it said; in phase 2: "
        "it has no such traffic",
        "Compare id, or local_ts and remote_ts, with what the peer has, as its mirror image.",
    ),
    "INVALID-HASH-INFORMATION": ("a HASH payload cannot be", "Compare the pre-shared keys."),
    "AUTHENTICATION-FAILED": (
        "the peer does not believe who this end says it is",
        "Compare the pre-shared keys and the identities.",
    ),
    "INVALID-SIGNATURE": ("a signature cannot be read, or is wrong", ""),
    "CERTIFICATE-UNAVAILABLE": ("the peer has no certificate to send", ""),
    "UNSUPPORTED-EXCHANGE-TYPE": ("the peer knows this exchange and does not run it", ""),
    "UNEQUAL-PAYLOAD-LENGTHS": ("the lengths of a message contradict each other", ""),
    "CONNECTED": ("the exchange is complete, says the peer (Commit bit)", ""),
    "RESPONDER-LIFETIME": ("the peer keeps the SA for a shorter time than was offered", ""),
    "REPLAY-STATUS": ("whether the peer looks for replayed packets", ""),
    "INITIAL-CONTACT": ("the peer has just begun, and has no other SA with this end", ""),
    "R-U-THERE": ("the peer asks whether this end is there: RFC 3706", ""),
    "R-U-THERE-ACK": ("the peer is there: RFC 3706", ""),
}


def add(commands: Any) -> None:
    """Tell the parser."""
    parser = commands.add_parser(
        "explain",
        help="what a notification or a proposal means",
        description="Explains a notification, by name or number (NO-PROPOSAL-CHOSEN, 14), or a "
        "proposal as swanctl.conf spells it (aes128-sha256-modp2048).",
    )
    parser.add_argument("what", metavar="NOTIFY|PROPOSAL")
    with_json(parser)


def run(options: argparse.Namespace) -> int:
    """:raises Complaint: if it is neither."""
    from isakmp.numbers import NotifyType

    said = options.what.strip()
    name = said.upper().replace("_", "-")
    number = int(said) if said.isdigit() else None
    for kind in NotifyType:
        if kind.spelled.upper() == name or kind.value == number:
            value = _notification(kind)
            answer(options, value, _lines(value))
            return OK
    value = _proposal(said)
    answer(options, value, _lines(value))
    return OK


def _notification(kind: Any) -> Mapping[str, Any]:
    means, helps = _NOTIFICATIONS.get(kind.spelled, ("", ""))
    return {
        "notification": kind.spelled,
        "number": kind.value,
        "error": kind.is_error,
        "means": means or "what it means is its sender's matter",
        "helps": helps,
    }


def _proposal(text: str) -> Mapping[str, Any]:
    from isakmp.associations import Lifetime
    from isakmp.doi.ipsec import ipsec
    from isakmp.errors import ConfigurationError
    from isakmp.ike.key_exchange import ike
    from isakmp.spelling import libreswan
    from isakmp.strength import weaknesses

    uses: dict[str, str] = {}
    reasons = []
    for use, domain in (("an ISAKMP SA", ike), ("ESP or AH", ipsec)):
        try:
            suite = domain.suite(text, Lifetime())
        except ConfigurationError as error:
            reasons.append(f"for {use}: {error}")
        else:
            uses[use] = domain.spell(suite)
    if not uses:
        raise Complaint(f"{text!r} is no notification and no proposal; " + "; ".join(reasons))
    traffic = "ESP or AH" in uses
    return {
        "proposal": text,
        "for": uses,
        "libreswan": libreswan(text),
        "weak": [str(one) for one in weaknesses([text], traffic=traffic)],
    }


def _lines(value: Mapping[str, Any]) -> Iterator[str]:
    if "notification" in value:
        kind = "error" if value["error"] else "status"
        yield f"{value['notification']} ({value['number']}, {kind}): {value['means']}."
        if value["helps"]:
            yield value["helps"]
        return
    for use, spelled in value["for"].items():
        yield f"for {use}: {spelled}"
    yield f"libreswan: {value['libreswan']}"
    for weak in value["weak"]:
        yield f"weak: {weak}"
