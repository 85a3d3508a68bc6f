"""
``swanctl.conf``, read: connections and secrets, or everything that is wrong with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from isakmp.config import syntax
from isakmp.config.checks import check, skipped
from isakmp.config.connection import Means, connection
from isakmp.config.mistakes import Findings, Place, Remark
from isakmp.config.settings import ConnectionSettings, Settings
from isakmp.config.shared_secrets import check_secrets, secrets
from isakmp.config.tree import Section, followed
from isakmp.connections import Connection
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.doi.ipsec import ipsec
from isakmp.ike.key_exchange import ike
from isakmp.interfaces import IDomainOfInterpretation, IISAKMPKeyExchange, IKeyExchange


@dataclass(frozen=True, slots=True)
class Configuration:
    """
    What a file says.

    :ivar connections: in its order; those of IKEv2 are not among them.
    :ivar secrets: pre-shared keys.
    :ivar warnings: what is ignored, and may be: each worth one line in the log.
    """

    connections: tuple[Connection, ...] = ()
    secrets: tuple[SharedSecret, ...] = field(default=(), repr=False)
    warnings: tuple[Remark, ...] = ()


def load(
    path: str,
    settings: Settings = Settings(),
    *,
    dois: Sequence[IDomainOfInterpretation] = (ipsec,),
    key_exchanges: Sequence[IISAKMPKeyExchange | IKeyExchange] = (ike,),
) -> Configuration:
    """
    Read ``swanctl.conf``, with what it includes.

    :param settings: what ``isakmp.toml`` says of its connections, and the port of those that say
        none.
    :param dois: the domains of interpretation switched on; ``key_exchanges`` likewise.
    :raises ConfigurationErrors: with every mistake: its file, line and key, and what would be
        valid.
    """
    findings = Findings()
    tree, referred = followed(syntax.read(path, findings), findings)
    check(tree, referred, findings)
    found, complete = _connections(tree, settings, dois, key_exchanges, findings)
    if not found and complete:
        findings.warn(Place(path), "connections", "no connection is served")
    sections = tree.section("connections").sections
    for name, overrides in settings.connections.items():
        if name not in sections:
            known = ", ".join(sections) or "none"
            text = f"{path} has no connection {name}; there are: {known}"
            if settings.vici.given:
                key = f"connection.{name}"
                findings.warn(overrides.place, key, f"{text}; it counts if vici loads one")
            else:
                findings.missing(overrides.place, f"connection.{name}", text)
    shared = secrets(tree.section("secrets"), findings)
    if not settings.plugins.credentials:
        asking = {path: one for path, one in found.items() if one[1].key_exchange == "ike"}
        check_secrets(asking, shared, findings)
    findings.check()
    made_all = tuple(one for _, one in found.values())
    return Configuration(made_all, shared, findings.warnings)


def load_tree(
    tree: Section,
    settings: Settings = Settings(),
    *,
    dois: Sequence[IDomainOfInterpretation] = (ipsec,),
    key_exchanges: Sequence[IISAKMPKeyExchange | IKeyExchange] = (ike,),
) -> Configuration:
    """
    What a part of a configuration says that came in another way than in a file.

    Whether each connection has a secret is not asked: it may come later.

    :param tree: as a file's, all references followed.
    :raises ConfigurationErrors: with every mistake.
    """
    findings = Findings()
    check(tree, frozenset(), findings)
    found, _ = _connections(tree, settings, dois, key_exchanges, findings)
    shared = secrets(tree.section("secrets"), findings)
    findings.check()
    return Configuration(tuple(one for _, one in found.values()), shared, findings.warnings)


def _connections(
    tree: Section,
    settings: Settings,
    dois: Sequence[IDomainOfInterpretation],
    key_exchanges: Sequence[IISAKMPKeyExchange | IKeyExchange],
    findings: Findings,
) -> tuple[dict[str, tuple[Place, Connection]], bool]:
    """The connections, by their paths, with their places; and whether nothing is wrong in any."""
    means = Means(settings.port, {d.name: d for d in dois}, {k.name: k for k in key_exchanges})
    found: dict[str, tuple[Place, Connection]] = {}
    complete = True
    for name, section in tree.section("connections").sections.items():
        if skipped(section):
            findings.warn(section.place, section.path, "skipped: it is for IKEv2")
            continue
        own = settings.connections.get(name, ConnectionSettings())
        made = connection(section, own, means, findings)
        if made is None:
            complete = False
        else:
            found[section.path] = section.place, made
    return found, complete
