"""
Lines of the log as strongSwan's users sort them: by group, and by level.

A group is what part of the daemon speaks; a level how much detail it is: 0 is said always, 1 is
what an administrator wants to see, 2 and more is for finding faults.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.logger import LogEvent, formatEvent

from isakmp.logs import PACKAGE, detail_of, group_of_event


@dataclass(frozen=True, slots=True)
class Line:
    """
    One line of the log.

    :ivar group: ``IKE``, ``ENC``, ``NET``, ``CFG``, ``CHD``, ``KNL`` or ``LIB``.
    :ivar level: 0 to 3.
    :ivar connection: whose it is; empty if it is nobody's.
    :ivar number: of the ISAKMP SA that it tells the end of; 0: it tells of none.
    """

    group: str
    level: int
    connection: str
    text: str
    number: int = 0

    @classmethod
    def of(cls, event: LogEvent) -> Line | None:
        """The line of an event of twisted.logger's; None if none of this package's said it."""
        if not str(event.get("log_namespace", "")).startswith(PACKAGE):
            return None
        connection, number = event.get("connection"), event.get("uniqueid")
        return cls(
            group_of_event(event),
            detail_of(event),
            connection if isinstance(connection, str) else "",
            formatEvent(event),
            int(number) if isinstance(number, str) else 0,
        )

