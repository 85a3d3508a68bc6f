"""
A client of vici: a running daemon is asked, and told what to do.

It speaks to strongSwan's charon just as well.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from isakmp.commands.output import UNREACHABLE, Complaint
from isakmp.control.codec import MAX_SEGMENT, Content, Kind, Malformed, Packet, Section

DEFAULT = "unix:///run/isakmp/isakmp.vici"

VARIABLE = "ISAKMP_VICI"
"""The environment's word for the socket."""


def uri_of(said: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """What was said, or what the environment says, or where the daemon listens by itself."""
    return said or environment.get(VARIABLE) or DEFAULT


class Client:
    """
    A connection to a daemon.

    :param uri: ``unix:///path`` or ``tcp://127.0.0.1:4502``.
    :raises Complaint: if nobody answers there.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        try:
            self._socket = self._connect(uri)
        except OSError as error:
            text = f"no daemon answers at {uri}: {error.strerror or error}"
            raise Complaint(text, UNREACHABLE) from None

    @staticmethod
    def _connect(uri: str) -> socket.socket:
        parts = urlsplit(uri)
        if parts.scheme == "unix" and parts.path:
            found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                found.connect(parts.path)
            except OSError:
                found.close()
                raise
            return found
        try:
            port = parts.port
        except ValueError:
            port = None
        if parts.scheme == "tcp" and parts.hostname and port:
            return socket.create_connection((parts.hostname, port))
        raise Complaint(f"{uri!r} is no address of a daemon: valid are {DEFAULT}, tcp://host:port")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    # -- what is asked -------------------------------------------------------------------------

    def ask(self, command: str, message: Content | None = None) -> Section:
        """
        The answer to a command.

        :raises Complaint: if it is refused, with the daemon's sentence.
        """
        *_, (_, answer) = self.follow(command, message)
        return self._agreed(command, answer)

    def stream(self, command: str, event: str, message: Content | None = None) -> list[Section]:
        """
        What a command tells by events, each of its parts.

        :raises Complaint: as :meth:`ask`.
        """
        self.register(event)
        found = []
        answer: Section = {}
        for name, content in self.follow(command, message):
            if name:
                found.append(content)
            else:
                answer = content
        self._tell(Packet(Kind.EVENT_UNREGISTER, event), Kind.EVENT_CONFIRM)
        self._agreed(command, answer)
        return found

    def follow(
        self, command: str, message: Content | None = None
    ) -> Iterator[tuple[str, Section]]:
        """
        The events that come while a command runs, by name, and its answer at last, without one.

        :raises Complaint: if the daemon does not know the command.
        """
        self._send(Packet(Kind.CMD_REQUEST, command, dict(message or {})))  # type: ignore[arg-type]
        while True:
            packet = self._receive()
            if packet.kind is Kind.EVENT:
                yield packet.name, packet.message
            elif packet.kind is Kind.CMD_RESPONSE:
                yield "", packet.message
                return
            else:
                raise Complaint(f"the daemon does not know the command {command}")

    def register(self, event: str) -> None:
        """
        Be told of this from now on.

        :raises Complaint: if the daemon does not know it.
        """
        self._tell(Packet(Kind.EVENT_REGISTER, event), Kind.EVENT_CONFIRM)

    def events(self) -> Iterator[tuple[str, Section]]:
        """What happens, for as long as the daemon is there."""
        while True:
            packet = self._receive()
            if packet.kind is Kind.EVENT:
                yield packet.name, packet.message

    @staticmethod
    def _agreed(command: str, answer: Section) -> Section:
        if answer.get("success") == "no":
            raise Complaint(str(answer.get("errmsg") or f"{command} was refused"), 1)
        return answer

    # -- octets --------------------------------------------------------------------------------

    def _tell(self, packet: Packet, wanted: Kind) -> None:
        self._send(packet)
        while (answer := self._receive()).kind is Kind.EVENT:
            pass
        if answer.kind is not wanted:
            raise Complaint(f"the daemon does not know the event {packet.name}")

    def _send(self, packet: Packet) -> None:
        octets = packet.encode()
        try:
            self._socket.sendall(len(octets).to_bytes(4) + octets)
        except OSError as error:
            raise self._gone(error.strerror or str(error)) from None

    def _receive(self) -> Packet:
        length = int.from_bytes(self._exactly(4))
        if not 0 < length <= MAX_SEGMENT:
            raise self._gone(f"it says {length} octets")
        try:
            return Packet.decode(self._exactly(length))
        except Malformed as error:
            raise self._gone(str(error)) from None

    def _exactly(self, count: int) -> bytes:
        octets = b""
        while len(octets) < count:
            try:
                more = self._socket.recv(count - len(octets))
            except OSError as error:
                raise self._gone(error.strerror or str(error)) from None
            if not more:
                raise self._gone("it has closed the connection")
            octets += more
        return octets

    def _gone(self, why: str) -> Complaint:
        return Complaint(f"the daemon at {self._uri} does not answer any more: {why}", UNREACHABLE)
