"""
How a process that has read its configuration looks for garbage from then on.

Python frees nearly everything at once, by counting references.  What goes round in circles is found
by its collector, which by default looks at what is young after every 700 objects more than were
freed, and again and again at everything that stands.  A daemon's modules, configuration and SAs
are no garbage, and finished exchanges do not lead back to themselves
(:meth:`isakmp.exchange.exchange.Exchange.release`): there is next to nothing to find, and the
search took some hundredths of the time of a handshake.
"""

from __future__ import annotations

import gc

YOUNG = 10_000
"""
Objects that are made and not freed before the young ones are looked through: those of some fifty
handshakes.  It bounds what unreachable circles can keep: some megabytes.
"""

_THEN = 20, 20
"""How many such looks until the older objects are looked at, and so on."""


def settle() -> None:
    """
    From now on what is here by now stays: it is never looked at again.

    For a process of our own only; call it when everything is imported and configured.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *_THEN)
