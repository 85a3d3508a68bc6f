"""
Offers for the tests: as spelled, as recorded, and as hypothesis makes them up.
"""

from __future__ import annotations

from hypothesis import strategies as st

from isakmp.associations import Lifetime, Offer, ProtectionSuite, suites_of
from isakmp.doi.ipsec import ipsec
from isakmp.numbers import IPsecAttribute, ProtocolID
from isakmp.wire.attributes import Attribute
from isakmp.wire.payloads import (
    Delete,
    Identification,
    Notification,
    Payload,
    SecurityAssociation,
)
from isakmp.wire.proposals import Proposal, Transform, decode_proposals
from isakmp.wire.reader import Reader
from tests.vectors import conversation

HOUR = Lifetime(seconds=3600)
SPI = bytes.fromhex("c0513601")

KEY = IPsecAttribute.KEY_LENGTH
AUTH = IPsecAttribute.AUTHENTICATION_ALGORITHM
MODE = IPsecAttribute.ENCAPSULATION_MODE
GROUP = IPsecAttribute.GROUP_DESCRIPTION
TYPE = IPsecAttribute.SA_LIFE_TYPE
DURATION = IPsecAttribute.SA_LIFE_DURATION

_CLASSES: dict[str, type[Payload]] = {
    "SA": SecurityAssociation,
    "N": Notification,
    "D": Delete,
    "ID": Identification,
}


def suites(*spellings: str, lifetime: Lifetime = HOUR) -> tuple[ProtectionSuite, ...]:
    """Suites as configured, numbered from 1."""
    return tuple(
        ipsec.suite(spelling, lifetime).numbered(number)
        for number, spelling in enumerate(spellings, 1)
    )


def offer(*spellings: str, lifetime: Lifetime = HOUR, spi: bytes = SPI) -> Offer:
    """An offer of these, with an SPI as a peer sends it."""
    return of(
        *(
            suite.with_spis({ProtocolID.ESP: spi, ProtocolID.AH: spi})
            for suite in suites(*spellings, lifetime=lifetime)
        )
    )


def acceptable(*spellings: str, lifetime: Lifetime = HOUR) -> Offer:
    """What is configured: without SPIs."""
    return of(*suites(*spellings, lifetime=lifetime))


def of(*offered: ProtectionSuite) -> Offer:
    """An offer of the IPsec DOI."""
    return Offer(ipsec.number, ipsec.phase1_situation, offered)


def esp(*transforms: Transform, number: int = 1, spi: bytes = SPI) -> ProtectionSuite:
    """A suite of ESP alone."""
    return ProtectionSuite((Proposal(number, ProtocolID.ESP, spi, transforms),))


def transform(number: int, transform_id: int, *attributes: Attribute) -> Transform:
    """One transform; its attributes in this order."""
    return Transform(number, transform_id, attributes)


def basic(**values: int) -> tuple[Attribute, ...]:
    """Basic attributes, in the TV format: ``basic(key=128, auth=5, mode=1)``."""
    kinds = {"key": KEY, "auth": AUTH, "mode": MODE, "group": GROUP, "unit": TYPE}
    return tuple(Attribute.tv(kinds[name], value) for name, value in values.items())


def read_offer(body: bytes) -> Offer:
    """The offer in the body of an SA payload, as the framework reads it."""
    reader = Reader(body)
    payload = SecurityAssociation.decode(reader)
    inside = Reader(payload.body)
    situation = ipsec.situation(inside)
    return Offer(payload.doi, situation, suites_of(decode_proposals(inside)))


def bodies(name: str, exchange: str, kind: str) -> list[bytes]:
    """The bodies of all payloads of a kind in a recorded conversation, in order."""
    return [
        bytes.fromhex(body)
        for message in conversation(name)["messages"]
        if message["exchange"] == exchange
        for found, body in message.get("payloads") or ()
        if found == kind
    ]


def payloads(name: str, exchange: str, kind: str) -> list[object]:
    """The same, decoded."""
    return [_CLASSES[kind].decode(Reader(body)) for body in bodies(name, exchange, kind)]


u16 = st.integers(0, 0xFFFF)
kinds = st.one_of(st.integers(1, 15), st.integers(0, 0x7FFF))
attributes = st.one_of(
    st.builds(Attribute.tv, kinds, st.one_of(st.integers(0, 6), u16)),
    st.builds(Attribute.tlv, kinds, st.binary(max_size=12)),
)
transforms = st.builds(
    Transform,
    st.integers(0, 255),
    st.one_of(st.sampled_from([3, 11, 12, 20]), st.integers(0, 255)),
    st.lists(attributes, max_size=8).map(tuple),
)
proposals = st.builds(
    Proposal,
    st.integers(0, 3),
    st.one_of(st.sampled_from([2, 3]), st.integers(0, 255)),
    st.one_of(st.just(SPI), st.binary(max_size=20)),
    st.lists(transforms, min_size=1, max_size=4).map(tuple),
)
"""Whatever the codec can deliver."""
