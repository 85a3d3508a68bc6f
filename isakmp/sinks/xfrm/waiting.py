"""
Whether the kernel keeps packets that wait for an SA.

By default it drops them: ``net.core.xfrm_larval_drop``.  With 0 it keeps up to a hundred for each
policy, and sends them when the SA is there.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from isakmp.logs import Logger

LARVAL_DROP = Path("/proc/sys/net/core/xfrm_larval_drop")
"""Of the network namespace of whoever opens it."""


class WaitingPackets:
    """
    Has the kernel keep them, from the first policy until the sink stops.

    :param setting: where the kernel is told so.
    """

    _log = Logger()

    def __init__(self, setting: Path = LARVAL_DROP) -> None:
        self._setting = setting
        self._before = ""
        self._told = False

    def keep(self) -> None:
        """From now on; that it cannot be is one line of the log.  Idempotent."""
        if self._told:
            return
        self._told = True
        try:
            before = self._setting.read_text().strip()
            if before != "0":
                self._setting.write_text("0\n")
                self._before = before
        except OSError as error:
            self._log.warn(
                "packets that wait for an SA are lost: {file}: {why}",
                file=str(self._setting),
                why=error.strerror,
            )

    def restore(self) -> None:
        """As it was before; idempotent."""
        before, self._before, self._told = self._before, "", False
        if before:
            with contextlib.suppress(OSError):  # then it is not ours any more
                self._setting.write_text(f"{before}\n")
