"""The words of an exchange's diagram."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from isakmp.parts import AUTH, ID, KE, NONCE, NOTICES, SA, Arrow, Part, Role


class PartsTests(SynchronousTestCase):
    def test_roles(self) -> None:
        """Each role is the other's other."""
        self.assertIs(Role.INITIATOR.other, Role.RESPONDER)
        self.assertIs(Role.RESPONDER.other, Role.INITIATOR)

    def test_words(self) -> None:
        """
        The words are those of the RFC's diagrams, each different from the others.

        Proves: RFC 2408 section 4.1
        """
        words = [SA, KE, NONCE, ID, AUTH, NOTICES]
        self.assertEqual([repr(word) for word in words], ["SA", "KE", "NONCE", "ID", "AUTH", "N/D"])
        self.assertEqual(len(set(words)), len(words))

    def test_words_of_others(self) -> None:
        """An exchange may have words of its own; equal names are one word."""
        self.assertEqual(Part("SEQ"), Part("SEQ"))
        self.assertEqual(Part("SA"), SA)
        self.assertNotIn(Part("SEQ"), {SA, KE})

    def test_arrow(self) -> None:
        """An arrow knows what it carries, and can be named in a sentence."""
        arrow = Arrow("Identity Protection", Role.RESPONDER, frozenset((NONCE, KE)))
        self.assertIn(KE, arrow)
        self.assertNotIn(AUTH, arrow)
        self.assertEqual(str(arrow), "Identity Protection, responder's KE, NONCE")
        again = Arrow("Identity Protection", Role.RESPONDER, frozenset((KE, NONCE)))
        self.assertEqual(arrow, again)
        self.assertEqual(hash(arrow), hash(again))

    def test_bare_proof(self) -> None:
        """An arrow without words is a proof."""
        proof = Arrow("Quick Mode", Role.INITIATOR, frozenset())
        self.assertEqual(str(proof), "Quick Mode, initiator's proof")
