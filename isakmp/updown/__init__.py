"""
Scripts that are run when a child comes up and when it is gone: ``updown`` of ``swanctl.conf``.

What a script is told stands in its environment, under the names that strongSwan's updown plug-in
gives (``PLUTO_VERB`` and the others, interface version 1.1): a script made for it runs here.  There
is no shell in between, and of this process's own environment a script sees ``PATH`` alone.

A renewal neither takes a child down nor brings it up: what stands for the same traffic with the
same peer is one thing, up with its first SAs and down with its last.
"""
from __future__ import annotations

from isakmp.updown.updown import UpDown

__all__ = ["UpDown"]
