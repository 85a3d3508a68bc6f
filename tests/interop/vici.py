"""
A client of a daemon's control socket: what stands is asked for, and what happens is kept.

It speaks vici itself, because a ``swanctl`` for every look would take longer than what is looked
for; what ``swanctl`` makes of the same answers is compared in :mod:`tests.interop.test_swanctl`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from isakmp.control.codec import Content, Kind, Packet, Section
from tests.interop.swanctl import IKESA, isakmp_sas

#: What a daemon tells without being asked, but for the lists, which answer a command.
HAPPENINGS = (
    *("ike-updown", "child-updown", "ike-rekey", "child-rekey", "ike-update"),
    *("alert", "log"),
)


class Gone(AssertionError):
    """The daemon does not answer any more."""


class Refused(AssertionError):
    """
    The daemon does not do it; the text is why.

    :ivar answer: all that it said.
    """

    def __init__(self, command: str, answer: Section) -> None:
        super().__init__(f"{command}: {answer.get('errmsg', 'refused without a word')}")
        self.answer = answer


class Vici:
    """
    One connection to a daemon's socket.

    :param path: of the socket.
    :param happenings: what it wants to be told of, from now on.
    :ivar happened: that, in order: the event's name and what it says.
    :raises OSError: if nobody listens there.
    """

    def __init__(self, path: Path, happenings: Sequence[str] = HAPPENINGS) -> None:
        self.happened: list[tuple[str, Section]] = []
        self._octets = b""
        self._ended = False
        self._listed: list[Section] = []
        self._answers: list[Packet] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
            for event in happenings:
                self._register(event)
        except (OSError, AssertionError):
            self._socket.close()
            raise

    def close(self) -> None:
        """Leaves; what has happened stays known."""
        self.look()
        self._ended = True
        self._socket.close()

    def ask(self, command: str, message: Content | None = None, timeout: float = 20.0) -> Section:
        """
        The answer to a command.

        :param timeout: seconds that this end waits, whatever the daemon is told.
        :raises Refused: with the daemon's sentence.
        :raises Gone: if it has ended, or does not answer in time.
        """
        answer = self.answer(command, message, timeout)
        if answer.get("success") == "no":
            raise Refused(command, answer)
        return answer

    def answer(
        self, command: str, message: Content | None = None, timeout: float = 20.0
    ) -> Section:
        """The same, whatever the answer is."""
        self.send(command, message)
        return self.answered(timeout)

    def send(self, command: str, message: Content | None = None) -> None:
        """Gives a command and does not wait; :meth:`answered` does."""
        self._send(Packet(Kind.CMD_REQUEST, command, dict(message or {})))  # type: ignore[arg-type]

    def answered(self, timeout: float = 20.0) -> Section:
        """
        The answer to what was sent.

        :raises Gone: as :meth:`ask`.
        """
        packet = self._answer(timeout)
        if packet.kind is not Kind.CMD_RESPONSE:
            raise AssertionError(f"a command is answered by {packet.kind.name}")
        return packet.message

    def listed(
        self, command: str, event: str, message: Content | None = None, timeout: float = 20.0
    ) -> list[Section]:
        """
        What a command answers by events: each of them.

        :raises Refused: as :meth:`ask`.
        """
        self._register(event)
        self._listed = []
        self.ask(command, message, timeout)
        found, self._listed = self._listed, []
        self._send(Packet(Kind.EVENT_UNREGISTER, event))
        self._answer(timeout)
        return found

    def list_sas(self, **only: str) -> list[IKESA]:
        """
        What stands, children inside.

        :param only: ``ike``, ``child`` and so on, as the command has them.
        """
        return isakmp_sas(self.listed("list-sas", "list-sa", only))

    def look(self) -> Sequence[tuple[str, Section]]:
        """What has happened so far, with what the daemon has sent meanwhile."""
        while not self._ended and self._read(0.0):
            pass
        return self.happened

    # -- octets --------------------------------------------------------------------------------

    def _register(self, event: str) -> None:
        self._send(Packet(Kind.EVENT_REGISTER, event))
        if self._answer(20.0).kind is not Kind.EVENT_CONFIRM:
            raise AssertionError(f"the daemon does not know the event {event}")

    def _send(self, packet: Packet) -> None:
        octets = packet.encode()
        try:
            self._socket.settimeout(20.0)
            self._socket.sendall(len(octets).to_bytes(4) + octets)
        except OSError as error:
            raise Gone(f"the daemon takes no command any more: {error}") from None

    def _answer(self, timeout: float) -> Packet:
        deadline = time.monotonic() + timeout
        while not self._answers:
            if not self._read(deadline - time.monotonic()):
                why = "it has ended" if self._ended else f"not within {timeout} s"
                raise Gone(f"the daemon does not answer: {why}")
        return self._answers.pop(0)

    def _read(self, timeout: float) -> bool:
        """Takes what has arrived; whether that was something."""
        if self._ended:
            return False
        self._socket.settimeout(max(0.0, timeout))
        try:
            more = self._socket.recv(1 << 16)
        except (BlockingIOError, TimeoutError):
            return False
        except OSError:
            more = b""
        if not more:
            self._ended = True
            return False
        self._octets += more
        while len(self._octets) >= 4:
            end = 4 + int.from_bytes(self._octets[:4])
            if len(self._octets) < end:
                break
            self._taken(Packet.decode(self._octets[4:end]))
            self._octets = self._octets[end:]
        return True

    def _taken(self, packet: Packet) -> None:
        if packet.kind is not Kind.EVENT:
            self._answers.append(packet)
        elif packet.name in HAPPENINGS:
            self.happened.append((packet.name, packet.message))
        else:
            self._listed.append(packet.message)


def inner(section: Section) -> Mapping[str, Section]:
    """The sections that stand in a section, by name."""
    return {name: value for name, value in section.items() if isinstance(value, dict)}
