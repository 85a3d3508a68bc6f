"""
One exchange at work: the diagram's verbs over a conversation, a method and the riders.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from copy import copy
from functools import lru_cache
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from isakmp.connections import Connection
from isakmp.departures import Departures
from isakmp.errors import Cancelled, LimitReached, PeerError, Reason
from isakmp.exchange.conversation import Conversation
from isakmp.interfaces import (
    IDomainOfInterpretation,
    IExchange,
    IExchangeType,
    IKeyExchangeMethod,
    IManagementSA,
    IMessageProtection,
    INode,
    IResumable,
    IRider,
)
from isakmp.logs import Logger
from isakmp.parts import INITIATOR, RESPONDER, Arrow, Part, Role
from isakmp.paths import Path, endpoint
from isakmp.wire.message import CookiePair, Flags, Header, Message, encode_chain
from isakmp.wire.payloads import Payload, VendorID


@implementer(IExchange)
class Exchange:
    """
    Implements IExchange.

    :ivar began: when, in seconds of the node's clock.
    :param order: what its type's ``method`` is given: see
        :meth:`isakmp.interfaces.IExchangeType.method`.
    """

    _log = Logger()

    def __init__(
        self,
        node: INode,
        conversation: Conversation,
        doi: IDomainOfInterpretation,
        order: object,
        sa: IManagementSA | None = None,
    ) -> None:
        self.node = node
        self.conversation = conversation
        conversation.sa = sa
        self.type: IExchangeType = conversation.kind
        self.number: int = conversation.kind.number
        self.role = conversation.role
        self.doi = doi
        self.sa = sa
        self.order = order
        self.began = node.clock.seconds()
        self.vendor_ids: frozenset[bytes] = frozenset()
        self._passed: list[Message] = []
        self._resumed = False
        self._undo: list[Callable[[], object]] = []
        self._running: Deferred[object] | None = None
        self._coroutine: Coroutine[Any, Any, object] | None = None
        self.riders: tuple[IRider, ...] = tuple(make() for make in node.riders)
        self.method: IKeyExchangeMethod = conversation.kind.method(self, order)

    # -- what the diagram says -----------------------------------------------------------------

    def initiator(self, *parts: Part) -> Coroutine[Any, Any, None]:
        """The initiator's next message: ours is said, the peer's is heard."""
        return self._arrow(INITIATOR, parts)

    def responder(self, *parts: Part) -> Coroutine[Any, Any, None]:
        """The responder's next message."""
        return self._arrow(RESPONDER, parts)

    async def protect(self, last_may_be_clear: bool = False) -> None:
        """From here on sealed; nothing to do in phase 2, which is sealed from birth."""
        if self.conversation.protection is None:
            self.conversation.protection = await self.method.protection()
            self.conversation.may_be_clear = last_may_be_clear

    def authenticate_only(self) -> None:
        """Our messages are proven and not encrypted: under an SA."""
        if self.sa is None:
            raise RuntimeError("nothing proves a message without an SA")
        self.conversation.flags = int(Flags.AUTHENTICATION_ONLY)

    async def connected(self) -> None:
        """If the peer has set the Commit bit: until it says CONNECTED, for a time of grace."""
        conversation = self.conversation
        commit = conversation.commit
        if commit is None:
            return
        if await commit.wait(conversation.say_again if conversation.answers else None):
            return
        self._log.info(
            "{exchange} with {peer}: the peer set the Commit bit and did not say CONNECTED within "
            "{seconds} s; it is gone on without",
            exchange=self.type.name,
            peer=endpoint(self.path.remote),
            cookies=str(self.cookies),
            message_id=f"{self.message_id:08x}",
            seconds=self.node.limits.grace,
        )

    @property
    def committed(self) -> bool:
        """Whether the peer has set the Commit bit, and not said CONNECTED yet."""
        commit = self.conversation.commit
        return commit is not None and commit.set

    def otherwise(self, undo: Callable[[], object]) -> None:
        """Have ``undo`` called, last first, if the exchange ends without its result."""
        self._undo.append(undo)

    async def _arrow(self, sender: Role, parts: tuple[Part, ...]) -> None:
        arrow = _arrow_of(self.type.name, sender, parts)
        try:
            if self._passed:
                await self._again(arrow, self._passed.pop())
            elif sender is self.role:
                await self._say(arrow)
            else:
                await self._hear(arrow)
        except PeerError as refusal:
            raise refusal.at(arrow) from None

    def take_up(self, heard: Message, said: Message, method: IResumable | None = None) -> None:
        """
        The first two messages of the diagram have passed already, in a run that was given up.

        :param method: what has heard and said the same; None: it is heard and said again.
        """
        self._passed = [said, heard]
        if method is not None:
            self.method = method.resumed(self)
            self._resumed = True

    async def _again(self, arrow: Arrow, message: Message) -> None:
        """
        Come to where that run was.

        :raises Cancelled: if we would say something else now.
        """
        if arrow.sender is not self.role:
            self._note_vendor_ids(message)
            if not self._resumed:
                message = await self.method.hear(arrow.parts, message)
            self._ridden(arrow, message)
            return
        self._riding(arrow)
        if self._resumed:
            return
        said = tuple(await self.method.say(arrow.parts, ()))
        if message.payloads[: len(said)] != said:
            raise Cancelled("what is configured has changed since message 2")

    async def _say(self, arrow: Arrow) -> None:
        riding = self._riding(arrow)
        budget = self.conversation.budget
        if budget is None:
            payloads = await self.method.say(arrow.parts, riding)
        else:
            payloads = await self.method.say(arrow.parts, ())
            payloads = _fitting(payloads, riding, budget)
            if not self.type.waits_for_cookie:
                _check_fits(payloads, budget)
        self.conversation.send(payloads)

    async def _hear(self, arrow: Arrow) -> None:
        while True:
            received = await self.conversation.receive(self.method.expects(arrow.parts))
            before, vendor_ids = self.method, self.vendor_ids
            # `hear` works on a copy: a refused message leaves no trace.
            self.method = copy(before)
            try:
                # Vendor IDs first: some change what an SA payload means.
                self._note_vendor_ids(received)
                message = await self.method.hear(arrow.parts, received)
                break
            except PeerError as refusal:
                self.method, self.vendor_ids = before, vendor_ids
                self.conversation.refuse(refusal.at(arrow))
        if message is not received:
            self._note_vendor_ids(message)  # again: the method has opened some
        if arrow.parts:
            self._ridden(arrow, message)

    def _note_vendor_ids(self, message: Message) -> None:
        found = message.all(VendorID)
        if found:
            self.vendor_ids = self.vendor_ids.union([payload.data for payload in found])

    # -- riders: optional by definition, so their faults are logged and the exchange goes on -------

    def _riding(self, arrow: Arrow) -> list[Payload]:
        payloads: list[Payload] = []
        if arrow.parts:  # a bare proof covers nothing that could ride
            for rider in self.riders:
                try:
                    payloads += rider.outgoing(self, arrow)
                except Exception:
                    self._log.failure("rider {what} failed", what=type(rider).__name__)
        return payloads

    def _ridden(self, arrow: Arrow, message: Message) -> None:
        for rider in self.riders:
            try:
                rider.incoming(self, arrow, message)
            except Exception:
                self._log.failure("rider {what} failed", what=type(rider).__name__)

    def arrived(self, sa: IManagementSA) -> None:
        """Tell the riders that phase 1 has its result."""
        for rider in self.riders:
            try:
                rider.established(self, sa)
            except Exception:
                self._log.failure("rider {what} failed", what=type(rider).__name__)

    # -- life ----------------------------------------------------------------------------------

    def start(self) -> Deferred[object]:
        """
        Run the diagram.

        Once: whoever asks later is given the same.

        :return: its result, or the :class:`PeerError` it ended with; then everything that was to be
            undone has been.
        """
        if self._running is None:
            self._coroutine = self._run()
            self._running = Deferred.fromCoroutine(self._coroutine)
            self._running.addErrback(self._failed)
        return self._running

    async def _run(self) -> object:
        return await self.type.run(self)

    def _failed(self, failure: Failure) -> Failure:
        self._end()
        return failure

    def abandon(self) -> None:
        """
        End it at once, as if it had never begun: it has no result, and fails with nothing.
        """
        if self._coroutine is not None:
            self._coroutine.close()
        self._end()
        self.release()

    def release(self) -> None:
        """
        It is over, and nobody asks it anything any more: let go of whatever leads back to it.

        What goes round in circles waits for the garbage collector, which takes its time from the
        next exchanges.
        """
        del self.method
        self.riders = ()
        self._undo.clear()
        self._running = self._coroutine = None

    def _end(self) -> None:
        self.conversation.finish()
        while self._undo:
            try:
                self._undo.pop()()
            except Exception:
                self._log.failure("could not undo")

    def cancel(self) -> None:
        """Give it up."""
        if self._running is not None:
            self._running.cancel()

    # -- what it is about ----------------------------------------------------------------------

    @property
    def cookies(self) -> CookiePair:
        """Complete after message 2."""
        return self.conversation.cookies

    @property
    def message_id(self) -> int:
        """0 in phase 1."""
        return self.conversation.message_id

    @property
    def path(self) -> Path:
        """Both ends; follows sealed messages."""
        return self.conversation.path

    @property
    def lenient(self) -> Departures:
        """What is overlooked in the peer's messages."""
        return self.conversation.lenient

    @property
    def protection(self) -> IMessageProtection | None:
        """Cipher state, as far as it got."""
        return self.conversation.protection

    @property
    def connection(self) -> Connection | None:
        """The one it is for, as far as is decided."""
        return self.method.connection


@lru_cache(maxsize=128)
def _arrow_of(exchange: str, sender: Role, parts: tuple[Part, ...]) -> Arrow:
    """There are as many as all diagrams have."""
    return Arrow(exchange, sender, frozenset(parts))


def _fitting(
    payloads: Sequence[Payload], riding: Sequence[Payload], budget: int
) -> Sequence[Payload]:
    """As many riders as the octets that an unproven address may be sent leave room for."""
    room = budget - Header.SIZE - len(encode_chain(payloads))
    fitting = list(payloads)
    for payload in riding:
        size = 4 + len(payload.encode())
        if size <= room:
            fitting.append(payload)
            room -= size
    return fitting


def _check_fits(payloads: Sequence[Payload], budget: int) -> None:
    """
    :raises LimitReached: if an address that has proved nothing may not be sent as much.
    """
    size = Header.SIZE + len(encode_chain(payloads))
    if size > budget:
        raise LimitReached(
            Reason(
                "the answer is longer than an address that has proved nothing may be sent",
                f"{size} octets",
                f"{budget}",
            )
        )
