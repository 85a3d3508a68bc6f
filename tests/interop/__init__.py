"""
Conversations with other people's daemons: real processes in network namespaces of our own.

``make peers`` fetches the daemons.  Without them, or without the right to make a namespace, the
cases here are skipped with the reason.
"""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
