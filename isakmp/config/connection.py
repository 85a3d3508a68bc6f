"""
The connections in ``swanctl.conf``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isakmp.associations import Lifetime, ProtectionSuite
from isakmp.config import values
from isakmp.config.children import Ends, children
from isakmp.config.exchanges import begins, check_aggressive, makes_children
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
    IKeyExchange,
    INegotiatingDomain,
)
from isakmp.numbers import ExchangeType

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
    key_exchanges: Mapping[str, IISAKMPKeyExchange | IKeyExchange]

    def header(self, name: str) -> IKeyExchange | None:
        """The key exchange of this name, if it has a header of its own."""
        found = self.key_exchanges.get(name)
        return found if IKeyExchange.providedBy(found) else None

    def spoken(self, name: str) -> IISAKMPKeyExchange | None:
        """The key exchange of this name, if it is spoken in RFC 2408's exchanges."""
        found = self.key_exchanges.get(name)
        return found if IISAKMPKeyExchange.providedBy(found) else None


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
    header = means.header(settings.key_exchange)
    other = settings.key_exchange
    if header is None and other not in means.key_exchanges:
        other = "ike"
    ours = _round(section, "local", other, findings)
    theirs = _round(section, "remote", other, findings)
    pattern = said(theirs, "id", spelled, ANYBODY) if theirs else ANYBODY
    local_identity = None
    if ours and "id" in ours.data:
        try:
            local_identity = identity(ours.data["id"].value)
        except ValueError as error:
            findings.mistake(ours.data["id"].place, ours.key("id"), str(error))
    lifetime, renewal = _times(section) if header is None else _unbounded(section, findings)
    port, peers_port = means.port, 500
    if header is not None:
        port = peers_port = header.ports[0]
        _own_port(section, header, findings)
    suites = _suites(section, settings, means, lifetime, findings)
    ends = Ends(_only(local), _only(remote), bool(remote) and values.is_address(remote[0]))
    doi = _doi(section, settings, means, findings)
    exchange = child_exchange = 0
    if header is None:
        spoken = means.spoken(settings.key_exchange)
        exchange = begins(section, settings, spoken, findings)
        child_exchange = makes_children(section, settings, spoken, doi, findings)
    inner: tuple[Child, ...] = ()
    if INegotiatingDomain.providedBy(doi):
        inner = _children(section, settings, ends, doi, findings)
    elif doi is not None:
        _alone(section, doi, local_identity, findings)
    if findings.count > before or doi is None:
        return None
    uniqueness = said(section, "unique", str.lower, "no")
    made = Connection(
        name=section.name,
        suites=suites,
        local=local,
        remote=remote,
        local_identity=local_identity,
        remote_identity=IdentityPattern(pattern),
        local_port=said(section, "local_port", values.port, port),
        remote_port=said(section, "remote_port", values.port, peers_port),
        doi=doi.number,
        key_exchange=settings.key_exchange,
        exchange=exchange,
        child_exchange=child_exchange,
        lenient=settings.lenient,
        lifetime=lifetime,
        renewal=renewal,
        children=inner,
        initial_contact=uniqueness != "never",
        unique=uniqueness == "replace",
    )
    if exchange == ExchangeType.AGGRESSIVE and settings.key_exchange == "ike":
        check_aggressive(section, settings, made, findings)
    return made if findings.count == before else None


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


def _unbounded(section: Section, findings: Findings) -> tuple[Lifetime, Renewal]:
    """A key exchange with a header of its own knows by itself how long what it keeps is good."""
    for key in ("rekey_time", "reauth_time", "over_time", "rand_time"):
        if key in section.data:
            findings.warn(
                section.data[key].place,
                section.key(key),
                "ignored: there is no ISAKMP SA to renew; the times of children count",
            )
    return Lifetime(), Renewal()


def _own_port(section: Section, header: IKeyExchange, findings: Findings) -> None:
    datum = section.data.get("local_port")
    if datum is None:
        return
    try:
        known = values.port(datum.value) in header.ports
    except ValueError:
        return  # told elsewhere
    if not known:
        ports = ", ".join(map(str, header.ports))
        findings.mistake(
            datum.place,
            section.key("local_port"),
            f"{header.name} has ports of its own, and this is none of them; valid: {ports}",
        )


def _round(
    section: Section, end: str, key_exchange: str, findings: Findings
) -> Section | None:
    """
    The one round of authentication of an end.

    How IKE authenticates has to be said; another key exchange has its own way.
    """
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
        if key_exchange != "ike":
            return None
        findings.missing(
            section.place,
            section.key(end),
            f"nothing is said of how {'we' if end == 'local' else 'the peer'} authenticate"
            f"{'' if end == 'local' else 's'}; valid: {end} {{ auth = psk }}",
        )
        return None
    first = rounds[0]
    datum = first.data.get("auth")
    if key_exchange != "ike":
        if datum is not None:
            text = f"the key exchange {key_exchange} has its own way to authenticate: leave it out"
            findings.mistake(datum.place, first.key("auth"), text)
    elif datum is None:
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
    if IKeyExchange.providedBy(key_exchange):
        if datum is not None:
            text = f"{key_exchange.name} negotiates no protection of its own; valid: leave it out"
            findings.mistake(place, key, text)
        return ()
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
