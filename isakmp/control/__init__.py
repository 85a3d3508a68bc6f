"""
Control: what ``swanctl`` and other clients of strongSwan's vici protocol ask a running daemon.

:mod:`isakmp.control.codec` has the octets, :mod:`isakmp.control.server` the socket and its clients,
:mod:`isakmp.control.commands` what each command does.
"""

from __future__ import annotations
