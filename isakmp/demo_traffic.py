"""
What the demonstration shows of traffic: an echo through the tunnel, and a capture of everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

from isakmp import packets
from isakmp.associations import SABundle
from isakmp.capture import Capture, in_ip
from isakmp.errors import ConfigurationError, Malformed
from isakmp.interfaces import IEvents
from isakmp.keylog import KeyLog
from isakmp.marker import MARKER, marked
from isakmp.packets import ECHO_REPLY, ECHO_REQUEST, Echo, Packet
from isakmp.paths import Datagram
from isakmp.sinks.userspace import UserspaceSink

DATA = bytes(range(56))
"""What ping(8) sends, and what has to come back."""

FILE = "demo.pcapng"


class Recording:
    """
    A capture, and the keys that open it.

    :param directory: made if it is not there.
    :raises ConfigurationError: if it cannot be written to.
    """

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in ("ikev1_decryption_table", "esp_sa"):
                (self.directory / name).unlink(missing_ok=True)  # of another demonstration
            self._file = (self.directory / FILE).open("wb")
            self._capture = Capture(self._file, time.time)
        except OSError as error:
            raise ConfigurationError(f"{directory} cannot be written to: {error}") from None
        self._ports: set[int] = set()
        self._log: KeyLog | None = None

    def keys_of(self, events: IEvents) -> None:
        """Write the keys of this node; the other has the same."""
        self._log = KeyLog(str(self.directory), events)

    def datagram(self, datagram: Datagram) -> None:
        """A message leaves, with its marker if it has one."""
        self._ports.update((datagram.path.local[1], datagram.path.remote[1]))
        if marked(datagram.path):
            datagram = Datagram(MARKER + datagram.octets, datagram.path)
        self._capture.packet(in_ip(datagram))

    def packet(self, octets: bytes) -> None:
        """A protected packet travels."""
        self._capture.packet(octets, "through the tunnel that was agreed above")

    def close(self) -> list[str]:
        """
        That was all.

        :return: what to tell whoever wants to read it.
        """
        self._file.close()
        if self._log is not None:
            self._log.stop()
        # On ports of their own Wireshark takes messages for anything; these two lines tell it.
        entries = "".join(
            f"decode_as_entry: udp.port,{port},(none),UDPENCAP\n" for port in sorted(self._ports)
        )
        (self.directory / "decode_as_entries").write_text(entries)
        (self.directory / "preferences").write_text("esp.enable_encryption_decode: TRUE\n")
        return [
            "",
            f"All packets are in {self.directory / FILE}, and their keys beside it.  To read them:",
            f"  WIRESHARK_CONFIG_DIR={self.directory} wireshark -r {self.directory / FILE}",
        ]


class _End(Protocol):
    """What is asked of an end of the demonstration."""

    name: str
    sink: Any

    @property
    def bundles(self) -> list[SABundle]: ...


class Cable:
    """
    A memory pipe between two nodes, and at each end a host that answers echo requests.

    :param recording: gets what travels; or None.
    """

    def __init__(self, recording: Recording | None) -> None:
        self._recording = recording
        self._sinks: list[UserspaceSink] = []
        self.replies: list[Echo] = []
        self.travelled: list[bytes] = []

    def sink(self) -> UserspaceSink:
        """A sink for the next end."""
        number = len(self._sinks)

        def transmit(octets: bytes) -> None:
            self.travelled.append(octets)
            if self._recording is not None:
                self._recording.packet(octets)
            self._sinks[1 - number].received(octets)

        sink = UserspaceSink(transmit, lambda octets: self._delivered(number, octets))
        self._sinks.append(sink)
        return sink

    def _delivered(self, number: int, octets: bytes) -> None:
        """The host behind an end has been sent a packet."""
        packet = Packet.decode(octets)
        try:
            echo = Echo.decode(packet.payload)
        except Malformed:
            return
        if echo.kind == ECHO_REPLY:
            self.replies.append(echo)
            return
        answer = Echo(ECHO_REPLY, echo.identifier, echo.sequence, echo.data).encode()
        source, destination = (str(ip_address(a)) for a in (packet.destination, packet.source))
        self._sinks[number].send(packets.packet(source, destination, packets.ICMP, answer))


def ping(
    cable: Cable, ends: tuple[_End, _End], write: Callable[[str], None], count: int = 3
) -> list[str]:
    """
    Send echo requests from behind one end to behind the other, and see them answered.

    :return: what is wrong, in words; nothing if all is well.
    """
    sender, receiver = ends
    policy = sender.bundles[0].policy
    source, destination = (
        str(ip_address(selector.first + (selector.last > selector.first)))
        for selector in (policy.local, policy.remote)
    )
    problems: list[str] = []
    write("")
    write(f"{source} pings {destination} with {len(DATA)} octets, through ESP in this process:")
    for sequence in range(1, count + 1):
        request = Echo(ECHO_REQUEST, 1, sequence, DATA)
        clear = packets.packet(source, destination, packets.ICMP, request.encode())
        before = len(cable.travelled), len(cable.replies)
        began = time.perf_counter()
        sender.sink.send(clear)
        taken = (time.perf_counter() - began) * 1000
        there = cable.travelled[before[0] :]
        if len(there) != 2 or len(cable.replies) != before[1] + 1:
            lost = {end.name: dict(end.sink.dropped) for end in ends}
            problems.append(f"echo {sequence} was not answered: {lost}")
            continue
        reply = cable.replies[-1]
        if (reply.identifier, reply.sequence, reply.data) != (1, sequence, DATA):
            problems.append(f"echo {sequence} came back changed")
        if any(DATA in packet for packet in there) and not _in_clear(sender):
            problems.append(f"echo {sequence} could be read on its way")
        spis = [Packet.decode(packet).payload[:4].hex() for packet in there]
        write(
            f"  echo {sequence}: {len(there[0])} octets with SPI {spis[0]} there, "
            f"{len(there[1])} with SPI {spis[1]} back, {taken:.1f} ms"
        )
    if cable.travelled:
        # What somebody else sends again is not taken again.
        again = receiver.sink.received(cable.travelled[0])
        if again:
            problems.append("a packet was taken twice")
        else:
            write("  The first of them, sent again by somebody else, is refused: replayed.")
    return problems


def _in_clear(end: _End) -> bool:
    """Whether nothing was to be hidden: ESP with NULL or AES-GMAC."""
    parameters: Any = end.bundles[0].outbound[0].parameters
    return parameters.encryption in ("null", "aes-gmac")
