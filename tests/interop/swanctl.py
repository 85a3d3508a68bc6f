"""
The SAs that a daemon lists by vici, as values, and what ``swanctl --list-sas --pretty`` prints of
them.

``--pretty`` gives each key a line of its own.  ``--raw`` puts everything on one line, where the
spaces in a distinguished name and those between two keys look alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

#: A section of a vici message: keys with text, lists of texts and sections inside.
Section: TypeAlias = "dict[str, str | list[str] | Section]"

_VALUE = re.compile(r"(?P<key>[^\s=]+) = (?P<value>.*)")


def sections(text: str) -> list[tuple[str, Section]]:
    """
    The messages of a dump, each with its name: ``list-sa event``, ``list-sas reply``.

    :raises ValueError: if the text is no such dump or is cut short.
    """
    messages: list[tuple[str, Section]] = []
    open_sections: list[Section] = []
    items: list[str] | None = None
    for line in map(str.strip, text.splitlines()):
        value = _VALUE.fullmatch(line)
        if items is not None:
            if line == "]":
                items = None
            else:
                items.append(line)
        elif not line:
            continue
        elif value is not None and open_sections:
            key, content = value["key"], value["value"]
            if key in open_sections[-1]:
                raise ValueError(f"{key} stands twice in one section")
            if content == "[":
                items = []
            open_sections[-1][key] = content if items is None else items
        elif line == "}" and open_sections:
            open_sections.pop()
        elif line.endswith(" {") or (line == "{" and open_sections):
            section: Section = {}
            name = line.removesuffix("{").rstrip()
            if not open_sections:
                messages.append((name, section))
            elif name in open_sections[-1]:
                raise ValueError(f"{name} stands twice in one section")
            else:
                open_sections[-1][name] = section
            open_sections.append(section)
        else:
            raise ValueError(f"no line of a swanctl dump: {line!r}")
    if open_sections or items is not None:
        raise ValueError("the swanctl dump is cut short")
    return messages


@dataclass(frozen=True, slots=True)
class ChildSA:
    """
    An IPsec SA in both directions, as a daemon sees it.

    :ivar name: the configured child's name.
    :ivar spi_in: the SPI of what it receives, eight hexadecimal digits.
    :ivar spi_out: the SPI of what it sends.
    :ivar algorithms: what is agreed: ``AES_CBC-128/HMAC_SHA2_256_128``, and the group if the
        child has one of its own.
    :ivar more: ``esn`` with extended sequence numbers, ``ipcomp`` with compression, or both.
    """

    name: str
    state: str
    protocol: str
    mode: str
    spi_in: str
    spi_out: str
    algorithms: str
    local_ts: tuple[str, ...]
    remote_ts: tuple[str, ...]
    more: str = ""


@dataclass(frozen=True, slots=True)
class IKESA:
    """
    An ISAKMP SA as a daemon sees it.

    :ivar name: the configured connection's name.
    :ivar initiator_spi: the initiator's cookie, sixteen hexadecimal digits.
    :ivar responder_spi: the responder's cookie.
    :ivar algorithms: what is agreed: ``AES_CBC-128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048``.
    """

    name: str
    state: str
    local_id: str
    remote_id: str
    initiator_spi: str
    responder_spi: str
    algorithms: str
    children: tuple[ChildSA, ...]


def _text(section: Section, key: str) -> str:
    value = section.get(key, "")
    if not isinstance(value, str):
        raise ValueError(f"{key} is not a text")
    return value


def _texts(section: Section, key: str) -> tuple[str, ...]:
    value = section.get(key, [])
    if not isinstance(value, list):
        raise ValueError(f"{key} is not a list")
    return tuple(value)


def _inner(section: Section) -> list[tuple[str, Section]]:
    return [(name, inner) for name, inner in section.items() if isinstance(inner, dict)]


def _algorithms(section: Section) -> str:
    cipher = "-".join(filter(None, (_text(section, "encr-alg"), _text(section, "encr-keysize"))))
    others = (_text(section, key) for key in ("integ-alg", "prf-alg", "dh-group"))
    return "/".join(filter(None, (cipher, *others)))


def _child(section: Section) -> ChildSA:
    return ChildSA(
        name=_text(section, "name"),
        state=_text(section, "state"),
        protocol=_text(section, "protocol"),
        mode=_text(section, "mode"),
        spi_in=_text(section, "spi-in"),
        spi_out=_text(section, "spi-out"),
        algorithms=_algorithms(section),
        local_ts=_texts(section, "local-ts"),
        remote_ts=_texts(section, "remote-ts"),
        more=" ".join(
            word for word, key in (("esn", "esn"), ("ipcomp", "cpi-in")) if _text(section, key)
        ),
    )


def listed_sas(text: str) -> list[IKESA]:
    """
    The SAs in the output of ``swanctl --list-sas --pretty``, in its order.

    :raises ValueError: if the text is something else.
    """
    messages = sections(text)
    if not messages or messages[-1][0] != "list-sas reply":
        raise ValueError("the list of SAs has no end")
    for message, _ in messages[:-1]:
        if message != "list-sa event":
            raise ValueError(f"{message} does not belong to a list of SAs")
    return isakmp_sas(content for _, content in messages[:-1])


def isakmp_sas(events: Iterable[Section]) -> list[IKESA]:
    """
    The SAs that the events ``list-sa`` tell of, in their order.

    :raises ValueError: if they tell of something else.
    """
    found = []
    for content in events:
        for name, section in _inner(content):
            children = section.get("child-sas", {})
            found.append(
                IKESA(
                    name=name,
                    state=_text(section, "state"),
                    local_id=_text(section, "local-id"),
                    remote_id=_text(section, "remote-id"),
                    initiator_spi=_text(section, "initiator-spi"),
                    responder_spi=_text(section, "responder-spi"),
                    algorithms=_algorithms(section),
                    children=tuple(
                        _child(inner)
                        for _, inner in (_inner(children) if isinstance(children, dict) else ())
                    ),
                )
            )
    return found
