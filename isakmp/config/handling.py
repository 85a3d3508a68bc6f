"""
How a child's traffic is treated, beyond its protection, in ``swanctl.conf``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace

from isakmp.associations import Action, Mark
from isakmp.config import values
from isakmp.config.mistakes import Findings
from isakmp.config.protection import place_of, said
from isakmp.config.tree import Section
from isakmp.connections import Renewal, StartAction
from isakmp.handling import Handling, Number, Unique

WIDEST = 4096
"""Packets of a replay window: the most that Linux has room for."""


def handling(
    section: Section,
    connection: Section,
    action: Action,
    start: StartAction,
    renewal: Renewal,
    findings: Findings,
) -> Handling:
    """
    How a sink treats the traffic of a child.

    :param section: the child's.
    :param connection: the section of its connection.
    """
    number, boolean = values.number, values.boolean
    rekey_octets, life_octets, rand_octets = _volumes(section, "bytes", values.octets, findings)
    packets = _volumes(section, "packets", values.packets, findings)
    mark_in, mark_out = (said(section, f"mark_{way}", values.mark, None) for way in ("in", "out"))
    copied = said(section, "copy_dscp", str.lower, "out")
    found = Handling(
        policies=said(section, "policies", boolean, True),
        policies_fwd_out=said(section, "policies_fwd_out", boolean, False),
        priority=said(section, "priority", number, 0),
        reqid=said(section, "reqid", number, 0),
        replay_window=said(section, "replay_window", number, 32),
        interface=said(section, "interface", values.interface, ""),
        mark_in=mark_in,
        mark_in_sa=said(section, "mark_in_sa", boolean, False),
        mark_out=mark_out,
        set_mark_in=_set_mark(section, "in", mark_in, findings),
        set_mark_out=_set_mark(section, "out", mark_out, findings),
        if_id_in=_interface_id(section, connection, "if_id_in"),
        if_id_out=_interface_id(section, connection, "if_id_out"),
        copy_df=said(section, "copy_df", boolean, True),
        copy_ecn=said(section, "copy_ecn", boolean, True),
        copy_dscp_in=copied in ("in", "yes"),
        copy_dscp_out=copied in ("out", "yes"),
        icmp=said(section, "icmp", boolean, False),
        rekey_octets=rekey_octets,
        life_octets=life_octets,
        rand_octets=rand_octets,
        rekey_packets=packets[0],
        life_packets=packets[1],
        rand_packets=packets[2],
        inactivity=said(section, "inactivity", values.seconds, 0),
        updown=_command(section, "updown", findings),
        host_access=said(section, "hostaccess", boolean, False),
    )
    if found.replay_window > WIDEST:
        findings.mistake(
            place_of(section, "replay_window"),
            section.key("replay_window"),
            f"{found.replay_window} is more than {WIDEST}, the most there is",
        )
    if not found.policies and (action is not Action.PROTECT or start.traps):
        findings.mistake(
            place_of(section, "policies"),
            section.key("policies"),
            "a trap is a policy, and so is what passes or is dropped; valid: yes",
        )
    if renewal.after and found.inactivity >= renewal.after:
        findings.warn(
            place_of(section, "inactivity"),
            section.key("inactivity"),
            f"never reached: it is counted anew with each renewal, after {renewal.after:.0f} s",
        )
    return found


def _volumes(
    section: Section, of: str, read: Callable[[str], int], findings: Findings
) -> tuple[int, int, int]:
    """
    When an SA is renewed and when it ends by what it has carried, and how far the first is spread,
    by strongSwan's rules: unless said, it ends a tenth after its renewal, and is spread by that.
    """
    unsaid = -1
    rekey = said(section, f"rekey_{of}", read, unsaid)
    life = said(section, f"life_{of}", read, unsaid)
    if rekey == unsaid:
        rekey = 0 if life == unsaid else life * 10 // 11
    if life == unsaid:
        life = min(rekey * 11 // 10, values.MOST)
    rand = said(section, f"rand_{of}", read, max(0, life - rekey) if rekey else 0)
    if life and rekey > life:
        findings.warn(
            place_of(section, f"life_{of}"),
            section.key(f"life_{of}"),
            f"it ends after {life}, before it is renewed ({rekey})",
        )
    return rekey, life, rand


def _set_mark(
    section: Section, way: str, of_policies: Mark | None, findings: Findings
) -> Mark | None:
    """``%same`` has become the number of the policies' mark, or is chosen with it."""
    key = f"set_mark_{way}"
    found = said(section, key, values.set_mark, None)
    if found is None or not isinstance(found.value, Unique):
        return found
    if of_policies is None:
        text = f"%same is the mark of mark_{way}, and there is none"
        findings.mistake(place_of(section, key), section.key(key), text)
        return None
    return replace(found, value=of_policies.value)


def _interface_id(section: Section, connection: Section, key: str) -> Number:
    """The child's own; or its connection's, which all its children share."""
    none: Number = 0
    own = said(section, key, values.interface_id, none)
    if own:
        return own
    inherited = said(connection, key, values.interface_id, none)
    if isinstance(inherited, Unique):
        return replace(inherited, of_connection=True)
    return inherited


def _command(section: Section, key: str, findings: Findings) -> str:
    """Words that can be told apart; empty: none."""
    command = said(section, key, str.strip, "")
    try:
        words = shlex.split(command)
    except ValueError as error:
        findings.mistake(section.data[key].place, section.key(key), f"{error}".lower())
        return ""
    return command if words and words[0] else ""
