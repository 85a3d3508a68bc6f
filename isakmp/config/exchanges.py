"""
Which exchange begins a connection, and which makes its children.
"""

from __future__ import annotations

from collections.abc import Mapping

from isakmp.config.mistakes import Findings, Place, listed
from isakmp.config.protection import place_of, said
from isakmp.config.settings import EXCHANGES, ConnectionSettings
from isakmp.config.tree import Section
from isakmp.config.values import boolean
from isakmp.connections import Connection
from isakmp.ike.parameters import configured, of_one_group
from isakmp.interfaces import IDomainOfInterpretation, IISAKMPKeyExchange
from isakmp.numbers import ExchangeType

_FIRST_OF_DOI = 32

_GUESSABLE = (
    "in Aggressive Mode whoever hears the two ends, or asks as one of them, can guess the "
    "pre-shared key offline: it has to be long and random; Main Mode, which does not give that "
    "away to who only listens, is better where both ends have fixed addresses"
)


def begins(
    section: Section,
    settings: ConnectionSettings,
    key_exchange: IISAKMPKeyExchange | None,
    findings: Findings,
) -> int:
    """
    The exchange type that begins a connection.

    :param settings: what ``isakmp.toml`` says of it.
    """
    aggressive = said(section, "aggressive", boolean, None)
    if settings.exchange and aggressive is not None:
        if (EXCHANGES[settings.exchange] == ExchangeType.AGGRESSIVE) is not aggressive:
            findings.mistake(
                section.data["aggressive"].place,
                section.key("aggressive"),
                f"isakmp.toml says that it begins with {settings.exchange!r}",
            )
    name = settings.exchange or ("aggressive" if aggressive else "main")
    number = EXCHANGES[name]
    if key_exchange is not None and number not in key_exchange.offers:
        known = [repr(word) for word, n in EXCHANGES.items() if n in key_exchange.offers]
        findings.mistake(
            *_where(section, settings, "exchange" if settings.exchange else ""),
            f"the key exchange {key_exchange.name} does not run {name!r}; "
            f"valid: {listed(known) or 'none'}",
        )
    return number


def makes_children(
    section: Section,
    settings: ConnectionSettings,
    key_exchange: IISAKMPKeyExchange | None,
    doi: IDomainOfInterpretation | None,
    findings: Findings,
) -> int:
    """The exchange type that makes a connection's children; 0: nothing is said."""
    if not settings.child_exchange or key_exchange is None or doi is None:
        return 0
    known = _establishing(key_exchange, doi)
    if settings.child_exchange not in known:
        findings.mistake(
            *_where(section, settings, "child_exchange"),
            f"no exchange {settings.child_exchange!r} makes children with the key exchange "
            f"{key_exchange.name} under {doi.name}; "
            f"valid: {listed([repr(word) for word in known]) or 'none'}",
        )
    return known.get(settings.child_exchange, 0)


def _establishing(
    key_exchange: IISAKMPKeyExchange, doi: IDomainOfInterpretation
) -> Mapping[str, int]:
    """Those that make children, by name: ``quick-mode``."""
    theirs = [
        kind
        for kind in key_exchange.exchange_types
        if not doi.exchange_types or kind.number < _FIRST_OF_DOI
    ]
    found = {
        kind.name.lower().replace(" ", "-"): kind.number
        for kind in (*doi.exchange_types, *theirs)
        if kind.establishes
    }
    for name, number in EXCHANGES.items():
        if number in key_exchange.offers_phase_2:
            found.setdefault(name, number)
    return found


def check_aggressive(
    section: Section, settings: ConnectionSettings, connection: Connection, findings: Findings
) -> None:
    """
    What Aggressive Mode with a pre-shared key asks of a connection, and what it gives away.
    """
    place, key = _where(section, settings, "exchange" if settings.exchange else "")
    if not settings.exchange:
        place, key = place_of(section, "aggressive"), section.key("aggressive")
    if not connection.names_peer:
        findings.mistake(
            place,
            key,
            "the peer is not named, and whoever asks would be given what the key can be guessed "
            "from; valid: with one id of the peer, or its addresses",
        )
    findings.warn(place, key, _GUESSABLE)
    choices = configured(connection)
    offered = of_one_group(choices)
    if len(offered) < len(choices):
        others = ", ".join(choice.spelled for choice in choices if choice not in offered)
        findings.warn(
            place_of(section, "proposals"),
            section.key("proposals"),
            f"not offered in Aggressive Mode, where the group is that of the first: {others}",
        )


def _where(section: Section, settings: ConnectionSettings, key: str) -> tuple[Place, str]:
    """The key of ``isakmp.toml``, or the connection in ``swanctl.conf``."""
    if key:
        return settings.place, f"connection.{section.name}.{key}"
    return section.place, section.path
