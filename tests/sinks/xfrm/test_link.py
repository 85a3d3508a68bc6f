"""
A conversation with the kernel: answers, what it tells by itself, and what goes wrong with both.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from isakmp.sinks.xfrm.link import ACK, DUMP, TIMEOUT, Link, Refused, gone, opened
from isakmp.sinks.xfrm.netlink import (
    DONE,
    ERROR,
    INTERRUPTED,
    MULTI,
    ROUTE,
    Message,
    attributes,
    messages,
)
from isakmp.sinks.xfrm.routing import Kind, every_address
from tests.samples import logged

NEWS = 0x18


class Reactor(Clock):
    """Its time is the test's; who reads is known."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[object] = set()

    def addReader(self, reader: object) -> None:
        """Reads from now on."""
        self.readers.add(reader)

    def removeReader(self, reader: object) -> None:
        """Reads no longer."""
        self.readers.discard(reader)


class Kernel:
    """
    What a socket to the kernel would give: octets of whom, or an error; and what was asked by it.
    """

    def __init__(self) -> None:
        self.asked: list[Message] = []
        self.says: list[tuple[bytes, int] | OSError] = []
        self.answers: list[Any] = []

    def open(self, family: int, groups: int) -> Any:
        """Itself."""
        return self

    def send(self, octets: bytes) -> None:
        """Ask; what is answered stands ready."""
        (message,) = messages(octets)
        self.asked.append(message)
        for kind, flags, body in self.answers.pop(0) if self.answers else ():
            self.tell(kind, body, flags, message.sequence)

    def tell(
        self, kind: int, body: bytes = b"", flags: int = 0, sequence: int = 0, port: int = 0
    ) -> None:
        """Have it said."""
        self.says.append((Message(kind, flags, sequence, 0, body).encode(), port))

    def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
        """The next that it says."""
        if not self.says:
            raise BlockingIOError
        said = self.says.pop(0)
        if isinstance(said, OSError):
            raise said
        return said[0], (said[1], 0)

    def close(self) -> None:
        """No more."""

    def fileno(self) -> int:
        """Any."""
        return 99


def number(value: int) -> bytes:
    """Of an error, as the kernel says it."""
    return struct.pack("=i", -value)


class LinkTests(SynchronousTestCase):
    """
    A link to what says what a kernel may, and what it should not.
    """

    def setUp(self) -> None:
        self.reactor, self.kernel = Reactor(), Kernel()
        self.heard: list[Message] = []
        self.missed = 0
        self.notes = logged(self)
        self.link = Link(
            self.reactor, 1, self.heard.append, missed=self.miss, open=self.kernel.open
        )

    def tearDown(self) -> None:
        self.link.close()
        self.assertEqual(self.reactor.readers, set())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def miss(self) -> None:
        self.missed += 1

    def ask(self, *answers: tuple[int, int, bytes], flags: int = ACK) -> Deferred[list[Message]]:
        self.kernel.answers.append(answers)
        return self.link.ask(7, b"body", "something", flags)

    def refused(self, asked: Deferred[list[Message]]) -> int | None:
        return self.failureResultOf(asked, Refused).value.errno

    def lines(self) -> list[str]:
        return [formatEvent(one) for one in self.notes]

    def test_done(self) -> None:
        """An acknowledgement is an answer, and so is one message, and so are many."""
        self.assertEqual(self.successResultOf(self.ask((ERROR, 0, number(0)))), [])
        (one,) = self.successResultOf(self.ask((9, 0, b"it"), flags=0))
        self.assertEqual(one.body, b"it")
        many = self.successResultOf(
            self.ask((9, MULTI, b"a"), (9, MULTI, b"b"), (DONE, MULTI, number(0)), flags=DUMP)
        )
        self.assertEqual([one.body for one in many], [b"a", b"b"])
        self.assertEqual(self.successResultOf(self.ask((DONE, MULTI, b""), flags=DUMP)), [])
        self.assertEqual(self.heard, [])

    def test_refused(self) -> None:
        """What it refuses fails with its number, also at the end of many."""
        self.assertEqual(self.refused(self.ask((ERROR, 0, number(errno.EPERM)))), errno.EPERM)
        many = self.ask((9, MULTI, b"a"), (DONE, MULTI, number(errno.ENOENT)), flags=DUMP)
        self.assertEqual(self.refused(many), errno.ENOENT)

    def test_interrupted(self) -> None:
        """What changes while it is told is not taken for all there is."""
        many = self.ask(
            (9, MULTI, b"a"), (9, MULTI | INTERRUPTED, b"b"), (DONE, MULTI, number(0)), flags=DUMP
        )
        self.assertEqual(self.refused(many), errno.EINTR)

    def test_never(self) -> None:
        """An answer that never comes is not waited for; when it comes after all, it is nobody's."""
        asked = self.ask()
        self.reactor.advance(TIMEOUT - 0.1)
        self.assertNoResult(asked)
        self.reactor.advance(0.2)
        self.assertEqual(self.refused(asked), errno.ETIMEDOUT)
        self.kernel.tell(ERROR, number(0), sequence=self.kernel.asked[0].sequence)
        self.link.doRead()
        self.assertEqual(self.heard, [])

    def test_given_up(self) -> None:
        """Whoever gives up an answer leaves nothing on the clock."""
        asked = self.ask()
        asked.cancel()
        self.failureResultOf(asked)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_overrun(self) -> None:
        """
        A kernel that had more to say than there was room for: what it says still is heard, what was
        asked fails at once, and it is told once that something was missed.
        """
        asked = self.ask()
        self.kernel.says += [OSError(errno.ENOBUFS, "x"), OSError(errno.ENOBUFS, "x")]
        self.kernel.tell(NEWS, b"news")
        self.link.doRead()
        self.assertEqual([one.body for one in self.heard], [b"news"])
        self.assertEqual(self.refused(asked), errno.ENOBUFS)
        self.assertEqual(self.missed, 1)
        self.link.doRead()
        self.assertEqual(self.missed, 1)

    def test_garbage(self) -> None:
        """Octets that are no message are a line of the log, and the next are heard."""
        for octets in (b"\x01", b"\xff" * 16, Message(NEWS, 0, 0, 0, b"cut").encode()[:-1], b""):
            self.kernel.says.append((octets, 0))
        self.kernel.tell(ERROR, b"\x01", sequence=5)
        self.kernel.tell(NEWS, b"news")
        self.link.doRead()
        self.assertEqual([one.body for one in self.heard], [b"news"])
        lines = self.lines()
        self.assertEqual(len(lines), 3)
        for line in lines:
            self.assertIn("the kernel is not understood: ", line)

    def test_garbled_answer(self) -> None:
        """An answer that makes no sense is none; the question is over in time, and others go on."""
        for body in (b"\x01", number(-5)):
            asked = self.ask((ERROR, 0, body))
            self.assertNoResult(asked)
            self.assertEqual(self.successResultOf(self.ask((ERROR, 0, number(0)))), [])
            self.reactor.advance(TIMEOUT)
            self.assertEqual(self.refused(asked), errno.ETIMEDOUT)

    def test_stranger(self) -> None:
        """Only the kernel is believed, whoever else can send here."""
        asked = self.ask()
        self.kernel.tell(ERROR, number(0), sequence=self.kernel.asked[0].sequence, port=4711)
        self.kernel.tell(NEWS, b"news", port=4711)
        self.link.doRead()
        self.assertNoResult(asked)
        self.assertEqual(self.heard, [])
        self.link.close()
        self.assertEqual(self.refused(asked), errno.ECANCELED)

    def test_batch(self) -> None:
        """However much it says, others have their turn in between."""
        for _ in range(1000):
            self.kernel.tell(NEWS)
        self.link.doRead()
        self.assertLess(len(self.heard), 1000)
        while self.kernel.says:
            self.link.doRead()
        self.assertEqual(len(self.heard), 1000)

    def test_dead(self) -> None:
        """A socket that is no use any more is a line of the log, and is left."""
        asked = self.ask()
        self.kernel.says.append(OSError(errno.EIO, os.strerror(errno.EIO)))
        self.link.doRead()
        self.assertEqual(self.refused(asked), errno.ECANCELED)
        self.assertEqual(len(self.lines()), 1)
        self.assertEqual(self.reactor.readers, set())
        self.assertEqual(self.link.fileno(), -1)

    def test_gone(self) -> None:
        """
        That what is to be removed is gone already is nobody's business; another refusal is a line
        of the log, and keeps nothing from going on.
        """
        for number in (errno.ENOENT, errno.ESRCH, errno.EPERM):
            self.kernel.answers.append([(ERROR, 0, struct.pack("=i", -number))])
            removing = gone(self.link.ask, 7, b"", "to remove something")
            self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(removing)))
            self.assertEqual(len(self.notes), number == errno.EPERM)


class RealTests(SynchronousTestCase):
    """
    This machine's own kernel, which tells anybody of its addresses.
    """

    def test_addresses(self) -> None:
        """What it is asked for it tells before the question returns."""
        reactor = Reactor()
        link = Link(reactor, family=ROUTE)
        self.addCleanup(link.close)
        told = self.successResultOf(
            link.ask(Kind.GETADDR, every_address(socket.AF_INET), "all addresses", DUMP)
        )
        loopback = socket.inet_aton("127.0.0.1")
        self.assertIn(loopback, [attributes(one.body[8:])[1] for one in told])

    def test_unknown(self) -> None:
        """What it does not know it refuses."""
        link = Link(Reactor(), family=ROUTE)
        self.addCleanup(link.close)
        refused = link.ask(4000, bytes(16), "something", ACK)
        self.assertEqual(self.failureResultOf(refused, Refused).value.errno, errno.EOPNOTSUPP)

    def test_room(self) -> None:
        """There is room for what it tells while we are busy."""
        one = opened(ROUTE, 0)
        self.addCleanup(one.close)
        room = one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.assertGreaterEqual(room, 1 << 17)
        self.assertFalse(one.getblocking())
