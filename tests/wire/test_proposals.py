"""
Proposal and Transform payloads.
"""

from __future__ import annotations

import struct
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.errors import Malformed
from isakmp.wire.attributes import Attribute
from isakmp.wire.proposals import (
    MAX_PROPOSALS,
    MAX_TRANSFORMS,
    Proposal,
    Transform,
    decode_proposals,
    encode_proposals,
)
from isakmp.wire.reader import Reader
from tests.wire.strategies import offers

# Main Mode, one transform: strongSwan's.
PHASE_1 = bytes.fromhex(
    "0000002c 01010001 00000024 01010000 80010007 800e0080 80020004 8004000e 80030001 800b0001"
    "800c3de0"
)
# AH + ESP together or ESP alone, RFC 2408 section 4.2's kind of offer.
AH = Proposal(1, 2, b"\1\2\3\4", (Transform(1, 3, (Attribute.tv(5, 2),)),))
ESP = Proposal(
    1, 3, b"\5\6\7\x08", (Transform(1, 3, ()), Transform(2, 12, (Attribute.tv(6, 128),)))
)
ALONE = replace(ESP, number=2)


def decoded(octets: bytes) -> tuple[Proposal, ...]:
    return decode_proposals(Reader(octets))


class ProposalTests(SynchronousTestCase):
    """RFC 2408 sections 3.5 and 3.6."""

    def test_phase_1(self) -> None:
        """
        An offer of another implementation is read field by field.

        Proves: RFC 2408 section 3.5
        Proves: RFC 2408 section 3.6
        """
        (proposal,) = decoded(PHASE_1)
        self.assertEqual((proposal.number, proposal.protocol, proposal.spi), (1, 1, b""))
        (transform,) = proposal.transforms
        self.assertEqual((transform.number, transform.transform_id), (1, 1))
        self.assertEqual(
            [(each.kind, each.number) for each in transform.attributes],
            [(1, 7), (14, 128), (2, 4), (4, 14), (3, 1), (11, 1), (12, 15840)],
        )
        self.assertEqual(encode_proposals([proposal]), PHASE_1)

    def test_several(self) -> None:
        """
        Proposals of one suite, alternatives, and SPIs come out as they went in, in order.

        Proves: RFC 2408 section 4.2
        """
        octets = encode_proposals([AH, ESP, ALONE])
        self.assertEqual(decoded(octets), (AH, ESP, ALONE))
        # Next Payload of the three proposals.
        second = len(encode_proposals([AH]))
        third = second + len(encode_proposals([ESP]))
        self.assertEqual((octets[0], octets[second], octets[third]), (2, 2, 0))

    def test_reads_its_bound_only(self) -> None:
        """An offer inside a longer message ends with its SA payload."""
        octets = b"xx" + PHASE_1 + b"yy"
        self.assertEqual(decode_proposals(Reader(octets, 2, 2 + len(PHASE_1))), decoded(PHASE_1))
        self.assertRaises(Malformed, decode_proposals, Reader(octets, 2))
        self.assertRaises(Malformed, decode_proposals, Reader(octets, 2, 1 + len(PHASE_1)))

    def test_next_payload(self) -> None:
        """
        After a proposal comes a proposal or nothing, after a transform a transform or nothing, and
        as many transforms as were announced.

        Proves: RFC 2408 section 3.5 (row 3.5-1)
        Proves: RFC 2408 section 3.6 (row 3.6-1)
        Proves: RFC 2408 section 5.5 (row 5.5-5)
        Proves: RFC 2408 section 5.6 (row 5.6-4)
        """
        for at, values in ((0, (1, 2, 3, 4, 255)), (8, (1, 2, 3, 4, 255)), (7, (0, 2, 255))):
            for value in values:
                octets = bytearray(PHASE_1)
                octets[at] = value
                self.assertRaises(Malformed, decoded, bytes(octets))
        two = bytearray(encode_proposals([AH, ESP]))
        two[0] = 0
        self.assertRaises(Malformed, decoded, bytes(two))
        transforms = bytearray(encode_proposals([ESP]))
        for value in (0, 2):
            transforms[12] = value
            self.assertRaises(Malformed, decoded, bytes(transforms))

    def test_reserved(self) -> None:
        """
        Reserved octets are zero.

        Proves: RFC 2408 section 5.5 (row 5.5-5)
        Proves: RFC 2408 section 5.6 (row 5.6-4)
        Proves: RFC 2408 section 2.5.2 (row 2.5.2-2)
        """
        for at in (1, 9, 14, 15):
            octets = bytearray(PHASE_1)
            octets[at] = 1
            self.assertRaises(Malformed, decoded, bytes(octets))

    @given(offers)
    def test_reserved_in_what_is_written(self, offer: tuple[Proposal, ...]) -> None:
        """
        Whatever is offered, the reserved octets of proposals and transforms are written as zero.

        Proves: RFC 2408 section 2.5.2 (row 2.5.2-1)
        """
        octets = encode_proposals(offer)
        at = 0
        for proposal in offer:
            self.assertEqual(octets[at + 1], 0)
            at += 8 + len(proposal.spi)
            for _ in proposal.transforms:
                self.assertEqual((octets[at + 1], octets[at + 6 : at + 8]), (0, b"\0\0"))
                at += int.from_bytes(octets[at + 2 : at + 4], "big")
        self.assertEqual(at, len(octets))

    def test_lengths(self) -> None:
        """A length that is too short, or reaches beyond what holds it, is malformed."""
        for at, right in ((2, 44), (10, 36)):
            for length in {*range(50), 0x7FFF, 0xFFFF} - {right}:
                octets = PHASE_1[:at] + struct.pack("!H", length) + PHASE_1[at + 2 :]
                self.assertRaises(Malformed, decoded, octets)

    def test_spi_size(self) -> None:
        """
        An SPI longer than its proposal is malformed; 0 to 16 octets are fine for ISAKMP.

        Proves: RFC 2408 section 3.5 (row 3.5-2)
        """
        for size in (1, 4, 255):
            octets = bytearray(PHASE_1)
            octets[6] = size
            self.assertRaises(Malformed, decoded, bytes(octets))
        (proposal,) = decoded(PHASE_1)
        for size in range(17):
            offer = (replace(proposal, spi=bytes(range(size))),)
            self.assertEqual(decoded(encode_proposals(offer)), offer)

    def test_truncated(self) -> None:
        """An offer that ends early is malformed, wherever it ends; so is none at all."""
        whole = encode_proposals([AH, ESP, ALONE])
        for length in range(len(whole)):
            self.assertRaises(Malformed, decoded, whole[:length])

    def test_no_transforms(self) -> None:
        """A proposal without transforms offers nothing, and is malformed."""
        self.assertRaises(Malformed, decoded, bytes.fromhex("00000008 01010000"))
        self.assertRaises(Malformed, decoded, bytes.fromhex("0000000c 01030400 01020304"))

    def test_bounds(self) -> None:
        """More proposals or transforms than the bounds are refused."""
        one = Proposal(1, 1, b"", (Transform(1, 1, ()),))
        most = encode_proposals([one] * MAX_PROPOSALS)
        self.assertEqual(len(decoded(most)), MAX_PROPOSALS)
        self.assertRaises(Malformed, decoded, encode_proposals([one] * (MAX_PROPOSALS + 1)))
        half = replace(one, transforms=one.transforms * (MAX_TRANSFORMS // 2))
        self.assertEqual(len(decoded(encode_proposals([half, half]))), 2)
        self.assertRaises(Malformed, decoded, encode_proposals([half, half, one]))

    def test_cannot_be_written(self) -> None:
        """What does not fit its fields is refused when written, not cut."""
        one = Transform(1, 1, ())
        long = Transform(1, 1, (Attribute.tlv(1, bytes(0xFFF0)),))
        for proposal in (
            Proposal(1, 1, bytes(256), (one,)),
            Proposal(1, 1, b"", (one,) * 256),
            Proposal(1, 1, b"", (long,)),
            Proposal(1, 1, b"", (replace(long, attributes=long.attributes * 2),)),
        ):
            self.assertRaises(ValueError, encode_proposals, [proposal])

    def test_values(self) -> None:
        """Proposals are values: equal when their fields are, and usable as keys."""
        self.assertEqual({AH: 1}[decoded(encode_proposals([AH]))[0]], 1)
        self.assertNotEqual(AH, ESP)

    @settings(deadline=None, max_examples=200)
    @given(offers)
    def test_round_trip(self, offer: tuple[Proposal, ...]) -> None:
        """What is written is read again."""
        self.assertEqual(decoded(encode_proposals(offer)), offer)

    @settings(deadline=None, max_examples=300)
    @given(offers, st.data())
    def test_lossless(self, offer: tuple[Proposal, ...], data: st.DataObject) -> None:
        """A damaged offer is malformed, or written again as it was."""
        octets = bytearray(encode_proposals(offer))
        for _ in range(data.draw(st.integers(1, 3))):
            octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
        try:
            listed = decoded(bytes(octets))
        except Malformed:
            return
        self.assertEqual(encode_proposals(listed), bytes(octets))
