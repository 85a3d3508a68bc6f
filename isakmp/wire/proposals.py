"""
Proposal and Transform payloads, which stand only inside an SA payload.

RFC 2408 sections 3.5 and 3.6.  Which proposals form one suite, and what their numbers mean, is for
the domain of interpretation to say: here they are a list.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from isakmp.departures import RESERVED_OCTETS
from isakmp.errors import BadProposalSyntax, InvalidReservedField, Malformed
from isakmp.wire.attributes import Attribute, attributes_of, encode_attributes
from isakmp.wire.reader import Reader

MAX_PROPOSALS = 64
"""The most Proposal payloads of one SA payload that are read."""

MAX_TRANSFORMS = 256
"""The most Transform payloads of one SA payload, all its proposals together, that are read."""

_PROPOSAL: Final = 2
_TRANSFORM: Final = 3
_PROPOSAL_HEAD = struct.Struct("!BBHBBBB")
_TRANSFORM_HEAD = struct.Struct("!BBHBBH")
_GENERIC = struct.Struct("!BBH")
_TRANSFORM_BODY = struct.Struct("!BBH")
_SHORT = 128
"""Octets of a transform that is remembered; longer ones are nobody's habit."""


@dataclass(frozen=True, slots=True)
class Transform:
    """
    One way to protect.  RFC 2408 section 3.6::

                              1                   2                   3
          0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         ! Next Payload  !   RESERVED    !         Payload Length        !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !  Transform #  !  Transform-Id !           RESERVED2           !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         ~                        SA Attributes                          ~
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    :ivar number: Transform #, the sender's.
    :ivar transform_id: Transform-Id; its table depends on the proposal's protocol.
    :ivar attributes: as received, in order, repeated ones included.
    """

    number: int
    transform_id: int
    attributes: tuple[Attribute, ...]
    _hash: int = field(default=0, init=False, repr=False, compare=False)

    def __hash__(self) -> int:
        # Computed once: what was made of a transform is remembered by it.
        if not self._hash:
            known = hash((self.number, self.transform_id, self.attributes)) or 1
            object.__setattr__(self, "_hash", known)
        return self._hash


@dataclass(frozen=True, slots=True)
class Proposal:
    """
    One protocol and the transforms offered for it.  RFC 2408 section 3.5::

                              1                   2                   3
          0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         ! Next Payload  !   RESERVED    !         Payload Length        !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !  Proposal #   !  Protocol-Id  !    SPI Size   !# of Transforms!
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
         !                        SPI (variable)                         !
         +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    :ivar number: Proposal #; equal numbers are meant together (RFC 2408 section 4.2).
    :ivar protocol: Protocol-Id.
    :ivar spi: the sender's SPI, 0 to 255 octets.
    :ivar transforms: alternatives, the sender's favourite first.
    """

    number: int
    protocol: int
    spi: bytes
    transforms: tuple[Transform, ...]


def decode_proposals(reader: Reader, departures: set[str] | None = None) -> tuple[Proposal, ...]:
    """
    All that is left of the reader, as proposals; at least one.

    :param reader: bounded to the SA payload, its situation already read.
    :param departures: where reserved octets that are not zero are noted, for the caller to judge;
        None: they are refused.
    :raises Malformed: if they do not end where the reader does, have no transform, or are more
        than the bounds of this module.
    """
    proposals: list[Proposal] = []
    transforms_left = MAX_TRANSFORMS
    following: int = _PROPOSAL
    while following:
        if following != _PROPOSAL:
            raise BadProposalSyntax(f"payload type {following} after a Proposal")
        if len(proposals) == MAX_PROPOSALS:
            raise Malformed(f"more than {MAX_PROPOSALS} proposals")
        following, reserved, length, number, protocol, spi_size, count = _PROPOSAL_HEAD.unpack(
            reader.take(8)
        )
        if reserved:
            _note("Proposal", departures)
        body = reader.sub(length - 8)
        spi = body.take(spi_size)
        transforms_left -= count
        if transforms_left < 0:
            raise Malformed(f"more than {MAX_TRANSFORMS} transforms")
        proposals.append(Proposal(number, protocol, spi, _transforms(body, count, departures)))
    reader.finish()
    return tuple(proposals)


def _note(what: str, departures: set[str] | None) -> None:
    if departures is None:
        raise InvalidReservedField(f"{what}: a reserved octet is not zero")
    departures.add(RESERVED_OCTETS)


def _transforms(reader: Reader, count: int, departures: set[str] | None) -> tuple[Transform, ...]:
    if not count:
        raise BadProposalSyntax("Proposal: no transforms")
    transforms: list[Transform] = []
    while count:
        count -= 1
        following, reserved, length = _GENERIC.unpack(reader.take(4))
        if following != (_TRANSFORM if count else 0):
            raise BadProposalSyntax(
                f"payload type {following} after a Transform, {count} announced"
            )
        if reserved:
            _note("Transform", departures)
        body = reader.take(length - 4)
        try:
            transforms.append(_known(body) if len(body) <= _SHORT else _transform(body))
        except InvalidReservedField:
            _note("Transform", departures)
            transforms.append(_transform(body[:2] + bytes(2) + body[4:]))
    reader.finish()
    return tuple(transforms)


def _transform(body: bytes) -> Transform:
    if len(body) < 4:
        raise Malformed(f"a Transform of {len(body)} octets")
    number, transform_id, reserved = _TRANSFORM_BODY.unpack_from(body)
    if reserved:
        raise InvalidReservedField("Transform: a reserved octet is not zero")
    return Transform(number, transform_id, attributes_of(body[4:]))


# A peer offers the same transforms every time, and so do all peers of one make.
_known = lru_cache(maxsize=256)(_transform)


def encode_proposals(proposals: Iterable[Proposal]) -> bytes:
    """
    The proposals' octets, in order.

    :raises ValueError: if a proposal has more transforms, a longer SPI or a longer body than its
        fields can say.
    """
    offered = tuple(proposals)
    parts: list[bytes] = []
    for left, proposal in zip(range(len(offered) - 1, -1, -1), offered, strict=True):
        body = proposal.spi + _encode_transforms(proposal.transforms)
        if len(proposal.spi) > 0xFF or len(proposal.transforms) > 0xFF or len(body) > 0xFFFF - 8:
            raise ValueError(f"proposal {proposal.number} is too long")
        parts.append(
            _PROPOSAL_HEAD.pack(
                _PROPOSAL if left else 0,
                0,
                8 + len(body),
                proposal.number,
                proposal.protocol,
                len(proposal.spi),
                len(proposal.transforms),
            )
        )
        parts.append(body)
    return b"".join(parts)


def _encode_transforms(transforms: Sequence[Transform]) -> bytes:
    parts: list[bytes] = []
    for left, transform in zip(range(len(transforms) - 1, -1, -1), transforms, strict=True):
        body = encode_attributes(transform.attributes)
        if len(body) > 0xFFFF - 8:
            raise ValueError(f"transform {transform.number} is too long")
        parts.append(
            _TRANSFORM_HEAD.pack(
                _TRANSFORM if left else 0,
                0,
                8 + len(body),
                transform.number,
                transform.transform_id,
                0,
            )
        )
        parts.append(body)
    return b"".join(parts)
