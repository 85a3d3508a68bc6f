"""
The children of a connection in ``swanctl.conf``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from isakmp.associations import Lifetime, ProtectionSuite
from isakmp.config import values
from isakmp.config.mistakes import Findings, Place
from isakmp.config.proposals import esp_proposals
from isakmp.config.settings import ChildSettings
from isakmp.config.tree import Section
from isakmp.connections import Child, Renewal, StartAction
from isakmp.errors import ConfigurationError
from isakmp.identity import TrafficSelector
from isakmp.interfaces import INegotiatingDomain

T = TypeVar("T")

REKEY_TIME = 3600
"""Seconds, unless said."""

_STARTS = frozenset({"start", "restart"})


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


@dataclass(frozen=True, slots=True)
class Ends:
    """
    What a child has to know of its connection.

    :ivar local: what ``dynamic`` means at our end; None: known only when it is used.
    :ivar remote: what it means at the peer's.
    :ivar reachable: whether the peer has an address that we can begin with.
    """

    local: str | None
    remote: str | None
    reachable: bool


def children(
    connection: Section, ends: Ends, doi: INegotiatingDomain, findings: Findings
) -> Callable[[Section, ChildSettings], Child]:
    """What reads the children of a connection."""

    def read(section: Section, settings: ChildSettings) -> Child:
        lifetime, renewal = _times(section, findings)
        start = StartAction.NONE
        if said(section, "start_action", str.lower, "none") in _STARTS:
            start = StartAction.START
            if not ends.reachable:
                findings.missing(
                    place_of(section, "start_action"),
                    section.key("start_action"),
                    f"{connection.key('remote_addrs')} has no single address to begin with",
                )
        suites = _suites(section, settings, doi, lifetime, start, findings)
        return Child(
            section.name,
            suites,
            _selectors(section, "local_ts", ends.local, findings),
            _selectors(section, "remote_ts", ends.remote, findings),
            lifetime,
            renewal,
            start,
        )

    return read


def _times(section: Section, findings: Findings) -> tuple[Lifetime, Renewal]:
    """
    How long it lives and when it is renewed, by strongSwan's rules: each is a tenth apart.
    """
    unsaid = -1
    rekey = said(section, "rekey_time", values.seconds, unsaid)
    life = said(section, "life_time", values.seconds, unsaid)
    if rekey == unsaid:
        rekey = REKEY_TIME if life == unsaid else int(life / 1.1)
    if life == unsaid:
        life = int(rekey * 1.1)
    spread = said(section, "rand_time", values.seconds, max(0, life - rekey))
    if life and rekey > life:
        findings.warn(
            place_of(section, "life_time"),
            section.key("life_time"),
            f"it ends after {life} s, before it is renewed ({rekey} s)",
        )
    return Lifetime(seconds=min(life, values.LARGEST)), Renewal(rekey, min(spread, rekey))


def _selectors(
    section: Section, key: str, dynamic: str | None, findings: Findings
) -> tuple[TrafficSelector, ...]:
    """Traffic of one end; none stands for the addresses that keep the SA."""
    datum = section.data.get(key)
    texts = () if datum is None else values.items(datum.value)
    if datum is None or not texts:
        return ()
    found: list[TrafficSelector | None] = []
    for text in texts:
        try:
            found.append(values.selector(text, dynamic))
        except ValueError as error:
            findings.mistake(datum.place, section.key(key), str(error))
    known = tuple(dict.fromkeys(selector for selector in found if selector is not None))
    if None in found and len(texts) > 1:
        findings.mistake(
            datum.place,
            section.key(key),
            "beside other selectors dynamic has to be one known address; write it instead",
        )
    if len(known) > 1:
        findings.warn(
            datum.place,
            section.key(key),
            "IKEv1 negotiates one selector for each end: as initiator the first is asked for",
        )
    return known


def _suites(
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
    elif doi.name != "ipsec":
        findings.missing(
            section.place,
            section.path,
            f"the domain of interpretation {doi.name} has no ESP: give suites in isakmp.toml",
        )
        return ()
    else:
        place, key = place_of(section, "esp_proposals"), section.key("esp_proposals")
        mode = said(section, "mode", str.lower, "tunnel")
        datum = section.data.get("esp_proposals")
        try:
            spellings, left_out = esp_proposals("" if datum is None else datum.value)
        except ValueError as error:
            findings.mistake(place, key, str(error))
            return ()
        for text in left_out:
            findings.warn(place, key, f"left out: {text}")
        # Alone first, in tunnel mode: so that a message quotes what stands in the file.
        alone = _read(spellings, doi, lifetime, place, key, findings)
        if len(alone) < len(spellings) or mode not in ("tunnel", "transport"):
            return ()
        groups: dict[int | None, list[str]] = {}
        for spelling, suite in zip(spellings, alone, strict=True):
            (group,) = _groups((suite,), doi)
            groups.setdefault(group, []).append(spelling)
        found = _read(
            [f"{mode}:esp={'|'.join(alike)}" for alike in groups.values()],
            doi,
            lifetime,
            place,
            key,
            findings,
        )
    if len(_groups(found, doi)) > 1:
        # RFC 2409 section 5.5: one KE payload goes with the whole offer.
        text = (
            "with groups that differ (or one and none) only a peer's offer can be taken; what is "
            "begun from here needs the same group in every proposal"
        )
        if start is StartAction.START:
            findings.mistake(place, key, text)
        else:
            findings.warn(place, key, text)
    return found


def _read(
    spellings: Sequence[str],
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


def _groups(suites: Iterable[ProtectionSuite], doi: INegotiatingDomain) -> tuple[int | None, ...]:
    """The groups of perfect forward secrecy in suites, each once."""
    return tuple(
        dict.fromkeys(doi.terms(proposal).group for suite in suites for proposal in suite.proposals)
    )
