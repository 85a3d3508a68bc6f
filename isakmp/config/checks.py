"""
Every key of a file held against the table: what is unknown, of the wrong kind, refused or ignored.
"""

from __future__ import annotations

from isakmp.config.key_table import KEYS
from isakmp.config.keys import Key, Kind, Status
from isakmp.config.mistakes import Findings, similar
from isakmp.config.tree import Datum, Section

IKEV2 = "2"
"""The version of a connection that is for another daemon."""

_UNUSED = frozenset({Status.WARNED, Status.IKEV2})


def skipped(connection: Section) -> bool:
    """Whether a connection is IKEv2's, and none of ours."""
    version = connection.data.get("version")
    return version is not None and version.value == IKEV2


def check(root: Section, referred: frozenset[str], findings: Findings) -> None:
    """
    Look at every key that is there.

    :param referred: names at the root that something takes settings from: templates, which may
        hold anything, for it is looked at where it is used.
    """
    for key, datum in root.data.items():
        findings.mistake(datum.place, key, "a key outside of every section")
    known = KEYS.known((), section=True)
    for section in root.sections.values():
        if section.name in known:
            _section(section, (section.name,), findings)
        elif section.name not in referred:
            close = similar(section.name, known)
            text = f"no section of this name means anything{close}; known: {', '.join(known)}"
            if close:
                findings.mistake(section.place, section.path, text)
            else:
                findings.warn(section.place, section.path, text)


def _section(section: Section, path: tuple[str, ...], findings: Findings) -> None:
    key = KEYS.find(path)
    assert key is not None, "only what is in the table is looked at"
    if path[0] == "connections" and len(path) == 2 and skipped(section):
        return
    if key.status is Status.REFUSED:
        findings.mistake(section.place, section.path, f"{key.text}{key.valid}")
        return
    if key.status in _UNUSED:
        findings.warn(section.place, section.path, f"ignored: {key.text}", once=key.pattern)
        return
    for name, datum in section.data.items():
        _datum(section.key(name), datum, (*path, name), findings)
    for inner in section.sections.values():
        found = KEYS.find((*path, inner.name))
        if found is not None and found.kind is Kind.SECTION:
            _section(inner, (*path, inner.name), findings)
        else:
            known = KEYS.known(path, section=True)
            findings.mistake(
                inner.place,
                inner.path,
                f"there is no such section{similar(inner.name, known)}; "
                + (f"valid here: {', '.join(known)}" if known else "here is none"),
            )


def _datum(name: str, datum: Datum, path: tuple[str, ...], findings: Findings) -> None:
    key = KEYS.find(path)
    if key is None or key.kind is Kind.SECTION:
        known = KEYS.known(path[:-1], section=False)
        findings.mistake(
            datum.place,
            name,
            f"there is no such key{similar(path[-1], known)}; "
            + (f"valid here: {', '.join(known)}" if known else "here are sections only"),
        )
        return
    try:
        outcome = key.outcome(datum.value)
    except ValueError as error:
        findings.mistake(datum.place, name, f"{error}{_advice(key)}")
        return
    if outcome is Status.REFUSED:
        findings.mistake(datum.place, name, f"{key.why(datum.value)}{key.valid}")
    elif outcome is Status.IKEV2:
        findings.warn(datum.place, name, f"ignored: IKEv2 only ({key.text})", once=key.pattern)
    elif outcome is Status.WARNED:
        findings.warn(datum.place, name, f"ignored: {key.why(datum.value)}", once=key.pattern)


def _advice(key: Key) -> str:
    """What becomes of it anyway, where repairing it does not help."""
    return f"; {key.text}{key.valid}" if key.status is Status.REFUSED else ""
