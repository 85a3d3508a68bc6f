"""
The connections in ``swanctl.conf``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isakmp.associations import Lifetime, ProtectionSuite
from isakmp.config import values
from isakmp.config.children import Ends, children
from isakmp.config.identities import ANYBODY, identity, spelled
from isakmp.config.mistakes import Findings
from isakmp.config.proposals import ike_proposals
from isakmp.config.protection import place_of, said
from isakmp.config.settings import ChildSettings, ConnectionSettings
from isakmp.config.tree import Section
from isakmp.connections import Child, Connection, Renewal
from isakmp.errors import ConfigurationError
from isakmp.identity import Identity, IdentityPattern
from isakmp.interfaces import (
    IDomainOfInterpretation,
    IISAKMPKeyExchange,
    INegotiatingDomain,
)

REKEY_TIME = 4 * 3600
"""Seconds until an ISAKMP SA is renewed, unless said."""

_AUTHENTICATIONS = {
    "pubkey": "certificates and raw public keys are not built yet",
    "rsa": "certificates and raw public keys are not built yet",
    "ecdsa": "certificates and raw public keys are not built yet",
    "ike:": "certificates and raw public keys are not built yet",
    "xauth": "XAuth is not built yet",
    "eap": "EAP is IKEv2's; XAuth, which IKEv1 has for it, is not built yet",
}


@dataclass(frozen=True, slots=True)
class Means:
    """
    What connections are made with.

    :ivar port: ours, of a connection that says none.
    :ivar dois: domains of interpretation by name; ``key_exchanges`` likewise.
    """

    port: int
    dois: Mapping[str, IDomainOfInterpretation]
    key_exchanges: Mapping[str, IISAKMPKeyExchange]


def connection(
    section: Section, settings: ConnectionSettings, means: Means, findings: Findings
) -> Connection | None:
    """
    One connection; None if something is wrong with it.

    :param settings: what ``isakmp.toml`` says of it.
    """
    before = findings.count
    version = said(section, "version", str, "0")
    if version == "0":
        findings.warn(
            place_of(section, "version"),
            section.key("version"),
            "1 is meant here; where it is 0 or not said, charon would begin with IKEv2",
            once="version",
        )
    local = _addresses(section, "local_addrs", findings)
    remote = _addresses(section, "remote_addrs", findings)
    ours = _round(section, "local", findings)
    theirs = _round(section, "remote", findings)
    pattern = said(theirs, "id", spelled, ANYBODY) if theirs else ANYBODY
    local_identity = None
    if ours and "id" in ours.data:
        try:
            local_identity = identity(ours.data["id"].value)
        except ValueError as error:
            findings.mistake(ours.data["id"].place, ours.key("id"), str(error))
    lifetime, renewal = _times(section)
    suites = _suites(section, settings, means, lifetime, findings)
    ends = Ends(_only(local), _only(remote), bool(remote) and values.is_address(remote[0]))
    doi = _doi(section, settings, means, findings)
    inner: tuple[Child, ...] = ()
    if INegotiatingDomain.providedBy(doi):
        inner = _children(section, settings, ends, doi, findings)
    elif doi is not None:
        _alone(section, doi, local_identity, findings)
    if findings.count > before or doi is None:
        return None
    return Connection(
        name=section.name,
        suites=suites,
        local=local,
        remote=remote,
        local_identity=local_identity,
        remote_identity=IdentityPattern(pattern),
        local_port=said(section, "local_port", values.port, means.port),
        remote_port=said(section, "remote_port", values.port, 500),
        doi=doi.number,
        key_exchange=settings.key_exchange,
        exchange=settings.exchange,
        lenient=settings.lenient,
        lifetime=lifetime,
        renewal=renewal,
        children=inner,
        initial_contact=said(section, "unique", str.lower, "no") != "never",
    )


def _addresses(section: Section, key: str, findings: Findings) -> tuple[str, ...]:
    if key not in section.data:
        return ()
    try:
        return values.addresses(section.data[key].value)
    except ValueError as error:
        findings.mistake(section.data[key].place, section.key(key), str(error))
        return ()


def _only(addresses: Sequence[str]) -> str | None:
    """The one address that is possible; None if there are more."""
    if len(addresses) == 1 and values.is_address(addresses[0]):
        return addresses[0]
    return None


def _round(section: Section, end: str, findings: Findings) -> Section | None:
    """The one round of authentication of an end."""
    rounds = [inner for name, inner in section.sections.items() if name.startswith(end)]
    rounds.sort(key=lambda inner: said(inner, "round", values.number, 0))
    for more in rounds[1:]:
        findings.mistake(
            more.place,
            more.path,
            "a second round of authentication is not built yet, and without it less would be "
            "proved; valid: one round with auth = psk",
        )
    if not rounds:
        findings.missing(
            section.place,
            section.key(end),
            f"nothing is said of how {'we' if end == 'local' else 'the peer'} authenticate"
            f"{'' if end == 'local' else 's'}; valid: {end} {{ auth = psk }}",
        )
        return None
    first = rounds[0]
    datum = first.data.get("auth")
    if datum is None:
        findings.missing(
            first.place, first.key("auth"), "it is pubkey unless said, and only psk is built"
        )
    elif (method := datum.value.lower()) != "psk":
        why = next((why for of, why in _AUTHENTICATIONS.items() if method.startswith(of)), "")
        text = why or f"{datum.value!r} is no way to authenticate"
        findings.mistake(datum.place, first.key("auth"), f"{text}; valid: psk")
    return first


def _times(section: Section) -> tuple[Lifetime, Renewal]:
    """
    How long an ISAKMP SA lives and when it is renewed, by strongSwan's rules.

    It offers what is later, reauthentication before rekeying, and on top of it ``over_time``.  In
    IKEv1 both are one thing, so the earlier counts.
    """
    unsaid = -1
    reauth = said(section, "reauth_time", values.seconds, unsaid)
    rekey = said(section, "rekey_time", values.seconds, unsaid)
    if rekey == unsaid:
        rekey = REKEY_TIME if reauth == unsaid else 0
    reauth = max(reauth, 0)
    times = [time for time in (rekey, reauth) if time] or [0]
    over = said(section, "over_time", values.seconds, max(times) // 10)
    spread = said(section, "rand_time", values.seconds, min(over, min(times) // 2))
    lifetime = min((reauth or rekey) + over, values.LARGEST)
    return Lifetime(seconds=lifetime), Renewal(min(times), min(spread, min(times)))


def _suites(
    section: Section,
    settings: ConnectionSettings,
    means: Means,
    lifetime: Lifetime,
    findings: Findings,
) -> tuple[ProtectionSuite, ...]:
    """Acceptable protection of key management, as the key exchange understands it."""
    key_exchange = means.key_exchanges.get(settings.key_exchange)
    if key_exchange is None:
        findings.mistake(
            settings.place if settings.place.file else section.place,
            section.path,
            f"no key exchange {settings.key_exchange} is switched on; "
            f"there are: {', '.join(means.key_exchanges) or 'none'}",
        )
        return ()
    place, key = place_of(section, "proposals"), section.key("proposals")
    datum = section.data.get("proposals")
    text = "" if datum is None else datum.value
    left_out: tuple[str, ...] = ()
    try:
        if settings.key_exchange == "ike":
            spellings, left_out = ike_proposals(text)
        else:
            spellings = values.items(text)
    except ValueError as error:
        findings.mistake(place, key, str(error))
        return ()
    for reason in left_out:
        findings.warn(place, key, f"left out: {reason}")
    found = []
    for spelling in spellings:
        try:
            found.append(key_exchange.suite(spelling, lifetime))
        except ConfigurationError as error:
            findings.mistake(place, key, str(error))
    return tuple(found)


def _doi(
    section: Section, settings: ConnectionSettings, means: Means, findings: Findings
) -> IDomainOfInterpretation | None:
    """The domain of interpretation."""
    doi = means.dois.get(settings.doi)
    if doi is None:
        findings.mistake(
            settings.place if settings.place.file else section.place,
            section.path,
            f"no domain of interpretation {settings.doi} is switched on; "
            f"there are: {', '.join(means.dois) or 'none'}",
        )
    return doi


def _alone(
    section: Section,
    doi: IDomainOfInterpretation,
    local_identity: Identity | None,
    findings: Findings,
) -> None:
    """In a domain whose SAs are not negotiated there are ISAKMP SAs, and no children."""
    for name, child in section.section("children").sections.items():
        findings.mistake(
            child.place,
            child.path,
            f"nothing is negotiated in the domain of interpretation {doi.name}, so there can be no "
            f"child {name}",
        )
    if local_identity is not None:
        try:
            doi.identification(local_identity)
        except ConfigurationError as error:
            findings.mistake(section.place, section.key("local"), str(error))


def _children(
    section: Section,
    settings: ConnectionSettings,
    ends: Ends,
    doi: INegotiatingDomain,
    findings: Findings,
) -> tuple[Child, ...]:
    read = children(section, ends, doi, findings)
    inner = section.section("children").sections
    for name, child in settings.children.items():
        if name not in inner:
            findings.missing(
                child.place,
                f"connection.{section.name}.children.{name}",
                f"{section.path} has no child {name}; there are: {', '.join(inner) or 'none'}",
            )
    return tuple(
        read(child, settings.children.get(name, ChildSettings())) for name, child in inner.items()
    )
