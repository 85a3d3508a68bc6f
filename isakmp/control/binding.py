"""
Where the control socket is: a path of this host, or a port of its loopback.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import socket
import stat
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import ServerFactory

from isakmp.config.settings import ViciSettings, tcp_address
from isakmp.errors import ConfigurationError

_FOLDER = 0o755


def listen(reactor: Any, settings: ViciSettings, clients: ServerFactory) -> IListeningPort:
    """
    Begin to accept clients.

    A socket that nobody listens at any more, left by a process that was killed, is replaced.

    :raises ConfigurationError: if it cannot be had; why.
    """
    try:
        if settings.uri.startswith("tcp://"):
            host, number = tcp_address(settings.uri)
            port: IListeningPort = reactor.listenTCP(number, clients, interface=host)
            return port
        return _listen_at(reactor, settings, clients)
    except CannotListenError as error:
        why = os.strerror(error.socketError.errno or 0)
        raise ConfigurationError(f"vici: {settings.uri} cannot be had: {why}") from None
    except OSError as error:
        raise ConfigurationError(f"vici: {settings.uri} cannot be had: {error.strerror}") from None


def _listen_at(reactor: Any, settings: ViciSettings, clients: ServerFactory) -> IListeningPort:
    path = settings.uri.removeprefix("unix://")
    group = _group(settings.group)
    os.makedirs(os.path.dirname(path), _FOLDER, exist_ok=True)
    _make_room(path, settings.uri)
    port: IListeningPort = reactor.listenUNIX(path, clients, mode=settings.mode)
    # Not every daemon may change what is its own.
    if group is not None and os.stat(path).st_gid != group:
        try:
            os.chown(path, -1, group)
        except OSError as error:
            port.stopListening()
            raise ConfigurationError(
                f"vici_group: {settings.group} cannot be given the socket: {error.strerror}"
            ) from None
    return port


def _group(name: str) -> int | None:
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigurationError(f"vici_group: there is no group {name}") from None


def _make_room(path: str, uri: str) -> None:
    """
    Remove a socket that nobody listens at.

    :raises ConfigurationError: if somebody does, or it is something else.
    """
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise ConfigurationError(f"vici: {uri} cannot be had: there is something else already")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except OSError as error:
            if error.errno != errno.ECONNREFUSED:
                raise
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return
    raise ConfigurationError(f"vici: {uri} cannot be had: another process serves it")
