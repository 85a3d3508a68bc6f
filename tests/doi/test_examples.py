"""
The two examples of RFC 2408 section 4.2.1, octet by octet.

ESP has an Authentication Algorithm here, which the RFC's drawings leave to the attributes.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Offer, ProtectionSuite, suites_of
from isakmp.doi.ipsec import ipsec
from isakmp.errors import NoProposalChosen
from isakmp.exchange.phase1 import offer_of
from isakmp.numbers import (
    AHTransform,
    AuthenticationAlgorithm,
    Encapsulation,
    ESPTransform,
    IPsecAttribute,
    ProtocolID,
)
from isakmp.wire.attributes import Attribute
from isakmp.wire.message import decode_chain, encode_chain
from isakmp.wire.payloads import Nonce, SecurityAssociation
from isakmp.wire.proposals import Proposal, Transform

AH, ESP = ProtocolID.AH, ProtocolID.ESP
AH_SPI, ESP_SPI, OTHER_SPI = (bytes.fromhex(f"c0ffee0{n}") for n in (1, 2, 3))
OURS = {int(AH): bytes.fromhex("d00d0001"), int(ESP): bytes.fromhex("d00d0002")}

FIRST = bytes.fromhex(
    "0a000054 00000001 00000001"  # SA: Nonce follows, 84 octets; DOI 1; SIT_IDENTITY_ONLY
    "0200002c 01030402 c0ffee02"  # Proposal 1: ESP, 2 transforms; a Proposal follows
    "03000010 01030000 80040001 80050002"  # Transform 1: 3DES; a Transform follows
    "00000010 02020000 80040001 80050002"  # Transform 2: DES; the last
    "0000001c 01020401 c0ffee01"  # Proposal 1: AH, 1 transform; the last
    "00000010 01030000 80040001 80050002"  # Transform 1: SHA; the last
    "00000014 000102030405060708090a0b0c0d0e0f"  # Nonce
)
"""3DES or DES, and SHA."""

SECOND = bytes.fromhex(
    "0a000070 00000001 00000001"
    "0200001c 01020401 c0ffee01"  # Proposal 1: AH, 1 transform; a Proposal follows
    "00000010 01020000 80040001 80050001"  # Transform 1: MD5
    "0200001c 01030401 c0ffee02"  # Proposal 1: ESP, 1 transform; a Proposal follows
    "00000010 01030000 80040001 80050001"  # Transform 1: 3DES
    "0000002c 02030402 c0ffee03"  # Proposal 2: ESP, 2 transforms; the last
    "03000010 01020000 80040001 80050001"  # Transform 1: DES; a Transform follows
    "00000010 02030000 80040001 80050001"  # Transform 2: 3DES; the last
    "00000014 000102030405060708090a0b0c0d0e0f"
)
"""MD5 and 3DES together, or DES or 3DES alone."""

ANSWERS = {
    "3DES and SHA": (
        FIRST,
        (1, 3, 1, 3),
        "00000048 00000001 00000001"
        "0200001c 01030401 d00d0002 00000010 01030000 80040001 80050002"
        "0000001c 01020401 d00d0001 00000010 01030000 80040001 80050002",
    ),
    "DES and SHA": (
        FIRST,
        (2, 2, 1, 3),
        "00000048 00000001 00000001"
        "0200001c 01030401 d00d0002 00000010 02020000 80040001 80050002"
        "0000001c 01020401 d00d0001 00000010 01030000 80040001 80050002",
    ),
    "MD5 and 3DES": (
        SECOND,
        (1, 2, 1, 3),
        "00000044 00000001 00000001"
        "0200001c 01020401 d00d0001 00000010 01020000 80040001 80050001"
        "0000001c 01030401 d00d0002 00000010 01030000 80040001 80050001",
    ),
    "DES": (
        SECOND,
        (1, 2),
        "00000028 00000001 00000001"
        "0000001c 02030401 d00d0002 00000010 01020000 80040001 80050001",
    ),
    "3DES": (
        SECOND,
        (2, 3),
        "00000028 00000001 00000001"
        "0000001c 02030401 d00d0002 00000010 02030000 80040001 80050001",
    ),
}
"""
Of each possible outcome: the offer, number and Transform-ID of each transform chosen, and the SA
payload of the answer.  Its length, which the drawings do not have, is the last of these octets'.
"""


def attributes(integrity: int) -> tuple[Attribute, ...]:
    """Tunnel mode, and an Authentication Algorithm."""
    return (
        Attribute.tv(IPsecAttribute.ENCAPSULATION_MODE, Encapsulation.TUNNEL),
        Attribute.tv(IPsecAttribute.AUTHENTICATION_ALGORITHM, integrity),
    )


def proposal(number: int, protocol: int, spi: bytes, integrity: int, *ids: int) -> Proposal:
    """Transforms of these Transform-IDs, numbered from 1."""
    return Proposal(
        number,
        protocol,
        spi,
        tuple(
            Transform(place, transform_id, attributes(integrity))
            for place, transform_id in enumerate(ids, 1)
        ),
    )


def offer(*proposals: Proposal) -> Offer:
    """An offer of these."""
    return Offer(ipsec.number, ipsec.phase1_situation, suites_of(proposals))


_SHA, _MD5 = AuthenticationAlgorithm.HMAC_SHA, AuthenticationAlgorithm.HMAC_MD5
_3DES, _DES = ESPTransform.TRIPLE_DES, ESPTransform.DES

VALUES = {
    FIRST: offer(
        proposal(1, ESP, ESP_SPI, _SHA, _3DES, _DES), proposal(1, AH, AH_SPI, _SHA, AHTransform.SHA)
    ),
    SECOND: offer(
        proposal(1, AH, AH_SPI, _MD5, AHTransform.MD5),
        proposal(1, ESP, ESP_SPI, _MD5, _3DES),
        proposal(2, ESP, OTHER_SPI, _MD5, _DES, _3DES),
    ),
}


def read(octets: bytes) -> Offer:
    """The SA payload that these begin with, understood."""
    payloads, length = decode_chain(1, octets)
    assert length == len(octets)
    payload = payloads[0]
    assert isinstance(payload, SecurityAssociation)
    return offer_of(ipsec, payload)


class ExampleTests(SynchronousTestCase):
    def test_offers(self) -> None:
        """
        What the RFC draws is what is written and read: equal numbers are one suite, all of it or
        none; different ones, and transforms, are alternatives.

        Proves: RFC 2408 section 4.2.1
        """
        nonce = Nonce(bytes(range(16)))
        for octets, value in VALUES.items():
            self.assertEqual(read(octets), value)
            self.assertEqual(encode_chain([value.payload(), nonce]), octets)
        self.assertEqual([len(suite.proposals) for suite in VALUES[FIRST].suites], [2])
        self.assertEqual([len(suite.proposals) for suite in VALUES[SECOND].suites], [2, 1])

    def test_answers(self) -> None:
        """
        Whatever is acceptable to the responder alone is chosen; the answer has one transform for
        each protocol, the numbers of the offer and SPIs of the responder's, and the initiator
        finds that it is one of its offers.

        Proves: RFC 2408 section 4.2
        Proves: RFC 2408 section 4.2.1
        """
        for name, (octets, expected, text) in ANSWERS.items():
            offered = read(octets)
            answer = bytes.fromhex(text)
            answer = answer[:2] + len(answer).to_bytes(2) + answer[4:]
            wanted = read(answer)
            chosen = ipsec.select(offered, wanted)
            self.assertEqual(
                tuple(
                    n
                    for p in chosen.proposals
                    for t in p.transforms
                    for n in (t.number, t.transform_id)
                ),
                expected,
                name,
            )
            said = replace(wanted, suites=(chosen.with_spis(OURS),)).payload()
            self.assertEqual(encode_chain([said]), answer, name)
            confirmed = ipsec.confirm(read(answer), offered)
            self.assertEqual(
                {p.protocol: p.spi for p in confirmed.proposals},
                {p.protocol: OURS[p.protocol] for p in chosen.proposals},
            )

    def test_preference(self) -> None:
        """
        Of all that is acceptable the initiator's first is chosen.

        Proves: RFC 2408 section 4.2
        """
        for octets, first in ((FIRST, "3DES and SHA"), (SECOND, "MD5 and 3DES")):
            chosen = ipsec.select(read(octets), read(octets))
            numbers = tuple(
                n
                for p in chosen.proposals
                for t in p.transforms
                for n in (t.number, t.transform_id)
            )
            self.assertEqual(numbers, ANSWERS[first][1])

    def test_answers_that_were_not_offered(self) -> None:
        """
        An initiator takes no answer but one of its offers: no part of a suite, no mixture of two,
        no second transform, nothing of its own.

        Proves: RFC 2408 section 4.2
        """
        first, second = VALUES[FIRST], VALUES[SECOND]
        (both,) = first.suites
        esp, ah = both.proposals
        one = replace(esp, transforms=esp.transforms[:1])
        together, alone = second.suites
        lies: list[tuple[Offer, tuple[ProtectionSuite, ...]]] = [
            (first, (ProtectionSuite((one,)),)),
            (first, (ProtectionSuite((ah,)),)),
            (first, (both,)),
            (first, (ProtectionSuite((one, one)),)),
            (first, (ProtectionSuite((one, replace(ah, transforms=esp.transforms[1:]))),)),
            (second, (ProtectionSuite(together.proposals[:1]),)),
            (second, (alone,)),
            (second, (together, alone)),
            (second, ()),
        ]
        for offered, suites in lies:
            answer = replace(offered, suites=suites)
            self.assertRaises(NoProposalChosen, ipsec.confirm, answer, offered)
        weaker = replace(one, transforms=(Transform(1, ESPTransform.NULL, attributes(_SHA)),))
        answer = replace(first, suites=(ProtectionSuite((weaker, ah)),))
        self.assertRaises(NoProposalChosen, ipsec.confirm, answer, first)
