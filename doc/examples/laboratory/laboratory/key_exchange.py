"""
The laboratory's key exchange: an end is authenticated by its static X25519 key.

Each end has ``[plugin.x25519]`` in its isakmp.toml: its own ``private`` key, and in ``peers`` the
public key of each peer by its identity, all in hexadecimal.  It runs in all exchanges of RFC 2408
section 4.  Where the diagram has KE, an ephemeral X25519 agreement makes the keys too; under
Authentication Only there is none, and a static key that is lost opens what was sealed before.
"""
from __future__ import annotations

import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.plugin import IPlugin
from zope.interface import implementer

from isakmp import errors, interfaces
from isakmp.associations import Lifetime, Offer, ProtectionSuite
from isakmp.connections import Candidates, Child, Connection
from isakmp.crypto.groups import group
from isakmp.crypto.keys import keymat
from isakmp.exchange.phase1 import offer_of
from isakmp.exchange.phase2 import Agreement, Phase2Method
from isakmp.exchange.words import Words
from isakmp.identity import Identity
from isakmp.interfaces import IExchange, IExchangeType, IKeyAgreement, IMessageProtection
from isakmp.numbers import ProtocolID
from isakmp.parts import AUTH, ID, KE, NONCE, SA, Part, Role
from isakmp.paths import Path
from isakmp.wire import payloads
from isakmp.wire.message import CookiePair, Flags, Header, Message, decode_chain, encode_chain
from isakmp.wire.payloads import Hash, Identification, KeyExchange, Nonce, Payload
from isakmp.wire.proposals import Proposal, Transform

TRANSFORM = 249  # a Transform-ID of PROTO_ISAKMP; RFC 2407 leaves 249 to 255 to private use
SUITE = ProtectionSuite((Proposal(1, ProtocolID.ISAKMP, b"", (Transform(1, TRANSFORM, ()),)),))
SPELLING = "x25519-aes256gcm"  # all there is to choose from
CURVE = group(31)


@implementer(IMessageProtection)
class Sealing:
    """An AEAD with a new nonce for each message: there is no state that a forgery could disturb."""

    def __init__(self, aead: AESGCM, role: Role, table: Mapping[int, type[Payload]]) -> None:
        self._aead, self._table = aead, table
        self._ours, self._theirs = role.value.encode(), role.other.value.encode()

    def seal(self, message: Message) -> bytes:
        """Encrypted, or proven by a HASH payload in front."""
        chain, nonce = encode_chain(message.payloads), os.urandom(12)
        if message.flags & Flags.AUTHENTICATION_ONLY:
            proven = message.with_payloads((Hash(bytes(28)), *message.payloads))
            head = proven.header(Header.SIZE + 32 + len(chain)).encode()
            head += encode_chain(proven.payloads)[:4]
            return head + nonce + self._aead.encrypt(nonce, b"", self._ours + head + chain) + chain
        sealed = replace(message, flags=message.flags | Flags.ENCRYPTION)
        head = sealed.header(Header.SIZE + 28 + len(chain)).encode()
        return head + nonce + self._aead.encrypt(nonce, chain, self._ours + head)

    def unseal(self, data: bytes) -> Message:
        """:raises Unreadable: if it is not proven."""
        header = Header.decode(data)
        sealed = header.flags & Flags.ENCRYPTION
        start = Header.SIZE if sealed else Header.SIZE + 4
        head, nonce, tag = data[:start], data[start : start + 12], data[start + 12 : start + 28]
        try:
            if len(tag) < 16:
                raise InvalidTag
            if sealed:
                first = header.first
                chain = self._aead.decrypt(nonce, data[start + 12 :], self._theirs + head)
            else:
                first, chain = head[Header.SIZE], data[start + 28 :]
                self._aead.decrypt(nonce, tag, self._theirs + head + chain)
        except InvalidTag:
            raise errors.Unreadable("a message that the keys do not prove") from None
        opened, _ = decode_chain(first, chain, self._table)
        number, message_id = header.exchange_type, header.message_id
        return Message(header.cookies, number, header.flags, message_id, opened, header.version)


@implementer(interfaces.IManagementSA)
@dataclass(frozen=True, eq=False)
class X25519SA:
    """What phase 1 leaves."""

    key: CookiePair
    role: Role
    doi: int
    ours: Identity
    theirs: Identity
    connection: str
    path: Path
    lifetime: Lifetime
    secret: bytes = field(repr=False)
    owner: str = "x25519"

    def permits(self, number: int) -> bool:
        return True

    def protection(self, kind: IExchangeType, message_id: int) -> IMessageProtection:
        return Sealing(AESGCM(self.derive(b"messages", 32)), self.role, kind.payloads)

    def authenticate(self, octets: bytes) -> bytes:
        return hmac.digest(self.derive(b"proofs", 32), octets, "sha256")

    def derive(self, seed: bytes, length: int) -> bytes:
        return keymat(lambda octets: hmac.digest(self.secret, octets, "sha256"), seed, length)

    def agreement(self, number: int) -> IKeyAgreement:
        return Agreement(number)


@implementer(interfaces.IKeyExchangeMethod)
class X25519Method(Words):
    """Phase 1.  Attributes are rebound and never changed in place: a refusal leaves no trace."""

    def __init__(self, exchange: IExchange, candidates: Candidates[Connection]) -> None:
        super().__init__(exchange)
        self.candidates = candidates
        self.offered: Sequence[ProtectionSuite] = ()
        self.claimed: Identity | None = None  # who the peer says it is
        self.pair: Any = None

    @property
    def connection(self) -> Connection:
        return self.candidates.first

    async def make(self, part: Part) -> Sequence[Payload]:
        """Our word."""
        if part is SA:
            doi = self.exchange.doi
            suites = self.offered[:1] or self.connection.suites[:1]
            return [Offer(doi.number, doi.phase1_situation, tuple(suites)).payload()]
        if part is KE:
            self.pair = CURVE.generate()
            return [KeyExchange(self.pair.public)]
        if part is NONCE:
            return [Nonce(self.exchange.node.entropy(32))]
        if part is ID:
            us = self.us()
            return [Identification(us.kind, us.protocol, us.port, us.data)]
        return [Hash(self.proof(self.exchange.role))]

    async def take(self, part: Part, heard: Sequence[Any]) -> None:
        """The peer's."""
        if part is SA:
            suites = offer_of(self.exchange.doi, heard[0]).suites
            self.offered = [suite for suite in suites if spelled(suite) == SPELLING]
            if not self.offered:
                raise errors.NoProposalChosen(f"{SPELLING} is not among what is offered")
        elif part is KE:
            CURVE.check(heard[0].data)
        elif part is ID:
            said = heard[0].kind, heard[0].protocol, heard[0].port, heard[0].data
            who = self.claimed = self.exchange.doi.identity(*said)
            self.candidates = self.candidates.narrow(
                "identity",
                who,
                lambda connection: connection.remote_identity,
                lambda connection: connection.remote_identity.matches(who),
                errors.InvalidIdentity,
            )
        elif part is AUTH:
            if not hmac.compare_digest(heard[0].data, self.proof(self.exchange.role.other)):
                raise errors.AuthenticationFailed("the peer does not have the static key")

    def us(self) -> Identity:
        return self.connection.local_identity or Identity.address(self.exchange.path.local[0])

    def static(self) -> bytes:
        """What our static key and the peer's agree on; the peer is the one that is expected."""
        peer = str(self.claimed or self.connection.remote_identity.exact)
        keys: Any = self.exchange.node.settings.get("x25519", {})
        if peer not in keys.get("peers", {}):
            raise errors.AuthenticationFailed(f"no static key of {peer} is configured")
        ours = CURVE.key_pair(bytes.fromhex(keys["private"]))
        return ours.agree(bytes.fromhex(keys["peers"][peer]))

    def key(self, secret: bytes, use: bytes) -> bytes:
        nonces = b"".join(self.said[role][NONCE] for role in Role)
        return hmac.digest(hmac.digest(nonces, secret, "sha256"), use, "sha256")

    def agreed(self) -> bytes:
        """What the ephemeral keys agree on; nothing without KE."""
        theirs = self.said[self.exchange.role.other].get(KE)
        return self.pair.agree(theirs) if self.pair and theirs else b""

    def proof(self, prover: Role) -> bytes:
        return hmac.digest(self.key(self.static(), b"proofs"), self.transcript(prover), "sha256")

    async def protection(self) -> IMessageProtection:
        key = self.key(self.agreed(), b"phase 1")
        return Sealing(AESGCM(key), self.exchange.role, payloads.PAYLOADS)

    async def established(self) -> object:
        connection, exchange = self.connection, self.exchange
        secret = self.key(self.agreed() + self.static(), b"the SA")
        assert self.claimed is not None
        names = exchange.cookies, exchange.role, exchange.doi.number, self.us(), self.claimed
        where = connection.name, exchange.path, connection.lifetime
        return X25519SA(*names, *where, secret)


def spelled(suite: ProtectionSuite) -> str:
    """Whatever number a proposal has."""
    same = replace(suite.proposals[0], number=1) == SUITE.proposals[0]
    return SPELLING if same and len(suite.proposals) == 1 else "something else"


@implementer(IPlugin, interfaces.IISAKMPKeyExchange, interfaces.IConfigurable)
class X25519:
    """The plug-in."""

    name = "x25519"
    transform_id = TRANSFORM
    exchange_types: Sequence[IExchangeType] = ()
    offers = frozenset({1, 2, 3, 4})  # Base, Identity Protection, Authentication Only, Aggressive
    offers_phase_2: Sequence[int] = (4, 1, 2, 3)

    def method(self, exchange: IExchange, candidates: Candidates[Connection]) -> X25519Method:
        return X25519Method(exchange, candidates)

    def phase_2_method(self, exchange: IExchange, children: Sequence[Child]) -> Phase2Method:
        return Phase2Method(exchange, children, group=31)

    def suite(self, spelling: str, lifetime: Lifetime) -> ProtectionSuite:
        if spelling != SPELLING:
            raise errors.ConfigurationError(f"{spelling!r} is not known; valid: {SPELLING}")
        return SUITE

    def spell(self, suite: ProtectionSuite) -> str:
        return spelled(suite)

    def configure(self, settings: Mapping[str, Any]) -> None:
        """``private``, and ``peers`` with the public keys by identity."""
        peers = settings.get("peers", {})
        if set(settings) != {"private", "peers"} or not isinstance(peers, dict):
            raise errors.ConfigurationError("valid here: private and peers, and both are needed")
        for name, key in {"private": settings["private"], **peers}.items():
            try:
                CURVE.check(bytes.fromhex(key))
            except (TypeError, ValueError, errors.PeerError):
                raise errors.ConfigurationError(f"{name}: 64 hexadecimal digits of a key") from None
