"""
``python -m tests.section_5``: write ``doc/reference/section-5.rst`` from the table of rules.

With ``--check`` it writes nothing and says whether the page is what the table says.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from isakmp.departures import LENIENCES, USUAL
from isakmp.exchange.rules import NEVER_SENT, RULES, Dropped, Rule, Told
from tests.pages import write_page

HEAD = """\
..  Written by ``python -m tests.section_5`` from isakmp/exchange/rules.py.  Do not edit.

Section 5: what becomes of bad input
====================================

RFC 2408 section 5 says of each datum of a message how it is checked, and leaves to each
implementation's policy what is logged and who is told.  This is the policy here.  Each rule is
checked where the datum is read; what is at fault is dropped, logged under the name that the RFC
has for it, and published as an event.  What anybody could have sent ends no exchange by itself;
what a peer has proven to have said ends the exchange in which it said it, and no other.

What the peer is told is a number, in an Informational exchange, and no more.  An Informational
exchange is never answered.  Towards an address that has proved nothing notifications are few
(``notifications`` of ``[limits]``) and no longer than what they answer.  Of who a peer is and how
it proves that, it learns only that it failed: in phase 1 what is wrong with an identity or a
proof is AUTHENTICATION-FAILED, whatever the table says.  Once both ends have keys, what phase 1
refuses is said sealed with them, but for a message that they do not open: whoever sent that has
others, and is told in clear text.  Under an ISAKMP SA, what is not proven
is dropped and nobody is told.

A first message that is refused, and a payload that is discarded, are logged at level ``info``; a
message that is dropped at ``debug``; the reason why an exchange failed at ``info``.  The field
``event`` of a line is the rule's name.
"""

COLUMNS = ("Section", "Rule", "Event", "Dropped", "Published as", "Told", "Notification")

_DROPPED = {
    Dropped.MESSAGE: "message",
    Dropped.OFFER: "offer",
    Dropped.PAYLOAD: "payload",
    Dropped.EXCHANGE: "exchange",
}
_TOLD = {Told.NOBODY: "nobody", Told.EXCHANGE: "peer", Told.ANYBODY: "anybody"}


def _row(rule: Rule) -> Sequence[str]:
    asks = rule.asks
    if rule.lenient:
        asks += f"  Unless overlooked: ``{rule.lenient}``."
    return (
        rule.section,
        asks,
        rule.name or "none",
        _DROPPED[rule.dropped],
        f"``{rule.event.__name__}``",
        _TOLD[rule.told],
        "none" if rule.notify is None else f"{rule.notify.spelled} ({int(rule.notify)})",
    )


def _table(widths: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield ".. list-table::"
    yield "    :header-rows: 1"
    yield f"    :widths: {widths}"
    yield ""
    for row in (head, *rows):
        for place, cell in enumerate(row):
            yield f"    {'* - ' if place == 0 else '  - '}{cell}"
    yield ""


def text() -> str:
    """The page."""
    lines = [
        HEAD,
        "Dropped",
        "-------",
        "",
        *(f"``{word}``\n    {each.value}." for each, word in _DROPPED.items()),
        "",
        "Told",
        "----",
        "",
        *(f"``{word}``\n    {each.value}." for each, word in _TOLD.items()),
        "",
        "Rules",
        "-----",
        "",
        *_table("7 34 16 9 12 8 14", COLUMNS, [_row(rule) for rule in RULES]),
        "Notifications that are never sent",
        "---------------------------------",
        "",
        *(f"{kind.spelled} ({int(kind)})\n    {why}" for kind, why in NEVER_SENT.items()),
        "",
        "If a peer sends one, it is logged.",
        "",
        "The Commit bit",
        "--------------",
        "",
        "The Commit bit of the header (RFC 2408 section 3.1) is never set here.  If the peer",
        "sets it in Quick Mode, the new SAs receive at once and send when the peer has said",
        "CONNECTED, or after the limit ``grace`` of :doc:`limits`, and then the log says that",
        "it did not come: nothing proves the bit, so one that somebody has changed on the way",
        "costs that time and nothing more.  CONNECTED counts only if the ISAKMP SA proves it:",
        "in an Informational exchange with the message id of the Quick Mode, as the RFC has it;",
        "with a message id of its own, if one exchange alone waits; or as a fourth message of",
        "Quick Mode, the form that racoon's source has.",
        "",
        "What can be overlooked",
        "----------------------",
        "",
        "Some peers differ in what means nothing and guards nothing.  A connection overlooks what",
        "``lenient`` of its table in :doc:`isakmp-toml` names; before it is known which connection",
        "a first message is for, it can mean those that overlook what it has.  Nothing that guards",
        "memory, cookies, hashes or lengths can be overlooked.  Where nothing is configured, "
        + " and ".join(f"``{name}``" for name in sorted(USUAL)),
        "is.",
        "",
        *_table(
            "18 40 18 24",
            ("Name", "What is overlooked", "Asked by", "Who needs it"),
            [
                (f"``{one.name}``", one.overlooked, one.rule, one.peer)
                for one in LENIENCES.values()
            ],
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write it, or check it."""
    return write_page("reference/section-5.rst", text(), "python -m tests.section_5", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
