"""
The decoding benchmark compares like with like.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from isakmp.wire.payloads import SecurityAssociation, VendorID
from tests.bench.decode import first_message, ours


class DecodeBenchTests(SynchronousTestCase):
    """Ours and scapy read the same message."""

    def test_message(self) -> None:
        """The message measured is a whole first message of Main Mode, 284 octets long."""
        data = first_message()
        self.assertEqual(len(data), 284)
        message, proposals = ours(data)
        self.assertEqual(message.encode(), data)
        self.assertEqual(
            [type(payload) for payload in message.payloads], [SecurityAssociation] + [VendorID] * 5
        )
        self.assertEqual(sum(len(each.transforms) for each in proposals), 4)

    def test_same_fields(self) -> None:
        """
        Both read the same header, the same vendor IDs and the same attributes of the same
        transforms.
        """
        try:
            from scapy.layers.isakmp import (
                ISAKMP,
                ISAKMP_payload_Proposal,
                ISAKMP_payload_Transform,
                ISAKMP_payload_VendorID,
                ISAKMPAttributeTypes,
            )
        except ImportError:
            raise SkipTest("scapy is not installed") from None
        data = first_message()
        message, proposals = ours(data)
        theirs: Any = ISAKMP(data)
        self.assertEqual(
            (message.cookies.initiator, message.cookies.responder, message.exchange_type),
            (theirs.init_cookie, theirs.resp_cookie, theirs.exch_type),
        )
        self.assertEqual((message.version, message.message_id), (theirs.version, theirs.id))
        vendor_ids: list[bytes] = []
        layer: Any = theirs
        while layer := layer.payload:
            if isinstance(layer, ISAKMP_payload_VendorID):
                vendor_ids.append(layer.VendorID)
        self.assertEqual([each.data for each in message.all(VendorID)], vendor_ids)

        def numbered(name: str, value: Any) -> tuple[int, int]:
            kind, values = ISAKMPAttributeTypes[name][:2]
            return kind, values.get(value, value)

        proposal = theirs[ISAKMP_payload_Proposal]
        transforms: list[Any] = []
        layer = theirs[ISAKMP_payload_Transform]
        while isinstance(layer, ISAKMP_payload_Transform):
            transforms.append(layer)
            layer = layer.payload
        self.assertEqual(
            [(each.number, each.protocol, len(each.transforms)) for each in proposals],
            [(proposal.proposal, proposal.proto, proposal.trans_nb)],
        )
        self.assertEqual(
            [
                [(attribute.kind, attribute.number) for attribute in transform.attributes]
                for transform in proposals[0].transforms
            ],
            [[numbered(*attribute) for attribute in each.transforms] for each in transforms],
        )
