"""
The Identity Protection exchange: its diagram, and what stands on the wire.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from isakmp.events import MessageSent
from isakmp.exchange.identity_protection import IdentityProtection
from isakmp.interfaces import IExchangeType
from isakmp.numbers import ExchangeType
from isakmp.parts import AUTH, ID, KE, NONCE, SA, Part
from isakmp.wire.message import CookiePair, Flags, Header
from isakmp.wire.payloads import (
    Hash,
    Identification,
    KeyExchange,
    Nonce,
    Notification,
    SecurityAssociation,
    VendorID,
)
from tests.nodes import pair
from tests.properties.wiretap import MAIN, Wiretap


class Diagram:
    """
    Writes down what an exchange type asks for.

    :ivar drawn: the arrows, in order.
    """

    def __init__(self, result: object = "the SA") -> None:
        self.drawn: list[tuple[str, frozenset[Part]]] = []
        self.method = self
        self._result = result

    async def initiator(self, *parts: Part) -> None:
        """An arrow to the right."""
        self.drawn.append(("-->", frozenset(parts)))

    async def responder(self, *parts: Part) -> None:
        """An arrow to the left."""
        self.drawn.append(("<--", frozenset(parts)))

    async def protect(self) -> None:
        """From here on with an asterisk."""
        self.drawn.append(("*", frozenset()))

    async def established(self) -> object:
        """As the method has it."""
        return self._result


def drawn(test: SynchronousTestCase, kind: IExchangeType, result: object) -> Diagram:
    """What an exchange type does when all goes well."""
    exchange: Any = Diagram(result)

    async def run() -> object:
        return await kind.run(exchange)

    test.assertEqual(test.successResultOf(Deferred.fromCoroutine(run())), result)
    assert isinstance(exchange, Diagram)
    return exchange


class IdentityProtectionTests(SynchronousTestCase):
    def test_diagram(self) -> None:
        """
        SA, SA, KE and NONCE, KE and NONCE, and then sealed: identity and proof, each way once.

        Proves: RFC 2408 section 4.5
        Proves: RFC 2408 section 4.1 (row 4.1-4)
        """
        self.assertEqual(
            drawn(self, IdentityProtection(), "the SA").drawn,
            [
                ("-->", {SA}),
                ("<--", {SA}),
                ("-->", {KE, NONCE}),
                ("<--", {KE, NONCE}),
                ("*", frozenset()),
                ("-->", {ID, AUTH}),
                ("<--", {ID, AUTH}),
            ],
        )

    def test_type(self) -> None:
        """Number 2; the responder does nothing before its cookie has come back."""
        kind = IdentityProtection()
        self.assertTrue(IExchangeType.providedBy(kind))
        self.assertEqual(kind.number, ExchangeType.IDENTITY_PROTECTION)
        self.assertTrue(kind.waits_for_cookie)
        self.assertFalse(kind.one_way or kind.establishes)

    def test_on_the_wire(self) -> None:
        """
        Six messages, by turns; who they are travels encrypted, and the proof stands last, so that
        nothing behind it could be changed unseen.

        Proves: RFC 2408 section 4.5
        Proves: RFC 2407 section 4.2.1 (row 4.2.1-1)
        Proves: RFC 2408 section 2.4 (row 2.4-2)
        Proves: RFC 2408 section 3.1 (row 3.1-8)
        Proves: RFC 2408 section 3.1 (row 3.1-9)
        Proves: RFC 2408 section 3.1 (row 3.1-14)
        Proves: RFC 2408 section 4.1 (row 4.1-1)
        Proves: RFC 2408 section 5.2 (row 5.2-1)
        Proves: RFC 2409 section 5 (row 5-6)
        Proves: RFC 2409 section 5 (row 5-12)
        """
        both = pair()
        tap = Wiretap(both.network)
        both.up()
        mine, theirs = (member.published(MessageSent)[:3] for member in (both.a, both.b))
        kinds = [
            (event.sealed, [type(payload) for payload in event.message.payloads])
            for turn in zip(mine, theirs, strict=True)
            for event in turn
        ]
        proof = [Identification, Notification, Hash]
        self.assertEqual(
            kinds,
            [
                (False, [SecurityAssociation, VendorID]),
                (False, [SecurityAssociation, VendorID]),
                (False, [KeyExchange, Nonce]),
                (False, [KeyExchange, Nonce]),
                (True, proof),
                (True, proof),
            ],
        )
        for number, name in enumerate(MAIN, 1):
            header = Header.decode(tap.first[name].octets)
            self.assertEqual(header.message_id, 0)
            self.assertEqual(header.flags, Flags.ENCRYPTION if number > 4 else 0)
            self.assertEqual(header.cookies.responder == CookiePair.ZERO, number == 1)
            for identity in (b"i.lab", b"r.lab"):
                self.assertNotIn(identity, tap.first[name].octets)
