"""
``twistd isakmp``: options of the daemon, and the service they describe.

Both files are read, and everything in them checked, while the command line is parsed: a mistake is
a line, not a traceback, and nothing has been started.
"""

from __future__ import annotations

import sys
from typing import ClassVar

from twisted.application.service import IService
from twisted.python import usage

from isakmp import __version__

DEFAULT_CONFIG = "/etc/swanctl/swanctl.conf"
DEFAULT_SETTINGS = "/etc/isakmp/isakmp.toml"

KERNEL = ("auto", "xfrm")
"""The sinks for which a process has to keep its rights."""


class Options(usage.Options):
    """
    Options of ``twistd isakmp``.

    ``self["daemon"]`` is what both files say, once everything is checked.
    """

    synopsis = "[--config=swanctl.conf] [--settings=isakmp.toml]"
    longdesc = (
        "Serve and begin the IKEv1 connections of a swanctl.conf.  Both files are checked before "
        "anything is started, and every mistake is told.  SIGHUP reads them again."
    )
    optParameters: ClassVar = [
        ["config", "c", DEFAULT_CONFIG, "The connections and their secrets."],
        ["settings", "s", DEFAULT_SETTINGS, "What swanctl.conf has no words for; may be missing."],
    ]

    def opt_version(self) -> None:
        """Display the version of isakmp and exit."""
        sys.stdout.write(f"isakmp {__version__}\n")
        raise SystemExit

    def postOptions(self) -> None:
        """Read and check both files; every mistake is one line, and the exit status is 1."""
        from isakmp.description import Files
        from isakmp.errors import ConfigurationError

        twistd = getattr(self, "parent", None)
        try:
            self["daemon"] = Files(self["config"], self["settings"]).read()
            if twistd is not None and twistd.get("uid") and self["daemon"].settings.sink in KERNEL:
                raise ConfigurationError(
                    "--uid gives up CAP_NET_ADMIN, which the sink xfrm needs as long as it runs; "
                    "start it as a user that has it, as the unit for systemd does"
                )
        except ConfigurationError as error:
            lines = "".join(f"isakmp: {line}\n" for line in str(error).splitlines())
            sys.stderr.write(lines)
            raise SystemExit(1) from None
        if twistd is not None and not (twistd.get("logger") or twistd.get("syslog")):
            from isakmp.log_lines import written_for

            twistd["logger"] = written_for(twistd, self["daemon"].settings.log.format)


def makeService(options: Options) -> IService:
    """
    The daemon that the files describe.

    Nothing is bound yet.  ``privilegedStartService`` does that, while a port below 1024 may still
    be had, and leaves with one line if an address is not this host's or its port is taken.

    :raises SystemExit: with one line, if what is configured cannot be.
    """
    from twisted.internet import reactor

    from isakmp.daemon import Daemon
    from isakmp.errors import ConfigurationError
    from isakmp.garbage import settle
    from isakmp.steady import steady

    steady(reactor)
    try:
        daemon = Daemon(options["daemon"])
    except ConfigurationError as error:
        raise SystemExit(f"isakmp: {error}") from None
    settle()
    return daemon
