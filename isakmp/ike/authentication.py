"""
One class per authentication method of RFC 2409: what differs between them, nothing about order.
"""

from __future__ import annotations

import hmac
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

from isakmp.connections import Candidates, Connection
from isakmp.crypto.keys import skeyid_pre_shared_key
from isakmp.crypto.prf import Prf
from isakmp.errors import AuthenticationFailed, InvalidHashValue, Reason
from isakmp.identity import Identity
from isakmp.interfaces import IExchange
from isakmp.numbers import AuthenticationMethod
from isakmp.parts import Role
from isakmp.paths import endpoint
from isakmp.wire.message import Message
from isakmp.wire.payloads import Hash, Payload

_DIFFER = "Most likely the pre-shared keys of the two ends differ."


class Authenticated(Protocol):
    """
    What an authentication method reads of the exchange that it authenticates.

    :ivar exchange: the exchange.
    :ivar candidates: the connections that the peer may still mean; a method may narrow them.
    :ivar claimed: who the peer says it is; None: it has not said yet.
    """

    exchange: IExchange
    candidates: Candidates[Connection]
    claimed: Identity | None

    @property
    def prf(self) -> Prf:
        """The negotiated one."""

    @property
    def nonces(self) -> tuple[bytes, bytes]:
        """Ni_b and Nr_b."""

    @property
    def skeyid(self) -> bytes:
        """SKEYID, once the method has made it."""

    def identity_of(self, connection: Connection) -> Identity:
        """Who we are there."""

    async def hash_of(self, role: Role) -> bytes:
        """HASH_I or HASH_R.  RFC 2409 section 5."""


class Authentication(ABC):
    """
    An authentication method: how SKEYID is made, and how an end proves that it has it.

    Stateless; chosen by the negotiated transform.

    :cvar number: RFC 2409 appendix A.
    :cvar remedy: what to tell an administrator when the first sealed message cannot be read.
    """

    number: int
    remedy = ""

    def expects(self) -> type[Payload] | tuple[type[Payload], ...]:
        """The payload that proves."""
        return Hash

    @abstractmethod
    async def skeyid(self, method: Authenticated) -> bytes:
        """SKEYID.  RFC 2409 section 5."""

    async def proof(self, method: Authenticated) -> Sequence[Payload]:
        """What proves us: HASH_I or HASH_R."""
        return (Hash(await method.hash_of(method.exchange.role)),)

    async def check(self, method: Authenticated, message: Message) -> None:
        """
        :raises InvalidHashValue: if the peer's proof is not what it must be.
        """
        expected = await method.hash_of(method.exchange.role.other)
        if not hmac.compare_digest(message.one(Hash).data, expected):
            raise InvalidHashValue(Reason("the peer's HASH does not prove it", remedy=_DIFFER))


class PreSharedKey(Authentication):
    """
    Both ends know one secret.  RFC 2409 section 5.4.

    In Main Mode the responder needs it before the initiator has said who it is; the address has to
    do, and the identities that the connections left expect.  In Aggressive Mode the peer has said
    it, and nobody is answered whom no connection names: the answer lets its reader try keys at
    leisure (RFC 2409 section 5.4 proves with the key itself).
    """

    number = AuthenticationMethod.PRE_SHARED_KEY
    remedy = _DIFFER

    async def skeyid(self, method: Authenticated) -> bytes:
        """SKEYID = prf(pre-shared-key, Ni_b | Nr_b)."""
        secrets: dict[str, bytes] = {}
        missing: list[str] = []
        for connection in method.candidates.remaining:
            try:
                secrets[connection.name] = await self._secret(method, connection)
            except LookupError as error:
                missing.append(str(error))
        peer = endpoint(method.exchange.path.remote)
        if not secrets:
            raise AuthenticationFailed(
                Reason("no pre-shared key for this peer", peer, "; ".join(missing))
            )
        secret = next(iter(secrets.values()))
        # What is learned later must not move us to a connection with another secret.
        method.candidates = method.candidates.narrow(
            "pre-shared key",
            peer,
            lambda connection: "another key" if connection.name in secrets else "no key",
            lambda connection: secrets.get(connection.name) == secret,
            AuthenticationFailed,
        )
        return skeyid_pre_shared_key(method.prf, secret, *method.nonces)

    async def check(self, method: Authenticated, message: Message) -> None:
        """
        :raises InvalidHashValue: if the peer's proof is not what it must be.
        :raises AuthenticationFailed: if it proves another key than that of who the peer says it is.
            In Main Mode the address has chosen the key, and a connection may be for any identity:
            whoever has a key could take the name of whoever has another.
        """
        await super().check(method, message)
        named: set[str] = set()
        for connection in method.candidates.remaining:
            if connection.remote_identity.exact is not None or await self._names(
                method, connection
            ):
                named.add(connection.name)
        method.candidates = method.candidates.narrow(
            "pre-shared key",
            method.claimed,
            lambda connection: "the peer has proved another key than that of its identity",
            lambda connection: connection.name in named,
            AuthenticationFailed,
        )

    async def _names(self, method: Authenticated, connection: Connection) -> bool:
        """Whether the key that was used is the one of the identity that the peer claims."""
        try:
            secret = await self._secret(method, connection)
        except LookupError:
            return False
        skeyid = skeyid_pre_shared_key(method.prf, secret, *method.nonces)
        return hmac.compare_digest(skeyid, method.skeyid)

    async def _secret(self, method: Authenticated, connection: Connection) -> bytes:
        return await method.exchange.node.credentials.shared_secret(
            method.identity_of(connection),
            method.claimed or connection.remote_identity.exact,
            method.exchange.path,
        )


AUTHENTICATIONS: Mapping[int, Authentication] = {
    authentication.number: authentication for authentication in (PreSharedKey(),)
}
"""By the number of the Authentication Method attribute."""
