"""
One exchange at work: what its diagram says, what rides along, and what is undone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from isakmp.connections import Connection, Limits
from isakmp.doi.ipsec import ipsec
from isakmp.errors import InvalidKeyInformation, PeerError
from isakmp.exchange.exchange import Exchange
from isakmp.exchange.phase1 import Phase1Type
from isakmp.interfaces import (
    IExchange,
    IExchangeType,
    IKeyExchangeMethod,
    IManagementSA,
    IMessageProtection,
    IRider,
)
from isakmp.parts import KE, SA, Arrow, Part, Role
from isakmp.wire.message import Message
from isakmp.wire.payloads import Nonce, Payload, VendorID
from tests.exchange.line import Line, Numbered
from tests.samples import SampleSA

BAD = b"bad"


@implementer(IKeyExchangeMethod)
class Words:
    """
    A method whose every part is a nonce; it hears anything but :data:`BAD`.

    :ivar heard: what it was told, refused or not.
    """

    connection: Connection | None = None

    def __init__(self) -> None:
        self.heard: tuple[bytes, ...] = ()
        self.knew: frozenset[bytes] = frozenset()
        self.keys = 0
        self.exchange: Exchange | None = None

    def expects(self, parts: frozenset[Part]) -> Sequence[type[Payload]]:
        """Anything."""
        return ()

    async def say(self, parts: frozenset[Part], riding: Sequence[Payload]) -> Sequence[Payload]:
        """One nonce for each part."""
        return [*(Nonce(part.name.encode()) for part in parts), *riding]

    async def hear(self, parts: frozenset[Part], message: Message) -> Message:
        """Note first, refuse then: what was noted must not stay."""
        assert self.exchange is not None
        data = message.all(Nonce)[0].data if message.has(Nonce) else b""
        self.heard = (*self.heard, data)
        self.knew = self.exchange.vendor_ids
        if data == BAD:
            raise InvalidKeyInformation("bad")
        if data == b"opens":
            return message.with_payloads((VendorID(b"sealed"),))
        return message

    async def protection(self) -> IMessageProtection:
        """Keys."""
        self.keys += 1
        return Numbered()

    async def established(self) -> object:
        """What was heard."""
        return self.heard


@implementer(IExchangeType)
class Diagram(Phase1Type):
    """An exchange type that a test writes."""

    number = 2
    name = "Diagram"

    def __init__(self, run: Callable[[IExchange], Awaitable[object]]) -> None:
        self._run = run
        self.words = Words()

    def method(self, exchange: IExchange, order: object) -> IKeyExchangeMethod:
        """The words, of which there is one set."""
        assert isinstance(exchange, Exchange)
        self.words.exchange = exchange
        return self.words

    async def run(self, exchange: IExchange) -> object:
        """As the test has it."""
        return await self._run(exchange)


@implementer(IRider)
class Rider:
    """
    Says one vendor ID, notes what it sees, and raises where it is told to.
    """

    def __init__(self, says: bytes, fails: str = "") -> None:
        self._says = says
        self._fails = fails
        self.seen: list[tuple[str, Arrow | None]] = []

    def _note(self, what: str, arrow: Arrow | None) -> None:
        self.seen.append((what, arrow))
        if what == self._fails:
            raise ZeroDivisionError(what)

    def outgoing(self, exchange: IExchange, arrow: Arrow) -> Sequence[Payload]:
        """Its vendor ID."""
        self._note("outgoing", arrow)
        return (VendorID(self._says),)

    def incoming(self, exchange: IExchange, arrow: Arrow, message: Message) -> None:
        """Noted."""
        self._note("incoming", arrow)

    def established(self, exchange: IExchange, sa: IManagementSA) -> None:
        """Noted."""
        self._note("established", None)


class ExchangeTests(SynchronousTestCase):
    def begin(
        self,
        run: Callable[[IExchange], Awaitable[object]],
        *riders: Rider,
        role: Role = Role.INITIATOR,
        limits: Limits = Limits(),
    ) -> tuple[Line, Exchange, Deferred[object]]:
        """An exchange under way; its peer is in our hands."""
        line = Line(role, Diagram(run), limits=limits)
        node: Any = line.member.node
        makes = [lambda rider=rider: rider for rider in riders]
        exchange = Exchange(replace(node, riders=makes), line.conversation, ipsec, None)
        return line, exchange, exchange.start()

    def words(self, exchange: Exchange) -> Words:
        assert isinstance(exchange.method, Words)
        return exchange.method

    def said(self, line: Line) -> list[list[bytes]]:
        """Of each message sent, what its payloads carry."""
        return [
            [payload.encode() for payload in Message.decode(octets).payloads]
            for octets in line.sent
        ]


async def question(exchange: IExchange) -> object:
    await exchange.initiator(KE)
    await exchange.responder(KE)
    return await exchange.method.established()


async def two_questions(exchange: IExchange) -> object:
    await exchange.initiator(SA)
    await exchange.responder(SA)
    return await question(exchange)


class DiagramTests(ExchangeTests):
    def test_both_roles(self) -> None:
        """One diagram serves both: who is the initiator says what the initiator says."""
        line, _, result = self.begin(question)
        self.assertEqual(self.said(line), [[b"KE"]])
        line.hear(line.message(b"theirs"))
        self.assertEqual(self.successResultOf(result), (b"theirs",))

        line, _, result = self.begin(question, role=Role.RESPONDER)
        self.assertEqual(self.said(line), [])
        line.hear(line.message(b"theirs"))
        self.assertEqual(self.said(line), [[b"KE"]])
        self.assertEqual(self.successResultOf(result), (b"theirs",))

    def test_refused_message_leaves_no_trace(self) -> None:
        """
        The method hears on a copy of itself: of a message that it refuses nothing stays, neither
        there nor among the vendor IDs.
        """
        line, exchange, result = self.begin(question)
        before = exchange.method
        line.hear(line.message(payloads=(Nonce(BAD), VendorID(b"forged"))))
        self.assertIs(exchange.method, before)
        self.assertEqual(self.words(exchange).heard, ())
        self.assertEqual(exchange.vendor_ids, frozenset())
        self.assertNoResult(result)
        line.hear(line.message(payloads=(Nonce(b"real"), VendorID(b"true"))))
        self.assertEqual(self.successResultOf(result), (b"real",))
        self.assertEqual(exchange.vendor_ids, {b"true"})

    def test_vendor_ids(self) -> None:
        """
        Those in a message are known before the method hears it, because some change what the rest
        means; those that only the method can open are known afterwards.
        """
        line, exchange, _ = self.begin(question)
        line.hear(line.message(payloads=(Nonce(b"opens"), VendorID(b"in clear"))))
        self.assertEqual(self.words(exchange).knew, {b"in clear"})
        self.assertEqual(exchange.vendor_ids, {b"in clear", b"sealed"})

    def test_arrow(self) -> None:
        """A refusal says at which message it happened; nobody changes that afterwards."""
        line, _, result = self.begin(two_questions, limits=Limits(refusals=1))
        line.hear(line.message(b"fine"))
        line.hear(line.message(BAD))
        error = self.failureResultOf(result, InvalidKeyInformation).value
        self.assertEqual(str(error), "bad, at Diagram, responder's KE")
        other = Arrow("Other", Role.INITIATOR, frozenset({SA}))
        self.assertEqual(str(error.at(other)), str(error))

    def test_protect(self) -> None:
        """Keys are derived once; under an SA, sealed from birth, there is nothing to do."""

        async def run(exchange: IExchange) -> object:
            await exchange.protect()
            await exchange.protect()
            return exchange.protection

        _, exchange, result = self.begin(run)
        self.assertIsInstance(self.successResultOf(result), Numbered)
        self.assertEqual(self.words(exchange).keys, 1)

    def test_attributes(self) -> None:
        """What an exchange type and a method see of it is the conversation's and the method's."""
        line, exchange, _ = self.begin(question)
        conversation = line.conversation
        self.assertEqual(
            (exchange.cookies, exchange.message_id, exchange.path, exchange.connection),
            (conversation.cookies, 0, conversation.path, None),
        )
        self.assertTrue(IExchange.providedBy(exchange))
        self.assertEqual((exchange.number, exchange.began), (2, 0.0))


class RiderTests(ExchangeTests):
    def test_in_order(self) -> None:
        """Riders add to each of our messages, in their order, and see each of the peer's."""
        one, two = Rider(b"one"), Rider(b"two")
        line, _, _ = self.begin(two_questions, one, two)
        line.hear(line.message(b"answer"))
        self.assertEqual(self.said(line), [[b"SA", b"one", b"two"], [b"KE", b"one", b"two"]])
        self.assertEqual([what for what, _ in one.seen], ["outgoing", "incoming", "outgoing"])
        arrow = one.seen[1][1]
        assert arrow is not None
        self.assertEqual((arrow.sender, arrow.parts), (Role.RESPONDER, {SA}))

    def test_refused_message(self) -> None:
        """What the method refuses no rider sees."""
        rider = Rider(b"one")
        line, _, _ = self.begin(question, rider)
        line.hear(line.message(BAD))
        self.assertNotIn("incoming", [what for what, _ in rider.seen])

    def test_faults(self) -> None:
        """
        A rider that raises is logged and left out; the other riders and the exchange go on: riders
        are optional by definition.
        """
        for where in ("outgoing", "incoming", "established"):
            broken, sound = Rider(b"broken", where), Rider(b"sound")
            line, exchange, result = self.begin(question, broken, sound)
            self.assertIn(b"sound", self.said(line)[0])
            line.hear(line.message(b"answer"))
            self.assertEqual(self.successResultOf(result), (b"answer",))
            exchange.arrived(SampleSA())
            self.assertEqual(
                [what for what, _ in sound.seen], ["outgoing", "incoming", "established"]
            )
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1, where)

    def test_bare_proof(self) -> None:
        """Nothing rides with a message that has no parts: no HASH would cover it."""

        async def run(exchange: IExchange) -> object:
            await exchange.initiator()
            await exchange.responder()
            return None

        rider = Rider(b"one")
        line, _, result = self.begin(run, rider)
        line.hear(line.message(b"answer"))
        self.successResultOf(result)
        self.assertEqual((self.said(line), rider.seen), ([[]], []))

    def test_budget(self) -> None:
        """
        Towards an address that has proved nothing riders are left out that do not fit into as many
        octets as it sent, and only there.
        """
        riders = Rider(b"x" * 40), Rider(b"y" * 8)
        line, _, _ = self.begin(question, *riders, role=Role.RESPONDER)
        line.conversation.budget = 28 + 4 + 2 + 4 + 8
        line.hear(line.message(b"theirs"))
        self.assertEqual(self.said(line), [[b"KE", b"y" * 8]])
        self.assertLessEqual(len(line.sent[0]), 28 + 4 + 2 + 4 + 8)
        self.assertIsNone(line.conversation.budget)


class UndoTests(ExchangeTests):
    def run_with(self, *undo: Callable[[], object]) -> tuple[Line, Deferred[object]]:
        async def run(exchange: IExchange) -> object:
            for one in undo:
                exchange.otherwise(one)
            return await question(exchange)

        line, _, result = self.begin(run, limits=Limits(refusals=1))
        return line, result

    def test_order(self) -> None:
        """What an exchange without a result has done is undone, the last first."""
        undone: list[int] = []
        line, result = self.run_with(
            lambda: undone.append(1), lambda: undone.append(2), lambda: undone.append(3)
        )
        line.hear(line.message(BAD))
        self.failureResultOf(result, PeerError)
        self.assertEqual(undone, [3, 2, 1])

    def test_result(self) -> None:
        """With a result nothing is undone."""
        undone: list[int] = []
        line, result = self.run_with(lambda: undone.append(1))
        line.hear(line.message(b"good"))
        self.successResultOf(result)
        self.assertEqual(undone, [])

    def test_fault(self) -> None:
        """What cannot be undone is logged; the rest is undone all the same."""
        undone: list[int] = []

        def broken() -> None:
            raise ZeroDivisionError

        line, result = self.run_with(lambda: undone.append(1), broken, lambda: undone.append(3))
        line.hear(line.message(BAD))
        self.failureResultOf(result, PeerError)
        self.assertEqual(undone, [3, 1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_cancelled(self) -> None:
        """Given up, it is undone at once, and hears and says nothing any more."""
        undone: list[int] = []

        async def run(exchange: IExchange) -> object:
            exchange.otherwise(lambda: undone.append(1))
            return await question(exchange)

        line, exchange, result = self.begin(run)
        exchange.cancel()
        self.failureResultOf(result, CancelledError)
        self.assertEqual(undone, [1])
        self.assertEqual(line.clock.getDelayedCalls(), [])
        line.hear(line.message(b"late"))
        line.wait(100.0)
        self.assertEqual(len(line.sent), 1)
        exchange.cancel()

    def test_fault_of_ours(self) -> None:
        """A fault in a diagram or a method is its result, and undoes as well."""
        undone: list[int] = []

        async def run(exchange: IExchange) -> object:
            exchange.otherwise(lambda: undone.append(1))
            raise ZeroDivisionError

        _, _, result = self.begin(run)
        self.failureResultOf(result, ZeroDivisionError)
        self.assertEqual(undone, [1])


