"""
Clients of the control socket in memory, and a daemon around a node in memory.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, cast

from twisted.internet.testing import StringTransport

from isakmp.assembly import Assembly
from isakmp.config.load import Configuration, load_tree
from isakmp.config.loaded import Loaded
from isakmp.config.tree import Section as Tree
from isakmp.control.codec import Kind, Packet, Section
from isakmp.control.commands import commands
from isakmp.control.counters import Counters
from isakmp.control.listing import Listing
from isakmp.control.server import ControlServer, Session
from isakmp.control.watching import EVENTS, Watching
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.journal import Journal
from tests.nodes import SECRET, Member


class Wire(StringTransport):
    """
    A client's end of the socket.

    :ivar ended: whether the daemon has ended the connection.
    :ivar full_after: how many writes fill the buffer; 0: never.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ended = False
        self.full_after = 0

    def write(self, data: bytes) -> None:
        """The daemon sends something."""
        super().write(data)
        if self.full_after:
            self.full_after -= 1
            if not self.full_after:
                self.fill()

    def abortConnection(self) -> None:  # noqa: N802
        """The daemon ends it."""
        self.ended = True

    def fill(self) -> None:
        """Nothing is read any more, and the buffer is full."""
        cast(Any, self.producer).pauseProducing()

    def drain(self) -> None:
        """Everything was read."""
        cast(Any, self.producer).resumeProducing()


class Client:
    """
    One client.

    :ivar wire: its end of the socket.
    """

    def __init__(self, server: ControlServer) -> None:
        session = server.buildProtocol(None)
        assert session is not None
        self.session: Session = session
        self.wire = Wire()
        self.session.makeConnection(self.wire)

    def send_octets(self, octets: bytes) -> None:
        """Any octets."""
        self.session.dataReceived(octets)

    def send(self, packet: Packet) -> None:
        """A packet."""
        octets = packet.encode()
        self.send_octets(len(octets).to_bytes(4, "big") + octets)

    def received(self) -> list[Packet]:
        """What has arrived since it was asked last."""
        octets, found = self.wire.value(), []
        self.wire.clear()
        while octets:
            end = 4 + int.from_bytes(octets[:4], "big")
            found.append(Packet.decode(octets[4:end]))
            octets = octets[end:]
        return found

    def register(self, *events: str) -> None:
        """Listen to these."""
        for event in events:
            self.send(Packet(Kind.EVENT_REGISTER, event))
            (answer,) = self.received()
            assert answer.kind is Kind.EVENT_CONFIRM, event

    def ask(self, command: str, message: Section | None = None) -> None:
        """A command, without waiting for its answer."""
        self.send(Packet(Kind.CMD_REQUEST, command, message or {}))

    def call(self, command: str, message: Section | None = None) -> Section:
        """A command that is answered at once; the answer."""
        self.ask(command, message)
        answer = self.received()[-1]
        assert answer.kind is Kind.CMD_RESPONSE, answer
        return answer.message

    def streamed(self, command: str, event: str, message: Section | None = None) -> list[Section]:
        """A command that answers by events: they."""
        self.register(event)
        self.ask(command, message)
        *events, answer = self.received()
        assert answer.kind is Kind.CMD_RESPONSE
        assert not [one for one in events if one.name != event]
        self.send(Packet(Kind.EVENT_UNREGISTER, event))
        self.received()
        return [one.message for one in events]

    def events(self, name: str) -> list[Section]:
        """The events of a name that have arrived since it was asked last."""
        return [one.message for one in self.received() if one.name == name]


@dataclass
class MemberDaemon:
    """
    A daemon around one node in memory.

    :ivar log: why the files could not be read again.
    """

    member: Member
    loaded: Loaded = field(default_factory=Loaded)
    began: float = 0.0
    plugins: Collection[str] = ("ike", "ipsec", "memory")
    trouble: str = ""
    server: ControlServer = field(init=False)

    def __post_init__(self) -> None:
        secret = SharedSecret(SECRET, (), "ike-lab")
        self.loaded = self.loaded.reread(Configuration((self.member.connection(),), (secret,)))
        listing = Listing(self.member.node, self.assembly.renewals)
        Journal(self.member.node.events)
        self.counters = Counters(self.member.node)
        self.server = ControlServer(
            commands(self, listing, self.counters), EVENTS, self.member.clock
        )
        self.watching = Watching(self.member.node, listing, self.server)

    @property
    def assembly(self) -> Assembly:
        """The node."""
        return self.member.assembly

    def read(self, tree: Tree) -> Configuration:
        """As the daemon reads."""
        return load_tree(tree)

    def apply(self, loaded: Loaded) -> None:
        """As the daemon, but for what it tears down."""
        self.assembly.configure(loaded.connections, loaded.secrets)
        self.loaded = loaded

    def reload(self) -> str:
        """The files."""
        return self.trouble

    def client(self) -> Client:
        """One more."""
        return Client(self.server)

    def child_configured(self, **what: Any) -> None:
        """The child of the lab's connection is another from now on."""
        (connection,) = self.loaded.connections
        children = tuple(replace(child, **what) for child in connection.children)
        self.apply(self.loaded.with_connections([replace(connection, children=children)]))

    def stop(self) -> None:
        """Nobody is served any more."""
        self.watching.stop()
        self.counters.stop()
