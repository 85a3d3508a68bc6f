"""
Messages for hypothesis to try, and the anomalies of one message.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from random import Random

from hypothesis import strategies as st

from isakmp.wire.attributes import Attribute
from isakmp.wire.message import CookiePair, Message
from isakmp.wire.payloads import (
    PAYLOADS,
    Certificate,
    CertificateRequest,
    ConfigurationAttributes,
    Delete,
    DraftNATOriginalAddress,
    Fragment,
    Identification,
    NATOriginalAddress,
    Notification,
    Opaque,
    Payload,
    SecurityAssociation,
    Unrecognized,
)
from isakmp.wire.proposals import Proposal, Transform, encode_proposals

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
octets = st.binary(max_size=40)
cookie = st.binary(min_size=8, max_size=8)

attributes = st.one_of(
    st.builds(Attribute.tv, st.integers(0, 0x7FFF), u16),
    st.builds(Attribute.tlv, st.integers(0, 0x7FFF), octets),
)
attribute_lists = st.lists(attributes, max_size=6).map(tuple)
transforms = st.builds(Transform, u8, u8, attribute_lists)
proposals = st.builds(
    Proposal, u8, u8, octets, st.lists(transforms, min_size=1, max_size=4).map(tuple)
)
offers = st.lists(proposals, min_size=1, max_size=4).map(tuple)

spis = st.integers(1, 16).flatmap(
    lambda size: st.lists(st.binary(min_size=size, max_size=size), min_size=1, max_size=5)
)
opaque = st.one_of(
    *(st.builds(kind, octets) for kind in PAYLOADS.values() if issubclass(kind, Opaque))
)
unknown = st.integers(1, 0xFF).filter(
    lambda number: number not in PAYLOADS and number not in (2, 3)
)

payloads: st.SearchStrategy[Payload] = st.one_of(
    opaque,
    st.builds(SecurityAssociation, u32, octets),
    st.builds(
        SecurityAssociation,
        st.integers(0, 2),
        st.builds(lambda offer: bytes(3) + b"\1" + encode_proposals(offer), offers),
    ),
    st.builds(Identification, u8, u8, u16, octets),
    st.builds(Certificate, u8, octets),
    st.builds(CertificateRequest, u8, octets),
    st.builds(Notification, u32, u8, u16, octets, octets),
    st.builds(Delete, u32, u8, spis.map(tuple)),
    st.builds(ConfigurationAttributes, u8, u16, attribute_lists),
    st.builds(NATOriginalAddress, u8, octets),
    st.builds(DraftNATOriginalAddress, u8, octets),
    st.builds(Fragment, u16, u8, u8, st.binary(min_size=1, max_size=40)),
    st.builds(Unrecognized, unknown, octets),
)
messages = st.builds(
    Message,
    st.builds(CookiePair, cookie, cookie),
    u8,
    u8.map(lambda flags: flags & ~1),
    u32,
    st.lists(payloads, max_size=8).map(tuple),
    u8,
)


def with_length(data: bytes) -> bytes:
    """The same octets, announced in the header as many as they are."""
    return data[:24] + struct.pack("!I", len(data)) + data[28:]


def anomalies(data: bytes, seed: int, count: int) -> Iterator[bytes]:
    """
    What PROTOS c09-isakmp did to first messages, done to this one.

    Every field takes its extremes, every prefix is tried, payloads are left out, repeated and
    moved, lengths under- and overflow; then random mixtures, until there are ``count``.

    :param data: a message in clear.
    :param seed: of the mixtures.
    :param count: how many octet strings to make at least.
    """
    made = 0
    for each in _systematic(data):
        made += 1
        yield each
    random = Random(seed)
    while made < count:
        octets_ = bytearray(data)
        for _ in range(random.randint(1, 6)):
            at = random.randrange(len(octets_))
            match random.randrange(4):
                case 0:
                    octets_[at] = random.choice((0, 1, 3, 0x7F, 0x80, 0xFF, random.randrange(256)))
                case 1:
                    octets_[at : at + random.randint(1, 40)] = b""
                case 2:
                    octets_[at:at] = random.randbytes(random.randint(1, 40))
                case _:
                    other = random.randrange(len(octets_))
                    octets_[at : at + 8] = octets_[other : other + 8]
            octets_ = octets_ or bytearray(1)
        made += 1
        mixed = bytes(octets_)
        yield with_length(mixed) if len(mixed) >= 28 and random.random() < 0.9 else mixed


def _systematic(data: bytes) -> Iterator[bytes]:
    for length in range(len(data)):
        yield data[:length]
        if length >= 28:
            yield with_length(data[:length])
    for length in (0, 1, 27, 28, len(data) - 1, len(data) + 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        yield data[:24] + struct.pack("!I", length) + data[28:]
    for at in range(len(data)):
        for octet in (0, 1, 2, 3, 0x7F, 0x80, 0xFF):
            yield data[:at] + bytes([octet]) + data[at + 1 :]
    # Wherever a two octet length may stand.
    for at in range(28, len(data) - 1):
        for length in (0, 3, 4, 5, 7, 8, 0x7FFF, 0xFFFF):
            yield data[:at] + struct.pack("!H", length) + data[at + 2 :]
    chain = Message.decode(data)
    for at in range(len(chain.payloads)):
        before, payload, after = (
            chain.payloads[:at],
            chain.payloads[at],
            chain.payloads[at + 1 :],
        )
        yield chain.with_payloads(before + after).encode()
        for times in (2, 20, 100, 200, 300):
            yield chain.with_payloads((*before, *[payload] * times, *after)).encode()
        for other in range(len(chain.payloads)):
            moved = [*before, *after]
            moved.insert(other, payload)
            yield chain.with_payloads(moved).encode()
        for number in (0, 2, 3, 33, 54, 127, 128, 255):
            yield chain.with_payloads(
                (*before, Unrecognized(number, payload.encode()), *after)
            ).encode()
        body = payload.encode()
        for length in range(0, len(body), max(1, len(body) // 40)):
            yield chain.with_payloads(
                (*before, Unrecognized(payload.number, body[:length]), *after)
            ).encode()
        yield chain.with_payloads(
            (*before, Unrecognized(payload.number, body + bytes(60000 - len(body))), *after)
        ).encode()
