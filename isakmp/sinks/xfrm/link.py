"""
A conversation with the kernel: questions with their answers, and what it tells by itself.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from isakmp.logs import Logger
from isakmp.sinks.xfrm.netlink import (
    ACK,
    DONE,
    DUMP,
    ERROR,
    INTERRUPTED,
    MULTI,
    REQUEST,
    XFRM,
    Message,
    NetlinkError,
    messages,
)

_OCTETS = 1 << 17
"""The most that is read at once; a datagram of the kernel's is not longer."""

_BUFFER = 1 << 20
"""Octets of room for what the kernel tells while we are busy."""

_BUFFER_FORCE = 33
"""SO_RCVBUFFORCE: room beyond what ``net.core.rmem_max`` gives to everybody."""

_ATTACH_FILTER = 26
"""SO_ATTACH_FILTER: a program that says of each datagram how much of it is taken."""

_BATCH = 256
"""The most that is read before the reactor has its turn again."""

_log = Logger()

TIMEOUT = 10.0
"""Seconds: the kernel answers before the question has returned, or never."""


UNSURE = frozenset({errno.ENOBUFS, errno.ETIMEDOUT})
"""Refusals after which what was asked for may have been done: the answer is what is missing."""


class Refused(OSError):
    """
    The kernel says no.

    :param what: was asked.
    """

    def __init__(self, number: int, what: str) -> None:
        super().__init__(number, os.strerror(number))
        self.what = what

    def __str__(self) -> str:
        name = errno.errorcode.get(self.errno or 0, str(self.errno))
        return f"{self.what}: {self.strerror} ({name})"


class Ask(Protocol):
    """What asks the kernel, as :meth:`Link.ask` does."""

    def __call__(
        self, kind: int, body: bytes, what: str, flags: int = ACK
    ) -> Awaitable[list[Message]]: ...


async def gone(ask: Ask, kind: int, body: bytes, what: str) -> None:
    """Ask for a removal; that it is gone already is as well, and any other refusal is logged."""
    try:
        await ask(kind, body, what)
    except Refused as error:
        if error.errno not in (errno.ENOENT, errno.ESRCH):
            _log.error("{why}", why=error)


def opened(
    family: int, groups: int, room: int = _BUFFER, kinds: Iterable[int] = ()
) -> socket.socket:
    """
    A socket of netlink's.

    :param room: for how many octets that have not been read yet.
    :param kinds: of messages that take that room, all others being left out; none: all do.
    :raises OSError: if there is none here.
    """
    made = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, family
    )
    try:
        try:
            made.setsockopt(socket.SOL_SOCKET, _BUFFER_FORCE, room)
        except PermissionError:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        if kinds:
            _filter(made, kinds)
        made.bind((0, groups))
    except OSError:
        made.close()
        raise
    return made


def _filter(made: socket.socket, kinds: Iterable[int]) -> None:
    """Have a socket take messages of these kinds alone: a classic BPF program, linux/filter.h."""
    load_kind, is_equal, give_back = 0x28, 0x15, 0x06  # at octet 4; of 16 bits, as if big-endian
    program = [(load_kind, 0, 0, 4)]
    for kind in kinds:
        compared = int.from_bytes(struct.pack("=H", kind), "big")
        program += [(is_equal, 0, 1, compared), (give_back, 0, 0, 0xFFFFFFFF)]
    program.append((give_back, 0, 0, 0))
    octets = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    told = struct.pack("@HP", len(program), ctypes.addressof(octets))
    made.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, told)


@implementer(IReadDescriptor)
class Link:
    """
    A socket of netlink's, to ask the kernel by or to be told by it.

    :param groups: what is to be told; then nothing can be asked by it.
    :param heard: is given what the kernel tells by itself.
    :param missed: is called when the kernel had more to tell than there was room for: part of it
        is lost, and who cares has to look.
    :param family: of netlink.
    :param open: opens the socket.
    :raises OSError: if there is no such socket here.
    """

    def __init__(
        self,
        reactor: Any,
        groups: int = 0,
        heard: Callable[[Message], object] | None = None,
        *,
        missed: Callable[[], object] = lambda: None,
        family: int = XFRM,
        open: Callable[[int, int], socket.socket] = opened,
    ) -> None:
        self._reactor = reactor
        self._heard = heard
        self._missed = missed
        self._sequence = count(1)
        self._asked: dict[int, tuple[str, Deferred[list[Message]], list[Message], Any]] = {}
        self._socket = open(family, groups)
        self._closed = self._overrun = False
        reactor.addReader(self)

    def ask(self, kind: int, body: bytes, what: str, flags: int = ACK) -> Deferred[list[Message]]:
        """
        Ask for something to be done, or to be told.

        :param what: for an explanation, should it be refused.
        :param flags: besides REQUEST; DUMP for all there is of something.
        :return: what it answers; nothing, if it just does it.
        :raises Refused: if it does not.
        """
        answered: Deferred[list[Message]] = Deferred(lambda _: self._given_up(sequence))
        sequence = next(self._sequence) & 0xFFFFFFFF
        timer = self._reactor.callLater(TIMEOUT, self._fail, sequence, errno.ETIMEDOUT)
        self._asked[sequence] = what, answered, [], timer
        try:
            self._socket.send(Message(kind, REQUEST | flags, sequence, 0, body).encode())
        except OSError as error:
            self._fail(sequence, error.errno or errno.EIO)
        else:
            self.doRead()  # the kernel has answered by now
        return answered

    def close(self) -> None:
        """Ask and hear nothing any more; idempotent."""
        if self._closed:
            return
        self._closed = True
        self._reactor.removeReader(self)
        self._socket.close()
        for sequence in tuple(self._asked):
            self._fail(sequence, errno.ECANCELED)

    # -- IReadDescriptor -----------------------------------------------------------------------

    def doRead(self) -> None:
        """From Twisted: something has come."""
        for _ in range(_BATCH):
            if self._closed:
                return
            try:
                octets, (port, _) = self._socket.recvfrom(_OCTETS)
            except BlockingIOError:
                self._drained()
                return
            except InterruptedError:
                continue
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    # Twisted would call again at once, and for ever.
                    _log.error("the kernel is not heard any more: {why}", why=error)
                    self.close()
                    return
                self._overrun = True
                continue
            if port:
                continue  # another process may send to us as well; only the kernel is believed
            try:
                for message in messages(octets):
                    self._received(message)
            except NetlinkError as error:
                _log.error("the kernel is not understood: {why}", why=error)

    def _drained(self) -> None:
        """All that the kernel has told was read."""
        if not self._overrun:
            return
        self._overrun = False
        # It answers before a question has returned: what is not here by now never comes.
        for sequence in tuple(self._asked):
            self._fail(sequence, errno.ENOBUFS)
        self._missed()

    def _received(self, message: Message) -> None:
        asked = self._asked.get(message.sequence)
        if asked is None:
            if self._heard is not None and message.kind not in (ERROR, DONE):
                self._heard(message)
            return
        _, _, answers, _ = asked
        ends = message.kind in (ERROR, DONE)
        # The end of many says how they ended; that of some kernels says nothing.
        number = message.error if message.kind == ERROR or (ends and message.body) else 0
        if ends and number:
            self._fail(message.sequence, number)
        elif message.flags & INTERRUPTED:
            # What there is has changed while it was told, and something may be left out.
            self._fail(message.sequence, errno.EINTR)
        elif ends:
            self._done(message.sequence)
        else:
            answers.append(message)
            if not message.flags & MULTI:
                self._done(message.sequence)

    def _done(self, sequence: int) -> None:
        entry = self._forget(sequence)
        if entry is not None:
            entry[1].callback(entry[2])

    def _fail(self, sequence: int, number: int) -> None:
        entry = self._forget(sequence)
        if entry is not None:
            entry[1].errback(Refused(number, entry[0]))

    def _given_up(self, sequence: int) -> None:
        self._forget(sequence)

    def _forget(
        self, sequence: int
    ) -> tuple[str, Deferred[list[Message]], list[Message], Any] | None:
        entry = self._asked.pop(sequence, None)
        if entry is not None and entry[3].active():
            entry[3].cancel()
        return entry

    def connectionLost(self, reason: Failure) -> None:
        """From Twisted: it cannot be read any more."""
        self.close()

    def fileno(self) -> int:
        """From Twisted."""
        return -1 if self._closed else self._socket.fileno()

    def logPrefix(self) -> str:
        """From Twisted."""
        return "xfrm"


__all__ = ["ACK", "DUMP", "Ask", "Link", "Refused", "gone"]
