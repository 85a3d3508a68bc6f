"""
``isakmpctl check``: every mistake of a configuration, what is weak, and what a peer would see.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from isakmp.commands.output import OK, USAGE, answer, with_json

if TYPE_CHECKING:
    from isakmp.config.mistakes import Remark
    from isakmp.connections import Child, Connection
    from isakmp.description import Description

_MOST = 24
"""Alternatives that a line shows."""


def add(commands: Any) -> None:
    """Tell the parser."""
    parser = commands.add_parser(
        "check",
        help="what is wrong with a configuration, what is weak, and what a peer would see",
        description="Reads swanctl.conf as the daemon would, and starts nothing.  Every mistake is "
        "told with its line; and what is weak by RFC 8247 and RFC 8221, and what a peer would see.",
    )
    parser.add_argument("file", metavar="FILE", help="swanctl.conf")
    parser.add_argument(
        "--settings",
        default="/etc/isakmp/isakmp.toml",
        metavar="FILE",
        help="isakmp.toml (default: %(default)s; it may be missing)",
    )
    with_json(parser)


def run(options: argparse.Namespace) -> int:
    """
    :return: 2 if there is a mistake; what is weak is no mistake.
    """
    from isakmp.config.mistakes import ConfigurationErrors
    from isakmp.description import Files

    try:
        description = Files(options.file, options.settings).read()
    except ConfigurationErrors as errors:
        mistakes = [_remark(mistake) for mistake in errors.mistakes]
        answer(options, {"mistakes": mistakes}, map(str, errors.mistakes))
        return USAGE
    found = [_connection(one, description) for one in description.configuration.connections]
    secrets = _secrets(description)
    warnings = description.configuration.warnings
    value = {
        "mistakes": [],
        "warnings": [_remark(warning) for warning in warnings],
        "connections": found,
        "secrets": secrets,
    }
    answer(options, value, _lines(options.file, warnings, found, secrets))
    return OK


def _remark(remark: Remark) -> Mapping[str, object]:
    return {"file": remark.file, "line": remark.line, "key": remark.key, "text": remark.text}


def _connection(connection: Connection, description: Description) -> Mapping[str, Any]:
    from isakmp.interfaces import IISAKMPKeyExchange
    from isakmp.strength import weaknesses

    key_exchange = next(
        one for one in description.enabled.key_exchanges if one.name == connection.key_exchange
    )
    # A key exchange with messages of its own offers no ISAKMP SA.
    offered = (
        [key_exchange.spell(suite) for suite in connection.suites]
        if IISAKMPKeyExchange.providedBy(key_exchange)
        else []
    )
    weak = weaknesses(offered, traffic=False)
    return {
        "name": connection.name,
        "exchange": _exchange(connection),
        "addresses": list(connection.remote) or ["anybody"],
        "says": str(connection.local_identity or "its own address"),
        "wants": str(connection.remote_identity),
        "proposals": offered,
        "lifetime": connection.lifetime.seconds,
        "weak": [*map(_weakness, weak), *_aggressive(connection)],
        "children": [_child(child, connection, description) for child in connection.children],
    }


def _exchange(connection: Connection) -> str:
    from isakmp.numbers import ExchangeType

    return ExchangeType(connection.exchange).spelled


def _aggressive(connection: Connection) -> Iterator[Mapping[str, str]]:
    from isakmp.numbers import ExchangeType

    if connection.exchange == ExchangeType.AGGRESSIVE and connection.key_exchange == "ike":
        yield {
            "word": "aggressive",
            "why": "whoever records one handshake, or asks for one, can try secrets against it "
            "for as long as he likes, and nobody sees it",
            "status": "",
            "source": "CVE-2002-1623",
        }


def _child(child: Child, connection: Connection, description: Description) -> Mapping[str, Any]:
    from isakmp.interfaces import INegotiatingDomain
    from isakmp.strength import weaknesses

    domain = next(one for one in description.enabled.dois if one.number == connection.doi)
    assert INegotiatingDomain.providedBy(domain)
    offered = [domain.spell(suite) for suite in child.suites]
    return {
        "name": child.name,
        "local": [str(selector) for selector in child.local] or ["our address"],
        "remote": [str(selector) for selector in child.remote] or ["the peer's address"],
        "suites": offered,
        "lifetime": child.lifetime.seconds,
        "start": child.start.value,
        "action": child.action.value,
        "weak": [_weakness(weakness) for weakness in weaknesses(offered, traffic=True)],
    }


def _weakness(weakness: Any) -> Mapping[str, str]:
    return {
        "word": weakness.word,
        "why": weakness.why,
        "status": weakness.status,
        "source": weakness.source,
    }


def _secrets(description: Description) -> list[Mapping[str, object]]:
    """Those that may be guessed, by whose they are; never what they are."""
    from isakmp.strength import secret_weakness

    return [
        {"owners": list(secret.owners), "why": why}
        for secret in description.configuration.secrets
        if (why := secret_weakness(secret.secret))
    ]


def _lines(
    file: str, warnings: Any, connections: list[Mapping[str, Any]], secrets: list[Mapping[str, Any]]
) -> Iterator[str]:
    for warning in warnings:
        yield str(warning)
    children = sum(len(connection["children"]) for connection in connections)
    yield f"{file}: {len(connections)} connections, {children} children, no mistake"
    for connection in connections:
        yield ""
        peer = _some(connection["addresses"])
        yield f"{connection['name']}: {connection['exchange']} with {peer}"
        yield f"  says it is {connection['says']}, and wants {connection['wants']}"
        yield f"  offers {_some(connection['proposals'])}, for {connection['lifetime']} s"
        yield from _weak(connection["weak"], "  ")
        for child in connection["children"]:
            local, remote = _some(child["local"]), _some(child["remote"])
            if not child["suites"]:
                yield f"  {child['name']}: {local} - {remote}, {child['action']}"
                continue
            yield f"  {child['name']}: {local} - {remote}, start: {child['start']}"
            yield f"    offers {_some(child['suites'])}, for {child['lifetime']} s"
            yield from _weak(child["weak"], "    ")
    for secret in secrets:
        yield ""
        yield f"the secret of {_some(secret['owners'])}: {secret['why']}"


def _weak(found: list[Mapping[str, str]], indent: str) -> Iterator[str]:
    for weakness in found:
        said = ", ".join(filter(None, (weakness["status"], weakness["source"])))
        source = f" ({said})" if said else ""
        yield f"{indent}weak: {weakness['word']}: {weakness['why']}{source}"


def _some(words: list[str]) -> str:
    if len(words) <= _MOST:
        return ", ".join(words)
    return ", ".join((*words[:_MOST], f"{len(words) - _MOST} more"))
