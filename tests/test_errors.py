"""Errors by blame, and the sentences made of them."""

from __future__ import annotations

import inspect
import pickle

from twisted.trial.unittest import SynchronousTestCase

from isakmp import errors
from isakmp.errors import (
    AuthenticationFailed,
    Cancelled,
    ConfigurationError,
    ExchangeTimeout,
    InvalidSPI,
    LimitReached,
    Malformed,
    NoProposalChosen,
    PeerError,
    PeerRefused,
    Reason,
    Rejection,
    UnequalPayloadLengths,
)
from isakmp.numbers import NotifyType
from isakmp.parts import AUTH, SA, Arrow, Role

FIRST = Arrow("Aggressive", Role.INITIATOR, frozenset((SA,)))
LAST = Arrow("Aggressive", Role.INITIATOR, frozenset((AUTH,)))


def blames() -> list[type[PeerError]]:
    """Every subclass of PeerError in the module."""
    return [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, PeerError) and kind is not PeerError
    ]


class ReasonTests(SynchronousTestCase):
    def test_rule_alone(self) -> None:
        """With nothing else known the rule is the sentence."""
        self.assertEqual(str(Reason("the hash differs")), "the hash differs")

    def test_everything(self) -> None:
        """A full reason is one sentence: what, both sides, where, what else fell, what helps."""
        reason = Reason(
            "no offered suite is acceptable",
            "3des-md5",
            "aes128-sha256",
            "Offer aes128-sha256.",
            (Rejection("road", "identity", "a.example", "b.example"),),
            FIRST,
        )
        self.assertEqual(
            str(reason),
            "no offered suite is acceptable (offered: 3des-md5; configured: aes128-sha256), "
            "at Aggressive, initiator's SA; considered: road: identity (offered a.example; "
            "configured b.example). Offer aes128-sha256.",
        )

    def test_half(self) -> None:
        """A side of which nothing is known is left out."""
        self.assertEqual(str(Reason("rule", offered="x")), "rule (offered: x)")
        self.assertEqual(str(Reason("rule", configured="y")), "rule (configured: y)")
        self.assertEqual(str(Reason("rule", remedy="Do it.")), "rule. Do it.")


class PeerErrorTests(SynchronousTestCase):
    def test_string(self) -> None:
        """A plain string becomes a reason with that rule."""
        error = Malformed("too short")
        self.assertEqual(error.reason, Reason("too short"))
        self.assertEqual(str(error), "too short")

    def test_arrow(self) -> None:
        """Where it happened is added once, and the first to know is right."""
        error = AuthenticationFailed(Reason("rule", "x", "y"))
        self.assertIs(error.at(FIRST), error)
        self.assertIs(error.at(LAST), error)
        self.assertEqual(error.reason, Reason("rule", "x", "y", arrow=FIRST))
        self.assertIn("at Aggressive, initiator's SA", str(error))
        self.assertEqual(error.args, (error.reason,))

    def test_blames(self) -> None:
        """
        Each kind of blame has one notification at most, an error type, and says where it is from.

        Proves: RFC 2408 section 3.14.1
        """
        self.assertGreater(len(blames()), 20)
        for kind in blames():
            self.assertTrue(kind.__doc__)
            if kind.notify is not None:
                self.assertIsInstance(kind.notify, NotifyType)
                self.assertTrue(kind.notify.is_error, kind)
                self.assertTrue(kind.notify.assigned, kind)

    def test_never_told(self) -> None:
        """What is nobody's fault, or only ours, is not told to the peer."""
        for kind in (PeerError, LimitReached, PeerRefused, ExchangeTimeout, Cancelled):
            self.assertIsNone(kind.notify)

    def test_by_blame(self) -> None:
        """
        The notification is the one the RFC has for that fault.

        Proves: RFC 2408 section 5.4
        Proves: RFC 2408 section 5.5
        Proves: RFC 2408 section 5.1
        """
        self.assertEqual(NoProposalChosen.notify, NotifyType.NO_PROPOSAL_CHOSEN)
        self.assertEqual(InvalidSPI.notify, NotifyType.INVALID_SPI)
        self.assertEqual(UnequalPayloadLengths.notify, NotifyType.UNEQUAL_PAYLOAD_LENGTHS)
        self.assertTrue(issubclass(UnequalPayloadLengths, Malformed))

    def test_configuration(self) -> None:
        """Our own mistakes are not the peer's."""
        self.assertFalse(issubclass(ConfigurationError, PeerError))

    def test_copies(self) -> None:
        """An error can be written down and read again, with its reason."""
        error = NoProposalChosen(Reason("rule", "x", arrow=FIRST))
        again = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own octets
        self.assertIs(type(again), NoProposalChosen)
        self.assertEqual(again.reason, error.reason)
