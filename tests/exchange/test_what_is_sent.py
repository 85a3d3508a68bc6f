"""
What two nodes say to each other in their whole life, held against the rules for those who send.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from isakmp.events import MessageSent
from isakmp.numbers import ExchangeType
from isakmp.testing import settle
from isakmp.wire.message import CookiePair, Flags, Header
from isakmp.wire.payloads import Nonce, SecurityAssociation
from isakmp.wire.proposals import decode_proposals
from isakmp.wire.reader import Reader
from tests.nodes import Pair, Settings, pair

MAIN, QUICK = ExchangeType.IDENTITY_PROTECTION, 32


class SentTests(SynchronousTestCase):
    def life(self) -> Pair:
        """Phase 1, two children, a refusal in clear text, and the end of everything."""
        both = pair(Settings(children=2))
        both.up()
        settle(both.clock, both.b.establish("net1"))
        both.wait(0.5)
        stale = bytearray(both.wire[2].datagram.octets)
        stale[:8] = b"nobody's"
        both.network.inject(type(both.wire[2].datagram)(bytes(stale), both.wire[2].datagram.path))
        both.wait(0.5)
        both.a.endpoint.delete(both.a.sas)
        both.wait(0.5)
        return both

    def headers(self, both: Pair) -> list[Header]:
        """Of everything that was sent."""
        return [Header.decode(one.datagram.octets) for one in both.wire]

    def test_header(self) -> None:
        """
        Every message says version 1.0 and no flag but Encryption; its Message ID is zero in
        phase 1, and there only; both cookies stand in all but the first.

        Proves: RFC 2408 section 2.4 (row 2.4-1)
        Proves: RFC 2408 section 2.4 (row 2.4-2)
        Proves: RFC 2408 section 3.1 (row 3.1-1)
        Proves: RFC 2408 section 3.1 (row 3.1-4)
        Proves: RFC 2408 section 3.1 (row 3.1-7)
        Proves: RFC 2408 section 3.1 (row 3.1-10)
        Proves: RFC 2408 section 3.1 (row 3.1-14)
        Proves: RFC 2408 section 5.2 (row 5.2-1)
        """
        headers = self.headers(self.life())
        kinds = {header.exchange_type for header in headers}
        self.assertEqual(kinds, {MAIN, QUICK, ExchangeType.INFORMATIONAL})
        for number, header in enumerate(headers):
            self.assertEqual(header.version, 0x10)
            self.assertEqual(header.flags & ~Flags.ENCRYPTION, 0)
            self.assertEqual(header.message_id == 0, header.exchange_type == MAIN)
            self.assertNotEqual(header.cookies.initiator, CookiePair.ZERO)
            self.assertEqual(header.cookies.responder == CookiePair.ZERO, number == 0)

    def test_spis(self) -> None:
        """
        Who negotiates an ISAKMP SA says no SPI; who negotiates another says one for each protocol,
        of its own, in question and answer.

        Proves: RFC 2408 section 2.4 (row 2.4-1)
        """
        both = self.life()
        said = []
        for member in (both.a, both.b):
            for event in member.published(MessageSent):
                for payload in event.message.all(SecurityAssociation):
                    reader = Reader(payload.body)
                    reader.take(4)
                    spis = {proposal.spi for proposal in decode_proposals(reader)}
                    phase_1 = event.message.exchange_type == MAIN
                    self.assertEqual(spis == {b""}, phase_1)
                    if not phase_1:
                        self.assertEqual({len(spi) for spi in spis}, {4})
                        said += sorted(spis)
        self.assertEqual((len(said), len(set(said))), (4, 4))

    def test_situation(self) -> None:
        """
        Whatever SA is negotiated, the situation that is said is SIT_IDENTITY_ONLY and nothing else.

        Proves: RFC 2407 section 4.2.2 (row 4.2.2-1)
        Proves: RFC 2407 section 4.2.3 (row 4.2.3-1)
        """
        both = self.life()
        situations = [
            payload.body[:4]
            for member in (both.a, both.b)
            for event in member.published(MessageSent)
            for payload in event.message.all(SecurityAssociation)
        ]
        self.assertEqual(situations, [b"\0\0\0\1"] * 6)

    def test_nonces(self) -> None:
        """
        Each exchange has a nonce of each end, all of them different, in this life and in the next.

        Proves: RFC 2408 section 5.13 (row 5.13-1)
        """
        nonces = []
        for seed in (0, 1):
            both = pair(seed=seed)
            both.up()
            for member in (both.a, both.b):
                for event in member.published(MessageSent):
                    nonces += [payload.data for payload in event.message.all(Nonce)]
        self.assertEqual((len(nonces), len(set(nonces))), (8, 8))
