"""
One process for each network namespace: what is of this program there is its own, or a dead run's.
"""

from __future__ import annotations

import errno
import socket

from isakmp.errors import ConfigurationError

_NAME = b"\0isakmp-xfrm"
"""What a running sink of this kind has bound.  A name of this, the abstract, kind belongs to the
network namespace, and goes with the process."""


class Alone:
    """The place of the one sink of this kind in this network namespace."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def claim(self) -> None:
        """
        Take it.

        :raises ConfigurationError: if another process has it.
        """
        claimed = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            claimed.bind(_NAME)
        except OSError as error:
            claimed.close()
            if error.errno != errno.EADDRINUSE:
                raise ConfigurationError(f"the sink xfrm cannot be used: {error}") from None
            raise ConfigurationError(
                "the sink xfrm cannot be used: another process uses it in this network namespace"
            ) from None
        self._socket = claimed

    def give_up(self) -> None:
        """Leave it to others; idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
