"""
How the traffic of a child in ``swanctl.conf`` is to be protected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from isakmp.associations import Lifetime, ProtectionSuite
from isakmp.config import values
from isakmp.config.mistakes import Findings, Place
from isakmp.config.proposals import ah_proposals, esp_proposals
from isakmp.config.settings import ChildSettings
from isakmp.config.tree import Section
from isakmp.connections import StartAction
from isakmp.errors import ConfigurationError
from isakmp.interfaces import INegotiatingDomain

T = TypeVar("T")

_PROTOCOLS = {"esp": esp_proposals, "ah": ah_proposals}
"""What reads the proposals of each, in the order of preference."""

_QUIRKS = ("sha256_96",)
"""Keys that name a departure of the peer's from what the domain of interpretation prescribes."""


def said(section: Section, key: str, read: Callable[[str], T], default: T) -> T:
    """A key's value; what is wrong with it has been told, when the keys were checked."""
    datum = section.data.get(key)
    if datum is None:
        return default
    try:
        return read(datum.value)
    except ValueError:
        return default


def place_of(section: Section, key: str) -> Place:
    """Where a key stands, or else its section."""
    return section.data[key].place if key in section.data else section.place


def quirks(section: Section) -> frozenset[str]:
    """Where the peer departs from what is prescribed."""
    return frozenset(key for key in _QUIRKS if said(section, key, values.boolean, False))


def protection(
    section: Section,
    settings: ChildSettings,
    doi: INegotiatingDomain,
    lifetime: Lifetime,
    start: StartAction,
    findings: Findings,
) -> tuple[ProtectionSuite, ...]:
    """Acceptable protection: what isakmp.toml says, or else the proposals."""
    if settings.suites:
        place, key = settings.place, f"{section.path} suites"
        found = _read(settings.suites, doi, lifetime, place, key, findings)
        return _of_one_group(found, doi, start, place, key, findings)
    if doi.name != "ipsec":
        findings.missing(
            section.place,
            section.path,
            f"the domain of interpretation {doi.name} has no ESP: give suites in isakmp.toml, "
            f"like {doi.examples[0]!r}",
        )
        return ()
    suites: list[ProtectionSuite] = []
    given = [name for name in _PROTOCOLS if f"{name}_proposals" in section.data] or ["esp"]
    for protocol in given:
        suites += _proposed(section, protocol, doi, lifetime, findings)
    key = f"{given[0]}_proposals"
    place = place_of(section, key)
    return _of_one_group(tuple(suites), doi, start, place, section.key(key), findings)


def _proposed(
    section: Section,
    protocol: str,
    doi: INegotiatingDomain,
    lifetime: Lifetime,
    findings: Findings,
) -> tuple[ProtectionSuite, ...]:
    """The suites that the proposals of one protocol mean."""
    name = f"{protocol}_proposals"
    place, key = place_of(section, name), section.key(name)
    mode = said(section, "mode", str.lower, "tunnel")
    datum = section.data.get(name)
    try:
        spellings, left_out = _PROTOCOLS[protocol]("" if datum is None else datum.value)
    except ValueError as error:
        findings.mistake(place, key, str(error))
        return ()
    for text in left_out:
        findings.warn(place, key, f"left out: {text}")
    # Alone first, in tunnel mode: so that a message quotes what stands in the file.
    prefix = "" if protocol == "esp" else f"{protocol}="
    quoted = [f"{prefix}{spelling}" for spelling in spellings]
    alone = _read(quoted, doi, lifetime, place, key, findings)
    if len(alone) < len(spellings) or mode not in ("tunnel", "transport"):
        return ()
    groups: dict[int | None, list[str]] = {}
    for spelling, suite in zip(spellings, alone, strict=True):
        (group,) = _groups((suite,), doi)
        groups.setdefault(group, []).append(spelling)
    compressed = said(section, "ipcomp", values.boolean, False)
    return _read(
        [
            f"{mode}:{protocol}={'|'.join(alike)}{with_it}"
            for alike in groups.values()
            for with_it in (("+ipcomp=deflate", "") if compressed else ("",))
        ],
        doi,
        lifetime,
        place,
        key,
        findings,
    )


def _of_one_group(
    found: tuple[ProtectionSuite, ...],
    doi: INegotiatingDomain,
    start: StartAction,
    place: Place,
    key: str,
    findings: Findings,
) -> tuple[ProtectionSuite, ...]:
    if len(_groups(found, doi)) > 1:
        # RFC 2409 section 5.5: one KE payload goes with the whole offer.
        text = (
            "with groups that differ (or one and none) only a peer's offer can be taken; what is "
            "begun from here needs the same group in every proposal"
        )
        if start is StartAction.NONE:
            findings.warn(place, key, text)
        else:
            findings.mistake(place, key, text)
    return found


def _read(
    spellings: Iterable[str],
    doi: INegotiatingDomain,
    lifetime: Lifetime,
    place: Place,
    key: str,
    findings: Findings,
) -> tuple[ProtectionSuite, ...]:
    found = []
    for spelling in spellings:
        try:
            found.append(doi.suite(spelling, lifetime))
        except ConfigurationError as error:
            findings.mistake(place, key, str(error))
    return tuple(found)


def _groups(suites: Sequence[ProtectionSuite], doi: INegotiatingDomain) -> tuple[int | None, ...]:
    """The groups of perfect forward secrecy in suites, each once."""

    def named() -> Iterator[int | None]:
        for suite in suites:
            for proposal in suite.proposals:
                terms = doi.terms(proposal)
                if terms.keymat:  # what takes no key has no say in it
                    yield terms.group

    return tuple(dict.fromkeys(named()))
