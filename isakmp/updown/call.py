"""
What a script is told of a child: its environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from isakmp.associations import IPsecParameters, SABundle
from isakmp.handling import Handling
from isakmp.identity import TrafficSelector
from isakmp.interface_names import interface_of
from isakmp.interfaces import IManagementSA
from isakmp.numbers import ProtocolID

MAX_VALUE = 512
"""Characters of one value of the environment."""

_Environment = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Call:
    """
    What a script is run with, both times.

    :ivar command: the words of ``updown``.
    :ivar scope: what follows ``up-`` and ``down-`` in PLUTO_VERB.
    :ivar environment: the rest of it.
    """

    connection: str
    child: str
    command: str
    scope: str
    environment: _Environment

    def variables(self, up: bool) -> dict[str, str]:
        """The whole environment, once."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "PLUTO_VERSION": "1.1",
            "PLUTO_VERB": self.verb(up),
            **self.environment,
        }

    def verb(self, up: bool) -> str:
        """PLUTO_VERB."""
        return f"{'up' if up else 'down'}-{self.scope}"


def scope(bundle: SABundle) -> str:
    """``host`` where our end is this host alone, else ``client``; and ``-v6`` of IPv6."""
    local = bundle.policy.local
    ours = _destination(bundle, out=False)
    alone = ours and TrafficSelector.host(ours)
    is_host = alone and (alone.version, alone.first, alone.last) == (
        *(local.version, local.first, local.last),
    )
    return ("host" if is_host else "client") + ("-v6" if local.version == 6 else "")


def environment(
    bundle: SABundle,
    parent: IManagementSA,
    number: int,
    reqid: int = 0,
    handling: Handling | None = None,
) -> _Environment:
    """
    What a script is told of a child, but for the verb.

    Whatever the peer has said is made of printable ASCII characters alone.

    :param number: of the ISAKMP SA.
    :param handling: with the numbers that the sink has chosen; by default as it is configured.
    """
    handling = bundle.policy.handling if handling is None else handling
    policy, sas = bundle.policy, (*bundle.inbound, *bundle.outbound)
    protocols = {sa.key.protocol for sa in sas}
    ours, theirs = _destination(bundle, out=False), _destination(bundle, out=True)
    found = {
        "PLUTO_CONNECTION": policy.name,
        "PLUTO_INTERFACE": handling.interface or interface_of(ours) or "unknown",
        "PLUTO_REQID": str(reqid),
        "PLUTO_PROTO": "esp" if ProtocolID.ESP in protocols else "ah",
        "PLUTO_UNIQUEID": str(number),
    }
    for who, address, identity, traffic in (
        ("MY", ours, parent.ours, policy.local),
        ("PEER", theirs, parent.theirs, policy.remote),
    ):
        found["PLUTO_ME" if who == "MY" else "PLUTO_PEER"] = address
        found[f"PLUTO_{who}_ID"] = str(identity)
        found[f"PLUTO_{who}_CLIENT"] = network(traffic)
        found[f"PLUTO_{who}_PORT"] = str(traffic.port)
        found[f"PLUTO_{who}_PROTOCOL"] = str(traffic.protocol)
    if ProtocolID.IPCOMP in protocols:
        found["PLUTO_IPCOMP"] = "1"
    for sa in sas:
        if isinstance(sa.parameters, IPsecParameters) and sa.parameters.udp is not None:
            found["PLUTO_UDP_ENC"] = str(sa.parameters.udp[1])
    if handling.host_access:
        found["PLUTO_HOST_ACCESS"] = "1"
    for way, mark, interface in (
        ("IN", handling.mark_in, handling.if_id_in),
        ("OUT", handling.mark_out, handling.if_id_out),
    ):
        if mark is not None and mark.value and isinstance(mark.value, int):
            found[f"PLUTO_MARK_{way}"] = f"{mark.value}/0x{mark.mask:08x}"
        if interface and isinstance(interface, int):
            found[f"PLUTO_IF_ID_{way}"] = str(interface)
    return {key: printable(value)[:MAX_VALUE] for key, value in found.items()}


def network(traffic: TrafficSelector) -> str:
    """
    The smallest network with all addresses of some traffic, with its prefix length.
    """
    bits = 32 if traffic.version == 4 else 128
    span = (traffic.first ^ traffic.last).bit_length()
    first = traffic.first >> span << span
    base = TrafficSelector(traffic.version, first, first)
    return f"{base}/{bits - span}"


def printable(text: str) -> str:
    """What is not printable ASCII is written as Python would write it in a literal."""
    return "".join(
        one if " " <= one <= "~" else one.encode("unicode_escape").decode() for one in text
    )


def _destination(bundle: SABundle, out: bool) -> str:
    """Who receives by an SPI is its destination."""
    sas = bundle.outbound if out else bundle.inbound
    return sas[0].key.destination if sas else ""
