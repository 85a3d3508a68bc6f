"""
What systemd is told: that we are ready, reload, stop, and how we are.  sd_notify(3).

Without ``NOTIFY_SOCKET`` in the environment nothing is said, and nothing is lost.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class Manager:
    """
    The service manager that has started us, if one has.

    :param environment: with ``NOTIFY_SOCKET``, and ``WATCHDOG_USEC`` if it wants signs of life.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # Of an abstract address, which is not in the file system, the first character stands for 0.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        pid = environment.get("WATCHDOG_PID", "")
        wanted = environment.get("WATCHDOG_USEC", "")
        self.watchdog = 0.0
        """Seconds within which it wants a sign of life, each time; 0: it wants none."""
        if self._address and wanted.isdigit() and pid in ("", str(os.getpid())):
            self.watchdog = int(wanted) / 1_000_000

    def ready(self, status: str) -> None:
        """We have begun, or have reloaded."""
        self._say(f"READY=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> None:
        """One line on how we are."""
        self._say(f"STATUS={_line(status)}")

    def reloading(self) -> None:
        """The configuration is read again; :meth:`ready` follows."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._say(f"RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=Reading the configuration again")

    def stopping(self) -> None:
        """We are about to stop."""
        self._say("STOPPING=1\nSTATUS=Telling the peers")

    def alive(self) -> None:
        """A sign of life."""
        self._say("WATCHDOG=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto(text.encode(), self._address)
        except OSError:
            pass  # it does not listen: that is no reason for us to fail


def _line(text: str) -> str:
    return " ".join(text.split())
