"""
The files a daemon is configured by: strongSwan's ``swanctl.conf``, and ``isakmp.toml`` for what
that has no words for.

:func:`isakmp.config.load.load` reads the first, :func:`isakmp.config.isakmp_toml.load` the second.
"""

from __future__ import annotations
