"""
A responder that does not take the initiator's first sealed message may say so in a sealed message
of its own, as strongSwan does: nobody can read it yet, but it is not nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from isakmp.connections import Limits
from isakmp.errors import Unreadable
from isakmp.events import ExchangeFailed
from isakmp.numbers import ExchangeType
from isakmp.paths import Datagram
from isakmp.wire.message import Header
from tests.nodes import BOB, MALLORY, Pair, disagreements, pair
from tests.properties.wiretap import reflected, replace_with, seen_from

GRACE = Limits().grace
MESSAGE_ID = bytes([1, 2, 3, 4])


def informational(datagram: Datagram) -> bytes:
    """Something sealed, with the cookies of a sealed message, as an Informational exchange."""
    octets = bytearray(datagram.octets)
    octets[18] = ExchangeType.INFORMATIONAL
    octets[20:24] = MESSAGE_ID
    octets[Header.SIZE :] = bytes(range(len(octets) - Header.SIZE))
    return bytes(octets)


def answered(datagram: Datagram) -> Sequence[Datagram]:
    """The responder sends it instead of message 6."""
    return [reflected(Datagram(informational(datagram), datagram.path))]


class SealedRefusalTests(SynchronousTestCase):
    def failures(self, both: Pair) -> list[ExchangeFailed]:
        """Alice's."""
        return both.a.published(ExchangeFailed)

    def test_told_soon(self) -> None:
        """
        If my peer answers my first sealed message with something sealed that is no message 6, I
        need not wait for a minute: I am told after the grace that the secrets may differ, or that
        it does not know my name.
        """
        both = pair()
        replace_with(both, "Main 5", answered)
        both.a.establish().addErrback(lambda failure: None)
        both.wait(GRACE - 0.1)
        self.assertEqual(self.failures(both), [])
        both.wait(0.3)
        (failed,) = self.failures(both)
        self.assertIsInstance(failed.error, Unreadable)
        for words in ("did not accept our first sealed message", "secrets", "identity"):
            self.assertIn(words, str(failed.error))

    def test_forgery_does_not_win(self) -> None:
        """
        Somebody on the wire who says it in my peer's name only shortens my patience: the true
        message 6, which comes within the grace, is taken.
        """
        both = pair()

        def both_pass(datagram: Datagram) -> Sequence[Datagram]:
            return [*answered(datagram), datagram]

        replace_with(both, "Main 5", both_pass)
        both.up()
        self.assertEqual(disagreements(both.a, both.b), [])
        self.assertEqual(self.failures(both), [])

    def test_strangers(self) -> None:
        """
        From another address, with another cookie, or before anything of mine was sealed, it
        shortens nothing.
        """

        def elsewhere(datagram: Datagram) -> Sequence[Datagram]:
            return [seen_from(answered(datagram)[0], MALLORY)]

        def other_cookie(datagram: Datagram) -> Sequence[Datagram]:
            (one,) = answered(datagram)
            return [Datagram(one.octets[:8] + bytes(7) + b"\x01" + one.octets[16:], one.path)]

        for name, forge in (("Main 5", elsewhere), ("Main 5", other_cookie), ("Main 3", answered)):
            both = pair()
            replace_with(both, name, forge)
            both.a.establish().addErrback(lambda failure: None)
            both.wait(GRACE + 1.0)
            self.assertEqual(self.failures(both), [], (name, forge))

    def test_nobody_begins(self) -> None:
        """Without a phase 1 that I have begun it is dropped like any other stray message."""
        both = pair()
        both.up()
        octets = bytearray(28 + 32)
        octets[:8], octets[8:16] = b"initiate", b"responds"
        octets[17:20] = bytes([0x10, ExchangeType.INFORMATIONAL, 1])
        octets[20:24] = MESSAGE_ID
        octets[24:28] = len(octets).to_bytes(4, "big")
        both.network.inject(Datagram(bytes(octets), both.a.path_to(BOB)))
        both.wait(GRACE + 1.0)
        self.assertEqual(disagreements(both.a, both.b), [])
