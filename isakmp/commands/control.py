"""
``isakmpctl sas``, ``conns``, ``up``, ``down``, ``watch`` and ``log``: a running daemon.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, cast

from isakmp.commands.client import DEFAULT, VARIABLE, Client, uri_of
from isakmp.commands.output import (
    AUTHENTICATION,
    FAILED,
    OK,
    Complaint,
    answer,
    with_json,
    write,
)
from isakmp.control.codec import Section

_AUTHENTICATION_ALERTS = frozenset({"local-auth-failed", "peer-auth-failed"})


def _add(commands: Any, name: str, text: str, **more: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, **more)
    parser.add_argument(
        "--uri",
        metavar="URI",
        help=f"the daemon's socket (default: {VARIABLE} in the environment, or {DEFAULT})",
    )
    with_json(parser)
    return parser


class Sas:
    """What stands."""

    @staticmethod
    def add(commands: Any) -> None:
        """Tell the parser."""
        parser = _add(commands, "sas", "the SAs that stand, or are being negotiated")
        parser.add_argument("connection", nargs="?", metavar="CONNECTION", help="only its")

    @staticmethod
    def run(options: argparse.Namespace) -> int:
        """Show them."""
        with Client(uri_of(options.uri)) as client:
            found = _sas(client, options.connection)
        answer(options, found, sa_lines(found))
        return OK


class Conns:
    """What is configured."""

    @staticmethod
    def add(commands: Any) -> None:
        """Tell the parser."""
        _add(commands, "conns", "the connections that are configured")

    @staticmethod
    def run(options: argparse.Namespace) -> int:
        """Show them."""
        with Client(uri_of(options.uri)) as client:
            found = _connections(client)
        answer(options, found, _connection_lines(found))
        return OK


def _add_timeout(parser: argparse.ArgumentParser, until: str) -> None:
    parser.add_argument(
        "--timeout",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help=f"give up waiting (default: not before {until})",
    )


def _milliseconds(options: argparse.Namespace) -> str:
    return str(int(options.timeout * 1000))


class Up:
    """Begin."""

    @staticmethod
    def add(commands: Any) -> None:
        """Tell the parser."""
        parser = _add(
            commands,
            "up",
            "bring a connection's children up, and see how",
            description="Brings up a child (CONNECTION/CHILD or CHILD), or all of a connection's.  "
            "Exit status 1 if that failed, 4 if it failed at who the peer is.",
        )
        parser.add_argument("name", metavar="NAME")
        _add_timeout(parser, "it is decided")

    @staticmethod
    def run(options: argparse.Namespace) -> int:
        """Begin each, and wait."""
        status, results = OK, []
        with Client(uri_of(options.uri)) as client:
            wanted = _meant(_connections(client), options.name)
            client.register("control-log")
            client.register("alert")
            for connection, child in wanted:
                said = _begin(client, connection, child, options)
                results.append(said)
                status = max(status, said["status"])
        if options.json:
            answer(options, results, ())
        return status


class Down:
    """End."""

    @staticmethod
    def add(commands: Any) -> None:
        """Tell the parser."""
        parser = _add(commands, "down", "end a child (CONNECTION/CHILD or CHILD), or a connection")
        parser.add_argument("name", metavar="NAME")
        _add_timeout(parser, "it is gone")
        parser.add_argument(
            "--force",
            action="store_true",
            help="wait for no peer's answer (in IKEv1 there is none)",
        )

    @staticmethod
    def run(options: argparse.Namespace) -> int:
        """:raises Complaint: if there is no such one."""
        connection, slash, child = options.name.partition("/")
        with Client(uri_of(options.uri)) as client:
            standing = _sas(client, None)
            if slash:
                message = {"ike": connection, "child": child}
            elif any(sa["name"] == options.name for sa in standing):
                message = {"ike": options.name}
            else:
                message = {"child": options.name}
            message["timeout"] = _milliseconds(options)
            if options.force:
                message["force"] = "yes"
            done = client.ask("terminate", message)
        count = str(done.get("terminated") or done.get("matches") or "")
        ended = f"{options.name} is down" + (f": {count} SA{'s' * (count != '1')}" if count else "")
        answer(options, done, [ended])
        return OK


class Watch:
    """A live table."""

    @staticmethod
    def add(commands: Any) -> None:
        """Tell the parser."""
        parser = _add(commands, "watch", "the SAs, again and again")
        parser.add_argument(
            "--interval", type=float, default=1.0, metavar="SECONDS", help="default: %(default)s"
        )
        parser.add_argument(
            "--count",
            type=int,
            default=0,
            metavar="N",
            help="how often (default: until interrupted)",
        )

    @staticmethod
    def run(options: argparse.Namespace, sleep: Callable[[float], object] = time.sleep) -> int:
        """Until it is interrupted."""
        terminal = sys.stdout.isatty() and not options.json
        with Client(uri_of(options.uri)) as client:
            shown = 0
            while True:
                found = _sas(client, None)
                if terminal:
                    write("\x1b[H\x1b[2J" + f"{datetime.now():%H:%M:%S}  {len(found)} ISAKMP SAs\n")
                answer(options, found, sa_lines(found))
                shown += 1
                if shown == options.count:
                    return OK
                sleep(options.interval)


class Log:
    """What the daemon says."""

    @staticmethod
    def add(commands: Any) -> None:
        """Tell the parser."""
        _add(commands, "log", "what the daemon logs, as it happens")

    @staticmethod
    def run(options: argparse.Namespace) -> int:
        """Until it is interrupted, or the daemon stops."""
        with Client(uri_of(options.uri)) as client:
            client.register("log")
            for _, line in client.events():
                answer(options, line, [log_line(line)])
        return OK


COMMANDS: Mapping[str, Any] = {
    "sas": Sas,
    "conns": Conns,
    "up": Up,
    "down": Down,
    "watch": Watch,
    "log": Log,
}


def _sas(client: Client, connection: str | None) -> list[dict[str, Any]]:
    """Each with its connection's ``name``; its children in ``children``."""
    message = {"ike": connection} if connection else {}
    found = []
    for event in client.stream("list-sas", "list-sa", message):
        for name, sa in event.items():
            section = cast("dict[str, Any]", sa)
            children = [*section.pop("child-sas", {}).values()]
            found.append({"name": name, **section, "children": children})
    return found


def _connections(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for event in client.stream("list-conns", "list-conn"):
        found |= event
    return found


def _meant(connections: Mapping[str, Any], name: str) -> list[tuple[str, str]]:
    """
    Connection and child of each that a name means; a connection without children is itself meant.

    :raises Complaint: if it means nothing, or two things.
    """
    children = {
        (connection, child): f"{connection}/{child}"
        for connection, found in connections.items()
        for child in found.get("children", {})
    }
    if name in connections:
        own = [pair for pair in children if pair[0] == name]
        return own or [(name, "")]
    meant = [pair for pair, full in children.items() if name in (full, pair[1])]
    if not meant:
        known = ", ".join((*connections, *children.values())) or "none"
        raise Complaint(f"nothing is named {name}; there are: {known}")
    if len(meant) > 1:
        names = ", ".join(children[pair] for pair in meant)
        raise Complaint(f"{name} can mean {names}")
    return meant


def _begin(
    client: Client, connection: str, child: str, options: argparse.Namespace
) -> dict[str, Any]:
    message = {"ike": connection, "timeout": _milliseconds(options)}
    if child:
        message["child"] = child
    what = f"{connection}/{child}" if child else connection
    status, lines, alerts = OK, [], []
    result: Section = {}
    for name, content in client.follow("initiate", message):
        if name == "control-log":
            lines.append(log_line(content))
            if not options.json:
                write(lines[-1])
        elif name == "alert":
            alerts.append(str(content.get("type", "")))
        elif not name:
            result = content
    if result.get("success") == "no":
        status = AUTHENTICATION if _AUTHENTICATION_ALERTS.intersection(alerts) else FAILED
    text = str(result.get("errmsg") or "") if status else f"{what} is up"
    if not options.json:
        write(text or f"{what} is not up")
    return {"name": what, "status": status, "text": text, "log": lines, "alerts": alerts}


def log_line(line: Section) -> str:
    """As strongSwan shows one."""
    group, number = str(line.get("group", "")), str(line.get("ikesa-uniqueid", ""))
    name = str(line.get("ikesa-name", ""))
    about = f" {name}[{number}]:" if name else ""
    return f"[{group}]{about} {line.get('msg', '')}"


def sa_lines(found: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What stands, for a person."""
    some = False
    for sa in found:
        some = True
        yield (
            f"{sa['name']}: {sa.get('state', '')}, {_end(sa, 'local')} - {_end(sa, 'remote')}, "
            f"{sa.get('initiator-spi', '')}:{sa.get('responder-spi', '')}"
        )
        yield "  " + ", ".join(filter(None, (_algorithms(sa), *_times(sa, "established"))))
        for child in sa["children"]:
            local, remote = (", ".join(child.get(f"{end}-ts", ())) for end in ("local", "remote"))
            yield (
                f"  {child.get('name', '')}: {child.get('state', '')}, {child.get('mode', '')}, "
                f"{child.get('protocol', '')}, {local} - {remote}"
            )
            times = _times(child, "install-time")
            yield "    " + ", ".join(filter(None, (_algorithms(child), *times)))
            for way in ("in", "out"):
                yield (
                    f"    {way:3} {child.get(f'spi-{way}', 'none')}, "
                    f"{child.get(f'bytes-{way}', '0')} octets, "
                    f"{child.get(f'packets-{way}', '0')} packets"
                )
            if child.get("protected") == "no":
                yield "    this protects no traffic"
    if not some:
        yield "no SA stands"


def _end(sa: Mapping[str, Any], end: str) -> str:
    return f"{sa.get(f'{end}-host', '?')}:{sa.get(f'{end}-port', '?')} ({sa.get(f'{end}-id', '?')})"


def _algorithms(sa: Mapping[str, Any]) -> str:
    cipher = "-".join(filter(None, (sa.get("encr-alg"), sa.get("encr-keysize"))))
    others = (sa.get(key) for key in ("integ-alg", "prf-alg", "dh-group"))
    return "/".join(filter(None, (cipher, *others)))


def _times(sa: Mapping[str, Any], since: str) -> Iterator[str]:
    if since in sa:
        yield f"up for {sa[since]} s"
    if "rekey-time" in sa:
        yield f"renewed in {sa['rekey-time']} s"
    if "life-time" in sa:
        yield f"ends in {sa['life-time']} s"


def _connection_lines(found: Mapping[str, Any]) -> Iterator[str]:
    for name, one in found.items():
        local, remote = (", ".join(one.get(f"{end}_addrs", ())) for end in ("local", "remote"))
        yield f"{name}: {one.get('version', '')}, {local} - {remote}"
        for end in ("local", "remote"):
            for key, section in one.items():
                if key.startswith(f"{end}-"):
                    who = section.get("id", "anybody" if end == "remote" else "its address")
                    yield f"  {end}: {who}, {section.get('class', '')}"
        for child, section in one.get("children", {}).items():
            here, there = (", ".join(section.get(f"{end}-ts", ())) for end in ("local", "remote"))
            yield f"  {child}: {section.get('mode', '')}, {here} - {there}"
    if not found:
        yield "no connection is configured"
