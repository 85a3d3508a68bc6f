"""
What ``isakmpctl`` can do: a module for each command.

Each has ``add``, which tells the parser of it, and ``run``, which does it and returns the exit
status.
"""

from __future__ import annotations
