"""
Every interface: the map of the code.  Nothing here has behaviour.

One rule for waiting: a question asked per *datagram* is answered at once, from memory; one asked
per *exchange* by a Deferred.

Most of the collaborators below come together in :class:`INode`, one process's.  A key exchange
implements :class:`IISAKMPKeyExchange` and :class:`IKeyExchangeMethod`, or, with a header of its
own, :class:`IKeyExchange` and :class:`IKeyExchangeEndpoint`; a domain of interpretation
:class:`IDomainOfInterpretation`, or :class:`INegotiatingDomain` if its security associations are
offered and chosen; whatever protects traffic :class:`ISASink`.
"""

from __future__ import annotations

import enum
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface

from isakmp.associations import (
    Agreed,
    ChildPolicy,
    ChildRequest,
    Lifetime,
    ManagementKey,
    Offer,
    Proposal,
    ProtectionSA,
    ProtectionSuite,
    Removal,
    SABundle,
    SAKey,
    Situation,
    SPIKey,
    Terms,
    Transform,
    Usage,
)
from isakmp.connections import Candidates, Child, Connection, Intervals, Limits, Routing
from isakmp.departures import Departures
from isakmp.handling import Handling
from isakmp.identity import Identity
from isakmp.parts import Arrow, Part, Role
from isakmp.paths import Address, Datagram, Path
from isakmp.wire.message import CookiePair, Header, Message
from isakmp.wire.payloads import Delete, Notification, Payload, SecurityAssociation
from isakmp.wire.reader import Reader

E = TypeVar("E")


class Sealed(enum.Enum):
    """Whether the messages of an exchange type travel encrypted under an SA."""

    REQUIRED = "always"
    OPTIONAL = "where there is an SA"
    NEVER = "never"


class Effect(enum.Enum):
    """What a peer's notification asks for, as its domain of interpretation reads it."""

    START_AFRESH = "forget the SAs of the peer's earlier life"


@dataclass(frozen=True, slots=True)
class Expiry:
    """
    Until when an SA may be used.

    :ivar hard: seconds of the node's clock at which it is removed; 0: never.
    """

    hard: float = 0.0


class IMessageProtection(Interface):
    """
    Cipher state and proof of one exchange.

    It is worked on as a copy: the conversation keeps the copy whose message was accepted, so
    ``copy.copy`` must give an independent state.

    Under an SA a message whose header has the Authentication Only flag (RFC 2408 section 3.1) is
    proven as any other, and not encrypted.
    """

    def seal(message: Message) -> bytes:
        """
        The whole datagram: header, and the payloads proven and encrypted.

        With the flag Authentication Only in ``message.flags``: proven, in clear.
        """

    def unseal(data: bytes) -> Message:
        """
        The message in clear, its proof checked here, before delivery: CBC opens forgeries too.

        :raises PeerError: and leaves the state as it was.
        """


class INoticeProtection(Interface):
    """
    What the protection of an exchange may provide besides: notifications about it under its keys.

    RFC 2408 section 4.8: once phase 1 has exchanged keying material, they are sent under it.
    """

    def for_notice(kind: IExchangeType, message_id: int) -> IMessageProtection:
        """
        In phase 1, the cipher state of an Informational exchange about it, whose SA is not yet.  It
        proves that the peer has agreed on these keys; who that is, phase 1 has yet to prove.

        Under an SA, that of one more message of this exchange itself, proven as ``kind`` is:
        CONNECTED, in the form that the source of racoon has.
        """


class INegotiation(Interface):
    """
    What protection SAs are negotiated in: an exchange, or what another header has for it.
    """

    node: INode = Attribute("Collaborators; so exchange types hold no state.")
    role: Role = Attribute("Which side we are.")
    doi: IDomainOfInterpretation = Attribute(
        "Phase 1: named by the SA payload of message 1; later: the management SA's."
    )
    sa: IManagementSA | None = Attribute("What protects us; None in phase 1.")
    path: Path = Attribute("Both ends; follows authenticated messages.")
    lenient: Departures = Attribute(
        "What is overlooked in the peer's messages: see isakmp.departures."
    )

    def otherwise(undo: Callable[[], object]) -> None:
        """Have ``undo`` called, last first, if it ends without its result."""


class IExchange(INegotiation):
    """
    One conversation with one peer, as the code that speaks in it sees it.
    """

    type: IExchangeType = Attribute("Its diagram.")
    number: int = Attribute("Exchange type, RFC 2408 section 3.1.")
    cookies: CookiePair = Attribute("Complete after message 2.")
    message_id: int = Attribute("0 in phase 1.")
    vendor_ids: frozenset[bytes] = Attribute("Those heard.")
    protection: IMessageProtection | None = Attribute("Cipher state, as far as it got.")
    method: IKeyExchangeMethod = Attribute("Fills the diagram's words.")
    connection: Connection | None = Attribute("The method's.")
    committed: bool = Attribute(
        "Whether the peer has set the Commit bit, and not said CONNECTED yet: RFC 2408 section 3.1."
    )

    def initiator(*parts: Part) -> Awaitable[None]:
        """The initiator's next message: ours is said, the peer's is heard."""

    def responder(*parts: Part) -> Awaitable[None]:
        """The responder's next message."""

    def protect(last_may_be_clear: bool = False) -> Awaitable[None]:
        """
        From here on sealed; nothing to do in phase 2, which is sealed from birth.

        :param last_may_be_clear: what the peer says from here on is taken in clear text as well,
            if its proof holds: RFC 2409 section 5, of Aggressive Mode's last message.  We seal.
        """

    def authenticate_only() -> None:
        """
        Under an SA: our messages are proven and not encrypted, and say so by the Authentication
        Only flag (RFC 2408 section 3.1).
        """

    def connected() -> Awaitable[None]:
        """
        Under an SA: if the peer has set the Commit bit (RFC 2408 section 3.1), wait until it says
        CONNECTED; after the node's limit ``grace`` it is gone on without.

        It stands in a diagram behind its last message.  What is negotiated is not to be used for
        sending before.
        """

    def cancel() -> None:
        """Give it up; whoever waits for its result is told so.  Idempotent."""


class IExchangeType(Interface):
    """
    One diagram: found by the DOI of the SA and its number.  A stateless singleton.
    """

    number: int = Attribute("RFC 2408 section 3.1.")
    name: str = Attribute("As its RFC calls it.")
    payloads: Mapping[int, type[Payload]] = Attribute("The table of payload types.")
    sealed: Sealed = Attribute("Whether its messages are encrypted.")
    one_way: bool = Attribute("Each datagram is a run of its own; none lingers: Informational.")
    establishes: bool = Attribute(
        "Its result is a sequence of SABundle: what makes a connection's children."
    )
    waits_for_cookie: bool = Attribute(
        "In phase 1 the responder's first message is a function of the initiator's alone, so "
        "nothing runs before the responder's cookie has come back (RFC 2408 section 2.5.3).  One "
        "that does not wait runs for connections that name it, within bounds of its own."
    )

    def hashed(sa: IManagementSA, message_id: bytes, nonces: bytes, rest: bytes) -> bytes:
        """
        HASH(n), which proves a message of this type under an SA.

        :param message_id: its four octets.
        :param nonces: the nonce bodies of the exchange's earlier messages, one after the other.
        :param rest: all payloads after the HASH payload, as on the wire.
        """

    def method(exchange: IExchange, order: object) -> IKeyExchangeMethod:
        """
        What fills this diagram's words in one run.

        A type of the framework's asks the key exchange: ``method`` of
        :class:`IISAKMPKeyExchange` in phase 1, and ``phase_2_method`` under an SA.

        :param order: what is to be negotiated; of a responder None in phase 2, and the
            :class:`isakmp.connections.Candidates` in phase 1.
        """

    def run(exchange: IExchange) -> Awaitable[object]:
        """The diagram, both roles."""


class IKeyExchangeMethod(Interface):
    """
    What each part of a diagram consists of: one object per run.

    Its attributes are immutable values, rebound: ``hear`` runs on a shallow copy, so that a
    refused message leaves no trace.
    """

    connection: Connection | None = Attribute(
        "The configured connection this run is for, as far as it is decided."
    )

    def expects(
        parts: frozenset[Part],
    ) -> Sequence[type[Payload] | tuple[type[Payload], ...]]:
        """
        What the peer's message must hold at least once; a tuple: one of these.

        Asked before delivery, answered at once.
        """

    def say(parts: frozenset[Part], riding: Sequence[Payload]) -> Awaitable[Sequence[Payload]]:
        """The payloads for these parts, in order, the riders' included."""

    def hear(parts: frozenset[Part], message: Message) -> Awaitable[Message]:
        """
        Take in and check these parts.

        :return: the message with everything readable, for the riders.
        :raises PeerError: to refuse it.
        """

    def protection() -> Awaitable[IMessageProtection]:
        """Derive the keys, at the latest now, and give what seals the rest of the exchange."""

    def established() -> Awaitable[object]:
        """
        The diagram is complete.

        :return: phase 1: an IManagementSA; phase 2: the SABundles, or what the type makes.
        """


class IResumable(IKeyExchangeMethod):
    """
    A method that can be taken over by another exchange in which the same has been said so far.

    A responder runs nothing between message 2 and message 3 (RFC 2408 section 2.5.3); when message
    3 has come, its exchange has to be where the first two messages had led.  Without this both are
    heard and said once more.  With it the method is kept that has said a message 2, and is resumed
    for each exchange that had the same message 1, the same candidates, and the same answer, octet
    by octet but for their cookies.

    Only for a method whose state after message 2 has nothing of its own exchange in it but the
    exchange itself: no cookie, no address, no key.
    """

    def resumed(exchange: IExchange) -> IKeyExchangeMethod:
        """The same state, for this exchange; this one stays as it is."""


class IRider(Interface):
    """
    Something optional that travels with the messages of an exchange: a vendor ID, a notification.

    One per exchange.  In clear text a rider only takes notes; if it raises, the exchange logs that
    and goes on.
    """

    def outgoing(exchange: IExchange, arrow: Arrow) -> Sequence[Payload]:
        """What it adds to this message of ours."""

    def incoming(exchange: IExchange, arrow: Arrow, message: Message) -> None:
        """What it makes of the peer's."""

    def established(exchange: IExchange, sa: IManagementSA) -> None:
        """The exchange has its result: now what was noted may count."""


class IRiderType(IPlugin):
    """What makes riders: a plug-in that is switched on by name."""

    name: str = Attribute("For logs and configuration.")

    def rider() -> IRider:
        """A new one, for one exchange."""


class IConfigurable(Interface):
    """
    A plug-in with settings of its own: ``[plugin.NAME]`` of ``isakmp.toml``.

    Without this, it is a mistake if there are any.
    """

    def configure(settings: Mapping[str, object]) -> None:
        """
        Take them in; called before anything is started, with nothing in them if there are none, and
        again with the same on a reload.

        :raises ConfigurationError: at a key that is not known, or a value that cannot be; its text
            names the key, and says what would be valid.
        """


class IExchanges(Interface):
    """The framework's ISAKMP conversations, for whoever begins one under an SA."""

    def begin(sa: IManagementSA, number: int, order: object) -> Deferred[object]:
        """
        Run an exchange as its initiator.

        :raises LookupError: if no enabled exchange type has this number under the SA's DOI.
        """

    def running() -> Sequence[IExchange]:
        """Those that have begun and not ended."""


class IManagementSA(Interface):
    """
    What protects key management: an ISAKMP SA, a session by tickets.

    Frozen; it answers with keys, and never hands them out.
    """

    key: ManagementKey = Attribute("What names it: cookies under an ISAKMP header.")
    owner: str = Attribute("The key exchange that made it.")
    doi: int = Attribute("Chooses the exchange types and what the numbers in a child mean.")
    role: Role = Attribute("Which side we were.")
    ours: Identity = Attribute("Who we proved to be.")
    theirs: Identity = Attribute("Who the peer proved to be.")
    connection: str = Attribute("The configured connection's name.")
    path: Path = Attribute("Where the peer is.")
    lifetime: Lifetime = Attribute("What was agreed.")

    def permits(number: int) -> bool:
        """May this exchange type run under it?"""

    def protection(kind: IExchangeType, message_id: int) -> IMessageProtection:
        """The cipher state for a new exchange."""

    def authenticate(octets: bytes) -> bytes:
        """What proves these octets: prf(SKEYID_a, octets)."""

    def derive(seed: bytes, length: int) -> bytes:
        """Keying material: RFC 2409 section 5.5's K1 | K2 | ... under SKEYID_d."""

    def agreement(group: int) -> IKeyAgreement:
        """
        Our half of a new Diffie-Hellman agreement, for perfect forward secrecy.

        :raises LookupError: if this group is not known.
        """


class IRelocating(Interface):
    """
    What a management SA provides whose peer may be elsewhere than where it was: behind a NAT that
    has forgotten it.
    """

    follows: bool = Attribute(
        "Whether it goes where its peer's packets come from.  An end that is itself behind a NAT "
        "must not: RFC 3947 section 7."
    )

    def relocated(path: Path) -> IManagementSA:
        """The same SA on another path."""


class IDisclosing(Interface):
    """
    What a management SA may provide besides, for a key log that somebody has asked for.

    Nothing else of the package calls it.
    """

    def disclosed() -> Sequence[tuple[str, str]]:
        """Rows of an analyser's tables of keys: the table's name, and the row."""


class IKeyAgreement(Interface):
    """One half of a Diffie-Hellman agreement."""

    public: bytes = Attribute("The public value, as it stands in a KE payload.")

    def agree(peer_public: bytes) -> bytes:
        """
        g^xy.

        :raises InvalidKeyInformation: if the peer's public value fails the group's checks.
        """


class IKeyExchange(IPlugin):
    """
    Owner of a message header of its own, at ports of its own; ISAKMP's is the framework's.

    No two that are enabled have a port and a major version in common.
    """

    name: str = Attribute("For logs and configuration; not ``isakmp``.")
    ports: tuple[int, ...] = Attribute("UDP ports; the first is a peer's, unless said otherwise.")
    version: int = Attribute("The major version in its header.")

    def configured(settings: Mapping[str, object]) -> IKeyExchange:
        """
        This key exchange, as ``[plugin.NAME]`` wants it.

        :raises ConfigurationError: naming the key that is unknown, or has no value that it can be,
            or is missing.
        """

    def speaks(datagram: Datagram) -> bool:
        """
        Whether a datagram is its, by port and major version; keeps no state.

        What nobody speaks goes to whoever has the port, to be refused in its words.
        """

    def open(node: INode) -> IKeyExchangeEndpoint:
        """
        Begin to speak for a node; nothing is sent before it is asked to.

        :raises ConfigurationError: if it cannot.
        """


class IKeyExchangeEndpoint(Interface):
    """A key exchange at work.  Lifetimes and control know nothing below this."""

    def datagram_received(datagram: Datagram) -> None:
        """A datagram for it has arrived."""

    def establish(
        connection: Connection, child: Child | Sequence[Child], sa: IManagementSA | None = None
    ) -> Deferred[Sequence[SABundle]]:
        """
        Have a child's SAs, beginning whatever is necessary.

        Several children become several SA payloads of one exchange; none, and there is the
        management SA alone.

        :param sa: under this management SA, not under one of the connection's.
        """

    def reauthenticate(sa: IManagementSA) -> Deferred[IManagementSA]:
        """
        A new management SA with the same peer; it adopts the children of the old one.

        The old one stays, and is the caller's to delete.
        """

    def delete(
        sas: Sequence[IManagementSA | SABundle],
        why: Removal = Removal.DELETED,
        force: bool = False,
    ) -> Deferred[None]:
        """
        Remove them here and tell the peer; with a management SA go its children.

        Fires when they are gone; where the key exchange has an answer to a Delete, when the peer
        has given it, or is given up.

        :param force: tell the peer once, and do not wait for its answer.
        """

    def close() -> Deferred[None]:
        """End every exchange, delete every SA, leave nothing on the clock."""


class IISAKMPKeyExchange(IPlugin):
    """
    A key exchange spoken in RFC 2408's exchanges; the framework's endpoint runs it.

    The framework's five (RFC 2408 section 4) are Base, Identity Protection, Authentication Only and
    Aggressive, of which a key exchange says which it runs in which phase, and Informational, which
    runs under every SA and asks nothing of the key exchange but the SA's protection.

    ``isakmp.testing.check_key_exchange`` tries whatever one offers.
    """

    name: str = Attribute("For logs and configuration.")
    transform_id: int = Attribute(
        "Of PROTO_ISAKMP in the offer, in any DOI: tells two key exchanges on one port apart."
    )
    exchange_types: Sequence[IExchangeType] = Attribute("Beyond the framework's five.")
    offers: frozenset[int] = Attribute("Those of the framework's five that it runs in phase 1.")
    offers_phase_2: Sequence[int] = Attribute(
        "Those of the framework's five that it runs under an SA of its own, and by which its "
        "connections' children are made: the first if the connection names none, and no exchange "
        "type of its own or of the domain makes them.  None, if that is left to those."
    )

    def method(exchange: IExchange, candidates: Candidates[Connection]) -> IKeyExchangeMethod:
        """What fills the words of a phase-1 exchange."""

    def phase_2_method(exchange: IExchange, children: Sequence[Child]) -> IKeyExchangeMethod:
        """
        What fills the words of one of ``offers_phase_2``, under ``exchange.sa``.

        Its result is the SABundles.

        :param children: to negotiate, as initiator; empty as responder: there the candidates are
            ``exchange.node.policy.phase2`` 's answer to what the peer asks for.
        :raises ConfigurationError: if it runs none.
        """

    def suite(spelling: str, lifetime: Lifetime) -> ProtectionSuite:
        """
        Acceptable protection of key management, from a configuration.

        :raises ConfigurationError: naming the word that is not understood.
        """

    def spell(suite: ProtectionSuite) -> str:
        """A suite as a configuration spells it; also what cannot be configured, approximately."""


class IDomainOfInterpretation(IPlugin):
    """
    What every domain of interpretation has.  Pure: values in, values out.
    """

    number: int = Attribute("0 ISAKMP, 1 IPsec, 2 GDOI.")
    name: str = Attribute("For logs and configuration.")
    phase1_situation: Situation = Attribute("Sent in phase 1.")
    exchange_types: Sequence[IExchangeType] = Attribute(
        "If any, the numbers 32-239 are these and no others; if none, the key exchange's."
    )

    def situation(reader: Reader) -> Situation:
        """
        The situation at the head of an SA payload; leaves the reader at the proposals.

        :raises SituationNotSupported: if it cannot be taken.
        """

    def identity(kind: int, protocol: int, port: int, data: bytes) -> Identity:
        """
        What an Identification payload names.

        :raises InvalidIdentity: if its data has not the form its type asks for.
        """

    def identification(identity: Identity) -> Identity:
        """
        The inverse of ``identity``: the numbers that an Identification payload of ours carries.

        :raises ConfigurationError: if this domain has no way to say it.
        """

    def check_spi(protocol: int, spi: bytes) -> None:
        """
        Whether an SA of this domain can be named so; of the framework's own protocol, 1, it is not
        asked.

        :raises InvalidProtocolID: if the Protocol-ID has no meaning here.
        :raises InvalidSPI: if no SA of this protocol can have this SPI.
        """

    def notified(notification: Notification) -> Effect | None:
        """What an authenticated notification asks for; None: nothing but to be logged."""

    def deleted(delete: Delete, path: Path) -> Sequence[SPIKey]:
        """Which of our SAs a peer's Delete payload names."""


class INegotiatingDomain(IDomainOfInterpretation):
    """
    One whose SAs are offered and chosen.

    :class:`isakmp.plain.PlainDomain` has the answers that are the same in nearly every one.
    """

    examples: Sequence[str] = Attribute(
        "Suites as a configuration spells them, for messages, and for isakmp.testing.check_doi."
    )

    def suite(spelling: str, lifetime: Lifetime) -> ProtectionSuite:
        """
        Acceptable protection, from a configuration.

        :raises ConfigurationError: naming the word that is not understood.
        """

    def spell(suite: ProtectionSuite) -> str:
        """A suite as a configuration spells it: for explanations and logs."""

    def select(offered: Offer, acceptable: Offer) -> ProtectionSuite:
        """
        The first offered suite that is acceptable, one transform per protocol, as it was offered.

        :raises NoProposalChosen: with what differed.
        """

    def confirm(answer: Offer, offered: Offer) -> ProtectionSuite:
        """
        The peer's answer, if it is one of our offers, with the peer's SPIs.

        :raises NoProposalChosen: otherwise; RFC 2408 section 4.2.
        """

    def terms(chosen: Proposal) -> Terms:
        """What a chosen proposal, or an offered one by its first transform, asks for."""

    def security_association(
        chosen: Proposal, spi: bytes, keymat: bytes, agreed: Agreed
    ) -> ProtectionSA:
        """Cut keying material into the value that a sink installs."""


class ILifetimeNotices(Interface):
    """
    What a domain of interpretation may provide besides: a responder says that its lifetime is
    shorter than the one it was offered.  RFC 2407 section 4.6.3.1.
    """

    def lifetime_notice(protocol: int, spi: bytes, lifetime: Lifetime) -> Notification:
        """
        Says how long an SA lives for us.

        :param spi: what we receive by; both cookies for a management SA.
        """

    def noticed_lifetime(notification: Notification) -> Lifetime | None:
        """The life that one says an SA has; None: it is about something else."""


class ISARegistry(Interface):
    """
    This process's SAs.  Look-ups are memory; a change is true when the call returns and stored
    when its Deferred fires.
    """

    def find(key: SAKey) -> IManagementSA | SABundle | None:
        """By cookies, or by what names an SA of a security protocol, in either direction."""

    def children(key: ManagementKey) -> Sequence[SABundle]:
        """Made under this SA."""

    def by_peer(theirs: Identity) -> Sequence[IManagementSA]:
        """Management SAs with this party."""

    def by_connection(name: str) -> Sequence[IManagementSA]:
        """Management SAs of a connection, the oldest first."""

    def stands(name: str) -> bool:
        """Whether a connection has a management SA, however many there may be."""

    def add(sa: IManagementSA | SABundle, expiry: Expiry) -> Deferred[None]:
        """
        Publishes Established.  Wait for it before the message that commits us.

        :raises ValueError: if a name of it is taken.
        """

    def replace(
        old: IManagementSA | SABundle, new: IManagementSA | SABundle
    ) -> Deferred[None]:
        """
        The same SA, by the same names and until the same time, has changed: in one step.  Of the
        names only where the peer of a bundle receives may be another.

        Publishes Replaced.

        :raises LookupError: if the old one is not here.
        :raises ValueError: if the names differ.
        """

    def remove(sa: IManagementSA | SABundle, why: Removal) -> Deferred[None]:
        """Publishes Removed; nothing if it is not here."""

    def expiry(sa: IManagementSA | SABundle) -> Expiry:
        """Until when it may be used; :raises LookupError: if it is not here."""

    def since(sa: IManagementSA | SABundle) -> float:
        """When it was added, in seconds; :raises LookupError: if it is not here."""

    def number(sa: IManagementSA | SABundle) -> int:
        """
        What this process calls it: management SAs are counted from 1, and so are bundles.

        :raises LookupError: if it is not here.
        """

    def fresh(key: ManagementKey, number: int) -> bool:
        """Whether this message id is used under the SA for the first time; it is, from now on."""

    def __iter__() -> Iterator[IManagementSA | SABundle]:
        """A snapshot."""


@dataclass(frozen=True, slots=True)
class Record:
    """
    What a store keeps of one SA.

    :ivar key: its name.
    :ivar sa: the SA itself: a store that outlives the process keeps octets instead.
    """

    key: SAKey
    sa: IManagementSA | SABundle
    expiry: Expiry


class ISAStore(Interface):
    """Where the registry keeps what it holds."""

    def save(records: Sequence[Record]) -> Deferred[None]:
        """All or none; replaces what has the same key."""

    def delete(keys: Sequence[SAKey]) -> Deferred[None]:
        """Idempotent."""

    def scan() -> Deferred[Sequence[Record]]:
        """Everything kept."""


class ISASink(Interface):
    """Where finished SAs go: a kernel, a user-space datapath, a list."""

    name: str = Attribute("For logs and configuration.")
    protects: bool = Attribute("Whether traffic is protected by what is installed here.")

    def start(events: IEvents) -> Deferred[None]:
        """
        Begin, before anything is asked of it: what a dead run of ours has left is removed.

        :param events: told of TrafficWaiting, SAExpiring, PeerMoved.
        :raises ConfigurationError: if it cannot do here what it is for; the text says why.
        """

    def stop() -> Deferred[None]:
        """Leave nothing behind; idempotent."""

    def supports(doi: int, protocol: int, transform: Transform) -> bool:
        """Nothing else is offered or accepted."""

    def reserve_spi(
        doi: int, protocol: int, path: Path, avoid: bytes = b""
    ) -> Deferred[bytes]:
        """
        An SPI for us to receive by.

        :param avoid: the peer's own, which would give equal keys in both directions.
        """

    def release_spi(key: SPIKey) -> Deferred[None]:
        """It was offered and not chosen, or the exchange failed."""

    def install(bundle: SABundle) -> Deferred[None]:
        """
        Then exactly this stands under the bundle's name; on failure what stood before.

        A side may be empty: a responder first installs what it receives by.
        """

    def remove(bundle: SABundle) -> Deferred[None]:
        """Idempotent."""

    def query(bundle: SABundle) -> Deferred[Usage]:
        """
        What has passed through it; nothing, of one that does not stand.  A sink that counts says so
        in ``counted``.
        """

    def trap(policy: ChildPolicy, path: Path | None) -> Deferred[None]:
        """
        Let traffic ask for its SAs, by TrafficWaiting; or let it pass, or drop it: as the policy's
        ``action`` says.  What stood for the same connection and child is replaced.

        :param path: between whom an SA would be; None: nobody, or it is not known yet.
        :raises ConfigurationError: if this sink sees no traffic.
        """

    def untrap(connection: str, child: str) -> Deferred[None]:
        """Idempotent."""

    def exempt(socket: socket.socket) -> None:
        """
        What goes through this socket of ours is no child's traffic, whatever that is for.

        :raises ConfigurationError: if it cannot be.
        """


class IReqids(Interface):
    """A sink that binds SAs to policies by a number, as Linux does by its reqid."""

    def reqid(bundle: SABundle) -> int:
        """The number of what is installed under the bundle's name; 0: nothing is."""


class IChoices(Interface):
    """A sink that chooses numbers that a child is to have, as marks of its own."""

    def handling(bundle: SABundle) -> Handling:
        """
        How a bundle is treated, with every number that was chosen; as it is configured, if it does
        not stand.
        """


class IRouting(Interface):
    """A sink that puts routes beside its SAs, as Linux needs them."""

    def route(routing: Routing | None) -> None:
        """
        Put them there; None: put none, as before anything is said.  Called before :meth:`start`.
        """


class ICredentialStore(Interface):
    """Who we are and whom we believe."""

    def shared_secret(ours: Identity, theirs: Identity | None, path: Path) -> Deferred[bytes]:
        """
        The pre-shared key with a peer.

        :param theirs: who it is expected to be; None: it may turn out to be one of several.
        :raises LookupError: if there is none, or two are meant equally; the text says so.
        """


class IPolicy(Interface):
    """What is offered, and what is accepted from whom."""

    def connection(name: str) -> Connection:
        """
        A configured connection; :raises LookupError: if there is none of this name.
        """

    def candidates(path: Path, doi: int, number: int) -> Candidates[Connection]:
        """
        The connections a stranger on this path may mean by this exchange type; none is an answer.

        At once: message 1 is cheap.
        """

    def phase2(
        sa: IManagementSA, request: ChildRequest
    ) -> Deferred[Candidates[ChildPolicy]]:
        """
        The children whose traffic a peer's request fits.

        :raises InvalidIdentity: if there is none.
        """

    def proposed(sa: IManagementSA, child: Child) -> ChildPolicy:
        """What we ask for when we begin a child ourselves."""

    def intervals(name: str) -> Intervals:
        """How a connection's messages are repeated; the defaults for an unknown name."""

    def lenient(name: str) -> Departures:
        """What is overlooked in the messages of a connection's peer; of an unknown name nothing."""

    def lenient_at(path: Path) -> Departures:
        """
        What any connection overlooks that a stranger on this path may mean.

        At once; asked only of a message that departs.
        """


class IPorts(Interface):
    """The sockets."""

    def send(datagram: Datagram) -> None:
        """Send, from the path's local end."""

    def source(remote: str, port: int) -> Address:
        """
        Our end of a path to an address, from a port of ours.

        :raises ConfigurationError: if there is none.
        """


class ICookies(Interface):
    """The anti-clogging tokens of RFC 2408 section 2.5.3."""

    def initiator(path: Path) -> bytes:
        """Eight octets that were never used before; never zero."""

    def responder(path: Path, initiator: bytes, message: bytes) -> bytes:
        """
        Eight octets that only we can make, for this stranger and this first message.

        :param message: its octets, so that a forged copy and the real one do not share a cookie.
        """


class IEvents(Interface):
    """What happened, told to whoever listens."""

    def subscribe(kind: type[E], observer: Callable[[E], None]) -> Callable[[], None]:
        """Have observer called with every such event; call what is returned to end that."""

    def wanted(kind: type[E]) -> bool:
        """Whether anybody listens."""

    def publish(event: object) -> None:
        """After the change, in order, never nested."""

    def tally(what: object) -> None:
        """Count one more of what is too frequent to be told each time."""

    def tallied() -> Mapping[object, int]:
        """How many of each there were."""


class INode(Interface):
    """One process's collaborators."""

    clock: IReactorTime = Attribute("seconds() is the wall clock, or a test's.")
    entropy: Callable[[int], bytes] = Attribute("os.urandom, or a test's.")
    settings: Mapping[str, Mapping[str, object]] = Attribute("By plugin.")
    limits: Limits = Attribute("The bounds.")
    dois: Mapping[int, IDomainOfInterpretation] = Attribute("Enabled, by number.")
    key_exchanges: Mapping[int, IISAKMPKeyExchange] = Attribute("Enabled, by Transform-ID.")
    riders: Sequence[Callable[[], IRider]] = Attribute("What makes each exchange's riders.")
    endpoints: Mapping[str, IKeyExchangeEndpoint] = Attribute(
        "``isakmp``, and each key exchange with a header of its own by its name; filled before "
        "ports open."
    )
    exchanges: IExchanges = Attribute("ISAKMP conversations.")
    policy: IPolicy = Attribute("What we agree to.")
    credentials: ICredentialStore = Attribute("Who we are.")
    registry: ISARegistry = Attribute("What is established.")
    sink: ISASink = Attribute("Where SAs go.")
    events: IEvents = Attribute("Who is told.")
    cookies: ICookies = Attribute("Anti-clogging.")
    ports: IPorts = Attribute("Sockets.")


__all__ = [
    "Effect",
    "Expiry",
    "IConfigurable",
    "ICookies",
    "ICredentialStore",
    "IDisclosing",
    "IDomainOfInterpretation",
    "IEvents",
    "IExchange",
    "IExchangeType",
    "IExchanges",
    "IISAKMPKeyExchange",
    "IKeyAgreement",
    "IKeyExchange",
    "IKeyExchangeEndpoint",
    "IKeyExchangeMethod",
    "INegotiation",
    "IManagementSA",
    "IMessageProtection",
    "ILifetimeNotices",
    "INegotiatingDomain",
    "INode",
    "INoticeProtection",
    "IPolicy",
    "IPorts",
    "IRider",
    "IRiderType",
    "IRelocating",
    "IRouting",
    "ISARegistry",
    "ISASink",
    "ISAStore",
    "Record",
    "Sealed",
    "SecurityAssociation",
    "Header",
]
