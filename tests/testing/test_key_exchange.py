"""
What every key exchange owes: those that pay, and those that do not, each told in a sentence.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Lifetime, ProtectionSuite
from isakmp.connections import Candidates, Connection
from isakmp.errors import PeerError
from isakmp.ike import identities
from isakmp.ike.key_exchange import IKE, ike
from isakmp.ike.method import IKEMethod
from isakmp.ike.protection import Phase2Protection
from isakmp.ike.sa import ISAKMPSA
from isakmp.interfaces import IExchange, IExchangeType, IKeyExchangeMethod, IMessageProtection
from isakmp.numbers import ExchangeType
from isakmp.parts import AUTH, KE, Part
from isakmp.testing import Trial, Violation, check_key_exchange
from isakmp.wire.message import Message
from isakmp.wire.payloads import Hash, Payload
from tests.testing.laboratory import TRIAL, module

IKES = Trial("aes128-sha256-curve25519")


class PayingTests(SynchronousTestCase):
    def test_ike(self) -> None:
        """
        IKE meets every obligation: Main Mode, Aggressive Mode and Quick Mode, begun by each end.

        Proves: RFC 2408 section 4.5
        Proves: RFC 2408 section 4.7
        Proves: RFC 2408 section 4.8
        """
        check_key_exchange(ike, IKES)

    def test_laboratory(self) -> None:
        """
        So does somebody else's key exchange, in all exchanges and both phases.

        Proves: RFC 2408 section 4.4
        Proves: RFC 2408 section 4.5
        Proves: RFC 2408 section 4.6
        Proves: RFC 2408 section 4.7
        Proves: RFC 2408 section 4.8
        """
        key_exchange = module.X25519()
        self.assertEqual(key_exchange.offers, {1, 2, 3, 4})
        self.assertEqual(set(key_exchange.offers_phase_2), {1, 2, 3, 4})
        check_key_exchange(key_exchange, TRIAL)


class Broken(IKE):
    """IKE with another method."""

    made: type[IKEMethod] = IKEMethod

    def method(
        self, exchange: IExchange, candidates: Candidates[Connection]
    ) -> IKeyExchangeMethod:
        return self.made(exchange, candidates)


class Leaking(IKEMethod):
    """Writes what it hears, true or not, into what its copy shares with it."""

    def __init__(self, exchange: IExchange, candidates: Candidates[Connection]) -> None:
        super().__init__(exchange, candidates)
        self.seen: list[bytes] = []

    async def hear(self, parts: frozenset[Part], message: Message) -> Message:
        self.seen.append(message.payloads[0].encode())
        return await super().hear(parts, message)


class Credulous(IKEMethod):
    """Believes any proof."""

    async def hear(self, parts: frozenset[Part], message: Message) -> Message:
        try:
            return await super().hear(parts, message)
        except PeerError:
            if AUTH in parts and self.claimed is not None and message.has(Hash):
                return message
            raise


class Anybody(IKEMethod):
    """Does not look whom the connection is for."""

    def _identify(self, payload: Any) -> None:
        self.claimed = identities.claimed(self.exchange.doi, payload)


class Forgetful(IKEMethod):
    """Forgets what was agreed."""

    async def established(self) -> object:
        sa = await super().established()
        assert isinstance(sa, ISAKMPSA)
        return Random(**{name: getattr(sa, name) for name in ISAKMPSA.__slots__})


class Random(ISAKMPSA):
    """Whose keys are its own affair."""

    def derive(self, seed: bytes, length: int) -> bytes:
        return os.urandom(length)


class Careless(ISAKMPSA):
    """Takes messages under it as they come."""

    def protection(self, kind: IExchangeType, message_id: int) -> IMessageProtection:
        sealing = super().protection(kind, message_id)
        assert isinstance(sealing, Phase2Protection)
        sealing._hash = lambda rest: bytes(32)  # type: ignore[method-assign]
        return sealing


class Unproven(IKEMethod):
    """Makes such."""

    async def established(self) -> object:
        sa = await super().established()
        assert isinstance(sa, ISAKMPSA)
        return Careless(**{name: getattr(sa, name) for name in ISAKMPSA.__slots__})


class Owing(IKEMethod):
    """Leaves a call on the clock."""

    async def established(self) -> object:
        self.exchange.node.clock.callLater(86_400.0, lambda: None)
        return await super().established()


class Crashing(IKEMethod):
    """Has a fault."""

    async def say(self, parts: frozenset[Part], riding: Sequence[Payload]) -> Sequence[Payload]:
        if KE in parts:
            raise ZeroDivisionError("of ours")
        return await super().say(parts, riding)


class OwingTests(SynchronousTestCase):
    """Each of these is IKE with one mistake."""

    def violation(self, key_exchange: Any, trial: Trial = IKES) -> str:
        with self.assertRaises(Violation) as raised:
            check_key_exchange(key_exchange, trial)
        self.flushLoggedErrors()  # faults of the key exchange's are logged as well
        return str(raised.exception)

    def broken(self, method: type[IKEMethod]) -> str:
        key_exchange = Broken()
        key_exchange.made = method
        return self.violation(key_exchange)

    def test_leaks(self) -> None:
        """A method that a refused message leaves a trace in."""
        self.assertIn(
            "a message that was refused has changed seen of the method", self.broken(Leaking)
        )

    def test_bad_proof(self) -> None:
        """A method that takes a proof that is none: which message it was is told."""
        told = self.broken(Credulous)
        self.assertIn("with one bit changed was taken", told)
        self.assertIn("in phase 1, begun by alice.lab.example", told)

    def test_anybody(self) -> None:
        """A method that takes whom the connection does not mean."""
        self.assertIn("which expects somebody else, has an SA with", self.broken(Anybody))

    def test_keys(self) -> None:
        """An SA whose keys are not the peer's."""
        self.assertIn("what derive makes of the same seed differs", self.broken(Forgetful))

    def test_no_proof_under_the_sa(self) -> None:
        """An SA under which forged messages are taken."""
        told = self.broken(Unproven)
        self.assertIn("Quick Mode in phase 2, begun by alice", told)
        self.assertIn("copies with one bit changed came before the real messages", told)

    def test_clock(self) -> None:
        """A method that leaves a call on the clock."""
        self.assertIn("afterwards 2 calls are on the clock", self.broken(Owing))

    def test_fault(self) -> None:
        """A method with a fault of its own."""
        self.assertIn("in phase 1, begun by alice", self.broken(Crashing))

    def test_no_key_exchange(self) -> None:
        """What is no key exchange is told what it lacks."""

        class Nothing:
            name = "nothing"

        self.assertIn("nothing is no key exchange", self.violation(Nothing()))

    def test_unknown_exchange(self) -> None:
        """One that offers what is none of RFC 2408's exchanges."""

        class Inventing(IKE):
            offers = frozenset({2, 6})

        self.assertIn("offers exchange type 6 in phase 1", self.violation(Inventing()))

        class Mute(IKE):
            offers: frozenset[int] = frozenset()

        self.assertIn("offers no exchange in phase 1", self.violation(Mute()))

    def test_does_not_run_what_it_offers(self) -> None:
        """One that offers what it does not run."""

        class Boasting(IKE):
            offers = frozenset({int(ExchangeType.BASE)})

        self.assertIn("Base in phase 1, begun by alice", self.violation(Boasting()))

        class BoastingLater(IKE):
            offers_phase_2 = (4,)

        self.assertIn("Aggressive in phase 2", self.violation(BoastingLater()))

    def test_spelling(self) -> None:
        """One that takes any word for a suite, and one that does not know its own."""

        class Tolerant(IKE):
            def suite(self, spelling: str, lifetime: Lifetime) -> ProtectionSuite:
                return ike.suite("aes128-sha256-curve25519", lifetime)

        self.assertIn("takes any spelling for a suite", self.violation(Tolerant()))
        self.assertIn("does not understand the suite", self.violation(ike, Trial("rot13")))

    def test_wrong_key(self) -> None:
        """Two parties without the right keys of each other come to nothing, and it is told why."""
        alice, bob = TRIAL.settings
        peers: Mapping[str, str] = {"bob.lab.example": bob["private"]}  # type: ignore[dict-item]
        wrong = Trial(TRIAL.suite, settings=({**alice, "peers": peers}, bob))
        self.assertIn("begun by alice", self.violation(module.X25519(), wrong))
