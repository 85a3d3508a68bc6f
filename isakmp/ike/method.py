"""
IKE as a method of the framework's phase-1 exchanges.  RFC 2409 section 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Self, cast

from zope.interface import implementer

from isakmp.associations import Lifetime, Offer, ProtectionSuite
from isakmp.connections import Candidates, Connection
from isakmp.crypto.groups import KeyPair, group
from isakmp.crypto.keys import Phase1Keys, phase1_iv
from isakmp.crypto.prf import Prf
from isakmp.errors import (
    ConfigurationError,
    NoProposalChosen,
    Reason,
)
from isakmp.exchange.phase1 import offer_of
from isakmp.identity import Identity
from isakmp.ike import identities, lifetime
from isakmp.ike.authentication import AUTHENTICATIONS, Authentication
from isakmp.ike.parameters import (
    Parameters,
    configured,
    of_one_group,
    proposal_of,
)
from isakmp.ike.protection import Phase1Protection
from isakmp.ike.rules import NONCE_SIZE, check_sa_first, nonce_of
from isakmp.ike.sa import ISAKMPSA, Keys
from isakmp.ike.selection import acceptable_to, choose, confirm, taking
from isakmp.interfaces import (
    IDomainOfInterpretation,
    IExchange,
    IMessageProtection,
    IResumable,
)
from isakmp.numbers import ExchangeType
from isakmp.parts import AUTH, ID, INITIATOR, KE, NONCE, RESPONDER, SA, Part, Role
from isakmp.wire.message import Message
from isakmp.wire.payloads import (
    Identification,
    KeyExchange,
    Nonce,
    Payload,
    SecurityAssociation,
)

_WORDS: Mapping[Part, type[Payload]] = {
    SA: SecurityAssociation,
    KE: KeyExchange,
    NONCE: Nonce,
    ID: Identification,
}
"""In the order in which they stand in a message."""

@lru_cache(maxsize=64)
def _payload_of(doi: IDomainOfInterpretation, suite: ProtectionSuite) -> SecurityAssociation:
    """The same is chosen of the same offer, and said twice: as message 2, and to go on from it."""
    return Offer(doi.number, doi.phase1_situation, (suite,)).payload()


@implementer(IResumable)
class IKEMethod:
    """
    Implements IKeyExchangeMethod for phase 1, and IResumable.

    Its attributes are immutable values, rebound: the framework hears on a shallow copy.

    :ivar candidates: the connections that the peer may still mean.
    :ivar ours: what we have said, each part's payload body; ``theirs`` what the peer has.
    :ivar claimed: who the peer says it is, once it has.
    """

    def __init__(self, exchange: IExchange, candidates: Candidates[Connection]) -> None:
        self.exchange = exchange
        self.candidates = candidates
        self.ours: Mapping[Part, Payload] = {}
        self.theirs: Mapping[Part, Payload] = {}
        self._chosen: Parameters | None = None
        self._authentication: Authentication | None = None
        self.claimed: Identity | None = None
        self._pair: KeyPair | None = None
        self._skeyid: bytes | None = None
        self._keys: Keys | None = None
        self._said = Lifetime()

    def __copy__(self) -> Self:
        # Every message is heard on a copy: the general way takes ten times as long.
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    # -- IResumable ----------------------------------------------------------------------------

    def resumed(self, exchange: IExchange) -> Self:
        """After message 2 of Main Mode: what was offered and chosen, and who can be meant."""
        made = self.__copy__()
        made.exchange = exchange
        return made

    # -- IKeyExchangeMethod --------------------------------------------------------------------

    @property
    def connection(self) -> Connection | None:
        """The preferred of the connections left."""
        return self.candidates.first

    def expects(
        self, parts: frozenset[Part]
    ) -> Sequence[type[Payload] | tuple[type[Payload], ...]]:
        """The payload classes of these parts."""
        words: list[type[Payload] | tuple[type[Payload], ...]] = [
            kind for part, kind in _WORDS.items() if part in parts
        ]
        if AUTH in parts:
            words.append(self._proofs())
        return words

    def _proofs(self) -> type[Payload] | tuple[type[Payload], ...]:
        """What may prove the peer: nothing is chosen yet when Aggressive's message 2 is awaited."""
        if self._authentication is not None:
            return self._authentication.expects()
        offered = {choice.authentication for choice in self._offered()}
        found: list[type[Payload]] = []
        for number in sorted(offered):
            kinds = AUTHENTICATIONS[number].expects()
            found += kinds if isinstance(kinds, tuple) else (kinds,)
        return tuple(dict.fromkeys(found))

    async def say(self, parts: frozenset[Part], riding: Sequence[Payload]) -> Sequence[Payload]:
        """Our payloads for these parts."""
        payloads = [self._word(part) for part in _WORDS if part in parts]
        payloads += riding
        if AUTH in parts:
            ours, offered = self.candidates.first.lifetime, self.chosen.lifetime
            payloads += lifetime.notice(self.exchange, ours, offered)
            # Last, because the next initialization vector is the last block of the ciphertext: a
            # copy that was changed there must not prove itself.
            payloads += await self.authentication.proof(self)
        return payloads

    async def hear(self, parts: frozenset[Part], message: Message) -> Message:
        """Take in the peer's payloads for these parts, and check what can be checked by now."""
        heard = {part: message.one(kind) for part, kind in _WORDS.items() if part in parts}
        self.theirs = {**self.theirs, **heard}
        if SA in parts:
            check_sa_first(message)
            self._consider(cast(SecurityAssociation, heard[SA]))
        if NONCE in parts:
            nonce_of(message)
        if KE in parts and self._chosen is not None:
            self._check_public()
        if ID in parts:
            self._identify(cast(Identification, heard[ID]))
        if AUTH in parts:
            await self.authentication.check(self, message)
            self._said = self._said.shorter(lifetime.noticed(self.exchange, message))
        return message

    async def protection(self) -> IMessageProtection:
        """Derive the keys; the first initialization vector is the hash of both public values."""
        keys = await self._derived()
        g_xi, g_xr = self._of(INITIATOR, KE), self._of(RESPONDER, KE)
        iv = phase1_iv(self.prf.hash, g_xi, g_xr, keys.cipher.block)
        return Phase1Protection(keys.cipher, iv, self.authentication.remedy, keys)

    async def established(self) -> object:
        """The ISAKMP SA."""
        protection = self.exchange.protection
        if not isinstance(protection, Phase1Protection) or self.claimed is None:
            raise RuntimeError("phase 1 has ended without keys")
        connection = self.candidates.first
        return ISAKMPSA(
            key=self.exchange.cookies,
            role=self.exchange.role,
            doi=self.exchange.doi.number,
            ours=self.identity_of(connection),
            theirs=self.claimed,
            connection=connection.name,
            path=self.exchange.path,
            lifetime=connection.lifetime.shorter(self.chosen.lifetime).shorter(self._said),
            parameters=self.chosen,
            keys=await self._derived(),
            last_block=protection.iv,
        )

    # -- words ---------------------------------------------------------------------------------

    def _word(self, part: Part) -> Payload:
        if part not in self.ours:
            self.ours = {**self.ours, part: self._make(part)}
        return self.ours[part]

    def _make(self, part: Part) -> Payload:
        if part is SA:
            return self._offer() if self.exchange.role is INITIATOR else self._answer()
        if part is KE:
            chosen = self._chosen or self._offered()[0]
            self._pair = group(chosen.group).generate()
            return KeyExchange(self._pair.public)
        if part is NONCE:
            return Nonce(self.exchange.node.entropy(NONCE_SIZE))
        identity = self.exchange.doi.identification(self.identity_of(self.candidates.first))
        return Identification(identity.kind, identity.protocol, identity.port, identity.data)

    # -- proposals and connections -------------------------------------------------------------

    def _offer(self) -> Payload:
        """Everything that the connection takes, by preference."""
        choices = self._offered()
        unknown = [c.spelled for c in choices if c.authentication not in AUTHENTICATIONS]
        if not choices or unknown:
            raise ConfigurationError(
                f"connection {self.candidates.first.name}: "
                + (f"no authentication for {', '.join(unknown)}" if unknown else "no proposals")
            )
        return self._payload(ProtectionSuite((proposal_of(choices),)))

    def _offered(self) -> tuple[Parameters, ...]:
        """As initiator; in Aggressive Mode a public value travels with them, which has a group."""
        choices = configured(self.candidates.first)
        return of_one_group(choices) if self._aggressive else choices

    @property
    def _aggressive(self) -> bool:
        return bool(self.exchange.number == ExchangeType.AGGRESSIVE)

    def _answer(self) -> Payload:
        """Chosen only now, when it is said: everything known by now has narrowed the candidates."""
        offer = self._understood(cast(SecurityAssociation, self.theirs[SA]))
        suite, parameters = choose(offer, self.candidates)
        self._bind(parameters)
        if KE in self.theirs:  # Aggressive Mode: it came with the offer
            self._check_public()
        return self._payload(suite)

    def _check_public(self) -> None:
        """
        The peer's public value, in the group that is chosen.

        :raises InvalidKeyInformation: if it is none of the group's.
        """
        group(self.chosen.group).check(cast(KeyExchange, self.theirs[KE]).data)

    def _consider(self, payload: SecurityAssociation) -> None:
        """The initiator hears the answer; the responder whether anything fits at all."""
        offer = self._understood(payload)
        if self.exchange.role is INITIATOR:
            self._bind(confirm(offer, self._offered(), self.candidates.first.lenient))
            return
        if self._aggressive:
            self.candidates = identities.for_somebody(self.exchange.path, self.candidates)
        self.candidates = acceptable_to(offer, self.candidates)

    def _bind(self, parameters: Parameters) -> None:
        self._chosen = parameters
        self._authentication = AUTHENTICATIONS[parameters.authentication]
        self.candidates = taking(parameters, self.candidates)

    def _understood(self, payload: SecurityAssociation) -> Offer:
        if payload.doi != self.exchange.doi.number:
            raise NoProposalChosen(
                Reason("an SA of another domain", str(payload.doi), str(self.exchange.doi.number))
            )
        return offer_of(self.exchange.doi, payload, self.exchange.lenient)

    def _payload(self, suite: ProtectionSuite) -> Payload:
        return _payload_of(self.exchange.doi, suite)

    # -- identities ----------------------------------------------------------------------------

    def identity_of(self, connection: Connection) -> Identity:
        """Who we are on a connection: what it says, or our address."""
        return connection.local_identity or Identity.address(self.exchange.path.local[0])

    def _identify(self, payload: Identification) -> None:
        """Until AUTH is checked it is a claim: it narrows, and nothing is authorised by it."""
        self.claimed = identities.claimed(self.exchange.doi, payload)
        self.candidates = identities.for_peer(self.claimed, self.candidates)

    # -- key material: RFC 2409 section 5 ------------------------------------------------------

    @property
    def chosen(self) -> Parameters:
        """The negotiated algorithms."""
        if self._chosen is None:
            raise RuntimeError("nothing has been chosen yet")
        return self._chosen

    @property
    def authentication(self) -> Authentication:
        """The negotiated authentication method."""
        if self._authentication is None:
            raise RuntimeError("nothing has been chosen yet")
        return self._authentication

    @property
    def prf(self) -> Prf:
        """HMAC of the negotiated hash."""
        return self.chosen.prf

    @property
    def skeyid(self) -> bytes:
        """SKEYID, which the authentication method has made."""
        if self._skeyid is None:
            raise RuntimeError("nothing has been derived yet")
        return self._skeyid

    @property
    def nonces(self) -> tuple[bytes, bytes]:
        """Ni_b and Nr_b."""
        return self._of(INITIATOR, NONCE), self._of(RESPONDER, NONCE)

    def _of(self, role: Role, part: Part) -> bytes:
        """A part's payload body, as it stood on the wire."""
        said = self.ours if role is self.exchange.role else self.theirs
        return said[part].encode()

    async def _derived(self) -> Keys:
        if self._keys is None:
            assert self._pair is not None
            g_xy = self._pair.agree(self._of(self.exchange.role.other, KE))
            self._skeyid = await self.authentication.skeyid(self)
            cookies = self.exchange.cookies
            derived = Phase1Keys.derive(
                self.prf, self._skeyid, g_xy, cookies.initiator, cookies.responder
            )
            self._keys = Keys.of(derived, self.chosen)
        return self._keys

    async def hash_of(self, role: Role) -> bytes:
        """
        HASH_I or HASH_R::

            HASH_I = prf(SKEYID, g^xi | g^xr | CKY-I | CKY-R | SAi_b | IDii_b)
            HASH_R = prf(SKEYID, g^xr | g^xi | CKY-R | CKY-I | SAi_b | IDir_b)
        """
        await self._derived()
        cookies = self.exchange.cookies
        pair = cookies.initiator, cookies.responder
        if role is RESPONDER:
            pair = pair[::-1]
        return self.prf(
            self.skeyid,
            self._of(role, KE)
            + self._of(role.other, KE)
            + b"".join(pair)
            + self._of(INITIATOR, SA)
            + self._of(role, ID),
        )


