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

DEFAULT = 1
"""They are dropped.  A run that has changed it has left no more than that it did; whatever else it
may have been than 0 means the same."""


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

    @property
    def changed(self) -> bool:
        """Whether the kernel was told, and had it otherwise before."""
        return bool(self._before)

    def restore_default(self) -> None:
        """
        As a kernel has it by itself, where a run of this program had changed that and died.
        """
        with contextlib.suppress(OSError):
            if self._setting.read_text().strip() == "0":
                self._setting.write_text(f"{DEFAULT}\n")

    def restore(self) -> None:
        """As it was before; idempotent."""
        before, self._before, self._told = self._before, "", False
        if before:
            with contextlib.suppress(OSError):  # then it is not ours any more
                self._setting.write_text(f"{before}\n")
