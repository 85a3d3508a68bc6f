"""What travels with phase 1 and belongs to no key exchange: vendor IDs."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.exchange.riders import OURS, VendorIDs
from isakmp.interfaces import IRider
from isakmp.parts import AUTH, ID, KE, NONCE, SA, Arrow, Part, Role
from isakmp.wire.message import CookiePair, Message
from isakmp.wire.payloads import VendorID
from tests.nodes import Member, Pair, pair
from tests.samples import SampleSA


def exchange(sa: object = None) -> Any:
    """As much of an exchange as a rider looks at."""
    return SimpleNamespace(sa=sa)


def arrow(*parts: Part, sender: Role = Role.INITIATOR) -> Arrow:
    return Arrow("Identity Protection", sender, frozenset(parts))


class VendorIDsTests(SynchronousTestCase):
    """The rider by itself."""

    def test_interface(self) -> None:
        """It is a rider, and is made without being told anything."""
        verifyObject(IRider, VendorIDs())

    def test_with_the_sa_payload(self) -> None:
        """Whoever of the two we are, our vendor ID goes with our SA payload of phase 1."""
        for role in Role:
            payloads = VendorIDs().outgoing(exchange(), arrow(SA, sender=role))
            self.assertEqual(payloads, (VendorID(OURS),))

    def test_with_nothing_else(self) -> None:
        """
        It goes with no other message, and with none of phase 2, which has an SA payload, too.

        Proves: RFC 2408 section 3.16 (row 3.16-4)
        """
        for parts in ((KE, NONCE), (ID, AUTH), ()):
            self.assertEqual(VendorIDs().outgoing(exchange(), arrow(*parts)), ())
        quick = Arrow("Quick Mode", Role.INITIATOR, frozenset({SA, NONCE}))
        self.assertEqual(VendorIDs().outgoing(exchange(SampleSA()), quick), ())

    def test_aggressive(self) -> None:
        """Where the first message says more, it goes with that."""
        payloads = VendorIDs().outgoing(exchange(), arrow(SA, KE, NONCE, ID))
        self.assertEqual(payloads, (VendorID(OURS),))

    def test_several(self) -> None:
        """If there is more that we can do, all of it is said, in order."""
        rider = VendorIDs(b"one", b"two")
        self.assertEqual(
            rider.outgoing(exchange(), arrow(SA)), (VendorID(b"one"), VendorID(b"two"))
        )

    def test_ours(self) -> None:
        """
        Ours is a hash of who made this end, so nobody has it by accident.

        Proves: RFC 2408 section 3.16 (row 3.16-6)
        """
        self.assertEqual(OURS, hashlib.md5(b"isakmp for Twisted", usedforsecurity=False).digest())
        self.assertEqual(len(OURS), 16)

    def test_heard(self) -> None:
        """What the peer says of itself changes nothing: the framework has recorded it."""
        rider = VendorIDs()
        message = Message(CookiePair(b"i" * 8, b"r" * 8), 2, 0, 0, (VendorID(b"theirs"),))
        rider.incoming(exchange(), arrow(SA, sender=Role.RESPONDER), message)
        rider.established(exchange(), SampleSA())
        self.assertEqual(rider.outgoing(exchange(), arrow(SA)), (VendorID(OURS),))


class OnTheWireTests(SynchronousTestCase):
    """The rider in two nodes that talk."""

    def said(self, both: Pair, member: Member) -> list[tuple[bytes, ...]]:
        """The vendor IDs in each message of phase 1 that one of them sent in clear text."""
        return [
            tuple(payload.data for payload in Message.decode(octets).all(VendorID))
            for octets in both.sent_by(member)
            if octets[18] == 2 and not octets[19] & 1
        ]

    def test_both_say_it(self) -> None:
        """
        Each end says who made it in its first message, and only there; SAs are agreed all the same.

        Proves: RFC 2408 section 3.16 (row 3.16-4)
        """
        both = pair()
        both.up()
        for member in (both.a, both.b):
            self.assertEqual(self.said(both, member), [(OURS,), ()])
        self.assertEqual(len(both.b.bundles), 1)

    def test_unknown_ones(self) -> None:
        """
        A peer whose vendor IDs nobody knows is a peer like any other.

        Proves: RFC 2408 section 3.16 (row 3.16-2)
        """
        both = pair()
        strange = lambda: VendorIDs(b"", b"\0" * 200, b"never heard of")  # noqa: E731
        for member in (both.a, both.b):
            object.__setattr__(member.node, "riders", (strange, *member.node.riders[1:]))
        both.up()
        expected = (b"", b"\0" * 200, b"never heard of")
        self.assertEqual(self.said(both, both.a)[0], expected)
        self.assertEqual((len(both.a.bundles), len(both.b.bundles)), (1, 1))
