"""
The keys of both ends, compared without either being shown.

charon logs its keys at level 4.  Our node shows none: of the keys of an ISAKMP SA it shows
fingerprints of what they make of :data:`PROBE`, of a child's those that people compare
(:mod:`isakmp.crypto.fingerprints`).  A test makes the same of what charon has logged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isakmp.crypto.ciphers import cipher
from isakmp.crypto.fingerprints import fingerprint
from isakmp.crypto.keys import keymat
from isakmp.crypto.prf import prf
from isakmp.ike.parameters import Parameters
from isakmp.ike.sa import ISAKMPSA

PROBE = b"said by nobody.."
"""Whole blocks of every cipher."""

_DUMP = re.compile(r"\d+\[(?:IKE|CHD)\] (?P<what>[\w ]+) => (?P<octets>\d+) bytes @ 0x[0-9a-f]+")
_LINE = re.compile(r"\d+\[(?:IKE|CHD)\] +(?P<offset>\d+): (?P<hex>(?:[0-9A-F]{2} ){1,16}) ")


@dataclass(frozen=True, slots=True)
class LoggedKeys:
    """
    What charon has logged of one ISAKMP SA and its children.

    :ivar isakmp: ``SKEYID_d``, ``SKEYID_a`` and ``Ka``.
    :ivar children: of each Quick Mode ``encryption initiator``, ``integrity responder`` and so on:
        named by who sends with the key.
    """

    isakmp: Mapping[str, bytes]
    children: Sequence[Mapping[str, bytes]]


def dumps(log: str) -> list[tuple[str, bytes]]:
    """
    Everything that charon has logged in hexadecimal digits, each with its name.

    :raises ValueError: if a dump is cut short.
    """
    found: list[tuple[str, bytes]] = []
    lines = iter(log.splitlines())
    for line in lines:
        head = _DUMP.fullmatch(line)
        if head is None:
            continue
        octets, length = b"", int(head["octets"])
        while len(octets) < length:
            row = _LINE.match(next(lines, ""))
            if row is None or int(row["offset"]) != len(octets):
                raise ValueError(f"{head['what']} is cut short")
            octets += bytes.fromhex(row["hex"])
        found.append((head["what"], octets))
    return found


def logged_keys(log: str) -> LoggedKeys:
    """
    The keys in a log of level 4, of groups ``ike`` and ``chd``.

    :raises ValueError: if there are none, or not those of one ISAKMP SA.
    """
    isakmp: dict[str, bytes] = {}
    children: list[dict[str, bytes]] = []
    for what, octets in dumps(log):
        name = what.removeprefix("encryption key ")
        if name in ("SKEYID_d", "SKEYID_a", "Ka"):
            if name in isakmp:
                raise ValueError(f"{name} stands twice")
            isakmp[name] = octets
        elif what.endswith(" key") and what.split()[0] in ("encryption", "integrity"):
            use = what.removesuffix(" key")
            if use == "encryption initiator" or not children:
                children.append({})
            children[-1][use] = octets
    if len(isakmp) < 3:
        raise ValueError("the keys of no ISAKMP SA are in the log")
    return LoggedKeys(isakmp, children)


def fingerprints(sa: object) -> dict[str, str]:
    """What may be shown of the keys of an ISAKMP SA of ours."""
    assert isinstance(sa, ISAKMPSA)
    used = sa.keys.cipher
    return {
        "SKEYID_d": fingerprint(sa.derive(PROBE, 100)),
        "SKEYID_a": fingerprint(sa.authenticate(PROBE)),
        "Ka": fingerprint(used.encrypt(bytes(used.block), PROBE)),
    }


def expected(keys: Mapping[str, bytes], parameters: Parameters) -> dict[str, str]:
    """
    The same of charon's keys.

    :param parameters: what was agreed.
    """
    function = prf(parameters.hash)
    used = cipher(parameters.encryption, keys["Ka"])
    return {
        "SKEYID_d": fingerprint(keymat(function.keyed(keys["SKEYID_d"]), PROBE, 100)),
        "SKEYID_a": fingerprint(function(keys["SKEYID_a"], PROBE)),
        "Ka": fingerprint(used.encrypt(bytes(used.block), PROBE)),
    }


def expected_of_child(keys: Mapping[str, bytes], sender: str) -> str:
    """
    The fingerprint of the SA with which one end sends.

    :param sender: ``initiator`` or ``responder`` of the Quick Mode.
    """
    integrity = keys.get(f"integrity {sender}", b"")
    return fingerprint(keys[f"encryption {sender}"] + integrity)
