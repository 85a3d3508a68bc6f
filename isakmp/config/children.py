"""
The children of a connection in ``swanctl.conf``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from isakmp.associations import Action, Lifetime, ProtectionSuite
from isakmp.config import values
from isakmp.config.handling import handling
from isakmp.config.mistakes import Findings
from isakmp.config.protection import place_of, protection, quirks, said
from isakmp.config.settings import ChildSettings
from isakmp.config.tree import Section
from isakmp.connections import Child, Renewal, StartAction
from isakmp.errors import PeerError
from isakmp.identity import Identities, TrafficSelector
from isakmp.interfaces import INegotiatingDomain

REKEY_TIME = 3600
"""Seconds, unless said."""

_STARTS = {
    "start": StartAction.START,
    "restart": StartAction.START,
    "trap": StartAction.TRAP,
    "route": StartAction.TRAP,
    "trap|start": StartAction.TRAP_AND_START,
    "start|trap": StartAction.TRAP_AND_START,
}

_ACTIONS = {"pass": Action.PASS, "drop": Action.DROP}
"""By ``mode``; any other protects."""


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
        word = said(section, "start_action", str.lower, "none")
        action = _ACTIONS.get(said(section, "mode", str.lower, ""), Action.PROTECT)
        # What is not protected is never begun: it stands without being asked for.
        protects = action is Action.PROTECT
        start = _STARTS.get(word, StartAction.NONE) if protects else StartAction.NONE
        if start is not StartAction.NONE:
            if not ends.reachable:
                findings.missing(
                    place_of(section, "start_action"),
                    section.key("start_action"),
                    f"{connection.key('remote_addrs')} has no single address to begin with",
                )
        suites: tuple[ProtectionSuite, ...] = ()
        if protects:
            suites = protection(section, settings, doi, lifetime, start, findings)
        local = _selectors(section, "local_ts", ends.local, findings)
        remote = _selectors(section, "remote_ts", ends.remote, findings)
        if not protects:
            _one_each(section, local, remote, findings)
        return Child(
            section.name,
            suites,
            local,
            remote,
            lifetime,
            renewal,
            start,
            quirks(section),
            action,
            identities=_identities(section, settings, doi, findings),
            handling=handling(section, connection, action, start, renewal, findings),
        )

    return read


def _one_each(
    section: Section,
    local: tuple[TrafficSelector, ...],
    remote: tuple[TrafficSelector, ...],
    findings: Findings,
) -> None:
    """What passes or is dropped is said in full: nobody is asked who would narrow it."""
    for key, found in (("local_ts", local), ("remote_ts", remote)):
        if len(found) != 1:
            findings.missing(
                place_of(section, key),
                section.key(key),
                "what passes or is dropped needs one selector for each end; for more, make more "
                "children",
            )


def _identities(
    section: Section, settings: ChildSettings, doi: INegotiatingDomain, findings: Findings
) -> Identities | None:
    """What names the traffic, as the domain of interpretation takes it; None: addresses do."""
    if not settings.identities:
        return None
    key = f"{section.path} identities"
    if doi.name == "ipsec":
        text = "the children of ipsec are named by addresses: give local_ts and remote_ts instead"
        findings.mistake(settings.place, key, text)
        return None
    for named in ("local_ts", "remote_ts"):
        if named in section.data:
            findings.mistake(
                section.data[named].place,
                section.key(named),
                "the traffic is named by identities in isakmp.toml: leave this out",
            )
    try:
        ours, theirs = (doi.identity(kind, 0, 0, data) for kind, data in settings.identities)
    except PeerError as error:
        findings.mistake(settings.place, key, str(error))
        return None
    return Identities(ours, theirs)


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
