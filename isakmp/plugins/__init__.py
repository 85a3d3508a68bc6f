"""
What can be switched on, and what is.

Domains of interpretation are told apart by their numbers (RFC 2408 section 3.4), key exchanges by
the Transform-ID of PROTO_ISAKMP (section 3.6), those with a header of their own by port and major
version, exchange types by their numbers within a domain (section 3.1).

Whatever is wrong with a plug-in that is switched on is one sentence with its name and its module; a
plug-in that is not switched on may be anything.
"""
from __future__ import annotations

from isakmp.plugins.available import KeyExchange, Plugins, available, builtin, installed
from isakmp.plugins.checks import check_exchange_types, check_ports, configure
from isakmp.plugins.naming import SinkPlugin

__all__ = [
    "KeyExchange",
    "Plugins",
    "SinkPlugin",
    "available",
    "builtin",
    "check_exchange_types",
    "check_ports",
    "configure",
    "installed",
]
