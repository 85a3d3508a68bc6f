"""
``twistd isakmp``: options of the daemon, and the service they describe.

The address and the port are checked here, in the words of the command line; the service binds its
sockets before the reactor runs, so that both kinds of mistake are one line and not a traceback.
The port is RFC 2408 section 2.5.1's.
"""

from __future__ import annotations

import ipaddress
import sys
from typing import ClassVar

from twisted.application.service import IService
from twisted.python import usage

from isakmp import __version__

DEFAULT_ADDRESS = "127.0.0.1"


def port_number(text: str) -> int:
    """
    A UDP port, as written on a command line.

    :raises ValueError: it is not a number, or not one from 1 to 65535.
    """
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not a port number")
    port = int(text)
    if not 1 <= port <= 65535:
        raise ValueError(f"{port} is not in 1 to 65535")
    return port


class Options(usage.Options):
    """
    Options of ``twistd isakmp``.

    ``self["listen"]`` is a list of addresses without repetition, as text in canonical spelling;
    ``self["port"]`` is a number.
    """

    synopsis = "[--listen=ADDRESS ...] [--port=PORT]"
    longdesc = (
        "Answer ISAKMP on UDP.  No connection is configured yet, so every newcomer is refused; "
        "the refusals and their reasons are logged."
    )
    optParameters: ClassVar = [["port", "p", 500, "The UDP port to listen on.", port_number]]

    def opt_listen(self, address: str) -> None:
        """An IPv4 or IPv6 address of this host to listen on; repeatable. [default: 127.0.0.1]"""
        try:
            canonical = str(ipaddress.ip_address(address))
        except ValueError as error:
            raise usage.UsageError(f"--listen: {error}") from None
        addresses = self.setdefault("listen", [])
        if canonical not in addresses:
            addresses.append(canonical)

    opt_l = opt_listen

    def opt_version(self) -> None:
        """Display the version of isakmp and exit."""
        sys.stdout.write(f"isakmp {__version__}\n")
        raise SystemExit

    def postOptions(self) -> None:
        """Without any ``--listen``, listen where nobody but this host can ask."""
        self.setdefault("listen", [DEFAULT_ADDRESS])


def makeService(options: Options) -> IService:
    """
    The daemon: :func:`isakmp.service.responder_service` at the addresses and the port of these
    options.

    Nothing is bound yet.  ``privilegedStartService`` does that, while a port below 1024 may still
    be had, and leaves with one line if an address is not this host's or its port is taken.
    """
    from isakmp.service import responder_service

    return responder_service(addresses=tuple(options["listen"]), port=options["port"])
